"""Put together what the buckets decided, and match by numbers what no id matched.

Input are the decisions of all buckets, output are pairs, rivals and masks of the whole.
What has no partner by an id is few, and is looked at in one place: whether two starts
are near enough depends on what all pairs of a file say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sippet_reconcile.reconciliation.matching.by_id import ById, Rivals, join_pairs, join_rivals
from sippet_reconcile.reconciliation.matching.fallback import match_by_numbers
from sippet_reconcile.reconciliation.matching.legs import LegsAside
from sippet_reconcile.reconciliation.matching.match import Matches, all_matches
from sippet_reconcile.reconciliation.matching.other_ids import ids_speak_against
from sippet_reconcile.reconciliation.matching.starts import FilesOfPairs
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.scale.bucket import Decision

__all__ = ["ByIdOfAll", "match_rest"]

_Rows = list["NDArray[np.int64]"]

_LOOKED_AT: Final = (
    "direction",
    "from_number",
    "to_number",
    "from_e164",
    "to_e164",
    "started_at",
    "ended_at",
    "duration_seconds",
    "billable_s",
    "total_s",
    "is_coarse",
    "time_problem",
    "legs_problem",
)
"""Columns that matching by numbers looks at, of either frame, where it has them."""


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
    first_with_uuid
        For each call the first one with the same ``call_uuid``.
    has_key, has_uuid, is_uuid
        As in `Decision`.
    """

    by_id: ById
    aside: LegsAside
    call_aside: dict[Bucket, tuple[NDArray[np.int64], str]]
    cdr_of: NDArray[np.int64]
    cdr_order: NDArray[np.int64]
    first_with_uuid: NDArray[np.int64]
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
            _scattered([call[one.first] for one, _, call, _ in of_all], calls),
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


def match_rest(known: ByIdOfAll, calls: Any, cdr_calls: Any, rules: Rules) -> Matches:
    """Match by numbers and time what no id matched, and return all pairs.

    Parameters
    ----------
    known
        What ids decided.
    calls, cdr_calls
        Both spread frames; only the rows that are left are taken from them, and of the others the
        starts and the files.
    rules
        The window, the digits, both tolerances and the clock offset are used.
    """
    files = FilesOfPairs.of(
        calls, cdr_calls, known.by_id.pairs, rules, source_file=cdr_calls.codes("source_file")
    )
    free_calls, free_cdr = np.flatnonzero(known.by_id.free_calls), np.flatnonzero(known.by_id.free_cdr)
    some_calls, some_cdr = (
        frame[[name for name in _LOOKED_AT if name in frame]].take(rows)
        for frame, rows in ((calls, free_calls), (cdr_calls, free_cdr))
    )
    of_some = replace(files, of_cdr=files.of_cdr[free_cdr])
    all_free = [np.ones(len(rows), np.bool_) for rows in (free_calls, free_cdr)]
    close = match_by_numbers(some_calls, some_cdr, all_free[0], all_free[1], rules, files=of_some)
    is_other = ids_speak_against(
        close,
        known.is_uuid[free_calls[close.call_pos]] & known.has_uuid[free_cdr[close.cdr_pos]],
        files=of_some,
        keyed=files.count(known.has_key),
    )
    return all_matches(known.by_id, close.among(free_calls, free_cdr), is_other)
