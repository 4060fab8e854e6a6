"""3CX call log reports: local times, a line of totals, and stops of one call that no id names."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.schema import CALLS

Read = Callable[..., pd.DataFrame]

NAMES = ("Call Time", "Caller ID", "Destination", "Trunk", "Trunk number", "Did", "Status", "Ringing", "Talking",
         "Total Duration", "Call Type", "Sentiment", "Summary", "Transcription")  # fmt: skip
NEWER = ("Call Time", "Call ID", "From", "To", "Direction", "Status", "Ringing", "Talking", "Cost",
         "Call Activity Details", "Sentiment", "Summary", "Transcription")  # fmt: skip
STOP = {
    "Call Time": "2026-10-01T09:00:00",
    "Caller ID": "02079460123",
    "Destination": "Menu (801)",
    "Trunk": "Trunk",
    "Trunk number": "10004",
    "Did": "442079460100",
    "Status": "Answered",
    "Ringing": "0:00:00",
    "Talking": "0:01:00",
    "Total Duration": "0:01:00",
}
OUTBOUND = {"Caller ID": "Ann, Example (101)", "Destination": "+442079460123", "Did": ""}


def report(*stops: dict[str, str], names: tuple[str, ...] = NAMES, ending: str = "\r\n") -> bytes:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, lineterminator=ending, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**STOP, **stop} for stop in stops)
    return b"\xef\xbb\xbf" + stream.getvalue().encode()


def stop(begin: int, ringing: int, talking: int, **fields: str) -> dict[str, str]:
    """Return a stop that begins so many seconds after nine o'clock."""

    def clock(seconds: int) -> str:
        return str(timedelta(seconds=seconds))

    at = datetime(2026, 10, 1, 9, tzinfo=UTC) + timedelta(seconds=begin)
    return {
        "Call Time": at.strftime("%Y-%m-%dT%H:%M:%S"),
        "Destination": f"Stop ({801 + begin})",
        "Status": "Answered" if talking else "Unanswered",
        "Ringing": clock(ringing),
        "Talking": clock(talking),
        "Total Duration": clock(ringing + talking),
        **fields,
    }


# ---------------------------------------------------------------- the real file


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_the_sample_is_read_as_the_standard_library_reads_it(cdr_samples: Path, zone: str) -> None:
    path = cdr_samples / "threecx_call_log" / "yosinurigroup_inbound_calls.csv"
    *rows, totals = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))
    assert totals["Call Time"] == "Totals"
    assert int(totals["Caller ID"]) == len(rows)

    def seconds(row: dict[str, str], name: str) -> int:
        hours, minutes, rest = map(int, row[name].split(":"))
        return hours * 3600 + minutes * 60 + rest

    begins = [
        datetime.fromisoformat(row["Call Time"]).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
        for row in rows
    ]
    legs = sr.read_cdr(path, timezone=zone)
    assert legs["format"].unique().tolist() == ["3cx-log"]
    assert legs["problem"].isna().all()
    assert legs["call_key"].isna().all()
    assert legs["source_row"].tolist() == list(range(2, len(rows) + 2))
    assert legs["started_at"].tolist() == begins
    assert legs["ended_at"].tolist() == [
        at + timedelta(seconds=seconds(row, "Total Duration")) for at, row in zip(begins, rows, strict=True)
    ]
    for name, column in (("Talking", "billable_s"), ("Total Duration", "total_s")):
        assert legs[column].tolist() == [seconds(row, name) for row in rows]
        # The system adds up before it rounds.
        assert abs(legs[column].sum() - seconds(totals, name)) <= len(rows) / 2
    # Beside the words, seconds of talk are an answer, whoever talked.
    assert legs["is_answered"].tolist() == [
        row["Status"] == "Answered" or seconds(row, "Talking") > 0 for row in rows
    ]
    assert legs["cause"].tolist() == [row["Status"] for row in rows]
    assert legs["is_helper"].tolist() == [row["Status"] == "Redirected" for row in rows]
    assert legs["from_number"].tolist() == [row["Caller ID"] for row in rows]
    assert legs["to_number"].tolist() == [row["Did"] for row in rows]
    assert legs["direction"].eq("inbound").all()
    assert "1 line without a start taken as totals" in str(sr.describe_cdr(legs).summary())


def test_in_the_sample_the_stops_of_a_call_follow_each_other(cdr_samples: Path) -> None:
    path = cdr_samples / "threecx_call_log" / "yosinurigroup_inbound_calls.csv"
    legs = sr.read_cdr(path, timezone="UTC").sort_values(["from_number", "started_at", "ended_at"])
    # One by one: a row belongs to the one before it if its caller was still on the line.
    expected: list[int] = []
    number, until = "", pd.Timestamp(0, tz="UTC")
    for row in legs.itertuples():
        goes_on = row.from_number == number and row.started_at <= until + pd.Timedelta(1, "s")
        expected.append(expected[-1] if goes_on else len(expected))
        until = max(until, row.ended_at) if goes_on else row.ended_at
        number = row.from_number
    sizes = pd.Series(expected).map(pd.Series(expected).value_counts())
    assert legs["linked_id"].isna().tolist() == sizes.eq(1).tolist()
    together = legs["linked_id"].notna().to_numpy()
    assert (
        pd.factorize(legs["linked_id"][together])[0].tolist()
        == pd.factorize(pd.Series(expected)[together])[0].tolist()
    )
    assert together.sum() > 20


# ---------------------------------------------------------------- the form of the file


def test_the_zone_has_to_be_said(read: Read) -> None:
    with pytest.raises(sr.InputError, match="pass timezone="):
        read(report({}))


def test_titles_may_stand_above_the_names(read: Read) -> None:
    titles = b"Call Logs\r\n\r\nFrom,2026-10-01,To,2026-10-31\r\n"
    legs = read(titles + report({}).removeprefix(b"\xef\xbb\xbf"), timezone="UTC")
    assert legs["source_row"].tolist() == [5]
    assert legs.loc[0, "billable_s"] == 60


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["Totals,1,,,,,,0:00:00,0:01:00,0:01:00,,,,", ",,,,,,,,,,,,,", ""])
def test_what_ends_a_report_is_no_call(read: Read, ending: str, last: str) -> None:
    legs = read(report({}, {}, ending=ending) + last.encode(), timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, True]


def test_a_row_without_a_time_is_a_row_with_a_problem(read: Read) -> None:
    legs = read(report({"Call Time": ""}, {"Call Time": "soon"}, {"Talking": "a while"}), timezone="UTC")
    assert legs["problem"].tolist() == [
        "there is no start time",
        "start 'soon' is not a date and time",
        "billable seconds 'a while' are no number",
    ]


def test_a_transcription_may_have_several_lines(read: Read) -> None:
    said = 'Ann: "hello"\nBob: good morning,\n\nand so on'
    legs = read(
        report({"Transcription": said}, stop(90, 0, 5), ending="\n"), timezone="UTC", keep=["Transcription"]
    )
    assert legs.loc[0, "x_Transcription"] == said
    assert legs["source_row"].tolist() == [2, 6]
    assert legs["problem"].isna().all()


def test_a_report_without_calls_has_no_rows(read: Read) -> None:
    assert len(read(report())) == 0
    assert len(read(report() + b"Totals,0,,,,,,0:00:00,0:00:00,0:00:00,,,,")) == 0


def test_a_cut_last_line_is_a_row_with_a_problem(read: Read) -> None:
    legs = read(report({}, {})[:-40], timezone="UTC")
    assert legs["problem"].isna().tolist() == [True, False]


def test_other_languages_are_strangers(read: Read) -> None:
    data = (
        report({})
        .decode("utf-8-sig")
        .replace("Call Time", "Anrufzeit")
        .replace("Talking", "Gespräch")
        .encode()
    )
    with pytest.raises(sr.CdrFormatError, match="no known format fits"):
        read(data, timezone="UTC")
    legs = read(data, timezone="UTC", columns={"started_at": "Anrufzeit", "billable_s": "Gespräch"})
    assert legs.loc[0, "billable_s"] == 60


def test_a_frame_is_read_like_a_file(read: Read) -> None:
    data = report(stop(0, 0, 10), stop(10, 5, 20), {"Talking": ""})
    legs, whole = (
        sr.cdr_from_frame(pd.read_csv(io.BytesIO(data), dtype=str), timezone="UTC"),
        read(data, timezone="UTC"),
    )
    for name in ("started_at", "ended_at", "billable_s", "linked_id", "is_answered"):
        assert legs[name].equals(whole[name])


# ---------------------------------------------------------------- outcomes and parties


@pytest.mark.parametrize(
    ("fields", "answered", "status"),
    [
        ({}, True, "completed"),
        ({"Talking": "0:00:00"}, True, "completed"),
        ({"Status": "Unanswered", "Talking": "0:00:00"}, False, "no_answer"),
        ({"Status": "unanswered", "Talking": ""}, False, "no_answer"),
        ({"Status": "Unanswered"}, True, "completed"),
        ({"Status": "Redirected", "Talking": "0:00:00"}, False, "unknown"),
        ({"Status": "Waiting", "Talking": "0:00:00"}, False, "unknown"),
    ],
)
def test_talk_decides_and_then_the_word(
    read: Read, fields: dict[str, str], answered: bool, status: str
) -> None:
    leg = read(report(fields), timezone="UTC").iloc[0]
    assert (leg["is_answered"], leg["status"]) == (answered, status)


def test_every_word_can_be_mapped_otherwise(read: Read) -> None:
    silent = {"Talking": "0:00:00"}
    legs = read(report({**silent, "Status": "Unanswered"}, {**silent, "Status": "Redirected"}), timezone="UTC",
                status_map={"Unanswered": "missed", "redirected": "failed"})  # fmt: skip
    assert legs["status"].tolist() == ["missed", "failed"]


def test_ringing_comes_before_the_answer(read: Read) -> None:
    leg = read(report(stop(0, 6, 45)), timezone="UTC").iloc[0]
    assert leg["answered_at"] == pd.Timestamp("2026-10-01 09:00:06", tz="UTC")
    assert leg["ended_at"] == pd.Timestamp("2026-10-01 09:00:51", tz="UTC")


@pytest.mark.parametrize(
    ("fields", "parties", "direction", "user"),
    [
        ({}, ["02079460123", "442079460100"], "inbound", None),
        (OUTBOUND, ["101", "+442079460123"], "outbound", "101"),
        ({**OUTBOUND, "Destination": "Bob (102)"}, ["101", "102"], None, "101"),
        ({**OUTBOUND, "Trunk": "", "Trunk number": ""}, ["101", "+442079460123"], None, "101"),
        ({**OUTBOUND, "Trunk": "", "Trunk number": "", "Call Type": "Internal"}, ["101", "+442079460123"], "internal", "101"),
        ({"Did": "", "Caller ID": "Ann (+447700900123)"}, ["+447700900123", "801"], None, None),
        ({"Did": "", "Caller ID": "Ann (home)", "Destination": "Menu"}, ["Ann (home)", "Menu"], None, None),
    ],
)  # fmt: skip
def test_numbers_stand_in_brackets_behind_names(
    read: Read, fields: dict[str, str], parties: list[str], direction: str | None, user: str | None
) -> None:
    leg = read(report(fields), timezone="UTC", country="GB").iloc[0]
    assert leg[["from_number", "to_number"]].tolist() == parties
    assert [None if pd.isna(leg[name]) else leg[name] for name in ("direction", "sip_username")] == [
        direction,
        user,
    ]


# ---------------------------------------------------------------- stops of one call


def linked(read: Read, *stops: dict[str, str]) -> list[int]:
    """Return which rows are put together: equal numbers, -1 where a row stands alone."""
    legs = read(report(*stops), timezone="UTC")
    return pd.factorize(legs["linked_id"])[0].tolist()


def test_stops_that_follow_each_other_are_one_call(read: Read) -> None:
    menu, ring, agent = stop(0, 0, 19), stop(13, 6, 0, Status="Redirected"), stop(13, 6, 45)
    assert linked(read, agent, ring, menu) == [0, 0, 0]
    legs = read(report(agent, ring, menu), timezone="UTC")
    assert legs["is_helper"].tolist() == [False, True, False]
    assert legs["linked_id"].unique().tolist() == ["02079460123/442079460100/2026-10-01T09:00:00"]


@pytest.mark.parametrize(
    "other",
    [
        stop(22, 0, 30),
        stop(19, 0, 30, **{"Caller ID": "02079460124"}),
        stop(19, 0, 30, Did="442079460101"),
        stop(19, 0, 30, Did=""),
        stop(19, 0, 30, **{"Call Time": "soon"}),
    ],
    ids=["later", "another caller", "another number", "from inside", "unreadable"],
)
def test_what_does_not_follow_stands_alone(read: Read, other: dict[str, str]) -> None:
    assert linked(read, stop(0, 0, 19), other) == [-1, -1]
    assert read(report(stop(0, 0, 19), other), timezone="UTC")["problem"].isna()[0]


DOUBTFUL = {
    "both talk": (stop(0, 0, 30), stop(5, 5, 60)),
    "one rings on after the other's end": (stop(0, 0, 30), stop(5, 40, 0)),
    "one beside a call that is not answered": (stop(0, 40, 0), stop(20, 10, 100)),
    "a second try after a call that was not answered": (stop(0, 30, 0), stop(31, 5, 60)),
    "a second try after waiting in vain": (
        stop(0, 0, 9),
        stop(9, 0, 30, Status="Unanswered"),
        stop(40, 5, 60),
    ),
    "two menus, two rings": (
        stop(0, 0, 14),
        stop(14, 46, 0),
        stop(30, 0, 14, Destination="Stop (801)"),
        stop(44, 6, 60),
    ),
    "where calls come in is there again": (stop(0, 0, 30), stop(31, 0, 30, Destination="Stop (801)")),
    "the last one goes on elsewhere": (stop(0, 0, 19), stop(19, 20, 0, Status="Redirected")),
    "times without seconds": (stop(0, 0, 19), stop(19, 0, 30, **{"Call Time": "2026-10-01 09:00"})),
}


@pytest.mark.parametrize("stops", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_stops_that_may_be_of_several_calls_are_neither_put_together_nor_used_alone(
    read: Read, stops: tuple[dict[str, str], ...]
) -> None:
    assert linked(read, *stops) == [-1] * len(stops)
    legs = read(report(*stops, stop(200, 0, 9), stop(209, 1, 9)), timezone="UTC")
    assert pd.factorize(legs["linked_id"])[0].tolist() == [-1] * len(stops) + [0, 0]
    in_doubt = legs["problem"].str.contains("several calls", na=False)
    assert in_doubt.tolist() == [True] * len(stops) + [False, False]
    rec = sr.reconcile(
        read(report(*stops), timezone="UTC", country="GB"), inbound(seconds=74), progress=False
    )
    assert rec.pairs.empty


def test_nobody_knows_what_belongs_to_a_stop_of_unknown_length(read: Read) -> None:
    stops = stop(0, 0, 19, **{"Total Duration": "a while"}), stop(19, 5, 60), stop(4000, 0, 9)
    legs = read(report(*stops), timezone="UTC")
    assert legs["linked_id"].isna().all()
    in_doubt = legs["problem"].str.contains("several calls", na=False)
    assert in_doubt.tolist() == [True, True, False]


def test_a_stop_that_was_sent_twice_is_no_second_call(read: Read) -> None:
    stops = stop(0, 0, 19), stop(13, 6, 0, Status="Redirected"), stop(13, 6, 45)
    assert linked(read, *stops, *stops) == [0] * 6
    assert linked(read, stops[0], stops[0]) == [-1, -1]
    assert read(report(stops[0], stops[0]), timezone="UTC")["problem"].isna().all()


@pytest.mark.parametrize("caller", ["anonymous", "", "101"])
def test_callers_without_a_number_of_their_own_are_not_put_together(read: Read, caller: str) -> None:
    fields = {"Caller ID": caller}
    assert linked(read, stop(0, 0, 19, **fields), stop(19, 0, 30, **fields)) == [-1, -1]


def test_a_redirected_row_is_a_leg_only_if_somebody_talked_in_it_and_its_call_is_known(read: Read) -> None:
    first, second = stop(0, 5, 60, Status="Redirected"), stop(65, 5, 120)
    assert read(report(first, second), timezone="UTC")["is_helper"].tolist() == [False, False]
    assert read(report(first), timezone="UTC")["is_helper"].tolist() == [True]
    assert read(report(stop(0, 5, 0, Status="Redirected")), timezone="UTC")["is_helper"].tolist() == [True]


def test_ringing_before_everything_else_is_a_part_of_the_call(read: Read) -> None:
    first, second = stop(0, 20, 0, Status="Redirected"), stop(20, 5, 60)
    legs = read(report(first, second), timezone="UTC", country="GB")
    assert legs["is_helper"].tolist() == [False, False]
    (call,) = sr.reconcile(legs, CALLS.empty(), progress=False).only_in_cdr.to_dict("records")
    assert (call["total_s"], call["billable_s"], call["status"]) == (85, 60, "completed")


def test_one_call_of_several_stops_is_compared_with_its_whole_talk(read: Read) -> None:
    legs = read(
        report(stop(0, 0, 19), stop(13, 6, 0, Status="Redirected"), stop(13, 6, 45)),
        timezone="UTC",
        country="GB",
    )
    rec = sr.reconcile(legs, inbound(seconds=45), rules=sr.Rules(duration="billable"), progress=False)
    assert rec.discrepancies[["field", "value_cdr"]].to_numpy().tolist() == [["duration_seconds", "64"]]
    assert rec.pairs.loc[0, "n_legs"] == 2


def inbound(seconds: int) -> pd.DataFrame:
    """Return the one call that came in at nine."""
    begin = pd.Timestamp("2026-10-01 09:00", tz="UTC")
    call = {
        "id": "1",
        "from_number": "+442079460123",
        "to_number": "+442079460100",
        "status": "completed",
        "direction": "inbound",
        "started_at": begin,
        "ended_at": begin + pd.Timedelta(64, "s"),
        "duration_seconds": seconds,
        "api_url": "https://api.example",
        "fetched_at": begin + pd.Timedelta(30, "D"),
    }
    calls = CALLS.empty().reindex([0])
    return calls.assign(**{name: pd.Series([value], dtype=calls[name].dtype) for name, value in call.items()})


# ---------------------------------------------------------------- reports with an id


def newer(**fields: str) -> dict[str, str]:
    return {"From": "Ann (101)", "To": "+442079460123", "Direction": "Outbound", "Call ID": "4711",
            "Ringing": "00:00:05", "Talking": "00:01:00", **fields}  # fmt: skip


def test_newer_reports_name_calls_and_directions(read: Read) -> None:
    rows = [newer(), newer(**{"Call ID": "4711", "Direction": "Inbound Queue"}), newer(Direction="Internal"),
            newer(**{"Call Time": "2026-10-02T09:00:00"})]  # fmt: skip
    legs = read(report(*rows, names=NEWER), timezone="UTC")
    assert legs["direction"].tolist() == ["outbound", "inbound", "internal", "outbound"]
    assert legs["linked_id"].tolist() == ["4711/2026-10-01"] * 3 + ["4711/2026-10-02"]
    assert legs.loc[0, ["from_number", "to_number", "sip_username"]].tolist() == [
        "101",
        "+442079460123",
        "101",
    ]
    assert (legs.loc[0, "total_s"], legs.loc[0, "billable_s"]) == (65, 60)
    assert legs["call_key"].isna().all()


def test_a_call_with_a_short_id_may_last_beyond_midnight(read: Read) -> None:
    rows = [newer(**{"Call Time": f"2026-10-{time}", "Talking": "00:00:10"}) for time in
            ("01T23:59:50", "02T00:00:00", "02T00:00:12", "02T03:00:00", "03T03:00:00")]  # fmt: skip
    rows.append(newer(**{"Call Time": "soon", "Call ID": "4712"}))
    legs = read(report(*rows, names=NEWER), timezone="UTC")
    days = ["01", "01", "01", "02", "03"]
    assert legs["linked_id"].tolist()[:5] == [f"4711/2026-10-{day}" for day in days]


def test_a_long_id_names_a_call_by_itself(read: Read) -> None:
    uuid = "00000000-01db-aef6-c109-60ec00000001"
    legs = read(report(newer(**{"Call ID": uuid}), newer(**{"Call ID": ""}), names=NEWER), timezone="UTC")
    assert legs.loc[0, ["call_key", "linked_id"]].tolist() == [uuid, uuid]
    assert legs.loc[1, ["call_key", "linked_id"]].isna().all()
