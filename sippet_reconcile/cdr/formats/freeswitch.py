"""FreeSWITCH ``mod_cdr_csv``: the shipped ``example`` template, one row per leg, no header, local time.

The template escapes nothing, so a quote in a caller's name breaks a row. Answered is
what has an answer stamp: half of the unanswered calls end with NORMAL_CLEARING.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.cdr.tables import in_threads
from sippet_reconcile.keys import are_unique, hash_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

EXAMPLE: Final = (
    "caller_id_name",
    "caller_id_number",
    "destination_number",
    "context",
    "start_stamp",
    "answer_stamp",
    "end_stamp",
    "duration",
    "billsec",
    "hangup_cause",
    "uuid",
    "bleg_uuid",
    "accountcode",
    "read_codec",
    "write_codec",
)
"""Columns of the ``example`` template, which the vanilla configuration uses."""

LAYOUTS: Final = {
    len(EXAMPLE): EXAMPLE,
    len(EXAMPLE) + 2: (*EXAMPLE, "sip_user_agent", "sip_p_rtp_stat"),  # the ``linksys`` template
}

_NO_ANSWER: Final = "NO_ANSWER NO_USER_RESPONSE ALLOTTED_TIMEOUT PROGRESS_TIMEOUT NO_PICKUP SUBSCRIBER_ABSENT"
_BUSY: Final = "USER_BUSY BUSY_EVERYWHERE"
_CANCELED: Final = "ORIGINATOR_CANCEL LOSE_RACE PICKED_OFF"
_UNKNOWN: Final = "NORMAL_CLEARING BLIND_TRANSFER ATTENDED_TRANSFER NONE UNSPECIFIED"
_FAILED: Final = (
    "UNALLOCATED_NUMBER NO_ROUTE_TRANSIT_NET NO_ROUTE_DESTINATION CHANNEL_UNACCEPTABLE CALL_REJECTED "
    "CALL_AWARDED_DELIVERED NUMBER_CHANGED REDIRECTION_TO_NEW_DESTINATION EXCHANGE_ROUTING_ERROR "
    "DESTINATION_OUT_OF_ORDER INVALID_NUMBER_FORMAT FACILITY_REJECTED RESPONSE_TO_STATUS_ENQUIRY NORMAL_UNSPECIFIED "
    "NORMAL_CIRCUIT_CONGESTION NETWORK_OUT_OF_ORDER NORMAL_TEMPORARY_FAILURE SWITCH_CONGESTION ACCESS_INFO_DISCARDED "
    "REQUESTED_CHAN_UNAVAIL PRE_EMPTED FACILITY_NOT_SUBSCRIBED OUTGOING_CALL_BARRED INCOMING_CALL_BARRED "
    "BEARERCAPABILITY_NOTAUTH BEARERCAPABILITY_NOTAVAIL SERVICE_UNAVAILABLE BEARERCAPABILITY_NOTIMPL "
    "CHAN_NOT_IMPLEMENTED FACILITY_NOT_IMPLEMENTED SERVICE_NOT_IMPLEMENTED INVALID_CALL_REFERENCE "
    "INCOMPATIBLE_DESTINATION INVALID_MSG_UNSPECIFIED MANDATORY_IE_MISSING MESSAGE_TYPE_NONEXIST WRONG_MESSAGE "
    "IE_NONEXIST INVALID_IE_CONTENTS WRONG_CALL_STATE RECOVERY_ON_TIMER_EXPIRE MANDATORY_IE_LENGTH_ERROR "
    "PROTOCOL_ERROR INTERWORKING SUCCESS CRASH SYSTEM_SHUTDOWN MANAGER_REQUEST USER_CHALLENGE MEDIA_TIMEOUT "
    "USER_NOT_REGISTERED INVALID_GATEWAY GATEWAY_DOWN INVALID_URL INVALID_PROFILE DECLINE REJECT_ALL "
    "DOES_NOT_EXIST_ANYWHERE NOT_ACCEPTABLE UNWANTED INVALID_IDENTITY BAD_IDENTITY_INFO UNSUPPORTED_CERTIFICATE"
)

STATUSES: Final = {
    cause: status
    for status, causes in (
        ("no_answer", _NO_ANSWER),
        ("busy", _BUSY),
        ("canceled", _CANCELED),
        ("unknown", _UNKNOWN),
        ("failed", _FAILED),
    )
    for cause in causes.split()
}
"""What a hangup cause says about a call that was not answered."""

_MARKS: Final = 1 << 22  # many times as many as calls with a B-leg, and still within a processor's cache
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_CAUSE: Final = re.compile(r"[A-Z][A-Z_]{3,}")


def _layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return LAYOUTS


def recognise(sample: Sample) -> Evidence:
    """Judge by where the uuid, the seconds and the cause stand; a bad start is the row's own problem."""
    if sample.is_json:
        return Evidence(0.0, ("JSON, not lines of text",))
    if {column_key(name) for name in EXAMPLE} <= sample.names:
        return Evidence(1.0, ("the first row names the columns of the example template",))
    rows = sample.rows
    if not rows:
        return Evidence(0.0, ("no rows",))
    fitting = [row for row in rows if len(row) in LAYOUTS]
    good = [
        row
        for row in fitting
        if _UUID.fullmatch(row[10].strip())
        and row[7].strip().isdigit()
        and row[8].strip().isdigit()
        and (not row[9].strip() or _CAUSE.fullmatch(row[9].strip()))
    ]
    return Evidence(
        len(good) / len(rows),
        (
            f"{len(fitting)} of {len(rows)} rows have 15 or 17 columns",
            f"in {len(good)} a uuid stands in column 11, a hangup cause in 10, seconds in 8 and 9",
        ),
        is_possible=2 * len(fitting) >= len(rows),
    )


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns of the template their meaning."""
    fields.prepare(EXAMPLE[1:13])
    uuid, account, context = fields["uuid"], fields["accountcode"], fields["context"]
    to_number, cause = fields["destination_number"], fields["hangup_cause"]
    unanswered = np.asarray(fields["answer_stamp"].is_null())
    public = pc.fill_null(pc.equal(context, "public"), fill_value=False)
    to_voicemail = np.asarray(pc.fill_null(pc.equal(to_number, "voicemail"), fill_value=False))
    lost_race = np.asarray(pc.fill_null(pc.equal(cause, "LOSE_RACE"), fill_value=False))
    return Record(
        started=fields["start_stamp"],
        answered=fields["answer_stamp"],
        ended=fields["end_stamp"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=uuid,
        call_key=uuid,
        linked_id=pc.coalesce(fields["bleg_uuid"], uuid),
        direction=pc.if_else(public, pa.scalar("inbound", uuid.type), pa.scalar(None, uuid.type)),
        from_number=fields["caller_id_number"],
        to_number=to_number,
        sip_username=account,
        word=cause,
        cause=cause,
        calls_out=~np.asarray(public),
        # A call that rings out into a mailbox leaves a second, unanswered leg to "voicemail".
        is_helper=lost_race | (to_voicemail & unanswered & np.asarray(account.is_null())),
    )


def relink(leg_id: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> pa.LargeStringArray:
    """Give all legs of one call one linked id, over all files of a read.

    A row links its own id to that of its B-leg. Where several rows say so of each
    other, or one id has several B-legs, the whole group takes one of the B-leg ids;
    which one does not depend on the order of rows or files.
    """
    links = np.asarray(pc.fill_null(pc.not_equal(leg_id, linked_id), fill_value=False))
    if not bool(links.any()):
        return linked_id
    half = len(leg_id) // 2
    parts = [leg_id.slice(0, half), leg_id.slice(half), linked_id.filter(pa.array(links))]
    *owns, named = in_threads(hash_text, parts)
    own = np.concatenate(owns)
    # Where each id that names a B-leg stands in one row, and none of them is a B-leg itself, nothing is to settle.
    naming = own[links]
    if are_unique(naming) and not _have_common(naming, np.concatenate([own[~links], named])):
        return linked_id
    linked = own.copy()
    linked[links] = named
    codes, ids = pd.factorize(np.concatenate([own, linked]))
    left, right = codes[: len(own)], codes[len(own) :]
    group = np.arange(len(ids))
    while True:
        lowest = np.minimum(group[left], group[right])
        before = group.copy()
        np.minimum.at(group, left, lowest)
        np.minimum.at(group, right, lowest)
        group = group[group]
        if bool((group == before).all()):
            break
    # The group's name is the B-leg id with the smallest hash: the same whatever came first.
    smallest = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group[right[links]], linked[links])
    wanted = smallest[group[left]]
    where = pd.Series(np.arange(len(linked)), index=linked).groupby(level=0).first()
    grouped = (wanted != np.iinfo(np.uint64).max) & (own != 0)
    source = np.arange(len(linked))
    source[grouped] = where.reindex(wanted[grouped]).to_numpy()
    return linked_id.take(pa.array(source))


def _have_common(some: NDArray[np.uint64], many: NDArray[np.uint64]) -> bool:
    """Tell whether two sets of hashes meet; the last bits of a hash say for nearly all of them that it is in one only."""
    marks = np.zeros(_MARKS, bool)
    last_bits = np.uint64(_MARKS - 1)
    marks[(some & last_bits).view(np.int64)] = True
    possible = many[marks.take((many & last_bits).view(np.int64))]
    return bool(pd.Index(possible).isin(some).any())


FORMATS: Final = (
    CdrFormat(
        name="freeswitch",
        title="FreeSWITCH mod_cdr_csv, example template",
        names={column_key(name): name for name in LAYOUTS[17]},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        aliases=("mod-cdr-csv",),
        relink=relink,
        row_by_row=True,
    ),
)
