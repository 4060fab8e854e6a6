"""What the server says of itself, and whether it can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import ApiDescription
from sippet_reconcile.api.description import read_description
from sippet_reconcile.api.documents import DocumentError
from sippet_reconcile.errors import TransientApiError

Make = Callable[..., sr.Client]


def open_api(status: Any, *, path: str = "/api/calls/{id}", **schemas: Any) -> dict[str, Any]:
    attributes = {
        "type": "object",
        "properties": {
            "call_source": {"type": "string"},
            "duration_seconds": {},
            "ended_at": {},
            "status": status,
        },
    }
    data = {"type": "object", "properties": {"attributes": attributes, "type": {"enum": ["Call"]}}}
    body = {"content": {"application/vnd.api+json": {"schema": {"properties": {"data": data}}}}}
    return {
        "openapi": "3.0.0",
        "paths": {path: {"patch": {"requestBody": body}}},
        "components": {"schemas": schemas},
    }


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"type": "string", "enum": ["initiated", "completed"]}, ("initiated", "completed")),
        ({"anyOf": [{"enum": ["initiated", None]}, {"type": "null"}]}, ("initiated",)),
        ({"$ref": "#/components/schemas/call~1status"}, ("a", "b")),
        ({"oneOf": [{"$ref": "#/components/schemas/call~1status"}, {"enum": ["b", "c"]}]}, ("a", "b", "c")),
        ({"$ref": "#/components/schemas/nowhere"}, ()),
        ({"type": "string"}, ()),
    ],
)
def test_statuses_are_found_wherever_they_are_written(status: Any, words: tuple[str, ...]) -> None:
    document = open_api(status, **{"call/status": {"enum": ["a", "b"]}})
    description = read_description(json.dumps(document).encode())
    assert description.statuses == words
    assert description.patchable == ("call_source", "duration_seconds", "ended_at", "status")


def test_the_resource_itself_tells_the_statuses_too() -> None:
    call = {"properties": {"attributes": {"properties": {"status": {"enum": ["initiated"]}}}}}
    document = {"paths": {}, "components": {"schemas": {"Call": call}}}
    assert read_description(json.dumps(document).encode()) == ApiDescription(("initiated",), ())


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"paths": None},
        {"paths": {}},
        {"paths": {"/api/users/{id}": {"patch": {}}}},
        {"paths": {"/api/calls/{id}": None}},
        {"paths": {"/api/calls/{id}": {"patch": {"requestBody": {"content": {"x": None}}}}}},
        {"paths": [], "components": []},
        {"paths": {"/api/calls/{id}": {"$ref": "#/paths/~1api~1calls~1{id}"}}},  # refers to itself
        [],
        5,
    ],
)
def test_what_does_not_speak_of_calls_is_told_apart(document: Any) -> None:
    with pytest.raises(DocumentError):
        read_description(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (httpx.Response(404, text='{"errors":[{"code":"no_route_found","detail":"no route found"}]}'), "answered 404: no route found"),
        (httpx.Response(403, text='{"errors":[{"code":"forbidden","detail":"forbidden"}]}'), "answered 403: forbidden"),
        (httpx.Response(401), "answered 401: unauthenticated"),
        (httpx.Response(200, text="<html>"), "answered 200: the document is not JSON"),
        (httpx.Response(200, text="{}"), "answered 200: it is not an OpenAPI document"),
    ],
)  # fmt: skip
def test_where_nothing_is_said_nothing_is_claimed(
    client_of: Make, response: httpx.Response, told: str
) -> None:
    description = client_of(lambda _: response).describe()
    assert (description.available, description.statuses, description.patchable) == (False, (), ())
    assert told in str(description.problem)
    assert told in repr(description)
    assert "no route found" in description._repr_html_() or "answered" in description._repr_html_()


def test_a_server_that_does_not_answer_is_an_error(client_of: Make) -> None:
    def down(_: httpx.Request) -> httpx.Response:
        message = "refused"
        raise httpx.ConnectError(message)

    client = client_of(down)
    with pytest.raises(TransientApiError, match="could not be sent"):
        client.describe()
    result = client.check()
    assert (result.ok, result.reachable, result.authenticated, result.sees_calls) == (
        False,
        False,
        None,
        None,
    )
    assert "could not be sent" in repr(result)


def with_document(index: Any, **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/open_api":
            return httpx.Response(200, json=open_api({"enum": ["initiated"]}), headers=headers)
        response: httpx.Response = index(request)
        return response

    return handler


def test_all_is_well_where_a_call_is_seen(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(1, "2026-11-02T11:59:00Z")])
    result = client_of(with_document(index, date="Mon, 02 Nov 2026 12:00:00 GMT")).check()
    assert result.ok
    assert (result.statuses, result.clock_difference_s) == (("initiated",), 0.5)
    assert repr(result).startswith("<CheckResult ok: url https://api.example.com")
    assert "The API can be read" in result._repr_html_()
    assert {request.method for request in index.requests} == {"GET"}


def test_an_old_call_is_found_by_looking_back(client_of: Make, make_index: Any, api: Any) -> None:
    for started_at in ("2019-01-01T00:00:00Z", "2031-01-01T00:00:00Z", None):
        assert client_of(with_document(make_index([api.resource(1, started_at)]))).check().ok


def test_a_wrong_clock_is_told(client_of: Make, make_index: Any, api: Any) -> None:
    index = make_index([api.resource(1, "2026-11-02T11:59:00Z")])
    result = client_of(with_document(index, date="Mon, 02 Nov 2026 12:05:00 GMT")).check()
    assert not result.ok
    assert "+300 s" in result.problems[0] or "+301 s" in result.problems[0]


def test_seeing_nothing_is_not_all_well(client_of: Make, make_index: Any) -> None:
    result = client_of(with_document(make_index([]))).check()
    assert (result.ok, result.reachable, result.authenticated, result.sees_calls) == (
        False,
        True,
        None,
        False,
    )
    assert "no call at all is visible" in result.problems[0]


@pytest.mark.parametrize(
    ("status", "text", "authenticated"),
    [(401, "Unauthorized", False), (403, "{}", False), (403, "Forbidden", None)],
)
def test_a_refused_token_is_told(
    client_of: Make, make_index: Any, status: int, text: str, authenticated: bool | None
) -> None:
    index = make_index([], refuse=lambda _: httpx.Response(status, text=text))
    result = client_of(with_document(index)).check()
    assert (result.ok, result.reachable, result.authenticated) == (False, True, authenticated)
    assert "cannot be used yet" in result._repr_html_()
