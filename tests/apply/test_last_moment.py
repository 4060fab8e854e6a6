"""What is learnt at the last moment counts: by a probe, and between a connection and its first byte."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import httpx
import pytest

from sippet_reconcile.api.documents import read_page
from sippet_reconcile.api.exchange import Exchange, ExchangeKind
from sippet_reconcile.api.pacing import Pacer
from sippet_reconcile.apply.stopping import End, StoppedError, StopSign
from sippet_reconcile.apply.traffic import Traffic
from sippet_reconcile.sandbox import Faults


class Script:
    """Answers requests as a list says, in their order, and lets the API itself answer all others."""

    def __init__(self, lab, tools, answers):
        self.tools, self.answers, self.at = tools, answers, []
        self._inner, self._lock = lab.tap.handle_request, threading.Lock()
        lab.tap.handle_request = self.handle

    def handle(self, request):
        with self._lock:
            self.at.append((request.method, self.tools.clock()))
            answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            return self._inner(request)
        status, headers = answer
        return httpx.Response(status, headers=headers, html="<html>Bad Gateway</html>")


DOWN = (502, {})
DOWN_THERE = Exchange(ExchangeKind.LOST, "GET")


@pytest.mark.parametrize(
    "told", [(429, {"retry-after": "20"}), (503, {"retry-after": "20"}), (403, {"retry-after": "20"})]
)
def test_a_probe_that_is_told_to_wait_holds_everybody_back_for_as_long(lab, told):
    plan, tools = lab.plan(2), lab.virtual_time()
    script = Script(lab, tools, [None, DOWN, DOWN, DOWN, told])
    run = lab.apply(plan, tools, concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 2
    probed_at = script.at[4][1]
    assert [at for _, at in script.at[5:] if at < probed_at + 20] == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_probe_that_is_told_to_come_back_in_an_hour_ends_the_run(lab, status):
    plan, tools = lab.plan(2), lab.virtual_time()
    script = Script(lab, tools, [None, DOWN, DOWN, DOWN, (status, {"retry-after": "3600"})])
    run = lab.apply(plan, tools, concurrency=1)
    assert run.ended == "told-to-wait"
    assert "3,600 seconds" in run.stopped
    assert len(script.at) == 5


def outage_of(lab, per_s):
    """Return a gate to an API that was read once, then failed, and whose cool-down is over; its clock, stop and reads."""
    tools, read_at, stop = lab.virtual_time(), [], StopSign(max_failures=10)
    page = read_page(b'{"data": []}', is_table=False)

    def attempt_read(_ids):
        read_at.append(tools.clock())
        return Exchange(ExchangeKind.OK, "GET", content=page, make_calls=lambda: None)

    client = SimpleNamespace(told_of_leaving=lambda _left: client, attempt_read=attempt_read)
    traffic = Traffic(client, Pacer(per_s, clock=tools.clock, sleep=tools.sleep), stop, tools)
    traffic.read([lab.id_of(0)])
    for _ in range(3):
        traffic._learn(DOWN_THERE)
    tools.sleep(5)
    return traffic, stop, read_at


def test_a_probe_takes_its_permit_although_its_thread_comes_late_to_the_outage(lab):
    """Its answer was awaited for longer than the cool-down, so that it is its turn to look at once."""
    traffic, _, read_at = outage_of(lab, 1 / 10)
    traffic.outlast(DOWN_THERE)
    assert read_at == [0, pytest.approx(10)]


def test_nobody_probes_once_the_run_was_stopped(lab):
    traffic, stop, read_at = outage_of(lab, 10)
    stop.stop(End.INTERRUPTED, "by the test")
    with pytest.raises(StoppedError):
        traffic.outlast(DOWN_THERE)
    assert read_at == [0]


def test_nothing_leaves_once_the_run_was_stopped_while_a_connection_was_made(lab, monkeypatch):
    """The first PATCH has no byte sent when the second is answered 401; the next session sends it, once."""
    plan, is_stopped = lab.plan(2), threading.Event()
    stop = StopSign.stop

    def stopped(self, *args):
        stop(self, *args)
        is_stopped.set()

    monkeypatch.setattr(StopSign, "stop", stopped)

    def hold(_number, request):
        trace = request.extensions["trace"]

        def late(event, info):
            if event.endswith("send_request_headers.started"):
                assert is_stopped.wait(60)
            trace(event, info)

        if request.url.path.endswith(lab.id_of(0)):
            request.extensions["trace"] = late

    lab.tap.on_patch = hold
    lab.sandbox.faults = Faults(script=[401], methods=("PATCH",))
    run = lab.apply(plan, concurrency=2)
    assert run.ended == "unauthenticated"
    assert lab.outcomes(run) == ["pending", "rejected"]
    assert lab.n_attempts() == len(lab.patches()) == 1
    lab.tap.on_patch = lambda _number, _request: None
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 2
    assert lab.sent_without_reading() == []
