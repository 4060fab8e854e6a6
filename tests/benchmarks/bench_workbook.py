"""Time writing and reading back the review workbook against pandas writing the same cells.

Usage: python tests/benchmarks/bench_workbook.py [--changes 100000] [--rounds 2] [--json OUT.json]

A plan of so many changes is made; each step of each round is a fresh process, and the
rounds go over all steps in turn. Shown are the medians, the processor time, what of the
memory the step itself added, and the ratio to ``DataFrame.to_excel`` with xlsxwriter.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import openpyxl
import pandas as pd

from sippet_reconcile.plan import Plan
from sippet_reconcile.schema import CHANGES

BASE = "DataFrame.to_excel, xlsxwriter"
RESULTS = Path(__file__).with_name("results") / "bench_workbook.json"


def make_plan(n: int) -> Plan:
    """Return a plan of so many changes, of one call each."""
    ids = [f"{(number * 2654435761) % 2**32:08x}-0000-4000-8000-{number:012d}" for number in range(n)]
    columns: dict[str, Any] = {
        "call_id": ids, "call_uuid": [f"switch-{number}" for number in range(n)], "source_row": range(1, n + 1),
        "field": "duration_seconds", "before": "30", "after": "60", "before_s": 30.0, "after_s": 60.0,
        "delta_s": 30.0, "explanation": "ring-time-included", "reason": "The API counts the ringing as well.",
        "match_rule": "call_uuid", "source_file": "cdr-2026-10.csv",
    }  # fmt: skip
    frame = pd.DataFrame({k: pd.Series(columns[k], range(n), dtype=t) for k, t in CHANGES.dtypes.items()})
    at = pd.Timestamp("2026-10-01T08:00:00Z").as_unit("us")
    starts = at + pd.to_timedelta(pd.Series(range(n)), unit="s")
    calls = pd.DataFrame({"call_id": ids, "call_uuid": columns["call_uuid"]}).assign(
        duration_seconds=30, started_at=starts, ended_at=starts + pd.Timedelta(seconds=70), direction="inbound",
        from_number="+442079460123", to_number="+442079460999", sip_username="anna", status="completed",
        started_at_cdr=starts, answered_at_cdr=starts, ended_at_cdr=starts + pd.Timedelta(seconds=60),
        total_s_cdr=70.0, billable_s_cdr=60.0, status_cdr="completed", n_legs_cdr=1,
        sources=[f"cdr-2026-10.csv:{number}" for number in range(1, n + 1)],
    )  # fmt: skip
    return Plan.from_changes(frame, kind="corrections", api_url="http://127.0.0.1:9", calls=calls)


def as_frame(plan: Plan) -> pd.DataFrame:
    """Return the cells of the changes for pandas to write."""
    frame = plan.changes.merge(
        plan.calls, on="call_id", how="left", validate="many_to_one", suffixes=("", "_call")
    )
    instants = frame.select_dtypes("datetimetz")
    frame = frame.assign(**{name: instants[name].dt.tz_localize(None) for name in instants})
    return frame.dropna(axis=1, how="all").iloc[:, :23]


def steps(folder: Path) -> dict[str, Callable[[Plan], object]]:
    """Return what is timed, by name."""
    review = folder / "review.xlsx"

    def values() -> int:
        book = openpyxl.load_workbook(review, read_only=True)
        n = sum(1 for row in book["changes"].iter_rows() for cell in row if cell.value is not None)
        book.close()
        return n

    return {
        BASE: lambda plan: as_frame(plan).to_excel(folder / "a.xlsx", engine="xlsxwriter"),
        "DataFrame.to_excel, openpyxl": lambda plan: as_frame(plan).to_excel(
            folder / "b.xlsx", engine="openpyxl"
        ),
        "dry_run().to_excel": lambda plan: plan.dry_run().to_excel(review),
        "openpyxl reads its cells": lambda plan: values(),  # noqa: ARG005 - the plan is at hand in all steps
        "keep_reviewed": lambda plan: plan.keep_reviewed(review),
        "pandas.read_excel": lambda plan: pd.read_excel(review, sheet_name="changes", dtype=str),  # noqa: ARG005
    }


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_step(name: str, folder: Path) -> None:
    """Run one step in this process and print what it took."""
    plan = Plan.load(folder / "plan.parquet")
    plan.dry_run()
    held = peak_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    steps(folder)[name](plan)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "added_mb": peak_mb() - held}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--step", nargs=2, metavar=("NAME", "FOLDER"))
    asked = parser.parse_args()
    if asked.step:
        run_step(asked.step[0], Path(asked.step[1]))
        return
    taken: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        make_plan(asked.changes).save(Path(name) / "plan.parquet")
        for _ in range(asked.rounds):
            for step in steps(Path(name)):
                words = [sys.executable, __file__, "--step", step, name]
                done = subprocess.run(words, check=True, capture_output=True, text=True)
                taken.setdefault(step, []).append(json.loads(done.stdout))
    table = {
        step: {key: median(one[key] for one in every) for key in every[0]} for step, every in taken.items()
    }
    base = table[BASE]["cpu_s"]
    for step, row in table.items():
        row["times_base_cpu"] = row["cpu_s"] / base
        print(f"{step:32}" + "".join(f"  {key} {value:8.2f}" for key, value in row.items()))
    asked.json.parent.mkdir(exist_ok=True)
    asked.json.write_text(json.dumps({"changes": asked.changes, "steps": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
