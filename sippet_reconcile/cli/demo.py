"""The command `demo`: the whole walk, on a sandbox, with the sample month."""

from __future__ import annotations

from pathlib import Path

import click

from sippet_reconcile.cli.options import FOLDER, as_json, progress_of, quiet
from sippet_reconcile.cli.output import print_json, say, tell
from sippet_reconcile.cli.program import Ended, teach

__all__ = ["demo_command"]


@click.command(
    "demo",
    short_help="The whole walk on a sandbox, with a month of sample data.",
    help=teach(
        "Take the whole walk on this machine: a sandbox plays the API, a month of an invented company is reconciled "
        "with its phone system's export, a plan is made, approved, applied and verified. The sample data, the reports "
        "and the audit log are left in a folder (sippet-demo), to be looked at and played with.",
        never="needs a network, a token or an account, or touches a folder that is not a demo's",
        example="sippet-reconcile demo\nsippet-reconcile demo /tmp/try-it",
    ),
)
@click.argument("folder", required=False, default=Path("sippet-demo"), type=FOLDER, metavar="[DIR]")
@quiet
@as_json
@click.pass_context
def demo_command(context: click.Context, /, *, folder: Path, quiet: bool, as_json: bool) -> None:
    """Run the walk and tell what happened."""
    from sippet_reconcile.demo import run_demo  # noqa: PLC0415 - pandas and the server only where they run

    demo = run_demo(folder, say=say, progress=progress_of(quiet=quiet))
    if as_json:
        print_json(demo.summary())
    else:
        tell(demo.story())
    context.exit(Ended.DONE if demo.ok else Ended.DIFFER)
