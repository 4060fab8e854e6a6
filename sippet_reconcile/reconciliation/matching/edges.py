"""Who might be whom: pairs of a call and a CDR call whose numbers fit and whose starts lie in the window.

Input are the rows of both sides, output are `Edges`, pairs of places in them. Full
edges have both numbers in common. Weak ones have one, in full, and nothing against
them on the other side: a caller is withheld, or one number is a shorter, local form of
the other. No edge is both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.reconciliation.matching.legs import take_text
from sippet_reconcile.reconciliation.matching.parties import contradict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.parties import Party, Rows

__all__ = ["MOST_RIVALS", "Edges", "find_edges"]

MOST_RIVALS: Final = 64
"""A row with more candidates in its window is never decided; only so many nearest are looked at."""

MOST_WEAK_RIVALS: Final = 8
"""The same for weak edges, of which a single rival suffices that nothing is decided."""

FULL_DIGITS: Final = 7
"""A number without E.164 is known in full from so many digits; a shorter one is an extension or a code."""

SHORTEST_LOCAL: Final = 6
"""A number of fewer digits is never taken for the local form of a longer one: extensions are that short."""


@dataclass(frozen=True, eq=False)
class Edges:
    """Places of calls and CDR calls that fit, each pair once, and the rows that have too many to be decided."""

    call: NDArray[np.int64]
    cdr: NDArray[np.int64]
    crowded_call: NDArray[np.bool_]
    crowded_cdr: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.call)

    @property
    def is_crowded(self) -> NDArray[np.bool_]:
        """Mark the edges of which either row has too many."""
        return self.crowded_call[self.call] | self.crowded_cdr[self.cdr]

    def where(self, chosen: NDArray[np.bool_]) -> Edges:
        """Return some of the edges."""
        return (
            self
            if bool(chosen.all())
            else Edges(self.call[chosen], self.cdr[chosen], self.crowded_call, self.crowded_cdr)
        )

    @classmethod
    def joined(cls, parts: list[Edges]) -> Edges:
        """Return the edges of all parts, which share none and speak of the same rows."""
        return cls(
            np.concatenate([part.call for part in parts]),
            np.concatenate([part.cdr for part in parts]),
            np.logical_or.reduce([part.crowded_call for part in parts]),
            np.logical_or.reduce([part.crowded_cdr for part in parts]),
        )


_Codes = tuple["NDArray[np.int64]", "NDArray[np.int64]"]
"""A code per row of each side; the same code is the same text."""


def find_edges(calls: Rows, cdr: Rows, window: int, number_digits: int) -> tuple[Edges, Edges]:
    """Return the full edges and the weak ones of all rows whose starts lie in the window.

    Numbers are the same in E.164 where both sides have that, else by their last digits.
    """
    codes = {party: _codes(calls, cdr, party) for party in ("caller", "called")}
    named = ~calls.is_withheld, ~cdr.is_withheld
    full = _edges(
        calls, cdr, _combined(codes["caller"], codes["called"]), named, window=window, most=MOST_RIVALS
    )
    full = full.where(_fits(calls, cdr, full, ("caller", "called")))
    nothing = np.zeros(0, np.int64)
    weak = [Edges(nothing, nothing, np.zeros(len(calls), np.bool_), np.zeros(len(cdr), np.bool_))]
    weak += _withheld_callers(calls, cdr, codes["called"], window)
    if number_digits > SHORTEST_LOCAL:
        for party, other in (("caller", "called"), ("called", "caller")):
            weak += _local_forms(
                calls, cdr, party, other, codes[other], window=window, number_digits=number_digits
            )
    return full, Edges.joined(weak)


def _withheld_callers(calls: Rows, cdr: Rows, called: _Codes, window: int) -> list[Edges]:
    """Return the pairs that called the same full number, the caller being withheld on one side at least."""
    is_full = calls.called.length >= FULL_DIGITS, cdr.called.length >= FULL_DIGITS
    # A pair that is withheld on both sides is found from its call alone.
    of_calls = calls.is_withheld & is_full[0], is_full[1]
    of_cdr = ~calls.is_withheld & is_full[0], cdr.is_withheld & is_full[1]
    found: list[Edges] = []
    for masks in (of_calls, of_cdr):
        if masks[0].any() and masks[1].any():
            edges = _edges(calls, cdr, called, masks, window=window, most=MOST_WEAK_RIVALS)
            found.append(edges.where(_fits(calls, cdr, edges, ("called",)) & _same_word(calls, cdr, edges)))
    return found


def _local_forms(
    calls: Rows, cdr: Rows, party: str, other: str, other_code: _Codes, *, window: int, number_digits: int
) -> list[Edges]:
    """Return the pairs of which one side has a party's last digits alone, at least six, and the other its number."""
    mine: list[Party] = [getattr(side, party) for side in (calls, cdr)]
    known = [getattr(side, other).length >= FULL_DIGITS for side in (calls, cdr)]
    is_short = [
        (one.length >= SHORTEST_LOCAL) & (one.length < number_digits) & np.asarray(one.e164.is_null()) & full
        for one, full in zip(mine, known, strict=True)
    ]
    is_long = [(one.length >= number_digits) & full for one, full in zip(mine, known, strict=True)]
    found: list[Edges] = []
    for masks in ((is_short[0], is_long[1]), (is_long[0], is_short[1])):
        if not (masks[0].any() and masks[1].any()):
            continue
        ends = [pc.utf8_slice_codeunits(one.tail, start=-SHORTEST_LOCAL) for one in mine]
        code = _combined(_text_codes(*ends), other_code)
        edges = _edges(calls, cdr, code, masks, window=window, most=MOST_WEAK_RIVALS)
        pair = mine[0].take(edges.call), mine[1].take(edges.cdr)
        length = np.minimum(pair[0].length, pair[1].length)
        fits = _fits(calls, cdr, edges, (other,))
        for count in range(SHORTEST_LOCAL + 1, number_digits):
            rows = np.flatnonzero(length == count)
            if len(rows):
                tails = (pc.utf8_slice_codeunits(take_text(one.tail, rows), start=-count) for one in pair)
                fits[rows] &= np.asarray(pc.equal(*tails))
        found.append(edges.where(fits))
    return found


def _fits(calls: Rows, cdr: Rows, edges: Edges, parties: tuple[str, ...]) -> NDArray[np.bool_]:
    """Mark the edges whose directions and E.164 numbers do not contradict."""
    fits = ~contradict(calls.direction[edges.call], cdr.direction[edges.cdr])
    for name in parties:
        one = take_text(getattr(calls, name).e164, edges.call)
        other = take_text(getattr(cdr, name).e164, edges.cdr)
        fits &= np.asarray(pc.fill_null(pc.equal(one, other), fill_value=True))
    return fits


def _same_word(calls: Rows, cdr: Rows, edges: Edges) -> NDArray[np.bool_]:
    """Mark the edges of which the sides do not say two words that may be two users."""
    one, other = take_text(calls.word, edges.call), take_text(cdr.word, edges.cdr)
    return np.asarray(pc.fill_null(pc.equal(one, other), fill_value=True))


def _text_codes(one: pa.LargeStringArray, other: pa.LargeStringArray) -> _Codes:
    codes = first_occurrence(pa.concat_arrays([one, other]))
    return codes[: len(one)], codes[len(one) :]


def _codes(calls: Rows, cdr: Rows, party: str) -> _Codes:
    """Return a code of each row's last digits of a party, the same on both sides."""
    return _text_codes(getattr(calls, party).tail, getattr(cdr, party).tail)


def _combined(one: _Codes, other: _Codes) -> _Codes:
    """Return a code for each combination of two codes."""
    codes = np.concatenate(one).astype(np.int64) * np.int64(len(one[0]) + len(one[1])) + np.concatenate(other)
    return codes[: len(one[0])], codes[len(one[0]) :]


def _edges(
    calls: Rows,
    cdr: Rows,
    code: _Codes,
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    *,
    window: int,
    most: int,
) -> Edges:
    """Return all pairs of marked rows with the same code in the window, and who has too many to be decided."""
    left, right = np.flatnonzero(masks[0]), np.flatnonzero(masks[1])
    one = code[0][left], calls.start[left]
    other = code[1][right], cdr.start[right]
    crowded_call, crowded_cdr = np.zeros(len(calls), np.bool_), np.zeros(len(cdr), np.bool_)
    call, found, crowded = _in_window(*one, *other, window=window, most=most)
    if crowded.any():
        # What a crowded call left out may be the nearest of a CDR call: look from the other side too.
        crowded_call[left[crowded]] = True
        found_too, call_too, crowded = _in_window(*other, *one, window=window, most=most)
        crowded_cdr[right[crowded]] = True
        both = np.unique(np.concatenate([call * len(right) + found, call_too * len(right) + found_too]))
        call, found = both // len(right), both % len(right)
    return Edges(left[call], right[found], crowded_call, crowded_cdr)


def _in_window(
    code: NDArray[np.int64],
    start: NDArray[np.int64],
    other_code: NDArray[np.int64],
    other_start: NDArray[np.int64],
    *,
    window: int,
    most: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each row the other rows with its code that start within the window, and who has too many."""
    order = np.lexsort((other_start, other_code))
    codes, starts = other_code[order], other_start[order]
    block = np.searchsorted(codes, code, "left"), np.searchsorted(codes, code, "right")
    begin = _bisect(starts, *block, start - window, after_equal=False)
    end = _bisect(starts, *block, start + window, after_equal=True)
    crowded = end - begin > most
    if crowded.any():
        middle = _bisect(starts, begin, end, start, after_equal=False)
        begin = np.where(crowded, np.maximum(begin, middle - most // 2), begin)
        end = np.where(crowded, np.minimum(end, middle + most // 2), end)
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
