"""The command `inspect`: what exports hold, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import (
    INPUT_FILE,
    ROWS,
    as_json,
    cdr_arguments,
    cdr_options,
    progress_of,
    quiet,
)
from sippet_reconcile.cli.output import frame_rows, print_frame, print_json, tell
from sippet_reconcile.cli.program import teach
from sippet_reconcile.cli.words import command_words
from sippet_reconcile.errors import InputError

__all__ = ["inspect_command"]

_SHOWN = (
    "source_file", "source_row", "call_key", "started_at", "total_s", "billable_s", "status", "direction",
    "from_number", "to_number", "problem",
)  # fmt: skip


@click.command(
    "inspect",
    short_help="Show what CDR exports hold, and how they are read.",
    help=teach(
        "Read CDR exports and say what was understood: the format and why it was chosen, the time zone and how it is "
        "known, the span, rows by status, legs per call, and what cannot be used, with line numbers. With --calls, look "
        "at Call records alone: stuck, impossible and duplicate ones.",
        never="talks to the API, or changes a file",
        example="sippet-reconcile inspect sippet-demo/freeswitch/Master.csv --timezone Europe/London --country GB",
    ),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[CDR]...")
@cdr_options
@click.option("--calls", type=INPUT_FILE, help="Call records to look at instead, or as well.", metavar="FILE")
@click.option("--rows", type=ROWS, default=5, show_default=True, help="Rows to show as they were read.")
@quiet
@as_json
def inspect_command(
    *, paths: tuple[Path, ...], calls: Path | None, rows: int, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Describe exports and calls."""
    if not paths and calls is None:
        msg = "nothing to inspect: name CDR files, or --calls FILE"
        raise InputError(msg)
    result: dict[str, Any] = {}
    if paths:
        texts = [str(path) for path in paths]
        legs = sr.read_cdr(texts, **cdr_arguments(options), progress=progress_of(quiet=quiet))
        description = sr.describe_cdr(legs)
        if as_json:
            summary = getattr(description, "summary", None)
            result["cdr"] = summary() if callable(summary) else description
            result["rows"] = frame_rows(legs.head(rows))
        else:
            tell(description)
            print_frame(legs.head(rows), columns=_SHOWN, title=f"the first rows of {len(legs):,}")
    if calls is not None:
        findings = sr.check_calls(sr.read_calls(calls))
        if as_json:
            result["findings"] = findings_rows(findings)
        else:
            tell(command_words(str(findings)))
    if as_json:
        print_json(result)


def findings_rows(findings: Any) -> list[dict[str, Any]]:
    """Return findings as plain values: code, severity, message, advice, and how many rows prove each."""
    return [
        {
            "code": finding.code,
            "severity": str(finding.severity),
            "message": finding.message,
            "advice": finding.advice,
            "evidence_rows": len(finding.evidence),
        }
        for finding in findings
    ]
