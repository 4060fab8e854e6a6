"""Read the JSON that stands in records, where somebody else's hands may have been.

Input is the text of a column, output the object that it holds.
"""

from __future__ import annotations

import json
from typing import Any

from sippet_reconcile.errors import AuditError

__all__ = ["json_names", "json_object"]


def json_object(text: object, what: str) -> dict[str, Any]:
    """Return the JSON object that a record holds.

    Parameters
    ----------
    text
        The value of the column.
    what
        Which one it is, for the message.

    Raises
    ------
    AuditError
        If it holds none: the record was edited.

    Examples
    --------
    >>> json_object('{"n_calls":3}', "the note of run r")
    {'n_calls': 3}
    """
    held: dict[str, Any] = _read(text, dict, what)
    return held


def json_names(text: object, what: str) -> tuple[str, ...]:
    """Return the names in the JSON object that a record holds, without keeping what stands under them.

    Takes and raises what `json_object` does. Of the start of a run, the names are the calls of its plan.

    Examples
    --------
    >>> json_names('{"a":{"duration_seconds":60},"b":{}}', "what a run was meant to write")
    ('a', 'b')
    """
    # Objects become tuples and arrays lists, so that the one is not taken for the other.
    names: tuple[str, ...] = _read(text, tuple, what)
    return names


def _read(text: object, kind: type[dict[str, Any]] | type[tuple[str, ...]], what: str) -> Any:
    """Return a JSON object with each object in it as one of a kind."""
    try:
        held = json.loads(text, object_hook=kind) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, kind):
        shown = "missing" if not isinstance(text, str) else repr(text[:40])
        msg = (
            f"{what} in the audit log is {shown}, which is no JSON object: this program does not write such records; "
            "see AuditLog.verify(), and restore the log from a backup"
        )
        raise AuditError(msg)
    return held
