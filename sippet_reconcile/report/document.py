"""Make one document of any result: HTML, Markdown, JSON and a card in a notebook.

Input are plain data: a verdict, a few facts, and sections that each hold a table or a
chart. All views come from the same sections, so they cannot disagree. The HTML is one
file without outside parts, and its policy forbids the browser to load any.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import pandas as pd
from markupsafe import Markup

from sippet_reconcile._display import card, escape, html_table, label, mask_number, section, show_value
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    import os

    from sippet_reconcile.report.charts import Chart

__all__ = ["MAX_HTML_ROWS", "NUMBER_COLUMNS", "TONES", "Document", "Section"]

MAX_HTML_ROWS: Final = 5000
"""Rows that a table in an HTML document holds at most."""

NUMBER_COLUMNS: Final = ("from_number", "to_number", "sip_username")
"""Columns that are masked wherever they are shown; a user name is often a number."""

TONES: Final = ("ok", "warn", "stop", "")
"""How a document looks upon its subject; empty is neutral."""

_PAGE_ROWS: Final = 100
_CARD_ROWS: Final = 8
_MARKDOWN_ROWS: Final = 100
_JSON_ROWS: Final = 5000


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a document: a title, a sentence, and a table or chart or both.

    Attributes
    ----------
    title, intro, note
        Plain text: above the table, and under it.
    frame
        A table, in its own order, without its index.
    charts
        Pictures above the table.
    heads
        Column to what stands above it, where the name alone would not do.
    filters
        Columns of few values, which the reader may narrow the table by.
    is_searchable
        Whether the HTML offers to search and page the table.
    signed
        Columns of numbers shown with their sign.
    plain_numbers
        Columns of numbers shown without thousands separators (line numbers).
    total
        Whether the last row is a total and is set apart.
    rest
        Where the rows are that the document leaves away, as a sentence.
    is_detail
        Whether the section is folded away at first.
    in_card
        Whether the section is part of the card in a notebook.
    """

    title: str
    intro: str = ""
    frame: pd.DataFrame | None = None
    charts: Sequence[Chart] = ()
    note: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    filters: Sequence[str] = ()
    is_searchable: bool = False
    signed: Sequence[str] = ()
    plain_numbers: Sequence[str] = ()
    total: bool = False
    rest: str = ""
    is_detail: bool = False
    in_card: bool = True

    @property
    def anchor(self) -> str:
        """The title as it can stand in an address."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "section"

    def head(self, name: str) -> str:
        """Return what stands above a column."""
        return self.heads.get(name, label(name))

    def cells(self, max_rows: int) -> list[list[str]]:
        """Return the first rows as text, numbers of phones masked."""
        if self.frame is None:
            return []
        columns = [
            [self._cell(str(name), v) for v in self.frame[name].head(max_rows).tolist()]
            for name in self.frame
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    def _cell(self, name: str, value: object) -> str:
        if name in NUMBER_COLUMNS:
            return mask_number(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value:  # noqa: PLR0124 - NaN
            if name in self.plain_numbers:
                return f"{value:g}" if isinstance(value, float) else str(value)
            if name in self.signed:
                text = show_value(abs(value))
                return f"−{text}" if value < 0 else f"+{text}" if value > 0 else text
            return show_value(value).replace("-", "−")
        return show_value(value)

    def is_number(self, name: str) -> bool:
        """Tell whether a column holds numbers."""
        dtype = self.frame[name].dtype if self.frame is not None else object
        return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))


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
        return f"<Document {self.title}: {self.verdict}>"

    def _repr_html_(self) -> str:
        parts = []
        for part in self.sections:
            if not part.in_card or part.is_detail:
                continue
            body = [f"<p>{escape(part.intro)}</p>"] if part.intro else []
            if part.frame is not None and len(part.frame):
                body.append(_card_table(part))
            parts.append(section(part.title, *body))
        return card(self.title, self.facts, *parts, subtitle=self.verdict, tone=self.tone)

    def html(self) -> str:
        """Return the whole document as one HTML page."""
        style, script = _asset("report.css"), _asset("report.js")
        return _template().render(
            document=self,
            sections=[_prepared(part, f"s{at}") for at, part in enumerate(self.sections)],
            facts=[(label(k), show_value(v)) for k, v in self.facts.items()],
            about=[(label(k), show_value(v)) for k, v in self.about.items()],
            page_rows=_PAGE_ROWS,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=_policy(style, script),
        )

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the document as one self-contained HTML file; return its path."""
        return _write(path, self.html())

    def to_markdown(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the document as Markdown, and write it where a path is given."""
        lines = [f"# {_markdown(self.title)}", ""]
        lines += [f"*{_markdown(self.subtitle)}*", ""] if self.subtitle else []
        lines += [f"**{_markdown(self.verdict)}**", ""]
        for name, value in self.facts.items():
            lines.append(f"- {_markdown(label(name))}: {_markdown(show_value(value))}")
        lines += [""] if self.facts else []
        for part in self.sections:
            lines += [f"## {_markdown(part.title)}", ""]
            lines += [_markdown(part.intro), ""] if part.intro else []
            for chart in part.charts:
                if part.frame is None:
                    lines += [f"{_markdown(chart.title)}: {_markdown(chart.description)}", ""]
            lines += [*_markdown_table(part), ""] if part.frame is not None and len(part.frame) else []
            lines += [_markdown(part.note), ""] if part.note else []
        if self.about:
            lines += ["## About this document", ""]
            lines += [f"- {_markdown(label(k))}: {_markdown(show_value(v))}" for k, v in self.about.items()]
            lines.append("")
        text = "\n".join(lines)
        if path is not None:
            _write(path, text)
        return text

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the document as JSON, and write it where a path is given.

        Tables hold at most 5,000 rows and say how many there are; phone numbers are masked.
        """
        plain = {
            "title": self.title,
            "subtitle": self.subtitle,
            "verdict": self.verdict,
            "tone": self.tone,
            "facts": _plain(self.facts),
            "summary": _plain(self.summary),
            "sections": [_section_plain(part) for part in self.sections],
            "about": _plain(self.about),
        }
        text = json.dumps(plain, ensure_ascii=False, indent=2, allow_nan=False)
        if path is not None:
            _write(path, text)
        return text


def _write(path: str | os.PathLike[str], text: str) -> Path:
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as exc:
        msg = f"the report cannot be written to {target}: {exc.strerror or exc}"
        raise InputError(msg) from exc
    return target


def _card_table(part: Section) -> str:
    """Return the first rows of a section for a notebook; a total is always among them."""
    assert part.frame is not None  # noqa: S101 - the caller looked
    n_rows = len(part.frame)
    rows = part.cells(n_rows if part.total else _CARD_ROWS)
    if part.total and n_rows > _CARD_ROWS:
        rows = [*rows[: _CARD_ROWS - 1], rows[-1]]
    names = [str(name) for name in part.frame.columns]
    cells = pd.DataFrame(rows, columns=[part.head(name) for name in names], dtype="str")
    table = html_table(cells, right=[part.head(name) for name in names if part.is_number(name)])
    rest = f'<div class="more">and {n_rows - _CARD_ROWS:,} more</div>' if n_rows > _CARD_ROWS else ""
    return table + rest


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


def _prepared(part: Section, key: str) -> dict[str, Any]:
    """Return a section as the template reads it."""
    names = [] if part.frame is None else [str(name) for name in part.frame.columns]
    n_rows = 0 if part.frame is None else len(part.frame)
    rows = part.cells(MAX_HTML_ROWS)
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


_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>|#~])")


def _markdown(text: str) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def _markdown_table(part: Section) -> list[str]:
    assert part.frame is not None  # noqa: S101 - the caller looked
    names = [str(name) for name in part.frame.columns]
    lines = [
        f"| {' | '.join(_markdown(part.head(name)) for name in names)} |",
        f"| {' | '.join('---:' if part.is_number(name) else '---' for name in names)} |",
    ]
    lines += [f"| {' | '.join(_markdown(cell) for cell in row)} |" for row in part.cells(_MARKDOWN_ROWS)]
    more = len(part.frame) - _MARKDOWN_ROWS
    return [*lines, "", f"and {more:,} more"] if more > 0 else lines


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
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)


def _section_plain(part: Section) -> dict[str, Any]:
    plain: dict[str, Any] = {"title": part.title, "intro": part.intro, "note": part.note}
    plain["charts"] = [
        {"title": chart.title, "bars": [[bar.label, bar.value] for bar in chart.bars]}
        for chart in part.charts
    ]
    if part.frame is not None:
        rows = part.frame.head(_JSON_ROWS)
        columns = [
            [
                mask_number(v) if name in NUMBER_COLUMNS and isinstance(v, str) else _plain(v)
                for v in rows[name].tolist()
            ]
            for name in rows.columns
        ]
        plain |= {
            "n_rows": len(part.frame),
            "columns": [str(name) for name in rows.columns],
            "rows": [list(row) for row in zip(*columns, strict=True)],
        }
    return plain
