"""Bytes on a connection that no web framework would send: cut, dribbled, doubled, nonsense.

Input: the answer of the application, as the HTTP server writes it; output: other bytes on
the wire, and a connection that stays open, closes, or is reset. `Wire` stands between the
HTTP server and the connection to see those bytes.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
from collections.abc import Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sippet_reconcile.sandbox.kinds import FaultKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.responses import Response

__all__ = ["Ending", "Wire", "break_connection", "forge", "head_of", "pieces"]

_LINGER: Final = "hh" if os.name == "nt" else "ii"
"""The layout of the option that turns closing into a reset."""

_GREETING: Final = b"220 mail.example.net ESMTP ready\r\n"
_FILLER: Final = b"x-filler: " + b"a" * 1012 + b"\r\n"
_N_FILLERS: Final = 1024
_CLOSED: Final = -1
_OFF_BY: Final = 10
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
_SHORTEST_STEP_S: Final = 0.02


class Ending(Enum):
    """What becomes of the connection after the bytes."""

    OPEN = auto()
    CLOSED = auto()
    HALF_CLOSED = auto()


def forge(kind: FaultKind | str, head: bytes, body: bytes) -> tuple[bytes, Ending]:
    r"""Return the bytes that a fault makes of an answer, and how the connection ends.

    Parameters
    ----------
    kind
        One of `kinds.RAW`, or any other for the answer as it is.
    head
        The answer up to and with its empty line.
    body
        The rest.

    Examples
    --------
    >>> forge("lost_answer", b"HTTP/1.1 200 OK\r\n\r\n", b"1234")
    (b'HTTP/1.1 200 OK\r\n\r\n12', <Ending.CLOSED: 2>)
    """
    made = _FORGED.get(FaultKind(kind))
    if made is None:
        return head + body, Ending.OPEN
    forged, ending = made
    return forged(head, body), ending


def _chunked(head: bytes) -> bytes:
    return _LENGTH.sub(b"\r\ntransfer-encoding: chunked", head)


def _chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


def _with_length(head: bytes, length: int) -> bytes:
    return _LENGTH.sub(b"\r\ncontent-length: %d" % length, head)


def _cut_chunked(head: bytes, body: bytes) -> bytes:
    return _chunked(head) + _chunk(_half(body))


def _half(text: bytes) -> bytes:
    return text[: len(text) // 2]


_Forged: TypeAlias = "Callable[[bytes, bytes], bytes]"
_FORGED: Final[Mapping[FaultKind, tuple[_Forged, Ending]]] = {
    FaultKind.LOST_ANSWER: (lambda head, body: head + _half(body), Ending.CLOSED),
    FaultKind.LOST_HEAD: (lambda head, _: _half(head), Ending.CLOSED),
    FaultKind.LOST_CHUNKED: (_cut_chunked, Ending.CLOSED),
    FaultKind.BROKEN_CHUNK: (
        lambda head, body: _cut_chunked(head, body) + b"zz\r\n" + body[len(body) // 2 :],
        Ending.CLOSED,
    ),
    FaultKind.NO_HTTP: (lambda _head, _body: _GREETING, Ending.CLOSED),
    FaultKind.BROKEN_STATUS: (
        lambda head, body: re.sub(rb"\A(HTTP/1\.1 )\d+", rb"\g<1>2OO", head) + body,
        Ending.CLOSED,
    ),
    FaultKind.ENDLESS_HEAD: (lambda head, _: head[:-2] + _FILLER * _N_FILLERS, Ending.CLOSED),
    FaultKind.SHORT_LENGTH: (
        lambda head, body: _with_length(head, max(0, len(body) - _OFF_BY)) + body,
        Ending.OPEN,
    ),
    FaultKind.LONG_LENGTH: (
        lambda head, body: _with_length(head, len(body) + _OFF_BY) + body,
        Ending.OPEN,
    ),
    FaultKind.TWO_ANSWERS: (lambda head, body: (head + body) * 2, Ending.OPEN),
    FaultKind.HALF_CLOSED: (lambda head, body: head + body, Ending.HALF_CLOSED),
}
"""What each fault makes of the head and the body of an answer, and how the connection ends."""


def head_of(answer: bytes) -> int:
    """Return how many bytes the head of an answer has."""
    return answer.index(b"\r\n\r\n") + 4


def pieces(text: bytes, spread_s: float) -> tuple[list[bytes], float]:
    """Cut bytes into pieces to send one by one, and return the seconds between two of them.

    As many as there are bytes, unless that would be more than fifty in a second.

    Examples
    --------
    >>> pieces(b"abcde", 8)
    ([b'a', b'b', b'c', b'd', b'e'], 2.0)
    """
    most = max(2, int(spread_s / _SHORTEST_STEP_S))
    size = max(1, -(-len(text) // most))
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    return cut, spread_s / max(1, len(cut) - 1)


class Wire(asyncio.Transport):
    """A connection that can keep what the HTTP server writes, so that other bytes go out instead.

    Closing waits while it is held: whoever plays a fault decides when the bytes are out.
    """

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self.inner = inner
        self._held: bytearray | None = None
        self._is_closing = False
        self._is_half_closed = False

    async def record(self, response: Response, send: Callable[[Any], Awaitable[None]]) -> bytes:
        """Let the HTTP server write an answer, and return its bytes instead of sending them."""
        self._held = bytearray()
        body = bytes(response.body)
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers}
        )
        await send({"type": "http.response.body", "body": body})
        written, self._held = bytes(self._held), bytearray()
        return written

    def release(self) -> None:
        """Write through again, and close where that was asked for meanwhile."""
        self._held = None
        if self._is_closing:
            self.inner.close()

    def push(self, data: bytes) -> None:
        """Write although the wire is held."""
        self.inner.write(data)

    def half_close(self) -> None:
        """Close the sending side; what is written later goes nowhere."""
        if not self.inner.is_closing() and self.inner.can_write_eof():
            self._is_half_closed = True
            self.inner.write_eof()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or keep."""
        if self._held is not None:
            self._held += data
        elif not self._is_half_closed:
            self.inner.write(data)

    def close(self) -> None:
        """Close, at once or when released."""
        self._is_closing = True
        if self._held is None:
            self.inner.close()

    def abort(self) -> None:
        """Close without sending what is left."""
        self.inner.abort()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._is_closing or self.inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection knows of itself."""
        return self.inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Read no more for now."""
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self.inner.resume_reading()

    def is_reading(self) -> bool:
        """Tell whether the connection is read."""
        return self.inner.is_reading()


def break_connection(transport: asyncio.Transport) -> None:
    """Break a connection so that the client sees a reset."""
    connection = transport.get_extra_info("socket")
    if connection.fileno() == _CLOSED:
        return  # the client was faster
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
    transport.abort()
