"""The small structures that the steps of a reconciliation hand to each other.

Input are row positions, output are row positions: the two frames are never joined,
so what matching found is three arrays with one element per pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sippet_reconcile.errors import ReconcileError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = [
    "CONFIDENCES",
    "MATCH_RULES",
    "MICROS",
    "NAT",
    "QUARTER_S",
    "QUARTER_SLACK_S",
    "Confidence",
    "MatchRule",
    "PairPositions",
    "at_once",
    "blocks_of",
    "count_up",
    "instant_us",
    "instants_us",
    "latest_so_far",
    "offset_us",
    "ordered_by",
    "start_gap_s",
]

MICROS: Final = 1_000_000
"""Microseconds in a second."""

NAT: Final = np.iinfo(np.int64).min
"""A missing instant in microseconds."""

QUARTER_S: Final = 900
"""Time zones are whole quarter hours apart, in seconds."""

QUARTER_SLACK_S: Final = 60
"""How far a clock may be off beside its zone, in seconds."""

_AT_ONCE: Final = 1 << 16
"""Rows, or pairs, looked at together: what is made of them on the way stays in the processor's cache."""

MATCH_RULES: Final = ("call_uuid", "linked_id", "numbers_and_time")
"""The words of ``match_rule``; a pair holds the position in this tuple."""

CONFIDENCES: Final = ("certain", "high", "fair", "low")
"""The words of ``confidence``; a pair holds the position in this tuple."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_WORD: Final = 2**63


class MatchRule(IntEnum):
    """Positions in `MATCH_RULES`."""

    CALL_UUID = 0
    LINKED_ID = 1
    NUMBERS_AND_TIME = 2


class Confidence(IntEnum):
    """Positions in `CONFIDENCES`: how sure it is that two rows are one call."""

    CERTAIN = 0
    HIGH = 1
    FAIR = 2
    LOW = 3


@dataclass(frozen=True, eq=False)
class PairPositions:
    """The pairs: one element of each array per pair.

    Attributes
    ----------
    call_pos
        Row position in the calls frame, int64; each at most once.
    cdr_pos
        Row position in the frame of CDR calls, int64; each at most once.
    rule
        Position in `MATCH_RULES`, int8.
    confidence
        Position in `CONFIDENCES`, int8; where not given, an id makes a pair certain
        and numbers alone make it fair.
    """

    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rule: NDArray[np.int8]
    confidence: NDArray[np.int8] = None  # type: ignore[assignment]  # made below

    def __post_init__(self) -> None:
        if self.confidence is None:
            confidence = np.full(len(self.rule), Confidence.CERTAIN, np.int8)
            confidence[np.asarray(self.rule) == MatchRule.NUMBERS_AND_TIME] = Confidence.FAIR
            object.__setattr__(self, "confidence", confidence)
        if not len(self.call_pos) == len(self.cdr_pos) == len(self.rule):
            msg = (
                f"pairs of {len(self.call_pos)} calls, {len(self.cdr_pos)} CDR calls and {len(self.rule)} rules: "
                "this is a defect of matching, please report it"
            )
            raise ReconcileError(msg)

    @classmethod
    def none(cls) -> PairPositions:
        """Return no pairs at all."""
        return cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int8))

    def __len__(self) -> int:
        return len(self.call_pos)

    def where(self, chosen: NDArray[Any]) -> PairPositions:
        """Return some pairs, by position or mask."""
        return PairPositions(
            self.call_pos[chosen], self.cdr_pos[chosen], self.rule[chosen], self.confidence[chosen]
        )


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Run tasks at the same time and return what each returns; the first runs in this thread.

    Arrow and numpy let other threads work while they walk along their arrays.

    Examples
    --------
    >>> at_once(lambda: 1, lambda: 2)
    [1, 2]
    """
    with ThreadPoolExecutor(max_workers=len(tasks)) as pool:
        others = [pool.submit(task) for task in tasks[1:]]
        first = tasks[0]()
        return [first, *(other.result() for other in others)]


def blocks_of(size: int) -> list[slice]:
    """Return slices of so many rows, a few at a time, one behind the other; none where there is no row.

    Examples
    --------
    >>> blocks_of(3), blocks_of(0)
    ([slice(0, 3, None)], [])
    """
    return [slice(begin, min(begin + _AT_ONCE, size)) for begin in range(0, size, _AT_ONCE)]


def count_up(positions: NDArray[np.int64]) -> bool:
    """Tell whether positions are 0, 1, 2 and so on, without making these numbers all at once.

    Examples
    --------
    >>> count_up(np.array([0, 1, 2])), count_up(np.array([0, 2, 1]))
    (True, False)
    """
    blocks = blocks_of(len(positions))
    return all(bool((positions[at] == np.arange(at.start, at.stop)).all()) for at in blocks)


def instants_us(instants: pd.Series[pd.Timestamp]) -> NDArray[np.int64]:
    """Return instants as microseconds since 1970 in UTC; a missing one is the smallest int64.

    Where pandas holds them so, they are looked at where they stand, and may not be written into.

    Examples
    --------
    >>> import pandas as pd
    >>> instants_us(pd.Series(pd.to_datetime(["1970-01-01 00:00:01+00:00"]))).tolist()
    [1000000]
    """
    # An aware column is held in UTC, whatever its zone.
    micros = instants.to_numpy("datetime64[us]").view(np.int64)
    micros.flags.writeable = False
    return micros


def instant_us(at: datetime) -> int:
    """Return one aware instant as microseconds since 1970 in UTC.

    Examples
    --------
    >>> instant_us(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (at - _EPOCH) // timedelta(microseconds=1)


def offset_us(seconds: float) -> int:
    """Return seconds as whole microseconds."""
    return round(seconds * MICROS)


def latest_so_far(group: NDArray[np.int64], instants: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each row the latest instant up to it within its group; groups count up from row to row.

    Examples
    --------
    >>> latest_so_far(np.array([0, 0, 0, 1]), np.array([5, 3, 9, 1])).tolist()
    [5, 5, 9, 1]
    """
    if not len(instants):
        return instants
    # Instants are replaced by their rank, and the group in front of the rank makes a
    # running maximum start afresh with every group.
    by_time = np.argsort(instants, kind="stable")
    rank = np.empty(len(instants), np.int64)
    rank[by_time] = np.arange(len(instants))
    return instants[by_time[np.maximum.accumulate(group * len(instants) + rank) % len(instants)]]


def ordered_by(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions in ascending order of whole numbers, the first key first; equal rows stay as they stand.

    The same as ``np.lexsort`` of the keys the other way round, which takes four to six
    times as long: keys that fit one word together are sorted as one, and those behind
    them are only looked at where rows are equal so far.

    Examples
    --------
    >>> ordered_by(np.array([1, 0, 1, 0]), np.array([5, 9, 5, 7])).tolist()
    [3, 1, 0, 2]
    """
    packed, n_packed = _one_word(keys)
    if n_packed == 0:
        return np.lexsort(keys[::-1])
    order = np.argsort(packed)
    ordered = packed[order]
    repeats = np.zeros(len(order), np.bool_)
    repeats[1:] = ordered[1:] == ordered[:-1]
    if repeats.any():
        several = repeats.copy()
        several[:-1] |= repeats[1:]
        places = np.flatnonzero(several)
        rows = order[places]
        # The quick sort leaves equal rows in any order, so the row itself is the last key.
        finer: list[NDArray[np.int64]] = [
            np.cumsum(~repeats, dtype=np.int64)[places],
            *(key[rows] for key in keys[n_packed:]),
            rows,
        ]
        is_finer = _one_word(finer[:2])[1] > 1
        order[places] = rows[ordered_by(*finer) if is_finer else np.lexsort(finer[::-1])]
    return order


def _one_word(keys: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], int]:
    """Return one number per row that sorts as the first keys do, and how many of them: as many as fit 63 bits."""
    packed = np.zeros(len(keys[0]), np.int64)
    size = 1
    for place, key in enumerate(keys):
        least = int(key.min()) if len(key) else 0
        span = int(key.max(initial=least)) - least + 1
        size *= span
        if size >= _NO_WORD:
            return packed, place
        packed = packed * span + (key - least)
    return packed, len(keys)


def start_gap_s(
    calls: pd.DataFrame, cdr_calls: pd.DataFrame, pairs: PairPositions, *, clock_offset_s: float
) -> NDArray[np.float64]:
    """Return CDR start minus API start of each pair, without the clock offset.

    Seconds; NaN where either side has no start.
    """
    call = instants_us(calls["started_at"])[pairs.call_pos]
    cdr = instants_us(cdr_calls["started_at"])[pairs.cdr_pos]
    known = (call != NAT) & (cdr != NAT)
    gap = np.full(len(pairs), np.nan)
    gap[known] = (cdr[known] - offset_us(clock_offset_s) - call[known]) / MICROS
    return gap
