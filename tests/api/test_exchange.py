"""What an answer means for the next step."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import Exchange, ExchangeKind
from sippet_reconcile.api.exchange import error_of
from sippet_reconcile.errors import RejectedError, TransientApiError, UnexpectedResponseError

Make = Callable[..., sr.Client]
JSON_403 = '{"errors":[{"code":"forbidden","detail":"forbidden","status":"403"}]}'
NOT_FOUND = '{"errors":[{"code":"not_found","detail":"No Call record found","status":"404"}]}'
NO_ROUTE = '{"errors":[{"code":"no_route_found","detail":"no route found","status":"404"}]}'
PHOENIX = '{"errors":{"detail":"Not Found"}}'


def always(status: int, text: str = "", **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(
        status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def failing(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def handler(_: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ((400, '{"errors":[{"code":"invalid_body"}]}', {}), ("rejected", "rejected")),
        ((401, '{"error":"Unauthorized"}', {}), ("unauthenticated", "unauthenticated")),
        ((401, "Unauthorized", {}), ("unauthenticated", "unauthenticated")),
        ((403, JSON_403, {}), ("forbidden", "forbidden")),
        ((403, "Forbidden\n", {}), ("throttled", "throttled")),
        ((403, "", {}), ("throttled", "throttled")),
        ((404, NOT_FOUND, {}), ("missing", "rejected")),
        ((404, NO_ROUTE, {}), ("rejected", "rejected")),
        ((404, PHOENIX, {}), ("missing", "rejected")),
        ((406, "", {}), ("rejected", "rejected")),
        ((408, "", {}), ("transient", "transient")),
        ((409, "", {}), ("rejected", "rejected")),
        ((414, "", {}), ("rejected", "rejected")),
        ((422, "", {}), ("rejected", "rejected")),
        ((429, "", {"retry_after": "3"}), ("throttled", "throttled")),
        ((429, "", {}), ("throttled", "throttled")),
        ((500, PHOENIX, {}), ("transient", "transient")),
        ((502, "<html>Bad Gateway</html>", {}), ("transient", "transient")),
        ((503, "", {}), ("transient", "transient")),
        ((503, "", {"retry_after": "3"}), ("throttled", "throttled")),
        ((504, "", {}), ("transient", "transient")),
        ((200, "", {}), ("malformed", "malformed")),
        ((200, "<html>login</html>", {}), ("malformed", "malformed")),
        ((200, '{"data": {"type": "User"}}', {}), ("malformed", "malformed")),
        ((204, "", {}), ("malformed", "malformed")),
        ((301, "", {"location": "https://elsewhere.example/"}), ("malformed", "malformed")),
        ((304, "", {}), ("malformed", "malformed")),
    ],
)
def test_each_answer_has_a_kind(
    client_of: Make, api: Any, given: tuple[int, str, dict[str, str]], kinds: tuple[str, str]
) -> None:
    status, text, headers = given
    client = client_of(always(status, text, **headers))
    patch = client.attempt_patch(api.call_id(1), {"status": "busy"})
    get = client.attempt_read([api.call_id(1)])
    assert (patch.kind, get.kind) == kinds
    assert (patch.method, patch.status, get.method, get.status) == ("PATCH", status, "GET", status)
    assert patch.calls is None
    assert get.calls is None
    assert patch.retry_after_s == (3.0 if headers.get("retry_after") else None)
    assert patch.latency_ms >= 0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), "not_sent"),
        (httpx.ConnectTimeout("x"), "not_sent"),
        (httpx.PoolTimeout("x"), "not_sent"),
        (httpx.ReadTimeout("x"), "lost"),
        (httpx.ReadError("reset"), "lost"),
        (httpx.WriteError("reset"), "lost"),
        (httpx.WriteTimeout("x"), "lost"),
        (httpx.RemoteProtocolError("Server disconnected"), "lost"),
    ],
)
def test_what_never_left_is_told_from_what_was_lost(
    client_of: Make, api: Any, error: Exception, kind: str
) -> None:
    exchange = client_of(failing(error)).attempt_patch(api.call_id(1), {"status": "busy"})
    assert exchange.kind == kind
    assert exchange.status is None
    assert exchange.may_have_been_applied is (kind == "lost")
    assert type(error).__name__ in str(exchange.error_detail)


def test_an_answer_in_a_broken_compression_is_malformed(client_of: Make, api: Any) -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    exchange = client_of(handler).attempt_patch(api.call_id(1), {"status": "busy"})
    assert exchange.kind is ExchangeKind.MALFORMED
    assert exchange.may_have_been_applied


def test_an_error_keeps_what_the_server_said(client_of: Make, api: Any) -> None:
    body = json.dumps({"errors": [
        {"code": "invalid_attribute", "detail": "caller 447700900123 must be %{max} at most", "meta": {"max": 9}, "source": {"pointer": "/data/attributes/status"}},
        {"code": "required", "detail": "is required"},
    ]})  # fmt: skip
    exchange = client_of(always(400, body, x_request_id="req-7")).attempt_patch(
        api.call_id(1), {"status": "busy"}
    )
    assert (exchange.error_code, exchange.request_id) == ("invalid_attribute", "req-7")
    assert exchange.error_detail == "caller 44••••••••23 must be 9 at most"
    error = error_of(exchange)
    assert isinstance(error, RejectedError)
    assert error.problems == (
        "invalid_attribute: caller 44••••••••23 must be 9 at most at /data/attributes/status",
        "required: is required",
    )
    assert "req-7" in str(error)


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("rejected", RejectedError, "refused again"),
        ("missing", RejectedError, "no such call"),
        ("unauthenticated", RejectedError, "SIPPET_API_TOKEN"),
        ("forbidden", RejectedError, "may not do that"),
        ("throttled", TransientApiError, "throttled"),
        ("transient", TransientApiError, "read the call"),
        ("lost", TransientApiError, "read the call"),
        ("not_sent", TransientApiError, "could not be sent"),
        ("malformed", UnexpectedResponseError, "read the call"),
    ],
)
def test_each_kind_has_an_error_that_says_what_next(kind: str, error: type[Exception], words: str) -> None:
    raised = error_of(Exchange(ExchangeKind(kind), "PATCH", path="/api/calls/x", status=499))
    assert type(raised) is error
    assert words in str(raised)
    assert str(raised).startswith("PATCH /api/calls/x ")


@pytest.mark.parametrize("kind", list(ExchangeKind))
def test_only_a_patch_without_a_verdict_may_have_been_applied(kind: ExchangeKind) -> None:
    unsure = kind in {ExchangeKind.LOST, ExchangeKind.TRANSIENT, ExchangeKind.MALFORMED}
    assert Exchange(kind, "PATCH").may_have_been_applied is unsure
    assert Exchange(kind, "GET").may_have_been_applied is False
