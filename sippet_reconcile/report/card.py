"""Show a document as a card in a notebook.

Input is a document, output one fragment of HTML: escaped, without scripts, in the
colours of the notebook's theme. It shows the first rows; the page has them all.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import (
    card,
    chart_figure,
    folded,
    html_table,
    html_text,
    more_rows,
    plural,
    section,
)
from sippet_reconcile.report.masking import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["document_card"]

_CARD_ROWS: Final = 8
_OPEN: Final = 2
_OPEN_ROWS: Final = 4


def document_card(document: Document) -> str:
    """Return the card of a document: the answer, the figures, the first sections open and the others folded.

    An open section shows its first chart and few rows, so that a card fits a screen.
    """
    document = masked(document)
    shown = [part for part in document.sections if part.in_card and not part.is_detail]
    opened = [section(part.title, *_opened(part)) for part in shown[:_OPEN]]
    rest = [folded(_told(part), *_body(part, _CARD_ROWS)) for part in shown[_OPEN:]]
    return card(
        document.title,
        document.facts,
        *opened,
        *rest,
        subtitle=document.subtitle,
        verdict=document.verdict,
        tone=document.tone,
    )


def _opened(part: Section) -> list[str]:
    """Return a section as it stands open: where a picture tells it, further ones and the rows are folded away."""
    if not part.charts:
        return _body(part, _OPEN_ROWS)
    first, *further = _drawn(part)
    rows = [_card_table(part, _CARD_ROWS)] if part.n_rows else []
    return [first, folded("More of it, in figures", *further, *rows)] if further or rows else [first]


def _body(part: Section, max_rows: int) -> list[str]:
    intro = [html_text(part.intro)] if part.intro else []
    table = [_card_table(part, max_rows)] if part.n_rows else []
    return [*intro, *_drawn(part), *table]


def _drawn(part: Section) -> list[str]:
    return [chart_figure(chart.title, chart.to_svg()) for chart in part.charts]


def _told(part: Section) -> str:
    """Return what a folded section is, and how much there is of it."""
    if part.frame is None:
        return part.title
    n_rows = part.n_rows - (1 if part.total else 0)
    word = part.row_word or ("change" if part.group_by else "row")
    return f"{part.title} ({plural(n_rows, word)})"


def _card_table(part: Section, max_rows: int) -> str:
    """Return the first rows of a section for a notebook; a total is always among them."""
    shown = part
    if part.total and part.frame is not None and part.n_rows > max_rows:
        few = pd.concat([part.frame.head(max_rows - 1), part.frame.tail(1)])
        shown = replace(part, frame=few, group_by="", once=(), evidence=None)
    names, rows = part.names, shown.cells(max_rows)
    if shown.group_by:
        rows = _once(rows, names.index(shown.group_by), [names.index(name) for name in shown.once])
    cells = pd.DataFrame(rows, columns=[part.head(name) for name in names], dtype="str")
    table = html_table(cells, right=[part.head(name) for name in names if part.is_number(name)])
    return table + more_rows(part.n_rows - max_rows)


def _once(rows: list[list[str]], key: int, once: Sequence[int]) -> list[list[str]]:
    """Return rows in which what all rows of a block say stands in the first of them only."""
    before = [None, *(row[key] for row in rows)]
    return [
        ["" if row[key] == previous and (at == key or at in once) else cell for at, cell in enumerate(row)]
        for row, previous in zip(rows, before, strict=False)
    ]
