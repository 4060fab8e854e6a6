"""Pace requests: evenly, and never more than the rate within any one second.

`Schedule` decides and knows neither threads nor clocks: it is told the time. `Pacer`
puts a clock, a sleep and locks around it for the worker threads of a run. Idle time
earns no burst, a pause stops everybody, and after a 429 the pace halves and comes
back step by step.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_RATE", "Pacer", "Schedule", "parse_rate"]

MAX_RATE: Final = 10_000.0
"""The highest rate per second that can be asked for: more than one machine sends."""

_SHARE_OF_LIMIT: Final = 0.9
_SLACK_S: Final = 0.010
_MAX_LATE_S: Final = 0.25
# A second, and what the network may take off it: the server counts what arrives.
_WINDOW_S: Final = 1.010
_TICK_S: Final = 1e-6
_SLICE_S: Final = 0.25
_OKS_PER_STEP: Final = 10
_STEP: Final = 0.1
_SLOWEST: Final = 1 / 32
_RATE: Final = re.compile(
    r"(?P<limit>limit:)?\s*(?P<count>\d{1,9}(?:\.\d{1,6})?)\s*/\s*(?P<unit>s|sec|second|m|min|minute|h|hour)"
)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600}


def parse_rate(text: str) -> float:
    """Return the requests per second that a text asks for.

    Parameters
    ----------
    text
        ``"5/s"``, ``"300/min"`` or ``"7200/h"``; with ``limit:`` in front it is a
        published limit, and the pace is 90 % of it (at exactly the limit, network
        jitter still draws 429s).

    Raises
    ------
    InputError
        If it is none of these, zero, or more than `MAX_RATE` per second.

    Examples
    --------
    >>> parse_rate("5/s"), parse_rate("300/min"), parse_rate("limit:50/s")
    (5.0, 5.0, 45.0)
    """
    parts = _RATE.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if parts is None:
        msg = f"rate {text!r} is not one; write '5/s', '300/min' or 'limit:50/s' for a published limit"
        raise InputError(msg)
    rate = float(parts["count"]) / _UNIT_S[parts["unit"][0]]
    rate = rate * _SHARE_OF_LIMIT if parts["limit"] else rate
    if not 0 < rate <= MAX_RATE:
        msg = f"rate {text!r} must be above zero and at most {MAX_RATE:,.0f} per second"
        raise InputError(msg)
    return rate


class Schedule:
    """When the next request may leave. Pure: every method is told the time in seconds.

    Two rules hold together: requests are one gap apart, and within any one second, and
    10 ms more for the jitter on the way, there are never more than the rate (rounded up
    where it is not whole). So a busy schedule reaches at least 98 % of the rate. A second
    is counted from where a request left: whoever leaves late, since its thread was held
    up, says so with `left`. What a busy machine makes late is caught up by the following
    requests, each a quarter of a gap or 10 ms sooner; idle time is not.
    """

    def __init__(self, rate_per_s: float) -> None:
        if not 0 < rate_per_s <= MAX_RATE:
            msg = f"rate_per_s must be above zero and at most {MAX_RATE:,.0f}, got {rate_per_s!r}"
            raise InputError(msg)
        self.asked: Final = float(rate_per_s)
        self.rate = self.asked
        self.paused_until = -math.inf
        self._next_at = -math.inf
        self._permits: deque[float] = deque(maxlen=math.ceil(self.asked))
        self.n_permits = 0
        """How many permits were taken so far: the number of the latest."""
        self._late_s = 0.0
        self._oks = 0
        self._slowed_at = -math.inf

    def take(self, now: float) -> float:
        """Take a permit and return 0, or return how long to wait before asking again."""
        planned = due = max(self._next_at, self.paused_until)
        n = math.ceil(self.rate)
        gap = self._gap()
        if len(self._permits) >= n:
            due = max(due, self._permits[-n] + n * gap)
        if due > now:
            return max(due - now, _TICK_S)
        self._next_at = now + gap - self._catch_up(now - planned, gap)
        self._permits.append(now)
        self.n_permits += 1
        return 0.0

    def _catch_up(self, late_s: float, gap: float) -> float:
        """Return by how much the next request may come sooner, for those that were late so far."""
        # Longer than that is idle time, for which nothing is owed.
        self._late_s = min(self._late_s + late_s, _MAX_LATE_S) if late_s <= _MAX_LATE_S else 0.0
        sooner_s = min(self._late_s, gap, max(_SLACK_S, gap / 4))
        self._late_s -= sooner_s
        return sooner_s

    def left(self, now: float, permit: int) -> None:
        """Note that the request with this permit, as counted by `n_permits`, leaves only now."""
        back = self.n_permits - permit + 1
        if back <= len(self._permits):
            self._permits[-back] = max(self._permits[-back], now)

    def _gap(self) -> float:
        """Return the seconds between two requests: those of a whole second share its margin."""
        return max(1 / self.rate, _WINDOW_S / math.ceil(self.rate))

    def pause(self, now: float, seconds: float) -> None:
        """Let nothing leave for so many seconds; a running longer pause stays."""
        self.paused_until = max(self.paused_until, now + max(seconds, 0.0))
        self._late_s = 0.0

    def slow_down(self, now: float) -> None:
        """Halve the pace; several calls within a second are one incident."""
        self._oks = 0
        if now - self._slowed_at < 1.0:
            return
        self._slowed_at = now
        self._late_s = 0.0
        self.rate = max(self.rate / 2, self.asked * _SLOWEST)
        if self._permits:
            self._next_at = max(self._next_at, self._permits[-1] + self._gap())

    def ok(self) -> None:
        """Count a success; every tenth in a row brings back a tenth of the asked pace."""
        if self.rate >= self.asked:
            return
        self._oks += 1
        if self._oks % _OKS_PER_STEP == 0:
            self.rate = min(self.asked, self.rate + _STEP * self.asked)


def _never() -> bool:
    return False


class _Turn:
    """A place in the queue of a pacer."""

    __slots__ = ("has_come", "is_urgent")

    def __init__(self, *, is_urgent: bool) -> None:
        self.is_urgent = is_urgent
        self.has_come = threading.Lock()
        self.has_come.acquire()


class Pacer:
    """A `Schedule` for many threads, in the order in which they come: the first watches it, the others queue.

    Examples
    --------
    >>> now = [0.0]
    >>> def sleep(seconds):
    ...     now[0] += seconds
    >>> pacer = Pacer(2, clock=lambda: now[0], sleep=sleep)
    >>> sent = [(pacer.acquire(), round(now[0], 1))[1] for _ in range(4)]
    >>> sent
    [0.0, 0.5, 1.0, 1.5]
    """

    def __init__(
        self,
        rate_per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._schedule = Schedule(rate_per_s)
        self._clock, self._sleep = clock, sleep
        self._state = threading.Lock()
        self._mine = threading.local()
        self._queue: list[_Turn] = []

    def acquire(self, *, cancelled: Callable[[], bool] | None = None, is_urgent: bool = False) -> bool:
        """Block until a request may leave.

        Parameters
        ----------
        cancelled
            Asked at least four times a second; once it says True, waiting ends.
        is_urgent
            Go ahead of all that are not, but for the one whose turn it is.

        Returns
        -------
        bool
            True with a permit, False only where `cancelled` ended the wait.
        """
        is_over = cancelled or _never
        if is_over():
            return False
        turn = self._enter(is_urgent=is_urgent)
        if turn is None:
            return True
        try:
            while not turn.has_come.acquire(timeout=_SLICE_S):
                if is_over():
                    return False
            return self._watch(is_over)
        finally:
            self._leave(turn)

    def _enter(self, *, is_urgent: bool) -> _Turn | None:
        """Take a permit at once where nobody waits and one is there; else queue."""
        with self._state:
            if not self._queue and self._take() <= 0:
                return None
            turn = _Turn(is_urgent=is_urgent)
            if not self._queue:
                turn.has_come.release()
            place = len(self._queue)
            while is_urgent and place > 1 and not self._queue[place - 1].is_urgent:
                place -= 1
            self._queue.insert(place, turn)
            return turn

    def _take(self) -> float:
        wait_s = self._schedule.take(self._clock())
        if wait_s <= 0:
            self._mine.permit = self._schedule.n_permits
        return wait_s

    def left(self) -> None:
        """Note that the request for which this thread took its latest permit leaves now."""
        permit = getattr(self._mine, "permit", None)
        if permit is not None:
            with self._state:
                self._schedule.left(self._clock(), permit)

    def _watch(self, is_over: Callable[[], bool]) -> bool:
        """Wait for the schedule, as the first of the queue does."""
        while not is_over():
            with self._state:
                wait_s = self._take()
            if wait_s <= 0:
                return True
            # Short naps, so that a stop is noticed although a long pause is on.
            self._sleep(min(wait_s, _SLICE_S))
        return False

    def _leave(self, turn: _Turn) -> None:
        with self._state:
            was_first = self._queue[0] is turn
            self._queue.remove(turn)
            if was_first and self._queue:
                self._queue[0].has_come.release()

    def pause(self, seconds: float) -> None:
        """Let no request leave for so many seconds, whoever asks."""
        with self._state:
            self._schedule.pause(self._clock(), seconds)

    def slow_down(self) -> None:
        """Halve the pace, as after a 429."""
        with self._state:
            self._schedule.slow_down(self._clock())

    def ok(self) -> None:
        """Count a success, on the way back to the asked pace."""
        with self._state:
            self._schedule.ok()

    @property
    def rate(self) -> float:
        """The pace at this moment, in requests per second."""
        return self._schedule.rate

    @property
    def paused_until(self) -> float:
        """When the latest pause ends, on this pacer's clock; minus infinity where there was none."""
        return self._schedule.paused_until

    def __repr__(self) -> str:
        return f"<Pacer {self.rate:g}/s of {self._schedule.asked:g}/s>"
