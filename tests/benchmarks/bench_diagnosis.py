"""Time what explaining and diagnosing add to matching and comparing a month.

Usage: python tests/benchmarks/bench_diagnosis.py [--rows 1000000] [--rounds 5] [--json OUT.json]

Three worlds, made from the export of generate.py: `usual` is that of bench_reconcile.py
(3 % wrong durations, 1 % statuses, 10 % without a call_uuid); in `bad` more than a quarter of
the calls differ for a dozen causes, a tenth has two legs, and one of two trunks runs an hour
late; in `clean` all agree. Every run of every round is a fresh process, and the rounds go over
all of them in turn, so that a busy machine slows them all; each process runs its part three
times. `matching and comparing` is `reconcile` itself with the settling of durations, the
explanations and the diagnosis taken out of its steps; that both find the same pairs and
discrepancies is checked first. `full diagnosis` is `reconcile` as it is, and then its summary,
ledger, roll-up and page. Profiled runs of their own tell, in processor time of whichever
thread, what each finder, test and view takes; a column counts for whoever asks for it first.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import gc
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from bench_reconcile import COUNTRY, ZONE, derive_calls, write_record
from generate import generate

import sippet_reconcile as sr
from sippet_reconcile.reconciliation import concluding, steps
from sippet_reconcile.reconciliation.diagnosing.basis import DurationBasis
from sippet_reconcile.reconciliation.findings import Findings

WORLDS = ("usual", "bad", "clean")
BARE, FULL, PROFILE, CHECK = "matching and comparing", "full diagnosis", "profile", "check"
TIMED = (BARE, FULL)
REPEATS = 3
GOAL_PERCENT = 60
RESULTS = Path(__file__).with_name("results") / "bench_diagnosis.json"
COUNTED = ("matched", "only_in_cdr", "only_in_api", "ambiguous_calls", "discrepancies")
PERIOD = sr.Period.month("2026-10", timezone=ZONE)
RULES = sr.Rules(duration="billable")
EXPLAINED = ["explanation", "also"]
VIEWS: dict[str, Callable[[sr.Reconciliation], object]] = {
    "summary()": sr.Reconciliation.summary,
    "ledger()": sr.Reconciliation.ledger,
    "rollup()": sr.Reconciliation.rollup,
    "page": sr.Reconciliation._repr_html_,
}
SPLITS = ("day", "hour", "direction", "user", "source_file")
"""Ledgers that are timed as well, and are no part of the ratio."""
ROOMS = ("explaining", "diagnosing", "ledger", "result", "page", "findings")


def make_world(legs: pd.DataFrame, world: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the legs and the calls of a world."""
    if world == "clean":
        calls = _agreeing_calls(legs)
        there = np.sort(_leg_rows(calls))
        return legs.iloc[there].reset_index(drop=True), calls
    if world == "bad":
        return _bad_world(legs)
    return legs.iloc[len(legs) // 200 :].reset_index(drop=True), derive_calls(legs)


def _agreeing_calls(legs: pd.DataFrame) -> pd.DataFrame:
    """Return calls that agree with their legs, in words that an API has."""
    calls = derive_calls(legs, wrong=0.0)
    return calls.assign(status=calls["status"].replace("unknown", "failed"))


def _leg_rows(calls: pd.DataFrame) -> np.ndarray:
    """Return for each derived call the row of its leg, which its id begins with."""
    return calls["id"].str[:8].map(lambda digits: int(digits, 16)).to_numpy()


def _bad_world(legs: pd.DataFrame, seed: int = 11) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    calls = _agreeing_calls(legs)
    chance = pd.Series(rng.random(len(calls)))
    billable = calls["duration_seconds"]
    ring = legs["total_s"].sub(legs["billable_s"]).fillna(0).astype("Int64")
    ring = ring.iloc[_leg_rows(calls)].reset_index(drop=True)

    def slice_of(begin: float, end: float) -> pd.Series:
        return chance.ge(begin) & chance.lt(end)

    duration = (
        billable.mask(slice_of(0.00, 0.04), billable + ring)
        .mask(slice_of(0.04, 0.07), (billable + 59) // 60 * 60)
        .mask(slice_of(0.07, 0.09), 0)
        .mask(slice_of(0.09, 0.11), pd.NA)
        .mask(slice_of(0.11, 0.13), (billable - 30).clip(lower=0))
        .mask(slice_of(0.13, 0.14), billable * 2)
        .mask(slice_of(0.14, 0.15), billable + 3600)
        .mask(slice_of(0.15, 0.17), pd.NA)
    )
    ended = (
        calls["ended_at"].mask(slice_of(0.11, 0.13), calls["ended_at"] - pd.Timedelta(seconds=30))
        .mask(slice_of(0.15, 0.19))
    )  # fmt: skip
    status = calls["status"].mask(slice_of(0.15, 0.17), "answered").mask(slice_of(0.19, 0.21), "failed")
    user = calls["sip_username"].mask(slice_of(0.21, 0.22), "1999")
    calls = calls.assign(duration_seconds=duration, ended_at=ended, status=status, sip_username=user)

    size = len(legs)
    second_file = np.arange(size) % 2 == 1
    second_trunk = second_file & (rng.random(size) < 0.2)
    late = pd.to_timedelta(np.where(second_trunk, 3600, 0), unit="s").as_unit("us")
    legs = legs.assign(
        source_file=np.where(second_file, "pbx-b.csv", "pbx-a.csv"),
        x_trunk=np.where(second_trunk, "trunk-2", "trunk-1"),
        **{name: legs[name] + late for name in ("started_at", "answered_at", "ended_at")},
    )
    legs = legs.astype({"source_file": "str", "x_trunk": "str"})
    return _in_two_legs(legs, rng.random(size) < 0.14), calls


def _in_two_legs(legs: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """Cut the answered ones of the chosen legs in two halves of talking, as a transfer does."""
    chosen = chosen & legs["billable_s"].ge(2).fillna(value=False).to_numpy("bool")
    whole = legs.loc[chosen]
    first_s = whole["billable_s"] // 2
    passed_on = whole["answered_at"] + pd.to_timedelta(first_s, unit="s").dt.as_unit("us")
    first = whole.assign(
        billable_s=first_s, total_s=whole["total_s"] - whole["billable_s"] + first_s, ended_at=passed_on
    )
    second_s = whole["billable_s"] - first_s
    second = whole.assign(
        leg_id=whole["leg_id"] + "-2", call_key=pd.NA, started_at=passed_on, answered_at=passed_on,
        billable_s=second_s, total_s=second_s, source_row=whole["source_row"] + len(legs),
        record_hash=whole["record_hash"] + 1,
    )  # fmt: skip
    parts = pd.concat([legs.loc[~chosen], first, second]).sort_values(
        ["source_file", "started_at"], kind="stable"
    )
    return parts.astype(legs.dtypes.to_dict()).reset_index(drop=True)


def prepare(folder: Path, rows: int) -> None:
    """Write legs and calls of all worlds."""
    generate(folder / "Master.csv", rows)
    legs = sr.read_cdr(folder / "Master.csv", timezone=ZONE, country=COUNTRY, progress=False)
    for world in WORLDS:
        for name, frame in zip(("legs", "calls"), make_world(legs, world), strict=True):
            frame.to_pickle(folder / f"{world}-{name}.pkl")


@contextlib.contextmanager
def matching_and_comparing() -> Iterator[None]:
    """Take settling durations, explaining and diagnosing out of the steps of `reconcile`."""

    def settled(*args: Any, **_: Any) -> tuple[sr.Rules, DurationBasis]:
        rules = next(one for one in args if isinstance(one, sr.Rules))
        return rules, DurationBasis(rules.duration, rules.duration, 0, 0, 0)

    with (
        mock.patch.object(concluding, "resolve_duration", settled),
        mock.patch.object(steps, "explain_discrepancies", lambda comparison, *_, **__: comparison),
        mock.patch.object(concluding, "diagnose", return_value=Findings(())),
    ):
        yield


def reconcile(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    """Reconcile the month."""
    return sr.reconcile(legs, calls, period=PERIOD, rules=RULES, progress=False)


def lap(step: Callable[[], Any], laps: dict[str, list[float]], name: str) -> Any:
    """Run a step and note its wall and its processor time, of all threads."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    result = step()
    laps[name] = [time.perf_counter() - begin, time.process_time() - begin_cpu]
    return result


def measure(legs: pd.DataFrame, calls: pd.DataFrame, part: str) -> dict[str, Any]:
    """Run one part a few times and return its laps."""
    runs: list[dict[str, list[float]]] = []
    for _ in range(REPEATS):
        laps: dict[str, list[float]] = {}
        gc.collect()
        if part == BARE:
            with matching_and_comparing():
                rec = lap(lambda: reconcile(legs, calls), laps, BARE)
        else:
            rec = lap(lambda: reconcile(legs, calls), laps, "reconcile")
            for name, view in VIEWS.items():
                lap(lambda view=view, rec=rec: view(rec), laps, name)
            laps[FULL] = np.sum(list(laps.values()), axis=0).tolist()
        runs.append(laps)
    said = rec.summary()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found = {name: said[name] for name in COUNTED}
    return {"laps": runs, "peak_mb": peak, "found": found, "findings": said["findings"]}


def check_agreement(legs: pd.DataFrame, calls: pd.DataFrame) -> dict[str, Any]:
    """Compare what both parts find; an AssertionError says where they differ."""
    full = reconcile(legs, calls)
    with matching_and_comparing():
        bare = reconcile(legs, calls)
    pd.testing.assert_frame_equal(bare.pairs, full.pairs)
    pd.testing.assert_frame_equal(
        bare.discrepancies.drop(columns=EXPLAINED), full.discrepancies.drop(columns=EXPLAINED)
    )
    return {
        "pairs": len(full.pairs),
        "discrepancies": len(full.discrepancies),
        "share_differing": full.summary()["calls_with_discrepancies"] / max(full.n_compared, 1),
        "unexplained_by_bare": int(bare.discrepancies["explanation"].isna().sum()),
        "explained": full.discrepancies["explanation"].value_counts().to_dict(),
    }


def profile(legs: pd.DataFrame, calls: pd.DataFrame) -> dict[str, Any]:
    """Return the least processor time of a few runs, in ms: of each view, and of each function behind them."""
    reconcile(legs, calls)  # the first run also fetches memory from the system
    runs = [_profile_once(legs, calls) for _ in range(REPEATS)]
    return {
        kind: {name: min(run[kind].get(name, 0.0) for run in runs) for name in runs[0][kind]}
        for kind in runs[0]
    }


def _profile_once(legs: pd.DataFrame, calls: pd.DataFrame) -> dict[str, dict[str, float]]:
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        # The first event of a new thread: from here on it has a profile of its own.
        profiles.append(cProfile.Profile(time.thread_time))
        profiles[-1].enable()

    laps: dict[str, list[float]] = {}
    gc.collect()
    threading.setprofile(begin)
    begin()
    try:
        rec = lap(lambda: reconcile(legs, calls), laps, "reconcile")
        for name, view in VIEWS.items():
            lap(lambda view=view: view(rec), laps, name)
    finally:
        threading.setprofile(None)
        profiles[0].disable()
    for name in SPLITS:
        lap(lambda name=name: rec.ledger(by=name), laps, f"ledger(by={name})")
    lap(lambda: sr.check_calls(calls), laps, "check_calls")
    for one in profiles:
        one.create_stats()
    return {"ms": _by_function(profiles), "laps_ms": {name: cpu * 1000 for name, (_, cpu) in laps.items()}}


def _by_function(profiles: list[cProfile.Profile]) -> dict[str, float]:
    stats = pstats.Stats(*(one for one in profiles if one.stats)).stats  # type: ignore[attr-defined]
    taken: dict[str, float] = {}
    for (file, _, name), (_, _, _, below, callers) in stats.items():
        where = _place(file)
        if not where.startswith(ROOMS) or name.startswith("<"):
            continue
        taken[f"{where}.{name}"] = taken.get(f"{where}.{name}", 0.0) + below * 1000
        # A room takes what those take who are called from outside it.
        room = where.split(".")[0]
        outside = sum(
            times[3] for (caller, _, _), times in callers.items() if not _place(caller).startswith(room)
        )
        taken[room] = taken.get(room, 0.0) + outside * 1000
    return dict(sorted(taken.items(), key=lambda item: -item[1]))


def _place(file: str) -> str:
    """Return the dotted place of a file within the package's reconciliation; empty where it is elsewhere."""
    _, found, rest = file.replace("\\", "/").partition("sippet_reconcile/reconciliation/")
    return rest.removesuffix(".py").replace("/", ".") if found else ""


def run_step(folder: Path, world: str, part: str) -> dict[str, Any]:
    """Run one part of one world in this process."""
    legs, calls = (pd.read_pickle(folder / f"{world}-{name}.pkl") for name in ("legs", "calls"))  # noqa: S301 - our own
    if part == CHECK:
        return check_agreement(legs, calls)
    return profile(legs, calls) if part == PROFILE else measure(legs, calls, part)


def in_a_process(folder: Path, world: str, part: str) -> dict[str, Any]:
    """Run one part of one world in a process of its own."""
    command = [sys.executable, __file__, "--folder", str(folder), "--world", world, "--part", part]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{world}, {part}: {done.stderr}")
    return json.loads(done.stdout)


def summarise(rounds: list[dict[str, Any]], profiles: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of one world over all runs of all rounds."""
    figures: dict[str, Any] = {"laps": {}, "peak_mb": {}}
    for part in TIMED:
        runs = [run for one in rounds for run in one[part]["laps"]]
        for name in runs[0]:
            wall, cpu = zip(*(run[name] for run in runs), strict=True)
            figures["laps"][name] = {
                "wall_s": median(wall), "wall_best_s": min(wall), "cpu_s": median(cpu), "cpu_best_s": min(cpu),
            }  # fmt: skip
        figures["peak_mb"][part] = max(one[part]["peak_mb"] for one in rounds)
    bare, full = (figures["laps"][part] for part in TIMED)
    figures["adds_percent"] = {kind: (full[kind] / bare[kind] - 1) * 100 for kind in bare}
    for kind in ("ms", "laps_ms"):
        names = dict.fromkeys(name for one in profiles for name in one[kind])
        figures[kind] = {name: median(one[kind].get(name, 0.0) for one in profiles) for name in names}
    figures["findings"] = rounds[0][FULL]["findings"]
    return figures


def to_markdown(table: dict[str, Any], least_ms: float = 5.0) -> str:
    """Return the figures as two tables of Markdown: laps, and milliseconds by function."""
    lines = ["| world | part | wall | best | processor | best | peak |", "|---|---|---|---|---|---|---|"]
    for world, figures in table.items():
        for name, lap_ in figures["laps"].items():
            peak = f"{figures['peak_mb'][name]:,.0f} MB" if name in TIMED else ""
            times = " | ".join(
                f"{lap_[kind]:.3f} s" for kind in ("wall_s", "wall_best_s", "cpu_s", "cpu_best_s")
            )
            lines.append(f"| {world} | {name} | {times} | {peak} |")
        adds = figures["adds_percent"]
        shares = " | ".join(
            f"{adds[kind]:+.0f} %" for kind in ("wall_s", "wall_best_s", "cpu_s", "cpu_best_s")
        )
        lines.append(f"| {world} | full diagnosis adds | {shares} | |")
    worlds = list(table)
    lines += ["", f"| processor, ms | {' | '.join(worlds)} |", "|---|" + "---|" * len(worlds)]
    for kind in ("laps_ms", "ms"):
        names = dict.fromkeys(name for figures in table.values() for name in figures[kind])
        rows = {name: [table[world][kind].get(name, 0.0) for world in worlds] for name in names}
        for name in sorted(rows, key=lambda name: -max(rows[name])):
            if max(rows[name]) >= least_ms:
                lines.append(f"| {name} | {' | '.join(f'{ms:,.0f}' for ms in rows[name])} |")
    return "\n".join(lines)


def commit_of_package() -> str | None:
    """Return the commit that the measured package stands at, where it is a working tree."""
    command = ["git", "-C", str(Path(sr.__file__).parent), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip() or None


def main(rows: int, rounds: int, target: Path) -> None:
    """Check, measure, print the tables and write everything down."""
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, rows)
        checked = {world: in_a_process(folder, world, CHECK) for world in WORLDS}
        measured: dict[str, list[dict[str, Any]]] = {world: [] for world in WORLDS}
        for _ in range(rounds):
            for world in WORLDS:
                measured[world].append({part: in_a_process(folder, world, part) for part in TIMED})
        profiles = {
            world: [in_a_process(folder, world, PROFILE) for _ in range(min(rounds, 2))] for world in WORLDS
        }
    for world, figures in measured.items():
        found = {json.dumps(one[part]["found"]) for one in figures for part in TIMED}
        if len(found) != 1:
            sys.exit(f"{world}: the runs did not find the same: {sorted(found)}")
    table = {world: summarise(measured[world], profiles[world]) for world in WORLDS}
    print(
        f"{rows:,} rows, {rounds} rounds of {REPEATS}, load {load_before[0]:.1f} to {os.getloadavg()[0]:.1f}\n"
    )
    print(to_markdown(table), end="\n\n")
    for world, figures in table.items():
        adds = figures["adds_percent"]
        print(
            f"{world}: full diagnosis adds {adds['cpu_s']:.0f} % of the processor and {adds['wall_s']:.0f} % of the "
            f"wall to matching and comparing (goal: {GOAL_PERCENT} %); findings: {', '.join(figures['findings']) or 'none'}"
        )
    write_record(
        target,
        {
            "rows": rows,
            "rounds": rounds,
            "repeats": REPEATS,
            "commit": commit_of_package(),
            "load": [load_before, os.getloadavg()],
            "checked": checked,
            "table": table,
            "measured": measured,
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--folder", type=Path, help="where the inputs of one run are")
    parser.add_argument("--world", choices=WORLDS, help="run one world only, as each round does")
    parser.add_argument(
        "--part", choices=(*TIMED, PROFILE, CHECK), default=FULL, help="which run of that world"
    )
    given = parser.parse_args()
    if given.world:
        print(json.dumps(run_step(given.folder, given.world, given.part)))
    else:
        main(given.rows, given.rounds, given.json)
