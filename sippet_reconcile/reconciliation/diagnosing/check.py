"""Say what can be said about Call records alone, without any CDR.

Input are calls as fetched, output are findings: calls that hang open, calls that
cannot be as they stand, and calls that are recorded twice. Time is judged at the
instant a row was fetched, never at the time of running.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sippet_reconcile.keys import first_occurrence
from sippet_reconcile.reconciliation.diagnosing.records import find_impossible_calls, find_stuck_calls
from sippet_reconcile.reconciliation.diagnosing.twins import find_duplicate_calls, repeated, share_uuid
from sippet_reconcile.reconciliation.diagnosing.verdict import findings_of
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Columns
from sippet_reconcile.schema import CALLS, conform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict

__all__ = ["check_calls", "look_at_calls", "newest_rows"]


def check_calls(calls: pd.DataFrame, rules: Rules | None = None) -> Findings:
    """Look at Call records alone: which hang open, cannot be as they stand, or are recorded twice.

    Parameters
    ----------
    calls
        One row per call, as `fetch_calls`, `get_calls` or `read_calls` return them;
        extra columns and any index are tolerated. A call that was read twice is judged
        as it was read last. Without ``fetched_at`` nothing is known about age.
    rules
        `settle_s`, `open_statuses`, `duration_tolerance_s`, `status_map` and
        `duration` are used; the defaults where not given. Only ``duration="billable"``
        says that an unanswered call has no seconds.

    Returns
    -------
    Findings
        The same that `reconcile` says about these calls under these rules:

        ``stuck-calls``
            More than `settle_s` old when fetched, and with an open status or no end.
        ``impossible-calls``
            An end before the start; a duration that is negative, or longer than from
            start to end; a start or end more than five minutes after being fetched; seconds
            of talk on an unanswered call; more than 24 hours (which is unlikely, not impossible).
        ``duplicate-calls``
            A shared ``call_uuid``; or, as likely only and ``info`` where there is nothing else,
            equal numbers, direction and duration (more than zero), starts within two seconds,
            and a record without a ``call_uuid``.
        ``empty-side``
            There is no call at all.

        Every affected call is in the evidence with its ``reason``, several joined by ``"; "``.
        ``.checks`` says what was looked for, and how many calls could tell.

    Raises
    ------
    SchemaError
        If a column is absent or does not fit `schema.CALLS`.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> found = sr.check_calls(calls)
    >>> found.codes
    ('impossible-calls', 'stuck-calls')
    >>> found["impossible-calls"].evidence["reason"].value_counts().index[0]
    'longer than from start to end'
    """
    calls = conform(calls, CALLS)
    if len(calls) == 0:
        message = "There are no calls to check."
        advice = "Fetch a period that has calls, and check the token with `sippet-reconcile doctor`."
        return Findings([Finding("empty-side", Severity.STOP, message, advice=advice)])
    return findings_of(look_at_calls(Columns(calls), rules or Rules()))


def look_at_calls(
    columns: Columns,
    rules: Rules,
    *,
    first_with_uuid: NDArray[np.int64] | None = None,
    is_asked: NDArray[np.bool_] | None = None,
) -> list[Verdict]:
    """Return the verdicts about calls that need no CDR; the calls must fit `schema.CALLS`.

    `rules` are those that an analyst gave: a basis of durations that the data proposed
    would make these verdicts depend on a CDR. `first_with_uuid` is for each call the
    position of the first one with the same ``call_uuid``, where somebody has worked that
    out and each call is there once. `is_asked` marks the calls that are spoken of, all of
    them where it is not given; records of one call are told together, as soon as one of
    them is spoken of. Where calls lie in parts, the copies of one, and those that share a
    ``call_uuid``, have to lie in the same part.
    """
    n_calls = len(columns.frame)
    if first_with_uuid is None:
        (is_there,) = columns.told(_are_newest)
        shared = share_uuid(columns, is_there)
    else:
        is_there, shared = np.ones(n_calls, np.bool_), repeated(first_with_uuid)
    is_asked = is_there if is_asked is None else is_asked & is_there
    return [
        find_stuck_calls(columns, rules, is_asked),
        find_impossible_calls(columns, rules, is_asked),
        find_duplicate_calls(columns, shared, is_there, is_asked),
    ]


def newest_rows(calls: pd.DataFrame) -> NDArray[np.int64]:
    """Return the position of each call once, as it was read last: a call that was read twice is no second call."""
    return np.flatnonzero(_are_newest(Columns(calls))[0])


def _are_newest(columns: Columns) -> tuple[NDArray[np.bool_]]:
    first = first_occurrence(columns.text("id"))
    rows = np.arange(len(first))
    if bool((first == rows).all()):
        return (np.ones(len(first), np.bool_),)
    fetched = columns.frame["fetched_at"].reset_index(drop=True)
    order = fetched.sort_values(kind="stable", na_position="first").index.to_numpy()
    newest = rows.copy()
    newest[first[order]] = order  # of several readings the last one assigned stays
    is_newest = np.zeros(len(first), np.bool_)
    is_newest[newest[first == rows]] = True
    return (is_newest,)
