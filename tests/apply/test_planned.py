"""The calls of a plan, kept as columns, are what the obvious loop over its changes makes of them."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.apply.planned import PlannedCalls, planned_calls, whole_record_problem
from sippet_reconcile.plan import Plan, plan_corrections
from sippet_reconcile.plan.frames import PLAN_CALLS
from sippet_reconcile.plan.whole_record import ENDS_BEFORE_START, TALK_WITHOUT_ANSWER, TOO_LONG
from sippet_reconcile.reconciliation import Rules
from sippet_reconcile.run import load_run
from sippet_reconcile.schema import CHANGES

FIELDS = ("status", "duration_seconds", "ended_at")
WORDS = st.none() | st.sampled_from(["busy", 'no "answer"', "\\", "é\n", ""])
VALUES = {
    "status": WORDS,
    "duration_seconds": st.none() | st.integers(0, 10**6).map(str),
    "ended_at": st.none() | st.just("2026-10-01T08:01:00Z"),
}


@st.composite
def changes(draw):
    """Return changes of a few calls whose rows lie in any order."""
    keys = draw(st.lists(st.tuples(st.sampled_from("dcba"), st.sampled_from(FIELDS)), unique=True))
    rows = [
        {
            "call_id": call_id,
            "field": field,
            "call_uuid": f"switch-{call_id}",
            "before": draw(VALUES[field]),
            "after": draw(VALUES[field]),
            "explanation": draw(WORDS),
            "reason": draw(WORDS),
            "source_file": draw(WORDS),
            "source_row": draw(st.none() | st.integers(1, 99)),
        }
        for call_id, field in keys
    ]
    columns = {
        name: pd.Series([row.get(name) for row in rows], dtype=dtype)
        for name, dtype in CHANGES.dtypes.items()
    }
    return rows, pd.DataFrame(columns)


def value(row, side):
    text = row[side]
    return text if text is None or row["field"] != "duration_seconds" else int(text)


def joined(texts):
    return "; ".join(dict.fromkeys(text for text in texts if text is not None)) or None


@settings(deadline=None)
@given(given_changes=changes(), places=st.lists(st.integers(0, 3)))
def test_calls_made_on_demand_are_those_of_a_loop_over_the_changes(given_changes, places):
    rows, frame = given_changes
    by_call = {}
    for row in rows:
        by_call.setdefault(row["call_id"], []).append(row)
    starts = pd.Series({"a": "2026-10-01T08:00:00Z", "x": "2026-10-01T09:00:00Z"}, dtype="str")
    told = {
        "is_answered_cdr": pd.array([True, False], "boolean"),
        "status_cdr": pd.array(["busy", None], "str"),
    }
    calls = PlannedCalls(frame, pd.DataFrame(told, index=starts.index).assign(started_at=starts))
    assert (len(calls), calls.ids.tolist()) == (len(by_call), list(by_call))
    for planned, (call_id, own) in zip(calls, by_call.items(), strict=True):
        assert (planned.call_id, planned.call_uuid) == (call_id, f"switch-{call_id}")
        assert planned.before == {row["field"]: row["before"] for row in own}
        assert list(planned.after.items()) == [(row["field"], row["after"]) for row in own]
        assert planned.started_at == ("2026-10-01T08:00:00Z" if call_id == "a" else None)
        told_of_it = (True, "busy") if call_id == "a" else (None, None)
        assert (planned.is_answered, planned.status_cdr) == told_of_it
        assert planned.explanation == joined(row["explanation"] for row in own)
        assert planned.reason == joined(row["reason"] for row in own)
        assert (planned.source_file, planned.source_row) == (own[0]["source_file"], own[0]["source_row"])
    known = list(calls)
    wanted = [place for place in places if place < len(known)]
    assert calls.take(wanted) == [known[place] for place in wanted]
    assert (calls[1:3], calls[::-1], calls[5:]) == (known[1:3], known[::-1], [])
    for side in ("before", "after"):
        meant = {call_id: {row["field"]: value(row, side) for row in own} for call_id, own in by_call.items()}
        text = calls.as_json(side)
        assert list(json.loads(text).items()) == list(meant.items())
        # As every other JSON of the log: fields sorted, no blanks, no escapes that need not be.
        plain = [
            f"{json.dumps(call_id)}:{json.dumps(values, sort_keys=True, separators=(',', ':'), ensure_ascii=False)}"
            for call_id, values in meant.items()
        ]
        assert text == "{" + ",".join(plain) + "}"


def test_a_place_beyond_the_last_call_is_no_call():
    calls = PlannedCalls(CHANGES.empty(), PLAN_CALLS.empty().set_index("call_id"))
    assert (len(calls), list(calls), calls.as_json("after")) == (0, [], "{}")
    with pytest.raises(IndexError):
        calls[0]


def answered_or_not(kind, **more):
    """Return a plan that gives two calls of a minute 30 s and an end; the CDR says that only the first was answered."""
    rows = {
        "call_id": ["a", "a", "b"],
        "field": ["duration_seconds", "ended_at", "duration_seconds"],
        "before": ["0", None, "9"],
        "after": ["30", "2026-10-01T08:01:00Z", "0"],
    }
    changes = pd.DataFrame(rows, dtype="str").reindex(columns=CHANGES.names).astype(CHANGES.dtypes)
    known = {
        "call_id": pd.array(["a", "b"], "str"),
        "status_cdr": pd.array(["completed", "no_answer"], "str"),
        "is_answered_cdr": pd.array([True, False], "boolean"),
        "started_at": pd.to_datetime(["2026-10-01T08:00:00Z"] * 2).as_unit("us"),
    }
    calls = pd.DataFrame(known).reindex(columns=PLAN_CALLS.names).astype(PLAN_CALLS.dtypes)
    return Plan.from_changes(
        changes, kind=kind, api_url=None, calls=calls, rules=Rules(duration="billable"), **more
    )


HELD = {
    "started_at": "2026-10-01T08:00:00Z",
    "ended_at": None,
    "status": "completed",
    "duration_seconds": "0",
}


@pytest.mark.parametrize(
    ("call_id", "observed", "expected"),
    [
        ("a", {}, None),
        ("a", {"ended_at": "2026-10-01T07:59:00Z", "duration_seconds": "999"}, None),
        ("a", {"started_at": "2026-10-01T08:00:50Z"}, TOO_LONG),
        ("a", {"started_at": "2026-10-01T08:02:00Z"}, ENDS_BEFORE_START),
        ("a", {"status": "no_answer"}, TALK_WITHOUT_ANSWER),
        ("b", {"ended_at": "2026-10-01T08:01:00Z"}, None),
        ("b", {"ended_at": "2026-10-01T07:59:00Z"}, ENDS_BEFORE_START),
    ],
)
def test_a_call_is_judged_as_it_would_stand_on_top_of_what_was_read(call_id, observed, expected):
    plan = answered_or_not("corrections")
    planned = {call.call_id: call for call in planned_calls(plan)}[call_id]
    assert whole_record_problem(plan)(planned, HELD | observed) == expected


def test_seconds_of_a_call_that_the_cdr_proves_unanswered_are_never_sent():
    plan = answered_or_not("corrections")
    planned = {call.call_id: call for call in planned_calls(plan)}["b"]
    problem = whole_record_problem(plan)
    assert problem(planned, HELD) is None
    assert (
        problem(replace(planned, after={"status": "completed"}), HELD | {"duration_seconds": "5"})
        == TALK_WITHOUT_ANSWER
    )


def test_a_revert_puts_back_what_there_was_be_it_consistent_or_not():
    plan = answered_or_not("revert", reverts_run_id="run-1")
    problem = whole_record_problem(plan)
    late = HELD | {"started_at": "2026-10-01T09:00:00Z"}
    assert [problem(planned, late) for planned in planned_calls(plan)] == [None, None]


def test_a_run_lists_its_calls_in_plan_order_and_not_by_their_ids(lab):
    ids = [lab.id_of(n) for n in range(6)]
    fixes = {"duration_seconds": ["60"] * 3 + [""] * 3, "ended_at": [""] * 3 + ["2026-10-01T18:00:00Z"] * 3}
    corrections = pd.DataFrame({"call_id": ids, **fixes}, dtype="str")
    plan = plan_corrections(lab.client.get_calls(ids), corrections, reason="ticket 4711")
    # A plan begins with one call of each kind of change.
    order = [ids[n] for n in (0, 3, 1, 2, 4, 5)]
    assert planned_calls(plan).ids.tolist() == order
    run = lab.apply(plan.approve(by="ana", note="October"), limit=2)
    assert run.records["call_id"].tolist() == order
    assert run.records["outcome"].tolist() == ["applied"] * 2 + ["pending"] * 4
    assert load_run(lab.audit).records["call_id"].tolist() == order
