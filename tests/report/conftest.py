"""Plain facts of a plan, built by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.report import DryRunFacts
from sippet_reconcile.schema import CHANGES

CONTEXT = {
    "started_at": "datetime64[us, UTC]",
    "direction": "str",
    "from_number": "str",
    "to_number": "str",
    "sip_username": "str",
}


@pytest.fixture
def make_facts() -> Callable[..., DryRunFacts]:
    """Return a function from rows of changes to the facts of a dry run."""

    def make(
        rows: list[dict[str, Any]], *, rate: tuple[str, float] = ("5/s", 5.0), **frames: Any
    ) -> DryRunFacts:
        full = [
            {"call_id": f"call-{n}", "field": "duration_seconds", "before": "120", "after": "110", "before_s": 120.0,
             "after_s": 110.0, "delta_s": -10.0, "explanation": "ring-time-included", "match_rule": "call_uuid",
             "source_file": "october.csv", "source_row": 41, "started_at": pd.Timestamp("2026-10-05T10:00:00Z"),
             "direction": "inbound", "from_number": "+442079460123", "to_number": "+442079460999",
             "sip_username": "442079460777", **row}
            for n, row in enumerate(rows)
        ]  # fmt: skip
        types = {**CHANGES.dtypes, **CONTEXT}
        changes = pd.DataFrame(
            {name: pd.Series([r.get(name) for r in full], dtype=t) for name, t in types.items()}
        )
        empty: dict[str, pd.DataFrame] = {
            "left_out": pd.DataFrame(
                columns=["call_id", "call_uuid", "field", "explanation", "reason"], dtype="str"
            ),
            "ledger": pd.DataFrame(),
            "findings": pd.DataFrame(columns=["code", "severity", "message", "advice"], dtype="str"),
            "balance": pd.DataFrame(),
            "not_patchable": pd.DataFrame(),
            "approvals": pd.DataFrame(columns=["by", "at", "note", "plan_id"], dtype="str"),
        }
        plan = {
            "plan_id": "ab" * 32, "short_id": "abababababab", "kind": "reconciliation",
            "created_at": pd.Timestamp("2026-11-02T00:00:00Z"), "api_url": "https://api.example.com",
            "period": "October", "n_compared": 1000, "reverts_run_id": None, "accept": (),
            "selection": {"fields": ["status"], "where": None},
            **frames.pop("plan", {}),
        }  # fmt: skip
        return DryRunFacts(
            plan=plan, changes=changes, rate_text=rate[0], rate_per_s=rate[1], **{**empty, **frames}
        )

    return make
