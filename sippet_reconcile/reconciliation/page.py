"""The parts that the pages of findings and of a reconciliation are put together from.

Input are frames and findings, output is HTML that is escaped already: no scripts, no
outside files, colours from the notebook's theme. What a reader needs at once stands
open; what proves it is folded away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile._display import (
    escape,
    folded,
    html_table,
    mask_text,
    plural,
    shortened,
)
from sippet_reconcile.report.section import hidden_numbers

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.findings import Finding, Findings

__all__ = [
    "compact_table",
    "findings_table",
    "hide_numbers",
    "is_share",
    "readable",
    "shares_in_per_cent",
    "shown_evidence",
]

SHOWN_ROWS: Final = 10
"""Rows of evidence that a finding shows; all of them stay in its frame."""

_LONGEST: Final = 120

_COLOURS: Final = {"stop": "#c62828", "warn": "#ef8f00", "info": "#5c8fd6"}


def compact_table(frame: pd.DataFrame, *, max_rows: int = SHOWN_ROWS, n_rows: int | None = None) -> str:
    """Return the first rows of a frame, lines of files without thousands separators, shares in per cent."""
    n_rows = len(frame) if n_rows is None else n_rows
    shown = shares_in_per_cent(frame.head(max_rows))
    shares = [name for name in frame.columns if is_share(name)]
    return html_table(shown, max_rows=max_rows, plain_numbers=("source_row",), right=shares, n_rows=n_rows)


def is_share(name: object) -> bool:
    """Tell whether a column holds shares, which people read in per cent.

    Examples
    --------
    >>> [is_share(name) for name in ("share", "share_at_least", "proven_share", "shared_s")]
    [True, True, True, False]
    """
    return "share" in str(name).split("_")


def shares_in_per_cent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows with their shares as texts, missing where they are."""
    numbers = [
        name for name in frame.columns if is_share(name) and pd.api.types.is_numeric_dtype(frame[name].dtype)
    ]
    said = {
        name: frame[name].astype("Float64").map("{:.1%}".format, na_action="ignore").astype("str")
        for name in numbers
    }
    return frame.assign(**said)


def hide_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows as they may be shown: phone numbers masked, texts that never end cut.

    Examples
    --------
    >>> rows = pd.DataFrame({"field": ["to_number", "ended_at"], "value_call": ["02079460123", "2026-10-01T09:00:00Z"]})
    >>> hide_numbers(rows)["value_call"].tolist()
    ['02•••••••23', '2026-10-01T09:00:00Z']
    """
    shown = hidden_numbers(frame)
    texts = {
        str(name): shown[name].map(_cut, na_action="ignore").astype("str")
        for name in shown.columns
        if isinstance(shown[name].dtype, pd.StringDtype)
    }
    return shown.assign(**texts)


def _cut(text: str) -> str:
    return shortened(text, _LONGEST)


def readable(evidence: pd.DataFrame) -> pd.DataFrame:
    """Return evidence without its index, unless the index has a name and so says something."""
    return evidence.reset_index() if evidence.index.name else evidence.reset_index(drop=True)


def shown_evidence(finding: Finding) -> str:
    """Return the first rows of a finding's evidence, numbers masked; nothing where there is none."""
    n_rows = len(finding.evidence)
    rows = hide_numbers(readable(finding.evidence.head(SHOWN_ROWS)))
    return compact_table(rows, n_rows=n_rows) if n_rows else ""


def findings_table(findings: Findings) -> str:
    """Return one row per finding: how serious it is, its code, what was seen, what to do.

    The evidence is folded away below; what too few rows could tell is one quiet line.
    """
    quiet = f'<p class="more">{escape(mask_text(findings.untold))}</p>' if findings.untold else ""
    if not len(findings):
        return quiet
    cell = '<td style="white-space:nowrap">'
    rows = "".join(
        f'<tr>{cell}<span style="color:{_COLOURS[finding.severity.value]}">●</span> {escape(finding.severity.value)}</td>'
        f"{cell}<b>{escape(finding.code)}</b></td><td>{escape(mask_text(finding.message))}</td><td>{escape(mask_text(finding.advice))}</td></tr>"
        for finding in findings
    )
    heads = "".join(f"<th>{name}</th>" for name in ("severity", "finding", "what was seen", "what to do"))
    proven = [
        folded(f"{finding.code}: {plural(len(finding.evidence), 'row')}", evidence)
        for finding in findings
        if (evidence := shown_evidence(finding))
    ]
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return table + (folded("Evidence", *proven) if proven else "") + quiet
