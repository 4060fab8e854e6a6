"""Calls, running sandboxes and ways to speak to them, down to single bytes."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import ExitStack

import httpx
import pytest

from sippet_reconcile.sandbox import Sandbox

JSON_API = "application/vnd.api+json"
CERTIFICATES = ssl.create_default_context()  # reading them anew for each client takes longer than a test
FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
THIRD = "33333333-3333-4333-8333-333333333333"
NEVER_STARTED = "44444444-4444-4444-8444-444444444444"


def _resource(call_id, **attributes):
    held = {
        "call_uuid": "",
        "direction": "inbound",
        "from_number": "+15550000001",
        "to_number": "+15550000002",
        "sip_username": None,
        "status": "completed",
        "call_source": "sip",
        "started_at": None,
        "ended_at": None,
        "duration_seconds": None,
        "conversation_id": None,
    }
    return {"type": "Call", "id": call_id, "attributes": {**held, **attributes}}


def _document():
    """Four calls; the table's order is not the order of their starts."""
    return {
        "data": [
            _resource(
                SECOND,
                call_uuid="uuid-2",
                direction="outbound",
                from_number="+15550000003",
                to_number="+15550000004",
                status="initiated",
                started_at="2026-01-03T00:00:00Z",
            ),
            _resource(
                FIRST,
                call_uuid="uuid-1",
                started_at="2026-01-02T03:04:05.678901Z",
                ended_at="2026-01-02T03:05:05Z",
                duration_seconds=60,
            ),
            _resource(
                THIRD,
                call_uuid="uuid-3",
                status="failed",
                sip_username="Ada",
                started_at="2026-01-03T00:00:00Z",
                ended_at="2026-01-03T00:00:10.5Z",
                duration_seconds=10,
                conversation_id="abcdefab-cdef-4bcd-8fab-cdefabcdefab",
            ),
            _resource(NEVER_STARTED, call_uuid="uuid-4", status="canceled", call_source="api"),
        ]
    }


def _raw(sandbox, request):
    """Send bytes on a fresh connection and return all that comes back until it closes."""
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=60) as wire:
        wire.sendall(request)
        pieces = []
        while piece := wire.recv(65536):
            pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """Let nothing be said: a sandbox plays faults, and has none of its own."""
    yield
    records = [record for when in ("setup", "call", "teardown") for record in caplog.get_records(when)]
    assert [record.getMessage() for record in records if not record.name.startswith("http")] == []


@pytest.fixture
def document():
    """A JSON:API document of four calls."""
    return _document()


@pytest.fixture
def start():
    """Start sandboxes on the four calls, and stop them when the test ends."""
    with ExitStack() as stack:

        def run(calls=None, **options):
            return stack.enter_context(Sandbox(_document() if calls is None else calls, **options))

        yield run


@pytest.fixture
def connect():
    """Open a client with the right headers to a sandbox."""
    with ExitStack() as stack:

        def run(sandbox, **headers):
            return stack.enter_context(
                httpx.Client(
                    base_url=sandbox.url,
                    headers={"accept": JSON_API, "authorization": f"Bearer {sandbox.token}", **headers},
                    timeout=60,
                    verify=CERTIFICATES,
                )
            )

        yield run


@pytest.fixture(scope="module")
def shared():
    """One sandbox for a module whose tests only read, or are refused."""
    with Sandbox(_document()) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def get(shared):
    """Get a target of the shared sandbox, as sent, without any re-encoding."""

    def run(target, **headers):
        sent = {
            "Host": "HOST",
            "Accept": JSON_API,
            "Authorization": f"Bearer {shared.token}",
            "Connection": "close",
            **headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value is not None)
        return _raw(shared, f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode())

    return run


@pytest.fixture(scope="module")
def ids_of(get):
    """Return the first digits of the ids that a query string selects, in order."""

    def run(query):
        status, _, body = get(f"/api/calls?{query}")
        assert status == 200, body
        return "".join(row["id"][0] for row in json.loads(body)["data"])

    return run


@pytest.fixture(scope="module")
def refusal(get):
    """Return the status and the (code, detail, source) of each error a target is refused with."""

    def run(target, **headers):
        status, _, body = get(target, **headers)
        errors = json.loads(body)["errors"]
        return status, [(e["code"], e.get("detail"), e.get("source")) for e in errors]

    return run


@pytest.fixture
def raw():
    """Send bytes to a sandbox on a fresh connection."""
    return _raw
