"""Gather the plain facts of a plan that its dry run shows.

Input is a plan, a pace and perhaps a rate card; output is the report. Nothing is sent, fetched or changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from sippet_reconcile.api.pacing import parse_rate
from sippet_reconcile.plan.worth import checked_card, money_of
from sippet_reconcile.report import DryRunFacts, DryRunReport
from sippet_reconcile.report.dry_run.facts import beyond_patching

if TYPE_CHECKING:
    from sippet_reconcile.billing import RateCard
    from sippet_reconcile.plan.model import Plan

__all__ = ["facts_of", "preview"]

_CONTEXT = ["call_id", "started_at", "direction", "from_number", "to_number", "sip_username"]


def preview(plan: Plan, *, rate: str, rate_card: RateCard | None = None) -> DryRunReport:
    """Return the dry run of a plan at a pace; with a rate card, it tells what the plan is worth."""
    facts = facts_of(plan, rate=rate)
    if rate_card is not None:
        card = checked_card(rate_card)
        _, unbilled = beyond_patching(facts.not_patchable)
        counted = int(unbilled["n_calls"].sum()), float(unbilled["seconds"].sum())
        money = money_of(plan.billed_seconds(), card, disputes=facts.disputes, counted=counted)
        facts = replace(facts, money=money)
    return DryRunReport.from_facts(facts)


def facts_of(plan: Plan, *, rate: str) -> DryRunFacts:
    """Return the plain facts that the dry run of a plan is made from."""
    calls, changes = plan.calls, plan.changes
    context = calls.loc[:, _CONTEXT].set_index("call_id").reindex(changes["call_id"]).reset_index(drop=True)
    given = [{"by": one.by, "at": one.at, "note": one.note, "plan_id": one.plan_id} for one in plan.approvals]
    approvals = pd.DataFrame(given, columns=["by", "at", "note", "plan_id"]).astype("str")
    return DryRunFacts(
        plan={
            "plan_id": plan.plan_id,
            "short_id": plan.short_id,
            "kind": plan.kind,
            "created_at": plan.created_at,
            "api_url": plan.api_url,
            "period": None if plan.period is None else plan.period.label,
            "span": plan.period,
            "n_compared": plan.n_compared,
            "reverts_run_id": plan.reverts_run_id,
            "accept": plan.accept,
            "selection": plan.selection,
        },
        changes=pd.concat([changes, context], axis=1),
        left_out=plan.left_out,
        ledger=plan.ledger,
        findings=plan.findings,
        balance=plan.balance,
        not_patchable=plan.not_patchable,
        approvals=approvals,
        rate_text=rate,
        rate_per_s=parse_rate(rate),
        rules=plan.rules.to_dict(),
        calls=calls,
        disputes=plan.disputes,
        phrases=plan.phrases,
    )
