"""How long does reading a month's export take, beside other readers of the same file?

`read_cdr` does more than the others: besides typed columns it returns UTC instants of a
zone with summer time, numbers in E.164, statuses, hashes of records, line numbers and the
file's sha256. All must come to the right number of rows, answered calls and seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.cases.readers import READERS
from tests.benchmarks.names import ASTERISK, FREESWITCH, Export

if TYPE_CHECKING:
    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP", "export_group", "reader_case", "wrong_sums"]


def reader_case(name: str, export: Export = FREESWITCH) -> Case:
    """Return the case of a reader; its folder holds ``month``."""
    make, sums, needs = READERS[name]

    def load(folder: Path) -> Step:
        path = folder / "month" / "Master.csv"
        path.read_bytes()  # from now on it is in the system's cache
        return make(path, export)

    def found(result: Any) -> dict[str, Any]:
        return sums(result, export)

    return Case(name, load, found, needs=needs)


def wrong_sums(folder: Path, found: Found) -> list[str]:
    """Say which readers do not come to what the month was made of."""
    right = json.loads((folder / "month" / "planted.json").read_text(encoding="utf-8"))["read"]
    return [
        f"{name} read {dict(sums)} instead of {right}" for name, sums in found.items() if dict(sums) != right
    ]


def export_group(name: str, switch: str, export: Export, targets: tuple[Target, ...] = ()) -> Group:
    """Return the group of all readers of an export."""

    def prepare(folder: Path, size: int, cache: Path) -> None:
        from tests.benchmarks.generate import month_folder

        (folder / "month").symlink_to(month_folder(cache, size, switch=switch), target_is_directory=True)

    cases = tuple(reader_case(reader, export) for reader in READERS)
    says = "Reading the export, from the system's cache of files."
    return Group(name, says, cases, "pyarrow.csv typed", prepare, wrong=wrong_sums, targets=targets)


GROUP = export_group(
    "reading",
    "freeswitch",
    FREESWITCH,
    (Target("read_cdr, times pyarrow.csv typed", "reading/read_cdr", 2.0, "reading/pyarrow.csv typed"),),
)
ASTERISK_GROUP = export_group("reading_asterisk", "asterisk", ASTERISK)
