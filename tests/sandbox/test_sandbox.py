"""The sandbox itself: tokens, calls that go in and come out, starting and stopping."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress

import httpx
import pandas as pd
import pytest

from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.sandbox import Faults, Sandbox, Switches
from sippet_reconcile.sandbox.listening import LoopbackServer
from sippet_reconcile.schema import CALLS, check_frame

FIRST = "11111111-1111-4111-8111-111111111111"
SESAME = "the-token"
CALL_BODY = b'{"data":{"attributes":{"status":"busy"}}}'


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer the-token"},
        {"authorization": "bearer the-token"},
        {"x-api-key": "the-token"},
    ],
)
def test_the_token_opens_the_door(start, headers):
    sandbox = start(token=SESAME)
    assert httpx.get(f"{sandbox.url}/api/calls", headers=headers, timeout=60).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Basic the-token"},
        {"authorization": "Bearer"},
        {"x-api-key": "the-toke"},
        {"x-api-key": "ünïcode".encode()},
    ],
)
@pytest.mark.parametrize(
    ("failure", "answered"),
    [
        ("403", (403, "application/vnd.api+json", b'"code":"forbidden"')),
        ("401-json", (401, "application/json; charset=utf-8", b'{"error":"Unauthorized"}')),
        ("401-text", (401, "text/plain; charset=utf-8", b"Unauthorized")),
        ("200-empty", (200, "application/vnd.api+json", b'{"data":[],')),
    ],
)
def test_without_the_token_the_switch_decides(start, headers, failure, answered):
    sandbox = start(token=SESAME, switches=Switches(auth_failure=failure))
    answer = httpx.get(f"{sandbox.url}/api/calls", headers=headers, timeout=60)
    status, content_type, body = answered
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert body in answer.content


@pytest.mark.parametrize(
    ("failure", "status"), [("403", 403), ("401-json", 401), ("401-text", 401), ("200-empty", 404)]
)
def test_without_the_token_nothing_is_written(start, failure, status):
    sandbox = start(switches=Switches(auth_failure=failure))
    answer = httpx.patch(
        f"{sandbox.url}/api/calls/{FIRST}",
        content=CALL_BODY,
        headers={"content-type": "application/vnd.api+json"},
        timeout=60,
    )
    assert answer.status_code == status
    assert "busy" not in set(sandbox.calls["status"])


@pytest.mark.parametrize(("failure", "status"), [("403", 400), ("401-json", 401)])
def test_a_policy_refuses_after_the_request_is_read_and_a_plug_before(start, failure, status):
    sandbox = start(switches=Switches(auth_failure=failure))
    assert httpx.get(f"{sandbox.url}/api/calls?sort=nope", timeout=60).status_code == status


def test_a_token_can_expire_while_the_sandbox_runs(start, connect):
    sandbox = start()
    client = connect(sandbox)
    assert client.get("/api/calls").status_code == 200
    sandbox.token = sandbox.token[::-1]
    assert client.get("/api/calls").status_code == 403


def test_the_token_is_in_no_repr():
    sandbox = Sandbox(token=SESAME)
    assert "the-token" not in repr(sandbox)
    with sandbox:
        assert "the-token" not in repr(sandbox)
        assert sandbox.url in repr(sandbox)


def test_calls_come_out_as_they_went_in(document):
    frame = Sandbox(document).calls
    check_frame(frame, CALLS)
    again = Sandbox(frame).calls
    pd.testing.assert_frame_equal(frame.drop(columns="fetched_at"), again.drop(columns="fetched_at"))
    first = frame.set_index("id").loc[FIRST]
    assert first["started_at"] == pd.Timestamp("2026-01-02T03:04:05.678901Z")
    assert first["duration_seconds"] == 60
    assert pd.isna(first["sip_username"])
    assert frame["started_at"].isna().sum() == 1


def test_instants_past_the_year_9999_are_refused(document):
    calls = Sandbox(document).calls
    far = calls["started_at"] + pd.Timedelta(365 * 9000, "D").as_unit("us")
    with pytest.raises(InputError, match="outside the years 1 to 9999"):
        Sandbox(calls.assign(started_at=far))


def test_calls_know_the_url_they_came_from(start):
    sandbox = start()
    assert set(sandbox.calls["api_url"]) == {sandbox.url}
    assert sandbox.calls["fetched_at"].notna().all()


def test_an_empty_sandbox_has_an_empty_frame_of_the_right_types(start, connect):
    sandbox = start([])
    check_frame(sandbox.calls, CALLS)
    assert connect(sandbox).get("/api/calls?sort=started_at,id").json()["data"] == []


@pytest.mark.parametrize("ending", [".json", ".json.gz", ".parquet"])
def test_calls_are_read_from_files(tmp_path, document, ending):
    path = tmp_path / f"calls{ending}"
    text = json.dumps(document).encode()
    if ending == ".parquet":
        Sandbox(document).calls.to_parquet(path)
    else:
        path.write_bytes(gzip.compress(text) if ending.endswith(".gz") else text)
    expected = Sandbox(document).calls.drop(columns="fetched_at")
    for given in (path, str(path)):
        pd.testing.assert_frame_equal(Sandbox(given).calls.drop(columns="fetched_at"), expected)


def test_the_frame_that_went_in_is_not_changed(document):
    frame = Sandbox(document).calls
    before = frame.copy(deep=True)
    Sandbox(frame).change_call(FIRST, status="busy")
    pd.testing.assert_frame_equal(frame, before)


def test_calls_out_of_the_sandbox_are_a_copy(document):
    sandbox = Sandbox(document)
    calls = sandbox.calls
    calls.loc[:, "status"] = "busy"
    assert "busy" not in set(sandbox.calls["status"])


def _one(**attributes):
    return {"data": [{"id": FIRST, "attributes": attributes}]}


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ({"data": [*_one()["data"], *_one()["data"]]}, "two calls have the id"),
        ({"data": [{"id": "42", "attributes": {}}]}, "call 1 has the id '42'"),
        ({"data": [{"id": FIRST}]}, "call 1 of the document"),
        ({"data": [*_one()["data"], 7]}, "call 2 of the document"),
        (_one(started_at="soon"), "started_at is 'soon'"),
        (_one(duration_seconds="60"), "duration_seconds must be whole seconds"),
        (_one(duration_seconds=1.5), "duration_seconds must be whole seconds"),
        (_one(duration_seconds=True), "duration_seconds must be whole seconds"),
        (_one(duration_seconds=float("inf")), "duration_seconds must be whole seconds"),
        (_one(status=1), "status must be text"),
        (7, "not from int"),
        ("some calls", "must end in .json, .json.gz or .parquet"),
        ("absent.json", "absent.json"),
    ],
)
def test_calls_that_cannot_be_served_are_refused(calls, said):
    with pytest.raises(InputError, match=said):
        Sandbox(calls)


def test_a_frame_that_cannot_be_served_is_refused(document):
    calls = Sandbox(document).calls
    with pytest.raises(InputError, match="call 1 has the id '42'"):
        Sandbox(calls.assign(id="42"))
    with pytest.raises(SchemaError, match="status"):
        Sandbox(calls.drop(columns="status"))
    with pytest.raises(SchemaError, match="started_at"):
        Sandbox(calls.assign(started_at=pd.Timestamp("2026-01-01")))


def test_other_hands_change_add_and_remove_calls(start, connect):
    sandbox = start()
    client = connect(sandbox)
    sandbox.change_call(
        FIRST, duration_seconds=61, ended_at=pd.Timestamp("2026-01-02T05:00:00", tz="Europe/Berlin")
    )
    new = "55555555-5555-4555-8555-555555555555"
    sandbox.add_call(new, call_uuid="uuid-5", status="parked", started_at="2026-01-02T09:00:00Z")
    sandbox.remove_call("22222222-2222-4222-8222-222222222222")
    data = client.get("/api/calls?sort=started_at,id").json()["data"]
    assert [row["id"][0] for row in data] == ["1", "5", "3", "4"]
    assert data[0]["attributes"]["ended_at"] == "2026-01-02T04:00:00.000000Z"
    assert data[0]["attributes"]["duration_seconds"] == 61
    assert data[1]["attributes"]["from_number"] is None


def test_a_moved_start_is_found_in_its_new_window(start, connect):
    sandbox = start()
    client = connect(sandbox)
    window = "/api/calls?filter[started_at][gte]=2027-01-01&filter[started_at][lt]=2027-01-02"
    assert client.get(window).json()["data"] == []
    sandbox.change_call(FIRST, started_at="2027-01-01T12:00:00Z")
    assert [row["id"] for row in client.get(window).json()["data"]] == [FIRST]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.change_call("99999999-9999-4999-8999-999999999999", status="busy"), "has no call"),
        (lambda s: s.remove_call("99999999-9999-4999-8999-999999999999"), "has no call"),
        (lambda s: s.change_call(FIRST, nope=1), "'nope' is no attribute"),
        (lambda s: s.change_call(FIRST, ended_at=pd.Timestamp("2026-01-01")), "must have a time zone"),
        (lambda s: s.change_call(FIRST, ended_at=object()), "must be an instant"),
        (lambda s: s.add_call(FIRST), "two calls have the id"),
    ],
)
def test_an_impossible_change_is_refused(document, change, said):
    with pytest.raises(InputError, match=said):
        change(Sandbox(document))


@pytest.mark.parametrize(
    "options",
    [
        {"auth_failure": "418"},
        {"rate_limit_style": "420"},
        {"rate_limit_per_s": 0},
        {"time_precision": 3},
        {"pagination": "pages"},
        {"max_page_size": 0},
    ],
)
def test_impossible_switches_are_refused(options):
    with pytest.raises(InputError):
        Switches(**options)


def test_a_restart_keeps_address_calls_and_journal(document):
    sandbox = Sandbox(document, token=SESAME)
    with sandbox:
        url = sandbox.url
        assert httpx.get(f"{url}/api/calls", headers={"x-api-key": SESAME}, timeout=60).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/api/calls")
    sandbox.stop()
    with sandbox:
        assert sandbox.url == url
        assert httpx.get(f"{url}/api/calls", headers={"x-api-key": SESAME}, timeout=60).status_code == 200
        assert len(sandbox.requests) == 2


def test_stopping_breaks_what_is_in_flight_and_leaves_no_thread(document):
    sandbox = Sandbox(document, faults=Faults(latency_s=600)).start()
    errors = []

    def ask():
        try:
            httpx.get(f"{sandbox.url}/api/calls", timeout=300)
        except httpx.HTTPError as exc:
            errors.append(type(exc))

    asking = threading.Thread(target=ask)
    asking.start()
    while not sandbox.requests:
        time.sleep(0.005)
    sandbox.stop()
    asking.join()
    assert errors == [httpx.ReadError]
    assert "sippet-sandbox" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("n_steps", range(6))
def test_stopping_closes_what_was_accepted_at_the_very_last(document, monkeypatch, n_steps):
    main_loop, is_over, may_go_on = LoopbackServer.main_loop, threading.Event(), threading.Event()

    async def ended_late(server):
        await main_loop(server)
        is_over.set()
        may_go_on.wait()  # The loop stands still, so that all who knock now are accepted in one step.
        for _ in range(n_steps):
            await asyncio.sleep(0)

    monkeypatch.setattr(LoopbackServer, "main_loop", ended_late)
    sandbox = Sandbox(document).start()
    stopping = threading.Thread(target=sandbox.stop)
    stopping.start()
    is_over.wait()
    with ExitStack() as stack:
        address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
        wires = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(5)]
        may_go_on.set()
        stopping.join()
        for wire in wires:
            with suppress(ConnectionResetError):
                assert wire.recv(1) == b""


def test_a_sandbox_that_never_ran_has_no_url():
    with pytest.raises(InputError, match="no address yet"):
        _ = Sandbox().url


def test_starting_twice_is_refused(start):
    sandbox = start()
    with pytest.raises(InputError, match="runs already"):
        sandbox.start()


def test_a_taken_port_is_named(start):
    port = int(start().url.rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port} on 127.0.0.1"):
        Sandbox(port=port).start()


def test_the_sandbox_works_inside_a_running_event_loop(document):
    async def cell():
        with Sandbox(document) as sandbox:
            # Called without await, as a cell of a notebook does: its own loop stands still meanwhile.
            blocking = httpx.get(  # noqa: ASYNC210 - that is the point
                f"{sandbox.url}/api/calls", headers={"x-api-key": sandbox.token}, timeout=60
            )
            async with httpx.AsyncClient() as client:
                waiting = await client.get(
                    f"{sandbox.url}/api/calls", headers={"x-api-key": sandbox.token}, timeout=60
                )
        return blocking.status_code, waiting.status_code

    assert asyncio.run(cell()) == (200, 200)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for a single process")
def test_serve_runs_until_it_is_interrupted(tmp_path, document):
    path = tmp_path / "calls.json"
    path.write_text(json.dumps(document))
    # A shell starts background jobs with the interrupt ignored, and children inherit that.
    code = (
        "import signal\n"
        "from sippet_reconcile.sandbox import serve\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"done = serve({str(path)!r}, token={SESAME!r}, on_started=lambda s: print(s.url, flush=True))\n"
        "print(len(done.requests))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            url = process.stdout.readline().strip()
            answer = httpx.get(f"{url}/api/calls", headers={"x-api-key": SESAME}, timeout=60)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
    assert len(answer.json()["data"]) == 4
    assert (process.returncode, out.strip(), err) == (0, "1", "")
