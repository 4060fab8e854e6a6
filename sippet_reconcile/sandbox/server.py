"""A real HTTP server on this machine that answers as the API does.

Input: calls, faults and switches; output: a `Sandbox` with a URL and a token. The server
runs in a thread with an event loop of its own, so it works in scripts, in tests and inside
the running loop of a notebook. It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.app import SandboxApp
from sippet_reconcile.sandbox.faults import Faults, FaultSource
from sippet_reconcile.sandbox.handlers import Handlers
from sippet_reconcile.sandbox.journal import Journal, ReceivedRequest
from sippet_reconcile.sandbox.listening import HOST, LoopbackServer, listen
from sippet_reconcile.sandbox.loading import check_value, read_calls
from sippet_reconcile.sandbox.store import CallStore
from sippet_reconcile.sandbox.switches import Switches
from sippet_reconcile.schema import CALL_ATTRIBUTES, Calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self


__all__ = ["Sandbox", "serve"]

_LAST_PORT: Final = 65_535
_START_TIMEOUT_S: Final = 30.0


class Sandbox:
    """A loopback server that plays the API on calls of your own.

    Parameters
    ----------
    calls
        A DataFrame with the CALLS columns, a JSON:API document, or the path of a
        ``.json``, ``.json.gz`` or ``.parquet`` file; None for no calls.
    faults
        What goes wrong; None for nothing.
    switches
        The real server's unknown choices; None for the likeliest.
    token
        What clients must send; None makes one up.
    port
        The port to listen on; 0 takes a free one, which a restart keeps.

    Attributes
    ----------
    token
        As above; setting it while the server runs makes the old one invalid, and
        renews a token that ``Faults.expire_after`` let expire.

    Examples
    --------
    >>> import httpx
    >>> with Sandbox() as sandbox:
    ...     answer = httpx.get(f"{sandbox.url}/api/calls", headers={"x-api-key": sandbox.token})
    >>> answer.json()["data"]
    []
    >>> [(request.method, request.status) for request in sandbox.requests]
    [('GET', 200)]

    In a notebook it may run over several cells; what others do to the calls meanwhile is
    a line of its own:

    >>> sandbox = Sandbox().start()
    >>> call_id = "11111111-1111-4111-8111-111111111111"
    >>> sandbox.add_call(call_id, status="answered")
    >>> sandbox.change_call(call_id, status="completed", duration_seconds=75)
    >>> sandbox.calls[["status", "duration_seconds"]].to_numpy().tolist()
    [['completed', 75]]
    >>> sandbox.remove_call(call_id)
    >>> sandbox.clear_requests()
    >>> sandbox.stop()
    >>> sandbox
    <Sandbox not running; next: sandbox.start(): 0 calls, 0 requests>
    """

    def __init__(
        self,
        calls: object = None,
        *,
        faults: Faults | None = None,
        switches: Switches | None = None,
        token: str | None = None,
        port: int = 0,
    ) -> None:
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _LAST_PORT:
            msg = f"port must be a whole number from 0 (a free one) to {_LAST_PORT}, got {port!r}"
            raise InputError(msg)
        self.switches = switches or Switches()
        self._store = CallStore(
            read_calls(calls),
            time_precision=self.switches.time_precision,
            omit_nil=self.switches.omit_nil,
        )
        self._journal = Journal()
        self._handlers = Handlers(self._store, self.switches, token or f"sandbox-{secrets.token_hex(12)}")
        self._source = FaultSource(faults or Faults())
        self._violations = 0
        self._port = port
        self._app: SandboxApp | None = None
        self._server: LoopbackServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Start listening, and return when requests are answered.

        Raises
        ------
        InputError
            If the port is taken, or the sandbox runs already.
        """
        if self._thread is not None:
            msg = f"this sandbox runs already at {self.url}"
            raise InputError(msg)
        listener = listen(self._port)
        self._port = listener.getsockname()[1]
        self._app = SandboxApp(self._handlers, self._source, self._journal)
        self._app.limiter.violations = self._violations
        self._server = LoopbackServer(self._app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="sippet-sandbox", daemon=True
        )
        self._thread.start()
        if not self._server.is_ready.wait(_START_TIMEOUT_S):
            self.stop()
            msg = f"the sandbox did not start within {_START_TIMEOUT_S:g} s"
            raise InputError(msg)
        return self

    def stop(self) -> None:
        """Break what is in flight, close the port, and keep calls and journal; may be called twice."""
        if self._thread is None or self._server is None or self._app is None:
            return
        self._server.stop()
        self._thread.join()
        self._violations = self._app.limiter.violations
        self._thread = self._server = self._app = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"at {self.url}" if self._thread is not None else "not running; next: sandbox.start()"
        return f"<Sandbox {state}: {len(self._store):,} calls, {len(self._journal.entries()):,} requests>"

    @property
    def url(self) -> str:
        """The address of the server, without a path."""
        if not self._port:
            msg = "the sandbox has no address yet; use it in a with block, or call start()"
            raise InputError(msg)
        return f"http://{HOST}:{self._port}"

    @property
    def token(self) -> str:
        """What clients must send, as a bearer token or as x-api-key."""
        return self._handlers.token

    @token.setter
    def token(self, token: str) -> None:
        self._handlers.token = token
        self._source.renew()

    @property
    def faults(self) -> Faults:
        """What goes wrong; set it to change that from the next request on, script and all."""
        return self._source.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._source = FaultSource(faults)
        if self._app is not None:
            self._app.faults = self._source

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request in order of arrival, those that met a fault included."""
        return self._journal.entries()

    def clear_requests(self) -> None:
        """Forget the requests so far."""
        self._journal.clear()

    @property
    def rate_violations(self) -> int:
        """How many requests were over ``Switches.rate_limit_per_s``."""
        return self._violations if self._app is None else self._app.limiter.violations

    @property
    def calls(self) -> Calls:
        """The calls as they stand, with the CALLS columns, in the order of the server's table."""
        return self._store.frame(self.url if self._port else None)

    def change_call(self, call_id: str, /, **attributes: Any) -> None:
        """Change a call behind the API's back, as other hands than ours would.

        Parameters
        ----------
        call_id
            The id of the call.
        attributes
            Any attributes of a call; instants as text with a zone, or as aware times.

        Raises
        ------
        InputError
            If there is no such call, or a value does not fit.
        """
        values = {name: check_value(name, value) for name, value in attributes.items()}
        self._handlers.learn(values)
        if self._store.change(call_id.lower(), values) is None:
            msg = f"the sandbox has no call {call_id}"
            raise InputError(msg)

    def add_call(self, call_id: str, /, **attributes: Any) -> None:
        """Add a call; attributes not given are missing."""
        row = read_calls([{"id": call_id, "attributes": {}}])[0]
        row |= {name: check_value(name, value) for name, value in attributes.items()}
        self._handlers.learn(row)
        self._store.add({name: row[name] for name in ("id", *CALL_ATTRIBUTES)})

    def remove_call(self, call_id: str) -> None:
        """Delete a call, as other hands would.

        Raises
        ------
        InputError
            If there is no such call.
        """
        if not self._store.remove(call_id.lower()):
            msg = f"the sandbox has no call {call_id}"
            raise InputError(msg)


def serve(
    calls: object = None,
    *,
    port: int = 0,
    token: str | None = None,
    faults: Faults | None = None,
    switches: Switches | None = None,
    on_started: Callable[[Sandbox], None] | None = None,
) -> Sandbox:
    """Run a sandbox until Ctrl-C, then stop it and return it.

    Parameters
    ----------
    calls, port, token, faults, switches
        As for `Sandbox`.
    on_started
        Called with the sandbox once it answers: the place to print its URL and token.

    Examples
    --------
    >>> def stop_at_once(sandbox):  # as Ctrl-C would
    ...     raise KeyboardInterrupt
    >>> serve(on_started=stop_at_once)
    <Sandbox not running; next: sandbox.start(): 0 calls, 0 requests>
    """
    sandbox = Sandbox(calls, faults=faults, switches=switches, token=token, port=port)
    never = threading.Event()
    with sandbox:
        try:
            if on_started is not None:
                on_started(sandbox)
            # A wait without a time-out cannot be interrupted on Windows.
            while not never.wait(0.5):
                pass
        except KeyboardInterrupt:
            return sandbox
    return sandbox
