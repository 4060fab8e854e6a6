"""What a CDR call is called: an id that comes from its legs and is no other call's.

Input are the legs and the one that names each CDR call, output is one text per call.
The id that groups the legs comes first, then the key shared with the API, then the
leg's own id, then its file and line; nothing depends on the order of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import are_unique, first_occurrence, hash_text
from sippet_reconcile.normalize import clean_text
from sippet_reconcile.reconciliation.matching.legs import take_text
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.legs import Groups

__all__ = ["cdr_ids", "ids_said"]


def cdr_ids(
    legs: pd.DataFrame, leader: NDArray[np.int64], groups: Groups, split_names: pa.LargeStringArray
) -> Any:
    """Return an id per CDR call that comes from the data, not from the order of rows."""

    def at_leader(name: str) -> pa.LargeStringArray:
        array = text_array(legs[name])
        return (
            array
            if len(leader) == len(legs) and bool((leader == np.arange(len(leader))).all())
            else take_text(array, leader)
        )

    ids = ids_said(at_leader("linked_id"))
    for name in ("call_key", "leg_id"):
        if ids.null_count == 0:
            break
        ids = pc.coalesce(ids, ids_said(at_leader(name)))
    text = pa.large_string()
    if groups.is_split.any():
        part = pc.binary_join_element_wise(ids, pc.fill_null(split_names, "rest"), pa.scalar("/", text))
        ids = pc.if_else(pa.array(groups.is_split), part, ids)
    if ids.null_count == 0 and are_unique(hash_text(ids)):
        return text_series(ids).array
    repeated = ids.is_null().to_numpy(zero_copy_only=False)
    first = first_occurrence(ids)
    shared = np.bincount(first, minlength=len(first))[first] > 1
    if repeated.any() or shared.any():
        rows = text_array(legs["source_row"].take(leader).astype("str"))
        place = pc.binary_join_element_wise(
            pc.fill_null(at_leader("source_file"), "?"), pc.fill_null(rows, "?"), pa.scalar(":", text)
        )
        told_apart = pc.coalesce(pc.binary_join_element_wise(ids, place, pa.scalar("@", text)), place)
        ids = pc.if_else(pa.array(repeated | shared), told_apart, ids)
        ids = _numbered(ids)
    return text_series(ids).array


def ids_said(ids: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return ids without white space around them; one of nothing but dashes says nothing and is missing.

    Examples
    --------
    >>> ids_said(pa.array([" g-1 ", "-", "--", ""], pa.large_string())).to_pylist()
    ['g-1', None, None, None]
    """
    ids = clean_text(ids)
    if not pc.any(pc.starts_with(ids, "-")).as_py():
        return ids
    return pc.if_else(pc.match_substring_regex(ids, "^-+$"), pa.scalar(None, pa.large_string()), ids)


def _numbered(ids: pa.LargeStringArray) -> pa.LargeStringArray:
    """Tell ids apart that even file and line do not: the same row was handed in twice."""
    first = first_occurrence(ids)
    order = np.argsort(first, kind="stable")
    begins = np.flatnonzero(np.diff(first[order], prepend=-1) != 0)
    nth = np.empty(len(ids), np.int64)
    nth[order] = np.arange(len(ids)) - np.repeat(begins, np.diff(begins, append=len(ids)))
    if not nth.any():
        return ids
    text = pa.large_string()
    numbered = pc.binary_join_element_wise(ids, pa.array(nth + 1).cast(text), pa.scalar("#", text))
    return pc.if_else(pa.array(nth > 0), numbered, ids)
