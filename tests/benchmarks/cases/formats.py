"""How many rows a second does each format of lines read, beside FreeSWITCH's?

The goal is half of FreeSWITCH's rows at least, in the same time of the processor.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.generate_formats import FORMATS, generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP"]

BASE = "freeswitch"
PLACES = {name: place for place, name in enumerate(FORMATS)}


def _prepare(folder: Path, size: int, _cache: Path) -> None:
    for name, place in PLACES.items():
        generate(folder / f"{place}.csv", name, size)


def _reads(name: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        import sippet_reconcile as sr
        from sippet_reconcile.cdr.formats import all_formats

        all_formats()
        export, path = FORMATS[name], folder / f"{PLACES[name]}.csv"
        path.read_bytes()  # from now on it is in the system's cache
        return lambda: sr.read_cdr(path, format=export.format, timezone=export.timezone, progress=False)

    return load


def _found(legs: Any) -> dict[str, Any]:
    return {
        "rows": len(legs),
        "problems": int(legs["problem"].notna().sum()),
        "read_as": str(legs["format"].iloc[0]),
    }


def _wrong(_folder: Path, found: Found) -> list[str]:
    return [
        f"{name}: all of its rows have a problem"
        for name, told in found.items()
        if told["problems"] == told["rows"]
    ]


GROUP = Group(
    "formats",
    "Reading each format of lines; a ratio above 2 is below the goal.",
    tuple(Case(name, _reads(name), _found) for name in FORMATS),
    BASE,
    _prepare,
    size=300_000,
    wrong=_wrong,
    targets=tuple(
        Target(f"{name}, processor, times {BASE}", f"formats/{name}", 2.0, f"formats/{BASE}", measure="cpu_s")
        for name in FORMATS
        if name != BASE
    ),
)
