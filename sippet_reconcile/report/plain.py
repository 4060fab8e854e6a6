"""Write a document as JSON for programs.

Input is a document, output one text: the values themselves, numbers as numbers, money as
decimal text that no program rounds, instants in ISO form, missing as null, phone numbers
masked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import mask_text, visible
from sippet_reconcile.report.masking import masked
from sippet_reconcile.report.section import hidden_values

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["document_json"]

_JSON_ROWS: Final = 5000


def document_json(document: Document, *, mask: bool = True) -> str:
    """Return the whole document as JSON."""
    document = masked(document) if mask else document
    plain = {
        "title": document.title,
        "subtitle": document.subtitle,
        "verdict": document.verdict,
        "tone": document.tone,
        "facts": _plain(document.facts),
        "summary": _plain(document.summary),
        "sections": [_section_plain(part, mask=mask) for part in document.sections],
        "about": _plain(document.about),
    }
    # What nobody sees is escaped as JSON does it: the document stays the same.
    return visible(json.dumps(plain, ensure_ascii=False, indent=2, allow_nan=False))


def _plain(value: object) -> Any:
    """Return a value as JSON can hold it; missing is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)


def _section_plain(part: Section, *, mask: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {"title": part.title, "intro": part.intro, "note": part.note}
    plain["charts"] = [
        {"title": chart.title, "bars": [[bar.label, bar.value] for bar in chart.bars]}
        for chart in part.charts
    ]
    if part.frame is not None:
        plain |= {"n_rows": len(part.frame), **_table_plain(part.frame, mask=mask)}
    if part.evidence is not None:
        plain["evidence"] = _table_plain(part.evidence, mask=mask)
    return plain


def _table_plain(frame: pd.DataFrame, *, mask: bool) -> dict[str, Any]:
    """Return the first rows of a table as plain values."""
    rows = frame.head(_JSON_ROWS)
    columns = hidden_values(rows) if mask else [rows.iloc[:, at].tolist() for at in range(rows.shape[1])]
    columns = [[_plain(value) for value in values] for values in columns]
    return {
        "columns": [mask_text(str(name)) if mask else str(name) for name in rows.columns],
        "rows": [list(row) for row in zip(*columns, strict=True)],
    }
