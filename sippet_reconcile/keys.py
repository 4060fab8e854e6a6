"""Find equal texts among millions: 64-bit hashes of Arrow bytes, verified on the bytes.

Input are columns of ids or raw fields, output are row positions. A hash only proposes:
where two rows are said to be equal here, their bytes were compared, so a collision can
cost time but never joins two different calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.hashing import MISSING, are_unique, combine_hashes, differing_at, hash_text
from sippet_reconcile.ids import Ids, normal_ids

if TYPE_CHECKING:
    from sippet_reconcile.hashing import Hashes, Positions

__all__ = [
    "Ids",
    "TextLookup",
    "Texts",
    "are_unique",
    "combine_hashes",
    "first_occurrence",
    "hash_text",
    "match_positions",
    "normal_ids",
    "text_of",
]

Texts: TypeAlias = "pa.LargeStringArray | Ids"

_WORD_BITS: Final = 64

_MOST_STEPS: Final = 8
"""Past so many numbers with the same first bits, of which there should be one, the place is searched for."""

_AT_ONCE: Final = 1 << 16
"""Texts looked up together, so that what is made on the way stays small."""


def _hashes_of(texts: Texts) -> Hashes:
    return texts.hashes if isinstance(texts, Ids) else hash_text(texts)


def _comparable(left: Texts, right: Texts) -> tuple[Texts, Texts]:
    """Return two columns in a form in which equal values have equal bytes."""
    if isinstance(left, Ids) and isinstance(right, Ids) and left.are_uuids and right.are_uuids:
        return left, right
    return text_of(left), text_of(right)


def _differing_at(left: Texts, at: Positions, right: Texts, to: Positions) -> Positions:
    """Return which proposed equals differ, as places in `at` and `to`."""
    if isinstance(left, Ids) and isinstance(right, Ids):
        return left.differing_at(at, right, to)
    return differing_at(text_of(left), at, text_of(right), to)


def text_of(texts: Texts) -> pa.LargeStringArray:
    """Return text as Arrow has it, ids in their normal form."""
    return texts.text if isinstance(texts, Ids) else texts


class _InOrder:
    """The rows of known values in the order of their hashes.

    The upper bits of a hash, and the row in those below, make one number; these numbers are sorted.
    """

    def __init__(self, hashes: Hashes) -> None:
        self.bits = max(1, (len(hashes) - 1).bit_length())
        self.of_hash = np.uint64((1 << _WORD_BITS) - (1 << self.bits))
        ordered = hashes & self.of_hash
        for begin in range(0, len(ordered), _AT_ONCE):
            block = ordered[begin : begin + _AT_ONCE]
            block |= np.arange(begin, begin + len(block), dtype=np.uint64)
        ordered.sort()
        # Missing ones stand first, beside what happens to have no upper bits either.
        first = ordered[: np.searchsorted(ordered, np.uint64(1 << self.bits))]
        known = first[hashes[self.rows(first)] != MISSING]
        if len(known):
            first[len(first) - len(known) :] = known
        self.numbers = ordered[len(first) - len(known) :]

    def rows(self, numbers: Hashes) -> Positions:
        """Return the rows of some numbers."""
        return (numbers & ~self.of_hash).view(np.int64)

    def shared(self) -> tuple[Positions, Positions]:
        """Return the rows whose upper bits are those of another one, and of each the first that has them."""
        is_same = np.zeros(len(self.numbers) + 1, np.bool_)
        for begin in range(0, len(self.numbers) - 1, _AT_ONCE):
            block = self.numbers[begin : begin + _AT_ONCE + 1]
            np.less_equal(block[1:] ^ block[:-1], ~self.of_hash, out=is_same[begin + 1 : begin + len(block)])
        among = np.flatnonzero(is_same[1:] | is_same[:-1])
        numbers = self.numbers[among]
        # Rows with the same bits ascend, so that the first of them is the greatest number that begins anything so far.
        begins = np.where(is_same[among], np.uint64(0), numbers)
        return self.rows(numbers), self.rows(np.maximum.accumulate(begins))

    def repeats(self, texts: Texts) -> tuple[Positions, Positions]:
        """Return which texts occurred before, in any order, and for each the position where it occurred first."""
        rows, first = self.shared()
        texts, _ = _comparable(texts, texts)
        if len(_differing_at(texts, rows, texts, first)):
            rows = np.sort(rows)
            first = _find_exactly(texts, rows, texts, rows)
        is_again = rows != first
        return rows[is_again], first[is_again]


class TextLookup:
    """The positions of texts by their value, prepared once and asked often.

    Parameters
    ----------
    texts
        Text, or ids. A missing value equals nothing; of equal ones the first is found.

    Examples
    --------
    >>> text = pa.large_string()
    >>> lookup = TextLookup(pa.array(["a", "b", "b", None], text))
    >>> lookup.find(pa.array(["b", "x", None], text)).tolist()
    [1, -1, -1]
    >>> [rows.tolist() for rows in lookup.repeats()]
    [[2], [1]]
    """

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self._in_order = _InOrder(_hashes_of(texts))
        # Where the numbers with the same first bits begin, about one of them: they need not be searched for.
        self._shift = np.uint64(_WORD_BITS - self._in_order.bits)
        self._begins = np.zeros((1 << self._in_order.bits) + 1, np.uint32)
        for begin in range(0, len(self._in_order.numbers), _AT_ONCE):
            first_bits = (self._in_order.numbers[begin : begin + _AT_ONCE] >> self._shift).view(np.int64)
            counts = np.bincount(first_bits - first_bits[0])
            self._begins[first_bits[0] + 1 : first_bits[-1] + 2] += counts.astype(np.uint32)
        np.cumsum(self._begins, out=self._begins)

    def find(self, texts: Texts, into: Positions | None = None) -> Positions:
        """Return, for each text, the position of the first equal one, else -1; equality is verified on the bytes.

        Positions are written `into` an array of as many elements, where one is given.
        """
        found = np.empty(len(texts), np.int64) if into is None else into
        if not len(self._in_order.numbers):
            found[:] = -1
            return found
        hashes = _hashes_of(texts)
        left, right = _comparable(texts, self.texts)
        for begin in range(0, len(texts), _AT_ONCE):
            block = found[begin : begin + _AT_ONCE]
            self._propose(hashes[begin : begin + _AT_ONCE], block)
            matched = np.flatnonzero(block >= 0)
            wrong = matched[_differing_at(left, begin + matched, right, block[matched])]
            if len(wrong):
                # Different texts that look alike: of those that share the bits of a hash, whole values are compared.
                alike = np.sort(self._in_order.shared()[0])
                block[wrong] = _find_exactly(left, begin + wrong, right, alike)
        return found

    def _propose(self, hashes: Hashes, found: Positions) -> None:
        """Write for each known hash the first row whose upper bits are the same, else -1."""
        of_hash, numbers = self._in_order.of_hash, self._in_order.numbers
        last = np.int64(len(numbers) - 1)
        upper = hashes & of_hash
        place = np.minimum(self._begins[(hashes >> self._shift).view(np.int64)], last)
        met = numbers[place]
        behind = np.flatnonzero((met < upper) & (place < last))
        for _ in range(_MOST_STEPS):
            if not len(behind):
                break
            place[behind] += 1
            met[behind] = numbers[place[behind]]
            behind = behind[(met[behind] < upper[behind]) & (place[behind] < last)]
        else:
            place[behind] = np.minimum(np.searchsorted(numbers, upper[behind]), last)
            met[behind] = numbers[place[behind]]
        is_met = ((met & of_hash) == upper) & (hashes != MISSING)
        found[:] = np.where(is_met, self._in_order.rows(met), -1)

    def repeats(self) -> tuple[Positions, Positions]:
        """Return which texts occurred before, in any order, and for each the position where it occurred first."""
        return self._in_order.repeats(self.texts)


def _find_exactly(left: Texts, at: Positions, right: Texts, among: Positions) -> Positions:
    """Return, for some texts, the first equal one among some of the others, else -1; whole values are compared."""
    place = pc.index_in(left.take(pa.array(at)), value_set=right.take(pa.array(among)), skip_nulls=True)
    return np.append(among, -1)[place.fill_null(len(among)).to_numpy(zero_copy_only=False)]


def match_positions(left: Texts, right: Texts) -> Positions:
    """Return, for each left value, the position of the first equal right value, else -1.

    A missing value equals nothing, not even another missing value.

    Examples
    --------
    >>> text = pa.large_string()
    >>> match_positions(pa.array(["b", "x", None], text), pa.array(["a", "b", "b", None], text)).tolist()
    [1, -1, -1]
    """
    return TextLookup(right).find(left)


def first_occurrence(texts: Texts) -> Positions:
    """Return, for each value, the position of its first equal occurrence.

    A missing value occurs once: its position is its own.

    Examples
    --------
    >>> first_occurrence(pa.array(["a", "b", "a", None, None], pa.large_string())).tolist()
    [0, 1, 0, 3, 4]
    """
    first = np.arange(len(texts), dtype=np.int64)
    again, before = _InOrder(_hashes_of(texts)).repeats(texts)
    first[again] = before
    return first
