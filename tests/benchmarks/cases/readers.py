"""Other readers of an export, told to type it as a careful analyst would.

Text where ids and numbers are, instants where stamps are, whole numbers where seconds are.
Each returns a step; what its result comes to must be right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.names import COUNTRY, FREESWITCH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.benchmarks.case import Step
    from tests.benchmarks.names import Export

__all__ = ["READERS", "by_read_cdr", "polars_csv"]

FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def _text(export: Export) -> list[str]:
    return [name for name in export.columns if name not in (*export.stamps, *export.seconds)]


def _pyarrow_table(path: Path, export: Export) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    types = dict.fromkeys(export.columns, pa.large_string())
    types |= dict.fromkeys(export.stamps, pa.timestamp("us")) | dict.fromkeys(export.seconds, pa.int64())
    return csv.read_csv(
        path,
        read_options=csv.ReadOptions(column_names=list(export.columns)),
        convert_options=csv.ConvertOptions(column_types=types, timestamp_parsers=[csv.ISO8601]),
    )


def pyarrow_csv(path: Path, export: Export) -> Step:
    """Read with pyarrow.csv into a table."""
    from pyarrow import csv  # noqa: F401 - loaded before the clock starts

    return lambda: _pyarrow_table(path, export)


def pyarrow_csv_to_pandas(path: Path, export: Export) -> Step:
    """Read with pyarrow.csv and hand the columns over to pandas."""
    import pandas as pd  # noqa: F401
    from pyarrow import csv  # noqa: F401

    return lambda: _pyarrow_table(path, export).to_pandas(split_blocks=True, self_destruct=True)


def pandas_c(path: Path, export: Export) -> Step:
    """Read with the C engine of pandas, typed; it is quicker with stamps whose format it finds out by itself."""
    import pandas as pd

    dtype: dict[str, str] = dict.fromkeys(_text(export), "str") | dict.fromkeys(export.seconds, "Int64")
    return lambda: pd.read_csv(
        path, names=list(export.columns), dtype=dtype, parse_dates=list(export.stamps),
        keep_default_na=False, na_values=[""],
    )  # fmt: skip


def pandas_pyarrow(path: Path, export: Export) -> Step:
    """Read with the pyarrow engine of pandas, typed."""
    import pandas as pd
    from pyarrow import csv  # noqa: F401

    dtype: dict[str, str] = dict.fromkeys(_text(export), "str") | dict.fromkeys(export.seconds, "Int64")
    return lambda: pd.read_csv(
        path, names=list(export.columns), dtype=dtype, parse_dates=list(export.stamps), engine="pyarrow"
    )


def polars_csv(path: Path, export: Export) -> Step:
    """Read with polars, typed."""
    import polars as pl

    types: dict[str, Any] = dict.fromkeys(export.columns, pl.String)
    types |= dict.fromkeys(export.stamps, pl.Datetime("us")) | dict.fromkeys(export.seconds, pl.Int64)
    types = {name: types[name] for name in export.columns}
    return lambda: pl.read_csv(path, has_header=False, new_columns=list(export.columns), schema=types)


def duckdb_csv(path: Path, export: Export) -> Step:
    """Read with duckdb, typed, and hand the rows over as an Arrow table."""
    import duckdb
    import pyarrow as pa  # noqa: F401

    types = dict.fromkeys(export.columns, "VARCHAR") | dict.fromkeys(export.seconds, "BIGINT")
    types |= dict.fromkeys(export.stamps, "TIMESTAMP")
    columns = ", ".join(f"'{name}': '{types[name]}'" for name in export.columns)
    query = f"FROM read_csv('{path}', header=false, columns={{{columns}}}, timestampformat='{FORMAT}')"
    return lambda: duckdb.sql(query).to_arrow_table()


def by_read_cdr(path: Path, export: Export) -> Step:
    """Read as the package does."""
    import sippet_reconcile as sr
    from sippet_reconcile.cdr.formats import all_formats

    all_formats()
    country = COUNTRY if export is FREESWITCH else None
    return lambda: sr.read_cdr(path, timezone=export.timezone, country=country, progress=False)


def _sums(rows: int, total: Any, billable: Any, answered: Any) -> dict[str, int]:
    return {"rows": int(rows), "total_s": int(total), "billable_s": int(billable), "answered": int(answered)}


def sums_of_arrow(table: Any, export: Export) -> dict[str, int]:
    """Return what a table of Arrow comes to."""
    import pyarrow.compute as pc

    total, billable = (pc.sum(table[name]).as_py() for name in export.seconds)
    return _sums(table.num_rows, total, billable, len(table) - table[export.stamps[1]].null_count)


def sums_of_pandas(frame: Any, export: Export) -> dict[str, int]:
    """Return what a frame of pandas comes to."""
    total, billable = (frame[name].sum() for name in export.seconds)
    return _sums(len(frame), total, billable, frame[export.stamps[1]].notna().sum())


def sums_of_polars(frame: Any, export: Export) -> dict[str, int]:
    """Return what a frame of polars comes to."""
    total, billable = (frame[name].sum() for name in export.seconds)
    return _sums(frame.height, total, billable, frame.height - frame[export.stamps[1]].null_count())


def sums_of_legs(legs: Any, _: Export) -> dict[str, int]:
    """Return what legs come to."""
    return _sums(len(legs), legs["total_s"].sum(), legs["billable_s"].sum(), legs["is_answered"].sum())


READERS: Final[
    dict[str, tuple[Callable[[Path, Export], Step], Callable[[Any, Export], dict[str, int]], tuple[str, ...]]]
] = {
    "pyarrow.csv typed": (pyarrow_csv, sums_of_arrow, ()),
    "pyarrow.csv typed, to pandas": (pyarrow_csv_to_pandas, sums_of_pandas, ()),
    "pandas C typed": (pandas_c, sums_of_pandas, ()),
    "pandas pyarrow engine": (pandas_pyarrow, sums_of_pandas, ()),
    "polars": (polars_csv, sums_of_polars, ("polars",)),
    "duckdb": (duckdb_csv, sums_of_arrow, ("duckdb",)),
    "read_cdr": (by_read_cdr, sums_of_legs, ()),
}
"""For each reader what makes its step, what its result comes to, and what it needs."""
