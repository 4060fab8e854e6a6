"""Text and HTML primitives: escape, card, table, masked numbers. Knows no word of the domain.

Everything that is shown passes through here: each value is escaped, a table shows
at most 50 rows and says how many more there are, and colours come from the
notebook's theme. Nothing here fetches, sends or computes.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "MAX_ROWS",
    "card",
    "escape",
    "hide_middle",
    "html_table",
    "html_text",
    "joined",
    "label",
    "mask_digits",
    "mask_like_number",
    "mask_number",
    "plural",
    "section",
    "shortened",
    "show_value",
    "signed",
    "text_table",
    "visible",
]

MAX_ROWS: Final = 50
"""Rows that a table in a notebook shows at most."""

_SHORT: Final = 40

_STYLE: Final = """<style>
.sippet{font-family:system-ui,sans-serif;font-size:.92em;line-height:1.45;max-width:72em}
.sippet h4{margin:.2em 0 .4em;font-size:1.1em}
.sippet .sub{opacity:.75;margin:.1em 0 .6em}
.sippet table{border-collapse:collapse;color:inherit;margin:.4em 0 .8em;font-size:.95em}
.sippet th,.sippet td{border-bottom:1px solid rgba(128,128,128,.35);padding:.22em .7em;text-align:left;vertical-align:top}
.sippet td.n,.sippet th.n{text-align:right;font-variant-numeric:tabular-nums}
.sippet .card{border:1px solid rgba(128,128,128,.4);border-left:4px solid currentColor;border-radius:4px;padding:.7em 1em;margin:.3em 0}
.sippet .stop{border-left-color:#c62828}.sippet .warn{border-left-color:#ef8f00}.sippet .ok{border-left-color:#2e7d32}
.sippet .more{opacity:.75}
.sippet .wide{overflow-x:auto}
.sippet td.s,.sippet td.n,.sippet th{white-space:nowrap}
</style>"""


_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What steers a terminal or turns text round instead of being text, and halves of surrogate pairs."""


def visible(text: str) -> str:
    r"""Return a text whose control characters are written out, so that a value can only be read, never obeyed.

    Line ends and tabs stay. A JSON document stays the same document.

    Examples
    --------
    >>> visible("\x1b[2Jgone"), visible("evil\u202egpj.exe"), visible("Zoë\n")
    ('\\u001b[2Jgone', 'evil\\u202egpj.exe', 'Zoë\n')
    """
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def escape(value: object) -> str:
    """Return a value as text that is safe in HTML, attributes included.

    Examples
    --------
    >>> escape('<b>"x"')
    '&lt;b&gt;&quot;x&quot;'
    """
    return html.escape(show_value(value), quote=True)


def show_value(value: object) -> str:
    """Return a value as people read it: missing is a dash, whole seconds have no decimals.

    Examples
    --------
    >>> show_value(None), show_value(60.0), show_value(12345), show_value(1.25)
    ('–', '60', '12,345', '1.25')
    """
    if value is None or value is pd.NA or value is pd.NaT:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - the one value that differs from itself is NaN
            return "–"
        return f"{value:,.0f}" if value == int(value) else f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    return visible(str(value))


def plural(count: int, word: str, words: str | None = None) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> plural(1, "call"), plural(1204, "call"), plural(2, "discrepancy", "discrepancies")
    ('1 call', '1,204 calls', '2 discrepancies')
    """
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign, as people write it; zero has none.

    Examples
    --------
    >>> signed(12.0), signed(-1234.56, 1), signed(-0.04, 1)
    ('+12', '−1,234.6', '0')
    """
    rounded = round(float(value), digits)
    if rounded == 0:
        return "0"
    text = f"{abs(rounded):,.0f}" if rounded == int(rounded) else f"{abs(rounded):,}"
    return f"{'−' if rounded < 0 else '+'}{text}"


def joined(words: Sequence[str]) -> str:
    """Return words as a sentence lists them.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def shortened(text: str, most: int = 60) -> str:
    """Return a text cut to so many letters, with a sign that it goes on.

    Examples
    --------
    >>> shortened("pbx-a.csv"), shortened("a" * 99, 5)
    ('pbx-a.csv', 'aaaa…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def label(name: object) -> str:
    """Return a name as people read it: without underscores, its unit in brackets.

    Examples
    --------
    >>> label("n_calls"), label("net_s"), label("approved_by"), label("SIPPET_API_URL")
    ('calls', 'net (s)', 'approved by', 'SIPPET_API_URL')
    """
    text = str(name)
    if text.isupper():
        return text
    text = text.removeprefix("n_")
    return f"{text[:-2]} (s)".replace("_", " ") if text.endswith("_s") else text.replace("_", " ")


_DIGITS: Final = re.compile(r"\d{5,}")
_LIKE_NUMBER: Final = re.compile(r"(?!\d{4}-\d\d-\d\d)\+?(?:[ ()./-]*\d){7,}[ )]*")
"""Seven digits or more and what is written between them; a date is none."""

_PER_CENT: Final = re.compile(r"\d+(?:\.\d+)?%")
_KEEP_HEAD, _KEEP_TAIL = 2, 2


def mask_number(number: object) -> str:
    """Hide the middle of a number, however it is written, keeping enough to recognise it beside a colleague.

    Examples
    --------
    >>> mask_number("+442079460123"), mask_number("1001"), mask_number(None)
    ('+44••••••••23', '1001', '–')
    >>> mask_number("(020) 7946-0123")
    '(02•) ••••-••23'
    """
    return hide_middle(show_value(number))


def mask_like_number(value: object) -> object:
    """Hide the middle of a text that is written as a phone number is; anything else stays as it is.

    Examples
    --------
    >>> mask_like_number("+44 20 7946 0123"), mask_like_number("1001"), mask_like_number("2026-10-01"), mask_like_number(7)
    ('+44 •• •••• ••23', '1001', '2026-10-01', 7)
    """
    return hide_middle(value) if isinstance(value, str) and _LIKE_NUMBER.fullmatch(value) else value


def hide_middle(text: str) -> str:
    """Hide all digits of a text but the first and the last two, where it has five or more.

    Examples
    --------
    >>> hide_middle("020 7946 0123"), hide_middle("10 11")
    ('02• •••• ••23', '10 11')
    """
    places = [place for place, sign in enumerate(text) if sign.isdigit()]
    if len(places) <= _KEEP_HEAD + _KEEP_TAIL:
        return text
    hidden = set(places[_KEEP_HEAD:-_KEEP_TAIL])
    return "".join("•" if place in hidden else sign for place, sign in enumerate(text))


def mask_digits(text: str) -> str:
    """Hide the middle of every run of five or more digits in a text.

    Examples
    --------
    >>> mask_digits("call from 442079460123 refused")
    'call from 44••••••••23 refused'
    """

    def hide(match: re.Match[str]) -> str:
        run = match[0]
        return run[:_KEEP_HEAD] + "•" * (len(run) - _KEEP_HEAD - _KEEP_TAIL) + run[-_KEEP_TAIL:]

    return _DIGITS.sub(hide, text)


def _is_number(dtype: Any) -> bool:
    return bool(pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype))


def html_table(
    frame: pd.DataFrame,
    *,
    max_rows: int = MAX_ROWS,
    masked: Sequence[str] = (),
    plain_numbers: Sequence[str] = (),
    right: Sequence[str] = (),
    n_rows: int | None = None,
) -> str:
    """Return a frame as an escaped HTML table that says what it left out.

    Parameters
    ----------
    frame
        Shown in its own order, without its index.
    max_rows
        Rows shown; the rest is counted under the table.
    masked
        Columns of phone numbers, shown masked.
    plain_numbers
        Numeric columns shown without thousands separators (line numbers, years).
    right
        Columns of text that is numbers already, set to the right as numbers are.
    n_rows
        How many rows there are in all, where `frame` has the first of them only.
    """
    to_the_right = {name for name in frame.columns if _is_number(frame[name].dtype)}.union(right)
    heads = "".join(
        f'<th class="n">{escape(name)}</th>' if name in to_the_right else f"<th>{escape(name)}</th>"
        for name in frame.columns
    )
    columns: list[list[str]] = []
    for name in frame.columns:
        values = frame[name].head(max_rows).tolist()
        css = "n" if name in to_the_right else ""
        if name in masked:
            shown = [html.escape(mask_number(v)) for v in values]
        elif name in plain_numbers:
            shown = [escape(v if not isinstance(v, int | float) else f"{v:g}") for v in values]
        else:
            shown = [escape(v) for v in values]
        columns.append([_cell(text, css) for text in shown])
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    more = (len(frame) if n_rows is None else n_rows) - max_rows
    rest = f'<div class="more">and {more:,} more</div>' if more > 0 else ""
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>{rest}'


def _cell(text: str, css: str) -> str:
    """Return one cell; what is short, a date or an id, stays on one line."""
    css = css or ("s" if len(text) <= _SHORT else "")
    return f'<td class="{css}">{text}</td>' if css else f"<td>{text}</td>"


def html_text(text: str) -> str:
    """Return a paragraph of escaped text."""
    return f"<p>{escape(text)}</p>"


def section(title: str, *parts: str) -> str:
    """Return a titled group of HTML parts; the parts must be HTML already."""
    return f"<h4>{escape(title)}</h4>{''.join(parts)}"


def card(
    title: str,
    values: Mapping[str, object] | None = None,
    *parts: str,
    subtitle: str | None = None,
    tone: str = "",
) -> str:
    """Return a whole notebook card: a title, plain values as a table, then further HTML parts.

    Parameters
    ----------
    title, subtitle
        Plain text; escaped here.
    values
        Name to value; both escaped here.
    parts
        HTML from `html_table`, `section` or `html_text`, placed as they are.
    tone
        ``ok``, ``warn`` or ``stop`` colours the edge; empty leaves the theme's.
    """
    sub = f'<div class="sub">{escape(subtitle)}</div>' if subtitle else ""
    rows = "".join(
        f"<tr><th>{escape(label(name))}</th><td>{escape(value)}</td></tr>"
        for name, value in (values or {}).items()
    )
    table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
    tone_class = f" {tone}" if tone in {"ok", "warn", "stop"} else ""
    return (
        f'<div class="sippet">{_STYLE}<div class="card{tone_class}">'
        f"<h4>{escape(title)}</h4>{sub}{table}{''.join(parts)}</div></div>"
    )


def text_table(rows: Iterable[Sequence[object]], heads: Sequence[str], *, right: Sequence[str] = ()) -> str:
    """Return an aligned plain-text table: numbers to the right, text to the left.

    Columns named in `right` hold numbers that are text already. Of a column that lacks
    some numbers the others still stand to the right.

    Examples
    --------
    >>> print(text_table([["matched", 1204], ["ambiguous", 3]], ["bucket", "rows"]))
    bucket      rows
    ---------  -----
    matched    1,204
    ambiguous      3
    """
    raw = [list(row) for row in rows]
    # One line each: a value with a line end could pass for rows of its own.
    cells = [[show_value(v).replace("\n", "\\n").replace("\t", " ") for v in row] for row in raw]
    widths = [max([len(h), *(len(row[i]) for row in cells)]) for i, h in enumerate(heads)]
    to_the_right = [heads[i] in right or _are_numbers([row[i] for row in raw]) for i in range(len(heads))]

    def line(values: Sequence[str]) -> str:
        padded = [
            v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, to_the_right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    rule = "  ".join("-" * w for w in widths)
    return "\n".join([line(list(heads)), rule, *(line(row) for row in cells)])


def _are_numbers(values: Sequence[object]) -> bool:
    """Tell whether there are numbers, shares in per cent among them, and nothing else but what is missing."""
    known = [value for value in values if not _is_missing(value)]
    return bool(known) and all(
        (isinstance(value, int | float) and not isinstance(value, bool))
        or (isinstance(value, str) and _PER_CENT.fullmatch(value) is not None)
        for value in known
    )


def _is_missing(value: object) -> bool:
    return show_value(value) == "–"
