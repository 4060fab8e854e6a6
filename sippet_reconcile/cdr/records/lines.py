"""The physical lines of a delimited file, and whether each of them is quoted by the book.

Input are UTF-8 bytes with line feeds and what Arrow read from them; output are lines
as views of those bytes.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import in_threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["all_quoted_lines", "blank_lines", "by_the_book", "bytes_of", "lines_of"]

Rows: TypeAlias = "NDArray[np.int64]"

_FEED: Final = 10
_QUOTE: Final = 34
_CACHED: Final = 1 << 18
_QUOTES_AT_ONCE: Final = 1 << 19  # bytes whose quotes are looked at together


def lines_of(data: bytes, begin: int) -> pa.LargeStringArray:
    """Return the physical lines, each with its line feed, as views of the bytes."""
    content = np.frombuffer(data, np.uint8)[begin:]
    feeds = np.concatenate(
        [np.flatnonzero(content[at : at + _CACHED] == _FEED) + at for at in range(0, len(content), _CACHED)]
    )
    ends = feeds + 1
    if len(content) and (len(ends) == 0 or ends[-1] != len(content)):
        ends = np.append(ends, len(content))
    offsets = np.concatenate([[0], ends]).astype(np.int64)
    buffer = pa.py_buffer(data).slice(begin)
    return pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), buffer)


def blank_lines(lines: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark the lines of white space, looking only at the short ones closely."""
    lengths = np.asarray(pc.binary_length(lines))
    blank = lengths == 0
    short = np.flatnonzero((lengths > 0) & (lengths <= 256))  # noqa: PLR2004 - no line of white space is longer
    starts = np.frombuffer(lines.buffers()[1], np.int64)[:-1][short]
    first = np.frombuffer(lines.buffers()[2], np.uint8)[starts]
    spaces = short[first <= 32]  # noqa: PLR2004 - begins with white space
    if len(spaces):
        trimmed = pc.utf8_trim_whitespace(lines.take(pa.array(spaces)))
        blank[spaces] = np.asarray(pc.equal(pc.binary_length(trimmed), 0))
    return blank


def bytes_of(lines: pa.LargeStringArray) -> pa.Buffer:
    """Return the bytes of all lines, one behind the other."""
    _, offsets, data = lines.buffers()
    bounds = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return data.slice(int(bounds[0]), int(bounds[-1] - bounds[0]))


def by_the_book(lines: pa.LargeStringArray, delimiter: str) -> NDArray[np.bool_]:
    r"""Mark the lines whose quotes are all set by the book, by the places of the quotes; how many fields there are is not looked at.

    In such a line every other quote opens a field and stands where one begins, and the
    next one closes it where it ends; or a quote that closes stands right before one that
    opens, and both are a quote of the text.

    Examples
    --------
    >>> lines = ['"a ""b"" c",7\n', '"a "b" c",7\n', '"a","cut\n', "7,8\n", "\n"]
    >>> by_the_book(pa.array(lines, pa.large_string()), ",").tolist()
    [True, False, False, True, True]
    """
    _, offsets, data = lines.buffers()
    if not pc.any(pc.not_equal(pc.binary_length(lines), 0)).as_py():
        return np.ones(len(lines), bool)
    bounds = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    content = np.frombuffer(data, np.uint8)
    starts = np.unique(np.searchsorted(bounds, np.arange(bounds[0], bounds[-1], _QUOTES_AT_ONCE)))
    ends = [*starts[1:].tolist(), len(lines)]
    blocks = [bounds[a : b + 1] for a, b in zip(starts.tolist(), ends, strict=True) if a < b]
    separators = np.zeros(256, bool)
    separators[[ord(delimiter), _FEED]] = True
    found = in_threads(lambda block: _quoted_well(content, block, separators), blocks, n_rows=len(lines))
    return np.concatenate(found)


def _quoted_well(
    content: NDArray[np.uint8], bounds: Rows, separators: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mark the lines between bounds whose quotes are all set by the book."""
    begin, end = int(bounds[0]), int(bounds[-1])
    body = content[begin:end]
    quotes = np.concatenate(
        [np.flatnonzero(body[at : at + _CACHED] == _QUOTE) + at for at in range(0, len(body), _CACHED)]
        or [np.zeros(0, np.int64)]
    )
    bounds = bounds - begin
    is_odd = (np.diff(counts := np.searchsorted(quotes, bounds)) & 1).astype(bool)
    if bool(is_odd.any()):
        quotes = quotes[np.repeat(~is_odd, np.diff(counts))]
    if len(quotes) == 0:
        return ~is_odd
    opening, closing = quotes[0::2], quotes[1::2]
    # A line's end that is not there, at either end of all lines, counts as one.
    before = separators.take(body.take(opening - 1, mode="clip"))
    behind = separators.take(body.take(closing + 1, mode="clip"))
    before[0] |= opening[0] == 0
    behind[-1] |= closing[-1] == len(body) - 1
    is_doubled = opening[1:] == closing[:-1] + 1
    before[1:] |= is_doubled
    behind[:-1] |= is_doubled
    well = ~is_odd
    wrong = opening[~(before & behind)]
    well[np.searchsorted(bounds, wrong, side="right") - 1] = False
    return well


def all_quoted_lines(
    data: bytes, begin: int, columns: Mapping[str, pa.LargeStringArray], delimiter: str
) -> pa.LargeStringArray | None:
    """Return the lines where every field is quoted by the book, none holds a quote, and none is blank.

    A line of n fields then holds their bytes, two quotes for each and a delimiter or a
    line feed behind it: where each field ends follows from their lengths, and a quote
    must be there. That is also the form whose hash is the record's, so the lines are
    hashed as they are.
    """
    n_rows = len(next(iter(columns.values())))
    if delimiter != "," or not data.endswith(b"\n") or n_rows == 0:
        return None
    offsets = [_offsets(column) for column in columns.values()]
    line_ends = reduce(np.add, offsets) + np.arange(n_rows + 1) * (3 * len(columns))
    content = np.frombuffer(data, np.uint8)[begin:]
    if line_ends[-1] != len(content) or _count(content, _FEED) != n_rows:
        return None
    if _count(content, _QUOTE) != 2 * len(columns) * n_rows:
        return None
    at = line_ends[:-1].copy()
    for place, column in enumerate(offsets):
        at += column[1:]
        at -= column[:-1]
        # Behind each field so far come its two quotes and a delimiter, before the quote in question one more.
        if not bool((content[3 * place + 1 :].take(at) == _QUOTE).all()):
            return None
    buffer = pa.py_buffer(data).slice(begin)
    return pa.LargeStringArray.from_buffers(n_rows, pa.py_buffer(line_ends), buffer)


def _offsets(column: pa.LargeStringArray) -> Rows:
    """Return where each value begins, from 0, and behind them where the last one ends."""
    offsets = np.frombuffer(column.buffers()[1], np.int64)[column.offset : column.offset + len(column) + 1]
    return offsets - offsets[0] if offsets[0] else offsets


def _count(content: NDArray[np.uint8], byte: int) -> int:
    """Count a byte, in blocks whose temporaries stay in the processor's cache."""
    blocks = (content[at : at + _CACHED] for at in range(0, len(content), _CACHED))
    return sum(int(np.count_nonzero(block == byte)) for block in blocks)
