"""What a PATCH accepts, what it refuses with which error, and what it leaves behind."""

from __future__ import annotations

import json

import pytest

from sippet_reconcile.sandbox import Switches

CALL = "33333333-3333-4333-8333-333333333333"
OTHER = "11111111-1111-4111-8111-111111111111"
UNKNOWN = "99999999-9999-4999-8999-999999999999"
HELD = {
    "call_source": "sip",
    "duration_seconds": 10,
    "ended_at": "2026-01-03T00:00:10.500000Z",
    "status": "failed",
}


@pytest.fixture
def patch(start, connect):
    """Send a body to the third call; returns the answer, and what the call holds afterwards."""

    def run(body, *, target=f"/api/calls/{CALL}", content_type="application/vnd.api+json", switches=None):
        sandbox = start(switches=switches)
        client = connect(sandbox)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if content_type is None else {"content-type": content_type}
        answer = client.patch(target, content=content, headers=headers)
        after = client.get(f"/api/calls?filter[id]={CALL}").json()["data"][0]["attributes"]
        return answer, {name: after.get(name) for name in HELD}

    return run


def _data(**attributes):
    return {"data": {"type": "Call", "id": CALL, "attributes": attributes}}


@pytest.mark.parametrize(
    ("body", "written"),
    [
        (_data(status="completed"), {"status": "completed"}),
        (_data(duration_seconds=61, status="busy"), {"duration_seconds": 61, "status": "busy"}),
        (_data(duration_seconds="12"), {"duration_seconds": 12}),
        (_data(duration_seconds=-5), {"duration_seconds": -5}),
        (_data(duration_seconds=2**63 - 1), {"duration_seconds": 2**63 - 1}),
        (_data(duration_seconds=None), {"duration_seconds": None}),
        (_data(status=None), {"status": None}),
        (_data(ended_at=None), {"ended_at": None}),
        (_data(ended_at=""), {"ended_at": None}),
        (_data(call_source="  x  "), {"call_source": "x"}),
        (_data(call_source="Zürich ☎"), {"call_source": "Zürich ☎"}),
        (_data(ended_at="2026-01-03T00:01:00Z"), {"ended_at": "2026-01-03T00:01:00.000000Z"}),
        (_data(ended_at="2026-01-03T01:01:00.5+01:00"), {"ended_at": "2026-01-03T00:01:00.500000Z"}),
        (_data(ended_at="2026-01-03 00:01:00.123456789Z"), {"ended_at": "2026-01-03T00:01:00.123456Z"}),
        (_data(ended_at="2026-01-04T00:00:00"), {"ended_at": "2026-01-04T00:00:00.000000Z"}),
        (_data(ended_at="2026-01-04"), {"ended_at": "2026-01-04T00:00:00.000000Z"}),
        (_data(), {}),
        (_data(**HELD), {}),
        ({"data": {"type": "Call"}}, {}),
        ({"data": {"attributes": {"status": "busy"}}}, {"status": "busy"}),
        ({"data": {"id": OTHER, "attributes": {"status": "busy"}}}, {"status": "busy"}),
        ({"data": {"id": "no uuid", "attributes": {"status": "busy"}}}, {"status": "busy"}),
        ({"data": {"relationships": {}, "attributes": {"status": "busy"}}}, {"status": "busy"}),
        (b'{"data":{"attributes":{"status":"busy","status":"missed"}}}', {"status": "missed"}),
    ],
)
def test_an_accepted_body_is_written_and_answered_in_full(patch, body, written):
    answer, after = patch(body)
    assert answer.status_code == 200
    assert after == {**HELD, **written}
    data = answer.json()["data"]
    assert (data["id"], data["type"]) == (CALL, "Call")
    assert {name: data["attributes"][name] for name in HELD} == after
    assert len(data["attributes"]) == 11


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (_data(nope=1), [("invalid_body", "/data/attributes/nope")]),
        (_data(started_at=None), [("invalid_body", "/data/attributes/started_at")]),
        (
            _data(direction="inbound", from_number="1", status="busy"),
            [
                ("invalid_body", "/data/attributes/direction"),
                ("invalid_body", "/data/attributes/from_number"),
            ],
        ),
        (_data(status="COMPLETED"), [("invalid_body", "/data/attributes/status")]),
        (_data(status=""), [("invalid_body", "/data/attributes/status")]),
        (_data(status=1), [("invalid_body", "/data/attributes/status")]),
        (_data(duration_seconds=1.5), [("invalid_body", "/data/attributes/duration_seconds")]),
        (_data(duration_seconds=True), [("invalid_body", "/data/attributes/duration_seconds")]),
        (_data(duration_seconds=[1]), [("invalid_body", "/data/attributes/duration_seconds")]),
        (_data(duration_seconds="abc"), [("invalid_attribute", "/data/attributes/duration_seconds")]),
        (_data(duration_seconds=" 12 "), [("invalid_attribute", "/data/attributes/duration_seconds")]),
        (_data(duration_seconds=2.0), [("invalid_attribute", "/data/attributes/duration_seconds")]),
        (
            b'{"data":{"attributes":{"duration_seconds":1e2}}}',
            [("invalid_attribute", "/data/attributes/duration_seconds")],
        ),
        (_data(call_source=None), [("required", "/data/attributes/call_source")]),
        (_data(call_source=""), [("required", "/data/attributes/call_source")]),
        (_data(call_source="   "), [("required", "/data/attributes/call_source")]),
        (
            _data(call_source="", duration_seconds="abc"),
            [
                ("invalid_attribute", "/data/attributes/duration_seconds"),
                ("required", "/data/attributes/call_source"),
            ],
        ),
        (_data(call_source="", nope=1), [("invalid_body", "/data/attributes/nope")]),
        ({"data": {"id": 1}}, [("invalid_body", "/data/id")]),
        ({"data": {"type": "call"}}, [("invalid_body", "/data/type")]),
        ({"data": {"type": None}}, [("invalid_body", "/data/type")]),
        ({"data": {"attributes": None}}, [("invalid_body", "/data/attributes")]),
        ({"data": {"meta": {}}}, [("invalid_body", "/data/meta")]),
        ({"data": {}, "jsonapi": {"version": "1.0"}}, [("invalid_body", "/jsonapi")]),
        ({"data": {}, "meta": {}}, [("invalid_body", "/meta")]),
        ({"data": None}, [("invalid_body", "/data")]),
        ({"data": []}, [("invalid_body", "/data")]),
        ({}, [("required", "/data")]),
        (b"", [("required", "/data")]),
        ([], [("required", "/data")]),
        (7, [("required", "/data")]),
        (
            {"data": {"relationships": {"conversation": {}}}},
            [("invalid_body", "/data/relationships/conversation")] * 2,
        ),
        (
            {"data": {"relationships": {"conversation": {"data": None}}}},
            [("invalid_body", "/data/relationships/conversation")] * 2,
        ),
    ],
)
def test_a_refused_body_names_each_place_and_writes_nothing(patch, body, errors):
    answer, after = patch(body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/vnd.api+json"
    found = [(error["code"], error["source"]["pointer"]) for error in answer.json()["errors"]]
    assert sorted(found) == sorted(errors)
    assert after == HELD


@pytest.mark.parametrize(
    ("body", "detail", "title"),
    [
        (
            {"data": {"type": "call"}},
            'Expected the value to be "Call", got "call", at ["data", "type"].',
            "InvalidBody",
        ),
        (
            {"data": {"type": None}},
            'Expected the value to be "Call", got nil, at ["data", "type"].',
            "InvalidBody",
        ),
        (
            _data(nope=1),
            'Expected only defined properties, got key ["data", "attributes", "nope"].',
            "InvalidBody",
        ),
        (_data(status="x"), 'No match of any schema, at ["data", "attributes", "status"].', "InvalidBody"),
        (_data(call_source=None), "is required", "Required"),
        (_data(duration_seconds="abc"), "is invalid", "InvalidAttribute"),
        ({}, "is required", "Required"),
    ],
)
def test_a_refusal_has_the_librarys_words(patch, body, detail, title):
    answer, _ = patch(body)
    (error,) = answer.json()["errors"]
    assert (error["detail"], error["title"], error["status"], error["meta"]) == (detail, title, "400", {})


@pytest.mark.parametrize(
    "value", ["notadate", 1767398400, "2026-01-03T00:00Z", "2026-01-03T00:00:60Z", "2026-02-30", [], {}]
)
def test_an_unreadable_end_is_a_500_where_the_action_is_atomic(patch, value):
    answer, after = patch(_data(ended_at=value))
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["status"]) == (500, "something_went_wrong", "500")
    assert error["detail"] == f"Something went wrong. Error id: {error['id']}"
    assert after == HELD


def test_an_unreadable_end_is_a_400_where_the_action_is_not_atomic(patch):
    answer, after = patch(_data(ended_at="notadate"), switches=Switches(atomic=False))
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"], error["detail"], error["source"]) == (
        400,
        "invalid_attribute",
        "Could not cast input to datetime",
        {"pointer": "/data/attributes/ended_at"},
    )
    assert after == HELD


@pytest.mark.parametrize(
    "attributes",
    [
        {"duration_seconds": 2**63},
        {"duration_seconds": str(2**63)},
        {"call_source": "a\0b"},
        {"ended_at": "\0"},
    ],
)
def test_what_the_database_cannot_hold_is_a_500(patch, attributes):
    answer, after = patch(_data(**attributes))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (500, "something_went_wrong")
    assert after == HELD


def test_the_status_of_several_errors_is_the_highest(patch):
    answer, _ = patch(_data(ended_at="notadate", duration_seconds="abc"))
    assert answer.status_code == 500
    assert sorted(error["status"] for error in answer.json()["errors"]) == ["400", "500"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b'{"data":{"attributes":{"call_source":"\xff"}}}',
        b'{"data":NaN}',
        b'{"data":"\\ud800"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
    ],
)
def test_malformed_json_fails_outside_the_api(patch, body):
    answer, _ = patch(body)
    assert (answer.status_code, answer.content) == (400, b'{"errors":{"detail":"Bad Request"}}')
    assert "x-request-id" not in answer.headers


def test_a_relationship_with_data_crashes(patch):
    answer, after = patch({"data": {"relationships": {"conversation": {"data": {"type": "x", "id": "1"}}}}})
    assert (answer.status_code, answer.json()) == (500, {"errors": {"detail": "Internal Server Error"}})
    assert after == HELD


def test_an_unknown_call_is_not_found(patch):
    answer, _ = patch(_data(status="busy"), target=f"/api/calls/{UNKNOWN}")
    (error,) = answer.json()["errors"]
    assert answer.status_code == 404
    assert (error["code"], error["title"], error["meta"]) == ("not_found", "Entity Not Found", {})
    assert error["detail"] == f"No Call record found with `id: {UNKNOWN}`"
    assert "source" not in error


@pytest.mark.parametrize(("is_atomic", "status"), [(True, 500), (False, 400)])
def test_an_id_that_is_no_uuid_goes_wrong(patch, is_atomic, status):
    answer, _ = patch(_data(status="busy"), target="/api/calls/42", switches=Switches(atomic=is_atomic))
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, "something_went_wrong")


@pytest.mark.parametrize("target", ["/api/calls/42", f"/api/calls/{UNKNOWN}"])
def test_the_schema_is_looked_at_before_the_id(patch, target):
    answer, _ = patch(_data(nope=1), target=target)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "invalid_body")


def test_an_id_in_the_query_is_a_conflict(patch):
    answer, after = patch(_data(status="busy"), target=f"/api/calls/{CALL}?id={CALL}")
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["code"]) == (400, "invalid_query")
    assert error["detail"] == "conflict path and query params"
    assert after == HELD


def test_the_url_may_be_in_upper_case(start, connect, document):
    document["data"][0]["id"] = "abcdefab-cdef-4bcd-8fab-cdefabcdefab"
    sandbox = start(document)
    answer = connect(sandbox).patch(
        "/api/calls/ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB",
        content=json.dumps(_data(status="busy")),
        headers={"content-type": "application/vnd.api+json"},
    )
    assert answer.status_code == 200
    assert sandbox.calls["status"].iloc[-1] == "busy"


def test_fields_choose_what_a_patch_answers(patch):
    answer, _ = patch(_data(status="busy"), target=f"/api/calls/{CALL}?fields[Call]=status,duration_seconds")
    assert answer.json()["data"]["attributes"] == {"duration_seconds": 10, "status": "busy"}


def test_a_body_without_its_type_is_not_parsed(patch):
    answer, after = patch(_data(status="busy"), content_type=None)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "required")
    assert after == HELD


def test_only_a_changed_row_moves_to_the_end(start, connect):
    sandbox = start()
    client = connect(sandbox)

    def send(status):
        client.patch(
            f"/api/calls/{OTHER}",
            content=json.dumps(_data(status=status)),
            headers={"content-type": "application/vnd.api+json"},
        ).raise_for_status()
        return "".join(row["id"][0] for row in client.get("/api/calls").json()["data"])

    assert send("completed") == "2134"
    assert send("busy") == "2341"
    assert "".join(sandbox.calls["id"].str[0]) == "2341"


def test_whole_seconds_are_kept_where_the_column_has_no_fractions(patch):
    answer, after = patch(_data(ended_at="2026-01-03T00:00:59.999Z"), switches=Switches(time_precision=0))
    assert answer.json()["data"]["attributes"]["ended_at"] == "2026-01-03T00:00:59Z"
    assert after["ended_at"] == "2026-01-03T00:00:59Z"


def test_attributes_without_a_value_may_be_left_out(patch):
    answer, _ = patch(_data(ended_at=None), switches=Switches(omit_nil=True))
    assert "ended_at" not in answer.json()["data"]["attributes"]
    assert None not in answer.json()["data"]["attributes"].values()
