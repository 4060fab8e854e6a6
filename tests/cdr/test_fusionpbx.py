"""FusionPBX: columns come and go with version and permission, and ``duration`` is never believed."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import LEGS

Read = Callable[..., pd.DataFrame]

START = datetime(2026, 10, 1, 8, 0, 0, tzinfo=UTC)
EPOCH = int(START.timestamp())


def uuid(n: int) -> str:
    return f"5e0d7a10-0000-4000-8000-{n:012d}"


# The order in which the export selects them.
CALL = {
    "domain_uuid": "f0000000-0000-4000-8000-000000000001",
    "sip_call_id": "abc@192.0.2.7",
    "extension": "1001",
    "extension_name": "Ann",
    "start_stamp": "2026-10-01 09:00:00+01",
    "end_stamp": "2026-10-01 09:01:05+01",
    "start_date_formatted": "01 Oct 2026",
    "start_time_formatted": "09:00 am",
    "start_epoch": str(EPOCH),
    "hangup_cause": "NORMAL_CLEARING",
    "duration": "60",
    "billmsec": "60740",
    "missed_call": "false",
    "record_path": "",
    "record_name": "",
    "xml_cdr_uuid": uuid(1),
    "bridge_uuid": "",
    "direction": "outbound",
    "billsec": "60",
    "caller_id_name": "Ann",
    "caller_id_number": "1001",
    "caller_destination": "",
    "source_number": "",
    "destination_number": "442079460123",
    "leg": "a",
    "read_codec": "PCMU",
    "write_codec": "PCMU",
    "cc_side": "",
    "accountcode": "pbx.example",
    "answer_stamp": "2026-10-01 09:00:05+01",
    "status": "answered",
    "sip_hangup_disposition": "recv_bye",
    "tta": "5",
}
NEVER = "1970-01-01 00:00:00+00"
UNANSWERED = {
    "answer_stamp": NEVER,
    "billsec": "0",
    "billmsec": "0",
    "duration": "0",
    "tta": str(-EPOCH),
    "end_stamp": "2026-10-01 09:00:20+01",
    "status": "no_answer",
}


def export(*rows: dict[str, str], without: tuple[str, ...] = (), **more: str) -> bytes:
    """Return an export as the page writes it: between quotes, without escaping."""
    rows = rows or ({},)
    names = [name for name in (*CALL, *more) if name not in without]
    whole = [{**CALL, **more, **row} for row in rows]
    lines = [names, *([row[name] for name in names] for row in whole)]
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in lines).encode()


def test_each_column_means_what_the_export_says(read: Read) -> None:
    legs = read(export({"bridge_uuid": uuid(2)}, {"xml_cdr_uuid": uuid(2)}), keep=["record_name", "leg"])
    assert {name: str(legs[name].dtype) for name in LEGS.names} == LEGS.dtypes
    leg = legs.iloc[0]
    assert leg[["format", "leg_id", "call_key", "linked_id"]].tolist() == [
        "fusionpbx",
        uuid(1),
        uuid(1),
        uuid(2),
    ]
    assert legs["linked_id"].tolist() == [uuid(2)] * 2
    assert leg[["from_number", "to_number", "direction", "sip_username"]].tolist() == [
        "1001", "442079460123", "outbound", "1001",
    ]  # fmt: skip
    assert (leg["status"], leg["cause"], leg["is_answered"], leg["x_leg"]) == ("completed", "NORMAL_CLEARING", True, "a")  # fmt: skip
    found = [leg[name].to_pydatetime() for name in ("started_at", "answered_at", "ended_at")]
    assert found == [START, START + timedelta(seconds=5), START + timedelta(seconds=65)]
    assert (leg["total_s"], leg["billable_s"]) == (65, 60)
    assert legs[["problem", "time_problem"]].isna().all(axis=None)


@pytest.mark.parametrize("duration", ["60", "65", "9999", "", "x"])
def test_the_total_is_end_minus_start_whatever_duration_holds(duration: str, read: Read) -> None:
    legs = read(export({"duration": duration}))
    assert (legs.loc[0, "total_s"], legs.loc[0, "billable_s"]) == (65, 60)
    assert pd.isna(legs.loc[0, "problem"])
    assert any("'duration' holds billable seconds since October 2023" in n for n in legs.attrs["sippet_reconcile.cdr"]["notes"])  # fmt: skip
    without = read(export({}, without=("duration",)))
    assert without.loc[0, "total_s"] == 65
    assert not without.attrs["sippet_reconcile.cdr"]["notes"]


@pytest.mark.parametrize(
    ("without", "total"),
    [
        ((), 65),
        (("start_stamp",), 65),
        (("start_epoch",), 65),
        (("start_epoch", "start_stamp"), None),
        (("end_stamp",), 65),
    ],
)
def test_the_total_is_missing_where_its_ends_are(
    without: tuple[str, ...], total: int | None, read: Read
) -> None:
    legs = read(export(without=without), timezone="Europe/London")
    assert legs.loc[0, "started_at"].to_pydatetime() == START
    assert (None if pd.isna(legs.loc[0, "total_s"]) else legs.loc[0, "total_s"]) == total
    unanswered = read(export(UNANSWERED, without=("end_stamp",)))
    assert unanswered[["ended_at", "total_s"]].isna().all(axis=None)


def test_epochs_come_before_stamps(read: Read) -> None:
    more = {"end_epoch": str(EPOCH + 70), "answer_epoch": str(EPOCH + 10)}
    legs = read(export({"start_stamp": "2026-10-01 09:00:00", "answer_stamp": "2026-10-01 09:00:05"}, **more))
    assert (legs.loc[0, "total_s"], legs.loc[0, "billable_s"]) == (70, 60)
    assert legs.loc[0, "answered_at"].to_pydatetime() == START + timedelta(seconds=10)


@pytest.mark.parametrize("never", [NEVER, "1970-01-01T00:00:00+00:00", "1969-12-31 19:00:00-05", "", "0"])
def test_a_time_that_never_came_answers_nothing(never: str, read: Read) -> None:
    legs = read(export({**UNANSWERED, "answer_stamp": never}))
    assert (legs.loc[0, "is_answered"], legs.loc[0, "status"]) == (False, "no_answer")
    assert (legs.loc[0, "billable_s"], legs.loc[0, "total_s"]) == (0, 20)
    assert pd.isna(legs.loc[0, "answered_at"])
    assert pd.isna(legs.loc[0, "problem"])


@pytest.mark.parametrize(
    ("row", "answered", "status"),
    [
        ({"status": "answered"}, True, "completed"),
        ({"status": "failed", "hangup_cause": "NORMAL_UNSPECIFIED"}, True, "completed"),
        ({"status": "missed", "missed_call": "true"}, True, "completed"),
        ({"status": "voicemail"}, True, "voicemail"),
        ({"status": ""}, True, "completed"),
        ({**UNANSWERED, "status": "answered"}, False, "unknown"),
        ({**UNANSWERED, "status": "voicemail"}, False, "unknown"),
        ({**UNANSWERED, "status": "no_answer"}, False, "no_answer"),
        ({**UNANSWERED, "status": "cancelled"}, False, "canceled"),
        ({**UNANSWERED, "status": "busy"}, False, "busy"),
        ({**UNANSWERED, "status": "failed"}, False, "failed"),
        ({**UNANSWERED, "status": "missed"}, False, "missed"),
        ({**UNANSWERED, "status": "", "hangup_cause": "USER_BUSY"}, False, "busy"),
        ({**UNANSWERED, "status": "", "hangup_cause": "NORMAL_CLEARING"}, False, "unknown"),
        ({**UNANSWERED, "status": "", "hangup_cause": "ORIGINATOR_CANCEL", "missed_call": "true"}, False, "missed"),
        ({**UNANSWERED, "status": "", "hangup_cause": "ORIGINATOR_CANCEL", "missed_call": "f"}, False, "canceled"),
    ],
)  # fmt: skip
def test_answered_comes_from_the_answer_and_never_from_the_word(
    row: dict[str, str], answered: bool, status: str, read: Read
) -> None:
    legs = read(export(row))
    assert (legs.loc[0, "is_answered"], legs.loc[0, "status"]) == (answered, status)


def test_an_older_export_without_a_status_goes_by_the_cause(read: Read) -> None:
    rows = [{}, {**UNANSWERED, "hangup_cause": "NO_ANSWER"}, {**UNANSWERED, "hangup_cause": "CALL_REJECTED"}]
    legs = read(export(*rows, without=("status",)))
    assert legs["status"].tolist() == ["completed", "no_answer", "failed"]


@pytest.mark.parametrize("word", ["answered", "failed", "no_answer", "missed"])
def test_a_caller_may_say_what_a_status_means(word: str, read: Read) -> None:
    data = export({**UNANSWERED, "status": word})
    assert read(data, status_map={word: "canceled"})["status"].tolist() == ["canceled"]


@pytest.mark.parametrize(
    ("time", "clock"),
    [("09:00 am", "09:00:00"), ("09:00:00 am", "09:00:00"), ("09:05 PM", "21:05:00"), ("12:01 am", "00:01:00"),
     ("12:01 pm", "12:01:00"), ("12:30:09 p.m.", "12:30:09"), ("21:05", "21:05:00"), ("00:01", "00:01:00")],
)  # fmt: skip
def test_formatted_times_are_read_by_12_and_24_hours_and_need_a_zone(
    time: str, clock: str, read: Read
) -> None:
    without = ("start_epoch", "start_stamp", "end_stamp", "answer_stamp")
    data = export({"start_time_formatted": time}, without=without)
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(data)
    leg = read(data, timezone="Europe/London").iloc[0]
    assert leg["started_at"].tz_convert("Europe/London").strftime("%H:%M:%S") == clock
    assert leg["is_coarse"] == (time.count(":") == 1)
    assert (leg["is_answered"], leg["billable_s"]) == (True, 60)
    assert pd.isna(leg["problem"])


def test_stamps_with_an_offset_need_no_zone_over_the_end_of_summer_time(read: Read) -> None:
    data = export(
        {"start_stamp": "2026-10-25 01:50:00+01", "answer_stamp": "2026-10-25 01:50:05+01", "end_stamp": "2026-10-25 01:10:00+00"},
        without=("start_epoch",),
    )  # fmt: skip
    leg = read(data, timezone="Europe/London").iloc[0]
    assert (leg["total_s"], leg["started_at"].isoformat()) == (1200, "2026-10-25T00:50:00+00:00")
    assert pd.isna(leg["time_problem"])


@pytest.mark.parametrize("n_columns", range(1, len(CALL)))
def test_whatever_columns_the_permissions_leave_each_row_is_there(n_columns: int, read: Read) -> None:
    """Take columns away from either end, but never those that make it a table of calls at all."""
    needed = {"xml_cdr_uuid", "start_epoch"}
    names = [name for name in CALL if name not in needed]
    for gone in (names[:n_columns], names[-n_columns:]):
        legs = read(export({}, {**UNANSWERED, "xml_cdr_uuid": uuid(2)}, without=tuple(gone)), timezone="UTC")
        assert legs["format"].tolist() == ["fusionpbx"] * 2
        assert legs["call_key"].tolist() == [uuid(1), uuid(2)]
        assert legs["problem"].isna().all()
        assert legs["started_at"].eq(pd.Timestamp(START)).all()
        assert set(legs["billable_s"].dropna()) <= {60.0, 60.74, 0.0}
        assert set(legs["total_s"].dropna()) <= {65.0, 20.0, 65.74}
        assert legs["is_answered"].fillna(value=False).tolist()[1] is not True


def test_milliseconds_stand_in_for_seconds_that_are_not_shown(read: Read) -> None:
    legs = read(export({}, UNANSWERED, {"billmsec": "x"}, without=("billsec",)))
    assert legs["billable_s"][:2].tolist() == [60.74, 0]
    assert legs.loc[2, "problem"] == "billable seconds 'x' are no number"


def test_without_any_seconds_and_answer_nobody_knows_who_talked(read: Read) -> None:
    without = ("billsec", "billmsec", "answer_stamp", "status", "hangup_cause", "missed_call", "tta")
    legs = read(export(without=without))
    assert legs["billable_s"].isna().all()
    assert not legs["is_answered"].fillna(value=False).any()
    assert legs["status"].tolist() == ["unknown"]


@pytest.mark.parametrize(
    ("row", "is_helper"),
    [
        ({**UNANSWERED, "hangup_cause": "LOSE_RACE", "leg": "b"}, True),
        ({**UNANSWERED, "hangup_cause": "PICKED_OFF", "leg": "b"}, True),
        ({**UNANSWERED, "cc_side": "agent", "hangup_cause": "NO_ANSWER"}, True),
        ({"cc_side": "agent"}, False),
        ({**UNANSWERED, "cc_side": "member"}, False),
        ({**UNANSWERED, "leg": "b"}, False),
        ({"hangup_cause": "LOSE_RACE"}, False),
    ],
)
def test_legs_that_nobody_took_are_helpers_and_legs_with_talk_are_none(
    row: dict[str, str], is_helper: bool, read: Read
) -> None:
    legs = read(export({}, {**row, "xml_cdr_uuid": uuid(2)}))
    assert legs["is_helper"].tolist() == [False, is_helper]


def test_legs_of_one_call_are_linked_also_those_of_a_ring_group_and_a_queue(read: Read) -> None:
    rows = [
        {"bridge_uuid": uuid(2)},
        {"xml_cdr_uuid": uuid(2), "bridge_uuid": uuid(1), "leg": "b"},
        {**UNANSWERED, "xml_cdr_uuid": uuid(3), "originating_leg_uuid": uuid(1)},
        {**UNANSWERED, "xml_cdr_uuid": uuid(4), "cc_side": "agent", "cc_member_session_uuid": uuid(1)},
        {"xml_cdr_uuid": uuid(5)},
    ]
    legs = read(export(*rows, originating_leg_uuid="", cc_member_session_uuid=""))
    assert len(set(legs["linked_id"][:4])) == 1
    assert legs.loc[4, "linked_id"] == uuid(5)


@pytest.mark.parametrize(
    ("row", "direction", "to_number"),
    [
        ({"direction": "inbound", "caller_destination": "12025550123", "destination_number": "1001"}, "inbound", "12025550123"),
        ({"direction": "inbound", "destination_number": "12025550123"}, "inbound", "12025550123"),
        ({"direction": "outbound", "caller_destination": "9442079460123"}, "outbound", "442079460123"),
        ({"direction": "local", "caller_destination": "1003", "destination_number": "1002"}, "internal", "1002"),
        ({"direction": ""}, "?", "442079460123"),
    ],
)  # fmt: skip
def test_an_outside_caller_reached_the_number_that_was_dialled(
    row: dict[str, str], direction: str, to_number: str, read: Read
) -> None:
    legs = read(export(row))
    assert legs["direction"].fillna("?").tolist() == [direction]
    assert legs["to_number"].tolist() == [to_number]


def test_a_plus_that_was_lost_is_not_made_up(read: Read) -> None:
    legs = read(export({"caller_id_number": "12025550123"}))
    assert legs["from_number"].tolist() == ["12025550123"]
    assert legs["from_e164"].isna().all()
    assert read(export({"caller_id_number": "12025550123"}), country="US")["from_e164"].tolist() == [
        "+12025550123"
    ]


@pytest.mark.parametrize("name", ['Bob "the" Smith', "Lee, Al", 'Lee, "Al"', '"'])
def test_values_are_not_escaped_and_cost_no_row(name: str, read: Read) -> None:
    data = export({}, {"extension_name": name, "xml_cdr_uuid": uuid(2)}, {"xml_cdr_uuid": uuid(3)})
    legs = read(data, keep=["extension_name"])
    assert legs["call_key"].tolist() == [uuid(1), uuid(2), uuid(3)]
    assert legs["x_extension_name"].tolist() == ["Ann", name, "Ann"]
    assert legs["total_s"].tolist() == [65] * 3
    assert legs["problem"].isna().all()


def test_the_awkward_half(read: Read, in_file: Callable[..., Path]) -> None:
    assert len(read(b"\n\n")) == 0
    assert len(read(export({}).split(b"\n")[0], format="fusionpbx")) == 0
    windows = b"\xef\xbb\xbf" + export({}, {"caller_id_name": "Zoë"}).replace(b"\n", b"\r\n")
    assert read(windows)["record_hash"].nunique() == 2
    cut = read(export({}, {"xml_cdr_uuid": uuid(2)})[:-40])
    assert cut["problem"].isna().tolist() == [True, False]
    again = sr.read_cdr([in_file(export({})), in_file(export({}, {}), "b.csv")])
    assert again["record_hash"].eq(again["record_hash"][0]).all()
    backwards = read(export({"end_stamp": "2026-10-01 08:00:00+01", "answer_stamp": NEVER}))
    assert backwards["problem"].tolist() == ["it ends before it starts"]
    never_started = read(
        export({"start_epoch": "0", "start_stamp": NEVER, "start_date_formatted": "01 Jan 1970"})
    )
    assert never_started["problem"].tolist() == ["there is no start time"]


def test_a_frame_of_the_table_itself_is_read(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "xml_cdr_uuid": uuid(1),
        "direction": "local",
        "start_epoch": EPOCH,
        "answer_epoch": 0,
        "end_epoch": EPOCH + 20,
        "start_stamp": pd.Timestamp(START),
        "answer_stamp": pd.Timestamp(0, tz="UTC"),
        "end_stamp": pd.Timestamp(START) + pd.Timedelta(20, "s"),
        "duration": 0,
        "billsec": 0,
        "hangup_cause": "ORIGINATOR_CANCEL",
        "missed_call": True,
        "caller_id_number": "1001",
        "destination_number": "1002",
    }
    df = pd.DataFrame([row])
    path = tmp_path / "v_xml_cdr.parquet"
    df.to_parquet(path)
    for legs in (sr.cdr_from_frame(df), sr.read_cdr(path)):
        assert legs["format"].tolist() == ["fusionpbx"]
        assert (legs.loc[0, "status"], legs.loc[0, "total_s"], legs.loc[0, "direction"]) == (
            "missed",
            20,
            "internal",
        )


def test_a_dump_of_the_table_is_read(read: Read) -> None:
    names = [
        "xml_cdr_uuid",
        "start_epoch",
        "end_epoch",
        "answer_epoch",
        "duration",
        "billsec",
        "hangup_cause",
        "direction",
    ]
    values = f"'{uuid(1)}', {EPOCH}, {EPOCH + 65}, {EPOCH + 5}, 60, 60, 'NORMAL_CLEARING', 'inbound'"
    dump = f"INSERT INTO public.v_xml_cdr ({', '.join(names)}) VALUES ({values});\n"  # noqa: S608 - read, not run
    legs = read(dump.encode())
    assert legs[["format", "call_key", "total_s", "billable_s"]].iloc[0].tolist() == [
        "fusionpbx",
        uuid(1),
        65,
        60,
    ]


def test_it_is_told_from_every_other_format(cdr_samples: Path) -> None:
    def scores(data: Any) -> dict[str, float]:
        return {candidate.format: candidate.score for candidate in sr.sniff_cdr(data)}

    own = scores(io.BytesIO(export()))
    assert own.pop("fusionpbx") == 1
    assert max(own.values()) < 0.5
    without_key = scores(io.BytesIO(export(without=("xml_cdr_uuid",))))
    assert without_key.pop("fusionpbx") >= 0.5
    assert max(without_key.values()) < 0.5
    for path in sorted(cdr_samples.glob("*/*")):
        if path.suffix in {".csv", ".txt"}:
            assert scores(path)["fusionpbx"] < 0.5, path.name
    for path in sorted((cdr_samples / "freeswitch_cdr_csv").iterdir()):
        ranked = sr.sniff_cdr(path)
        assert (ranked[0].format, ranked[0].score) == ("freeswitch", 1)
        assert ranked[1].score < 0.5


def test_pieces_of_a_large_file_are_read_as_the_whole(
    in_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{**(UNANSWERED if n % 3 else {}), "xml_cdr_uuid": uuid(n)} for n in range(60)]
    path = in_file(export(*rows))
    whole = sr.read_cdr(path, timezone="UTC")
    monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 3000)
    pd.testing.assert_frame_equal(sr.read_cdr(path, timezone="UTC"), whole)


@pytest.mark.parametrize("cause", ["ORIGINATOR_CANCEL", "MEDIA_TIMEOUT", "NORMAL_CLEARING"])
def test_a_cause_alone_does_not_tell_that_nobody_answered(read: Read, cause: str) -> None:
    hidden = ("answer_stamp", "billsec", "billmsec", "status", "missed_call")
    leg = read(export({"hangup_cause": cause}, without=hidden)).iloc[0]
    assert leg[["is_answered", "billable_s"]].isna().all()
    assert (leg["status"], leg["cause"]) == ("unknown", cause)
