"""What takes part in a reconciliation, by which ids, and the CDR calls that it makes.

Input are the two frames, output are the rows of each that count, the keys by which they
are compared, and one row per CDR call. Everything here looks at rows that share an id
and knows nothing of others, so that it may be done in parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from sippet_reconcile.errors import SchemaError
from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.reconciliation.core import at_once, instants_us
from sippet_reconcile.reconciliation.matching.by_id import call_keys, leg_keys, name_calls
from sippet_reconcile.reconciliation.matching.legs import group_by_id, group_legs, set_aside, take_text
from sippet_reconcile.reconciliation.matching.reduce import reduce_legs
from sippet_reconcile.schema import CALLS, Bucket, text_array, text_series

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.keys import TextLookup
    from sippet_reconcile.reconciliation.matching.by_id import CallKeys, LegKeys
    from sippet_reconcile.reconciliation.matching.legs import Groups, LegsAside

__all__ = ["Prepared", "prepare"]

_LOOKED_AT = ("id", "call_uuid", "direction", "from_number", "to_number", "sip_username", "status")
"""Columns of text that several steps look at."""


class Prepared(NamedTuple):
    """Both sides, ready to be matched.

    Attributes
    ----------
    calls
        The calls, their text in one piece.
    cdr_calls
        One row per CDR call.
    aside, call_aside
        The legs and the calls that take no part.
    groups
        The CDR call of each leg that counts.
    keys, legs
        The keys of the calls, and of the legs that count.
    linked_named
        The call that each leg names by its linked id; -1 is none.
    """

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    aside: LegsAside
    call_aside: dict[Bucket, tuple[NDArray[np.int64], str]]
    groups: Groups
    keys: CallKeys
    legs: LegKeys
    linked_named: NDArray[np.int64]


def prepare(
    legs: pd.DataFrame, calls: pd.DataFrame, *, reducing: Callable[[], None] | None = None
) -> Prepared:
    """Set aside what takes no part, and reduce the legs that count to CDR calls.

    Parameters
    ----------
    legs, calls
        Both frames, conformed.
    reducing
        Called when ids have been read and legs are about to be reduced.

    Raises
    ------
    SchemaError
        If one call was handed in twice with different values.
    """
    (aside, ids, first), (calls, call_aside, keys, lookup) = at_once(
        lambda: _prepare_legs(legs), lambda: _prepare_calls(calls)
    )
    if reducing is not None:
        reducing()
    named, linked_named = name_calls(lookup, ids)
    del lookup  # a table of all calls, and the largest that there is
    groups = group_legs(first, named, linked_named)
    # The parts of groups that were split are told apart by the call they name.
    parts = pa.array(groups.named, mask=(groups.named < 0) | ~groups.is_split)
    split_names = keys.uuid.take(parts) if groups.is_split.any() else pa.nulls(len(groups), pa.large_string())
    cdr_calls = reduce_legs(legs, aside.counted, groups, split_names)
    return Prepared(calls, cdr_calls, aside, call_aside, groups, keys, ids, linked_named)


def _prepare_legs(legs: pd.DataFrame) -> tuple[LegsAside, LegKeys, NDArray[np.int64]]:
    """Return the legs that count, their keys, and how they are grouped by id."""
    aside = set_aside(legs)
    linked_id, call_key = (text_array(legs[name]) for name in ("linked_id", "call_key"))
    if len(aside.counted) < len(legs):
        linked_id, call_key = take_text(linked_id, aside.counted), take_text(call_key, aside.counted)
    ids = leg_keys(call_key, linked_id)
    return aside, ids, group_by_id(ids.linked, ids.key)


def _prepare_calls(
    calls: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[Bucket, tuple[NDArray[np.int64], str]], CallKeys, TextLookup]:
    """Return the calls, those that take no part, the keys of the others and what finds calls by them."""
    calls = _in_one_piece(calls)
    aside = _calls_aside(calls)
    usable = np.ones(len(calls), np.bool_)
    for rows, _ in aside.values():
        usable[rows] = False
    return calls, aside, *call_keys(calls, usable)


def _in_one_piece(calls: pd.DataFrame) -> pd.DataFrame:
    """Return the calls with their text in one piece each: read from several pages, every look would join them anew."""
    return calls.assign(
        **{name: text_series(text_array(calls[name]), index=calls.index) for name in _LOOKED_AT}
    )


def _calls_aside(calls: pd.DataFrame) -> dict[Bucket, tuple[NDArray[np.int64], str]]:
    """Return the calls that take no part: those without an id, and older copies of one call."""
    ids = text_array(calls["id"])
    aside: dict[Bucket, tuple[NDArray[np.int64], str]] = {}
    without = np.flatnonzero(np.asarray(ids.is_null()))
    if len(without):
        aside[Bucket.UNUSABLE] = (without, "no id")
    first = first_occurrence(ids)
    several = np.flatnonzero(np.bincount(first, minlength=len(first))[first] > 1) if len(first) else first
    if len(several):
        fetched = instants_us(calls["fetched_at"])[several]
        order = np.lexsort((fetched, first[several]))
        ordered = several[order]
        last = np.diff(first[ordered], append=-1) != 0
        newest = ordered[np.flatnonzero(last)][np.cumsum(last) - last]
        _refuse_contradictions(calls, ordered, newest)
        aside[Bucket.DUPLICATE] = (ordered[~last], "the same call, read earlier or twice")
    return aside


def _refuse_contradictions(calls: pd.DataFrame, rows: NDArray[np.int64], newest: NDArray[np.int64]) -> None:
    """Raise where two copies of a call were read at the same moment and differ."""
    one = calls.loc[:, CALLS.names].iloc[rows].reset_index(drop=True)
    other = calls.loc[:, CALLS.names].iloc[newest].reset_index(drop=True)
    moments = instants_us(calls["fetched_at"])
    differs = np.zeros(len(rows), np.bool_)
    for name in CALLS.names:
        same = one[name].eq(other[name]).fillna(value=False) | (one[name].isna() & other[name].isna())
        differs |= ~same.to_numpy("bool")
    differs &= moments[rows] == moments[newest]
    if differs.any():
        found = one.loc[differs, ["id", "fetched_at"]].drop_duplicates(ignore_index=True)
        msg = (
            f"calls: {len(found):,} call(s) were handed in twice with different values and the same fetched_at, "
            f"such as {found['id'].iloc[0]}; fetch them again; see .failures"
        )
        raise SchemaError(msg, failures=found)
