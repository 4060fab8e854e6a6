"""The file tells its clock where it can; what is said against it is an error, and a doubtful time is no guess."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr.times.clock import Clock, find_clock
from sippet_reconcile.cdr.times.stamps import read_stamps

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]

JULY = datetime(2026, 7, 1, 12, tzinfo=UTC)
FORM = "%Y-%m-%d %H:%M:%S"


def calls(
    asterisk: Line, *, ahead_h: float, n: int = 30, begin: datetime = JULY
) -> tuple[bytes, list[pd.Timestamp]]:
    """Return calls by a clock so far ahead of UTC, and when they began."""
    rows, begins = [], []
    for i in range(n):
        at = begin + timedelta(minutes=7 * i)
        shown = at + timedelta(hours=ahead_h)
        stamps = {name: (shown + timedelta(seconds=s)).strftime(FORM) for name, s in
                  {"start": 0, "answer": 5, "end": 65}.items()}  # fmt: skip
        rows.append(asterisk(uniqueid=f"{int(at.timestamp())}.{i}", **stamps))
        begins.append(pd.Timestamp(at))
    return b"".join(rows), begins


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1000)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 600)


# ---------------------------------------------------------------- the ids tell the clock


@pytest.mark.parametrize("ahead_h", [0, 1, 3, -5, 5.5, 5.75, 14, -11])
def test_the_offset_is_measured_and_stated(asterisk: Line, read: Read, ahead_h: float) -> None:
    data, begins = calls(asterisk, ahead_h=ahead_h)
    legs = read(data)
    assert legs["started_at"].tolist() == begins
    hours, minutes = divmod(round(abs(ahead_h) * 60), 60)
    sign = "-" if ahead_h < 0 else "+"
    said = f"UTC{sign}{hours:02d}:{minutes:02d} (measured from the epoch in the ids)"
    assert sr.describe_cdr(legs).summary()["clock"] == said


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize(("zone", "measured"), [("UTC", r"\+01:00"), ("Asia/Kolkata", r"\+01:00")])
def test_a_zone_against_the_ids_is_an_error_in_a_large_file_too(
    asterisk: Line, in_file: Callable[..., Path], zone: str, measured: str
) -> None:
    data, begins = calls(asterisk, ahead_h=1)
    path = in_file(data)
    with pytest.raises(sr.CdrFormatError, match=rf"timezone='{zone}' .* UTC{measured}"):
        sr.read_cdr(path, timezone=zone, progress=False)
    for right in ("Europe/London", None):
        assert sr.read_cdr(path, timezone=right, progress=False)["started_at"].tolist() == begins


def test_files_of_several_clocks_are_each_read_by_their_own(
    asterisk: Line, in_file: Callable[..., Path]
) -> None:
    (east, first), (west, second) = (calls(asterisk, ahead_h=h) for h in (3, -5))
    paths = [in_file(east, "east.csv"), in_file(west, "west.csv")]
    legs = sr.read_cdr(paths, progress=False)
    assert legs["started_at"].tolist() == [*first, *second]
    clock = sr.describe_cdr(legs).summary()["clock"]
    assert "UTC+03:00" in clock
    assert "UTC-05:00" in clock
    with pytest.raises(
        sr.CdrFormatError, match=r"west\.csv: timezone='Europe/Moscow' .* UTC-05:00"
    ) as caught:
        sr.read_cdr(paths, timezone="Europe/Moscow", progress=False)
    assert caught.value.path == paths[1]


def test_epochs_that_are_the_starts_themselves_tell_the_clock_to_the_quarter_hour() -> None:
    """Epochs beside stamps, as JSON has them: each start, not only when its channel was made."""
    epochs = np.array([1_782_907_200, 1_782_910_801, 1_782_914_402]) * 1_000_000
    shown = [datetime.fromtimestamp(at / 1e6, UTC) + timedelta(hours=5, minutes=45) for at in epochs.tolist()]
    started = read_stamps(pa.array([at.strftime(FORM) for at in shown], pa.large_string()))

    def clock(zone: str | None) -> Clock:
        return find_clock(None if zone is None else ZoneInfo(zone), started, [], epochs, "x.json")

    assert clock(None).name == "UTC+05:45"
    assert "confirmed" in clock("Asia/Kathmandu").how
    with pytest.raises(sr.CdrFormatError, match=r"Asia/Kolkata.*UTC\+05:30.*UTC\+05:45"):
        clock("Asia/Kolkata")


@pytest.mark.parametrize(
    ("zone", "said"), [("Europe/London", None), ("UTC", r"UTC\+01:00"), ("America/New_York", r"UTC\+01:00")]
)
def test_stamps_beside_epochs_hold_the_zone_to_account_and_move_nothing(
    read: Read, zone: str, said: str | None
) -> None:
    rows = [
        "xml_cdr_uuid,start_stamp,start_epoch,end_epoch,billsec,hangup_cause,caller_id_number,destination_number"
    ]
    for n in range(5):
        at = JULY + timedelta(minutes=n)
        shown = (at + timedelta(hours=1)).strftime(FORM)
        epoch = int(at.timestamp())
        rows.append(
            f"8c1f3c52-0000-4000-8000-00000000000{n},{shown},{epoch},{epoch + 65},60,NORMAL_CLEARING,1001,1002"
        )
    data = "\n".join(rows).encode()
    alone = read(data, format="fusionpbx")["started_at"].tolist()
    assert alone == [pd.Timestamp(JULY) + pd.Timedelta(minutes=n) for n in range(5)]
    if said is None:
        assert read(data, format="fusionpbx", timezone=zone)["started_at"].tolist() == alone
    else:
        with pytest.raises(sr.CdrFormatError, match=f"timezone='{zone}' .*beside its stamps show {said}"):
            read(data, format="fusionpbx", timezone=zone)


def test_without_ids_and_offsets_the_zone_is_asked_for(asterisk: Line, read: Read) -> None:
    with pytest.raises(sr.InputError, match=r"times are local.*timezone="):
        read(asterisk(16))


def test_a_zone_is_confirmed_only_by_ids_that_fit_it(asterisk: Line, read: Read) -> None:
    confirmed = "UTC (given, and confirmed by the epoch in the ids)"
    days_apart, _ = calls(asterisk, ahead_h=24 * 3)
    hour_twice = asterisk(
        start="2026-10-25 01:30:00", answer="", end="", uniqueid=f"{int(JULY.timestamp())}.1"
    )
    for data, zone, said in [
        (calls(asterisk, ahead_h=0)[0], "UTC", confirmed),
        (days_apart, "UTC", "UTC (given)"),
        (hour_twice, "Europe/London", "Europe/London (given)"),
    ]:
        assert sr.describe_cdr(read(data, timezone=zone)).summary()["clock"] == said


@pytest.mark.parametrize("late_m", [15, 30, 45])
def test_a_later_segment_after_a_quarter_of_an_hour_is_no_clock_that_nobody_has(
    asterisk: Line, read: Read, late_m: int
) -> None:
    late, _ = calls(asterisk, ahead_h=late_m / 60, n=1)
    with pytest.raises(
        sr.InputError, match=r"do not fit its start times, such as 20.* beside 20.* UTC; pass timezone="
    ):
        read(late)
    first, begins = calls(asterisk, ahead_h=0, n=3)
    assert read(late + first)["started_at"].tolist()[1:] == begins


# ---------------------------------------------------------------- gaps and folds of daylight saving


@pytest.mark.parametrize(
    ("span", "total", "expected"),
    [
        # 01:30 occurs at 00:30 and at 01:30 UTC; the end at 02:10 GMT is one instant.
        (("2026-10-25 01:30:00", "2026-10-25 02:10:00"), "2400", "2026-10-25 01:30"),
        (("2026-10-25 01:30:00", "2026-10-25 02:10:00"), "6000", "2026-10-25 00:30"),
        # The end looks earlier than the start: the change lies between them.
        (("2026-10-25 01:50:00", "2026-10-25 01:05:10"), "910", "2026-10-25 00:50"),
        (("2026-10-25 01:10:00", "2026-10-25 01:10:40"), "3640", "2026-10-25 00:10"),
        # Both ends are doubtful and nothing else tells.
        (("2026-10-25 01:30:00", "2026-10-25 01:40:00"), "600", None),
        # The seconds fit neither.
        (("2026-10-25 01:30:00", "2026-10-25 02:10:00"), "77", None),
        # No clock showed 01:30 that night.
        (("2026-03-29 01:30:00", "2026-03-29 02:10:00"), "2400", None),
    ],
)
def test_an_hour_that_came_twice_is_settled_by_the_seconds_or_left_open(
    freeswitch: Line, read: Read, span: tuple[str, str], total: str, expected: str | None
) -> None:
    start, end = span
    data = freeswitch(start_stamp=start, answer_stamp="", end_stamp=end, duration=total, billsec="0")
    leg = read(data, timezone="Europe/London").iloc[0]
    assert pd.isna(leg["problem"])
    if expected is None:
        assert pd.isna(leg["started_at"])
        assert "started_at" in leg["time_problem"]
    else:
        assert leg["started_at"] == pd.Timestamp(expected, tz="UTC")
        assert leg["ended_at"] - leg["started_at"] == pd.Timedelta(seconds=int(total))
        assert pd.isna(leg["time_problem"])


def test_the_epoch_of_an_id_settles_an_hour_that_came_twice(asterisk: Line, read: Read) -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)
    london = ZoneInfo("Europe/London")
    begins = [change + timedelta(minutes=m) for m in range(-90, 90, 10)]
    rows = []
    for n, at in enumerate(begins):
        times = [(at + timedelta(seconds=s)).astimezone(london).strftime(FORM) for s in (0, 5, 65)]
        stamps = dict(zip(("start", "answer", "end"), times, strict=True))
        rows.append(asterisk(uniqueid=f"{int(at.timestamp())}.{n}", **stamps))
    legs = read(b"".join(rows), timezone="Europe/London")
    assert legs["started_at"].tolist() == [pd.Timestamp(at) for at in begins]
    assert legs["ended_at"].tolist() == [pd.Timestamp(at) + pd.Timedelta(seconds=65) for at in begins]
    assert legs["time_problem"].isna().all()


# ---------------------------------------------------------------- finer and coarser than seconds

COLUMNS = {"started_at": "Start", "ended_at": "End"}


def table(start: str, end: str, **options: Any) -> pd.Series:
    frame = pd.DataFrame({"Start": [start], "End": [end]}, dtype="str")
    return sr.cdr_from_frame(frame, columns=COLUMNS, **options).iloc[0]


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [
        ("1790845200123", "1790845201623", 1.5),
        ("1790845200123456", "1790845200123457", 0.000001),
        ("1790845200.5", "1790845202", 1.5),
        ("2026-10-01T09:00:00.123Z", "2026-10-01T09:00:01.623Z", 1.5),
        ("2026-10-01T09:00:00.123456+00:00", "2026-10-01T09:00:00.123457+00:00", 0.000001),
        ("2026-10-01T09:00:00,25Z", "2026-10-01T09:00:01Z", 0.75),
        ("1790845200", "1790845265", 65.0),
    ],
)
def test_fractions_of_seconds_are_kept(start: str, end: str, seconds: float) -> None:
    leg = table(start, end)
    assert leg["total_s"] == pytest.approx(seconds, abs=1e-9)
    assert not leg["is_coarse"]


def test_times_without_seconds_are_coarse_and_imply_none() -> None:
    leg = table("2026-10-01 09:00", "2026-10-01 09:01", timezone="UTC")
    assert bool(leg["is_coarse"])
    assert pd.isna(leg["total_s"])


@pytest.fixture(params=["whole", "in pieces"])
def whole_or_in_pieces(request: pytest.FixtureRequest) -> None:
    if request.param == "in pieces":
        request.getfixturevalue("in_pieces")


def without_seconds(asterisk: Line, begins: list[datetime], *, later_s: int = 0) -> bytes:
    """Return calls by a clock an hour ahead that shows no seconds, the last of them begun long after its id."""
    late = [0] * (len(begins) - 1) + [later_s]
    rows = []
    for n, (at, later) in enumerate(zip(begins, late, strict=True)):
        shown = (at + timedelta(hours=1, seconds=later)).strftime("%Y-%m-%d %H:%M")
        rows.append(
            asterisk(uniqueid=f"{int(at.timestamp())}.{n}", start=shown, answer="", end="", billsec="0")
        )
    return b"".join(rows)


@pytest.mark.usefixtures("whole_or_in_pieces")
@pytest.mark.parametrize("later_s", [0, 3600 - 17], ids=["all at once", "one an hour late, on the minute"])
def test_a_clock_without_seconds_is_measured_to_the_minute(
    asterisk: Line, in_file: Callable[..., Path], later_s: int
) -> None:
    # None of them began within moments of a minute.
    begins = [JULY + timedelta(minutes=7 * n, seconds=17) for n in range(30)]
    path = in_file(without_seconds(asterisk, begins, later_s=later_s))
    legs = sr.read_cdr(path, progress=False)
    assert sr.describe_cdr(legs).summary()["clock"].startswith("UTC+01:00 (measured")
    assert legs["started_at"].tolist()[:-1] == [pd.Timestamp(at.replace(second=0)) for at in begins[:-1]]
    with pytest.raises(sr.CdrFormatError, match=r"UTC\+01:00 \((29|30) of "):
        sr.read_cdr(path, timezone="UTC", progress=False)


@pytest.mark.usefixtures("whole_or_in_pieces")
def test_an_id_settles_an_hour_that_came_twice_without_seconds_too(
    asterisk: Line, in_file: Callable[..., Path]
) -> None:
    change = datetime(2026, 10, 25, 1, 0, 17, tzinfo=UTC)
    begins = [change + timedelta(minutes=m) for m in range(-90, 90, 10)]
    rows = []
    for n, at in enumerate(begins):
        shown = at.astimezone(ZoneInfo("Europe/London")).strftime("%Y-%m-%d %H:%M")
        rows.append(
            asterisk(uniqueid=f"{int(at.timestamp())}.{n}", start=shown, answer="", end="", billsec="0")
        )
    legs = sr.read_cdr(in_file(b"".join(rows)), timezone="Europe/London", progress=False)
    assert legs["started_at"].tolist() == [pd.Timestamp(at.replace(second=0)) for at in begins]


def test_offsets_of_their_own_may_differ_within_one_call() -> None:
    leg = table("2026-10-25T01:59:30+01:00", "2026-10-25T01:00:30+00:00")
    assert leg["total_s"] == 60
    assert pd.isna(leg["time_problem"])


def test_a_zone_that_is_misspelled_is_an_error_with_the_one_that_is_meant(
    read: Read, freeswitch: Line
) -> None:
    with pytest.raises(sr.InputError, match="did you mean 'Europe/London'"):
        read(freeswitch(), timezone="London")
