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

from sippet_reconcile.reconciliation.matching.corroborate import evidence_of
from sippet_reconcile.reconciliation.matching.legs import take_text, text_rank
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.matching.legs import Groups
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["ids_speak_against"]

ENOUGH_PAIRS: Final = 20
MOST: Final = 0.8
"""Of a file with so many pairs by ids, and so large a share of its records with ids, ids are those of the API."""

_UUID: Final = r"^[0-9a-f]{32}$"


def ids_speak_against(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    by_numbers: PairPositions,
    by_ids: PairPositions,
    *,
    call_uuid: pa.LargeStringArray,
    leg_key: pa.LargeStringArray,
    groups: Groups,
    rules: Rules,
) -> NDArray[np.bool_]:
    """Mark the pairs by numbers of which both rows have an id, in a file whose ids are those of the API.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    by_numbers, by_ids
        What numbers matched, and what ids did.
    call_uuid, leg_key
        The ids of calls and of counted legs, in the form in which they are compared; only UUIDs are looked at.
    groups
        The CDR call of each leg.
    rules
        Both tolerances and the clock offset are used.

    Notes
    -----
    Durations and ends overrule ids: no pair is marked that they bear out, and none of a
    file where they bear out half of such pairs. There, some legs have ids of their own.
    """
    nothing = np.zeros(len(by_numbers), np.bool_)
    if not len(by_numbers) or len(by_ids) < ENOUGH_PAIRS or leg_key.null_count == len(leg_key):
        return nothing
    in_pair = np.zeros(len(groups), np.bool_)
    in_pair[by_numbers.cdr_pos] = True
    rows = np.flatnonzero(in_pair[groups.cdr_of])
    has_uuid = np.zeros(len(groups), np.bool_)
    has_uuid[groups.cdr_of[rows[_are_uuids(take_text(leg_key, rows))]]] = True
    both = has_uuid[by_numbers.cdr_pos] & _are_uuids(take_text(call_uuid, by_numbers.call_pos))
    if not both.any():
        return nothing
    file = text_rank(text_array(cdr_calls["source_file"])) + 1
    has_key = np.zeros(len(groups), np.bool_)
    has_key[groups.cdr_of[np.asarray(leg_key.is_valid())]] = True
    n_files = int(file.max()) + 1
    keyed = np.bincount(file[has_key], minlength=n_files)
    found = np.bincount(file[by_ids.cdr_pos], minlength=n_files)
    pairs = by_numbers.where(both)
    evidence = evidence_of(calls, cdr_calls, pairs.call_pos, pairs.cdr_pos, rules)
    of_pair = file[pairs.cdr_pos]
    told = np.bincount(of_pair[evidence.can_tell], minlength=n_files)
    borne_out = np.bincount(of_pair[evidence.is_borne_out], minlength=n_files)
    is_shared = (found >= ENOUGH_PAIRS) & (found >= MOST * keyed) & ((2 * borne_out < told) | (told == 0))
    marked = nothing
    marked[np.flatnonzero(both)] = is_shared[of_pair] & ~evidence.is_borne_out
    return marked


def _are_uuids(ids: pa.LargeStringArray) -> NDArray[np.bool_]:
    is_uuid = pc.match_substring_regex(ids, _UUID)
    return np.asarray(pc.fill_null(is_uuid, fill_value=False))
