"""Compare pairs in the parts where both of their rows lie.

Input are both sides of all pairs, output is one `Comparison`, explained: what every part
found, with what holds for all of them added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.comparing.common import Common
from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS, Comparison
from sippet_reconcile.reconciliation.comparing.standing import FieldStanding
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.company import Company
from sippet_reconcile.reconciliation.explaining.explain import choose_leading, count_company
from sippet_reconcile.reconciliation.explaining.registry import current_explanations
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.scale.bucket import Terms, compare_bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.explaining.explain import Held

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
    common = sides.of_calls.summed(Common.of_calls) + sides.summed(Common.of_pairs)
    terms = Terms(rules, common, table)
    # What somebody added may ask for any column of the export.
    also = () if all(known in EXPLANATIONS for known in table) else None
    standing = {name: np.empty(len(sides), np.int8) for name in COMPARED_FIELDS}
    within_us = {name: np.zeros(2, np.int64) for name in COMPARED_FIELDS}
    found: list[tuple[NDArray[np.int64], pd.DataFrame, Held]] = []
    for rows, part in sides.looked(compare_bucket, (terms,), also=also):
        for name in COMPARED_FIELDS:
            standing[name][rows] = part.standing[name]
            within_us[name] += part.within_us[name]
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
    results = {name: FieldStanding(standing[name], within_us[name]) for name in COMPARED_FIELDS}
    return Comparison(sides, rules, common, results, together, pair_rows[order])
