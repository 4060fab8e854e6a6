"""How long does it take to find which calls differ, both sides in memory?

`reconcile` does more than the others: it reads ids in any spelling, reduces legs to calls,
matches by numbers and time what has no id, compares eight fields under tolerances, explains
what differs and looks for what is wrong as a whole. All must find exactly the planted
differences of the calls that share an id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.cases.comparers import COMPARERS
from tests.benchmarks.cases.kernel import load_kernel, told_by_kernel
from tests.benchmarks.cases.ours import load_sides, prepare_month, reconcile, told_by

if TYPE_CHECKING:
    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP", "wrong_differences"]

KERNEL = "diff/kernel alone"


def _reconcile(folder: Path) -> Step:
    legs, calls = load_sides(folder)
    return lambda: reconcile(legs, calls)


def wrong_differences(folder: Path, found: Found) -> list[str]:
    """Say who does not find exactly what was planted."""
    planted = json.loads((folder / "month" / "planted.json").read_text(encoding="utf-8"))
    told = {**planted["told"], "keyed_pairs": planted["keyed_pairs"], "other_fields": []}
    wrong: list[str] = []
    for name, facts in found.items():
        right = told if "keyed_pairs" in facts else planted["differing"]
        if dict(facts) != right:
            wrong.append(f"{name} found {dict(facts)} instead of {right}")
    return wrong


GROUP = Group(
    "diff",
    "Finding the differences of two sides in memory.",
    (*COMPARERS, Case("kernel alone", load_kernel, told_by_kernel), Case("reconcile", _reconcile, told_by)),
    "pandas merge and compare, narrow",
    prepare_month,
    wrong=wrong_differences,
    targets=(
        Target("exact match and compare alone, times duckdb SQL", KERNEL, 1.5, "diff/duckdb SQL"),
        Target("datacompy PandasCompare of the narrow frames, times exact match and compare alone",
               "diff/datacompy PandasCompare, narrow", 20.0, KERNEL, least=True),
    ),
)  # fmt: skip
