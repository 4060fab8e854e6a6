"""Tell which numbers are one's own: exact ones, ranges, and whole blocks.

Input are the words that a person wrote and columns of numbers, output are masks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import mask_digits
from sippet_reconcile.errors import InputError
from sippet_reconcile.normalize import map_distinct
from sippet_reconcile.phone_text import bare_number
from sippet_reconcile.phones import e164_array

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["OwnNumbers", "check_own_numbers", "own_numbers"]

Mask: TypeAlias = "NDArray[np.bool_]"

_TEXT: Final = pa.large_string()
_RANGE: Final = re.compile(r"(?P<plus>\+?)(?P<low>\d{1,15})\s*-\s*(?P<other>\+?)(?P<high>\d{1,15})", re.ASCII)
_BLOCK: Final = re.compile(r"\+?\d{1,14}\*", re.ASCII)
_CODE: Final = re.compile(r"[*#][\d*#]+", re.ASCII)
_PLAIN: Final = r"^\+?[0-9]+$"
_EXTENSION: Final = 6
_LONGEST: Final = 16  # fifteen digits and the plus
_FEW: Final = 4  # a block that begins with no more digits than these is one of extensions


def check_own_numbers(words: Iterable[str], *, country: str | None = None) -> tuple[str, ...]:
    """Return one's own numbers as they were written, or say which of them cannot be meant.

    Examples
    --------
    >>> check_own_numbers(["1000-1999", "2*", "+44 20 7946 0100"])
    ('1000-1999', '2*', '+44 20 7946 0100')
    """
    found = tuple(words)
    for word in found:
        why = "it is not text" if not isinstance(word, str) else _fault(word, country)
        if why:
            shown = mask_digits(word) if isinstance(word, str) else word
            msg = (
                f"internal_numbers= holds {shown!r}: {why}; write a number, a range of equally long ones such as "
                "'1000-1999', or how a block begins such as '2*' or '+4420794601*'"
            )
            raise InputError(msg)
    return found


def _fault(word: str, country: str | None) -> str:
    text = bare_number(word)
    if not re.search(r"\w", text):
        return "it names no number"
    if "*" in text and _BLOCK.fullmatch(text) is None and _CODE.fullmatch(text) is None:
        return "a star stands for the rest of a number, behind its first digits"
    range_ = _RANGE.fullmatch(text)
    if range_ is None or _ends(text) is not None:
        return ""
    if len(range_["low"]) == len(range_["high"]):
        return "the range ends before it begins"
    # '+44-2079460100' is one number with a hyphen in it.
    is_number = e164_array(pa.array([text], _TEXT), country=country).null_count == 0
    return "" if is_number else "its two ends are not equally long"


def _ends(text: str) -> tuple[str, str] | None:
    """Return the ends of a range; None where a text is none."""
    found = _RANGE.fullmatch(text)
    if found is None or len(found["low"]) != len(found["high"]) or found["low"] > found["high"]:
        return None
    if found["other"] and not found["plus"]:
        return None
    return found["plus"] + found["low"], found["plus"] + found["high"]


@dataclass(frozen=True, eq=False)
class OwnNumbers:
    """One's own numbers, ready to be looked for: exact texts, ranges, and how blocks begin with their longest length."""

    exact: pa.LargeStringArray
    ranges: tuple[tuple[str, str], ...]
    blocks: tuple[tuple[str, int], ...]

    def mask(self, *columns: pa.LargeStringArray) -> Mask:
        """Mark the rows that have one of them in one of the columns; a missing number is nobody's own.

        Parameters
        ----------
        columns
            A party's number in several forms, such as delivered and E.164.
        """
        found = np.zeros(len(columns[0]), np.bool_)
        for column in columns:
            is_plain = _true(pc.match_substring_regex(column, _PLAIN))
            found |= _true(pc.is_in(column, value_set=self.exact))
            odd = np.asarray(column.is_valid()) & ~is_plain
            if bool(odd.any()):
                # What is wrapped in a name or an address is looked at without it.
                bare = map_distinct(column.filter(pa.array(odd)), bare_number)
                found[odd] |= self._plain(bare, _true(pc.match_substring_regex(bare, _PLAIN)))
            found |= self._plain(column, is_plain)
        return found

    def _plain(self, column: pa.LargeStringArray, is_plain: Mask) -> Mask:
        found = _true(pc.is_in(column, value_set=self.exact))
        if not (self.ranges or self.blocks):
            return found
        lengths = np.asarray(pc.fill_null(pc.binary_length(column), 0))
        for low, high in self.ranges:
            inside = pc.and_(pc.greater_equal(column, low), pc.less_equal(column, high))
            found |= is_plain & (lengths == len(low)) & _true(inside)
        for start, longest in self.blocks:
            found |= is_plain & (lengths <= longest) & _true(pc.starts_with(column, start))
        return found


@lru_cache(maxsize=32)
def own_numbers(words: tuple[str, ...], country: str | None = None) -> OwnNumbers:
    """Return numbers as they were written and, where they have one, in E.164; also the ends of ranges.

    A word that is neither a range nor a block is a number, or a name, by itself.

    Examples
    --------
    >>> own = own_numbers(("101", "1000-1999", "+4420794601*"))
    >>> own.mask(pa.array(["101", "1500", "15000", "+442079460123", "sip:1001@pbx", None], pa.large_string())).tolist()
    [True, True, False, True, True, False]
    """
    exact, ranges, blocks = list[str](), list[tuple[str, str]](), list[tuple[str, int]]()
    for word in words:
        text = bare_number(word)
        ends = _ends(text)
        if ends is not None:
            ranges.append(ends)
            low, high = e164_array(pa.array(ends, _TEXT), country=country).to_pylist()
            if low is not None and high is not None and len(low) == len(high):
                ranges.append((low, high))
        if _BLOCK.fullmatch(text):
            start = text.removesuffix("*")
            is_short = not start.startswith("+") and len(start) <= _FEW
            blocks.append((start, _EXTENSION if is_short else _LONGEST))
        exact += [word.strip(), text]
    international = e164_array(pa.array(exact, _TEXT), country=country).drop_null().to_pylist()
    known = [text for text in dict.fromkeys([*exact, *international]) if text]
    return OwnNumbers(pa.array(known, _TEXT), tuple(ranges), tuple(blocks))


def _true(mask: pa.BooleanArray) -> Mask:
    return np.asarray(pc.fill_null(mask, fill_value=False))
