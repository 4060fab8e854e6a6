"""The dirt that real exports bring along, each kind with a test by its name: here, or where its format is tested.

`DIRT` says where. What stands in this module goes from the bytes of a file to its legs,
and on to what they are matched with where the dirt only matters there.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import CALLS, conform

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

DIRT: dict[str, tuple[str, ...]] = {
    "no header": (
        "test_asterisk.py::test_every_width_is_read",
        "test_freeswitch_templates.py::test_each_template_is_known_by_its_content_alone",
        "test_freepbx.py::test_both_ages_are_read_with_and_without_header",
        "test_threecx_cdr.py::test_columns_that_were_not_chosen_are_missing_at_the_end",
    ),
    "header and a row of types, or only one of them": (
        "test_cisco_cucm.py::test_without_names_the_order_of_the_release_is_used",
        "test_cisco_cucm.py::test_one_row_without_anything_else_is_enough",
        "test_cisco_cucm.py::test_files_put_one_behind_the_other_repeat_names_and_types",
    ),
    "same file name, other column order": (
        "test_dirt.py::test_files_of_one_name_and_three_column_orders_are_each_read_by_their_content",
    ),
    "width varies with switch settings or user rights": (
        "test_asterisk.py::test_a_file_whose_width_changed_on_the_way_is_read_whole",
        "test_fusionpbx.py::test_whatever_columns_the_permissions_leave_each_row_is_there",
        "test_telnyx.py::test_one_call_is_several_records_and_services_are_helpers",
    ),
    "byte order mark": (
        "test_files.py::test_line_ends_and_encodings_make_no_difference",
        "test_contract.py::test_byte_order_marks_inside_a_file_belong_to_no_value",
        "test_threecx_log.py::test_titles_may_stand_above_the_names",
    ),
    "bytes that are not UTF-8 inside names": (
        "test_dirt.py::test_a_byte_that_is_no_utf8_inside_a_name_costs_nothing_else",
    ),
    "bare CR, CRLF, no last newline, empty last line": (
        "test_dirt.py::test_line_ends_and_an_empty_or_missing_last_line_make_no_difference",
    ),
    "semicolon or tab, a space after the comma": (
        "test_asterisk.py::test_custom_records_are_read_whatever_separates_and_quotes_them",
        "test_columns.py::test_the_delimiter_is_found_or_said",
        "test_cdr_stats.py::test_a_space_behind_the_comma_hides_no_quotes",
        "test_freeswitch_templates.py::test_what_is_not_quoted_by_the_book_is_read_whole",
    ),
    "gzip": ("test_dirt.py::test_a_gzipped_export_is_read_as_it_is_and_a_cut_one_refused",),
    "unescaped quotes, unquoted commas": (
        "test_freeswitch_templates.py::test_a_name_that_breaks_the_quoting_costs_no_row",
        "test_fusionpbx.py::test_values_are_not_escaped_and_cost_no_row",
        "test_pbxware.py::test_a_caller_id_is_what_the_switch_wrote",
        "test_grandstream.py::test_fields_of_the_interface_are_counted_from_both_ends",
    ),
    "cut last line that still parses": (
        "test_dirt.py::test_a_last_line_cut_inside_its_last_field_is_a_row_with_a_problem_though_all_columns_are_there",
        "test_contract.py::test_a_last_row_cut_anywhere_has_a_problem_or_is_read_rightly",
    ),
    "all rows on one line": ("test_freeswitch_templates.py::test_rows_that_all_stand_on_one_line_are_told_apart",),
    "invalid JSON, URL-encoded values, white space inside XML values": (
        "test_freeswitch_json.py::test_bare_words_for_no_number_harm_nothing",
        "test_freeswitch_json.py::test_variables_are_read_encoded_or_plain",
        "test_freeswitch_xml.py::test_a_leg_is_read_whatever_space_stands_around_its_values",
    ),
    "NULL, null, empty quotes, nothing": (
        "test_dirt.py::test_every_way_of_writing_nothing_is_missing",
        "test_pbxware.py::test_null_is_missing_in_every_column",
        "test_contract.py::test_rows_whose_id_is_null_are_not_one_call",
    ),
    "exact duplicates and files that were sent again": (
        "test_dirt.py::test_rows_and_files_that_were_sent_again_are_all_there_and_count_once",
    ),
    "same key, different content": (
        "test_dirt.py::test_rows_of_one_key_that_differ_are_legs_of_one_call_and_no_duplicates",
        "test_plivo.py::test_the_vendors_list_has_one_id_twice_and_seconds_that_its_stamps_do_not_give",
    ),
    "spreadsheet damage": (
        "test_dirt.py::test_what_a_spreadsheet_saved_is_read_and_its_times_are_coarse",
        "test_freeswitch_templates.py::test_excel_takes_quotes_and_seconds_away",
        "test_date_order.py::test_a_file_that_a_spreadsheet_turned_round_in_part_is_an_error",
    ),
    "D/M against M/D": (
        "test_date_order.py::test_a_date_that_can_be_read_two_ways_is_asked_about_with_its_line_and_both_readings",
        "test_freepbx.py::test_days_and_months_below_thirteen_are_told_apart_by_the_ids",
    ),
    "local time without a zone, mixed zones, summer time": (
        "test_zones.py::test_without_ids_and_offsets_the_zone_is_asked_for",
        "test_zones.py::test_files_of_several_clocks_are_each_read_by_their_own",
        "test_zones.py::test_offsets_of_their_own_may_differ_within_one_call",
        "test_zones.py::test_an_hour_that_came_twice_is_settled_by_the_seconds_or_left_open",
    ),
    "negative or impossible values": (
        "test_impossible.py::test_what_cannot_have_happened_is_a_problem",
        "test_fusionpbx.py::test_a_time_that_never_came_answers_nothing",
        "test_dirt.py::test_rows_of_another_table_of_as_many_columns_are_none_of_asterisk",
        "test_dirt.py::test_milliseconds_in_a_column_of_seconds_are_a_problem",
    ),
    "answered with 0 s, not answered with seconds": (
        "test_impossible.py::test_what_only_looks_odd_is_decided_by_answer_time_and_seconds",
    ),
    "busy with a duration": ("test_dirt.py::test_a_busy_word_beside_seconds_is_an_answered_call",),
    "missing end, price or duration": (
        "test_vonage.py::test_a_call_without_an_end_goes_on",
        "test_telnyx.py::test_a_call_without_end_and_cause_goes_on",
        "test_impossible.py::test_a_running_call_is_in_progress_and_unanswered_only_where_it_is_known",
        "test_dirt.py::test_a_call_that_goes_on_is_no_evidence_against_anything",
    ),
    "anonymous, restricted, empty or junk callers": (
        "test_dirt.py::test_callers_that_are_no_number_stay_as_delivered_and_match_by_the_other_number_alone",
        "test_numbers.py::test_a_withheld_caller_is_matched_by_the_other_number_alone",
    ),
    "SIP addresses, mail addresses, client ids, extensions, feature codes": (
        "test_numbers.py::test_what_is_no_number_stays_as_delivered_and_has_no_international_form",
        "test_twilio.py::test_addresses_name_a_user_and_never_a_password",
    ),
    "numbers with a suffix or glued to an epoch": (
        "test_dirt.py::test_a_number_with_a_suffix_is_no_other_number",
        "test_pbxware.py::test_only_the_epoch_of_the_call_itself_is_cut_off_a_number",
    ),
    "names with commas, apostrophes, Cyrillic, quotes": (
        "test_dirt.py::test_names_of_all_sorts_move_no_field_and_arrive",
    ),
    "calls missing by design": (
        "test_dirt.py::test_a_call_that_the_export_lacks_is_reported_and_never_changed",
    ),
    "rows that are not calls": (
        "test_cisco_cucm.py::test_rows_of_a_recording_are_helpers",
        "test_threecx_log.py::test_what_ends_a_report_is_no_call",
        "test_freeswitch.py::test_legs_of_the_switch_itself_are_helpers",
        "test_contract.py::test_a_line_that_adds_up_the_others_is_no_record_and_is_counted",
    ),
    "scientific notation and negative money": (
        "test_dirt.py::test_money_in_any_notation_is_carried_along_as_it_was_written",
    ),
    "Gregorian seconds, milliseconds, microseconds, H:MM:SS, fractions": (
        "test_dirt.py::test_instants_and_lengths_in_every_unit_say_the_same",
        "test_kazoo.py::test_the_creation_of_the_channel_is_the_start_to_the_microsecond",
    ),
    "records above the line of names": (
        "test_dirt.py::test_records_above_the_line_of_names_are_an_error_and_never_taken_for_titles",
    ),
    "rows of a dump behind a damaged INSERT": (
        "test_dirt.py::test_rows_of_a_dump_that_no_statement_inserts_are_rows_with_a_problem",
    ),
    "records of one provider among those of another": (
        "test_dirt.py::test_a_record_without_id_and_type_is_none_of_telnyx",
        "test_dirt.py::test_a_record_without_id_is_none_of_plivo",
    ),
    "a table behind a JSON document": (
        "test_dirt.py::test_lines_of_a_table_behind_a_json_document_are_one_row_each",
    ),
}  # fmt: skip
"""The kinds of dirt and the tests that stand for each."""


def test_every_kind_of_dirt_has_a_test_and_every_test_here_a_kind() -> None:
    named = [test for tests in DIRT.values() for test in tests]
    for test in named:
        module, _, function = test.partition("::")
        text = (Path(__file__).parent / module).read_text("utf-8")
        assert re.search(rf"^def {function}\(", text, re.MULTILINE), test
    own = re.findall(r"^def (test_\w+)\(", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert {f"test_dirt.py::{name}" for name in own[1:]} == {t for t in named if t.startswith("test_dirt.py")}
    assert all(DIRT.values())


UUID = "8c1f3c52-0000-4000-8000-{:012d}"


def texts(column: pd.Series) -> list[str | None]:
    return [None if pd.isna(value) else str(value) for value in column]


def calls_of(*changes: dict[str, Any]) -> pd.DataFrame:
    """Return calls as the API has them: that of the fixtures' rows, with some fields replaced."""
    row = {
        "id": "1", "call_uuid": UUID.format(1), "direction": "outbound", "from_number": "1001", "to_number": "+442079460123",
        "status": "completed", "started_at": pd.Timestamp("2026-10-01T09:00:00Z"), "ended_at": pd.Timestamp("2026-10-01T09:01:05Z"),
        "duration_seconds": 60, "conversation_id": None,
        "sip_username": "1001", "call_source": None, "api_url": "https://api.example", "fetched_at": pd.Timestamp("2026-10-02T09:00:00Z"),
    }  # fmt: skip
    frame = pd.DataFrame([{**row, **change} for change in changes])
    return conform(frame.astype({"duration_seconds": "Int64"}), CALLS)


def reconcile(legs: pd.DataFrame, calls: pd.DataFrame) -> sr.Reconciliation:
    return sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)


# ---------------------------------------------------------------- files


def test_files_of_one_name_and_three_column_orders_are_each_read_by_their_content(
    freeswitch: Line, asterisk: Line, tmp_path: Path
) -> None:
    order = ("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end", "duration",
             "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "sequence")  # fmt: skip
    files = {"a": asterisk(), "b": asterisk(names=order), "c": freeswitch()}
    for folder, data in files.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Master.csv").write_bytes(data)
    legs = sr.read_cdr(str(tmp_path / "*" / "Master.csv"), timezone="UTC", progress=False)
    assert legs["format"].tolist() == ["asterisk", "asterisk-custom", "freeswitch"]
    assert legs["problem"].isna().all()
    for column, value in (
        ("from_number", "1001"),
        ("to_number", "+442079460123"),
        ("total_s", 65),
        ("billable_s", 60),
    ):
        assert legs[column].tolist() == [value] * 3
    assert len(set(legs["started_at"])) == 1


def test_a_byte_that_is_no_utf8_inside_a_name_costs_nothing_else(asterisk: Line, read: Read) -> None:
    whole = asterisk(clid='"Zoë" <1001>') + asterisk(clid='"Yen" <1001>', uniqueid="1790845200.2")
    legs = read(whole.replace(b"Yen", b"\xa5en"), keep=["clid"])
    assert legs["x_clid"].tolist() == ['"Zoë" <1001>', '"¥en" <1001>']
    expected = read(whole, keep=["clid"])
    different = ["x_clid", "record_hash", "source_sha256"]
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))


@pytest.mark.parametrize("last", [b"", b"\n", b"\n\n", b"\n  \n"], ids=["cut", "ended", "empty", "blank"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_line_ends_and_an_empty_or_missing_last_line_make_no_difference(
    freeswitch: Line, read: Read, end: bytes, last: bytes
) -> None:
    rows = [freeswitch(uuid=UUID.format(n)).rstrip(b"\n") for n in range(3)]
    legs = read((b"\n".join(rows) + last).replace(b"\n", end), timezone="UTC")
    expected = read(b"\n".join(rows) + b"\n", timezone="UTC")
    pd.testing.assert_frame_equal(legs.drop(columns="source_sha256"), expected.drop(columns="source_sha256"))


def test_a_gzipped_export_is_read_as_it_is_and_a_cut_one_refused(freeswitch: Line, tmp_path: Path) -> None:
    data = b"".join(freeswitch(uuid=UUID.format(n)) for n in range(50))
    path = tmp_path / "calls.csv.gz"
    path.write_bytes(gzip.compress(data))
    legs = sr.read_cdr(path, timezone="UTC", progress=False)
    assert (len(legs), legs["problem"].notna().sum(), legs["source_file"].unique().tolist()) == (
        50,
        0,
        ["calls.csv.gz"],
    )
    path.write_bytes(gzip.compress(data)[:-20])
    with pytest.raises(sr.InputError, match=r"calls\.csv\.gz"):
        sr.read_cdr(path, timezone="UTC", progress=False)


def test_a_last_line_cut_inside_its_last_field_is_a_row_with_a_problem_though_all_columns_are_there(
    asterisk: Line, read: Read
) -> None:
    cut = asterisk(userfield="abc").rstrip(b'c"\n')
    assert len(next(csv.reader([cut.decode()]))) == 18
    legs = read(asterisk() + cut)
    assert texts(legs["problem"]) == [None, "the row is cut off inside a quoted field"]


def test_every_way_of_writing_nothing_is_missing(read: Read) -> None:
    ways = ("NULL", "null", '""', "", "\\N", " ")
    rows = [f"2026-10-01 09:00:0{n},{way},{way},{way},Busy" for n, way in enumerate(ways)]
    legs = read(
        "\n".join(["Start,From,Key,Talk,Outcome", *rows]).encode(),
        columns={"started_at": "Start", "from_number": "From", "call_key": "Key", "billable_s": "Talk", "status": "Outcome"},
        timezone="UTC",
    )  # fmt: skip
    assert legs[["from_number", "call_key"]].isna().all().all()
    assert legs["problem"].isna().all()
    assert legs["status"].tolist() == ["busy"] * len(ways)
    assert not legs["is_answered"].any()


def test_records_above_the_line_of_names_are_an_error_and_never_taken_for_titles(read: Read) -> None:
    names = "Call Time,Caller ID,Destination,Trunk,Trunk number,Did,Status,Ringing,Talking,Total Duration\n"
    row = "2026-10-01T09:00:00,02079460123,Menu (801),Trunk,10004,442079460100,Answered,0:00:00,0:01:00,0:01:00\n"
    padded = "Calls of October,,,,,,,,,\nFrom,2026-10-01,to 2026-10-31,,,,,,,\n"
    legs = read((padded + names + row).encode(), timezone="UTC")
    assert (legs["source_row"].tolist(), legs["problem"].isna().all()) == ([4], True)
    for options in (
        {},
        {"format": "3cx-log"},
        {"columns": {"started_at": "Call Time", "billable_s": "Talking"}},
    ):
        with pytest.raises(
            sr.CdrFormatError, match=r"line 1 looks like a record.*only named in line 2"
        ) as caught:
            read((row + names + row).encode(), timezone="UTC", **options)
        assert caught.value.line == 1


def test_lines_of_a_table_behind_a_json_document_are_one_row_each(freeswitch: Line, read: Read) -> None:
    document = b'{"sid": "CA1", "status": "busy", "start_time": "2026-10-01T09:00:00Z", "direction": "inbound", "from": "a", "to": "b"}\n'
    legs = read(document + freeswitch() * 3 + document, format="twilio")
    assert texts(legs["problem"]) == [None, *["the record is no JSON object"] * 3, None]
    assert legs["source_row"].tolist() == [1, 2, 3, 4, 5]


def test_rows_of_a_dump_that_no_statement_inserts_are_rows_with_a_problem(read: Read) -> None:
    names = ("calldate,clid,src,dst,dcontext,channel,dstchannel,lastapp,lastdata,duration,billsec,disposition,amaflags,"
             "accountcode,uniqueid,userfield")  # fmt: skip

    def row(n: int) -> str:
        return (
            f"('2026-10-01 09:00:00','','1001','+442079460123','from-internal','PJSIP/1001-1','','Dial','x,60',65,60,"
            f"'ANSWERED',3,'','1790845200.{n}','')"
        )

    into = f"INTO cdr ({names}) VALUES"
    whole = f"INSERT {into} {row(1)};\n"
    cut = whole.replace("'ANSWERED'", "'ANSWERED")
    text = f"{whole}INS?ERT {into}\n{row(2)},\n{row(3)},{row(4)};\n{whole}INSERT I?NTO cel VALUES\n(1,'x');\n{cut}"
    legs = read(text.encode())
    stray = "the row stands in no INSERT statement"
    assert legs["source_row"].tolist() == [1, 3, 4, 4, 5, 8]
    assert texts(legs["problem"])[:5] == [None, stray, stray, stray, None]
    assert legs["problem"].notna()[5]
    assert legs["call_key"].tolist()[:5] == [f"1790845200.{n}" for n in (1, 2, 3, 4, 1)]
    assert "1 line of values in no INSERT statement left out" in str(legs.attrs)


def test_a_record_without_id_and_type_is_none_of_telnyx(read: Read) -> None:
    call = {"record_type": "sip-trunking", "telnyx_session_id": UUID.format(1), "started_at": "2026-10-01T09:00:00Z",
            "finished_at": "2026-10-01T09:01:00Z", "call_sec": 60, "cli": "+12125550123", "cld": "+442079460123"}  # fmt: skip
    other = {"sid": "CA1", "from": "+12125550123", "to": "+442079460123", "start_time": "2026-10-01T09:00:00Z", "duration": "60",
             "end_time": "2026-10-01T09:01:00Z", "status": "completed"}  # fmt: skip
    legs = read(json.dumps([call, other]).encode(), format="telnyx")
    assert texts(legs["problem"]) == [None, "it has neither an id of Telnyx nor a type"]
    report = {name: call[name] for name in ("started_at", "finished_at", "call_sec", "cli", "cld")} | {
        "billed_sec": 60
    }
    assert read(json.dumps([report]).encode(), format="telnyx")["problem"].isna().all()


def test_a_record_without_id_is_none_of_plivo(read: Read) -> None:
    call = {"call_uuid": UUID.format(1), "call_direction": "outbound", "from_number": "+12125550123", "to_number": "+442079460123",
            "initiation_time": "2026-10-01 09:00:00+00:00", "answer_time": "2026-10-01 09:00:05+00:00",
            "end_time": "2026-10-01 09:01:05+00:00", "bill_duration": 60}  # fmt: skip
    other = {
        "sid": "CA1",
        "from": "+12125550123",
        "to": "+442079460123",
        "start_time": "2026-10-01T09:00:00Z",
        "duration": "60",
    }
    legs = read(json.dumps({"objects": [call, other]}).encode(), format="plivo")
    assert texts(legs["problem"]) == [None, "it has no call_uuid"]


# ---------------------------------------------------------------- records


def test_rows_and_files_that_were_sent_again_are_all_there_and_count_once(
    freeswitch: Line, tmp_path: Path
) -> None:
    first, second = freeswitch(), freeswitch(uuid=UUID.format(2), start_stamp="2026-10-01 10:00:00", answer_stamp="2026-10-01 10:00:05",
                                             end_stamp="2026-10-01 10:01:05")  # fmt: skip
    (tmp_path / "Master.csv").write_bytes(first + second + first)
    (tmp_path / "1001.csv").write_bytes(first + second)
    legs = sr.read_cdr([tmp_path / "Master.csv", tmp_path / "1001.csv"], timezone="UTC", progress=False)
    assert (len(legs), legs["record_hash"].nunique(), legs["problem"].notna().sum()) == (5, 2, 0)
    rec = reconcile(legs, calls_of({}))
    assert rec.legs["bucket"].value_counts().to_dict() == {"duplicate": 3, "matched": 1, "only_in_cdr": 1}
    assert rec.pairs["n_legs"].tolist() == [1]
    assert rec.pairs["billable_s_cdr"].tolist() == [60]
    assert rec.discrepancies.empty


def test_rows_of_one_key_that_differ_are_legs_of_one_call_and_no_duplicates(
    freeswitch: Line, read: Read
) -> None:
    legs = read(
        freeswitch()
        + freeswitch(hangup_cause="MEDIA_TIMEOUT")
        + freeswitch(hangup_cause="USER_BUSY", answer_stamp="", billsec="0"),
        timezone="UTC",
    )
    assert (len(legs), legs["record_hash"].nunique(), legs["call_key"].nunique()) == (3, 3, 1)
    rec = reconcile(legs, calls_of({}))
    assert (rec.pairs["n_legs"].tolist(), rec.legs["bucket"].unique().tolist()) == ([3], ["matched"])
    # Talk that two rows tell of is counted once.
    assert (rec.pairs["billable_s_cdr"].tolist(), rec.pairs["status_cdr"].tolist()) == ([60], ["completed"])


def test_what_a_spreadsheet_saved_is_read_and_its_times_are_coarse(freeswitch: Line, read: Read) -> None:
    whole = freeswitch() + freeswitch(
        uuid=UUID.format(2), answer_stamp="", billsec="0", hangup_cause="USER_BUSY"
    )
    saved = re.sub(rb"(\d{4})-10-01 09:(\d\d):\d\d", rb"\1/10/1 9:\2", whole).replace(b'"', b"")
    legs, expected = read(saved, timezone="UTC"), read(whole, timezone="UTC")
    assert legs["problem"].isna().all()
    assert (legs["is_coarse"].all(), expected["is_coarse"].any()) == (True, False)
    for column in ("call_key", "total_s", "billable_s", "is_answered", "status", "from_number", "to_number"):
        assert legs[column].tolist() == expected[column].tolist(), column
    assert legs["started_at"].tolist() == expected["started_at"].dt.floor("min").tolist()
    assert reconcile(legs.head(1), calls_of({})).discrepancies.empty  # no end is planned from whole minutes


def test_milliseconds_in_a_column_of_seconds_are_a_problem(asterisk: Line, read: Read) -> None:
    """A table of as many columns has its seconds elsewhere, and its milliseconds there."""
    legs = read(asterisk(duration="65120", billsec="60080") + asterisk(), timezone="UTC")
    assert texts(legs["problem"]) == [
        "billable seconds '60•80' are far more than passed from start to end",
        None,
    ]


def test_rows_of_another_table_of_as_many_columns_are_none_of_asterisk(asterisk: Line, read: Read) -> None:
    strange = {"channel": "I", "disposition": "E1002"}
    data = (
        asterisk(**strange)
        + asterisk(channel="I")
        + asterisk(disposition="Odd")
        + asterisk(channel="", disposition="Odd")
    )
    legs = read(data, timezone="UTC")
    assert texts(legs["problem"]) == [
        "neither its channel nor its disposition is one of Asterisk's",
        None,
        None,
        None,
    ]
    assert read(data, timezone="UTC", status_map={"e1002": "completed"})["problem"].isna().all()


def test_a_busy_word_beside_seconds_is_an_answered_call(asterisk: Line, read: Read) -> None:
    leg = read(asterisk(disposition="BUSY")).iloc[0]
    assert (leg["is_answered"], leg["status"], leg["billable_s"], leg["cause"]) == (
        True,
        "completed",
        60,
        "BUSY",
    )


def test_a_call_that_goes_on_is_no_evidence_against_anything(read: Read) -> None:
    columns = {
        "started_at": "Start",
        "ended_at": "End",
        "billable_s": "Talk",
        "status": "Status",
        "call_key": "Id",
    }
    data = f"Start,End,Talk,Price,Status,Id\n2026-10-01 09:00:00,,,,in-progress,{UUID.format(1)}\n"
    legs = read(data.encode(), columns=columns, timezone="UTC")
    assert (legs.loc[0, "status"], legs["problem"].isna().all()) == ("in_progress", True)
    assert legs[["ended_at", "billable_s", "is_answered"]].isna().all().all()
    rec = reconcile(legs, calls_of({}))
    assert rec.discrepancies.empty


@pytest.mark.parametrize(
    "caller", ["anonymous", "Restricted", "unknown", "0000000000", "default", "mobile", ""]
)
def test_callers_that_are_no_number_stay_as_delivered_and_match_by_the_other_number_alone(
    freeswitch: Line, read: Read, caller: str
) -> None:
    legs = read(freeswitch(caller_id_number=caller, uuid=UUID.format(9)), timezone="UTC", country="GB")
    assert texts(legs["from_number"]) == [caller or None]
    assert legs["from_e164"].isna().all()
    assert legs["problem"].isna().all()
    rec = reconcile(legs, calls_of({"from_number": caller or None}))
    # Missing on both sides equals nothing; a word for a withheld number leaves whom they called.
    assert len(rec.pairs) == (1 if caller else 0)
    other = reconcile(legs, calls_of({"from_number": caller or None, "to_number": "+442079460999"}))
    assert len(other.pairs) == len(rec.ambiguous) == len(other.ambiguous) == 0


def test_a_number_with_a_suffix_is_no_other_number(freeswitch: Line, read: Read) -> None:
    given = ["442079460123.6", "10011790845200", "442079460123", "+44 20 7946 0123;ext=6"]
    rows = b"".join(freeswitch(destination_number=to, uuid=UUID.format(n)) for n, to in enumerate(given))
    legs = read(rows, timezone="UTC", country="GB")
    assert legs["to_number"].tolist() == given
    assert legs["problem"].isna().all()
    assert texts(legs["to_e164"])[0] in {None, "+442079460123"}
    assert not any(str(number).endswith("6") for number in legs["to_e164"].dropna())


NAMES = ["Lee, Ann", "O'Neil", "Пример Имя", 'Ann "Al" Lee', "Zoë;x", "名前", "a\tb", "\\"]


def test_names_of_all_sorts_move_no_field_and_arrive(asterisk: Line, read: Read) -> None:
    rows = [asterisk(clid=f'"{name}" <1001>', uniqueid=f"1790845200.{n}") for n, name in enumerate(NAMES)]
    legs = read(b"".join(rows), keep=["clid"])
    assert legs["x_clid"].tolist() == [f'"{name}" <1001>' for name in NAMES]
    plain = read(b"".join(asterisk(uniqueid=f"1790845200.{n}") for n in range(len(NAMES))), keep=["clid"])
    different = ["x_clid", "record_hash", "source_sha256"]
    pd.testing.assert_frame_equal(legs.drop(columns=different), plain.drop(columns=different))


def test_a_call_that_the_export_lacks_is_reported_and_never_changed(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch(), timezone="UTC")
    other = {"id": "2", "call_uuid": UUID.format(2), "started_at": pd.Timestamp("2026-10-01T10:00:00Z"),
             "ended_at": pd.Timestamp("2026-10-01T10:01:00Z")}  # fmt: skip
    rec = reconcile(legs, calls_of({}, other))
    assert rec.only_in_api["id"].tolist() == ["2"]
    assert rec.discrepancies.empty


def test_money_in_any_notation_is_carried_along_as_it_was_written(read: Read) -> None:
    prices = ["1.687E-4", "-0.0200", "0", "", "-1e3"]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(
        ["sid", "from", "to", "status", "start_time", "end_time", "duration", "direction", "price"]
    )
    for n, price in enumerate(prices):
        writer.writerow([f"CA{n:032d}", "+442079460123", "+12125550123", "completed", "2026-10-01T09:00:00Z", "2026-10-01T09:01:00Z", 60,
                         "inbound", price])  # fmt: skip
    legs = read(stream.getvalue().encode(), keep=["price"])
    assert legs["format"].unique().tolist() == ["twilio"]
    assert legs["problem"].isna().all()
    assert texts(legs["x_price"]) == [price or None for price in prices]


@pytest.mark.parametrize(
    ("start", "talk"),
    [
        ("2026-10-01 09:00:00", "65"),
        ("1790845200", "65.0"),
        ("1790845200.000", "0:01:05.000"),
        ("1790845200000", "0:01:05"),
        ("1790845200000000", "00:01:05"),
        ("2026-10-01T09:00:00.000Z", "65.00"),
    ],
)
def test_instants_and_lengths_in_every_unit_say_the_same(read: Read, start: str, talk: str) -> None:
    columns = {"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}
    legs = read(f"Start,Talk,Id\n{start},{talk},a\n".encode(), columns=columns, timezone="UTC")
    assert texts(legs["problem"]) == [None]
    assert legs["started_at"].tolist() == [pd.Timestamp("2026-10-01T09:00:00Z")]
    assert legs["billable_s"].tolist() == [65]
