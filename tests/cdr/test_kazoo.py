"""Kazoo: Gregorian seconds that are an end in documents and a start in lists, legs that are one interaction."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

START = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)
YEAR_0 = 62_167_219_200
GREGORIAN = int(START.timestamp()) + YEAR_0
DOCUMENT = {
    "_id": "202610-a-leg",
    "call_id": "a-leg@pbx.example",
    "call_direction": "inbound",
    "caller_id_number": "1001",
    "callee_id_number": "442079460123",
    "request": "+442079460123@pbx.example",
    "to": "442079460123@pbx.example",
    "from": "1001@pbx.example",
    "duration_seconds": "65",
    "billing_seconds": "60",
    "ringing_seconds": "5",
    "timestamp": GREGORIAN + 65,
    "hangup_cause": "NORMAL_CLEARING",
    "interaction_id": "63958100000-abc",
    "custom_channel_vars": {"username": "ann", "owner_id": "f" * 32, "authorizing_type": "device", "media_recordings": ["x"]},
    "pvt_created": GREGORIAN + 66,
    "pvt_type": "cdr",
}  # fmt: skip
LISTED = {
    "id": "202610-a-leg",
    "call_id": "a-leg@pbx.example",
    "caller_id_number": "1001",
    "caller_id_name": "Ann",
    "callee_id_number": "",
    "callee_id_name": "",
    "duration_seconds": "65",
    "billing_seconds": "60",
    "timestamp": str(GREGORIAN),
    "hangup_cause": "NORMAL_CLEARING",
    "other_leg_call_id": "b-leg@pbx.example",
    "owner_id": "f" * 32,
    "to": "442079460123@pbx.example",
    "from": "1001@pbx.example",
    "direction": "inbound",
    "request": "+442079460123@pbx.example",
    "authorizing_id": "e" * 32,
    "dialed_number": "+442079460123",
    "datetime": "2026-10-01 09:00:00",
    "unix_timestamp": str(GREGORIAN - YEAR_0),
    "iso_8601": "2026-10-01",
    "interaction_id": "63958100000-abc",
}


def documents(*changes: dict[str, Any]) -> bytes:
    found = ({name: v for name, v in {**DOCUMENT, **change}.items() if v is not None} for change in changes)
    return "\n".join(map(json.dumps, found)).encode()


def listed(*changes: dict[str, Any]) -> bytes:
    return json.dumps(
        {"data": [{**LISTED, **c} for c in changes], "page_size": 1, "status": "success"}
    ).encode()


def as_csv(*changes: dict[str, str]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(LISTED))
    writer.writeheader()
    writer.writerows({**LISTED, **change} for change in changes)
    return text.getvalue().encode()


def test_a_real_document(cdr_samples: Path) -> None:
    path = cdr_samples / "kazoo_cdr" / "cdr.json"
    record = json.loads(path.read_text())
    legs = sr.read_cdr(path, keep=["pvt_account_id", "custom_channel_vars.realm"])
    assert len(legs) == 1
    row = legs.loc[0]
    assert row["format"] == "kazoo"
    assert row["call_key"] == row["linked_id"] == record["call_id"]
    assert row["from_number"] == record["caller_id_number"]
    assert row["to_number"] == record["request"].split("@")[0]
    assert row["sip_username"] == record["custom_channel_vars"]["username"]
    assert row["x_custom_channel_vars.realm"] == record["custom_channel_vars"]["realm"]
    # It was written when the call ended, and nothing says how long that took.
    assert row["ended_at"] == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        seconds=record["pvt_created"] - YEAR_0
    )
    assert row["problem"] == "there is no start time"
    assert pd.isna(row["is_answered"])
    assert [c.format for c in sr.sniff_cdr(path) if c.score > 0] == ["kazoo"]


@pytest.mark.parametrize("write", [documents, listed, as_csv], ids=["documents", "list", "csv"])
def test_a_leg_is_the_same_wherever_it_is_read_from(read: Read, write: Callable[..., bytes]) -> None:
    legs = read(write({}, {"call_id": "b-leg@pbx.example"}))
    assert legs["problem"].isna().all()
    assert legs["source_row"].tolist() == ([1, 2] if write is not as_csv else [2, 3])
    row = legs.loc[0]
    assert (row["started_at"], row["ended_at"]) == (START, START + timedelta(seconds=65))
    assert row["answered_at"] == START + timedelta(seconds=5)
    assert (row["total_s"], row["billable_s"], row["status"]) == (65, 60, "completed")
    assert (row["from_number"], row["to_e164"], row["direction"]) == ("1001", "+442079460123", "outbound")
    assert legs["call_key"].tolist() == ["a-leg@pbx.example", "b-leg@pbx.example"]
    assert legs["linked_id"].tolist() == ["63958100000-abc"] * 2


def test_the_creation_of_the_channel_is_the_start_to_the_microsecond(read: Read) -> None:
    micros = int(START.timestamp()) * 1_000_000 + 250_000
    row = read(documents({"channel_created_time": micros})).loc[0]
    assert row["started_at"] == START + timedelta(microseconds=250_000)
    assert row["ended_at"] == row["started_at"] + timedelta(seconds=65)


def test_no_id_of_a_document_is_a_sip_username(read: Read) -> None:
    assert read(documents({}))["sip_username"].tolist() == ["ann"]
    assert read(listed({}))["sip_username"].isna().all()


@pytest.mark.parametrize(
    ("change", "status", "cause"),
    [
        ({"hangup_cause": "NO_ANSWER"}, "no_answer", "NO_ANSWER"),
        ({"hangup_cause": "NORMAL_CLEARING"}, "unknown", "NORMAL_CLEARING"),
        ({"hangup_cause": "NORMAL_CLEARING", "hangup_code": "sip:486"}, "busy", "NORMAL_CLEARING"),
        ({"hangup_cause": None, "hangup_code": "sip:603"}, "failed", "sip:603"),
        ({"hangup_cause": "ORIGINATOR_CANCEL", "hangup_code": "sip:200"}, "canceled", "ORIGINATOR_CANCEL"),
    ],
)
def test_the_outcome_of_a_call_that_was_not_answered(
    read: Read, change: dict[str, str], status: str, cause: str
) -> None:
    legs = read(documents({"billing_seconds": 0, **change}))
    assert legs.loc[0, ["status", "cause", "is_answered"]].tolist() == [status, cause, False]
    assert legs["answered_at"].isna().all()


def test_direction_is_that_of_the_call_where_the_resource_tells(read: Read) -> None:
    def through(resource: str) -> dict[str, Any]:
        return {"custom_channel_vars": {"resource_type": resource}}

    cases = [
        ({}, "outbound"),
        (through("offnet-origination"), "inbound"),
        (through("offnet-termination"), "outbound"),
        ({"call_direction": "outbound"}, None),
        ({"custom_channel_vars": {}}, None),
        ({"request": "1002@pbx.example", "to": "1002@pbx.example"}, None),
    ]
    found = read(documents(*(change for change, _ in cases)))["direction"]
    assert [None if pd.isna(word) else word for word in found] == [word for _, word in cases]


def test_legs_without_an_interaction_are_linked_by_what_they_name(read: Read) -> None:
    a_leg = {"interaction_id": None, "other_leg_call_id": "b-leg"}
    b_leg = {
        "interaction_id": None,
        "call_id": "b-leg",
        "custom_channel_vars": {"bridge_id": "a-leg@pbx.example"},
    }
    other = {"interaction_id": None, "call_id": "c-leg"}
    linked = read(documents(a_leg, b_leg, other))["linked_id"]
    assert linked[0] == linked[1]
    assert linked[2] == "c-leg"


def test_one_document_in_an_answer_is_a_record(read: Read) -> None:
    data = json.dumps({"data": DOCUMENT, "status": "success", "request_id": "x"}).encode()
    assert read(data)["call_key"].tolist() == ["a-leg@pbx.example"]


def test_times_that_are_none_are_told(read: Read) -> None:
    legs = read(
        listed(
            {"timestamp": "soon", "unix_timestamp": ""},
            {"timestamp": "", "unix_timestamp": ""},
            {"duration_seconds": ""},
        )
    )
    assert legs["problem"].fillna("").tolist() == [
        "start 'soon' is not a date and time",
        "there is no start time",
        "",
    ]
    assert pd.isna(legs.loc[2, "ended_at"])


def test_a_leg_that_lost_the_race_is_a_helper(read: Read) -> None:
    legs = read(
        documents({}, {"hangup_cause": "LOSE_RACE", "billing_seconds": 0}, {"hangup_cause": "LOSE_RACE"})
    )
    assert legs["is_helper"].tolist() == [False, True, False]


def test_rows_that_were_sent_twice_have_one_hash(read: Read) -> None:
    assert len(set(read(listed({}, {}))["record_hash"])) == 1


def test_no_rows_are_no_legs(read: Read) -> None:
    assert len(read(as_csv())) == len(read(listed())) == 0


def test_a_frame_is_read() -> None:
    frame = pd.DataFrame([LISTED]).astype({"duration_seconds": int, "timestamp": int})
    assert sr.cdr_from_frame(frame)["started_at"].tolist() == [START]


@pytest.mark.parametrize("cause", ["ORIGINATOR_CANCEL", "MEDIA_TIMEOUT", "NORMAL_CLEARING"])
def test_a_cause_alone_does_not_tell_that_nobody_answered(read: Read, cause: str) -> None:
    leg = read(documents({"billing_seconds": None, "hangup_cause": cause})).iloc[0]
    assert leg[["is_answered", "billable_s"]].isna().all()
    assert (leg["status"], leg["cause"]) == ("unknown", cause)
