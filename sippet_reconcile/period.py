"""The span of time that a reconciliation speaks of: half-open, in aware instants."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pandas as pd

from sippet_reconcile.errors import InputError

__all__ = ["Period", "load_zone"]

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?00)?", re.IGNORECASE | re.ASCII)
_SHOWN_ZONES = 3
_LIKE = 0.75
_DECEMBER = 12
_YEARS = range(2, 9999)  # the first and the last year have no neighbour in which a zone's midnight may fall


def load_zone(name: str) -> ZoneInfo:
    """Return the time zone of an IANA name, or say what such a name looks like.

    Examples
    --------
    >>> load_zone("Europe/London").key
    'Europe/London'
    """
    if not isinstance(name, str):
        msg = f"timezone {name!r} is {type(name).__name__}, not text; pass an IANA name such as 'Europe/London' or 'UTC'"
        raise InputError(msg)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        near = _near_zones(name)
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        msg = f"timezone {name!r} is not known here; use an IANA name such as 'Europe/London' or 'UTC'{meant}"
        raise InputError(msg) from exc


def _near_zones(name: str) -> list[str]:
    """Return the zones that a name may be meant to be, at most three: an offset, a city, or a slip of the pen.

    Examples
    --------
    >>> _near_zones("London"), _near_zones("america/new york"), _near_zones("UTC+3"), _near_zones("Atlantis")
    (['Europe/London'], ['America/New_York'], ['Etc/GMT-3'], [])
    >>> _near_zones("Europe/Londn")[0]
    'Europe/London'
    """
    zones = sorted(available_timezones())
    offset = _OFFSET.fullmatch(name.strip())
    if offset is not None:
        # The names of fixed offsets count the other way round: Etc/GMT-3 is three hours ahead of UTC.
        fixed = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}"
        return [fixed] if fixed in zones else []
    words = name.strip().casefold().replace(" ", "_")
    folded = {zone.casefold(): zone for zone in zones}
    if words in folded:
        return [folded[words]]
    cities = [zone for zone in zones if "/" in zone and zone.rpartition("/")[2].casefold() == words]
    if cities:
        return cities[:_SHOWN_ZONES]
    return [folded[near] for near in get_close_matches(words, folded, _SHOWN_ZONES, _LIKE)]


@dataclass(frozen=True)
class Period:
    """A half-open span of time, ``start <= t < end``.

    Attributes
    ----------
    start, end
        Aware instants, kept in UTC; the end is no longer part of the span.
    timezone
        The zone in which people read the span: a month begins at midnight *there*.

    Examples
    --------
    >>> october = Period.month("2026-10", timezone="Europe/London")
    >>> october.start.isoformat(), october.end.isoformat()
    ('2026-09-30T23:00:00+00:00', '2026-11-01T00:00:00+00:00')
    """

    start: datetime
    end: datetime
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        load_zone(self.timezone)
        for name in ("start", "end"):
            value = getattr(self, name)
            if not isinstance(value, datetime) or pd.isna(value) or value.utcoffset() is None:
                msg = (
                    f"Period {name} {value!r} is not an aware instant; pass a datetime with a time zone, "
                    "or use Period.month('2026-10', timezone=...)"
                )
                raise InputError(msg)
            if isinstance(value, pd.Timestamp):
                value = value.to_pydatetime(warn=False)
            try:
                object.__setattr__(self, name, value.astimezone(UTC))
            except OverflowError as exc:
                msg = f"Period {name} {value!r} lies outside the years 1 to 9999; pass the span that the calls are in"
                raise InputError(msg) from exc
        if self.end <= self.start:
            msg = f"Period end {self.end.isoformat()} is not after its start {self.start.isoformat()}"
            raise InputError(msg)

    @classmethod
    def month(cls, month: str, *, timezone: str = "UTC") -> Period:
        """Return a calendar month as it is counted in a time zone.

        Parameters
        ----------
        month
            ``"YYYY-MM"``.
        timezone
            IANA name; the month runs from midnight to midnight there.

        Raises
        ------
        InputError
            If the month or the zone is not one.
        """
        zone = load_zone(timezone)
        parts = _MONTH.fullmatch(month.strip()) if isinstance(month, str) else None
        if parts is None or not 1 <= int(parts[2]) <= _DECEMBER or int(parts[1]) not in _YEARS:
            msg = f"month {month!r} is not of the form 'YYYY-MM', such as '2026-10'"
            raise InputError(msg)
        year, number = int(parts[1]), int(parts[2])
        start = datetime(year, number, 1, tzinfo=zone)
        end = datetime(year + number // _DECEMBER, number % _DECEMBER + 1, 1, tzinfo=zone)
        return cls(start, end, timezone=timezone)

    def widened(self, seconds: float) -> Period:
        """Return the span with a margin on both sides.

        Examples
        --------
        >>> Period.month("2026-10").widened(3600).label
        '2026-09-30 23:00 to 2026-11-01 01:00 (UTC, end excluded)'
        """
        margin = timedelta(seconds=seconds)
        return Period(self.start - margin, self.end + margin, timezone=self.timezone)

    def contains(self, instants: pd.Series[pd.Timestamp]) -> pd.Series[bool]:
        """Mark the instants inside the span; a missing instant is not inside.

        Examples
        --------
        >>> at = pd.Series(pd.to_datetime(["2026-10-01T00:00Z", "2026-11-01T00:00Z", None], utc=True))
        >>> Period.month("2026-10").contains(at).tolist()
        [True, False, False]
        """
        start, end = pd.Timestamp(self.start), pd.Timestamp(self.end)
        return (instants.ge(start) & instants.lt(end)).fillna(value=False).astype("bool")

    @property
    def label(self) -> str:
        """The span as people read it, in its own zone."""
        zone = load_zone(self.timezone)
        first, last = self.start.astimezone(zone), self.end.astimezone(zone)
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} ({self.timezone}, end excluded)"

    def __str__(self) -> str:
        return self.label

    def to_dict(self) -> dict[str, str]:
        """Return plain values for a saved plan or summary.

        Examples
        --------
        >>> Period.month("2026-10").to_dict()
        {'start': '2026-10-01T00:00:00+00:00', 'end': '2026-11-01T00:00:00+00:00', 'timezone': 'UTC'}
        """
        return {"start": self.start.isoformat(), "end": self.end.isoformat(), "timezone": self.timezone}

    @classmethod
    def from_dict(cls, values: dict[str, str]) -> Period:
        """Read back what `to_dict` wrote.

        Examples
        --------
        >>> october = Period.month("2026-10", timezone="Europe/London")
        >>> Period.from_dict(october.to_dict()) == october
        True
        """
        return cls(
            datetime.fromisoformat(values["start"]),
            datetime.fromisoformat(values["end"]),
            timezone=values["timezone"],
        )
