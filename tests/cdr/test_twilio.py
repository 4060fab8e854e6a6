"""Twilio: times carry their offset, seconds are billable ones, a dial makes a child call."""

from __future__ import annotations

import json
from collections.abc import Callable

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

CALL = {
    "sid": "CA00000000000000000000000000000001",
    "parent_call_sid": None,
    "from": "+442079460123",
    "to": "+12125550123",
    "status": "completed",
    "start_time": "Thu, 01 Oct 2026 08:00:00 +0000",
    "end_time": "Thu, 01 Oct 2026 08:01:00 +0000",
    "duration": "60",
    "direction": "outbound-api",
    "price": "-0.0200",
    "subresource_uris": {"events": "/x"},
}


def as_json(*calls: dict[str, object]) -> bytes:
    return json.dumps({"calls": list(calls), "page": 0}).encode()


def test_a_call_is_read_without_a_zone_because_its_times_carry_one(read: Read) -> None:
    leg = read(as_json(CALL), keep=["price"]).iloc[0]
    assert leg[["format", "call_key", "linked_id", "direction", "status", "cause", "x_price"]].tolist() == [
        "twilio", CALL["sid"], CALL["sid"], "outbound", "completed", "completed", "-0.0200",
    ]  # fmt: skip
    assert (leg["started_at"].isoformat(), leg["ended_at"].isoformat()) == (
        "2026-10-01T08:00:00+00:00", "2026-10-01T08:01:00+00:00",
    )  # fmt: skip
    assert (leg["billable_s"], leg["is_answered"], leg["source_row"]) == (60, True, 1)
    assert pd.isna(leg["total_s"])
    assert pd.isna(leg["answered_at"])


@pytest.mark.parametrize("header", ["snake", "camel"])
def test_csv_says_the_same_as_json(read: Read, header: str) -> None:
    names = [
        "sid",
        "parent_call_sid",
        "from",
        "to",
        "status",
        "start_time",
        "end_time",
        "duration",
        "direction",
    ]
    values = [str(CALL[name] or "") for name in names]
    shown = (
        names
        if header == "snake"
        else [n.split("_")[0] + "".join(p.title() for p in n.split("_")[1:]) for n in names]
    )
    quoted = ",".join(f'"{value}"' for value in values)
    legs = read(f"{','.join(shown)}\n{quoted}\n".encode())
    expected = read(as_json(CALL))
    different = ["source_row", "source_sha256", "record_hash"]
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))
    assert legs["source_row"].tolist() == [2]


@pytest.mark.parametrize(
    ("fields", "status", "answered", "billable"),
    [
        ({"status": "busy", "duration": ""}, "busy", False, 0),
        ({"status": "no-answer", "duration": None}, "no_answer", False, 0),
        ({"status": "failed", "duration": "0"}, "failed", False, 0),
        ({"status": "canceled", "duration": "", "start_time": None, "end_time": None}, "canceled", False, 0),
        ({"status": "in-progress", "duration": None, "end_time": None}, "in_progress", None, None),
        (
            {"status": "queued", "duration": None, "start_time": None, "end_time": None},
            "in_progress",
            None,
            None,
        ),
        ({"status": "completed", "duration": "0"}, "completed", True, 0),
        ({"status": "completed", "duration": ""}, "completed", True, None),
        ({"status": "busy", "duration": "683"}, "completed", True, 683),
        ({"status": "odd", "duration": ""}, "unknown", None, None),
        ({"status": "odd", "duration": "0"}, "unknown", False, 0),
    ],
)
def test_an_empty_duration_is_zero_only_where_the_call_is_over_and_was_not_answered(
    read: Read, fields: dict[str, object], status: str, answered: bool | None, billable: int | None
) -> None:
    leg = read(as_json({**CALL, **fields})).iloc[0]
    assert leg["status"] == status
    assert (None if pd.isna(leg["is_answered"]) else leg["is_answered"]) == answered
    assert (None if pd.isna(leg["billable_s"]) else leg["billable_s"]) == billable
    assert pd.isna(leg["problem"])


@pytest.mark.parametrize(
    ("word", "direction"),
    [("inbound", "inbound"), ("outbound-dial", "outbound"), ("trunking-terminating", "outbound"),
     ("trunking-originating", "inbound"), ("sideways", None)],
)  # fmt: skip
def test_directions_are_seen_from_the_platform(read: Read, word: str, direction: str | None) -> None:
    found = read(as_json({**CALL, "direction": word})).loc[0, "direction"]
    assert (None if pd.isna(found) else found) == direction


def test_a_child_call_is_linked_to_its_parent_and_addresses_name_a_user(read: Read) -> None:
    child = {**CALL, "sid": "CA2", "parent_call_sid": CALL["sid"], "to": "client:ana"}
    legs = read(as_json(CALL, child, {**CALL, "sid": "CA3", "from": "sip:bo@pbx.example;x=1"}))
    assert legs["linked_id"].tolist() == [CALL["sid"], CALL["sid"], "CA3"]
    assert legs["sip_username"].fillna("-").tolist() == ["-", "ana", "bo"]
    assert pd.isna(legs.loc[1, "to_e164"])
    assert legs["record_hash"].nunique() == 3


def test_lists_and_lines_of_objects_are_read_too(read: Read) -> None:
    lines = b"\n".join(json.dumps(call).encode() for call in (CALL, {**CALL, "sid": "CA2"}))
    for data in (json.dumps([CALL, {**CALL, "sid": "CA2"}]).encode(), lines):
        assert read(data)["call_key"].tolist() == [CALL["sid"], "CA2"]
    again = read(as_json(dict(reversed(CALL.items()))))
    assert again.loc[0, "record_hash"] == read(lines).loc[0, "record_hash"]


def test_json_that_is_none_is_an_error_with_its_line(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="line 2: begins like JSON but is none") as caught:
        read(b'{"calls": [\n nan]}')
    assert caught.value.line == 2
    with pytest.raises(sr.CdrFormatError, match="holds no list of objects"):
        read(b"[1, 2]")
