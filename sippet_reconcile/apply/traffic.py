"""Let requests out: one pace for all threads, pauses for all, retries of reads.

Input are ids to read and changes to send, output are exchanges and the values read.
Every request of a run passes here and takes a permit, re-reads and retries included.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import random as _random
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.api.reading import held_back
from sippet_reconcile.api.retry import GiveUp, Retry, backoff_s, decide
from sippet_reconcile.apply.decisions import texts_by_id
from sippet_reconcile.apply.stopping import StoppedError
from sippet_reconcile.values import learn_decimals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sippet_reconcile.api.client import Client
    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.api.pacing import Pacer
    from sippet_reconcile.apply.decisions import PlannedCall, Texts
    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["FRESH_S", "IDS_PER_READ", "Reading", "StaleError", "Tools", "Traffic"]

FRESH_S: Final = 15.0
"""How old a re-read may be at the moment of sending, in seconds."""

IDS_PER_READ: Final = 50
"""Calls re-read in one request; more would make the address too long."""

_MIN_PAUSE_S: Final = 1.0
_MAX_PAUSE_S: Final = 300.0
_SMOOTHING: Final = 0.2
_FORBIDDEN_STATUS, _THROTTLED_STATUS = 403, 429


class StaleError(Exception):
    """A re-read grew too old while its PATCH waited for its turn; nothing was sent."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Tools:
    """The world outside: clocks and chance, so that tests can bring their own."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = _now
    random: Callable[[], float] = _random


@dataclass(frozen=True)
class Reading:
    """What one re-read showed; ``rows`` is None where it could not be read."""

    rows: dict[str, Texts] | None
    read_at: float
    """When the request left: what it shows may be as old as that."""
    exchange: Exchange
    gave_up: str = ""
    decimals: Mapping[str, int] = field(default_factory=dict)
    """Field to the decimals of a second that the server has answered so far."""


class Traffic:
    """The gate through which each request of a run leaves."""

    def __init__(self, client: Client, pacer: Pacer, stop: StopSign, tools: Tools) -> None:
        self._client, self._pacer, self._stop, self._tools = client, pacer, stop, tools
        self._lock = threading.Lock()
        self._latency_s = 0.0
        self._decimals: dict[str, int] = {}

    @property
    def rate(self) -> float:
        """Requests per second at this moment."""
        return self._pacer.rate

    @property
    def latency_s(self) -> float:
        """How long requests take, smoothed."""
        return self._latency_s

    def is_fresh(self, read_at: float) -> bool:
        """Tell whether a re-read may still be relied on: young, and with no pause since."""
        return self._tools.clock() - read_at <= FRESH_S and self._pacer.paused_until <= read_at

    def _permit(self, read_at: float = math.inf, *, is_urgent: bool = False) -> None:
        """Wait for a permit; reads go ahead of PATCHes, which wait for them.

        Raises
        ------
        StoppedError
            If the run is stopped.
        StaleError
            If the re-read that the request relies on grew too old meanwhile.
        """

        def gives_up() -> bool:
            return self._stop.is_set or not self.is_fresh(read_at)

        has_permit = self._pacer.acquire(cancelled=gives_up, is_urgent=is_urgent)
        if self._stop.is_set:
            raise StoppedError
        if not has_permit or not self.is_fresh(read_at):
            raise StaleError

    def patch(self, call: PlannedCall, read_at: float, leaving: Callable[[], None]) -> Exchange:
        """Send the one PATCH of a call, once.

        Parameters
        ----------
        call
            What to send.
        read_at
            When the re-read that it relies on left.
        leaving
            Called when nothing but the network lies between the request and the API.
        """
        self._permit(read_at)
        leaving()
        exchange = self._client.attempt_patch(call.call_id, call.attributes)
        self._learn(exchange)
        return exchange

    def decimals_of(self, exchange: Exchange) -> Mapping[str, int]:
        """Return the server's precision by field, to which each usable answer adds what its texts show."""
        with self._lock:
            learn_decimals(self._decimals, exchange.content.decimals)
            return dict(self._decimals)

    def read(self, ids: Sequence[str]) -> Reading:
        """Read calls by id, with retries; what a server that caps its answers held back is asked for again.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile.
        """
        rows: dict[str, Texts] = {}
        read_at: float | None = None
        while True:
            reading = self._read_once(ids)
            if reading.rows is None:
                return reading
            rows |= reading.rows
            read_at = reading.read_at if read_at is None else read_at  # what was read first is the oldest
            ids = held_back(ids, reading.rows)
            if not ids:
                return replace(reading, rows=rows, read_at=read_at)

    def _read_once(self, ids: Sequence[str]) -> Reading:
        attempt = 0
        while True:
            attempt += 1
            self._permit(is_urgent=True)
            read_at = self._tools.clock()
            exchange = self._client.attempt_read(ids)
            self._learn(exchange)
            if exchange.kind is ExchangeKind.OK and exchange.calls is not None:
                return Reading(
                    texts_by_id(exchange.calls), read_at, exchange, decimals=self.decimals_of(exchange)
                )
            if exchange.kind is ExchangeKind.FORBIDDEN:
                # The sign counts these and stops the run at the third.
                continue
            decision = self.wait_after(exchange, attempt)
            if isinstance(decision, GiveUp):
                return Reading(None, read_at, exchange, decision.reason)

    def wait_after(self, exchange: Exchange, attempt: int) -> Retry | GiveUp:
        """Decide about another attempt, and wait as long as it takes: everybody on a throttle, else this thread.

        Raises
        ------
        StoppedError
            If the run is stopped meanwhile.
        """
        decision = decide(exchange, attempt, random=self._tools.random)
        if exchange.kind is ExchangeKind.THROTTLED:
            wanted = decision.after_s if isinstance(decision, Retry) else exchange.retry_after_s or 0.0
            if exchange.retry_after_s is None:
                wanted = max(wanted, _MIN_PAUSE_S)
            self._pacer.pause(min(wanted, _MAX_PAUSE_S))
        elif isinstance(decision, Retry):
            self._stop.wait(decision.after_s)
        elif exchange.may_have_been_applied:
            # It is read again before anything else; a server that is still busy with it gets a moment.
            self._stop.wait(backoff_s(attempt, random=self._tools.random))
        return decision

    def _learn(self, exchange: Exchange) -> None:
        self._stop.watch(exchange)
        if exchange.kind is ExchangeKind.OK:
            self._pacer.ok()
            with self._lock:
                seconds = exchange.latency_ms / 1000.0
                known = self._latency_s or seconds
                self._latency_s = known + _SMOOTHING * (seconds - known)
        elif exchange.kind is ExchangeKind.THROTTLED and exchange.status in {
            _FORBIDDEN_STATUS,
            _THROTTLED_STATUS,
        }:
            self._pacer.slow_down()

    @property
    def tools(self) -> Tools:
        """The clocks and the chance it was made with."""
        return self._tools
