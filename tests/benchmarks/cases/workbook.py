"""How long does writing and reading back the review workbook take, beside pandas writing the same cells?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import openpyxl
import pandas as pd

from sippet_reconcile.plan import Plan
from sippet_reconcile.schema import CHANGES
from tests.benchmarks.case import Case, Group, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP"]

BASE, OURS, READ = "DataFrame.to_excel, xlsxwriter", "dry_run().to_excel", "keep_reviewed"


def make_plan(n: int) -> Plan:
    """Return a plan of so many changes, of one call each."""
    ids = [f"{(number * 2654435761) % 2**32:08x}-0000-4000-8000-{number:012d}" for number in range(n)]
    columns: dict[str, Any] = {
        "call_id": ids, "call_uuid": [f"switch-{number}" for number in range(n)], "source_row": range(1, n + 1),
        "field": "duration_seconds", "before": "30", "after": "60", "before_s": 30.0, "after_s": 60.0,
        "delta_s": 30.0, "explanation": "ring-time-included", "reason": "The API counts the ringing as well.",
        "match_rule": "call_uuid", "source_file": "cdr-2026-10.csv",
    }  # fmt: skip
    frame = pd.DataFrame({k: pd.Series(columns[k], range(n), dtype=t) for k, t in CHANGES.dtypes.items()})
    at = pd.Timestamp("2026-10-01T08:00:00Z").as_unit("us")
    starts = at + pd.to_timedelta(pd.Series(range(n)), unit="s")
    calls = pd.DataFrame({"call_id": ids, "call_uuid": columns["call_uuid"]}).assign(
        duration_seconds=30, started_at=starts, ended_at=starts + pd.Timedelta(seconds=70), direction="inbound",
        from_number="+442079460123", to_number="+442079460999", sip_username="anna", status="completed",
        started_at_cdr=starts, answered_at_cdr=starts, ended_at_cdr=starts + pd.Timedelta(seconds=60),
        total_s_cdr=70.0, billable_s_cdr=60.0, status_cdr="completed", n_legs_cdr=1,
        sources=[f"cdr-2026-10.csv:{number}" for number in range(1, n + 1)],
    )  # fmt: skip
    return Plan.from_changes(frame, kind="corrections", api_url="http://127.0.0.1:9", calls=calls)


def as_frame(plan: Plan) -> pd.DataFrame:
    """Return the cells of the changes for pandas to write."""
    frame = plan.changes.merge(
        plan.calls, on="call_id", how="left", validate="many_to_one", suffixes=("", "_call")
    )
    instants = frame.select_dtypes("datetimetz")
    frame = frame.assign(**{str(name): instants[name].dt.tz_localize(None) for name in instants})
    return frame.dropna(axis=1, how="all").iloc[:, :23]


def _prepare(folder: Path, size: int, _cache: Path) -> None:
    plan = make_plan(size)
    plan.save(folder / "plan.parquet")
    plan.dry_run().to_excel(folder / "review.xlsx")


def _load(folder: Path) -> Plan:
    plan = Plan.load(folder / "plan.parquet")
    plan.dry_run()
    return plan


def _by_pandas(engine: Literal["openpyxl", "xlsxwriter"]) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        plan = _load(folder)
        return lambda: as_frame(plan).to_excel(folder / f"{engine}.xlsx", engine=engine)

    return load


def _ours(folder: Path) -> Step:
    plan = _load(folder)
    return lambda: plan.dry_run().to_excel(folder / "written.xlsx")


def _cells(folder: Path) -> Step:
    def step() -> int:
        book = openpyxl.load_workbook(folder / "review.xlsx", read_only=True)
        n = sum(1 for row in book["changes"].iter_rows() for cell in row if cell.value is not None)
        book.close()
        return n

    return step


def _keep_reviewed(folder: Path) -> Step:
    plan = _load(folder)
    return lambda: plan.keep_reviewed(folder / "review.xlsx")


def _read_excel(folder: Path) -> Step:
    return lambda: pd.read_excel(folder / "review.xlsx", sheet_name="changes", dtype=str)


def _kept(plan: Any) -> dict[str, int]:
    return {"changes": len(plan)}


def _wrong(_folder: Path, found: Found) -> list[str]:
    kept = found.get(READ, {}).get("changes", 0)
    return [f"{READ} kept {kept} changes that nobody approved"] if kept else []


GROUP = Group(
    "workbook",
    "Writing the review workbook, and reading it back.",
    (
        Case(BASE, _by_pandas("xlsxwriter"), needs=("xlsxwriter",)),
        Case("DataFrame.to_excel, openpyxl", _by_pandas("openpyxl"), needs=("openpyxl",)),
        Case(OURS, _ours, needs=("xlsxwriter",)),
        Case("openpyxl reads its cells", _cells, lambda n: {"cells": n}, needs=("openpyxl",)),
        Case(READ, _keep_reviewed, _kept, needs=("openpyxl",)),
        Case("pandas.read_excel", _read_excel, needs=("openpyxl",)),
    ),
    BASE,
    _prepare,
    size=100_000,
    wrong=_wrong,
    targets=(Target(f"{OURS}, times {BASE}", f"workbook/{OURS}", 1.0, f"workbook/{BASE}"),),
    unit="changes",
)
