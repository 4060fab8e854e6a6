"""Find when nothing began, and whether that was unusual.

Input are the starts of legs, in microseconds, and the zone of the switch's clock; output
are the hours without rows, and those of them that are news. Nights and weekends of an
office are none: an hour is compared with the same hour of other days.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Hours", "hours_of", "quiet_hours"]

Numbers: TypeAlias = "NDArray[np.int64]"

_QUARTER: Final = 900
_HOUR: Final = 3600
_MICROS: Final = 1_000_000
_SHOWN: Final = 12
_COMPARED: Final = 3  # other days that have to tell
_USUAL: Final = 0.8  # share of them that have legs in that hour
_MISSED: Final = 10.0  # legs that other days have in the same hours: fewer may be missing by chance
_LONGEST: Final = 62 * 24  # hours; where nothing began for longer, no day before tells of a day behind
_EDGE: Final = 72  # hours at the end of a month, from which on a file is just not finished
_WEEK: Final = 7
_FRIDAY: Final = 4


def quiet_hours(started: Numbers) -> pd.DataFrame:
    """Return the longest stretches of whole hours, in UTC, in which no leg began, usual or not."""
    hours = np.unique(started // (_HOUR * _MICROS))
    gaps = np.diff(hours) - 1
    longest = np.sort(np.argsort(-gaps, kind="stable")[: min(_SHOWN, int((gaps > 0).sum()))])
    begins, ends = (hours[:-1][longest] + 1) * _HOUR, hours[1:][longest] * _HOUR
    return pd.DataFrame(
        {
            "from": pd.to_datetime(begins, unit="s", utc=True),
            "until": pd.to_datetime(ends, unit="s", utc=True),
            "hours": gaps[longest],
        }
    )


def hours_of(started: Numbers, zone: tzinfo | None) -> Hours:
    """Return the hours, by the clock of a zone or else UTC, in which legs began, and how many."""
    quarters, counts = np.unique(started // (_QUARTER * _MICROS), return_counts=True)
    local = pd.to_datetime(quarters * _QUARTER, unit="s", utc=True)
    if zone is not None:
        local = local.tz_convert(zone)
    seconds = local.tz_localize(None).to_numpy().astype("M8[s]").view(np.int64)
    hours, places = np.unique(seconds // _HOUR, return_inverse=True)
    return Hours(hours, np.bincount(places, weights=counts, minlength=len(hours)).astype(np.float64), zone)


@dataclass(frozen=True, eq=False)
class Hours:
    """The hours in which legs began, counted from 1970 by the clock of a zone, and how many began."""

    hours: Numbers
    counts: NDArray[np.float64]
    zone: tzinfo | None

    @cached_property
    def _days(self) -> Numbers:
        return np.unique(self.hours // 24)

    @cached_property
    def _slots(self) -> dict[str, NDArray[Any]]:
        """Per day of the week and hour, and per kind of day and hour: days with legs then, and their legs."""
        of_week = _weekday(self.hours // 24)
        found: dict[str, NDArray[Any]] = {}
        for name, kind, kinds, days in (
            ("day", of_week, _WEEK, _weekday(self._days)),
            ("kind", _is_weekend(of_week), 2, _is_weekend(_weekday(self._days))),
        ):
            slot = kind * 24 + self.hours % 24
            found[f"{name}_hours"] = np.bincount(slot, minlength=kinds * 24)
            found[f"{name}_legs"] = np.bincount(slot, weights=self.counts, minlength=kinds * 24)
            found[f"{name}_days"] = np.bincount(days, minlength=kinds)
        return found

    def usual(self, empty: Numbers) -> NDArray[np.float64]:
        """Return how many legs the same hour of other days has, 0 where nothing is usual, or nothing tells.

        Other days are those of the same day of the week. In a short file a day on which
        legs began is compared with all days of its kind, Monday to Friday or not.
        """
        slots, weekday = self._slots, _weekday(empty // 24)
        is_active = np.isin(empty // 24, self._days)
        result = np.zeros(len(empty))
        is_told = np.zeros(len(empty), bool)
        for name, kind, may_tell in (
            ("day", weekday, np.ones(len(empty), bool)),
            ("kind", _is_weekend(weekday), is_active),
        ):
            slot = kind * 24 + empty % 24
            others = slots[f"{name}_days"][kind] - is_active
            tells = may_tell & ~is_told & (others >= _COMPARED)
            is_usual = tells & (slots[f"{name}_hours"][slot] >= _USUAL * others)
            legs = slots[f"{name}_legs"][slot] / np.maximum(others, 1)
            result = np.where(is_usual, legs, result)
            is_told |= tells
        return result

    @property
    def can_tell(self) -> bool:
        """Whether there are days enough to compare."""
        return bool((self._slots["kind_days"] > _COMPARED).any())

    def silences(self) -> pd.DataFrame:
        """Return the stretches without legs in which other days have many, the most unusual of them in order."""
        before, gaps = self.hours[:-1], np.diff(self.hours) - 1
        chosen = (gaps > 0) & (gaps <= _LONGEST)
        lengths = gaps[chosen]
        stretch = np.repeat(np.arange(len(lengths)), lengths)
        offset = np.arange(len(stretch)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        empty = np.repeat(before[chosen], lengths) + 1 + offset
        missed = self.usual(empty)
        # An hour that the clock skipped is no silence.
        missed[self.to_utc(empty, skipped="NaT").isna()] = 0
        sums = np.bincount(stretch, weights=missed, minlength=len(lengths))
        loud = np.flatnonzero(sums >= _MISSED)
        loud = np.sort(loud[np.argsort(-sums[loud], kind="stable")][:_SHOWN])
        found = []
        for place in loud.tolist():
            inside = empty[(stretch == place) & (missed > 0)]
            first, last = int(inside[0]), int(inside[-1])
            found.append((first, last + 1, last + 1 - first, round(float(sums[place]))))
        frame = pd.DataFrame(found, columns=["from", "until", "hours", "usual_rows"], dtype="int64")
        return frame.assign(**{name: self.to_utc(frame[name].to_numpy()) for name in ("from", "until")})

    def to_utc(self, hours: Numbers, *, skipped: Any = "shift_forward") -> pd.DatetimeIndex:
        """Return hours of the clock as instants; of an hour that came twice, the first."""
        local = pd.DatetimeIndex(pd.to_datetime(hours * _HOUR, unit="s"))
        zone = "UTC" if self.zone is None else self.zone
        return local.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent=skipped).tz_convert(
            "UTC"
        )

    def edges(self) -> list[str]:
        """Say where the first or last hours of a month are missing, though other days have legs then."""
        if not len(self.hours):
            return []
        found = []
        first, last = int(self.hours[0]), int(self.hours[-1])
        end, begin = _month(last)[1], _month(first)[0]
        for missing, shown, words in (
            (np.arange(last + 1, end), last, "the last leg begins {}, and the rest of that month is missing"),
            (np.arange(begin, first), first, "the first leg begins {}, and the month before that is missing"),
        ):
            legs = float(self.usual(missing).sum()) if 0 < len(missing) <= _EDGE else 0.0
            if legs >= _MISSED:
                at = np.datetime64(shown, "h").item()
                said = words.format(f"on {at.day} {at:%B %Y} between {at.hour}:00 and {at.hour + 1}:00")
                found.append(f"{said}: the same hours of other days have about {legs:,.0f} legs")
        return found


def _weekday(days: Numbers) -> Numbers:
    """Return the day of the week of days since 1970, from Monday; that was a Thursday."""
    return (days + 3) % _WEEK


def _is_weekend(weekday: Numbers) -> Numbers:
    return (weekday > _FRIDAY).astype(np.int64)


def _month(hour: int) -> tuple[int, int]:
    """Return the first hour of a month, and the first of the next."""
    day = np.datetime64(hour // 24, "D").item()
    n_days = calendar.monthrange(day.year, day.month)[1]
    begin = (hour // 24 - day.day + 1) * 24
    return begin, begin + n_days * 24
