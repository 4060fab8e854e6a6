"""How long does it take until the command line answers, and until the package is imported?

Each run starts a process; what it takes includes the start of Python itself.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.case import Case, Group, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Step

__all__ = ["GROUP"]

NOTHING, PANDAS, HELP = "python, nothing", "import pandas", "sippet-reconcile --help"
IMPORTED, TOUCHED = "import sippet_reconcile", "sippet_reconcile.read_cdr, touched"
ALL = "every public name, touched"
CODE = {
    NOTHING: "pass",
    PANDAS: "import pandas",
    IMPORTED: "import sippet_reconcile",
    TOUCHED: "import sippet_reconcile; sippet_reconcile.read_cdr",
    ALL: "import sippet_reconcile as sr; [getattr(sr, name) for name in sr.__all__]",
}


def _prepare(_folder: Path, _size: int, _cache: Path) -> None:
    """Start everything once, so that it is compiled and in the system's cache."""
    for command in (*([sys.executable, "-c", code] for code in CODE.values()), _help()):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _help() -> list[str]:
    program = Path(sys.executable).with_name("sippet-reconcile")
    start = [str(program)] if program.exists() else [sys.executable, "-m", "sippet_reconcile"]
    return [*start, "--help"]


def _runs(command: list[str]) -> Callable[[Path], Step]:
    def load(_folder: Path) -> Step:
        return lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return load


GROUP = Group(
    "startup",
    "Starting a process that does one thing; memory is that of the process that starts it.",
    (
        *(Case(name, _runs([sys.executable, "-c", code])) for name, code in CODE.items()),
        Case(HELP, _runs(_help())),
    ),
    PANDAS,
    _prepare,
    size=1,
    targets=(
        Target(f"{HELP}, seconds", f"startup/{HELP}", 0.25),
        Target(
            f"{IMPORTED}, seconds more than {PANDAS}",
            f"startup/{IMPORTED}",
            0.1,
            f"startup/{PANDAS}",
            how="more",
        ),
        Target(
            f"{TOUCHED}, seconds more than {PANDAS}",
            f"startup/{TOUCHED}",
            0.1,
            f"startup/{PANDAS}",
            how="more",
        ),
    ),
    unit="process",
)
