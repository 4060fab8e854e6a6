"""Every mistake made with a month as a whole is found, alone and two at a time, and never sends a wrong change.

A mistake must raise its own finding with the severity that the contract gives it, and no
other finding above ``info`` that it does not imply. The plans are made from months that
also hold every cause of single calls, where a mistake can lead such a correction astray.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import judging
import pytest
from causes import plant, possible
from judging import judge_plan, month, reconcile
from mistakes import MISTAKES, NAMED, Mistake, torn
from month import World

import sippet_reconcile as sr

SIZE, DIRTY_SIZE = 2500, 1500
FROM_SINGLE_CALLS: Final = ("stuck-calls", "impossible-calls")
"""What the causes of single calls imply."""

TOGETHER: Final = (
    ("zone of all", "a constant skew"),
    ("zone of one file", "a file twice"),
    ("zone of one trunk of two", "ids shared by calls"),
    ("forgotten summer time", "a day missing in the API"),
    ("forgotten summer time", "probes"),
    ("a constant skew", "rounded to 60 s"),
    ("a constant skew", "statuses of another language"),
    ("a drifting clock", "rounded to 6 s"),
    ("a drifting clock", "read without a country"),
    ("one switch skewed", "cut at 1,000 rows"),
    ("one trunk skewed", "hours missing in the CDR"),
    ("rounded to 30 s", "read with another country"),
    ("zone of all", "billable seconds called total"),
    ("statuses of another language", "stuck calls"),
    ("a day missing in the CDR", "impossible calls"),
    ("read without a country", "ids shared by calls"),
)
HIDDEN: Final = {
    ("forgotten summer time", "a day missing in the API"): (
        "missing-hours",
        "hours are only counted where both clocks tell the same",
    ),
    ("zone of all", "a constant skew"): (
        "clock-offset",
        "the shift is measured as a whole, and its cure removes the seconds beside the hour as well",
    ),
}
"""Findings that one mistake of two hides, and why it may."""


def _world(mistakes: tuple[Mistake, ...], *, is_dirty: bool = False, **settings: Any) -> World:
    kind: dict[str, Any] = {"size": DIRTY_SIZE if is_dirty else SIZE}
    for mistake in mistakes:
        kind |= mistake.settings
    world = month(**{**kind, **settings})
    if is_dirty:
        world = plant(world, possible(world.settings), 0.01)
    for mistake in mistakes:
        world = mistake.make(world)
    return world


def _rules(mistakes: tuple[Mistake, ...]) -> dict[str, Any]:
    return {name: value for mistake in mistakes for name, value in mistake.rules.items()}


@cache
def look(
    names: tuple[str, ...], *, is_dirty: bool = False, **settings: Any
) -> tuple[World, sr.Reconciliation]:
    mistakes = tuple(NAMED[name] for name in names)
    world = _world(mistakes, is_dirty=is_dirty, **settings)
    return world, reconcile(world, **_rules(mistakes))


def _loud(rec: sr.Reconciliation) -> dict[str, str]:
    return {f.code: f"{f.severity}: {f.message}" for f in rec.findings if f.severity != "info"}


ALONE = [pytest.param((mistake.name,), id=mistake.name) for mistake in MISTAKES]
PAIRS = [pytest.param(names, id=" and ".join(names)) for names in TOGETHER]
SLOW_PAIRS = [pytest.param(names, id=" and ".join(names), marks=pytest.mark.slow) for names in TOGETHER]


@pytest.mark.parametrize("names", ALONE + PAIRS)
def test_a_mistake_is_found_with_its_severity(names: tuple[str, ...]) -> None:
    _, rec = look(names)
    severities = {f.code: str(f.severity) for f in rec.findings}
    hidden, _ = HIDDEN.get(names, ("", ""))
    expected = {NAMED[name].code: NAMED[name].severities for name in names if NAMED[name].code != hidden}
    assert {
        code: severities.get(code)
        for code, allowed in expected.items()
        if severities.get(code) not in allowed
    } == {}


@pytest.mark.parametrize("names", ALONE + PAIRS)
def test_a_mistake_raises_no_alarm_that_it_does_not_imply(names: tuple[str, ...]) -> None:
    _, rec = look(names)
    allowed = {code for name in names for code in (NAMED[name].code, *NAMED[name].implied)}
    assert {code: said for code, said in _loud(rec).items() if code not in allowed} == {}


@pytest.mark.parametrize("names", ALONE)
def test_a_mistake_is_found_among_wrong_calls_as_well(names: tuple[str, ...]) -> None:
    _, rec = look(names, is_dirty=True)
    (mistake,) = (NAMED[name] for name in names)
    assert [str(f.severity) for f in rec.findings if f.code == mistake.code][:1] in [
        [s] for s in mistake.severities
    ]
    allowed = {mistake.code, *mistake.implied, *FROM_SINGLE_CALLS}
    assert {code: said for code, said in _loud(rec).items() if code not in allowed} == {}


@pytest.mark.parametrize("names", ALONE + SLOW_PAIRS)
def test_no_mistake_leads_to_a_wrong_change(names: tuple[str, ...]) -> None:
    world, rec = look(names, is_dirty=True)
    assert judging.wrong_pairs(world, rec).empty
    judged = judge_plan(world, rec)
    assert judged.wrong.to_dict("records") == []
    assert judged.needless.to_dict("records") == []


@pytest.mark.slow
@pytest.mark.parametrize("names", ALONE)
def test_once_the_plan_is_written_no_mistake_leaves_anything_to_plan(names: tuple[str, ...]) -> None:
    world, rec = look(names, is_dirty=True)
    corrected = judging.after(world, judge_plan(world, rec).plan)
    rules = _rules(tuple(NAMED[name] for name in names))
    assert judge_plan(corrected, reconcile(corrected, **rules)).plan.changes.empty


@pytest.mark.parametrize("name", [m.name for m in MISTAKES if m.code == "timezone-shift"])
def test_no_end_is_planned_where_clocks_are_whole_quarter_hours_apart(name: str) -> None:
    world, rec = look((name,), is_dirty=True)
    assert "ended_at" not in set(judge_plan(world, rec).plan.changes["field"])


@pytest.mark.parametrize(
    "name", [m.name for m in MISTAKES if m.severities == ("stop",) and m.code != "empty-side"]
)
def test_nothing_is_planned_from_a_month_that_says_stop_until_it_is_accepted(name: str) -> None:
    _, rec = look((name,), is_dirty=True)
    with pytest.raises(sr.PlanGuardError, match=NAMED[name].code):
        sr.build_plan(rec, max_share=None)


def test_the_measured_skew_is_the_rule_that_cures_it() -> None:
    world, rec = look(("a constant skew",), is_dirty=True)
    (finding,) = (f for f in rec.findings if f.code == "clock-offset")
    assert finding.cure["clock_offset_s"] == pytest.approx(7, abs=0.5)
    cured = reconcile(world, **finding.cure)
    assert judging.stops(cured) == ()
    judged = judge_plan(world, cured)
    assert judged.wrong.to_dict("records") == []
    assert "ended_at" in set(judged.plan.changes["field"])


@pytest.mark.parametrize("size", [300, 800, SIZE])
@pytest.mark.parametrize("step", [6, 30, 60])
def test_billed_increments_are_found_though_many_calls_have_several_legs(step: int, size: int) -> None:
    """The talk of several legs is measured by their times and no multiple; calls of one leg keep the export's seconds."""
    world = _world((NAMED[f"rounded to {step} s"],), size=size)
    rec = reconcile(world)
    found = [f for f in rec.findings if f.code == "rounded-durations"]
    assert [str(f.severity) for f in found] == ["stop"]
    t = world.truth.merge(rec.pairs[["call_id"]], on="call_id")
    of_one_leg = int((t["n_legs"].eq(1) & t["is_answered"]).sum())
    assert found[0].evidence["n_calls"].max() >= 0.9 * of_one_leg


def test_the_cure_of_a_zone_removes_the_skew_beside_it() -> None:
    world, rec = look(("zone of all", "a constant skew"), is_dirty=True)
    (finding,) = (f for f in rec.findings if f.code == "timezone-shift")
    assert finding.cure["clock_offset_s"] == pytest.approx(3607, abs=0.5)
    cured = reconcile(world, **finding.cure)
    assert judging.stops(cured) == ()
    assert judge_plan(world, cured).wrong.to_dict("records") == []


def test_a_call_that_the_end_of_an_export_tears_apart_is_not_corrected() -> None:
    """The phone that did not answer stands in the last row, the one that did behind the cut."""
    world = torn(month(size=SIZE, by_pbx=True))
    rec = reconcile(world)
    assert not {"truncated-export", "missing-hours"}.isdisjoint(_loud(rec))
    assert judge_plan(world, rec).plan.changes.to_dict("records") == []


@pytest.mark.slow
@pytest.mark.parametrize("names", ALONE)
def test_a_mistake_is_found_in_a_larger_month_with_fractions_too(names: tuple[str, ...]) -> None:
    mistake = NAMED[names[0]]
    basis = mistake.settings.get("basis", "billable" if mistake.rules else "total")
    world, rec = look(names, is_dirty=True, seed=4, basis=basis, has_fractions=True, size=4000)
    assert [str(f.severity) for f in rec.findings if f.code == mistake.code][:1] in [
        [s] for s in mistake.severities
    ]
    judged = judge_plan(world, rec)
    assert (len(judged.wrong), len(judged.needless)) == (0, 0)
