"""What must never be planned, worked out by hand: wrong pairs, mixed-up calls and doubtful evidence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

Frames = Callable[..., pd.DataFrame]
Rows = list[dict[str, Any]]

START = pd.Timestamp("2026-10-05T08:00:00Z")
FROM, TO = "+442079460123", "+442079460999"


def at(seconds: float) -> pd.Timestamp:
    return START + pd.Timedelta(seconds=seconds)


def leg(n: int = 0, start: float = 0, talk: float = 60, **other: Any) -> dict[str, Any]:
    """One leg that rings for ten seconds and then talks."""
    return {
        "started_at": at(start),
        "answered_at": at(start + 10),
        "ended_at": at(start + 10 + talk),
        "total_s": 10 + talk,
        "billable_s": talk,
        "is_answered": True,
        "status": "completed",
        "from_number": FROM,
        "to_number": TO,
        "from_e164": FROM,
        "to_e164": TO,
        "call_key": f"uuid-{n}",
        "linked_id": None,
        "leg_id": f"leg-{n}",
        **other,
    }


def call(n: int = 0, start: float = 0, talk: int = 60, **other: Any) -> dict[str, Any]:
    """The call that agrees with such a leg."""
    return {
        "id": f"id-{n}",
        "call_uuid": f"uuid-{n}",
        "started_at": at(start),
        "ended_at": at(start + 10 + talk),
        "duration_seconds": talk,
        "status": "completed",
        "from_number": FROM,
        "to_number": TO,
        **other,
    }


@pytest.fixture
def reconciled(make_legs: Frames, make_calls: Frames) -> Callable[..., sr.Reconciliation]:
    """Reconcile rows on the billable basis, or by the rules given."""

    def run(legs: Rows, calls: Rows, **rules: Any) -> sr.Reconciliation:
        given = sr.Rules(**{"duration": "billable", **rules})
        return sr.reconcile(make_legs(legs), make_calls(calls), rules=given, progress=False)

    return run


Run = Callable[..., sr.Reconciliation]


def planned(rec: sr.Reconciliation) -> list[tuple[str, str]]:
    """Return call and field of everything that a plan would write, whatever stops accepted."""
    plan = sr.build_plan(rec, max_share=None, accept=rec.findings.stops.codes)
    return [(row.call_id, row.field) for row in plan.changes.itertuples()]


@pytest.mark.parametrize("nothing", ["-", "--", " - "])
def test_dashes_for_a_linked_id_never_give_two_cdr_calls_one_id(
    reconciled: Run, tmp_path: Path, nothing: str
) -> None:
    legs = [leg(n, 600 * n, 60 + n, linked_id=nothing) for n in range(3)]
    rec = reconciled(legs, [call(n, 600 * n, 30) for n in range(3)])
    assert rec.pairs["cdr_id"].tolist() == ["uuid-0", "uuid-1", "uuid-2"]
    assert [len(rec.show(f"id-{n}").legs) for n in range(3)] == [1, 1, 1]
    # Loaded again, both sides are found by their ids: a shared one would bring in another call's seconds.
    rec.save(tmp_path / "month")
    loaded = sr.load_reconciliation(tmp_path / "month")
    pd.testing.assert_frame_equal(loaded.ledger(by=["direction"]), rec.ledger(by=["direction"]))


def test_a_leg_whose_linked_id_says_nothing_does_not_name_its_group(reconciled: Run) -> None:
    legs = [
        leg(0, linked_id="-"),
        leg(0, 20, linked_id="g"),
        leg(1, 600, linked_id="-"),
        leg(1, 620, linked_id="h"),
    ]
    rec = reconciled(legs, [call(0), call(1, 600)])
    assert rec.legs["cdr_id"].tolist() == ["g", "g", "h", "h"]
