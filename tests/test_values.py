"""A value keeps its meaning from frame to API text and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.values import (
    instants_to_text,
    parse_instant,
    parse_value,
    same_value,
    seconds_to_text,
    text_to_instants,
)

moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def series(values: list[datetime | None]) -> pd.Series:
    return pd.Series(pd.to_datetime(values, utc=True), dtype="datetime64[us, UTC]")


@given(st.lists(st.none() | moments, max_size=20))
@settings(max_examples=50)
def test_instants_survive_the_way_to_text_and_back(values: list[datetime | None]) -> None:
    instants = series(values)
    text = instants_to_text(instants)
    assert text.dtype == "str"
    pd.testing.assert_series_equal(text_to_instants(text), instants)


@given(moments)
@settings(max_examples=50)
def test_the_text_is_what_the_standard_library_writes(at: datetime) -> None:
    expected = at.replace(tzinfo=None).isoformat(timespec="auto" if not at.microsecond else "microseconds")
    assert instants_to_text(series([at])).tolist() == [expected + "Z"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-03T00:00:00Z", datetime(2026, 1, 3, tzinfo=UTC)),
        ("2026-01-03 00:00:00Z", datetime(2026, 1, 3, tzinfo=UTC)),
        ("2026-01-03T00:00:00", datetime(2026, 1, 3, tzinfo=UTC)),
        ("2026-01-03T00:00:00.12Z", datetime(2026, 1, 3, microsecond=120_000, tzinfo=UTC)),
        ("2026-01-03T00:00:00.123456789Z", datetime(2026, 1, 3, microsecond=123_456, tzinfo=UTC)),
        ("2026-01-03T00:00:00+05:30", datetime(2026, 1, 3, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        ("2026-01-03T00:00:00-0300", datetime(2026, 1, 3, tzinfo=timezone(timedelta(hours=-3)))),
    ],
)
@pytest.mark.parametrize("beside", ["2026-01-01T00:00:00Z", "not a time"])
def test_each_form_that_the_api_reads_is_read(text: str, expected: datetime, beside: str) -> None:
    assert text_to_instants(pd.Series([text, beside], dtype="str"))[0] == expected


@pytest.mark.parametrize(
    "text", ["", "2026-02-30T00:00:00Z", "1767398400", "03/01/2026 00:00:00", "2026-01-03T25:00:00Z"]
)
def test_what_is_not_an_instant_is_missing(text: str) -> None:
    assert text_to_instants(pd.Series([text, "2026-01-01T00:00:00Z"], dtype="str")).isna().tolist() == [
        True,
        False,
    ]


def test_seconds_with_a_fraction_are_refused_not_cut() -> None:
    with pytest.raises(pa.ArrowInvalid):
        seconds_to_text(pd.Series([1.5], dtype="Float64"))


def test_values_become_the_json_they_are_sent_as() -> None:
    assert parse_value("duration_seconds", "75") == 75
    assert parse_value("status", "75") == "75"
    assert parse_value("duration_seconds", None) is None
    assert parse_value("ended_at", float("nan")) is None


@pytest.mark.parametrize(
    ("field", "left", "right", "same"),
    [
        ("status", "busy", "busy", True),
        ("status", "busy", "Busy", False),
        ("status", None, "busy", False),
        ("status", None, float("nan"), True),
        ("duration_seconds", "60", "61", False),
        ("duration_seconds", "0", None, False),
        ("ended_at", "2026-10-01T09:00:00+01:00", "2026-10-01T08:00:00.000000Z", True),
        ("ended_at", "2026-10-01T08:00:00Z", "2026-10-01T08:00:01.000000Z", False),
        ("ended_at", "2026-10-01T08:00:00.250000Z", "2026-10-01T08:00:00Z", False),
        ("ended_at", "2026-10-01T08:00:00.250000Z", "2026-10-01T08:00:00.250001Z", False),
    ],
)
def test_sameness_is_of_meaning_to_the_microsecond(
    field: str, left: object, right: object, *, same: bool
) -> None:
    assert same_value(field, left, right) is same  # type: ignore[arg-type]  # missing text arrives as NaN too


@pytest.mark.parametrize(
    ("decimals", "same"),
    [({"ended_at": 0}, True), ({"ended_at": 3}, True), ({"ended_at": 6}, False), ({}, False)],
)
def test_instants_are_the_same_at_the_precision_of_a_server(decimals: dict[str, int], *, same: bool) -> None:
    left, right = "2026-10-01T08:00:00.250100Z", "2026-10-01T08:00:00.250900Z"
    assert same_value("ended_at", left, right, decimals=decimals) is same
    assert same_value("ended_at", left, right.replace("00.", "01."), decimals=decimals) is False


def test_parse_instant_refuses_what_is_not_one() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        parse_instant("tomorrow")
