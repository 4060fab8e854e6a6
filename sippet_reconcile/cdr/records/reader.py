"""Read delimited text into columns: fast where the file is regular, line by line only where it is not.

Input are UTF-8 bytes with line feeds and the widths a format knows; output is a
`RawTable` with one row for every line that is not blank. Arrow reads the whole
file; its result is believed only where each line gave one record of the right width
and no value holds a quote or a line feed that quoting by the book does not explain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.records.careful import Careful, Layout, mended_note, no_records, parse
from sippet_reconcile.cdr.records.lines import all_quoted_lines, blank_lines, by_the_book, lines_of
from sippet_reconcile.cdr.tables import (
    TEXT,
    RawTable,
    Widths,
    in_threads,
    one_array,
    record_hashes,
    where_cut,
    without_rows,
)
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.keys import hash_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Layout",
    "PieceRead",
    "line_start",
    "read_delimited",
    "read_piece",
    "read_regular",
    "without_headers",
]

Rows: TypeAlias = "NDArray[np.int64]"

_CARE: Final = 4 << 20  # bytes read with care at once
_SHOWN_NAMES: Final = 4
_LOOK: Final = 1 << 13  # bytes that show whether quoting is broken


def read_delimited(data: bytes, layout: Layout) -> RawTable:
    r"""Return every record of a delimited file as text.

    Examples
    --------
    >>> table = read_delimited(b'"a","b"\n\n"c"\n', Layout(",", {2: ("x", "y")}))
    >>> table.columns["x"].to_pylist(), table.rows.tolist(), table.problem.to_pylist()
    (['a', 'c'], [1, 3], [None, 'the row has 1 field instead of 2'])
    """
    begin = line_start(data, layout.first_line)
    if begin >= len(data):
        return no_records(layout)
    regular = None if b"\0" in data else read_regular(data, layout, begin=begin)
    table = _read_with_care(data, begin, layout) if regular is None else regular[0]
    return without_headers(table, layout) if layout.has_header else table


@dataclass(frozen=True, eq=False)
class PieceRead:
    """The records of a piece of a file.

    `n_lines` is how many lines were read; behind them, `rest` begins with a line that may
    go on in the next piece. `row_widths` are the fields of each row, 0 where it has a problem.
    """

    table: RawTable
    n_lines: int
    row_widths: NDArray[np.int64]
    n_mended: int = 0
    rest: bytes = b""

    @property
    def widths(self) -> Widths:
        """How many of the rows that are whole have how many fields."""
        return Widths.of(self.row_widths)


def read_piece(
    data: bytes,
    layout: Layout,
    *,
    begin: int = 0,
    is_last: bool = False,
    rare: frozenset[int] = frozenset(),
    between: tuple[int, int] = (0, 0),
) -> PieceRead:
    r"""Return every record of a piece of a file; what only the whole file tells is said by `rare` and `between`.

    Parameters
    ----------
    data
        UTF-8 with line feeds; it ends where a line ends.
    is_last
        Whether nothing comes behind it.
    rare, between
        As in `where_cut`.

    Examples
    --------
    >>> piece = read_piece(b'"a","b"\n"c","two\n', Layout(",", {2: ("x", "y")}))
    >>> piece.table.columns["x"].to_pylist(), piece.rest
    (['a'], b'"c","two\n')
    """
    if begin >= len(data):
        return PieceRead(no_records(layout), 0, np.zeros(0, np.int64))
    regular = None
    if b"\0" not in data and not (rare and layout.width in rare):
        regular = read_regular(data, layout, begin=begin, threads=False)
    if regular is not None:
        table, n_lines = regular
        return PieceRead(table, n_lines, np.full(len(table), layout.width))
    careful = Careful(data, begin, layout, is_last=is_last, rare=rare, between=between)
    table = careful.read()
    return PieceRead(table, careful.n_lines, careful.widths, careful.n_mended, careful.rest)


def _read_with_care(data: bytes, begin: int, layout: Layout) -> RawTable:
    """Read a file some of whose lines are broken, in blocks that stay in the processor's cache, on two threads."""
    if len(data) - begin <= _CARE or b"\0" in data:
        return Careful(data, begin, layout).read()
    ends = []
    at = begin
    while at < len(data):
        at = (data.find(b"\n", at + _CARE) + 1) or len(data)
        ends.append(at)
    blocks = [data[a:b] for a, b in zip([begin, *ends], ends, strict=False)]
    own = replace(layout, first_line=0)

    def read(place: int, rest: bytes = b"") -> PieceRead:
        return read_piece(rest + blocks[place], own, is_last=place == len(blocks) - 1)

    found: list[PieceRead] = []
    for place, first in enumerate(in_threads(read, list(range(len(blocks))), n_rows=len(data))):
        # What may go on belongs to the next block, which was read without it.
        found.append(read(place, found[-1].rest) if found and found[-1].rest else first)
    return _put_together(found, layout)


def _put_together(found: Sequence[PieceRead], layout: Layout) -> RawTable:
    """Return the records of all blocks; which rows were cut off is told by all of them."""
    begins = np.cumsum([0, *(block.n_lines for block in found)])
    filled = [(block, int(before)) for block, before in zip(found, begins, strict=False) if len(block.table)]
    if not filled:
        return no_records(layout)
    names = dict.fromkeys(name for width in layout.names for name in layout.names[width])
    used = [name for name in names if any(name in block.table.columns for block, _ in filled)]

    def column(name: str) -> pa.LargeStringArray:
        return pa.concat_arrays(
            [block.table.columns.get(name, pa.nulls(len(block.table), TEXT)) for block, _ in filled]
        )

    problem = pa.concat_arrays(
        [
            pa.nulls(len(block.table), TEXT) if block.table.problem is None else block.table.problem
            for block, _ in filled
        ]
    )
    n_mended = sum(block.n_mended for block, _ in filled)
    return RawTable(
        dict(zip(used, in_threads(column, used, n_rows=len(problem)), strict=True)),
        np.concatenate([block.table.rows + before for block, before in filled]) + layout.first_line,
        np.concatenate([block.table.record_hash for block, _ in filled]),
        where_cut(problem, np.concatenate([block.row_widths for block, _ in filled])),
        mended_note(n_mended),
    )


def line_start(data: bytes, line: int) -> int:
    """Return where a line begins, counted from 0; the end where there are not so many."""
    at = 0
    for _ in range(line):
        at = data.find(b"\n", at) + 1
        if at == 0:
            return len(data)
    return at


def read_regular(
    data: bytes, layout: Layout, *, begin: int = 0, threads: bool = True
) -> tuple[RawTable, int] | None:
    """Return the records of a file, or of a piece of one, and how many lines it has.

    None is returned where a line needs care.

    Parameters
    ----------
    data
        UTF-8 with line feeds and without NUL bytes.
    layout
        Its ``first_line`` is the number of physical lines before `begin`.
    begin
        Where the first record begins.
    threads
        Whether Arrow may use several threads.
    """
    names = layout.names[layout.width]
    if layout.repairs and _begins_broken(data, begin, layout):
        return None
    try:
        parsed = parse(pa.py_buffer(data).slice(begin), names, layout.delimiter, threads=threads)
    except pa.ArrowInvalid:
        return None
    columns = {name: one_array(parsed.column(name)) for name in names}
    quoted = all_quoted_lines(data, begin, columns, layout.delimiter)
    if quoted is not None:
        rows = np.arange(1, len(quoted) + 1, dtype=np.int64) + layout.first_line
        return RawTable(columns, rows, hash_text(quoted)), len(quoted)
    lines = lines_of(data, begin)
    filled = ~blank_lines(lines)
    if int(filled.sum()) != parsed.num_rows:
        return None
    if data.find(b'"', begin) >= 0 and not bool(by_the_book(lines, layout.delimiter).all()):
        return None
    rows = np.flatnonzero(filled) + 1 + layout.first_line
    return RawTable(columns, rows, record_hashes(columns.values(), len(rows))), len(lines)


def _begins_broken(data: bytes, begin: int, layout: Layout) -> bool:
    """Tell whether one of the first lines is broken: a system that breaks some breaks many, and Arrow would read for nothing."""
    end = data.find(b"\n", min(begin + _LOOK, len(data))) + 1 or len(data)
    if data.count(b'"', begin, end) == 2 * layout.width * data.count(b"\n", begin, end):
        return False  # as many as where every field is quoted
    return not bool(by_the_book(lines_of(data[begin:end], 0), layout.delimiter).all())


def without_headers(table: RawTable, layout: Layout) -> RawTable:
    """Leave out lines of names: exports that were put one behind the other repeat them.

    Raises
    ------
    CdrFormatError
        If such a line names the columns in another order: what follows it would be misread.
    """
    names = layout.names[layout.width]
    columns = [table.columns[name] for name in names]
    suspects = np.flatnonzero(np.asarray(pc.is_in(columns[0], value_set=pa.array(names, TEXT))))
    repeated = []
    for row in suspects.tolist():
        cells = [column[row].as_py() for column in columns]
        if all(cell in {name, None} for name, cell in zip(names, cells, strict=True)):
            repeated.append(row)
        elif len(set(cells) & set(names)) > len(names) / 2:
            line = int(table.rows[row])
            msg = (
                f"{layout.where} line {line}: the columns are named again, in another order than before "
                f"({', '.join(map(repr, cells[:_SHOWN_NAMES]))}, ...); cut the file there and read both parts"
            )
            raise CdrFormatError(msg, line=line)
    if not repeated:
        return table
    headers = np.zeros(len(table), bool)
    headers[repeated] = True
    return without_rows(table, headers)
