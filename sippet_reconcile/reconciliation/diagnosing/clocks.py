"""Tell whether both sides' clocks show the same time.

Input are exactly matched pairs, output are findings from the gaps between their two
starts. A gap of whole quarter hours that many calls share is a time zone or a
forgotten summer time; a small one that nearly all share is a clock that is wrong.
Calls are looked at in runs of neighbours in one file, so that a shift which holds
for a part of the rows only is seen as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S
from sippet_reconcile.reconciliation.findings import Finding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["StartGaps", "find_clock_offset", "find_timezone_shift"]

_LONGEST_SHIFT: Final = 26 * 4  # quarter hours from UTC-12 to UTC+14
_RUN: Final = 20
_SHORTEST_RUN: Final = 10
_SHARE: Final = 0.8
_MIXED_SHARE: Final = 0.2
_MIXED_PAIRS: Final = 20
_OFFSET_PAIRS: Final = 20
_UNANIMOUS: Final = 5  # so many are enough where not one disagrees


@dataclass(frozen=True, eq=False)
class StartGaps:
    """The pairs whose starts can be compared, with gap and file.

    Attributes
    ----------
    sides
        These pairs.
    gap_s
        CDR start minus API start.
    files
        A number per pair for the file it came from, a position in `names`.
    names
        The files; the last entry stands for a missing name.
    quarters
        The gap in whole quarter hours where it is just that, as a wrong time zone
        makes it; 0 elsewhere.
    """

    sides: Sides
    gap_s: NDArray[np.float64]
    files: NDArray[np.int64]
    names: list[str | None]
    quarters: NDArray[np.int64]

    @classmethod
    def of(cls, sides: Sides) -> StartGaps:
        """Measure the gaps of exactly matched pairs."""
        gaps = sides.gap_s("started_at")
        sure = ~np.isnan(gaps) & ~sides.cdr_known("time_problem")
        part, gaps = sides.where(sure), gaps[sure]
        files, names = _by_appearance(*part.cdr_codes("source_file"))
        quarters = np.zeros(len(gaps), np.int64)
        far = np.flatnonzero(np.abs(gaps) >= QUARTER_S - QUARTER_SLACK_S)
        nearest = np.rint(gaps[far] / QUARTER_S).astype(np.int64)
        quarters[far] = np.where(np.abs(gaps[far] - nearest * QUARTER_S) <= QUARTER_SLACK_S, nearest, 0)
        return cls(part, gaps, files, names, quarters)


def _by_appearance(codes: NDArray[np.int64], words: list[str]) -> tuple[NDArray[np.int64], list[str | None]]:
    """Return words and their codes in the order in which they appear; a missing one comes last."""
    first = np.full(len(words) + 1, len(codes))
    first[codes[::-1]] = np.arange(len(codes))[::-1]  # of several assignments the last one stays
    first[-1] = len(codes) + 1
    order = np.argsort(first, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(len(order))
    return number[codes], [[*words, None][code] for code in order.tolist()]


def _in_order(part: Sides, files: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of file and start."""
    return np.lexsort((part.call_instants("started_at"), files))


def _runs(files: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Give the runs of neighbouring rows within each file a number; a short rest joins the run ahead."""
    counts = np.bincount(files)
    rank = np.arange(len(files)) - np.repeat(np.cumsum(counts) - counts, counts)
    per_file = np.maximum(counts // length, 1)
    run = np.minimum(rank // length, per_file[files] - 1)
    return np.asarray(pd.factorize(files * (len(files) + 1) + run)[0], np.int64)


def find_timezone_shift(starts: StartGaps) -> Finding | None:
    """Say so where starts are apart by whole quarter hours, in all rows or in a part of them.

    Parameters
    ----------
    starts
        Of exactly matched pairs.

    Returns
    -------
    Finding or None
        A ``stop``. Its evidence has one row per file and shift: ``source_file``,
        ``first_started_at``, ``last_started_at``, ``shift_s`` (CDR minus API),
        ``n_shifted``, ``n_pairs`` (of the file), ``share``.
    """
    part, files, names, quarters = starts.sides, starts.files, starts.names, starts.quarters
    is_shift = (quarters != 0) & (np.abs(quarters) <= _LONGEST_SHIFT)
    if _is_unanimous(is_shift, quarters):
        return _shift_finding(part, quarters, files, names, is_shift)
    if int(is_shift.sum()) < _SHORTEST_RUN:
        return None
    order = _in_order(part, files)
    part, files = part.at(order), files[order]
    quarters, is_shift = quarters[order], is_shift[order]
    runs = _runs(files, _RUN)
    shifted = np.zeros(len(files), np.bool_)
    sizes = np.bincount(runs)
    for quarter in np.unique(quarters[is_shift]).tolist():
        here = is_shift & (quarters == quarter)
        if int(here.sum()) < _SHORTEST_RUN:
            continue
        in_run = np.bincount(runs, weights=here, minlength=len(sizes))
        dense = (in_run >= _SHARE * sizes) & (sizes >= _SHORTEST_RUN)
        # Two clocks mixed in the same hours make no dense run, but too many equal gaps for chance.
        mixed = int(here.sum()) >= max(_MIXED_PAIRS, _MIXED_SHARE * len(files))
        shifted |= here & (mixed | dense[runs])
    if not bool(shifted.any()):
        return None
    return _shift_finding(part, quarters, files, names, shifted)


def _is_unanimous(is_shift: NDArray[np.bool_], quarters: NDArray[np.int64]) -> bool:
    return len(quarters) >= _UNANIMOUS and bool(is_shift.all()) and bool((quarters == quarters[0]).all())


def _shift_finding(
    part: Sides,
    quarters: NDArray[np.int64],
    files: NDArray[np.int64],
    names: list[str | None],
    shifted: NDArray[np.bool_],
) -> Finding:
    started = pd.Series(part.call_instants("started_at")).dt.tz_localize("UTC")
    rows = pd.DataFrame({"file": files, "shift_s": quarters * QUARTER_S, "started_at": started})
    grouped = rows[shifted].groupby(["file", "shift_s"], sort=True)
    evidence = grouped.agg(
        first_started_at=("started_at", "min"),
        last_started_at=("started_at", "max"),
        n_shifted=("started_at", "size"),
    ).reset_index()
    in_file = np.bincount(files, minlength=len(names))[evidence["file"].to_numpy()]
    file_names = pd.Series([names[code] for code in evidence["file"].tolist()], dtype="str")
    evidence = evidence.assign(source_file=file_names, n_pairs=in_file, share=evidence["n_shifted"] / in_file)
    columns = [
        "source_file",
        "first_started_at",
        "last_started_at",
        "shift_s",
        "n_shifted",
        "n_pairs",
        "share",
    ]
    types = {"shift_s": "Int64", "n_shifted": "Int64", "n_pairs": "Int64", "share": "Float64"}
    evidence = (
        evidence[columns]
        .astype(types)
        .sort_values("n_shifted", ascending=False, ignore_index=True, kind="stable")
    )
    n_shifted, n_pairs = int(shifted.sum()), len(shifted)
    is_whole = n_shifted >= _SHARE * n_pairs and len(set(evidence["shift_s"].tolist())) == 1
    largest = evidence.iloc[0]
    direction = "later" if largest["shift_s"] > 0 else "earlier"
    extent = "all" if n_shifted == n_pairs else f"{n_shifted:,} of {n_pairs:,}"
    span = f"{largest['first_started_at']:%Y-%m-%d} to {largest['last_started_at']:%Y-%m-%d}"
    message = (
        f"The CDR's starts are {_hours(abs(int(largest['shift_s'])))} {direction} than the API's in {extent} "
        f"exactly matched calls ({plural(len(set(file_names)), 'file')}, the largest part from {span})."
    )
    advice = (
        "Read the CDRs again with the timezone= their clock runs in."
        if is_whole
        else "Only a part is shifted, as by a forgotten summer time: read those files again with an IANA zone that "
        "has it (timezone='Europe/London', say, rather than 'UTC' or a fixed offset)."
    )
    return Finding("timezone-shift", Severity.STOP, message, evidence, advice)


def _hours(seconds: int) -> str:
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part
    )


def find_clock_offset(starts: StartGaps, rules: Rules) -> Finding | None:
    """Say so where nearly all starts are apart by the same few seconds, or by a gap that drifts.

    Parameters
    ----------
    starts
        Of exactly matched pairs; the offset that the rules name is removed already.
    rules
        `time_tolerance_s` is how far clocks may be apart.

    Returns
    -------
    Finding or None
        A ``stop``. Its evidence has one row per file: ``source_file``,
        ``first_started_at``, ``last_started_at``, ``n_pairs``, ``offset_s`` (the median
        gap that remains, CDR minus API), ``least_s`` and ``most_s`` (of the medians of
        its runs), and ``is_drifting``: no single offset fits all runs.
    """
    part, gaps, files, names = starts.sides, starts.gap_s, starts.files, starts.names
    usable = np.flatnonzero(starts.quarters == 0)
    if len(usable) < _UNANIMOUS:
        return None
    if len(usable) < len(gaps):
        gaps, files, part = gaps[usable], files[usable], part.at(usable)
    tolerance = rules.time_tolerance_s
    offset = float(np.median(gaps))
    is_few = len(gaps) < _OFFSET_PAIRS
    if is_few and (len(gaps) < len(starts.gap_s) or (np.abs(gaps - offset) > max(tolerance, 1.0)).any()):
        return None  # so few say something only where not one disagrees
    length = max(_OFFSET_PAIRS, len(gaps) // 200)
    counts = np.bincount(files)
    astray = np.bincount(files, weights=np.abs(gaps - offset) > max(tolerance, 1.0))
    if abs(offset) <= tolerance and bool((astray < np.minimum(counts, length) // 2)[counts > 0].all()):
        return None  # too few stray gaps to move the median of any run
    order = _in_order(part, files)
    gaps, files, part = gaps[order], files[order], part.at(order)
    runs = _runs(files, length)
    sizes = np.bincount(runs)
    # The rows are in order of file and start, so a run is a stretch: sort the gaps inside each to find its median.
    inside = np.lexsort((gaps, runs))
    begins = np.cumsum(sizes) - sizes
    medians = gaps[inside][begins + sizes // 2]
    near = np.bincount(runs, weights=np.abs(gaps - medians[runs]) <= max(tolerance, 1.0))
    steady = (near >= _SHARE * sizes) & (sizes >= (1 if is_few else _OFFSET_PAIRS // 2))
    if float(sizes[steady].sum()) < _SHARE * len(gaps):
        return None  # the gaps are no clock's doing: setup or ringing time, perhaps
    is_drifting = bool((np.abs(medians[steady] - offset) > max(tolerance, 1.0)).any())
    worst = float(np.abs(medians[steady]).max())
    if abs(offset) <= tolerance and not (is_drifting and worst > tolerance):
        return None
    evidence = _offset_evidence(part, gaps, np.where(steady, medians, np.nan)[runs], files=files, names=names)
    evidence = evidence.assign(is_drifting=pd.Series(is_drifting, index=evidence.index, dtype="boolean"))
    return _offset_finding(evidence, offset, rules, n_pairs=len(gaps), is_drifting=is_drifting)


def _offset_evidence(
    part: Sides,
    gaps: NDArray[np.float64],
    medians: NDArray[np.float64],
    *,
    files: NDArray[np.int64],
    names: list[str | None],
) -> pd.DataFrame:
    """Describe each file: its rows with their gaps and the medians of their runs."""
    started = pd.Series(part.call_instants("started_at")).dt.tz_localize("UTC")
    rows = pd.DataFrame(
        {
            "file": files,
            "started_at": started,
            "gap_s": gaps,
            "median_s": medians,
        }
    )
    evidence = (
        rows.groupby("file", sort=True)
        .agg(
            first_started_at=("started_at", "min"),
            last_started_at=("started_at", "max"),
            n_pairs=("gap_s", "size"),
            offset_s=("gap_s", "median"),
            least_s=("median_s", "min"),
            most_s=("median_s", "max"),
        )
        .reset_index()
    )
    evidence.insert(
        0, "source_file", pd.Series([names[code] for code in evidence["file"].tolist()], dtype="str")
    )
    types = {"n_pairs": "Int64", "offset_s": "Float64", "least_s": "Float64", "most_s": "Float64"}
    return evidence.drop(columns="file").astype(types)


def _offset_finding(
    evidence: pd.DataFrame, offset: float, rules: Rules, *, n_pairs: int, is_drifting: bool
) -> Finding:
    side = "ahead of" if offset > 0 else "behind"
    if is_drifting:
        least, most = float(evidence["least_s"].min()), float(evidence["most_s"].max())
        message = (
            f"The gap between the CDR's clock and the API's drifts from {least:+.1f} to {most:+.1f} s over {n_pairs:,} "
            f"exactly matched calls; {rules.time_tolerance_s:g} s are tolerated."
        )
        advice = "No single offset removes this: set the switch's clock right; ended_at is not planned from such a CDR."
    else:
        message = (
            f"The CDR's clock is {abs(offset):.1f} s {side} the API's in {n_pairs:,} exactly matched calls; "
            f"{rules.time_tolerance_s:g} s are tolerated."
        )
        wanted = round(rules.clock_offset_s + offset, 3)
        advice = f"Pass Rules(clock_offset_s={wanted:g}), in TOML clock_offset_s = {wanted:g}."
    return Finding("clock-offset", Severity.STOP, message, evidence, advice)
