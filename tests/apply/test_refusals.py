"""What is refused before anything is read or sent."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError, InputError, PlanError, PlanNotApprovedError
from sippet_reconcile.plan import Plan
from sippet_reconcile.verify import verify_run


@pytest.fixture
def quiet(lab):
    """A plan, and a check at the end that nothing was asked of the API since it was made."""
    plan = lab.plan(2)
    lab.sandbox.clear_requests()
    yield plan
    assert lab.sandbox.requests == []


def test_an_unapproved_plan_is_refused(lab, quiet):
    with pytest.raises(PlanNotApprovedError, match="not approved"):
        lab.apply(replace(quiet, approvals=()))
    assert not lab.audit.exists()


def test_the_same_person_twice_is_one_approval(lab, quiet):
    with pytest.raises(PlanNotApprovedError, match="approved by ana"):
        lab.apply(quiet.approve(by="ana", note="again"), min_approvals=2)


def test_an_approval_of_another_plan_does_not_count(lab, quiet):
    other = replace(quiet.approvals[0], plan_id="0" * 64)
    with pytest.raises(PlanNotApprovedError):
        lab.apply(replace(quiet, approvals=(other,)))


def test_a_plan_whose_content_does_not_give_its_id_is_refused(lab, quiet):
    forged = replace(quiet, plan_id="0" * 64, approvals=(replace(quiet.approvals[0], plan_id="0" * 64),))
    with pytest.raises(PlanError, match="does not give its plan_id"):
        lab.apply(forged)


def test_an_id_that_could_not_be_asked_for_is_refused_before_the_first_request(lab, quiet):
    # The API's own ids are UUIDs; a plan may be made by hand, and hold anything that fits into a path.
    changes = pd.concat([quiet.changes, quiet.changes.tail(1).assign(call_id="call-1")])
    made = Plan.from_changes(changes, kind="corrections", api_url=lab.client.base_url).approve(
        by="ana", note="by hand"
    )
    with pytest.raises(PlanError, match="cannot be applied: "):
        lab.apply(made)
    assert not lab.audit.exists()


def test_a_plan_for_another_api_is_refused(lab, quiet):
    other = Client("https://api.example.com")
    with pytest.raises(PlanError, match="its own API only"):
        apply_plan(quiet, other, lab.audit, progress=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": "1/min"}, "too slow"),
        ({"rate": "fast"}, "is not one"),
        ({"limit": 0}, "limit"),
        ({"limit": True}, "limit"),
        ({"concurrency": 17}, "at most 16"),
        ({"on_drift": "ignore"}, "on_drift"),
        ({"max_failures": 0}, "max_failures"),
        ({"min_approvals": 0}, "no plan is applied unapproved"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(lab, quiet, options, said):
    with pytest.raises(InputError, match=said):
        lab.apply(quiet, **options)


def test_a_log_in_use_is_refused(lab, quiet):
    with AuditLog(lab.audit).writing(), pytest.raises(AuditError, match="is held by process"):
        lab.apply(quiet)


def test_a_run_is_verified_on_its_own_api_only(lab):
    run = lab.apply(lab.plan(1))
    other = Client("https://api.example.com")
    with pytest.raises(InputError, match="client of the same API"):
        verify_run(run, other)
