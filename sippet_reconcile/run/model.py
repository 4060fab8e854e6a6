"""Show what a run came to: counts, one line, a card, and the whole as HTML.

Input are what the log tells of a run, as `load_run` gathers it; output is the frozen `Run`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sippet_reconcile._display import plural
from sippet_reconcile.audit import Outcome
from sippet_reconcile.report import Document, Section
from sippet_reconcile.run.state import SETTLED

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from sippet_reconcile.audit import AuditLog

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
    _records: pd.DataFrame
    _approvals: pd.DataFrame

    @property
    def records(self) -> pd.DataFrame:
        """One row per call with its last state, in plan order; see `RUN_RECORDS`."""
        return self._records.copy(deep=False)

    @property
    def approvals(self) -> pd.DataFrame:
        """Who approved the plan, when and why, as the audit log has it; see `RUN_APPROVALS`."""
        return self._approvals.copy(deep=False)

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
            "approved_by": ", ".join(self._approvals["by"].dropna().unique()) or None,
            "started_by": ", ".join(self.started_by) or None,
            "n_calls": len(self._records),
            **counts,
            "n_sessions": self.n_sessions,
            "started_at": self.started_at.isoformat(),
            "last_at": self.last_at.isoformat(),
            "ended": self.ended,
            "stopped": self.stopped,
            "head": self.head,
        }

    def __repr__(self) -> str:
        counts = [f"{self.count(outcome):,} {outcome.value}" for outcome in Outcome if self.count(outcome)]
        told = ", ".join(counts) or "no calls"
        stopped = f"; stopped: {self.stopped}" if self.stopped else ""
        return f"<Run {self.run_id}: {told}{stopped}; head {self.head}; next: {self._next_step()}>"

    def _next_step(self) -> str:
        if self.count(Outcome.PENDING, Outcome.UNKNOWN, Outcome.FAILED):
            return "apply the plan again, it continues here"
        return "verify_run(run, client)"

    def _repr_html_(self) -> str:
        return self._document()._repr_html_()

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the run as one self-contained HTML file with every call; return its path."""
        return self._document().to_html(path)

    def _document(self) -> Document:
        summary = self.summary()
        counts = {outcome.value: self.count(outcome) for outcome in Outcome if self.count(outcome)}
        times = {name: summary[name] for name in ("started_at", "last_at", "ended", "n_sessions")}
        about = {name: summary[name] for name in ("run_id", "plan_id", "api_url")} | times
        return Document(
            title=f"Run {self.run_id}",
            subtitle=self.api_url,
            verdict=self._verdict(),
            tone=self._tone(),
            facts={**counts, "head of the audit log": self.head},
            sections=self._sections(),
            about=about,
            summary=summary,
        )

    def _verdict(self) -> str:
        done = self.count(*SETTLED)
        verdict = f"{done:,} of {plural(len(self._records), 'call')} hold what the plan says; next: {self._next_step()}."
        return f"Stopped: {self.stopped}. {verdict}" if self.stopped else verdict

    def _tone(self) -> str:
        if self.count(*SETTLED) == len(self._records):
            return "ok"
        return "stop" if self.stopped or self.count(Outcome.ALTERED, Outcome.UNKNOWN) else "warn"

    def _sections(self) -> list[Section]:
        shown = self._records[
            [
                "call_id",
                "outcome",
                "confirmed_by",
                "before",
                "after",
                "observed",
                "http_status",
                "error_detail",
            ]
        ]
        is_done = shown["outcome"].isin([outcome.value for outcome in SETTLED])
        sections = [
            Section(
                "Calls",
                "Every call of the plan with its last state over all sessions.",
                shown,
                filters=["outcome"],
                is_searchable=True,
                plain_numbers=["http_status"],
                rest="The audit log holds every call.",
                in_card=False,
            )
        ]
        if not is_done.all():
            intro = "What came of them; applying the plan again continues this run."
            left = shown.loc[~is_done].drop(columns="confirmed_by")
            sections.insert(
                0, Section("Calls that were not corrected", intro, left, plain_numbers=["http_status"])
            )
        return sections
