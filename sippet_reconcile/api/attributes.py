"""What may be sent in a PATCH: checked before it leaves, compared when it comes back.

Input is attributes as a plan or a person writes them; output is the JSON values that
are sent, or an `InputError` that says which is wrong. The API itself would take some
that destroy data (an empty ``ended_at`` clears it), so nothing is left to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.api.queries import instant_text
from sippet_reconcile.errors import InputError
from sippet_reconcile.schema import MAX_SECONDS, PATCHABLE
from sippet_reconcile.values import (
    INSTANT_FIELDS,
    SECONDS_FIELDS,
    parse_instant,
    same_value,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer_problems", "valid_attributes"]

_API_FORM: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z")


def _instant(field: str, value: object) -> str:
    if isinstance(value, datetime) and not pd.isna(value):
        return instant_text(value, field)
    if isinstance(value, str) and _API_FORM.fullmatch(value):
        try:
            parse_instant(value)
        except ValueError:
            pass  # 30 February, second 60: told below, with the form that is expected
        else:
            return value
    shown = repr(value) if isinstance(value, str) else type(value).__name__
    msg = f"{field} must be 'YYYY-MM-DDTHH:MM:SSZ' (or with six decimals), or an aware datetime; got {shown}"
    raise InputError(msg)


def _seconds(field: str, value: object) -> int:
    if (
        isinstance(value, bool | np.bool_)
        or not isinstance(value, Integral)
        or not 0 <= int(value) <= MAX_SECONDS
    ):
        msg = f"{field} must be whole seconds from 0 to {MAX_SECONDS}; got {value!r} ({type(value).__name__})"
        raise InputError(msg)
    return int(value)


def _word(field: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{field} must be text; got {type(value).__name__}"
        raise InputError(msg)
    if not value or value != value.strip():
        msg = f"{field} must not be empty, nor begin or end with a space (the API would store something else)"
        raise InputError(msg)
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        msg = f"{field} holds a character that the API cannot store (NUL or a lone surrogate)"
        raise InputError(msg)
    return value


def valid_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return attributes as JSON values that may be sent.

    None puts back "no value", as only a revert does; ``call_source`` always has one.

    Raises
    ------
    InputError
        Naming the attribute, what was expected, and what was found.

    Examples
    --------
    >>> valid_attributes({"duration_seconds": 60, "ended_at": "2026-10-01T08:01:00Z"})
    {'duration_seconds': 60, 'ended_at': '2026-10-01T08:01:00Z'}
    """
    if not isinstance(attributes, Mapping) or not attributes:
        msg = f"a PATCH needs at least one attribute of {', '.join(PATCHABLE)}"
        raise InputError(msg)
    unknown = [str(name) for name in attributes if name not in PATCHABLE]
    if unknown:
        msg = f"{', '.join(unknown)} cannot be patched; the API lets {', '.join(PATCHABLE)} be corrected"
        raise InputError(msg)
    checked: dict[str, object] = {}
    for name, value in attributes.items():
        if value is None:
            if name == "call_source":
                msg = "call_source cannot be null"
                raise InputError(msg)
            checked[name] = None
        elif name in INSTANT_FIELDS:
            checked[name] = _instant(name, value)
        elif name in SECONDS_FIELDS:
            checked[name] = _seconds(name, value)
        else:
            checked[name] = _word(name, value)
    return checked


def answer_problems(
    call_id: str, sent: Mapping[str, object], answered: Mapping[str, Any], decimals: Mapping[str, int]
) -> Sequence[str]:
    """Return what in the answer to a PATCH is not as it was sent; nothing where all is well.

    Instants are compared at the precision of the answer, `decimals` by field.
    """
    problems = []
    if answered["id"] != call_id:
        problems.append(f"the answer is call {answered['id']}")
    for name, value in sent.items():
        wanted = None if value is None else str(value)
        if not same_value(name, wanted, answered[name], decimals=decimals):
            problems.append(f"{name} was sent as {wanted!r} and reads {answered[name]!r}")
    return problems
