"""Values of a call as text in API form, and back.

A discrepancy, a change and an audit record hold values as the API writes them, so
that what a person reviews is what is sent: instants as ``YYYY-MM-DDTHH:MM:SS[.ffffff]Z``,
seconds as digits, words as they are, null as missing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "INSTANT_FIELDS",
    "SECONDS_FIELDS",
    "instants_to_text",
    "learn_decimals",
    "parse_instant",
    "parse_value",
    "same_value",
    "seconds_to_text",
    "text_to_instants",
]

INSTANT_FIELDS: Final = frozenset({"started_at", "ended_at"})
"""Attributes of a call that hold instants."""

SECONDS_FIELDS: Final = frozenset({"duration_seconds"})
"""Attributes of a call that hold whole seconds."""

_INSTANT: Final = pa.timestamp("us", tz="UTC")
_MOST_DECIMALS: Final = 6
_ISO: Final = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d{1,9}))?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?$"
)


def instants_to_text(instants: pd.Series[pd.Timestamp]) -> pd.Series[str]:
    """Return instants in API form: UTC, and a six-digit fraction only where there is one.

    Missing stays missing; the index is kept.

    Examples
    --------
    >>> at = pd.to_datetime(pd.Series(["2026-10-01 08:00:00+00:00", "2026-10-01 08:00:00.5+00:00", None]), format="ISO8601")
    >>> instants_to_text(at).tolist()
    ['2026-10-01T08:00:00Z', '2026-10-01T08:00:00.500000Z', nan]
    """
    array = pa.array(instants.dt.tz_convert("UTC").dt.as_unit("us"), from_pandas=True).cast(_INSTANT)
    # Arrow prints a microsecond timestamp with all six digits.
    text = pc.strftime(array, format="%Y-%m-%dT%H:%M:%SZ").cast(pa.large_string())
    return text_series(pc.replace_substring(text, pattern=".000000Z", replacement="Z"), index=instants.index)


def text_to_instants(text: pd.Series[str]) -> pd.Series[pd.Timestamp]:
    """Return the instants that ISO 8601 texts name; what is not one becomes missing.

    ``Z``, offsets with and without a colon, and 0 to 9 decimals are read (further
    decimals than six are cut); a text without a zone is UTC, as the API reads it.

    Examples
    --------
    >>> text_to_instants(pd.Series(["2026-10-01T08:00:00+01:00", "soon"], dtype="str")).tolist()
    [Timestamp('2026-10-01 07:00:00+0000', tz='UTC'), NaT]
    """
    array = text_array(text)
    try:
        # All in the API's own form: Arrow reads a million of these in a fraction of a second.
        instants = array.cast(_INSTANT)
    except pa.ArrowInvalid:
        instants = _read_one_by_one_kind(array)
    return pd.Series(instants.to_pandas(), dtype="datetime64[us, UTC]").set_axis(text.index)


def _read_one_by_one_kind(array: pa.LargeStringArray) -> pa.TimestampArray:
    """Read each of the accepted forms; what is none of them becomes missing."""
    text = pa.large_string()
    parts = pc.extract_regex(pc.utf8_trim_whitespace(array), pattern=_ISO)
    day, time, fraction, zone = (pc.struct_field(parts, name) for name in ("day", "time", "fraction", "zone"))
    fraction = pc.utf8_slice_codeunits(pc.utf8_rpad(fraction, width=6, padding="0"), start=0, stop=6)
    zone = pc.if_else(pc.is_in(zone, value_set=pa.array(["", "Z"], text)), pa.scalar("+0000", text), zone)
    zone = pc.replace_substring(zone, pattern=":", replacement="")
    stamp = pc.binary_join_element_wise(day, time, pa.scalar("T", text))
    whole = pc.binary_join_element_wise(stamp, zone, pa.scalar("", text))
    seconds = pd.to_datetime(text_series(whole), format="%Y-%m-%dT%H:%M:%S%z", errors="coerce", utc=True)
    micros = fraction.cast(pa.int64()).cast(pa.duration("us"))
    return pc.add(pa.array(seconds.dt.as_unit("us"), from_pandas=True).cast(_INSTANT), micros)


def seconds_to_text(seconds: pd.Series[Any]) -> pd.Series[str]:
    """Return whole seconds as digits; missing stays missing.

    Raises
    ------
    pyarrow.ArrowInvalid
        If a value has a fraction: round before.

    Examples
    --------
    >>> seconds_to_text(pd.Series([60, None], dtype="Float64")).tolist()
    ['60', nan]
    """
    array = pa.array(seconds, from_pandas=True).cast(pa.int64())
    return text_series(array.cast(pa.large_string()), index=seconds.index)


def parse_instant(text: str) -> datetime:
    """Return the aware instant of one text in API form.

    Raises
    ------
    ValueError
        If it is not ISO 8601.

    Examples
    --------
    >>> parse_instant("2026-10-01T08:00:00.5Z").isoformat()
    '2026-10-01T08:00:00.500000+00:00'
    """
    at = datetime.fromisoformat(text.strip())
    return at.replace(tzinfo=UTC) if at.utcoffset() is None else at.astimezone(UTC)


def parse_value(field: str, text: object) -> str | int | None:
    """Return the JSON value of a text in API form.

    Examples
    --------
    >>> parse_value("duration_seconds", "60"), parse_value("status", "busy"), parse_value("ended_at", None)
    (60, 'busy', None)
    """
    if not isinstance(text, str):
        return None
    return int(text) if field in SECONDS_FIELDS else text


def learn_decimals(known: dict[str, int], shown: Mapping[str, int]) -> None:
    """Add what one answer shows of a server's precision, in place; see `same_value`.

    The most that was ever seen counts: a server that prints a fraction anywhere keeps it everywhere.

    Examples
    --------
    >>> known = {"ended_at": 0}
    >>> learn_decimals(known, {"ended_at": 6, "started_at": 0})
    >>> known
    {'ended_at': 6, 'started_at': 0}
    """
    for name, decimals in shown.items():
        known[name] = max(decimals, known.get(name, 0))


def same_value(
    field: str, left: str | None, right: str | None, *, decimals: Mapping[str, int] | None = None
) -> bool:
    """Tell whether two texts in API form name the same value of a field.

    Null equals null only. Instants are compared as instants.

    Parameters
    ----------
    decimals
        Field to the decimals of a second that the server answers for it: a server that
        keeps whole seconds cuts what it is sent, so both sides are cut alike. Fields
        that are not in there are compared to the microsecond.

    Examples
    --------
    >>> same_value("ended_at", "2026-10-01T08:00:00Z", "2026-10-01T08:00:00.000000Z")
    True
    >>> same_value("ended_at", "2026-10-01T08:00:00Z", "2026-10-01T08:00:00.700000Z")
    False
    >>> same_value("ended_at", "2026-10-01T08:00:00Z", "2026-10-01T08:00:00.7Z", decimals={"ended_at": 0})
    True
    >>> same_value("duration_seconds", "060", "60"), same_value("status", None, None)
    (True, True)
    """
    left = left if isinstance(left, str) else None
    right = right if isinstance(right, str) else None
    if left is None or right is None:
        return left is right
    if field in SECONDS_FIELDS:
        return int(left) == int(right)
    if field not in INSTANT_FIELDS:
        return left == right
    kept = _MOST_DECIMALS if decimals is None else decimals.get(field, _MOST_DECIMALS)
    unit = 10 ** max(_MOST_DECIMALS - kept, 0)
    first, second = (
        at.replace(microsecond=at.microsecond // unit * unit)
        for at in (parse_instant(left), parse_instant(right))
    )
    return first == second
