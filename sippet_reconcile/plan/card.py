"""Show a plan in a notebook: what it is, the first changes, and why others were left out.

Input is a plan, output is one HTML fragment. Nothing is sent, fetched or changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sippet_reconcile._display import card, html_table, section

if TYPE_CHECKING:
    from sippet_reconcile.plan.model import Plan

__all__ = ["plan_card"]


def plan_card(plan: Plan, next_step: str) -> str:
    """Return a plan, and what to call next, as HTML."""
    shown = plan.changes[["call_id", "field", "before", "after", "delta_s", "explanation"]]
    parts = (
        [section("Changes, in the order they are sent", html_table(shown, max_rows=10))] if len(shown) else []
    )
    left_out = plan.left_out
    if len(left_out):
        reasons = left_out.groupby("reason", as_index=False).agg(calls=("call_id", "nunique"))
        parts.append(section("Left out", html_table(reasons.sort_values("calls", ascending=False))))
    return card(
        f"Plan {plan.short_id}",
        {name: value for name, value in plan.summary().items() if name != "plan"},
        *parts,
        subtitle=f"a plan sends nothing · next: {next_step}",
        tone="ok" if plan.approvals else "warn",
    )
