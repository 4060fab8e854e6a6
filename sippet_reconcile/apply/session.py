"""Carry a plan through: re-read, decide, write the intents, send, write the outcomes.

Input are the calls of a plan that are not settled yet, output are the records of one
session in the audit log. Calls go in chunks: while one is being sent, the next is read
and its intents are written, so that the pace never has to wait for an answer or the
disk. The main thread only waits, decides and writes; requests are made by workers
behind one pace.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import pandas as pd

from sippet_reconcile.api.exchange import error_of
from sippet_reconcile.apply.planned import whole_record_problem
from sippet_reconcile.apply.preparing import Preparation, Reader
from sippet_reconcile.apply.sending import DRIFTED, Job, Sender
from sippet_reconcile.apply.sizing import MAX_WORKERS, Sizing
from sippet_reconcile.apply.stopping import BY_THE_API, End
from sippet_reconcile.apply.traffic import IDS_PER_READ
from sippet_reconcile.apply.waiting import Waiting
from sippet_reconcile.apply.workers import GRACE_S, Batch, Workers
from sippet_reconcile.audit import interrupts_deferred
from sippet_reconcile.errors import ApiError, AuditError, PlanDriftError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sippet_reconcile.apply.entries import Scribe
    from sippet_reconcile.apply.planned import PlannedCalls
    from sippet_reconcile.apply.stopping import StopSign
    from sippet_reconcile.apply.traffic import Traffic
    from sippet_reconcile.audit import AuditWriter
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.progress import Reporter
    from sippet_reconcile.run import RunState

__all__ = ["CHUNK_S", "MAX_WORKERS", "Options", "Session"]

CHUNK_S: Final = 10.0
"""Seconds of sending whose calls are read, announced and written down together."""

_TICK_S: Final = 0.1
_MAX_FUTILE: Final = 5
_MAX_AT_ONCE: Final = 2
"""Chunks whose intents are written and whose outcomes are not."""


@dataclass(frozen=True)
class Options:
    """What `apply_plan` was asked for, checked; the last two are for tests."""

    rate: str
    limit: int | None
    concurrency: int | None
    on_drift: str
    max_failures: int
    chunk_s: float = CHUNK_S
    looks_ahead: bool = True


@dataclass(eq=False)
class _Chunk:
    """Calls whose intents are durable and whose outcomes are not."""

    jobs: list[Job]
    places: dict[str, int]
    batch: Batch

    @property
    def n_waiting(self) -> int:
        """How many of its PATCHes have not left yet."""
        return 0 if self.batch.is_done else sum(not job.attempts for job in self.jobs)


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
        self._waiting = Waiting(state.calls.left_of(calls.ids))
        self._n_done = len(calls) - len(self._waiting)
        self._is_open = False  # its start is in the log, its end is not
        self._n_sent = 0
        self._n_futile = 0
        self._ticked_at = -math.inf
        self._workers = Workers(stop)
        self._sizing = Sizing(traffic, options.concurrency, options.chunk_s)
        self._reader = Reader(
            whole_record_problem(plan), calls, state, traffic=traffic, stop=stop, workers=self._workers
        )
        self._ahead: deque[Preparation] = deque()
        self._chunks: deque[_Chunk] = deque()
        self._sender: Sender | None = None
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
            kind, note = self._end()
            self._write_end(kind, note)
        except BaseException as exc:
            self._end_abruptly(exc)
            raise
        finally:
            self._workers.close()
        self._raise_for(kind, note)

    def _tick(self) -> None:
        """Report how far it is, and add threads where answers became slower; ten times a second is enough."""
        now = time.monotonic()
        if now - self._ticked_at >= _TICK_S:
            self._ticked_at = now
            self._workers.grow(self._sizing.n_workers)
            self._tell()

    def _tell(self) -> None:
        done = self._n_done + sum(job.result is not None for chunk in self._chunks for job in chunk.jobs)
        self._report(done, len(self._calls), "applying")

    # From start to end

    def _begin(self) -> None:
        at = self._traffic.tools.now()
        options = self._options
        asked = {"rate": options.rate, "limit": options.limit, "on_drift": options.on_drift}
        is_first = self._state.n_sessions == 0
        entries = [self._scribe.started(at, self._plan, self._calls, is_first=is_first, options=asked)]
        plan = self._plan
        approvals = (self._scribe.approval(one) for one in plan.approvals if one.plan_id == plan.plan_id)
        entries += [
            entry for entry in approvals if (entry.by, entry.at, entry.note) not in self._state.approvals
        ]
        with interrupts_deferred():
            self._writer.append(entries)
            self._is_open = True

    def _loop(self) -> None:
        """Take whatever step can be taken without waiting, the one that the pace needs most first."""
        self._tick()
        while not self._stop.is_set:
            if not (self._announce() or self._read_ahead() or self._finish()):
                if not self._chunks and not self._ahead:
                    break
                self._workers.wait(_TICK_S)
            self._tick()
        if self._stop.is_set:
            self._workers.drain(GRACE_S)
        self._workers.require_sound()
        self._write_outcomes(self._chunks)
        self._tell()

    def _may_send(self) -> int:
        """Return how many more calls may be taken into chunks."""
        if self._options.limit is None:
            return len(self._waiting)
        n_taken = sum(len(chunk.jobs) for chunk in self._chunks)
        n_taken += sum(len(preparation.calls) for preparation in self._ahead)
        return min(len(self._waiting), self._options.limit - self._n_sent - n_taken)

    def _end(self) -> tuple[End, str]:
        if self._stop.kind is not None:
            return self._stop.kind, self._stop.note or self._stop.kind.value
        if self._waiting:
            n_left = len(self._waiting)
            return End.LIMIT, f"the limit of {self._options.limit} calls was reached, {n_left} are left"
        return End.COMPLETE, "every call of the plan was attempted or found settled"

    def _write_end(self, kind: End, note: str) -> None:
        with interrupts_deferred():
            self._writer.append([self._scribe.ended(self._traffic.tools.now(), kind.value, note)])
            self._is_open = False

    def _raise_for(self, kind: End, note: str) -> None:
        if kind is End.DRIFT:
            calls = len({row["call_id"] for row in self._drift})
            msg = f"{calls} call(s) no longer hold what the plan was reviewed against; see .drift, and build a new plan"
            columns = ["call_id", "field", "before", "after", "observed"]
            raise PlanDriftError(msg, drift=pd.DataFrame(self._drift, columns=columns, dtype="str"))
        if kind in BY_THE_API and self._n_sent == 0:
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
        if not self._is_open:
            return
        self._workers.drain(GRACE_S)
        try:
            self._write_outcomes(self._chunks)
            self._write_end(*self._end())
        except AuditError as failed:
            # The log takes no more. The intents are in it, so the calls are read back when the plan is
            # applied again; the error that comes first is the one to tell.
            exc.add_note(f"the end of the session could not be written either: {failed}")

    # Steps; each says whether there was something to do

    def _read_ahead(self) -> bool:
        """Begin to read the next chunk where the calls at hand will be sent soon."""
        may_send = self._may_send()
        n_at_once = len(self._chunks) + len(self._ahead)
        if may_send <= 0 or n_at_once > _MAX_AT_ONCE or (n_at_once and not self._options.looks_ahead):
            return False
        n_waiting = sum(chunk.n_waiting for chunk in self._chunks)
        n_waiting += sum(len(preparation.calls) for preparation in self._ahead)
        if n_at_once and n_waiting > self._sizing.n_ahead:
            return False
        size = min(self._sizing.n_calls, may_send)
        if not self._reader.control_ids and not self._ahead:
            # The first chunk is one read, so that PATCHes follow while the others are read.
            size = min(size, IDS_PER_READ)
        self._ahead.append(Preparation(self._reader, self._waiting.take(size)))
        return True

    def _announce(self) -> bool:
        """Make durable what is meant for the chunk that was read, then let its PATCHes queue."""
        if not self._ahead or len(self._chunks) >= _MAX_AT_ONCE or not self._ahead[0].is_ready():
            return False
        preparation = self._ahead[0]
        decided = preparation.decide()
        drift = [row for _, decision in decided.settled for row in decision.drift]
        self._drift += drift
        jobs = decided.jobs
        left = decided.undecided
        if drift and self._options.on_drift == "raise":
            self._stop.stop(End.DRIFT, DRIFTED)
            left = left + [job.planned for job in jobs]
            jobs = []
        at = self._traffic.tools.now()
        with interrupts_deferred():
            self._writer.append(
                [self._scribe.outcome(at, planned, decision) for planned, decision in decided.settled]
                + [self._scribe.intent(at, job) for job in jobs]
            )
            # From here on the calls are in the log, with an outcome or with an intent.
            self._ahead.popleft()
            self._waiting.put_back(preparation.places[planned.call_id] for planned in left)
            self._n_done += len(decided.settled)
            if jobs:
                sender = self._sender_of()
                batch = self._workers.submit(partial(sender.send, job) for job in jobs)
                self._chunks.append(_Chunk(jobs, preparation.places, batch))
        if decided.settled or not jobs:
            self._count_futile(was_futile=not decided.settled)
        return True

    def _sender_of(self) -> Sender:
        """Return what sends jobs; made once the control calls are known."""
        if self._sender is None:
            control_ids = self._reader.control_ids
            if not control_ids:  # pragma: no cover - a chunk with jobs was read, so control calls are known
                msg = "there is no control call"
                raise RuntimeError(msg)
            self._sender = Sender(
                self._traffic,
                self._stop,
                self._reader.problem,
                control_ids,
                stops_at_drift=self._options.on_drift == "raise",
            )
        return self._sender

    def _finish(self) -> bool:
        """Make durable what came of the oldest chunk, once all its answers are there."""
        if not self._chunks or not self._chunks[0].batch.is_done:
            return False
        chunk = self._chunks[0]
        self._write_outcomes([chunk])
        self._count_futile(was_futile=not any(job.attempts for job in chunk.jobs))
        return True

    def _count_futile(self, *, was_futile: bool) -> None:
        self._n_futile = self._n_futile + 1 if was_futile else 0
        if self._n_futile >= _MAX_FUTILE:
            self._stop.stop(End.TOO_SLOW, self._traffic.stale_note)

    def _write_outcomes(self, chunks: Iterable[_Chunk]) -> None:
        """Make what came of chunks durable, and put back what was not sent."""
        at = self._traffic.tools.now()
        with interrupts_deferred():
            entries = []
            for chunk in (done := list(chunks)):
                for job in chunk.jobs:
                    job.close(at)
                    if job.result is None:
                        continue
                    entries += self._scribe.attempts(job)
                    entries.append(self._scribe.outcome(job.settled_at or at, job.planned, job.result, job))
                    if self._options.on_drift == "raise":
                        self._drift += job.result.drift
            self._writer.append(entries)
            for chunk in done:
                self._chunks.remove(chunk)
                unsent = [chunk.places[job.planned.call_id] for job in chunk.jobs if job.result is None]
                self._waiting.put_back(unsent)
                self._n_sent += sum(bool(job.attempts) for job in chunk.jobs)
                self._n_done += len(chunk.jobs) - len(unsent)
        if self._drift and self._options.on_drift == "raise":
            self._stop.stop(End.DRIFT, DRIFTED)
