"""Dates and times are read as printed, and what is none is marked."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr.times import stamps as stamps_module
from sippet_reconcile.cdr.times.stamps import read_both_orders, read_stamps

TEXT = pa.large_string()
FIRST, LAST = datetime(1973, 1, 1), datetime(2099, 1, 1)  # noqa: DTZ001 - as printed, without a zone
NEVER = datetime(2000, 1, 1)  # noqa: DTZ001 - the default of a table, no time


def at(text: str, **options: bool) -> tuple[str, bool] | None:
    stamps = read_stamps(pa.array([text, "x"], TEXT), **options)
    if not stamps.known[0]:
        return None
    shown = np.datetime_as_string(stamps.micros[:1].view("M8[us]"), unit="us")[0]
    return str(shown).removesuffix(".000000"), bool(stamps.is_utc[0])


@pytest.mark.parametrize(
    ("text", "shown", "is_utc"),
    [
        ("2026-10-01 08:00:05", "2026-10-01T08:00:05", False),
        ("2026-10-01T08:00:05.25", "2026-10-01T08:00:05.250000", False),
        ("2026/10/01 08:00:05", "2026-10-01T08:00:05", False),
        ("2026/2/1 8:00", "2026-02-01T08:00:00", False),
        ("2026-10-01T08:00:05Z", "2026-10-01T08:00:05", True),
        ("2026-10-01T08:00:05+05:30", "2026-10-01T02:30:05", True),
        ("2026-10-01 08:00:05-0500", "2026-10-01T13:00:05", True),
        ("2026-10-01 08:00:05+02", "2026-10-01T06:00:05", True),
        ("2024-05-22T21:08:36.794Z", "2024-05-22T21:08:36.794000", True),
        ("Fri, 18 Oct 2019 17:02:00 +0000", "2019-10-18T17:02:00", True),
        ("18 Oct 2019 17:02:00 -0100", "2019-10-18T18:02:00", True),
        ("1790845200", "2026-10-01T09:00:00", True),
        ("1790845200.5", "2026-10-01T09:00:00.500000", True),
        ("1790845200123", "2026-10-01T09:00:00.123000", True),
        ("1790845200123456", "2026-10-01T09:00:00.123456", True),
    ],
)
def test_forms_that_are_read(text: str, shown: str, is_utc: bool) -> None:
    assert at(text) == (shown, is_utc)


@pytest.mark.parametrize(
    "text",
    ["1970-01-01 00:00:00", "1970-01-01 01:00:00", "1969-12-31 19:00:00", "0000-00-00 00:00:00", "1000-01-01 00:00:00",
     "0", "NULL", "null", "\\N", "-", "1970-01-01T00:00:00Z"],
)  # fmt: skip
def test_words_and_dates_for_never_are_missing_and_not_unreadable(text: str) -> None:
    for beside in ([], ["2026-10-01 08:00:00"], ["x"]):
        stamps = read_stamps(pa.array([text, *beside], TEXT))
        assert (stamps.known[0], stamps.unreadable[0]) == (False, False)


@pytest.mark.parametrize(
    "text", ["2026-02-30 08:00:00", "2026-13-01 08:00:00", "2026-10-01 24:00:00", "2026-10-01 08:60:00", "2026-10-01",
             "08:00:00", "later", "12345", "Fri, 32 Oct 2019 17:02:00 +0000"],
)  # fmt: skip
def test_what_is_no_moment_is_unreadable(text: str) -> None:
    for beside in ([], ["2026-10-01 08:00:00"]):
        stamps = read_stamps(pa.array([text, *beside], TEXT))
        assert (stamps.known[0], stamps.unreadable[0]) == (False, True)


@pytest.mark.parametrize(
    ("text", "dayfirst", "shown"),
    [
        ("24/08/17 09:32", True, "2017-08-24T09:32:00"),
        ("8/24/2017 9:05:01 PM", False, "2017-08-24T21:05:01"),
        ("1/9/2017 12:00:00 AM", False, "2017-01-09T00:00:00"),
        ("1/9/2017 12:00:00 PM", True, "2017-09-01T12:00:00"),
        ("01.09.2017, 16:33:01", True, "2017-09-01T16:33:01"),
    ],
)
def test_day_and_month_stand_where_they_were_said_to(text: str, dayfirst: bool, shown: str) -> None:
    assert at(text, dayfirst=dayfirst) == (shown, False)
    assert at(text) is None


def test_a_column_is_read_in_both_orders_where_a_date_asks_for_it() -> None:
    column = pa.array(
        ["1/9/2017 8:00", "13/9/2017 8:00", "9/13/2017 8:00", "2017-09-01 8:00", "x", None], TEXT
    )
    day, month = read_both_orders(column)
    for dayfirst, found in ((True, day), (False, month)):
        alone = read_stamps(column, dayfirst=dayfirst)
        for name in ("micros", "known", "is_utc", "unreadable", "coarse"):
            assert getattr(found, name).tolist() == getattr(alone, name).tolist()
    assert day.known.tolist() == [True, True, False, True, False, False]
    assert month.known.tolist() == [True, False, True, True, False, False]


@pytest.mark.parametrize("texts", [["2017-09-01 08:00:00"], ["2017-09-01T08:00:00Z", "x"], [], [None]])
def test_a_column_without_such_dates_is_read_once(texts: list[str | None]) -> None:
    day, month = read_both_orders(pa.array(texts, TEXT))
    assert day is month


@given(
    st.lists(
        st.datetimes(FIRST, LAST).filter(lambda at: at.replace(microsecond=0) != NEVER),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
@settings(max_examples=50)
def test_the_quick_way_and_the_careful_way_agree(moments: list[datetime], with_fraction: bool) -> None:
    moments = [m if with_fraction else m.replace(microsecond=0) for m in moments]
    texts = [m.isoformat(sep=" ", timespec="auto") for m in moments]
    expected = [
        int(
            (m.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC))
            / np.timedelta64(1, "us").astype(object)
        )
        for m in moments
    ]
    quick = read_stamps(pa.array(texts, TEXT))
    careful = read_stamps(pa.array([*texts, "x"], TEXT))
    assert quick.micros.tolist() == careful.micros[:-1].tolist() == expected
    assert not quick.coarse.any()


def test_times_without_seconds_are_marked() -> None:
    assert read_stamps(pa.array(["2026-10-01 08:00", "2026-10-01 08:00:00"], TEXT)).coarse.tolist() == [
        True,
        False,
    ]


def test_nothing_in_nothing_out() -> None:
    for texts in ([], [None, None]):
        stamps = read_stamps(pa.array(texts, TEXT))
        assert len(stamps.micros) == len(texts)
        assert not stamps.known.any()
        assert not stamps.unreadable.any()


@pytest.mark.parametrize("end", ["Z", "+05:30", "-0700", "+00", "+23:00", ":00Z", " +0000"])
@pytest.mark.parametrize(
    "body",
    [
        "2026-10-01T08:00:00",
        "2026-10-01 08:00:00.25",
        "2026-10-01T08:00",
        "1970-01-01 00:00:00",
        "2026-02-30T08:00:00",
    ],
)
def test_a_column_of_one_offset_says_what_its_values_say_among_others(body: str, end: str) -> None:
    # Another form beside it has every value read one by one.
    alone = read_stamps(pa.array([body + end, None], pa.large_string()))
    mixed = read_stamps(pa.array([body + end, None, "Thu, 1 Oct 2026 08:00:00 +0000"], pa.large_string()))
    for name in ("micros", "known", "is_utc", "unreadable", "coarse"):
        assert getattr(alone, name).tolist() == getattr(mixed, name).tolist()[:2]


@given(
    st.lists(
        st.sampled_from(
            [None, "0", "1", "-", "1790845200", "1790845201", "0790845200", "3999999999", "0x3B9ACA00", "-790845200",
             "4102444800", "946684800", "1790845200.5", "1790845200123", "1000000000", "1 90845200", "2026-10-01"]
        ),
        max_size=6,
    )
    | st.lists(st.sampled_from([None, "0", "1790845200", "1790845201", "3999999999"]), max_size=8),
    st.integers(0, 2),
)  # fmt: skip
@settings(max_examples=300)
def test_a_column_of_epochs_is_read_at_once_as_one_by_one(texts: list[str | None], cut: int) -> None:
    column = pa.array(texts, TEXT).slice(cut)
    found = read_stamps(column)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamps_module, "_whole_epochs", lambda *_: None)
        expected = read_stamps(column)
    for name in ("micros", "known", "is_utc", "unreadable", "coarse"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name


@given(
    st.lists(
        st.sampled_from(
            [None, "2026/10/01 08:00:05", "2026/10/01T08:00:05.5", "2026/13/01 08:00:05", "2026-10/01 08:00:05",
             "2026/10/01 08:00", "2026/1/10 08:00:05", "0000/00/00 00:00:00", "1970/01/01 00:00:00", "2026/10/01 08:00:05Z"]
        ),
        max_size=6,
    )
    | st.lists(st.sampled_from([None, "2026/10/01 08:00:05", "2026/10/01 24:00:00"]), max_size=6),
    st.integers(0, 2),
)  # fmt: skip
@settings(max_examples=300)
def test_dates_with_slashes_are_read_at_once_as_one_by_one(texts: list[str | None], cut: int) -> None:
    column = pa.array(texts, TEXT).slice(cut)
    found = read_stamps(column)
    assert column.to_pylist() == texts[cut:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stamps_module, "_dashed", lambda array, _: array)
        expected = read_stamps(column)
    for name in ("micros", "known", "is_utc", "unreadable", "coarse"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist(), name
