"""Read the JSON that stands in records, where somebody else's hands may have been.

Input is the text of a column, output the object that it holds.
"""

from __future__ import annotations

import json
from typing import Any

from sippet_reconcile.errors import AuditError

__all__ = ["json_object"]


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
    try:
        held = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        shown = "missing" if not isinstance(text, str) else repr(text[:40])
        msg = (
            f"{what} in the audit log is {shown}, which is no JSON object: this program does not write such records; "
            "see AuditLog.verify(), and restore the log from a backup"
        )
        raise AuditError(msg)
    return held
