"""What the server says of itself: which status words it knows, and what may be patched.

Input is the OpenAPI document; output is `ApiDescription`, with the status words and
the attributes that a PATCH takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import card, mask_text, show_value
from sippet_reconcile.api.documents import DocumentError, load_json
from sippet_reconcile.api.exchange import Exchange, ExchangeKind, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ApiDescription", "description_of", "read_description"]

_DEPTH: Final = 12


@dataclass(frozen=True)
class ApiDescription:
    """What the server's OpenAPI document says about calls.

    Where it cannot be read, ``available`` is False, ``problem`` says why, and both
    tuples are empty: nothing is claimed about the server.

    Examples
    --------
    >>> described = ApiDescription(statuses=("completed", "busy"), patchable=("status",))
    >>> described.summary()
    {'statuses': 'completed, busy', 'patchable': 'status'}
    """

    statuses: tuple[str, ...] = ()
    """The words that ``status`` may hold."""
    patchable: tuple[str, ...] = ()
    """The attributes that a PATCH takes."""
    available: bool = True
    problem: str | None = None

    def summary(self) -> dict[str, object]:
        """Return plain values, as every view shows them."""
        if not self.available:
            return {"available": False, "problem": self.problem}
        return {
            "statuses": ", ".join(self.statuses) or None,
            "patchable": ", ".join(self.patchable) or None,
        }

    def __repr__(self) -> str:
        told = "; ".join(f"{name}: {mask_text(show_value(value))}" for name, value in self.summary().items())
        return f"<ApiDescription {told}>"

    def _repr_html_(self) -> str:
        values = {
            name: mask_text(value) if isinstance(value, str) else value
            for name, value in self.summary().items()
        }
        return card("What the API says of itself", values, tone="ok" if self.available else "warn")


def _resolved(document: dict[str, Any], schema: Any) -> dict[str, Any]:
    for _ in range(_DEPTH):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        schema = document
        for part in reference[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(name) if isinstance(schema, dict) else None
    return {}


def _property(document: dict[str, Any], schema: dict[str, Any], name: str) -> dict[str, Any]:
    properties = _resolved(document, schema).get("properties")
    return _resolved(document, properties.get(name)) if isinstance(properties, dict) else {}


def _words(document: dict[str, Any], schema: Any, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the words of an enumeration, wherever a nullable one is nested."""
    whole = _resolved(document, schema)
    if not whole or not depth:
        return
    listed = whole.get("enum")
    if isinstance(listed, list):
        yield from (word for word in listed if isinstance(word, str))
    for name in ("anyOf", "oneOf", "allOf"):
        parts = whole.get(name)
        if isinstance(parts, list):
            for part in parts:
                yield from _words(document, part, depth - 1)


def _patch_attributes(document: dict[str, Any]) -> dict[str, Any]:
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        if not str(path).rstrip("/").rpartition("/")[0].endswith("/calls"):
            continue
        content = _resolved(document, _resolved(document, item).get("patch")).get("requestBody")
        media = _resolved(document, content).get("content")
        for body in media.values() if isinstance(media, dict) else ():
            schema = _resolved(document, body.get("schema") if isinstance(body, dict) else None)
            attributes = _property(document, _property(document, schema, "data"), "attributes")
            properties = attributes.get("properties")
            if isinstance(properties, dict):
                return properties
    return {}


def description_of(exchange: Exchange, *, gave_up: str) -> ApiDescription:
    """Return what the document said, or that the server has none.

    Raises
    ------
    ApiError
        Where the server did not answer; `gave_up` says why it is not asked again.
    """
    if exchange.kind is ExchangeKind.OK:
        description: ApiDescription = exchange.content
        return description
    if exchange.status is None:
        raise error_of(exchange, gave_up=gave_up)
    told = exchange.error_detail or exchange.kind.value
    return ApiDescription(available=False, problem=f"GET {exchange.path} answered {exchange.status}: {told}")


def read_description(body: bytes) -> ApiDescription:
    """Read the OpenAPI document as far as it speaks of calls.

    Raises
    ------
    DocumentError
        If it is not an OpenAPI document that knows calls.
    """
    document = load_json(body)
    if not isinstance(document, dict) or "paths" not in document:
        msg = "it is not an OpenAPI document"
        raise DocumentError(msg)
    attributes = _patch_attributes(document)
    components = document.get("components")
    schemas = components.get("schemas") if isinstance(components, dict) else None
    call = _resolved(document, schemas.get("Call")) if isinstance(schemas, dict) else {}
    shown = _property(document, _property(document, call, "attributes"), "status")
    words = dict.fromkeys([*_words(document, shown), *_words(document, attributes.get("status"))])
    if not attributes and not words:
        msg = "the OpenAPI document does not describe calls"
        raise DocumentError(msg)
    return ApiDescription(statuses=tuple(words), patchable=tuple(attributes))
