"""Which of several explanations leads where arithmetic alone cannot tell: what the other rows say.

Input are the combinations of what holds, output is the order of names of each. Seconds
that two causes leave alike are the one's or the other's: an API's 60 against a CDR's 57
is rounded up to 6, to 30 and to 60. Seen alone, nobody can tell; in the company of all
rows of the reconciliation, somebody can. It goes in two steps:

1. `count_company` counts the rows by what holds on them. Counts of parts add up to those
   of the whole, whatever the parts and whatever the order of rows.
2. `Company.shares` weighs each cause. A row is *telling* where one contested explanation
   holds and no other. A cause has at first its telling rows; then each row on which
   several hold is shared out among them in proportion to what they have, over and over,
   until that settles. What has too few telling rows has nothing: that it also holds on
   the rows of another cause speaks for nobody. So a coarse rounding has what exceeds that
   which the finer one leaves by itself, and the other way round.

Where several contested explanations hold, the one with the largest share leads; the
others keep their order behind it. Where none has enough telling rows, the order of the
table stays. A row on which one holds alone is never touched by any company, so a cause
of a few calls is seen beside one of thousands.

Calls of several legs are weighed by themselves, because some causes meet no others;
where nothing tells among these, all calls are asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.hits import Combination, Found, Hit

__all__ = ["TELLING_ROWS", "Company", "count_company"]

TELLING_ROWS: Final = 5
"""How many rows must speak for one explanation alone before it may lead over one that stands before it."""
_ROUNDS: Final = (
    100  # of sharing out; each takes at least as large a part of the rest as there are telling rows
)

_Shares = dict["Hit", float]


@dataclass(frozen=True, eq=False)
class Company:
    """How many rows have each combination of contested explanations.

    Attributes
    ----------
    counts
        Combination, of contested hits alone, to rows. Rows that a hit outside of the
        contest leads are not among them: they have their cause.
    """

    counts: Counter[Combination] = field(default_factory=Counter)

    def __add__(self, other: Company) -> Company:
        """Return the company of both parts."""
        return Company(self.counts + other.counts)

    def order_names(self, combination: Combination) -> tuple[str, ...]:
        """Return the names of what holds together, the leading one first."""
        hits = combination.hits
        rivals = _contested(hits)
        if len(rivals) > 1:
            shares = self._shares_of(combination.field, rivals, has_legs=combination.has_legs)
            # Of equal shares the first in the table leads.
            leading = max(rivals, key=lambda hit: shares.get(hit, 0.0))
            place = hits.index(leading)
            # What is outside of the contest and stands before the leading one stays before it.
            ahead = [hit for hit in hits[:place] if not hit.by_company]
            behind = [hit for hit in hits[:place] if hit.by_company]
            hits = (*ahead, leading, *behind, *hits[place + 1 :])
        return tuple(hit.name for hit in hits)

    def _shares_of(self, name: str, rivals: tuple[Hit, ...], *, has_legs: bool) -> _Shares:
        for kind in ((name, has_legs), (name, None)):
            shares = self.shares.get(kind, {})
            if any(hit in shares for hit in rivals):
                return shares
        return {}

    @cached_property
    def shares(self) -> dict[tuple[str, bool | None], _Shares]:
        """How many rows each contested hit accounts for, by field and whether calls have several legs, None for all."""
        kinds: dict[tuple[str, bool | None], Counter[tuple[Hit, ...]]] = {}
        for (name, has_legs, hits), count in self.counts.items():
            for kind in (has_legs, None):
                kinds.setdefault((name, kind), Counter())[hits] += count
        return {kind: _share_out(counts) for kind, counts in kinds.items()}


def count_company(parts: Iterable[Found]) -> Company:
    """Count the rows of each field by which contested explanations hold on them."""
    counts: Counter[Combination] = Counter()
    for part in parts:
        rows = np.bincount(part.codes, minlength=len(part.combinations)).tolist()
        for combination, count in zip(part.combinations, rows, strict=True):
            rivals = _contested(combination.hits)
            if rivals and count:
                counts[combination._replace(hits=rivals)] += count
    return Company(counts)


def _contested(hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Return the hits that company decides between; none where another leads."""
    return tuple(hit for hit in hits if hit.by_company) if hits and hits[0].by_company else ()


def _share_out(counts: Counter[tuple[Hit, ...]]) -> _Shares:
    """Return how many rows each hit accounts for that has enough telling ones."""
    # Sorted, so that sums are the same to the last bit however the rows came.
    telling = {hits[0]: n for hits, n in sorted(counts.items()) if len(hits) == 1 and n >= TELLING_ROWS}
    known = list(telling)
    sets = sorted(hits for hits in counts if not telling.keys().isdisjoint(hits))
    rows = np.array([counts[hits] for hits in sets], np.float64)
    holds = np.array([[hit in hits for hit in known] for hits in sets], np.float64)
    shares = np.array(list(telling.values()), np.float64)
    for _ in range(_ROUNDS if known else 0):
        weights = holds * shares
        shares = (rows / weights.sum(axis=1)) @ weights
    return dict(zip(known, shares.tolist(), strict=True))
