"""Order, sparse fields, includes and pages of the index."""

from __future__ import annotations

import json

import pytest

from sippet_reconcile.sandbox import Switches


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("id", "1234"),
        ("-id", "4321"),
        ("started_at,id", "1234"),
        ("started_at,-id", "1324"),
        ("-started_at,id", "4231"),
        ("ended_at,id", "1324"),
        ("-ended_at,id", "2431"),
        ("duration_seconds,id", "3124"),
        ("status,id", "4132"),
    ],
)
def test_a_sort_puts_missing_values_last_ascending_and_first_descending(ids_of, sort, ids):
    assert ids_of(f"sort={sort}") == ids


def test_without_sort_the_table_has_its_own_order(ids_of):
    assert ids_of("") == "2134"


@pytest.mark.parametrize(
    ("sort", "named"),
    [
        ("%2B%2Bended_at", ["++ended_at"]),
        ("--ended_at", ["--ended_at"]),
        ("%2Bid", ["+id"]),
        ("nope", ["nope"]),
        ("organisation_id,nope", ["organisation_id", "nope"]),
        ("started_at,%20id", [" id"]),
        ("", [""]),
    ],
)
def test_a_bad_sort_names_each_field(refusal, sort, named):
    status, errors = refusal(f"/api/calls?sort={sort}")
    assert status == 400
    assert errors == [
        ("invalid_sort", f"Invalid sort field: {name}", {"parameter": "sort"}) for name in named
    ]


def test_a_sort_that_is_a_list_is_wrong_twice(refusal):
    status, errors = refusal("/api/calls?sort[]=id")
    assert status == 400
    assert sorted(code for code, *_ in errors) == ["invalid_query", "invalid_sort"]


@pytest.mark.parametrize(
    ("query", "attributes"),
    [
        ("fields[Call]=status,call_uuid", {"call_uuid": "uuid-1", "status": "completed"}),
        ("fields=status", {"status": "completed"}),
        ("fields[Call]=id", {}),
        ("fields[Call]=status,conversation", {"conversation": None, "status": "completed"}),
    ],
)
def test_fields_choose_attributes_and_nothing_else(get, query, attributes):
    _, _, body = get(f"/api/calls?filter[call_uuid]=uuid-1&{query}")
    (row,) = json.loads(body)["data"]
    assert row["attributes"] == attributes
    assert sorted(row) == ["attributes", "id", "links", "meta", "relationships", "type"]
    assert row["relationships"]["organisation"] == {"links": {}, "meta": {}}


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (
            "fields[Call]=nope",
            ("invalid_field", "Invalid field for type Call: nope", {"parameter": "fields[Call]"}),
        ),
        ("fields[Call]=", ("invalid_field", "Invalid field for type Call: ", {"parameter": "fields[Call]"})),
        (
            "fields[Call]=status,%20id",
            ("invalid_field", "Invalid field for type Call:  id", {"parameter": "fields[Call]"}),
        ),
        ("fields[Nope]=status", ("invalid_type", "No such type Nope", {"parameter": "fields[Nope]"})),
        ("fields[call]=status", ("invalid_type", "No such type call", {"parameter": "fields[call]"})),
        (
            "include=conversation",
            ("invalid_includes", 'Invalid includes: [["conversation"]]', {"parameter": "include"}),
        ),
        ("include=", ("invalid_includes", 'Invalid includes: [[""]]', {"parameter": "include"})),
    ],
)
def test_a_bad_field_type_or_include_is_named(refusal, query, error):
    assert refusal(f"/api/calls?{query}") == (400, [error])


def test_errors_of_one_request_come_together(refusal):
    status, errors = refusal(
        "/api/calls?sort=nope&fields[Call]=nope&include=x", Accept="application/vnd.api+json;q=1"
    )
    assert status == 406
    assert sorted(code for code, *_ in errors) == [
        "invalid_field",
        "invalid_includes",
        "invalid_sort",
        "unacceptable_media_type",
    ]


@pytest.mark.parametrize(
    "page", ["page[limit]=1", "page[offset]=2", "page[limit]=1&page[count]=true", "page[number]=7"]
)
def test_pages_are_ignored_silently(get, page):
    _, _, body = get(f"/api/calls?{page}")
    document = json.loads(body)
    assert len(document["data"]) == 4
    assert document["meta"] == {}
    assert list(document["links"]) == ["self"]


@pytest.mark.parametrize(
    "page", ["page[limit]=abc", "page[count]=maybe", "page[offset]=x", "page[limit]=" + "9" * 5000]
)
def test_an_unreadable_page_parameter_crashes(get, page):
    status, headers, body = get(f"/api/calls?{page}")
    assert (status, body) == (500, b'{"errors":{"detail":"Internal Server Error"}}')
    assert headers["content-type"] == "application/vnd.api+json; charset=utf-8"


def test_a_negative_limit_is_an_invalid_query(refusal):
    status, ((code, _, source),) = refusal("/api/calls?page[limit]=-1")
    assert (status, code, source) == (400, "invalid_query", {"pointer": "/page/limit"})


def test_a_page_that_is_no_map_is_wrong_twice(refusal):
    status, errors = refusal("/api/calls?page=1")
    assert status == 400
    assert sorted(code for code, *_ in errors) == ["invalid_pagination", "invalid_query"]


def _numbers(answer):
    return "".join(row["id"][0] for row in answer.json()["data"])


def test_offset_pages_follow_next_to_the_end(start, connect):
    client = connect(start(switches=Switches(pagination="offset")))
    first = client.get("/api/calls?sort=id&page[limit]=3")
    assert _numbers(first) == "123"
    assert first.json()["meta"] == {"page": {"limit": 3, "offset": 0}}
    assert first.json()["links"]["prev"] is None
    assert "last" not in first.json()["links"]
    second = client.get(first.json()["links"]["next"])
    assert _numbers(second) == "4"
    assert second.json()["links"]["next"] is None
    assert (
        second.json()["links"]["prev"] == client.get(second.json()["links"]["prev"]).json()["links"]["self"]
    )


def test_a_full_last_page_has_a_next_unless_counted(start, connect):
    client = connect(start(switches=Switches(pagination="offset")))
    blind = client.get("/api/calls?sort=id&page[limit]=2&page[offset]=2").json()
    assert client.get(blind["links"]["next"]).json()["data"] == []
    counted = client.get("/api/calls?sort=id&page[limit]=2&page[offset]=2&page[count]=true").json()
    assert counted["links"]["next"] is None
    assert counted["meta"]["page"] == {"limit": 2, "offset": 2, "total": 4}
    assert _numbers(client.get(counted["links"]["last"])) == "34"


def test_asking_for_more_than_the_maximum_is_cut_without_a_word(start, connect):
    client = connect(start(switches=Switches(pagination="offset", max_page_size=2)))
    answer = client.get("/api/calls?sort=id&page[limit]=100").json()
    assert len(answer["data"]) == 3
    assert answer["meta"]["page"]["limit"] == 100
    assert answer["links"]["next"] is None


def test_without_page_parameters_a_paging_index_answers_everything(start, connect):
    client = connect(start(switches=Switches(pagination="offset", max_page_size=2)))
    assert len(client.get("/api/calls").json()["data"]) == 4


def test_keyset_pages_go_forward_and_back(start, connect):
    client = connect(start(switches=Switches(pagination="keyset")))
    first = client.get("/api/calls?sort=id&page[limit]=2")
    second = client.get(first.json()["links"]["next"])
    back = client.get(second.json()["links"]["prev"])
    assert [_numbers(page) for page in (first, second, back)] == ["12", "34", "12"]
    assert first.json()["links"]["prev"] is None
    assert first.json()["meta"] == {"page": {"limit": 2}}


@pytest.mark.parametrize(
    ("page", "status", "code"),
    [("page[after]=nope", 400, "invalid_keyset"), ("page[limit]=0", 500, "something_went_wrong")],
)
def test_a_bad_page_of_a_paging_index_is_refused(start, connect, page, status, code):
    client = connect(start(switches=Switches(pagination="keyset")))
    answer = client.get(f"/api/calls?{page}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (status, code)


def test_both_kinds_of_paging_at_once_crash(start, connect):
    client = connect(start(switches=Switches(pagination="offset")))
    answer = client.get("/api/calls?page[offset]=1&page[after]=x")
    assert (answer.status_code, answer.json()) == (500, {"errors": {"detail": "Internal Server Error"}})
