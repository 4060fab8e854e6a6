"""Which media types and encodings a request may use, by the two rule sets that look at it.

The web framework looks first (and fails in its own shape), JSON:API second. Input: header
values; output: problems, or the encoding of the answer.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Final

from sippet_reconcile.sandbox.problems import UNACCEPTABLE, UNSUPPORTED, FrameworkError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check_accept", "compress", "has_readable_body", "media_problems"]

JSON_API: Final = "application/vnd.api+json"
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9a-z-]+"  # noqa: S105 - the grammar's word for a name
_MEDIA: Final = re.compile(rf"\s*(?P<type>{_TOKEN})/(?P<subtype>{_TOKEN})\s*(?P<params>;.*)?", re.IGNORECASE)
_ALLOWED_PARAMS: Final = frozenset({"ext", "profile"})
_METHODS_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_LARGE: Final = 65_536


def _media(value: str) -> tuple[str, frozenset[str]] | None:
    """Return a media type in lower case and the names of its parameters; None for garbage."""
    match = _MEDIA.fullmatch(value)
    if match is None:
        return None
    names = {part.partition("=")[0].strip().lower() for part in (match["params"] or "").split(";")}
    return f"{match['type']}/{match['subtype']}".lower(), frozenset(names - {""})


def has_readable_body(method: str, content_type: str | None) -> bool:
    """Tell whether the framework parses the body as JSON.

    Raises
    ------
    FrameworkError
        415 for a type that none of its parsers takes.
    """
    if method not in _METHODS_WITH_BODY or content_type is None:
        return False
    media = _media(content_type)
    name = media[0] if media else ""
    if name.startswith("application/") and name.endswith(("/json", "+json")):
        return True
    if name in {"application/x-www-form-urlencoded", "multipart/form-data", "multipart/mixed"}:
        return False
    raise FrameworkError(415)


def check_accept(accept: Sequence[str]) -> None:
    """Let the framework refuse a client that takes no kind of JSON.

    Raises
    ------
    FrameworkError
        406.
    """
    if not accept:
        return
    first = accept[0]
    names = {media[0] for part in first.split(",") if (media := _media(part))}
    if "*/*" in first or names & {"application/json", JSON_API, "application/*"}:
        return
    raise FrameworkError(406)


def media_problems(accept: Sequence[str], content_types: Sequence[str]) -> list[Problem]:
    """Return what JSON:API finds wrong with the two headers; parameters but two are forbidden."""
    problems = []
    offered = [media for value in accept for part in value.split(",") if (media := _media(part))]
    own = [params for name, params in offered if name == JSON_API]
    if own and not any(params <= _ALLOWED_PARAMS for params in own):
        problems.append(UNACCEPTABLE)
    for value in content_types:
        media = _media(value)
        if media is None or media[0] != JSON_API or not media[1] <= _ALLOWED_PARAMS:
            problems.append(UNSUPPORTED)
    return problems


def compress(body: bytes, accept_encoding: str) -> tuple[bytes, str | None]:
    """Return a body in the first encoding the client names that the server has, and its name."""
    for part in accept_encoding.lower().split(","):
        name, _, params = part.strip().partition(";")
        if re.fullmatch(r"\s*q=0(\.0*)?\s*", params):
            continue
        if name.strip() in {"gzip", "x-gzip", "deflate"}:
            window = 15 if name.strip() == "deflate" else 31
            packer = zlib.compressobj(1 if len(body) > _LARGE else 6, zlib.DEFLATED, window)
            return packer.compress(body) + packer.flush(), name.strip()
    return body, None
