"""Calls that no longer hold what was reviewed are left alone, and it is said why."""

from __future__ import annotations

import json

import httpx
import pytest

from sippet_reconcile.errors import PlanDriftError
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Sandbox, Switches


def row_of(run, call_id):
    return run.records.set_index("call_id").loc[call_id]


def test_a_call_that_somebody_changed_is_skipped(lab):
    plan = lab.plan(3)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied", "drifted", "applied"]
    assert lab.seconds()[:3] == [60, 45, 60]
    row = row_of(run, lab.id_of(1))
    assert row["error_detail"] == "duration_seconds is 45, planned from 30"
    assert json.loads(row["observed"])["duration_seconds"] == 45


def test_a_call_whose_start_moved_is_skipped(lab):
    plan = lab.plan(2)
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T07:00:00Z")
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["drifted", "applied"]
    assert "started_at" in row_of(run, lab.id_of(0))["error_detail"]


def test_a_call_that_would_become_inconsistent_is_skipped(lab):
    plan = lab.plan(2)
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:00:40Z")
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["drifted", "applied"]
    assert row_of(run, lab.id_of(0))["error_code"] == "whole-record"
    assert lab.seconds()[0] == 30


def test_a_drifted_call_is_sent_once_it_is_as_planned_again(lab):
    plan = lab.plan(2)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    lab.apply(plan)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=30)
    assert lab.outcomes(lab.apply(plan)) == ["applied", "applied"]


def test_raising_on_drift_sends_nothing_of_its_chunk_and_shows_the_drift(lab):
    plan = lab.plan(3)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    with pytest.raises(PlanDriftError) as caught:
        lab.apply(plan, on_drift="raise")
    row = caught.value.drift.iloc[0]
    assert row.tolist() == [lab.id_of(1), "duration_seconds", "30", "60", "45"]
    assert lab.patches() == []
    run = load_run(lab.audit)
    assert lab.outcomes(run) == ["pending", "drifted", "pending"]
    assert run.ended == "drift"
    assert lab.outcomes(lab.apply(plan)) == ["applied", "drifted", "applied"]


def test_a_field_that_changes_under_the_patch_makes_it_altered(lab):
    def meddle(_number, _request):
        lab.sandbox.change_call(lab.id_of(0), status="busy", to_number="+442079460999")

    plan = lab.plan(1)
    lab.tap.on_patch = meddle
    run = lab.apply(plan)
    row = row_of(run, lab.id_of(0))
    assert row["outcome"] == "altered"
    assert "status was not sent and changed from completed to busy" in row["error_detail"]
    assert "to_number was not sent and changed" in row["error_detail"]
    assert "0999" not in row["error_detail"]


def test_a_sent_value_that_reads_differently_is_altered_stays_so_and_can_be_undone(lab):
    """Another hand writes between our PATCH and its answer: played by answering another value."""

    def answer_otherwise(request):
        response = lab.tap.inner.handle_request(request)
        body = json.loads(response.read())
        if request.method == "PATCH":
            lab.sandbox.change_call(lab.id_of(0), duration_seconds=55)
            body["data"]["attributes"]["duration_seconds"] = 55
        response.close()
        headers = [
            (n, v) for n, v in response.headers.items() if n not in {"content-length", "content-encoding"}
        ]
        return httpx.Response(response.status_code, headers=headers, content=json.dumps(body).encode())

    plan = lab.plan(1)
    lab.tap.handle_request = answer_otherwise
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["altered"]
    again = lab.apply(plan)
    assert lab.outcomes(again) == ["altered"]
    assert len(lab.patches()) == 1
    undo = revert_run(again)
    assert undo.changes[["before", "after"]].to_numpy().tolist() == [["55", "30"]]
    del lab.tap.handle_request
    assert lab.outcomes(lab.apply(undo.approve(by="ben"))) == ["applied"]
    assert lab.seconds()[0] == 30


@pytest.mark.parametrize(("decimals", "outcome"), [(0, "applied"), (6, "drifted")])
def test_a_fraction_that_went_is_drift_only_on_a_server_that_keeps_fractions(lab, decimals, outcome):
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T08:00:00.400000Z")
    plan = lab.plan(1)
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T08:00:00Z")
    port = int(lab.sandbox.url.rpartition(":")[2])
    lab.sandbox.stop()
    lab.tap.close()
    switches = Switches(time_precision=decimals)
    with Sandbox(lab.sandbox.calls, port=port, token=lab.sandbox.token, switches=switches) as sandbox:
        assert lab.outcomes(lab.apply(plan)) == [outcome]
        assert len(sandbox.requests) == (2 if outcome == "applied" else 1)
