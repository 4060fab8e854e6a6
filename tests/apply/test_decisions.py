"""One call, one reading, one decision."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.apply.decisions import (
    Decision,
    PlannedCall,
    decide_call,
    judge_answer,
    stays_altered,
)
from sippet_reconcile.audit import Outcome
from sippet_reconcile.schema import CALL_ATTRIBUTES

START, END = "2026-10-01T08:00:00Z", "2026-10-01T08:01:00Z"
HELD = dict.fromkeys(CALL_ATTRIBUTES) | {
    "call_uuid": "switch-1",
    "from_number": "+442079460001",
    "status": "completed",
    "call_source": "sip",
    "started_at": START,
    "ended_at": END,
    "duration_seconds": "30",
}


def planned(before=None, after=None, *, started_at=START):
    return PlannedCall(
        call_id="c",
        call_uuid="switch-1",
        before=before or {"duration_seconds": "30"},
        after=after or {"duration_seconds": "60"},
        started_at=started_at,
        explanation=None,
        reason=None,
        source_file=None,
        source_row=None,
    )


SIX, NONE = ({"started_at": n, "ended_at": n} for n in (6, 0))
"""What servers that answer six decimals, and none, show of their precision."""


def decide(call, observed, *, may_be_ours=False, problem=None, decimals=SIX):
    return decide_call(call, observed, may_be_ours=may_be_ours, problem=lambda *_: problem, decimals=decimals)


def test_a_call_at_before_is_sent():
    assert decide(planned(), HELD).outcome is None


def test_a_call_at_after_is_already_or_ours():
    observed = HELD | {"duration_seconds": "60"}
    assert decide(planned(), observed).outcome is Outcome.ALREADY
    ours = decide(planned(), observed, may_be_ours=True)
    assert (ours.outcome, ours.confirmed_by) == (Outcome.APPLIED, "reread")


def test_one_field_at_before_and_one_at_after_is_drift():
    call = planned({"duration_seconds": "30", "ended_at": None}, {"duration_seconds": "60", "ended_at": END})
    decision = decide(call, HELD)
    assert decision.outcome is Outcome.DRIFTED
    assert [row["field"] for row in decision.drift] == ["ended_at"]


def test_a_start_that_moved_came_or_went_is_drift():
    for start in ("2026-10-01T08:00:01Z", None):
        assert decide(planned(), HELD | {"started_at": start}).outcome is Outcome.DRIFTED
    assert decide(planned(started_at=None), HELD).outcome is Outcome.DRIFTED
    assert decide(planned(started_at=None), HELD | {"started_at": None}).outcome is None


def test_a_broken_record_is_left_alone_with_the_sentence():
    decision = decide(planned(), HELD, problem="it would end before it starts")
    assert (decision.outcome, decision.error_code) == (Outcome.DRIFTED, "whole-record")
    assert decision.detail == "it would end before it starts"


def test_null_is_a_value():
    call = planned({"ended_at": None}, {"ended_at": END})
    assert decide(call, HELD | {"ended_at": None}).outcome is None
    assert decide(call, HELD | {"ended_at": "2026-10-01T09:00:00Z"}).outcome is Outcome.DRIFTED


def test_the_answer_as_sent_is_applied_at_the_servers_precision():
    call = planned({"ended_at": None}, {"ended_at": "2026-10-01T08:01:00.250000Z"})
    answered = HELD | {"ended_at": "2026-10-01T08:01:00Z"}
    assert judge_answer(call, "c", answered, HELD, NONE).outcome is Outcome.APPLIED
    assert judge_answer(call, "c", answered, HELD, SIX).outcome is Outcome.ALTERED


@pytest.mark.parametrize("name", ["started_at", "ended_at"])
def test_a_drift_within_a_second_is_one_where_the_server_keeps_fractions(name):
    held = HELD | {name: HELD[name].replace("Z", ".700000Z")}
    call = planned({"ended_at": END}, {"ended_at": "2026-10-01T08:01:05Z"})
    assert [row["field"] for row in decide(call, held).drift] == [name]
    back = planned(
        {"ended_at": held["ended_at"]}, {"ended_at": "2026-10-01T08:01:05Z"}, started_at=held["started_at"]
    )
    assert [row["field"] for row in decide(back, HELD).drift] == [name]
    assert decide(back, HELD, decimals=NONE).outcome is None


def test_a_value_within_a_second_of_the_planned_one_is_not_there_already():
    call = planned({"ended_at": None}, {"ended_at": "2026-10-01T08:01:00.700000Z"})
    assert decide(call, HELD).outcome is Outcome.DRIFTED
    assert decide(call, HELD, decimals=NONE).outcome is Outcome.ALREADY


@pytest.mark.parametrize("name", [name for name in CALL_ATTRIBUTES if name != "duration_seconds"])
def test_any_other_attribute_that_changed_is_altered_and_numbers_are_not_shown(name):
    value = "2026-10-01T09:30:00Z" if name.endswith("_at") else "+442079460555"
    decision = judge_answer(planned(), "c", HELD | {"duration_seconds": "60", name: value}, HELD, SIX)
    assert decision.outcome is Outcome.ALTERED
    assert name in decision.detail
    if "number" in name or "username" in name:
        assert "0555" not in decision.detail


def test_an_answer_about_another_call_is_altered_and_its_values_are_not_kept():
    decision = judge_answer(planned(), "d", HELD | {"duration_seconds": "60"}, HELD, SIX)
    assert (decision.outcome, decision.observed) == (Outcome.ALTERED, None)


def test_altered_stays_so_only_while_the_call_holds_what_was_left():
    drifted = decide(planned(), HELD | {"duration_seconds": "55"})
    left = {"duration_seconds": 55, "started_at": START}
    assert stays_altered(drifted, left, SIX).outcome is Outcome.ALTERED
    assert stays_altered(drifted, left | {"duration_seconds": 54}, SIX) is drifted
    assert stays_altered(drifted, {}, SIX) is drifted
    nothing = Decision(Outcome.DRIFTED)
    assert stays_altered(nothing, left, SIX) is nothing


seconds = st.one_of(st.none(), st.integers(0, 5).map(str))


@given(before=seconds, after=seconds, observed=seconds, may_be_ours=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_call_is_sent_only_where_it_holds_before_and_after_differs(before, after, observed, may_be_ours):
    call = planned({"duration_seconds": before}, {"duration_seconds": after})
    decision = decide(call, HELD | {"duration_seconds": observed}, may_be_ours=may_be_ours)
    if decision.outcome is None:
        assert observed == before != after
    elif decision.outcome is Outcome.DRIFTED:
        assert observed not in {before, after}
    else:
        assert observed == after
        assert (decision.outcome is Outcome.APPLIED) == may_be_ours
