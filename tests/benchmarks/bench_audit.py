"""Time reading, checking, continuing and exporting a large audit log against pandas reading its folder.

Usage: python tests/benchmarks/bench_audit.py [--calls 100000] [--per-part 100] [--rounds 3] [--json OUT.json]

A plan of so many calls and the log of its run, in which every call was sent and applied,
are written with the program's own means: an intent, an attempt and an outcome for each
call, one part for the intents of a chunk and one for what came of them. Each step of each
round is a fresh process, and the rounds go over all steps in turn. Shown are the medians,
the processor time, the most memory, what of it the step itself added, and the ratio to
``pandas.read_parquet(folder)`` of the same rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.apply.planned import planned_calls
from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.plan import Plan
from sippet_reconcile.run import read_events, state_of
from sippet_reconcile.schema import CHANGES

URL = "http://127.0.0.1:9"
"""Nobody listens there: nothing may be asked of the API of a run that is settled."""

PANDAS = "pandas.read_parquet(folder)"
RESULTS = Path(__file__).with_name("results") / "bench_audit.json"
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


def continue_run(folder: Path, plan: Plan) -> sr.Run:
    """Apply the plan once more: everything is settled, nothing is sent."""
    with sr.Client(URL, token="-") as client:  # noqa: S106 - nobody is asked
        run = sr.apply_plan(plan, client, folder, progress=False)
    if run.summary()["applied"] != len(plan.calls):
        sys.exit(f"the run is not what was written: {run!r}")
    return run


def stand(folder: Path) -> int:
    """Find where the run stands, as applying does first."""
    known = read_events(AuditLog(folder))
    return len(state_of(known.of(known.run_ids[0])).calls)


def export(folder: Path, suffix: str) -> None:
    """Export all records."""
    with tempfile.TemporaryDirectory() as name:
        AuditLog(folder).export(Path(name) / f"log{suffix}", progress=False)


STEPS: dict[str, Callable[[Path], object]] = {
    PANDAS: pd.read_parquet,
    "AuditLog.head": lambda folder: AuditLog(folder).head,
    "AuditLog.records()": lambda folder: AuditLog(folder).records(),
    "AuditLog.runs()": lambda folder: AuditLog(folder).runs(),
    "AuditLog.verify()": lambda folder: AuditLog(folder).verify(),
    "where a run stands": stand,
    "load_run": sr.load_run,
    "load_run, revert_run": lambda folder: sr.revert_run(sr.load_run(folder)),
    "export .parquet": lambda folder: export(folder, ".parquet"),
    "export .csv": lambda folder: export(folder, ".csv"),
    "export .jsonl": lambda folder: export(folder, ".jsonl"),
    "export .xlsx": lambda folder: export(folder, ".xlsx"),
}
CONTINUE = "apply_plan, all settled"
NAMES = [*STEPS, CONTINUE]


def peak_mb() -> float:
    """Return the most memory that this process has had.

    Not what ``resource`` says: on Linux that includes what the parent had when it started us.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    msg = "this system does not tell the peak of memory in /proc/self/status: run the benchmark on Linux"
    raise RuntimeError(msg)


def measure(folder: Path, name: str) -> dict[str, float]:
    """Run one step and return its figures."""
    if name == CONTINUE:
        plan = Plan.load(folder / "plan.parquet")
        call: Callable[[], object] = lambda: continue_run(folder / "log", plan)  # noqa: E731 - as short as the others
    else:
        call = lambda: STEPS[name](folder / "log")  # noqa: E731
    ahead = peak_mb()
    begin, begin_cpu = time.perf_counter(), time.process_time()
    call()
    wall, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
    peak = peak_mb()
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "added_mb": peak - ahead}


def prepare(folder: Path, n_calls: int, per_part: int) -> None:
    """Write plan and log."""
    plan = make_plan(n_calls)
    plan.save(folder / "plan.parquet")
    write_log(folder / "log", plan, per_part)


def run_step(folder: Path, name: str) -> dict[str, float]:
    """Measure one step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main(n_calls: int, per_part: int, rounds: int, target: Path) -> None:
    """Measure, print the table and write it down."""
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, n_calls, per_part)
        n_parts = len(AuditLog(folder / "log").parts())
        for _ in range(rounds):
            for step in NAMES:
                measured[step].append(run_step(folder, step))
    table = {
        step: {key: median(figures[key] for figures in rows) for key in rows[0]}
        for step, rows in measured.items()
    }
    print(f"{n_calls:,} calls, {3 * n_calls:,} records and a few, {n_parts:,} parts, {rounds} rounds")
    for step, figures in table.items():
        figures["x_pandas"] = figures["wall_s"] / table[PANDAS]["wall_s"]
        figures["x_pandas_cpu"] = figures["cpu_s"] / table[PANDAS]["cpu_s"]
        print(
            f"{step:28} {figures['wall_s']:7.2f} s  cpu {figures['cpu_s']:7.2f} s  peak {figures['peak_mb']:6,.0f} MB "
            f"(+{figures['added_mb']:5,.0f})  {figures['x_pandas']:5.2f} x pandas (cpu {figures['x_pandas_cpu']:.2f})"
        )
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "calls": n_calls,
        "parts": n_parts,
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg(),
        "versions": {
            package: metadata.version(package) for package in ("pandas", "pyarrow", "sippet-reconcile")
        },
        "table": table,
        "rounds": measured,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=2), encoding="utf-8")
    print(f"written to {target}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--per-part", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=NAMES, help="measure one step only, as each round does")
    parser.add_argument("--prepare", action="store_true", help="only write plan and log into --folder")
    parser.add_argument("--folder", type=Path, help="where plan and log are")
    given = parser.parse_args()
    if given.prepare:
        prepare(given.folder, given.calls, given.per_part)
    elif given.step:
        print(json.dumps(measure(given.folder, given.step)))
    else:
        main(given.calls, given.per_part, given.rounds, given.json)
