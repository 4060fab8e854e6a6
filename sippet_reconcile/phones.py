"""Read phone numbers into E.164.

Input and output are whole columns; a column that is clean already is not copied. What
gives no number becomes missing: nothing is guessed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import InputError
from sippet_reconcile.normalize import text_layout, with_missing
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["check_country", "e164_array", "numbers_to_e164"]

Mask: TypeAlias = "NDArray[np.bool_]"

_TEXT: Final = pa.large_string()
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
    unread = filled & ~clean & (np.diff(text_layout(array)[0]) > _EXTENSION)
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
    starts, data = text_layout(array)
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
