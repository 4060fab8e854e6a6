"""Say which files and groups have a clock of their own, in rows of evidence and in words.

Input are pairs, a way to group them and the stretches that were found in it, output
are cells of one file and one group each, and the words that a sentence names them by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import mask_like_number, mask_number, shortened
from sippet_reconcile.reconciliation.diagnosing.start_gaps import EVERYTHING, OWN_NUMBER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.start_gaps import Grouping, StartGaps
    from sippet_reconcile.reconciliation.diagnosing.stretches import Stretches

__all__ = ["Cells", "by_file_and_group", "group_values", "said_as_rule", "where_said"]

_NAMED: Final = 3
_LIKE_NUMBERS: Final = (OWN_NUMBER, "sip_username")


@dataclass(frozen=True, eq=False)
class Cells:
    """The cells of one file and one group each.

    Attributes
    ----------
    codes
        The cell of each pair.
    sizes
        Pairs of each cell.
    files, groups
        Positions of each cell's file and group in their words.
    """

    codes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    files: NDArray[np.int64]
    groups: NDArray[np.int64]
    file_words: list[str | None]
    grouping: Grouping | None

    def labelled(self, rows: pd.DataFrame, cells: NDArray[np.int64]) -> pd.DataFrame:
        """Return rows, one per cell, with ``source_file``, ``group`` and ``value`` in front.

        Numbers are masked in ``value``, as in all that is shown.
        """
        files = [self.file_words[code] for code in self.files[cells].tolist()]
        named: list[str | None] = [None] * len(cells)
        values = named
        if self.grouping is not None and self.grouping.name != EVERYTHING:
            named = [self.grouping.name] * len(cells)
            values = [_shown(self.grouping, code) for code in self.groups[cells].tolist()]
        labels = {"source_file": files, "group": named, "value": values}
        front = pd.DataFrame({name: pd.Series(words, dtype="str") for name, words in labels.items()})
        return pd.concat([front, rows], axis=1)


def by_file_and_group(starts: StartGaps, grouping: Grouping | None) -> Cells:
    """Return the cells of all pairs; without a grouping those of the files alone."""
    files = starts.files
    groups = np.zeros(len(starts), np.int64) if grouping is None else grouping.codes
    width = 1 if grouping is None else len(grouping.words)
    codes, found = pd.factorize(files.codes.astype(np.int64) * width + groups, sort=True)
    sizes = np.bincount(codes, minlength=len(found))
    return Cells(codes, sizes, found // width, found % width, files.words, grouping)


def _shown(grouping: Grouping, code: int) -> str | None:
    word = grouping.words[code]
    return mask_number(word) if word is not None and grouping.name == OWN_NUMBER else word


def group_values(told: Stretches) -> list[int]:
    """Return the groups that have a stretch, those with the most pairs in it first."""
    counts = np.bincount(told.grouping.codes[told.inside], minlength=len(told.grouping.words))
    groups = np.unique(told.groups)
    return groups[np.argsort(-counts[groups], kind="stable")].tolist()


def where_said(grouping: Grouping, values: list[int]) -> str:
    """Say which groups, as in ``x_trunk is 'pbx2'``."""
    words = [grouping.words[code] for code in values[:_NAMED]]
    if grouping.name in _LIKE_NUMBERS:
        words = [None if word is None else mask_number(word) for word in words]
    said = [
        f"{shortened(str(mask_like_number(word)))!r}" if word is not None else "missing" for word in words
    ]
    if len(values) > _NAMED:
        said.append(f"one of {len(values) - _NAMED:,} more")
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"
    return f"{grouping.name} is {listed}"


def said_as_rule(offset_s: float) -> str:
    """Say a clock offset as code; its cure says it as TOML.

    Examples
    --------
    >>> said_as_rule(7.0), said_as_rule(3600.125)
    ('Rules(clock_offset_s=7)', 'Rules(clock_offset_s=3600.125)')
    """
    return f"Rules(clock_offset_s={offset_s:.12g})"
