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
from sippet_reconcile.api.retry import GiveUp
from sippet_reconcile.apply.decisions import Decision, decide_call, judge_answer
from sippet_reconcile.apply.stopping import End, StoppedError
from sippet_reconcile.apply.traffic import HeldBackError, StaleError
from sippet_reconcile.audit import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.apply.decisions import PlannedCall, Problem, Texts
    from sippet_reconcile.apply.freshness import Moment
    from sippet_reconcile.apply.stopping import StopSign
    from sippet_reconcile.apply.traffic import Traffic

__all__ = ["DRIFTED", "NOTHING_VISIBLE", "Attempt", "Job", "Sender"]

_NOT_FOUND: Final = 404
_MAY_FOLLOW_A_WRITE: Final = frozenset({404, 503})
"""Answers that may come, from whatever stands in front of the API, after the call was written all the same."""
_MAX_ROUNDS: Final = 12
"""PATCHes and re-reads of one call in one session, those that an outage or a pause spoilt included."""
NOTHING_VISIBLE: Final = "no call that was visible at the start still is, so nothing missing is believed"
DRIFTED: Final = "a call no longer holds what the plan was reviewed against"
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
    read_at: Moment
    may_be_ours: bool
    attempts: list[Attempt] = field(default_factory=list)
    result: Decision | None = None
    settled_at: datetime | None = None
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_in_doubt(self) -> bool:
        """Whether one of its PATCHes got no answer that says whether it was, or still will be, carried out."""
        exchanges = [attempt.exchange for attempt in self.attempts]
        return any(exchange is None or exchange.may_have_been_applied for exchange in exchanges)

    def leave(self, at: datetime) -> None:
        """Note that a PATCH is leaving now."""
        with self._lock:
            if self._closed:
                raise StoppedError
            self.attempts.append(Attempt(at, None))

    def stay(self) -> None:
        """Note that the PATCH that was said to be leaving did not leave after all."""
        with self._lock:
            if not self._closed:
                self.attempts.pop()

    def answered(self, exchange: Exchange) -> None:
        """Note what came of the PATCH that left last."""
        with self._lock:
            if not self._closed:
                self.attempts[-1] = Attempt(self.attempts[-1].at, exchange.without_content())

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
    control_ids
        Calls that were visible when the session began: whatever is missing is believed
        to be so only while one of these can still be seen.
    stops_at_drift
        Whether a call that turns out to have drifted stops the run.
    """

    def __init__(
        self,
        traffic: Traffic,
        stop: StopSign,
        problem: Problem,
        control_ids: Sequence[str],
        *,
        stops_at_drift: bool,
    ) -> None:
        self._traffic, self._stop, self._problem = traffic, stop, problem
        self._control_ids, self._stops_at_drift = tuple(control_ids), stops_at_drift

    def send(self, job: Job) -> None:
        """Send one job and settle it, or leave it unsettled where nothing was sent."""
        try:
            result = self._carry(job)
        except StaleError:
            # The re-read grew too old while it waited: nothing was sent, and the unsettled job is read again.
            return
        except StoppedError:
            if job.attempts:
                unread = Decision(Outcome.UNKNOWN, None, "stopped", _LEFT_UNREAD)
                job.settle(_refusal(job) or unread, self._traffic.tools.now())
        else:
            if result.outcome is Outcome.UNKNOWN:
                result = _refusal(job) or result
            job.settle(result, self._traffic.tools.now())
            if result.outcome is not None:
                self._stop.count(result.outcome)
            if result.outcome is Outcome.DRIFTED and self._stops_at_drift:
                self._stop.stop(End.DRIFT, DRIFTED)

    def _carry(self, job: Job) -> Decision:
        """Try until there is something to say about the call; no PATCH follows another without a re-read between.

        Raises
        ------
        StaleError
            Only ahead of the first attempt.
        StoppedError
            If the run is stopped.
        """
        exchange: Exchange | None = None
        unsure = may_be_ours = False
        n_excused = 0
        gave_up = ""
        for _ in range(_MAX_ROUNDS):
            try:
                exchange = self._patch(job)
            except StaleError:
                if exchange is None:
                    raise
            else:
                result = self._verdict(job, exchange)
                if result is not None:
                    return result
                unsure = unsure or exchange.may_have_been_applied
                may_be_ours = may_be_ours or unsure or exchange.status in _MAY_FOLLOW_A_WRITE
                if self._traffic.outlast(exchange):
                    n_excused = len(job.attempts)
                else:
                    decision = self._traffic.wait_after(exchange, len(job.attempts) - n_excused)
                    gave_up = decision.reason if isinstance(decision, GiveUp) else ""
            result = self._reread(job, unsure=unsure, may_be_ours=may_be_ours)
            if result.outcome is not None:
                return result
            if gave_up:
                break
        return _given_up(
            exchange, gave_up or f"gave up after {_MAX_ROUNDS} rounds of sending and reading again"
        )

    def _patch(self, job: Job) -> Exchange:
        def leaving() -> None:
            job.leave(self._traffic.tools.now())

        try:
            exchange = self._traffic.patch(job.planned, job.read_at, leaving, is_retry=bool(job.attempts))
        except HeldBackError:
            job.stay()
            raise
        job.answered(exchange)
        return exchange

    def _verdict(self, job: Job, exchange: Exchange) -> Decision | None:
        """Say what an answer alone settles: success, or a refusal that is the call's own."""
        if exchange.kind is ExchangeKind.OK and exchange.texts is not None:
            (call_id, answered), *_ = exchange.texts.items()
            decimals = self._traffic.decimals_of(exchange)
            return judge_answer(job.planned, call_id, answered, job.observed, decimals)
        # Everything is 404 to a dead token, so that one is believed beside a control call only.
        is_refused = exchange.kind is ExchangeKind.REJECTED and exchange.status != _NOT_FOUND
        if is_refused or exchange.kind is ExchangeKind.UNAUTHENTICATED:
            return Decision(Outcome.REJECTED, "answer", exchange.error_code, exchange.error_detail)
        return None

    def _reread(self, job: Job, *, unsure: bool, may_be_ours: bool) -> Decision:
        """Read the call again beside the control calls, and decide; the job relies on this reading from now on."""
        call_id = job.planned.call_id
        reading = self._traffic.read(list(dict.fromkeys([call_id, *self._control_ids])), is_retry=True)
        if reading.rows is None:
            detail = f"could not be read back: {reading.gave_up or reading.exchange.kind.value}"
            return Decision(Outcome.UNKNOWN, None, "unreadable", detail)
        observed = reading.rows.get(call_id)
        if observed is None:
            if not any(control_id in reading.rows for control_id in self._control_ids):
                self._stop.stop(End.CONTROL_GONE, NOTHING_VISIBLE)
                return Decision(Outcome.UNKNOWN, None, "unreadable", "the control call is gone with it")
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


def _given_up(exchange: Exchange | None, reason: str) -> Decision:
    """Say what a call came to whose PATCH does not succeed, although a re-read shows that it may be sent."""
    if exchange is not None and exchange.kind in {ExchangeKind.REJECTED, ExchangeKind.FORBIDDEN}:
        return Decision(Outcome.REJECTED, "answer", exchange.error_code, exchange.error_detail)
    kind = "stale" if exchange is None else exchange.kind.value
    code = None if exchange is None else exchange.error_code
    detail = None if exchange is None else exchange.error_detail
    return Decision(Outcome.FAILED, "reread", code or kind, detail or f"{kind}: {reason}")


def _refusal(job: Job) -> Decision | None:
    """Return the refusal of a call that was answered 403 and cannot be read again; None where it may be written."""
    last = job.attempts[-1].exchange if job.attempts and not job.is_in_doubt else None
    return None if last is None or last.kind is not ExchangeKind.FORBIDDEN else _given_up(last, "")
