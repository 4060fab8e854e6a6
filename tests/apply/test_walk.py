"""The whole walk over a real socket: apply, verify, revert, and what the log then says."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import InputError, PlanError
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import RUN_RECORDS, Outcome, load_run
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.verify import VERIFICATION, verify_run


def test_apply_verify_and_revert_restore_the_api_exactly(lab):
    before = lab.held()
    run = apply_plan(lab.plan(), lab.client, lab.audit, rate=lab.fast, progress=False)
    assert run.records["outcome"].tolist() == ["applied"] * 12
    assert lab.seconds() == [60] * 12
    proof = verify_run(run, lab.client)
    assert proof.ok
    assert proof.frame["observed"].tolist() == ["60"] * 12
    undo = revert_run(run).approve(by="ben")
    back = apply_plan(undo, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert back.records["outcome"].tolist() == ["applied"] * 12
    pd.testing.assert_frame_equal(lab.held(), before)
    assert AuditLog(lab.audit).verify(head=run.head).ok


def test_applying_again_sends_nothing_and_continues_the_same_run(lab):
    plan = lab.plan()
    first = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    n_requests = len(lab.sandbox.requests)
    again = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert len(lab.sandbox.requests) == n_requests
    assert (again.run_id, again.n_sessions) == (first.run_id, 2)
    assert again.records["outcome"].tolist() == ["applied"] * 12


def test_a_canary_sends_so_many_in_plan_order_and_the_rest_follows_in_the_same_run(lab):
    plan = lab.plan()
    canary = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, limit=5, progress=False)
    order = plan.changes["call_id"].tolist()
    assert {call_id for call_id, _ in lab.patches()} == set(order[:5])
    assert canary.records["outcome"].tolist() == ["applied"] * 5 + ["pending"] * 7
    assert (canary.ended, canary.stopped) == ("limit", None)
    rest = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert rest.run_id == canary.run_id
    assert rest.records["outcome"].tolist() == ["applied"] * 12
    assert len(lab.patches()) == 12


def test_every_patch_carries_all_fields_of_its_call(lab):
    run = apply_plan(lab.plan(2, call_source="carrier"), lab.client, lab.audit, rate=lab.fast, progress=False)
    assert run.count(Outcome.APPLIED) == 2
    bodies = [json.loads(request.body)["data"]["attributes"] for _, request in lab.patches()]
    assert bodies == [{"duration_seconds": 60, "call_source": "carrier"}] * 2


def test_the_run_comes_back_in_a_new_kernel_as_it_was(lab):
    run = apply_plan(lab.plan(), lab.client, lab.audit, rate=lab.fast, limit=5, progress=False)
    back = load_run(lab.audit)
    assert back.summary() == run.summary()
    pd.testing.assert_frame_equal(back.records, run.records)
    assert {name: str(dtype) for name, dtype in back.records.dtypes.items()} == RUN_RECORDS.dtypes


def test_an_unknown_run_and_an_empty_log_are_said_so(lab, tmp_path):
    run = apply_plan(lab.plan(1), lab.client, lab.audit, rate=lab.fast, progress=False)
    with pytest.raises(InputError, match=run.run_id):
        load_run(lab.audit, "nosuch")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no run"):
        load_run(tmp_path / "empty")


def test_intents_are_in_the_log_with_the_values_they_replace(lab):
    apply_plan(lab.plan(1), lab.client, lab.audit, rate=lab.fast, progress=False)
    records = pd.read_parquet(lab.audit)
    assert records["event"].tolist() == [
        "run-started",
        "approval",
        "intent",
        "attempt",
        "outcome",
        "run-ended",
    ]
    intent = records.loc[records["event"].eq("intent")].iloc[0]
    assert json.loads(intent["before"]) == {"duration_seconds": 30}
    assert json.loads(intent["after"]) == {"duration_seconds": 60}
    assert json.loads(intent["note"])["ended_at"] == "2026-10-01T08:01:00Z"
    assert records.loc[1, ["by", "note"]].tolist() == ["ana", "October"]


def test_no_phone_number_and_no_token_is_in_the_log(lab):
    run = apply_plan(lab.plan(), lab.client, lab.audit, rate=lab.fast, progress=False)
    text = AuditLog(lab.audit).records().to_csv()
    for told in (text, repr(run), run._repr_html_(), str(run.summary())):
        assert lab.sandbox.token not in told
        assert "44207946" not in told


def test_a_run_and_its_proof_are_written_as_one_html_file(lab, tmp_path):
    plan = lab.plan(3)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    page = run.to_html(tmp_path / "run.html").read_text(encoding="utf-8")
    assert run.head in page
    assert "Calls that were not corrected" in page
    assert all(lab.id_of(i) in page for i in range(3))
    proof = verify_run(run, lab.client).to_html(tmp_path / "proof.html").read_text(encoding="utf-8")
    assert "OK, 2 values sent to 2 calls, all of them hold, 1 call of the plan not corrected" in proof


def test_the_head_is_shown_wherever_a_run_is(lab):
    run = apply_plan(lab.plan(1), lab.client, lab.audit, rate=lab.fast, progress=False)
    assert run.head == AuditLog(lab.audit).head
    assert run.head in repr(run)
    assert run.head in run._repr_html_()


def test_a_reverted_plan_is_refused_in_that_log(lab):
    plan = lab.plan(2)
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    apply_plan(revert_run(run).approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False)
    n_patches = len(lab.patches())
    with pytest.raises(PlanError, match="was reverted in this log"):
        apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert len(lab.patches()) == n_patches


def test_a_revert_can_be_reverted(lab):
    run = apply_plan(lab.plan(2), lab.client, lab.audit, rate=lab.fast, progress=False)
    back = apply_plan(revert_run(run).approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False)
    again = apply_plan(
        revert_run(back).approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False
    )
    assert again.count(Outcome.APPLIED) == 2
    assert lab.seconds()[:2] == [60, 60]
    assert AuditLog(lab.audit).runs()["reverts_run_id"].tolist()[1:] == [run.run_id, back.run_id]


def test_a_revert_puts_null_back(lab):
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=None, ended_at=None)
    before = lab.held()
    plan = lab.plan(1, ended_at="2026-10-01T08:01:00Z")
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    undo = revert_run(run)
    assert undo.changes["after"].isna().all()
    apply_plan(undo.approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False)
    pd.testing.assert_frame_equal(lab.held(), before)


def test_what_changed_since_is_not_reverted(lab):
    run = apply_plan(lab.plan(3), lab.client, lab.audit, rate=lab.fast, progress=False)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    back = apply_plan(revert_run(run).approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False)
    assert back.records.set_index("call_id").loc[lab.id_of(1), "outcome"] == "drifted"
    assert lab.seconds()[:3] == [30, 45, 30]


def test_verification_names_what_no_longer_holds(lab):
    run = apply_plan(lab.plan(3), lab.client, lab.audit, rate=lab.fast, progress=False)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    proof = verify_run(run, lab.client)
    assert not proof.ok
    row = proof.frame.loc[proof.frame["verdict"].ne("holds")].iloc[0]
    assert row[["call_id", "expected", "observed", "verdict"]].tolist() == [
        lab.id_of(1),
        "60",
        "45",
        "differs",
    ]
    assert proof.summary()["n_differs"] == 1
    assert "NOT OK" in repr(proof)
    assert lab.id_of(1) in proof._repr_html_()


def test_a_run_that_sent_nothing_verifies_and_reverts_to_nothing(lab):
    for i in range(2):
        lab.sandbox.change_call(lab.id_of(i), duration_seconds=30)
    plan = lab.plan(2)
    for i in range(2):
        lab.sandbox.change_call(lab.id_of(i), duration_seconds=60)
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert run.records["outcome"].tolist() == ["already", "already"]
    assert lab.patches() == []
    proof = verify_run(run, lab.client)
    assert proof.ok
    assert {name: str(dtype) for name, dtype in proof.frame.dtypes.items()} == VERIFICATION.dtypes
    assert len(revert_run(run)) == 0


def test_a_plan_without_changes_is_a_run_without_calls(lab):
    plan = lab.plan(1).drop([lab.id_of(0)]).approve(by="ana")
    lab.sandbox.clear_requests()
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    assert lab.sandbox.requests == []
    assert {name: str(dtype) for name, dtype in run.records.dtypes.items()} == RUN_RECORDS.dtypes
    assert (len(run.records), run.ended, load_run(lab.audit).run_id) == (0, "complete", run.run_id)


def test_progress_counts_to_the_calls_of_the_plan(lab):
    seen = []
    apply_plan(
        lab.plan(),
        lab.client,
        lab.audit,
        rate=lab.fast,
        progress=lambda done, total, label: seen.append((done, total, label)),
    )
    assert seen[0] == (0, 12, "applying")
    assert seen[-1] == (12, 12, "applying")
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)


def test_a_call_whose_id_was_spelled_in_upper_case_is_found_and_proved(lab):
    calls = lab.client.get_calls([lab.id_of(0)]).assign(id="ABCDEF00-0000-4000-8000-00000000000A")
    real = calls.assign(id="abcdef00-0000-4000-8000-00000000000a", api_url=lab.sandbox.url)
    with Sandbox(real) as sandbox, Client(sandbox.url, token=sandbox.token) as client:
        wanted = pd.DataFrame({"call_id": calls["id"], "duration_seconds": [60]})
        plan = plan_corrections(calls.assign(api_url=sandbox.url), wanted, reason="ticket 4711")
        run = apply_plan(plan.approve(by="ana"), client, lab.audit, rate=lab.fast, progress=False)
        assert run.records["outcome"].tolist() == ["applied"]
        assert sandbox.calls["duration_seconds"].tolist() == [60]
        assert verify_run(run, client).ok
