"""Tell which runs the log holds, and how each went.

Input is the frame of records, output one row per run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile.audit.records import Event, Outcome
from sippet_reconcile.schema import Column, FrameSchema, Kind, conform

if TYPE_CHECKING:
    from typing import Any

__all__ = ["RUNS", "list_runs"]

_OUTCOMES: Final = tuple(outcome for outcome in Outcome if outcome is not Outcome.PENDING)

RUNS: Final = FrameSchema(
    "runs",
    "one row per run of an audit log, oldest first",
    (
        Column("run_id", Kind.TEXT, "the run"),
        Column("plan_id", Kind.TEXT, "the plan it applied"),
        Column("api_url", Kind.TEXT, "the API it wrote to"),
        Column("reverts_run_id", Kind.TEXT, "the run it undid; missing where it is no revert"),
        Column("started_at", Kind.INSTANT, "when its first session began"),
        Column("last_at", Kind.INSTANT, "its latest record"),
        Column("n_sessions", Kind.INTEGER, "how often it was started or continued"),
        Column("n_calls", Kind.INTEGER, "calls of its plan"),
        *(Column(outcome.value, Kind.INTEGER, "calls with this last outcome") for outcome in _OUTCOMES),
        Column("without_outcome", Kind.INTEGER, "calls not attempted, or whose outcome is not known yet"),
        Column("ended", Kind.TEXT, "how its latest session ended; missing while it runs, or after a crash"),
        Column("approved_by", Kind.TEXT, "who approved it, joined by '; '"),
        Column("head", Kind.TEXT, "hash of its latest record"),
    ),
)


def list_runs(records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run from all records of a log."""
    if records.empty:
        return RUNS.empty()
    rows = [_summarise(run_id, events) for run_id, events in records.groupby("run_id", sort=False)]
    return conform(pd.DataFrame(rows, columns=RUNS.names), RUNS)


def _summarise(run_id: object, events: pd.DataFrame) -> dict[str, Any]:
    starts = events.loc[events["event"].eq(Event.RUN_STARTED.value)]
    facts: dict[str, Any] = json.loads(str(starts["note"].iloc[0])) if len(starts) else {}
    outcomes = events.loc[events["event"].eq(Event.OUTCOME.value)].drop_duplicates("call_id", keep="last")
    counts = outcomes["outcome"].value_counts()
    latest = events.iloc[-1]
    approvals = events.loc[events["event"].eq(Event.APPROVAL.value), "by"].dropna().drop_duplicates()
    n_calls = int(facts.get("n_calls", outcomes["call_id"].nunique()))
    return {
        "run_id": run_id,
        "plan_id": latest["plan_id"],
        "api_url": latest["api_url"],
        "reverts_run_id": facts.get("reverts_run_id"),
        "started_at": events["at"].iloc[0],
        "last_at": latest["at"],
        "n_sessions": len(starts),
        "n_calls": n_calls,
        **{outcome.value: int(counts.get(outcome.value, 0)) for outcome in _OUTCOMES},
        "without_outcome": n_calls - len(outcomes),
        "ended": latest["reason"] if latest["event"] == Event.RUN_ENDED.value else None,
        "approved_by": "; ".join(approvals) or None,
        "head": latest["hash"],
    }
