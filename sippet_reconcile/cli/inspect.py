"""The command `inspect`: what exports hold, and how they are read; or how a file begins that is not understood."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

import sippet_reconcile as sr
from sippet_reconcile.cli.options import (
    FILE,
    INPUT_FILE,
    ROWS,
    as_json,
    cdr_arguments,
    cdr_options,
    progress_of,
    quiet,
)
from sippet_reconcile.cli.output import frame_rows, print_frame, print_json, say, tell
from sippet_reconcile.cli.program import teach
from sippet_reconcile.cli.reports import refuse_overwriting
from sippet_reconcile.cli.words import command_words
from sippet_reconcile.errors import InputError, ReconcileError

if TYPE_CHECKING:
    from sippet_reconcile.cdr.describing.first_look import FirstLook

__all__ = ["inspect_command"]

_SHOWN: Final = (
    "source_file", "source_row", "call_key", "started_at", "total_s", "billable_s", "status", "direction",
    "from_number", "to_number", "problem",
)  # fmt: skip
_MOST_LOOKS: Final = 3


@click.command(
    "inspect",
    short_help="Show what CDR exports hold, and how they are read.",
    help=teach(
        "Read CDR exports and say what was understood: the format and why it was chosen, the time zone and how it is "
        "known, the span, rows by status, legs per call, and what cannot be used, with line numbers. Of a file that "
        "cannot be read, show how it begins and the formats that come nearest. With --calls, look at Call records "
        "alone: stuck, impossible and duplicate ones.",
        never="talks to the API, or changes a file",
        example="sippet-reconcile inspect sippet-demo/freeswitch/Master.csv --timezone Europe/London --country GB",
    ),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[CDR]...")
@cdr_options
@click.option("--calls", type=INPUT_FILE, help="Call records to look at instead, or as well.", metavar="FILE")
@click.option(
    "--report", type=FILE, help="Write the description as one HTML file; numbers are masked.", metavar="FILE"
)
@click.option("--rows", type=ROWS, default=5, show_default=True, help="Rows to show as they were read.")
@quiet
@as_json
def inspect_command(
    *,
    paths: tuple[Path, ...],
    calls: Path | None,
    report: Path | None,
    rows: int,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Describe exports and calls."""
    if not paths and calls is None:
        msg = "nothing to inspect: name CDR files, or --calls FILE"
        raise InputError(msg)
    if report is not None and not paths:
        msg = "--report is about CDR files: name them"
        raise InputError(msg)
    refuse_overwriting({"--report": report}, [calls, *paths])
    result: dict[str, Any] = {"reports": [str(report)] if report is not None else []}
    if paths:
        texts, arguments = [str(path) for path in paths], cdr_arguments(options)
        try:
            legs = sr.read_cdr(texts, **arguments, progress=progress_of(quiet=quiet))
        except InputError as exc:
            looks = _looks(exc, texts, arguments["delimiter"])
            _show_looks(looks, as_json=as_json)
            if report is not None and looks:
                from sippet_reconcile.cdr.describing.first_look import looks_document  # noqa: PLC0415 - it needs pandas

                looks_document(looks, command_words(str(exc))).to_html(report)
                say(f"How it begins is in {report}.")
            raise
        description = sr.describe_cdr(legs, paths=texts)
        if report is not None:
            description.to_html(report)
            say(f"The description is in {report}.")
        if as_json:
            result["cdr"] = description.summary()
            result["rows"] = frame_rows(legs.head(rows))
        else:
            tell(command_words(str(description)))
            print_frame(legs.head(rows), columns=_SHOWN, title=f"the first rows of {len(legs):,}")
    if calls is not None:
        findings = sr.check_calls(sr.read_calls(calls))
        if as_json:
            result["findings"] = findings_rows(findings)
            result["checks"] = findings.checks
            result["cures_toml"] = findings.cures_toml()
        else:
            tell(command_words(str(findings)))
    if as_json:
        print_json(result)


def _looks(error: InputError, texts: list[str], delimiter: str | None) -> list[FirstLook]:
    """Return how the file begins that an error is about, or else the first of those that were named."""
    from sippet_reconcile.cdr.describing.first_look import look_at  # noqa: PLC0415 - it needs pandas
    from sippet_reconcile.cdr.files.sources import find_files  # noqa: PLC0415 - as above

    try:
        named = [file for file in find_files(texts) if isinstance(file, Path)]
        blamed = getattr(error, "path", None)
        files = [blamed] if blamed else named[:_MOST_LOOKS]
        return [look for file in files for look in look_at(file, delimiter=delimiter)]
    except (ReconcileError, OSError):
        return []  # what it is about cannot even be opened: the error itself says so


def _show_looks(looks: list[FirstLook], *, as_json: bool) -> None:
    """Show how files begin that could not be read; the error itself follows."""
    if as_json:
        print_json({"files": [look.summary() | {"command": _command(look)} for look in looks]})
        return
    for look in looks:
        tell(f"{command_words(str(look))}\n")
        command = _command(look)
        if command is not None:
            tell(f"To read it by its columns, begin with:\n\n  {command}\n")
        elif not look.fits:
            tell("Nothing near its top names the columns: put a line of names above it, then use --column.\n")


def _command(look: FirstLook) -> str | None:
    """Return the command that reads a file of no known format by its columns; None where names tell none."""
    if look.fits or not look.columns:
        return None
    words = [f"--column {shlex.quote(f'{ours}={theirs}')}" for ours, theirs in look.columns.items()]
    return " \\\n    ".join([f"sippet-reconcile inspect {shlex.quote(str(look.path))}", *words])


def findings_rows(findings: Any) -> list[dict[str, Any]]:
    """Return findings as plain values: code, severity, message, advice, cure, and how many rows prove each."""
    return [
        {
            "code": finding.code,
            "severity": str(finding.severity),
            "message": finding.message,
            "advice": finding.advice,
            "cure": dict(finding.cure),
            "evidence_rows": len(finding.evidence),
        }
        for finding in findings
    ]
