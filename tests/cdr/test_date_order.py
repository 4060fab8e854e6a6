"""Day and month stand where the file proves it or the caller says; nothing is guessed, and nothing contradicted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.times.date_order import DateVotes, _Vote

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

COLUMNS = {"started_at": "Start", "billable_s": "Talk"}


def table(*starts: str) -> bytes:
    return "\n".join(["Start;Talk", *(f"{start};60" for start in starts)]).encode()


def starts(legs: pd.DataFrame) -> list[str]:
    return [str(at)[:16] for at in legs["started_at"]]


@pytest.mark.parametrize(
    ("dates", "first"),
    [
        (["1/9/2026 8:00", "13/9/2026 8:00"], "2026-09-01 08:00"),
        (["1/9/2026 8:00", "9/13/2026 8:00"], "2026-01-09 08:00"),
        (["01.09.26 08:00", "24.08.26 08:00"], "2026-09-01 08:00"),
        (["01-09-2026 08:00", "2026-10-01 08:00", "13-09-2026 08:00"], "2026-09-01 08:00"),
        (["1/1/2026 8:00"], "2026-01-01 08:00"),
        (["4/4/2026 8:00", "", "5/5/2026 8:00"], "2026-04-04 08:00"),
    ],
)
def test_a_part_above_twelve_settles_it_and_equal_parts_need_nothing(
    read: Read, dates: list[str], first: str
) -> None:
    legs = read(table(*dates), columns=COLUMNS, timezone="UTC")
    assert starts(legs)[0] == first
    assert legs["started_at"].notna().sum() == len([date for date in dates if date])


def test_a_date_that_can_be_read_two_ways_is_asked_about_with_its_line_and_both_readings(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError) as caught:
        read(table("3/3/2026 8:00", "1/9/2026 8:00", "2/9/2026 8:00"), columns=COLUMNS, timezone="UTC")
    assert caught.value.line == 3
    told = "line 3: the date '1/9/2026 8:00' is 2026-09-01 with the day first and 2026-01-09 with the month first"
    assert told in str(caught.value)
    assert "dayfirst=True or dayfirst=False" in str(caught.value)


def test_rows_in_the_order_of_time_prove_nothing(read: Read) -> None:
    ascending = [f"{day}/9/2026 8:00" for day in range(1, 10)]
    with pytest.raises(sr.CdrFormatError, match="no other date settles it"):
        read(table(*ascending), columns=COLUMNS, timezone="UTC")


@pytest.mark.parametrize("dayfirst", [None, True, False])
def test_a_file_with_both_orders_is_an_error_with_both_lines(read: Read, dayfirst: bool | None) -> None:
    data = table("1/9/2026 8:00", "13/9/2026 8:00", "9/14/2026 8:00", "15/9/2026 8:00")
    with pytest.raises(sr.CdrFormatError, match="two orders") as caught:
        read(data, columns=COLUMNS, timezone="UTC", dayfirst=dayfirst)
    assert caught.value.line == 4
    assert "line 3 '13/9/2026 8:00' has the day first" in str(caught.value)
    assert "line 4 '9/14/2026 8:00' the month first" in str(caught.value)


def test_two_orders_on_one_line_are_told_alike_whichever_was_seen_first() -> None:
    said = []
    for orders in (("day", "month"), ("month", "day")):
        whole, piece = DateVotes("export.csv"), DateVotes("export.csv", is_needed=True)
        for order in orders:
            piece.add(order, _Vote(4, order, by_epoch=False))
        whole.add_piece(piece, 0)
        with pytest.raises(sr.CdrFormatError) as caught:
            whole.settled(dayfirst=None)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("dayfirst", "date", "other"), [(True, "9/13/2026", "month"), (False, "13/9/2026", "day")]
)
def test_what_is_said_against_the_dates_is_an_error_with_the_line(
    read: Read, dayfirst: bool, date: str, other: str
) -> None:
    data = table("1/9/2026 8:00", f"{date} 8:00")
    with pytest.raises(sr.CdrFormatError, match=rf"dayfirst={dayfirst} .* has the {other} first") as caught:
        read(data, columns=COLUMNS, timezone="UTC", dayfirst=dayfirst)
    assert caught.value.line == 3
    assert len(read(data, columns=COLUMNS, timezone="UTC", dayfirst=not dayfirst)) == 2


@pytest.mark.parametrize("date", ["31/31/2026 8:00", "31/4/2026 8:00", "0/9/2026 8:00", "12/31/1969 19:00"])
def test_what_is_no_date_in_either_order_or_stands_for_never_proves_nothing(read: Read, date: str) -> None:
    data = table("1/9/2026 8:00", date)
    with pytest.raises(sr.CdrFormatError, match="no other date settles it"):
        read(data, columns=COLUMNS, timezone="UTC")
    legs = read(data, columns=COLUMNS, timezone="UTC", dayfirst=True)
    assert legs["problem"].notna().tolist() == [False, True]


def test_a_broken_row_proves_nothing(read: Read) -> None:
    data = b"Start;Talk;More\n1/9/2026 8:00;60;\n13/9/2026 8:00;60\n9/13/2026 8:00;60;x\n"
    legs = read(data, columns=COLUMNS, timezone="UTC")
    assert starts(legs)[0] == "2026-01-09 08:00"
    assert legs["problem"].notna().tolist() == [False, True, False]


def test_an_answer_or_an_end_may_settle_what_no_start_does(read: Read) -> None:
    data = b"Start;End\n12/9/2026 23:59:30;13/9/2026 0:01:00\n"
    legs = read(data, columns={"started_at": "Start", "ended_at": "End"}, timezone="UTC")
    assert starts(legs) == ["2026-09-12 23:59"]
    assert legs["total_s"].tolist() == [90]


# ---------------------------------------------------------------- the epoch in the ids


def called(asterisk: Line, form: str, at: datetime, *, ahead_h: float = 0, late_s: int = 0) -> bytes:
    """Return a row whose id was made at an instant, its times printed by a clock so far ahead of UTC."""
    shown = at + timedelta(hours=ahead_h, seconds=late_s)
    stamps = {
        name: (shown + timedelta(seconds=s)).strftime(form)
        for name, s in {"start": 0, "answer": 5, "end": 65}.items()
    }
    return asterisk(uniqueid=f"{int(at.timestamp())}.7", **stamps)


DAYS = [datetime(2026, 9, day, 10, tzinfo=UTC) for day in (1, 2, 5, 8)]


@pytest.mark.parametrize("ahead_h", [0, 1, -5, 5.75, 13, -9.5])
@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d/%m/%y %H:%M:%S"])
def test_the_epoch_in_the_ids_settles_the_order_and_the_zone(
    asterisk: Line, read: Read, form: str, ahead_h: float
) -> None:
    data = b"".join(called(asterisk, form, at, ahead_h=ahead_h) for at in DAYS)
    legs = read(data, format="asterisk")
    assert legs["started_at"].tolist() == [pd.Timestamp(at) for at in DAYS]
    assert legs["problem"].isna().all()


def test_one_row_and_its_id_are_enough_and_later_legs_of_a_call_do_not_disturb(
    asterisk: Line, read: Read
) -> None:
    form = "%d/%m/%Y %H:%M:%S"
    assert starts(read(called(asterisk, form, DAYS[0]), format="asterisk")) == ["2026-09-01 10:00"]
    later = [called(asterisk, form, at, late_s=4321) for at in DAYS]
    legs = read(b"".join([called(asterisk, form, DAYS[0]), *later]), format="asterisk", timezone="UTC")
    assert legs["started_at"].tolist()[1:] == [pd.Timestamp(at) + pd.Timedelta(seconds=4321) for at in DAYS]


def test_what_is_said_against_the_ids_is_an_error_with_the_line(asterisk: Line, read: Read) -> None:
    data = b"".join(called(asterisk, "%d/%m/%Y %H:%M:%S", at) for at in DAYS)
    with pytest.raises(sr.CdrFormatError, match=r"dayfirst=False .* \(by the epoch of its id\)") as caught:
        read(data, format="asterisk", dayfirst=False, timezone="UTC")
    assert caught.value.line == 1
    assert len(read(data, format="asterisk", dayfirst=True)) == 4


def test_a_file_that_a_spreadsheet_turned_round_in_part_is_an_error(asterisk: Line, read: Read) -> None:
    # What looks like M/D/Y was taken for a date and printed anew; the rest stayed text.
    days = [datetime(2026, 9, day, 10, tzinfo=UTC) for day in (1, 14)]
    data = called(asterisk, "%m/%d/%Y %H:%M:%S", days[0]) + called(asterisk, "%d/%m/%Y %H:%M:%S", days[1])
    for options in ({}, {"dayfirst": True}, {"timezone": "UTC"}):
        with pytest.raises(sr.CdrFormatError, match=r"line 1 .*epoch.* line 2") as caught:
            read(data, format="asterisk", **options)
        assert caught.value.line == 2


def test_ids_that_fit_neither_order_settle_nothing(asterisk: Line, read: Read) -> None:
    data = called(asterisk, "%d/%m/%Y %H:%M:%S", DAYS[0], ahead_h=24 * 400)
    with pytest.raises(sr.CdrFormatError, match="no other date settles it"):
        read(data, format="asterisk", timezone="UTC")


# ---------------------------------------------------------------- large files, frames, a real one


@pytest.mark.parametrize("last", ["13/9/2026 8:00:00", "9/13/2026 8:00:00"])
def test_a_file_that_is_read_in_pieces_is_settled_by_all_of_it(
    in_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1000)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 500)
    path = in_file(table(*["1/9/2026 8:00:00"] * 200, last), "large.csv")
    options: dict[str, Any] = {"columns": COLUMNS, "timezone": "UTC", "progress": False}
    legs = sr.read_cdr(path, **options)
    day_first = last.startswith("13")
    assert set(starts(legs)[:-1]) == {"2026-09-01 08:00" if day_first else "2026-01-09 08:00"}
    assert sr.read_cdr(path, dayfirst=day_first, **options)["started_at"].equals(legs["started_at"])
    with pytest.raises(sr.CdrFormatError, match="dayfirst=") as caught:
        sr.read_cdr(path, dayfirst=not day_first, **options)
    assert caught.value.line == 202


def test_a_frame_is_asked_about_with_its_record() -> None:
    frame = pd.DataFrame({"Start": ["", "1/9/2026 8:00"], "Talk": ["", "60"]})
    with pytest.raises(sr.CdrFormatError, match="query line 2") as caught:
        sr.cdr_from_frame(frame, columns=COLUMNS, timezone="UTC", source="query")
    assert caught.value.line == 2


REAL = (
    "start", "clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "duration", "billsec",
    "disposition", "amaflags", "accountcode", "uniqueid",
)  # fmt: skip


def test_the_ids_of_a_real_export_settle_dates_that_are_all_below_thirteen(cdr_samples: Path) -> None:
    path = cdr_samples / "freepbx_export" / "apspoliveira_cdr_dmy_noheader.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row[: len(REAL)] for row in csv.reader(file)]
    shown = [datetime.strptime(row[0], "%d/%m/%Y %H:%M:%S").replace(tzinfo=UTC) for row in rows]
    made = [float(row[-1]) for row in rows]
    assert {round((at.timestamp() - id_) / 3600) for at, id_ in zip(shown, made, strict=True)} == {1}
    frame = pd.DataFrame(rows, columns=list(REAL), dtype="str").assign(answer="", end="")
    legs = sr.cdr_from_frame(frame, format="asterisk")
    assert legs["started_at"].tolist() == [pd.Timestamp(at) - pd.Timedelta(hours=1) for at in shown]
    with pytest.raises(sr.CdrFormatError, match="epoch of its id"):
        sr.cdr_from_frame(frame, format="asterisk", dayfirst=False)
    with pytest.raises(sr.CdrFormatError, match="no other date settles it"):
        sr.cdr_from_frame(frame, columns={"started_at": "start"}, timezone="UTC")
