"""Tell which Call records are one call recorded twice: surely by a shared call_uuid, likely by all they say.

Input are calls, each there once, output is a verdict whose evidence keeps the records
of one call together. A shared ``call_uuid`` is proof; equal parties, start and
duration where one record has no ``call_uuid`` are a reason to look, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.core import MICROS, ordered_by
from sippet_reconcile.reconciliation.diagnosing.records import evidence_of
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["find_duplicate_calls", "likely_twins", "repeated"]

SURE: Final = "shares its call_uuid"
LIKELY: Final = "likely recorded twice: equal numbers, start and duration, and not all with a call_uuid"

_APART_US: Final = 2 * MICROS
"""How far apart two records of one call may say it began: either one may be rounded."""

_WHOLE_NUMBER: Final = 15  # the digits of the longest number in E.164
_ALONE: Final = -1


def find_duplicate_calls(
    columns: Columns, first_with_uuid: NDArray[np.int64], is_asked: NDArray[np.bool_] | None
) -> Verdict:
    """Say which calls share a ``call_uuid``, and which are likely one call under two ids.

    `first_with_uuid` is for each call the position of the first one with the same ``call_uuid``.
    """
    code, what = "duplicate-calls", "calls"
    n_looked_at = len(first_with_uuid) if is_asked is None else int(is_asked.sum())
    sure = _asked_groups(repeated(first_with_uuid), is_asked)
    likely = _asked_groups(likely_twins(columns), is_asked)
    # What is proved needs no guess beside it.
    likely = np.where(np.isin(likely, likely[sure != _ALONE]), _ALONE, likely)
    n_sure, n_likely = (len(np.unique(groups[groups != _ALONE])) for groups in (sure, likely))
    if n_sure + n_likely == 0:
        return Verdict.of(code, None, n_looked_at=n_looked_at, what=what)
    rows = np.concatenate([_together(sure), _together(likely)])
    is_sure = np.arange(len(rows)) < np.count_nonzero(sure != _ALONE)
    groups = np.where(is_sure, sure[rows], likely[rows] + len(sure))
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


def repeated(first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each call its group, the first of several with the same key; -1 where it is alone."""
    later = first != np.arange(len(first))
    several = np.zeros(len(first), np.bool_)
    several[first[later]] = True
    return np.where(several[first], first, _ALONE)


def _asked_groups(groups: NDArray[np.int64], is_asked: NDArray[np.bool_] | None) -> NDArray[np.int64]:
    """Keep the groups of which any call is spoken of, whole."""
    if is_asked is None:
        return groups
    return np.where(np.isin(groups, groups[is_asked]), groups, _ALONE)


def _together(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of the grouped calls, group by group."""
    members = np.flatnonzero(groups != _ALONE)
    return members[np.argsort(groups[members], kind="stable")]


def likely_twins(columns: Columns) -> NDArray[np.int64]:
    """Return for each call the position of the first record of the same call, -1 where there is no other.

    Both numbers, the direction and the duration must be known and equal, the starts
    within two seconds of the next, the duration more than zero (people redial at
    once), and one of the records without a ``call_uuid``.
    """
    n_calls = len(columns.frame)
    groups = np.full(n_calls, _ALONE, np.int64)
    has_uuid = _has_text(columns.text("call_uuid"))
    started, known_s = columns.instants("started_at"), columns.seconds("duration_seconds")
    usable = ~np.isnat(started) & (known_s > 0)
    seconds = np.where(usable, known_s, 0).astype(np.int64)
    without = np.unique(seconds[usable & ~has_uuid])
    if len(without) == 0:
        return groups
    # First by numbers alone, which are quick to sort; only what is left has its text looked at.
    rows = np.flatnonzero(usable & np.isin(seconds, without))
    order, begins = _runs(started[rows], seconds[rows])
    rows = rows[order[_shared(begins)]]
    if len(rows) == 0:
        return groups
    parties = [
        last_digits(columns.text(name).take(pa.array(rows)), _WHOLE_NUMBER)
        for name in ("from_number", "to_number")
    ]
    direction = columns.codes("direction")[0][rows]
    known = np.logical_and.reduce([direction >= 0, *(_has_text(party) for party in parties)])
    keys = [seconds[rows], direction, *(text_codes(text_series(party))[0] for party in parties)]
    order, begins = _runs(started[rows[known]], *(key[known] for key in keys))
    rows = rows[known][order]
    run = np.cumsum(begins)
    has_none = np.bincount(run, weights=~has_uuid[rows], minlength=1) > 0
    chosen = _shared(begins) & has_none[run]
    rows, run = rows[chosen], run[chosen]
    if len(rows):
        first = np.full(run.max() + 1, n_calls, np.int64)
        np.minimum.at(first, run, rows)
        groups[rows] = first[run]
    return groups


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
