"""Write a locked log: continue its chain, and stop for good where it is no longer ours.

Input are the entries of a run, output is one closed part per call of `AuditWriter.append`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sippet_reconcile.audit.chaining import chained_table
from sippet_reconcile.audit.parts import (
    NotFlushedError,
    interrupts_deferred,
    list_parts,
    part_numbers,
    read_part,
    reason_of,
    sync_folder,
    write_part,
)
from sippet_reconcile.audit.records import (
    GENESIS,
    Event,
    record_hash,
    records_of_table,
)
from sippet_reconcile.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sippet_reconcile.audit.locking import Hold
    from sippet_reconcile.audit.parts import Part
    from sippet_reconcile.audit.records import Entry

__all__ = ["AuditWriter", "cannot_write"]


class AuditWriter:
    """The pen of a locked log; handed out by `AuditLog.writing`."""

    def __init__(self, folder: Path, hold: Hold) -> None:
        self._folder, self._hold = folder, hold
        self._seq, self._head = _checked_end(folder)
        # What a run builds on must not vanish in a power cut that a crash left it exposed to.
        sync_folder(folder)
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
            If the disk is full, read-only or gone, or somebody else's hands are in the
            folder. Nothing more may be sent then.
        """
        if not entries:
            return
        if self._broken is not None:
            raise AuditError(self._broken)
        with interrupts_deferred():
            table = chained_table(entries, seq=self._seq, head=self._head)
            try:
                self._require_ours()
                self._tell_run(entries[0])
                write_part(self._folder, table, self._seq + 1)
            except OSError as exc:
                self._settle(exc)
                raise AuditError(self._broken or cannot_write(self._folder, exc)) from exc
            self._seq += table.num_rows
            self._head = table.column("hash")[-1].as_py()

    def _require_ours(self) -> None:
        """Refuse to write where another run may write too, or where the end is not the one we left."""
        if self._hold.is_lost():
            self._broken = (
                f"the audit log {self._folder} is not as this run left it: its lock was removed, or the folder was "
                "moved or replaced, so another run may be writing; nothing more is written or sent. "
                "Put the folder back, then apply again"
            )
        else:
            parts = part_numbers(self._folder)
            _, last, name = parts[-1] if parts else (0, 0, "gone")
            if last != self._seq or (len(parts) > 1 and parts[-2][1] >= parts[-1][0]):
                self._broken = (
                    f"the audit log {self._folder} is not as this run left it: its last part should end with record "
                    f"{self._seq}, and is {name}; nothing more is written or sent. "
                    "See AuditLog.verify()"
                )
        if self._broken is not None:
            raise AuditError(self._broken)

    def _tell_run(self, first: Entry) -> None:
        if first.event is Event.RUN_STARTED:
            self._hold.tell(run_id=first.run_id, plan_id=first.plan_id)

    def _settle(self, exc: OSError) -> None:
        """After a failure, find out whether another part may follow; a disk that lost one is not believed again."""
        try:
            parts = part_numbers(self._folder)
        except OSError:
            parts = []
        if isinstance(exc, NotFlushedError):
            self._broken = (
                f"the disk of the audit log {self._folder} did not keep what was written ({reason_of(exc)}): nothing "
                "more is written or sent; check the disk, then apply again: what was under way is read back first"
            )
        elif (parts[-1][1] if parts else 0) != self._seq:
            self._broken = f"{cannot_write(self._folder, exc)} (and it is not as this run left it)"


def cannot_write(folder: Path, exc: OSError) -> str:
    """Say that a log takes no more, and what to do."""
    return (
        f"the audit log {folder} cannot be written ({reason_of(exc)}): nothing more is sent; "
        "free space or restore access, then apply again: what was under way is read back first"
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
    seq, head = parts[-1].first_seq - 1, None
    for record in _records_of_last(parts[-1]):
        before = record["prev_hash"] if head is None else head
        seq += 1
        if (record["seq"], record["prev_hash"], record["hash"]) != (seq, before, record_hash(before, record)):
            msg = (
                f"the audit log {folder} was changed: {parts[-1].name}, record {record['seq']} does not fit its hash; "
                "see AuditLog.verify(), and start a new log for further runs"
            )
            raise AuditError(msg)
        head = record["hash"]
    if head is None or seq != expected - 1:
        found = "has no records" if head is None else f"ends with record {seq}"
        msg = f"the audit log {folder} is not whole: {parts[-1].name} {found}; see AuditLog.verify()"
        raise AuditError(msg)
    return expected - 1, str(head)


def _records_of_last(part: Part) -> Iterator[dict[str, Any]]:
    """Return the records of the last part; where a power cut tore it, say how to go on without it."""
    try:
        table = read_part(part)
    except AuditError as exc:
        # What is not parquet any more; a file that may not be read, or that a later version wrote, is no torn one.
        if (
            not isinstance(exc.__cause__, pa.ArrowException)
            and getattr(exc.__cause__, "errno", 0) is not None
        ):
            raise
        msg = (
            f"{exc}. Nothing was sent. Where a power cut tore it and there is no backup, move {part.path} out of the "
            "log, keep it, and apply again: each call is read before anything is sent, but a change that only this "
            "part told of counts as made by others then, and a revert leaves it alone"
        )
        raise AuditError(msg) from exc
    return records_of_table(table)
