"""Put together what ids decided in all buckets.

Input are the decisions, output are pairs, rivals and masks of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sippet_reconcile.reconciliation.matching.by_id import ById, Rivals, join_pairs, join_rivals
from sippet_reconcile.reconciliation.matching.legs import LegsAside
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.scale.bucket import Decision

__all__ = ["ByIdOfAll"]

_Rows = list["NDArray[np.int64]"]


@dataclass(frozen=True, eq=False)
class ByIdOfAll:
    """What ids decided in all buckets; positions are those of the whole.

    Attributes
    ----------
    by_id
        Pairs and rivals, and what is left.
    aside, call_aside
        The legs and the calls that take no part.
    cdr_of
        The CDR call of each leg that counts.
    cdr_order
        For each CDR call its place among those of all buckets, one bucket behind the other.
    has_key, has_uuid, is_uuid
        As in `Decision`.
    """

    by_id: ById
    aside: LegsAside
    call_aside: dict[Bucket, tuple[NDArray[np.int64], str]]
    cdr_of: NDArray[np.int64]
    cdr_order: NDArray[np.int64]
    has_key: NDArray[np.bool_]
    has_uuid: NDArray[np.bool_]
    is_uuid: NDArray[np.bool_]

    @classmethod
    def of(cls, decisions: Sequence[Decision], legs: _Rows, calls: _Rows) -> ByIdOfAll:
        """Put decisions together.

        Parameters
        ----------
        decisions
            Of all buckets.
        legs, calls
            For each bucket the rows of the whole that it has.
        """
        # CDR calls stand in the order of their first legs.
        first = _joined([rows[one.first_leg] for one, rows in zip(decisions, legs, strict=True)])
        cdr_order = np.argsort(first, kind="stable")
        place = np.empty(len(first), np.int64)
        place[cdr_order] = np.arange(len(first))
        cdr = np.split(place, np.cumsum([len(one.first_leg) for one in decisions])[:-1])
        n_calls = sum(len(rows) for rows in calls)
        of_all = list(zip(decisions, legs, calls, cdr, strict=True))
        by_ids = [one.by_id for one in decisions]
        by_id = ById(
            join_pairs(
                [
                    replace(
                        one.by_id.pairs,
                        call_pos=call[one.by_id.pairs.call_pos],
                        cdr_pos=its[one.by_id.pairs.cdr_pos],
                    )
                    for one, _, call, its in of_all
                ],
                n_calls,
            ),
            join_rivals([_rivals(one.by_id.rivals, call, its) for one, _, call, its in of_all]),
            _scattered([one.ambiguous_calls for one in by_ids], calls),
            _scattered([one.ambiguous_cdr for one in by_ids], cdr),
            _scattered([one.free_calls for one in by_ids], calls),
            _scattered([one.free_cdr for one in by_ids], cdr),
        )
        counted = _joined([rows[one.aside.counted] for one, rows, _, _ in of_all])
        in_order = np.argsort(counted)
        return cls(
            by_id,
            _aside([one.aside for one in decisions], legs, counted[in_order]),
            _call_aside([one.call_aside for one in decisions], calls),
            _joined([its[one.cdr_of] for one, _, _, its in of_all])[in_order],
            cdr_order,
            _scattered([one.has_key for one in decisions], cdr),
            _scattered([one.has_uuid for one in decisions], cdr),
            _scattered([one.is_uuid for one in decisions], calls),
        )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _scattered(values: Sequence[NDArray[Any]], rows: _Rows) -> NDArray[Any]:
    """Return values of all buckets in the order of the whole."""
    together = np.concatenate(values)
    ordered = np.empty_like(together)
    ordered[np.concatenate(rows)] = together
    return ordered


def _rivals(rivals: Rivals, calls: NDArray[np.int64], cdr: NDArray[np.int64]) -> Rivals:
    known = rivals.cdr_pos >= 0
    cdr_pos = np.full(len(rivals.cdr_pos), -1, np.int64)
    cdr_pos[known] = cdr[rivals.cdr_pos[known]]
    return Rivals(calls[rivals.call_pos], cdr_pos, rivals.rule)


def _aside(parts: Sequence[LegsAside], legs: _Rows, counted: NDArray[np.int64]) -> LegsAside:
    buckets = {name: None for part in parts for name in part.bucket}
    found = {
        name: _joined(
            [rows[part.bucket[name]] for part, rows in zip(parts, legs, strict=True) if name in part.bucket]
        )
        for name in buckets
    }
    original = _joined([rows[part.original] for part, rows in zip(parts, legs, strict=True)])
    by_row = np.argsort(found[Bucket.DUPLICATE])
    ordered = {name: np.sort(rows) for name, rows in found.items()}
    return LegsAside(ordered, original[by_row], counted)


def _call_aside(
    parts: Sequence[dict[Bucket, tuple[NDArray[np.int64], str]]], calls: _Rows
) -> dict[Bucket, tuple[NDArray[np.int64], str]]:
    words = {name: word for part in parts for name, (_, word) in part.items()}
    return {
        name: (
            np.sort(
                _joined(
                    [rows[part[name][0]] for part, rows in zip(parts, calls, strict=True) if name in part]
                )
            ),
            words[name],
        )
        for name in (Bucket.UNUSABLE, Bucket.DUPLICATE)
        if name in words
    }
