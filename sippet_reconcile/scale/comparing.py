"""Compare pairs in the parts where both of their rows lie.

Input are both sides of all pairs, output is one `Comparison`, explained: what every part
found, with what holds for all of them added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.comparing.common import Common
from sippet_reconcile.reconciliation.comparing.compare import (
    COMPARED_FIELDS,
    Comparison,
    basis_of,
    stand_in,
)
from sippet_reconcile.reconciliation.comparing.fields import fields_of, round_seconds
from sippet_reconcile.reconciliation.comparing.standing import FieldStanding
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.company import Company
from sippet_reconcile.reconciliation.explaining.explain import choose_leading, count_company
from sippet_reconcile.reconciliation.explaining.registry import current_explanations
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.scale.bucket import Terms, compare_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.explaining.explain import Held
    from sippet_reconcile.reconciliation.sides import Columns
    from sippet_reconcile.scale.sides import SpreadSides

__all__ = ["compare_in_parts"]


def compare_in_parts(sides: Any, rules: Rules) -> Comparison:
    """Compare and explain some pairs.

    Parameters
    ----------
    sides
        A `SpreadSides`.
    rules
        With ``duration`` settled.

    Raises
    ------
    InputError
        If an explanation that a user added fails; the message names it.
    """
    table = current_explanations()
    terms = Terms(rules, _common(sides), table)
    # What somebody added may ask for any column of the export.
    also = () if all(known in EXPLANATIONS for known in table) else None
    standing = {name: np.empty(len(sides), np.int8) for name in COMPARED_FIELDS}
    within: dict[str, list[tuple[int, int] | None]] = {name: [] for name in COMPARED_FIELDS}
    found: list[tuple[NDArray[np.int64], pd.DataFrame, Held]] = []
    for rows, part in sides.looked(compare_bucket, (terms,), also=also):
        for name in COMPARED_FIELDS:
            standing[name][rows] = part.standing[name]
            within[name].append(part.within_us[name])
        found.append((rows[part.pair_rows], part.discrepancies, part.held))
    company = sum((count_company(held.found) for _, _, held in found), Company())
    pair_rows = np.concatenate([rows for rows, _, _ in found]).astype(np.int64)
    order = np.argsort(pair_rows, kind="stable")
    # All differences are here twice at the most: what has been put together is let go of.
    named = [choose_leading(some, held, company) for _, some, held in found]
    found.clear()
    together = pd.concat(named, ignore_index=True)
    named.clear()
    together = together.take(order).reset_index(drop=True)
    results = {
        name: _SpreadStanding(standing[name], _added(within[name]), sides, terms, name)
        for name in COMPARED_FIELDS
    }
    return _SpreadComparison(sides, rules, results, together, pair_rows[order])


class _SpreadStanding(FieldStanding):
    """How one field stands over all pairs; how far apart they are stays where they lie until somebody asks."""

    def __init__(
        self,
        standing: NDArray[np.int8],
        within_us: tuple[int, int] | None,
        sides: SpreadSides,
        terms: Terms,
        name: str,
    ) -> None:
        kept = {"standing": standing, "_within_us": within_us, "_asked": (sides, terms, name)}
        self.__dict__.update(kept)  # this class is frozen

    def within_us(self) -> tuple[int, int] | None:
        """Return what lies within tolerance, as it was counted."""
        within: tuple[int, int] | None = self.__dict__["_within_us"]
        return within

    @property
    def gap_s(self) -> NDArray[np.float64] | None:
        """CDR minus API in seconds, fetched anew each time."""
        sides, terms, name = self.__dict__["_asked"]
        return None if self.within_us() is None else sides.told(_gaps_of, terms, name)[0]


class _SpreadComparison(Comparison):
    """A comparison of spread sides; seconds stay where they lie until somebody asks."""

    def __init__(
        self,
        sides: SpreadSides,
        rules: Rules,
        results: Mapping[str, FieldStanding],
        discrepancies: pd.DataFrame,
        pair_rows: NDArray[np.int64],
    ) -> None:
        kept = {
            "sides": sides,
            "rules": rules,
            "results": results,
            "discrepancies": discrepancies,
            "pair_rows": pair_rows,
        }
        self.__dict__.update(kept)  # this class is frozen

    @property
    def basis_s(self) -> NDArray[np.float64]:
        """The CDR's seconds on the chosen basis, fetched anew each time."""
        return self.sides.told(_basis_of, self.rules)[0]

    @property
    def rounded_s(self) -> NDArray[np.float64]:
        """The same, rounded as they would be written."""
        return round_seconds(self.basis_s, self.rules.duration_rounding)


def _gaps_of(sides: Sides, terms: Terms, name: str) -> tuple[NDArray[np.float64]]:
    fields = fields_of(sides, terms.common, terms.rules)
    gap_s = stand_in(sides, {name: fields[name]})[name].gap_s
    return (np.zeros(0) if gap_s is None else gap_s,)


def _basis_of(sides: Sides, rules: Rules) -> tuple[NDArray[np.float64]]:
    return (basis_of(sides, rules),)


def _added(parts: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return what lies within tolerance in all parts."""
    known = [part for part in parts if part is not None]
    return (sum(net for net, _ in known), sum(gross for _, gross in known)) if known else None


def _common(sides: SpreadSides) -> Common:
    """Count what holds for all pairs alike, in parts."""
    of_calls = sides.of_calls.summed(_common_of_calls)
    return Common(of_calls.call_statuses, sides.summed(Common.of).statuses, of_calls.keeps_fractions)


def _common_of_calls(calls: Columns) -> Common:
    return Common.of(Sides.of(calls.frame, CDR_CALLS.empty(), PairPositions.none(), Rules()))
