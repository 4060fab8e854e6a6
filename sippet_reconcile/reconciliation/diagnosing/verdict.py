"""What one look at the data came to: a finding, nothing, or too little to tell.

Every test of a diagnosis returns a `Verdict`, also where it finds nothing: silence
because all is well and silence because twelve pairs prove nothing are two answers,
and a reader is told which it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from sippet_reconcile.reconciliation.findings import Finding, Findings, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Outcome", "Verdict", "findings_of"]


@dataclass(frozen=True, eq=False)
class Verdict:
    """One look at the data.

    Attributes
    ----------
    code
        What was looked for: a code of a finding.
    outcome
        How it ended.
    n_looked_at
        How many rows, pairs or files could tell.
    n_needed
        How many it takes; None where any number will do.
    what
        What these rows are, in words that follow the number: ``exactly matched calls``.
    finding
        What was found, or None.
    """

    code: str
    outcome: Outcome
    n_looked_at: int
    n_needed: int | None
    what: str
    finding: Finding | None = None

    @classmethod
    def of(
        cls, code: str, finding: Finding | None, *, n_looked_at: int, what: str, n_needed: int | None = None
    ) -> Verdict:
        """Return what a look at enough rows came to; of fewer than needed a finding still counts, silence does not.

        Examples
        --------
        >>> Verdict.of("clock-offset", None, n_looked_at=4, n_needed=20, what="exactly matched calls").outcome.value
        'not enough evidence'
        >>> Verdict.of("clock-offset", None, n_looked_at=40, n_needed=20, what="exactly matched calls").outcome.value
        'nothing found'
        """
        outcome = Outcome.NOTHING
        if finding is not None:
            outcome = Outcome.FOUND
        elif n_looked_at < (n_needed or 0):
            outcome = Outcome.TOO_FEW
        return cls(code, outcome, n_looked_at, n_needed, what, finding)

    @classmethod
    def not_asked(cls, code: str, why: str) -> Verdict:
        """Return that nobody looked, and why."""
        return cls(code, Outcome.NOT_ASKED, 0, None, why)


def findings_of(verdicts: Iterable[Verdict]) -> Findings:
    """Return what was found, together with what was looked for.

    Examples
    --------
    >>> few = Verdict.of("clock-offset", None, n_looked_at=4, n_needed=20, what="exactly matched calls")
    >>> findings_of([few]).checks[["code", "outcome", "what"]].to_numpy().tolist()
    [['clock-offset', 'not enough evidence', 'exactly matched calls']]
    """
    verdicts = list(verdicts)
    rows = [(v.code, v.outcome.value, v.n_looked_at, v.n_needed, v.what) for v in verdicts]
    checks = pd.DataFrame(rows, columns=["code", "outcome", "n_looked_at", "n_needed", "what"])
    return Findings((v.finding for v in verdicts if v.finding is not None), checks=checks)
