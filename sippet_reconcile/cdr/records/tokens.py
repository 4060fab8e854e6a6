"""Take one line of a delimited file apart, also where its quoting is broken.

Input is a line, output its fields and whether a quote stayed open. A field that is
quoted by the book is read by the book; another one closes at the first quote that a
delimiter follows, which is what exports without any escaping mean.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["Tokens", "mend_line", "python_pattern", "record_pattern", "split_line", "stays_open"]

Tokens = tuple[list[str], bool]
"""The fields of a line, and whether its last quote was never closed."""

QUOTE: Final = '"'


@lru_cache(maxsize=64)
def record_pattern(width: int, delimiter: str) -> str:
    """Return the regular expression of a line with so many fields, quoted by the book.

    It holds for RE2 and for Python, and a line may end in a line feed.
    """
    other = re.escape(delimiter)
    field = rf'(?:"(?:[^"]|"")*"|[^"{other}\n]*)'
    return rf"\A{field}(?:{other}{field}){{{width - 1}}}\n?\z"


@lru_cache(maxsize=64)
def python_pattern(width: int, delimiter: str) -> re.Pattern[str]:
    """Return `record_pattern` compiled."""
    return re.compile(record_pattern(width, delimiter).replace(r"\z", r"\Z"))


@lru_cache(maxsize=8)
def _open_record(delimiter: str) -> re.Pattern[str]:
    other = re.escape(delimiter)
    field = rf'(?:"(?:[^"]|"")*+"|[^"{other}\n]*+)'
    return re.compile(rf'(?:{field}{other})*+"(?:[^"]|"")*+\Z')


def stays_open(line: str, delimiter: str) -> bool:
    """Tell whether a line is the beginning of a record that goes on on the next line.

    Examples
    --------
    >>> stays_open('"a","two', ","), stays_open('"6" pipe","b"', ",")
    (True, False)
    """
    return _open_record(delimiter).match(line) is not None


@lru_cache(maxsize=8)
def _quoted_field(delimiter: str) -> re.Pattern[str]:
    return re.compile(rf'"((?:[^"]++|"")*+)"(?={re.escape(delimiter)}|\Z)')


@lru_cache(maxsize=8)
def _half_quoted_field(delimiter: str) -> re.Pattern[str]:
    """Match what only begins with quotes, such as ``"Ann" <1001>``; it is kept as it stands."""
    other = re.escape(delimiter)
    return re.compile(rf'"[^"{other}]*"[^"{other}]+(?={other}|\Z)')


def split_line(line: str, delimiter: str) -> Tokens:
    """Return the fields of one line (without its line end).

    Examples
    --------
    >>> split_line('"Bob "the" Smith","1000",7', ",")
    (['Bob "the" Smith', '1000', '7'], False)
    >>> split_line('"Ann" <1001>,7', ",")
    (['"Ann" <1001>', '7'], False)
    >>> split_line('"a","cut', ",")
    (['a', 'cut'], True)
    """
    fields: list[str] = []
    at, end = 0, len(line)
    quoted, half_quoted = _quoted_field(delimiter), _half_quoted_field(delimiter)
    while True:
        if line.startswith(QUOTE, at):
            by_the_book = quoted.match(line, at)
            if by_the_book is not None:
                value, at = by_the_book[1].replace('""', '"'), by_the_book.end()
            elif (half := half_quoted.match(line, at)) is not None:
                value, at = half[0], half.end()
            else:
                close = line.find(QUOTE + delimiter, at + 1)
                if close < 0 and (end - at < 2 or line[-1] != QUOTE):  # noqa: PLR2004 - a lone quote closes nothing
                    fields.append(line[at + 1 :])
                    return fields, True
                close = close if close >= 0 else end - 1
                value, at = line[at + 1 : close], close + 1
        else:
            close = line.find(delimiter, at)
            close = close if close >= 0 else end
            value, at = line[at:close], close
        fields.append(value)
        if at >= end:
            return fields, False
        at += 1


def mend_line(line: str, delimiter: str, widths: frozenset[int]) -> Tokens:
    """Return the fields of a line that is not quoted by the book, in the reading that gives a known width.

    Examples
    --------
    >>> mend_line('"Lee, "Al"","1000","2000"', ",", frozenset({3}))
    (['Lee, "Al"', '1000', '2000'], False)
    """
    fields, is_open = split_line(line, delimiter)
    if not is_open and len(fields) in widths:
        return fields, False
    if len(line) > 1 and line[0] == QUOTE == line[-1]:
        between = line[1:-1].split(f"{QUOTE}{delimiter}{QUOTE}")
        if len(between) in widths:
            return between, False
    return fields, is_open
