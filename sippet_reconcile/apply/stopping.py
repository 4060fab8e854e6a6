"""Know when a run must stop: one sign that every thread looks at before it sends.

Input are exchanges and outcomes as they happen, output is a reason to stop. The first
reason stands; nothing is sent after it was given.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sippet_reconcile.api.exchange import ExchangeKind
from sippet_reconcile.audit import Outcome

if TYPE_CHECKING:
    from sippet_reconcile.api.exchange import Exchange

__all__ = ["BY_THE_API", "End", "StopSign", "StoppedError"]

_FORBIDDEN_IN_A_ROW: Final = 3
_PROVES_THE_TOKEN: Final = frozenset({ExchangeKind.OK, ExchangeKind.REJECTED, ExchangeKind.MISSING})
"""Answers that come only once the API took the token; a throttle or a server fault says nothing of it."""


class End(StrEnum):
    """How a session of a run ended."""

    COMPLETE = "complete"
    LIMIT = "limit"
    INTERRUPTED = "interrupted"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    CONTROL_GONE = "control-call-gone"
    UNREADABLE = "unreadable"
    FAILURES = "failures"
    TOO_SLOW = "too-slow"
    OUTAGE = "outage"
    RETRIES = "retries-used-up"
    TOLD_TO_WAIT = "told-to-wait"
    DRIFT = "drift"
    AUDIT = "audit"
    ERROR = "error"


BY_THE_API: Final = frozenset(
    {
        End.UNAUTHENTICATED,
        End.FORBIDDEN,
        End.CONTROL_GONE,
        End.UNREADABLE,
        End.OUTAGE,
        End.RETRIES,
        End.TOLD_TO_WAIT,
    }
)
"""Ends that the API, or the way to it, brings about: an error where nothing was sent."""


class StoppedError(Exception):
    """The run was stopped while a thread waited for its turn; nothing was sent."""


class StopSign:
    """Whether to stop, and why; safe to use from every thread.

    Parameters
    ----------
    max_failures
        Calls in a row that come to `failed` or `unknown` before the run stops.
    """

    def __init__(self, max_failures: int) -> None:
        self._max_failures = max_failures
        self._lock = threading.Lock()
        self._event = threading.Event()
        self.is_hurried = False
        """Whether not even what is under way may be waited for."""
        self._forbidden: Counter[str] = Counter()
        self._failures = 0
        self.kind: End | None = None
        self.note: str | None = None
        self.exchange: Exchange | None = None
        """The exchange that made the run stop, where one did."""

    @property
    def is_set(self) -> bool:
        """Whether nothing more may be sent."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait, but not beyond the moment of stopping.

        Raises
        ------
        StoppedError
            If the run was stopped.
        """
        if self._event.wait(max(seconds, 0.0)):
            raise StoppedError

    def stop(self, kind: End, note: str, exchange: Exchange | None = None) -> None:
        """Give a reason to stop; the first one stands."""
        with self._lock:
            if self.kind is None:
                self.kind, self.note, self.exchange = kind, note, exchange
        self._event.set()

    def hurry(self) -> None:
        """Say that what is under way is not waited for any longer; its answers stay unknown."""
        # No lock: this is called from a signal's handler, which may have interrupted whoever holds it.
        self.is_hurried = True

    def watch(self, exchange: Exchange) -> None:
        """Look at what one request came to."""
        kind = exchange.kind
        if kind is ExchangeKind.UNAUTHENTICATED:
            self.stop(
                End.UNAUTHENTICATED, "the API answered 401: the token is wrong or has expired", exchange
            )
            return
        # In a row among all requests, or among those of one method: a token that may read and
        # not write is refused between reads that succeed.
        rows = ("all", exchange.method)
        with self._lock:
            if kind is ExchangeKind.FORBIDDEN:
                self._forbidden.update(rows)
            elif kind in _PROVES_THE_TOKEN:
                self._forbidden.subtract({row: self._forbidden[row] for row in rows})
            forbidden = max(self._forbidden[row] for row in rows)
        if forbidden >= _FORBIDDEN_IN_A_ROW:
            note = (
                f"the API answered 403 {forbidden} times in a row: this token may not do that, or has expired"
            )
            self.stop(End.FORBIDDEN, note, exchange)

    def count(self, outcome: Outcome) -> None:
        """Look at what one call came to."""
        with self._lock:
            self._failures = self._failures + 1 if outcome in {Outcome.FAILED, Outcome.UNKNOWN} else 0
            failures = self._failures
        if failures >= self._max_failures:
            self.stop(End.FAILURES, f"{failures} calls in a row failed or could not be read back")
