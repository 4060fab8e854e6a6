"""What a server, or somebody else, does to calls that the client did not ask for.

Input: the store, what a PATCH wants to write or an answer shows, and the fault; output:
the records that the answer shows. The answer is made, and sent, elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.sandbox.kinds import FaultKind
from sippet_reconcile.sandbox.loading import check_value
from sippet_reconcile.sandbox.store import Record
from sippet_reconcile.schema import PATCHABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sippet_reconcile.sandbox.fault import Fault
    from sippet_reconcile.sandbox.store import CallStore

__all__ = ["after_answer", "disguise", "write"]

_MINUTE_S: Final = 60
_MICROS: Final = 1_000_000


def write(
    store: CallStore, call_id: str, values: Mapping[str, Any], fault: Fault, statuses: Sequence[str]
) -> Record | None:
    """Write what a PATCH sends, as the fault has it, and return the record that the answer shows.

    Parameters
    ----------
    store
        The calls.
    call_id
        The call, in lower case.
    values
        What was sent, cast.
    fault
        What happens.
    statuses
        The words of the status enum, from which another one is taken.
    """
    found = store.get(call_id)
    if found is None:
        return None
    before = Record(found.held, found.position)
    match fault.kind:
        case FaultKind.DELETED_BEFORE:
            store.remove(call_id)
        case FaultKind.CHANGED_SENT:
            store.change(call_id, _by_others(before, list(values)[:1], fault, statuses))
        case FaultKind.CHANGED_OTHER:
            store.change(call_id, _by_others(before, _unsent(values), fault, statuses))
        case FaultKind.IGNORED:
            ignored = fault.fields or values
            values = {name: value for name, value in values.items() if name not in ignored}
        case FaultKind.COERCED:
            coerced = fault.fields or values
            values = {n: _coerced(n, v, statuses) if n in coerced else v for n, v in values.items()}
        case FaultKind.COUPLED:
            values = {**_coupled(before, values, fault), **values}
        case FaultKind.ECHOED:
            return Record(store.as_kept({**before.held, **values}), before.position)
        case FaultKind.STALE_ANSWER:
            store.change(call_id, values)
            return before
    return store.change(call_id, values)


def disguise(store: CallStore, records: Sequence[Record], fault: Fault) -> list[Record]:
    """Return the records of an answer, the first under another id where the fault says so."""
    shown = list(records)
    if not shown or fault.kind not in {FaultKind.WRONG_ID, FaultKind.UNKNOWN_ID}:
        return shown
    other = store.other({str(record.held["id"]) for record in shown})
    if fault.kind is FaultKind.WRONG_ID and other is not None:
        return [other, *shown[1:]]
    return [Record({**shown[0].held, "id": store.unknown_id()}, shown[0].position), *shown[1:]]


def after_answer(store: CallStore, records: Sequence[Record], fault: Fault, statuses: Sequence[str]) -> None:
    """Let somebody else change or delete the calls that an answer shows."""
    if fault.kind not in {FaultKind.CHANGED_AFTER, FaultKind.DELETED_AFTER}:
        return
    wanted = {call_id.lower() for call_id in fault.call_ids}
    for record in list(records):
        call_id = str(record.held["id"])
        if wanted and call_id not in wanted:
            continue
        if fault.kind is FaultKind.DELETED_AFTER:
            store.remove(call_id)
        else:
            store.change(call_id, _by_others(record, ["duration_seconds"], fault, statuses))


def _by_others(record: Record, names: Sequence[str], fault: Fault, statuses: Sequence[str]) -> dict[str, Any]:
    """Return what somebody else writes: the fault's own changes, or other values for these attributes."""
    if fault.changes is not None:
        return _checked(fault.changes)
    return {name: _another(name, record.held, fault.dice, statuses) for name in names}


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: check_value(name, value) for name, value in changes.items()}


def _unsent(values: Mapping[str, Any]) -> list[str]:
    """Return the first attribute that can be corrected and is not sent, or one that never is."""
    order = ("duration_seconds", "status", "ended_at", *sorted(PATCHABLE))
    return [next((name for name in order if name not in values), "sip_username")]


def _another(name: str, held: Mapping[str, Any], dice: int, statuses: Sequence[str]) -> Any:
    value = held[name]
    if name == "duration_seconds":
        return (value or 0) + dice
    if name == "ended_at":
        return (value or held["started_at"] or 0) + dice * _MICROS
    if name == "status":
        words = [word for word in statuses if word != value]
        return words[dice % len(words)] if words else None
    return f"{value or 'other'}-{dice}"


def _coerced(name: str, value: Any, statuses: Sequence[str]) -> Any:
    """Return a value that differs from what was sent; missing stays missing."""
    if value is None:
        return None
    if name == "duration_seconds":
        return (value // _MINUTE_S + 1) * _MINUTE_S
    if name == "ended_at":
        minute = _MINUTE_S * _MICROS
        return (value - 1) // minute * minute
    return _another(name, {name: value}, 0, statuses) if name == "status" else value.swapcase()


def _coupled(record: Record, values: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
    """Return what a server changes along: the fault's own changes, or the other end of the duration."""
    if fault.changes is not None:
        return _checked(fault.changes)
    started = record.held["started_at"]
    seconds, ended = values.get("duration_seconds"), values.get("ended_at")
    if started is not None and seconds is not None and ended is None:
        return {"ended_at": started + seconds * _MICROS}
    if started is not None and ended is not None and seconds is None:
        return {"duration_seconds": (ended - started) // _MICROS}
    return {}
