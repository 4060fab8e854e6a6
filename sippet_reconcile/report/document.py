"""Make one document of any result: HTML, Markdown, JSON and a card in a notebook.

Input are plain data: a verdict, a few facts, and sections that each hold a table or a
chart. All views come from the same sections, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sippet_reconcile._display import mask_text, visible
from sippet_reconcile._files import instead_of
from sippet_reconcile.errors import InputError
from sippet_reconcile.report.card import document_card
from sippet_reconcile.report.markdown import document_markdown
from sippet_reconcile.report.page import document_page
from sippet_reconcile.report.plain import document_json
from sippet_reconcile.report.section import Section
from sippet_reconcile.report.text import document_text

if TYPE_CHECKING:
    import os

__all__ = ["TONES", "Document"]

TONES: Final = ("ok", "warn", "stop", "")
"""How a document looks upon its subject; empty is neutral."""

_TEXT_ROWS: Final = 8
_TEXT_WIDTH: Final = 110


@dataclass(frozen=True, eq=False)
class Document:
    """A whole document; every view of it says the same.

    Attributes
    ----------
    title, subtitle
        What it is about.
    verdict
        The answer, in one or two sentences.
    tone
        ``ok``, ``warn``, ``stop`` or empty.
    sections
        In reading order.
    facts
        A few headline figures: name to a plain value.
    about
        What identifies the document and its making; shown at its end.
    summary
        Plain values for programs; part of the JSON.

    Examples
    --------
    >>> document = Document("Verification", "All 3 calls hold what was sent.", "ok", [])
    >>> document
    <Document Verification: All 3 calls hold what was sent.>
    >>> print(document.to_markdown())
    # Verification
    <BLANKLINE>
    **All 3 calls hold what was sent.**
    <BLANKLINE>
    """

    title: str
    verdict: str
    tone: str = ""
    sections: Sequence[Section] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    subtitle: str = ""
    about: Mapping[str, object] = field(default_factory=dict)
    summary: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tone not in TONES:
            msg = f"tone {self.tone!r} is not one of ok, warn, stop or empty"
            raise InputError(msg)

    def __repr__(self) -> str:
        return visible(mask_text(f"<Document {self.title}: {self.verdict}>"))

    def __str__(self) -> str:
        return document_text(self, max_rows=_TEXT_ROWS, width=_TEXT_WIDTH)

    def _repr_html_(self) -> str:
        return document_card(self)

    def html(self, *, mask: bool = True) -> str:
        """Return the whole document as one HTML page; `mask` hides the middle of phone numbers.

        Examples
        --------
        >>> Document("Verification", "All 3 calls hold.", "ok").html().startswith("<!doctype html>")
        True
        """
        return document_page(self, mask=mask)

    def to_html(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write the document as one self-contained HTML file; return its path.

        Examples
        --------
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> Document("Verification", "All 3 calls hold.", "ok").to_html(folder / "proof.html").name
        'proof.html'
        """
        return _write(path, self.html(mask=mask))

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the document as Markdown, and write it where a path is given."""
        return _returned(path, document_markdown(self, mask=mask))

    def to_json(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the document as JSON, and write it where a path is given.

        Tables hold at most 5,000 rows and say how many there are; `mask` hides the middle of phone numbers.

        Examples
        --------
        >>> import json
        >>> json.loads(Document("Verification", "All 3 calls hold.", "ok").to_json())["verdict"]
        'All 3 calls hold.'
        """
        return _returned(path, document_json(self, mask=mask))


def _write(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text as a file that is there as a whole or not at all, readable by its owner alone."""
    target = Path(path)
    with instead_of(target) as file:
        # What is half of a surrogate pair in data is written out, so that any program can read the file.
        file.write(text.encode("utf-8", "backslashreplace"))
    return target


def _returned(path: str | os.PathLike[str] | None, text: str) -> str:
    """Return a text, written to a file as well where there is one."""
    if path is not None:
        _write(path, text)
    return text
