"""Read the rows that a dump of a database holds as INSERT or REPLACE statements.

Input are decoded bytes, output is a `RawTable`: one row per tuple of the tables that
hold calls, numbered by the physical line that it begins on. What a column is called is
said by the statement, else by the CREATE TABLE in the same dump, else by its place.
Rows of other tables are no records; how many there are is told in a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa

from sippet_reconcile._display import plural
from sippet_reconcile.cdr.records.sql_statements import Dump, Insert, begins_like_sql, sql_samples
from sippet_reconcile.cdr.records.sql_tuples import Dialect, Tuple, Window, read_tuple, read_window
from sippet_reconcile.cdr.spec import Sample
from sippet_reconcile.cdr.tables import TEXT, RawTable, record_hashes
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.keys import hash_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["begins_like_sql", "read_sql", "sql_samples"]

WINDOW: Final = 4 << 20
"""Bytes that are looked at together."""

_SMALLEST: Final = 1 << 13
_SHORT: Final = 1 << 11  # so much at the end of a window may be the beginning of a tuple that it cuts
_OFTEN: Final = 1 << 16  # less than that between two irregular tuples is little
_SINGLE: Final = 100
_TOGETHER: Final = 5000
_PIECES: Final = 64  # so many small pieces are put together at once
_STRAY: Final = "the row stands in no INSERT statement"
_NO_HEAD: Final = b"\0"

Fits: TypeAlias = Callable[[Sample], bool]
Layouts: TypeAlias = Callable[[Sample], Mapping[int, tuple[str, ...]]]


def read_sql(
    data: bytes, where: str, fits: Fits, layouts: Layouts | None, *, window: int = WINDOW
) -> RawTable:
    r"""Return the rows of all tables that hold calls.

    Parameters
    ----------
    data
        UTF-8 with line feeds.
    where
        What messages call the file.
    fits
        Tells from its first rows whether a table holds calls.
    layouts
        How the columns are called by how many there are, for a table that names none.
    window
        How many bytes are looked at together.

    Raises
    ------
    CdrFormatError
        If rows are no INSERT statements, or nothing says how their columns are called.

    Examples
    --------
    >>> dump = b"INSERT INTO cdr (src, dst) VALUES ('1001','s'),\n('1002',NULL);\nINSERT INTO cel VALUES (1);"
    >>> table = read_sql(dump, "dump.sql", lambda sample: "src" in sample.names, None)
    >>> table.columns["src"].to_pylist(), table.rows.tolist(), table.notes
    (['1001', '1002'], [1, 2], ('1 row of other tables is no record: cel (1)',))
    """
    dump = Dump(data, where)
    reader = _Reader(dump, window)
    tables: dict[tuple[str, tuple[str, ...] | None], _Table] = {}
    dialect = Dialect("'", has_escapes=True)
    for insert in dump.inserts():
        key = (insert.table, insert.names)
        if key not in tables:
            sample = dump.sample(insert)
            tables[key] = table = _Table(
                insert.table, insert.names, _usual_width(sample, insert), fits(sample)
            )
            if table.is_wanted and table.names is None:
                table.name_by_place(None if layouts is None else layouts(sample), where)
        reader.read(insert, tables[key])
        dialect = insert.dialect
    wanted = [table for table in tables.values() if table.is_wanted]
    if len(wanted) == 1 and dump.strays:
        reader.take_strays(wanted[0], dialect)
    for table in wanted:
        reader.keep_single(table)
    return _joined(wanted, _notes(list(tables.values()), dump))


def _usual_width(sample: Sample, insert: Insert) -> int:
    if insert.names is not None:
        return len(insert.names)
    return Counter(map(len, sample.rows)).most_common(1)[0][0] if sample.rows else 0


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some rows of a table, and where in the dump each begins."""

    begins: NDArray[np.int64]
    rows: RawTable


@dataclass
class _Table:
    """What is known of a table while the dump is read; `single` are tuples that were taken apart one by one."""

    name: str
    names: tuple[str, ...] | None
    width: int
    is_wanted: bool
    n_rows: int = 0
    pieces: list[_Piece] = field(default_factory=list)
    single: list[tuple[int, Tuple]] = field(default_factory=list)

    def name_by_place(self, layouts: Mapping[int, tuple[str, ...]] | None, where: str) -> None:
        """Call the columns as a format does that knows how many there may be."""
        if not layouts:
            msg = (
                f"{where}: nothing says how the columns of table {self.name!r} are called; dump it with its "
                "CREATE TABLE statement, or with the names of the columns in each INSERT statement"
            )
            raise CdrFormatError(msg)
        self.width = self.width if self.width in layouts else next(iter(layouts))
        self.names = layouts[self.width]


class _Reader:
    """Reads the tuples of statements, as many at once as are regular."""

    def __init__(self, dump: Dump, window: int) -> None:
        self._dump = dump
        self._most = self._window = window

    def read(self, insert: Insert, table: _Table) -> None:
        """Read the tuples of a statement, and of those with the same head that follow it."""
        dump = self._dump
        is_plain = insert.dialect.quote.encode() not in insert.head
        place = insert.body
        while True:
            part = dump.content[place : place + self._window]
            window = None
            if is_plain:
                is_counted = not table.is_wanted
                window = read_window(part, insert.head, insert.dialect, table.width, is_counted=is_counted)
            n_read = 0 if window is None else int(window.ends[-1])
            # Where something irregular is frequent, little is looked at in vain.
            self._window = min(max(_SMALLEST, 2 * n_read), self._most)
            if window is None:
                following = dump.first_tuple(place)
            else:
                self._add(table, window, place)
                place += n_read
                following = dump.next_tuple(place, insert.head)
            if following is not None and (window is None or len(part) - n_read > _SHORT):
                # What stopped the window is taken apart by itself, and where that is frequent so is what follows.
                for _ in range(1 if n_read > _OFTEN else _SINGLE):
                    place = self._read_one(table, insert, following)
                    following = dump.next_tuple(place, insert.head)
                    if following is None:
                        break
            if following is None:
                break
            place = following
        dump.go_on(place)

    def _read_one(self, table: _Table, insert: Insert, at: int) -> int:
        """Read one tuple and return where it ends."""
        found = read_tuple(self._dump.data, at, insert.dialect)
        table.n_rows += 1
        if table.is_wanted:
            table.single.append((at, found))
            if len(table.single) >= _TOGETHER:
                self.keep_single(table)
        return found.end

    def take_strays(self, table: _Table, dialect: Dialect) -> None:
        """Take lines of as many values as a table has columns, which no statement inserts, for rows with a problem."""
        self.keep_single(table)  # lines are counted where places rise
        dump = self._dump
        strays, dump.strays = dump.strays, []
        for begin in strays:
            end = dump.data.find(b"\n", begin)
            at: int | None = begin
            while at is not None and (at < end or end < 0):
                found = read_tuple(dump.data, at, dialect)
                if len(found.values) == table.width:
                    table.n_rows += 1
                    table.single.append((at, replace(found, problem=found.problem or _STRAY)))
                else:
                    dump.strays.append(at)
                at = dump.next_tuple(found.end, _NO_HEAD)

    def _add(self, table: _Table, window: Window, place: int) -> None:
        """Keep the tuples of a window."""
        table.n_rows += len(window.begins)
        if window.columns is None:
            return
        begins = window.begins + place
        problems = {
            row: _of_width(int(window.widths[row]), table.width)
            for row in np.flatnonzero(window.widths != table.width).tolist()
        }
        texts = [self._text(int(begins[row]), place + int(window.ends[row])) for row in problems]
        self._keep(table, begins, window.columns, problems, texts)

    def keep_single(self, table: _Table) -> None:
        """Keep the tuples that were taken apart one by one."""
        single, width = table.single, table.width
        if not single:
            return
        told = [
            found.problem or (None if len(found.values) == width else _of_width(len(found.values), width))
            for _, found in single
        ]
        cells = [found.values if len(found.values) <= width else [] for _, found in single]
        columns = [
            pa.array([row[place] if place < len(row) else None for row in cells], TEXT)
            for place in range(width)
        ]
        problems = {place: problem for place, problem in enumerate(told) if problem is not None}
        texts = [self._text(single[place][0], single[place][1].end) for place in problems]
        self._keep(table, np.array([at for at, _ in single], np.int64), columns, problems, texts)
        table.single = []

    def _text(self, begin: int, end: int) -> str:
        return self._dump.data[begin:end].decode("utf-8", "replace")

    def _keep(
        self,
        table: _Table,
        begins: NDArray[np.int64],
        columns: Sequence[pa.LargeStringArray],
        problems: Mapping[int, str],
        texts: list[str],
    ) -> None:
        """Keep some rows; of those with a problem the hash covers the text as it stood."""
        hashes = record_hashes(columns, len(begins))
        problem = None
        if problems:
            hashes[list(problems)] = hash_text(pa.array(texts, TEXT))
            problem = pa.array([problems.get(row) for row in range(len(begins))], TEXT)
        assert table.names is not None  # noqa: S101 - a table that is wanted has names
        lines = self._dump.lines_of(begins)
        rows = RawTable(dict(zip(table.names, columns, strict=True)), lines, hashes, problem)
        table.pieces.append(_Piece(begins, rows))
        last = table.pieces[-_PIECES:]
        if len(last) == _PIECES and all(len(piece.begins) < _TOGETHER for piece in last):
            table.pieces[-_PIECES:] = [_stacked(last, table.names)]


def _of_width(found: int, usual: int) -> str:
    return f"the row has {found} value{'' if found == 1 else 's'} instead of {usual}"


def _stacked(pieces: Sequence[_Piece], names: Sequence[str]) -> _Piece:
    """Put pieces together, one behind the other."""
    sizes = [len(piece.begins) for piece in pieces]

    def filled(parts: list[pa.LargeStringArray | None]) -> pa.LargeStringArray:
        return pa.concat_arrays(
            [pa.nulls(n, TEXT) if part is None else part for n, part in zip(sizes, parts, strict=True)]
        )

    problems = [piece.rows.problem for piece in pieces]
    return _Piece(
        np.concatenate([piece.begins for piece in pieces]),
        RawTable(
            {name: filled([piece.rows.columns.get(name) for piece in pieces]) for name in names},
            np.concatenate([piece.rows.rows for piece in pieces]),
            np.concatenate([piece.rows.record_hash for piece in pieces]),
            None if all(part is None for part in problems) else filled(problems),
        ),
    )


def _joined(tables: Sequence[_Table], notes: tuple[str, ...]) -> RawTable:
    """Put the rows of all tables together, in the order of the dump."""
    pieces = [piece for table in tables for piece in table.pieces]
    names = list(dict.fromkeys(name for table in tables for name in table.names or ()))
    if not pieces:
        nothing = dict.fromkeys(names, pa.array([], TEXT))
        return RawTable(nothing, np.zeros(0, np.int64), np.zeros(0, np.uint64), None, notes)
    stacked = _stacked(pieces, names)
    rows = replace(stacked.rows, notes=notes)
    if bool((np.diff(stacked.begins) > 0).all()):
        return rows
    order = np.argsort(stacked.begins)
    positions = pa.array(order)
    return replace(
        rows,
        columns={name: column.take(positions) for name, column in rows.columns.items()},
        rows=rows.rows[order],
        record_hash=rows.record_hash[order],
        problem=None if rows.problem is None else rows.problem.take(positions),
    )


def _notes(tables: list[_Table], dump: Dump) -> tuple[str, ...]:
    """Say what else the dump holds."""

    def listed(chosen: list[_Table]) -> str:
        sums = Counter[str]()
        for table in chosen:
            sums[table.name] += table.n_rows
        return ", ".join(f"{name} ({n:,})" for name, n in sums.items())

    notes: list[str] = []
    wanted = [table for table in tables if table.is_wanted]
    if len({table.name for table in wanted}) > 1:
        notes.append(f"several tables hold calls: {listed(wanted)}")
    others = [table for table in tables if not table.is_wanted]
    if others:
        n = sum(table.n_rows for table in others)
        words = "is no record" if n == 1 else "are no records"
        notes.append(f"{plural(n, 'row')} of other tables {words}: {listed(others)}")
    if dump.n_unread:
        notes.append(f"{plural(dump.n_unread, 'statement')} without VALUES left out")
    if dump.strays:
        notes.append(f"{plural(len(dump.strays), 'line')} of values in no INSERT statement left out")
    if dump.is_cut:
        notes.append("the dump ends in the middle of a statement")
    return tuple(notes)
