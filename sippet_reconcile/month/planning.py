"""The plan of the month: kept with its approvals as long as it says the same, else made anew.

Input is the reconciliation, and whether the month before settled otherwise, output is a plan, or the
reasons why there is none. A plan that no longer holds is set aside under its own id,
with its dry run and its workbook.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from sippet_reconcile._display import plural
from sippet_reconcile.errors import PlanError, PlanGuardError
from sippet_reconcile.month.folder import DRY_RUN, PLAN, RECONCILIATION, REVIEW
from sippet_reconcile.month.places import FileFacts
from sippet_reconcile.month.work import Work
from sippet_reconcile.plan import Plan, build_plan
from sippet_reconcile.reconciliation import Reconciliation

__all__ = ["plan_month", "says_the_same"]

_FRAMES: Final = (
    "changes",
    "calls",
    "left_out",
    "ledger",
    "findings",
    "balance",
    "not_patchable",
    "disputes",
)
_VALUES: Final = ("kind", "api_url", "period", "rules", "accept", "selection", "n_compared")


def plan_month(work: Work, rec: Reconciliation, flip: str | None) -> tuple[Plan | None, tuple[str, ...]]:
    """Return the plan of the month, or no plan and why.

    `flip` says why the basis that the data settled may not be planned from; None where it may.

    Raises
    ------
    InputError
        If an option of the plan cannot be used with this reconciliation.
    """
    options = work.config.plan
    stops = [
        f"{finding.code}: {finding.message} {finding.advice}".rstrip()
        for finding in rec.findings.stops
        if finding.code not in options.accept
    ]
    if (
        not rec.n_compared
        and "empty-side" not in options.accept
        and not any(finding.code == "empty-side" for finding in rec.findings.stops)
    ):
        stops.append(_nothing_compared(rec, work.month))
    if flip is not None:
        stops.append(flip)
    if stops:
        _set_aside(work, _old_plan(work))
        return None, tuple(stops)
    key = work.key_of(reconciliation=work.keys[RECONCILIATION], options=asdict(options))
    old = _old_plan(work)
    if old is not None and _is_of_the_last_run(work, old, key):
        work.settle(PLAN, key, is_kept=True)
        work.files |= work.folder.facts(PLAN)  # an approval changes the file, and not the plan
        return old, ()
    try:
        new = build_plan(rec, **asdict(options))
    except PlanGuardError as exc:
        _set_aside(work, old)
        return None, (f"{exc} (where, max_calls and max_share are keys of [plan])",)
    if old is not None and says_the_same(old, new):
        work.settle(PLAN, key, is_kept=True)
        work.files |= work.folder.facts(PLAN)
        return old, ()
    _set_aside(work, old)
    new.save(work.folder / PLAN)
    work.settle(PLAN, key, is_kept=False)
    return new, ()


def _nothing_compared(rec: Reconciliation, month: str) -> str:
    """Return why a month of which nothing could be compared is not one in which everything agrees."""
    said = rec.summary()
    return (
        f"empty-side: {plural(said['legs'], 'row')} of the exports and {plural(said['calls'], 'Call record')} were read, and not one "
        f"call of {month} is on both sides. Check the month, the files of its sources, their timezone, and "
        "where the calls come from."
    )


def says_the_same(one: Plan, other: Plan) -> bool:
    """Tell whether two plans are the same but for when they were made, and who approved them."""
    return all(getattr(one, name) == getattr(other, name) for name in _VALUES) and all(
        getattr(one, name).equals(getattr(other, name)) for name in _FRAMES
    )


def _old_plan(work: Work) -> Plan | None:
    """Return the plan that lies in the folder; None where there is none that can be read."""
    try:
        return Plan.load(work.folder / PLAN)
    except PlanError:
        return None


def _is_of_the_last_run(work: Work, plan: Plan, key: str) -> bool:
    """Tell whether a plan is the one that was made last, from what it would be made from now."""
    keys, told = work.before.get("keys", {}), work.before.get("plan")
    is_same = keys.get(PLAN) == key
    is_ours = isinstance(told, dict) and told.get("plan_id") == plan.plan_id
    if is_same and not is_ours:
        work.note(f"{PLAN} was another plan than the one that was made here.")
    return is_same and is_ours


def _set_aside(work: Work, plan: Plan | None) -> None:
    """Give a plan, its dry run and its workbook names with its id in them."""
    path = work.folder / PLAN
    told = work.before.get("plan")
    # The plan may be another one that somebody put there: the reports are still those of the plan that was made.
    made = str(told["short_id"]) if isinstance(told, dict) else None
    if plan is not None:
        mark = plan.short_id
    elif path.exists():
        mark = f"damaged-{FileFacts.of(path).sha256[:12]}"
    else:
        mark = made or "old"
    moved = [
        work.folder.set_aside(name, mark if name == PLAN else made or mark)
        for name in (PLAN, DRY_RUN, REVIEW)
    ]
    names = [name for name in moved if name is not None]
    work.forget((PLAN, DRY_RUN, REVIEW))
    if names:
        approved = " (it is approved)" if plan is not None and plan.approvals else ""
        work.note(f"The earlier plan no longer holds, and is set aside{approved}: {', '.join(names)}.")
