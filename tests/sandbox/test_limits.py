"""The limits of the HTTP server in front: long targets, large headers, large bodies."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

LINE_AROUND = len("GET ") + len(" HTTP/1.1\r\n")


def _target(length):
    return "/api/calls?x=" + "a" * (length - len("/api/calls?x="))


@pytest.mark.parametrize(
    ("length", "status"), [(9_929, 200), (10_000 - LINE_AROUND, 200), (9_989, 414), (11_900, 414)]
)
def test_a_request_line_has_at_most_ten_thousand_bytes(get, length, status):
    assert get(_target(length))[0] == status


def test_a_target_too_long_is_answered_without_a_body(get):
    status, headers, body = get(_target(9_989))
    assert (status, body) == (414, b"")
    assert "x-request-id" not in headers


@pytest.mark.parametrize("length", [12_500, 70_000])
def test_a_target_far_too_long_is_a_reset(shared, get, length):
    shared.clear_requests()
    with pytest.raises(ConnectionResetError):
        get(_target(length))
    (request,) = shared.requests
    assert (request.status, len(request.query)) == (None, length - len("/api/calls?"))


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "a" * 10_000},
        {f"X-{number}": "1" for number in range(50)},
    ],
)
def test_headers_too_long_or_too_many_are_a_431(get, headers):
    status, _, body = get("/api/calls", **headers)
    assert (status, body) == (431, b"")


def test_fifty_headers_are_taken(get):
    assert get("/api/calls", **{f"X-{number}": "1" for number in range(46)})[0] == 200


def test_a_body_over_eight_million_bytes_is_too_large(start, connect):
    client = connect(start())
    for size, status in ((8_000_000, 400), (8_000_001, 413), (9_500_000, 413)):
        answer = client.patch(
            "/api/calls/11111111-1111-4111-8111-111111111111",
            content=b"{" * size,
            headers={"content-type": "application/vnd.api+json"},
        )
        assert answer.status_code == status
    assert answer.json() == {"errors": {"detail": "Request Entity Too Large"}}
    assert "x-request-id" not in answer.headers


def test_what_is_no_http_is_refused(shared, raw):
    status, _, _ = raw(shared, b"HELLO\r\n\r\n")
    assert status == 400


def test_the_server_listens_on_this_machine_only(shared):
    port = int(shared.url.rpartition(":")[2])
    with contextlib.closing(socket.socket()) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.2", port))


def test_a_client_that_leaves_half_way_is_written_down(shared):
    shared.clear_requests()
    port = int(shared.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.sendall(b"PATCH /api/calls/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
    give_up_at = time.monotonic() + 60
    while not shared.requests and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert [(request.body, request.status) for request in shared.requests] == [("half", None)]
