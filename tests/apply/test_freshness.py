"""A re-read is relied on only while two clocks agree that it is young: a closed lid stops one of them."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.apply.freshness import Age, Moment, age_of
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.run import Outcome

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ticked_s", "passed_s", "age"),
    [
        (0.0, 0.0, "fresh"),
        (15.0, 15.0, "fresh"),
        (15.1, 15.1, "old"),
        (14.9, 15.1, "old"),
        (15.1, 14.9, "old"),
        (5.0, 3600.0, "unsure"),  # the lid was closed for an hour
        (5.0, 8.0, "unsure"),  # or for three seconds
        (5.0, 6.9, "fresh"),
        (5.0, -3600.0, "unsure"),  # the time of day was set back by an hour
        (3600.0, 3600.0, "old"),
    ],
)
def test_a_re_read_is_fresh_only_where_both_clocks_say_so(ticked_s: float, passed_s: float, age: str) -> None:
    later = Moment(100.0 + ticked_s, NOON + timedelta(seconds=passed_s))
    assert age_of(Moment(100.0, NOON), later).value == age


@settings(max_examples=200, deadline=None)
@given(ticked_s=st.floats(0, 1e6), passed_s=st.floats(-1e6, 1e6))
def test_no_pair_of_clocks_makes_an_old_re_read_fresh(ticked_s: float, passed_s: float) -> None:
    if age_of(Moment(0.0, NOON), Moment(ticked_s, NOON + timedelta(seconds=passed_s))) is Age.FRESH:
        assert ticked_s <= 15.0
        assert passed_s <= 15.000001
        assert abs(ticked_s - passed_s) <= 2.000001


class Machine:
    """Two clocks that a test moves, together or one of them."""

    def __init__(self):
        self.ticked_s, self.slept_s = 0.0, 0.0
        self._lock = threading.Lock()

    def tools(self):
        return Tools(clock=lambda: self.ticked_s, sleep=self.tick, now=self.now, random=lambda: 0.0)

    def now(self):
        return NOON + timedelta(seconds=self.ticked_s + self.slept_s)

    def tick(self, seconds):
        with self._lock:
            self.ticked_s += seconds

    def close_the_lid(self, seconds):
        with self._lock:
            self.slept_s += seconds


def test_nothing_is_sent_on_what_was_read_before_the_lid_was_closed(lab):
    plan, machine = lab.plan(5), Machine()

    def close(number, _request):
        if number == 2:
            # The monotonic clock shows nothing of the hour in which somebody corrects a call.
            machine.close_the_lid(3600)
            lab.sandbox.change_call(lab.id_of(4), duration_seconds=45)

    lab.tap.on_patch = close
    run = lab.apply(plan, machine.tools(), concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 4 + ["drifted"]
    assert lab.seconds()[4] == 45
    assert lab.sent_without_reading() == []


def test_a_read_that_was_under_way_when_the_lid_was_closed_is_repeated(lab):
    plan, machine, n_reads = lab.plan(3), Machine(), []

    def close(_request):
        n_reads.append(1)
        if len(n_reads) == 1:
            machine.close_the_lid(60)

    lab.tap.on_read = close
    assert lab.outcomes(lab.apply(plan, machine.tools(), concurrency=1)) == ["applied"] * 3
    assert len(n_reads) == 2


@pytest.mark.parametrize("seconds", [-7200, -3, 3, 7200])
def test_a_time_of_day_that_is_set_costs_a_read_and_no_loop(lab, seconds):
    plan, machine = lab.plan(4), Machine()
    lab.tap.on_patch = lambda number, _request: machine.close_the_lid(seconds if number == 2 else 0)
    lab.sandbox.clear_requests()
    assert lab.outcomes(lab.apply(plan, machine.tools(), concurrency=1)) == ["applied"] * 4
    # The second PATCH was just leaving.
    methods = "".join(request.method[0] for request in lab.sandbox.requests)
    assert methods == "GPGPPP"


def test_a_clock_that_never_agrees_ends_the_run_and_says_what_is_wrong(lab):
    plan, machine = lab.plan(3), Machine()
    lab.tap.on_read = lambda _request: machine.close_the_lid(10)
    lab.sandbox.clear_requests()
    run = lab.apply(plan, machine.tools(), concurrency=1)
    assert run.ended == "too-slow"
    assert "clocks of this machine disagree" in run.stopped
    assert lab.patches() == []
    assert len(lab.sandbox.requests) == 5


def test_a_patch_in_flight_over_a_closed_lid_is_read_back(lab):
    plan, machine = lab.plan(2), Machine()
    inner = lab.tap.inner.handle_request

    def lose(request):
        response = inner(request)
        if request.method == "PATCH" and len(lab.patches()) == 1:
            response.read()
            machine.close_the_lid(3600)
            raise httpx.ReadError(request.method)
        return response

    lab.tap.inner.handle_request = lose
    run = lab.apply(plan, machine.tools(), concurrency=1)
    assert run.records["outcome"].tolist() == ["applied"] * 2
    assert sorted(run.records["confirmed_by"]) == ["answer", "reread"]
    assert len(lab.patches()) == 2


def test_a_lid_that_is_closed_while_connecting_holds_the_patch_back(lab):
    """The socket is real: the request is stopped between the connection and its first byte."""
    plan, machine = lab.plan(1), Machine()

    def close(_number, request):
        trace = request.extensions["trace"]

        def slow(event, info):
            if event.endswith("send_request_headers.started") and not machine.slept_s:
                machine.close_the_lid(3600)
            trace(event, info)

        request.extensions["trace"] = slow

    lab.tap.on_patch = close
    run = lab.apply(plan, machine.tools())
    row = run.records.iloc[0]
    assert (row["outcome"], row["n_attempts"]) == (Outcome.APPLIED, 1)
    assert len(lab.patches()) == 1
    assert lab.sent_without_reading() == []
