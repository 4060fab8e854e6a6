"""How many rows a second does each format of lines read, beside FreeSWITCH's?

Usage: python tests/benchmarks/bench_formats.py [--rows 300000] [--rounds 1] [--only NAME ...] [--json OUT.json]

Each reading is a fresh process; the rounds go over all formats in turn. Shown are the
least wall and processor times of the rounds, rows a second of the processor, and both as
shares of what `freeswitch` reads in the same time: the goal is half of it at least.
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
from importlib import metadata
from pathlib import Path

from generate_formats import FORMATS, generate

BASE = "freeswitch"
GOAL = 0.5
RESULTS = Path(__file__).with_name("results") / "bench_formats.json"


def measure(path: str, name: str) -> dict[str, float | str]:
    """Read once in this process and say what it took."""
    import sippet_reconcile as sr  # noqa: PLC0415 - each process imports what it measures, before its clock starts
    from sippet_reconcile.cdr.formats import all_formats  # noqa: PLC0415

    all_formats()
    export = FORMATS[name]
    began, cpu = time.perf_counter(), time.process_time()
    legs = sr.read_cdr(path, format=export.format, timezone=export.timezone, progress=False)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": len(legs),
        "problems": int(legs["problem"].notna().sum()),
        "read_as": str(legs["format"].iloc[0]),
    }


def in_fresh_process(path: Path, name: str) -> dict[str, float | str]:
    """Read once in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--measure", name, "--file", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    result: dict[str, float | str] = json.loads(done.stdout)
    return result


def least(runs: list[dict[str, float | str]]) -> dict[str, float | str]:
    """Return the least of each figure over the rounds; the first error where there is one."""
    failed = [run for run in runs if "error" in run]
    if failed:
        return failed[0]
    figures = {key: min(float(run[key]) for run in runs) for key in ("wall_s", "cpu_s", "peak_mb")}
    return {**runs[0], **figures}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(FORMATS), help="these formats, and freeswitch")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are written too")
    parser.add_argument("--measure", choices=list(FORMATS), help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.file, arguments.measure)))
        return
    names = list(dict.fromkeys([BASE, *(arguments.only or FORMATS)]))
    runs: dict[str, list[dict[str, float | str]]] = {name: [] for name in names}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{place}.csv" for place, name in enumerate(names)}
        for name, path in paths.items():
            generate(path, name, arguments.rows)
        for _ in range(arguments.rounds):
            for name, path in paths.items():
                runs[name].append(in_fresh_process(path, name))
    results = {name: least(found) for name, found in runs.items()}
    base = float(results[BASE]["cpu_s"])
    base_wall = float(results[BASE]["wall_s"])
    print(
        f"{'format':28s} {'wall s':>7s} {'cpu s':>7s} {'k rows/s':>9s} {'x wall':>7s} {'x cpu':>7s} {'peak MB':>8s}  problems"
    )
    for name, found in results.items():
        if "error" in found:
            print(f"{name:28s} {found['error']}")
            continue
        wall, cpu = float(found["wall_s"]), float(found["cpu_s"])
        found["share"], found["share_wall"] = base / cpu, base_wall / wall
        flag = "" if base / cpu >= GOAL else "  below the goal"
        print(
            f"{name:28s} {wall:7.2f} {cpu:7.2f} {float(found['rows']) / cpu / 1000:9.0f} {base_wall / wall:7.2f} {base / cpu:7.2f} "
            f"{found['peak_mb']:8.0f}  {found['problems']} of {found['rows']:,}, {found['read_as']}{flag}"
        )
    about = {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("pyarrow", "pandas", "numpy", "sippet_reconcile")},
        "machine": f"{platform.platform()}, {os.cpu_count()} processors, load {load:.1f}",
    }
    print(", ".join(f"{name} {version}" for name, version in about.items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({**about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
