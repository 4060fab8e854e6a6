"""Other ways to find which values of two frames differ, on frames that are in memory.

Narrow frames hold the key and what is compared: duration, status and end; wide ones hold the
whole typed export beside whole Call records, with the same three columns in common. Records
without a key are left out, for no key equals a missing one. Each result says which calls
differ in what, as `differing` sums it up.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.case import Case
from tests.benchmarks.names import COMPARED, KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.benchmarks.case import Step

__all__ = ["COMPARERS", "differing"]


def differing(ids: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return how many calls differ in each field, how many in any, and a fingerprint of their ids."""
    from tests.benchmarks.generate import fingerprint

    every = set().union(*ids.values())
    return {
        **{name: len(found) for name, found in ids.items()},
        "calls": len(every),
        "fingerprint": fingerprint(every),
    }


def _paths(folder: Path, width: str) -> tuple[Path, Path]:
    return folder / "month" / f"{width}_cdr.parquet", folder / "month" / f"{width}_call.parquet"


def _pandas(folder: Path, width: str) -> tuple[Any, Any]:
    import pandas as pd

    cdr, call = (pd.read_parquet(path) for path in _paths(folder, width))
    return cdr, call


def _polars(folder: Path, width: str) -> tuple[Any, Any]:
    import polars as pl

    cdr, call = (pl.read_parquet(path) for path in _paths(folder, width))
    return cdr, call


def _merge(how: str, width: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        cdr, call = _pandas(folder, width)

        def step() -> Any:
            both = cdr.merge(call, on=KEY, how=how, suffixes=("_cdr", "_call"), indicator=how == "outer")
            if how == "outer":
                both = both[both["_merge"] == "both"]
            for name in COMPARED:
                one, other = both[f"{name}_cdr"], both[f"{name}_call"]
                both[f"{name}_differs"] = (
                    ((one != other) & ~(one.isna() & other.isna())).fillna(value=True).astype("bool")
                )
            return both[both[[f"{name}_differs" for name in COMPARED]].any(axis=1)]

        return step

    return load


def _of_merge(rows: Any) -> dict[str, Any]:
    return differing({name: rows.loc[rows[f"{name}_differs"], KEY].tolist() for name in COMPARED})


def _duckdb(folder: Path) -> Step:
    import duckdb

    cdr, call = _pandas(folder, "narrow")
    duckdb.register("cdr", cdr)
    duckdb.register("call", call)
    differ = {name: f"cdr.{name} IS DISTINCT FROM call.{name}" for name in COMPARED}
    query = (
        f"SELECT {KEY}, call.id, {', '.join(f'cdr.{n} AS {n}_cdr, call.{n} AS {n}_call, {d} AS {n}_differs' for n, d in differ.items())} "  # noqa: S608 - our own names
        f"FROM cdr JOIN call USING ({KEY}) WHERE {' OR '.join(differ.values())}"
    )
    return lambda: duckdb.sql(query).df()


def _polars_join(folder: Path) -> Step:
    import polars as pl

    cdr, call = _polars(folder, "narrow")
    differ = [pl.col(name).ne_missing(pl.col(f"{name}_call")).alias(f"{name}_differs") for name in COMPARED]

    def step() -> Any:
        both = cdr.lazy().join(call.lazy(), on=KEY, how="inner", suffix="_call").with_columns(differ)
        return both.filter(pl.any_horizontal([f"{name}_differs" for name in COMPARED])).collect()

    return step


def _of_polars(rows: Any) -> dict[str, Any]:
    return differing({name: rows.filter(rows[f"{name}_differs"])[KEY].to_list() for name in COMPARED})


def _datacompy(kind: str, width: str) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        import datacompy

        cdr, call = (_pandas if kind == "PandasCompare" else _polars)(folder, width)
        compare = getattr(datacompy, kind)

        def step() -> Any:
            return compare(cdr, call, join_columns=KEY, df1_name="cdr", df2_name="call").intersect_rows

        return step

    return load


def _of_datacompy_pandas(rows: Any) -> dict[str, Any]:
    return differing(
        {name: rows.loc[~rows[f"{name}_match"].astype("bool"), KEY].tolist() for name in COMPARED}
    )


def _of_datacompy_polars(rows: Any) -> dict[str, Any]:
    return differing({name: rows.filter(~rows[f"{name}_match"])[KEY].to_list() for name in COMPARED})


COMPARERS: Final = (
    Case("datacompy PandasCompare, narrow", _datacompy("PandasCompare", "narrow"), _of_datacompy_pandas, needs=("datacompy",)),
    Case("datacompy PandasCompare, wide", _datacompy("PandasCompare", "wide"), _of_datacompy_pandas, needs=("datacompy",)),
    Case("datacompy PolarsCompare, narrow", _datacompy("PolarsCompare", "narrow"), _of_datacompy_polars, needs=("datacompy", "polars")),
    Case("datacompy PolarsCompare, wide", _datacompy("PolarsCompare", "wide"), _of_datacompy_polars, needs=("datacompy", "polars")),
    Case("pandas merge and compare, narrow", _merge("inner", "narrow"), _of_merge),
    Case("pandas merge and compare, wide", _merge("inner", "wide"), _of_merge),
    Case("pandas outer merge and compare, narrow", _merge("outer", "narrow"), _of_merge),
    Case("duckdb SQL", _duckdb, _of_merge, needs=("duckdb",)),
    Case("polars join", _polars_join, _of_polars, needs=("polars",)),
)  # fmt: skip
