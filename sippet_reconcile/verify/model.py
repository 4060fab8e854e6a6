"""Say what reading a run back gave: counts, one line, a card, and the proof as a document.

Input is the comparison of what was sent with what the API holds, output is a frozen
`Verification`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sippet_reconcile._display import joined, plural
from sippet_reconcile.plan.approval import people_named
from sippet_reconcile.verify.comparison import DIFFERS, HOLDS, MISSING
from sippet_reconcile.verify.report import verification_document

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd

    from sippet_reconcile.report import Document

__all__ = ["Verification"]


@dataclass(frozen=True, eq=False, repr=False)
class Verification:
    """The proof that what a run sent is what the API holds.

    Attributes
    ----------
    run_id, plan_id, api_url, head
        The run that was verified, and the head of its log.
    verified_at
        When the calls were read.
    n_unsettled
        Calls of the plan that are neither `applied` nor `already`.
    ended
        How the run's latest session ended; None where it still runs, or died.
    started_by
        Who ran it: user and machine of each session, each once.
    audit_path
        The folder of its log.
    sent_from, sent_until
        When the run began, and when it was heard of last.
    reverted_by
        The runs of the same log that undid what was sent; looked for only where
        something does not hold.

    Examples
    --------
    >>> import tempfile
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     proof = sr.verify_run(run, client)
    >>> proof.ok, proof.summary()["n_holds"], proof.report().tone
    (True, 3, 'ok')
    >>> proof.to_html(f"{tempfile.mkdtemp()}/proof.html").name
    'proof.html'
    >>> proof.run_id in proof.to_markdown(), proof.head in proof.to_json()
    (True, True)
    """

    run_id: str
    plan_id: str
    api_url: str
    head: str
    verified_at: pd.Timestamp
    n_unsettled: int
    ended: str | None
    started_by: tuple[str, ...]
    audit_path: Path
    sent_from: pd.Timestamp
    sent_until: pd.Timestamp
    reverted_by: tuple[str, ...]
    _frame: pd.DataFrame
    _approvals: pd.DataFrame

    @property
    def frame(self) -> pd.DataFrame:
        """One row per call and field that was sent; see `VERIFICATION`."""
        return self._frame.copy(deep=False)

    @property
    def approvals(self) -> pd.DataFrame:
        """Who approved what was sent, when and why, as the audit log has it; see `RUN_APPROVALS`."""
        return self._approvals.copy(deep=False)

    @property
    def ok(self) -> bool:
        """Whether everything that was sent reads as it was sent; what was never sent is not asked for."""
        return bool(self._frame["verdict"].eq(HOLDS).all())

    def summary(self) -> dict[str, object]:
        """Return counts and plain values; every view starts here."""
        counts = {
            f"n_{verdict}": int(self._frame["verdict"].eq(verdict).sum())
            for verdict in (HOLDS, DIFFERS, MISSING)
        }
        counts["n_undone"] = int(self._frame["undone_by"].notna().sum())
        return {
            "ok": self.ok,
            "run_id": self.run_id,
            "plan_id": self.plan_id,
            "api_url": self.api_url,
            "approved_by": ", ".join(people_named(self._approvals["by"].dropna())) or None,
            "started_by": ", ".join(self.started_by) or None,
            "verified_at": self.verified_at.isoformat(),
            "n_calls": int(self._frame["call_id"].nunique()),
            "n_fields": len(self._frame),
            **counts,
            "n_unsettled": self.n_unsettled,
            "ended": self.ended,
            "reverted_by": "; ".join(self.reverted_by) or None,
            "head": self.head,
        }

    def __repr__(self) -> str:
        return f"<Verification of run {self.run_id}: {self._verdict()}; next: .frame>"

    def _verdict(self) -> str:
        counts = self.summary()
        n_fields, n_missing, n_differs = (
            int(str(counts[name])) for name in ("n_fields", f"n_{MISSING}", f"n_{DIFFERS}")
        )
        sent = f"{plural(n_fields, 'value')} sent to {plural(int(str(counts['n_calls'])), 'call')}"
        if self.ok:
            verdict = f"OK, {sent}, all of them hold"
        else:
            n_holds = n_fields - n_differs - n_missing
            missing = f", {n_missing:,} {'is' if n_missing == 1 else 'are'} missing" if n_missing else ""
            verdict = f"NOT OK, {sent}: {_verb(n_holds, 'hold')}, {_verb(n_differs, 'differ')}{missing}"
        if self.n_unsettled:
            verdict += f", {plural(self.n_unsettled, 'call')} of the plan not corrected"
        if self.ended is None:
            verdict += (
                "; the run is not over: it still runs, or died and is continued by applying its plan again"
            )
        if self.reverted_by:
            verdict += f"; {self._undoing(n_differs, n_missing)}"
        if n_missing and n_missing == n_fields:
            verdict += (
                "; other calls are visible, so the token lives, but it may be one of another organisation"
            )
        return verdict

    def _undoing(self, n_differs: int, n_missing: int) -> str:
        """Say how much of what does not hold was put back by a later run."""
        n_undone = int(self._frame["undone_by"].notna().sum())
        undone = f"undone since by run {joined(self.reverted_by)}"
        if not n_undone:
            return f"{undone}, but none of this is what that run put back"
        if n_undone == n_differs + n_missing:
            return f"all that differs was {undone}"
        rest = n_differs + n_missing - n_undone
        return f"{n_undone:,} {undone}, the other {rest:,} {'was' if rest == 1 else 'were'} not"

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        return f"{self._verdict()}."

    def _repr_html_(self) -> str:
        return verification_document(self)._repr_html_()

    def report(self) -> Document:
        """Return the proof as one document."""
        return verification_document(self)

    def to_html(self, path: str | os.PathLike[str], *, mask: bool = True) -> Path:
        """Write the proof as one self-contained HTML file, what does not hold first; return its path.

        Parameters
        ----------
        path
            The file; its folder is made where it is not there.
        mask
            Whether phone numbers are masked; what a run sends has none.
        """
        return verification_document(self).to_html(path, mask=mask)

    def to_markdown(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the proof as Markdown, and write it where a path is given."""
        return verification_document(self).to_markdown(path, mask=mask)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, mask: bool = True) -> str:
        """Return the proof as JSON, and write it where a path is given."""
        return verification_document(self).to_json(path, mask=mask)


def _verb(count: int, verb: str) -> str:
    return f"{count:,} {verb}{'s' if count == 1 else ''}"
