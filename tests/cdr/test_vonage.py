"""Vonage: nested calls and flat reports say the same, nothing is worked out from a start that is an answer."""

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
    "uuid": "5c2f0000-0000-4000-8000-000000000001",
    "conversation_uuid": "CON-5c2f0000-0000-4000-8000-00000000000c",
    "direction": "outbound",
    "status": "completed",
    "start_time": "2026-10-01T08:00:05.000Z",
    "end_time": "2026-10-01T08:01:05.000Z",
    "duration": "60",
    "from": {"type": "phone", "number": "442079460123"},
    "to": {"type": "phone", "number": "12125550123"},
    "price": "0.00333333",
    "rate": "0.10000000",
    "network": "23420",
    "_links": {"self": {"href": "/v1/calls/5c2f0000-0000-4000-8000-000000000001"}},
}

REPORT: dict[str, str] = {
    "account_id": "nobody",
    "call_id": "5c2f0000-0000-4000-8000-000000000001",
    "direction": "outbound",
    "from": "442079460123",
    "to": "12125550123",
    "network": "23420",
    "network_name": "Nobody Telecom",
    "country": "US",
    "country_name": "United States",
    "date_start": "2026-10-01T10:00:05+0200",
    "date_end": "2026-10-01T08:01:05+0000",
    "duration": "60",
    "status": "completed",
    "status_description": "",
    "currency": "EUR",
    "price": "0.10000000",
    "total_price": "0.00333333",
}


def listed(*calls: dict[str, Any]) -> bytes:
    page = {
        "count": len(calls),
        "page_size": 100,
        "_embedded": {"calls": list(calls)},
        "_links": {"self": {"href": "/v1/calls"}},
    }
    return json.dumps(page).encode()


def reported(*records: dict[str, str]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(REPORT))
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().encode()


def value(found: Any) -> Any:
    return None if pd.isna(found) else found


def test_the_vendors_list_is_read_as_it_stands(cdr_samples: Path) -> None:
    path = cdr_samples / "vonage_calls" / "list_calls.json"
    calls = json.loads(path.read_text("utf-8"))["_embedded"]["calls"]
    legs = sr.read_cdr(path, progress=False)
    assert legs["format"].unique().tolist() == ["vonage"]
    assert legs["call_key"].tolist() == [call["uuid"] for call in calls]
    assert legs["linked_id"].tolist() == [call["conversation_uuid"] for call in calls]
    assert legs["billable_s"].tolist() == [int(call["duration"]) for call in calls]
    assert legs["is_answered"].tolist() == [int(call["duration"]) > 0 for call in calls]
    assert legs["started_at"].tolist() == [datetime.fromisoformat(call["start_time"]) for call in calls]
    assert legs["ended_at"].tolist() == [datetime.fromisoformat(call["end_time"]) for call in calls]
    assert legs["from_number"].tolist() == [call["from"]["number"] for call in calls]
    assert legs["to_number"].tolist() == [call["to"]["number"] for call in calls]
    assert legs["direction"].tolist() == [call["direction"] for call in calls]
    assert legs["status"].tolist() == legs["cause"].tolist() == [call["status"] for call in calls]
    assert legs["problem"].isna().all()
    # Ten digits there are no international number, whatever they are.
    assert legs[["from_e164", "to_e164"]].isna().all(axis=None)


def test_nothing_is_worked_out_from_a_start_that_may_be_the_answer(read: Read) -> None:
    for data in (listed(CALL), reported(REPORT)):
        leg = read(data).iloc[0]
        assert leg["started_at"] == pd.Timestamp("2026-10-01T08:00:05Z")
        assert pd.isna(leg["answered_at"])
        assert pd.isna(leg["total_s"])


def test_a_report_says_the_same_as_the_list_but_for_the_conversation(read: Read) -> None:
    expected = read(listed(CALL)).assign(linked_id=REPORT["call_id"])
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    report_in_json = json.dumps({"records": [REPORT], "items_count": 1}).encode()
    for legs in (read(reported(REPORT)), read(report_in_json), sr.cdr_from_frame(pd.DataFrame([REPORT]))):
        pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))
    assert expected.loc[0, ["from_e164", "to_e164"]].tolist() == ["+442079460123", "+12125550123"]


def test_a_list_turned_into_a_frame_is_read_too(read: Read) -> None:
    frame = pd.json_normalize([CALL])
    assert "from.number" in frame
    legs, expected = sr.cdr_from_frame(frame), read(listed(CALL))
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))


@pytest.mark.parametrize(
    ("word", "status"),
    [("completed", "unknown"), ("timeout", "no_answer"), ("unanswered", "no_answer"), ("busy", "busy"),
     ("cancelled", "canceled"), ("failed", "failed"), ("rejected", "failed"), ("sideways", "unknown")],
)  # fmt: skip
def test_words_for_calls_without_seconds(read: Read, word: str, status: str) -> None:
    leg = read(listed({**CALL, "status": word, "duration": "0"})).iloc[0]
    if word == "completed":  # the one word that says that somebody answered
        assert (leg["status"], leg["is_answered"]) == ("completed", True)
    else:
        assert (leg["status"], leg["is_answered"], leg["billable_s"]) == (status, False, 0)
    talked = read(listed({**CALL, "status": word})).iloc[0]
    assert (talked["status"], talked["is_answered"]) == ("completed", True)


@pytest.mark.parametrize("word", ["started", "ringing", "answered", "machine"])
def test_a_call_without_an_end_goes_on(read: Read, word: str) -> None:
    legs = read(listed({**CALL, "status": word, "end_time": None, "duration": None}))
    assert legs.loc[0, "status"] == "in_progress"
    assert legs.loc[0, ["is_answered", "billable_s", "ended_at"]].isna().all()
    assert legs["problem"].isna().all()


@pytest.mark.parametrize("word", ["answered", "machine"])
def test_an_answered_call_with_an_end_is_completed(read: Read, word: str) -> None:
    assert read(listed({**CALL, "status": word})).loc[0, "status"] == "completed"
    assert read(reported({**REPORT, "status": word})).loc[0, "status"] == "completed"


def test_every_word_can_be_overruled(read: Read) -> None:
    going_on = {**CALL, "status": "answered", "end_time": None, "duration": None}
    assert read(listed(going_on), status_map={"answered": "completed"}).loc[0, "status"] == "completed"
    rejected = {**CALL, "status": "rejected", "duration": "0"}
    assert read(listed(rejected), status_map={"Rejected": "busy"}).loc[0, "status"] == "busy"


@pytest.mark.parametrize(
    ("end", "number", "user"),
    [
        ({"type": "sip", "uri": "sip:ana@pbx.example;x=1"}, "sip:ana@pbx.example;x=1", "ana"),
        ({"type": "app", "user": "ana"}, "ana", "ana"),
        ({"type": "vbc", "extension": "1001"}, "1001", None),
        ({"type": "websocket", "uri": "wss://example.com/socket"}, "wss://example.com/socket", None),
        ({"type": "phone"}, None, None),
        (None, None, None),
    ],
)
def test_an_end_may_be_something_else_than_a_telephone(
    read: Read, end: object, number: str | None, user: str | None
) -> None:
    leg = read(listed({**CALL, "to": end}, CALL)).iloc[0]
    assert (value(leg["to_number"]), value(leg["sip_username"])) == (number, user)
    assert pd.isna(leg["to_e164"])
    assert pd.isna(leg["problem"])


def test_what_is_neither_text_nor_an_end_is_a_problem_of_its_row(read: Read) -> None:
    legs = read(listed({**CALL, "to": ["12125550123"]}, {**CALL, "duration": {"s": 1}}, CALL))
    assert legs["problem"].fillna("").tolist() == [
        "'to' is a list, not text",
        "'duration' is an object, not text",
        "",
    ]


def test_legs_of_a_conversation_are_linked_and_no_row_is_lost(read: Read) -> None:
    second = {**CALL, "uuid": "b", "direction": "inbound"}
    legs = read(listed(CALL, second, CALL))
    assert legs["linked_id"].tolist() == 3 * [CALL["conversation_uuid"]]
    assert legs["direction"].tolist() == ["outbound", "inbound", "outbound"]
    assert legs["record_hash"].nunique() == 2
    assert len(read(reported(REPORT, REPORT))) == 2


def test_a_report_without_rows_or_columns_is_still_one(read: Read) -> None:
    assert len(read(reported())) == 0
    short = pd.DataFrame([REPORT]).drop(columns=["account_id", "network", "price", "duration"])
    legs = sr.cdr_from_frame(short, format="vonage")
    assert (legs.loc[0, "status"], legs.loc[0, "is_answered"]) == ("completed", True)
    assert pd.isna(legs.loc[0, "billable_s"])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_dirt_does_not_cost_a_row(read: Read, end: bytes) -> None:
    odd = {**REPORT, "network_name": 'Größe, "x"', "date_start": "never seen", "duration": "-1"}
    whole = b"\xef\xbb\xbf" + reported(REPORT, odd, REPORT).replace(b"\r\n", end)
    legs = read(whole)
    assert legs["problem"].fillna("").tolist() == [
        "", "start 'never seen' is not a date and time; billable seconds '-1' are negative", "",
    ]  # fmt: skip
    cut = read(whole[: whole.rindex(b"+0000")])
    assert cut["problem"].isna().tolist() == [True, False, False]


def test_a_list_without_calls_has_no_rows(read: Read) -> None:
    assert len(read(listed())) == 0


def test_a_table_of_somebody_s_own_with_such_names_is_a_stranger() -> None:
    names = ("call_id", "direction", "from", "to", "date_start", "date_end", "duration", "status")
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        sr.cdr_from_frame(pd.DataFrame([{name: REPORT[name] for name in names}]))
