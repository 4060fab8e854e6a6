"""How long does reading a month of CDRs take, beside other readers of the same file?

Usage: python tests/benchmarks/bench_read.py [--switch asterisk] [--rows 1000000] [--rounds 5] [--json OUT.json]

Each reading is a fresh process; the rounds go over all readers in turn, so that a busy
machine slows them all. Shown are medians, the processor time, the peak of memory, and
the ratio to pyarrow.csv. `read_cdr` does more than the others: besides typed columns it
returns UTC instants of a zone with summer time, E.164 numbers, statuses, record hashes,
line numbers and the file's sha256.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple


class Export(NamedTuple):
    """What a reader has to be told of a switch's export."""

    columns: tuple[str, ...]
    stamps: tuple[str, ...]
    seconds: tuple[str, ...]
    timezone: str


EXPORTS = {
    "freeswitch": Export(
        ("caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp",
         "end_stamp", "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode", "read_codec",
         "write_codec"),
        ("start_stamp", "answer_stamp", "end_stamp"),
        ("duration", "billsec"),
        "Europe/London",
    ),
    "asterisk": Export(
        ("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start",
         "answer", "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield"),
        ("start", "answer", "end"),
        ("duration", "billsec"),
        "UTC",
    ),
}  # fmt: skip
BASELINE = "pyarrow.csv typed"
RESULTS = Path(__file__).with_name("results") / "bench_read.json"


def by_pyarrow(path: str, export: Export) -> Callable[[], int]:
    import pyarrow as pa  # noqa: PLC0415 - each process imports what it measures, before its clock starts
    from pyarrow import csv  # noqa: PLC0415

    types = dict.fromkeys(export.columns, pa.large_string())
    types |= dict.fromkeys(export.stamps, pa.timestamp("us")) | dict.fromkeys(export.seconds, pa.int64())

    def read() -> int:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=list(export.columns)),
            convert_options=csv.ConvertOptions(column_types=types, timestamp_parsers=[csv.ISO8601]),
        )
        return int(table.num_rows)

    return read


def by_pyarrow_to_pandas(path: str, export: Export) -> Callable[[], int]:
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    from sippet_reconcile.schema import arrow_to_frame  # noqa: PLC0415

    types = dict.fromkeys(export.columns, pa.large_string())
    types |= dict.fromkeys(export.stamps, pa.timestamp("us")) | dict.fromkeys(export.seconds, pa.int64())

    def read() -> int:
        table = csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=list(export.columns)),
            convert_options=csv.ConvertOptions(column_types=types, timestamp_parsers=[csv.ISO8601]),
        )
        return len(arrow_to_frame(table))

    return read


def by_pandas(path: str, export: Export) -> Callable[[], int]:
    import pandas as pd  # noqa: PLC0415

    def read() -> int:
        frame = pd.read_csv(
            path,
            names=list(export.columns),
            dtype={
                name: "Int64" if name in export.seconds else "str"
                for name in export.columns
                if name not in export.stamps
            },
            parse_dates=list(export.stamps),
            date_format="%Y-%m-%d %H:%M:%S",
            keep_default_na=False,
            na_values=[""],
        )
        return len(frame)

    return read


def by_read_cdr(path: str, export: Export) -> Callable[[], int]:
    import sippet_reconcile as sr  # noqa: PLC0415
    from sippet_reconcile.cdr.formats import all_formats  # noqa: PLC0415

    all_formats()
    return lambda: len(sr.read_cdr(path, timezone=export.timezone, progress=False))


READERS = {
    BASELINE: by_pyarrow,
    "pyarrow.csv typed -> pandas": by_pyarrow_to_pandas,
    "pandas C reader typed, dates parsed": by_pandas,
    "sippet_reconcile.read_cdr": by_read_cdr,
}


def measure(name: str, path: str, switch: str) -> dict[str, float]:
    """Read once in this process and say what it took."""
    read = READERS[name](path, EXPORTS[switch])
    before, cpu = time.perf_counter(), time.process_time()
    rows = read()
    wall, cpu = time.perf_counter() - before, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "rows": rows}


def in_fresh_process(name: str, path: str, switch: str) -> dict[str, float]:
    """Read once in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--file", path, "--switch", switch]
    result: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


def compare(path: Path, rounds: int, switch: str) -> list[dict[str, float | str]]:
    """Return the medians of every reader and their ratios to the baseline."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    for _ in range(rounds):
        for name, results in runs.items():
            results.append(in_fresh_process(name, str(path), switch))
    medians = {
        name: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for name, results in runs.items()
    }
    base = medians[BASELINE]
    return [
        {
            "reader": name,
            **values,
            "fastest_s": min(result["wall_s"] for result in runs[name]),
            "wall_ratio": values["wall_s"] / base["wall_s"],
            "cpu_ratio": values["cpu_s"] / base["cpu_s"],
        }
        for name, values in medians.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--switch", choices=list(EXPORTS), default="freeswitch", help="whose export")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are written too")
    parser.add_argument("--file", help="read this file instead of making one")
    parser.add_argument("--measure", choices=list(READERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.file, arguments.switch)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(arguments.file or Path(folder) / "Master.csv")
        if not arguments.file:
            script = Path(__file__).with_name("generate.py")
            wanted = [str(path), str(arguments.rows), "7", arguments.switch]
            subprocess.run([sys.executable, str(script), *wanted], check=True)
        size = path.stat().st_size
        results = compare(path, max(arguments.rounds, 3), arguments.switch)
    print(
        f"{results[0]['rows']:,.0f} rows, {size / 1e6:.0f} MB, medians of {max(arguments.rounds, 3)} fresh processes"
    )
    print(
        f"{'reader':38s} {'wall s':>8s} {'fastest':>8s} {'cpu s':>8s} {'peak MB':>8s} {'x wall':>7s} {'x cpu':>7s}"
    )
    for row in results:
        print(
            f"{row['reader']:38s} {row['wall_s']:8.2f} {row['fastest_s']:8.2f} {row['cpu_s']:8.2f} "
            f"{row['peak_mb']:8.0f} {row['wall_ratio']:7.2f} {row['cpu_ratio']:7.2f}"
        )
    about = {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("pyarrow", "pandas", "numpy", "sippet_reconcile")},
        "machine": f"{platform.platform()}, {os.cpu_count()} processors",
    }
    print(", ".join(f"{name} {version}" for name, version in about.items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({**about, "bytes": size, "results": results}, indent=2) + "\n")
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
