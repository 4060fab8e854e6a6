"""What the rows of one side say about who called whom, and when.

Input is a frame and the rows that are still free, output a `Row` of arrays: starts,
directions, and of both parties the number in E.164 and its last digits. A caller whom
nobody names (withheld, missing, zeros, a mere word) is told from one who is named
without a number, such as a user of SIP.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.normalize import map_distinct
from sippet_reconcile.phone_text import bare_number
from sippet_reconcile.phones import classify_numbers, e164_array
from sippet_reconcile.reconciliation.core import NAT, instants_us, offset_us
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of, take_text
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.reconciliation.statuses import normal_word
from sippet_reconcile.schema import Kind, text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Party", "Rows", "contradict", "e164_of", "read_calls", "read_cdr_calls"]

_DIRECTIONS: Final = {
    "inbound": 1,
    "incoming": 1,
    "in": 1,
    "outbound": 2,
    "outgoing": 2,
    "out": 2,
    "internal": 3,
}
_READ: Final = 1000  # characters of a value that are looked at
_ZEROS: Final = re.compile(r"[\W_]*(?:0[\W_]*){5,}", re.ASCII)
_ADDRESS: Final = re.compile(r"[@:]")


@dataclass(frozen=True, eq=False)
class Party:
    """One party of some rows: in E.164 or missing, and the last digits with their count, 0 where there are none."""

    e164: pa.LargeStringArray
    tail: pa.LargeStringArray
    length: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Party:
        """Return the party of some of the rows."""
        return Party(take_text(self.e164, rows), take_text(self.tail, rows), self.length[rows])


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one side that numbers and time may match.

    Attributes
    ----------
    pos
        Positions in the frame. All other arrays have one element per row here.
    start
        Microseconds since 1970, the clock offset removed.
    is_coarse
        Marks starts that are printed without seconds.
    direction
        A code, 0 where unknown.
    caller, called
        The parties; every row has digits of whom it called.
    is_withheld
        Marks the rows without a caller's digits whom nobody names; all others have digits.
    is_silent
        Marks those of them that say nothing at all instead of a number.
    word
        What a row says instead of a number where that is no common word for a withheld one; else missing.
    """

    pos: NDArray[np.int64]
    start: NDArray[np.int64]
    is_coarse: NDArray[np.bool_]
    direction: NDArray[np.int64]
    caller: Party
    called: Party
    is_withheld: NDArray[np.bool_]
    is_silent: NDArray[np.bool_]
    word: pa.LargeStringArray

    def __len__(self) -> int:
        return len(self.pos)


def read_calls(calls: pd.DataFrame, free: NDArray[np.bool_], rules: Rules) -> Rows:
    """Return what is compared of the free calls; those without a start, or without parties to go by, are left out."""
    return _read(calls, free, rules, clock_offset_s=0)


def read_cdr_calls(cdr_calls: pd.DataFrame, free: NDArray[np.bool_], rules: Rules) -> Rows:
    """Return the same of the free CDR calls; those with a doubtful time, or with legs of several calls, are left out."""
    settled = np.asarray(text_array(cdr_calls["time_problem"]).is_null())
    settled &= np.asarray(text_array(cdr_calls["legs_problem"]).is_null())
    return _read(cdr_calls, free & settled, rules, clock_offset_s=float(rules.clock_offset_s))


def _read(frame: pd.DataFrame, free: NDArray[np.bool_], rules: Rules, *, clock_offset_s: float) -> Rows:
    start = instants_us(frame["started_at"])
    at = np.flatnonzero(free & (start != NAT))
    raw = take_text(text_array(frame["from_number"]), at)
    caller, called = (_party(frame, party, at, rules.number_digits) for party in ("from", "to"))
    nobody = np.flatnonzero(caller.length == 0)
    words = pa.nulls(len(at), pa.large_string())
    is_withheld, is_silent = np.zeros(len(at), np.bool_), np.zeros(len(at), np.bool_)
    if len(nobody):
        delivered = pc.utf8_trim_whitespace(pc.fill_null(take_text(raw, nobody), ""))
        said = map_distinct(delivered, _withheld_word)
        is_silent[nobody] = np.asarray(pc.equal(delivered, ""))
        is_withheld[nobody] = np.asarray(said.is_valid())
        place = np.full(len(at), -1, np.int64)
        place[nobody] = np.arange(len(nobody))
        words = said.take(pa.array(place, mask=place < 0))
        words = pc.if_else(pc.equal(words, ""), pa.scalar(None, pa.large_string()), words)
    keep = np.flatnonzero((is_withheld | (caller.length > 0)) & (called.length > 0))
    if len(keep) < len(at):
        at, caller, called = at[keep], caller.take(keep), called.take(keep)
        is_withheld, is_silent, words = is_withheld[keep], is_silent[keep], take_text(words, keep)
    return Rows(
        at,
        start[at] - offset_us(clock_offset_s),
        flags_of(frame, COARSE_COLUMN)[at],
        _directions(frame, at),
        caller,
        called,
        is_withheld,
        is_silent,
        words,
    )


def e164_of(frame: pd.DataFrame, party: str, rows: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return a party's numbers in E.164: the frame's own column of them, else read from what was delivered."""
    column = f"{party}_e164"
    if column in frame.columns and str(frame[column].dtype) == Kind.TEXT.value:
        return take_text(text_array(frame[column]), rows)
    return e164_array(take_text(text_array(frame[f"{party}_number"]), rows))


def contradict(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark where two codes of directions are both known and differ."""
    return (one != other) & (one > 0) & (other > 0)


def _directions(frame: pd.DataFrame, at: NDArray[np.int64]) -> NDArray[np.int64]:
    encoded = take_text(text_array(frame["direction"]), at).dictionary_encode()
    known = np.array([*(_DIRECTIONS.get(normal_word(word), 0) for word in encoded.dictionary.to_pylist()), 0])
    return known[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


def _party(frame: pd.DataFrame, party: str, at: NDArray[np.int64], count: int) -> Party:
    e164 = e164_of(frame, party, at)
    tail = _tail(take_text(text_array(frame[f"{party}_number"]), at), e164, count)
    length = pc.fill_null(pc.binary_length(tail), 0).to_numpy(zero_copy_only=False)
    return Party(e164, tail, length.astype(np.int64))


def _tail(raw: pa.LargeStringArray, e164: pa.LargeStringArray, count: int) -> pa.LargeStringArray:
    """Return the last digits of each number; none where it is a name, such as ``client:ana7``."""

    def of_raw(raw: pa.LargeStringArray) -> pa.LargeStringArray:
        user = pc.replace_substring_regex(
            raw, pattern=r"(?i)^\s*(?:sips?|tel|client):|[@;].*$", replacement=""
        )
        is_name = pc.match_substring_regex(user, pattern=r"\pL")
        return last_digits(pc.if_else(is_name, pa.scalar(None, pa.large_string()), user), count)

    tail = _of_distinct(e164, lambda numbers: last_digits(numbers, count))
    return pc.coalesce(tail, _of_distinct(raw, of_raw)) if e164.null_count else tail


def _of_distinct(
    array: pa.LargeStringArray, change: Callable[[pa.LargeStringArray], pa.LargeStringArray]
) -> pa.LargeStringArray:
    """Return the changed texts, each distinct one being changed once: the same people call again and again."""
    encoded = array.dictionary_encode()
    return change(encoded.dictionary).take(encoded.indices)


def _withheld_word(text: str) -> str | None:
    """Return what stands for a withheld number: empty for a common word or nothing, else the word; None for a name.

    Examples
    --------
    >>> [_withheld_word(text) for text in ("", "Anonymous", "0000000", "sip:anonymous@anonymous.invalid", "Unbekannt")]
    ['', '', '', '', 'unbekannt']
    >>> [_withheld_word(text) for text in ("client:ana7", "ana@pbx.example", "ana7")]
    [None, None, None]
    """
    bare = bare_number(text[:_READ])
    if _ZEROS.fullmatch(bare):
        return ""
    kind = classify_numbers(pa.array([text[:_READ]], pa.large_string()))[0].as_py()
    if kind in {None, "anonymous"} or not any(character.isalnum() for character in bare):
        return ""
    is_word = not any(character.isdigit() for character in bare) and _ADDRESS.search(text) is None
    return " ".join(bare.casefold().split()) if is_word else None
