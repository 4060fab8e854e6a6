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
Legs: TypeAlias = "NDArray[np.float64]"
Mask: TypeAlias = "NDArray[np.bool_]"

_QUARTER: Final = 900
_HOUR: Final = 3600
_MICROS: Final = 1_000_000
_SHOWN: Final = 12
_SAME_DAYS: Final = 3  # other days of the same name that have to tell
_LIKE_DAYS: Final = 5  # other days of the same kind, which are less alike
_USUAL: Final = 0.8  # share of them that have legs in that hour
_MISSED: Final = 10.0  # legs that other days have in the same hours: fewer may be missing by chance
_SURELY: Final = 3  # legs that even the quietest of the other days has
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
class _Others:
    """Whether other days tell of an hour, and how many legs they have then; 0 where none are usual."""

    tell: Mask
    usual: Legs
    fewest: Legs


@dataclass(frozen=True, eq=False)
class Hours:
    """The hours in which legs began, counted from 1970 by the clock of a zone, and how many began."""

    hours: Numbers
    counts: Legs
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
            fewest = np.full(kinds * 24, np.inf)
            np.minimum.at(fewest, slot, self.counts)
            found[f"{name}_fewest"] = fewest
            found[f"{name}_days"] = np.bincount(days, minlength=kinds)
        return found

    def usual(self, empty: Numbers) -> tuple[Legs, Legs]:
        """Return how many legs the same hour of other days has, on average and at least.

        Both are 0 where nothing is usual, or nothing tells. Other days are those of the
        same name, and those of the same kind (Monday to Friday, or not): where both tell,
        they must agree, so that the habits of a few days make no rule. A day on which
        nothing began at all is only compared with those of its name: it may always be free.
        """
        weekday, is_active = _weekday(empty // 24), np.isin(empty // 24, self._days)
        same = self._others("day", weekday, empty % 24, is_active, needed=_SAME_DAYS)
        alike = self._others("kind", _is_weekend(weekday), empty % 24, is_active, needed=_LIKE_DAYS)
        by_name = same.tell & ~(alike.tell & (alike.usual == 0))
        by_kind = ~same.tell & is_active
        return (
            np.where(by_name, same.usual, np.where(by_kind, alike.usual, 0)),
            np.where(by_name, same.fewest, np.where(by_kind, alike.fewest, 0)),
        )

    def _others(self, name: str, kind: Numbers, hour: Numbers, is_active: Mask, *, needed: int) -> _Others:
        """Return what other days of a name, or of a kind, have in an hour."""
        slots, slot = self._slots, kind * 24 + hour
        others = slots[f"{name}_days"][kind] - is_active
        tell = others >= needed
        is_usual = tell & (slots[f"{name}_hours"][slot] >= _USUAL * others)
        legs = slots[f"{name}_legs"][slot] / np.maximum(others, 1)
        return _Others(
            tell, np.where(is_usual, legs, 0), np.where(is_usual, slots[f"{name}_fewest"][slot], 0)
        )

    @property
    def can_tell(self) -> bool:
        """Whether there are days enough to compare."""
        by_name, by_kind = self._slots["day_days"], self._slots["kind_days"]
        return bool((by_name > _SAME_DAYS).any() or (by_kind > _LIKE_DAYS).any())

    def silences(self) -> pd.DataFrame:
        """Return the stretches without legs in which other days have many, the most unusual of them in order."""
        before, gaps = self.hours[:-1], np.diff(self.hours) - 1
        chosen = (gaps > 0) & (gaps <= _LONGEST)
        lengths = gaps[chosen]
        stretch = np.repeat(np.arange(len(lengths)), lengths)
        offset = np.arange(len(stretch)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        empty = np.repeat(before[chosen], lengths) + 1 + offset
        missed, fewest = self.usual(empty)
        # An hour that the clock skipped is no silence.
        is_skipped = self.to_utc(empty, skipped="NaT").isna()
        missed[is_skipped] = fewest[is_skipped] = 0
        sums, least = (
            np.bincount(stretch, weights=legs, minlength=len(lengths)) for legs in (missed, fewest)
        )
        loud = np.flatnonzero((sums >= _MISSED) & (least >= _SURELY))
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
            (
                np.arange(begin, first),
                first,
                "the first leg begins {}, and what of that month lies before is missing",
            ),
        ):
            if not 0 < len(missing) <= _EDGE:
                continue
            legs, fewest = (float(legs.sum()) for legs in self.usual(missing))
            if legs >= _MISSED and fewest >= _SURELY:
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
