"""What comparing asks of all rows together, and not of one pair alone.

Input are both sides of some pairs, output are a few counts. Those of parts add up to
those of the whole, so pairs may be compared in parts that know nothing of each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from sippet_reconcile.reconciliation.core import at_once

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Common"]

_AT_ONCE: Final = 1 << 16
"""Calls counted together."""

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
        (codes, words), _ = at_once(
            lambda: sides.of_calls.codes("status"), lambda: sides.of_cdr.codes("status")
        )
        cdr_words = sides.of_cdr.codes("status")[1]
        width, size = len(words) + 1, (len(cdr_words) + 1) * (len(words) + 1)

        def count_calls() -> NDArray[np.int64]:
            blocks = (codes[begin : begin + _AT_ONCE] for begin in range(0, max(len(codes), 1), _AT_ONCE))
            return np.sum([np.bincount(block + 1, minlength=width) for block in blocks], axis=0)

        def count_pairs(some: Sides) -> NDArray[np.int64]:
            counts = np.zeros(size, np.int64)
            for part in some.blocks():
                cell = (part.cdr_codes("status")[0].astype(np.int64) + 1) * width
                counts += np.bincount(cell + part.call_codes("status")[0] + 1, minlength=size)
            return counts

        half = len(sides) // 2
        of_pairs, more, (of_calls, keeps_fractions) = at_once(
            lambda: count_pairs(sides.block(0, half)),
            lambda: count_pairs(sides.block(half, len(sides))),
            lambda: (count_calls(), sides.of_calls.show_fractions(*_KEPT_INSTANTS)),
        )
        of_pairs += more
        both = np.flatnonzero(of_pairs)
        known, known_cdr = [None, *words], [None, *cdr_words]
        return cls(
            Counter({word: n for word, n in zip(words, of_calls[1:].tolist(), strict=True) if n}),
            Counter({(known_cdr[at // width], known[at % width]): int(of_pairs[at]) for at in both.tolist()}),
            keeps_fractions,
        )

    def __add__(self, other: Common) -> Common:
        """Return what holds for both parts together."""
        return Common(
            self.call_statuses + other.call_statuses,
            self.statuses + other.statuses,
            self.keeps_fractions or other.keeps_fractions,
        )
