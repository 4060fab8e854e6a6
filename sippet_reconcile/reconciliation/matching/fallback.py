"""Match what no id matched: by the same two numbers and nearly the same start.

Input are the rows that are left, output are pairs and rivals. A pair must be each
other's only near choice. Two starts are noisy by the time tolerance each, so a rival
counts as equally near until it is further off by more than twice that tolerance; such
near-ties are listed and never decided. There is one round: nobody is matched because
somebody else was taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.phones import e164_array
from sippet_reconcile.reconciliation.core import MICROS, at_once, instants_us, offset_us
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of, take_text
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.reconciliation.statuses import normal_word
from sippet_reconcile.schema import Kind, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["CloseCalls", "e164_of", "match_by_numbers"]

MOST_RIVALS: Final = 64
"""A row with more candidates in its window is never decided; only so many nearest are looked at."""

_NAT: Final = np.iinfo(np.int64).min
_DIRECTIONS: Final = {
    "inbound": 1,
    "incoming": 1,
    "in": 1,
    "outbound": 2,
    "outgoing": 2,
    "out": 2,
    "internal": 3,
}


@dataclass(frozen=True, eq=False)
class CloseCalls:
    """Positions in both frames: what was matched, and the near-ties."""

    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rival_call: NDArray[np.int64]
    rival_cdr: NDArray[np.int64]

    @classmethod
    def none(cls) -> CloseCalls:
        """Return nothing found."""
        empty = np.zeros(0, np.int64)
        return cls(empty, empty, empty, empty)


@dataclass(frozen=True, eq=False)
class _Side:
    """The candidates of one side: positions in the frame, and what is compared."""

    rows: NDArray[np.int64]
    start: NDArray[np.int64]
    direction: NDArray[np.int64]
    from_e164: pa.LargeStringArray
    to_e164: pa.LargeStringArray
    from_tail: pa.LargeStringArray
    to_tail: pa.LargeStringArray


def match_by_numbers(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    free_calls: NDArray[np.bool_],
    free_cdr: NDArray[np.bool_],
    rules: Rules,
) -> CloseCalls:
    """Pair free rows with the same numbers whose starts are near and nearer than anybody else's.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    free_calls, free_cdr
        Mark the rows that may still be matched. CDR calls with a doubtful local time or
        with legs that cannot be those of one call, and rows without a start or without a
        digit in either number, stay unmatched.
    rules
        `start_window_s`, `number_digits`, `time_tolerance_s` and `clock_offset_s` are used.

    Notes
    -----
    Numbers are the same where both sides have them in E.164 and those are equal, or
    where a side has none and the last `number_digits` digits are equal.
    """
    settled = np.asarray(text_array(cdr_calls["time_problem"]).is_null())
    settled &= np.asarray(text_array(cdr_calls["legs_problem"]).is_null())
    left, right = at_once(
        lambda: _side(calls, free_calls, rules, offset=0),
        lambda: _side(cdr_calls, free_cdr & settled, rules, offset=offset_us(rules.clock_offset_s)),
    )
    if not (len(left.rows) and len(right.rows)):
        return CloseCalls.none()
    call, cdr, crowded_call, crowded_cdr = _candidates(left, right, offset_us(rules.start_window_s))
    if not len(call):
        return CloseCalls.none()
    gap = np.abs(left.start[call] - right.start[cdr])
    margin = np.full(len(gap), 2 * offset_us(rules.time_tolerance_s))
    # A start without seconds may have been at any moment of its minute.
    margin[flags_of(cdr_calls, COARSE_COLUMN)[right.rows[cdr]]] += 60 * MICROS
    near_call, only_call = _near(call, gap, len(left.rows), margin)
    near_cdr, only_cdr = _near(cdr, gap, len(right.rows), margin)
    mutual = near_call & near_cdr
    chosen = mutual & only_call & only_cdr & ~crowded_call[call] & ~crowded_cdr[cdr]
    rival = mutual & ~chosen
    return CloseCalls(
        left.rows[call[chosen]], right.rows[cdr[chosen]], left.rows[call[rival]], right.rows[cdr[rival]]
    )


def _near(
    row: NDArray[np.int64], gap: NDArray[np.int64], n_rows: int, margin: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the candidate pairs that are as good as the nearest of their row, and those that are alone in it."""
    nearest = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(nearest, row, gap)
    near = gap - nearest[row] <= margin
    return near, np.bincount(row[near], minlength=n_rows)[row] == 1


def _side(frame: pd.DataFrame, free: NDArray[np.bool_], rules: Rules, *, offset: int) -> _Side:
    start = instants_us(frame["started_at"])
    at = np.flatnonzero(free & (start != _NAT))
    numbers: dict[str, pa.LargeStringArray] = {}
    digits = np.ones(len(at), np.bool_)
    for party in ("from", "to"):
        raw = take_text(text_array(frame[f"{party}_number"]), at)
        e164 = e164_of(frame, party, at)
        tail = _tail(raw, e164, rules.number_digits)
        digits &= np.asarray(pc.fill_null(pc.greater(pc.binary_length(tail), 0), fill_value=False))
        numbers |= {f"{party}_e164": e164, f"{party}_tail": tail}
    keep = np.flatnonzero(digits)
    if len(keep) < len(at):
        numbers = {name: take_text(array, keep) for name, array in numbers.items()}
        at = at[keep]
    encoded = take_text(text_array(frame["direction"]), at).dictionary_encode()
    known = np.array([*(_DIRECTIONS.get(normal_word(word), 0) for word in encoded.dictionary.to_pylist()), 0])
    direction = known[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    return _Side(at, start[at] - offset, direction, **numbers)


def e164_of(frame: pd.DataFrame, party: str, rows: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return a party's numbers in E.164: the frame's own column of them, else read from what was delivered."""
    column = f"{party}_e164"
    if column in frame.columns and str(frame[column].dtype) == Kind.TEXT.value:
        return take_text(text_array(frame[column]), rows)
    return e164_array(take_text(text_array(frame[f"{party}_number"]), rows))


def _of_distinct(
    array: pa.LargeStringArray, change: Callable[[pa.LargeStringArray], pa.LargeStringArray]
) -> pa.LargeStringArray:
    """Return the changed texts, each distinct one being changed once: the same people call again and again."""
    encoded = array.dictionary_encode()
    return change(encoded.dictionary).take(encoded.indices)


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


def _number_codes(left: _Side, right: _Side) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one code per pair of numbers, the same on both sides."""
    codes = np.zeros(len(left.rows) + len(right.rows), np.int64)
    for name in ("from_tail", "to_tail"):
        tails = pa.concat_arrays([getattr(left, name), getattr(right, name)])
        codes = pd.factorize(codes * len(codes) + first_occurrence(tails))[0].astype(np.int64)
    return codes[: len(left.rows)], codes[len(left.rows) :]


def _candidates(
    left: _Side, right: _Side, window: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the places of all pairs in the window, and who has too many to be decided."""
    left_code, right_code = _number_codes(left, right)
    call, cdr, crowded_call = _in_window(left_code, left.start, right_code, right.start, window)
    if crowded_call.any():
        # What a crowded call left out may be the nearest of a CDR call: look from the other side too.
        cdr_too, call_too, crowded_cdr = _in_window(right_code, right.start, left_code, left.start, window)
        both = np.unique(np.concatenate([call * len(right.rows) + cdr, call_too * len(right.rows) + cdr_too]))
        call, cdr = both // len(right.rows), both % len(right.rows)
    else:
        crowded_cdr = np.zeros(len(right.rows), np.bool_)
    fits = ~_contradict(left.direction[call], right.direction[cdr])
    for name in ("from_e164", "to_e164"):
        one, other = take_text(getattr(left, name), call), take_text(getattr(right, name), cdr)
        fits &= np.asarray(pc.fill_null(pc.equal(one, other), fill_value=True))
    return call[fits], cdr[fits], crowded_call, crowded_cdr


def _contradict(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (one != other) & (one > 0) & (other > 0)


def _in_window(
    code: NDArray[np.int64],
    start: NDArray[np.int64],
    other_code: NDArray[np.int64],
    other_start: NDArray[np.int64],
    window: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each row the other rows with its code that start within the window, and who has too many."""
    order = np.lexsort((other_start, other_code))
    codes, starts = other_code[order], other_start[order]
    block = np.searchsorted(codes, code, "left"), np.searchsorted(codes, code, "right")
    begin = _bisect(starts, *block, start - window, after_equal=False)
    end = _bisect(starts, *block, start + window, after_equal=True)
    crowded = end - begin > MOST_RIVALS
    if crowded.any():
        middle = _bisect(starts, begin, end, start, after_equal=False)
        begin = np.where(crowded, np.maximum(begin, middle - MOST_RIVALS // 2), begin)
        end = np.where(crowded, np.minimum(end, middle + MOST_RIVALS // 2), end)
    counts = end - begin
    row = np.repeat(np.arange(len(code)), counts)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, order[begin[row] + nth], crowded


def _bisect(
    values: NDArray[np.int64],
    low: NDArray[Any],
    high: NDArray[Any],
    wanted: NDArray[np.int64],
    *,
    after_equal: bool,
) -> NDArray[np.int64]:
    """Return where each wanted value belongs within its own sorted stretch of the values."""
    low, high = low.astype(np.int64), high.astype(np.int64)
    while True:
        rows = np.flatnonzero(low < high)
        if not len(rows):
            return low
        middle = (low[rows] + high[rows]) // 2
        found = values[middle]
        further = (found <= wanted[rows]) if after_equal else (found < wanted[rows])
        low[rows[further]] = middle[further] + 1
        high[rows[~further]] = middle[~further]
