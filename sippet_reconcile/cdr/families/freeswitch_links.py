"""Which legs of FreeSWITCH are one call, and which of them are none: shared by all that FreeSWITCH writes.

A row links its own id to that of its B-leg, over all files of a read. A leg that rang
and lost to another one is a leg of the switch's inner workings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.texts import equals
from sippet_reconcile.cdr.tables import flags, in_threads
from sippet_reconcile.cdr.times.stamps import read_stamps
from sippet_reconcile.keys import are_unique, hash_text
from sippet_reconcile.normalize import text_to_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["lost_legs", "relink"]

LOST: Final = ("LOSE_RACE", "PICKED_OFF")
"""Causes of legs that rang where somebody else took the call: no outcome of it."""

_BLOCK: Final = 1 << 16  # rows hashed together
_MARKS: Final = 1 << 22  # many times as many as calls with a B-leg, and still within a processor's cache


def lost_legs(
    suspects: NDArray[np.bool_],
    cause: pa.LargeStringArray,
    answered: pa.LargeStringArray | None,
    billable: pa.LargeStringArray,
) -> NDArray[np.bool_]:
    """Mark the suspects and the legs that lost to another one, but no leg on which anybody talked.

    Parameters
    ----------
    suspects
        Rows that are a helper if they were not answered.
    cause, answered, billable
        Hangup cause, answer time and billable seconds, as trimmed text.
    """
    marked = suspects.copy()
    for word in LOST:
        marked |= equals(cause, word)
    rows = np.flatnonzero(marked)
    if len(rows) == 0:
        return marked
    places = pa.array(rows)
    seconds, _ = text_to_seconds(billable.take(places))
    talked = seconds > 0
    if answered is not None:
        talked |= read_stamps(answered.take(places)).known
    marked[rows] = ~talked
    return marked


def relink(leg_id: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> pa.LargeStringArray:
    """Give all legs of one call one linked id, over all files of a read.

    A row links its own id to that of its B-leg. Where several rows say so of each
    other, or one id has several B-legs, the whole group takes one of the B-leg ids;
    which one does not depend on the order of rows or files.
    """
    links = flags(pc.fill_null(pc.not_equal(leg_id, linked_id), fill_value=False))
    if not bool(links.any()):
        return linked_id
    naming, named = in_threads(hash_text, [ids.filter(pa.array(links)) for ids in (leg_id, linked_id)])
    # Where each id that names a B-leg stands in one row, and none of them is a B-leg itself, nothing is to settle.
    if are_unique(naming) and not _are_elsewhere(naming, named, leg_id, ~links):
        return linked_id
    own = hash_text(leg_id)
    linked = own.copy()
    linked[links] = named
    codes, ids = pd.factorize(np.concatenate([own, linked]))
    left, right = codes[: len(own)], codes[len(own) :]
    group = np.arange(len(ids))
    while True:
        lowest = np.minimum(group[left], group[right])
        before = group.copy()
        np.minimum.at(group, left, lowest)
        np.minimum.at(group, right, lowest)
        group = group[group]
        if bool((group == before).all()):
            break
    # The group's name is the B-leg id with the smallest hash: the same whatever came first.
    smallest = np.full(len(ids), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, group[right[links]], linked[links])
    wanted = smallest[group[left]]
    where = pd.Series(np.arange(len(linked)), index=linked).groupby(level=0).first()
    grouped = (wanted != np.iinfo(np.uint64).max) & (own != 0)
    source = np.arange(len(linked))
    source[grouped] = where.reindex(wanted[grouped]).to_numpy()
    return linked_id.take(pa.array(source))


def _are_elsewhere(
    hashes: NDArray[np.uint64], others: NDArray[np.uint64], ids: pa.LargeStringArray, rows: NDArray[np.bool_]
) -> bool:
    """Tell whether any of some hashes is among others, or that of an id in the rows that are marked.

    The last bits of a hash say of nearly all others that they are none of these.
    """

    def last_bits(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes & np.uint64(_MARKS - 1)).view(np.int64)

    def suspects(begin: int) -> NDArray[np.uint64]:
        block = hash_text(ids.slice(begin, _BLOCK))
        return block[marks.take(last_bits(block)) & rows[begin : begin + _BLOCK]]

    marks = np.zeros(_MARKS, bool)
    marks[last_bits(hashes)] = True
    found = in_threads(suspects, list(range(0, len(ids), _BLOCK)), n_rows=len(ids))
    found.append(others[marks.take(last_bits(others))])
    return bool(pd.Index(np.concatenate(found)).isin(hashes).any())
