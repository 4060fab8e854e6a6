"""Find equal texts among millions: 64-bit hashes of Arrow bytes, verified on the bytes.

Input are columns of ids or raw fields, output are hashes and row positions. A hash
only proposes: where two rows are said to be equal here, their bytes were compared,
so a collision can cost time but never joins two different calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "TextLookup",
    "are_unique",
    "combine_hashes",
    "first_occurrence",
    "hash_text",
    "match_positions",
    "normal_ids",
]

Hashes: TypeAlias = "NDArray[np.uint64]"
Positions: TypeAlias = "NDArray[np.int64]"

_WORD: Final = 8
_LINE: Final = 64  # bytes fetched at once: a line of the processor's cache
_BLOCK: Final = 1 << 13  # rows hashed together, so that temporaries stay in the processor's cache
_MULTIPLIER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX: Final = np.uint64(0xBF58_476D_1CE4_E5B9)
_SHIFT: Final = np.uint64(32)
_MISSING: Final = np.uint64(0)
_IN_LENGTH: Final = np.where(
    np.arange(_LINE) < np.arange(_LINE + 1)[:, None], np.uint8(0xFF), np.uint8(0)
).view("<u8")
"""For each length up to a line, the bytes that belong to a value, as words."""
_UUID_PARTS: Final = {"a": "<u8", "b": "<u4", "c": "<u4", "d": "<u4", "e": "<u8", "f": "<u4"}
_UUID_DASHES: Final = ("dash0", "dash1", "dash2", "dash3")
_UUID_BARE: Final = np.dtype(list(_UUID_PARTS.items()))
_UUID_DASHED: Final = np.dtype(
    {
        "names": [*_UUID_PARTS, *_UUID_DASHES],
        "formats": [*_UUID_PARTS.values(), "u1", "u1", "u1", "u1"],
        "offsets": [0, 9, 14, 19, 24, 32, 8, 13, 18, 23],
        "itemsize": 36,
    }
)


def normal_ids(ids: pd.Series[str]) -> pd.Series[str]:
    """Return ids in the one form in which they are compared.

    White space around them, upper case and dashes are not part of an id; an empty
    id is missing. The index is kept.

    Examples
    --------
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
    if len(array) == 0 or array.offset:
        return None
    starts, content = _buffers(array)
    first, last = int(starts[0]), int(starts[-1])
    if last - first != _UUID_DASHED.itemsize * (len(array) - array.null_count):
        return None
    lengths = np.diff(starts)
    expected = (
        np.asarray(array.is_valid()) * _UUID_DASHED.itemsize if array.null_count else _UUID_DASHED.itemsize
    )
    if not (lengths == expected).all():
        return None
    dashed = content[first:last].view(_UUID_DASHED)
    bare = np.empty(len(dashed), _UUID_BARE)
    for begin in range(0, len(dashed), _BLOCK):
        source, target = dashed[begin : begin + _BLOCK], bare[begin : begin + _BLOCK]
        for name in _UUID_PARTS:
            target[name] = source[name]
        digits = target.view(np.uint8)
        # Unsigned bytes wrap around: what lies below the range is far above it then.
        is_digit = (digits - np.uint8(ord("0")) < 10) | (digits - np.uint8(ord("a")) < 6)  # noqa: PLR2004 - 0 to 9, a to f
        has_dashes = all((source[name] == ord("-")).all() for name in _UUID_DASHES)
        if not (has_dashes and is_digit.all()):
            return None
    offsets = (starts - first) // _UUID_DASHED.itemsize * _UUID_BARE.itemsize
    buffers = [array.buffers()[0], pa.py_buffer(offsets), pa.py_buffer(bare)]
    return pa.Array.from_buffers(pa.large_string(), len(array), buffers, array.null_count)


def _buffers(array: pa.LargeStringArray) -> tuple[Positions, NDArray[np.uint8]]:
    """Return the value offsets of the rows and the bytes they point into."""
    _, offsets, data = array.buffers()
    if offsets is None:
        return np.zeros(len(array) + 1, np.int64), np.zeros(_LINE, np.uint8)
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    if content.size < _LINE:
        content = np.concatenate([content, np.zeros(_LINE - content.size, np.uint8)])
    return starts, content


def _windows(content: NDArray[np.uint8], width: int) -> NDArray[np.void]:
    """Return a view of the bytes in which as many of them start at each position: fetched together, they cost as one."""
    return np.ndarray((content.size - width + 1,), dtype=f"V{width}", buffer=content, strides=(1,))


def _mix(hashes: Hashes, words: Hashes) -> Hashes:
    """Fold one word into each hash; for a given hash, different words give different results."""
    mixed = hashes ^ words
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    return mixed


def hash_text(array: pa.LargeStringArray) -> Hashes:
    """Return a 64-bit hash of each value's bytes; a missing value hashes to 0, no other does.

    The same text gives the same hash in every process and on every machine, so
    hashes may be stored.

    Examples
    --------
    >>> left, right = hash_text(pa.array(["a", "b", None], pa.large_string())), None
    >>> bool(left[0] == hash_text(pa.array(["a"], pa.large_string()))[0]), int(left[2])
    (True, 0)
    """
    starts, content = _buffers(array)
    hashes = _hash_even(array, starts, content)
    if hashes is None:
        hashes = _hash_uneven(starts, content)
    hashes ^= hashes >> _SHIFT
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(29)
    hashes[hashes == _MISSING] = np.uint64(1)
    if array.null_count:
        hashes[np.asarray(array.is_null())] = _MISSING
    return hashes


def _hash_even(array: pa.LargeStringArray, starts: Positions, content: NDArray[np.uint8]) -> Hashes | None:
    """Hash values of one length, word by word in long strides; None where lengths differ or are short."""
    n_known = len(array) - array.null_count
    size = int(starts[-1] - starts[0])
    length = size // n_known if n_known else 0
    if length < _WORD or size != length * n_known:
        return None
    is_known = np.diff(starts) == length
    if np.count_nonzero(is_known) != n_known:
        return None
    whole, tail = divmod(length, _WORD)
    places = [_WORD * n for n in range(whole)] + ([length - _WORD] if tail else [])
    hashes = np.empty(n_known, np.uint64)
    for begin in range(0, n_known, _BLOCK):
        rows = min(_BLOCK, n_known - begin)
        at = int(starts[0]) + begin * length
        mixed = np.full(rows, length, np.uint64) * _MIX + np.uint64(1)
        for n, place in enumerate(places):
            words = np.ndarray((rows,), "<u8", content, at + place, (length,))
            mixed = _mix(mixed, words if n < whole else words >> np.uint64((_WORD - tail) * _WORD))
        hashes[begin : begin + rows] = mixed
    if n_known == len(array):
        return hashes
    spread = np.ones(len(array), np.uint64)
    spread[is_known] = hashes
    return spread


def _hash_uneven(starts: Positions, content: NDArray[np.uint8]) -> Hashes:
    """Hash values of any lengths, many words to a fetch."""
    size = len(starts) - 1
    hashes = np.empty(size, np.uint64)
    # A fetch must not reach behind the bytes: the values that end there are hashed from a copy with room.
    at_the_end = int(np.searchsorted(starts[:-1], content.size - 2 * _LINE))
    while at_the_end and starts[at_the_end] > content.size - 2 * _LINE:
        at_the_end -= 1
    for begin in range(0, at_the_end, _BLOCK):
        end = min(begin + _BLOCK, at_the_end)
        hashes[begin:end] = _hash_block(starts[begin:end], np.diff(starts[begin : end + 1]), content)
    if at_the_end < size:
        padded = np.concatenate([content[starts[at_the_end] :], np.zeros(2 * _LINE, np.uint8)])
        rest = starts[at_the_end:] - starts[at_the_end]
        hashes[at_the_end:] = _hash_block(rest[:-1], np.diff(rest), padded)
    return hashes


def _hash_block(starts: Positions, lengths: Positions, content: NDArray[np.uint8]) -> Hashes:
    """Hash values word by word; the words that all of them have, then those of the longer ones, then what is left.

    Behind each value there is room for a fetch.
    """
    whole, tail = lengths // _WORD, lengths % _WORD
    shortest = int(whole.min())
    hashes = lengths.astype(np.uint64) * _MIX + np.uint64(1)
    # Long values, such as records, are fetched two lines at once: half as many fetches.
    lines = _windows(content, 2 * _LINE if shortest * _WORD >= 2 * _LINE else _LINE)
    _mix_words(hashes, starts, [0] * shortest, lines)
    beyond = whole - shortest
    if beyond.any():
        # In the order of their lengths, those that have a further word stand together at the end.
        order = np.argsort(beyond.astype(np.min_scalar_type(beyond.max())), kind="stable")
        without = np.searchsorted(beyond[order], np.arange(beyond.max()), side="right").tolist()
        ordered = hashes[order]
        _mix_words(ordered, starts[order] + shortest * _WORD, without, lines)
        hashes[order] = ordered
    spare = ((_WORD - tail) * _WORD).astype(np.uint64)
    last = _windows(content, _WORD)[starts + lengths - tail].view("<u8") << spare >> spare
    return np.where(tail > 0, _mix(hashes, last), hashes)


def _mix_words(hashes: Hashes, starts: Positions, without: Sequence[int], lines: NDArray[np.void]) -> None:
    """Fold word after word into the hashes, in place; `without` says how many rows at the beginning have none."""
    spare = np.empty_like(hashes)
    first, words = 0, np.empty((0, 0), np.uint64)
    for n, begin in enumerate(without):
        place = n % (lines.dtype.itemsize // _WORD)
        if place == 0:
            first = begin
            words = lines[starts[begin:] + n * _WORD].view("<u8").reshape(len(hashes) - begin, -1)
        mixed, shifted = hashes[begin:], spare[begin:]
        mixed ^= words[begin - first :, place]
        mixed *= _MULTIPLIER
        np.right_shift(mixed, _SHIFT, out=shifted)
        mixed ^= shifted


def combine_hashes(columns: Sequence[Hashes]) -> Hashes:
    """Return one hash per row from the hashes of its fields; the order of the fields matters.

    Examples
    --------
    >>> a, b = np.array([1], np.uint64), np.array([2], np.uint64)
    >>> bool(combine_hashes([a, b])[0] == combine_hashes([b, a])[0])
    False
    """
    combined = np.full(len(columns[0]), len(columns), np.uint64)
    for column in columns:
        combined = _mix(combined, column + _MULTIPLIER)
    return combined


def _equal_at(left: pa.LargeStringArray, at: Positions, right: pa.LargeStringArray, to: Positions) -> bool:
    """Compare the bytes of proposed equals where they stand, without gathering the texts."""
    (starts, content), (other_starts, other_content) = _buffers(left), _buffers(right)
    for begin in range(0, len(at), _BLOCK):
        rows, other_rows = at[begin : begin + _BLOCK], to[begin : begin + _BLOCK]
        first, other_first = starts[rows], other_starts[other_rows]
        lengths = starts[rows + 1] - first
        if not np.array_equal(lengths, other_starts[other_rows + 1] - other_first):
            return False
        longest, shortest = int(lengths.max()), int(lengths.min())
        width = max(-(-longest // _WORD), 1) * _WORD
        last, other_last = content.size - width, other_content.size - width
        if longest > _LINE or first.max() > last or other_first.max() > other_last:
            # Too long for one fetch, or too near the end of the bytes.
            if not left.take(pa.array(rows)).equals(right.take(pa.array(other_rows))):
                return False
            continue
        words = _windows(content, width)[first].view("<u8")
        other_words = _windows(other_content, width)[other_first].view("<u8")
        differing = (words ^ other_words).reshape(len(rows), -1)
        if shortest < width:
            differing &= _IN_LENGTH[lengths if shortest < longest else longest, : width // _WORD]
        if differing.any():
            return False
    return True


def are_unique(values: NDArray[Any]) -> bool:
    """Tell whether no value occurs twice; a sort answers that sooner than a table of the values.

    Examples
    --------
    >>> are_unique(np.array([3, 1, 2])), are_unique(np.array([3, 1, 3]))
    (True, False)
    """
    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())


class TextLookup:
    """The positions of texts by their value, prepared once and asked often.

    Parameters
    ----------
    texts
        A missing value equals nothing; of equal ones the first is found.

    Examples
    --------
    >>> text = pa.large_string()
    >>> TextLookup(pa.array(["a", "b", "b", None], text)).find(pa.array(["b", "x", None], text)).tolist()
    [1, -1, -1]
    """

    def __init__(self, texts: pa.LargeStringArray) -> None:
        self.texts = texts
        self.hashes = hash_text(texts)
        # Missing ones hash alike and are left out, so that the table holds what can be found.
        self._origin = np.flatnonzero(self.hashes != _MISSING) if texts.null_count else None
        known = self.hashes if self._origin is None else self.hashes[self._origin]
        self._are_unique = are_unique(known)
        if not self._are_unique:
            is_first = ~pd.Index(known).duplicated()
            self._origin = np.flatnonzero(is_first) if self._origin is None else self._origin[is_first]
            known = known[is_first]
        self._index = pd.Index(known)
        self._index.get_indexer(
            self._index[:1]
        )  # builds the table here, where another thread may wait for it

    def find(self, texts: pa.LargeStringArray) -> Positions:
        """Return, for each text, the position of the first equal one, else -1; equality is verified on the bytes."""
        if not len(self._index):
            return np.full(len(texts), -1, np.int64)
        found = self._index.get_indexer(pd.Index(hash_text(texts))).astype(np.int64, copy=False)
        if self._origin is not None:
            found = np.where(found >= 0, self._origin[found], -1)
        matched = np.flatnonzero(found >= 0)
        if _equal_at(texts, matched, self.texts, found[matched]):
            return found
        # Two different texts share a hash: let Arrow compare whole values instead.
        exact = pc.fill_null(pc.index_in(texts, value_set=self.texts, skip_nulls=True), -1)
        return np.asarray(exact).astype(np.int64)

    def first_occurrence(self) -> Positions:
        """Return, for each text, the position of its first equal occurrence, as the function of that name does."""
        if self._are_unique:
            return np.arange(len(self.texts), dtype=np.int64)
        return first_occurrence(self.texts, self.hashes)


def match_positions(left: pa.LargeStringArray, right: pa.LargeStringArray) -> Positions:
    """Return, for each left value, the position of the first equal right value, else -1.

    A missing value equals nothing, not even another missing value.

    Examples
    --------
    >>> text = pa.large_string()
    >>> match_positions(pa.array(["b", "x", None], text), pa.array(["a", "b", "b", None], text)).tolist()
    [1, -1, -1]
    """
    return TextLookup(right).find(left)


def first_occurrence(array: pa.LargeStringArray, hashes: Hashes | None = None) -> Positions:
    """Return, for each value, the position of its first equal occurrence.

    A missing value occurs once: its position is its own. Hashes that `hash_text`
    gave may be handed in.

    Examples
    --------
    >>> first_occurrence(pa.array(["a", "b", "a", None, None], pa.large_string())).tolist()
    [0, 1, 0, 3, 4]
    """
    rows = np.arange(len(array), dtype=np.int64)
    hashes = hash_text(array) if hashes is None else hashes
    if are_unique(hashes[hashes != _MISSING] if array.null_count else hashes):
        return rows
    codes, _ = pd.factorize(hashes)
    first = _first_of_codes(codes)
    missing = hashes == _MISSING
    first[missing] = rows[missing]
    repeated = np.flatnonzero(first != rows)
    if _equal_at(array, repeated, array, first[repeated]):
        return first
    codes = np.asarray(array.dictionary_encode(null_encoding="encode").indices)
    first = _first_of_codes(codes)
    first[missing] = rows[missing]
    return first


def _first_of_codes(codes: NDArray[Any]) -> Positions:
    """Return the position where each row's code appeared first; codes count up as they appear."""
    newest = np.maximum.accumulate(codes)
    starts = np.flatnonzero(np.diff(newest, prepend=-1) > 0)
    return starts[codes].astype(np.int64)
