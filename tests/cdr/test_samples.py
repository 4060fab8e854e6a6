"""Real exports are read as the standard library reads them: rows, answers, seconds and instants agree."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import sippet_reconcile as sr

FREESWITCH = ("duynguyen_1000", "duynguyen_20172519", "duynguyen_Master", "kxing_Master_excel", "onexabhinav_Master",
              "powermedia_Master", "spicyramen_Master")  # fmt: skip
ASTERISK = ("bugadm_100", "bugadm_Master", "ivrlab_Master", "mineevburyat_Master_newcolumns", "testsuite_Master",
            "testsuite_Master2", "testsuite_cdrlib_good", "testsuite_cdrlib_buggy")  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What plain Python finds in a file."""

    rows: int
    answered: int
    billable: int
    earliest: datetime
    latest: datetime


def moment(text: str) -> datetime:
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise AssertionError(text)


def rows_of(path: Path) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(path.read_text("cp1252"), newline=""))


def known(rows: list[list[str]], columns: tuple[int, int, int, int], shift: timedelta = timedelta()) -> Known:
    start, answer, end, seconds = columns
    instants = [moment(row[place]) - shift for row in rows for place in (start, end)]
    return Known(
        rows=len(rows),
        answered=sum(bool(row[answer]) or int(row[seconds]) > 0 for row in rows),
        billable=sum(int(row[seconds]) for row in rows),
        earliest=min(instants),
        latest=max(instants),
    )


def found(legs: pd.DataFrame) -> Known:
    instants = pd.concat([legs["started_at"], legs["ended_at"]])
    return Known(
        len(legs),
        int(legs["is_answered"].sum()),
        int(legs["billable_s"].sum()),
        instants.min(),
        instants.max(),
    )


@pytest.mark.parametrize("name", FREESWITCH)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh"])
def test_freeswitch(cdr_samples: Path, name: str, zone: str) -> None:
    path = cdr_samples / "freeswitch_cdr_csv" / f"{name}.csv"
    rows = list(rows_of(path))
    shift = datetime(2021, 1, 1, tzinfo=ZoneInfo(zone)).utcoffset()  # this zone has no summer time
    assert shift is not None
    legs = sr.read_cdr(path, timezone=zone)
    assert found(legs) == known(rows, (4, 5, 6, 8), shift)
    assert legs["problem"].isna().all()
    assert legs["format"].unique().tolist() == ["freeswitch"]
    assert legs["call_key"].tolist() == [row[10] for row in rows]
    assert legs["to_number"].fillna("").tolist() == [row[2] for row in rows]
    assert legs["total_s"].tolist() == [int(row[7]) for row in rows]
    assert legs["source_row"].tolist() == list(range(1, len(rows) + 1))


@pytest.mark.parametrize("name", ASTERISK)
def test_asterisk(cdr_samples: Path, name: str) -> None:
    path = cdr_samples / "asterisk_cdr_csv" / f"{name}.csv"
    rows = list(rows_of(path))
    legs = sr.read_cdr(path)
    assert found(legs) == known(rows, (9, 10, 11, 13))
    assert legs["format"].unique().tolist() == ["asterisk"]
    assert legs["call_key"].tolist() == [row[16] for row in rows]
    assert legs["cause"].tolist() == [row[14] for row in rows]
    assert legs["problem"].notna().tolist() == [name.endswith("buggy")] * len(rows)


def test_asterisk_custom_in_local_time(cdr_samples: Path) -> None:
    path = cdr_samples / "asterisk_cdr_custom" / "kelysaina_Master.csv"
    rows = list(rows_of(path))
    gaps = {round((moment(row[8]).timestamp() - float(row[16].split(".")[0])) / 900) * 900 for row in rows}
    assert gaps == {3 * 3600}
    legs = sr.read_cdr(path)
    assert found(legs) == known(rows, (8, 9, 10, 12), timedelta(hours=3))
    assert legs["sip_username"].tolist() == [row[4].removeprefix("PJSIP/").rpartition("-")[0] for row in rows]


def test_a_file_cut_in_mid_row_is_one_row_with_a_problem(cdr_samples: Path) -> None:
    legs = sr.read_cdr(cdr_samples / "asterisk_cdr_csv" / "testsuite_cdrlib_buggy.csv")
    assert legs["problem"].tolist() == ["the row is cut off inside a quoted field"]


def test_times_without_seconds_are_said_to_be(cdr_samples: Path) -> None:
    legs = sr.read_cdr(
        cdr_samples / "freeswitch_cdr_csv" / "kxing_Master_excel.csv", timezone="Asia/Shanghai"
    )
    assert legs["is_coarse"].all()
    assert legs["time_problem"].isna().all()


def test_bytes_that_are_no_utf8_survive(cdr_samples: Path) -> None:
    path = cdr_samples / "asterisk_cdr_csv" / "mineevburyat_Master_newcolumns.csv"
    legs = sr.read_cdr(path, keep=["clid"])
    assert path.read_bytes().count(b"\xa5") > 0
    assert legs["x_clid"].str.contains("¥").sum() == sum("¥" in row[4] for row in rows_of(path))
    assert legs["linked_id"].tolist() == [row[19] for row in rows_of(path)]
    assert legs["is_helper"].sum() == sum(row[5].startswith("Local/") for row in rows_of(path))


def test_every_account_row_is_also_in_master_and_has_its_hash(cdr_samples: Path) -> None:
    folder = cdr_samples / "freeswitch_cdr_csv"
    master = set(sr.read_cdr(folder / "duynguyen_Master.csv", timezone="UTC")["record_hash"])
    for name in ("duynguyen_1000", "duynguyen_20172519"):
        assert set(sr.read_cdr(folder / f"{name}.csv", timezone="UTC")["record_hash"]) <= master


def test_two_b_legs_of_one_a_leg_are_one_group(cdr_samples: Path) -> None:
    legs = sr.read_cdr(cdr_samples / "freeswitch_cdr_csv" / "powermedia_Master.csv", timezone="UTC")
    assert legs.groupby("call_key")["linked_id"].nunique().eq(1).all()
    assert legs["linked_id"].nunique() == 3


def test_twilio(cdr_samples: Path) -> None:
    legs = sr.read_cdr(cdr_samples / "twilio_calls" / "yuriybabenko_calls_first200.csv")
    with (cdr_samples / "twilio_calls" / "yuriybabenko_calls_first200.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert legs["call_key"].tolist() == [row["sid"] for row in rows]
    assert legs["billable_s"].sum() == sum(int(row["duration"] or 0) for row in rows)
    assert legs["started_at"].tolist() == [pd.Timestamp(row["start_time"]) for row in rows]
    assert legs["from_e164"].tolist() == [row["from"] for row in rows]
    assert len(sr.read_cdr(cdr_samples / "twilio_calls" / "oai_readFullPage1.json")) == 2


@pytest.mark.parametrize(
    ("name", "columns", "delimiter", "rows"),
    [
        ("freepbx_export/apspoliveira_cdr_1504525205.csv",
         {"started_at": "calldate", "total_s": "duration", "billable_s": "billsec", "status": "disposition", "call_key": "uniqueid"}, None, 100),
        ("freepbx_export/apspoliveira_cdr_new_CR.csv",
         {"started_at": "calldate", "total_s": "duration", "billable_s": "billsec", "status": "disposition"}, None, None),
        ("grandstream_ucm/davronkhuja_Master_first400.csv",
         {"started_at": "Start Time", "ended_at": "End Time", "total_s": "Call Time", "billable_s": "Talk Time", "linked_id": "Session"}, None, 400),
        ("threecx_call_log/yosinurigroup_inbound_calls.csv",
         {"started_at": "Call Time", "billable_s": "Talking", "total_s": "Total Duration", "from_number": "Caller ID"}, None, None),
        ("pbxware_cdr/srinimonster_cdr_first250.csv",
         {"started_at": "calldate", "total_s": "duration", "billable_s": "billsec", "call_key": "uniqueid"}, None, 250),
    ],
)  # fmt: skip
def test_tables_of_other_systems_are_read_by_their_columns(
    cdr_samples: Path, name: str, columns: dict[str, str], delimiter: str | None, rows: int | None
) -> None:
    path = cdr_samples / name
    legs = sr.read_cdr(path, columns=columns, delimiter=delimiter, timezone="UTC")
    text = path.read_text("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    lines = [line for line in text.split("\n") if line.strip()]
    assert len(legs) == len(lines) - 1 - sum(line.lower().startswith("total") for line in lines)
    assert rows is None or len(legs) == rows
    assert legs["problem"].isna().all()
    assert legs["started_at"].notna().all()
