"""A frame whose rows lie in the parts of a cluster, looked at one column at a time.

Input are the parts and the order of their rows, output are columns and rows as pandas
has them. What works through a frame column by column, or takes a few rows of it, works
with a spread one as well, and never holds more of it than it asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
import pandas as pd
from dask.base import compute, persist
from dask.config import set as set_config
from dask.delayed import delayed

from sippet_reconcile.reconciliation.sides import text_codes, word_codes
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from dask.delayed import Delayed
    from numpy.typing import NDArray

__all__ = ["Group", "Places", "SpreadFrame", "gather", "gathered", "joined_codes", "keep", "row_numbers"]

_AT_ONCE: Final = 4
"""Parts whose results are on their way together: each is there several times until it has arrived."""


def gather(task: Callable[..., Any], *parts: Sequence[Any]) -> list[Any]:
    """Run a task on each part, where it lies, and return what each returned.

    Examples
    --------
    >>> gather(lambda part, more: part + more, [1, 2], [10, 20])
    [11, 22]
    """
    return list(gathered(task, *parts))


def gathered(task: Callable[..., Any], *parts: Sequence[Any]) -> Iterator[Any]:
    """Run a task on each part, where it lies, and yield what each returned; a few of them are here at a time."""
    kept: list[Any] = keep(task, *parts)
    for begin in range(0, len(kept), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        yield from compute(*kept[some])
        kept[some] = [None] * len(kept[some])


def keep(task: Callable[..., Any], *parts: Sequence[Any]) -> list[Delayed]:
    """Run a task on each part, where it lies, and leave there what each returns.

    Examples
    --------
    >>> gather(sum, keep(lambda part: [part, 1], [1, 2]))
    [2, 3]
    """
    run = delayed(task, pure=False, traverse=False)
    # Row positions travel with the tasks: a worker that dies takes none of them along.
    with set_config({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
        return list(persist(*(run(*of_one) for of_one in zip(*parts, strict=True))))


def row_numbers(size: int) -> type[np.signedinteger[Any]]:
    """Return the smallest type that numbers so many rows."""
    return np.int32 if size <= np.iinfo(np.int32).max else np.int64


class Places(NamedTuple):
    """Where some rows lie.

    Attributes
    ----------
    parts
        The parts that have any of them, ascending.
    local
        For each of these parts its rows.
    back
        For each asked row its place among the rows of all parts, one part behind the other.
    """

    parts: list[int]
    local: list[NDArray[np.int64]]
    back: NDArray[np.int64]


class Group(NamedTuple):
    """Columns that lie together: the parts, as Dask knows them, and the same columns without a row.

    What is seldom looked at lies by itself, so that it is not fetched from disk along with the others.
    """

    parts: list[Delayed]
    meta: pd.DataFrame


class SpreadFrame:
    """A frame in parts.

    Parameters
    ----------
    groups
        The columns. Each group has equally many parts; each part computes to a DataFrame.
    sizes
        How many rows each part has.
    order
        For each row of this frame its place among the rows of all parts, one part behind the other.
    names
        The names of the columns in their order; those of the groups, one behind the other, where not given.
    made
        Further columns, each made when it is asked for; one replaces a column of its name.

    Notes
    -----
    ``frame["name"]`` is a Series; ``frame[["some", "names"]]``, ``frame.iloc[rows]`` and
    ``frame.assign(name=function)`` are spread frames that hold nothing yet; ``frame.take(rows)``,
    ``frame.loc[mask]`` and ``frame.reindex(positions)`` are DataFrames of these rows, `to_pandas`
    one of all rows, and `to_dask` a Dask DataFrame in the order of the parts. Rows are numbered from 0.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        sizes: NDArray[np.int64],
        order: NDArray[np.int64],
        names: Sequence[str] | None = None,
        made: Mapping[str, Callable[[SpreadFrame], Any]] | None = None,
    ) -> None:
        self._groups = tuple(groups)
        self._bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes, dtype=np.int64)])
        self._order = order.astype(row_numbers(int(self._bounds[-1])), copy=False)
        self._group_of = {str(name): group for group in groups for name in group.meta.columns}
        self._names = list(self._group_of) if names is None else list(names)
        self._made = dict(made or {})

    def __len__(self) -> int:
        return len(self._order)

    def __repr__(self) -> str:
        return f"<SpreadFrame: {len(self):,} rows x {len(self.columns)} columns in {len(self._bounds) - 1:,} parts>"

    @property
    def columns(self) -> pd.Index[str]:
        """The names of the columns."""
        return pd.Index([*self._names, *(name for name in self._made if name not in self._names)])

    @property
    def dtypes(self) -> pd.Series[Any]:
        """The types of the stored columns, by name."""
        types = {name: self._group_of[name].meta.dtypes[name] for name in self._names}
        return pd.Series(types, dtype=object)

    @property
    def index(self) -> pd.RangeIndex:
        """Rows are numbered from 0."""
        return pd.RangeIndex(len(self))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), len(self.columns)

    @property
    def empty(self) -> bool:
        """Whether there is no row."""
        return not len(self)

    def __contains__(self, name: object) -> bool:
        return name in self._made or name in self._names

    def __getitem__(self, name: str | list[str]) -> Any:
        if isinstance(name, list):
            made = {one: self._made[one] for one in name if one in self._made}
            return self._with(names=[one for one in name if one not in made], made=made)
        if name in self._made:
            return self._make(name)
        if name not in self._names:
            raise KeyError(name)
        if 2 * len(self) < self._bounds[-1]:
            return self._take_stored(np.arange(len(self)), [name])[name]
        group = self._group_of[name]
        found = gather(lambda part: part[name], group.parts)
        column = pd.concat([group.meta[name], *found], ignore_index=True)
        return column if self._is_in_order else column.take(self._order).reset_index(drop=True)

    @property
    def _is_in_order(self) -> bool:
        return len(self) == self._bounds[-1] and bool((self._order == np.arange(len(self))).all())

    def _make(self, name: str) -> pd.Series[Any]:
        return pd.Series(self._made[name](self), index=self.index, name=name)

    def parts_of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the part of each row, and its place there."""
        at = self._order[rows].astype(np.int64)
        part = np.searchsorted(self._bounds, at, side="right") - 1
        return part, at - self._bounds[part]

    def places_in(self, part: int, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the places of rows that all lie in one part."""
        return (self._order[rows] - self._bounds[part]).astype(np.int32)

    def rows_of_parts(self) -> list[NDArray[Any]]:
        """Return for each part its rows in this frame, which has them all."""
        rows = np.empty_like(self._order)
        rows[self._order] = np.arange(len(rows), dtype=rows.dtype)
        return np.split(rows, self._bounds[1:-1])

    def words(self, name: str) -> list[str]:
        """Return the distinct words of a text column, in the order in which they first occur here."""
        found = gather(lambda part: _first_words(part[name]), self._group_of[name].parts)
        first: dict[str, int] = {}
        places = [
            (word, int(at + self._bounds[part])) for part, of_part in enumerate(found) for word, at in of_part
        ]
        rows = np.flatnonzero(np.isin(self._order, np.array([at for _, at in places], self._order.dtype)))
        row_of = dict(zip(self._order[rows].tolist(), rows.tolist(), strict=True))
        for word, at in places:
            if at in row_of:
                first[word] = min(row_of[at], first.get(word, row_of[at]))
        return sorted(first, key=first.__getitem__)

    def as_part(self, rows: NDArray[np.int64], names: Sequence[str]) -> Delayed:
        """Return some rows, in their order, as one part more: they go from part to part and not through here."""
        places = self.places(rows)
        parts = self.parts(names)
        some = delayed(_taken, pure=False)
        taken = [some(parts[number], local) for number, local in zip(places.parts, places.local, strict=True)]
        return delayed(_joined, pure=False)(self.meta[list(names)], taken, places.back)

    @property
    def meta(self) -> pd.DataFrame:
        """The stored columns without a row."""
        return _side_by_side([group.meta for group in self._groups], self._names)

    @property
    def core(self) -> list[str]:
        """The names of the columns that are looked at often."""
        return [str(name) for name in self._groups[0].meta.columns if name in self._names]

    def core_and(self, also: Sequence[str] | None) -> list[str]:
        """Return the names of these, and of others that are there; of all columns with None."""
        others = self._names if also is None else [name for name in also if name in self._names]
        return [*self.core, *(name for name in others if name not in self.core)]

    def places(self, rows: NDArray[np.int64]) -> Places:
        """Return where some rows lie, part by part."""
        part, local = self.parts_of(rows)
        by_part = np.argsort(part, kind="stable")
        parts, begins = np.unique(part[by_part], return_index=True)
        back = np.empty(len(rows), np.int64)
        back[by_part] = np.arange(len(rows))
        return Places(parts.tolist(), np.split(local[by_part], begins[1:]) if len(parts) else [], back)

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column of few distinct texts as codes and words, as `text_codes` does; no text travels twice."""
        if name in self._made:
            return text_codes(self._make(name))
        found = gathered(lambda part: word_codes(text_array(part[name])), self._group_of[name].parts)
        together, every = joined_codes(found)
        together = together[self._order]
        known = together >= 0
        # Words are numbered as they first occur in this frame, whatever the parts.
        together[known], distinct = pd.factorize(together[known])
        return together.astype(np.int64), [every[code] for code in distinct.tolist()]

    def take(self, rows: Any) -> pd.DataFrame:
        """Return some rows, by position, numbered from 0."""
        rows = np.asarray(rows, np.int64)
        frame = self._take_stored(rows, self._names)
        made = {name: self._make(name).array.take(rows) for name in self._made}
        return frame.assign(**made)

    def _take_stored(self, rows: NDArray[np.int64], names: list[str]) -> pd.DataFrame:
        places = self.places(rows)
        together: list[pd.DataFrame] = []
        for group in self._groups:
            wanted = [name for name in names if self._group_of[name] is group]
            if not wanted and together:
                continue
            found = gather(
                lambda part, local, wanted=wanted: part[wanted].take(local),
                [group.parts[number] for number in places.parts],
                places.local,
            )
            together.append(pd.concat([group.meta[wanted], *found], ignore_index=True))
        side_by_side = pd.concat(together, axis=1)[names]
        return side_by_side.take(places.back).reset_index(drop=True)

    def reindex(self, positions: Any) -> pd.DataFrame:
        """Return some rows, by position; -1 gives a missing row."""
        positions = np.asarray(positions, np.int64)
        known = np.flatnonzero(positions >= 0)
        return self.take(positions[known]).set_axis(known).reindex(np.arange(len(positions)))

    def reset_index(self, *, drop: bool) -> Self:
        """Return this frame: its rows are numbered already."""
        if not drop:
            msg = "a spread frame has no index to keep; pass drop=True"
            raise ValueError(msg)
        return self

    @property
    def iloc(self) -> _ByPosition:
        """Some rows, by position, as a spread frame."""
        return _ByPosition(self)

    @property
    def loc(self) -> _ByMask:
        """The rows of a mask as a DataFrame, or some columns as a spread one."""
        return _ByMask(self)

    def copy(self, *, deep: bool = False) -> Self:
        """Return this frame: nothing can be written into it."""
        del deep
        return self

    def assign(self, **made: Callable[[SpreadFrame], Any]) -> SpreadFrame:
        """Return the frame with further columns; each is a function of the frame, called when it is asked for."""
        return self._with(made={**self._made, **made})

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as a DataFrame."""
        return self.take(np.arange(len(self)))

    def blocks(self, size: int) -> Iterator[pd.DataFrame]:
        """Yield all rows, so many at a time; without any row there is one block without rows."""
        made = {name: self._make(name).array for name in self._made}
        for begin in range(0, max(len(self), 1), size):
            rows = np.arange(begin, min(begin + size, len(self)))
            stored = self._take_stored(rows, self._names)
            yield stored.assign(**{name: values.take(rows) for name, values in made.items()})

    def parts(self, names: Sequence[str] | None = None) -> list[Delayed]:
        """Return the parts with all stored columns, or with some of them at least."""
        wanted = self._names if names is None else names
        groups = [group for group in self._groups if any(self._group_of[name] is group for name in wanted)]
        groups = groups or [self._groups[0]]
        if len(groups) == 1 and names is not None:
            return groups[0].parts
        together = delayed(_side_by_side, pure=False)
        return [together(parts, wanted) for parts in zip(*(group.parts for group in groups), strict=True)]

    def to_dask(self) -> Any:
        """Return a Dask DataFrame of the rows in the order of the parts, without what is made when it is asked for."""
        import dask.dataframe as dd  # noqa: PLC0415 - only where somebody asks

        return dd.from_delayed(self.parts(), meta=self.meta, verify_meta=False)[self._names]

    def _with(self, **changed: Any) -> SpreadFrame:
        given: dict[str, Any] = {"order": self._order, "names": self._names, "made": self._made, **changed}
        return SpreadFrame(self._groups, np.diff(self._bounds), given["order"], given["names"], given["made"])

    def _rows(self, rows: NDArray[np.int64]) -> SpreadFrame:
        def of(name: str) -> Callable[[SpreadFrame], Any]:
            return lambda _: self._make(name).array.take(rows)

        return self._with(order=self._order[rows], made={name: of(name) for name in self._made})


def _side_by_side(parts: Sequence[pd.DataFrame], names: list[str]) -> pd.DataFrame:
    return pd.concat(parts, axis=1)[names]


class _ByPosition:
    """What ``frame.iloc`` answers."""

    def __init__(self, frame: SpreadFrame) -> None:
        self._frame = frame

    def __getitem__(self, rows: Any) -> Any:
        if isinstance(rows, (int, np.integer)):
            return self._frame.take([np.arange(len(self._frame))[rows]]).iloc[0]
        return self._frame._rows(np.arange(len(self._frame))[rows])  # noqa: SLF001 - one class in two


class _ByMask:
    """What ``frame.loc`` answers."""

    def __init__(self, frame: SpreadFrame) -> None:
        self._frame = frame

    def __getitem__(self, asked: Any) -> Any:
        mask, names = asked if isinstance(asked, tuple) else (asked, None)
        if isinstance(mask, slice):
            return self._frame[names]
        rows = np.flatnonzero(np.asarray(mask, np.bool_))
        if names is None:
            return self._frame.take(rows)
        several = names if isinstance(names, list) else [names]
        return self._frame[several].take(rows)[names]


def joined_codes(found: Iterable[tuple[NDArray[Any], list[str]]]) -> tuple[NDArray[Any], list[str]]:
    """Return codes of several parts, one behind the other, and the words of them all.

    Examples
    --------
    >>> codes, words = joined_codes([(np.array([0, -1]), ["b"]), (np.array([1, 0]), ["b", "a"])])
    >>> codes.tolist(), words
    ([0, -1, 1, 0], ['b', 'a'])
    """
    places: dict[str, int] = {}
    codes = [np.zeros(0, np.int32)]
    for of_part, words in found:
        own = np.array([*(places.setdefault(word, len(places)) for word in words), -1], np.int32)
        codes.append(own[of_part])
    return np.concatenate(codes), list(places)


def _first_words(column: pd.Series[str]) -> list[tuple[str, int]]:
    codes, words = word_codes(text_array(column))
    found, first = np.unique(codes, return_index=True)
    return [
        (words[code], int(at)) for code, at in zip(found.tolist(), first.tolist(), strict=True) if code >= 0
    ]


def _taken(part: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    return part.take(rows)


def _joined(meta: pd.DataFrame, parts: Sequence[pd.DataFrame], back: NDArray[np.int64]) -> pd.DataFrame:
    together = pd.concat([meta, *(part[meta.columns] for part in parts)], ignore_index=True)
    return together.take(back).reset_index(drop=True)
