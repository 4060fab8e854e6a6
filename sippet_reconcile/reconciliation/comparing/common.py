"""What comparing asks of all rows together, and not of one pair alone.

Input are both sides of some pairs, output are a few counts. Those of parts add up to
those of the whole, so pairs may be compared in parts that know nothing of each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from sippet_reconcile.reconciliation.core import at_once, blocks_of

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.sides import Columns, Sides

__all__ = ["Common"]

_KEPT_INSTANTS: Final = ("ended_at", "started_at")


@dataclass(frozen=True)
class Common:
    """What holds for all pairs alike.

    Attributes
    ----------
    call_statuses
        Statuses of all calls, matched or not, and how many have each: how the API spells a word.
    statuses
        CDR status and API status of the compared pairs, None where missing, and how many have both.
    keeps_fractions
        Whether any start or end of a call has a fraction of a second: then the server keeps them.

    Examples
    --------
    >>> from collections import Counter
    >>> some, others = Common(Counter(busy=1)), Common(Counter(busy=2, failed=1), keeps_fractions=True)
    >>> (some + others).call_statuses["busy"], (some + others).keeps_fractions
    (3, True)
    """

    call_statuses: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    keeps_fractions: bool = False

    @classmethod
    def of(cls, sides: Sides) -> Self:
        """Count what there is among the calls, and among the pairs."""
        # Both columns of words are made before others ask for them at the same time.
        at_once(lambda: sides.of_calls.codes("status"), lambda: sides.of_cdr.codes("status"))
        half = len(sides) // 2
        parts = at_once(
            lambda: cls.of_pairs(sides.at(slice(half))),
            lambda: cls.of_pairs(sides.at(slice(half, None))),
            lambda: cls.of_calls(sides.of_calls),
        )
        return sum(parts, cls())

    @classmethod
    def of_calls(cls, calls: Columns) -> Self:
        """Count what there is among calls, matched or not."""
        codes, words = calls.codes("status")
        counts = np.zeros(len(words) + 1, np.int64)
        for at in blocks_of(len(codes)):
            counts += np.bincount(codes[at] + 1, minlength=len(counts))
        found = {word: n for word, n in zip(words, counts[1:].tolist(), strict=True) if n}
        return cls(Counter(found), keeps_fractions=calls.show_fractions(*_KEPT_INSTANTS))

    @classmethod
    def of_pairs(cls, sides: Sides) -> Self:
        """Count what there is among pairs."""
        known, known_cdr = ([None, *columns.words("status")] for columns in (sides.of_calls, sides.of_cdr))
        width, counts = len(known), np.zeros(len(known_cdr) * len(known), np.int64)
        for part in sides.blocks():
            cell = (part.cdr_codes("status")[0].astype(np.int64) + 1) * width
            counts += np.bincount(cell + part.call_codes("status")[0] + 1, minlength=len(counts))
        both = np.flatnonzero(counts).tolist()
        return cls(
            statuses=Counter({(known_cdr[at // width], known[at % width]): int(counts[at]) for at in both})
        )

    def __add__(self, other: Common) -> Self:
        """Return what holds for both parts together."""
        return type(self)(
            self.call_statuses + other.call_statuses,
            self.statuses + other.statuses,
            self.keeps_fractions or other.keeps_fractions,
        )
