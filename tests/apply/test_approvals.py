"""Who approved, when and why, from the plan into the log: two people are two, and nothing is sent for fewer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.audit import AuditLog, Outcome
from sippet_reconcile.errors import InputError, PlanError, PlanNotApprovedError
from sippet_reconcile.plan import Approval, Plan
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import RUN_APPROVALS, load_run
from sippet_reconcile.verify import verify_run

OCTOBER = "2026-10-20T08:00:00+00:00"


@pytest.fixture
def desk(lab):
    """Return a lab, and a plan of three calls that nobody has approved."""
    lab.unapproved = lab.plan(3, approve=False)
    lab.sandbox.clear_requests()
    return lab


def approved(plan, *names, at=OCTOBER, note=""):
    given = tuple(Approval(name, at, note, plan.plan_id) for name in names)
    return replace(plan, approvals=(*plan.approvals, *given))


def refused(desk, plan, said, error=PlanNotApprovedError, **options):
    """Check that a plan is refused before anything is asked, sent or written."""
    with pytest.raises(error, match=said):
        desk.apply(plan, **options)
    assert desk.sandbox.requests == []
    assert not desk.audit.exists()


def events(desk, event):
    records = AuditLog(desk.audit).records()
    return records.loc[records["event"].eq(event)]


# Four eyes


@pytest.mark.parametrize(
    "again",
    ["ana", " Ana ", "ANA.", "An\u200ba", "a\u00adna", "\uff41na", "Ána", "A\u0301na", "'ana'", "a na", "\ufeffana"],
    ids=ascii,
)  # fmt: skip
def test_one_person_cannot_be_two_however_the_name_is_typed(desk, again):
    plan = desk.unapproved.approve(by="ana").approve(by=again, note="again")
    refused(desk, plan, "is approved by ana, and 2 approvals by different people are needed, 1 more", min_approvals=2)  # fmt: skip
    run = desk.apply(plan.approve(by="Ben"), min_approvals=2)
    assert desk.outcomes(run) == ["applied"] * 3
    assert run.approvals["by"].tolist()[-1] == "Ben"


def test_as_many_people_as_are_asked_for_must_have_approved(desk):
    plan = desk.unapproved
    refused(desk, plan, "is not approved, and 1 approval is needed: ")
    refused(desk, plan.approve(by="ana").approve(by="ben"), "approved by ana and ben, and 3 .* 1 more", min_approvals=3)  # fmt: skip
    assert desk.outcomes(desk.apply(approved(plan, "ana", "ben", "eve"), min_approvals=3)) == ["applied"] * 3


@pytest.mark.parametrize("asked", [0, -1, True, False, 1.0, 2.5, "1", None, np.int64(1), np.float64(2)], ids=repr)  # fmt: skip
def test_a_number_of_people_that_cannot_be_meant_is_refused(desk, asked):
    refused(desk, approved(desk.unapproved, "ana", "ben"), "no plan is applied unapproved", InputError, min_approvals=asked)  # fmt: skip


def test_an_approval_of_another_plan_counts_for_nothing(desk):
    other = desk.plan(2, approve=False)
    desk.sandbox.clear_requests()
    strays = approved(other, "ana", "ben").approvals
    refused(desk, replace(desk.unapproved, approvals=strays), "is not approved")
    mixed = replace(
        approved(desk.unapproved, "ana"), approvals=(*approved(desk.unapproved, "ana").approvals, *strays)
    )
    refused(desk, mixed, "approved by ana, and 2", min_approvals=2)
    desk.apply(mixed)
    assert events(desk, "approval")["by"].tolist() == ["ana"], (
        "nor does the log say that they approved this one"
    )


def test_what_a_smaller_plan_was_is_not_what_was_approved(desk):
    whole = approved(desk.unapproved, "ana", "ben")
    smaller = whole.keep([desk.id_of(0)])
    refused(desk, smaller, "is not approved")
    refused(desk, replace(smaller, approvals=whole.approvals), "is not approved")


# The date


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=400)])
def test_an_approval_that_is_yet_to_be_given_is_refused(desk, ahead):
    at = (datetime.now(UTC) + ahead).isoformat(timespec="seconds")
    plan = approved(approved(desk.unapproved, "ana"), "ben", at=at)
    refused(desk, plan, "by ben is dated .*, which is yet to come")


def test_a_colleagues_clock_may_be_a_little_fast(desk):
    at = (datetime.now(UTC) + timedelta(minutes=3)).isoformat(timespec="seconds")
    assert desk.outcomes(desk.apply(approved(desk.unapproved, "ana", at=at))) == ["applied"] * 3


@pytest.mark.parametrize("at", ["", "soon", "2026-10-20", "2026-10-20T08:00:00"])
def test_an_approval_without_an_instant_is_refused(desk, at):
    refused(desk, approved(desk.unapproved, "ana", at=at), "no instant", PlanError)


# In the log


def test_all_approvals_stand_in_the_log_with_their_own_date_before_the_first_intent(desk):
    plan = approved(desk.unapproved, "Ana López", note="looked at ten\nof them")
    plan = approved(plan, "ben", at="2026-10-21T09:30:00+02:00")
    desk.apply(plan, min_approvals=2)
    records = AuditLog(desk.audit).records()
    assert records["event"].head(4).tolist() == ["run-started", "approval", "approval", "intent"]
    told = events(desk, "approval")
    assert told["by"].tolist() == ["Ana López", "ben"]
    assert told["note"].tolist()[0] == "looked at ten\nof them"
    assert told["note"].isna().tolist() == [False, True]
    assert told["at"].tolist() == [pd.Timestamp(OCTOBER), pd.Timestamp("2026-10-21T07:30:00Z")]
    assert told["plan_id"].eq(plan.plan_id).all()
    assert AuditLog(desk.audit).verify().ok


def test_an_approval_is_written_once_a_run_and_a_new_one_when_the_run_goes_on(desk, tmp_path):
    path = approved(desk.unapproved, "ana", note="a canary").save(tmp_path / "plan.parquet")
    desk.apply(Plan.load(path), limit=1)
    desk.apply(Plan.load(path), limit=1)
    assert events(desk, "approval")["by"].tolist() == ["ana"]
    # The canary went well: ana says so, with the same words, and ben looked, too.
    more = approved(Plan.load(path), "ana", at="2026-10-22T08:00:00+00:00", note="a canary")
    run = desk.apply(Plan.load(approved(more, "ben").save(path)), min_approvals=2)
    assert (run.count(Outcome.APPLIED), run.n_sessions) == (3, 3)
    told = events(desk, "approval")
    assert told["by"].tolist() == ["ana", "ana", "ben"]
    assert told["at"].dt.day.tolist() == [20, 22, 20]
    third = events(desk, "run-started")["seq"].iloc[2]
    intents = events(desk, "intent")["seq"]
    assert told["seq"].tolist()[1:] == [third + 1, third + 2]
    assert intents.lt(third).sum() == 2
    assert intents.iloc[2] > third + 2


def test_what_one_session_needed_the_next_may_need_again(desk):
    plan = approved(desk.unapproved, "ana", "ben")
    desk.apply(plan, min_approvals=2, limit=1)
    desk.sandbox.clear_requests()
    with pytest.raises(PlanNotApprovedError, match="1 more"):
        # The log knows of two; the plan at hand is what has to say so.
        desk.apply(replace(plan, approvals=plan.approvals[:1]), min_approvals=2)
    assert desk.sandbox.requests == []


def test_a_run_tells_who_approved_it_and_who_ran_it(desk):
    plan = approved(desk.unapproved, "ana", note="October")
    run = desk.apply(approved(plan, "ben"), min_approvals=2)
    assert run.approvals["by"].tolist() == ["ana", "ben"]
    assert run.approvals["at"].tolist() == [pd.Timestamp(OCTOBER)] * 2
    assert run.approvals["note"].fillna("-").tolist() == ["October", "-"]
    assert {name: str(dtype) for name, dtype in run.approvals.dtypes.items()} == RUN_APPROVALS.dtypes
    (operator,) = events(desk, "run-started")["by"]
    assert run.started_by == (operator,)
    assert "@" in operator
    told = run.summary()
    assert (told["approved_by"], told["started_by"]) == ("ana, ben", operator)
    pd.testing.assert_frame_equal(load_run(desk.audit).approvals, run.approvals)
    (listed,) = AuditLog(desk.audit).runs().to_dict("records")
    assert (listed["approved_by"], listed["started_by"]) == ("ana; ben", operator)


def test_who_approved_twice_is_told_once_and_stands_in_the_log_as_often_as_they_did(desk):
    run = desk.apply(approved(desk.unapproved, "ana", "ANA.", "ben"))
    assert run.approvals["by"].tolist() == ["ana", "ANA.", "ben"]
    assert run.summary()["approved_by"] == "ana, ben"
    with sr.Client(desk.sandbox.url, token=desk.sandbox.token) as client:
        proof = verify_run(run, client)
    assert proof.summary()["approved_by"] == "ana, ben"
    assert AuditLog(desk.audit).runs()["approved_by"].tolist() == ["ana; ben"]


def test_an_approval_dated_last_month_is_no_moment_of_the_run(desk):
    begun = datetime.now(UTC)
    run = desk.apply(approved(desk.unapproved, "ana"))
    assert begun <= run.started_at <= run.last_at
    (listed,) = AuditLog(desk.audit).runs().to_dict("records")
    assert (listed["started_at"], listed["last_at"]) == (run.started_at, run.last_at)


# Other plans


def test_an_empty_plan_is_approved_and_applied_and_sends_nothing(desk):
    empty = approved(desk.unapproved, "ana").keep([])
    refused(desk, empty, "is not approved")
    run = desk.apply(empty.approve(by="ana"))
    assert (len(run.records), desk.patches()) == (0, [])
    assert run.approvals["by"].tolist() == ["ana"]


def test_a_revert_is_approved_like_any_other_plan(desk):
    run = desk.apply(approved(desk.unapproved, "ana", "ben"), min_approvals=2)
    undo = revert_run(run)
    assert undo.approvals == ()
    desk.sandbox.clear_requests()
    with pytest.raises(PlanNotApprovedError, match="is not approved"):
        desk.apply(undo)
    with pytest.raises(PlanNotApprovedError, match="is not approved"):
        desk.apply(replace(undo, approvals=approved(desk.unapproved, "ana", "ben").approvals))
    assert desk.sandbox.requests == []
    undone = desk.apply(undo.approve(by="Eve", note="wrong month"))
    assert desk.outcomes(undone) == ["applied"] * 3
    assert undone.approvals[["by", "note"]].to_numpy().tolist() == [["Eve", "wrong month"]]
    assert load_run(desk.audit, run.run_id).approvals["by"].tolist() == ["ana", "ben"]


def test_notes_of_any_kind_come_back_from_the_log_as_they_were_given(desk):
    notes = ["\x1b[2J\u202egnihton", "line\r\nline\t\x00", "🙂 n\u0303", '{"by":"ben"}', "y" * 10_000]
    plan = desk.unapproved
    for number, note in enumerate(notes):
        plan = plan.approve(by=f"person {number}", note=note)
    run = desk.apply(plan, min_approvals=5)
    assert run.approvals["note"].tolist() == notes
    assert AuditLog(desk.audit).verify().ok
    for shown in (repr(run), run._repr_html_(), str(run.summary())):
        assert not {"\x1b", "\u202e", "\x00"} & set(shown)
