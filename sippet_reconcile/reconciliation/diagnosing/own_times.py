"""Propose durations that calls prove by their own times, without any CDR.

Input are Call records and rules on the ``total`` basis, output is a table of
corrections for `plan_corrections`. Where a record leaves any doubt about its times,
nothing is proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.errors import InputError
from sippet_reconcile.keys import first_occurrence, normal_ids
from sippet_reconcile.reconciliation.comparing.fields import round_seconds
from sippet_reconcile.reconciliation.diagnosing.check import newest_rows
from sippet_reconcile.reconciliation.diagnosing.records import (
    CLOCK_SLACK_S,
    LONGEST_S,
    answered_words,
    has_status,
)
from sippet_reconcile.reconciliation.diagnosing.twins import likely_twins, repeated
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Columns, gap_in_seconds, micros
from sippet_reconcile.schema import CALLS, conform, text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["corrections_from_times"]

_TELLING: Final = 20
"""Sound calls from which on they are asked whether the rules can be right about them."""

_AGREEING: Final = 0.8
"""Share of them that must last from start to end; a mixture of two bases is none."""

_REASONS: Final = (
    "no duration, though it has a start and an end",
    "negative duration",
    "duration longer than from start to end",
)


def corrections_from_times(calls: pd.DataFrame, *, rules: Rules) -> pd.DataFrame:
    """Propose ``duration_seconds`` for calls that have lost it, from their own start and end.

    What lies between start and end includes ringing: it is a duration only where the
    API's durations are total seconds. Nothing is proposed for a call that hangs open,
    that was not answered or whose status does not say so, whose end is not after its
    start, is more than a day after it or later than the call was fetched, or that is, or
    is likely, recorded twice. A duration that is too short is left alone: it may be the
    end that is wrong. So it may be where a duration is longer than from start to end; such a
    record cannot stay as it is, and ``reason`` says which these are: keep them only where
    ends are known to be right.

    Parameters
    ----------
    calls
        As for `check_calls`; extra columns and any index are tolerated.
    rules
        ``duration="total"``; `duration_tolerance_s`, `duration_rounding`,
        `open_statuses` and `status_map` (which status an answered call has) are used.

    Returns
    -------
    DataFrame
        One row per call whose duration is missing, negative, or longer than from start
        to end by more than the tolerance, in the order of `calls`: ``call_id`` (str),
        ``duration_seconds`` (Int64, whole seconds from start to end) and ``reason``
        (str). `plan_corrections` takes it as it is.

    Raises
    ------
    InputError
        If the rules do not say that durations are total seconds, or if the other calls
        contradict them: of at least 20 sound ones fewer than 80 % last from start to end.
    SchemaError
        If a column of `calls` is absent or does not fit.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> seconds = (calls["ended_at"] - calls["started_at"]).dt.total_seconds().round().astype("Int64")
    >>> is_lost = calls["status"].eq("completed") & calls["sip_username"].eq("1007") & seconds.gt(900)
    >>> calls = calls.assign(duration_seconds=seconds.mask(is_lost))
    >>> corrections = sr.corrections_from_times(calls, rules=sr.Rules(duration="total"))
    >>> corrections["duration_seconds"].equals(seconds[is_lost].reset_index(drop=True))
    True
    >>> plan = sr.plan_corrections(calls, corrections, reason="lost seconds", rules=sr.Rules(duration="total"))
    >>> len(plan.left_out)
    0
    """
    if not isinstance(rules, Rules):
        msg = f"rules is a {type(rules).__name__}; pass Rules(duration='total') or Rules.from_toml(path)"
        raise InputError(msg)
    if rules.duration != "total":
        msg = (
            f"rules say duration={rules.duration!r}; the time from a call's start to its end includes ringing, and "
            "so gives a duration only where the API's durations are total seconds. If they are, pass "
            "Rules(duration='total'); if not, it takes a CDR, or a list of corrections (plan_corrections)"
        )
        raise InputError(msg)
    calls = conform(calls, CALLS)
    calls = calls.iloc[newest_rows(calls)]
    columns = Columns(calls)
    length = gap_in_seconds(columns.instants("ended_at"), columns.instants("started_at"))
    proposed = round_seconds(length, rules.duration_rounding)
    seconds = columns.seconds("duration_seconds")
    tolerance = micros(rules.duration_tolerance_s)
    is_missing = np.isnan(seconds)
    is_wrong = is_missing | (seconds < 0) | (micros(seconds) > micros(length) + tolerance)
    is_stated = np.abs(micros(proposed) - micros(length)) <= tolerance
    is_trusted = _is_trusted(columns, rules, length)
    is_sound = is_trusted & ~is_wrong & (seconds > 0)
    _refuse_contradiction(is_sound, is_sound & (np.abs(micros(seconds) - micros(length)) <= tolerance))
    rows = np.flatnonzero(is_trusted & is_wrong & is_stated & (proposed > 0))
    which = np.where(is_missing[rows], 0, np.where(seconds[rows] < 0, 1, 2))
    return pd.DataFrame(
        {
            "call_id": calls["id"].array.take(rows),
            "duration_seconds": pd.Series(proposed[rows].astype(np.int64), dtype="Int64"),
            "reason": text_series(pa.array(_REASONS, pa.large_string()).take(pa.array(which))),
        }
    )


def _refuse_contradiction(is_sound: NDArray[np.bool_], is_whole_span: NDArray[np.bool_]) -> None:
    """Raise where the calls themselves show that their durations are no total seconds."""
    n_sound, n_whole = int(is_sound.sum()), int(is_whole_span.sum())
    if n_sound >= _TELLING and n_whole < _AGREEING * n_sound:
        msg = (
            f"rules say duration='total', and the calls contradict them: only {n_whole:,} of {n_sound:,} sound answered "
            "calls last from their start to their end. Where durations leave out the ringing, it takes a CDR to correct them"
        )
        raise InputError(msg)


def _is_trusted(columns: Columns, rules: Rules, length: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark the answered calls, recorded once, whose two times nothing speaks against."""
    uuids = text_array(normal_ids(columns.frame["call_uuid"]))
    is_twice = np.zeros(len(uuids), np.bool_)
    for groups in (repeated(first_occurrence(uuids)), likely_twins(columns, ~is_twice)):
        is_twice[groups.rows] = True
    is_later = gap_in_seconds(columns.instants("ended_at"), columns.instants("fetched_at")) > CLOCK_SLACK_S
    is_answered = has_status(columns, answered_words(rules)) & ~has_status(columns, rules.open_statuses)
    return columns.is_known("id") & is_answered & (length <= LONGEST_S) & ~is_later & ~is_twice
