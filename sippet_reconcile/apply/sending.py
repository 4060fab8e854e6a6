"""Carry one call through its PATCH: send, check the answer, read back what was lost, decide.

Input is a `Job`: a planned call whose re-read showed `before` and whose intent is
durable. Output is what came of it, kept on the job itself, so that nothing is lost
wherever the main thread is interrupted. Runs in a worker thread.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.api.retry import MAX_ATTEMPTS, GiveUp
from sippet_reconcile.apply.decisions import Decision, decide_call, judge_answer, texts_by_id
from sippet_reconcile.apply.stopping import End, StoppedError
from sippet_reconcile.apply.traffic import StaleError
from sippet_reconcile.audit import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.apply.decisions import PlannedCall, Texts
    from sippet_reconcile.apply.stopping import StopSign
    from sippet_reconcile.apply.traffic import Traffic

__all__ = ["Attempt", "Job", "Sender"]

_REFUSED: Final = frozenset({ExchangeKind.REJECTED, ExchangeKind.UNAUTHENTICATED, ExchangeKind.FORBIDDEN})
_MAY_FOLLOW_A_WRITE: Final = frozenset({404, 503})
"""Answers that may come, from whatever stands in front of the API, after the call was written all the same."""
_LEFT_UNREAD: Final = "the run stopped before the call could be read back"


@dataclass(frozen=True)
class Attempt:
    """One PATCH that left, and what came of it; None while its answer is awaited."""

    at: datetime
    exchange: Exchange | None


@dataclass(eq=False)
class Job:
    """One call on its way; written by one worker, read by the main thread."""

    planned: PlannedCall
    observed: Texts
    read_at: float
    may_be_ours: bool
    attempts: list[Attempt] = field(default_factory=list)
    result: Decision | None = None
    settled_at: datetime | None = None
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def leave(self, at: datetime) -> None:
        """Note that a PATCH is leaving now."""
        with self._lock:
            if self._closed:
                raise StoppedError
            self.attempts.append(Attempt(at, None))

    def answered(self, exchange: Exchange) -> None:
        """Note what came of the PATCH that left last."""
        with self._lock:
            if not self._closed:
                self.attempts[-1] = Attempt(self.attempts[-1].at, exchange)

    def settle(self, result: Decision, at: datetime) -> None:
        """Note what came of the call, unless the main thread has given it up."""
        with self._lock:
            if not self._closed:
                self.result, self.settled_at = result, at

    def close(self, at: datetime) -> None:
        """Let no worker write to this job any more; what it has sent without an answer is unknown."""
        with self._lock:
            self._closed = True
            if self.result is None and self.attempts:
                detail = "its answer was still awaited when the run stopped"
                self.result, self.settled_at = Decision(Outcome.UNKNOWN, None, "unanswered", detail), at


class Sender:
    """Sends jobs; shared by all workers.

    Parameters
    ----------
    traffic, stop
        The gate, and the sign to stop.
    problem
        The whole-record rule of the plan.
    control_id
        A call that was visible when the session began: whatever is missing is believed
        to be so only while this one can still be seen.
    """

    def __init__(
        self,
        traffic: Traffic,
        stop: StopSign,
        problem: Callable[[str, Mapping[str, str | None]], str | None],
        control_id: str,
    ) -> None:
        self._traffic, self._stop, self._problem = traffic, stop, problem
        self.control_id = control_id

    def send(self, job: Job) -> None:
        """Send one job and settle it, or leave it unsettled where nothing was sent."""
        try:
            result = self._carry(job)
        except StaleError:
            # The re-read grew too old while it waited: nothing was sent, and the unsettled job is read again.
            return
        except StoppedError:
            if job.attempts:
                job.settle(
                    Decision(Outcome.UNKNOWN, None, "stopped", _LEFT_UNREAD), self._traffic.tools.now()
                )
        else:
            job.settle(result, self._traffic.tools.now())
            if result.outcome is not None:
                self._stop.count(result.outcome)

    def _carry(self, job: Job) -> Decision:
        """Try until there is something to say about the call.

        Raises
        ------
        StaleError
            Only ahead of the first attempt.
        StoppedError
            If the run is stopped.
        """
        unsure = may_be_ours = False
        while True:
            try:
                exchange = self._traffic.patch(
                    job.planned, job.read_at, lambda: job.leave(self._traffic.tools.now())
                )
            except StaleError:
                if not job.attempts:
                    raise
                decision = self._reread(job, unsure=unsure, may_be_ours=may_be_ours)
                if decision.outcome is not None:
                    return decision
                continue
            job.answered(exchange)
            if exchange.kind is ExchangeKind.OK and exchange.calls is not None:
                (call_id, answered), *_ = texts_by_id(exchange.calls).items()
                decimals = self._traffic.decimals_of(exchange)
                return judge_answer(job.planned, call_id, answered, job.observed, decimals)
            if exchange.kind in _REFUSED:
                return Decision(Outcome.REJECTED, "answer", exchange.error_code, exchange.error_detail)
            gave_up = self._wait(exchange, len(job.attempts))
            unsure = unsure or exchange.may_have_been_applied
            may_be_ours = may_be_ours or unsure or exchange.status in _MAY_FOLLOW_A_WRITE
            if exchange.may_have_been_applied or exchange.kind is ExchangeKind.MISSING or gave_up:
                decision = self._reread(job, unsure=unsure, may_be_ours=may_be_ours)
                if decision.outcome is not None:
                    return decision
            if gave_up:
                detail = exchange.error_detail or f"{exchange.kind.value}: {gave_up}"
                return Decision(Outcome.FAILED, "reread", exchange.error_code or exchange.kind.value, detail)

    def _wait(self, exchange: Exchange, attempt: int) -> str:
        """Wait as long as this failure asks for; return why to give up, or nothing."""
        decision = self._traffic.wait_after(exchange, attempt)
        if isinstance(decision, GiveUp):
            # These are given up by the rules for requests; a call that was read again may be sent again.
            is_undecided = exchange.kind in {ExchangeKind.LOST, ExchangeKind.MALFORMED, ExchangeKind.MISSING}
            if is_undecided and attempt < MAX_ATTEMPTS:
                return ""
            return f"gave up after {attempt} attempts" if is_undecided else decision.reason
        return ""

    def _reread(self, job: Job, *, unsure: bool, may_be_ours: bool) -> Decision:
        """Read the call again beside the control call, and decide; the job relies on this reading from now on."""
        call_id = job.planned.call_id
        reading = self._traffic.read(list(dict.fromkeys([call_id, self.control_id])))
        if reading.rows is None:
            detail = f"could not be read back: {reading.gave_up or reading.exchange.kind.value}"
            return Decision(Outcome.UNKNOWN, None, "unreadable", detail)
        if self.control_id not in reading.rows:
            self._stop.stop(
                End.CONTROL_GONE,
                "a call that was visible at the start no longer is, so nothing missing is believed",
            )
            return Decision(Outcome.UNKNOWN, None, "unreadable", "the control call is gone with it")
        observed = reading.rows.get(call_id)
        if observed is None:
            return Decision(Outcome.MISSING, "reread", "not_found", "the API no longer shows this call")
        decision = decide_call(
            job.planned,
            observed,
            may_be_ours=may_be_ours or job.may_be_ours,
            problem=self._problem,
            decimals=reading.decimals,
        )
        job.observed, job.read_at = observed, reading.read_at
        if decision.outcome is Outcome.DRIFTED and unsure:
            detail = f"an answer was lost, and now {decision.detail}: whether ours was written cannot be told"
            return Decision(Outcome.UNKNOWN, None, "lost", detail, decision.observed)
        return decision
