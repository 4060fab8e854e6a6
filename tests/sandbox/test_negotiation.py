"""Media types, encodings, request ids and the headers around every answer."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

JSON_API = "application/vnd.api+json"
CALL = "/api/calls/33333333-3333-4333-8333-333333333333"
NOT_ACCEPTABLE = {"errors": {"detail": "Not Acceptable"}}
UNSUPPORTED = {"errors": {"detail": "Unsupported Media Type"}}


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/json",
        JSON_API,
        f"{JSON_API}, application/json",
        f"text/html, {JSON_API}",
        f'{JSON_API}; profile="https://example.org/x"',
        f'{JSON_API}; ext="https://example.org/x"',
        f"{JSON_API};q=0.9, {JSON_API}",
        "application/json;q=0.5",
    ],
)
def test_a_client_may_accept(get, accept):
    assert get("/api/calls", Accept=accept)[0] == 200


@pytest.mark.parametrize("accept", [f"{JSON_API}; charset=utf-8", f"{JSON_API};q=0.9, */*;q=0.1"])
def test_parameters_of_the_accepted_type_are_refused(get, accept):
    status, headers, body = get("/api/calls", Accept=accept)
    (error,) = json.loads(body)["errors"]
    assert status == 406
    assert headers["content-type"] == JSON_API
    assert error == {
        "code": "unacceptable_media_type",
        "id": error["id"],
        "meta": {},
        "status": "406",
        "title": "Unacceptable Media Type",
    }


@pytest.mark.parametrize("accept", ["text/html", "garbage", ""])
def test_a_client_that_takes_no_json_is_refused_outside_the_api(get, accept):
    status, headers, body = get("/api/calls", Accept=accept)
    assert (status, json.loads(body)) == (406, NOT_ACCEPTABLE)
    assert headers["content-type"] == f"{JSON_API}; charset=utf-8"


@pytest.mark.parametrize("content_type", [JSON_API, JSON_API.upper(), f'{JSON_API}; ext="x"'])
def test_a_get_may_name_the_content_type(get, content_type):
    assert get("/api/calls", **{"Content-Type": content_type})[0] == 200


@pytest.mark.parametrize(
    "content_type",
    [
        f"{JSON_API}; charset=utf-8",
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "garbage",
    ],
)
def test_a_get_with_another_content_type_is_refused(get, content_type):
    status, _, body = get("/api/calls", **{"Content-Type": content_type})
    (error,) = json.loads(body)["errors"]
    assert status == 415
    assert error == {
        "code": "unsupported_media_type",
        "id": error["id"],
        "meta": {},
        "status": "415",
        "title": "Unsupported Media Type",
    }


@pytest.mark.parametrize(
    ("content_type", "status", "codes"),
    [
        (JSON_API, 200, None),
        (JSON_API.upper(), 200, None),
        (f'{JSON_API}; profile="x"', 200, None),
        (f"{JSON_API}; charset=utf-8", 415, ["unsupported_media_type"]),
        ("application/json", 415, ["unsupported_media_type"]),
        ("application/x-www-form-urlencoded", 415, ["required", "unsupported_media_type"]),
        ("text/plain", 415, UNSUPPORTED),
        ("garbage", 415, UNSUPPORTED),
    ],
)
def test_a_patch_has_its_content_type_judged(start, connect, content_type, status, codes):
    answer = connect(start()).patch(
        CALL, content=b'{"data":{"attributes":{}}}', headers={"content-type": content_type}
    )
    assert answer.status_code == status
    if isinstance(codes, dict):
        assert answer.json() == codes
    elif codes is not None:
        assert sorted(error["code"] for error in answer.json()["errors"]) == codes


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("br, deflate", "deflate"),
        ("x-gzip", "x-gzip"),
        ("gzip;q=0", None),
        ("br", None),
        ("", None),
    ],
)
def test_an_answer_is_compressed_as_the_client_asks(get, accepted, encoding):
    status, headers, body = get("/api/calls?sort=id", **{"Accept-Encoding": accepted})
    unpack = {None: bytes, "deflate": zlib.decompress}.get(encoding, gzip.decompress)
    assert (status, headers.get("content-encoding")) == (200, encoding)
    assert int(headers["content-length"]) == len(body)
    assert [row["id"][0] for row in json.loads(unpack(body))["data"]] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("sent", ["a" * 20, "b" * 200])
def test_a_request_id_of_fair_length_comes_back(get, sent):
    assert get("/api/calls", **{"X-Request-Id": sent})[1]["x-request-id"] == sent


@pytest.mark.parametrize("sent", [None, "short", "a" * 19, "b" * 201])
def test_another_request_id_is_replaced(get, sent):
    answered = get("/api/calls", **{"X-Request-Id": sent})[1]["x-request-id"]
    assert answered != sent
    assert 20 <= len(answered) <= 200


@pytest.mark.parametrize("target", ["/api/calls", "/api/calls?sort=nope", "/api/nope", "/nope"])
def test_every_answer_has_the_headers_of_the_application(get, target):
    _, headers, _ = get(target)
    assert headers["cache-control"] == "max-age=0, private, must-revalidate"
    assert headers["vary"] == "accept-encoding"
    assert headers["date"].endswith("GMT")
    assert "x-request-id" in headers
    assert not {"server", "etag", "last-modified"} & set(headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"),
        ("GET", "/api/nope"),
        ("GET", CALL),
        ("POST", "/api/calls"),
        ("PUT", CALL),
        ("DELETE", CALL),
        ("OPTIONS", "/api/calls"),
        ("PATCH", "/api/calls"),
        ("GET", f"{CALL}/conversation"),
    ],
)
def test_an_unknown_route_or_method_is_not_found(start, connect, method, path):
    answer = connect(start()).request(method, path, headers={"content-type": JSON_API})
    (error,) = answer.json()["errors"]
    assert answer.status_code == 404
    assert answer.headers["content-type"] == f"{JSON_API}; charset=utf-8"
    assert (error["code"], error["title"], error["detail"]) == (
        "no_route_found",
        "NoRouteFound",
        "no route found",
    )


@pytest.mark.parametrize("path", ["/", "/calls", "/apis/calls"])
def test_outside_the_api_nothing_is_found(get, path):
    status, headers, body = get(path)
    assert (status, body) == (404, b'{"errors":{"detail":"Not Found"}}')
    assert headers["content-type"] == f"{JSON_API}; charset=utf-8"


def test_a_slash_at_the_end_changes_nothing(get):
    assert get("/api/calls/")[0] == 200


def test_head_answers_as_get_without_a_body(start, connect):
    answer = connect(start()).head("/api/calls")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_the_description_names_statuses_and_what_can_be_patched(get):
    status, headers, body = get("/api/open_api")
    patch = json.loads(body)["paths"]["/api/calls/{id}"]["patch"]["requestBody"]["content"][JSON_API]
    attributes = patch["schema"]["properties"]["data"]["properties"]["attributes"]["properties"]
    assert (status, headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert sorted(attributes) == ["call_source", "duration_seconds", "ended_at", "status"]
    assert attributes["status"]["enum"] == [
        "initiated",
        "ringing",
        "answered",
        "completed",
        "busy",
        "no_answer",
        "failed",
        "canceled",
        "missed",
        "voicemail",
    ]


def test_a_status_that_a_call_holds_belongs_to_the_enum(start, connect, document):
    document["data"][0]["attributes"]["status"] = "parked"
    sandbox = start(document)
    client = connect(sandbox)
    sandbox.change_call("11111111-1111-4111-8111-111111111111", status="held")
    enum = client.get("/api/open_api").json()["components"]["schemas"]["Call"]["properties"]["attributes"][
        "properties"
    ]["status"]["anyOf"][0]["enum"]
    assert enum[-2:] == ["parked", "held"]
    assert len(client.get("/api/calls?filter[status]=held").json()["data"]) == 1
