"""Whether rows are held to a filter: what surely does not fit, and what nobody can tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from sippet_reconcile.api.proof import count_misfits, may_be_a_limit

AT = datetime(2026, 10, 5, 12, 0, 30, 700_000, tzinfo=UTC)
ROW = {
    "id": "8c1f3c52-0000-4000-8000-000000000001",
    "call_uuid": "Call-1",
    "status": "completed",
    "sip_username": None,
    "duration_seconds": 60,
    "started_at": AT,
    "ended_at": None,
}
SCHEMA = pa.schema(
    [
        ("id", pa.large_string()),
        ("call_uuid", pa.large_string()),
        ("status", pa.large_string()),
        ("sip_username", pa.large_string()),
        ("duration_seconds", pa.int64()),
        ("started_at", pa.timestamp("us", "UTC")),
        ("ended_at", pa.timestamp("us", "UTC")),
    ]
)


def misfits(filters: dict[str, Any]) -> int:
    return count_misfits(pa.Table.from_pylist([ROW], schema=SCHEMA), filters)


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "failed"},
        {"status": ["failed", "busy"]},
        {"status": None},
        {"status": {"not_eq": "completed"}},
        {"status": {"is_distinct_from": "completed"}},
        {"sip_username": "ada"},
        {"sip_username": {"is_nil": False}},
        {"sip_username": {"contains": "a"}},
        {"call_uuid": {"contains": "zz"}},
        {"call_uuid": {"string_starts_with": "1"}},
        {"call_uuid": {"string_ends_with": "C"}},
        {"duration_seconds": {"gt": 60}},
        {"duration_seconds": {"gte": 61}},
        {"duration_seconds": {"less_than": 60}},
        {"duration_seconds": {"lte": 59}},
        {"duration_seconds": {"gte": 10, "lt": 60}},
        {"duration_seconds": [59, 61]},
        {"started_at": {"gte": "2026-10-05T12:00:31Z"}},
        {"started_at": {"lt": "2026-10-05T14:00:30+02:00"}, "status": "failed"},
        {"started_at": {"lte": AT.replace(second=29)}},
        {"started_at": "2026-10-05T12:00:31Z"},
        {"ended_at": {"lt": "2027-01-01T00:00:00Z"}},
        {"ended_at": {"is_nil": False}},
        {"not": {"status": "completed"}},
        {"or": [{"status": "failed"}, {"duration_seconds": {"gt": 60}}]},
        {"and": [{"status": "completed"}, {"duration_seconds": {"gt": 60}}]},
        {"id": {"not_eq": ROW["id"]}},
    ],
    ids=str,
)
def test_a_row_that_no_server_could_have_meant_is_a_misfit(filters: dict[str, Any]) -> None:
    assert misfits(filters) == 1


@pytest.mark.parametrize(
    "filters",
    [
        {"status": "completed"},
        {"status": " completed "},
        {"status": {"in": ["busy", "completed"]}},
        {"sip_username": None},
        {"sip_username": {"is_nil": True}},
        {"sip_username": {"is_distinct_from": "ada"}},
        {"call_uuid": {"contains": "all-"}},
        {"duration_seconds": {"gte": 60, "lte": 60}},
        {"duration_seconds": {"not_eq": 59}},
        {"started_at": {"gte": "2026-10-05T12:00:30Z", "lt": "2026-10-05T12:00:31Z"}},
        {"ended_at": {"is_nil": True}},
        {"not": {"status": "failed"}},
        {"or": [{"status": "failed"}, {"duration_seconds": {"gt": 59}}]},
        {"and": [{"status": "completed"}, {"not": {"duration_seconds": 61}}]},
    ],
    ids=str,
)
def test_a_row_that_fits_is_no_misfit(filters: dict[str, Any]) -> None:
    assert misfits(filters) == 0


@pytest.mark.parametrize(
    "condition",
    [
        {"id": ROW["id"].upper()},  # type: ignore[union-attr]
        {"call_uuid": "CALL-1"},
        {"call_uuid": {"contains": "CALL"}},
        {"call_uuid": {"string_ends_with": "L-1"}},
        {"started_at": "2026-10-05T12:00:30.100000Z"},
        {"started_at": {"gt": "2026-10-05T12:00:30.900000Z"}},
        {"started_at": {"lt": "2026-10-05T12:00:30Z"}},
    ],
    ids=str,
)
def test_what_servers_may_see_differently_is_held_against_no_row(condition: dict[str, Any]) -> None:
    assert misfits(condition) == 0
    assert misfits({"not": condition}) == 0


def test_no_row_is_no_misfit() -> None:
    rows = SCHEMA.empty_table()
    assert count_misfits(rows, {"status": "completed", "or": [{"ended_at": None}]}) == 0


def test_limits_that_people_choose_are_noticed() -> None:
    chosen = [10, 20, 25, 30, 32, 50, 64, 75, 100, 128, 200, 250, 256, 500, 512, 1000, 1024, 5000, 10_000]
    assert [n for n in chosen if not may_be_a_limit(n)] == []
    assert [n for n in (0, 1, 2, 4, 8, 11, 26, 99, 101, 1001) if may_be_a_limit(n)] == []
