"""Every compared call and every second is accounted for, however a ledger is split; what does not tie out is refused."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError, ReconcileError
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.ledger import LEDGER_GROUPS, build_ledger, check_compared
from sippet_reconcile.reconciliation.rollup import roll_up
from sippet_reconcile.reconciliation.rules import Rules


def test_a_ledger_accounts_for_every_call_and_second(three_wrong_of_six: Any) -> None:
    ledger = build_ledger(three_wrong_of_six)
    lines = ledger.loc[ledger["field"] == "duration_seconds"].drop(columns="field")
    assert lines.to_numpy().tolist() == [
        ["agreeing", False, 1, 60, 0, 60, 0, 0],
        ["within tolerance, not corrected", False, 1, 60, 0, 60, pytest.approx(0.6), pytest.approx(0.6)],
        ["no evidence", False, 1, 60, 0, 60, 0, 0],
        ["ring-time-included", True, 2, 288, -34, 254, -34, 34],
        ["cut-by-crash", True, 1, 0, 100, 100, 100, 100],
    ]
    others = ledger.loc[ledger["field"] != "duration_seconds"]
    assert others["before_s"].isna().all()


def test_what_is_not_corrected_changes_no_second(three_wrong_of_six: Any) -> None:
    comparison = three_wrong_of_six
    ledger = build_ledger(comparison, corrected=np.zeros(len(comparison.discrepancies), bool))
    duration = ledger.loc[ledger["field"] == "duration_seconds"]
    assert duration["change_s"].sum() == 0
    assert not ledger["is_corrected"].any()
    assert duration["net_s"].sum() == pytest.approx(66.6)


def test_a_call_that_never_started_is_in_a_line_that_is_not_corrected(matched: Any, row: Any) -> None:
    comparison = matched(
        [row(call={"duration_seconds": 0}), row(call={"duration_seconds": 0, "started_at": None})]
    ).compare()
    ledger = build_ledger(comparison)
    lines = ledger.loc[(ledger["field"] == "duration_seconds"), ["explanation", "is_corrected", "change_s"]]
    assert sorted(lines.to_numpy().tolist(), key=str) == [["zero", False, 0.0], ["zero", True, 60.0]]


def test_days_and_hours_are_counted_in_a_zone(matched: Any, row: Any) -> None:
    late = pd.Timestamp("2026-10-05T23:30:00Z")
    comparison = matched([row(call={"started_at": late}), row()]).compare()
    utc = build_ledger(comparison, by="day")
    assert set(utc["day"]) == {"2026-10-05"}
    london = build_ledger(comparison, by=["day", "hour"], timezone="Europe/London")
    status = london.loc[london["field"] == "status", ["day", "hour", "n_calls"]]
    assert status.to_numpy().tolist() == [["2026-10-05", "09", 1], ["2026-10-06", "00", 1]]


def test_a_day_whose_midnight_is_skipped_has_a_name(matched: Any, row: Any) -> None:
    # In Beirut the clocks went from 00:00 to 01:00 on 31 March 2024.
    noon = pd.Timestamp("2024-03-31T10:00:00Z")
    comparison = matched([row(call={"started_at": noon})]).compare()
    assert set(build_ledger(comparison, by="day", timezone="Asia/Beirut")["day"]) == {"2024-03-31"}


def test_a_ledger_of_nothing_and_by_nothing_known(matched: Any, row: Any) -> None:
    empty = build_ledger(matched([]).compare(), by="day")
    assert len(empty) == 0
    assert list(empty.columns)[:3] == ["day", "field", "explanation"]
    with pytest.raises(InputError, match="cannot be split by 'colour'"):
        build_ledger(matched([row()]).compare(), by="colour")


# ---------------------------------------------------------------- split by anything, it stays the same ledger

SPLITS = (*LEDGER_GROUPS, "x_trunk")
STARTS = [
    "2026-10-24T23:30:00Z",
    "2026-10-25T00:30:00Z",
    "2026-10-25T01:30:00Z",
    "2026-10-25T23:59:59.5Z",
    None,
]
"""Around the hour that London's clocks repeat on 25 October 2026, and a call that never started."""

PAIR = st.fixed_dictionaries(
    {
        "call": st.fixed_dictionaries(
            {
                "duration_seconds": st.none() | st.integers(0, 5000),
                "status": st.sampled_from(["completed", "busy", "answered"]),
                "direction": st.sampled_from(["inbound", "outbound", None]),
                "sip_username": st.sampled_from([None, "ana", "ben"]),
                "started_at": st.sampled_from(STARTS),
            }
        ),
        "cdr": st.fixed_dictionaries(
            {
                "billable_s": st.none() | st.floats(0, 5000),
                "total_s": st.none() | st.floats(0, 5000),
                "source_file": st.sampled_from([None, "a.csv", "b.csv"]),
                "is_answered": st.booleans(),
                "sip_username": st.sampled_from([None, "ana", "eve"]),
                "started_at": st.sampled_from(STARTS),
            }
        ),
        "rule": st.integers(0, 2),
        "x_trunk": st.sampled_from([None, "north", "south"]),
    }
)


def compared(matched: Any, make_row: Any, rows: list[dict[str, Any]], rules: Rules) -> Any:
    """Compare generated pairs, with a source column that was kept."""

    def stamped(side: dict[str, Any]) -> dict[str, Any]:
        start = side["started_at"]
        return side | {"started_at": None if start is None else pd.Timestamp(start)}

    both = matched(
        [
            make_row(call=stamped(row["call"]), cdr=stamped(row["cdr"]), rule=row["rule"], every_s=40_000)
            for row in rows
        ]
    )
    trunks = pd.Series([row["x_trunk"] for row in rows], dtype="str")
    return replace(both, cdr_calls=both.cdr_calls.assign(x_trunk=trunks)).compare(rules)


def plain_key(row: dict[str, Any], name: str, zone: str) -> str | None:
    """What a call is split by, worked out from the generated row alone."""
    start = row["call"]["started_at"] or row["cdr"]["started_at"]
    local = None if start is None else pd.Timestamp(start).to_pydatetime().astimezone(ZoneInfo(zone))
    return {
        "day": local and f"{local:%Y-%m-%d}",
        "hour": local and f"{local:%H}",
        "direction": row["call"]["direction"],
        "user": row["call"]["sip_username"] or row["cdr"]["sip_username"],
        "source_file": row["cdr"]["source_file"],
        "match_rule": ("call_uuid", "linked_id", "numbers_and_time")[row["rule"]],
        "x_trunk": row["x_trunk"],
    }[name]


def slow_ledger(
    comparison: Any, rows: list[dict[str, Any]], by: list[str], zone: str, basis: str
) -> dict[Any, Any]:
    """The ledger with plain dictionaries and fractions, one call after the other."""
    found = comparison.discrepancies
    cause = {
        (call, name): (why, bool(fixed), value)
        for call, name, why, fixed, value in zip(
            found["call_id"],
            found["field"],
            found["explanation"],
            found["is_patchable"],
            found["value_cdr"],
            strict=True,
        )
    }
    words = {0: "agreeing", 1: "within tolerance, not corrected", 2: "no evidence"}
    lines: dict[Any, list[Any]] = defaultdict(lambda: [0, Fraction(0), Fraction(0), Fraction(0), Fraction(0)])
    for n, row in enumerate(rows):
        split = tuple(plain_key(row, name, zone) for name in by)
        for name, result in comparison.results.items():
            standing = int(result.standing[n])
            why, fixed, value = (
                cause[f"id-{n}", name] if standing == Standing.DIFFERS else (words[standing], False, None)
            )
            line = lines[(*split, name, why, fixed)]
            line[0] += 1
            if name == "duration_seconds":
                have, cdr = row["call"]["duration_seconds"] or 0, row["cdr"][f"{basis}_s"]
                gap = 0 if cdr is None else round(Fraction(cdr - have) * 10**6)
                line[1] += have
                line[2] += int(value) - have if fixed else 0
                line[3] += Fraction(gap, 10**6)
                line[4] += Fraction(abs(gap), 10**6)
    return lines


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(PAIR, max_size=10),
    basis=st.sampled_from(["billable", "total"]),
    zone=st.sampled_from(["UTC", "Europe/London", "America/New_York"]),
    by=st.lists(st.sampled_from(SPLITS), unique=True, max_size=4),
)
def test_a_ledger_is_what_counting_call_by_call_gives(  # noqa: PLR0917 - fixtures and draws
    matched: Any, make_row: Any, rows: Any, basis: str, zone: str, by: list[str]
) -> None:
    comparison = compared(matched, make_row, rows, Rules(duration=basis))
    ledger = build_ledger(comparison, by=by, timezone=zone)
    expected = slow_ledger(comparison, rows, by, zone, basis)
    plain = ledger.astype(object).where(ledger.notna(), None)
    keys = [tuple(row) for row in plain[[*by, "field", "explanation", "is_corrected"]].to_numpy().tolist()]
    assert sorted(keys, key=str) == sorted(expected, key=str)
    for key, row in zip(keys, plain.to_dict("records"), strict=True):
        n_calls, before, change, net, gross = expected[key]
        assert row["n_calls"] == n_calls
        if key[len(by)] == "duration_seconds":
            assert (row["before_s"], row["change_s"], row["after_s"]) == (before, change, before + change)
            assert row["net_s"] == pytest.approx(float(net), abs=2e-6)
            assert row["gross_s"] == pytest.approx(float(gross), abs=2e-6)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(PAIR, max_size=10),
    by=st.lists(st.sampled_from(SPLITS), unique=True, min_size=1, max_size=4),
)
def test_a_split_ledger_adds_up_to_the_whole_one_to_the_microsecond(
    matched: Any, make_row: Any, rows: Any, by: list[str]
) -> None:
    comparison = compared(matched, make_row, rows, Rules(duration="billable"))
    lines = ["field", "explanation", "is_corrected"]
    sums = ["n_calls", "before_s", "change_s", "after_s", "net_s", "gross_s"]
    whole = build_ledger(comparison).set_index(lines)[sums]
    split = build_ledger(comparison, by=by, timezone="Europe/London").groupby(lines)[sums].sum(min_count=1)
    pd.testing.assert_frame_equal(
        split.reindex(whole.index).astype("Float64").round(6), whole.astype("Float64").round(6)
    )
    assert set(whole.groupby("field")["n_calls"].sum()) <= {len(rows)}


@settings(max_examples=20, deadline=None)
@given(rows=st.lists(PAIR, max_size=10), by=st.lists(st.sampled_from(LEDGER_GROUPS), unique=True, max_size=3))
def test_a_roll_up_and_a_ledger_count_the_same_calls_and_seconds(
    matched: Any, make_row: Any, rows: Any, by: list[str]
) -> None:
    comparison = compared(matched, make_row, rows, Rules(duration="billable"))
    keys = [*by, "field", "explanation"]
    rolled = roll_up(comparison.discrepancies, keys, timezone="Europe/London").set_index(keys)
    ledger = build_ledger(comparison, by=by, timezone="Europe/London")
    settled = ["agreeing", "within tolerance, not corrected", "no evidence"]
    wrong = ledger.loc[~ledger["explanation"].isin(settled)].groupby(keys, dropna=False)[["n_calls", "net_s"]]
    for key, row in wrong.sum(min_count=1).iterrows():
        same = rolled.loc[[key]].iloc[0]
        assert row["n_calls"] == same["n_calls"]
        if key[len(by)] == "duration_seconds":
            assert row["net_s"] == pytest.approx(same["delta_s"], abs=1e-6)
    assert len(rolled) == len(wrong)


def test_the_day_on_which_clocks_go_back_has_25_hours_and_the_hour_they_repeat_is_one(
    matched: Any, row: Any
) -> None:
    # London's midnight of 25 October 2026 is 23:00 UTC the day before; the next one is 00:00 UTC.
    starts = pd.date_range("2026-10-24T22:30:00Z", periods=27, freq="h")
    comparison = matched([row(call={"started_at": at}, every_s=3600) for at in starts]).compare()
    by_day = build_ledger(comparison, by="day", timezone="Europe/London").query("field == 'status'")
    assert dict(zip(by_day["day"], by_day["n_calls"], strict=True)) == {
        "2026-10-24": 1,
        "2026-10-25": 25,
        "2026-10-26": 1,
    }
    by_hour = build_ledger(comparison, by=["day", "hour"], timezone="Europe/London")
    sunday = by_hour.query("field == 'status' and day == '2026-10-25'").set_index("hour")["n_calls"]
    assert len(sunday) == 24
    assert sunday["01"] == 2
    assert sunday.drop("01").eq(1).all()


def test_the_day_on_which_clocks_go_forward_has_23_hours(matched: Any, row: Any) -> None:
    starts = pd.date_range("2026-03-29T00:30:00Z", periods=23, freq="h")
    comparison = matched([row(call={"started_at": at}, every_s=3600) for at in starts]).compare()
    ledger = build_ledger(comparison, by=["day", "hour"], timezone="Europe/London").query("field == 'status'")
    assert set(ledger["day"]) == {"2026-03-29"}
    assert ledger["n_calls"].sum() == len(ledger) == 23
    assert "01" not in set(ledger["hour"])


def test_a_call_without_any_start_is_in_a_group_of_its_own_at_the_end(matched: Any, row: Any) -> None:
    never = {"started_at": None}
    comparison = matched([row(call=never, cdr=never), row()]).compare()
    ledger = build_ledger(comparison, by=["day", "hour"]).query("field == 'status'")
    assert ledger["day"].isna().tolist() == ledger["hour"].isna().tolist() == [False, True]
    assert ledger["n_calls"].tolist() == [1, 1]


def test_totals_add_up_each_field_of_each_group(three_wrong_of_six: Any) -> None:
    comparison = three_wrong_of_six
    ledger = build_ledger(comparison, by="direction", totals=True)
    totals = ledger.loc[ledger["explanation"].eq("total")]
    assert totals["is_corrected"].isna().all()
    lines = ledger.loc[ledger["explanation"].ne("total")]
    sums = ["n_calls", "before_s", "change_s", "after_s", "net_s", "gross_s"]
    added = lines.groupby(["direction", "field"])[sums].sum(min_count=1)
    pd.testing.assert_frame_equal(
        totals.set_index(["direction", "field"])[sums].sort_index(), added.sort_index(), check_exact=False
    )
    last = ledger.groupby(["direction", "field"]).tail(1)
    assert last["explanation"].eq("total").all()


@pytest.mark.parametrize(
    "what", ["a row lost", "a row twice", "a row of another pair", "other seconds written"]
)
def test_a_ledger_that_does_not_tie_out_is_an_error_and_no_table(three_wrong_of_six: Any, what: str) -> None:
    comparison = three_wrong_of_six
    found, pair_rows = comparison.discrepancies, comparison.pair_rows
    if what == "a row lost":
        broken = replace(comparison, discrepancies=found.iloc[1:], pair_rows=pair_rows[1:])
    elif what == "a row twice":
        again = np.r_[0, np.arange(len(found))]
        broken = replace(comparison, discrepancies=found.iloc[again], pair_rows=pair_rows[again])
    elif what == "a row of another pair":
        broken = replace(comparison, pair_rows=np.where(pair_rows == pair_rows[0], 3, pair_rows))
    else:
        durations = found["field"].eq("duration_seconds")
        broken = replace(
            comparison, discrepancies=found.assign(value_cdr=found["value_cdr"].mask(durations, "9999"))
        )
    with pytest.raises(ReconcileError, match="this is a defect, please report it"):
        build_ledger(broken, by="hour")


def test_compared_calls_are_the_matched_calls_of_the_balance(reconciled: Any, at: Any) -> None:
    both = {"started_at": at(0), "ended_at": at(60)}
    rec = reconciled([{"call_key": "a", **both}], [{"call_uuid": "a", **both}, {"call_uuid": "b", **both}])
    for name in ("status", "from_number"):
        assert rec.ledger().query(f"field == '{name}'")["n_calls"].sum() == 1
    check_compared(rec.balance, 1)
    with pytest.raises(ReconcileError, match="2 calls were compared, but the balance holds 1"):
        check_compared(rec.balance, 2)
    with pytest.raises(ReconcileError, match="defect"):
        replace(rec, n_compared=2)


def test_source_columns_that_were_kept_split_ledgers_and_roll_ups(reconciled: Any, at: Any) -> None:
    legs, calls = [], []
    for n, trunk in enumerate(["north", "north", None, "south"]):
        both = {"started_at": at(n * 600), "ended_at": at(n * 600 + 60)}
        legs.append({"call_key": f"k{n}", **both, "billable_s": 60, "total_s": 60, "x_trunk": trunk})
        calls.append({"call_uuid": f"k{n}", **both, "duration_seconds": 60 if n < 1 else 90})
    rec = reconciled(legs, calls)
    ledger = rec.ledger(by="x_trunk").query("field == 'duration_seconds'")
    assert ledger[["x_trunk", "n_calls", "net_s"]].astype(object).where(
        ledger.notna(), None
    ).to_numpy().tolist() == [
        ["north", 1, 0.0],
        ["north", 1, -30.0],
        ["south", 1, -30.0],
        [None, 1, -30.0],
    ]
    rolled = rec.rollup(by="x_trunk")
    assert dict(zip(rolled["x_trunk"].fillna("none"), rolled["n_calls"], strict=True)) == {
        "north": 1,
        "south": 1,
        "none": 1,
    }
    with pytest.raises(InputError, match=r"cannot be split by 'x_else'; .*x_trunk"):
        rec.ledger(by="x_else")
    with pytest.raises(InputError, match="cannot group by 'x_else'"):
        rec.rollup(by="x_else")
