"""Calls that somebody else changes or deletes between a read and a PATCH, by script and by seed."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from sippet_reconcile.sandbox import Fault, Faults, Sandbox

FIRST, SECOND, CALL, NEVER_STARTED = (f"{n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}" for n in "1234")


def patch(client, call_id=CALL, **attributes):
    return client.patch(
        f"/api/calls/{call_id}",
        content=json.dumps({"data": {"attributes": attributes}}),
        headers={"content-type": "application/vnd.api+json"},
    )


def shown(answer):
    return {row["id"]: row["attributes"] for row in answer.json()["data"]}


def held(sandbox):
    return sandbox.calls.set_index("id")


def test_a_read_shows_what_was_and_then_the_call_is_changed(start, connect):
    fault = Fault(
        "changed_after", changes={"status": "busy", "duration_seconds": 99}, call_ids=[CALL.upper()]
    )
    sandbox = start(faults=Faults(script=[fault], methods=("GET",)))
    client = connect(sandbox)
    before = shown(client.get("/api/calls"))
    after = shown(client.get("/api/calls"))
    assert (before[CALL]["status"], before[CALL]["duration_seconds"]) == ("failed", 10)
    assert (after.pop(CALL)["status"], held(sandbox).loc[CALL, "duration_seconds"]) == ("busy", 99)
    before.pop(CALL)
    assert after == before


def test_a_read_changes_all_that_it_showed_and_nothing_else(start, connect):
    sandbox = start(faults=Faults(script=[Fault("changed_after", changes={"status": "busy"})]))
    client = connect(sandbox)
    client.get(f"/api/calls?filter[id][in][]={CALL}&filter[id][in][]={FIRST}")
    assert held(sandbox)["status"].to_dict() == {
        FIRST: "busy", SECOND: "initiated", CALL: "busy", NEVER_STARTED: "canceled",
    }  # fmt: skip


def test_a_read_that_is_refused_changes_nothing(start, connect):
    sandbox = start(faults=Faults(script=[Fault("changed_after", changes={"status": "busy"})]))
    before = sandbox.calls.drop(columns="fetched_at")
    assert connect(sandbox).get("/api/calls?sort=nope").status_code == 400
    pd.testing.assert_frame_equal(sandbox.calls.drop(columns="fetched_at"), before)


def test_a_patch_is_answered_as_written_and_changed_right_after(start, connect):
    sandbox = start(faults=Faults(script=[Fault("changed_after", changes={"duration_seconds": 99})]))
    answer = patch(connect(sandbox), duration_seconds=11)
    assert answer.json()["data"]["attributes"]["duration_seconds"] == 11
    assert held(sandbox).loc[CALL, "duration_seconds"] == 99


def test_a_word_that_somebody_else_writes_is_known_from_then_on(start, connect):
    sandbox = start(faults=Faults(script=[Fault("changed_after", changes={"status": "parked"})]))
    client = connect(sandbox)
    assert patch(client, status="busy").status_code == 200
    assert held(sandbox).loc[CALL, "status"] == "parked"
    assert patch(client, status="parked").status_code == 200


def test_what_somebody_else_wrote_to_a_sent_field_is_overwritten_without_a_trace(start, connect):
    sandbox = start(faults=Faults(script=[Fault("changed_sent")], methods=("PATCH",)))
    honest = Sandbox(json.loads(json.dumps({"data": connect(sandbox).get("/api/calls").json()["data"]})))
    answer = patch(connect(sandbox), duration_seconds=11)
    assert answer.json()["data"]["attributes"]["duration_seconds"] == 11
    with honest:
        patch(connect(honest), duration_seconds=11)
    drop = ["fetched_at", "api_url"]
    # Not even the order of the table tells: a changed call moves to its end either way.
    pd.testing.assert_frame_equal(
        sandbox.calls.drop(columns=drop).sort_values("id", ignore_index=True),
        honest.calls.drop(columns=drop).sort_values("id", ignore_index=True),
    )


@pytest.mark.parametrize(
    ("sent", "changed"),
    [
        ({"status": "busy"}, "duration_seconds"),
        ({"duration_seconds": 11}, "status"),
        ({"duration_seconds": 11, "status": "busy"}, "ended_at"),
        ({"duration_seconds": 11, "status": "busy", "ended_at": "2026-01-03T00:00:11Z"}, "call_source"),
        (
            {
                "duration_seconds": 11,
                "status": "busy",
                "ended_at": "2026-01-03T00:00:11Z",
                "call_source": "x",
            },
            "sip_username",
        ),
    ],
    ids=["status", "duration", "two", "three", "all"],
)
def test_a_field_that_was_not_sent_changes_and_shows_in_the_answer(start, connect, sent, changed):
    sandbox = start(faults=Faults(script=["changed_other"], methods=("PATCH",)))
    client = connect(sandbox)
    before = shown(client.get("/api/calls"))[CALL]
    answer = patch(client, **sent).json()["data"]["attributes"]
    assert {n for n in before if before[n] != answer[n]} - set(sent) == {changed}
    assert answer == shown(client.get("/api/calls"))[CALL]
    for name in set(sent) - {"ended_at"}:
        assert answer[name] == sent[name]


def test_a_named_change_before_a_patch_is_made_as_named(start, connect):
    fault = Fault("changed_other", changes={"started_at": "2026-01-03T00:00:01Z", "sip_username": None})
    sandbox = start(faults=Faults(script=[fault], methods=("PATCH",)))
    answer = patch(connect(sandbox), status="busy").json()["data"]["attributes"]
    assert (answer["started_at"], answer["sip_username"]) == ("2026-01-03T00:00:01.000000Z", None)
    assert answer["status"] == "busy"


def test_a_call_deleted_before_the_patch_is_a_404_and_gone(start, connect):
    sandbox = start(faults=Faults(script=["deleted_before"], methods=("PATCH",)))
    client = connect(sandbox)
    answer = patch(client, status="busy")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "not_found")
    assert CALL not in set(sandbox.calls["id"])
    assert len(sandbox.calls) == 3


def test_calls_deleted_after_a_read_were_shown_once(start, connect):
    sandbox = start(faults=Faults(script=[Fault("deleted_after", call_ids=[CALL])]))
    client = connect(sandbox)
    assert len(client.get("/api/calls").json()["data"]) == 4
    assert CALL not in shown(client.get("/api/calls"))
    assert patch(client, status="busy").status_code == 404


def test_a_patch_to_a_call_that_is_none_meets_nobody(start, connect):
    kinds = ["changed_sent", "changed_other", "deleted_before", "changed_after", "coupled", "stale_answer"]
    sandbox = start(faults=Faults(script=kinds, methods=("PATCH",)))
    client = connect(sandbox)
    before = sandbox.calls.drop(columns="fetched_at")
    for _ in kinds:
        assert patch(client, "99999999-9999-4999-8999-999999999999", status="busy").status_code == 404
    pd.testing.assert_frame_equal(sandbox.calls.drop(columns="fetched_at"), before)


def test_without_the_token_nobody_else_acts_either(start, connect):
    sandbox = start(faults=Faults(script=["deleted_before", "changed_other"], methods=("PATCH",)))
    client = connect(sandbox, authorization="Bearer wrong")
    assert [patch(client, status="busy").status_code for _ in range(2)] == [403, 403]
    assert len(sandbox.calls) == 4
    assert held(sandbox).loc[CALL, "duration_seconds"] == 10


@pytest.mark.parametrize("kind", ["changed_other", "changed_after"])
def test_what_somebody_else_writes_repeats_with_the_seed(start, connect, kind):
    def seconds(seed):
        sandbox = start(faults=Faults(shares={kind: 1.0}, seed=seed, methods=("PATCH",)))
        client = connect(sandbox)
        for status in ("busy", "failed", "missed"):
            patch(client, status=status)
            yield held(sandbox).loc[CALL, "duration_seconds"].item()

    first = list(seconds(5))
    assert first == list(seconds(5))
    assert first != list(seconds(6))
    assert len({10, *first}) == 4


def test_a_call_that_never_started_can_be_changed_by_somebody_else_too(start, connect):
    sandbox = start(faults=Faults(script=["changed_other", "coupled", "coerced"], methods=("PATCH",)))
    client = connect(sandbox)
    answers = [
        patch(client, NEVER_STARTED, status="busy", duration_seconds=1),
        patch(client, NEVER_STARTED, duration_seconds=2),
        patch(client, NEVER_STARTED, ended_at=None, duration_seconds=None, status=None),
    ]
    attributes = [answer.json()["data"]["attributes"] for answer in answers]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert attributes[0]["ended_at"] is not None
    assert (attributes[1]["ended_at"], attributes[1]["duration_seconds"]) == (attributes[0]["ended_at"], 2)
    assert [attributes[2][name] for name in ("ended_at", "duration_seconds", "status")] == [None] * 3
