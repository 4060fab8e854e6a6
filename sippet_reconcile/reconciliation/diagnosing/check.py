"""Say what can be said about Call records alone, without any CDR.

Input are calls as fetched, output are findings: calls that hang open, calls that
cannot be as they stand, and calls that share a call_uuid. Time is judged at the
instant a row was fetched, never at the time of running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.keys import first_occurrence, normal_ids
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Columns, gap_in_seconds
from sippet_reconcile.reconciliation.statuses import normal_word
from sippet_reconcile.schema import CALLS, conform, text_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["check_calls", "find_call_problems"]

_SHOWN: Final = (
    "id",
    "call_uuid",
    "status",
    "started_at",
    "ended_at",
    "duration_seconds",
    "direction",
    "sip_username",
)


def check_calls(calls: pd.DataFrame, *, rules: Rules | None = None) -> Findings:
    """Look at Call records alone: which hang open, are impossible, or share a call_uuid.

    Parameters
    ----------
    calls
        As `fetch_calls`, `get_calls` or `read_calls` return them; extra columns and
        any index are tolerated.
    rules
        `settle_s`, `open_statuses` and `duration_tolerance_s` are used; the defaults
        where not given.

    Returns
    -------
    Findings
        ``stuck-calls``, ``impossible-calls``, ``duplicate-calls``, and ``empty-side``
        where there is no call at all. Every affected call is in the evidence.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> sr.check_calls(calls).codes
    ('impossible-calls', 'stuck-calls')
    """
    calls = conform(calls, CALLS)
    if len(calls) == 0:
        message = "There are no calls to check."
        advice = "Fetch a period that has calls, and check the token with `sippet-reconcile doctor`."
        return Findings([Finding("empty-side", Severity.STOP, message, advice=advice)])
    return Findings(find_call_problems(calls, rules or Rules()))


def find_call_problems(
    calls: pd.DataFrame,
    rules: Rules,
    *,
    first_with_uuid: NDArray[np.int64] | None = None,
    columns: Columns | None = None,
    is_asked: NDArray[np.bool_] | None = None,
) -> list[Finding]:
    """Return the findings about calls that need no CDR; the calls must fit `schema.CALLS`.

    `first_with_uuid` is for each call the position of the first one with the same
    ``call_uuid``, where somebody has worked that out and each call is there once;
    `columns` are then those of the calls. `is_asked` marks the calls that are spoken of,
    all of them where it is not given; a shared ``call_uuid`` is told with every call
    that has it, as soon as one of them is spoken of.
    """
    if first_with_uuid is None:
        rows = _newest(calls)
        calls, columns = calls.iloc[rows], None
        is_asked = None if is_asked is None else is_asked[rows]
        first_with_uuid = first_occurrence(text_array(normal_ids(calls["call_uuid"])))
    columns = Columns(calls) if columns is None else columns
    found = [
        _stuck_calls(columns, rules, is_asked),
        _impossible_calls(columns, rules, is_asked),
        _duplicate_calls(calls, first_with_uuid, is_asked),
    ]
    return [finding for finding in found if finding is not None]


def _newest(calls: pd.DataFrame) -> NDArray[np.int64]:
    """Return the position of each call once, as it was read last: a call that was read twice is no second call."""
    first = first_occurrence(text_array(calls["id"]))
    rows = np.arange(len(first))
    if bool((first == rows).all()):
        return rows
    fetched = calls["fetched_at"].reset_index(drop=True)
    order = fetched.sort_values(kind="stable", na_position="first").index.to_numpy()
    newest = rows.copy()
    newest[first[order]] = order  # of several readings the last one assigned stays
    return newest[first == rows]


def _has_status(columns: Columns, words: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the calls with one of the statuses, ignoring case, ``-`` and ``_``."""
    wanted = {normal_word(word) for word in words}
    codes, distinct = columns.codes("status")
    return np.array([*(normal_word(word) in wanted for word in distinct), False], np.bool_)[codes]


def _evidence(calls: pd.DataFrame, rows: NDArray[np.int64]) -> pd.DataFrame:
    chosen = pd.DataFrame({name: calls[name].array.take(rows) for name in _SHOWN})
    return chosen.rename(columns={"id": "call_id"})


def _stuck_calls(columns: Columns, rules: Rules, is_asked: NDArray[np.bool_] | None) -> Finding | None:
    is_open = _has_status(columns, rules.open_statuses)
    no_end = np.isnat(columns.instants("ended_at"))
    # Where it is not known when a row was fetched, or when the call began, its age is not known.
    age = gap_in_seconds(columns.instants("fetched_at"), columns.instants("started_at"))
    stuck = (is_open | no_end) & (age > rules.settle_s)
    rows = np.flatnonzero(stuck if is_asked is None else stuck & is_asked)
    if len(rows) == 0:
        return None
    evidence = _evidence(columns.frame, rows).assign(
        age_h=pd.Series(np.round(age[rows] / 3600, 1), dtype="Float64")
    )
    still_open, ended_only = int(is_open[rows].sum()), int((~is_open[rows]).sum())
    message = (
        f"{plural(len(rows), 'call')} began more than {rules.settle_s / 3600:g} h before being fetched and "
        f"never came to an end: {still_open:,} with an open status, {ended_only:,} with a final status but no end."
    )
    advice = "Those with a CDR are corrected by the plan; for the others look up how they ended and correct them from a list (plan_corrections)."
    return Finding("stuck-calls", Severity.WARN, message, evidence, advice)


def _impossible_calls(columns: Columns, rules: Rules, is_asked: NDArray[np.bool_] | None) -> Finding | None:
    length = gap_in_seconds(columns.instants("ended_at"), columns.instants("started_at"))
    seconds = columns.seconds("duration_seconds")
    backwards = length < 0
    too_long = (length >= 0) & (seconds > length + rules.duration_tolerance_s)
    negative = seconds < 0
    impossible = backwards | too_long | negative
    rows = np.flatnonzero(impossible if is_asked is None else impossible & is_asked)
    if len(rows) == 0:
        return None
    reasons = np.select(
        [backwards[rows], too_long[rows]],
        ["ended before it started", "longer than from start to end"],
        "negative duration",
    )
    evidence = _evidence(columns.frame, rows).assign(reason=pd.Series(reasons, dtype="str"))
    message = (
        f"{plural(len(rows), 'call')} cannot be as they stand: {int(backwards[rows].sum()):,} ended before they started, "
        f"{int(too_long[rows].sum()):,} last longer than from start to end, {int(negative[rows].sum()):,} have a negative duration."
    )
    advice = "A plan leaves a call out unless its change makes the whole record possible; the evidence of this finding lists the calls."
    return Finding("impossible-calls", Severity.WARN, message, evidence, advice)


def _duplicate_calls(
    calls: pd.DataFrame, first: NDArray[np.int64], is_asked: NDArray[np.bool_] | None
) -> Finding | None:
    later = first != np.arange(len(first))
    if not bool(later.any()):
        return None
    repeated = np.unique(first[later])
    if is_asked is not None:
        repeated = np.intersect1d(repeated, first[is_asked])
        if len(repeated) == 0:
            return None
    members = np.flatnonzero(np.isin(first, repeated))
    members = members[np.argsort(first[members], kind="stable")]
    evidence = _evidence(calls, members)
    message = (
        f"{plural(len(repeated), 'call_uuid')} belong to more than one call: {len(members):,} calls, "
        "none of which can be matched by key."
    )
    advice = "They stay ambiguous and are never changed; find out which record is the right one before correcting it by hand."
    return Finding("duplicate-calls", Severity.WARN, message, evidence, advice)
