"""How long does the whole path take, from the export on disk to what differs?

The Call records are in memory; the file is in the system's cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Found, Group, Target
from tests.benchmarks.cases.diff import wrong_differences
from tests.benchmarks.cases.ours import load_calls, prepare_calls, reconcile, told_by
from tests.benchmarks.cases.readers import by_read_cdr, polars_csv
from tests.benchmarks.cases.reading import reader_case, wrong_sums
from tests.benchmarks.names import COMPARED, FREESWITCH, KEY, MEANT, ZONE

if TYPE_CHECKING:
    from tests.benchmarks.case import Step

__all__ = ["GROUP", "OURS"]

OURS = "whole/read_cdr and reconcile"
PANDAS = "pandas C typed"


def _ours(folder: Path) -> Step:
    read = by_read_cdr(folder / "month" / "Master.csv", FREESWITCH)
    (folder / "month" / "Master.csv").read_bytes()
    calls = load_calls(folder)
    return lambda: reconcile(read(), calls)


def _polars_datacompy(folder: Path) -> Step:
    import datacompy
    import polars as pl

    read = polars_csv(folder / "month" / "Master.csv", FREESWITCH)
    (folder / "month" / "Master.csv").read_bytes()
    call = pl.read_parquet(folder / "month" / "narrow_call.parquet")
    # What takes least: instants are put into UTC by one rule, which misses the hour that came twice.
    ended = pl.col("end_stamp").dt.replace_time_zone(ZONE, ambiguous="null").dt.convert_time_zone("UTC")

    def step() -> Any:
        cdr = read().select(
            pl.col("uuid").alias(KEY),
            pl.col("billsec").alias("duration_seconds"),
            pl.col("hangup_cause").replace_strict(MEANT).alias("status"),
            ended.alias("ended_at"),
        )
        return datacompy.PolarsCompare(
            cdr, call, join_columns=KEY, df1_name="cdr", df2_name="call"
        ).intersect_rows

    return step


def _seconds_and_statuses(rows: Any) -> dict[str, Any]:
    return {name: rows.height - int(rows[f"{name}_match"].sum()) for name in COMPARED[:2]}


def _wrong(folder: Path, found: Found) -> list[str]:
    ours = {name: facts for name, facts in found.items() if "keyed_pairs" in facts}
    read = {name: facts for name, facts in found.items() if "rows" in facts}
    other = {name: facts for name, facts in found.items() if name not in ours and name not in read}
    wrong = wrong_differences(folder, ours) + wrong_sums(folder, read)
    for name, facts in other.items():
        right = next(iter(ours.values()), facts)
        wrong += [f"{name} found {n} in {field}" for field, n in facts.items() if n != right[field]]
    return wrong


GROUP = Group(
    "whole",
    "From the export to what differs; pandas and pyarrow read only.",
    (
        reader_case(PANDAS),
        reader_case("pyarrow.csv typed"),
        Case("polars and datacompy PolarsCompare, narrow", _polars_datacompy, _seconds_and_statuses, needs=("datacompy", "polars")),
        Case("read_cdr and reconcile", _ours, told_by),
    ),
    PANDAS,
    prepare_calls,
    wrong=_wrong,
    targets=(
        Target("read_cdr and reconcile, times pandas C typed reading alone", OURS, 0.75, f"whole/{PANDAS}"),
        Target("read_cdr and reconcile, times datacompy PandasCompare of the wide frames", OURS, 0.25,
               "diff/datacompy PandasCompare, wide"),
        Target("read_cdr and reconcile, times polars and datacompy PolarsCompare", OURS, 1.0,
               "whole/polars and datacompy PolarsCompare, narrow"),
        Target("read_cdr and reconcile, growth of memory in MB", OURS, 500, measure="growth_mb", sizes=(1_000_000, 1_000_000)),
        Target("read_cdr and reconcile of 5M, times that of 1M", OURS, 6.0, OURS, sizes=(5_000_000, 1_000_000)),
    ),
)  # fmt: skip
