"""Read calls as plain texts in API form, without a table: what a run does for each answer.

Input are JSON:API resources, output are the same texts that a frame of them would be
turned into, by call id. What is not in the plainest form is left to the careful reader
of `documents`, which either reads it too or says what is wrong with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.schema import CALL_ATTRIBUTES
from sippet_reconcile.values import INSTANT_FIELDS, SECONDS_FIELDS, instants_to_text, seconds_to_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UUID", "PlainCalls", "Texts", "plain_calls", "texts_by_id"]

Texts = dict[str, str | None]
"""The attributes of one call as texts in API form, missing as None."""

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An id of a call, in lower case."""

_TYPE: Final = "Call"
_MAX_INT64: Final = 2**63
# Years and hours that every reader takes alike.
_INSTANT: Final = re.compile(
    r"(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}T[01][0-9]:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z"
    r"|(?:19|20)[0-9]{2}-[0-9]{2}-[0-9]{2}T2[0-3]:[0-9]{2}:[0-9]{2}(\.[0-9]{6})?Z"
)
_NO_FRACTION: Final = ".000000Z"
_DECIMALS: Final = 6


@dataclass(frozen=True, eq=False)
class PlainCalls:
    """Calls as texts, and what their instants show of the server's precision."""

    texts: dict[str, Texts]
    decimals: dict[str, int]
    """Field to the most decimals of a second; a field without any instant is left out."""


class _NotPlainError(Exception):
    pass


def plain_calls(resources: list[Any]) -> PlainCalls | None:
    """Return resources as texts by id, or None where one of them is not in the plainest form.

    Examples
    --------
    >>> attributes = {"ended_at": "2026-10-01T08:01:00.000000Z", "duration_seconds": 60}
    >>> call = {"type": "Call", "id": "00000000-0000-4000-8000-000000000001", "attributes": attributes}
    >>> found = plain_calls([call])
    >>> found.texts[call["id"]]["ended_at"], found.decimals
    ('2026-10-01T08:01:00Z', {'ended_at': 6})
    >>> plain_calls([call, call]) is None
    True
    """
    texts: dict[str, Texts] = {}
    decimals: dict[str, int] = {}
    try:
        for resource in resources:
            call_id, row = _read(resource, decimals)
            texts[call_id] = row
    except _NotPlainError:
        return None
    return PlainCalls(texts, decimals) if len(texts) == len(resources) else None


def _read(resource: Any, decimals: dict[str, int]) -> tuple[str, Texts]:
    if type(resource) is not dict or resource.get("type") != _TYPE:
        raise _NotPlainError
    call_id, attributes = resource.get("id"), resource.get("attributes")
    if type(call_id) is not str or type(attributes) is not dict:
        raise _NotPlainError
    call_id = call_id.lower()
    if UUID.fullmatch(call_id) is None:
        raise _NotPlainError
    row: Texts = {}
    for name in CALL_ATTRIBUTES:
        value = attributes.get(name)
        if value is None:
            row[name] = None
        elif name in INSTANT_FIELDS:
            row[name] = _instant(value)
            decimals[name] = max(decimals.get(name, 0), _DECIMALS if "." in value else 0)
        elif name in SECONDS_FIELDS:
            if type(value) is not int or not -_MAX_INT64 <= value < _MAX_INT64:
                raise _NotPlainError
            row[name] = str(value)
        else:
            row[name] = _text(value)
    return call_id, row


def _instant(value: Any) -> str:
    if type(value) is not str or _INSTANT.fullmatch(value) is None:
        raise _NotPlainError
    try:
        datetime.fromisoformat(value)
    except ValueError as exc:
        raise _NotPlainError from exc
    return value.removesuffix(_NO_FRACTION) + "Z" if value.endswith(_NO_FRACTION) else value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise _NotPlainError
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as exc:  # half a surrogate pair
            raise _NotPlainError from exc
    return value


def texts_by_id(calls: pd.DataFrame) -> dict[str, Texts]:
    """Return rows read from the API as texts in API form, by call id."""
    columns: dict[str, list[str | None]] = {}
    for name in CALL_ATTRIBUTES:
        column = calls[name]
        if name in INSTANT_FIELDS:
            column = instants_to_text(column)
        elif name in SECONDS_FIELDS:
            column = seconds_to_text(column)
        columns[name] = [value if isinstance(value, str) else None for value in column]
    return {
        str(call_id): {name: values[row] for name, values in columns.items()}
        for row, call_id in enumerate(calls["id"])
    }
