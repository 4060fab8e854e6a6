"""Which rows must be looked at together: those that share an id, by whatever way.

Input are the ids of legs and calls, output is a number per row: rows that share an id,
or are joined by ids of other rows, have the same one. Hashes stand for ids, so two ids
that happen to share a hash are looked at together without need, and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sippet_reconcile.keys import hash_text, normal_ids
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["Ids", "Joined", "ids_of_calls", "ids_of_legs", "join_ids"]

_NOTHING = np.zeros(0, np.uint64)


class Ids(NamedTuple):
    """The ids of some rows, as hashes.

    Attributes
    ----------
    own
        One per row: that of the id which it is grouped by.
    left, right
        Two different ids that stand in one row; only of rows that have two.
    call
        Of calls, that of the API's own id.
    """

    own: NDArray[np.uint64]
    left: NDArray[np.uint64]
    right: NDArray[np.uint64]
    call: NDArray[np.uint64]


class Joined(NamedTuple):
    """Ids that rows join with others: the ids, ascending, and one id that stands for all that are joined."""

    ids: NDArray[np.uint64]
    root: NDArray[np.uint64]

    def of(self, own: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return a number per row, the same for rows that belong together."""
        if not len(self.ids):
            return own.view(np.int64)
        at = np.minimum(np.searchsorted(self.ids, own), len(self.ids) - 1)
        return np.where(self.ids[at] == own, self.root[at], own).view(np.int64)


def ids_of_legs(legs: pd.DataFrame) -> Ids:
    """Return the ids of legs.

    A leg without any is looked at together with its copies, which are the same record;
    where a record has no hash, with what stands at the same place.
    """
    linked, key, leg = (
        hash_text(text_array(normal_ids(legs[name]))) for name in ("linked_id", "call_key", "leg_id")
    )
    record = legs["record_hash"].to_numpy("int64", na_value=0).view(np.uint64)
    own = np.where(linked > 0, linked, np.where(key > 0, key, np.where(leg > 0, leg, record)))
    nowhere = np.flatnonzero(own == 0)
    if len(nowhere):
        places = legs.iloc[nowhere]
        rows = places["source_row"].to_numpy("int64", na_value=0).view(np.uint64)
        own[nowhere] = hash_text(text_array(places["source_file"])) ^ rows
    several = (linked > 0) & (key > 0) & (linked != key)
    return Ids(own, linked[several], key[several], _NOTHING)


def ids_of_calls(calls: pd.DataFrame) -> Ids:
    """Return the ids of calls."""
    uuid, conversation = (
        hash_text(text_array(normal_ids(calls[name]))) for name in ("call_uuid", "conversation_id")
    )
    call = hash_text(text_array(calls["id"]))
    own = np.where(uuid > 0, uuid, np.where(conversation > 0, conversation, call))
    several = (uuid > 0) & (conversation > 0) & (uuid != conversation)
    return Ids(own, uuid[several], conversation[several], call)


def join_ids(parts: list[Ids]) -> Joined:
    """Return which ids are joined by rows that have two, and by copies of one call.

    Examples
    --------
    >>> none = np.zeros(0, np.uint64)
    >>> one, two, other = (np.array([n], np.uint64) for n in (1, 2, 7))
    >>> joined = join_ids([Ids(one, one, two, none), Ids(two, two, other, none)])
    >>> joined.of(np.array([1, 2, 7, 5], np.uint64)).tolist()
    [1, 1, 1, 5]
    """
    left, right = [part.left for part in parts], [part.right for part in parts]
    again = _copies(parts)
    return _roots(np.concatenate([*left, again[0]]), np.concatenate([*right, again[1]]))


def _copies(parts: list[Ids]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the own ids of calls that were handed in more than once, each beside that of its first copy."""
    of_calls = [part for part in parts if len(part.call)]
    if not of_calls:
        return _NOTHING, _NOTHING
    call, own = (np.concatenate([getattr(part, name) for part in of_calls]) for name in ("call", "own"))
    known = np.flatnonzero(call)
    order = known[np.argsort(call[known], kind="stable")]
    call, own = call[order], own[order]
    same = np.flatnonzero((call[1:] == call[:-1]) & (own[1:] != own[:-1]))
    return own[same], own[same + 1]


def _roots(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> Joined:
    """Return for each id the least that it is joined with, by whatever way."""
    ids, codes = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, other = codes[: len(left)], codes[len(left) :]
    root = np.arange(len(ids))
    while bool((root[one] != root[other]).any()):
        low = np.minimum(root[one], root[other])
        np.minimum.at(root, root[one], low)
        np.minimum.at(root, root[other], low)
        while bool((root[root] != root).any()):
            root = root[root]
    return Joined(ids, ids[root])
