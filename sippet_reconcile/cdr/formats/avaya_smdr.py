"""Avaya IP Office SMDR: one row per segment of a call, with a header or as the system sends it over the network.

Sent are 17 fields by old releases, 30 by release 5 and later, up to 37 by release 11,
without a header, in this order; whoever collects them may write one. Times are local.
"Time values are rounded up to the nearest second": ``Connected Time`` leaves out ringing,
holding and parking. Whoever is held or parked has been answered and is still on the line: the
billable time adds both to it, and the whole time adds ``Ring Time`` too, for which the call
rang before the answer, in whole seconds or HH:MM:SS.

A call that is transferred, put in a conference or forwarded has several segments with one
``Call ID``; where ``Continuation`` is 1 there are more to come. Call ids begin anew at a
restart, so that a call is its id and its start, from one last segment to the next. Each
segment shows the start *of the call*: when a later one began is not told, so that its end
and whole time are missing. There is no status: what was never connected may have been
lost, busy or failed. The rules are those of "SMDR Fields" in Avaya's IP Office Manager manual.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile.cdr.families.judge import by_cells, by_names
from sippet_reconcile.cdr.families.texts import group, matches
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT, in_threads
from sippet_reconcile.cdr.times.stamps import is_date_like
from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

Mask: TypeAlias = "NDArray[np.bool_]"
Seconds: TypeAlias = "NDArray[np.float64]"

COLUMNS: Final = (
    "Call Start", "Connected Time", "Ring Time", "Caller", "Direction", "Called Number", "Dialled Number", "Account",
    "Is Internal", "Call ID", "Continuation", "Party1Device", "Party1Name", "Party2Device", "Party2Name", "Hold Time",
    "Park Time", "AuthValid", "AuthCode", "User Charged", "Call Charge", "Currency", "Amount at Last User Change",
    "Call Units", "Units at Last User Change", "Cost per Unit", "Mark Up", "External Targeting Cause",
    "External Targeter Id", "External Targeted Number", "Calling Party Server IP Address",
    "Unique Call ID for the Caller Extension", "Called Party Server IP Address",
    "Unique Call ID for the Called Extension", "SMDR Record Time", "Caller Consent Directive",
    "Calling Number Verification",
)  # fmt: skip
"""The fields in the order in which they are sent; each release added some at the end."""

UNIQUE: Final = "Unique Call ID"
"""One for both parties, which some collectors write."""

_OTHERWISE: Final = {
    "calldate": "Call Start",
    "callstarttime": "Call Start",
    "callduration": "Connected Time",
    "ringduration": "Ring Time",
    "dialednumber": "Dialled Number",
    "accountcode": "Account",
    "authorizationvalid": "AuthValid",
    "authorizationcode": "AuthCode",
}

_WIDTHS: Final = (30, 17, 31, 32, 33, 34, 35, 36, 37)
_NEEDED: Final = (
    "Connected Time",
    "Ring Time",
    "Caller",
    "Direction",
    "Is Internal",
    "Call ID",
    "Continuation",
)

STATUSES: Final = {"CONNECTED": "completed", "NOT_CONNECTED": "unknown"}
"""Our two words for rows that have none: whether a call was connected is all that is told."""

DIRECTIONS: Final = {"I": "inbound", "O": "outbound", "L": "internal"}

_AWAY: Final = ("Hold Time", "Park Time")
_PARTS: Final = ("Connected Time", "Ring Time", *_AWAY)
_DURATION: Final = re.compile(r"\d{1,6}:[0-5]\d:[0-5]\d")
_DURATION_OR_SECONDS: Final = re.compile(rf"\d{{1,6}}|{_DURATION.pattern}")
_EXTENSION: Final = r"^E(?:xtn)?(?P<number>\d+)$"
_DIVIDER: Final = pa.scalar(" ", TEXT)
_SLASH: Final = pa.scalar("/", TEXT)


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    widths = [len(row) for row in sample.rows if len(row) in _WIDTHS]
    usual = max(sorted(set(widths)), key=widths.count, default=_WIDTHS[0])
    return {width: COLUMNS[:width] for width in dict.fromkeys((usual, *_WIDTHS))}


def recognise(sample: Sample) -> Evidence:
    """Judge by the names, or by where dates, durations, the direction and the call's number stand."""
    named = by_names(sample, _NEEDED)
    if named.score > 0:
        return named

    def fits(row: Sequence[str]) -> bool:
        start, connected, ring, _, direction, _, _, _, internal, call, more = map(str.strip, row[:11])
        return (
            is_date_like(start)
            and _DURATION.fullmatch(connected) is not None
            and _DURATION_OR_SECONDS.fullmatch(ring) is not None
            and direction in DIRECTIONS
            and internal in {"0", "1"}
            and call.isdigit()
            and more in {"0", "1"}
        )

    where = "a date, two durations, a direction and a call id stand where SMDR has them"
    return by_cells(sample, _WIDTHS, fits, columns="17 or 30 to 37", what=where)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the fields of a segment their meaning, and each segment its call."""
    fields.prepare(COLUMNS)
    size = len(fields)
    call, leg, continued, is_open = _calls(fields)
    placed = ~continued & ~is_open
    connected = fields["Connected Time"]
    read = dict(zip(_PARTS, in_threads(text_to_seconds, [fields[name] for name in _PARTS]), strict=True))
    talk = read["Connected Time"][0]
    direction = _direction(fields)
    inbound = pc.fill_null(pc.equal(direction, "inbound"), fill_value=False)
    called, dialled = fields["Called Number"], fields["Dialled Number"]
    known = ~np.isnan(talk)
    word = pa.array(["NOT CONNECTED", "CONNECTED"], TEXT).take(
        pa.array((talk > 0).astype(np.int8), mask=~known)
    )
    total = _total(fields, read)
    away = sum((np.nan_to_num(read[name][0]) for name in _AWAY), np.zeros(size))
    held = known & (talk > 0) & (away > 0)
    device = fields["Party1Device"]
    return Record(
        started=fields["Call Start"],
        total=None if total is None else with_missing(total, ~placed),
        billable=pc.if_else(pa.array(held), _whole_seconds(talk + away), connected),
        ring=with_missing(fields["Ring Time"], ~placed),
        leg_id=leg,
        call_key=pc.coalesce(fields[UNIQUE], fields["Call ID"]),
        linked_id=call,
        direction=direction,
        from_number=fields["Caller"],
        # An outside caller dialled the number that came in, and reached the one that was called.
        to_number=pc.if_else(inbound, pc.coalesce(dialled, called), pc.coalesce(called, dialled)),
        sip_username=group(device, _EXTENSION, "number", matches(device, _EXTENSION)),
        word=word,
        is_helper=np.zeros(size, bool),
        derive_missing=True,
        notes=_notes(away, continued, is_open),
    )


def _direction(fields: Fields) -> pa.LargeStringArray:
    """Return the direction; whatever it is called, a call between two extensions is internal."""
    said = map_distinct(fields["Direction"], lambda word: DIRECTIONS.get(status_word(word)))
    is_internal = pc.fill_null(pc.equal(fields["Is Internal"], "1"), fill_value=False)
    return pc.if_else(is_internal, pa.scalar("internal", TEXT), said)


def _calls(
    fields: Fields,
) -> tuple[pa.LargeStringArray, pa.LargeStringArray, Mask, Mask]:
    """Return the call of each row and the row's own key; which rows repeat their call's start, and which calls go on.

    The rows with one id are those of one call up to the first that is the last of it; what
    follows with that id is another call, after a restart. Of a call that goes on, the last
    segment is missing here.
    """
    unique, own, start = fields[UNIQUE], fields["Call ID"], fields["Call Start"]
    ids = pc.coalesce(unique, own)
    size = len(ids)
    first = first_occurrence(ids)
    order = np.argsort(first, kind="stable")
    is_last = ~np.asarray(pc.fill_null(pc.equal(fields["Continuation"], "1"), fill_value=False))[order]
    begins = np.ones(size, bool)
    begins[1:] = (np.diff(first[order]) != 0) | is_last[:-1]
    heads = np.maximum.accumulate(np.where(begins, np.arange(size), 0))
    head, place = np.empty(size, np.int64), np.empty(size, np.int64)
    head[order], place[order] = order[heads], np.arange(size) - heads
    at = pa.array(head)
    dated = pc.binary_join_element_wise(ids, start.take(at), _DIVIDER)
    # What is unique needs no date, unless it was used again.
    is_own = np.asarray(unique.is_valid()) & (head == first)
    call = pc.if_else(pa.array(is_own), ids, pc.coalesce(dated, ids))
    leg = pc.binary_join_element_wise(call, pa.array(place + 1).cast(TEXT), _SLASH)
    repeats = np.asarray(pc.fill_null(pc.equal(start, start.take(at)), fill_value=False))
    ends = np.append(begins, True)[1 : size + 1]
    is_open = np.empty(size, bool)
    is_open[order] = ~is_last[np.flatnonzero(ends)][np.cumsum(begins) - 1]
    return call, leg, repeats & (place > 0), is_open


def _total(fields: Fields, read: Mapping[str, tuple[Seconds, Mask]]) -> pa.LargeStringArray | None:
    """Return ringing, talking, holding and parking together; None where the export leaves one of them out.

    What is no duration stands for the sum, so that the row says so.
    """
    if any(name not in fields for name in _PARTS):
        return None
    total = np.zeros(len(fields))
    odd = pa.nulls(len(fields), TEXT)
    for name in _PARTS:
        column = fields[name]
        seconds, unreadable = read[name]
        missing = np.asarray(column.is_null())
        total += np.where(missing & (name in _AWAY), 0.0, seconds)
        odd = pc.coalesce(odd, with_missing(column, ~unreadable))
    return pc.coalesce(odd, _whole_seconds(total))


def _whole_seconds(seconds: Seconds) -> pa.LargeStringArray:
    """Return whole seconds as text; missing where they are not known."""
    known = ~np.isnan(seconds)
    return pa.array(np.where(known, seconds, 0).astype(np.int64), mask=~known).cast(TEXT)


def _notes(away: Seconds, continued: Mask, is_open: Mask) -> tuple[str, ...]:
    """Say what the rows leave out."""
    notes = []
    if bool(is_open.any()):
        notes.append(
            f"{plural(int(is_open.sum()), 'row')} of calls that go on, but not in this file: their end is not told"
        )
    if bool(continued.any()):
        rows = plural(int(continued.sum()), "row")
        notes.append(f"{rows} later segments of a call: when they began and ended is not told")
    held = int(np.count_nonzero(away > 0))
    if held:
        notes.append(
            f"{plural(held, 'row')} were held or parked: that time counts as billable, beside the connected time"
        )
    return tuple(notes)


FORMATS: Final = (
    CdrFormat(
        name="avaya-smdr",
        title="Avaya IP Office SMDR",
        names={**_OTHERWISE, **{column_key(name): name for name in (*COLUMNS, UNIQUE)}},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        aliases=("smdr", "ip-office"),
    ),
)
