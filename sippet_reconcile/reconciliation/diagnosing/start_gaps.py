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
import pandas as pd
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S, ordered_by
from sippet_reconcile.reconciliation.sides import micros, text_codes
from sippet_reconcile.schema import text_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["EVERYTHING", "OWN_NUMBER", "Grouping", "StartGaps"]

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
    codes: NDArray[np.int64]
    words: list[str | None]

    @classmethod
    def everything(cls, n_pairs: int) -> Grouping:
        """Return one group of all pairs."""
        return cls(EVERYTHING, np.zeros(n_pairs, np.int64), [None])

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
        rank = np.full(len(words) + 1, len(kept), np.int64)  # the last is where the code -1 looks
        rank[kept] = np.arange(len(kept))
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
    """

    sides: Sides
    gap_s: NDArray[np.float64]
    quarters: NDArray[np.int64]
    _kept: dict[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, sides: Sides) -> StartGaps:
        """Measure the gaps of exactly matched pairs; a local time in doubt proves nothing."""
        gaps = sides.gap_s("started_at")
        sure = ~np.isnan(gaps) & ~sides.cdr_known("time_problem")
        part, gaps = sides.where(sure), gaps[sure]
        quarters = np.zeros(len(gaps), np.int64)
        far = np.flatnonzero(np.abs(gaps) >= QUARTER_S - QUARTER_SLACK_S)
        nearest = np.rint(gaps[far] / QUARTER_S).astype(np.int64)
        quarters[far] = np.where(np.abs(gaps[far] - nearest * QUARTER_S) <= QUARTER_SLACK_S, nearest, 0)
        return cls(part, gaps, quarters)

    def __len__(self) -> int:
        return len(self.gap_s)

    def where(self, chosen: NDArray[np.bool_]) -> StartGaps:
        """Return the marked pairs; these same ones where all are."""
        if bool(chosen.all()):
            return self
        rows = np.flatnonzero(chosen)
        part = StartGaps(self.sides.at(rows), self.gap_s[rows], self.quarters[rows])
        # Whatever was sorted already need not be sorted again.
        place = np.cumsum(chosen) - 1
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
    def started_us(self) -> NDArray[np.int64]:
        """The API's starts in microseconds."""
        return self.sides.call_instants("started_at").view(np.int64)

    @property
    def by_time(self) -> NDArray[np.int64]:
        """The order of the API's starts; where they are equal, of the gaps, so that no order of rows matters."""
        order: NDArray[np.int64] = self._keep("by time", self._by_time)
        return order

    def _by_time(self) -> NDArray[np.int64]:
        # Instants are whole microseconds, and so are the gaps between them.
        return ordered_by(self.started_us, micros(self.gap_s).astype(np.int64))

    def in_order(self, grouping: Grouping) -> NDArray[np.int64]:
        """Return the order of group and, within each, of time."""
        if len(grouping.words) == 1:
            return self.by_time
        order: NDArray[np.int64] = self._keep(f"order of {grouping.name}", lambda: self._ordered(grouping))
        return order

    def _ordered(self, grouping: Grouping) -> NDArray[np.int64]:
        codes = grouping.codes[self.by_time]
        # Few enough groups are sorted by counting, which is far quicker.
        small = codes.astype(np.uint16) if len(grouping.words) <= np.iinfo(np.uint16).max else codes
        return self.by_time[np.argsort(small, kind="stable")]

    def places(self, grouping: Grouping) -> NDArray[np.int64]:
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
            **{str(name): partial(self._source_codes, name) for name in kept},
            "direction": lambda: text_codes(text_series(self._either("direction"))),
            "sip_username": lambda: text_codes(text_series(self._either("sip_username"))),
            OWN_NUMBER: self._own_number_codes,
        }
        for name, make in makers.items():
            grouping = self._grouping(name, make)
            if len(grouping.words) > 1:
                yield grouping

    def _grouping(self, name: str, make: Callable[[], tuple[NDArray[np.int64], list[str]]]) -> Grouping:
        found: Grouping = self._keep(name, lambda: Grouping.of_words(name, *make()))
        return found

    def _source_codes(self, name: Any) -> tuple[NDArray[np.int64], list[str]]:
        codes, words = text_codes(self.sides.cdr_calls[name].astype("str"))
        return codes[self.sides.cdr_pos], words

    def _either(self, name: str) -> pa.LargeStringArray:
        """Return what the CDR says, or where it says nothing what the API does."""
        return pc.coalesce(self.sides.cdr_text(name), self.sides.call_text(name))

    def _own_number_codes(self) -> tuple[NDArray[np.int64], list[str]]:
        direction = self._either("direction")
        called, caller = (
            pc.coalesce(self.sides.cdr_text(f"{side}_e164"), self.sides.cdr_text(f"{side}_number"))
            for side in ("to", "from")
        )
        from_caller = pc.if_else(pc.equal(direction, "outbound"), caller, None)
        return text_codes(text_series(pc.if_else(pc.equal(direction, "inbound"), called, from_caller)))


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    return places


def _has_few_words(frame: pd.DataFrame, name: Any) -> bool:
    """Tell from some rows whether a column has few distinct values."""
    rows = np.arange(0, len(frame), max(len(frame) // _LOOKED_AT, 1))
    some = frame[[name]].take(rows)[name].astype("str").dropna()
    return int(some.nunique()) <= max(_FEW_WORDS, len(some) // 2)
