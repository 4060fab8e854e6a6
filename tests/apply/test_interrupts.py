"""Ctrl-C and kill -9: what was sent is known, and nothing is sent again unread."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Faults


def finished(lab, plan):
    """Apply to the end and check that the log and the API tell the same."""
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 12
    assert lab.seconds() == [60] * 12
    assert lab.sent_without_reading() == []
    assert AuditLog(lab.audit).verify(head=run.head).ok
    return run


def test_an_interrupt_from_the_progress_reporter_is_written_down_and_raised_again(lab, capsys):
    plan = lab.plan()
    interrupted = threading.Event()

    def report(done, _total, _label):
        if done >= 3:
            interrupted.set()
            raise KeyboardInterrupt

    # However slowly the reporter is asked, the run is not through by then.
    lab.tap.on_patch = lambda number, _request: number <= 4 or interrupted.wait(60)
    with pytest.raises(KeyboardInterrupt):
        lab.apply(plan, progress=report, concurrency=1)
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    assert state.count(Outcome.APPLIED) == len(lab.patches()) == lab.n_attempts()
    assert state.count(Outcome.PENDING) == 12 - len(lab.patches())
    assert state.count(Outcome.PENDING) > 0
    told = capsys.readouterr()
    assert told.err.startswith("Interrupted: <Run ")
    assert told.out == ""
    finished(lab, plan)
    assert len(lab.patches()) == lab.n_attempts() == 12


def test_ctrl_c_lets_requests_in_flight_finish_and_writes_them_down(lab):
    plan = lab.plan()
    lab.sandbox.faults = Faults(latency_s=0.1, methods=("PATCH",))

    def press(number, _request):
        if number == 4:
            signal.raise_signal(signal.SIGINT)

    lab.tap.on_patch = press
    with pytest.raises(KeyboardInterrupt):
        lab.apply(plan, concurrency=3)
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    assert state.count(Outcome.APPLIED) == len(lab.patches()) == lab.n_attempts() >= 4
    assert state.count(Outcome.UNKNOWN) == 0
    lab.sandbox.faults = Faults()
    lab.tap.on_patch = lambda _number, _request: None
    finished(lab, plan)
    assert len(lab.patches()) == 12


def test_another_error_in_the_main_thread_is_written_down_and_raised(lab):
    plan = lab.plan()

    def report(done, _total, _label):
        if done >= 2:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.apply(plan, progress=report)
    assert load_run(lab.audit).ended == "error"
    assert lab.n_attempts() == len(lab.patches())
    finished(lab, plan)


def test_it_works_inside_a_running_event_loop(lab):
    plan = lab.plan(3)

    async def cell():
        return apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)

    assert lab.outcomes(asyncio.run(cell())) == ["applied"] * 3


def test_it_works_outside_of_the_main_thread(lab):
    plan = lab.plan(3)
    runs = []
    thread = threading.Thread(target=lambda: runs.append(lab.apply(plan)))
    thread.start()
    thread.join()
    assert lab.outcomes(runs[0]) == ["applied"] * 3


def test_no_thread_is_left_behind(lab):
    before = set(threading.enumerate())
    lab.apply(lab.plan())
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(timeout=60)
    assert [thread for thread in left if thread.is_alive() and thread.name.startswith("sippet-apply")] == []


CHILD = """
    import sys
    from sippet_reconcile.api import Client
    from sippet_reconcile.apply import apply_plan
    from sippet_reconcile.plan import Plan

    url, token, plan, audit = sys.argv[1:]
    client = Client(url, token=token)
    print("ready", flush=True)
    apply_plan(Plan.load(plan), client, audit, rate="60/s", progress=False)
"""


def kill_and_resume(lab, tmp_path, seed):
    """Kill a run as it is about to send one of its requests, then resume it and check everything."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    plan = lab.plan()
    path = plan.save(tmp_path / "plan.parquet")
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(latency_s=0.01, jitter_s=0.02, lost_answer_share=0.1, seed=seed)
    kill_at = chance.randint(1, 13)
    command = [
        sys.executable,
        "-c",
        textwrap.dedent(CHILD),
        lab.sandbox.url,
        lab.sandbox.token,
        path,
        lab.audit,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        while child.poll() is None and len(lab.sandbox.requests) < kill_at:
            time.sleep(0.001)
        child.kill()
        child.wait()
    # What the child had sent and nobody had read yet would otherwise land in the midst of the next run.
    lab.sandbox.stop()
    lab.sandbox.start()
    lab.sandbox.faults = Faults()
    if lab.audit.exists():
        written = set(AuditLog(lab.audit).records().query("event == 'intent'")["call_id"])
        assert {call_id for call_id, _ in lab.patches()} <= written
    n_sent = len(lab.patches())
    finished(lab, plan)
    # Only what had not landed was sent again.
    assert len(lab.patches()) <= n_sent + 12


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_killed_run_loses_no_fact_and_resumes(lab, tmp_path, seed):
    kill_and_resume(lab, tmp_path, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 125))
def test_a_killed_run_loses_no_fact_and_resumes_wherever_it_is_killed(lab, tmp_path, seed):
    kill_and_resume(lab, tmp_path, seed)
