"""Tell what each call that a plan touches is billed by, before its change and after it.

Input are the frames of a plan, output are its calls with seconds. Of a call whose duration
stays as it is, nothing changes in what it is billed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sippet_reconcile.billing import BILLED_CALLS, BilledSeconds
from sippet_reconcile.phones import e164_array
from sippet_reconcile.plan.frames import to_schema
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from sippet_reconcile.plan.parts import PlanParts

__all__ = ["billed_calls"]

_DURATION: Final = "duration_seconds"
_SUMS: Final = ("n_calls", "before_s", "change_s", "after_s")


def billed_calls(plan: PlanParts) -> BilledSeconds:
    """Return every call that a plan touches with its seconds before and after, in plan order."""
    changes, calls, ledger = plan.changes, plan.calls, plan.ledger
    changed = changes.loc[changes["field"].eq(_DURATION)].set_index("call_id")
    causes = changes.drop_duplicates("call_id").set_index("call_id")["explanation"]
    ids = calls["call_id"]
    is_changed = ids.isin(changed.index).to_numpy("bool")
    before, after = (
        calls[_DURATION].astype("Float64").where(~is_changed, changed[f"{side}_s"].reindex(ids).array)
        for side in ("before", "after")
    )
    explanation = causes.reindex(ids).reset_index(drop=True)
    explanation = explanation.where(~is_changed, changed["explanation"].reindex(ids).array)
    rows = calls.assign(
        to_e164=text_series(e164_array(text_array(calls["to_number"]))),
        explanation=explanation,
        before_s=before,
        after_s=after,
    )
    lines = ledger.loc[ledger["field"].eq(_DURATION) & ledger["is_corrected"].fillna(value=False)]
    sums = {name: float(lines[name].sum()) for name in _SUMS}
    # The ledger of durations does not know calls that are corrected in other fields alone.
    others = float(calls.loc[~is_changed, _DURATION].fillna(0).sum())
    sums["n_calls"] += float((~is_changed).sum())
    sums["before_s"] += others
    sums["after_s"] += others
    # A person's corrections are of the seconds that are billed, where they do not say otherwise.
    basis = plan.rules.duration
    basis = "billable" if basis == "auto" and plan.kind != "reconciliation" else basis
    zone = "UTC" if plan.period is None else plan.period.timezone
    return BilledSeconds(to_schema(rows, BILLED_CALLS), basis, zone, sums)
