"""What comparing asks of all rows together, and not of one pair alone.

Input are both sides of some pairs, output are a few counts. Those of parts add up to
those of the whole, so pairs may be compared in parts that know nothing of each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np

from sippet_reconcile.reconciliation.core import at_once

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Common"]

_KEPT_INSTANTS = ("ended_at", "started_at")


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
        (codes, words), _ = at_once(
            lambda: sides.of_calls.codes("status"), lambda: sides.of_cdr.codes("status")
        )
        of_calls = np.bincount(codes + 1, minlength=len(words) + 1)[1:].tolist()
        cdr_words = sides.of_cdr.codes("status")[1]
        width, size = len(words) + 1, (len(cdr_words) + 1) * (len(words) + 1)
        of_pairs = np.zeros(size, np.int64)
        for part in sides.blocks():
            cell = (part.cdr_codes("status")[0].astype(np.int64) + 1) * width
            of_pairs += np.bincount(cell + part.call_codes("status")[0] + 1, minlength=size)
        both = np.flatnonzero(of_pairs)
        known, known_cdr = [None, *words], [None, *cdr_words]
        return cls(
            Counter({word: n for word, n in zip(words, of_calls, strict=True) if n}),
            Counter({(known_cdr[at // width], known[at % width]): int(of_pairs[at]) for at in both.tolist()}),
            sides.of_calls.show_fractions(*_KEPT_INSTANTS),
        )

    def __add__(self, other: Common) -> Common:
        """Return what holds for both parts together."""
        return Common(
            self.call_statuses + other.call_statuses,
            self.statuses + other.statuses,
            self.keeps_fractions or other.keeps_fractions,
        )
