"""The kernel's Stop while requests are in flight: they are written down, and no later cell runs."""

from __future__ import annotations

import gc
import queue
import textwrap
import threading
import time
from pathlib import Path

import pandas as pd
import pytest
from jupyter_client.manager import KernelManager

from sippet_reconcile.api import Client
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Fault, Faults, Sandbox

# The kernel's own start warns about things that are not ours (its sockets, its debugger).
pytestmark = pytest.mark.filterwarnings("default")

GUARD_S = 120
N_CALLS = 12
IDS = [f"00000000-0000-4000-8000-{n:012d}" for n in range(N_CALLS)]

SET_UP = """
    import sippet_reconcile as sr
    client = sr.Client({url!r}, token={token!r})
    plan = sr.Plan.load({plan!r})
    did_run = []
"""
APPLY = """
    did_run.append("applying")
    run = sr.apply_plan(plan, client, {audit!r}, rate="60/s", concurrency=4)
    did_run.append("applied")
"""
NEXT = "did_run.append('the next cell')"


class Notebook:
    """A real kernel in a process of its own, whose cells are queued as a person queues them."""

    def __init__(self):
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel()
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=GUARD_S)

    def close(self):
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()
        gc.collect()  # what its client leaves unclosed is complained of here, and in no later test

    def queue(self, code):
        """Hand in a cell; return its number."""
        return self._client.execute(textwrap.dedent(code), allow_stdin=False)

    def stop(self):
        """Press the Stop button."""
        self._manager.interrupt_kernel()

    def result(self, cell):
        """Wait for the end of a cell; return its status, what it raised, and what it printed to stderr."""
        until = time.monotonic() + GUARD_S
        while True:
            reply = self._client.get_shell_msg(timeout=max(until - time.monotonic(), 0.1))
            if reply["parent_header"].get("msg_id") == cell:
                return reply["content"]["status"], reply["content"].get("ename")

    def value(self, expression):
        """Return what an expression gives in the kernel, as text."""
        cell = self._client.execute("", user_expressions={"it": expression}, allow_stdin=False)
        until = time.monotonic() + GUARD_S
        while True:
            reply = self._client.get_shell_msg(timeout=max(until - time.monotonic(), 0.1))
            if reply["parent_header"].get("msg_id") == cell:
                return reply["content"]["user_expressions"]["it"]["data"]["text/plain"]

    def printed(self):
        """Return what came on stderr so far."""
        texts = []
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=0.2)
            except queue.Empty:
                return "".join(texts)
            if message["msg_type"] == "stream" and message["content"]["name"] == "stderr":
                texts.append(message["content"]["text"])


@pytest.fixture
def notebook():
    notebook = Notebook()
    yield notebook
    notebook.close()


@pytest.fixture
def api():
    start = pd.Timestamp("2026-10-01T08:00:00Z")
    calls = [
        {
            "id": call_id,
            "attributes": {
                "status": "completed", "direction": "outbound", "duration_seconds": 30,
                "started_at": (start + pd.Timedelta(minutes=n)).isoformat(),
                "ended_at": (start + pd.Timedelta(minutes=n, seconds=60)).isoformat(),
            },
        }
        for n, call_id in enumerate(IDS)
    ]  # fmt: skip
    with Sandbox(calls) as sandbox:
        yield sandbox


def patched(api):
    return [r.path.rsplit("/", 1)[-1] for r in api.requests if r.method == "PATCH"]


def sent_without_reading(api):
    """Return the calls to which a PATCH went that was not preceded by a read of that call since its last one."""
    known, wrong = set(), []
    for request in api.requests:
        if request.method == "GET":
            known |= {call_id for call_id in IDS if call_id in request.query}
        else:
            call_id = request.path.rsplit("/", 1)[-1]
            if call_id not in known:
                wrong.append(call_id)
            known.discard(call_id)
    return wrong


def happens(condition):
    """Wait until a condition holds."""
    ticker = threading.Event()
    for _ in range(GUARD_S * 200):
        if condition():
            return
        ticker.wait(0.005)
    pytest.fail(f"it did not happen within {GUARD_S} s")


@pytest.fixture
def cells(api, tmp_path):
    """Return the cells of a notebook that applies a plan, and the folder of its log."""
    fix = pd.DataFrame({"call_id": IDS, "duration_seconds": "60"}, dtype="str")
    with Client(api.url, token=api.token) as client:
        plan = plan_corrections(client.get_calls(IDS), fix, reason="ticket 4711").approve(by="ana")
    api.clear_requests()
    audit = tmp_path / "audit"
    saved = str(plan.save(tmp_path / "plan.parquet"))
    set_up = SET_UP.format(url=api.url, token=api.token, plan=saved)
    return set_up, APPLY.format(audit=str(audit)), Path(audit)


def stopped(notebook, api, cells, *, n_in_flight=3, presses=1):
    """Queue the run and a cell behind it, stop the kernel while requests are in flight, and check what it left."""
    set_up, apply, audit = cells
    assert notebook.result(notebook.queue(set_up)) == ("ok", None)
    running, behind = notebook.queue(apply), notebook.queue(NEXT)
    happens(lambda: len(patched(api)) >= n_in_flight)
    for _ in range(presses):
        notebook.stop()
    assert notebook.result(running) == ("error", "KeyboardInterrupt")
    assert notebook.result(behind)[0] == "aborted"
    # The kernel lives, and neither the rest of the cell nor the next cell ran.
    assert notebook.value("did_run") == "['applying']"
    assert notebook.printed().count("Interrupted: <Run ") == 1
    state = load_run(audit)
    assert state.ended == "interrupted"
    return state.records["outcome"].value_counts().to_dict()


def finished(notebook, api, cells):
    """Apply again and check that all of it was sent, each call after it was read."""
    _, apply, audit = cells
    api.faults = Faults()
    assert notebook.result(notebook.queue(apply)) == ("ok", None)
    assert notebook.value("run.records['outcome'].value_counts().to_dict()") == "{'applied': 12}"
    assert set(api.calls["duration_seconds"]) == {60}
    assert sent_without_reading(api) == []
    assert AuditLog(audit).verify().ok


@pytest.mark.slow
def test_stop_lets_requests_in_flight_finish_and_no_later_cell_run(notebook, api, cells):
    api.faults = Faults(latency_s=1.0, methods=("PATCH",))
    outcomes = stopped(notebook, api, cells)
    n_sent = len(patched(api))
    assert outcomes == {"applied": n_sent, "pending": 12 - n_sent}
    assert int((AuditLog(cells[2]).records()["event"] == "attempt").sum()) == n_sent
    finished(notebook, api, cells)
    assert sorted(patched(api)) == IDS


@pytest.mark.slow
def test_a_stopped_run_is_finished_in_a_new_kernel(notebook, api, cells):
    api.faults = Faults(latency_s=1.0, methods=("PATCH",))
    stopped(notebook, api, cells)
    other = Notebook()
    try:
        assert other.result(other.queue(cells[0])) == ("ok", None)
        finished(other, api, cells)
    finally:
        other.close()
    assert sorted(patched(api)) == IDS


@pytest.mark.slow
def test_stop_pressed_again_and_again_tears_nothing(notebook, api, cells):
    # Held until long after: only letting go of them ends the cell.
    api.faults = Faults(script=[Fault(hold_s=30.0)] * 4, methods=("PATCH",))
    set_up, apply, audit = cells
    assert notebook.result(notebook.queue(set_up)) == ("ok", None)
    running, behind = notebook.queue(apply), notebook.queue(NEXT)
    happens(lambda: len(patched(api)) == 4)
    is_over = threading.Event()

    def press():
        while not is_over.wait(0.05):
            notebook.stop()

    hand = threading.Thread(target=press)
    hand.start()
    happens(lambda: load_run(audit).ended is not None)
    is_over.set()
    hand.join(GUARD_S)
    assert notebook.result(running) == ("error", "KeyboardInterrupt")
    assert notebook.result(behind)[0] == "aborted"
    assert notebook.value("did_run") == "['applying']"
    state = load_run(audit)
    assert state.ended == "interrupted"
    assert state.records["outcome"].value_counts().to_dict() == {"unknown": 4, "pending": 8}
    finished(notebook, api, cells)
    assert sorted(patched(api)) == IDS


@pytest.mark.slow
def test_a_request_that_outlasts_the_grace_is_unknown_and_its_late_answer_changes_nothing(
    notebook, api, cells
):
    api.faults = Faults(script=[Fault(hold_s=16.0)] * 4, methods=("PATCH",))
    assert stopped(notebook, api, cells, n_in_flight=4) == {"unknown": 4, "pending": 8}
    written = AuditLog(cells[2]).records()
    happens(lambda: [r.status for r in api.requests if r.method == "PATCH"] == [200] * 4)
    # Whoever still waited for the answers in the kernel has them now.
    assert (
        notebook.value(
            "[t.name for t in __import__('threading').enumerate() if 'sippet-apply' in t.name and t.join(60)]"
        )
        == "[]"
    )
    assert AuditLog(cells[2]).records().equals(written)
    finished(notebook, api, cells)
    assert sorted(patched(api)) == IDS
