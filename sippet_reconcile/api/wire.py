"""Send one request and bring back what came of it, as plain values: the only home of httpx.

Requests go straight to an httpx transport (a pool of a few connections) and not
through ``httpx.Client``: so there are no cookies, no redirects, no proxies from the
environment, and no log line with a URL, whose query may hold phone numbers. An operator
who needs a proxy hands in ``transport=httpx.HTTPTransport(proxy=...)``; a private
certificate authority is named by ``SSL_CERT_FILE``. No httpx exception leaves this module,
and nothing that does leave it brings a frame along whose local variables hold the token.
"""

from __future__ import annotations

import os
import ssl
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

import httpx

from sippet_reconcile._display import mask_digits
from sippet_reconcile._version import __version__
from sippet_reconcile.api.secret import Secret
from sippet_reconcile.errors import InputError

__all__ = ["MAX_CONNECTIONS", "Reply", "Secret", "Timeouts", "Transport", "Wire"]

Transport: TypeAlias = httpx.BaseTransport
_Leaving: TypeAlias = Callable[[], object] | None
_MayLeave: TypeAlias = Callable[[], bool] | None

MAX_CONNECTIONS: Final = 16
"""As many as a run has threads; httpx's pool slows down with many more."""

MEDIA_TYPE: Final = "application/vnd.api+json"
_MAX_BYTES: Final = 256 * 2**20
_MAX_ERROR_BYTES: Final = 2**20
_ERROR: Final = 400
# Servers commonly close idle connections after 5 s; a shorter life here avoids answers lost to that race.
_KEEP_ALIVE_S: Final = 4.0


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait: to connect, for the next bytes, and for a whole answer."""

    connect_s: float = 10.0
    read_s: float = 60.0
    total_s: float = 300.0

    @classmethod
    def of(cls, timeout: float) -> Timeouts:
        """Return the waits that follow from how long the next bytes may take.

        Raises
        ------
        InputError
            Where that is no time.
        """
        if not timeout > 0:
            msg = f"timeout must be more than zero seconds, got {timeout!r}"
            raise InputError(msg)
        return cls(connect_s=min(10.0, timeout), read_s=timeout, total_s=max(300.0, 5 * timeout))


@dataclass(frozen=True)
class Reply:
    """One answer, or the way in which none came (``fault``)."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    latency_ms: float = 0.0
    bytes_received: int = 0
    fault: Literal["lost", "not_sent", "malformed"] | None = None
    fault_detail: str | None = None
    redirect_detail: str | None = None
    too_large: bool = False
    too_slow: bool = False
    date: datetime | None = None


# All that is read of an answer's head; what else a server sends is kept nowhere.
_KEPT_HEADERS: Final = ("date", "location", "retry-after", "x-request-id")


class _TooLargeError(Exception):
    pass


class _TooSlowError(Exception):
    pass


class _EchoError(Exception):
    pass


class _HeldBackError(Exception):
    pass


# What is raised before a byte of the request has left, by httpx's own account.
_NOT_SENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
)


def _trusted() -> ssl.SSLContext:
    """Return whom to trust: the usual authorities, or those of ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` instead.

    Raises
    ------
    InputError
        Where the variable names no readable file of certificates.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError as exc:  # an SSLError is one
        name = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
        msg = (
            f"{name} names {os.environ.get(name)!r}, whose certificates cannot be read ({exc.strerror or exc}): name a "
            "PEM file with the certificates of the authorities to trust, or unset it to trust the usual ones"
        )
        raise InputError(msg) from exc
    return context


def _why_untrusted(error: BaseException) -> str | None:
    """Say what is wrong with a server's certificate and what helps; None where something else went wrong."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    return (
        f"the server's certificate is not accepted ({cause.verify_message}), and the token was not sent. If it is from "
        "your company's own authority, set SSL_CERT_FILE to a PEM file with that authority's certificate; otherwise "
        "check the URL and this machine's clock. Verification cannot be switched off"
    )


class Wire:
    """A pool of connections to one API."""

    def __init__(
        self,
        base_url: str,
        secret: Secret | None,
        *,
        timeouts: Timeouts,
        transport: Transport | None = None,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self.base_url = base_url
        self._secret = secret
        self._timeouts = timeouts
        self._max_bytes = max_bytes
        self._transport = transport or httpx.HTTPTransport(
            verify=_trusted(),
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS,
                max_keepalive_connections=MAX_CONNECTIONS,
                keepalive_expiry=_KEEP_ALIVE_S,
            ),
        )
        # A transport that was handed in belongs to whoever made it; ours is closed at the latest with this object.
        self._closer = weakref.finalize(self, self._transport.close) if transport is None else None
        self._lock = threading.Lock()
        self._n_in_flight = 0
        self._is_closed = False

    def close(self) -> None:
        """Close the connections once no request is in flight; a later request opens one of its own.

        A pool closed under a thread that is just connecting would forget that connection and
        leave it open, and one closed under a PATCH would lose its answer.
        """
        with self._lock:
            self._is_closed = True
            self._close_if_quiet()

    def _close_if_quiet(self) -> None:
        """Close the pool of a closed wire; called under the lock, so that no request begins meanwhile."""
        if self._is_closed and self._n_in_flight == 0 and self._closer is not None:
            self._transport.close()

    def __repr__(self) -> str:
        return f"<Wire {self.base_url}>"

    def scrub(self, text: str) -> str:
        """Return a server's text without the token."""
        return self._secret.scrub(text) if self._secret else text

    def headers(self, method: str) -> dict[str, str]:
        """Return exactly the headers of a request, the token left out."""
        headers = {
            "Accept": MEDIA_TYPE,
            "Accept-Encoding": "gzip",
            "User-Agent": f"sippet-reconcile/{__version__}",
        }
        return {**headers, "Content-Type": MEDIA_TYPE} if method == "PATCH" else headers

    def send(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        *,
        leaving: _Leaving = None,
        may_leave: _MayLeave = None,
    ) -> Reply:
        """Send one request, once, and never raise for what the network or the server does.

        Parameters
        ----------
        method
            ``GET`` or ``PATCH``.
        target
            Path and query, encoded; it is appended to the base URL.
        body
            The bytes of a PATCH.
        leaving
            Called when nothing but the network lies between the request and the API.
        may_leave
            Asked once the connection stands, ahead of the first byte; False holds the request back.
        """
        outer = sys.exception()
        with self._lock:
            self._n_in_flight += 1
        try:
            return self._send(method, target, body, leaving, may_leave)
        except BaseException as exc:
            # Ctrl-C, or an error in a transport of somebody's own: frames below hold the headers in their variables.
            self._forget_frames(exc, outer)
            raise
        finally:
            with self._lock:
                self._n_in_flight -= 1
                self._close_if_quiet()

    def _forget_frames(self, error: BaseException, outer: BaseException | None) -> None:
        """Take the frames off an exception and off what led to it; where they were stays as a note, without values."""
        cause: BaseException | None = error
        while cause is not None and cause is not outer:
            if isinstance(cause, Exception):
                told = "".join(traceback.format_tb(cause.__traceback__))
                cause.add_note(
                    self.scrub(f"It came from (values are left out, they may hold the token):\n{told}")
                )
                cause.args = tuple(self.scrub(part) if isinstance(part, str) else part for part in cause.args)
            cause.__traceback__ = None
            cause = cause.__cause__ or cause.__context__

    def _send(
        self, method: str, target: str, body: bytes | None, leaving: _Leaving, may_leave: _MayLeave
    ) -> Reply:
        started = time.perf_counter()
        limits = httpx.Timeout(self._timeouts.read_s, connect=self._timeouts.connect_s)
        status: int | None = None
        received = 0
        headers: dict[str, str] = {}
        fault: Literal["lost", "not_sent", "malformed"] = "lost"
        too_large = too_slow = False
        try:
            request = httpx.Request(
                method,
                self.base_url + target,
                headers={**self.headers(method), **(self._secret.headers() if self._secret else {})},
                content=body,
                extensions={"timeout": limits.as_dict(), **_guarded(may_leave)},
            )
            if leaving is not None:
                leaving()
            response = self._transport.handle_request(request)
            try:
                status = response.status_code
                headers = {
                    name: self.scrub(response.headers[name])
                    for name in _KEPT_HEADERS
                    if name in response.headers
                }
                content, received = self._read(response, started)
            finally:
                response.close()
        except _NOT_SENT as exc:
            fault, detail = "not_sent", _why_untrusted(exc) or f"{type(exc).__name__}: {exc}"
        except _HeldBackError:
            fault, detail = "not_sent", "held back: the re-read it relies on grew too old while connecting"
        except httpx.DecodingError:
            fault, detail = "malformed", "the answer's compression cannot be read"
        except _TooLargeError:
            fault, detail, too_large = (
                "malformed",
                f"the answer is larger than {self._max_bytes:,} bytes",
                True,
            )
        except _EchoError:
            fault, detail = "malformed", "the answer holds the token itself; nothing of it is used"
        except _TooSlowError:
            detail, too_slow = f"the answer took longer than {self._timeouts.total_s:g} s", True
        except httpx.TimeoutException as exc:
            detail, too_slow = f"{type(exc).__name__}: no bytes for {self._timeouts.read_s:g} s", True
        except httpx.RequestError as exc:
            detail = f"{type(exc).__name__}: {exc}"
        else:
            return Reply(
                status,
                headers,
                content,
                latency_ms=_elapsed_ms(started),
                bytes_received=received,
                redirect_detail=self._redirect(status, headers),
                date=_date(headers.get("date")),
            )
        return Reply(
            status,
            headers,
            latency_ms=_elapsed_ms(started),
            bytes_received=received,
            fault=fault,
            fault_detail=mask_digits(self.scrub(detail)),
            too_large=too_large,
            too_slow=too_slow,
        )

    def _read(self, response: httpx.Response, started: float) -> tuple[bytes, int]:
        most = self._max_bytes if response.status_code < _ERROR else _MAX_ERROR_BYTES
        chunks: list[bytes] = []
        size = 0
        if "," in response.headers.get("content-encoding", ""):
            msg = "compressed twice"  # a chunk of it may unfold beyond any memory
            raise httpx.DecodingError(msg)
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                if response.status_code < _ERROR:
                    raise _TooLargeError
                break  # enough of an error page to say what it says
            if time.perf_counter() - started > self._timeouts.total_s:
                raise _TooSlowError
        content = b"".join(chunks)
        if self._secret is not None and response.status_code < _ERROR and self._secret.is_in(content):
            raise _EchoError  # as a value of a call it would go into plans, logs and reports
        return content, response.num_bytes_downloaded or size

    def _redirect(self, status: int, headers: Mapping[str, str]) -> str:
        """Say where a redirect would lead; the token is never sent there."""
        try:
            host = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2]
        except ValueError:
            host = ""
        ours = urlsplit(self.base_url).netloc
        where = f"to host {host!r}" if host and host != ours else "to another address of this host"
        return (
            f"status {status}, a redirect {where}; it is not followed, and the token is not sent there. "
            "Set SIPPET_API_URL to the API's own address"
        )


def _guarded(may_leave: _MayLeave) -> dict[str, Callable[[str, object], None]]:
    """Return the extension by which httpcore asks ahead of the first byte: to connect may take an hour's sleep."""

    def trace(event: str, _info: object) -> None:
        if may_leave and event.endswith("send_request_headers.started") and not may_leave():
            raise _HeldBackError

    return {"trace": trace} if may_leave else {}


def _elapsed_ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0


def _date(text: str | None) -> datetime | None:
    try:
        at = parsedate_to_datetime(text) if text else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return at if at is not None and at.tzinfo is not None else None
