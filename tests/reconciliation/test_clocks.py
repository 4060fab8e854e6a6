"""Both sides' clocks: one time zone, one offset, and silence where single records are wrong or too few tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.reconciliation.core import PairPositions
from sippet_reconcile.reconciliation.diagnosing.clock_offset import find_clock_offset
from sippet_reconcile.reconciliation.diagnosing.diagnose import diagnose
from sippet_reconcile.reconciliation.diagnosing.start_gaps import StartGaps
from sippet_reconcile.reconciliation.diagnosing.timezone_shift import find_timezone_shift
from sippet_reconcile.reconciliation.findings import Findings, forbids_ended_at
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides

BILLABLE = Rules(duration="billable")
START = pd.Timestamp("2026-10-05T08:00:00Z")


def shifted(row: Any, n: int, seconds: float, every_s: float = 600, **cdr: Any) -> Any:
    """A row whose CDR instants are some seconds late; n is its place."""
    start = START + pd.Timedelta(seconds=n * every_s)
    moved = {"started_at": start + pd.Timedelta(seconds=seconds)}
    moved["ended_at"] = moved["started_at"] + pd.Timedelta(seconds=70)
    return row(every_s=every_s, cdr={**moved, **cdr})


def of(built: Any, rules: Rules = BILLABLE, **options: Any) -> Any:
    return diagnose(built.calls, built.cdr_calls, built.pairs, rules, **options)


def starts_of(built: Any, rules: Rules = BILLABLE) -> StartGaps:
    return StartGaps.of(Sides.of(built.calls, built.cdr_calls, built.pairs, rules).exact())


def shift_in(built: Any, rules: Rules = BILLABLE) -> Any:
    return find_timezone_shift(starts_of(built, rules), rules).finding


def offset_in(built: Any, rules: Rules = BILLABLE) -> Any:
    return find_clock_offset(starts_of(built, rules), rules).finding


@pytest.mark.parametrize(
    ("hours", "said"), [(1, "1 h later"), (-5.5, "5 h 30 min earlier"), (0.25, "15 min later")]
)
def test_starts_that_are_whole_quarter_hours_apart_stop(
    matched: Any, row: Any, hours: float, said: str
) -> None:
    built = matched([shifted(row, n, hours * 3600 + n % 3 - 1) for n in range(12)])
    finding = of(built)["timezone-shift"]
    assert finding.severity == "stop"
    assert said in finding.message
    assert finding.evidence[["source_file", "shift_s", "n_shifted", "n_pairs"]].to_numpy().tolist() == [
        ["oct.csv", hours * 3600, 12, 12]
    ]
    assert "timezone=" in finding.advice


def test_a_forgotten_summer_time_holds_for_a_part_of_the_rows(matched: Any, row: Any) -> None:
    rows = [shifted(row, n, 3600 if n < 60 else 0, every_s=7200) for n in range(400)]
    finding = shift_in(matched(rows))
    assert finding is not None
    part = finding.evidence.iloc[0]
    assert (part["n_shifted"], part["n_pairs"], part["shift_s"]) == (60, 400, 3600)
    assert part["last_started_at"] == START + pd.Timedelta(hours=2 * 59)
    assert "IANA zone" in finding.advice


def test_one_file_of_several_may_be_shifted(matched: Any, row: Any) -> None:
    rows = [
        shifted(row, n, -3600 if n % 10 == 0 else 0, source_file="b.csv" if n % 10 == 0 else "a.csv")
        for n in range(200)
    ]
    finding = shift_in(matched(rows))
    assert finding is not None
    assert finding.evidence[["source_file", "n_shifted"]].to_numpy().tolist() == [["b.csv", 20]]


def test_two_clocks_mixed_in_one_file_are_seen(matched: Any, row: Any) -> None:
    rows = [shifted(row, n, 3600 if n % 4 == 0 else 0) for n in range(200)]
    finding = shift_in(matched(rows))
    assert finding is not None
    assert finding.evidence["n_shifted"].tolist() == [50]


def test_single_wrong_starts_are_no_shift(matched: Any, row: Any) -> None:
    scattered = [shifted(row, n, 3600 if n % 10 == 0 else 0) for n in range(300)]
    assert shift_in(matched(scattered)) is None
    few = [shifted(row, n, 3600) for n in range(4)]
    assert shift_in(matched(few)) is None
    one_disagrees = [shifted(row, n, 3600 * (n > 0)) for n in range(9)]
    assert shift_in(matched(one_disagrees)) is None
    by_numbers = [row(rule=2, cdr={"started_at": START + pd.Timedelta(hours=1)}) for _ in range(50)]
    assert shift_in(matched(by_numbers)) is None


def test_rows_with_a_doubtful_local_time_prove_no_shift(matched: Any, row: Any) -> None:
    rows = [shifted(row, n, 3600, time_problem="repeated hour") for n in range(50)]
    assert shift_in(matched(rows)) is None


@pytest.mark.parametrize("offset", [37.0, -4.0, 200.0])
def test_a_clock_that_is_wrong_by_seconds_stops_until_it_is_removed(
    matched: Any, row: Any, offset: float
) -> None:
    built = matched([shifted(row, n, offset + (n % 3 - 1) * 0.5) for n in range(60)])
    finding = of(built)["clock-offset"]
    assert finding.severity == "stop"
    assert f"Rules(clock_offset_s={offset:g})" in finding.advice
    assert not finding.evidence["is_drifting"].any()
    assert "clock-offset" not in of(built, Rules(duration="billable", clock_offset_s=offset))


def test_what_remains_beside_a_removed_offset_is_added_to_it(matched: Any, row: Any) -> None:
    built = matched([shifted(row, n, 37) for n in range(60)])
    finding = of(built, Rules(duration="billable", clock_offset_s=30))["clock-offset"]
    assert "Rules(clock_offset_s=37)" in finding.advice


def test_a_clock_that_drifts_is_said_to(matched: Any, row: Any) -> None:
    built = matched([shifted(row, n, n / 40) for n in range(800)])
    finding = of(built)["clock-offset"]
    assert finding.evidence["is_drifting"].all()
    assert "drifts" in finding.message
    # Removing its mean does not make it right.
    assert "clock-offset" in of(built, Rules(duration="billable", clock_offset_s=10))


def test_two_files_with_clocks_of_their_own_have_no_single_offset(matched: Any, row: Any) -> None:
    built = matched([shifted(row, n, 20 * (n % 2), source_file=f"{n % 2}.csv") for n in range(200)])
    finding = of(built)["clock-offset"]
    assert finding.evidence["offset_s"].tolist() == [0.0, 20.0]
    assert finding.evidence["is_drifting"].all()


def test_gaps_that_vary_or_are_tolerated_or_few_are_no_offset(matched: Any, row: Any) -> None:
    varied = np.random.default_rng(1).uniform(0, 30, 300)
    assert offset_in(matched([shifted(row, n, gap) for n, gap in enumerate(varied)])) is None
    assert offset_in(matched([shifted(row, n, 1.5) for n in range(300)])) is None
    assert offset_in(matched([shifted(row, n, 37) for n in range(4)])) is None
    for astray in (0, 3600):
        one_disagrees = [shifted(row, n, 37 if n else astray) for n in range(19)]
        assert offset_in(matched(one_disagrees)) is None


@pytest.mark.parametrize("count", [5, 9, 19])
def test_five_pairs_are_enough_where_not_one_disagrees(matched: Any, row: Any, count: int) -> None:
    files = [{"source_file": f"{n % 2}.csv"} for n in range(count)]
    hour = of(matched([shifted(row, n, 3600, **files[n]) for n in range(count)]))["timezone-shift"]
    assert hour.severity == "stop"
    assert hour.evidence["n_shifted"].sum() == count
    offset = of(matched([shifted(row, n, 37, **files[n]) for n in range(count)]))["clock-offset"]
    assert (offset.severity, offset.evidence["n_pairs"].sum()) == ("stop", count)
    assert not offset.evidence["is_drifting"].any()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1.0, 37.0, 3600.0, -900.0, 1e7]), max_size=80), st.integers(0, 3))
def test_the_order_of_rows_changes_no_finding_about_clocks(
    matched: Any, make_row: Any, gaps: list[float], seed: int
) -> None:
    built = matched([shifted(make_row, n, gap) for n, gap in enumerate(gaps)])
    order = np.random.default_rng(seed).permutation(len(gaps))
    mixed = type(built)(built.calls, built.cdr_calls, built.pairs.where(order))
    for find in (shift_in, offset_in):
        one, other = find(built), find(mixed)
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.message == other.message
            pd.testing.assert_frame_equal(one.evidence, other.evidence)


def test_a_constant_shift_is_cured_by_a_zone_or_by_an_offset_that_is_never_applied(
    matched: Any, row: Any
) -> None:
    built = matched([shifted(row, n, 3600) for n in range(60)])
    finding = of(built)["timezone-shift"]
    assert finding.cure == {"clock_offset_s": 3600}
    assert "timezone=" in finding.advice
    assert of(built, Rules(duration="billable", clock_offset_s=3600)).codes == ()
    # Minutes beside the zone belong to the cure; a rule that was given is a part of it.
    beside = of(
        matched([shifted(row, n, 3607) for n in range(60)]), Rules(duration="billable", clock_offset_s=-3600)
    )
    assert beside["timezone-shift"].cure == {"clock_offset_s": 3607}


def test_a_shift_of_a_part_has_no_single_cure(matched: Any, row: Any) -> None:
    summer = matched([shifted(row, n, 3600 if n < 300 else 0, every_s=7200) for n in range(372)])
    finding = shift_in(summer)
    assert finding.cure == {}
    assert finding.evidence["n_shifted"].tolist() == [300]
    assert "all but those from 2026-10-30 to 2026-11-05" in finding.message


def test_an_offset_is_cured_by_the_rule_with_its_total(matched: Any, row: Any) -> None:
    built = matched([shifted(row, n, 37) for n in range(60)])
    assert of(built)["clock-offset"].cure == {"clock_offset_s": 37}
    wrong = of(built, Rules(duration="billable", clock_offset_s=30))["clock-offset"]
    assert wrong.cure == {"clock_offset_s": 37}
    assert "Rules(clock_offset_s=37)" in wrong.advice
    spread = matched([shifted(row, n, 7 + n % 4) for n in range(60)])
    finding = offset_in(spread)
    assert finding.evidence[["offset_s", "spread_s"]].iloc[0].tolist() == [8.5, 1.5]


def test_too_few_pairs_are_said_to_be_too_few(matched: Any, row: Any) -> None:
    for count, outcomes in ((4, ["not enough evidence"] * 2), (12, ["nothing found", "not enough evidence"])):
        starts = starts_of(matched([row() for _ in range(count)]))
        verdicts = [find_timezone_shift(starts, BILLABLE), find_clock_offset(starts, BILLABLE)]
        assert [verdict.outcome.value for verdict in verdicts] == outcomes
        assert [verdict.n_looked_at for verdict in verdicts] == [count, count]
        assert [verdict.n_needed for verdict in verdicts] == [10, 20]
    enough = starts_of(matched([row() for _ in range(20)]))
    assert find_clock_offset(enough, BILLABLE).outcome == "nothing found"


def test_a_handful_of_wrong_records_in_a_row_is_no_zone(matched: Any, row: Any) -> None:
    assert shift_in(matched([shifted(row, n, 3600 * (40 <= n < 50)) for n in range(300)])) is None


def test_starts_that_mean_another_moment_are_no_clock_where_the_ends_agree(matched: Any, row: Any) -> None:
    rows = [shifted(row, n, 5) for n in range(60)]
    assert offset_in(matched(rows)) is not None
    for n, one in enumerate(rows):
        one.cdr["ended_at"] = START + pd.Timedelta(seconds=600 * n + 70)
    assert offset_in(matched(rows)) is None


def test_a_drift_is_told_by_its_rate_and_the_step_it_was_set_by(matched: Any, row: Any) -> None:
    # A second a day at a call every hour; after fifteen days somebody sets the clock right.
    rows = [shifted(row, n, n / 24 - 15 * (n >= 360), every_s=3600) for n in range(720)]
    finding = offset_in(matched(rows))
    told = finding.evidence.iloc[0]
    assert told["rate_s_per_day"] == pytest.approx(1, abs=0.05)
    assert told["step_s"] == pytest.approx(-15, abs=1)
    assert abs(told["stepped_at"] - (START + pd.Timedelta(days=15))) < pd.Timedelta(days=1)
    assert (told["first_offset_s"], told["last_offset_s"]) == pytest.approx((0, 15), abs=1)
    assert "a day" in finding.message
    assert "set by −1" in finding.message
    assert finding.cure == {}
    assert forbids_ended_at(Findings([finding]))
    assert forbids_ended_at(Findings.from_records(Findings([finding]).to_records()))


@pytest.mark.parametrize("count", [100, 800])
def test_a_drift_is_seen_however_few_calls_a_day_there_are(matched: Any, row: Any, count: int) -> None:
    # Two seconds a day over thirty days: with three calls a day no two neighbours agree.
    every = 30 * 86_400 / count
    rows = [shifted(row, n, 60 * n / count + n % 3 / 2, every_s=every) for n in range(count)]
    finding = offset_in(matched(rows))
    assert finding.evidence["rate_s_per_day"].iloc[0] == pytest.approx(2, abs=0.1)
    assert finding.evidence["is_drifting"].all()
    varied = np.random.default_rng(2).uniform(0, 60, count)
    strewn = [shifted(row, n, gap, every_s=every) for n, gap in enumerate(varied)]
    assert offset_in(matched(strewn)) is None


def test_a_clock_that_is_set_in_the_middle_has_no_single_offset(matched: Any, row: Any) -> None:
    finding = offset_in(matched([shifted(row, n, 6.0 * (n >= 100)) for n in range(200)]))
    assert finding.evidence[["first_offset_s", "last_offset_s", "step_s"]].iloc[0].tolist() == [0, 6, 6]
    assert finding.evidence["is_drifting"].all()


def test_where_a_zone_explains_the_starts_no_want_of_pairs_is_claimed(matched: Any, row: Any) -> None:
    """Of sixty pairs an hour apart none tells the seconds of a clock: not because they are few."""
    found = of(matched([shifted(row, n, 3600) for n in range(60)]))
    check = found.checks.set_index("code").loc["clock-offset"]
    assert check["outcome"] == "not looked at"
    assert check["what"] == (
        "starts are quarter hours apart in 60 of 60 exactly matched calls, as by a wrong time zone"
    )
    assert "clock-offset" not in found.untold
    few = of(matched([shifted(row, n, 3600) for n in range(4)]))
    assert "clock-offset (0 of 20 exactly matched calls)" in few.untold


def test_where_a_side_is_empty_it_is_said_once(matched: Any, row: Any) -> None:
    built = matched([row() for _ in range(3)])
    none = PairPositions(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int8))
    found = diagnose(built.calls.iloc[:0], built.cdr_calls, none, BILLABLE)
    assert found.codes == ("empty-side",)
    assert found.untold == ""
    outcomes = found.checks.set_index("code")["outcome"]
    assert set(outcomes[["timezone-shift", "clock-offset", "rounded-durations", "number-format"]]) == {
        "not looked at"
    }
