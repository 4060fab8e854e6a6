"""Instants as the server reads and writes them: text to whole microseconds and back.

Input is ISO 8601 text in the forms the real server accepts, output is a count of
microseconds since 1970 (UTC), which compares and sorts as it is.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

__all__ = ["FIRST_MICROS", "LAST_MICROS", "format_instant", "parse_instant"]

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - everything in this module is UTC
_FORM: Final = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})"
    r"(?:[T ](?P<time>\d{2}:\d{2}:\d{2})(?:[.,](?P<fraction>\d+))?"
    r"(?P<zone>Z|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?)?)?",
    re.ASCII,
)
_MICROSECOND: Final = timedelta(microseconds=1)
FIRST_MICROS: Final = (datetime.min - _EPOCH) // _MICROSECOND  # noqa: DTZ901 - UTC, as all here
"""The first instant that can be written with four digits of a year."""

LAST_MICROS: Final = (datetime.max - _EPOCH) // _MICROSECOND  # noqa: DTZ901 - UTC, as all here
"""The last such instant."""

_DECIMALS: Final = 6
_LAST_MINUTE: Final = 59


def parse_instant(text: str) -> int:
    """Return the microseconds since 1970 of a text the server accepts as an instant.

    A date alone is its midnight, a time without a zone is UTC, decimals past the
    sixth are cut. Minutes without seconds, epoch numbers and days that do not
    exist are refused.

    Raises
    ------
    ValueError
        If the text is none of those forms.

    Examples
    --------
    >>> parse_instant("1970-01-01T01:00:00.1234567+01:00")
    123456
    >>> parse_instant("1970-01-02")
    86400000000
    """
    match = _FORM.fullmatch(text)
    if match is None:
        msg = "not an instant the server accepts"
        raise ValueError(msg)
    naive = datetime.strptime(f"{match['date']} {match['time'] or '00:00:00'}", "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone is applied below
    if match["time"] is not None and int(match["time"][6:]) > _LAST_MINUTE:
        msg = "a leap second is not accepted"
        raise ValueError(msg)
    micros = (naive - _EPOCH) // _MICROSECOND
    if match["fraction"]:
        micros += int(match["fraction"][:_DECIMALS].ljust(_DECIMALS, "0"))
    if match["sign"]:
        hours, minutes = int(match["hours"]), int(match["minutes"] or 0)
        if minutes > _LAST_MINUTE:
            msg = "an offset's minutes go to 59"
            raise ValueError(msg)
        offset = (hours * 60 + minutes) * 60_000_000
        micros += offset if match["sign"] == "-" else -offset
    if not FIRST_MICROS <= micros <= LAST_MICROS:
        msg = "an offset leads out of the years 1 to 9999"
        raise ValueError(msg)
    return micros


def format_instant(micros: int, precision: int = 6) -> str:
    """Return an instant as the server writes it.

    Examples
    --------
    >>> format_instant(1_500_000), format_instant(1_500_000, precision=0)
    ('1970-01-01T00:00:01.500000Z', '1970-01-01T00:00:01Z')
    """
    moment = _EPOCH + timedelta(microseconds=micros)
    return moment.isoformat(timespec="microseconds" if precision else "seconds") + "Z"
