"""Tell from its records where a run stands: which calls are settled, and what may be of our writing.

Input are the events of one run in the order in which they were written, output is a
`RunState`. Pure: nothing is read here, and no loop goes over records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.audit import Event, Outcome
from sippet_reconcile.audit.notes import json_names, json_object
from sippet_reconcile.run.events import OUTCOMES, Events
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "LATE",
    "MAY_BE_OURS",
    "SENT",
    "SETTLED",
    "CallState",
    "CallStates",
    "RunState",
    "observed_of",
    "replay",
    "state_of",
]

SETTLED: Final = frozenset({Outcome.APPLIED, Outcome.ALREADY})
"""Outcomes that are final; every other call is read again when the plan is applied again."""

SENT: Final = frozenset({Outcome.APPLIED, Outcome.ALTERED, Outcome.UNKNOWN})
"""Outcomes of calls that we wrote, or may have written."""

MAY_BE_OURS: Final = SENT | {Outcome.FAILED}
"""Outcomes after which a value found as planned may be of our own writing."""

LATE: Final = "may_be_late"
"""In the note of an outcome: an earlier PATCH of the call got no answer, and may be carried out yet."""

_NOTES_LATE: Final = f'"{LATE}":true'
_CODES_SETTLED: Final = [OUTCOMES.index(outcome) for outcome in SETTLED]
_CODES_MAY_BE_OURS: Final = [OUTCOMES.index(outcome) for outcome in MAY_BE_OURS]


def observed_of(note: str | None) -> dict[str, Any]:
    """Return what the note of an outcome says that the call held, which may be nothing."""
    found = json_object(note, "the note of an outcome").get("observed") if note else None
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class CallState:
    """What the log knows about one call of a run.

    Attributes
    ----------
    last
        The last state of the call.
    is_open
        An intent whose PATCH may have left, and no outcome: a session died here.
    may_be_ours
        What the call holds may be of our own writing.
    n_attempts
        PATCH requests that were told of.
    note
        JSON of the last outcome.
    """

    last: Outcome
    is_open: bool
    may_be_ours: bool
    n_attempts: int
    note: str | None = None

    @property
    def observed(self) -> dict[str, Any]:
        """What the call was found to hold where that was neither `before` nor `after`."""
        return {} if self.is_open else observed_of(self.note)


@dataclass(frozen=True, eq=False)
class CallStates(Mapping[str, CallState]):
    """The state of each call of a run by its id, in plan order; kept as columns.

    Attributes
    ----------
    ids
        The call ids.
    last
        Codes of the last states, see `OUTCOMES`.
    is_open, may_be_ours, n_attempts, notes
        As in `CallState`.
    intent, outcome
        The place of the last such record among the events; -1 where there is none.
    """

    ids: pa.LargeStringArray
    last: NDArray[np.int8]
    is_open: NDArray[np.bool_]
    may_be_ours: NDArray[np.bool_]
    n_attempts: NDArray[np.int64]
    notes: pa.ChunkedArray
    intent: NDArray[np.int64]
    outcome: NDArray[np.int64]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {call_id: place for place, call_id in enumerate(self.ids.to_pylist())}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __getitem__(self, call_id: str) -> CallState:
        place = self._places[call_id]
        return CallState(
            last=OUTCOMES[self.last[place]],
            is_open=bool(self.is_open[place]),
            may_be_ours=bool(self.may_be_ours[place]),
            n_attempts=int(self.n_attempts[place]),
            note=self.notes[place].as_py(),
        )

    def left_of(self, ids: pd.Series[str]) -> NDArray[np.int64]:
        """Return the places in `ids` of the calls that are not settled, those not known here among them."""
        settled = self.ids.filter(pa.array(np.isin(self.last, _CODES_SETTLED)))
        is_settled = pc.is_in(text_array(ids), value_set=settled).to_numpy(zero_copy_only=False)
        return np.flatnonzero(~is_settled)


Approved = tuple[str | None, datetime, str | None]
"""Who approved, when, and with which note."""


@dataclass(frozen=True, eq=False)
class RunState:
    """A run as its records tell it.

    Attributes
    ----------
    calls
        Each call of the plan, and what is known of it.
    facts
        What the first session noted: the kind of plan, and the run it reverts.
    ended, ended_note
        The kind of end of the latest session; None where it still runs, or died.
    approvals
        By whom, when, with which note; in the order of the log, each once.
    started_by
        Who ran it: user and machine of each session, each once.
    meant
        As JSON, what each call was planned to be changed from, and to.
    """

    calls: CallStates
    facts: dict[str, Any] = field(default_factory=dict)
    n_sessions: int = 0
    ended: str | None = None
    ended_note: str | None = None
    approvals: tuple[Approved, ...] = ()
    started_by: tuple[str, ...] = ()
    meant: Sequence[tuple[str, str]] = ()


def replay(records: pd.DataFrame) -> RunState:
    """Return the state of a run from its records, which must be in the order of ``seq``; see `state_of`."""
    return state_of(Events.from_frame(records))


def state_of(events: Events) -> RunState:
    """Return the state of a run.

    An intent is open until its outcome is written. A session that ended cleanly wrote
    the outcome of all it attempted, so what is open at its end was never sent; what a
    dead session leaves open may have been, and whatever is read of that call from then
    on may be of that session's writing.
    """
    facts: dict[str, Any] = {}
    ended: tuple[str | None, str | None] = None, None
    approvals: dict[Approved, None] = {}
    started_by: dict[str, None] = {}
    meant: dict[int, tuple[str, str]] = {}
    n_sessions = 0
    for place, record in sorted(events.of_run.items()):
        if record["event"] == Event.RUN_STARTED:
            n_sessions += 1
            ended = None, None
            if record["by"]:
                started_by[record["by"]] = None
            facts = facts or json_object(record["note"], f"the note of a start of run {record['run_id']}")
            if record["after"]:
                meant[place] = record["before"] or "{}", record["after"]
        elif record["event"] == Event.APPROVAL:
            approvals[record["by"], record["at"], record["note"]] = None
        else:
            ended = record["reason"], record["note"]
    return RunState(
        _call_states(events, {place: after for place, (_, after) in meant.items()}),
        facts,
        n_sessions,
        *ended,
        tuple(approvals),
        tuple(started_by),
        tuple(meant.values()),
    )


def _call_states(events: Events, meant: Mapping[int, str]) -> CallStates:
    ids, call = _numbered(events, meant)
    place = np.arange(len(events))
    is_intent, is_outcome = events.is_event(Event.INTENT), events.is_event(Event.OUTCOME)
    intent, outcome = (_last(call, place, of, len(ids)) for of in (is_intent, is_outcome))
    left = _left_by_a_death(events, call)
    # Of what a death left, only a call's very last word is open: it may have been settled since.
    is_open = np.zeros(len(ids), bool)
    is_open[call[left[left == np.maximum(intent, outcome)[call[left]]]]] = True
    codes = np.append(events.outcome, np.int8(OUTCOMES.index(Outcome.PENDING)))
    last = codes[outcome]
    last[is_open] = OUTCOMES.index(Outcome.UNKNOWN)
    may_be_ours = np.zeros(len(ids), bool)
    may_be_ours[call[left]] = True
    is_late = pc.fill_null(pc.match_substring(events.notes, _NOTES_LATE), fill_value=False).to_numpy()
    may_be_ours[call[is_outcome & (is_late | np.isin(events.outcome, _CODES_MAY_BE_OURS))]] = True
    return CallStates(
        ids=ids,
        last=last,
        is_open=is_open,
        may_be_ours=may_be_ours,
        n_attempts=np.bincount(call[events.is_event(Event.ATTEMPT)], minlength=len(ids)),
        notes=events.notes.take(pa.array(outcome, mask=outcome < 0)),
        intent=intent,
        outcome=outcome,
    )


def _numbered(events: Events, meant: Mapping[int, str]) -> tuple[pa.LargeStringArray, NDArray[np.int64]]:
    """Return the ids of all calls in the order in which they are first named, and each record's call.

    A start names all calls of the plan. Records about the run have the number of no call, -1.
    """
    text = pa.large_string()
    chunks: list[pa.Array] = []
    is_named: list[NDArray[np.bool_]] = []
    begin = 0
    for place, after in [*sorted(meant.items()), (len(events), "{}")]:
        ahead = events.call_ids.slice(begin, place - begin)
        planned = pa.array(json_names(after, "what a run was meant to write"), text)
        chunks += [*ahead.chunks, planned]
        is_named += [np.ones(len(ahead), bool), np.zeros(len(planned), bool)]
        begin = place
    encoded = pa.chunked_array(chunks, text).combine_chunks().dictionary_encode()
    numbers = encoded.indices.fill_null(-1).to_numpy().astype(np.int64)
    return encoded.dictionary, numbers[np.concatenate(is_named)]


def _last(
    call: NDArray[np.int64], place: NDArray[np.int64], is_chosen: NDArray[np.bool_], n_calls: int
) -> NDArray[np.int64]:
    """Return the place of each call's last chosen record, -1 where there is none."""
    last = np.full(n_calls, -1, np.int64)
    np.maximum.at(last, call[is_chosen], place[is_chosen])
    return last


def _left_by_a_death(events: Events, call: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places of the intents without an outcome in sessions that ended without saying so.

    A session lasts from a start or an end to the next. Whether the very last session of
    a log died or still runs cannot be told from the log, and makes no difference.
    """
    is_end = events.is_event(Event.RUN_ENDED)
    is_border = is_end | events.is_event(Event.RUN_STARTED)
    session = np.cumsum(is_border)
    died = ~np.append(is_end[is_border], False)
    told = np.flatnonzero(events.is_event(Event.INTENT, Event.OUTCOME))
    told = told[np.lexsort((told, session[told], call[told]))]
    # The last word of each call in each session.
    is_next_another = np.diff(np.stack([call[told], session[told]])).any(axis=0)
    last = told[np.append(is_next_another, True)[: len(told)]]
    return last[events.is_event(Event.INTENT)[last] & died[session[last]]]
