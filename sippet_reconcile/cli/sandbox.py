"""The command `sandbox`: an API on this machine to try everything on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sippet_reconcile.cli.options import INPUT_FILE, key_values
from sippet_reconcile.cli.output import say
from sippet_reconcile.cli.program import teach
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from sippet_reconcile.sandbox import Sandbox

__all__ = ["sandbox_command"]

_SWITCHES: Final = ("rate_limit_per_s", "rate_limit_style", "auth_failure")


@click.command(
    "sandbox",
    short_help="Run a local API that answers as the real one does.",
    help=teach(
        "Run a local API on this machine that answers as the real one does, until Ctrl-C. Its calls are the sample "
        "month's, or those of a file; changes live as long as it runs. What to export is printed on stdout.",
        never="listens to other machines, or writes to the file of calls",
        example="sippet-reconcile sandbox --port 8010\n"
        "sippet-reconcile sandbox --calls calls.parquet --latency 0.2 --lost-answer-share 0.05\n"
        "sippet-reconcile sandbox --rate-limit 50 --share 502=0.02 --share changed_after=0.01",
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
    "--jitter", "jitter_s", default=0.0, show_default=True, help="Up to so many seconds more, by chance."
)
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
@click.option(
    "--share",
    multiple=True,
    help="Share of requests that meet a fault: its word (wrong_id, slow_body, …; a wrong one lists all) or "
    "a status; may be repeated.",
    metavar="FAULT=SHARE",
)
@click.option(
    "--expire-after",
    type=click.IntRange(min=0),
    default=None,
    help="The token is refused after so many requests; never where not given.",
    metavar="REQUESTS",
)
@click.option(
    "--rate-limit",
    "rate_limit_per_s",
    type=click.FloatRange(min=1),
    help="Requests taken in any one second; the others are refused and counted.",
    metavar="PER_SECOND",
)
@click.option(
    "--rate-limit-style",
    type=click.Choice(["429", "403-text", "403-forbidden"]),
    default="429",
    show_default=True,
    help="How a request over the limit is refused.",
)
@click.option(
    "--auth-failure",
    type=click.Choice(["403", "401-json", "401-text", "200-empty"]),
    default="403",
    show_default=True,
    help="How a token that is not valid is refused.",
)
@click.option("--seed", default=0, show_default=True, help="The same seed, the same faults.")
def sandbox_command(
    *, calls: Path | None, port: int, share: tuple[str, ...], seed: int, **options: Any
) -> None:
    """Serve until interrupted."""
    from sippet_reconcile.demo import sample_data  # noqa: PLC0415 - servers and pandas only where they run
    from sippet_reconcile.sandbox import Faults, Switches, serve  # noqa: PLC0415

    switches = Switches(**{name: options.pop(name) for name in _SWITCHES})
    faults = Faults(shares=_shares(share), seed=seed, **options)

    def started(sandbox: Sandbox) -> None:
        click.echo(f"export SIPPET_API_URL={sandbox.url} SIPPET_API_TOKEN={sandbox.token}")
        say(f"The sandbox answers, with {faults!r}; Ctrl-C stops it.")

    path = calls or sample_data() / "api" / "calls.json"
    sandbox = serve(path, port=port, faults=faults, switches=switches, on_started=started)
    kinds = Counter(request.fault for request in sandbox.requests if request.fault)
    met = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items())) or "none"
    say(f"The sandbox has stopped after {len(sandbox.requests):,} requests; faults met: {met}.")


def _shares(words: tuple[str, ...]) -> list[tuple[str | int, float]]:
    """Read ``FAULT=SHARE`` words, where a fault may be a status; a word given twice stays twice."""
    pairs = [key_values([word], "--share") for word in words]
    return [(_fault(name), _share(name, text)) for pair in pairs for name, text in pair.items()]


def _fault(name: str) -> str | int:
    return int(name) if name.isdecimal() else name


def _share(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f"--share {name} must be a number from 0 to 1, got {text!r}"
        raise InputError(msg) from None
