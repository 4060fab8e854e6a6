"""Whether the body of a PATCH is accepted, and what it then writes.

Input: the decoded JSON body; output: either every problem of the first stage that has
any (schema first, then casting), or the values to store. The stages and the words are
those of the real library.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.sandbox.instants import parse_instant
from sippet_reconcile.sandbox.problems import (
    FrameworkError,
    Problem,
    inspect,
    invalid_body,
    required,
    something_went_wrong,
)
from sippet_reconcile.schema import PATCHABLE

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["cast_attributes", "decode_body", "schema_problems"]

_TOP: Final = frozenset({"data"})
_IN_DATA: Final = frozenset({"id", "type", "attributes", "relationships"})
_SMALLEST_INTEGER: Final = -(2**63)
_LARGEST_INTEGER: Final = 2**63 - 1
_NOTHING_MATCHES: Final = "No match of any schema"


def decode_body(raw: bytes) -> Any:
    """Return a JSON body; an empty one is an empty object, and of two equal keys the last wins.

    Raises
    ------
    FrameworkError
        400 where it is no JSON, or not UTF-8.
    """
    if not raw:
        return {}
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        # A lone surrogate is an escape that no UTF-8 text can hold; the real parser refuses it.
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise FrameworkError(400, is_parsed=False) from None
    return body


def _refuse_constant(name: str) -> Any:
    msg = f"{name} is no JSON"
    raise ValueError(msg)


def schema_problems(body: Any, statuses: Collection[str]) -> list[Problem]:
    """Return everything in a body that its schema does not allow.

    Parameters
    ----------
    body
        As `decode_body` returned it.
    statuses
        The members of the status enum.

    Raises
    ------
    FrameworkError
        500 for a relationship with data, which the real server does not survive.
    """
    if not isinstance(body, dict) or "data" not in body:
        extra = sorted(set(body) - _TOP) if isinstance(body, dict) else []
        return [required("/data"), *(_undefined([name]) for name in extra)]
    problems = [_undefined([name]) for name in body if name not in _TOP]
    data = body["data"]
    if not isinstance(data, dict):
        return [*problems, _wrong_type("object", data, ["data"])]
    problems += [_undefined(["data", name]) for name in data if name not in _IN_DATA]
    if "id" in data and not isinstance(data["id"], str):
        problems.append(_wrong_type("string", data["id"], ["data", "id"]))
    if "type" in data and data["type"] != "Call":
        problems.append(
            invalid_body(["data", "type"], f'Expected the value to be "Call", got {inspect(data["type"])}')
        )
    problems += _relationship_problems(data)
    problems += _attribute_problems(data, statuses)
    return problems


def _undefined(path: list[str]) -> Problem:
    return Problem(
        400,
        "invalid_body",
        "InvalidBody",
        f"Expected only defined properties, got key {inspect(path)}.",
        pointer="/" + "/".join(path),
    )


def _wrong_type(expected: str, value: Any, path: list[str]) -> Problem:
    return invalid_body(path, f'Expected "{expected}", got {inspect(value)}')


def _relationship_problems(data: dict[str, Any]) -> list[Problem]:
    if "relationships" not in data:
        return []
    relationships = data["relationships"]
    if not isinstance(relationships, dict):
        return [_wrong_type("object", relationships, ["data", "relationships"])]
    if any(isinstance(v, dict) and isinstance(v.get("data"), dict) for v in relationships.values()):
        raise FrameworkError(500)
    return [_undefined(["data", "relationships", name]) for name in relationships for _ in range(2)]


def _attribute_problems(data: dict[str, Any], statuses: Collection[str]) -> list[Problem]:
    attributes = data.get("attributes", {})
    if not isinstance(attributes, dict):
        return [_wrong_type("object", attributes, ["data", "attributes"])]
    problems = []
    for name, value in attributes.items():
        path = ["data", "attributes", name]
        if name not in PATCHABLE:
            problems.append(_undefined(path))
        elif not _fits(name, value, statuses):
            problems.append(invalid_body(path, _NOTHING_MATCHES))
    return problems


def _fits(name: str, value: Any, statuses: Collection[str]) -> bool:
    """Tell whether a value passes the schema of its attribute; casting may still refuse it."""
    if value is None or name == "ended_at":
        return True
    if name == "status":
        return isinstance(value, str) and value in statuses
    if name == "duration_seconds":
        if isinstance(value, bool):
            return False
        return isinstance(value, str | int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, str)


def cast_attributes(attributes: dict[str, Any], *, is_atomic: bool) -> tuple[dict[str, Any], list[Problem]]:
    """Return the values to store, and what cannot be cast to them.

    Texts are trimmed, an empty ``ended_at`` is null, and an unreadable one is a 500 in
    an atomic action and a 400 otherwise.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in attributes.items():
        cast, problem = _cast(name, value, is_atomic=is_atomic)
        values[name] = cast
        if problem is not None:
            problems.append(problem)
    return values, problems


def _cast(name: str, value: Any, *, is_atomic: bool) -> tuple[Any, Problem | None]:
    pointer = f"/data/attributes/{name}"
    if isinstance(value, str) and "\0" in value:
        return None, something_went_wrong(500)
    if name == "call_source":
        trimmed = (value or "").strip()
        return (trimmed, None) if trimmed else (None, required(pointer))
    if value is None or name == "status":
        return value, None
    if name == "duration_seconds":
        return _cast_seconds(value, pointer)
    if value == "":
        return None, None
    try:
        return parse_instant(value if isinstance(value, str) else ""), None
    except ValueError:
        if is_atomic:
            return None, something_went_wrong(500)
        return None, _invalid_attribute(pointer, "Could not cast input to datetime")


def _cast_seconds(value: Any, pointer: str) -> tuple[int | None, Problem | None]:
    if isinstance(value, str):
        if not value:
            return None, None
        if re.fullmatch(r"[+-]?\d{1,4000}", value, re.ASCII) is None:
            return None, _invalid_attribute(pointer, "is invalid")
        value = int(value)
    if isinstance(value, float):
        return None, _invalid_attribute(pointer, "is invalid")
    if not _SMALLEST_INTEGER <= value <= _LARGEST_INTEGER:
        return None, something_went_wrong(500)
    return value, None


def _invalid_attribute(pointer: str, detail: str) -> Problem:
    return Problem(400, "invalid_attribute", "InvalidAttribute", detail, pointer=pointer)
