"""Tell which Call records hang open and which cannot be as they stand, each from itself alone.

Input are calls with fitting columns and the rules, output are two verdicts whose
evidence has every affected call with its reasons. Time is judged at the instant a row
was fetched; what a record does not say is held against nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.core import blocks_of
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import UNANSWERED, normal_word, status_words
from sippet_reconcile.schema import take, text_series

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = [
    "CLOCK_SLACK_S",
    "LONGEST_S",
    "answered_words",
    "evidence_of",
    "find_impossible_calls",
    "find_stuck_calls",
    "has_status",
    "impossible_calls",
    "unanswered_words",
]

LONGEST_S: Final = 24 * 3600
"""A record that spans more than a day was closed by somebody else than its parties."""

CLOCK_SLACK_S: Final = 300
"""How far the clock that stamps ``fetched_at`` may be behind the API's, in seconds."""

_SHOWN: Final = (
    "status",
    "started_at",
    "ended_at",
    "duration_seconds",
    "direction",
    "sip_username",
    "call_uuid",
)
_ANSWERED: Final = ("completed", "voicemail")

_STUCK: Final[Mapping[str, tuple[str, str]]] = {
    "still open": ("is still open", "are still open"),
    "open status, yet it has an end": ("has an open status yet an end", "have an open status yet an end"),
    "final status, but no end": ("has a final status but no end", "have a final status but no end"),
    "neither status nor end": ("has neither status nor end", "have neither status nor end"),
}
"""The reasons, and what is said of one call and of several."""

_IMPOSSIBLE: Final[Mapping[str, tuple[str, str]]] = {
    "ended before it started": ("ended before it started", "ended before they started"),
    "longer than from start to end": (
        "lasts longer than from start to end",
        "last longer than from start to end",
    ),
    "negative duration": ("has a negative duration", "have a negative duration"),
    "started after it was fetched": ("started after it was fetched", "started after they were fetched"),
    "ended after it was fetched": ("ended after it was fetched", "ended after they were fetched"),
    "seconds of talk although unanswered": (
        "has seconds of talk although unanswered",
        "have seconds of talk although unanswered",
    ),
    "longer than 24 h": ("spans more than 24 h", "span more than 24 h"),
}


def answered_words(rules: Rules) -> frozenset[str]:
    """Return the API's words, in normal form, that an answered call may have.

    Examples
    --------
    >>> from sippet_reconcile.reconciliation.rules import Rules
    >>> sorted(answered_words(Rules()))
    ['completed', 'voicemail']
    """
    words = status_words(_ANSWERED, {}, rules)
    return frozenset[str]().union(*(words[word].agreeing for word in _ANSWERED))


def unanswered_words(rules: Rules) -> frozenset[str]:
    """Return the API's words, in normal form, that only unanswered calls have.

    Examples
    --------
    >>> from sippet_reconcile.reconciliation.rules import Rules
    >>> sorted(unanswered_words(Rules(status_map={"failed": ["completed"]})))
    ['busy', 'canceled', 'missed', 'noanswer']
    """
    words = status_words(UNANSWERED, {}, rules)
    return frozenset[str]().union(*(words[word].agreeing for word in UNANSWERED)) - answered_words(rules)


def has_status(columns: Columns, words: Collection[str]) -> NDArray[np.bool_]:
    """Mark the calls with one of the statuses, ignoring case, ``-``, ``_`` and blanks."""
    wanted = {normal_word(word) for word in words}
    codes, distinct = columns.codes("status")
    return np.array([*(normal_word(word) in wanted for word in distinct), False], np.bool_)[codes]


def evidence_of(calls: pd.DataFrame, rows: NDArray[np.int64], reasons: pd.Series[str]) -> pd.DataFrame:
    """Return what a reader needs of some calls, one row each, by position, and what is said of each."""
    chosen = take(calls, ["id", *_SHOWN], rows).rename(columns={"id": "call_id"})
    chosen.insert(1, "reason", reasons.reset_index(drop=True))
    return chosen


def find_stuck_calls(columns: Columns, rules: Rules, is_asked: NDArray[np.bool_]) -> Verdict:
    """Say which calls should have ended long before they were fetched, and did not."""
    code, what = "stuck-calls", "calls whose age when fetched is known"
    # Where it is not known when a row was fetched, or when the call began, its age is not known.
    n_aged: int = columns.summed(_count_aged, along=[is_asked])
    if n_aged == 0:
        return Verdict.not_asked(code, "no call says both when it began and when it was fetched")
    rows, held, age = columns.found(_find_stuck, rules, along=[is_asked])
    if len(rows) == 0:
        return Verdict.of(code, None, n_looked_at=n_aged, what=what)
    reasons, told = _reasons(_STUCK, held)
    evidence = evidence_of(columns.frame, rows, reasons)
    evidence = evidence.assign(age_h=pd.Series(np.round(age / 3600, 1), dtype="Float64"))
    message = (
        f"{plural(len(rows), 'call')} began more than {rules.settle_s / 3600:g} h before being fetched and "
        f"never properly ended: {told}."
    )
    advice = "A plan may correct those with a CDR; look up how the others ended and correct them from a list (plan_corrections)."
    finding = Finding(code, Severity.WARN, message, evidence, advice)
    return Verdict.of(code, finding, n_looked_at=n_aged, what=what)


def _age(columns: Columns) -> NDArray[np.float64]:
    return gap_in_seconds(columns.instants("fetched_at"), columns.instants("started_at"))


def _count_aged(columns: Columns, is_asked: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(~np.isnan(_age(columns)) & is_asked))


def _find_stuck(
    columns: Columns, is_asked: NDArray[np.bool_], rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.float64]]:
    """Return the calls that hang open, which of `_STUCK` hold for each, and how old they are."""
    age = _age(columns)
    is_open, has_end = has_status(columns, rules.open_statuses), ~np.isnat(columns.instants("ended_at"))
    rows = np.flatnonzero((is_open | ~has_end) & (age > rules.settle_s) & is_asked)
    opened, ended, worded = is_open[rows], has_end[rows], columns.is_known("status")[rows]
    held = _packed([opened & ~ended, opened & ended, ~opened & worded, ~opened & ~worded])
    return rows, held, age[rows]


def impossible_calls(columns: Columns, rules: Rules) -> list[NDArray[np.bool_]]:
    """Mark for each reason the calls that it holds for.

    `rules.duration` other than ``billable`` leaves out what only that basis forbids.
    """
    times = [columns.instants(name) for name in ("started_at", "ended_at", "fetched_at")]
    seconds = columns.seconds("duration_seconds")
    talked = np.zeros(len(seconds), np.bool_)
    if rules.duration == "billable":
        talked = has_status(columns, unanswered_words(rules)) & (seconds > 0)
    # One of no call at least: it has a mask for each reason.
    blocks = [slice(0, 0), *blocks_of(len(seconds))]
    found = [
        _impossible([time[at] for time in times], seconds[at], talked[at], rules.duration_tolerance_s)
        for at in blocks
    ]
    return [np.concatenate(masks) for masks in zip(*found, strict=True)]


def _impossible(
    times: Sequence[NDArray[np.datetime64]],
    seconds: NDArray[np.float64],
    talked: NDArray[np.bool_],
    tolerance_s: float,
) -> list[NDArray[np.bool_]]:
    started, ended, fetched = times
    length = gap_in_seconds(ended, started)
    backwards = length < 0
    started_later = gap_in_seconds(started, fetched) > CLOCK_SLACK_S
    ended_later = gap_in_seconds(ended, fetched) > CLOCK_SLACK_S
    too_long = micros(seconds) > micros(length) + micros(tolerance_s)
    return [
        backwards,
        too_long & ~backwards,
        seconds < 0,
        started_later,
        ended_later & ~started_later,
        talked,
        (length > LONGEST_S) | (np.isnan(length) & (seconds > LONGEST_S)),
    ]


def find_impossible_calls(columns: Columns, rules: Rules, is_asked: NDArray[np.bool_]) -> Verdict:
    """Say which calls contradict themselves, or the clock of whoever read them."""
    code, what = "impossible-calls", "calls"
    n_looked_at = int(np.count_nonzero(is_asked))
    rows, held = columns.found(_find_impossible, rules, along=[is_asked])
    if len(rows) == 0:
        return Verdict.of(code, None, n_looked_at=n_looked_at, what=what)
    reasons, told = _reasons(_IMPOSSIBLE, held)
    # No law of nature limits a call to a day.
    n_sure = int(np.count_nonzero(held & ((1 << len(_IMPOSSIBLE) - 1) - 1)))
    verb = "cannot be" if n_sure == len(rows) else "cannot or can hardly be" if n_sure else "can hardly be"
    stands = "it stands" if len(rows) == 1 else "they stand"
    message = f"{plural(len(rows), 'call')} {verb} as {stands}: {told}."
    advice = (
        "A plan leaves a call out unless its change makes the whole record possible; where durations are total "
        "seconds, a call's own times may prove its duration (corrections_from_times)."
    )
    finding = Finding(code, Severity.WARN, message, evidence_of(columns.frame, rows, reasons), advice)
    return Verdict.of(code, finding, n_looked_at=n_looked_at, what=what)


def _find_impossible(
    columns: Columns, is_asked: NDArray[np.bool_], rules: Rules
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return the calls that cannot be, and which of `_IMPOSSIBLE` hold for each."""
    held = _packed(impossible_calls(columns, rules))
    rows = np.flatnonzero((held > 0) & is_asked)
    return rows, held[rows]


def _packed(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Return several masks as bits of one number per row."""
    bits = np.zeros(len(masks[0]), np.uint8)
    for place, mask in enumerate(masks):
        bits |= mask.view(np.uint8) << np.uint8(place)
    return bits


def _reasons(words: Mapping[str, tuple[str, str]], held: NDArray[np.uint8]) -> tuple[pd.Series[str], str]:
    """Return the reasons of each call, ``"; "``-joined, and how many calls each holds for, as words."""
    names = list(words)
    distinct, which = np.unique(held, return_inverse=True)
    texts = [
        "; ".join(name for place, name in enumerate(names) if one >> place & 1) for one in distinct.tolist()
    ]
    counts = [int(np.count_nonzero(held >> np.uint8(place) & 1)) for place in range(len(names))]
    told = ", ".join(plural(n, *words[name]) for name, n in zip(names, counts, strict=True) if n)
    return text_series(pa.array(texts, pa.large_string()).take(pa.array(which))), told
