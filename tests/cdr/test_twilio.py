"""Twilio: times carry their offset, seconds are billable ones, a dial makes a child call."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.files import sources
from sippet_reconcile.cdr.whole import parts, pieces

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
     ("trunking-originating", "inbound"), ("OUTBOUND_API", "outbound"), ("sideways", None)],
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


def test_the_call_of_a_child_call_belongs_to_the_first_call_of_the_line(
    in_file: Callable[[bytes, str], Path],
) -> None:
    def call(sid: str, parent: str | None) -> dict[str, object]:
        return {**CALL, "sid": sid, "parent_call_sid": parent}

    # d is the child of c, c that of b, b that of a; f that of e, which no file holds; g and h name each other.
    one = in_file(as_json(call("d", "c"), call("b", "a"), call("f", "e"), call("k", "f")), "1.json")
    two = in_file(as_json(call("a", None), call("c", "b"), call("g", "h"), call("h", "g")), "2.json")
    for paths in ([one, two], [two, one]):
        legs = sr.read_cdr(paths, progress=False)
        assert dict(zip(legs["leg_id"], legs["linked_id"], strict=True)) == {
            "a": "a", "b": "a", "c": "a", "d": "a", "f": "e", "k": "e", "g": "h", "h": "g",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "user"),
    [("client:ana", "ana"), ("sip:bo@pbx.example:5060;transport=tls", "bo"), ("SIPS:Bo;x=1@pbx.example", "Bo"),
     ("bo@company.example", "bo"), ("sip:bo:secret@pbx.example", "bo"), ("+12125550123", None), ("client:", None),
     ("sip:pbx.example", None), ("sim:HS1", None), ("anonymous", None)],
)  # fmt: skip
def test_addresses_name_a_user_and_never_a_password(read: Read, address: str, user: str | None) -> None:
    found = read(as_json({**CALL, "to": address})).loc[0, "sip_username"]
    assert (None if pd.isna(found) else found) == user


@pytest.mark.parametrize(
    "instant",
    ["Thu, 01 Oct 2026 08:00:00 +0000", "Thu, 1 Oct 2026 01:00:00 -0700", "2026-10-01T08:00:00Z",
     "2026-10-01T08:00:00.000Z", "2026-10-01 10:00:00+02:00", "1790841600"],
)  # fmt: skip
def test_instants_are_read_in_every_form_that_carries_an_offset(read: Read, instant: str) -> None:
    leg = read(as_json({**CALL, "start_time": instant, "end_time": None})).iloc[0]
    assert leg["started_at"] == pd.Timestamp("2026-10-01T08:00:00Z")
    # A finished call without an end stays without one: nothing is made up from start and seconds.
    assert pd.isna(leg["ended_at"])
    assert pd.isna(leg["problem"])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"sid": {"a": 1}}, "'sid' is an object, not text"),
        ({"from": ["+12125550123"]}, "'from' is a list, not text"),
        ({"duration": True}, "'duration' is a yes/no, not text"),
        ({"status": [], "to": {}}, "'to' is an object, not text; 'status' is a list, not text"),
        ({"caller_name": "\ud800"}, "'caller_name' holds text that is not Unicode"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_problem_of_its_row_and_of_no_other(
    read: Read, fields: dict[str, object], problem: str
) -> None:
    alone = read(as_json(CALL))
    legs = read(as_json(CALL, {**CALL, **fields}, CALL))
    assert legs["problem"].fillna("").tolist() == ["", problem, ""]
    assert legs["source_row"].tolist() == [1, 2, 3]
    different = ["source_row", "source_sha256"]
    for place in (0, 2):
        pd.testing.assert_series_equal(
            legs.drop(columns=different).loc[place], alone.drop(columns=different).loc[0], check_names=False
        )


def test_what_is_no_object_is_a_row_that_says_so(read: Read) -> None:
    data = json.dumps({"calls": [CALL, 5, None, "x", [CALL], True, {**CALL, "sid": "CA2"}]}).encode()
    legs = read(data)
    assert legs["problem"].fillna("").tolist() == [
        "", "the record is plain text, not an object", "the record is nothing, not an object",
        "the record is plain text, not an object", "the record is a list, not an object",
        "the record is a yes/no, not an object", "",
    ]  # fmt: skip
    assert legs["source_row"].tolist() == list(range(1, 8))
    assert legs["call_key"].isna().sum() == 5


def test_a_member_named_twice_with_different_values_is_a_problem(read: Read) -> None:
    twice = json.dumps(CALL).replace('"status": "completed"', '"status": "busy", "status": "completed"')
    same = json.dumps(CALL).replace('"duration": "60"', '"duration": "60", "duration": "60"')
    legs = read(f"[{twice}, {same}]".encode())
    assert legs["problem"].fillna("").tolist() == ["'status' stands in it twice with different values", ""]


def test_seconds_and_numbers_written_as_numbers_are_read_as_they_stand(read: Read) -> None:
    # Services that copy this API write seconds and prices as numbers.
    legs = read(as_json({**CALL, "duration": 60, "price": -0.020, "from": 442079460123}), keep=["price"])
    assert legs.loc[0, ["billable_s", "from_number", "x_price"]].tolist() == [60, "442079460123", "-0.02"]
    assert (
        read(as_json(CALL).replace(b'"-0.0200"', b"-0.0200"), keep=["price"]).loc[0, "x_price"] == "-0.0200"
    )
    assert legs["problem"].isna().all()


def test_members_of_any_kind_are_kept_and_leave_the_hash_alone(read: Read) -> None:
    # The first record has no note, the others have one of a different kind each.
    notes: list[object] = [None, 'one, "two"', {"b": [1, None], "a": "é"}, [], True, 7]
    calls = [{**CALL, "sid": f"CA{n}", "note": note} for n, note in enumerate(notes)]
    del calls[0]["note"]
    legs = read(as_json(*calls), keep=["note", "subresource_uris"])
    assert legs["x_note"].fillna("-").tolist() == [
        "-", 'one, "two"', '{"a": "\\u00e9", "b": ["1", null]}', "[]", "true", "7",
    ]  # fmt: skip
    assert legs["x_subresource_uris"].unique().tolist() == ['{"events": "/x"}']
    assert legs["problem"].isna().all()
    assert legs["record_hash"].is_unique
    # Neither what is kept nor which records stand beside it changes what identifies a record.
    plain = read(as_json(*calls))
    pd.testing.assert_frame_equal(plain, legs[plain.columns])
    for place, call in enumerate(calls):
        assert read(as_json(call)).loc[0, "record_hash"] == legs.loc[place, "record_hash"]
    with pytest.raises(
        sr.CdrFormatError, match="no column 'color' to keep; its columns are sid, parent_call_sid"
    ):
        read(as_json(*calls), keep=["color"])


def test_a_file_cut_in_a_record_keeps_the_others_and_says_so(read: Read) -> None:
    whole = as_json(CALL, {**CALL, "sid": "CA2"}, {**CALL, "sid": "CA3"})
    legs = read(whole[: whole.index(b"CA3") + 200])
    assert legs["source_row"].tolist() == [1, 2, 3]
    assert legs["problem"].fillna("").tolist() == ["", "", "the record is cut off"]
    legs = read(whole[: whole.index(b"CA3") - 2])
    assert legs["problem"].isna().tolist() == [True, True, False]
    legs = read(whole[: whole.rindex(b"]")])
    assert legs["problem"].isna().all()
    assert "the file ends before its list of records does" in str(sr.describe_cdr(legs))


def test_a_large_indented_file_is_read_whole(
    in_file: Callable[[bytes, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [{**CALL, "sid": f"CA{n}"} for n in range(50)]
    path = in_file(json.dumps({"calls": calls, "page": 0}, indent=2).encode(), "calls.json")
    expected = sr.read_cdr(path, progress=False, timezone="UTC")
    for module in (parts, sources):
        monkeypatch.setattr(module, "LARGE", 1)
    monkeypatch.setattr(pieces, "_PIECE", 100)
    pd.testing.assert_frame_equal(sr.read_cdr(path, progress=False, timezone="UTC"), expected)
    assert expected["call_key"].tolist() == [f"CA{n}" for n in range(50)]


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


PORTAL = {
    "sid": "Call SID", "parent_call_sid": "Parent Call SID", "from": "From", "to": "To", "status": "Status",
    "start_time": "Start Time", "end_time": "End Time", "duration": "Duration", "direction": "Direction",
}  # fmt: skip


def test_headers_of_portals_say_the_same(read: Read) -> None:
    record = {title: CALL[name] for name, title in PORTAL.items()}
    expected = read(as_json(CALL))
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    for legs in (sr.cdr_from_frame(pd.DataFrame([record])), read(json.dumps([record]).encode())):
        pd.testing.assert_frame_equal(legs.drop(columns=different), expected.drop(columns=different))


def test_milliseconds_in_a_queue_and_the_price_are_kept_and_nothing_else(read: Read) -> None:
    queued = {**CALL, "queue_time": "2500", "price": "-0.0200"}
    legs = read(as_json(queued, {**queued, "price": None}), keep=["queue_time", "price"])
    assert legs["billable_s"].tolist() == [60, 60]
    assert legs["total_s"].isna().all()
    assert legs["x_queue_time"].tolist() == ["2500", "2500"]
    assert legs["x_price"].fillna("-").tolist() == ["-0.0200", "-"]


def test_calls_of_other_systems_have_no_sid_and_are_not_taken_for_twilios(read: Read) -> None:
    other = {name: value for name, value in CALL.items() if name != "sid"} | {"uuid": "a"}
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(as_json(other))


def test_a_copy_of_the_api_with_ids_of_its_own_is_read(read: Read) -> None:
    copied = {
        **CALL, "sid": "5c2f0000-0000-4000-8000-000000000001", "from": "sip:ana@example.sip.test", "duration": 60, "price": -0.02,
        "start_time": "2026-10-01T08:00:00Z",
    }  # fmt: skip
    leg = read(as_json(copied), format="signalwire").iloc[0]
    assert leg[["format", "call_key", "sip_username", "status"]].tolist() == [
        "twilio",
        copied["sid"],
        "ana",
        "completed",
    ]
    assert leg["started_at"] == pd.Timestamp("2026-10-01T08:00:00Z")


def test_times_without_an_offset_are_asked_for(read: Read) -> None:
    local = {**CALL, "start_time": "2026-10-01 13:30:00", "end_time": "2026-10-01 13:31:00"}
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(as_json(local))
    assert read(as_json(local), timezone="Asia/Kolkata").loc[0, "started_at"] == pd.Timestamp(
        "2026-10-01T08:00:00Z"
    )


def test_seconds_outdo_the_word_busy_in_the_made_up_sample(cdr_samples: Path) -> None:
    path = cdr_samples / "twilio_calls" / "yuriybabenko_calls_first200.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    legs = sr.read_cdr(path, progress=False)
    talked = [int(row["duration"] or 0) > 0 for row in rows]
    assert any(row["status"] == "busy" for row, said in zip(rows, talked, strict=True) if said)
    assert legs["is_answered"].tolist() == [
        said or row["status"] == "completed" for row, said in zip(rows, talked, strict=True)
    ]
    assert legs["cause"].tolist() == [row["status"] for row in rows]
    words = {"inbound": "inbound", "outbound": "outbound"}
    assert legs["direction"].fillna("-").tolist() == [words.get(row["direction"], "-") for row in rows]


def test_the_vendors_own_page_is_read_as_it_stands(cdr_samples: Path) -> None:
    path = cdr_samples / "twilio_calls" / "oai_readFullPage1.json"
    calls = json.loads(path.read_text("utf-8"))["calls"]
    legs = sr.read_cdr(path, progress=False)
    assert legs["call_key"].tolist() == [call["sid"] for call in calls]
    assert legs["linked_id"].tolist() == [call["parent_call_sid"] or call["sid"] for call in calls]
    assert legs["started_at"].tolist() == [parsedate_to_datetime(call["start_time"]) for call in calls]
    assert legs["ended_at"].tolist() == [parsedate_to_datetime(call["end_time"]) for call in calls]
    assert legs["billable_s"].tolist() == [int(call["duration"]) for call in calls]
    assert legs["to_number"].tolist() == [call["to"] for call in calls]
