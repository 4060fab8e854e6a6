"""Print a document as one HTML page without outside parts.

Input is a document, output one file's text. Its content security policy lets the
browser use the page's own style and script and load nothing at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from sippet_reconcile._display import label, plural, shortened, show_value, unbroken, visible
from sippet_reconcile.report.masking import masked
from sippet_reconcile.report.rows import column_class, grouped_rows, plain_rows, within

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import jinja2

    from sippet_reconcile.report.document import Document
    from sippet_reconcile.report.section import Section

__all__ = ["MAX_HTML_ROWS", "document_page"]

MAX_HTML_ROWS: Final = 5000
"""Rows that a table in an HTML document holds at most."""

_PAGE_ROWS: Final = 100
_MAX_CHOICES: Final = 200
_MAX_LABEL: Final = 60
_STYLES: Final = ("report.css", "print.css")
_SCRIPTS: Final = ("tables.js", "copy.js", "report.js")


def document_page(document: Document, *, mask: bool = True) -> str:
    """Return the whole document as one HTML page, phone numbers masked unless they are to be seen."""
    document = masked(document) if mask else document
    styles = ["".join(map(_asset, _STYLES)), _margins(document.title)]
    scripts = [_asset("early.js"), "".join(map(_asset, _SCRIPTS))]
    sections = [_prepared(part, f"s{at}", mask=mask) for at, part in enumerate(document.sections)]
    return _template().render(
        document=document,
        sections=sections,
        main=next((one for one in sections if one["part"].is_searchable and one["body"]), None),
        facts=[(label(k), show_value(v)) for k, v in document.facts.items()],
        about=[(label(k), show_value(v)) for k, v in document.about.items()],
        page_rows=_PAGE_ROWS,
        is_masked=mask,
        styles=[Markup(text) for text in styles],  # noqa: S704 - our own files, and a text made safe
        scripts=[Markup(text) for text in scripts],  # noqa: S704 - our own files
        policy=_policy(styles, scripts),
    )


@cache
def _asset(name: str) -> str:
    return (files("sippet_reconcile.report") / "templates" / name).read_text(encoding="utf-8")


@cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415 - only where a page is written

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    return environment.get_template("document.html.j2")


def _finalized(value: object) -> object:
    """Return what a template prints: a text's control characters are written out before it is escaped."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _margins(title: str) -> str:
    """Return the style that prints a title and page numbers in the margins of paper."""
    safe = re.sub(
        r"[^A-Za-z0-9 .:_-]", lambda found: f"\\{ord(found[0]):06x}", shortened(visible(title), 120)
    )
    return (
        f'@page{{@top-left{{content:"{safe}"}}'
        '@bottom-right{content:"page " counter(page) " of " counter(pages)}}'
    )


def _policy(styles: list[str], scripts: list[str]) -> str:
    """Return a policy that lets the page use its own styles and scripts and load nothing at all.

    Who may frame the page cannot be said in a file; a browser would only complain.
    """

    def fingerprints(texts: list[str]) -> str:
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; style-src {fingerprints(styles)}; script-src {fingerprints(scripts)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _prepared(part: Section, key: str, *, mask: bool) -> dict[str, Any]:
    """Return a section as the template reads it."""
    names, n_rows = part.names, part.n_rows
    sizes = part.block_sizes(MAX_HTML_ROWS)
    n_shown = sum(sizes) if part.group_by else min(n_rows, MAX_HTML_ROWS)
    texts = part.columns(n_shown, mask=mask)
    n_first = _PAGE_ROWS if part.is_searchable else MAX_HTML_ROWS
    if not n_rows:
        body = ""
    elif part.group_by:
        body = grouped_rows(part, texts, sizes, n_first, mask=mask)
    else:
        body = plain_rows(part, texts, n_first)
    return {
        "anchor": f"{key}-{part.anchor}",
        "part": part,
        "is_empty": part.frame is not None and not n_rows,
        "heads": [
            {
                "text": part.head(name),
                "css": column_class(part, name, column),
                "is_once": name in part.once,
                "is_key": bool(name) and name == part.group_by,
            }
            for name, column in zip(names, texts, strict=True)
        ],
        "body": Markup(body),  # noqa: S704 - each value was escaped where its cell was written
        "words": (part.group_word, part.row_word or "change")
        if part.group_by
        else ("", part.row_word or "row"),
        "cut": _cut(part, n_rows, n_shown, sizes),
        "filters": _filters(part, dict(zip(names, texts, strict=True))),
        "charts": [
            {"title": chart.title, "svg": Markup(chart.to_svg(f"{key}c{at}"))}  # noqa: S704 - escaped where it is drawn
            for at, chart in enumerate(part.charts)
        ],
    }


def _cut(part: Section, n_rows: int, n_shown: int, sizes: list[int]) -> str:
    """Say how much of a table the page holds where that is not all, and where the rest is."""
    if n_shown >= n_rows:
        return ""
    told = f"{n_shown:,} of {plural(n_rows, part.row_word or 'row')} are shown."
    if part.group_by:
        calls = plural(len(part.block_sizes()), part.group_word)
        told = f"{len(sizes):,} of {calls} are shown, with {n_shown:,} of {plural(n_rows, part.row_word or 'change')}."
    return f"{told} {part.rest}".strip()


def _filters(part: Section, columns: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the filters that tell rows apart, with what there is to choose."""
    if not part.is_searchable:
        return []
    names = list(columns)
    found = []
    for name in part.filters:
        choices = sorted(set(map(within, columns.get(name, ()))), key=lambda text: (text == "–", text))
        if 1 < len(choices) <= _MAX_CHOICES:
            shown = [(one, shortened(one, _MAX_LABEL)) for one in choices]
            found.append({"column": names.index(name), "head": part.head(name), "choices": shown})
    return found
