"""Lay out every change, call by call, with the evidence for it.

Input are the plain facts of a plan; output is a section of its dry run.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sippet_reconcile.report.dry_run.facts import DryRunFacts
from sippet_reconcile.report.page import MAX_HTML_ROWS
from sippet_reconcile.report.section import Section

__all__ = ["changes_section"]

_MAYBE: Final = ("direction", "from_number", "to_number", "sip_username", "source", "match_rule")


def changes_section(facts: DryRunFacts) -> Section | None:
    """Return the section that tells every change, the largest first; None where there is nothing to tell."""
    changes = facts.changes
    if changes.empty:
        return None
    size = changes["delta_s"].abs().to_numpy(dtype="float64", na_value=-1.0)
    ranked = changes.iloc[np.argsort(-size, kind="stable")]
    where = (
        ranked["source_file"].fillna("").astype("str") + ":" + ranked["source_row"].astype("str").fillna("")
    )
    columns = [
        "started_at", "direction", "from_number", "to_number", "sip_username", "field", "before", "after",
        "delta_s", "explanation", "source", "match_rule", "call_id",
    ]  # fmt: skip
    started = ranked["started_at"].dt.strftime("%Y-%m-%d %H:%M:%S").astype("str")
    shown = ranked.assign(source=where.where(ranked["source_file"].notna()), started_at=started).loc[
        :, columns
    ]
    # A revert knows of a call what the audit log holds: what no row tells is no column.
    shown = shown.drop(columns=[name for name in _MAYBE if shown[name].isna().all()])
    return Section(
        "The changes",
        "The largest changes of duration first. Before and after are as the API writes them; numbers are masked.",
        shown,
        is_searchable=True,
        filters=["field", "explanation", "match_rule", "direction"],
        heads={
            "call_id": "call",
            "started_at": "started (UTC)",
            "from_number": "from",
            "to_number": "to",
            "sip_username": "user",
            "delta_s": "change (s)",
            "explanation": "cause",
            "match_rule": "matched by",
            "source": "evidence",
        },
        signed=["delta_s"],
        rest=f"The {MAX_HTML_ROWS:,} most significant are here; the saved plan holds all of them.",
    )
