"""What no id matched, side by side: who might be whom, and what durations and ends say of it.

Input are the free rows of both frames, output are `Candidates`. Nothing in them depends
on rows whose `meeting_keys` are others, so candidates may be found part by part. What
depends on the whole are the gaps between starts that are usual in a file: each part adds
a `Sample` to these, and is decided by what all parts say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile.reconciliation.core import at_once, offset_us
from sippet_reconcile.reconciliation.matching.corroborate import Evidence, evidence_of
from sippet_reconcile.reconciliation.matching.edges import Edges, find_edges
from sippet_reconcile.reconciliation.matching.parties import read_calls, read_cdr_calls
from sippet_reconcile.reconciliation.matching.starts import Sample, gaps_between

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.parties import Rows
    from sippet_reconcile.reconciliation.matching.starts import StartGaps
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Candidates", "Known", "find_candidates"]


@dataclass(frozen=True, eq=False)
class Known:
    """Edges and what durations and ends say of them."""

    edges: Edges
    evidence: Evidence

    def where(self, chosen: NDArray[np.bool_]) -> Known:
        """Return some of them."""
        return Known(self.edges.where(chosen), self.evidence.where(chosen))


@dataclass(frozen=True, eq=False)
class Candidates:
    """Rows of both frames that might be one call.

    Attributes
    ----------
    calls, cdr_calls
        Both frames.
    left, right
        What is compared of the rows that may be matched.
    file
        The file of each row of the CDR.
    rules
        The window, the digits, both tolerances and the clock offset are used.
    full, weak
        Pairs of rows with both numbers in common, and with one.
    """

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    left: Rows
    right: Rows
    file: NDArray[np.int64]
    rules: Rules
    full: Known
    weak: Edges

    def __len__(self) -> int:
        return len(self.full.edges) + len(self.weak)

    def alone(self, asked: NDArray[np.bool_]) -> Sample:
        """Return the gaps of pairs with both numbers in common and without any other in the window.

        `asked` marks the files whose pairs are returned.
        """
        edges = self.full.edges
        is_alone = np.bincount(edges.call, minlength=len(self.left))[edges.call] == 1
        is_alone &= np.bincount(edges.cdr, minlength=len(self.right))[edges.cdr] == 1
        is_alone &= ~edges.is_crowded & asked[self.file[edges.cdr]]
        alone = self.full.where(is_alone)
        said = alone.evidence
        return Sample(self.gaps(alone.edges), self.file[alone.edges.cdr], said.can_tell, said.is_like)

    def positions(self, edges: Edges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of edges in both frames."""
        return self.left.pos[edges.call], self.right.pos[edges.cdr]

    def gaps(self, edges: Edges) -> NDArray[np.int64]:
        """Return CDR start minus API start of each edge."""
        is_coarse = self.right.is_coarse[edges.cdr]
        return gaps_between(self.left.start[edges.call], self.right.start[edges.cdr], is_coarse)

    def known(self, edges: Edges) -> Known:
        """Return edges with what durations and ends say of them."""
        return Known(edges, evidence_of(self.calls, self.cdr_calls, *self.positions(edges), self.rules))

    def distance(self, edges: Edges, usual: StartGaps) -> NDArray[np.float64]:
        """Return how far the gap of each edge is from where gaps of its file lie."""
        return np.abs(self.gaps(edges) - usual.middle_us[edges.cdr])

    def share_a_row(self, edges: Edges, others: Edges) -> NDArray[np.bool_]:
        """Mark the edges of which either row is that of one of the others, too."""
        of_call, of_cdr = np.zeros(len(self.left), np.bool_), np.zeros(len(self.right), np.bool_)
        of_call[others.call], of_cdr[others.cdr] = True, True
        return of_call[edges.call] | of_cdr[edges.cdr]

    def are_doubtful(self, known: Known, usual: StartGaps) -> NDArray[np.bool_]:
        """Mark the edges whose starts are too far apart, or of which one was over before the other began.

        Where starts are near, the time tolerance is allowed: a call that failed is over as it begins.
        What is borne out is believed: of starts that are far apart always, and of two that were never
        at one time where nothing tells how far apart the clocks are.
        """
        distance, noise = self.distance(known.edges, usual), offset_us(self.rules.time_tolerance_s)
        edges, evidence = known.edges, known.evidence
        between = evidence.between(usual.middle_us[edges.cdr])
        is_over = between > np.where(distance <= 2 * noise, noise, 0)
        is_far = distance > usual.limit_us[edges.cdr]
        return (is_over & usual.is_measured[edges.cdr]) | ((is_over | is_far) & ~evidence.is_borne_out)


def find_candidates(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    free_calls: NDArray[np.bool_],
    free_cdr: NDArray[np.bool_],
    rules: Rules,
    *,
    file: NDArray[np.int64],
) -> Candidates:
    """Return who might be whom among the free rows.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    free_calls, free_cdr
        Mark the rows that may still be matched.
    rules
        The window, the digits, both tolerances and the clock offset are used.
    file
        The number of the file of each CDR call.
    """
    left, right = at_once(
        lambda: read_calls(calls, free_calls, rules), lambda: read_cdr_calls(cdr_calls, free_cdr, rules)
    )
    full, weak = find_edges(left, right, offset_us(rules.start_window_s), rules.number_digits)
    positions = left.pos[full.call], right.pos[full.cdr]
    known = Known(full, evidence_of(calls, cdr_calls, *positions, rules))
    return Candidates(calls, cdr_calls, left, right, file[right.pos], rules, known, weak)
