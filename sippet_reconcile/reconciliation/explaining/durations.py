"""Tests of a wrong duration: the arithmetic that leads from the CDR's seconds to the API's.

Input is the `Evidence` of one field, output a flag per row. Tests that could be met by
chance ask for a length that tells; those that allow a tolerance say elsewhere, in
`to_the_second` of the table, where they do not need it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import MICROS
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask, Seconds

__all__ = [
    "counted_twice",
    "first_leg_only",
    "first_leg_to_the_second",
    "last_leg_only",
    "last_leg_to_the_second",
    "milliseconds",
    "minutes",
    "ring_time_included",
    "ringing_billed",
    "rounded_up",
    "summed_legs",
    "summed_to_the_second",
    "talk_time_only",
    "talk_to_the_second",
    "total_to_the_second",
    "truncated",
    "twice_to_the_second",
    "unanswered_but_billed",
]

_TELLING_S: Final = 30  # the double of fewer seconds is easily met by chance
_MANY_MINUTES_S: Final = 120
_OTHER_LEG_S: Final = 2  # seconds that are cut lack less
_THOUSAND: Final = 1000
_MANY_SECONDS: Final = 10  # of fewer a thousandth is met by any number of a thousand


def _is_total(e: Evidence) -> bool:
    return e.rules.duration == "total"


def _nowhere(e: Evidence) -> Mask:
    return np.zeros(len(e), np.bool_)


def ring_time_included(e: Evidence) -> Mask:
    """Hold where, on the billable basis, an answered call has the total seconds."""
    if _is_total(e):
        return _nowhere(e)
    return e.is_answered & e.beyond(e.total_s, e.billable_s) & e.close(e.call_s, e.total_s)


def total_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are the total ones to the second."""
    return e.same_second(e.call_s, e.total_s)


def talk_time_only(e: Evidence) -> Mask:
    """Hold where, on the total basis, an answered call has the billable seconds."""
    if not _is_total(e):
        return _nowhere(e)
    talked = e.is_answered & (e.billable_s > 0) & (e.call_s > 0)
    return talked & e.beyond(e.total_s, e.billable_s) & e.close(e.call_s, e.billable_s)


def talk_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are the billable ones to the second."""
    return e.same_second(e.call_s, e.billable_s)


def ringing_billed(e: Evidence) -> Mask:
    """Hold where, on the billable basis, a call that nobody answered has the seconds it rang."""
    if _is_total(e):
        return _nowhere(e)
    return e.is_unanswered & e.beyond(e.total_s, e.basis_s) & e.close(e.call_s, e.total_s)


def unanswered_but_billed(e: Evidence) -> Mask:
    """Hold where nobody answered, the CDR has no billable second, and the API has some."""
    return e.is_unanswered & (e.basis_s == 0) & (e.call_s > 0)


def rounded_up(step: int) -> Callable[[Evidence], Mask]:
    """Return the test that holds where the API has the CDR's seconds rounded up to the next multiple."""

    def test(e: Evidence) -> Mask:
        steps = np.ceil(micros(e.basis_s) / (step * MICROS))  # what is finer than a microsecond is noise
        return (e.basis_s > 0) & (e.call_s > e.basis_s) & (e.call_s == steps * step)

    return test


def _leg_s(e: Evidence, which: str) -> Seconds:
    return e.sides.cdr_seconds(f"{which}_{'total' if _is_total(e) else 'billable'}_s")


def _one_leg(e: Evidence, which: str) -> Mask:
    leg_s = _leg_s(e, which)
    is_other = ~e.close(e.basis_s, leg_s) & (np.abs(e.basis_s - leg_s) >= _OTHER_LEG_S)
    return e.has_legs & (leg_s > 0) & (e.call_s > 0) & is_other & e.close(e.call_s, leg_s)


def last_leg_only(e: Evidence) -> Mask:
    """Hold where a call of several legs has the seconds of the last one."""
    return _one_leg(e, "last")


def last_leg_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are those of the last leg to the second, and whose end does not say otherwise."""
    # The last leg ends with the call: an end that is off by as much as the seconds is not that leg's.
    return e.same_second(e.call_s, _leg_s(e, "last")) & ~e.moved_together


def first_leg_only(e: Evidence) -> Mask:
    """Hold where a call of several legs has the seconds of the first one; for an end, where it is that leg's, too."""
    holds = _one_leg(e, "first")
    return holds & _ended_with_first_leg(e) & (e.end_gap_s > 0) if e.field == "ended_at" else holds


def _ended_with_first_leg(e: Evidence) -> Mask:
    late = np.abs(_after_first_leg_s(e))
    # Where nobody knows when the leg ended, the end must be missing just what the duration is missing.
    return np.where(np.isnan(late), e.moved_together, late <= max(e.rules.time_tolerance_s, 1))


def first_leg_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are those of the first leg to the second, and whose end does not say otherwise."""
    is_exact = e.same_second(e.call_s, _leg_s(e, "first"))
    if e.field == "ended_at":
        return is_exact & ~(np.abs(_after_first_leg_s(e)) >= 1)
    # An end that is off by as much as the seconds, and is not that leg's, says where the record stopped.
    return is_exact & ~(e.moved_together & ~_ended_with_first_leg(e))


def _after_first_leg_s(e: Evidence) -> Seconds:
    """Return how long after the first leg the API's end is; a call begins with its first leg."""
    since_start = gap_in_seconds(e.sides.call_instants("ended_at"), e.sides.cdr_instants("started_at"))
    return np.where(e.is_coarse, np.nan, since_start - e.sides.cdr_seconds("first_total_s"))


def summed_legs(e: Evidence) -> Mask:
    """Hold where a call of several legs has the sum of their seconds, or those of both parties."""
    summed = _leg_s(e, "sum")
    overlapping = e.beyond(summed, e.basis_s) & e.close(e.call_s, summed)
    # Exports that list one party alone show legs that follow each other; the platform added up both parties.
    return e.has_legs & (overlapping | _twice(e))


def summed_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are the sum to the second."""
    return e.same_second(e.call_s, _leg_s(e, "sum")) | twice_to_the_second(e)


def _twice(e: Evidence) -> Mask:
    return (e.basis_s > _TELLING_S) & e.close(e.call_s, 2 * e.basis_s)


def counted_twice(e: Evidence) -> Mask:
    """Hold where a call of one leg that lasted has twice its seconds."""
    return ~e.has_legs & _twice(e)


def twice_to_the_second(e: Evidence) -> Mask:
    """Mark the rows whose API seconds are the double to the second."""
    return e.same_second(e.call_s, 2 * e.basis_s)


def truncated(e: Evidence) -> Mask:
    """Hold where the API has the CDR's seconds cut, or those less one more."""
    short = micros(e.basis_s) - micros(e.call_s)
    whole = np.floor(micros(e.basis_s) / MICROS)
    one_less = (whole - e.call_s == 1) | (whole == e.call_s)
    return one_less & (short > 0) & (e.call_s > 0)


def milliseconds(e: Evidence) -> Mask:
    """Hold where the API's number is the CDR's seconds in thousandths; of a few seconds to the thousandth."""
    apart_ms = np.abs(e.call_s - _THOUSAND * e.basis_s)
    tells = (apart_ms <= 1) | (e.basis_s >= _MANY_SECONDS)
    return (e.basis_s >= 1) & (e.call_s > e.basis_s) & tells & (apart_ms < _THOUSAND)


def minutes(e: Evidence) -> Mask:
    """Hold where the API has the begun minutes of a call that had at least two."""
    begun = np.ceil(micros(e.basis_s) / (60 * MICROS))
    return (e.basis_s >= _MANY_MINUTES_S) & (e.call_s > 0) & (e.call_s == begun)
