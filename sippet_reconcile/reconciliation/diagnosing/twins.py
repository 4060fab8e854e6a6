"""Tell which Call records are one call recorded twice: surely by a shared call_uuid, likely by all they say.

Input are calls, each there once, output is a verdict whose evidence keeps the records
of one call together. A shared ``call_uuid`` is proof; equal parties, start and
duration where one record has no ``call_uuid`` are a reason to look, and no more.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile.keys import first_occurrence, normal_ids
from sippet_reconcile.reconciliation.core import MICROS, ordered_by
from sippet_reconcile.reconciliation.diagnosing.records import evidence_of
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.reconciliation.sides import word_codes
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["Groups", "find_duplicate_calls", "likely_twins", "repeated", "share_uuid"]

SURE: Final = "shares its call_uuid"
LIKELY: Final = "likely recorded twice: equal numbers, start and duration, and not all with a call_uuid"

_APART_US: Final = 2 * MICROS
"""How far apart two records of one call may say it began: either one may be rounded."""

_WHOLE_NUMBER: Final = 15  # the digits of the longest number in E.164


class Groups(NamedTuple):
    """Calls that are recorded more than once.

    Attributes
    ----------
    rows
        Their positions.
    first
        For each of them the position of the first record of its call.
    """

    rows: NDArray[np.int64]
    first: NDArray[np.int64]

    def where(self, mask: NDArray[np.bool_]) -> Groups:
        """Return the marked ones."""
        return Groups(self.rows[mask], self.first[mask])

    def with_any(self, is_asked: NDArray[np.bool_]) -> Groups:
        """Return those of which any record is asked about, each with all of its records."""
        return self.where(np.isin(self.first, self.first[is_asked[self.rows]]))

    def in_order(self) -> Groups:
        """Return the same, group by group."""
        order = np.lexsort((self.rows, self.first))
        return Groups(self.rows[order], self.first[order])


def find_duplicate_calls(
    columns: Columns, shared: Groups, is_there: NDArray[np.bool_], is_asked: NDArray[np.bool_]
) -> Verdict:
    """Say which calls share a ``call_uuid``, and which are likely one call under two ids.

    `shared` are those that share a ``call_uuid``, `is_there` marks each call once, `is_asked`
    those of them that are spoken of.
    """
    code, what = "duplicate-calls", "calls"
    n_looked_at = int(np.count_nonzero(is_asked))
    sure = shared.with_any(is_asked).in_order()
    likely = likely_twins(columns, is_there).with_any(is_asked).in_order()
    # What is proved needs no guess beside it.
    likely = likely.where(~np.isin(likely.first, likely.first[np.isin(likely.rows, sure.rows)]))
    n_sure, n_likely = (len(np.unique(groups.first)) for groups in (sure, likely))
    if n_sure + n_likely == 0:
        return Verdict.of(code, None, n_looked_at=n_looked_at, what=what)
    rows = np.concatenate([sure.rows, likely.rows])
    is_sure = np.arange(len(rows)) < len(sure.rows)
    groups = np.concatenate([sure.first, likely.first + len(is_asked)])
    reasons = pd.Series(np.where(is_sure, SURE, LIKELY), dtype="str")
    evidence = evidence_of(columns.frame, rows, reasons)
    evidence = evidence.assign(group=pd.Series(pd.factorize(groups)[0] + 1, dtype="Int64"))
    parts, advice = [], []
    if n_sure:
        members = plural(int(is_sure.sum()), "call")
        belongs = "belongs" if n_sure == 1 else "belong"
        parts.append(
            f"{plural(n_sure, 'call_uuid')} {belongs} to more than one call ({members}, none of which can be matched by key)"
        )
        advice.append(
            "Calls that share a call_uuid stay ambiguous and are never changed; find out which record is the right one before correcting it by hand."
        )
    if n_likely:
        looks = "call is" if n_likely == 1 else "calls are"
        parts.append(
            f"{n_likely:,} {looks} likely recorded twice ({plural(int((~is_sure).sum()), 'record')} with equal numbers, start and duration, some without a call_uuid)"
        )
        advice.append(
            "Look at both records of a likely duplicate before billing it; two people may have dialled at once."
        )
    message = f"{' and '.join(parts)}."
    severity = Severity.WARN if n_sure else Severity.INFO
    finding = Finding(code, severity, message, evidence, " ".join(advice))
    return Verdict.of(code, finding, n_looked_at=n_looked_at, what=what)


def repeated(first: NDArray[np.int64]) -> Groups:
    """Return the calls that are not alone, of which `first` is the position of the first one with the same key."""
    later = np.flatnonzero(first != np.arange(len(first)))
    rows = np.union1d(later, first[later])
    return Groups(rows, first[rows])


def share_uuid(columns: Columns, is_there: NDArray[np.bool_]) -> Groups:
    """Return the calls that share a ``call_uuid``; what shares one has to lie in one part."""
    rows, uuids = columns.found(_find_shared, along=[is_there])
    of_uuid, code = np.unique(uuids.astype("str"), return_inverse=True)
    first = np.full(len(of_uuid), len(is_there), np.int64)
    np.minimum.at(first, code, rows)
    return Groups(rows, first[code])


def _find_shared(
    columns: Columns, is_there: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    rows = np.flatnonzero(is_there)
    uuids = text_array(normal_ids(columns.frame["call_uuid"].iloc[rows]))
    shared = repeated(first_occurrence(uuids)).rows
    return rows[shared], uuids.take(pa.array(shared)).to_numpy(zero_copy_only=False)


def likely_twins(columns: Columns, is_there: NDArray[np.bool_]) -> Groups:
    """Return the calls of which there is likely another record, among those that are marked.

    Both numbers, the direction and the duration must be known and equal, the starts
    within two seconds of the next, the duration more than zero (people redial at
    once), and one of the records without a ``call_uuid``.
    """
    none = Groups(np.zeros(0, np.int64), np.zeros(0, np.int64))
    lengths: Counter[int] = columns.summed(_count_without_uuid, along=[is_there])
    if not lengths:
        return none
    # First by numbers alone, which are quick to sort; only what is left has its text looked at.
    without = np.array(sorted(lengths), np.int32 if max(lengths) <= np.iinfo(np.int32).max else np.int64)
    rows, started, seconds = columns.found(_find_lengths, without, along=[is_there])
    order, begins = _runs(started, seconds)
    kept = order[_shared(begins)]
    rows, started, seconds = rows[kept], started[kept], seconds[kept]
    if len(rows) == 0:
        return none
    parties = [
        last_digits(columns.at("text", name, rows), _WHOLE_NUMBER) for name in ("from_number", "to_number")
    ]
    direction = word_codes(columns.at("text", "direction", rows))[0]
    known = np.flatnonzero(np.logical_and.reduce([direction >= 0, *(_has_text(party) for party in parties)]))
    keys = [seconds, direction, *(word_codes(party)[0] for party in parties)]
    order, begins = _runs(started[known], *(key[known].astype(np.int64) for key in keys))
    rows = rows[known][order]
    run = np.cumsum(begins)
    has_none = np.bincount(run, weights=~_has_text(columns.at("text", "call_uuid", rows)), minlength=1) > 0
    chosen = _shared(begins) & has_none[run]
    rows, run = rows[chosen], run[chosen]
    if len(rows) == 0:
        return none
    first = np.full(run.max() + 1, len(is_there), np.int64)
    np.minimum.at(first, run, rows)
    return Groups(rows, first[run])


def _usable(columns: Columns, is_there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    started, seconds = columns.instants("started_at"), columns.seconds("duration_seconds")
    return ~np.isnat(started) & (seconds > 0) & is_there


def _count_without_uuid(columns: Columns, is_there: NDArray[np.bool_]) -> Counter[int]:
    """Count the calls of each length that have no ``call_uuid``."""
    rows = np.flatnonzero(_usable(columns, is_there) & ~_has_text(columns.text("call_uuid")))
    lengths, counts = np.unique(
        columns.seconds("duration_seconds")[rows].astype(np.int64), return_counts=True
    )
    return Counter(dict(zip(lengths.tolist(), counts.tolist(), strict=True)))


def _find_lengths(
    columns: Columns, is_there: NDArray[np.bool_], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.datetime64], NDArray[np.int64]]:
    """Return the calls of some lengths, when they began, and how long they lasted."""
    usable = _usable(columns, is_there)
    seconds = np.where(usable, columns.seconds("duration_seconds"), 0).astype(lengths.dtype)
    rows = np.flatnonzero(usable & np.isin(seconds, lengths))
    return rows, columns.instants("started_at")[rows], seconds[rows]


def _runs(
    started: NDArray[np.datetime64], *keys: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the order of keys and start, and where in it a run of equal keys and close starts begins."""
    at = started.view(np.int64)
    order = ordered_by(*keys, at)
    begins = np.ones(len(order), np.bool_)
    begins[1:] = np.diff(at[order]) > _APART_US
    for key in keys:
        begins[1:] |= np.diff(key[order]) != 0
    return order, begins


def _shared(begins: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the rows whose run has another row."""
    return ~(begins & np.append(begins[1:], True))


def _has_text(array: pa.LargeStringArray) -> NDArray[np.bool_]:
    is_blank = pc.or_(pc.equal(pc.binary_length(array), 0), pc.utf8_is_space(array))
    return ~np.asarray(is_blank.fill_null(fill_value=True))
