"""Time reading and reconciling a month against what merely reading it with pandas costs.

Usage: python tests/benchmarks/bench_reconcile.py [--rows 1000000] [--rounds 5] [--json OUT.json]

The export comes from generate.py. The calls are derived from its legs: 3 % wrong durations,
1 % wrong statuses, 0.5 % without an end, 0.5 % on one side only each way, 10 % without a
call_uuid, in another order. Each step of each round is a fresh process, and the rounds go
over all steps in turn, so that a busy machine slows them all. Inputs are in memory before
the clock starts, and each process runs its step three times: the first also fetches memory
from the system. Shown are the medians and bests over all runs, the processor time, the
peak of memory, and the ratio to pandas; every round must find the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

import sippet_reconcile as sr

PANDAS, READ, RECONCILE = "pandas.read_csv, typed, dates", "read_cdr", "reconcile"
STEPS = (PANDAS, READ, RECONCILE)
REPEATS = 3
RESULTS = Path(__file__).with_name("results") / "bench_reconcile.json"
COUNTED = ("matched", "only_in_cdr", "only_in_api", "ambiguous_calls", "discrepancies")
ZONE, COUNTRY = "Europe/London", "GB"
NAMES = [
    "caller", "source", "destination", "context", "start", "answer", "end", "duration", "billsec", "cause",
    "uuid", "bleg", "account", "read_codec", "write_codec",
]  # fmt: skip


def derive_calls(legs: pd.DataFrame, seed: int = 7, *, wrong: float = 1.0) -> pd.DataFrame:
    """Return calls that agree with the legs but for the planted differences; `wrong` multiplies their shares."""
    rng = np.random.default_rng(seed)
    size = len(legs)
    billable = legs["billable_s"].fillna(0).astype("int64")
    ringing = legs["total_s"].fillna(0).astype("int64") - billable
    duration = billable + ringing.where(rng.random(size) < 0.03 * wrong, 0)
    status = legs["status"].mask(rng.random(size) < 0.01 * wrong, "failed")
    ids = pd.Series([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(size)], dtype="str")
    calls = pd.DataFrame(
        {
            "id": ids,
            "call_uuid": legs["call_key"].mask(rng.random(size) < 0.1),
            "direction": legs["direction"],
            "from_number": legs["from_e164"].fillna(legs["from_number"]),
            "to_number": legs["to_e164"].fillna(legs["to_number"]),
            "sip_username": legs["sip_username"],
            "status": status,
            "call_source": pd.Series("sip", index=legs.index, dtype="str"),
            "started_at": legs["started_at"],
            "ended_at": legs["ended_at"].mask(rng.random(size) < 0.005 * wrong),
            "duration_seconds": duration.astype("Int64"),
            "conversation_id": pd.Series(None, index=legs.index, dtype="str"),
            "api_url": pd.Series("https://api.example", index=legs.index, dtype="str"),
            "fetched_at": legs["ended_at"].max() + pd.Timedelta(days=2),
        }
    )
    order = rng.permutation(size)[size // 200 :]
    return calls.iloc[order].reset_index(drop=True)


def read_with_pandas(path: Path) -> pd.DataFrame:
    """Read the file as a careful analyst does: text where ids are, dates as dates."""
    return pd.read_csv(
        path, names=NAMES, dtype=dict.fromkeys(NAMES, "str") | {"duration": "Int64", "billsec": "Int64"},
        parse_dates=["start", "answer", "end"], keep_default_na=False, na_values=[""],
    )  # fmt: skip


def read_with_us(path: Path) -> pd.DataFrame:
    """Read the file into legs."""
    return sr.read_cdr(path, timezone=ZONE, country=COUNTRY, progress=False)


def write_record(target: Path, figures: dict[str, Any]) -> None:
    """Write figures beside when and with what they were measured."""
    packages = ("pandas", "pyarrow", "numpy", "sippet-reconcile")
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {package: metadata.version(package) for package in packages},
        **figures,
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(record, indent=2), encoding="utf-8")
    print(f"written to {target}")


def prepare(folder: Path, rows: int) -> None:
    """Write the export, its legs but for one in 200, and the calls."""
    path = folder / "Master.csv"
    generator = Path(__file__).with_name("generate.py")
    subprocess.run(
        [sys.executable, str(generator), str(path), str(rows)], check=True, stdout=subprocess.DEVNULL
    )
    legs = read_with_us(path)
    derive_calls(legs).to_pickle(folder / "calls.pkl")
    legs.iloc[rows // 200 :].reset_index(drop=True).to_pickle(folder / "legs.pkl")


def load_step(folder: Path, name: str) -> Callable[[], Any]:
    """Return a step whose inputs are in memory, or in the system's cache of files."""
    path = folder / "Master.csv"
    path.read_bytes()
    if name == PANDAS:
        return lambda: read_with_pandas(path)
    if name == READ:
        return lambda: read_with_us(path)
    legs, calls = pd.read_pickle(folder / "legs.pkl"), pd.read_pickle(folder / "calls.pkl")  # noqa: S301 - our own
    return lambda: sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)


def measure(folder: Path, name: str) -> dict[str, Any]:
    """Run one step and return its figures."""
    step = load_step(folder, name)
    wall: list[float] = []
    cpu: list[float] = []
    for _ in range(REPEATS):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        result = step()
        wall.append(time.perf_counter() - begin)
        cpu.append(time.process_time() - begin_cpu)
    said = result.summary() if name == RECONCILE else {}
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "found": [said[key] for key in COUNTED if key in said],
    }


def run_rounds(folder: Path, rounds: int) -> list[dict[str, dict[str, Any]]]:
    """Measure every step in each round, each in a process of its own."""
    measured: list[dict[str, dict[str, Any]]] = []
    for _ in range(rounds):
        figures: dict[str, dict[str, Any]] = {}
        for name in STEPS:
            command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[name] = json.loads(done.stdout)
        measured.append(figures)
    return measured


def summarise(measured: list[dict[str, dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return median and best of each step over all rounds, and of reading and reconciling together."""
    table: dict[str, dict[str, float]] = {}
    for name in STEPS:
        wall = [value for figures in measured for value in figures[name]["wall_s"]]
        cpu = [value for figures in measured for value in figures[name]["cpu_s"]]
        table[name] = {
            "median_s": median(wall),
            "best_s": min(wall),
            "cpu_s": median(cpu),
            "peak_mb": max(figures[name]["peak_mb"] for figures in measured),
        }
    read, reconcile = table[READ], table[RECONCILE]
    both = {key: read[key] + reconcile[key] for key in ("median_s", "best_s", "cpu_s")}
    table[f"{READ} + {RECONCILE}"] = {**both, "peak_mb": max(read["peak_mb"], reconcile["peak_mb"])}
    for figures in table.values():
        figures["x_pandas"] = figures["median_s"] / table[PANDAS]["median_s"]
        figures["x_pandas_best"] = figures["best_s"] / table[PANDAS]["best_s"]
    return table


def main(rows: int, rounds: int, target: Path) -> None:
    """Measure, print the table and write it down."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, rows)
        size = (folder / "Master.csv").stat().st_size
        measured = run_rounds(folder, rounds)
    table = summarise(measured)
    found = {tuple(figures[RECONCILE]["found"]) for figures in measured}
    print(f"{rows:,} rows, {size / 1e6:,.0f} MB, {rounds} rounds of {REPEATS}")
    for step, figures in table.items():
        print(
            f"{step:30} median {figures['median_s']:6.2f} s  best {figures['best_s']:6.2f} s  "
            f"cpu {figures['cpu_s']:6.2f} s  peak {figures['peak_mb']:6,.0f} MB  "
            f"{figures['x_pandas']:5.2f} x pandas (best {figures['x_pandas_best']:.2f})"
        )
    both = table[f"{READ} + {RECONCILE}"]
    print(f"Reading and reconciling takes {both['x_pandas']:.2f} of the time that pandas takes to read.")
    print(", ".join(COUNTED), *sorted(found))
    if len(found) != 1:
        sys.exit("the rounds did not find the same")
    write_record(
        target, {"rows": rows, "bytes": size, "load": os.getloadavg(), "table": table, "rounds": measured}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=STEPS, help="measure one step only, as each round does")
    parser.add_argument("--folder", type=Path, help="where the inputs of that step are")
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measure(given.folder, given.step)))
    else:
        main(given.rows, given.rounds, given.json)
