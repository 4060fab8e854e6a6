"""Twilio call lists as CSV or JSON: one object per leg, times in UTC, seconds after answer only.

A dial makes a child call with its own sid and ``parent_call_sid``; all calls of such a
line are one. ``duration`` is the billable time and empty for calls that were not
answered, or are not over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.judge import by_names
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.keys import TextLookup
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
    "INBOUND": "inbound",
    "OUTBOUND": "outbound",
    "OUTBOUND_API": "outbound",
    "OUTBOUND_DIAL": "outbound",
    "TRUNKING_TERMINATING": "outbound",
    "TRUNKING_ORIGINATING": "inbound",
}
"""From the platform's side: a terminating trunk call leaves towards the telephone network."""

_NEEDED: Final = ("sid", "status", "start_time", "end_time", "duration", "direction", "from", "to")
_USER: Final = re.compile(r"client:(?P<client>.+)|(?:sips?:)?(?P<sip>[^@:;/]+)[^@/]*@", re.IGNORECASE)


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members."""
    return by_names(sample, _NEEDED)


def _user(number: str) -> str | None:
    """Return the user that a client or SIP address names; a telephone number names none.

    A SIP address comes with and without ``sip:``; a password in it is not looked at.
    """
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
        direction=map_distinct(fields["direction"], lambda word: DIRECTIONS.get(status_word(word))),
        from_number=caller,
        to_number=called,
        sip_username=pc.coalesce(map_distinct(caller, _user), map_distinct(called, _user)),
        word=status,
        cause=status,
        start_required=False,
    )


def relink(leg_id: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> pa.LargeStringArray:
    """Link the call that a child call made to the first call of the line, over all files of a read."""
    is_child = np.asarray(pc.fill_null(pc.not_equal(leg_id, linked_id), fill_value=False))
    children = np.flatnonzero(is_child)
    if len(children) == 0:
        return linked_id
    parents = TextLookup(leg_id).find(linked_id.take(pa.array(children)))
    if not bool(is_child[parents[parents >= 0]].any()):
        return linked_id
    above = np.arange(len(leg_id))
    above[children] = np.where(parents < 0, children, parents)
    # Each round doubles the steps taken, so that only a ring of calls that name each other has no top after these.
    for _ in range(len(children).bit_length()):
        above = above[above]
    top = np.where(above == above[above], above, np.arange(len(above)))
    return linked_id.take(pa.array(top))


FORMATS: Final = (
    CdrFormat(
        name="twilio",
        title="Twilio call list",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        relink=relink,
        row_by_row=True,
    ),
)
