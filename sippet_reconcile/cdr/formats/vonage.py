"""Vonage (Nexmo) calls: the Voice API's list of calls as JSON, and the Reports API's ``VOICE-CALL`` as CSV or JSON.

One row is one leg. The Voice API nests: ``from.number``, ``to.number``; its ``uuid`` is
the key, and the legs of a call have one ``conversation_uuid``. A report is flat, has a
header, and calls the same id ``call_id`` and the times ``date_start`` and ``date_end``.
Times carry ``Z`` or an offset. There is no total and no answer time: ``duration`` are the
seconds charged, only there for calls that were answered.

``start_time`` is taken for the start because that is its name. Where end less start is
the duration to the second, as in the records that Vonage's own library is tested with,
it is rather the instant of the answer, and the ringing before it is told nowhere: nothing
is worked out from it, so such a leg has no answer time, and its start may lie later than
the platform's by as long as it rang.

Numbers are international without ``+``. The rules are those of Vonage's reference of the
Voice API and of the Reports API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.addresses import users, with_plus
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.normalize import map_distinct, with_missing

if TYPE_CHECKING:
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "uuid", "call_id", "conversation_uuid", "conversation_id", "account_id", "direction", "status", "status_description",
    "start_time", "end_time", "date_start", "date_end", "duration", "from", "to", "from_number", "to_number",
    "rate", "price", "total_price", "currency", "network", "network_name", "country", "country_name",
)  # fmt: skip

PATHS: Final = (
    "from.number",
    "from.uri",
    "from.user",
    "from.extension",
    "to.number",
    "to.uri",
    "to.user",
    "to.extension",
)
"""An end of a call is a telephone, a SIP or WebSocket address, a user of an app, or an extension."""

STATUSES: Final = {
    word: status
    for status, words in (
        ("completed", "COMPLETED ANSWERED MACHINE HUMAN"),
        ("no_answer", "TIMEOUT UNANSWERED NO_ANSWER"),
        ("busy", "BUSY"),
        ("canceled", "CANCELLED CANCELED"),
        ("failed", "FAILED REJECTED"),
        ("in_progress", "STARTED RINGING ANSWERED_SO_FAR MACHINE_SO_FAR HUMAN_SO_FAR"),
    )
    for word in words.split()
}
"""Vonage's own words; with ``so far`` behind them they are of a call that has no end yet."""

DIRECTIONS: Final = {"INBOUND": "inbound", "OUTBOUND": "outbound"}

_STATES: Final = frozenset({"ANSWERED", "MACHINE", "HUMAN"})
"""What a call is while it lasts, and what it stays in a report if nothing more was heard of it."""

_LISTED: Final = (
    "uuid",
    "conversation_uuid",
    "direction",
    "status",
    "start_time",
    "end_time",
    "from.number",
    "to.number",
)
_ONLY_REPORTED: Final = (
    "account_id",
    "network",
    "network_name",
    "country_name",
    "total_price",
    "status_description",
)
_REPORTED: Final = ("call_id", "direction", "from", "to", "date_start", "date_end", "duration", "status")


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members: of a listed call, or of a report."""
    if sample.has("uuid") and sample.has("conversation_uuid"):
        return by_names(sample, _LISTED)
    # Without what only a carrier tells, the seconds of a table with such names may count the ringing.
    if sample.has("call_id") and sample.has("date_start") and any(map(sample.has, _ONLY_REPORTED)):
        return by_names(sample, _REPORTED)
    return Evidence(0.0, ("lacks uuid beside conversation_uuid, or call_id and a network beside date_start",))


def interpret(fields: Fields, options: Options) -> Record:
    """Give the members of a call their meaning."""
    key = pc.coalesce(fields["uuid"], fields["call_id"])
    caller, called = _end(fields, "from"), _end(fields, "to")
    ended = pc.coalesce(fields["end_time"], fields["date_end"])
    status = fields["status"]
    return Record(
        started=pc.coalesce(fields["start_time"], fields["date_start"]),
        ended=ended,
        billable=fields["duration"],
        leg_id=key,
        call_key=key,
        linked_id=pc.coalesce(fields["conversation_uuid"], fields["conversation_id"], key),
        direction=map_distinct(fields["direction"], lambda word: DIRECTIONS.get(status_word(word))),
        from_number=caller,
        to_number=called,
        from_whole=with_plus(caller, options.country),
        to_whole=with_plus(called, options.country),
        sip_username=pc.coalesce(fields["from.user"], fields["to.user"], users(caller, called)),
        word=_word(status, ended, options),
        cause=pc.coalesce(fields["status_description"], status),
        start_required=False,
    )


def _end(fields: Fields, name: str) -> pa.LargeStringArray:
    """Return one end of each call, wherever it stands."""
    inner = (f"{name}.{member}" for member in ("number", "uri", "user", "extension"))
    there = [place for place in (*inner, name, f"{name}_number") if place in fields]
    return pc.coalesce(*(fields[place] for place in there or [name]))


def _word(status: pa.LargeStringArray, ended: pa.LargeStringArray, options: Options) -> pa.LargeStringArray:
    """Return the status; an answered call without an end is answered so far."""
    so_far = map_distinct(
        with_missing(status, np.asarray(ended.is_valid())),
        lambda word: f"{word} so far" if status_word(word) in _STATES - options.status_map.keys() else None,
    )
    return pc.coalesce(so_far, status).cast(TEXT)


FORMATS: Final = (
    CdrFormat(
        name="vonage",
        title="Vonage call list",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        paths=PATHS,
        aliases=("nexmo",),
        row_by_row=True,
    ),
)
