"""Find equal texts among millions: 64-bit hashes of Arrow bytes, verified on the bytes.

Input are columns of ids or raw fields, output are row positions. A hash only proposes:
where two rows are said to be equal here, their bytes were compared, so a collision can
cost time but never joins two different calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.hashing import MISSING, are_unique, combine_hashes, equal_at, hash_text
from sippet_reconcile.ids import Ids, normal_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

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

_AT_ONCE: Final = 1 << 16
"""Texts looked up together, so that what is made on the way stays small."""


def _hashes_of(texts: Texts) -> Hashes:
    return texts.hashes if isinstance(texts, Ids) else hash_text(texts)


def _comparable(left: Texts, right: Texts) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return two columns in a form in which equal values have equal bytes."""
    if isinstance(left, Ids) and isinstance(right, Ids) and left.are_uuids and right.are_uuids:
        return left.stored, right.stored
    return text_of(left), text_of(right)


def text_of(texts: Texts) -> pa.LargeStringArray:
    """Return text as Arrow has it, ids in their normal form."""
    return texts.text if isinstance(texts, Ids) else texts


class TextLookup:
    """The positions of texts by their value, prepared once and asked often.

    Parameters
    ----------
    texts
        Text, or ids. A missing value equals nothing; of equal ones the first is found.

    Attributes
    ----------
    are_unique
        Whether no value occurs twice.

    Examples
    --------
    >>> text = pa.large_string()
    >>> TextLookup(pa.array(["a", "b", "b", None], text)).find(pa.array(["b", "x", None], text)).tolist()
    [1, -1, -1]
    """

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.hashes = _hashes_of(texts)
        # Missing ones hash alike and are left out, so that the table holds what can be found.
        rows = np.flatnonzero(self.hashes != MISSING) if texts.null_count else None
        self._index = pd.Index(self.hashes if rows is None else self.hashes[rows])
        # This builds the table, here, where another thread may wait for it.
        self.are_unique: bool = self._index.is_unique
        if not self.are_unique:
            is_first = ~self._index.duplicated()
            rows = np.flatnonzero(is_first) if rows is None else rows[is_first]
            self._index = self._index[is_first]
        # What is not found has the place -1, which is the last.
        self._origin = None if rows is None else np.append(rows, -1)

    def find(self, texts: Texts) -> Positions:
        """Return, for each text, the position of the first equal one, else -1; equality is verified on the bytes."""
        found = np.full(len(texts), -1, np.int64)
        if not len(self._index):
            return found
        hashes = _hashes_of(texts)
        left, right = _comparable(texts, self.texts)
        for begin in range(0, len(texts), _AT_ONCE):
            block = found[begin : begin + _AT_ONCE]
            places = self._index.get_indexer(pd.Index(hashes[begin : begin + _AT_ONCE]))
            block[:] = places if self._origin is None else self._origin[places]
            matched = np.flatnonzero(block >= 0)
            to = block if len(matched) == len(block) else block[matched]
            if not equal_at(left, begin + matched, right, to):
                # Two different texts share a hash: let Arrow compare whole values instead.
                exact = pc.fill_null(pc.index_in(left, value_set=right, skip_nulls=True), -1)
                return np.asarray(exact).astype(np.int64)
        return found

    def first_occurrence(self) -> Positions:
        """Return, for each text, the position of its first equal occurrence, as the function of that name does."""
        if self.are_unique:
            return np.arange(len(self.texts), dtype=np.int64)
        return _first_of_repeated(
            self.texts.stored if isinstance(self.texts, Ids) else self.texts, self.hashes
        )


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
    hashes = _hashes_of(texts)
    if are_unique(hashes[hashes != MISSING] if texts.null_count else hashes):
        return np.arange(len(texts), dtype=np.int64)
    return _first_of_repeated(texts.stored if isinstance(texts, Ids) else texts, hashes)


def _first_of_repeated(array: pa.LargeStringArray, hashes: Hashes) -> Positions:
    rows = np.arange(len(array), dtype=np.int64)
    codes, _ = pd.factorize(hashes)
    first = _first_of_codes(codes)
    missing = hashes == MISSING
    first[missing] = rows[missing]
    repeated = np.flatnonzero(first != rows)
    if equal_at(array, repeated, array, first[repeated]):
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
