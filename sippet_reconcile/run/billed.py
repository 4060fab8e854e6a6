"""Tell what each call of a run was billed by just ahead of it, and is by now, as the log has it.

Input are the records of a run and its plan, which knows the numbers and days that the log
does not have; output are calls with seconds. Only what the run wrote is a change: what a
call was found to hold otherwise is the same before and after.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.audit import Outcome
from sippet_reconcile.billing import BilledSeconds
from sippet_reconcile.errors import InputError, ReconcileError
from sippet_reconcile.keys import match_positions
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.run.model import Run

__all__ = ["billed_calls"]

_DURATION: Final = "duration_seconds"


def billed_calls(run: Run, plan: Plan | None) -> BilledSeconds:
    """Return every call of a run with its seconds ahead of the run and now, in plan order.

    Raises
    ------
    InputError
        If the plan is not there, or is that of another run.
    """
    plan = _plan_of(run, plan)
    records = run.records
    planned = plan.billed_seconds()
    calls = planned.calls
    at = match_positions(text_array(records["call_id"]), text_array(calls["call_id"]))
    if (at < 0).any() or len(records) != len(calls):
        msg = (
            f"the run has {len(records):,} calls and its plan {len(calls):,}, or they are others: "
            "this is a defect, please report it"
        )
        raise ReconcileError(msg)
    calls = calls.take(at).reset_index(drop=True)
    names = ("outcome", "before", "after", "observed", "reread")
    told = [
        _seconds(*texts, otherwise=None if pd.isna(seconds) else int(seconds))
        for *texts, seconds in zip(*(records[name] for name in names), calls["before_s"], strict=True)
    ]
    before = pd.array([held for held, _, _ in told], dtype="Int64")
    after = pd.array([holds for _, holds, _ in told], dtype="Int64")
    is_unknown = np.array([unknown for _, _, unknown in told], np.bool_)
    return BilledSeconds(
        calls.assign(before_s=before, after_s=after),
        planned.basis,
        planned.timezone,
        is_unknown=is_unknown if is_unknown.any() else None,
    )


def _plan_of(run: Run, given: Plan | None) -> Plan:
    """Return the plan of a run: the one that is given, or the one that it was applied from."""
    plan = run.plan if given is None else given
    if plan is None:
        msg = (
            f"run {run.run_id} was read from its log, which has neither numbers nor days of calls: pass its plan as well, "
            "plan=Plan.load(path)"
        )
        raise InputError(msg)
    plan_id = getattr(plan, "plan_id", None)
    if plan_id is None:
        msg = f"plan is {type(plan).__name__}, not a Plan: read it with Plan.load(path)"
        raise InputError(msg)
    if plan_id != run.plan_id:
        msg = f"run {run.run_id} is one of plan {run.plan_id[:12]}, and the plan given is {plan_id[:12]}: pass the plan of the run"
        raise InputError(msg)
    return plan


def _seconds(
    outcome: str,
    before: str | None,
    after: str | None,
    observed: str | None,
    reread: str | None,
    *,
    otherwise: int | None,
) -> tuple[int | None, int | None, bool]:
    """Return the seconds ahead of the run, those by now, and whether nobody knows these.

    Parameters
    ----------
    outcome, before, after, observed, reread
        Of a row of `Run.records`.
    otherwise
        The seconds that the plan has, where no duration is planned and none was read.
    """
    held, meant, found = _values(before), _values(after), _values(observed)
    others = _values(reread)
    first = _whole(held.get(_DURATION, others.get(_DURATION, otherwise)))
    is_meant = _DURATION in meant
    if outcome == Outcome.MISSING.value:
        return first, first, True
    if outcome == Outcome.APPLIED.value:
        return first, _whole(meant[_DURATION]) if is_meant else first, False
    if outcome == Outcome.ALREADY.value and is_meant:
        now = _whole(meant[_DURATION])
        return now, now, False
    if (
        outcome in {Outcome.DRIFTED.value, Outcome.ALTERED.value, Outcome.UNKNOWN.value}
        and _DURATION in found
    ):
        now = _whole(found[_DURATION])
        return (now if outcome == Outcome.DRIFTED.value else first), now, False
    # Of what was, or may have been, written nobody has read the outcome.
    is_lost = outcome == Outcome.ALTERED.value or (outcome == Outcome.UNKNOWN.value and is_meant)
    return first, first, is_lost


def _values(text: str | None) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
    return values


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
