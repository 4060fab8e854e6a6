"""Write a document for a terminal: aligned tables, few rows of each, nothing to escape.

Input is a `Document`, output its text; the same sections in the same order as every
other view, without the pictures.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import show_value, text_table

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document, Section

__all__ = ["document_text"]

_WIDTH: Final = 110
_LONG: Final = 60


def document_text(document: Document, *, max_rows: int = 20) -> str:
    """Return a document as plain text; long tables show their first rows and count the rest.

    Parameters
    ----------
    document
        Any; sections that are folded away in its HTML are left out.
    max_rows
        Rows shown of each table; a table whose last row is its total is shown whole.

    Examples
    --------
    >>> from sippet_reconcile.report import Document
    >>> print(document_text(Document("Verification", "All 3 calls hold what was sent.", facts={"calls": 3})))
    Verification
    All 3 calls hold what was sent.
    <BLANKLINE>
      calls  3
    """
    blocks = ["\n".join(part for part in (document.title, document.subtitle, document.verdict) if part)]
    if document.facts:
        names = [str(name).replace("_", " ") for name in document.facts]
        width = max(map(len, names))
        blocks.append(
            "\n".join(
                f"  {name.ljust(width)}  {show_value(value)}"
                for name, value in zip(names, document.facts.values(), strict=True)
            )
        )
    blocks += [_section(part, max_rows) for part in document.sections if not part.is_detail]
    return "\n\n".join(blocks)


def _section(part: Section, max_rows: int) -> str:
    lines = [part.title.upper()]
    lines += textwrap.wrap(part.intro, _WIDTH)
    lines += [f"{chart.title}: {chart.description}" for chart in part.charts if part.frame is None]
    if part.frame is not None and len(part.frame):
        most = len(part.frame) if part.total else max_rows
        names = [str(name) for name in part.frame.columns]
        rows = part.cells(most)
        if any(len(cell) > _LONG for row in rows for cell in row):
            lines += [line for row in rows for line in _paragraph(row)]
        else:
            right = [part.head(name) for name in names if part.is_number(name)]
            lines.append(text_table(rows, [part.head(name) for name in names], right=right))
        if len(part.frame) > most:
            lines.append(f"and {len(part.frame) - most:,} more")
    lines += textwrap.wrap(part.note, _WIDTH)
    return "\n".join(lines)


def _paragraph(row: list[str]) -> list[str]:
    """Return a row that is too long for a table: what is short on one line, the sentences under it."""
    short = [cell for cell in row if len(cell) <= _LONG and cell != "–"]
    long = [cell for cell in row if len(cell) > _LONG]
    wrapped = [
        line
        for cell in long
        for line in textwrap.wrap(cell, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    ]
    return [f"  {'  '.join(short)}", *wrapped]
