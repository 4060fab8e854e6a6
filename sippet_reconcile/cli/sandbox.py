"""The command `sandbox`: an API on this machine to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sippet_reconcile.cli.options import INPUT_FILE
from sippet_reconcile.cli.output import say
from sippet_reconcile.cli.program import teach

if TYPE_CHECKING:
    from sippet_reconcile.sandbox import Sandbox

__all__ = ["sandbox_command"]


@click.command(
    "sandbox",
    short_help="Run a local API that answers as the real one does.",
    help=teach(
        "Run a local API on this machine that answers as the real one does, until Ctrl-C. Its calls are the sample "
        "month's, or those of a file; changes live as long as it runs. What to export is printed on stdout.",
        never="listens to other machines, or writes to the file of calls",
        example="sippet-reconcile sandbox --port 8010\n"
        "sippet-reconcile sandbox --calls calls.parquet --latency 0.2 --lost-answer-share 0.05",
    ),
)
@click.option(
    "--calls",
    type=INPUT_FILE,
    help="JSON:API document or parquet; the sample month where not given.",
    metavar="FILE",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option("--latency", "latency_s", default=0.0, show_default=True, help="Seconds before each answer.")
@click.option(
    "--throttle-share", default=0.0, show_default=True, help="Share of requests refused as too many."
)
@click.option(
    "--error-share", default=0.0, show_default=True, help="Share of requests met by a server error."
)
@click.option(
    "--lost-answer-share",
    default=0.0,
    show_default=True,
    help="Share of answers lost after the work was done.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed, the same faults.")
def sandbox_command(*, calls: Path | None, port: int, **faults: Any) -> None:
    """Serve until interrupted."""
    from sippet_reconcile.demo import sample_data  # noqa: PLC0415 - servers and pandas only where they run
    from sippet_reconcile.sandbox import Faults, serve  # noqa: PLC0415

    def started(sandbox: Sandbox) -> None:
        click.echo(f"export SIPPET_API_URL={sandbox.url} SIPPET_API_TOKEN={sandbox.token}")
        say("The sandbox answers; Ctrl-C stops it.")

    serve(
        calls or sample_data() / "api" / "calls.json", port=port, faults=Faults(**faults), on_started=started
    )
    say("The sandbox has stopped.")
