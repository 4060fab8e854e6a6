"""JSON:API documents become rows, or say where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api.documents import (
    DocumentError,
    calls_frame,
    patch_body,
    read_page,
    read_resource,
    with_source,
)
from sippet_reconcile.api.problems import read_problems
from sippet_reconcile.schema import CALLS


def frame_of(page: Any) -> pd.DataFrame:
    return calls_frame([with_source(page.rows, "https://api.example.com", None)])


def test_a_document_becomes_typed_rows(api: Any) -> None:
    body = api.document(
        api.resource(1, "2026-01-02T03:04:05.678901Z", ended_at="2026-01-02T03:05:05Z", duration_seconds=60),
        api.resource(2, None, status=None, duration_seconds=None),
    )
    calls = frame_of(read_page(body))
    assert {name: str(dtype) for name, dtype in calls.dtypes.items()} == CALLS.dtypes
    assert calls["started_at"].tolist() == [pd.Timestamp("2026-01-02T03:04:05.678901Z"), pd.NaT]
    assert calls["ended_at"].iloc[0] == pd.Timestamp("2026-01-02T03:05:05Z")
    assert calls["duration_seconds"].tolist() == [60, pd.NA]
    assert calls["status"].isna().tolist() == [False, True]


def test_no_rows_have_the_same_types() -> None:
    calls = frame_of(read_page(b'{"data": []}'))
    assert {name: str(dtype) for name, dtype in calls.dtypes.items()} == CALLS.dtypes
    assert {name: str(dtype) for name, dtype in calls_frame([]).dtypes.items()} == CALLS.dtypes


def test_an_absent_key_is_null_and_an_unknown_one_is_ignored(api: Any) -> None:
    one = api.resource(1, color="blue")
    del one["attributes"]["conversation_id"], one["attributes"]["ended_at"]
    calls = frame_of(read_page(api.document(one)))
    assert calls["conversation_id"].isna().all()
    assert calls["ended_at"].isna().all()
    assert "color" not in calls.columns


def test_text_is_kept_as_it_is(api: Any) -> None:
    calls = frame_of(read_page(api.document(api.resource(1, sip_username="Zoë 🦜", to_number="007"))))
    assert calls["sip_username"].tolist() == ["Zoë 🦜"]
    assert calls["to_number"].tolist() == ["007"]


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"duration_seconds": "60"}, "duration_seconds of resource 1 .* is text, not whole seconds"),
        ({"duration_seconds": 60.5}, "not whole seconds"),
        ({"duration_seconds": True}, "is a yes/no"),
        ({"duration_seconds": 2**63}, "not whole seconds"),
        ({"status": 5}, "status of resource 1 .* is a number, not text"),
        ({"status": {"a": 1}}, "is an object"),
        ({"ended_at": "yesterday"}, "ended_at of resource 1 .* not an ISO 8601 instant"),
        ({"started_at": 1700000000}, "started_at of resource 1 .* is a number"),
        ({"sip_username": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(api: Any, attributes: dict[str, object], told: str) -> None:
    with pytest.raises(DocumentError, match=told):
        read_page(api.document(api.resource(1, **attributes)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda _: 5, "resource 3 is a number"),
        (lambda resource: {**resource, "type": "User"}, "resource 3 is of another type"),
        (lambda resource: {**resource, "id": None}, "the id of resource 3"),
        (lambda resource: {**resource, "id": resource["id"] + "\n"}, "the id of resource 3"),
        (lambda resource: {**resource, "attributes": None}, r"resource 3 \(.*003\) has no attributes"),
        (lambda resource: {**resource, "attributes": {"status": []}}, r"status of resource 3 \(.*003\) is a list"),
        (lambda resource: {**resource, "attributes": {"duration_seconds": 60.0}}, r"of resource 3 .* whole seconds"),
        (lambda resource: {**resource, "attributes": {"duration_seconds": -(2**63) - 1}}, "of resource 3 .* whole seconds"),
    ],
)  # fmt: skip
def test_the_first_of_many_resources_that_does_not_fit_is_the_one_named(
    api: Any, change: Callable[[Any], object], told: str
) -> None:
    resources = [api.resource(n) for n in (1, 2, 3, 4, 5)]
    for place in (2, 4):
        resources[place] = change(resources[place])
    with pytest.raises(DocumentError, match=told):
        read_page(api.document(*resources))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "empty"),
        (b"  ", "empty"),
        (b"<html>", "not JSON"),
        (b'{"data": [', "not JSON"),
        (b"\xff\xfe{}", "not"),
        (b'{"data": "\xff"}', "not UTF-8"),
        (b"[]", "no 'data'"),
        (b'{"errors": []}', "no 'data'"),
        (b'{"data": null}', "'data' is null"),
        (b'{"data": {}}', "'data' is an object"),
        (b'{"data": [5]}', "resource 1 is a number"),
        (b'{"data": [{"type": "call"}]}', "another type than 'Call'"),
        (b'{"data": [{"type": "Call", "id": 5}]}', "the id of resource 1"),
        (b'{"data": [{"type": "Call", "id": "x"}]}', "the id of resource 1"),
        (b'{"data": [{"type": "Call", "id": "8c1f3c52-0000-4000-8000-000000000001"}]}', "has no attributes"),
        (b'{"data": [], "x": NaN}', "NaN"),
        (b'{"data": [], "x": -Infinity}', "Infinity"),
        (b'{"data": [], "x": ' + b"1" * 5000 + b"}", "too long"),
        (b"[" * 100_000, "deep"),
    ],
)
def test_what_is_no_document_says_why(body: bytes, told: str) -> None:
    with pytest.raises(DocumentError, match=told):
        read_page(body)


def test_pages_say_what_follows(api: Any) -> None:
    page = read_page(
        api.document(links={"next": "https://x/api/calls?page"}, meta={"page": {"limit": 2, "total": 9}})
    )
    assert (page.next_link, page.total, page.is_paged) == ("https://x/api/calls?page", 9, True)
    assert read_page(api.document(links={"next": None})).next_link is None
    assert read_page(api.document(links={"next": {"href": "https://x"}})).next_link == "https://x"


def test_the_answer_to_a_patch_is_one_resource(api: Any) -> None:
    body = json.dumps({"data": api.resource(7)}).encode()
    assert read_resource(body).rows.column("id").to_pylist() == [api.call_id(7)]
    with pytest.raises(DocumentError):
        read_resource(api.document(api.resource(7)))


def test_a_patch_is_nothing_but_its_data() -> None:
    body = patch_body(
        "8c1f3c52-0000-4000-8000-000000000001", {"status": "é", "ended_at": None, "duration_seconds": 0}
    )
    assert body == (
        b'{"data":{"id":"8c1f3c52-0000-4000-8000-000000000001","type":"Call",'
        b'"attributes":{"status":"\xc3\xa9","ended_at":null,"duration_seconds":0}}}'
    )


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (b'{"errors":[{"code":"invalid_body","detail":"No match","source":{"pointer":"/data/attributes/status"}}]}', ["invalid_body: No match at /data/attributes/status"]),
        (b'{"errors":[{"code":"invalid_sort","detail":"Invalid sort field: nope","source":{"parameter":"sort"}}]}', ["invalid_sort: Invalid sort field: nope at sort"]),
        (b'{"errors":[{"code":"invalid_attribute","detail":"must be at least %{min}","meta":{"min":0}}]}', ["invalid_attribute: must be at least 0"]),
        (b'{"errors":[{"code":"unsupported_media_type","title":"Unsupported Media Type"}]}', ["unsupported_media_type: Unsupported Media Type"]),
        (b'{"errors":[{"code":"a"},{"code":"b"}]}', ["a", "b"]),
        (b'{"errors":{"detail":"Internal Server Error"}}', ["Internal Server Error"]),
        (b'{"error":"Unauthorized"}', ["Unauthorized"]),
        (b'{"errors":["no"]}', ["no"]),
        (b'{"errors":[]}', []),
        (b"[]", []),
        (b"", []),
        (b"Forbidden\n", ["Forbidden"]),
        (b"<html><head><style>a{}</style><title>502 Bad Gateway</title></head><body>nginx &amp; co</body></html>", ["502 Bad Gateway nginx & co"]),
        (b'{"errors":{"detail":"caller 447700900123 unknown"}}', ["caller 44••••••••23 unknown"]),
        (b"\xff\xfe\xfd", ["���"]),
    ],
)  # fmt: skip
def test_both_error_shapes_text_and_html_are_understood(body: bytes, texts: list[str]) -> None:
    assert [str(problem) for problem in read_problems(body)] == texts


def test_a_long_error_is_cut_and_its_lines_joined() -> None:
    [problem] = read_problems(b"a\r\nb\x1b[31m " + b"c" * 1000)
    assert problem.detail is not None
    assert problem.detail.startswith("a b [31m c")
    assert len(problem.detail) == 300


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["errors", "detail", "code", "source", "pointer", "meta", "error"]), x, max_size=4), max_leaves=8).map(lambda x: json.dumps(x).encode())))  # fmt: skip
def test_no_error_body_breaks_the_reader(body: bytes) -> None:
    assert all(isinstance(str(problem), str) for problem in read_problems(body))


@pytest.mark.parametrize(
    ("ended", "decimals"),
    [
        (["2026-10-01T08:00:00Z"], {"ended_at": 0}),
        (["2026-10-01T08:00:00.000000Z", None], {"ended_at": 6}),
        (["2026-10-01T08:00:00Z", "2026-10-01T08:00:00.125+00:00"], {"ended_at": 3}),
        ([None], {}),
    ],
    ids=["none", "six-zeros", "mixed", "no-instant"],
)
def test_a_page_tells_the_precision_that_its_texts_show(
    ended: list[str | None], decimals: dict[str, int]
) -> None:
    resources = [
        {"type": "Call", "id": f"00000000-0000-4000-8000-{n:012d}", "attributes": {"ended_at": text}}
        for n, text in enumerate(ended)
    ]
    assert read_page(json.dumps({"data": resources}).encode()).decimals == decimals
