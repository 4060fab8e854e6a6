"""List the calls of a run with what came of each: one row per call, in plan order.

Input are the state of a run and the log that it was read from, output is the frame of
`Run.records`. Of the log only those records are read again that give a row its values.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.audit.notes import json_object
from sippet_reconcile.audit.records import AUDIT
from sippet_reconcile.run.events import OUTCOMES
from sippet_reconcile.run.state import observed_of
from sippet_reconcile.schema import Column, FrameSchema, Kind, arrow_to_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.run.events import Events, LogEvents
    from sippet_reconcile.run.state import RunState

__all__ = ["RUN_APPROVALS", "RUN_RECORDS", "approvals_frame", "run_records"]

RUN_RECORDS: Final = FrameSchema(
    "run records",
    "one row per call of the plan, with its last state over all sessions",
    (
        Column("call_id", Kind.TEXT, "the API's id of the call"),
        Column("call_uuid", Kind.TEXT, "its call_uuid; missing while it is pending"),
        Column(
            "outcome",
            Kind.TEXT,
            "applied, already, drifted, rejected, missing, failed, altered, unknown, pending",
        ),
        Column("confirmed_by", Kind.TEXT, "answer or reread"),
        Column("at", Kind.INSTANT, "when the outcome was settled; missing while it is not"),
        Column("before", Kind.TEXT, "JSON: the values as re-read just ahead of sending, or as planned"),
        Column("after", Kind.TEXT, "JSON: the values sent, or planned"),
        Column("observed", Kind.TEXT, "JSON: what the call was found to hold, where that is neither"),
        Column("reread", Kind.TEXT, "JSON: its start and the values that were not to be changed, as re-read"),
        Column("http_status", Kind.INTEGER, "status of the last answer"),
        Column("error_code", Kind.TEXT, "the server's code, or ours"),
        Column("error_detail", Kind.TEXT, "what was said about it"),
        Column("request_id", Kind.TEXT, "the server's x-request-id"),
        Column("n_attempts", Kind.INTEGER, "PATCH requests sent for it, over all sessions that told"),
        Column("explanation", Kind.TEXT, "why the API was thought to be wrong"),
        Column("reason", Kind.TEXT, "why it was changed"),
        Column("source_file", Kind.TEXT, "file of the evidence"),
        Column("source_row", Kind.INTEGER, "line of the evidence"),
    ),
)

RUN_APPROVALS: Final = FrameSchema(
    "run approvals",
    "one row per approval of the plan that a session of the run wrote into the log, in that order",
    (
        Column("by", Kind.TEXT, "who approved"),
        Column("at", Kind.INSTANT, "when it was given"),
        Column("note", Kind.TEXT, "why, in their words; missing where they said nothing"),
    ),
)

_OF_INTENT: Final = ("before", "after", "note")
_OF_LATEST: Final = (
    "call_uuid",
    "confirmed_by",
    "http_status",
    "error_code",
    "error_detail",
    "request_id",
    "explanation",
    "reason",
    "source_file",
    "source_row",
    "at",
)
_STALE: Final = ("confirmed_by", "http_status", "error_code", "request_id")
"""What an outcome says of its own session only: nothing of a PATCH that may have left since."""

_NOTHING: Final = pa.scalar("", pa.large_string())
_OPEN: Final = "the run ended abruptly after its intent was written: apply again, the call is read first"


def run_records(log: LogEvents, events: Events, state: RunState) -> pd.DataFrame:
    """Return the last state of each call; see `RUN_RECORDS`.

    Parameters
    ----------
    log
        Where `events` come from.
    events, state
        Of the run.
    """
    calls = state.calls
    if not len(calls):
        return RUN_RECORDS.empty()
    intents = _values(log, events, calls.intent, _OF_INTENT)
    latest = _values(log, events, np.where(calls.outcome >= 0, calls.outcome, calls.intent), _OF_LATEST)
    is_open = pa.array(calls.is_open)
    columns = latest | {name: _without(latest[name], is_open) for name in _STALE}
    words = pa.array([outcome.value for outcome in OUTCOMES], pa.large_string())
    columns |= {
        "call_id": calls.ids,
        "outcome": words.take(pa.array(calls.last)),
        "at": _without(latest["at"], pa.array(calls.is_open | (calls.outcome < 0))),
        **{side: _or_planned(state, intents[side], side) for side in ("before", "after")},
        "observed": _observed(_without(calls.notes, is_open)),
        "reread": intents["note"],
        "error_detail": pc.if_else(is_open, pa.scalar(_OPEN, pa.large_string()), latest["error_detail"]),
        "n_attempts": pa.array(calls.n_attempts),
    }
    return arrow_to_frame(
        pa.table([columns[name] for name in RUN_RECORDS.names], RUN_RECORDS.names), RUN_RECORDS
    )


def approvals_frame(state: RunState) -> pd.DataFrame:
    """Return who approved the plan of a run; see `RUN_APPROVALS`."""
    rows = [dict(zip(RUN_APPROVALS.names, approval, strict=True)) for approval in state.approvals]
    return arrow_to_frame(pa.Table.from_pylist(rows, RUN_APPROVALS.arrow), RUN_APPROVALS)


def _values(
    log: LogEvents, events: Events, places: NDArray[np.int64], columns: Sequence[str]
) -> dict[str, pa.Array]:
    """Return columns of one record per call; missing where the place is -1."""
    rows = np.sort(events.rows[places[places >= 0]])
    if not len(rows):
        return {name: pa.nulls(len(places), AUDIT.arrow.field(name).type) for name in columns}
    read = log.read_rows(rows, columns)
    found = pa.array(np.searchsorted(rows, events.rows[places]), mask=places < 0)
    return {name: read.column(name).combine_chunks().take(found) for name in columns}


def _without(column: pa.Array, mask: pa.BooleanArray) -> pa.Array:
    """Return a column that is missing where the mask says so."""
    return pc.if_else(mask, pa.scalar(None, column.type), column)


def _or_planned(state: RunState, values: pa.Array, side: str) -> pa.Array:
    """Fill in what the plan says where no intent tells what was read, or sent."""
    is_untold = pc.fill_null(pc.equal(values, _NOTHING), fill_value=True)
    if not pc.any(is_untold).as_py():
        return values
    planned: dict[str, object] = {}
    for before, after in state.meant:
        named = json_object(after, "what a run was meant to write")
        told = named if side == "after" else json_object(before, "what a run was meant to replace")
        planned |= {call_id: told.get(call_id) for call_id in named}
    texts = [
        json.dumps(planned[call_id]) if call_id in planned else None
        for call_id in state.calls.ids.filter(is_untold).to_pylist()
    ]
    return pc.replace_with_mask(values, is_untold, pa.array(texts, pa.large_string()))


def _observed(notes: pa.ChunkedArray) -> pa.Array:
    """Return what the notes of outcomes say of the values that were found."""
    encoded = notes.combine_chunks().dictionary_encode()
    found = [observed_of(note) for note in encoded.dictionary.to_pylist()]
    texts = pa.array([json.dumps(values) if values else None for values in found], pa.large_string())
    return texts.take(encoded.indices)
