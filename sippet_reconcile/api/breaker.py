"""Know when the API as a whole fails, and let one request at a time find out whether it is back. Pure.

Input is what each request came to, and the time; output is whether the next one may
leave. `Breaker` knows neither threads nor clocks: it is told the time, and whoever uses
it from several threads locks it.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.exchange import ExchangeKind

if TYPE_CHECKING:
    from sippet_reconcile.api.exchange import Exchange

__all__ = ["COOL_DOWNS_S", "Breaker", "Gate", "Sign", "sign_of"]

COOL_DOWNS_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds before each probe; when the last one fails too, the API counts as dead."""

_FAILURES: Final = 3
"""So many in a row, without a success of anybody between, and a read among them."""

_TOO_MANY: Final = 429


class Sign(StrEnum):
    """What one exchange says about the API as a whole."""

    ALIVE = "alive"
    """It was answered by the API, whatever the answer was."""
    FAILING = "failing"
    """No answer, a server fault, or the page of somebody in front of it."""
    NEITHER = "neither"
    """503 with ``Retry-After``, 403 as text: a pause is due, and whether the API is behind it is not told."""


def sign_of(exchange: Exchange) -> Sign:
    """Return what an exchange says about the API as a whole.

    Examples
    --------
    >>> from sippet_reconcile.api.exchange import Exchange
    >>> sign_of(Exchange(ExchangeKind.LOST, "GET")).value, sign_of(Exchange(ExchangeKind.REJECTED, "PATCH")).value
    ('failing', 'alive')
    """
    if exchange.kind in {
        ExchangeKind.TRANSIENT,
        ExchangeKind.LOST,
        ExchangeKind.NOT_SENT,
        ExchangeKind.MALFORMED,
    }:
        return Sign.FAILING
    is_limited = exchange.kind is ExchangeKind.THROTTLED and exchange.status != _TOO_MANY
    return Sign.NEITHER if is_limited else Sign.ALIVE


class Gate(StrEnum):
    """What a request that wants to leave is told."""

    GO = "go"
    PROBE = "probe"
    """Send the probe, and report it with `Breaker.probed`; nobody else may meanwhile."""
    WAIT = "wait"
    """Nothing may leave: it cools down, or somebody is probing."""
    DEAD = "dead"
    """The last probe failed as well: give up."""


class Breaker:
    """Closed while the API answers, open while it does not.

    It opens when several requests in a row fail, of all threads, and none succeeded
    between; one of them at least is a read, because a PATCH may fail for what it says.
    It never opens before the API has answered once: what was never there is not waited
    for. While it is open nothing leaves but one probe after each cool-down, and only
    the probe decides: stragglers that left earlier do not.

    Examples
    --------
    >>> breaker = Breaker()
    >>> for sign in (Sign.ALIVE, Sign.FAILING, Sign.FAILING, Sign.FAILING):
    ...     breaker.saw(sign, is_read=True, now=0.0)
    >>> [breaker.enter(at).value for at in (0.5, 1.0, 1.0)]
    ['wait', 'probe', 'wait']
    >>> breaker.probed(Sign.FAILING, now=1.5)
    >>> [breaker.enter(at).value for at in (3.0, 3.5)]
    ['wait', 'probe']
    >>> breaker.probed(Sign.ALIVE, now=3.6)
    >>> breaker.enter(3.6).value
    'go'
    """

    def __init__(self, *, failures: int = _FAILURES, cool_downs_s: tuple[float, ...] = COOL_DOWNS_S) -> None:
        self._threshold, self._cool_downs_s = failures, cool_downs_s
        self._has_answered = False
        self._n_in_a_row = 0
        self._saw_read = False
        self.is_probing = False
        self.is_open = False
        self.open_until = -math.inf
        """When the cool-down ends and the next probe may leave."""
        self.opened_at = -math.inf
        self.n_probes = 0
        """Probes that failed since it opened."""
        self.n_outages = 0
        """How many openings were confirmed by a probe that failed as well."""

    @property
    def is_dead(self) -> bool:
        """Whether the last probe that is allowed has failed."""
        return self.is_open and self.n_probes >= len(self._cool_downs_s)

    def saw(self, sign: Sign, *, is_read: bool, now: float) -> None:
        """Take note of what a request that was no probe came to."""
        if self.is_open or sign is Sign.NEITHER:
            return
        if sign is Sign.ALIVE:
            self._has_answered = True
            self._forget()
            return
        self._n_in_a_row += 1
        self._saw_read = self._saw_read or is_read
        if self._has_answered and self._saw_read and self._n_in_a_row >= self._threshold:
            self.is_open, self.opened_at, self.n_probes = True, now, 0
            self.open_until = now + self._cool_downs_s[0]

    def _forget(self) -> None:
        self._n_in_a_row, self._saw_read = 0, False

    def enter(self, now: float) -> Gate:
        """Say whether a request may leave now."""
        if not self.is_open:
            return Gate.GO
        if self.is_dead:
            return Gate.DEAD
        if self.is_probing or now < self.open_until:
            return Gate.WAIT
        self.is_probing = True
        return Gate.PROBE

    def abandon(self) -> None:
        """Take back a probe that was not sent after all."""
        self.is_probing = False

    def probed(self, sign: Sign, *, now: float, retry_after_s: float | None = None) -> None:
        """Take note of what the probe came to: closed again, or the next, longer cool-down.

        Parameters
        ----------
        sign
            What it says; a server that is unavailable by its own account has failed.
        now
            The time.
        retry_after_s
            What the server asked to wait, if that is longer.
        """
        self.is_probing = False
        if sign is Sign.ALIVE:
            self.is_open = False
            self._forget()
            return
        self.n_probes += 1
        if self.n_probes == 1:
            self.n_outages += 1
        if not self.is_dead:
            wait_s = max(self._cool_downs_s[self.n_probes], retry_after_s or 0.0)
            self.open_until = now + wait_s
