"""The pace on real sockets: even, without a gap at the end of a chunk, never above the rate, and honest about pauses.

A machine that is busy with something else makes requests leave later, and later than they say.
So all that takes real time is judged at the best of a few tries, beside threads that do nothing
but wait for the same pace on the same machine at the same time: where those are held up, less is asked.
"""

from __future__ import annotations

import math
import random
import threading
import time
from itertools import pairwise

import pytest

from sippet_reconcile.api.pacing import Pacer, Schedule, parse_rate
from sippet_reconcile.run import Outcome
from sippet_reconcile.sandbox import Fault, Faults, Switches
from sippet_reconcile.sandbox.limiter import Limiter

TRIES = 3
LATENCY_S = 0.2


class Stopwatch:
    """Notes when requests leave, and when answers come with a status that is asked for."""

    def __init__(self, lab, clock=time.monotonic):
        self._send, self._clock = lab.tap.handle_request, clock
        self.left, self.answered = [], []
        lab.tap.handle_request = self.handle_request

    def handle_request(self, request):
        self.left.append(self._clock())
        answer = self._send(request)
        self.answered.append((answer.status_code, self._clock()))
        return answer

    def reached(self, n_first=0):
        """Return the requests per second from the first to the last, leaving out so many at the start."""
        return pace_of(sorted(self.left)[n_first:])

    def most_within(self, seconds):
        return max(sum(start <= at < start + seconds for at in self.left) for start in self.left)


class Metronome:
    """As many threads as a run has, which only wait for a permit and then for an answer that never tarries."""

    def __init__(self, rate, latency_s):
        self._pacer, self._latency_s, self._is_over = Pacer(rate), latency_s, threading.Event()
        self.left = []

    def __enter__(self):
        self._threads = [threading.Thread(target=self._beat) for _ in range(16)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _beat(self):
        while self._pacer.acquire(cancelled=self._is_over.is_set):
            self.left.append(time.monotonic())
            self._is_over.wait(self._latency_s)


def pace_of(left):
    left = sorted(left)
    return (len(left) - 1) / (left[-1] - left[0])


def share_of_even_gaps(left, rate):
    gaps = [after - before for before, after in pairwise(sorted(left))]
    return sum(0.5 / rate <= gap <= 1.5 / rate for gap in gaps) / len(gaps)


def is_quiet(beats, rate):
    """Tell whether the machine let a metronome beat as it should; where it did not, it had others to serve."""
    return pace_of(beats) >= 0.985 * rate and share_of_even_gaps(beats, rate) >= 0.99


def paces(lab_of, rate, n, *, tries=TRIES, latency_s=LATENCY_S, n_first=0, **options):
    """Apply a plan again and again; yield the share of the rate that was reached, and whether it was quiet.

    A metronome reaches 99 % where the machine has nothing else to do; what it lacks there is the machine's.
    """
    most = []
    for number in range(tries):
        lab = lab_of(n)
        plan = lab.plan()
        lab.sandbox.faults = Faults(latency_s=latency_s)
        watch = Stopwatch(lab)
        with Metronome(rate, latency_s) as metronome:
            run = lab.apply(plan, rate=f"{rate}/s", **options)
        lab.audit.rename(lab.audit.with_name(f"audit-{number}"))
        assert run.count(Outcome.APPLIED) == n
        most.append(watch.most_within(1.0))
        if most[-1] > rate:
            continue  # a thread may be held up between saying that its request leaves and letting it leave
        lacking = max(0.99 - pace_of(metronome.left) / rate, 0.0)
        yield watch.reached(n_first) / rate + lacking, is_quiet(metronome.left, rate)
    assert min(most) <= rate, f"requests within a second, at most: {most}"


def reaches(seen, *, quiet, busy):
    """Tell whether a try reaches what a quiet or a busy machine lets it reach; what it would take else."""
    told = []
    for reached, was_quiet in seen:
        told.append((round(reached, 3), was_quiet))
        if reached >= (quiet if was_quiet else busy):
            return True
    pytest.fail(f"shares of the rate, and whether the machine was quiet: {told}")


@pytest.mark.slow
def test_the_pace_does_not_stop_between_chunks(lab_of):
    """Chunks of three seconds: waiting for each one's last answer, and for the next read's, would cost a quarter."""
    seen = paces(lab_of, 20, 130, latency_s=0.5, n_first=5, chunk_s=3.0)
    assert reaches(seen, quiet=0.93, busy=0.87)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "n"), [(5, 110), (20, 440), (50, 1_100)])
def test_the_rate_is_reached_at_a_fifth_of_a_second_of_latency(lab_of, rate, n):
    assert reaches(paces(lab_of, rate, n), quiet=0.98, busy=0.95)


@pytest.mark.slow
def test_one_chunk_after_the_other_would_not_reach_it(lab_of):
    """Or the first of these tests would prove nothing."""
    seen = paces(lab_of, 20, 130, latency_s=0.5, n_first=5, chunk_s=3.0, looks_ahead=False)
    assert next(seen)[0] < 0.85


@pytest.mark.slow
def test_requests_leave_evenly(lab_of):
    shares = []
    for number in range(TRIES):
        lab = lab_of(150)
        plan = lab.plan()
        lab.sandbox.faults = Faults(latency_s=LATENCY_S)
        watch = Stopwatch(lab)
        with Metronome(20, LATENCY_S) as metronome:
            lab.apply(plan, rate="20/s")
        lab.audit.rename(lab.audit.with_name(f"audit-{number}"))
        # What was late once leaves a gap in each second after it, so that none holds more than the rate.
        margin = 0.12 if is_quiet(metronome.left, 20) else 0.2
        shares.append((share_of_even_gaps(watch.left, 20), share_of_even_gaps(metronome.left, 20)))
        if shares[-1][0] >= shares[-1][1] - margin:
            return
    pytest.fail(f"shares of even gaps, of the run and of the metronome: {shares}")


@pytest.mark.slow
def test_retry_after_stops_every_thread(lab_of):
    """Judged at the best of a few tries: a thread that has its permit may be held up until the pause is on."""
    told = []
    for number in range(TRIES):
        lab = lab_of(80)
        plan = lab.plan()
        lab.sandbox.faults = Faults(
            latency_s=0.05, script=[None] * 12 + [Fault("throttle", retry_after_s=1.5)], methods=("PATCH",)
        )
        watch = Stopwatch(lab)
        run = lab.apply(plan, rate="40/s")
        lab.audit.rename(lab.audit.with_name(f"audit-{number}"))
        assert run.count(Outcome.APPLIED) == 80
        (throttled_at,) = [at for status, at in watch.answered if status == 429]
        assert [at for at in watch.left if at >= throttled_at + 1.5]
        # What has its permit already may leave while the answer is being read.
        told.append([at - throttled_at for at in watch.left if 0.5 <= at - throttled_at < 1.5])
        if told[-1] == []:
            return
    pytest.fail(f"seconds from the 429 at which requests left: {told}")


def test_after_a_429_the_pace_is_half_and_comes_back_step_by_step(lab_of):
    """On a clock that only the wait for a permit moves."""
    lab = lab_of(90)
    plan, tools = lab.plan(), lab.virtual_time()
    lab.sandbox.faults = Faults(script=[None] * 20 + [Fault("throttle", retry_after_s=2)], methods=("PATCH",))
    watch = Stopwatch(lab, clock=tools.clock)
    run = lab.apply(plan, tools, rate="40/s", concurrency=1)
    assert run.count(Outcome.APPLIED) == 90
    gaps = [after - before for before, after in pairwise(watch.left)]
    pause = gaps.index(max(gaps))
    assert max(gaps) >= 2
    assert [round(1.01 / gap) for gap in gaps[5:pause]] == [40] * (pause - 5)
    paces = [1.01 / gap for gap in gaps[pause + 1 :]]
    assert round(paces[0]) == 20
    assert all(after > before - 0.5 for before, after in pairwise(paces))
    assert [round(paces[place]) for place in (4, 14, 24, 34, 44)] == [20, 24, 28, 32, 36]
    assert round(paces[-1]) == 40


@pytest.mark.parametrize("seed", range(20))
def test_a_published_limit_is_kept_although_requests_take_longer_or_shorter_on_their_way(seed):
    """By the clock of the test, with the sandbox's own limiter; over sockets the slow tests ask the same."""
    chance, limit = random.Random(seed), 25  # noqa: S311 - repeatable, not secret
    schedule, now, arrivals = Schedule(parse_rate(f"limit:{limit}/s")), 0.0, []
    for _ in range(500):
        while wait := schedule.take(now):
            now += wait
        arrivals.append(now + chance.random() * 0.06)
    limiter = Limiter(limit)
    assert all(limiter.admit(at) for at in sorted(arrivals))


@pytest.mark.slow
def test_a_run_at_a_published_limit_draws_no_429(lab_of):
    """A machine that stands still lets requests arrive all at once, so it is judged at the best of a few tries."""
    limit, refused = 25, []
    for number in range(TRIES):
        lab = lab_of(100, switches=Switches(rate_limit_per_s=limit))
        plan = lab.plan()
        chance = random.Random(number)  # noqa: S311 - repeatable, not secret
        send = lab.tap.handle_request

        def on_the_way(request, send=send, chance=chance):
            threading.Event().wait(chance.random() * 0.06)
            return send(request)

        time.sleep(1.0)  # what was read for the plan counts too
        before = lab.sandbox.rate_violations
        lab.tap.handle_request = on_the_way
        with Metronome(25, LATENCY_S) as metronome:
            run = lab.apply(plan, rate=f"limit:{limit}/s")
        lab.audit.rename(lab.audit.with_name(f"audit-{number}"))
        assert run.count(Outcome.APPLIED) == 100
        refused.append(lab.sandbox.rate_violations - before)
        if refused[-1] <= (0 if is_quiet(metronome.left, 25) else 5):
            return
    pytest.fail(f"requests over the limit: {refused}")


@pytest.mark.parametrize("rate", ["5/min", "20/min", "1/s"])
def test_a_slow_run_reads_no_call_twice(lab_of, rate):
    """Nothing that is read ahead grows older than 15 seconds before it is sent."""
    lab = lab_of(14)
    plan, tools = lab.plan(), lab.virtual_time()
    lab.sandbox.clear_requests()
    watch = Stopwatch(lab, clock=tools.clock)
    run = lab.apply(plan, tools, rate=rate)
    assert run.count(Outcome.APPLIED) == 14
    assert lab.sent_without_reading() == []
    per_chunk = max(1, int(10 * parse_rate(rate) * 50 / 51))
    n_reads = sum(request.method == "GET" for request in lab.sandbox.requests)
    assert n_reads == math.ceil(14 / per_chunk)
    assert max(watch.left) == pytest.approx(
        watch.left[0] + (len(watch.left) - 1) / parse_rate(rate), rel=0.02
    )
