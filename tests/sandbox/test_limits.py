"""The limits of the HTTP server in front: long targets, large headers, large bodies."""

from __future__ import annotations

import contextlib
import socket
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.sandbox import Faults, Sandbox, Switches
from sippet_reconcile.sandbox.limiter import Limiter

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


# So many in a second


def test_the_second_slides_and_its_edge_belongs_to_the_next_one():
    limiter = Limiter(2)
    moments = (10.0, 10.999, 10.999_9, 11.0, 11.998, 11.999, 12.0)
    assert [limiter.admit(at) for at in moments] == [True, True, False, True, False, True, True]
    assert limiter.violations == 2


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e7, allow_nan=False), st.integers(1, 50))
def test_exactly_the_rate_is_admitted_for_ever_whatever_floats_lose(start, rate):
    limiter = Limiter(rate)
    # The n-th request of each second at the same place of every second.
    assert all(limiter.admit(start + k // rate + (k % rate) / rate) for k in range(5 * rate))
    assert limiter.violations == 0


def test_a_rate_that_is_no_whole_number_admits_no_more_than_its_whole_part():
    limiter = Limiter(2.9)
    assert [limiter.admit(at) for at in (0.0, 0.1, 0.2)] == [True, True, False]


def test_what_was_refused_takes_nobodys_place():
    limiter = Limiter(1)
    assert [limiter.admit(at / 10) for at in range(21)].count(True) == 3


def test_no_limit_admits_all_and_counts_nothing():
    limiter = Limiter(None)
    assert all(limiter.admit(1.0) for _ in range(1000))
    assert limiter.violations == 0


def test_one_limit_holds_for_all_connections_together(start, connect):
    sandbox = start(switches=Switches(rate_limit_per_s=3))
    clients = [connect(sandbox) for _ in range(6)]
    statuses = [client.get("/api/calls?fields[Call]=id").status_code for client in clients * 3]
    refused = statuses.count(429)
    assert sandbox.rate_violations == refused > 0
    assert [request.fault for request in sandbox.requests].count("rate_limit") == refused
    admitted = [request.at for request in sandbox.requests if request.fault is None]
    assert all(later - earlier >= 1 - 1e-6 for earlier, later in zip(admitted, admitted[3:], strict=False))


def test_violations_survive_a_restart_and_go_on_being_counted(document, connect):
    sandbox = Sandbox(document, switches=Switches(rate_limit_per_s=1))
    counts = []
    for _ in range(2):
        with sandbox:
            client = connect(sandbox)
            statuses = [client.get("/api/calls?fields[Call]=id").status_code for _ in range(8)]
            counts.append(statuses.count(429))
            assert sandbox.rate_violations == sum(counts)
            client.close()
        assert sandbox.rate_violations == sum(counts)
    assert min(counts) > 0


def test_what_the_limit_refuses_takes_no_entry_of_a_script(start, connect):
    sandbox = start(switches=Switches(rate_limit_per_s=1), faults=Faults(script=[None, 503]))
    client = connect(sandbox)
    statuses = []
    while 503 not in statuses:
        statuses.append(client.get("/api/calls?fields[Call]=id").status_code)
    assert statuses[0] == 200
    assert set(statuses[1:-1]) <= {429}


def test_a_request_is_limited_when_its_head_arrives_not_when_its_body_is_whole(start, connect):
    sandbox = start(switches=Switches(rate_limit_per_s=1))
    port = int(sandbox.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(b"PATCH /api/calls/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        client = connect(sandbox)
        statuses = [client.get("/api/calls?fields[Call]=id").status_code for _ in range(4)]
        wire.sendall(b"x")
        assert wire.recv(65_536).startswith(b"HTTP/1.1 ")
    assert 429 in statuses
    admitted = sorted(request.at for request in sandbox.requests if request.fault is None)
    assert len(admitted) == 1 + statuses.count(200)
    assert all(later - earlier >= 1 - 1e-6 for earlier, later in pairwise(admitted))
