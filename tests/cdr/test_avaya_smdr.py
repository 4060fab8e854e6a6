"""Avaya IP Office SMDR: with and without a header, segments of one call, ids that begin anew at a restart."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.formats.avaya_smdr import COLUMNS

Read = Callable[..., pd.DataFrame]

ROW = {
    "Call Start": "2026/10/01 09:00:00",
    "Connected Time": "00:01:00",
    "Ring Time": "5",
    "Caller": "02079460123",
    "Direction": "I",
    "Called Number": "1002",
    "Dialled Number": "02079460100",
    "Account": "",
    "Is Internal": "0",
    "Call ID": "1000014",
    "Continuation": "0",
    "Party1Device": "E1002",
    "Party1Name": "Ann",
    "Party2Device": "T9001",
    "Party2Name": "Line 1.1",
    "Hold Time": "0",
    "Park Time": "0",
}
ENDED = "2026-10-01T08:01:05+00:00"


def sent(*changes: dict[str, str], width: int = 30) -> bytes:
    """Return segments as the system sends them: no header, nothing quoted."""
    lines = []
    for changed in changes:
        row = {**ROW, **changed}
        lines.append(",".join(row.get(name, "") for name in COLUMNS[:width]))
    return "".join(f"{line}\r\n" for line in lines).encode()


def collected(*changes: dict[str, str], names: dict[str, str] | None = None) -> bytes:
    """Return segments under a header, everything quoted."""
    rows = [{**ROW, **changed} for changed in changes] or [ROW]
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow((names or {}).get(name, name) for name in rows[0])
    writer.writerows(row.values() for row in rows[: len(changes)])
    return text.getvalue().encode()


def london(read: Read, data: bytes, **options: object) -> pd.DataFrame:
    return read(data, **{"timezone": "Europe/London", "country": "GB", **options})


# ---------------------------------------------------------------- the sample


def seconds(text: str) -> int:
    hours, minutes, rest = map(int, text.split(":"))
    return hours * 3600 + minutes * 60 + rest


def test_the_sample_is_read_as_plain_python_reads_it(cdr_samples: Path) -> None:
    path = cdr_samples / "avaya_smdr" / "ipo-r11.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    ranked = sr.sniff_cdr(path)
    assert (ranked[0].format, ranked[0].score) == ("avaya-smdr", 1.0)
    assert all(candidate.score < 0.5 for candidate in ranked[1:])
    zone = ZoneInfo("Europe/Moscow")
    legs = sr.read_cdr(path, timezone=zone.key, keep=["Account"])
    talk, ring, hold, park = (
        [seconds(row[name]) for row in rows]
        for name in ("Connected Time", "Ring Time", "Hold Time", "Park Time")
    )
    starts = [datetime.strptime(row["Call Start"], "%d/%m/%Y %H:%M:%S").replace(tzinfo=zone) for row in rows]
    total = np.sum([talk, ring, hold, park], axis=0).tolist()
    assert legs["problem"].isna().all()
    assert legs["started_at"].tolist() == starts
    assert legs["ended_at"].tolist() == [s + timedelta(seconds=n) for s, n in zip(starts, total, strict=True)]
    assert legs["answered_at"].dropna().tolist() == [
        s + timedelta(seconds=n) for s, n, t in zip(starts, ring, talk, strict=True) if t
    ]
    assert legs["total_s"].tolist() == total
    assert legs["billable_s"].tolist() == np.sum([talk, hold, park], axis=0).tolist()
    assert legs["is_answered"].tolist() == [t > 0 for t in talk]
    assert legs["direction"].tolist() == ["inbound", "inbound", "outbound", "internal", "inbound", "inbound"]
    assert legs["call_key"].tolist() == [row["Unique Call ID"] for row in rows]
    assert legs["linked_id"].tolist() == [row["Unique Call ID"] for row in rows]
    assert legs["leg_id"].is_unique
    assert legs["from_number"].tolist() == [row["Caller"] for row in rows]
    assert legs["to_number"].tolist() == [row["Called Number"] for row in rows]
    assert legs["sip_username"].tolist() == [row["Party1Device"].removeprefix("Extn") for row in rows]
    assert legs["x_Account"].dropna().tolist() == ["SALES-42"]


# ---------------------------------------------------------------- the two forms


@pytest.mark.parametrize("width", [17, 30, 31, 34, 35, 36, 37])
def test_every_releases_fields_are_read_without_a_header(read: Read, width: int) -> None:
    leg = london(read, sent({}, {"Call ID": "1000015"}, width=width)).iloc[0]
    assert leg["format"] == "avaya-smdr"
    assert leg[["direction", "from_number", "to_number", "to_e164", "sip_username", "call_key"]].tolist() == [
        "inbound", "02079460123", "02079460100", "+442079460100", "1002", "1000014",
    ]  # fmt: skip
    assert [leg[name].isoformat() for name in ("started_at", "answered_at", "ended_at")] == [
        "2026-10-01T08:00:00+00:00", "2026-10-01T08:00:05+00:00", ENDED,
    ]  # fmt: skip
    assert (leg["total_s"], leg["billable_s"], leg["status"]) == (65, 60, "completed")


def test_one_line_alone_is_recognised(read: Read) -> None:
    assert london(read, sent({}))["format"].tolist() == ["avaya-smdr"]


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"Call Start": "Call Start Time", "Dialled Number": "Dialed Number", "Account": "Account Code"},
        {"Connected Time": "Call Duration", "Ring Time": "Ring Duration", "Is Internal": "Is_Internal"},
    ],
)
def test_a_header_may_name_the_fields_as_any_release_does(read: Read, names: dict[str, str]) -> None:
    leg = london(read, collected({}, names=names)).iloc[0]
    assert leg[["format", "to_number", "billable_s", "total_s"]].tolist() == [
        "avaya-smdr",
        "02079460100",
        60,
        65,
    ]
    assert leg["ended_at"].isoformat() == ENDED


def test_a_line_that_is_cut_and_one_that_is_none_have_problems(read: Read) -> None:
    legs = london(read, sent({}) * 3 + b"2026/10/01 09:00:00,00:01:00,5,0207\r\nhello\r\n")
    assert legs["problem"].isna().tolist() == [True, True, True, False, False]
    assert len(london(read, collected())) == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"Direction": "X"}, "direction"),
        ({"Connected Time": "60"}, "duration"),
        ({"Continuation": "2"}, "continuation"),
        ({"Call ID": "abc"}, "call id"),
    ],
)
def test_lines_that_only_have_as_many_fields_stay_strangers(
    read: Read, changes: dict[str, str], why: str
) -> None:
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        london(read, sent(changes, changes))
    assert why


# ---------------------------------------------------------------- what a segment says


def test_who_is_held_or_parked_is_still_on_the_line(read: Read) -> None:
    leg = london(read, sent({"Hold Time": "7", "Park Time": "3"})).iloc[0]
    assert (leg["total_s"], leg["billable_s"]) == (75, 70)
    assert leg["ended_at"] - leg["answered_at"] == pd.Timedelta(seconds=70)
    assert leg["answered_at"].isoformat() == "2026-10-01T08:00:05+00:00"
    assert leg["ended_at"].isoformat() == "2026-10-01T08:01:15+00:00"


def test_without_holding_and_parking_the_whole_time_is_not_known() -> None:
    frame = pd.DataFrame([ROW]).drop(columns=["Hold Time", "Park Time"])
    leg = sr.cdr_from_frame(frame, timezone="UTC").iloc[0]
    assert pd.isna(leg["total_s"])
    assert leg["billable_s"] == 60


@pytest.mark.parametrize(
    ("changes", "status", "answered"),
    [
        ({}, "completed", True),
        ({"Connected Time": "00:00:00"}, "unknown", False),
        ({"Connected Time": ""}, "unknown", None),
    ],
)
def test_only_connected_time_is_an_answer(
    read: Read, changes: dict[str, str], status: str, answered: bool | None
) -> None:
    leg = london(read, collected(changes)).iloc[0]
    assert leg["status"] == status
    assert (None if pd.isna(leg["is_answered"]) else bool(leg["is_answered"])) is answered
    assert pd.isna(leg["answered_at"]) == (answered is not True)


def test_both_words_can_be_given_another_status(read: Read) -> None:
    legs = london(
        read,
        sent({}, {"Call ID": "1", "Connected Time": "00:00:00"}),
        status_map={"not connected": "no_answer", "connected": "voicemail"},
    )
    assert legs["status"].tolist() == ["voicemail", "no_answer"]
    assert legs["cause"].isna().all()


@pytest.mark.parametrize(
    ("direction", "internal", "found", "number"),
    [("I", "0", "inbound", "02079460100"), ("O", "0", "outbound", "1002"), ("O", "1", "internal", "1002"),
     ("I", "1", "internal", "1002"), ("L", "0", "internal", "1002")],
)  # fmt: skip
def test_a_call_between_two_extensions_is_internal_whatever_its_direction(
    read: Read, direction: str, internal: str, found: str, number: str
) -> None:
    leg = london(read, sent({"Direction": direction, "Is Internal": internal})).iloc[0]
    assert leg[["direction", "to_number"]].tolist() == [found, number]


@pytest.mark.parametrize(
    ("device", "user"),
    [("E4324", "4324"), ("Extn4324", "4324"), ("T9001", None), ("V9501", None), ("", None)],
)
def test_only_an_extension_is_a_user(read: Read, device: str, user: str | None) -> None:
    found = london(read, sent({"Party1Device": device})).loc[0, "sip_username"]
    assert (None if pd.isna(found) else found) == user


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Connected Time": "soon"}, "billable seconds 'soon' are no number"),
        ({"Ring Time": "soon"}, "total seconds 'soon' are no number"),
        ({"Hold Time": "00:00:7"}, "total seconds"),
        ({"Call Start": "later"}, "start 'later' is not a date and time"),
    ],
)
def test_what_cannot_be_read_is_said(read: Read, changes: dict[str, str], problem: str) -> None:
    assert problem in london(read, collected(changes, {})).loc[0, "problem"]


def test_times_are_local_and_somebody_has_to_say_where(read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(sent({}))


def test_dates_may_have_the_day_first(read: Read) -> None:
    day_first = {"Call Start": "01/10/2026 09:00:00"}
    assert london(read, collected(day_first), dayfirst=True).loc[0, "ended_at"].isoformat() == ENDED
    with pytest.raises(sr.CdrFormatError, match="dayfirst"):
        london(read, collected(day_first))


# ---------------------------------------------------------------- segments of one call

FIRST = {"Continuation": "1", "Connected Time": "00:00:13", "Ring Time": "7", "Hold Time": "11"}
SECOND = {"Connected Time": "00:00:21", "Ring Time": "0"}


def test_a_later_segment_shows_the_start_of_the_call_and_has_no_end(read: Read) -> None:
    legs = london(read, sent(FIRST, SECOND, {"Call ID": "1000015"}))
    assert legs["linked_id"].tolist()[:2] == ["1000014 2026/10/01 09:00:00"] * 2
    assert legs["leg_id"].is_unique
    assert legs["ended_at"].isna().tolist() == [False, True, False]
    assert legs["answered_at"].isna().tolist() == [False, True, False]
    assert legs["total_s"].isna().tolist() == [False, True, False]
    assert legs["billable_s"].tolist() == [24, 21, 60]
    assert legs["problem"].isna().all()


def test_a_later_segment_with_a_start_of_its_own_has_an_end(read: Read) -> None:
    legs = london(read, sent(FIRST, {**SECOND, "Call Start": "2026/10/01 09:00:31"}))
    assert legs["linked_id"].tolist() == ["1000014 2026/10/01 09:00:00"] * 2
    assert legs["ended_at"].notna().all()


def test_of_a_call_that_goes_on_elsewhere_the_end_is_not_known(read: Read) -> None:
    legs = london(read, sent({"Call ID": "1000013"}, FIRST))
    assert legs["ended_at"].isna().tolist() == [False, True]
    assert legs["answered_at"].isna().tolist() == [False, True]
    assert legs["billable_s"].tolist() == [60, 24]


def test_a_call_id_that_is_used_again_after_a_restart_is_another_call(read: Read) -> None:
    later = {"Call Start": "2026/10/02 09:00:00"}
    legs = london(read, sent(FIRST, SECOND, {"Call ID": "1000015"}, {**FIRST, **later}, {**SECOND, **later}))
    groups = legs["linked_id"].tolist()
    assert groups[0] == groups[1] != groups[3] == groups[4]
    assert legs["call_key"].tolist() == ["1000014"] * 2 + ["1000015"] + ["1000014"] * 2


def test_segments_of_two_calls_may_stand_between_each_other(read: Read) -> None:
    other = {"Call ID": "1000015", "Call Start": "2026/10/01 09:00:02"}
    legs = london(read, sent(FIRST, {**FIRST, **other}, SECOND, {**SECOND, **other}))
    groups = legs["linked_id"].tolist()
    assert groups[0] == groups[2] != groups[1] == groups[3]
    assert legs["ended_at"].isna().tolist() == [False, False, True, True]


def test_an_id_for_both_parties_groups_whatever_the_call_id_is(read: Read) -> None:
    one, again = {"Unique Call ID": "u1"}, {"Call Start": "2026/10/03 09:00:00"}
    legs = london(read, collected({**FIRST, **one}, {**SECOND, **one, "Call ID": "7"}, {**one, **again}))
    assert legs["linked_id"].tolist() == ["u1", "u1", "u1 2026/10/03 09:00:00"]


def test_segments_without_any_id_are_calls_of_their_own(read: Read) -> None:
    legs = london(read, collected({"Call ID": ""}, {"Call ID": ""}))
    assert legs["linked_id"].isna().all()
    assert legs["ended_at"].notna().all()


def test_the_same_segment_twice_has_one_hash(read: Read) -> None:
    legs = london(read, sent({}, {}))
    assert legs["record_hash"].duplicated().tolist() == [False, True]


def test_a_frame_says_the_same_as_a_file(read: Read) -> None:
    frame = pd.DataFrame([{**ROW, **FIRST}, {**ROW, **SECOND}])
    different = ["source_file", "source_row", "source_sha256", "record_hash"]
    legs = sr.cdr_from_frame(frame, timezone="Europe/London", country="GB")
    pd.testing.assert_frame_equal(
        legs.drop(columns=different), london(read, collected(FIRST, SECOND)).drop(columns=different)
    )
