"""The parts of a card in a notebook, and the card around them. Knows no word of the domain.

Input are texts, plain values and HTML that is escaped already; output is HTML without
scripts, outside files or ids, so that any number of cards may stand in one notebook. It
takes its colours from the theme, and without its style, which some sites take away,
everything can still be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sippet_reconcile._display.tables import escape
from sippet_reconcile._display.text import label, show_value, unbroken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "card",
    "chart_figure",
    "folded",
    "html_text",
    "paragraphs",
    "section",
]

_TONES: Final = ("ok", "warn", "stop")
"""What colours the edge of a card."""

# The class stands twice because notebooks style tables by two classes, and the later of equals wins.
_STYLE: Final = """<style>
.sippet.sippet{font-family:system-ui,sans-serif;font-size:13.5px;line-height:1.4;max-width:84em}
.sippet.sippet .card{border:1px solid rgba(128,128,128,.4);border-left:4px solid rgba(128,128,128,.8);border-radius:4px;padding:.6em 1em .5em;margin:.3em 0}
.sippet.sippet .ok{border-left-color:#2e9a48}.sippet.sippet .warn{border-left-color:#ef8f00}.sippet.sippet .stop{border-left-color:#d64545}
.sippet.sippet h4{margin:.8em 0 .25em;font-size:1em;font-weight:600;line-height:1.3}
.sippet.sippet .card>h4:first-child{margin:0 0 .1em;opacity:.75;font-size:.95em}
.sippet.sippet p{margin:.25em 0}
.sippet.sippet .sub,.sippet.sippet .more{opacity:.75}
.sippet.sippet .said{font-size:1.15em;line-height:1.35;margin:.15em 0 .2em}.sippet.sippet .then{margin:0 0 .4em}
.sippet.sippet table{border-collapse:collapse;color:inherit;font-size:.95em;margin:.3em 0 .5em;table-layout:auto}
.sippet.sippet thead{border:0}.sippet.sippet tbody tr{background:none}
.sippet.sippet th,.sippet.sippet td{border:0;border-bottom:1px solid rgba(128,128,128,.3);padding:.18em .7em .18em 0;text-align:left;vertical-align:top;line-height:1.35}
.sippet.sippet th{font-weight:600;white-space:nowrap}
.sippet.sippet td.n,.sippet.sippet th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.sippet.sippet td.s{white-space:nowrap}
.sippet.sippet .facts th{font-weight:400;opacity:.75;border:0;padding:0 1.6em 0 0}
.sippet.sippet .facts td{font-size:1.15em;font-weight:600;border:0;padding:0 1.6em 0 0;white-space:nowrap}
.sippet.sippet .wide{overflow-x:auto}
.sippet.sippet details{margin:.15em 0}.sippet.sippet summary{cursor:pointer;padding:.1em 0}
.sippet.sippet pre{white-space:pre-wrap;margin:.3em 0}
.sippet.sippet figure{margin:.3em 0 .5em}.sippet.sippet figcaption{opacity:.75;font-size:1em;font-style:normal;text-align:left}
.sippet.sippet .lanes{display:block;width:100%;height:auto;overflow:visible}
.sippet.sippet .chart{display:block;width:100%;max-width:54em;height:auto;overflow:visible;font-family:inherit;font-size:13px}
.sippet.sippet .chart text{fill:currentColor}.sippet.sippet .chart .value{opacity:.8}
.sippet.sippet .chart .pos{fill:#4a87c7}.sippet.sippet .chart .neg{fill:#c46a35}
.sippet.sippet .chart .quiet{fill:currentColor;opacity:.4}.sippet.sippet .chart .axis{stroke:currentColor;opacity:.5}
</style>"""

_SHORT: Final = 22
_FEWEST, _MOST = 3, 8


def html_text(text: str) -> str:
    """Return a paragraph of escaped text."""
    return f"<p>{escape(unbroken(text))}</p>"


def _headline(text: str) -> str:
    """Return what comes first: the sentence that is the answer, which stands out, and what goes with it."""
    answer, stop, rest = unbroken(text).partition(". ")
    more = f'<p class="then">{escape(rest)}</p>' if rest else ""
    return f'<p class="said"><strong>{escape(answer + stop.strip())}</strong></p>{more}'


def paragraphs(sentences: Sequence[str]) -> str:
    """Return sentences that say what matters, each on its own."""
    return "".join(html_text(sentence) for sentence in sentences)


def section(title: str, *parts: str) -> str:
    """Return a titled group of HTML parts; the parts must be HTML already."""
    return f"<h4>{escape(title)}</h4>{''.join(parts)}"


def folded(title: str, *parts: str) -> str:
    """Return HTML parts that open on a click."""
    return f"<details><summary>{escape(title)}</summary>{''.join(parts)}</details>"


def chart_figure(title: str, svg: str, *, width: str = "54em") -> str:
    """Return a chart with its title; the SVG is escaped already and says in words what it shows.

    The colour of its letters is written where it cannot be taken away with the style;
    `width` is the most that it takes.
    """
    style = f"fill:currentColor;font-size:13px;max-width:{width}"
    return f'<figure style="{style}"><figcaption>{escape(title)}</figcaption>{svg}</figure>'


def card(
    title: str,
    values: Mapping[str, object] | None = None,
    *parts: str,
    subtitle: str | None = None,
    verdict: str | None = None,
    tone: str = "",
) -> str:
    """Return a whole notebook card: a title, the answer, plain values, then further HTML parts.

    Parameters
    ----------
    title, subtitle, verdict
        Plain text; escaped here. The verdict is the answer and stands out.
    values
        Name to value; both escaped here. Short ones stand side by side.
    parts
        HTML from `html_table`, `section` or `html_text`, placed as they are.
    tone
        ``ok``, ``warn`` or ``stop`` colours the edge; empty leaves it grey.
    """
    sub = f'<p class="sub">{escape(subtitle)}</p>' if subtitle else ""
    said = _headline(verdict) if verdict else ""
    tone_class = f" {tone}" if tone in _TONES else ""
    return (
        f'<div class="sippet">{_STYLE}<div class="card{tone_class}">'
        f"<h4>{escape(title)}</h4>{sub}{said}{_values(values or {})}{''.join(parts)}</div></div>"
    )


def _values(values: Mapping[str, object]) -> str:
    """Return values under their names where they are short, the others beside their names."""
    shown = {label(name): show_value(value) for name, value in values.items()}
    short = [name for name, text in shown.items() if len(text) <= _SHORT]
    beside = [name for name in shown if name not in short] if len(short) >= _FEWEST else list(shown)
    across = [name for name in shown if name not in beside]
    tables = [_across(across[at : at + _MOST], shown) for at in range(0, len(across), _MOST)]
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(shown[name])}</td></tr>' for name in beside
    )
    return "".join(tables) + (f'<div class="wide"><table><tbody>{rows}</tbody></table></div>' if rows else "")


def _across(names: Sequence[str], shown: Mapping[str, str]) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in names)
    cells = "".join(f"<td>{escape(shown[name])}</td>" for name in names)
    table = f'<table class="facts"><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>'
    return f'<div class="wide">{table}</div>'
