"""Find where marked rows are dense: a whole group, or a stretch of time within it.

Input are marked pairs and ways to group them, output are the stretches in which
nearly every pair is marked, with the way that tells them apart best. A clock that is
mis-read marks all calls of a file, a PBX or a stretch of time; wrong records are
strewn among right ones. How dense is too dense for chance is bounded, not guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sippet_reconcile.reconciliation.core import MICROS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.start_gaps import Grouping, StartGaps

__all__ = ["DENSE", "FEWEST", "Stretches", "find_stretches", "share_at_least", "tail_probability"]

FEWEST: Final = 10
"""Marked pairs below which a group says nothing."""

DENSE: Final = 0.8
"""Share of a group or stretch that must be marked."""

_FEWEST_IN_A_ROW: Final = 16  # where only a part of a group is marked
_SHORTEST_S: Final = 1800  # an incident is over sooner; a zone is wrong until the clocks change
_WORTH: Final = 0.7
_CHANCE: Final = 1e-4  # of any false stretch in a look at all groupings
_N_GROUPINGS: Final = 10
_HALF: Final = 0.5
_MOST_ROUNDS: Final = 20
_NEARLY_ALL: Final = 0.95
_FEW_STRETCHES: Final = 3


@dataclass(frozen=True, eq=False)
class Stretches:
    """The stretches of one grouping.

    Attributes
    ----------
    grouping
        What was grouped by.
    groups
        The group of each stretch.
    is_whole
        Whether the stretch is (nearly) all of its group.
    inside
        Marks the pairs within a stretch.
    marked
        Marks the pairs within a stretch that are marked themselves.
    cost_bits
        How many bits it takes to tell marked pairs from others with these stretches.
    """

    grouping: Grouping
    groups: NDArray[np.int32]
    is_whole: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    marked: NDArray[np.bool_]
    cost_bits: float


def find_stretches(starts: StartGaps, marked: NDArray[np.bool_]) -> list[Stretches]:
    """Return the ways of grouping in which marked pairs are dense somewhere, the one that tells best first.

    Parameters
    ----------
    starts
        The pairs.
    marked
        Marks at most half of them; all that are alike.

    Returns
    -------
    list of Stretches
        Each has at least one stretch: 10 marked pairs that are 80 % or more of a group,
        or 16 that are so much of a stretch of half an hour or longer. Chance alone,
        with marks strewn evenly, makes one in 10,000 such looks find anything.
    """
    found: list[Stretches] = []
    rows = np.flatnonzero(marked)
    if len(rows) < FEWEST:
        return found
    for grouping in starts.groupings():
        stretches = _stretches_of(starts, grouping, marked, rows)
        if stretches is None:
            continue
        found.append(stretches)
        explained = int(stretches.marked.sum())
        if explained >= _NEARLY_ALL * len(rows) and len(stretches.groups) <= _FEW_STRETCHES:
            break  # nothing tells them apart much better, so nothing more is looked up
    return sorted(found, key=lambda one: one.cost_bits)


def _stretches_of(
    starts: StartGaps, grouping: Grouping, marked: NDArray[np.bool_], rows: NDArray[np.int64]
) -> Stretches | None:
    n_pairs, n_groups = len(marked), len(grouping.words)
    if not bool((np.bincount(grouping.codes[rows]) >= FEWEST).any()):
        return None
    places = starts.places(grouping)[rows]  # of the marked pairs, in order of group and time
    by_place = np.argsort(places)
    rows, places = rows[by_place], places[by_place]
    groups = grouping.codes[rows]
    first, last = _dense(places, groups, n_pairs=n_pairs)
    if not len(first):
        return None
    group = groups[first]
    n_inside, n_hit = places[last] - places[first] + 1, last - first + 1
    sizes = np.bincount(grouping.codes, minlength=n_groups)
    is_whole = (n_hit >= DENSE * sizes[group]) & (n_hit >= FEWEST)
    lasts = (starts.started_us[rows[last]] - starts.started_us[rows[first]]) / MICROS
    is_long = (n_hit >= _FEWEST_IN_A_ROW) & (lasts >= _SHORTEST_S)
    good = (n_hit >= DENSE * n_inside) & (is_whole | is_long)
    if not good.any():
        return None
    first, last, group, is_whole = first[good], last[good], group[good], is_whole[good]
    edges = np.zeros(n_pairs + 1, np.int64)
    np.add.at(edges, places[first], 1)
    np.add.at(edges, places[last] + 1, -1)
    inside = np.zeros(n_pairs, np.bool_)
    inside[starts.in_order(grouping)] = np.cumsum(edges[:-1]) > 0
    cost = _cost_bits(inside, marked, is_whole, n_groups)
    return Stretches(grouping, group, is_whole, inside, inside & marked, cost)


def _dense(
    places: NDArray[Any], groups: NDArray[np.int32], *, n_pairs: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last mark of each stretch that is too dense for chance.

    A mark counts for a stretch, any other pair against it, so that a stretch gains
    where seven in ten are marked. The highest sum that as many marks, strewn evenly, reach
    anywhere exceeds `h` with a probability below ``n_pairs * exp(-rate * h)``.
    """
    gain, loss = 1 - _WORTH, _WORTH
    needed = math.log(n_pairs * _N_GROUPINGS / _CHANCE) / _rate(min(len(places) / n_pairs, _HALF))
    index = np.arange(len(places))
    ahead = gain * index - loss * (places - index)
    is_new = np.diff(groups, prepend=-1) != 0
    far = gain * len(places) + loss * n_pairs + 1.0
    first = last = np.zeros(0, np.int64)
    for _ in range(_MOST_ROUNDS):
        # The sum begins anew with every group, and behind every stretch that was found.
        before = ahead - far * np.cumsum(is_new)
        lowest = np.minimum.accumulate(before)
        height = before + gain - lowest
        begins = np.flatnonzero(before == lowest)
        peaks = np.maximum.reduceat(height, begins)
        block = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(places)))
        at_peak = np.flatnonzero(height >= peaks[block] - 1e-6)
        _, nth = np.unique(block[at_peak][::-1], return_index=True)
        ends = at_peak[::-1][nth]
        high = peaks >= needed
        n_before = len(first)
        first, last = begins[high], ends[high]
        behind = last[last + 1 < len(places)] + 1
        if len(first) == n_before or bool(is_new[behind].all()):
            break
        is_new = is_new.copy()
        is_new[behind] = True
    return first, last


def _rate(share: float) -> float:
    """Return the rate at which high sums become improbable: the root of ``E[exp(rate * score)] = 1``."""
    low, high = 0.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2
        # In logarithms: the larger of the two powers may be huge.
        mean = np.logaddexp(math.log(share) + middle * (1 - _WORTH), math.log1p(-share) - middle * _WORTH)
        low, high = (low, middle) if mean > 0 else (middle, high)
    return low if low > 0 else 1e-9


def _cost_bits(
    inside: NDArray[np.bool_], marked: NDArray[np.bool_], is_whole: NDArray[np.bool_], n_groups: int
) -> float:
    """Weigh how well stretches tell: to name a group costs, to name where a stretch begins and ends costs more."""
    n_named = len(is_whole) + 2 * int((~is_whole).sum())
    bits = n_named * math.log2(len(marked)) + len(is_whole) * math.log2(n_groups)
    for part in (inside, ~inside):
        size, hits = int(part.sum()), int((part & marked).sum())
        for count in (hits, size - hits):
            bits += count * math.log2(size / count) if count else 0.0
    return bits


def tail_probability(count: int, size: int, share: float) -> float:
    """Return the probability of at least so many of a number of pairs, each with a probability of its own.

    Examples
    --------
    >>> round(tail_probability(10, 10, 0.5), 6), round(tail_probability(1, 2, 0.5), 2)
    (0.000977, 0.75)
    """
    counts = range(count, size + 1)
    return math.fsum(
        math.exp(
            math.lgamma(size + 1) - math.lgamma(k + 1) - math.lgamma(size - k + 1)
            + k * math.log(share) + (size - k) * math.log1p(-share)
        )
        for k in counts
    )  # fmt: skip


def share_at_least(counts: NDArray[Any], sizes: NDArray[Any], *, chance: float = 0.01) -> NDArray[np.float64]:
    """Return the share that counts prove at least, but for a small chance; few pairs prove little.

    It is where Chernoff's bound of the binomial tail meets the chance, which for
    unanimous pairs is the exact bound and elsewhere a little below it.

    Examples
    --------
    >>> share_at_least(np.array([5, 50, 0]), np.array([5, 100, 9])).round(2).tolist()
    [0.4, 0.35, 0.0]
    """
    count, size = np.asarray(counts, np.float64), np.asarray(sizes, np.float64)
    seen = count / size
    low, high = np.zeros_like(seen), seen.copy()
    for _ in range(40):
        middle = (low + high) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            hits = np.where(seen > 0, seen * np.log(seen / middle), 0.0)
            misses = np.where(seen < 1, (1 - seen) * np.log((1 - seen) / (1 - middle)), 0.0)
        excluded = size * (hits + misses) > -math.log(chance)
        low, high = np.where(excluded, middle, low), np.where(excluded, high, middle)
    return low
