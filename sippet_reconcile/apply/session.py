"""Carry a plan through chunk by chunk: re-read, decide, write the intents, send, write the outcomes.

Input are the calls of a plan that are not settled yet, output are the records of one
session in the audit log. The main thread only waits, decides and writes; requests are
made by workers behind one pace.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile.api.exchange import error_of
from sippet_reconcile.api.wire import MAX_CONNECTIONS
from sippet_reconcile.apply.decisions import Decision, decide_call, stays_altered
from sippet_reconcile.apply.sending import Job, Sender
from sippet_reconcile.apply.stopping import End
from sippet_reconcile.apply.traffic import IDS_PER_READ, Reading
from sippet_reconcile.apply.workers import GRACE_S, Task, Workers
from sippet_reconcile.audit import Outcome, interrupts_deferred
from sippet_reconcile.errors import ApiError, AuditError, PlanDriftError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sippet_reconcile.apply.decisions import PlannedCall
    from sippet_reconcile.apply.entries import Scribe
    from sippet_reconcile.apply.planned import PlannedCalls
    from sippet_reconcile.apply.stopping import StopSign
    from sippet_reconcile.apply.traffic import Traffic
    from sippet_reconcile.audit import AuditWriter
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.progress import Reporter
    from sippet_reconcile.run import RunState

__all__ = ["MAX_WORKERS", "Options", "Session"]

MAX_WORKERS: Final = 16
"""The most threads that may be asked for; more than the client's connections are of no use."""

_CHUNK_S: Final = 10.0
_SPARE: Final = 1.5
_MIN_WORKERS: Final = 2  # so that one slow answer does not hold up all others
_MAX_FUTILE: Final = 5
_PROBES: Final = 4


@dataclass(frozen=True)
class Options:
    """What `apply_plan` was asked for, checked."""

    rate: str
    limit: int | None
    concurrency: int | None
    on_drift: str
    max_failures: int


class Session:
    """One session of a run: from taking the lock to letting it go."""

    def __init__(
        self,
        plan: Plan,
        calls: PlannedCalls,
        state: RunState,
        *,
        writer: AuditWriter,
        scribe: Scribe,
        traffic: Traffic,
        stop: StopSign,
        options: Options,
        report: Reporter,
    ) -> None:
        self._plan, self._calls, self._state = plan, calls, state
        self._writer, self._scribe = writer, scribe
        self._traffic, self._stop, self._options, self._report = traffic, stop, options, report
        settled = {
            call_id
            for call_id, call in state.calls.items()
            if call.last in {Outcome.APPLIED, Outcome.ALREADY}
        }
        self._queue = deque(call for call in calls if call.call_id not in settled)
        self._n_done = len(calls) - len(self._queue)
        self._n_sent = 0
        self._n_futile = 0
        self._jobs: list[Job] = []
        self._sender: Sender | None = None
        self._workers = Workers(stop)
        self._drift: list[dict[str, str | None]] = []

    def execute(self) -> None:
        """Run the session to its end, whichever it is, and write that down.

        Raises
        ------
        ApiError
            If the API refused or could not be read before anything was sent.
        PlanDriftError
            If a call drifted and ``on_drift="raise"``.
        AuditError
            If the log could not be written; nothing was sent after that.
        KeyboardInterrupt
            After what was in flight is written down.
        """
        try:
            self._begin()
            self._loop()
        except BaseException as exc:
            self._end_abruptly(exc)
            raise
        finally:
            self._workers.close()
        kind, note = self._end()
        self._write_end(kind, note)
        self._raise_for(kind, note)

    def _tick(self) -> None:
        """Report how far it is, and add threads where answers became slower."""
        self._grow()
        done = self._n_done + sum(job.result is not None for job in self._jobs)
        self._report(done, len(self._calls), "applying")

    # From start to end

    def _begin(self) -> None:
        at = self._traffic.tools.now()
        options = self._options
        asked = {"rate": options.rate, "limit": options.limit, "on_drift": options.on_drift}
        is_first = self._state.n_sessions == 0
        entries = [self._scribe.started(at, self._plan, self._calls, is_first=is_first, options=asked)]
        entries += [
            self._scribe.approval(at, approval.by, approval.note or None)
            for approval in self._plan.approvals
            if (approval.by, approval.note or None) not in self._state.approvals
        ]
        self._writer.append(entries)
        self._grow()

    def _loop(self) -> None:
        self._tick()
        while self._queue and not self._stop.is_set and self._may_send() > 0:
            progress = self._n_done, self._n_sent
            self._chunk(self._chunk_size())
            self._tick()
            self._n_futile = self._n_futile + 1 if progress == (self._n_done, self._n_sent) else 0
            if self._n_futile >= _MAX_FUTILE:
                self._stop.stop(
                    End.TOO_SLOW, "calls cannot be sent within 15 seconds of their re-read: raise the rate"
                )

    def _may_send(self) -> int:
        """Return how many more calls this session may send."""
        limit = self._options.limit
        return len(self._queue) if limit is None else limit - self._n_sent

    def _chunk_size(self) -> int:
        """Return how many calls about ten seconds can take, their re-reads included."""
        rate, latency_s = self._traffic.rate, self._traffic.latency_s
        n = _CHUNK_S * rate * IDS_PER_READ / (IDS_PER_READ + 1)
        if latency_s > 0:
            n = min(n, _CHUNK_S * self._most_workers / latency_s)
        return max(1, min(int(n), self._may_send()))

    @property
    def _most_workers(self) -> int:
        return min(self._options.concurrency or MAX_WORKERS, MAX_CONNECTIONS)

    def _grow(self) -> None:
        """Have as many threads as the rate needs at the latency seen so far."""
        needed = _MIN_WORKERS + math.ceil(self._traffic.rate * self._traffic.latency_s * _SPARE)
        self._workers.grow(min(self._most_workers, self._options.concurrency or needed))

    def _end(self) -> tuple[End, str]:
        if self._stop.kind is not None:
            return self._stop.kind, self._stop.note or self._stop.kind.value
        if self._queue:
            return (
                End.LIMIT,
                f"the limit of {self._options.limit} calls was reached, {len(self._queue)} are left",
            )
        return End.COMPLETE, "every call of the plan was attempted or found settled"

    def _write_end(self, kind: End, note: str) -> None:
        self._writer.append([self._scribe.ended(self._traffic.tools.now(), kind.value, note)])

    def _raise_for(self, kind: End, note: str) -> None:
        if kind is End.DRIFT:
            calls = len({row["call_id"] for row in self._drift})
            msg = f"{calls} call(s) no longer hold what the plan was reviewed against; see .drift, and build a new plan"
            columns = ["call_id", "field", "before", "after", "observed"]
            raise PlanDriftError(msg, drift=pd.DataFrame(self._drift, columns=columns, dtype="str"))
        refused = {End.UNAUTHENTICATED, End.FORBIDDEN, End.UNREADABLE, End.CONTROL_GONE}
        if kind in refused and self._n_sent == 0:
            if self._stop.exchange is not None:
                raise error_of(self._stop.exchange, gave_up="nothing was sent")
            msg = f"{note}; nothing was sent"
            raise ApiError(msg)

    def _end_abruptly(self, exc: BaseException) -> None:
        """Stop, let what is in flight finish, and write down what can be; the error itself is raised by the caller."""
        if isinstance(exc, KeyboardInterrupt):
            self._stop.stop(End.INTERRUPTED, "interrupted by hand")
        elif isinstance(exc, AuditError):
            self._stop.stop(End.AUDIT, str(exc))
        else:
            self._stop.stop(End.ERROR, f"{type(exc).__name__} stopped the run")
        self._workers.drain(GRACE_S)
        try:
            self._write_outcomes()
            self._write_end(*self._end())
        except AuditError as failed:
            # The log takes no more. The intents are in it, so the calls are read back when the plan is
            # applied again; the error that comes first is the one to tell.
            exc.add_note(f"the end of the session could not be written either: {failed}")

    # One chunk

    def _chunk(self, size: int) -> None:
        batch = list(islice(self._queue, size))
        readings = self._read(batch)
        if readings is None:
            return
        at = self._traffic.tools.now()
        jobs: list[Job] = []
        settled: list[tuple[PlannedCall, Decision]] = []
        absent: list[PlannedCall] = []
        for reading, part in readings:
            rows = reading.rows or {}
            for planned in part:
                observed = rows.get(planned.call_id)
                if observed is None:
                    absent.append(planned)
                    continue
                ours = self._may_be_ours(planned)
                decision = decide_call(
                    planned,
                    observed,
                    may_be_ours=ours,
                    problem=self._plan.whole_record_problem,
                    decimals=reading.decimals,
                )
                decision = self._still_altered(planned, decision, reading)
                if decision.outcome is None:
                    jobs.append(Job(planned, observed, reading.read_at, ours))
                else:
                    settled.append((planned, decision))
        if absent:
            missing = self._confirm_missing(absent)
            if missing is None:
                return
            settled += [(planned, _MISSING) for planned in absent if planned.call_id in missing]
        self._drift += [row for _, decision in settled for row in decision.drift]
        must_stop = self._options.on_drift == "raise" and bool(self._drift)
        if must_stop:
            jobs = []
            self._stop.stop(End.DRIFT, "a call no longer holds what the plan was reviewed against")
        with interrupts_deferred():
            self._writer.append(
                [self._scribe.outcome(at, planned, decision) for planned, decision in settled]
                + [self._scribe.intent(at, job) for job in jobs]
            )
            # From here on the calls are in the log, with an outcome or with an intent.
            done = {planned.call_id for planned, _ in settled} | {job.planned.call_id for job in jobs}
            for _ in batch:
                self._queue.popleft()
            self._queue.extendleft(planned for planned in reversed(batch) if planned.call_id not in done)
            self._n_done += len(settled)
            self._jobs = jobs
        if jobs:
            self._send(jobs)

    def _may_be_ours(self, planned: PlannedCall) -> bool:
        call = self._state.calls.get(planned.call_id)
        return call is not None and call.may_be_ours

    def _still_altered(self, planned: PlannedCall, decision: Decision, reading: Reading) -> Decision:
        """Keep `altered` as it is while the call holds what our writing left: it is no drift, and can be undone."""
        call = self._state.calls.get(planned.call_id)
        if call is None or call.last is not Outcome.ALTERED or decision.outcome is not Outcome.DRIFTED:
            return decision
        return stays_altered(decision, call.observed, reading.decimals)

    def _read(self, batch: Sequence[PlannedCall]) -> list[tuple[Reading, Sequence[PlannedCall]]] | None:
        """Re-read a batch, several requests at a time; None where the run is to stop."""
        parts = list(_in_parts(batch, IDS_PER_READ))
        readings: dict[int, Reading] = {}

        def read(place: int) -> None:
            readings[place] = self._traffic.read([planned.call_id for planned in parts[place]])

        self._workers.run([Task(partial(read, place)) for place in range(len(parts))], self._tick)
        for reading in readings.values():
            if reading.rows is None:
                self._stop.stop(
                    End.UNREADABLE, f"calls could not be read: {reading.gave_up}", reading.exchange
                )
        if self._stop.is_set:
            return None
        if self._sender is None:
            visible = [call_id for reading in readings.values() for call_id in reading.rows or {}]
            control_id = visible[0] if visible else self._find_control(batch)
            if control_id is None:
                return None
            self._sender = Sender(self._traffic, self._stop, self._plan.whole_record_problem, control_id)
        return [(readings[place], part) for place, part in enumerate(parts)]

    def _find_control(self, batch: Sequence[PlannedCall]) -> str | None:
        """Look among the plan's other calls for one that is visible; without any, nothing missing can be believed."""
        unseen = {planned.call_id for planned in batch}
        others = (planned for planned in self._calls if planned.call_id not in unseen)
        for part in islice(_in_parts(islice(others, _PROBES * IDS_PER_READ), IDS_PER_READ), _PROBES):
            reading = self._traffic.read([planned.call_id for planned in part])
            if reading.rows:
                return next(iter(reading.rows))
        self._stop.stop(
            End.CONTROL_GONE,
            "none of the plan's calls can be seen with this token, so whether they are gone cannot be told",
        )
        return None

    def _confirm_missing(self, absent: Sequence[PlannedCall]) -> set[str] | None:
        """Read calls that were not shown once more, beside the control call; None where the run is to stop."""
        control_id = self._sender.control_id if self._sender is not None else ""
        missing: set[str] = set()
        for part in _in_parts(absent, IDS_PER_READ - 1):
            ids = [planned.call_id for planned in part]
            reading = self._traffic.read(list(dict.fromkeys([control_id, *ids])))
            if reading.rows is None:
                self._stop.stop(
                    End.UNREADABLE, f"calls could not be read: {reading.gave_up}", reading.exchange
                )
                return None
            if control_id not in reading.rows:
                self._stop.stop(
                    End.CONTROL_GONE,
                    "a call that was visible at the start no longer is, so nothing missing is believed",
                )
                return None
            missing |= set(ids) - set(reading.rows)
        return missing

    def _send(self, jobs: Sequence[Job]) -> None:
        sender = self._sender
        if sender is None:  # pragma: no cover - a chunk with jobs was read, so a control call is known
            msg = "there is no control call"
            raise RuntimeError(msg)
        tasks = [Task(partial(sender.send, job)) for job in jobs]
        self._workers.run(tasks, self._tick)
        self._write_outcomes()

    def _write_outcomes(self) -> None:
        """Make what came of the chunk durable, and put back what was not sent."""
        at = self._traffic.tools.now()
        with interrupts_deferred():
            entries = []
            unsent = []
            for job in self._jobs:
                job.close(at)
                if job.result is None:
                    unsent.append(job.planned)
                    continue
                entries += self._scribe.attempts(job)
                entries.append(self._scribe.outcome(job.settled_at or at, job.planned, job.result, job))
                if self._options.on_drift == "raise":
                    self._drift += job.result.drift
            self._writer.append(entries)
            self._n_sent += sum(bool(job.attempts) for job in self._jobs)
            self._n_done += len(self._jobs) - len(unsent)
            self._queue.extendleft(reversed(unsent))
            self._jobs = []
        if self._drift and self._options.on_drift == "raise":
            self._stop.stop(End.DRIFT, "a call no longer holds what the plan was reviewed against")


_MISSING: Final = Decision(Outcome.MISSING, "reread", "not_found", "the API no longer shows this call")


def _in_parts(calls: Sequence[PlannedCall] | Iterator[PlannedCall], size: int) -> Iterator[list[PlannedCall]]:
    """Yield calls so many at a time."""
    source = iter(calls)
    while part := list(islice(source, size)):
        yield part
