"""What cannot have happened is a problem of its row; what only looks odd is decided by time and seconds."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import sippet_reconcile as sr

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"billsec": "-5"}, "billable seconds '-5' are negative"),
        ({"duration": "-5"}, "total seconds '-5' are negative"),
        ({"duration": "1790845265"}, "total seconds '17••••••65' are more than ten years"),
        ({"billsec": "1790845265"}, "billable seconds '17••••••65' are more than ten years"),
        ({"billsec": "999999999999"}, "billable seconds '99••••••••99' are more than ten years"),
        (
            {"duration": "65", "billsec": "3600"},
            "billable seconds '3600' are more than the whole call lasted",
        ),
        ({"duration": "12345678901234567890"}, "total seconds '12••••••••••••••••90' are no number"),
        ({"end": "2026-10-01 08:59:59"}, "it ends before it starts"),
        ({"end": "2026-09-30 09:01:05"}, "it ends before it starts"),
        ({"answer": "2026-10-01 08:00:00"}, "it is answered before it starts"),
        ({"answer": "2026-10-01 09:30:00"}, "it is answered after it ends"),
    ],
)
def test_what_cannot_have_happened_is_a_problem(
    asterisk: Line, read: Read, fields: dict[str, str], problem: str
) -> None:
    legs = read(asterisk(**fields) + asterisk(), timezone="UTC")
    assert legs["problem"][0].endswith(problem)
    assert "; " not in legs["problem"][0]
    assert pd.isna(legs["problem"][1])


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({"billsec": "0", "answer": ""}, False, "unknown"),
        ({"billsec": "0"}, True, "completed"),
        ({"disposition": "NO ANSWER"}, True, "completed"),
        ({"disposition": "BUSY"}, True, "completed"),
        ({"disposition": "FAILED", "billsec": "0"}, True, "failed"),
        ({"disposition": "BUSY", "billsec": "0", "answer": ""}, False, "busy"),
        ({"duration": "5", "billsec": "7", "end": "2026-10-01 09:00:05"}, True, "completed"),
        ({"duration": "5", "billsec": "60"}, True, "completed"),  # billed by the minute
    ],
)
def test_what_only_looks_odd_is_decided_by_answer_time_and_seconds(
    asterisk: Line, read: Read, fields: dict[str, str], answered: bool, status: str
) -> None:
    leg = read(asterisk(**fields), timezone="UTC").iloc[0]
    assert pd.isna(leg["problem"])
    assert (leg["is_answered"], leg["status"]) == (answered, status)


COLUMNS = {"started_at": "Start", "ended_at": "End", "billable_s": "Talk", "status": "Status"}


@pytest.mark.parametrize(
    ("talk", "answered", "status"),
    [("", None, "in_progress"), ("0", None, "in_progress"), ("12", True, "in_progress")],
)
def test_a_running_call_is_in_progress_and_unanswered_only_where_it_is_known(
    talk: str, answered: bool | None, status: str
) -> None:
    frame = pd.DataFrame(
        {"Start": ["2026-10-01 09:00:00"], "End": [""], "Talk": [talk], "Status": ["in-progress"]}
    )
    leg = sr.cdr_from_frame(frame, columns=COLUMNS, timezone="UTC").iloc[0]
    assert leg["status"] == status
    assert pd.isna(leg["is_answered"]) if answered is None else leg["is_answered"] == answered
    assert pd.isna(leg["ended_at"])
    assert pd.isna(leg["problem"])


def test_absurd_seconds_imply_no_instant_that_cannot_be_written() -> None:
    frame = pd.DataFrame(
        {"Start": ["2026-10-01 09:00:00"], "Total": ["999999999999"], "Talk": ["999999999999"]}
    )
    leg = sr.cdr_from_frame(
        frame, columns={"started_at": "Start", "total_s": "Total", "billable_s": "Talk"}, timezone="UTC"
    ).iloc[0]
    assert "more than ten years" in leg["problem"]
    assert leg["total_s"] == 999999999999
    assert leg["ended_at"].year < 2100
