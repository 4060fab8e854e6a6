"""Show what a run came to: counts, one line, a card, and the whole as HTML.

Input are what the log tells of a run, as `load_run` gathers it; output is the frozen `Run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sippet_reconcile._display import MAX_ROWS
from sippet_reconcile.audit import Outcome
from sippet_reconcile.plan.approval import people_named
from sippet_reconcile.plan.worth import checked_card, money_of
from sippet_reconcile.run.billed import billed_calls
from sippet_reconcile.run.report import run_document

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from sippet_reconcile.audit import AuditLog
    from sippet_reconcile.billing import BilledSeconds, RateCard
    from sippet_reconcile.plan import Plan
    from sippet_reconcile.report import Document, MoneyFacts

__all__ = ["Run"]


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """One plan as it was carried out on one API, with what came of each call.

    Attributes
    ----------
    run_id, plan_id, api_url
        Which run of which plan on which API.
    audit
        The log it is kept in.
    started_at, last_at
        When its first session started, and when its last record was written.
    n_sessions
        How often it was started.
    ended
        How the latest session ended: ``complete``, ``limit``, ``interrupted``, or the
        kind of reason it stopped for; None where it still runs or died.
    stopped
        Why the latest session stopped part-way, as a sentence; None where it did not.
    head
        The hash of the run's last record. Keep it elsewhere: only against it does a
        cut end of the log show.
    reverts_run_id
        The run that this one undoes; None where it is no revert.
    started_by
        Who ran it: user and machine of each session, each once.
    reverted_by
        The runs of the same log that undid this one, wholly or in part, by the time it was
        read.
    plan
        The plan that was carried out; None where the run was read from its log, which does not hold it.

    Examples
    --------
    >>> import tempfile
    >>> from sippet_reconcile.audit import Outcome
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     page = run.to_html(f"{tempfile.mkdtemp()}/run.html")
    >>> run.count(Outcome.APPLIED), run.summary()["approved_by"], run.ended
    (3, 'ana', 'complete')
    >>> run.approvals[["by", "note"]].to_numpy().tolist()
    [['ana', 'looked at all three']]
    >>> page.name, run.report().tone, run.run_id in run.to_markdown(), run.head in run.to_json()
    ('run.html', 'ok', True, True)
    """

    run_id: str
    plan_id: str
    api_url: str
    audit: AuditLog
    started_at: pd.Timestamp
    last_at: pd.Timestamp
    n_sessions: int
    ended: str | None
    stopped: str | None
    head: str
    reverts_run_id: str | None
    started_by: tuple[str, ...]
    reverted_by: tuple[str, ...]
    _records: pd.DataFrame
    _approvals: pd.DataFrame
    _sessions: pd.DataFrame
    plan: Plan | None = None

    @property
    def records(self) -> pd.DataFrame:
        """One row per call with its last state, in plan order; see `RUN_RECORDS`."""
        return self._records.copy(deep=False)

    @property
    def approvals(self) -> pd.DataFrame:
        """Who approved the plan, when and why, as the audit log has it; see `RUN_APPROVALS`."""
        return self._approvals.copy(deep=False)

    @property
    def sessions(self) -> pd.DataFrame:
        """One row per start of the run, with who ran it and how it ended; see `RUN_SESSIONS`."""
        return self._sessions.copy(deep=False)

    def count(self, *outcomes: Outcome) -> int:
        """Return how many calls have one of these outcomes."""
        return int(self._records["outcome"].isin([outcome.value for outcome in outcomes]).sum())

    def summary(self) -> dict[str, object]:
        """Return counts and plain values; every view starts here."""
        counts = {outcome.value: self.count(outcome) for outcome in Outcome}
        return {
            "run_id": self.run_id,
            "plan_id": self.plan_id,
            "api_url": self.api_url,
            "approved_by": ", ".join(people_named(self._approvals["by"].dropna())) or None,
            "started_by": ", ".join(self.started_by) or None,
            "n_calls": len(self._records),
            **counts,
            "n_sessions": self.n_sessions,
            "started_at": self.started_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "ended": self.ended,
            "stopped": self.stopped,
            "reverts_run_id": self.reverts_run_id,
            "reverted_by": ", ".join(self.reverted_by) or None,
            "head": self.head,
        }

    def __repr__(self) -> str:
        counts = [f"{self.count(outcome):,} {outcome.value}" for outcome in Outcome if self.count(outcome)]
        told = ", ".join(counts) or "no calls"
        stopped = f"; stopped: {self.stopped}" if self.stopped else ""
        undone = f"; undone since by run {', '.join(self.reverted_by)}" if self.reverted_by else ""
        return f"<Run {self.run_id}: {told}{stopped}{undone}; head {self.head}; next: {self.next_step}>"

    @property
    def next_step(self) -> str:
        """What to do after it, in the words of a notebook."""
        if self.reverted_by:
            return "look at the run that undid it"
        if self.count(Outcome.PENDING, Outcome.UNKNOWN, Outcome.FAILED):
            return "apply the plan again, it continues here"
        return "verify_run(run, client)"

    def _repr_html_(self) -> str:
        return run_document(self, most=MAX_ROWS)._repr_html_()

    def billed_seconds(self, plan: Plan | None = None) -> BilledSeconds:
        """Return every call of the run with its seconds ahead of it and now, as `billing_impact` takes them.

        A call that was found to hold what was planned, or something else, holds that before and after: the run
        changed nothing of it. Of one whose writing was lost, or that is gone, nobody knows.

        Parameters
        ----------
        plan
            The plan of the run, which knows numbers and days; needed where the run was read from its log.

        Raises
        ------
        InputError
            If the plan is missing, or is that of another run.
        """
        return billed_calls(self, plan)

    def report(self, rate_card: RateCard | None = None, plan: Plan | None = None) -> Document:
        """Return everything that is known of the run as one document.

        Parameters
        ----------
        rate_card
            With one the document tells what was corrected so far is worth, by what the log says the API holds now.
        plan
            The plan of the run: its log holds neither numbers nor days. A run of `apply_plan` knows it, one of `load_run`
            does not.

        Raises
        ------
        InputError
            With a rate card, if the plan is missing or another one, or its seconds are ``total``: those are not billed.
        """
        return run_document(self, money=self._money(rate_card, plan))

    def _money(self, rate_card: RateCard | None, plan: Plan | None) -> MoneyFacts | None:
        if rate_card is None:
            return None
        card = checked_card(rate_card)
        return money_of(self.billed_seconds(plan), card)

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        mask: bool = True,
        rate_card: RateCard | None = None,
        plan: Plan | None = None,
    ) -> Path:
        """Write the run as one self-contained HTML file; return its path.

        It holds 5,000 values of calls at most and says where the others are.

        Parameters
        ----------
        path
            The file; its folder is made where it is not there.
        mask
            Whether phone numbers are masked; a run has none but with a rate card, as its log has none: then its users
            are told, whose names may be numbers.
        rate_card, plan
            As in `report`.
        """
        return self.report(rate_card, plan).to_html(path, mask=mask)

    def to_markdown(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        mask: bool = True,
        rate_card: RateCard | None = None,
        plan: Plan | None = None,
    ) -> str:
        """Return the run as Markdown, and write it where a path is given; the rest is as in `to_html`."""
        return self.report(rate_card, plan).to_markdown(path, mask=mask)

    def to_json(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        mask: bool = True,
        rate_card: RateCard | None = None,
        plan: Plan | None = None,
    ) -> str:
        """Return the run as JSON, and write it where a path is given; the rest is as in `to_html`."""
        return self.report(rate_card, plan).to_json(path, mask=mask)
