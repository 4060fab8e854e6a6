"""The errors the server can answer with: one `Problem` each, in the two shapes it uses.

Input: what went wrong in a request, as codes; output: the JSON:API error document
or the shape of the web framework around it (``errors`` is an object there).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "FORBIDDEN",
    "NO_ROUTE",
    "NO_SUCH_INPUT",
    "UNACCEPTABLE",
    "UNSUPPORTED",
    "FrameworkError",
    "Problem",
    "Refusal",
    "error_document",
    "framework_document",
    "inspect",
    "invalid_body",
    "required",
    "something_went_wrong",
]

_FRAMEWORK_DETAILS: Final = {
    400: "Bad Request",
    404: "Not Found",
    406: "Not Acceptable",
    413: "Request Entity Too Large",
    415: "Unsupported Media Type",
    500: "Internal Server Error",
}


@dataclass(frozen=True)
class Problem:
    """One JSON:API error, without the id that each occurrence gets."""

    status: int
    code: str
    title: str
    detail: str | None = None
    pointer: str | None = None
    parameter: str | None = None
    has_meta: bool = True


class Refusal(Exception):  # noqa: N818 - an answer on its way out, not a failure of the sandbox
    """The request is answered with JSON:API errors."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(", ".join(problem.code for problem in problems))
        self.problems = tuple(problems)


class FrameworkError(Exception):
    """The request fails outside JSON:API and is answered in the web framework's shape."""

    def __init__(self, status: int, *, is_parsed: bool = True) -> None:
        super().__init__(f"{status} {_FRAMEWORK_DETAILS[status]}")
        self.status = status
        self.is_parsed = is_parsed


UNSUPPORTED: Final = Problem(415, "unsupported_media_type", "Unsupported Media Type")
UNACCEPTABLE: Final = Problem(406, "unacceptable_media_type", "Unacceptable Media Type")
FORBIDDEN: Final = Problem(403, "forbidden", "Forbidden", "forbidden")
NO_SUCH_INPUT: Final = Problem(422, "no_such_input", "NoSuchInput", "no such input")
NO_ROUTE: Final = Problem(404, "no_route_found", "NoRouteFound", "no route found")


def something_went_wrong(status: int = 400) -> Problem:
    """Return the error that names no cause: bad filters, and faults while writing."""
    return Problem(status, "something_went_wrong", "SomethingWentWrong", has_meta=False)


def required(pointer: str) -> Problem:
    """Return the error for a member that must be there."""
    return Problem(400, "required", "Required", "is required", pointer=pointer)


def invalid_body(path: Sequence[str], detail: str) -> Problem:
    """Return the error for a body that does not fit its schema; `detail` is without its place."""
    return Problem(
        400,
        "invalid_body",
        "InvalidBody",
        f"{detail}, at {inspect(list(path))}.",
        pointer="/" + "/".join(path),
    )


def inspect(value: object) -> str:
    """Return a JSON value as the server's language prints it.

    Examples
    --------
    >>> inspect({"a": [None, True, 1.5, "x"]})
    '%{"a" => [nil, true, 1.5, "x"]}'
    """
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inspect(item) for item in value) + "]"
    if isinstance(value, dict):
        return "%{" + ", ".join(f"{inspect(key)} => {inspect(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _as_member(problem: Problem) -> dict[str, object]:
    occurrence = str(uuid.uuid4())
    member: dict[str, object] = {
        "code": problem.code,
        "id": occurrence,
        "status": str(problem.status),
        "title": problem.title,
    }
    if problem.code == "something_went_wrong":
        member["detail"] = f"Something went wrong. Error id: {occurrence}"
    elif problem.detail is not None:
        member["detail"] = problem.detail
    if problem.has_meta:
        member["meta"] = {}
    if problem.pointer is not None:
        member["source"] = {"pointer": problem.pointer}
    elif problem.parameter is not None:
        member["source"] = {"parameter": problem.parameter}
    return member


def error_document(problems: Iterable[Problem]) -> tuple[int, bytes]:
    """Return the status, which is the highest of all, and the body of a JSON:API error answer."""
    listed = list(problems)
    document = {"errors": [_as_member(problem) for problem in listed], "jsonapi": {"version": "1.0"}}
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return max(problem.status for problem in listed), body.encode()


def framework_document(status: int) -> bytes:
    """Return the body of an error raised outside JSON:API.

    Examples
    --------
    >>> framework_document(413)
    b'{"errors":{"detail":"Request Entity Too Large"}}'
    """
    return json.dumps({"errors": {"detail": _FRAMEWORK_DETAILS[status]}}, separators=(",", ":")).encode()
