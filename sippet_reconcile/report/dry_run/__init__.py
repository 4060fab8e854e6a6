"""The dry run of a plan, from its plain facts: the document that a person reads before they say yes."""

from __future__ import annotations

from sippet_reconcile.report.dry_run.facts import DryRunFacts
from sippet_reconcile.report.dry_run.report import DryRunReport

__all__ = ["DryRunFacts", "DryRunReport"]
