"""Read dates and times as exports print them, and say how sure each one is.

Input is a text column, output are microseconds since 1970, local or UTC, with masks
that say which values are missing, unreadable, or too coarse to be compared to the
second. Zones are applied elsewhere: a stamp is what the file shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.tables import flags
from sippet_reconcile.normalize import text_layout, with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Stamps", "is_date_like", "read_both_orders", "read_stamps"]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

MICROS: Final = 1_000_000
_TEXT: Final = pa.large_string()
_WITH_SECONDS: Final = 19  # "YYYY-MM-DD HH:MM:SS"
_LONGEST_OFFSET: Final = 6  # "+05:30"
_LOCAL, _UTC = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
_SENTINEL_YEAR: Final = 1972  # exports write 1970-01-01, 1000-01-01 or 0000-00-00 for "never"
_SENTINEL_START: Final = 2000  # ... or the first second of this year, the default of a Kamailio table
_LAST_YEAR: Final = 2100  # from then on a date is a mistake, or stands for "not yet"

_NEVER: Final = r"^(?:0+|-1|(?i:null|none|nil|nan|n/a|unknown)|\\N|-+|0000[-/]00[-/]00.*|(?:0?[01]|00)[-/](?:0?1|00)[-/](?:0000|1000|1970).*)$"
_CLOCK: Final = r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
_ZONE: Final = r"\s*(?P<zone>Z|UTC|GMT|UT|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?"
_OFFSET: Final = r"(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)$"
_YEAR_FIRST: Final = (
    rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?:[Tt]|[ ,]+){_CLOCK}{_ZONE}$"
)
_YEAR_LAST: Final = (
    r"^(?P<one>\d{1,2})[-/.](?P<two>\d{1,2})[-/.](?P<year>\d{4}|\d{2})(?:[Tt]|[ ,]+)"
    rf"{_CLOCK}\s*(?P<half>[AaPp]\.?[Mm]\.?)?{_ZONE}$"
)
_NAMED_MONTH: Final = rf"^(?:[A-Za-z]{{3}},?\s+)?(?P<day>\d{{1,2}})[ -](?P<name>[A-Za-z]{{3}})[ -](?P<year>\d{{4}})\s+{_CLOCK}{_ZONE}$"
# Ten digits of seconds until 2099, or milliseconds or microseconds: a telephone number is seldom one of these.
_EPOCH: Final = r"^(?P<whole>[1-3]\d{9}(?:\d{3}|\d{6})?)(?:\.(?P<fraction>\d{1,9}))?$"
_EPOCH_DIGITS: Final = 10
_SLASH, _DASH = b"/-"
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, eq=False)
class Stamps:
    """One column of dates and times, as read.

    `micros` counts from 1970 in the file's clock, or in UTC where `is_utc`; it is 0
    where not `known`. `unreadable` values are there and are no date; `coarse` ones
    have no seconds.
    """

    micros: Micros
    known: Mask
    is_utc: Mask
    unreadable: Mask
    coarse: Mask

    @property
    def n_local(self) -> int:
        """How many values need a zone."""
        return int((self.known & ~self.is_utc).sum())


def is_date_like(text: str) -> bool:
    """Tell whether a cell holds a date and time in one of the forms that are read.

    Examples
    --------
    >>> is_date_like("2026-10-01 08:00:00"), is_date_like("1/9/2026 8:05"), is_date_like("soon")
    (True, True, False)
    """
    array = pa.array([text.strip()], _TEXT)
    return any(pc.match_substring_regex(array, p)[0].as_py() for p in (_YEAR_FIRST, _YEAR_LAST, _NAMED_MONTH))


def read_stamps(array: pa.LargeStringArray, *, dayfirst: bool | None = None) -> Stamps:
    """Read one column of dates and times.

    Read are year-first dates, D/M/Y and M/D/Y (only with `dayfirst`), RFC 2822, and
    epochs in seconds, milliseconds or microseconds; offsets and ``Z`` make a stamp UTC.
    Words and dates for "never" are missing.

    Examples
    --------
    >>> stamps = read_stamps(pa.array(["2026-10-01 08:00:00", "1970-01-01 00:00:00", "later"], pa.large_string()))
    >>> stamps.known.tolist(), stamps.unreadable.tolist()
    ([True, False, False], [False, False, True])
    """
    return _read(array, (dayfirst,))[0]


def read_both_orders(array: pa.LargeStringArray) -> tuple[Stamps, Stamps]:
    """Read one column with the day first and with the month first; one and the same where no date asks for it.

    Examples
    --------
    >>> day, month = read_both_orders(pa.array(["1/9/2026 08:00", "13/9/2026 08:00"], pa.large_string()))
    >>> day.known.tolist(), month.known.tolist()
    ([True, True], [True, False])
    """
    found = _read(array, (True, False))
    return found[0], found[-1]


def _read(array: pa.LargeStringArray, orders: tuple[bool | None, ...]) -> list[Stamps]:
    """Read one column in each order of day and month; once only where no date depends on it."""
    filled = flags(array.is_valid())
    nothing = np.zeros(len(array), bool)
    lengths = _lengths(array)
    epochs = _whole_epochs(array, lengths)
    if epochs is not None:
        return [epochs]
    quick, has_offsets = _cast(_dashed(array, lengths), _LOCAL, lengths), False
    if quick is None:
        quick, has_offsets = _cast_with_offsets(array), True
    if quick is not None:
        draft = Stamps(quick, filled, filled if has_offsets else nothing, nothing, nothing)
        return [_finished(draft)]
    never = np.asarray(pc.fill_null(pc.match_substring_regex(array, _NEVER), fill_value=False))
    draft = Stamps(np.zeros(len(array), np.int64), nothing, nothing.copy(), filled & ~never, nothing.copy())
    year_last: tuple[Micros, Any] | None = None
    # A column is mostly written in one way: the way of its first value is tried first.
    first = array.take(pa.array(np.flatnonzero(draft.unreadable)[:1]))
    for pattern in sorted(_READERS, key=lambda p: not pc.any(pc.match_substring_regex(first, p)).as_py()):
        rows = np.flatnonzero(draft.unreadable if year_last is None else _others(draft, year_last[0]))
        if len(rows) == 0:
            break
        parts = pc.extract_regex(array.take(pa.array(rows)), pattern=pattern)
        matched = np.asarray(parts.is_valid())
        rows, parts = rows[matched], parts.filter(pa.array(matched))
        if len(rows) and pattern == _YEAR_LAST:
            year_last = rows, parts
        elif len(rows):
            _put(draft, rows, _READERS[pattern](parts))
    if year_last is None or orders == (None,):
        return [_finished(draft)]
    drafts = [draft, *(_copied(draft) for _ in orders[1:])]
    for order, target in zip(orders, drafts, strict=True):
        _put(target, year_last[0], (_day_first if order else _month_first)(year_last[1]))
    return [_finished(target) for target in drafts]


def _lengths(array: pa.LargeStringArray) -> Micros:
    """Return how many bytes each value has, 0 where it is missing."""
    lengths = np.diff(text_layout(array)[0])
    if array.null_count:
        lengths *= flags(array.is_valid())
    return lengths


def _whole_epochs(array: pa.LargeStringArray, lengths: Micros) -> Stamps | None:
    """Read a column of ten digits throughout, or 0 for never; None where it holds anything else."""
    if lengths.max(initial=0) != _EPOCH_DIGITS:
        return None
    is_long = lengths == _EPOCH_DIGITS
    if not bool((is_long | (lengths <= 1)).all()):
        return None
    starts, content = text_layout(array)
    # A cast that fails goes through all values, and one that does not would also take a sign, or 0x for hexadecimal.
    if not bool((content.take(starts[:-1][is_long]) - np.uint8(ord("1")) < 3).all()):  # noqa: PLR2004 - see _EPOCH
        return None
    try:
        seconds = pc.fill_null(array.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    if bool(seconds[~is_long].any()):
        return None
    nothing = np.zeros(len(array), bool)
    return _finished(Stamps(seconds * MICROS, is_long, is_long, nothing, nothing))


def _dashed(array: pa.LargeStringArray, lengths: Micros) -> pa.LargeStringArray:
    """Write 2026/10/01 as 2026-10-01, which Arrow reads, where all dates of a column are written so."""
    first = int(lengths.argmax()) if len(lengths) else 0
    starts, content = text_layout(array)
    if lengths[first : first + 1].sum() < _WITH_SECONDS or content[starts[first] + 4] != _SLASH:
        return array
    rows = np.flatnonzero(lengths)
    if int(lengths[rows].min()) < _WITH_SECONDS:
        return array
    slashes = [starts[rows] + place for place in (4, 7)]
    if any(bool((content.take(at) != _SLASH).any()) for at in slashes):
        return array
    valid, offsets, _ = array.buffers()
    anew = content.copy()
    for at in slashes:
        anew[at] = _DASH
    return pa.Array.from_buffers(_TEXT, len(array), [valid, offsets, pa.py_buffer(anew)], offset=array.offset)


def _others(draft: Stamps, rows: Micros) -> Mask:
    left = draft.unreadable.copy()
    left[rows] = False
    return left


def _copied(draft: Stamps) -> Stamps:
    return Stamps(
        draft.micros.copy(),
        draft.known.copy(),
        draft.is_utc.copy(),
        draft.unreadable.copy(),
        draft.coarse.copy(),
    )


def _put(draft: Stamps, rows: Micros, found: _Read) -> None:
    """Write what was read into a draft; what is no real date stays unreadable."""
    at, good, utc, without_seconds = found
    rows = rows[good]
    draft.micros[rows], draft.known[rows] = at[good], True
    draft.is_utc[rows], draft.coarse[rows] = utc[good], without_seconds[good]
    draft.unreadable[rows] = False


def _finished(draft: Stamps) -> Stamps:
    """Return what was read; times that were never set are missing, and those of a far year unreadable."""
    nothing_read = len(draft.known) - np.count_nonzero(draft.known)
    # Where nothing was read there is a 0, which is a sentinel, too.
    if np.count_nonzero(_is_sentinel(draft.micros)) == nothing_read and draft.micros.max(
        initial=0
    ) < _start_of(_LAST_YEAR):
        return draft
    late = draft.known & (draft.micros >= _start_of(_LAST_YEAR))
    known = draft.known & ~_is_sentinel(draft.micros) & ~late
    return Stamps(
        np.where(known, draft.micros, 0),
        known,
        draft.is_utc & known,
        draft.unreadable | late,
        draft.coarse & known,
    )


def _is_sentinel(micros: Micros) -> Mask:
    return (micros < _start_of(_SENTINEL_YEAR)) | (micros == _start_of(_SENTINEL_START))


@cache
def _start_of(year: int) -> int:
    return int(np.datetime64(f"{year}-01-01", "us").astype(np.int64))


def _cast(array: pa.LargeStringArray, kind: pa.DataType, lengths: Micros) -> Micros | None:
    """Let Arrow read a column that is in its own form throughout; None where it is not."""
    if array.null_count == len(array):
        return np.zeros(len(array), np.int64)
    if np.count_nonzero(lengths < _WITH_SECONDS) > array.null_count:
        return None
    try:
        # A column of another form is told by one value: a cast that fails goes through all of them.
        array.slice(int(lengths.argmax()), 1).cast(kind)
        at = array.cast(kind)
    except pa.ArrowInvalid:
        return None
    return pc.fill_null(at.view(pa.int64()), 0).to_numpy(zero_copy_only=False)


def _cast_with_offsets(array: pa.LargeStringArray) -> Micros | None:
    """Let Arrow read a column in which each time has its seconds and a possible offset; None where one has not."""
    if not pc.all(
        pc.equal(pc.utf8_slice_codeunits(array, _WITH_SECONDS - 3, _WITH_SECONDS - 2), ":")
    ).as_py():
        return None
    if pc.all(pc.ends_with(array, "Z")).as_py():
        bare = _without_end(array, 1)
        return _cast(bare, _LOCAL, _lengths(bare))
    ends = pc.utf8_slice_codeunits(array, -_LONGEST_OFFSET).unique().drop_null()
    # Arrow takes offsets of a whole day.
    if not pc.all(pc.match_substring_regex(ends, _OFFSET)).as_py():
        return None
    only = ends[0].as_py() if len(ends) == 1 else ""
    if only[:1] in {"+", "-"}:
        bare = _without_end(array, len(only))
        lengths = _lengths(bare)
        local = _cast(bare, _LOCAL, lengths)
        return None if local is None else np.where(lengths > 0, local - _offsets(ends)[0], 0)
    return _cast(array, _UTC, _lengths(array))


def _without_end(array: pa.LargeStringArray, length: int) -> pa.LargeStringArray:
    """Cut some ASCII off the end of each text."""
    return pc.binary_slice(array.view(pa.large_binary()), 0, -length).view(_TEXT)


def _numbers(parts: Any, name: str) -> Micros:
    """Return one named group as whole numbers; an absent one is 0."""
    texts = pc.struct_field(parts, name)
    texts = with_missing(texts, np.asarray(pc.fill_null(pc.binary_length(texts), 0)) == 0)
    return pc.fill_null(texts.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)


def _micros_of_fraction(parts: Any) -> Micros:
    padded = pc.utf8_slice_codeunits(pc.utf8_rpad(pc.struct_field(parts, "fraction"), 6, "0"), 0, 6)
    return padded.cast(pa.int64()).to_numpy(zero_copy_only=False)


_Read: TypeAlias = "tuple[Micros, Mask, Mask, Mask]"


def _assemble(parts: Any, year: Micros, month: Micros, day: Micros, hour: Micros | None = None) -> _Read:
    """Return microseconds, and which rows are real dates, are UTC, and have no seconds."""
    hour = _numbers(parts, "hour") if hour is None else hour
    minute, second = _numbers(parts, "minute"), _numbers(parts, "second")
    good = (month >= 1) & (month <= len(_MONTHS)) & (day >= 1) & (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004
    months = (year - 1970).astype("M8[Y]").astype("M8[M]") + np.where(good, month - 1, 0)
    days = months.astype("M8[D]") + (day - 1)
    good &= days.astype("M8[M]") == months
    at = days.astype("M8[us]").astype(np.int64)
    at = at + ((hour * 60 + minute) * 60 + second) * MICROS + _micros_of_fraction(parts)
    zone = pc.struct_field(parts, "zone")
    is_utc = np.asarray(pc.greater(pc.binary_length(zone), 0))
    if bool(is_utc.any()):
        at = at - _offsets(zone)
    coarse = np.asarray(pc.equal(pc.binary_length(pc.struct_field(parts, "second")), 0))
    return at, good, is_utc, coarse


def _offsets(zone: pa.LargeStringArray) -> Micros:
    """Return each offset in microseconds; a name of UTC is 0."""
    encoded = zone.dictionary_encode()
    values: list[int] = []
    for text in encoded.dictionary.to_pylist():
        digits = text[1:].replace(":", "").ljust(4, "0")
        seconds = (int(digits[:2]) * 60 + int(digits[2:])) * 60 if text[:1] in {"+", "-"} else 0
        values.append((-seconds if text.startswith("-") else seconds) * MICROS)
    return np.array(values, np.int64)[np.asarray(encoded.indices)]


def _year_first(parts: Any) -> _Read:
    return _assemble(parts, *(_numbers(parts, key) for key in ("year", "month", "day")))


def _year_last(parts: Any, month: str, day: str) -> _Read:
    year, hour = _numbers(parts, "year"), _numbers(parts, "hour")
    year = np.where(year < 100, year + 2000, year)  # noqa: PLR2004 - two digits: CDRs are of this century
    half = pc.utf8_slice_codeunits(pc.utf8_lower(pc.struct_field(parts, "half")), 0, 1)
    twelve = hour % 12
    hour = np.where(
        np.asarray(pc.equal(half, "p")), twelve + 12, np.where(np.asarray(pc.equal(half, "a")), twelve, hour)
    )
    return _assemble(parts, year, _numbers(parts, month), _numbers(parts, day), hour)


def _day_first(parts: Any) -> _Read:
    return _year_last(parts, month="two", day="one")


def _month_first(parts: Any) -> _Read:
    return _year_last(parts, month="one", day="two")


def _named_month(parts: Any) -> _Read:
    names = pc.index_in(pc.utf8_lower(pc.struct_field(parts, "name")), value_set=pa.array(_MONTHS, _TEXT))
    month = pc.fill_null(names, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return _assemble(parts, _numbers(parts, "year"), month, _numbers(parts, "day"))


def _epoch(parts: Any) -> _Read:
    whole, fraction = _numbers(parts, "whole"), _micros_of_fraction(parts)
    digits = pc.binary_length(pc.struct_field(parts, "whole")).to_numpy(zero_copy_only=False)
    scale = np.where(digits == 10, MICROS, np.where(digits == 13, 1000, 1))  # noqa: PLR2004 - s, ms or µs
    at = whole * scale + np.where(scale == MICROS, fraction, 0)
    always = np.ones(len(at), bool)
    return at, always, always, ~always


_READERS: Final = {
    _YEAR_FIRST: _year_first,
    _NAMED_MONTH: _named_month,
    _EPOCH: _epoch,
    _YEAR_LAST: _month_first,
}
"""How each form is read; no text has two of them."""
