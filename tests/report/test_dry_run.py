"""What a dry run tells the person who approves it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from sippet_reconcile.report import DryRunFacts, DryRunReport

Make = Callable[..., DryRunFacts]

STATUS = {"field": "status", "before": "answered", "after": "completed", "before_s": None, "after_s": None,
          "delta_s": None, "explanation": "never-ended", "match_rule": "linked_id"}  # fmt: skip


def report_of(facts: DryRunFacts) -> DryRunReport:
    return DryRunReport.from_facts(facts)


def section(report: DryRunReport, title: str) -> Any:
    return next(part for part in report.document.sections if part.title == title)


def test_the_verdict_says_how_many_and_how_much(make_facts: Make) -> None:
    report = report_of(make_facts([{}, {"delta_s": -3590.0}, STATUS]))
    assert report.verdict == (
        "3 calls of 1,000 compared would be corrected, with 3 changes. Their total duration falls by 1 h. Nothing has been sent."
    )
    assert report.document.tone == "ok"
    assert "rises by 10 s" in report_of(make_facts([{"delta_s": 10.0}])).verdict


def test_a_plan_without_changes_is_said_to_correct_nothing(make_facts: Make) -> None:
    report = report_of(make_facts([]))
    assert "nothing to correct" in report.verdict
    assert "Nothing would be sent." in report.html()
    assert report.summary()["requests"] == 0


def test_an_accepted_stop_is_in_the_verdict(make_facts: Make) -> None:
    findings = pd.DataFrame(
        {"code": ["timezone-shift"], "severity": ["stop"], "message": ["m"], "advice": ["a"]}, dtype="str"
    )
    report = report_of(make_facts([{}], findings=findings, plan={"accept": ("timezone-shift",)}))
    assert "accepted: timezone-shift" in report.verdict
    assert report.document.tone == "stop"


def test_the_forecast_counts_patches_and_reads(make_facts: Make) -> None:
    facts = make_facts([{"call_id": f"c{n}"} for n in range(101)], rate=("300/min", 5.0))
    summary = report_of(facts).summary()
    assert (summary["requests_patch"], summary["requests_read"], summary["requests"]) == (101, 3, 104)
    assert summary["minutes"] == 0.35
    text = section(report_of(facts), "Applying it")
    assert "101 PATCH requests and 3 requests" in text.intro
    assert "about 21 s at 300/min" in text.intro
    assert "webhooks" in text.note


def test_two_changes_of_one_call_are_one_request(make_facts: Make) -> None:
    summary = report_of(make_facts([{"call_id": "c"}, {**STATUS, "call_id": "c"}])).summary()
    assert (summary["calls"], summary["changes"], summary["requests_patch"]) == (1, 2, 1)


def test_counts_are_by_field_cause_and_match_rule(make_facts: Make) -> None:
    summary = report_of(make_facts([{}, {}, STATUS])).summary()
    assert summary["changes_by_field"] == {"duration_seconds": 2, "status": 1}
    assert summary["changes_by_explanation"] == {"ring-time-included": 2, "never-ended": 1}
    assert summary["changes_by_match_rule"] == {"call_uuid": 2, "linked_id": 1}


def test_the_ledger_gets_a_total(make_facts: Make) -> None:
    ledger = pd.DataFrame(
        {"field": ["status", "duration_seconds", "duration_seconds"], "explanation": ["agreeing", "zero", "agreeing"],
         "is_corrected": [False, True, False], "n_calls": [10, 4, 6], "before_s": [None, 0, 600],
         "change_s": [None, 40, 0], "after_s": [None, 40, 600]}
    ).astype({"field": "str", "explanation": "str", "is_corrected": "boolean", "n_calls": "Int64",
              "before_s": "Float64", "change_s": "Float64", "after_s": "Float64"})  # fmt: skip
    part = section(report_of(make_facts([{}], ledger=ledger)), "The ledger")
    assert part.cells(9)[-1] == ["duration_seconds", "total", "–", "10", "600", "+40", "640"]
    assert part.note == "Fields without seconds, in calls: status: 10 not corrected."


def test_the_distribution_counts_every_change_of_duration_once(make_facts: Make) -> None:
    deltas = [-4000, -3600, -61, -60, -10, -1, 1, 10.5, 600, 5000, None]
    report = report_of(make_facts([{"delta_s": d} for d in deltas]))
    bars = section(report, "How large the changes are").charts[0].bars
    assert [(bar.tick, bar.text) for bar in bars] == [
        ("− over 1 h", "1"), ("− 10–60 min", "1"), ("− 1–10 min", "1"), ("− 10–60 s", "1"), ("− to 10 s", "2"),
        ("+ to 10 s", "1"), ("+ 10–60 s", "1"), ("+ 1–10 min", "1"), ("+ 10–60 min", "0"), ("+ over 1 h", "1"),
    ]  # fmt: skip


def test_the_most_significant_changes_come_first(make_facts: Make) -> None:
    report = report_of(make_facts([STATUS, {"delta_s": -5.0}, {"delta_s": 900.0}, {"delta_s": -90.0}]))
    part = section(report, "The changes")
    assert part.frame["delta_s"].tolist()[:3] == [900, -90, -5]
    assert part.frame["source"].tolist() == ["october.csv:41"] * 4


def test_what_is_left_out_is_counted_with_an_example(make_facts: Make) -> None:
    left = pd.DataFrame(
        {"call_id": ["a", "b", "b"], "call_uuid": None, "field": ["status", "status", None], "explanation": None,
         "reason": ["r1", "r1", "r2"]}, dtype="str",
    )  # fmt: skip
    report = report_of(make_facts([{}], left_out=left))
    assert section(report, "Left out, and why").cells(9) == [
        ["r1", "status", "2", "a"],
        ["r2", "the whole call", "1", "b"],
    ]
    assert report.summary()["left_out_calls"] == 2


@pytest.mark.parametrize("name", ["sip_username", "from_number", "explanation", "source_file", "before"])
def test_a_script_in_a_value_stays_text(make_facts: Make, name: str) -> None:
    report = report_of(make_facts([{name: "<script>alert(1)</script>"}]))
    for text in (report.html(), report._repr_html_(), report.to_markdown()):
        assert "<script>alert" not in text
    assert "&lt;script&gt;" in report.html()


def test_no_phone_number_is_shown(make_facts: Make) -> None:
    report = report_of(make_facts([{}]))
    for text in (report.html(), report._repr_html_(), report.to_markdown(), report.to_json(), repr(report)):
        assert "2079460" not in text


def test_all_views_give_the_same_counts(make_facts: Make) -> None:
    report = report_of(make_facts([{}, STATUS]))
    plain = json.loads(report.to_json())
    assert plain["summary"] == report.summary()
    assert plain["verdict"] == report.verdict
    for text in (report.html(), report.to_markdown(), report._repr_html_(), repr(report)):
        assert report.verdict in text


@pytest.mark.parametrize(
    ("kind", "title"), [("revert", "Dry run of a revert"), ("corrections", "Dry run of corrections")]
)
def test_the_title_says_what_kind_of_plan_it_is(make_facts: Make, kind: str, title: str) -> None:
    assert report_of(make_facts([{}], plan={"kind": kind, "n_compared": None})).document.title.startswith(
        title
    )


def test_the_verdict_tells_both_directions_where_seconds_are_added_and_taken_away(make_facts: Make) -> None:
    verdict = report_of(make_facts([{"delta_s": 60.0}, {"delta_s": -3600.0}])).verdict
    assert "falls by 59 min (1 min added, 1 h taken away)" in verdict
    assert (
        "1 min added, and as much" in report_of(make_facts([{"delta_s": 60.0}, {"delta_s": -60.0}])).verdict
    )


def test_each_cause_is_told_in_words_and_a_revert_calls_nothing_wrong(make_facts: Make) -> None:
    told = section(report_of(make_facts([{"reason": "The ringing is in it."}])), "Why the records are wrong")
    assert told.frame["meaning"].tolist() == ["The ringing is in it."]
    undo = report_of(make_facts([{"match_rule": None}], plan={"kind": "revert"}))
    assert "Matched by" not in section(undo, "What is put back").intro
    titles = [part.title for part in undo.document.sections]
    assert "What is put back" in titles
    assert "Why the records are wrong" not in titles


def test_whoever_may_approve_reads_how_in_a_notebook_and_in_a_terminal(make_facts: Make) -> None:
    said = section(report_of(make_facts([{}])), "Approvals").intro
    assert "plan.approve" in said
    assert "sippet-reconcile approve" in said


def test_what_no_row_tells_is_no_column_of_the_changes(make_facts: Make) -> None:
    empty = {
        "direction": None,
        "from_number": None,
        "to_number": None,
        "sip_username": None,
        "match_rule": None,
    }
    told = section(report_of(make_facts([empty], plan={"kind": "revert"})), "The changes")
    assert not set(empty) & set(told.frame)
    assert {"before", "after", "call_id"} <= set(told.frame)
    told = section(report_of(make_facts([empty, {}])), "The changes")
    assert set(empty) <= set(told.frame)
