"""What the pieces of a file tell that only all of them settle: its clock, the order of its dates, its widths.

Input is what each piece shows, output is `Settled`: what the pieces are to be read by.
Kept are sixteen bytes for each row whose id carries an epoch, and nothing for the others.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from sippet_reconcile.cdr.tables import Widths, rare_widths
from sippet_reconcile.cdr.times.clock import OFFSETS, Clock, as_coarse, find_clock
from sippet_reconcile.cdr.times.date_order import DateVotes
from sippet_reconcile.cdr.times.stamps import Stamps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.spec import Options

__all__ = ["Evidence", "Settled", "Told"]

Micros: TypeAlias = "NDArray[np.int64]"


@dataclass(frozen=True, eq=False)
class Told:
    """What a table tells of its clock and the order of its dates.

    `started` and `epoch` are the local start and the epoch in the id, in microseconds,
    of the rows that have both; `has_epochs` says whether the format has such ids at all.
    `gathered` is what a format gathers of them, `local` the first local time and in which
    column it stands, the start first.
    """

    started: Micros
    epoch: Micros
    has_epochs: bool
    has_local: bool
    votes: DateVotes
    gathered: frozenset[str] = frozenset()
    local: tuple[int, int] | None = None

    @classmethod
    def of(cls, started: Stamps, others: Sequence[Stamps], epoch: Micros | None, votes: DateVotes) -> Told:
        """Return what columns of stamps and the epochs in the ids tell."""
        local = next(
            (
                (place, int(stamps.micros[(stamps.known & ~stamps.is_utc).argmax()]))
                for place, stamps in enumerate((started, *others))
                if stamps.n_local
            ),
            None,
        )
        has_local = local is not None
        if epoch is None or not has_local:
            nothing = np.zeros(0, np.int64)
            return cls(nothing, nothing, epoch is not None, has_local, votes, local=local)
        rows = started.known & ~started.is_utc & (epoch > 0)
        return cls(
            started.micros[rows],
            as_coarse(epoch, started)[rows],
            has_epochs=True,
            has_local=has_local,
            votes=votes,
            local=local,
        )


@dataclass(frozen=True)
class Settled:
    """What the pieces of a file are read by.

    `clock` is None, and `dayfirst` too, where that is not known yet or is not needed.
    `names` are the columns that some piece has, None where that is not known yet.
    `rare` are the widths that only rows have which were cut off, `between` the widths of
    the rows before and behind each piece, where that matters. `gathered` is what a format
    gathers of all pieces, None where that is not known yet.
    """

    clock: Clock | None = None
    dayfirst: bool | None = None
    names: tuple[str, ...] | None = None
    rare: frozenset[int] = frozenset()
    between: tuple[tuple[int, int], ...] = ()
    gathered: frozenset[str] | None = None

    def agrees(self, found: Settled) -> bool:
        """Tell whether pieces read by this need not be read again by what they turned out to tell."""
        mine, other = self.clock, found.clock
        if other is not None and other.how != OFFSETS and (mine is None or mine.name != other.name):
            return False
        return (
            (found.dayfirst is None or bool(self.dayfirst) == found.dayfirst)
            and self.names == found.names
            and self.rare == found.rare
            and self.between == found.between
            and (self.gathered or frozenset()) == found.gathered
        )


class Evidence:
    """What the pieces of one file tell, put together as they come."""

    def __init__(self, where: str) -> None:
        self.votes = DateVotes(where)
        self._where = where
        self._local: tuple[int, int] | None = None
        self._has_epochs = False
        self._started: list[Micros] = []
        self._epochs: list[Micros] = []
        self._names: dict[str, None] = {}
        self._widths: list[Widths] = []
        self._gathered: set[str] = set()

    def add(self, told: Told, names: Iterable[str], widths: Widths, line: int) -> None:
        """Add what a piece tells, its columns and its widths; `line` is how many lines stood before it."""
        if told.local is not None and (self._local is None or told.local[0] < self._local[0]):
            self._local = told.local
        self._has_epochs |= told.has_epochs
        self.votes.add_piece(told.votes, line)
        if len(told.started):
            self._started.append(told.started)
            self._epochs.append(told.epoch)
        self._names |= dict.fromkeys(names)
        self._widths.append(widths)
        self._gathered |= told.gathered

    @property
    def asks_for_zone(self) -> bool:
        """Whether times are local and nothing but the caller can say where."""
        return self._local is not None and not self._has_epochs

    def settled(self, options: Options, order: Iterable[str], by: Settled) -> Settled:
        """Return what all pieces are to be read by.

        Parameters
        ----------
        options
            What the caller said.
        order
            All columns that the pieces may have, in their order.
        by
            What the pieces were read by.

        Raises
        ------
        InputError, CdrFormatError
            As `find_clock` and `DateVotes.settled`.
        """
        dayfirst = self.votes.settled(dayfirst=options.dayfirst) if self.votes.is_needed else None
        names = tuple(name for name in order if name in self._names)
        counts: Counter[int] = sum((widths.counts for widths in self._widths), Counter())
        rare = rare_widths(counts)
        # Starts whose dates were read in the wrong order tell no clock.
        is_read = dayfirst is None or dayfirst == bool(
            by.dayfirst if options.dayfirst is None else options.dayfirst
        )
        found = self._clock(options) if is_read else None
        between = self._between() if rare else ()
        return Settled(found, dayfirst, names, rare, between, frozenset(self._gathered))

    def _clock(self, options: Options) -> Clock:
        nothing = np.zeros(0, np.int64)
        started = _stamps(np.concatenate([nothing, *self._started]))
        epoch = np.concatenate([nothing, *self._epochs])
        # Whether other times are local counts, and one of them is shown.
        others = [_stamps(np.array([] if self._local is None else [self._local[1]], np.int64))]
        return find_clock(options.zone, started, others, epoch if self._has_epochs else None, self._where)

    def _between(self) -> tuple[tuple[int, int], ...]:
        """Return the width of the row before each piece and of the one behind it, 0 where there is none."""
        before, width = [], 0
        for widths in self._widths:
            before.append(width)
            width = widths.last or width
        behind, width = [], 0
        for widths in reversed(self._widths):
            behind.append(width)
            width = widths.first or width
        return tuple(zip(before, reversed(behind), strict=True))


def _stamps(micros: Micros) -> Stamps:
    """Return local times as a column of which all are known."""
    nothing = np.zeros(len(micros), bool)
    return Stamps(micros, ~nothing, nothing, nothing, nothing)
