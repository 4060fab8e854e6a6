"""Time the rating of calls against one merge of pandas of the same size.

Usage: python tests/benchmarks/bench_rating.py [--calls 1000000] [--prefixes 50000] [--rounds 5] [--json OUT.json]

The card has prefixes of 1 to 8 digits, most of which lie within others; all rows have a first
day, and a tenth of the prefixes a second validity. The merge joins as many rows as there are calls with a
frame of as many rows as there are prefixes, on a key of text that most of them have: what
an analyst pays to look a price up that needs no longest prefix, no day and no rounding. Each step of each
round is a fresh process, and the rounds go over the steps in turn, so that a busy machine
slows them all. Each process runs its step three times. Shown are the medians and bests over
all runs, the processor time, the peak of memory and the ratio; every round must cost the same. Calls
are rated twice: with their numbers in E.164, and with numbers as delivered, which are read first.
The last digits are random, so that nearly every call has a number of its own; all are of a length that
their country has, as the numbers of an API are.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from bench_reconcile import write_record

import sippet_reconcile as sr
from sippet_reconcile.phones import numbers_to_e164

MERGE, LOAD = "pandas.merge on a text key", "RateCard.from_csv"
RATE, READ = "rate_calls, to_e164 given", "rate_calls, to_number only"
STEPS = (MERGE, RATE, READ, LOAD)
REPEATS = 3
RESULTS = Path(__file__).with_name("results") / "bench_rating.json"
CHANGED_ON = "2026-10-16"
SHARES = {1: 0.0001, 2: 0.001, 3: 0.005, 4: 0.05, 5: 0.15, 6: 0.3, 7: 0.3, 8: 0.2}
"""How many of the prefixes have so many digits, about: breakouts are long."""


def make_prefixes(rng: np.random.Generator, count: int) -> list[str]:
    """Return different prefixes, most of which begin with another one."""
    found: list[str] = []
    known: set[str] = set()
    for digits, share in SHARES.items():
        shorter = [prefix for prefix in found if len(prefix) == digits - 1]
        wanted = max(1, round(count * share)) if digits < max(SHARES) else count - len(found)
        most = 9 * 10 ** (digits - 1)
        layer: set[str] = set()
        while len(layer) < min(wanted, most):
            is_nested = bool(shorter) and rng.random() < 0.8
            start = (
                shorter[rng.integers(len(shorter))]
                if is_nested
                else str(rng.integers(10 ** (digits - 1), 10**digits))
            )
            candidate = start + str(rng.integers(10)) if is_nested else start
            if candidate not in known:
                layer.add(candidate)
                known.add(candidate)
        found += sorted(layer)
    return found


def make_card(rng: np.random.Generator, prefixes: list[str]) -> pd.DataFrame:
    """Return a card: a first day for all, a second validity for a tenth."""
    size = len(prefixes)
    rows = pd.DataFrame(
        {
            "prefix": pd.array(prefixes, dtype="str"),
            "rate_per_minute": [f"0.{value:05d}" for value in rng.integers(100, 90_000, size)],
            "initial_s": rng.choice([1, 6, 30, 60], size),
            "increment_s": rng.choice([1, 6, 60], size),
            "connect_fee": rng.choice(["0", "0.01", "0.05"], size),
            "currency": "GBP",
            "valid_from": "2026-01-01",
            "valid_to": None,
        }
    )
    changed = rng.random(size) < 0.1
    second = rows[changed].assign(valid_from=CHANGED_ON, rate_per_minute="0.02345")
    return pd.concat([rows.assign(valid_to=np.where(changed, CHANGED_ON, None)), second], ignore_index=True)


def make_numbers(rng: np.random.Generator, prefixes: Any, count: int) -> tuple[Any, pd.Series[str]]:
    """Return a prefix and a number of it for each call, drawn again until its country has numbers that long."""
    starts = np.empty(count, object)
    numbers = pd.Series(pd.NA, index=range(count), dtype="str")
    left = np.arange(count)
    while len(left):
        drawn = prefixes[rng.integers(len(prefixes), size=len(left))]
        ends, lengths = rng.integers(10**11, 10**12, len(left)).astype(str), rng.integers(10, 14, len(left))
        texts = [f"+{(start + end)[:n]}" for start, end, n in zip(drawn, ends, lengths, strict=True)]
        kept = numbers_to_e164(pd.Series(texts, dtype="str")).eq(pd.Series(texts)).to_numpy("bool")
        starts[left[kept]] = drawn[kept]
        numbers.iloc[left[kept]] = np.array(texts, object)[kept]
        left = left[~kept]
    return starts, numbers


def prepare(folder: Path, calls: int, prefixes: int) -> None:
    """Write the card, the calls and the two frames to merge."""
    rng = np.random.default_rng(11)
    known = make_prefixes(rng, prefixes)
    card = make_card(rng, known)
    card.to_csv(folder / "rates.csv", index=False)
    starts, numbers = make_numbers(rng, np.array(known), calls)
    seconds = np.where(rng.random(calls) < 0.3, 0, rng.gamma(1.2, 120, calls).astype(int))
    started = pd.Timestamp("2026-10-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 31 * 86_400, calls), unit="s"
    )
    frame = pd.DataFrame(
        {
            "id": pd.array([f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(calls)], dtype="str"),
            "to_number": numbers,
            "started_at": started.as_unit("us"),
            "duration_seconds": pd.array(seconds, dtype="Int64"),
        }
    )
    frame.to_pickle(folder / "calls.pkl")
    left = frame.assign(prefix=pd.array(starts, dtype="str"))[["id", "prefix", "duration_seconds"]]
    left.to_pickle(folder / "left.pkl")
    sr.RateCard.from_csv(folder / "rates.csv").rows.drop_duplicates("prefix").to_pickle(folder / "right.pkl")


def load_step(folder: Path, name: str) -> Callable[[], pd.DataFrame]:
    """Return a step whose inputs are in memory."""
    if name == MERGE:
        left, right = pd.read_pickle(folder / "left.pkl"), pd.read_pickle(folder / "right.pkl")  # noqa: S301 - our own
        right = right[["prefix", "rate_per_minute", "currency"]]
        return lambda: left.merge(right, how="left", on="prefix", validate="many_to_one")
    if name == LOAD:
        return lambda: sr.RateCard.from_csv(folder / "rates.csv").rows
    card, calls = sr.RateCard.from_csv(folder / "rates.csv"), pd.read_pickle(folder / "calls.pkl")  # noqa: S301 - our own
    if name == RATE:
        calls = calls.assign(to_e164=calls["to_number"])
    return lambda: sr.rate_calls(calls, card, timezone="Europe/London")


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
    said = {}
    if name in {RATE, READ}:
        said = {"cost": str(result["cost"].sum()), "unrated": int(result["unrated_reason"].notna().sum())}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "found": said}


def main(calls: int, prefixes: int, rounds: int, target: Path) -> None:
    """Measure, print the table and write it down."""
    measured: list[dict[str, dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, calls, prefixes)
        for _ in range(rounds):
            figures: dict[str, dict[str, Any]] = {}
            for step in STEPS:
                command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
                figures[step] = json.loads(
                    subprocess.run(command, check=True, capture_output=True, text=True).stdout
                )
            measured.append(figures)
    table: dict[str, dict[str, float]] = {}
    for step in STEPS:
        wall = [value for figures in measured for value in figures[step]["wall_s"]]
        cpu = [value for figures in measured for value in figures[step]["cpu_s"]]
        peak = max(figures[step]["peak_mb"] for figures in measured)
        table[step] = {"median_s": median(wall), "best_s": min(wall), "cpu_s": median(cpu), "peak_mb": peak}
    print(
        f"{calls:,} calls, {prefixes:,} prefixes, {rounds} rounds of {REPEATS}, load {os.getloadavg()[0]:.1f}"
    )
    for step, row in table.items():
        row["x_merge"], row["x_merge_best"] = (row[key] / table[MERGE][key] for key in ("median_s", "best_s"))
        row["x_merge_cpu"] = row["cpu_s"] / table[MERGE]["cpu_s"]
        print(
            f"{step:28} median {row['median_s']:6.3f} s  best {row['best_s']:6.3f} s  cpu {row['cpu_s']:6.3f} s  "
            f"peak {row['peak_mb']:5,.0f} MB  {row['x_merge']:5.2f} x merge (best {row['x_merge_best']:.2f}, "
            f"cpu {row['x_merge_cpu']:.2f})"
        )
    for step in (RATE, READ):
        found = {json.dumps(figures[step]["found"]) for figures in measured}
        print(step, *sorted(found))
        if len(found) != 1:
            sys.exit("the rounds did not cost the same")
    write_record(
        target,
        {"calls": calls, "prefixes": prefixes, "load": os.getloadavg(), "table": table, "rounds": measured},
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--prefixes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--step", choices=STEPS, help="measure one step only, as each round does")
    parser.add_argument("--folder", type=Path, help="where the inputs of that step are")
    given = parser.parse_args()
    if given.step:
        print(json.dumps(measure(given.folder, given.step)))
    else:
        main(given.calls, given.prefixes, given.rounds, given.json)
