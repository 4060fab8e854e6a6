"""Our own steps on a month, and what they find of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cases.comparers import differing
from tests.benchmarks.names import COMPARED

if TYPE_CHECKING:
    import pandas as pd

    import sippet_reconcile as sr

__all__ = ["load_calls", "load_sides", "prepare_calls", "prepare_month", "reconcile", "told_by"]


N_FIRST = 100


def prepare_calls(folder: Path, size: int, cache: Path) -> None:
    """Put a month beside its calls as they are fetched, and a few of its legs."""
    from pyarrow import parquet

    from sippet_reconcile.schema import CALLS, arrow_to_frame, conform
    from tests.benchmarks.generate import month_folder

    month = month_folder(cache, size)
    (folder / "month").symlink_to(month, target_is_directory=True)
    calls = conform(arrow_to_frame(parquet.read_table(month / "calls.parquet")), CALLS)
    calls.to_pickle(folder / "calls.pkl")
    with (month / "Master.csv").open("rb") as whole:
        (folder / "few.csv").write_bytes(b"".join(whole.readline() for _ in range(N_FIRST)))


def prepare_month(folder: Path, size: int, cache: Path) -> None:
    """Put a month beside its calls as they are fetched, and the legs that `read_cdr` makes of it."""
    prepare_calls(folder, size, cache)
    _read(folder / "month" / "Master.csv").to_pickle(folder / "legs.pkl")


def _read(path: Path) -> pd.DataFrame:
    import sippet_reconcile as sr
    from tests.benchmarks.names import COUNTRY, ZONE

    return sr.read_cdr(path, timezone=ZONE, country=COUNTRY, progress=False)


def load_calls(folder: Path) -> pd.DataFrame:
    """Return the calls, once a few of them were reconciled: what is imported when it is first used is there then."""
    import pandas as pd

    calls = pd.read_pickle(folder / "calls.pkl")  # noqa: S301 - our own
    reconcile(_read(folder / "few.csv"), calls.iloc[:N_FIRST])
    return calls


def load_sides(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return legs and calls, in the same way."""
    import pandas as pd

    return pd.read_pickle(folder / "legs.pkl"), load_calls(folder)  # noqa: S301 - our own


def reconcile(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    """Reconcile a month."""
    import sippet_reconcile as sr

    return sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)


def told_by(rec: sr.Reconciliation) -> dict[str, Any]:
    """Return what a reconciliation found where an id matched: there nothing is left to chance."""
    found = rec.discrepancies
    by_id = found.loc[found["match_rule"].eq("call_uuid")]
    ids = {name: by_id.loc[by_id["field"].eq(name), "call_uuid"].tolist() for name in COMPARED}
    other = sorted(set(by_id["field"]) - set(COMPARED))
    matched = int(rec.summary()["matched_by"]["call_uuid"])
    return {**differing(ids), "keyed_pairs": matched, "other_fields": other}
