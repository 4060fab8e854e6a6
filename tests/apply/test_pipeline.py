"""Chunks follow each other without a gap, and all that holds for one chunk holds across them."""

from __future__ import annotations

import json
import random
import signal
import threading

import httpx
import pandas as pd
import pytest

from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import PlanDriftError
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Fault, Faults

pytestmark = pytest.mark.slow

N = 60
SHORT_S = 0.03  # chunks of a dozen calls at most, of fewer where answers are slow
WAIT_S = 60


def call_of(request):
    return request.url.path.rsplit("/", 1)[-1]


class Road:
    """Lets a test hold requests up one by one, which the transport of the lab does not."""

    def __init__(self, lab):
        self._send = lab.tap.handle_request
        self.before = lambda _request: None
        lab.tap.handle_request = self.handle_request

    def handle_request(self, request):
        answer = self.before(request)
        return answer if answer is not None else self._send(request)


@pytest.fixture
def lab(lab_of):
    return lab_of(N)


def events_of(lab):
    records = AuditLog(lab.audit).records()
    return records.loc[records["event"].isin(["intent", "outcome"]), ["event", "call_id", "at"]]


def most_open_chunks(lab):
    """Return how many chunks were announced and not written down at the same time, at most."""
    chunk_of, most = {}, 0
    for event, call_id, at in events_of(lab).itertuples(index=False):
        if event == "intent":
            chunk_of[call_id] = at  # the intents of a chunk are written in one go
        else:
            chunk_of.pop(call_id, None)
        most = max(most, len(set(chunk_of.values())))
    return most


def test_the_next_chunk_is_read_announced_and_sent_while_an_answer_of_the_last_is_awaited(lab):
    plan, road = lab.plan(), Road(lab)
    first = plan.changes["call_id"].iloc[0]
    went_on, is_late = threading.Event(), []

    def hold(request):
        if request.method != "PATCH":
            return
        if call_of(request) == first:
            is_late.append(not went_on.wait(WAIT_S))
        elif not went_on.is_set():
            chunk_of = events_of(lab).set_index("call_id")["at"]
            if chunk_of[call_of(request)] != chunk_of[first]:
                went_on.set()

    road.before = hold
    run = lab.apply(plan, chunk_s=SHORT_S, concurrency=4)
    assert is_late == [False]
    assert run.count(Outcome.APPLIED) == N


def test_without_looking_ahead_a_chunk_waits_for_the_last_answer_of_the_one_before(lab):
    plan, road = lab.plan(), Road(lab)
    order = plan.changes["call_id"].tolist()
    answered, early = threading.Event(), []

    def look(request):
        if request.method == "PATCH" and call_of(request) == order[0]:
            threading.Event().wait(0.2)
            answered.set()
        elif request.method == "PATCH" and call_of(request) in order[12:] and not answered.is_set():
            early.append(call_of(request))

    road.before = look
    assert lab.apply(plan, chunk_s=SHORT_S, looks_ahead=False).count(Outcome.APPLIED) == N
    assert early == []
    assert most_open_chunks(lab) == 1


def test_two_chunks_at_most_are_announced_and_not_written_down(lab):
    plan, road, sent = lab.plan(), Road(lab), []
    first = plan.changes["call_id"].iloc[0]

    def hold(request):
        if request.method != "PATCH":
            return
        sent.append(call_of(request))
        if sent[-1] == first:
            known = 0
            while known < len(sent) < N:  # until no more leave for a good while
                known = len(sent)
                threading.Event().wait(0.5)

    road.before = hold
    assert lab.apply(plan, chunk_s=SHORT_S, concurrency=4).count(Outcome.APPLIED) == N
    assert most_open_chunks(lab) == 2


def test_the_intent_of_every_patch_is_durable_before_it_leaves_in_every_chunk(lab):
    plan, road, unannounced = lab.plan(), Road(lab), []

    def look(request):
        if request.method == "PATCH":
            records = pd.read_parquet(lab.audit, columns=["event", "call_id"])
            if call_of(request) not in set(records.loc[records["event"].eq("intent"), "call_id"]):
                unannounced.append(call_of(request))

    road.before = look
    assert lab.apply(plan, chunk_s=SHORT_S).count(Outcome.APPLIED) == N
    assert len(lab.patches()) == N
    assert unannounced == []


def test_patches_leave_in_plan_order_across_chunks(lab):
    plan = lab.plan()
    lab.apply(plan, chunk_s=SHORT_S, concurrency=1)
    assert [call_id for call_id, _ in lab.patches()] == plan.changes["call_id"].tolist()


def test_the_limit_holds_although_chunks_overlap_and_some_calls_need_no_patch(lab):
    plan = lab.plan()
    order = plan.changes["call_id"].tolist()
    for call_id in order[::3]:
        lab.sandbox.change_call(call_id, duration_seconds=60)
    run = lab.apply(plan, chunk_s=SHORT_S, limit=25)
    assert len(lab.patches()) == run.count(Outcome.APPLIED) == 25
    assert run.ended == "limit"
    wanted = [call_id for place, call_id in enumerate(order) if place % 3][:25]
    assert {call_id for call_id, _ in lab.patches()} == set(wanted)


def test_a_limit_is_used_up_although_a_pause_sends_calls_back(lab):
    plan = lab.plan()
    script = [None] * 8 + [Fault("throttle", retry_after_s=0.3)]
    lab.sandbox.faults = Faults(script=script, methods=("PATCH",))
    run = lab.apply(plan, chunk_s=SHORT_S, limit=30)
    assert run.count(Outcome.APPLIED) == 30
    assert run.count(Outcome.PENDING) == N - 30
    assert len({call_id for call_id, _ in lab.patches()}) == 30
    assert lab.sent_without_reading() == []


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_after_pauses_every_call_is_read_again_and_none_is_in_two_chunks(lab, seed):
    plan = lab.plan()
    lab.sandbox.faults = Faults(throttle_share=0.08, retry_after_s=0.05, jitter_s=0.02, seed=seed)
    run = lab.apply(plan, chunk_s=SHORT_S)
    assert lab.outcomes(run) == ["applied"] * N
    assert lab.sent_without_reading() == []
    assert lab.n_attempts() == len(lab.patches())
    for _, events in events_of(lab).groupby("call_id"):
        told = events["event"].tolist()
        assert told.count("outcome") == 1
        assert told[-1] == "outcome"


def test_drift_in_a_later_chunk_stops_the_one_under_way(lab):
    plan = lab.plan()
    order = plan.changes["call_id"].tolist()
    lab.sandbox.change_call(order[30], duration_seconds=45)
    with pytest.raises(PlanDriftError) as caught:
        lab.apply(plan, chunk_s=SHORT_S, on_drift="raise")
    assert caught.value.drift["call_id"].tolist() == [order[30]]
    sent = {call_id for call_id, _ in lab.patches()}
    assert sent < set(order[:30])
    state = load_run(lab.audit)
    assert (state.ended, state.count(Outcome.APPLIED)) == ("drift", len(sent))
    assert state.count(Outcome.DRIFTED) == 1
    assert state.count(Outcome.PENDING) == N - 1 - len(sent)


def test_ctrl_c_with_two_chunks_announced_leaves_what_was_not_sent_pending(lab):
    plan, road = lab.plan(), Road(lab)
    order = plan.changes["call_id"].tolist()
    lab.sandbox.faults = Faults(latency_s=0.05, methods=("PATCH",))

    def press(request):
        if request.method == "PATCH" and call_of(request) == order[13]:
            signal.raise_signal(signal.SIGINT)

    road.before = press
    with pytest.raises(KeyboardInterrupt):
        lab.apply(plan, chunk_s=SHORT_S, concurrency=3)
    state = load_run(lab.audit)
    n_sent = len(lab.patches())
    assert (state.ended, state.count(Outcome.UNKNOWN)) == ("interrupted", 0)
    assert state.count(Outcome.APPLIED) == n_sent == lab.n_attempts()
    assert state.count(Outcome.PENDING) == N - n_sent > 0
    road.before = lambda _request: None
    lab.sandbox.faults = Faults()
    run = lab.apply(plan, chunk_s=SHORT_S)
    assert lab.outcomes(run) == ["applied"] * N
    assert len(lab.patches()) == N


def test_progress_never_goes_back_while_chunks_overlap(lab):
    seen = []
    lab.sandbox.faults = Faults(throttle_share=0.05, retry_after_s=0.2, jitter_s=0.02, seed=5)
    lab.apply(lab.plan(), chunk_s=SHORT_S, progress=lambda done, total, _label: seen.append((done, total)))
    assert seen[0] == (0, N)
    assert seen[-1] == (N, N)
    assert seen == sorted(seen)


class Moody:
    """Treats each call as its own script says, in whatever order the requests come."""

    def __init__(self, lab, road, seed):
        chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._send, self._lock = road._send, threading.Lock()
        moods = ["fine"] * 6 + [
            "lost",
            "reset",
            "refused",
            "once 503",
            "altered",
            "meddled",
            "gone",
            "drifted",
            "done",
        ]
        self.moods = {lab.id_of(n): chance.choice(moods) for n in range(1, N)} | {lab.id_of(0): "fine"}
        self._sandbox, self._n_sent = lab.sandbox, dict.fromkeys(self.moods, 0)
        for call_id, mood in self.moods.items():
            if mood == "gone":
                lab.sandbox.remove_call(call_id)
            elif mood in {"drifted", "done"}:
                lab.sandbox.change_call(call_id, duration_seconds=45 if mood == "drifted" else 60)
        road.before = self.treat

    def treat(self, request):
        if request.method != "PATCH":
            return None
        call_id = call_of(request)
        with self._lock:
            self._n_sent[call_id] += 1
            is_first = self._n_sent[call_id] == 1
        mood = self.moods[call_id] if is_first else "fine"
        if mood in {"lost", "meddled"}:
            self._send(request).close()
            if mood == "meddled":
                self._sandbox.change_call(call_id, duration_seconds=45)
            raise httpx.ReadError(mood)
        if mood == "reset":
            raise httpx.ReadError(mood)
        if mood in {"refused", "once 503"}:
            return httpx.Response(422 if mood == "refused" else 503, json={"errors": []})
        if mood == "altered":
            self._sandbox.change_call(call_id, call_source="carrier")
        return None


def states_of(lab_of, seed, *, looks_ahead):
    """Apply a plan to a moody API once, then to its end, and return what the log and the API say."""
    lab = lab_of(N)
    plan, road = lab.plan(), Road(lab)
    Moody(lab, road, seed)
    told = []
    for _ in range(2):
        run = lab.apply(plan, chunk_s=SHORT_S, looks_ahead=looks_ahead, max_failures=N)
        columns = ["call_id", "outcome", "confirmed_by", "before", "after", "observed", "n_attempts"]
        told.append(run.records[columns].sort_values("call_id").reset_index(drop=True))
        assert lab.n_attempts() == run.records["n_attempts"].sum()
        assert AuditLog(lab.audit).verify(head=run.head).ok
    held = lab.held().drop(columns=["api_url"])
    lab.audit.rename(lab.audit.with_name(f"audit-{looks_ahead}"))
    return told, held


def same_states(lab_of, seed):
    ahead, held_ahead = states_of(lab_of, seed, looks_ahead=True)
    plain, held_plain = states_of(lab_of, seed, looks_ahead=False)
    for one, other in zip(ahead, plain, strict=True):
        pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(held_ahead, held_plain)
    return ahead[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_looking_ahead_comes_to_the_same_states_as_one_chunk_after_the_other(lab_of, seed):
    first = same_states(lab_of, seed)
    assert {"applied", "already", "drifted", "rejected", "missing", "altered"} <= set(first["outcome"])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 30))
def test_looking_ahead_comes_to_the_same_states_whatever_goes_wrong(lab_of, seed):
    same_states(lab_of, seed)


def test_values_that_a_pause_outdated_are_written_down_anew(lab):
    """The intent that counts is the one with the values read last."""
    plan, road = lab.plan(), Road(lab)
    order = plan.changes["call_id"].tolist()
    script = [None] * 4 + [Fault("throttle", retry_after_s=0.5)]
    lab.sandbox.faults = Faults(script=script, methods=("PATCH",))
    changed = threading.Event()

    def change_once(request):
        if request.method == "PATCH" and not changed.is_set() and len(lab.patches()) >= 5:
            changed.set()
        if request.method == "GET" and changed.is_set():
            lab.sandbox.change_call(order[-1], call_source="carrier")

    road.before = change_once
    run = lab.apply(plan, chunk_s=SHORT_S, concurrency=1)
    assert run.count(Outcome.APPLIED) == N
    noted = run.records.set_index("call_id").loc[order[-1], "reread"]
    assert json.loads(noted)["call_source"] == "carrier"
