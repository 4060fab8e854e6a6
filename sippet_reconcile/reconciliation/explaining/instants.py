"""Tests of a wrong start or end that look at the instants alone.

Input is the `Evidence` of one field, output a flag per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile.reconciliation.sides import gap_in_seconds

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask

__all__ = ["ended_before_start", "start_at_answer"]


def ended_before_start(e: Evidence) -> Mask:
    """Hold where the API's end lies before its own start."""
    return e.sides.call_instants("ended_at") < e.sides.call_instants("started_at")


def start_at_answer(e: Evidence) -> Mask:
    """Hold where the API's start is when the CDR was answered: late by as long as it rang."""
    late = np.abs(gap_in_seconds(e.sides.call_instants("started_at"), e.answered_at))
    # A tolerance larger than half of the ringing would take any start for the answer.
    return (e.start_gap_s < 0) & (late <= np.minimum(e.rules.time_tolerance_s, np.abs(e.start_gap_s) / 2))
