"""Tell what applying a plan takes, and who has approved it.

Input are the plain facts of a plan; output are sections of its dry run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.report.dry_run.facts import DryRunFacts
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.report.section import Section

__all__ = ["approvals_section", "forecast_section"]

WEBHOOKS: Final = (
    "Each PATCH may fire call.* webhooks of the platform. Whoever listens to them (invoicing, CRM, alerts) will see "
    "the corrections arrive at the pace above; tell them before you apply."
)


def forecast_section(facts: DryRunFacts, summary: Mapping[str, object]) -> Section:
    """Return the section that tells what applying it takes."""
    n_calls = int(str(summary["requests_patch"]))
    if not n_calls:
        return Section("Applying it", "Nothing would be sent.", in_card=False)
    total = int(str(summary["requests"]))
    took = in_words(max(total / facts.rate_per_s, 1), is_rough=True)
    told = (
        f"{plural(n_calls, 'PATCH request')} and {plural(int(str(summary['requests_read'])), 'request that reads', 'requests that read')} the calls "
        f"again just before, {total:,} in all: about {took} at {facts.rate_text}. A call that changed in the meantime is "
        "skipped and reported, never overwritten."
    )
    return Section("Applying it", told, note=WEBHOOKS)


def approvals_section(facts: DryRunFacts) -> Section:
    """Return the section that tells who approved what, when and why."""
    if facts.approvals.empty:
        step = f"Nobody has approved plan {facts.plan['short_id']} yet. Whoever does answers for exactly this content: plan.approve in a notebook, sippet-reconcile approve in a terminal."
        return Section("Approvals", step, in_card=False)
    return Section(
        "Approvals",
        "Each person answers for exactly this content: any change to the plan gives it another id and drops them.",
        facts.approvals.assign(
            at=pd.to_datetime(facts.approvals["at"], utc=True, format="ISO8601"),
            note=facts.approvals["note"].replace("", pd.NA),
        ),
        heads={"by": "who", "at": "when", "note": "why", "plan_id": "for plan"},
    )
