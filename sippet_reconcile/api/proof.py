"""Whether an answer can be what was asked for: do its rows fit the filter, is it all of them.

A server that does not know a filter leaves it out and answers with everything, and one
that caps its answers does not say so. Input is the rows of an answer and the filters
that asked for them; output is how many rows surely do not fit, and whether a number of
rows looks like a limit. No I/O here.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.api.queries import instant_text
from sippet_reconcile.values import INSTANT_FIELDS, SECONDS_FIELDS, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

__all__ = ["count_misfits", "count_outside", "may_be_a_limit"]

_SMALLEST_LIMIT: Final = 10
_ORDERS: Final = {
    "gt": "greater",
    "greater_than": "greater",
    "gte": "greater_equal",
    "greater_than_or_equal": "greater_equal",
    "lt": "less",
    "less_than": "less",
    "lte": "less_equal",
    "less_than_or_equal": "less_equal",
}
_TEXTS: Final = {
    "contains": pc.match_substring,
    "string_starts_with": pc.starts_with,
    "string_ends_with": pc.ends_with,
}
_NOT_EQUAL: Final = ("not_eq", "is_distinct_from")
_FALSE: Final = pa.scalar(value=False)
_UNKNOWN: Final = pa.scalar(None, pa.bool_())


def may_be_a_limit(n_rows: int) -> bool:
    """Tell whether a number of rows is one that a person would choose as a limit.

    Examples
    --------
    >>> [n for n in (0, 8, 10, 25, 64, 99, 1000, 1001) if may_be_a_limit(n)]
    [10, 25, 64, 1000]
    """
    is_round = n_rows % 10 == 0 or n_rows % 25 == 0
    return n_rows >= _SMALLEST_LIMIT and (is_round or n_rows & (n_rows - 1) == 0)


def count_outside(rows: pa.Table, start: datetime | None, end: datetime | None) -> int:
    """Count the rows outside a half-open span of ``started_at``; without ends, those that have a start."""
    started = rows.column("started_at")
    if start is None and end is None:
        return len(started) - int(started.null_count)
    outside = pc.is_null(started)
    if start is not None:
        outside = pc.or_kleene(outside, pc.less(started, pa.scalar(start, started.type)))
    if end is not None:
        outside = pc.or_kleene(outside, pc.greater_equal(started, pa.scalar(end, started.type)))
    return pc.sum(outside).as_py() or 0


def count_misfits(rows: pa.Table, filters: Mapping[str, Any]) -> int:
    """Count the rows that a filter surely did not ask for.

    Where a server may see it otherwise, nothing is held against a row: instants within
    one second of each other (it may keep whole seconds only), texts that differ in case.

    Parameters
    ----------
    rows
        With a column for each attribute.
    filters
        As for ``filter_pairs``, which has checked them.
    """
    return pc.sum(pc.invert(_all_of(rows, filters))).as_py() or 0


def _all_of(rows: pa.Table, filters: Mapping[str, Any]) -> Any:
    """Return a mask of three values: fits, does not fit, and missing for "cannot be told"."""
    masks = [_fits(rows, name, wanted) for name, wanted in filters.items()]
    return reduce(pc.and_kleene, masks, pa.chunked_array([pa.repeat(pa.scalar(value=True), rows.num_rows)]))


def _fits(rows: pa.Table, name: str, wanted: Any) -> Any:
    if name == "not":
        return pc.invert(_all_of(rows, wanted))
    if name in {"and", "or"}:
        masks = [_all_of(rows, part) for part in wanted]
        return reduce(pc.and_kleene if name == "and" else pc.or_kleene, masks)
    column = rows.column(name)
    if isinstance(wanted, Mapping):
        return reduce(pc.and_kleene, [_meets(column, name, str(op), value) for op, value in wanted.items()])
    if wanted is None:
        return pc.is_null(column)
    is_one = isinstance(wanted, str) or not hasattr(wanted, "__iter__")
    return _meets(column, name, "eq" if is_one else "in", wanted)


def _meets(column: pa.ChunkedArray, name: str, operator: str, value: Any) -> Any:
    if operator == "is_nil":
        return pc.is_null(column) if value else pc.is_valid(column)
    if operator in _NOT_EQUAL:
        return pc.invert(_is_any(column, name, [value]))
    if operator == "in":
        return _is_any(column, name, value)
    if operator in _ORDERS:
        return _is_ordered(column, name, _ORDERS[operator], value)
    if operator in _TEXTS:
        return _matches(column, _TEXTS[operator], value.strip())
    return _is_any(column, name, [value])


def _without_fraction(name: str, value: Any) -> Any:
    return parse_instant(instant_text(value, name)).replace(microsecond=0)


def _is_any(column: pa.ChunkedArray, name: str, values: Iterable[Any]) -> Any:
    if name in SECONDS_FIELDS:
        return pc.is_in(column, value_set=pa.array([int(value) for value in values], column.type))
    if name in INSTANT_FIELDS:
        wanted = pa.array([_without_fraction(name, value) for value in values], column.type)
        near = pc.is_in(pc.floor_temporal(column, unit="second"), value_set=wanted)
        return pc.if_else(near, _UNKNOWN, near)
    texts = [str(value).strip() for value in values]
    exact = pc.is_in(column, value_set=pa.array(texts, column.type))
    lower = pa.array([text.lower() for text in texts], column.type)
    return pc.if_else(exact, exact, _unless(pc.is_in(pc.utf8_lower(column), value_set=lower)))


def _is_ordered(column: pa.ChunkedArray, name: str, order: str, value: Any) -> Any:
    if name in SECONDS_FIELDS:
        return pc.fill_null(pc.call_function(order, [column, pa.scalar(int(value), column.type)]), _FALSE)
    bound = pa.scalar(_without_fraction(name, value), column.type)
    whole = pc.floor_temporal(column, unit="second")
    told = pc.if_else(pc.equal(whole, bound), _UNKNOWN, pc.call_function(order, [whole, bound]))
    return pc.if_else(pc.is_null(column), _FALSE, told)


def _matches(column: pa.ChunkedArray, find: Callable[..., Any], text: str) -> Any:
    exact = pc.fill_null(find(column, text), _FALSE)
    return pc.if_else(exact, exact, _unless(pc.fill_null(find(column, text, ignore_case=True), _FALSE)))


def _unless(near: Any) -> Any:
    """Turn "near, but not exactly" into "cannot be told"."""
    return pc.if_else(near, _UNKNOWN, near)
