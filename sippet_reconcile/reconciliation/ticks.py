"""Choose the instants that stand at a scale of time, and say them in a zone.

Input are two instants in microseconds since 1970, output a few round instants between
them and their texts: the time, and the date where it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

__all__ = ["SECOND", "Tick", "scale_name", "ticks_between"]

SECOND: Final = 1_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 30, 91, 182, 365)),
)
_MOST: Final = 5
_LONG_S: Final = 300 * _DAY


def ticks_between(start_us: int, end_us: int, *, most: int = _MOST) -> list[int]:
    """Return round instants between two, at most so many; the first instant where none is round.

    Examples
    --------
    >>> [at // SECOND for at in ticks_between(3 * SECOND, 61 * SECOND)]
    [15, 30, 45, 60]
    """
    steps = [step * SECOND for step in _STEPS_S if (end_us - start_us) // (step * SECOND) < most]
    step = steps[0] if steps else ((end_us - start_us) // (most * _DAY * SECOND) + 1) * _DAY * SECOND
    first = -(-start_us // step) * step
    return list(range(first, end_us + 1, step)) or [start_us]


@dataclass(frozen=True)
class Tick:
    """One instant of a scale, and what stands there."""

    at_us: int
    text: str

    @classmethod
    def named(cls, ticks: Sequence[int], zone: str, span: tuple[int, int]) -> list[Tick]:
        """Return ticks with their times in a zone, with the date where it is another than before.

        Examples
        --------
        >>> midnight = 86_400 * SECOND
        >>> [t.text for t in Tick.named([midnight - 3600 * SECOND, midnight], "UTC", (0, midnight))]
        ['23:00', '01-02 00:00']
        """
        step_s = (ticks[1] - ticks[0]) // SECOND if len(ticks) > 1 else 1
        is_long = span[1] - span[0] > _LONG_S * SECOND
        named, before = [], said_on(span[0], zone)
        for at in ticks:
            local = _local(at, zone)
            day = local.strftime("%Y-%m-%d")
            time = local.strftime("%H:%M:%S" if step_s % _MINUTE else "%H:%M")
            date = day if is_long else day[5:]
            text = date if step_s >= _DAY else f"{date} {time}" if day != before else time
            named.append(cls(at, text))
            before = day
        return named


def scale_name(zone: str, at_us: int, most: int) -> str:
    """Return the zone and the date with which a scale begins; a long zone by its last part.

    Examples
    --------
    >>> scale_name("Europe/London", 0, 26), scale_name("America/Argentina/Buenos_Aires", 0, 26)
    ('Europe/London, 1970-01-01', 'Buenos Aires, 1969-12-31')
    """
    date = said_on(at_us, zone)
    whole = f"{zone}, {date}"
    return whole if len(whole) <= most else f"{zone.rsplit('/', 1)[-1].replace('_', ' ')}, {date}"


def said_on(at_us: int, zone: str) -> str:
    """Return the date of an instant in a zone."""
    return _local(at_us, zone).strftime("%Y-%m-%d")


def _local(at_us: int, zone: str) -> pd.Timestamp:
    return pd.Timestamp(np.datetime64(at_us, "us"), tz="UTC").tz_convert(zone)
