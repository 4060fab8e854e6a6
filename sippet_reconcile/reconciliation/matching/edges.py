"""Who might be whom: pairs of a call and a CDR call whose numbers fit and whose starts lie in the window.

Input are the rows of both sides, output are `Edges`, pairs of places in them. Full
edges have both numbers in common. Weak ones have one, in full, and nothing against
them on the other side: a caller is withheld, or one number is a shorter, local form of
the other. No edge is both. Whatever makes an edge, the end of the called number is the
same on both sides: rows that have it in common can be looked at without all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import first_occurrence, hash_text
from sippet_reconcile.reconciliation.core import at_once
from sippet_reconcile.reconciliation.matching.legs import take_text
from sippet_reconcile.reconciliation.matching.parties import contradict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.parties import Party, Rows

__all__ = ["MOST_RIVALS", "Edges", "find_edges", "meeting_keys"]

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

_Masks = tuple["NDArray[np.bool_]", "NDArray[np.bool_]"]


def find_edges(calls: Rows, cdr: Rows, window: int, number_digits: int) -> tuple[Edges, Edges]:
    """Return the full edges and the weak ones of all rows whose starts lie in the window.

    Numbers are the same in E.164 where both sides have that, else by their last digits.
    """
    named = ~calls.is_withheld, ~cdr.is_withheld
    codes, sides = at_once(
        lambda: {party: _codes(calls, cdr, party) for party in ("caller", "called")},
        lambda: _Sides.of(calls, cdr),
    )
    full = sides.edges(_combined(codes["caller"], codes["called"]), named, window=window, most=MOST_RIVALS)
    full = full.where(sides.fit(full, ("caller", "called")))
    nothing = np.zeros(0, np.int64)
    weak = [Edges(nothing, nothing, np.zeros(len(calls), np.bool_), np.zeros(len(cdr), np.bool_))]
    weak += _withheld_callers(sides, codes["called"], window)
    if number_digits > SHORTEST_LOCAL:
        for party, other in (("caller", "called"), ("called", "caller")):
            weak += _local_forms(
                sides, party, other, codes[other], window=window, number_digits=number_digits
            )
    return full, Edges.joined(weak)


def meeting_keys(rows: Rows) -> NDArray[np.uint64]:
    """Return a number per row: rows that an edge may join have the same one, whatever the window.

    It is made of the last digits called, as many as the shortest local form has. Where a
    number that was called is the local form of another one, both end in these; any other
    edge has all the last digits in common.
    """
    return hash_text(_end(rows.called.tail))


def _end(tail: pa.LargeStringArray) -> pa.LargeStringArray:
    return pc.utf8_slice_codeunits(tail, start=-SHORTEST_LOCAL)


def _withheld_callers(sides: _Sides, called: _Codes, window: int) -> list[Edges]:
    """Return the pairs that called the same full number, the caller being withheld on one side at least."""
    calls, cdr = sides.calls, sides.cdr
    is_full = calls.called.length >= FULL_DIGITS, cdr.called.length >= FULL_DIGITS
    # A pair that is withheld on both sides is found from its call alone.
    of_calls = calls.is_withheld & is_full[0], is_full[1]
    of_cdr = ~calls.is_withheld & is_full[0], cdr.is_withheld & is_full[1]
    found: list[Edges] = []
    for masks in (of_calls, of_cdr):
        if masks[0].any() and masks[1].any():
            edges = sides.edges(called, masks, window=window, most=MOST_WEAK_RIVALS)
            found.append(edges.where(sides.fit(edges, ("called",)) & _same_word(calls, cdr, edges)))
    return found


def _local_forms(
    sides: _Sides, party: str, other: str, other_code: _Codes, *, window: int, number_digits: int
) -> list[Edges]:
    """Return the pairs of which one side has a party's last digits alone, at least six, and the other its number."""
    calls, cdr = sides.calls, sides.cdr
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
        ends = [_end(one.tail) for one in mine]
        code = _combined(_text_codes(*ends), other_code)
        edges = sides.edges(code, masks, window=window, most=MOST_WEAK_RIVALS)
        pair = mine[0].take(edges.call), mine[1].take(edges.cdr)
        length = np.minimum(pair[0].length, pair[1].length)
        fits = sides.fit(edges, (other,))
        for count in range(SHORTEST_LOCAL + 1, number_digits):
            rows = np.flatnonzero(length == count)
            if len(rows):
                tails = (pc.utf8_slice_codeunits(take_text(one.tail, rows), start=-count) for one in pair)
                fits[rows] &= np.asarray(pc.equal(*tails))
        found.append(edges.where(fits))
    return found


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


def _e164_codes(calls: Rows, cdr: Rows, party: str) -> _Codes:
    numbers: list[pa.LargeStringArray] = [getattr(side, party).e164 for side in (calls, cdr)]
    one, other = (
        np.where(np.asarray(array.is_valid()), codes, -1)
        for array, codes in zip(numbers, _text_codes(*numbers), strict=True)
    )
    return one, other


def _combined(one: _Codes, other: _Codes) -> _Codes:
    """Return a code for each combination of two codes."""
    size = len(one[0]) + len(one[1])
    codes = np.concatenate(one).astype(np.int64) * np.int64(size) + np.concatenate(other)
    few = pa.array(codes).dictionary_encode().indices.to_numpy().astype(np.int64)
    return few[: len(one[0])], few[len(one[0]) :]


@dataclass(frozen=True, eq=False)
class _Sides:
    """Both sides, their rows in the order of their starts, and a code of each party's number in E.164, -1 without."""

    calls: Rows
    cdr: Rows
    calls_by_time: NDArray[np.int64]
    cdr_by_time: NDArray[np.int64]
    e164: dict[str, _Codes]

    @classmethod
    def of(cls, calls: Rows, cdr: Rows) -> _Sides:
        """Put the rows of both sides in order."""
        e164 = {party: _e164_codes(calls, cdr, party) for party in ("caller", "called")}
        by_time = [np.argsort(side.start, kind="stable") for side in (calls, cdr)]
        return cls(calls, cdr, by_time[0], by_time[1], e164)

    def fit(self, edges: Edges, parties: tuple[str, ...]) -> NDArray[np.bool_]:
        """Mark the edges whose directions and E.164 numbers do not contradict."""
        fits = ~contradict(self.calls.direction[edges.call], self.cdr.direction[edges.cdr])
        for party in parties:
            one, other = self.e164[party][0][edges.call], self.e164[party][1][edges.cdr]
            fits &= (one == other) | (one < 0) | (other < 0)
        return fits

    def edges(self, code: _Codes, masks: _Masks, *, window: int, most: int) -> Edges:
        """Return all pairs of marked rows with the same code in the window, and who has too many to be decided."""
        left, right = (
            rows[mask[rows]] for rows, mask in zip((self.calls_by_time, self.cdr_by_time), masks, strict=True)
        )
        one = code[0][left], self.calls.start[left]
        other = code[1][right], self.cdr.start[right]
        crowded_call, crowded_cdr = np.zeros(len(self.calls), np.bool_), np.zeros(len(self.cdr), np.bool_)
        call, found, crowded = _in_window(*one, *other, window=window, most=most)
        if crowded.any():
            # What a crowded call left out may be the nearest of a CDR call: look from the other side too.
            crowded_call[left[crowded]] = True
            found_too, call_too, crowded = _in_window(*other, *one, window=window, most=most)
            crowded_cdr[right[crowded]] = True
            both = np.concatenate([call * len(right) + found, call_too * len(right) + found_too])
            both.sort()
            both = both[np.append(True, both[1:] != both[:-1])]
            call, found = both // len(right), both % len(right)
        else:
            crowded_cdr[right] = np.bincount(found, minlength=len(right)) > most
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
    """Return for each row the other rows with its code that start within the window, and who has too many.

    Both sides are in the order of their starts.
    """
    # One number per row sorts by code and then by time, and says which row it is. Numbers are looked for in
    # their own order as well, so that each search begins where the last one ended.
    size = np.int64(len(other_start) + 1)
    keys = np.sort(other_code * size + np.arange(len(other_start)))
    first = code * size
    low = first + np.searchsorted(other_start, start - window, "left")
    row = np.argsort(low, kind="stable")
    begin = np.searchsorted(keys, low[row])
    end = np.searchsorted(keys, (first + np.searchsorted(other_start, start + window, "right"))[row])
    crowded = end - begin > most
    if crowded.any():
        middle = np.searchsorted(keys, (first + np.searchsorted(other_start, start, "left"))[row])
        begin = np.where(crowded, np.maximum(begin, middle - most // 2), begin)
        end = np.where(crowded, np.minimum(end, middle + most // 2), end)
    counts = end - begin
    place = np.repeat(begin - np.cumsum(counts) + counts, counts) + np.arange(int(counts.sum()))
    return np.repeat(row, counts), keys[place] % size, _unsorted(crowded, row)


def _unsorted(values: NDArray[np.bool_], row: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return values of rows that were put in order in the order of the rows."""
    found = np.empty_like(values)
    found[row] = values
    return found
