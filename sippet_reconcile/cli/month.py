"""The command `month`: from the exports to a plan to review, unattended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import INPUT_FILE, as_json, progress_of, quiet
from sippet_reconcile.cli.output import print_json, say, tell
from sippet_reconcile.cli.program import teach

if TYPE_CHECKING:
    from sippet_reconcile.month import MonthResult

__all__ = ["month_command"]


@click.command(
    "month",
    short_help="Reconcile a whole month, unattended, up to the plan to review.",
    help=teach(
        "Fetch the Call records of a month, read its exports, reconcile, plan and report, as a configuration file says; "
        "MONTH.md tells all of that file. Everything lies in a folder of that month, with what was done in summary.json. "
        "Run again, it makes what has changed and keeps the rest; a plan that people have approved is never lost.\n\n"
        "\b\nExit codes:\n"
        "  0    there is nothing to correct\n"
        "  1    there is a plan to review\n"
        "  2    a file or the configuration cannot be used, or there is a reason to stop\n"
        "  3    the API could not be reached, or refused\n"
        "  130  interrupted: the next run goes on",
        never="sends anything: a person approves the plan and applies it",
        example="sippet-reconcile month 2026-10 --config month.toml\n"
        "sippet-reconcile month 2026-10 --config month.toml --quiet --json",
    ),
)
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--config", required=True, type=INPUT_FILE, help="How every month is reconciled, as TOML.", metavar="FILE"
)
@click.option(
    "--fetch-again",
    is_flag=True,
    help="Fetch the Call records again, though those that are there are settled.",
)
@quiet
@as_json
@click.pass_context
def month_command(
    context: click.Context, /, *, month: str, config: Path, fetch_again: bool, quiet: bool, as_json: bool
) -> None:
    """Take the month from its files to a plan, and say what to do next."""
    result = sr.reconcile_month(
        month, sr.MonthConfig.from_toml(config), fetch_again=fetch_again, progress=progress_of(quiet=quiet)
    )
    if as_json:
        print_json(
            {"folder": str(result.folder), "steps": result.steps, "notes": result.notes, **result.summary()}
        )
    else:
        _print(result)
    context.exit(result.exit_code)


def _print(result: MonthResult) -> None:
    from sippet_reconcile._display import mask_text, plural, signed  # noqa: PLC0415 - it needs pandas

    # What is advised names keys of the configuration, such as timezone=: this command has no such options.
    said = result.summary()
    tell(f"{result.month}: {mask_text(result.verdict)}")
    for stop in result.stops:
        tell(f"STOP {mask_text(stop)}")
    for finding in said["findings"]:
        if finding["severity"] != "info" and not any(
            stop.startswith(f"{finding['code']}: ") for stop in result.stops
        ):
            accepted = " (accepted)" if finding["severity"] == "stop" else ""
            tell(f"WARN {finding['code']}{accepted}: {mask_text(finding['message'])}")
    for cause in said["causes"]:
        tell(f"  {mask_text(cause)}")
    plan = said["plan"]
    if plan is not None:
        changes, calls = plural(plan["changes"], "change"), plural(plan["calls"], "call")
        tell(f"plan {plan['short_id']}: {changes} to {calls}, {signed(plan['net_s'])} s")
    if said["money"] is not None and said["money"]["sentence"]:
        tell(said["money"]["sentence"])  # nothing but amounts, whose digits are no number of a phone
    for name, became in result.steps.items():
        tell(f"  {became:<5} {name}")
    for note in result.notes:
        say(mask_text(note))
    say(f"Everything is in {result.folder}. Nothing has been sent.")
    say(f"Next: {result.next_step}")
