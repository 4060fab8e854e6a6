"""Discrepancies, or a person's corrections, become a plan: frozen, fingerprinted, approved.

`build_plan` and `plan_corrections` make one; a revert is made by `Plan.from_changes`.
A plan prints its dry run, is saved to one file, and hands out its requests. Nothing
in here sends anything.
"""

from __future__ import annotations

from sippet_reconcile.plan.approval import Approval
from sippet_reconcile.plan.build import build_plan
from sippet_reconcile.plan.corrections import plan_corrections
from sippet_reconcile.plan.model import Plan
from sippet_reconcile.plan.requests import PlannedRequest

__all__ = ["Approval", "Plan", "PlannedRequest", "build_plan", "plan_corrections"]
