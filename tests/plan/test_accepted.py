"""What an accepted finding leaves unknown is not written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.plan import build_plan
from sippet_reconcile.plan.accepted import CLOCKS_MIXED, WITHIN_INCREMENT
from sippet_reconcile.reconciliation import Finding, Findings, Rules
from sippet_reconcile.reconciliation.findings import Severity

sys.path.insert(0, str(Path(__file__).parents[1] / "truth"))

import causes
import judging
import mistakes
import month

Make = Callable[..., Any]
ENDS = "2026-10-05T10:{}Z"


def seconds(before: str | None, after: str, *, ends: str = "02:00", **cdr: Any) -> dict[str, Any]:
    """Return a call of two minutes by the CDR that has other seconds in the API, and ends there at some minute."""
    given = None if before is None else int(before)
    return {
        "call": {"duration_seconds": given, "ended_at": ENDS.format(ends)},
        "cdr": cdr,
        "wrong": {"duration_seconds": (before, after, "unexplained")},
    }


@pytest.fixture
def reasons(make_rec: Make) -> Make:
    """Return a function from calls and a finding to what each duration is left out for."""

    def reasons(
        rows: list[dict[str, Any]],
        code: str,
        cure: dict[str, Any] | None = None,
        severity: str = "stop",
        as_text: bool = False,
        **evidence: Any,
    ) -> list[str | None]:
        finding = Finding(code, Severity(severity), "It is so.", pd.DataFrame(evidence), cure=cure or {})
        found = Findings([finding])
        if as_text:
            found = Findings.from_records(found.to_records())
        rec = make_rec(rows, findings=found, rules=Rules(duration="billable"))
        left = build_plan(rec, accept=[code]).left_out.set_index("call_id")["reason"]
        return [left.get(one) for one in rec.calls["id"]]

    return reasons


MINUTE = {"initial_s": [60], "increment_s": [60]}


@pytest.mark.parametrize("as_text", [False, True], ids=["frame", "text"])
def test_a_difference_smaller_than_a_billed_increment_is_no_difference(reasons: Make, as_text: bool) -> None:
    rows = [seconds("83", "120"), seconds("59", "120"), seconds("58", "120"), seconds(None, "120"), seconds("121", "120")]  # fmt: skip
    found = reasons(rows, "rounded-durations", as_text=as_text, **MINUTE)
    # 60 seconds are billed as 60; 59 and 60 are the same within the tolerance of a second.
    assert found == [WITHIN_INCREMENT, WITHIN_INCREMENT, None, None, None]


def test_a_first_increment_is_longer_than_those_that_follow(reasons: Make) -> None:
    rows = [seconds("5", "60"), seconds("62", "66"), seconds("50", "66")]
    found = reasons(rows, "rounded-durations", initial_s=[60], increment_s=[6])
    assert found == [WITHIN_INCREMENT, WITHIN_INCREMENT, None]


def test_seconds_that_are_no_increment_are_real(reasons: Make) -> None:
    assert reasons([seconds("83", "110")], "rounded-durations", **MINUTE) == [None]


def test_each_leg_without_an_answer_time_adds_an_increment(reasons: Make) -> None:
    legs = {"n_legs": 2, "answered_at": None}
    rows = [seconds("10", "110", **legs), seconds("10", "110", n_legs=2)]
    assert reasons(rows, "rounded-durations", **MINUTE) == [WITHIN_INCREMENT, None]


@pytest.mark.parametrize("code", ["timezone-shift", "clock-offset"])
def test_legs_of_two_clocks_have_no_seconds_together(reasons: Make, code: str) -> None:
    several = {"n_legs": 2}
    rows = [
        seconds("60", "110", ends="04:00", **several),
        seconds("60", "110", **several),
        seconds("60", "110", ends="04:00"),
        seconds("60", "3660", **several),
    ]
    assert reasons(rows, code) == [CLOCKS_MIXED, None, None, CLOCKS_MIXED]
    # One clock that is off throughout has a cure, and moves all legs of a call alike.
    assert reasons(rows[:3], code, cure={"clock_offset_s": 7}) == [None, None, None]


def test_several_legs_of_the_one_clock_that_is_off_keep_their_seconds(reasons: Make) -> None:
    """Both ends are 12 seconds late in the API: so is all of the switch, and one leg that is would be 7."""
    late = {"started_at": "2026-10-05T10:00:12Z", "ended_at": "2026-10-05T10:02:12Z"}
    by_chance = {"started_at": "2026-10-05T10:00:07Z", "ended_at": "2026-10-05T10:02:07Z"}
    rows = [seconds("60", "110", n_legs=2, **cdr) for cdr in (late, by_chance)]
    for evidence in ({"least_s": [11.5], "most_s": [12.5]}, {"offset_s": [12.0]}, {"shift_s": [12]}):
        assert reasons(rows, "clock-offset", **evidence) == [None, CLOCKS_MIXED]
    assert reasons(rows, "clock-offset") == [CLOCKS_MIXED, CLOCKS_MIXED]


# Made months: each change is held against the truth.


def plan_all(world: month.World, rec: sr.Reconciliation, monkeypatch: pytest.MonkeyPatch) -> judging.Judged:
    """Plan all fields, nothing left out of its own accord."""
    monkeypatch.setattr(judging, "LEFT_OUT_WITH", {})
    return judging.judge_plan(world, rec)


def dirty(**kind: Any) -> month.World:
    settings = month.Settings(**{"size": 1500, **kind})
    return causes.plant(month.make_month(settings), causes.possible(settings), 0.01)


@pytest.mark.parametrize("basis", ["billable", "total"])
@pytest.mark.parametrize("step", [6, 60])
def test_accepted_increments_change_no_duration_that_is_right(
    monkeypatch: pytest.MonkeyPatch, step: int, basis: str
) -> None:
    world = mistakes._rounded(step)(dirty(basis=basis))
    judged = plan_all(world, judging.reconcile(world), monkeypatch)
    assert judged.plan.accept == ("rounded-durations",)
    assert judged.needless.to_dict("records") == []
    assert len(judged.plan.changes) > 200


def two_switches(world: month.World, by_s: int) -> month.World:
    """Let the second legs of half the calls be written by a switch with another clock, which has calls of its own too."""
    legs = world.legs
    of_call = legs.groupby("x_true")["started_at"]
    second = (of_call.rank(method="first") > 1) & legs["x_trunk"].eq("b")
    alone = (legs["x_true"] % 5 == 0) & (of_call.transform("size") == 1)
    other = (second | alone).to_numpy("bool")
    names = pd.Series(np.where(other, "pbx-2.csv", "pbx-1.csv"), dtype="str")
    return world.having(legs=month.moved(legs, other, by_s * month.SECOND).assign(source_file=names))


@pytest.mark.parametrize("seed", [7, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 18))])
@pytest.mark.parametrize("basis", ["billable", "total"])
@pytest.mark.parametrize("by_s", [3600, -3600, 12, -12])
def test_calls_over_two_switches_with_two_clocks_lead_to_no_wrong_change(
    monkeypatch: pytest.MonkeyPatch, by_s: int, basis: str, seed: int
) -> None:
    world = two_switches(dirty(basis=basis, seed=seed), by_s)
    rec = judging.reconcile(world)
    judged = plan_all(world, rec, monkeypatch)
    assert {"timezone-shift", "clock-offset"} & set(judged.plan.accept)
    assert judged.wrong.to_dict("records") == []
    assert judged.needless.to_dict("records") == []
    assert judged.plan.changes["field"].eq("duration_seconds").sum() > 100


@pytest.mark.parametrize("name", ["no legs", "no calls"])
def test_an_accepted_empty_side_plans_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = mistakes.NAMED[name].make(dirty(size=200))
    judged = plan_all(world, judging.reconcile(world), monkeypatch)
    assert "empty-side" in judged.plan.accept
    assert judged.plan.changes.empty
