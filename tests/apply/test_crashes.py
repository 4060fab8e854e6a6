"""Kill -9 at any instant: no fact is lost, nothing is sent again unread, and all of it can be undone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import load_run
from sippet_reconcile.sandbox import Faults, Sandbox

PROGRAM = Path(__file__).with_name("sessions.py")
GUARD_S = 60

# Where a session dies: at which moment, and at the how-manieth of them at most.
INSIDE = {
    "before-lock": 1, "locked": 1, "before-writing": 8, "half-written": 8, "before-fsync": 16,
    "after-fsync": 16, "before-rename": 8, "linked": 8, "after-rename": 8, "before-read": 6,
    "after-read": 6, "before-patch": 30, "after-patch": 30, "leaving": 1,
}  # fmt: skip
OUTSIDE = {"requests": 40, "milliseconds": 300}

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="sessions are forked, and killed by signal 9")


class Nursery:
    """Runs sessions in processes of their own, quickly, and kills them."""

    def __init__(self, folder):
        self._errors = (folder / "errors.txt").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=GUARD_S)
        self._process.stdout.close()
        self._errors.close()

    def run(self, order, *, number=signal.SIGKILL, is_due=None):
        """Run one session, killed from outside when that is due; return how it ended."""
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        pid = int(self._process.stdout.readline())
        until = time.monotonic() + GUARD_S
        while not select.select([self._process.stdout], [], [], 0.001)[0]:
            if is_due is not None and is_due():
                os.kill(pid, number)
                is_due = None
            if time.monotonic() > until:
                os.kill(pid, signal.SIGKILL)
                self._process.stdout.readline()
                pytest.fail(f"a session did not end within {GUARD_S} s\n{self.errors()}")
        return int(self._process.stdout.readline())

    def errors(self):
        return Path(self._errors.name).read_text(encoding="utf-8", errors="replace")[-4000:]


@pytest.fixture(scope="module")
def nursery(tmp_path_factory):
    nursery = Nursery(tmp_path_factory.mktemp("nursery"))
    yield nursery
    nursery.close()


def ids_of(request):
    """Return the calls that a request is about."""
    if request.method == "PATCH":
        return [request.path.rsplit("/", 1)[-1]]
    return [part.split("=", 1)[1] for part in request.query.split("&") if part.startswith("filter%5Bid%5D")]


def parts_of(folder):
    """Return what each part of a log holds, by its name: read without the code under test."""
    if not folder.is_dir():
        return {}
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("part-*")}


def records_of(folder):
    """Return the records of a log, read without the code under test."""
    paths = sorted(folder.glob("part-*")) if folder.is_dir() else []
    frames = [pd.read_parquet(io.BytesIO(path.read_bytes())) for path in paths]
    columns = ["seq", "event", "call_id", "outcome", "hash"]
    return pd.concat([f[columns] for f in frames]) if frames else pd.DataFrame(columns=columns)


class Trial:
    """One plan that is applied by sessions that die, and what must hold whenever one did."""

    def __init__(self, lab, nursery, folder, n, seed):
        self.nursery, self.folder, self.audit, self.by_id = nursery, folder, folder / "audit", lab.by_id
        self.chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        calls = lab.make_calls(n)
        # A revert has to bring nulls back too.
        calls.loc[::5, "duration_seconds"] = pd.NA
        calls.loc[::7, "ended_at"] = pd.NaT
        self.sandbox = Sandbox(calls)
        self.story = [f"seed {seed}: {n} calls"]
        self.n_sessions = self.n_records = self.n_killed = 0
        self.heads = []
        self.durable = set()

    def __enter__(self):
        self.sandbox.start()
        return self

    def __exit__(self, kind, _error, _trace):
        self.sandbox.stop()
        if kind is not None:
            sys.stdout.write("\n".join([*self.story, ""]))

    def make_plan(self):
        """Return a plan of three kinds of changes, and what the calls must hold when it is carried out."""
        self.start = self.by_id(self.sandbox.calls)
        calls = self.sandbox.calls.set_index("id", drop=False).loc[self.start["id"]]
        rows = []
        expected = self.start.copy()
        for place, call in enumerate(self.start.itertuples()):
            end = call.started_at + pd.Timedelta(seconds=90)
            change = [
                {"duration_seconds": 60, "ended_at": call.started_at + pd.Timedelta(seconds=60)},
                {"duration_seconds": 90, "ended_at": end},
                {"call_source": "webrtc"},
            ][place % 3]
            for name, value in change.items():
                expected.loc[place, name] = value
            rows.append({"call_id": call.id} | change)
        self.expected = expected
        # What a row of the first kind already holds is no change.
        corrections = pd.DataFrame(rows).astype({"duration_seconds": "Int64"})
        plan = plan_corrections(calls, corrections, reason="ticket 4711").approve(by="ana", note="October")
        assert plan.changes["call_id"].nunique() == len(self.start)
        return self.use(plan, "plan.parquet")

    def use(self, plan, name):
        self.plan = plan
        self.path = str(plan.save(self.folder / name))
        self.durable = set()
        return plan

    def session(self, moment=None, *, is_due=None, speed=1.0, faults=None, number=signal.SIGKILL, **options):
        """Run one session and check what it left."""
        self.n_sessions += 1
        session = str(self.n_sessions)
        faults = faults or Faults()
        self.sandbox.faults = faults
        n_before = len(self.sandbox.requests)
        kept = parts_of(self.audit)
        order = {
            "plan": self.path, "url": self.sandbox.url, "token": self.sandbox.token, "audit": str(self.audit),
            "session": session, "moment": moment, "speed": speed, "options": options,
        }  # fmt: skip
        due = (lambda: is_due(len(self.sandbox.requests) - n_before)) if is_due is not None else None
        status = self.nursery.run(order, number=number, is_due=due)
        n_sent = sum(r.method == "PATCH" for r in self.of_session(session))
        self.story.append(
            f"session {session} of {Path(self.path).name}: {moment or is_due} {options} "
            f"speed {speed:g} {faults} -> {status}, {n_sent} PATCHes"
        )
        self.n_killed += status != 0
        assert status in {0, -signal.SIGKILL, -number}, f"{self.nursery.errors()}"
        self.check(session, kept)
        return status

    def of_session(self, session):
        return [r for r in self.sandbox.requests if r.headers.get("x-session") == session]

    def check(self, session, kept):
        now = parts_of(self.audit)
        assert {name: now.get(name) for name in kept} == kept, "a part of the log was lost or rewritten"
        records = records_of(self.audit)
        assert records["seq"].tolist() == list(range(1, len(records) + 1))
        new = records.iloc[self.n_records :]
        intended = set(new.loc[new["event"].eq("intent"), "call_id"])
        known, patched = set(), []
        for request in self.of_session(session):
            if request.method == "GET":
                known |= set(ids_of(request))
                continue
            (call_id,) = ids_of(request)
            patched.append(call_id)
            assert call_id in known, f"{call_id} was sent without having been read since"
            known.discard(call_id)
        assert set(patched) <= intended, "a PATCH left ahead of its intent"
        assert not set(patched) & self.durable, "a call with a durable outcome was sent again"
        told = Counter(new.loc[new["event"].eq("attempt"), "call_id"])
        assert not told - Counter(patched), "the log tells of a PATCH that never left"
        if (new["event"] == "run-ended").any():
            assert told == Counter(patched), "a session that ended told not all it sent"
        outcomes = new.loc[new["event"].eq("outcome")]
        self.durable |= set(outcomes.loc[outcomes["outcome"].isin(["applied", "already"]), "call_id"])
        self.heads += records["hash"].tail(1).tolist()
        self.n_records = len(records)

    def settle(self):
        """Let what dead sessions had sent end: it must not land in the midst of what follows."""
        self.sandbox.stop()
        self.sandbox.start()

    def dies(self, **options):
        """Run a session that is killed at some moment, with some faults on the way."""
        chance = self.chance
        faults = Faults(
            latency_s=chance.choice([0.0, 0.005, 0.02]),
            jitter_s=chance.choice([0.0, 0.02]),
            lost_answer_share=chance.choice([0.0, 0.1]),
            reset_share=chance.choice([0.0, 0.05]),
            error_share=chance.choice([0.0, 0.05]),
            seed=chance.randrange(1000),
        )
        # One request a second by a clock 60 times as fast: ten seconds of sending are nine calls.
        pace = chance.choice([{}, {"speed": 60.0, "rate": "1/s"}, {"chunk_s": 0.02}])
        place = chance.choice([*INSIDE, *OUTSIDE])
        # More often near the start: each later session has less to do.
        n = 1 + int((INSIDE | OUTSIDE)[place] * chance.random() ** 1.5)
        if place in INSIDE:
            return self.session((place, n), faults=faults, **pace, **options)
        due_at = time.monotonic() + n / 1000

        def is_due(n_requests):
            return n_requests >= n if place == "requests" else time.monotonic() >= due_at

        self.story.append(f"killed from outside at {n} {place}:")
        return self.session(is_due=is_due, faults=faults, **pace, **options)

    def finishes(self):
        """Apply to the end; what was lost on the way takes no second session here."""
        assert self.session() == 0
        run = load_run(self.audit)
        assert run.plan_id == self.plan.plan_id
        assert run.ended == "complete"
        assert set(run.records["outcome"]) == {"applied"}, run.records["outcome"].value_counts().to_dict()
        log = AuditLog(self.audit)
        for head in {*self.heads[:1], run.head}:
            assert log.verify(head=head).ok
        assert [p.name for p in self.audit.iterdir() if not p.name.startswith("part-")] == ["_lock"]
        return run

    def holds(self, expected):
        pd.testing.assert_frame_equal(self.by_id(self.sandbox.calls), expected)


def kill_resume_and_revert(lab, nursery, folder, seed, *, kills, largest=50):
    """Kill a run several times in a row, finish it, then kill and finish its revert."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    with Trial(lab, nursery, folder, chance.randint(12, largest), seed) as trial:
        trial.make_plan()
        for _ in range(trial.chance.choice(kills)):
            trial.dies()
        run = trial.finishes()
        trial.settle()
        trial.holds(trial.expected)
        undo = trial.use(revert_run(run).approve(by="ben"), "undo.parquet")
        assert undo.changes["call_id"].nunique() == len(trial.start)
        if trial.chance.random() < 0.5:
            trial.dies()
        undone = trial.finishes()
        trial.settle()
        trial.holds(trial.start)
        assert undone.reverts_run_id == run.run_id


@posix_only
@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 10))]
)
def test_a_killed_run_loses_no_fact_resumes_and_can_be_undone(lab, nursery, tmp_path, seed):
    kill_resume_and_revert(lab, nursery, tmp_path, seed, kills=[1, 2], largest=30)


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_a_killed_run_loses_no_fact_resumes_and_can_be_undone_wherever(lab, nursery, tmp_path, seed):
    kill_resume_and_revert(lab, nursery, tmp_path, seed, kills=[1, 2, 3, 5])


@posix_only
@pytest.mark.slow
@pytest.mark.parametrize("moment", INSIDE)
def test_a_run_may_die_at_every_step_in_turn(lab, nursery, tmp_path, moment):
    with Trial(lab, nursery, tmp_path, 24, moment) as trial:
        trial.make_plan()
        for n in sorted({1, 2, 3, INSIDE[moment]} - ({2, 3} if INSIDE[moment] == 1 else set())):
            trial.session((moment, n), speed=60.0, rate="1/s")
        assert trial.n_killed > 0
        run = trial.finishes()
        trial.holds(trial.expected)
        trial.use(revert_run(run).approve(by="ben"), "undo.parquet")
        trial.finishes()
        trial.holds(trial.start)


@posix_only
@pytest.mark.slow
def test_a_part_whose_name_a_power_cut_took_back_was_not_built_upon(lab, nursery, tmp_path):
    with Trial(lab, nursery, tmp_path, 12, "power") as trial:
        trial.make_plan()
        # The start is the first part, the intents are the second; the folder is not flushed behind it yet.
        assert trial.session(("after-rename", 2)) == -signal.SIGKILL
        assert [r for r in trial.sandbox.requests if r.method == "PATCH"] == []
        last = sorted(trial.audit.glob("part-*"))[-1]
        assert set(pd.read_parquet(io.BytesIO(last.read_bytes()))["event"]) == {"intent"}
        last.rename(trial.audit / f"_writing-{last.name}")
        trial.n_records = len(records_of(trial.audit))
        trial.heads = []
        trial.finishes()
        trial.holds(trial.expected)


@posix_only
@pytest.mark.parametrize("size", [0, 1000], ids=["empty", "torn"])
def test_a_last_part_that_a_power_cut_tore_is_told_and_never_skipped(lab, nursery, tmp_path, size):
    with Trial(lab, nursery, tmp_path, 12, "torn") as trial:
        plan = trial.make_plan()
        assert trial.session(("after-rename", 2)) == -signal.SIGKILL
        last = sorted(trial.audit.glob("part-*"))[-1]
        last.write_bytes(last.read_bytes()[:size])
        n_requests = len(trial.sandbox.requests)
        with Client(trial.sandbox.url, token=trial.sandbox.token) as client:
            with pytest.raises(
                AuditError, match=rf"{last.name} cannot be read.*Nothing was sent.*move .*{last.name}"
            ):
                apply_plan(plan, client, trial.audit, rate=lab.fast, progress=False)
            with pytest.raises(AuditError, match=f"{last.name} cannot be read"):
                load_run(trial.audit)
        assert not AuditLog(trial.audit).verify().ok
        assert len(trial.sandbox.requests) == n_requests
        # What the message says to do.
        last.rename(tmp_path / last.name)
        trial.n_records = len(records_of(trial.audit))
        trial.heads = []
        trial.finishes()
        trial.holds(trial.expected)


@posix_only
def test_a_leftover_is_removed_even_where_it_is_whole_and_others_files_are_left_alone(lab, nursery, tmp_path):
    with Trial(lab, nursery, tmp_path, 12, "leftover") as trial:
        trial.make_plan()
        assert trial.session(("before-rename", 2)) == -signal.SIGKILL
        (leftover,) = trial.audit.glob("_writing-part-*")
        assert set(pd.read_parquet(io.BytesIO(leftover.read_bytes()))["event"]) == {"intent"}
        # Whole as it is, nobody has read it: it was not durable, so nothing was sent.
        assert load_run(trial.audit).records["outcome"].tolist() == ["pending"] * 12
        assert AuditLog(trial.audit).verify().n_records == trial.n_records
        notes = trial.audit / "_writing-notes.txt"
        notes.write_text("mine")
        (trial.audit / "_writing-drafts").mkdir()
        assert trial.session() == 0
        assert sorted(p.name for p in trial.audit.iterdir() if not p.name.startswith("part-")) == [
            "_lock", "_writing-drafts", "_writing-notes.txt",
        ]  # fmt: skip
        assert notes.read_text() == "mine"
        trial.holds(trial.expected)


@posix_only
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)],
    ids=["terminated", "terminal-closed"],
)
def test_a_signal_to_end_is_a_crash_and_as_safe(lab, nursery, tmp_path, number):
    with Trial(lab, nursery, tmp_path, 24, "signal") as trial:
        trial.make_plan()
        slow = Faults(latency_s=0.05, methods=("PATCH",))
        assert trial.session(number=number, is_due=lambda n: n > 5, faults=slow) == -number
        assert load_run(trial.audit).ended is None
        trial.finishes()
        trial.holds(trial.expected)
