"""CDR-Stats: a wide file under a header, a narrow one without, and quotes that a space or JSON hides."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats.cdr_stats import NARROW, WIDE

Read = Callable[..., pd.DataFrame]

UUID = "8c1f3c52-0000-4000-8000-000000000001"
ROW = dict.fromkeys(WIDE, "") | {
    "switch": "192.0.2.1",
    "cdr_source_type": "1",
    "callid": UUID,
    "caller_id_number": "+442079460123",
    "caller_id_name": "Ann",
    "destination_number": "+12125550123",
    "starting_date": "2026-10-01 09:00:00",
    "duration": "65",
    "billsec": "60",
    "hangup_cause_id": "16",
    "direction": "1",
    "extradata": "{}",
}
SHORT = {
    "caller_id_number": "+442079460123",
    "caller_id_name": "Ann",
    "destination_number": "+12125550123",
    "duration": "65",
    "billsec": "60",
    "hangup_cause_id": "16",
    "direction": "inbound",
    "uuid": UUID,
    "remote_media_ip": "192.0.2.1",
    "start_uepoch": "1790845200",  # 2026-10-01 09:00:00 UTC
    "answer_uepoch": "1790845205",
    "end_uepoch": "1790845265",
    "mduration": "65120",
    "billmsec": "60080",
    "read_codec": "PCMU",
    "write_codec": "PCMU",
}


def wide(*changes: dict[str, str]) -> bytes:
    """Return an export whose last column is written as it stands."""
    lines = [",".join(WIDE), *(",".join({**ROW, **changed}.values()) for changed in changes)]
    return "".join(f"{line}\n" for line in lines).encode()


def narrow(*changes: dict[str, str]) -> bytes:
    """Return an import file: a space behind each comma."""
    return "".join(", ".join({**SHORT, **changed}.values()) + "\n" for changed in changes).encode()


# ---------------------------------------------------------------- the samples


def test_the_wide_sample_is_read_as_plain_python_reads_it(cdr_samples: Path) -> None:
    path = cdr_samples / "cdr_stats" / "CDRImport-2015-10-26.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    legs = sr.read_cdr(path, timezone="UTC")
    starts = [
        datetime.strptime(row["starting_date"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for row in rows
    ]
    ends = [s + timedelta(seconds=int(row["duration"])) for s, row in zip(starts, rows, strict=True)]
    assert legs["format"].tolist() == ["cdr-stats"] * 5
    assert legs["started_at"].tolist() == starts
    assert legs["ended_at"].tolist() == ends
    assert legs["answered_at"].tolist() == [
        e - timedelta(seconds=int(row["billsec"])) for e, row in zip(ends, rows, strict=True)
    ]
    assert legs["total_s"].tolist() == [int(row["duration"]) for row in rows]
    assert legs["billable_s"].tolist() == [int(row["billsec"]) for row in rows]
    assert legs["call_key"].tolist() == [row["callid"] for row in rows]
    assert legs["to_e164"].tolist() == [row["destination_number"] for row in rows]
    assert legs["from_number"].tolist() == [row["caller_id_number"] for row in rows]
    assert set(legs["direction"]) == {"inbound"}
    assert set(legs["status"]) == {"completed"}
    assert legs["problem"].isna().all()


def test_the_narrow_sample_is_read_as_plain_python_reads_it(cdr_samples: Path) -> None:
    path = cdr_samples / "cdr_stats" / "import_cdr.txt"
    rows = [line.split(", ") for line in path.read_text().splitlines()]
    legs = sr.read_cdr(path, keep=["caller_id_name"])
    assert legs["format"].tolist() == ["cdr-stats"] * 5
    for name, place in (("started_at", 9), ("answered_at", 10), ("ended_at", 11)):
        assert legs[name].tolist() == [datetime.fromtimestamp(int(row[place]), UTC) for row in rows]
    assert legs["total_s"].tolist() == [int(row[3]) for row in rows]
    assert legs["billable_s"].tolist() == [int(row[4]) for row in rows]
    assert legs["call_key"].tolist() == [row[7] for row in rows]
    assert legs["from_number"].tolist() == [row[0] for row in rows]
    assert legs["to_number"].tolist() == [row[2] for row in rows]
    assert legs["cause"].tolist() == [row[5] for row in rows]
    assert legs["x_caller_id_name"].tolist() == [row[1] for row in rows]
    assert legs["is_answered"].all()
    assert legs["problem"].isna().all()


@pytest.mark.parametrize("name", ["CDRImport-2015-10-26.csv", "import_cdr.txt"])
def test_both_samples_are_known_by_their_content(cdr_samples: Path, name: str) -> None:
    ranked = sr.sniff_cdr(cdr_samples / "cdr_stats" / name)
    assert (ranked[0].format, ranked[0].score) == ("cdr-stats", 1.0)
    assert all(candidate.score < 0.5 for candidate in ranked[1:])


# ---------------------------------------------------------------- quotes


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"Lee, Ann"', "Lee, Ann"),
        ('"Lee, ""Al"" Ann"', 'Lee, "Al" Ann'),
        ('"Ann" ', "Ann"),
        ('""', ""),
        ("Ann", "Ann"),
        ('Ann "A" Lee', 'Ann "A" Lee'),
    ],
)
def test_a_space_behind_the_comma_hides_no_quotes(read: Read, written: str, name: str) -> None:
    legs = read(narrow({"caller_id_name": written}, {}), keep=["caller_id_name"])
    assert legs["problem"].isna().all()
    assert legs["x_caller_id_name"].fillna("").tolist() == [name, "Ann"]
    assert legs["to_number"].tolist() == ["+12125550123"] * 2


def test_every_cell_may_be_quoted_behind_its_space(read: Read) -> None:
    quoted = {name: f'"{value}"' for name, value in SHORT.items()}
    pd.testing.assert_series_equal(
        read(narrow(quoted)).iloc[0].drop(["record_hash", "source_sha256"]),
        read(narrow({})).iloc[0].drop(["record_hash", "source_sha256"]),
    )


@pytest.mark.parametrize(
    "extra", [{}, {"a": 1, "b": "x, y"}, {"a": {"b": ["c", "d"]}, "e": None}, {"quote": 'say "hi"'}]
)
@pytest.mark.parametrize("style", ["bare", "quoted", "by the book"])
def test_json_in_the_last_column_is_kept_however_it_is_quoted(read: Read, extra: object, style: str) -> None:
    text = json.dumps(extra)
    cell = {"bare": text, "quoted": f'"{text}"', "by the book": '"' + text.replace('"', '""') + '"'}[style]
    legs = read(wide({"extradata": cell}, {}), timezone="UTC", keep=["extradata"])
    assert legs["problem"].isna().all()
    assert legs["x_extradata"].tolist() == [text, "{}"]
    assert legs["billable_s"].tolist() == [60, 60]


def test_json_does_not_hide_that_other_columns_are_quoted(read: Read) -> None:
    legs = read(
        wide({"caller_id_name": '"Lee, ""Al"""', "extradata": '{"a": "b, c"}'}),
        timezone="UTC",
        keep=["caller_id_name", "extradata"],
    )
    assert legs.loc[0, ["x_caller_id_name", "x_extradata"]].tolist() == ['Lee, "Al"', '{"a": "b, c"}']


def test_a_row_with_too_many_fields_is_a_row_with_a_problem(read: Read) -> None:
    legs = read(wide({"caller_id_name": "Lee, Ann"}, {}, {"extradata": "{},x"}), timezone="UTC")
    assert legs["problem"].isna().tolist() == [False, True, False]


# ---------------------------------------------------------------- what a call says


@pytest.mark.parametrize(
    ("changes", "status", "answered"),
    [
        ({}, "completed", True),
        ({"hangup_cause_id": "17"}, "completed", True),
        ({"billsec": "0", "hangup_cause_id": "17"}, "busy", False),
        ({"billsec": "0", "hangup_cause_id": "19"}, "no_answer", False),
        ({"billsec": "0", "hangup_cause_id": "34"}, "failed", False),
        ({"billsec": "0", "hangup_cause_id": "16"}, "unknown", False),
        ({"billsec": "0", "hangup_cause_id": "", "hangup_cause": "USER_BUSY"}, "busy", False),
        ({"billsec": "0", "hangup_cause_id": "999"}, "unknown", False),
        ({"billsec": "", "hangup_cause_id": ""}, "unknown", None),
    ],
)
def test_what_became_of_a_call(
    read: Read, changes: dict[str, str], status: str, answered: bool | None
) -> None:
    leg = read(wide(changes), timezone="UTC").iloc[0]
    assert leg["status"] == status
    assert (None if pd.isna(leg["is_answered"]) else bool(leg["is_answered"])) is answered


def test_an_answer_of_epoch_zero_is_none(read: Read) -> None:
    leg = read(narrow({"answer_uepoch": "0", "billsec": "0", "hangup_cause_id": "18"})).iloc[0]
    assert pd.isna(leg["answered_at"])
    assert (bool(leg["is_answered"]), leg["status"], leg["billable_s"]) == (False, "no_answer", 0)


def test_epochs_may_be_microseconds(read: Read) -> None:
    micros = {name: f"{SHORT[name]}250000" for name in ("start_uepoch", "answer_uepoch", "end_uepoch")}
    leg = read(narrow(micros)).iloc[0]
    assert leg["started_at"].isoformat() == "2026-10-01T09:00:00.250000+00:00"
    assert leg["ended_at"].isoformat() == "2026-10-01T09:01:05.250000+00:00"


@pytest.mark.parametrize(
    ("word", "direction"),
    [("1", "inbound"), ("2", "outbound"), ("0", None), ("", None), ("outbound", "outbound"), ("3", None)],
)
def test_directions(read: Read, word: str, direction: str | None) -> None:
    found = read(wide({"direction": word}), timezone="UTC").loc[0, "direction"]
    assert (None if pd.isna(found) else found) == direction


def test_any_cause_can_be_given_another_status(read: Read) -> None:
    legs = read(wide({"billsec": "0"}), timezone="UTC", status_map={"16": "canceled"})
    assert legs["status"].tolist() == ["canceled"]


def test_the_wide_file_is_local_and_the_narrow_one_is_not(read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(wide({}))
    assert read(wide({}), timezone="Europe/London").loc[0, "started_at"].hour == 8
    assert read(narrow({}), timezone="Europe/London").loc[0, "started_at"].hour == 9


# ---------------------------------------------------------------- the awkward half


def test_header_alone_one_row_and_a_cut_row(read: Read) -> None:
    assert len(read(wide(), timezone="UTC")) == 0
    assert len(read(wide({}), timezone="UTC")) == 1
    assert read(narrow({}, {}, {})[:-70])["problem"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("make", [wide, narrow])
@pytest.mark.parametrize("ends", [b"\r\n", b"\r"])
def test_line_ends_a_bom_and_repeats(read: Read, make: Callable[..., bytes], ends: bytes) -> None:
    data = make({"caller_id_name": "Zoë"}, {}, {}).replace(b"\n", ends)
    legs = read(b"\xef\xbb\xbf" + data, timezone="UTC")
    assert legs["record_hash"].duplicated().tolist() == [False, False, True]
    assert legs["problem"].isna().all()


def test_ended_before_started_is_a_problem(read: Read) -> None:
    legs = read(narrow({"end_uepoch": "1790845100"}, {}))
    assert "it ends before it starts" in legs.loc[0, "problem"]
    assert pd.isna(legs.loc[1, "problem"])


def test_a_table_of_epochs_without_a_uuid_in_its_place_is_a_stranger(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(narrow({"uuid": "77"}, {"uuid": "78"}))
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(narrow({"start_uepoch": "soon"}, {"start_uepoch": "later"}))


def test_frames_and_parquet_say_the_same_as_files(read: Read, tmp_path: Path) -> None:
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    expected = read(wide({}, {"billsec": "0"}), timezone="UTC").drop(columns=different)
    frame = pd.DataFrame([ROW, {**ROW, "billsec": "0"}])
    legs = sr.cdr_from_frame(frame, timezone="UTC")
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected)
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "cdr.parquet")
    legs = sr.read_cdr(tmp_path / "cdr.parquet", timezone="UTC")
    pd.testing.assert_frame_equal(legs.drop(columns=different), expected)
    short = sr.cdr_from_frame(pd.DataFrame([SHORT]), format="cdr-stats")
    pd.testing.assert_frame_equal(short.drop(columns=different), read(narrow({})).drop(columns=different))


def test_columns_that_are_absent_are_missing_and_others_are_kept() -> None:
    frame = pd.DataFrame([ROW]).drop(columns=["direction", "hangup_cause"]).assign(carrier="north")
    leg = sr.cdr_from_frame(frame, timezone="UTC", keep=["carrier"]).iloc[0]
    assert pd.isna(leg["direction"])
    assert leg["x_carrier"] == "north"
    assert len(NARROW) == 16
    assert io.StringIO(wide().decode()).readline().count(",") == 24
