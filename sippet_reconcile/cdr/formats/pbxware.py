"""Bicom PBXware: the ``cdr`` table as a database tool writes it out, Asterisk's columns and a few of its own.

A row is one segment of a call, under a header of 26 names; nulls are the word NULL. There
is no answer and no end: ``calldate`` is the start in the switch's local time, ``duration``
the whole time and ``billsec`` the billable one, from which the others follow. The unique id
carries an epoch, which tells the zone. ``AcctId`` is the key of a row, ``linkedid`` that of
the call, and the SIP call ids are those of the trunk's legs.

The caller id is written ``""Name" <1115>"``, with the quotes of the name left as they are,
in every row. Where the switch called an extension back by itself, the extension's number
and the epoch of that moment stand as one: ``50011543601976``. The order and the meaning of
the columns are those of the export and of Asterisk's table, after which it was made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.asterisk_rows import (
    LOCAL,
    STATUSES,
    UUID,
    UUID_BYTES,
    epochs,
    numbers,
    own_uuid,
    peers,
    words,
)
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.families.texts import cut, matches, matches_long
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.normalize import with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields, RawTable

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "AcctId", "tenant", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "calldate",
    "duration", "billsec", "billamount", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "linkedid",
    "sequence", "agiuniqueid", "trunk", "did", "sipcallid", "inboundsipcallid",
)  # fmt: skip

_NEEDED: Final = ("AcctId", "tenant", "calldate", "billamount", "agiuniqueid", "inboundsipcallid")

# Nothing before the caller id is quoted, which leaves one way to read a line: ten times as fast as several.
_REPAIRS: Final = ((r'\A((?:[^",\n]*,){0,8})""([^"\n]*)"([^",\n]*)",', r'\1"""\2""\3",'),)

_QUOTE, _NOTHING, _INBOUND, _OUTBOUND, _UNTOLD = (
    pa.scalar(text, TEXT) for text in ('"', "", "inbound", "outbound", None)
)
_NAMELESS: Final = r'^" <[^<>]*>$'
_GLUED: Final = r"^\d{3,8}1\d{9}$"
_EPOCH_DIGITS: Final = 10
_AT_ONCE: Final = (
    3600 * 1_000_000
)  # an epoch that was glued to an extension is that of the call, give or take


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of the columns, some of which only this table has."""
    return by_names(sample, _NEEDED)


def tidy(raw: RawTable) -> RawTable:
    """Give a caller without a name its empty pair of quotes back: ``"" <1115>"`` read by the book lost one."""
    for name, column in raw.columns.items():
        if column_key(name) == "clid" and bool((nameless := matches(column, _NAMELESS)).any()):
            whole = pc.binary_join_element_wise(_QUOTE, column.filter(pa.array(nameless)), _NOTHING)
            mended = pc.replace_with_mask(column, pa.array(nameless), whole)
            return replace(raw, columns={**raw.columns, name: mended})
    return raw


def _extension(number: pa.LargeStringArray, epoch: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return the extensions without the epoch of the call that is glued to them; other numbers as they are."""
    rows = matches_long(number, _GLUED, (13, 18))
    if not bool(rows.any()):
        return number
    tail = cut(number, -_EPOCH_DIGITS, np.iinfo(np.int64).max, rows)
    at = pc.fill_null(tail.cast(pa.int64()), 0).to_numpy(zero_copy_only=False) * 1_000_000
    rows &= np.abs(at - epoch) <= _AT_ONCE
    return pc.coalesce(cut(number, 0, -_EPOCH_DIGITS, rows), number)


def _call_key(fields: Fields) -> pa.LargeStringArray:
    """Return the id that the platform may know a row's call by.

    Its own UUID, where one was stored; a SIP call id that is a UUID, unless both sides of
    the switch have one; else the unique id.
    """
    sip = [
        with_missing(fields[n], ~matches_long(fields[n], UUID, UUID_BYTES))
        for n in ("sipcallid", "inboundsipcallid")
    ]
    differ = np.asarray(pc.fill_null(pc.not_equal(*sip), fill_value=False))
    return pc.coalesce(own_uuid(fields), with_missing(pc.coalesce(*sip), differ), fields["uniqueid"])


def trunks(fields: Fields) -> frozenset[str]:
    """Return the trunks: those that calls were sent to, and those whose own calls run in a context of their name."""
    fields.prepare(COLUMNS)
    peer = fields.derived("channel", peers)
    by_context = pc.fill_null(pc.equal(peer, fields["dcontext"]), fill_value=False)
    named = pa.concat_arrays([pc.drop_null(fields["trunk"]), peer.filter(by_context)])
    return frozenset(pc.unique(named).to_pylist())


def interpret(fields: Fields, options: Options) -> Record:
    """Give the columns of the table their meaning; what is a trunk, all rows of the file tell."""
    fields.prepare(COLUMNS)
    uniqueid, linkedid, channel = fields["uniqueid"], fields["linkedid"], fields["channel"]
    epoch = epochs(uniqueid, linkedid)
    peer = fields.derived("channel", peers)
    known = trunks(fields) if options.gathered is None else options.gathered
    inbound = pc.is_in(peer, value_set=pa.array(sorted(known), TEXT))
    outbound = pc.and_(pc.is_valid(fields["trunk"]), pc.invert(inbound))
    caller, called = (_extension(number, epoch) for number in numbers(fields))
    return Record(
        started=fields["calldate"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=fields["AcctId"],
        call_key=_call_key(fields),
        linked_id=pc.coalesce(linkedid, uniqueid),
        direction=pc.if_else(inbound, _INBOUND, pc.if_else(outbound, _OUTBOUND, _UNTOLD)),
        from_number=caller,
        to_number=called,
        sip_username=pc.if_else(inbound, peers(fields["dstchannel"]), peer),
        word=words(fields),
        cause=fields["disposition"],
        is_helper=matches(channel, LOCAL),
        epoch=epoch,
        derive_missing=True,
    )


FORMATS: Final = (
    CdrFormat(
        name="pbxware",
        title="Bicom PBXware cdr table",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        repairs=_REPAIRS,
        tidy=tidy,
        aliases=("bicom",),
        helpers_need_company=True,
        row_by_row=True,
        gather=trunks,
    ),
)
