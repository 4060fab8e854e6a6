"""Which discrepancies become changes, and why the others do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError, PlanGuardError, ReconcileError
from sippet_reconcile.plan import build_plan
from sippet_reconcile.plan.evidence import disputes_of, not_patchable_of
from sippet_reconcile.plan.frames import DISPUTES
from sippet_reconcile.plan.whole_record import TALK_WITHOUT_ANSWER, TOO_LONG
from sippet_reconcile.reconciliation import Findings, Rules
from sippet_reconcile.reconciliation.comparing.doubts import END_DOUBTS
from sippet_reconcile.schema import CHANGES, check_frame

Make = Callable[..., Any]
Ids = Callable[[int], str]

RING = {
    "call": {"duration_seconds": 120},
    "wrong": {"duration_seconds": ("120", "110", "ring-time-included")},
}
OPEN = {
    "call": {"status": "answered", "ended_at": None, "duration_seconds": None},
    "wrong": {
        "status": ("answered", "completed", "never-ended"),
        "duration_seconds": (None, "110", "never-ended"),
        "ended_at": (None, "2026-10-05T10:02:00Z", "never-ended"),
    },
}


def reasons(plan: Any) -> dict[tuple[str, str], str]:
    left = plan.left_out
    return {(c, f): r for c, f, r in zip(left["call_id"], left["field"], left["reason"], strict=True)}


def test_a_discrepancy_becomes_a_change_with_its_evidence(make_rec: Make, ids: Ids) -> None:
    plan = build_plan(make_rec([RING]))
    check_frame(plan.changes, CHANGES)
    change = plan.changes.iloc[0]
    assert change[["call_id", "field", "before", "after"]].tolist() == [
        ids(1),
        "duration_seconds",
        "120",
        "110",
    ]
    assert change[["before_s", "after_s", "delta_s"]].tolist() == [120, 110, -10]
    assert change[["explanation", "match_rule", "source_file", "source_row"]].tolist() == [
        "ring-time-included", "call_uuid", "october.csv", 2,
    ]  # fmt: skip
    assert len(change["reason"]) > 20
    call = plan.calls.iloc[0]
    assert call[["duration_seconds", "billable_s_cdr", "n_legs_cdr"]].tolist() == [120, 110, 1]
    assert call["sources"] == "october.csv:2"


def test_a_missing_duration_counts_as_no_seconds(make_rec: Make) -> None:
    changes = build_plan(make_rec([OPEN])).changes.set_index("field")
    assert pd.isna(changes.loc["duration_seconds", "before_s"])
    assert changes.loc["duration_seconds", "delta_s"] == 110
    assert changes.loc[["status", "ended_at"], "delta_s"].isna().all()


def test_a_stop_finding_refuses_and_says_how_to_accept(make_rec: Make, make_finding: Make) -> None:
    rec = make_rec([RING], findings=make_finding("duration-basis"))
    with pytest.raises(
        PlanGuardError, match=r"(?s)duration-basis: The data has.*accept=\[\"duration-basis\"\]"
    ):
        build_plan(rec)
    plan = build_plan(rec, accept=["duration-basis"])
    assert plan.accept == ("duration-basis",)
    assert len(plan.changes) == 1


def test_a_warning_does_not_refuse(make_rec: Make, make_finding: Make) -> None:
    plan = build_plan(make_rec([RING], findings=make_finding("missing-hours", "warn")))
    assert plan.findings["code"].tolist() == ["missing-hours"]


def test_an_unknown_code_to_accept_is_an_error(make_rec: Make) -> None:
    with pytest.raises(InputError, match="timezone-shift"):
        build_plan(make_rec([RING]), accept=["timezone-shfit"])


@pytest.mark.parametrize(
    ("code", "evidence", "is_planned"),
    [
        ("timezone-shift", {}, False),
        ("clock-offset", {"is_drifting": [True]}, False),
        ("clock-offset", {"is_drifting": [False]}, True),
    ],
)
def test_shifted_instants_are_never_planned_even_if_accepted(
    make_rec: Make, make_finding: Make, code: str, evidence: Any, is_planned: bool
) -> None:
    plan = build_plan(make_rec([OPEN], findings=make_finding(code, **evidence)), accept=[code])
    assert plan.changes["field"].eq("ended_at").any() == is_planned
    assert plan.changes["field"].eq("status").any()


def test_where_chooses_whole_calls(make_rec: Make, ids: Ids) -> None:
    rec = make_rec([OPEN, RING])
    for where in ("field == 'status'", lambda found: found["field"].eq("status")):
        plan = build_plan(rec, where=where)
        assert plan.changes["call_id"].tolist() == [ids(1)] * 3
        assert "where" in reasons(plan)[ids(2), "duration_seconds"]


def test_where_treats_a_missing_answer_as_no(make_rec: Make, ids: Ids) -> None:
    plan = build_plan(make_rec([OPEN, RING]), where=lambda found: found["delta_s"] < 0)
    assert plan.changes["call_id"].tolist() == [ids(2)]


@pytest.mark.parametrize(
    "where",
    [
        "nonsense > 1",
        "field ==",
        "delta_s",
        lambda found: [True] * (len(found) + 1),
        lambda found: found["field"],
        7,
    ],
)
def test_a_where_that_marks_no_rows_is_an_error(make_rec: Make, where: Any) -> None:
    with pytest.raises(InputError, match="where"):
        build_plan(make_rec([OPEN, RING]), where=where)


def test_only_the_asked_fields_are_planned_and_the_others_are_named(make_rec: Make, ids: Ids) -> None:
    plan = build_plan(make_rec([OPEN]), fields=["status"])
    assert plan.changes["field"].tolist() == ["status"]
    assert set(reasons(plan)) == {(ids(1), "duration_seconds"), (ids(1), "ended_at")}


@pytest.mark.parametrize("fields", [[], ["started_at"], "direction"])
def test_other_fields_cannot_be_asked_for(make_rec: Make, fields: Any) -> None:
    with pytest.raises(InputError, match="call_source"):
        build_plan(make_rec([RING]), fields=fields)


def test_the_call_is_judged_as_it_would_stand_without_the_fields_left_away(make_rec: Make, ids: Ids) -> None:
    crashed = {
        "call": {"ended_at": "2026-10-05T10:00:30Z", "duration_seconds": 20},
        "wrong": {
            "duration_seconds": ("20", "110", "cut-by-crash"),
            "ended_at": ("2026-10-05T10:00:30Z", "2026-10-05T10:02:00Z", "cut-by-crash"),
        },
    }
    assert len(build_plan(make_rec([crashed])).changes) == 2
    plan = build_plan(make_rec([crashed]), fields="duration_seconds")
    assert plan.changes.empty
    assert reasons(plan)[ids(1), "duration_seconds"] == TOO_LONG


def test_an_unanswered_call_gets_no_billable_seconds(make_rec: Make, ids: Ids) -> None:
    odd = {
        "call": {"duration_seconds": 45},
        "cdr": {"is_answered": False, "status": "no_answer", "billable_s": 0.0},
        "wrong": {
            "status": ("completed", "no_answer", "unanswered-shown-answered"),
            "duration_seconds": ("45", "0", "ringing-billed"),
        },
    }
    assert len(build_plan(make_rec([odd])).changes) == 2
    assert reasons(build_plan(make_rec([odd]), fields="status"))[ids(1), "status"] == TALK_WITHOUT_ANSWER


def test_a_call_without_a_start_gets_a_status_only(make_rec: Make, ids: Ids) -> None:
    row = {**OPEN, "call": {**OPEN["call"], "started_at": None}}
    plan = build_plan(make_rec([row]))
    assert plan.changes["field"].tolist() == ["status"]
    assert "no start" in reasons(plan)[ids(1), "ended_at"]


def test_what_comparing_has_a_reason_against_is_left_out_for_that_reason(make_rec: Make, ids: Ids) -> None:
    plan = build_plan(make_rec([{**OPEN, "why_not": {"ended_at": END_DOUBTS[0]}}]))
    assert "ended_at" not in plan.changes["field"].tolist()
    assert reasons(plan)[ids(1), "ended_at"] == END_DOUBTS[0]


def test_where_clocks_differ_no_end_is_planned_for_a_call_whose_start_is_off_as_well(
    make_rec: Make, make_finding: Callable[..., Findings], ids: Ids
) -> None:
    other_clock = {**OPEN, "cdr": {"started_at": "2026-10-05T10:00:07Z"}}
    findings = make_finding("clock-offset", is_drifting=[False])
    plan = build_plan(make_rec([other_clock, OPEN], findings=findings), accept=["clock-offset"])
    ends = plan.changes.loc[plan.changes["field"].eq("ended_at"), "call_id"]
    assert ends.tolist() == [ids(2)]
    assert "the clocks differ" in reasons(plan)[ids(1), "ended_at"]
    same = build_plan(make_rec([other_clock, OPEN]))
    assert len(same.changes) == len(plan.changes) + 1, "without the finding the end is planned"


VOICEMAIL = {"cdr": {"status": "voicemail"}, "wrong": {"status": ("completed", "voice-mail", "other")}}


@pytest.mark.parametrize(
    "options",
    [
        {"rec": {"known_statuses": ("completed", "voice-mail")}},
        {"rec": {"rules": Rules(duration="billable", status_map={"voicemail": ["voice-mail"]})}},
        {"plan": {"statuses": ["voice-mail"]}},
    ],
)
def test_a_status_is_written_only_if_the_api_is_known_to_have_it(
    make_rec: Make, ids: Ids, options: Any
) -> None:
    refused = build_plan(make_rec([VOICEMAIL]))
    assert refused.changes.empty
    assert "statuses=" in reasons(refused)[ids(1), "status"]
    plan = build_plan(make_rec([VOICEMAIL], **options.get("rec", {})), **options.get("plan", {}))
    assert plan.changes["after"].tolist() == ["voice-mail"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration_seconds", "2147483648"),
        ("status", ""),
        ("status", None),
        ("ended_at", "2026-13-01T00:00:00Z"),
    ],
)
def test_a_value_that_the_api_would_not_take_is_left_out(make_rec: Make, name: str, value: Any) -> None:
    rec = make_rec([RING])
    rec.discrepancies = rec.discrepancies.assign(field=name, value_cdr=pd.Series([value], dtype="str"))
    plan = build_plan(rec)
    assert plan.changes.empty
    assert plan.left_out["reason"].notna().all()


def test_guards_say_the_figures_and_what_to_pass(make_rec: Make) -> None:
    rec = make_rec([RING] * 60, n_compared=100)
    with pytest.raises(PlanGuardError, match=r"60 of 100 compared calls \(60.0%\).*max_share=0.6\b"):
        build_plan(rec)
    assert len(build_plan(rec, max_share=0.6)) == 60
    assert len(build_plan(make_rec([RING] * 50, n_compared=50))) == 50  # small plans pass
    with pytest.raises(PlanGuardError, match="max_calls=60"):
        build_plan(rec, max_share=1, max_calls=59)
    for wrong in ({"max_share": 2}, {"max_calls": -1}, {"max_calls": True}):
        with pytest.raises(InputError, match="allowed"):
            build_plan(rec, **wrong)


def test_the_guards_count_what_is_planned_not_what_was_found(make_rec: Make) -> None:
    rec = make_rec([RING] * 60, n_compared=60)
    assert len(build_plan(rec, where=f"source_row <= {2}")) == 1


def test_an_empty_plan_is_a_plan(make_rec: Make) -> None:
    plan = build_plan(make_rec([{}]))
    assert len(plan) == 0
    assert dict(plan.changes.dtypes.astype("str")) == CHANGES.dtypes
    assert list(plan.requests()) == []
    assert plan.fingerprint() == plan.plan_id


def test_a_plan_for_another_api_is_refused(make_rec: Make) -> None:
    with pytest.raises(InputError, match="fetched from"):
        build_plan(make_rec([RING]), api_url="https://staging.example.com")
    assert (
        build_plan(make_rec([RING]), api_url="https://API.example.com/").api_url == "https://api.example.com"
    )
    assert (
        build_plan(make_rec([RING], api_url=None), api_url="https://x.example").api_url == "https://x.example"
    )


def test_a_ledger_that_does_not_add_up_to_the_reconciliations_is_a_defect_and_no_plan(make_rec: Make) -> None:
    rec = make_rec([RING])
    plain = rec.ledger()
    for name, more in (("n_calls", 1), ("before_s", 60.0)):
        short = plain.assign(**{name: plain[name].mask(plain["explanation"].eq("wrong"), plain[name] + more)})
        rec.ledger = lambda short=short: short
        with pytest.raises(
            ReconcileError, match="does not add up to that of the reconciliation: this is a defect"
        ):
            build_plan(rec)


def test_the_ledger_ties_out(make_rec: Make) -> None:
    plan = build_plan(make_rec([RING, RING, OPEN]), where="explanation == 'never-ended' or source_row == 2")
    ledger = plan.ledger
    assert ledger.groupby("field")["n_calls"].sum().to_dict() == {
        "duration_seconds": 1000,
        "status": 1000,
        "ended_at": 1000,
    }
    lines = ledger.loc[ledger["field"].eq("duration_seconds")].set_index(["explanation", "is_corrected"])
    assert lines.loc[
        ("ring-time-included", True), ["n_calls", "before_s", "change_s", "after_s"]
    ].tolist() == [1, 120, -10, 110]
    assert lines.loc[
        ("ring-time-included", False), ["n_calls", "before_s", "change_s", "after_s"]
    ].tolist() == [1, 120, 0, 120]
    assert lines.loc[("never-ended", True), ["before_s", "after_s"]].tolist() == [0, 110]
    assert (lines["before_s"] + lines["change_s"] == lines["after_s"]).all()
    assert lines["change_s"].sum() == plan.changes["delta_s"].sum() == 100


def test_what_cannot_be_corrected_is_counted(make_rec: Make, ids: Ids) -> None:
    late = {"wrong": {"started_at": ("2026-10-05T10:00:00Z", "2026-10-05T10:05:00Z", "start-at-answer")}}
    rec = make_rec([late, late, RING])
    rec.only_in_cdr = rec.cdr_calls.assign(is_answered=[True, False, True], billable_s=[30.0, 0.0, 45.0])
    rows = build_plan(rec).not_patchable.set_index("what")
    assert rows.loc["started_at differs", "n_calls"] == 2
    assert ids(1) in rows.loc["started_at differs", "examples"]
    unbilled = rows.loc["answered in the CDR, but there is no Call record"]
    assert unbilled[["n_calls", "seconds"]].tolist() == [2, 75]
    assert unbilled["examples"] == "october.csv:4; october.csv:2"


def test_what_cannot_be_corrected_is_kept_row_by_row(make_rec: Make, ids: Ids) -> None:
    late = {
        "wrong": {
            "started_at": ("2026-10-05T10:00:00Z", "2026-10-05T10:05:00Z", "start-at-answer"),
            "from_number": ("+442079460123", "+442079460124", "other-number"),
        },
        "cdr": {"billable_s": 40.0},
    }
    rec = make_rec([late, RING])
    rec.only_in_cdr = rec.cdr_calls.assign(
        cdr_id=["lone-1", "lone-2"], is_answered=[True, False], billable_s=[90.0, 95.0]
    )
    disputes = build_plan(rec).disputes
    told = disputes[["kind", "call_id", "cdr_id", "field", "value_cdr", "seconds", "source_row"]]
    assert told.astype(object).where(told.notna(), None).to_numpy().tolist() == [
        ["unbilled", None, "lone-1", None, None, 90.0, 2],
        ["wrong", ids(1), "cdr-1", "from_number", "+442079460124", 40.0, 2],
        ["wrong", ids(1), "cdr-1", "started_at", "2026-10-05T10:05:00Z", 40.0, 2],
    ]
    assert list(disputes.columns) == DISPUTES.names
    assert dict(disputes.dtypes.astype(str)) == DISPUTES.dtypes


def test_an_unbilled_dispute_has_its_numbers_in_e164_where_the_cdr_has_them(make_rec: Make) -> None:
    rec = make_rec([RING, RING, RING])
    rec.only_in_cdr = rec.cdr_calls.assign(
        is_answered=True,
        billable_s=[30.0, 20.0, 10.0],
        from_number=["1001", "020 7946 0505", "020 7946 0123"],
        from_e164=pd.Series([None, "+442079460505", "+442079460123"], dtype="str"),
        to_number=["020 7946 0123", "1001", None],
        to_e164=pd.Series(["+442079460123", None, None], dtype="str"),
    )
    before = rec.only_in_cdr.copy()
    disputes = build_plan(rec).disputes
    assert disputes["from_number"].tolist() == ["1001", "+442079460505", "+442079460123"]
    assert disputes["to_number"].astype(object).where(disputes["to_number"].notna(), None).tolist() == [
        "+442079460123", "1001", None,
    ]  # fmt: skip
    pd.testing.assert_frame_equal(rec.only_in_cdr, before)


def test_the_disputes_with_most_seconds_are_kept_and_all_are_counted(make_rec: Make) -> None:
    late = [
        {"wrong": {"started_at": ("2026-10-05T10:00:00Z", "2026-10-05T10:05:00Z", "late")}, "cdr": {"billable_s": s}}
        for s in (5.0, 50.0, None, 50.0, 10.0)
    ]  # fmt: skip
    rec = make_rec(late)
    rec.only_in_cdr = rec.cdr_calls.head(1).assign(billable_s=7.0)
    assert disputes_of(rec, 4)[["kind", "seconds", "source_row"]].to_numpy().tolist() == [
        ["wrong", 50.0, 3], ["wrong", 50.0, 5], ["wrong", 10.0, 6], ["unbilled", 7.0, 2],
    ]  # fmt: skip
    assert not_patchable_of(rec)["n_calls"].tolist() == [5, 1]
    assert disputes_of(rec)["seconds"].fillna(-1).tolist() == [50, 50, 10, 7, 5, -1]
    rec.discrepancies = rec.discrepancies.iloc[::-1]
    pd.testing.assert_frame_equal(
        disputes_of(rec), build_plan(make_rec(late, only_in_cdr=rec.only_in_cdr)).disputes
    )


def test_every_discrepancy_is_planned_or_left_out(make_rec: Make) -> None:
    rec = make_rec([RING, OPEN, VOICEMAIL, {**OPEN, "call": {**OPEN["call"], "started_at": None}}])
    plan = build_plan(rec, fields=["status", "duration_seconds"])
    told = pd.concat([plan.changes[["call_id", "field"]], plan.left_out[["call_id", "field"]]])
    assert sorted(map(tuple, told.to_numpy())) == sorted(
        map(tuple, rec.discrepancies[["call_id", "field"]].to_numpy())
    )


def test_inputs_are_not_changed(make_rec: Make) -> None:
    rec = make_rec([RING, OPEN])
    before = {name: getattr(rec, name).copy() for name in ("discrepancies", "calls", "cdr_calls", "legs")}
    build_plan(rec, where="delta_s > 0").keep([])
    for name, frame in before.items():
        pd.testing.assert_frame_equal(getattr(rec, name), frame)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_decides_nothing(make_rec: Make, seed: int) -> None:
    late = {
        "started_at": ("2026-10-05T10:00:00Z", "2026-10-05T10:05:00Z", "late"),
        "to_number": ("1", "2", "other"),
    }
    rows = [RING, RING, OPEN, RING, VOICEMAIL, OPEN, {"wrong": late}, {"wrong": late}]
    rec = make_rec(rows, known_statuses=("completed", "voice-mail"))
    rec.only_in_cdr = rec.cdr_calls.assign(cdr_id=[f"lone-{n}" for n in range(len(rows))])
    expected = build_plan(rec)
    shuffle = np.random.default_rng(seed)
    for name in ("discrepancies", "calls", "cdr_calls", "legs", "only_in_cdr"):
        frame = getattr(rec, name)
        setattr(rec, name, frame.iloc[shuffle.permutation(len(frame))])
    plan = build_plan(rec)
    for name in ("changes", "calls", "left_out", "disputes", "not_patchable", "ledger"):
        pd.testing.assert_frame_equal(getattr(plan, name), getattr(expected, name))
    assert plan.phrases == expected.phrases


def test_the_first_calls_show_each_field_and_cause_once(make_rec: Make) -> None:
    rec = make_rec([RING, RING, RING, OPEN, OPEN, VOICEMAIL], known_statuses=("completed", "voice-mail"))
    plan = build_plan(rec)
    kinds = set(map(tuple, plan.changes[["field", "explanation"]].to_numpy()))
    first = plan.changes["call_id"].drop_duplicates().head(3)
    shown = plan.changes.loc[plan.changes["call_id"].isin(first), ["field", "explanation"]]
    assert set(map(tuple, shown.to_numpy())) == kinds
    assert len(kinds) == 5  # one call shows three of them
