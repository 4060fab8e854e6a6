"""Read phone numbers into E.164, and say what those are that give none.

Input and output are whole columns; a column that is clean already is not copied. What
gives no number is missing, and counted by its kind: nothing is guessed, and what was
delivered stays as it was.
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
from phonenumbers import NumberParseException, ValidationResult

from sippet_reconcile.errors import InputError
from sippet_reconcile.normalize import map_distinct, text_layout, with_missing
from sippet_reconcile.phone_text import bare_number
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "NUMBER_KINDS", "check_country", "check_prefixes", "classify_numbers", "e164_array", "numbers_to_e164",
]  # fmt: skip

Mask: TypeAlias = "NDArray[np.bool_]"

_TEXT: Final = pa.large_string()

NUMBER_KINDS: Final = {
    "e164": "a number in E.164",
    "extension": "an extension or a short number: at most six digits",
    "feature_code": "a feature code or a parking place, such as *60, # or park+700",
    "anonymous": "a caller who is withheld: anonymous, restricted, private, unavailable, unknown",
    "name": "a name, a user of SIP or an address, but no digits to dial",
    "needs_country": "digits that may be a national number, or one that lost its +: country= says",
    "too_short": "fewer digits than the numbers of its country have",
    "too_long": "more digits than the numbers of its country have",
    "suffix": "a number with something behind it, or glued to an epoch",
    "no_number": "no number of any country: nothing but zeros, or a calling code that nobody has",
}
"""What `classify_numbers` tells apart, and what each kind is."""

_SHORTEST, _LONGEST = 7, 15  # digits of a whole E.164 number
_EXTENSION: Final = 6  # up to so many digits are an extension or a short code, whatever the country
_NANP: Final = 1  # the calling code that the United States, Canada and others share
_READ: Final = 1000  # characters of a value that are looked at: no address is longer
_INTERNATIONAL_011: Final = 10  # '011' is also the start of national numbers: only before a whole number

_DIALLED: Final = re.compile(r"[(\s]*\+?[\d\s().\-/]+", re.ASCII)
_FEATURE: Final = re.compile(r"(?=.*[*#])[\d*#+]+|park\+\d+", re.IGNORECASE | re.ASCII)
_TAILED: Final = re.compile(r"\+?[\d\s().\-/]*\.\d|\+?\d{7,}(?:\.\d{1,3}|[.,;x*#pw][\d.,;*#pw]*)", re.ASCII)
_GLUED: Final = re.compile(r"[1-9]\d{2,4}1[0-8]\d{8}", re.ASCII)  # an extension and an epoch until 2030
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}", re.ASCII)
_PREFIX: Final = re.compile(r"[\d*#]{1,8}", re.ASCII)
_WITHHELD: Final = frozenset(
    ("anonymous", "anonymous invalid", "anonymous caller", "anonymous call", "blocked", "blocked number",
     "caller id blocked", "caller id withheld", "hidden", "hidden number", "id blocked", "id withheld", "no caller id",
     "nocallerid", "not available", "number unavailable", "number withheld", "out of area", "private", "private caller",
     "private number", "restricted", "restricted number", "unavailable", "unknown", "unknown caller", "unknown number",
     "withheld", "withheld number")
)  # fmt: skip
"""What switches and carriers write for a caller who does not want to be known, or whom they do not know."""


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
        msg += "; the United Kingdom is 'GB'" if code == "UK" else ""
        raise InputError(msg)
    return str(code)


def check_prefixes(prefixes: Iterable[str]) -> tuple[str, ...]:
    """Return prefixes for an outside line, the longest first, or say which is none.

    Examples
    --------
    >>> check_prefixes(("9", "0", "90"))
    ('90', '9', '0')
    """
    found = list(prefixes)
    for prefix in found:
        if not isinstance(prefix, str) or _PREFIX.fullmatch(prefix) is None:
            msg = f"strip_prefixes= holds {prefix!r}: a prefix is one to eight digits, * or #, as text, such as '9'"
            raise InputError(msg)
    return tuple(sorted(dict.fromkeys(found), key=len, reverse=True))


def numbers_to_e164(
    numbers: pd.Series[str], *, country: str | None = None, strip_prefixes: tuple[str, ...] = ()
) -> pd.Series[str]:
    """Return numbers in E.164 where they are *possible* numbers, else missing.

    Possible means that the length fits the country, so fictional and new ranges
    count. ``00`` and ``011`` are read as ``+``; separators, ``sip:`` and ``tel:``, a
    name in front of ``<...>``, and what stands behind ``@`` are taken off. Digits of
    any script count. Extensions, feature codes, names, withheld callers and numbers
    that need a country nobody named are missing. The index is kept.

    Parameters
    ----------
    numbers
        As delivered.
    country
        ISO 3166 alpha-2 code in which national numbers are read. It also decides
        about international ones that lost their ``+``; without it they stay missing.
    strip_prefixes
        What is dialled for an outside line. Taken off, the longest first, only where a
        number gives no E.164 as it stands and what remains gives one.

    Examples
    --------
    >>> as_sent = pd.Series(["+442079460123", "020 7946 0123", "sip:0044-20-79460123@pbx", "1001"], dtype="str")
    >>> numbers_to_e164(as_sent, country="GB").tolist()
    ['+442079460123', '+442079460123', '+442079460123', nan]
    >>> numbers_to_e164(pd.Series(["9011442079460123"], dtype="str"), strip_prefixes=("9",)).tolist()
    ['+442079460123']
    """
    array = e164_array(text_array(numbers), country=country, strip_prefixes=check_prefixes(strip_prefixes))
    return text_series(array, index=numbers.index)


def e164_array(
    array: pa.LargeStringArray, *, country: str | None = None, strip_prefixes: tuple[str, ...] = ()
) -> pa.LargeStringArray:
    """Return Arrow text in E.164, see `numbers_to_e164`; a column that is clean already is returned as it is.

    `strip_prefixes` come from `check_prefixes`.
    """
    country = check_country(country)
    clean = _is_clean(array)
    filled = np.asarray(array.is_valid()) if array.null_count else np.ones(len(array), bool)
    if bool(clean[filled].all()):
        return array
    # What is no longer than an extension has too few digits, whatever it holds.
    unread = filled & ~clean & (np.diff(text_layout(array)[0]) > _EXTENSION)
    rest = np.flatnonzero(unread)
    others = array.take(pa.array(rest)).dictionary_encode()
    found = [_look(text, country, strip_prefixes) for text in others.dictionary.to_pylist()]
    read = pa.array([text if text[0] == "+" else None for text in found], _TEXT)
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


def classify_numbers(
    array: pa.LargeStringArray, *, country: str | None = None, strip_prefixes: tuple[str, ...] = ()
) -> pa.LargeStringArray:
    """Return the kind of each number, one of `NUMBER_KINDS`; missing where there is none.

    ``"e164"`` stands exactly where `e164_array` gives a number for the same country
    and prefixes; the other kinds say why it gives none. Each distinct value is looked
    at once, and clean numbers are not looked at at all.

    Parameters
    ----------
    array
        As delivered.
    country, strip_prefixes
        As in `e164_array`.

    Examples
    --------
    >>> delivered = ["+442079460123", "020 7946 0123", "1001", "*60", "Anonymous", "sip:ann@pbx", "442921280552.6", None]
    >>> kinds = classify_numbers(pa.array(delivered, pa.large_string()), country="GB")
    >>> kinds.to_pylist()
    ['e164', 'e164', 'extension', 'feature_code', 'anonymous', 'name', 'suffix', None]
    >>> sorted((kind["values"], kind["counts"]) for kind in kinds.drop_null().value_counts().to_pylist())[:2]
    [('anonymous', 1), ('e164', 2)]
    """
    country = check_country(country)
    clean = _is_clean(array)

    def kind(text: str) -> str:
        found = _look(text, country, strip_prefixes)
        return "e164" if found[0] == "+" else found

    kinds = map_distinct(with_missing(array, clean), kind)
    return pc.if_else(pa.array(clean), pa.scalar("e164", _TEXT), kinds)


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
    well = (odd & _HIGH) == 0
    kinds = _kinds_of(first, lengths)
    judged = _JUDGED.take(kinds)
    if not bool((judged[well] != _UNJUDGED).all()):
        for kind in np.unique(kinds[well]).tolist():
            _JUDGED[kind] = _POSSIBLE if _is_possible_kind(kind) else _IMPOSSIBLE
        judged = _JUDGED.take(kinds)
    clean[rows] = well & (judged == _POSSIBLE)
    return clean


def _kinds_of(first: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the kind of each number: four bits for each of its first four digits, and four for its length."""
    digits = (first.view(np.int64) >> 8) & 0x0F0F_0F0F  # behind the '+', the first one last
    digits = (digits | digits >> 4) & 0x00FF_00FF
    digits = (digits | digits >> 8) & 0xFFFF
    return digits << 4 | (lengths - _SHORTEST - 1)


_UNJUDGED, _POSSIBLE, _IMPOSSIBLE = range(3)
_JUDGED: Final = np.zeros(1 << 20, np.int8)
"""What is known of each kind of number so far."""


def _is_possible_kind(kind: int) -> bool:
    """Tell whether a number that begins so and is so long is possible, and is E.164 as it stands."""
    specimen = "+" + f"{kind >> 4:04x}"[::-1].ljust((kind & 15) + _SHORTEST, "2")
    return _possible(specimen, None) == specimen


_PARSE_ERRORS: Final = {
    NumberParseException.TOO_SHORT_AFTER_IDD: "too_short",
    NumberParseException.TOO_SHORT_NSN: "too_short",
    NumberParseException.TOO_LONG: "too_long",
}
_REASONS: Final = {
    ValidationResult.INVALID_COUNTRY_CODE: "no_number",
    ValidationResult.TOO_LONG: "too_long",
}


def _possible(text: str, country: str | None) -> str:
    """Return a number in E.164 where phonenumbers calls it possible, else why it does not."""
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException as exc:
        return _PARSE_ERRORS.get(exc.error_type, "no_number")
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason != ValidationResult.IS_POSSIBLE:
        return _REASONS.get(reason, "too_short")  # without its area code, or between two lengths
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


@lru_cache(maxsize=1 << 17)
def _look(text: str, country: str | None, prefixes: tuple[str, ...]) -> str:
    """Return one distinct value in E.164, or else its kind; only a number begins with ``+``."""
    bare = bare_number(text[:_READ])
    found = _read(bare, country) if len(text) <= _READ else "name"
    if found[0] == "+" or found not in _STRIPPED:
        return found
    for prefix in prefixes:
        if bare.startswith(prefix):
            rest = _read(bare[len(prefix) :].strip(), country)
            if rest[0] == "+":
                return rest
    return found


_STRIPPED: Final = frozenset({"feature_code", "name", "needs_country", "too_short", "too_long", "no_number"})
"""Kinds that may hide a number behind a prefix: ``9+44...`` looks like a name, and no country is called 0."""


def _read(bare: str, country: str | None) -> str:
    """Return what was dialled in E.164, or else its kind."""
    digits = re.sub(r"\D", "", bare)
    if not digits or _DIALLED.fullmatch(bare) is None:
        return _kind_of_words(bare)
    if _ADDRESS.fullmatch(bare):
        return "name"
    if _TAILED.fullmatch(bare):
        return "suffix"
    if bare.lstrip(" (").startswith("+"):
        return _in_reach(digits) or _possible(bare, None)
    if len(digits) <= _EXTENSION:
        return "extension"
    return _without_plus(bare, digits, country) if digits.strip("0") else "no_number"


def _without_plus(bare: str, digits: str, country: str | None) -> str:
    national = "" if country is None else _national(bare, digits, country)
    is_glued = _GLUED.fullmatch(digits) is not None
    # An extension in front of an epoch is no number, unless its first digits are the country's calling code.
    if national.startswith("+") and (national == "+" + digits or not is_glued):
        return national
    if is_glued:
        return "suffix"
    international = ""
    if digits.startswith("00") and len(digits) - 2 >= _SHORTEST:
        international = _possible("+" + digits[2:], None)
    elif digits.startswith("011") and len(digits) - 3 >= _INTERNATIONAL_011:
        international = _possible("+" + digits[3:], None)
    if international.startswith("+"):
        return international
    return national or international or ("too_long" if len(digits) > _LONGEST else "needs_country")


def _in_reach(digits: str) -> str | None:
    """Return in which way so many digits behind a ``+`` are no number of any country."""
    if len(digits) < _SHORTEST:
        return "too_short"
    return "too_long" if len(digits) > _LONGEST + 1 else None


def _kind_of_words(bare: str) -> str:
    words = " ".join(re.findall(r"[^\W_]+", bare.casefold()))
    if words in _WITHHELD:
        return "anonymous"
    if _FEATURE.fullmatch(bare):
        return "feature_code"
    if _TAILED.fullmatch(bare):
        return "suffix"
    return "name" if words else "no_number"


def _national(text: str, digits: str, country: str) -> str:
    code = phonenumbers.country_code_for_region(country)
    if code == _NANP:
        # Ten digits are the whole number here and '1' before them is the trunk prefix; the
        # library would say the same, after thirty microseconds per number.
        ten = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits  # noqa: PLR2004
        if len(ten) == 10 and ten[0] in "23456789":  # noqa: PLR2004
            return "+1" + ten
    found = _possible(text, country)
    # Where numbers may be long, the library takes a prefix and an international number for a national one.
    return "no_number" if found.startswith(f"+{code}00") else found
