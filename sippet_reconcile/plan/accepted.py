"""Say what stays unknown although somebody accepted the finding that says so.

Input are discrepancies, the calls they are of and a reconciliation with its findings;
output is a mask for each reason not to correct. Accepting a finding is an analyst's
right: what it says is then known and taken as harmless. It does not make a clock right,
nor a billed increment a duration, so what would be written from these is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S
from sippet_reconcile.reconciliation.findings import forbids_ended_at
from sippet_reconcile.reconciliation.sides import gap_in_seconds, instants_of, micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.plan.build import ReconciliationLike
    from sippet_reconcile.reconciliation.findings import Finding
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["reasons_though_accepted"]

SHIFTED: Final = "the findings say that the CDR's instants are shifted, so no end is planned"
OTHER_CLOCK: Final = "its start is off as well, and the findings say that the clocks differ"
CLOCKS_MIXED: Final = (
    "the findings say that a part of the CDRs has another clock, and not all of the call is off alike: its "
    "legs may be of both"
)
WITHIN_INCREMENT: Final = (
    "the findings say that the CDR's seconds are billed increments, and this difference is smaller than one"
)


def reasons_though_accepted(
    rows: pd.DataFrame, calls: pd.DataFrame, positions: NDArray[np.int64], rec: ReconciliationLike
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return reasons, each with a mask of the discrepancies that it keeps from being corrected.

    Findings that were saved without what a reason needs keep nothing back.

    Parameters
    ----------
    rows
        Discrepancies in fields that can be corrected.
    calls
        `PLAN_CALLS`.
    positions
        The call of each row.
    rec
        Its findings and rules are read.
    """
    findings, rules = rec.findings, rec.rules
    is_end, is_duration = (rows["field"].eq(name).to_numpy() for name in ("ended_at", "duration_seconds"))
    clocks_differ = "clock-offset" in findings.codes
    return [
        (SHIFTED, is_end & forbids_ended_at(findings)),
        (OTHER_CLOCK, is_end & clocks_differ & _start_is_off(calls, rules)[positions]),
        (CLOCKS_MIXED, is_duration & _may_be_of_two_clocks(rows, calls, positions, rec)),
        (WITHIN_INCREMENT, is_duration & _is_within_increment(rows, calls, positions, rec)),
    ]


def _gaps(calls: pd.DataFrame, rules: Rules) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far the CDR's start and end are behind the API's, in microseconds; NaN where one is missing."""
    offset = float(rules.clock_offset_s)
    start_gap, end_gap = (
        micros(gap_in_seconds(instants_of(calls[f"{name}_cdr"], offset), instants_of(calls[name])))
        for name in ("started_at", "ended_at")
    )
    return start_gap, end_gap


def _start_is_off(calls: pd.DataFrame, rules: Rules) -> NDArray[np.bool_]:
    """Mark the calls whose two starts are further apart than clocks may be."""
    start_gap, _ = _gaps(calls, rules)
    return np.abs(start_gap) > micros(rules.time_tolerance_s)


def _may_be_of_two_clocks(
    rows: pd.DataFrame, calls: pd.DataFrame, positions: NDArray[np.int64], rec: ReconciliationLike
) -> NDArray[np.bool_]:
    """Mark the rows of calls of several legs that may have another clock each, where a part of the CDRs has.

    The legs of one clock are all off as that clock is, at either end; and a duration that is whole
    quarter hours off is what legs of two zones make. Where one clock is off throughout there is a cure, and all
    legs of a call are off alike.
    """
    mixed = [
        finding
        for finding in rec.findings
        if finding.code in ("timezone-shift", "clock-offset") and "clock_offset_s" not in finding.cure
    ]
    if not mixed:
        return np.zeros(len(rows), np.bool_)
    start_gap, end_gap = _gaps(calls, rec.rules)
    tolerance = micros(rec.rules.time_tolerance_s)
    is_of_one_clock = np.zeros(len(calls), np.bool_)
    for least, most in micros(_known_clocks(mixed)):
        is_of_one_clock |= (start_gap >= least - tolerance) & (start_gap <= most + tolerance)
    is_of_one_clock &= np.abs(end_gap - start_gap) <= tolerance
    before, after = _seconds(rows)
    quarters = np.rint((after - before) / QUARTER_S)
    is_quarters = (quarters != 0) & (np.abs(after - before - quarters * QUARTER_S) <= QUARTER_SLACK_S)
    several: NDArray[np.bool_] = _n_legs(calls)[positions] > 1
    return several & (~is_of_one_clock[positions] | is_quarters)


def _known_clocks(findings: list[Finding]) -> NDArray[np.float64]:
    """Return the least and the most seconds that each clock is off by, a row each; the right one is off by none."""
    clocks = [np.zeros((1, 2))]
    for finding in findings:
        for least, most in (("least_s", "most_s"), ("offset_s", "offset_s"), ("shift_s", "shift_s")):
            if {least, most} <= set(finding.evidence.columns):
                clocks.append(_numbers(finding.evidence, least, most))
                break
    return np.unique(np.concatenate(clocks), axis=0)


def _seconds(rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the seconds that the API has and those that the CDR gives; NaN for other fields."""
    is_duration = rows["field"].eq("duration_seconds")
    before, after = (
        pd.to_numeric(rows[name].where(is_duration), errors="coerce").to_numpy("float64", na_value=np.nan)
        for name in ("value_call", "value_cdr")
    )
    return before, after


def _n_legs(calls: pd.DataFrame) -> NDArray[np.float64]:
    return calls["n_legs_cdr"].to_numpy("float64", na_value=1.0)


def _is_within_increment(
    rows: pd.DataFrame, calls: pd.DataFrame, positions: NDArray[np.int64], rec: ReconciliationLike
) -> NDArray[np.bool_]:
    """Mark the rows whose seconds in the API, rounded up as the CDR's are, would be the CDR's.

    The talk of several legs is measured between the CDR's own stamps where there are any; without an
    answer time each leg adds its own billed seconds.
    """
    within = np.zeros(len(rows), np.bool_)
    found = [f for f in rec.findings if f.code == "rounded-durations"]
    steps = [
        _numbers(f.evidence, "initial_s", "increment_s")
        for f in found
        if {"initial_s", "increment_s"} <= set(f.evidence.columns)
    ]
    if not steps:
        return within
    before, after = _seconds(rows)
    n_legs = _n_legs(calls)[positions]
    no_stamps = (n_legs > 1) & calls["answered_at_cdr"].isna().to_numpy()[positions]
    for initial, step in np.unique(np.concatenate(steps), axis=0):
        is_first = after <= initial
        increment = np.where(is_first, initial, step)
        is_billed = np.where(is_first, after == initial, (after - initial) % step == 0) | no_stamps
        least = after - n_legs * increment - rec.rules.duration_tolerance_s
        within |= is_billed & (before >= least) & (before < after)
    return within


def _numbers(evidence: pd.DataFrame, *columns: str) -> NDArray[Any]:
    """Return columns of evidence as numbers, a row each, also where they were kept as text; rows without one are left away."""
    parts = [
        pd.to_numeric(evidence[name], errors="coerce").to_numpy("float64", na_value=np.nan)
        for name in columns
    ]
    table = np.stack(parts, axis=1)
    return table[~np.isnan(table).any(axis=1)]
