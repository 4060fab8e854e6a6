"""Where every leg and every call ended up.

Input is what matching found, output one bucket per leg, per call and per CDR call,
and the balance, which adds up to the rows that came in. Everything is matched before
it is sorted, so a call at the edge of the period does not lose its partner; and time
is judged at the moment the calls were fetched, never at the moment of running.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import ReconcileError
from sippet_reconcile.own_numbers import own_numbers
from sippet_reconcile.reconciliation.core import MICROS, NAT, at_once, instant_us, offset_us
from sippet_reconcile.reconciliation.statuses import normal_word
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.matching.legs import LegsAside
    from sippet_reconcile.reconciliation.matching.match import Matches
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = [
    "BUCKETS",
    "REASONS",
    "START_TOO_FAR",
    "Sorting",
    "balance_frame",
    "check_balance",
    "code_of",
    "sort_rows",
    "word_column",
]

BUCKETS: Final = tuple(bucket.value for bucket in Bucket)
"""The buckets by code."""

START_TOO_FAR: Final = "start-too-far"
"""Why a row is ambiguous that has no rival."""

REASONS: Final = (
    "internal",
    "legs-apart",
    "cdr-open",
    "too-young",
    "never-started",
    "no-start",
    START_TOO_FAR,
)
"""Why rows are excluded, by code, the first that holds; and why one without a rival is ambiguous."""

_INTERNAL, _LEGS_APART, _CDR_OPEN, _TOO_YOUNG, _NEVER_STARTED, _NO_START, _TOO_FAR = range(len(REASONS))
_NONE: Final = -1
_MINUTE: Final = np.timedelta64(60 * MICROS, "us")
_SIDES: Final = {
    "cdr": (
        Bucket.MATCHED,
        Bucket.ONLY_IN_CDR,
        Bucket.AMBIGUOUS,
        Bucket.EXCLUDED,
        Bucket.UNUSABLE,
        Bucket.DUPLICATE,
        Bucket.HELPER,
        Bucket.OUTSIDE_PERIOD,
    ),
    "api": (
        Bucket.MATCHED,
        Bucket.ONLY_IN_API,
        Bucket.AMBIGUOUS,
        Bucket.EXCLUDED,
        Bucket.UNUSABLE,
        Bucket.DUPLICATE,
        Bucket.OUTSIDE_PERIOD,
    ),
}


def code_of(bucket: Bucket) -> int:
    """Return the code of a bucket."""
    return BUCKETS.index(bucket.value)


def word_column(codes: NDArray[np.int8], words: tuple[str, ...]) -> pa.LargeStringArray:
    """Return the word of each code; a negative code is missing.

    Examples
    --------
    >>> word_column(np.array([1, -1], np.int8), ("a", "b")).to_pylist()
    ['b', None]
    """
    known = pa.array([*words, None], pa.large_string())
    return known.take(pa.array(np.where(codes < 0, len(words), codes).astype(np.int32)))


@dataclass(frozen=True, eq=False)
class Sorting:
    """The bucket and reason of every row, as codes of `BUCKETS` and `REASONS` (-1: no reason).

    Attributes
    ----------
    call_bucket, call_reason
        Per call.
    cdr_bucket, cdr_reason
        Per CDR call.
    leg_bucket, leg_reason
        Per leg.
    matched
        Marks the pairs that are compared.
    read_us
        The earliest instant at which calls were read, in microseconds; `NAT` where none says.
    """

    call_bucket: NDArray[np.int8]
    call_reason: NDArray[np.int8]
    cdr_bucket: NDArray[np.int8]
    cdr_reason: NDArray[np.int8]
    leg_bucket: NDArray[np.int8]
    leg_reason: NDArray[np.int8]
    matched: NDArray[np.bool_]
    read_us: int


class _Side(NamedTuple):
    """What sorting asks of the rows of one side, a mask each."""

    has_start: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    internal: NDArray[np.bool_]


class _CdrSide(NamedTuple):
    """The same of CDR calls, with what it asks of them alone."""

    has_start: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    internal: NDArray[np.bool_]
    is_open: NDArray[np.bool_]
    is_apart: NDArray[np.bool_]


@dataclass(frozen=True)
class _Read:
    """The earliest instant at which calls were read, in microseconds; `NAT` where none says.

    Later CDRs may have calls that were missed then.
    """

    at: int

    @classmethod
    def of(cls, calls: Columns) -> _Read:
        fetched = calls.instants("fetched_at").view(np.int64)
        known = fetched[fetched != NAT]
        return cls(int(known.min()) if len(known) else NAT)

    def __add__(self, other: _Read) -> _Read:
        return _Read(min((at for at in (self.at, other.at) if at != NAT), default=NAT))


def sort_rows(
    calls: Columns,
    cdr_calls: Columns,
    matches: Matches,
    rules: Rules,
    *,
    period: Period | None,
    call_aside: dict[Bucket, NDArray[np.int64]],
    leg_aside: LegsAside,
    cdr_of: NDArray[np.int64],
    n_legs: int,
) -> Sorting:
    """Put every call, CDR call and leg into its bucket.

    Parameters
    ----------
    calls, cdr_calls
        Both frames, the clock offset removed.
    matches
        The pairs and the ambiguous rows.
    rules
        `settle_s` and `internal_numbers` are used.
    period
        Where None, everything is inside.
    call_aside
        Calls that took no part in matching, by bucket.
    leg_aside
        Legs that do not count, and those that do.
    cdr_of
        The CDR call of each leg that counts.
    n_legs
        All legs.
    """
    call, cdr, read = at_once(
        lambda: _Side(*calls.told(_side_of, rules, period)),
        lambda: _CdrSide(*cdr_calls.told(_cdr_side_of, rules, period)),
        lambda: calls.summed(_Read.of),
    )
    # Whatever was over before the first call was read, and settled, is too young for none of them.
    late, late_end = cdr_calls.found(_over_after, read.at, rules)
    is_late = np.zeros(len(cdr.has_start), np.bool_)
    is_late[late] = True
    call_bucket, call_reason = _unmatched(call, Bucket.ONLY_IN_API, matches.ambiguous_calls, _NEVER_STARTED)
    cdr_bucket, cdr_reason = _unmatched(cdr, Bucket.ONLY_IN_CDR, matches.ambiguous_cdr, _NO_START)
    for buckets, reasons, rows in (
        (call_bucket, call_reason, matches.far_calls),
        (cdr_bucket, cdr_reason, matches.far_cdr),
    ):
        reasons[rows[buckets[rows] == code_of(Bucket.AMBIGUOUS)]] = _TOO_FAR
    only = cdr_bucket == code_of(Bucket.ONLY_IN_CDR)
    _exclude(cdr_bucket, cdr_reason, only & is_late, _TOO_YOUNG)
    _exclude(cdr_bucket, cdr_reason, only & cdr.is_open, _CDR_OPEN)
    _exclude(cdr_bucket, cdr_reason, only & cdr.is_apart, _LEGS_APART)
    _exclude(cdr_bucket, cdr_reason, only & cdr.internal, _INTERNAL)
    only_call = call_bucket == code_of(Bucket.ONLY_IN_API)
    _exclude(call_bucket, call_reason, only_call & call.internal, _INTERNAL)
    pairs = matches.pairs
    of_late = np.flatnonzero(is_late[pairs.cdr_pos])
    fetched = calls.at("instants", "fetched_at", pairs.call_pos[of_late]).view(np.int64)
    ended = late_end[np.searchsorted(late, pairs.cdr_pos[of_late])]
    is_young = ended > np.where(fetched == NAT, read.at, fetched) - offset_us(rules.settle_s)
    bucket, reason = _paired(pairs, call, cdr, young=of_late[is_young])
    for target, codes in ((call_bucket, bucket), (call_reason, reason)):
        target[pairs.call_pos] = codes
    for target, codes in ((cdr_bucket, bucket), (cdr_reason, reason)):
        target[pairs.cdr_pos] = codes
    for name, rows in call_aside.items():
        call_bucket[rows], call_reason[rows] = code_of(name), _NONE
    leg_bucket, leg_reason = np.empty(n_legs, np.int8), np.full(n_legs, _NONE, np.int8)
    leg_bucket[leg_aside.counted] = cdr_bucket[cdr_of]
    leg_reason[leg_aside.counted] = cdr_reason[cdr_of]
    for name, rows in leg_aside.bucket.items():
        leg_bucket[rows] = code_of(name)
    matched = bucket == code_of(Bucket.MATCHED)
    return Sorting(call_bucket, call_reason, cdr_bucket, cdr_reason, leg_bucket, leg_reason, matched, read.at)


def _side_of(columns: Columns, rules: Rules, period: Period | None) -> _Side:
    start = columns.instants("started_at").view(np.int64)
    if period is None:
        inside = np.ones(len(start), np.bool_)
    else:
        begin, end = instant_us(period.start), instant_us(period.end)
        inside = (start >= begin) & (start < end)
    return _Side(start != NAT, inside, _is_internal(columns, rules))


def _cdr_side_of(columns: Columns, rules: Rules, period: Period | None) -> _CdrSide:
    return _CdrSide(*_side_of(columns, rules, period), _is_open(columns), columns.is_known("legs_problem"))


def _is_internal(columns: Columns, rules: Rules) -> NDArray[np.bool_]:
    """Mark the calls between two of one's own numbers, or of the direction ``internal``."""
    codes, words = columns.codes("direction")
    internal: NDArray[np.bool_] = np.array([*(normal_word(word) == "internal" for word in words), False])[
        codes
    ]
    frame = columns.frame
    if not rules.internal_numbers:
        return internal
    own = own_numbers(rules.internal_numbers)
    both = np.ones(len(frame), np.bool_)
    for party in ("from", "to"):
        names = [name for name in (f"{party}_number", f"{party}_e164") if name in frame.columns]
        both &= own.mask(*(columns.text(name) for name in names))
    return internal | both


def _is_open(cdr_calls: Columns) -> NDArray[np.bool_]:
    codes, words = cdr_calls.codes("status")
    in_progress = np.array([*(word == "in_progress" for word in words), False])[codes]
    # An end that daylight saving makes doubtful is missing too, and yet the call has ended.
    doubtful = pc.match_substring(cdr_calls.text("time_problem"), "ended_at")
    no_end = np.isnat(_over_by(cdr_calls)) & ~np.asarray(pc.fill_null(doubtful, fill_value=False))
    return in_progress | no_end


def _over_by(cdr_calls: Columns) -> NDArray[np.datetime64]:
    """Return when each call was over: at its end, or so long after the minute in which it began as it took.

    No end follows from a start without seconds, and yet a call of which the total is
    known has ended.
    """
    ended, total = cdr_calls.instants("ended_at"), cdr_calls.seconds("total_s")
    known = np.isnat(ended) & cdr_calls.flags("is_coarse") & ~np.isnan(total)
    if not bool(known.any()):
        return ended
    lasted = np.ceil(np.where(known, total, 0) * MICROS).astype("timedelta64[us]")
    return np.where(known, cdr_calls.instants("started_at") + _MINUTE + lasted, ended)


def _over_after(
    cdr_calls: Columns, read_us: int, rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the CDR calls that ended too shortly before an instant, or after it, and when; unknown moments judge nothing."""
    ended = _over_by(cdr_calls).view(np.int64)
    if read_us == NAT:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    rows = np.flatnonzero((ended != NAT) & (ended > read_us - offset_us(rules.settle_s)))
    return rows, ended[rows]


def _unmatched(
    side: _Side | _CdrSide, only: Bucket, ambiguous: NDArray[np.bool_], without_start: int
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return bucket and reason of every row as if it were unmatched."""
    no_start = ~side.has_start
    bucket = np.full(len(no_start), code_of(only), np.int8)
    reason = np.full(len(no_start), _NONE, np.int8)
    bucket[~side.inside] = code_of(Bucket.OUTSIDE_PERIOD)
    _exclude(bucket, reason, no_start & ~ambiguous, without_start)
    bucket[ambiguous & (side.inside | no_start)] = code_of(Bucket.AMBIGUOUS)
    return bucket, reason


def _exclude(bucket: NDArray[np.int8], reason: NDArray[np.int8], rows: NDArray[np.bool_], why: int) -> None:
    bucket[rows] = code_of(Bucket.EXCLUDED)
    reason[rows] = why


def _paired(
    pairs: PairPositions, call: _Side, cdr: _CdrSide, *, young: NDArray[np.int64]
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Return bucket and reason of every pair; `young` are those that ended too shortly before they were read."""
    # A call that never started belongs where its CDR started; where nothing is known, nothing puts it outside.
    inside = call.inside[pairs.call_pos]
    unknown = np.flatnonzero(~call.has_start[pairs.call_pos])
    of_cdr = pairs.cdr_pos[unknown]
    inside[unknown] = cdr.inside[of_cdr] | ~cdr.has_start[of_cdr]
    bucket = np.full(len(pairs), code_of(Bucket.MATCHED), np.int8)
    reason = np.full(len(pairs), _NONE, np.int8)
    bucket[young], reason[young] = code_of(Bucket.EXCLUDED), _TOO_YOUNG
    _exclude(bucket, reason, cdr.is_open[pairs.cdr_pos], _CDR_OPEN)
    _exclude(bucket, reason, cdr.is_apart[pairs.cdr_pos], _LEGS_APART)
    _exclude(bucket, reason, call.internal[pairs.call_pos] | cdr.internal[pairs.cdr_pos], _INTERNAL)
    bucket[~inside], reason[~inside] = code_of(Bucket.OUTSIDE_PERIOD), _NONE
    return bucket, reason


def balance_frame(sorting: Sorting) -> pd.DataFrame:
    """Return one row per side, bucket and reason for exclusion: how many legs or calls are in it.

    Columns ``side`` (``cdr`` counts legs, ``api`` counts calls), ``bucket``, ``reason``
    (of excluded rows; else missing) and ``rows`` (Int64, zeros included).
    """
    rows: list[tuple[str, str, str | None, int]] = []
    for side, bucket, reason in (
        ("cdr", sorting.leg_bucket, sorting.leg_reason),
        ("api", sorting.call_bucket, sorting.call_reason),
    ):
        counts = np.bincount(bucket, minlength=len(BUCKETS))
        why = np.bincount(reason[bucket == code_of(Bucket.EXCLUDED)], minlength=len(REASONS)).tolist()
        for name in _SIDES[side]:
            if name is Bucket.EXCLUDED and any(why):
                rows += [(side, name.value, REASONS[code], n) for code, n in enumerate(why) if n]
            else:
                rows.append((side, name.value, None, int(counts[code_of(name)])))
    types = {"side": "str", "bucket": "str", "reason": "str", "rows": "Int64"}
    return pd.DataFrame(rows, columns=list(types)).astype(types)


def check_balance(balance: pd.DataFrame, *, n_legs: int, n_calls: int) -> None:
    """Raise where the balance does not add up to the rows that came in."""
    for side, expected, what in (("cdr", n_legs, "legs"), ("api", n_calls, "calls")):
        found = int(balance.loc[balance["side"].eq(side), "rows"].sum())
        if found != expected:
            msg = f"the balance holds {found:,} {what}, but {expected:,} came in: this is a defect, please report it"
            raise ReconcileError(msg)
