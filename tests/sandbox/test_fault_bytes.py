"""What faults put on the wire, byte for byte, beside the honest answer to the same request."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
import zlib
from contextlib import closing

import httpx
import pytest

from sippet_reconcile.sandbox import Fault, Faults, Sandbox
from sippet_reconcile.sandbox.raw import pieces

CALL = "33333333-3333-4333-8333-333333333333"
TOKEN = "of-the-sandbox"  # noqa: S105 - of the sandbox
BODY = b'{"data":{"attributes":{"status":"busy"}}}'
DATE = re.compile(rb"\r\ndate: [^\r]+")


def request_of(*, close=True, encoding="identity"):
    connection = "Connection: close\r\n" if close else ""
    return (
        f"PATCH /api/calls/{CALL} HTTP/1.1\r\nHost: HOST\r\nx-api-key: {TOKEN}\r\n{connection}"
        f"Accept-Encoding: {encoding}\r\nContent-Type: application/vnd.api+json\r\n"
        f"X-Request-Id: twenty-characters-long\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY


def knock(sandbox):
    return socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2])), timeout=60)


def rest_of(wire):
    """Return all that still comes, dates aside, and how the connection ends."""
    parts = []
    try:
        while part := wire.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        return DATE.sub(b"", b"".join(parts)), "reset"
    return DATE.sub(b"", b"".join(parts)), "closed"


@pytest.fixture
def wire_of(start):
    """Return what comes back on a connection whose first request meets a fault."""

    def run(fault, **options):
        sandbox = start(faults=Faults(script=[fault]), token=TOKEN)
        with knock(sandbox) as wire:
            wire.sendall(request_of(**options))
            return rest_of(wire)

    return run


@pytest.fixture
def honest(wire_of):
    """The head and the body of the answer without a fault."""
    text, end = wire_of(None)
    head, empty, body = text.partition(b"\r\n\r\n")
    assert end == "closed"
    assert json.loads(body)["data"]["attributes"]["status"] == "busy"
    return head + empty, body


def chunked(head):
    return re.sub(rb"\r\ncontent-length: \d+", b"\r\ntransfer-encoding: chunked", head)


def with_length(head, length):
    return re.sub(rb"content-length: \d+", b"content-length: %d" % length, head)


def test_nothing_at_all_comes_before_a_reset_or_a_close(wire_of):
    for kind, end in (
        ("reset", "reset"), ("dropped_answer", "reset"), ("closed", "closed"), ("closed_answer", "closed"),
    ):  # fmt: skip
        assert wire_of(kind) == (b"", end)


def test_a_lost_answer_has_its_head_and_half_of_its_body(wire_of, honest):
    head, body = honest
    assert wire_of("lost_answer") == (head + body[: len(body) // 2], "closed")


def test_a_lost_chunked_answer_has_one_chunk_and_no_last_one(wire_of, honest):
    head, body = honest
    half = body[: len(body) // 2]
    expected = chunked(head) + f"{len(half):x}".encode() + b"\r\n" + half + b"\r\n"
    assert wire_of("lost_chunked") == (expected, "closed")


def test_a_lost_head_breaks_off_in_a_header(wire_of, honest):
    text, end = wire_of("lost_head")
    assert end == "closed"
    assert text.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\n\r\n" not in text
    assert honest[0].startswith(text) or b"\r\ndate: " in text


def test_a_broken_chunk_has_a_size_that_is_no_number(wire_of, honest):
    head, body = honest
    half = len(body) // 2
    first = f"{half:x}".encode() + b"\r\n" + body[:half] + b"\r\n"
    assert wire_of("broken_chunk") == (chunked(head) + first + b"zz\r\n" + body[half:], "closed")


def test_what_is_no_http_has_no_status_line(wire_of):
    assert wire_of("no_http") == (b"220 mail.example.net ESMTP ready\r\n", "closed")


def test_a_broken_status_has_letters_for_digits(wire_of, honest):
    head, body = honest
    assert wire_of("broken_status") == (head.replace(b"200", b"2OO", 1) + body, "closed")


def test_an_endless_head_is_a_megabyte_of_headers_without_an_empty_line(wire_of):
    text, end = wire_of("endless_head")
    assert end == "closed"
    assert len(text) > 1_000_000
    assert b"\r\n\r\n" not in text


@pytest.mark.parametrize(("kind", "off_by"), [("short_length", -10), ("long_length", 10)])
def test_a_length_can_be_wrong_either_way(wire_of, honest, kind, off_by):
    head, body = honest
    assert wire_of(kind) == (with_length(head, len(body) + off_by) + body, "closed")


def test_two_answers_are_the_same_one_twice(wire_of, honest):
    head, body = honest
    assert wire_of("two_answers") == ((head + body) * 2, "closed")


@pytest.mark.parametrize("kind", ["short_length", "two_answers"])
def test_what_is_left_in_a_connection_stays_there_for_the_next_request(start, kind):
    sandbox = start(faults=Faults(script=[kind]), token=TOKEN)
    with knock(sandbox) as wire:
        wire.sendall(request_of(close=False))
        give_up_at = time.monotonic() + 60
        while not sandbox.requests and time.monotonic() < give_up_at:
            time.sleep(0.005)
        wire.sendall(request_of())
        text, end = rest_of(wire)
    assert end == "closed"
    assert [request.status for request in sandbox.requests] == [200, 200]
    assert text.count(b"HTTP/1.1 200 OK\r\n") == (3 if kind == "two_answers" else 2)


def test_gzip_is_claimed_of_a_plain_body(wire_of, honest):
    head, body = honest
    text, _ = wire_of("gzip_claimed", encoding="gzip")
    got_head, _, got_body = text.partition(b"\r\n\r\n")
    assert got_body == body
    lines = set(got_head.split(b"\r\n"))
    assert lines - {b"content-encoding: gzip"} == set(head.rstrip().split(b"\r\n"))
    assert b"content-encoding: gzip" in lines


def test_a_truncated_gzip_body_is_the_half_of_one_under_its_own_length(wire_of, honest):
    text, _ = wire_of("gzip_truncated", encoding="gzip")
    head, _, body = text.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head.lower()
    assert body == gzip.compress(honest[1], mtime=0)[: len(body)]
    unpacked = zlib.decompressobj(31).decompress(body)
    assert 0 < len(unpacked) < len(honest[1])
    assert honest[1].startswith(unpacked)


def test_faults_of_the_wire_keep_to_the_encoding_that_was_asked_for(wire_of, honest):
    text, _ = wire_of("two_answers", encoding="gzip")
    head, _, rest = text.partition(b"\r\n\r\n")
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    assert gzip.decompress(rest[:length]) == honest[1]


@pytest.mark.parametrize("kind", ["slow_head", "slow_body"])
def test_a_dribble_is_in_the_end_the_same_bytes(wire_of, honest, kind):
    assert wire_of(Fault(kind, spread_s=0.3)) == (b"".join(honest), "closed")


def test_a_slow_body_comes_after_its_head_and_a_slow_head_byte_by_byte(start):
    sandbox = start(
        faults=Faults(script=[Fault("slow_body", spread_s=600), Fault("slow_head", spread_s=600)])
    )
    with closing(knock(sandbox)) as body_wire, closing(knock(sandbox)) as head_wire:
        body_wire.sendall(request_of())
        text = b""
        while b"\r\n\r\n{" not in text:
            text += body_wire.recv(1)
        head_wire.sendall(request_of())
        assert head_wire.recv(65_536) == b"H"


def test_an_early_answer_comes_before_the_body_was_sent(start):
    sandbox = start(faults=Faults(script=["early_answer"]), token=TOKEN)
    head, _, body = request_of().partition(b"\r\n\r\n")
    with knock(sandbox) as wire:
        wire.sendall(head + b"\r\n\r\n")
        text = b""
        while not text.endswith(b"</html>\r\n"):
            text += wire.recv(65_536)
        assert text.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nconnection: close\r\n" in text
        wire.sendall(body)
        assert rest_of(wire) == (b"", "closed")
    (request,) = sandbox.requests
    assert (request.status, request.fault, request.body) == (503, "early_answer", BODY.decode())
    assert "busy" not in set(sandbox.calls["status"])


def test_a_half_closed_connection_has_answered_and_listens_on(start, honest):
    sandbox = start(faults=Faults(script=["half_closed"]), token=TOKEN)
    with knock(sandbox) as wire:
        wire.sendall(request_of(close=False))
        text, end = rest_of(wire)
        assert (text, end) == (b"".join(honest).replace(b"Connection: close\r\n", b""), "closed")
        wire.sendall(request_of(close=False))
        give_up_at = time.monotonic() + 60
        while len(sandbox.requests) < 2 and time.monotonic() < give_up_at:
            time.sleep(0.005)
    assert len(sandbox.requests) == 2


def test_connections_can_be_closed_as_soon_as_they_are_accepted(start, connect):
    sandbox = start(faults=Faults(refuse_connections=2))
    for _ in range(2):
        with knock(sandbox) as wire:
            assert rest_of(wire) == (b"", "closed")
    assert connect(sandbox).get("/api/calls").status_code == 200
    assert len(sandbox.requests) == 1


def test_a_library_without_a_guard_takes_the_second_answer_for_the_next_one(start, connect):
    """The sandbox can play what a client must be proof against: see that it really does."""
    sandbox = start(faults=Faults(script=["two_answers"], methods=("PATCH",)))
    client = connect(sandbox, **{"accept-encoding": "identity"})
    client.patch(f"/api/calls/{CALL}", content=BODY, headers={"content-type": "application/vnd.api+json"})
    row = client.get("/api/calls?filter[status]=completed").json()["data"]
    assert row["id"] == CALL


def test_a_dribble_has_a_piece_for_each_byte_where_that_is_not_too_many():
    assert pieces(b"abc", 10) == ([b"a", b"b", b"c"], 5.0)
    assert pieces(b"", 10) == ([], 10.0)
    cut, step_s = pieces(b"x" * 10_000_000, 10)
    assert len(cut) == 500
    assert b"".join(cut) == b"x" * 10_000_000
    assert step_s * (len(cut) - 1) == pytest.approx(10)
    assert len(pieces(b"abc", 0)[0]) == 2


def test_many_connections_meet_faults_of_the_wire_at_once(document):
    kinds = ["lost_chunked", "two_answers", "slow_head", "short_length", "no_http", "reset"]
    script = [Fault(kind, spread_s=0.2) if kind == "slow_head" else kind for kind in kinds * 8]
    with Sandbox(document, faults=Faults(script=script), token=TOKEN) as sandbox:
        ends = []

        def ask():
            for _ in range(6):
                with knock(sandbox) as wire:
                    wire.sendall(request_of())
                    ends.append(rest_of(wire)[1])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert ends.count("reset") == 8
    assert sorted(str(request.fault) for request in sandbox.requests) == sorted(kinds * 8)


def test_a_head_without_a_body_has_nothing_to_lose(start):
    sandbox = start(faults=Faults(script=["lost_answer", "two_answers"], methods=("HEAD",)))
    for _ in range(2):
        answer = httpx.head(f"{sandbox.url}/api/calls", headers={"x-api-key": sandbox.token}, timeout=60)
        assert (answer.status_code, answer.content) == (200, b"")
