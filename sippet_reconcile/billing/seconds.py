"""The calls whose money is asked for, with their seconds before and after.

This is what a reconciliation, a plan and a run hand to `billing_impact`, each in its own
way of knowing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

__all__ = ["BilledSeconds"]


@dataclass(frozen=True, eq=False)
class BilledSeconds:
    """Calls by their seconds before and after, of one basis and one zone.

    Attributes
    ----------
    calls
        One row per call, `BILLED_CALLS`; each call once.
    basis
        What the API's seconds mean: ``billable`` or ``total``; ``auto`` where it was not settled.
    timezone
        The zone in which the days of the rate card, and of ``by="day"``, are counted.
    sums
        What the ledger says of the same calls, to be tied out with: ``n_calls``,
        ``before_s``, ``change_s`` and ``after_s``; empty where there is no ledger.
    """

    calls: pd.DataFrame
    basis: str
    timezone: str
    sums: Mapping[str, float] = field(default_factory=dict)
