"""Tasks run in threads while the main thread looks on."""

from __future__ import annotations

import threading

import pytest

from sippet_reconcile.apply.stopping import StopSign
from sippet_reconcile.apply.workers import Task, Workers


@pytest.fixture
def workers():
    team = Workers(StopSign(max_failures=10))
    team.grow(2)
    yield team
    team.close()


def test_looking_on_costs_no_more_with_many_tasks(workers):
    ticks, done = [], []
    tasks = [Task(lambda: done.append(1)) for _ in range(2_000)]
    workers.run(tasks, lambda: ticks.append(1))
    assert len(done) == 2_000
    assert len(ticks) < 1_000


def test_a_slow_task_is_looked_at_while_it_runs(workers):
    seen = threading.Event()
    came = []
    workers.run([Task(lambda: came.append(seen.wait(30)))], seen.set)
    assert came == [True]
