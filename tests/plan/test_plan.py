"""What a plan is: frozen, named by its content, approved as it stands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError, PlanError
from sippet_reconcile.plan import Plan, build_plan
from sippet_reconcile.reconciliation.explaining.registry import explanation, temporary_explanations
from sippet_reconcile.schema import CHANGES

Make = Callable[..., Any]
Ids = Callable[[int], str]

RING = {
    "call": {"duration_seconds": 120},
    "wrong": {"duration_seconds": ("120", "110", "ring-time-included")},
}
OPEN = {
    "call": {"status": "answered", "ended_at": None, "duration_seconds": None},
    "wrong": {
        "status": ("answered", "completed", "never-ended"),
        "duration_seconds": (None, "110", "never-ended"),
        "ended_at": (None, "2026-10-05T10:02:00.250000Z", "never-ended"),
    },
}


@pytest.fixture
def plan(make_rec: Make) -> Plan:
    return build_plan(make_rec([RING, OPEN, RING, RING]))


def change_row(**values: Any) -> pd.DataFrame:
    row = {"call_id": "a1", "call_uuid": "u1", "field": "status", "before": "busy", "after": "completed",
           "explanation": "revert", "reason": "undo", **values}  # fmt: skip
    return pd.DataFrame({c.name: pd.Series([row.get(c.name)], dtype=c.kind.value) for c in CHANGES.columns})


def test_each_call_gets_one_patch_with_all_its_fields(plan: Plan, ids: Ids) -> None:
    requests = list(plan.requests())
    assert [r.call_id for r in requests] == plan.changes["call_id"].drop_duplicates().tolist()
    whole = next(r for r in requests if r.call_id == ids(2))
    assert (whole.method, whole.path) == ("PATCH", f"/api/calls/{ids(2)}")
    assert dict(whole.headers) == {
        "Accept": "application/vnd.api+json",
        "Content-Type": "application/vnd.api+json",
    }
    assert json.loads(whole.body) == {
        "data": {
            "id": ids(2),
            "type": "Call",
            "attributes": {
                "status": "completed",
                "duration_seconds": 110,
                "ended_at": "2026-10-05T10:02:00.250000Z",
            },
        }
    }


def test_a_request_unpacks_into_method_path_headers_and_body(plan: Plan) -> None:
    for request in plan.requests():
        method, path, headers, body = request
        assert (method, path) == (request.method, request.path)
        assert (headers, body) == (request.headers, request.body)
        assert path.endswith(request.call_id)


def test_the_plan_id_is_the_hash_of_the_content(plan: Plan, make_rec: Make) -> None:
    assert len(plan.plan_id) == 64
    assert plan.short_id == plan.plan_id[:12]
    assert plan.fingerprint() == plan.plan_id
    assert build_plan(make_rec([RING])).plan_id != plan.plan_id


@pytest.mark.parametrize(
    ("frame", "column", "value"),
    [("changes", "after", "111"), ("calls", "from_number", "+15550000001"), ("left_out", "reason", "other")],
)
def test_frames_are_copies(make_rec: Make, frame: str, column: str, value: str) -> None:
    plan = build_plan(make_rec([RING, OPEN]), where="delta_s < 0")
    handed_out = getattr(plan, frame)
    handed_out.loc[0, column] = value
    assert getattr(plan, frame).loc[0, column] != value
    assert plan.fingerprint() == plan.plan_id


def test_a_plan_cannot_be_assigned_to(plan: Plan) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.plan_id = "other"  # type: ignore[misc]


def test_an_approval_names_the_plan_and_its_person(plan: Plan) -> None:
    approved = plan.approve(by=" ana ", note="October").approve(by="ben")
    assert [(a.by, a.note, a.plan_id) for a in approved.approvals] == [
        ("ana", "October", plan.plan_id),
        ("ben", "", plan.plan_id),
    ]
    assert approved.plan_id == approved.fingerprint() == plan.plan_id
    assert plan.approvals == ()
    for nobody in ("", "  ", None):
        with pytest.raises(InputError, match="name of a person"):
            plan.approve(by=nobody)  # type: ignore[arg-type]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(picked=st.lists(st.booleans(), min_size=4, max_size=4))
def test_keep_and_drop_partition_the_plan_and_lose_the_approvals(plan: Plan, picked: list[bool]) -> None:
    chosen = plan.calls["call_id"][picked]
    approved = plan.approve(by="ana")
    kept, dropped = approved.keep(chosen), approved.drop(chosen)
    assert kept.approvals == dropped.approvals == ()
    both = pd.concat([kept.changes, dropped.changes]).sort_values(["call_id", "field"], ignore_index=True)
    pd.testing.assert_frame_equal(both, plan.changes.sort_values(["call_id", "field"], ignore_index=True))
    assert set(kept.changes["call_id"]) == set(chosen)
    assert len(kept) + len(dropped) == len(plan)
    for part in (kept, dropped):
        assert part.fingerprint() == part.plan_id
        assert len(part.left_out) + len(part.changes) == len(plan.left_out) + len(plan.changes)
        totals = part.ledger.groupby("field")[["n_calls", "before_s", "change_s", "after_s"]].sum()
        assert totals["n_calls"].eq(1000).all()
        assert totals.loc["duration_seconds", "before_s"] == plan.ledger["before_s"].sum()
        assert totals.loc["duration_seconds", "change_s"] == part.changes["delta_s"].sum()
        assert (
            totals.loc["duration_seconds", "after_s"]
            == totals.loc["duration_seconds", ["before_s", "change_s"]].sum()
        )


def test_keeping_in_steps_is_keeping_at_once(plan: Plan, ids: Ids) -> None:
    once, steps = plan.keep([ids(1), ids(3)]), plan.keep([ids(1), ids(2), ids(3)]).drop(ids(2))
    pd.testing.assert_frame_equal(once.changes, steps.changes)
    pd.testing.assert_frame_equal(once.ledger, steps.ledger)


def test_a_mask_marks_whole_calls(plan: Plan, ids: Ids) -> None:
    is_status = plan.changes["field"].eq("status")
    assert plan.keep(is_status).changes["call_id"].tolist() == [ids(2)] * 3
    assert plan.drop(is_status.to_numpy()).changes["call_id"].tolist() == [ids(1), ids(3), ids(4)]
    assert len(plan.keep(plan.calls["status"].eq("answered"))) == 1
    assert (
        plan.keep(plan.changes["delta_s"] > 0).changes["call_id"].tolist() == [ids(2)] * 3
    )  # a status has no seconds
    backwards = plan.changes.sort_index(ascending=False)
    assert plan.keep(backwards["field"].eq("status")).changes["call_id"].tolist() == [ids(2)] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        ["00000000-0000-4000-8000-000000000099"],
        [True],
        pd.Series([True, None] * 3, dtype="object"),
        7,
        None,
        pd.DataFrame(),
    ],
)
def test_what_names_no_call_is_an_error(plan: Plan, wrong: Any) -> None:
    with pytest.raises(InputError):
        plan.keep(wrong)


def test_an_unknown_id_is_named(plan: Plan) -> None:
    with pytest.raises(InputError, match="00000000-0000-4000-8000-000000000099"):
        plan.drop(["00000000-0000-4000-8000-000000000099"])


def test_a_revert_may_write_null_but_not_for_the_source() -> None:
    undo = Plan.from_changes(
        change_row(field="ended_at", before="2026-10-05T10:00:00Z", after=None),
        kind="revert", api_url=None, reverts_run_id="run-1",
    )  # fmt: skip
    assert next(undo.requests()).attributes == {"ended_at": None}
    assert undo.reverts_run_id == "run-1"
    with pytest.raises(PlanError, match="null"):
        Plan.from_changes(
            change_row(field="call_source", before="sip", after=None),
            kind="revert",
            api_url=None,
            reverts_run_id="run-1",
        )
    with pytest.raises(PlanError, match="null"):
        Plan.from_changes(change_row(after=None), kind="corrections", api_url=None)


def test_a_revert_leaves_out_what_may_not_be_written_again() -> None:
    rows = pd.concat([change_row(), change_row(field="duration_seconds", before="60", after="-5")])
    undo = Plan.from_changes(rows, kind="revert", api_url=None, reverts_run_id="run-1")
    assert undo.changes["field"].tolist() == ["status"]
    assert undo.left_out["field"].tolist() == ["duration_seconds"]
    assert "may be written" in undo.left_out["reason"].iloc[0]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"field": "started_at"}, "cannot be corrected"),
        ({"after": "busy"}, "changes nothing"),
        ({"after": " "}, "API form"),
        ({"call_id": "../calls"}, "path"),
        ({"call_id": None}, "no id"),
        ({"field": "duration_seconds", "before": "5", "after": "-1"}, "API form"),
        ({"field": "duration_seconds", "before": "5", "after": "2147483648"}, "API form"),
        ({"field": "ended_at", "before": None, "after": "2026-10-05"}, "API form"),
        ({"field": "ended_at", "before": None, "after": "2026-02-30T10:00:00Z"}, "API form"),
    ],
)
def test_a_change_that_could_never_be_sent_makes_no_plan(values: Any, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        Plan.from_changes(change_row(**values), kind="corrections", api_url=None)


def test_a_call_is_changed_once_per_field() -> None:
    twice = pd.concat([change_row(), change_row(after="failed")])
    with pytest.raises(PlanError, match="twice"):
        Plan.from_changes(twice, kind="corrections", api_url=None)


@pytest.mark.parametrize(
    "options", [{"kind": "other"}, {"kind": "revert"}, {"kind": "corrections", "reverts_run_id": "r"}]
)
def test_only_a_revert_names_a_run(options: Any) -> None:
    with pytest.raises(PlanError):
        Plan.from_changes(change_row(), api_url=None, **options)


def test_an_inconsistent_record_makes_no_plan(plan: Plan) -> None:
    calls = plan.calls.assign(ended_at=pd.Timestamp("2026-10-05T10:00:05Z"))
    with pytest.raises(PlanError, match="inconsistent"):
        Plan.from_changes(
            plan.keep(plan.changes["before"].eq("120")).changes,
            kind="reconciliation",
            api_url=None,
            calls=calls,
        )


def test_the_views_say_the_next_step_and_hide_nothing_behind_numbers(plan: Plan) -> None:
    assert repr(plan).endswith("not approved; next: plan.dry_run()>")
    assert "6 changes to 4 calls" in repr(plan)
    assert "approved by ana; next: apply_plan" in repr(plan.approve(by="ana"))
    page = plan._repr_html_()
    assert "+442079460123" not in page
    assert plan.summary()["net_s"] == 80


def test_what_is_no_rate_card_is_refused_rather_than_ignored(plan: Plan) -> None:
    with pytest.raises(InputError, match=r"RateCard\.from_csv"):
        plan.dry_run(rate_card="rates.csv")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rate"):
        plan.dry_run(rate="fast")


def test_a_plan_says_of_its_causes_what_it_said_when_it_was_made(make_rec: Make, tmp_path: Path) -> None:
    def by_hand(evidence: Any) -> Any:
        return [False] * len(evidence)

    with temporary_explanations():
        explanation(
            "ring-twice", fields="duration_seconds", claim="It rang twice.", phrase="count the ringing twice"
        )(by_hand)
        plan = build_plan(
            make_rec([{**RING, "wrong": {"duration_seconds": ("120", "110", "ring-twice")}}] * 2)
        )
    saved = Plan.load(plan.save(tmp_path / "plan.parquet"))
    for one in (plan, saved):
        assert "2 wrong durations count the ringing twice." in one.dry_run().verdict
    assert saved.phrases == {"ring-twice": ["counts the ringing twice", "count the ringing twice"]}
