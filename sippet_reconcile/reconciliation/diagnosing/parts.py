"""Whether something holds for a part of the pairs only: one file, one trunk, one direction, one user.

Input are pairs, output are columns that split them, as codes and words. Two switches,
or two versions of a system, are rarely told apart by their calls; by the file, or by a
column that was kept from the export, they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from sippet_reconcile._display import hide_middle, shortened
from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["SCREENED", "Split", "columns", "evenly", "is_an_id", "named", "split_by", "splits"]

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
    """One column that splits pairs.

    Attributes
    ----------
    column
        Its name.
    codes
        For each pair the position of its value.
    words
        The values; the last one stands for a missing one.
    """

    column: str
    codes: NDArray[np.int64]
    words: list[str | None]

    def counts(self, mask: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """Return how many pairs each value has, or how many of the marked ones."""
        codes = self.codes if mask is None else self.codes[mask]
        return np.bincount(codes, minlength=len(self.words))


def columns(sides: Sides, *, users: bool = True) -> list[str]:
    """Return the columns that may split pairs, the likeliest cause first."""
    kept = [
        str(name)
        for name, dtype in sides.cdr_calls.dtypes.items()
        if str(name).startswith("x_") and isinstance(dtype, pd.StringDtype)
    ]
    return ["source_file", *kept, "direction", *(["sip_username"] if users else [])]


def splits(sides: Sides) -> Iterator[Split]:
    """Yield how each column splits some pairs; one with a single value, or with nearly as many as pairs, does not."""
    for column in columns(sides):
        split = split_by(sides, column)
        if split is not None:
            yield split


def is_an_id(sides: Sides, column: str) -> bool:
    """Tell from evenly spaced pairs whether nearly every pair has a value of its own: such a column is never encoded whole."""
    if not column.startswith("x_"):
        return False
    rows = sides.cdr_pos[evenly(len(sides), _TRIED)]
    some = text_array(sides.cdr_calls[[column]].take(rows)[column])
    return len(some) >= _TRIED and int(pc.count_distinct(some).as_py()) > len(some) // 2


def split_by(sides: Sides, column: str) -> Split | None:
    """Return how a column splits some pairs; None where it has one value, or nearly as many as pairs."""
    if is_an_id(sides, column):
        return None
    is_of_cdr = column == "source_file" or column.startswith("x_")
    frame = sides.cdr_calls if is_of_cdr else sides.calls
    if len(sides) * _FEW_OF < len(frame):
        # So few texts are encoded faster than a whole column.
        texts = sides.cdr_text(column) if is_of_cdr else sides.call_text(column)
        codes, words = text_codes(text_series(texts))
    else:
        codes, words = sides.cdr_codes(column) if is_of_cdr else sides.call_codes(column)
    counts = np.bincount(codes + 1, minlength=len(words) + 1)[1:]
    n_values = int(np.count_nonzero(counts))
    if n_values + (counts.sum() < len(codes)) <= 1 or n_values * _FEWEST_PER_VALUE > len(sides):
        return None
    return Split(column, np.where(codes < 0, len(words), codes), [*words, None])


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
