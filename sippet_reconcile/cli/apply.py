"""The commands `apply`, `verify` and `revert`: send an approved plan, prove it, and undo it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import (
    FILE,
    as_json,
    audit_option,
    numbers_option,
    progress_of,
    quiet,
    rate_card_option,
    read_rate_card,
    rows_option,
)
from sippet_reconcile.cli.output import print_frame, print_json, print_summary, say, tell
from sippet_reconcile.cli.plan import PlanFiles, show_plan
from sippet_reconcile.cli.program import Ended, teach
from sippet_reconcile.cli.reports import refuse_in_log, refuse_overwriting, report_option, write_report
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from sippet_reconcile.report import Document
    from sippet_reconcile.run import Run

__all__ = ["apply_command", "ended", "revert_command", "verify_command"]

_WORTH = "What it is worth"
_SETTLED = ("applied", "already")
_LEFT = ("pending", "unknown")
_GOING_ON = ("rate", "concurrency", "on_drift", "min_approvals", "max_failures")


def ended(run: Run) -> Ended:
    """Return how a run ended: part-way while something is left, else whether all calls are corrected."""
    outcomes = set(run.records["outcome"].dropna())
    if outcomes & set(_LEFT):
        return Ended.PART_WAY
    return Ended.DIFFER if outcomes - set(_SETTLED) else Ended.DONE


@click.command(
    "apply",
    short_help="Send an approved plan; the only command that changes calls.",
    help=teach(
        "Send an approved plan: each call is read again and corrected only where it still holds what the plan was made "
        "against; each intent is on disk before its request. Stopped, crashed or limited, the same command goes on "
        "where it was. With --rate-card, what was corrected so far is told in money. Ends with 4 while calls are pending or unknown, with 1 where some were not corrected.",
        never="sends a plan that is not approved or was changed, goes over the rate, or assumes what a lost answer said",
        example="sippet-reconcile apply plan.parquet --audit audit/ --rate 5/s --limit 5\n"
        "sippet-reconcile apply plan.parquet --audit audit/ --rate 5/s --report run.html",
    ),
)
@click.argument("plan", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@audit_option
@click.option(
    "--rate", default="5/s", show_default=True, help="Requests of every kind: 5/s, 300/min, or limit:50/s."
)
@click.option("--limit", type=int, help="At most so many calls this time, one of each kind first.")
@click.option("--concurrency", type=int, help="Workers; worked out from the rate where not given.")
@click.option(
    "--on-drift",
    type=click.Choice(["skip", "raise"]),
    default="skip",
    show_default=True,
    help="What to do about a call that changed since.",
)
@click.option(
    "--min-approvals", default=1, show_default=True, help="How many different people must have approved."
)
@click.option("--max-failures", default=10, show_default=True, help="Stop after so many failures in a row.")
@report_option("what came of each call, without any phone number,")
@rate_card_option
@quiet
@as_json
@click.pass_context
def apply_command(
    context: click.Context,
    /,
    *,
    plan: Path,
    audit: Path,
    report: Path | None,
    rate_card: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Load the plan, apply it, and say how it ended."""
    refuse_in_log(audit, report)
    refuse_overwriting({"--report": report}, [plan, rate_card])
    loaded, card = sr.Plan.load(plan), read_rate_card(rate_card)
    if card is not None:
        loaded.dry_run(card)  # a card that does not go with the plan is refused before anything is sent
    with sr.Client() as client:
        run = sr.apply_plan(loaded, client, audit, progress=progress_of(quiet=quiet), **options)
    shown = run.report(card, loaded)
    _show_run(run, _reported(shown, report, audit), as_json=as_json, money=shown.summary.get("money"))
    if card is not None and not as_json:
        tell(f"\n{next(part.intro for part in shown.sections if part.title == _WORTH)}")
    code = ended(run)
    if code is Ended.PART_WAY:
        say(f"Calls are left. To go on: sippet-reconcile apply {plan} --audit {audit} {_again(context)}")
    else:
        say(f"Next: sippet-reconcile verify --audit {audit}")
    context.exit(code)


def _again(context: click.Context) -> str:
    """Return the options that go on as it began: the rate, and whatever else was asked for but the limit."""
    asked = {
        option.opts[0]: value
        for option in context.command.params
        if option.name in _GOING_ON
        and (value := context.params[option.name]) is not None
        and (option.name == "rate" or value != option.default)
    }
    return " ".join(f"{flag} {shlex.quote(str(value))}" for flag, value in asked.items())


def _reported(shown: Document, report: Path | None, audit: Path) -> list[str]:
    """Write the report of a run; how the run ended stays the answer where it cannot be written."""
    try:
        return write_report(shown, report)
    except InputError as exc:
        say(f"error: {exc}; the run is in the log: sippet-reconcile audit show --audit {audit} --report FILE")
        return []


def _show_run(run: Run, reports: list[str], *, as_json: bool, money: object = None) -> None:
    outcomes = (
        run.records["outcome"].value_counts(dropna=False).rename_axis("outcome").reset_index(name="calls")
    )
    wrong = run.records[~run.records["outcome"].isin([*_SETTLED, "pending"])]
    if as_json:
        print_json(
            {
                "run_id": run.run_id,
                "plan_id": run.plan_id,
                "reports": reports,
                "summary": run.summary(),
                "outcomes": outcomes,
                "not_corrected": wrong,
                **({} if money is None else {"money": money}),
            }
        )
        return
    print_summary(run.summary())
    print_frame(outcomes, title="outcomes")
    if len(wrong):
        columns = ("call_id", "outcome", "http_status", "error_code", "error_detail")
        print_frame(wrong, columns=columns, title="not corrected")


@click.command(
    "verify",
    short_help="Read back what a run sent: the proof.",
    help=teach(
        "Read every call that a run sent once more, and compare it with what was sent. Without RUN_ID it is the latest run. Ends with 1 where a call holds something else.",
        never="changes anything",
        example="sippet-reconcile verify --audit audit/ --report proof.html",
    ),
)
@click.argument("run_id", required=False)
@audit_option
@click.option(
    "--rate",
    default="5/s",
    show_default=True,
    help="Requests, of 50 calls each: 5/s, 300/min, or limit:50/s.",
)
@report_option("the proof for the month's file, without any phone number,")
@quiet
@as_json
@click.pass_context
def verify_command(
    context: click.Context,
    /,
    *,
    run_id: str | None,
    audit: Path,
    rate: str,
    report: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Load a run, verify it, and print what differs."""
    refuse_in_log(audit, report)
    run = sr.load_run(audit, run_id)
    with sr.Client() as client:
        verification = sr.verify_run(run, client, rate=rate, progress=progress_of(quiet=quiet))
    reports = write_report(verification, report)
    if as_json:
        print_json(
            {
                "run_id": run.run_id,
                "ok": verification.ok,
                "reports": reports,
                "summary": verification.summary(),
                "calls": verification.frame,
            }
        )
    else:
        print_summary(
            verification.summary(),
            title=f"run {run.run_id}: {'proved' if verification.ok else 'NOT as sent'}",
        )
        if not verification.ok:
            print_frame(verification.frame, title="what was read back")
    context.exit(Ended.DONE if verification.ok else Ended.DIFFER)


@click.command(
    "revert",
    short_help="Make a plan that undoes a run.",
    help=teach(
        "Make a plan that puts back what each call held just before a run changed it. It is reviewed, approved and "
        "applied like any other; calls that were changed since are skipped then. Without RUN_ID it is the latest run.",
        never="sends anything",
        example="sippet-reconcile revert --audit audit/ --out undo.parquet\n"
        "sippet-reconcile approve undo.parquet --by ana && sippet-reconcile apply undo.parquet --audit audit/",
    ),
)
@click.argument("run_id", required=False)
@audit_option
@click.option("--out", required=True, type=FILE, help="The plan to write (parquet).", metavar="FILE")
@click.option("--report", type=FILE, help="Write its dry run as one HTML file.", metavar="FILE")
@click.option(
    "--excel", type=FILE, help="Write its dry run as a workbook to answer in (.xlsx).", metavar="FILE"
)
@numbers_option
@click.option("--rate", default="5/s", show_default=True, help="The rate of the forecast.")
@rows_option
@as_json
def revert_command(
    *,
    run_id: str | None,
    audit: Path,
    out: Path,
    report: Path | None,
    excel: Path | None,
    show_numbers: bool,
    rate: str,
    rows: int,
    as_json: bool,
) -> None:
    """Load a run, make the plan that reverts it, and save it."""
    refuse_in_log(audit, out, report, excel)
    refuse_overwriting({"--out": out, "--report": report, "--excel": excel}, [])
    plan = sr.revert_run(sr.load_run(audit, run_id))
    files = PlanFiles(out, report, excel, show_numbers=show_numbers)
    show_plan(plan, files, rate=rate, rows=rows, as_json=as_json)
