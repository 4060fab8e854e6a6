"""Print a document as one HTML page without outside parts.

Input is a document, output one file's text. Its content security policy lets the
browser use the page's own style and script and load nothing at all.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import jinja2
from markupsafe import Markup

from sippet_reconcile._display import label, show_value

if TYPE_CHECKING:
    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["MAX_HTML_ROWS", "document_page"]

MAX_HTML_ROWS: Final = 5000
"""Rows that a table in an HTML document holds at most."""

_PAGE_ROWS: Final = 100


def document_page(document: Document, *, mask: bool = True) -> str:
    """Return the whole document as one HTML page, phone numbers masked unless they are to be seen."""
    style, script = _asset("report.css"), _asset("report.js")
    return _template().render(
        document=document,
        sections=[_prepared(part, f"s{at}", mask=mask) for at, part in enumerate(document.sections)],
        facts=[(label(k), show_value(v)) for k, v in document.facts.items()],
        about=[(label(k), show_value(v)) for k, v in document.about.items()],
        page_rows=_PAGE_ROWS,
        is_masked=mask,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        policy=_policy(style, script),
    )


@cache
def _asset(name: str) -> str:
    return (files("sippet_reconcile.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("document.html.j2")


def _policy(style: str, script: str) -> str:
    """Return a policy that lets the page use its own style and script and load nothing at all."""

    def fingerprint(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    return (
        f"default-src 'none'; style-src 'sha256-{fingerprint(style)}'; script-src 'sha256-{fingerprint(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _prepared(part: Section, key: str, *, mask: bool) -> dict[str, Any]:
    """Return a section as the template reads it."""
    names = [] if part.frame is None else [str(name) for name in part.frame.columns]
    n_rows = 0 if part.frame is None else len(part.frame)
    rows = part.cells(MAX_HTML_ROWS, mask=mask)
    return {
        "key": key,
        "anchor": f"{key}-{part.anchor}",
        "part": part,
        "names": names,
        "heads": [(part.head(name), part.is_number(name)) for name in names],
        "numbers": [part.is_number(name) for name in names],
        "rows": rows,
        "n_rows": n_rows,
        "filters": [
            {
                "column": names.index(name),
                "head": part.head(name),
                "choices": sorted({row[names.index(name)] for row in rows}),
            }
            for name in part.filters
            if name in names
        ],
        "charts": [
            {"title": chart.title, "svg": Markup(chart.to_svg(f"{key}c{at}"))}  # noqa: S704 - escaped where it is drawn
            for at, chart in enumerate(part.charts)
        ],
    }
