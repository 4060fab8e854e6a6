"""What came of one request: its kind, what the server said, and the rows it answered.

Input is a `Reply` of the wire (or the way in which none came); output is a frozen
`Exchange`, and where somebody wants an exception instead, the fitting `ApiError`.
Nothing here sends, waits or retries.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.api.documents import DocumentError
from sippet_reconcile.api.problems import Problem, read_problems
from sippet_reconcile.api.retry import parse_retry_after
from sippet_reconcile.errors import ApiError, RejectedError, TransientApiError, UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import pandas as pd

    from sippet_reconcile.api.plain import Texts
    from sippet_reconcile.api.wire import Reply

__all__ = ["Exchange", "ExchangeKind", "error_of", "judge"]

_OK, _REDIRECT, _CLIENT, _SERVER = 200, 300, 400, 500
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TIMEOUT, _TOO_EARLY = 401, 403, 404, 408, 425
_THROTTLED, _UNAVAILABLE, _GATEWAY_TIMEOUT = 429, 503, 504


class ExchangeKind(StrEnum):
    """What one request came to, as far as the next step depends on it."""

    OK = "ok"
    REJECTED = "rejected"
    """A 4xx that would be the same again."""
    MISSING = "missing"
    """404 on a PATCH: no such call, or it is not visible."""
    THROTTLED = "throttled"
    """429, 503 with ``Retry-After``, or 403 as plain text: slow down."""
    UNAUTHENTICATED = "unauthenticated"
    """401."""
    FORBIDDEN = "forbidden"
    """403 as JSON."""
    TRANSIENT = "transient"
    """408, 425 or another 5xx. A PATCH may have been applied all the same."""
    LOST = "lost"
    """Sent, but the answer was lost. A PATCH may have been applied."""
    NOT_SENT = "not_sent"
    """It never reached the server."""
    MALFORMED = "malformed"
    """An answer that the protocol does not allow for, a redirect among them."""


@dataclass(frozen=True, eq=False)
class Exchange:
    """One request and what came of it.

    ``calls`` holds the rows of a usable answer (one row for a PATCH), ``texts`` the same
    as texts in API form by call id; both are None otherwise. Texts of the server are
    scrubbed: no token, no long run of digits.
    """

    kind: ExchangeKind
    method: str
    status: int | None = None
    request_id: str | None = None
    latency_ms: float = 0.0
    retry_after_s: float | None = None
    error_code: str | None = None
    error_detail: str | None = None
    bytes_received: int = 0
    path: str = field(default="", repr=False)
    problems: tuple[Problem, ...] = field(default=(), repr=False)
    content: Any = field(default=None, repr=False)
    """What the answer was parsed to, for readers inside this package."""
    too_large: bool = field(default=False, repr=False)
    """The answer was given up because it was larger than one answer may be."""
    too_slow: bool = field(default=False, repr=False)
    """The answer did not come in time: ours, or that of a gateway on the way."""
    server_date: datetime | None = field(default=None, repr=False)
    asked_at: datetime | None = field(default=None, repr=False)
    """The instant before the request was sent: what the rows' ``fetched_at`` is."""

    make_calls: Callable[[], pd.DataFrame] | None = field(default=None, repr=False)
    """Makes the rows of the answer, for whoever wants a frame."""

    def with_calls(self, make_calls: Callable[[], pd.DataFrame]) -> Exchange:
        """Return it with what makes the rows of its answer."""
        return replace(self, make_calls=make_calls)

    def without_content(self) -> Exchange:
        """Return what is to be told of it, without what the answer held."""
        return replace(self, content=None, make_calls=None)

    @cached_property
    def calls(self) -> pd.DataFrame | None:
        """The rows of a usable answer."""
        return None if self.make_calls is None else self.make_calls()

    @property
    def texts(self) -> dict[str, Texts] | None:
        """The attributes of each call of a usable answer, as texts in API form by id."""
        if self.make_calls is None:
            return None
        texts: dict[str, Texts] = self.content.texts
        return texts

    @property
    def may_have_been_applied(self) -> bool:
        """Whether a PATCH may have changed the call although nobody confirmed it."""
        unsure = {ExchangeKind.LOST, ExchangeKind.TRANSIENT, ExchangeKind.MALFORMED}
        return self.method == "PATCH" and self.kind in unsure


_NO_ROUTE: Final = "no_route_found"
_LATER: Final = "; try again later"
_READ_FIRST: Final = "; it may have been applied: read the call before anything is said about it"
_MAX_REQUEST_ID: Final = 200


def _kind_of_failure(reply: Reply, method: str, problems: list[Problem], *, is_json: bool) -> ExchangeKind:
    status = reply.status or 0
    if status == _UNAUTHORIZED:
        return ExchangeKind.UNAUTHENTICATED
    if status == _FORBIDDEN:
        return ExchangeKind.FORBIDDEN if is_json else ExchangeKind.THROTTLED
    if status == _THROTTLED or (status == _UNAVAILABLE and "retry-after" in reply.headers):
        return ExchangeKind.THROTTLED
    if status >= _SERVER or status in {_TIMEOUT, _TOO_EARLY}:
        return ExchangeKind.TRANSIENT
    is_route = any(problem.code == _NO_ROUTE for problem in problems)
    # A missing route says nothing about the call, and a collection cannot be missing.
    if status == _NOT_FOUND and method == "PATCH" and not is_route:
        return ExchangeKind.MISSING
    return ExchangeKind.REJECTED


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def judge(
    reply: Reply,
    method: str,
    path: str,
    *,
    parse: Callable[[bytes], Any],
    now: datetime,
    scrub: Callable[[str], str] = str,
) -> Exchange:
    """Say what a reply means.

    Parameters
    ----------
    reply
        What the wire brought back.
    method, path
        What was asked; the path without its query, which may hold phone numbers.
    parse
        Turns the body of a 2xx into ``content``, or raises `DocumentError`.
    now
        The instant before the request was sent.
    scrub
        Takes the token out of a text, should a server have echoed it.
    """
    common: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": reply.status,
        "request_id": reply.headers.get("x-request-id", "")[:_MAX_REQUEST_ID] or None,
        "latency_ms": reply.latency_ms,
        "bytes_received": reply.bytes_received,
        "server_date": reply.date,
        "too_large": reply.too_large,
        "too_slow": reply.too_slow or reply.status == _GATEWAY_TIMEOUT,
        "asked_at": now,
    }
    if reply.fault is not None:
        kind = ExchangeKind(reply.fault)
        return Exchange(kind, **common, error_detail=reply.fault_detail)
    status = reply.status or 0
    if _REDIRECT <= status < _CLIENT or status < _OK:
        return Exchange(ExchangeKind.MALFORMED, **common, error_detail=reply.redirect_detail)
    if status < _REDIRECT:
        try:
            content = parse(reply.body)
        except DocumentError as exc:
            return Exchange(ExchangeKind.MALFORMED, **common, error_detail=scrub(str(exc)))
        return Exchange(ExchangeKind.OK, **common, content=content)
    problems = [problem.scrubbed(scrub) for problem in read_problems(reply.body)]
    first = problems[0] if problems else None
    return Exchange(
        _kind_of_failure(reply, method, problems, is_json=_is_json(reply.body)),
        **common,
        # A date is counted from the server's own clock where it tells it.
        retry_after_s=parse_retry_after(reply.headers.get("retry-after"), now=reply.date or now),
        error_code=first.code if first else None,
        error_detail=first.detail if first else None,
        problems=tuple(problems),
    )


def error_of(exchange: Exchange, *, gave_up: str = "") -> ApiError:
    """Return the exception that tells an operator what came of a request and what to do.

    Parameters
    ----------
    exchange
        Anything but an OK one.
    gave_up
        Why it is not tried again, as `retry.decide` says; empty where it was tried once.
    """
    what = f"{exchange.method} {exchange.path}"
    said = "; ".join(str(problem) for problem in exchange.problems) or exchange.error_detail or ""
    told = f": {said}" if said else ""
    status, request_id = exchange.status, exchange.request_id
    quote = f" (request id {request_id})" if request_id else ""
    again = f" ({gave_up})" if gave_up else ""
    kind = exchange.kind
    if kind is ExchangeKind.UNAUTHENTICATED:
        msg = (
            f"{what} answered 401{told}{quote}: the token is missing, wrong or expired; set SIPPET_API_TOKEN "
            "or SIPPET_API_KEY to a valid one. Whether there are calls is not known"
        )
        return RejectedError(msg, status=status, request_id=request_id, problems=_texts(exchange))
    if kind is ExchangeKind.FORBIDDEN:
        msg = (
            f"{what} answered 403{told}{quote}: this token may not do that, or it has expired (the API may answer "
            "403 for an expired one); check it with Client.check(). Whether there are calls is not known"
        )
        return RejectedError(msg, status=status, request_id=request_id, problems=_texts(exchange))
    if kind is ExchangeKind.MISSING:
        msg = f"{what} was answered 404{told}{quote}: there is no such call, or this token may not see it"
        return RejectedError(msg, status=status, request_id=request_id, problems=_texts(exchange))
    if kind is ExchangeKind.REJECTED:
        msg = f"{what} was refused with {status}{told}{quote}; the same request would be refused again"
        return RejectedError(msg, status=status, request_id=request_id, problems=_texts(exchange))
    if kind is ExchangeKind.MALFORMED:
        msg = f"{what} was answered with something the API's protocol does not allow for{told}{quote}"
        if exchange.may_have_been_applied:
            msg += _READ_FIRST
        return UnexpectedResponseError(msg, status=status, request_id=request_id)
    slower = "; try again later or slower"
    if status == _FORBIDDEN:
        slower += "; a 403 as plain text is a rate limit, or a proxy that refuses"
    words = {
        ExchangeKind.THROTTLED: f"{what} was throttled with {status}{told}{quote}{again}{slower}",
        ExchangeKind.TRANSIENT: f"{what} failed with {status}{told}{quote}{again}{_LATER}",
        ExchangeKind.LOST: f"{what} was sent and its answer lost{told}{again}{_LATER}",
        ExchangeKind.NOT_SENT: f"{what} could not be sent{told}{again}; check the URL and the network",
    }
    told_now = (
        words[kind].removesuffix(_LATER) + _READ_FIRST if exchange.may_have_been_applied else words[kind]
    )
    return TransientApiError(
        told_now,
        status=status,
        request_id=request_id,
        retry_after_s=exchange.retry_after_s,
        may_have_been_applied=exchange.may_have_been_applied,
    )


def _texts(exchange: Exchange) -> list[str]:
    return [str(problem) for problem in exchange.problems]
