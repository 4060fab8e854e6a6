"""Which legs belong to one call, where each names the call that made it.

Input are the ids of legs and of their parents over all files of a read, output is the
id of the first call of each line.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import TextLookup

__all__ = ["link_to_first"]


def link_to_first(leg_id: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> pa.LargeStringArray:
    """Link the call that a child call made to the first call of the line, over all files of a read.

    Examples
    --------
    >>> ids, parents = (pa.array(list(text), pa.large_string()) for text in ("abc", "aab"))
    >>> link_to_first(ids, parents).to_pylist()
    ['a', 'a', 'a']
    """
    is_child = np.asarray(pc.fill_null(pc.not_equal(leg_id, linked_id), fill_value=False))
    children = np.flatnonzero(is_child)
    if len(children) == 0:
        return linked_id
    parents = TextLookup(leg_id).find(linked_id.take(pa.array(children)))
    if not bool(is_child[parents[parents >= 0]].any()):
        return linked_id
    above = np.arange(len(leg_id))
    above[children] = np.where(parents < 0, children, parents)
    # Each round doubles the steps taken, so that only a ring of calls that name each other has no top after these.
    for _ in range(len(children).bit_length()):
        above = above[above]
    top = np.where(above == above[above], above, np.arange(len(above)))
    return linked_id.take(pa.array(top))
