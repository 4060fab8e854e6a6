"""Keep what was meant, what was sent and what came of it: the append-only log in one folder.

Input are the entries of runs, output are frames, checks and exports. Reading needs
no lock and works while a run writes; writing needs the lock, which one process at a
time can hold and which the system frees when its holder dies.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.audit.card import log_document, log_line
from sippet_reconcile.audit.export import export_parts
from sippet_reconcile.audit.locking import holding
from sippet_reconcile.audit.parts import (
    Part,
    foreign_files,
    list_parts,
    read_part,
    reason_of,
    remove_leftovers,
    shown,
)
from sippet_reconcile.audit.records import ARROW, AUDIT, GENESIS
from sippet_reconcile.audit.runs import READ, list_runs
from sippet_reconcile.audit.verification import AuditVerification, require_untouched, verify_folder
from sippet_reconcile.audit.writer import AuditWriter, cannot_write
from sippet_reconcile.errors import AuditError, InputError
from sippet_reconcile.progress import reporting
from sippet_reconcile.schema import arrow_to_frame

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from sippet_reconcile.progress import Progress

__all__ = ["AuditLog"]


class AuditLog:
    r"""An append-only log of runs: a folder of closed parquet parts, chained by hashes.

    ``pandas.read_parquet(path)`` reads it at any moment: whatever is in the folder
    and is no part has a name that starts with ``_``. Each record carries ``hash =
    sha256(prev_hash + canonical JSON of the record)``, where the JSON holds every
    column but the two hashes, with sorted keys, no white space and ``\u`` escapes,
    null for missing, and ``at`` as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``; the first
    ``prev_hash`` is 64 zeros. An auditor needs no more than a JSON and a SHA-256
    library to recompute it.

    One run at a time writes. What keeps a second one out is a lock of the system, which
    is free the moment its holder ends, however it ends; what a dead holder noted about
    itself is not believed. Keep the log on a disk of this computer: locks on network
    disks are sometimes seen by one computer only. A second writer would still find that
    the log is not as it left it, and stop, but only at its next record.

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

    Where something was applied, it tells of it:

    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     records, runs = run.audit.records(), run.audit.runs()
    ...     copy = run.audit.export(f"{tempfile.mkdtemp()}/october.csv")
    >>> records["event"].head(3).tolist(), len(records)
    (['run-started', 'approval', 'intent'], 12)
    >>> runs[["approved_by", "applied", "ended"]].to_numpy().tolist(), copy.name
    ([['ana', 3, 'complete']], 'october.csv')
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return log_line(self)

    def _repr_html_(self) -> str:
        return log_document(self)._repr_html_()

    @property
    def head(self) -> str:
        """The hash of the last record; keep it elsewhere, a cut end shows only against it."""
        parts = self.parts()
        if not parts:
            return GENESIS
        return str(read_part(parts[-1], ["hash"]).column("hash")[-1].as_py())

    def parts(self) -> list[Part]:
        """Return the closed files of the log in the order of their records.

        Raises
        ------
        InputError
            If there is no such log, or it may not be read.
        """
        try:
            if self.path.is_dir():
                return list_parts(self.path)
            found = self.path.exists()
        except OSError as exc:
            msg = f"the audit log {self.path} cannot be read ({reason_of(exc)})"
            raise InputError(msg) from exc
        msg = f"there is no audit log at {self.path}; apply_plan makes one, or check the path"
        if found:
            msg = f"there is no audit log at {self.path}, which is no folder; check the path"
        raise InputError(msg)

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
        if run_id is None:
            return arrow_to_frame(self._table(), AUDIT)
        chosen = arrow_to_frame(self._table(is_wanted=pc.field("run_id") == run_id), AUDIT)
        if chosen.empty:
            known = ", ".join(self._table(["run_id"]).column("run_id").unique().to_pylist()) or "none"
            msg = f"the audit log {self.path} has no run {run_id!r}; its runs: {known}"
            raise InputError(msg)
        return chosen

    def runs(self) -> pd.DataFrame:
        """Return one row per run: when, what plan, how many calls, their outcomes, how it ended."""
        return list_runs(arrow_to_frame(self._table(READ)))

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
        self.parts()
        return replace(verify_folder(self.path, head), checked_at=pd.Timestamp(datetime.now(UTC)))

    def require_untouched(self) -> None:
        """Refuse to go on where a record is not as it was written.

        Raises
        ------
        InputError
            If there is no such log.
        AuditError
            Naming the first record that was edited, removed, inserted or moved.
        """
        self.parts()
        require_untouched(self.path)

    def export(self, path: str | os.PathLike[str], *, progress: Progress = None) -> Path:
        """Write all records into one file: ``.parquet``, ``.csv``, ``.jsonl`` or ``.xlsx``, by its suffix.

        A file of that name is replaced once the new one is whole; a link is replaced,
        not followed.

        - ``.jsonl``: one record per line, as it was hashed. For each line take
          ``prev_hash`` and ``hash`` out of the object and write the rest as JSON again
          (keys sorted, no white space): the SHA-256 of ``prev_hash`` and that text is
          ``hash``, and the ``prev_hash`` of the next line.
        - ``.csv``: UTF-8, text in quotes, missing values as nothing between two commas.
          A text that a spreadsheet would calculate, or that starts with an apostrophe,
          has one apostrophe more in front; taking it away gives the text.
        - ``.xlsx``: every text as text. A cell that is too long for Excel says that it
          was cut. Needs the extra ``excel``.

        Parameters
        ----------
        path
            The file; its folder must be there.
        progress
            See `sippet_reconcile.progress`.

        Raises
        ------
        InputError
            If the suffix is another one, the file would lie in a log's own folder, or it
            cannot be written.
        """
        parts, target = self.parts(), Path(path)
        with reporting(progress, unit="record") as report:
            export_parts(self.path, parts, target, report)
        return target

    @contextmanager
    def writing(self) -> Iterator[AuditWriter]:
        """Hold the log for one run: lock it, clear what a crash left, and continue its chain.

        Raises
        ------
        InputError
            If the log would begin in a folder of other files.
        AuditError
            If another run holds it, if the folder cannot be written, or if its end is
            not as it was written.
        """
        try:
            self._refuse_folder_of_others()
            self.path.mkdir(parents=True, exist_ok=True)
            # From here on another working folder, or a link that is turned elsewhere, makes no difference.
            folder = self.path.resolve()
        except OSError as exc:
            why = (
                "it is a file, and a log is a folder" if isinstance(exc, FileExistsError) else reason_of(exc)
            )
            msg = f"the audit log {self.path} cannot be opened for writing ({why}): nothing was sent"
            raise AuditError(msg) from exc
        with holding(folder) as hold:
            try:
                remove_leftovers(folder)
                writer = AuditWriter(folder, hold)
            except OSError as exc:
                raise AuditError(cannot_write(folder, exc)) from exc
            yield writer

    def _refuse_folder_of_others(self) -> None:
        """Begin no log among files that whoever reads the folder would take for its parts."""
        if not self.path.is_dir() or list_parts(self.path):
            return
        others = foreign_files(self.path)
        if others:
            msg = (
                f"{self.path} holds other files, such as {shown(others[0])}, and a log would make the folder unreadable "
                "as one table: name a new or an empty folder; nothing was sent"
            )
            raise InputError(msg)

    def _table(
        self, columns: Sequence[str] = AUDIT.names, is_wanted: pc.Expression | None = None
    ) -> pa.Table:
        """Return columns of all records, or of those that are wanted."""
        tables = []
        for part in self.parts():
            table = read_part(part, columns)
            tables.append(table if is_wanted is None else table.filter(is_wanted))
        return pa.concat_tables(tables) if tables else ARROW.empty_table().select(columns)
