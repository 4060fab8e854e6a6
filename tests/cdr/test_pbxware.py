"""PBXware: caller ids whose quoting is always broken, the word NULL, and a zone that the ids tell."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.records import careful

Read = Callable[..., pd.DataFrame]

ROW = {
    "AcctId": "1",
    "tenant": "NULL",
    "clid": '"Ann" <1001>',
    "src": "1001",
    "dst": "2025550123",
    "dcontext": "default",
    "channel": "PJSIP/1001-00000001",
    "dstchannel": "PJSIP/Trunk-00000002",
    "lastapp": "Dial",
    "lastdata": "PJSIP/2025550123@Trunk,,XL(1:2:3)b(gosub^s^1)",
    "calldate": "2026-10-01 04:00:00",
    "duration": "37",
    "billsec": "32",
    "billamount": "NULL",
    "disposition": "ANSWERED",
    "amaflags": "3",
    "accountcode": "1001",
    "uniqueid": "1790845200.1",  # 2026-10-01 09:00:00 UTC
    "userfield": "NULL",
    "linkedid": "1790845200.0",
    "sequence": "7",
    "agiuniqueid": "1790845200.1",
    "trunk": "Trunk",
    "did": "NULL",
    "sipcallid": "NULL",
    "inboundsipcallid": "NULL",
}
QUOTED = ("lastdata", "calldate")
FIRST, SECOND = "8c1f3c52-0000-4000-8000-000000000001", "8c1f3c52-0000-4000-8000-000000000002"


def table(*changes: dict[str, str]) -> bytes:
    """Return the table as a database tool writes it: every caller id within quotes, its own left as they are."""
    lines = [",".join(ROW)]
    for changed in changes:
        row = {**ROW, **changed}
        cells = [f'"{row[name]}"' if name in {"clid", *QUOTED} else row[name] for name in ROW]
        lines.append(",".join(cells))
    return "".join(f"{line}\n" for line in lines).encode()


# ---------------------------------------------------------------- the real export


@pytest.fixture(scope="module")
def path(cdr_samples: Path) -> Path:
    return cdr_samples / "pbxware_cdr" / "srinimonster_cdr_first250.csv"


@pytest.fixture(scope="module")
def rows(path: Path) -> list[dict[str, str]]:
    """Take the caller id out by hand, as the csv module misreads it; NULL is nothing."""
    header, *lines = path.read_text().splitlines()
    found = []
    for line in lines:
        taken = re.fullmatch(r'(\d+,\w+,)"("[^"]*" <\d+>)",(.*)', line)
        assert taken is not None
        first, rest = next(csv.reader([taken[1]])), next(csv.reader([taken[3]]))
        cells = [*first[:2], taken[2], *rest]
        found.append(
            {name: "" if c == "NULL" else c for name, c in zip(header.split(","), cells, strict=True)}
        )
    return found


@pytest.fixture(scope="module")
def legs(path: Path) -> pd.DataFrame:
    return sr.read_cdr(path, keep=["clid", "src", "trunk"])


def utc(row: dict[str, str], seconds: int = 0) -> datetime:
    """Return the start of a row, whose clock is five hours behind, and seconds later."""
    local = datetime.strptime(row["calldate"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return local + timedelta(hours=5, seconds=seconds)


def test_the_real_export_is_known_by_its_content(path: Path) -> None:
    ranked = sr.sniff_cdr(path)
    assert (ranked[0].format, ranked[0].score) == ("pbxware", 1.0)
    assert ranked[1].score < 1.0


def test_every_row_of_the_real_export_is_a_leg_without_a_problem(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    assert len(legs) == len(rows) == 250
    assert legs["problem"].isna().all()
    assert legs["time_problem"].isna().all()
    assert legs["x_clid"].tolist() == [row["clid"] for row in rows]


def test_no_line_of_the_real_export_is_taken_apart_by_itself(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        pytest.fail("a line was taken apart by itself")

    monkeypatch.setattr(careful, "mend_line", refuse)
    assert sr.read_cdr(path)["problem"].isna().all()


def test_times_follow_from_the_start_and_the_seconds(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    total, talk = ([int(row[name]) for row in rows] for name in ("duration", "billsec"))
    assert legs["started_at"].tolist() == [utc(row) for row in rows]
    assert legs["ended_at"].tolist() == [utc(row, s) for row, s in zip(rows, total, strict=True)]
    assert legs["total_s"].tolist() == total
    assert legs["billable_s"].tolist() == talk
    answered = legs["answered_at"].astype("object").where(legs["answered_at"].notna(), None).tolist()
    assert answered == [utc(row, t - b) if b else None for row, t, b in zip(rows, total, talk, strict=True)]


def test_answers_and_statuses_of_the_real_export(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    words = {"ANSWERED": "completed", "NO ANSWER": "no_answer", "FAILED": "failed"}
    expected = ["completed" if int(row["billsec"]) else words[row["disposition"]] for row in rows]
    assert legs["status"].tolist() == expected
    assert legs["is_answered"].tolist() == [status == "completed" for status in expected]
    assert legs["cause"].tolist() == [row["disposition"] for row in rows]


def test_keys_of_the_real_export(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    assert legs["leg_id"].tolist() == [row["AcctId"] for row in rows]
    assert legs["leg_id"].is_unique
    assert legs["call_key"].tolist() == [row["uniqueid"] for row in rows]
    assert legs["linked_id"].tolist() == [row["linkedid"] for row in rows]
    assert sum(row["uniqueid"] != row["linkedid"] for row in rows) == 36


def test_numbers_of_the_real_export_lose_the_epoch_behind_an_extension(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    def bare(number: str) -> str:
        glued = re.fullmatch(r"(\d{4})15436\d{5}", number)
        return glued[1] if glued else number

    assert legs["from_number"].fillna("").tolist() == [bare(row["src"]) for row in rows]
    assert legs["to_number"].fillna("").tolist() == [bare(row["dst"]) for row in rows]
    assert sum(bare(row["src"]) != row["src"] for row in rows) == 5
    assert legs["x_src"].fillna("").tolist() == [row["src"] for row in rows]


def test_directions_and_users_of_the_real_export(rows: list[dict[str, str]], legs: pd.DataFrame) -> None:
    def direction(row: dict[str, str]) -> str:
        return "inbound" if row["channel"].startswith("PJSIP/VIOrig-") else "outbound" if row["trunk"] else ""

    def user(row: dict[str, str]) -> str:
        channel = row["dstchannel" if direction(row) == "inbound" else "channel"]
        found = re.fullmatch(r"PJSIP/(.+)-[0-9a-f]{8}", channel)
        return found[1] if found else ""

    assert legs["direction"].fillna("").tolist() == [direction(row) for row in rows]
    assert legs["sip_username"].fillna("").tolist() == [user(row) for row in rows]
    assert legs["sip_username"].dropna().str.fullmatch(r"\d{4}").all()


def test_local_channels_are_helpers_beside_another_leg_only(
    rows: list[dict[str, str]], legs: pd.DataFrame
) -> None:
    local = [row["channel"].startswith("Local/") for row in rows]
    others = {row["linkedid"] for row, inner in zip(rows, local, strict=True) if not inner}
    assert legs["is_helper"].tolist() == [
        inner and row["linkedid"] in others for row, inner in zip(rows, local, strict=True)
    ]
    assert legs["is_helper"].sum() > 0


# ---------------------------------------------------------------- invented rows


@pytest.mark.parametrize(
    "clid",
    ['"Ann" <1001>', '"" <1001>', '"Lee, Ann" <1001>', '"Zoë" <+12025550123>', '"Ann "A" Lee" <1001>', ""],
)
def test_a_caller_id_is_what_the_switch_wrote(read: Read, clid: str) -> None:
    legs = read(table({"clid": clid}, {}), keep=["clid"])
    assert legs["problem"].isna().all()
    assert legs["x_clid"].fillna("").tolist() == [clid, '"Ann" <1001>']


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "1790845200.1"),
        ({"userfield": FIRST, "sipcallid": SECOND}, FIRST),
        ({"accountcode": FIRST}, FIRST),
        ({"sipcallid": FIRST}, FIRST),
        ({"inboundsipcallid": FIRST}, FIRST),
        ({"sipcallid": FIRST, "inboundsipcallid": FIRST}, FIRST),
        ({"sipcallid": FIRST, "inboundsipcallid": SECOND}, "1790845200.1"),
        ({"sipcallid": "abc@192.0.2.1"}, "1790845200.1"),
    ],
)
def test_the_call_key_is_a_platforms_uuid_where_a_row_has_one(
    read: Read, changes: dict[str, str], key: str
) -> None:
    assert read(table(changes)).loc[0, "call_key"] == key


@pytest.mark.parametrize(
    ("number", "shown"),
    [("10011790845200", "1001"), ("10011790845216", "1001"), ("10011790999999", "10011790999999"),
     ("011442079460123", "011442079460123"), ("1790845200", "1790845200"), ("12025550123", "12025550123")],
)  # fmt: skip
def test_only_the_epoch_of_the_call_itself_is_cut_off_a_number(read: Read, number: str, shown: str) -> None:
    legs = read(table({"src": number, "dst": number}))
    assert legs.loc[0, ["from_number", "to_number"]].tolist() == [shown, shown]


@pytest.mark.parametrize(
    ("changes", "direction", "user"),
    [
        ({}, "outbound", "1001"),
        ({"trunk": "NULL", "dst": "1002", "dstchannel": "PJSIP/1002-00000003"}, None, "1001"),
        ({"trunk": "NULL", "channel": "PJSIP/In-00000001", "dcontext": "In", "dstchannel": "PJSIP/1002-00000003"},
         "inbound", "1002"),
        ({"channel": "PJSIP/Trunk-00000001", "dcontext": "voicemail-op", "dstchannel": "NULL"}, "inbound", None),
        ({"channel": "Local/1002@local-call-00000001;2"}, "outbound", None),
    ],
)  # fmt: skip
def test_a_trunk_tells_the_direction(
    read: Read, changes: dict[str, str], direction: str | None, user: str | None
) -> None:
    leg = read(table(changes)).iloc[0]
    assert [None if pd.isna(leg[name]) else leg[name] for name in ("direction", "sip_username")] == [
        direction,
        user,
    ]


@pytest.mark.parametrize(
    ("changes", "status", "answered"),
    [
        ({"billsec": "0"}, "completed", True),
        ({"disposition": "NO ANSWER"}, "completed", True),
        ({"disposition": "NO ANSWER", "billsec": "0"}, "no_answer", False),
        ({"disposition": "BUSY", "billsec": "0"}, "busy", False),
        ({"disposition": "CONGESTION", "billsec": "0"}, "failed", False),
        ({"disposition": "NULL", "billsec": "NULL"}, "unknown", None),
        ({"lastapp": "VoiceMail"}, "completed", True),
        ({"lastapp": "VoiceMail", "disposition": "NO ANSWER", "billsec": "0"}, "no_answer", False),
    ],
)
def test_what_became_of_a_leg(
    read: Read, changes: dict[str, str], status: str, answered: bool | None
) -> None:
    leg = read(table(changes)).iloc[0]
    assert leg["status"] == status
    assert (None if pd.isna(leg["is_answered"]) else bool(leg["is_answered"])) is answered


def test_every_word_can_be_given_another_status(read: Read) -> None:
    busy = {"disposition": "BUSY", "billsec": "0"}
    assert read(table(busy), status_map={"busy": "missed"}).loc[0, "status"] == "missed"


def test_null_is_missing_in_every_column(read: Read) -> None:
    legs = read(table(dict.fromkeys(ROW, "NULL"), {}))
    assert legs.loc[0, "problem"] == "there is no start time"
    assert legs.loc[0, ["leg_id", "call_key", "linked_id", "from_number", "to_number"]].isna().all()


def test_header_alone_one_row_and_a_cut_row(read: Read) -> None:
    assert len(read(table())) == 0
    assert len(read(table({}))) == 1
    legs = read(table({}, {})[:-60])
    assert legs["problem"].isna().tolist() == [True, False]


@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_line_ends_a_bom_and_repeats(read: Read, ends: bytes) -> None:
    legs = read(b"\xef\xbb\xbf" + table({}, {}, {"AcctId": "2"}).replace(b"\n", ends))
    assert legs["record_hash"].duplicated().tolist() == [False, True, False]
    assert legs["problem"].isna().all()


def test_a_zone_that_the_ids_contradict_is_refused(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="UTC-05:00"):
        read(table({}, {"AcctId": "2"}), timezone="UTC")


def test_a_frame_says_the_same_as_a_file(read: Read) -> None:
    frame = pd.DataFrame([ROW, {**ROW, "AcctId": "2"}])
    legs = sr.cdr_from_frame(frame)
    assert legs["format"].tolist() == ["pbxware"] * 2
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    pd.testing.assert_frame_equal(
        legs.drop(columns=different), read(table({}, {"AcctId": "2"})).drop(columns=different)
    )


def test_columns_that_are_absent_are_missing() -> None:
    frame = pd.DataFrame([ROW]).drop(columns=["trunk", "did", "sequence", "clid"])
    leg = sr.cdr_from_frame(frame, format="pbxware").iloc[0]
    assert pd.isna(leg["direction"])
    assert leg["status"] == "completed"
