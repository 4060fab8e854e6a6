"""The sandbox as an ASGI application: limits, the journal, faults, then the answer.

Input: what the server hands over for each request; output: what goes back on the wire,
or a connection that breaks. Everything a client may see that is not an answer of the
API itself (limits of the HTTP server, a throttle, a lost answer) happens here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response

from sippet_reconcile.sandbox.faults import Fault, FaultKind, FaultSource
from sippet_reconcile.sandbox.handlers import Handlers, Incoming, plain_response
from sippet_reconcile.sandbox.journal import Journal, ReceivedRequest, without_secrets
from sippet_reconcile.sandbox.negotiation import JSON_API, compress
from sippet_reconcile.sandbox.problems import FORBIDDEN, error_document, framework_document
from sippet_reconcile.sandbox.switches import RateLimitStyle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from starlette.types import Receive, Scope, Send

__all__ = ["TRANSPORT", "SandboxApp", "break_connection"]

TRANSPORT: Final = "sippet.transport"
"""Where the scope of a request holds its connection, so that it can be broken."""

_LONGEST_LINE: Final = 10_000
_RESET_LINE: Final = 12_000
_MOST_HEADERS: Final = 50
_LARGEST_BODY: Final = 8_000_000
_LARGE_ANSWER: Final = 65_536
_PROXY_PAGE: Final = b"<html>\r\n<head><title>%d</title></head>\r\n<body><h1>%d</h1></body>\r\n</html>\r\n"
_UNAVAILABLE, _SERVER_ERROR = 503, 500
_LINGER: Final = "hh" if os.name == "nt" else "ii"
"""The layout of the option that turns closing into a reset."""


class SandboxApp:
    """Plays the API, its HTTP server and the network in front of it."""

    def __init__(self, handlers: Handlers, faults: FaultSource, journal: Journal) -> None:
        self.handlers = handlers
        self.faults = faults
        self.journal = journal
        self.stopping = asyncio.Event()
        self.limiter = Limiter(handlers.switches.rate_limit_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        at = time.monotonic()
        headers = Headers(scope=scope)
        path = scope["raw_path"].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        limited = _over_limit(scope)
        body, is_whole = (b"", True) if limited else await _read_body(receive)
        number = self.journal.arrived(
            ReceivedRequest(
                method=scope["method"],
                path=path,
                query=query,
                headers=without_secrets(headers.items()),
                body=body.decode("utf-8", "replace"),
                at=at,
            )
        )
        if not is_whole:
            return
        if limited or len(body) > _LARGEST_BODY:
            await self._refuse_size(number, limited or 413, scope, receive, send)
            return
        request = Incoming(scope["method"], path, query, headers, body)
        await self._serve(number, request, scope, receive, send)

    async def _refuse_size(
        self, number: int, status: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if status == _RESET:
            await _reset(scope, receive)
            return
        self.journal.settle(number, status=status, fault=None)
        if status == 413:  # noqa: PLR2004 - the one of the three with a body
            response = plain_response(413, framework_document(413), f"{JSON_API}; charset=utf-8")
        else:
            response = Response(status_code=status, headers={"connection": "close"})
        await response(scope, receive, send)

    async def _serve(
        self, number: int, request: Incoming, scope: Scope, receive: Receive, send: Send
    ) -> None:
        is_allowed = self.limiter.admit(time.monotonic())
        fault = self.faults.draw(request.method) if is_allowed else Fault()
        if not await self._pause(fault.latency_s) or fault.kind is FaultKind.RESET:
            self.journal.settle(number, status=None, fault=_word(fault))
            await _reset(scope, receive)
            return
        word = _word(fault) if is_allowed else "rate_limit"
        response = self._answer(request, fault) if is_allowed else request.name(self._throttled(1))
        is_held = await self._pause(fault.hold_s)
        await _compress(response, request.headers.get("accept-encoding", ""))
        if not is_held or fault.kind in {FaultKind.LOST_ANSWER, FaultKind.DROPPED_ANSWER}:
            self.journal.settle(number, status=None, fault=word)
            await _break_answer(response, fault, scope, receive, send)
            return
        self.journal.settle(number, status=response.status_code, fault=word)
        await response(scope, receive, send)

    def _answer(self, request: Incoming, fault: Fault) -> Response:
        if fault.kind is FaultKind.THROTTLE:
            return request.name(self._throttled(fault.retry_after_s))
        if fault.kind is FaultKind.ERROR:
            return _server_error(fault, request)
        response = self.handlers.respond(request)
        if fault.kind is FaultKind.GARBLED:
            return plain_response(200, b"<html><body>Sign in to continue</body></html>", "text/html")
        return response

    def _throttled(self, retry_after_s: float | None) -> Response:
        style = self.handlers.switches.rate_limit_style
        if style is RateLimitStyle.FORBIDDEN_TEXT:
            return plain_response(403, b"Forbidden\n", "text/plain; charset=utf-8")
        if style is RateLimitStyle.FORBIDDEN:
            return plain_response(403, error_document([FORBIDDEN])[1], JSON_API)
        return plain_response(429, headers=_retry_after(retry_after_s))

    async def _pause(self, seconds: float) -> bool:
        """Wait, and tell whether the server still runs."""
        if seconds <= 0:
            return True
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False


class Limiter:
    """Admits so many requests in any one second, and counts those over it.

    Examples
    --------
    >>> limiter = Limiter(2)
    >>> [limiter.admit(at) for at in (0.0, 0.5, 0.9, 1.0)], limiter.violations
    ([True, True, False, True], 1)
    """

    def __init__(self, rate_per_s: float | None) -> None:
        self.violations = 0
        self._rate_per_s = rate_per_s
        self._admitted: deque[float] = deque()
        self._lock = threading.Lock()

    def admit(self, now: float) -> bool:
        """Tell whether a request at this moment is within the limit."""
        if self._rate_per_s is None:
            return True
        with self._lock:
            while self._admitted and self._admitted[0] <= now - 1:
                self._admitted.popleft()
            if len(self._admitted) + 1 > self._rate_per_s:
                self.violations += 1
                return False
            self._admitted.append(now)
            return True


_RESET: Final = -1


def _over_limit(scope: Scope) -> int:
    """Return the status for a request line or headers that are too long; 0 where none is."""
    query = scope["query_string"]
    target = len(scope["raw_path"]) + (len(query) + 1 if query else 0)
    line = len(scope["method"]) + 1 + target + len(" HTTP/1.1\r\n")
    if line > _RESET_LINE:
        return _RESET
    if line > _LONGEST_LINE:
        return 414
    headers = scope["headers"]
    longest = max((len(name) + len(value) + 4 for name, value in headers), default=0)
    return 431 if longest > _LONGEST_LINE or len(headers) > _MOST_HEADERS else 0


async def _read_body(receive: Receive) -> tuple[bytes, bool]:
    """Return the body and whether all of it came; what is far over the limit is dropped."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body), False
        if len(body) <= _LARGEST_BODY:
            body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body), True


async def _compress(response: Response, accept_encoding: str) -> None:
    body = bytes(response.body)
    if not body:
        return
    if len(body) > _LARGE_ANSWER:
        packed, encoding = await asyncio.to_thread(compress, body, accept_encoding)
    else:
        packed, encoding = compress(body, accept_encoding)
    if encoding is not None:
        response.body = packed
        response.headers["content-encoding"] = encoding
        response.headers["content-length"] = str(len(packed))


def _retry_after(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"retry-after": f"{seconds:g}"}


def _server_error(fault: Fault, request: Incoming) -> Response:
    if fault.status == _SERVER_ERROR:
        return request.name(plain_response(500, framework_document(500), f"{JSON_API}; charset=utf-8"))
    headers = _retry_after(fault.retry_after_s) if fault.status == _UNAVAILABLE else {}
    return plain_response(
        fault.status, _PROXY_PAGE % (fault.status, fault.status), "text/html", headers=headers
    )


def _word(fault: Fault) -> str | None:
    return None if fault.kind is FaultKind.NONE else str(fault.kind)


async def _break_answer(response: Response, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the head and half of the body of an answer, or nothing, and break the connection."""
    body = bytes(response.body)
    half = len(body) // 2
    if fault.kind is not FaultKind.LOST_ANSWER or not half or scope["method"] == "HEAD":
        await _reset(scope, receive)
        return
    await send(
        {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
    )
    await send({"type": "http.response.body", "body": body[:half], "more_body": True})
    scope[TRANSPORT].close()
    await _until_gone(receive)


async def _reset(scope: Scope, receive: Receive) -> None:
    break_connection(scope[TRANSPORT])
    await _until_gone(receive)


def break_connection(transport: asyncio.Transport) -> None:
    """Break a connection so that the client sees a reset."""
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
    transport.abort()


async def _until_gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Wait until the server knows that the connection is gone, so that it does not answer itself."""
    while (await receive())["type"] != "http.disconnect":
        pass
