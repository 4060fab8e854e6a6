"""Cisco CUCM: names and types that may be missing, epochs in UTC, causes of two sides, several rows for one call."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats.cisco_cucm import COLUMNS

Read = Callable[..., pd.DataFrame]

BEGIN = 1_790_845_200  # 2026-10-01 09:00:00 UTC
TEXTS = {"pkid", "callingPartyNumber", "originalCalledPartyNumber", "finalCalledPartyNumber", "origDeviceName",
         "destDeviceName", "globalCallId_ClusterID", "callingPartyUnicodeLoginUserID", "comment",
         "finalCalledPartyUnicodeLoginUserID", "origDeviceSessionID"}  # fmt: skip
CALL = {
    "cdrRecordType": "1",
    "globalCallID_callManagerId": "2",
    "globalCallID_callId": "77",
    "dateTimeOrigination": str(BEGIN),
    "dateTimeConnect": str(BEGIN + 5),
    "dateTimeDisconnect": str(BEGIN + 65),
    "callingPartyNumber": "1001",
    "originalCalledPartyNumber": "1002",
    "finalCalledPartyNumber": "1002",
    "origCause_value": "0",
    "destCause_value": "16",
    "pkid": "8c1f3c52-0000-4000-8000-000000000001",
    "duration": "60",
    "origDeviceName": "SEP0000000000A1",
    "destDeviceName": "SEP0000000000A2",
    "globalCallId_ClusterID": "cluster1",
}
UNANSWERED = {"dateTimeConnect": "0", "duration": "0"}


def line(columns: tuple[str, ...] = COLUMNS, **fields: str) -> str:
    row = {**CALL, **fields}
    cells = [row.get(name, "" if name in TEXTS else "0") for name in columns]
    return ",".join(f'"{cell}"' if name in TEXTS else cell for name, cell in zip(columns, cells, strict=True))


def names(columns: tuple[str, ...] = COLUMNS) -> str:
    return ",".join(f'"{name}"' for name in columns)


def types(columns: tuple[str, ...] = COLUMNS) -> str:
    return ",".join(
        "UNIQUEIDENTIFIER" if name == "pkid" else "VARCHAR(50)" if name in TEXTS else "INTEGER"
        for name in columns
    )


def file(*lines: str) -> bytes:
    """Return a file as CUCM writes it: nothing behind its last line."""
    return "\n".join(lines).encode()


# ---------------------------------------------------------------- the real file


def test_the_sample_is_read_as_the_standard_library_reads_it(cdr_samples: Path) -> None:
    path = cdr_samples / "cisco_cucm" / "sieteunoseis_cdr.txt"
    header, kinds, *records = csv.reader(io.StringIO(path.read_text("utf-8")))
    assert kinds[0] == "INTEGER"
    rows = [dict(zip(header, record, strict=True)) for record in records]
    legs = sr.read_cdr(path, keep=["origCause_value", "IncomingProtocolID"])

    def moments(name: str) -> list[object]:
        return [datetime.fromtimestamp(int(row[name]), UTC) if int(row[name]) else pd.NaT for row in rows]

    assert legs["format"].tolist() == ["cisco-cucm"] * len(rows)
    assert legs["problem"].isna().all()
    assert legs["source_row"].tolist() == [3, 4, 5]
    assert legs["leg_id"].tolist() == [row["pkid"] for row in rows]
    assert legs["started_at"].tolist() == moments("dateTimeOrigination")
    assert [pd.isna(at) for at in legs["answered_at"]] == [row["dateTimeConnect"] == "0" for row in rows]
    assert legs["ended_at"].tolist() == moments("dateTimeDisconnect")
    assert legs["billable_s"].tolist() == [int(row["duration"]) for row in rows]
    assert legs["total_s"].tolist() == [
        int(row["dateTimeDisconnect"]) - int(row["dateTimeOrigination"]) for row in rows
    ]
    assert legs["is_answered"].tolist() == [int(row["dateTimeConnect"]) > 0 for row in rows]
    assert legs["is_helper"].tolist() == [row["joinOnBehalfOf"] == "27" for row in rows]
    assert legs["from_number"].tolist() == [row["callingPartyNumber"] for row in rows]
    assert legs["to_number"].tolist() == [row["finalCalledPartyNumber"] for row in rows]
    assert legs["linked_id"].tolist() == [
        f"{row['globalCallId_ClusterID']}/{row['globalCallID_callManagerId']}/{row['globalCallID_callId']}"
        for row in rows
    ]
    assert legs["x_origCause_value"].tolist() == [row["origCause_value"] for row in rows]
    assert legs["cause"].tolist() == ["1459617833", "1459617833", "16"]
    assert legs["direction"].fillna("?").tolist() == ["?", "?", "internal"]
    assert legs["status"].tolist()[2] == "completed"
    assert sr.describe_cdr(legs).summary()["clock"] == "UTC+00:00 (offsets or epochs in the data)"


def test_the_sample_says_the_same_without_its_names_or_its_types(cdr_samples: Path, read: Read) -> None:
    header, kinds, *records = (
        (cdr_samples / "cisco_cucm" / "sieteunoseis_cdr.txt").read_text("utf-8").split("\n")
    )
    whole = read(file(header, kinds, *records))
    for lines in ((header, *records), (kinds, *records), records):
        legs = read(file(*lines))
        assert legs["source_row"].tolist() == [len(lines) - 2, len(lines) - 1, len(lines)]
        columns = whole.columns.difference(["source_file", "source_row", "source_sha256"])
        pd.testing.assert_frame_equal(legs[columns], whole[columns])


# ---------------------------------------------------------------- the form of the file


@pytest.mark.parametrize("width", [78, 94, 103, 104, 119, 129, 133])
@pytest.mark.parametrize("with_types", [True, False])
def test_without_names_the_order_of_the_release_is_used(read: Read, width: int, with_types: bool) -> None:
    columns = COLUMNS[:width]
    legs = read(file(*([types(columns)] if with_types else []), line(columns), line(columns, duration="61")))
    assert legs["billable_s"].tolist() == [60, 61]
    assert legs["linked_id"].tolist() == ["cluster1/2/77"] * 2
    assert legs["problem"].isna().all()


def test_later_columns_have_no_names_where_their_order_is_not_known(read: Read) -> None:
    columns = (*COLUMNS[:104], *(f"new{n}" for n in range(6)))
    legs = read(file(line(columns)), keep=["calledPartyPatternUsage", "column 105"])
    assert legs.loc[0, "x_calledPartyPatternUsage"] == "0"
    with pytest.raises(sr.CdrFormatError, match="no column 'IncomingICID'"):
        read(file(line(columns)), keep=["IncomingICID"])


def test_one_row_without_anything_else_is_enough(read: Read) -> None:
    assert read(file(line())).loc[0, "format"] == "cisco-cucm"


def test_names_differ_in_case_and_spelling_and_columns_in_order(read: Read) -> None:
    renamed = {
        "destLegIdentifier": "DestLegCallIdentifier",
        "pkid": "PKID",
        "IncomingProtocolID": "incomingProtocolID",
    }
    columns = tuple(reversed(COLUMNS))
    header = ",".join(f'"{renamed.get(name, name)}"' for name in (*columns, "addedLater"))
    legs = read(file(header, f"{line(columns)},x"), keep=["destLegIdentifier", "addedLater"])
    assert legs.loc[0, ["leg_id", "x_addedLater"]].tolist() == [CALL["pkid"], "x"]
    assert legs.loc[0, "x_destLegIdentifier"] == "0"


def test_files_put_one_behind_the_other_repeat_names_and_types(read: Read) -> None:
    legs = read(file(names(), types(), line(), names(), types(), line(duration="61")))
    assert legs["billable_s"].tolist() == [60, 61]
    assert legs["source_row"].tolist() == [3, 6]
    headless = read(file(types(), line(), names(), types(), line(duration="61")))
    assert headless["billable_s"].tolist() == [60, 61]


@pytest.mark.parametrize("lines", [(names(), types()), (names(),), (types(),)])
def test_a_file_without_calls_has_no_rows(read: Read, lines: tuple[str, ...]) -> None:
    legs = read(file(*lines))
    assert len(legs) == 0
    assert "billable_s" in legs


@pytest.mark.parametrize(
    ("ending", "mark"), [("\n", b""), ("\r\n", b""), ("\r", b""), ("\n", b"\xef\xbb\xbf")]
)
def test_line_ends_and_a_byte_order_mark_change_nothing(read: Read, ending: str, mark: bytes) -> None:
    data = mark + ending.join([names(), types(), line(comment='Zoë, "x"'.replace('"', '""'))]).encode()
    legs = read(data, keep=["comment"])
    assert legs.loc[0, "x_comment"] == 'Zoë, "x"'
    assert legs["problem"].isna().all()


def test_a_row_that_was_cut_off_is_a_row_with_a_problem(read: Read) -> None:
    legs = read(file(names(), types(), line(), line()[:-60]))
    assert legs["problem"].isna().tolist() == [True, False]
    headless = read(file(line(), line(), line()[:-60]))
    assert headless["problem"].isna().tolist() == [True, True, False]


def test_a_query_without_most_columns_is_read(read: Read) -> None:
    columns = ("cdrRecordType", "globalCallID_callId", "dateTimeOrigination", "dateTimeConnect", "dateTimeDisconnect",
               "callingPartyNumber", "finalCalledPartyNumber")  # fmt: skip
    leg = read(file(names(columns), line(columns))).iloc[0]
    assert (leg["total_s"], leg["billable_s"], leg["status"]) == (65, 60, "completed")
    unanswered = read(file(names(columns), line(columns, dateTimeConnect="0"))).iloc[0]
    assert (unanswered["billable_s"], unanswered["status"], unanswered["is_answered"]) == (
        0,
        "unknown",
        False,
    )


def test_a_frame_is_read_like_a_file(read: Read) -> None:
    data = file(names(), types(), line(), line(**UNANSWERED))
    whole = read(data)
    text = sr.cdr_from_frame(pd.read_csv(io.BytesIO(data), dtype=str))
    assert text["status"].tolist() == whole["status"].tolist()
    typed = pd.read_csv(io.BytesIO(data), skiprows=[1], dtype=dict.fromkeys(TEXTS, "str"))
    typed["dateTimeConnect"] = typed["dateTimeConnect"].astype("float64")
    legs = sr.cdr_from_frame(typed, format="cucm")
    assert legs["answered_at"].tolist() == whole["answered_at"].tolist()
    assert legs["linked_id"].tolist() == whole["linked_id"].tolist()


# ---------------------------------------------------------------- rows that are no CDRs

CMR = ("cdrRecordType", "globalCallID_callManagerId", "globalCallID_callId", "nodeId", "directoryNum", "callIdentifier",
       "dateTimeStamp", "numberPacketsSent")  # fmt: skip


@pytest.mark.parametrize("said", ["auto", "cisco-cucm"])
def test_a_file_about_the_quality_of_calls_is_refused_by_name(read: Read, said: str) -> None:
    data = file(",".join(CMR), ",".join(["INTEGER"] * 8), f"2,2,77,2,1001,101,{BEGIN},500")
    with pytest.raises(sr.CdrFormatError, match="CMRs"):
        read(data, format=said)


def test_a_row_about_quality_among_calls_says_that_it_is_none(read: Read) -> None:
    legs = read(file(names(), types(), line(cdrRecordType="2"), line()))
    assert legs["problem"].fillna("").tolist() == [
        "the row is a CMR, about the quality of a call, not a CDR",
        "",
    ]


# ---------------------------------------------------------------- times and outcomes


@pytest.mark.parametrize(
    ("fields", "answered", "status", "cause"),
    [
        ({}, True, "completed", "16"),
        ({"duration": "0"}, True, "completed", "16"),
        ({"dateTimeConnect": "0"}, True, "completed", "16"),
        ({**UNANSWERED, "destCause_value": "0"}, False, "canceled", "0"),
        ({**UNANSWERED, "destCause_value": "0", "origCause_value": "16"}, False, "canceled", "16"),
        ({**UNANSWERED}, False, "unknown", "16"),
        ({**UNANSWERED, "origCause_value": "16"}, False, "unknown", "16"),
        ({**UNANSWERED, "destCause_value": "17"}, False, "busy", "17"),
        ({**UNANSWERED, "destCause_value": "0", "origCause_value": "17"}, False, "busy", "17"),
        ({**UNANSWERED, "destCause_value": "17", "origCause_value": "17"}, False, "busy", "17"),
        ({**UNANSWERED, "destCause_value": "17", "origCause_value": "16"}, False, "unknown", "16/17"),
        ({**UNANSWERED, "destCause_value": "19"}, False, "no_answer", "19"),
        ({**UNANSWERED, "destCause_value": "18"}, False, "no_answer", "18"),
        ({**UNANSWERED, "destCause_value": "1"}, False, "failed", "1"),
        (
            {**UNANSWERED, "destCause_value": "393216", "origCause_value": "393216"},
            False,
            "unknown",
            "393216",
        ),
        ({**UNANSWERED, "destCause_value": "1459617833"}, False, "unknown", "1459617833"),
        ({**UNANSWERED, "destCause_value": "-1493172161"}, False, "unknown", "-1493172161"),
        ({"destCause_value": "126", "origCause_value": "126"}, True, "completed", "126"),
    ],
)
def test_connecting_decides_and_then_the_side_that_cleared(
    read: Read, fields: dict[str, str], answered: bool, status: str, cause: str
) -> None:
    leg = read(file(names(), types(), line(**fields))).iloc[0]
    assert (leg["is_answered"], leg["status"], leg["cause"]) == (answered, status, cause)
    assert pd.isna(leg["answered_at"]) == (fields.get("dateTimeConnect") == "0")


@pytest.mark.parametrize(
    ("word", "fields"),
    [("16", {}), ("17", {"destCause_value": "17"}), ("393216", {"destCause_value": "393216"}),
     ("0", {"destCause_value": "0"}), ("16/17", {"origCause_value": "16", "destCause_value": "17"})],
)  # fmt: skip
def test_every_cause_can_be_mapped_otherwise(read: Read, word: str, fields: dict[str, str]) -> None:
    leg = read(file(names(), line(**UNANSWERED, **fields)), status_map={word: "failed"}).iloc[0]
    assert leg["status"] == "failed"


def test_epochs_without_a_sign_survive_a_database_that_has_one(read: Read) -> None:
    at = 2**31 + 100  # in 2038
    fields = {"dateTimeOrigination": at, "dateTimeConnect": at + 5, "dateTimeDisconnect": at + 65}
    signed = {name: str(value - 2**32) for name, value in fields.items()}
    for values in (signed, {name: str(value) for name, value in fields.items()}):
        leg = read(file(names(), line(**values))).iloc[0]
        assert leg["started_at"] == pd.Timestamp(at, unit="s", tz="UTC")
        assert leg["total_s"] == 65


def test_what_never_started_or_ends_too_early_has_a_problem(read: Read) -> None:
    legs = read(file(names(), line(dateTimeOrigination="0"), line(dateTimeDisconnect=str(BEGIN - 1)),
                     line(dateTimeDisconnect="0")))  # fmt: skip
    assert legs["problem"].fillna("").tolist() == ["there is no start time", "it ends before it starts", ""]
    assert legs.loc[2, ["ended_at", "total_s"]].isna().all()


# ---------------------------------------------------------------- parties and legs


def test_the_called_number_is_where_the_call_ended_up(read: Read) -> None:
    legs = read(file(names(), line(finalCalledPartyNumber="1005"), line(finalCalledPartyNumber="")))
    assert legs["to_number"].tolist() == ["1005", "1002"]


def test_the_user_is_the_caller_or_else_the_called_one(read: Read) -> None:
    legs = read(file(names(), line(callingPartyUnicodeLoginUserID="ann", finalCalledPartyUnicodeLoginUserID="bob"),
                     line(finalCalledPartyUnicodeLoginUserID="bob"), line()))  # fmt: skip
    assert legs["sip_username"].fillna("").tolist() == ["ann", "bob", ""]


@pytest.mark.parametrize(
    ("devices", "numbers", "direction"),
    [
        ("SEP0000000000A1 > csfann", "1001 > 1002", "internal"),
        ("TCTANN > BOTBOB", "1001 > 1002", "internal"),
        ("TABANN > S0/SU1/DS1-0@gw.example", "1001 > +442079460123", "outbound"),
        ("SEP0000000000A1 > SIP_Trunk_1", "1001 > +442079460123", "outbound"),
        ("SEP0000000000A1 > SIP_Trunk_1", "1001 > 2002", None),
        ("PSTN-GW > SEP0000000000A1", "+442079460123 > 1001", "inbound"),
        ("SIP_Trunk_1 > SEP0000000000A1", "2002 > 1001", None),
        ("SIP_Trunk_1 > SIP_Trunk_2", "+442079460123 > +442079460124", None),
        ("SEP0000000000A1 > CiscoUM1-VI1", "1001 > 8000", None),
        ("SEP0000000000A1 > ", "1001 > 1002", None),
        ("SEPTEMBER > SEP0000000000A1", "+442079460123 > 1001", None),
    ],
)
def test_devices_tell_the_direction_where_both_do(
    read: Read, devices: str, numbers: str, direction: str | None
) -> None:
    (orig, dest), (caller, called) = (text.split(" > ") for text in (devices, numbers))
    row = line(
        origDeviceName=orig, destDeviceName=dest, callingPartyNumber=caller, finalCalledPartyNumber=called
    )
    found = read(file(names(), row)).loc[0, "direction"]
    assert found == direction if direction else pd.isna(found)


@pytest.mark.parametrize(
    "column", ["joinOnBehalfOf", "origCalledPartyRedirectOnBehalfOf", "lastRedirectRedirectOnBehalfOf"]
)
def test_rows_of_a_recording_are_helpers(read: Read, column: str) -> None:
    legs = read(file(names(), line(**{column: "27"}), line(**{column: "4"}), line()))
    assert legs["is_helper"].tolist() == [True, False, False]


def test_a_transfer_leaves_the_talk_of_two_rows_and_a_consultation_of_its_own(read: Read) -> None:
    split = {"origCause_value": "393216", "destCause_value": "393216"}

    def times(begin: int, seconds: int) -> dict[str, str]:
        return {
            "dateTimeOrigination": str(BEGIN + begin),
            "dateTimeConnect": str(BEGIN + begin),
            "dateTimeDisconnect": str(BEGIN + begin + seconds),
            "duration": str(seconds),
        }

    legs = read(
        file(
            names(),
            types(),
            line(pkid="a", **times(0, 120), **split),
            line(pkid="b", globalCallID_callId="78", **times(90, 30), **split),
            line(pkid="c", joinOnBehalfOf="10", **times(120, 350)),
        )
    )
    assert legs.groupby("linked_id")["billable_s"].sum().to_dict() == {
        "cluster1/2/77": 470,
        "cluster1/2/78": 30,
    }
    assert legs["is_answered"].all()


def test_a_call_is_named_by_cluster_node_and_number(read: Read) -> None:
    legs = read(file(names(), line(), line(globalCallID_callManagerId="3"), line(globalCallId_ClusterID="")))
    assert legs["linked_id"].tolist() == ["cluster1/2/77", "cluster1/3/77", "2/77"]


def test_the_key_is_the_row_s_own_or_else_the_session_s(read: Read) -> None:
    session = "0e7ca15300105000a00000000000a100"
    legs = read(file(names(), line(origDeviceSessionID=session), line(pkid="", origDeviceSessionID=session)))
    assert legs["call_key"].tolist() == [CALL["pkid"], session]


def test_the_same_row_twice_has_one_hash(read: Read) -> None:
    legs = read(file(names(), types(), line(), line(), line(duration="61")))
    assert legs["record_hash"].nunique() == 2


@pytest.mark.parametrize("cause", ["16", "17", "0"])
def test_without_connect_and_duration_nobody_knows_who_talked(read: Read, cause: str) -> None:
    columns = tuple(name for name in COLUMNS if name not in {"dateTimeConnect", "duration"})
    leg = read(file(names(columns), line(columns, origCause_value=cause, destCause_value="0"))).iloc[0]
    assert leg[["is_answered", "billable_s"]].isna().all()
    assert (leg["status"], leg["cause"], leg["total_s"]) == ("unknown", cause, 65)


def test_a_duration_tells_of_an_answer_without_a_connect(read: Read) -> None:
    columns = tuple(name for name in COLUMNS if name != "dateTimeConnect")
    legs = read(
        file(
            names(columns),
            line(columns),
            line(columns, duration="0", origCause_value="17", destCause_value="0"),
        )
    )
    assert legs["is_answered"].tolist() == [True, False]
    assert legs["status"].tolist() == ["completed", "busy"]
