"""Turn frames, Arrow tables and JSON objects into the text columns that formats read.

Input are typed columns, output the same values as an export would print them:
instants with their offset, whole numbers without decimals, missing as missing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import TEXT, RawTable, one_array, record_hashes
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

__all__ = ["check_once", "table_of_arrow", "table_of_frame", "unique_names"]

_EXACT: Final = 2**53  # whole numbers up to here survive as floats


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return column names of which none is empty and none is twice.

    Examples
    --------
    >>> unique_names(["a", "", "a"])
    ('a', 'column 2', 'a (2)')
    """
    seen: dict[str, int] = {}
    unique: list[str] = []
    for place, raw in enumerate(names, start=1):
        name = raw.strip() or f"column {place}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(unique)


def check_once(wanted: Iterable[str], names: Container[str], where: str) -> None:
    """Refuse a table in which a column that is read is there twice: nobody can tell which one is meant."""
    for name in wanted:
        if f"{name} (2)" in names:
            msg = f"{where}: two columns are called {name!r}; rename or remove one of them"
            raise CdrFormatError(msg)


def _as_text(column: Any) -> pa.LargeStringArray:
    """Print a typed column."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_text(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind):
        at = column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
        pattern = "%Y-%m-%d %H:%M:%S" if kind.tz is None else "%Y-%m-%d %H:%M:%S%z"
        # Arrow prints all six digits of a second; an export prints them where there are any.
        return one_array(
            pc.replace_substring(pc.strftime(at, format=pattern), pattern=".000000", replacement="")
        )
    if pa.types.is_floating(kind):
        whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), float(_EXACT)))
        integers = pc.if_else(whole, column, 0.0).cast(pa.int64(), safe=False).cast(TEXT)
        missing = pc.or_kleene(pc.is_null(column), pc.is_nan(column))
        printed = pc.if_else(whole, integers, column.cast(TEXT))
        return one_array(pc.if_else(missing, pa.scalar(None, TEXT), printed))
    if pa.types.is_duration(kind):
        return _as_text(pc.divide(column.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), 1e6))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_string_view(kind):
        return one_array(column.cast(TEXT))
    if pa.types.is_nested(kind):
        return pa.array([None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], TEXT)
    return one_array(column.cast(TEXT))


def table_of_arrow(table: pa.Table) -> RawTable:
    """Return an Arrow table, such as a parquet file, as text; rows are numbered from 1."""
    names = unique_names(table.column_names)
    columns = {name: _as_text(table.column(i)) for i, name in enumerate(names)}
    return RawTable(
        columns,
        np.arange(1, table.num_rows + 1, dtype=np.int64),
        record_hashes(columns.values(), table.num_rows),
        fractions=frozenset(name for i, name in enumerate(names) if _has_fractions(table.column(i))),
    )


def _has_fractions(column: Any) -> bool:
    if not pa.types.is_floating(column.type):
        return False
    return bool(pc.any(pc.not_equal(column, pc.floor(column)), min_count=0).as_py())


def table_of_frame(frame: pd.DataFrame) -> RawTable:
    """Return a frame as text; its index is not looked at, rows are numbered from 1."""
    names = unique_names([str(name) for name in frame.columns])
    arrays = [_arrow_of(frame.iloc[:, place]) for place in range(len(names))]
    return table_of_arrow(pa.table(arrays, names=list(names)))


def _arrow_of(series: pd.Series[Any]) -> Any:
    if series.dtype != object:
        return pa.array(series, from_pandas=True)
    # A query's result mixes text, Decimal, datetime and None in one column: print each value.
    values = [
        None if value is None or value is pd.NaT or value is pd.NA or value != value else _print(value)  # noqa: PLR0124 - NaN
        for value in series.tolist()
    ]
    return pa.array(values, TEXT)


def _print(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return str(value)
