"""Turn what a format found into legs: typed, in UTC, with a status and every reason why a row is no use.

Input is a format's `Record` of text columns and where the rows came from, output is
an Arrow table with the columns of `LEGS`, then ``is_helper``, ``is_coarse`` and the kept columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import mask_digits
from sippet_reconcile.cdr.direction import directions
from sippet_reconcile.cdr.evidence import Told
from sippet_reconcile.cdr.spec import ASIDE, CdrFormat, Options, Record, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT, Fields, flags, in_threads, repeated
from sippet_reconcile.cdr.times.clock import Clock, Timeline, check_zone, find_clock, timeline
from sippet_reconcile.cdr.times.date_order import read_with_votes
from sippet_reconcile.cdr.times.stamps import Stamps, read_stamps
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing
from sippet_reconcile.phones import e164_array
from sippet_reconcile.schema import LEG_STATUSES, LEGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["Origin", "build_legs", "check_kept", "legs_table"]

Mask: TypeAlias = "NDArray[np.bool_]"
Seconds: TypeAlias = "NDArray[np.float64]"

_SHOWN: Final = 40
_CODE: Final = {status: place for place, status in enumerate(LEG_STATUSES)}
_UNANSWERED_CODES: Final = tuple(_CODE[s] for s in ("busy", "no_answer", "missed", "canceled", "failed"))
MICROS: Final = 1_000_000
_MINUTE: Final = 60 * MICROS
_LONGEST: Final = (
    10 * 366 * 86_400
)  # seconds: more are an instant, or the distance to a time that was never set
_ROUNDED: Final = 60  # seconds
_FAR_OFF: Final = 100  # times
_PUT_BACK: Final = (3600 + _ROUNDED) * MICROS
_CUT: Final = MICROS  # one column may be cut to the second and another one not


@dataclass(frozen=True)
class Origin:
    """Where rows came from: the file's name, its hash, and the line of the first record for messages."""

    name: str
    sha256: str


@dataclass(frozen=True, eq=False)
class _Times:
    """The times and seconds of all rows, read but not yet judged."""

    started: Stamps
    answered: Stamps
    ended: Stamps
    total: Seconds
    billable: Seconds
    clock: Clock
    line: Timeline
    bad_total: Mask
    bad_billable: Mask
    told: Told


def build_legs(
    fields: Fields, record: Record, format_: CdrFormat, options: Options
) -> tuple[dict[str, Any], Clock, Told]:
    """Return the columns of one file's legs, the clock that its times were read by, and what tells it.

    A column without any value is None; where the rows came from is added by
    `legs_table`, once for all pieces of a file.

    Raises
    ------
    InputError
        If the times are local and neither the caller nor the file says where.
    CdrFormatError
        If the caller's zone contradicts the file, dates can be read two ways, or a
        column to keep does not exist.
    """
    size = len(fields)
    times = _read_times(fields, record, options)
    statuses = {**format_.statuses, **options.status_map}
    broken = None if fields.raw.problem is None else np.asarray(fields.raw.problem.is_valid())
    answered, status = _outcome(record, times, statuses, broken)
    billable = times.billable
    unanswered = flags(pc.fill_null(pc.invert(answered), fill_value=False))
    billable = np.where(unanswered & np.isnan(billable) & ~times.bad_billable, 0.0, billable)
    total, billable, line = _derived(record, times, billable)
    from_e164, to_e164 = in_threads(
        lambda array: e164_array(array, country=options.country, strip_prefixes=options.strip_prefixes),
        [
            _or_missing(record.from_number if record.from_whole is None else record.from_whole, size),
            _or_missing(record.to_number if record.to_whole is None else record.to_whole, size),
        ],
    )
    from_forms = _or_missing(record.from_number, size), from_e164
    to_forms = _or_missing(record.to_number, size), to_e164
    problem = _problems(fields, record, times, line)
    columns: dict[str, Any] = {
        "source_row": pa.array(fields.raw.rows),
        "record_hash": pa.array(fields.raw.record_hash.view(np.int64)),
        "problem": problem,
        "time_problem": _time_problems(times),
        "leg_id": record.leg_id,
        "call_key": record.call_key,
        "linked_id": record.linked_id,
        "direction": directions(record, from_forms, to_forms, options),
        "from_number": record.from_number,
        "to_number": record.to_number,
        "from_e164": from_e164,
        "to_e164": to_e164,
        "sip_username": record.sip_username,
        "started_at": _instants(line.started, line.has_start),
        "answered_at": _instants(line.answered, line.has_answer & ~unanswered),
        "ended_at": _instants(line.ended, line.has_end),
        "total_s": pa.array(total, from_pandas=True),
        "billable_s": pa.array(billable, from_pandas=True),
        "is_answered": answered,
        "status": status,
        "cause": record.cause,
        "is_helper": pa.array(np.zeros(size, bool) if record.is_helper is None else record.is_helper),
        "is_coarse": pa.array(times.started.coarse | times.answered.coarse | times.ended.coarse),
    }
    columns |= {ASIDE + name: column for name, column in record.aside.items()}
    if record.word_beside is not None:
        beside = replace(record, word=pc.coalesce(record.word_beside, _or_missing(record.word, size)))
        answered, status = _outcome(beside, times, statuses, broken)
        columns |= {f"{ASIDE}is_answered": answered, f"{ASIDE}status": status}
    for name in options.keep:
        columns[f"x_{name}"] = _kept(fields, name, format_, options)
    return columns, times.clock, times.told


def legs_table(columns: Mapping[str, Any], format_: CdrFormat, origin: Origin) -> pa.Table:
    """Return the columns as a table in the order of `LEGS`, with where they came from."""
    size = len(columns["source_row"])
    constants = {"source_file": origin.name, "source_sha256": origin.sha256, "format": format_.name}
    names = [*LEGS.names, *(name for name in columns if name not in LEGS.names)]
    # Only text columns may be without any value.
    arrays = [
        repeated(constants.get(name), size) if columns.get(name) is None else columns[name] for name in names
    ]
    return pa.table(arrays, names=names)


def _or_missing(array: pa.LargeStringArray | None, size: int) -> pa.LargeStringArray:
    return pa.nulls(size, TEXT) if array is None else array


def _instants(micros: NDArray[np.int64], known: Mask) -> pa.Array:
    mask = None if bool(known.all()) else ~known
    return pa.array(micros, mask=mask).view(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC"))


def _kept(fields: Fields, name: str, format_: CdrFormat, options: Options) -> pa.LargeStringArray | None:
    """Return a column by the name that it has here, or by the title that the export gives it."""
    known_as = format_.names.get(column_key(name), name)
    if name not in fields and known_as in fields:
        return fields[known_as]
    if name in fields:
        return fields[name]
    if not options.in_pieces:
        check_kept(fields.raw.columns, format_, options)
    return None  # another piece may have it


def check_kept(columns: Iterable[str], format_: CdrFormat, options: Options) -> None:
    """Refuse to keep a column that no row has.

    Raises
    ------
    CdrFormatError
        With the columns that there are.
    """
    known = list(columns)
    for name in options.keep:
        if name not in known and format_.names.get(column_key(name), name) not in known:
            msg = f"{options.where}: there is no column {name!r} to keep; its columns are {', '.join(known)}"
            raise CdrFormatError(msg)


# ---------------------------------------------------------------- times


def _read_times(fields: Fields, record: Record, options: Options) -> _Times:
    size = len(fields)
    texts = [_or_missing(c, size) for c in (record.started, record.answered, record.ended)]
    columns, votes = read_with_votes(texts, record.epoch, fields, options)
    started, answered, ended = columns
    (total, bad_total), (billable, bad_billable) = in_threads(
        text_to_seconds, [_or_missing(record.total, size), _or_missing(record.billable, size)]
    )
    epoch = record.epoch
    if fields.raw.problem is not None and options.zone is None and epoch is None:
        columns = _without_zoneless_rests(columns, np.asarray(fields.raw.problem.is_valid()))
        started, answered, ended = columns
    if record.shown is not None and options.zone is not None:
        check_zone(options.zone, read_stamps(record.shown), started, options.where)
    told = Told.of(started, [answered, ended], epoch, votes)
    clock = options.clock or find_clock(options.zone, started, [answered, ended], epoch, options.where)
    line = timeline(clock, started, answered, ended, total=total, billable=billable, epoch=epoch)
    return _Times(started, answered, ended, total, billable, clock, line, bad_total, bad_billable, told)


def _without_zoneless_rests(columns: list[Stamps], broken: Mask) -> list[Stamps]:
    """Drop the local times of broken rows where no whole row has one: an offset that was cut off asks for no zone."""
    if any(bool((column.known & ~column.is_utc & ~broken).any()) for column in columns):
        return columns
    return [replace(column, known=column.known & column.is_utc) for column in columns]


def _derived(record: Record, times: _Times, billable: Seconds) -> tuple[Seconds, Seconds, Timeline]:
    """Fill what a table leaves out and its other columns imply; only for tables that ask for it.

    A time printed without seconds implies nothing: it may be up to a minute off.
    """
    line, total = times.line, times.total
    if not record.derive_missing:
        return total, billable, line
    ended, has_end, answered, has_answer = line.ended, line.has_end, line.answered, line.has_answer
    if record.ended is None:
        by_total = line.has_start & ~times.started.coarse & ~np.isnan(total)
        by_talk = has_answer & ~times.answered.coarse & ~np.isnan(billable) & ~by_total
        ended = np.where(
            by_total, line.started + _micros(total), np.where(by_talk, answered + _micros(billable), 0)
        )
        has_end = by_total | by_talk
    if record.ring is not None:
        ring = text_to_seconds(record.ring)[0]
        has_answer = line.has_start & ~times.started.coarse & (billable > 0) & ~np.isnan(ring)
        answered = np.where(has_answer, line.started + _micros(ring), 0)
    elif record.answered is None:
        by_end = has_end & ~times.ended.coarse
        has_answer = by_end & (billable > 0) & (record.ended is not None or record.total is not None)
        answered = np.where(has_answer, ended - _micros(billable), 0)
    if record.total is None:
        exact = line.has_start & has_end & ~times.started.coarse & ~times.ended.coarse
        total = np.where(exact, (ended - line.started) / MICROS, np.nan)
    if record.billable is None and record.answered is not None:
        exact = has_answer & has_end & ~times.answered.coarse & ~times.ended.coarse
        billable = np.where(exact, (ended - answered) / MICROS, billable)
    filled = Timeline(line.started, answered, ended, line.has_start, has_answer, has_end, line.doubts)
    return total, billable, filled


def _micros(seconds: Seconds) -> NDArray[np.int64]:
    return np.nan_to_num(np.round(np.minimum(seconds, _LONGEST) * MICROS)).astype(np.int64)


def _time_problems(times: _Times) -> pa.LargeStringArray | None:
    if not times.line.doubts:
        return None
    words: NDArray[Any] = np.full(len(times.started.known), None, dtype=object)
    for row, text in times.line.doubts.items():
        words[row] = text
    return pa.array(words, TEXT)


# ---------------------------------------------------------------- answered, status


def _outcome(
    record: Record, times: _Times, statuses: dict[str, str], broken: Mask | None
) -> tuple[pa.BooleanArray, pa.LargeStringArray]:
    """Return who talked and what the outcome was; what is absent from a broken row tells nothing."""
    answered, status = _answered_and_status(record, times, statuses, len(times.started.known))
    if broken is not None:
        # What a broken row still holds stays as it stood.
        silent = pa.array(broken & ~np.asarray(pc.fill_null(answered, fill_value=False)))
        answered = pc.if_else(silent, pa.scalar(None, pa.bool_()), answered)
    return answered, status


def _answered_and_status(
    record: Record, times: _Times, statuses: dict[str, str], size: int
) -> tuple[pa.BooleanArray, pa.LargeStringArray]:
    """Decide who talked, by answer time or seconds, and what the outcome was."""
    codes = _status_codes(record.word, statuses, size)
    talked = times.billable > 0
    picked_up = times.answered.known
    by_word = (codes == _CODE["completed"]) | (codes == _CODE["voicemail"])
    in_progress = codes == _CODE["in_progress"]
    undecided = (in_progress | times.answered.unreadable) & ~talked & ~picked_up
    if record.answered is not None:
        answered = picked_up | talked
        if record.zero_decides:
            answered &= talked | (times.billable != 0) | ~np.isin(codes, _UNANSWERED_CODES)
    elif record.billable is not None:
        answered = talked | by_word
    else:
        answered = by_word
    overruled = (talked | (answered & record.answer_decides)) & ~by_word & ~in_progress
    codes[by_word & ~answered] = _CODE["unknown"]
    if record.answered is None or record.billable is not None:
        # Blank seconds and no word that is known: nobody can say that it was not answered.
        # Only an answer time that stands for both columns says so by being absent.
        undecided |= ~answered & np.isnan(times.billable) & (codes == _CODE["unknown"])
    codes[overruled] = _CODE["completed"]
    status = pa.array(LEG_STATUSES, TEXT).take(pa.array(codes))
    return pa.array(answered, mask=undecided if bool(undecided.any()) else None), status


def _status_codes(word: pa.LargeStringArray | None, statuses: dict[str, str], size: int) -> NDArray[np.int8]:
    """Return the place in `LEG_STATUSES` of what each row's word says; each distinct word is looked up once."""
    if word is None:
        return np.full(size, _CODE["unknown"], np.int8)
    encoded = word.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    said = [_CODE[statuses.get(status_word(text), "unknown")] for text in words]
    # A missing word has no place in the dictionary: it takes the last one.
    places = pc.fill_null(encoded.indices, len(words))
    return np.array([*said, _CODE["unknown"]], np.int8).take(np.asarray(places))


# ---------------------------------------------------------------- problems


def _problems(fields: Fields, record: Record, times: _Times, line: Timeline) -> pa.LargeStringArray | None:
    """Say why a row cannot be used; missing where it can. A broken row says only that."""
    broken = fields.raw.problem
    whole = np.ones(len(fields), bool) if broken is None else np.asarray(broken.is_null())
    reasons: list[pa.LargeStringArray] = [] if broken is None else [broken]
    started, answered, ended = times.started, times.answered, times.ended

    def add(mask: Mask, words: str, seen: pa.LargeStringArray | None = None) -> None:
        mask = mask & whole
        if not bool(mask.any()):
            return
        if seen is None:
            reasons.append(pc.if_else(pa.array(mask), pa.scalar(words, TEXT), pa.scalar(None, TEXT)))
            return
        chosen = seen.filter(pa.array(mask))
        told = map_distinct(chosen, lambda value: words.format(mask_digits(value[:_SHOWN])))
        reasons.append(pc.replace_with_mask(pa.nulls(len(mask), TEXT), pa.array(mask), told))

    add(started.unreadable, "start '{}' is not a date and time", record.started)
    if record.start_required:
        add(~started.known & ~started.unreadable, "there is no start time")
    else:
        has_key = (
            np.zeros(len(whole), bool) if record.call_key is None else np.asarray(record.call_key.is_valid())
        )
        add(~started.known & ~started.unreadable & ~has_key, "there is neither a start time nor an id")
    add(answered.unreadable, "answer '{}' is not a date and time", record.answered)
    add(ended.unreadable, "end '{}' is not a date and time", record.ended)
    add(times.bad_total, "total seconds '{}' are no number", record.total)
    add(times.bad_billable, "billable seconds '{}' are no number", record.billable)
    add(times.total < 0, "total seconds '{}' are negative", record.total)
    add(times.billable < 0, "billable seconds '{}' are negative", record.billable)
    add(times.total > _LONGEST, "total seconds '{}' are more than ten years", record.total)
    add(times.billable > _LONGEST, "billable seconds '{}' are more than ten years", record.billable)
    # Up to a minute may be how the seconds were rounded for the bill.
    beyond = (times.total >= 0) & (times.billable > times.total + _ROUNDED) & (times.billable <= _LONGEST)
    add(beyond, "billable seconds '{}' are more than the whole call lasted", record.billable)
    # An end without seconds stands for its whole minute.
    latest = np.where(ended.coarse, line.ended + _MINUTE, line.ended)
    backwards = line.has_start & line.has_end & (latest < line.started)
    add(backwards, "it ends before it starts")
    # Milliseconds taken for seconds: a sheer mistake of columns, not how an export rounds. The clock may be put back.
    span = np.maximum(latest - line.started, 0)
    within = _FAR_OFF * span + np.where(ended.is_utc & started.is_utc, _ROUNDED * MICROS, _PUT_BACK)
    has_span = line.has_start & times.line.has_end & ~backwards & ~beyond & (times.billable <= _LONGEST)
    far_off = has_span & (np.nan_to_num(times.billable) * MICROS > within)
    add(far_off, "billable seconds '{}' are far more than passed from start to end", record.billable)
    # Only an answer time that was delivered: one that was worked out may lie early by rounded seconds.
    at, has_answer = times.line.answered, times.line.has_answer & ~backwards
    latest_answer = np.where(answered.coarse, at + _MINUTE, at)
    add(
        line.has_start & has_answer & (latest_answer < line.started - _CUT), "it is answered before it starts"
    )
    add(line.has_end & has_answer & (at > latest + _CUT), "it is answered after it ends")
    if record.problem is not None and record.problem.null_count < len(record.problem):
        reasons.append(with_missing(record.problem, ~whole))
    if not reasons:
        return None
    return reduce(_joined, reasons)


def _joined(left: pa.LargeStringArray, right: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return both reasons where there are two, else the one there is."""
    both = pc.binary_join_element_wise(left, right, pa.scalar("; ", TEXT))
    return pc.coalesce(both, left, right)
