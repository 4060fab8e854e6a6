"""Where two ids say that two rows are not the same call, though their numbers and starts fit.

Input are pairs by numbers and the pairs by ids, output is a mask of the former. In a
file whose ids are those of the API, a record that names no call has lost its call, and
a call that nobody names its record. What numbers find between two such is a call and
its redial, or a leg with an id of its own: which of the two, durations and ends tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.matching.legs import take_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.keys import Ids
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.matching.fallback import CloseCalls
    from sippet_reconcile.reconciliation.matching.legs import Groups
    from sippet_reconcile.reconciliation.matching.starts import FilesOfPairs

__all__ = ["are_uuids", "have_keys", "have_uuids", "ids_speak_against"]

ENOUGH_PAIRS: Final = 20
MOST: Final = 0.8
"""Of a file with so many pairs by ids, and so large a share of its records with ids, ids are those of the API."""

_UUID: Final = r"^[0-9a-f]{32}$"


def ids_speak_against(
    close: CloseCalls,
    have_uuids: NDArray[np.bool_],
    *,
    files: FilesOfPairs,
    keyed: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Mark the pairs by numbers of which both rows have an id, in a file whose ids are those of the API.

    Parameters
    ----------
    close
        What numbers matched, and what durations and ends say of it.
    have_uuids
        Marks those of these pairs of which both rows have a UUID.
    files
        The file of each CDR call, and how many pairs ids matched in it.
    keyed
        How many CDR calls of each file have an id.

    Notes
    -----
    Durations and ends overrule ids: no pair is marked that they bear out, and none of a
    file where they bear out half of such pairs. There, some legs have ids of their own.
    """
    if not have_uuids.any() or files.found.sum() < ENOUGH_PAIRS:
        return np.zeros(len(have_uuids), np.bool_)
    of_pair = files.of_cdr[close.cdr_pos]
    told, borne_out = (
        np.bincount(of_pair[have_uuids & flags], minlength=files.n_files)
        for flags in (close.can_tell, close.is_borne_out)
    )
    is_shared = (files.found >= ENOUGH_PAIRS) & (files.found >= MOST * keyed)
    is_shared &= (2 * borne_out < told) | (told == 0)
    return have_uuids & is_shared[of_pair] & ~close.is_borne_out


def have_uuids(call_uuid: Ids, leg_key: Ids, groups: Groups, pairs: PairPositions) -> NDArray[np.bool_]:
    """Mark the pairs of which the call has a UUID, and some leg of the CDR call as well.

    Parameters
    ----------
    call_uuid, leg_key
        The ids of calls and of counted legs.
    groups
        The CDR call of each leg.
    pairs
        Positions of calls and of CDR calls.
    """
    if not len(pairs) or leg_key.null_count == len(leg_key):
        return np.zeros(len(pairs), np.bool_)
    in_pair = np.zeros(len(groups), np.bool_)
    in_pair[pairs.cdr_pos] = True
    rows = np.flatnonzero(in_pair[groups.cdr_of])
    has_uuid = np.zeros(len(groups), np.bool_)
    has_uuid[groups.cdr_of[rows[are_uuids(take_text(leg_key, rows))]]] = True
    return has_uuid[pairs.cdr_pos] & are_uuids(take_text(call_uuid, pairs.call_pos))


def have_keys(leg_key: Ids, groups: Groups) -> NDArray[np.bool_]:
    """Mark the CDR calls of which some leg has an id that could be the API's."""
    has_key = np.zeros(len(groups), np.bool_)
    has_key[groups.cdr_of[np.asarray(leg_key.is_valid())]] = True
    return has_key


def are_uuids(ids: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark the ids, in the form in which they are compared, that are UUIDs."""
    is_uuid = pc.match_substring_regex(ids, _UUID)
    return np.asarray(pc.fill_null(is_uuid, fill_value=False))
