"""What a run reads of an answer without a table is what the careful reader makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api.documents import DocumentError, Page, calls_frame, read_resource, with_source
from sippet_reconcile.api.plain import plain_calls, texts_by_id
from sippet_reconcile.schema import CALL_ATTRIBUTES

ID = "8c1f3c52-0000-4000-8000-00000000000a"

instants = st.one_of(
    st.none(),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
    st.datetimes().map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%S.000000Z")),
    st.sampled_from(
        [
            "2026-10-01T08:00:00Z", "2026-10-01T08:00:00.5Z", "2026-10-01T08:00:00.123456789Z",
            "2026-10-01T10:00:00+02:00", "2026-10-01T10:00:00+0200", "2026-10-01 08:00:00", " 2026-10-01T08:00:00Z ",
            "2026-02-30T08:00:00Z", "2026-10-01T24:00:00Z", "2026-10-01T08:00:60Z", "2026-10-01T08:00:00.000000Z\n",
            "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "soon", "", "\uff12026-10-01T08:00:00Z",
        ]
    ),
    st.integers(),
)  # fmt: skip
seconds = st.one_of(
    st.none(), st.integers(0, 10_000), st.sampled_from([2**63 - 1, 2**63, -1, True, 1.0, "60"])
)
words = st.one_of(
    st.none(),
    st.sampled_from(["completed", "", "Zoë", "\x00", "\ud800", "a\ud83d"]),
    st.text(),
    st.integers(),
)
VALUES = {"started_at": instants, "ended_at": instants, "duration_seconds": seconds}
attributes = st.fixed_dictionaries({}, optional={name: VALUES.get(name, words) for name in CALL_ATTRIBUTES})
plain_attributes = st.fixed_dictionaries(
    {"duration_seconds": st.integers(0, 100), "started_at": st.just("2026-10-01T08:00:00.000000Z")},
    optional={
        "ended_at": st.datetimes().map(lambda at: at.isoformat() + "Z"),
        "status": st.text("abc", max_size=3),
    },
)
resources = st.fixed_dictionaries(
    {"type": st.just("Call"), "id": st.sampled_from([ID, ID.upper(), ID[:-1] + "b", ID[:-1] + "c"])},
    optional={"attributes": st.one_of(attributes, plain_attributes, plain_attributes), "links": st.just({})},
)
oddities = st.sampled_from(
    [None, 7, {"type": "Other", "id": ID, "attributes": {}}, {"type": "Call", "attributes": {}}]
)


def carefully(page_resources: Any) -> Any:
    """Read as a table, and turn the frame into texts."""
    try:
        page = Page(page_resources)
    except DocumentError as exc:
        return str(exc)
    return page.ids, texts_by_id(calls_frame([with_source(page.rows, None, None)])), page.decimals


def plainly(page_resources: Any) -> Any:
    """Read as a run does."""
    try:
        page = Page(page_resources, is_table=False)
    except DocumentError as exc:
        return str(exc)
    return page.ids, page.texts, page.decimals


@settings(max_examples=300, deadline=None)
@given(found=st.lists(st.one_of(resources, resources, resources, oddities), max_size=4))
def test_both_ways_of_reading_an_answer_come_to_the_same(found: list[Any]) -> None:
    assert plainly(found) == carefully(found)


@pytest.mark.parametrize("found", [None, 7, "text", {}, [[]]])
def test_what_is_no_list_of_calls_is_refused_either_way(found: object) -> None:
    assert isinstance(plainly(found), str)
    assert plainly(found) == carefully(found)


def test_an_ordinary_answer_needs_no_table() -> None:
    """Or every answer of a run would cost milliseconds."""
    values = dict.fromkeys(CALL_ATTRIBUTES) | {"status": "completed", "duration_seconds": 60}
    call = {"type": "Call", "id": ID, "attributes": values | {"ended_at": "2026-10-01T08:01:00.250000Z"}}
    found = plain_calls([call])
    assert found is not None
    assert found.texts[ID]["ended_at"] == "2026-10-01T08:01:00.250000Z"
    page = read_resource(json.dumps({"data": call}).encode())
    assert page._table is None
    assert page.texts == found.texts
    assert page.rows.num_rows == 1
