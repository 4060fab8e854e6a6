"""An outage is waited out by one probe at a time, and neither a call nor a run tries for ever."""

from __future__ import annotations

import threading
from dataclasses import replace

import httpx
import pytest

from sippet_reconcile.apply import sending
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import ApiError
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Fault, Faults

pytestmark = pytest.mark.slow


class Outage:
    """Makes a real API fail between two moments of a clock, and notes what was tried meanwhile."""

    def __init__(self, lab, tools, *, begins_with_patch, lasts_s, how="503"):
        self.lab, self.tools, self.how = lab, tools, how
        self.begins_with_patch, self.lasts_s = begins_with_patch, lasts_s
        self.began_at, self.n_patches, self.tried = None, 0, []
        self._inner, self._lock = lab.tap.handle_request, threading.Lock()
        lab.tap.handle_request = self.handle

    def handle(self, request):
        with self._lock:
            now = self.tools.clock()
            self.n_patches += request.method == "PATCH"
            if self.began_at is None and self.n_patches >= self.begins_with_patch:
                self.began_at = now
            is_down = self.began_at is not None and now < self.began_at + self.lasts_s
            if is_down:
                self.tried.append((request.method, now - self.began_at))
        if not is_down:
            return self._inner(request)
        if self.how == "refused":
            raise httpx.ConnectError(self.how)
        if self.how == "lost":
            raise httpx.ReadError(self.how)
        if self.how == "portal":
            return httpx.Response(200, html="<html>Sign in to the hotel's network</html>")
        return httpx.Response(int(self.how), html="<html>Bad Gateway</html>")


@pytest.mark.parametrize("how", ["503", "502", "500", "refused", "lost", "portal"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_outage_of_half_a_minute_fails_no_call(lab, how, concurrency):
    plan, tools = lab.plan(), lab.virtual_time()
    outage = Outage(lab, tools, begins_with_patch=3, lasts_s=30, how=how)
    run = lab.apply(plan, tools, concurrency=concurrency)
    assert lab.outcomes(run) == ["applied"] * 12
    assert lab.seconds() == [60] * 12
    assert lab.sent_without_reading() == []
    # Those that were under way when it began, then the probes: after 1, 2, 4, 8 and 16 seconds.
    probes = [at for _, at in outage.tried if at >= 1]
    assert all(method == "GET" for method, at in outage.tried if at >= 1)
    assert len(probes) == 4
    assert all(
        later - earlier >= gap for earlier, later, gap in zip(probes, probes[1:], (2, 4, 8), strict=False)
    )


@pytest.mark.parametrize("concurrency", [1, 8])
def test_an_api_that_stays_dead_is_not_hammered_and_the_run_ends_in_so_many_words(lab, concurrency):
    plan, tools = lab.plan(), lab.virtual_time()
    outage = Outage(lab, tools, begins_with_patch=5, lasts_s=1e9)
    run = lab.apply(plan, tools, concurrency=concurrency)
    assert run.ended == "outage"
    assert "7 probes within 9" in run.stopped
    assert "failed, the last one with status 503; apply the plan again" in run.stopped
    # Beside others a PATCH that is just leaving may be held back when the outage is noticed.
    assert run.count(Outcome.APPLIED) == 4 or (concurrency > 1 and run.count(Outcome.APPLIED) < 4)
    assert run.count(Outcome.FAILED) == 0
    assert run.count(Outcome.UNKNOWN) <= concurrency
    assert sum(at >= 1 for _, at in outage.tried) == 7
    assert len(outage.tried) <= 7 + 3 * concurrency
    outage.lasts_s = 0
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 12
    assert lab.sent_without_reading() == []
    assert AuditLog(lab.audit).verify().ok


def test_what_was_read_before_an_outage_is_read_again_after_it(lab):
    plan, tools = lab.plan(), lab.virtual_time()
    outage = Outage(lab, tools, begins_with_patch=3, lasts_s=6)
    inner, meddled = outage.handle, []

    def handle(request):
        if outage.tried and not meddled:
            meddled.append(request)
            lab.sandbox.change_call(lab.id_of(11), duration_seconds=45)
        return inner(request)

    lab.tap.handle_request = handle
    run = lab.apply(plan, tools, concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 11 + ["drifted"]
    assert lab.seconds()[11] == 45


def test_attempts_that_an_outage_took_are_not_counted(lab):
    """Two 500s, an outage, and one more: the third of its kind would have been the last."""
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(script=[None, "dropped_answer", 500, 500, 503, None, 500, None])
    run = lab.apply(plan, lab.virtual_time())
    assert run.records[["outcome", "confirmed_by"]].to_numpy().tolist() == [["applied", "reread"]]
    assert len(lab.patches()) == 1


def test_an_outage_while_the_next_chunk_is_read_ends_nothing_either(lab):
    plan, tools = lab.plan(), lab.virtual_time()
    outage = Outage(lab, tools, begins_with_patch=9, lasts_s=30)
    run = lab.apply(plan, tools, rate="1/s", concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 12
    assert sum(at >= 1 for _, at in outage.tried) >= 4


def test_an_outage_ahead_of_the_first_answer_is_an_error_at_once(lab):
    plan, tools = lab.plan(), lab.virtual_time()
    outage = Outage(lab, tools, begins_with_patch=0, lasts_s=1e9)
    with pytest.raises(ApiError, match="failed with 503"):
        lab.apply(plan, tools)
    assert len(outage.tried) == 5
    assert lab.outcomes(load_run(lab.audit)) == ["pending"] * 12


def test_ctrl_c_ends_the_wait_for_an_api_that_is_away(lab):
    plan, tools = lab.plan(), lab.virtual_time()
    away = threading.Event()

    def interrupt(seconds):
        if away.is_set():
            raise KeyboardInterrupt  # in a worker: whoever waits must see the run stopped, and end
        tools.sleep(seconds)

    outage = Outage(lab, tools, begins_with_patch=3, lasts_s=1e9)
    inner = outage.handle

    def handle(request):
        if outage.tried:
            away.set()
        return inner(request)

    lab.tap.handle_request = handle
    with pytest.raises(KeyboardInterrupt):
        lab.apply(plan, replace(tools, sleep=interrupt), concurrency=4)
    lab.tap.handle_request = outage._inner
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 12


def test_one_call_that_always_breaks_its_reads_stops_nobody_else(lab):
    """The probe reads another call, so what is wrong with this one is not taken for an outage."""
    plan, tools = lab.plan(), lab.virtual_time()
    bad, inner = lab.id_of(5), lab.tap.handle_request

    def handle(request):
        is_alone = request.method == "GET" and request.url.query.count(b"filter") <= 4
        if request.url.path.endswith(bad) or (is_alone and bad.encode() in request.url.query):
            return httpx.Response(504)
        return inner(request)

    lab.tap.handle_request = handle
    run = lab.apply(plan, tools, concurrency=1)
    assert run.ended == "complete"
    assert lab.outcomes(run) == ["applied"] * 5 + ["unknown"] + ["applied"] * 6


def test_writes_that_fail_while_reads_succeed_are_failed_calls_and_no_outage(lab):
    plan = lab.plan()
    lab.sandbox.faults = Faults(script=[503] * 500, methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), max_failures=3, concurrency=1)
    assert (run.ended, run.count(Outcome.FAILED), run.count(Outcome.PENDING)) == ("failures", 3, 9)


# Whatever a server keeps answering, a call and a run come to an end.


@pytest.mark.parametrize(
    "faults",
    [
        [Fault("throttle", retry_after_s=0)] * 3000,
        [Fault("throttle", style="403-text")] * 3000,
        [Fault("throttle", style="403-forbidden"), 503] * 1500,
        [Fault("throttle", style="403-forbidden"), Fault("throttle", retry_after_s=0)] * 1500,
        [503, None] * 1500,
        [404, None] * 1500,
        ["reset", None] * 1500,
        ["garbled", None, 503] * 1000,
        [Fault("throttle", retry_after_s=20), None, None] * 1000,
    ],
    ids=range(9),
)
def test_no_answers_keep_a_run_busy_for_ever(lab, faults):
    plan = lab.plan(3)
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=[None, *faults])
    try:
        run = lab.apply(plan, lab.virtual_time())
    except ApiError:
        run = load_run(lab.audit)
    assert run.ended is not None
    # 3 calls: at most a round of 12 PATCHes and 12 read-backs of 5 attempts each, and what is read ahead.
    assert len(lab.sandbox.requests) <= 3 * 12 * 6 + 20
    lab.sandbox.faults = Faults()
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 3
    assert lab.sent_without_reading() == []
    assert lab.n_attempts() == len(lab.patches())


def test_pauses_that_spoil_each_re_read_end_with_the_call_failed(lab):
    """Another thread is throttled whenever this one has read its call again."""
    plan, tools = lab.plan(1), lab.virtual_time()
    lab.sandbox.faults = Faults(script=[502], methods=("PATCH",))
    n_reads = []

    def spoil(_request):
        n_reads.append(1)
        if len(n_reads) > 1:
            tools.sleep(16)

    lab.tap.on_read = spoil
    run = lab.apply(plan, tools)
    assert lab.outcomes(run) == ["failed"]
    assert run.records["http_status"].tolist() == [502]
    assert len(n_reads) == 1 + sending._MAX_ROUNDS


def test_two_failures_in_five_requests_do_not_use_the_retries_up(lab_of):
    lab = lab_of(200)
    plan = lab.plan()
    lab.sandbox.faults = Faults(
        shares={"reset": 0.1, "lost_answer": 0.1, 503: 0.1, 429: 0.1}, seed=5, retry_after_s=0
    )
    try:
        run = lab.apply(plan, lab.virtual_time())
    except ApiError:  # one read in a hundred fails five times in a row
        run = load_run(lab.audit)
    # One 429 in ten makes it so slow that what was read may grow old again and again: as the threads happen to meet.
    assert run.ended in {"complete", "unreadable", "too-slow"}
    lab.sandbox.faults = Faults()
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 200
    assert lab.sent_without_reading() == []


def test_more_retries_than_a_run_may_make_end_it_with_the_figures(lab_of):
    lab = lab_of(200)
    plan = lab.plan()
    lab.sandbox.clear_requests()
    # Each call is lost twice and written at the third attempt: two read-backs and two retries each.
    lab.sandbox.faults = Faults(script=["reset", "reset", None] * 1000, methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert run.ended == "retries-used-up"
    n = len(lab.sandbox.requests)
    assert f" of {n} requests of this session repeated ones that had failed" in run.stopped
    n_retries = int(run.stopped.split(" of ")[0])
    assert n_retries == 100 + 2 * (n - n_retries)
    assert run.count(Outcome.FAILED) == 0
    assert run.count(Outcome.UNKNOWN) <= 1
    lab.sandbox.faults = Faults()
    assert lab.apply(plan).count(Outcome.APPLIED) == 200
    assert lab.sent_without_reading() == []
