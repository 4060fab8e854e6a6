"""Check whether the audit log is whole and untouched.

Input are the parts of a log, output is an `AuditVerification` that names the first
record that was edited, removed, inserted or moved.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from sippet_reconcile._display import plural, visible
from sippet_reconcile.audit.canonical import canonical_texts
from sippet_reconcile.audit.card import check_document
from sippet_reconcile.audit.parts import foreign_files, list_parts, read_part, shown
from sippet_reconcile.audit.records import GENESIS, record_hash, records_of_table
from sippet_reconcile.errors import AuditError, InputError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from sippet_reconcile.audit.parts import Part
    from sippet_reconcile.report import Document

__all__ = ["AuditVerification", "require_untouched", "verify_folder"]

_RECORDS_AT_ONCE: Final = 5_000
_HEAD: Final = re.compile(r"[0-9a-f]{64}")
_SHOWN: Final = 80


@dataclass(frozen=True)
class AuditVerification:
    """What checking every record of an audit log gave.

    Attributes
    ----------
    ok
        Whether every record is as it was written.
    problem
        The first thing that is wrong, naming part file and record; None when nothing is.
    n_records
        How many records were read and found good.
    head
        Hash of the last good record: keep it elsewhere, and pass it to a later check.
    folder, against, checked_at
        Which log was checked, against which head that was kept elsewhere, and when.

    Examples
    --------
    >>> import tempfile
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     check = run.audit.verify(run.head)
    >>> check.ok, check.summary()["records"], check.head == run.head
    (True, 12, True)
    >>> check.to_html(f"{tempfile.mkdtemp()}/log.html").name, check.report().tone
    ('log.html', 'ok')
    >>> check.head in check.to_markdown(), check.head in check.to_json()
    (True, True)
    """

    ok: bool
    problem: str | None
    n_records: int
    head: str
    folder: str = ""
    against: str | None = None
    checked_at: pd.Timestamp | None = None

    def summary(self) -> dict[str, object]:
        """Return the result as plain values."""
        return {"ok": self.ok, "records": self.n_records, "head": self.head, "problem": self.problem}

    def __repr__(self) -> str:
        counted = plural(self.n_records, "record")
        if self.ok:
            return f"<AuditVerification: {counted}, none changed; keep the head {self.head}>"
        return visible(f"<AuditVerification: NOT OK after {counted}: {self.problem}>")

    def _repr_html_(self) -> str:
        return check_document(self)._repr_html_()

    def report(self) -> Document:
        """Return what was found as one document."""
        return check_document(self)

    def to_html(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write what was found as one self-contained HTML file for the month's file; return its path.

        Parameters
        ----------
        path
            The file; its folder is made where it is not there.
        mask
            Whether phone numbers are masked; an audit log has none.
        """
        return check_document(self).to_html(path, mask=mask)

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return what was found as Markdown, and write it where a path is given."""
        return check_document(self).to_markdown(path, mask=mask)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return what was found as JSON, and write it where a path is given."""
        return check_document(self).to_json(path, mask=mask)


def verify_folder(folder: Path, head: str | None) -> AuditVerification:
    """Check every record of a folder against the one ahead of it, and the whole against a known head.

    Raises
    ------
    InputError
        If `head` cannot be the hash of a record.
    """
    wanted = None if head is None else _checked_head(head)
    checked, seen = _verify_chain(folder, wanted)
    checked = replace(checked, folder=str(folder), against=wanted)
    if not checked.ok:
        return checked
    problem = None
    foreign = foreign_files(folder)
    if foreign:
        problem = f"{shown(foreign[0])} is no part of the audit log, yet readers of the folder would read it; move it away"
    elif wanted is not None and not seen:
        problem = (
            f"no record has the hash {wanted}: the end of the log was cut off, or the whole log was rewritten; "
            f"it now ends with record {checked.n_records}"
        )
    return replace(checked, ok=problem is None, problem=problem)


def _checked_head(head: str) -> str:
    """Return a head as hashes are written; a part of one proves nothing."""
    wanted = head.strip().lower()
    if _HEAD.fullmatch(wanted) is None:
        msg = (
            f"head must be the whole hash of a record, 64 characters of 0-9 and a-f, and is {len(wanted)} characters: "
            f"{wanted[:_SHOWN]!r}; copy it whole from the end of a run or from its report"
        )
        raise InputError(msg)
    return wanted


def require_untouched(folder: Path) -> None:
    """Refuse a log in which a record is not as it was written; strange files beside it do no harm here.

    Raises
    ------
    AuditError
        Naming the first such record.
    """
    checked, _ = _verify_chain(folder, None)
    if not checked.ok:
        msg = (
            f"the audit log {folder} is not as it was written ({checked.problem}), so what it says about "
            "earlier values cannot be trusted: restore it from a backup"
        )
        raise AuditError(msg)


def _verify_chain(folder: Path, wanted: str | None) -> tuple[AuditVerification, bool]:
    """Check every record against the one ahead of it, and say whether the wanted hash was among them."""
    seq, last = 0, GENESIS
    seen = wanted == GENESIS
    for batch in _batches(list_parts(folder)):
        hashes = _hashes_if_good(batch, seq, last)
        if hashes is not None:
            seq, last = seq + len(hashes), hashes[-1]
            seen = seen or wanted in hashes
            continue
        # Something is wrong in one of them: what, and where, is found record by record.
        for part in batch:
            try:
                records = list(records_of_table(read_part(part, as_written=True)))
            except AuditError as exc:
                return AuditVerification(ok=False, problem=str(exc), n_records=seq, head=last), seen
            numbers = {record["seq"] for record in records}
            for record in records:
                problem = _problem(part, record, seq + 1, last, numbers)
                if problem:
                    return AuditVerification(ok=False, problem=problem, n_records=seq, head=last), seen
                seq, last = seq + 1, record["hash"]
                seen = seen or last == wanted
            problem = _name_problem(part, records)
            if problem:
                return AuditVerification(ok=False, problem=problem, n_records=seq, head=last), seen
    return AuditVerification(ok=True, problem=None, n_records=seq, head=last), seen


def _batches(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Yield parts so many at a time that checking them together takes little memory."""
    batch: list[Part] = []
    for part in parts:
        if batch and part.last_seq - batch[0].first_seq >= _RECORDS_AT_ONCE:
            yield batch
            batch = []
        batch.append(part)
    if batch:
        yield batch


def _hashes_if_good(parts: Sequence[Part], seq: int, last: str) -> list[str] | None:
    """Return the hashes of some parts' records where each continues the one ahead of it; None where one does not."""
    try:
        tables = [read_part(part, as_written=True) for part in parts]
    except AuditError:
        return None
    ends = seq
    for part, table in zip(parts, tables, strict=True):
        begins, ends = ends + 1, ends + table.num_rows
        if not table.num_rows or (part.first_seq, part.last_seq) != (begins, ends):
            return None
    records = pa.concat_tables(tables)
    if records.column("seq").to_pylist() != list(range(seq + 1, ends + 1)):
        return None
    hashes: list[str] = records.column("hash").to_pylist()
    if records.column("prev_hash").to_pylist() != [last, *hashes[:-1]]:
        return None
    for text, told in zip(canonical_texts(records).to_pylist(), hashes, strict=True):
        last = hashlib.sha256((last + text).encode()).hexdigest()
        if last != told:
            return None
    return hashes


def _name_problem(part: Part, records: list[dict[str, Any]]) -> str | None:
    """Say how the good records of a part do not fit its name; None where they do."""
    if not records:
        return f"{part.name}: it holds no records: they were removed"
    found = records[0]["seq"], records[-1]["seq"]
    if found == (part.first_seq, part.last_seq):
        return None
    return (
        f"{part.name}: it holds the records {found[0]} to {found[1]}, and by its name should hold those from "
        f"{part.first_seq} to {part.last_seq}: records are missing, or the file was renamed"
    )


def _problem(part: Part, record: dict[str, Any], expected: int, last: str, numbers: set[Any]) -> str | None:
    """Say what is wrong with the record that should be number `expected`; None when nothing is."""
    seq = record["seq"]
    where = f"{part.name}, record {seq}"
    if seq is None:
        return f"{part.name}: a record without a number stands where record {expected} should: it was edited or inserted"
    if seq < expected:
        return f"{where}: stands where record {expected} should: it was inserted, repeated or moved"
    if seq > expected and expected in numbers:
        return f"{where}: stands where record {expected} should, which comes later: records were reordered"
    if seq > expected and part.first_seq == expected and min(filter(None, numbers)) > part.last_seq:
        return f"{where}: by its name this file should begin with record {expected}: it was renamed, or swapped for another"
    if seq > expected:
        gap = f"record {expected} is" if seq == expected + 1 else f"the records {expected} to {seq - 1} are"
        return f"{where}: {gap} missing ahead of it"
    if record["prev_hash"] != last:
        return (
            f"{where}: does not continue record {expected - 1}: it was edited or inserted, "
            "or the record ahead of it was rewritten"
        )
    if record["hash"] != record_hash(last, record):
        return f"{where}: its content does not give its hash: it was edited"
    return None
