"""Match CDR legs with calls of the API, compare them, explain and diagnose."""

from sippet_reconcile.reconciliation.check import check_calls
from sippet_reconcile.reconciliation.findings import Finding, Findings
from sippet_reconcile.reconciliation.result import Reconciliation
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.steps import reconcile
from sippet_reconcile.reconciliation.storage import load_reconciliation

__all__ = [
    "Finding",
    "Findings",
    "Reconciliation",
    "Rules",
    "check_calls",
    "load_reconciliation",
    "reconcile",
]
