"""Text and HTML primitives: escape, card, table, masked numbers. Knows no word of the domain.

Everything that is shown passes through here: each value is escaped, a table shows
at most 50 rows and says how many more there are, and colours come from the
notebook's theme. Nothing here fetches, sends or computes.
"""

from __future__ import annotations

from sippet_reconcile._display.cards import (
    card,
    chart_figure,
    folded,
    html_text,
    paragraphs,
    section,
)
from sippet_reconcile._display.masking import (
    hide_middle,
    mask_digits,
    mask_in_id,
    mask_in_name,
    mask_like_number,
    mask_number,
    mask_text,
)
from sippet_reconcile._display.tables import MAX_ROWS, escape, html_table, more_rows
from sippet_reconcile._display.text import (
    in_line,
    joined,
    label,
    plural,
    shortened,
    show_value,
    signed,
    text_table,
    unbroken,
    visible,
)

__all__ = [
    "MAX_ROWS",
    "card",
    "chart_figure",
    "escape",
    "folded",
    "hide_middle",
    "html_table",
    "html_text",
    "in_line",
    "joined",
    "label",
    "mask_digits",
    "mask_in_id",
    "mask_in_name",
    "mask_like_number",
    "mask_number",
    "mask_text",
    "more_rows",
    "paragraphs",
    "plural",
    "section",
    "shortened",
    "show_value",
    "signed",
    "text_table",
    "unbroken",
    "visible",
]
