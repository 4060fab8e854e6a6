"""Calls that no longer hold what was reviewed are left alone, and it is said why."""

from __future__ import annotations

import json

import httpx
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.errors import PlanDriftError, UnexpectedResponseError
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Faults, Sandbox, Switches
from sippet_reconcile.schema import CALL_ATTRIBUTES

OTHERS = {
    "call_uuid": "switch-renamed",
    "conversation_id": "00000000-0000-4000-8000-0000000000ff",
    "direction": "inbound",
    "from_number": "+15550100",
    "to_number": "+15550101",
    "sip_username": None,
    "status": "voicemail",
    "call_source": "carrier",
    "ended_at": "2026-10-01T08:02:00Z",
}
"""What somebody else may write to each attribute that a plan of durations does not send."""


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


def answering(lab, change):
    """Answer through the tap with the attributes of each call changed: a server that prints otherwise."""

    def answer(request):
        response = lab.tap.inner.handle_request(request)
        body = json.loads(response.read())
        response.close()
        rows = body["data"] if isinstance(body["data"], list) else [body["data"]]
        for row in rows:
            change(row["attributes"])
        headers = [
            (n, v) for n, v in response.headers.items() if n not in {"content-length", "content-encoding"}
        ]
        return httpx.Response(response.status_code, headers=headers, content=json.dumps(body).encode())

    return answer


def printed_with(**decimals):
    """Return what prints each instant with so many decimals, cutting what it cannot show."""

    def change(attributes):
        for name, kept in decimals.items():
            if attributes.get(name) is not None:
                whole, _, fraction = attributes[name].rstrip("Z").partition(".")
                shown = f".{fraction.ljust(6, '0')[:kept]}" if kept else ""
                attributes[name] = f"{whole}{shown}Z"

    return change


def test_every_other_attribute_is_told_by_what_may_change():
    assert set(OTHERS) | {"duration_seconds", "started_at"} == set(CALL_ATTRIBUTES)


@pytest.mark.parametrize("name", OTHERS)
def test_what_a_plan_does_not_send_may_change_without_being_drift(lab, name):
    plan = lab.plan(1)
    lab.sandbox.change_call(lab.id_of(0), **{name: OTHERS[name]})
    assert lab.outcomes(lab.apply(plan)) == ["applied"]
    held = lab.held().iloc[0]
    assert held["duration_seconds"] == 60
    assert (held.isna()[name]) if OTHERS[name] is None else str(held[name])[:10] == OTHERS[name][:10]


@pytest.mark.parametrize("name", [*OTHERS, "started_at"])
def test_what_is_not_sent_and_changes_under_the_patch_makes_it_altered(lab, name):
    plan = lab.plan(1)
    value = OTHERS.get(name, "2026-10-01T08:00:01Z")
    lab.tap.on_patch = lambda _number, _request: lab.sandbox.change_call(lab.id_of(0), **{name: value})
    run = lab.apply(plan)
    row = row_of(run, lab.id_of(0))
    assert row["outcome"] == "altered"
    assert f"{name} was not sent and changed" in row["error_detail"]
    # What is not ours to show is named only.
    assert "1555010" not in str(row["error_detail"])


def test_the_sent_field_itself_counts_as_drift_also_where_it_became_null(lab):
    plan = lab.plan(2)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=None)
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["drifted", "applied"]
    assert row_of(run, lab.id_of(0))["error_detail"] == "duration_seconds is null, planned from 30"


@pytest.mark.parametrize("omit_nil", [False, True])
def test_a_value_left_out_is_null_for_drift_and_for_what_must_not_change(lab, omit_nil):
    """One call has no duration and gets one, one had none and got one since, one has none besides what is sent."""
    calls = lab.make_calls(3)
    calls.loc[[0, 1], "duration_seconds"] = None
    calls.loc[2, "sip_username"] = None
    with (
        Sandbox(calls, switches=Switches(omit_nil=omit_nil)) as sandbox,
        Client(sandbox.url, token=sandbox.token) as client,
    ):
        plan = lab.plan_with(client, 3)
        sandbox.change_call(lab.id_of(1), duration_seconds=12)
        run = apply_plan(plan, client, lab.audit, rate=lab.fast, progress=False)
        assert lab.outcomes(run) == ["applied", "drifted", "applied"]
        assert row_of(run, lab.id_of(1))["error_detail"] == "duration_seconds is 12, planned from null"


def test_drift_back_and_forth_is_told_each_time_until_it_is_settled(lab):
    plan = lab.plan(3)
    told = []
    for seconds in (45, 46, 30):
        lab.sandbox.change_call(lab.id_of(0), duration_seconds=seconds)
        run = lab.apply(plan)
        told.append((row_of(run, lab.id_of(0))["outcome"], row_of(run, lab.id_of(0))["observed"]))
    assert [outcome for outcome, _ in told] == ["drifted", "drifted", "applied"]
    assert [json.loads(observed)["duration_seconds"] for _, observed in told[:2]] == [45, 46]
    # Settled is settled: what happens to it later is for verifying, and is never written over.
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    n_requests = len(lab.sandbox.requests)
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 3
    assert len(lab.sandbox.requests) == n_requests
    assert lab.seconds()[0] == 45


def test_a_drifted_call_that_others_corrected_is_theirs(lab):
    plan = lab.plan(1)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)
    lab.apply(plan)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=60)
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["already"]
    assert lab.patches() == []
    assert len(revert_run(run)) == 0


def test_only_one_of_several_planned_fields_need_drift(lab):
    plan = lab.plan(2, ended_at="2026-10-01T08:01:30Z")
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:01:01Z")
    run = lab.apply(plan)
    assert lab.outcomes(run)[0] == "drifted"
    assert lab.seconds()[0] == 30


def test_one_field_as_planned_and_one_not_is_neither_done_nor_sent(lab):
    plan = lab.plan(1, ended_at="2026-10-01T08:01:30Z")
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:01:30Z")
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["drifted"]
    assert (
        "ended_at is 2026-10-01T08:01:30Z, planned from 2026-10-01T08:01:00Z"
        in (row_of(run, lab.id_of(0))["error_detail"])
    )


def test_raising_on_drift_in_a_later_part_keeps_what_was_sent_and_shows_only_the_drift(lab):
    """One call at a time: the third one drifted, so two are sent, the rest waits."""
    plan = lab.plan(5)
    order = plan.changes["call_id"].tolist()
    lab.sandbox.change_call(order[2], duration_seconds=45)
    with pytest.raises(PlanDriftError) as caught:
        lab.apply(plan, tools=lab.virtual_time(), rate="6/min", on_drift="raise")
    assert caught.value.drift["call_id"].tolist() == [order[2]]
    run = load_run(lab.audit)
    assert run.records["outcome"].tolist() == ["applied", "applied", "drifted", "pending", "pending"]
    assert [call_id for call_id, _ in lab.patches()] == order[:2]
    lab.sandbox.change_call(order[2], duration_seconds=30)
    assert set(lab.outcomes(lab.apply(plan, on_drift="raise"))) == {"applied"}
    assert len(lab.patches()) == 5


def test_each_field_has_the_precision_that_it_is_answered_with(lab):
    """Starts in whole seconds, ends with six decimals: a fraction that went is drift of the end alone."""
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T08:00:00.400000Z")
    lab.sandbox.change_call(lab.id_of(1), ended_at="2026-10-01T08:02:00.400000Z")
    plan = lab.plan(2, ended_at="2026-10-01T08:03:00Z")
    lab.sandbox.change_call(lab.id_of(0), started_at="2026-10-01T08:00:00Z")
    lab.sandbox.change_call(lab.id_of(1), ended_at="2026-10-01T08:02:00Z")
    lab.tap.handle_request = answering(lab, printed_with(started_at=0, ended_at=6))
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied", "drifted"]
    assert row_of(run, lab.id_of(1))["error_detail"] == (
        "ended_at is 2026-10-01T08:02:00Z, planned from 2026-10-01T08:02:00.400000Z"
    )


def test_a_precision_first_seen_in_the_answer_to_a_patch_counts_from_there(lab):
    """No call has an end until our own PATCH: its answer is the first to show that ends are whole seconds."""
    for i in range(2):
        lab.sandbox.change_call(lab.id_of(i), ended_at=None, duration_seconds=None)
    lab.sandbox.change_call(lab.id_of(2), ended_at="2026-10-01T08:03:00.500000Z")
    whole = lab.plan(3, ended_at="2026-10-01T08:05:00.250000Z")
    plan = whole.keep([lab.id_of(0), lab.id_of(1)]).approve(by="ana")
    assert plan.changes["after"].str.contains("250000").sum() == 2
    lab.tap.handle_request = answering(lab, printed_with(started_at=0, ended_at=0))
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied", "applied"]
    assert len(lab.patches()) == 2


def test_a_server_that_prints_fewer_decimals_than_it_was_sent_is_not_called_altered(lab):
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:00:59.123456Z")
    plan = lab.plan(1, ended_at="2026-10-01T08:01:00.123456Z")
    lab.tap.handle_request = answering(lab, printed_with(started_at=3, ended_at=3))
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"]


def test_a_value_that_the_server_trims_is_altered_and_not_taken_for_what_was_sent(lab):
    plan = lab.plan(1, call_source="carrier")

    def cut(attributes):
        attributes["call_source"] = attributes["call_source"][:3]

    plain, short = answering(lab, lambda _attributes: None), answering(lab, cut)
    lab.tap.handle_request = lambda request: (short if request.method == "PATCH" else plain)(request)
    run = lab.apply(plan)
    row = row_of(run, lab.id_of(0))
    assert row["outcome"] == "altered"
    assert row["error_detail"] == "call_source was sent as carrier and reads car"


def test_blanks_around_a_stored_value_are_part_of_it(lab):
    lab.sandbox.change_call(lab.id_of(0), call_source=" sip")
    plan = lab.plan(1, call_source="carrier")
    assert plan.changes.set_index("field")["before"]["call_source"] == " sip"
    assert lab.outcomes(lab.apply(plan)) == ["applied"]
    lab.sandbox.change_call(lab.id_of(1), call_source=" sip")
    other = lab.plan(2, call_source="carrier").keep([lab.id_of(1)]).approve(by="ana")
    lab.sandbox.change_call(lab.id_of(1), call_source="sip")
    assert lab.outcomes(lab.apply(other)) == ["drifted"]


def as_text(attributes):
    attributes["duration_seconds"] = str(attributes["duration_seconds"])


def test_seconds_written_as_text_are_not_compared_and_nothing_is_sent(lab):
    plan = lab.plan(1)
    lab.tap.handle_request = answering(lab, as_text)
    with pytest.raises(UnexpectedResponseError, match="is text, not whole seconds"):
        lab.apply(plan)
    assert lab.patches() == []


def test_an_answer_that_cannot_be_read_is_settled_by_reading_the_call(lab):
    plan = lab.plan(1)
    plain, texts = answering(lab, lambda _attributes: None), answering(lab, as_text)
    lab.tap.handle_request = lambda request: (texts if request.method == "PATCH" else plain)(request)
    run = lab.apply(plan, tools=lab.virtual_time())
    row = row_of(run, lab.id_of(0))
    assert (row["outcome"], row["confirmed_by"]) == ("applied", "reread")
    assert len(lab.patches()) == 1


def test_raise_stops_at_once_where_another_writer_was_faster(lab):
    """A 404 as of optimistic locking, the re-read shows their value: none of the calls behind it is sent."""
    plan = lab.plan()
    first = plan.changes["call_id"].iloc[0]
    lab.tap.on_patch = lambda _number, _request: lab.sandbox.change_call(first, duration_seconds=45)
    lab.sandbox.faults = Faults(script=[404], methods=("PATCH",))
    with pytest.raises(PlanDriftError) as caught:
        lab.apply(plan, concurrency=1, on_drift="raise")
    assert caught.value.drift[["call_id", "observed"]].to_numpy().tolist() == [[first, "45"]]
    assert [call_id for call_id, _ in lab.patches()] == [first]
    assert load_run(lab.audit).count(Outcome.PENDING) == 11
