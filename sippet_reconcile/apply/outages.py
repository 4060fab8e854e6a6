"""Hold everybody back while the API as a whole fails, and let one request look whether it is back.

Input are the exchanges of all threads, output is that a thread may go on, or that the
run is stopped. `api.breaker` decides; here are the lock, the waits and the probe.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.breaker import Breaker, Gate, sign_of
from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.apply.stopping import End, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.api.pacing import Pacer
    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["Outages"]

_SLICE_S: Final = 0.25


class Outages:
    """A `Breaker` for many threads.

    Parameters
    ----------
    pacer
        It is paused for each cool-down, so that nothing leaves, and whatever was read
        before is read again.
    stop
        Set where the API stays dead.
    clock
        Of the pacer.
    probe
        Sends the one request that finds out whether the API is back.
    """

    def __init__(
        self, pacer: Pacer, stop: StopSign, *, clock: Callable[[], float], probe: Callable[[], Exchange]
    ) -> None:
        self._pacer, self._stop, self._clock, self._send_probe = pacer, stop, clock, probe
        self._breaker = Breaker()
        self._changed = threading.Condition()

    def saw(self, exchange: Exchange) -> None:
        """Take note of what a request came to; where it makes the breaker open, everybody pauses."""
        with self._changed:
            now = self._clock()
            was_open = self._breaker.is_open
            self._breaker.saw(sign_of(exchange), is_read=exchange.method == "GET", now=now)
            if self._breaker.is_open and not was_open:
                self._pacer.pause(self._breaker.open_until - now)

    @property
    def is_open(self) -> bool:
        """Whether the API as a whole seems to fail."""
        return self._breaker.is_open

    def may_go(self, *, waits: bool) -> bool:
        """Say whether a request that has its permit may leave; False where it is to take another one later.

        Parameters
        ----------
        waits
            Whether to wait for the end of a probe, or to send it; a PATCH does neither.

        Raises
        ------
        StoppedError
            If the run is stopped, for the API stays dead or for another reason.
        """
        if self._stop.is_set:
            raise StoppedError
        with self._changed:
            if not waits:
                return not self._breaker.is_open
            gate = self._breaker.enter(self._clock())
            while gate is Gate.WAIT and self._breaker.is_probing and not self._stop.is_set:
                self._changed.wait(_SLICE_S)
        if gate is Gate.PROBE:
            self._probe()
        if self._stop.is_set:
            raise StoppedError
        return gate is Gate.GO

    def confirmed(self) -> int:
        """Return how many outages before the present one a probe has confirmed."""
        with self._changed:
            return self._breaker.n_outages - int(self._breaker.is_open and self._breaker.n_probes > 0)

    def was_confirmed(self, before: int) -> bool:
        """Tell whether a probe has confirmed an outage since `confirmed` returned this number."""
        with self._changed:
            return self._breaker.n_outages > before

    def _probe(self) -> None:
        exchange = None
        try:
            exchange = self._send_probe()
        finally:
            with self._changed:
                if exchange is None:
                    self._breaker.abandon()
                else:
                    self._take_in(exchange)
                self._changed.notify_all()

    def _take_in(self, exchange: Exchange) -> None:
        """Close, pause for the next cool-down, or give the API up."""
        breaker, now = self._breaker, self._clock()
        breaker.probed(sign_of(exchange), now=now, retry_after_s=exchange.retry_after_s)
        if breaker.is_dead:
            note = (
                f"the API does not answer any more: {breaker.n_probes} probes within "
                f"{now - breaker.opened_at:.0f} seconds failed, the last one with {_told(exchange)}; apply the plan again once it is back"
            )
            self._stop.stop(End.OUTAGE, note, exchange)
        elif breaker.is_open:
            self._pacer.pause(breaker.open_until - now)


def _told(exchange: Exchange) -> str:
    """Say in words what a probe came to."""
    if exchange.status is not None:
        return f"status {exchange.status}"
    return "no connection" if exchange.kind is ExchangeKind.NOT_SENT else "no answer"
