"""Tests of a wrong status: which of the CDR's facts the API's word contradicts, and whose word it may be.

Input is the `Evidence` of one field, output a flag per row. Words of the API mean what
the rules say they mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile.reconciliation.statuses import normal_word

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask

__all__ = [
    "answered_but_zero",
    "answered_shown_unanswered",
    "other_unanswered_word",
    "status_from_wrong_leg",
    "unanswered_shown_answered",
    "voicemail_as_answered",
]


def answered_but_zero(e: Evidence) -> Mask:
    """Hold where a side calls the call answered although its own seconds say that nobody talked."""
    answered, unanswered = e.status_classes
    said = e.status_in(answered) & (e.call_s == 0)
    if e.field == "duration_seconds":
        return said & e.is_answered & (e.basis_s >= 1)
    cdr_said = e.is_answered & (np.floor(e.billable_s) == 0) & e.status_in(unanswered)
    return cdr_said | (said & e.is_unanswered)


def status_from_wrong_leg(e: Evidence) -> Mask:
    """Hold where the API's word is the status of a leg, though not the one that counts."""
    codes, sets = e.leg_statuses
    call_codes, words = e.sides.call_codes("status")
    # The last row and column stand for what is missing, whose code is -1.
    holds = np.zeros((len(sets) + 1, len(words) + 1), np.bool_)
    for row, legs in enumerate(sets):
        agreeing = frozenset[str]().union(*(e.agreeing(word) for word in legs.split("; ")))
        holds[row, :-1] = [normal_word(word) in agreeing for word in words]
    return holds[codes, call_codes] & e.has_legs


def voicemail_as_answered(e: Evidence) -> Mask:
    """Hold where a mailbox answered, and the API's word is one of calls that a person answered.

    For a duration, where moreover the CDR bills nothing, and the API seconds that the call had.
    """
    holds = e.cdr_status_in("voicemail") & e.status_in(e.agreeing("completed") - e.agreeing("voicemail"))
    if e.field == "duration_seconds":
        within = (e.call_s <= e.total_s) | e.close(e.call_s, e.total_s)
        return holds & (e.basis_s == 0) & (e.call_s > 0) & within
    return holds


def answered_shown_unanswered(e: Evidence) -> Mask:
    """Hold where the CDR was answered, and the API's word is one of unanswered calls."""
    return e.is_answered & e.status_in(e.status_classes[1])


def unanswered_shown_answered(e: Evidence) -> Mask:
    """Hold where nobody answered, and the API's word is one of answered calls."""
    return e.is_unanswered & e.status_in(e.status_classes[0])


def other_unanswered_word(e: Evidence) -> Mask:
    """Hold where nobody answered, and the API has another word for that."""
    return e.is_unanswered & e.status_in(e.status_classes[1])
