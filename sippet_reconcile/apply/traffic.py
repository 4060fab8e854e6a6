"""Let requests out: one pace for all threads, pauses for all, retries of reads, no sending into an outage.

Input are ids to read and changes to send, output are exchanges and the values read.
Every request of a run passes here and takes a permit, re-reads, retries and probes included.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import random as _random
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.breaker import Sign, sign_of
from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.api.reading import held_back
from sippet_reconcile.api.retry import MAX_WAIT_S, GiveUp, Retry, RetryBudget, backoff_s, decide, rule_for
from sippet_reconcile.apply.freshness import FRESH_S, Age, Moment, age_of
from sippet_reconcile.apply.outages import Outages
from sippet_reconcile.apply.stopping import End, StoppedError
from sippet_reconcile.values import learn_decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.api.pacing import Pacer
    from sippet_reconcile.apply.decisions import PlannedCall, Texts
    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["FRESH_S", "IDS_PER_READ", "HeldBackError", "Reading", "StaleError", "Tools", "Traffic"]

IDS_PER_READ: Final = 50
"""Calls re-read in one request; more would make the address too long."""

_MIN_PAUSE_S: Final = 1.0
_SMOOTHING: Final = 0.2
_LIMITS: Final = frozenset({403, 429})
"""Statuses that ask for a slower pace."""
_TOO_LONG: Final = frozenset({413, 414, 431})
"""Statuses that a shorter address may avoid."""


class StaleError(Exception):
    """A re-read grew too old while its PATCH waited for its turn; nothing was sent."""


class HeldBackError(StaleError):
    """It grew too old, or the run was stopped, while the connection was made: after the PATCH was said to be leaving."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Tools:
    """The world outside: clocks and chance, so that tests can bring their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = _now
    random: Callable[[], float] = _random

    def moment(self) -> Moment:
        """Return this instant by both clocks."""
        return Moment(self.clock(), self.now())


@dataclass(frozen=True)
class Reading:
    """What one re-read showed; ``rows`` is None where it could not be read."""

    rows: dict[str, Texts] | None
    read_at: Moment
    """When the request left: what it shows may be as old as that."""
    exchange: Exchange
    gave_up: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """Field to the decimals of a second that the server has answered so far."""


class Traffic:
    """The gate through which each request of a run leaves."""

    def __init__(self, client: Client, pacer: Pacer, stop: StopSign, tools: Tools) -> None:
        self._pacer, self._stop, self._tools = pacer, stop, tools
        self._client = client.told_of_leaving(pacer.left)
        self._outages = Outages(pacer, stop, clock=tools.clock, probe=self._probe)
        self._lock = threading.Lock()
        self._budget = RetryBudget()
        self._probe_id = ""
        self._latency_s = 0.0
        self._decimals: dict[str, int] = {}
        self._last_age = Age.FRESH

    @property
    def rate(self) -> float:
        """Requests per second at this moment."""
        return self._pacer.rate

    @property
    def latency_s(self) -> float:
        """How long requests take, smoothed."""
        return self._latency_s

    def is_fresh(self, read_at: Moment) -> bool:
        """Tell whether a re-read may still be relied on: young by both clocks, and with no pause since."""
        age = age_of(read_at, self._tools.moment())
        if age is not Age.FRESH:
            self._last_age = age
        return age is Age.FRESH and self._pacer.paused_until <= read_at.clock

    @property
    def stale_note(self) -> str:
        """Why calls cannot be sent soon enough after their re-read, for whoever gives that up."""
        if self._last_age is Age.UNSURE:
            return (
                "the clocks of this machine disagree about how old a re-read is, again and again: keep the machine "
                "awake, and its time of day from being set to and fro"
            )
        return f"calls cannot be sent within {FRESH_S:.0f} seconds of their re-read: raise the rate"

    def _permit(self, read_at: Moment | None = None, *, is_retry: bool) -> None:
        """Wait for a permit; reads go ahead of PATCHes, which wait for them.

        Raises
        ------
        StoppedError
            If the run is stopped, or is now because there were too many retries, or an
            outage did not end.
        StaleError
            If the re-read that a PATCH relies on grew too old meanwhile, or an outage began.
        """

        def gives_up() -> bool:
            return self._stop.is_set or (read_at is not None and not self.is_fresh(read_at))

        is_read = read_at is None
        while True:
            has_permit = self._pacer.acquire(cancelled=gives_up, is_urgent=is_read)
            if self._stop.is_set:
                raise StoppedError
            may_go = has_permit and self._outages.may_go(waits=is_read)
            if read_at is not None and not (may_go and self.is_fresh(read_at)):
                raise StaleError
            if may_go:
                break
        self._spend(is_retry=is_retry)

    def _spend(self, *, is_retry: bool) -> None:
        with self._lock:
            if self._budget.spend(is_retry=is_retry):
                return
            n_retries, n_requests = self._budget.n_retries, self._budget.n_requests
        note = (
            f"{n_retries:,} of {n_requests:,} requests of this session repeated ones that had failed, and no more "
            "are allowed: something is wrong with the API or the way to it; apply the plan again once it is mended"
        )
        self._stop.stop(End.RETRIES, note)
        raise StoppedError

    def patch(
        self, call: PlannedCall, read_at: Moment, leaving: Callable[[], None], *, is_retry: bool
    ) -> Exchange:
        """Send the one PATCH of a call, once.

        Parameters
        ----------
        call
            What to send.
        read_at
            When the re-read that it relies on left.
        leaving
            Called when nothing but the network lies between the request and the API.
        is_retry
            Whether one was sent for this call before.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile.
        StaleError
            If the re-read grew too old meanwhile; nothing was sent. While connecting this, or that the
            run was stopped, is a `HeldBackError`.
        """
        self._permit(read_at, is_retry=is_retry)
        leaving()
        is_held_back = False

        def may_leave() -> bool:
            nonlocal is_held_back
            is_held_back = self._stop.is_set or not self.is_fresh(read_at)
            return not is_held_back

        exchange = self._client.attempt_patch(call.call_id, call.attributes, may_leave=may_leave)
        if is_held_back:
            raise HeldBackError
        self._learn(exchange)
        return exchange

    def decimals_of(self, exchange: Exchange) -> Mapping[str, int]:
        """Return the server's precision by field, to which each usable answer adds what its texts show."""
        with self._lock:
            learn_decimals(self._decimals, exchange.content.decimals)
            return dict(self._decimals)

    def read(self, ids: Sequence[str], *, is_retry: bool = False) -> Reading:
        """Read calls by id, with retries; what a server that caps its answers held back is asked for again.

        Parameters
        ----------
        ids
            At most `IDS_PER_READ`; asked for in halves where the address is too long for somebody on the way.
        is_retry
            Whether the read follows a request that failed, and so counts as a retry.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile.
        """
        rows: dict[str, Texts] = {}
        read_at: Moment | None = None
        size = len(ids)
        left = list(ids)
        while True:
            reading = self._read_once(left[:size], is_retry=is_retry)
            if reading.rows is None:
                if reading.exchange.status in _TOO_LONG and size > 1:
                    size = (size + 1) // 2
                    continue
                return reading
            rows |= reading.rows
            read_at = reading.read_at if read_at is None else read_at  # what was read first is the oldest
            left = held_back(left[:size], reading.rows) + left[size:]
            if not left:
                return replace(reading, rows=rows, read_at=read_at)

    def _read_once(self, ids: Sequence[str], *, is_retry: bool) -> Reading:
        attempt = 0
        while True:
            attempt += 1
            self._permit(is_retry=is_retry)
            is_retry = True
            read_at = self._tools.moment()
            exchange = self._client.attempt_read(ids)
            self._learn(exchange)
            if exchange.kind is ExchangeKind.OK and exchange.texts is not None:
                self._probe_id = self._probe_id or ids[0]
                return Reading(exchange.texts, read_at, exchange, decimals=self.decimals_of(exchange))
            if self.outlast(exchange):
                attempt = 0
                continue
            decision = self.wait_after(exchange, attempt)
            if isinstance(decision, GiveUp):
                return Reading(None, read_at, exchange, decision.reason)

    def _probe(self) -> Exchange:
        """Read a call that could be read before: what failed last may have failed for what it is."""
        exchange = self._client.attempt_read([self._probe_id])
        self._note(exchange)
        rule = rule_for(exchange)
        if rule is not None and rule.pauses_everybody:
            self._pause(exchange, decide(exchange, 1, random=self._tools.random, in_run=True))
        return exchange

    def outlast(self, exchange: Exchange) -> bool:
        """Wait for the end of the outage that a failure belongs to; True where there was one.

        What failed in an outage does not count as an attempt of its own.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile, by the outage or otherwise.
        """
        if not self._outages.is_open or sign_of(exchange) is not Sign.FAILING:
            return False
        before = self._outages.confirmed()
        while self._outages.is_open:
            # The permit comes first: whoever may go is perhaps the one to send the probe.
            self._pacer.acquire(cancelled=lambda: self._stop.is_set, is_urgent=True)
            if self._outages.may_go(waits=True):
                break
        return self._outages.was_confirmed(before)

    def wait_after(self, exchange: Exchange, attempt: int) -> Retry | GiveUp:
        """Decide about another attempt, and wait as long as it takes: everybody on a throttle, else this thread.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile, or is now because the API asks to wait too long.
        """
        decision = decide(exchange, attempt, random=self._tools.random, in_run=True)
        rule = rule_for(exchange)
        if rule is not None and rule.pauses_everybody:
            self._pause(exchange, decision)
        elif isinstance(decision, Retry):
            self._stop.wait(decision.after_s)
        elif exchange.may_have_been_applied:
            # It is read again before anything else; a server that is still busy with it gets a moment.
            self._stop.wait(backoff_s(attempt, random=self._tools.random))
        return decision

    def _pause(self, exchange: Exchange, decision: Retry | GiveUp) -> None:
        asked_s = exchange.retry_after_s
        if asked_s is not None and asked_s > MAX_WAIT_S:
            until = self._tools.now() + timedelta(seconds=asked_s)
            note = (
                f"the API answered {exchange.status} and asks to wait {asked_s:,.0f} seconds: "
                f"apply the plan again after {until:%Y-%m-%d %H:%M} UTC"
            )
            self._stop.stop(End.TOLD_TO_WAIT, note, exchange)
            raise StoppedError
        wanted_s = decision.after_s if isinstance(decision, Retry) else asked_s or 0.0
        self._pacer.pause(wanted_s if asked_s is not None else max(wanted_s, _MIN_PAUSE_S))

    def _learn(self, exchange: Exchange) -> None:
        if self._probe_id or exchange.kind is ExchangeKind.OK:
            self._outages.saw(exchange)
        self._note(exchange)
        if exchange.kind is ExchangeKind.OK:
            with self._lock:
                seconds = exchange.latency_ms / 1000.0
                known = self._latency_s or seconds
                self._latency_s = known + _SMOOTHING * (seconds - known)

    def _note(self, exchange: Exchange) -> None:
        self._stop.watch(exchange)
        rule = rule_for(exchange)
        if exchange.kind is ExchangeKind.OK:
            self._pacer.ok()
        elif rule is not None and rule.pauses_everybody and exchange.status in _LIMITS:
            self._pacer.slow_down()

    @property
    def tools(self) -> Tools:
        """The clocks and the chance it was made with."""
        return self._tools
