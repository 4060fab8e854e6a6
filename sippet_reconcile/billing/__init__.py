"""What calls cost: rate cards, the rating of calls, and what corrections are worth.

Input are frames of calls and a rate card, output are frames of money. Which calls, and
their seconds before and after, is told by whoever has them: a reconciliation, a plan, a
run. Money is decimal throughout, and nothing here knows a report or an API.
"""

from __future__ import annotations

from sippet_reconcile.billing.card import RateCard
from sippet_reconcile.billing.frames import BILLED_CALLS, MONEY, RATES, UnratedReason
from sippet_reconcile.billing.impact import billing_impact
from sippet_reconcile.billing.rating import rate_calls
from sippet_reconcile.billing.seconds import BilledSeconds

__all__ = [
    "BILLED_CALLS",
    "MONEY",
    "RATES",
    "BilledSeconds",
    "RateCard",
    "UnratedReason",
    "billing_impact",
    "rate_calls",
]
