"""A run is proved from its log alone, and nothing hidden passes for gone."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.errors import ApiError, InputError, UnexpectedResponseError
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Fault, Faults, Sandbox, Switches
from sippet_reconcile.verify import verify_run

NEW_KERNEL = """
import json, sys
import sippet_reconcile as sr
audit, url, token = sys.argv[1:]
with sr.Client(url, token=token) as client:
    proof = sr.verify_run(sr.load_run(audit), client, rate="50/s")
print(json.dumps({**proof.summary(), "observed": proof.frame["observed"].tolist()}))
"""


def verdicts(proof):
    return proof.frame.set_index("call_id")["verdict"].sort_index().tolist()


def test_a_run_is_proved_in_a_new_process_from_its_log_with_another_token_and_rate(lab):
    run = lab.apply(lab.plan(3))
    lab.sandbox.token = "another-token"  # noqa: S105 - of the sandbox
    words = [sys.executable, "-c", NEW_KERNEL, str(lab.audit), lab.sandbox.url, lab.sandbox.token]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["ok"], told["n_holds"], told["observed"]) == (True, 3, ["60"] * 3)
    assert (told["run_id"], told["plan_id"], told["head"]) == (run.run_id, run.plan_id, run.head)


def test_only_what_was_sent_is_asked_for(lab):
    plan = lab.plan(4)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    run = lab.apply(plan, limit=1)
    assert lab.outcomes(run) == ["already", "drifted", "applied", "pending"]
    lab.sandbox.clear_requests()
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert proof.frame["call_id"].tolist() == [lab.id_of(2)]
    assert len(lab.sandbox.requests) == 1
    assert proof.ok
    assert proof.summary()["n_unsettled"] == 2
    assert "2 calls of the plan not corrected" in repr(proof)


def test_an_empty_run_is_proved_without_a_request(lab):
    plan = lab.plan(1).drop([lab.id_of(0)]).approve(by="ana")
    run = lab.apply(plan)
    lab.sandbox.clear_requests()
    assert verify_run(run, lab.client, rate=lab.fast).ok
    assert lab.sandbox.requests == []


def test_a_call_that_is_gone_is_missing_beside_one_that_is_not(lab):
    run = lab.apply(lab.plan(3))
    lab.sandbox.remove_call(lab.id_of(1))
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert verdicts(proof) == ["holds", "missing", "holds"]
    assert proof.frame["observed"].isna().tolist().count(True) == 1
    assert not proof.ok
    assert "another organisation" not in repr(proof)


def test_where_none_of_the_calls_is_shown_it_is_said_that_the_token_may_be_a_strangers(lab):
    run = lab.apply(lab.plan(2))
    for i in range(2):
        lab.sandbox.remove_call(lab.id_of(i))
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert verdicts(proof) == ["missing", "missing"]
    assert "may be one of another organisation" in repr(proof)


def test_a_dead_token_that_answers_an_empty_list_proves_nothing(lab):
    run = lab.apply(lab.plan(2))
    port = int(lab.sandbox.url.rpartition(":")[2])
    lab.sandbox.stop()
    lab.tap.close()
    with (
        Sandbox(lab.sandbox.calls, port=port, switches=Switches(auth_failure="200-empty")),
        pytest.raises(UnexpectedResponseError, match="proves nothing"),
    ):
        verify_run(run, lab.client, rate=lab.fast)


def test_a_token_that_dies_half_way_makes_no_call_missing(tmp_path, lab):
    """The first read is answered, the second finds a dead token, which shows an empty list."""
    calls = lab.make_calls(80)
    switches = Switches(auth_failure="200-empty")
    with (
        Sandbox(calls, switches=switches) as sandbox,
        Client(sandbox.url, token=sandbox.token, transport=lab.tap) as client,
    ):
        write_run(tmp_path / "log", sandbox.url, calls["id"], seconds=30)
        run = load_run(tmp_path / "log")
        good, reads = sandbox.token, []

        def die_and_come_back(_request):
            # Dead for the second read alone: whatever is asked to see that the token lives is answered.
            reads.append(1)
            sandbox.token = "renewed" if len(reads) == 2 else good

        lab.tap.on_read = die_and_come_back
        proof = verify_run(run, client, rate="400/s")
        assert proof.ok
        assert len(proof.frame) == 80

        def die(_request):
            reads.append(1)
            sandbox.token = good if len(reads) == 1 else "renewed"

        reads.clear()
        lab.tap.on_read = die
        with pytest.raises(UnexpectedResponseError):
            verify_run(run, client, rate="400/s")


def test_a_control_call_that_vanishes_leaves_nothing_to_be_said_of_the_others(lab):
    run = lab.apply(lab.plan(3))
    lab.sandbox.remove_call(lab.id_of(1))
    reads = []

    def take_away(_request):
        reads.append(1)
        if len(reads) == 2:
            lab.sandbox.remove_call(lab.id_of(0))
            lab.sandbox.remove_call(lab.id_of(2))

    lab.tap.on_read = take_away
    with pytest.raises(UnexpectedResponseError, match="no longer is"):
        verify_run(run, lab.client, rate=lab.fast)


def test_a_refused_token_is_an_error_and_no_verdict(lab):
    run = lab.apply(lab.plan(1))
    lab.sandbox.token = "renewed"  # noqa: S105 - of the sandbox
    with pytest.raises(ApiError):
        verify_run(run, lab.client, rate=lab.fast)


def test_a_change_since_and_a_change_back_are_told_as_they_stand(lab):
    run = lab.apply(lab.plan(2))
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=None)
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert verdicts(proof) == ["differs", "holds"]
    assert pd.isna(proof.frame["observed"].iloc[0])
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    assert verify_run(run, lab.client, rate=lab.fast).ok


def test_other_attributes_may_change_without_the_proof_failing(lab):
    run = lab.apply(lab.plan(2))
    lab.sandbox.change_call(lab.id_of(0), status="busy", to_number="+15550100")
    assert verify_run(run, lab.client, rate=lab.fast).ok


def test_a_run_that_was_undone_is_not_proved_and_it_is_said_which_run_did_it(lab):
    run = lab.apply(lab.plan(2))
    assert verify_run(run, lab.client, rate=lab.fast).reverted_by == ()
    back = lab.apply(revert_run(run).approve(by="ben"))
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert verdicts(proof) == ["differs", "differs"]
    assert proof.reverted_by == (back.run_id,)
    assert f"undone since by run {back.run_id}" in repr(proof)
    assert proof.summary()["reverted_by"] == back.run_id
    assert proof.frame["undone_by"].tolist() == [back.run_id] * 2
    assert not proof.ok
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
    later = verify_run(run, lab.client, rate=lab.fast)
    assert later.frame["undone_by"].fillna("somebody else").tolist() == [back.run_id, "somebody else"]
    lab.sandbox.change_call(lab.id_of(1), duration_seconds=int(proof.frame["observed"].iloc[1]))
    assert verify_run(back, lab.client).ok


def test_an_undoing_that_sent_nothing_is_not_blamed(lab):
    run = lab.apply(lab.plan(1))
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    lab.apply(revert_run(run).approve(by="ben"))
    assert verify_run(run, lab.client, rate=lab.fast).reverted_by == ()


def test_a_run_in_progress_is_said_to_be_one(lab):
    seen = []

    def look(number, _request):
        if number == 1:
            seen.append(load_run(lab.audit))

    lab.tap.on_patch = look
    lab.apply(lab.plan(2), concurrency=1)
    lab.tap.on_patch = lambda _number, _request: None
    (running,) = seen
    # The intents are durable, their outcomes are not: each may have been written.
    assert running.records["outcome"].tolist() == ["unknown", "unknown"]
    proof = verify_run(running, lab.client)
    assert proof.ended is None
    assert "the run is not over" in repr(proof)
    assert proof.ok


def test_the_log_may_have_moved_away_meanwhile(lab):
    run = lab.apply(lab.plan(2))
    lab.audit.rename(lab.audit.with_name("archive"))
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    proof = verify_run(run, lab.client, rate=lab.fast)
    assert (proof.ok, proof.reverted_by) == (False, ())


def test_a_client_of_another_api_and_an_unreadable_rate_are_refused_before_any_request(lab):
    run = lab.apply(lab.plan(1))
    lab.sandbox.clear_requests()
    with pytest.raises(InputError, match="client of the same API"):
        verify_run(run, Client("https://api.example.com"))
    with pytest.raises(InputError, match="is not one"):
        verify_run(run, lab.client, rate="fast")
    assert lab.sandbox.requests == []


def test_null_reads_alike_where_the_server_leaves_it_out(lab):
    lab.sandbox.change_call(lab.id_of(0), ended_at=None, duration_seconds=None)
    calls = lab.sandbox.calls
    with (
        Sandbox(calls, switches=Switches(omit_nil=True)) as sandbox,
        Client(sandbox.url, token=sandbox.token) as client,
    ):
        plan = lab.plan_with(client, 1, ended_at="2026-10-01T08:01:00Z")
        run = apply_plan(plan, client, lab.audit, rate=lab.fast, progress=False)
        undo = revert_run(run).approve(by="ben")
        back = apply_plan(undo, client, lab.audit, rate=lab.fast, progress=False)
        proof = verify_run(back, client)
        assert proof.ok
        assert proof.frame[["expected", "observed"]].isna().all(axis=None)


@pytest.mark.parametrize(("decimals", "verdict"), [(0, "holds"), (6, "differs")])
def test_an_end_is_proved_at_the_precision_that_the_server_answers(lab, decimals, verdict):
    """The end was sent with a fraction, and reads without it: kept whole by a server of whole seconds, else changed."""
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:01:00.500000Z")
    run = lab.apply(lab.plan(1, ended_at="2026-10-01T08:02:00.250000Z"))
    assert json.loads(run.records["after"].iloc[0])["ended_at"] == "2026-10-01T08:02:00.250000Z"
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:02:00Z")
    port = int(lab.sandbox.url.rpartition(":")[2])
    lab.sandbox.stop()
    lab.tap.close()
    switches = Switches(time_precision=decimals)
    with Sandbox(lab.sandbox.calls, port=port, token=lab.sandbox.token, switches=switches):
        frame = verify_run(run, lab.client, rate=lab.fast).frame.set_index("field")
    assert frame["verdict"].to_dict() == {"duration_seconds": "holds", "ended_at": verdict}


def write_run(folder, url, ids, *, seconds):
    """Write the log of a run that set these calls to so many seconds, as a session does."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    about = {"at": at, "run_id": "run-1", "plan_id": "p" * 64, "api_url": url}
    after = json.dumps({"duration_seconds": seconds})
    before = json.dumps({"duration_seconds": seconds + 1})
    start = {call_id: {"duration_seconds": seconds} for call_id in ids}
    was = {call_id: {"duration_seconds": seconds + 1} for call_id in ids}
    facts = json.dumps({"n_calls": len(ids), "kind": "corrections", "reverts_run_id": None})
    entries = [
        Entry(event=Event.RUN_STARTED, note=facts, before=json.dumps(was), after=json.dumps(start), **about)
    ]
    note = json.dumps({"started_at": "2026-10-01T08:00:00Z"})
    for call_id in ids:
        values = {"call_id": call_id, "before": before, "after": after}
        entries.append(Entry(event=Event.INTENT, note=note, **values, **about))
        entries.append(
            Entry(event=Event.OUTCOME, outcome=Outcome.APPLIED, confirmed_by="answer", **values, **about)
        )
    entries.append(Entry(event=Event.RUN_ENDED, reason="complete", note="all", **about))
    with AuditLog(folder).writing() as writer:
        writer.append(entries)


def test_reading_back_keeps_the_pace_and_asks_for_fifty_calls_at_a_time(lab, tmp_path):
    calls = lab.make_calls(220)
    with Sandbox(calls) as sandbox, Client(sandbox.url, token=sandbox.token) as client:
        write_run(tmp_path / "log", sandbox.url, calls["id"], seconds=30)
        seen = []
        verify_run(load_run(tmp_path / "log"), client, rate="10/s", progress=lambda *told: seen.append(told))
        at = [request.at for request in sandbox.requests]
        assert len(at) == 5
        # As sent they are 100 ms apart; on arrival the first may have been held up by its connection.
        assert at[-1] - at[0] > 0.3
        assert seen[0] == (0, 220, "verifying")
        assert seen[-1] == (220, 220, "verifying")


def test_a_throttled_proof_waits_and_is_whole(lab):
    run = lab.apply(lab.plan(3))
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=0), 503])
    proof = verify_run(run, lab.client, rate="400/s")
    assert proof.ok
    assert [request.status for request in lab.sandbox.requests] == [429, 503, 200]


@pytest.mark.slow
def test_ten_thousand_calls_are_proved_with_two_hundred_requests(lab, tmp_path):
    calls = lab.make_calls(10_000)
    with Sandbox(calls) as sandbox, Client(sandbox.url, token=sandbox.token) as client:
        write_run(tmp_path / "log", sandbox.url, calls["id"], seconds=30)
        sandbox.change_call(lab.id_of(9_876), duration_seconds=29)
        proof = verify_run(load_run(tmp_path / "log"), client, rate="1000/s", progress=False)
        assert len(sandbox.requests) == 200
        assert proof.summary()["n_holds"] == 9_999
        wrong = proof.frame.loc[proof.frame["verdict"].eq("differs")]
        assert wrong[["call_id", "expected", "observed"]].to_numpy().tolist() == [
            [lab.id_of(9_876), "30", "29"]
        ]
