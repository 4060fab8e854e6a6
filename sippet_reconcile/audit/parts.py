"""Bring records to the disk so that a crash at any instant leaves a whole log.

Input are tables of records, output are closed parquet files ("parts") in one folder.
A part is written aside under a name that readers skip, flushed to the disk, then
renamed, and the folder is flushed too; no part is ever written again. A part's name
holds the numbers of its first and last record.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from sippet_reconcile.audit.records import ARROW
from sippet_reconcile.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "Part",
    "foreign_files",
    "interrupts_deferred",
    "list_parts",
    "read_part",
    "remove_leftovers",
    "write_aside_then_rename",
    "write_part",
]

_ASIDE: Final = "_writing-"
_NAME: Final = re.compile(r"^part-(\d{12,})-(\d{12,})\.parquet$")


@dataclass(frozen=True, order=True)
class Part:
    """One closed file of the log, named by the records it holds."""

    first_seq: int
    last_seq: int
    path: Path

    @property
    def name(self) -> str:
        """The file's name, as messages show it."""
        return self.path.name


def list_parts(folder: Path) -> list[Part]:
    """Return the parts of a log in the order of their records."""
    found = []
    for path in folder.iterdir():
        match = _NAME.match(path.name)
        if match:
            found.append(Part(int(match[1]), int(match[2]), path))
    return sorted(found)


def foreign_files(folder: Path) -> list[str]:
    """Return the names that a reader of the folder would take for parts although they are none."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(("_", ".")) and not _NAME.match(path.name)
    )


def read_part(part: Part, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a part's records in the log's own types, with all columns or some.

    Raises
    ------
    AuditError
        If the file is no parquet, or does not have the log's columns.
    """
    wanted = ARROW if columns is None else pa.schema([ARROW.field(name) for name in columns])
    try:
        # Opened here and not by Arrow, which would take the folder's name for a partition.
        with part.path.open("rb") as source, pq.ParquetFile(source) as opened:
            names = opened.schema_arrow.names
            if sorted(names) != sorted(ARROW.names):
                odd = sorted(set(names) ^ set(ARROW.names))
                msg = f"{part.name} does not have the columns of the audit log: {', '.join(odd) or 'a column twice'}"
                raise AuditError(msg)
            # One thread is the quickest: a part is small, each of its columns takes microseconds.
            table = opened.read(columns=wanted.names, use_threads=False)
    except (pa.ArrowException, OSError) as exc:
        msg = f"{part.name} cannot be read as a part of the audit log ({type(exc).__name__}): restore it from a backup"
        raise AuditError(msg) from exc
    try:
        return table.select(wanted.names).cast(wanted)
    except (pa.ArrowException, ValueError) as exc:
        msg = f"{part.name} has columns of other types than the audit log's"
        raise AuditError(msg) from exc


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can."""
    if os.name == "nt":  # Windows neither needs nor offers it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_aside_then_rename(target: Path, write: Any, *, aside: Path | None = None) -> None:
    """Write a file so that it is either absent or whole, and stays so.

    Parameters
    ----------
    target
        The name it gets once it is whole.
    write
        Called with the open binary file.
    aside
        The name it has until then; by default beside `target`, starting with ``_``.

    Raises
    ------
    OSError
        If the disk is full, read-only or gone; nothing is left under `target` then
        unless the very last step, flushing the folder, was the one that failed.
    """
    aside = aside or target.with_name(f"{_ASIDE}{target.name}")
    try:
        with aside.open("wb") as sink:
            write(sink)
            sink.flush()
            os.fsync(sink.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def write_part(folder: Path, table: pa.Table, first_seq: int) -> Part:
    """Write one closed part that starts with a given record number.

    Raises
    ------
    OSError
        If it could not be written.
    """
    last_seq = first_seq + table.num_rows - 1
    target = folder / f"part-{first_seq:012d}-{last_seq:012d}.parquet"
    if target.exists():
        msg = f"{target.name} exists already; parts are never written again"
        raise AuditError(msg)
    write_aside_then_rename(target, lambda sink: pq.write_table(table, sink, compression="zstd"))
    return Part(first_seq, last_seq, target)


def remove_leftovers(folder: Path) -> int:
    """Remove what a crash left half-written; only ever called by the holder of the lock."""
    leftovers = list(folder.glob(f"{_ASIDE}*"))
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let Ctrl-C wait until a step that must not be torn apart is done; it is never lost.

    Steps here take milliseconds. Outside the main thread nothing is done, because
    Python delivers interrupts to the main thread alone. May be nested.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    caught: list[tuple[int, Any]] = []

    def remember(number: int, frame: Any) -> None:
        caught.append((number, frame))

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[-1])
