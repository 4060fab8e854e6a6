"""Write what a command found as one HTML file: the option that asks for it, and where it may lie.

Input is the path that was given and anything that writes itself as HTML; output are the
files that were written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from sippet_reconcile.cli.options import FILE
from sippet_reconcile.cli.output import say
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["refuse_in_log", "report_option", "write_report"]


class _WritesHtml(Protocol):
    def to_html(self, path: Path, *, mask: bool) -> Path: ...


def report_option(what: str) -> Callable[[Any], Any]:
    """Return the option ``--report``, which writes something as one HTML file."""
    return click.option("--report", type=FILE, help=f"Write {what} as one HTML file.", metavar="FILE")


def refuse_in_log(audit: Path, *targets: Path | None) -> None:
    """Refuse to write files into an audit log, ahead of anything else.

    Raises
    ------
    InputError
        If one of them would lie in the folder of the log.
    """
    for target in targets:
        if target is not None and target.resolve().is_relative_to(audit.resolve()):
            msg = f"{target} lies inside the audit log, whose readers would take it for a part: choose another folder"
            raise InputError(msg)


def write_report(shown: _WritesHtml, path: Path | None, *, mask: bool = True) -> list[str]:
    """Write a report where one was asked for, say where it is, and return the files that were written.

    Parameters
    ----------
    shown
        What writes itself.
    path
        None where no report was asked for.
    mask
        Whether phone numbers are masked in it.
    """
    if path is None:
        return []
    written = str(shown.to_html(path, mask=mask))
    say(f"The report is in {written}.")
    return [written]
