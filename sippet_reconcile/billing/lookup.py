"""Which row of a rate card a call falls under.

Input are the digits that were called, directions, users and instants, output are positions
of rows. A card is a forest of prefixes, one tree for each user and direction that it
names; a million calls walk it together: numbers, and then instants, are looked up in
steps that are constant between two of the card's own boundaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.billing.frames import UnratedReason
from sippet_reconcile.period import load_zone
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from sippet_reconcile.billing.card import RateCard

    Ints = NDArray[np.int64]

__all__ = ["NO_START", "REASONS", "RateIndex", "day_start"]

REASONS: Final[tuple[str | None, ...]] = (None, *UnratedReason)
"""What the codes of reasons mean: 0 is none."""

NO_START: Final = int(np.iinfo(np.int64).min)
"""The instant of a call whose start is missing, as numpy has it."""

_NUMBER, _PREFIX, _START, _THEN = (
    REASONS.index(reason)
    for reason in (
        UnratedReason.NO_NUMBER,
        UnratedReason.NO_PREFIX,
        UnratedReason.NO_START,
        UnratedReason.NOT_VALID_THEN,
    )
)
_LONGEST: Final = 15  # digits of E.164
_POWERS: Final = 10 ** np.arange(_LONGEST + 1, dtype=np.int64)
_EVERY: Final = "*"
_DENSE: Final = 8  # a table may have so many places for each step
_SPARE: Final = 4096


def day_start(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a day in a zone, in microseconds since 1970.

    A day whose midnight the clock skips begins when the clock has gone forward.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> skipped = day_start(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo"))
    >>> pd.Timestamp(skipped, unit="us", tz="America/Sao_Paulo").isoformat()
    '2018-11-04T01:00:00-02:00'
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    naive = int(
        (midnight.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    )

    def instant(fold: int) -> int:
        offset = midnight.replace(fold=fold).utcoffset() or timedelta(0)
        return naive - int(offset // timedelta(microseconds=1))

    late, early = instant(0), instant(1)
    if early >= late:  # midnight exists; where it comes twice the day begins with the first
        return late
    # The clock goes forward between the two: the day begins as soon as it shows the day.
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    while late - early > 1:
        middle = (late + early) // 2
        shows = (epoch + timedelta(microseconds=middle)).astimezone(zone).date()
        early, late = (early, middle) if shows >= day else (middle, late)
    return late


@dataclass(frozen=True, eq=False)
class _Steps:
    """A function of whole numbers that is constant from each key to the next, and -1 before the first."""

    keys: Ints
    values: Ints
    table: Ints | None

    @classmethod
    def of(cls, keys: Ints, values: Ints) -> _Steps:
        """Build it from ascending keys; where they lie close together, as a table."""
        if len(keys) == 0 or int(keys[-1]) >= _DENSE * len(keys) + _SPARE:
            return cls(keys, values, None)
        at = np.searchsorted(keys, np.arange(int(keys[-1]) + 1), side="right") - 1
        return cls(keys, values, np.where(at >= 0, values[at], -1))

    def at(self, points: Ints) -> Ints:
        """Return the values at points, which are 0 or more."""
        if len(self.keys) == 0:
            return np.full(len(points), -1, np.int64)
        if self.table is not None:
            return self.table[np.minimum(points, len(self.table) - 1)]
        at = np.searchsorted(self.keys, points, side="right") - 1
        found = self.values[at]
        if len(at) and int(at.min()) < 0:
            found[at < 0] = -1
        return found


@dataclass(frozen=True, eq=False)
class _Deck:
    """The rows that name a user or none, and a direction or none: four kinds at most."""

    by_user: bool
    by_direction: bool
    pairs: dict[tuple[int, int], int]
    nodes: _Steps  # a pair and the place of a number -> the longest prefix there
    parent: Ints
    length: Ints
    rows: _Steps  # a prefix and the place of an instant -> the row

    def trees(self, directions: Ints, users: Ints, width: int) -> Ints:
        """Return which tree each call is looked up in; -1 is none."""
        if not self.by_user and not self.by_direction:
            return np.zeros(len(directions), np.int64)
        table = np.full(width * (int(max(user for user, _ in self.pairs)) + 2), -1, np.int64)
        for (user, direction), tree in self.pairs.items():
            table[(user + 1) * width + direction + 1] = tree
        user_of = users + 1 if self.by_user else np.zeros_like(users)
        direction_of = directions + 1 if self.by_direction else np.zeros_like(directions)
        known = (user_of > 0) | (not self.by_user)
        known &= (direction_of > 0) | (not self.by_direction)
        place = user_of * width + direction_of
        known &= place < len(table)
        return np.where(known, table[np.where(known, place, 0)], -1)


@dataclass(frozen=True, eq=False)
class RateIndex:
    """A rate card made ready to be looked up in, in the days of one zone."""

    users: pa.LargeStringArray
    directions: pa.LargeStringArray
    bounds: Ints
    moments: Ints
    longest: int
    decks: tuple[_Deck, ...]

    @classmethod
    def of(cls, card: RateCard, timezone: str) -> RateIndex:
        """Make a card ready; its days begin at midnight in the zone.

        Raises
        ------
        InputError
            If there is no such zone.
        """
        zone = load_zone(timezone)
        rows = card.rows
        low, length = _ranges(text_array(rows["prefix"]))
        size = _POWERS[_LONGEST - length]
        user, users = _coded(rows["user"])
        direction, directions = _coded(rows["direction"])
        starts, ends = (
            _instants(rows["valid_from"], zone, NO_START),
            _instants(rows["valid_to"], zone, -(NO_START + 1)),
        )
        known = np.concatenate([starts[starts != NO_START], ends[ends != -(NO_START + 1)]])
        moments = np.unique(known)
        spans = (
            np.where(starts == NO_START, 0, np.searchsorted(moments, starts) + 1),
            np.where(ends == -(NO_START + 1), len(moments) + 1, np.searchsorted(moments, ends) + 1),
        )
        bounds = np.unique(np.concatenate([low, low + size]))
        decks = []
        for by_user in (True, False):
            for by_direction in (True, False):
                at = np.flatnonzero(((user >= 0) == by_user) & ((direction >= 0) == by_direction))
                if len(at):
                    decks.append(
                        _deck(at, (user, direction), (low, length), spans, (bounds, len(moments) + 1))
                    )
        longest = int(length.max()) if len(length) else 0
        return cls(users, directions, bounds, moments, longest, tuple(decks))

    def find(
        self, numbers: Ints, digits: Ints, directions: Ints, users: Ints, started_at: Ints
    ) -> tuple[Ints, Ints]:
        """Find the row of each call.

        Parameters
        ----------
        numbers
            The called number in E.164, its digits filled up with zeros to 15.
        digits
            How many digits it has; 0 where there is no number.
        directions, users
            Places in `directions` and `users` of the card; -1 where it names no such one.
        started_at
            Microseconds since 1970; `NO_START` where it is missing.

        Returns
        -------
        rows, reasons : arrays of int64
            Positions in the card's rows, -1 where none fits; and the code in `REASONS`, 0 where one fits.
        """
        place = np.searchsorted(self.bounds, numbers, side="right")
        then = (
            np.searchsorted(self.moments, started_at, side="right")
            if len(self.moments)
            else np.zeros_like(numbers)
        )
        lost = (started_at == NO_START) if len(self.moments) else np.zeros(len(numbers), np.bool_)
        is_short = digits < self.longest
        short = np.flatnonzero(is_short)
        rows = np.full(len(numbers), -1, np.int64)
        lengths = np.full(len(numbers), -1, np.int64)
        fits = np.zeros(len(numbers), np.bool_)
        for deck in self.decks:  # those that say more come first, and stay where a later one is no longer
            tree = deck.trees(directions, users, len(self.directions) + 1)
            node = deck.nodes.at(np.where(tree >= 0, tree * (len(self.bounds) + 1) + place, 0))
            node[tree < 0] = -1
            self._shorten(deck, node, digits, short)
            fits |= node >= 0
            row, length = self._valid(deck, node, then)
            better = length > lengths
            rows[better], lengths[better] = row[better], length[better]
        reasons = np.where(rows >= 0, 0, np.where(fits, _THEN, _PREFIX))
        reasons[lost & fits], rows[lost] = _START, -1
        reasons[digits == 0], rows[digits == 0] = _NUMBER, -1
        return rows, reasons

    @staticmethod
    def _shorten(deck: _Deck, node: Ints, digits: Ints, short: Ints) -> None:
        """Go up, in place, from prefixes that have more digits than the number itself."""
        while len(short):
            short = short[node[short] >= 0]
            short = short[deck.length[node[short]] > digits[short]]
            node[short] = deck.parent[node[short]]

    def _valid(self, deck: _Deck, node: Ints, then: Ints) -> tuple[Ints, Ints]:
        """Return the row that is valid then and the length of its prefix: on the way up, the first one."""
        count = len(self.moments) + 1
        row = deck.rows.at(np.where(node >= 0, node * count + then, 0))
        node = node.copy()
        row[node < 0] = -1
        open_ = np.flatnonzero((row < 0) & (node >= 0))
        while len(open_):
            node[open_] = deck.parent[node[open_]]
            open_ = open_[node[open_] >= 0]
            row[open_] = deck.rows.at(node[open_] * count + then[open_])
            open_ = open_[row[open_] < 0]
        return row, np.where(row >= 0, deck.length[node], -1)


def _ranges(prefixes: pa.LargeStringArray) -> tuple[Ints, Ints]:
    """Return the first number of 15 digits that each prefix fits, and its length; all digits fit ``*``."""
    texts = ["" if prefix == _EVERY else prefix for prefix in prefixes.to_pylist()]
    low = np.array([int(text.ljust(_LONGEST, "0")) for text in texts], np.int64)
    return low, np.array([len(text) for text in texts], np.int64)


def _coded(column: pd.Series[str]) -> tuple[Ints, pa.LargeStringArray]:
    """Return which of the different values each row has, -1 where it is missing, and the values."""
    encoded = text_array(column).dictionary_encode()
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64), encoded.dictionary


def _instants(days: pd.Series[date], zone: ZoneInfo, missing: int) -> Ints:
    """Return the first instant of each day, worked out once for each different one."""
    encoded = pa.array(days.array).dictionary_encode()
    starts = np.array([*(day_start(day, zone) for day in encoded.dictionary.to_pylist()), missing], np.int64)
    at: Ints = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return starts[at]


def _painted(starts: Ints, ends: Ints, order: Ints, values: Ints) -> tuple[_Steps, Ints]:
    """Lay ranges over one another, and return what is seen, and what each range covers where it starts.

    Parameters
    ----------
    starts, ends
        The ranges; the end is no longer part.
    order
        What is laid later covers what was laid before; ranges that are laid at once are apart.
    values
        What is seen of each range.
    """
    points = np.unique(np.concatenate([starts, ends]))
    first, last = np.searchsorted(points, starts), np.searchsorted(points, ends)
    seen = np.full(len(points), -1, np.int64)
    under = np.full(len(starts), -1, np.int64)
    for layer in np.unique(order):
        at = np.flatnonzero(order == layer)
        under[at] = seen[first[at]]
        counts = last[at] - first[at]
        offsets = np.repeat(first[at] - (np.cumsum(counts) - counts), counts)
        seen[offsets + np.arange(len(offsets))] = np.repeat(values[at], counts)
    return _Steps.of(points, seen), under


def _deck(
    at: Ints,
    codes: tuple[Ints, Ints],
    prefixes: tuple[Ints, Ints],
    spans: tuple[Ints, Ints],
    places: tuple[Ints, int],
) -> _Deck:
    """Build the trees of the rows at these positions; numbers and instants have so many places."""
    bounds, count = places
    user, direction = codes[0][at], codes[1][at]
    width = int(direction.max()) + 2
    different, tree = np.unique((user + 1) * width + direction + 1, return_inverse=True)
    low, length = prefixes[0][at], prefixes[1][at]
    _, code = np.unique(low * (_LONGEST + 1) + length, return_inverse=True)
    _, first, node = np.unique(tree * len(at) + code, return_index=True, return_inverse=True)
    prefix_tree, prefix_low, prefix_length = tree[first], low[first], length[first]
    lane = prefix_tree * (len(bounds) + 1) + 1
    starts = lane + np.searchsorted(bounds, prefix_low)
    ends = lane + np.searchsorted(bounds, prefix_low + _POWERS[_LONGEST - prefix_length])
    steps, parent = _painted(starts, ends, prefix_length, np.arange(len(first)))

    start, end = spans[0][at], spans[1][at]
    inwards = np.lexsort((start - end, node))  # of one prefix the longest validity first
    ordered = node[inwards]
    depth = np.empty(len(at), np.int64)
    depth[inwards] = np.arange(len(at)) - np.searchsorted(ordered, ordered)
    rows, _ = _painted(node * count + start, node * count + end, depth, at)
    return _Deck(
        by_user=bool(user[0] >= 0),
        by_direction=bool(direction[0] >= 0),
        pairs={(pair // width - 1, pair % width - 1): n for n, pair in enumerate(different.tolist())},
        nodes=steps,
        parent=parent,
        length=prefix_length,
        rows=rows,
    )
