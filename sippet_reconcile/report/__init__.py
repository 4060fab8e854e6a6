"""Whole documents, in HTML, Markdown, JSON and plain text, from plain data.

`Document` and `Section` are for any result; `DryRunReport` is the one that a plan
prints. Nothing in here knows a plan or a reconciliation.
"""

from __future__ import annotations

from sippet_reconcile.report.charts import Bar, BarChart, Chart, ColumnChart
from sippet_reconcile.report.document import Document
from sippet_reconcile.report.dry_run import DryRunFacts, DryRunReport
from sippet_reconcile.report.durations import in_words, signed_in_words
from sippet_reconcile.report.money_sums import MoneyFacts
from sippet_reconcile.report.page import MAX_HTML_ROWS
from sippet_reconcile.report.section import Section
from sippet_reconcile.report.text import document_text

__all__ = [
    "MAX_HTML_ROWS",
    "Bar",
    "BarChart",
    "Chart",
    "ColumnChart",
    "Document",
    "DryRunFacts",
    "DryRunReport",
    "MoneyFacts",
    "Section",
    "document_text",
    "in_words",
    "signed_in_words",
]
