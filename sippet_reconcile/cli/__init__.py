"""The command line: what was asked for, with which files, and how it ended.

One module per group of commands. Each parses, calls the function of the same name,
prints, and maps how it ended to an exit code; what is computed is computed elsewhere.
Commands are imported when they are used, and pandas only when they run.
"""

from __future__ import annotations

import click

from sippet_reconcile._version import __version__
from sippet_reconcile.cli.program import Program

__all__ = ["main"]

WALK = """\
From CDR files and Call records to verified corrections, one file to the next:

  sippet-reconcile demo                                  all of it, on a sandbox, with a month of sample data

  sippet-reconcile doctor                                is everything here, does the API answer?
  sippet-reconcile inspect CDR...                        what the exports hold, and how they are read
  sippet-reconcile fetch --month M --out calls.parquet   read the Call records
  sippet-reconcile diff CDR... --calls calls.parquet --month M --out DIFF
                                                         where do they differ, and why?
  sippet-reconcile plan DIFF --out plan.parquet --report dry_run.html
                                                         what would change; nothing is sent
  sippet-reconcile approve plan.parquet --by NAME        somebody answers for it
  sippet-reconcile apply plan.parquet --audit AUDIT --limit 5
                                                         five calls first; the same command without --limit goes on
  sippet-reconcile verify --audit AUDIT                  read everything back: the proof
  sippet-reconcile revert --audit AUDIT --out undo.parquet
                                                         a plan that puts back what was there before
  sippet-reconcile audit runs --audit AUDIT              what was ever changed, why, and by whom

  sippet-reconcile month M --config month.toml           the first half of it each month, unattended: up to the plan

The API's address and token come from the environment: SIPPET_API_URL, and SIPPET_API_TOKEN or SIPPET_API_KEY.
Each command's --help has an example. Start with: sippet-reconcile demo"""


@click.group(
    cls=Program,
    commands_in={
        "demo": "demo",
        "doctor": "doctor",
        "inspect": "inspect",
        "fetch": "fetch",
        "diff": "diff",
        "plan": "plan",
        "approve": "plan",
        "apply": "apply",
        "verify": "apply",
        "revert": "apply",
        "audit": "audit",
        "month": "month",
        "sandbox": "sandbox",
    },
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Find wrong Call records by comparing them with CDRs, and correct them safely.\n\n"
    "Only 'apply' sends changes, and only those of an approved plan. Tables go to stdout, progress and messages "
    "to stderr.\n\n"
    "\b\nExit codes:\n"
    "  0    the two sides agree, or it is done\n"
    "  1    they differ, or it finished with calls not corrected\n"
    "  2    input or plan: a file, an option or a plan cannot be used\n"
    "  3    the API could not be reached, or refused\n"
    "  4    stopped part-way: calls are pending or unknown, or the audit log cannot be written\n"
    "  130  interrupted",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="sippet-reconcile")
@click.pass_context
def main(context: click.Context, *, debug: bool) -> None:
    """Print the walk where no command was given."""
    context.obj = {"debug": debug}
    if context.invoked_subcommand is None:
        click.echo(WALK)
