"""Take a month from its files to a plan that a person can review; nothing is ever sent.

Input is a month and its configuration, output a folder and how it ended. Each step is
left out where what it depends on is as it was.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from sippet_reconcile._display import plural
from sippet_reconcile.api import Client
from sippet_reconcile.errors import InputError
from sippet_reconcile.month.config import MonthConfig
from sippet_reconcile.month.evidence import reconcile_exports
from sippet_reconcile.month.folder import DRY_RUN, PLAN, REPORT, SUMMARY, MonthFolder
from sippet_reconcile.month.planning import plan_month
from sippet_reconcile.month.previous import AUTO, flip_of, previous_month
from sippet_reconcile.month.reports import write_dry_run, write_report, write_review
from sippet_reconcile.month.result import CODES, MonthOutcome, MonthResult
from sippet_reconcile.month.snapshot import take_snapshot
from sippet_reconcile.month.summary import summary_of
from sippet_reconcile.month.work import Work, find_inputs
from sippet_reconcile.period import Period
from sippet_reconcile.plan import Plan
from sippet_reconcile.progress import Progress
from sippet_reconcile.report import DryRunReport
from sippet_reconcile.report.money import money_sentence

__all__ = ["reconcile_month"]

_NOTHING: Final = "nothing: no plan could correct anything."


def reconcile_month(
    month: str,
    config: MonthConfig,
    *,
    client: Client | None = None,
    fetch_again: bool = False,
    progress: Progress = None,
) -> MonthResult:
    """Fetch, read, reconcile, plan and report one month, unattended; it sends nothing.

    Everything lies in a folder of that month under ``config.output``: the calls as they
    were fetched, the reconciliation, the plan, its dry run as a page and as a workbook to answer
    in, the resolved rules, and ``summary.json``. A second run makes only what has changed:
    exports, rules, options, this program, or a file that was damaged or edited. A plan with
    approvals is kept as long as it says the same, and set aside, never lost, where it does not.

    Parameters
    ----------
    month
        ``"YYYY-MM"``, counted in the zone of the configuration.
    config
        `MonthConfig.from_toml`.
    client
        The API; one of the configured address, with the token of the environment, where absent.
    fetch_again
        Fetch the calls though they are there; without it they are fetched again only where they
        were read before the month had settled (its end plus ``rules.settle_s``).
    progress
        See `sippet_reconcile.progress`.

    Returns
    -------
    MonthResult
        Its ``outcome`` is ``stopped`` where a finding says stop, the plan would touch too much, or
        ``duration = "auto"`` came to something else than in the month before: there is no plan then.

    Raises
    ------
    InputError
        If the month is none, a file is missing or cannot be read, or another run is at the folder.
    ApiError
        If the API does not answer, or refuses.

    Examples
    --------
    >>> from pathlib import Path
    >>> import sippet_reconcile as sr
    >>> sr.reconcile_month("October", sr.MonthConfig(Path("month.toml"), "UTC", Path("months"), ()))
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.InputError: month 'October' is not of the form 'YYYY-MM', such as '2026-10'
    """
    if not isinstance(config, MonthConfig):
        msg = f"config is {type(config).__name__}; not the MonthConfig that is read from its TOML file"
        raise InputError(msg)
    period = Period.month(month, timezone=config.timezone)
    month = month.strip()
    inputs = find_inputs(config, month)
    folder = MonthFolder(config.output / month)
    with folder.holding():
        before, is_damaged = folder.read_summary()
        work = Work(config, month, period, folder, inputs, before, progress)
        if is_damaged:
            work.note(f"{SUMMARY} was damaged or edited: everything is made again.")
        return _walk(work, client, fetch_again=fetch_again)


def _walk(work: Work, client: Client | None, *, fetch_again: bool) -> MonthResult:
    """Take the steps one after the other, and write down each that is done."""
    snapshot = take_snapshot(work, client, fetch_again=fetch_again)
    work.checkpoint()
    rec = reconcile_exports(work, snapshot)
    write_report(work, rec)
    work.checkpoint()
    before = previous_month(work.config.output, work.month)
    if work.config.rules.duration == AUTO:
        work.note(before.told)
    flip = flip_of(work.config.rules.duration, rec.rules.duration, work.month, before)
    plan, stops = plan_month(work, rec, flip)
    money = None
    if plan is not None:
        dry_run = _dry_run(work, plan)
        money = _money(dry_run)
        write_dry_run(work, plan, dry_run)
        write_review(work, plan, dry_run)
    outcome = _outcome(plan)
    verdict = rec.summary()["verdict"]
    if plan is None and not verdict.startswith("Correct nothing yet"):
        verdict = f"Correct nothing yet. {verdict}"
    following = _next(work, plan, outcome)
    summary = summary_of(
        work,
        snapshot,
        rec,
        plan,
        before=before,
        agreed=flip is None,
        money=money,
        outcome=str(outcome),
        exit_code=CODES[outcome],
        verdict=verdict,
        stops=list(stops),
        next=following,
    )
    work.folder.write_summary(summary)
    return MonthResult(
        month=work.month,
        folder=work.folder.path,
        outcome=outcome,
        verdict=verdict,
        stops=stops,
        steps=dict(work.steps),
        notes=tuple(work.notes),
        next_step=following,
        plan=plan,
        reconciliation=rec,
        _summary=summary,
    )


def _dry_run(work: Work, plan: Plan) -> DryRunReport:
    """Return the dry run, with what it is worth where that can be told."""
    rate, card = work.config.report.rate, work.inputs.card
    if card is None:
        return plan.dry_run(rate=rate)
    try:
        return plan.dry_run(rate=rate, rate_card=card)
    except InputError as exc:  # such as seconds that include the ringing, which no card is for
        work.note(f"What the plan is worth cannot be told: {exc}")
        return plan.dry_run(rate=rate)


def _money(dry_run: DryRunReport) -> dict[str, Any] | None:
    """Return what the plan is worth as plain values, with the sentence that says it."""
    facts, told = dry_run.facts.money, dry_run.summary().get("money")
    if facts is None or not isinstance(told, Mapping):
        return None
    return {"sentence": money_sentence(facts), **told}


def _outcome(plan: Plan | None) -> MonthOutcome:
    if plan is None:
        return MonthOutcome.STOPPED
    return MonthOutcome.DIFFER if len(plan) else MonthOutcome.AGREE


def _next(work: Work, plan: Plan | None, outcome: MonthOutcome) -> str:
    if outcome is MonthOutcome.AGREE:
        return _NOTHING
    if plan is None:
        return (
            f"read {REPORT}, fix the cause, and run the month again; a finding that was looked at and found harmless "
            "is accepted by its code, as accept under [plan]."
        )
    path = shlex.quote(str(work.folder / PLAN))
    applies = f"sippet-reconcile apply {path} --audit audit/ --limit 5"
    if plan.approvals:
        return f"{applies}; then the same without --limit sends the rest."
    return (
        f"read {DRY_RUN} ({plural(len(plan), 'call')}); then a person approves: sippet-reconcile approve {path} --by NAME; "
        f"and sends five calls first: {applies}"
    )
