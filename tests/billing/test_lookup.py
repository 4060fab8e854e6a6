"""The row of a card that a call falls under, against a loop over all rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sippet_reconcile.billing import RateCard
from sippet_reconcile.billing.lookup import NO_START, REASONS, RateIndex, day_start
from sippet_reconcile.errors import InputError

DAYS = [date(2018, 11, 3), date(2018, 11, 4), date(2018, 11, 5), date(2019, 3, 31)]
A, B, C, D = DAYS
VALIDITIES = [
    [(None, None)],
    [(B, None)],
    [(None, B)],
    [(B, C)],
    [(A, B), (B, None)],
    [(None, B), (B, C), (C, None)],
    [(A, D), (B, C)],
    [(None, None), (A, D), (B, C)],
    [(A, None), (B, C), (C, D)],
]
ZONES = ["UTC", "Europe/London", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"]
USERS, DIRECTIONS = ["ann", "böb"], ["inbound", "outbound"]


def card_of(rows: list[dict[str, object]]) -> RateCard:
    default = {
        "rate_per_minute": "0.01", "initial_s": 1, "increment_s": 1, "connect_fee": "0", "currency": "GBP",
        "valid_from": None, "valid_to": None, "direction": None, "user": None,
    }  # fmt: skip
    return RateCard.from_frame(pd.DataFrame([default | row for row in rows]))


def found(
    card: RateCard, calls: list[tuple[str, str | None, str | None, datetime | None]], zone: str = "UTC"
) -> list[int | str]:
    """Look calls up: their digits, direction, user and start; the row, or the reason."""
    index = RateIndex.of(card, zone)

    def places(values: list[str | None], known: object) -> np.ndarray:
        return (
            pc.index_in(pd.array(values, dtype="str").__arrow_array__(), value_set=known)
            .fill_null(-1)
            .to_numpy(zero_copy_only=False)
            .astype(np.int64)
        )

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    rows, reasons = index.find(
        np.array([int((digits or "0").ljust(15, "0")) for digits, *_ in calls], np.int64),
        np.array([len(digits) for digits, *_ in calls], np.int64),
        places([direction for _, direction, _, _ in calls], index.directions.cast("large_string")),
        places([user for _, _, user, _ in calls], index.users.cast("large_string")),
        np.array(
            [NO_START if at is None else (at - epoch) // timedelta(microseconds=1) for *_, at in calls],
            np.int64,
        ),
    )
    return [REASONS[reason] or int(row) for row, reason in zip(rows, reasons, strict=True)]


def slow(card: RateCard, call: tuple[str, str | None, str | None, datetime | None], zone: str) -> int | str:
    """Find the row of one call by looking at every row, as the rules are written."""
    digits, direction, user, at = call
    rows = card.rows.astype(object).where(card.rows.notna(), None).to_dict("records")
    if not digits:
        return "no-number"
    fitting = [
        (position, row)
        for position, row in enumerate(rows)
        if (row["prefix"] == "*" or digits.startswith(row["prefix"]))
        and row["direction"] in {None, direction}
        and row["user"] in {None, user}
    ]
    if not fitting:
        return "no-prefix"
    has_dates = any(row["valid_from"] or row["valid_to"] for row in rows)
    if at is None and has_dates:
        return "no-start"
    day = at.astimezone(ZoneInfo(zone)).date() if at else A
    valid = [
        (position, row)
        for position, row in fitting
        if (row["valid_from"] or date.min) <= day < (row["valid_to"] or date.max)
    ]
    if not valid:
        return "not-valid-then"

    def rank(entry: tuple[int, dict[str, object]]) -> tuple[object, ...]:
        row = entry[1]
        length = 0 if row["prefix"] == "*" else len(row["prefix"])
        days = (row["valid_to"] or date.max) - (row["valid_from"] or date.min)
        return length, row["user"] is not None, row["direction"] is not None, -days

    return max(valid, key=rank)[0]


PREFIXES = st.one_of(st.just("*"), st.text("12", min_size=1, max_size=4))
GROUPS = st.tuples(PREFIXES, st.sampled_from([None, *DIRECTIONS]), st.sampled_from([None, *USERS]))
STARTS = st.one_of(
    st.none(),
    st.builds(
        lambda day, hours, micros: datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hours, microseconds=micros),
        st.sampled_from(DAYS), st.integers(-14, 30), st.integers(-1, 1),
    ),
)  # fmt: skip
CALLS = st.tuples(
    st.text("12", max_size=6), st.sampled_from([None, *DIRECTIONS, "internal"]), st.sampled_from([None, *USERS, "eve"]), STARTS
)  # fmt: skip


@given(
    groups=st.dictionaries(GROUPS, st.sampled_from(VALIDITIES), min_size=1, max_size=12),
    calls=st.lists(CALLS, min_size=1, max_size=12),
    zone=st.sampled_from(ZONES),
)
def test_the_row_is_the_one_that_a_loop_over_all_rows_finds(groups, calls, zone):
    card = card_of(
        [
            {"prefix": prefix, "direction": direction, "user": user, "valid_from": first, "valid_to": last}
            for (prefix, direction, user), validities in groups.items()
            for first, last in validities
        ]
    )
    assert found(card, calls, zone) == [slow(card, call, zone) for call in calls]


@pytest.mark.parametrize("users", [3, 40_000], ids=["table", "search"])
def test_many_users_with_prefixes_of_their_own_are_told_apart(users):
    card = card_of(
        [{"prefix": "44" if n % 2 else "*", "user": f"u{n}"} for n in range(users)] + [{"prefix": "4"}]
    )
    calls = [("442079460123", None, f"u{n}", None) for n in (0, 1, 2, users - 1)]
    assert found(card, calls) == [users, 1, users, users - 1 if (users - 1) % 2 else users]


def test_a_longer_prefix_that_is_not_valid_then_hides_no_shorter_one():
    card = card_of([{"prefix": "1"}, {"prefix": "12", "valid_to": B}])
    at = datetime(2018, 11, 4, tzinfo=UTC)
    assert found(
        card, [("1234567", None, None, at - timedelta(microseconds=1)), ("1234567", None, None, at)]
    ) == [1, 0]


def test_the_longer_prefix_wins_over_the_user_and_the_user_over_the_direction():
    card = card_of(
        [
            {"prefix": "12"},
            {"prefix": "1", "user": "ann"},
            {"prefix": "1", "direction": "inbound"},
            {"prefix": "1"},
        ]
    )
    calls = [
        ("12", "inbound", "ann", None),
        ("13", "inbound", "ann", None),
        ("13", "inbound", "eve", None),
        ("13", None, None, None),
    ]
    assert found(card, calls) == [0, 1, 2, 3]


def test_a_number_shorter_than_a_prefix_does_not_have_it():
    card = card_of([{"prefix": "44"}, {"prefix": "440000000000000"}])
    assert found(
        card,
        [("44", None, None, None), ("44" + "0" * 12, None, None, None), ("44" + "0" * 13, None, None, None)],
    ) == [0, 0, 1]


def test_fifteen_nines_are_found_as_every_number_is():
    card = card_of([{"prefix": "*"}, {"prefix": "9" * 15}])
    assert found(card, [("9" * 15, None, None, None), ("9" * 14, None, None, None)]) == [1, 0]


def test_a_card_without_dates_needs_no_start():
    assert found(card_of([{"prefix": "1"}]), [("12", None, None, None)]) == [0]


def test_no_calls_find_no_rows():
    assert found(card_of([{"prefix": "1"}]), []) == []


@pytest.mark.parametrize(
    ("day", "zone", "starts"),
    [
        (date(2026, 3, 29), "Europe/London", "2026-03-29T00:00:00Z"),
        (date(2026, 7, 1), "Europe/London", "2026-06-30T23:00:00Z"),
        (date(2018, 11, 4), "America/Sao_Paulo", "2018-11-04T03:00:00Z"),  # the clock shows 01:00
        (date(2011, 12, 30), "Pacific/Apia", "2011-12-30T10:00:00Z"),  # a day that never was
        (date(2011, 12, 31), "Pacific/Apia", "2011-12-30T10:00:00Z"),
        (date(1919, 3, 31), "America/Toronto", "1919-03-31T04:30:00Z"),  # from 23:30 to 00:30
        (date(2025, 11, 2), "America/Havana", "2025-11-02T04:00:00Z"),  # midnight comes twice
        (date(1, 1, 1), "Asia/Tokyo", None),
        (date(9999, 12, 31), "America/New_York", "9999-12-31T05:00:00Z"),
    ],
)  # fmt: skip
def test_a_day_begins_with_the_first_instant_that_shows_it(day, zone, starts):
    micros = day_start(day, ZoneInfo(zone))
    if starts is None:
        assert micros < -62_135_596_800_000_000  # ahead of what a datetime in UTC can be
    else:
        assert micros == (datetime.fromisoformat(starts) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
            microseconds=1
        )


def test_a_zone_that_is_none_is_named():
    with pytest.raises(InputError, match="Europe/London"):
        RateIndex.of(card_of([{"prefix": "1"}]), "London")
