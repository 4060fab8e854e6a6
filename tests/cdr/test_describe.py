"""A description counts what is in the legs, from the legs alone."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.describing.counting import PLAINLY_NATIONAL
from sippet_reconcile.cdr.describing.first_look import look_at
from sippet_reconcile.cdr.describing.guessing import guess_columns
from sippet_reconcile.cdr.describing.masking import mask_sample
from sippet_reconcile.phones import classify_numbers
from sippet_reconcile.schema import LEGS

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]


@pytest.fixture
def legs(freeswitch: Line, read: Read) -> pd.DataFrame:
    lines = [freeswitch(), freeswitch(), freeswitch(answer_stamp="", billsec="0", hangup_cause="USER_BUSY")]
    lines += [
        freeswitch(start_stamp="x<b>"),
        freeswitch(start_stamp="y"),
        freeswitch(
            start_stamp="2026-10-01 13:59:00",
            answer_stamp="2026-10-01 13:59:05",
            end_stamp="2026-10-01 14:00:00",
        ),
    ]
    return read(b"".join(lines), format="freeswitch", timezone="UTC")


def made(starts: list[datetime], zone: str = "UTC", **more: list[object]) -> pd.DataFrame:
    """Return answered legs of a minute that begin at local times, one call each."""
    n = len(starts)
    table = pd.DataFrame(
        {
            "S": [at.strftime("%Y-%m-%d %H:%M:%S") for at in starts],
            "T": ["60"] * n,
            "I": [f"call-{i}" for i in range(n)],
            **more,
        }
    )
    columns = {"started_at": "S", "billable_s": "T", "call_key": "I"}
    return sr.cdr_from_frame(
        table, columns=columns | {name: name for name in more}, timezone=zone, source="made.csv"
    )


def office(days: int, per_hour: int = 4, first: datetime = datetime(2026, 9, 7)) -> list[datetime]:  # noqa: DTZ001 - local
    """Return starts of an office: Monday to Friday, 9 to 17 o'clock."""
    return [
        first + timedelta(days=day, hours=hour, minutes=60 * i // per_hour)
        for day in range(days)
        if (first + timedelta(days=day)).weekday() < 5
        for hour in range(9, 17)
        for i in range(per_hour)
    ]


def test_the_summary_counts(legs: pd.DataFrame) -> None:
    summary = sr.describe_cdr(legs).summary()
    expected = {
        "rows": 6, "files": 1, "format": "freeswitch", "clock": "UTC (given)", "rows_with_problem": 2,
        "rows_with_time_problem": 0, "rows_without_seconds": 0, "answered": 5, "billable_s": 300.0, "helper_legs": 0, "repeated_records": 1,
        "calls_by_linked_id": 1, "most_legs_of_a_call": 6, "share_of_called_in_e164": 1.0, "share_of_callers_in_e164": 0.0,
        "statuses": {"completed": 5, "busy": 1}, "days": 1, "days_with_rows": 1, "repeated_in_another_file": 0,
        "billable_above_total": 0, "answered_with_0_s": 0, "unanswered_with_seconds": 0, "bytes": None,
    }  # fmt: skip
    assert {name: summary[name] for name in expected} == expected
    assert summary["problems"] == [
        {"problem": "start '…' is not a date and time", "rows": 2, "where": "<stream>:4; <stream>:5"}
    ]
    (quiet,) = summary["hours_without_rows"]
    assert (quiet["from"].hour, quiet["until"].hour, quiet["hours"]) == (10, 13, 3)


def test_it_prints_as_text_and_as_escaped_html(legs: pd.DataFrame, tmp_path: Path) -> None:
    description = sr.describe_cdr(legs)
    assert "rows with problem" in repr(description)
    assert "4 of 6 rows can be used, 2 cannot" in repr(description)
    html = description._repr_html_()
    assert "&lt;stream&gt;:4" in html
    assert "<b>" not in html
    assert "<script" not in html
    page = description.to_html(tmp_path / "new" / "cdr.html").read_text(encoding="utf-8")
    assert "&lt;stream&gt;:4" in page
    assert "<b>" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page), "the page refers to nothing outside"


def test_it_needs_no_attrs_and_no_rows_and_changes_nothing(
    legs: pd.DataFrame, asterisk: Line, read: Read
) -> None:
    bare = pd.concat([legs.iloc[:3], read(asterisk())], ignore_index=True)
    bare.attrs.clear()
    before = bare.copy(deep=True)
    assert sr.describe_cdr(bare).summary()["clock"] == "confirmed by the epoch in the ids"
    assert "How the times were read was not kept" in repr(sr.describe_cdr(bare))
    pd.testing.assert_frame_equal(bare, before)
    empty = sr.describe_cdr(LEGS.empty())
    assert (empty.summary()["rows"], empty.summary()["problems"]) == (0, [])
    assert "legs" in repr(empty)
    assert "not a single record" in repr(empty)
    assert "0 legs" in empty._repr_html_()


def test_a_file_of_exactly_a_hundred_rows_is_suspicious(freeswitch: Line, read: Read) -> None:
    notes = sr.describe_cdr(read(freeswitch() * 100, timezone="UTC")).summary()["notes"]
    assert notes == ["<stream> has exactly 100 rows, as an export that was cut at a limit has"]


@pytest.mark.parametrize("rows", [65_535, 65_536])
def test_a_file_as_long_as_a_spreadsheet_is_suspicious(rows: int, freeswitch: Line, read: Read) -> None:
    notes = sr.describe_cdr(read(freeswitch() * rows, timezone="UTC")).notes
    assert notes == (f"<stream> has exactly {rows:,} rows, as many as a spreadsheet holds",)


def test_a_file_whose_last_line_is_cut_is_told(freeswitch: Line, read: Read) -> None:
    data = freeswitch() * 5
    cut = sr.describe_cdr(read(data[:-60], timezone="UTC")).notes
    assert any("<stream> ends in the middle of a record" in note for note in cut)
    assert not sr.describe_cdr(read(data, timezone="UTC")).notes


def test_a_frame_that_is_no_legs_is_an_error() -> None:
    with pytest.raises(sr.SchemaError, match="source_file"):
        sr.describe_cdr(pd.DataFrame({"a": [1]}))


def test_the_first_three_lines_of_a_problem_are_named_and_the_others_counted(
    freeswitch: Line, read: Read
) -> None:
    data = b"".join([freeswitch()] * 5 + [freeswitch(start_stamp=f"day {i}") for i in range(5)])
    (problem,) = sr.describe_cdr(read(data, format="freeswitch", timezone="UTC")).summary()["problems"]
    assert problem["where"] == "<stream>:6; <stream>:7; <stream>:8 and 2 more"
    assert problem["rows"] == 5


def test_kinds_of_problem_beyond_the_tenth_are_one_row_and_still_add_up(legs: pd.DataFrame) -> None:
    many = pd.concat([legs] * 5, ignore_index=True)
    many["problem"] = pd.Series([f"reason {'x' * (i % 15)}!" for i in range(30)], dtype="str")
    found = sr.describe_cdr(many).problems
    assert found["rows"].sum() == 30
    assert found["problem"].iloc[-1] == "(5 other kinds)"


# ---------------------------------------------------------------- files and clocks


def test_files_of_several_clocks_are_told_apart(asterisk: Line, tmp_path: Path) -> None:
    for name, start in (("east.csv", "2026-10-01 12:00:00"), ("west.csv", "2026-10-01 04:00:00")):
        stamps = {"start": start, "answer": start, "end": start, "duration": "0", "billsec": "0"}
        (tmp_path / name).write_bytes(asterisk(**stamps))
    paths = str(tmp_path / "*.csv")
    described = sr.describe_cdr(sr.read_cdr(paths, progress=False), paths=paths)
    told = described.summary()["clocks"]
    assert [(clock["clock"], clock["files"], clock["such_as"]) for clock in told] == [
        ("UTC+03:00", 1, "east.csv"),
        ("UTC-05:00", 1, "west.csv"),
    ]
    assert described.summary()["earliest_start_local"] is None, "no clock is that of all files"
    assert "which of them the file does not tell" in " ".join(repr(described).split())


def test_starts_are_told_in_utc_and_by_the_clock_of_the_switch(freeswitch: Line, read: Read) -> None:
    summary = sr.describe_cdr(read(freeswitch(), timezone="Europe/London")).summary()
    assert summary["earliest_start"] == pd.Timestamp("2026-10-01 08:00", tz="UTC")
    assert summary["earliest_start_local"] == "2026-10-01 09:00:00"


def test_named_files_tell_their_sizes_and_why_they_are_what_they_are(
    freeswitch: Line, tmp_path: Path
) -> None:
    path = tmp_path / "Master.csv"
    path.write_bytes(freeswitch())
    described = sr.describe_cdr(sr.read_cdr(path, timezone="UTC", progress=False), paths=path)
    summary = described.summary()
    assert summary["bytes"] == path.stat().st_size
    best = summary["format_candidates"][0]
    assert (best["file"], best["format"], best["score"]) == ("Master.csv", "freeswitch", 1.0)
    assert best["reasons"]
    assert best["reasons"].split(";")[0] in repr(described)


def test_files_beyond_the_twentieth_are_one_row_and_still_add_up(freeswitch: Line, tmp_path: Path) -> None:
    for i in range(25):
        (tmp_path / f"{i:02d}.csv").write_bytes(freeswitch() * (i + 1))
    described = sr.describe_cdr(sr.read_cdr(str(tmp_path / "*.csv"), timezone="UTC", progress=False))
    told = described.summary()["source_files"]
    assert len(described.files) == 25
    assert told[-1]["file"] == "(5 other files)"
    assert sum(file["rows"] for file in told) == described.values["rows"] == 325  # noqa: PD011 - no frame
    assert described.summary()["repeated_in_another_file"] == 325 - 1


def test_legs_of_a_call_that_begin_more_than_a_day_apart_are_noticed() -> None:
    at = datetime(2026, 10, 1, 9)  # noqa: DTZ001 - local
    starts = [at, at + timedelta(hours=25), at, at + timedelta(hours=23)]
    legs = made(starts, linked_id=["a", "a", "b", "b"])
    assert sr.describe_cdr(legs).summary()["calls_over_a_day"] == 1


def test_calls_are_counted_by_how_many_legs_they_have() -> None:
    sizes = [1, 1, 2, 3, 4, 9, 10, 40]
    linked: list[object] = [f"c{i}" for i, size in enumerate(sizes) for _ in range(size)]
    legs = made([datetime(2026, 10, 1, 9)] * (len(linked) + 2), linked_id=[*linked, None, None])  # noqa: DTZ001
    legs["linked_id"] = pd.Series([*linked, None, None], dtype="str")
    found = sr.describe_cdr(legs).legs_per_call
    assert found.to_numpy().tolist() == [
        ["1", 2, 2], ["2", 1, 2], ["3", 1, 3], ["4 to 9", 2, 13], ["10 or more", 2, 50], ["(no id)", 0, 2],
    ]  # fmt: skip


# ---------------------------------------------------------------- seconds


@pytest.mark.parametrize(("step", "said"), [(60, 60), (30, 30), (6, 6), (1, None)])
def test_seconds_that_are_rounded_for_billing_are_noticed(step: int, said: int | None) -> None:
    legs = made([datetime(2026, 10, 1, 9)] * 50)  # noqa: DTZ001 - local
    legs["billable_s"] = pd.array([float(step * (i + 1)) for i in range(50)], dtype="Float64")
    described = sr.describe_cdr(legs)
    assert described.summary()["billed_in_steps_of_s"] == said
    assert ("rounded up for billing" in repr(described)) == (said is not None)


def test_the_total_is_held_against_the_time_from_start_to_end(legs: pd.DataFrame) -> None:
    many = pd.concat([legs.iloc[:1]] * 7, ignore_index=True)
    many["total_s"] = pd.array([65, 65.4, 64, 66, 63.5, 5, None], dtype="Float64")
    found = sr.describe_cdr(many).seconds
    assert dict(zip(found["end_minus_start"], found["rows"], strict=True)) == {
        "the total": 2, "1 s more": 2, "1 s less": 1, "another figure": 1, "(not told)": 1,
    }  # fmt: skip


def test_answers_and_seconds_that_contradict_each_other_are_counted(legs: pd.DataFrame) -> None:
    many = pd.concat([legs.iloc[:1]] * 4, ignore_index=True)
    many["billable_s"] = pd.array([0, 10, 100, 1.5], dtype="Float64")
    many["is_answered"] = pd.array([True, False, True, None], dtype="boolean")
    summary = sr.describe_cdr(many).summary()
    names = (
        "answered_with_0_s",
        "unanswered_with_seconds",
        "billable_above_total",
        "with_fractions_of_a_second",
    )
    assert [summary[name] for name in names] == [1, 1, 1, 1]


# ---------------------------------------------------------------- silence


def test_nights_and_weekends_of_an_office_are_no_news() -> None:
    described = sr.describe_cdr(made(office(28)))
    assert described.silences.empty
    assert described.quiet_hours["hours"].max() > 60, "they are still told as facts"
    assert not described.notes


@pytest.mark.parametrize("zone", ["UTC", "Europe/London", "Asia/Kolkata", "America/New_York"])
def test_a_busy_morning_without_a_leg_is_unusual(zone: str) -> None:
    gone = datetime(2026, 9, 22, 9), datetime(2026, 9, 22, 12)  # noqa: DTZ001 - local
    (silence,) = sr.describe_cdr(
        made([at for at in office(28) if not gone[0] <= at < gone[1]], zone)
    ).summary()["unusual_silences"]
    begin, end = (pd.Timestamp(at, tz=ZoneInfo(zone)) for at in gone)
    assert (silence["from"], silence["until"], silence["hours"]) == (begin, end, 3)
    assert silence["usual_rows"] == 12


def test_a_whole_day_that_is_missing_is_unusual_where_the_others_of_its_name_are_busy() -> None:
    day = datetime(2026, 9, 22).date()  # noqa: DTZ001 - local
    described = sr.describe_cdr(made([at for at in office(35) if at.date() != day]))
    (silence,) = described.summary()["unusual_silences"]
    assert silence["from"].date() == day
    assert silence["hours"] == 8
    assert "Unusual silence on Tue 22 September 2026 from 09:00 to 17:00" in repr(described)


def test_a_day_that_is_always_free_is_no_silence() -> None:
    fridays = [at for at in office(35) if at.weekday() != 4]
    assert sr.describe_cdr(made(fridays)).silences.empty


def test_a_few_days_tell_nothing() -> None:
    described = sr.describe_cdr(made([at for at in office(3) if not (at.day == 8 and at.hour < 12)]))
    assert described.silences.empty
    assert not described.summary()["silences_can_be_told"]
    assert "too few days" in repr(described)


def test_the_hour_that_a_clock_skips_is_no_silence() -> None:
    start = pd.date_range("2026-03-09", "2026-04-19", freq="10min", tz="Europe/London")
    starts = [at.to_pydatetime().replace(tzinfo=None) for at in start]
    assert sr.describe_cdr(made(starts, "Europe/London")).silences.empty


def test_one_start_of_another_century_makes_no_noise() -> None:
    starts = [datetime(1999, 1, 1), *office(28)]  # noqa: DTZ001 - local
    described = sr.describe_cdr(made(starts))
    assert described.silences.empty
    assert described.values["days_with_rows"] == 21  # noqa: PD011 - no frame


@pytest.mark.parametrize(
    ("until", "is_told"),
    [("2026-09-30 11:59", True), ("2026-09-30 23:59", False), ("2026-09-15 11:59", False)],
)
def test_a_month_whose_last_hours_are_missing_is_told(until: str, is_told: bool) -> None:
    starts = office(30, first=datetime(2026, 9, 1))  # noqa: DTZ001 - local
    kept = [at for at in starts if at <= datetime.strptime(until, "%Y-%m-%d %H:%M")]  # noqa: DTZ007 - local
    notes = sr.describe_cdr(made(kept)).notes
    assert bool(notes) == is_told
    assert (
        not is_told
        or "begins on 30 September 2026 between 11:00 and 12:00, and the rest of that month" in notes[0]
    )


# ---------------------------------------------------------------- numbers


def test_what_needs_no_look_is_what_a_look_calls_a_number_that_needs_a_country() -> None:
    rng = np.random.default_rng(7)
    texts = ["".join(map(str, rng.integers(0, 10, rng.integers(5, 16)))) for _ in range(3000)]
    texts += ["0" * n + "2079460123" for n in range(4)] + [
        "011442079460123",
        "4471790845200",
        "1001",
        "1234567890",
    ]
    plain = [text for text in texts if re.fullmatch(PLAINLY_NATIONAL, text)]
    assert len(plain) > 1000
    assert set(classify_numbers(pa.array(plain, pa.large_string())).to_pylist()) == {"needs_country"}


def test_kinds_of_number_add_up_and_examples_are_masked(freeswitch: Line, read: Read) -> None:
    numbers = ["020 7946 0123", "+442079460123", "1001", "*60", "anonymous", "", "02079460199"]
    data = b"".join(freeswitch(caller_id_number=number) for number in numbers)
    for country, kind in ((None, "needs_country"), ("GB", "e164")):
        described = sr.describe_cdr(read(data, timezone="UTC", country=country))
        found = described.numbers.set_index("kind")
        assert found["callers"].sum() == found["called"].sum() == len(numbers)
        assert found.loc[kind, "callers"] == (2 if country is None else 3)
        assert not re.search(r"7946\s?01", described.numbers.to_string())
        assert ("country= would" in repr(described)) == (country is None)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-10-01 09:00:00", "2026-10-01 09:00:00"),
        ("01/10/2026 9:05", "01/10/2026 9:05"),
        ("2026-10-01T09:00:00.123Z", "2026-10-01T09:00:00.123Z"),
        ("1790845200.1", "17•••••••0.1"),
        ("sip:442079460123@pbx", "sip:44••••••••23@pbx"),
        ("(020) 7946-0123", "(02•) ••••-••23"),
        ("020.7946.0123 on 01.10.2026", "02•.••••.••23 on 01.10.2026"),
        ("65", "65"),
    ],
)
def test_a_sample_keeps_its_dates_and_loses_the_middle_of_its_numbers(text: str, shown: str) -> None:
    assert mask_sample(text) == shown


# ---------------------------------------------------------------- files that nobody knows


def test_a_stranger_is_shown_as_it_is_with_columns_to_begin_with(tmp_path: Path) -> None:
    path = tmp_path / "strange.csv"
    path.write_text(
        "Weekly report\n"
        "Call Date;Caller;Destination;Duration;Talk Time;Result\n"
        "01.10.2026 09:00:00;020 7946 0123;+442079460199;65;60;answered\n"
        "01.10.2026 09:05:00;1001;+442079460188;15;0;busy\n",
        encoding="utf-8",
    )
    (look,) = look_at(path)
    assert not look.fits
    assert dict(look.columns) == {
        "started_at": "Call Date", "billable_s": "Talk Time", "total_s": "Duration", "from_number": "Caller",
        "to_number": "Destination", "status": "Result",
    }  # fmt: skip
    text = repr(look)
    assert "01.10.2026 09:00:00" in text
    assert "7946" not in text
    assert json.loads(json.dumps(look.summary()))["fields"][1]["record 1"] == "02• •••• ••23"
    legs = sr.read_cdr(path, columns=look.columns, timezone="UTC", dayfirst=True, progress=False)
    assert legs["billable_s"].tolist() == [60.0, 0.0], "the suggestion works as it is"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"a",
        b"\x00\xff\xfe",
        b"a,b\n",
        b"{}",
        b"[1, 2]",
        b"<x/>",
        b"1,2,3\n4,5,6\n",
        b"INSERT INTO t",
    ],
)
def test_what_holds_nothing_is_looked_at_all_the_same(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    try:
        looks = look_at(path)
    except sr.CdrFormatError:
        return
    for look in looks:
        assert repr(look)
        assert look.summary()["bytes"] == len(data)


@pytest.mark.parametrize(
    ("name", "value", "column"),
    [
        ("answered", "yes", None),
        ("answered", "2026-10-01 09:00:05", "answered_at"),
        ("duration", "soon", None),
        ("duration", "0:01:05", "total_s"),
        ("from.number", "1001", "from_number"),
    ],
)
def test_a_name_counts_only_where_the_values_look_right(name: str, value: str, column: str | None) -> None:
    assert guess_columns([name], [[value]]) == ({} if column is None else {column: name})


# ---------------------------------------------------------------- real files

SAMPLES = 36


def any_way(path: Path) -> pd.DataFrame | None:
    for zone in (None, "UTC", "Asia/Tashkent"):
        for dayfirst in (None, True):
            try:
                return sr.read_cdr(path, timezone=zone, dayfirst=dayfirst, progress=False)
            except sr.InputError:
                continue
    return None


def test_real_files_are_described_as_pandas_counts_them(cdr_samples: Path) -> None:
    paths = [path for path in sorted(cdr_samples.rglob("*.*")) if path.is_file() and path.suffix != ".md"]
    described = 0
    for path in paths:
        legs = any_way(path)
        if legs is None:
            continue
        described += 1
        found = sr.describe_cdr(legs, paths=path)
        agrees_with_pandas(legs, found, path)
        assert max(map(len, repr(found).split("\n"))) <= 100, path
        assert found.candidates["score"].iloc[0] >= 0.5
        document = found.document
        assert document.html()
        assert document._repr_html_()
    assert described == len(paths) >= SAMPLES


def agrees_with_pandas(legs: pd.DataFrame, found: sr.CdrDescription, path: Path) -> None:
    summary, n = found.summary(), len(legs)
    assert summary["rows"] == n, path
    assert summary["statuses"] == legs["status"].value_counts().to_dict()
    for name in ("direction", "cause"):
        counts = legs[name].value_counts()
        told = {row[name]: row["rows"] for row in summary[f"{name}s"]}
        assert {
            value: rows for value, rows in told.items() if not value.startswith("(")
        }.items() <= counts.to_dict().items()
        assert sum(told.values()) == n
    answered = legs["is_answered"].fillna(value=False)
    assert sum(row["answered"] for row in summary["answered_by_status"]) == int(answered.sum())
    for row in summary["answered_by_status"]:
        assert row["answered"] + row["not_answered"] + row["not_known"] == row["rows"]
    assert sum(row["billable_s"] for row in summary["answered_by_status"]) == pytest.approx(
        legs["billable_s"].sum()
    )
    sizes = legs.groupby("linked_id").size()
    told = {row["legs_per_call"]: row["rows"] for row in summary["legs_per_call_distribution"]}
    assert told["1"] == int((sizes == 1).sum())
    assert told["4 to 9"] == int(sizes[sizes.between(4, 9)].sum())
    assert sum(told.values()) == n
    off = (legs["ended_at"] - legs["started_at"]).dt.total_seconds() - legs["total_s"].astype(float)
    counts = {row["end_minus_start"]: row["rows"] for row in summary["end_minus_start"]}
    assert counts["the total"] == int((off.abs() < 1).sum())
    assert sum(counts.values()) == n
    for side, column in (("callers", "from"), ("called", "to")):
        kinds = {row["kind"]: row[side] for row in summary["kinds_of_number"]}
        assert kinds.get("e164", 0) == int(legs[f"{column}_e164"].notna().sum())
        assert sum(kinds.values()) == n
    assert sum(row["rows"] for row in summary["problems"]) == int(legs["problem"].notna().sum())
    assert sum(row["rows"] for row in summary["time_problems"]) == int(legs["time_problem"].notna().sum())
    assert found.days["rows"].sum() == int(legs["started_at"].notna().sum())
    json.dumps(summary, default=str)


def test_parts_of_legs_in_any_order_and_without_helpers_are_described(legs: pd.DataFrame) -> None:
    part = legs.iloc[::-1].drop(columns=["is_helper", "is_coarse"])
    assert sr.describe_cdr(part).summary()["rows"] == 6
    assert sr.describe_cdr(legs.iloc[3:5]).summary()["earliest_start"] is None
    assert repr(sr.describe_cdr(legs.iloc[3:5]))


@pytest.mark.parametrize("year", ["0001-01-02", "1677-01-01", "2262-12-31", "9999-12-30"])
def test_instants_of_any_year_are_described(year: str, legs: pd.DataFrame) -> None:
    far = legs.copy()
    far.loc[0, ["started_at", "ended_at"]] = pd.Timestamp(year, tz="UTC").as_unit("us")
    described = sr.describe_cdr(far)
    assert year[:4].lstrip("0") in repr(described)
    assert described.silences.empty


@pytest.mark.parametrize("column", [*LEGS.names, "all of them"])
def test_a_column_without_a_single_value_still_adds_up(column: str, legs: pd.DataFrame) -> None:
    bare = legs.copy()
    for name in LEGS.names if column == "all of them" else [column]:
        bare[name] = pd.Series([None] * len(bare), dtype=bare[name].dtype)
    described = sr.describe_cdr(bare)
    tables = (
        described.statuses,
        described.directions,
        described.causes,
        described.files,
        described.legs_per_call,
    )
    assert [int(table["rows"].sum()) for table in tables] == [6] * 5
    assert described.numbers[["callers", "called"]].sum().tolist() == [6, 6]
    assert described.document.html()
    assert max(map(len, repr(described).split("\n"))) <= 100


def test_hostile_words_and_seconds_do_no_harm(legs: pd.DataFrame) -> None:
    wild = legs.copy()
    for name in ("cause", "source_file", "problem", "format", "from_number"):
        wild[name] = pd.Series([f"\x1b[2J<b>{'x' * 300}\n{i}" for i in range(6)], dtype="str")
    wild["billable_s"] = pd.array([np.inf, -5, 1e9, 1, 1, 1], dtype="Float64")
    described = sr.describe_cdr(wild)
    assert "\x1b" not in repr(described)
    assert max(map(len, repr(described).split("\n"))) <= 100
    assert "<b>" not in described._repr_html_()
    assert "<b>" not in described.document.html()


def test_open_files_are_not_read_again(freeswitch: Line) -> None:
    stream = io.BytesIO(freeswitch())
    described = sr.describe_cdr(sr.read_cdr(stream, timezone="UTC"), paths=stream)
    assert described.candidates.empty
    assert described.summary()["bytes"] is None
