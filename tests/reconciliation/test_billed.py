"""What each compared call is billed by, before and after: exactly what the ledger of durations says, line by line."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import ReconcileError
from sippet_reconcile.reconciliation.billed import billed_calls
from sippet_reconcile.reconciliation.ledger import build_ledger
from sippet_reconcile.reconciliation.rules import Rules

STARTS = [None, pd.Timestamp("2026-10-25T00:30:00Z")]
PAIR = st.fixed_dictionaries(
    {
        "call": st.fixed_dictionaries(
            {
                "duration_seconds": st.none() | st.integers(0, 5000),
                "sip_username": st.sampled_from([None, "ana"]),
                "started_at": st.sampled_from(STARTS),
            }
        ),
        "cdr": st.fixed_dictionaries(
            {
                "billable_s": st.none() | st.floats(0, 5000),
                "is_answered": st.booleans(),
                "sip_username": st.sampled_from([None, "ana", "eve"]),
            }
        ),
        "rule": st.integers(0, 2),
    }
)


@pytest.fixture(scope="module")
def make(make_row: Any, matched: Any) -> Any:
    """Compare pairs that are described by their sides."""
    return lambda rows: matched(
        [make_row(call=row["call"], cdr=row["cdr"], rule=row["rule"], every_s=40_000) for row in rows]
    ).compare(Rules(duration="billable"))


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(PAIR, max_size=10))
def test_calls_are_billed_by_the_seconds_of_their_line_in_the_ledger(make: Any, rows: Any) -> None:
    comparison = make(rows)
    ledger = build_ledger(comparison)
    billed = billed_calls(comparison, ledger, "UTC")
    billed.require_tied_out()
    calls = billed.calls
    assert calls["call_id"].tolist() == [f"id-{n}" for n in range(len(rows))]
    assert calls["before_s"].astype("object").where(calls["before_s"].notna(), None).tolist() == [
        row["call"]["duration_seconds"] for row in rows
    ]
    assert calls["sip_username"].astype("object").where(calls["sip_username"].notna(), None).tolist() == [
        row["call"]["sip_username"] or row["cdr"]["sip_username"] for row in rows
    ]
    sums = calls.fillna({"before_s": 0, "after_s": 0}).groupby("explanation")[["before_s", "after_s"]].sum()
    lines = ledger.loc[ledger["field"].eq("duration_seconds")].groupby("explanation")[["before_s", "after_s"]]
    assert sums.to_dict() == lines.sum().to_dict()


def test_what_the_ledger_does_not_have_is_a_defect(make: Any) -> None:
    comparison = make([{"call": {"duration_seconds": 0}, "cdr": {}, "rule": 0}])
    ledger = build_ledger(comparison)
    billed_calls(comparison, ledger, "UTC").require_tied_out()
    with pytest.raises(ReconcileError, match="defect"):
        billed_calls(comparison, ledger.assign(change_s=ledger["change_s"] + 1), "UTC").require_tied_out()


def test_what_cannot_be_corrected_is_billed_as_it_was(make: Any) -> None:
    never_started = {"call": {"duration_seconds": 0, "started_at": None}, "cdr": {}, "rule": 0}
    wrong = {"call": {"duration_seconds": 0}, "cdr": {}, "rule": 0}
    comparison = make([wrong, never_started])
    calls = billed_calls(comparison, build_ledger(comparison), "UTC").calls
    assert calls[["explanation", "before_s", "after_s"]].to_numpy().tolist() == [
        ["zero", 0, 60],
        ["zero", 0, 0],
    ]
    assert calls["started_at"].notna().all(), "the CDR's start stands in for the API's"
