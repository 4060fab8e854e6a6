"""Lay out the calls that a plan touches: in the order of its changes, with what is known of them.

Input are changes, and calls where somebody has them; output are frames beside each other.
"""

from __future__ import annotations

import pandas as pd

from sippet_reconcile.plan.frames import PLAN_CALLS, to_schema

__all__ = ["calls_in_order", "calls_of_changes", "starts_of"]


def calls_of_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Return what changes alone tell about their calls."""
    ids = changes.drop_duplicates("call_id")[["call_id", "call_uuid"]].reset_index(drop=True)
    wide = changes.drop_duplicates(["call_id", "field"]).pivot_table(
        index="call_id", columns="field", values="before", aggfunc="first"
    )
    wide = wide.reindex(ids["call_id"]).reset_index(drop=True)
    if "duration_seconds" in wide.columns:
        wide = wide.assign(
            duration_seconds=pd.to_numeric(wide["duration_seconds"], errors="coerce").astype("Int64")
        )
    return pd.concat([ids, wide], axis=1)


def starts_of(changes: pd.DataFrame, calls: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return the start of the call of each change."""
    starts = calls.drop_duplicates("call_id").set_index("call_id")["started_at"]
    return starts.reindex(changes["call_id"]).reset_index(drop=True)


def calls_in_order(calls: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Return the calls that the changes touch, in the order of the changes."""
    order = changes["call_id"].drop_duplicates()
    rows = calls.drop_duplicates("call_id").set_index("call_id").reindex(order).reset_index()
    return to_schema(rows, PLAN_CALLS)
