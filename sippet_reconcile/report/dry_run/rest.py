"""Tell what is not corrected, and why, and where every record ended up.

Input are the plain facts of a plan; output are sections of its dry run.
"""

from __future__ import annotations

from sippet_reconcile.report.dry_run.facts import DryRunFacts
from sippet_reconcile.report.section import Section

__all__ = ["balance_section", "left_out_section", "not_patchable_section"]


def left_out_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells what is not corrected, and why; None where there is nothing to tell."""
    left = facts.left_out
    if left.empty:
        return None
    whole = left.assign(field=left["field"].fillna("the whole call"))
    rows = whole.groupby(["reason", "field"], as_index=False, dropna=False).agg(
        n_calls=("call_id", "nunique"), example=("call_id", "min")
    )
    rows = rows.sort_values(["n_calls", "reason", "field"], ascending=[False, True, True], kind="stable")
    return Section(
        "Left out, and why",
        "Differences that were found and are not corrected; the saved plan names every call.",
        rows.astype({"n_calls": "Int64"}),
        heads={"n_calls": "calls"},
    )


def not_patchable_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells what is wrong and cannot be corrected through the API; None where there is nothing to tell."""
    if facts.not_patchable.empty:
        return None
    return Section(
        "Wrong, but not correctable here",
        "The API takes no correction of these; they need to be settled elsewhere.",
        facts.not_patchable,
        heads={"what": "what is wrong", "explanation": "cause", "n_calls": "calls", "seconds": "talk (s)"},
    )


def balance_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells where every record ended up; None where there is nothing to tell."""
    if facts.balance.empty:
        return None
    return Section(
        "Where every record ended up",
        "The balance of the reconciliation behind this plan: nothing is dropped silently.",
        facts.balance,
        is_detail=True,
        in_card=False,
    )
