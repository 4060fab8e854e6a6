"""When things happened, as columns: no day is missing, and no label covers another."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.period import Period
from sippet_reconcile.report.charts import Bar, ColumnChart
from sippet_reconcile.report.when import day_chart, hour_chart


def instants(*texts: str | None) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts), utc=True, format="ISO8601")).dt.as_unit("us")


def counted(chart: ColumnChart) -> dict[str, int]:
    return {bar.label: int(bar.value) for bar in chart.bars}


@pytest.mark.parametrize(
    ("month", "days"), [("2026-02", 28), ("2028-02", 29), ("2026-09", 30), ("2026-10", 31)]
)
def test_a_month_has_a_column_for_each_of_its_days(month: str, days: int) -> None:
    period = Period.month(month, timezone="Europe/London")
    chart = day_chart(instants(f"{month}-05T10:00Z"), "Europe/London", "Calls", period=period)
    assert len(chart.bars) == days
    assert [bar.tick for bar in chart.bars] == [str(n + 1) for n in range(days)]
    assert sum(bar.value for bar in chart.bars) == chart.bars[4].value == 1
    assert chart.shown_ticks == tuple(range(days))


def test_a_day_without_anything_is_there() -> None:
    chart = day_chart(instants("2026-10-05T10:00Z", "2026-10-08T10:00Z"), "UTC", "Calls")
    assert counted(chart) == {
        "Monday 2026-10-05": 1, "Tuesday 2026-10-06": 0, "Wednesday 2026-10-07": 0, "Thursday 2026-10-08": 1,
    }  # fmt: skip
    assert chart.title == "Calls by day, 5 to 8 October 2026 (UTC)"


def test_a_day_is_one_of_the_zone() -> None:
    late = instants("2026-10-05T23:30Z", "2026-10-07T10:00Z")
    assert counted(day_chart(late, "UTC", "Calls"))["Monday 2026-10-05"] == 1
    assert next(iter(counted(day_chart(late, "Asia/Kolkata", "Calls")))) == "Tuesday 2026-10-06"
    west = day_chart(instants("2026-10-05T02:30Z", "2026-10-07T10:00Z"), "America/New_York", "Calls")
    assert west.bars[0].label == "Sunday 2026-10-04"


def test_the_day_of_a_clock_change_has_the_hours_that_it_has() -> None:
    autumn = day_chart(
        instants("2026-10-25T00:30Z", "2026-10-25T01:30Z", "2026-10-25T01:45Z"), "Europe/London", "Calls"
    )
    assert len(autumn.bars) == 25
    assert counted(autumn)["01:00 (UTC+01:00)"] == 1
    assert counted(autumn)["01:00 (UTC+00:00)"] == 2
    spring = day_chart(instants("2026-03-29T01:30Z"), "Europe/London", "Calls")
    assert len(spring.bars) == 23
    assert "01:00" not in counted(spring)
    assert counted(spring)["02:00"] == 1
    # Chile's clocks skip midnight itself, and India's hours begin at half past in UTC.
    assert len(day_chart(instants("2026-09-06T12:00Z"), "America/Santiago", "Calls").bars) == 23
    assert counted(day_chart(instants("2026-10-05T04:29Z"), "Asia/Kolkata", "Calls"))["09:00"] == 1


def test_one_day_is_drawn_by_hour() -> None:
    chart = day_chart(instants("2026-10-05T10:59Z", "2026-10-05T13:00Z"), "UTC", "Calls")
    assert len(chart.bars) == 24
    assert {k: n for k, n in counted(chart).items() if n} == {"10:00": 1, "13:00": 1}
    assert chart.title == "Calls by hour, Monday 5 October 2026 (UTC)"


def test_years_are_drawn_by_month_and_ages_by_year() -> None:
    years = day_chart(instants("2024-11-30T10:00Z", "2026-02-01T10:00Z"), "UTC", "Calls")
    assert len(years.bars) == 16
    assert counted(years)["November 2024"] == counted(years)["February 2026"] == 1
    assert "by month, November 2024 to February 2026" in years.title
    ages = day_chart(instants("1970-01-01T00:00Z", "2026-10-05T10:00Z"), "UTC", "Calls")
    assert len(ages.bars) == 57
    assert counted(ages)["1970"] == counted(ages)["2026"] == 1
    long = day_chart(instants("1900-01-01T00:00Z", "2026-10-05T10:00Z"), "UTC", "Calls")
    assert len(long.bars) <= 60
    assert sum(bar.value for bar in long.bars) == 2


@pytest.mark.parametrize("chart_of", [day_chart, hour_chart])
def test_a_missing_instant_is_counted_in_words(chart_of) -> None:
    at = instants("2026-10-05T10:00Z", None, None)
    assert chart_of(at, "UTC", "Calls").title.endswith("; 2 without a time are not drawn")
    assert chart_of(at.iloc[:0], "UTC", "Calls") is None
    assert chart_of(instants(None), "UTC", "Calls") is None


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.datetimes(datetime(2026, 2, 20), datetime(2026, 4, 20), timezones=st.just(ZoneInfo("UTC"))),  # noqa: DTZ001
        min_size=1,
        max_size=40,
    ),
    st.sampled_from(
        ["UTC", "Europe/London", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati"]
    ),
)
def test_every_instant_is_in_the_column_of_its_day_and_hour(moments: list[datetime], zone: str) -> None:
    at = pd.Series(pd.to_datetime(moments, utc=True)).dt.as_unit("us")
    local = [moment.astimezone(ZoneInfo(zone)) for moment in moments]
    by_hour = [int(bar.value) for bar in hour_chart(at, zone, "Calls").bars]
    assert by_hour == [sum(one.hour == hour for one in local) for hour in range(24)]
    days = day_chart(at, zone, "Calls")
    assert sum(bar.value for bar in days.bars) == len(moments)
    found = [one.date() for one in local]
    if min(found) != max(found):
        every = [min(found) + timedelta(n) for n in range((max(found) - min(found)).days + 1)]
        assert [date.fromisoformat(bar.label.split()[1]) for bar in days.bars] == every
        assert [int(bar.value) for bar in days.bars] == [found.count(day) for day in every]


def boxes(svg: str, kind: str, letter: float) -> list[tuple[float, float, float]]:
    """Return from where to where, and how high, each text of a kind is drawn."""
    found = re.findall(rf'<text class="{kind}" x="([-0-9.]+)" y="([-0-9.]+)"[^>]*>([^<]*)<', svg)
    return [(float(x) - len(t) * letter / 2, float(x) + len(t) * letter / 2, float(y)) for x, y, t in found]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2_000_000), min_size=1, max_size=120),
    st.sampled_from(["number", "date", "word"]),
)
def test_no_text_of_a_chart_covers_another(values: list[int], ticks: str) -> None:
    tick = {
        "number": str,
        "date": lambda n: "1 Oct" if n % 30 == 0 else str(n % 30 + 1),
        "word": lambda n: f"label {n}",
    }[ticks]
    bars = tuple(Bar(f"day {n}", v, f"{v:,}", tick=tick(n)) for n, v in enumerate(values))
    svg = ColumnChart("Calls", bars).to_svg("c")
    for kind, letter in (("tick", 6.3), ("value", 6.8)):
        drawn = sorted(boxes(svg, kind, letter))
        assert all(a[1] <= b[0] + 0.2 for a, b in pairwise(drawn))
        assert all(low >= -0.2 and high <= 760.2 for low, high, _ in drawn)
    assert boxes(svg, "tick", 6.3)
    # What has no room for its number says it in the text alternative and where one points at it.
    assert svg.count("<title>") == len(values)
    assert f"{max(values):,}" in re.sub("<title>.*?</title>|<desc.*?</desc>", "", svg) or not max(values)
