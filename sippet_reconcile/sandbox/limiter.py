"""The limits a request runs into before anybody looks at it: so many in a second, so long, so large.

Input: when a request arrived, or its head; output: whether it is admitted, or the status it
is refused with. The sizes are those of the HTTP server in front of the real application.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["LARGEST_BODY", "RESET", "Limiter", "over_limit"]

RESET: Final = -1
"""Instead of a status: the connection is reset."""

LARGEST_BODY: Final = 8_000_000
"""Bytes of a body that are still read."""

_SECOND: Final = 1 - 1e-6
"""Less a microsecond: more than two floats a second apart can lose to rounding."""

_LONGEST_LINE: Final = 10_000
_RESET_LINE: Final = 12_000
_MOST_HEADERS: Final = 50


class Limiter:
    """Admits so many requests in any one second, and counts those over it.

    The second slides: it ends now, and a request exactly one second ago is outside it.
    Of a rate that is no whole number the fraction is lost. What is refused is counted,
    and takes nobody else's place.

    Examples
    --------
    >>> limiter = Limiter(2)
    >>> [limiter.admit(at) for at in (0.0, 0.5, 0.9, 1.0)], limiter.violations
    ([True, True, False, True], 1)
    """

    def __init__(self, rate_per_s: float | None) -> None:
        self.rate_per_s = rate_per_s
        self.violations = 0
        self._admitted: deque[float] = deque()
        self._lock = threading.Lock()

    def admit(self, now: float) -> bool:
        """Tell whether a request at this moment is within the limit."""
        if self.rate_per_s is None:
            return True
        with self._lock:
            while self._admitted and now - self._admitted[0] >= _SECOND:
                self._admitted.popleft()
            if len(self._admitted) + 1 > self.rate_per_s:
                self.violations += 1
                return False
            self._admitted.append(now)
            return True

    @property
    def remaining(self) -> int:
        """How many more requests the second that ends with the last one would have taken."""
        with self._lock:
            return max(0, int(self.rate_per_s or 0) - len(self._admitted))


def over_limit(scope: Scope) -> int:
    """Return the status for a request line or headers that are too long; 0 where none is."""
    query = scope["query_string"]
    target = len(scope["raw_path"]) + (len(query) + 1 if query else 0)
    line = len(scope["method"]) + 1 + target + len(" HTTP/1.1\r\n")
    if line > _RESET_LINE:
        return RESET
    if line > _LONGEST_LINE:
        return 414
    headers = scope["headers"]
    longest = max((len(name) + len(value) + 4 for name, value in headers), default=0)
    return 431 if longest > _LONGEST_LINE or len(headers) > _MOST_HEADERS else 0
