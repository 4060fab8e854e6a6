"""A description counts what is in the legs, from the legs alone."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import LEGS

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]


@pytest.fixture
def legs(freeswitch: Line, read: Read) -> pd.DataFrame:
    lines = [freeswitch(), freeswitch(), freeswitch(answer_stamp="", billsec="0", hangup_cause="USER_BUSY")]
    lines += [
        freeswitch(start_stamp="x<b>"),
        freeswitch(start_stamp="y"),
        freeswitch(
            start_stamp="2026-10-01 13:59:00",
            answer_stamp="2026-10-01 13:59:05",
            end_stamp="2026-10-01 14:00:00",
        ),
    ]
    return read(b"".join(lines), format="freeswitch", timezone="UTC")


def test_the_summary_counts(legs: pd.DataFrame) -> None:
    summary = sr.describe_cdr(legs).summary()
    expected = {
        "rows": 6, "files": 1, "format": "freeswitch", "clock": "UTC (given)", "rows_with_problem": 2,
        "rows_with_time_problem": 0, "rows_without_seconds": 0, "answered": 5, "billable_s": 300.0, "helper_legs": 0, "repeated_records": 1,
        "calls_by_linked_id": 1, "most_legs_of_a_call": 6, "share_of_called_in_e164": 1.0, "share_of_callers_in_e164": 0.0,
        "statuses": {"completed": 5, "busy": 1},
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert summary["problems"] == [
        {"problem": "start '…' is not a date and time", "rows": 2, "where": "<stream>:4; <stream>:5"}
    ]
    (quiet,) = summary["hours_without_rows"]
    assert (quiet["from"].hour, quiet["until"].hour, quiet["hours"]) == (10, 13, 3)


def test_it_prints_as_text_and_as_escaped_html(legs: pd.DataFrame) -> None:
    description = sr.describe_cdr(legs)
    assert "rows with problem" in repr(description)
    html = description._repr_html_()
    assert "&lt;stream&gt;:4" in html
    assert "<b>" not in html


def test_it_needs_no_attrs_and_no_rows_and_changes_nothing(
    legs: pd.DataFrame, asterisk: Line, read: Read
) -> None:
    bare = pd.concat([legs.iloc[:3], read(asterisk())], ignore_index=True)
    bare.attrs.clear()
    before = bare.copy(deep=True)
    assert sr.describe_cdr(bare).summary()["clock"] == "confirmed by the epoch in the ids"
    pd.testing.assert_frame_equal(bare, before)
    empty = sr.describe_cdr(LEGS.empty())
    assert (empty.summary()["rows"], empty.summary()["problems"]) == (0, [])
    assert "legs" in repr(empty)
    assert "0 legs" in empty._repr_html_()


def test_a_file_of_exactly_a_hundred_rows_is_suspicious(freeswitch: Line, read: Read) -> None:
    notes = sr.describe_cdr(read(freeswitch() * 100, timezone="UTC")).summary()["notes"]
    assert notes == ["<stream> has exactly 100 rows, as an export that was cut at a limit has"]


def test_a_frame_that_is_no_legs_is_an_error() -> None:
    with pytest.raises(sr.SchemaError, match="source_file"):
        sr.describe_cdr(pd.DataFrame({"a": [1]}))
