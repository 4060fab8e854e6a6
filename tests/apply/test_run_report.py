"""The documents of a run and of its proof: in words, complete in their counts, readable value by value."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog, Outcome
from sippet_reconcile.demo import sample_run
from sippet_reconcile.errors import InputError
from sippet_reconcile.report import MAX_HTML_ROWS
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import RUN_APPROVALS, RUN_RECORDS, RUN_SESSIONS, Run, load_run
from sippet_reconcile.run.report import OUTCOME_WORDS, field_rows
from sippet_reconcile.schema import conform
from sippet_reconcile.verify import VERIFICATION, Verification, verify_run

EVIL = "<b>&\"x'</b>"
AT = pd.Timestamp("2026-11-02T09:00:00Z").as_unit("us")
HEAD = "ab" * 32


def typed(schema, rows):
    columns = {
        column.name: pd.Series([row.get(column.name) for row in rows], dtype=column.kind.value)
        for column in schema.columns
    }
    return conform(pd.DataFrame(columns), schema)


def record(n=0, outcome="applied", before=None, after=None, observed=None, **columns):
    """Return one call's last state; values as dictionaries."""
    told = {"before": before or {"duration_seconds": 30}, "after": after or {"duration_seconds": 60}}
    told |= {"observed": observed} if observed else {}
    return {
        "call_id": f"call-{n}",
        "outcome": outcome,
        "at": AT,
        "n_attempts": 1,
        "explanation": "ring-time-included",
        "reason": "ticket 4711",
        "source_file": "oct.csv",
        "source_row": n + 2,
        **{name: json.dumps(values) for name, values in told.items()},
        **columns,
    }


def make_run(tmp_path, rows, **changed):
    approvals = [{"by": "ana", "at": AT, "note": EVIL}]
    sessions = [
        {"started_at": AT, "ended_at": AT, "started_by": "ana@desk", "rate": "5/s", "ended": "complete"}
    ]
    run = Run(
        run_id="run-1",
        plan_id="plan-1",
        api_url="https://api.example",
        audit=AuditLog(tmp_path / "audit"),
        started_at=AT,
        last_at=AT,
        n_sessions=1,
        ended="complete",
        stopped=None,
        head=HEAD,
        reverts_run_id=None,
        started_by=("ana@desk",),
        reverted_by=(),
        _records=typed(RUN_RECORDS, rows),
        _approvals=typed(RUN_APPROVALS, approvals),
        _sessions=typed(RUN_SESSIONS, sessions),
    )
    return replace(run, **changed)


def section(document, title):
    (part,) = [part for part in document.sections if part.title == title]
    return part


def titles(document):
    return [part.title for part in document.sections]


def test_every_outcome_is_said_in_words(tmp_path):
    assert set(OUTCOME_WORDS) == set(Outcome)
    rows = [record(n, outcome.value) for n, outcome in enumerate(Outcome)]
    document = make_run(tmp_path, rows).report()
    part = section(document, "What came of the calls")
    assert part.frame["n_calls"].tolist() == [1] * len(Outcome)
    assert [bar.value for bar in part.charts[0].bars] == [1.0] * len(Outcome)
    assert document.verdict.startswith("2 of 9 calls hold what the plan says; 1 drifted, 1 rejected")


def test_what_was_not_corrected_comes_ahead_of_every_call_with_its_reason(tmp_path):
    rows = [
        record(0),
        record(
            1, "drifted", observed={"duration_seconds": 45}, error_code="drifted", error_detail="it is 45"
        ),
        record(2, "rejected", http_status=422, error_code="invalid"),
        record(3, "rejected", http_status=422, error_code="invalid"),
        record(4, "pending", at=None),
    ]
    document = make_run(tmp_path, rows).report()
    wanted = ["Not corrected, and why", "Calls that were not corrected", "Every call"]
    assert [title for title in titles(document) if title in wanted] == wanted
    reasons = section(document, "Not corrected, and why").frame
    assert reasons[["outcome", "n_calls", "example"]].to_numpy().tolist() == [
        ["rejected", 2, "call-2"],
        ["drifted", 1, "call-1"],
        ["pending", 1, "call-4"],
    ]
    left = section(document, "Calls that were not corrected").frame
    assert left["call_id"].tolist() == ["call-1", "call-2", "call-3"], (
        "what nobody tried is in the list of all"
    )
    assert left["observed"].iloc[0] == "45"
    assert len(section(document, "Every call").frame) == 5


def test_what_was_said_of_the_example_was_said_of_that_call(tmp_path):
    silent = record(0, "rejected", http_status=422, error_code="invalid")
    told = record(1, "rejected", http_status=422, error_code="invalid", error_detail="ended before it began")
    reasons = section(make_run(tmp_path, [silent, told]).report(), "Not corrected, and why").frame
    assert reasons[["n_calls", "example", "error_detail"]].to_numpy().tolist() == [
        [2, "call-1", "ended before it began"]
    ]


def test_values_stand_one_per_row_as_people_read_them(tmp_path):
    sent = {"duration_seconds": 60, "ended_at": "2026-10-01T08:01:00Z"}
    held = {"duration_seconds": 30, "ended_at": None}
    reread = {"started_at": "2026-10-01T08:00:00Z", "status": "completed"}
    found = {**sent, **reread, "status": "failed"}
    row = record(0, "altered", before=held, after=sent, observed=found, reread=json.dumps(reread))
    frame = section(make_run(tmp_path, [row]).report(), "Every call").frame
    assert frame[["field", "before", "after", "observed"]].astype("object").where(frame.notna(), None)[
        ["field", "before", "after", "observed"]
    ].to_numpy().tolist() == [
        ["duration_seconds", "30", "60", "60"],
        ["ended_at", None, "2026-10-01T08:01:00Z", "2026-10-01T08:01:00Z"],
        ["status", "completed", "(not sent)", "failed"],
    ]


def test_the_evidence_of_a_call_stands_behind_it(tmp_path):
    proof = section(
        make_run(tmp_path, [record(0), record(1, source_file=None, source_row=None)]).report(), "Every call"
    ).evidence
    assert proof["source"].isna().tolist() == [False, True]
    assert proof.loc[0, ["source", "explanation", "reason"]].tolist() == [
        "oct.csv:2",
        "ring-time-included",
        "ticket 4711",
    ]


def test_a_large_run_shows_whole_calls_and_says_where_the_others_are(tmp_path):
    sent = {"duration_seconds": 60, "ended_at": "2026-10-01T08:01:00Z", "status": "completed"}
    rows = [record(n, before=dict.fromkeys(sent), after=sent) for n in range(MAX_HTML_ROWS)]
    run = make_run(tmp_path, rows)
    part = section(run.report(), "Every call")
    assert len(part.frame) == MAX_HTML_ROWS - MAX_HTML_ROWS % 3
    assert "The first 1,666 of 5,000 calls are here" in part.intro
    assert run.report().facts["applied"] == 5000
    calls, values = field_rows(run.records, 2)
    assert (len(calls), len(values)) == (1, 3), "the first call is never cut"


def test_the_head_is_asked_to_be_kept_elsewhere(tmp_path):
    part = section(make_run(tmp_path, [record()]).report(), "Keep this head elsewhere")
    assert part.frame["value"].tolist()[0] == HEAD
    assert "elsewhere" in part.intro
    assert f"--head {HEAD}" in part.frame["value"].tolist()[2]


def test_approvals_and_sessions_are_told_as_the_log_has_them(lab):
    plan = lab.plan(3).approve(by="ben", note="seen")
    apply_plan(plan, lab.client, lab.audit, rate=lab.fast, limit=2, progress=False)
    run = apply_plan(plan, lab.client, lab.audit, rate=lab.fast, progress=False)
    document = run.report()
    assert section(document, "Approvals").frame[["by", "note"]].to_numpy().tolist() == [
        ["ana", "October"],
        ["ben", "seen"],
    ]
    assert plan.plan_id in section(document, "Approvals").intro
    sessions = section(document, "Sessions").frame
    assert sessions["ended"].tolist() == ["limit", "complete"]
    assert sessions["limit"].tolist()[0] == 2
    assert run.sessions["ended_at"].ge(run.sessions["started_at"]).all()
    assert {name: str(kind) for name, kind in run.sessions.dtypes.items()} == RUN_SESSIONS.dtypes


def test_a_run_that_was_undone_says_by_which_and_so_does_its_proof(lab):
    run = apply_plan(lab.plan(2), lab.client, lab.audit, rate=lab.fast, progress=False)
    assert run.reverted_by == ()
    back = apply_plan(revert_run(run).approve(by="ben"), lab.client, lab.audit, rate=lab.fast, progress=False)
    again = load_run(lab.audit, run.run_id)
    told = f"ndone since by run {back.run_id}"
    assert told in repr(again)
    assert told in again.report().verdict
    assert "2 calls of the plan held what it says" in again.report().verdict
    assert again.report().tone == "warn"
    assert f"undoes run {run.run_id}" in back.report().subtitle
    proof = verify_run(again, lab.client)
    assert told in proof.report().verdict
    assert told in section(proof.report(), "What does not hold").intro


def test_a_run_whose_id_is_made_of_digits_alone_is_found_by_it_in_every_view(tmp_path):
    run_id, undo_id = "20261102T090000Z-12345678", "20261103T090000Z-87654321"
    run = make_run(tmp_path, [record()], run_id=run_id, reverted_by=(undo_id,))
    for told in (
        run.to_markdown(),
        run.to_json(),
        run.report().html(),
        run.to_html(tmp_path / "run.html").read_text("utf-8"),
    ):
        assert run_id in told
        assert undo_id in told


def test_a_run_without_calls_is_a_document_too(tmp_path):
    run = make_run(tmp_path, [], _approvals=typed(RUN_APPROVALS, []), _sessions=typed(RUN_SESSIONS, []))
    document = run.report()
    assert document.verdict == "The plan has no calls, so nothing was sent."
    assert document.tone == "ok"
    assert titles(document) == ["Keep this head elsewhere"]
    assert "nothing was sent" in run.to_html(tmp_path / "run.html").read_text(encoding="utf-8")


def test_a_run_that_died_or_stopped_is_not_called_done(tmp_path):
    died = make_run(tmp_path, [record(0, "unknown")], ended=None).report()
    assert "It is not over" in died.verdict
    assert died.tone == "stop"
    running = make_run(tmp_path, [record(0)], ended=None).report()
    assert running.tone == "warn"
    stopped = make_run(
        tmp_path, [record(0), record(1, "pending")], ended="auth", stopped="the token was refused"
    ).report()
    assert stopped.verdict.startswith("Stopped: the token was refused.")
    assert stopped.tone == "stop"


def test_values_of_a_run_are_escaped_in_every_view(tmp_path):
    rows = [
        record(
            0,
            "drifted",
            after={"call_source": EVIL},
            observed={"call_source": EVIL},
            error_detail=EVIL,
            reason=EVIL,
        )
    ]
    run = make_run(tmp_path, rows)
    for page in (run.report().html(), run._repr_html_()):
        assert "<b>" not in page
        assert "&lt;b&gt;" in page
    assert "<b>" not in run.to_markdown()
    assert json.loads(run.to_json())["summary"]["n_calls"] == 1


def make_proof(tmp_path, rows, **changed):
    proof = Verification(
        run_id="run-1",
        plan_id="plan-1",
        api_url="https://api.example",
        head=HEAD,
        verified_at=AT,
        n_unsettled=0,
        ended="complete",
        started_by=("ana@desk",),
        audit_path=tmp_path / "audit",
        sent_from=AT,
        sent_until=AT,
        reverted_by=(),
        _frame=typed(VERIFICATION, rows),
        _approvals=typed(RUN_APPROVALS, [{"by": "ana", "at": AT, "note": EVIL}]),
    )
    return replace(proof, **changed)


def value(n, name="duration_seconds", verdict="holds", expected="60", observed="60", *, undone_by=None):
    return {
        "call_id": f"call-{n}", "outcome": "applied", "field": name, "expected": expected, "observed": observed,
        "verdict": verdict, "undone_by": undone_by,
    }  # fmt: skip


def test_what_does_not_hold_stands_first_and_each_call_together(tmp_path):
    rows = [
        value(0),
        value(1),
        value(1, "ended_at", "differs", "2026-10-01T08:01:00Z", None),
        value(2),
        value(3, verdict="missing", observed=None),
    ]
    document = make_proof(tmp_path, rows).report()
    assert titles(document)[0] == "What does not hold"
    wrong = section(document, "What does not hold").frame
    assert wrong["call_id"].tolist() == ["call-1", "call-3"]
    assert wrong["verdict"].tolist() == ["differs", "missing"], "no value, and no call, are told apart"
    assert "dash is no value" in section(document, "What does not hold").intro
    assert "undone_by" not in wrong
    every = section(document, "Every value that was sent")
    assert every.frame["call_id"].tolist() == ["call-1", "call-1", "call-3", "call-0", "call-2"]
    assert every.group_by == "call_id"
    counts = section(document, "By field").frame.set_index("field")
    assert counts.loc["duration_seconds", ["n_values", "holds", "differs", "missing"]].tolist() == [
        4,
        3,
        0,
        1,
    ]
    assert document.tone == "stop"


def test_what_was_undone_on_purpose_is_told_apart_from_what_somebody_changed(tmp_path):
    undone = value(0, verdict="differs", observed="30", undone_by="run-2")
    changed = value(1, verdict="differs", observed="45")
    proof = make_proof(tmp_path, [undone, value(2)], reverted_by=("run-2",))
    assert (proof.ok, proof.report().tone) == (False, "warn"), "it does not hold, and nobody need be alarmed"
    assert proof.verdict == (
        "NOT OK, 2 values sent to 2 calls: 1 holds, 1 differs; all that differs was undone since by run run-2."
    )
    both = make_proof(tmp_path, [undone, changed, value(2)], reverted_by=("run-2",))
    assert both.report().tone == "stop"
    assert both.verdict.endswith("2 differ; 1 undone since by run run-2, the other 1 was not.")
    assert section(both.report(), "What does not hold").frame["undone_by"].fillna("nobody").tolist() == [
        "run-2",
        "nobody",
    ]
    assert section(both.report(), "By field").frame["undone"].tolist() == [1]
    assert both.summary()["n_undone"] == 1
    stranger = make_proof(tmp_path, [changed], reverted_by=("run-2",))
    assert stranger.verdict.endswith("but none of this is what that run put back.")


def test_the_proof_names_who_sent_what_and_when(tmp_path):
    part = section(make_proof(tmp_path, [value(0)]).report(), "Who, when and what")
    for told in ("plan-1", "run-1", "ana@desk", "2026-11-02 09:00:00 UTC", "1 value of 1 call"):
        assert told in part.intro
    assert part.frame["by"].tolist() == ["ana"]


@pytest.mark.parametrize("rows", [[], [value(0)]], ids=["nothing was sent", "one value"])
def test_a_proof_of_little_is_a_document_too(tmp_path, rows):
    proof = make_proof(tmp_path, rows)
    page = proof.to_html(tmp_path / "proof.html").read_text(encoding="utf-8")
    assert "OK, " in page
    assert "<b>&" not in page
    assert proof.report().tone == "ok"
    assert json.loads(proof.to_json())["summary"]["n_fields"] == len(rows)
    assert HEAD in proof._repr_html_()


@pytest.fixture
def card():
    """Return a card on which a second costs a penny."""
    rate = {"prefix": ["44"], "rate_per_minute": ["0.60"], "initial_s": [1], "increment_s": [1], "connect_fee": ["0"],
            "currency": ["GBP"], "valid_from": [None], "valid_to": [None]}  # fmt: skip
    return sr.RateCard.from_frame(pd.DataFrame(rate), "rates.csv")


def test_a_run_tells_what_was_corrected_so_far_in_every_view(tmp_path, card):
    with sample_run() as (run, _):
        frame = sr.billing_impact(run, card, by=())
        document = run.report(card)
        delta = frame["cost_delta"].tolist()
        assert document.summary["money"]["by_currency"]["GBP"]["cost_delta"] == delta[0]
        assert titles(document)[titles(document).index("What came of the calls") + 1] == "What it is worth"
        assert "So far, invoices " in document.verdict
        page = run.to_html(tmp_path / "run.html", rate_card=card).read_text("utf-8")
        for view in (page, run.to_markdown(rate_card=card), run.to_json(rate_card=card)):
            assert "So far, invoices " in view
            assert "rates.csv" in view
        money = json.loads(run.to_json(rate_card=card))["summary"]["money"]
        assert Decimal(money["by_currency"]["GBP"]["cost_delta"]) == delta[0]
        assert "money" not in run.report().summary
        assert "So far" not in run.to_markdown()


def test_what_comes_next_is_the_last_that_a_run_says(card):
    with sample_run() as (run, _):
        told = run.report(card).verdict
    assert 0 < told.index("So far, invoices ") < told.index("Next: ")


def test_a_run_from_its_log_needs_its_plan_to_tell_of_money(card):
    with sample_run() as (run, _):
        loaded = sr.load_run(run.audit, run.run_id)
        with pytest.raises(InputError, match="pass its plan"):
            loaded.report(card)
        with_plan = loaded.report(card, run.plan).summary["money"]
        assert with_plan == run.report(card).summary["money"]
        with pytest.raises(InputError, match=r"RateCard\.from_csv"):
            run.to_html("never.html", rate_card="rates.csv")
