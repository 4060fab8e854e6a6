"""Which legs count, and which of them are one call.

Input are the legs, output are row positions: the legs that are set aside (unusable,
sent twice, helpers), and for every other leg the CDR call it belongs to. The id that
groups the legs of one call decides, else the id shared with the API; a group whose
legs name different calls of the API is split along them. Nothing here depends on
the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import SchemaError
from sippet_reconcile.keys import (
    are_unique,
    combine_hashes,
    first_occurrence,
    hash_text,
    match_positions,
    text_of,
)
from sippet_reconcile.reconciliation.core import count_up, instants_us
from sippet_reconcile.schema import LEGS, Bucket, Kind, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.keys import Texts

__all__ = [
    "Groups",
    "LegsAside",
    "flags_of",
    "group_by_id",
    "group_legs",
    "set_aside",
    "take_text",
    "text_rank",
]

_WHERE_FROM: Final = frozenset({"source_file", "source_row", "source_sha256"})
"""Columns that say where a record stood, which differ between two copies of it."""

HELPER_COLUMN: Final = "is_helper"
"""Optional column of the legs: rows that a switch writes beside the real legs of a call."""

COARSE_COLUMN: Final = "is_coarse"
"""Optional column of the legs: rows whose times are printed without seconds."""


def take_text(array: pa.LargeStringArray, positions: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return text by position."""
    return array.take(pa.array(positions))


def text_rank(array: pa.LargeStringArray) -> NDArray[np.int64]:
    """Return the place of each text in the alphabet of the distinct ones; missing is -1.

    Examples
    --------
    >>> text_rank(pa.array(["b", "a", None, "b"], pa.large_string())).tolist()
    [1, 0, -1, 1]
    """
    encoded = array.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    rank = np.empty(len(words) + 1, np.int64)
    rank[np.array(sorted(range(len(words)), key=words.__getitem__), np.int64)] = np.arange(len(words))
    rank[-1] = -1
    return rank[encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]


@dataclass(frozen=True, eq=False)
class LegsAside:
    """The legs that do not count.

    Attributes
    ----------
    bucket
        Bucket per leg (`Bucket.UNUSABLE`, `DUPLICATE` or `HELPER`) and the positions that have it.
    original
        For each duplicate, in the order of its positions, the position of the leg it repeats.
    counted
        Positions of all other legs, ascending.
    """

    bucket: dict[Bucket, NDArray[np.int64]]
    original: NDArray[np.int64]
    counted: NDArray[np.int64]


def set_aside(legs: pd.DataFrame) -> LegsAside:
    """Sort out the legs that do not count: unusable ones, repeated records, helpers.

    A record was sent again where its hash and every visible field are equal, in
    whatever file; the first by file and line stays.
    """
    usable = np.asarray(text_array(legs["problem"]).is_null())
    duplicates, original = _duplicates(legs, usable)
    counted = usable.copy()
    counted[duplicates] = False
    helper = flags_of(legs, HELPER_COLUMN) & counted
    counted &= ~helper
    bucket = {
        Bucket.UNUSABLE: np.flatnonzero(~usable),
        Bucket.DUPLICATE: duplicates,
        Bucket.HELPER: np.flatnonzero(helper),
    }
    return LegsAside(bucket, original, np.flatnonzero(counted))


def flags_of(legs: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    """Return an optional column of flags; what is missing is not set, and so is a column that is not there.

    Raises
    ------
    SchemaError
        If the column holds no flags.
    """
    if name not in legs.columns:
        return np.zeros(len(legs), np.bool_)
    try:
        return legs[name].astype("boolean").to_numpy("bool", na_value=False)
    except (TypeError, ValueError) as exc:
        msg = f"legs: column {name!r} is {legs[name].dtype}, expected boolean"
        raise SchemaError(msg) from exc


def _duplicates(legs: pd.DataFrame, usable: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of repeated records, and of the record that each repeats."""
    hashes = legs["record_hash"].to_numpy("int64", na_value=0)
    hashed = usable & legs["record_hash"].notna().to_numpy()
    positions = np.flatnonzero(hashed)
    hashes = hashes if len(positions) == len(hashes) else hashes[positions]
    none = np.zeros(0, np.int64)
    if are_unique(hashes):
        return none, none
    rows = positions[pd.Index(hashes).duplicated(keep=False)]
    shown = [column for column in LEGS.names if column not in _WHERE_FROM]
    shown += [str(name) for name in legs.columns if str(name).startswith("x_")]
    fields = [_comparable(legs[name], rows) for name in shown]
    codes = combine_hashes([_hashed(field) for field in fields])
    files = text_rank(take_text(text_array(legs["source_file"]), rows))
    lines = legs["source_row"].to_numpy("int64", na_value=-1)[rows]
    order = np.lexsort((lines, files, codes))
    new = np.diff(codes[order], prepend=codes[order][:1] + np.uint64(1)) != 0
    first = order[np.flatnonzero(new)[np.cumsum(new) - 1]]
    again = np.flatnonzero(~new)
    repeated, kept = order[again], first[again]
    equal = np.ones(len(repeated), np.bool_)
    for field in fields:
        equal &= _equal(field, repeated, kept)
    return rows[repeated[equal]], rows[kept[equal]]


def _comparable(series: pd.Series[Any], rows: NDArray[np.int64]) -> Any:
    """Return the rows of one column as Arrow text, or as numpy words that are equal where the values are."""
    if pd.api.types.is_string_dtype(series.dtype):
        return take_text(text_array(series.astype("str")), rows)
    if str(series.dtype) == Kind.INSTANT.value:
        return instants_us(series)[rows].view(np.uint64)
    if pd.api.types.is_integer_dtype(series.dtype) and not series.hasnans:
        return series.to_numpy("int64")[rows].view(np.uint64)
    if pd.api.types.is_numeric_dtype(series.dtype):
        # Missing becomes one fixed NaN, and 0.0 − 0.0 has one sign, so equal values have equal bits.
        return (series.to_numpy("float64", na_value=np.nan)[rows] + 0.0).view(np.uint64)
    return text_array(series.iloc[rows].astype("str"))


def _hashed(field: Any) -> NDArray[np.uint64]:
    return field if isinstance(field, np.ndarray) else hash_text(field)


def _equal(field: Any, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    if isinstance(field, np.ndarray):
        same: NDArray[np.bool_] = field[left] == field[right]
        return same
    first, second = take_text(field, left), take_text(field, right)
    both_missing = pc.and_(first.is_null(), second.is_null())
    return np.asarray(pc.or_(pc.fill_null(pc.equal(first, second), fill_value=False), both_missing))


@dataclass(frozen=True, eq=False)
class Groups:
    """Which CDR call each counted leg belongs to.

    Attributes
    ----------
    cdr_of
        Row of the CDR call per counted leg.
    size
        Legs per CDR call.
    named
        The call of the API that a CDR call's legs name by their own key, as the
        position of the first call with that key; -1 where they name none.
    is_split
        Marks CDR calls that are one part of a split group.
    """

    cdr_of: NDArray[np.int64]
    size: NDArray[np.int64]
    named: NDArray[np.int64]
    is_split: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.size)


def group_by_id(linked_id: Texts, call_key: Texts) -> NDArray[np.int64]:
    """Return for each leg the first one of its group.

    Legs with one `linked_id` are one group. A leg without it joins the one group in
    which its `call_key` occurs; where there is none, or more than one, it is grouped
    by its `call_key` alone. A leg with neither stands alone. Both ids are in the form
    in which they are compared, see `normal_ids`.

    Examples
    --------
    >>> linked, key = (pa.array(ids, pa.large_string()) for ids in (["g", None, None], ["a", "a", "b"]))
    >>> group_by_id(linked, key).tolist()
    [0, 0, 2]
    """
    if linked_id.null_count == len(linked_id):
        key = call_key
    elif linked_id.null_count:
        linked, own = text_of(linked_id), text_of(call_key)
        key = pc.coalesce(linked, _joined(linked, own), own)
    else:
        key = linked_id
    return first_occurrence(key)


def _joined(linked_id: pa.LargeStringArray, call_key: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return for each leg without a linked id that of the one group in which its key occurs; else missing."""
    is_linked = np.asarray(linked_id.is_valid())
    linked = np.flatnonzero(is_linked)
    asks = np.flatnonzero(~is_linked & np.asarray(call_key.is_valid()))
    names, keys, wanted = (
        take_text(linked_id, linked),
        take_text(call_key, linked),
        take_text(call_key, asks),
    )
    group, first = first_occurrence(names), first_occurrence(keys)
    lowest, highest = np.full(len(linked), len(linked)), np.full(len(linked), -1)
    np.minimum.at(lowest, first, group)
    np.maximum.at(highest, first, group)
    found = match_positions(wanted, keys)
    # A key may be the linked id of a group as well: then that group has to be the same one.
    as_link = match_positions(wanted, names)
    is_one = (found >= 0) & (lowest[found] == highest[found])
    is_one &= (as_link < 0) | (as_link == lowest[found])
    origin = np.full(len(linked_id), -1, np.int64)
    origin[asks[is_one]] = lowest[found[is_one]]
    return names.take(pa.array(origin, mask=origin < 0))


def group_legs(first: NDArray[np.int64], named: NDArray[np.int64], linked_named: NDArray[np.int64]) -> Groups:
    """Return the CDR call of each counted leg.

    Where the legs of one group name different calls, each goes with the call that it
    names by its key, or else by its linked id; legs of such a group that name none of
    them are one part of their own.

    Parameters
    ----------
    first
        The first leg of each one's group, see `group_by_id`.
    named, linked_named
        The call that each leg names by its key and by its linked id, as a position; -1 for none.
    """
    if count_up(first):
        return Groups(first, np.ones(len(first), np.int64), named, np.zeros(len(first), np.bool_))
    rows = np.arange(len(first), dtype=np.int64)
    first, split = _split(first, named, linked_named)
    leaders = np.flatnonzero(first == rows)
    place = np.empty(len(rows), np.int64)
    place[leaders] = np.arange(len(leaders))
    cdr_of = place[first]
    # Within a CDR call every leg names the same call or none, so any that is named is it.
    named_by_call = np.full(len(leaders), -1, np.int64)
    naming = np.flatnonzero(named >= 0)
    named_by_call[cdr_of[naming]] = named[naming]
    size = np.bincount(cdr_of, minlength=len(leaders))
    return Groups(cdr_of, size, named_by_call, split[leaders])


def _split(
    first: NDArray[np.int64], named: NDArray[np.int64], linked_named: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Split groups whose legs name different calls; return the new first row of each leg, and who was split."""
    lowest = np.full(len(first), np.iinfo(np.int64).max)
    highest = np.full(len(first), -1, np.int64)
    naming = np.flatnonzero(named >= 0)
    np.minimum.at(lowest, first[naming], named[naming])
    np.maximum.at(highest, first[naming], named[naming])
    is_split = (highest > lowest)[first]
    rows = np.flatnonzero(is_split)
    if not len(rows):
        return first, is_split
    goes_with = named[rows]
    by_key = pd.MultiIndex.from_arrays([first[rows], goes_with])
    by_link = pd.MultiIndex.from_arrays([first[rows], linked_named[rows]])
    follows = (goes_with < 0) & (linked_named[rows] >= 0) & by_link.isin(by_key)
    goes_with = np.where(follows, linked_named[rows], goes_with)
    codes = pd.MultiIndex.from_arrays([first[rows], goes_with]).factorize()[0]
    # Codes count up as they appear, so the first row of each code is where it is new.
    appeared = np.flatnonzero(np.diff(np.maximum.accumulate(codes), prepend=-1) > 0)
    divided = first.copy()
    divided[rows] = rows[appeared[codes]]
    return divided, is_split
