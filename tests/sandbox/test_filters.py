"""What a filter selects, and the traps of its syntax. Ids are 1 to 4; 4 never started."""

from __future__ import annotations

import json
import re

import pytest

ORDER = "&sort=id"


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        ("", "1234"),
        ("filter=", "1234"),
        ("filter[status]=completed", "1"),
        ("filter[status][eq]=completed", "1"),
        ("filter[status][equals]=completed", "1"),
        ("filter[status][%3D%3D]=completed", "1"),
        ("filter%5Bstatus%5D=completed", "1"),
        ("filter=status%3Dcompleted", "1"),
        ("filter[status][not_eq]=completed", "234"),
        ("filter[status][!%3D]=completed", "234"),
        ("filter[call_uuid][in][]=uuid-1&filter[call_uuid][in][]=uuid-3", "13"),
        ("filter[call_uuid][in][0]=uuid-1&filter[call_uuid][in][1]=uuid-3", "13"),
        ("filter[id][in][]=11111111-1111-4111-8111-111111111111", "1"),
        ("filter[conversation_id]=ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB", "3"),
        ("filter[conversation_id][in][]=ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB", "3"),
        ("filter[duration_seconds][gt]=10", "1"),
        ("filter[duration_seconds][%3E%3D]=10", "13"),
        ("filter[duration_seconds][less_than]=60", "3"),
        ("filter[duration_seconds][lte]=60", "13"),
        ("filter[ended_at][is_nil]=true", "24"),
        ("filter[ended_at][is_nil]=false", "13"),
        ("filter[started_at][is_nil]=true", "4"),
        ("filter[started_at][is_nil]=false", "123"),
        ("filter[started_at][is_nil]=true&filter[started_at][gte]=2026-01-01T00:00:00Z", ""),
        ("filter[call_uuid][contains]=id-3", "3"),
        ("filter[from_number][string_starts_with]=%2B1555", "1234"),
        ("filter[from_number][string_ends_with]=3", "2"),
        ("filter[call_uuid][like]=uuid-_", "1234"),
        ("filter[call_uuid][like]=UUID%25", ""),
        ("filter[call_uuid][ilike]=UUID%25", "1234"),
        ("filter[sip_username][is_distinct_from]=Ada", "124"),
        ("filter[sip_username][is_not_distinct_from]=Ada", "3"),
        ("filter[sip_username]=ada", ""),
        ("filter[started_at][gte]=2026-01-02T00:00:00Z&filter[started_at][lt]=2026-01-03T00:00:00Z", "1"),
        ("filter[started_at][gt]=2026-01-03T00:00:00Z", ""),
        ("filter[started_at][lte]=2026-01-03T00:00:00Z", "123"),
        ("filter[started_at]=2026-01-03T00:00:00Z&filter[direction]=outbound", "2"),
        ("filter[or][0][status]=completed&filter[or][1][status]=failed", "13"),
        ("filter[and][0][direction]=inbound&filter[and][1][status]=failed", "3"),
        ("filter[not][status]=completed", "234"),
        ("filter[not][or][0][status]=completed&filter[not][or][1][status]=failed", "24"),
        (
            "filter[or][0][started_at][is_nil]=true&filter[or][1][id]=11111111-1111-4111-8111-111111111111",
            "14",
        ),
    ],
)
def test_a_filter_selects(ids_of, query, selected):
    assert ids_of(query + ORDER) == selected


@pytest.mark.parametrize(
    ("query", "selected"),
    [
        pytest.param("fliter[status]=completed", "1234", id="a mistyped parameter is ignored"),
        pytest.param("foo=bar", "1234", id="an unknown parameter is ignored"),
        pytest.param("filter[status][==]=completed", "1234", id="an equals sign in a name ends it"),
        pytest.param("filter[status]=completed&filter[status]=failed", "3", id="the last scalar wins"),
        pytest.param(
            "filter[or][][status]=completed&filter[or][][status]=failed", "3", id="or without indexes merges"
        ),
        pytest.param(
            "filter[and][][status]=completed&filter[and][][status]=failed",
            "3",
            id="and without indexes merges",
        ),
        pytest.param("filter[from_number]=+15550000003", "", id="a plus is a space"),
        pytest.param("filter[from_number]=%2B15550000003", "2", id="an encoded plus is a plus"),
        pytest.param("filter[id][in][]=", "", id="an in of one empty text selects nothing"),
        pytest.param("filter[ended_at]=", "", id="an empty value is not null"),
        pytest.param("filter[status][]=completed", "1", id="a list of one is equality"),
        pytest.param(
            "filter[id]=ABCDEFAB-CDEF-4BCD-8FAB-CDEFABCDEFAB", "", id="an unknown id selects nothing"
        ),
        pytest.param("filter[duration_seconds][not_eq]=60", "3", id="a missing value is not unequal"),
        pytest.param("filter[not][duration_seconds]=60", "3", id="not does not bring missing values back"),
        pytest.param("filter[call_uuid]=uuid-1%20", "", id="spaces count"),
        pytest.param("filter[call_uuid]=uuid-1&x=%ZZ", "1", id="a broken escape is tolerated"),
    ],
)
def test_a_trap_of_the_filter_syntax_answers_200(ids_of, query, selected):
    assert ids_of(query + ORDER) == selected


@pytest.mark.parametrize(
    "query",
    [
        "filter[call_uuid][in]=uuid-1,uuid-2",
        "filter[call_uuid][in]=uuid-1",
        "filter[call_uuid][in]=uuid-1&filter[call_uuid][in]=uuid-2",
        'filter[call_uuid][in]=["uuid-1"]',
        "filter[nope]=1",
        "filter[organisation_id]=1",
        "filter[status][resembles]=completed",
        "filter[duration_seconds][contains]=6",
        "filter[status]=COMPLETED",
        "filter[status][in][]=completed&filter[status][in][]=nope",
        "filter[direction]=sideways",
        "filter[id]=nope",
        "filter[id][in][]=11111111-1111-4111-8111-111111111111&filter[id][in][]=nope",
        "filter[duration_seconds]=sixty",
        "filter[duration_seconds]=1.5",
        "filter[or]=1",
        "filter[or][0]=1",
        "filter[duration_seconds]=" + "9" * 5000,
        f"filter[call_uuid][in][{'9' * 5000}]=x",
    ],
)
def test_a_bad_filter_is_a_400_that_names_no_cause(get, query):
    status, headers, body = get(f"/api/calls?{query}")
    (error,) = json.loads(body)["errors"]
    assert status == 400
    assert headers["content-type"] == "application/vnd.api+json"
    assert error == {
        "code": "something_went_wrong",
        "detail": f"Something went wrong. Error id: {error['id']}",
        "id": error["id"],
        "status": "400",
        "title": "SomethingWentWrong",
    }


def test_an_unreadable_is_nil_is_a_500(refusal):
    status, errors = refusal("/api/calls?filter[ended_at][is_nil]=maybe")
    assert (status, errors[0][0]) == (500, "something_went_wrong")


def test_a_filter_that_is_a_list_is_named(refusal):
    status, ((code, _, source),) = refusal("/api/calls?filter[]=a")
    assert (status, code, source) == (400, "invalid_filter", {"parameter": "filter"})


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-03T00:00:00Z",
        "2026-01-03T00:00:00.00Z",
        "2026-01-03T00:00:00.000000Z",
        "2026-01-03%2000:00:00Z",
        "2026-01-03+00:00:00Z",
        "2026-01-03T01:00:00%2B01:00",
        "2026-01-02T19:00:00-05:00",
        "2026-01-03T00:00:00",
        "2026-01-03",
        "2026-01-03T00:00:00.000000999Z",
    ],
)
def test_an_instant_may_be_written(ids_of, text):
    assert ids_of(f"filter[started_at]={text}&sort=id") == "23"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-03T00:00Z",
        "1767398400",
        "yesterday",
        "2026-01-03T01:00:00+01:00",
        "2026-02-30T00:00:00Z",
        "2026-01-03T23:59:60Z",
        "2026-01-03T24:00:00Z",
        "2026-1-3",
        "9999-12-31T23:59:59-05:00",
        "2026-01-03T00:00:00.Z",
    ],
)
def test_an_instant_may_not_be_written(refusal, text):
    status, errors = refusal(f"/api/calls?filter[started_at][gte]={text}")
    assert (status, errors[0][0]) == (400, "something_went_wrong")


def test_invalid_utf8_in_a_query_fails_outside_the_api(get):
    status, headers, body = get("/api/calls?filter[call_uuid]=%FF")
    assert (status, body) == (400, b'{"errors":{"detail":"Bad Request"}}')
    assert "x-request-id" not in headers


def test_a_selection_is_in_the_documents_shape(get):
    _, _, body = get("/api/calls?filter[call_uuid]=uuid-4")
    document = json.loads(body)
    assert sorted(document) == ["data", "jsonapi", "links", "meta"]
    assert re.fullmatch(r"http://HOST/api/calls\?filter\[call_uuid\]=uuid-4", document["links"]["self"])


def test_a_filter_nested_too_deep_is_a_500(get):
    status, _, body = get(f"/api/calls?filter{'[not]' * 1900}[status]=busy")
    assert (status, body) == (500, b'{"errors":{"detail":"Internal Server Error"}}')


def test_a_filter_nested_deep_is_answered(ids_of):
    assert ids_of(f"filter{'[not]' * 30}[status]=completed&sort=id") == "1"
