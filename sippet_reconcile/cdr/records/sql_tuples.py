"""Take the tuples of INSERT statements apart: a whole window of a dump at once.

Input are decoded bytes and where the tuples begin, output are their values as text
columns. Which bytes are inside quotes follows from how many quotes stand before them,
so no byte is looked at by Python. A window ends where something is irregular; single
tuples are taken apart by `read_tuple`, which also says what is wrong with one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa

from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SPACE", "Dialect", "Tuple", "Window", "read_tuple", "read_window", "skip_space"]

Places: TypeAlias = "NDArray[np.int64]"
Bytes: TypeAlias = "NDArray[np.uint8]"
Mask: TypeAlias = "NDArray[np.bool_]"

TEXT: Final = pa.large_string()
SPACE: Final = b" \t\r\n"
_OPEN, _CLOSE, _COMMA, _END, _BACKSLASH, _FEED = b"(),;\\\n"
_STRUCTURE: Final = np.isin(np.arange(256), list(b"(),;"))
_MARKS: Final = {quote: np.isin(np.arange(256), list(b"(),;" + quote.encode())) for quote in "'\""}
_IS_SPACE: Final = np.isin(np.arange(256), list(SPACE))
_MEANT: Final = np.arange(256, dtype=np.uint8)
"""What a byte behind a backslash stands for."""
for _letter, _byte in {"n": 10, "t": 9, "r": 13, "b": 8, "Z": 26, "0": 0}.items():
    _MEANT[ord(_letter)] = _byte
_NULL_WORDS: Final = frozenset({b"null", b"default"})


@dataclass(frozen=True)
class Dialect:
    """How strings are written: the quote around them, and whether a backslash escapes what follows it."""

    quote: str = "'"
    has_escapes: bool = True


@dataclass(frozen=True, eq=False)
class Window:
    """The tuples of a window: where each begins and ends, how many values it has, and the values by place.

    `columns` is None where only counting was asked for. A tuple that is too short lacks
    its last values, one that is too long all of them: nobody knows which is which.
    """

    begins: Places
    ends: Places
    widths: Places
    columns: list[pa.LargeStringArray] | None


@dataclass(frozen=True)
class Tuple:
    """One tuple: its values (None is NULL), where it ends, and what is wrong with it."""

    values: list[str | None]
    end: int
    problem: str | None = None


def skip_space(content: Bytes, at: Places) -> Places:
    """Return for each place the first one from there on that is no white space."""
    at = at.copy()
    left = np.arange(len(at))
    while len(left):
        left = left[at[left] < len(content)]
        left = left[_IS_SPACE[content[at[left]]]]
        at[left] += 1
    return at


def _back_space(content: Bytes, at: Places, limit: Places) -> Places:
    """Return for each place where the white space before it begins."""
    at = at.copy()
    left = np.arange(len(at))
    while len(left):
        left = left[at[left] > limit[left]]
        left = left[_IS_SPACE[content[at[left] - 1]]]
        at[left] -= 1
    return at


def read_window(
    content: Bytes, head: bytes, dialect: Dialect, width: int, *, is_counted: bool = False
) -> Window | None:
    """Return the tuples from the beginning of a window up to where it ends or something is irregular.

    Parameters
    ----------
    content
        The bytes of the window. It begins in a statement, where a tuple is expected.
    head
        What each further statement begins with, up to its first tuple.
    width
        How many values a tuple should have.
    is_counted
        Whether the tuples are only counted.

    Returns
    -------
    Window or None
        None where not even the first tuple is regular.
    """
    marks = np.flatnonzero(_MARKS[dialect.quote][content])
    kinds = content[marks]
    escaping = _escaping(content) if dialect.has_escapes else np.zeros(0, np.int64)
    is_quote = kinds == ord(dialect.quote)
    is_quote[is_quote] = ~_follow(marks[is_quote], escaping)
    quotes = marks[is_quote]
    # Inside quotes is what an odd number of them stands ahead of; an escaped quote is no mark at all.
    n_quotes = np.cumsum(is_quote)
    outside = (n_quotes & 1 == 0) & _STRUCTURE[kinds]
    places, n_quotes, kinds = marks[outside], n_quotes[outside], kinds[outside]
    ends = places[kinds == _END]
    bodies, n_good = _bodies(content, ends, head)
    # The head may name columns: its brackets and commas are no part of any tuple.
    statement = np.searchsorted(ends, places)
    inside = (statement <= n_good) & (places >= bodies[np.minimum(statement, n_good)])
    places, n_quotes, kinds = places[inside], n_quotes[inside], kinds[inside]
    found = _extents(content, places, kinds, ends, bodies)
    if found is None:
        return None
    opens, closes = found
    is_comma = kinds == _COMMA
    commas = places[is_comma]
    first = np.searchsorted(commas, places[opens])
    widths = np.searchsorted(commas, places[closes]) - first + 1
    begins, stops = places[opens], places[closes]
    if is_counted:
        return Window(begins, stops + 1, widths, None)
    strange = _quoted_otherwise(content, quotes, dialect, begins, stops)
    values = _Values(content, quotes, escaping, strange)
    quotes_at_commas = n_quotes[is_comma]
    edge, edge_quotes = begins, n_quotes[opens]
    too_wide = widths > width
    for place in range(width):
        is_last = widths - 1 <= place
        absent = too_wide | (widths <= place)
        following = np.minimum(first + place, max(len(commas) - 1, 0))
        until = np.where(is_last, stops, commas[following]) if len(commas) else stops
        until_quotes = (
            np.where(is_last, n_quotes[closes], quotes_at_commas[following])
            if len(commas)
            else n_quotes[closes]
        )
        values.add(edge + 1, until, until_quotes - edge_quotes, edge_quotes, absent)
        edge, edge_quotes = until, until_quotes
    n_usual = values.n_usual(len(begins))
    if n_usual == 0:
        return None
    return Window(begins[:n_usual], stops[:n_usual] + 1, widths[:n_usual], values.columns(n_usual))


def _escaping(content: Bytes) -> Places:
    """Return the backslashes that escape what follows: in a row of them every other one is escaped itself."""
    slashes = np.flatnonzero(content == _BACKSLASH)
    begins = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    in_row = np.arange(len(slashes)) - np.repeat(begins, np.diff(begins, append=len(slashes)))
    return slashes[in_row % 2 == 0]


def _follow(places: Places, others: Places) -> Mask:
    """Mark the places that stand right behind one of some others; both rise."""
    if len(others) == 0:
        return np.zeros(len(places), bool)
    at = np.minimum(np.searchsorted(others, places - 1), len(others) - 1)
    return others[at] == places - 1


def _quoted_otherwise(
    content: Bytes, quotes: Places, dialect: Dialect, begins: Places, stops: Places
) -> Mask:
    """Mark the tuples that hold the other kind of quotes outside of strings: commas may stand between those."""
    others = np.flatnonzero(content == ord('"' if dialect.quote == "'" else "'"))
    others = others[np.searchsorted(quotes, others) & 1 == 0]
    return np.searchsorted(others, stops) > np.searchsorted(others, begins)


def _bodies(content: Bytes, ends: Places, head: bytes) -> tuple[Places, int]:
    """Return where the tuples of each statement begin, the current one's first, and how many statements follow it.

    Only those count that have the same head, and nothing but white space before it.
    """
    begins = skip_space(content, ends + 1)
    fits = begins + len(head) <= len(content)
    expected = np.frombuffer(head, np.uint8)
    inside = begins[fits]
    if len(inside):
        rows = np.lib.stride_tricks.sliding_window_view(content, len(head))[inside]
        fits[fits] = (rows == expected).all(axis=1)
    n_good = len(fits) if bool(fits.all()) else int(np.argmin(fits))
    return np.concatenate([[0], begins[:n_good] + len(head)]), n_good


def _extents(
    content: Bytes, places: Places, kinds: Bytes, ends: Places, bodies: Places
) -> tuple[Places, Places] | None:
    """Return which of the places open and close a tuple, as far as one follows the other regularly."""
    brackets = np.flatnonzero((kinds == _OPEN) | (kinds == _CLOSE))
    expected = np.where(np.arange(len(brackets)) % 2 == 0, _OPEN, _CLOSE)
    wrong = np.flatnonzero(kinds[brackets] != expected)
    n = (int(wrong[0]) if len(wrong) else len(brackets)) // 2
    if n == 0:
        return None
    opens, closes = brackets[: 2 * n : 2], brackets[1 : 2 * n : 2]
    # A semicolon between brackets ends no tuple: it is cut off there, and another one begins.
    broken = np.searchsorted(ends, places[opens]) != np.searchsorted(ends, places[closes])
    n = int(np.argmax(broken)) if bool(broken.any()) else n
    if n == 0 or skip_space(content, np.zeros(1, np.int64))[0] != places[opens[0]]:
        return None
    opens, closes = opens[:n], closes[:n]
    after = skip_space(content, places[closes[:-1]] + 1)
    begins = places[opens[1:]]
    goes_on = content[after] == _COMMA
    next_at = after + 1
    statement = np.searchsorted(ends, after)
    known = statement + 1 < len(bodies)
    is_over = (content[after] == _END) & known
    next_at = np.where(is_over, bodies[np.minimum(statement + 1, len(bodies) - 1)], next_at)
    regular = (goes_on | is_over) & (skip_space(content, next_at) == begins)
    n = n if bool(regular.all()) else int(np.argmin(regular)) + 1
    return opens[:n], closes[:n]


class _Values:
    """The values of the tuples of a window, collected by place and then copied out column by column."""

    def __init__(self, content: Bytes, quotes: Places, escaping: Places, strange: Mask) -> None:
        self._content = content
        self._quotes = quotes
        self._escaping = escaping
        # Behind a closing quote another one at once is a quote in the text; anything else is irregular.
        reopened = quotes[2::2] - quotes[1 : len(quotes) - 1 : 2]
        self._doubled = quotes[1 : len(quotes) - 1 : 2][reopened == 1]
        self._n_apart = np.concatenate([[0], np.cumsum(reopened != 1)])
        self._begins: list[Places] = []
        self._ends: list[Places] = []
        self._missing: list[Mask] = []
        self._strange = strange

    def add(self, begins: Places, ends: Places, n: Places, before: Places, absent: Mask) -> None:
        """Add the values of one place, which hold `n` quotes and have `before` ahead of them."""
        content, last = self._content, len(self._content) - 1
        begins = skip_space(content, np.where(absent, ends, begins))
        ends = _back_space(content, ends, np.minimum(begins, ends))
        begins = np.minimum(begins, ends)
        quoted = n > 0
        inner = np.maximum((before + n) // 2 - 1, before // 2)
        is_whole = (
            self._n_apart[np.minimum(inner, len(self._n_apart) - 1)]
            == self._n_apart[np.minimum(before // 2, len(self._n_apart) - 1)]
        )
        if len(self._quotes):
            first = self._quotes[np.minimum(before, len(self._quotes) - 1)]
            final = self._quotes[np.minimum(before + n, len(self._quotes)) - 1]
            is_whole &= (first == begins) & (final == ends - 1)
        strange = (quoted & ~is_whole) | (~quoted & (begins == ends))
        self._strange |= strange & ~absent
        bare = np.flatnonzero(~quoted & ~absent)
        missing = absent.copy()
        missing[bare] = _are_null(content, begins[bare], ends[bare], last)
        self._begins.append(np.where(quoted & ~absent, begins + 1, begins))
        self._ends.append(np.where(quoted & ~absent, ends - 1, ends))
        self._missing.append(missing)

    def n_usual(self, n: int) -> int:
        """Return how many tuples come before the first one that needs care."""
        return int(np.argmax(self._strange)) if bool(self._strange.any()) else n

    def columns(self, n: int) -> list[pa.LargeStringArray]:
        """Return the values of the first tuples, unescaped."""
        width = len(self._begins)
        bounds = np.empty((n, width, 2), np.int64)
        for place in range(width):
            bounds[:, place, 0] = self._begins[place][:n]
            bounds[:, place, 1] = np.maximum(self._ends[place][:n], self._begins[place][:n])
        content = self._content
        flat = bounds.reshape(-1)
        left_out = np.sort(np.concatenate([self._escaping, self._doubled]))
        if len(left_out):
            content = content.copy()
            meant = self._escaping[self._escaping + 1 < len(content)] + 1
            content[meant] = _MEANT[content[meant]]
            content = np.delete(content, left_out)
            flat = flat - np.searchsorted(left_out, flat)
        # Every other piece is a value, those between them are what separates two.
        pieces: Any = pa.LargeStringArray.from_buffers(
            max(len(flat) - 1, 0), pa.py_buffer(np.ascontiguousarray(flat)), pa.py_buffer(content)
        )
        row = np.arange(n, dtype=np.int64) * (2 * width)
        return [
            with_missing(pieces.take(pa.array(row + 2 * place)), self._missing[place][:n])
            for place in range(width)
        ]


def _are_null(content: Bytes, begins: Places, ends: Places, last: int) -> Mask:
    """Mark the bare values that are a word for a missing one."""
    missing = np.zeros(len(begins), bool)
    for word in _NULL_WORDS:
        rows = np.flatnonzero(ends - begins == len(word))
        for place, letter in enumerate(word):
            rows = rows[content[np.minimum(begins[rows] + place, last)] | 32 == letter]
        missing[rows] = True
    return missing


# ---------------------------------------------------------------- one by one


@lru_cache(maxsize=8)
def _value_pattern(dialect: Dialect) -> re.Pattern[bytes]:
    def string(quote: str, *, escapes: bool) -> str:
        inner = rf"[^{quote}\\]|\\.|{quote}{quote}" if escapes else rf"[^{quote}]|{quote}{quote}"
        return rf"{quote}(?:{inner})*+{quote}"

    other = '"' if dialect.quote == "'" else "'"
    one = string(dialect.quote, escapes=dialect.has_escapes)
    two = string(other, escapes=dialect.has_escapes)
    escaped = string("'", escapes=True)
    text = (
        r"[ \t\r\n]*+(?:"
        rf"(?P<word>[A-Za-z_]\w*+[ ]?)??(?P<quoted>(?:(?<=[Ee]){escaped}|{one}|{two}))(?:::[\w ]++)?"
        r"|(?P<bare>[^'\"(),;\r\n]++(?:\([^'\"();\r\n]*+\))?)"
        r")[ \t\r\n]*+(?P<end>[,)])"
    )
    return re.compile(text.encode(), re.DOTALL)


_RESUMED: Final = re.compile(
    rb"\)(?=[ \t\r\n]*,[ \t\r\n]*\()|\)(?=[ \t]*;[ \t]*(?:\r?\n|\Z))|\n(?=(?i:INSERT|REPLACE)\s)"
)
_BROKEN: Final = "a quoted value of the row is not closed where it should be"
_CUT: Final = "the row is cut off at the end of the file"


def read_tuple(data: bytes, at: int, dialect: Dialect) -> Tuple:
    r"""Take apart the tuple that opens at a place, or say what is wrong with it and where the next one may begin.

    Examples
    --------
    >>> read_tuple(rb"('O\'Hara', NULL, 7)", 0, Dialect())
    Tuple(values=["O'Hara", None, '7'], end=20, problem=None)
    >>> read_tuple(b"('a','O'Hara'),('b','c')", 0, Dialect())
    Tuple(values=['a'], end=14, problem='a quoted value of the row is not closed where it should be')
    """
    pattern = _value_pattern(dialect)
    values: list[str | None] = []
    place = at + 1
    while (found := pattern.match(data, place)) is not None:
        values.append(_text(found, dialect))
        place = found.end()
        if found["end"] == b")":
            return Tuple(values, place)
    resumed = _RESUMED.search(data, at + 1)
    if resumed is None:
        return Tuple(values, len(data), _CUT)
    return Tuple(values, resumed.end(), _BROKEN)


def _text(found: re.Match[bytes], dialect: Dialect) -> str | None:
    quoted = found["quoted"]
    if quoted is None:
        bare = found["bare"].strip()
        return None if bare.lower() in _NULL_WORDS else bare.decode("utf-8", "replace")
    quote, inner = quoted[:1], quoted[1:-1]
    if dialect.has_escapes or (found["word"] or b"").strip().upper() == b"E":
        inner = re.sub(
            rb"\\(?P<escaped>.)|" + quote * 2,
            lambda match: quote if match["escaped"] is None else bytes([_MEANT[match["escaped"][0]]]),
            inner,
            flags=re.DOTALL,
        )
    else:
        inner = inner.replace(quote * 2, quote)
    return inner.decode("utf-8", "replace")
