"""Clean columns: text, seconds, phone numbers to E.164, local times to instants.

Input and output are whole columns. A value that is clean already is not copied:
the result shares its bytes. What cannot be normalised becomes missing, and where
that matters a mask or a text says so; nothing is guessed.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import InputError
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

__all__ = [
    "LocalInstants",
    "check_country",
    "clean_text",
    "e164_array",
    "local_times_to_utc",
    "map_distinct",
    "micros_to_utc",
    "numbers_to_e164",
    "text_to_seconds",
    "with_missing",
]

Mask: TypeAlias = "NDArray[np.bool_]"
Micros: TypeAlias = "NDArray[np.int64]"

_TEXT: Final = pa.large_string()
_SPACE: Final = 32  # the highest ASCII byte that is white space or a control character
_NOT_ASCII: Final = 128
_NULLS: Final = pa.array(["NULL", "null", r"\N"], _TEXT)  # what databases print where a value is missing
_NULL_LENGTHS: Final = (4, 2)
_NULL_INITIALS: Final = tuple(b"Nn\\")

# ---------------------------------------------------------------- text


def _layout(array: pa.LargeStringArray) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the value offsets (one more than rows) and the bytes they point into."""
    _, offsets, data = array.buffers()
    if offsets is None:
        return np.zeros(len(array) + 1, np.int64), np.zeros(0, np.uint8)
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def with_missing(array: pa.LargeStringArray, missing: Mask) -> pa.LargeStringArray:
    """Return the column with some rows made missing; offsets and bytes are shared, not copied.

    Examples
    --------
    >>> with_missing(pa.array(["a", "b"], pa.large_string()), np.array([False, True])).to_pylist()
    ['a', None]
    """
    if not missing.any():
        return array
    if array.offset:
        array = pa.concat_arrays([array])
    valid = ~missing
    if array.null_count:
        valid &= np.asarray(array.is_valid())
    _, offsets, data = array.buffers()
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    return pa.LargeStringArray.from_buffers(len(array), offsets, data, bitmap)


def clean_text(array: pa.LargeStringArray) -> pa.LargeStringArray:
    r"""Return text without white space around it; what is empty then is missing.

    So is a value that is nothing but ``NULL``, ``null`` or ``\N``: an export of a
    database prints those, and as an id they would join what has nothing in common.
    Where nothing has to be trimmed, offsets and bytes are shared with the input.

    Examples
    --------
    >>> clean_text(pa.array([" a ", "", "b", "  ", "NULL"], pa.large_string())).to_pylist()
    ['a', None, 'b', None, None]
    """
    starts, data = _layout(array)
    lengths = np.diff(starts)
    filled = lengths > 0
    # Most columns hold no byte that could be white space: that is seen without looking at each value.
    content = data[starts[0] : starts[-1]]
    if content.size and (int(content.min()) <= _SPACE or int(content.max()) >= _NOT_ASCII):
        first, last = data[starts[:-1][filled]], data[starts[1:][filled] - 1]
        edges = (first <= _SPACE) | (last <= _SPACE) | (first >= _NOT_ASCII) | (last >= _NOT_ASCII)
        if bool(edges.any()):
            array = pc.utf8_trim_whitespace(array)
            starts, data = _layout(array)
            lengths = np.diff(starts)
    missing = lengths == 0
    missing[_null_words(array, starts, data, lengths)] = True
    return with_missing(array, missing)


def _null_words(
    array: pa.LargeStringArray, starts: Micros, data: NDArray[np.uint8], lengths: Micros
) -> NDArray[np.int64]:
    """Return the rows that hold a word for a missing value; only values of their length are looked at."""
    four, two = _NULL_LENGTHS
    rows = np.flatnonzero((lengths == four) | (lengths == two))
    if len(rows) == 0:
        return rows
    first = data[starts[rows]]
    capital, small, backslash = _NULL_INITIALS
    rows = rows[(first == capital) | (first == small) | (first == backslash)]
    if len(rows) == 0:
        return rows
    return rows[np.asarray(pc.is_in(array.take(pa.array(rows)), value_set=_NULLS))]


def map_distinct(array: pa.LargeStringArray, mapping: Callable[[str], str | None]) -> pa.LargeStringArray:
    """Return a column in which each distinct value was mapped once; missing stays missing.

    Examples
    --------
    >>> map_distinct(pa.array(["a", "b", "a", None], pa.large_string()), {"a": "x"}.get).to_pylist()
    ['x', None, 'x', None]
    """
    encoded = array.dictionary_encode()
    mapped = pa.array([mapping(value) for value in encoded.dictionary.to_pylist()], _TEXT)
    return mapped.take(encoded.indices)


# ---------------------------------------------------------------- seconds

_PLAIN_SECONDS: Final = r"^[+-]?\d{1,12}(?:\.\d{1,9})?$"
_CLOCK_SECONDS: Final = r"^(?P<h>\d{1,6}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:\.\d{1,9})?)$"


def text_to_seconds(array: pa.LargeStringArray) -> tuple[NDArray[np.float64], Mask]:
    """Read seconds written as a number or as H:MM:SS.

    Returns
    -------
    tuple
        Seconds as floats, NaN where missing or unreadable; and the mask of the
        values that are there but are no seconds. A minus sign is read, not judged.

    Examples
    --------
    >>> seconds, unreadable = text_to_seconds(pa.array(["61", "0:01:01.5", None, "3m"], pa.large_string()))
    >>> seconds.tolist(), unreadable.tolist()
    ([61.0, 61.5, nan, nan], [False, False, False, True])
    """
    nothing = np.zeros(len(array), bool)
    try:
        if bool((_layout(array)[1] == ord("x")).any()):  # Arrow would read 0x10 as sixteen
            raise pa.ArrowInvalid  # noqa: TRY301 - as what Arrow itself refuses
        # Whole numbers throughout: the usual case, read in one go.
        return pc.cast(array.cast(pa.int64()), pa.float64()).to_numpy(zero_copy_only=False), nothing
    except pa.ArrowInvalid:
        plain = np.asarray(pc.fill_null(pc.match_substring_regex(array, _PLAIN_SECONDS), fill_value=False))
    seconds = with_missing(array, ~plain).cast(pa.float64()).to_numpy(zero_copy_only=False)
    unreadable = np.asarray(array.is_valid()) & ~plain
    if bool(unreadable.any()):
        rows = np.flatnonzero(unreadable)
        parts = pc.extract_regex(array.take(pa.array(rows)), pattern=_CLOCK_SECONDS)
        found = np.asarray(parts.is_valid())
        h, m, s = (pc.struct_field(parts, key).filter(pa.array(found)).cast(pa.float64()) for key in "hms")
        seconds = seconds.copy()
        seconds[rows[found]] = np.asarray(h) * 3600 + np.asarray(m) * 60 + np.asarray(s)
        unreadable[rows[found]] = False
    return seconds, unreadable


# ---------------------------------------------------------------- phone numbers

_SHORTEST, _LONGEST = 7, 15  # digits of a whole E.164 number
_EXTENSION: Final = 6  # up to so many digits are an extension or a short code, whatever the country
_NANP: Final = 1  # the calling code that the United States, Canada and others share
_DIALLED: Final = re.compile(r"\+?[\d\s().\-/]+")
_TRUNK_SUFFIX: Final = re.compile(r"\.\d$")  # '442921280552.6': a suffix of the switch, no separator
_URI: Final = re.compile(r"(?:sips?|tel):(?://)?", re.IGNORECASE)
_INTERNATIONAL_011: Final = 10  # '011' is also the start of national numbers: only before a whole number


def check_country(country: str | None) -> str | None:
    """Return an ISO 3166 alpha-2 code in upper case, or say that it is none.

    Examples
    --------
    >>> check_country("gb")
    'GB'
    """
    if country is None:
        return None
    code = country.strip().upper() if isinstance(country, str) else country
    if code not in phonenumbers.SUPPORTED_REGIONS:
        msg = f"country {country!r} is not an ISO 3166 alpha-2 code with telephone numbers, such as 'GB' or 'US'"
        raise InputError(msg)
    return str(code)


def numbers_to_e164(numbers: pd.Series[str], *, country: str | None = None) -> pd.Series[str]:
    """Return numbers in E.164 where they are *possible* numbers, else missing.

    Possible means that the length fits the country, so fictional and new ranges
    count. ``00`` and ``011`` are read as ``+``; separators, ``sip:`` and ``tel:`` are
    taken off. Extensions, feature codes, names, ``anonymous`` and numbers that need a
    country nobody named are missing. The index is kept.

    Parameters
    ----------
    numbers
        As delivered.
    country
        ISO 3166 alpha-2 code in which national numbers are read.

    Examples
    --------
    >>> as_sent = pd.Series(["+442079460123", "020 7946 0123", "sip:0044-20-79460123@pbx", "1001"], dtype="str")
    >>> numbers_to_e164(as_sent, country="GB").tolist()
    ['+442079460123', '+442079460123', '+442079460123', nan]
    """
    return text_series(e164_array(text_array(numbers), country=country), index=numbers.index)


def e164_array(array: pa.LargeStringArray, *, country: str | None = None) -> pa.LargeStringArray:
    """Return Arrow text in E.164, see `numbers_to_e164`; a column that is clean already is returned as it is."""
    country = check_country(country)
    clean = _is_clean(array)
    filled = np.asarray(array.is_valid()) if array.null_count else np.ones(len(array), bool)
    if bool(clean[filled].all()):
        return array
    # What is no longer than an extension has too few digits, whatever it holds.
    unread = filled & ~clean & (np.diff(_layout(array)[0]) > _EXTENSION)
    rest = np.flatnonzero(unread)
    others = array.take(pa.array(rest)).dictionary_encode()
    read = pa.array([_read_number(text, country) for text in others.dictionary.to_pylist()], _TEXT)
    if read.null_count == len(read):
        return with_missing(array, ~clean)
    replaced = read.take(others.indices)
    if len(rest) == len(array):
        return replaced
    if bool(clean.any()):
        return pc.replace_with_mask(with_missing(array, ~clean), pa.array(unread), replaced)
    where = np.full(len(array), -1, np.int64)
    where[rest] = np.arange(len(rest))
    return replaced.take(pa.array(where, mask=where < 0))


# A whole number with its '+' fits sixteen bytes, fetched as two little-endian words.
_SLOT: Final = 16
_ZEROS, _HIGH, _SIXES = (np.uint64(int(digit * 8, 16)) for digit in ("30", "F0", "06"))
_INSIDE: Final = np.array(
    [[(1 << 8 * min(max(n - first, 0), 8)) - 1 for n in range(_SLOT + 1)] for first in (0, 8)], np.uint64
)
_PLUS: Final = np.uint64(ord("+"))
_HEAD: Final = np.uint64(0xFF_FFFF_FFFF)


def _is_clean(array: pa.LargeStringArray) -> Mask:
    """Mark the values that are E.164 already and of a length possible in their country.

    Whether a length is possible is judged once for each kind of number, its first four
    digits and its length, by one specimen.
    """
    starts, data = _layout(array)
    lengths = np.diff(starts)
    clean = np.zeros(len(array), bool)
    rows = np.flatnonzero((lengths > _SHORTEST) & (lengths <= _LONGEST + 1))
    rows = rows[data[starts[rows]] == ord("+")]
    if len(rows) == 0:
        return clean
    if data.size < int(starts[-1]) + _SLOT:
        data = np.concatenate([data, np.zeros(_SLOT, np.uint8)])
    slots = np.ndarray((data.size - _SLOT + 1,), dtype=f"V{_SLOT}", buffer=data, strides=(1,))
    first, second = slots[starts[rows]].view("<u8").reshape(len(rows), 2).T
    lengths = lengths[rows]
    odd = np.zeros(len(rows), np.uint64)
    # The '+' in front becomes a digit.
    for word, inside in zip((first ^ _PLUS ^ np.uint64(ord("0")), second), _INSIDE, strict=True):
        # A digit's byte is 0x30 to 0x39: its upper half is 3, also with six added.
        odd |= ((word ^ _ZEROS) | ((word + _SIXES) ^ _ZEROS)) & inside[lengths]
    kinds = np.where(
        odd & _HIGH, np.uint64(0), (first & _HEAD) | (lengths.astype(np.uint64) << np.uint64(40))
    )
    codes, uniques = pd.factorize(kinds)
    possible = [
        kind != 0
        and _is_possible_kind((kind & 0xFF_FFFF_FFFF).to_bytes(5, "little").decode("ascii"), kind >> 40)
        for kind in uniques.tolist()
    ]
    clean[rows] = np.array(possible, bool)[codes]
    return clean


@lru_cache(maxsize=65536)
def _is_possible_kind(head: str, length: int) -> bool:
    """Tell whether a number that begins so and is so long is possible, and is E.164 as it stands."""
    specimen = head.ljust(length, "2")
    return _possible(specimen, None) == specimen


def _possible(text: str, country: str | None) -> str | None:
    """Return a number in E.164 where phonenumbers calls it possible."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(maxsize=1 << 17)
def _read_number(text: str, country: str | None) -> str | None:
    """Return one distinct value in E.164, or None."""
    text = text.strip()
    if "<" in text:
        text = text.rpartition("<")[2].partition(">")[0]
    text, n_schemes = _URI.subn("", text, count=1)
    if n_schemes or "@" in text:
        text = text.partition("@")[0].partition(";")[0]
    if _DIALLED.fullmatch(text) is None or _TRUNK_SUFFIX.search(text):
        return None
    digits = re.sub(r"\D", "", text)
    if text.lstrip(" (").startswith("+"):
        return _possible(text, None) if _SHORTEST <= len(digits) <= _LONGEST + 1 else None
    if len(digits) <= _EXTENSION or not digits.strip("0"):
        return None
    if country is not None:
        found = _national(text, digits, country)
        if found is not None:
            return found
    if digits.startswith("00") and len(digits) - 2 >= _SHORTEST:
        return _possible("+" + digits[2:], None)
    if digits.startswith("011") and len(digits) - 3 >= _INTERNATIONAL_011:
        return _possible("+" + digits[3:], None)
    return None


def _national(text: str, digits: str, country: str) -> str | None:
    if phonenumbers.country_code_for_region(country) == _NANP:
        # Ten digits are the whole number here and '1' before them is the trunk prefix; the
        # library would say the same, after thirty microseconds per number.
        ten = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits  # noqa: PLR2004
        if len(ten) == 10 and ten[0] in "23456789":  # noqa: PLR2004
            return "+1" + ten
    return _possible(text, country)


# ---------------------------------------------------------------- local times

_MICROS: Final = 1_000_000
_DAY: Final = timedelta(days=1)


class _Change(NamedTuple):
    """One moment at which a zone's offset changes: local microseconds on either side, and both offsets."""

    begins: int  # the first local time that is skipped, or that occurs a second time
    ends: int
    before: int
    after: int


class LocalInstants(NamedTuple):
    """Local times as instants: `first`, or `second` where the clock showed the time twice."""

    first: Micros
    second: Micros
    repeated: Mask
    skipped: Mask


def _offset(zone: ZoneInfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds()) * _MICROS


def _changes(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[_Change]:
    """Walk a span day by day and yield each change of the zone's offset, found to the second."""
    at, offset = begin, _offset(zone, begin)
    while at < end:
        following = at + _DAY
        later = _offset(zone, following)
        if later != offset:
            low, high = at, following
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            moment = int(high.timestamp()) * _MICROS
            yield _Change(moment + min(offset, later), moment + max(offset, later), offset, later)
        at, offset = following, later


def micros_to_utc(local: Micros, zone: ZoneInfo, valid: Mask | None = None) -> LocalInstants:
    """Turn local microseconds since 1970 into UTC microseconds; the zone's changes are worked out once.

    A skipped time is read with the offset before the change, so that callers who
    ignore `skipped` are wrong by the change and no more.
    """
    repeated, skipped = np.zeros(len(local), bool), np.zeros(len(local), bool)
    chosen = local if valid is None else local[valid]
    if len(chosen) == 0:
        return LocalInstants(local, local, repeated, skipped)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    begin = epoch + timedelta(microseconds=int(chosen.min())) - 2 * _DAY
    end = epoch + timedelta(microseconds=int(chosen.max())) + 2 * _DAY
    changes = list(_changes(zone, begin, end))
    offset: Any = _offset(zone, begin)
    if not changes:
        return LocalInstants(local - offset, local - offset, repeated, skipped)
    # Before `begins` the old offset holds, from `ends` on the new one; between them it is the change itself.
    begins = np.array([change.begins for change in changes])
    ends = np.array([change.ends for change in changes])
    offsets = np.array([offset, *(change.after for change in changes)])
    passed = np.searchsorted(ends, local, side="right")
    entered = np.searchsorted(begins, local, side="right")
    first = local - offsets[passed]
    inside = entered > passed
    if not bool(inside.any()):
        return LocalInstants(first, first, repeated, skipped)
    second = local - offsets[np.minimum(entered, len(changes))]
    forward = np.array([change.after > change.before for change in changes])[
        np.minimum(passed, len(changes) - 1)
    ]
    return LocalInstants(
        first, np.where(inside & ~forward, second, first), inside & ~forward, inside & forward
    )


def local_times_to_utc(
    local: pd.Series[pd.Timestamp], zone: ZoneInfo
) -> tuple[pd.Series[pd.Timestamp], pd.Series[str]]:
    """Turn local times into instants, and say which of them are none or two.

    Parameters
    ----------
    local
        Naive times as a clock in the zone showed them.
    zone
        The clock's time zone.

    Returns
    -------
    tuple
        Instants (UTC), missing where the time is missing, was skipped or occurred
        twice; and why, missing where the instant is sure. Both keep the index.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> shown = pd.to_datetime(pd.Series(["2026-07-01 12:00", "2026-10-25 01:30", "2026-03-29 01:30"]))
    >>> instants, problems = local_times_to_utc(shown, ZoneInfo("Europe/London"))
    >>> instants.dt.hour.tolist(), problems.iloc[1]
    ([11.0, nan, nan], '2026-10-25 01:30:00 occurred twice in Europe/London')
    """
    naive = local.dt.as_unit("us")
    valid = np.asarray(naive.notna())
    micros = np.where(valid, naive.to_numpy().view(np.int64), 0)
    found = micros_to_utc(micros, zone, valid)
    unsure = valid & (found.repeated | found.skipped)
    utc = (
        pd.Series(found.first.view("M8[us]"), index=local.index).where(valid & ~unsure).dt.tz_localize("UTC")
    )
    words = np.where(found.repeated, " occurred twice in ", " was skipped in ")
    rows = np.flatnonzero(unsure)
    problems = pd.Series(None, index=local.index, dtype="str")
    shown = naive.iloc[rows].dt.strftime("%Y-%m-%d %H:%M:%S").tolist()
    problems.iloc[rows] = [
        f"{text}{words[row]}{zone.key}" for text, row in zip(shown, rows.tolist(), strict=True)
    ]
    return utc.astype("datetime64[us, UTC]"), problems
