"""Count what a reviewer of a plan asks first, and say it in one line.

Input is a plan, output are plain values or a line; every view of a plan starts here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from sippet_reconcile._display import mask_text, plural
from sippet_reconcile.plan.approval import people_of

if TYPE_CHECKING:
    from sippet_reconcile.plan.content import Content
    from sippet_reconcile.plan.model import Plan

__all__ = ["line_of_plan", "summary_of_plan"]


def summary_of_plan(plan: Plan, content: Content) -> dict[str, object]:
    """Return calls, changes, seconds and who approved, as plain values."""
    delta = content.changes["delta_s"].sum()
    return {
        "plan": plan.short_id,
        "kind": plan.kind,
        "calls": len(content.calls),
        "changes": len(content.changes),
        "net_s": float(delta) if pd.notna(delta) else 0.0,
        "left_out": len(content.left_out),
        "findings": len(content.findings),
        "approved_by": ", ".join(people_of(plan.approvals)) or None,
        "api_url": plan.api_url,
        "period": None if plan.period is None else plan.period.label,
        "created_at": plan.created_at.isoformat(timespec="seconds"),
    }


def line_of_plan(plan: Plan, content: Content, next_step: str) -> str:
    """Return the one line of a plan that ends in the next step."""
    approved = (
        f"approved by {mask_text(str(summary_of_plan(plan, content)['approved_by']))}"
        if plan.approvals
        else "not approved"
    )
    return (
        f"<Plan {plan.short_id}: {plural(len(content.changes), 'change')} to {plural(len(plan), 'call')}, "
        f"{plural(len(content.left_out), 'row')} left out, {approved}; next: {next_step}>"
    )
