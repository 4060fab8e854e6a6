"""The tables of FAULTS.md are true: each row is played, and what is seen, written and done again is compared."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import re
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.api.breaker import COOL_DOWNS_S
from sippet_reconcile.api.retry import MAX_ATTEMPTS, MAX_WAIT_S, RetryBudget
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.freshness import FRESH_S
from sippet_reconcile.apply.stopping import End
from sippet_reconcile.apply.workers import GRACE_S
from sippet_reconcile.audit import AuditLog, parts
from sippet_reconcile.errors import AuditError, ReconcileError
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Fault, FaultKind, Faults, Sandbox
from sippet_reconcile.verify import verify_run

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = Path(__file__).parents[2] / "FAULTS.md"
SESSIONS = Path(__file__).with_name("sessions.py")
N_CALLS = 3
ALWAYS = 100


@dataclass(frozen=True)
class Row:
    """What stands in code in the cells of a row, in order."""

    fault: str
    seen: list[str]
    log: list[str]
    again: list[str]


def rows_of(text):
    """Return the rows of all tables, by the word in code that begins them."""
    rows = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            cells = [re.findall(r"`([^`]*)`", cell) for cell in line.strip("| ").split(" | ")]
            first, seen, log, again = cells
            assert first[0] not in rows, first[0]
            rows[first[0]] = Row(first[0], seen, log, again)
    return rows


ROWS = rows_of(DOCUMENT.read_text(encoding="utf-8"))


@dataclass
class Stage:
    """A lab with a plan over three calls, the first of which meets the fault of a row."""

    lab: object
    plan: object
    client: Client
    options: dict = field(default_factory=dict)

    def apply(self, plan=None, tools=None):
        """Apply; return what the operator sees of the first call and of the run, or the name of the error."""
        asked = {
            "rate": "400/s", "limit": None, "concurrency": 1, "on_drift": "skip",
            "min_approvals": 1, "max_failures": 10, "progress": False,
        }  # fmt: skip
        try:
            run = apply_with(
                tools or self.lab.virtual_time(),
                self.plan if plan is None else plan,
                self.client,
                self.lab.audit,
                **(asked | self.options),
            )
        except ReconcileError as exc:
            return [type(exc).__name__]
        return [self.outcome(run), run.ended]

    def outcome(self, run):
        """Return what the first call has come to."""
        return run.records.set_index("call_id").loc[self.lab.id_of(0), "outcome"]

    def told(self):
        """Return what the log tells of the first call: the kind of each attempt, and how its outcome is known."""
        if not self.lab.audit.exists():
            return ["none"]
        records = AuditLog(self.lab.audit).records()
        records = records[records["call_id"].eq(self.lab.id_of(0))]
        kinds = [json.loads(note)["kind"] for note in records.loc[records["event"].eq("attempt"), "note"]]
        outcomes = records.loc[records["event"].eq("outcome"), "confirmed_by"].dropna()
        return [*kinds, outcomes.iloc[-1] if len(outcomes) else "none"]

    def again(self, plan=None):
        """Apply once more with everything well; return the PATCHes of the first call, and what it came to."""
        self.lab.sandbox.faults = Faults()
        self.lab.sandbox.clear_requests()
        seen = self.apply(plan)
        sent = Counter(call_id for call_id, _ in self.lab.patches())
        return [str(sent[self.lab.id_of(0)]), seen[0]] if len(seen) > 1 else seen

    def patching(self, *script):
        """Let the first PATCHes meet these faults."""
        self.lab.sandbox.faults = Faults(script=script, methods=("PATCH",), retry_after_s=1)
        return self.apply()

    def reading(self, *script):
        """Let the first reads meet these faults."""
        self.lab.sandbox.faults = Faults(script=script, methods=("GET",), retry_after_s=1)
        return self.apply()


@pytest.fixture
def stage(lab):
    with Client(lab.sandbox.url, token=lab.sandbox.token, timeout=60.0) as client:
        yield Stage(lab, lab.plan(N_CALLS), client)


def patching(*script):
    """Return the play of a row whose fault is a script of the PATCHes."""
    return lambda stage: (stage.patching(*script), stage.told(), stage.again())


def reading(*script):
    """Return the play of a row whose fault is a script of the reads."""
    return lambda stage: (stage.reading(*script), stage.told(), stage.again())


def slow(*script):
    """Return the play of a row whose answer comes later than the client waits for."""

    def play(stage):
        with Client(stage.lab.sandbox.url, token=stage.lab.sandbox.token, timeout=0.5) as client:
            impatient = dataclasses.replace(stage, client=client)
            return patching(*script)(impatient)

    return play


def lost_and_changed(stage):
    changed = stage.lab.id_of(0)

    def change(_request):
        if any(call_id == changed for call_id, _ in stage.lab.patches()):
            stage.lab.tap.on_read = lambda _request: None
            stage.lab.sandbox.change_call(changed, duration_seconds=45)

    stage.lab.tap.on_read = change
    return tapped(stage, lambda: stage.patching("dropped_answer"))


def tapped(stage, play):
    """Play with the lab's own client, whose transport tells when a request leaves."""
    stage.client = stage.lab.client
    return play(), stage.told(), stage.again()


def verified(*script):
    """Return the play of a row that only reading everything back shows."""

    def play(stage):
        seen = stage.patching(*script)
        proof = verify_run(load_run(stage.lab.audit), stage.client)
        assert (proof.frame.set_index("call_id")["verdict"] == "holds").tolist() == [False, True, True]
        return [*seen, verify_run.__name__], stage.told(), stage.again()

    return play


def beforehand(act):
    """Return the play of a row in which somebody acts between the review and the run."""

    def play(stage):
        act(stage)
        return stage.apply(), stage.told(), stage.again()

    return play


def other_plan(stage):
    other = stage.lab.plan(N_CALLS, seconds=45)
    assert stage.apply(other) == ["applied", "complete"]
    theirs = stage.told()
    seen = stage.apply()
    return seen, stage.told()[len(theirs) - 1 :], stage.again()


def failures(stage):
    stage.options["max_failures"] = 2
    return patching(*[500] * 6)(stage)


def retries_used_up(stage):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sippet_reconcile.apply.traffic.RetryBudget", partial(RetryBudget, floor=0, share=0))
        seen = stage.patching(502)
    return seen, stage.told(), stage.again()


def too_slow(stage):
    """Let each read take twenty seconds by the clock of the run."""
    tools = stage.lab.virtual_time()
    stage.client = stage.lab.client
    stage.lab.tap.on_read = lambda _request: tools.sleep(20)
    seen = stage.apply(tools=tools)
    stage.lab.tap.on_read = lambda _request: None
    return seen, stage.told(), stage.again()


def changed_and_raise(stage):
    changed = stage.lab.id_of(0)
    stage.lab.sandbox.change_call(changed, duration_seconds=31)
    stage.options["on_drift"] = "raise"
    seen, told = stage.apply(), stage.told()
    assert stage.lab.patches() == []
    stage.lab.sandbox.change_call(changed, duration_seconds=30)
    return seen, told, stage.again()


def outage(n):
    """Return the play of a row in which the whole API fails after its first answer, for so many requests."""

    def play(stage):
        stage.lab.sandbox.faults = Faults(script=[None, *[502] * n])
        return stage.apply(), stage.told(), stage.again()

    return play


def down(stage):
    stage.lab.sandbox.stop()
    seen, told = stage.apply(), stage.told()
    stage.lab.sandbox.start()
    return seen, told, stage.again()


def expiring(stage):
    """Let the token die silently right after the re-read."""
    empty = EXPIRED["200-empty"]
    stage.lab.sandbox.faults = Faults(script=[None, *[empty] * ALWAYS])
    return stage.apply(), stage.told(), stage.again()


def interrupted(stage):
    def press(number, _request):
        if number == 1:
            signal.raise_signal(signal.SIGINT)

    stage.lab.tap.on_patch = press
    stage.client = stage.lab.client
    with pytest.raises(KeyboardInterrupt) as caught:
        stage.apply()
    stage.lab.tap.on_patch = lambda _number, _request: None
    return [caught.type.__name__, load_run(stage.lab.audit).ended], stage.told(), stage.again()


def killed(moment, n):
    """Return the play of a row in which the process dies at a moment between memory and disk."""

    def play(stage):
        lab = stage.lab
        order = {
            "plan": str(stage.plan.save(lab.audit.parent / "plan.parquet")), "url": lab.sandbox.url,
            "token": lab.sandbox.token, "audit": str(lab.audit), "session": "1", "speed": 1,
            "moment": [moment, n], "options": {"concurrency": 1},
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(SESSIONS)],
            input=json.dumps(order) + "\n", capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert done.stdout.split()[-1] == str(-signal.SIGKILL), done.stderr
        seen = [stage.outcome(load_run(lab.audit))]
        return seen, stage.told(), stage.again()

    return play


def slept(stage):
    """Let an hour pass, which only the time of day shows, once the first re-read is answered."""
    sandbox, tools = stage.lab.sandbox, stage.lab.virtual_time()
    sandbox.clear_requests()

    def now():
        n_read = sum(request.method == "GET" and request.status == 200 for request in sandbox.requests)
        return tools.now() + timedelta(hours=int(n_read > 0))

    seen = stage.apply(tools=dataclasses.replace(tools, now=now))
    assert [request.method for request in sandbox.requests][:3] == ["GET", "GET", "PATCH"]
    return seen, stage.told(), stage.again()


def log_in_use(stage):
    with AuditLog(stage.lab.audit).writing():
        seen = stage.apply()
    return seen, stage.told(), stage.again()


def disk_full(at):
    """Return the play of a row in which the disk is full from the n-th part on."""

    def play(stage):
        n = iter(range(1, ALWAYS))

        def write(*args):
            if next(n) >= at:
                raise OSError(errno.ENOSPC, "No space left on device")
            return parts.write_part(*args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sippet_reconcile.audit.writer.write_part", write)
            seen = stage.apply()
        return seen, stage.told(), stage.again()

    return play


def edit_part(stage, place):
    """Write another name into the records of one part, as somebody who knows parquet would."""
    path = sorted(stage.lab.audit.glob("part-*"))[place]
    table = pq.read_table(io.BytesIO(path.read_bytes()))
    position = table.schema.get_field_index("by")
    edited = pa.array(["somebody else"] * table.num_rows, table.schema.field("by").type)
    pq.write_table(table.set_column(position, table.schema.field("by"), edited), path)


def log_edited(stage):
    assert stage.apply() == ["applied", "complete"]
    edit_part(stage, -1)
    return stage.apply(), ["answer"], stage.again()


def log_edited_ahead(stage):
    stage.options = {"limit": 1}
    stage.apply()
    edit_part(stage, 0)
    stage.options = {}
    seen = stage.apply()
    log = AuditLog(stage.lab.audit)
    assert "record 1: its content does not give its hash" in log.verify().problem
    with pytest.raises(AuditError, match="record 1: ") as refused:
        revert_run(load_run(log))
    return [*seen, "audit verify", type(refused.value).__name__], stage.told(), stage.again()


def unapproved(stage):
    approved, stage.plan = stage.plan, stage.lab.plan(N_CALLS, approve=False)
    return stage.apply(), stage.told(), stage.again(approved)


def plan_edited(stage):
    forged = dataclasses.replace(stage.plan.approvals[0], plan_id="0" * 64)
    stage.plan = dataclasses.replace(stage.plan, plan_id="0" * 64, approvals=(forged,))
    return stage.apply(), stage.told(), stage.again()


def other_api(stage):
    with (
        Sandbox(stage.lab.make_calls(N_CALLS)) as other,
        Client(other.url, token=other.token) as client,
    ):
        seen = dataclasses.replace(stage, client=client).apply()
        again = dataclasses.replace(stage, client=client).again()
        assert [request.method for request in other.requests] == []
    return seen, stage.told(), again


def reverted(stage):
    assert stage.apply() == ["applied", "complete"]
    undo = revert_run(load_run(stage.lab.audit)).approve(by="ana", note="a mistake")
    assert stage.apply(undo) == ["applied", "complete"]
    stage.lab.sandbox.clear_requests()
    seen = stage.apply()
    assert stage.lab.patches() == []
    return seen, stage.told()[-1:], stage.again()


def change(**attributes):
    """Return the play of a row in which somebody changes the first call before the run."""
    return beforehand(lambda stage: stage.lab.sandbox.change_call(stage.lab.id_of(0), **attributes))


EXPIRED = {style: Fault("expired", style=style) for style in ("403", "401-json", "401-text", "200-empty")}
FORBIDDEN = Fault("throttle", style="403-forbidden")

PLAYS: dict[str, Callable[[Stage], tuple[list[str], list[str], list[str]]]] = {
    # The API refuses, or is busy.
    "429": patching(429),
    "429-date": patching(Fault("throttle", retry_after_s=1, retry_after_form="date")),
    "429-no-retry-after": patching(Fault("throttle", retry_after_form="absent")),
    "429-always": patching(*[429] * ALWAYS),
    "429-an-hour": patching(Fault("throttle", retry_after_s=3600)),
    "403-text": patching(Fault("throttle", style="403-text")),
    "403-json-once": patching(FORBIDDEN),
    "403-json-always": patching(*[FORBIDDEN] * ALWAYS),
    "401-json": patching(*[EXPIRED["401-json"]] * ALWAYS),
    "401-text": patching(*[EXPIRED["401-text"]] * ALWAYS),
    "404-of-dead-token": expiring,
    "503-retry-after": patching(Fault("error", status=503, retry_after_s=1)),
    "500-once": patching(500),
    "500-always": patching(500, 500, 500),
    "502-once": patching(502),
    "503-once": patching(503),
    "504-once": patching(504),
    "408": patching(408),
    "502-always": patching(*[502] * ALWAYS),
    "failures": failures,
    "retries-used-up": retries_used_up,
    "outage": outage(ALWAYS),
    "outage-ends": outage(6),
    "502-after": patching(Fault("error_after", status=502)),
    "504-after": patching(Fault("error_after", status=504)),
    "404-after": patching(Fault("error_after", status=404)),
    "400": patching(400),
    "413": patching(413),
    "414": patching(414),
    "431": patching(431),
    # The network loses or garbles the answer.
    "long_length": slow("long_length"),
    "slow_body": slow(Fault("slow_body", spread_s=600)),
    "slow_head": slow(Fault("slow_head", spread_s=600)),
    "hung": slow(Fault(hold_s=600)),
    "lost-and-changed": lost_and_changed,
    # The API says yes and does something else.
    "echoed": verified("echoed"),
    "coupled": patching(Fault("coupled", changes={"call_source": "web"})),
    # Somebody else works on the same call.
    "changed-before": change(duration_seconds=31),
    "changed-and-raise": changed_and_raise,
    "start-moved": change(started_at="2026-10-01T08:00:01Z"),
    "corrected-already": change(duration_seconds=60),
    "deleted": beforehand(lambda stage: stage.lab.sandbox.remove_call(stage.lab.id_of(0))),
    "changed_after": verified(Fault("changed_after", changes={"duration_seconds": 61})),
    "deleted_after": verified("deleted_after"),
    "other-plan": other_plan,
    # Reading.
    "read-reset": reading("reset"),
    "read-429": reading(429),
    "read-garbled": reading(*["garbled"] * ALWAYS),
    "read-502": reading(*[502] * ALWAYS),
    "token-401": reading(*[EXPIRED["401-json"]] * ALWAYS),
    "token-403": reading(*[EXPIRED["403"]] * ALWAYS),
    "token-empty": reading(*[EXPIRED["200-empty"]] * ALWAYS),
    "too-slow": too_slow,
    "down": down,
    # On this machine.
    "interrupted": interrupted,
    "killed": killed("after-patch", 1),
    "killed-before-sending": killed("before-patch", 1),
    "slept": slept,
    "log-in-use": log_in_use,
    "disk-full": disk_full(2),
    "disk-full-after": disk_full(3),
    "log-edited": log_edited,
    "log-edited-ahead": log_edited_ahead,
    # The plan may not be sent.
    "unapproved": unapproved,
    "plan-edited": plan_edited,
    "other-api": other_api,
    "reverted": reverted,
}
for name in ROWS.keys() - PLAYS.keys():
    PLAYS[name] = patching(FaultKind(name))  # a row without a play of its own is named after its fault


def rows_to_play():
    """Yield the names of all rows; those of faults that come to the same as one before are the slow ones."""
    told = set()
    for name, row in ROWS.items():
        comes_to = (*row.seen, *row.log, *row.again)
        is_alike = name in set(FaultKind) and comes_to in told
        told.add(comes_to)
        yield pytest.param(name, marks=[pytest.mark.slow] if is_alike else [])


@pytest.mark.parametrize("name", list(rows_to_play()))
def test_each_row_of_the_fault_matrix_is_what_happens(stage, name):
    row = ROWS[name]
    assert PLAYS[name](stage) == (row.seen, row.log, row.again)


def test_the_figures_of_the_page_are_those_of_the_code():
    said = DOCUMENT.read_text(encoding="utf-8")
    assert f"at most {FRESH_S:.0f} seconds before its PATCH" in said
    assert f"({GRACE_S:.0f} seconds at most)" in said
    assert MAX_WAIT_S == 5 * 60
    assert "for longer than five minutes" in said
    *probes, last = (f"{seconds:.0f}" for seconds in COOL_DOWNS_S)
    assert f"a probe after {', '.join(probes)} and {last} seconds" in said
    assert f"`429-always`, for one call | {['four', 'five', 'six'][MAX_ATTEMPTS - 4]} attempts" in said
    budget = RetryBudget()
    at_first = budget.allowed
    budget.spend(is_retry=False)
    assert (at_first, budget.allowed - at_first) == (100, 2)
    assert "repeated more than 100 times, and twice more for every other request" in said


def test_each_fault_that_is_played_has_its_row():
    assert PLAYS.keys() == ROWS.keys()


def test_each_kind_of_fault_that_the_sandbox_knows_is_in_the_matrix():
    told_by_others = {"none", "throttle", "error", "error_after", "expired"}
    assert {str(kind) for kind in FaultKind} - told_by_others <= ROWS.keys()


def test_each_way_in_which_a_run_can_end_is_in_the_matrix():
    seen = {word for row in ROWS.values() for word in row.seen}
    as_errors = {End.AUDIT: "AuditError", End.DRIFT: "PlanDriftError", End.UNREADABLE: "TransientApiError"}
    by_option_or_bug = {End.LIMIT, End.ERROR}
    assert {as_errors.get(end, end.value) for end in End if end not in by_option_or_bug} <= seen
