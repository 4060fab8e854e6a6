"""A list of corrections becomes a plan: what is read, refused and left out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.errors import InputError, PlanGuardError, SchemaError
from sippet_reconcile.plan import Plan, plan_corrections
from sippet_reconcile.plan.whole_record import ENDS_BEFORE_START, TALK_WITHOUT_ANSWER, TOO_LONG
from sippet_reconcile.reconciliation import Rules

Make = Callable[..., pd.DataFrame]
Ids = Callable[[int], str]


def after(plan: Plan) -> dict[tuple[str, str], str]:
    return {
        (c, f): v
        for c, f, v in zip(plan.changes["call_id"], plan.changes["field"], plan.changes["after"], strict=True)
    }


def left(plan: Plan) -> dict[str, str]:
    return dict(zip(plan.left_out["call_id"], plan.left_out["reason"], strict=True))


def test_only_the_cells_that_hold_something_are_corrected(make_calls: Make, ids: Ids) -> None:
    calls = make_calls([{"status": "answered", "ended_at": None}, {}])
    fix = pd.DataFrame(
        {"call_id": [ids(1), ids(2), None], "status": ["completed", "", None], "duration_seconds": ["", "90", None],
         "ended_at": ["2026-10-05T11:01:30+01:00", None, "  "]},
        dtype="str",
    )  # fmt: skip
    plan = plan_corrections(calls, fix, reason="ticket 4711")
    assert after(plan) == {
        (ids(1), "status"): "completed",
        (ids(1), "ended_at"): "2026-10-05T10:01:30Z",
        (ids(2), "duration_seconds"): "90",
    }
    assert plan.kind == "corrections"
    assert plan.changes["reason"].unique().tolist() == ["ticket 4711"]
    assert plan.changes["match_rule"].isna().all()
    assert plan.left_out.empty
    assert plan.api_url == "https://api.example.com"
    assert plan.rules.duration == "billable"


@pytest.mark.parametrize("seconds", [90, 90.0, "90", " 90 ", "90.0", "090", pd.NA])
def test_seconds_as_spreadsheets_give_them(make_calls: Make, ids: Ids, seconds: Any) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "duration_seconds": pd.Series([seconds], dtype="object")})
    plan = plan_corrections(make_calls([{}]), fix, reason="x")
    assert plan.changes["after"].tolist() == ([] if seconds is pd.NA else ["90"])


@pytest.mark.parametrize(
    "seconds", ["1:30", "90.5", 90.5, -1, "-1", "1e2", "2147483648", True, "null", "٩٠", float("inf")]
)
def test_what_is_not_whole_seconds_is_refused(make_calls: Make, ids: Ids, seconds: Any) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "duration_seconds": pd.Series([seconds], dtype="object")})
    with pytest.raises(SchemaError, match="whole seconds") as error:
        plan_corrections(make_calls([{}]), fix, reason="x")
    assert error.value.failures is not None
    assert error.value.failures[["row", "column"]].to_numpy().tolist() == [[1, "duration_seconds"]]


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-10-05T10:01:00Z", "2026-10-05T10:01:00Z"),
        ("2026-10-05 12:01:00 +0200", "2026-10-05T10:01:00Z"),
        ("2026-10-05T10:01:00.9Z", "2026-10-05T10:01:00Z"),
        (pd.Timestamp("2026-10-05T11:01:00", tz="Europe/London"), "2026-10-05T10:01:00Z"),
        (dt.datetime(2026, 10, 5, 10, 1, tzinfo=dt.UTC), "2026-10-05T10:01:00Z"),
    ],
)
def test_ends_are_read_with_their_zone_and_cut_to_what_the_calls_show(
    make_calls: Make, ids: Ids, instant: Any, expected: str
) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "ended_at": pd.Series([instant], dtype="object")})
    assert plan_corrections(make_calls([{}]), fix, reason="x").changes["after"].tolist() == [expected]


def test_fractions_stay_where_the_calls_show_fractions(make_calls: Make, ids: Ids) -> None:
    calls = make_calls([{"started_at": "2026-10-05T10:00:00.5Z"}])
    fix = pd.DataFrame({"call_id": [ids(1)], "ended_at": ["2026-10-05T10:01:00.1234567Z"]})
    assert plan_corrections(calls, fix, reason="x").changes["after"].tolist() == [
        "2026-10-05T10:01:00.123456Z"
    ]


def test_a_column_of_aware_instants_is_read(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame(
        {"call_id": [ids(1), ids(2)], "ended_at": pd.to_datetime(["2026-10-05T10:01:00Z", None], utc=True)}
    )
    assert plan_corrections(make_calls([{}, {}]), fix, reason="x").changes["after"].tolist() == [
        "2026-10-05T10:01:00Z"
    ]


@pytest.mark.parametrize(
    "instant",
    [
        "2026-10-05T10:01:00",
        "05/10/2026 10:01",
        "2026-10-05",
        "2026-02-30T10:00:00Z",
        pd.Timestamp("2026-10-05T10:01:00"),
        1759658460,
    ],
)
def test_an_end_without_a_zone_is_refused(make_calls: Make, ids: Ids, instant: Any) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "ended_at": pd.Series([instant], dtype="object")})
    with pytest.raises(SchemaError, match="with its zone"):
        plan_corrections(make_calls([{}]), fix, reason="x")


def test_everything_wrong_is_told_at_once(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame(
        {"call_id": [ids(1), ids(1), None, ids(2)], "duration_seconds": ["x", "90", "90", "1.5"],
         "status": pd.Series(["completed", None, None, 5], dtype="object")}
    )  # fmt: skip
    with pytest.raises(SchemaError, match="and 4 more") as error:
        plan_corrections(make_calls([{}, {}]), fix, reason="x")
    failures = error.value.failures
    assert failures is not None
    assert sorted(zip(failures["row"], failures["column"], strict=True)) == [
        (1, "duration_seconds"), (2, "call_id"), (3, "call_id"), (4, "duration_seconds"), (4, "status"),
    ]  # fmt: skip


def test_a_message_shows_no_phone_number(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "duration_seconds": ["+442079460123"]})
    with pytest.raises(SchemaError) as error:
        plan_corrections(make_calls([{}]), fix, reason="x")
    assert "2079460123" not in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "duration",
        "Duration_Seconds",
        "duration_sec",
        "endedat",
        "ended at",
        "Status",
        "statuss",
        "call source",
        "ended",
    ],
)
def test_a_column_that_could_be_meant_is_refused_rather_than_ignored(
    make_calls: Make, ids: Ids, name: str
) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "call_source": ["x"], name: ["90"]})
    with pytest.raises(SchemaError, match=name):
        plan_corrections(make_calls([{}]), fix, reason="x")


def test_other_columns_and_any_index_are_tolerated(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame(
        {"call_id": [ids(1)], "duration_seconds": [90], "customer": ["A"], "started_at": ["?"], 7: [1]},
        index=["x"],
    )
    kept = fix.copy()
    assert len(plan_corrections(make_calls([{}]).set_axis([5]), fix, reason="x").changes) == 1
    pd.testing.assert_frame_equal(fix, kept)


@pytest.mark.parametrize("fix", [pd.DataFrame({"status": ["x"]}), pd.DataFrame({"call_id": ["x"]}), None])
def test_a_table_without_ids_or_values_is_refused(make_calls: Make, fix: Any) -> None:
    with pytest.raises(SchemaError):
        plan_corrections(make_calls([{}]), fix, reason="x")


def test_what_is_not_written_is_left_out_with_its_reason(make_calls: Make, ids: Ids) -> None:
    calls = make_calls(
        [{}, {}, {"started_at": None, "ended_at": None}, {}, {"status": "no_answer", "duration_seconds": 0}]
    )
    fix = pd.DataFrame(
        {
            "call_id": [ids(1), ids(2), ids(3), ids(4), ids(5), ids(9)],
            "duration_seconds": ["60", None, "5", "500", "20", "5"],
            "status": [None, "ended", None, None, None, None],
        }
    )
    plan = plan_corrections(calls, fix, reason="x")
    assert plan.changes.empty
    told = left(plan)
    assert "already" in told[ids(1)]
    assert "statuses=" in told[ids(2)]
    assert "no start" in told[ids(3)]
    assert told[ids(4)] == TOO_LONG
    assert told[ids(5)] == TALK_WITHOUT_ANSWER
    assert "no such call" in told[ids(9)]
    assert plan_corrections(calls, fix, reason="x", statuses=["ended"]).changes["after"].tolist() == ["ended"]


def test_a_row_that_asks_for_nothing_is_told(make_calls: Make, ids: Ids) -> None:
    plan = plan_corrections(make_calls([{}]), pd.DataFrame({"call_id": [ids(1)], "status": [""]}), reason="x")
    assert "nothing" in left(plan)[ids(1)]


def test_the_basis_of_the_rules_decides_what_is_consistent(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "ended_at": ["2026-10-05T10:01:30Z"]})
    calls = make_calls([{"duration_seconds": 60}])
    assert len(plan_corrections(calls, fix, reason="x").changes) == 1
    assert plan_corrections(calls, fix, reason="x", rules=Rules(duration="total")).changes.empty
    early = fix.assign(ended_at="2026-10-05T09:00:00Z")
    assert left(plan_corrections(calls, early, reason="x"))[ids(1)] == ENDS_BEFORE_START


def test_ids_are_found_whatever_their_case_and_planned_as_the_api_spells_them(make_calls: Make) -> None:
    calls = make_calls([{"id": "AAAAAAAA-0000-4000-8000-00000000000b"}])
    fix = pd.DataFrame({"call_id": [" aaaaaaaa-0000-4000-8000-00000000000B "], "duration_seconds": [90]})
    plan = plan_corrections(calls, fix, reason="x")
    assert plan.changes["call_id"].tolist() == ["aaaaaaaa-0000-4000-8000-00000000000b"]
    assert plan.calls["call_id"].tolist() == ["aaaaaaaa-0000-4000-8000-00000000000b"]
    assert len(plan.keep(calls["id"])) == 1


def test_a_few_hundred_corrections_pass_and_the_guards_hold(make_calls: Make, ids: Ids) -> None:
    calls = make_calls([{}] * 300)
    fix = pd.DataFrame({"call_id": [ids(n) for n in range(1, 301)], "duration_seconds": 90})
    assert len(plan_corrections(calls, fix, reason="x")) == 300
    with pytest.raises(PlanGuardError, match="max_calls"):
        plan_corrections(calls, fix, reason="x", max_calls=299)
    with pytest.raises(PlanGuardError, match="max_share"):
        plan_corrections(calls, fix, reason="x", max_share=0.2)


def test_the_ledger_counts_every_call_that_was_handed_in(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "duration_seconds": [90], "call_source": ["pbx"]})
    ledger = plan_corrections(make_calls([{}, {}, {}]), fix, reason="x").ledger
    assert ledger.groupby("field")["n_calls"].sum().to_dict() == {"duration_seconds": 3, "call_source": 3}
    assert ledger[["before_s", "change_s", "after_s"]].sum().tolist() == [180, 30, 210]


@pytest.mark.parametrize("reason", ["", "  ", None])
def test_a_reason_is_needed(make_calls: Make, ids: Ids, reason: Any) -> None:
    with pytest.raises(InputError, match="reason"):
        plan_corrections(
            make_calls([{}]), pd.DataFrame({"call_id": [ids(1)], "status": ["x"]}), reason=reason
        )


def test_calls_of_two_apis_and_repeated_calls_are_refused(make_calls: Make, ids: Ids) -> None:
    fix = pd.DataFrame({"call_id": [ids(1)], "duration_seconds": [90]})
    with pytest.raises(SchemaError, match="2 APIs"):
        plan_corrections(make_calls([{}, {"api_url": "https://b.example"}]), fix, reason="x")
    with pytest.raises(SchemaError, match="more than once"):
        plan_corrections(make_calls([{}, {"id": ids(1)}]), fix, reason="x")


def test_nothing_to_correct_is_an_empty_plan(make_calls: Make) -> None:
    fix = pd.DataFrame({"call_id": [], "status": []}, dtype="str")
    plan = plan_corrections(make_calls([]), fix, reason="x")
    assert len(plan) == 0
    assert plan.left_out.empty
    assert "nothing to correct" in plan.dry_run().verdict
