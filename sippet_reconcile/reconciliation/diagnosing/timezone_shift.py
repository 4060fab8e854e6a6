"""Tell whether the CDR's times were read in the wrong zone, in all rows or in a part of them.

Input are the gaps between both sides' starts, output is a verdict. A zone that is
wrong moves every call of a file, a PBX or a stretch of time by the same quarter
hours; records that are wrong one by one are strewn over everybody and no finding
about the CDR's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.core import QUARTER_S
from sippet_reconcile.reconciliation.diagnosing.mixtures import (
    by_file_and_group,
    group_values,
    said_as_rule,
    where_said,
)
from sippet_reconcile.reconciliation.diagnosing.start_gaps import EVERYTHING
from sippet_reconcile.reconciliation.diagnosing.stretches import (
    DENSE,
    FEWEST,
    find_stretches,
    share_at_least,
    tail_probability,
)
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.start_gaps import StartGaps
    from sippet_reconcile.reconciliation.diagnosing.stretches import Stretches
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["find_timezone_shift"]

_CODE: Final = "timezone-shift"
_LONGEST_SHIFT: Final = 26 * 4  # quarter hours from UTC-12 to UTC+14
_UNANIMOUS: Final = 5  # so many are enough where not one disagrees
_MIXED_PAIRS: Final = 20
_MIXED_SHARE: Final = 0.2
_STREWN_SHARE: Final = 0.1  # of records that are wrong one by one, at the very most
_CHANCE: Final = 0.01
_MOST_SHIFTS: Final = 12
_HALF: Final = 0.5
_EVIDENCE: Final = {
    "source_file": "str",
    "group": "str",
    "value": "str",
    "first_started_at": "datetime64[us, UTC]",
    "last_started_at": "datetime64[us, UTC]",
    "shift_s": "Int64",
    "n_shifted": "Int64",
    "n_pairs": "Int64",
    "share": "Float64",
    "share_at_least": "Float64",
}


@dataclass(frozen=True, eq=False)
class _Shift:
    """One shift: which pairs have it, and what tells them from the others, if anything does.

    Attributes
    ----------
    quarters
        How far, in quarter hours.
    shifted
        Marks the pairs.
    told
        The stretches of the shifted pairs, or of the others where most are shifted.
    is_most
        Whether most pairs are shifted.
    n_strewn
        Pairs with the same gap that stand alone among right ones.
    """

    quarters: int
    shifted: NDArray[np.bool_]
    told: Stretches | None
    is_most: bool
    n_strewn: int = 0

    @property
    def is_everywhere(self) -> bool:
        """Whether all pairs are shifted, but for some that stand alone."""
        return self.told is None and bool(self.shifted.mean() >= DENSE)

    @property
    def is_untold(self) -> bool:
        """Whether two clocks are mixed that nothing tells apart."""
        return self.told is None and not self.is_everywhere


def find_timezone_shift(starts: StartGaps, rules: Rules) -> Verdict:
    """Look for starts that are whole quarter hours apart, in all rows or in a part of them.

    Parameters
    ----------
    starts
        Of exactly matched pairs; the offset that the rules name is removed already.
    rules
        Their `clock_offset_s` is what a cure adds to.

    Returns
    -------
    Verdict
        With a ``stop`` where a file, trunk, user, own number, direction or stretch of
        time is shifted, or so large a share of everything that no single errors
        explain it. Its evidence has one row per file, group and shift:
        ``source_file``; ``group`` and ``value``, the column that tells best which
        pairs are shifted and what it holds, missing where none does; ``first_started_at``
        and ``last_started_at`` of the shifted pairs; ``shift_s`` (CDR minus API);
        ``n_shifted``; ``n_pairs`` of this file and group; ``share``; and ``share_at_least``,
        what so few or many pairs prove.
    """
    quarters = starts.quarters
    is_shift = (quarters != 0) & (np.abs(quarters) <= _LONGEST_SHIFT)
    shifts: list[_Shift] = []
    if bool(is_shift.any()):
        if len(starts) >= _UNANIMOUS and bool((is_shift & (quarters == quarters[0])).all()):
            shifts = [_Shift(int(quarters[0]), is_shift, None, is_most=True)]
        else:
            shifts = _shifts(starts, is_shift)
    finding = _finding(starts, shifts, rules) if shifts else None
    return Verdict.of(_CODE, finding, n_looked_at=len(starts), n_needed=FEWEST, what="exactly matched calls")


def _shifts(starts: StartGaps, is_shift: NDArray[np.bool_]) -> list[_Shift]:
    values, counts = np.unique(starts.quarters[is_shift], return_counts=True)
    order = np.lexsort((values, -counts))
    frequent = [int(values[at]) for at in order[:_MOST_SHIFTS] if counts[at] >= FEWEST]
    found = (_shift_of(starts, quarters, is_shift & (starts.quarters == quarters)) for quarters in frequent)
    return [shift for shift in found if shift is not None]


def _shift_of(starts: StartGaps, quarters: int, here: NDArray[np.bool_]) -> _Shift | None:
    """Say which of the pairs with one gap are shifted by a clock; None where they stand alone."""
    n_here, n_pairs = int(here.sum()), len(here)
    if n_here > _HALF * n_pairs:
        # Most are shifted: look for those that are not.
        others = find_stretches(starts, ~here)
        return _Shift(quarters, here, others[0] if others else None, is_most=True)
    found = find_stretches(starts, here)
    is_large = n_here >= max(_MIXED_PAIRS, _MIXED_SHARE * n_pairs)
    is_large = is_large and tail_probability(n_here, n_pairs, _STREWN_SHARE) < _CHANCE
    if not found:
        # Two clocks mixed in the same hours, and too many equal gaps for single errors.
        return _Shift(quarters, here, None, is_most=False) if is_large else None
    marked = found[0].marked
    rest = n_here - int(marked.sum())
    if is_large and rest >= max(_MIXED_PAIRS, _MIXED_SHARE * n_pairs):
        return _Shift(quarters, here, None, is_most=False)
    return _Shift(quarters, marked, found[0], is_most=False, n_strewn=rest)


def _finding(starts: StartGaps, shifts: list[_Shift], rules: Rules) -> Finding:
    evidence = pd.concat([_evidence(starts, shift) for shift in shifts], ignore_index=True)
    evidence = evidence.sort_values("n_shifted", ascending=False, ignore_index=True, kind="stable")
    largest = max(shifts, key=lambda shift: int(shift.shifted.sum()))
    n_shifted, n_pairs = int(largest.shifted.sum()), len(starts)
    extent = f"all {n_pairs:,}" if n_shifted == n_pairs else f"{n_shifted:,} of {n_pairs:,}"
    files = plural(evidence["source_file"].nunique(dropna=False), "file")
    message = (
        f"The CDR's starts are {_apart(largest.quarters)} than the API's in {extent} exactly matched calls "
        f"({files}, {_span(starts, largest.shifted)}){_which(starts, largest)}."
    )
    others = [shift for shift in shifts if shift is not largest]
    if others:
        said = "; ".join(
            f"{_apart(shift.quarters)} in {int(shift.shifted.sum()):,}{_which(starts, shift)}"
            for shift in others
        )
        message += f" Further shifts: {said}."
    if largest.n_strewn:
        message += (
            f" {plural(largest.n_strewn, 'more call stands', 'more calls stand')} alone among right ones with the "
            "same gap, as single wrong records do, and are not counted."
        )
    cure: dict[str, float] = {}
    if len(shifts) == 1 and largest.is_everywhere:
        cure = {"clock_offset_s": _offset_that_cures(starts, largest, rules)}
        advice = (
            "Read the CDRs again with the timezone= their clock runs in; or, should the clock itself be wrong by so "
            f"much, pass {said_as_rule(cure['clock_offset_s'])}."
        )
    elif any(shift.is_untold for shift in shifts):
        advice = (
            "Two clocks are mixed and no column that was read tells them apart: carry the one that names the trunk "
            "or PBX along with read_cdr(keep=[...]) to see which, then read its rows with their own timezone=."
        )
    else:
        advice = (
            "Only a part is shifted: read those files or rows again with the timezone= their clock runs in. A "
            "forgotten summer time wants an IANA zone that has it (timezone='Europe/London', say, rather than 'UTC' "
            "or a fixed offset)."
        )
    return Finding(_CODE, Severity.STOP, message, evidence, advice, cure)


def _offset_that_cures(starts: StartGaps, shift: _Shift, rules: Rules) -> float:
    seconds = float(shift.quarters * QUARTER_S)
    beside = float(np.median(starts.gap_s[shift.shifted])) - seconds
    if abs(beside) > rules.time_tolerance_s:
        seconds += beside
    wanted = round(float(rules.clock_offset_s) + seconds, 3)
    return int(wanted) if wanted.is_integer() else wanted


def _evidence(starts: StartGaps, shift: _Shift) -> pd.DataFrame:
    grouping = None if shift.told is None else shift.told.grouping
    cells = by_file_and_group(starts, grouping)
    rows = np.flatnonzero(shift.shifted)
    started = pd.Series(starts.started_us[rows].view("datetime64[us]")).dt.tz_localize("UTC")
    grouped = started.groupby(cells.codes[rows], sort=True)
    found = pd.DataFrame(
        {
            "first_started_at": grouped.min(),
            "last_started_at": grouped.max(),
            "n_shifted": grouped.size(),
        }
    )
    at = found.index.to_numpy()
    sizes = cells.sizes[at]
    counts = found["n_shifted"].to_numpy()
    return (
        cells.labelled(found.reset_index(drop=True), at)
        .assign(
            shift_s=shift.quarters * QUARTER_S,
            n_pairs=sizes,
            share=counts / sizes,
            share_at_least=share_at_least(counts, sizes),
        )[list(_EVIDENCE)]
        .astype(_EVIDENCE)
    )


def _which(starts: StartGaps, shift: _Shift) -> str:
    """Say which pairs these are, as the end of a sentence."""
    told = shift.told
    if told is None:
        return ", mixed with calls that agree" if shift.is_untold else ""
    if told.grouping.name == EVERYTHING:
        return (
            f", all but those {_span(starts, told.inside)}"
            if shift.is_most
            else ", nearly all calls of that time"
        )
    values = group_values(told)
    if shift.is_most:
        return f", all but those whose {where_said(told.grouping, values)}"
    if bool(told.is_whole.all()):
        return f", just those whose {where_said(told.grouping, values)}"
    return f", a stretch of those whose {where_said(told.grouping, values)}"


def _span(starts: StartGaps, mask: NDArray[np.bool_]) -> str:
    started = starts.started_us[mask].view("datetime64[us]")
    first, last = (pd.Timestamp(at) for at in (started.min(), started.max()))
    return f"from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _apart(quarters: int) -> str:
    seconds = abs(quarters) * QUARTER_S
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    parts = (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "")
    return f"{' '.join(part for part in parts if part)} {'later' if quarters > 0 else 'earlier'}"
