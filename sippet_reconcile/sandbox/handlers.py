"""How each request is answered, apart from faults: routes, checks and their order.

Input: one request with its body; output: a response. A request passes the web framework
first (its errors have their own shape), then JSON:API's checks, all of whose errors are
collected, then the action itself.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from starlette.responses import Response

from sippet_reconcile.sandbox.fault import NO_FAULT, Fault
from sippet_reconcile.sandbox.filters import compile_filter, is_uuid
from sippet_reconcile.sandbox.hands import after_answer, disguise, write
from sippet_reconcile.sandbox.kinds import FaultKind
from sippet_reconcile.sandbox.negotiation import (
    JSON_API,
    check_accept,
    has_readable_body,
    media_problems,
)
from sippet_reconcile.sandbox.openapi import openapi_document
from sippet_reconcile.sandbox.paging import cut_page
from sippet_reconcile.sandbox.patch import cast_attributes, decode_body, schema_problems
from sippet_reconcile.sandbox.problems import (
    FORBIDDEN,
    NO_ROUTE,
    FrameworkError,
    Problem,
    Refusal,
    error_document,
    framework_document,
    something_went_wrong,
)
from sippet_reconcile.sandbox.query import decode_query, read_query
from sippet_reconcile.sandbox.switches import DIRECTIONS, AuthFailure, Pagination, Switches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from starlette.datastructures import Headers

    from sippet_reconcile.sandbox.store import CallStore, Record

__all__ = ["Handlers", "Incoming", "not_found", "plain_response"]

_FRAMEWORK_TYPE: Final = f"{JSON_API}; charset=utf-8"
_SHORTEST_REQUEST_ID, _LONGEST_REQUEST_ID = 20, 200
_COMPACT: Final = (",", ":")


@dataclass(frozen=True)
class Incoming:
    """One request, its body read, and what happens to it."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    fault: Fault = NO_FAULT

    @property
    def url(self) -> str:
        """The address as this server saw it, query string and all."""
        host = self.headers.get("host", "127.0.0.1")
        return f"http://{host}{self.path}" + (f"?{self.query}" if self.query else "")

    def name(self, response: Response) -> Response:
        """Give an answer of the application its request id: the client's own, if that is long enough."""
        sent = self.headers.get("x-request-id", "")
        is_taken = _SHORTEST_REQUEST_ID <= len(sent) <= _LONGEST_REQUEST_ID
        response.headers["x-request-id"] = sent if is_taken else secrets.token_urlsafe(15)
        return response


def plain_response(
    status: int,
    body: bytes = b"",
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with the headers every answer of the application has."""
    named = {
        "cache-control": "max-age=0, private, must-revalidate",
        "vary": "accept-encoding",
        **(headers or {}),
    }
    if content_type is not None:
        named["content-type"] = content_type
    return Response(body, status, headers=named)


class Handlers:
    """Answers requests from a store.

    Parameters
    ----------
    store
        The calls.
    switches
        The server's unknown choices.
    token
        What a client must send; may be changed while the server runs.
    """

    def __init__(self, store: CallStore, switches: Switches, token: str) -> None:
        self.store = store
        self.switches = switches
        self.token = token
        self._vocabularies = {
            "status": dict.fromkeys([*switches.statuses, *sorted(store.words("status"))]),
            "direction": dict.fromkeys([*DIRECTIONS, *sorted(store.words("direction"))]),
        }

    def learn(self, values: Mapping[str, Any]) -> None:
        """Take words that calls hold into the enums: an enum can name whatever it holds."""
        for name, words in self._vocabularies.items():
            if values.get(name) is not None:
                words[values[name]] = None

    def respond(self, request: Incoming) -> Response:
        """Answer one request; never raises for what a client sent."""
        try:
            response = self._respond(request)
        except _Answered as answered:
            response = answered.response
        except Refusal as refusal:
            response = _refused(refusal.problems)
        except FrameworkError as error:
            response = _framework_error(error.status)
            if not error.is_parsed:
                return response
        except RecursionError:
            # A filter or a body nested a thousand deep is more than this server can walk.
            response = _framework_error(500)
        return request.name(response)

    def _respond(self, request: Incoming) -> Response:
        content_type = request.headers.get("content-type")
        is_read = has_readable_body(request.method, content_type)
        decode_query(request.query)
        body = decode_body(request.body) if is_read else {}
        segments = [unquote(segment) for segment in request.path.split("/") if segment]
        if not segments or segments[0] != "api":
            raise FrameworkError(404)
        if not self._is_authenticated(request):
            self._refuse_early(self._auth_failure(request))
        check_accept(request.headers.getlist("accept"))
        match "GET" if request.method == "HEAD" else request.method, segments[1:]:
            case "GET", ["calls"]:
                return self._index(request)
            case "PATCH", ["calls", call_id]:
                return self._update(request, call_id, body)
            case "GET", ["open_api"]:
                return self._describe(request)
        status, document = error_document([NO_ROUTE])
        return plain_response(status, document, _FRAMEWORK_TYPE)

    def _is_authenticated(self, request: Incoming) -> bool:
        if request.fault.kind is FaultKind.EXPIRED:
            return False
        headers = request.headers
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        sent = credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        return secrets.compare_digest(sent.encode(), self.token.encode())

    def _auth_failure(self, request: Incoming) -> AuthFailure:
        style = request.fault.style if request.fault.kind is FaultKind.EXPIRED else None
        return AuthFailure(style or self.switches.auth_failure)

    def _refuse_early(self, failure: AuthFailure) -> None:
        """Refuse a token where the server does so before the request is looked at."""
        if failure is AuthFailure.UNAUTHORIZED_JSON:
            raise _Answered(
                plain_response(401, b'{"error":"Unauthorized"}', "application/json; charset=utf-8")
            )
        if failure is AuthFailure.UNAUTHORIZED_TEXT:
            raise _Answered(plain_response(401, b"Unauthorized", "text/plain; charset=utf-8"))

    def _sees_calls(self, request: Incoming) -> bool:
        """Tell whether the calls are visible to a client, or refuse it, as late as a policy does."""
        if self._is_authenticated(request):
            return True
        if self._auth_failure(request) is AuthFailure.FORBIDDEN:
            raise Refusal([FORBIDDEN])
        return False

    def _index(self, request: Incoming) -> Response:
        query = read_query(request.query)
        _refuse(query.problems, _media(request.headers))
        where = compile_filter(query.filter, self._vocabularies)
        selected = self.store.select(where, query.sort) if self._sees_calls(request) else []
        page = cut_page(
            selected,
            query.page,
            url=request.url,
            pagination=None if self.switches.pagination is None else Pagination(self.switches.pagination),
            max_page_size=self.switches.max_page_size,
        )
        rows = self._show(page.records, query.fields, request.fault)
        return _document(b"[" + b",".join(rows) + b"]", page.links, page.meta)

    def _update(self, request: Incoming, call_id: str, body: Any) -> Response:
        query = read_query(request.query, path_params=("id",), is_index=False)
        _refuse(query.problems, _media(request.headers), schema_problems(body, self._vocabularies["status"]))
        is_atomic = self.switches.atomic
        if not is_uuid(call_id):
            raise Refusal([something_went_wrong(500 if is_atomic else 400)])
        attributes = body["data"].get("attributes", {})
        values, problems = cast_attributes(attributes, is_atomic=is_atomic)
        _refuse(problems)
        is_seen = self._sees_calls(request)
        statuses = tuple(self._vocabularies["status"])
        record = write(self.store, call_id.lower(), values, request.fault, statuses) if is_seen else None
        if record is None:
            raise Refusal([not_found(call_id)])
        return _document(self._show([record], query.fields, request.fault)[0], {"self": request.url}, {})

    def _show(self, records: Sequence[Record], fields: frozenset[str] | None, fault: Fault) -> list[bytes]:
        """Return the calls of an answer as the fault has them, and let it change them then."""
        encoded = self.store.encode(
            disguise(self.store, records, fault),
            fields,
            other_precision=fault.kind is FaultKind.OTHER_PRECISION,
            other_nil=fault.kind is FaultKind.OTHER_NIL,
        )
        if fault.changes is not None:
            self.learn(fault.changes)
        after_answer(self.store, records, fault, tuple(self._vocabularies["status"]))
        return encoded

    def _describe(self, request: Incoming) -> Response:
        document = openapi_document(
            url=request.url.partition("/api/")[0],
            statuses=tuple(self._vocabularies["status"]),
            directions=tuple(self._vocabularies["direction"]),
        )
        return plain_response(200, json.dumps(document).encode(), "application/json; charset=utf-8")


class _Answered(Exception):  # noqa: N818 - an answer on its way out, not a failure
    """The request is answered already."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"answered {response.status_code}")
        self.response = response


def _media(headers: Headers) -> list[Problem]:
    return media_problems(headers.getlist("accept"), headers.getlist("content-type"))


def _refuse(*collected: Iterable[Problem]) -> None:
    problems = [problem for group in collected for problem in group]
    if problems:
        raise Refusal(problems)


def _framework_error(status: int) -> Response:
    return plain_response(status, framework_document(status), _FRAMEWORK_TYPE)


def _refused(problems: Iterable[Problem]) -> Response:
    status, document = error_document(problems)
    return plain_response(status, document, JSON_API)


def not_found(call_id: str) -> Problem:
    """Return the error for an id that no visible call has."""
    return Problem(404, "not_found", "Entity Not Found", f"No Call record found with `id: {call_id}`")


def _document(data: bytes, links: Mapping[str, str | None], meta: Mapping[str, Any]) -> Response:
    rest = json.dumps(
        {"jsonapi": {"version": "1.0"}, "links": links, "meta": meta},
        ensure_ascii=False,
        separators=_COMPACT,
    )
    return plain_response(200, b'{"data":' + data + b"," + rest[1:].encode(), JSON_API)
