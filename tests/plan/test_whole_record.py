"""Whether a call is consistent as it would stand after its PATCH."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.plan.whole_record import (
    ENDS_BEFORE_START,
    NOT_THE_SPAN,
    TALK_WITHOUT_ANSWER,
    TOO_LONG,
    RecordRule,
)
from sippet_reconcile.reconciliation import Rules

BILLABLE = Rules(duration="billable", duration_tolerance_s=1)
TOTAL = Rules(duration="total", duration_tolerance_s=1)
MINUTE = {"started_at": "2026-10-05T10:00:00Z", "ended_at": "2026-10-05T10:01:00Z", "status": "completed"}


@pytest.mark.parametrize(
    ("rules", "record", "is_answered", "expected"),
    [
        (BILLABLE, {**MINUTE, "duration_seconds": "60"}, True, None),
        (BILLABLE, {**MINUTE, "duration_seconds": "61"}, True, None),
        (BILLABLE, {**MINUTE, "duration_seconds": "62"}, True, TOO_LONG),
        (BILLABLE, {**MINUTE, "duration_seconds": "1"}, True, None),
        (TOTAL, {**MINUTE, "duration_seconds": "59"}, True, None),
        (TOTAL, {**MINUTE, "duration_seconds": "58"}, True, NOT_THE_SPAN),
        (TOTAL, {**MINUTE, "duration_seconds": "62"}, True, NOT_THE_SPAN),
        (
            BILLABLE,
            {**MINUTE, "ended_at": "2026-10-05T09:59:59Z", "duration_seconds": "0"},
            True,
            ENDS_BEFORE_START,
        ),
        (TOTAL, {**MINUTE, "ended_at": "2026-10-05T09:59:59.999999Z"}, True, ENDS_BEFORE_START),
        (BILLABLE, {**MINUTE, "ended_at": MINUTE["started_at"], "duration_seconds": "0"}, True, None),
        (BILLABLE, {**MINUTE, "duration_seconds": "5"}, False, TALK_WITHOUT_ANSWER),
        (BILLABLE, {**MINUTE, "duration_seconds": "0"}, False, None),
        (BILLABLE, {**MINUTE, "duration_seconds": None}, False, None),
        (TOTAL, {**MINUTE, "duration_seconds": "60"}, False, None),
        (BILLABLE, {**MINUTE, "status": "No-Answer", "duration_seconds": "5"}, None, TALK_WITHOUT_ANSWER),
        (BILLABLE, {**MINUTE, "ended_at": None, "duration_seconds": "999"}, True, None),
        (BILLABLE, {**MINUTE, "started_at": None, "duration_seconds": "999"}, True, None),
        (BILLABLE, {"status": None}, None, None),
        (BILLABLE, {**MINUTE, "ended_at": "2026-10-05T10:01:00.5Z", "duration_seconds": "61"}, True, None),
    ],
)
def test_the_record_as_it_would_stand(
    rules: Rules, record: Any, is_answered: bool | None, expected: str | None
) -> None:
    assert RecordRule(rules).problem(record, is_answered=is_answered, status_cdr="completed") == expected


def test_an_unanswered_word_over_an_answered_cdr_is_refused() -> None:
    record = {**MINUTE, "status": "no_answer", "duration_seconds": "30"}
    assert (
        RecordRule(BILLABLE).problem(record, is_answered=True, status_cdr="completed") == TALK_WITHOUT_ANSWER
    )


def test_an_unanswered_word_that_the_rules_give_an_answered_call_is_no_problem() -> None:
    rules = Rules(duration="billable", status_map={"completed": ["busy"]})
    record = {**MINUTE, "status": "busy", "duration_seconds": "30"}
    assert RecordRule(rules).problem(record, is_answered=True, status_cdr="completed") is None


def test_a_failed_call_that_was_answered_keeps_its_seconds() -> None:
    record = {**MINUTE, "status": "failed", "duration_seconds": "30"}
    assert RecordRule(BILLABLE).problem(record, is_answered=True, status_cdr="failed") is None


SECONDS = st.one_of(st.none(), st.integers(0, 200), st.sampled_from([0.5, 59.999999, 60.000001, 61.5]))
RECORDS = st.lists(
    st.tuples(
        SECONDS, SECONDS, SECONDS,
        st.sampled_from([None, "completed", "Completed", "no_answer", "No-Answer", "busy", "answered", ""]),
        st.sampled_from([None, True, False]),
        st.sampled_from([None, "completed", "no_answer", "voicemail", "unheard-of"]),
    ),
    max_size=12,
)  # fmt: skip
RULES = st.builds(
    Rules,
    duration=st.sampled_from(["billable", "total"]),
    duration_tolerance_s=st.sampled_from([0, 1, 30]),
    status_map=st.sampled_from([{}, {"completed": ["busy"]}, {"no_answer": ["completed", "No-Answer"]}]),
)


@settings(max_examples=300, deadline=None)
@given(rows=RECORDS, rules=RULES)
def test_one_call_and_many_are_judged_alike(rows: list[tuple[Any, ...]], rules: Rules) -> None:
    rule = RecordRule(rules)
    zero = np.datetime64("2026-10-05T10:00:00", "us")

    def at(seconds: float | None) -> np.datetime64:
        if seconds is None:
            return np.datetime64("NaT", "us")
        return zero + np.timedelta64(round(seconds * 1_000_000), "us")

    def text(seconds: float | None) -> str | None:
        return None if seconds is None else f"{at(seconds)}Z"

    many = rule.problems(
        started_at=np.array([at(r[0]) for r in rows], dtype="datetime64[us]"),
        ended_at=np.array([at(r[1]) for r in rows], dtype="datetime64[us]"),
        duration_s=np.array([np.nan if r[2] is None else r[2] for r in rows], dtype="float64"),
        status=np.array([r[3] for r in rows], dtype=object),
        is_answered=np.array([r[4] for r in rows], dtype=object),
        status_cdr=np.array([r[5] for r in rows], dtype=object),
    )
    for row, found in zip(rows, many, strict=True):
        record = {
            "started_at": text(row[0]), "ended_at": text(row[1]), "status": row[3],
            "duration_seconds": None if row[2] is None else str(row[2]),
        }  # fmt: skip
        assert rule.problem(record, is_answered=row[4], status_cdr=row[5]) == found
