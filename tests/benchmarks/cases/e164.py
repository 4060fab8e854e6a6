"""How long does it take to bring a column of clean numbers into E.164, beside one merge of as many rows?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target

if TYPE_CHECKING:
    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP"]

OURS, MERGE = "numbers_to_e164", "pandas merge"


def _prepare(folder: Path, size: int, _cache: Path) -> None:
    """Write numbers that are in E.164 already, of 82,000 that are reserved for fiction, and two frames to merge."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    from tests.benchmarks.texts import numbered_ids, words

    rng = np.random.default_rng(7)
    fictional = [f"+1{area}55501{line:02d}" for area in range(200, 1000) for line in range(100)]
    fictional += [f"{start}{line:03d}" for start in ("+442079460", "+447700900") for line in range(1000)]
    numbers = words(fictional, rng.integers(0, len(fictional), size))
    parquet.write_table(pa.table({"number": numbers}), folder / "numbers.parquet")
    ids = numbered_ids(np.arange(size))
    for name, keys in (("left", ids), ("right", ids.take(pa.array(rng.permutation(size))))):
        table = pa.table({"id": keys, f"{name}_s": pa.array(rng.integers(0, 600, size))})
        parquet.write_table(table, folder / f"{name}.parquet")


def _ours(folder: Path) -> Step:
    import pandas as pd

    from sippet_reconcile.phones import numbers_to_e164

    numbers = pd.read_parquet(folder / "numbers.parquet")["number"]
    return lambda: numbers_to_e164(numbers, country="GB")


def _merge(folder: Path) -> Step:
    import pandas as pd

    left, right = (pd.read_parquet(folder / f"{name}.parquet") for name in ("left", "right"))
    return lambda: left.merge(right, on="id")


def _as_they_were(numbers: Any) -> dict[str, int]:
    return {"in_e164": int(numbers.str.fullmatch(r"\+[1-9]\d{9,11}").sum()), "rows": len(numbers)}


def _wrong(_folder: Path, found: Found) -> list[str]:
    told = found.get(OURS, {})
    return [] if told.get("in_e164") == told.get("rows") else [f"{OURS} read {dict(told)}"]


GROUP = Group(
    "e164",
    "Numbers that are clean already, beside a merge of as many rows on a key of text.",
    (Case(MERGE, _merge, lambda rows: {"joined": len(rows)}), Case(OURS, _ours, _as_they_were)),
    MERGE,
    _prepare,
    wrong=_wrong,
    targets=(
        Target(
            f"{OURS} of clean numbers, times one {MERGE} of as many rows",
            f"e164/{OURS}",
            0.3,
            f"e164/{MERGE}",
        ),
    ),
)
