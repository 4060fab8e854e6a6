"""A whole month in one unattended step: read, reconcile, plan and report; it never sends anything.

Input is a month and a configuration file, output a folder that a person reviews. What is
unchanged since the last time is kept.
"""

from __future__ import annotations

from sippet_reconcile.month.config import MonthConfig
from sippet_reconcile.month.reconciling import reconcile_month
from sippet_reconcile.month.result import MonthOutcome, MonthResult

__all__ = ["MonthConfig", "MonthOutcome", "MonthResult", "reconcile_month"]
