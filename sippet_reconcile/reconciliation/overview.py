"""Put what a reconciliation says first on one page: verdict, findings, causes, and only then the differences.

Input are the summary of a reconciliation and what else a reader meets at once, output
is a notebook card, a page for a terminal, or rules to pin. Nothing is computed here.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import (
    MAX_ROWS,
    card,
    chart_figure,
    escape,
    folded,
    html_table,
    html_text,
    mask_text,
    paragraphs,
    plural,
    section,
    signed,
    text_table,
    visible,
)
from sippet_reconcile.reconciliation.page import (
    compact_table,
    findings_table,
    hide_numbers,
)

if TYPE_CHECKING:
    import pandas as pd

    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.rollup import RollUp
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["overview_html", "overview_text", "rules_to_pin"]

_WIDTH: Final = 110
_BARS: Final = 8
"""Causes that the chart of a card shows at most, and then their figures."""

_ROWS: Final = 5
_SECONDS: Final = "CDR − API (s)"
_HEADS: Final = {
    "call_id": "call",
    "field": "field",
    "value_call": "the API says",
    "value_cdr": "the CDR says",
    "delta_s": _SECONDS,
    "explanation": "cause",
    "source": "CDR line",
}


def _counted(said: dict[str, Any]) -> str:
    return (
        f"{plural(said['matched'], 'matched call')}, {said['only_in_cdr']:,} only in the CDR, "
        f"{said['only_in_api']:,} only in the API, {said['ambiguous_calls']:,} ambiguous, "
        f"{said['excluded_calls']:,} excluded; {plural(said['discrepancies'], 'discrepancy', 'discrepancies')} "
        f"in {plural(said['calls_with_discrepancies'], 'call')}."
    )


def overview_html(
    said: dict[str, Any], findings: Findings, causes: RollUp, largest: pd.DataFrame, balance: pd.DataFrame
) -> str:
    """Return the notebook card.

    Parameters
    ----------
    said
        `Reconciliation.summary`.
    findings, causes, balance
        As the reconciliation has them.
    largest
        The discrepancies to show.
    """
    parts = [html_text(_counted(said))]
    if len(findings) or said["not_enough_evidence"]:
        parts.append(section("Findings", findings_table(findings)))
    if causes.sentences:
        parts.append(section("Causes", _leading(causes)))
    if len(largest):
        table = html_table(_readable(largest), max_rows=_ROWS, right=[_SECONDS], n_rows=said["discrepancies"])
        parts.append(section("Largest discrepancies", table))
    parts.append(
        folded(
            "Balance: where every row ended up",
            compact_table(balance.loc[balance["rows"].gt(0)], max_rows=MAX_ROWS),
        )
    )
    checks = findings.checks
    if len(checks):
        parts.append(folded("What was looked for", compact_table(checks, max_rows=MAX_ROWS)))
    parts.append(folded("Rules to pin", f"<pre>{escape(mask_text(said['proposed_rules_toml']))}</pre>"))
    tone = "stop" if said["stops"] else "warn" if said["discrepancies"] else "ok"
    subtitle = said["period"] or "no period: everything that was handed in"
    return card("Reconciliation", None, *parts, subtitle=subtitle, verdict=said["verdict"], tone=tone)


def _leading(causes: RollUp) -> str:
    """Return the sentences, the leading causes as a chart and, folded away, all of them in figures."""
    chart = causes.chart
    if len(chart.bars) > _BARS:
        least = sorted((bar.value for bar in chart.bars), reverse=True)[_BARS - 1]
        bars = tuple(bar for bar in chart.bars if bar.value >= least)[:_BARS]
        title = f"{chart.title}, the {len(bars)} largest of {len(causes.frame)}"
        chart = replace(chart, title=title, bars=bars)
    figures = folded("All of them in figures", compact_table(hide_numbers(causes.frame), max_rows=MAX_ROWS))
    sentences = [mask_text(sentence) for sentence in causes.sentences]
    return paragraphs(sentences) + chart_figure(chart.title, chart.masked().to_svg()) + figures


def overview_text(said: dict[str, Any], findings: Findings, causes: RollUp, largest: pd.DataFrame) -> str:
    """Return the page for a terminal, in the order of the card; evidence, balance and rules are left to their frames."""
    blocks = [_filled(said["verdict"]), _filled(_counted(said))]
    for finding in findings:
        told = _filled(f"[{finding.severity.value}] {finding.code}: {mask_text(finding.message)}")
        blocks.append(
            "\n".join([told, *(_indented(f"next: {mask_text(finding.advice)}") if finding.advice else [])])
        )
    if findings.untold:
        blocks.append(_filled(mask_text(findings.untold)))
    if causes.sentences:
        first, second = (_filled(mask_text(sentence)) for sentence in causes.sentences)
        blocks += [f"{first}\n{second}", f"{causes.chart.title}\n{causes.chart.masked().to_text(_WIDTH)}"]
    if len(largest):
        shown = _readable(largest)
        heads = [str(name) for name in shown.columns]
        rows = zip(*(shown[name].tolist() for name in heads), strict=True)
        table = text_table(rows, heads, right=[_SECONDS])
        blocks.append(f"Largest discrepancies\n{table}")
    return visible("\n\n".join(blocks))


def _readable(largest: pd.DataFrame) -> pd.DataFrame:
    """Return discrepancies as the report shows them: its heads, signs, and where the CDR is."""
    shown = hide_numbers(largest)
    line = shown["source_file"] + ":" + shown["source_row"].astype("str")
    seconds = shown["delta_s"].map(signed, na_action="ignore").astype("str")
    return shown.assign(delta_s=seconds, source=line)[list(_HEADS)].rename(columns=_HEADS)


def _filled(text: str) -> str:
    # What is written out takes more room than what it stands for.
    return textwrap.fill(visible(text), _WIDTH)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(visible(text), _WIDTH, initial_indent="  ", subsequent_indent="  ")


def rules_to_pin(rules: Rules, findings: Findings) -> str:
    r"""Return the rules as applied, as TOML, and the cures that were measured as comments in it.

    The text reads back as the very rules that were applied: whoever wants a cure puts
    its line in the place of the one that it replaces.

    Examples
    --------
    >>> from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
    >>> from sippet_reconcile.reconciliation.rules import Rules
    >>> ahead = Finding("clock-offset", Severity.STOP, "The CDR's clock is 7 s ahead.", cure={"clock_offset_s": 7})
    >>> print("\n".join(rules_to_pin(Rules(), Findings([ahead])).splitlines()[:4]))
    # Measured, not applied; to pin one of these lines, put it in the place of the rule of its name below:
    # clock-offset: The CDR's clock is 7 s ahead.
    # clock_offset_s = 7
    <BLANKLINE>
    """
    applied, cures = rules.to_toml(), findings.cures_toml()
    if not cures:
        return applied
    measured = [line if line.startswith("#") else f"# {line}".rstrip() for line in cures.splitlines()]
    note = "# Measured, not applied; to pin one of these lines, put it in the place of the rule of its name below:"
    return "\n".join([note, *measured, "", applied])
