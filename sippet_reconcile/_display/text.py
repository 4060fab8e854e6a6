"""Values, counts and small tables as people read them in a terminal. Knows no word of the domain.

Input are plain values, output is text in which nothing steers a terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "in_line", "joined", "label", "plural", "shortened", "show_value", "signed", "text_table", "unbroken", "visible",
]  # fmt: skip

_PER_CENT: Final = re.compile(r"\d+(?:\.\d+)?%")
_DURATION: Final = re.compile(r"\d[\d,.]* (?:h|min|s)\b(?: \d+ (?:min|s)\b)*")
_AMOUNT: Final = re.compile(r"\b[A-Z]{3} [−+]?\d[\d,]*\.\d+")
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
    "|(?<=[0-9A-Za-z])[\u200c\u200d]|[\u200c\u200d](?=[0-9A-Za-z])"
)
"""What steers a terminal, turns text round or takes no room instead of being text, and halves of surrogate pairs.

What joins the letters of other scripts and the parts of an emoji stays where it does so.
"""


def visible(text: str) -> str:
    r"""Return a text whose control characters are written out, so that a value can only be read, never obeyed.

    Line ends and tabs stay. A JSON document stays the same document.

    Examples
    --------
    >>> visible("\x1b[2Jgone"), visible("evil\u202egpj.exe"), visible("Zoë\n")
    ('\\u001b[2Jgone', 'evil\\u202egpj.exe', 'Zoë\n')
    """
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def show_value(value: object) -> str:
    """Return a value as people read it: missing is a dash, whole seconds have no decimals, money at least two.

    Examples
    --------
    >>> show_value(None), show_value(60.0), show_value(12345), show_value(1.25)
    ('–', '60', '12,345', '1.25')
    >>> show_value(Decimal("1234.500000")), show_value(Decimal("-0.000001")), show_value(Decimal(0))
    ('1,234.50', '-0.000001', '0.00')
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
    if isinstance(value, Decimal) and value.is_finite():
        whole, _, places = f"{value:,f}".partition(".")
        return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    return visible(str(value))


def unbroken(text: str) -> str:
    r"""Return a text whose durations, and amounts of money, no line end parts, for HTML.

    Examples
    --------
    >>> unbroken("falls by 3 h 20 min 6 s (5 s added) in 12 calls").replace("\N{NO-BREAK SPACE}", "_")
    'falls by 3_h_20_min_6_s (5_s added) in 12 calls'
    >>> unbroken("GBP −7.38 · USD +0.07").replace("\N{NO-BREAK SPACE}", "_")
    'GBP_−7.38 · USD_+0.07'
    """
    for kind in (_DURATION, _AMOUNT):
        text = kind.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    return text


def in_line(value: object) -> str:
    """Return a value as one line: what a list holds beside each other, what a mapping holds with its names.

    What is missing or holds nothing is empty.

    Examples
    --------
    >>> in_line(7200), in_line(["ringing", "answered"]), in_line({"busy": ("failed", "busy")}), in_line(None), in_line([])
    ('7,200', 'ringing, answered', 'busy = failed, busy', '', '')
    """
    if isinstance(value, Mapping):
        return "; ".join(f"{visible(str(name))} = {in_line(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(in_line, value))
    return "" if value is None else show_value(value)


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
