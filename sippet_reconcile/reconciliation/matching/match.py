"""Which CDR call and which call of the API are the same.

Input are both frames, output are row positions: pairs, each side at most once, and
rivals that nobody decides between. Keys come first and live in `by_id`. Numbers and
time are the last resort and live in `fallback`. The order of rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile.reconciliation.core import Confidence, MatchRule, PairPositions
from sippet_reconcile.reconciliation.matching.by_id import (
    Rivals,
    join_pairs,
    join_rivals,
    match_by_ids,
    rivals_of,
)
from sippet_reconcile.reconciliation.matching.fallback import CloseCalls, match_by_numbers
from sippet_reconcile.reconciliation.matching.other_ids import have_keys, have_uuids, ids_speak_against
from sippet_reconcile.reconciliation.matching.starts import FilesOfPairs
from sippet_reconcile.reconciliation.sides import text_codes

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.by_id import ById, CallKeys, LegKeys
    from sippet_reconcile.reconciliation.matching.legs import Groups
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Matches", "all_matches", "match_calls"]


@dataclass(frozen=True, eq=False)
class Matches:
    """What matching found.

    Attributes
    ----------
    pairs
        One-to-one, in the order of the calls.
    rivals
        The ambiguous ones.
    ambiguous_calls, ambiguous_cdr
        Masks over the calls and the CDR calls; none of them is in a pair.
    far_calls, far_cdr
        Positions of the ambiguous ones that had no rival: each matches the other alone,
        and their starts are too far apart to be believed.
    """

    pairs: PairPositions
    rivals: Rivals
    ambiguous_calls: NDArray[np.bool_]
    ambiguous_cdr: NDArray[np.bool_]
    far_calls: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    far_cdr: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))


def match_calls(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    *,
    groups: Groups,
    keys: CallKeys,
    legs: LegKeys,
    linked_named: NDArray[np.int64],
    rules: Rules,
) -> Matches:
    """Match CDR calls with calls, in tiers, each one-to-one.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    groups
        The CDR call of each leg, and the call that its legs name.
    keys, legs
        The keys of both sides.
    linked_named
        The call that each leg names by its linked id.
    rules
        The window, the digits, both tolerances and the clock offset are used.

    Returns
    -------
    Matches
        A CDR call whose ids name a call that went to another CDR call is in no pair:
        numbers and time never overrule an id.
    """
    by_id = match_by_ids(calls, groups=groups, keys=keys, legs=legs, linked_named=linked_named)
    if not (by_id.free_calls.any() and by_id.free_cdr.any()):
        return all_matches(by_id, CloseCalls.none(), np.zeros(0, np.bool_))
    source_file = text_codes(cdr_calls["source_file"])
    files = FilesOfPairs.of(calls, cdr_calls, by_id.pairs, rules, source_file=source_file)
    close = match_by_numbers(calls, cdr_calls, by_id.free_calls, by_id.free_cdr, rules, files=files)
    is_other = ids_speak_against(
        close,
        have_uuids(keys.uuid, legs.key, groups, close.pairs),
        files=files,
        keyed=files.count(have_keys(legs.key, groups)),
    )
    return all_matches(by_id, close, is_other)


def all_matches(by_id: ById, close: CloseCalls, is_other: NDArray[np.bool_]) -> Matches:
    """Return what ids, and then numbers, decided; `is_other` marks pairs by numbers that ids speak against."""
    ambiguous_calls, ambiguous_cdr = by_id.ambiguous_calls.copy(), by_id.ambiguous_cdr.copy()
    ambiguous_calls[close.rival_call] = True
    ambiguous_cdr[close.rival_cdr] = True
    by_numbers = close.pairs
    by_numbers.confidence[is_other] = Confidence.LOW
    in_order = np.lexsort((close.far_cdr, close.far_call))
    return Matches(
        join_pairs([by_id.pairs, by_numbers], len(ambiguous_calls)),
        join_rivals([by_id.rivals, rivals_of(close.rival_call, close.rival_cdr, MatchRule.NUMBERS_AND_TIME)]),
        ambiguous_calls,
        ambiguous_cdr,
        close.far_call[in_order],
        close.far_cdr[in_order],
    )
