"""Telnyx: one call is several records, seconds are billable unless the record shows that they are not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

SESSION = "5c2f0000-0000-4000-8000-00000000000a"

TRUNK: dict[str, Any] = {
    "record_type": "sip-trunking",
    "id": SESSION,
    "telnyx_session_id": SESSION,
    "call_control_id": "v3:not-a-uuid-0001",
    "started_at": "2026-10-01T08:00:00Z",
    "answered_at": "2026-10-01T08:00:05Z",
    "finished_at": "2026-10-01T08:00:17Z",
    "call_sec": 12,
    "billed_sec": 60,
    "cost": "1.687E-4",
    "currency": "USD",
    "cli": "+442079460123",
    "cld": "+12125550123",
    "direction": "outbound",
    "country_iso": "US",
    "hangup_cause": "normal_clearing",
}
BROWSER: dict[str, Any] = {
    **{
        name: TRUNK[name]
        for name in ("id", "telnyx_session_id", "call_sec", "billed_sec", "cost", "cli", "cld")
    },
    "record_type": "webrtc",
    "started_at": "2026-10-01T08:00:00Z",
    "finished_at": "2026-10-01T08:00:17Z",
    "cli": "sip:ana@sip.telnyx.com",
}
CONTROL: dict[str, Any] = {
    "record_type": "call-control",
    "telnyx_session_id": SESSION,
    "telnyx_leg_id": "5c2f0000-0000-4000-8000-00000000000b",
    "started_at": "2026-10-01T08:00:00Z",
    "finished_at": "2026-10-01T08:00:17Z",
    "cost": "0.002",
    "call_sec": 12,
    "billed_sec": 60,
    "from": "+442079460123",
    "to": "+12125550123",
}
RECORDING: dict[str, Any] = {
    "record_type": "recording",
    "telnyx_session_id": SESSION,
    "cost": "0.002",
    "duration": 12,
}
SPEECH: dict[str, Any] = {
    "record_type": "speech-to-text", "call_session_id": SESSION, "call_leg_id": "c", "cost": "1E-3", "created_at": "2026-10-01T09:00:00Z",
}  # fmt: skip


def listed(*records: dict[str, Any]) -> bytes:
    return json.dumps({"data": list(records), "meta": {"page_number": 1, "total_pages": 1}}).encode()


def as_csv(*records: dict[str, Any]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue().encode()


def value(found: Any) -> Any:
    return None if pd.isna(found) else found


def test_a_record_is_read(read: Read) -> None:
    legs = read(listed(TRUNK), keep=["cost", "billed_sec"])
    leg = legs.iloc[0]
    assert leg[["format", "leg_id", "call_key", "linked_id", "direction", "status", "cause"]].tolist() == [
        "telnyx", TRUNK["call_control_id"], TRUNK["call_control_id"], SESSION, "outbound", "completed", "normal_clearing",
    ]  # fmt: skip
    assert leg[["from_e164", "to_e164", "x_cost", "x_billed_sec"]].tolist() == [
        TRUNK["cli"],
        TRUNK["cld"],
        "1.687E-4",
        "60",
    ]
    assert (leg["billable_s"], leg["is_answered"], leg["is_helper"]) == (12, True, False)
    assert (leg["started_at"], leg["answered_at"], leg["ended_at"]) == tuple(
        pd.Timestamp(TRUNK[name]) for name in ("started_at", "answered_at", "finished_at")
    )
    assert pd.isna(leg["total_s"])


def test_one_call_is_several_records_and_services_are_helpers(read: Read) -> None:
    legs = read(listed(BROWSER, TRUNK, CONTROL, RECORDING, SPEECH))
    assert legs["linked_id"].unique().tolist() == [SESSION]
    assert legs["call_key"].tolist() == [
        SESSION,
        TRUNK["call_control_id"],
        CONTROL["telnyx_leg_id"],
        SESSION,
        "c",
    ]
    assert legs["is_helper"].tolist() == [False, False, False, True, True]
    assert legs["billable_s"].tolist()[:3] == [12, 12, 12]
    assert legs["sip_username"].fillna("-").tolist() == ["ana", "-", "-", "-", "-"]
    assert legs["problem"].isna().all()
    # When a record was written is not when a call started.
    assert pd.isna(legs.loc[4, "started_at"])


@pytest.mark.parametrize(
    "kind",
    ["recording", "amd", "speech-to-text", "text-to-speech", "ai-voice-assistant", "inference", "conference"],
)
def test_each_service_is_a_helper_under_any_spelling(read: Read, kind: str) -> None:
    records = [{**TRUNK, "record_type": word} for word in (kind, kind.replace("-", "_").upper())]
    assert read(listed(*records))["is_helper"].tolist() == [True, True]


def test_a_type_that_nobody_knows_stays_a_leg(read: Read) -> None:
    records = [{**TRUNK, "record_type": word} for word in ("call-control", "holography", None, "complete")]
    assert not read(listed(*records))["is_helper"].any()


def test_times_without_an_offset_are_asked_for(read: Read) -> None:
    local = {
        **TRUNK,
        **{
            name: TRUNK[name].replace("T", " ").rstrip("Z")
            for name in ("started_at", "answered_at", "finished_at")
        },
    }
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(as_csv(local))
    legs = read(as_csv(local), timezone="America/Chicago")
    assert legs.loc[0, "started_at"] == pd.Timestamp("2026-10-01T13:00:00Z")
    assert legs.loc[0, "billable_s"] == 12


def test_csv_and_frames_say_the_same_as_json(read: Read) -> None:
    expected = read(listed(TRUNK))
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    titled = {" ".join(word.title() for word in name.split("_")): cell for name, cell in TRUNK.items()}
    for legs in (read(as_csv(TRUNK)), read(as_csv(titled)), sr.cdr_from_frame(pd.DataFrame([TRUNK]))):
        pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))


@pytest.mark.parametrize(
    ("fields", "total", "billable"),
    [
        ({}, None, 12),
        # Seventeen seconds lie between start and end: they count the ringing.
        ({"call_sec": 17}, 17, None),
        ({"call_sec": 18}, 18, None),
        # Answered at once: both are the same.
        ({"answered_at": TRUNK["started_at"], "call_sec": 17}, None, 17),
        # Seconds that no pair of times gives are taken as the export's own.
        ({"call_sec": 924}, None, 924),
        # No answer time: what was charged for was answered, what was not only rang.
        ({"answered_at": None}, None, 12),
        ({"answered_at": None, "billed_sec": 0}, 12, None),
        ({"answered_at": None, "billed_sec": None}, 12, None),
        ({"call_sec": 0, "answered_at": None, "billed_sec": 0}, None, 0),
    ],
)
def test_seconds_are_billable_unless_the_record_shows_that_they_are_the_total(
    read: Read, fields: dict[str, Any], total: int | None, billable: int | None
) -> None:
    leg = read(listed({**TRUNK, **fields})).iloc[0]
    assert (value(leg["total_s"]), value(leg["billable_s"])) == (total, billable)


def test_without_any_answer_time_only_a_charge_of_nothing_tells(read: Read) -> None:
    without = {name: cell for name, cell in TRUNK.items() if name != "answered_at"}
    records = [{**without, "billed_sec": billed, "hangup_cause": "no_answer"} for billed in (60, 0)]
    legs = read(listed(*records))
    assert legs["is_answered"].tolist() == [True, False]
    assert legs["status"].tolist() == ["completed", "no_answer"]
    assert legs["billable_s"].tolist() == [12, 0]
    assert legs["total_s"].fillna(-1).tolist() == [-1, 12]


@pytest.mark.parametrize("billed", [60, None])
@pytest.mark.parametrize("without", [["answered_at"], []])
def test_all_the_time_from_start_to_end_may_count_the_ringing_where_no_answer_time_tells(
    read: Read, billed: int | None, without: list[str]
) -> None:
    record = {**TRUNK, "answered_at": None, "billed_sec": billed, "call_sec": 17}
    record = {name: cell for name, cell in record.items() if name not in without}
    legs = read(listed(record, {**record, "hangup_cause": "no_answer"}))
    assert legs["total_s"].tolist() == [17, 17]
    assert [value(answered) for answered in legs["is_answered"]] == [None, False]
    assert legs["status"].tolist() == ["unknown", "no_answer"]
    assert legs["billable_s"].fillna(-1).tolist() == [-1, 0]


def test_rounded_seconds_are_never_billable(read: Read) -> None:
    without = {name: cell for name, cell in TRUNK.items() if name != "call_sec"}
    leg = read(listed(without)).iloc[0]
    assert pd.isna(leg["billable_s"])
    assert (leg["is_answered"], leg["status"]) == (True, "completed")


@pytest.mark.parametrize(
    ("cause", "response", "status"),
    [("user_busy", None, "busy"), ("no_answer", None, "no_answer"), ("timeout", None, "no_answer"),
     ("originator_cancel", None, "canceled"), ("call_rejected", None, "failed"), ("not_found", None, "failed"),
     ("unspecified", None, "failed"), ("normal_clearing", None, "unknown"), ("odd", None, "unknown"),
     ("normal_clearing", "486", "busy"), ("unspecified", "480", "no_answer"), ("normal_clearing", "unspecified", "unknown"),
     ("user_busy", "480", "busy"), ("normal_clearing", "200", "unknown")],
)  # fmt: skip
def test_hangup_causes_tell_of_unanswered_calls_only(
    read: Read, cause: str, response: str | None, status: str
) -> None:
    silent = {
        **TRUNK,
        "hangup_cause": cause,
        "sip_hangup_cause": response,
        "answered_at": None,
        "call_sec": 0,
        "billed_sec": 0,
    }
    legs = read(listed(silent, {**TRUNK, "hangup_cause": cause, "sip_hangup_cause": response}))
    assert legs["status"].tolist() == [status, "completed"]
    assert legs["is_answered"].tolist() == [False, True]
    assert legs["billable_s"].tolist() == [0, 12]


def test_a_call_without_end_and_cause_goes_on(read: Read) -> None:
    leg = read(listed({**TRUNK, "finished_at": None, "hangup_cause": None, "call_sec": 0})).iloc[0]
    assert leg["status"] == "in_progress"
    assert pd.isna(leg["billable_s"])


def test_every_word_can_be_overruled(read: Read) -> None:
    silent = {**TRUNK, "hangup_cause": "not_found", "answered_at": None, "call_sec": 0, "billed_sec": 0}
    assert read(listed(silent), status_map={"not_found": "busy"}).loc[0, "status"] == "busy"


@pytest.mark.parametrize(
    ("word", "direction"), [("inbound", "inbound"), ("1", "inbound"), ("2", "outbound"), ("3", None)]
)
def test_directions_are_words_or_call_types(read: Read, word: str, direction: str | None) -> None:
    assert value(read(as_csv({**TRUNK, "direction": word})).loc[0, "direction"]) == direction


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_dirt_does_not_cost_a_row(read: Read, end: bytes) -> None:
    records = [
        {**TRUNK, "remark": 'Größe, "x"'},
        {**TRUNK, "remark": "", "call_sec": "twelve"},
        {**TRUNK, "remark": "longer"},
    ]
    whole = as_csv(*records).replace(b"\r\n", end)
    legs = read(b"\xef\xbb\xbf" + whole)
    assert legs["problem"].fillna("").tolist() == ["", "billable seconds 'twelve' are no number", ""]
    cut = read(whole[: whole.rindex(b"normal_clearing")])
    assert cut["problem"].isna().tolist() == [True, False, False]
    assert len(read(whole.split(end)[0] + end)) == 0


def test_ids_alone_are_no_detail_record(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(json.dumps([{"telnyx_session_id": "a", "colour": "red"}]).encode())


def test_a_session_s_id_that_others_have_too_makes_no_record_of_telnyx() -> None:
    other = {"call_session_id": "x", "from": "+442079460123", "to": "+12125550123", "start_time": "2026-10-01T08:00:00Z",
             "end_time": "2026-10-01T08:01:00Z", "duration": 60}  # fmt: skip
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        sr.cdr_from_frame(pd.DataFrame([other]))
