"""Everything a plan is made of, and the fingerprint that follows from it.

A `Content` is everything a reviewer approves; its fingerprint is the SHA-256 of one
JSON text that follows from the content alone. Approvals are not part of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile.plan.frames import DISPUTES, canonical_json, json_of_column

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KINDS", "READ_VERSIONS", "SCHEMA_VERSION", "Content", "fingerprint_of"]

SCHEMA_VERSION: Final = 2
"""The version of what a saved plan holds."""

READ_VERSIONS: Final = (1, 2)
"""The versions that are read; a plan of version 1 knows no disputes, and its id follows from the rest."""

KINDS: Final = ("reconciliation", "corrections", "revert")
"""Where a plan may come from."""


@dataclass(frozen=True, eq=False)
class Content:
    """Everything of a plan but its approvals; frames in here are never handed out.

    Attributes
    ----------
    changes, calls, left_out, ledger, findings, balance, not_patchable, disputes
        See `schema.CHANGES` and `plan.frames`.
    plain
        Plain values: ``kind``, ``created_at``, ``api_url``, ``period``, ``rules``,
        ``accept``, ``selection``, ``n_compared``, ``reverts_run_id``, ``phrases``, ``schema_version``.
    """

    changes: pd.DataFrame
    calls: pd.DataFrame
    left_out: pd.DataFrame
    ledger: pd.DataFrame
    findings: pd.DataFrame
    balance: pd.DataFrame
    not_patchable: pd.DataFrame
    disputes: pd.DataFrame = field(default_factory=DISPUTES.empty)
    plain: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Each frame by its name, as far as a plan of this version has it."""
        foreign = {"plain"} if self.version > 1 else {"plain", "disputes"}
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in foreign}

    @property
    def version(self) -> int:
        """The version of what it holds."""
        return int(self.plain.get("schema_version", SCHEMA_VERSION))


def _parts(content: Content) -> Iterator[str]:
    """Yield, piece by piece, one JSON object with sorted keys."""
    frames = content.frames
    yield "{"
    for place, key in enumerate(sorted({*frames, *content.plain})):
        yield f"{',' if place else ''}{canonical_json(key)}:"
        if key not in frames:
            yield canonical_json(content.plain[key])
            continue
        yield "["
        for at, (name, values) in enumerate(json_of_column(frames[key])):
            yield f"{',' if at else ''}[{canonical_json(name)},{values}]"
        yield "]"
    yield "}"


def fingerprint_of(content: Content) -> str:
    """Return the SHA-256 of the canonical JSON of a content, as 64 hexadecimal digits.

    The JSON is one object with sorted keys and no blanks. A frame is a list of
    ``[name, {"dtype": …, "values": […]}]`` in the order of its columns, with instants
    in API form and missing values as null.
    """
    digest = hashlib.sha256()
    for part in _parts(content):
        digest.update(part.encode())
    return digest.hexdigest()
