"""Nothing listens beyond this machine, and files of personal data are for their owner alone."""

from __future__ import annotations

import inspect
import os
import socket
import stat

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import write_calls
from sippet_reconcile.cli.sandbox import sandbox_command
from sippet_reconcile.sandbox import Sandbox, serve

pytestmark = pytest.mark.filterwarnings("error")


def addresses_of(sandbox):
    return {listener.getsockname()[0] for server in sandbox._server.servers for listener in server.sockets}


def test_the_sandbox_listens_on_loopback_alone():
    with Sandbox() as sandbox:
        assert addresses_of(sandbox) == {"127.0.0.1"}
        assert sandbox.url.startswith("http://127.0.0.1:")
        port = int(sandbox.url.rpartition(":")[2])
        with socket.socket() as other:
            other.settimeout(5)
            # Another address of this machine's own; nobody listens there.
            with pytest.raises(OSError, match=r"refused|timed out|assign|unreachable"):
                other.connect(("127.0.0.2", port))


def test_no_argument_makes_the_sandbox_listen_elsewhere():
    for takes in (Sandbox.__init__, serve):
        assert not {"host", "bind", "address", "interface"} & set(inspect.signature(takes).parameters)
    assert not {"host", "bind", "address", "interface"} & {option.name for option in sandbox_command.params}


def test_the_environment_does_not_move_the_sandbox(monkeypatch):
    for name in ("HOST", "UVICORN_HOST", "UVICORN_FD", "FORWARDED_ALLOW_IPS", "SIPPET_HOST"):
        monkeypatch.setenv(name, "0.0.0.0")  # noqa: S104 - that it does nothing is the point
    with Sandbox() as sandbox:
        assert addresses_of(sandbox) == {"127.0.0.1"}


# Files


@pytest.fixture
def everybody_may_read():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def calls():
    document = {"type": "Call", "id": "00000000-0000-4000-8000-000000000000", "attributes": {
        "call_uuid": "uuid-0", "direction": "inbound", "from_number": "+442079460001", "to_number": "+442079460002", "sip_username": None,
        "status": "completed", "call_source": "sip", "conversation_id": None, "duration_seconds": 30,
        "started_at": "2026-10-01T08:00:00.000000Z", "ended_at": "2026-10-01T08:01:00.000000Z"}}  # fmt: skip
    with Sandbox({"data": [document]}) as sandbox, sr.Client(sandbox.url, token=sandbox.token) as client:
        yield client.get_calls([document["id"]])


@pytest.fixture
def plan(calls):
    fix = pd.DataFrame({"call_id": calls["id"], "duration_seconds": pd.Series(["60"], dtype="str")})
    return sr.plan_corrections(calls, fix, reason="ticket 4711")


@pytest.fixture
def rec(calls):
    legs = sr.cdr_from_frame(
        pd.DataFrame({"uuid": ["uuid-0"], "start": ["2026-10-01 08:00:00"], "end": ["2026-10-01 08:01:00"], "secs": ["60"]}, dtype="str"),
        columns={"call_key": "uuid", "started_at": "start", "ended_at": "end", "billable_s": "secs"},
        timezone="UTC",
    )  # fmt: skip
    return sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(
    os.name == "nt", reason="Windows knows no such modes: what a folder allows holds for its files"
)
@pytest.mark.usefixtures("everybody_may_read")
def test_plans_calls_and_reconciliations_are_for_their_owner_alone(calls, plan, rec, tmp_path):
    assert mode(write_calls(calls, tmp_path / "calls.parquet")) == 0o600
    assert mode(plan.save(tmp_path / "plan.parquet")) == 0o600
    assert mode(plan.dry_run().to_excel(tmp_path / "review.xlsx")) == 0o600
    assert mode(plan.dry_run().to_html(tmp_path / "dry_run.html")) == 0o600
    folder = rec.save(tmp_path / "october")
    assert mode(folder) == 0o700
    # Saved again over files that everybody could read, they are for their owner again.
    for path in (tmp_path / "calls.parquet", tmp_path / "plan.parquet", folder):
        path.chmod(0o777)
    write_calls(calls, tmp_path / "calls.parquet")
    plan.approve(by="ana").save(tmp_path / "plan.parquet")
    rec.save(folder)
    assert [mode(tmp_path / name) for name in ("calls.parquet", "plan.parquet", "october")] == [
        0o600,
        0o600,
        0o700,
    ]


@pytest.mark.usefixtures("everybody_may_read")
def test_pages_mask_the_numbers_that_plans_and_reconciliations_hold(plan, rec, tmp_path):
    text = plan.dry_run().to_html(tmp_path / "dry.html").read_text() + plan._repr_html_() + rec._repr_html_()
    assert "442079460001" not in text
    assert "442079460002" not in text
