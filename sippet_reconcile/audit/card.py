"""Show an audit log, and what checking it gave, to people: as a card, and as a document for the month's file.

Input are a log, or the result of its check; output are documents. A log that is missing
or damaged is told of, never raised about: whoever looks at it wants to know just that.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa

from sippet_reconcile._display import plural
from sippet_reconcile.audit.parts import foreign_files, list_parts, read_part, shown
from sippet_reconcile.audit.runs import READ, list_runs
from sippet_reconcile.report import Document, Section
from sippet_reconcile.schema import arrow_to_frame

if TYPE_CHECKING:
    from sippet_reconcile.audit.log import AuditLog
    from sippet_reconcile.audit.parts import Part
    from sippet_reconcile.audit.verification import AuditVerification

__all__ = ["check_document", "head_section", "log_document", "log_line"]

_MOST_PARTS: Final = 2_000
"""Parts that are read for a card; whoever has more asks for the runs."""

_SIZES: Final = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_RUN: Final = ("run_id", "started_at", "last_at", "n_calls")
_OUTCOMES: Final = (
    "applied",
    "already",
    "drifted",
    "rejected",
    "missing",
    "failed",
    "altered",
    "unknown",
    "without_outcome",
)
_WHO: Final = ("ended", "approved_by", "started_by", "reverts_run_id")
_HEADS: Final = {
    "run_id": "run",
    "started_at": "began",
    "last_at": "last heard of",
    "n_calls": "calls",
    "without_outcome": "not settled",
    "ended": "how it ended",
    "started_by": "who ran it",
    "reverts_run_id": "undoes run",
}
_NEXT: Final = (
    "Next: .runs() for one row per run, .records(run_id) for every event, .verify(head) to check that nothing was edited, "
    ".export(path) for a copy; load_run(log) brings a run back."
)
_CHAIN: Final = (
    "Export the log as .jsonl. For each line take prev_hash and hash out of the object and write the rest as JSON again, "
    "keys sorted, no white space, letters beyond ASCII as \\u escapes: the SHA-256 of prev_hash and that text is hash, and the prev_hash of the next line. The "
    "first prev_hash is 64 zeros."
)


def log_line(log: AuditLog) -> str:
    """Return a log in one line, without reading a record."""
    try:
        parts = log.parts()
        size = _size(parts)
    # Whatever a folder that is missing, locked away or full of something else may raise, a line about it is no place to fail.
    except Exception as exc:  # noqa: BLE001
        return f"<AuditLog {log.path}: {exc}>"
    if not parts:
        return f"<AuditLog {log.path}: no records yet; next: apply_plan(plan, client, log)>"
    n_records = plural(_n_records(parts), "record")
    return f"<AuditLog {log.path}: {n_records} in {plural(len(parts), 'part')}, {size}; next: .runs(), .verify()>"


def log_document(log: AuditLog) -> Document:
    """Return the document of a log, of which the card is made."""
    try:
        return _log_document(log)
    # Files that were edited, cut or swapped may raise anything: the card says what, and where to look further.
    except Exception as exc:  # noqa: BLE001
        return Document(
            title="Audit log",
            subtitle=str(log.path),
            verdict=f"It cannot be read: {exc}",
            tone="stop",
            sections=[
                Section(
                    "What to do",
                    "Check the path. Where it is right, AuditLog.verify() names the first record that is wrong: restore the log from a backup, and write nothing into it meanwhile.",
                )
            ],
        )


def _log_document(log: AuditLog) -> Document:
    parts = log.parts()
    if not parts:
        told = "It holds no records yet: the first run that is applied writes them."
        return Document(title="Audit log", subtitle=str(log.path), verdict=told, sections=_strangers(log))
    runs = log.runs() if len(parts) <= _MOST_PARTS else None
    first, last = (read_part(parts[at], ["at"]).column("at")[at].as_py() for at in (0, -1))
    head = log.head
    n_records = _n_records(parts)
    # An approval is dated when it was given: only starts and ends tell the span where the runs are known.
    since = runs["started_at"].min() if runs is not None else pd.Timestamp(first)
    until = runs["last_at"].max() if runs is not None else pd.Timestamp(last)
    of_runs = f" of {plural(len(runs), 'run')}" if runs is not None else ""
    is_odd = bool(_strangers(log))
    return Document(
        title="Audit log",
        subtitle=str(log.path),
        verdict=f"{plural(n_records, 'record')}{of_runs}. Whether each is as it was written is not looked at here.",
        tone="warn" if is_odd else "",
        facts={
            **({"runs": len(runs)} if runs is not None else {}),
            "records": n_records,
            "from": since,
            "until": until,
            "size": _size(parts),
            "head": head,
        },
        sections=[*_strangers(log), *_runs(runs, is_short=True), Section("Where to go from here", _NEXT)],
    )


def _strangers(log: AuditLog) -> list[Section]:
    others = foreign_files(log.path)
    if not others:
        return []
    told = f"{plural(len(others), 'file')} that readers of the folder would take for parts, such as {shown(others[0])}: move them away."
    return [Section("Files that do not belong here", told)]


def _runs(runs: pd.DataFrame | None, *, is_short: bool = False) -> list[Section]:
    """Return the runs, the latest first; outcomes that none had are no column, and a card has the columns that fit."""
    if runs is None or runs.empty:
        return []
    names = [name for name in _RUN if not (is_short and name == "last_at")]
    names += [name for name in _OUTCOMES if runs[name].fillna(0).any()]
    names += [name for name in _WHO if runs[name].notna().any() and not (is_short and name == "started_by")]
    latest_first = runs.iloc[::-1][names].reset_index(drop=True)
    return [Section("Runs, the latest first", frame=latest_first, heads=_HEADS)]


def _runs_in(folder: str) -> pd.DataFrame | None:
    """Return the runs of a folder; None where they cannot be told."""
    try:
        parts = list_parts(Path(folder)) if folder else []
        if not 0 < len(parts) <= _MOST_PARTS:
            return None
        tables = [read_part(part, READ) for part in parts]
        return list_runs(arrow_to_frame(pa.concat_tables(tables)))
    # What is not as it was written need not be readable either; the verdict says what is wrong.
    except Exception:  # noqa: BLE001
        return None


def _n_records(parts: list[Part]) -> int:
    return sum(part.last_seq - part.first_seq + 1 for part in parts)


def _size(parts: list[Part]) -> str:
    """Return how much the parts take on the disk, as people say it."""
    n_bytes = sum(part.path.stat().st_size for part in parts)
    for least, unit in _SIZES:
        if n_bytes >= least:
            return f"{n_bytes / least:,.1f} {unit}"
    return f"{n_bytes} bytes"


def check_document(check: AuditVerification) -> Document:
    """Return the document of a check of a log."""
    records = plural(check.n_records, "record")
    if not check.ok:
        verdict = f"NOT as it was written: {check.problem}. {records} ahead of it {'is' if check.n_records == 1 else 'are'} good."
    elif not check.n_records:
        verdict = "There are no records in this folder: nothing is proved. Is it the right one?"
    else:
        verdict = f"{records}, none edited, missing, inserted or moved."
        verdict += (
            " The head that was kept elsewhere is among them."
            if check.against
            else " No head that was kept elsewhere was given, so a cut end, or a log written anew as a whole, would not show."
        )
    tone = "stop" if not check.ok else "ok" if check.n_records and check.against else "warn"
    kept = [head_section(check.head, check.folder)] if check.n_records else []
    facts: dict[str, Any] = {
        "records found good": check.n_records,
        "head of what is good": check.head,
        "head given": check.against,
    }
    return Document(
        title="Audit log: untouched" if check.ok else "Audit log: not as it was written",
        subtitle=check.folder,
        verdict=verdict,
        tone=tone,
        facts={name: value for name, value in facts.items() if value is not None},
        sections=[
            *_runs(_runs_in(check.folder)),
            *kept,
            Section("To check it without this program", _CHAIN, in_card=False),
        ],
        about={
            name: value
            for name, value in (("audit_log", check.folder), ("checked_at", check.checked_at))
            if value
        },
        summary=check.summary(),
    )


def head_section(head: str, path: object) -> Section:
    """Return the section that asks to keep the head of a log elsewhere, and says why.

    Parameters
    ----------
    head
        The hash of the last record that is spoken of.
    path
        The folder of the log.
    """
    told = {
        "head": head,
        "audit log": str(path),
        "to check": f"sippet-reconcile audit verify --audit {shlex.quote(str(path))} --head {head}",
    }
    frame = pd.DataFrame(
        {"what": pd.Series(list(told), dtype="str"), "value": pd.Series(list(told.values()), dtype="str")}
    )
    return Section(
        "Keep this head elsewhere",
        "Each record of the audit log vouches for the one ahead of it, so an edit shows by itself. A log that was cut at "
        "its end, or written anew as a whole, shows only against a head that was kept elsewhere: in the month's file, "
        "in a mail, on paper.",
        frame,
        in_card=False,
    )
