"""How long does reading a folder of small JSON or XML records take, beside merely parsing the same files?

Usage: python tests/benchmarks/bench_folders.py [--files 10000] [--rounds 3] [--json OUT.json]

A switch that posts a record per leg leaves one file of some 9 kB for each. Every reading
is a fresh process; the rounds go over all readers in turn, so that a busy machine slows
them all. Shown are medians, the processor time, the peak of memory, and the ratio to
`json.loads` and `xml.etree` on the same files, which do nothing but parse.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

RESULTS = Path(__file__).with_name("results") / "bench_folders.json"
FIRST = 1_790_845_200  # 2026-10-01 09:00:00 UTC
N_OTHERS = 130  # variables that nobody reads make up most of a record


def leg(place: int, dice: random.Random) -> dict[str, Any]:
    """Return the record of an invented leg as FreeSWITCH writes it; numbers are those reserved for fiction."""
    ring, talk = dice.randint(1, 20), dice.choice([0, dice.randint(1, 600)])
    start = FIRST + place * 7
    answer, end = (start + ring if talk else 0), start + ring + talk
    uuid = f"8c1f3c52-{dice.randrange(1 << 16):04x}-4000-8000-{place:012x}"
    caller, called = f"+1415555{dice.randint(100, 199):04d}", f"+4420794600{dice.randint(10, 99)}"
    stamps = {
        f"{name}_stamp": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))
        for name, at in (("start", start), ("answer", answer), ("end", end))
        if at
    }
    epochs = {f"{name}_epoch": str(at) for name, at in (("start", start), ("answer", answer), ("end", end))}
    micros = {
        name.replace("epoch", "uepoch"): f"{at}250000" if at != "0" else "0" for name, at in epochs.items()
    }
    variables = {
        "direction": "inbound", "uuid": uuid, "call_uuid": uuid, "sip_from_user": caller, "sip_to_user": called,
        "channel_name": f"sofia/external/{caller}@192.0.2.7", "sip_call_id": f"{uuid}@192.0.2.7", **stamps, **epochs,
        **micros, "duration": str(ring + talk), "billsec": str(talk), "mduration": str((ring + talk) * 1000),
        "billmsec": str(talk * 1000), "hangup_cause": "NORMAL_CLEARING" if talk else "NO_ANSWER",
        **{f"rtp_audio_statistic_number_{n}": f"{dice.random() * 1e5:.2f} of <{place}@192.0.2.7>" for n in range(N_OTHERS)},
    }  # fmt: skip
    profile = {
        "caller_id_number": caller, "ani": caller, "destination_number": called, "uuid": uuid, "source": "mod_sofia",
        "context": "public", "chan_name": f"sofia/external/{caller}@192.0.2.7",
    }  # fmt: skip
    times = {
        "created_time": f"{start}250000",
        "answered_time": micros["answer_uepoch"],
        "hangup_time": f"{end}250000",
    }
    return {
        "core-uuid": "8c1f3c52-0000-4000-8000-000000000001",
        "switchname": "pbx",
        "channel_data": {"state": "CS_REPORTING", "direction": "inbound", "state_number": "11"},
        "variables": {name: quote(value, safe="/,()") for name, value in variables.items()},
        "app_log": {
            "applications": [{"app_name": "bridge", "app_data": "user/1001", "app_stamp": f"{start}300000"}]
        },
        "callflow": [{"profile_index": "1", "caller_profile": profile, "times": times}],
    }


def as_json(record: dict[str, Any]) -> str:
    return json.dumps(record)


def as_xml(record: dict[str, Any]) -> str:
    def element(name: str, value: Any) -> str:
        if isinstance(value, list):
            return "".join(element(name, item) for item in value)
        inside = (
            "".join(element(*item) for item in value.items()) if isinstance(value, dict) else escape(value)
        )
        return f"<{name}>{inside}</{name}>\n"

    return f"<?xml version='1.0'?>\n{element('cdr', record)}"


def make(folder: Path, n: int) -> None:
    """Write each leg once as JSON and once as XML."""
    dice = random.Random(7)  # noqa: S311 - invented calls, not secrets
    for place in range(n):
        record = leg(place, dice)
        (folder / f"{place:06d}.cdr.json").write_text(as_json(record))
        (folder / f"{place:06d}.cdr.xml").write_text(as_xml(record))


def by_json_loads(folder: Path) -> Callable[[], int]:
    return lambda: len([json.loads(path.read_bytes()) for path in sorted(folder.glob("*.json"))])


def by_etree(folder: Path) -> Callable[[], int]:
    return lambda: len([ET.fromstring(path.read_bytes()) for path in sorted(folder.glob("*.xml"))])  # noqa: S314 - our own files


def by_read_cdr(pattern: str) -> Callable[[Path], Callable[[], int]]:
    def reader(folder: Path) -> Callable[[], int]:
        import sippet_reconcile as sr  # noqa: PLC0415 - each process imports what it measures, before its clock starts
        from sippet_reconcile.cdr.formats import all_formats  # noqa: PLC0415

        all_formats()
        return lambda: len(sr.read_cdr(f"{folder}/{pattern}", progress=lambda *_: None))

    return reader


READERS: dict[str, Callable[[Path], Callable[[], int]]] = {
    "json.loads": by_json_loads,
    "read_cdr on JSON": by_read_cdr("*.json"),
    "xml.etree": by_etree,
    "read_cdr on XML": by_read_cdr("*.xml"),
}
BASELINES = {"read_cdr on JSON": "json.loads", "read_cdr on XML": "xml.etree"}


def measure(name: str, folder: Path) -> dict[str, float]:
    """Read once in this process and say what it took."""
    read = READERS[name](folder)
    before, cpu = time.perf_counter(), time.process_time()
    rows = read()
    wall, cpu = time.perf_counter() - before, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak, "rows": rows}


def in_fresh_process(name: str, folder: Path) -> dict[str, float]:
    """Read once in a process of its own."""
    command = [sys.executable, __file__, "--measure", name, "--folder", str(folder)]
    result: dict[str, float] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    return result


def compare(folder: Path, rounds: int) -> list[dict[str, float | str]]:
    """Return the medians of every reader, and their ratios to what merely parses the same files."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    for _ in range(rounds):
        for name, results in runs.items():
            results.append(in_fresh_process(name, folder))
    medians = {
        name: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for name, results in runs.items()
    }
    return [
        {
            "reader": name,
            **values,
            "fastest_s": min(result["wall_s"] for result in runs[name]),
            "wall_ratio": values["wall_s"] / medians[BASELINES.get(name, name)]["wall_s"],
            "cpu_ratio": values["cpu_s"] / medians[BASELINES.get(name, name)]["cpu_s"],
        }
        for name, values in medians.items()
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures are written too")
    parser.add_argument("--folder", type=Path, help="read this folder instead of making one")
    parser.add_argument("--measure", choices=list(READERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.folder)))
        return
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        if not arguments.folder:
            make(folder, arguments.files)
        paths = list(folder.glob("*.json"))
        size = sum(path.stat().st_size for path in paths) / max(len(paths), 1)
        results = compare(folder, arguments.rounds)
    print(
        f"{len(paths):,} files of {size / 1000:.1f} kB as JSON, medians of {arguments.rounds} fresh processes"
    )
    print(
        f"{'reader':20s} {'wall s':>8s} {'fastest':>8s} {'cpu s':>8s} {'peak MB':>8s} {'x wall':>7s} {'x cpu':>7s}"
    )
    for row in results:
        print(
            f"{row['reader']:20s} {row['wall_s']:8.2f} {row['fastest_s']:8.2f} {row['cpu_s']:8.2f} "
            f"{row['peak_mb']:8.0f} {row['wall_ratio']:7.2f} {row['cpu_ratio']:7.2f}"
        )
    about = {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("pyarrow", "pandas", "numpy", "sippet_reconcile")},
        "machine": f"{platform.platform()}, {os.cpu_count()} processors",
    }
    print(", ".join(f"{name} {version}" for name, version in about.items()))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    found = {**about, "files": len(paths), "bytes": size, "results": results}
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
