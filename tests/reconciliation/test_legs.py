"""Which legs count, which are one call, and what that call says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.reconciliation import reconcile
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.schema import CALLS, LEGS, check_frame

NO_CALLS = CALLS.empty()


def only_call(legs, **options):
    """Return the single CDR call that the legs become."""
    found = reconcile(legs, NO_CALLS, progress=False, **options).cdr_calls
    assert len(found) == 1
    return found.iloc[0]


@pytest.fixture(scope="module")
def leg(at):
    """Describe a leg by seconds after the morning: start, answer, end."""

    def describe(start, answer=None, end=None, **more):
        answered = answer is not None
        values = {
            "linked_id": "group",
            "started_at": at(start),
            "answered_at": at(answer) if answered else None,
            "ended_at": None if end is None else at(end),
            "total_s": None if end is None else end - start,
            "billable_s": None if end is None else (end - answer if answered else 0),
            "is_answered": answered,
            "status": "completed" if answered else "no_answer",
        }
        return values | more

    return describe


def test_a_record_that_was_sent_again_is_a_duplicate_and_the_first_stays(make_legs, leg):
    twice = leg(0, 5, 65, record_hash=7, leg_id="a")
    legs = make_legs(
        [
            twice | {"source_file": "b.csv"},
            twice | {"source_file": "a.csv", "source_row": 9},
            twice | {"source_file": "a.csv", "source_row": 4},
        ]
    )
    found = reconcile(legs, NO_CALLS, progress=False).legs
    assert found["bucket"].tolist() == ["duplicate", "duplicate", "only_in_cdr"]
    assert found["reason"].tolist()[:2] == ["same record as a.csv:4"] * 2
    assert found["cdr_id"].isna().tolist() == [True, True, False]


def test_parallel_legs_that_differ_in_one_column_are_no_duplicates(make_legs, leg):
    twice = leg(0, 5, 65, record_hash=7, leg_id="a")
    legs = make_legs([twice, twice | {"to_number": "1002"}, twice | {"record_hash": 8}])
    call = only_call(legs)
    assert call["n_legs"] == 3


def test_equal_rows_without_a_record_hash_are_no_duplicates(make_legs, leg):
    assert only_call(make_legs([leg(0, 5, 65, record_hash=None)] * 2))["n_legs"] == 2


def test_hashes_that_differ_in_their_last_bit_are_different_records(make_legs, leg):
    large = 2**62
    rows = [
        leg(0, 5, 65, record_hash=large),
        leg(0, 5, 65, record_hash=large),
        leg(0, 5, 65, record_hash=large + 1),
    ]
    found = reconcile(make_legs(rows), NO_CALLS, progress=False).legs
    assert found["bucket"].tolist() == ["only_in_cdr", "duplicate", "only_in_cdr"]


def test_kept_columns_tell_records_apart(make_legs, leg):
    rows = [leg(0, 5, 65, record_hash=7, x_account="1"), leg(0, 5, 65, record_hash=7, x_account="2")]
    assert only_call(make_legs(rows))["n_legs"] == 2


def test_problem_rows_and_helpers_are_set_aside_with_their_reason(make_legs, leg):
    legs = make_legs([leg(0, 5, 65), leg(0, 5, 99, problem="no number"), leg(0, 5, 999, is_helper=True)])
    rec = reconcile(legs.assign(is_helper=[False, False, True]), NO_CALLS, progress=False)
    assert rec.legs["bucket"].tolist() == ["only_in_cdr", "unusable", "helper"]
    assert rec.legs["reason"].tolist()[1:] == ["no number", "helper leg"]
    assert rec.cdr_calls["n_legs"].tolist() == [1]
    assert rec.cdr_calls["billable_s"].tolist() == [60.0]


def test_a_helper_column_of_text_is_refused(make_legs, leg):
    with pytest.raises(SchemaError, match="is_helper"):
        reconcile(make_legs([leg(0)]).assign(is_helper=["maybe"]), NO_CALLS, progress=False)


def test_legs_are_grouped_by_linked_id_then_by_key_and_else_stand_alone(make_legs, leg):
    rows = [
        leg(0, linked_id="A", call_key="x"),
        leg(1, linked_id=" a ", call_key="y"),
        leg(2, linked_id=None, call_key="k"),
        leg(3, linked_id="  ", call_key="k"),
        leg(4, linked_id=None, call_key="A"),
        leg(5, linked_id=None, call_key=None, leg_id="same"),
        leg(6, linked_id=None, call_key=None, leg_id="same"),
    ]
    found = reconcile(make_legs(rows), NO_CALLS, progress=False).legs["cdr_id"]
    groups = found.groupby(found).groups
    assert sorted(sorted(rows) for rows in groups.values()) == [[0, 1, 4], [2, 3], [5], [6]]


def test_cdr_ids_are_unique_and_do_not_depend_on_the_order_of_rows(make_legs, leg):
    rows = [
        leg(0, linked_id="A", call_key="x"),
        leg(1, linked_id="A", call_key="y"),
        leg(5, linked_id=None, call_key=None, leg_id="same"),
        leg(6, linked_id=None, call_key=None, leg_id="same"),
        leg(7, linked_id=None, call_key=None, leg_id="A"),
        leg(8, linked_id=None, call_key=None, leg_id=None),
    ]
    legs = make_legs(rows)
    straight = reconcile(legs, NO_CALLS, progress=False).legs
    turned = reconcile(legs.iloc[::-1], NO_CALLS, progress=False).legs.sort_index()
    assert straight["cdr_id"].tolist() == turned["cdr_id"].tolist()
    assert straight["cdr_id"].nunique() == 5


def test_one_leg_keeps_its_own_seconds(make_legs, leg):
    call = only_call(make_legs([leg(0, 5, 65, billable_s=60.4, total_s=64.6)]))
    assert (call["billable_s"], call["total_s"]) == (60.4, 64.6)


def test_several_legs_become_one_call(make_legs, leg, at):
    rows = [
        leg(10, 30, 100, to_number="1002", sip_username="b"),
        leg(0, None, 20, to_number="1001", cause="CANCEL", status="canceled"),
        leg(90, 95, 130, to_number="1003", cause="NORMAL"),
    ]
    call = only_call(make_legs(rows))
    assert call["started_at"] == at(0)
    assert call["answered_at"] == at(30)
    assert call["ended_at"] == at(130)
    assert call["total_s"] == 130
    assert call["billable_s"] == 100  # 30 to 100 and 95 to 130, which overlap by 5
    assert call["sum_billable_s"] == 105
    assert (call["first_billable_s"], call["last_billable_s"]) == (0, 35)
    assert call["n_legs"] == 3
    assert call["status"] == "completed"
    assert call["to_number"] == "1001"
    assert call["sip_username"] == "b"
    assert bool(call["is_answered"])


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["busy", "completed"], "completed"),
        (["voicemail", "busy"], "voicemail"),
        (["no_answer", "busy"], "busy"),
        (["missed", "no_answer"], "no_answer"),
        (["canceled", "missed"], "missed"),
        (["failed", "canceled"], "canceled"),
        (["unknown", "failed"], "failed"),
        (["completed", "in_progress"], "in_progress"),
        ([None, "unknown"], "unknown"),
    ],
)
def test_the_best_status_is_that_of_the_call(make_legs, leg, statuses, expected):
    assert (
        only_call(make_legs([leg(n, status=word) for n, word in enumerate(statuses)]))["status"] == expected
    )


def test_talk_that_cannot_be_placed_leaves_billable_seconds_unknown(make_legs, leg):
    lost = leg(0, 5, 65, answered_at=None, ended_at=None, billable_s=None)
    assert pd.isna(only_call(make_legs([leg(0, 5, 65), lost]))["billable_s"])


def test_a_leg_of_which_nothing_is_known_leaves_billable_seconds_unknown(make_legs, leg):
    blank = leg(0, None, 65, is_answered=None, billable_s=None)
    assert pd.isna(only_call(make_legs([leg(0, 5, 65), blank]))["billable_s"])


def test_legs_that_nobody_answered_talked_for_no_time(make_legs, leg):
    call = only_call(make_legs([leg(0, None, 20), leg(5, None, 30)]))
    assert call["billable_s"] == 0
    assert not bool(call["is_answered"])


def test_the_only_leg_that_talked_keeps_its_fractions(make_legs, leg):
    call = only_call(make_legs([leg(0, None, 20), leg(5, 10, 70, billable_s=59.7)]))
    assert call["billable_s"] == 59.7


def test_a_leg_without_an_answer_time_talked_until_its_end(make_legs, leg):
    call = only_call(make_legs([leg(0, 10, 40), leg(0, 10, 60, answered_at=None, billable_s=30)]))
    assert call["billable_s"] == 50  # 10 to 40 and 30 to 60


def test_legs_without_a_total_leave_that_of_the_call_unknown(make_legs, leg, at):
    # What such an export calls the start may be the answer: how long the call rang stands nowhere.
    rows = [leg(0, None, 60, total_s=None, billable_s=60, is_answered=True), leg(20, 20, 60, total_s=None)]
    call = only_call(make_legs(rows))
    assert (call["started_at"], call["ended_at"], call["billable_s"]) == (at(0), at(60), 60)
    assert pd.isna(call["total_s"])
    rows[1]["total_s"] = 40
    assert only_call(make_legs(rows))["total_s"] == 60


def test_a_doubtful_end_of_any_leg_is_told(make_legs, leg):
    rows = [leg(0, time_problem="started_at repeated"), leg(1, time_problem="ended_at repeated")]
    assert only_call(make_legs(rows))["time_problem"] == "ended_at repeated"


@pytest.mark.parametrize(
    "known",
    [
        {"answered_at": None, "billable_s": None, "is_answered": True},
        {"answered_at": None, "billable_s": 30, "is_answered": None},
        {"answered_at": None, "billable_s": 0, "is_answered": False, "total_s": 30},
        {"answered_at": None, "billable_s": None, "is_answered": None},
    ],
)
def test_a_leg_whose_end_is_unknown_leaves_that_of_the_call_unknown(make_legs, leg, known):
    lost = leg(5, 10, 60, ended_at=None, total_s=None) | known
    call = only_call(make_legs([leg(0, 5, 65), lost]))
    assert pd.isna(call["ended_at"])
    assert pd.isna(call["total_s"])


def test_a_silent_leg_without_times_takes_nothing_from_the_others(make_legs, leg, at):
    silent = leg(0, ended_at=None, started_at=None, total_s=None, billable_s=None, is_answered=False)
    for total_s, billable_s in ((None, None), (0, 0)):
        call = only_call(make_legs([leg(0, 5, 65), silent | {"total_s": total_s, "billable_s": billable_s}]))
        assert (call["ended_at"], call["total_s"], call["billable_s"]) == (at(65), 65, 60)


def test_a_leg_whose_start_is_unknown_leaves_the_total_unknown(make_legs, leg, at):
    call = only_call(make_legs([leg(0, 5, 65), leg(5, 10, 60, started_at=None)]))
    assert pd.isna(call["total_s"])
    assert call["ended_at"] == at(65)


INTERVAL = st.tuples(st.integers(0, 60), st.integers(0, 40))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(INTERVAL, min_size=2, max_size=6), min_size=1, max_size=5))
def test_billable_seconds_are_those_in_which_somebody_talked(make_legs, leg, groups):
    rows = [
        leg(0, start, start + length, linked_id=f"g{n}")
        for n, intervals in enumerate(groups)
        for start, length in intervals
    ]
    found = reconcile(make_legs(rows), NO_CALLS, progress=False).cdr_calls.set_index("cdr_id")["billable_s"]
    for n, intervals in enumerate(groups):
        talking = {second for start, length in intervals for second in range(start, start + length)}
        assert found[f"g{n}"] == len(talking)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_the_order_of_legs_changes_no_call(make_legs, leg, data):
    kind = st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans(), st.integers(1, 3))
    described = data.draw(st.lists(kind, min_size=1, max_size=8))
    rows = [
        leg(
            start,
            start + 3 if talks else None,
            start + 20,
            linked_id=f"g{group}",
            record_hash=copy,
            to_number=str(start),
        )
        for group, start, talks, copy in described
    ]
    legs = make_legs(rows)
    order = data.draw(st.permutations(range(len(rows))))
    straight = reconcile(legs, NO_CALLS, progress=False)
    turned = reconcile(legs.iloc[list(order)], NO_CALLS, progress=False)
    pd.testing.assert_frame_equal(
        straight.cdr_calls.sort_values("cdr_id", ignore_index=True),
        turned.cdr_calls.sort_values("cdr_id", ignore_index=True),
    )
    pd.testing.assert_frame_equal(straight.legs, turned.legs.sort_index())


def test_a_group_naming_two_calls_is_split_along_them(make_legs, make_calls, leg):
    rows = [
        leg(0, 5, 65, call_key="one"),
        leg(70, 75, 135, call_key="two"),
        leg(80, 85, 99, call_key="neither"),
        leg(90, 95, 97, call_key="also-not", linked_id="group"),
    ]
    rec = reconcile(make_legs(rows), make_calls([{"call_uuid": "ONE"}, {"call_uuid": "Two"}]), progress=False)
    assert rec.legs["call_id"].tolist()[:2] == ["id-0", "id-1"]
    assert rec.legs["call_id"].isna().tolist()[2:] == [True, True]
    assert rec.legs["cdr_id"].tolist() == ["group/one", "group/two", "group/rest", "group/rest"]
    assert rec.pairs["n_legs"].tolist() == [1, 1]


def test_legs_of_a_split_group_go_with_the_call_their_linked_id_names(make_legs, make_calls, leg):
    rows = [
        leg(0, 5, 65, linked_id="one", call_key="one"),
        leg(70, 75, 135, linked_id="one", call_key="two"),
        leg(60, 66, 70, linked_id="one", call_key="transfer"),
    ]
    rec = reconcile(make_legs(rows), make_calls([{"call_uuid": "one"}, {"call_uuid": "two"}]), progress=False)
    assert rec.legs["call_id"].tolist() == ["id-0", "id-1", "id-0"]


def test_a_group_naming_one_call_stays_whole(make_legs, make_calls, leg):
    rows = [leg(0, 5, 65, call_key="else"), leg(1, 6, 66, call_key="one"), leg(2, 7, 67, call_key=None)]
    rec = reconcile(make_legs(rows), make_calls([{"call_uuid": "one"}]), progress=False)
    assert rec.pairs["n_legs"].tolist() == [3]
    assert rec.legs["call_id"].tolist() == ["id-0"] * 3


def test_a_group_of_very_many_legs_is_reduced(make_legs, leg):
    base = make_legs([leg(0, 5, 6)])
    many = pd.concat([base] * 5_000, ignore_index=True)
    steps = pd.to_timedelta(np.arange(5_000), unit="s")
    many = many.assign(
        record_hash=pd.array(np.arange(5_000), "Int64"),
        **{name: many[name] + steps for name in ("started_at", "answered_at", "ended_at")},
    )
    call = only_call(many)
    assert call["n_legs"] == 5_000
    assert call["billable_s"] == 5_000


@pytest.mark.parametrize("linked_id", ["g", None], ids=["one-call", "two-calls"])
def test_source_columns_that_were_kept_are_those_of_the_first_leg(make_legs, leg, linked_id):
    legs = make_legs([leg(9, 20, 30, linked_id=linked_id), leg(0, 5, 30, linked_id=linked_id)])
    rec = reconcile(legs.assign(x_trunk=["late", "early"], other=1), NO_CALLS, progress=False)
    assert rec.cdr_calls["x_trunk"].tolist() == (["early"] if linked_id else ["late", "early"])
    assert "other" not in rec.cdr_calls
    assert rec.only_in_cdr["x_trunk"].tolist() == rec.cdr_calls["x_trunk"].tolist()


def test_frames_without_rows_have_every_type():
    rec = reconcile(LEGS.empty(), NO_CALLS, progress=False)
    check_frame(rec.cdr_calls, CDR_CALLS)
    check_frame(rec.pairs, sr.schema.PAIRS)
    check_frame(rec.discrepancies, sr.schema.DISCREPANCIES)
    assert rec.balance["rows"].sum() == 0
