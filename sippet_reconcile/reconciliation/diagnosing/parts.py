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

from sippet_reconcile._display import hide_middle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Split", "named", "splits"]

_FEWEST_PER_VALUE: Final = 10
"""A column with fewer pairs per value on average is an id of something, and splits nothing."""


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


def splits(sides: Sides, *, users: bool = True) -> Iterator[Split]:
    """Yield the columns that split some pairs, the likeliest cause first.

    A column with one value, or with nearly as many values as pairs, is left out.
    """
    kept = [
        str(name)
        for name in sides.cdr_calls.columns
        if str(name).startswith("x_") and isinstance(sides.cdr_calls[name].dtype, pd.StringDtype)
    ]
    for column in ["source_file", *kept, "direction", *(["sip_username"] if users else [])]:
        is_of_cdr = column in {"source_file", *kept}
        codes, words = sides.cdr_codes(column) if is_of_cdr else sides.call_codes(column)
        if len(words) * _FEWEST_PER_VALUE > len(sides):
            codes, words = _recoded(codes, words)
        if len(words) * _FEWEST_PER_VALUE > len(sides):
            continue
        split = Split(column, np.where(codes < 0, len(words), codes), [*words, None])
        if np.count_nonzero(split.counts()) > 1:
            yield split


def _recoded(codes: NDArray[np.int64], words: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return codes of the words that occur here only."""
    used = np.unique(codes[codes >= 0])
    place = np.full(len(words) + 1, -1, np.int64)
    place[used] = np.arange(len(used))
    return place[codes], [words[code] for code in used.tolist()]


def named(column: str, value: str | None) -> str:
    """Return a part as a sentence names it; long runs of digits in anything but a file's name are hidden.

    Examples
    --------
    >>> named("source_file", "a.csv"), named("x_trunk", "9"), named("sip_username", None)
    ('a.csv', 'x_trunk 9', 'no sip_username')
    """
    if value is None:
        return f"no {column}"
    return value if column == "source_file" else f"{column} {hide_middle(value)}"
