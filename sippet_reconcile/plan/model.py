"""Hold what exactly would be sent, to which calls, and who has approved it.

A `Plan` is frozen and named by the fingerprint of its content. It is made by
`build_plan`, `plan_corrections` or, for a revert, `Plan.from_changes`; it prints its
dry run, hands out the requests, and is saved to one file. Nothing here sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sippet_reconcile.period import Period
from sippet_reconcile.plan.approval import Approval
from sippet_reconcile.plan.billed import billed_calls
from sippet_reconcile.plan.card import plan_card, plan_text
from sippet_reconcile.plan.content import fingerprint_of
from sippet_reconcile.plan.making import content_from_changes, content_of_calls
from sippet_reconcile.plan.parts import PlanParts
from sippet_reconcile.plan.plots import PlanPlots
from sippet_reconcile.plan.preview import preview
from sippet_reconcile.plan.requests import PlannedRequest, requests_of
from sippet_reconcile.plan.reviewed import reviewed_content
from sippet_reconcile.plan.selection import chosen_calls
from sippet_reconcile.plan.storage import read_plan, write_plan
from sippet_reconcile.plan.summary import line_of_plan, summary_of_plan
from sippet_reconcile.reconciliation.rules import Rules

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from sippet_reconcile.billing import BilledSeconds, RateCard
    from sippet_reconcile.report import DryRunReport

__all__ = ["Plan"]


@dataclass(frozen=True, eq=False, repr=False)
class Plan(PlanParts):
    """A reviewable, frozen set of changes; one PATCH per call carries all its fields.

    Frames are handed out as copies. A plan is as confidential as the CDR it came from.

    What it holds is in the attributes of `PlanParts`.

    Examples
    --------
    >>> import tempfile
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_reconciliation
    >>> plan = sr.build_plan(sample_reconciliation(), where="explanation == 'zero'")
    >>> plan.summary()["changes"], len(plan), next(plan.requests()).attributes
    (36, 29, {'status': 'completed', 'duration_seconds': 149})
    >>> plan.dry_run().summary()["net_s"], len(plan.keep(plan.changes["delta_s"] > 600))
    (5922.0, 1)
    >>> smaller = plan.drop(plan.calls["call_id"].head(2))
    >>> approved = smaller.approve(by="ana", note="looked at ten of them")
    >>> approved.plan_id == smaller.plan_id == approved.fingerprint(), smaller.plan_id == plan.plan_id
    (True, False)
    >>> sr.Plan.load(approved.save(f"{tempfile.mkdtemp()}/plan.parquet")).approvals[0].by
    'ana'
    """

    @classmethod
    def from_changes(
        cls,
        changes: pd.DataFrame,
        *,
        kind: str,
        api_url: str | None,
        calls: pd.DataFrame | None = None,
        left_out: pd.DataFrame | None = None,
        period: Period | None = None,
        rules: Rules | None = None,
        accept: Sequence[str] = (),
        findings: pd.DataFrame | None = None,
        ledger: pd.DataFrame | None = None,
        balance: pd.DataFrame | None = None,
        not_patchable: pd.DataFrame | None = None,
        disputes: pd.DataFrame | None = None,
        selection: Mapping[str, Any] | None = None,
        n_compared: int | None = None,
        reverts_run_id: str | None = None,
        created_at: datetime | None = None,
    ) -> Plan:
        """Make a plan from changes that are already decided; every other way ends here.

        Parameters
        ----------
        changes
            `schema.CHANGES` in any order; ``after`` may be missing (null) only in a
            revert, and never for ``call_source``.
        kind
            ``reconciliation``, ``corrections`` or ``revert``.
        calls
            `PLAN_CALLS`, one row per touched call; columns that are not there are
            missing. Without it, what the changes tell about the calls.
        reverts_run_id
            The run that a revert undoes; required for a revert and only for one.
        created_at
            An aware instant; now, where not given.

        Raises
        ------
        PlanError
            If a change could never be sent as it stands, with all of them counted. In a
            revert, a value that may not be written is left out instead.
        """
        at = datetime.now(UTC) if created_at is None else created_at.astimezone(UTC)
        content = content_from_changes(
            changes,
            calls=calls,
            left_out=left_out,
            ledger=ledger,
            findings=findings,
            balance=balance,
            not_patchable=not_patchable,
            disputes=disputes,
            plain={
                "kind": kind,
                "created_at": at.isoformat(),
                "api_url": api_url,
                "period": None if period is None else period.to_dict(),
                "rules": (rules or Rules()).to_dict(),
                "accept": list(accept),
                "selection": dict(selection or {}),
                "n_compared": None if n_compared is None else int(n_compared),
                "reverts_run_id": reverts_run_id,
            },
        )
        return cls(fingerprint_of(content), (), content)

    def fingerprint(self) -> str:
        """Recompute the plan id from the content, to be compared with `plan_id`."""
        return fingerprint_of(self._content)

    def __len__(self) -> int:
        return len(self._content.calls)

    def requests(self) -> Iterator[PlannedRequest]:
        """Yield every PATCH in plan order, without the token.

        Yields
        ------
        PlannedRequest
            One per call, with all its fields.
        """
        return requests_of(self._content.changes)

    def approve(self, *, by: str, note: str = "") -> Plan:
        """Return the plan with one more approval, which names the plan id.

        Parameters
        ----------
        by
            Who approves. The same name in other letters (case, accents, blanks, punctuation) is the same person.
        note
            Why, in their words; it stands in the plan file, the reports and the audit log.

        Raises
        ------
        InputError
            If `by` is no name, or one of the two is no text, or too long to be shown.
        """
        return replace(self, approvals=(*self.approvals, Approval.given(by, note, self.plan_id)))

    def keep(self, ids_or_mask: object) -> Plan:
        """Return a smaller plan with the named calls only; approvals are dropped.

        Parameters
        ----------
        ids_or_mask
            Ids of calls, or a mask over the rows of `changes` or of `calls`. A call
            is kept whole where any of its rows is marked.

        Raises
        ------
        InputError
            If an id is not in the plan, or a mask has another length or other row labels.
        """
        return self._only(chosen_calls(ids_or_mask, self._content.changes, self._content.calls))

    def drop(self, ids_or_mask: object) -> Plan:
        """Return a smaller plan without the named calls; approvals are dropped.

        Takes what `keep` takes; a call is dropped whole where any of its rows is marked.
        """
        dropped = chosen_calls(ids_or_mask, self._content.changes, self._content.calls)
        return self._only(~dropped)

    def keep_reviewed(self, path: str | os.PathLike[str]) -> Plan:
        """Return the plan of the calls that a person said yes to in a workbook; approvals are dropped.

        The workbook is the one that ``plan.dry_run().to_excel(path)`` wrote, masked or not, saved again by any
        program. Only ``yes`` in the column ``approve`` keeps (case and blanks do not matter), and only where all
        rows of a call say it. Whole rows and columns may be sorted, filtered, hidden and moved, and sheets added,
        but for a copy of the one that is answered in. Answers that were sorted without their rows stand beside
        other changes, which nobody can tell from the file.

        Returns
        -------
        Plan
            The other calls are in its ``left_out``, as ``rejected in review`` (no) or ``not approved in review``
            (no answer), with the note; notes of calls that stay are in ``selection["review"]``. Where every call
            was approved and no note was written, it is this very plan, approvals included.

        Raises
        ------
        SchemaError
            If an answer is neither yes nor no, the rows of a call disagree, or anything else was changed, added,
            repeated or taken away: every place is in ``.failures``.
        PlanError
            If it is the workbook of another plan.
        InputError
            If the file cannot be read as a workbook, or is open in another program.

        Examples
        --------
        >>> import tempfile
        >>> import openpyxl
        >>> import sippet_reconcile as sr
        >>> from sippet_reconcile.demo import sample_data
        >>> calls = sr.read_calls(sample_data() / "api" / "calls.json").query("duration_seconds > 60").head(2)
        >>> fix = calls[["id"]].rename(columns={"id": "call_id"}).assign(duration_seconds=60)
        >>> plan = sr.plan_corrections(calls, fix, reason="ticket 4711")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = plan.dry_run().to_excel(f"{folder}/review.xlsx")
        ...     book = openpyxl.load_workbook(path)
        ...     book["changes"]["A2"] = "yes"  # what a person does in Excel
        ...     book.save(path)
        ...     smaller = plan.keep_reviewed(path)
        >>> len(plan), len(smaller), smaller.left_out["reason"].tolist()
        (2, 1, ['not approved in review'])
        """
        content = reviewed_content(self, self._content, path)
        return self if content is None else Plan(fingerprint_of(content), (), content)

    def _only(self, kept: pd.Series[bool]) -> Plan:
        """Return the plan of the kept calls, given as a mask over the rows of its calls."""
        smaller = content_of_calls(self._content, kept)
        return Plan(fingerprint_of(smaller), (), smaller)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the plan to one parquet file, whole or not at all; return its path."""
        return write_plan(Path(path), self.plan_id, self.approvals, self._content)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """Read a saved plan.

        Raises
        ------
        PlanError
            If the file is no plan, of an unknown version, or its content does not give its plan id.
        """
        plan_id, approvals, content = read_plan(Path(path))
        return cls(plan_id, approvals, content)

    def dry_run(self, rate_card: RateCard | None = None, rate: str = "5/s") -> DryRunReport:
        """Show what would be sent and why, without sending anything.

        Parameters
        ----------
        rate_card
            With one the report tells what the plan is worth: per currency, by cause and by user, the calls of the
            most money, and what cannot be rated. Days are those of the zone of the plan's period.
        rate
            The pace for the forecast, as `apply_plan` takes it.

        Raises
        ------
        InputError
            If the rate cannot be read, or with a rate card if the plan's seconds are ``total``: those are not billed.
        """
        return preview(self, rate=rate, rate_card=rate_card)

    def billed_seconds(self) -> BilledSeconds:
        """Return every touched call with its seconds before and after, as `billing_impact` takes them.

        Seconds of a person's corrections count as ``billable`` where their rules leave it open.
        """
        return billed_calls(self)

    @property
    def plot(self) -> PlanPlots:
        """Pictures for matplotlib: ``causes()``, ``seconds()``, ``sizes()``, ``days()``, ``hours()``."""
        return PlanPlots(self)

    def summary(self) -> dict[str, object]:
        """Count what a reviewer asks first, as plain values; every view starts here."""
        return summary_of_plan(self, self._content)

    def _next_step(self) -> str:
        return "apply_plan(plan, client, audit)" if self.approvals else "plan.dry_run()"

    def __repr__(self) -> str:
        return line_of_plan(self, self._content, self._next_step())

    def __str__(self) -> str:
        return plan_text(self, self._next_step())

    def _repr_html_(self) -> str:
        return plan_card(self, self._next_step())
