"""FreePBX: two ages of the report, the table without a header, and what spreadsheets make of both."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import sippet_reconcile as sr

Read = Callable[..., pd.DataFrame]

OLD = ("calldate", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration", "billsec",
       "disposition", "amaflags", "accountcode", "uniqueid", "userfield")  # fmt: skip
REPORT = (*OLD, "did", "cnum", "cnam", "outbound_cnum", "outbound_cnam", "dst_cnam", "recordingfile", "linkedid",
          "peeraccount", "sequence")  # fmt: skip
TABLE = (*OLD, "did", "recordingfile", "cnum", "cnam", "outbound_cnum", "outbound_cnam", "dst_cnam", "linkedid",
         "peeraccount", "sequence")  # fmt: skip
ROW = {
    **dict.fromkeys(TABLE, ""),
    "calldate": "2026-10-01 09:00:00", "clid": '"Ann" <1001>', "src": "1001", "dst": "+442079460123",
    "dcontext": "from-internal", "channel": "PJSIP/1001-0000000a", "dstchannel": "PJSIP/trunk-0000000b", "lastapp": "Dial",
    "lastdata": "PJSIP/+442079460123@trunk,60,T", "duration": "65", "billsec": "60", "disposition": "ANSWERED",
    "amaflags": "3", "uniqueid": "1790845200.1", "cnum": "1001", "cnam": "Ann", "linkedid": "1790845200.0", "sequence": "7",
}  # fmt: skip


def line(names: tuple[str, ...] = REPORT, **fields: str) -> str:
    """Return one row as fputcsv writes it, with some fields replaced."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([{**ROW, **fields}[name] for name in names])
    return out.getvalue()


def header(names: tuple[str, ...] = REPORT) -> str:
    return ",".join(names) + "\n"


def moment(text: str) -> datetime:
    for pattern in ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%y %H:%M"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise AssertionError(text)


# ---------------------------------------------------------------- real files


def rows_of(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_text("utf-8").replace("\r", "\n"), newline="")))


@pytest.mark.parametrize(
    ("name", "has_header"), [("apspoliveira_cdr_1504525205", True), ("apspoliveira_cdr_dmy_noheader", False)]
)
def test_a_real_export_is_read_as_plain_python_reads_it(
    cdr_samples: Path, name: str, has_header: bool
) -> None:
    path = cdr_samples / "freepbx_export" / f"{name}.csv"
    rows = rows_of(path)[has_header:]
    gaps = Counter(
        round((moment(row[0]).timestamp() - float(row[14].split(".")[0])) / 900) * 900 for row in rows
    )
    ((offset, _),) = gaps.most_common(1)
    assert offset == 3600
    legs = sr.read_cdr(path)
    assert legs["format"].unique().tolist() == ["freepbx"]
    assert legs["problem"].isna().all()
    starts = [moment(row[0]) - timedelta(seconds=offset) for row in rows]
    assert legs["started_at"].tolist() == [pd.Timestamp(at) for at in starts]
    ends = [at + timedelta(seconds=int(row[9])) for at, row in zip(starts, rows, strict=True)]
    assert legs["ended_at"].tolist() == [pd.Timestamp(at) for at in ends]
    answers = [
        pd.Timestamp(end - timedelta(seconds=int(row[10])))
        for end, row in zip(ends, rows, strict=True)
        if row[10] != "0"
    ]
    assert legs["answered_at"].dropna().tolist() == answers
    assert legs["total_s"].tolist() == [int(row[9]) for row in rows]
    assert legs["billable_s"].tolist() == [int(row[10]) for row in rows]
    assert legs["cause"].tolist() == [row[11] for row in rows]
    assert legs["call_key"].tolist() == [row[14] for row in rows]
    assert legs["from_number"].fillna("").tolist() == [row[2] for row in rows]
    assert legs["is_answered"].tolist() == [row[11] == "ANSWERED" or row[10] != "0" for row in rows]
    assert (legs["status"] == "completed").tolist() == legs["is_answered"].tolist()
    mailbox = sum(row[7] == "VoiceMail" and row[11] == "ANSWERED" for row in rows)
    told = sr.read_cdr(path, status_map={"VOICEMAIL": "voicemail"})
    assert int((told["status"] == "voicemail").sum()) == mailbox > 0
    known = [
        (row[3], to)
        for row, to in zip(rows, legs["to_number"], strict=True)
        if row[3] not in {"s", "t", "i", "h", ""}
    ]
    assert all(dst == to for dst, to in known)
    internal = [
        row[2] != "" and row[5].startswith(f"SIP/{row[2]}-") and row[6].startswith(f"SIP/{row[3]}-")
        for row in rows
    ]
    assert (legs["direction"] == "internal").fillna(value=False).tolist() == internal
    assert legs["source_row"].tolist() == list(range(1 + has_header, len(rows) + 1 + has_header))


def test_the_epoch_in_the_ids_settles_which_part_of_a_date_is_the_day(cdr_samples: Path) -> None:
    path = cdr_samples / "freepbx_export" / "apspoliveira_cdr_dmy_noheader.csv"
    assert max(int(part) for row in rows_of(path) for part in row[0].split("/")[:2]) <= 9
    legs = sr.read_cdr(path, timezone="Europe/Lisbon")
    days = legs["started_at"].dt.tz_convert("Europe/Lisbon").dt.strftime("%m-%d")
    assert sorted(days.unique()) == [f"09-0{day}" for day in range(1, 10) if f"09-0{day}" in set(days)]
    gap = (
        legs["started_at"]
        - pd.to_datetime(legs["call_key"].str.split(".").str[0].astype(int), unit="s", utc=True)
    ).abs()
    assert (gap < pd.Timedelta("2min")).mean() > 0.9


def test_a_spreadsheet_with_bare_carriage_returns_and_no_key(cdr_samples: Path) -> None:
    path = cdr_samples / "freepbx_export" / "apspoliveira_cdr_new_CR.csv"
    rows = rows_of(path)[1:]
    with pytest.raises(sr.InputError, match="pass timezone="):
        sr.read_cdr(path)
    legs = sr.read_cdr(path, timezone="Europe/Lisbon")
    summer = datetime(2017, 8, 24, tzinfo=ZoneInfo("Europe/Lisbon")).utcoffset()
    assert summer is not None
    assert legs["started_at"].tolist() == [pd.Timestamp(moment(row[0]) - summer) for row in rows]
    assert legs["is_coarse"].all()
    # A minute and some seconds make no instant.
    assert legs[["ended_at", "answered_at", "call_key", "leg_id", "linked_id"]].isna().all(axis=None)
    assert legs["billable_s"].tolist() == [int(row[4]) for row in rows]
    assert legs[["from_number", "to_number"]].to_numpy().tolist() == [row[1:3] for row in rows]
    assert legs["is_answered"].tolist() == [row[5] == "ANSWERED" for row in rows]


# ---------------------------------------------------------------- invented ones


@pytest.mark.parametrize(
    ("names", "has_header"),
    [
        (REPORT, True),
        (TABLE, True),
        (OLD, True),
        (tuple(reversed(REPORT)), True),
        (TABLE, False),
        (OLD, False),
    ],
    ids=["report", "table", "old-report", "any-order", "table-without-header", "old-table-without-header"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_both_ages_are_read_with_and_without_header(
    read: Read, names: tuple[str, ...], has_header: bool, end: str
) -> None:
    text = (header(names) if has_header else "") + line(names) * 2
    legs = read(text.replace("\n", end).encode("utf-8-sig"))
    assert legs["format"].tolist() == ["freepbx"] * 2
    leg = legs.iloc[0]
    at = pd.Timestamp("2026-10-01 09:00:00", tz="UTC")
    assert leg[["started_at", "answered_at", "ended_at"]].tolist() == [
        at,
        at + pd.Timedelta("5s"),
        at + pd.Timedelta("65s"),
    ]
    assert leg[["from_number", "to_e164", "status", "direction"]].tolist() == [
        "1001",
        "+442079460123",
        "completed",
        "outbound",
    ]
    is_old = len(names) == len(OLD)
    assert leg[["leg_id", "linked_id"]].tolist() == (
        ["1790845200.1"] * 2 if is_old else ["1790845200.1/7", "1790845200.0"]
    )


@pytest.mark.parametrize("clid", ['"Ann" <1001>', '<1001> "אן"', "Ann <1001>", '"O, Hara" <1001>', "<1001>"])
def test_the_number_of_the_caller_is_found_in_the_clid(read: Read, clid: str) -> None:
    legs = read((header() + line(src="", cnum="", clid=clid) * 2).encode(), keep=["clid"])
    assert legs["from_number"].tolist() == ["1001"] * 2
    assert legs["x_clid"].tolist() == [clid] * 2


def test_an_unescaped_clid_is_mended(read: Read) -> None:
    plain = line(OLD, clid="CLID").replace("CLID", '"User, 10" <1001>')
    legs = read((header(OLD) + plain * 3 + line(OLD)).encode(), keep=["clid"])
    assert legs["problem"].isna().tolist()[3]
    assert len(legs) == 4
    simple = line(OLD, clid="CLID").replace("CLID", '"User 10" <1001>')
    legs = read((header(OLD) + simple * 2).encode(), keep=["clid"])
    assert legs["x_clid"].tolist() == ['"User 10" <1001>'] * 2
    assert legs["problem"].isna().all()


@pytest.mark.parametrize("pattern", ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%y %H:%M:%S"])
def test_days_and_months_below_thirteen_are_told_apart_by_the_ids(read: Read, pattern: str) -> None:
    begins = [
        datetime(2026, month, day, 9, tzinfo=UTC)
        for month, day in ((2, 1), (2, 3), (3, 4), (3, 9), (4, 1), (4, 8))
    ]
    text = header(OLD) + "".join(
        line(OLD, calldate=at.strftime(pattern), uniqueid=f"{int(at.timestamp())}.{n}")
        for n, at in enumerate(begins)
    )
    legs = read(text.encode())
    assert legs["started_at"].tolist() == [pd.Timestamp(at) for at in begins]


def test_without_ids_a_date_that_can_be_read_two_ways_is_asked_for(read: Read) -> None:
    names = ("calldate", "src", "dst", "duration", "billsec", "disposition")
    text = (header(names) + line(names, calldate="01/02/26 09:00")).encode()
    with pytest.raises(sr.CdrFormatError, match="dayfirst="):
        read(text, timezone="UTC")
    legs = read(text, timezone="UTC", dayfirst=True)
    assert legs.loc[0, "started_at"] == pd.Timestamp("2026-02-01 09:00", tz="UTC")


def test_records_may_be_json(read: Read) -> None:
    legs = read(json.dumps([{**ROW, "duration": 65, "billsec": 60}] * 2).encode())
    assert legs["format"].tolist() == ["freepbx"] * 2
    assert legs.loc[0, ["leg_id", "billable_s"]].tolist() == ["1790845200.1/7", 60.0]


def test_a_report_without_rows_is_no_leg(read: Read) -> None:
    legs = read(header().encode(), format="freepbx")
    assert len(legs) == 0


def test_the_default_of_the_table_is_no_start(read: Read) -> None:
    legs = read(
        (
            header()
            + line()
            + line(calldate="1000-01-01 00:00:00", disposition="", duration="0", billsec="0")
        ).encode()
    )
    assert legs["problem"].isna().tolist() == [True, False]
    assert legs.loc[1, "status"] == "unknown"


def test_frames_and_parquet_are_read_like_the_report(tmp_path: Path) -> None:
    frame = pd.DataFrame([ROW, {**ROW, "billsec": "0", "disposition": "BUSY"}])
    path = tmp_path / "cdr.parquet"
    frame.to_parquet(path)
    for legs in (sr.cdr_from_frame(frame), sr.read_cdr(path)):
        assert legs["format"].tolist() == ["freepbx"] * 2
        assert legs["status"].tolist() == ["completed", "busy"]


def test_other_formats_are_not_taken_for_freepbx(cdr_samples: Path) -> None:
    for path in sorted(cdr_samples.glob("*/*")):
        scores = {candidate.format: candidate.score for candidate in sr.sniff_cdr(path)}
        assert (scores["freepbx"] > 0) == (path.parent.name == "freepbx_export"), path.name
