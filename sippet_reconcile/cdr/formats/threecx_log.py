"""3CX call log reports as CSV: names, one row per stop of a call, a line of totals.

Titles may stand above the names. Times are local, without a zone; H:MM:SS of ringing and
of talking add up to the total, and talking is the billable time. Newer reports name
parties ``From`` and ``To``, have a ``Direction`` and a ``Call ID`` that all stops of a
call share; others have no id at all. Of those, the stops of one call from outside are
known by the caller, the number dialled, and that each begins before or when another one
ends; where they may as well be of several calls, they are no use. ``Redirected`` is no
outcome: the call goes on in another row, so that such a row is a helper unless somebody
talked in it, or nothing else of the call was going on while it rang.

What calls from outside were made to is the ``Did``; where they were put through to stands
in ``Destination``, its extension in brackets, and is taken where no other number is there.

The rules are those of 3CX's reports ("Call Reports", V18 and V20) and what they show.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.texts import matches
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.cdr.times.stamps import read_stamps
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields
    from sippet_reconcile.cdr.times.stamps import Stamps

__all__ = ["FORMATS"]

Seconds: TypeAlias = "NDArray[np.float64]"

COLUMNS: Final = (
    "Call Time", "Caller ID", "Destination", "Trunk", "Trunk number", "Did", "Status", "Ringing", "Talking",
    "Total Duration", "Call Type", "Sentiment", "Summary", "Transcription",
)  # fmt: skip
"""The columns of a V20 report."""

OTHERS: Final = ("Call ID", "From", "To", "Direction", "Cost", "Reason", "Call Activity Details")
"""What other reports of 3CX have besides, or instead."""

STATUSES: Final = {"ANSWERED": "completed", "UNANSWERED": "no_answer", "REDIRECTED": "unknown"}

DIRECTIONS: Final = {
    "INBOUND": "inbound",
    "INBOUND_QUEUE": "inbound",
    "OUTBOUND": "outbound",
    "INTERNAL": "internal",
}

_NEEDED: Final = ("Call Time", "Status", "Ringing", "Talking")
_PARTIES: Final = (("Caller ID", "Destination"), ("From", "To"))
_TITLES: Final = 30  # lines in which the names are looked for

_REDIRECTED: Final = r"(?i)^redirected$"
_IN_BRACKETS: Final = r"\((?P<number>[+*#]?\d[\d *#-]*)\)$"
_UUID: Final = r"^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_MICROS: Final = 1_000_000
_TOUCH: Final = _MICROS  # a stop that begins so soon after another one ended is the same call's
_MINUTE: Final = 60 * _MICROS  # so late a time without seconds may be
_PAUSE: Final = 3_600 * _MICROS  # an id that is there again later than this was given to another call
_IN_DOUBT: Final = (
    "it may be of one of several calls from the same number, and the report has no ids that tell them apart; "
    "export one with a Call ID, or the CDR"
)
_LONG_AGO: Final = np.iinfo(np.int64).min // 2
_ROUNDED: Final = 2 * _MICROS  # whole seconds may be off by so much


def recognise(sample: Sample) -> Evidence:
    """Judge by the names, which may have titles above them."""
    for row in sample.rows[:_TITLES]:
        names = {column_key(cell) for cell in row}
        if not all(column_key(name) in names for name in _NEEDED):
            continue
        for parties in _PARTIES:
            if all(column_key(name) in names for name in parties):
                return Evidence(1.0, (f"names {', '.join((*_NEEDED, *parties))}",))
    return Evidence(0.0, (f"no line names {', '.join(_NEEDED)} and the parties",))


def _not_records(fields: Fields) -> NDArray[np.bool_]:
    """Mark rows in which nothing stands: a report may end with one."""
    empty = np.asarray(fields["Call Time"].is_null())
    if fields.raw.problem is not None:
        empty = empty & np.asarray(fields.raw.problem.is_null())
    for name in fields.raw.columns:
        if not bool(empty.any()):
            break
        empty = empty & np.asarray(fields[name].is_null())
    return empty


def interpret(fields: Fields, options: Options) -> Record:
    """Give the columns of a report their meaning."""
    fields.prepare(COLUMNS[:11])
    started, status, did = fields["Call Time"], fields["Status"], fields["Did"]
    caller, called = (pc.coalesce(fields[old], fields[new]) for old, new in zip(*_PARTIES, strict=True))
    from_number, to_number = _number(caller), _number(called)
    talking, _ = text_to_seconds(fields["Talking"])
    if "Total Duration" in fields:
        total = fields["Total Duration"]
    else:
        total = pa.array(text_to_seconds(fields["Ringing"])[0] + talking, from_pandas=True).cast(TEXT)
    from_outside = np.asarray(did.is_valid())
    call_id, problem = fields["Call ID"], None
    stamps, seconds = read_stamps(started, dayfirst=options.dayfirst), text_to_seconds(total)[0]
    if "Call ID" in fields:
        linked = _by_id(fields, stamps, seconds)
    else:
        linked, in_doubt = _put_together(fields, from_outside, talking, seconds, stamps)
        problem = with_missing(_repeat(_IN_DOUBT, len(fields)), ~in_doubt)
    told = map_distinct(
        pc.coalesce(fields["Direction"], fields["Call Type"]), lambda word: DIRECTIONS.get(status_word(word))
    )
    from_extension = np.asarray(pc.fill_null(pc.match_substring(caller, "("), fill_value=False))
    if bool(from_extension.any()):
        from_extension = matches(caller, _IN_BRACKETS) & ~matches(from_number, r"\d{7}")
    by_trunk = np.asarray(fields["Trunk"].is_valid()) | np.asarray(fields["Trunk number"].is_valid())
    redirected = matches(status, _REDIRECTED)
    return Record(
        started=started,
        total=total,
        billable=fields["Talking"],
        call_key=with_missing(call_id, ~matches(call_id, _UUID)),
        linked_id=linked,
        direction=pc.coalesce(told, with_missing(_repeat("inbound", len(fields)), ~from_outside)),
        from_number=from_number,
        to_number=pc.coalesce(did, to_number),
        sip_username=with_missing(from_number, ~from_extension | from_outside),
        word=status,
        cause=status,
        calls_out=from_extension & ~from_outside & by_trunk & np.asarray(told.is_null()),
        # Talk that nothing is put together with is a part of a call, and nobody can tell how large a part.
        is_helper=redirected
        & (~(talking > 0) & _is_beside(linked, stamps, seconds, redirected) | np.asarray(linked.is_null())),
        problem=problem,
        derive_missing=True,
    )


def _repeat(word: str, size: int) -> pa.LargeStringArray:
    return pa.repeat(pa.scalar(word, TEXT), size)


def _number(party: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the number of a party: what stands in brackets behind a name, or what there is."""
    bracketed = pc.fill_null(pc.match_substring(party, "("), fill_value=False)
    if not pc.any(bracketed, min_count=0).as_py():
        return party
    # Queues, menus and desks are few, and named again and again.
    return pc.replace_with_mask(party, bracketed, map_distinct(party.filter(bracketed), _in_brackets))


def _in_brackets(name: str) -> str:
    found = re.search(_IN_BRACKETS, name, re.ASCII)
    return name if found is None else found["number"]


# ---------------------------------------------------------------- which rows are one call


@dataclass(frozen=True, eq=False)
class _Stops:
    """Some rows in the order of who called whom, then of time; instants and seconds in microseconds.

    `is_first` marks where a call may begin: whoever called before had left by then.
    """

    rows: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]
    is_first: NDArray[np.bool_]

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], names: pa.LargeStringArray, stamps: Stamps, total: Seconds, touch: int
    ) -> _Stops:
        """Sort rows by what names their call; one that begins up to `touch` after all before it ended may be the same call's."""
        parties = np.asarray(names.take(pa.array(rows)).dictionary_encode().indices)
        begin = stamps.micros[rows]
        end = begin + (total[rows] * _MICROS).astype(np.int64) + stamps.coarse[rows] * _MINUTE
        order = np.lexsort((end, begin, parties))
        rows, parties, begin, end = (values[order] for values in (rows, parties, begin, end))
        is_first = np.diff(parties, prepend=-1) != 0
        is_first |= begin > _latest_before(end, is_first) + touch
        return cls(rows, begin, end, is_first)

    @property
    def call(self) -> NDArray[np.int64]:
        """The number of the call of each row, counted from 0."""
        return np.cumsum(self.is_first) - 1

    def ids(self, names: pa.LargeStringArray, times: pa.LargeStringArray) -> pa.LargeStringArray:
        """Return for each of these rows what names its call, and the first time of it."""
        first = pa.array(self.rows[self.is_first][self.call])
        return pc.binary_join_element_wise(names.take(first), times.take(first), pa.scalar("/", TEXT))


def _by_id(fields: Fields, stamps: Stamps, total: Seconds) -> pa.LargeStringArray:
    """Return what links the stops of a call; short ids are counted anew after a restart, so the day belongs to them.

    It is the day on which the call began: it may last beyond midnight.
    """
    call_id = fields["Call ID"]
    short = ~matches(call_id, r"^.{16,}$")
    days = pc.utf8_slice_codeunits(fields["Call Time"], 0, 10)
    linked = pc.if_else(
        pa.array(short), pc.binary_join_element_wise(call_id, days, pa.scalar("/", TEXT)), call_id
    )
    rows = np.flatnonzero(short & np.asarray(call_id.is_valid()) & stamps.known & ~np.isnan(total))
    stops = _Stops.of(rows, call_id, stamps, total, _PAUSE)
    return _placed(linked, stops.rows, stops.ids(call_id, days))


def _placed(
    column: pa.LargeStringArray, rows: NDArray[np.int64], values: pa.LargeStringArray
) -> pa.LargeStringArray:
    """Return a column with other values in some of its rows."""
    mask = np.zeros(len(column), bool)
    mask[rows] = True
    return pc.replace_with_mask(column, pa.array(mask), values.take(pa.array(np.argsort(rows))))


def _is_beside(
    linked: pa.LargeStringArray, stamps: Stamps, total: Seconds, redirected: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mark the rows that lie within the time which the other stops of their call take up without those redirected."""
    call = pc.fill_null(linked.dictionary_encode().indices, -1).to_numpy(zero_copy_only=False)
    begin = stamps.micros
    end = begin + (np.nan_to_num(total) * _MICROS).astype(np.int64)
    first, last = np.full(len(call) + 1, -_LONG_AGO), np.full(len(call) + 1, _LONG_AGO)
    others = ~redirected & stamps.known
    np.minimum.at(first, call[others], begin[others])
    np.maximum.at(last, call[others], end[others])
    return (begin >= first[call]) & (end <= last[call] + _ROUNDED)


def _put_together(
    fields: Fields, from_outside: NDArray[np.bool_], talking: Seconds, total: Seconds, stamps: Stamps
) -> tuple[pa.LargeStringArray, NDArray[np.bool_]]:
    """Link the stops of calls from outside that have no id, and mark those that may be of several calls.

    One caller is at one stop after the other. It may be several calls, one after or
    beside the other, where somebody talks while another stop of the same numbers talks;
    where a stop without talk outlasts the talk in which it began; where another stop
    follows one that was not answered, since nobody was on the line then; where the stop
    at which calls come in is there again; where times have no seconds or a stop has no
    length that can be read. Where the last stop was redirected, the call went on
    elsewhere. Neither the stops nor what they add up to can then be held against one call.
    """
    caller = pc.coalesce(fields["Caller ID"], fields["From"])
    names = pc.binary_join_element_wise(caller, fields["Did"], pa.scalar("/", TEXT))
    sure = from_outside & np.asarray(names.is_valid()) & stamps.known
    # Nobody knows what belongs to a stop of unknown length.
    endless, total = np.isnan(total), np.nan_to_num(total, nan=_PAUSE / _MICROS)
    codes, _ = pd.factorize(fields.raw.record_hash)
    is_again = pd.Series(codes).duplicated().to_numpy()  # what was sent twice is no second call
    rows = np.flatnonzero(sure & ~is_again & matches(caller, r"\d{5}"))
    linked, in_doubt = pa.nulls(len(fields), TEXT), np.zeros(len(fields), bool)
    if len(rows) == 0:
        return linked, in_doubt
    touch = _TOUCH + bool(stamps.coarse[rows].any()) * _MINUTE
    stops = _Stops.of(rows, names, stamps, total, touch)
    rows, begin, end, is_first, call = stops.rows, stops.begin, stops.end, stops.is_first, stops.call
    talk = (np.nan_to_num(talking[rows]) * _MICROS).astype(np.int64)
    talked_until = _latest_before(np.where(talk > 0, end, _LONG_AGO), is_first)
    doubtful = np.where(
        talk > 0,
        end - talk < talked_until - _ROUNDED,
        (begin < talked_until - _TOUCH) & (end > talked_until + _ROUNDED),
    )
    gave_up = matches(fields["Status"], r"(?i)^unanswered$")[rows]
    doubtful |= ~is_first & (begin > _latest_before(np.where(gave_up, _LONG_AGO, end), is_first) + _TOUCH)
    place = pc.coalesce(fields["Destination"], fields["To"]).take(pa.array(rows)).dictionary_encode()
    where = pc.fill_null(place.indices, -1).to_numpy(zero_copy_only=False)
    doubtful |= ~is_first & (where >= 0) & (where == where[is_first][call])
    doubtful |= (~is_first & stamps.coarse[rows]) | endless[rows]
    redirected = matches(fields["Status"], _REDIRECTED)[rows]
    latest = np.full(len(rows), _LONG_AGO)
    np.maximum.at(latest, call[~redirected], end[~redirected])
    doubtful |= redirected & (end > latest[call] + _ROUNDED)
    several = (np.bincount(call) > 1)[call]
    asks = (np.bincount(call, weights=doubtful) > 0)[call]
    in_doubt[rows[several & asks]] = True
    together = several & ~asks
    linked = _placed(linked, rows[together], stops.ids(names, fields["Call Time"]).filter(pa.array(together)))
    original = np.flatnonzero(~is_again)[codes]
    return linked.take(pa.array(original)), in_doubt[original]


def _latest_before(values: NDArray[np.int64], is_first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for each row the largest value before it since the last row that `is_first`; long ago where there is none.

    Examples
    --------
    >>> is_first = np.array([True, False, False, True, False])
    >>> _latest_before(np.array([5, 3, 9, 1, 2]), is_first)[[1, 2, 4]].tolist()
    [5, 5, 1]
    """
    distinct, rank = np.unique(values, return_inverse=True)
    # The ranks of a section all lie above those of the section before it, so one running maximum does for all.
    base = np.cumsum(is_first) * len(distinct)
    highest = np.maximum.accumulate(base + rank)
    before = np.concatenate([[0], highest[:-1]]) - base
    return np.where(is_first, _LONG_AGO, distinct[np.maximum(before, 0)])


FORMATS: Final = (
    CdrFormat(
        name="3cx-log",
        title="3CX call log report",
        names={column_key(name): name for name in (*COLUMNS, *OTHERS)},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        not_records=_not_records,
        aliases=("threecx-log", "3cx-call-log"),
    ),
)
