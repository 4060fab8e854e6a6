"""Compare pairs in the buckets where both of their rows lie, and the few others here.

Input are both sides of all pairs, output is one `Comparison`, explained: what every part
found, with what holds for all of them added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.comparing.common import Common
from sippet_reconcile.reconciliation.comparing.compare import COMPARED_FIELDS, Comparison
from sippet_reconcile.reconciliation.comparing.standing import FieldStanding
from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.explaining.causes import EXPLANATIONS
from sippet_reconcile.reconciliation.explaining.company import Company
from sippet_reconcile.reconciliation.explaining.explain import choose_leading, count_company
from sippet_reconcile.reconciliation.explaining.registry import current_explanations
from sippet_reconcile.scale.bucket import Compared, Terms, compare_bucket
from sippet_reconcile.scale.spread import gather

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["compare_in_parts"]

_AT_ONCE: Final = 250_000
"""Pairs of which both rows are fetched to be compared here."""


def compare_in_parts(sides: Sides, rules: Rules) -> Comparison:
    """Compare and explain some pairs.

    Parameters
    ----------
    sides
        Of spread frames.
    rules
        With ``duration`` settled.

    Raises
    ------
    InputError
        If an explanation that a user added fails; the message names it.
    """
    calls: Any = sides.calls
    cdr_calls: Any = sides.cdr_calls
    table = current_explanations()
    # What somebody added may ask for any column of the export.
    core_only = all(known in EXPLANATIONS for known in table)
    call_parts, cdr_parts = calls.parts(core_only=core_only), cdr_calls.parts(core_only=core_only)
    terms = Terms(rules, Common.of(sides), table)
    call_part, call_row = calls.parts_of(sides.call_pos)
    cdr_part, cdr_row = cdr_calls.parts_of(sides.cdr_pos)
    is_near = call_part == cdr_part
    near = _by_part(call_part, np.flatnonzero(is_near))
    compared = gather(
        compare_bucket,
        [call_parts[call_part[rows[0]]] for rows in near],
        [cdr_parts[cdr_part[rows[0]]] for rows in near],
        [
            PairPositions(call_row[rows], cdr_row[rows], sides.rule[rows], sides.confidence[rows])
            for rows in near
        ],
        [terms] * len(near),
    )
    # One block at least, even of nothing: it has the columns of what nobody found.
    far = np.flatnonzero(~is_near)
    blocks = np.split(far, np.arange(_AT_ONCE, len(far), _AT_ONCE))
    for rows in blocks:
        at = np.arange(len(rows))
        pairs = PairPositions(at, at, sides.rule[rows], sides.confidence[rows])
        some_calls, some_cdr = calls.take(sides.call_pos[rows]), cdr_calls.take(sides.cdr_pos[rows])
        compared.append(compare_bucket(some_calls, some_cdr, pairs, terms))
    return _together(sides, rules, [*near, *blocks], compared)


def _by_part(part: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each part that has any, ascending."""
    if not len(rows):
        return []
    ordered = rows[np.argsort(part[rows], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(part[ordered])) + 1)


def _together(sides: Sides, rules: Rules, rows: list[NDArray[np.int64]], parts: list[Compared]) -> Comparison:
    size = len(sides)
    standings: dict[str, FieldStanding] = {}
    for name in COMPARED_FIELDS:
        standing = _scattered([part.results[name].standing for part in parts], rows, np.empty(size, np.int8))
        gaps = [gap_s for part in parts if (gap_s := part.results[name].gap_s) is not None]
        standings[name] = FieldStanding(standing, _scattered(gaps, rows, np.empty(size)) if gaps else None)
    company = sum((count_company(part.held.found) for part in parts), Company())
    named = [choose_leading(part.discrepancies, part.held, company) for part in parts]
    pair_rows = np.concatenate([of[part.pair_rows] for of, part in zip(rows, parts, strict=True)])
    order = np.argsort(pair_rows, kind="stable")
    found = pd.concat(named, ignore_index=True).take(order).reset_index(drop=True)
    return Comparison(
        sides,
        rules,
        standings,
        found,
        pair_rows[order],
        _scattered([part.basis_s for part in parts], rows, np.empty(size)),
        _scattered([part.rounded_s for part in parts], rows, np.empty(size)),
    )


def _scattered(values: list[Any], rows: list[NDArray[np.int64]], into: NDArray[Any]) -> NDArray[Any]:
    for of, part in zip(rows, values, strict=True):
        into[of] = part
    return into
