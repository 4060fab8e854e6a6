"""Asterisk ``cdr_csv`` (16 to 21 columns) and the default mapping of ``cdr_custom``: no header, local or GMT.

A row is one path of communication; parallel dials and queues make several rows with
one uniqueid. The uniqueid carries the epoch at which its channel was made, which
tells the zone of the file's times.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.stamps import is_date_like
from sippet_reconcile.keys import hash_text
from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

BASE: Final = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
)
"""The 16 columns that ``cdr_csv`` always writes."""

NEW: Final = ("peeraccount", "linkedid", "sequence")
"""What ``newcdrcolumns`` adds."""

CUSTOM: Final = (
    *(BASE[i] for i in (4, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0)),
    "uniqueid",
    "userfield",
    "sequence",
)
"""The default mapping of ``cdr_custom``: the caller id comes first."""

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

_UNIQUEID: Final = re.compile(r"(?:.*-)?\d{9,10}\.\d+")
_PLAIN_ID: Final = r"^\d{10}\.\d+$"
_EPOCH: Final = r"^(?:.*-)?(?P<epoch>\d{9,10})\.\d+$"
_UUID: Final = r"^[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"
_IN_CLID: Final = r"<(?P<number>[^<>]+)>\s*$"
_TECHNOLOGIES: Final = ("SIP/", "PJSIP/", "IAX2/")
_PEER: Final = rf"^(?:{'|'.join(_TECHNOLOGIES)}).+-[0-9a-fA-F]{{8}}$"
_BEHIND_PEER: Final = 9  # a dash and eight digits
_LOCAL: Final = r"^Local/.*;[12]$"
_NO_NUMBER: Final = r"^[stih]$"
_DIALLED: Final = r"^[A-Za-z0-9]+/(?:[^/,&@]+/)?(?P<number>\+?[0-9*#]+)(?:@[^,&]*)?(?:,.*)?$"
_FROM_OUTSIDE: Final = r"^(?:from-(?:pstn|trunk|did|external|sip-external|outside)|ext-did)(?:-.*)?$"
_FROM_INSIDE: Final = r"^from-internal(?:-.*)?$"


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width; where only one optional column is there, its values say which."""
    n = len(BASE)

    def optional(width: int) -> str:
        cells = [row[n].strip() for row in sample.rows if len(row) == width]
        return "userfield" if cells and not any(map(_UNIQUEID.fullmatch, cells)) else "uniqueid"

    both = ("uniqueid", "userfield")
    layouts = {
        18: (*BASE, *both),
        21: (*BASE, *both, *NEW),
        16: BASE,
        17: (*BASE, optional(17)),
        19: (*BASE, *NEW),
        20: (*BASE, optional(20), *NEW),
    }
    widths = [len(row) for row in sample.rows if len(row) in layouts]
    usual = max(sorted(set(widths)), key=widths.count, default=18)
    return {usual: layouts[usual], **layouts}


def _custom_layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return {len(CUSTOM): CUSTOM}


def recognise(sample: Sample, *, widths: range, start: int, what: str) -> Evidence:
    """Judge by where the dates, the seconds and the disposition stand."""
    if sample.is_json:
        return Evidence(0.0, ("JSON, not lines of text",))
    if {column_key(name) for name in BASE} <= sample.names and start == BASE.index("start"):
        return Evidence(0.9, ("the first row names the columns of an Asterisk CDR",))
    rows = sample.rows
    if not rows:
        return Evidence(0.0, ("no rows",))
    fitting = [row for row in rows if len(row) in widths]
    good = [
        row
        for row in fitting
        if is_date_like(row[start])
        and (not row[start + 2].strip() or is_date_like(row[start + 2]))
        and _is_seconds(row[start + 3])
        and _is_seconds(row[start + 4])
        and status_word(row[start + 5]) in STATUSES
    ]
    columns = f"{widths[0]} to {widths[-1]}" if len(widths) > 1 else str(widths[0])
    return Evidence(
        len(good) / len(rows),
        (
            f"{len(fitting)} of {len(rows)} rows have {columns} columns",
            f"in {len(good)} dates begin in column {start + 1} and a disposition stands in {start + 6}: {what}",
        ),
        is_possible=2 * len(fitting) >= len(rows),
    )


def _is_seconds(cell: str) -> bool:
    return cell.strip().replace(".", "", 1).isdigit()


def _group(
    array: pa.LargeStringArray, pattern: str, name: str, rows: NDArray[np.bool_]
) -> pa.LargeStringArray:
    """Return a group of a pattern in the rows that are marked; finding one takes five times as long as a match."""
    nothing = pa.nulls(len(array), array.type)
    if not bool(rows.any()):
        return nothing
    mask = pa.array(rows)
    found = pc.struct_field(pc.extract_regex(array.filter(mask), pattern=pattern), name)
    return pc.replace_with_mask(nothing, mask, found)


def _matches(array: pa.LargeStringArray, pattern: str) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.match_substring_regex(array, pattern), fill_value=False))


def _cut(array: pa.LargeStringArray, start: int, stop: int, rows: NDArray[np.bool_]) -> pa.LargeStringArray:
    """Return a part of each text in the rows that are marked; what is cut off is ASCII."""
    return pc.binary_slice(with_missing(array, ~rows).view(pa.large_binary()), start, stop).view(array.type)


def _epochs(uniqueid: pa.LargeStringArray, linkedid: pa.LargeStringArray) -> NDArray[np.int64]:
    """Return the instant at which each row's channel was made, in microseconds; 0 where no id tells."""
    seconds = _epoch_seconds(uniqueid)
    if seconds.null_count:
        seconds = pc.coalesce(seconds, _epoch_seconds(linkedid))
    return pc.fill_null(seconds, 0).to_numpy(zero_copy_only=False) * 1_000_000


def _epoch_seconds(ids: pa.LargeStringArray) -> pa.Int64Array:
    """Return the epoch in each id; nearly all begin with its ten digits."""
    plain = _matches(ids, _PLAIN_ID)
    seconds = _cut(ids, 0, 10, plain)
    others = np.asarray(ids.is_valid()) & ~plain
    if bool(others.any()):
        seconds = pc.coalesce(seconds, _group(ids, _EPOCH, "epoch", others))
    return seconds.cast(pa.int64())


def _peers(channel: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return whose device each channel is: what stands between the technology and the channel's number."""
    fits = _matches(channel, _PEER)
    found = [pa.nulls(len(channel), channel.type)]
    for technology in _TECHNOLOGIES:
        rows = fits & np.asarray(pc.fill_null(pc.starts_with(channel, technology), fill_value=False))
        if bool(rows.any()):
            found.append(_cut(channel, len(technology), -_BEHIND_PEER, rows))
    return pc.coalesce(*found)


def _numbers(fields: Fields) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return caller and called party; where a column holds none, another one may."""
    caller = fields["src"]
    if caller.null_count:
        caller = pc.coalesce(caller, _group(fields["clid"], _IN_CLID, "number", np.asarray(caller.is_null())))
    called = fields["dst"]
    without = np.asarray(called.is_null()) | _matches(called, _NO_NUMBER)
    if bool(without.any()):
        # In 's', 't', 'i' and 'h' the dialplan went on without a number: a Dial may name it.
        without &= _matches(fields["lastapp"], "^Dial$")
        called = pc.coalesce(_group(fields["lastdata"], _DIALLED, "number", without), called)
    return caller, called


def _leg_ids(
    uniqueid: pa.LargeStringArray, linkedid: pa.LargeStringArray, sequence: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return what tells a row from all others: an id and the sequence, or the uniqueid alone."""
    slash = pa.scalar("/", uniqueid.type)
    return pc.coalesce(
        pc.binary_join_element_wise(uniqueid, sequence, slash),
        uniqueid,
        pc.binary_join_element_wise(linkedid, sequence, slash),
    )


def _own_uuid(fields: Fields) -> pa.LargeStringArray:
    """Return the UUID that the platform stored in userfield or accountcode, where it did."""
    found = [
        with_missing(fields[name], ~_matches(fields[name], _UUID)) for name in ("userfield", "accountcode")
    ]
    return pc.coalesce(*found)


def _helpers(channel: pa.LargeStringArray, linked: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark the legs of Local channels, in groups that also have a leg of somebody."""
    local = _matches(channel, _LOCAL)
    if not bool(local.any()):
        return local
    ids = hash_text(linked)
    helper = local.copy()
    helper[local] = np.isin(ids[local], ids[~local & (ids != 0)])
    return helper


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns their meaning, whatever their order."""
    fields.prepare(fields.raw.columns)
    uniqueid, linkedid, sequence = fields["uniqueid"], fields["linkedid"], fields["sequence"]
    linked = pc.coalesce(linkedid, uniqueid)
    context = fields["dcontext"]
    caller, called = _numbers(fields)
    inbound = pa.array(_matches(context, _FROM_OUTSIDE))
    text = uniqueid.type
    return Record(
        started=fields["start"],
        answered=fields["answer"],
        ended=fields["end"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=_leg_ids(uniqueid, linkedid, sequence),
        call_key=pc.coalesce(_own_uuid(fields), uniqueid),
        linked_id=linked,
        direction=pc.if_else(inbound, pa.scalar("inbound", text), pa.scalar(None, text)),
        from_number=caller,
        to_number=called,
        # What calls in from outside is a trunk; the user is the one it was put through to.
        sip_username=_peers(pc.if_else(inbound, fields["dstchannel"], fields["channel"])),
        word=fields["disposition"],
        cause=fields["disposition"],
        calls_out=_matches(context, _FROM_INSIDE),
        is_helper=_helpers(fields["channel"], linked),
        epoch=_epochs(uniqueid, linkedid),
        # An answer time beside zero seconds does not turn BUSY or FAILED into a completed call.
        answer_decides=False,
    )


_NAMES: Final = {column_key(name): name for name in (*BASE, "uniqueid", "userfield", *NEW)}

FORMATS: Final = (
    CdrFormat(
        name="asterisk",
        title="Asterisk cdr_csv",
        names=_NAMES,
        statuses=STATUSES,
        recognise=partial(recognise, widths=range(16, 22), start=9, what="the order of cdr_csv"),
        interpret=interpret,
        layouts=_layouts,
        aliases=("cdr-csv",),
    ),
    CdrFormat(
        name="asterisk-custom",
        title="Asterisk cdr_custom, default mapping",
        names=_NAMES,
        statuses=STATUSES,
        recognise=partial(recognise, widths=range(19, 20), start=8, what="the order of cdr_custom"),
        interpret=interpret,
        layouts=_custom_layouts,
        aliases=("cdr-custom",),
    ),
)
