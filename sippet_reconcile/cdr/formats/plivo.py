"""Plivo calls: the API's call list or a single call as JSON, a CSV with the same names, and hangup callbacks.

One row is one leg; a leg that another call made names it in ``parent_call_uuid``. One
``call_uuid`` may stand in a list twice with different content: both rows stay. Times
carry the offset of the account's zone. There is no total in the API's records:
``bill_duration`` are the seconds after answer, and they are taken as they are, also where
``end_time`` less ``answer_time`` is something else. ``billed_duration`` is that rounded up
to what is charged, no length of the call, so it is only kept. A callback's ``Duration`` is
the total and its ``BillDuration`` what was talked, unless it is more than the total: then
it was rounded up too. Numbers are international, with and without their ``+`` in one
record. ``call_uuid`` is the key.
The rules are those of Plivo's reference of the Call resource and of its callbacks, and
of the records that its Python library is tested with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.addresses import users, with_plus
from sippet_reconcile.cdr.families.causes import FREESWITCH
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.families.parents import link_to_first
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "call_uuid", "request_uuid", "parent_call_uuid", "conference_uuid", "aleg_uuid", "api_id", "resource_uri",
    "call_direction", "direction", "from_number", "from", "to_number", "to", "caller_name",
    "initiation_time", "start_time", "session_start", "answer_time", "end_time",
    "call_duration", "bill_duration", "billed_duration", "duration",
    "call_state", "call_status", "hangup_cause", "hangup_cause_code", "hangup_cause_name", "hangup_source",
    "total_amount", "total_rate", "total_cost", "bill_rate", "stir_verification", "event",
)  # fmt: skip

_FAILED: Final = (
    "CANCELLED_OUT_OF_CREDITS CANCELLED_SIMULTANEOUS_DIAL_LIMIT_REACHED INVALID_DESTINATION_ADDRESS "
    "DESTINATION_COUNTRY_BARRED DESTINATION_NUMBER_BARRED LOOP_DETECTED CALL_LOOP_DETECTED UNKNOWN_CALLER_ID FORBIDDEN "
    "REJECTED DECLINED NOT_ACCEPTABLE DESTINATION_OUT_OF_SERVICE ENDPOINT_NOT_REGISTERED NETWORK_CONGESTION "
    "SERVICE_UNAVAILABLE INTERNAL_SERVER_ERROR_FROM_CARRIER INTERNAL_SERVER_ERROR_FROM_PLIVO INTERNAL_ERROR "
    "ERROR_REACHING_ANSWER_URL INVALID_ANSWER_XML ERROR_REACHING_ACTION_URL INVALID_ACTION_XML ERROR_REACHING_TRANSFER_URL "
    "INVALID_TRANSFER_XML ERROR_REACHING_REDIRECT_URL INVALID_REDIRECT_XML INVALID_METHOD_FOR_ANSWER_URL "
    "INVALID_METHOD_FOR_ACTION_URL INVALID_METHOD_FOR_TRANSFER_URL INVALID_METHOD_FOR_REDIRECT_URL FAILED"
)

STATUSES: Final = {
    **FREESWITCH,
    **{
        word: status
        for status, words in (
            ("completed", "COMPLETED ANSWER ANSWERED"),
            ("no_answer", "NO_ANSWER NOANSWER TIMEOUT RING_TIMEOUT_REACHED REQUEST_TIMEOUT"),
            ("busy", "BUSY BUSY_LINE"),
            ("canceled", "CANCEL CANCELED CANCELLED LOST_RACE"),
            ("failed", _FAILED),
            ("in_progress", "QUEUED INITIATED RINGING EARLY_MEDIA IN_PROGRESS"),
            # How a call that was answered ends; of one that was not, they tell nothing.
            ("unknown", "UNKNOWN NORMAL_HANGUP SCHEDULED_HANGUP END_OF_XML_INSTRUCTIONS MAX_CALL_DURATION_REACHED"),
        )
        for word in words.split()
    },
}  # fmt: skip
"""Plivo's states, statuses and names of hangup causes; older records have FreeSWITCH's."""

DIRECTIONS: Final = {"INBOUND": "inbound", "OUTBOUND": "outbound"}

_ENDED: Final = frozenset(word for word, status in STATUSES.items() if status == "completed")
_LISTED: Final = (
    "call_uuid",
    "call_direction",
    "initiation_time",
    "end_time",
    "from_number",
    "to_number",
    "bill_duration",
)
_CALLED_BACK: Final = ("call_uuid", "call_status", "direction", "from", "to", "bill_duration", "hangup_cause")
_LIVE: Final = ("call_uuid", "call_status", "direction", "from", "to", "session_start")


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members: of a listed call, a callback, or a running call."""
    if not sample.has("call_uuid"):
        return Evidence(0.0, ("lacks call_uuid",))
    kinds = {"initiation_time": _LISTED, "session_start": _LIVE, "bill_duration": _CALLED_BACK}
    names = next((names for telling, names in kinds.items() if sample.has(telling)), None)
    if names is None:
        return Evidence(0.0, (f"lacks {', '.join(kinds)}",))
    return by_names(sample, names)


def interpret(fields: Fields, options: Options) -> Record:
    """Give the members of a call their meaning."""
    fields.prepare(fields.raw.columns)
    uuid = fields["call_uuid"]
    caller = pc.coalesce(fields["from_number"], fields["from"])
    called = pc.coalesce(fields["to_number"], fields["to"])
    status = pc.coalesce(fields["call_status"], fields["call_state"])
    cause = pc.coalesce(fields["hangup_cause_name"], fields["hangup_cause"])
    answer = _column(fields, "answer_time")
    return Record(
        started=pc.coalesce(fields["initiation_time"], fields["start_time"], fields["session_start"]),
        answered=answer,
        ended=fields["end_time"],
        total=_column(fields, "duration"),
        billable=_billable(fields),
        leg_id=uuid,
        call_key=uuid,
        linked_id=pc.coalesce(fields["parent_call_uuid"], fields["aleg_uuid"], uuid),
        direction=map_distinct(
            pc.coalesce(fields["call_direction"], fields["direction"]),
            lambda word: DIRECTIONS.get(status_word(word)),
        ),
        from_number=caller,
        to_number=called,
        from_whole=with_plus(caller, options.country),
        to_whole=with_plus(called, options.country),
        sip_username=users(caller, called),
        word=_word(fields, status, cause, answer),
        cause=pc.coalesce(cause, status),
        start_required=False,
        # Each call of Plivo's has its id: what has none among those is somebody else's.
        problem=pc.if_else(uuid.is_null(), pa.scalar("it has no call_uuid", TEXT), pa.scalar(None, TEXT)),
    )


def _column(fields: Fields, name: str) -> pa.LargeStringArray | None:
    return fields[name] if name in fields else None  # noqa: SIM401 - an absent column is all missing, not None


def _is_open(fields: Fields) -> NDArray[np.bool_]:
    """Mark the rows that have no end in an export that tells ends."""
    return np.asarray(fields["end_time"].is_null()) & ("end_time" in fields)


def _billable(fields: Fields) -> pa.LargeStringArray | None:
    """Return the seconds after answer, without those that are a rounded charge or may still grow."""
    if "bill_duration" in fields:
        seconds = fields["bill_duration"]
        doubtful = _is_open(fields)
        if "duration" in fields:
            (talked, _), (total, _) = text_to_seconds(seconds), text_to_seconds(fields["duration"])
            doubtful |= talked > total
        return with_missing(seconds, doubtful)
    if "call_duration" not in fields:
        return None
    doubtful = _is_open(fields)
    if "answer_time" in fields:
        # Alone, it may count the ringing of a call that nobody answered.
        doubtful |= np.asarray(fields["answer_time"].is_null())
    return with_missing(fields["call_duration"], doubtful)


def _word(
    fields: Fields,
    status: pa.LargeStringArray,
    cause: pa.LargeStringArray,
    answer: pa.LargeStringArray | None,
) -> pa.LargeStringArray:
    """Return the status, or the cause where there is none, or where it calls an unanswered call completed."""
    if answer is not None and status.null_count < len(status):
        ended = map_distinct(status, lambda word: word if status_word(word) in _ENDED else None)
        silent = np.asarray(ended.is_valid()) & np.asarray(answer.is_null()) & np.asarray(cause.is_valid())
        status = with_missing(status, silent)
    # Records of the API had no state for years: one without an end is of a call that goes on.
    running = pc.if_else(pa.array(_is_open(fields)), pa.scalar("in-progress", TEXT), pa.scalar(None, TEXT))
    return pc.coalesce(status, cause, running)


FORMATS: Final = (
    CdrFormat(
        name="plivo",
        title="Plivo call list",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        relink=link_to_first,
        row_by_row=True,
    ),
)
