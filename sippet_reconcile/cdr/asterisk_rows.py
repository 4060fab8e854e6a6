"""What the columns of Asterisk's CDRs mean, whatever wrote them out: files, database tables, or the PBXs around it.

Input are the columns by the names that Asterisk gives them, output is a `Record`. The
parts of `interpret` are there for formats that know more, or less, than Asterisk's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.spec import Options, Record
from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = [
    "LOCAL", "STATUSES", "cut", "epochs", "group", "interpret", "leg_ids", "matches", "numbers", "own_uuid", "peers",
]  # fmt: skip

STATUSES: Final = {
    "ANSWERED": "completed",
    "NO_ANSWER": "no_answer",
    "BUSY": "busy",
    "CANCEL": "canceled",
    "FAILED": "failed",
    "CONGESTION": "failed",
    "UNKNOWN": "failed",
}
"""Disposition to status, for rows without billable seconds."""


_PLAIN_ID: Final = r"^\d{10}\.\d+$"
_EPOCH: Final = r"^(?:.*-)?(?P<epoch>\d{9,10})\.\d+$"
_UUID: Final = r"^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
_IN_CLID: Final = r"<(?P<number>[^<>]+)>\s*$"
_TECHNOLOGIES: Final = ("SIP/", "PJSIP/", "IAX2/")
_PEER: Final = rf"^(?:{'|'.join(_TECHNOLOGIES)}).+-[0-9a-fA-F]{{8}}$"
_BEHIND_PEER: Final = 9  # a dash and eight digits
LOCAL: Final = r"^Local/.*;[12]$"
_NO_NUMBER: Final = r"^[stih]$"
_DIALLED: Final = r"^[A-Za-z0-9]+/(?:[^/,&@]+/)?(?P<number>\+?[0-9*#]+)(?:@[^,&]*)?(?:,.*)?$"
_FROM_OUTSIDE: Final = r"^(?:from-(?:pstn|trunk|did|external|sip-external|outside)|ext-did)(?:-.*)?$"
_FROM_INSIDE: Final = r"^from-internal(?:-.*)?$"


def group(
    array: pa.LargeStringArray, pattern: str, name: str, rows: NDArray[np.bool_]
) -> pa.LargeStringArray:
    """Return a group of a pattern in the rows that are marked; finding one takes five times as long as a match."""
    nothing = pa.nulls(len(array), array.type)
    if not bool(rows.any()):
        return nothing
    mask = pa.array(rows)
    found = pc.struct_field(pc.extract_regex(array.filter(mask), pattern=pattern), name)
    return pc.replace_with_mask(nothing, mask, found)


def matches(array: pa.LargeStringArray, pattern: str) -> NDArray[np.bool_]:
    """Mark the texts that a pattern is found in."""
    return np.asarray(pc.fill_null(pc.match_substring_regex(array, pattern), fill_value=False))


def cut(array: pa.LargeStringArray, start: int, stop: int, rows: NDArray[np.bool_]) -> pa.LargeStringArray:
    """Return a part of each text in the rows that are marked; what is cut off is ASCII."""
    return pc.binary_slice(with_missing(array, ~rows).view(pa.large_binary()), start, stop).view(array.type)


def epochs(uniqueid: pa.LargeStringArray, linkedid: pa.LargeStringArray) -> NDArray[np.int64]:
    """Return the instant at which each row's channel was made, in microseconds; 0 where no id tells."""
    seconds = _epoch_seconds(uniqueid)
    if seconds.null_count:
        seconds = pc.coalesce(seconds, _epoch_seconds(linkedid))
    return pc.fill_null(seconds, 0).to_numpy(zero_copy_only=False) * 1_000_000


def _epoch_seconds(ids: pa.LargeStringArray) -> pa.Int64Array:
    """Return the epoch in each id; nearly all begin with its ten digits."""
    plain = matches(ids, _PLAIN_ID)
    seconds = cut(ids, 0, 10, plain)
    others = np.asarray(ids.is_valid()) & ~plain
    if bool(others.any()):
        seconds = pc.coalesce(seconds, group(ids, _EPOCH, "epoch", others))
    return seconds.cast(pa.int64())


def peers(channel: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return whose device each channel is: what stands between the technology and the channel's number."""
    fits = matches(channel, _PEER)
    found = [pa.nulls(len(channel), channel.type)]
    for technology in _TECHNOLOGIES:
        rows = fits & np.asarray(pc.fill_null(pc.starts_with(channel, technology), fill_value=False))
        if bool(rows.any()):
            found.append(cut(channel, len(technology), -_BEHIND_PEER, rows))
    return pc.coalesce(*found)


def numbers(fields: Fields) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return caller and called party; where a column holds none, another one may."""
    caller = fields["src"]
    if caller.null_count:
        caller = pc.coalesce(caller, group(fields["clid"], _IN_CLID, "number", np.asarray(caller.is_null())))
    called = fields["dst"]
    without = np.asarray(called.is_null()) | matches(called, _NO_NUMBER)
    if bool(without.any()):
        # In 's', 't', 'i' and 'h' the dialplan went on without a number: a Dial may name it.
        without &= matches(fields["lastapp"], "^Dial$")
        called = pc.coalesce(group(fields["lastdata"], _DIALLED, "number", without), called)
    return caller, called


def leg_ids(
    uniqueid: pa.LargeStringArray, linkedid: pa.LargeStringArray, sequence: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return what tells a row from all others: an id and the sequence, or the uniqueid alone."""
    slash = pa.scalar("/", uniqueid.type)
    return pc.coalesce(
        pc.binary_join_element_wise(uniqueid, sequence, slash),
        uniqueid,
        pc.binary_join_element_wise(linkedid, sequence, slash),
    )


def own_uuid(fields: Fields) -> pa.LargeStringArray:
    """Return the UUID that the platform stored in userfield or accountcode, where it did."""
    found = [
        with_missing(fields[name], ~matches(fields[name], _UUID)) for name in ("userfield", "accountcode")
    ]
    return pc.coalesce(*found)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns their meaning, whatever their order."""
    fields.prepare(fields.raw.columns)
    uniqueid, linkedid, sequence = fields["uniqueid"], fields["linkedid"], fields["sequence"]
    linked = pc.coalesce(linkedid, uniqueid)
    context = fields["dcontext"]
    caller, called = numbers(fields)
    inbound = pa.array(matches(context, _FROM_OUTSIDE))
    text = uniqueid.type
    return Record(
        started=fields["start"],
        answered=fields["answer"],
        ended=fields["end"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=leg_ids(uniqueid, linkedid, sequence),
        call_key=pc.coalesce(own_uuid(fields), uniqueid),
        linked_id=linked,
        direction=pc.if_else(inbound, pa.scalar("inbound", text), pa.scalar(None, text)),
        from_number=caller,
        to_number=called,
        # What calls in from outside is a trunk; the user is the one it was put through to.
        sip_username=peers(pc.if_else(inbound, fields["dstchannel"], fields["channel"])),
        word=fields["disposition"],
        cause=fields["disposition"],
        calls_out=matches(context, _FROM_INSIDE),
        is_helper=matches(fields["channel"], LOCAL),
        epoch=epochs(uniqueid, linkedid),
        # An answer time beside zero seconds does not turn BUSY or FAILED into a completed call.
        answer_decides=False,
    )
