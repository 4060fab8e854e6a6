"""Turn the local times of a zone into instants, and say which of them are none or two.

Input are microseconds as a clock in the zone showed them, output are instants in
UTC: both of them where the clock was put back, and a mark where it was put forward.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

__all__ = ["LocalInstants", "micros_to_utc"]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

_MICROS: Final = 1_000_000
_DAY: Final = timedelta(days=1)
_DAY_MICROS: Final = 86_400 * _MICROS


class _Change(NamedTuple):
    """One moment at which a zone's offset changes: local microseconds on either side, and both offsets."""

    begins: int  # the first local time that is skipped, or that occurs a second time
    ends: int
    before: int
    after: int


class LocalInstants(NamedTuple):
    """Local times as instants: `first`, or `second` where the clock showed the time twice."""

    first: Micros
    second: Micros
    repeated: Mask
    skipped: Mask


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * _MICROS


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[_Change]:
    """Walk a span day by day and yield each change of the zone's offset, found to the second."""
    at, offset = begin, _offset(zone, begin)
    while at < end:
        following = at + _DAY
        later = _offset(zone, following)
        if later != offset:
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            moment = int(high.timestamp()) * _MICROS
            yield _Change(moment + min(offset, later), moment + max(offset, later), offset, later)
        at, offset = following, later


@lru_cache(maxsize=256)
def _changes_of_days(zone: ZoneInfo, begin: int, end: int) -> tuple[int, tuple[_Change, ...]]:
    """Return a zone's offset at the beginning of a span of days, counted from 1970, and its changes in it."""
    first, last = (datetime(1970, 1, 1, tzinfo=UTC) + day * _DAY for day in (begin, end))
    return _offset(zone, first), tuple(_changes(zone, first, last))


def micros_to_utc(local: Micros, zone: ZoneInfo, valid: Mask | None = None) -> LocalInstants:
    """Turn local microseconds since 1970 into UTC microseconds; the zone's changes are worked out once.

    A skipped time is read with the offset before the change, so that callers who
    ignore `skipped` are wrong by the change and no more.
    """
    repeated, skipped = np.zeros(len(local), bool), np.zeros(len(local), bool)
    chosen = local if valid is None else local[valid]
    if len(chosen) == 0:
        return LocalInstants(local, local, repeated, skipped)
    first_day, last_day = int(chosen.min()) // _DAY_MICROS, int(chosen.max()) // _DAY_MICROS
    offset, changes = _changes_of_days(zone, first_day - 2, last_day + 3)
    if not changes:
        first = local - offset
        return LocalInstants(first, first, repeated, skipped)
    # Before `begins` the old offset holds, from `ends` on the new one; between them it is the change itself.
    begins = np.array([change.begins for change in changes])
    ends = np.array([change.ends for change in changes])
    offsets = np.array([offset, *(change.after for change in changes)])
    passed = np.searchsorted(ends, local, side="right")
    entered = np.searchsorted(begins, local, side="right")
    first = local - offsets[passed]
    inside = entered > passed
    if not bool(inside.any()):
        return LocalInstants(first, first, repeated, skipped)
    second = local - offsets[np.minimum(entered, len(changes))]
    forward = np.array([change.after > change.before for change in changes])[
        np.minimum(passed, len(changes) - 1)
    ]
    return LocalInstants(
        first, np.where(inside & ~forward, second, first), inside & ~forward, inside & forward
    )
