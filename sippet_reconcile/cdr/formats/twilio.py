"""Twilio call lists, and those of systems that copy its API (SignalWire, Somleng, TeXML): CSV or JSON.

One row is one leg. There is a header, in whatever style the library or portal writes it
(``start_time``, ``startTime``, ``Start Time``). Times are in UTC: RFC 2822 in the API's
answers, ISO with ``Z`` where a library printed them; a system that prints local times
without an offset is asked for its zone. There is no total: ``duration`` are the seconds
after answer, empty for calls that were not answered and for those that are not over.
``queue_time`` are milliseconds, ``price`` is negative and comes later; both are only
kept. ``sid`` is the key. A dial makes a child call with its own sid and
``parent_call_sid``; all calls of such a line are one. The rules are those of Twilio's
reference of the Call resource and of its OpenAPI description.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from sippet_reconcile.cdr.families.addresses import users
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.families.parents import link_to_first
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.normalize import map_distinct

if TYPE_CHECKING:
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "sid", "call_sid", "account_sid", "parent_call_sid", "to", "to_formatted", "from", "from_formatted",
    "phone_number_sid", "status", "call_status", "start_time", "end_time", "date_created", "date_updated", "duration",
    "call_duration", "price", "price_unit", "direction", "answered_by", "api_version", "forwarded_from", "group_sid",
    "caller_name", "queue_time", "trunk_sid", "uri",
)  # fmt: skip

STATUSES: Final = {
    "COMPLETED": "completed",
    "NO_ANSWER": "no_answer",
    "BUSY": "busy",
    "CANCELED": "canceled",
    "CANCELLED": "canceled",
    "FAILED": "failed",
    "QUEUED": "in_progress",
    "INITIATED": "in_progress",
    "RINGING": "in_progress",
    "IN_PROGRESS": "in_progress",
}
"""Twilio's own status words."""

DIRECTIONS: Final = {
    "INBOUND": "inbound",
    "INCOMING": "inbound",
    "OUTBOUND": "outbound",
    "OUTGOING": "outbound",
    "OUTBOUND_API": "outbound",
    "OUTBOUND_DIAL": "outbound",
    "TRUNKING_TERMINATING": "outbound",
    "TRUNKING_ORIGINATING": "inbound",
}
"""From the platform's side: a terminating trunk call leaves towards the telephone network."""

_TELLING: Final = ("status", "start_time", "end_time", "duration", "direction", "from", "to")
_SIDS: Final = ("sid", "call_sid")


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members; portals call the sid a call's."""
    sid = next((name for name in _SIDS if column_key(name) in sample.names), None)
    if sid is None:
        return Evidence(0.0, ("lacks sid",))
    return by_names(sample, (sid, *_TELLING))


def interpret(fields: Fields, _: Options) -> Record:
    """Give the members of a call their meaning."""
    caller, called = fields["from"], fields["to"]
    sid = pc.coalesce(fields["sid"], fields["call_sid"])
    status = pc.coalesce(fields["status"], fields["call_status"])
    return Record(
        started=fields["start_time"],
        ended=fields["end_time"],
        billable=pc.coalesce(fields["duration"], fields["call_duration"]),
        leg_id=sid,
        call_key=sid,
        linked_id=pc.coalesce(fields["parent_call_sid"], sid),
        direction=map_distinct(fields["direction"], lambda word: DIRECTIONS.get(status_word(word))),
        from_number=caller,
        to_number=called,
        sip_username=users(caller, called),
        word=status,
        cause=status,
        start_required=False,
    )


FORMATS: Final = (
    CdrFormat(
        name="twilio",
        title="Twilio call list",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        aliases=("signalwire", "somleng"),
        relink=link_to_first,
        row_by_row=True,
    ),
)
