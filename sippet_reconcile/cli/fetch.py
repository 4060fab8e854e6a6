"""The command `fetch`: the Call records of a period, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import (
    FILE,
    as_json,
    key_values,
    period_from,
    period_options,
    progress_of,
    quiet,
)
from sippet_reconcile.cli.output import print_frame, print_json, print_summary
from sippet_reconcile.cli.program import teach
from sippet_reconcile.errors import InputError

__all__ = ["fetch_command"]


@click.command(
    "fetch",
    short_help="Read the Call records of a month into a file.",
    help=teach(
        "Read the Call records of a month, or of --start to --end, with a margin of an hour on both sides and with the "
        "calls that never started, and write them as parquet. The file says when it was read: calls are judged by "
        "that instant.",
        never="changes anything on the API",
        example="sippet-reconcile fetch --month 2026-10 --timezone Europe/London --out calls.parquet",
    ),
)
@period_options
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone in which the month is counted.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only such calls, e.g. direction=inbound; repeatable.",
)
@click.option(
    "--unstarted/--no-unstarted", default=True, show_default=True, help="With the calls that never started."
)
@click.option("--out", required=True, type=FILE, help="The parquet file to write.", metavar="FILE")
@quiet
@as_json
def fetch_command(*, out: Path, as_json: bool, quiet: bool, **options: Any) -> None:
    """Fetch and write."""
    from sippet_reconcile.api import write_calls  # noqa: PLC0415 - pandas only where a command runs

    period = period_from(options, options["timezone"])
    if period is None:
        msg = "say which calls: --month YYYY-MM, or --start and --end"
        raise InputError(msg)
    out.parent.mkdir(parents=True, exist_ok=True)  # rather than finding out once everything is fetched
    with sr.Client() as client:
        calls = client.fetch_calls(
            period,
            timezone=options["timezone"],
            filters=key_values(options["filters"], "--filter") or None,
            unstarted=options["unstarted"],
            progress=progress_of(quiet=quiet),
        )
    write_calls(calls, out)
    by_status = calls["status"].value_counts(dropna=False).rename_axis("status").reset_index(name="calls")
    result = {"out": str(out), "calls": len(calls), "period": str(period), "by_status": by_status}
    if as_json:
        print_json(result)
        return
    print_summary({name: result[name] for name in ("out", "calls", "period")})
    print_frame(by_status, title="by status")
