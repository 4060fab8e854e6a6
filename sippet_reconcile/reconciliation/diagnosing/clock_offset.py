"""Tell whether the CDR's clock is off by seconds, drifts, or is really several clocks.

Input are the gaps between both sides' starts, output is a verdict with the offset
that would remove what was found, if a single one does. A clock moves starts and ends
alike and all calls of a machine by nearly the same; set-up time, ringing time and
single wrong records do not, and are no finding about a clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import signed
from sippet_reconcile.reconciliation.core import QUARTER_S
from sippet_reconcile.reconciliation.diagnosing.drifting import Drift, Track, drift_of, track_of
from sippet_reconcile.reconciliation.diagnosing.mixtures import (
    by_file_and_group,
    said_as_rule,
    where_said,
)
from sippet_reconcile.reconciliation.diagnosing.start_gaps import EVERYTHING, Grouping
from sippet_reconcile.reconciliation.diagnosing.stretches import DENSE, FEWEST, find_stretches
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.start_gaps import GapCounts, StartGaps
    from sippet_reconcile.reconciliation.diagnosing.stretches import Stretches
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["clocks_agree", "find_clock_offset"]

_CODE: Final = "clock-offset"
_PAIRS: Final = 20
_UNANIMOUS: Final = 5  # so many are enough where not one disagrees
_HALF: Final = 0.5
_EXPLAINED: Final = 0.9
_MIXED_SHARE: Final = 0.2
_FAR: Final = 4  # times what counts as near
_BINS: Final = 4  # of the width that counts as near
_FEW_GROUPS: Final = 50
_SET_IT_RIGHT: Final = (
    "No single offset removes this: set the switch's clock right; ended_at is not planned from such a CDR."
)
_ONE_BY_ONE: Final = (
    "No single offset removes this: reconcile the rows of each clock on their own with their clock_offset_s, or set "
    "the switch's clock right; ended_at is not planned from such a CDR."
)
_KEEP_A_COLUMN: Final = (
    "No single offset removes this: carry the column that names the trunk or PBX along with read_cdr(keep=[...]) to see "
    "which clock is off; ended_at is not planned from such a CDR."
)
_EVIDENCE: Final = {
    "source_file": "str",
    "group": "str",
    "value": "str",
    "first_started_at": "datetime64[us, UTC]",
    "last_started_at": "datetime64[us, UTC]",
    "n_pairs": "Int64",
    "offset_s": "Float64",
    "spread_s": "Float64",
    "least_s": "Float64",
    "most_s": "Float64",
    "first_offset_s": "Float64",
    "last_offset_s": "Float64",
    "rate_s_per_day": "Float64",
    "step_s": "Float64",
    "stepped_at": "datetime64[us, UTC]",
    "is_drifting": "boolean",
}


@dataclass(frozen=True, eq=False)
class _Clock:
    """What the gaps follow.

    Attributes
    ----------
    track
        The gap of the clock at each pair, by group and time.
    told
        The stretches that have a clock of their own; None where all have one.
    groups
        The groups that follow a clock.
    offset_s
        The gap that most pairs have.
    is_mixed
        Whether there are two clocks that nothing tells apart.
    is_drifting
        Whether it is one clock that never stays long enough to make a stretch.
    """

    track: Track
    told: Stretches | None
    groups: NDArray[np.int64]
    offset_s: float
    is_mixed: bool = False
    is_drifting: bool = False

    @classmethod
    def alone(cls, starts: StartGaps, offset_s: float) -> _Clock:
        """Return one clock that is off by the same everywhere."""
        return cls(Track.everywhere(np.full(len(starts), offset_s)), None, np.zeros(1, np.int64), offset_s)


def clocks_agree(counts: GapCounts) -> list[Verdict] | None:
    """Return that neither zone nor clock is wrong, where so few starts are apart that each need not be looked at; else None."""
    if counts.n_shifted or counts.n_usable < _PAIRS or counts.n_off >= FEWEST:
        return None
    what = "exactly matched calls"
    return [
        Verdict.of("timezone-shift", None, n_looked_at=counts.n_sure, n_needed=FEWEST, what=what),
        Verdict.of(_CODE, None, n_looked_at=counts.n_usable, n_needed=_PAIRS, what=what),
    ]


def find_clock_offset(starts: StartGaps, rules: Rules) -> Verdict:
    """Look for starts that are apart by the same few seconds, by a gap that drifts, or by several gaps.

    Parameters
    ----------
    starts
        Of exactly matched pairs; the offset that the rules name is removed already.
    rules
        `time_tolerance_s` is how far clocks may be apart.

    Returns
    -------
    Verdict
        With a ``stop`` where a clock is off by more. Its evidence has one row per file
        and group: ``source_file``; ``group`` and ``value``, the column that tells clocks
        apart and what it holds, missing where there is one clock; ``first_started_at``,
        ``last_started_at``, ``n_pairs``; ``offset_s``, the median gap that remains (CDR
        minus API), and ``spread_s``, within which half of the gaps lie; ``least_s`` and
        ``most_s`` of the clock; ``first_offset_s`` and ``last_offset_s``, its gap at the
        first and the last pair; ``rate_s_per_day`` that it gains; ``step_s`` and
        ``stepped_at``, the largest step it was set by, missing where it was not; and
        ``is_drifting``: no single offset removes the gaps. Where starts differ and ends
        agree, it is no clock.
    """
    n_pairs = len(starts)
    usable = starts.where(starts.quarters == 0)
    finding = _of_few(usable, n_pairs, rules) if len(usable) < _PAIRS else _of_many(usable, rules)
    if finding is None and len(usable) < _PAIRS <= n_pairs:
        why = f"starts are quarter hours apart in {n_pairs - len(usable):,} of {n_pairs:,} exactly matched calls, as by a wrong time zone"
        return Verdict.not_asked(_CODE, why)
    return Verdict.of(_CODE, finding, n_looked_at=len(usable), n_needed=_PAIRS, what="exactly matched calls")


def _near_s(rules: Rules) -> float:
    return max(float(rules.time_tolerance_s), 1.0)


def _of_few(starts: StartGaps, n_pairs: int, rules: Rules) -> Finding | None:
    """Judge so few pairs that they say something only where not one disagrees."""
    if len(starts) < max(_UNANIMOUS, n_pairs):
        return None
    offset = float(np.median(starts.gap_s))
    disagrees = bool((np.abs(starts.gap_s - offset) > _near_s(rules)).any())
    everything = np.ones(len(starts), np.bool_)
    if disagrees or abs(offset) <= rules.time_tolerance_s or _ends_agree(starts, everything, rules):
        return None
    return _finding(starts, _Clock.alone(starts, offset), rules)


def _of_many(starts: StartGaps, rules: Rules) -> Finding | None:
    near = _near_s(rules)
    if int((np.abs(starts.gap_s) > rules.time_tolerance_s).sum()) < FEWEST:
        return None  # too few to be anybody's clock
    offset = _commonest(starts.gap_s, near)
    is_near = np.abs(starts.gap_s - offset) <= near
    share = float(is_near.mean())
    is_common = share <= _HALF  # then what stands out as dense are the common gaps
    for told in find_stretches(starts, is_near if is_common else ~is_near):
        clock = _clock_of(starts, told, offset, near)
        if clock is not None and _is_off(starts, clock, rules, is_common=is_common):
            return _finding(starts, clock, rules)
    if share < DENSE:
        clock = _fast_clock(starts, offset, rules) or _two_clocks(starts, offset, is_near, rules)
        return None if clock is None else _finding(starts, clock, rules)
    if abs(offset) <= rules.time_tolerance_s or _ends_agree(starts, is_near, rules):
        return None
    return _finding(starts, _Clock.alone(starts, offset), rules)


def _fast_clock(starts: StartGaps, offset: float, rules: Rules) -> _Clock | None:
    """Return one clock that nearly all pairs follow, over many times what is tolerated."""
    near = _near_s(rules)
    track = track_of(starts, Grouping.everything(len(starts)), near)
    follows = float(track.follows.mean()) >= _EXPLAINED
    if not follows or float(np.ptp(track.steady_s)) < _FAR * near:
        return None
    if _ends_agree(starts, np.abs(track.steady_s) > rules.time_tolerance_s, rules):
        return None
    return _Clock(track, None, np.zeros(1, np.int64), offset, is_drifting=True)


def _two_clocks(starts: StartGaps, offset: float, is_near: NDArray[np.bool_], rules: Rules) -> _Clock | None:
    """Return two clocks that nothing tells apart, where two gaps explain nearly all pairs, and the ends say so too.

    Without the ends it might be two ways in which calls are set up.
    """
    near = _near_s(rules)
    if bool(is_near.all()):
        return None
    other = _commonest(starts.gap_s[~is_near], near)
    is_other = ~is_near & (np.abs(starts.gap_s - other) <= near)
    is_explained = float((is_near | is_other).mean()) >= _EXPLAINED and float(is_other.mean()) >= _MIXED_SHARE
    is_off = max(abs(offset), abs(other)) > rules.time_tolerance_s and abs(other - offset) > 2 * near
    if not is_explained or not is_off:
        return None
    for part, gap in ((is_near, offset), (is_other, other)):
        if abs(gap) > rules.time_tolerance_s and not _ends_differ(starts, part, rules):
            return None
    clock = np.where(is_other, other, offset)
    track = Track.everywhere(clock)
    return _Clock(track, None, np.zeros(1, np.int64), offset, is_mixed=True)


def _commonest(gaps: NDArray[np.float64], near: float) -> float:
    """Return the middle of where the gaps are densest; those beyond a quarter of an hour are nobody's clock."""
    within_reach = np.abs(gaps) < QUARTER_S
    if not within_reach.any():
        return float(np.median(gaps))
    gaps = gaps[within_reach]
    bins = np.rint(gaps * (_BINS / near)).astype(np.int64)
    lowest = int(bins.min())
    within = np.convolve(np.bincount(bins - lowest), np.ones(2 * _BINS + 1, np.int64), mode="same")
    densest = np.flatnonzero(within == within.max()) + lowest
    # Of several places that are equally dense the one nearest to none, and there its middle.
    places = np.split(densest, np.flatnonzero(np.diff(densest) > 1) + 1)
    middle = float(np.mean(min(places, key=lambda place: int(np.abs(place).min())))) * near / _BINS
    return float(np.median(gaps[np.abs(gaps - middle) <= near * (1 + 1 / _BINS)]))


def _clock_of(starts: StartGaps, told: Stretches, offset: float, near: float) -> _Clock | None:
    """Follow the clock of each group; None where those that stand out follow none, neither alone nor together."""
    grouping, stand_out = told.grouping, np.unique(told.groups)
    sizes = np.bincount(grouping.codes, minlength=len(grouping.words))
    is_told = np.isin(grouping.codes, stand_out)
    # Many users of one PBX say together what each of them has too few calls for.
    together = Grouping(f"{grouping.name} {stand_out.tolist()}", is_told.astype(np.int64), [None, None])
    for one in (grouping, together):
        track = track_of(starts, one, near)
        if int((track.follows & is_told).sum()) < DENSE * int(is_told.sum()):
            continue
        followed = np.bincount(grouping.codes[track.follows], minlength=len(sizes))
        is_clock = (followed >= DENSE * sizes) & (sizes >= FEWEST)
        is_clock[stand_out] = True
        return _Clock(replace(track, grouping=grouping), told, np.flatnonzero(is_clock), offset)
    return None


def _is_off(starts: StartGaps, clock: _Clock, rules: Rules, *, is_common: bool) -> bool:
    """Tell whether some clock is off by more than is tolerated, and differs from the others or from itself."""
    told, steady = clock.told, clock.track.steady_s
    if told is None:
        return False
    of_clocks = np.isin(clock.track.grouping.codes, clock.groups)
    # Those that stand out, and where they are the common ones, the others.
    stand_out = of_clocks & (~told.inside if is_common else told.inside)
    is_apart = stand_out & (np.abs(steady - clock.offset_s) > _near_s(rules))
    is_off = is_apart & (np.abs(steady) > rules.time_tolerance_s)
    if abs(clock.offset_s) > rules.time_tolerance_s:
        is_off |= np.abs(starts.gap_s - clock.offset_s) <= _near_s(rules)
    return bool(is_apart.any()) and bool(is_off.any()) and not _ends_agree(starts, is_off, rules)


def _ends_agree(starts: StartGaps, mask: NDArray[np.bool_], rules: Rules) -> bool:
    """Tell whether the ends of some pairs agree although their starts do not: then a start means two things."""
    n_for, n_against = _votes_of_ends(starts, mask, rules)
    return n_against > n_for


def _ends_differ(starts: StartGaps, mask: NDArray[np.bool_], rules: Rules) -> bool:
    """Tell whether the ends of most pairs are apart as their starts are."""
    n_for, _ = _votes_of_ends(starts, mask, rules)
    return n_for >= _HALF * int(mask.sum())


def _votes_of_ends(starts: StartGaps, mask: NDArray[np.bool_], rules: Rules) -> tuple[int, int]:
    """Count the pairs whose ends speak for a clock that is off, and against it.

    A pair whose ends are apart as its starts are speaks for it, one whose ends agree
    against it; others, and those without both ends, say nothing.
    """
    rows = np.flatnonzero(mask & (np.abs(starts.gap_s) > rules.time_tolerance_s))
    gaps, ends = starts.gap_s[rows], starts.sides.at(rows).gap_s("ended_at")
    near = _near_s(rules)
    alike, agreeing = np.abs(gaps - ends), np.abs(ends)
    is_for = (alike <= near) & (alike <= agreeing)
    return int(is_for.sum()), int(((agreeing <= near) & ~is_for).sum())


def _finding(starts: StartGaps, clock: _Clock, rules: Rules) -> Finding:
    grouping = clock.track.grouping
    shown = clock.groups
    if len(shown) > _FEW_GROUPS and clock.told is not None:
        shown = np.intersect1d(shown, clock.told.groups)
    drifts: dict[int, Drift] = {}
    if not clock.is_mixed:
        near = _near_s(rules)
        drifts = {group: drift_of(starts, clock.track, group, near) for group in shown[:_FEW_GROUPS].tolist()}
    evidence = _evidence(starts, clock, shown, drifts)
    evidence = evidence.assign(is_drifting=clock.is_mixed or clock.is_drifting or clock.told is not None)
    evidence = evidence[list(_EVIDENCE)].astype(_EVIDENCE)
    n_pairs, tolerated = f"{len(starts):,}", f"{rules.time_tolerance_s:g} s are tolerated"
    if clock.is_mixed:
        least, most = float(clock.track.clock_s.min()), float(clock.track.clock_s.max())
        message = (
            f"The CDRs are of two clocks: in {n_pairs} exactly matched calls the gap to the API's is {signed(least, 1)} s or "
            f"{signed(most, 1)} s, and no column that was read tells which; {tolerated}."
        )
        return Finding(_CODE, Severity.STOP, message, evidence, _KEEP_A_COLUMN)
    if clock.told is None and not clock.is_drifting:
        wanted = round(float(rules.clock_offset_s) + clock.offset_s, 3)
        side = "ahead of" if clock.offset_s > 0 else "behind"
        spread = float(np.subtract(*np.percentile(starts.gap_s, [75, 25])))
        spread_said = f", half of the gaps within {round(spread, 1):g} s," if round(spread, 1) else ""
        message = (
            f"The CDR's clock is {round(abs(clock.offset_s), 1):g} s {side} the API's{spread_said} in {n_pairs} exactly "
            f"matched calls; {tolerated}."
        )
        cure = {"clock_offset_s": int(wanted) if wanted.is_integer() else wanted}
        return Finding(_CODE, Severity.STOP, message, evidence, f"Pass {said_as_rule(wanted)}.", cure)
    if grouping.name == EVERYTHING:
        course = f"is mostly {drifts[0]}" if drifts[0].is_steady else f"{drifts[0]}"
        message = f"Over {n_pairs} exactly matched calls the gap between the CDR's clock and the API's {course}; {tolerated}."
        return Finding(_CODE, Severity.STOP, message, evidence, _SET_IT_RIGHT)
    return Finding(_CODE, Severity.STOP, _mixture_said(starts, clock, drifts, rules), evidence, _ONE_BY_ONE)


def _mixture_said(starts: StartGaps, clock: _Clock, drifts: dict[int, Drift], rules: Rules) -> str:
    """Name the groups whose clock is off, and say what the others' is."""
    grouping, gaps = clock.track.grouping, clock.track.clock_s
    off = [group for group, drift in drifts.items() if drift.farthest_s > rules.time_tolerance_s]
    off = off or list(drifts)
    sizes = np.bincount(grouping.codes, minlength=len(grouping.words))
    off.sort(key=lambda group: (-drifts[group].farthest_s, -int(sizes[group])))
    is_off = np.isin(grouping.codes, off)
    first = drifts[off[0]]
    course = f"is {first}" if first.is_steady else f"{first}"
    if len(off) > 1:
        shown = gaps[is_off]
        course = f"is between {signed(shown.min(), 1)} and {signed(shown.max(), 1)} s"
    rest = (
        ""
        if bool(is_off.all())
        else f", that of the others {signed(float(np.median(starts.gap_s[~is_off])), 1)} s"
    )
    return (
        f"The CDRs are of several clocks: in {int(is_off.sum()):,} of {len(starts):,} exactly matched calls, those "
        f"whose {where_said(grouping, off)}, the gap to the API's {course}{rest}; {rules.time_tolerance_s:g} s are tolerated."
    )


def _evidence(
    starts: StartGaps, clock: _Clock, shown: NDArray[np.int64], drifts: dict[int, Drift]
) -> pd.DataFrame:
    """Describe each file and group: its gaps, and the clock they follow."""
    grouping: Grouping = clock.track.grouping
    cells = by_file_and_group(starts, grouping)
    order = starts.in_order(grouping)
    order = order[np.isin(grouping.codes[order], shown)]
    started = pd.Series(starts.started_us[order].view("datetime64[us]")).dt.tz_localize("UTC")
    rows = pd.DataFrame(
        {
            "cell": cells.codes[order],
            "at": started,
            "gap": starts.gap_s[order],
            "clock": clock.track.clock_s[order],
        }
    )
    grouped = rows.groupby("cell", sort=True)
    found = pd.DataFrame(
        {
            "first_started_at": grouped["at"].min(),
            "last_started_at": grouped["at"].max(),
            "n_pairs": grouped.size(),
            "offset_s": grouped["gap"].median(),
            "spread_s": grouped["gap"].quantile(0.75) - grouped["gap"].quantile(0.25),
            "least_s": grouped["clock"].min(),
            "most_s": grouped["clock"].max(),
            "first_offset_s": grouped["clock"].first(),
            "last_offset_s": grouped["clock"].last(),
        }
    )
    at = found.index.to_numpy()
    of_cell = [drifts.get(group) for group in cells.groups[at].tolist()]
    course = pd.DataFrame(
        {
            "rate_s_per_day": [None if one is None else one.rate_s_per_day for one in of_cell],
            "step_s": [None if one is None else one.step_s for one in of_cell],
            "stepped_at": pd.Series(
                [None if one is None else one.stepped_at for one in of_cell], dtype="datetime64[us, UTC]"
            ),
        }
    )
    return pd.concat([cells.labelled(found.reset_index(drop=True), at), course], axis=1)
