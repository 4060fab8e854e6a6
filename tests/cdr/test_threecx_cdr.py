"""3CX: lines of the CDR service in the order the administrator chose, and segments of the cdroutput table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats.threecx_cdr import SERVICE
from sippet_reconcile.schema import CALLS

Read = Callable[..., pd.DataFrame]

CALL = {
    "historyid": "Call 4711",
    "callid": "00000A1B2C3D4E5F_42",
    "duration": "00:01:00",
    "time_start": "2026/10/01 09:00:00",
    "time_answered": "2026/10/01 09:00:05",
    "time_end": "2026/10/01 09:01:05",
    "reason_terminated": "TerminatedBySrc",
    "from_no": "Ext.101",
    "to_no": "+442079460123",
    "from_dn": "101",
    "to_dn": "10001",
    "dial_no": "+442079460123",
    "final_number": "+442079460123",
    "final_dn": "10001",
    "bill_cost": "0.43",
    "chain": "Chain: Ext.101;+442079460123;",
    "from_type": "Extension",
    "to_type": "Line",
    "final_type": "Line",
    "from_dispname": "Ann",
}
INBOUND = {"from_no": "+442079460123", "to_no": "Ext.800", "from_dn": "10001", "to_dn": "800", "final_number": "Ext.101",
           "final_dn": "101", "from_type": "Line", "to_type": "Queue", "final_type": "Extension"}  # fmt: skip
UNANSWERED = {"duration": "", "time_answered": ""}


def line(width: int = len(SERVICE), delimiter: str = ",", **fields: str) -> bytes:
    row = {**CALL, **fields}
    return (delimiter.join(row.get(name, "") for name in SERVICE[:width]) + "\n").encode()


# ---------------------------------------------------------------- CDR service


@pytest.mark.parametrize("zone", ["UTC", "Europe/Stockholm"])
def test_the_sample_is_read_as_the_standard_library_reads_it(cdr_samples: Path, zone: str) -> None:
    path = cdr_samples / "threecx_cdr" / "dorel14_cdr_line.csv"
    (row,) = (row for row in csv.reader(io.StringIO(path.read_text("utf-8"))) if row)
    started, answered, ended = (
        datetime.strptime(text, "%Y/%m/%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for text in row[3:6]
    )
    legs = sr.read_cdr(path, timezone=zone)
    leg = legs.iloc[0]
    assert len(legs) == 1
    assert leg[["format", "call_key", "leg_id", "cause"]].tolist() == ["3cx-cdr", row[1], row[1], row[6]]
    assert leg[["started_at", "answered_at", "ended_at"]].tolist() == [started, answered, ended]
    assert timedelta(seconds=leg["billable_s"]) == ended - answered
    assert timedelta(seconds=leg["total_s"]) == ended - started
    assert leg[["from_number", "to_number"]].tolist() == [row[7].removeprefix("Ext."), row[8]]
    assert leg[["direction", "sip_username", "status", "is_answered"]].tolist() == [
        "outbound",
        row[9],
        "completed",
        True,
    ]
    assert pd.isna(leg["problem"])


def test_the_zone_has_to_be_said(read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(line())


def test_a_file_for_each_call_is_read_like_one_for_all(
    in_file: Callable[[bytes, str], Path], read: Read
) -> None:
    calls = [line(callid=f"00000A1B2C3D4E5F_{n}") for n in range(20)]
    paths = [in_file(data, f"cdr-{n}.log") for n, data in enumerate(calls)]
    alone, together = sr.read_cdr(paths, timezone="UTC"), read(b"".join(calls), timezone="UTC")
    assert sorted(alone["call_key"]) == sorted(together["call_key"])
    assert alone["record_hash"].nunique() == 20


@pytest.mark.parametrize("width", [15, 20, 26, 27])
def test_columns_that_were_not_chosen_are_missing_at_the_end(read: Read, width: int) -> None:
    leg = read(line(width) * 2, timezone="UTC").iloc[0]
    assert leg[["from_number", "to_number", "sip_username", "billable_s"]].tolist() == [
        "101",
        "+442079460123",
        "101",
        60,
    ]
    assert pd.isna(leg["direction"]) == (width < 22)


@pytest.mark.parametrize("delimiter", [",", ";", "|", "\t"])
@pytest.mark.parametrize("style", ["time_start", "time-start", "Time Start"])
def test_names_in_any_spelling_allow_any_order(read: Read, delimiter: str, style: str) -> None:
    columns = [name for name in reversed(SERVICE) if name not in {"chain", "missed_queue_calls"}]
    if style != "time_start":
        titled = [
            name.replace("_", "-") if "-" in style else name.replace("_", " ").title() for name in columns
        ]
    else:
        titled = columns
    data = delimiter.join(titled) + "\n" + delimiter.join(CALL.get(name, "") for name in columns) + "\n"
    leg = read(data.encode(), timezone="UTC").iloc[0]
    assert leg[["call_key", "direction", "billable_s"]].tolist() == [CALL["callid"], "outbound", 60]
    assert leg["source_row"] == 2


def test_pipes_between_fields_need_no_names(read: Read) -> None:
    assert read(line(delimiter="|") * 2, timezone="UTC").loc[0, "to_number"] == "+442079460123"


def test_the_words_of_the_export_are_no_part_of_numbers(read: Read) -> None:
    legs = read(line(**INBOUND) + line(to_no="ext.102") + line(from_no="Ext.") + line(from_no="Extern 7"), timezone="UTC",
                keep=["historyid", "chain"])  # fmt: skip
    assert legs["from_number"].fillna("").tolist() == ["+442079460123", "101", "", "Extern 7"]
    assert legs["to_number"].tolist()[:2] == ["800", "102"]
    assert legs.loc[0, ["x_historyid", "x_chain"]].tolist() == [CALL["historyid"], CALL["chain"]]


@pytest.mark.parametrize(
    ("fields", "direction", "user"),
    [
        ({}, "outbound", "101"),
        (INBOUND, "inbound", "101"),
        ({**INBOUND, "final_type": "", "final_dn": "", "final_number": "", "to_type": "Extension"}, "inbound", "800"),
        ({**INBOUND, "final_type": "", "final_dn": "", "final_number": ""}, "inbound", None),
        ({"to_type": "Extension", "final_type": "Extension"}, "internal", "101"),
        ({"to_type": "extension", "final_type": ""}, "internal", "101"),
        ({"to_type": "Extension", "final_type": "Line"}, None, "101"),
        ({"to_type": "ConfPlace", "final_type": "ConfPlace"}, None, "101"),
        ({"from_type": "Ivr", "from_no": "Ext.800"}, None, None),
    ],
)  # fmt: skip
def test_types_of_both_sides_tell_direction_and_user(
    read: Read, fields: dict[str, str], direction: str | None, user: str | None
) -> None:
    leg = read(line(**fields), timezone="UTC").iloc[0]
    assert [None if pd.isna(leg[name]) else leg[name] for name in ("direction", "sip_username")] == [
        direction,
        user,
    ]


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({}, True, "completed"),
        ({"duration": "00:00:00"}, True, "completed"),
        ({"time_answered": ""}, True, "completed"),
        ({"reason_terminated": "Failed"}, True, "completed"),
        ({**UNANSWERED}, False, "canceled"),
        ({**UNANSWERED, "reason_terminated": "TerminatedByDst"}, None, "unknown"),
        ({**UNANSWERED, "reason_terminated": "Failed_Cancelled"}, False, "canceled"),
        ({**UNANSWERED, "reason_terminated": "NoAnswerTimeout"}, False, "no_answer"),
        ({**UNANSWERED, "reason_terminated": "TargetBusy"}, False, "busy"),
        ({**UNANSWERED, "reason_terminated": "busy"}, False, "busy"),
        ({**UNANSWERED, "reason_terminated": "Failed"}, False, "failed"),
        ({**UNANSWERED, "reason_terminated": "no_route"}, False, "failed"),
        ({**UNANSWERED, "reason_terminated": "src_participant_terminated"}, False, "canceled"),
        ({**UNANSWERED, "reason_terminated": "Connected"}, None, "unknown"),
        ({**UNANSWERED, "reason_terminated": "SomethingNew"}, None, "unknown"),
        ({**UNANSWERED, "reason_terminated": ""}, None, "unknown"),
        ({**UNANSWERED, "duration": "00:00:00", "reason_terminated": "TerminatedByDst"}, False, "unknown"),
        ({**INBOUND, "final_type": "VMail"}, True, "voicemail"),
        ({**INBOUND, **UNANSWERED, "final_type": "VMail"}, False, "canceled"),
    ],
)
def test_an_answer_decides_and_then_the_reason(
    read: Read, fields: dict[str, str], answered: bool | None, status: str
) -> None:
    leg = read(line(**fields), timezone="UTC").iloc[0]
    # Where neither answer nor seconds nor a known word is there, nobody can say.
    assert leg["is_answered"] is pd.NA if answered is None else leg["is_answered"] == answered
    assert leg["status"] == status
    assert pd.isna(leg["problem"])


def test_every_reason_can_be_mapped_otherwise(read: Read) -> None:
    legs = read(line(**UNANSWERED) + line(**{**UNANSWERED, "reason_terminated": "SomethingNew"}), timezone="UTC",
                status_map={"TerminatedBySrc": "missed", "something new": "failed", "SomethingNew": "busy"})  # fmt: skip
    assert legs["status"].tolist() == ["missed", "busy"]


def test_other_files_than_the_usual_ones(read: Read) -> None:
    damaged = (
        line()
        + b"\n"
        + line(from_dispname="Zo\u00eb".encode().decode())
        + line(time_end="2026/10/01 08:00:00")
        + line(duration="soon")
        + line(time_start="")
        + line()[:60]
    )
    legs = read(damaged.replace(b"\n", b"\r\n"), timezone="UTC", keep=["from_dispname"])
    assert legs["source_row"].tolist() == [1, 3, 4, 5, 6, 7]
    assert legs.loc[1, "x_from_dispname"] == "Zoë"
    assert legs["problem"].notna().tolist() == [False, False, True, True, True, True]
    assert legs.loc[2, "problem"].startswith("it ends before it starts")
    assert legs.loc[3, "problem"] == "billable seconds 'soon' are no number"


def test_a_comma_in_a_name_moves_no_other_field(read: Read) -> None:
    data = (
        line() * 3
        + line(from_dispname="Example, Ann", missed_queue_calls="Ext.102;")
        + line(final_number="1,2")
    )
    legs = read(data, timezone="UTC", keep=["from_dispname", "missed_queue_calls"])
    assert legs["problem"].isna().all()
    assert legs["direction"].fillna("?").tolist() == ["outbound"] * 4 + ["?"]
    assert legs["billable_s"].tolist() == [60] * 5
    assert legs.loc[3, "x_from_dispname"] == "Example, Ann,,,Ext.102;"


@pytest.mark.parametrize("fields", [26, 25, 10])
def test_a_line_that_is_too_short_is_not_mended(read: Read, fields: int) -> None:
    cut = b",".join(line().split(b",")[:fields])
    assert read(line() * 3 + cut + b"\n" + line(), timezone="UTC")["problem"].notna().tolist() == [
        False, False, False, True, False]  # fmt: skip


def test_nothing_like_a_line_of_3cx_is_taken_for_one(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError):
        read(line(callid="8c1f3c52-0000-4000-8000-000000000001", historyid="x"), timezone="UTC")
    said = read(line(callid="other", historyid="x"), timezone="UTC", format="3cx-cdr")
    assert said.loc[0, "call_key"] == "other"


# ---------------------------------------------------------------- cdroutput

CALL_ID = "00000000-01db-aef6-c109-60ec00000001"
SEGMENT = {
    "cdr_id": "00000000-01db-aef6-c109-60ec00000010",
    "call_history_id": CALL_ID,
    "source_entity_type": "external_line",
    "source_dn_number": "10001",
    "source_participant_phone_number": "+442079460123",
    "source_participant_trunk_did": "+442079460100",
    "destination_entity_type": "extension",
    "destination_dn_number": "101",
    "destination_participant_phone_number": "101",
    "creation_method": "call_init",
    "termination_reason": "src_participant_terminated",
    "termination_reason_details": "",
    "cdr_started_at": "2026-10-01 09:00:00.250000+00",
    "cdr_answered_at": "2026-10-01 09:00:05.500000+00",
    "cdr_ended_at": "2026-10-01 09:01:05.750000+00",
    "main_call_history_id": CALL_ID,
}


def table(*segments: dict[str, str]) -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(SEGMENT))
    writer.writeheader()
    writer.writerows({**SEGMENT, **segment} for segment in segments)
    return stream.getvalue().encode()


def test_segments_have_their_own_zone_and_fractions(read: Read) -> None:
    leg = read(table({})).iloc[0]
    assert leg[["format", "call_key", "linked_id", "leg_id"]].tolist() == [
        "3cx-cdr",
        CALL_ID,
        CALL_ID,
        SEGMENT["cdr_id"],
    ]
    assert leg["started_at"] == pd.Timestamp("2026-10-01 09:00:00.25", tz="UTC")
    assert (leg["total_s"], leg["billable_s"], leg["status"]) == (65.5, 60.25, "completed")
    assert leg[["from_number", "to_number", "direction", "sip_username"]].tolist() == [
        "+442079460123", "+442079460100", "inbound", "101"]  # fmt: skip


def test_segments_of_joined_calls_are_one_call(read: Read) -> None:
    legs = read(
        table({}, {"call_history_id": "00000000-01db-aef6-c109-60ec00000099"}, {"main_call_history_id": ""})
    )
    assert legs["linked_id"].unique().tolist() == [CALL_ID]


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({"destination_entity_type": "voicemail"}, True, "voicemail"),
        ({"destination_entity_type": "queue"}, True, "completed"),
        ({"cdr_answered_at": ""}, False, "canceled"),
        ({"cdr_answered_at": "", "termination_reason": "dst_participant_terminated"}, False, "unknown"),
        ({"cdr_answered_at": "", "termination_reason": "cancelled", "termination_reason_details": "no_answer"}, False, "no_answer"),
        ({"cdr_answered_at": "", "termination_reason": "rejected", "termination_reason_details": "busy"}, False, "busy"),
        ({"cdr_answered_at": "", "termination_reason": "rejected", "termination_reason_details": "no_route"}, False, "failed"),
        ({"cdr_answered_at": "", "termination_reason": "rejected", "termination_reason_details": "by_did"}, False, "failed"),
        ({"cdr_answered_at": "", "termination_reason": "redirected"}, False, "unknown"),
    ],
)  # fmt: skip
def test_an_answered_segment_counts_and_else_the_details(
    read: Read, fields: dict[str, str], answered: bool, status: str
) -> None:
    leg = read(table(fields)).iloc[0]
    assert (leg["is_answered"], leg["status"]) == (answered, status)
    assert leg["billable_s"] == (60.25 if answered else 0)


def test_details_that_say_nothing_can_be_mapped(read: Read) -> None:
    fields = {"cdr_answered_at": "", "termination_reason": "rejected", "termination_reason_details": "by_did"}
    assert read(table(fields), status_map={"by_did": "missed"}).loc[0, "status"] == "missed"
    assert read(table(fields)).loc[0, "cause"] == "rejected: by_did"


def test_what_somebody_else_answered_is_a_helper_beside_others(read: Read) -> None:
    silent = {"cdr_answered_at": ""}
    legs = read(
        table(
            {"termination_reason": "continued_in"},
            {**silent, "termination_reason": "continued_in"},
            {
                **silent,
                "termination_reason": "cancelled",
                "termination_reason_details": "completed_elsewhere",
            },
            {**silent, "termination_reason": "rejected", "termination_reason_details": "busy"},
            {**silent, "termination_reason": "redirected", "main_call_history_id": "alone"},
        )
    )
    assert legs["is_helper"].tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("detail", ["", "no_answer"])
def test_ringing_that_was_handed_on_is_a_part_of_the_call_and_no_outcome(read: Read, detail: str) -> None:
    begin = pd.Timestamp(SEGMENT["cdr_started_at"])
    handed_on = {
        "cdr_started_at": (begin - pd.Timedelta(20, "s")).isoformat(sep=" "),
        "cdr_answered_at": "",
        "cdr_ended_at": SEGMENT["cdr_started_at"],
        "termination_reason": "continued_in",
        "termination_reason_details": detail,
    }
    legs = read(table(handed_on, {"cdr_answered_at": "", "termination_reason": "src_participant_terminated"}))
    assert legs["status"].tolist() == ["unknown", "canceled"]
    both, last = (
        sr.reconcile(some, CALLS.empty(), progress=False).only_in_cdr.iloc[0] for some in (legs, legs[1:])
    )
    assert both["started_at"] == last["started_at"] - pd.Timedelta(20, "s")
    assert (both["total_s"], both["status"]) == (last["total_s"] + 20, "canceled")


@pytest.mark.parametrize(
    ("source", "destination", "direction"),
    [("external_line", "inbound_routing", "inbound"), ("extension", "external_line", "outbound"),
     ("extension", "outbound_rule", "outbound"), ("extension", "extension", "internal"), ("queue", "extension", None)],
)  # fmt: skip
def test_entities_tell_the_direction(
    read: Read, source: str, destination: str, direction: str | None
) -> None:
    leg = read(table({"source_entity_type": source, "destination_entity_type": destination})).iloc[0]
    assert leg["direction"] == direction if direction else pd.isna(leg["direction"])


def test_a_query_s_frame_is_read_like_its_file(read: Read) -> None:
    data = table({}, {"cdr_answered_at": ""})
    frame = pd.read_csv(io.BytesIO(data), dtype=str)
    for name in ("cdr_started_at", "cdr_answered_at", "cdr_ended_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    legs, whole = sr.cdr_from_frame(frame), read(data)
    for name in ("started_at", "answered_at", "billable_s", "status", "linked_id"):
        assert legs[name].equals(whole[name])


@pytest.mark.parametrize("data", [table(), ",".join(SERVICE).encode()])
def test_names_alone_are_no_rows(read: Read, data: bytes) -> None:
    assert len(read(data)) == 0


@pytest.mark.parametrize("reason", ["src_participant_terminated", "continued_in"])
def test_segments_without_a_column_of_answers_say_nothing_of_them(reason: str) -> None:
    frame = pd.read_csv(io.BytesIO(table({"termination_reason": reason})), dtype=str)
    leg = sr.cdr_from_frame(frame.drop(columns="cdr_answered_at")).iloc[0]
    assert leg[["is_answered", "billable_s"]].isna().all()
    assert (leg["status"], leg["is_helper"]) == ("unknown", False)


@pytest.mark.parametrize(
    ("reason", "answered", "status"),
    [("TerminatedBySrc", False, "canceled"), ("TerminatedByDst", None, "unknown"), ("NoAnswer", False, "no_answer")],
)  # fmt: skip
def test_all_the_time_from_start_to_end_is_no_talk_where_no_answer_time_stands_beside_it(
    read: Read, reason: str, answered: bool | None, status: str
) -> None:
    rang = line(time_answered="", duration="00:01:05", reason_terminated=reason)
    legs = read(rang + line(), timezone="UTC")
    assert (None if pd.isna(legs.loc[0, "is_answered"]) else legs.loc[0, "is_answered"]) == answered
    assert legs["status"].tolist() == [status, "completed"]
    assert legs["billable_s"].fillna(0).tolist() == [0, 60]
    assert legs["total_s"].tolist() == [65, 65]
