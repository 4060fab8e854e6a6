"""Hold both sides' starts against each other: how far apart, when, and in which part of the data.

Input are exactly matched pairs, output are the gaps between their two starts and the
ways to group them: by file, kept source column, direction, user, own number. A clock
is mis-read or wrong for everything that one machine or one file wrote, so whatever
looks for clocks looks at such groups, and at stretches of time within them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S, ordered_by
from sippet_reconcile.reconciliation.sides import micros
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["EVERYTHING", "OWN_NUMBER", "GapCounts", "Grouping", "StartGaps"]

EVERYTHING: Final = ""
"""The name of the grouping that has one group."""

OWN_NUMBER: Final = "own_number"
"""The grouping by the called number of an inbound call and the calling one of an outbound call."""

_PLACES: Final = "places in "
_LOOKED_AT: Final = 1000
_FEW_WORDS: Final = 10  # so many are few in however small a column


@dataclass(frozen=True, eq=False)
class Grouping:
    """One way to tell pairs apart.

    Attributes
    ----------
    name
        The column, or `EVERYTHING`.
    codes
        The group of each pair, a position in `words`.
    words
        What the groups are called, in order; the last may be None, for pairs without a word.
    """

    name: str
    codes: NDArray[np.int32]
    words: list[str | None]

    @classmethod
    def everything(cls, n_pairs: int) -> Grouping:
        """Return one group of all pairs."""
        return cls(EVERYTHING, np.zeros(n_pairs, np.int32), [None])

    @classmethod
    def of_words(cls, name: str, codes: NDArray[np.int64], words: list[str]) -> Grouping:
        """Return the groups that occur, in the order of their words; the code -1 stands for no word.

        Examples
        --------
        >>> grouping = Grouping.of_words("x_trunk", np.array([2, -1, 0]), ["b", "never", "a"])
        >>> grouping.codes.tolist(), grouping.words
        ([0, 2, 1], ['a', 'b', None])
        """
        occurs = np.bincount(codes + 1, minlength=len(words) + 1) > 0
        kept = sorted(np.flatnonzero(occurs[1:]).tolist(), key=words.__getitem__)
        rank = np.full(len(words) + 1, len(kept), np.int32)  # the last is where the code -1 looks
        rank[kept] = np.arange(len(kept), dtype=np.int32)
        named: list[str | None] = [words[at] for at in kept]
        return cls(name, rank[codes], [*named, None] if occurs[0] else named)

    def of_rows(self, rows: NDArray[Any]) -> Grouping:
        """Return the groups of some pairs, by position or mask."""
        return Grouping(self.name, self.codes[rows], self.words)


@dataclass(frozen=True, eq=False)
class StartGaps:
    """The pairs whose starts can be compared.

    Attributes
    ----------
    sides
        These pairs.
    gap_s
        CDR start minus API start, the offset that the rules name removed.
    quarters
        The gap in whole quarter hours where it is just that, as a wrong time zone
        makes it; 0 elsewhere.
    started_us
        The API's starts in microseconds.
    """

    sides: Sides
    gap_s: NDArray[np.float64]
    quarters: NDArray[np.int32]
    started_us: NDArray[np.int64]
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sides: Sides) -> StartGaps:
        """Measure the gaps of exactly matched pairs; a local time in doubt proves nothing."""
        gaps, started = sides.told(_measure)
        sure = ~np.isnan(gaps)
        if not sure.all():
            sides, gaps, started = sides.where(sure), gaps[sure], started[sure]
        return cls(sides, gaps, _quarters(gaps), started)

    def __len__(self) -> int:
        return len(self.gap_s)

    def where(self, chosen: NDArray[np.bool_]) -> StartGaps:
        """Return the marked pairs; these same ones where all are."""
        if bool(chosen.all()):
            return self
        rows = np.flatnonzero(chosen)
        part = StartGaps(self.sides.at(rows), self.gap_s[rows], self.quarters[rows], self.started_us[rows])
        # Whatever was sorted already need not be sorted again.
        place = _narrow(np.cumsum(chosen) - 1)
        for name, made in self._kept.items():
            if isinstance(made, Grouping):
                part._kept[name] = made.of_rows(rows)
            elif not name.startswith(_PLACES):
                part._kept[name] = place[made[chosen[made]]]
        return part

    def _keep(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @property
    def by_time(self) -> NDArray[Any]:
        """The order of the API's starts; where they are equal, of the gaps, so that no order of rows matters."""
        order: NDArray[Any] = self._keep("by time", self._by_time)
        return order

    def _by_time(self) -> NDArray[Any]:
        # Instants are whole microseconds, and so are the gaps between them.
        return _narrow(ordered_by(self.started_us, micros(self.gap_s).astype(np.int64)))

    def in_order(self, grouping: Grouping) -> NDArray[Any]:
        """Return the order of group and, within each, of time."""
        if len(grouping.words) == 1:
            return self.by_time
        order: NDArray[Any] = self._keep(f"order of {grouping.name}", lambda: self._ordered(grouping))
        return order

    def _ordered(self, grouping: Grouping) -> NDArray[Any]:
        codes = grouping.codes[self.by_time]
        # Few enough groups are sorted by counting, which is far quicker.
        small = codes.astype(np.uint16) if len(grouping.words) <= np.iinfo(np.uint16).max else codes
        return self.by_time[np.argsort(small, kind="stable")]

    def places(self, grouping: Grouping) -> NDArray[Any]:
        """Return for each pair its place in the order of group and time."""
        return self._keep(f"{_PLACES}{grouping.name}", lambda: _inverse(self.in_order(grouping)))

    @property
    def files(self) -> Grouping:
        """The pairs by source file."""
        return self._grouping("source_file", lambda: self.sides.cdr_codes("source_file"))

    def groupings(self) -> Iterator[Grouping]:
        """Yield the ways to group the pairs, the plainest first; each has several groups, but for `EVERYTHING`.

        A column says nothing about clocks where nearly every call has a word of its own.
        """
        if len(self.files.words) > 1:
            yield self.files
        yield Grouping.everything(len(self))
        frame = self.sides.cdr_calls
        kept = [name for name in frame.columns if str(name).startswith("x_") and _has_few_words(frame, name)]
        makers: dict[str, Callable[[], tuple[NDArray[np.int64], list[str]]]] = {
            **{
                str(name): partial(self.sides.worded, partial(_kept_text, name), also=[name]) for name in kept
            },
            "direction": lambda: self.sides.worded(partial(_either, "direction")),
            "sip_username": lambda: self.sides.worded(partial(_either, "sip_username")),
            OWN_NUMBER: lambda: self.sides.worded(_own_number),
        }
        for name, make in makers.items():
            grouping = self._grouping(name, make)
            if len(grouping.words) > 1:
                yield grouping

    def _grouping(self, name: str, make: Callable[[], tuple[NDArray[np.int64], list[str]]]) -> Grouping:
        found: Grouping = self._keep(name, lambda: Grouping.of_words(name, *make()))
        return found


@dataclass(frozen=True)
class GapCounts:
    """How many pairs have which gap between their starts; what is counted of parts adds up to the whole.

    Attributes
    ----------
    n_sure
        Pairs of which both starts are known, and beyond doubt.
    n_shifted
        Those of them that are whole quarter hours apart, as a wrong zone makes them.
    n_usable
        Those that are not.
    n_off
        Those of the latter that are further apart than is tolerated.
    """

    n_sure: int
    n_shifted: int
    n_usable: int
    n_off: int

    @classmethod
    def of(cls, sides: Sides, tolerance_s: float) -> GapCounts:
        """Count the gaps of some pairs."""
        counts = np.zeros(4, np.int64)
        for part in sides.blocks():
            gaps, _ = _measure(part)
            gaps = gaps[~np.isnan(gaps)]
            quarters = _quarters(gaps)
            usable = quarters == 0
            off = usable & (np.abs(gaps) > tolerance_s)
            counts += np.array([len(gaps), *(np.count_nonzero(mask) for mask in (~usable, usable, off))])
        return cls(*counts.tolist())

    def __add__(self, other: GapCounts) -> GapCounts:
        """Return the counts of both."""
        return GapCounts(
            self.n_sure + other.n_sure,
            self.n_shifted + other.n_shifted,
            self.n_usable + other.n_usable,
            self.n_off + other.n_off,
        )


def _measure(sides: Sides) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the gap between the starts of each pair, NaN where it proves nothing, and the API's start."""
    gaps = sides.gap_s("started_at")
    gaps[sides.cdr_known("time_problem")] = np.nan
    return gaps, sides.call_instants("started_at").view(np.int64)


def _quarters(gaps: NDArray[np.float64]) -> NDArray[np.int32]:
    quarters = np.zeros(len(gaps), np.int32)
    far = np.flatnonzero(np.abs(gaps) >= QUARTER_S - QUARTER_SLACK_S)
    nearest = np.rint(gaps[far] / QUARTER_S).astype(np.int32)
    quarters[far] = np.where(np.abs(gaps[far] - nearest * QUARTER_S) <= QUARTER_SLACK_S, nearest, 0)
    return quarters


def _kept_text(name: str, sides: Sides) -> pa.LargeStringArray:
    return text_array(sides.cdr_calls[name].astype("str")).take(pa.array(sides.cdr_pos))


def _either(name: str, sides: Sides) -> pa.LargeStringArray:
    """Return what the CDR says, or where it says nothing what the API does."""
    return pc.coalesce(sides.cdr_text(name), sides.call_text(name))


def _own_number(sides: Sides) -> pa.LargeStringArray:
    direction = _either("direction", sides)
    called, caller = (
        pc.coalesce(sides.cdr_text(f"{side}_e164"), sides.cdr_text(f"{side}_number"))
        for side in ("to", "from")
    )
    from_caller = pc.if_else(pc.equal(direction, "outbound"), caller, None)
    return pc.if_else(pc.equal(direction, "inbound"), called, from_caller)


def _inverse(order: NDArray[Any]) -> NDArray[Any]:
    places = np.empty_like(order)
    places[order] = np.arange(len(order), dtype=order.dtype)
    return places


def _narrow(order: NDArray[np.int64]) -> NDArray[Any]:
    """Return positions in half the bits, where these number them all: many are kept."""
    return order.astype(np.int32) if len(order) <= np.iinfo(np.int32).max else order


def _has_few_words(frame: pd.DataFrame, name: Any) -> bool:
    """Tell from some rows whether a column has few distinct values."""
    rows = np.arange(0, len(frame), max(len(frame) // _LOOKED_AT, 1))
    some = frame[[name]].take(rows)[name].astype("str").dropna()
    return int(some.nunique()) <= max(_FEW_WORDS, len(some) // 2)
