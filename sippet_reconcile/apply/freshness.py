"""Tell how old a re-read is by two clocks, because neither can be trusted alone. Pure.

A monotonic clock stands still while a machine sleeps, so a re-read of an hour ago looks
seconds old once the lid is opened; a wall clock is set back and forth. Input are two
`Moment`s; output is whether what was read at the first may be relied on at the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["CLOCKS_APART_S", "FRESH_S", "Age", "Moment", "age_of"]

FRESH_S: Final = 15.0
"""How old a re-read may be at the moment of sending, in seconds."""

CLOCKS_APART_S: Final = 2.0
"""How far the two clocks may disagree about the time since a re-read."""


@dataclass(frozen=True)
class Moment:
    """One instant by both clocks.

    Attributes
    ----------
    clock
        Seconds of a monotonic clock, which may stand still while the machine sleeps.
    wall
        The time of day, which may be set.
    """

    clock: float
    wall: datetime


class Age(StrEnum):
    """Whether a re-read may be relied on."""

    FRESH = "fresh"
    OLD = "old"
    UNSURE = "unsure"
    """The clocks disagree: the machine slept, or its time was set."""


def age_of(read_at: Moment, now: Moment) -> Age:
    """Say how old a re-read is; where the clocks disagree it is never fresh.

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> noon = Moment(100.0, datetime(2026, 10, 1, 12, tzinfo=UTC))
    >>> [age_of(noon, Moment(100.0 + s, noon.wall + timedelta(seconds=w))).value for s, w in ((9, 9), (20, 20), (5, 3600))]
    ['fresh', 'old', 'unsure']
    """
    ticked_s = now.clock - read_at.clock
    passed_s = (now.wall - read_at.wall).total_seconds()
    if abs(passed_s - ticked_s) > CLOCKS_APART_S:
        return Age.UNSURE
    return Age.OLD if max(ticked_s, passed_s) > FRESH_S else Age.FRESH
