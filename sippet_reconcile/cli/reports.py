"""Write what a command found as one HTML file: the option that asks for it, and where files may lie.

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
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["refuse_in_folder", "refuse_in_log", "refuse_overwriting", "report_option", "write_report"]


class _WritesHtml(Protocol):
    def to_html(self, path: Path, *, mask: bool) -> Path: ...


def report_option(what: str) -> Callable[[Any], Any]:
    """Return the option ``--report``, which writes something as one HTML file.

    Where a command has no ``--show-numbers``, what it writes holds no phone number that could be shown.
    """
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


def refuse_in_folder(folder: Path | None, writes: Mapping[str, Path | None]) -> None:
    """Refuse to write files into what `diff` wrote, ahead of anything else: the next one would remove them.

    Raises
    ------
    InputError
        If one of them would lie in the folder.
    """
    for option, target in writes.items():
        if folder is not None and target is not None and target.resolve().is_relative_to(folder.resolve()):
            msg = f"{option} {target} lies inside {folder}, which 'diff' writes anew each time: choose another place"
            raise InputError(msg)


def refuse_overwriting(writes: Mapping[str, Path | None], reads: Iterable[Path | None]) -> None:
    """Refuse to write a file over another one that the same command reads or writes, ahead of anything else.

    Parameters
    ----------
    writes
        The file of each option, None where it was not given.
    reads
        The files that the command reads.

    Raises
    ------
    InputError
        If two of them are the same file.

    Examples
    --------
    >>> refuse_overwriting({"--out": Path("plan.parquet"), "--report": Path("dry_run.html")}, [Path("calls.json")])
    >>> refuse_overwriting({"--report": Path("calls.json")}, [Path("calls.json")])
    Traceback (most recent call last):
    ...
    sippet_reconcile.errors.InputError: --report would write over calls.json, which is read: choose another name
    """
    taken = {source.resolve(): "" for source in reads if source is not None}
    for option, target in writes.items():
        if target is None:
            continue
        other = taken.setdefault(target.resolve(), option)
        if not other:
            msg = f"{option} would write over {target}, which is read: choose another name"
            raise InputError(msg)
        if other != option:
            msg = f"{other} and {option} both name {target}: give each a file of its own"
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
