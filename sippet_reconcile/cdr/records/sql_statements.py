"""Walk through the statements of a database dump: which of them hold rows, of which table, with which columns.

Input are decoded bytes, output are the INSERT and REPLACE statements one by one, each
with the names of its columns where the dump tells them, and the first rows of each table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.cdr.records.frames import unique_names
from sippet_reconcile.cdr.records.sql_tuples import SPACE, Dialect, read_tuple
from sippet_reconcile.cdr.spec import Sample
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Dump", "Insert", "begins_like_sql", "sql_samples"]

_ROWS: Final = 100  # of each table, to find out what it holds
_NEAR: Final = 1 << 13  # the first quoted value of a statement stands so near
_TOLD: Final = 1 << 20  # in so much of a dump its writer says who it is
_SHOWN: Final = 1 << 16

_NAME: Final = r'(?:`[^`]+`|"[^"]+"|\[[^\]\n]+\]|[\w$]+)'
_TABLE: Final = rf"{_NAME}(?:\.{_NAME})*"
_NAMES: Final = re.compile(_NAME.encode())
_BETWEEN: Final = re.compile(rb"(?:[ \t\r\n;]++|--[^\n]*+|\#[^\n]*+|/\*.*?\*/)*+", re.DOTALL)
_INSERT: Final = re.compile(
    rf"(?:INSERT|REPLACE)(?:\s+(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE|OR\s+\w+))*(?:\s+INTO)?\s+(?P<table>{_TABLE})"
    rf"\s*(?:\((?P<names>\s*{_NAME}(?:\s*,\s*{_NAME})*\s*)\)\s*)?(?:OVERRIDING\s+\w+\s+VALUE\s+)?VALUES?(?=[\s(])".encode(),
    re.IGNORECASE,
)
_CREATE: Final = re.compile(
    rf"CREATE\s+(?:\w+\s+){{0,2}}?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<table>{_TABLE})\s*\(".encode(),
    re.IGNORECASE,
)
_COPY: Final = re.compile(
    rf"COPY\s+(?P<table>{_TABLE})\s*(?:\([^)]*\))?\s*FROM\s+stdin".encode(), re.IGNORECASE
)
_QUOTED: Final = r"""'(?:[^'\\]|\\.|'')*+'|"(?:[^"\\]|\\.|"")*+"|`[^`]*+`"""
_STATEMENT: Final = re.compile(
    rf"""(?:{_QUOTED}|--[^\n]*+|/\*.*?\*/|[^;'"`])*+(?:;|\Z)""".encode(), re.DOTALL
)
_PART: Final = re.compile(
    rf"""(?P<name>{_NAME})(?:{_QUOTED}|\((?:[^()'"`]|{_QUOTED}|\([^()]*\))*\)|[^(),'"`])*""".encode(),
    re.DOTALL,
)
_NO_COLUMN: Final = frozenset(
    {
        "primary",
        "key",
        "index",
        "unique",
        "constraint",
        "fulltext",
        "foreign",
        "check",
        "spatial",
        "like",
        "exclude",
    }
)
_ROW: Final = re.compile(rb"\n(?=(?:INSERT|REPLACE|insert|replace) )")
_PROGRAM: Final = re.compile(
    rb"CREATE\b[^(;]*?\b(?:TRIGGER|PROCEDURE|FUNCTION|EVENT)\b|DELIMITER\b", re.IGNORECASE
)
_STRAY: Final = re.compile(
    rb"""^[ \t]*\((?=['"\d]|NULL)[^\n]*\)[ \t]*[,;]?[ \t]*$""", re.IGNORECASE | re.MULTILINE
)
"""A line of values, as a dump has them below the INSERT of a statement."""

_STRICT: Final = re.compile(
    rb"PostgreSQL|standard_conforming_strings|pg_catalog|PRAGMA foreign_keys|NO_BACKSLASH_ESCAPES"
)
"""What shows that a backslash in a string is a backslash."""

_FIRST_QUOTE: Final = re.compile(rb"['\"]")
_LIKE_SQL: Final = re.compile(
    rb"(?:INSERT\s+(?:[\w ]+\s)?INTO\s|REPLACE\s+INTO\s|(?:CREATE|DROP)\s+(?:TABLE|DATABASE|SCHEMA)\s|LOCK\s+TABLES\s|"
    rb"START\s+TRANSACTION|BEGIN(?:\s+TRANSACTION)?;|SET\s+[@\w.]+\s*=|USE\s+[`\w]+;|PRAGMA\s+\w+|SELECT\s+pg_catalog|"
    rb"COPY\s+[\w.\"]+\s*\()",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Insert:
    """A statement that holds rows: its table, its columns if the dump tells them, and where its tuples begin.

    `head` is what stands ahead of the tuples, up to VALUES.
    """

    table: str
    names: tuple[str, ...] | None
    dialect: Dialect
    head: bytes
    begin: int

    @property
    def body(self) -> int:
        """Where its tuples begin."""
        return self.begin + len(self.head)


def begins_like_sql(head: bytes) -> bool:
    r"""Tell whether a text begins with a SQL statement, comments aside.

    Examples
    --------
    >>> begins_like_sql(b"-- dump of 'x'\nINSERT INTO `cdr` VALUES (1);"), begins_like_sql(b'"Insert","1001"')
    (True, False)
    """
    between = _BETWEEN.match(head)
    return between is not None and _LIKE_SQL.match(head, between.end()) is not None


def sql_samples(data: bytes, where: str) -> Iterator[Sample]:
    """Yield how the rows of each table begin, with the names of its columns first where the dump tells them.

    Examples
    --------
    >>> [sample.rows for sample in sql_samples(b"INSERT INTO t (a, b) VALUES ('x', 1);", "dump.sql")]
    [[['a', 'b'], ['x', '1']]]
    """
    dump = Dump(data, where)
    text = data[:_SHOWN].decode("utf-8", "replace")
    seen: set[tuple[str, tuple[str, ...] | None]] = set()
    for insert in dump.inserts():
        if (insert.table, insert.names) not in seen:
            seen.add((insert.table, insert.names))
            yield replace(dump.sample(insert), text=text)
        dump.pass_over(insert)


class Dump:
    """Walks through the statements of a dump.

    `n_unread` INSERT statements had no VALUES; `is_cut` tells whether the last one has no end.
    `strays` are where lines of values begin that stand in no statement that inserts rows,
    such as those behind a damaged INSERT.
    """

    def __init__(self, data: bytes, where: str) -> None:
        self.data = data
        self.content = np.frombuffer(data, np.uint8)
        self._where = where
        self._columns: dict[str, tuple[str, ...]] = {}
        self._has_escapes = _STRICT.search(data, 0, _TOLD) is None
        self._at = 0
        self._counted_to = (0, 0)
        self.n_unread = 0
        self.is_cut = False
        self.strays: list[int] = []

    def inserts(self) -> Iterator[Insert]:
        """Yield each statement that holds rows; `go_on` or `pass_over` says where the next one is looked for.

        Raises
        ------
        CdrFormatError
            If rows are dumped as COPY.
        """
        data = self.data
        while True:
            between = _BETWEEN.match(data, self._at)
            at = self._at if between is None else between.end()
            if at >= len(data):
                return
            found = _INSERT.match(data, at)
            if found is not None:
                self._at = found.end()
                yield self._insert(found)
                continue
            create = _CREATE.match(data, at)
            if create is not None:
                self._columns[_bare(create["table"])] = tuple(_column_names(data, create.end()))
            copied = _COPY.match(data, at)
            if copied is not None:
                self._refuse_copy(_bare(copied["table"]), at)
            self.n_unread += data[at : at + 6].upper() in {b"INSERT", b"REPLAC"}
            self._at = self._statement_end(at)
            if create is None and _PROGRAM.match(data, at) is None:
                self.strays += [
                    stray.end() - len(stray[0].lstrip()) for stray in _STRAY.finditer(data, at, self._at)
                ]

    def _insert(self, found: re.Match[bytes]) -> Insert:
        table, listed = _bare(found["table"]), found["names"]
        names = self._columns.get(table)
        if listed is not None:
            names = unique_names([_bare(part[0]) for part in _NAMES.finditer(listed)])
        quote = _FIRST_QUOTE.search(self.data, found.end(), found.end() + _NEAR)
        dialect = Dialect("'" if quote is None else quote[0].decode(), has_escapes=self._has_escapes)
        return Insert(table, names, dialect, found[0], found.start())

    def _statement_end(self, at: int) -> int:
        """Return where a statement that is not read ends; at least one line is passed over.

        A quote that is missing in it would hide the rows behind it: it ends where a line inserts some.
        """
        found = _STATEMENT.match(self.data, at)
        feed = self.data.find(b"\n", at)
        end = len(self.data) if feed < 0 else feed + 1
        if found is not None and found.end() > at:
            end = found.end()
            if _PROGRAM.match(self.data, at) is None and (row := _ROW.search(self.data, at, end)) is not None:
                end = row.end()
        return end

    def _refuse_copy(self, table: str, at: int) -> None:
        line = self.line_of(at)
        msg = (
            f"{self._where} line {line}: table {table!r} is dumped as COPY, not as INSERT statements; "
            "dump it with pg_dump --column-inserts, or export it as CSV with a header"
        )
        raise CdrFormatError(msg, line=line)

    def pass_over(self, insert: Insert) -> None:
        """Look for the next statement that has another head."""
        other = re.compile(rb"\n(?!" + re.escape(insert.head) + rb")(?=(?i:INSERT|REPLACE|CREATE|COPY)\b)")
        found = other.search(self.data, insert.body)
        self._at = len(self.data) if found is None else found.end()

    def go_on(self, place: int) -> None:
        """Look for the next statement behind the last tuple of one; a clause may stand between."""
        at = self.space_end(place)
        is_over = self.data[at : at + 1] == b";" or _INSERT.match(self.data, at) is not None
        self._at = at if is_over else self._statement_end(at)
        self.strays += (
            []
            if is_over
            else [s.end() - len(s[0].lstrip()) for s in _STRAY.finditer(self.data, at, self._at)]
        )
        self.is_cut = not is_over and self._at >= len(self.data) and not self.data.endswith(b";", at)

    def space_end(self, at: int) -> int:
        """Return the first place from there on that is no white space."""
        data = self.data
        while at < len(data) and data[at] in SPACE:
            at += 1
        return at

    def line_of(self, at: int) -> int:
        """Return the physical line of a place, counted from 1; quick where places rise."""
        place, feeds = self._counted_to
        if at < place:
            place, feeds = 0, 0
        feeds += self.data.count(b"\n", place, at)
        self._counted_to = (at, feeds)
        return feeds + 1

    def lines_of(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the physical lines of places in rising order."""
        first, last = int(places[0]), int(places[-1])
        feeds = np.flatnonzero(self.content[first:last] == ord("\n")) + first
        return self.line_of(first) + np.searchsorted(feeds, places)

    def sample(self, insert: Insert) -> Sample:
        """Return the first rows of a table, its names first where they are known."""
        first = self.line_of(insert.begin) - 1
        rows = [] if insert.names is None else [list(insert.names)]
        lines = [first] * len(rows)
        opens = self.first_tuple(insert.body)
        while opens is not None and len(rows) <= _ROWS:
            found = read_tuple(self.data, opens, insert.dialect)
            rows.append([value or "" for value in found.values])
            lines.append(first + self.data.count(b"\n", insert.begin, opens))
            opens = self.next_tuple(found.end, insert.head)
        return Sample(rows, lines, kind="sql")

    def first_tuple(self, place: int) -> int | None:
        """Return where a tuple opens that is expected there, None where none does."""
        at = self.space_end(place)
        return at if self.data[at : at + 1] == b"(" else None

    def next_tuple(self, place: int, head: bytes) -> int | None:
        """Return where the next tuple of a statement, or of one with the same head behind it, opens."""
        at = self.space_end(place)
        mark = self.data[at : at + 1]
        if mark == b",":
            return self.first_tuple(at + 1)
        if mark == b";":
            at = self.space_end(at + 1)
        return self.first_tuple(at + len(head)) if self.data.startswith(head, at) else None


def _bare(name: bytes) -> str:
    """Return the name of a table or column without its schema and its quotes."""
    last: bytes = _NAMES.findall(name)[-1]
    return last.decode("utf-8", "replace").strip('`"[]')


def _column_names(data: bytes, at: int) -> Iterator[str]:
    """Yield the columns that a CREATE TABLE statement defines."""
    while True:
        between = _BETWEEN.match(data, at)
        part = _PART.match(data, at if between is None else between.end())
        if part is None:
            return
        name = part["name"]
        if name[:1] in b'`"[' or name.decode("utf-8", "replace").lower() not in _NO_COLUMN:
            yield _bare(name)
        at = part.end()
        if data[at : at + 1] != b",":
            return
        at += 1
