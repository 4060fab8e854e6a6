"""The card of a plan says first what it would do, tells changes call by call, and hides no approval."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from sippet_reconcile.plan import Plan
from sippet_reconcile.schema import CHANGES

EVIL = '<b>"x"</b>'


def changes(n_calls: int, causes: int = 1) -> pd.DataFrame:
    """Return two changes to each call; the n-th call, from one, loses n seconds."""
    rows = [
        {
            "call_id": f"call-{n:04d}", "field": field, "before": before, "after": after, "delta_s": delta_s,
            "before_s": None if delta_s is None else 100.0, "after_s": None if delta_s is None else 99.0 - n,
            "explanation": f"cause-{n % causes}", "reason": "ticket 4711",
        }
        for n in range(n_calls)
        for field, before, after, delta_s in (
            ("status", "no_answer", "completed", None),
            ("duration_seconds", "100", str(99 - n), -1.0 - n),
        )
    ]  # fmt: skip
    return pd.DataFrame(
        {c.name: pd.Series([row.get(c.name) for row in rows], dtype=c.kind.value) for c in CHANGES.columns}
    )


def plan_of(n_calls: int, causes: int = 1, **given: object) -> Plan:
    return Plan.from_changes(
        changes(n_calls, causes), kind="corrections", api_url="https://api.example", **given
    )


def said(plan: Plan) -> str:
    """Return the words of the card, tags taken away."""
    bare = re.sub(r"<style>.*?</style>", "", plan._repr_html_(), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


def test_the_answer_comes_first_in_words() -> None:
    # 1 + 2 + … + 10 = 55 seconds are taken away.
    told = said(plan_of(10))
    assert "10 calls would be corrected, with 20 changes. Their total duration falls by 55 s." in told
    assert "Nobody has approved it yet." in told
    assert told.index("would be corrected") < told.index("Why") < told.index("The first calls")
    assert "Next: plan.dry_run()" in told


def test_changes_are_told_call_by_call_and_each_id_is_written_once() -> None:
    page = plan_of(10)._repr_html_()
    assert page.count("call-0000") == 1
    assert page.count('rowspan="2"') == 4
    assert "and 6 more" in page
    assert "call-0004" not in page


def test_causes_are_drawn_and_what_is_less_common_is_one_bar() -> None:
    # Two fields with twelve causes each: seven bars, and seventeen causes in the last.
    told = plan_of(24, causes=12)._repr_html_()
    assert told.count("<rect") == 8
    assert "17 further causes" in told
    # The first and the thirteenth call share a cause: 1 + 13 seconds.
    assert "duration: cause-0: 2 calls, −14 s" in told


def test_who_approved_stands_in_the_card_escaped() -> None:
    plan = plan_of(1).approve(by="ana", note=EVIL)
    page = plan._repr_html_()
    at = pd.Timestamp(plan.approvals[0].at).strftime("%Y-%m-%d %H:%M:%S UTC")
    assert at in page, "an instant is written as in every report"
    assert at in str(plan)
    assert "&lt;b&gt;" in page
    assert EVIL not in page
    assert "Nobody has approved" not in said(plan)
    assert "ana" in said(plan)
    assert "Next: apply_plan(plan, client, audit)" in said(plan)


def test_what_is_left_out_is_counted_in_calls_by_reason() -> None:
    rows = [("a", "status", "why-1"), ("a", "duration_seconds", "why-1"), ("b", "status", "why-2")]
    left_out = pd.DataFrame(rows, columns=["call_id", "field", "reason"]).assign(
        call_uuid=None, explanation=None
    )
    told = said(plan_of(1, left_out=left_out))
    assert "Left out, and why (2 calls)" in told
    assert re.search(r"why-1 1 ", told)


@pytest.mark.parametrize("n_calls", [0, 1])
def test_an_empty_plan_and_a_plan_of_one_read_well(n_calls: int) -> None:
    told = said(plan_of(1).drop(["call-0000"]) if not n_calls else plan_of(1))
    if n_calls:
        assert "1 call would be corrected, with 2 changes." in told
    else:
        assert "There is nothing to correct: the plan has no change." in told
        assert "Why" not in told


def test_a_terminal_is_told_the_same() -> None:
    left_out = pd.DataFrame({"call_id": ["a"], "field": ["status"], "reason": ["why-1"]})
    left_out = left_out.assign(call_uuid=None, explanation=None)
    told = str(plan_of(10, left_out=left_out))
    assert "10 calls would be corrected, with 20 changes. Their total duration falls by 55 s." in told
    assert "10 calls, −55 s" in told
    assert "█" in told
    assert "and 6 further calls" in told
    assert "  1  why-1" in told
    assert told.endswith("Next: plan.dry_run()")
    assert "Nobody has approved" in told
    approved = str(plan_of(1).approve(by="ana", note="October"))
    assert ": October" in approved
    assert "Nobody has approved" not in approved
