"""What a run wrote can be put back: that, all of that, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx
import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError, PlanError, PlanNotApprovedError
from sippet_reconcile.plan import Plan, plan_corrections
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Fault, Faults, Sandbox, Switches

WHAT = ["call_id", "field", "before", "after"]
APPLY_SAVED = """
import json, sys
import sippet_reconcile as sr
path, audit, url, token = sys.argv[1:]
plan = sr.Plan.load(path).approve(by="ben", note="undo")
with sr.Client(url, token=token) as client:
    run = sr.apply_plan(plan, client, audit, rate="400/s", progress=False)
print(json.dumps(run.summary()))
"""


def what(plan):
    """Return what a plan changes, in an order that can be compared."""
    return plan.changes[WHAT].sort_values(["call_id", "field"]).reset_index(drop=True)


def undo(run):
    return revert_run(run).approve(by="ben")


def row_of(run, call_id):
    return run.records.set_index("call_id").loc[call_id]


@pytest.fixture
def mixed(lab):
    """A plan of several fields, kinds and nulls, so that orders and types are put to the test."""
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=None, ended_at=None)
    lab.sandbox.change_call(lab.id_of(2), status="busy", ended_at="2026-10-01T08:03:30.250000Z")
    lab.sandbox.change_call(
        lab.id_of(3), started_at=None, ended_at=None, duration_seconds=None, status="initiated"
    )
    fixes = pd.DataFrame(
        {
            "call_id": [lab.id_of(i) for i in range(5)],
            "status": [None, None, "completed", "busy", None],
            "duration_seconds": ["60", "60", None, None, None],
            "ended_at": [None, "2026-10-01T08:02:00Z", "2026-10-01T08:03:00.500000Z", None, None],
            "call_source": [None, None, None, None, "carrier"],
        },
        dtype="str",
    )
    plan = plan_corrections(lab.client.get_calls(fixes["call_id"]), fixes, reason="ticket 4711")
    return plan.approve(by="ana")


def test_each_revert_of_a_revert_gives_the_first_plans_changes_or_their_mirror(lab, mixed):
    assert (len(mixed), len(mixed.changes)) == (5, 7)
    start = lab.held()
    runs = [lab.apply(mixed)]
    assert set(runs[0].records["outcome"]) == {"applied"}
    then = lab.held()
    first = what(mixed)
    mirror = first.rename(columns={"before": "after", "after": "before"})[WHAT]
    for turn in range(1, 5):
        plan = undo(runs[-1])
        pd.testing.assert_frame_equal(what(plan), first if turn % 2 == 0 else mirror)
        runs.append(lab.apply(plan))
        assert set(runs[-1].records["outcome"]) == {"applied"}
        pd.testing.assert_frame_equal(lab.held(), then if turn % 2 == 0 else start)
    assert AuditLog(lab.audit).verify().ok
    assert len({run.plan_id for run in runs}) == 5


def test_whoever_looks_at_the_undoing_sees_what_was_skipped_what_it_holds_and_what_we_wrote(lab, tmp_path):
    run = lab.apply(lab.plan(3))
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    back = lab.apply(undo(run))
    row = row_of(back, lab.id_of(1))
    assert row["outcome"] == "drifted"
    assert json.loads(row["before"]) == {"duration_seconds": 60}
    assert json.loads(row["after"]) == {"duration_seconds": 30}
    assert json.loads(row["observed"])["duration_seconds"] == 45
    assert row["error_detail"] == "duration_seconds is 45, planned from 60"
    assert row["reason"] == f"undoes run {run.run_id}"
    page = back.to_html(tmp_path / "back.html").read_text(encoding="utf-8")
    assert "Calls that were not corrected" in page
    assert row["error_detail"] in page
    assert page.index(lab.id_of(1)) < page.index(lab.id_of(0))
    assert lab.seconds()[:3] == [30, 45, 30]


def test_what_was_changed_and_put_back_again_since_is_undone(lab):
    run = lab.apply(lab.plan(1))
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    plan = undo(run)
    assert lab.outcomes(lab.apply(plan)) == ["drifted"]
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    assert lab.outcomes(lab.apply(plan)) == ["applied"]
    assert lab.seconds()[0] == 30


def test_a_start_that_moved_since_is_drift_of_the_undoing_too(lab):
    run = lab.apply(lab.plan(2))
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T07:59:00Z")
    back = lab.apply(undo(run))
    assert lab.outcomes(back) == ["drifted", "applied"]
    assert "started_at is 2026-10-01T07:59:00Z" in row_of(back, lab.id_of(0))["error_detail"]


def test_a_call_that_got_a_start_since_is_not_undone(lab):
    lab.sandbox.change_call(lab.id_of(0), started_at=None, ended_at=None, duration_seconds=None)
    lab.sandbox.change_call(lab.id_of(1), status="failed", duration_seconds=0)
    fix = pd.DataFrame({"call_id": [lab.id_of(0)], "status": ["failed"]}, dtype="str")
    calls = lab.client.get_calls([lab.id_of(0), lab.id_of(1)])
    run = lab.apply(plan_corrections(calls, fix, reason="ticket 4711").approve(by="ana"))
    assert lab.outcomes(run) == ["applied"]
    plan = undo(run)
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T08:00:00Z")
    back = lab.apply(plan)
    assert lab.outcomes(back) == ["drifted"]
    assert (
        "started_at is 2026-10-01T08:00:00Z, planned from null" in row_of(back, lab.id_of(0))["error_detail"]
    )


def test_only_what_was_or_may_have_been_written_is_undone(lab):
    plan = lab.plan(7)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    lab.sandbox.remove_call(lab.id_of(2))
    lab.sandbox.clear_requests()

    def answer(request):
        call_id = request.url.path.rsplit("/", 1)[-1]
        if request.method == "PATCH" and call_id == lab.id_of(3):
            return httpx.Response(400, json={"errors": [{"code": "invalid_attribute", "status": "400"}]})
        if request.method == "PATCH" and call_id == lab.id_of(4):
            return httpx.Response(503)
        return lab.tap.inner.handle_request(request)

    lab.tap.handle_request = answer
    run = lab.apply(plan, tools=lab.virtual_time(), limit=3, concurrency=1)
    assert lab.outcomes(run) == ["already", "drifted", "missing", "rejected", "failed", "applied", "pending"]
    assert revert_run(run).changes["call_id"].tolist() == [lab.id_of(5)]


def test_a_run_that_got_part_way_is_undone_as_far_as_it_got_and_then_refused(lab):
    start = lab.held()
    plan = lab.plan()
    run = lab.apply(plan, limit=5)
    back = lab.apply(undo(run))
    assert len(back.records) == 5
    pd.testing.assert_frame_equal(lab.held(), start)
    with pytest.raises(PlanError, match=f"reverted in this log by run {back.run_id}"):
        lab.apply(plan)
    # The undoing of the undoing is a way back; the first plan stays closed.
    lab.apply(undo(back))
    assert sorted(lab.seconds()) == [30] * 7 + [60] * 5
    with pytest.raises(PlanError, match="build a new plan"):
        lab.apply(plan)


def test_a_run_object_of_the_canary_undoes_all_that_later_sessions_sent(lab):
    start = lab.held()
    plan = lab.plan()
    canary = lab.apply(plan, limit=5)
    lab.apply(plan)
    lab.apply(undo(canary))
    pd.testing.assert_frame_equal(lab.held(), start)


def test_a_call_sent_again_after_its_answer_was_lost_goes_back_to_what_it_held_first(lab):
    """The first PATCH was lost and could not be read back; the second session sends once more."""
    plan = lab.plan(1)
    lab.tap.on_patch = lambda _number, _request: setattr(
        lab.sandbox, "faults", Faults(script=["reset", *[503] * 40])
    )
    first = lab.apply(plan, tools=lab.virtual_time(), limit=1)
    assert lab.outcomes(first) == ["unknown"]
    lab.tap.on_patch = lambda _number, _request: None
    lab.sandbox.faults = Faults()
    second = lab.apply(plan)
    assert second.n_sessions == 2
    assert lab.outcomes(second) == ["applied"]
    records = AuditLog(lab.audit).records()
    assert records["event"].eq("intent").sum() == 2
    assert revert_run(second).changes[["before", "after"]].to_numpy().tolist() == [["60", "30"]]
    lab.apply(undo(second))
    assert lab.seconds()[0] == 30


def test_a_lost_answer_to_a_patch_that_arrived_goes_back_to_what_it_held_first(lab):
    plan = lab.plan(1)
    lab.tap.on_patch = lambda _number, _request: setattr(
        lab.sandbox, "faults", Faults(script=["dropped_answer", *[503] * 40])
    )
    first = lab.apply(plan, tools=lab.virtual_time(), limit=1)
    assert lab.outcomes(first) == ["unknown"]
    assert lab.seconds()[0] == 60
    lab.tap.on_patch = lambda _number, _request: None
    lab.sandbox.faults = Faults()
    second = lab.apply(plan)
    assert (lab.outcomes(second), second.records["confirmed_by"].tolist()) == (["applied"], ["reread"])
    lab.apply(undo(second))
    assert lab.seconds()[0] == 30


@pytest.mark.parametrize(
    ("script", "is_written_late", "outcome"),
    [
        ([504, 422], True, "applied"),  # the gateway lost patience, and the server carries it out in the end
        (["reset", 500, 422], True, "applied"),
        ([504, 422], False, "applied"),
        ([429, 422], True, "already"),  # none of ours can come any more: somebody else corrected it
        ([422], True, "already"),
    ],
)
def test_a_patch_that_is_carried_out_after_another_was_refused_is_ours_and_can_be_undone(
    lab, script, is_written_late, outcome
):
    plan = lab.plan(1)
    faults = [Fault("throttle", retry_after_s=0) if fault == 429 else fault for fault in script]
    lab.sandbox.faults = Faults(script=faults, methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time())
    assert run.records[["outcome", "n_attempts"]].to_numpy().tolist() == [["rejected", len(script)]]
    assert run.records["observed"].isna().all()
    if is_written_late:
        lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    again = lab.apply(plan)
    assert lab.outcomes(again) == [outcome]
    assert undo(again).changes["after"].tolist() == (["30"] if outcome == "applied" else [])


def test_a_patch_that_is_carried_out_while_its_call_is_hidden_is_ours_and_can_be_undone(lab):
    """A replica does not show the call for a while: it counts as missing, and holds what we sent once it is back."""
    plan, send, hidden = lab.plan(2), lab.tap.handle_request, lab.id_of(0)

    def hide(request):
        response = send(request)
        if request.method == "GET" and lab.patches():
            response.read()
            shown = [call for call in response.json()["data"] if call["id"] != hidden]
            return httpx.Response(200, json={"data": shown})
        return response

    lab.tap.handle_request = hide
    lab.sandbox.faults = Faults(script=[Fault("error_after", status=504)], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["missing", "applied"]
    lab.tap.handle_request = send
    again = lab.apply(plan)
    assert lab.outcomes(again) == ["applied"] * 2
    assert sorted(undo(again).changes["call_id"]) == [lab.id_of(0), lab.id_of(1)]


def test_unknown_calls_that_were_never_written_are_found_as_they_were_and_nothing_is_sent(lab):
    start = lab.held()
    plan = lab.plan(1)
    lab.tap.on_patch = lambda _number, _request: setattr(
        lab.sandbox, "faults", Faults(script=["reset", *[503] * 40])
    )
    run = lab.apply(plan, tools=lab.virtual_time())
    lab.tap.on_patch = lambda _number, _request: None
    lab.sandbox.faults = Faults()
    assert lab.outcomes(run) == ["unknown"]
    n_patches = len(lab.patches())
    back = lab.apply(undo(run))
    assert lab.outcomes(back) == ["already"]
    assert len(lab.patches()) == n_patches
    pd.testing.assert_frame_equal(lab.held(), start)
    assert len(revert_run(back)) == 0
    # Undone is undone, although nothing had to be sent for it: the plan does not come back by being applied again.
    with pytest.raises(PlanError, match=f"was reverted in this log by run {back.run_id}"):
        lab.apply(plan)


def test_an_undoing_that_came_to_nothing_closes_no_plan(lab):
    plan = lab.plan(3)
    run = lab.apply(plan, limit=1)
    (sent, _), *_ = lab.patches()
    lab.sandbox.change_call(sent, duration_seconds=45)
    assert lab.outcomes(lab.apply(undo(run))) == ["drifted"]
    assert sorted(lab.outcomes(lab.apply(plan))) == ["applied"] * 3
    assert sorted(lab.seconds()[:3]) == [45, 60, 60]


def test_undoing_twice_does_nothing_the_second_time(lab):
    start = lab.held()
    run = lab.apply(lab.plan(3))
    first, second = undo(run), undo(run)
    back = lab.apply(first)
    n_patches = len(lab.patches())
    again = lab.apply(second)
    assert (back.run_id == again.run_id) is False
    assert lab.outcomes(again) == ["already"] * 3
    assert len(lab.patches()) == n_patches
    pd.testing.assert_frame_equal(lab.held(), start)
    # What the second one did not do, undoing it does not undo.
    assert len(revert_run(again)) == 0


def test_what_a_call_held_and_nobody_may_write_is_left_out_and_said_so(lab):
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=-5, ended_at="2026-10-01T08:00:50Z")
    plan = lab.plan(1, ended_at="2026-10-01T08:01:00Z")
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"]
    back = revert_run(run)
    assert back.changes["field"].tolist() == ["ended_at"]
    assert back.left_out[["call_id", "field"]].to_numpy().tolist() == [[lab.id_of(0), "duration_seconds"]]
    assert "not one that may be written" in back.left_out["reason"].iloc[0]
    assert back.dry_run().to_markdown().count("not one that may be written") >= 1


def test_calls_whose_ids_were_in_upper_case_are_undone(lab):
    calls = lab.client.get_calls([lab.id_of(0)]).assign(id="ABCDEF00-0000-4000-8000-00000000000A")
    real = calls.assign(id="abcdef00-0000-4000-8000-00000000000a")
    with Sandbox(real) as sandbox, Client(sandbox.url, token=sandbox.token) as client:
        wanted = pd.DataFrame({"call_id": calls["id"], "duration_seconds": [60]})
        plan = plan_corrections(calls.assign(api_url=sandbox.url), wanted, reason="ticket 4711")
        run = apply_plan(plan.approve(by="ana"), client, lab.audit, rate=lab.fast, progress=False)
        back = apply_plan(undo(run), client, lab.audit, rate=lab.fast, progress=False)
        assert back.records["outcome"].tolist() == ["applied"]
        assert sandbox.calls["duration_seconds"].tolist() == [30]


def test_what_else_changed_under_our_patch_does_not_keep_an_altered_call_from_being_undone(lab):
    """Somebody moves the start while our PATCH is under way: our value goes back, theirs stays."""
    plan = lab.plan(1)
    lab.tap.on_patch = lambda _number, _request: lab.sandbox.change_call(
        lab.id_of(0), started_at="2026-10-01T07:59:59Z", status="busy"
    )
    run = lab.apply(plan)
    lab.tap.on_patch = lambda _number, _request: None
    assert lab.outcomes(run) == ["altered"]
    assert lab.outcomes(lab.apply(undo(run))) == ["applied"]
    held = lab.held().iloc[0]
    assert (held["duration_seconds"], held["status"]) == (30, "busy")
    assert held["started_at"] == pd.Timestamp("2026-10-01T07:59:59Z")


def test_an_altered_call_that_changed_once_more_is_not_undone(lab):
    plan = lab.plan(1)
    lab.tap.on_patch = lambda _number, _request: lab.sandbox.change_call(
        lab.id_of(0), started_at="2026-10-01T07:59:59Z"
    )
    run = lab.apply(plan)
    lab.tap.on_patch = lambda _number, _request: None
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T07:59:58Z")
    assert lab.outcomes(lab.apply(undo(run))) == ["drifted"]
    assert lab.seconds()[0] == 60


@pytest.mark.slow
def test_an_undoing_is_saved_loaded_approved_and_applied_in_a_new_process(lab, tmp_path):
    start = lab.held()
    run = lab.apply(lab.plan(4))
    path = revert_run(load_run(lab.audit)).save(tmp_path / "undo.parquet")
    with pytest.raises(PlanNotApprovedError):
        lab.apply(Plan.load(path))
    words = [sys.executable, "-c", APPLY_SAVED, str(path), str(lab.audit), lab.sandbox.url, lab.sandbox.token]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["applied"] == 4
    assert load_run(lab.audit).reverts_run_id == run.run_id
    pd.testing.assert_frame_equal(lab.held(), start)


def test_a_run_may_be_undone_in_another_log_and_its_own_log_then_sends_nothing(lab, tmp_path):
    start = lab.held()
    plan = lab.plan(3)
    run = lab.apply(plan)
    apply_plan(undo(run), lab.client, tmp_path / "other", rate=lab.fast, progress=False)
    pd.testing.assert_frame_equal(lab.held(), start)
    n_patches = len(lab.patches())
    # This log does not know; what it knows is settled, so nothing is written over.
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 3
    assert len(lab.patches()) == n_patches
    assert len(lab.sandbox.calls.query("duration_seconds == 60")) == 0


def test_nothing_is_undone_from_a_log_that_was_edited(lab):
    run = lab.apply(lab.plan(1))
    part = sorted(lab.audit.glob("part-*.parquet"))[-1]
    frame = pd.read_parquet(part)
    frame.assign(note="edited").to_parquet(part)
    with pytest.raises(AuditError):
        revert_run(run)


@pytest.mark.parametrize("omit_nil", [False, True])
@pytest.mark.parametrize("decimals", [0, 6])
def test_a_server_of_either_precision_that_leaves_nulls_out_or_not_is_restored(lab, omit_nil, decimals):
    calls = lab.make_calls(3)
    calls.loc[0, ["ended_at", "duration_seconds"]] = [pd.NaT, pd.NA]
    calls.loc[1, "ended_at"] += pd.Timedelta(milliseconds=250)
    with (
        Sandbox(calls, switches=Switches(omit_nil=omit_nil, time_precision=decimals)) as sandbox,
        Client(sandbox.url, token=sandbox.token) as client,
    ):
        start = lab.by_id(sandbox.calls)
        plan = lab.plan_with(client, 3, ended_at="2026-10-01T08:05:00Z")
        run = apply_plan(plan, client, lab.audit, rate=lab.fast, progress=False)
        assert run.records["outcome"].tolist() == ["applied"] * 3
        back = apply_plan(undo(run), client, lab.audit, rate=lab.fast, progress=False)
        assert back.records["outcome"].tolist() == ["applied"] * 3
        pd.testing.assert_frame_equal(lab.by_id(sandbox.calls), start)
        pd.testing.assert_frame_equal(what(revert_run(back)), what(plan))
