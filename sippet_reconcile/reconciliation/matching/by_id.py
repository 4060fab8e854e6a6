"""What shares an id: the keys of both sides, and the pairs that they decide.

Input are both sides, output are row positions: pairs, each side at most once, rivals
that nobody decides between, and what is left for numbers and time. The id that both
sides share on any leg comes first, then the id that groups legs. A missing key equals
nothing, and the order of rows changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import Ids, TextLookup, first_occurrence, match_positions
from sippet_reconcile.reconciliation.core import MatchRule, PairPositions, at_once, blocks_of
from sippet_reconcile.reconciliation.matching.legs import take_text
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.legs import Groups

__all__ = [
    "ById",
    "CallKeys",
    "LegKeys",
    "Rivals",
    "call_keys",
    "join_pairs",
    "join_rivals",
    "leg_keys",
    "match_by_ids",
    "name_calls",
    "rivals_of",
]

MOST_LISTED: Final = 1_000
"""Rival pairs of one key that are all listed; beyond, each rival is listed once."""


@dataclass(frozen=True, eq=False)
class CallKeys:
    """The keys of the calls in the form in which they are compared.

    Attributes
    ----------
    usable
        Marks the calls that take part in matching.
    uuid
        Normal ``call_uuid``; missing for calls that take no part.
    again, before
        The calls whose ``call_uuid`` an earlier one has, and of each the first that has it.
    """

    usable: NDArray[np.bool_]
    uuid: Ids
    again: NDArray[np.int64]
    before: NDArray[np.int64]

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """For each call the position of the first one with the same ``call_uuid``; its own where it has none."""
        first = np.arange(len(self.uuid), dtype=np.int64)
        first[self.again] = self.before
        return first

    @cached_property
    def repeated(self) -> NDArray[np.int64]:
        """The calls that share their ``call_uuid`` with another one, ascending."""
        return np.union1d(self.again, self.before)


@dataclass(frozen=True, eq=False)
class LegKeys:
    """The keys of the counted legs in the form in which they are compared.

    Attributes
    ----------
    key, linked
        Normal ``call_key`` and ``linked_id``.
    others
        Positions of the legs whose linked id is not their own key.
    """

    key: Ids
    linked: Ids
    others: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Rivals:
    """Pairs that nobody decides between: positions in both frames and the match rule.

    A CDR position of -1 stands for calls that share a key which no CDR names.
    """

    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rule: NDArray[np.int8]


def call_keys(calls: pd.DataFrame, usable: NDArray[np.bool_]) -> tuple[CallKeys, TextLookup]:
    """Return the keys of the calls, and what finds calls by them; those that are not usable have none."""
    given = text_array(calls["call_uuid"])
    if not usable.all():
        given = pc.if_else(pa.array(usable), given, pa.scalar(None, pa.large_string()))
    uuid = Ids.of(given)
    lookup = TextLookup(uuid)
    return CallKeys(usable, uuid, *lookup.repeats()), lookup


def leg_keys(call_key: pa.LargeStringArray, linked_id: pa.LargeStringArray) -> LegKeys:
    """Return the keys of the legs that count."""
    key = Ids.of(call_key)
    if call_key.equals(linked_id):
        return LegKeys(key, key, np.zeros(0, np.int64))
    # Most linked ids are the leg's own key or missing: the others are all that is left to read.
    others = _differing(linked_id, call_key)
    links = Ids.of(take_text(linked_id, others))
    if key.are_uuids and links.are_uuids:
        hashes = key.hashes.copy()
        hashes[others] = links.hashes
        if linked_id.null_count:
            hashes[np.asarray(linked_id.is_null())] = 0
        return LegKeys(key, Ids(linked_id, hashes, are_uuids=True), others)
    linked = Ids.of(linked_id)
    return LegKeys(key, linked, _differing(linked.text, key.text))


def _differing(linked: pa.LargeStringArray, key: pa.LargeStringArray) -> NDArray[np.int64]:
    """Return the rows that have a linked id which is not their own key."""
    is_own = np.asarray(pc.fill_null(pc.equal(linked, key), fill_value=False))
    return np.flatnonzero(~is_own & np.asarray(linked.is_valid()))


def name_calls(lookup: TextLookup, legs: LegKeys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the call that each leg names by its key, and by its linked id.

    A call is named by the position of the first one with that ``call_uuid``; -1 is none.
    """
    size = len(legs.key)
    named, half = np.empty(size, np.int64), min((size + len(legs.others)) // 2, size)

    def find_rest() -> NDArray[np.int64]:
        lookup.find(legs.key[half:], into=named[half:])
        return lookup.find(legs.linked.at(legs.others))

    _, others = at_once(lambda: lookup.find(legs.key[:half], into=named[:half]), find_rest)
    linked_named = named.copy()
    linked_named[legs.others] = others
    if legs.linked.null_count:
        linked_named[~np.asarray(legs.linked.is_valid())] = -1
    return named, linked_named


@dataclass(frozen=True, eq=False)
class ById:
    """What ids decided, and what they leave open.

    Attributes
    ----------
    pairs
        One-to-one, in the order of the calls.
    rivals
        Those that share an id and that nobody decides between.
    ambiguous_calls, ambiguous_cdr
        Masks over the calls and the CDR calls; none of them is in a pair.
    free_calls, free_cdr
        Masks of those that numbers and time may match.
    """

    pairs: PairPositions
    rivals: Rivals
    ambiguous_calls: NDArray[np.bool_]
    ambiguous_cdr: NDArray[np.bool_]
    free_calls: NDArray[np.bool_]
    free_cdr: NDArray[np.bool_]


def match_by_ids(
    calls: pd.DataFrame, *, groups: Groups, keys: CallKeys, legs: LegKeys, linked_named: NDArray[np.int64]
) -> ById:
    """Match what shares an id, in tiers, each one-to-one.

    Rows that share no id, not even by way of others, know nothing of each other here: they
    may be matched in parts.

    Parameters
    ----------
    calls
        The calls.
    groups
        The CDR call of each leg, and the call that its legs name.
    keys, legs
        The keys of both sides.
    linked_named
        The call that each leg names by its linked id.
    """
    no_rivals = np.zeros(len(calls), np.bool_)
    by_key = _match_key(keys, groups.named, None, no_rivals, rule=MatchRule.CALL_UUID)
    paired = np.zeros(len(calls), np.bool_)
    paired[by_key.pairs.call_pos] = True
    linked_named = _of_group(linked_named, groups)
    asks = np.flatnonzero((groups.named < 0) & (linked_named >= 0))
    asks = asks[~paired[linked_named[asks]]]
    by_link = _match_key(keys, linked_named, asks, by_key.ambiguous_calls, rule=MatchRule.LINKED_ID)
    found = [by_key.pairs, by_link.pairs]
    ambiguous_calls = by_key.ambiguous_calls | by_link.ambiguous_calls
    # Calls that share their key with another one, and that no CDR names.
    unasked = keys.repeated[~ambiguous_calls[keys.repeated]]
    ambiguous_calls[unasked] = True
    free_calls = keys.usable & ~ambiguous_calls
    free_cdr = (groups.named < 0) & (linked_named < 0)
    for pairs in found:
        free_calls[pairs.call_pos] = False
        free_cdr[pairs.cdr_pos] = False
    conversations = _match_conversations(
        calls, groups, legs, free_calls=free_calls, free_cdr=free_cdr, usable=keys.usable
    )
    free_calls[conversations.call_pos] = False
    free_cdr[conversations.cdr_pos] = False
    nobody = np.full(len(unasked), -1, np.int64)
    return ById(
        join_pairs([*found, conversations], len(calls)),
        join_rivals([by_key.rivals, rivals_of(unasked, nobody, MatchRule.CALL_UUID), by_link.rivals]),
        ambiguous_calls,
        by_key.ambiguous_cdr | by_link.ambiguous_cdr,
        free_calls,
        free_cdr,
    )


def _pairs(call_pos: NDArray[np.int64], cdr_pos: NDArray[np.int64], rule: MatchRule) -> PairPositions:
    return PairPositions(call_pos, cdr_pos, np.full(len(call_pos), rule, np.int8))


def _in_order(
    call_pos: NDArray[np.int64], cdr_pos: NDArray[np.int64], n_calls: int, rule: MatchRule
) -> PairPositions:
    """Return pairs in the order of the calls, each of which occurs once at most."""
    cdr_of_call = np.full(n_calls, -1, np.int64)
    cdr_of_call[call_pos] = cdr_pos
    call_pos = np.flatnonzero(cdr_of_call >= 0)
    return _pairs(call_pos, cdr_of_call[call_pos], rule)


def rivals_of(call_pos: NDArray[np.int64], cdr_pos: NDArray[np.int64], rule: MatchRule) -> Rivals:
    """Return pairs of one rule that nobody decides between."""
    return Rivals(call_pos, cdr_pos, np.full(len(call_pos), rule, np.int8))


def join_pairs(parts: list[PairPositions], n_calls: int) -> PairPositions:
    """Join parts that share no call, in the order of the calls."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1 and bool((parts[0].call_pos[1:] > parts[0].call_pos[:-1]).all()):
        return parts[0]
    cdr_of_call = np.full(n_calls, -1, np.int64)
    rule, confidence = np.empty(n_calls, np.int8), np.empty(n_calls, np.int8)
    for part in parts:
        cdr_of_call[part.call_pos] = part.cdr_pos
        rule[part.call_pos], confidence[part.call_pos] = part.rule, part.confidence
    call_pos = np.flatnonzero(cdr_of_call >= 0)
    return PairPositions(call_pos, cdr_of_call[call_pos], rule[call_pos], confidence[call_pos])


def join_rivals(parts: list[Rivals]) -> Rivals:
    """Join parts, ordered by rule, call and CDR call."""
    call_pos = np.concatenate([part.call_pos for part in parts])
    cdr_pos = np.concatenate([part.cdr_pos for part in parts])
    rule = np.concatenate([part.rule for part in parts])
    order = np.lexsort((cdr_pos, call_pos, rule))
    return Rivals(call_pos[order], cdr_pos[order], rule[order])


def _of_group(values: NDArray[np.int64], groups: Groups) -> NDArray[np.int64]:
    """Return a value per CDR call from the values of its legs, which agree where they are not -1."""
    if len(values) == len(groups):
        # One leg per CDR call, in the same order.
        return values
    result = np.full(len(groups), -1, np.int64)
    known = np.flatnonzero(values >= 0)
    np.maximum.at(result, groups.cdr_of[known], values[known])
    return result


@dataclass(frozen=True, eq=False)
class _Tier:
    """What one key decided: pairs, rivals, and masks of the ambiguous calls and CDR calls."""

    pairs: PairPositions
    rivals: Rivals
    ambiguous_calls: NDArray[np.bool_]
    ambiguous_cdr: NDArray[np.bool_]


def _match_key(
    keys: CallKeys,
    named: NDArray[np.int64],
    asks: NDArray[np.int64] | None,
    contested: NDArray[np.bool_],
    *,
    rule: MatchRule,
) -> _Tier:
    """Match CDR calls by the key that they name: it decides where one call has it and one CDR call names it.

    `named` is the call that each CDR call names, `asks` are those that count, None all that name one. Calls
    that were contested before stay so, with whoever names them now.
    """
    n_calls = len(keys.usable)
    is_contested = contested.copy()
    is_contested[keys.before] = True
    cdr_of_call = np.full(n_calls, -1, np.int64)
    for cdr, call in _asking(named, asks):
        cdr_of_call[call] = cdr
    for cdr, call in _asking(named, asks):
        is_contested[call[cdr_of_call[call] != cdr]] = True
    call_pos = np.flatnonzero((cdr_of_call >= 0) & ~is_contested)
    pairs = _pairs(call_pos, cdr_of_call[call_pos], rule)
    ambiguous_calls, ambiguous_cdr = np.zeros(n_calls, np.bool_), np.zeros(len(named), np.bool_)
    none = np.zeros(0, np.int64)
    rival_cdr = np.concatenate([none, *(cdr[is_contested[call]] for cdr, call in _asking(named, asks))])
    if not len(rival_cdr):
        return _Tier(pairs, rivals_of(none, none, rule), ambiguous_calls, ambiguous_cdr)
    is_contested &= cdr_of_call >= 0
    rival_calls = np.flatnonzero(is_contested[keys.first])
    ambiguous_calls[rival_calls] = True
    ambiguous_cdr[rival_cdr] = True
    rivals = rivals_of(*_cross(rival_calls, keys.first[rival_calls], rival_cdr, named[rival_cdr]), rule)
    return _Tier(pairs, rivals, ambiguous_calls, ambiguous_cdr)


def _asking(
    named: NDArray[np.int64], asks: NDArray[np.int64] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the CDR calls that count and the call that each names, a few at a time."""
    for at in blocks_of(len(named) if asks is None else len(asks)):
        cdr = at.start + np.flatnonzero(named[at] >= 0) if asks is None else asks[at]
        yield cdr, named[cdr]


def _cross(
    calls: NDArray[np.int64], call_key: NDArray[np.int64], cdr: NDArray[np.int64], cdr_key: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return every pair of a call and a CDR call with one key; a key of too many pairs lists each rival once."""
    calls, cdr = calls[np.argsort(call_key, kind="stable")], cdr[np.argsort(cdr_key, kind="stable")]
    call_key, cdr_key = np.sort(call_key), np.sort(cdr_key)
    distinct = np.unique(call_key)
    call_from, call_to = (np.searchsorted(call_key, distinct, side) for side in ("left", "right"))
    cdr_from, cdr_to = (np.searchsorted(cdr_key, distinct, side) for side in ("left", "right"))
    n_call, n_cdr = call_to - call_from, cdr_to - cdr_from
    is_large = n_call * n_cdr > MOST_LISTED
    rows = np.where(is_large, np.maximum(n_call, n_cdr), n_call * n_cdr)
    key = np.repeat(np.arange(len(distinct)), rows)
    nth = np.arange(len(key)) - np.repeat(np.cumsum(rows) - rows, rows)
    call_nth = np.where(is_large[key], np.minimum(nth, n_call[key] - 1), nth // n_cdr[key])
    cdr_nth = np.where(is_large[key], np.minimum(nth, n_cdr[key] - 1), nth % n_cdr[key])
    return calls[call_from[key] + call_nth], cdr[cdr_from[key] + cdr_nth]


def _match_conversations(
    calls: pd.DataFrame,
    groups: Groups,
    legs: LegKeys,
    *,
    free_calls: NDArray[np.bool_],
    free_cdr: NDArray[np.bool_],
    usable: NDArray[np.bool_],
) -> PairPositions:
    """Match by the id of the conversation, where exactly one call and one CDR call have it.

    Calls that are matched already count as well: of a conversation of two calls the
    second is not what is left over.
    """
    if not (free_calls.any() and free_cdr.any()) or legs.linked.null_count == len(legs.linked):
        return PairPositions.none()
    if calls["conversation_id"].isna().all():
        return PairPositions.none()
    given = text_array(calls["conversation_id"])
    conversation = Ids.of(pc.if_else(pa.array(usable), given, pa.scalar(None, pa.large_string())))
    n_with = np.bincount(first_occurrence(conversation), minlength=len(calls))
    named = _of_group(match_positions(legs.linked, conversation), groups)
    asks = np.flatnonzero(named >= 0)
    asked = np.bincount(named[asks], minlength=len(calls))
    clean = (n_with == 1) & (asked == 1) & free_calls
    paired = asks[free_cdr[asks] & clean[named[asks]]]
    return _in_order(named[paired], paired, len(calls), MatchRule.LINKED_ID)
