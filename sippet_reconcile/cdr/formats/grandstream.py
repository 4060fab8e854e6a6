"""Grandstream UCM: the CSV of its web page, and that of its CDR interface; Asterisk inside, local time.

A row is one leg of a call, under a header in both files. The web page's export has the
titles of the page ("Last date" is the data of the last application), the interface's
Asterisk's own names behind an ``AcctId``; it quotes nothing, so commas in the data of the
last application make a row wider. What is asked for and not there is a header alone.

``Call Time`` is the whole time and ``Talk Time`` the billable one. An answer time is
printed beside calls that nobody took: only talk time shows an answer. ``Session``, else
the unique id, groups the legs of a call, and ``Action Type`` names what each of them did
(DIAL, IVR[7000], QUEUE[6500]). The unique id carries an epoch, which tells the zone.
The columns are those of Grandstream's "CDR and REC API Guide" and of the export itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.asterisk_rows import (
    STATUSES,
    epochs,
    numbers,
    own_uuid,
    peers,
)
from sippet_reconcile.cdr.families.judge import by_names
from sippet_reconcile.cdr.families.texts import group, matches
from sippet_reconcile.cdr.records.careful import replaced
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT, Fields
from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["FORMATS"]

PAGE: Final = {
    "Account Code": "accountcode",
    "Caller Number": "src",
    "Callee Number": "dst",
    "Context": "dcontext",
    "CallerID Number": "clid",
    "Source Channel": "channel",
    "Dest. Channel": "dstchannel",
    "Last app.": "lastapp",
    "Last date": "lastdata",
    "Start Time": "start",
    "Answer Time": "answer",
    "End Time": "end",
    "Call Time": "duration",
    "Talk Time": "billsec",
    "Disposition": "disposition",
    "AMA Flags": "amaflags",
    "Unique ID": "uniqueid",
    "Log Userfield": "userfield",
    "Dest Channel Extension": "dstchannel_ext",
    "Caller Name": "caller_name",
    "Answered by": "dstanswer",
    "Session": "session",
    "Premier Caller": "premier_caller",
    "Action Type": "action_type",
    "Source Trunk Name": "src_trunk_name",
    "Destination Trunk Name": "dst_trunk_name",
}
"""The titles of the web page's export, and what the interface calls the same columns."""

INTERFACE: Final = (
    "AcctId", "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield",
    "channel_ext", "dstchannel_ext", "service",
)  # fmt: skip
"""The columns of the interface; newer devices add those that the page has too, by its own names."""

_NEWER: Final = ("session", "action_type", "src_trunk_name", "dst_trunk_name", "caller_name", "dstanswer")

_PAGE_NEEDED: Final = (
    "Caller Number",
    "Callee Number",
    "Call Time",
    "Talk Time",
    "AMA Flags",
    "Log Userfield",
)
_INTERFACE_NEEDED: Final = ("AcctId", "billsec", "channel_ext", "dstchannel_ext")

NOT_PUT_THROUGH: Final = "ANSWERED_NOT_PUT_THROUGH"
"""A menu or queue that took a call, talked for no second and passed it on: our word, as the device has none."""

LEFT_A_MESSAGE: Final = "ANSWERED_BY_VOICEMAIL"
"""A leg of the voicemail that talked, or a menu or queue whose caller reached nobody but that."""

DIRECTIONS: Final = {"INBOUND": "inbound", "OUTBOUND": "outbound", "INTERNAL": "internal"}

# Nine fields from the left and twelve from the right, the first of them a date, are free of commas, but for a caller's
# name in quotes. Marks are set where the data of the last application ends and before a line of that shape, then its
# quotes are doubled, and the caller id and the data are quoted. A line of another shape stays as it is.
_PLAIN: Final = r'[^",\n]*'
_LEFT: Final = rf'((?:{_PLAIN},){{5}})("[^\n]*?"{_PLAIN}|{_PLAIN}),((?:{_PLAIN},){{3}})([^\x1f]*)\x1f'
_PATTERNS: Final = (
    (rf"(,\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:,{_PLAIN}){{11}}\n?)\z", "\x1f\\1"),
    (rf"\A{_LEFT}", "\x1f\\1\x1f\\2\x1f,\\3\x1f\\4\x1f"),
    (r"\A([^\x1f]+)\x1f", r"\1"),
    (r'(\A[^\x1f](?s:.*))|(")', r"\1\2\2"),
    (
        r"\A\x1f([^\x1f]*)\x1f([^\x1f]*)\x1f([^\x1f]*)\x1f([^\x1f]*)\x1f",
        r'\1"\2"\3"\4"',
    ),
)

_LEFT_FIELDS: Final = 9
_RIGHT_FIELDS: Final = 12
_CALLER_FIELD: Final = 5
_STAMP: Final = "0000-00-00 00:00:00"
_PARTS: Final = 5
_QUOTE, _COMMA, _MARK, _ZERO = b'",\x1f0'

_IN_BRACKETS: Final = r"[<\[(](?P<number>\+?[0-9*#]+)[>\])]$"
_MENU: Final = r"^(?:IVR|QUEUE)"
_VOICEMAIL: Final = r"^(?:VM|VOICEMAIL)"
_DIAL: Final = r"^DIAL"

# What `settle` has to know of a leg.
_VOICEMAIL_LEG: Final = 1
_DIALLED: Final = 2  # and talked
_MENU_ALONE: Final = 4  # which put nobody through
_PASSED_ON: Final = 8  # or may have
_LED: Final = 16  # to the voicemail, where there is one

_TRUNK: Final = r"^trunk_\d+$"


def quoted(lines: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return lines of the interface with the caller id and the data of the last application in quotes.

    Lines without a quote are cut by the places of their commas, which is what the patterns
    would do to them; the patterns take ten times as long, and are for lines that have some.
    """
    bounds = np.frombuffer(lines.buffers()[1], np.int64)[lines.offset : lines.offset + len(lines) + 1]
    begin, end = int(bounds[0]), int(bounds[-1])
    if begin == end:
        return lines
    content = np.frombuffer(lines.buffers()[2], np.uint8)[begin:end]
    bounds = bounds - begin
    marks = np.flatnonzero((content == _QUOTE) | (content == _MARK))
    has_marks = np.diff(np.searchsorted(marks, bounds)) > 0
    commas = np.flatnonzero(content == _COMMA)
    places = np.searchsorted(commas, bounds)
    rows = np.flatnonzero(~has_marks & (np.diff(places) >= _LEFT_FIELDS + _RIGHT_FIELDS))
    first, right = places[rows], commas[places[rows + 1] - _RIGHT_FIELDS]
    is_dated = commas[places[rows + 1] - _RIGHT_FIELDS + 1] == right + 1 + len(_STAMP)
    for place, sign in enumerate(_STAMP):
        at = content.take(right + 1 + place, mode="clip")
        is_dated &= (at - np.uint8(_ZERO) < 10) if sign == "0" else (at == ord(sign))  # noqa: PLR2004 - digits; bytes wrap around
    rows, first, right = rows[is_dated], first[is_dated], right[is_dated]
    if len(rows):
        # A line that is not cut stands whole behind four cuts at its beginning.
        cuts = np.repeat(bounds[:-1], _PARTS).reshape(-1, _PARTS)
        caller, data = _CALLER_FIELD, _LEFT_FIELDS
        cuts[rows, 1:] = np.stack(
            [commas[first + caller - 1] + 1, commas[first + caller], commas[first + data - 1] + 1, right],
            axis=1,
        )
        offsets, text = pa.py_buffer(np.append(cuts.ravel(), end - begin)), pa.py_buffer(content)
        parts = pa.LargeStringArray.from_buffers(cuts.size, offsets, text)
        chosen = [parts.take(pa.array(rows * _PARTS + part)) for part in range(_PARTS)]
        lines = _placed(lines, rows, pc.binary_join_element_wise(*chosen, pa.scalar('"', TEXT)))
    if bool(has_marks.any()):
        odd = lines.filter(pa.array(has_marks))
        for pattern, replacement in _PATTERNS:
            odd = replaced(odd, pattern, replacement)
        lines = _placed(lines, np.flatnonzero(has_marks), odd)
    return lines


def _placed(
    lines: pa.LargeStringArray, rows: NDArray[np.int64], others: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return lines with others in some places, in order."""
    if len(rows) == len(lines):
        return others
    mask = np.zeros(len(lines), bool)
    mask[rows] = True
    return pc.replace_with_mask(lines, pa.array(mask), others)


def recognise(sample: Sample) -> Evidence:
    """Judge by the titles of the page, or the names of the interface."""
    return max(
        (by_names(sample, needed) for needed in (_PAGE_NEEDED, _INTERFACE_NEEDED)), key=lambda e: e.score
    )


def _as_asterisk(fields: Fields) -> Fields:
    """Return the columns by the names of the interface, whichever file they came from."""
    raw = fields.raw
    return Fields(
        replace(raw, columns={PAGE.get(name, name): column for name, column in raw.columns.items()})
    )


def _bare(number: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the numbers that stand in brackets behind a name without them; others as they are."""
    rows = matches(number, _IN_BRACKETS)
    return pc.coalesce(group(number, _IN_BRACKETS, "number", rows), number) if bool(rows.any()) else number


def _direction(fields: Fields) -> pa.LargeStringArray:
    """Return what the device says, else where a trunk is on one side only."""
    said = map_distinct(fields["userfield"], lambda word: DIRECTIONS.get(status_word(word)))
    by_source, by_target = (np.asarray(fields[f"{side}_trunk_name"].is_valid()) for side in ("src", "dst"))
    code = np.where(by_source & ~by_target, 0, np.where(by_target & ~by_source, 1, -1))
    return pc.coalesce(said, pa.array(["inbound", "outbound"], TEXT).take(pa.array(code, mask=code < 0)))


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns of either file their meaning."""
    fields = _as_asterisk(fields)
    fields.prepare(fields.raw.columns)
    uniqueid, action, disposition = fields["uniqueid"], fields["action_type"], fields["disposition"]
    linked = pc.coalesce(fields["session"], uniqueid)
    talk = text_to_seconds(fields["billsec"])[0]
    talked = talk > 0
    by_menu = matches(action, _MENU)
    direction = _direction(fields)
    inbound = pc.fill_null(pc.equal(direction, "inbound"), fill_value=False)
    peer = peers(pc.if_else(inbound, fields["dstchannel"], fields["channel"]))
    caller, called = map(_bare, numbers(fields))
    word, beside, facts = _words(fields, talk, by_menu)
    return Record(
        started=fields["start"],
        # Beside no talk time the answer is the device's own, such as its "please wait".
        answered=with_missing(fields["answer"], ~talked),
        ended=fields["end"],
        total=fields["duration"],
        billable=fields["billsec"],
        leg_id=pc.coalesce(fields["AcctId"], uniqueid),
        call_key=pc.coalesce(own_uuid(fields), uniqueid),
        linked_id=linked,
        direction=direction,
        from_number=caller,
        to_number=called,
        sip_username=with_missing(peer, matches(peer, _TRUNK)),
        word=word,
        word_beside=beside,
        aside={"facts": pa.array(facts)},
        cause=disposition,
        epoch=epochs(uniqueid, pa.nulls(len(fields), TEXT)),
    )


def _words(
    fields: Fields, talk: NDArray[np.float64], by_menu: NDArray[np.bool_]
) -> tuple[pa.LargeStringArray, pa.LargeStringArray, NDArray[np.int8]]:
    """Return the dispositions, but where the leg's action says more; what they are beside certain other legs; and facts.

    A menu or queue without talk beside other legs of its call only passed it on. One that
    is alone says ANSWERED and shows no talk: nobody knows what became of that call. What
    talked, put nobody through, and stands beside the voicemail, led there.
    """
    word = fields["disposition"]
    answered = np.asarray(pc.fill_null(pc.equal(pc.utf8_upper(word), "ANSWERED"), fill_value=False))
    talked = talk > 0
    to_nobody = np.asarray(fields["dstchannel"].is_null())
    by_voicemail = answered & talked & matches(fields["action_type"], _VOICEMAIL)
    dialled = talked & matches(fields["action_type"], _DIAL)
    if fields.raw.problem is not None:
        dialled &= np.asarray(fields.raw.problem.is_null())
    facts = np.zeros(len(fields), np.int8)
    facts[by_voicemail] |= _VOICEMAIL_LEG
    facts[dialled] |= _DIALLED
    facts[by_menu & (to_nobody | ~talked)] |= _MENU_ALONE
    passed_on, led = answered & by_menu & (talk == 0), answered & by_menu & talked & to_nobody & ~by_voicemail
    facts[passed_on] |= _PASSED_ON
    facts[led] |= _LED
    nothing = pa.nulls(len(fields), TEXT)
    said, not_put_through = pa.scalar(LEFT_A_MESSAGE, TEXT), pa.scalar(NOT_PUT_THROUGH, TEXT)
    beside = pc.if_else(pa.array(passed_on), not_put_through, pc.if_else(pa.array(led), said, nothing))
    return pc.if_else(pa.array(by_voicemail), said, word), beside, facts


def settle(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """Say what became of menus and queues beside other legs of their call, and which of them are helpers.

    Those are helpers that only led to a leg of the same call in which somebody was dialled
    and talked. Not a queue's leg to an agent: that is the talk itself. None that lasted
    longer than the dialled leg: the call then went on in it, and its end would be lost.
    And none that began after one: whoever waits there has been talking, and is still on
    the line.
    """
    facts, linked = np.asarray(columns["~facts"]), columns["linked_id"]
    asks = bool((facts & (_PASSED_ON | _LED | _MENU_ALONE)).any())
    if linked is None or not asks:
        return {}
    call = first_occurrence(linked)
    n_legs = np.bincount(call, minlength=len(call))[call]
    n_messages = np.bincount(call[(facts & _VOICEMAIL_LEG) > 0], minlength=len(call))[call]
    beside = ((facts & _PASSED_ON) > 0) & (n_legs > 1) | ((facts & _LED) > 0) & (n_messages > 0)
    beside &= np.asarray(linked.is_valid())
    found: dict[str, Any] = {"is_helper": pa.array(_helpers(columns, facts, call))}
    if bool(beside.any()):
        names = ("is_answered", "status")
        found |= {name: pc.if_else(pa.array(beside), columns[f"~{name}"], columns[name]) for name in names}
    return found


def _helpers(
    columns: Mapping[str, Any], facts: NDArray[np.int8], call: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark the menus and queues that began no later and ended no later than the dialled legs of their call."""
    started, ended = (
        columns[name].cast(pa.timestamp("us")).view(pa.int64()) for name in ("started_at", "ended_at")
    )
    known = np.asarray(pc.and_(started.is_valid(), ended.is_valid()))
    start, end = (pc.fill_null(at, 0).to_numpy(zero_copy_only=False) for at in (started, ended))
    first, last = (np.full(len(call), edge) for edge in (np.iinfo(np.int64).max, np.iinfo(np.int64).min))
    rows = np.flatnonzero(known & ((facts & _DIALLED) > 0))
    np.minimum.at(first, call[rows], start[rows])
    np.maximum.at(last, call[rows], end[rows])
    leads = known & (start <= first[call]) & (end <= last[call])
    return np.asarray(leads & ((facts & _MENU_ALONE) > 0))


FORMATS: Final = (
    CdrFormat(
        name="grandstream",
        title="Grandstream UCM CDR export",
        names={column_key(name): name for name in (*PAGE, *INTERFACE, *_NEWER)},
        statuses={**STATUSES, NOT_PUT_THROUGH: "no_answer", LEFT_A_MESSAGE: "voicemail"},
        recognise=recognise,
        interpret=interpret,
        repairs=(quoted,),
        aliases=("grandstream-ucm", "ucm"),
        helpers_need_company=True,
        row_by_row=True,
        settle=settle,
    ),
)
