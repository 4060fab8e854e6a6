"""What the differences come to: roll-ups, sentences, and ledgers that tie out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.ledger import LEDGER_GROUPS, build_ledger, roll_up, rollup_sentences
from sippet_reconcile.reconciliation.rules import Rules


def three_wrong_of_six(matched: Any, row: Any) -> Any:
    return matched(
        [
            row(ring=17, talk=127, call={"duration_seconds": 144, "direction": "outbound"}),
            row(ring=17, talk=127, call={"duration_seconds": 144}),
            row(talk=100, call={"duration_seconds": 0, "ended_at": None}),
            row(),
            row(talk=60.6, call={"duration_seconds": 60}),
            row(cdr={"billable_s": None}),
        ]
    ).compare()


def test_a_roll_up_counts_calls_and_seconds_by_cause(matched: Any, row: Any) -> None:
    comparison = three_wrong_of_six(matched, row)
    rolled = roll_up(comparison.discrepancies, n_compared=6)
    assert rolled[["field", "explanation", "n_calls"]].to_numpy().tolist() == [
        ["duration_seconds", "ring-time-included", 2],
        ["direction", "unexplained", 1],
        ["duration_seconds", "cut-by-crash", 1],
        ["ended_at", "cut-by-crash", 1],
    ]
    assert rolled["delta_s"].tolist() == [-34.0, pd.NA, 100.0, pd.NA]
    assert rolled["gross_s"].tolist() == [34.0, pd.NA, 100.0, pd.NA]
    assert rolled["share_of_field"].round(3).tolist() == [0.667, 1.0, 0.333, 1.0]
    assert rolled["share_of_compared"].round(3).tolist() == [0.333, 0.167, 0.167, 0.167]


def test_a_roll_up_without_the_field_counts_each_call_once(matched: Any, row: Any) -> None:
    found = three_wrong_of_six(matched, row).discrepancies
    assert roll_up(found, "match_rule")[["match_rule", "n_calls"]].to_numpy().tolist() == [["call_uuid", 3]]
    by_day = roll_up(found, ["day", "hour"], timezone="Europe/London")
    assert by_day[["day", "hour", "n_calls"]].to_numpy().tolist() == [["2026-10-05", "09", 3]]
    by_user = roll_up(found, "user")
    assert by_user["user"].isna().tolist() == [True]
    assert by_user["n_calls"].tolist() == [3]


def test_a_roll_up_of_nothing_and_by_nothing(matched: Any, row: Any) -> None:
    nothing = matched([row()]).compare().discrepancies
    rolled = roll_up(nothing, n_compared=1)
    assert len(rolled) == 0
    assert str(rolled["n_calls"].dtype) == "Int64"
    assert rollup_sentences(nothing) == []
    with pytest.raises(InputError, match="cannot group by 'colour'"):
        roll_up(nothing, "colour")
    with pytest.raises(InputError, match="by is empty"):
        roll_up(nothing, [])


def test_the_sentences_a_reader_sees_first(matched: Any, row: Any) -> None:
    comparison = three_wrong_of_six(matched, row)
    assert rollup_sentences(comparison.discrepancies) == [
        "2 of 3 wrong durations include ring time (−34 s)",
        "1 of 1 differing direction are unexplained",
        "1 of 3 wrong durations were cut by a crash (+100 s)",
        "1 of 1 wrong end were cut by a crash",
    ]
    assert len(rollup_sentences(comparison.discrepancies, limit=1)) == 1


def test_a_ledger_accounts_for_every_call_and_second(matched: Any, row: Any) -> None:
    ledger = build_ledger(three_wrong_of_six(matched, row))
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


def test_what_is_not_corrected_changes_no_second(matched: Any, row: Any) -> None:
    comparison = three_wrong_of_six(matched, row)
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


PAIR = st.fixed_dictionaries(
    {
        "call": st.fixed_dictionaries(
            {
                "duration_seconds": st.none() | st.integers(0, 5000),
                "status": st.sampled_from(["completed", "busy", "answered"]),
                "direction": st.sampled_from(["inbound", "outbound"]),
                "sip_username": st.none() | st.sampled_from(["ana", "ben"]),
            }
        ),
        "cdr": st.fixed_dictionaries(
            {
                "billable_s": st.none() | st.floats(0, 5000),
                "total_s": st.none() | st.floats(0, 5000),
                "source_file": st.none() | st.sampled_from(["a.csv", "b.csv"]),
                "is_answered": st.booleans(),
            }
        ),
    }
)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(PAIR, max_size=8),
    basis=st.sampled_from(["billable", "total"]),
    by=st.lists(st.sampled_from(LEDGER_GROUPS), unique=True, max_size=3),
)
def test_every_ledger_ties_out(matched: Any, make_row: Any, rows: Any, basis: str, by: list[str]) -> None:
    comparison = matched([make_row(**pair, every_s=40_000) for pair in rows]).compare(Rules(duration=basis))
    ledger = build_ledger(comparison, by=by)
    assert (ledger["before_s"] + ledger["change_s"] - ledger["after_s"]).abs().sum() == 0
    per_field = ledger.groupby("field")["n_calls"].sum()
    assert set(per_field.tolist()) <= {len(rows)}
    duration = ledger.loc[ledger["field"] == "duration_seconds"]
    have = sum(pair["call"]["duration_seconds"] or 0 for pair in rows)
    assert duration["before_s"].sum() == have
    changes = comparison.discrepancies.loc[lambda d: d["is_patchable"] & d["field"].eq("duration_seconds")]
    written = changes["value_cdr"].astype("Int64").sum() - changes["call_s"].fillna(0).sum()
    assert duration["change_s"].sum() == written
