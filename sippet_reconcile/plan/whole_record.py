"""Judge whether a call would be consistent once its correction is written.

Input are calls as they would stand after their PATCH, the CDR's word on whether they
were answered, and the rules; output is, per call, the sentence that says what would
be wrong with it, or None. Missing values break no rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.plan.frames import is_among
from sippet_reconcile.reconciliation.statuses import StatusWords, normal_word, status_words
from sippet_reconcile.values import parse_instant, text_to_instants

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = [
    "ENDS_BEFORE_START",
    "NOT_THE_SPAN",
    "TALK_WITHOUT_ANSWER",
    "TOO_LONG",
    "RecordRule",
    "judge_calls",
]

ENDS_BEFORE_START: Final = "as corrected, the call would end before it starts"
TOO_LONG: Final = "as corrected, the call would last longer than the time from its start to its end"
NOT_THE_SPAN: Final = "as corrected, the call's duration would not be the time from its start to its end"
TALK_WITHOUT_ANSWER: Final = "as corrected, an unanswered call would have billable seconds"

_ANSWERED: Final = ("completed", "voicemail")
_UNANSWERED: Final = ("busy", "no_answer", "missed", "canceled", "failed")
_MICROS: Final = 1_000_000
_MICRO: Final = timedelta(microseconds=1)


@dataclass(frozen=True)
class RecordRule:
    """The whole-record rule under given rules of a reconciliation.

    Attributes
    ----------
    rules
        ``duration`` other than ``total`` counts as ``billable``, the stricter for
        unanswered calls.
    """

    rules: Rules

    @cached_property
    def _words(self) -> dict[str, StatusWords]:
        """What each canonical word is called by the API."""
        return status_words((*_ANSWERED, *_UNANSWERED), {}, self.rules)

    @cached_property
    def _silent(self) -> frozenset[str]:
        """The API's words, in normal form, that only unanswered calls have."""
        talked = frozenset[str]().union(*(self._words[word].agreeing for word in _ANSWERED))
        return frozenset[str]().union(*(self._words[word].agreeing for word in _UNANSWERED)) - talked

    def problems(
        self,
        *,
        started_at: NDArray[np.datetime64],
        ended_at: NDArray[np.datetime64],
        duration_s: NDArray[np.float64],
        status: NDArray[Any],
        is_answered: NDArray[Any],
        status_cdr: NDArray[Any],
    ) -> NDArray[Any]:
        """Return per call what would be wrong with it, or None.

        Parameters
        ----------
        started_at, ended_at
            ``datetime64[us]`` in UTC, NaT where missing.
        duration_s
            Seconds, NaN where missing.
        status
            Text or None: the API's word as it would stand.
        is_answered
            The CDR's evidence: True, False, or None where there is none.
        status_cdr
            Text or None: the canonical word of the CDR call.
        """
        gap = (ended_at - started_at).astype("timedelta64[us]")
        has_span = ~np.isnat(gap)
        span = np.where(has_span, gap, np.timedelta64(0, "us")).astype(np.int64)
        has_duration = ~np.isnan(duration_s)
        duration = np.rint(np.where(has_duration, duration_s, 0.0) * _MICROS)
        tolerance = round(self.rules.duration_tolerance_s * _MICROS)
        found = np.full(len(status), None, dtype=object)
        is_total = self.rules.duration == "total"
        if is_total:
            found[has_span & has_duration & (np.abs(duration - span) > tolerance)] = NOT_THE_SPAN
        else:
            found[self._is_unanswered(status, is_answered, status_cdr) & (duration > 0)] = TALK_WITHOUT_ANSWER
            found[has_span & has_duration & (duration > span + tolerance)] = TOO_LONG
        # Said last, because an end before the start also makes every duration too long.
        found[has_span & (span < 0)] = ENDS_BEFORE_START
        return found

    def _is_unanswered(
        self, status: NDArray[Any], is_answered: NDArray[Any], status_cdr: NDArray[Any]
    ) -> NDArray[np.bool_]:
        """Mark the calls that the CDR proves unanswered, or that the record itself would call so.

        A record may carry an unanswered word over an answered CDR only where that very
        word is what the rules say the CDR's status is called.
        """
        unanswered = np.zeros(len(status), np.bool_)
        known: dict[tuple[object, object, object], bool] = {}
        for place, key in enumerate(zip(status, is_answered, status_cdr, strict=True)):
            if key not in known:
                known[key] = self._is_unanswered_call(*key)
            unanswered[place] = known[key]
        return unanswered

    def _is_unanswered_call(self, word: object, is_answered: object, word_cdr: object) -> bool:
        words = self._words
        says_so = isinstance(word, str) and normal_word(word) in self._silent
        agreed = (
            is_answered is True
            and isinstance(word_cdr, str)
            and isinstance(word, str)
            and word_cdr in words
            and normal_word(word) in words[word_cdr].agreeing
        )
        return is_answered is False or (says_so and not agreed)

    def problem(
        self, record: Mapping[str, object], *, is_answered: bool | None, status_cdr: str | None
    ) -> str | None:
        """Return what would be wrong with one call given in API form, or None.

        Parameters
        ----------
        record
            ``status``, ``duration_seconds``, ``ended_at``, ``started_at`` as text in
            API form, missing as None.
        is_answered, status_cdr
            What the CDR says.

        Examples
        --------
        >>> from sippet_reconcile.reconciliation.rules import Rules
        >>> rule = RecordRule(Rules(duration="billable"))
        >>> call = {"started_at": "2026-10-01T08:00:00Z", "ended_at": "2026-10-01T08:01:00Z", "duration_seconds": "75"}
        >>> rule.problem(call, is_answered=True, status_cdr="completed")
        'as corrected, the call would last longer than the time from its start to its end'
        """
        # The rule of `problems` once more: arrays for one call take twenty times as long, and a run asks for each.
        started_at, ended_at = _instant(record.get("started_at")), _instant(record.get("ended_at"))
        span = None if started_at is None or ended_at is None else float((ended_at - started_at) // _MICRO)
        if span is not None and span < 0:
            return ENDS_BEFORE_START
        duration = _duration(record.get("duration_seconds"))
        if duration is None:
            return None
        tolerance = round(self.rules.duration_tolerance_s * _MICROS)
        if self.rules.duration == "total":
            return NOT_THE_SPAN if span is not None and abs(duration - span) > tolerance else None
        if span is not None and duration > span + tolerance:
            return TOO_LONG
        if duration > 0 and self._is_unanswered_call(record.get("status"), is_answered, status_cdr):
            return TALK_WITHOUT_ANSWER
        return None


def _duration(seconds: object) -> float | None:
    """Return whole microseconds, None where missing."""
    given = float(seconds) if isinstance(seconds, str | int | float) else math.nan
    return None if math.isnan(given) else float(np.rint(given * _MICROS))


def _instant(text: object) -> datetime | None:
    return parse_instant(text) if isinstance(text, str) else None


def judge_calls(changes: pd.DataFrame, calls: pd.DataFrame, rules: Rules) -> pd.Series[Any]:
    """Return the calls that would be inconsistent after all their changes, with the reason.

    Returns
    -------
    Series of str
        Indexed by call id; only the calls that something is wrong with.
    """
    touched = calls.loc[is_among(calls["call_id"], changes["call_id"])].reset_index(drop=True)
    if touched.empty:
        return pd.Series([], index=pd.Index([], dtype="str"), dtype="object")
    rows = pd.Index(touched["call_id"])
    status = touched["status"].astype("object").where(touched["status"].notna(), None).to_numpy(copy=True)
    duration: NDArray[np.float64] = np.array(
        touched["duration_seconds"].to_numpy(dtype="float64", na_value=np.nan)
    )
    ended_at = _plain_instants(touched["ended_at"]).copy()
    for name, part in changes.groupby("field"):
        at = rows.get_indexer(pd.Index(part["call_id"]))
        if name == "status":
            status[at] = part["after"].to_numpy(dtype=object)
        elif name == "duration_seconds":
            duration[at] = part["after_s"].to_numpy(dtype="float64")
        elif name == "ended_at":
            ended_at[at] = _plain_instants(text_to_instants(part["after"]))
    answered = touched["is_answered_cdr"]
    found = RecordRule(rules).problems(
        started_at=_plain_instants(touched["started_at"]),
        ended_at=ended_at,
        duration_s=duration,
        status=status,
        is_answered=np.array([None if pd.isna(one) else bool(one) for one in answered], dtype=object),
        status_cdr=touched["status_cdr"]
        .astype("object")
        .where(touched["status_cdr"].notna(), None)
        .to_numpy(),
    )
    problems = pd.Series(found, index=rows, dtype="object")
    return problems[problems.notna()]


def _plain_instants(series: pd.Series[pd.Timestamp]) -> NDArray[np.datetime64]:
    plain = series.dt.tz_convert("UTC").dt.tz_localize(None)
    return plain.to_numpy().astype("datetime64[us]")
