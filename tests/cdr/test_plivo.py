"""Plivo: offsets in the stamps, seconds as the export has them, charges that are no seconds, numbers without a plus."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

CALL: dict[str, Any] = {
    "call_uuid": "5c2f0000-0000-4000-8000-000000000001",
    "parent_call_uuid": None,
    "call_direction": "outbound",
    "from_number": "+442079460123",
    "to_number": "12125550123",
    "initiation_time": "2026-10-01 13:30:00+05:30",
    "answer_time": "2026-10-01 13:30:05+05:30",
    "end_time": "2026-10-01 13:31:10+05:30",
    "call_duration": 65,
    "bill_duration": 65,
    "billed_duration": 120,
    "total_amount": "0.01000",
    "total_rate": "0.00500",
    "resource_uri": "/v1/Account/NOBODY/Call/5c2f0000-0000-4000-8000-000000000001/",
}

CALLBACK: dict[str, Any] = {
    "CallUUID": "5c2f0000-0000-4000-8000-000000000002",
    "From": "442079460123",
    "To": "12125550123",
    "Direction": "outbound",
    "CallStatus": "completed",
    "HangupCause": "NORMAL_CLEARING",
    "StartTime": "2026-10-01 08:00:00+00:00",
    "AnswerTime": "2026-10-01 08:00:05+00:00",
    "EndTime": "2026-10-01 08:01:10+00:00",
    "Duration": "70",
    "BillDuration": "65",
}


def listed(*calls: dict[str, Any]) -> bytes:
    return json.dumps({"api_id": "a", "meta": {"limit": 20}, "objects": list(calls)}).encode()


def as_csv(*calls: dict[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(calls[0]))
    writer.writeheader()
    writer.writerows(calls)
    return out.getvalue().encode()


def value(found: Any) -> Any:
    return None if pd.isna(found) else found


@pytest.mark.parametrize("name", ["callListResponse", "callGetResponse"])
def test_the_vendors_records_are_read_as_they_stand(cdr_samples: Path, name: str) -> None:
    path = cdr_samples / "plivo_calls" / f"{name}.json"
    document = json.loads(path.read_text("utf-8"))
    calls = document.get("objects", [document])
    legs = sr.read_cdr(path, progress=False)
    assert legs["format"].unique().tolist() == ["plivo"]
    assert legs["call_key"].tolist() == [call["call_uuid"] for call in calls]
    assert legs["billable_s"].tolist() == [call["bill_duration"] for call in calls]
    assert legs["is_answered"].tolist() == [call["answer_time"] is not None for call in calls]
    assert legs["started_at"].tolist() == [datetime.fromisoformat(call["initiation_time"]) for call in calls]
    assert legs["ended_at"].tolist() == [datetime.fromisoformat(call["end_time"]) for call in calls]
    assert legs["from_number"].tolist() == [call["from_number"] for call in calls]
    assert legs["to_number"].tolist() == [call["to_number"] for call in calls]
    assert legs["to_e164"].tolist() == [f"+{call['to_number']}" for call in calls]
    assert legs["direction"].tolist() == [call["call_direction"] for call in calls]
    assert legs["status"].tolist() == ["completed" if call["answer_time"] else "unknown" for call in calls]
    assert legs["problem"].isna().all()
    assert legs["total_s"].isna().all()


def test_the_vendors_list_has_one_id_twice_and_seconds_that_its_stamps_do_not_give(cdr_samples: Path) -> None:
    legs = sr.read_cdr(cdr_samples / "plivo_calls" / "callListResponse.json", progress=False)
    assert (len(legs), legs["call_key"].nunique(), legs["record_hash"].nunique()) == (2, 1, 2)
    talked = (legs["ended_at"] - legs["answered_at"]).dt.total_seconds()
    assert (talked.tolist(), legs["billable_s"].tolist()) == ([12, 12], [924, 924])


def test_csv_and_frames_say_the_same_as_json(read: Read) -> None:
    expected = read(listed(CALL))
    frame = pd.DataFrame([CALL])
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    for legs in (read(as_csv(CALL)), sr.cdr_from_frame(frame), read(json.dumps(CALL).encode())):
        pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))
    assert expected.loc[0, "started_at"] == pd.Timestamp("2026-10-01T08:00:00Z")


def test_rounded_seconds_are_kept_and_never_billable(read: Read) -> None:
    legs = read(listed(CALL), keep=["billed_duration", "total_amount"])
    assert legs.loc[0, ["billable_s", "x_billed_duration", "x_total_amount"]].tolist() == [
        65,
        "120",
        "0.01000",
    ]
    without = {name: v for name, v in CALL.items() if name not in {"bill_duration", "call_duration"}}
    legs = read(listed(without))
    assert value(legs.loc[0, "billable_s"]) is None
    assert (legs.loc[0, "is_answered"], legs.loc[0, "status"]) == (True, "completed")


@pytest.mark.parametrize(
    ("fields", "status", "answered", "billable"),
    [
        ({"answer_time": None, "bill_duration": 0}, "unknown", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Busy Line"}, "busy", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "No Answer"}, "no_answer", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Ring Timeout Reached"}, "no_answer", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Cancelled"}, "canceled", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Rejected"}, "failed", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Normal Hangup"}, "unknown", False, 0),
        ({"answer_time": None, "bill_duration": 0, "hangup_cause_name": "Never heard of"}, "unknown", False, 0),
        # What was answered is completed whatever ended it.
        ({"hangup_cause_name": "Normal Hangup", "call_state": "ANSWER"}, "completed", True, 65),
        ({"hangup_cause_name": "Busy Line"}, "completed", True, 65),
        ({"answer_time": None}, "completed", True, 65),
        ({"bill_duration": 0}, "completed", True, 0),
        # A record without an end and without a state is of a call that goes on.
        ({"end_time": None, "bill_duration": 0}, "in_progress", True, None),
        ({"end_time": None, "bill_duration": 0, "answer_time": None}, "in_progress", None, None),
    ],
)  # fmt: skip
def test_answer_time_or_seconds_decide_and_never_the_cause(
    read: Read, fields: dict[str, Any], status: str, answered: bool | None, billable: int | None
) -> None:
    leg = read(listed({**CALL, **fields})).iloc[0]
    assert (leg["status"], value(leg["is_answered"]), value(leg["billable_s"])) == (
        status,
        answered,
        billable,
    )
    assert pd.isna(leg["problem"])


def test_a_call_duration_alone_counts_only_where_there_is_an_answer(read: Read) -> None:
    without = {name: v for name, v in CALL.items() if name != "bill_duration"}
    legs = read(listed(without, {**without, "answer_time": None, "hangup_cause_name": "No Answer"}))
    assert legs["billable_s"].tolist() == [65, 0]
    assert legs["status"].tolist() == ["completed", "no_answer"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ("completed", True, 70, 65)),
        ({"BillDuration": "120"}, ("completed", True, 70, None)),  # rounded up: more than the whole call
        ({"CallStatus": "busy", "HangupCause": "USER_BUSY", "AnswerTime": "", "Duration": "0", "BillDuration": "0"},
         ("busy", False, 0, 0)),
        ({"CallStatus": "no-answer", "AnswerTime": "", "Duration": "30", "BillDuration": "0"}, ("no_answer", False, 30, 0)),
        ({"CallStatus": "timeout", "AnswerTime": "", "Duration": "30", "BillDuration": "0"}, ("no_answer", False, 30, 0)),
        ({"CallStatus": "cancel", "AnswerTime": "", "Duration": "9", "BillDuration": "0"}, ("canceled", False, 9, 0)),
        ({"CallStatus": "failed", "AnswerTime": "", "Duration": "0", "BillDuration": "0"}, ("failed", False, 0, 0)),
        ({"HangupCause": "USER_BUSY", "AnswerTime": "", "Duration": "0", "BillDuration": "0"}, ("busy", False, 0, 0)),
        ({"AnswerTime": "", "Duration": "9", "BillDuration": "0"}, ("unknown", False, 9, 0)),
    ],
)  # fmt: skip
def test_a_callback_has_a_total_and_a_status(
    read: Read, fields: dict[str, Any], expected: tuple[object, ...]
) -> None:
    record = {**CALLBACK, **fields}
    for data in (as_csv(record), json.dumps([record]).encode()):
        leg = read(data).iloc[0]
        assert leg["format"] == "plivo"
        assert (leg["status"], leg["is_answered"], leg["total_s"], value(leg["billable_s"])) == expected
        assert leg["cause"] == record["HangupCause"]


def test_every_word_can_be_overruled(read: Read) -> None:
    unanswered = {**CALL, "answer_time": None, "bill_duration": 0, "hangup_cause_name": "Rejected"}
    legs = read(listed(unanswered), status_map={"rejected": "busy"})
    assert legs.loc[0, "status"] == "busy"


@pytest.mark.parametrize(
    ("number", "country", "e164"),
    [
        ("442079460123", None, "+442079460123"),
        ("12125550123", "DE", "+12125550123"),
        ("+442079460123", None, "+442079460123"),
        ("4525550123", None, None),  # ten digits: Danish with its code, or national somewhere
        ("6465550123", "US", None),  # possible in New Zealand and in New York
        ("2125550123", "US", "+12125550123"),  # with a plus it is no number at all
        ("1001", None, None),
        ("sip:ana000000000000@phone.plivo.com", None, None),
        ("anonymous", None, None),
    ],
)
def test_a_number_without_plus_is_international_only_where_that_is_certain(
    read: Read, number: str, country: str | None, e164: str | None
) -> None:
    leg = read(listed({**CALL, "to_number": number}), country=country).iloc[0]
    assert (leg["to_number"], value(leg["to_e164"])) == (number, e164)


def test_an_endpoint_names_a_user_and_a_child_call_its_parent(read: Read) -> None:
    child = {
        **CALL,
        "call_uuid": "child",
        "parent_call_uuid": CALL["call_uuid"],
        "to_number": "sip:ana@phone.plivo.com",
    }
    grandchild = {**CALL, "call_uuid": "grandchild", "parent_call_uuid": "child"}
    legs = read(listed(grandchild, child, CALL))
    assert legs["linked_id"].unique().tolist() == [CALL["call_uuid"]]
    assert legs["sip_username"].fillna("-").tolist() == ["-", "ana", "-"]


def test_live_calls_are_known_too(read: Read) -> None:
    live = {"call_uuid": "a", "request_uuid": "b", "call_status": "in-progress", "caller_name": "", "direction": "inbound",
            "from": "442079460123", "to": "12125550123", "session_start": "2026-10-01 08:00:00+00:00"}  # fmt: skip
    leg = read(json.dumps(live).encode()).iloc[0]
    assert (leg["format"], leg["status"], leg["direction"], leg["to_e164"]) == (
        "plivo", "in_progress", "inbound", "+12125550123",
    )  # fmt: skip
    assert pd.isna(leg["is_answered"])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_dirt_does_not_cost_a_row(read: Read, end: bytes) -> None:
    names = {**CALL, "remark": 'Größe, "x"'}
    whole = as_csv(names, {**names, "call_uuid": "b", "initiation_time": "later"}, names).replace(
        b"\r\n", end
    )
    legs = read(b"\xef\xbb\xbf" + whole)
    assert legs["problem"].fillna("").tolist() == ["", "start 'later' is not a date and time", ""]
    assert legs["record_hash"].nunique() == 2
    cut = read(whole[: -len(end) - 6])
    assert cut["problem"].isna().tolist() == [True, False, False]
    assert len(read(as_csv(CALL).split(b"\r\n")[0] + b"\r\n")) == 0
    backwards = read(listed({**CALL, "end_time": "2026-10-01 13:29:00+05:30"}))
    assert "it ends before it starts" in backwards.loc[0, "problem"]


def test_a_call_of_another_system_is_not_taken_for_one(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="this is not Plivo call list"):
        read(b"call_uuid,started\na,2026-10-01 08:00:00\n", format="plivo")
