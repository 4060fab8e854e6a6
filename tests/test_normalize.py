"""Columns are cleaned without guessing, and without touching what is clean."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile import normalize
from sippet_reconcile.normalize import clean_text, map_distinct, text_to_seconds

TEXT = pa.large_string()


@given(
    st.lists(st.one_of(st.none(), st.text(alphabet=" \tab\u00a0\u0416", max_size=5)), max_size=30),
    st.integers(0, 3),
)
@settings(max_examples=50)
def test_clean_text_is_strip_and_empty_is_missing(values: list[str | None], offset: int) -> None:
    array = pa.array(["x"] * offset + values, TEXT).slice(offset)
    assert clean_text(array).to_pylist() == [v.strip() or None if v is not None else None for v in values]


def test_clean_text_that_is_clean_shares_its_bytes() -> None:
    array = pa.array(["a", "", "b"], TEXT)
    cleaned = clean_text(array)
    assert cleaned.to_pylist() == ["a", None, "b"]
    assert cleaned.buffers()[2].address == array.buffers()[2].address


def test_map_distinct_asks_once_per_value() -> None:
    asked: list[str] = []

    def upper(value: str) -> str:
        asked.append(value)
        return value.upper()

    assert map_distinct(pa.array(["a", "b", "a", None], TEXT), upper).to_pylist() == ["A", "B", "A", None]
    assert asked == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0), ("65", 65.0), ("10.740", 10.74), ("-1", -1.0), ("0:01:05", 65.0), ("1:00:00", 3600.0),
        ("00:00:10", 10.0), ("100:00:01", 360001.0), ("0:00:01.5", 1.5),
    ],
)  # fmt: skip
def test_seconds_are_read_as_numbers_or_clock(text: str, seconds: float) -> None:
    for beside in ([], ["0:00:07"], ["7"]):
        values, unreadable = text_to_seconds(pa.array([text, *beside, None], TEXT))
        assert values[0] == seconds
        assert np.isnan(values[-1])
        assert not unreadable.any()


@pytest.mark.parametrize("text", ["3m", "nan", "inf", "1:65:00", "1:05", "12e3", "", "0x10"])
def test_what_is_no_number_of_seconds_is_marked(text: str) -> None:
    values, unreadable = text_to_seconds(pa.array([text, "5"], TEXT))
    assert np.isnan(values[0])
    assert unreadable.tolist() == [True, False]


@given(
    st.lists(
        st.sampled_from([None, "0:00:05", "0:01:05", "12:00:00.5", "61", "6.5", "-3", "0x10", "3m", ":"]),
        max_size=8,
    ),
    st.integers(0, 2),
)
def test_seconds_written_as_a_clock_are_read_once_as_one_by_one(texts: list[str | None], cut: int) -> None:
    column = pa.array(texts, pa.large_string()).slice(cut)
    seconds, unreadable = text_to_seconds(column)
    expected, expected_unreadable = normalize._seconds(column)
    np.testing.assert_array_equal(seconds, expected)
    assert unreadable.tolist() == expected_unreadable.tolist()
