"""What reading promises, looked at from outside: expected values are worked out by hand."""

from __future__ import annotations

import gzip
import inspect
import io
import json
import logging
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import LEGS

Line = Callable[..., bytes]

HEADER = (
    b"caller_id_name,caller_id_number,destination_number,context,start_stamp,answer_stamp,end_stamp,"
    b"duration,billsec,hangup_cause,uuid,bleg_uuid,accountcode,read_codec,write_codec\n"
)
TWILIO = "sid,parent_call_sid,to,from,status,start_time,end_time,duration,direction"


def read(data: bytes | str, **options: Any) -> pd.DataFrame:
    data = data.encode() if isinstance(data, str) else data
    return sr.read_cdr(io.BytesIO(data), progress=False, **options)


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def test_the_options_of_read_cdr_and_their_defaults_are_as_promised() -> None:
    options = inspect.signature(sr.read_cdr).parameters
    assert {name: option.default for name, option in options.items() if name != "paths"} == {
        "format": "auto",
        "timezone": None,
        "country": None,
        "keep": (),
        "columns": None,
        "dayfirst": None,
        "delimiter": None,
        "status_map": None,
        "internal_numbers": (),
        "strip_prefixes": (),
        "progress": None,
    }
    assert all(option.kind is option.KEYWORD_ONLY for name, option in options.items() if name != "paths")


@pytest.mark.parametrize("data", [b"", b"\n\n", HEADER])
def test_nothing_to_read_still_has_every_column_and_type(data: bytes) -> None:
    legs = read(data, format="freeswitch", timezone="UTC", keep=["accountcode"])
    assert len(legs) == 0
    assert {name: str(legs[name].dtype) for name in LEGS.names} == LEGS.dtypes
    assert str(legs["x_accountcode"].dtype) == "str"


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_source_row_is_the_physical_line(freeswitch: Line, line_end: bytes) -> None:
    # Line 1 is blank, 2 the header, 3 blank, 4 a record, 5 and 6 blank, 7 a record.
    data = (
        b"\n"
        + HEADER
        + b"\n"
        + freeswitch()
        + b"\n\n"
        + freeswitch(uuid="8c1f3c52-0000-4000-8000-000000000002")
    )
    legs = read(data.replace(b"\n", line_end), timezone="UTC")
    assert legs["source_row"].tolist() == [4, 7]
    assert legs["problem"].isna().all()


def test_every_record_is_a_row_and_the_unusable_say_why(freeswitch: Line) -> None:
    data = (
        freeswitch()
        + b'"a","b"\n'
        + freeswitch(start_stamp="soon", duration="x", end_stamp="")
        + freeswitch()
    )
    legs = read(data, timezone="UTC")
    assert legs["source_row"].tolist() == [1, 2, 3, 4]
    assert legs["problem"].isna().tolist() == [True, False, False, True]
    assert legs["problem"][2].count("; ") == 1


def test_the_members_of_an_archive_are_read_as_files_of_their_own(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "october.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one.csv", freeswitch())
        archive.writestr("two.csv", freeswitch() + freeswitch())
    legs = sr.read_cdr(path, timezone="UTC", progress=False)
    assert legs["source_row"].tolist() == [1, 1, 2]
    assert legs["source_file"].nunique() == 2


def test_a_glob_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(sr.InputError, match="matches no file"):
        sr.read_cdr(tmp_path / "*.csv.gz", timezone="UTC", progress=False)


def test_the_same_record_has_the_same_hash_in_another_file(freeswitch: Line) -> None:
    first = read(freeswitch() + freeswitch(read_codec="G729"), timezone="UTC")
    again = read(freeswitch(), timezone="UTC")
    assert first["record_hash"][0] == again["record_hash"][0]
    assert first["record_hash"][1] != again["record_hash"][0]


def test_local_times_need_a_zone_unless_the_file_tells(freeswitch: Line, asterisk: Line) -> None:
    with pytest.raises(sr.InputError, match="timezone="):
        read(freeswitch())
    # The id was made at 09:00:00 UTC and the printed start is 10:00:00: the clock is an hour ahead.
    legs = read(
        asterisk(start="2026-10-01 10:00:00", answer="2026-10-01 10:00:05", end="2026-10-01 10:01:05")
    )
    assert legs["started_at"][0] == utc("2026-10-01 09:00:00")


def test_a_zone_that_contradicts_the_ids_is_an_error_with_the_measured_offset(asterisk: Line) -> None:
    line = asterisk(start="2026-10-01 10:00:00", answer="2026-10-01 10:00:05", end="2026-10-01 10:01:05")
    with pytest.raises(sr.CdrFormatError, match=r"\+01:00"):
        read(line, timezone="UTC")
    assert len(read(line, timezone="Europe/London")) == 1


def test_a_call_wholly_in_the_repeated_hour_is_doubtful(freeswitch: Line) -> None:
    line = freeswitch(
        start_stamp="2026-10-25 01:10:00", answer_stamp="2026-10-25 01:10:05", end_stamp="2026-10-25 01:11:05"
    )
    leg = read(line, timezone="Europe/London").iloc[0]
    assert "twice" in leg["time_problem"]
    assert pd.isna(leg["problem"])
    assert (leg["total_s"], leg["billable_s"]) == (65.0, 60.0)


def test_an_end_in_the_repeated_hour_is_settled_by_start_and_duration(freeswitch: Line) -> None:
    # 00:59:00 BST is 23:59:00 UTC; 3,660 s on it is 01:00:00 UTC, the second 01:00 of the night.
    line = freeswitch(
        start_stamp="2026-10-25 00:59:00",
        answer_stamp="2026-10-25 00:59:10",
        end_stamp="2026-10-25 01:00:00",
        duration="3660",
        billsec="3650",
    )
    leg = read(line, timezone="Europe/London").iloc[0]
    assert leg["ended_at"] == utc("2026-10-25 01:00:00")
    assert pd.isna(leg["time_problem"])


def test_a_time_that_was_skipped_is_doubtful(freeswitch: Line) -> None:
    line = freeswitch(
        start_stamp="2026-03-29 01:10:00", answer_stamp="2026-03-29 01:10:05", end_stamp="2026-03-29 02:11:05"
    )
    assert "skipped" in read(line, timezone="Europe/London")["time_problem"][0]


@pytest.mark.parametrize(
    ("disposition", "billsec", "status"),
    [
        ("ANSWERED", "60", "completed"),
        ("NO ANSWER", "0", "no_answer"),
        ("BUSY", "0", "busy"),
        ("FAILED", "0", "failed"),
        ("CONGESTION", "0", "failed"),
        ("CANCEL", "0", "canceled"),
        ("UNKNOWN", "0", "failed"),
        ("BUSY", "60", "completed"),
    ],
)
def test_a_disposition_is_overruled_by_billable_seconds(
    asterisk: Line, disposition: str, billsec: str, status: str
) -> None:
    answer = "2026-10-01 09:00:05" if billsec != "0" else ""
    leg = read(asterisk(disposition=disposition, billsec=billsec, answer=answer)).iloc[0]
    assert (leg["status"], leg["is_answered"]) == (status, billsec != "0")
    assert leg["cause"] == disposition


@pytest.mark.parametrize("column", ["userfield", "accountcode"])
def test_a_uuid_beside_the_uniqueid_is_the_key(asterisk: Line, column: str) -> None:
    uuid = "8c1f3c52-0000-4000-8000-000000000009"
    assert read(asterisk(**{column: uuid}))["call_key"][0] == uuid
    assert read(asterisk(**{column: "4711"}))["call_key"][0] == "1790845200.1"


def test_seventeen_columns_end_in_a_uniqueid_or_in_a_userfield(asterisk: Line) -> None:
    assert read(asterisk(17))["call_key"][0] == "1790845200.1"
    with_userfield = asterisk(17, uniqueid="8c1f3c52-0000-4000-8000-000000000009")
    legs = read(with_userfield, timezone="UTC")
    assert legs["call_key"][0] == "8c1f3c52-0000-4000-8000-000000000009"


def test_an_unanswered_normal_clearing_is_unknown(freeswitch: Line) -> None:
    leg = read(freeswitch(answer_stamp="", billsec="0"), timezone="UTC").iloc[0]
    assert (leg["status"], leg["is_answered"], leg["billable_s"]) == ("unknown", False, 0.0)


def test_an_answer_counts_whatever_the_cause(freeswitch: Line) -> None:
    leg = read(freeswitch(hangup_cause="ORIGINATOR_CANCEL"), timezone="UTC").iloc[0]
    assert (leg["status"], leg["is_answered"], leg["cause"]) == ("completed", True, "ORIGINATOR_CANCEL")


@pytest.mark.parametrize("never", ["1970-01-01 00:00:00", "0000-00-00 00:00:00", "1000-01-01 00:00:00", ""])
def test_words_for_never_are_no_answer_time(freeswitch: Line, never: str) -> None:
    leg = read(freeswitch(answer_stamp=never, billsec="0"), timezone="UTC").iloc[0]
    assert pd.isna(leg["answered_at"])
    assert pd.isna(leg["problem"])
    assert not leg["is_answered"]


@pytest.mark.parametrize(
    ("status", "expected", "billable_s"),
    [("busy", "busy", 0.0), ("no-answer", "no_answer", 0.0), ("in-progress", "in_progress", None)],
)
def test_an_empty_twilio_duration_is_zero_only_where_the_call_is_over(
    status: str, expected: str, billable_s: float | None
) -> None:
    ended = "" if billable_s is None else '"Thu, 01 Oct 2026 09:01:00 +0000"'
    row = f'CA1,,+442079460123,client:ana,{status},"Thu, 01 Oct 2026 09:00:00 +0000",{ended},,outbound-dial'
    leg = read(f"{TWILIO}\n{row}\n").iloc[0]
    assert (leg["status"], leg["sip_username"], leg["direction"]) == (expected, "ana", "outbound")
    assert leg["started_at"] == utc("2026-10-01 09:00:00")
    assert pd.isna(leg["billable_s"]) if billable_s is None else leg["billable_s"] == billable_s


def test_twilio_json_counts_records() -> None:
    one = {
        "sid": "CA1", "parent_call_sid": "CA0", "to": "+442079460123", "from": "sip:bob@example.com", "status": "completed",
        "start_time": "Thu, 01 Oct 2026 09:00:00 +0000", "end_time": "Thu, 01 Oct 2026 09:01:00 +0000", "duration": "60",
        "direction": "inbound",
    }  # fmt: skip
    legs = read(json.dumps({"calls": [one, {**one, "sid": "CA2"}]}))
    assert legs["source_row"].tolist() == [1, 2]
    assert legs["call_key"].tolist() == ["CA1", "CA2"]
    assert legs["linked_id"].tolist() == ["CA0", "CA0"]
    assert legs["sip_username"].tolist() == ["bob", "bob"]


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ("020 7946 0123", "+442079460123"),
        ("00442079460123", "+442079460123"),
        ("+442079460123", "+442079460123"),
        ("sip:+442079460123@pbx.example", "+442079460123"),
        ("07700900123", "+447700900123"),  # reserved for fiction: possible, not valid
        ("1001", None),
        ("*60", None),
        ("anonymous", None),
        ("442921280552.6", None),
    ],
)
def test_possible_numbers_get_their_international_form(
    freeswitch: Line, delivered: str, expected: str | None
) -> None:
    leg = read(freeswitch(destination_number=f" {delivered} "), timezone="UTC", country="GB").iloc[0]
    assert leg["to_number"] == delivered
    assert leg["to_e164"] == expected if expected else pd.isna(leg["to_e164"])


def test_dates_that_can_be_read_two_ways_are_an_error_until_said() -> None:
    table, columns = "Start;Talk\n01/10/2026 09:00:00;60\n", {"started_at": "Start", "billable_s": "Talk"}
    with pytest.raises(sr.CdrFormatError, match="dayfirst=") as caught:
        read(table, columns=columns, timezone="UTC")
    assert caught.value.line == 2
    assert read(table, columns=columns, timezone="UTC", dayfirst=True)["started_at"][0] == utc(
        "2026-10-01 09:00"
    )
    assert read(table, columns=columns, timezone="UTC", dayfirst=False)["started_at"][0] == utc(
        "2026-01-10 09:00"
    )
    settled = read(table + "13/10/2026 09:00:00;60\n", columns=columns, timezone="UTC")
    assert settled["started_at"][0] == utc("2026-10-01 09:00")


def test_a_disposition_decides_where_nothing_else_can() -> None:
    table = "Start,End,Result\n" + "".join(
        f"2026-10-01 09:00:00,2026-10-01 09:01:05,{word}\n" for word in ("Answered", "Busy", "who knows")
    )
    legs = read(table, columns={"started_at": "Start", "ended_at": "End", "status": "Result"}, timezone="UTC")
    assert legs["status"].tolist() == ["completed", "busy", "unknown"]
    assert legs["is_answered"].tolist() == [True, False, pd.NA]
    assert legs["billable_s"].isna().tolist() == [True, False, True]


def test_a_frame_is_read_whatever_its_index_and_not_changed() -> None:
    frame = pd.DataFrame({"S": ["2026-10-01 09:00:00"] * 2, "T": [60.5, 61.0], "Id": [7, 8]}, index=[3, 3])
    before = frame.copy(deep=True)
    legs = sr.cdr_from_frame(
        frame, columns={"started_at": "S", "billable_s": "T", "call_key": "Id"}, timezone="Europe/London"
    )
    assert legs["call_key"].tolist() == ["7", "8"]
    assert legs["billable_s"].tolist() == [60.5, 61.0]
    assert legs["started_at"][0] == utc("2026-10-01 08:00:00")
    pd.testing.assert_frame_equal(frame, before)


def test_a_file_that_is_something_else_says_so_with_its_line(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(freeswitch())
    with pytest.raises(sr.CdrFormatError, match="freeswitch") as caught:
        sr.read_cdr(path, format="asterisk", timezone="UTC", progress=False)
    assert caught.value.line == 1
    assert caught.value.path == path


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_an_error_about_a_file_says_where_it_lies(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(packed(b"hello\nworld\n"))
    with pytest.raises(sr.CdrFormatError) as caught:
        sr.read_cdr(path, timezone="UTC", progress=False)
    assert caught.value.path == path


def test_an_error_about_a_member_of_an_archive_says_where_the_archive_lies(tmp_path: Path) -> None:
    path = tmp_path / "october.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/one.csv", "hello\nworld\n")
    with pytest.raises(sr.CdrFormatError, match=r"a/one\.csv") as caught:
        sr.read_cdr([path], timezone="UTC", progress=False)
    assert caught.value.path == path


def test_an_error_found_when_only_looking_says_where_the_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"{broken")
    with pytest.raises(sr.CdrFormatError, match="begins like JSON") as caught:
        sr.sniff_cdr(path)
    assert caught.value.path == path


def test_an_error_about_a_stream_or_a_frame_has_no_path() -> None:
    with pytest.raises(sr.CdrFormatError) as caught:
        read("hello\nworld\n", timezone="UTC")
    assert caught.value.path is None
    with pytest.raises(sr.CdrFormatError) as caught:
        sr.cdr_from_frame(pd.DataFrame({"a": ["1"]}), timezone="UTC", source="query.csv")
    assert caught.value.path is None


def test_sniffing_names_the_best_format_first_with_reasons(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    path.write_bytes(freeswitch())
    best = sr.sniff_cdr(path)[0]
    assert best.format == "freeswitch"
    assert best.reasons


def test_a_description_counts_what_is_there(freeswitch: Line) -> None:
    data = (
        freeswitch()
        + freeswitch(start_stamp="soon")
        + freeswitch(start_stamp="2026-10-01 15:00:00", answer_stamp="2026-10-01 15:00:05", end_stamp="")
    )
    said = sr.describe_cdr(read(data, timezone="UTC")).summary()
    assert (said["rows"], said["rows_with_problem"], said["format"]) == (3, 1, "freeswitch")
    assert said["problems"][0]["where"] == "<stream>:2"
    # From 10:00 to 15:00 UTC nothing began.
    assert [gap["hours"] for gap in said["hours_without_rows"]] == [5]


@pytest.mark.parametrize("word", ["NULL", "null", r"\N", " NULL "])
def test_a_word_for_null_is_missing_in_every_field(word: str) -> None:
    columns = {
        "started_at": "Start", "ended_at": "End", "total_s": "Total", "billable_s": "Talk", "call_key": "Id",
        "from_number": "From", "to_number": "To", "sip_username": "User", "status": "Result",
    }  # fmt: skip
    row = ",".join(["2026-10-01 09:00:00", *[word] * 8])
    legs = read(f"{','.join(columns.values())}\n{row}\n{row}\n", columns=columns, timezone="UTC")
    said = [
        "ended_at",
        "total_s",
        "billable_s",
        "call_key",
        "leg_id",
        "linked_id",
        "from_number",
        "to_number",
    ]
    assert legs[[*said, "sip_username", "cause", "problem"]].isna().all(axis=None)


def test_a_name_that_only_contains_null_stays() -> None:
    names = ["Null", "NULLA", "nul", "N", "NULL NULL", r"\n"]
    frame = pd.DataFrame({"S": ["2026-10-01 09:00:00"] * len(names), "U": names})
    legs = sr.cdr_from_frame(frame, columns={"started_at": "S", "sip_username": "U"}, timezone="UTC")
    assert legs["sip_username"].tolist() == names


def test_rows_whose_id_is_null_are_not_one_call() -> None:
    table = "Id,Start,Talk\nNULL,2026-10-01 09:00:00,60\nNULL,2026-10-01 11:00:00,30\n"
    columns = {"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}
    assert read(table, columns=columns, timezone="UTC")["linked_id"].isna().all()


def test_blank_billable_seconds_are_not_zero_without_a_word_that_says_so() -> None:
    table = "Start,End,Talk,Id,Result\n" + "".join(
        f"2026-10-01 09:00:00,2026-10-01 09:01:00,{talk},{n},{word}\n"
        for n, (talk, word) in enumerate(
            [("", ""), ("", "who knows"), ("", "Busy"), ("0", ""), ("", "Answered")]
        )
    )
    columns = {"started_at": "Start", "ended_at": "End", "billable_s": "Talk", "call_key": "Id"}
    without_word = read(table, columns=columns, timezone="UTC")
    assert without_word["is_answered"].isna().tolist() == [True, True, True, False, True]
    assert without_word["billable_s"].isna().tolist() == [True, True, True, False, True]
    legs = read(table, columns={**columns, "status": "Result"}, timezone="UTC")
    assert legs["status"].tolist() == ["unknown", "unknown", "busy", "unknown", "completed"]
    assert legs["is_answered"].tolist() == [pd.NA, pd.NA, False, False, True]
    assert legs["billable_s"].tolist() == [pd.NA, pd.NA, 0.0, 0.0, pd.NA]


def test_an_answer_time_that_is_blank_beside_blank_seconds_and_no_known_word_says_nothing() -> None:
    table = "Start,Answer,Talk,Result\n" + "".join(
        f"2026-10-01 09:00:00,,{talk},{word}\n"
        for talk, word in [("", "who knows"), ("", "Answered"), ("0", "")]
    )
    columns = {"started_at": "Start", "answered_at": "Answer", "billable_s": "Talk", "status": "Result"}
    legs = read(table, columns=columns, timezone="UTC")
    assert legs["is_answered"].tolist() == [pd.NA, pd.NA, False]
    assert legs["billable_s"].tolist() == [pd.NA, pd.NA, 0.0]


@pytest.mark.parametrize("status", ["", "surprise"])
def test_a_twilio_call_without_a_known_status_and_without_seconds_is_undecided(status: str) -> None:
    row = f'CA1,,+442079460123,client:ana,{status},"Thu, 01 Oct 2026 09:00:00 +0000","Thu, 01 Oct 2026 09:01:00 +0000",,inbound'
    leg = read(f"{TWILIO}\n{row}\n").iloc[0]
    assert leg["status"] == "unknown"
    assert pd.isna(leg["is_answered"])
    assert pd.isna(leg["billable_s"])


@pytest.mark.parametrize(
    ("mapped", "cells"),
    [
        ({"ended_at": "A"}, "2026-10-01 09:02"),
        ({"total_s": "A"}, "65"),
        ({"answered_at": "A", "ended_at": "B"}, "2026-10-01 09:00,2026-10-01 09:02:05"),
        ({"answered_at": "A", "billable_s": "B"}, "2026-10-01 09:00,60"),
        ({"ended_at": "A", "billable_s": "B"}, "2026-10-01 09:02,60"),
    ],
)
def test_nothing_is_worked_out_from_times_without_seconds(mapped: dict[str, str], cells: str) -> None:
    table = f"Start,{','.join(mapped.values())}\n2026-10-01 09:00,{cells}\n"
    leg = read(table, columns={"started_at": "Start", **mapped}, timezone="UTC").iloc[0]
    assert leg["started_at"] == utc("2026-10-01 09:00")
    derived = {"answered_at", "ended_at", "total_s", "billable_s"} - set(mapped)
    assert leg[list(derived)].isna().all()
    assert pd.isna(leg["problem"])


def test_an_end_without_seconds_is_not_before_a_start_in_its_minute() -> None:
    table = "S,E\n2026-10-01 09:00:30,2026-10-01 09:00\n2026-10-01 09:01:30,2026-10-01 09:00\n"
    legs = read(table, columns={"started_at": "S", "ended_at": "E"}, timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False]


@pytest.mark.parametrize("bad", [{"start_stamp": ""}, {"duration": "-5"}, {"billsec": "x"}])
def test_a_named_format_is_believed_and_the_bad_row_says_why(freeswitch: Line, bad: dict[str, str]) -> None:
    legs = read(freeswitch(**bad), format="freeswitch", timezone="UTC")
    assert legs["problem"].notna().tolist() == [True]


@pytest.mark.parametrize(
    ("bad", "has_problem"),
    [
        ({"start": ""}, True),
        ({"duration": "-5"}, True),
        ({"disposition": "SURPRISE", "billsec": "0", "answer": ""}, False),
    ],
)
def test_an_asterisk_row_that_was_named_so_is_one_whatever_it_holds(
    asterisk: Line, bad: dict[str, str], has_problem: bool
) -> None:
    leg = read(asterisk(**bad), format="asterisk", timezone="UTC").iloc[0]
    assert pd.notna(leg["problem"]) == has_problem
    assert leg["call_key"] == "1790845200.1"
    if not has_problem:
        assert (leg["status"], leg["cause"]) == ("unknown", "SURPRISE")


def test_status_map_reads_words_that_the_format_does_not_know(asterisk: Line) -> None:
    data = asterisk(disposition="8") + asterisk(disposition="4", billsec="0", answer="")
    legs = read(data, format="asterisk", status_map={"8": "completed", "4": "busy"})
    assert legs["status"].tolist() == ["completed", "busy"]


def test_a_named_format_is_not_believed_where_the_rows_have_another_width_or_are_another_format(
    freeswitch: Line, asterisk: Line
) -> None:
    for data, name in [
        (asterisk(start=""), "freeswitch"),
        (freeswitch(start_stamp=""), "asterisk"),
        (freeswitch().replace(b"\n", b',"agent","stat"\n'), "asterisk"),
        (b"a,b\n1,2\n", "asterisk"),
    ]:
        with pytest.raises(sr.CdrFormatError, match="this is not"):
            read(data, format=name, timezone="UTC")
    custom = ("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end",
              "duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence")  # fmt: skip
    with pytest.raises(sr.CdrFormatError, match="it looks like asterisk-custom"):
        read(asterisk(names=custom), format="asterisk", timezone="UTC")


def test_a_file_most_of_whose_rows_are_bad_is_still_recognised(freeswitch: Line, asterisk: Line) -> None:
    data = freeswitch() + freeswitch(start_stamp="soon") + freeswitch(start_stamp="")
    assert read(data, timezone="UTC")["problem"].notna().tolist() == [False, True, True]
    data = asterisk() + asterisk(start="soon") + asterisk(duration="-5")
    assert read(data, timezone="UTC")["problem"].notna().tolist() == [False, True, True]


def test_a_lone_row_among_many_others_makes_no_format(asterisk: Line) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(asterisk() + asterisk(disposition="SURPRISE") * 9, timezone="UTC")


def test_times_without_seconds_are_marked_and_are_no_time_problem() -> None:
    table = "S,A,E\n" + "".join(
        f"{start},{answer},{end}\n"
        for start, answer, end in [
            ("2026-10-01 09:00:00", "2026-10-01 09:00:05", "2026-10-01 09:01:05"),
            ("2026-10-01 09:00", "2026-10-01 09:00:05", "2026-10-01 09:01:05"),
            ("2026-10-01 09:00:00", "2026-10-01 09:00", "2026-10-01 09:01:05"),
            ("2026-10-01 09:00:00", "", "2026-10-01 09:01"),
            ("2026-10-25 01:30", "", ""),
        ]
    )
    columns = {"started_at": "S", "answered_at": "A", "ended_at": "E"}
    legs = read(table, columns=columns, timezone="Europe/London")
    assert list(legs.columns) == [*LEGS.names, "is_helper", "is_coarse"]
    assert legs["is_coarse"].dtype == "boolean"
    assert legs["is_coarse"].tolist() == [False, True, True, True, True]
    assert legs["time_problem"].isna().tolist() == [True, True, True, True, False]
    assert "without seconds" not in legs["time_problem"][4]
    assert sr.describe_cdr(legs).summary()["rows_without_seconds"] == 4
    assert str(read("", columns=columns)["is_coarse"].dtype) == "boolean"


@pytest.mark.parametrize(
    "cell",
    [
        "Total",
        "TOTALS",
        "Grand total",
        "Subtotal:",
        "Total: 3",
        "Total (1,204)",
        "totals 3 calls",
        "Total 0:02:00",
    ],
)
def test_a_line_that_adds_up_the_others_is_no_record_and_is_counted(
    cell: str, caplog: pytest.LogCaptureFixture
) -> None:
    text = f'Name,Start,Talk\nAnn,2026-10-01 09:00:00,60\n"{cell}",,60\n'
    with caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        legs = read(text, columns={"started_at": "Start", "billable_s": "Talk"}, timezone="UTC")
    assert legs["source_row"].tolist() == [2]
    assert "1 line without a start taken as totals" in caplog.text
    assert "<stream>: 1 line without a start taken as totals" in sr.describe_cdr(legs).notes


@pytest.mark.parametrize(
    ("cell", "start"),
    [
        ("Total Wine Ltd", ""),
        ("Total-Energies", ""),
        ("Totally Ltd", ""),
        ("Total", "2026-10-01 10:00:00"),
        ("Ann", "Total"),
        ("Total 3 Ltd", "soon"),
    ],
)
def test_a_caller_whose_name_begins_with_total_is_a_record(cell: str, start: str) -> None:
    text = f"Name,Start,Talk\nAnn,2026-10-01 09:00:00,60\n{cell},{start},60\n"
    legs = read(text, columns={"started_at": "Start", "billable_s": "Talk"}, timezone="UTC")
    assert legs["source_row"].tolist() == [2, 3]
    assert pd.isna(legs["problem"][1]) == start.startswith("2026")


def test_totals_lines_of_a_large_file_are_counted_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 200)
    path = tmp_path / "x.csv"
    path.write_text("Name,Start,Talk\n" + ("Ann,2026-10-01 09:00:00,60\n" * 10 + "Total,,600\n") * 3)
    columns = {"started_at": "Start", "billable_s": "Talk"}
    with caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        legs = sr.read_cdr(path, columns=columns, timezone="UTC", progress=False)
    assert len(legs) == 30
    assert caplog.text.count("x.csv: 3 lines without a start taken as totals") == 1


@pytest.mark.parametrize(
    "broken",
    [
        b'"a","b"\n',
        b'"Ann","1001","+442079460123","default","2026-10-01 09:00:00","","2026-10-01 09:01:05","65"\n',
        b'"Ann","1001","+442079460123","default","2026-10-01 09:00:00"\n',
        b'"Ann","1001","cut',
        b"a," * 20 + b"\n",
    ],
)
def test_a_broken_row_is_not_taken_as_unanswered(freeswitch: Line, broken: bytes) -> None:
    legs = read(freeswitch() + broken, timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False]
    assert legs["is_answered"].tolist() == [True, pd.NA]
    assert legs["billable_s"].tolist() == [60.0, pd.NA]


def test_what_a_broken_row_still_holds_stays(freeswitch: Line) -> None:
    short = freeswitch().replace(b',"PCMU"\n', b"\n")
    leg = read(freeswitch() + short, timezone="UTC").iloc[1]
    assert pd.notna(leg["problem"])
    assert (leg["is_answered"], leg["billable_s"]) == (True, 60.0)


def test_a_row_without_uniqueid_is_told_from_others_by_linkedid_and_sequence(asterisk: Line) -> None:
    data = asterisk(19) + asterisk(19, sequence="8") + asterisk(19, sequence="") + asterisk(19, linkedid="")
    legs = read(data, timezone="UTC")
    assert legs["leg_id"].isna().tolist() == [False, False, True, True]
    assert legs["leg_id"][:2].tolist() == ["1790845200.1/7", "1790845200.1/8"]
    assert read(asterisk(21))["leg_id"][0] == "1790845200.1/7"
    assert read(asterisk(18))["leg_id"][0] == "1790845200.1"


@pytest.mark.parametrize("in_pieces", [False, True])
def test_offsets_in_the_data_win_over_the_zone_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, in_pieces: bool
) -> None:
    if in_pieces:
        monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 200)
    path, columns = tmp_path / "x.csv", {"started_at": "S", "billable_s": "T"}
    path.write_text("S,T\n" + "2026-10-01T09:00:00+02:00,60\n" * 20)
    said = "x.csv: timezone='Europe/London' is not used"
    with caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        legs = sr.read_cdr(path, columns=columns, timezone="Europe/London", progress=False)
    assert (legs["started_at"] == utc("2026-10-01 07:00:00")).all()
    assert caplog.text.count(said) == 1
    caplog.clear()
    path.write_text("S,T\n2026-10-01 09:00:00,60\n" + "2026-10-01T09:00:00+02:00,60\n" * 20)
    with caplog.at_level(logging.INFO, logger="sippet_reconcile.cdr"):
        legs = sr.read_cdr(path, columns=columns, timezone="Europe/London", progress=False)
    assert legs["started_at"].tolist() == [utc("2026-10-01 08:00:00"), *[utc("2026-10-01 07:00:00")] * 20]
    assert said not in caplog.text


def asterisk_call(asterisk: Line, epoch: int, *, ahead_s: int = 0, late_s: int = 0, n: int = 0) -> bytes:
    """Return a row whose channel was made at `epoch`, printed by a clock that is `ahead_s` ahead of UTC."""
    start = datetime.fromtimestamp(epoch + late_s + ahead_s, UTC)
    start, answer, end = (start + timedelta(seconds=s) for s in (0, 5, 65))
    shown = [at.strftime("%Y-%m-%d %H:%M:%S") for at in (start, answer, end)]
    return asterisk(start=shown[0], answer=shown[1], end=shown[2], uniqueid=f"{epoch}.{n}")


CHANGE = 1792890000  # 2026-10-25 01:00:00 UTC, when the clocks of London were set back


def before_and_after_the_change(asterisk: Line, n_after: int) -> tuple[bytes, list[int]]:
    """Return 200 calls by summer time and a few by winter time, and when each began."""
    begins = [CHANGE - 7200 - 60 * n for n in range(200, 0, -1)] + [
        CHANGE + 7200 + 60 * n for n in range(n_after)
    ]
    rows = [
        asterisk_call(asterisk, at, ahead_s=3600 if at < CHANGE else 0, n=n) for n, at in enumerate(begins)
    ]
    return b"".join(rows), begins


@pytest.mark.parametrize("n_after", [3, 5, 9])
def test_a_clock_that_changed_near_the_end_of_a_file_has_to_be_named(asterisk: Line, n_after: int) -> None:
    data, begins = before_and_after_the_change(asterisk, n_after)
    with pytest.raises(sr.InputError, match="its clock changed"):
        read(data)
    with pytest.raises(sr.CdrFormatError, match=r"show UTC\+00:00"):
        read(data, timezone="Africa/Lagos")  # an hour ahead of UTC all year
    legs = read(data, timezone="Europe/London")
    assert legs["started_at"].tolist() == [pd.Timestamp(at, unit="s", tz="UTC") for at in begins]
    assert legs["time_problem"].isna().all()


@pytest.mark.parametrize("zone", [None, "Africa/Lagos"])
@pytest.mark.parametrize("n_after", [1, 2])
def test_a_start_before_its_own_id_was_made_is_doubtful_and_gives_no_instant(
    asterisk: Line, n_after: int, zone: str | None
) -> None:
    data, begins = before_and_after_the_change(asterisk, n_after)
    legs = read(data, timezone=zone)
    sure = legs.iloc[:200]
    assert sure["started_at"].tolist() == [pd.Timestamp(at, unit="s", tz="UTC") for at in begins[:200]]
    assert sure["time_problem"].isna().all()
    assert legs["time_problem"][200:].str.contains("does not fit the epoch of its id").all()
    assert legs.loc[200:, ["started_at", "answered_at", "ended_at"]].isna().all(axis=None)
    assert legs["problem"].isna().all()
    assert legs["billable_s"].eq(60).all()


def test_as_many_rows_by_one_clock_as_by_another_settle_nothing(asterisk: Line) -> None:
    rows = [asterisk_call(asterisk, CHANGE + at, ahead_s=3600 if at < 0 else 0) for at in (-9000, 9000)]
    with pytest.raises(sr.InputError, match=r"\(UTC\+00:00, UTC\+01:00\)"):
        read(b"".join(rows))
    with pytest.raises(sr.CdrFormatError, match=r"UTC\+01:00"):
        read(b"".join(rows), timezone="UTC")


def test_later_legs_after_a_whole_half_hour_are_no_other_clock(asterisk: Line) -> None:
    # Each fifth call waits exactly 30 minutes in a queue; three agents then ring at once.
    rows: list[bytes] = []
    for n in range(100):
        at = CHANGE - 86_400 * 20 + 3600 * n
        rows.append(asterisk_call(asterisk, at, n=n))
        rows += [asterisk_call(asterisk, at, late_s=1800, n=n)] * 3 if n % 5 == 0 else []
    data = b"".join(rows)
    legs = read(data, timezone="UTC")
    assert len(legs) == 160
    assert legs["time_problem"].isna().all()
    # Without a zone nobody can tell such a leg from one by a clock that was put forward.
    assert read(data)["time_problem"].notna().sum() == 60


def test_ids_that_lie_days_from_the_starts_tell_no_zone(asterisk: Line) -> None:
    data = asterisk_call(asterisk, CHANGE, ahead_s=86_400 * 3) * 5
    with pytest.raises(sr.InputError, match="do not fit its start times"):
        read(data)


@pytest.mark.parametrize("never", ["2000-01-01 00:00:00", "2000-01-01T00:00:00+00:00"])
def test_the_default_of_a_table_is_no_answer_time(freeswitch: Line, never: str) -> None:
    data = freeswitch(answer_stamp=never, billsec="0", hangup_cause="NO_ANSWER")
    leg = read(data, timezone="UTC").iloc[0]
    assert pd.isna(leg["answered_at"])
    assert (leg["is_answered"], leg["status"]) == (False, "no_answer")


@pytest.mark.parametrize("zone", ["UTC", "Europe/London"])
@pytest.mark.parametrize(
    "end", ["9999-12-31 23:59:59", "9999-12-31 23:59", "2206-10-01 09:01:05", "9999-12-31T23:59:59Z"]
)
def test_a_date_in_another_century_is_a_problem_of_its_row(freeswitch: Line, end: str, zone: str) -> None:
    legs = read(freeswitch() + freeswitch(end_stamp=end) + freeswitch(start_stamp=end), timezone=zone)
    assert legs["problem"].isna().tolist() == [True, False, False]
    assert legs["problem"][1] == f"end '{end}' is not a date and time"
    assert pd.isna(legs["ended_at"][1])
    assert pd.isna(legs["started_at"][2])


@pytest.mark.parametrize("offset", ["+99:00", "+24:00", "+05:75", "-1500", " CET", " EST"])
def test_an_offset_that_no_zone_has_is_a_problem(offset: str) -> None:
    table = f"Id,Start\na,2026-10-01T09:00:00{offset}\nb,2026-10-01T09:00:00+05:45\n"
    legs = read(table, columns={"call_key": "Id", "started_at": "Start"})
    assert legs["problem"].isna().tolist() == [False, True]
    assert pd.isna(legs["started_at"][0])
    assert legs["started_at"][1] == utc("2026-10-01 03:15")


ANSWER_TABLE = {"started_at": "S", "answered_at": "A", "ended_at": "E", "billable_s": "T", "status": "R"}


@pytest.mark.parametrize(
    ("talk", "word", "answered", "status"),
    [
        ("0", "NO ANSWER", False, "no_answer"),
        ("0", "FAILED", False, "failed"),
        ("0:00:00", "Busy", False, "busy"),
        ("0", "ANSWERED", True, "completed"),
        ("0", "who knows", True, "completed"),
        ("0", "", True, "completed"),
        ("12", "NO ANSWER", True, "completed"),
        ("", "NO ANSWER", True, "completed"),
    ],
)
def test_an_answer_time_beside_no_talk_and_a_word_for_unanswered_is_no_answer(
    talk: str, word: str, answered: bool, status: str
) -> None:
    table = f"S,A,E,T,R\n2026-10-01 09:00:00,2026-10-01 09:00:05,2026-10-01 09:00:17,{talk},{word}\n"
    leg = read(table, columns=ANSWER_TABLE, timezone="UTC").iloc[0]
    assert (leg["is_answered"], leg["status"]) == (answered, status)
    assert pd.notna(leg["answered_at"]) == answered
    assert pd.isna(leg["problem"])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("2026-10-01 08:59:58", "it is answered before it starts"),
        ("2026-10-01 08:59:59", None),
        ("2026-10-01 09:01:06", None),
        ("2026-10-01 09:01:07", "it is answered after it ends"),
        ("2026-10-01 08:59", None),
        ("2026-10-01 08:58", "it is answered before it starts"),
    ],
)
def test_an_answer_outside_its_call_is_a_problem(freeswitch: Line, answer: str, reason: str | None) -> None:
    start = "2026-10-01 09:00:30" if answer.endswith(("08:59", "08:58")) else "2026-10-01 09:00:00"
    if answer.endswith("08:59"):
        start = "2026-10-01 08:59:30"
    leg = read(freeswitch(start_stamp=start, answer_stamp=answer), timezone="UTC").iloc[0]
    assert (None if pd.isna(leg["problem"]) else leg["problem"]) == reason


def test_an_answer_that_was_worked_out_from_rounded_seconds_is_no_problem() -> None:
    table = "S,E,T\n2026-10-01 09:00:00,2026-10-01 09:00:40,60\n"
    leg = read(table, columns={"started_at": "S", "ended_at": "E", "billable_s": "T"}, timezone="UTC").iloc[0]
    assert pd.isna(leg["problem"])
    assert leg["billable_s"] == 60


def test_an_answer_that_cannot_be_read_is_not_taken_as_unanswered() -> None:
    table = "S,A,E,T,R\n2026-10-01 09:00:00,yes,2026-10-01 09:01:00,,\n"
    leg = read(table, columns=ANSWER_TABLE, timezone="UTC").iloc[0]
    assert "'yes' is not a date" in leg["problem"]
    assert pd.isna(leg["is_answered"])
    assert pd.isna(leg["billable_s"])


def test_a_last_row_that_lost_its_offset_asks_for_no_zone() -> None:
    row = "CA1,,+442079460123,+442079460124,completed,2026-10-01T09:00:00Z,2026-10-01T09:01:00Z,60,inbound\n"
    cut = row[: row.index("Z") - len("00Z") + 1]
    legs = read(f"{TWILIO}\n{row}{row[: row.index('Z')]}")
    assert legs["problem"].isna().tolist() == [True, False]
    assert legs["started_at"].tolist() == [utc("2026-10-01 09:00:00"), pd.NaT]
    assert read(f"{TWILIO}\n{row}{cut}")["problem"].notna().sum() == 1
    with pytest.raises(sr.InputError, match="timezone="):
        read(f"{TWILIO}\n{row.replace('Z', '')}{row[: row.index('Z')]}")


@pytest.mark.parametrize("at_end", [True, False])
@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize(("width", "left"), [(18, 16), (18, 17), (21, 18), (21, 16)])
def test_a_row_cut_at_the_end_of_a_field_is_none_of_another_layout(
    asterisk: Line, width: int, left: int, end: bytes, at_end: bool
) -> None:
    uuid = "8c1f3c52-0000-4000-8000-000000000009"
    whole = asterisk(width, userfield=uuid, lastdata="none")
    cut = b",".join(whole.split(b",")[:left])
    legs = read(whole * 3 + cut + (end if at_end else b"\n" + whole))
    assert legs["problem"].notna().tolist() == [False] * 3 + [True] + [False] * (not at_end)
    assert legs["problem"][3] == f"the row has {left} fields instead of {width}"
    assert legs["call_key"].drop(3).eq(uuid).all()


def test_rows_of_two_switches_in_turn_are_not_cut(asterisk: Line) -> None:
    legs = read((asterisk(18) + asterisk(21)) * 5 + asterisk(21) * 5 + asterisk(18) * 5)
    assert len(legs) == 20
    assert legs["problem"].isna().all()


def every_cut(line: bytes) -> list[bytes]:
    """Cut a line everywhere in its last third, and here and there before."""
    return [line[:n] for n in range(1, len(line) - 1) if n % 7 == 0 or n > len(line) * 2 // 3]


@pytest.mark.parametrize("name", ["freeswitch", "asterisk 16", "asterisk 18", "asterisk 20", "twilio"])
def test_a_last_row_cut_anywhere_has_a_problem_or_is_read_rightly(
    freeswitch: Line, asterisk: Line, name: str
) -> None:
    kind, _, width = name.partition(" ")
    head = b""
    if kind == "twilio":
        head = f"{TWILIO}\n".encode()
        line = b"CA1,,+442079460123,+442079460124,completed,2026-10-01T09:00:00Z,2026-10-01T09:01:00Z,60,inbound\n"
    else:
        line = freeswitch() if kind == "freeswitch" else asterisk(int(width))
    zone = None if kind == "twilio" else "UTC"
    # Not the leg_id: a sequence that is missing at the end of a row is not missed.
    compared = [
        "call_key", "to_number", "started_at", "answered_at", "ended_at", "billable_s", "status", "sip_username",
    ]  # fmt: skip
    for cut in every_cut(line):
        legs = read(head + line * 3 + cut, timezone=zone)
        assert len(legs) == 4, cut
        expected, leg = legs.iloc[0], legs.iloc[3]
        same = leg[compared].equals(expected[compared])
        assert same or pd.notna(leg["problem"]), cut


@pytest.mark.parametrize("in_parquet", [False, True])
def test_ids_that_came_as_numbers_with_fractions_are_refused(
    asterisk: Line, tmp_path: Path, in_parquet: bool
) -> None:
    names = "accountcode src dst dcontext clid channel dstchannel lastapp lastdata start answer end duration billsec disposition amaflags uniqueid userfield"
    data = io.BytesIO(
        asterisk(uniqueid="1790845200.10")
        + asterisk(uniqueid="1790845200.1", disposition="BUSY", answer="", billsec="0")
    )
    guessed = pd.read_csv(data, names=names.split())
    data.seek(0)
    as_text = pd.read_csv(data, names=names.split(), dtype=str)

    def read_frame(frame: pd.DataFrame) -> pd.DataFrame:
        if not in_parquet:
            return sr.cdr_from_frame(frame, timezone="UTC")
        path = tmp_path / "x.parquet"
        frame.to_parquet(path)
        return sr.read_cdr(path, timezone="UTC", progress=False)

    with pytest.raises(sr.CdrFormatError, match=r"column 'uniqueid' holds ids as numbers .* dtype=str"):
        read_frame(guessed)
    assert read_frame(as_text)["call_key"].tolist() == ["1790845200.10", "1790845200.1"]
    # Seconds with fractions are no ids.
    legs = read_frame(as_text.assign(billsec=[59.5, 0.25]))
    assert legs["billable_s"].tolist() == [59.5, 0.25]


def test_a_column_that_is_there_twice_is_not_guessed(freeswitch: Line) -> None:
    columns = {"call_key": "Id", "started_at": "Start", "to_number": "To"}
    row = "a,2026-10-01T09:00:00Z,1001,1002\n"
    with pytest.raises(sr.CdrFormatError, match="two columns are called 'To'"):
        read("Id,Start,To,To\n" + row, columns=columns)
    frame = pd.DataFrame([["a", "2026-10-01T09:00:00Z", "1001", "b"]], columns=["Id", "Start", "To", "Id"])
    with pytest.raises(sr.CdrFormatError, match="frame: two columns are called 'Id'"):
        sr.cdr_from_frame(frame, columns=columns)
    # What is not read may be there as often as it likes.
    assert len(read("Id,Start,To,X,X\na,2026-10-01T09:00:00Z,1001,1,2\n", columns=columns)) == 1
    for again in ("duration", "Duration"):
        table = (
            f"{TWILIO},{again}\nCA1,,,,completed,2026-10-01T09:00:00Z,2026-10-01T09:01:00Z,60,inbound,61\n"
        )
        with pytest.raises(sr.CdrFormatError, match="columns"):
            read(table)
    assert len(read(HEADER + freeswitch(), timezone="UTC")) == 1


@pytest.mark.skipif(
    sys.getfilesystemencoding() != "utf-8", reason="names of files may not be of any script here"
)
def test_names_of_any_script_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "звонки 26.csv"
    path.write_text(
        "Отчёт за октябрь\n№,Начало,Конец,Номер\n1,2026-10-01 09:00:00,2026-10-01 09:01:00,1001\n",
        encoding="utf-8",
    )
    columns = {"started_at": "начало", "ended_at": "Конец", "to_number": "номер", "leg_id": "№"}
    leg = sr.read_cdr(path, columns=columns, timezone="UTC", keep=["Номер"], progress=False).iloc[0]
    assert (leg["source_file"], leg["source_row"]) == ("звонки 26.csv", 3)
    assert (leg["started_at"], leg["ended_at"]) == (utc("2026-10-01 09:00"), utc("2026-10-01 09:01"))
    assert (leg["to_number"], leg["leg_id"], leg["x_Номер"]) == ("1001", "1", "1001")
    with pytest.raises(sr.CdrFormatError, match="names 'Абонент'"):
        sr.read_cdr(path, columns={**columns, "to_number": "Абонент"}, timezone="UTC", progress=False)


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_byte_order_marks_inside_a_file_belong_to_no_value(
    freeswitch: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line_end: bytes, in_pieces: bool
) -> None:
    if in_pieces:
        monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 200)
    mark, path = b"\xef\xbb\xbf", tmp_path / "x.csv"
    table = mark + b"Id,Start\na,2026-10-01 09:00:00\n"
    path.write_bytes((table * 2 + mark + b"b,2026-10-01 09:00:00\n").replace(b"\n", line_end))
    columns = {"call_key": "Id", "started_at": "Start"}
    legs = sr.read_cdr(path, columns=columns, timezone="UTC", progress=False)
    assert legs["call_key"].tolist() == ["a", "a", "b"]
    assert legs["source_row"].tolist() == [2, 4, 5]
    assert legs["problem"].isna().all()
    path.write_bytes((mark + freeswitch(caller_id_name="Lee, Al")) * 2)
    legs = sr.read_cdr(path, timezone="UTC", keep=["caller_id_name"], progress=False)
    assert legs["x_caller_id_name"].tolist() == ["Lee, Al"] * 2
    assert legs["problem"].isna().all()


def test_a_workbook_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "october.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    with pytest.raises(
        sr.InputError, match=r"october\.xlsx is a workbook; save the sheet as CSV, or .*dtype=str"
    ):
        sr.read_cdr(path, timezone="UTC", progress=False)


def test_an_open_file_that_cannot_be_read_is_refused_with_what_to_do(
    freeswitch: Line, tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(freeswitch(caller_id_name="Müller").decode().encode("latin-1"))
    with (
        path.open(encoding="utf-8") as file,
        pytest.raises(sr.InputError, match=r"x\.csv cannot be read: .* mode 'rb'"),
    ):
        sr.read_cdr(file, timezone="UTC", progress=False)
    with pytest.raises(sr.InputError, match="mode 'rb'"):
        sr.read_cdr(file, timezone="UTC", progress=False)
    with path.open("rb") as raw:
        legs = sr.read_cdr(raw, timezone="UTC", keep=["caller_id_name"], progress=False)
        assert not raw.closed
    assert legs["x_caller_id_name"].tolist() == ["Müller"]


@pytest.mark.parametrize("n_before", [1, 40_000], ids=["small", "read in pieces"])
def test_names_that_come_again_in_another_order_are_an_error_that_says_where(n_before: int) -> None:
    # Two exports of one system, one behind the other, the second with from and to the other way round.
    row = "CA1,,+15550100001,+15550100002,completed,2026-10-01T08:00:00Z,2026-10-01T08:01:00Z,60,inbound"
    swapped = TWILIO.replace("to,from", "from,to")
    data = "\n".join([TWILIO, *[row] * n_before, swapped, row]) + "\n"
    with pytest.raises(
        sr.CdrFormatError, match=rf"line {n_before + 2}: the columns are named again"
    ) as caught:
        read(data)
    assert caught.value.line == n_before + 2
    # The same names in the same order are no record and no error.
    again = "\n".join([TWILIO, *[row] * n_before, TWILIO, row]) + "\n"
    assert len(read(again)) == n_before + 1
