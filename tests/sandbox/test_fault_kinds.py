"""Each kind of fault over a real socket: what became of the call, and what a client library makes of it."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from sippet_reconcile.sandbox import Fault, FaultKind, Faults, Sandbox, Switches

CALL = "33333333-3333-4333-8333-333333333333"
OTHERS = {f"{n * 8}-{n * 4}-4{n * 3}-8{n * 3}-{n * 12}" for n in "124"}
JSON_API = "application/vnd.api+json"
BEFORE, AFTER = "failed", "busy"

# The kind of fault, whether the PATCH is written, and the status or the error that httpx has for it.
SEEN = {
    "none": (True, 200),
    "throttle": (False, 429),
    "error": (False, 503),
    "expired": (False, 403),
    "reset": (False, httpx.ReadError),
    "closed": (False, httpx.RemoteProtocolError),
    "early_answer": (False, 503),
    "lost_answer": (True, httpx.RemoteProtocolError),
    "lost_chunked": (True, httpx.RemoteProtocolError),
    "lost_head": (True, httpx.RemoteProtocolError),
    "dropped_answer": (True, httpx.ReadError),
    "closed_answer": (True, httpx.RemoteProtocolError),
    "error_after": (True, 503),
    "garbled": (True, 200),
    "no_content": (True, 204),
    "redirect": (True, 302),
    "empty_body": (True, 200),
    "json_null": (True, 200),
    "json_list": (True, 200),
    "json_truncated": (True, 200),
    "json_wrong_types": (True, 200),
    "json_nan": (True, 200),
    "json_bad_utf8": (True, 200),
    "slow_head": (True, 200),
    "slow_body": (True, 200),
    "wrong_id": (True, 200),
    "unknown_id": (True, 200),
    "stale_answer": (True, 200),
    "echoed": (False, 200),
    "ignored": (False, 200),
    "coerced": (None, 200),
    "coupled": (True, 200),
    "other_precision": (True, 200),
    "other_nil": (True, 200),
    "changed_sent": (True, 200),
    "changed_other": (True, 200),
    "deleted_before": (None, 404),
    "changed_after": (True, 200),
    "deleted_after": (None, 200),
    "no_http": (True, httpx.RemoteProtocolError),
    "broken_status": (True, httpx.RemoteProtocolError),
    "endless_head": (True, (httpx.RemoteProtocolError, httpx.ReadError)),
    "short_length": (True, 200),
    "long_length": (True, httpx.ReadTimeout),
    "broken_chunk": (True, httpx.RemoteProtocolError),
    "gzip_claimed": (True, httpx.DecodingError),
    "gzip_truncated": (True, 200),
    "two_answers": (True, 200),
    "half_closed": (True, 200),
}
QUICK = {"slow_head": {"spread_s": 0.2}, "slow_body": {"spread_s": 0.2}}


@pytest.fixture
def play(start, connect):
    """Start a sandbox whose first PATCH meets a fault, and a client of it."""

    def run(fault, **options):
        sandbox = start(faults=Faults(script=[fault], methods=("PATCH",)), **options)
        return sandbox, connect(sandbox)

    return run


def patch(client, call_id=CALL, **attributes):
    return client.patch(
        f"/api/calls/{call_id}",
        content=json.dumps({"data": {"attributes": attributes or {"status": AFTER}}}),
        headers={"content-type": JSON_API},
    )


def held(sandbox, name="status", call_id=CALL):
    calls = sandbox.calls
    return calls.loc[calls["id"] == call_id, name].item()


def shown(answer, name="status"):
    return answer.json()["data"]["attributes"][name]


def test_every_kind_is_in_the_table_of_what_is_seen():
    assert set(SEEN) == {kind.value for kind in FaultKind}


@pytest.mark.parametrize("kind", sorted(SEEN))
def test_a_fault_writes_and_answers_as_the_table_says(play, kind):
    is_written, seen = SEEN[kind]
    sandbox, client = play(Fault(kind, **QUICK.get(kind, {})))
    client.timeout = httpx.Timeout(60, read=1.0 if seen is httpx.ReadTimeout else 60)
    if isinstance(seen, int):
        assert patch(client).status_code == seen
    else:
        with pytest.raises(seen):
            patch(client)
    if is_written is not None:
        assert held(sandbox) == (AFTER if is_written else BEFORE)
        assert FaultKind(kind).is_applied is is_written
    (request,) = sandbox.requests
    assert request.fault == (None if kind == "none" else kind)
    is_answered = isinstance(seen, int) or kind in {"long_length", "gzip_claimed"}
    assert (request.status is not None) is is_answered


@pytest.mark.parametrize("kind", sorted(set(SEEN) - {"none"}))
def test_a_read_meets_what_a_read_can_meet(start, connect, kind):
    sandbox = start(faults=Faults(shares={Fault(kind, **QUICK.get(kind, {})): 1.0}, methods=("GET", "PATCH")))
    client = connect(sandbox)
    client.timeout = httpx.Timeout(60, read=1.0 if kind == "long_length" else 60)
    seen = SEEN[kind][1] if kind != "deleted_before" else 200
    if isinstance(seen, int):
        assert client.get("/api/calls").status_code == seen
    else:
        with pytest.raises(seen):
            client.get("/api/calls")
    only_on_patch = {
        "stale_answer", "echoed", "ignored", "coerced", "coupled",
        "changed_sent", "changed_other", "deleted_before",
    }  # fmt: skip
    assert [request.fault for request in sandbox.requests] == [None if kind in only_on_patch else kind]


def test_a_fault_for_a_patch_waits_for_one(start, connect):
    sandbox = start(faults=Faults(script=["ignored", 503]))
    client = connect(sandbox)
    assert client.get("/api/calls").status_code == 200
    assert shown(patch(client)) == BEFORE
    assert client.get("/api/calls").status_code == 503


# Refusals


def test_retry_after_can_be_a_date(play):
    _, client = play(Fault("throttle", retry_after_s=90, retry_after_form="date"))
    before = datetime.now(UTC)
    text = patch(client).headers["retry-after"]
    after = datetime.now(UTC)
    assert re.fullmatch(
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
        r" \d{4} \d\d:\d\d:\d\d GMT",
        text,
    )
    moment = parsedate_to_datetime(text)
    # Whole seconds, rounded up: nobody is told to come back too early.
    assert 90 <= (moment - before).total_seconds() <= (after - before).total_seconds() + 91


def test_a_date_to_come_back_at_can_lie_in_the_past(play):
    _, client = play(Fault("error", status=503, retry_after_s=-3600, retry_after_form="date"))
    moment = parsedate_to_datetime(patch(client).headers["retry-after"])
    assert moment < datetime.now(UTC)


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        (Faults(script=["throttle"]), "1"),
        (Faults(script=["throttle"], retry_after_s=None), None),
        (Faults(script=[Fault("throttle", retry_after_form="absent")]), None),
        (Faults(script=[Fault("error_after", status=502, retry_after_s=2)]), "2"),
        (
            Faults(script=[Fault("throttle", retry_after_form="absent", headers={"Retry-After": "soon"})]),
            "soon",
        ),
        (Faults(throttle_share=1.0, retry_after_s=30), "30"),
    ],
)
def test_retry_after_is_there_as_asked(start, connect, faults, expected):
    answer = patch(connect(start(faults=faults)))
    assert answer.headers.get("retry-after") == expected


def test_all_throttles_can_give_a_date(start, connect):
    sandbox = start(faults=Faults(throttle_share=1.0, retry_after_s=60, retry_after_form="date"))
    assert patch(connect(sandbox)).headers["retry-after"].endswith(" GMT")


@pytest.mark.parametrize("switch", ["429", "403-text", "403-forbidden"])
@pytest.mark.parametrize(
    ("style", "looks"),
    [
        ("429", (429, None, b"")),
        ("403-text", (403, "text/plain; charset=utf-8", b"Forbidden\n")),
        ("403-forbidden", (403, JSON_API, b'"code":"forbidden"')),
    ],
)
def test_a_throttle_chooses_its_own_style(play, switch, style, looks):
    status, content_type, body = looks
    sandbox, client = play(Fault("throttle", style=style), switches=Switches(rate_limit_style=switch))
    answer = patch(client)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert body in answer.content
    assert ("retry-after" in answer.headers) is (style == "429")
    assert (answer.headers.get("x-ratelimit-remaining") == "0") is (style == "403-text")
    assert held(sandbox) == BEFORE


def test_the_limit_as_text_tells_of_itself(start, connect):
    sandbox = start(switches=Switches(rate_limit_style="403-text", rate_limit_per_s=2))
    client = connect(sandbox)
    answers = [client.get("/api/calls?fields[Call]=id") for _ in range(40)]
    refused = [answer for answer in answers if answer.status_code == 403]
    assert refused
    assert {answer.content for answer in refused} == {b"Forbidden\n"}
    for answer in answers:
        assert answer.headers["x-ratelimit-limit"] == "2"
        assert abs(int(answer.headers["x-ratelimit-reset"]) - time.time()) < 60
    assert {answer.headers["x-ratelimit-remaining"] for answer in refused} == {"0"}
    assert answers[0].headers["x-ratelimit-remaining"] == "1"


@pytest.mark.parametrize("kind", ["error", "error_after"])
@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (400, f"{JSON_API}; charset=utf-8", b'{"errors":{"detail":"Bad Request"}}'),
        (401, "application/json; charset=utf-8", b'{"error":"Unauthorized"}'),
        (403, JSON_API, b'"code":"forbidden"'),
        (404, JSON_API, f'"detail":"No Call record found with `id: {CALL}`"'.encode()),
        (413, f"{JSON_API}; charset=utf-8", b'{"errors":{"detail":"Request Entity Too Large"}}'),
        (414, None, b""),
        (422, JSON_API, b'"code":"no_such_input"'),
        (431, None, b""),
        (500, f"{JSON_API}; charset=utf-8", b'{"errors":{"detail":"Internal Server Error"}}'),
        (
            502,
            "text/html",
            b"<html>\r\n<head><title>502</title></head>\r\n<body><h1>502</h1></body>\r\n</html>\r\n",
        ),
        (503, "text/html", b"<h1>503</h1>"),
        (504, "text/html", b"<h1>504</h1>"),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
def test_an_error_looks_like_the_part_that_sends_it(play, kind, status, content_type, body):
    sandbox, client = play(Fault(kind, status=status))
    answer = patch(client)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert body in answer.content
    assert bool(answer.content) is bool(body)
    assert held(sandbox) == (AFTER if kind == "error_after" else BEFORE)


def test_a_page_and_headers_can_be_given(play):
    fault = Fault(
        "error_after", status=520, body="<h1>näh</h1>", headers={"Server": "edge", "retry-after": "x"}
    )
    _, client = play(fault)
    answer = patch(client)
    assert (answer.status_code, answer.text) == (520, "<h1>näh</h1>")
    assert (answer.headers["server"], answer.headers["retry-after"]) == ("edge", "x")


# Tokens


@pytest.mark.parametrize(
    ("style", "refusals"),
    [
        ("403", ((403, b'"code":"forbidden"'), (403, b'"code":"forbidden"'))),
        ("401-json", ((401, b'{"error":"Unauthorized"}'), (401, b'{"error":"Unauthorized"}'))),
        ("401-text", ((401, b"Unauthorized"), (401, b"Unauthorized"))),
        ("200-empty", ((200, b'{"data":[],'), (404, b'"code":"not_found"'))),
    ],
)
@pytest.mark.parametrize("is_switch", [True, False], ids=["switch", "faults"])
def test_a_token_expires_after_so_many_requests_until_it_is_renewed(
    start, connect, style, refusals, is_switch
):
    sandbox = start(switches=Switches(auth_failure=style if is_switch else "401-text"))
    client = connect(sandbox)
    client.get("/api/calls")
    sandbox.faults = Faults(expire_after=2, expire_style=None if is_switch else style)
    assert [client.get("/api/calls").status_code for _ in range(2)] == [200, 200]
    for answer, (status, body) in zip((client.get("/api/calls"), patch(client)), refusals, strict=True):
        assert answer.status_code == status
        assert body in answer.content
    assert held(sandbox) == BEFORE
    assert [request.fault for request in sandbox.requests] == [None] * 3 + ["expired"] * 2
    sandbox.token = "renewed"  # noqa: S105 - of the sandbox
    client.headers["authorization"] = "Bearer renewed"
    assert [client.get("/api/calls").status_code for _ in range(4)] == [200] * 4
    assert patch(client).status_code == 200


def test_a_token_that_expires_after_none_was_never_valid(start, connect):
    sandbox = start(faults=Faults(expire_after=0, script=[503]))
    client = connect(sandbox)
    assert client.get("/api/calls").status_code == 403
    sandbox.token = sandbox.token
    # An expired token takes no entry of the script.
    assert [client.get("/api/calls").status_code for _ in range(2)] == [503, 200]


def test_methods_without_faults_wear_the_token_out_too(start, connect):
    sandbox = start(faults=Faults(expire_after=2, methods=("PATCH",)))
    client = connect(sandbox)
    assert [client.get("/api/calls").status_code for _ in range(3)] == [200, 200, 403]
    assert patch(client).status_code == 403


@pytest.mark.parametrize(
    ("style", "status"), [("403", 403), ("401-json", 401), ("401-text", 401), ("200-empty", 404)]
)
def test_one_request_can_meet_a_token_taken_for_expired(play, style, status):
    sandbox, client = play(Fault("expired", style=style))
    assert [patch(client).status_code for _ in range(2)] == [status, 200]
    assert [request.fault for request in sandbox.requests] == ["expired", None]


# Whole answers that are not the answer


def test_the_wrong_id_is_that_of_another_call(play):
    _, client = play("wrong_id")
    assert patch(client).json()["data"]["id"] in OTHERS


def test_the_only_call_is_shown_under_an_id_that_is_none(play, document):
    _, client = play("wrong_id", calls={"data": [row for row in document["data"] if row["id"] == CALL]})
    assert patch(client).json()["data"]["id"] == "ffffffff-ffff-4fff-8fff-000000000000"


def test_an_unknown_id_is_that_of_no_call_and_the_rest_is_true(play):
    sandbox, client = play("unknown_id")
    data = patch(client).json()["data"]
    assert data["id"] not in set(sandbox.calls["id"])
    assert (data["attributes"]["call_uuid"], data["attributes"]["status"]) == ("uuid-3", AFTER)


def test_a_read_shows_another_call_than_asked_for(start, connect):
    client = connect(start(faults=Faults(script=["wrong_id"])))
    (row,) = client.get(f"/api/calls?filter[id][in][]={CALL}").json()["data"]
    assert row["id"] in OTHERS


def test_a_stale_answer_shows_the_call_as_it_was(play):
    sandbox, client = play("stale_answer")
    assert (shown(patch(client)), held(sandbox)) == (BEFORE, AFTER)


def test_an_echo_shows_what_was_not_written(play):
    sandbox, client = play("echoed")
    assert (shown(patch(client)), held(sandbox)) == (AFTER, BEFORE)
    assert shown(patch(client, duration_seconds=11)) == BEFORE


def test_one_field_can_be_ignored_and_another_written(play):
    sandbox, client = play(Fault("ignored", fields=["status"]))
    answer = patch(client, status=AFTER, duration_seconds=11)
    assert (shown(answer), shown(answer, "duration_seconds")) == (BEFORE, 11)
    assert (held(sandbox), held(sandbox, "duration_seconds")) == (BEFORE, 11)


@pytest.mark.parametrize(
    ("name", "sent", "stored"),
    [
        ("duration_seconds", 61, 120),
        ("duration_seconds", 60, 120),
        ("ended_at", "2026-01-03T00:01:59Z", "2026-01-03T00:01:00.000000Z"),
        ("ended_at", "2026-01-03T00:01:00Z", "2026-01-03T00:00:00.000000Z"),
        ("call_source", "pstn", "PSTN"),
        ("ended_at", None, None),
        ("duration_seconds", None, None),
    ],
)
def test_a_coerced_value_is_stored_and_shown_otherwise(play, name, sent, stored):
    _, client = play(Fault("coerced", fields=[name]))
    assert shown(patch(client, **{name: sent}), name) == stored
    rows = client.get("/api/calls").json()["data"]
    assert next(row for row in rows if row["id"] == CALL)["attributes"][name] == stored


def test_a_coerced_status_is_another_one(play):
    sandbox, client = play("coerced")
    status = shown(patch(client))
    assert status not in {BEFORE, AFTER}
    assert held(sandbox) == status


@pytest.mark.parametrize(
    ("fault", "sent", "coupled"),
    [
        (Fault("coupled"), {"duration_seconds": 75}, ("ended_at", "2026-01-03T00:01:15.000000Z")),
        (Fault("coupled"), {"ended_at": "2026-01-03T00:02:00.9Z"}, ("duration_seconds", 120)),
        (Fault("coupled", changes={"call_source": "api"}), {"status": AFTER}, ("call_source", "api")),
        # What is sent wins over what is coupled to it.
        (Fault("coupled", changes={"status": "missed"}), {"status": AFTER}, ("status", AFTER)),
    ],
)
def test_a_server_that_couples_fields_changes_more_than_was_sent(play, fault, sent, coupled):
    _, client = play(fault)
    answer = patch(client, **sent)
    assert shown(answer, coupled[0]) == coupled[1]
    rows = client.get("/api/calls").json()["data"]
    assert next(row for row in rows if row["id"] == CALL)["attributes"] == answer.json()["data"]["attributes"]


def test_one_node_shows_instants_with_the_other_number_of_decimals(start, connect):
    faults = Faults(script=["other_precision", None])
    for precision, texts in ((6, (":10Z", ":10.500000Z")), (0, (":10.000000Z", ":10Z"))):
        client = connect(start(faults=faults, switches=Switches(time_precision=precision)))
        for text in texts:
            rows = {row["id"]: row["attributes"] for row in client.get("/api/calls").json()["data"]}
            assert rows[CALL]["ended_at"].endswith(text)


def test_one_node_leaves_missing_values_out_or_in(start, connect):
    faults = Faults(script=["other_nil", None])
    for omit_nil, has_nulls in ((False, (False, True)), (True, (True, False))):
        client = connect(start(faults=faults, switches=Switches(omit_nil=omit_nil)))
        for has_null in has_nulls:
            rows = client.get("/api/calls?fields[Call]=status,ended_at").json()["data"]
            row = next(row for row in rows if row["id"][0] == "4")
            assert ("ended_at" in row["attributes"]) is has_null


# Broken documents


def test_broken_documents_are_broken_as_they_say(start, connect):
    bodies = {}
    for kind in (
        "none",
        "json_null",
        "json_list",
        "json_truncated",
        "json_nan",
        "json_bad_utf8",
        "empty_body",
    ):
        answer = patch(connect(start(faults=Faults(script=[kind])), **{"accept-encoding": "identity"}))
        assert (answer.status_code, answer.headers["content-type"]) == (200, JSON_API)
        assert int(answer.headers["content-length"]) == len(answer.content)
        bodies[kind] = re.sub(rb"127\.0\.0\.1:\d+", b"HOST:1", answer.content)
    honest = bodies["none"]
    assert bodies["json_null"] == b"null"
    assert bodies["json_list"] == b"[" + honest + b"]"
    assert bodies["json_nan"] == honest.replace(b'"duration_seconds":10', b'"duration_seconds":NaN')
    assert bodies["json_bad_utf8"] == honest.replace(b'"sip"', b'"\xffsip"')
    assert bodies["empty_body"] == b""
    assert json.loads(honest)["data"]["id"] == CALL
    with pytest.raises(json.JSONDecodeError):
        json.loads(bodies["json_truncated"])
    assert honest.startswith(bodies["json_truncated"][:-20])


def test_wrong_types_are_numbers_for_text_and_text_for_numbers(play):
    _, client = play("json_wrong_types")
    attributes = patch(client).json()["data"]["attributes"]
    assert (attributes["status"], attributes["started_at"]) == (7, 7)
    assert attributes["duration_seconds"] == "sixty"


# Slow


@pytest.mark.slow
def test_a_dribble_outlasts_a_time_out_per_read(start, connect):
    took_s, answers = {}, {}

    def ask(kind):
        sandbox = start(faults=Faults(script=[Fault(kind, spread_s=6.0)]))
        client = connect(sandbox)
        client.timeout = httpx.Timeout(60, read=5.0)
        started = time.monotonic()
        answers[kind] = (shown(patch(client)), held(sandbox), patch(client).status_code)
        took_s[kind] = time.monotonic() - started

    threads = [threading.Thread(target=ask, args=(kind,)) for kind in ("slow_body", "slow_head")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == dict.fromkeys(("slow_body", "slow_head"), (AFTER, AFTER, 200))
    assert min(took_s.values()) >= 5.9


def test_a_client_that_leaves_a_dribble_is_written_down_without_a_status(play):
    sandbox, client = play(Fault("slow_body", spread_s=600))
    with client.stream(
        "PATCH",
        f"/api/calls/{CALL}",
        content=json.dumps({"data": {"attributes": {"status": AFTER}}}),
        headers={"content-type": JSON_API},
    ) as answer:
        assert answer.status_code == 200
    assert [request.status for request in sandbox.requests] == [None]
    assert held(sandbox) == AFTER


def and_slowly(*kinds):
    return [pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@pytest.mark.parametrize(
    "kind", ["slow_body", "lost_answer", *and_slowly("slow_head", "two_answers", "error_after")]
)
def test_a_client_that_left_before_the_answer_leaves_no_noise(play, kind):
    sandbox, client = play(Fault(kind, hold_s=1.5))
    client.timeout = httpx.Timeout(60, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        patch(client)
    give_up_at = time.monotonic() + 60
    while [r.fault for r in sandbox.requests] != [kind] and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert [request.fault for request in sandbox.requests] == [kind]
    client.timeout = httpx.Timeout(60)
    assert patch(client).status_code == 200


@pytest.mark.slow
def test_nothing_is_written_to_a_client_that_left_in_the_middle_of_a_head(start, connect):
    """Writing to a closed connection is what the event loop complains about, after a few times."""
    sandbox = start(faults=Faults(script=[Fault("slow_head", spread_s=3.0), Fault(latency_s=4.0)]))
    address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(f"GET /api/calls HTTP/1.1\r\nHost: x\r\nx-api-key: {sandbox.token}\r\n\r\n".encode())
        assert wire.recv(1)
    # The answer to this one comes when the head would have been out for long.
    assert connect(sandbox).get("/api/calls").status_code == 200
    assert [request.status for request in sandbox.requests] == [None, 200]


@pytest.mark.parametrize("kind", ["dropped_answer", "reset", *and_slowly("closed_answer", "closed")])
def test_a_connection_that_the_client_closed_first_cannot_be_broken_and_need_not(play, kind):
    delay = {"hold_s": 1.5} if FaultKind(kind).is_applied else {"latency_s": 1.5}
    sandbox, client = play(Fault(kind, **delay))
    client.timeout = httpx.Timeout(60, read=0.05)
    with pytest.raises(httpx.ReadTimeout):
        patch(client)
    give_up_at = time.monotonic() + 60
    while [r.fault for r in sandbox.requests] != [kind] and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert [request.fault for request in sandbox.requests] == [kind]


@pytest.mark.parametrize(
    "kind", ["slow_body", "slow_head", "long_length", "half_closed", "two_answers", "endless_head"]
)
def test_stopping_in_the_middle_of_a_fault_is_quick_and_quiet(document, kind):
    options = {"spread_s": 600} if kind.startswith("slow") else {}
    sandbox = Sandbox(document, faults=Faults(script=[Fault(kind, **options)])).start()
    address = ("127.0.0.1", int(sandbox.url.rpartition(":")[2]))
    with socket.create_connection(address, timeout=60) as wire:
        wire.sendall(f"GET /api/calls HTTP/1.1\r\nHost: x\r\nx-api-key: {sandbox.token}\r\n\r\n".encode())
        received = wire.recv(1)
        sandbox.stop()
        with suppress(ConnectionResetError):
            while part := wire.recv(65_536):
                received += part
    if kind.startswith("slow"):
        # What is in flight breaks; it does not come all at once.
        assert not received.endswith(b"}")
    assert "sippet-sandbox" not in {thread.name for thread in threading.enumerate()}
