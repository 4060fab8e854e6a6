"""What the client puts on the wire, byte for byte, read by a server that knows nothing but sockets."""

from __future__ import annotations

import json
import logging
import socket
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.errors import (
    ApiError,
    InputError,
    RejectedError,
    TransientApiError,
    UnexpectedResponseError,
)

TOKEN = "tok-Secret.0123456789-abcdef"  # noqa: S105 - an invented one, searched for in everything that is shown
FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
JSON_API = "application/vnd.api+json"


@dataclass(frozen=True)
class Arrived:
    """One request as its bytes say."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def target(self) -> str:
        return self.line.split(" ")[1]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.target.partition("?")[2], keep_blank_values=True)


Answer = tuple[int, bytes, dict[str, str]]
Answers = Callable[[Arrived], Answer]


@dataclass
class Recorder:
    """Keeps what arrives on a socket, and answers as it is told."""

    answers: Answers
    arrived: list[Arrived] = field(default_factory=list)
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    threads: list[threading.Thread] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    is_closing: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def start(self) -> None:
        self.threads.append(threading.Thread(target=self._accept))
        self.threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            if self.is_closing:
                connection.close()
                return
            self.connections.append(connection)
            self.threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that has seen enough, or the end of the test, may close the connection at any point.
        with suppress(OSError), connection, connection.makefile("rb") as wire:
            while line := wire.readline():
                headers = {}
                while (header := wire.readline()) not in {b"\r\n", b""}:
                    name, _, value = header.decode().partition(": ")
                    assert name.lower() not in headers, f"{name} was sent twice"
                    headers[name.lower()] = value.removesuffix("\r\n")
                body = wire.read(int(headers.get("content-length", 0)))
                request = Arrived(line.decode().removesuffix("\r\n"), headers, body)
                self.arrived.append(request)
                status, content, more = self.answers(request)
                told = {"content-type": JSON_API, "content-length": str(len(content)), **more}
                head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
                connection.sendall(f"HTTP/1.1 {status} -\r\n{head}\r\n".encode() + content)

    def close(self) -> None:
        self.is_closing = True
        socket.create_connection(self.listener.getsockname()).close()
        self.threads[0].join()
        self.listener.close()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()


@pytest.fixture
def record() -> Iterator[Callable[..., tuple[sr.Client, Recorder]]]:
    with ExitStack() as stack:

        def run(answers: Answers) -> tuple[sr.Client, Recorder]:
            recorder = Recorder(answers)
            recorder.start()
            stack.callback(recorder.close)
            client = sr.Client(recorder.url, token=TOKEN, sleep=lambda _: None)
            return stack.enter_context(client), recorder

        yield run


def call(call_id: str, started_at: str | None = "2026-10-05T10:00:00.000000Z", **attributes: Any) -> Any:
    held = {"status": "completed", "started_at": started_at, "ended_at": None, "duration_seconds": 60}
    texts = dict.fromkeys(["call_uuid", "direction", "from_number", "to_number", "call_source"], "x")
    return {"type": "Call", "id": call_id, "attributes": {**texts, **held, **attributes}}


def page(*calls: Any, **members: Any) -> Answer:
    body = {"data": list(calls), "jsonapi": {"version": "1.0"}, "links": {}, "meta": {}, **members}
    return 200, json.dumps(body).encode(), {}


def index(calls: list[Any]) -> Answers:
    """Answer the filters on ``started_at`` and ``id`` from a list of calls."""

    def fits(one: Any, pairs: list[tuple[str, str]]) -> bool:
        started = one["attributes"]["started_at"]
        for key, value in pairs:
            if key == "filter[started_at][is_nil]" and (started is None) != (value == "true"):
                return False
            if key == "filter[started_at][gte]" and (started is None or started < value.replace("Z", ".")):
                return False
            if key == "filter[started_at][lt]" and (started is None or started >= value.replace("Z", ".")):
                return False
        return True

    def answers(request: Arrived) -> Answer:
        pairs = request.pairs
        wanted = {value for key, value in pairs if key == "filter[id][in][]"}
        asked = [one for one in calls if one["id"] in wanted] if wanted else calls
        return page(*(one for one in asked if fits(one, pairs)))

    return answers


def headers_of(recorder: Recorder, **more: str) -> dict[str, str]:
    return {
        "host": recorder.url.removeprefix("http://"),
        "accept": JSON_API,
        "accept-encoding": "gzip",
        "user-agent": f"sippet-reconcile/{sr.__version__}",
        "authorization": f"Bearer {TOKEN}",
        **more,
    }


def test_a_window_is_asked_for_to_the_byte(record: Any) -> None:
    client, recorder = record(index([call(FIRST, "2026-01-02T01:30:00.000000Z")]))
    client.fetch_calls(
        "2026-01-02T01:00:00Z", "2026-01-02T01:00:01Z", unstarted=False, filters={"from_number": "x"}
    )
    first = min(recorder.arrived, key=lambda request: request.line)
    assert first.line == (
        "GET /api/calls?filter%5Bstarted_at%5D%5Bgte%5D=2026-01-02T00:00:00Z"
        "&filter%5Bstarted_at%5D%5Blt%5D=2026-01-02T02:00:00Z&filter%5Bfrom_number%5D%5Beq%5D=x"
        "&sort=started_at,id HTTP/1.1"
    )
    assert (first.headers, first.body) == (headers_of(recorder), b"")


def test_a_correction_is_sent_to_the_byte(record: Any) -> None:
    sent = {"status": "completed", "ended_at": "2026-01-03T00:01:00Z", "duration_seconds": 60}
    answer = json.dumps({"data": call(SECOND, **sent)}).encode()
    client, recorder = record(lambda _: (200, answer, {}))
    client.patch_call(SECOND, sent)
    (request,) = recorder.arrived
    assert request.line == f"PATCH /api/calls/{SECOND} HTTP/1.1"
    assert request.body == (
        b'{"data":{"id":"22222222-2222-4222-8222-222222222222","type":"Call","attributes":'
        b'{"status":"completed","ended_at":"2026-01-03T00:01:00Z","duration_seconds":60}}}'
    )
    length = str(len(request.body))
    assert request.headers == headers_of(recorder, **{"content-type": JSON_API, "content-length": length})


def assert_is_a_lawful_read(request: Arrived) -> None:
    assert request.line.startswith("GET /api/calls?")
    assert len(request.target) < 4000
    assert request.target.isascii()
    assert not set(request.target) & set("+[]\"<> '")
    assert request.body == b""
    assert "content-type" not in request.headers
    single = [key for key, _ in request.pairs if not key.endswith("[]")]
    assert len(single) == len(set(single))
    assert all(value for _, value in request.pairs)
    assert [value for key, value in request.pairs if key == "sort"] == ["started_at,id"]
    assert not any(key.startswith(("page", "include", "fields")) for key, _ in request.pairs)


def test_the_windows_of_a_month_touch_one_another_and_cover_it(record: Any) -> None:
    at = datetime(2026, 9, 30, 20, tzinfo=UTC)
    starts = [at + timedelta(minutes=97 * n) for n in range(500)]
    calls = [
        call(str(uuid.UUID(int=n, version=4)), f"{start:%Y-%m-%dT%H:%M:%S.%fZ}")
        for n, start in enumerate(starts)
    ]
    client, recorder = record(index([*calls, call(FIRST, None)]))
    found = client.fetch_calls(sr.Period.month("2026-10", timezone="Europe/London"))
    low, high = datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC)
    wanted = {one["id"] for one, start in zip(calls, starts, strict=True) if low <= start < high}
    assert sorted(found["id"]) == sorted(wanted | {FIRST})
    for request in recorder.arrived:
        assert_is_a_lawful_read(request)
    spans = sorted(
        (dict(request.pairs)["filter[started_at][gte]"], dict(request.pairs)["filter[started_at][lt]"])
        for request in recorder.arrived
        if "filter[started_at][lt]" in dict(request.pairs)
    )
    assert spans[0][0] == "2026-09-30T22:00:00Z"
    assert max(end for _, end in spans) == "2026-11-01T01:00:00Z"
    covered = low
    for start, end in spans:
        assert datetime.fromisoformat(start) <= covered
        covered = max(covered, datetime.fromisoformat(end))
    assert sum("is_nil" in request.target for request in recorder.arrived) == 1


@pytest.mark.parametrize("n", [1, 51, 5000])
def test_many_ids_are_asked_for_once_each_in_short_targets(record: Any, n: int) -> None:
    ids = [str(uuid.UUID(int=number, version=4)) for number in range(n)]
    client, recorder = record(index([call(one) for one in ids]))
    found = client.get_calls(pd.Series([*ids, *ids[:9], *(one.upper() for one in ids[:9])], dtype="str"))
    assert found["id"].tolist() == sorted(ids)
    asked = [value for request in recorder.arrived for key, value in request.pairs if "[in]" in key]
    assert sorted(asked) == sorted(ids)
    for request in recorder.arrived:
        assert_is_a_lawful_read(request)


@pytest.mark.parametrize(
    "call_id",
    [
        "x",
        "",
        None,
        5,
        f"../{FIRST}",
        f"{FIRST}/x",
        f"{FIRST}?x=1",
        f"{FIRST}%2F",
        FIRST[:-1],
        f"{{{FIRST}}}",
    ],
)
def test_what_is_no_id_reaches_no_url(record: Any, call_id: Any) -> None:
    client, recorder = record(lambda _: page())
    for ask in (lambda: client.patch_call(call_id, {"status": "busy"}), lambda: client.get_calls([call_id])):
        with pytest.raises(InputError):
            ask()
    assert recorder.arrived == []


ECHO = {"errors": [{"code": TOKEN, "detail": f"bad {TOKEN}", "source": {"pointer": TOKEN}, "status": "400"}]}


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (400, json.dumps(ECHO), {}),
        (401, f"no {TOKEN}", {"content-type": "text/plain"}),
        (403, json.dumps(ECHO), {}),
        (403, TOKEN, {"content-type": "text/plain"}),
        (404, json.dumps({"errors": {"detail": TOKEN}}), {}),
        (500, json.dumps({"errors": {"detail": TOKEN}}), {"x-request-id": TOKEN}),
        (302, "", {"location": f"https://{TOKEN}.example.com/"}),
        (200, TOKEN, {}),
        (200, json.dumps({"data": [call(FIRST, TOKEN)]}), {}),
    ],
)
def test_a_token_that_a_server_echoes_is_in_no_error_and_no_log(
    record: Any, caplog: pytest.LogCaptureFixture, status: int, body: str, headers: Any
) -> None:
    caplog.set_level(logging.DEBUG, logger="sippet_reconcile")
    client, _ = record(lambda _: (status, body.encode(), headers))
    shown = [repr(client.check()), repr(client.describe()), repr(client.attempt_read([FIRST]))]
    for ask in (
        lambda: client.get_calls([FIRST]),
        lambda: client.fetch_calls("2026-10-01", "2026-10-02"),
        lambda: client.patch_call(FIRST, {"status": "busy"}),
    ):
        with pytest.raises(ApiError) as caught:
            ask()
        shown += [*traceback.format_exception(caught.value), repr(vars(caught.value))]
    ours = [entry.getMessage() for entry in caplog.records if entry.name.startswith("sippet_reconcile")]
    assert TOKEN not in "".join([*shown, *ours])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_token_nowhere(record: Any, status: int) -> None:
    _, elsewhere = record(lambda _: page())
    client, _ = record(lambda _: (status, b"", {"location": f"{elsewhere.url}/api/calls"}))
    with pytest.raises(UnexpectedResponseError, match="not followed"):
        client.get_calls([FIRST])
    with pytest.raises(UnexpectedResponseError, match="not followed"):
        client.patch_call(FIRST, {"status": "busy"})
    assert elsewhere.arrived == []


FORBIDDEN = b'{"errors":[{"code":"forbidden","detail":"forbidden","meta":{},"status":"403"}],"jsonapi":{"version":"1.0"}}'


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, b'{"error":"Unauthorized"}', {"content-type": "application/json"}), RejectedError),
        ((401, b"Unauthorized", {"content-type": "text/plain"}), RejectedError),
        ((403, FORBIDDEN, {}), RejectedError),
        ((403, b"Forbidden\n", {"content-type": "text/plain"}), TransientApiError),
        ((429, b"", {"retry-after": "1"}), TransientApiError),
        ((400, b'{"errors":{"detail":"Bad Request"}}', {}), RejectedError),
        ((500, b'{"errors":{"detail":"Internal Server Error"}}', {}), TransientApiError),
        ((200, b'{"data":[]}', {}), UnexpectedResponseError),
        ((200, b'{"data":{}}', {}), UnexpectedResponseError),
        ((200, b"<html>", {"content-type": "text/html"}), UnexpectedResponseError),
    ],
)
def test_no_refusal_and_no_silence_is_taken_for_an_empty_month(
    record: Any, answer: Answer, error: type[ApiError]
) -> None:
    client, recorder = record(lambda _: answer)
    with pytest.raises(error) as caught:
        client.fetch_calls("2026-10-01", "2026-10-02")
    assert type(caught.value) is error
    assert {request.line.split(" ")[0] for request in recorder.arrived} == {"GET"}


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8010",
        "HTTP://LOCALHOST",
        "http://127.0.0.1",
        "http://127.0.0.2:8010",
        "http://[::1]:8010",
        "https://api.example.com",
        "HTTPS://API.EXAMPLE.COM:443/api/",
    ],
)
def test_a_token_may_go_to_this_machine_or_by_https(url: str) -> None:
    with sr.Client(url, token=TOKEN) as client:
        assert client.base_url == client.base_url.lower()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://0.0.0.0:8010",
        "http://[::]:8010",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost@api.example.com",
        "http://api.example.com@localhost",
        "http://localhost:80\\@api.example.com",
        "http://localhost\t.example.com",
        "http://[fe80::1%25lo]",
        "http://\u24dbocalhost",
        "https://user:secret@api.example.com",
        "https://api.example.com?token=x",
        "https://api.example.com#x",
        "https://api.example.com:65536",
        "ftp://localhost",
        "localhost:8010",
        "//localhost",
    ],
)
def test_a_token_goes_nowhere_in_the_clear_or_by_a_trick(url: str) -> None:
    with pytest.raises(InputError) as caught:
        sr.Client(url, token=TOKEN)
    assert "secret" not in str(caught.value)
