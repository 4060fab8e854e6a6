"""How long does reading, checking, continuing and exporting a large audit log take, beside pandas reading its folder?

A plan of so many calls and the log of its run, in which every call was sent and applied,
are written with the program's own means: an intent, an attempt and an outcome for each
call, one part for the intents of a chunk and one for what came of them.
"""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.apply.planned import planned_calls
from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.plan import Plan
from sippet_reconcile.run import read_events, state_of
from sippet_reconcile.schema import CHANGES
from tests.benchmarks.case import Case, Group

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Found, Step

__all__ = ["CONTINUE", "GROUP", "LOAD", "prepare"]

PER_PART = 100
"""Calls whose intents are one part of the log."""

URL = "http://127.0.0.1:9"
"""Nobody listens there: nothing may be asked of the API of a run that is settled."""

PANDAS = "pandas.read_parquet(folder)"
REREAD = '{"call_source":"sip","ended_at":"2026-10-01T08:01:00Z","started_at":"2026-10-01T08:00:00Z","status":"completed"}'
BEFORE, AFTER = '{"duration_seconds":30}', '{"duration_seconds":60}'


def make_plan(n: int) -> Plan:
    """Return an approved plan that gives so many calls 60 seconds instead of 30."""
    ids = [f"{(number * 2654435761) % 2**32:08x}-0000-4000-8000-{number:012d}" for number in range(n)]
    columns = {
        "call_id": ids,
        "call_uuid": [f"switch-{number}" for number in range(n)],
        "source_row": range(1, n + 1),
        "field": "duration_seconds",
        "before": "30",
        "after": "60",
        "before_s": 30.0,
        "after_s": 60.0,
        "delta_s": 30.0,
        "explanation": "ringing counted",
        "reason": "ticket 4711",
        "match_rule": None,
        "source_file": "cdr-2026-10.csv",
    }
    frame = pd.DataFrame(
        {name: pd.Series(columns[name], range(n), dtype=t) for name, t in CHANGES.dtypes.items()}
    )
    plan = Plan.from_changes(frame, kind="corrections", api_url=URL)
    return plan.approve(by="ana", note="October")


def write_log(folder: Path, plan: Plan, per_part: int) -> None:
    """Write the log of a run that applied the whole plan."""
    at = datetime(2026, 10, 2, tzinfo=UTC)
    calls = planned_calls(plan)

    def entry(event: Event, **columns: Any) -> Entry:
        return Entry(
            event=event,
            at=at,
            run_id="20261002T000000Z-00000000",
            plan_id=plan.plan_id,
            api_url=URL,
            **columns,
        )

    facts = {"n_calls": len(calls), "kind": plan.kind, "reverts_run_id": None, "rate": "5/s"}
    with AuditLog(folder).writing() as writer:
        meant = {side: calls.as_json(side) for side in ("before", "after")}
        writer.append(
            [
                entry(Event.RUN_STARTED, by="ana", note=json.dumps(facts), **meant),
                entry(Event.APPROVAL, by="ana", note="October"),
            ]
        )
        for start in range(0, len(calls), per_part):
            at += timedelta(seconds=10)
            intents, told = [], []
            for call in calls[start : start + per_part]:
                evidence = {
                    name: getattr(call, name)
                    for name in ("explanation", "reason", "source_file", "source_row")
                }
                about = {"call_id": call.call_id, "call_uuid": call.call_uuid}
                answer = {"http_status": 200, "request_id": f"req-{call.source_row:012x}", "latency_ms": 20}
                change = {"before": BEFORE, "after": AFTER, **evidence, **about}
                intents.append(entry(Event.INTENT, note=REREAD, **change))
                told.append(entry(Event.ATTEMPT, attempt=1, note='{"kind":"ok"}', **about, **answer))
                applied = {"outcome": Outcome.APPLIED, "confirmed_by": "answer", "attempt": 1}
                told.append(entry(Event.OUTCOME, **applied, **change, **answer))
            writer.append(intents)
            writer.append(told)
        writer.append(
            [entry(Event.RUN_ENDED, reason="complete", note="every call of the plan was attempted")]
        )


def prepare(folder: Path, n_calls: int, _cache: Path, per_part: int = PER_PART) -> None:
    """Write plan and log."""
    plan = make_plan(n_calls)
    plan.save(folder / "plan.parquet")
    write_log(folder / "log", plan, per_part)


def _continue(folder: Path) -> Step:
    """Apply the plan once more, on a copy of the log: everything is settled, nothing is sent."""
    plan, log = Plan.load(folder / "plan.parquet"), folder / "continued"
    shutil.rmtree(log, ignore_errors=True)
    shutil.copytree(folder / "log", log)

    def step() -> sr.Run:
        with sr.Client(URL, token="-") as client:  # noqa: S106 - nobody is asked
            return sr.apply_plan(plan, client, log, progress=False)

    return step


def _stand(log: AuditLog) -> Any:
    """Find where the run stands, as applying does first."""
    known = read_events(log)
    return state_of(known.of(known.run_ids[0])).calls


def _of_log(work: Callable[[AuditLog], Any]) -> Callable[[Path], Step]:
    return lambda folder: lambda: work(AuditLog(folder / "log"))


def _export(suffix: str) -> Callable[[Path], Step]:
    return lambda folder: lambda: AuditLog(folder / "log").export(folder / f"log{suffix}", progress=False)


def _applied(run: Any) -> dict[str, int]:
    return {"applied": int(run.summary()["applied"])}


def _wrong(folder: Path, found: Found) -> list[str]:
    n = len(Plan.load(folder / "plan.parquet").calls)
    told = {name: facts["applied"] for name, facts in found.items() if "applied" in facts}
    return [f"{name} found {applied} of {n} calls applied" for name, applied in told.items() if applied != n]


CONTINUE, LOAD = "apply_plan, all settled", "load_run"
GROUP = Group(
    "audit",
    f"An audit log of three records per call, in parts of {PER_PART} calls.",
    (
        Case(PANDAS, lambda folder: lambda: pd.read_parquet(folder / "log")),
        Case("AuditLog.head", _of_log(lambda log: log.head)),
        Case("AuditLog.records()", _of_log(AuditLog.records), lambda rows: {"records": len(rows)}),
        Case("AuditLog.runs()", _of_log(AuditLog.runs)),
        Case("AuditLog.verify()", _of_log(AuditLog.verify)),
        Case("where a run stands", _of_log(_stand), lambda calls: {"applied": len(calls)}),
        Case(LOAD, lambda folder: lambda: sr.load_run(folder / "log"), _applied),
        Case("load_run, revert_run", lambda folder: lambda: sr.revert_run(sr.load_run(folder / "log"))),
        Case("export .parquet", _export(".parquet")),
        Case("export .csv", _export(".csv")),
        Case("export .jsonl", _export(".jsonl")),
        Case("export .xlsx", _export(".xlsx"), needs=("xlsxwriter",)),
        Case(CONTINUE, _continue, _applied),
    ),
    PANDAS,
    prepare,
    size=100_000,
    wrong=_wrong,
    unit="calls",
)
