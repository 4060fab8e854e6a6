"""Read lines some of which are broken: regular ones by Arrow, the others one by one.

Input are UTF-8 bytes with line feeds and the widths a format knows; output is a
`RawTable` with one row for every line that is not blank, or for several where one
quoted value spans them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from sippet_reconcile.cdr.records.lines import blank_lines, by_the_book, bytes_of, lines_of
from sippet_reconcile.cdr.records.tokens import (
    mend_line,
    python_pattern,
    record_pattern,
    split_line,
    stays_open,
)
from sippet_reconcile.cdr.tables import TEXT, RawTable, one_array, record_hashes, where_cut
from sippet_reconcile.keys import hash_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import Repairs

__all__ = ["MAX_LINE", "Careful", "Layout", "mended_note", "no_records", "parse", "replaced"]

Rows: TypeAlias = "NDArray[np.int64]"

MAX_LINE: Final = 1 << 20
"""Bytes of the longest line that is taken apart; a longer one is a row with a problem."""

_BLOCK: Final = 4 << 20  # larger than the longest line, small enough for two threads to share a file
_MAX_JOINED: Final = 40  # physical lines that one quoted value may span
FEED: Final = 10
_NUL: Final = "the row holds NUL bytes"


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    `names` maps each width that a record may have to its column names, the usual
    width first. `first_line` is the first line that holds a record, counted from 0.
    Where it `has_header`, a line of the names is no record wherever it is repeated.
    `where` is what messages call the file. `repairs` are tried on lines that are not
    quoted by the book, see `CdrFormat`.
    """

    delimiter: str
    names: Mapping[int, tuple[str, ...]]
    first_line: int = 0
    has_header: bool = False
    where: str = "the file"
    repairs: Repairs = ()

    @property
    def width(self) -> int:
        """The usual number of fields."""
        return next(iter(self.names))


def no_records(layout: Layout) -> RawTable:
    """Return a table without rows, its columns those of the usual width."""
    names = layout.names[layout.width]
    nothing = pa.array([], TEXT)
    return RawTable(dict.fromkeys(names, nothing), np.zeros(0, np.int64), np.zeros(0, np.uint64))


def parse(body: pa.Buffer, names: Sequence[str], delimiter: str, *, threads: bool = True) -> Any:
    """Let Arrow read a body; raises ArrowInvalid where a line has another width."""
    return pyarrow.csv.read_csv(
        pa.BufferReader(body),
        read_options=pyarrow.csv.ReadOptions(
            column_names=list(names), block_size=_BLOCK if threads else max(body.size, 1), use_threads=threads
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(names, TEXT), strings_can_be_null=False, check_utf8=False
        ),
    )


def mended_note(count: int) -> tuple[str, ...]:
    """Say how many rows were mended, where there are any."""
    return (f"{count:,} rows with broken quoting were mended",) if count else ()


def _have_width(lines: pa.LargeStringArray, width: int, delimiter: str) -> NDArray[np.bool_]:
    """Mark the lines that have so many fields, all of them quoted by the book; where no quote is, delimiters are counted."""
    fits = np.asarray(pc.equal(pc.count_substring(lines, delimiter), width - 1))
    quoted = np.asarray(pc.match_substring(lines, '"'))
    if bool(quoted.any()):
        fits = fits & ~quoted
        some = lines.filter(pa.array(quoted))
        fits[quoted] = np.asarray(pc.match_substring_regex(some, record_pattern(width, delimiter)))
    return fits


def replaced(lines: pa.LargeStringArray, pattern: str, replacement: str) -> pa.LargeStringArray:
    """Return lines in which a pattern was replaced wherever it is found."""
    return pc.replace_substring_regex(lines, pattern=pattern, replacement=replacement)


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some records of the file: the lines they stood on, their columns and hashes."""

    lines: Rows
    columns: Mapping[str, pa.LargeStringArray]
    hashes: NDArray[np.uint64]
    problem: pa.LargeStringArray


class Careful:
    """Reads a file, or a piece of one, some of whose lines are broken: regular lines by Arrow, the others one by one.

    Afterwards `widths` are the fields of each row, 0 where it has a problem, `n_lines` how
    many lines were read, and `rest` begins with one that may go on in the next piece.
    """

    def __init__(
        self,
        data: bytes,
        begin: int,
        layout: Layout,
        *,
        is_last: bool = True,
        rare: frozenset[int] | None = None,
        between: tuple[int, int] = (0, 0),
    ) -> None:
        self._layout = layout
        self._is_last, self._rare, self._between = is_last, rare, between
        self.widths: NDArray[np.int64] = np.zeros(0, np.int64)
        self.rest = b""
        self._widths = frozenset(layout.names)
        self._with_nul: Rows = np.zeros(0, np.int64)
        lines = self._delivered = lines_of(data, begin)
        self.n_lines = len(lines)
        if b"\0" in data:
            nul = np.asarray(pc.match_substring(lines.cast(pa.large_binary()), b"\0"))
            self._with_nul = np.flatnonzero(nul)
            data, begin = data[begin:].replace(b"\0", b""), 0
            lines = lines_of(data, begin)
        self._lines = lines
        self._is_blank = blank_lines(lines)
        self._left = ~self._is_blank
        self.n_mended = 0
        # Which lines are left, and how they read now.
        self._rows, self._texts = np.flatnonzero(self._left), lines

    def read(self) -> RawTable:
        """Return every record; what is known only then is in the attributes."""
        lengths = np.asarray(pc.binary_length(self._lines))
        giant = np.flatnonzero(lengths > MAX_LINE)
        self._left[giant] = False
        self._rows = np.flatnonzero(self._left)
        self._texts = self._lines if bool(self._left.all()) else self._lines.filter(pa.array(self._left))
        pieces = self._regular()
        if self._layout.repairs and len(self._rows):
            before = len(self._rows)
            for repair in self._layout.repairs:
                self._texts = repair(self._texts) if callable(repair) else replaced(self._texts, *repair)
            pieces += self._regular()
            self.n_mended += before - len(self._rows)
        pieces += self._mended()
        if len(giant):
            words = [f"the line is {n:,} bytes long" for n in lengths[giant].tolist()]
            hashes = hash_text(self._lines.take(pa.array(giant)))
            pieces.append(_Piece(giant, {}, hashes, pa.array(words, TEXT)))
        return self._assembled(pieces)

    def _regular(self) -> list[_Piece]:
        """Read those of the lines left that are quoted by the book and have a known width."""
        by_book = by_the_book(self._texts, self._layout.delimiter)
        left, candidates = self._rows, self._texts
        if not bool(by_book.all()):
            left, candidates = left[by_book], candidates.filter(pa.array(by_book))
        pieces = []
        for width in self._layout.names:
            if len(left) == 0:
                break
            # Nearly always all of them have the usual width, which Arrow tells as it reads them.
            piece, fits = self._read(left, candidates, width), np.ones(len(left), bool)
            if piece is None:
                fits = _have_width(candidates, width, self._layout.delimiter)
                piece = self._read(left[fits], candidates.filter(pa.array(fits)), width)
            if piece is not None:
                pieces.append(piece)
                self._left[piece.lines] = False
                left, candidates = left[~fits], candidates.filter(pa.array(~fits))
        if pieces:
            still = self._left[self._rows]
            self._rows, self._texts = self._rows[still], self._texts.filter(pa.array(still))
        return pieces

    def _read(self, rows: Rows, lines: pa.LargeStringArray, width: int) -> _Piece | None:
        """Let Arrow read lines that are quoted by the book; None where there is none, or one has another width."""
        names = self._layout.names[width]
        # A line ends at its first line feed: none is inside quotes.
        try:
            parsed = parse(bytes_of(lines), names, self._layout.delimiter) if len(rows) else None
        except pa.ArrowInvalid:
            return None
        if parsed is None or parsed.num_rows != len(rows):
            return None
        columns = {name: one_array(parsed.column(name)) for name in names}
        return _Piece(rows, columns, record_hashes(columns.values(), len(rows)), pa.nulls(len(rows), TEXT))

    def _mended(self) -> list[_Piece]:
        """Take the remaining lines apart one by one, joining those that one quoted value spans."""
        left = self._rows
        if len(left) == 0:
            return []
        texts = [text.removesuffix("\n") for text in self._texts.to_pylist()]
        place = {line: at for at, line in enumerate(left.tolist())}
        by_width: dict[int, list[tuple[int, list[str]]]] = {}
        broken: list[tuple[int, list[str], str, str]] = []
        at = 0
        while at < len(left):
            line = int(left[at])
            whole = self._joined(line, place, texts)
            if self.rest:
                break
            fields, is_open, joined = whole or (
                *mend_line(texts[at], self._layout.delimiter, self._widths),
                1,
            )
            if not is_open and len(fields) in self._widths:
                by_width.setdefault(len(fields), []).append((line, fields))
                self.n_mended += 1
            else:
                broken.append((line, fields, self._what_is_wrong(line, fields, is_open=is_open), texts[at]))
            at += joined
        pieces = [self._piece(width, records) for width, records in by_width.items()]
        return [*pieces, self._broken_piece(broken)] if broken else pieces

    def _joined(
        self, line: int, place: Mapping[int, int], texts: list[str]
    ) -> tuple[list[str], bool, int] | None:
        """Try whether a quoted value goes on on the lines that follow, by the book.

        Returns the fields, that none is open, and how many broken lines that took.
        """
        delimiter, text, taken = self._layout.delimiter, texts[place[line]], 1
        if not stays_open(text, delimiter):
            return None
        for following in range(line + 1, min(line + _MAX_JOINED, len(self._lines))):
            if following in place:
                text = f"{text}\n{texts[place[following]]}"
                taken += 1
            elif self._is_blank[following]:
                text = f"{text}\n{self._lines[following].as_py().removesuffix(chr(FEED))}"
                continue
            else:
                return None
            if any(python_pattern(width, delimiter).match(text) for width in self._widths):
                return split_line(text, delimiter)[0], False, taken
        if not self._is_last and line + _MAX_JOINED > len(self._lines):
            self._leave_from(line)
        return None

    def _leave_from(self, line: int) -> None:
        """Leave the lines from here on to the next piece, where their last record may go on."""
        self.rest = bytes(bytes_of(self._delivered.slice(line)))
        self.n_lines = line

    def _what_is_wrong(self, line: int, fields: list[str], *, is_open: bool) -> str:
        if is_open:
            at_end = self._is_last and line + 1 >= len(self._lines)
            return "the row is cut off inside a quoted field" if at_end else "a quoted field is never closed"
        known = " or ".join(str(width) for width in self._layout.names)
        return f"the row has {len(fields)} field{'' if len(fields) == 1 else 's'} instead of {known}"

    def _piece(self, width: int, records: list[tuple[int, list[str]]]) -> _Piece:
        names = self._layout.names[width]
        columns = {name: pa.array([fields[i] for _, fields in records], TEXT) for i, name in enumerate(names)}
        lines = np.array([line for line, _ in records], np.int64)
        return _Piece(lines, columns, record_hashes(columns.values(), len(lines)), pa.nulls(len(lines), TEXT))

    def _broken_piece(self, broken: list[tuple[int, list[str], str, str]]) -> _Piece:
        """Keep what stood in a short row; in one that is too wide nobody knows which field is which."""
        names = self._layout.names[self._layout.width]
        columns = {
            name: pa.array([f[i] if i < len(f) <= len(names) else None for _, f, _, _ in broken], TEXT)
            for i, name in enumerate(names)
        }
        lines = np.array([line for line, *_ in broken], np.int64)
        hashes = hash_text(pa.array([text for *_, text in broken], TEXT))
        return _Piece(lines, columns, hashes, pa.array([problem for _, _, problem, _ in broken], TEXT))

    def _assembled(self, pieces: list[_Piece]) -> RawTable:
        """Put the pieces together in the order of their lines."""
        if not pieces:
            return no_records(self._layout)
        names = dict.fromkeys(name for width in self._layout.names for name in self._layout.names[width])
        lines = np.concatenate([piece.lines for piece in pieces])
        order = np.argsort(lines, kind="stable")
        positions = pa.array(order)
        is_sorted = len(pieces) == 1 or bool((order == np.arange(len(order))).all())

        def column(name: str) -> pa.LargeStringArray:
            parts = [piece.columns.get(name, pa.nulls(len(piece.lines), TEXT)) for piece in pieces]
            whole = parts[0] if len(parts) == 1 else pa.concat_arrays(parts)
            return whole if is_sorted else whole.take(positions)

        used = [name for name in names if any(name in piece.columns for piece in pieces)]
        widths = [np.where(np.asarray(p.problem.is_null()), len(p.columns), 0) for p in pieces]
        problem = pa.concat_arrays([piece.problem for piece in pieces]).take(positions)
        self.widths = np.concatenate(widths)[order]
        problem = where_cut(problem, self.widths, self._rare, self._between)
        lines = lines[order]
        if len(self._with_nul):
            damaged = pa.array(np.isin(lines, self._with_nul))
            words = pc.coalesce(
                pc.binary_join_element_wise(problem, *(pa.scalar(text, TEXT) for text in (_NUL, "; "))),
                pa.scalar(_NUL, TEXT),
            )
            problem = pc.if_else(damaged, words, problem)
        return RawTable(
            {name: column(name) for name in used},
            lines + 1 + self._layout.first_line,
            np.concatenate([piece.hashes for piece in pieces])[order],
            problem,
            mended_note(self.n_mended),
        )
