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
    # Also where a request needs 15 ms longer from its permit to the server than the one after it.
    assert most_within(permits, 1.0 + 0.0149) <= math.ceil(rate)
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
    assert max(gaps) <= max(1 / rate, 1.015 / math.ceil(rate)) + 0.0101


def test_idle_time_earns_no_burst() -> None:
    schedule = Schedule(5)
    first = take_at(schedule, 0.0)
    later = [take_at(schedule, 100.0)]
    for _ in range(4):
        later.append(take_at(schedule, later[-1]))
    assert first == 0.0
    assert later == pytest.approx([100.0, 100.203, 100.406, 100.609, 100.812], abs=1e-3)


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
    assert now[0] == pytest.approx(59 * 1.015 / 100, abs=1e-3)


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


def test_a_pacer_tells_its_pace() -> None:
    pacer = Pacer(8)
    pacer.slow_down()
    assert pacer.rate == 4
    for _ in range(100):
        pacer.ok()
    assert repr(pacer) == "<Pacer 8/s of 8/s>"
