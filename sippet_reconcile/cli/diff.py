"""The command `diff`: where CDRs and Call records differ, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.inspect import findings_rows
from sippet_reconcile.cli.options import (
    FOLDER,
    INPUT_FILE,
    ROWS,
    as_json,
    cdr_arguments,
    cdr_options,
    numbers_option,
    period_from,
    period_options,
    progress_of,
    quiet,
    rules_from,
    rules_options,
)
from sippet_reconcile.cli.output import print_frame, print_json, say, tell
from sippet_reconcile.cli.program import Ended, teach
from sippet_reconcile.cli.reports import refuse_in_folder, refuse_overwriting, report_option, write_report
from sippet_reconcile.cli.words import command_words

__all__ = ["diff_command", "print_findings"]

_SHOWN = (
    "call_id", "field", "value_call", "value_cdr", "delta_s", "explanation", "match_rule", "is_patchable",
    "source_file", "source_row",
)  # fmt: skip
_MOST_CAUSES = 10


@click.command(
    "diff",
    short_help="Reconcile CDR exports with Call records.",
    help=teach(
        "Reconcile CDR exports with fetched Call records: findings about the data as a whole first, then the causes, "
        "then the largest differences, and a balance in which every row has its place. Rules that would cure a finding "
        "are printed as TOML to pin, and never applied. The result is written to a folder that 'plan' reads. Ends with "
        "1 where the two sides differ.",
        never="talks to the API, pairs what is ambiguous, or takes a missing CDR value as evidence",
        example="sippet-reconcile diff sippet-demo/freeswitch/Master.csv --calls calls.parquet --month 2026-10 \\\n"
        "    --timezone Europe/London --country GB --duration billable \\\n"
        "    --out october/ --report october.html",
    ),
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="CDR...")
@click.option(
    "--calls",
    required=True,
    type=INPUT_FILE,
    help="The Call records, as 'fetch' wrote them, or JSON:API.",
    metavar="FILE",
)
@click.option("--fetched-at", metavar="INSTANT", help="When they were read, where the file does not tell.")
@period_options
@click.option(
    "--period-timezone", help="IANA zone of the month, where it is not that of the export (--timezone)."
)
@cdr_options
@rules_options
@click.option("--out", type=FOLDER, help="The folder to write for 'plan'.", metavar="FOLDER")
@report_option("what differs, why, and what proves it")
@numbers_option
@click.option("--rows", type=ROWS, default=20, show_default=True, help="Differences to show.")
@quiet
@as_json
@click.pass_context
def diff_command(
    context: click.Context,
    /,
    *,
    paths: tuple[Path, ...],
    calls: Path,
    fetched_at: str | None,
    out: Path | None,
    report: Path | None,
    show_numbers: bool,
    rows: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Read, reconcile, save and print."""
    from sippet_reconcile.reconciliation.page import hide_numbers  # noqa: PLC0415 - it needs pandas

    refuse_in_folder(out, {"--report": report})
    refuse_overwriting({"--report": report}, [calls, options["rules"], *paths])
    period = period_from(options, options.pop("period_timezone") or options["timezone"])
    rules = rules_from(options)
    progress = progress_of(quiet=quiet)
    legs = sr.read_cdr([str(path) for path in paths], **cdr_arguments(options), progress=progress)
    rec = sr.reconcile(
        legs, sr.read_calls(calls, fetched_at=fetched_at), period=period, rules=rules, progress=progress
    )
    if out is not None:
        rec.save(out)
    reports = write_report(rec, report, mask=not show_numbers)
    differ = any(len(frame) for frame in (rec.discrepancies, rec.only_in_cdr, rec.only_in_api, rec.ambiguous))
    causes = rec.causes
    if as_json:
        print_json(
            {
                "agree": not differ,
                "out": None if out is None else str(out),
                "reports": reports,
                "summary": rec.summary(),
                "findings": findings_rows(rec.findings),
                "checks": rec.findings.checks,
                "cures_toml": rec.findings.cures_toml(),
                "rollup": causes.frame,
                "ledger": rec.ledger(),
                "balance": rec.balance,
            }
        )
    else:
        _print_verdict(rec.summary())
        print_findings(rec.findings)
        _print_cures(rec.findings)
        _print_causes(causes)
        print_frame(
            rec.balance.query("rows > 0"), title="balance: every leg and every call in exactly one place"
        )
        largest = rec.discrepancies.sort_values("delta_s", key=abs, ascending=False, kind="stable")
        print_frame(
            hide_numbers(largest.head(rows)),
            columns=_SHOWN,
            n_rows=len(largest),
            title="largest differences (CDR minus API, seconds)",
            most=rows,
        )
    if out is not None:
        say(f"Written to {out}. {_next(rec.summary(), out)}")
    context.exit(Ended.DIFFER if differ else Ended.DONE)


def _print_verdict(said: dict[str, Any]) -> None:
    tell(said["verdict"])
    tell(
        f"{said['matched']:,} calls matched; {said['only_in_cdr']:,} only in the CDR, {said['only_in_api']:,} only in "
        f"the API, {said['ambiguous_calls']:,} ambiguous, {said['excluded_calls']:,} excluded"
    )


def _print_cures(findings: Any) -> None:
    """Print the rules that would remove what was found, and what too few rows could tell."""
    cures = findings.cures_toml()
    if cures:
        tell("\nrules as measured, and not applied; to have them, pin them in the file of --rules")
        tell("\n".join(f"  {line}".rstrip() for line in cures.splitlines()))
    if findings.untold:
        tell(f"\n{command_words(findings.untold)}")


def _print_causes(causes: Any) -> None:
    """Print the two sentences, the chart and the figures of the causes, numbers of phones masked."""
    from sippet_reconcile._display import mask_text  # noqa: PLC0415 - it needs pandas

    for place, sentence in enumerate(causes.sentences):
        tell(mask_text(sentence if place else f"\n{sentence}"))
    if causes.sentences:
        chart = causes.chart.masked()
        tell(f"\n{chart.title}\n{chart.to_text()}")
    print_frame(causes.frame, title="causes", most=_MOST_CAUSES)


def _next(said: dict[str, Any], out: Path) -> str:
    if said["stops"]:
        accept = " ".join(f"--accept {code}" for code in said["stops"])
        return (
            "Next: fix what the findings say to stop at, and run diff again; or, if you are sure: "
            f"sippet-reconcile plan {out} {accept} --out plan.parquet --report dry_run.html"
        )
    if not said["patchable_calls"]:
        return "There is nothing that a plan could correct."
    return f"Next: sippet-reconcile plan {out} --out plan.parquet --report dry_run.html"


def print_findings(findings: Any) -> None:
    """Print each finding as a sentence with its severity and its advice, numbers of phones masked."""
    from sippet_reconcile._display import mask_text  # noqa: PLC0415 - it needs pandas

    for finding in findings:
        tell(f"\n{str(finding.severity).upper()} {finding.code}: {mask_text(command_words(finding.message))}")
        if finding.advice:
            tell(f"  {mask_text(command_words(finding.advice))}")
