"""Tell which runs the log holds, and how each went.

Input is the frame of records, output one row per run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile.audit.notes import json_object
from sippet_reconcile.audit.records import Event, Outcome
from sippet_reconcile.plan.approval import people_named
from sippet_reconcile.schema import Column, FrameSchema, Kind, conform

if TYPE_CHECKING:
    from typing import Any

__all__ = ["READ", "RUNS", "list_runs"]

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
        Column("last_at", Kind.INSTANT, "its latest record, approvals aside"),
        Column("n_sessions", Kind.INTEGER, "how often it was started or continued"),
        Column("n_calls", Kind.INTEGER, "calls of its plan"),
        *(Column(outcome.value, Kind.INTEGER, "calls with this last outcome") for outcome in _OUTCOMES),
        Column("without_outcome", Kind.INTEGER, "calls not attempted, or whose outcome is not known yet"),
        Column("ended", Kind.TEXT, "how its latest session ended; missing while it runs, or after a crash"),
        Column("approved_by", Kind.TEXT, "who approved it, joined by '; '"),
        Column("started_by", Kind.TEXT, "who ran it, user and machine, joined by '; '"),
        Column("head", Kind.TEXT, "hash of its latest record"),
    ),
)


READ: Final = (
    "run_id", "plan_id", "api_url", "event", "at", "call_id", "outcome", "reason", "by", "note", "hash",
)  # fmt: skip
"""The columns of `AUDIT` that `list_runs` reads."""

_SESSION: Final = [Event.RUN_STARTED.value, Event.RUN_ENDED.value]
_TOLD: Final = [Event.INTENT.value, Event.OUTCOME.value]


def list_runs(records: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run from all records of a log, of which `READ` are the columns that are needed.

    A call whose PATCH may have left when a session died, or is under way, is `unknown`,
    as it is in the run itself.
    """
    if records.empty:
        return RUNS.empty()
    events = records.assign(run=pd.factorize(records["run_id"])[0])
    latest = events.drop_duplicates("run", keep="last").set_index("run").sort_index()
    starts = events.loc[events["event"].eq(Event.RUN_STARTED.value)]
    notes = starts.drop_duplicates("run").set_index("run")["note"].reindex(latest.index)
    facts = [json_object(note, "the note of a start") if isinstance(note, str) else {} for note in notes]
    last = _last_outcomes(events)
    counts = pd.crosstab(last["run"], last["outcome"]).reindex(index=latest.index, fill_value=0)
    n_known = last["run"].value_counts().reindex(latest.index, fill_value=0)
    n_calls = pd.Series(
        [told.get("n_calls", known) for told, known in zip(facts, n_known, strict=True)], latest.index
    )
    is_approval = events["event"].eq(Event.APPROVAL.value)
    # An approval is dated when it was given, which is no moment of the run.
    own = events.loc[~is_approval | ~events["run"].isin(events.loc[~is_approval, "run"])]
    columns: dict[str, Any] = {
        **{name: latest[name] for name in ("run_id", "plan_id", "api_url")},
        "reverts_run_id": pd.Series(
            [told.get("reverts_run_id") for told in facts], latest.index, dtype="str"
        ),
        "started_at": own.drop_duplicates("run").set_index("run")["at"],
        "last_at": own.drop_duplicates("run", keep="last").set_index("run")["at"],
        "n_sessions": starts["run"].value_counts().reindex(latest.index, fill_value=0),
        "n_calls": n_calls,
        **{outcome.value: counts.get(outcome.value, 0) for outcome in _OUTCOMES},
        "without_outcome": n_calls - n_known,
        "ended": latest["reason"].where(latest["event"].eq(Event.RUN_ENDED.value)),
        "approved_by": _people(events.loc[is_approval], latest.index),
        "started_by": _names(starts, latest.index),
        "head": latest["hash"],
    }
    return conform(pd.DataFrame(columns, index=latest.index).reset_index(drop=True), RUNS)


def _people(approvals: pd.DataFrame, runs: pd.Index[int]) -> pd.Series[str]:
    """Return who approved each run, each person once, however they signed."""
    signed = approvals.dropna(subset="by").groupby("run")["by"]
    return signed.agg(lambda names: "; ".join(people_named(names))).reindex(runs).astype("str")


def _names(events: pd.DataFrame, runs: pd.Index[int]) -> pd.Series[str]:
    """Return who is named by records of each run, each name once."""
    named = events.dropna(subset="by").drop_duplicates(["run", "by"])
    return named.groupby("run")["by"].agg("; ".join).reindex(runs).astype("str")


def _last_outcomes(events: pd.DataFrame) -> pd.DataFrame:
    """Return ``run`` and ``outcome`` of each call of which an outcome is told, or that a session left open."""
    is_border = events["event"].isin(_SESSION)
    session = is_border.groupby(events["run"]).cumsum()
    # Whoever ended properly wrote the outcome of all that was sent; the end is the border after its session.
    number = events["run"] * (len(events) + 2) + session
    is_clean = (number + 1).isin(number.loc[events["event"].eq(Event.RUN_ENDED.value)])
    told = events.loc[events["event"].isin(_TOLD), ["run", "call_id", "event", "outcome"]]
    last = told.drop_duplicates(["run", "call_id"], keep="last")
    is_open = last["event"].eq(Event.INTENT.value) & ~is_clean.loc[last.index]
    outcomes = told.loc[told["event"].eq(Event.OUTCOME.value)].drop_duplicates(
        ["run", "call_id"], keep="last"
    )
    left = last.loc[is_open].assign(outcome=Outcome.UNKNOWN.value)
    return pd.concat([outcomes, left]).drop_duplicates(["run", "call_id"], keep="last")[["run", "outcome"]]
