"""Tasks run in threads while the main thread looks on."""

from __future__ import annotations

import threading

import pytest

from sippet_reconcile.apply.stopping import End, StoppedError, StopSign
from sippet_reconcile.apply.workers import Workers


@pytest.fixture
def stop():
    return StopSign(max_failures=10)


@pytest.fixture
def workers(stop):
    team = Workers(stop)
    yield team
    team.close()


def wait_for(workers, *batches):
    """Look on until batches are through, for a minute at most."""
    for _ in range(6_000):
        if all(batch.is_done for batch in batches):
            return
        workers.wait(0.01)
    pytest.fail("the tasks did not end")


def test_every_task_runs_once(workers):
    workers.grow(4)
    done = []
    batch = workers.submit([lambda n=n: done.append(n) for n in range(2_000)])
    wait_for(workers, batch)
    assert sorted(done) == list(range(2_000))
    assert workers.n_waiting == 0


def test_a_batch_without_tasks_is_through_at_once(workers):
    assert workers.submit([]).is_done


def test_the_main_thread_can_look_on_while_a_task_runs(workers):
    workers.grow(1)
    seen, came = threading.Event(), []
    batch = workers.submit([lambda: came.append(seen.wait(60))])
    workers.wait(0.01)
    assert not batch.is_done
    seen.set()
    wait_for(workers, batch)
    assert came == [True]


def test_urgent_tasks_go_ahead_of_those_that_wait_and_each_kind_in_its_order(workers):
    order = []
    batches = [
        workers.submit([lambda n=n: order.append(n) for n in range(3)]),
        workers.submit([lambda n=n: order.append(n) for n in (10, 11)], is_urgent=True),
        workers.submit([lambda: order.append(3)]),
        workers.submit([lambda: order.append(12)], is_urgent=True),
    ]
    workers.grow(1)
    wait_for(workers, *batches)
    assert order == [10, 11, 12, 0, 1, 2, 3]


def test_no_task_begins_once_the_run_is_stopped_and_what_is_under_way_is_waited_for(workers, stop):
    workers.grow(1)
    begun, may_end, done = threading.Event(), threading.Event(), []

    def work():
        begun.set()
        may_end.wait(60)
        done.append("under way")

    batch = workers.submit([work, lambda: done.append("too late")])
    assert begun.wait(60)
    stop.stop(End.INTERRUPTED, "by hand")
    threading.Timer(0.05, may_end.set).start()
    workers.drain(60)
    assert done == ["under way"]
    wait_for(workers, batch)
    assert done == ["under way"]


def test_what_hangs_is_not_waited_for_beyond_the_grace(workers, stop):
    workers.grow(1)
    begun, may_end = threading.Event(), threading.Event()
    batch = workers.submit([lambda: (begun.set(), may_end.wait(60))])
    assert begun.wait(60)
    stop.stop(End.INTERRUPTED, "by hand")
    workers.drain(0.02)
    assert not batch.is_done
    may_end.set()
    wait_for(workers, batch)


def test_an_error_in_a_task_stops_the_run_and_is_raised_where_the_main_thread_asks(workers, stop):
    workers.grow(1)
    workers.require_sound()

    def fail():
        raise ZeroDivisionError

    batch = workers.submit([fail, lambda: None])
    wait_for(workers, batch)
    assert stop.kind is End.ERROR
    with pytest.raises(ZeroDivisionError):
        workers.require_sound()


def test_a_task_that_is_stopped_while_it_waits_is_no_error(workers):
    workers.grow(1)

    def stopped():
        raise StoppedError

    wait_for(workers, workers.submit([stopped]))
    workers.require_sound()
