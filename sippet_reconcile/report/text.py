"""Write a document for a terminal: aligned tables, few rows of each, nothing to escape.

Input is a `Document`, output its text; the same sections in the same order as every
other view, without the pictures.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import label, show_value, text_table, visible
from sippet_reconcile.report.masking import masked

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["document_text"]

_WIDTH: Final = 110
_LONG: Final = 60
_NARROWEST: Final = 40  # letters below which a sentence is not wrapped beside other columns


def document_text(document: Document, *, max_rows: int = 20, width: int | None = None) -> str:
    """Return a document as plain text; long tables show their first rows and count the rest.

    Parameters
    ----------
    document
        Any; sections that are folded away in its HTML are left out.
    max_rows
        Rows shown of each table; a table whose last row is its total is shown whole.
    width
        Letters to a line, for tables too: where one is wider, its last column is wrapped, or
        else its widest column of text stands under each row. Without it, sentences have 110
        and tables what they need.

    Examples
    --------
    >>> from sippet_reconcile.report import Document
    >>> print(document_text(Document("Verification", "All 3 calls hold what was sent.", facts={"calls": 3})))
    Verification
    All 3 calls hold what was sent.
    <BLANKLINE>
      calls  3
    """
    document = masked(document)
    said = textwrap.fill(document.verdict, width or _WIDTH)
    blocks = ["\n".join(part for part in (document.title, document.subtitle, said) if part)]
    if document.facts:
        names = [label(name) for name in document.facts]
        longest = max(map(len, names))
        blocks.append(
            "\n".join(
                _fact(name.ljust(longest), show_value(value), width)
                for name, value in zip(names, document.facts.values(), strict=True)
            )
        )
    blocks += [_section(part, max_rows, width) for part in document.sections if not part.is_detail]
    return visible("\n\n".join(blocks))


def _fact(name: str, value: str, width: int | None) -> str:
    line = f"  {name}  {value}"
    if width is None or len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=" " * (len(name) + 4), replace_whitespace=False)


def _section(part: Section, max_rows: int, width: int | None) -> str:
    wide = width or _WIDTH
    lines = [part.title.upper(), *textwrap.wrap(part.intro, wide)]
    for chart in part.charts:
        if part.frame is None:
            lines += textwrap.wrap(f"{chart.title}: {chart.description}", wide)
    if part.n_rows:
        most = part.n_rows if part.total else max_rows
        lines += _table(part, most, width)
        if part.n_rows > most:
            lines.append(f"and {part.n_rows - most:,} more")
    return "\n".join([*lines, *textwrap.wrap(part.note, wide)])


def _table(part: Section, max_rows: int, width: int | None) -> list[str]:
    """Return a table of what is short; the sentences of a row stand under it."""
    names, rows = part.names, part.cells(max_rows)
    long = {at for at in range(len(names)) if any(len(row[at]) > _LONG for row in rows)}
    if width is not None:
        room = _room_of_last(part, rows, width)
        if room is not None:
            return _wrapped(part, rows, room)
        long = _fitted(part, rows, width)
    short = [at for at in range(len(names)) if at not in long]
    right = [part.head(names[at]) for at in short if part.is_number(names[at])]
    heads, rule, *told = text_table(
        [[row[at] for at in short] for row in rows], [part.head(names[at]) for at in short], right=right
    ).split("\n")
    lines = [heads, rule]
    for row, line in zip(rows, told, strict=True):
        lines.append(line)
        for at in sorted(long):
            lines += textwrap.wrap(row[at], width or _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return lines


def _needed(part: Section, rows: list[list[str]]) -> list[int]:
    """Return how many letters each column needs."""
    return [
        max([len(part.head(name)), *(len(row[at]) for row in rows)]) for at, name in enumerate(part.names)
    ]


def _room_of_last(part: Section, rows: list[list[str]], width: int) -> int | None:
    """Return the letters that a last column of text is to be wrapped to; None where it fits, or has too little room."""
    *others, last = _needed(part, rows)
    room = width - sum(others) - 2 * len(others)
    is_text = not part.is_number(part.names[-1])
    return room if is_text and others and _NARROWEST <= room < last else None


def _wrapped(part: Section, rows: list[list[str]], room: int) -> list[str]:
    """Return a table whose last column goes on in further lines."""
    names = part.names
    lines: list[list[str]] = []
    for row in rows:
        first, *others = textwrap.wrap(row[-1], room) or [""]
        lines.append([*row[:-1], first])
        lines += [[*[""] * (len(row) - 1), other] for other in others]
    right = [part.head(name) for name in names if part.is_number(name)]
    return text_table(lines, [part.head(name) for name in names], right=right).split("\n")


def _fitted(part: Section, rows: list[list[str]], width: int) -> set[int]:
    """Return the columns of text that a table has no room for, the widest first; one column stays."""
    names = part.names
    needed = dict(enumerate(_needed(part, rows)))
    texts = sorted((at for at in needed if not part.is_number(names[at])), key=lambda at: -needed[at])
    long: set[int] = set()
    for at in texts:
        if sum(needed.values()) + 2 * (len(needed) - 1) <= width or len(needed) == 1:
            break
        long.add(at)
        del needed[at]
    return long
