"""Every leg and every call ends in exactly one bucket, judged by the period and the moment of reading."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.errors import InputError, ReconcileError, SchemaError
from sippet_reconcile.reconciliation import Rules, reconcile
from sippet_reconcile.reconciliation.balance import BUCKETS, REASONS, check_balance
from sippet_reconcile.schema import CALLS, LEGS


@pytest.fixture(scope="module")
def pair(at):
    """Describe both sides of one call, matched by key."""

    def describe(key, start=0, end=60, cdr=None, call=None):
        both = {"started_at": at(start), "ended_at": at(end)}
        return {"call_key": key, **both, **(cdr or {})}, {"call_uuid": key, **both, **(call or {})}

    return describe


@pytest.fixture(scope="module")
def sorted_into(make_legs, make_calls):
    """Reconcile rows and return the bucket and reason of each leg and each call."""

    def sort(legs, calls, **options):
        rec = reconcile(make_legs(legs), make_calls(calls), progress=False, **options)

        def of(frame):
            reasons = [why if isinstance(why, str) else None for why in frame["reason"].tolist()]
            return list(zip(frame["bucket"].tolist(), reasons, strict=True))

        return of(rec.legs), of(rec.calls), rec

    return sort


def period(at, start, end):
    return sr.Period(at(start).to_pydatetime(), at(end).to_pydatetime())


def test_a_pair_belongs_by_the_start_of_the_call(sorted_into, pair, at):
    inside = pair("a", cdr={"started_at": at(-3)})
    outside = pair("b", start=100, cdr={"started_at": at(99)})
    legs, calls, rec = sorted_into(
        [inside[0], outside[0]], [inside[1], outside[1]], period=period(at, 0, 100)
    )
    assert legs == calls == [("matched", None), ("outside_period", None)]
    assert rec.pairs["call_id"].tolist() == ["id-0"]
    assert rec.n_compared == 1


def test_unmatched_rows_belong_by_their_own_start(sorted_into, at):
    legs, calls, rec = sorted_into(
        [{"call_key": f"x{s}", "started_at": at(s), "ended_at": at(s + 9)} for s in (-1, 0, 99, 100)],
        [{"call_uuid": f"y{s}", "started_at": at(s)} for s in (-1, 0, 99, 100)],
        period=period(at, 0, 100),
    )
    assert [bucket for bucket, _ in legs] == [
        "outside_period",
        "only_in_cdr",
        "only_in_cdr",
        "outside_period",
    ]
    assert [bucket for bucket, _ in calls] == [
        "outside_period",
        "only_in_api",
        "only_in_api",
        "outside_period",
    ]
    assert rec.only_in_api["call_id"].tolist() == ["id-1", "id-2"]


def test_the_clock_offset_counts_for_unmatched_legs(sorted_into, at):
    rows = [{"call_key": f"k{s}", "started_at": at(s), "ended_at": at(s + 9)} for s in (3599, 3600)]
    legs, _, _ = sorted_into(rows, [], period=period(at, 0, 100), rules=Rules(clock_offset_s=3600))
    assert [bucket for bucket, _ in legs] == ["outside_period", "only_in_cdr"]


def test_a_call_that_never_started_belongs_where_its_cdr_started(sorted_into, pair, at):
    never = {"started_at": None}
    inside, outside = pair("a", call=never), pair("b", start=500, end=560, call=never)
    legs, calls, _ = sorted_into(
        [inside[0], outside[0]],
        [inside[1], outside[1], {"call_uuid": "z", **never}],
        period=period(at, 0, 100),
    )
    assert legs == [("matched", None), ("outside_period", None)]
    assert calls == [*legs, ("excluded", "never-started")]


def test_calls_that_never_started_are_excluded_without_a_period_too(sorted_into):
    _, calls, rec = sorted_into([], [{"call_uuid": "z"}])
    assert calls == [("excluded", "never-started")]
    assert rec.excluded.loc[0, ["side", "call_id", "reason"]].tolist() == ["api", "id-0", "never-started"]


def test_a_leg_without_a_start_that_no_key_matches_is_excluded(sorted_into):
    legs, _, _ = sorted_into([{"call_key": "z"}], [])
    assert legs == [("excluded", "no-start")]


def test_calls_still_open_in_the_cdr_are_excluded(sorted_into, pair):
    no_end, running = pair("a", cdr={"ended_at": None}), pair("b", cdr={"status": "in_progress"})
    legs, calls, rec = sorted_into([no_end[0], running[0]], [no_end[1], running[1]])
    assert legs == calls == [("excluded", "cdr-open")] * 2
    assert len(rec.discrepancies) == len(rec.pairs) == 0
    assert rec.excluded["call_id"].tolist() == ["id-0", "id-1", "id-0", "id-1"]


@pytest.mark.parametrize(("read_s", "bucket"), [(7260, "matched"), (7259, "excluded"), (None, "matched")])
def test_a_cdr_must_have_settled_when_the_calls_were_read(sorted_into, pair, at, read_s, bucket):
    read = None if read_s is None else at(read_s)
    leg, call = pair("a", call={"fetched_at": read})
    legs, calls, rec = sorted_into([leg], [call])
    assert legs == calls == [(bucket, None if bucket == "matched" else "too-young")]
    assert rec.fetched_at == read


def test_an_unmatched_cdr_is_too_young_by_the_earliest_reading(sorted_into, at):
    leg = {"call_key": "x", "started_at": at(0), "ended_at": at(60)}
    calls = [{"started_at": at(0), "fetched_at": at(s)} for s in (90_000, 7_000)]
    legs, _, rec = sorted_into([leg], calls)
    assert legs == [("excluded", "too-young")]
    assert rec.fetched_at == at(7_000)


def test_the_settle_time_and_the_clock_offset_are_rules(sorted_into, pair, at):
    leg, call = pair("a", call={"fetched_at": at(100)})
    assert sorted_into([leg], [call], rules=Rules(settle_s=40))[0] == [("matched", None)]
    assert sorted_into([leg], [call], rules=Rules(settle_s=41))[0] == [("excluded", "too-young")]
    assert sorted_into([leg], [call], rules=Rules(settle_s=41, clock_offset_s=1))[0] == [("matched", None)]


@pytest.mark.parametrize(
    "numbers", [("1001", "1002"), ("1000-1099",), ("10*",), ("1000-1001", "1002", "1099-1000")], ids=" ".join
)
def test_internal_calls_are_excluded_matched_or_not(sorted_into, pair, at, numbers):
    by_word = pair("a", cdr={"direction": "internal"})
    own = {"from_number": "1001", "to_number": " 1002 "}
    by_number = pair("b", cdr=own, call=own)
    half = pair("c", cdr={"from_number": "1001", "to_number": "+442079460123"})
    alone = {"call_key": "d", "started_at": at(0), "ended_at": at(9), **own}
    legs, calls, _ = sorted_into(
        [by_word[0], by_number[0], half[0], alone],
        [by_word[1], by_number[1], half[1], {"direction": "Internal", "started_at": at(0)}],
        rules=Rules(internal_numbers=numbers),
    )
    excluded = ("excluded", "internal")
    assert legs == [excluded, excluded, ("matched", None), excluded]
    assert calls == [excluded, excluded, ("matched", None), excluded]


def test_what_lies_outside_the_period_is_nowhere_else(sorted_into, pair, at):
    running = pair("a", start=500, cdr={"ended_at": None})
    _, _, rec = sorted_into([running[0]], [running[1]], period=period(at, 0, 100))
    assert len(rec.excluded) == 0
    assert rec.balance.loc[rec.balance["rows"].gt(0), "bucket"].tolist() == ["outside_period"] * 2


def test_one_call_read_twice_counts_once_as_read_last(sorted_into, pair, at):
    leg, call = pair("a")
    early = call | {"id": "same", "status": "ringing", "fetched_at": at(80_000)}
    late = call | {"id": "same", "status": "completed", "fetched_at": at(90_000)}
    _, calls, rec = sorted_into([leg], [early, late, late])
    assert [bucket for bucket, _ in calls] == ["duplicate", "duplicate", "matched"]
    assert rec.pairs["status_call"].tolist() == ["completed"]


def test_two_values_of_one_call_at_one_moment_are_refused(make_legs, make_calls):
    rows = [{"id": "same", "status": "ringing"}, {"id": "same", "status": "completed"}]
    with pytest.raises(SchemaError, match="different values") as caught:
        reconcile(make_legs([]), make_calls(rows), progress=False)
    assert caught.value.failures["id"].tolist() == ["same"]


def test_a_call_without_an_id_is_unusable(sorted_into, pair):
    leg, call = pair("a", call={"id": None})
    legs, calls, _ = sorted_into([leg], [call])
    assert calls == [("unusable", "no id")]
    assert legs == [("only_in_cdr", None)]


def test_calls_of_two_apis_are_refused(make_legs, make_calls):
    calls = make_calls([{"api_url": "https://one.example"}, {"api_url": "https://two.example"}])
    with pytest.raises(SchemaError, match="2 APIs"):
        reconcile(make_legs([]), calls, progress=False)


def test_frames_without_needed_columns_are_refused(make_legs, make_calls):
    with pytest.raises(SchemaError, match="call_key"):
        reconcile(make_legs([{}]).drop(columns="call_key"), make_calls([]), progress=False)
    with pytest.raises(SchemaError, match="not a DataFrame"):
        reconcile([], make_calls([]), progress=False)


def test_a_period_or_rules_of_another_kind_are_refused(make_legs, make_calls):
    with pytest.raises(InputError, match="period"):
        reconcile(make_legs([]), make_calls([]), period="2026-10", progress=False)
    with pytest.raises(InputError, match="rules"):
        reconcile(make_legs([]), make_calls([]), rules={"duration": "total"}, progress=False)


def test_a_balance_that_does_not_add_up_is_refused(sorted_into, pair):
    leg, call = pair("a")
    _, _, rec = sorted_into([leg], [call])
    check_balance(rec.balance, n_legs=1, n_calls=1)
    with pytest.raises(ReconcileError, match="defect"):
        check_balance(rec.balance, n_legs=2, n_calls=1)


def test_progress_is_told_in_steps(both_sides):
    told = []
    reconcile(*both_sides(2), progress=lambda done, total, label: told.append((done, total, label)))
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert all(total == told[-1][0] for _, total, _ in told)


LEG = st.fixed_dictionaries(
    {
        "call_key": st.sampled_from([None, "a", "b", "c"]),
        "linked_id": st.sampled_from([None, None, "a", "g"]),
        "problem": st.sampled_from([None, None, None, "no start"]),
        "record_hash": st.integers(1, 4),
        "start": st.sampled_from([None, -50, 0, 10, 5000]),
        "end": st.sampled_from([None, 100, 9000]),
        "status": st.sampled_from(["completed", "in_progress", "busy", None]),
        "direction": st.sampled_from(["inbound", "internal", None]),
    }
)
CALL = st.fixed_dictionaries(
    {
        "call_uuid": st.sampled_from([None, "a", "b", "d"]),
        "start": st.sampled_from([None, -50, 0, 10, 5000]),
        "direction": st.sampled_from(["inbound", "internal", None]),
        "read": st.sampled_from([None, 8000, 90_000]),
    }
)


@settings(max_examples=30, deadline=None)
@given(st.lists(LEG, max_size=8), st.lists(CALL, max_size=8), st.booleans())
def test_every_row_is_in_exactly_one_bucket_and_the_balance_adds_up(  # noqa: PLR0917 - fixtures and draws
    make_legs, make_calls, at, legs, calls, bounded
):
    def instant(seconds):
        return None if seconds is None else at(seconds)

    leg_frame = make_legs(
        [{**row, "started_at": instant(row["start"]), "ended_at": instant(row["end"])} for row in legs]
    )
    call_frame = make_calls(
        [{**row, "started_at": instant(row["start"]), "fetched_at": instant(row["read"])} for row in calls]
    )
    kept = leg_frame.copy(deep=True), call_frame.copy(deep=True)
    rec = reconcile(leg_frame, call_frame, period=period(at, 0, 100) if bounded else None, progress=False)
    for side, frame, given_frame in (("cdr", rec.legs, leg_frame), ("api", rec.calls, call_frame)):
        assert len(frame) == len(given_frame)
        assert frame["bucket"].isin(BUCKETS).all()
        counted = rec.balance.loc[rec.balance["side"].eq(side)].groupby("bucket")["rows"].sum()
        assert counted[counted.gt(0)].to_dict() == frame["bucket"].value_counts().to_dict()
        excluded = frame["bucket"].eq("excluded")
        assert frame.loc[excluded, "reason"].isin(REASONS).all()
        assert frame.loc[frame["bucket"].eq("matched"), "reason"].isna().all()
    matched = rec.legs.loc[rec.legs["bucket"].eq("matched")]
    assert set(matched["call_id"]) == set(rec.pairs["call_id"])
    assert set(rec.calls.loc[rec.calls["bucket"].eq("matched"), "id"]) == set(rec.pairs["call_id"])
    pd.testing.assert_frame_equal(leg_frame, kept[0])
    pd.testing.assert_frame_equal(call_frame, kept[1])


def test_empty_sides_balance_to_nothing():
    rec = reconcile(LEGS.empty(), CALLS.empty(), progress=False)
    assert rec.balance["rows"].sum() == 0
    assert "empty-side" in rec.findings.codes
