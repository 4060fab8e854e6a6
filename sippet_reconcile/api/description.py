"""What the server says of itself, and whether this client can read from it.

Input is the OpenAPI document; output is `ApiDescription`, with the status words and
the attributes that a PATCH takes. `CheckResult` is what ``Client.check()`` shows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._display import card, escape, show_value
from sippet_reconcile.api.documents import DocumentError, load_json

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ApiDescription", "CheckResult", "read_description"]

_DEPTH: Final = 12
_CLOCK_S: Final = 5.0


@dataclass(frozen=True)
class ApiDescription:
    """What the server's OpenAPI document says about calls.

    Where it cannot be read, ``available`` is False, ``problem`` says why, and both
    tuples are empty: nothing is claimed about the server.
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
        told = "; ".join(f"{name}: {show_value(value)}" for name, value in self.summary().items())
        return f"<ApiDescription {told}>"

    def _repr_html_(self) -> str:
        return card("What the API says of itself", self.summary(), tone="ok" if self.available else "warn")


@dataclass(frozen=True)
class CheckResult:
    """Whether calls can be read, with this URL and token, and how far the clocks are apart.

    Whether calls may be *written* is not checked: nothing is ever sent to find out.
    """

    url: str
    reachable: bool
    authenticated: bool | None
    """None where nothing was heard that would tell."""
    sees_calls: bool | None
    """Whether at least one call is visible; None where that could not be asked."""
    clock_difference_s: float | None
    """The server's clock minus this machine's, to about a second."""
    statuses: tuple[str, ...] = ()
    patchable: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        """Whether calls can be read and nothing is amiss."""
        return self.reachable and self.authenticated is True and self.sees_calls is True and not self.problems

    def summary(self) -> dict[str, object]:
        """Return plain values, as every view shows them."""
        return {
            "url": self.url,
            "reachable": self.reachable,
            "authenticated": self.authenticated,
            "sees_calls": self.sees_calls,
            "clock_difference_s": self.clock_difference_s,
            "statuses": ", ".join(self.statuses) or None,
            "patchable": ", ".join(self.patchable) or None,
            "problems": "; ".join(self.problems) or None,
        }

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name} {show_value(value)}" for name, value in self.summary().items() if value is not None
        )
        return f"<CheckResult {'ok' if self.ok else 'NOT ok'}: {told}>"

    def _repr_html_(self) -> str:
        values = {name: value for name, value in self.summary().items() if name not in {"url", "problems"}}
        problems = "".join(f"<p>{escape(problem)}</p>" for problem in self.problems)
        title = "The API can be read" if self.ok else "The API cannot be used yet"
        return card(title, values, problems, subtitle=self.url, tone="ok" if self.ok else "stop")


def clock_problem(difference_s: float | None) -> str | None:
    """Return a sentence where the clocks are too far apart to judge open calls by."""
    if difference_s is None or abs(difference_s) <= _CLOCK_S:
        return None
    return f"the server's clock is {difference_s:+.0f} s from this machine's; set this machine's clock"


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
