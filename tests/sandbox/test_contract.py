"""The sandbox over raw sockets, against the tables of how the API answers: one place that a stranger can read."""

from __future__ import annotations

import json
import random
import re
import socket
import uuid

import pytest

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Faults, Sandbox, Switches

JSON_API = "application/vnd.api+json"
FRAMEWORK = f"{JSON_API}; charset=utf-8"
FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
UNKNOWN = "99999999-9999-4999-8999-999999999999"
SCHEMA = "No match of any schema, at"


def _request(sandbox, method, target, body=None, **changed):
    headers = {
        "Host": "HOST",
        "Accept": JSON_API,
        "Authorization": f"Bearer {sandbox.token}",
        "Connection": "close",
    }
    if body is not None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers |= {"Content-Type": JSON_API, "Content-Length": str(len(body))}
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + (body or b"")


def _attributes(**attributes):
    return {"data": {"type": "Call", "attributes": attributes}}


# fmt: off
# What is sent, and the status, code, title, detail and source of the one error it is answered with.
REFUSALS = {
    "sort": ("GET", "?sort=--ended_at", None, 400, "invalid_sort", "InvalidSort", "Invalid sort field: --ended_at", {"parameter": "sort"}),
    "field": ("GET", "?fields[Call]=nope", None, 400, "invalid_field", "InvalidField", "Invalid field for type Call: nope", {"parameter": "fields[Call]"}),
    "type": ("GET", "?fields[call]=status", None, 400, "invalid_type", "Invalid Type", "No such type call", ...),
    "include": ("GET", "?include=conversation", None, 400, "invalid_includes", "Invalid Includes", 'Invalid includes: [["conversation"]]', {"parameter": "include"}),
    "filter": ("GET", "?filter[call_uuid][in]=a,b", None, 400, "something_went_wrong", "SomethingWentWrong", ..., None),
    "is_nil": ("GET", "?filter[ended_at][is_nil]=maybe", None, 500, "something_went_wrong", "SomethingWentWrong", ..., None),
    "page": ("GET", "?page[limit]=-1", None, 400, "invalid_query", "InvalidQuery", ..., {"pointer": "/page/limit"}),
    "read-only": ("PATCH", f"/{SECOND}", _attributes(started_at="x"), 400, "invalid_body", "InvalidBody", 'Expected only defined properties, got key ["data", "attributes", "started_at"].', {"pointer": "/data/attributes/started_at"}),
    "enum": ("PATCH", f"/{SECOND}", _attributes(status="COMPLETED"), 400, "invalid_body", "InvalidBody", f'{SCHEMA} ["data", "attributes", "status"].', {"pointer": "/data/attributes/status"}),
    "fraction": ("PATCH", f"/{SECOND}", _attributes(duration_seconds=1.5), 400, "invalid_body", "InvalidBody", f'{SCHEMA} ["data", "attributes", "duration_seconds"].', {"pointer": "/data/attributes/duration_seconds"}),
    "number": ("PATCH", f"/{SECOND}", _attributes(duration_seconds=" 12 "), 400, "invalid_attribute", "InvalidAttribute", "is invalid", {"pointer": "/data/attributes/duration_seconds"}),
    "null": ("PATCH", f"/{SECOND}", _attributes(call_source=None), 400, "required", "Required", "is required", {"pointer": "/data/attributes/call_source"}),
    "too-large": ("PATCH", f"/{SECOND}", _attributes(duration_seconds=2**63), 500, "something_went_wrong", "SomethingWentWrong", ..., None),
    "wrong-type": ("PATCH", f"/{SECOND}", {"data": {"type": "call"}}, 400, "invalid_body", "InvalidBody", 'Expected the value to be "Call", got "call", at ["data", "type"].', {"pointer": "/data/type"}),
    "jsonapi": ("PATCH", f"/{SECOND}", {**_attributes(), "jsonapi": {}}, 400, "invalid_body", "InvalidBody", 'Expected only defined properties, got key ["jsonapi"].', {"pointer": "/jsonapi"}),
    "no-data": ("PATCH", f"/{SECOND}", [], 400, "required", "Required", ..., {"pointer": "/data"}),
    "no-call": ("PATCH", f"/{UNKNOWN}", _attributes(status="failed"), 404, "not_found", "Entity Not Found", f"No Call record found with `id: {UNKNOWN}`", None),
    "id-twice": ("PATCH", f"/{SECOND}?id={FIRST}", _attributes(), 400, "invalid_query", "InvalidQuery", "conflict path and query params", ...),
}
# fmt: on


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_what_the_tables_say_in_every_member(shared, raw, case):
    method, rest, body, status, code, title, detail, source = case
    answered, headers, content = raw(shared, _request(shared, method, f"/api/calls{rest}", body))
    document = json.loads(content)
    (error,) = document["errors"]
    assert (answered, error["status"], error["code"], error["title"]) == (status, str(status), code, title)
    assert uuid.UUID(error["id"]).version == 4
    assert list(document) == ["errors", "jsonapi"]
    assert list(error) == sorted(error)
    assert (headers["content-type"], document["jsonapi"]) == (JSON_API, {"version": "1.0"})
    assert len(headers["x-request-id"]) >= 20
    if code == "something_went_wrong":
        assert error["detail"] == f"Something went wrong. Error id: {error['id']}"
        assert "meta" not in error
    else:
        assert detail in (..., error["detail"])
        assert error["meta"] == {}
    assert source in (..., error.get("source"))


@pytest.mark.parametrize(
    ("fault", "style", "status"),
    [
        ("throttle", "429", 429),
        ("throttle", "403-text", 403),
        ("throttle", "403-forbidden", 403),
        (500, "429", 500),
    ],
)
def test_what_the_application_refuses_has_a_request_id(start, raw, fault, style, status):
    sandbox = start(faults=Faults(script=[fault]), switches=Switches(rate_limit_style=style))
    mine = "a-request-id-of-my-own"
    answered, headers, _ = raw(sandbox, _request(sandbox, "GET", "/api/calls", X_Request_Id=mine))
    assert (answered, headers["x-request-id"]) == (status, mine)


def test_what_a_proxy_answers_has_no_request_id(start, raw):
    sandbox = start(faults=Faults(script=[502]))
    status, headers, _ = raw(sandbox, _request(sandbox, "GET", "/api/calls"))
    assert status == 502
    assert "x-request-id" not in headers


def test_the_limiter_names_what_it_refuses(start, raw):
    sandbox = start(switches=Switches(rate_limit_per_s=1))
    answers = [raw(sandbox, _request(sandbox, "GET", "/api/calls")) for _ in range(2)]
    refused = [headers for status, headers, _ in answers if status == 429]
    assert len(refused) == sandbox.rate_violations
    assert all("x-request-id" in headers and "retry-after" in headers for headers in refused)


def _noise(seed, n):
    """Queries of pieces that mean something, in orders that mean nothing."""
    draw = random.Random(seed)  # noqa: S311 - noise, not a secret
    words = [
        "filter",
        "sort",
        "page",
        "fields",
        "include",
        "or",
        "and",
        "not",
        "limit",
        "like",
        "true",
        "-1",
        "0",
    ]
    values = [
        "status",
        "id",
        "started_at",
        "completed",
        "2026-01-03",
        "%C3%A9",
        "%00",
        "%ZZ",
        "%25",
        "9" * 20,
    ]
    signs = ["[", "]", "[]", "[in]", "[eq]", "[is_nil]", "[Call]", "=", "&", "%5B", "+", ",", ".", "\\"]
    starts = ["", "filter[", "sort=", "page[", "fields[Call]=", "filter[or][0]", "filter[started_at]"]
    pieces = [*words, *values, *signs]
    return [draw.choice(starts) + "".join(draw.choices(pieces, k=draw.randint(1, 8))) for _ in range(n)]


def _shape(document):
    if "data" in document:
        return "data"
    return "library" if isinstance(document["errors"], list) else "framework"


@pytest.mark.parametrize("seed", range(4))
def test_any_query_is_answered_in_one_of_the_three_shapes(get, seed):
    for query in _noise(seed, 100):
        status, headers, body = get(f"/api/calls?{query}")
        document = json.loads(body)
        shape = _shape(document)
        assert (status == 200) == (shape == "data"), query
        assert status in {200, 400, 500}, query
        assert headers["content-type"] == (FRAMEWORK if shape == "framework" else JSON_API), query


def _held(sandbox):
    return sandbox.calls.drop(columns="fetched_at")


def _json(draw, depth=0):
    kind = draw.random()
    if depth > 3 or kind < 0.4:
        values = [None, True, 1, -1, 1.5, "", "Call", FIRST, 2**70, "completed", "2026-01-01T00:00:00Z", "\0"]
        return draw.choice(values)
    if kind < 0.55:
        return [_json(draw, depth + 1) for _ in range(draw.randint(0, 2))]
    names = [
        "data",
        "id",
        "type",
        "attributes",
        "relationships",
        "status",
        "duration_seconds",
        "ended_at",
        "x",
    ]
    return {draw.choice(names): _json(draw, depth + 1) for _ in range(draw.randint(0, 4))}


@pytest.mark.parametrize("seed", range(4))
def test_any_body_is_answered_and_only_an_accepted_one_changes_a_call(start, raw, seed):
    sandbox, draw = start(), random.Random(seed)  # noqa: S311 - noise, not a secret
    held = _held(sandbox)
    for number in range(80):
        body = _json(draw) if number % 3 else {"data": {"type": "Call", "attributes": _json(draw, 2)}}
        status, _, content = raw(sandbox, _request(sandbox, "PATCH", f"/api/calls/{SECOND}", body))
        assert status in {200, 400, 500}, body
        assert ("data" in json.loads(content)) == (status == 200), body
        now = _held(sandbox)
        assert status == 200 or now.equals(held), body
        held = now


def test_one_connection_carries_requests_of_every_outcome_in_order(shared):
    targets = [
        ("HEAD", ""),
        ("GET", "?sort=nope"),
        ("GET", "?page[limit]=abc"),
        ("OPTIONS", ""),
        ("GET", f"?filter[id]={FIRST}"),
    ]
    wire = b"".join(
        _request(shared, method, f"/api/calls{query}", Connection="keep-alive") for method, query in targets
    )
    statuses = []
    with socket.create_connection(
        ("127.0.0.1", int(shared.url.rpartition(":")[2])), timeout=30
    ) as connection:
        connection.sendall(wire)
        with connection.makefile("rb") as answers:
            for method, _ in targets:
                statuses.append(int(answers.readline().split()[1]))
                length = 0
                while (line := answers.readline()) != b"\r\n":
                    if found := re.fullmatch(rb"(?i)content-length: (\d+)\r\n", line):
                        length = int(found[1])
                body = b"" if method == "HEAD" else answers.read(length)
    assert statuses == [200, 400, 500, 404, 200]
    assert [row["id"] for row in json.loads(body)["data"]] == [FIRST]


@pytest.mark.parametrize("port", [-1, 65_536, "8010", True])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises(InputError, match="port"):
        Sandbox(port=port)
