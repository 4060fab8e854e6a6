"""Ctrl-C: what was sent is known, the rest is pending, and the interrupt is raised again."""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Fault, Faults
from sippet_reconcile.verify import verify_run

GUARD_S = 60
PACKAGE = str(Path(sys.modules["sippet_reconcile"].__file__).parent)
SCRIPT = Path(sys.executable).with_name("sippet-reconcile")

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows sends no interrupt to one process alone")


@pytest.fixture(autouse=True)
def _the_handler_is_given_back():
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def threads_ended(prefix):
    """Wait for the threads of that name; tell whether they ended."""
    # No join: one that is only just being started cannot be joined yet.
    happens(lambda: not any(thread.name.startswith(prefix) for thread in threading.enumerate()))
    return True


def happens(condition):
    """Wait until a condition holds."""
    ticker = threading.Event()
    for _ in range(GUARD_S * 200):
        if condition():
            return
        ticker.wait(0.005)
    pytest.fail(f"it did not happen within {GUARD_S} s")


def press():
    """Press Ctrl-C from any thread: where the system can, it reaches the main one, as it does from a terminal."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


class PressWhen:
    """Presses Ctrl-C once a condition holds; a context manager."""

    def __init__(self, condition, *, times=1):
        self._thread = threading.Thread(target=self._watch, args=(condition, times))

    def _watch(self, condition, times):
        happens(condition)
        for _ in range(times):
            press()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_exc):
        self._thread.join(GUARD_S)


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
    # Three are in flight at a time; the fourth may not have left yet.
    assert state.count(Outcome.APPLIED) == len(lab.patches()) == lab.n_attempts() >= 3
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


def test_a_console_that_is_closed_does_not_swallow_the_interrupt(lab, monkeypatch):
    plan = lab.plan()
    closed = io.StringIO()
    closed.close()
    lab.tap.on_patch = lambda number, _request: number == 3 and press()
    monkeypatch.setattr(sys, "stderr", closed)
    with pytest.raises(KeyboardInterrupt):
        lab.apply(plan, concurrency=1)
    monkeypatch.undo()
    lab.tap.on_patch = lambda _number, _request: None
    finished(lab, plan)


def interrupted(function, at, *, before=True):
    """Return a function during whose n-th call Ctrl-C is pressed."""
    left = [at]

    def call(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0 and before:
            signal.raise_signal(signal.SIGINT)
        result = function(*args, **kwargs)
        if left[0] == 0 and not before:
            signal.raise_signal(signal.SIGINT)
        return result

    return call


@pytest.mark.parametrize("name", ["acquire", "release"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_the_lock_is_free_again_where_ctrl_c_comes_as_it_is_taken_or_given_back(
    lab, monkeypatch, capsys, name, before
):
    plan = lab.plan()
    monkeypatch.setattr(FileLock, name, interrupted(getattr(FileLock, name), 1, before=before))
    with pytest.raises(KeyboardInterrupt) as caught:
        lab.apply(plan)
    monkeypatch.undo()
    n_sent = 0 if name == "acquire" else 12
    assert len(lab.patches()) == n_sent
    assert len(AuditLog(lab.audit).records().query("event == 'run-started'")) == (n_sent > 0)
    assert capsys.readouterr().err.count("Interrupted: <Run ") == (n_sent > 0)
    # The traceback still holds all that the interrupted call held, as it does in a notebook.
    assert caught.tb is not None
    finished(lab, plan)
    assert len(lab.patches()) == 12


@pytest.mark.parametrize("n", range(1, 8))
def test_a_part_is_in_the_log_or_not_where_ctrl_c_comes_as_it_is_flushed(lab, monkeypatch, n):
    plan = lab.plan()
    # The folder at the start; then file and folder of the start, of the intents, and of the outcomes with the end.
    monkeypatch.setattr(os, "fsync", interrupted(os.fsync, n, before=False))
    with pytest.raises(KeyboardInterrupt) as caught:
        lab.apply(plan)
    monkeypatch.undo()
    # Nothing else went wrong, neither at the time nor in writing down the end.
    assert getattr(caught.value, "__notes__", []) == []
    assert threads_ended("sippet-apply")
    records = AuditLog(lab.audit).records()
    assert records["event"].tolist().count("run-ended") == (not records.empty)
    assert lab.n_attempts() == len(lab.patches())
    assert [path.name for path in lab.audit.glob("_writing-*")] == []
    finished(lab, plan)
    assert len(lab.patches()) == 12


class PressAtLine:
    """Presses Ctrl-C as the n-th line of the package is about to run in this thread, and again m lines later."""

    def __init__(self, *lines):
        self._left = list(lines)
        self.pressed_at = []

    def __enter__(self):
        self._before = sys.gettrace()
        self._handler = signal.signal(signal.SIGINT, self._interrupt)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_exc):
        sys.settrace(self._before)
        signal.signal(signal.SIGINT, self._handler)

    def _interrupt(self, number, frame):
        # An exception out of a trace function ends the tracing.
        sys.settrace(self._trace)
        signal.default_int_handler(number, frame)

    def _trace(self, frame, event, _arg):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line" and self._left:
            self._left[0] -= 1
            if self._left[0] <= 0:
                self._left.pop(0)
                self.pressed_at.append(f"{frame.f_code.co_filename[len(PACKAGE) :]}:{frame.f_lineno}")
                signal.raise_signal(signal.SIGINT)
        return self._trace


def press_anywhere(lab, seed):
    """Interrupt a run at some line of the package, perhaps twice, and check what it left."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    plan = lab.plan()
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(latency_s=0.005, methods=("PATCH",))
    # A run is some 25,000 lines of its main thread.
    press = PressAtLine(chance.randint(1, 25_000), *[chance.randint(1, 300)] * chance.randint(0, 1))
    try:
        with press:
            lab.apply(plan, concurrency=3, chunk_s=0.01)
    except KeyboardInterrupt:
        assert press.pressed_at
    else:
        assert not press.pressed_at, f"an interrupt was lost: {press.pressed_at}"
    sys.stdout.write(f"seed {seed}: pressed at {press.pressed_at}\n")
    assert threads_ended("sippet-apply")
    records = AuditLog(lab.audit).records() if lab.audit.is_dir() else None
    if records is None or records.empty:
        assert lab.patches() == []
    else:
        told = Counter(records.loc[records["event"].eq("attempt"), "call_id"])
        assert told == Counter(call_id for call_id, _ in lab.patches())
        assert records["event"].iloc[0] == "run-started"
        assert records["event"].eq("run-ended").sum() == 1
        assert load_run(lab.audit).ended in {"complete", "interrupted"}
    lab.sandbox.faults = Faults()
    finished(lab, plan)
    # Pressed twice, an answer may be unknown; then the call is read again, and is as it was sent.
    assert len(lab.patches()) == 12


@pytest.mark.parametrize("seed", range(6))
def test_ctrl_c_at_any_line_loses_nothing(lab, seed):
    press_anywhere(lab, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 250))
def test_ctrl_c_at_any_line_loses_nothing_wherever(lab, seed):
    press_anywhere(lab, seed)


class Gate(httpx.BaseTransport):
    """Holds the answer of every PATCH but the first two until it is opened."""

    def __init__(self, inner, opened):
        self.inner, self.opened = inner, opened
        self.n_passed = self.n_held = 0
        self._lock = threading.Lock()

    def handle_request(self, request):
        if request.method == "PATCH":
            with self._lock:
                is_held = self.n_passed >= 2
                self.n_passed += 1
        else:
            is_held = False
        answer = self.inner.handle_request(request)
        if is_held:
            with self._lock:
                self.n_held += 1
            assert self.opened.wait(GUARD_S)
        return answer

    def close(self):
        self.inner.close()


def test_another_ctrl_c_lets_go_of_what_is_in_flight_and_writes_it_down_as_unknown(lab):
    plan = lab.plan()
    release, is_pressed = threading.Event(), threading.Event()
    lab.tap.inner = gate = Gate(lab.tap.inner, release)

    def pressed(number, frame):
        is_pressed.set()
        signal.default_int_handler(number, frame)

    def press_twice():
        happens(lambda: gate.n_held == 2)
        press()
        is_pressed.wait(GUARD_S)
        # However quickly it comes: it does not tear what the first one set going.
        while not is_over.wait(0.01):
            press()

    is_over = threading.Event()
    before = signal.signal(signal.SIGINT, pressed)
    hand = threading.Thread(target=press_twice)
    hand.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            lab.apply(plan, concurrency=2)
    finally:
        signal.signal(signal.SIGINT, lambda *_: None)
        is_over.set()
        hand.join(GUARD_S)
        signal.signal(signal.SIGINT, before)
    written = AuditLog(lab.audit).records()
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    assert state.count(Outcome.APPLIED) == 2
    unknown = state.records.query("outcome == 'unknown'")
    assert unknown["error_code"].tolist() == ["unanswered"] * 2
    assert state.count(Outcome.PENDING) == 8
    # The answers come after all, and change nothing in the log.
    release.set()
    assert threads_ended("sippet-apply")
    assert len(lab.patches()) == lab.n_attempts() == 4
    assert AuditLog(lab.audit).records().equals(written)
    finished(lab, plan)
    assert len(lab.patches()) == 12


@pytest.mark.slow
def test_a_request_that_outlasts_the_grace_is_unknown_and_its_late_answer_changes_nothing(lab):
    plan = lab.plan()
    # Written, but answered after 14 seconds: beyond the ten that a request in flight is given.
    lab.sandbox.faults = Faults(script=[Fault(hold_s=14.0)], methods=("PATCH",))
    with PressWhen(lambda: len(lab.patches()) == 1), pytest.raises(KeyboardInterrupt):
        lab.apply(plan, concurrency=1)
    written = AuditLog(lab.audit).records()
    state = load_run(lab.audit)
    assert (state.ended, state.count(Outcome.UNKNOWN), state.count(Outcome.PENDING)) == ("interrupted", 1, 11)
    assert [request.status for _, request in lab.patches()] == [None], "it was answered in time"
    assert threads_ended("sippet-apply")
    assert [request.status for _, request in lab.patches()] == [200]
    assert AuditLog(lab.audit).records().equals(written)
    finished(lab, plan)
    assert len(lab.patches()) == 12


def test_ctrl_c_ends_a_long_pause_that_the_api_asked_for(lab):
    plan = lab.plan()
    throttle = Fault("throttle", retry_after_s=300)
    lab.sandbox.faults = Faults(script=[throttle] * 3, methods=("PATCH",))
    with PressWhen(lambda: any(r.status == 429 for _, r in lab.patches())), pytest.raises(KeyboardInterrupt):
        lab.apply(plan, concurrency=1)
    assert threads_ended("sippet-apply")
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    assert state.count(Outcome.APPLIED) == 0
    assert lab.n_attempts() == len(lab.patches())
    lab.sandbox.faults = Faults()
    finished(lab, plan)


def test_ctrl_c_ends_a_long_pause_ahead_of_anything_sent(lab):
    plan = lab.plan()
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=300)] * 3, methods=("GET",))
    with (
        PressWhen(lambda: any(r.status == 429 for r in lab.sandbox.requests)),
        pytest.raises(KeyboardInterrupt),
    ):
        lab.apply(plan)
    assert threads_ended("sippet-apply")
    assert load_run(lab.audit).count(Outcome.PENDING) == 12
    lab.sandbox.faults = Faults()
    finished(lab, plan)
    assert len(lab.patches()) == 12


def test_ctrl_c_while_calls_are_fetched_leaves_no_thread_however_long_the_pause(lab):
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=300)] * 20, methods=("GET",))
    with (
        PressWhen(lambda: any(r.status == 429 for r in lab.sandbox.requests)),
        pytest.raises(KeyboardInterrupt),
    ):
        lab.client.fetch_calls("2026-10", progress=False)
    assert threads_ended("fetch-calls")


def test_ctrl_c_as_the_readers_of_a_fetch_are_started_leaves_none_of_them(lab, monkeypatch):
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=300)] * 20, methods=("GET",))
    monkeypatch.setattr(threading.Thread, "start", interrupted(threading.Thread.start, 2, before=False))
    with pytest.raises(KeyboardInterrupt):
        lab.client.fetch_calls("2026-10", progress=False)
    monkeypatch.undo()
    assert threads_ended("fetch-calls")


def test_ctrl_c_while_a_run_is_verified_writes_nothing_and_leaves_no_thread(lab):
    run = lab.apply(lab.plan())
    assert threads_ended("sippet-apply")
    written = AuditLog(lab.audit).records()
    before = set(threading.enumerate())
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=300)], methods=("GET",))
    # Pressed as the pause begins that the API asked for.
    with (
        Client(
            lab.sandbox.url, token=lab.sandbox.token, sleep=lambda _s: signal.raise_signal(signal.SIGINT)
        ) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        verify_run(run, client)
    assert set(threading.enumerate()) <= before
    assert AuditLog(lab.audit).records().equals(written)
    assert verify_run(run, lab.client).ok


def test_an_interrupt_raised_in_a_thread_that_is_not_the_main_one_is_written_down_there(lab):
    plan = lab.plan()
    lab.sandbox.faults = Faults(latency_s=0.05, methods=("PATCH",))
    caught = []

    def work():
        try:
            lab.apply(plan, concurrency=1)
        except KeyboardInterrupt as exc:
            caught.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    happens(lambda: len(lab.patches()) >= 3)
    # What a notebook's helpers and debuggers do to stop a thread.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
    )
    thread.join(GUARD_S)
    assert len(caught) == 1
    assert threads_ended("sippet-apply")
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    assert state.count(Outcome.APPLIED) == len(lab.patches()) == lab.n_attempts()
    finished(lab, plan)
    assert len(lab.patches()) == 12


def test_a_program_whose_own_handler_raises_nothing_is_asked_and_the_run_goes_on(lab):
    plan = lab.plan()
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(1))
    lab.tap.on_patch = lambda number, _request: number % 4 == 0 and press()
    try:
        run = lab.apply(plan, concurrency=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert lab.outcomes(run) == ["applied"] * 12
    assert 1 <= len(pressed) <= 3  # the system may take two for one


SCRIPT_TEXT = """
    import sys
    import sippet_reconcile as sr

    url, token, plan, audit = sys.argv[1:]
    client = sr.Client(url, token=token)
    run = sr.apply_plan(sr.Plan.load(plan), client, audit, rate="60/s", concurrency=4, progress=False)
    print("this must not be reached")
"""


def stopped_while_sending(lab, command, env=None):
    """Run a program, press Ctrl-C once three PATCHes are in flight, and return how it ended."""
    lab.sandbox.faults = Faults(latency_s=1.0, methods=("PATCH",))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})}
    ) as child:
        happens(lambda: len(lab.patches()) >= 3)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=GUARD_S)
    lab.sandbox.faults = Faults()
    state = load_run(lab.audit)
    assert state.ended == "interrupted"
    n_sent = len(lab.patches())
    assert state.count(Outcome.APPLIED) == lab.n_attempts() == n_sent
    assert state.count(Outcome.PENDING) == 12 - n_sent > 0
    assert sum(seconds == 60 for seconds in lab.seconds()) == n_sent
    return child.returncode, out, err


@posix_only
@pytest.mark.slow
def test_ctrl_c_stops_a_script_once_its_requests_are_answered_and_written_down(lab, tmp_path):
    plan = lab.plan()
    saved = str(plan.save(tmp_path / "plan.parquet"))
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT_TEXT), encoding="utf-8")
    words = [sys.executable, str(script), lab.sandbox.url, lab.sandbox.token, saved, str(lab.audit)]
    code, out, err = stopped_while_sending(lab, words)
    assert code == -signal.SIGINT
    assert out == ""
    assert err.count("Interrupted: <Run ") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    finished(lab, plan)
    assert len(lab.patches()) == 12


@posix_only
@pytest.mark.slow
def test_ctrl_c_stops_the_command_with_130_and_one_summary_and_no_traceback(lab, tmp_path):
    plan = lab.plan()
    saved = str(plan.save(tmp_path / "plan.parquet"))
    env = {"SIPPET_API_URL": lab.sandbox.url, "SIPPET_API_TOKEN": lab.sandbox.token}
    words = [str(SCRIPT), "apply", saved, "--audit", str(lab.audit), "--rate", "60/s", "--concurrency", "4"]
    code, out, err = stopped_while_sending(lab, words, env)
    assert code == 130
    assert out == ""
    assert "Traceback" not in err
    lines = err.splitlines()
    assert len([line for line in lines if line.startswith("Interrupted: <Run ")]) == 1
    assert lines[-1] == "interrupted"
    again = subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, text=True, timeout=GUARD_S, check=False
    )
    assert again.returncode == 0, again.stderr
    assert lab.seconds() == [60] * 12
    assert lab.sent_without_reading() == []
    assert len(lab.patches()) == 12


@posix_only
def test_pressing_ctrl_c_until_the_command_ends_tears_nothing(lab, tmp_path):
    plan = lab.plan()
    saved = str(plan.save(tmp_path / "plan.parquet"))
    env = os.environ | {"SIPPET_API_URL": lab.sandbox.url, "SIPPET_API_TOKEN": lab.sandbox.token}
    words = [str(SCRIPT), "apply", saved, "--audit", str(lab.audit), "--rate", "60/s", "--concurrency", "2"]
    lab.sandbox.faults = Faults(script=[Fault(), Fault(hold_s=30.0), Fault(hold_s=30.0)], methods=("PATCH",))
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as child:
        happens(lambda: len(lab.patches()) == 3)
        pause = threading.Event()
        while child.poll() is None:
            child.send_signal(signal.SIGINT)
            pause.wait(0.03)  # quicker than any hand
        out, err = child.communicate(timeout=GUARD_S)
    assert child.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert err.count("Interrupted: <Run ") == 1
    state = load_run(lab.audit)
    assert state.records["outcome"].value_counts().to_dict() == {"applied": 1, "unknown": 2, "pending": 9}
    lab.sandbox.faults = Faults()
    # What was written without an answer is not sent again.
    finished(lab, plan)
    assert len(lab.patches()) == 12
