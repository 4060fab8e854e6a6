"""A plan from a real reconciliation: legs and calls in, requests and a dry run out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.plan import Plan, build_plan
from sippet_reconcile.plan.whole_record import RecordRule
from sippet_reconcile.reconciliation import Reconciliation, Rules, reconcile
from sippet_reconcile.schema import CALLS, LEGS

N_CALLS = 12


def frame_of(rows: list[dict[str, Any]], dtypes: dict[str, str]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for name, dtype in dtypes.items():
        values = pd.Series([row.get(name) for row in rows], dtype="object")
        is_instant = dtype.startswith("datetime64")
        columns[name] = (
            pd.to_datetime(values, utc=True).dt.as_unit("us") if is_instant else values.astype(dtype)
        )
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def rec() -> Reconciliation:
    """Twelve answered calls of a minute: one rang in, one never ended, one stays inconsistent."""
    legs, calls = [], []
    for n in range(N_CALLS):
        start = pd.Timestamp("2026-10-05T10:00:00Z") + pd.Timedelta(minutes=5 * n)
        answer, end = start + pd.Timedelta(seconds=10), start + pd.Timedelta(seconds=70)
        both = {
            "direction": "outbound",
            "from_number": "+442079460123",
            "to_number": f"+44207946{n:04d}",
            "started_at": start,
        }
        legs.append(
            {**both, "source_file": "october.csv", "source_row": n + 2, "source_sha256": "0", "record_hash": n,
             "format": "test", "leg_id": f"leg-{n}", "call_key": f"uuid-{n}", "from_e164": both["from_number"],
             "to_e164": both["to_number"], "answered_at": answer, "ended_at": end, "total_s": 70.0,
             "billable_s": 60.0, "is_answered": True, "status": "completed", "cause": "16"}
        )  # fmt: skip
        calls.append(
            {**both, "id": f"00000000-0000-4000-8000-{n:012d}", "call_uuid": f"uuid-{n}", "status": "completed",
             "call_source": "sip", "ended_at": end, "duration_seconds": 60, "api_url": "https://api.example.com",
             "fetched_at": pd.Timestamp("2026-11-02T00:00:00Z")}
        )  # fmt: skip
    calls[1]["duration_seconds"] = 70
    calls[2] |= {"status": "answered", "ended_at": None, "duration_seconds": None}
    # The API's start is right at the CDR's end: a minute of talk does not fit, and a start cannot be corrected.
    calls[3] |= {"started_at": legs[3]["ended_at"] - pd.Timedelta(seconds=5), "duration_seconds": 5}
    rules = Rules(duration="billable", start_window_s=120)
    return reconcile(frame_of(legs, LEGS.dtypes), frame_of(calls, CALLS.dtypes), rules=rules, progress=False)


def plan_of(rec: Reconciliation) -> Plan:
    return build_plan(rec, accept=rec.findings.stops.codes)


def test_the_wrong_values_are_planned_and_the_impossible_call_is_left_out(rec: Reconciliation) -> None:
    plan = plan_of(rec)
    planned = {
        (c[-1], f): v
        for c, f, v in zip(plan.changes["call_id"], plan.changes["field"], plan.changes["after"], strict=True)
    }
    assert planned == {
        ("1", "duration_seconds"): "60",
        ("2", "status"): "completed",
        ("2", "duration_seconds"): "60",
        ("2", "ended_at"): "2026-10-05T10:11:10Z",
    }
    assert plan.left_out["call_id"].str[-1].tolist() == ["3"]
    assert plan.not_patchable["what"].tolist() == ["started_at differs"]
    assert plan.calls["sources"].tolist() == ["october.csv:4", "october.csv:3"]


def test_every_compared_call_is_in_the_ledger_once_per_field(rec: Reconciliation) -> None:
    ledger = plan_of(rec).ledger
    assert ledger.groupby("field")["n_calls"].sum().to_dict() == dict.fromkeys(
        ["status", "duration_seconds", "ended_at"], N_CALLS
    )
    seconds = ledger[["before_s", "change_s", "after_s"]].sum()
    assert seconds.tolist() == [9 * 60 + 70 + 5, 50, 9 * 60 + 70 + 5 + 50]


def test_every_planned_call_is_consistent_after_its_patch(rec: Reconciliation) -> None:
    plan = plan_of(rec)
    rule = RecordRule(plan.rules)
    records = plan.calls.set_index("call_id")
    for request in plan.requests():
        call = records.loc[request.call_id]
        stands = {
            "status": call["status"],
            "started_at": call["started_at"].isoformat(),
            **request.attributes,
        }
        assert rule.problem(stands, is_answered=True, status_cdr="completed") is None


def test_the_plan_survives_its_file_with_its_dry_run(rec: Reconciliation, tmp_path: Path) -> None:
    plan = plan_of(rec)
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet"))
    assert loaded.plan_id == plan.plan_id
    assert loaded.dry_run().html() == plan.dry_run().html()
    assert "2 calls of 12 compared would be corrected" in loaded.dry_run().verdict


def test_nothing_wrong_makes_an_empty_plan(rec: Reconciliation) -> None:
    good = ~rec.calls["id"].str[-1].isin(["1", "2", "3"])
    calls, legs = rec.calls.loc[good, CALLS.names], rec.legs.loc[good.to_numpy(), LEGS.names]
    again = reconcile(legs, calls, rules=rec.rules, progress=False)
    plan = build_plan(again, accept=again.findings.stops.codes)
    assert len(plan) == 0
    assert plan.left_out.empty
