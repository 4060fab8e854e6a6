"""A local time is one instant, two, or none, and which it is is said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr.times.local_times import LocalInstants, micros_to_utc

LONDON = ZoneInfo("Europe/London")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at: datetime) -> int:
    return (at.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def london(*texts: str) -> LocalInstants:
    return micros_to_utc(np.array([micros(datetime.fromisoformat(text)) for text in texts], np.int64), LONDON)


def test_a_time_that_is_skipped_or_repeated_is_marked() -> None:
    found = london("2026-03-29 00:59:59", "2026-03-29 01:00:00", "2026-03-29 02:00:00", "2026-10-25 00:59:59",
                   "2026-10-25 01:00:00", "2026-10-25 01:59:59", "2026-10-25 02:00:00")  # fmt: skip
    assert found.skipped.tolist() == [False, True, False, False, False, False, False]
    assert found.repeated.tolist() == [False, False, False, False, True, True, False]
    sure = np.datetime_as_string(found.first[[0, 2, 3, 6]].view("M8[us]"), unit="s").tolist()
    assert [text[5:] for text in sure] == [
        "03-29T00:59:59", "03-29T01:00:00", "10-24T23:59:59", "10-25T02:00:00",
    ]  # fmt: skip


def test_a_time_that_occurred_twice_has_both_instants_and_a_skipped_one_that_before_the_change() -> None:
    found = london("2026-10-25 01:30:00", "2026-03-29 01:30:00")
    assert found.first[0] == micros(datetime(2026, 10, 25, 0, 30))  # noqa: DTZ001 - UTC by the helper
    assert found.second[0] - found.first[0] == 3_600_000_000
    assert found.first[1] == micros(datetime(2026, 3, 29, 1, 30))  # noqa: DTZ001


@pytest.mark.parametrize(
    "zone", ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo"]
)
@given(data=st.data())
@settings(max_examples=20)
def test_local_times_agree_with_the_standard_library(zone: str, data: st.DataObject) -> None:
    info = ZoneInfo(zone)
    shown = data.draw(
        st.lists(st.datetimes(datetime(2015, 1, 1), datetime(2030, 1, 1)), min_size=1, max_size=20)  # noqa: DTZ001 - local times
    )
    shown = [at.replace(microsecond=0) for at in shown]
    found = micros_to_utc(np.array([micros(at) for at in shown]), info)
    for i, at in enumerate(shown):
        early, late = (at.replace(tzinfo=info, fold=fold).astimezone(UTC) for fold in (0, 1))
        exists = early.astimezone(info).replace(tzinfo=None) == at
        assert bool(found.skipped[i]) == (not exists)
        assert bool(found.repeated[i]) == (exists and early != late)
        if exists:
            assert found.first[i] == int(early.timestamp()) * 1_000_000
            assert found.second[i] == int(late.timestamp()) * 1_000_000


def test_every_second_around_a_change_has_the_right_instant() -> None:
    change = datetime(2026, 10, 25, 1, tzinfo=UTC)  # 02:00 BST becomes 01:00 GMT
    instants = [change + timedelta(seconds=s) for s in range(-7200, 7200, 7)]
    shown = [at.astimezone(LONDON).replace(tzinfo=None) for at in instants]
    found = micros_to_utc(np.array([micros(at) for at in shown]), LONDON)
    for i, at in enumerate(instants):
        assert bool(found.repeated[i]) == (abs((at - change).total_seconds() + 0.5) < 3600)
        assert micros(at) in {int(found.first[i]), int(found.second[i])}


def test_nothing_in_is_nothing_out_and_missing_times_ask_for_nothing() -> None:
    none = micros_to_utc(np.zeros(0, np.int64), LONDON)
    assert [len(part) for part in none] == [0, 0, 0, 0]
    missing = micros_to_utc(np.zeros(2, np.int64), LONDON, np.zeros(2, bool))
    assert not (missing.repeated | missing.skipped).any()
