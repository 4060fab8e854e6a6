"""Listen on this machine, and serve the sandbox from a thread that another one may stop.

Input are a port and an application; output are a bound socket, and a server that is
quiet, breaks the connections it is told to, and ends as soon as it is asked to.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.app import TRANSPORT
from sippet_reconcile.sandbox.raw import Wire, break_connection

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from sippet_reconcile.sandbox.app import SandboxApp

__all__ = ["HOST", "LoopbackServer", "listen"]

HOST: Final = "127.0.0.1"
"""The only address that is ever listened on."""

_KEEP_ALIVE_S: Final = 65
_LARGEST_HEAD: Final = 1_048_576
_TICK_S: Final = 0.1
_TICKS_A_DAY: Final = 864_000
_GRACE_S: Final = 0.5
_SHORT_S: Final = 0.001


def listen(port: int) -> socket.socket:
    """Return a socket that is bound to a port of this machine; 0 takes a free one.

    Raises
    ------
    InputError
        If the port cannot be used.
    """
    # Named as TCP, or asyncio leaves Nagle's algorithm on and every answer waits 40 ms for its second part.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            # So that a restart gets its port back at once; on Windows the option would share the port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as exc:
        listener.close()
        msg = f"port {port} on {HOST} cannot be used ({exc.strerror}); choose another, or 0 for a free one"
        raise InputError(msg) from exc
    return listener


class _Protocol(H11Protocol):
    """HTTP/1.1 that shows the application its connection, because the sandbox breaks some."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # typed as uvicorn does
        wire = Wire(transport)
        super().connection_made(wire)
        app: Any = self.app
        if not app.faults.take_connection():
            wire.close()
            return

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[TRANSPORT] = wire
            await app(scope, receive, send)

        self.app = with_transport


class LoopbackServer(uvicorn.Server):
    """The server in its own thread; quiet, and stopped from another thread."""

    def __init__(self, app: SandboxApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                h11_max_incomplete_event_size=_LARGEST_HEAD,
            )
        )
        self.is_ready = threading.Event()
        self._stopping = app.stopping
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell the thread that waits."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)
        self.is_ready.set()

    async def main_loop(self) -> None:
        """Tick as the parent does (the date header lives on it), but end as soon as asked to."""
        counter = 0
        while not await self.on_tick(counter):
            counter = (counter + 1) % _TICKS_A_DAY
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _TICK_S)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the port and the idle connections, let answers finish, and break what still hangs.

        The parent waits a tenth of a second at least, and for half-sent requests longer.
        """
        loop = asyncio.get_running_loop()
        for listener in sockets or []:
            with suppress(NotImplementedError):  # Windows accepts in another way
                loop.remove_reader(listener)
        # A connection accepted just now attaches itself to its server; a closed server would refuse it and leave it open.
        await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        connections: Any = self.server_state.connections
        ours = asyncio.current_task()
        deadline = time.monotonic() + _GRACE_S
        # For a moment such a connection is a task, and not yet one of the connections.
        while connections or asyncio.all_tasks() - {ours}:
            is_late = time.monotonic() >= deadline
            for connection in list(connections):
                is_idle = connection.cycle is None or connection.cycle.response_complete
                if is_idle and not connection.transport.is_closing():
                    connection.transport.close()
                elif is_late:
                    break_connection(connection.transport)
            await asyncio.sleep(_SHORT_S)

    def stop(self) -> None:
        """Ask the server to end: pauses are cut short, their connections broken."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stopping.set)
