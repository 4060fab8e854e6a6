"""Describe one part of a document: a sentence, and a table or charts that prove it.

Input are plain data and how they are to be shown; output is the text of each cell, phone
numbers masked, from which every view is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import label, mask_number, show_value

if TYPE_CHECKING:
    from sippet_reconcile.report.charts import Chart

__all__ = ["NUMBER_COLUMNS", "Section", "number_cells"]

NUMBER_COLUMNS: Final = ("from_number", "to_number", "sip_username")
"""Columns that are masked wherever they are shown; a user name is often a number."""

_MASKED: Final = re.compile(r"(?:from|to)_(?:number|e164)|sip_username")
"""Names that begin so hold numbers, whichever side they are of."""

_VALUES: Final = frozenset({"before", "after", "value_call", "value_cdr"})
"""Columns whose content is that of the field which their row names."""


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a document: a title, a sentence, and a table or chart or both.

    Attributes
    ----------
    title, intro, note
        Plain text: above the table, and under it.
    frame
        A table, in its own order, without its index.
    charts
        Pictures above the table.
    heads
        Column to what stands above it, where the name alone would not do.
    filters
        Columns of few values, which the reader may narrow the table by.
    is_searchable
        Whether the HTML offers to search and page the table.
    signed
        Columns of numbers shown with their sign.
    plain_numbers
        Columns of numbers shown without thousands separators (line numbers).
    group_by
        Column whose equal values, standing together, make one block that is sorted,
        found and filtered as one: a call with all its changes. Empty for none.
    once
        Columns that say the same in every row of a block, and are written once.
    evidence
        One row per block, in the order of the blocks: what proves it, unfolded on demand.
        `heads`, `signed` and `plain_numbers` hold for its columns too.
    group_word, row_word
        What a block and a row are called where they are counted.
    total
        Whether the last row is a total and is set apart.
    rest
        Where the rows are that the document leaves away, as a sentence.
    is_detail
        Whether the section is folded away at first.
    in_card
        Whether the section is part of the card in a notebook.
    """

    title: str
    intro: str = ""
    frame: pd.DataFrame | None = None
    charts: Sequence[Chart] = ()
    note: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[str] = ()
    is_searchable: bool = False
    signed: Sequence[str] = ()
    plain_numbers: Sequence[str] = ()
    group_by: str = ""
    once: Sequence[str] = ()
    evidence: pd.DataFrame | None = None
    group_word: str = "call"
    row_word: str = ""
    total: bool = False
    rest: str = ""
    is_detail: bool = False
    in_card: bool = True

    def __post_init__(self) -> None:
        if self.group_by or self.once or self.evidence is not None:
            _check_blocks(self)

    @property
    def anchor(self) -> str:
        """The title as it can stand in an address."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"

    def head(self, name: str) -> str:
        """Return what stands above a column."""
        return self.heads.get(name, label(name))

    def cells(self, max_rows: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first rows as text, numbers of phones masked unless they are to be seen."""
        return [list(row) for row in zip(*self.columns(max_rows, mask=mask), strict=True)]

    def columns(self, max_rows: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first cells of each column as text, numbers of phones masked unless they are to be seen."""
        return [] if self.frame is None else self._texts(self.frame.head(max_rows), mask=mask)

    def evidence_columns(self, max_blocks: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first cells of each column of the evidence as text, masked likewise."""
        return [] if self.evidence is None else self._texts(self.evidence.head(max_blocks), mask=mask)

    def block_sizes(self, max_rows: int | None = None) -> list[int]:
        """Return how many rows each block has.

        With `max_rows` those of the first blocks that have no more rows together; the
        first one is whole in any case.
        """
        if self.frame is None or not self.group_by:
            return []
        starts = np.flatnonzero(_begins(self.frame[self.group_by]))
        ends = np.append(starts[1:], len(self.frame)) if len(starts) else starts
        n_blocks = len(starts)
        if max_rows is not None:
            n_blocks = max(int(np.searchsorted(ends, max_rows, side="right")), min(1, n_blocks))
        return (ends - starts)[:n_blocks].tolist()

    def _texts(self, frame: pd.DataFrame, *, mask: bool) -> list[list[str]]:
        hidden = number_cells(frame) if mask else {}
        texts = []
        for name in map(str, frame.columns):
            values = frame[name].tolist()
            flags = hidden.get(name, [False] * len(values))
            texts.append(
                [self._cell(name, value, mask=flag) for value, flag in zip(values, flags, strict=True)]
            )
        return texts

    def _cell(self, name: str, value: object, *, mask: bool) -> str:
        if mask:
            return mask_number(value)
        if isinstance(value, str):
            return show_value(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 - NaN
            if name in self.plain_numbers:
                return f"{value:g}" if isinstance(value, float) else str(value)
            if name in self.signed:
                text = show_value(abs(value))
                return f"−{text}" if value < 0 else f"+{text}" if value > 0 else text
            return show_value(value).replace("-", "−")
        return show_value(value)

    def is_number(self, name: str) -> bool:
        """Tell whether a column holds numbers."""
        dtype = self.frame[name].dtype if self.frame is not None else object
        return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))

    def is_instant(self, name: str) -> bool:
        """Tell whether a column holds instants."""
        return self.frame is not None and isinstance(self.frame[name].dtype, pd.DatetimeTZDtype)


def number_cells(frame: pd.DataFrame) -> dict[str, list[bool]]:
    """Tell which cells hold phone numbers or users, by column: a column of numbers, or a value of such a field.

    Examples
    --------
    >>> rows = {"field": ["status", "to_number"], "value_call": ["busy", "+442079460123"], "to_number_cdr": ["1", "2"]}
    >>> number_cells(pd.DataFrame(rows))
    {'value_call': [False, True], 'to_number_cdr': [True, True]}
    """
    by_field: list[bool] = []
    if "field" in frame and not _VALUES.isdisjoint(frame.columns):
        by_field = [isinstance(name, str) and bool(_MASKED.match(name)) for name in frame["field"].tolist()]
    found = {}
    for name in map(str, frame.columns):
        if _MASKED.match(name):
            found[name] = [True] * len(frame)
        elif by_field and name in _VALUES:
            found[name] = by_field
    return found


def _begins(keys: pd.Series) -> np.ndarray:
    """Mark the rows where a block begins; a row without a key is a block of its own."""
    codes, _ = pd.factorize(keys)
    return np.r_[True, (codes[1:] != codes[:-1]) | (codes[1:] < 0)][: len(codes)]


def _check_blocks(part: Section) -> None:
    """Raise where blocks would hide or mix up what they hold."""
    frame = part.frame
    if frame is None or part.group_by not in frame:
        msg = f"section {part.title!r} has no column {part.group_by!r} to group by"
        raise ValueError(msg)
    begins = _begins(frame[part.group_by])
    n_blocks = int(begins.sum())
    keys = frame.loc[begins, part.group_by].dropna()
    if not keys.is_unique:
        msg = f"section {part.title!r}: rows of one {part.group_by} do not stand together"
        raise ValueError(msg)
    if part.evidence is not None and len(part.evidence) != n_blocks:
        msg = f"section {part.title!r}: {len(part.evidence)} rows of evidence for {n_blocks} blocks"
        raise ValueError(msg)
    firsts = np.flatnonzero(begins)[np.cumsum(begins) - 1]
    for name in part.once:
        codes, _ = pd.factorize(frame[name])
        if (codes != codes[firsts]).any():
            msg = (
                f"section {part.title!r}: {name} is to be written once, but differs within a {part.group_by}"
            )
            raise ValueError(msg)
