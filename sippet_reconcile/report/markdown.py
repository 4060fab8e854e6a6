"""Write a document as Markdown that shows every value as it is.

Input is a document, output one text. What Markdown or HTML would take for markup is
escaped; a table shows its first rows and says how many more there are.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import label, show_value, visible
from sippet_reconcile.report.masking import masked

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["document_markdown"]

_MARKDOWN_ROWS: Final = 100


def document_markdown(document: Document, *, mask: bool = True) -> str:
    """Return the whole document as Markdown."""
    document = masked(document) if mask else document
    lines = [f"# {_markdown(document.title)}", ""]
    lines += [f"*{_markdown(document.subtitle)}*", ""] if document.subtitle else []
    lines += [f"**{_markdown(document.verdict)}**", ""]
    for name, value in document.facts.items():
        lines.append(f"- {_markdown(label(name))}: {_markdown(show_value(value))}")
    lines += [""] if document.facts else []
    for part in document.sections:
        lines += [f"## {_markdown(part.title)}", ""]
        lines += [_markdown(part.intro), ""] if part.intro else []
        for chart in part.charts:
            if part.frame is None:
                lines += [f"{_markdown(chart.title)}: {_markdown(chart.description)}", ""]
        lines += [*_markdown_table(part, mask=mask), ""] if part.n_rows else []
        lines += [_markdown(part.note), ""] if part.note else []
    if document.about:
        lines += ["## About this document", ""]
        lines += [f"- {_markdown(label(k))}: {_markdown(show_value(v))}" for k, v in document.about.items()]
        lines.append("")
    return "\n".join(lines)


_SPECIAL: Final = re.compile(r"([\\`*_\[\]|#~$]|(?<=[A-Za-z]):(?=//)|(?i:(?<=\bwww)\.))")
"""What is markup, a formula, or makes an address of what stands around it."""
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def _markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is: no markup, no HTML, no link, one line.

    Examples
    --------
    >>> _markdown("<b> & [x](http://a.example)\nwww.b.example")
    '&lt;b&gt; &amp; \\[x\\](http\\://a.example) www\\.b.example'
    """
    return _SPECIAL.sub(r"\\\1", " ".join(visible(text).split())).translate(_ENTITIES)


def _markdown_table(part: Section, *, mask: bool) -> list[str]:
    names = part.names
    lines = [
        f"| {' | '.join(_markdown(part.head(name)) for name in names)} |",
        f"| {' | '.join('---:' if part.is_number(name) else '---' for name in names)} |",
    ]
    lines += [
        f"| {' | '.join(_markdown(cell) for cell in row)} |" for row in part.cells(_MARKDOWN_ROWS, mask=mask)
    ]
    more = part.n_rows - _MARKDOWN_ROWS
    return [*lines, "", f"and {more:,} more"] if more > 0 else lines
