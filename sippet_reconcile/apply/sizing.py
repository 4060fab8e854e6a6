"""Work out from pace and latency how many threads, how large a chunk, and how far ahead to read. Pure.

Input is what the traffic shows so far, output are numbers. A chunk is about ten seconds
of sending; the next one is read while so many calls still wait that neither its answers
nor the disk keep the pace waiting, and so few that nothing read grows too old.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from sippet_reconcile.apply.traffic import IDS_PER_READ

__all__ = ["MAX_WORKERS", "Pace", "Sizing"]

MAX_WORKERS: Final = 16
"""The most threads that a run uses."""

_SPARE: Final = 1.5
_MIN_WORKERS: Final = 2  # so that one slow answer does not hold up all others
_USUAL_LATENCY_S: Final = 0.2  # until the first answer tells
_MARGIN_S: Final = 0.5
_DECISIONS_PER_S: Final = 2_000
_MOST_CALLS: Final = 1_000  # each is held with its values and its answer until it is written down


class Pace(Protocol):
    """What is known of a run's traffic."""

    @property
    def rate(self) -> float:
        """Requests per second at this moment."""

    @property
    def latency_s(self) -> float:
        """How long requests take; 0 until one was answered."""


class Sizing:
    """Numbers for one session, from its pace as it is at each moment."""

    def __init__(self, pace: Pace, concurrency: int | None, chunk_s: float) -> None:
        self._pace, self._concurrency, self._chunk_s = pace, concurrency, chunk_s

    @property
    def _latency_s(self) -> float:
        return self._pace.latency_s or _USUAL_LATENCY_S

    @property
    def _rate(self) -> float:
        """Return what can be reached: the pace, or what the most workers get through."""
        return min(self._pace.rate, (self._concurrency or MAX_WORKERS) / self._latency_s)

    @property
    def n_workers(self) -> int:
        """How many threads the rate needs at the latency seen so far."""
        needed = _MIN_WORKERS + math.ceil(self._pace.rate * self._latency_s * _SPARE)
        return self._concurrency or min(MAX_WORKERS, needed)

    @property
    def n_calls(self) -> int:
        """How many calls a chunk takes, its re-reads included."""
        n = self._chunk_s * self._rate * IDS_PER_READ / (IDS_PER_READ + 1)
        return max(1, min(int(n), _MOST_CALLS))

    @property
    def n_ahead(self) -> int:
        """How many PATCHes may still wait when the next chunk begins to be read.

        Zero where its answers come before the next permit; never more than a third of a
        chunk, so that its last call is sent within 15 seconds of its re-read.
        """
        n, rate, latency_s = self.n_calls, self._rate, self._latency_s
        if 1 / rate > 2 * latency_s + _MARGIN_S:
            return 0
        if not self._pace.latency_s:
            return n // 3
        ahead_s = _MARGIN_S + 3 * latency_s + 2 / rate + n / _DECISIONS_PER_S
        return min(math.ceil(rate * ahead_s), n // 3)
