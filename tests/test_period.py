"""A period is half-open, aware, and a month begins at midnight where people live."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from sippet_reconcile.errors import InputError
from sippet_reconcile.period import Period


@pytest.mark.parametrize(
    ("month", "zone", "start", "end"),
    [
        ("2026-10", "UTC", "2026-10-01T00:00+00:00", "2026-11-01T00:00+00:00"),
        ("2026-12", "UTC", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("2026-10", "Europe/London", "2026-09-30T23:00+00:00", "2026-11-01T00:00+00:00"),
        ("2026-03", "America/New_York", "2026-03-01T05:00+00:00", "2026-04-01T04:00+00:00"),
        ("2026-02", "Asia/Kolkata", "2026-01-31T18:30+00:00", "2026-02-28T18:30+00:00"),
        # The first midnight of the month was skipped (clocks went from 00:00 to 01:00) ...
        ("2017-10", "America/Asuncion", "2017-10-01T04:00+00:00", "2017-11-01T03:00+00:00"),
        # ... or occurred twice: the month before ends with the first, so that both fit together.
        ("2020-11", "America/Havana", "2020-11-01T04:00+00:00", "2020-12-01T05:00+00:00"),
        ("2020-10", "America/Havana", "2020-10-01T04:00+00:00", "2020-11-01T04:00+00:00"),
    ],
)
def test_a_month_runs_from_midnight_to_midnight_in_its_zone(
    month: str, zone: str, start: str, end: str
) -> None:
    period = Period.month(month, timezone=zone)
    assert period.start == datetime.fromisoformat(start)
    assert period.end == datetime.fromisoformat(end)
    assert period.start.utcoffset() == period.end.utcoffset() == UTC.utcoffset(None)


@pytest.mark.parametrize(
    "month", ["2026", "2026-13", "2026-00", "10-2026", "", "2026-1", "0000-01", "9999-12", "0001-01"]
)
def test_what_is_not_a_month_is_refused_with_the_form_to_use(month: str) -> None:
    with pytest.raises(InputError, match="YYYY-MM"):
        Period.month(month)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(InputError, match="Europe/London"):
        Period.month("2026-10", timezone="Mars/Olympus")


@pytest.mark.parametrize("zone", [None, 1, ZoneInfo("Europe/London"), b"UTC"])
def test_a_zone_that_is_no_text_is_refused_with_what_to_pass(zone: Any) -> None:
    with pytest.raises(InputError, match="not text; pass an IANA name"):
        Period.month("2026-10", timezone=zone)


@pytest.mark.parametrize("zone", ["", "Europe", "../UTC", "GMT+25", "+01:00", "Europe/Lndon"])
def test_what_is_no_name_of_a_zone_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="is not known here; use an IANA name"):
        Period.month("2026-10", timezone=zone)


def test_an_end_beyond_all_years_is_refused() -> None:
    last = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-5)))
    with pytest.raises(InputError, match="outside the years"):
        Period(datetime(2026, 10, 1, tzinfo=UTC), last)


def test_a_missing_instant_is_refused() -> None:
    with pytest.raises(InputError, match="NaT is not an aware instant"):
        Period(pd.NaT, datetime(2026, 11, 1, tzinfo=UTC))  # type: ignore[arg-type]


def test_naive_instants_are_refused() -> None:
    with pytest.raises(InputError, match="aware"):
        Period(datetime(2026, 10, 1), datetime(2026, 11, 1))  # noqa: DTZ001


def test_an_empty_span_is_refused() -> None:
    at = datetime(2026, 10, 1, tzinfo=UTC)
    with pytest.raises(InputError, match="not after"):
        Period(at, at)


def test_the_end_is_outside_and_missing_is_outside() -> None:
    period = Period.month("2026-10")
    instants = pd.Series(
        pd.to_datetime(
            ["2026-10-01", "2026-10-31 23:59:59.999999", "2026-11-01", None], utc=True, format="ISO8601"
        )
    )
    assert period.contains(instants).tolist() == [True, True, False, False]


def test_it_survives_being_written_down() -> None:
    period = Period.month("2026-10", timezone="Europe/London")
    assert Period.from_dict(period.to_dict()) == period


def test_pandas_timestamps_are_taken_as_ends() -> None:
    period = Period(pd.Timestamp("2026-10-01", tz="Europe/London"), pd.Timestamp("2026-10-02", tz="UTC"))
    assert period.start == datetime(2026, 9, 30, 23, tzinfo=UTC)
    assert type(period.start) is datetime


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Lndon", "Europe/London"),
        ("london", "Europe/London"),
        ("EUROPE/PARIS", "Europe/Paris"),
        ("America/New York", "America/New_York"),
        ("+03:00", "Etc/GMT-3"),
        ("UTC-5", "Etc/GMT+5"),
    ],
)
def test_a_zone_that_is_nearly_known_is_suggested(name: str, meant: str) -> None:
    with pytest.raises(InputError, match=rf"did you mean .*'{re.escape(meant)}'"):
        Period.month("2026-10", timezone=name)


@pytest.mark.parametrize("name", ["Atlantis", "+05:30", "", "+25"])
def test_a_zone_that_is_like_no_other_is_suggested_nothing(name: str) -> None:
    with pytest.raises(InputError, match="use an IANA name") as caught:
        Period.month("2026-10", timezone=name)
    assert "did you mean" not in str(caught.value)
