"""Run benchmarks and say where things stand.

Usage: python -m tests.benchmarks [GROUP[=SIZE] ...] [--size 100k|1M|5M ...] [--rounds 5] [--with-peers [FOLDER]]

Cases of ours and of peers run in turn, each in a process of its own, on the same inputs.
Times are never asserted: the exit code is 1 only where a result is wrong or a case failed.
Peers that are not installed are left out by name; `--with-peers` makes environments for
them, in which nothing of this one is touched.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks import report
from tests.benchmarks.case import CORE, GROUPS, load_group
from tests.benchmarks.environments import make_peers, own
from tests.benchmarks.rounds import Planned, in_a_process, plan, run_rounds, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.environments import Environment

SIZES: Final = {"100k": 100_000, "1M": 1_000_000, "5M": 5_000_000}
RESULTS: Final = Path(__file__).with_name("results")
CACHE: Final = Path(tempfile.gettempdir()) / "sippet-benchmarks"


def size_of(text: str) -> int:
    """Read a size: a number, or one of the usual ones by name."""
    if text in SIZES:
        return SIZES[text]
    if text.isdecimal() and int(text):
        return int(text)
    msg = f"{text!r} is no size: a whole number, or {', '.join(SIZES)}"
    raise argparse.ArgumentTypeError(msg)


def group_of(text: str) -> tuple[str, int | None]:
    """Read a group, and its size where one is given."""
    name, _, size = text.partition("=")
    if name not in GROUPS:
        msg = f"{name!r} is no group: {', '.join(GROUPS)}"
        raise argparse.ArgumentTypeError(msg)
    return name, size_of(size) if size else None


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("groups", nargs="*", type=group_of, metavar="GROUP[=SIZE]", help=", ".join(GROUPS))
    made.add_argument(
        "--size",
        nargs="+",
        type=size_of,
        default=[SIZES["1M"]],
        help="rows of groups without a size of their own",
    )
    made.add_argument("--rounds", type=int, default=5, help="how often each case runs")
    made.add_argument("--repeats", type=int, default=1, help="runs in each process, whose median counts")
    made.add_argument("--only", default="", help="only cases whose names hold this")
    made.add_argument(
        "--with-peers", nargs="?", type=Path, const=CACHE / "peers", metavar="FOLDER",
        help="make environments for peers that are not installed, and keep them in a folder",
    )  # fmt: skip
    made.add_argument("--cache", type=Path, default=CACHE, help="where generated months are kept")
    made.add_argument(
        "--out", type=Path, default=RESULTS / "latest", help="figures go to OUT.json and OUT.md"
    )
    made.add_argument(
        "--profile", action="store_true", help="instead, say what each function takes of the processor"
    )
    return made


@contextmanager
def prepared(
    asked: argparse.Namespace, environments: list[Environment]
) -> Iterator[tuple[list[Planned], list[str]]]:
    """Write the inputs of all that is asked for, and take them away afterwards."""
    every: list[Planned] = []
    skipped: dict[str, None] = {}
    folder = Path(tempfile.mkdtemp(prefix="sippet-benchmarks-"))
    try:
        for name, size in asked.groups or [(name, None) for name in CORE]:
            group = load_group(name)
            cases = tuple(case for case in group.cases if asked.only in case.name)
            group = replace(group, cases=cases)
            for rows in [size] if size else [group.size] if group.size else asked.size:
                place = folder / f"{name}-{rows}"
                place.mkdir()
                say(f"preparing {name}, {rows:,} {group.unit}")
                group.prepare(place, rows, asked.cache)
                one, missing = plan(group, rows, place, environments)
                every.append(one)
                skipped.update(dict.fromkeys(missing))
        yield every, list(skipped)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def profiled(planned: list[Planned], repeats: int) -> None:
    """Print what the functions of each case take."""
    for one in planned:
        with one.group.around(one.folder, one.size):
            for measured in one.measured:
                told = in_a_process(measured, one.folder, str(repeats), "--profile")
                print(f"\n{one.group.name}/{measured.case.name}, {one.size:,}: processor, ms")
                for name, ms in told.items():
                    if ms >= 1:
                        print(f"{ms:9,.0f}  {name}")


def main(words: list[str] | None = None) -> int:
    """Measure, print where things stand and write the figures down."""
    asked = parser().parse_args(words)
    environments = [own()]
    problems: list[str] = []
    if asked.with_peers:
        found, problems = make_peers(asked.with_peers)
        environments += found
    load = os.getloadavg()[0]
    asked.cache.mkdir(parents=True, exist_ok=True)
    with prepared(asked, environments) as (planned, skipped):
        if asked.profile:
            profiled(planned, asked.repeats)
            return 0
        run_rounds(planned, asked.rounds, asked.repeats, tell=say)
        rows = report.tables(planned)
        record: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.machine()}, {os.cpu_count()} processors",
            "load": [load, os.getloadavg()[0]],
            "rounds": asked.rounds,
            "repeats": asked.repeats,
            "versions": report.versions_of(environments),
            "groups": [
                {
                    "name": one.group.name,
                    "size": one.size,
                    "says": one.group.says,
                    "base": one.group.base,
                    "unit": one.group.unit,
                }
                for one in planned
            ],
            "targets": report.judge(planned, rows),
            "wrong": report.wrong_results(planned),
            "skipped": [*problems, *skipped],
            "results": rows,
        }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{asked.out}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    text = report.to_markdown(record)
    Path(f"{asked.out}.md").write_text(text, encoding="utf-8")
    print(text)
    say(f"written to {asked.out}.json and {asked.out}.md")
    return 1 if record["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
