"""Describe one part of a document: a sentence, and a table or charts that prove it.

Input are plain data and how they are to be shown; output is the text of each cell, phone
numbers masked, from which every view is made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import label, mask_number, show_value

if TYPE_CHECKING:
    from sippet_reconcile.report.charts import Chart

__all__ = ["NUMBER_COLUMNS", "Section"]

NUMBER_COLUMNS: Final = ("from_number", "to_number", "sip_username")
"""Columns that are masked wherever they are shown; a user name is often a number."""


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
    total: bool = False
    rest: str = ""
    is_detail: bool = False
    in_card: bool = True

    @property
    def anchor(self) -> str:
        """The title as it can stand in an address."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"

    def head(self, name: str) -> str:
        """Return what stands above a column."""
        return self.heads.get(name, label(name))

    def cells(self, max_rows: int, *, mask: bool = True) -> list[list[str]]:
        """Return the first rows as text, numbers of phones masked unless they are to be seen."""
        if self.frame is None:
            return []
        columns = [
            [self._cell(str(name), v, mask=mask) for v in self.frame[name].head(max_rows).tolist()]
            for name in self.frame
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    def _cell(self, name: str, value: object, *, mask: bool) -> str:
        if mask and name in NUMBER_COLUMNS:
            return mask_number(value)
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
