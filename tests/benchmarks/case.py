"""What a benchmark is made of: cases that are timed beside each other, and what is aimed at.

A group is one question ("how long does reading take?") with its inputs and its cases: ours
and the peers. Modules of `cases` hold one each. Nothing here imports more than the standard
library, for each process imports only what it measures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

__all__ = ["CORE", "GROUPS", "Case", "Found", "Group", "Step", "Target", "load_group"]

Step = Callable[[], Any]
"""What is timed."""

Found = Mapping[str, Mapping[str, Any]]
"""For each case what it found."""

GROUPS: Final = (
    "reading", "diff", "whole", "e164", "fetching", "startup",
    "reading_asterisk", "formats", "folders", "diagnosis", "rating", "apply", "pace", "audit", "reports", "workbook",
)  # fmt: skip
"""The modules of `cases`."""

CORE: Final = GROUPS[:6]
"""Those that are run where nobody names any."""


def _nothing(_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Case:
    """One thing that is timed.

    Attributes
    ----------
    name
        As it is shown.
    load
        Makes the step from a folder of inputs, before the clock starts.
    found
        What of the result must be the same in every round, and right.
    figures
        Numbers of the result of which medians are shown.
    needs
        Distributions that it takes; where they are missing it is skipped.
    """

    name: str
    load: Callable[[Path], Step]
    found: Callable[[Any], dict[str, Any]] = _nothing
    figures: Callable[[Any], dict[str, float]] = _nothing
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What a figure should stay below, and what it is held against.

    Attributes
    ----------
    of, than
        Cases as ``group/case``; without `than` the figure is held against `limit` itself.
    limit
        The most that is aimed at: of ``of / than``, or ``of - than`` where `how` is "more".
    measure
        Which figure: ``wall_s``, ``cpu_s``, ``growth_mb``, or one that the case returns.
    sizes
        Rows of `of` and `than`, where they are not the same.
    least
        Whether `limit` is the least that is aimed at instead.
    """

    says: str
    of: str
    limit: float
    than: str | None = None
    measure: str = "wall_s"
    how: str = "times"
    sizes: tuple[int, int] | None = None
    least: bool = False


def _not_checked(_folder: Path, _found: Found) -> list[str]:
    return []


@dataclass(frozen=True)
class Group:
    """Cases that are timed in turn on the same inputs.

    Attributes
    ----------
    name, says
        Its module and its question.
    cases
        In the order in which each round goes over them.
    base
        The case to which the others' ratios are.
    prepare
        Writes the inputs into a folder: gets it, the size, and a folder to keep things in.
    size
        How many rows, calls or files; None where that is what the command says.
    wrong
        Says what is wrong of what the cases found, given the folder.
    targets
        What is aimed at.
    around
        Is entered while the rounds last: a server, say. Gets folder and size.
    unit
        What the size counts.
    """

    name: str
    says: str
    cases: tuple[Case, ...]
    base: str
    prepare: Callable[[Path, int, Path], None]
    size: int | None = None
    wrong: Callable[[Path, Found], list[str]] = _not_checked
    targets: tuple[Target, ...] = ()
    around: Callable[[Path, int], AbstractContextManager[object]] = lambda *_: nullcontext()
    unit: str = "rows"

    def case(self, name: str) -> Case:
        """Return the case of a name."""
        return next(case for case in self.cases if case.name == name)


def load_group(name: str) -> Group:
    """Import a group."""
    group: Group = import_module(f"tests.benchmarks.cases.{name}").GROUP
    return group
