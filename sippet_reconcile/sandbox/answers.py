"""Answers that are not the application's own: refusals, pages of proxies, broken documents.

Input: a fault, and the request or the honest answer; output: the answer to send. Nothing
here touches the calls or the connection.
"""

from __future__ import annotations

import gzip
import json
import math
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from sippet_reconcile.sandbox.fault import Fault, RetryAfterForm
from sippet_reconcile.sandbox.handlers import Incoming, not_found, plain_response
from sippet_reconcile.sandbox.kinds import FaultKind
from sippet_reconcile.sandbox.negotiation import JSON_API
from sippet_reconcile.sandbox.problems import FORBIDDEN, NO_SUCH_INPUT, error_document, framework_document
from sippet_reconcile.sandbox.switches import RateLimitStyle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["error_answer", "proxy_page", "retry_after", "spoil", "throttled"]

_PROXY_PAGE: Final = "<html>\r\n<head><title>{0}</title></head>\r\n<body><h1>{0}</h1></body>\r\n</html>\r\n"
_PORTAL: Final = "<html><body>Sign in to continue</body></html>"
_SIGN_IN: Final = "http://127.0.0.1:9/sign-in"
_HTML: Final = "text/html"
_FRAMEWORK_TYPE: Final = f"{JSON_API}; charset=utf-8"
_FRAMEWORK: Final = frozenset({400, 500})
_FRONT: Final = frozenset({414, 431})
_LIMIT_SHOWN: Final = 60


def retry_after(seconds: float | None, form: RetryAfterForm | str | None) -> dict[str, str]:
    """Return the header that says when to come back, or none.

    Examples
    --------
    >>> retry_after(0.5, None), retry_after(None, None), retry_after(9, "absent")
    ({'retry-after': '0.5'}, {}, {})
    """
    if seconds is None or form == RetryAfterForm.ABSENT:
        return {}
    if form == RetryAfterForm.DATE:
        return {"retry-after": formatdate(math.ceil(time.time() + seconds), usegmt=True)}
    return {"retry-after": f"{seconds:g}"}


def throttled(fault: Fault, request: Incoming, style: RateLimitStyle | str, rate: float | None) -> Response:
    """Return the refusal of a rate limit in one of its styles.

    Parameters
    ----------
    fault
        What it says of ``retry-after``.
    request
        What is refused.
    style
        See `RateLimitStyle`.
    rate
        The limit, where there is one; the style of the text names it.
    """
    if style == RateLimitStyle.FORBIDDEN_TEXT:
        headers = limit_headers(rate, 0)
        response = plain_response(403, b"Forbidden\n", "text/plain; charset=utf-8", headers)
    elif style == RateLimitStyle.FORBIDDEN:
        response = plain_response(403, error_document([FORBIDDEN])[1], JSON_API)
    else:
        headers = retry_after(fault.retry_after_s, fault.retry_after_form)
        response = plain_response(429, headers=headers)
    return request.name(response)


def limit_headers(rate: float | None, remaining: int) -> dict[str, str]:
    """Return what the limiter of the text style tells of itself; the second ends within one."""
    return {
        "x-ratelimit-limit": str(int(rate or _LIMIT_SHOWN)),
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(math.floor(time.time()) + 1),
    }


def error_answer(fault: Fault, request: Incoming) -> Response:
    """Return an error in the shape that the part which sends it gives it.

    400 and 500 come from the web framework, 403, 404 and 422 from JSON:API, 401 from the
    plug that checks keys, 413, 414 and 431 from the HTTP server, all others from a proxy.
    """
    headers = retry_after(fault.retry_after_s, fault.retry_after_form)
    status = fault.status
    if fault.body is not None:
        return plain_response(status, fault.body.encode(), _HTML, headers)
    if status in _FRAMEWORK:
        return request.name(plain_response(status, framework_document(status), _FRAMEWORK_TYPE, headers))
    if status in {403, 404, 422}:
        call_id = request.path.rpartition("/")[2]
        problem = {403: FORBIDDEN, 404: not_found(call_id), 422: NO_SUCH_INPUT}[status]
        return request.name(plain_response(status, error_document([problem])[1], JSON_API, headers))
    if status == 401:  # noqa: PLR2004 - a status
        body = b'{"error":"Unauthorized"}'
        return request.name(plain_response(status, body, "application/json; charset=utf-8", headers))
    if status == 413:  # noqa: PLR2004 - a status
        return plain_response(status, framework_document(status), _FRAMEWORK_TYPE, headers)
    if status in _FRONT:
        return Response(status_code=status, headers={"connection": "close", **headers})
    return proxy_page(status, headers)


def proxy_page(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return the page that a proxy makes of a status."""
    return plain_response(status, _PROXY_PAGE.format(status).encode(), _HTML, headers)


def spoil(response: Response, fault: Fault, request: Incoming) -> Response:
    """Return what the client gets instead of the honest answer to what was done."""
    match fault.kind:
        case FaultKind.ERROR_AFTER:
            return error_answer(fault, request)
        case FaultKind.GARBLED:
            return plain_response(200, (fault.body or _PORTAL).encode(), _HTML)
        case FaultKind.NO_CONTENT:
            return Response(status_code=204)
        case FaultKind.REDIRECT:
            return plain_response(302, headers={"location": _SIGN_IN})
    broken = _BROKEN.get(FaultKind(fault.kind))
    if broken is not None:
        _replace_body(response, broken(bytes(response.body)))
    return response


def _replace_body(response: Response, body: bytes) -> None:
    response.body = body
    response.headers["content-length"] = str(len(body))


def claim_gzip(response: Response, fault: Fault) -> None:
    """Say gzip of a body that is none, or not all of one."""
    body = bytes(response.body)
    if fault.kind is FaultKind.GZIP_TRUNCATED:
        packed = gzip.compress(body, mtime=0)
        _replace_body(response, packed[: len(packed) // 2])
    response.headers["content-encoding"] = "gzip"


def _rewritten(body: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """Return a document with the attributes of its calls changed; what is no such document as it is."""
    document = json.loads(body) if body else None
    if not isinstance(document, dict) or "data" not in document:
        return body
    data = document["data"]
    for resource in data if isinstance(data, list) else [data]:
        change(resource["attributes"])
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _confuse_types(attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        if isinstance(value, str):
            attributes[name] = 7
        elif isinstance(value, int):
            attributes[name] = "sixty"


def _put_nan(attributes: dict[str, Any]) -> None:
    attributes["duration_seconds"] = math.nan


_BROKEN: Final[Mapping[FaultKind, Callable[[bytes], bytes]]] = {
    FaultKind.EMPTY_BODY: lambda _: b"",
    FaultKind.JSON_NULL: lambda _: b"null",
    FaultKind.JSON_LIST: lambda body: b"[" + body + b"]",
    FaultKind.JSON_TRUNCATED: lambda body: body[: len(body) // 2],
    FaultKind.JSON_WRONG_TYPES: lambda body: _rewritten(body, _confuse_types),
    FaultKind.JSON_NAN: lambda body: _rewritten(body, _put_nan),
    # After the first quote that opens a value: every document holds a text.
    FaultKind.JSON_BAD_UTF8: lambda body: body.replace(b':"', b':"\xff', 1),
}
