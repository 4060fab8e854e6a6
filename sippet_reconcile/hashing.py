"""Hash the bytes of text, and compare them where they stand.

Input are columns of Arrow text, output are 64-bit hashes, and whether proposed equals
are equal. Everything is done in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "MISSING",
    "Hashes",
    "Positions",
    "are_unique",
    "at_known_rows",
    "combine_hashes",
    "differing_at",
    "finish_hashes",
    "hash_text",
    "hash_words",
    "text_buffers",
]

Hashes: TypeAlias = "NDArray[np.uint64]"
Positions: TypeAlias = "NDArray[np.int64]"

_WORD: Final = 8
_LINE: Final = 64  # bytes fetched at once: a line of the processor's cache
BLOCK: Final = 1 << 13  # rows hashed together, so that temporaries stay in the processor's cache
_MULTIPLIER: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_MIX: Final = np.uint64(0xBF58_476D_1CE4_E5B9)
_SHIFT: Final = np.uint64(32)
MISSING: Final = np.uint64(0)
_IN_LENGTH: Final = np.where(
    np.arange(_LINE) < np.arange(_LINE + 1)[:, None], np.uint8(0xFF), np.uint8(0)
).view("<u8")
"""For each length up to a line, the bytes that belong to a value, as words."""


def text_buffers(array: pa.LargeStringArray) -> tuple[Positions, NDArray[np.uint8]]:
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


def hash_words(length: int, rows: int, words: Iterable[Hashes]) -> Hashes:
    """Return what is mixed of the words of texts of one length, not finished yet."""
    mixed = np.full(rows, length, np.uint64) * _MIX + np.uint64(1)
    for word in words:
        mixed = _mix(mixed, word)
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
    starts, content = text_buffers(array)
    hashes = _hash_even(array, starts, content)
    if hashes is None:
        hashes = _hash_uneven(starts, content)
    return finish_hashes(hashes, array)


def finish_hashes(hashes: Hashes, array: pa.LargeStringArray) -> Hashes:
    """Mix the last word in, and tell what is missing from all that is there; in place."""
    for begin in range(0, len(hashes), BLOCK):
        block = hashes[begin : begin + BLOCK]
        block ^= block >> _SHIFT
        block *= _MIX
        block ^= block >> np.uint64(29)
        block[block == MISSING] = np.uint64(1)
    if array.null_count:
        hashes[np.asarray(array.is_null())] = MISSING
    return hashes


def at_known_rows(hashes: Hashes, array: pa.LargeStringArray) -> Hashes:
    """Return the hashes of the known values at their rows."""
    if not array.null_count:
        return hashes
    spread = np.ones(len(array), np.uint64)
    spread[np.asarray(array.is_valid())] = hashes
    return spread


def _hash_even(array: pa.LargeStringArray, starts: Positions, content: NDArray[np.uint8]) -> Hashes | None:
    """Hash values of one length, word by word in long strides; None where lengths differ or are short."""
    n_known = len(array) - array.null_count
    size = int(starts[-1] - starts[0])
    length = size // n_known if n_known else 0
    if length < _WORD or size != length * n_known:
        return None
    if np.count_nonzero(np.diff(starts) == length) != n_known:
        return None
    whole, tail = divmod(length, _WORD)
    places = [_WORD * n for n in range(whole)] + ([length - _WORD] if tail else [])
    hashes = np.empty(n_known, np.uint64)
    for begin in range(0, n_known, BLOCK):
        rows = min(BLOCK, n_known - begin)
        at = int(starts[0]) + begin * length
        words = (np.ndarray((rows,), "<u8", content, at + place, (length,)) for place in places)
        spare = np.uint64((_WORD - tail) * _WORD)
        hashes[begin : begin + rows] = hash_words(
            length, rows, (word if n < whole else word >> spare for n, word in enumerate(words))
        )
    return at_known_rows(hashes, array)


def _hash_uneven(starts: Positions, content: NDArray[np.uint8]) -> Hashes:
    """Hash values of any lengths, many words to a fetch."""
    size = len(starts) - 1
    hashes = np.empty(size, np.uint64)
    # A fetch must not reach behind the bytes: the values that end there are hashed from a copy with room.
    at_the_end = int(np.searchsorted(starts[:-1], content.size - 2 * _LINE))
    while at_the_end and starts[at_the_end] > content.size - 2 * _LINE:
        at_the_end -= 1
    for begin in range(0, at_the_end, BLOCK):
        end = min(begin + BLOCK, at_the_end)
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


def differing_at(
    left: pa.LargeStringArray, at: Positions, right: pa.LargeStringArray, to: Positions
) -> Positions:
    """Return which proposed equals differ, as places in `at` and `to`: bytes are compared where they stand."""
    (starts, content), (other_starts, other_content) = text_buffers(left), text_buffers(right)
    found = [np.zeros(0, np.int64)]
    for begin in range(0, len(at), BLOCK):
        rows, other_rows = at[begin : begin + BLOCK], to[begin : begin + BLOCK]
        first, other_first = starts[rows], other_starts[other_rows]
        lengths = starts[rows + 1] - first
        differs = lengths != other_starts[other_rows + 1] - other_first
        longest, shortest = int(lengths.max()), int(lengths.min())
        width = max(-(-longest // _WORD), 1) * _WORD
        last, other_last = content.size - width, other_content.size - width
        if longest > _LINE or first.max() > last or other_first.max() > other_last:
            # Too long for one fetch, or too near the end of the bytes.
            differs = ~np.asarray(pc.equal(left.take(pa.array(rows)), right.take(pa.array(other_rows))))
        else:
            words = _windows(content, width)[first].view("<u8")
            other_words = _windows(other_content, width)[other_first].view("<u8")
            differing = (words ^ other_words).reshape(len(rows), -1)
            if shortest < width:
                differing &= _IN_LENGTH[lengths if shortest < longest else longest, : width // _WORD]
            differs |= differing.any(axis=1)
        if differs.any():
            found.append(begin + np.flatnonzero(differs))
    return np.concatenate(found)


def are_unique(values: NDArray[Any]) -> bool:
    """Tell whether no value occurs twice; a sort answers that sooner than a table of the values.

    Examples
    --------
    >>> are_unique(np.array([3, 1, 2])), are_unique(np.array([3, 1, 3]))
    (True, False)
    """
    ordered = np.sort(values)
    return not bool((ordered[1:] == ordered[:-1]).any())
