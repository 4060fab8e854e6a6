"""Find wrong Call records by comparing them with CDRs, and correct them safely.

The walk: `read_cdr` and `Client.fetch_calls`, then `reconcile`, `build_plan`,
``plan.dry_run()``, ``plan.approve()``, `apply_plan`, `verify_run`, and `revert_run`
where something must be undone. Names are loaded when they are first used, so that
importing the package costs nothing.

Examples
--------
>>> import sippet_reconcile as sr
>>> sr.Period.month("2026-10", timezone="Europe/London").label
'2026-10-01 00:00 to 2026-11-01 00:00 (Europe/London, end excluded)'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sippet_reconcile._version import __version__

if TYPE_CHECKING:
    from sippet_reconcile.api import Client, read_calls
    from sippet_reconcile.apply import apply_plan
    from sippet_reconcile.audit import AuditLog
    from sippet_reconcile.billing import RateCard, billing_impact, rate_calls
    from sippet_reconcile.cdr import cdr_from_frame, describe_cdr, iter_cdr, read_cdr, sniff_cdr
    from sippet_reconcile.errors import (
        ApiError,
        AuditError,
        CdrFormatError,
        InputError,
        PlanDriftError,
        PlanError,
        PlanGuardError,
        PlanNotApprovedError,
        ReconcileError,
        RejectedError,
        SchemaError,
        TransientApiError,
        UnexpectedResponseError,
    )
    from sippet_reconcile.month import MonthConfig, MonthResult, reconcile_month
    from sippet_reconcile.period import Period
    from sippet_reconcile.plan import Plan, build_plan, plan_corrections
    from sippet_reconcile.reconciliation import (
        Evidence,
        Finding,
        Reconciliation,
        Rules,
        check_calls,
        corrections_from_times,
        explanation,
        load_reconciliation,
        reconcile,
        remove_explanation,
        temporary_explanations,
    )
    from sippet_reconcile.report import DryRunReport
    from sippet_reconcile.revert import revert_run
    from sippet_reconcile.run import Run, load_run
    from sippet_reconcile.schema import PATCHABLE
    from sippet_reconcile.verify import Verification, verify_run

__all__ = [
    "PATCHABLE",
    "ApiError",
    "AuditError",
    "AuditLog",
    "CdrFormatError",
    "Client",
    "DryRunReport",
    "Evidence",
    "Finding",
    "InputError",
    "MonthConfig",
    "MonthResult",
    "Period",
    "Plan",
    "PlanDriftError",
    "PlanError",
    "PlanGuardError",
    "PlanNotApprovedError",
    "RateCard",
    "ReconcileError",
    "Reconciliation",
    "RejectedError",
    "Rules",
    "Run",
    "SchemaError",
    "TransientApiError",
    "UnexpectedResponseError",
    "Verification",
    "__version__",
    "apply_plan",
    "billing_impact",
    "build_plan",
    "cdr_from_frame",
    "check_calls",
    "corrections_from_times",
    "describe_cdr",
    "explanation",
    "iter_cdr",
    "load_reconciliation",
    "load_run",
    "plan_corrections",
    "rate_calls",
    "read_calls",
    "read_cdr",
    "reconcile",
    "reconcile_month",
    "remove_explanation",
    "revert_run",
    "sniff_cdr",
    "temporary_explanations",
    "verify_run",
]

_HOMES = {
    "api": ("Client", "read_calls"),
    "apply": ("apply_plan",),
    "audit": ("AuditLog",),
    "billing": ("RateCard", "billing_impact", "rate_calls"),
    "cdr": ("cdr_from_frame", "describe_cdr", "iter_cdr", "read_cdr", "sniff_cdr"),
    "errors": (
        "ApiError",
        "AuditError",
        "CdrFormatError",
        "InputError",
        "PlanDriftError",
        "PlanError",
        "PlanGuardError",
        "PlanNotApprovedError",
        "ReconcileError",
        "RejectedError",
        "SchemaError",
        "TransientApiError",
        "UnexpectedResponseError",
    ),
    "month": ("MonthConfig", "MonthResult", "reconcile_month"),
    "period": ("Period",),
    "plan": ("Plan", "build_plan", "plan_corrections"),
    "reconciliation": (
        "Evidence",
        "Finding",
        "Reconciliation",
        "Rules",
        "check_calls",
        "corrections_from_times",
        "explanation",
        "load_reconciliation",
        "reconcile",
        "remove_explanation",
        "temporary_explanations",
    ),
    "report": ("DryRunReport",),
    "revert": ("revert_run",),
    "run": ("Run", "load_run"),
    "schema": ("PATCHABLE",),
    "verify": ("Verification", "verify_run"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Load a public name from its module on first use (PEP 562)."""
    module = _MODULE_OF.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
