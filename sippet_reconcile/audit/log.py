"""Keep what was meant, what was sent and what came of it: the append-only log in one folder.

Input are the entries of runs, output are frames, checks and exports. Reading needs
no lock and works while a run writes; writing needs the lock, which one process at a
time can hold and which the system frees when its holder dies.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from filelock import FileLock, Timeout

from sippet_reconcile.audit.export import export_records
from sippet_reconcile.audit.parts import (
    Part,
    foreign_files,
    interrupts_deferred,
    list_parts,
    read_part,
    remove_leftovers,
    write_part,
)
from sippet_reconcile.audit.records import (
    ARROW,
    AUDIT,
    GENESIS,
    chain,
    record_hash,
    records_of_table,
    table_of_records,
)
from sippet_reconcile.audit.runs import list_runs
from sippet_reconcile.audit.verification import AuditVerification, require_untouched, verify_folder
from sippet_reconcile.errors import AuditError, InputError
from sippet_reconcile.schema import arrow_to_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from sippet_reconcile.audit.records import Entry

__all__ = ["AuditLog", "AuditWriter"]

_LOCK: Final = "_lock"
_HOLDER: Final = "_holder.json"


class AuditLog:
    r"""An append-only log of runs: a folder of closed parquet parts, chained by hashes.

    ``pandas.read_parquet(path)`` reads it at any moment: whatever is in the folder
    and is no part has a name that starts with ``_``. Each record carries ``hash =
    sha256(prev_hash + canonical JSON of the record)``, where the JSON holds every
    column but the two hashes, with sorted keys, no white space and ``\u`` escapes,
    null for missing, and ``at`` as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``; the first
    ``prev_hash`` is 64 zeros. An auditor needs no more than a JSON and a SHA-256
    library to recompute it.

    Parameters
    ----------
    path
        The folder. It is made by the first run that writes.

    Examples
    --------
    >>> import tempfile
    >>> log = AuditLog(tempfile.mkdtemp())
    >>> len(log.records()), log.verify().ok
    (0, True)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"<AuditLog {self.path}; next: .runs(), .verify()>"

    @property
    def head(self) -> str:
        """The hash of the last record; keep it elsewhere, a cut end shows only against it."""
        parts = self._parts()
        if not parts:
            return GENESIS
        return str(read_part(parts[-1]).column("hash")[-1].as_py())

    def records(self, run_id: str | None = None) -> pd.DataFrame:
        """Return one row per event in the order in which they happened.

        Parameters
        ----------
        run_id
            Only the records of this run.

        Raises
        ------
        InputError
            If there is no such log, or no such run in it.
        """
        frame = arrow_to_frame(self._table(), AUDIT)
        if run_id is None:
            return frame
        chosen = frame.loc[frame["run_id"].eq(run_id)].reset_index(drop=True)
        if chosen.empty:
            known = ", ".join(frame["run_id"].dropna().unique()) or "none"
            msg = f"the audit log {self.path} has no run {run_id!r}; its runs: {known}"
            raise InputError(msg)
        return chosen

    def runs(self) -> pd.DataFrame:
        """Return one row per run: when, what plan, how many calls, their outcomes, how it ended."""
        return list_runs(self.records())

    def verify(self, head: str | None = None) -> AuditVerification:
        """Check that every record is as it was written.

        Parameters
        ----------
        head
            A head noted after an earlier run. Without it a cut end, or a log that was
            rewritten from its first record, cannot show.

        Raises
        ------
        InputError
            If there is no such log.
        """
        self._parts()
        return verify_folder(self.path, head)

    def require_untouched(self) -> None:
        """Refuse to go on where a record is not as it was written.

        Raises
        ------
        InputError
            If there is no such log.
        AuditError
            Naming the first record that was edited, removed, inserted or moved.
        """
        self._parts()
        require_untouched(self.path)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Write all records into one file: ``.parquet``, ``.csv`` or ``.jsonl``, by its suffix.

        Text that a spreadsheet would take for a formula is quoted in CSV.

        Raises
        ------
        InputError
            If the suffix is another one, or the file would lie in the log's own folder.
        """
        target = Path(path)
        if target.resolve().parent == self.path.resolve():
            msg = f"{target} lies inside the audit log, whose readers would take it for a part: choose another folder"
            raise InputError(msg)
        return export_records(self._table(), target)

    @contextmanager
    def writing(self) -> Iterator[AuditWriter]:
        """Hold the log for one run: lock it, clear what a crash left, and continue its chain.

        Raises
        ------
        InputError
            If the log would begin in a folder of other files.
        AuditError
            If another process holds it, if the folder cannot be written, or if its
            end is not as it was written.
        """
        try:
            self._refuse_folder_of_others()
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / _LOCK, timeout=0, thread_local=False)
            lock.acquire()
        except Timeout:
            raise AuditError(self._held()) from None
        except OSError as exc:
            msg = f"the audit log {self.path} cannot be opened for writing ({exc.strerror or exc}): nothing was sent"
            raise AuditError(msg) from exc
        holder = self.path / _HOLDER
        try:
            try:
                holder.write_text(json.dumps(_who_we_are()), encoding="utf-8")
                remove_leftovers(self.path)
            except OSError as exc:
                raise AuditError(_cannot_write(self.path, exc)) from exc
            yield AuditWriter(self.path)
        finally:
            try:
                holder.unlink(missing_ok=True)
            except OSError:
                # A folder that became read-only keeps the note; the lock itself is what counts.
                pass
            finally:
                lock.release()

    def _parts(self) -> list[Part]:
        if not self.path.is_dir():
            msg = f"there is no audit log at {self.path}; apply_plan makes one, or check the path"
            raise InputError(msg)
        return list_parts(self.path)

    def _refuse_folder_of_others(self) -> None:
        """Begin no log among files that whoever reads the folder would take for its parts."""
        if not self.path.is_dir() or list_parts(self.path):
            return
        others = foreign_files(self.path)
        if others:
            msg = (
                f"{self.path} holds other files, such as {others[0]}, and a log would make the folder unreadable "
                "as one table: name a new or an empty folder; nothing was sent"
            )
            raise InputError(msg)

    def _table(self) -> pa.Table:
        tables = [read_part(part) for part in self._parts()]
        return pa.concat_tables(tables) if tables else ARROW.empty_table()

    def _held(self) -> str:
        """Say who holds the lock, as far as they told."""
        try:
            holder: dict[str, Any] = json.loads((self.path / _HOLDER).read_text(encoding="utf-8"))
            who = f"process {holder['pid']} ({holder['user']} on {holder['host']}, since {holder['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process"
        return f"the audit log {self.path} is held by {who}: wait until its run has ended, then apply again"


class AuditWriter:
    """The pen of a locked log; handed out by `AuditLog.writing`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seq, self._head = _checked_end(folder)
        self._broken: str | None = None

    @property
    def head(self) -> str:
        """The hash of the last record that is on the disk."""
        return self._head

    def append(self, entries: Sequence[Entry]) -> None:
        """Make entries durable as one part; when this returns they survive a power cut.

        Ctrl-C waits until it is done, so an entry is either in the log or is not.

        Raises
        ------
        AuditError
            If the disk is full, read-only or gone. Nothing more may be sent then.
        """
        if not entries:
            return
        if self._broken is not None:
            raise AuditError(self._broken)
        with interrupts_deferred():
            records = chain(entries, seq=self._seq, head=self._head)
            table = table_of_records(records)
            try:
                write_part(self._folder, table, self._seq + 1)
            except OSError as exc:
                self._settle_end()
                raise AuditError(_cannot_write(self._folder, exc)) from exc
            self._seq += len(records)
            self._head = str(records[-1]["hash"])

    def _settle_end(self) -> None:
        """After a failure, find out whether the part is there all the same; if it is, write no more."""
        try:
            parts = list_parts(self._folder)
        except OSError:
            parts = []
        if (parts[-1].last_seq if parts else 0) != self._seq:
            self._broken = (
                f"the audit log {self._folder} is not as this run left it: nothing more is written to it"
            )


def _checked_end(folder: Path) -> tuple[int, str]:
    """Return number and hash of the last record, having checked the end of the log.

    The numbers in the names must leave no gap, and the last part must fit its hashes:
    enough to see a torn or edited end at once. `AuditLog.verify` checks the rest.
    """
    parts = list_parts(folder)
    expected = 1
    for part in parts:
        if part.first_seq != expected:
            msg = (
                f"the audit log {folder} is not whole: {part.name} should begin with record {expected}; "
                "restore the missing part or start a new log, and see AuditLog.verify()"
            )
            raise AuditError(msg)
        expected = part.last_seq + 1
    if not parts:
        return 0, GENESIS
    head: str | None = None
    for record in records_of_table(read_part(parts[-1])):
        before = record["prev_hash"] if head is None else head
        if record["prev_hash"] != before or record["hash"] != record_hash(before, record):
            msg = (
                f"the audit log {folder} was changed: {parts[-1].name}, record {record['seq']} does not fit its hash; "
                "see AuditLog.verify(), and start a new log for further runs"
            )
            raise AuditError(msg)
        head = record["hash"]
    if head is None:
        msg = f"the audit log {folder} is not whole: {parts[-1].name} has no records; see AuditLog.verify()"
        raise AuditError(msg)
    return expected - 1, head


def _who_we_are() -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process without a user name, as in some containers
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "an unnamed user"
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"pid": os.getpid(), "user": user, "host": socket.gethostname(), "since": since}


def _cannot_write(folder: Path, exc: OSError) -> str:
    return (
        f"the audit log {folder} cannot be written ({exc.strerror or exc}): nothing more is sent; "
        "free space or restore access, then apply again: what was under way is read back first"
    )
