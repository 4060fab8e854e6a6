"""Follow a clock over the month: its gap at each call, how fast it drifts, when it was set.

Input are the gaps of pairs in groups that have a clock each, output is the gap that the
clock of a group shows at each pair, worked out from the medians of neighbours, and a
description of its course: from, to, seconds a day, and the largest step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import signed
from sippet_reconcile.reconciliation.core import MICROS
from sippet_reconcile.reconciliation.diagnosing.start_gaps import Grouping

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.start_gaps import StartGaps

__all__ = ["Drift", "Track", "drift_of", "track_of"]

_RUN: Final = 10
_MOST_RUNS: Final = 200
_DAY_S: Final = 86_400
_STEP: Final = 5  # times what the clock moves from run to run
_WEAKEST_RATE: Final = 0.05  # seconds a day


@dataclass(frozen=True, eq=False)
class Track:
    """The clocks of groups.

    Attributes
    ----------
    grouping
        The groups, each with a clock.
    clock_s
        The gap of its group's clock at each pair.
    steady_s
        The same, held over a run of neighbours: what a single pair cannot move.
    follows
        Marks the pairs whose own gap is near the clock's.
    runs
        The run of each pair.
    """

    grouping: Grouping
    clock_s: NDArray[np.float64]
    steady_s: NDArray[np.float64]
    follows: NDArray[np.bool_]
    runs: NDArray[np.int64]

    @classmethod
    def everywhere(cls, gaps: NDArray[np.float64]) -> Track:
        """Return the track of known gaps, which all pairs follow."""
        everything = Grouping.everything(len(gaps))
        return cls(everything, gaps, gaps, np.ones(len(gaps), np.bool_), np.zeros(len(gaps), np.int64))


@dataclass(frozen=True)
class Drift:
    """The course of one clock.

    Attributes
    ----------
    usual_s
        Its median gap.
    first_s, last_s
        Its gap at the first and the last pairs.
    least_s, most_s
        Its smallest and largest gap.
    rate_s_per_day
        What it gains a day, steps apart.
    step_s, stepped_at
        The largest step it was set by, and when; None where it was not.
    is_steady
        Whether it stays where it is, but for what chance makes of its calls.
    """

    usual_s: float
    first_s: float
    last_s: float
    least_s: float
    most_s: float
    rate_s_per_day: float
    step_s: float | None
    stepped_at: pd.Timestamp | None
    is_steady: bool

    @property
    def farthest_s(self) -> float:
        """How far the clock is off at most; of one that is steady, mostly."""
        return abs(self.usual_s) if self.is_steady else max(abs(self.least_s), abs(self.most_s))

    def __str__(self) -> str:
        """Say the course, as what follows the gap between two clocks."""
        if self.is_steady:
            return f"{signed(self.usual_s, 1)} s"
        said = f"drifts from {signed(self.first_s, 1)} to {signed(self.last_s, 1)} s"
        if {self.least_s, self.most_s} != {self.first_s, self.last_s}:
            said += f" (between {signed(self.least_s, 1)} and {signed(self.most_s, 1)} s)"
        if abs(self.rate_s_per_day) >= _WEAKEST_RATE:
            said += f", about {signed(float(f'{self.rate_s_per_day:.2g}'))} s a day"
        if self.step_s is not None and self.stepped_at is not None:
            said += f", set by {signed(self.step_s, 1)} s on {self.stepped_at:%Y-%m-%d}"
        return said


def track_of(starts: StartGaps, grouping: Grouping, near: float) -> Track:
    """Follow the clock of each group through the medians of runs of neighbours in time."""
    order = starts.in_order(grouping)
    gaps, codes = starts.gap_s[order], grouping.codes[order]
    runs = _runs(codes)
    sizes = np.bincount(runs)
    begins = np.cumsum(sizes) - sizes
    inside = np.lexsort((gaps, runs))
    medians = gaps[inside][begins + (sizes - 1) // 2]
    medians = (medians + gaps[inside][begins + sizes // 2]) / 2
    held = medians[runs]
    between = _between(medians, begins + (sizes - 1) / 2, codes[begins], runs)
    # A clock that drifts is between two medians, one that was just set is at one of them.
    beside_held, beside_between = (
        np.bincount(runs, weights=np.minimum(np.abs(gaps - course), 2 * near)) for course in (held, between)
    )
    clock = np.where((beside_between < beside_held)[runs], between, held)
    result = Track(
        grouping, np.empty_like(gaps), np.empty_like(gaps), np.empty(len(gaps), np.bool_), np.empty_like(runs)
    )
    result.clock_s[order], result.steady_s[order], result.runs[order] = clock, held, runs
    result.follows[order] = np.abs(gaps - clock) <= near
    return result


def _runs(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """Give runs of neighbouring rows within each group a number; a short rest joins the run ahead."""
    begins = np.flatnonzero(np.diff(codes, prepend=-1))
    counts = np.diff(begins, append=len(codes))
    lengths = np.maximum(_RUN, counts // _MOST_RUNS)
    rank = np.arange(len(codes)) - np.repeat(begins, counts)
    last = np.maximum(counts // lengths, 1) - 1
    in_group = np.minimum(rank // np.repeat(lengths, counts), np.repeat(last, counts))
    is_first = np.diff(in_group, prepend=-1) != 0
    is_first[begins] = True
    return np.cumsum(is_first) - 1


def _between(
    medians: NDArray[np.float64],
    centres: NDArray[np.float64],
    groups: NDArray[np.int64],
    runs: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return for each row the line through the medians of its run and the nearer neighbour in its group."""
    is_pair = np.append(np.diff(groups) == 0, False)  # with the next run
    slopes = np.zeros(len(medians))
    slopes[:-1] = np.where(is_pair[:-1], np.diff(medians) / np.diff(centres), 0.0)
    ahead = np.append(0.0, slopes[:-1])  # of the line from the run before, 0 where it is another group's
    has_ahead = np.append(False, is_pair[:-1])
    beyond = np.arange(len(runs)) - centres[runs]
    # At the ends of a group its first and last line go on.
    before = np.where(has_ahead, ahead, slopes)[runs]
    behind = np.where(is_pair, slopes, ahead)[runs]
    return medians[runs] + beyond * np.where(beyond < 0, before, behind)


def drift_of(starts: StartGaps, track: Track, group: int, near: float) -> Drift:
    """Describe the course of one group's clock, from the medians that it passes."""
    order = starts.by_time[track.grouping.codes[starts.by_time] == group]
    clock, steady, at_us = track.clock_s[order], track.steady_s[order], starts.started_us[order]
    new = np.flatnonzero(np.diff(track.runs[order], prepend=-1) != 0)
    middles = (new + np.append(new[1:], len(order)) - 1) // 2
    gaps, days = steady[new], at_us[middles] / MICROS / _DAY_S
    moves = np.diff(gaps)
    usual = float(np.median(np.abs(moves))) if len(moves) else 0.0
    steps = np.flatnonzero(np.abs(moves) > max(near, _STEP * usual))
    slopes = [_slope(part_days, part) for part_days, part in _parts(days, gaps, steps)]
    weights = [len(part) - 1 for _, part in _parts(days, gaps, steps)]
    rate = float(np.average(slopes, weights=weights)) if sum(weights) else 0.0
    step_s = stepped_at = None
    if len(steps):
        largest = int(steps[np.argmax(np.abs(moves[steps]))])
        step_s = float(moves[largest])
        stepped_at = pd.Timestamp(int(at_us[new[largest + 1]]), unit="us", tz="UTC")
    return Drift(
        usual_s=float(np.median(starts.gap_s[order])),
        first_s=float(clock[0]),
        last_s=float(clock[-1]),
        least_s=float(clock.min()),
        most_s=float(clock.max()),
        rate_s_per_day=rate,
        step_s=step_s,
        stepped_at=stepped_at,
        is_steady=bool((np.abs(gaps - np.median(gaps)) <= near).all()),
    )


def _parts(
    days: NDArray[np.float64], gaps: NDArray[np.float64], steps: NDArray[np.int64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return list(zip(np.split(days, steps + 1), np.split(gaps, steps + 1), strict=True))


def _slope(days: NDArray[np.float64], gaps: NDArray[np.float64]) -> float:
    """Return the median of the slopes between all pairs of points."""
    one, other = np.triu_indices(len(days), 1)
    apart = days[other] - days[one]
    known = apart > 0
    return float(np.median((gaps[other] - gaps[one])[known] / apart[known])) if known.any() else 0.0
