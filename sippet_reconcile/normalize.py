"""Clean columns of text, tell which numbers are E.164, and read seconds.

Input and output are whole columns. A value that is clean already is not copied:
the result shares its bytes. What cannot be read becomes missing, and a mask says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["as_e164", "clean_text", "map_distinct", "text_layout", "text_to_seconds", "with_missing"]

Mask: TypeAlias = "NDArray[np.bool_]"
Offsets: TypeAlias = "NDArray[np.int64]"

_TEXT: Final = pa.large_string()
_SPACE: Final = 32  # the highest ASCII byte that is white space or a control character
_NOT_ASCII: Final = 128
_NULLS: Final = pa.array(["NULL", "null", r"\N"], _TEXT)  # what databases print where a value is missing
_NULL_LENGTHS: Final = (4, 2)
_NULL_INITIALS: Final = tuple(b"Nn\\")

# ---------------------------------------------------------------- text


def text_layout(array: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the value offsets (one more than rows) and the bytes they point into."""
    _, offsets, data = array.buffers()
    if offsets is None:
        return np.zeros(len(array) + 1, np.int64), np.zeros(0, np.uint8)
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def with_missing(array: pa.LargeStringArray, missing: Mask) -> pa.LargeStringArray:
    """Return the column with some rows made missing; offsets and bytes are shared, not copied.

    Examples
    --------
    >>> with_missing(pa.array(["a", "b"], pa.large_string()), np.array([False, True])).to_pylist()
    ['a', None]
    """
    if not missing.any():
        return array
    if array.offset:
        array = pa.concat_arrays([array])
    valid = ~missing
    if array.null_count:
        valid &= np.asarray(array.is_valid())
    _, offsets, data = array.buffers()
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.LargeStringArray.from_buffers(len(array), offsets, data, bitmap)


def clean_text(array: pa.LargeStringArray) -> pa.LargeStringArray:
    r"""Return text without white space around it; what is empty then is missing.

    So is a value that is nothing but ``NULL``, ``null`` or ``\N``: an export of a
    database prints those, and as an id they would join what has nothing in common.
    Where nothing has to be trimmed, offsets and bytes are shared with the input.

    Examples
    --------
    >>> clean_text(pa.array([" a ", "", "b", "  ", "NULL"], pa.large_string())).to_pylist()
    ['a', None, 'b', None, None]
    """
    starts, data = text_layout(array)
    lengths = np.diff(starts)
    missing = lengths == 0
    # Most columns hold no byte that could be white space: that is seen without looking at each value.
    content = data[starts[0] : starts[-1]]
    least, most = _bounds(content)
    if least <= _SPACE or most >= _NOT_ASCII:
        filled = ~missing if bool(missing.any()) else slice(None)
        edges = (_bounds(data.take(at)) for at in (starts[:-1][filled], starts[1:][filled] - 1))
        if any(low <= _SPACE or high >= _NOT_ASCII for low, high in edges):
            array = pc.utf8_trim_whitespace(array)
            starts, data = text_layout(array)
            lengths = np.diff(starts)
            missing = lengths == 0
    if most >= min(_NULL_INITIALS):  # no number and no date holds a letter
        missing[_null_words(array, starts, data, lengths)] = True
    return with_missing(array, missing)


def _bounds(content: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the least and the greatest byte; of none, bounds that nothing lies between."""
    return int(content.min(initial=_NOT_ASCII - 1)), int(content.max(initial=0))


def _null_words(
    array: pa.LargeStringArray, starts: Offsets, data: NDArray[np.uint8], lengths: Offsets
) -> NDArray[np.int64]:
    """Return the rows that hold a word for a missing value; only values of their length are looked at."""
    four, two = _NULL_LENGTHS
    rows = np.flatnonzero((lengths == four) | (lengths == two))
    if len(rows) == 0:
        return rows
    first = data[starts[rows]]
    capital, small, backslash = _NULL_INITIALS
    rows = rows[(first == capital) | (first == small) | (first == backslash)]
    if len(rows) == 0:
        return rows
    return rows[np.asarray(pc.is_in(array.take(pa.array(rows)), value_set=_NULLS))]


def map_distinct(array: pa.LargeStringArray, mapping: Callable[[str], str | None]) -> pa.LargeStringArray:
    """Return a column in which each distinct value was mapped once; missing stays missing.

    Examples
    --------
    >>> map_distinct(pa.array(["a", "b", "a", None], pa.large_string()), {"a": "x"}.get).to_pylist()
    ['x', None, 'x', None]
    """
    encoded = array.dictionary_encode()
    mapped = pa.array([mapping(value) for value in encoded.dictionary.to_pylist()], _TEXT)
    return mapped.take(encoded.indices)


# ---------------------------------------------------------------- numbers

_E164: Final = r"^\+[1-9][0-9]{6,14}$"
_PUNCTUATION: Final = r"[\s().\-/]"


def as_e164(numbers: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the numbers that already are E.164 but for punctuation; missing for the others.

    Examples
    --------
    >>> as_e164(pa.array(["+44 20 7946 0123", "020 7946 0123"], pa.large_string())).to_pylist()
    ['+442079460123', None]
    """
    plain = pc.replace_substring_regex(numbers, pattern=_PUNCTUATION, replacement="")
    return pc.if_else(
        pc.match_substring_regex(plain, pattern=_E164), plain, pa.scalar(None, pa.large_string())
    )


# ---------------------------------------------------------------- seconds

_LOOK: Final = 1000  # rows whose first value tells how a column is likely to be written
_PLAIN_SECONDS: Final = r"^[+-]?\d{1,12}(?:\.\d{1,9})?$"
_CLOCK_SECONDS: Final = r"^(?P<h>\d{1,6}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:\.\d{1,9})?)$"


def text_to_seconds(array: pa.LargeStringArray) -> tuple[NDArray[np.float64], Mask]:
    """Read seconds written as a number or as H:MM:SS.

    Returns
    -------
    tuple
        Seconds as floats, NaN where missing or unreadable; and the mask of the
        values that are there but are no seconds. A minus sign is read, not judged.

    Examples
    --------
    >>> seconds, unreadable = text_to_seconds(pa.array(["61", "0:01:01.5", None, "3m"], pa.large_string()))
    >>> seconds.tolist(), unreadable.tolist()
    ([61.0, 61.5, nan, nan], [False, False, False, True])
    """
    known = pc.drop_null(array.slice(0, _LOOK))
    if len(known) and ":" in known[0].as_py():
        # Calls are seldom of many different lengths: each is read once.
        encoded = array.dictionary_encode()
        seconds, unreadable = _seconds(encoded.dictionary)
        places = pc.fill_null(encoded.indices, len(seconds)).to_numpy(zero_copy_only=False)
        return np.append(seconds, np.nan)[places], np.append(unreadable, False)[places]
    return _seconds(array)


def _seconds(array: pa.LargeStringArray) -> tuple[NDArray[np.float64], Mask]:
    """Read seconds, whole numbers throughout first of all."""
    nothing = np.zeros(len(array), bool)
    try:
        if bool((text_layout(array)[1] == ord("x")).any()):  # Arrow would read 0x10 as sixteen
            raise pa.ArrowInvalid  # noqa: TRY301 - as what Arrow itself refuses
        # Whole numbers throughout: the usual case, read in one go.
        return pc.cast(array.cast(pa.int64()), pa.float64()).to_numpy(zero_copy_only=False), nothing
    except pa.ArrowInvalid:
        plain = np.asarray(pc.fill_null(pc.match_substring_regex(array, _PLAIN_SECONDS), fill_value=False))
    seconds = with_missing(array, ~plain).cast(pa.float64()).to_numpy(zero_copy_only=False)
    unreadable = np.asarray(array.is_valid()) & ~plain
    if bool(unreadable.any()):
        rows = np.flatnonzero(unreadable)
        # Calls are seldom of many different lengths: each is taken apart once.
        encoded = array.take(pa.array(rows)).dictionary_encode()
        parts = pc.extract_regex(encoded.dictionary, pattern=_CLOCK_SECONDS)
        h, m, s = (pc.struct_field(parts, key).cast(pa.float64()) for key in "hms")
        clock = pc.add(pc.add(pc.multiply(h, 3600.0), pc.multiply(m, 60.0)), s).take(encoded.indices)
        found = np.asarray(clock.is_valid())
        seconds = seconds.copy()
        seconds[rows[found]] = clock.to_numpy(zero_copy_only=False)[found]
        unreadable[rows[found]] = False
    return seconds, unreadable
