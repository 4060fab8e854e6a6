"""FreeSWITCH: every shipped template is told by its content, and means the same whatever its order."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import sippet_reconcile as sr

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

CALL = {
    "caller_id_name": "Ann",
    "caller_id_number": "1001",
    "destination_number": "+442079460123",
    "context": "default",
    "start_stamp": "2026-10-01 09:00:00",
    "answer_stamp": "2026-10-01 09:00:05",
    "end_stamp": "2026-10-01 09:01:05",
    "duration": "65",
    "billsec": "60",
    "hangup_cause": "NORMAL_CLEARING",
    "uuid": "8c1f3c52-0000-4000-8000-000000000001",
    "bleg_uuid": "",
    "accountcode": "1001",
    "read_codec": "PCMU",
    "write_codec": "PCMU",
    "sip_user_agent": "Phone/1.0, blue",
    "sip_p_rtp_stat": "",
    "call_clientcode": "",
    "sip_rtp_rxstat": "",
    "sip_rtp_txstat": "",
    "sofia_record_file": "",
    "local_ip_v4": "192.0.2.7",
    "caller_id": '"Ann" <1001>',
    "channel_name": "sofia/internal/1001@pbx.example",
    "bridge_channel": "",
    "last_app": "bridge",
    "last_arg": "{a=b,c=d}sofia/gateway/trunk/442079460123",
    "amaflags": "",
    "userfield": "",
    "signal_bond": "",
    "direction": "inbound",
    "ani": "1001",
    "network_addr": "198.51.100.9",
    "original": "",
    "sip_gateway_name": "",
}
UNANSWERED = {"answer_stamp": "", "end_stamp": "2026-10-01 09:00:20", "duration": "20", "billsec": "0"}

_BASE = "caller_id_name caller_id_number destination_number context start_stamp answer_stamp end_stamp duration billsec hangup_cause uuid bleg_uuid"
_ASTERISK = (
    "accountcode caller_id_number destination_number context caller_id channel_name bridge_channel last_app last_arg "
    "start_stamp answer_stamp end_stamp duration billsec hangup_cause amaflags uuid userfield"
)
# Names in order; those that have a blank before their quotes begin with '_'.
TEMPLATES = {
    "example": f"{_BASE} accountcode read_codec write_codec",
    "default": f"{_BASE} _accountcode",
    "snom": f"{_BASE} _accountcode read_codec write_codec sip_user_agent call_clientcode sip_rtp_rxstat sip_rtp_txstat sofia_record_file",
    "linksys": f"{_BASE} accountcode read_codec write_codec sip_user_agent sip_p_rtp_stat",
    "asterisk": _ASTERISK,
    "opencdrrate": "uuid signal_bond direction ani destination_number answer_stamp end_stamp billsec accountcode userfield network_addr original sip_gateway_name",
    "pg": f"local_ip_v4 {_BASE} accountcode read_codec write_codec",
}
WITH_START = [name for name in TEMPLATES if name != "opencdrrate"]


def uuid(n: int) -> str:
    return f"8c1f3c52-0000-4000-8000-{n:012d}"


def line(template: str, end: str = "\n", **fields: str) -> bytes:
    """Return one row as the switch writes it: nothing is escaped."""
    row = {**CALL, **fields}
    names = TEMPLATES[template].split()
    cells = [" " * name.startswith("_") + f'"{row[name.removeprefix("_")]}"' for name in names]
    return (",".join(cells) + end).encode()


def header(template: str, between: str = ",") -> bytes:
    return between.join(TEMPLATES[template].replace("_acc", "acc").split()).encode() + b"\n"


@pytest.mark.parametrize("n_rows", [1, 5])
@pytest.mark.parametrize("template", TEMPLATES)
def test_each_template_is_known_by_its_content_alone(template: str, n_rows: int) -> None:
    data = b"".join(line(template, uuid=uuid(n)) for n in range(n_rows))
    ranked = sr.sniff_cdr(io.BytesIO(data))
    assert (ranked[0].format, ranked[0].score) == ("freeswitch", 1.0)
    assert all(candidate.score < 0.5 for candidate in ranked[1:])


@pytest.mark.parametrize("template", WITH_START)
def test_each_template_means_the_same(template: str, read: Read) -> None:
    data = line(template) + line(template, uuid=uuid(2), hangup_cause="USER_BUSY", **UNANSWERED)
    legs = read(data, timezone="Europe/London")
    assert legs["format"].unique().tolist() == ["freeswitch"]
    assert legs["problem"].isna().all()
    assert legs["call_key"].tolist() == legs["leg_id"].tolist() == [uuid(1), uuid(2)]
    assert [at.isoformat() for at in legs["started_at"]] == ["2026-10-01T08:00:00+00:00"] * 2
    assert legs["answered_at"].notna().tolist() == legs["is_answered"].tolist() == [True, False]
    assert (legs["ended_at"] - legs["started_at"]).dt.total_seconds().tolist() == [65, 20]
    assert (legs["total_s"].tolist(), legs["billable_s"].tolist()) == ([65, 20], [60, 0])
    assert legs["status"].tolist() == ["completed", "busy"]
    assert legs["cause"].tolist() == ["NORMAL_CLEARING", "USER_BUSY"]
    assert legs["from_number"].tolist() == ["1001"] * 2
    assert legs["to_e164"].tolist() == ["+442079460123"] * 2
    assert (legs["direction"].tolist(), legs["sip_username"].tolist()) == (["outbound"] * 2, ["1001"] * 2)


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_not_quoted_by_the_book_is_read_whole(template: str, read: Read) -> None:
    keep = {
        "asterisk": ["caller_id", "last_arg"],
        "snom": ["accountcode"],
        "default": ["accountcode"],
        "opencdrrate": [],
    }
    legs = read(line(template) * 3, timezone="UTC", keep=keep.get(template, ["caller_id_name"]))
    kept = {"x_caller_id": '"Ann" <1001>', "x_last_arg": CALL["last_arg"], "x_accountcode": "1001", "x_caller_id_name": "Ann"}  # fmt: skip
    for name in legs.columns[legs.columns.str.startswith("x_")]:
        assert legs[name].tolist() == [kept[name]] * 3


@pytest.mark.parametrize("name", ['Bob "the" Smith', "Lee, Al", 'Lee, "Al"', "", '"', "Zoë"])
@pytest.mark.parametrize("template", WITH_START)
def test_a_name_that_breaks_the_quoting_costs_no_row(template: str, name: str, read: Read) -> None:
    odd = line(template, caller_id_name=name, caller_id=f'"{name}" <1001>' if name else "1001", uuid=uuid(2))
    legs = read(line(template) + odd + line(template, uuid=uuid(3)), timezone="UTC")
    assert legs["problem"].isna().all()
    assert legs["call_key"].tolist() == [uuid(1), uuid(2), uuid(3)]
    assert legs["billable_s"].tolist() == [60, 60, 60]
    assert legs["sip_username"].tolist() == ["1001"] * 3


@pytest.mark.parametrize("name", ['O\'Hara, "Red", Pat', '"Red", Pat', 'x "y", z'])
def test_a_name_with_quotes_and_commas_is_not_taken_for_the_address_of_another_template(
    name: str, freeswitch: Line, read: Read
) -> None:
    data = freeswitch() + freeswitch(caller_id_name=name, caller_id_number="1002")
    leg = read(data, timezone="UTC", keep=["caller_id_name"]).iloc[1]
    assert leg["x_caller_id_name"] == name
    assert leg["from_number"] == "1002"
    assert pd.isna(leg["problem"])


def test_a_line_break_in_a_name_leaves_no_row_that_is_wrong(read: Read) -> None:
    for template in WITH_START:
        odd = line(template, caller_id_name="Ann\nLee", caller_id='"Ann\nLee" <1001>', uuid=uuid(2))
        legs = read(line(template) + odd + line(template, uuid=uuid(3)), timezone="UTC")
        good = legs[legs["problem"].isna()]
        assert {uuid(1), uuid(3)} <= set(good["call_key"])
        assert set(good["billable_s"]) == {60.0}


def test_opencdrrate_has_no_start_so_its_rows_count_by_their_key_alone(read: Read) -> None:
    data = (
        line("opencdrrate", direction="outbound", sip_gateway_name="trunk", signal_bond=uuid(2))
        + line("opencdrrate", uuid=uuid(2), signal_bond=uuid(1))
        + line("opencdrrate", uuid=uuid(3), direction="outbound", **UNANSWERED)
    )
    legs = read(data, timezone="Europe/London")
    assert legs["problem"].isna().all()
    assert legs["started_at"].isna().all()
    assert legs["total_s"].isna().all()
    assert legs["is_answered"].tolist() == [True, True, False]
    assert legs["billable_s"].tolist() == [60, 60, 0]
    assert legs.loc[0, "answered_at"].isoformat() == "2026-10-01T08:00:05+00:00"
    # A leg towards the switch is also the first one of a user's call out: only a gateway tells.
    assert legs["direction"].fillna("?").tolist() == ["outbound", "?", "?"]
    assert legs["status"].tolist() == ["completed", "completed", "unknown"]
    assert legs["linked_id"].nunique() == 2
    assert legs.loc[0, "linked_id"] == legs.loc[1, "linked_id"]


def test_a_pg_spool_has_bare_nulls_and_times_with_an_offset(read: Read) -> None:
    data = line("pg", start_stamp="2026-10-01 09:00:00+01", answer_stamp="", end_stamp="2026-10-01 09:00:20+01",
                duration="20", billsec="0", hangup_cause="NO_ANSWER", caller_id_name="").replace(b'""', b"null")  # fmt: skip
    legs = read(data)
    assert legs["problem"].isna().all()
    assert legs.loc[0, "started_at"].isoformat() == "2026-10-01T08:00:00+00:00"
    assert (legs.loc[0, "status"], legs.loc[0, "linked_id"]) == ("no_answer", uuid(1))


def statement(**fields: str) -> bytes:
    """Return a row of the sql template."""
    return b"INSERT INTO cdr VALUES (" + line("default", end="", **fields) + b");\n"


def test_the_sql_template_is_read_by_the_place_of_its_values(read: Read) -> None:
    data = (
        statement()
        + statement(uuid=uuid(2), caller_id_name="Lee, O'Al; (x)", **UNANSWERED)
        + statement(uuid=uuid(3))
    )
    legs = read(data, timezone="Europe/London", keep=["caller_id_name"])
    assert legs["format"].unique().tolist() == ["freeswitch"]
    assert legs["problem"].isna().all()
    assert legs["call_key"].tolist() == [uuid(1), uuid(2), uuid(3)]
    assert legs["x_caller_id_name"].tolist() == ["Ann", "Lee, O'Al; (x)", "Ann"]
    assert (legs["billable_s"].tolist(), legs["total_s"].tolist()) == ([60, 0, 60], [65, 20, 65])
    assert legs["sip_username"].tolist() == ["1001"] * 3
    assert legs["source_row"].tolist() == [1, 2, 3]
    assert legs.loc[0, "started_at"].isoformat() == "2026-10-01T08:00:00+00:00"


def test_a_name_that_breaks_a_statement_leaves_the_other_rows_whole(read: Read) -> None:
    data = statement() + statement(uuid=uuid(2), caller_id_name='Bob "the" Smith') + statement(uuid=uuid(3))
    legs = read(data, timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False, True]
    assert legs["call_key"].iloc[[0, 2]].tolist() == [uuid(1), uuid(3)]


def test_a_dump_that_names_the_columns_is_read_by_their_names(read: Read) -> None:
    names = ", ".join(TEMPLATES["default"].replace("_acc", "acc").split()[::-1]).replace(
        "_stamp", "_timestamp"
    )
    values = ", ".join(
        f"'{CALL[name]}'" for name in TEMPLATES["default"].replace("_acc", "acc").split()[::-1]
    )
    dump = f"INSERT INTO `cdr` ({names}) VALUES ({values});\n"  # noqa: S608 - a dump that is read, not a query
    legs = read(dump.encode(), timezone="UTC")
    assert legs[["format", "call_key", "billable_s", "status"]].iloc[0].tolist() == [
        "freeswitch",
        uuid(1),
        60,
        "completed",
    ]


def test_rows_that_all_stand_on_one_line_are_told_apart(read: Read) -> None:
    joined = [line("asterisk", end=";", uuid=uuid(n), userfield="x,y" if n % 2 else "") for n in range(50)]
    joined[7] = line("asterisk", end=";", uuid=uuid(7), caller_id='"Lee, Al" <1001>', **UNANSWERED)
    for end in (b"", b"\n", b"\r\n"):
        legs = read(b"".join(joined) + end, timezone="UTC", keep=["userfield", "caller_id"])
        assert legs["problem"].isna().all()
        assert legs["call_key"].tolist() == [uuid(n) for n in range(50)]
        assert legs["source_row"].tolist() == list(range(1, 51))
        assert legs["is_answered"].sum() == 49
        assert legs["x_userfield"].dropna().unique().tolist() == ["x,y"]
        assert legs.loc[7, "x_caller_id"] == '"Lee, Al" <1001>'
    assert read(joined[0], timezone="UTC")["problem"].isna().all()


def test_joined_rows_that_follow_whole_lines_or_are_cut_are_kept(read: Read) -> None:
    whole = line("asterisk", uuid=uuid(90))
    joined = b"".join(line("asterisk", end=";", uuid=uuid(n)) for n in range(5))
    legs = read(whole + joined + joined[:120], timezone="UTC")
    assert legs["problem"].isna().tolist() == [True] * 6 + [False]
    assert legs["call_key"][:6].tolist() == [uuid(90), *(uuid(n) for n in range(5))]


def test_a_huge_line_of_joined_rows_is_read_whole(in_file: Callable[..., Path]) -> None:
    rows = b"".join(line("asterisk", end=";", uuid=uuid(n)) for n in range(6000))
    assert len(rows) > 1 << 20
    legs = sr.read_cdr(in_file(rows), timezone="UTC")
    assert (len(legs), legs["problem"].notna().sum(), legs["call_key"].nunique()) == (6000, 0, 6000)


def test_a_semicolon_elsewhere_divides_nothing(freeswitch: Line, read: Read) -> None:
    data = freeswitch(caller_id_name='a";"b') + freeswitch(uuid=uuid(2), caller_id_name=";")
    legs = read(data, timezone="UTC", keep=["caller_id_name"])
    assert legs["x_caller_id_name"].tolist() == ['a";"b', ";"]


def test_an_account_file_may_have_another_template_than_master(in_file: Callable[..., Path]) -> None:
    master = in_file(line("example", accountcode="asterisk") + line("example", uuid=uuid(2)))
    account = in_file(line("asterisk", accountcode="asterisk"), "asterisk.csv")
    legs = sr.read_cdr([master, account], timezone="UTC")
    assert legs["problem"].isna().all()
    assert legs["call_key"].tolist() == [uuid(1), uuid(2), uuid(1)]
    assert legs["linked_id"].tolist() == [uuid(1), uuid(2), uuid(1)]
    columns = ["started_at", "ended_at", "billable_s", "total_s", "status", "to_e164"]
    assert legs.loc[0, columns].tolist() == legs.loc[2, columns].tolist()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("example", "linksys"),
        ("default", "example"),
        ("example", "default"),
        ("snom", "asterisk"),
        ("example", "opencdrrate"),
    ],
)
def test_a_template_that_was_changed_in_mid_file_changes_the_rows_from_there(
    old: str, new: str, read: Read
) -> None:
    data = b"".join(line(old, uuid=uuid(n)) for n in range(6)) + b"".join(
        line(new, uuid=uuid(n)) for n in range(6, 12)
    )
    legs = read(data, timezone="UTC")
    assert legs["call_key"].tolist() == [uuid(n) for n in range(12)]
    assert legs["billable_s"].eq(60).all()
    assert legs["is_answered"].all()
    without_start = [False] * 6 + [new == "opencdrrate"] * 6
    assert legs["problem"].eq("there is no start time").tolist() == without_start
    assert legs["problem"].isna().tolist() == [not missing for missing in without_start]


def test_a_row_cut_at_a_rotation_is_kept_and_its_repetition_is_used(
    freeswitch: Line, in_file: Callable[..., Path]
) -> None:
    whole = freeswitch(uuid=uuid(2))
    rotated = in_file(freeswitch() + whole[:150], "Master.csv.2026-10-01-10-00-00")
    legs = sr.read_cdr([rotated, in_file(whole)], timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False, True]
    assert legs["source_file"].tolist() == ["Master.csv.2026-10-01-10-00-00"] * 2 + ["Master.csv"]
    assert legs.loc[[0, 2], "call_key"].tolist() == [uuid(1), uuid(2)]


@pytest.mark.parametrize("cut", range(1, 290, 7))
def test_a_row_written_behind_a_cut_one_is_never_read_shifted(cut: int, freeswitch: Line, read: Read) -> None:
    """Without rotation the whole row is written again behind its cut beginning, on the same line."""
    whole = freeswitch(uuid=uuid(2), caller_id_name="Bob")
    data = freeswitch() + freeswitch(uuid=uuid(2), caller_id_name="Bob")[:cut].rstrip(b"\n") + whole
    legs = read(data, format="freeswitch", timezone="UTC")
    assert legs["call_key"][0] == uuid(1)
    for leg in legs[legs["problem"].isna()].to_dict("records"):
        assert (leg["total_s"], leg["billable_s"], leg["cause"]) == (65, 60, "NORMAL_CLEARING")
        assert leg["call_key"] in {uuid(1), uuid(2)}
        assert leg["started_at"].isoformat() == "2026-10-01T09:00:00+00:00"


@pytest.mark.parametrize("template", TEMPLATES)
def test_rows_of_whom_nothing_is_right_are_believed_where_no_other_system_writes_as_many(
    template: str, asterisk: Line, read: Read
) -> None:
    damaged = line(template, billsec="?", direction="?")
    assert read(damaged, format="freeswitch", timezone="UTC")["problem"].notna().tolist() == [True]
    with pytest.raises(sr.CdrFormatError, match="this is not"):
        read(asterisk(start=""), format="freeswitch", timezone="UTC")


@pytest.mark.parametrize("n_more", [1, 6, 30])
def test_columns_that_somebody_added_behind_the_usual_ones_are_kept(n_more: int, read: Read) -> None:
    more = "".join(f',"extra {n}"' for n in range(n_more)).encode() + b"\n"
    data = b"".join(line("default", end="", uuid=uuid(n)) + more for n in range(4))
    legs = read(data + line("default", uuid=uuid(9))[:100], timezone="UTC", keep=["column 14"])
    assert legs["format"].unique().tolist() == ["freeswitch"]
    assert legs["call_key"][:4].tolist() == [uuid(n) for n in range(4)]
    assert legs["sip_username"][:4].tolist() == ["1001"] * 4
    assert legs["x_column 14"][:4].tolist() == ["extra 0"] * 4
    assert legs["problem"].isna().tolist() == [True] * 4 + [False]


def test_a_few_wide_rows_are_no_template(freeswitch: Line, read: Read) -> None:
    wide = freeswitch(uuid=uuid(2)).replace(b"\n", b',"a","b","c","d","e","f","g"\n')
    legs = read(freeswitch() * 3 + wide, timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, True, True, False]


@pytest.mark.parametrize("between", [",", ", "])
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_copy_with_a_header_is_read_by_its_names(template: str, between: str, read: Read) -> None:
    legs = read(header(template, between) + line(template) * 2, timezone="UTC")
    assert legs["call_key"].tolist() == [uuid(1)] * 2
    assert legs["billable_s"].tolist() == [60, 60]
    assert legs["from_number"].tolist() == ["1001"] * 2
    assert legs["problem"].isna().all()
    empty = read(header(template), format="freeswitch", timezone="UTC")
    assert len(empty) == 0


def test_a_table_with_epochs_needs_no_zone(read: Read) -> None:
    names = b"uuid,caller_id_number,destination_number,start_stamp,start_epoch,answer_epoch,end_epoch,duration,billsec,hangup_cause\n"
    start = 1790841600
    data = names + f"{uuid(1)},1001,1002,2026-10-01 09:00:00,{start},{start + 5},{start + 65},65,60,NORMAL_CLEARING\n".encode()  # fmt: skip
    data += f"{uuid(2)},1001,1002,2026-10-01 09:00:00,{start},0,{start + 9},9,0,NO_ANSWER\n".encode()
    legs = read(data)
    assert legs["started_at"].eq(pd.Timestamp(start, unit="s", tz="UTC")).all()
    assert legs["is_answered"].tolist() == [True, False]
    assert legs["answered_at"].isna().tolist() == [False, True]
    assert legs["status"].tolist() == ["completed", "no_answer"]


def test_a_frame_of_the_example_table_for_mysql_is_read(tmp_path: Path) -> None:
    row = {name: CALL[name] for name in TEMPLATES["example"].split()}
    renamed = {
        name.replace("_stamp", "_timestamp") if name != "uuid" else name: value for name, value in row.items()
    }
    never = {
        **renamed,
        "answer_timestamp": "0000-00-00 00:00:00",
        "billsec": "0",
        "hangup_cause": "NO_ANSWER",
    }
    df = pd.DataFrame([renamed, never])
    legs = sr.cdr_from_frame(df, timezone="UTC")
    assert legs["format"].unique().tolist() == ["freeswitch"]
    assert legs["status"].tolist() == ["completed", "no_answer"]
    path = tmp_path / "cdr.parquet"
    df.to_parquet(path)
    assert sr.read_cdr(path, timezone="UTC")["billable_s"].tolist() == [60, 0]


def test_excel_takes_quotes_and_seconds_away(read: Read) -> None:
    row = {**CALL, "start_stamp": "2026/10/1 9:00", "answer_stamp": "2026/10/1 9:00", "end_stamp": "2026/10/1 9:01"}  # fmt: skip
    cells = ",".join(row[name] for name in TEMPLATES["example"].split())
    legs = read(f"\ufeff{cells}\r\n".encode(), timezone="UTC")
    assert (legs.loc[0, "total_s"], legs.loc[0, "billable_s"], legs.loc[0, "is_coarse"]) == (65, 60, True)
    assert pd.isna(legs.loc[0, "problem"])


@pytest.mark.parametrize("template", WITH_START)
@pytest.mark.parametrize(
    ("fields", "is_helper", "status"),
    [
        ({"hangup_cause": "LOSE_RACE", **UNANSWERED}, True, "canceled"),
        ({"hangup_cause": "PICKED_OFF", **UNANSWERED}, True, "canceled"),
        ({"hangup_cause": "PICKED_OFF", **UNANSWERED, "answer_stamp": "1970-01-01 00:00:00"}, True, "canceled"),
        ({"hangup_cause": "PICKED_OFF"}, False, "completed"),
        ({"hangup_cause": "LOSE_RACE", "answer_stamp": ""}, False, "completed"),
        ({"hangup_cause": "BLIND_TRANSFER", **UNANSWERED}, False, "unknown"),
        ({"hangup_cause": "ATTENDED_TRANSFER"}, False, "completed"),
        ({"destination_number": "voicemail", "accountcode": "", **UNANSWERED}, True, "unknown"),
        ({"destination_number": "voicemail", "accountcode": ""}, False, "completed"),
        ({"destination_number": "park+700", **UNANSWERED}, False, "unknown"),
        ({"caller_id_number": "default", "context": "public", "destination_number": "900442079460123",
          **UNANSWERED, "end_stamp": "2026-10-01 09:00:00", "duration": "0"}, False, "unknown"),
    ],
    ids=["lost", "picked-off", "picked-off-1970", "picked-off-in-talk", "talked-all-the-same", "handed-over",
         "handed-over-in-talk", "mailbox", "mailbox-talk", "parked", "probe"],
)  # fmt: skip
def test_only_legs_that_rang_and_lost_are_helpers(
    template: str, fields: dict[str, str], is_helper: bool, status: str, read: Read
) -> None:
    legs = read(line(template, **fields), timezone="UTC")
    assert legs["problem"].isna().all()
    assert (legs.loc[0, "is_helper"], legs.loc[0, "status"]) == (is_helper, status)


def test_a_parking_place_is_no_telephone_number(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch(destination_number="park+700"), timezone="UTC", country="GB")
    assert (legs.loc[0, "to_number"], pd.isna(legs.loc[0, "to_e164"])) == ("park+700", True)


def test_one_leg_may_stand_on_two_rows_with_two_others(freeswitch: Line, read: Read) -> None:
    data = freeswitch(bleg_uuid=uuid(2)) + freeswitch(bleg_uuid=uuid(3)) + freeswitch(uuid=uuid(3))
    legs = read(data, timezone="UTC")
    assert len(set(legs["linked_id"])) == 1
    assert legs["record_hash"].nunique() == 3


def test_without_a_context_nobody_knows_who_called(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch(context="") + freeswitch(context="from-carrier"), timezone="UTC")
    assert legs["direction"].fillna("?").tolist() == ["?", "outbound"]


@pytest.mark.parametrize("template", WITH_START)
@pytest.mark.parametrize("name", ["start_stamp", "uuid", "billsec", "hangup_cause"])
def test_a_damaged_cell_is_a_problem_of_its_row_alone(template: str, name: str, read: Read) -> None:
    damaged = line(template, **{name: "???"})
    legs = read(line(template) * 4 + damaged, timezone="UTC")
    assert legs["problem"][:4].isna().all()
    assert legs["problem"].notna()[4] == (name in {"start_stamp", "billsec"})
    assert legs["status"].eq("completed").all()


@pytest.mark.parametrize(
    "name", ["duynguyen_Master", "kxing_Master_excel", "powermedia_Master", "spicyramen_Master"]
)
def test_real_files_tell_what_plain_python_finds(name: str, cdr_samples: Path) -> None:
    path = cdr_samples / "freeswitch_cdr_csv" / f"{name}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [dict(zip(TEMPLATES["example"].split(), row, strict=True)) for row in csv.reader(file)]
    legs = sr.read_cdr(path, timezone="UTC")
    assert legs["from_number"].fillna("").tolist() == [row["caller_id_number"] for row in rows]
    assert legs["sip_username"].fillna("").tolist() == [row["accountcode"] for row in rows]
    assert legs["cause"].tolist() == [row["hangup_cause"] for row in rows]
    answered = [bool(row["answer_stamp"]) for row in rows]
    assert legs["is_answered"].tolist() == answered
    assert legs["status"].eq("completed").tolist() == answered
    said_nothing = [row["hangup_cause"] == "NORMAL_CLEARING" and not row["answer_stamp"] for row in rows]
    assert legs["status"].eq("unknown").tolist() == said_nothing
    public = [row["context"] == "public" for row in rows]
    assert legs["direction"].eq("inbound").tolist() == public
    mailbox = [row["destination_number"] == "voicemail" and not row["answer_stamp"] for row in rows]
    assert legs["is_helper"].tolist() == mailbox


def test_pieces_of_a_large_file_are_read_as_the_whole(
    in_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for template in TEMPLATES:
        path = in_file(b"".join(line(template, uuid=uuid(n)) for n in range(40)))
        whole = sr.read_cdr(path, timezone="UTC")
        with monkeypatch.context() as patch:
            patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
            patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
            patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 1000)
            pd.testing.assert_frame_equal(sr.read_cdr(path, timezone="UTC"), whole)
