"""Filters are checked before they are sent, and encoded so that they arrive as meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl, urlsplit

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api.queries import (
    MAX_TARGET,
    filter_pairs,
    instant_text,
    target_of,
    valid_id,
    valid_ids,
    window_pairs,
)
from sippet_reconcile.errors import InputError

ID = "8c1f3c52-0000-4000-8000-000000000001"


def test_values_are_encoded_strictly() -> None:
    target = target_of("/api/calls", filter_pairs({"from_number": "+1555 & co"}))
    assert target == "/api/calls?filter%5Bfrom_number%5D%5Beq%5D=%2B1555%20%26%20co&sort=started_at,id"


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=30))
def test_any_text_arrives_as_it_was_meant(text: str) -> None:
    if not text.strip():
        return
    target = target_of("/api/calls", filter_pairs({"sip_username": text}))
    assert target.isascii()
    assert parse_qsl(urlsplit(target).query, strict_parsing=True)[0] == (
        "filter[sip_username][eq]",
        text.strip(),
    )


@pytest.mark.parametrize(
    ("filters", "pairs"),
    [
        (None, []),
        ({}, []),
        ({"status": "busy"}, [("filter[status][eq]", "busy")]),
        ({"status": ("a", "b")}, [("filter[status][in][]", "a"), ("filter[status][in][]", "b")]),
        ({"status": pd.Series(["a"])}, [("filter[status][in][]", "a")]),
        ({"status": {"b", "a"}}, [("filter[status][in][]", "a"), ("filter[status][in][]", "b")]),
        ({"ended_at": None}, [("filter[ended_at][is_nil]", "true")]),
        ({"ended_at": {"is_nil": False}}, [("filter[ended_at][is_nil]", "false")]),
        ({"duration_seconds": {"gte": 60, "less_than": 90}}, [("filter[duration_seconds][gte]", "60"), ("filter[duration_seconds][lt]", "90")]),
        ({"status": {"not_eq": "busy"}}, [("filter[status][not_eq]", "busy")]),
        ({"to_number": {"string_starts_with": "+44"}}, [("filter[to_number][string_starts_with]", "+44")]),
        ({"or": [{"status": "a"}, {"status": "b"}]}, [("filter[or][0][status][eq]", "a"), ("filter[or][1][status][eq]", "b")]),
        ({"not": {"or": [{"status": "a"}]}}, [("filter[not][or][0][status][eq]", "a")]),
        ({"id": ID}, [("filter[id][eq]", ID)]),
        ({"ended_at": {"lt": "2026-10-01T01:00:00+01:00"}}, [("filter[ended_at][lt]", "2026-10-01T00:00:00Z")]),
    ],
)  # fmt: skip
def test_a_filter_is_spelled_as_the_api_reads_it(
    filters: dict[str, object] | None, pairs: list[tuple[str, str]]
) -> None:
    assert filter_pairs(filters) == pairs


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"stauts": "busy"}, "no attribute 'stauts'"),
        ({"organisation_id": "x"}, "no attribute"),
        ({"status": {"gt": "a"}}, "no operator 'gt'"),
        ({"duration_seconds": {"gte": 1, "greater_than_or_equal": 5}}, "one operator twice"),
        ({"status": {"contains": "a"}}, "no operator 'contains'"),
        ({"status": {"regex": "a"}}, "no operator 'regex'"),
        ({"status": []}, "empty"),
        ({"status": {"in": []}}, "empty"),
        ({"status": {"in": "busy"}}, "must be a list"),
        ({"status": ""}, "not empty"),
        ({"status": "  "}, "not empty"),
        ({"status": "a\x00"}, "not empty"),
        ({"status": "\ud800"}, "not empty"),
        ({"status": [None]}, "not empty"),
        ({"duration_seconds": True}, "whole seconds"),
        ({"duration_seconds": 1.5}, "whole seconds"),
        ({"duration_seconds": -1}, "whole seconds"),
        ({"ended_at": {"gte": "2026-10-01T00:00:00"}}, "time zone"),
        ({"ended_at": {"gte": "2026-10-01"}}, "time zone"),
        ({"ended_at": {"gte": pd.NaT}}, "time zone"),
        ({"ended_at": {"is_nil": "true"}}, "True or False"),
        ({"id": "nope"}, "UUID"),
        ({"or": [{}]}, "not empty"),
        ({"not": {}}, "on not is empty"),
        ({"status": {}}, "on status is empty"),
        ({"not": None}, "on not is empty or no dict"),
        ({"or": {"status": "a"}}, "a list of filters"),
        ("status=busy", "must be a dict"),
    ],
)
def test_a_filter_that_would_go_wrong_in_silence_is_refused(filters: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        filter_pairs(filters)  # type: ignore[arg-type]


def test_a_number_in_a_wrong_filter_is_not_repeated() -> None:
    with pytest.raises(InputError) as caught:
        filter_pairs({"duration_seconds": {"eq": {"x": 1}}, "from_number": "+447700900123"})
    assert "447700900123" not in str(caught.value)


def test_the_callers_own_start_does_not_overwrite_the_window() -> None:
    start = datetime(2026, 10, 1, tzinfo=UTC)
    pairs = window_pairs(start, start + timedelta(hours=1), {"started_at": {"gte": "2026-10-01T00:30:00Z"}})
    assert pairs == [
        ("filter[started_at][gte]", "2026-10-01T00:00:00Z"),
        ("filter[started_at][lt]", "2026-10-01T01:00:00Z"),
        ("filter[and][0][started_at][gte]", "2026-10-01T00:30:00Z"),
    ]
    assert len({key for key, _ in pairs}) == len(pairs)


def test_the_never_started_have_a_window_of_their_own() -> None:
    assert window_pairs(None, None, {"direction": "inbound"}) == [
        ("filter[started_at][is_nil]", "true"),
        ("filter[direction][eq]", "inbound"),
    ]


def test_a_target_that_servers_would_cut_off_is_refused() -> None:
    with pytest.raises(InputError, match=f"{MAX_TARGET:,}"):
        target_of("/api/calls", filter_pairs({"call_uuid": [f"uuid-{n}" for n in range(200)]}))


def test_fifty_ids_fit_into_one_target() -> None:
    ids = [f"8c1f3c52-0000-4000-8000-{n:012d}" for n in range(50)]
    assert len(target_of("/api/calls", filter_pairs({"id": ids}))) < MAX_TARGET


def test_instants_are_sent_in_utc_with_the_decimals_they_have() -> None:
    summer = timezone(timedelta(hours=1))
    assert instant_text(datetime(2026, 10, 1, 1, tzinfo=summer), "x") == "2026-10-01T00:00:00Z"
    assert instant_text(pd.Timestamp("2026-10-01T00:00:00.5Z"), "x") == "2026-10-01T00:00:00.500000Z"


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00+05:00",
        "2026-02-30T00:00:00Z",
        "soon",
        5,
        None,
        datetime.fromisoformat("2026-01-01"),
    ],
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        instant_text(value, "x")


def test_ids_come_out_once_and_in_lower_case() -> None:
    assert valid_ids(pd.Series([ID.upper(), f" {ID} "])) == [ID]
    assert valid_ids(ID) == [ID]
    assert valid_ids([]) == []


@pytest.mark.parametrize(
    "value", ["", "1", "../../admin", ID + "/x", ID + "?x=1", ID[:-1] + "g", None, 5, float("nan")]
)
def test_what_is_no_id_never_reaches_a_url(value: object) -> None:
    with pytest.raises(InputError, match="UUID"):
        valid_id(value)
    with pytest.raises(InputError, match="1 of 2 call ids are no UUIDs, the first at position 1"):
        valid_ids([ID, value])
