"""The commands `audit …`: what was ever changed, why and by whom, and whether the record is intact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import FILE, ROWS, as_json, audit_option
from sippet_reconcile.cli.output import print_frame, print_json, print_summary, say
from sippet_reconcile.cli.program import Ended, teach
from sippet_reconcile.cli.reports import refuse_in_log, report_option, write_report
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from sippet_reconcile.audit import AuditVerification

__all__ = ["audit_command"]

_SHOWN = (
    "seq", "event", "at", "call_id", "before", "after", "outcome", "confirmed_by", "http_status", "reason",
    "source_file", "source_row", "by", "note",
)  # fmt: skip


_RUN = ("run_id", "plan_id", "started_at", "n_sessions", "n_calls")
_OUTCOMES = (
    "applied", "already", "drifted", "rejected", "missing", "failed", "altered", "unknown", "without_outcome",
)  # fmt: skip
_ENDED = ("ended", "approved_by", "started_by", "reverts_run_id")
_SHORT_ID = 12


@click.group(
    "audit",
    short_help="Look into an audit log: runs, show, verify, export.",
    help="Look into an audit log: which runs it holds, what each of them did, whether a record was edited, and a copy "
    "of it in another format.\n\nIt never changes the log.",
)
def audit_command() -> None:
    """Group the commands of the audit log."""


@audit_command.command(
    "runs",
    short_help="List the runs of a log.",
    help=teach(
        "List the runs of an audit log: which plan, when, who approved it, who ran it, and how it ended.",
        never="changes the log",
        example="sippet-reconcile audit runs --audit audit/",
    ),
)
@audit_option
@as_json
def runs_command(*, audit: Path, as_json: bool) -> None:
    """List runs."""
    runs = sr.AuditLog(audit).runs()
    if as_json:
        print_json(runs)
    else:
        # An outcome that no run had is no column, and ids are shown by their beginning: --json has everything.
        outcomes = [name for name in _OUTCOMES if runs[name].any()]
        short = runs.assign(plan_id=runs["plan_id"].str[:_SHORT_ID])
        print_frame(short, columns=(*_RUN, *outcomes, *_ENDED))


@audit_command.command(
    "show",
    short_help="Show the records of a run, or of one call.",
    help=teach(
        "Show the records of a run, of all runs where RUN_ID is left out, or of one call with --call. --report tells a "
        "run as a whole, the latest one without RUN_ID: what came of each call, who approved it, who ran it and when.",
        never="changes the log",
        example="sippet-reconcile audit show --audit audit/ --call 8c1f3c52-0000-4000-8000-000000000000\n"
        "sippet-reconcile audit show --audit audit/ --report run.html",
    ),
)
@click.argument("run_id", required=False)
@audit_option
@click.option("--call", "call_id", help="Only the records of this call.")
@click.option("--rows", type=ROWS, default=40, show_default=True, help="Records to show.")
@report_option("the run, without any phone number,")
@as_json
def show_command(
    *, run_id: str | None, audit: Path, call_id: str | None, rows: int, report: Path | None, as_json: bool
) -> None:
    """Show records."""
    if report is not None and call_id:
        msg = "--report tells a whole run, and --call asks for one call: leave one of them out"
        raise InputError(msg)
    refuse_in_log(audit, report)
    if report is not None:
        write_report(sr.load_run(audit, run_id), report)
    records = sr.AuditLog(audit).records(run_id)
    if call_id:
        records = records[records["call_id"].eq(call_id.lower())]
        if not len(records):
            say(f"The log holds no record of the call {call_id}; 'audit show' without --call lists all.")
    if as_json:
        print_json(records)
    else:
        # What else belongs to an event is JSON for machines; why somebody approved is for people.
        why = records["note"].where(records["event"].eq("approval"))
        print_frame(records.assign(note=why), columns=_SHOWN, most=rows)


@audit_command.command(
    "verify",
    short_help="Check that no record was edited, lost or added.",
    help=teach(
        "Check the chain of hashes that runs through the whole log, and name the first record that was edited, is "
        "missing, was inserted or moved. A log that was cut at its end, or written anew as a whole, shows only against a "
        "--head that was kept elsewhere: every run prints its head.",
        never="changes or repairs the log",
        example="sippet-reconcile audit verify --audit audit/ --head 3f0c… --report check.html",
    ),
)
@audit_option
@click.option("--head", help="The hash of a record that must be in the log.")
@report_option("what was found, without any phone number,")
@as_json
@click.pass_context
def verify_command(
    context: click.Context, /, *, audit: Path, head: str | None, report: Path | None, as_json: bool
) -> None:
    """Check the chain."""
    refuse_in_log(audit, report)
    check = sr.AuditLog(audit).verify(head)
    reports = write_report(check, report)
    if as_json:
        print_json(check.summary() | {"reports": reports})
    else:
        print_summary(check.summary(), title=_verdict(check))
    context.exit(Ended.DONE if check.ok else Ended.DIFFER)


def _verdict(check: AuditVerification) -> str:
    """Say whether a log is intact; a folder without records, named by mistake, proves nothing."""
    if not check.ok:
        return "the log is NOT intact"
    return (
        "the log is intact"
        if check.n_records
        else "there are no records in this folder; is it the right one?"
    )


@audit_command.command(
    "export",
    short_help="Copy the records into parquet, csv, jsonl or xlsx.",
    help=teach(
        "Copy all records of a log into one file; its ending says the format: .parquet, .csv, .jsonl or .xlsx (which needs "
        "the extra 'excel'). A file of that name is replaced once the new one is whole. Text that a spreadsheet would "
        "calculate stays text; each line of a .jsonl is what was hashed.",
        never="changes the log, or writes into it",
        example="sippet-reconcile audit export october.csv --audit audit/",
    ),
)
@click.argument("path", type=FILE)
@audit_option
@as_json
def export_command(*, path: Path, audit: Path, as_json: bool) -> None:
    """Export records."""
    n_records = 0

    def count(done: int, _total: int, _label: str) -> None:
        nonlocal n_records
        n_records = done

    sr.AuditLog(audit).export(path, progress=count)
    if as_json:
        print_json({"out": str(path), "records": n_records})
    else:
        say(f"{n_records:,} records are in {path}.")
