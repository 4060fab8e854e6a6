"""What the columns of Asterisk's CDRs mean, whatever wrote them out: files, database tables, or the PBXs around it.

Input are the columns by the names that Asterisk gives them, output is a `Record`. The
parts of `interpret` are there for formats that know more, or less, than Asterisk's own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.texts import cut, equals, group, groups, matches, matches_long
from sippet_reconcile.cdr.spec import Options, Record, status_word
from sippet_reconcile.cdr.times.stamps import is_date_like
from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = [
    "ELSEWHERE",
    "LOCAL",
    "NAMES",
    "STATUSES",
    "UUID",
    "UUID_BYTES",
    "WITH_CALLDATE",
    "epochs",
    "interpret",
    "is_disposition",
    "is_moment",
    "leg_ids",
    "numbers",
    "own_uuid",
    "peers",
    "words",
]  # fmt: skip

WITH_CALLDATE: Final = (
    "calldate", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration", "billsec",
    "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "did", "recordingfile", "cnum", "cnam",
    "outbound_cnum", "outbound_cnam", "dst_cnam", "linkedid", "peeraccount", "sequence",
)  # fmt: skip
"""FreePBX's table; the first 16 are what older ones have, too. ``calldate`` is the start."""

NAMES: Final = (*WITH_CALLDATE, "start", "answer", "end")
"""Every column that is read or may be kept."""

ELSEWHERE: Final = frozenset({"tenant", "billamount", "dstchannelext", "actiontype"})
"""Columns (comparable names) of PBXs around Asterisk, whose tables mean more than Asterisk's own."""

STATUSES: Final = {
    "ANSWERED": "completed",
    "NO_ANSWER": "no_answer",
    "BUSY": "busy",
    "CANCEL": "canceled",
    "FAILED": "failed",
    "CONGESTION": "failed",
    "UNKNOWN": "failed",
    "VOICEMAIL": "completed",
    "0": "no_answer",
    "1": "no_answer",
    "3": "failed",
    "8": "completed",
    "16": "failed",
}
"""Disposition to status, for rows without billable seconds.

VOICEMAIL stands for ANSWERED where the mailbox was the last application. Somebody may have
talked before it, so only ``status_map={"VOICEMAIL": "voicemail"}`` takes it for a voicemail.
Numbers are written by custom mappings. 2 and 4 are FAILED and BUSY since Asterisk 1.4,
and were BUSY and ANSWERED before: nobody can tell, so they are unknown.
"""

_EPOCH_CELL: Final = re.compile(r"1[0-9]{9}(?:\.[0-9]+)?")
_UNCERTAIN: Final = frozenset({"2", "4"})

_PLAIN_ID: Final = r"^\d{10}\.\d+$"
_CUT_ID: Final = r"^\d{10}$|^\d[.,]?\d*E\+\d+$"
_EPOCH: Final = r"^(?:.*-)?(?P<epoch>\d{9,10})\.\d+$"
UUID_BYTES: Final = (32, 36)
UUID: Final = r"^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
# The number stands last, but before a name in Hebrew.
_IN_CLID: Final = r"<(?P<number>[^<>]+)>\s*(?:\"[^<>]*\")?$"
_TECHNOLOGIES: Final = ("SIP/", "PJSIP/", "IAX2/")
_PEER: Final = rf"^(?:{'|'.join(_TECHNOLOGIES)}).+-[0-9a-fA-F]{{8}}$"
_BEHIND_PEER: Final = 9  # a dash and eight digits
LOCAL: Final = r"^Local/.*;[12]$"
_NO_NUMBER: Final = r"^[stih]$"
_DIALLED: Final = r"^[A-Za-z0-9]+/(?:[^/,&@]+/)?(?P<number>\+?[0-9*#]+)(?:@[^,&]*)?(?:,.*)?$"
_FROM_OUTSIDE: Final = r"^(?:from-(?:pstn|trunk|did|external|sip-external|outside)|ext-did)(?:-.*)?$"
_FROM_INSIDE: Final = r"^from-internal(?:-.*)?$"
_TRUNK: Final = "(?i)trunk"
_BY_PEER: Final = (
    r"^(?:SIP|PJSIP|IAX2)/(?:\+?[0-9*#]+@(?P<peer>[^,/&@]+)|(?P<before>[^,/&@]+)/\+?[0-9*#]+)(?:,.*)?$"
)
_DIGITS: Final = r"^\+?[0-9]+$"
_USUAL: Final = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d")


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
    without = np.asarray(called.is_null()) | matches_long(called, _NO_NUMBER, (1, 1))
    if bool(without.any()):
        # In 's', 't', 'i' and 'h' the dialplan went on without a number: a Dial may name it.
        without &= matches(fields["lastapp"], "^Dial$")
        called = pc.coalesce(group(fields["lastdata"], _DIALLED, "number", without), called)
    return caller, called


def leg_ids(
    uniqueid: pa.LargeStringArray, linkedid: pa.LargeStringArray, sequence: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return what tells a row from all others: an id and the sequence, or the uniqueid alone.

    An id that a spreadsheet cut down to its epoch is that of all calls of one second:
    it stays alone, so that legs of several calls are seen to share it.
    """
    slash = pa.scalar("/", uniqueid.type)
    is_cut = matches(uniqueid, _CUT_ID)
    return pc.coalesce(
        pc.binary_join_element_wise(with_missing(uniqueid, is_cut), sequence, slash),
        uniqueid,
        pc.binary_join_element_wise(linkedid, sequence, slash),
    )


def _linked_ids(
    fields: Fields, own: pa.LargeStringArray, started: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return what links the legs of a call.

    Where a row has no id of the switch's, one that was stored beside it may be that of
    a customer, and is the same in all of his calls: the channel and its start tell these apart.
    """
    linked = pc.coalesce(fields["linkedid"], fields["uniqueid"])
    if linked.null_count == 0 or own.null_count == len(own):
        return linked
    by_channel = pc.binary_join_element_wise(own, fields["channel"], started, pa.scalar(" ", own.type))
    return pc.coalesce(linked, by_channel)


def own_uuid(fields: Fields) -> pa.LargeStringArray:
    """Return the UUID that the platform stored in userfield or accountcode, where it did."""
    found = [
        with_missing(fields[name], ~matches_long(fields[name], UUID, UUID_BYTES))
        for name in ("userfield", "accountcode")
    ]
    return pc.coalesce(*found)


def is_moment(cell: str) -> bool:
    """Tell whether a cell holds a date and time, or an epoch as ``CDR(start,int64)`` writes it.

    Examples
    --------
    >>> is_moment("2026-10-01 09:00:00"), is_moment("1790845200"), is_moment("1001")
    (True, True, False)
    """
    cell = cell.strip()
    if _USUAL.fullmatch(cell) or _EPOCH_CELL.fullmatch(cell):
        return True
    return ":" in cell and is_date_like(cell)


def is_disposition(cell: str) -> bool:
    """Tell whether a cell holds a disposition, as a word or as a number."""
    word = status_word(cell)
    return word in STATUSES or word in _UNCERTAIN


def _words_match(array: pa.LargeStringArray, pattern: str) -> NDArray[np.bool_]:
    """Mark the texts that a pattern is found in, looking at each distinct one only once."""
    encoded = array.dictionary_encode()
    found = np.append(matches(encoded.dictionary, pattern), False)
    return found[np.asarray(pc.fill_null(encoded.indices, len(found) - 1))]


def _app(fields: Fields, name: str) -> NDArray[np.bool_]:
    return _words_match(fields["lastapp"], f"(?i)^{name}$")


def _called(fields: Fields, called: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the number that was called; where the dialplan went on without one, the DID that led there, or the device."""
    dst = fields["dst"]
    without = np.asarray(dst.is_null()) | matches_long(dst, _NO_NUMBER, (1, 1))
    if not bool(without.any()):
        return called
    known = with_missing(called, matches_long(called, _NO_NUMBER, (1, 1)))
    device = peers(fields["dstchannel"])
    device = with_missing(device, ~(without & matches(device, _DIGITS)))
    return pc.coalesce(with_missing(fields["did"], ~without), known, device, called)


def _directions(
    fields: Fields,
    numbers: tuple[pa.LargeStringArray, pa.LargeStringArray],
    devices: tuple[pa.LargeStringArray, pa.LargeStringArray],
    options: Options,
) -> tuple[pa.LargeStringArray, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the directions, which rows came in from outside, and which are outbound if they call an outside number.

    Asterisk records none. A context may tell, or that a call has a DID; a trunk may,
    where its name says that it is one or where it was dialled with a number behind it.
    Signs that contradict each other tell nothing. Somebody who says which numbers are
    their own knows better than a trunk, by which one's own number can be called, too.
    """
    caller, called = numbers
    peer, device = devices
    context = fields["dcontext"]
    inside, outside = _words_match(context, _FROM_INSIDE), _words_match(context, _FROM_OUTSIDE)
    by_trunk = _words_match(peer, _TRUNK) | np.asarray(fields["did"].is_valid())
    came_in = outside | (by_trunk & ~inside)
    own = equals(peer, caller)
    from_here = (inside | own) & ~came_in & ~by_trunk
    went_out = from_here & _words_match(device, _TRUNK)
    open_ = from_here & ~went_out & np.asarray(device.is_valid()) & _app(fields, "Dial")
    if bool(open_.any()):
        via = pc.coalesce(*map(_filled, groups(fields["lastdata"], _BY_PEER, ("peer", "before"), open_)))
        went_out |= open_ & equals(via, device)
    within = from_here & ~went_out & own & equals(device, called)
    text = caller.type
    said = [pa.scalar(word, text) for word in ("inbound", "outbound", "internal", None)]
    direction = said.pop()
    for mask in (within, went_out & (not options.internal_numbers), came_in):
        direction = pc.if_else(pa.array(mask), said.pop(), direction)
    return direction, came_in, (inside & ~by_trunk) | went_out


def _filled(array: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return a group in which what matched nothing is missing."""
    return with_missing(array, np.asarray(pc.fill_null(pc.binary_length(array), 0)) == 0)


def words(fields: Fields) -> pa.LargeStringArray:
    """Return the dispositions; who was answered by the mailbox of somebody else reached nobody."""
    word = fields["disposition"]
    mailbox = _app(fields, "VoiceMail") & matches(word, "(?i)^ANSWERED$")
    if not bool(mailbox.any()):
        return word
    return pc.if_else(pa.array(mailbox), pa.scalar("VOICEMAIL", word.type), word)


def _strangers(fields: Fields, options: Options) -> pa.LargeStringArray | None:
    """Mark rows of another system's table that happens to be as wide: neither channel nor disposition is Asterisk's."""
    channel, disposition = fields["channel"], fields["disposition"]
    no_channel = pc.fill_null(pc.invert(pc.match_substring(channel, "/")), fill_value=False)
    words = pc.unique(disposition.filter(no_channel)).drop_null().to_pylist()
    odd = [word for word in words if not is_disposition(word) and status_word(word) not in options.status_map]
    if not odd:
        return None
    strangers = pc.and_(no_channel, pc.is_in(disposition, value_set=pa.array(odd, disposition.type)))
    reason = pa.scalar("neither its channel nor its disposition is one of Asterisk's", disposition.type)
    return pc.if_else(strangers, reason, pa.scalar(None, disposition.type))


def interpret(fields: Fields, options: Options) -> Record:
    """Give the columns their meaning, whatever their order."""
    fields.prepare(fields.raw.columns)
    uniqueid, linkedid, sequence = fields["uniqueid"], fields["linkedid"], fields["sequence"]
    caller, called = numbers(fields)
    caller = pc.coalesce(caller, fields["cnum"])
    called = _called(fields, called)
    peer, device = peers(fields["channel"]), peers(fields["dstchannel"])
    own = own_uuid(fields)
    direction, came_in, calls_out = _directions(fields, (caller, called), (peer, device), options)

    def found(name: str) -> pa.LargeStringArray | None:
        return fields[name] if name in fields else None  # noqa: SIM401 - `Fields` has no get

    started = pc.coalesce(fields["start"], fields["calldate"]) if "calldate" in fields else fields["start"]
    return Record(
        started=started,
        answered=found("answer"),
        ended=found("end"),
        total=found("duration"),
        billable=found("billsec"),
        leg_id=leg_ids(uniqueid, linkedid, sequence),
        call_key=pc.coalesce(own, uniqueid),
        linked_id=_linked_ids(fields, own, started),
        direction=direction,
        from_number=caller,
        to_number=called,
        # What calls in from outside is a trunk; the user is the one it was put through to.
        sip_username=pc.if_else(pa.array(came_in), device, peer),
        word=words(fields),
        cause=fields["disposition"],
        calls_out=calls_out,
        # What a queue or a ring group calls itself by is nobody's call. Who waits in a parking lot is still on the line.
        is_helper=matches(fields["channel"], LOCAL),
        epoch=epochs(uniqueid, linkedid),
        # An answer time beside zero seconds does not turn BUSY or FAILED into a completed call.
        answer_decides=False,
        derive_missing="answer" not in fields or "end" not in fields,
        problem=_strangers(fields, options),
    )
