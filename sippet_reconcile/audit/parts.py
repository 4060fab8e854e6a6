"""Bring records to the disk so that a crash at any instant leaves a whole log.

Input are tables of records, output are closed parquet files ("parts") in one folder.
A part is written aside under a name that readers skip, flushed to the disk, then
renamed, and the folder is flushed too; no part is ever written again. A part's name
holds the numbers of its first and last record.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sippet_reconcile._parquet import refuse_bomb
from sippet_reconcile._version import __version__
from sippet_reconcile.audit.records import ARROW, SCHEMA_VERSION
from sippet_reconcile.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = [
    "LEFTOVER",
    "NotFlushedError",
    "Part",
    "foreign_files",
    "interrupts_deferred",
    "list_parts",
    "open_plain",
    "part_numbers",
    "read_part",
    "reason_of",
    "remove_leftovers",
    "shown",
    "sync_folder",
    "write_aside_then_rename",
    "write_part",
]

LEFTOVER: Final = "_writing-"
"""How the name of a file begins that is not whole yet; what a crash left of it is removed."""

_NAME: Final = re.compile(r"part-(\d{12,})-(\d{12,})\.parquet", re.ASCII)
_LONGEST: Final = 80
_VERSION: Final = "schema_version"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP})


class NotFlushedError(OSError):
    """The disk did not confirm what was written: it may be lost although no write failed."""


def reason_of(exc: OSError) -> str:
    """Return what the system says about a failure, in words where it has some."""
    return exc.strerror or str(exc) or type(exc).__name__


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


def shown(text: str) -> str:
    r"""Return a name of somebody else's making as it may be shown: short, and nothing that a terminal obeys.

    Examples
    --------
    >>> shown("evil\x1b[2J.parquet")
    'evil?[2J.parquet'
    """
    clean = "".join(char if char.isprintable() else "?" for char in text[:_LONGEST])
    return f"{clean}…" if len(text) > _LONGEST else clean


def list_parts(folder: Path) -> list[Part]:
    """Return the parts of a log in the order of their records."""
    return [Part(first_seq, last_seq, folder / name) for first_seq, last_seq, name in part_numbers(folder)]


def part_numbers(folder: Path) -> list[tuple[int, int, str]]:
    """Return first number, last number and name of each part, in the order of their records.

    What is not named exactly as we would name it is no part.
    """
    found = []
    for name in os.listdir(folder):  # noqa: PTH208 - asked ahead of every record of a run, and many times as quick
        match = _NAME.fullmatch(name)
        if match is not None:
            first_seq, last_seq = int(match[1]), int(match[2])
            if name == _part_name(first_seq, last_seq):
                found.append((first_seq, last_seq, name))
    found.sort()
    return found


def _part_name(first_seq: int, last_seq: int) -> str:
    return f"part-{first_seq:012d}-{last_seq:012d}.parquet"


def foreign_files(folder: Path) -> list[str]:
    """Return the names that a reader of the folder would take for parts although they are none."""
    parts = {name for _, _, name in part_numbers(folder)}
    return sorted(
        path.name
        for path in folder.iterdir()
        if not path.name.startswith(("_", ".")) and path.name not in parts
    )


def open_plain(path: Path) -> BinaryIO:
    """Open a file for reading without ever waiting for somebody to write into a pipe of that name."""
    flags = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags))


def read_part(part: Part, columns: Sequence[str] | None = None, *, as_written: bool = False) -> pa.Table:
    """Return a part's records in the log's own types.

    Parameters
    ----------
    part
        Which one.
    columns
        Only these; all by default.
    as_written
        Refuse other types than those we write, even where the values are the same.

    Raises
    ------
    AuditError
        If the file is no parquet, does not have the log's columns, or was written by a
        later version of this package, whose records we might misread.
    """
    wanted = ARROW if columns is None else pa.schema([ARROW.field(name) for name in columns])
    try:
        # Opened here and not by Arrow, which would take the folder's name for a partition.
        with open_plain(part.path) as source, pq.ParquetFile(source) as opened:
            refuse_bomb(opened, source, os.fstat(source.fileno()).st_size)
            found = opened.schema_arrow
            names = found.names
            if sorted(names) != sorted(ARROW.names):
                if names.count(_VERSION) == 1:
                    _refuse_later_version(part, opened.read(columns=[_VERSION]))
                odd = sorted(set(names) ^ set(ARROW.names))
                msg = f"{part.name} does not have the columns of the audit log: {shown(', '.join(odd)) or 'a column twice'}"
                raise AuditError(msg)
            if as_written and not found.equals(ARROW):
                msg = f"{part.name} was written again by another program: {_as_found(found)}"
                raise AuditError(msg)
            # One thread is the quickest: a part is small, each of its columns takes microseconds.
            table = opened.read(columns=list({_VERSION, *wanted.names}), use_threads=False)
            table.validate(full=True)  # bytes that are no text would raise in whoever reads them
    except (pa.ArrowException, OSError) as exc:
        msg = f"{part.name} cannot be read as a part of the audit log ({type(exc).__name__}): restore it from a backup"
        raise AuditError(msg) from exc
    _refuse_later_version(part, table)
    try:
        return table.select(wanted.names).cast(wanted)
    except (pa.ArrowException, ValueError) as exc:
        msg = f"{part.name} has columns of other types than the audit log's"
        raise AuditError(msg) from exc


def _as_found(found: pa.Schema) -> str:
    for field in ARROW:
        if found.field(field.name).type != field.type:
            return f"the column {field.name} is {shown(str(found.field(field.name).type))}, not {field.type}"
    return "its columns are in another order, or may not be missing"


def _refuse_later_version(part: Part, table: pa.Table) -> None:
    """Refuse records of a version that this package does not know, whatever their columns."""
    versions = table.column(_VERSION)
    newest = pc.max(versions).as_py() if pa.types.is_integer(versions.type) else None
    if newest is not None and newest > SCHEMA_VERSION:
        msg = (
            f"{part.name} holds records of schema version {newest}, and sippet-reconcile {__version__} knows the log "
            f"up to version {SCHEMA_VERSION}: use the later version that wrote it; where nobody has one, it was edited"
        )
        raise AuditError(msg)


def _flush(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as exc:
        # The system forgets such a failure once it has told of it, so a second try would "succeed".
        raise NotFlushedError(exc.errno, reason_of(exc)) from exc


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can.

    Raises
    ------
    NotFlushedError
        If the disk did not confirm it.
    """
    if os.name == "nt":  # Windows neither needs nor offers it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _flush(handle)
    except NotFlushedError as exc:
        if exc.errno not in _NO_FOLDER_SYNC:  # some network file systems do not know how to
            raise
    finally:
        os.close(handle)


def write_aside_then_rename(
    target: Path, write: Callable[[BinaryIO], object], *, aside: Path, may_replace: bool
) -> None:
    """Write a file so that it is either absent or whole, and stays so.

    Parameters
    ----------
    target
        The name it gets once it is whole. A link of that name is replaced, not followed.
    write
        Called with the open binary file.
    aside
        The name it has until then, in the same folder; there must be no such file.
    may_replace
        Whether a file that has the name of `target` by then is replaced or left alone.

    Raises
    ------
    OSError
        If the disk is full, read-only or gone, or there is a `target` that may not be
        replaced; ours is not under that name then unless the very last step, flushing
        the folder, was the one that failed.
    """
    with aside.open("xb") as sink:
        try:
            write(sink)
            sink.flush()
            _flush(sink.fileno())
        except BaseException:
            _discard(aside)
            raise
    try:
        if may_replace:
            aside.replace(target)
        else:
            _rename_to_new(aside, target)
    except BaseException:
        _discard(aside)
        raise
    sync_folder(target.parent)


def _discard(aside: Path) -> None:
    """Remove what is not whole; the failure that led here is the one to tell."""
    with contextlib.suppress(OSError):
        aside.unlink(missing_ok=True)


def _rename_to_new(aside: Path, target: Path) -> None:
    """Rename a file, but never over another: on a network disk whose locks fail, that would lose records."""
    if os.name == "nt":  # where renaming refuses by itself
        aside.rename(target)
        return
    try:
        target.hardlink_to(aside)
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from exc
        aside.rename(target)
        return
    aside.unlink()


def write_part(folder: Path, table: pa.Table, first_seq: int) -> Part:
    """Write one closed part that starts with a given record number.

    Raises
    ------
    OSError
        If it could not be written, or there is a file of that name.
    """
    last_seq = first_seq + table.num_rows - 1
    target = folder / _part_name(first_seq, last_seq)
    write_aside_then_rename(
        target,
        lambda sink: pq.write_table(table, sink, compression="zstd"),
        aside=folder / f"{LEFTOVER}{target.name}",
        may_replace=False,
    )
    return Part(first_seq, last_seq, target)


def remove_leftovers(folder: Path) -> int:
    """Remove what a crash left half-written; only ever called by the holder of the lock.

    A file that bears no name of ours is somebody else's, and left alone.
    """
    leftovers = [path for path in folder.iterdir() if _is_leftover(path.name)]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return len(leftovers)


def _is_leftover(name: str) -> bool:
    target = name.removeprefix(LEFTOVER)
    return target != name and (_NAME.fullmatch(target) is not None or target.startswith("_"))


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
