"""Rows of one prefix, direction and user may not contradict each other; one within the other is its exception."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr

DAY = date(2026, 1, 1)
SPAN = 14  # days that a generated card is about
Row = tuple[int | None, int | None]


def card(rows: list[dict[str, Any]]) -> sr.RateCard:
    base = {"prefix": "44", "rate_per_minute": "0.01", "initial_s": 1, "increment_s": 1, "connect_fee": 0}
    rest = {"currency": "GBP", "valid_from": None, "valid_to": None, "direction": None, "user": None}
    return sr.RateCard.from_frame(pd.DataFrame([{**base, **rest, **row} for row in rows]))


def of_days(*validities: tuple[str | None, str | None]) -> list[dict[str, Any]]:
    return [{"valid_from": first, "valid_to": last} for first, last in validities]


def failures(rows: list[dict[str, Any]]) -> list[tuple[int, str, str]]:
    """Return line, column and problem of each failure; none where the card is accepted."""
    try:
        card(rows)
    except sr.SchemaError as error:
        found: Any = error.failures
        return list(found[["line", "column", "problem"]].itertuples(index=False, name=None))
    return []


ACCEPTED = {
    "one after the other": [("2026-01-01", "2026-06-01"), ("2026-06-01", None)],
    "an exception within": [("2026-01-01", None), ("2026-06-01", "2026-07-01")],
    "an exception that begins with it": [("2026-01-01", "2026-12-01"), ("2026-01-01", "2026-02-01")],
    "an exception that ends with it": [("2026-01-01", "2026-12-01"), ("2026-11-01", "2026-12-01")],
    "always, and open-ended from a day on": [(None, None), ("2026-06-01", None)],
    "always, and until a day": [(None, "2026-06-01"), (None, None)],
    "an exception of an exception": [(None, None), ("2026-01-01", "2026-09-01"), ("2026-02-01", "2026-03-01")],
    "exceptions apart within one that encloses them": [
        ("2026-01-01", "2027-01-01"), ("2026-02-01", "2026-03-01"), ("2026-08-01", "2026-09-01"),
    ],
    "the last and the first day of the calendar": [("0001-01-01", "2026-01-01"), ("2026-01-01", "9999-12-31")],
}  # fmt: skip


@pytest.mark.parametrize("rows", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_validities_that_follow_or_enclose_each_other_are_accepted_in_any_order(rows: Any) -> None:
    assert len(card(of_days(*rows))) == len(rows)
    assert len(card(of_days(*rows[::-1]))) == len(rows)


def test_identical_validity_is_a_duplicate_of_the_first_and_told_at_every_later_row() -> None:
    same = ("2026-01-01", "2026-06-01")
    found = failures(of_days(same, ("2026-06-01", None), same, same))
    assert [(line, column) for line, column, _ in found] == [(3, "prefix"), (4, "prefix")]
    assert all("validity of row 1 as well: leave one" in problem for *_, problem in found)


def test_blank_validities_of_one_key_are_duplicates() -> None:
    assert [line for line, *_ in failures(of_days((None, None), (None, None)))] == [2]


def test_two_open_ended_rows_are_a_forgotten_valid_to_and_the_error_says_which_to_write() -> None:
    [(line, column, problem)] = failures(of_days(("2026-06-01", None), ("2026-01-01", None)))
    assert (line, column) == (2, "valid_to")
    assert problem.endswith(
        "overlaps row 1, which begins on 2026-06-01 and is open-ended too: write valid_to 2026-06-01 here"
    )


def test_of_three_open_ended_rows_each_but_the_last_has_to_end_where_the_next_begins() -> None:
    found = failures(of_days(("2026-01-01", None), ("2026-03-01", None), ("2026-02-01", None)))
    assert [(line, problem[-15:-5]) for line, _, problem in found] == [(1, "2026-02-01"), (3, "2026-03-01")]


def test_what_the_error_says_to_write_makes_the_card_whole() -> None:
    assert not failures(
        of_days(("2026-01-01", "2026-02-01"), ("2026-03-01", None), ("2026-02-01", "2026-03-01"))
    )


def test_a_partial_overlap_names_both_rows_and_the_days() -> None:
    [(line, column, problem)] = failures(of_days(("2026-01-01", "2026-06-01"), ("2026-03-01", None)))
    assert (line, column) == (2, "valid_from")
    assert problem == (
        "overlaps row 1 (from 2026-01-01 to 2026-06-01) in part: write valid_to 2026-03-01 in row 1, "
        "or valid_from 2026-06-01 here"
    )


def test_a_partial_overlap_is_seen_behind_a_row_that_encloses_both() -> None:
    found = failures(
        of_days(
            (None, None),
            ("2026-01-01", "2026-06-01"),
            ("2026-02-01", "2026-03-01"),
            ("2026-05-01", "2026-07-01"),
        )
    )
    assert [(line, "row 2 (" in problem) for line, _, problem in found] == [(4, True)]


def test_days_between_two_validities_without_a_rate_are_a_gap() -> None:
    [(line, column, problem)] = failures(of_days(("2026-03-01", None), ("2026-01-01", "2026-02-01")))
    assert (line, column) == (1, "valid_from")
    assert problem.startswith(
        "leaves a gap from 2026-02-01, where row 2 ends: write valid_to 2026-03-01 in row 2"
    )


def test_a_gap_is_measured_from_the_row_that_lasts_longest() -> None:
    found = failures(
        of_days(("2026-01-01", "2026-06-01"), ("2026-02-01", "2026-03-01"), ("2026-07-01", None))
    )
    assert [(line, "where row 1 ends" in problem) for line, _, problem in found] == [(3, True)]


@pytest.mark.parametrize(
    "other",
    [{"prefix": "441"}, {"direction": "inbound"}, {"user": "ana"}],
    ids=["prefix", "direction", "user"],
)
def test_rows_of_another_prefix_direction_or_user_contradict_nothing(other: dict[str, str]) -> None:
    assert not failures([{"valid_from": "2026-01-01"}, {"valid_from": "2026-03-01", **other}])


LESS = {"user": {"user": "ana"}, "direction": {"direction": "inbound"}, "both": {"user": "ana", "direction": "inbound"}}  # fmt: skip
GAP = of_days(("2026-01-01", "2026-02-01"), ("2026-03-01", None))


@pytest.mark.parametrize("named", LESS.values(), ids=LESS.keys())
def test_days_between_rows_that_name_a_user_or_a_direction_may_be_left_to_rows_that_name_less(
    named: dict[str, str],
) -> None:
    special = [row | named for row in GAP]
    assert [line for line, *_ in failures(special)] == [2]
    for less in ({}, *({name: word} for name, word in named.items() if len(named) > 1)):
        assert not failures([*special, {**less}])
        assert not failures([*special, {**less, "valid_from": "2026-02-01", "valid_to": "2026-03-01"}])
        # A day too few at either end, and the gap is one.
        assert [line for line, *_ in failures([*special, {**less, "valid_from": "2026-02-02"}])] == [2]
        assert [line for line, *_ in failures([*special, {**less, "valid_to": "2026-02-28"}])] == [2]


def test_days_may_be_left_to_several_rows_that_name_less_each_for_some_of_them() -> None:
    special = [row | LESS["both"] for row in GAP]
    parts = [
        {"user": "ana", "valid_from": "2026-01-15", "valid_to": "2026-02-10"},
        {"valid_from": "2026-02-10", "valid_to": "2026-02-20"},
        {"direction": "inbound", "valid_from": "2026-02-20", "valid_to": "2026-03-05"},
    ]
    assert not failures(special + parts)
    for at in range(3):
        assert [line for line, *_ in failures(special + parts[:at] + parts[at + 1 :])] == [2]


@pytest.mark.parametrize(
    "other",
    [{"prefix": "4"}, {"prefix": "*"}, {"user": "eve"}, {"direction": "outbound"}],
    ids=["a shorter prefix", "every number", "another user", "another direction"],
)
def test_no_row_of_another_prefix_user_or_direction_covers_a_gap(other: dict[str, str]) -> None:
    assert [line for line, *_ in failures([*(row | LESS["both"] for row in GAP), other])] == [2]


def test_a_row_that_names_more_covers_no_gap_of_one_that_names_less() -> None:
    assert [line for line, *_ in failures([*GAP, LESS["user"], LESS["direction"]])] == [2]


def test_no_gap_is_told_where_a_row_that_names_less_cannot_be_read() -> None:
    special = [row | LESS["user"] for row in GAP]
    found = failures([*special, {"valid_from": "2026-02-30"}])
    assert [(line, column) for line, column, _ in found] == [(3, "valid_from")]


def test_what_is_written_otherwise_but_means_the_same_is_a_duplicate() -> None:
    found = failures([{"prefix": "44", "direction": "inbound"}, {"prefix": "+44", "direction": " Inbound "}])
    assert [line for line, *_ in found] == [2]


def test_users_are_told_apart_exactly() -> None:
    assert not failures([{"user": "Ana"}, {"user": "ana"}])


def test_no_gap_is_told_where_a_row_cannot_be_read_that_may_fill_it() -> None:
    rows = of_days(("2026-01-01", "2026-02-01"), ("2026-02-30", "2026-03-01"), ("2026-03-01", None))
    assert [(line, column) for line, column, _ in failures(rows)] == [(2, "valid_from")]


def test_no_gap_is_told_where_the_prefix_of_a_row_cannot_be_read() -> None:
    rows = of_days(("2026-01-01", "2026-02-01"), ("2026-02-01", "2026-03-01"), ("2026-03-01", None))
    rows[1]["prefix"] = "044"
    assert [(line, column) for line, column, _ in failures(rows)] == [(2, "prefix")]


def test_gaps_and_overlaps_of_other_prefixes_are_told_beside_bad_cells() -> None:
    rows = of_days(
        ("2026-01-01", "2026-02-01"), ("2026-03-01", None), ("2026-01-01", None), ("2026-02-01", None)
    )
    rows[2] |= {"prefix": "33", "rate_per_minute": "x"}
    rows[3] |= {"prefix": "33"}
    told = [(2, "valid_from"), (3, "rate_per_minute"), (3, "valid_to")]
    assert [(line, column) for line, column, _ in failures(rows)] == told


# ------------------------------------------------------------------ a slow way, day by day


def oracle(rows: list[Row]) -> tuple[set[int], set[int], set[int], bool]:
    """Return rows that are duplicates, forgotten, or overlap an earlier one in part, and whether a day is left out."""
    days = [
        {
            day
            for day in range(-1, SPAN + 2)
            if (first is None or first <= day) and (last is None or day < last)
        }
        for first, last in rows
    ]
    twice = {at for at, row in enumerate(rows) if row in rows[:at]}
    once = [at for at in range(len(rows)) if at not in twice]
    forgotten = {
        a
        for a in once
        for b in once
        if rows[a][1] is None
        and rows[b][1] is None
        and None not in (rows[a][0], rows[b][0])
        and days[b] < days[a]
    }
    partly = {
        a
        for a in once
        for b in once
        if days[a] & days[b] and days[a] - days[b] and days[b] - days[a] and min(days[b]) < min(days[a])
    }
    union = set().union(*days)
    return twice, forgotten, partly, union != set(range(min(union), max(union) + 1))


day = st.none() | st.integers(0, SPAN)
validity = st.tuples(day, day).filter(lambda row: None in row or row[0] < row[1])  # type: ignore[operator]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["44", "441"]), validity), min_size=1, max_size=7))
def test_contradictions_are_those_that_a_look_at_every_day_finds(rows: list[tuple[str, Row]]) -> None:
    def iso(number: int | None) -> str | None:
        return None if number is None else (DAY + timedelta(days=number)).isoformat()

    found = failures(
        [
            {"prefix": prefix, "valid_from": iso(first), "valid_to": iso(last)}
            for prefix, (first, last) in rows
        ]
    )
    told = {
        word: {line - 1 for line, _, problem in found if word in problem}
        for word in ("as well", "open-ended too", "in part", "leaves a gap")
    }
    for prefix in {prefix for prefix, _ in rows}:
        places = [at for at, (own, _) in enumerate(rows) if own == prefix]
        twice, forgotten, partly, has_gap = oracle([rows[at][1] for at in places])
        assert told["as well"] & set(places) == {places[at] for at in twice}
        assert told["open-ended too"] & set(places) == {places[at] for at in forgotten}
        assert told["in part"] & set(places) == {places[at] for at in partly}
        assert bool(told["leaves a gap"] & set(places)) == has_gap
    assert sum(map(len, told.values())) == len(found)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([None, "inbound"]), st.sampled_from([None, "ana", "eve"]), validity),
        min_size=1,
        max_size=9,
    )
)
def test_gaps_are_the_days_that_no_row_of_as_much_or_less_has(
    rows: list[tuple[str | None, str | None, Row]],
) -> None:
    def days(row: Row) -> set[int]:
        return {
            day
            for day in range(-1, SPAN + 2)
            if (row[0] is None or row[0] <= day) and (row[1] is None or day < row[1])
        }

    def iso(number: int | None) -> str | None:
        return None if number is None else (DAY + timedelta(days=number)).isoformat()

    lacking: dict[tuple[str | None, str | None], set[int]] = {}
    for direction, user, _ in rows:
        own = set().union(*(days(span) for d, u, span in rows if (d, u) == (direction, user)))
        less = set().union(
            *(days(span) for d, u, span in rows if d in {None, direction} and u in {None, user})
        )
        lacking[direction, user] = set(range(min(own), max(own) + 1)) - own - less
    found = failures(
        [
            {"direction": direction, "user": user, "valid_from": iso(first), "valid_to": iso(last)}
            for direction, user, (first, last) in rows
        ]
    )
    told = {rows[line - 1][:2] for line, _, problem in found if "leaves a gap" in problem}
    assert told == {group for group, left in lacking.items() if left}


def test_a_group_of_many_rows_is_swept_as_a_small_one() -> None:
    many = [
        {"valid_from": str(DAY + timedelta(days=n)), "valid_to": str(DAY + timedelta(days=n + 1))}
        for n in range(3000)
    ]
    assert len(card(many)) == 3000
    many[1500]["valid_to"] = str(DAY + timedelta(days=1502))
    found = failures(many)
    # The longer one encloses the day after it: an exception, and no day is without a rate.
    assert not found
    many[1502]["valid_from"] = str(DAY + timedelta(days=1503 - 2))
    assert [line for line, *_ in failures(many)] == [1503]
