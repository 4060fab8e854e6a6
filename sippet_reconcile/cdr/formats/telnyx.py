"""Telnyx detail records: the API's search as JSON, and the CSV of a batch report.

One row is one component of a call, and a call has several: a call from a browser has a
``webrtc`` and a ``sip-trunking`` record, one under Call Control a ``call-control`` one
too, all with one ``telnyx_session_id``. Recordings, machine detection, speech and the
like are records as well: rows, but helpers and no legs.

There is a header; which columns a report has, and in which zone its times are, was
chosen by whoever requested it. So nothing is taken for UTC: times without an offset or
``Z`` need ``timezone=``. ``call_sec`` are the seconds of the call. They are taken as the
billable ones unless they are all the time from start to end and the record does not say
that it was answered at its start, or unless it was charged nothing. They may count the
ringing then, and are the total. ``billed_sec`` is rounded up to what is charged (60 for
a short call), so it is only kept, and compared with nothing but zero. ``cost`` may be in
scientific notation. The key is ``call_control_id`` (``v3:...``) or ``telnyx_leg_id``,
which are ids of two systems; the session links. A record is rated minutes to hours after
its call, so export a period that is over. The rules are those of Telnyx's reference of
detail records, reports and the hangup webhook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.addresses import users
from sippet_reconcile.cdr.families.causes import SIP
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.cdr.times.stamps import read_stamps
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

Moments: TypeAlias = "NDArray[np.datetime64]"

COLUMNS: Final = (
    "record_type", "id", "uuid", "call_uuid", "telnyx_session_id", "call_session_id", "telnyx_leg_id", "call_leg_id",
    "call_control_id", "connection_id", "connection_name", "user_id", "sip_username",
    "started_at", "start_time", "answered_at", "answer_time", "finished_at", "ended_at", "end_time", "created_at",
    "call_sec", "call_duration", "duration", "billed_sec", "cost", "rate", "currency",
    "cli", "cld", "from", "to", "direction", "call_type", "country_iso",
    "status", "hangup_cause", "hangup_source", "sip_hangup_cause",
)  # fmt: skip

STATUSES: Final = {
    **SIP,
    **{
        word: status
        for status, words in (
            # A normal end tells nothing of a call that has no answer beside it.
            ("unknown", "NORMAL_CLEARING"),
            ("completed", "COMPLETED ANSWERED TIME_LIMIT"),
            ("no_answer", "NO_ANSWER TIMEOUT"),
            ("busy", "USER_BUSY BUSY"),
            ("canceled", "ORIGINATOR_CANCEL CANCELED CANCELLED"),
            ("failed", "CALL_REJECTED NOT_FOUND UNSPECIFIED FAILED REJECTED"),
            ("in_progress", "INITIATED QUEUED RINGING BRIDGED ACTIVE IN_PROGRESS"),
        )
        for word in words.split()
    },
}
"""The words of the hangup webhook, those of TeXML for a call's status, and SIP responses."""

_SILENT: Final = frozenset({"NORMAL_CLEARING", "UNSPECIFIED"})
"""Causes that a SIP response beside them outdoes."""

DIRECTIONS: Final = {
    "INBOUND": "inbound",
    "INCOMING": "inbound",
    "1": "inbound",
    "OUTBOUND": "outbound",
    "OUTGOING": "outbound",
    "2": "outbound",
}
"""Words, or the numbers of a report's call types."""

HELPERS: Final = frozenset({
    "RECORDING", "RECORDING_TRANSCRIPTION", "AMD", "SPEECH_TO_TEXT", "TEXT_TO_SPEECH", "TRANSCRIPTION", "SIPREC", "CNAM",
    "AI_VOICE_ASSISTANT", "INFERENCE", "NOISE_SUPPRESSION", "MEDIA_STREAMING", "MEDIA_STORAGE", "CALL_FORKING", "CONFERENCE",
})  # fmt: skip
"""Types of records that are services used in a call. A conference's is of the room, its participants have legs."""

_SESSION: Final = ("telnyx_session_id", "call_session_id")
_LEG: Final = ("call_control_id", "telnyx_leg_id", "call_leg_id", "call_uuid", "uuid", "id")
_ENDS: Final = ("finished_at", "ended_at", "end_time")
_OWN: Final = frozenset(
    map(column_key, ("telnyx_session_id", "telnyx_leg_id", "call_control_id", "call_session_id"))
)
_PARTIES: Final = ("cli", "cld", "call_sec", "billed_sec")
_EXACT: Final = 1.0
_WITH_SECONDS: Final = 19  # "YYYY-MM-DD HH:MM:SS"
_NOT_A_TIME: Final = np.iinfo(np.int64).min
_NEVER: Final = np.datetime64("1972-01-01", "us")  # times before stand for none


def recognise(sample: Sample) -> Evidence:
    """Judge by the ids that only Telnyx has; a report without any by the names of its parties and seconds."""
    own = sorted(_OWN & sample.names)
    if not own or (own == ["callsessionid"] and not sample.has("record_type")):
        return by_names(sample, _PARTIES)
    beside = [
        name for name in ("record_type", "cli", "cld", "from", "to", "cost", "billed_sec") if sample.has(name)
    ]
    if not beside:
        return Evidence(0.0, (f"names {', '.join(own)} and nothing else of a detail record",))
    return Evidence(1.0, (f"names {', '.join([*own, *beside])}",))


def interpret(fields: Fields, _: Options) -> Record:
    """Give the members of a record their meaning."""
    fields.prepare(fields.raw.columns)
    session = fields.first(*_SESSION)
    leg = pc.coalesce(fields.first(*_LEG), session)
    caller, called = fields.first("cli", "from"), fields.first("cld", "to")
    cause = fields.first("hangup_cause", "status")
    kind = map_distinct(
        fields["record_type"], lambda word: status_word(word) if status_word(word) in HELPERS else None
    )
    started = fields.first("started_at", "start_time")
    ended = fields.first(*_ENDS)
    answer_names = [name for name in ("answered_at", "answer_time") if name in fields]
    answered = fields.first(*answer_names) if answer_names else None
    total, billable = _seconds(fields, started, answered, ended)
    goes_on = (
        np.asarray(cause.is_null()) & np.asarray(ended.is_null()) & any(name in fields for name in _ENDS)
    )
    if billable is not None:
        billable = with_missing(billable, goes_on)
    running = pc.if_else(pa.array(goes_on), pa.scalar("in-progress", TEXT), pa.scalar(None, TEXT))
    return Record(
        started=started,
        answered=answered,
        ended=ended,
        total=total,
        billable=billable,
        leg_id=leg,
        call_key=leg,
        linked_id=pc.coalesce(session, leg),
        direction=map_distinct(
            fields.first("direction", "call_type"), lambda word: DIRECTIONS.get(status_word(word))
        ),
        from_number=caller,
        to_number=called,
        sip_username=pc.coalesce(fields["sip_username"], users(caller, called)),
        word=_word(cause, fields["sip_hangup_cause"], running),
        cause=cause,
        is_helper=np.asarray(kind.is_valid()),
        start_required=False,
        problem=_strangers(fields, leg),
    )


def _strangers(fields: Fields, leg: pa.LargeStringArray) -> pa.LargeStringArray | None:
    """Mark records of somebody else among those of Telnyx, which have an id or a type each."""
    if not any(name in fields for name in (*_SESSION, *_LEG, "record_type")):
        return None  # a report without such columns
    strangers = pc.and_(leg.is_null(), fields["record_type"].is_null())
    if not pc.any(strangers, min_count=0).as_py():
        return None
    return pc.if_else(
        strangers, pa.scalar("it has neither an id of Telnyx nor a type", TEXT), pa.scalar(None, TEXT)
    )


def _word(
    cause: pa.LargeStringArray, response: pa.LargeStringArray, running: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return the cause, the SIP response where that tells more, or that the call goes on."""
    telling = map_distinct(cause, lambda word: None if status_word(word) in _SILENT else word)
    response = map_distinct(response, lambda word: word if status_word(word) in SIP else None)
    return pc.coalesce(telling, response, cause, running)


def _seconds(
    fields: Fields,
    started: pa.LargeStringArray,
    answered: pa.LargeStringArray | None,
    ended: pa.LargeStringArray,
) -> tuple[pa.LargeStringArray | None, pa.LargeStringArray | None]:
    """Return the total and the billable seconds: one column, which holds the total where the row shows it."""
    names = [name for name in ("call_sec", "call_duration", "duration") if name in fields]
    if not names:
        return None, None
    column = fields.first(*names)
    seconds, _ = text_to_seconds(column)
    billed, _ = text_to_seconds(fields["billed_sec"])
    begin, answer, end = _moments([started, started if answered is None else answered, ended])
    no_answer = np.ones(len(column), bool) if answered is None else np.isnat(answer)
    # From start to end is what a call lasted: where nothing tells the answer, nobody knows how long of it rang.
    rings = _fits(seconds, begin, end) & (no_answer | ~_fits(seconds, answer, end))
    # Some types of record have no answer time; what was charged for was answered.
    rings |= no_answer & ((billed == 0) if answered is None else ~(billed > 0))
    rings &= seconds > 0
    if not bool(rings.any()):
        return None, column
    return with_missing(column, ~rings), with_missing(column, rings)


def _moments(columns: list[pa.LargeStringArray]) -> list[Moments]:
    """Return columns of times as moments of one clock, whichever it is; not a time where there is none."""
    ends = [pc.ends_with(column, "Z") for column in columns]
    whole = [pc.equal(pc.binary_length(column), _WITH_SECONDS) for column in columns]
    # One clock throughout: then to the second is enough, and that is read in no time.
    if any(all(pc.all(mask, min_count=0).as_py() for mask in masks) for masks in (ends, whole)):
        try:
            return [_cut_to_seconds(column) for column in columns]
        except pa.ArrowInvalid:
            pass  # in another form: read as every other time
    stamps = [read_stamps(column) for column in columns]
    return [np.where(found.known, found.micros, _NOT_A_TIME).view("M8[us]") for found in stamps]


def _cut_to_seconds(column: pa.LargeStringArray) -> Moments:
    cut = pc.utf8_slice_codeunits(column, 0, _WITH_SECONDS).cast(pa.timestamp("us"))
    moments: Moments = cut.to_numpy(zero_copy_only=False)
    never = moments < _NEVER
    return np.where(never, np.datetime64("NaT", "us"), moments) if bool(never.any()) else moments


def _fits(seconds: NDArray[np.float64], begin: Moments, end: Moments) -> NDArray[np.bool_]:
    """Mark the rows in which so many seconds lie between two times."""
    between = (end - begin) / np.timedelta64(1, "s")
    return np.abs(between - seconds) <= _EXACT


FORMATS: Final = (
    CdrFormat(
        name="telnyx",
        title="Telnyx detail records",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        row_by_row=True,
    ),
)
