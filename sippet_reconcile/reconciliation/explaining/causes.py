"""The table of explanations: each a name, its claim in one sentence, and a vectorised test.

Input is the `Evidence` of one field, output a flag per row. The table is in order of
specificity: the first test that holds is the leading explanation, the others follow
in ``also``. Each test looks at one pair alone, so the same pair is explained alike
in every partition and order, and each asks for evidence from both sides wherever
chance could fake it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS
from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask, Seconds
from sippet_reconcile.reconciliation.explaining.explanation import Explanation
from sippet_reconcile.reconciliation.numbers import is_true, last_digits
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["EXPLANATIONS"]

_HOUR: Final = 3600
_LONGEST_SHIFT_H: Final = 26  # from UTC-12 to UTC+14
_EXTENSION_DIGITS: Final = 6
_TELLING_S: Final = 30  # of fewer seconds the double is easily met by chance


def _never_ended(e: Evidence) -> Mask:
    stuck = e.is_open & e.no_end
    return stuck & (np.isnan(e.call_s) | (e.call_s == 0)) if e.field == "duration_seconds" else stuck


def _cut_by_crash(e: Evidence) -> Mask:
    if e.field == "status":
        return e.is_open & ~e.no_end
    half_written = e.has_status & ~e.is_open & e.no_end
    if e.field == "duration_seconds":
        half_written &= np.isnan(e.call_s) | e.beyond(e.basis_s, e.call_s)
    return half_written | (e.moved_together() & (e.end_gap_s > 0))


def _hangup_noticed_late(e: Evidence) -> Mask:
    return e.moved_together() & (e.end_gap_s < 0)


def _ring_time_included(e: Evidence) -> Mask:
    if e.rules.duration == "total":
        return np.zeros(len(e.sides), np.bool_)
    return e.is_answered & e.beyond(e.total_s, e.billable_s) & e.close(e.call_s, e.total_s)


def _talk_time_only(e: Evidence) -> Mask:
    if e.rules.duration != "total":
        return np.zeros(len(e.sides), np.bool_)
    return e.is_answered & e.beyond(e.total_s, e.billable_s) & e.close(e.call_s, e.billable_s)


def _ringing_billed(e: Evidence) -> Mask:
    if e.rules.duration == "total":
        return np.zeros(len(e.sides), np.bool_)
    return ~e.is_answered & e.beyond(e.total_s, e.basis_s) & e.close(e.call_s, e.total_s)


def _unanswered_but_billed(e: Evidence) -> Mask:
    return ~e.is_answered & (e.basis_s == 0) & (e.call_s > 0)


def _rounded_up(step: int) -> Callable[[Evidence], Mask]:
    def test(e: Evidence) -> Mask:
        return (e.basis_s > 0) & (e.call_s > e.basis_s) & (e.call_s == np.ceil(e.basis_s / step) * step)

    return test


def _one_leg(which: str) -> Callable[[Evidence], Mask]:
    def test(e: Evidence) -> Mask:
        leg_s = e.sides.cdr_seconds(f"{which}_{'total' if e.rules.duration == 'total' else 'billable'}_s")
        holds = e.has_legs & (leg_s > 0) & e.close(e.call_s, leg_s) & ~e.close(e.basis_s, leg_s)
        if e.field == "ended_at":
            # The end is that of the leg only where it is missing just what the duration is missing.
            return holds & e.moved_together() & (e.end_gap_s > 0)
        return holds

    return test


def _summed_legs(e: Evidence) -> Mask:
    summed = e.sides.cdr_seconds(f"sum_{'total' if e.rules.duration == 'total' else 'billable'}_s")
    overlapping = e.beyond(summed, e.basis_s) & e.close(e.call_s, summed)
    # Exports that list one party alone show legs that follow each other; the platform added up both parties.
    return e.has_legs & (overlapping | _twice(e))


def _twice(e: Evidence) -> Mask:
    return (e.basis_s >= _TELLING_S) & e.close(e.call_s, 2 * e.basis_s)


def _counted_twice(e: Evidence) -> Mask:
    return ~e.has_legs & _twice(e)


def _hours_apart(gap_s: Seconds, tolerance_s: float) -> NDArray[np.int64]:
    """Return the whole hours of a gap as seconds where it is just that, else 0."""
    hours = np.rint(np.abs(gap_s) / _HOUR)
    exact = np.abs(np.abs(gap_s) - hours * _HOUR) <= tolerance_s
    holds = exact & (hours >= 1) & (hours <= _LONGEST_SHIFT_H)
    return np.where(holds, hours * _HOUR, 0).astype(np.int64)


def _off_by_hours(e: Evidence) -> NDArray[np.int64]:
    if e.field == "ended_at":
        return _hours_apart(e.end_gap_s, e.rules.time_tolerance_s)
    if e.field == "started_at":
        return _hours_apart(e.start_gap_s, e.rules.time_tolerance_s)
    both = (e.call_s > 0) & (e.basis_s > 0)
    return np.where(both, _hours_apart(e.basis_s - e.call_s, max(e.rules.duration_tolerance_s, 1)), 0)


def _truncated(e: Evidence) -> Mask:
    """Hold where the API has the CDR's seconds cut, or those less one more."""
    short = micros(e.basis_s) - micros(e.call_s)
    one_less = (np.floor(e.basis_s) - e.call_s == 1) | (np.floor(e.basis_s) == e.call_s)
    return one_less & (short > 0) & (e.call_s > 0)


def _milliseconds(e: Evidence) -> Mask:
    return (e.basis_s >= 1) & (e.call_s > e.basis_s) & e.close(e.call_s / 1000, e.basis_s)


def _minutes(e: Evidence) -> Mask:
    long_enough = e.basis_s >= 2 * 60
    return long_enough & (e.call_s > 0) & (e.call_s == np.ceil(e.basis_s / 60))


def _ended_before_start(e: Evidence) -> Mask:
    return e.sides.call_instants("ended_at") < e.sides.call_instants("started_at")


def _start_at_answer(e: Evidence) -> Mask:
    late = gap_in_seconds(e.sides.call_instants("started_at"), e.answered_at)
    return (e.start_gap_s < 0) & (np.abs(late) <= e.rules.time_tolerance_s)


def _zero(e: Evidence) -> Mask:
    if e.field == "ended_at":
        at_start = e.sides.call_instants("ended_at") == e.sides.call_instants("started_at")
        return at_start & (e.end_gap_s > e.rules.time_tolerance_s)
    return e.call_s == 0


def _missing(e: Evidence) -> Mask:
    if e.field == "duration_seconds":
        return np.isnan(e.call_s)
    if e.field in {"ended_at", "started_at"}:
        return np.isnat(e.sides.call_instants(e.field))
    return np.asarray(e.sides.call_text(e.field).is_null())


def _answered_shown_unanswered(e: Evidence) -> Mask:
    return e.is_answered & e.status_in(e.status_classes[1])


def _unanswered_shown_answered(e: Evidence) -> Mask:
    return ~e.is_answered & e.status_in(e.status_classes[0])


def _other_unanswered_word(e: Evidence) -> Mask:
    return ~e.is_answered & e.status_in(e.status_classes[1])


def _tails(e: Evidence) -> tuple[list[pa.Array], list[pa.Array]]:
    count = e.rules.number_digits
    call = [last_digits(e.sides.call_text(f"{party}_number"), count) for party in ("from", "to")]
    cdr = [last_digits(e.sides.cdr_text(f"{party}_number"), count) for party in ("from", "to")]
    return call, cdr


def _parties_swapped(e: Evidence) -> Mask:
    call, cdr = _tails(e)
    crossed = is_true(pc.and_(pc.equal(call[0], cdr[1]), pc.equal(call[1], cdr[0])))
    two_numbers = is_true(pc.and_(pc.not_equal(call[0], ""), pc.not_equal(call[1], "")))
    return crossed & two_numbers & is_true(pc.not_equal(call[0], call[1]))


def _extension(e: Evidence) -> Mask:
    call, cdr = _tails(e)
    side = 0 if e.field == "from_number" else 1
    short = pc.less_equal(pc.binary_length(cdr[side]), _EXTENSION_DIGITS)
    return is_true(pc.and_(short, pc.greater(pc.binary_length(call[side]), _EXTENSION_DIGITS)))


_DURATION: Final = ("duration_seconds",)
_STATUS: Final = ("status",)
_NUMBERS: Final = ("from_number", "to_number")

EXPLANATIONS: Final[list[Explanation]] = [
    Explanation(
        "never-ended",
        ("status", "ended_at", "duration_seconds"),
        "The API's status is still that of an open call and it has no end, though the CDR ended: the hang-up was lost.",
        "belong to calls that never ended",
        _never_ended,
    ),
    Explanation(
        "ring-time-included",
        _DURATION,
        "On the billable basis, an answered call has the CDR's total seconds, ringing included, which exceed the billable ones.",
        "include ring time",
        _ring_time_included,
    ),
    Explanation(
        "talk-time-only",
        _DURATION,
        "On the total basis, an answered call has the CDR's billable seconds, which the total ones exceed.",
        "leave out ring time",
        _talk_time_only,
    ),
    Explanation(
        "ringing-billed",
        _DURATION,
        "On the billable basis, a call that nobody answered has the seconds it rang.",
        "bill the ringing of unanswered calls",
        _ringing_billed,
    ),
    *(
        Explanation(
            f"rounded-up-{step}s",
            _DURATION,
            f"The API has the CDR's seconds rounded up to the next {step}, as billing increments are.",
            f"are rounded up to {step} seconds",
            _rounded_up(step),
        )
        for step in (60, 30, 6)
    ),
    Explanation(
        "last-leg-only",
        ("duration_seconds", "ended_at"),
        "Of a call of several legs the API has the seconds of the last one, which are not those of the call.",
        "count the last leg only",
        _one_leg("last"),
    ),
    Explanation(
        "first-leg-only",
        ("duration_seconds", "ended_at"),
        "Of a call of several legs the API has the seconds of the first one, which are not those of the call.",
        "count the first leg only",
        _one_leg("first"),
    ),
    Explanation(
        "summed-legs",
        _DURATION,
        "Of a call of several legs the API has the sum of their seconds, which overlap and so exceed the call's, or both parties' seconds.",
        "add up several legs",
        _summed_legs,
    ),
    Explanation(
        "counted-twice",
        _DURATION,
        "Of a call of one leg that lasted half a minute or more the API has twice the seconds.",
        "are counted twice",
        _counted_twice,
    ),
    Explanation(
        "off-by-{n}s",
        ("duration_seconds", "ended_at", "started_at"),
        "The two sides are whole hours apart, at most 26: a time zone or daylight saving was misread.",
        "are off by whole hours",
        _off_by_hours,
    ),
    Explanation(
        "cut-by-crash",
        ("status", "ended_at", "duration_seconds"),
        "The record was finished in part: a final status without an end, an end without a final status, or end and duration short by the same seconds.",
        "were cut by a crash",
        _cut_by_crash,
    ),
    Explanation(
        "ended-before-start",
        ("ended_at",),
        "The API's end lies before its own start.",
        "lie before the start",
        _ended_before_start,
    ),
    Explanation(
        "start-at-answer",
        ("started_at",),
        "The API's start is the instant at which the CDR was answered.",
        "are the answer's",
        _start_at_answer,
    ),
    Explanation(
        "late-hangup",
        ("ended_at", "duration_seconds"),
        "End and duration are too long by the same seconds: the hang-up was noticed late.",
        "noticed the hang-up late",
        _hangup_noticed_late,
    ),
    Explanation(
        "milliseconds",
        _DURATION,
        "The API has the CDR's seconds times a thousand: milliseconds were stored as seconds.",
        "are milliseconds",
        _milliseconds,
    ),
    Explanation(
        "minutes",
        _DURATION,
        "Two minutes or more on the CDR, and the API has just its begun minutes.",
        "are minutes",
        _minutes,
    ),
    Explanation(
        "zero",
        ("duration_seconds", "ended_at"),
        "The API has zero seconds, or an end equal to its own start, against a CDR that lasted.",
        "are zero",
        _zero,
    ),
    Explanation(
        "missing",
        COMPARED_FIELDS,
        "The API has no value where the CDR has one.",
        "are missing",
        _missing,
    ),
    Explanation(
        "truncated-1s",
        _DURATION,
        "The API is short of one second, as when stamps are cut to seconds before they are subtracted.",
        "are cut by a second",
        _truncated,
    ),
    Explanation(
        "unanswered-but-billed",
        _DURATION,
        "The CDR was not answered and has no billable second, and the API has some.",
        "bill unanswered calls",
        _unanswered_but_billed,
    ),
    Explanation(
        "answered-shown-unanswered",
        _STATUS,
        "The CDR was answered, and the API's word is one of unanswered calls.",
        "show answered calls as unanswered",
        _answered_shown_unanswered,
    ),
    Explanation(
        "unanswered-shown-answered",
        _STATUS,
        "The CDR was not answered, and the API's word is one of answered calls.",
        "show unanswered calls as answered",
        _unanswered_shown_answered,
    ),
    Explanation(
        "other-unanswered-word",
        _STATUS,
        "Neither side was answered and the words differ; systems disagree about these (487 and 603, say).",
        "use another word for an unanswered call",
        _other_unanswered_word,
    ),
    Explanation(
        "parties-swapped",
        ("from_number", "to_number", "direction"),
        "The API's caller is the CDR's called party and the other way round.",
        "swap caller and called party",
        _parties_swapped,
    ),
    Explanation(
        "extension",
        _NUMBERS,
        "The CDR names an internal extension of at most six digits where the API has a full number.",
        "are extensions on the CDR",
        _extension,
    ),
]
"""Every explanation, the most specific first; `explain.register_explanation` adds one."""
