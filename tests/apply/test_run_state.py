"""What a log with crashes and clean stops in it says about each call."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome
from sippet_reconcile.audit.parts import write_part
from sippet_reconcile.audit.records import GENESIS, chain, record_hash, table_of_records
from sippet_reconcile.errors import AuditError
from sippet_reconcile.run import load_run, replay

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
VALUES = {"before": '{"duration_seconds":30}', "after": '{"duration_seconds":60}'}


def entry(event, call_id=None, **columns):
    return Entry(
        event=event, at=NOON, run_id="run-1", plan_id="plan-1", api_url="https://api.example", call_id=call_id, **columns
    )  # fmt: skip


def start(*call_ids):
    meant = {call_id: {"duration_seconds": 60} for call_id in call_ids}
    facts = {"n_calls": len(call_ids), "kind": "corrections", "reverts_run_id": None}
    before = {call_id: {"duration_seconds": 30} for call_id in call_ids}
    return entry(
        Event.RUN_STARTED, note=json.dumps(facts), before=json.dumps(before), after=json.dumps(meant)
    )


def intent(call_id):
    return entry(Event.INTENT, call_id, note='{"status":"completed"}', **VALUES)


def outcome(call_id, word):
    return entry(Event.OUTCOME, call_id, outcome=word, confirmed_by="answer", **VALUES)


END = entry(Event.RUN_ENDED, reason="interrupted", note="by hand")


@pytest.fixture
def told(tmp_path):
    log = AuditLog(tmp_path / "audit")

    def tell(*entries):
        with log.writing() as writer:
            writer.append(list(entries))
        return load_run(log), replay(log.records())

    tell.log = log
    return tell


def test_a_call_never_attempted_is_pending_with_its_planned_values(told):
    run, _ = told(start("a"), END)
    row = run.records.iloc[0]
    assert row["outcome"] == "pending"
    assert json.loads(row["before"]) == {"duration_seconds": 30}
    assert json.loads(row["after"]) == {"duration_seconds": 60}


def test_an_intent_that_a_dead_session_left_open_is_unknown(told):
    run, state = told(start("a"), intent("a"))
    assert run.records["outcome"].tolist() == ["unknown"]
    assert "read first" in run.records["error_detail"].iloc[0]
    assert state.calls["a"].may_be_ours
    assert run.ended is None


def test_an_intent_that_a_clean_stop_left_open_was_never_sent(told):
    run, state = told(start("a"), intent("a"), END)
    assert run.records["outcome"].tolist() == ["pending"]
    assert not state.calls["a"].may_be_ours
    assert (run.ended, run.stopped) == ("interrupted", "by hand")


def test_what_a_dead_session_left_open_stays_so_through_a_later_clean_one(told):
    run, _ = told(start("a", "b"), intent("a"), start(), intent("b"), outcome("b", Outcome.APPLIED), END)
    assert run.records["outcome"].tolist() == ["unknown", "applied"]


def test_what_may_be_ours_is_remembered_beyond_a_drift(told):
    run, state = told(start("a"), intent("a"), start(), outcome("a", Outcome.DRIFTED), END)
    assert run.records["outcome"].tolist() == ["drifted"]
    assert state.calls["a"].may_be_ours


def test_the_last_outcome_over_all_sessions_counts(told):
    run, _ = told(
        start("a"), intent("a"), outcome("a", Outcome.FAILED), END,
        start(), intent("a"), outcome("a", Outcome.APPLIED), entry(Event.RUN_ENDED, reason="complete", note="all"),
    )  # fmt: skip
    assert run.records["outcome"].tolist() == ["applied"]
    assert (run.n_sessions, run.ended, run.stopped) == (2, "complete", None)


def test_only_a_refusal_makes_it_certain_that_a_value_is_not_ours(told):
    _, state = told(
        start("a", "b", "c"),
        *(intent(c) for c in "abc"),
        outcome("a", Outcome.REJECTED),
        outcome("b", Outcome.FAILED),
        outcome("c", Outcome.UNKNOWN),
        END,
    )
    assert [state.calls[c].may_be_ours for c in "abc"] == [False, True, True]


def test_a_session_that_dies_before_it_read_anything_settles_nothing(told):
    run, state = told(start("a"), intent("a"), start(), start())
    assert (run.n_sessions, run.ended, run.records["outcome"].tolist()) == (3, None, ["unknown"])
    assert state.calls["a"].may_be_ours


def test_a_call_read_again_after_a_death_and_not_sent_again_is_pending_and_may_still_be_ours(told):
    run, state = told(start("a"), intent("a"), start(), intent("a"), END)
    assert run.records["outcome"].tolist() == ["pending"]
    assert state.calls["a"].may_be_ours


def test_runs_that_touch_the_same_call_know_nothing_of_each_other(told):
    other = {"run_id": "run-2", "plan_id": "plan-2"}
    run, _ = told(
        start("a"),
        replace(start("a"), **other),
        intent("a"),
        replace(intent("a"), **other),
        replace(outcome("a", Outcome.DRIFTED), **other),
        replace(END, **other),
    )
    assert (run.run_id, run.records["outcome"].tolist(), run.ended) == ("run-2", ["drifted"], "interrupted")
    first = load_run(told.log, "run-1")
    assert (first.records["outcome"].tolist(), first.ended) == (["unknown"], None)
    assert told.log.runs().set_index("run_id")[["unknown", "drifted"]].to_numpy().tolist() == [[1, 0], [0, 1]]


def test_an_approval_that_was_repeated_counts_once(told):
    approval = entry(Event.APPROVAL, by="ana", note="October")
    _, state = told(start("a"), approval, approval, END, start(), approval)
    assert [(by, note) for by, _, note in state.approvals] == [("ana", "October")]
    assert told.log.runs()["approved_by"].tolist() == ["ana"]


def test_a_call_found_open_is_unknown_in_the_list_of_runs_as_in_the_run(told):
    run, _ = told(start("a"), intent("a"), outcome("a", Outcome.FAILED), END, start(), intent("a"))
    listed = told.log.runs().iloc[0]
    assert run.records["outcome"].tolist() == ["unknown"]
    assert (listed["unknown"], listed["failed"], listed["without_outcome"]) == (1, 0, 0)


@pytest.mark.parametrize("lost", [0, 1], ids=["first", "middle"])
def test_a_run_is_not_told_from_a_log_that_lacks_a_part(told, lost):
    for entries in ([start("a")], [intent("a"), outcome("a", Outcome.APPLIED)], [END]):
        told(*entries)
    told.log.parts()[lost].path.unlink()
    with pytest.raises(AuditError, match=r"not whole: part-0+\d-0+\d.parquet should begin with record"):
        load_run(told.log)


def test_a_run_is_not_told_from_a_part_that_lost_records(told):
    told(start("a"), intent("a"), outcome("a", Outcome.APPLIED))
    part = told.log.parts()[0]
    part.path.rename(part.path.with_name("part-000000000001-000000000004.parquet"))
    with pytest.raises(AuditError, match="holds 3 records"):
        load_run(told.log)


def test_a_run_goes_on_under_another_version_of_the_program(told):
    head = GENESIS
    records = chain([start("a", "b"), intent("a"), outcome("a", Outcome.APPLIED), END], seq=0, head=GENESIS)
    for record in records:
        record |= {"tool_version": "0.0.1", "prev_hash": head}
        head = record_hash(head, record)
        record["hash"] = head
    told.log.path.mkdir()
    write_part(told.log.path, table_of_records(records), 1)
    run, _ = told(start(), intent("b"), outcome("b", Outcome.APPLIED), END)
    assert told.log.verify().ok
    assert told.log.records()["tool_version"].nunique() == 2
    assert (run.records["outcome"].tolist(), run.n_sessions) == (["applied", "applied"], 2)
