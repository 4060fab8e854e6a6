"""Write the rows of a section as HTML, each value through one escaping door.

Input is a section, output the bodies of its table as text: one for all rows, or one per
block of rows that belong together, with its evidence. Columns are written one by one,
as a template's loop over cells takes several times as long; end tags and quotes that HTML
lets go are left out, as they are a tenth of a large page.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sippet_reconcile.report.section import Section

__all__ = ["MAX_CELL", "column_class", "escaped", "grouped_rows", "plain_rows", "within"]

MAX_CELL: Final = 2_000
"""Characters of one value that a page shows at most."""

_LONG: Final = 48  # a longer value may be broken into lines
_CLASSES: Final = {
    "call_id": "id", "call_uuid": "id", "example": "id", "code": "key", "explanation": "key",
    "before": "was", "after": "new", "cdr_id": "id", "run_id": "id", "reverts_run_id": "id", "undone_by": "id",
}  # fmt: skip
_SHARE: Final = re.compile(r"[−+]?\d+(?:\.\d+)?%")
_SEVERITIES: Final = ("stop", "warn", "info")


def escaped(text: str) -> str:
    r"""Return a text that is nothing but text in HTML, attributes included; a very long one is cut and says so.

    Examples
    --------
    >>> escaped('<b> & "x"\x00')
    '&lt;b&gt; &amp; &quot;x&quot;\\u0000'
    >>> escaped("a" * 2_500)[-30:]
    'aaaaaaa… (500 more characters)'
    """
    return html.escape(visible(within(text)), quote=True)


def within(text: str) -> str:
    """Return a text as a cell holds it: one that is too long is cut, and says by how much."""
    if len(text) <= MAX_CELL:
        return text
    return f"{text[:MAX_CELL]}… ({len(text) - MAX_CELL:,} more characters)"


def column_class(part: Section, name: str, texts: Sequence[str]) -> str:
    """Return the class of a column's cells, which tells how they are shown; empty for plain text.

    Numbers stand to the right, and so do shares, which are text already. Ids and instants stay on one line.
    """
    if part.is_number(name) or _are_shares(texts):
        return "n"
    return _CLASSES.get(name, "key" if part.is_instant(name) else "")


def _are_shares(texts: Sequence[str]) -> bool:
    known = [text for text in texts if text != "–"]
    return bool(known) and all(map(_SHARE.fullmatch, known))


def plain_rows(part: Section, texts: Sequence[Sequence[str]], n_first: int) -> str:
    """Return one body with the given columns of cells; rows after the first `n_first` are shown later, by a button."""
    columns = [_cells(part, name, column) for name, column in zip(part.names, texts, strict=True)]
    rows = ["<tr>" + "".join(row) + "</tr>" for row in zip(*columns, strict=True)]
    has_total = part.total and len(rows) == part.n_rows
    for at in range(n_first, len(rows) - has_total):
        rows[at] = f"<tr class=later>{rows[at].removeprefix('<tr>')}"
    if has_total:
        rows[-1] = f"<tr class=total>{rows[-1].removeprefix('<tr>')}"
    return "<tbody>" + "\n".join(rows)


def grouped_rows(
    part: Section, texts: Sequence[Sequence[str]], sizes: Sequence[int], n_first: int, *, mask: bool
) -> str:
    """Return one body per block: what it says once, a row for each of its rows, and its evidence.

    Blocks after the first `n_first` are shown later, by a button.
    """
    spans = [size for size in sizes for _ in range(size)]
    is_first = [at == 0 for size in sizes for at in range(size)]
    columns = []
    for name, column in zip(part.names, texts, strict=True):
        cells = _cells(part, name, column)
        if name in part.once:
            cells = _once(cells, spans, is_first, is_head=name == part.group_by)
        columns.append(cells)
    rows = ["<tr>" + "".join(row) + "</tr>" for row in zip(*columns, strict=True)]
    proofs = _evidence(part, len(sizes), mask=mask)
    bodies, at = [], 0
    for place, (size, proof) in enumerate(zip(sizes, proofs, strict=True)):
        css = "group" if place < n_first else '"group later"'
        bodies.append(f"<tbody class={css}>{''.join(rows[at : at + size])}{proof}")
        at += size
    return "\n".join(bodies)


def _cells(part: Section, name: str, texts: Sequence[str]) -> list[str]:
    """Return the cells of one column."""
    if name == "severity":
        return [
            f'<td class="badge{f" {text}" if text in _SEVERITIES else ""}">{escaped(text)}' for text in texts
        ]
    css = column_class(part, name, texts)
    short = f"<td class={css}>" if css else "<td>"
    long = f'<td class="{css} long">' if css else "<td class=long>"
    return [f"{short if len(text) <= _LONG else long}{escaped(text)}" for text in texts]


def _once(
    cells: Sequence[str], spans: Sequence[int], is_first: Sequence[bool], *, is_head: bool
) -> list[str]:
    """Return the cells of a column that each block writes once, across all of its rows."""
    tag = "th" if is_head else "td"
    kept = []
    for cell, span, first in zip(cells, spans, is_first, strict=True):
        if not first:
            kept.append("")
            continue
        rowspan = f" rowspan={span}" if span > 1 else ""
        scope = f" scope=row{'group' if span > 1 else ''}" if is_head else ""
        kept.append(f"<{tag}{scope}{rowspan}{cell[3:]}")
    return kept


def _evidence(part: Section, n_blocks: int, *, mask: bool) -> list[str]:
    """Return the row that proves each block; empty where the section has no evidence."""
    if part.evidence is None:
        return [""] * n_blocks
    columns = []
    for name, texts in zip(part.evidence.columns, part.evidence_columns(n_blocks, mask=mask), strict=True):
        head = f"<dt>{escaped(part.head(str(name)))}<dd>"
        columns.append([head + escaped(text) for text in texts])
    start = f"<tr class=evidence><td colspan={len(part.names)}><dl>"
    return [f"{start}{''.join(pairs)}</dl>" for pairs in zip(*columns, strict=True)]
