"""Take the phone numbers out of what a document says, wherever they stand but in its tables.

Input is a document, output the same document with the middle of each number hidden in every
text: titles, sentences, headline figures, heads of columns, charts. The cells of tables are
masked where they are written, as there may be very many of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sippet_reconcile._display import mask_text

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["masked"]


def masked(document: Document) -> Document:
    """Return a document whose texts outside of its tables tell no phone number.

    Examples
    --------
    >>> from sippet_reconcile.report import Document
    >>> masked(Document("Calls of 020 7946 0123", "2 calls.", about={"asked": ["+442079460123", 7]})).about
    {'asked': ['+44••••••••23', 7]}
    """
    return replace(
        document,
        title=mask_text(document.title),
        subtitle=mask_text(document.subtitle),
        verdict=mask_text(document.verdict),
        facts=_values(document.facts),
        summary=_values(document.summary),
        about=_values(document.about),
        sections=[_section(part) for part in document.sections],
    )


def _section(part: Section) -> Section:
    names = [
        str(name) for frame in (part.frame, part.evidence) if frame is not None for name in frame.columns
    ]
    return replace(
        part,
        title=mask_text(part.title),
        intro=mask_text(part.intro),
        note=mask_text(part.note),
        rest=mask_text(part.rest),
        heads={name: mask_text(part.head(name)) for name in names},
        charts=[chart.masked() for chart in part.charts],
    )


def _values(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {_values(name): _values(one) for name, one in value.items()}
    return [_values(one) for one in value] if isinstance(value, list | tuple) else value
