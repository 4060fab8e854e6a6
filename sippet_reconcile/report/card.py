"""Show a document as a card in a notebook.

Input is a document, output one fragment of HTML: escaped, without scripts, in the
colours of the notebook's theme. It shows the first rows; the page has them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import card, escape, html_table, section

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["document_card"]

_CARD_ROWS: Final = 8


def document_card(document: Document) -> str:
    """Return the card of a document."""
    parts = []
    for part in document.sections:
        if not part.in_card or part.is_detail:
            continue
        body = [f"<p>{escape(part.intro)}</p>"] if part.intro else []
        if part.frame is not None and len(part.frame):
            body.append(_card_table(part))
        parts.append(section(part.title, *body))
    return card(document.title, document.facts, *parts, subtitle=document.verdict, tone=document.tone)


def _card_table(part: Section) -> str:
    """Return the first rows of a section for a notebook; a total is always among them."""
    assert part.frame is not None  # noqa: S101 - the caller looked
    n_rows = len(part.frame)
    rows = part.cells(n_rows if part.total else _CARD_ROWS)
    if part.total and n_rows > _CARD_ROWS:
        rows = [*rows[: _CARD_ROWS - 1], rows[-1]]
    names = [str(name) for name in part.frame.columns]
    cells = pd.DataFrame(rows, columns=[part.head(name) for name in names], dtype="str")
    table = html_table(cells, right=[part.head(name) for name in names if part.is_number(name)])
    rest = f'<div class="more">and {n_rows - _CARD_ROWS:,} more</div>' if n_rows > _CARD_ROWS else ""
    return table + rest
