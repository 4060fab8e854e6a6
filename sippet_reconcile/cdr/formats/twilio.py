"""Twilio call lists as CSV or JSON: one object per leg, times in UTC, seconds after answer only.

A dial makes a child call with its own sid and ``parent_call_sid``. ``duration`` is the
billable time and empty for calls that were not answered, or are not over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.normalize import map_distinct

if TYPE_CHECKING:
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "sid", "account_sid", "parent_call_sid", "to", "from", "status", "start_time", "end_time", "duration",
    "price", "price_unit", "direction", "answered_by", "forwarded_from", "caller_name", "uri",
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
    "inbound": "inbound",
    "outbound": "outbound",
    "outbound-api": "outbound",
    "outbound-dial": "outbound",
    "trunking-terminating": "outbound",
    "trunking-originating": "inbound",
}
"""From the platform's side: a terminating trunk call leaves towards the telephone network."""

_NEEDED: Final = ("sid", "status", "start_time", "end_time", "duration", "direction", "from", "to")
_USER: Final = re.compile(r"client:(?P<client>.+)|sips?:(?P<sip>[^@;]+)@", re.IGNORECASE)


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members."""
    missing = [name for name in _NEEDED if column_key(name) not in sample.names]
    score = 1 - len(missing) / len(_NEEDED)
    if missing:
        return Evidence(score if score > 0.6 else 0.0, (f"lacks {', '.join(missing)}",))  # noqa: PLR2004
    return Evidence(1.0, (f"names {', '.join(_NEEDED)}",))


def _user(number: str) -> str | None:
    """Return the user that a client or SIP address names; a telephone number names none."""
    found = _USER.match(number)
    name = None if found is None else found["client"] or found["sip"]
    return name or None


def interpret(fields: Fields, _: Options) -> Record:
    """Give the members of a call their meaning."""
    caller, called, sid = fields["from"], fields["to"], fields["sid"]
    status = fields["status"]
    return Record(
        started=fields["start_time"],
        ended=fields["end_time"],
        billable=fields["duration"],
        leg_id=sid,
        call_key=sid,
        linked_id=pc.coalesce(fields["parent_call_sid"], sid),
        direction=map_distinct(fields["direction"], lambda word: DIRECTIONS.get(word.casefold())),
        from_number=caller,
        to_number=called,
        sip_username=pc.coalesce(map_distinct(caller, _user), map_distinct(called, _user)),
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
        row_by_row=True,
    ),
)
