"""What a dry run tells the person who approves it."""

from __future__ import annotations

import html
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sippet_reconcile.period import Period
from sippet_reconcile.report import DryRunFacts, DryRunReport, document_text

Make = Callable[..., DryRunFacts]

STATUS = {"field": "status", "before": "answered", "after": "completed", "before_s": None, "after_s": None,
          "delta_s": None, "explanation": "never-ended", "match_rule": "linked_id"}  # fmt: skip

PHRASES = {
    "ring-time-included": ["includes ring time", "include ring time"],
    "never-ended": ["belongs to a call that never ended", "belong to calls that never ended"],
}
OPEN = {**STATUS, "call_id": "b", "delta_s": None}


def report_of(facts: DryRunFacts) -> DryRunReport:
    return DryRunReport.from_facts(facts)


def section(report: DryRunReport, title: str) -> Any:
    return next(part for part in report.document.sections if part.title == title)


def test_the_verdict_says_how_many_and_how_much(make_facts: Make) -> None:
    report = report_of(make_facts([{}, {"delta_s": -3590.0}, STATUS], phrases=PHRASES))
    assert report.verdict == (
        "3 calls of 1,000 compared would be corrected, with 3 changes. 2 wrong durations include ring time and "
        "1 wrong status belongs to a call that never ended. Their total duration falls by 1 h. "
        "Applying it takes about 1 s at 5/s. Nothing has been sent. "
        "Nobody has approved it yet."
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
    assert "101 PATCH requests and 3 requests that read" in text.intro
    few = section(report_of(make_facts([{}])), "Applying it").intro
    assert few.startswith("1 PATCH request and 1 request that reads the calls again just before, 2 in all")
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


def test_the_call_with_the_largest_change_comes_first_with_all_its_rows(make_facts: Make) -> None:
    rows = [
        {**STATUS, "call_id": "a"}, {"call_id": "b", "delta_s": -5.0}, {**STATUS, "call_id": "c"},
        {"call_id": "d", "delta_s": -90.0}, {"call_id": "c", "delta_s": 900.0}, {**STATUS, "call_id": "e"},
    ]  # fmt: skip
    part = section(report_of(make_facts(rows)), "The changes")
    assert part.frame[["call_id", "field"]].to_numpy().tolist() == [
        ["c", "status"], ["c", "duration_seconds"], ["d", "duration_seconds"], ["b", "duration_seconds"],
        ["a", "status"], ["e", "status"],
    ]  # fmt: skip
    assert part.group_by == "call_id"
    assert {"call_id", "started_at", "from_number"} <= set(part.once)
    assert part.evidence["sources"].tolist() == ["october.csv:41"] * 5
    assert part.frame["source"].tolist() == ["october.csv:41"] * 6
    assert "october.csv:41" in document_text(report_of(make_facts(rows)).document)


def test_a_column_that_differs_within_a_call_is_not_written_once(make_facts: Make) -> None:
    rows = [{"call_id": "a"}, {**STATUS, "call_id": "a"}, {"call_id": "b"}]
    part = section(report_of(make_facts(rows)), "The changes")
    assert "match_rule" in part.frame
    assert "match_rule" not in part.once
    same = section(report_of(make_facts([{"call_id": "a"}, {"call_id": "b"}])), "The changes")
    assert "match_rule" not in same.frame
    assert same.evidence["match_rule"].tolist() == ["call_uuid", "call_uuid"]


def test_five_thousand_changes_are_shown_cut_between_calls(make_facts: Make) -> None:
    rows = [{"call_id": f"c{n}", "delta_s": float(9_000 - n)} for n in range(1_700)] * 3
    report = report_of(make_facts(rows))
    part = section(report, "The changes")
    assert len(part.frame) == 4_998  # 1,666 calls of three rows; the next one would make 5,001
    assert len(part.evidence) == 1_666
    assert part.frame["call_id"].iloc[-1] == "c1665"
    assert "first 1,666 calls with 4,998 changes, of 1,700 calls with 5,100 changes" in part.intro
    assert "plan.changes" in part.intro
    assert report.summary()["changes"] == 5_100


def test_the_evidence_tells_both_sides_of_each_call(make_facts: Make) -> None:
    at = pd.Timestamp("2026-10-05T10:00:00Z")
    calls = pd.DataFrame(
        {"call_id": ["b", "a"], "started_at": [at, at], "ended_at": [at + pd.Timedelta("70.25s"), pd.NaT],
         "duration_seconds": [70, 60], "status": ["completed", "answered"], "started_at_cdr": [at, at],
         "ended_at_cdr": [at + pd.Timedelta("71s")] * 2, "total_s_cdr": [71.0, 70.0], "billable_s_cdr": [61.0, 50.0],
         "answered_at_cdr": [pd.NaT, pd.NaT], "sources": ["x.csv:2; x.csv:9", None], "n_legs_cdr": [2, 1],
         "confidence": ["certain", "fair"], "status_cdr": ["completed", "voicemail"]}
    )  # fmt: skip
    facts = make_facts([{"call_id": "a"}, {"call_id": "b", "delta_s": 99.0}], calls=calls)
    told = section(report_of(facts), "The changes").evidence
    assert told["sources"].tolist() == ["x.csv:2; x.csv:9", "october.csv:41"]
    assert told["ended_at_call"].tolist()[0] == "2026-10-05 10:01:10.250"
    assert told["ended_at_cdr"].tolist() == ["2026-10-05 10:01:11"] * 2
    assert told[["duration_seconds_call", "billable_s_cdr", "total_s_cdr"]].to_numpy().tolist() == [
        [70, 61, 71],
        [60, 50, 70],
    ]
    assert told["confidence"].tolist() == ["certain", "fair"]
    assert "answered_at_cdr" not in told  # what no call tells is no column
    assert "x.csv:9" in report_of(facts).html()


def test_a_few_changes_are_told_in_a_sentence_and_many_are_drawn(make_facts: Make) -> None:
    one = report_of(make_facts([{}]))
    assert section(one, "How large the changes are").intro == "1 duration would change, by 10 s."
    assert not section(one, "How large the changes are").charts
    assert "When the calls were" not in [part.title for part in one.document.sections]
    period = Period.month("2026-10", timezone="Asia/Kolkata")
    late = {"started_at": pd.Timestamp("2026-10-05T20:00:00Z")}
    many = report_of(make_facts([late] * 12, plan={"span": period}))
    days, hours = section(many, "When the calls were").charts
    assert [bar.label for bar in days.bars if bar.value] == ["Tuesday 2026-10-06"]
    assert len(days.bars) == 31
    assert [bar.label for bar in hours.bars if bar.value] == ["01:00 to 02:00"]


CAUSES = ["ring-time-included", "zero", "unexplained", "Größe = 1 | <b>", "多い"]


@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 12), st.sampled_from(["status", "duration_seconds", "ended_at"]),
            st.integers(-9_999, 9_999), st.sampled_from(CAUSES), st.sampled_from(["call_uuid", "linked_id", None]),
        ),
        max_size=30, unique_by=lambda row: row[:2],
    ),
    left=st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["r1", "r2"])), max_size=8),
)  # fmt: skip
def test_every_view_gives_the_figures_that_follow_from_the_rows(
    make_facts: Make, rows: Any, left: Any
) -> None:
    full = [
        {"call_id": f"c{n}", "field": name, "delta_s": float(d) if name == "duration_seconds" else None,
         "explanation": cause, "match_rule": rule}
        for n, name, d, cause, rule in rows
    ]  # fmt: skip
    out = pd.DataFrame(
        [{"call_id": f"x{n}", "call_uuid": None, "field": "status", "explanation": None, "reason": r} for n, r in left],
        columns=["call_id", "call_uuid", "field", "explanation", "reason"],
    ).astype("str")  # fmt: skip
    report = report_of(make_facts(full, left_out=out))
    seconds = [row["delta_s"] for row in full if row["delta_s"] is not None]
    calls, causes = {row["call_id"] for row in full}, Counter((r["field"], r["explanation"]) for r in full)
    facts = {
        "calls to correct": f"{len(calls):,}", "changes": f"{len(full):,}",
        "left out, wholly or in part": f"{len({n for n, _ in left}):,}",
        "requests": f"{len(calls) + math.ceil(len(calls) / 50):,}",
    }  # fmt: skip
    summary = report.summary()
    assert (summary["calls"], summary["changes"], summary["net_s"]) == (len(calls), len(full), sum(seconds))
    assert summary["added_s"] - summary["removed_s"] == sum(map(abs, seconds))
    assert summary["left_out"] == dict(Counter(reason for _, reason in left))
    assert summary["unexplained"] == sum(n for (_, cause), n in causes.items() if cause == "unexplained")
    plain, page = (
        json.loads(report.to_json()),
        html.unescape(report.html()).replace("\N{NO-BREAK SPACE}", " "),
    )
    markdown, text = report.to_markdown(), document_text(report.document)
    assert plain["summary"] == summary
    for name, value in facts.items():
        assert str(plain["facts"][name]) == value.replace(",", "")
        assert f"- {name}: {value}" in markdown
        assert re.search(rf"<dt>{name}</dt>\s*<dd>{value}</dd>", page)
        assert re.search(rf"{name} +{value}\n", text)
    assert report.verdict == plain["verdict"]
    assert report.verdict in page
    assert "".join(report.verdict.split()) in "".join(text.split())  # wrapped, at hyphens too
    if not full:
        return
    told = next(part for part in plain["sections"] if part["title"] == "Why the records are wrong")
    assert {(row[0], row[1]): row[2] for row in told["rows"]} == causes
    changes = next(part for part in plain["sections"] if part["title"] == "The changes")
    at = [changes["columns"].index(name) for name in ("call_id", "field", "explanation")]
    assert sorted([row[i] for i in at] for row in changes["rows"]) == sorted(
        [row["call_id"], row["field"], row["explanation"]] for row in full
    )
    assert len(changes["evidence"]["rows"]) == len(calls)


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
    listed = section(report, "Left out, call by call")
    assert listed.frame[["call_id", "field", "reason"]].to_numpy().tolist() == [
        ["a", "status", "r1"],
        ["b", "status", "r1"],
        ["b", "the whole call", "r2"],
    ]
    assert listed.is_searchable


def test_a_long_list_of_what_is_left_out_says_where_the_rest_is(make_facts: Make) -> None:
    left = pd.DataFrame(
        {"call_id": [f"c{n}" for n in range(5_001)], "call_uuid": None, "field": "status", "explanation": None,
         "reason": "r"}, dtype="str",
    )  # fmt: skip
    report = report_of(make_facts([], left_out=left))
    listed = section(report, "Left out, call by call")
    assert len(listed.frame) == 5_000
    assert "5,000 of 5,001 rows are here; plan.left_out" in listed.intro
    assert section(report, "Left out, and why").cells(9)[0][2] == "5,001"
    assert "5,001 calls left out" in report.verdict


def test_what_a_reviewer_wrote_stands_with_its_call(make_facts: Make) -> None:
    review = {
        "kept": 2,
        "rejected": 2,
        "not_approved": 0,
        "notes": {"call-1": "checked <b>twice</b>, 020 7946 0123"},
    }
    left = pd.DataFrame(
        {"call_id": ["a", "b"], "call_uuid": None, "field": "status", "explanation": None,
         "reason": ["rejected in review: ask Zoë", "rejected in review: no"]}, dtype="str",
    )  # fmt: skip
    report = report_of(make_facts([{}, {}], left_out=left, plan={"selection": {"review": review}}))
    assert report.summary()["left_out"] == {"rejected in review": 2}
    assert section(report, "Left out, and why").cells(9) == [["rejected in review", "status", "2", "a"]]
    assert "ask Zoë" in report.to_markdown()
    assert report.document.about["asked: review"] == "kept = 2; rejected = 2; not_approved = 0"
    assert section(report, "The changes").evidence["note"].isna().tolist() == [True, False]
    assert "checked &lt;b&gt;twice&lt;/b&gt;, 02• •••• ••23" in report.html()


@pytest.mark.parametrize("kind", ["reconciliation", "corrections", "revert"])
def test_changes_of_which_nothing_more_is_known_are_told_in_every_view(make_facts: Make, kind: str) -> None:
    names = ["call_uuid", "explanation", "match_rule", "source_file", "source_row", "started_at", "direction",
             "from_number", "to_number", "sip_username", "reason", "before", "before_s", "delta_s"]  # fmt: skip
    bare = dict.fromkeys(names) | {"started_at": pd.NaT, "field": "status", "after": "completed"}
    report = report_of(make_facts([bare, bare], plan={"kind": kind, "n_compared": None, "period": None}))
    part = section(report, "The changes")
    assert part.evidence is None
    for text in (report.html(), report.to_markdown(), report.to_json(), report._repr_html_()):
        assert "2 calls would be" in text
    assert "Applying it takes" in report.verdict


def disputed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    names = ["kind", "call_id", "cdr_id", "field", "value_call", "value_cdr", "explanation", "seconds", "direction",
             "from_number", "to_number", "sip_username", "match_rule", "source_file"]  # fmt: skip
    frame = pd.DataFrame([{name: row.get(name) for name in names} for row in rows], columns=names)
    return frame.assign(
        seconds=frame["seconds"].astype("Float64"),
        started_at=pd.to_datetime(pd.Series(["2026-10-05T10:00:00Z"] * len(rows)), utc=True),
        source_row=pd.Series([7] * len(rows), dtype="Int64"),
    )


def test_what_no_correction_settles_is_listed_and_counted(make_facts: Make) -> None:
    counts = pd.DataFrame(
        {"what": ["from_number differs", "answered in the CDR, but there is no Call record",
                  "not answered in the CDR, and there is no Call record"],
         "explanation": ["unexplained", None, None], "n_calls": [2, 7, 3], "seconds": [None, 80.0, 0.0], "examples": "x"}
    ).astype({"seconds": "Float64", "n_calls": "Int64"})  # fmt: skip
    rows = disputed(
        [
            {"kind": "unbilled", "cdr_id": "lone", "seconds": 50.0, "source_file": "x.csv", "from_number": "+442079460123"},
            {"kind": "wrong", "call_id": "a", "field": "from_number", "value_call": "+442079460123", "seconds": 9.0,
             "value_cdr": "+442079460124", "source_file": "x.csv"},
        ]
    )  # fmt: skip
    report = report_of(make_facts([{}], not_patchable=counts, disputes=rows))
    lone, wrong = (
        section(report, t) for t in ("Talked, but billed nowhere", "Not correctable, call by call")
    )
    assert lone.intro.startswith("7 calls of the CDR, 1 min 20 s of talk")
    assert "The first 1 of 7 calls are here; plan.disputes" in lone.intro
    assert lone.frame["source"].tolist() == ["x.csv:7"]
    assert wrong.intro.startswith("2 values of Call records")
    for text in (report.html(), report.to_markdown(), report.to_json()):
        assert "2079460123" not in text
        assert "2079460124" not in text
    assert "+442079460124" in report.html(mask=False)
    summary = report.summary()
    assert (summary["unbilled_calls"], summary["unbilled_s"]) == (7, 80.0)
    assert summary["not_patchable"] == {"from_number differs": 2}


def test_a_plan_without_disputes_of_its_own_still_counts_them(make_facts: Make) -> None:
    counts = pd.DataFrame(
        {"what": ["started_at differs"], "explanation": [None], "n_calls": [2], "seconds": [None], "examples": "x"}
    )  # fmt: skip
    titles = [part.title for part in report_of(make_facts([{}], not_patchable=counts)).document.sections]
    assert "Wrong, but not correctable here" in titles
    assert "Not correctable, call by call" not in titles


def test_a_phone_number_in_a_text_is_masked_too(make_facts: Make) -> None:
    approvals = pd.DataFrame(
        {"by": ["ana"], "at": ["2026-11-02T09:00:00+00:00"], "note": ["call +44 20 7946 0123, ticket 4711"],
         "plan_id": ["ab" * 32]}, dtype="str",
    )  # fmt: skip
    facts = make_facts(
        [{}], approvals=approvals, rules={"internal_numbers": ["+442079460500", "1001"]},
        plan={"selection": {"where": "from_number == '+442079460123'"}},
    )  # fmt: skip
    report = report_of(facts)
    for text in (report.html(), report.to_markdown(), report.to_json(), report._repr_html_()):
        assert "2079460" not in text
        assert "7946 0123" not in text
    assert "ticket 4711" in report.html()
    assert "ab" * 32 in report.html()
    for text in (report.html(mask=False), report.to_markdown(mask=False), report.to_json(mask=False)):
        assert "+442079460500" in text
        assert "from\\_number == '+442079460123'" in text or "+442079460123" in text


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
        # In HTML no line end parts a duration, and in a card the first sentence stands out.
        bare = re.sub(r"</strong></p><p[^>]*>", " ", text).replace("\N{NO-BREAK SPACE}", " ")
        assert report.verdict in bare


def test_one_call_is_not_spoken_of_as_several_and_approvals_are_named(make_facts: Make) -> None:
    approved = pd.DataFrame(
        {"by": ["ana", "ben"], "at": "2026-11-02T09:00:00+00:00", "note": "", "plan_id": "ab"}
    )
    report = report_of(make_facts([{"delta_s": -3590.0}], plan={"kind": "revert"}, approvals=approved))
    assert report.verdict == (
        "1 call of 1,000 compared would be put back to what it was, with 1 change. Its duration falls by 59 min 50 s. "
        "Applying it takes about 1 s at 5/s. Nothing has been sent. Approved by ana and ben."
    )
    given = section(report, "Approvals").cells(9)
    assert given[0][:2] == ["ana", "2026-11-02 09:00:00 UTC"], "instants look alike in all documents"
    assert "falls by 59\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}50\N{NO-BREAK SPACE}s." in report.html()
    assert section(report, "What is put back").charts[0].title == "Calls by field"


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
