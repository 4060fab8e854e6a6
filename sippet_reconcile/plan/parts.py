"""Hand out what a plan consists of, so that nobody can change it.

Input is the content of a plan, output are copies of its frames and its plain values.
The one class here is a base class, because a plan is what it consists of and what can
be done with it, which is told in `plan.model`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile.period import Period
from sippet_reconcile.reconciliation.rules import Rules

if TYPE_CHECKING:
    from sippet_reconcile.plan.approval import Approval
    from sippet_reconcile.plan.content import Content

__all__ = ["SHORT", "PlanParts"]

SHORT: Final = 12
"""Digits of a plan id that are enough for people."""


@dataclass(frozen=True, eq=False, repr=False)
class PlanParts:
    """What a plan consists of; frames are handed out as copies.

    Attributes
    ----------
    plan_id
        SHA-256 over the canonical JSON of everything but the approvals.
    approvals
        Who approved this very content; any change drops them.
    """

    plan_id: str
    approvals: tuple[Approval, ...]
    _content: Content

    @property
    def short_id(self) -> str:
        """The first twelve digits of the plan id."""
        return self.plan_id[:SHORT]

    @property
    def changes(self) -> pd.DataFrame:
        """One row per call and field, in plan order (`schema.CHANGES`); a copy."""
        return self._content.changes.copy()

    @property
    def calls(self) -> pd.DataFrame:
        """One row per touched call: as fetched, the CDR side, every source line; a copy."""
        return self._content.calls.copy()

    @property
    def left_out(self) -> pd.DataFrame:
        """One row per call and field that is not corrected, with the ``reason``; a copy."""
        return self._content.left_out.copy()

    @property
    def findings(self) -> pd.DataFrame:
        """One row per finding about the data the plan came from; a copy."""
        return self._content.findings.copy()

    @property
    def ledger(self) -> pd.DataFrame:
        """Calls and seconds before, changed and after, by field and cause; a copy."""
        return self._content.ledger.copy()

    @property
    def balance(self) -> pd.DataFrame:
        """Where every leg and every call of the reconciliation ended up; a copy."""
        return self._content.balance.copy()

    @property
    def not_patchable(self) -> pd.DataFrame:
        """What is wrong and cannot be corrected through the API, counted, with examples; a copy."""
        return self._content.not_patchable.copy()

    @property
    def disputes(self) -> pd.DataFrame:
        """What no correction settles, row by row, most seconds first (`plan.frames.DISPUTES`); a copy.

        One row per call and field that is wrong and cannot be patched, and one per CDR call
        with talk that has no Call record; at most 100,000 of them. `not_patchable` counts all.
        A plan of version 1 has none.
        """
        return self._content.disputes.copy()

    @property
    def kind(self) -> str:
        """``reconciliation``, ``corrections`` or ``revert``."""
        return str(self._content.plain["kind"])

    @property
    def created_at(self) -> pd.Timestamp:
        """When the plan was made."""
        return pd.Timestamp(self._content.plain["created_at"])

    @property
    def api_url(self) -> str | None:
        """The API whose calls the plan corrects; None where the calls did not say."""
        url: str | None = self._content.plain["api_url"]
        return url

    @property
    def period(self) -> Period | None:
        """The period of the reconciliation, if it had one."""
        values = self._content.plain["period"]
        return None if values is None else Period.from_dict(values)

    @property
    def rules(self) -> Rules:
        """The rules, resolved, under which the changes were decided."""
        return Rules.from_dict(self._content.plain["rules"])

    @property
    def accept(self) -> tuple[str, ...]:
        """Codes of the findings that were accepted."""
        return tuple(self._content.plain["accept"])

    @property
    def selection(self) -> dict[str, Any]:
        """What was asked for: ``fields``, ``where``, ``statuses`` and the guards, as plain values."""
        return json.loads(json.dumps(self._content.plain["selection"]))

    @property
    def phrases(self) -> dict[str, list[str]]:
        """How a sentence about one, or about several, changes of each cause goes on; a plan of version 1 has none."""
        return json.loads(json.dumps(self._content.plain.get("phrases", {})))

    @property
    def n_compared(self) -> int | None:
        """How many calls were compared; None where the plan comes from no comparison."""
        count: int | None = self._content.plain["n_compared"]
        return count

    @property
    def reverts_run_id(self) -> str | None:
        """The run that this plan undoes; None where it undoes none."""
        run_id: str | None = self._content.plain["reverts_run_id"]
        return run_id

    @property
    def schema_version(self) -> int:
        """The version of what a saved plan holds."""
        return int(self._content.plain["schema_version"])
