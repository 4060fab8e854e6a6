"""Ids in the one form in which they are compared.

Input are columns of ids as they were written, output is their normal text, or only what
is needed to compare them. Nearly all ids are UUIDs in their usual form, and these are
compared as they stand: no text of them is made that nobody looks at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.hashing import BLOCK, at_known_rows, finish_hashes, hash_text, hash_words, text_buffers
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.hashing import Hashes, Positions

__all__ = ["Ids", "normal_ids"]

_UUID_DASHES: Final = ("dash0", "dash1", "dash2", "dash3")
_UUID: Final = np.dtype(
    {
        "names": ["a", "b", "c", "d", "e", "f", *_UUID_DASHES],
        "formats": ["<u8", "<u4", "<u4", "<u4", "<u4", "<u8", "u1", "u1", "u1", "u1"],
        "offsets": [0, 9, 14, 19, 24, 28, 8, 13, 18, 23],
        "itemsize": 36,
    }
)
"""A UUID with its dashes, and between them the four words that it is without."""

_BARE: Final = 32
"""Bytes of a UUID without its dashes."""


def normal_ids(ids: pd.Series[str]) -> pd.Series[str]:
    """Return ids in the one form in which they are compared.

    White space around them, upper case and dashes are not part of an id; an empty
    id is missing. The index is kept.

    Examples
    --------
    >>> import pandas as pd
    >>> normal_ids(pd.Series([" 8C1F-3C52 ", "8c1f3c52", "-"], dtype="str")).tolist()
    ['8c1f3c52', '8c1f3c52', nan]
    """
    array = text_array(ids)
    bare = _bare_uuids(array)
    if bare is not None:
        return text_series(bare, index=ids.index)
    array = pc.utf8_lower(pc.utf8_trim_whitespace(array))
    array = pc.replace_substring(array, pattern="-", replacement="")
    lengths = pc.binary_length(array)
    empty = pc.equal(lengths, 0)
    if pc.any(empty).as_py():
        array = pc.if_else(empty, pa.scalar(None, pa.large_string()), array)
    return text_series(array, index=ids.index)


def _bare_uuids(array: pa.LargeStringArray) -> pa.LargeStringArray | None:
    """Return UUIDs without their dashes; None where any value is not in their usual form, in lower case.

    Nearly all ids are; looking at their bytes is far quicker than rewriting every text.
    """
    dashed = _dashed_uuids(array)
    if dashed is None:
        return None
    bare = np.empty((len(dashed), _BARE // 8), "<u8")
    for begin, words in _blocks_of(dashed):
        if words is None:
            return None
        bare[begin : begin + BLOCK] = words.T
    starts, _ = text_buffers(array)
    offsets = (starts - starts[0]) // _UUID.itemsize * _BARE
    buffers = [array.buffers()[0], pa.py_buffer(offsets), pa.py_buffer(bare)]
    return pa.Array.from_buffers(pa.large_string(), len(array), buffers, array.null_count)


def _dashed_uuids(array: pa.LargeStringArray) -> NDArray[np.void] | None:
    """Return a view of the known values where all of them are as long as a UUID with dashes; else None."""
    if len(array) == 0 or array.offset:
        return None
    starts, content = text_buffers(array)
    first, last = int(starts[0]), int(starts[-1])
    if last - first != _UUID.itemsize * (len(array) - array.null_count):
        return None
    for begin in range(0, len(array), BLOCK):
        lengths = np.diff(starts[begin : begin + BLOCK + 1])
        is_known = np.asarray(array[begin : begin + BLOCK].is_valid()) if array.null_count else True
        if not (lengths == _UUID.itemsize * np.int64(is_known)).all():
            return None
    return content[first:last].view(_UUID)


def _blocks_of(dashed: NDArray[np.void]) -> Iterator[tuple[int, NDArray[np.uint64] | None]]:
    """Yield the four words of UUIDs without their dashes, a row of each word; None where any is not in its usual form.

    What is yielded is written into again.
    """
    room = np.empty((_BARE // 8, min(BLOCK, len(dashed))), "<u8")
    for begin in range(0, len(dashed), BLOCK):
        block = dashed[begin : begin + BLOCK]
        words = room[:, : len(block)]
        words[0], words[3] = block["a"], block["f"]
        for word, low, high in ((1, "b", "c"), (2, "d", "e")):
            halves = words[word].view("<u4")
            halves[0::2], halves[1::2] = block[low], block[high]
        digits = words.view(np.uint8)
        # Unsigned bytes wrap around: what lies below the range is far above it then.
        is_digit = (digits - np.uint8(ord("0")) < 10) | (digits - np.uint8(ord("a")) < 6)  # noqa: PLR2004 - 0 to 9, a to f
        is_usual = is_digit.all() and all((block[name] == ord("-")).all() for name in _UUID_DASHES)
        yield begin, words if is_usual else None


def _hash_uuids(array: pa.LargeStringArray) -> Hashes | None:
    """Hash UUIDs as `hash_text` does without their dashes; None where any value is not in their usual form."""
    dashed = _dashed_uuids(array)
    if dashed is None:
        return None
    hashes = np.empty(len(dashed), np.uint64)
    for begin, words in _blocks_of(dashed):
        if words is None:
            return None
        hashes[begin : begin + BLOCK] = hash_words(_BARE, words.shape[1], words)
    return finish_hashes(at_known_rows(hashes, array), array)


@dataclass(frozen=True, eq=False)
class Ids:
    """Ids to be compared in one form, as `normal_ids` brings them into it; that text is only made where it is asked for.

    Attributes
    ----------
    stored
        The normal text, or UUIDs as they came: those in their usual form are equal as
        they stand where they are equal at all.
    hashes
        Of the normal text, as `hash_text` gives them.
    are_uuids
        Whether all are UUIDs in their usual form.

    Examples
    --------
    >>> ids = Ids.of(pa.array(["8C1F-3c52", None], pa.large_string()))
    >>> ids.text.to_pylist(), ids.null_count, len(ids)
    (['8c1f3c52', None], 1, 2)
    """

    stored: pa.LargeStringArray
    hashes: Hashes
    are_uuids: bool

    @classmethod
    def of(cls, given: pa.LargeStringArray) -> Self:
        """Return ids as they were given, in any form."""
        hashes = _hash_uuids(given)
        if hashes is not None:
            return cls(given, hashes, are_uuids=True)
        text = text_array(normal_ids(text_series(given)))
        return cls(text, hash_text(text), are_uuids=False)

    @property
    def text(self) -> pa.LargeStringArray:
        """The normal text, made anew where ids are UUIDs."""
        return text_array(normal_ids(text_series(self.stored))) if self.are_uuids else self.stored

    @property
    def null_count(self) -> int:
        """How many are missing."""
        return int(self.stored.null_count)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: slice) -> Ids:
        return Ids(self.stored[rows], self.hashes[rows], self.are_uuids)

    def differing_at(self, at: Positions, other: Ids, to: Positions) -> Positions:
        """Return which proposed equals differ, as places in `at` and `to`; both are UUIDs in their usual form."""
        mine, others = _Records(self.stored), _Records(other.stored)
        found = [np.zeros(0, np.int64)]
        for begin in range(0, len(at), BLOCK):
            one, two = mine.at(at[begin : begin + BLOCK]), others.at(to[begin : begin + BLOCK])
            if not np.array_equal(one, two):
                differs = (one != two).reshape(-1, _UUID.itemsize).any(axis=1)
                found.append(begin + np.flatnonzero(differs))
        return np.concatenate(found)

    def is_valid(self) -> Any:
        """Mark those that are not missing."""
        return self.stored.is_valid()

    def take(self, rows: pa.Array) -> pa.LargeStringArray:
        """Return the normal text of some of them."""
        some = self.stored.take(rows)
        return text_array(normal_ids(text_series(some))) if self.are_uuids else some

    def at(self, rows: Positions) -> Ids:
        """Return some of them."""
        return Ids(self.stored.take(pa.array(rows)), self.hashes[rows], self.are_uuids)


class _Records:
    """The bytes of UUIDs in their usual form, by row: whole ones are fetched, as they stand one behind the other."""

    def __init__(self, array: pa.LargeStringArray) -> None:
        self._starts, content = text_buffers(array)
        first, last = int(self._starts[0]), int(self._starts[-1])
        self._records = content[first:last].view(f"V{_UUID.itemsize}")
        self._have_gaps = bool(array.null_count)

    def at(self, rows: Positions) -> NDArray[np.uint8]:
        """Return the bytes of some that are known."""
        if self._have_gaps:
            rows = (self._starts[rows] - self._starts[0]) // _UUID.itemsize
        if rows[-1] - rows[0] == len(rows) - 1 and bool((rows[1:] > rows[:-1]).all()):
            return self._records[rows[0] : rows[-1] + 1].view(np.uint8)
        return self._records.take(rows).view(np.uint8)
