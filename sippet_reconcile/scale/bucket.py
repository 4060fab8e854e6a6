"""What is done with the rows that may share an id, where they lie: reduce, match, compare.

Input are the legs and calls of one bucket, output is its frames, and of what was
decided plain arrays of row positions. The work is that of `reconciliation`, step by
step; nothing here knows of other buckets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.comparing.compare import compare_pairs
from sippet_reconcile.reconciliation.explaining.explain import find_held
from sippet_reconcile.reconciliation.matching.by_id import ById, match_by_ids
from sippet_reconcile.reconciliation.matching.legs import LegsAside, take_text
from sippet_reconcile.reconciliation.matching.other_ids import are_uuids, have_keys
from sippet_reconcile.reconciliation.preparing import prepare
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.common import Common
    from sippet_reconcile.reconciliation.explaining.explain import Held
    from sippet_reconcile.reconciliation.explaining.explanation import Explanation
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = [
    "ROW",
    "TOGETHER",
    "Compared",
    "Decision",
    "Terms",
    "compare_bucket",
    "decide_bucket",
    "rows_of",
    "split_columns",
    "without_marks",
]

ROW: Final = "_row_of_all"
TOGETHER: Final = "_together"
"""Columns that travel with the rows of both frames: the row in the whole, and what it must be looked at with."""


def rows_of(part: pd.DataFrame) -> NDArray[Any]:
    """Return the rows of the whole that a bucket has, ascending, in 32 bits where they fit."""
    rows = np.sort(part[ROW].to_numpy("int64"))
    return rows.astype(np.int32) if len(rows) == 0 or rows[-1] <= np.iinfo(np.int32).max else rows


def without_marks(part: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows of a bucket in the order of the whole: some columns, and the others but for the marks."""
    order = np.argsort(part[ROW].to_numpy("int64"))
    part = part.drop(columns=[ROW, TOGETHER]).take(order).reset_index(drop=True)
    return split_columns(part, names)


def split_columns(part: pd.DataFrame, names: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return some columns, in their order here, and the others."""
    is_core = part.columns.isin(list(names))
    return part.loc[:, is_core], part.loc[:, ~is_core]


class Decision(NamedTuple):
    """What ids decided in one bucket; all positions are its own, and travel in 32 bits.

    Attributes
    ----------
    by_id
        Pairs and rivals, and what is left.
    aside, call_aside
        The legs and the calls that take no part.
    cdr_of
        The CDR call of each leg that counts.
    first_leg
        Of each CDR call the first leg, by its row in the bucket.
    has_key, has_uuid, is_uuid
        Mark the CDR calls that have an id, those of which one is a UUID, and the calls
        whose own is; the last two only where numbers may match.
    """

    by_id: ById
    aside: LegsAside
    call_aside: dict[Bucket, tuple[NDArray[np.int64], str]]
    cdr_of: NDArray[np.int32]
    first_leg: NDArray[np.int32]
    has_key: NDArray[np.bool_]
    has_uuid: NDArray[np.bool_]
    is_uuid: NDArray[np.bool_]


def decide_bucket(
    legs: pd.DataFrame, calls: pd.DataFrame, names: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame, Decision]:
    """Make CDR calls of the legs of a bucket, and match what shares an id.

    Returned are `names` of the columns of the CDR calls, the other columns, and what was decided.
    """
    ready = prepare(legs, calls)
    groups, keys, ids = ready.groups, ready.keys, ready.legs
    by_id = match_by_ids(ready.calls, groups=groups, keys=keys, legs=ids, linked_named=ready.linked_named)
    first_leg = np.full(len(groups), len(legs), np.int64)
    np.minimum.at(first_leg, groups.cdr_of, ready.aside.counted)
    has_uuid = np.zeros(len(groups), np.bool_)
    of_free = np.flatnonzero(by_id.free_cdr[groups.cdr_of])
    has_uuid[groups.cdr_of[of_free[are_uuids(take_text(ids.key, of_free))]]] = True
    is_uuid = np.zeros(len(calls), np.bool_)
    free = np.flatnonzero(by_id.free_calls)
    is_uuid[free] = are_uuids(take_text(keys.uuid, free))
    pairs = by_id.pairs
    narrow = replace(pairs, call_pos=pairs.call_pos.astype(np.int32), cdr_pos=pairs.cdr_pos.astype(np.int32))
    decision = Decision(
        replace(by_id, pairs=narrow),
        replace(ready.aside, counted=ready.aside.counted.astype(np.int32)),
        ready.call_aside,
        groups.cdr_of.astype(np.int32),
        first_leg.astype(np.int32),
        have_keys(ids.key, groups),
        has_uuid,
        is_uuid,
    )
    return *split_columns(ready.cdr_calls, names), decision


@dataclass(frozen=True, eq=False)
class Compared:
    """What comparing some pairs found.

    Attributes
    ----------
    standing
        Field to how each pair stands in it.
    within_us
        Field to what lies within tolerance, as `FieldStanding` has it.
    discrepancies, pair_rows
        The differing rows, not explained yet, and the pair of each.
    held
        Which explanations hold on the differing rows.
    """

    standing: Mapping[str, NDArray[np.int8]]
    within_us: Mapping[str, NDArray[np.int64]]
    discrepancies: pd.DataFrame
    pair_rows: NDArray[np.int64]
    held: Held


class Terms(NamedTuple):
    """What all pairs are compared by: the rules with ``duration`` settled, what holds for all, and the explanations."""

    rules: Rules
    common: Common
    explanations: Sequence[Explanation]


def compare_bucket(sides: Sides, terms: Terms) -> Compared:
    """Compare the pairs of a part by terms that are the same for all parts, and put what differs to its tests."""
    comparison = compare_pairs(sides, terms.rules, common=terms.common)
    return Compared(
        {name: result.standing for name, result in comparison.results.items()},
        {name: result.within_us for name, result in comparison.results.items()},
        comparison.discrepancies,
        comparison.pair_rows,
        find_held(comparison, terms.explanations),
    )
