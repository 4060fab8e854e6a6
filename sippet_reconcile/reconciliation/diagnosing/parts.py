"""Whether something holds for a part of the pairs only: one file, one trunk, one direction, one user.

Input are pairs, output are the values of columns that split them, and how many pairs each has. Two switches,
or two versions of a system, are rarely told apart by their calls; by the file, or by a
column that was kept from the export, they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sippet_reconcile._display import hide_middle, shortened
from sippet_reconcile.reconciliation.sides import word_codes
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["SCREENED", "Split", "columns", "evenly", "is_an_id", "named", "rows_of", "split_by", "splits"]

_FEWEST_PER_VALUE: Final = 10
"""A column with fewer pairs per value on average is an id of something, and splits nothing."""

_FEW_OF: Final = 8
_TRIED: Final = 1_000

SCREENED: Final = 20_000
"""Evenly spaced pairs that show which parts need no closer look."""


def evenly(size: int, count: int = SCREENED) -> NDArray[np.int64]:
    """Return evenly spaced places, all of them where there are no more than asked for.

    Examples
    --------
    >>> evenly(3).tolist(), evenly(9, 3).tolist()
    ([0, 1, 2], [0, 4, 8])
    """
    return np.arange(size) if size <= count else np.linspace(0, size - 1, count).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Split:
    """How one column splits pairs; what is counted of parts adds up to the whole.

    Attributes
    ----------
    column
        Its name.
    words
        The values.
    counts
        A row of counts, one per value: of all pairs, and one more row for each mark, of the marked ones.

    Examples
    --------
    >>> one, other = Split("x_trunk", ["a", None], np.array([[2, 1]])), Split("x_trunk", ["b", "a"], np.array([[1, 4]]))
    >>> (one + other).words, (one + other).counts.tolist()
    (['a', None, 'b'], [[6, 1, 1]])
    """

    column: str
    words: list[str | None]
    counts: NDArray[np.int64]

    def __add__(self, other: Split) -> Split:
        """Return how the column splits the pairs of both."""
        words = list(dict.fromkeys([*self.words, *other.words]))
        place = {word: at for at, word in enumerate(words)}
        counts = np.zeros((len(self.counts), len(words)), np.int64)
        for part in (self, other):
            counts[:, [place[word] for word in part.words]] += part.counts
        return Split(self.column, words, counts)

    def in_order(self) -> Split:
        """Return the same by the order of the values, which is that of no rows; the last one stands for a missing value."""
        place = {word: at for at, word in enumerate(self.words)}
        known = sorted(word for word in self.words if word is not None)
        counts = np.zeros((len(self.counts), len(known) + 1), np.int64)
        counts[:, :-1] = self.counts[:, [place[word] for word in known]]
        if None in place:
            counts[:, -1] = self.counts[:, place[None]]
        return Split(self.column, [*known, None], counts)


def columns(sides: Sides, *, users: bool = True) -> list[str]:
    """Return the columns that may split pairs, the likeliest cause first."""
    kept = [
        str(name)
        for name, dtype in sides.cdr_calls.dtypes.items()
        if str(name).startswith("x_") and isinstance(dtype, pd.StringDtype)
    ]
    return ["source_file", *kept, "direction", *(["sip_username"] if users else [])]


def splits(sides: Sides, *marks: NDArray[np.bool_]) -> Iterator[Split]:
    """Yield how each column splits some pairs; one with a single value, or with nearly as many as pairs, does not."""
    for column in columns(sides):
        split = split_by(sides, column, *marks)
        if split is not None:
            yield split


def is_an_id(sides: Sides, column: str) -> bool:
    """Tell from evenly spaced pairs whether nearly every pair has a value of its own: such a column is never encoded whole."""
    if not column.startswith("x_"):
        return False
    rows = sides.cdr_pos[evenly(len(sides), _TRIED)]
    some = text_array(sides.cdr_calls[[column]].take(rows)[column])
    return len(some) >= _TRIED and int(pc.count_distinct(some).as_py()) > len(some) // 2


def split_by(sides: Sides, column: str, *marks: NDArray[np.bool_]) -> Split | None:
    """Return how a column splits some pairs; None where it has one value, or nearly as many as pairs."""
    if is_an_id(sides, column):
        return None
    split = sides.summed(_count_values, column, along=marks, also=[column]).in_order()
    n_values = int(np.count_nonzero(split.counts[0, :-1]))
    if n_values + bool(split.counts[0, -1]) <= 1 or n_values * _FEWEST_PER_VALUE > len(sides):
        return None
    return split


def _count_values(sides: Sides, *marks_and_column: Any) -> Split:
    *marks, column = marks_and_column
    codes, words = _codes_of(sides, column)
    masks = [np.ones(len(sides), np.bool_), *marks]
    counts = np.array([np.bincount(codes[mask] + 1, minlength=len(words) + 1) for mask in masks])
    occurs = np.flatnonzero(counts[0])
    known = [None, *words]
    return Split(column, [known[at] for at in occurs.tolist()], counts[:, occurs])


def rows_of(sides: Sides, column: str, value: str | None) -> NDArray[np.int64]:
    """Return the pairs that have a value in a column."""
    return sides.found(_find_value, column, value, also=[column])[0]


def _find_value(sides: Sides, column: str, value: str | None) -> tuple[NDArray[np.int64]]:
    codes, words = _codes_of(sides, column)
    wanted = -1 if value is None else words.index(value) if value in words else len(words)
    return (np.flatnonzero(codes == wanted),)


def _codes_of(sides: Sides, column: str) -> tuple[NDArray[Any], list[str]]:
    is_of_cdr = column == "source_file" or column.startswith("x_")
    frame = sides.cdr_calls if is_of_cdr else sides.calls
    if len(sides) * _FEW_OF < len(frame):
        # So few texts are encoded faster than a whole column.
        return word_codes(sides.cdr_text(column) if is_of_cdr else sides.call_text(column))
    return sides.cdr_codes(column) if is_of_cdr else sides.call_codes(column)


def named(column: str, value: str | None) -> str:
    """Return a part as a sentence names it; long runs of digits in anything but a file's name are hidden.

    Examples
    --------
    >>> named("source_file", "a.csv"), named("x_trunk", "9"), named("sip_username", None)
    ('a.csv', 'x_trunk 9', 'no sip_username')
    """
    if value is None:
        return f"no {column}"
    return shortened(value) if column == "source_file" else f"{column} {shortened(hide_middle(value))}"
