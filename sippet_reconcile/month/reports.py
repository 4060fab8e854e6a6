"""What people read of a month: the reconciliation, the dry run, and the workbook to answer in.

Input are the reconciliation and the plan, output are their files. A workbook in which
somebody has answered is never written over.
"""

from __future__ import annotations

import shlex
from importlib.util import find_spec

from sippet_reconcile.month.folder import DRY_RUN, PLAN, RECONCILIATION, REPORT, REVIEW
from sippet_reconcile.month.work import Work
from sippet_reconcile.plan import Plan
from sippet_reconcile.reconciliation import Reconciliation
from sippet_reconcile.report import DryRunReport

__all__ = ["write_dry_run", "write_report", "write_review"]


def write_report(work: Work, rec: Reconciliation) -> None:
    """Write the report of the reconciliation."""
    mask = work.config.report.mask
    key = work.key_of(reconciliation=work.keys[RECONCILIATION], mask=mask)
    is_kept = work.is_unchanged(REPORT, key)
    if not is_kept:
        rec.to_html(work.folder / REPORT, mask=mask)
    work.settle(REPORT, key, is_kept=is_kept)


def write_dry_run(work: Work, plan: Plan, dry_run: DryRunReport) -> None:
    """Write the dry run as a page; an approval is told in it."""
    approvals = [approval.to_dict() for approval in plan.approvals]
    key = _key(work, plan, approvals=approvals)
    is_kept = work.is_unchanged(DRY_RUN, key)
    if not is_kept:
        dry_run.to_html(work.folder / DRY_RUN, mask=work.config.report.mask)
    work.settle(DRY_RUN, key, is_kept=is_kept)


def write_review(work: Work, plan: Plan, dry_run: DryRunReport) -> None:
    """Write the workbook, or say why there is none; one with answers stays, or is set aside for a new one."""
    key = _key(work, plan)
    is_there = (work.folder / REVIEW).exists()
    is_written = is_there and work.folder.stands(REVIEW, work.written)
    is_answered = is_there and not is_written and work.folder.is_workbook(REVIEW)
    is_same = work.before.get("keys", {}).get(REVIEW) == key
    if is_same and (is_written or is_answered):
        work.settle(REVIEW, key, is_kept=True)
        if is_answered:
            plan_file, review, smaller = (
                shlex.quote(str(work.folder / name)) for name in (PLAN, REVIEW, "reviewed.parquet")
            )
            work.note(
                f"{REVIEW} has been worked on since it was written, and stays as it is. Its answers are read back with: "
                f"sippet-reconcile plan {plan_file} --reviewed {review} --out {smaller}"
            )
        return
    if is_answered:
        aside = work.folder.set_aside(REVIEW, plan.short_id)
        work.note(f"{REVIEW} had been worked on, and is set aside as {aside}.")
    elif is_same:
        work.note(f"{REVIEW} was damaged or taken away: it is made again.")
    if find_spec("xlsxwriter") is None:
        if is_there and not is_answered:
            work.folder.set_aside(REVIEW, plan.short_id)
        work.note(f"There is no {REVIEW}: it needs the extra excel (pip install 'sippet-reconcile[excel]').")
        return
    dry_run.to_excel(work.folder / REVIEW, mask=work.config.report.mask)
    work.settle(REVIEW, key, is_kept=False)


def _key(work: Work, plan: Plan, **more: object) -> str:
    card, report = work.inputs.card, work.config.report
    return work.key_of(
        plan=plan.plan_id,
        card=None if card is None else card.sha256,
        rate=report.rate,
        mask=report.mask,
        **more,
    )
