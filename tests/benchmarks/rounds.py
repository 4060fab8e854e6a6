"""Run cases in turn, each in a process of its own, and gather what they took.

A round goes over all cases of all groups once, so that whatever else the machine does
slows all of them alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.environments import Environment, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.benchmarks.case import Case, Group

__all__ = ["ROOT", "Measured", "Planned", "in_a_process", "plan", "run_rounds"]

ROOT: Final = Path(__file__).parents[2]
"""Where processes run, so that they measure the code that lies beside these benchmarks."""


@dataclass
class Measured:
    """The rounds of one case, and why there are none where it failed."""

    group: str
    size: int
    case: Case
    environment: Environment
    rounds: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Planned:
    """One group at one size, its inputs, and what is measured of it."""

    group: Group
    size: int
    folder: Path
    measured: list[Measured]


def plan(group: Group, size: int, folder: Path, environments: list[Environment]) -> tuple[Planned, list[str]]:
    """Return what of a group can be measured here, and a sentence for each library that is missing."""
    measured: list[Measured] = []
    missing: dict[str, None] = {}
    for case in group.cases:
        environment = choose(case, environments)
        if isinstance(environment, str):
            missing[f"{environment}: not installed; skipped"] = None
        else:
            measured.append(Measured(group.name, size, case, environment))
    return Planned(group, size, folder, measured), list(missing)


def in_a_process(measured: Measured, folder: Path, *options: str) -> dict[str, Any]:
    """Run a case in a process of its own and return what it printed."""
    command = [
        measured.environment.python,
        "-m",
        "tests.benchmarks.worker",
        measured.group,
        measured.case.name,
    ]
    done = subprocess.run(
        [*command, str(folder), *options], check=False, capture_output=True, text=True, cwd=ROOT
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        msg = f"{measured.group}/{measured.case.name}: {lines[-1]}"
        raise RuntimeError(msg)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def run_rounds(planned: Iterable[Planned], rounds: int, repeats: int, *, tell: Callable[[str], None]) -> None:
    """Measure every case once in each round; one that fails is not tried again."""
    planned = list(planned)
    with ExitStack() as around:
        for one in planned:
            around.enter_context(one.group.around(one.folder, one.size))
        for number in range(rounds):
            for one in planned:
                for measured in one.measured:
                    if measured.error:
                        continue
                    try:
                        measured.rounds.append(in_a_process(measured, one.folder, str(repeats)))
                    except RuntimeError as exc:
                        measured.error = str(exc)
                        tell(measured.error)
                tell(f"round {number + 1} of {rounds}: {one.group.name}, {one.size:,}")


def say(text: str) -> None:
    """Say how far it is."""
    print(text, file=sys.stderr, flush=True)
