"""Make a whole document of a run: what came of the calls, what was not corrected and why, then every call.

Input is a `Run`, output a `Document`. Values stand as people read them, one row per call
and field; the JSON of the log is read for those rows only that a document holds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import joined, plural
from sippet_reconcile.audit import Outcome
from sippet_reconcile.audit.card import head_section
from sippet_reconcile.report import MAX_HTML_ROWS, Bar, BarChart, Document, Section
from sippet_reconcile.report.bounds import bounded
from sippet_reconcile.report.columns import source_lines
from sippet_reconcile.report.money import headline_of, money_sections, money_sentence, money_summary
from sippet_reconcile.run.state import SETTLED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sippet_reconcile.report import MoneyFacts
    from sippet_reconcile.run.model import Run

__all__ = ["OUTCOME_WORDS", "field_rows", "run_document"]

OUTCOME_WORDS: Final[Mapping[Outcome, str]] = {
    Outcome.APPLIED: "sent, and it reads as it was sent",
    Outcome.ALREADY: "held what the plan says before anything was sent",
    Outcome.DRIFTED: "changed since the plan was made, and was left alone",
    Outcome.REJECTED: "the API refused the correction",
    Outcome.MISSING: "the API shows no such call",
    Outcome.FAILED: "not written although it was tried again; it still holds what it held",
    Outcome.ALTERED: "written, and something reads otherwise than it was sent, or changed unasked",
    Outcome.UNKNOWN: "may have been written; it could not be read back yet",
    Outcome.PENDING: "not attempted yet",
}
"""What an outcome means, of one call."""

_NOT_SENT: Final = "(not sent)"
_DONE: Final = [outcome.value for outcome in SETTLED]
_NOT_LISTED: Final = [*_DONE, Outcome.PENDING.value]
_HEADS: Final = {
    "call_id": "call",
    "confirmed_by": "known from",
    "at": "when",
    "observed": "found",
    "n_calls": "calls",
    "n_attempts": "PATCH requests",
    "http_status": "HTTP status",
    "error_code": "code",
    "error_detail": "what was said",
    "explanation": "cause",
    "source": "CDR line",
    "request_id": "request id",
    "meaning": "what it means",
    "started_by": "who ran it",
    "ended": "how it ended",
    "note": "note",
}


def run_document(run: Run, *, most: int = MAX_HTML_ROWS, money: MoneyFacts | None = None) -> Document:
    """Return the document of a run.

    Parameters
    ----------
    run
        The run.
    most
        Values that each list of calls holds at most.
    money
        What was corrected so far is worth; None where no rate card was given.
    """
    summary = run.summary()
    worth = [] if money is None else money_sections(money, so_far=True)
    told = verdict_of(run, "" if money is None else money_sentence(money, so_far=True))
    records = run.records
    sections = [
        _outcomes(run),
        *worth,
        _reasons(records),
        _not_corrected(records, most),
        _every_call(records, most),
        _approvals(run),
        _sessions(run),
        head_section(run.head, run.audit.path),
    ]
    who = {"approved_by": "approved by", "started_by": "who ran it"}
    sent_by = {word: summary[name] for name, word in who.items() if summary[name]}
    about = ("run_id", "plan_id", "api_url", "started_at", "last_at", "ended", "reverts_run_id")
    return Document(
        title=f"Run {run.run_id}",
        subtitle=" · ".join(part for part in (run.api_url, _undoes(run)) if part),
        verdict=told,
        tone=_tone(run),
        facts={
            "calls of the plan": len(records),
            **{outcome.value: run.count(outcome) for outcome in Outcome if run.count(outcome)},
            **({} if money is None else {"change of the invoices so far": headline_of(money)}),
            "PATCH requests": int(records["n_attempts"].sum()),
            "sessions": run.n_sessions,
            **sent_by,
            "head of the audit log after the run": run.head,
        },
        sections=[part for part in sections if part is not None],
        about={name: summary[name] for name in about if summary[name] is not None}
        | {"started_at": run.started_at, "last_at": run.last_at, "audit_log": str(run.audit.path)},
        summary=summary if money is None else {**summary, "money": money_summary(money)},
    )


def verdict_of(run: Run, worth: str = "") -> str:
    """Say in words how a run went, what that is worth where a sentence says so, and what comes next."""
    n_calls, n_done = len(run.records), run.count(*SETTLED)
    n_already = run.count(Outcome.ALREADY)
    parts = [f"Stopped: {run.stopped}."] if run.stopped else []
    if not n_calls:
        parts.append("The plan has no calls, so nothing was sent.")
    elif n_done == n_calls:
        already = f", {n_already:,} of which held it before anything was sent" if n_already else ""
        verb = "held" if run.reverted_by else "hold" if n_calls > 1 else "holds"
        all_of = f"All {n_calls:,} calls" if n_calls > 1 else "The one call"
        parts.append(f"{all_of} of the plan {verb} what it says{already}.")
    else:
        left = [
            f"{run.count(outcome):,} {outcome.value}"
            for outcome in Outcome
            if outcome not in SETTLED and run.count(outcome)
        ]
        verb = "held" if run.reverted_by else "hold" if n_done != 1 else "holds"
        parts.append(f"{n_done:,} of {plural(n_calls, 'call')} {verb} what the plan says; {joined(left)}.")
    if worth:
        parts.append(worth)
    if run.ended is None:
        parts.append("It is not over: it still runs, or died and goes on when its plan is applied again.")
    if run.reverted_by:
        parts.append(f"Undone since by run {joined(run.reverted_by)}.")
    elif run.count(Outcome.PENDING, Outcome.UNKNOWN, Outcome.FAILED):
        parts.append("Next: apply the plan again; it goes on where it was.")
    elif n_calls:
        parts.append("Next: read everything back, with verify_run in a notebook or sippet-reconcile verify.")
    return " ".join(parts)


def _tone(run: Run) -> str:
    if run.stopped or run.count(Outcome.ALTERED, Outcome.UNKNOWN):
        return "stop"
    return "ok" if run.count(*SETTLED) == len(run.records) and run.ended and not run.reverted_by else "warn"


def _undoes(run: Run) -> str:
    return f"undoes run {run.reverts_run_id}" if run.reverts_run_id else ""


def _outcomes(run: Run) -> Section | None:
    found = [outcome for outcome in Outcome if run.count(outcome)]
    if not found:
        return None
    frame = pd.DataFrame(
        {
            "outcome": pd.Series([outcome.value for outcome in found], dtype="str"),
            "n_calls": pd.Series([run.count(outcome) for outcome in found], dtype="Int64"),
            "meaning": pd.Series([OUTCOME_WORDS[outcome] for outcome in found], dtype="str"),
        }
    )
    bars = tuple(
        Bar(
            outcome.value,
            float(run.count(outcome)),
            plural(run.count(outcome), "call"),
            is_quiet=outcome is Outcome.PENDING,
        )
        for outcome in found
    )
    return Section(
        "What came of the calls", frame=frame, charts=[BarChart("Calls by outcome", bars)], heads=_HEADS
    )


def _reasons(records: pd.DataFrame) -> Section | None:
    """Return the section that counts why calls were not corrected, the commonest reason first."""
    left = records.loc[~records["outcome"].isin(_DONE)]
    if left.empty:
        return None
    keys = ["outcome", "http_status", "error_code"]
    # The example of a group is its first call of which anything was said.
    left = left.sort_values("error_detail", key=lambda said: said.isna(), kind="stable")
    rows = left.groupby(keys, dropna=False, as_index=False).agg(
        n_calls=("call_id", "size"), example=("call_id", "first"), error_detail=("error_detail", "first")
    )
    rows = rows.sort_values("n_calls", ascending=False, kind="stable", ignore_index=True)
    meaning = [OUTCOME_WORDS[Outcome(word)] for word in rows["outcome"]]
    shown = rows.assign(meaning=pd.Series(meaning, dtype="str"), n_calls=rows["n_calls"].astype("Int64"))
    shown = shown[["outcome", "n_calls", "meaning", "http_status", "error_code", "error_detail", "example"]]
    return Section(
        "Not corrected, and why",
        "Applying the plan again continues this run: each of these calls is read first, and sent only where it still "
        "holds what was planned from.",
        _without_empty(shown, "http_status", "error_code", "error_detail"),
        heads={**_HEADS, "error_detail": "said of the example"},
        plain_numbers=["http_status"],
    )


def _without_empty(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.drop(columns=[name for name in names if frame[name].isna().all()])


def _not_corrected(records: pd.DataFrame, most: int) -> Section | None:
    """Return the calls that were not corrected; those that nobody tried are in the list of all."""
    left = records.loc[~records["outcome"].isin(_NOT_LISTED)]
    if left.empty:
        return None
    return _listing(
        "Calls that were not corrected",
        "What was planned, and what was found instead.",
        left,
        most,
        in_card=True,
    )


def _every_call(records: pd.DataFrame, most: int) -> Section | None:
    if records.empty:
        return None
    told = "In the order of the plan, each with its last state over all sessions."
    return _listing("Every call", told, records, most, in_card=False)


def _listing(title: str, intro: str, records: pd.DataFrame, most: int, *, in_card: bool) -> Section:
    """Return a section of calls, one row per field, as many calls as a document holds."""
    calls, rows = field_rows(records, most)
    once = ["outcome", "at", "confirmed_by", "call_id"]
    frame = rows[[*once[:3], "field", "before", "after", "observed", "call_id"]]
    frame = _without_empty(frame, "confirmed_by", "observed", "at")
    dash = " A dash is no value." if frame[["before", "after"]].isna().any(axis=None) else ""
    return Section(
        title,
        f"{intro}{dash}{bounded(len(calls), len(records), 'call', 'run.records')}",
        frame,
        heads=_HEADS,
        filters=["outcome", "field"],
        is_searchable=True,
        plain_numbers=["http_status"],
        group_by="call_id",
        row_word="value",
        once=[name for name in once if name in frame],
        evidence=_proof(calls),
        in_card=in_card,
    )


def field_rows(records: pd.DataFrame, most: int = MAX_HTML_ROWS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the first calls of a run, and their values as rows: one per call and field.

    Parameters
    ----------
    records
        `RUN_RECORDS`.
    most
        Rows at most; a call is never cut, and the first one is there in any case.

    Returns
    -------
    tuple of DataFrame
        The calls that have rows; and ``call_id``, ``outcome``, ``confirmed_by``, ``at``,
        ``field``, ``before``, ``after``, ``observed``, as text in API form, null as missing.
        What was not to be changed, and was found changed, has "(not sent)" as its ``after``.
    """
    rows: list[dict[str, Any]] = []
    n_calls = 0
    for row in records.head(most).to_dict("records"):
        own = _fields(row)
        if rows and len(rows) + len(own) > most:
            break
        rows += own
        n_calls += 1
    names = ("call_id", "outcome", "confirmed_by", "at", "field", "before", "after", "observed")
    frame = pd.DataFrame(
        {name: pd.Series([row[name] for row in rows], dtype="str") for name in names if name != "at"}
    )
    at = pd.Series([row["at"] for row in rows], dtype=records["at"].dtype)
    return records.head(n_calls), frame.assign(at=at)


def _fields(row: Mapping[Any, Any]) -> list[dict[str, Any]]:
    before, after, observed, reread = (
        _values(row[name]) for name in ("before", "after", "observed", "reread")
    )
    # Of what was not sent, only what did not stay as it was is worth a row.
    moved = [
        name for name in observed if name not in after and name in reread and observed[name] != reread[name]
    ]
    about = {name: row[name] for name in ("call_id", "outcome", "confirmed_by", "at")}
    return [
        {
            **about,
            "field": name,
            "before": before.get(name, reread.get(name)),
            "after": after.get(name) if name in after else _NOT_SENT,
            "observed": observed.get(name),
        }
        for name in [*after, *moved]
    ] or [{**about, "field": None, "before": None, "after": None, "observed": None}]


def _values(text: object) -> dict[str, str | None]:
    """Return the JSON values of a record as they are shown."""
    values: dict[str, object] = json.loads(text) if isinstance(text, str) else {}
    return {name: None if value is None else str(value) for name, value in (values or {}).items()}


def _proof(calls: pd.DataFrame) -> pd.DataFrame:
    """Return why each call was to be changed, from which evidence, and what the API said; one row per call."""
    names = ["explanation", "reason", "http_status", "error_code", "error_detail", "request_id", "n_attempts"]
    return calls[names].assign(source=source_lines(calls)).reset_index(drop=True)


def _approvals(run: Run) -> Section | None:
    approvals = run.approvals
    if approvals.empty:
        return None
    return Section(
        "Approvals",
        f"As the audit log has them, all of plan {run.plan_id}.",
        approvals,
        heads={"by": "who", "at": "when", "note": "why"},
    )


def _sessions(run: Run) -> Section | None:
    sessions = run.sessions
    if sessions.empty:
        return None
    return Section(
        "Sessions",
        "One run is one plan on one API; stopped or limited, it goes on when the plan is applied again.",
        _without_empty(sessions, "limit", "note", "ended_at"),
        heads={**_HEADS, "note": "what was said"},
        in_card=False,
    )
