"""The sandbox as an ASGI application: limits, the journal, faults, then the answer.

Input: what the server hands over for each request; output: what goes back on the wire,
or a connection that breaks. Everything a client may see that is not an answer of the
API itself (limits of the HTTP server, a throttle, a lost answer) happens here.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response

from sippet_reconcile.sandbox.answers import (
    claim_gzip,
    error_answer,
    limit_headers,
    proxy_page,
    spoil,
    throttled,
)
from sippet_reconcile.sandbox.fault import Fault
from sippet_reconcile.sandbox.handlers import Handlers, Incoming, plain_response
from sippet_reconcile.sandbox.journal import Journal, ReceivedRequest, without_secrets
from sippet_reconcile.sandbox.kinds import RAW, FaultKind
from sippet_reconcile.sandbox.limiter import LARGEST_BODY, RESET, Limiter, over_limit
from sippet_reconcile.sandbox.negotiation import JSON_API, compress
from sippet_reconcile.sandbox.problems import framework_document
from sippet_reconcile.sandbox.raw import Ending, Wire, break_connection, forge, head_of, pieces
from sippet_reconcile.sandbox.switches import RateLimitStyle

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from starlette.types import Receive, Scope, Send

    from sippet_reconcile.sandbox.faults import FaultSource

__all__ = ["TRANSPORT", "SandboxApp"]

TRANSPORT: Final = "sippet.transport"
"""Where the scope of a request holds its connection, a `Wire`, so that it can be broken."""

_LARGE_ANSWER: Final = 65_536
_SIZE_DOCUMENT: Final = 413
_GZIP: Final = frozenset({FaultKind.GZIP_CLAIMED, FaultKind.GZIP_TRUNCATED})
_SILENT: Final = frozenset(
    {FaultKind.RESET, FaultKind.CLOSED, FaultKind.DROPPED_ANSWER, FaultKind.CLOSED_ANSWER}
)


@dataclass(frozen=True)
class _Exchange:
    """One request on its way: its number in the journal, and the ways to hear and to answer."""

    scope: Scope
    receive: Receive
    send: Send
    number: int = -1

    @property
    def wire(self) -> Wire:
        wire: Wire = self.scope[TRANSPORT]
        return wire

    async def reset(self) -> None:
        break_connection(self.wire)
        await _until_gone(self.receive)

    async def close(self) -> None:
        self.wire.close()
        await _until_gone(self.receive)


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
        limited = over_limit(scope)
        is_admitted = bool(limited) or self.limiter.admit(at)
        fault = self.faults.draw(scope["method"]) if is_admitted and not limited else Fault()
        if fault.kind is FaultKind.EARLY_ANSWER:
            await self._answer_early(_Exchange(scope, receive, send, self._write_down(scope, b"", at)), fault)
            return
        body, is_whole = (b"", True) if limited else await _read_body(receive)
        exchange = _Exchange(scope, receive, send, self._write_down(scope, body, at))
        if is_whole and (limited or len(body) > LARGEST_BODY):
            await self._refuse_size(exchange, limited or _SIZE_DOCUMENT)
        elif is_whole:
            await self._serve(exchange, _incoming(scope, body, fault), is_admitted=is_admitted)

    def _write_down(self, scope: Scope, body: bytes, at: float) -> int:
        return self.journal.arrived(
            ReceivedRequest(
                method=scope["method"],
                path=scope["raw_path"].decode("latin-1"),
                query=scope["query_string"].decode("latin-1"),
                headers=without_secrets(Headers(scope=scope).items()),
                body=body.decode("utf-8", "replace"),
                at=at,
            )
        )

    async def _answer_early(self, exchange: _Exchange, fault: Fault) -> None:
        """Answer on the bare connection: the HTTP server would wait for the rest of the request."""
        if not await self._pause(fault.latency_s):
            await exchange.reset()
            return
        page = proxy_page(503, {"connection": "close"})
        page.headers.update(fault.headers or {})
        lines = [b"%b: %b\r\n" % header for header in page.raw_headers]
        self.journal.settle(exchange.number, status=page.status_code, fault=_word(fault))
        head = b"HTTP/1.1 503 Service Unavailable\r\n" + b"".join(lines) + b"\r\n"
        exchange.wire.write(head + bytes(page.body))
        body, _ = await _read_body(exchange.receive)
        self.journal.add_body(exchange.number, body.decode("utf-8", "replace"))
        await exchange.close()

    async def _refuse_size(self, exchange: _Exchange, status: int) -> None:
        if status == RESET:
            await exchange.reset()
            return
        self.journal.settle(exchange.number, status=status, fault=None)
        if status == _SIZE_DOCUMENT:
            response = plain_response(status, framework_document(status), f"{JSON_API}; charset=utf-8")
        else:
            response = Response(status_code=status, headers={"connection": "close"})
        await response(exchange.scope, exchange.receive, exchange.send)

    async def _serve(self, exchange: _Exchange, request: Incoming, *, is_admitted: bool) -> None:
        fault = request.fault
        word = _word(fault) if is_admitted else "rate_limit"
        is_running = await self._pause(fault.latency_s)
        if not is_running or fault.kind in {FaultKind.RESET, FaultKind.CLOSED}:
            await self._break(exchange, fault, word)
            return
        response = self._answer(request, is_admitted=is_admitted)
        is_running = await self._pause(fault.hold_s)
        if not is_running or fault.kind in _SILENT:
            await self._break(exchange, fault, word)
            return
        response.headers.update(fault.headers or {})
        if fault.kind in _GZIP:
            claim_gzip(response, fault)
        else:
            await _compress(response, request.headers.get("accept-encoding", ""))
        if fault.kind in RAW:
            await self._play(exchange, response, fault)
        elif fault.kind is FaultKind.SLOW_BODY:
            await self._dribble_body(exchange, response, fault)
        else:
            self.journal.settle(exchange.number, status=response.status_code, fault=word)
            await response(exchange.scope, exchange.receive, exchange.send)

    def _answer(self, request: Incoming, *, is_admitted: bool) -> Response:
        fault, rate = request.fault, self.limiter.rate_per_s
        style = RateLimitStyle(self.handlers.switches.rate_limit_style)
        if not is_admitted:
            return throttled(Fault(FaultKind.THROTTLE, retry_after_s=1), request, style, rate)
        if fault.kind is FaultKind.THROTTLE:
            return throttled(fault, request, fault.style or style, rate)
        if fault.kind is FaultKind.ERROR:
            return error_answer(fault, request)
        response = spoil(self.handlers.respond(request), fault, request)
        if rate is not None and style is RateLimitStyle.FORBIDDEN_TEXT:
            response.headers.update(limit_headers(rate, self.limiter.remaining))
        return response

    async def _break(self, exchange: _Exchange, fault: Fault, word: str | None) -> None:
        """Break a connection without a byte of an answer."""
        self.journal.settle(exchange.number, status=None, fault=word)
        if fault.kind in {FaultKind.CLOSED, FaultKind.CLOSED_ANSWER}:
            await exchange.close()
        else:
            await exchange.reset()

    async def _play(self, exchange: _Exchange, response: Response, fault: Fault) -> None:
        """Write other bytes than the HTTP server would, and end the connection as the fault has it."""
        wire = exchange.wire
        try:
            written = await wire.record(response, exchange.send)
            ending = await self._push(exchange, written, response.status_code, fault)
        finally:
            wire.release()
        if ending is Ending.CLOSED:
            wire.close()
        elif ending is Ending.HALF_CLOSED:
            wire.half_close()

    async def _push(self, exchange: _Exchange, written: bytes, status: int, fault: Fault) -> Ending:
        """Write what the fault makes of an answer, and return how the connection ends."""
        if not written:  # the client has left
            self.journal.settle(exchange.number, status=None, fault=_word(fault))
            return Ending.CLOSED
        n = head_of(written)
        data, ending = forge(fault.kind, written[:n], written[n:])
        if fault.kind is FaultKind.SLOW_HEAD:
            if not await self._dribble_head(exchange, data[:n], fault):
                break_connection(exchange.wire)
                return Ending.CLOSED
            data = data[n:]
        is_broken = ending is Ending.CLOSED
        self.journal.settle(exchange.number, status=None if is_broken else status, fault=_word(fault))
        exchange.wire.push(data)
        return ending

    async def _dribble_head(self, exchange: _Exchange, head: bytes, fault: Fault) -> bool:
        """Write a head piece by piece, and tell whether there is still somebody to hear the rest."""
        self.journal.settle(exchange.number, status=None, fault=_word(fault))
        cut, step_s = pieces(head, fault.spread_s)
        for piece in cut:
            if exchange.wire.inner.is_closing():
                return False
            exchange.wire.push(piece)
            if not await self._pause(step_s):
                return False
        return True

    async def _dribble_body(self, exchange: _Exchange, response: Response, fault: Fault) -> None:
        self.journal.settle(exchange.number, status=None, fault=_word(fault))
        start = {"status": response.status_code, "headers": response.raw_headers}
        await exchange.send({"type": "http.response.start", **start})
        *first, last = pieces(bytes(response.body), fault.spread_s)[0] or [b""]
        step_s = pieces(bytes(response.body), fault.spread_s)[1]
        for piece in first:
            await exchange.send({"type": "http.response.body", "body": piece, "more_body": True})
            if exchange.wire.is_closing() or not await self._pause(step_s):
                await exchange.reset()
                return
        self.journal.settle(exchange.number, status=response.status_code, fault=_word(fault))
        await exchange.send({"type": "http.response.body", "body": last})

    async def _pause(self, seconds: float) -> bool:
        """Wait, and tell whether the server still runs."""
        if seconds <= 0:
            return True
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return True
        return False


def _incoming(scope: Scope, body: bytes, fault: Fault) -> Incoming:
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return Incoming(scope["method"], path, query, Headers(scope=scope), body, fault)


async def _read_body(receive: Receive) -> tuple[bytes, bool]:
    """Return the body and whether all of it came; what is far over the limit is dropped."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body), False
        if len(body) <= LARGEST_BODY:
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


def _word(fault: Fault) -> str | None:
    return None if fault.kind is FaultKind.NONE else str(fault.kind)


async def _until_gone(receive: Callable[[], Awaitable[MutableMapping[str, Any]]]) -> None:
    """Wait until the server knows that the connection is gone, so that it does not answer itself."""
    while (await receive())["type"] != "http.disconnect":
        pass
