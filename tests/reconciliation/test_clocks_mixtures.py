"""Clocks of a part: whatever column tells which PBX is wrong is named, and chance never is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.diagnosing.clock_offset import find_clock_offset
from sippet_reconcile.reconciliation.diagnosing.start_gaps import StartGaps
from sippet_reconcile.reconciliation.diagnosing.stretches import share_at_least, tail_probability
from sippet_reconcile.reconciliation.diagnosing.timezone_shift import find_timezone_shift
from sippet_reconcile.reconciliation.findings import Findings, forbids_ended_at
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides

RULES = Rules(duration="billable")
MONTH_S = 31 * 86_400
FIRST = np.datetime64("2026-10-01T00:00:00", "us")


@dataclass
class Month:
    """Calls of a month on two PBXs, as plain arrays; a test moves what it wants."""

    n: int
    seed: int = 0
    second: float = 0.0  # the share of the second PBX
    columns: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.at = np.sort(self.rng.uniform(0, MONTH_S, self.n)).round()
        self.lasts = self.rng.exponential(120, self.n).round()
        self.is_second = self.rng.random(self.n) < self.second
        # Each user has a phone, and each phone hangs on one of the PBXs.
        of_second = max(1, round(12 * self.second))
        self.user = np.where(
            self.is_second, self.rng.integers(0, of_second, self.n), self.rng.integers(of_second, 20, self.n)
        )
        self.is_inbound = self.rng.random(self.n) < 0.5
        self.clock = np.zeros(self.n)
        self.api_start, self.api_end = np.zeros(self.n), np.zeros(self.n)

    def starts(self, rules: Rules = RULES) -> StartGaps:
        own, users = words("+4420794601{:02d}", self.user), words("user {}", self.user)
        other = words("+4477009001{:02d}", self.rng.integers(0, 100, self.n))
        inbound = pd.Series(self.is_inbound)
        called, caller = own.where(inbound, other), other.where(inbound, own)
        cdr = {
            "started_at": instants(self.at + self.clock),
            "ended_at": instants(self.at + self.lasts + self.clock),
            "is_coarse": pd.Series(False, index=range(self.n), dtype="boolean"),
            "time_problem": pd.Series(None, index=range(self.n), dtype="str"),
            "source_file": pd.Series("oct.csv", index=range(self.n), dtype="str"),
            "direction": words("{}", np.where(self.is_inbound, "inbound", "outbound")),
            "sip_username": users,
            **{f"{side}_number": numbers for side, numbers in (("from", caller), ("to", called))},
            **{f"{side}_e164": numbers for side, numbers in (("from", caller), ("to", called))},
            **self.columns,
        }
        calls = {
            "started_at": instants(self.at + self.api_start),
            "ended_at": instants(self.at + self.lasts + self.api_end),
            **{name: cdr[name] for name in ("direction", "sip_username")},
        }
        rows = np.arange(self.n)
        pairs = PairPositions(rows, rows.copy(), np.zeros(self.n, np.int8))
        return StartGaps.of(Sides.of(pd.DataFrame(calls), pd.DataFrame(cdr), pairs, rules).exact())

    def shift(self) -> Any:
        return find_timezone_shift(self.starts(), RULES).finding

    def offset(self) -> Any:
        return find_clock_offset(self.starts(), RULES).finding


def words(form: str, values: Any) -> pd.Series[str]:
    distinct, codes = np.unique(values, return_inverse=True)
    known = pd.array([form.format(value) for value in distinct.tolist()], dtype="str")
    return pd.Series(known.take(codes))


def instants(seconds: Any) -> pd.Series[pd.Timestamp]:
    stamps = FIRST + (seconds * 1e6).round().astype("timedelta64[us]")
    return pd.Series(stamps).dt.tz_localize("UTC")


def set_up(month: Month) -> None:
    month.api_start = month.api_start - month.rng.uniform(0, 3, month.n)


def by_trunk(month: Month) -> str:
    month.columns["x_trunk"] = words("pbx{}", 1 + month.is_second)
    return "x_trunk is 'pbx2'"


def by_missing_trunk(month: Month) -> str:
    month.columns["x_trunk"] = words("pbx1", month.is_second).mask(month.is_second)
    return "x_trunk is missing"


def by_account_number(month: Month) -> str:
    month.columns["x_account"] = pd.Series(np.where(month.is_second, 7, 8))
    return "x_account is '7'"


def by_file(month: Month) -> str:
    month.columns["source_file"] = words("site{}.csv", 1 + month.is_second)
    return "source_file is 'site2.csv'"


def by_user(month: Month) -> str:
    month.second = 1 / 12
    month.user = np.where(month.is_second, 0, month.user + 1)
    return "sip_username is 'user 0'"


def by_own_number(month: Month) -> str:
    month.user = np.where(month.is_second, 0, month.user + 1)
    month.columns["sip_username"] = pd.Series(None, index=range(month.n), dtype="str")
    return "own_number is '+44••••••••00'"


def by_direction(month: Month) -> str:
    month.user = month.rng.integers(0, 20, month.n)
    month.is_inbound = month.is_second
    return "direction is 'inbound'"


WAYS = [by_trunk, by_missing_trunk, by_account_number, by_file, by_user, by_own_number, by_direction]


@pytest.mark.parametrize("share", [0.05, 0.4])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_pbx_in_the_wrong_zone_is_told_by_what_tells_it_best(
    way: Callable[[Month], str], share: float
) -> None:
    month = Month(800, 3, second=share)
    said = way(month)
    month.clock = np.where(month.is_second, -3600.0, 0.0)
    set_up(month)
    finding = month.shift()
    assert f"just those whose {said}." in finding.message
    assert finding.severity == "stop"
    assert finding.cure == {}
    row = finding.evidence.iloc[0]
    n_second = int(month.is_second.sum())
    assert row[["n_shifted", "n_pairs", "shift_s", "share"]].tolist() == [n_second, n_second, -3600, 1.0]
    assert row["first_started_at"] >= pd.Timestamp("2026-10-01", tz="UTC")
    # Of k pairs that are all shifted, a share of 0.01 ** (1 / k) is proven but for one chance in 100.
    assert row["share_at_least"] == pytest.approx(0.01 ** (1 / n_second), abs=1e-6)
    assert month.offset() is None


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_pbx_whose_clock_is_ahead_is_told_and_no_single_offset_cures_it(
    way: Callable[[Month], str], share: float
) -> None:
    month = Month(800, 4, second=share)
    said = way(month)
    month.clock = np.where(month.is_second, 7.0, 0.0)
    finding = month.offset()
    assert said in finding.message
    assert finding.cure == {}
    assert finding.evidence["is_drifting"].all()
    assert sorted(set(finding.evidence["offset_s"].tolist())) == [0.0, 7.0]
    assert forbids_ended_at(Findings([finding]))
    # Removing one of the two makes the other wrong.
    assert find_clock_offset(
        month.starts(Rules(duration="billable", clock_offset_s=7)), RULES
    ).finding.evidence["is_drifting"].all()  # fmt: skip


def test_many_users_of_one_pbx_are_named_where_nothing_else_tells() -> None:
    month = Month(2_000, 5, second=0.25)
    month.clock = month.is_second * month.at / 86_400
    finding = month.offset()
    assert "sip_username is 'user 0', 'user 1' or 'user 2'" in finding.message
    assert finding.evidence["last_offset_s"].max() == pytest.approx(31, abs=1)


def test_a_pbx_that_forgot_summer_time_is_told_by_trunk_and_time() -> None:
    month = Month(1_000, 6, second=0.1)
    by_trunk(month)
    is_summer = month.at < 24 * 86_400
    month.clock = np.where(month.is_second & is_summer, 3600.0, 0.0)
    finding = month.shift()
    assert "a stretch of those whose x_trunk is 'pbx2'" in finding.message
    row = finding.evidence.iloc[0]
    assert (row["n_shifted"], row["n_pairs"]) == (
        int((month.is_second & is_summer).sum()),
        int(month.is_second.sum()),
    )
    assert row["last_started_at"] < pd.Timestamp("2026-10-25", tz="UTC")


def test_two_clocks_that_no_column_tells_apart_are_found_and_a_column_asked_for() -> None:
    month = Month(600, 7)
    month.clock = np.where(month.rng.random(600) < 0.4, 3600.0, 0.0)
    finding = month.shift()
    assert finding.evidence["group"].isna().all()
    assert "read_cdr(keep=" in finding.advice
    month.clock = month.clock / 600
    finding = month.offset()
    assert "two clocks" in finding.message
    assert "read_cdr(keep=" in finding.advice
    assert finding.evidence["is_drifting"].all()
    # Two ways to set a call up leave the ends alone, and are no clocks.
    month.api_start, month.clock = -month.clock, np.zeros(600)
    assert month.offset() is None


def test_wrong_records_beside_a_mis_read_clock_are_not_counted() -> None:
    month = Month(2_000, 8, second=0.1)
    by_trunk(month)
    strewn = (month.rng.random(2_000) < 0.01) & ~month.is_second
    month.clock = np.where(month.is_second, 3600.0, 0.0)
    month.api_start = np.where(strewn, -3600.0, 0.0)
    finding = month.shift()
    assert finding.evidence["n_shifted"].sum() == month.is_second.sum()
    assert f"{int(strewn.sum())} more calls stand alone among right ones with the same gap" in finding.message


def exactly(month: Month) -> None:
    """Leave both sides as they are."""


def normally(month: Month) -> None:
    month.api_start, month.api_end = (month.rng.normal(0, 0.5, month.n) for _ in range(2))


def at_the_answer(month: Month) -> None:
    month.api_start = month.rng.exponential(9, month.n)


def by_direction_of_set_up(month: Month) -> None:
    month.api_start = np.where(month.is_inbound, 0, 5) + month.rng.uniform(0, 1, month.n)


SPREADS = [exactly, set_up, normally, at_the_answer, by_direction_of_set_up]


def never_wrong(month: Month) -> None:
    """Leave every record right."""


def strewn_hours(month: Month) -> None:
    month.api_start = month.api_start - 3600 * (month.rng.random(month.n) < 0.01)


def strewn_anyhow(month: Month) -> None:
    wrong = month.rng.random(month.n) < 0.03
    month.api_start = month.api_start + wrong * month.rng.uniform(-4000, 4000, month.n)


ERRORS = [never_wrong, strewn_hours, strewn_anyhow]


def is_silent(n: int, seed: int, spread: Callable[[Month], None], error: Callable[[Month], None]) -> bool:
    month = Month(n, seed, second=0.3)
    by_trunk(month)
    spread(month)
    error(month)
    return month.shift() is None and month.offset() is None


@pytest.mark.parametrize("spread", SPREADS, ids=lambda spread: spread.__name__)
def test_clean_months_and_single_wrong_records_raise_nothing(spread: Callable[[Month], None]) -> None:
    for n in (0, 1, 7, 30, 150, 1_000):
        for error in ERRORS:
            for seed in range(2):
                assert is_silent(n, seed, spread, error), (n, seed, error.__name__)


@pytest.mark.slow
@pytest.mark.parametrize("spread", SPREADS, ids=lambda spread: spread.__name__)
def test_large_clean_months_raise_nothing(spread: Callable[[Month], None]) -> None:
    for n, seeds in ((300, 9), (10_000, 2), (50_000, 1)):
        for seed in range(seeds):
            assert is_silent(n, seed, spread, ERRORS[(seed + n // 10_000) % 3]), (n, seed)


def test_the_bounds_of_chance_are_those_of_the_binomial() -> None:
    # Exactly: 1 - 0.9**20 - 20 * 0.1 * 0.9**19, and the share p with p**12 = 0.01.
    assert tail_probability(2, 20, 0.1) == pytest.approx(1 - 0.9**20 - 2 * 0.9**19)
    assert share_at_least(np.array([12]), np.array([12]))[0] == pytest.approx(0.01 ** (1 / 12))
    # Whatever is said to be excluded is excluded by the exact tail as well.
    for count, size in ((8, 10), (3, 40), (199, 200)):
        least = float(share_at_least(np.array([count]), np.array([size]))[0])
        assert tail_probability(count, size, least) <= 0.01
