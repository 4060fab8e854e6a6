"""Deal the rows of both frames into buckets, so that rows which may share an id lie in one.

Input are Dask DataFrames of legs and of calls, output are the same rows as spread frames
with equally many parts: what shares an id, or is joined by ids of other rows, is in the
parts of one number. Each row keeps its place in the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.base import compute, persist
from dask.delayed import delayed
from dask.utils import get_default_shuffle_method

from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.scale.bucket import ROW, TOGETHER, rows_of, split_columns, without_marks
from sippet_reconcile.scale.spread import Group, SpreadFrame, gather
from sippet_reconcile.scale.together import Ids, Joined, ids_of_calls, ids_of_legs, join_ids
from sippet_reconcile.schema import CALLS, LEGS, FrameSchema, conform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dask.delayed import Delayed
    from numpy.typing import NDArray

__all__ = ["ROWS_OF_PART", "Dealt", "deal", "shuffled"]

ROWS_OF_PART = 500_000
"""Into parts of so many rows an ordinary DataFrame is cut."""


_OF_CALLS: Final = (*CALLS.names, "from_e164", "to_e164")
"""Columns that are looked at often; calls may bring their numbers in E.164 along."""


class Dealt(NamedTuple):
    """The rows of one frame in buckets.

    Attributes
    ----------
    frame
        All rows, in their order in the whole.
    rows
        For each bucket the rows of the whole that it has, ascending.
    """

    frame: SpreadFrame
    rows: list[NDArray[np.int64]]


def deal(legs: Any, calls: Any, n_buckets: int | None = None) -> tuple[Dealt, Dealt]:
    """Deal both frames into buckets.

    Parameters
    ----------
    legs, calls
        Dask DataFrames; an ordinary DataFrame is cut into parts.
    n_buckets
        How many; as many as the frame with more parts has where not given.

    Raises
    ------
    SchemaError
        If one of them is no frame, or columns are absent or do not fit.
    InputError
        If `n_buckets` is no number of buckets.
    """
    if n_buckets is not None and (not isinstance(n_buckets, int) or n_buckets < 1):
        msg = f"npartitions is {n_buckets!r}; pass into how many parts rows shall be dealt, such as 64"
        raise InputError(msg)
    legs, calls = persist(_conformed(legs, LEGS), _conformed(calls, CALLS))
    n_buckets = n_buckets or max(legs.npartitions, calls.npartitions)
    leg_parts, call_parts = legs.to_delayed(), calls.to_delayed()
    of_legs, of_calls = (
        gather(_look_at, leg_parts, [ids_of_legs] * len(leg_parts)),
        gather(_look_at, call_parts, [ids_of_calls] * len(call_parts)),
    )
    joined = delayed(join_ids([ids for _, ids in (*of_legs, *of_calls)]))
    return (
        _dealt(
            _marked(legs, leg_parts, [size for size, _ in of_legs], joined, ids_of_legs),
            n_buckets,
            LEGS.names,
        ),
        _dealt(
            _marked(calls, call_parts, [size for size, _ in of_calls], joined, ids_of_calls),
            n_buckets,
            _OF_CALLS,
        ),
    )


def _conformed(frame: Any, schema: FrameSchema) -> Any:
    """Return a Dask DataFrame whose columns have the schema's types."""
    if isinstance(frame, pd.DataFrame):
        plain = _plain(frame, schema)
        return dd.from_pandas(plain, npartitions=max(1, -(-len(plain) // ROWS_OF_PART)), sort=False)
    if not isinstance(frame, dd.DataFrame):
        msg = f"{schema.name} is {type(frame).__name__}, neither a Dask DataFrame nor a DataFrame"
        raise SchemaError(msg)
    meta = _plain(frame._meta, schema)  # noqa: SLF001 - how Dask names what a frame looks like
    return frame.map_partitions(_plain, schema, meta=meta)


def _plain(part: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    plain = pd.DataFrame(conform(part, schema).reset_index(drop=True))
    if plain.columns.has_duplicates:
        twice = sorted({str(name) for name in plain.columns[plain.columns.duplicated()]})
        msg = f"{schema.name} has several columns named {', '.join(twice)}; rename or drop all but one"
        raise SchemaError(msg)
    plain.attrs = {}
    return plain


def _look_at(part: pd.DataFrame, ids_of: Callable[[pd.DataFrame], Ids]) -> tuple[int, Ids]:
    """Return how many rows there are, and which ids stand in one row; of legs no more is needed."""
    ids = ids_of(part)
    return len(part), ids if len(ids.call) else ids._replace(own=ids.call)


def _marked(
    frame: Any,
    parts: list[Delayed],
    sizes: list[int],
    joined: Delayed,
    ids_of: Callable[[pd.DataFrame], Ids],
) -> Any:
    """Return the rows with their place in the whole, and with what says which of them lie together."""
    begins = np.cumsum([0, *sizes])[:-1].tolist()
    marked = [delayed(_mark)(part, begin, joined, ids_of) for part, begin in zip(parts, begins, strict=True)]
    places = np.zeros(0, np.int64)
    meta = frame._meta.assign(**{ROW: places, TOGETHER: places})  # noqa: SLF001 - how Dask names what a frame looks like
    return dd.from_delayed(marked, meta=meta, verify_meta=False)


def _mark(
    part: pd.DataFrame, begin: int, joined: Joined, ids_of: Callable[[pd.DataFrame], Ids]
) -> pd.DataFrame:
    return part.assign(**{ROW: np.arange(begin, begin + len(part)), TOGETHER: joined.of(ids_of(part).own)})


def shuffled(frame: Any, n_parts: int) -> list[Delayed]:
    """Return the rows of a Dask DataFrame in so many parts, those that must be looked at together in one."""
    method = "tasks" if get_default_shuffle_method() == "disk" else None
    parts: list[Delayed] = frame.shuffle(
        on=TOGETHER, npartitions=n_parts, force=True, shuffle_method=method
    ).to_delayed()
    return parts


def _dealt(frame: Any, n_buckets: int, names: Sequence[str]) -> Dealt:
    """Deal the rows of one frame, and wait until that is done: two at once would hold twice as much in between."""
    parts = shuffled(frame, n_buckets)
    split = delayed(without_marks, nout=2, pure=False)
    both = [split(part, names) for part in parts]
    kept = persist(*(one for of_part in both for one in of_part), *(delayed(rows_of)(part) for part in parts))
    rows = list(compute(*kept[2 * n_buckets :]))
    order = np.argsort(np.concatenate(rows), kind="stable")
    sizes = np.array([len(of_part) for of_part in rows], np.int64)
    meta = frame._meta.drop(columns=[ROW, TOGETHER])  # noqa: SLF001 - how Dask names what a frame looks like
    groups = [
        Group(list(kept[place : 2 * n_buckets : 2]), of_group)
        for place, of_group in enumerate(split_columns(meta, names))
        if len(of_group.columns)
    ]
    return Dealt(SpreadFrame(groups, sizes, order, [str(name) for name in meta.columns]), rows)
