"""Tests that look at the record as a whole: several fields that are wrong in the same way, or not written at all.

Input is the `Evidence` of one field, output a flag or a number of seconds per row.
Two fields that agree on what is wrong are evidence that chance does not fake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.sides import micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask, Seconds

__all__ = [
    "clock_offset",
    "crash_to_the_second",
    "cut_by_crash",
    "late_hangup",
    "missing",
    "never_ended",
    "off_by_hours",
    "zero",
]

_HOUR_S: Final = 3600
_LONGEST_SHIFT_H: Final = 26  # from UTC-12 to UTC+14
_HOUR_SLACK_S: Final = 60.0
"""However large the tolerance is, a minute beside it is no whole hour."""


def never_ended(e: Evidence) -> Mask:
    """Hold where the status is still open and there is no end; for a duration, none either."""
    stuck = e.is_open & e.no_end
    return stuck & (np.isnan(e.call_s) | (e.call_s == 0)) if e.field == "duration_seconds" else stuck


def cut_by_crash(e: Evidence) -> Mask:
    """Hold where the record was finished in part, or stops short in end and duration alike."""
    if e.field == "status":
        # Under a map of statuses a word may be open and final: then it proves no crash.
        answered, unanswered = e.status_classes
        return e.is_open & ~e.no_end & ~e.status_in(answered | unanswered)
    half_written = e.has_status & ~e.is_open & e.no_end
    if e.field == "duration_seconds":
        half_written = half_written & (np.isnan(e.call_s) | e.beyond(e.basis_s, e.call_s))
    return half_written | (e.moved_together & (e.end_gap_s > 0))


def crash_to_the_second(e: Evidence) -> Mask:
    """Mark the rows in which more is wrong than seconds that are too few."""
    if e.field == "duration_seconds":
        return np.isnan(e.call_s) | (e.call_s == 0) | e.moved_together
    return np.ones(len(e), np.bool_)


def late_hangup(e: Evidence) -> Mask:
    """Hold where end and duration are too long alike."""
    return e.moved_together & (e.end_gap_s < 0)


def off_by_hours(e: Evidence) -> NDArray[np.int64]:
    """Return the whole hours by which both sides are apart, as seconds; 0 where it is not just that."""
    if e.field == "duration_seconds":
        gap = np.where((e.call_s > 0) & (e.basis_s > 0), micros(e.basis_s) - micros(e.call_s), np.nan) / 1e6
        return _whole_hours(gap, gap, max(e.rules.duration_tolerance_s, 1))
    return _whole_hours(*e.gap_range_s(e.field), e.rules.time_tolerance_s)


def _whole_hours(least: Seconds, most: Seconds, slack_s: float) -> NDArray[np.int64]:
    slack_s = min(slack_s, _HOUR_SLACK_S)
    hours = np.floor((most + slack_s) / _HOUR_S)
    holds = (hours * _HOUR_S >= least - slack_s) & (np.abs(hours) >= 1) & (np.abs(hours) <= _LONGEST_SHIFT_H)
    return np.where(holds, np.abs(hours) * _HOUR_S, 0).astype(np.int64)


def clock_offset(e: Evidence) -> Mask:
    """Hold where start and end are off by the same seconds, beyond the tolerance, and the duration is not."""
    slack = max(e.rules.time_tolerance_s, 1)
    starts, ends = e.gap_range_s("started_at"), e.gap_range_s("ended_at")
    apart = np.maximum(starts[0], ends[0]) - np.minimum(starts[1], ends[1])
    start_gap, end_gap = e.start_gap_s, e.end_gap_s
    off = np.minimum(np.abs(start_gap), np.abs(end_gap))
    # Without seconds on one side, both moments are known by their minute alone.
    moved = (
        (off > e.rules.time_tolerance_s) & (start_gap * end_gap > 0) & (apart <= np.minimum(slack, off / 2))
    )
    is_unknown = ~(e.basis_s >= 0)
    return moved & (is_unknown | e.close(e.basis_s, np.nan_to_num(e.call_s)))


def zero(e: Evidence) -> Mask:
    """Hold where the API has zero seconds, or an end equal to its own start, against a CDR that lasted."""
    if e.field == "ended_at":
        at_start = e.sides.call_instants("ended_at") == e.sides.call_instants("started_at")
        return at_start & (e.end_gap_s > e.rules.time_tolerance_s)
    return e.call_s == 0


def missing(e: Evidence) -> Mask:
    """Hold where the API has no value."""
    if e.field == "duration_seconds":
        return np.isnan(e.call_s)
    if e.field in {"ended_at", "started_at"}:
        return np.isnat(e.sides.call_instants(e.field))
    return np.asarray(e.sides.call_text(e.field).is_null())
