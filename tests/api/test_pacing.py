"""The pace: even, never above the rate in any one second, and honest about pauses."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api.pacing import MAX_RATE, Pacer, Schedule, parse_rate
from sippet_reconcile.errors import InputError

RATES = st.one_of(st.integers(1, 60).map(float), st.floats(0.05, 60.0))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("5/s", 5.0),
        (" 5 / s ", 5.0),
        ("2.5/sec", 2.5),
        ("300/min", 5.0),
        ("30/min", 0.5),
        ("7200/h", 2.0),
        ("limit:50/s", 45.0),
        ("LIMIT: 600/minute", 9.0),
    ],
)
def test_a_rate_is_read(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize(
    "text", ["", "5", "0/s", "-1/s", "fast", "5/day", "1e3/s", "10001/s", "limit:", "nan/s", None, 5]
)
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(InputError, match="rate"):
        parse_rate(text)  # type: ignore[arg-type]


def take_at(schedule: Schedule, now: float) -> float:
    """Wait on a perfect clock until a permit is there, and return when."""
    while wait := schedule.take(now):
        now += wait
    return now


def most_within(instants: list[float], seconds: float) -> int:
    """Count the most instants that any half-open span of this length holds."""
    return max((sum(start <= at < start + seconds for at in instants) for start in instants), default=0)


events = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.floats(0, 0.3)),
        st.tuples(st.just("idle"), st.floats(0, 5)),
        st.tuples(st.just("pause"), st.floats(0, 3)),
        st.tuples(st.just("slow"), st.just(0.0)),
        st.tuples(st.just("ok"), st.just(0.0)),
    ),
    min_size=5,
    max_size=150,
)


@settings(max_examples=50, deadline=None)
@given(rate=RATES, events=events)
def test_no_second_ever_holds_more_than_the_rate(rate: float, events: list[tuple[str, float]]) -> None:
    schedule, now = Schedule(rate), 0.0
    permits: list[float] = []
    paused: list[tuple[float, float]] = []
    for kind, amount in events:
        if kind == "take":
            now = take_at(schedule, now + amount)
            permits.append(now)
        elif kind == "idle":
            now += amount
        elif kind == "pause":
            schedule.pause(now, amount)
            paused.append((now, now + amount))
        elif kind == "slow":
            schedule.slow_down(now)
        else:
            for _ in range(10):
                schedule.ok()
        assert rate / 32 <= schedule.rate <= rate
    # Also where a request needs 10 ms longer from its permit to the server than the one after it.
    assert most_within(permits, 1.0 + 0.0099) <= math.ceil(rate)
    assert not [at for at in permits for start, end in paused if start < at < end]


@settings(max_examples=50, deadline=None)
@given(rate=RATES, lateness=st.lists(st.floats(0, 0.009), min_size=1, max_size=20))
def test_a_busy_pacer_reaches_its_rate_evenly_although_threads_wake_late(
    rate: float, lateness: list[float]
) -> None:
    schedule, now = Schedule(rate), 0.0
    permits = []
    for number in range(max(200, int(rate * 5))):
        now = take_at(schedule, now)
        permits.append(now)
        now += min(lateness[number % len(lateness)], 0.5 / rate)
    gaps = [after - before for before, after in pairwise(permits)]
    assert (len(permits) - 1) / (permits[-1] - permits[0]) >= 0.98 * rate
    assert min(gaps) >= 1 / rate - 0.0101
    assert max(gaps) <= max(1 / rate, 1.01 / math.ceil(rate)) + 0.0101


@settings(max_examples=100, deadline=None)
@given(rate=RATES, steps=st.lists(st.tuples(st.floats(0, 1.5), st.floats(0, 0.9)), min_size=30, max_size=150))
def test_no_second_ever_holds_more_than_the_rate_however_late_requests_leave(
    rate: float, steps: list[tuple[float, float]]
) -> None:
    schedule, now = Schedule(rate), 0.0
    leaving: list[tuple[float, int]] = []  # those that have their permit and did not leave yet
    left: list[float] = []
    for idle, late in steps:
        now += idle if idle > 1 else 0.0  # mostly busy

        def leave(until: float) -> None:
            for at, permit in sorted(leaving):
                if at <= until:
                    schedule.left(at, permit)
                    left.append(at)
                    leaving.remove((at, permit))

        leave(now)
        while wait := schedule.take(now):
            now += wait
            leave(now)
        leaving.append((now + late, schedule.n_permits))
    left += [at for at, _ in leaving]
    assert len(left) == len(steps)
    assert most_within(left, 1.0) <= math.ceil(rate)


@settings(max_examples=100, deadline=None)
@given(rate=RATES, events=events, jumps=st.lists(st.floats(0, 10), min_size=1, max_size=5))
def test_whatever_happened_the_next_permit_comes_and_then_the_pace_is_kept(
    rate: float, events: list[tuple[str, float]], jumps: list[float]
) -> None:
    schedule, now = Schedule(rate), 0.0
    for number, (kind, amount) in enumerate(events):
        if kind == "take":
            schedule.take(now)  # whoever asks may also give up
        elif kind == "pause":
            schedule.pause(now, amount)
        elif kind == "slow":
            schedule.slow_down(now)
        else:
            schedule.ok()
            now += jumps[number % len(jumps)] if kind == "idle" else 0.0
    latest = max(now, schedule.paused_until) + 1.01 + 1 / schedule.rate
    first = take_at(schedule, now)
    assert first <= latest
    for _ in range(400):
        schedule.ok()
    assert schedule.rate == rate
    # Gaps of the slower pace run out; from then on a second brings all that it may.
    start = take_at(schedule, first + 32 / rate)
    at = start
    for _ in range(200):
        at = take_at(schedule, at)
    assert 200 / (at - start) >= 0.98 * rate


@given(rate=RATES, n=st.integers(2, 50))
def test_while_time_stands_still_one_request_leaves(rate: float, n: int) -> None:
    schedule = Schedule(rate)
    assert [schedule.take(7.0) == 0 for _ in range(n)] == [True] + [False] * (n - 1)


def test_what_a_machine_makes_late_is_caught_up_little_by_little() -> None:
    """A thread that wakes 0.2 s late costs no more than that, and no two requests leave together for it."""
    for rate in (5.0, 20.0, 50.0):
        schedule, now, permits = Schedule(rate), 0.0, []
        for number in range(int(rate * 60)):
            wait = schedule.take(now)
            while wait:
                now += wait + (0.2 if number in {int(rate * 3), int(rate * 30)} else 0.0)
                wait = schedule.take(now)
            permits.append(now)
        gaps = [after - before for before, after in pairwise(permits)]
        assert (len(permits) - 1) / (permits[-1] - permits[0]) >= 0.98 * rate
        assert most_within(permits, 1.0) <= rate
        assert min(gaps) >= 0.4 / rate


def test_idle_time_earns_no_burst() -> None:
    schedule = Schedule(5)
    first = take_at(schedule, 0.0)
    later = [take_at(schedule, 100.0)]
    for _ in range(4):
        later.append(take_at(schedule, later[-1]))
    assert first == 0.0
    assert later == pytest.approx([100.0, 100.202, 100.404, 100.606, 100.808], abs=1e-3)


def test_a_slow_rate_has_even_gaps() -> None:
    schedule, at = Schedule(parse_rate("30/min")), [0.0]
    take_at(schedule, 0.0)
    for _ in range(3):
        at.append(take_at(schedule, at[-1]))
    assert at == pytest.approx([0.0, 2.0, 4.0, 6.0], abs=1e-3)


def test_a_pause_is_never_shortened_by_a_later_one() -> None:
    schedule = Schedule(10)
    schedule.pause(0.0, 5.0)
    schedule.pause(1.0, 1.0)
    schedule.pause(1.0, -3.0)
    assert take_at(schedule, 1.0) == pytest.approx(5.0)


def test_the_pace_halves_once_per_incident_and_comes_back_in_steps() -> None:
    schedule = Schedule(20)
    schedule.slow_down(0.0)
    schedule.slow_down(0.5)  # the other requests of the same incident
    assert schedule.rate == 10
    schedule.slow_down(2.0)
    assert schedule.rate == 5
    seen = []
    for _ in range(80):
        schedule.ok()
        seen.append(schedule.rate)
    assert seen == sorted(seen)
    assert seen[8] == 5
    assert seen[9] == 7
    assert seen[-1] == 20


@pytest.mark.parametrize("rate", [0, -1, math.nan, MAX_RATE + 1])
def test_a_schedule_needs_a_rate(rate: float) -> None:
    with pytest.raises(InputError, match="rate_per_s"):
        Schedule(rate)


def test_threads_share_one_pace() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds  # only the head of the queue sleeps, so nobody else writes

    pacer = Pacer(100, clock=lambda: now[0], sleep=sleep)
    granted: list[bool] = []

    def work() -> None:
        granted.extend(pacer.acquire() for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert granted == [True] * 60
    assert now[0] == pytest.approx(59 * 1.01 / 100, abs=1e-3)


def test_a_waiting_thread_lets_go_when_it_is_told_to() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pacer = Pacer(1, clock=lambda: now[0], sleep=sleep)
    pacer.pause(3600)
    assert pacer.paused_until == 3600
    assert pacer.acquire(cancelled=lambda: now[0] > 1) is False
    assert now[0] < 2
    assert pacer.acquire() is True
    assert now[0] == pytest.approx(3600, abs=0.01)


def test_a_thread_behind_another_lets_go_too() -> None:
    stop = threading.Event()
    asleep = threading.Event()

    def sleep(seconds: float) -> None:
        asleep.set()
        stop.wait(seconds)

    pacer = Pacer(1, sleep=sleep)
    pacer.pause(3600)
    head = threading.Thread(target=pacer.acquire, kwargs={"cancelled": stop.is_set})
    head.start()
    assert asleep.wait(60)
    assert pacer.acquire(cancelled=lambda: True) is False  # while the head still sleeps
    assert head.is_alive()
    stop.set()
    head.join(60)
    assert not head.is_alive()


def queue_of(pacer: Pacer, n: int) -> None:
    """Wait until so many threads queue at a pacer."""
    for _ in range(60_000):
        if len(pacer._queue) == n:
            return
        threading.Event().wait(0.001)
    pytest.fail(f"{len(pacer._queue)} threads queue, not {n}")


def test_permits_go_to_the_urgent_ahead_of_the_others_and_else_in_the_order_of_asking() -> None:
    now, may_pass = [0.0], threading.Event()

    def sleep(seconds: float) -> None:
        may_pass.wait(60)
        now[0] += seconds

    pacer = Pacer(10, clock=lambda: now[0], sleep=sleep)
    assert pacer.acquire()
    permits: dict[int, str] = {}

    def ask(name: str) -> None:
        pacer.acquire(is_urgent=name.isupper())
        permits[pacer._mine.permit] = name

    threads = []
    for number, name in enumerate(["head", "first", "URGENT", "second", "URGENT TOO", "third"], start=1):
        threads.append(threading.Thread(target=ask, args=(name,)))
        threads[-1].start()
        queue_of(pacer, number)
    may_pass.set()
    for thread in threads:
        thread.join(60)
    in_order = [permits[permit] for permit in sorted(permits)]
    assert in_order == ["head", "URGENT", "URGENT TOO", "first", "second", "third"]


def test_whoever_gives_up_in_the_queue_holds_up_nobody() -> None:
    now, may_pass, tired = [0.0], threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        may_pass.wait(60)
        now[0] += seconds

    pacer = Pacer(10, clock=lambda: now[0], sleep=sleep)
    assert pacer.acquire()
    got: dict[str, bool] = {}
    threads = []
    for number, name in enumerate(["head", "tired", "last"], start=1):
        cancelled = tired.is_set if name == "tired" else None
        thread = threading.Thread(
            target=lambda name=name, cancelled=cancelled: got.update(
                {name: pacer.acquire(cancelled=cancelled)}
            )  # type: ignore[misc]
        )
        thread.start()
        threads.append(thread)
        queue_of(pacer, number)
    tired.set()
    threads[1].join(60)
    may_pass.set()
    for thread in threads:
        thread.join(60)
    assert got == {"head": True, "tired": False, "last": True}


def test_a_request_that_leaves_late_is_counted_from_where_it_left() -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    pacer = Pacer(2, clock=lambda: now[0], sleep=sleep)
    pacer.left()  # a thread that took none
    assert pacer.acquire()
    now[0] = 0.4
    pacer.left()
    assert pacer.acquire()
    assert pacer.acquire()
    assert now[0] >= 1.4


def test_a_pacer_tells_its_pace() -> None:
    pacer = Pacer(8)
    pacer.slow_down()
    assert pacer.rate == 4
    for _ in range(100):
        pacer.ok()
    assert repr(pacer) == "<Pacer 8/s of 8/s>"
