"""Any order of plans, limits, lost answers, deaths, undoings and other people's hands: nobody is written over.

A state machine over a real socket. Other hands write between the sessions only: the window
between a re-read and its PATCH is documented, and is not what is tested here.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pandas as pd
import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, rule, run_state_machine_as_test

from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError, PlanError
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Faults
from sippet_reconcile.verify import verify_run

N_CALLS = 4
START = {"duration_seconds": 30, "call_source": "sip"}
SENT = {"applied", "altered", "unknown"}


class DyingLog(AuditLog):
    """A log whose disk goes away after so many writes, as it does for a process that is killed."""

    def __init__(self, path, writes_left):
        super().__init__(path)
        self.writes_left = writes_left

    @contextmanager
    def writing(self):
        with super().writing() as writer:
            append = writer.append

            def die(entries):
                if self.writes_left == 0:
                    msg = "the disk is gone"
                    raise AuditError(msg)
                self.writes_left -= 1
                append(entries)

            writer.append = die
            yield writer


class Witness:
    """Looks at each request on its way, and at the call around each PATCH; it never trusts the log."""

    def __init__(self, lab):
        self.sandbox, self.inner = lab.sandbox, lab.tap.inner
        self.lock = threading.Lock()
        self.plan_id, self.planned = "", {}
        self.read = set()
        self.landed = {}
        """(plan id, call id) to whether its PATCH changed the call."""
        self.violations = []

    def begin(self, plan):
        """Forget what was read: each session has to read for itself."""
        self.read = set()
        self.plan_id, self.planned = plan.plan_id, {}
        for change in plan.changes.to_dict("records"):
            self.planned.setdefault(change["call_id"], {})[change["field"]] = change["before"]

    def held(self, call_id):
        row = self.sandbox.calls.set_index("id").loc[call_id]
        return {name: None if pd.isna(row[name]) else str(row[name]) for name in START}

    def handle_request(self, request):
        if request.method == "GET":
            response = self.inner.handle_request(request)
            ids = [value for name, value in request.url.params.multi_items() if name == "filter[id][in][]"]
            with self.lock:
                self.read |= set(ids)
            return response
        call_id = request.url.path.rsplit("/", 1)[-1]
        before = self.held(call_id)
        sent = json.loads(request.content)["data"]["attributes"]
        with self.lock:
            if call_id not in self.read:
                self.violations.append(f"{call_id} was sent without having been read")
            self.read.discard(call_id)
            for name in sent:
                if before[name] != self.planned[call_id][name]:
                    self.violations.append(f"{call_id} held {before}, reviewed was {self.planned[call_id]}")
        try:
            return self.inner.handle_request(request)
        finally:
            if self.held(call_id) != before:
                self.landed[self.plan_id, call_id] = True


class Hands(RuleBasedStateMachine):
    """Plans, sessions and other people on four calls."""

    plans = Bundle("plans")
    runs = Bundle("runs")

    def __init__(self, lab, log):
        super().__init__()
        self.lab, self.log = lab, log
        self.ids = [lab.id_of(i) for i in range(N_CALLS)]
        lab.sandbox.faults = Faults()
        for call_id in self.ids:
            lab.sandbox.change_call(call_id, to_number="+15550100", **START)
        self.witness = Witness(lab)
        lab.tap.handle_request = self.witness.handle_request
        self.next_seconds = 46
        self.touched = set()
        """Calls that others changed in what plans send."""
        self.undone = {}
        """Plan id of a run to the plan id of a revert of it that sent something."""
        self.made = {}

    def plan_of(self, ids, **values):
        fixes = pd.DataFrame({"call_id": ids, **{name: [v] * len(ids) for name, v in values.items()}})
        plan = plan_corrections(self.lab.client.get_calls(ids), fixes.astype("str"), reason="ticket 4711")
        plan = plan.approve(by="ana")
        self.made[plan.plan_id] = plan
        return plan

    @rule(target=plans, source=st.booleans(), first=st.integers(0, N_CALLS - 1))
    def review(self, source, first):
        """Make a plan of the calls as they are now; no two plans write the same seconds."""
        values = {"duration_seconds": str(self.next_seconds)} | ({"call_source": "carrier"} if source else {})
        self.next_seconds = min(self.next_seconds + 1, 60)
        plan = self.plan_of(self.ids[first:], **values)
        return plan if len(plan) else multiple()

    @rule(target=plans, run=runs)
    def review_undoing(self, run):
        plan = revert_run(run).approve(by="ben")
        self.made[plan.plan_id] = plan
        return plan

    @rule(
        target=runs,
        plan=plans,
        limit=st.sampled_from([None, 1, 2]),
        fault=st.sampled_from([None, None, "dropped_answer", "reset", "lost_answer", 503]),
        writes=st.sampled_from([None, None, 2, 1, 3]),
    )
    def apply(self, plan, limit, fault, writes):
        log = AuditLog(self.log) if writes is None else DyingLog(self.log, writes)
        self.witness.begin(plan)
        self.lab.sandbox.faults = Faults(script=[None, fault] if fault else [])
        is_refused, said = plan.plan_id in self.undone, ""
        try:
            self.lab.apply_in(log, plan, limit)
        except PlanError as exc:
            said = str(exc)
        except AuditError:
            event("the session died")
        finally:
            self.lab.sandbox.faults = Faults()
        assert ("was reverted in this log" in said) is is_refused, said
        return self.settle(plan)

    def settle(self, plan):
        """Compare what the log says of a plan's run with what was seen on the wire; return the run."""
        assert self.witness.violations == []
        if not self.log.exists():
            return multiple()
        runs = AuditLog(self.log).runs()
        mine = runs.loc[runs["plan_id"].eq(plan.plan_id), "run_id"]
        if mine.empty:
            return multiple()
        run = load_run(self.log, mine.iloc[0])
        for call_id, outcome in run.records.set_index("call_id")["outcome"].items():
            has_landed = self.witness.landed.get((plan.plan_id, call_id), False)
            # A lost answer of ours may have been written over since: then it reads as drift, which is not ours.
            may_be = SENT | {"drifted"} if self.is_written_over(plan, call_id) else SENT
            assert not has_landed or outcome in may_be, f"{call_id} was written and is said to be {outcome}"
            has_intent = call_id in self.intents(run)
            assert outcome not in SENT or has_intent, f"{call_id} is {outcome} without an intent"
        if plan.kind == "revert" and (self.intents(run) or self.found_undone(run)):
            undone = load_run(self.log, plan.reverts_run_id)
            self.undone.setdefault(undone.plan_id, plan.plan_id)
        return run

    def intents(self, run):
        records = AuditLog(self.log).records(run.run_id)
        return set(records.loc[records["event"].eq("intent"), "call_id"])

    def found_undone(self, run):
        records = AuditLog(self.log).records(run.run_id)
        return records["outcome"].eq("already").any()

    def is_written_over(self, plan, call_id):
        change = plan.changes.loc[plan.changes["call_id"].eq(call_id)].set_index("field")["after"]
        return any(self.witness.held(call_id)[name] != value for name, value in change.items())

    @rule(number=st.integers(0, N_CALLS - 1), seconds=st.sampled_from([12, 30, 46, 47]))
    def others_write(self, number, seconds):
        self.lab.sandbox.change_call(self.ids[number], duration_seconds=seconds)
        self.touched.add(self.ids[number])

    @rule(number=st.integers(0, N_CALLS - 1))
    def others_write_what_no_plan_sends(self, number):
        self.lab.sandbox.change_call(self.ids[number], to_number="+15550101")

    @rule(run=runs)
    def verify(self, run):
        run = load_run(self.log, run.run_id)
        proof = verify_run(run, self.lab.client, rate="1000/s", progress=False)
        wrong = set()
        for row in run.records.to_dict("records"):
            if row["outcome"] in SENT:
                held = self.witness.held(row["call_id"])
                after = {
                    name: str(value) for name, value in json.loads(row["after"]).items() if value is not None
                }
                wrong |= {row["call_id"]} if {name: held[name] for name in after} != after else set()
        assert set(proof.frame.loc[proof.frame["verdict"].ne("holds"), "call_id"]) == wrong
        assert proof.ok is (not wrong)

    def teardown(self):
        """Undo whatever plans wrote, the latest first: what nobody else touched is as it was at the start."""
        if not self.log.exists():
            return
        lost = set()
        for _ in range(2):
            runs = AuditLog(self.log).runs()
            for run_id in runs.loc[runs["reverts_run_id"].isna(), "run_id"].tolist()[::-1]:
                run = load_run(self.log, run_id)
                outcomes = run.records.set_index("call_id")["outcome"]
                lost |= {
                    call_id
                    for call_id in outcomes.index[outcomes.eq("drifted")]
                    if self.witness.landed.get((run.plan_id, call_id))
                }
                plan = revert_run(run).approve(by="ben")
                self.made[plan.plan_id] = plan
                self.witness.begin(plan)
                self.lab.apply_in(AuditLog(self.log), plan, None)
                self.settle(plan)
        for call_id in set(self.ids) - self.touched - lost:
            assert self.witness.held(call_id) == {name: str(value) for name, value in START.items()}, call_id
        assert AuditLog(self.log).verify().ok


def play(lab, tmp_path, *, examples, steps):
    numbers = iter(range(1_000_000))
    run_state_machine_as_test(
        lambda: Hands(lab, tmp_path / f"log-{next(numbers)}"),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def hands(lab):
    """The lab, with a way to apply into a log of one's own without back-off."""

    def apply_in(log, plan, limit):
        return apply_with(
            Tools(random=lambda: 0.0), plan, lab.client, log, rate="1000/s", limit=limit, concurrency=None,
            on_drift="skip", min_approvals=1, max_failures=10, progress=False,
        )  # fmt: skip

    lab.apply_in = apply_in
    yield lab
    vars(lab.tap).pop("handle_request", None)


def test_what_a_dead_session_sent_is_undone_from_its_intents_alone(hands):
    """Two writes: the session's beginning and its intents. What came of its PATCHes is written nowhere."""
    start = hands.held()
    plan = hands.plan(3)
    with pytest.raises(AuditError):
        hands.apply_in(DyingLog(hands.audit, 2), plan, None)
    assert hands.seconds()[:3] == [60] * 3
    run = load_run(hands.audit)
    assert (hands.outcomes(run), run.ended) == (["unknown"] * 3, None)
    assert verify_run(run, hands.client, rate="400/s").ok
    hands.apply_in(AuditLog(hands.audit), revert_run(run).approve(by="ben"), None)
    pd.testing.assert_frame_equal(hands.held(), start)
    with pytest.raises(PlanError, match="was reverted in this log"):
        hands.apply_in(AuditLog(hands.audit), plan, None)


def test_a_session_whose_intents_could_not_be_written_sent_nothing(hands):
    plan = hands.plan(3)
    with pytest.raises(AuditError):
        hands.apply_in(DyingLog(hands.audit, 1), plan, None)
    assert hands.patches() == []
    assert len(revert_run(load_run(hands.audit))) == 0


def test_whatever_happens_nobody_is_written_over_and_all_of_ours_can_be_undone(hands, tmp_path):
    play(hands, tmp_path, examples=4, steps=8)


@pytest.mark.slow
def test_whatever_happens_for_long_nobody_is_written_over_and_all_of_ours_can_be_undone(hands, tmp_path):
    play(hands, tmp_path, examples=40, steps=20)
