"""The records of one file as text columns, with where they stood and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import hash_text
from sippet_reconcile.normalize import clean_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

__all__ = [
    "Fields",
    "RawTable",
    "Widths",
    "flags",
    "in_threads",
    "one_array",
    "rare_widths",
    "record_hashes",
    "repeated",
    "where_cut",
    "without_rows",
]

TEXT: Final = pa.large_string()
_THREADS: Final = 2
_BLOCK: Final = 1 << 16  # rows hashed together
_FEW_CUT: Final = (3, 100)  # so many rows, or one in so many, may be cut; more are of another layout
_SMALL: Final = 100_000  # rows below which a thread costs more than it saves

_OPEN, _BETWEEN, _CLOSE, _NOTHING = (pa.scalar(text, TEXT) for text in ('"', '","', '"\n', ""))

_In = TypeVar("_In")
_Out = TypeVar("_Out")
Rows: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True, eq=False)
class RawTable:
    """One row per record, as delivered.

    `columns` are untrimmed and equally long; `rows` are physical lines or record
    numbers; `record_hash` covers every field; `problem` says what is wrong with the
    structure of a row, missing where nothing is; `notes` concern the whole file.
    `fractions` are the columns that came as numbers with fractions, not as text.
    """

    columns: Mapping[str, pa.LargeStringArray]
    rows: Rows
    record_hash: NDArray[np.uint64]
    problem: pa.LargeStringArray | None = None
    notes: tuple[str, ...] = ()
    fractions: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.rows)


def without_rows(table: RawTable, left_out: NDArray[np.bool_]) -> RawTable:
    """Return a table without the rows that a mask marks."""
    keep = ~left_out
    mask = pa.array(keep)
    return replace(
        table,
        columns={name: column.filter(mask) for name, column in table.columns.items()},
        rows=table.rows[keep],
        record_hash=table.record_hash[keep],
        problem=None if table.problem is None else table.problem.filter(mask),
    )


@dataclass(frozen=True)
class Widths:
    """How many fields the whole rows of a piece of a file have: how many rows have how many, the first and the last one."""

    counts: Counter[int] = field(default_factory=Counter)
    first: int = 0
    last: int = 0

    @classmethod
    def of(cls, widths: NDArray[np.int64]) -> Widths:
        """Count; rows that are 0 fields wide have a problem and do not count."""
        own = widths[widths > 0]
        if len(own) == 0:
            return cls()
        if bool((own == own[0]).all()):
            return cls(Counter({int(own[0]): len(own)}), int(own[0]), int(own[0]))
        values, counts = np.unique(own, return_counts=True)
        return cls(
            Counter(dict(zip(values.tolist(), counts.tolist(), strict=True))), int(own[0]), int(own[-1])
        )


def rare_widths(counts: Counter[int]) -> frozenset[int]:
    """Return the widths that so few rows of a file have that those may have been cut off."""
    if len(counts) < 2:  # noqa: PLR2004 - rows of one width are not narrower than others
        return frozenset()
    few, one_in = _FEW_CUT
    most = max(few, counts.total() // one_in)
    return frozenset(width for width, count in counts.items() if count <= most)


def where_cut(
    problem: pa.LargeStringArray,
    widths: NDArray[np.int64],
    rare: frozenset[int] | None = None,
    between: tuple[int, int] = (0, 0),
) -> pa.LargeStringArray:
    """Add a problem to rows that were cut off at the end of a field, so that they look like another layout.

    A switch that is set up anew writes wider or narrower rows from then on: a lone row
    that is narrower than those around it, or than the one before the end, is a rest.

    Parameters
    ----------
    problem
        What is wrong with each row so far.
    widths
        How many fields each row has, in the order of the file; 0 where it has a problem.
    rare
        The widths that are rare, where these rows are not the whole file.
    between
        The widths of the rows before and behind them, 0 where there is none.
    """
    rare = rare_widths(Widths.of(widths).counts) if rare is None else rare
    if not rare:
        return problem
    whole = np.flatnonzero(widths)
    own = widths[whole]
    if len(own) == 0:
        return problem
    before = np.concatenate([[between[0] or own[0]], own[:-1]])
    after = np.concatenate([own[1:], [between[1] or before[-1]]])
    cut = np.flatnonzero((own < before) & (own < after) & np.isin(own, list(rare)))
    if len(cut) == 0:
        return problem
    words = [
        f"the row has {n} fields instead of {usual}" for n, usual in zip(own[cut], before[cut], strict=True)
    ]
    mask = np.zeros(len(widths), bool)
    mask[whole[cut]] = True
    return pc.replace_with_mask(problem, pa.array(mask), pa.array(words, TEXT))


class Fields:
    """The columns of a raw table by name: trimmed, empty is missing, an absent column is all missing."""

    def __init__(self, table: RawTable) -> None:
        self._table = table
        self._clean: dict[str, pa.LargeStringArray] = {}
        self._derived: dict[str, pa.LargeStringArray] = {}

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table.columns

    def __getitem__(self, name: str) -> pa.LargeStringArray:
        if name not in self._clean:
            raw = self._table.columns.get(name)
            self._clean[name] = pa.nulls(len(self), TEXT) if raw is None else clean_text(raw)
        return self._clean[name]

    def first(self, *names: str) -> pa.LargeStringArray:
        """Return each row's first value of several columns."""
        return pc.coalesce(*(self[name] for name in names))

    @property
    def raw(self) -> RawTable:
        """The table behind the fields."""
        return self._table

    def derived(
        self, name: str, work_out: Callable[[pa.LargeStringArray], pa.LargeStringArray]
    ) -> pa.LargeStringArray:
        """Return what is worked out from a column; whoever asks first has it worked out for all."""
        key = f"{name} {work_out.__qualname__}"
        if key not in self._derived:
            self._derived[key] = work_out(self[name])
        return self._derived[key]

    def prepare(self, names: Iterable[str]) -> None:
        """Clean several columns at once, on both processors."""
        wanted = [name for name in names if name in self._table.columns and name not in self._clean]
        arrays = in_threads(clean_text, [self._table.columns[name] for name in wanted])
        self._clean.update(zip(wanted, arrays, strict=True))


def one_array(column: Any) -> pa.LargeStringArray:
    """Return a column of text as one contiguous Arrow array."""
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks != 1:
            column = pa.chunked_array(column.chunks or [pa.array([], column.type)]).combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    return column if column.type == TEXT else column.cast(TEXT)


def flags(array: pa.BooleanArray) -> NDArray[np.bool_]:
    """Return flags none of which is missing, as numpy has them; unpacked at once, not one by one.

    Examples
    --------
    >>> flags(pa.array([True, False, True]).slice(1)).tolist()
    [False, True]
    """
    if len(array) == 0:
        return np.zeros(0, bool)
    first, skipped = divmod(array.offset, 8)
    bits = np.frombuffer(array.buffers()[1], np.uint8)[first:]
    return np.unpackbits(bits, count=skipped + len(array), bitorder="little")[skipped:].view(bool)


def repeated(value: str | None, size: int) -> Any:
    """Return one text for every row, as views of one short array: a million rows take no more memory.

    Examples
    --------
    >>> repeated("a", 3).to_pylist()
    ['a', 'a', 'a']
    """
    block = pa.repeat(pa.scalar(value, TEXT), min(size, _BLOCK))
    whole, rest = divmod(size, _BLOCK)
    chunks = [block] * whole + ([block.slice(0, rest)] if rest else [])
    return pa.chunked_array(chunks, TEXT)


def in_threads(function: Callable[[_In], _Out], items: list[_In], *, n_rows: int | None = None) -> list[_Out]:
    """Map a function over whole columns on two threads; Arrow and numpy let go of the lock meanwhile."""
    size = n_rows if n_rows is not None else max((len(item) for item in items), default=0)  # type: ignore[arg-type]  # columns have lengths
    if len(items) < _THREADS or size < _SMALL:
        return [function(item) for item in items]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(function, items))


def record_hashes(columns: Iterable[pa.LargeStringArray], length: int) -> NDArray[np.uint64]:
    r"""Return one hash per record over all its fields in order.

    Hashed is the record as a line in which every field is quoted, whatever was quoted
    in the file; a missing field is not an empty one.

    Examples
    --------
    >>> one = pa.array(["a", None], pa.large_string())
    >>> first, second = record_hashes([one, one], 2).tolist()
    >>> [first, second] == record_hashes([one], 2).tolist(), first == second
    (False, False)
    >>> first == int(hash_text(pa.array(['"a","a"\n'], pa.large_string()))[0])
    True
    """
    arrays = list(columns)
    if not arrays:
        return np.zeros(length, np.uint64)

    def hashed(begin: int) -> NDArray[np.uint64]:
        first, *rest = (array.slice(begin, _BLOCK) for array in arrays)
        # The quotes around a record go to its outer fields: putting them around the whole would copy it once more.
        *fields, last = _joined(_OPEN, first), *rest
        return hash_text(_joined(*fields, _joined(last, _CLOSE), between=_BETWEEN))

    blocks = in_threads(hashed, list(range(0, length, _BLOCK)), n_rows=length)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.uint64)


def _joined(*parts: Any, between: Any = _NOTHING) -> pa.LargeStringArray:
    """Return texts row by row behind each other; what is missing shows as a byte that no export holds."""
    return pc.binary_join_element_wise(*parts, between, null_handling="replace", null_replacement="\x1e")
