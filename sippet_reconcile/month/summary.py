"""What is written down of a month: counts, findings, the plan, every file with its hash.

Input is what a run came to, output are plain values in an order that never changes.
Numbers of phones are masked, and there is no token: nothing that holds one comes here.
"""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from sippet_reconcile._display import mask_in_name, mask_number, mask_text
from sippet_reconcile._version import __version__
from sippet_reconcile.month.evidence import sources_told
from sippet_reconcile.month.previous import Previous
from sippet_reconcile.month.snapshot import Snapshot
from sippet_reconcile.month.work import Work
from sippet_reconcile.plan import Plan
from sippet_reconcile.plan.approval import people_of
from sippet_reconcile.reconciliation import Reconciliation

__all__ = ["masked", "summary_of"]

_EXACT: Final = frozenset(
    {"sha256", "plan_id", "short_id", "keys", "files", "versions", "by_currency", "sentence"}
)
"""Hashes, names that the program itself gives, and amounts of money, whose digits are no number of a phone."""

_COUNTED: Final = (
    "legs", "calls", "compared", "matched", "only_in_cdr", "only_in_api", "ambiguous_calls", "excluded_calls",
    "discrepancies", "calls_with_discrepancies", "patchable_discrepancies", "patchable_calls",
    "discrepancies_by_field", "duration_net_s", "duration_gross_s",
)  # fmt: skip


def summary_of(
    work: Work,
    snapshot: Snapshot,
    rec: Reconciliation,
    plan: Plan | None,
    *,
    before: Previous,
    agreed: bool,
    money: Any,
    **ended: Any,
) -> dict[str, Any]:
    """Return what ``summary.json`` holds, but for its seal.

    Parameters
    ----------
    work
        The run.
    snapshot, rec, plan
        What its steps came to; no plan where it was stopped.
    before
        What an earlier month settled.
    agreed
        Whether what durations mean is as it was there, or was settled by a person.
    money
        What the plan is worth, by currency; None without a rate card.
    ended
        How it ended: ``outcome``, ``exit_code``, ``verdict``, ``stops``, ``next``.
    """
    said, config, card = rec.summary(), work.config, work.inputs.card
    rules = rec.rules.to_dict()
    rules["internal_numbers"] = [mask_number(number) for number in rules["internal_numbers"]]
    aside = sorted(path.name for path in work.folder.path.glob("*.*.*") if not path.name.startswith("."))
    values = {
        "month": work.month,
        "period": work.period.to_dict(),
        **ended,
        "counts": {name: said[name] for name in _COUNTED if name in said},
        "causes": said["causes"],
        "findings": [
            {"code": one.code, "severity": str(one.severity), "message": one.message, "advice": one.advice}
            for one in rec.findings
        ],
        "duration": {
            "asked": config.rules.duration,
            "settled": rec.rules.duration,
            "previous_month": before.month,
            "previous": before.duration,
            "agreed": agreed,
        },
        "plan": None if plan is None else _plan_told(plan),
        "money": money,
        "api_url": snapshot.url or None,
        "fetched_at": None if snapshot.fetched_at is None else snapshot.fetched_at.isoformat(),
        "filters": config.api.filters,
        "sources": sources_told(work),
        "rate_card": None if card is None else {"path": card.source, "sha256": card.sha256},
        "rules": rules,
        "plan_options": asdict(config.plan),
        "report_options": asdict(config.report),
        "set_aside": aside,
        "versions": {
            "sippet_reconcile": __version__,
            "python": platform.python_version(),
            "pandas": pd.__version__,
            "pyarrow": pa.__version__,
        },
        "keys": dict(sorted(work.keys.items())),
        "files": dict(sorted(work.files.items())),
    }
    told: dict[str, Any] = masked(values)
    return told


def _plan_told(plan: Plan) -> dict[str, Any]:
    said = plan.summary()
    return {
        "plan_id": plan.plan_id,
        "short_id": plan.short_id,
        "created_at": plan.created_at.isoformat(),
        "calls": said["calls"],
        "changes": said["changes"],
        "net_s": said["net_s"],
        "left_out": said["left_out"],
        "approved_by": list(people_of(plan.approvals)),
    }


def masked(value: Any, name: str = "") -> Any:
    """Return plain values in which the middle of whatever may be a phone number is hidden.

    Examples
    --------
    >>> masked({"where": "from_number == '+442079460123'", "sha256": "1234567"})
    {'where': "from_number == '+44••••••••23'", 'sha256': '1234567'}
    """
    if name in _EXACT:
        return value
    if isinstance(value, dict):
        return {mask_text(key): masked(item, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, name) for item in value]
    if isinstance(value, str):
        return mask_in_name(value) if name == "path" else mask_text(value)
    return value
