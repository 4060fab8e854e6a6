"""Whole exchanges, byte for byte; only ids of errors and of requests differ from run to run."""

from __future__ import annotations

import json
import re

import pytest

FIRST = "11111111-1111-4111-8111-111111111111"
SECOND = "22222222-2222-4222-8222-222222222222"
UNKNOWN = "99999999-9999-4999-8999-999999999999"
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

INDEX = (
    b'{"data":[{"attributes":{"call_source":"sip","call_uuid":"uuid-1","conversation_id":null,'
    b'"direction":"inbound","duration_seconds":60,"ended_at":"2026-01-02T03:05:05.000000Z",'
    b'"from_number":"+15550000001","sip_username":null,"started_at":"2026-01-02T03:04:05.678901Z",'
    b'"status":"completed","to_number":"+15550000002"},"id":"11111111-1111-4111-8111-111111111111",'
    b'"links":{},"meta":{},"relationships":{"conversation":{"links":{},"meta":{}},"organisation":'
    b'{"links":{},"meta":{}}},"type":"Call"}],"jsonapi":{"version":"1.0"},"links":{"self":"http://HOST'
    b"/api/calls?filter%5Bstarted_at%5D%5Bgte%5D=2026-01-02T00:00:00Z&filter%5Bstarted_at%5D%5Blt%5D="
    b'2026-01-03T00:00:00Z&sort=started_at,id"},"meta":{}}'
)
CORRECTED = (
    b'{"data":{"attributes":{"call_source":"sip","call_uuid":"uuid-2","conversation_id":null,'
    b'"direction":"outbound","duration_seconds":60,"ended_at":"2026-01-03T00:01:00.000000Z",'
    b'"from_number":"+15550000003","sip_username":null,"started_at":"2026-01-03T00:00:00.000000Z",'
    b'"status":"completed","to_number":"+15550000004"},"id":"22222222-2222-4222-8222-222222222222",'
    b'"links":{},"meta":{},"relationships":{"conversation":{"links":{},"meta":{}},"organisation":'
    b'{"links":{},"meta":{}}},"type":"Call"},"jsonapi":{"version":"1.0"},"links":{"self":"http://HOST'
    b'/api/calls/22222222-2222-4222-8222-222222222222"},"meta":{}}'
)


def test_the_index_is_answered_to_the_byte(get):
    target = (
        "/api/calls?filter%5Bstarted_at%5D%5Bgte%5D=2026-01-02T00:00:00Z"
        "&filter%5Bstarted_at%5D%5Blt%5D=2026-01-03T00:00:00Z&sort=started_at,id"
    )
    status, headers, body = get(target)
    assert (status, body) == (200, INDEX)
    assert headers["content-type"] == "application/vnd.api+json"


def _patch(sandbox, call_id, body):
    return (
        f"PATCH /api/calls/{call_id} HTTP/1.1\r\nHost: HOST\r\nAccept: application/vnd.api+json\r\n"
        f"Content-Type: application/vnd.api+json\r\nAuthorization: Bearer {sandbox.token}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def test_a_correction_is_answered_to_the_byte(start, raw):
    sandbox = start()
    body = (
        f'{{"data":{{"id":"{SECOND}","type":"Call","attributes":{{"status":"completed",'
        '"ended_at":"2026-01-03T00:01:00Z","duration_seconds":60}}}'
    )
    status, headers, answered = raw(sandbox, _patch(sandbox, SECOND, body))
    assert (status, answered) == (200, CORRECTED)
    assert headers["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("target", "headers", "status", "expected"),
    [
        (
            "/api/calls?sort=%2B%2Bended_at",
            {},
            400,
            b'{"errors":[{"code":"invalid_sort","detail":"Invalid sort field: ++ended_at","id":"ID","meta":{},'
            b'"source":{"parameter":"sort"},"status":"400","title":"InvalidSort"}],"jsonapi":{"version":"1.0"}}',
        ),
        (
            "/api/calls?filter[nope]=1",
            {},
            400,
            b'{"errors":[{"code":"something_went_wrong","detail":"Something went wrong. Error id: ID","id":"ID",'
            b'"status":"400","title":"SomethingWentWrong"}],"jsonapi":{"version":"1.0"}}',
        ),
        (
            "/api/calls",
            {"Content-Type": "application/json"},
            415,
            b'{"errors":[{"code":"unsupported_media_type","id":"ID","meta":{},"status":"415",'
            b'"title":"Unsupported Media Type"}],"jsonapi":{"version":"1.0"}}',
        ),
        (
            "/api/calls",
            {"Authorization": "Bearer wrong"},
            403,
            b'{"errors":[{"code":"forbidden","detail":"forbidden","id":"ID","meta":{},"status":"403",'
            b'"title":"Forbidden"}],"jsonapi":{"version":"1.0"}}',
        ),
        (
            "/api/nope",
            {},
            404,
            b'{"errors":[{"code":"no_route_found","detail":"no route found","id":"ID","meta":{},"status":"404",'
            b'"title":"NoRouteFound"}],"jsonapi":{"version":"1.0"}}',
        ),
    ],
)
def test_a_failure_is_answered_to_the_byte(get, target, headers, status, expected):
    answered, _, body = get(target, **headers)
    assert (answered, _ID.sub(b"ID", body)) == (status, expected)


def test_a_missing_call_is_answered_to_the_byte(start, raw):
    sandbox = start()
    status, _, body = raw(sandbox, _patch(sandbox, UNKNOWN, '{"data":{}}'))
    occurrence = json.loads(body)["errors"][0]["id"].encode()
    assert status == 404
    assert body.replace(occurrence, b"ID") == (
        b'{"errors":[{"code":"not_found","detail":"No Call record found with `id: '
        b'99999999-9999-4999-8999-999999999999`","id":"ID","meta":{},"status":"404","title":"Entity Not Found"}],'
        b'"jsonapi":{"version":"1.0"}}'
    )


def test_a_bad_status_is_answered_to_the_byte(start, raw):
    sandbox = start()
    status, _, body = raw(sandbox, _patch(sandbox, FIRST, '{"data":{"attributes":{"status":"nope"}}}'))
    assert (status, _ID.sub(b"ID", body)) == (
        400,
        b'{"errors":[{"code":"invalid_body","detail":"No match of any schema, at [\\"data\\", '
        b'\\"attributes\\", \\"status\\"].","id":"ID","meta":{},"source":{"pointer":"/data/attributes/status"},'
        b'"status":"400","title":"InvalidBody"}],"jsonapi":{"version":"1.0"}}',
    )
