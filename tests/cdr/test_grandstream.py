"""Grandstream UCM: two files, talk time alone shows an answer, and menus and queues only lead to a call."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

PAGE = {
    "Account Code": "",
    "Caller Number": "+442079460123",
    "Callee Number": "1002",
    "Context": "from-internal",
    "CallerID Number": '"Ann" <+442079460123>',
    "Source Channel": "PJSIP/trunk_1-0000000a",
    "Dest. Channel": "PJSIP/1002-0000000b",
    "Last app.": "Dial",
    "Last date": "PJSIP/1002,60,tT",
    "Start Time": "2026-10-01 09:00:00",
    "Answer Time": "2026-10-01 09:00:05",
    "End Time": "2026-10-01 09:01:05",
    "Call Time": "65",
    "Talk Time": "60",
    "Disposition": "ANSWERED",
    "AMA Flags": "DOCUMENTATION",
    "Unique ID": "1790845200.1",  # 2026-10-01 09:00:00 UTC
    "Log Userfield": "Inbound",
    "Dest Channel Extension": "1002",
    "Caller Name": "",
    "Answered by": "1002",
    "Session": "1790845200000001-+442079460123",
    "Premier Caller": "+442079460123",
    "Action Type": "DIAL",
    "Source Trunk Name": "TRUNK",
    "Destination Trunk Name": "",
}

INTERFACE = ("AcctId,accountcode,src,dst,dcontext,clid,channel,dstchannel,lastapp,lastdata,start,answer,end,duration,"
             "billsec,disposition,amaflags,uniqueid,userfield,channel_ext,dstchannel_ext,service\n")  # fmt: skip


def page(*changes: dict[str, str], header: bool = True) -> bytes:
    """Return an export of the web page: one row per set of changed fields."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(PAGE), lineterminator="\r\n")
    if header:
        writer.writeheader()
    writer.writerows({**PAGE, **changed} for changed in changes)
    return text.getvalue().encode()


def answer(
    clid: str = '"pn01" <5300>', lastdata: str = "SIP/5301,60,", number: int = 62, tail: str = ""
) -> str:
    """Return a line as the interface sends it: nothing quoted."""
    return (
        f"{number},,5300,5301,from-internal,{clid},SIP/5300-00000000,SIP/5301-00000001,Dial,{lastdata},"
        f"2026-10-01 09:00:00,2026-10-01 09:00:03,2026-10-01 09:00:09,9,6,ANSWERED,DOCUMENTATION,1790845200.0,"
        f"Internal,5300,5301,s{tail}\n"
    )


# ---------------------------------------------------------------- the real export


@pytest.fixture(scope="module")
def rows(cdr_samples: Path) -> list[dict[str, str]]:
    path = cdr_samples / "grandstream_ucm" / "davronkhuja_Master_first400.csv"
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8"), newline="")))


@pytest.fixture(scope="module")
def legs(cdr_samples: Path) -> pd.DataFrame:
    path = cdr_samples / "grandstream_ucm" / "davronkhuja_Master_first400.csv"
    return sr.read_cdr(path, keep=["Action Type", "Last date", "Caller Name"])


def instant(text: str) -> datetime | None:
    """Return a time of the export, whose clock is five hours ahead, in UTC."""
    return (
        datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) - timedelta(hours=5)
        if text
        else None
    )


def instants(column: pd.Series) -> list[datetime | None]:
    return [None if pd.isna(value) else value.to_pydatetime() for value in column]


def test_the_real_export_is_known_by_its_content(cdr_samples: Path) -> None:
    ranked = sr.sniff_cdr(cdr_samples / "grandstream_ucm" / "davronkhuja_Master_first400.csv")
    assert (ranked[0].format, ranked[0].score) == ("grandstream", 1.0)
    assert all(candidate.score < 0.5 for candidate in ranked[1:])


def test_every_row_of_the_real_export_is_a_leg_without_a_problem(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    assert len(legs) == len(rows) == 400
    assert legs["problem"].isna().all()
    assert legs["time_problem"].isna().all()
    assert legs["source_row"].tolist() == list(range(2, 402))


def test_only_talk_time_is_an_answer(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    talked = [int(row["Talk Time"]) > 0 for row in rows]
    assert legs["is_answered"].tolist() == talked
    assert sum(bool(row["Answer Time"]) and not talk for row, talk in zip(rows, talked, strict=True)) > 200
    assert legs["billable_s"].tolist() == [int(row["Talk Time"]) for row in rows]
    assert legs["total_s"].tolist() == [int(row["Call Time"]) for row in rows]
    expected = [instant(row["Answer Time"]) if talk else None for row, talk in zip(rows, talked, strict=True)]
    assert instants(legs["answered_at"]) == expected


def test_the_zone_is_that_of_the_unique_ids(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    assert instants(legs["started_at"]) == [instant(row["Start Time"]) for row in rows]
    assert instants(legs["ended_at"]) == [instant(row["End Time"]) for row in rows]


def test_keys_numbers_and_directions_of_the_real_export(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    assert legs["linked_id"].tolist() == [row["Session"] for row in rows]
    assert legs["call_key"].tolist() == [row["Unique ID"] for row in rows]
    assert legs["linked_id"].nunique() == 227
    assert legs["from_number"].tolist() == [row["Caller Number"] for row in rows]
    assert legs["to_number"].tolist() == [row["Callee Number"] for row in rows]
    assert legs["direction"].tolist() == [row["Log Userfield"].lower() for row in rows]
    assert legs["x_Action Type"].tolist() == [row["Action Type"] for row in rows]
    assert legs["x_Caller Name"].fillna("").tolist() == [row["Caller Name"] for row in rows]


def test_statuses_of_the_real_export(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    sessions = Counter(row["Session"] for row in rows)

    def status(row: dict[str, str]) -> str:
        if int(row["Talk Time"]) > 0:
            return "completed"
        if row["Disposition"] == "ANSWERED":
            passed_on = row["Action Type"] != "DIAL" and sessions[row["Session"]] > 1
            return "no_answer" if passed_on else "unknown"
        return {"NO ANSWER": "no_answer", "FAILED": "failed"}[row["Disposition"]]

    assert legs["status"].tolist() == [status(row) for row in rows]
    assert legs["cause"].tolist() == [row["Disposition"] for row in rows]


def test_the_user_is_the_extension_and_never_the_trunk(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    def user(row: dict[str, str]) -> str:
        channel = row["Dest. Channel"] if row["Log Userfield"] == "Inbound" else row["Source Channel"]
        found = re.fullmatch(r"PJSIP/(\d+)-[0-9a-f]{8}", channel)
        return found[1] if found else ""

    assert legs["sip_username"].fillna("").tolist() == [user(row) for row in rows]
    assert set(legs["sip_username"].dropna()) & {"194", "203"} == {"194", "203"}


def test_no_menu_of_the_real_export_loses_its_talk(legs: pd.DataFrame) -> None:
    assert not legs["is_helper"].any()


# ---------------------------------------------------------------- the interface's answer


@pytest.mark.parametrize(
    ("clid", "lastdata"),
    [
        ('"pn01" <5300>', "SIP/5301,60,"),
        ('"pn01" <5300>', "SIP/5301"),
        ('"Doe, Jo" <5300>', "SIP/5301,60,tTr,,"),
        ("5300", "SIP/5301,60,"),
        ("<5300>", ""),
        ('"" <5300>', 'SIP/5301,60,m("default",x)'),
        ("", ",,,,"),
    ],
)
def test_fields_of_the_interface_are_counted_from_both_ends(read: Read, clid: str, lastdata: str) -> None:
    data = (INTERFACE + answer(clid, lastdata) + answer()).encode()
    legs = read(data, keep=["clid", "lastdata"]).fillna({"x_clid": "", "x_lastdata": ""})
    assert legs["problem"].isna().all()
    leg = legs.iloc[0]
    assert (leg["x_clid"], leg["x_lastdata"]) == (clid, lastdata)
    assert leg[["leg_id", "from_number", "to_number", "call_key", "direction", "sip_username"]].tolist() == [
        "62", "5300", "5301", "1790845200.0", "internal", "5300",
    ]  # fmt: skip
    assert (leg["total_s"], leg["billable_s"], leg["status"]) == (9, 6, "completed")
    assert leg["ended_at"] == pd.Timestamp("2026-10-01 09:00:09", tz="UTC")


def test_a_header_without_rows_is_no_records(read: Read) -> None:
    assert len(read(INTERFACE.encode())) == 0
    assert len(read(page())) == 0


def test_a_line_that_was_cut_has_a_problem(read: Read) -> None:
    legs = read((INTERFACE + answer() + answer()[:90]).encode())
    assert legs["problem"].isna().tolist() == [True, False]


def test_an_odd_line_of_the_interface_is_a_row_with_a_problem(read: Read) -> None:
    legs = read((INTERFACE + answer() + answer(tail=",s") + "total nonsense\n").encode())
    assert len(legs) == 3
    assert legs["problem"].isna().tolist()[::2] == [True, False]


# ---------------------------------------------------------------- talk, answers, statuses


@pytest.mark.parametrize(
    ("changes", "status", "answered"),
    [
        ({}, "completed", True),
        ({"Disposition": "NO ANSWER", "Talk Time": "0"}, "no_answer", False),
        ({"Disposition": "FAILED", "Talk Time": "0"}, "failed", False),
        ({"Disposition": "BUSY", "Talk Time": "0", "Answer Time": ""}, "busy", False),
        ({"Disposition": "ANSWERED", "Talk Time": "0"}, "unknown", False),
        ({"Disposition": "ANSWERED", "Talk Time": "0", "Action Type": "IVR[7000]"}, "unknown", False),
        ({"Disposition": "NO ANSWER", "Talk Time": "12"}, "completed", True),
        ({"Disposition": "ANSWERED", "Talk Time": ""}, "unknown", None),
        ({"Disposition": "ANSWERED", "Talk Time": "0:01:00"}, "completed", True),
        ({"Disposition": "ANSWERED", "Action Type": "VM[1002]"}, "voicemail", True),
        ({"Disposition": "ANSWERED", "Action Type": "VM[1002]", "Talk Time": "0"}, "unknown", False),
    ],
)
def test_what_became_of_a_leg(
    read: Read, changes: dict[str, str], status: str, answered: bool | None
) -> None:
    leg = read(page(changes)).iloc[0]
    assert leg["status"] == status
    assert (None if pd.isna(leg["is_answered"]) else bool(leg["is_answered"])) is answered
    assert pd.isna(leg["answered_at"]) == (answered is not True)


def test_a_queue_that_passed_a_call_on_did_not_answer_it(read: Read) -> None:
    queue = {"Action Type": "QUEUE[6500]", "Talk Time": "0"}
    legs = read(page(queue, {"Disposition": "NO ANSWER", "Talk Time": "0"}))
    assert legs["status"].tolist() == ["no_answer", "no_answer"]
    assert legs["cause"].tolist() == ["ANSWERED", "NO ANSWER"]


def test_a_menu_or_queue_that_led_to_the_voicemail_reached_nobody(read: Read) -> None:
    queue = {"Action Type": "QUEUE[6500]", "Last app.": "Queue", "Dest. Channel": ""}
    mailbox = {"Action Type": "VM[1002]", "Last app.": "VoiceMail", "Dest. Channel": ""}
    assert read(page(queue, mailbox))["status"].tolist() == ["voicemail", "voicemail"]
    assert read(page(queue, {**mailbox, "Session": "another"}))["status"].tolist() == [
        "completed",
        "voicemail",
    ]
    agent = {**queue, "Dest. Channel": "PJSIP/1002-0000000b"}
    assert read(page(agent, mailbox))["status"].tolist() == ["completed", "voicemail"]
    # The application alone does not tell whether somebody talked before it.
    assert read(page({**mailbox, "Action Type": ""}))["status"].tolist() == ["completed"]


@pytest.mark.parametrize(
    ("word", "changes"),
    [
        ("ANSWERED not put through", {"Action Type": "QUEUE[6500]", "Talk Time": "0"}),
        ("answered-by-voicemail", {"Action Type": "VM[1002]"}),
        ("failed", {"Disposition": "FAILED", "Talk Time": "0"}),
        ("no answer", {"Disposition": "NO ANSWER", "Talk Time": "0"}),
    ],
)
def test_every_word_can_be_given_another_status(read: Read, word: str, changes: dict[str, str]) -> None:
    status = "completed" if "voicemail" in word else "missed"
    assert read(page(changes, {}), status_map={word: status})["status"].tolist() == [status, "completed"]


# ---------------------------------------------------------------- helpers

IVR = {
    "Action Type": "IVR[7000]",
    "Dest. Channel": "",
    "End Time": "2026-10-01 09:00:20",
    "Call Time": "20",
    "Talk Time": "15",
}
LATE = {
    "Start Time": "2026-10-01 09:00:20",
    "Answer Time": "2026-10-01 09:00:25",
    "End Time": "2026-10-01 09:01:25",
}
RANG = {"Disposition": "NO ANSWER", "Talk Time": "0", "Dest. Channel": "", "End Time": "2026-10-01 09:00:10"}
AGENT = {**LATE, "Action Type": "QUEUE[6500]"}
SILENT = {
    "Action Type": "QUEUE[6500]",
    "Dest. Channel": "",
    "Talk Time": "0",
    "End Time": "2026-10-01 09:00:25",
}
BETWEEN = {
    "Action Type": "QUEUE[6500]",
    "Dest. Channel": "",
    "Start Time": "2026-10-01 09:01:30",
    "Answer Time": "2026-10-01 09:01:30",
    "End Time": "2026-10-01 09:02:10",
    "Call Time": "40",
    "Talk Time": "40",
}
AFTER = {
    "Start Time": "2026-10-01 09:02:10",
    "Answer Time": "2026-10-01 09:02:15",
    "End Time": "2026-10-01 09:03:15",
}


@pytest.mark.parametrize(
    ("changes", "helpers"),
    [
        ([IVR, LATE], [True, False]),
        ([IVR, SILENT, LATE], [True, True, False]),
        ([IVR], [False]),
        ([RANG, IVR], [False, False]),
        ([RANG, IVR, SILENT], [False, False, False]),
        ([RANG, IVR, SILENT, AGENT], [False, False, False, False]),
        ([AGENT, LATE], [False, False]),
        ([{**IVR, "End Time": "2026-10-01 09:05:00"}, LATE], [False, False]),
        ([IVR, {**LATE, "Session": "another"}], [False, False]),
        ([IVR, {**LATE, "Start Time": "soon"}], [False, False]),
        ([RANG, IVR, {**LATE, "Start Time": "soon"}], [False, False, False]),
        ([{}, BETWEEN, AFTER], [False, False, False]),
        ([IVR, LATE, BETWEEN, AFTER], [True, False, False, False]),
    ],
    ids=["menu-then-talk", "menu-queue-talk", "menu-alone", "menu-alone-talked", "queue-hung-up", "agent-talked",
         "agent-beside-dial", "menu-went-on", "another-call", "dial-unusable", "only-unanswered-dial-usable",
         "queue-after-talk", "menu-talk-queue-talk"],
)  # fmt: skip
def test_a_menu_is_a_helper_only_beside_a_dialled_leg_that_talked(
    read: Read, changes: list[dict[str, str]], helpers: list[bool]
) -> None:
    assert read(page(*changes), timezone="UTC")["is_helper"].tolist() == helpers


def test_a_dialled_leg_that_is_cut_off_is_no_company_for_a_menu(read: Read) -> None:
    legs = read(page(RANG, IVR, LATE).removesuffix(b",TRUNK,\r\n"))
    assert legs["problem"].isna().tolist() == [True, True, False]
    assert not legs["is_helper"].any()


def test_without_a_session_the_unique_id_groups_the_legs(read: Read) -> None:
    legs = read(page({**IVR, "Session": ""}, {**LATE, "Session": ""}))
    assert legs["linked_id"].tolist() == ["1790845200.1"] * 2
    assert legs["is_helper"].tolist() == [True, False]


def test_legs_without_any_id_are_no_company(read: Read) -> None:
    nothing = {"Session": "", "Unique ID": ""}
    legs = read(page({**IVR, **nothing}, {**LATE, **nothing}), timezone="UTC")
    assert not legs["is_helper"].any()


# ---------------------------------------------------------------- numbers, directions, keys


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"Caller Number": ""}, "+442079460123"),
        ({"Caller Number": "Ann <1001>"}, "1001"),
        ({"Caller Number": "Ann [1001]"}, "1001"),
        ({"Caller Number": "", "CallerID Number": ""}, None),
        ({"Caller Number": "1001"}, "1001"),
        ({"Caller Number": "Ann (sales)"}, "Ann (sales)"),
    ],
)
def test_a_number_in_brackets_is_taken_out_of_them(
    read: Read, changes: dict[str, str], number: str | None
) -> None:
    found = read(page(changes)).loc[0, "from_number"]
    assert (None if pd.isna(found) else found) == number


@pytest.mark.parametrize(
    ("userfield", "source", "target", "direction"),
    [
        ("Outbound", "", "TRUNK", "outbound"),
        ("Internal", "", "", "internal"),
        ("", "TRUNK", "", "inbound"),
        ("EXT", "", "TRUNK", "outbound"),
        ("External", "TRUNK", "TRUNK", None),
        ("", "", "", None),
    ],
)
def test_a_trunk_on_one_side_tells_the_direction_where_the_device_does_not(
    read: Read, userfield: str, source: str, target: str, direction: str | None
) -> None:
    changes = {"Log Userfield": userfield, "Source Trunk Name": source, "Destination Trunk Name": target}
    found = read(page(changes)).loc[0, "direction"]
    assert (None if pd.isna(found) else found) == direction


@pytest.mark.parametrize(
    ("changes", "user"),
    [
        ({}, "1002"),
        ({"Dest. Channel": "PJSIP/trunk_2-0000000c"}, None),
        ({"Dest. Channel": ""}, None),
        ({"Log Userfield": "Outbound", "Source Channel": "SIP/1001-0000000c"}, "1001"),
        ({"Log Userfield": "Internal", "Source Channel": "PJSIP/1003-0000000c"}, "1003"),
    ],
)
def test_a_user_is_on_the_inner_side_and_no_trunk(
    read: Read, changes: dict[str, str], user: str | None
) -> None:
    found = read(page(changes)).loc[0, "sip_username"]
    assert (None if pd.isna(found) else found) == user


def test_a_platforms_own_id_in_the_account_code_is_the_call_key(read: Read) -> None:
    own = "8c1f3c52-0000-4000-8000-000000000001"
    assert read(page({"Account Code": own})).loc[0, "call_key"] == own


# ---------------------------------------------------------------- the awkward half


def test_one_row_missing_and_further_columns(read: Read) -> None:
    text = page({}).decode()
    legs = read(text.replace(",Action Type", ",Something Else").replace(",DIAL,", ",x,").encode())
    assert legs["status"].tolist() == ["completed"]
    assert legs["problem"].isna().all()


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_bom(read: Read, ends: str) -> None:
    data = b"\xef\xbb\xbf" + page({"Caller Name": "Зоя O\u2018Neil"}, {}).replace(b"\r\n", ends.encode())
    legs = read(data, keep=["caller name"])
    assert legs["x_caller name"].tolist()[:1] == ["Зоя O\u2018Neil"]
    assert legs["problem"].isna().all()


def test_the_same_row_twice_is_two_rows_with_one_hash(read: Read) -> None:
    legs = read(page({}, {}))
    assert len(legs) == 2
    assert legs["record_hash"].duplicated().tolist() == [False, True]


def test_ended_before_started_is_a_problem(read: Read) -> None:
    legs = read(page({"End Time": "2026-10-01 08:00:00"}, {}))
    assert "it ends before it starts" in legs.loc[0, "problem"]
    assert legs["problem"].isna().tolist() == [False, True]


def test_a_file_and_a_frame_say_the_same(read: Read) -> None:
    changes = [RANG, IVR, AGENT]
    frame = pd.DataFrame([{**PAGE, **changed} for changed in changes])
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    legs = sr.cdr_from_frame(frame)
    assert legs["format"].tolist() == ["grandstream"] * 3
    pd.testing.assert_frame_equal(
        legs.drop(columns=different), read(page(*changes)).drop(columns=different), check_like=True
    )


def test_said_and_found_are_the_same(read: Read) -> None:
    for name in ("grandstream", "Grandstream UCM"):
        pd.testing.assert_frame_equal(read(page({}), format=name), read(page({})))


def test_the_rows_of_the_page_without_their_header_are_not_guessed_at(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(page({}, {}, header=False))
