"""Say what is wrong with the whole, before anybody looks at single differences.

Input are both frames, the pairs and where every row ended up; output are the
findings. Whatever speaks of clocks or of the meaning of a column is judged from
pairs that an id matched, and too small a sample says nothing rather than guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sippet_reconcile.reconciliation.diagnosing.basis import (
    DurationBasis,
    find_duration_basis,
    resolve_duration,
)
from sippet_reconcile.reconciliation.diagnosing.check import check_calls, look_at_calls
from sippet_reconcile.reconciliation.diagnosing.clock_offset import clocks_agree, find_clock_offset
from sippet_reconcile.reconciliation.diagnosing.coverage import (
    find_duplicate_rows,
    find_empty_side,
    find_low_match_rate,
    find_month_boundary,
)
from sippet_reconcile.reconciliation.diagnosing.hours import (
    find_missing_hours,
    find_truncated_export,
    gaps_of,
    short_files,
)
from sippet_reconcile.reconciliation.diagnosing.increments import find_rounded_durations
from sippet_reconcile.reconciliation.diagnosing.material import Material, in_buckets
from sippet_reconcile.reconciliation.diagnosing.number_form import find_number_format
from sippet_reconcile.reconciliation.diagnosing.probes import find_probe_noise
from sippet_reconcile.reconciliation.diagnosing.start_gaps import GapCounts, StartGaps
from sippet_reconcile.reconciliation.diagnosing.timezone_shift import find_timezone_shift
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict, findings_of
from sippet_reconcile.reconciliation.diagnosing.vocabulary import find_status_vocabulary
from sippet_reconcile.reconciliation.matching.apart import find_legs_apart
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["DurationBasis", "check_calls", "diagnose", "resolve_duration"]


def diagnose(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    pairs: PairPositions,
    rules: Rules,
    *,
    basis: DurationBasis | None = None,
    period: Period | None = None,
    legs: pd.DataFrame | None = None,
    leg_buckets: Any = None,
    call_buckets: Any = None,
    cdr_buckets: Any = None,
    first_with_uuid: NDArray[np.int64] | None = None,
    sides: Sides | None = None,
) -> Findings:
    """Say what is wrong with the data as a whole.

    Parameters
    ----------
    calls, cdr_calls
        All calls and all reduced CDR calls.
    pairs
        All pairs, those outside the period too: clocks do not stop at a month's end, and
        what speaks of clocks or of the meaning of a column is judged from all that an id
        matched. What speaks of single calls leaves out those outside the period.
    rules
        With ``duration`` settled.
    basis
        What `resolve_duration` found; worked out here where not given.
    period
        The span spoken of.
    legs, leg_buckets, call_buckets, cdr_buckets
        The legs as read, and the `schema.Bucket` value of each leg, call and CDR call
        (Series or array of text). Findings that need one of them are left out without it.
    first_with_uuid
        For each call the position of the first one with the same ``call_uuid``, where
        each call is there once; worked out here where not given.
    sides
        The same pairs, where somebody has them already.

    Returns
    -------
    Findings
        Stops first.
    """
    if sides is None:
        sides = Sides.of(calls, cdr_calls, pairs, rules)
    exact = sides.exact()
    if basis is None:
        _, basis = resolve_duration(calls, cdr_calls, pairs, rules)
    material = Material(
        calls, cdr_calls, sides, exact, rules, period, legs, leg_buckets, call_buckets, cdr_buckets
    )
    is_asked = None
    if period is not None and call_buckets is not None:
        is_asked = ~in_buckets(call_buckets, Bucket.OUTSIDE_PERIOD)
    empty = find_empty_side(material)
    verdicts = [
        empty,
        *(_of_pairs(exact, rules, basis) if empty.finding is None else _nothing_to_compare()),
        find_status_vocabulary(sides, rules, is_asked),
        *look_at_calls(
            sides.of_calls,
            # As an analyst gave them: what is said of calls alone must not depend on a CDR.
            replace(rules, duration=basis.asked),
            first_with_uuid=first_with_uuid,
            is_asked=is_asked,
        ),
        *_coverage(material, is_empty=empty.finding is not None),
    ]
    return findings_of(verdicts)


def _of_pairs(exact: Sides, rules: Rules, basis: DurationBasis) -> list[Verdict]:
    """Return what exactly matched pairs say about clocks and about the meaning of durations."""
    return [
        *_of_clocks(exact, rules),
        find_duration_basis(basis),
        find_rounded_durations(exact, rules),
    ]


def _of_clocks(exact: Sides, rules: Rules) -> list[Verdict]:
    """Return what the starts say; only where some are apart, each of them is looked at."""
    counts: GapCounts = exact.summed(GapCounts.of, float(rules.time_tolerance_s))
    calm = clocks_agree(counts)
    if calm is not None:
        return calm
    starts = StartGaps.of(exact)
    return [find_timezone_shift(starts, rules), find_clock_offset(starts, rules)]


def _nothing_to_compare() -> list[Verdict]:
    """Return that nobody looked at pairs where a side is empty: it is said already, and need not be said of each code."""
    codes = ("timezone-shift", "clock-offset", "duration-basis", "rounded-durations")
    return [Verdict.not_asked(code, "there is nothing to compare") for code in codes]


def _coverage(material: Material, *, is_empty: bool) -> list[Verdict]:
    """Return what is missing on either side, or there twice; each gap is told once, by what explains it."""
    found = [
        find_duplicate_rows(material),
        find_month_boundary(material),
        find_probe_noise(material),
        Verdict.not_asked("number-format", "there is nothing to compare")
        if is_empty
        else find_number_format(material),
    ]
    if material.cdr_buckets is not None:
        excluded = in_buckets(material.cdr_buckets, Bucket.EXCLUDED)
        apart = find_legs_apart(material.sides.of_cdr, excluded)
        if apart is not None:
            found.append(
                Verdict.of("duplicate-rows", apart, n_looked_at=len(material.cdr_calls), what="CDR calls")
            )
    if is_empty:
        codes = ("low-match-rate", "truncated-export", "missing-hours")
        return [*found, *(Verdict.not_asked(code, "a side has no rows") for code in codes)]
    gaps = gaps_of(material)
    short = short_files(material, gaps["cdr"])
    return [
        *found,
        find_low_match_rate(material, gaps),
        find_truncated_export(material, short),
        find_missing_hours(material, gaps, set(short["gap"].tolist())),
    ]
