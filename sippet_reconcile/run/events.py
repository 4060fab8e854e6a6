"""Read from the log what tells where its runs stand, without an object for each record.

Input are the parts of a log, one after the other and only the columns that are needed;
output are codes, call ids and the few records that tell of a whole run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._version import __version__
from sippet_reconcile.audit import Event, Outcome
from sippet_reconcile.audit.notes import json_object
from sippet_reconcile.audit.parts import read_part
from sippet_reconcile.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.audit import AuditLog
    from sippet_reconcile.audit.parts import Part

__all__ = ["EVENTS", "OUTCOMES", "Events", "LogEvents", "read_events"]

EVENTS: Final = tuple(Event)
"""The events; the code of an event is its place in here."""

OUTCOMES: Final = tuple(Outcome)
"""The outcomes; the code of an outcome is its place in here, -1 where there is none."""

_COLUMNS: Final = ("run_id", "event", "call_id", "outcome", "note")
_OF_RUN: Final = ("run_id", "plan_id", "api_url", "event", "before", "after", "reason", "by", "note", "at")
_ABOUT_RUN: Final = (Event.RUN_STARTED, Event.APPROVAL, Event.RUN_ENDED)
_WORDS_ABOUT_RUN: Final = pa.array([event.value for event in _ABOUT_RUN], pa.large_string())
_PARTS_AT_ONCE: Final = 200


@dataclass(frozen=True, eq=False)
class Events:
    """Records in the order in which they were written, as far as they tell where a run stands.

    Attributes
    ----------
    rows
        The place of each record among all that were read.
    event, outcome
        Codes, see `EVENTS` and `OUTCOMES`.
    call_ids
        Missing where the record is about the run.
    notes
        Of outcomes only; those of other records about calls are long, and tell nothing here.
    of_run
        The records about the run as a whole, by their place in `event`.
    """

    rows: NDArray[np.int64]
    event: NDArray[np.int8]
    outcome: NDArray[np.int8]
    call_ids: pa.ChunkedArray
    notes: pa.ChunkedArray
    of_run: Mapping[int, dict[str, Any]]

    def __len__(self) -> int:
        return len(self.event)

    def is_event(self, *events: Event) -> NDArray[np.bool_]:
        """Mark the records of some events."""
        return np.isin(self.event, [EVENTS.index(event) for event in events])

    @classmethod
    def from_frame(cls, records: pd.DataFrame) -> Events:
        """Return what a frame of records tells, in its order."""
        names = dict.fromkeys((*_COLUMNS, *_OF_RUN))
        columns = {name: pa.array(records[name].array, from_pandas=True) for name in names}
        table = pa.table(
            {
                name: column if name == "at" else column.cast(pa.large_string())
                for name, column in columns.items()
            }
        )
        events = cls.of_table(table)
        places = np.flatnonzero(events.is_event(*_ABOUT_RUN))
        told = table.select(_OF_RUN).take(pa.array(places)).to_pylist()
        return replace(events, of_run=dict(zip(places.tolist(), told, strict=True)))

    @classmethod
    def of_table(cls, table: pa.Table) -> Events:
        """Return what the columns of records tell, but for the records about runs.

        Raises
        ------
        AuditError
            If a record is none that this version writes.
        """
        event, outcome = _codes(table.column("event"), EVENTS), _codes(table.column("outcome"), OUTCOMES)
        call_ids = table.column("call_id")
        is_about_run = np.isin(event, [EVENTS.index(word) for word in _ABOUT_RUN])
        is_outcome = event == EVENTS.index(Event.OUTCOME)
        is_odd = (~is_about_run & call_ids.is_null().to_numpy()) | (is_outcome & (outcome < 0)) | (event < 0)
        if is_odd.any():
            run_id = table.column("run_id")[int(np.flatnonzero(is_odd)[0])]
            msg = (
                f"the audit log holds a record of run {run_id} that lacks its event, its call or its outcome: "
                "this program does not write such records; see AuditLog.verify()"
            )
            raise AuditError(msg)
        notes = pc.if_else(pa.array(is_outcome), table.column("note"), pa.scalar(None, pa.large_string()))
        return cls(np.arange(len(event)), event, outcome, call_ids, notes, {})

    def take(self, rows: NDArray[np.int64]) -> Events:
        """Return some of the records, by their places in ascending order."""
        if len(rows) == len(self):
            return self
        kept = {
            row: int(place)
            for row, place in zip(self.of_run, np.searchsorted(rows, [*self.of_run]), strict=True)
        }
        of_run = {
            place: self.of_run[row] for row, place in kept.items() if place < len(rows) and rows[place] == row
        }
        wanted = pa.array(rows)
        call_ids, notes = self.call_ids.take(wanted), self.notes.take(wanted)
        return Events(self.rows[rows], self.event[rows], self.outcome[rows], call_ids, notes, of_run)


@dataclass(frozen=True, eq=False)
class LogEvents:
    """What is known of all runs of a log; its parts were read once for it.

    Attributes
    ----------
    run_ids
        The runs, by their first record.
    """

    run_ids: Sequence[str]
    _run: NDArray[np.int32]
    _events: Events
    _parts: Sequence[Part]
    _ends: NDArray[np.int64]

    @property
    def latest_run_id(self) -> str | None:
        """The run of the last record; None in an empty log."""
        return self.run_ids[self._run[-1]] if len(self._run) else None

    @cached_property
    def _starts(self) -> dict[str, dict[str, Any]]:
        """The first start of each run."""
        starts: dict[str, dict[str, Any]] = {}
        for record in self._events.of_run.values():
            if record["event"] == Event.RUN_STARTED:
                starts.setdefault(record["run_id"], record)
        return starts

    def run_of(self, plan_id: str, api_url: str) -> str | None:
        """Return the run of a plan on an API; None where there is none."""
        for run_id, start in self._starts.items():
            if (start["plan_id"], start["api_url"]) == (plan_id, api_url):
                return run_id
        return None

    def reverts_of(self, run_id: str) -> list[str]:
        """Return the runs that undid a run: those that came as far as an intent, or found a call undone already."""
        is_undone = self._events.outcome == OUTCOMES.index(Outcome.ALREADY)
        is_intent = self._events.is_event(Event.INTENT)
        sent = {self.run_ids[code] for code in np.unique(self._run[is_intent | is_undone])}
        return [
            revert_id
            for revert_id, start in self._starts.items()
            if revert_id in sent and _reverted_by(start) == run_id
        ]

    def of(self, run_id: str) -> Events:
        """Return what was read of one run, which may be nothing."""
        code = self.run_ids.index(run_id) if run_id in self.run_ids else -1
        return self._events.take(np.flatnonzero(self._run == code))

    def read_rows(self, rows: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Return columns of some records.

        Parameters
        ----------
        rows
            Places among all records that were read, ascending; at least one.
        columns
            Columns of `AUDIT`.
        """
        tables = []
        last = np.searchsorted(rows, self._ends)
        first = np.concatenate([[0], last[:-1]])
        for place in np.flatnonzero(last > first).tolist():
            begin = self._ends[place - 1] if place else 0
            wanted = pa.array(rows[first[place] : last[place]] - begin)
            tables.append(read_part(self._parts[place], columns).take(wanted))
        return pa.concat_tables(tables)


def _reverted_by(start: Mapping[str, Any]) -> object:
    return json_object(start["note"], f"the note of a start of run {start['run_id']}").get("reverts_run_id")


def read_events(log: AuditLog) -> LogEvents:
    """Read a log once, part by part.

    Raises
    ------
    InputError
        If there is no such log.
    AuditError
        If a part is missing, cannot be read, or holds what this version does not know.
    """
    parts = _whole(log)
    known: dict[str, int] = {}
    run: list[NDArray[np.int32]] = []
    events: list[Events] = []
    of_run: dict[int, dict[str, Any]] = {}
    sizes: list[int] = []
    n_records = 0
    for start in range(0, len(parts), _PARTS_AT_ONCE):
        tables = []
        for part in parts[start : start + _PARTS_AT_ONCE]:
            table = read_part(part, _COLUMNS)
            if table.num_rows != part.last_seq - part.first_seq + 1:
                raise AuditError(_not_whole(log, f"{part.name} holds {table.num_rows} records"))
            if pc.any(pc.is_in(table.column("event"), _WORDS_ABOUT_RUN)).as_py():
                of_run |= _of_run(part, n_records)
            tables.append(table)
            sizes.append(table.num_rows)
            n_records += table.num_rows
        batch = pa.concat_tables(tables)
        events.append(Events.of_table(batch))
        run.append(_run_codes(batch.column("run_id"), known))
    together = _concat(events, of_run)
    return LogEvents(list(known), _joined(run, np.int32), together, parts, np.cumsum(sizes, dtype=np.int64))


def _whole(log: AuditLog) -> list[Part]:
    """Return the parts of a log, having seen that none is missing: calls that were sent would seem not to be."""
    problem = ""
    # A listing that is made while a run writes may lack a part and show the next one; the second does not.
    for _ in range(2):
        parts = log.parts()
        problem, n_ahead = "", 0
        for part in parts:
            if part.first_seq != n_ahead + 1:
                problem = f"{part.name} should begin with record {n_ahead + 1}"
                break
            n_ahead = part.last_seq
        if not problem:
            return parts
    raise AuditError(_not_whole(log, problem))


def _not_whole(log: AuditLog, problem: str) -> str:
    return (
        f"the audit log {log.path} is not whole: {problem}, so where a run stands cannot be told; "
        "restore the part from a backup, and see AuditLog.verify()"
    )


def _of_run(part: Part, n_ahead: int) -> dict[int, dict[str, Any]]:
    """Return a part's records about whole runs, by their place in the log."""
    table = read_part(part, _OF_RUN)
    places = np.flatnonzero(pc.is_in(table.column("event"), _WORDS_ABOUT_RUN).to_numpy())
    told = table.take(pa.array(places)).to_pylist()
    return {n_ahead + place: record for place, record in zip(places.tolist(), told, strict=True)}


def _run_codes(run_ids: pa.ChunkedArray, known: dict[str, int]) -> NDArray[np.int32]:
    """Return the number of each record's run, numbering those that are new."""
    encoded = run_ids.combine_chunks().dictionary_encode()
    numbers = [known.setdefault(run_id, len(known)) for run_id in encoded.dictionary.to_pylist()]
    return np.array(numbers, np.int32)[encoded.indices.to_numpy()]


def _concat(events: Sequence[Events], of_run: dict[int, dict[str, Any]]) -> Events:
    text = pa.large_string()
    event, outcome = (_joined([getattr(e, name) for e in events], np.int8) for name in ("event", "outcome"))
    call_ids = pa.chunked_array([chunk for e in events for chunk in e.call_ids.chunks], text)
    notes = pa.chunked_array([chunk for e in events for chunk in e.notes.chunks], text)
    return Events(np.arange(len(event)), event, outcome, call_ids, notes, of_run)


def _joined(arrays: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def _codes(column: pa.ChunkedArray, words: Sequence[str]) -> NDArray[np.int8]:
    """Return the place of each word, -1 for missing.

    Raises
    ------
    AuditError
        If a word is none of them.
    """
    places = pc.index_in(column, pa.array([str(word) for word in words], pa.large_string()))
    unknown = pc.and_(pc.is_null(places), pc.is_valid(column))
    if pc.any(unknown).as_py():
        word = column.filter(unknown)[0].as_py()
        msg = (
            f"the audit log holds a record of the kind {word!r}, which this version ({__version__}) does not know: "
            "use the version that wrote it, see the column tool_version"
        )
        raise AuditError(msg)
    return pc.fill_null(places, -1).to_numpy().astype(np.int8)
