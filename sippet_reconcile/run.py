"""Tell what a run came to, over all its sessions: one row per call of its plan.

Input are the records of the audit log, output is a frozen `Run`. A run is one plan on
one API in one log; it may have been interrupted, killed and continued, and its state
is always what the log says, so that a new kernel sees what the old one saw.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.audit import AuditLog, Event, Outcome
from sippet_reconcile.errors import InputError
from sippet_reconcile.report import Document, Section
from sippet_reconcile.schema import Column, FrameSchema, Kind, conform

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["RUN_RECORDS", "SENT", "SETTLED", "CallState", "Outcome", "Run", "RunState", "load_run", "replay"]

SETTLED: Final = frozenset({Outcome.APPLIED, Outcome.ALREADY})
"""Outcomes that are final; every other call is read again when the plan is applied again."""

SENT: Final = frozenset({Outcome.APPLIED, Outcome.ALTERED, Outcome.UNKNOWN})
"""Outcomes of calls that we wrote, or may have written."""

MAY_BE_OURS: Final = SENT | {Outcome.FAILED}
"""Outcomes after which a value found as planned may be of our own writing."""

RUN_RECORDS: Final = FrameSchema(
    "run records",
    "one row per call of the plan, with its last state over all sessions",
    (
        Column("call_id", Kind.TEXT, "the API's id of the call"),
        Column("call_uuid", Kind.TEXT, "its call_uuid; missing while it is pending"),
        Column(
            "outcome",
            Kind.TEXT,
            "applied, already, drifted, rejected, missing, failed, altered, unknown, pending",
        ),
        Column("confirmed_by", Kind.TEXT, "answer or reread"),
        Column("at", Kind.INSTANT, "when the outcome was settled; missing while it is not"),
        Column("before", Kind.TEXT, "JSON: the values as re-read just ahead of sending, or as planned"),
        Column("after", Kind.TEXT, "JSON: the values sent, or planned"),
        Column("observed", Kind.TEXT, "JSON: what the call was found to hold, where that is neither"),
        Column("reread", Kind.TEXT, "JSON: its start and the values that were not to be changed, as re-read"),
        Column("http_status", Kind.INTEGER, "status of the last answer"),
        Column("error_code", Kind.TEXT, "the server's code, or ours"),
        Column("error_detail", Kind.TEXT, "what was said about it"),
        Column("request_id", Kind.TEXT, "the server's x-request-id"),
        Column("n_attempts", Kind.INTEGER, "PATCH requests sent for it, over all sessions that told"),
        Column("explanation", Kind.TEXT, "why the API was thought to be wrong"),
        Column("reason", Kind.TEXT, "why it was changed"),
        Column("source_file", Kind.TEXT, "file of the evidence"),
        Column("source_row", Kind.INTEGER, "line of the evidence"),
    ),
)

_COPIED: Final = (
    "call_uuid",
    "confirmed_by",
    "http_status",
    "error_code",
    "error_detail",
    "request_id",
    "explanation",
    "reason",
    "source_file",
    "source_row",
)


@dataclass
class CallState:
    """What the log knows about one call of a run."""

    before: str | None = None
    after: str | None = None
    intent: Mapping[str, Any] | None = None
    outcome: Mapping[str, Any] | None = None
    is_open: bool = False
    """An intent whose PATCH may have left, and no outcome: a session died here."""
    may_be_ours: bool = False
    """What the call holds may be of our own writing."""
    n_attempts: int = 0

    @property
    def last(self) -> Outcome:
        """The last state of the call."""
        if self.is_open:
            return Outcome.UNKNOWN
        return Outcome.PENDING if self.outcome is None else Outcome(self.outcome["outcome"])

    @property
    def observed(self) -> dict[str, Any]:
        """What the call was found to hold where that was neither `before` nor `after`."""
        if self.is_open or self.outcome is None or not self.outcome["note"]:
            return {}
        found: dict[str, Any] = json.loads(self.outcome["note"]).get("observed", {})
        return found


@dataclass
class RunState:
    """A run as its records tell it."""

    calls: dict[str, CallState] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """What the first session noted: the kind of plan, and the run it reverts."""
    n_sessions: int = 0
    ended: str | None = None
    """The kind of end of the latest session; None where it still runs, or died."""
    ended_note: str | None = None
    approvals: set[tuple[str | None, str | None]] = field(default_factory=set)


def replay(records: pd.DataFrame) -> RunState:
    """Return the state of a run from its records, which must be in the order of ``seq``.

    An intent is open until its outcome is written. A session that ended cleanly wrote
    the outcome of all it attempted, so what is open at its end was never sent; what a
    dead session leaves open may have been.
    """
    state = RunState()
    open_now: set[str] = set()
    for record in _plain_rows(records):
        event = record["event"]
        if event == Event.RUN_STARTED:
            for call_id in open_now:
                # The session before died here: whatever is read from now on, it may be of its writing.
                state.calls[call_id].may_be_ours = True
            _start_session(state, record)
            open_now = set()
        elif event == Event.APPROVAL:
            state.approvals.add((record["by"], record["note"]))
        elif event == Event.RUN_ENDED:
            state.ended, state.ended_note = record["reason"], record["note"]
            for call_id in open_now:
                state.calls[call_id].is_open = False
            open_now = set()
        else:
            call = state.calls.setdefault(record["call_id"], CallState())
            if event == Event.INTENT:
                call.intent, call.is_open = record, True
                open_now.add(record["call_id"])
            elif event == Event.ATTEMPT:
                call.n_attempts += 1
            else:
                call.outcome, call.is_open = record, False
                call.may_be_ours = call.may_be_ours or Outcome(record["outcome"]) in MAY_BE_OURS
                open_now.discard(record["call_id"])
    for call in state.calls.values():
        call.may_be_ours = call.may_be_ours or call.is_open
    return state


def _plain_rows(records: pd.DataFrame) -> Iterable[dict[str, Any]]:
    """Yield records with missing values as None."""
    plain = records.astype(object)
    for row in plain.where(plain.notna(), None).to_dict("records"):
        yield {str(name): value for name, value in row.items()}


def _start_session(state: RunState, record: Mapping[str, Any]) -> None:
    state.n_sessions += 1
    state.ended = state.ended_note = None
    if not state.facts:
        state.facts = json.loads(record["note"])
    before, after = json.loads(record["before"] or "{}"), json.loads(record["after"] or "{}")
    for call_id, values in after.items():
        call = state.calls.setdefault(call_id, CallState())
        call.before, call.after = json.dumps(before.get(call_id)), json.dumps(values)


def _row(call_id: str, call: CallState) -> dict[str, Any]:
    """Return one call's row of `Run.records`."""
    intent, outcome = call.intent or {}, call.outcome or {}
    known = outcome or intent
    row: dict[str, Any] = {name: known.get(name) for name in _COPIED}
    if call.is_open:
        # The outcome of an earlier session says nothing about the PATCH that may have left since.
        row |= dict.fromkeys(("confirmed_by", "http_status", "error_code", "request_id"))
        row["error_detail"] = (
            "the run ended abruptly after its intent was written: apply again, the call is read first"
        )
    return row | {
        "call_id": call_id,
        "outcome": call.last.value,
        "at": None if call.is_open else outcome.get("at"),
        "before": intent.get("before") or call.before,
        "after": intent.get("after") or call.after,
        "observed": json.dumps(call.observed) if call.observed else None,
        "reread": intent.get("note"),
        "n_attempts": call.n_attempts,
    }


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One plan as it was carried out on one API, with what came of each call.

    Attributes
    ----------
    run_id, plan_id, api_url
        Which run of which plan on which API.
    audit
        The log it is kept in.
    ended
        How the latest session ended: ``complete``, ``limit``, ``interrupted``, or the
        kind of reason it stopped for; None where it still runs or died.
    stopped
        Why the latest session stopped part-way, as a sentence; None where it did not.
    head
        The hash of the run's last record. Keep it elsewhere: only against it does a
        cut end of the log show.
    reverts_run_id
        The run that this one undoes; None where it is no revert.
    """

    run_id: str
    plan_id: str
    api_url: str
    audit: AuditLog
    started_at: pd.Timestamp
    last_at: pd.Timestamp
    n_sessions: int
    ended: str | None
    stopped: str | None
    head: str
    reverts_run_id: str | None
    _records: pd.DataFrame

    @property
    def records(self) -> pd.DataFrame:
        """One row per call with its last state, in plan order; see `RUN_RECORDS`."""
        return self._records.copy(deep=False)

    def count(self, *outcomes: Outcome) -> int:
        """Return how many calls have one of these outcomes."""
        return int(self._records["outcome"].isin([outcome.value for outcome in outcomes]).sum())

    def summary(self) -> dict[str, object]:
        """Return counts and plain values; every view starts here."""
        counts = {outcome.value: self.count(outcome) for outcome in Outcome}
        return {
            "run_id": self.run_id,
            "plan_id": self.plan_id,
            "api_url": self.api_url,
            "n_calls": len(self._records),
            **counts,
            "n_sessions": self.n_sessions,
            "started_at": self.started_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "ended": self.ended,
            "stopped": self.stopped,
            "head": self.head,
        }

    def __repr__(self) -> str:
        counts = [f"{self.count(outcome):,} {outcome.value}" for outcome in Outcome if self.count(outcome)]
        told = ", ".join(counts) or "no calls"
        stopped = f"; stopped: {self.stopped}" if self.stopped else ""
        return f"<Run {self.run_id}: {told}{stopped}; head {self.head}; next: {self._next_step()}>"

    def _next_step(self) -> str:
        if self.count(Outcome.PENDING, Outcome.UNKNOWN, Outcome.FAILED):
            return "apply the plan again, it continues here"
        return "verify_run(run, client)"

    def _repr_html_(self) -> str:
        return self._document()._repr_html_()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the run as one self-contained HTML file with every call; return its path."""
        return self._document().to_html(path)

    def _document(self) -> Document:
        summary = self.summary()
        counts = {outcome.value: self.count(outcome) for outcome in Outcome if self.count(outcome)}
        times = {name: summary[name] for name in ("started_at", "last_at", "ended", "n_sessions")}
        about = {name: summary[name] for name in ("run_id", "plan_id", "api_url")} | times
        return Document(
            title=f"Run {self.run_id}",
            subtitle=self.api_url,
            verdict=self._verdict(),
            tone=self._tone(),
            facts={**counts, "head of the audit log": self.head},
            sections=self._sections(),
            about=about,
            summary=summary,
        )

    def _verdict(self) -> str:
        done = self.count(*SETTLED)
        verdict = f"{done:,} of {plural(len(self._records), 'call')} hold what the plan says; next: {self._next_step()}."
        return f"Stopped: {self.stopped}. {verdict}" if self.stopped else verdict

    def _tone(self) -> str:
        if self.count(*SETTLED) == len(self._records):
            return "ok"
        return "stop" if self.stopped or self.count(Outcome.ALTERED, Outcome.UNKNOWN) else "warn"

    def _sections(self) -> list[Section]:
        shown = self._records[
            [
                "call_id",
                "outcome",
                "confirmed_by",
                "before",
                "after",
                "observed",
                "http_status",
                "error_detail",
            ]
        ]
        is_done = shown["outcome"].isin([outcome.value for outcome in SETTLED])
        sections = [
            Section(
                "Calls",
                "Every call of the plan with its last state over all sessions.",
                shown,
                filters=["outcome"],
                is_searchable=True,
                plain_numbers=["http_status"],
                rest="The audit log holds every call.",
                in_card=False,
            )
        ]
        if not is_done.all():
            intro = "What came of them; applying the plan again continues this run."
            left = shown.loc[~is_done].drop(columns="confirmed_by")
            sections.insert(
                0, Section("Calls that were not corrected", intro, left, plain_numbers=["http_status"])
            )
        return sections


def load_run(audit: AuditLog | str | os.PathLike[str], run_id: str | None = None) -> Run:
    """Bring a run back from its log.

    Parameters
    ----------
    audit
        The log or its folder.
    run_id
        Which run; the one with the latest record by default.

    Raises
    ------
    InputError
        If the log is not there, is empty, or does not know the run.
    """
    log = audit if isinstance(audit, AuditLog) else AuditLog(audit)
    records = log.records()
    if records.empty:
        msg = f"the audit log {log.path} holds no run yet"
        raise InputError(msg)
    if run_id is None:
        run_id = str(records["run_id"].iloc[-1])
    mine = records.loc[records["run_id"].eq(run_id)]
    if mine.empty:
        known = ", ".join(records["run_id"].drop_duplicates())
        msg = f"the audit log {log.path} has no run {run_id!r}; its runs: {known}"
        raise InputError(msg)
    return run_from_records(log, mine)


def run_from_records(log: AuditLog, records: pd.DataFrame) -> Run:
    """Return the run that these records of one run tell of."""
    state = replay(records)
    rows = [_row(call_id, call) for call_id, call in state.calls.items()]
    latest = records.iloc[-1]
    quiet = {None, "complete", "limit"}
    return Run(
        run_id=latest["run_id"],
        plan_id=latest["plan_id"],
        api_url=latest["api_url"],
        audit=log,
        started_at=records["at"].iloc[0],
        last_at=latest["at"],
        n_sessions=state.n_sessions,
        ended=state.ended,
        stopped=None if state.ended in quiet else state.ended_note,
        head=latest["hash"],
        reverts_run_id=state.facts.get("reverts_run_id"),
        _records=_frame(rows),
    )


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return RUN_RECORDS.empty()
    frame = pd.DataFrame(rows, columns=RUN_RECORDS.names)
    stamps = pd.to_datetime(frame["at"], utc=True).astype(Kind.INSTANT.value)
    integers = {c.name: frame[c.name].astype("Int64") for c in RUN_RECORDS.columns if c.kind is Kind.INTEGER}
    return conform(frame.assign(at=stamps, **integers), RUN_RECORDS)
