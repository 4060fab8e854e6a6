"""Both sides of pairs that lie in the parts of a cluster: they are counted, marked and looked for where they lie.

Input are spread frames and the positions of their pairs, output is what `Columns` and
`Sides` return of frames that are here. A pair whose rows lie in one part is looked at
there; the two rows of any other are brought together in a part more. What arrives here
are counts, a few rows, or arrays of numbers, never a column of text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from dask.base import persist

from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.sides import Columns, Sides, word_codes
from sippet_reconcile.scale.spread import gathered, joined_codes, row_numbers

if TYPE_CHECKING:
    import pandas as pd
    from dask.delayed import Delayed
    from numpy.typing import NDArray

__all__ = ["SpreadColumns", "SpreadSides"]

_AT_ONCE: Final = 250_000
"""Pairs of which the two rows lie apart that are brought together in one part."""

_APART: Final = -1


class SpreadColumns(Columns):
    """The columns of a spread frame: rows are looked at where they lie, and nothing that they are is kept here."""

    frame: Any

    def _keep(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        del kind, name
        return make()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a text column as `text_codes` does; no text travels twice."""
        return self.frame.codes(name)

    def words(self, name: str) -> list[str]:
        """Return the distinct words of a text column."""
        return self.frame.words(name)

    def at(self, kind: str, name: str, positions: NDArray[np.int64] | slice) -> Any:
        """Return a column of some rows, which alone are fetched."""
        rows = np.arange(len(self.frame))[positions] if isinstance(positions, slice) else positions
        some = Columns(self.frame[[name]].take(rows), self.clock_offset_s)
        return some.codes(name)[0] if kind == "codes" else getattr(some, kind)(name)

    def flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of flags."""
        return self._column(_flags, name)

    def is_known(self, name: str) -> NDArray[np.bool_]:
        """Mark the rows that have a text."""
        return self._column(_is_known, name)

    def instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants, without the clock offset."""
        return self._column(_instants, name)

    def summed(self, count: Callable[..., Any], *terms: Any, along: Sequence[NDArray[Any]] = ()) -> Any:
        """Add what ``count(columns, *along, *terms)`` counts in each part."""
        return reduce(add, (counted for _, counted in self._looked(count, terms, along)))

    def told(
        self, tell: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return the arrays of ``tell(columns, *along, *terms)``, in the order of the whole."""
        return _put_together(len(self.frame), self._looked(tell, terms, along))

    def found(
        self, find: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return what ``find(columns, *along, *terms)`` finds in each part, in the order of the whole."""
        return _in_one_order(self._looked(find, terms, along))

    def _column(self, tell: Callable[..., tuple[NDArray[Any]]], name: str) -> NDArray[Any]:
        return _put_together(len(self.frame), self._looked(tell, (name,), (), [name]))[0]

    def _looked(
        self,
        look: Callable[..., Any],
        terms: Sequence[Any],
        along: Sequence[NDArray[Any]],
        names: Sequence[str] | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        rows = self.frame.rows_of_parts()
        parts = self.frame.parts(self.frame.core if names is None else names)
        looked = gathered(
            _look_at_columns,
            [look] * len(parts),
            parts,
            [self.clock_offset_s] * len(parts),
            [[values[of_part] for values in along] for of_part in rows],
            [terms] * len(parts),
        )
        return zip(rows, looked, strict=True)


def _look_at_columns(
    look: Callable[..., Any], part: pd.DataFrame, offset_s: float, along: Sequence[Any], terms: Sequence[Any]
) -> Any:
    return look(Columns(part, offset_s), *along, *terms)


def _flags(columns: Columns, name: str) -> tuple[NDArray[np.bool_]]:
    return (columns.flags(name),)


def _is_known(columns: Columns, name: str) -> tuple[NDArray[np.bool_]]:
    return (columns.is_known(name),)


def _instants(columns: Columns, name: str) -> tuple[NDArray[np.datetime64]]:
    return (columns.instants(name),)


def _put_together(
    size: int, looked: Iterator[tuple[NDArray[Any], tuple[NDArray[Any], ...]]]
) -> tuple[NDArray[Any], ...]:
    """Return arrays of all rows, where those of each part's rows are given."""
    together: tuple[NDArray[Any], ...] = ()
    for rows, arrays in looked:
        together = together or tuple(np.empty(size, array.dtype) for array in arrays)
        for whole, array in zip(together, arrays, strict=True):
            whole[rows] = array
    return together


def _in_one_order(
    looked: Iterator[tuple[NDArray[Any], tuple[NDArray[Any], ...]]],
) -> tuple[NDArray[Any], ...]:
    """Return what was found in all parts, by position in the whole, ascending."""
    found = [[rows[places], *arrays] for rows, (places, *arrays) in looked]
    order = np.argsort(np.concatenate([of_part[0] for of_part in found]), kind="stable")
    # What is put together is let go of, before the next is.
    return tuple(np.concatenate([of_part.pop(0) for of_part in found])[order] for _ in range(len(found[0])))


@dataclass(frozen=True, eq=False)
class _Apart:
    """The pairs whose two rows lie in different parts, in parts of their own, which are made once.

    Attributes
    ----------
    calls, cdr_calls
        The spread frames.
    call_pos, cdr_pos
        The pairs, by the position of the call.
    """

    calls: Any
    cdr_calls: Any
    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]

    def made(self, names: tuple[Sequence[str], Sequence[str]]) -> list[tuple[Delayed, Delayed]]:
        """Return the rows of both frames, side by side, so many pairs in a part; some columns of them."""
        begins = range(0, len(self.call_pos), _AT_ONCE)
        return [
            (
                self.calls.as_part(self.call_pos[begin : begin + _AT_ONCE], names[0]),
                self.cdr_calls.as_part(self.cdr_pos[begin : begin + _AT_ONCE], names[1]),
            )
            for begin in begins
        ]

    @cached_property
    def core(self) -> list[tuple[Delayed, Delayed]]:
        """The parts with the columns that are looked at often."""
        kept = persist(*(one for both in self.made((self.calls.core, self.cdr_calls.core)) for one in both))
        return list(zip(kept[::2], kept[1::2], strict=True))


@dataclass(frozen=True, eq=False)
class SpreadSides(Sides):
    """The pairs of spread frames; nothing that is looked at is kept."""

    apart: _Apart = field(repr=False, kw_only=True)

    @classmethod
    def of_spread(
        cls, calls: Any, cdr_calls: Any, pairs: PairPositions, clock_offset_s: float
    ) -> SpreadSides:
        """Return both sides of all pairs of two spread frames."""
        is_apart = _parts_of(calls, pairs.call_pos) != _parts_of(cdr_calls, pairs.cdr_pos)
        rows = np.flatnonzero(is_apart)
        rows = rows[np.argsort(pairs.call_pos[rows], kind="stable")]
        return cls(
            SpreadColumns(calls),
            SpreadColumns(cdr_calls, clock_offset_s),
            pairs.call_pos,
            pairs.cdr_pos,
            pairs.rule,
            pairs.confidence,
            apart=_Apart(calls, cdr_calls, pairs.call_pos[rows], pairs.cdr_pos[rows]),
        )

    def at(self, rows: NDArray[np.int64] | slice) -> SpreadSides:
        """Return the sides of some pairs, by position."""
        return SpreadSides(
            self.of_calls,
            self.of_cdr,
            self.call_pos[rows],
            self.cdr_pos[rows],
            self.rule[rows],
            self.confidence[rows],
            apart=self.apart,
        )

    def _keep(self, side: str, kind: str, name: str, make: Callable[[], Any]) -> Any:
        del side, kind, name
        return make()

    def summed(
        self,
        count: Callable[..., Any],
        *terms: Any,
        along: Sequence[NDArray[Any]] = (),
        also: Sequence[str] = (),
    ) -> Any:
        """Add what ``count(sides, *along, *terms)`` counts in each part."""
        return reduce(add, (counted for _, counted in self.looked(count, terms, along, also=also)))

    def told(
        self, tell: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return the arrays of ``tell(sides, *along, *terms)``, in the order of these pairs."""
        return _put_together(len(self), self.looked(tell, terms, along))

    def found(
        self,
        find: Callable[..., tuple[NDArray[Any], ...]],
        *terms: Any,
        along: Sequence[NDArray[Any]] = (),
        also: Sequence[str] = (),
    ) -> tuple[NDArray[Any], ...]:
        """Return what ``find(sides, *along, *terms)`` finds in each part, in the order of these pairs."""
        return _in_one_order(self.looked(find, terms, along, also=also))

    def worded(
        self, text_of: Callable[[Sides], pa.LargeStringArray], *, also: Sequence[str] = ()
    ) -> tuple[NDArray[Any], list[str]]:
        """Return a text per pair as codes and the words; no text travels twice."""
        looked = list(self.looked(_worded, (text_of,), also=also))
        codes, words = joined_codes(of_part for _, of_part in looked)
        together = np.empty_like(codes)
        together[np.concatenate([rows for rows, _ in looked])] = codes
        return together, words

    def call_codes(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """Return a column of few distinct texts of the calls as codes and the words."""
        return self.worded(partial(_call_text, name), also=[name])

    def cdr_codes(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """Return a column of few distinct texts of the CDR calls as codes and the words."""
        return self.worded(partial(_cdr_text, name), also=[name])

    def looked(
        self,
        look: Callable[..., Any],
        terms: Sequence[Any] = (),
        along: Sequence[NDArray[Any]] = (),
        *,
        also: Sequence[str] | None = (),
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """Yield for each part the pairs that were looked at there, and what ``look(sides, *along, *terms)`` returned.

        Beside the columns that are looked at often those are there that `also` names, all with None.
        Without any pair the function is called here, once, with none.
        """
        parts = self._in_parts(also)
        if not parts:
            none = np.zeros(0, np.int64)
            yield none, look(self._without_rows(), *(values[none] for values in along), *terms)
            return
        asked = [
            _Asked(look, self.of_cdr.clock_offset_s, (*(values[of_part] for values in along), *terms))
            for of_part, *_ in parts
        ]
        rows, *both_and_pairs = zip(*parts, strict=True)
        yield from zip(rows, gathered(_look_at_pairs, *both_and_pairs, asked), strict=True)

    def _without_rows(self) -> Sides:
        frames: tuple[Any, Any] = self.calls, self.cdr_calls
        of_calls, of_cdr = Columns(frames[0].meta), Columns(frames[1].meta, self.of_cdr.clock_offset_s)
        positions, codes = np.zeros(0, np.int64), np.zeros(0, np.int8)
        return Sides(of_calls, of_cdr, positions, positions, codes, codes)

    def _in_parts(
        self, also: Sequence[str] | None
    ) -> list[tuple[NDArray[Any], Delayed, Delayed, PairPositions]]:
        """Return pairs, the two parts that they lie in, and their positions there."""
        calls: Any = self.calls
        cdr_calls: Any = self.cdr_calls
        names = calls.core_and(also), cdr_calls.core_and(also)
        of_calls, of_cdr = calls.parts(names[0]), cdr_calls.parts(names[1])
        part = _parts_of(calls, self.call_pos)
        part[part != _parts_of(cdr_calls, self.cdr_pos)] = _APART
        found: list[tuple[NDArray[Any], Delayed, Delayed, PairPositions]] = []
        for number, rows in _by_number(part):
            if number != _APART:
                positions = (
                    calls.places_in(number, self.call_pos[rows]),
                    cdr_calls.places_in(number, self.cdr_pos[rows]),
                )
                pairs = PairPositions(*positions, self.rule[rows], self.confidence[rows])
                found.append((rows, of_calls[number], of_cdr[number], pairs))
                continue
            made = self.apart.core if names == (calls.core, cdr_calls.core) else self.apart.made(names)
            place = np.searchsorted(self.apart.call_pos, self.call_pos[rows])
            for block, of_block in _by_number((place // _AT_ONCE).astype(np.int32)):
                some, at = rows[of_block], (place[of_block] % _AT_ONCE).astype(np.int64)
                found.append(
                    (some, *made[block], PairPositions(at, at, self.rule[some], self.confidence[some]))
                )
        return found


def _parts_of(frame: Any, positions: NDArray[np.int64]) -> NDArray[np.int32]:
    parts = np.empty(len(positions), np.int32)
    for begin in range(0, len(positions), _AT_ONCE):
        parts[begin : begin + _AT_ONCE] = frame.parts_of(positions[begin : begin + _AT_ONCE])[0]
    return parts


def _by_number(numbers: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield each number that occurs, and its places, ascending."""
    order = np.argsort(numbers, kind="stable").astype(row_numbers(len(numbers)))
    ordered = numbers[order]
    edges = np.flatnonzero(np.diff(ordered, prepend=-2, append=-2)).tolist()
    for begin, end in pairwise(edges):
        yield int(ordered[begin]), order[begin:end]


class _Asked(NamedTuple):
    """What pairs are looked at with."""

    look: Callable[..., Any]
    clock_offset_s: float
    given: tuple[Any, ...]


def _look_at_pairs(calls: pd.DataFrame, cdr_calls: pd.DataFrame, pairs: PairPositions, asked: _Asked) -> Any:
    of_calls, of_cdr = Columns(calls), Columns(cdr_calls, asked.clock_offset_s)
    call_pos, cdr_pos = pairs.call_pos.astype(np.int64), pairs.cdr_pos.astype(np.int64)
    return asked.look(Sides(of_calls, of_cdr, call_pos, cdr_pos, pairs.rule, pairs.confidence), *asked.given)


def _worded(sides: Sides, text_of: Callable[[Sides], pa.LargeStringArray]) -> tuple[NDArray[Any], list[str]]:
    return word_codes(text_of(sides))


def _call_text(name: str, sides: Sides) -> pa.LargeStringArray:
    return sides.call_text(name)


def _cdr_text(name: str, sides: Sides) -> pa.LargeStringArray:
    return sides.cdr_text(name)
