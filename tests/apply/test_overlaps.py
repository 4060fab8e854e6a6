"""Plans that meet on the same calls, in other logs, on other APIs: each is refused or settled as promised."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import InputError, PlanError, PlanNotApprovedError
from sippet_reconcile.plan import Plan
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.verify import verify_run


def undo(run):
    return revert_run(run).approve(by="ben")


def send(plan, client, log, **options):
    return apply_plan(plan, client, log, rate="400/s", progress=False, **options)


def changed_by(records, run):
    """Return the calls that a run's own PATCHes changed, by the log."""
    mine = records.loc[records["run_id"].eq(run.run_id) & records["outcome"].eq("applied")]
    return set(mine["call_id"])


# Plans on the same calls


def test_a_plan_made_ahead_of_another_on_the_same_calls_finds_them_drifted(lab):
    first, second = lab.plan(4, seconds=60), lab.plan(4, seconds=45)
    lab.apply(first)
    n_patches = len(lab.patches())
    run = lab.apply(second)
    assert lab.outcomes(run) == ["drifted"] * 4
    assert len(lab.patches()) == n_patches
    assert lab.seconds()[:4] == [60] * 4


def test_a_plan_made_ahead_that_wants_the_same_finds_it_done_and_undoes_none_of_it(lab):
    first = lab.plan(3)
    second = lab.plan(3)
    assert first.plan_id != second.plan_id
    lab.apply(first)
    run = lab.apply(second)
    assert lab.outcomes(run) == ["already"] * 3
    assert len(revert_run(run)) == 0
    assert lab.seconds()[:3] == [60] * 3


def test_a_plan_made_after_another_is_sent_and_each_is_undone_from_the_last_to_the_first(lab):
    start = lab.held()
    first = lab.apply(lab.plan(3, seconds=60))
    second = lab.apply(lab.plan(3, seconds=45))
    assert lab.outcomes(second) == ["applied"] * 3
    # The first one can not be undone underneath the second: that would write over it.
    assert lab.outcomes(lab.apply(undo(first))) == ["drifted"] * 3
    assert lab.seconds()[:3] == [45] * 3
    assert lab.outcomes(lab.apply(undo(second))) == ["applied"] * 3
    assert lab.seconds()[:3] == [60] * 3
    assert lab.outcomes(lab.apply(undo(first))) == ["applied"] * 3
    pd.testing.assert_frame_equal(lab.held(), start)


def test_an_undoing_that_drifted_goes_on_once_what_lay_on_top_is_undone(lab):
    start = lab.held()
    first = lab.apply(lab.plan(2, seconds=60))
    second = lab.apply(lab.plan(2, seconds=45))
    early = undo(first)
    waiting = lab.apply(early)
    assert lab.outcomes(waiting) == ["drifted"] * 2
    lab.apply(undo(second))
    done = lab.apply(early)
    assert (done.run_id, lab.outcomes(done)) == (waiting.run_id, ["applied"] * 2)
    pd.testing.assert_frame_equal(lab.held(), start)


def test_a_plan_that_writes_what_another_replaced_is_no_undoing_of_it(lab):
    """60 and back to 30 by a plan of its own: undoing the first then has nothing to send."""
    first = lab.apply(lab.plan(2, seconds=60))
    lab.apply(lab.plan(2, seconds=30))
    n_patches = len(lab.patches())
    assert lab.outcomes(lab.apply(undo(first))) == ["already"] * 2
    assert len(lab.patches()) == n_patches


@pytest.mark.parametrize("turns", [[("a", 2), ("b", 3), ("a", 1)], [("b", 5), ("a", 5), ("b", 5)]])
def test_two_plans_in_turns_share_the_calls_between_them(lab, turns):
    """Whichever comes first has the call; the other one leaves it alone, and both are undone to the start."""
    start = lab.held()
    plans = {"a": lab.plan(12, seconds=60), "b": lab.plan(12, seconds=45)}
    runs = {}
    for name, limit in [*turns, ("a", 12), ("b", 12)]:
        runs[name] = lab.apply(plans[name], limit=limit)
    records = AuditLog(lab.audit).records()
    wrote = {name: changed_by(records, run) for name, run in runs.items()}
    assert not wrote["a"] & wrote["b"]
    held = lab.sandbox.calls.set_index("id")["duration_seconds"]
    for name, seconds in (("a", 60), ("b", 45)):
        assert set(held.index[held.eq(seconds)]) == wrote[name]
        outcome = runs[name].records.set_index("call_id")["outcome"]
        assert set(outcome.index[outcome.eq("drifted")]) == set(held.index) - wrote[name]
    for run in runs.values():
        lab.apply(undo(run))
    pd.testing.assert_frame_equal(lab.held(), start)


# Logs


def test_one_plan_in_two_logs_is_done_once_and_undone_from_the_one_that_did_it(lab, tmp_path):
    start = lab.held()
    plan = lab.plan(3)
    first = send(plan, lab.client, tmp_path / "one")
    second = send(plan, lab.client, tmp_path / "two")
    assert lab.outcomes(second) == ["already"] * 3
    assert first.run_id != second.run_id
    assert len(lab.patches()) == 3
    nothing = undo(second)
    assert len(nothing) == 0
    send(nothing, lab.client, tmp_path / "two")
    assert lab.seconds()[:3] == [60] * 3
    send(undo(first), lab.client, tmp_path / "one")
    pd.testing.assert_frame_equal(lab.held(), start)


def test_an_undoing_without_changes_closes_no_plan(lab, tmp_path):
    plan = lab.plan(2)
    send(plan, lab.client, tmp_path / "one", limit=1)
    second = send(plan, lab.client, tmp_path / "two", limit=1)
    assert lab.outcomes(second) == ["already", "applied"]
    third = send(plan, lab.client, tmp_path / "three")
    send(undo(third), lab.client, tmp_path / "three")
    assert lab.outcomes(send(plan, lab.client, tmp_path / "three")) == ["already"] * 2


def test_a_reverted_plan_is_refused_in_its_log_and_begins_anew_in_a_fresh_one(lab, tmp_path):
    plan = lab.plan(2)
    back = lab.apply(undo(lab.apply(plan)))
    n_requests = len(lab.sandbox.requests)
    with pytest.raises(PlanError, match=f"was reverted in this log by run {back.run_id}"):
        lab.apply(plan)
    assert len(lab.sandbox.requests) == n_requests
    # Another log knows nothing of it, and the calls are as the plan was reviewed against.
    assert lab.outcomes(send(plan, lab.client, tmp_path / "fresh")) == ["applied"] * 2


def test_a_reverted_plan_stays_refused_after_its_undoing_was_undone(lab):
    plan = lab.plan(2)
    back = lab.apply(undo(lab.apply(plan)))
    lab.apply(undo(back))
    with pytest.raises(PlanError, match="was reverted in this log"):
        lab.apply(plan)
    assert lab.seconds()[:2] == [60, 60]


def test_an_undone_undoing_is_refused_as_any_reverted_plan_is(lab):
    first = lab.apply(lab.plan(2))
    plan = undo(first)
    lab.apply(undo(lab.apply(plan)))
    with pytest.raises(PlanError, match="was reverted in this log"):
        lab.apply(plan)
    assert lab.seconds()[:2] == [60, 60]


# APIs


@pytest.fixture
def two(lab):
    """Two APIs that hold the same calls, and one client of each."""
    with Sandbox(lab.make_calls(3)) as other, Client(other.url, token=other.token) as client:
        yield lab, other, client


def test_one_log_holds_the_runs_of_two_apis_apart(two):
    lab, other, client = two
    here = send(lab.plan(3, seconds=60), lab.client, lab.audit)
    there = send(lab.plan_with(client, 3, seconds=45), client, lab.audit)
    assert AuditLog(lab.audit).runs()["api_url"].tolist() == [lab.sandbox.url, other.url]
    for run, mine, stranger in ((here, lab.client, client), (there, client, lab.client)):
        again = load_run(lab.audit, run.run_id)
        assert verify_run(again, mine, rate="400/s").ok
        with pytest.raises(InputError, match="client of the same API"):
            verify_run(again, stranger)
        with pytest.raises(PlanError, match="its own API only"):
            send(undo(again), stranger, lab.audit)
    send(undo(here), lab.client, lab.audit)
    assert lab.seconds()[:3] == [30] * 3
    assert other.calls["duration_seconds"].tolist() == [45] * 3
    send(undo(there), client, lab.audit)
    assert other.calls["duration_seconds"].tolist() == [30] * 3


def test_a_plan_for_another_url_is_refused_before_anything_is_asked_or_written(two):
    lab, other, client = two
    plan = lab.plan(2)
    with pytest.raises(PlanError, match="its own API only"):
        send(plan, client, lab.audit)
    assert other.requests == []
    assert not lab.audit.exists()


def test_the_same_url_spelled_otherwise_is_the_same_api(lab):
    plan = lab.plan(1)
    with Client(lab.sandbox.url.replace("http://", "HTTP://") + "/", token=lab.sandbox.token) as client:
        run = send(plan, client, lab.audit)
        assert lab.outcomes(run) == ["applied"]
        assert verify_run(run, lab.client).ok
    assert send(plan, lab.client, lab.audit).run_id == run.run_id


# Plans that changed after their approval


@pytest.mark.parametrize("change", ["keep", "drop", "edit"])
def test_a_plan_that_was_approved_and_then_changed_is_refused(lab, change):
    plan = lab.plan(3)
    lab.sandbox.clear_requests()
    if change == "edit":
        content = plan._content
        edited = replace(content, changes=content.changes.assign(after="61"))
        changed = Plan(plan.plan_id, plan.approvals, edited)
        with pytest.raises(PlanError, match="was changed after it was made"):
            lab.apply(changed)
    else:
        changed = getattr(plan, change)([lab.id_of(0)])
        assert changed.plan_id != plan.plan_id
        with pytest.raises(PlanNotApprovedError, match="not approved"):
            lab.apply(changed)
        with pytest.raises(PlanNotApprovedError):
            lab.apply(replace(changed, approvals=plan.approvals))
    assert lab.sandbox.requests == []


def test_a_smaller_plan_is_a_run_of_its_own_beside_the_whole_one(lab):
    plan = lab.plan(3)
    small = lab.apply(plan.keep([lab.id_of(1)]).approve(by="ana"))
    whole = lab.apply(plan)
    assert small.run_id != whole.run_id
    assert lab.outcomes(whole) == ["applied", "already", "applied"]
    assert len(lab.patches()) == 3
    lab.apply(undo(whole))
    assert lab.seconds()[:3] == [30, 60, 30]
    lab.apply(undo(small))
    assert lab.seconds()[:3] == [30, 30, 30]
