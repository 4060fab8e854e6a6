"""What arrived at the sandbox: every request, and what became of it.

Input: requests as the server received them; output: a list of frozen records in
order of arrival. Tokens are left out before anything is kept.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Journal", "ReceivedRequest", "without_secrets"]

_SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key", "proxy-authorization", "cookie"})


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it arrived, and what it was answered.

    Attributes
    ----------
    method, path, query
        As sent; `query` is the raw text behind the question mark.
    headers
        Names in lower case; the token's headers are left out.
    body
        The body as text.
    status
        The status answered; None while it is being answered, and where the
        connection was broken instead.
    at
        `time.monotonic` when the head had arrived: differences are seconds.
    at_utc
        The same moment on the clock.
    fault
        The kind of fault it got, ``"rate_limit"`` where the limiter refused it, or None.

    Examples
    --------
    >>> request = ReceivedRequest("GET", "/api/calls", "filter[status]=busy", {"accept": "*/*"}, "", status=200)
    >>> request.method, request.path, request.status
    ('GET', '/api/calls', 200)
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str
    status: int | None = None
    at: float = field(default_factory=time.monotonic)
    at_utc: datetime = field(default_factory=lambda: datetime.now(UTC))
    fault: str | None = None


class Journal:
    """Keeps requests in order of arrival; safe to read while the server works."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: dict[int, ReceivedRequest] = {}
        self._next = 0

    def arrived(self, request: ReceivedRequest) -> int:
        """Write a request down and return its number."""
        with self._lock:
            number = self._next
            self._next += 1
            self._requests[number] = request
        return number

    def settle(self, number: int, *, status: int | None, fault: str | None) -> None:
        """Add what a request was answered; nothing where the journal was cleared meanwhile."""
        with self._lock:
            if number in self._requests:
                self._requests[number] = replace(self._requests[number], status=status, fault=fault)

    def add_body(self, number: int, body: str) -> None:
        """Add the body of a request that was answered before it had come."""
        with self._lock:
            if number in self._requests:
                self._requests[number] = replace(self._requests[number], body=body)

    def entries(self) -> list[ReceivedRequest]:
        """Return what arrived, oldest first."""
        with self._lock:
            return list(self._requests.values())

    def clear(self) -> None:
        """Forget what arrived so far."""
        with self._lock:
            self._requests.clear()


def without_secrets(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers as a dictionary without those that carry tokens.

    Examples
    --------
    >>> without_secrets([("accept", "*/*"), ("authorization", "Bearer x")])
    {'accept': '*/*'}
    """
    return {name: value for name, value in headers if name not in _SECRET_HEADERS}
