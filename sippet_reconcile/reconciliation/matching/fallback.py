"""Match what no id matched: by the same two numbers and nearly the same start.

Input are the rows that are left, output are pairs and rivals. A pair must be each
other's only near choice. Two starts are noisy by the time tolerance each, so a rival
counts as equally near until it is further off by more than twice that tolerance; such
near-ties are listed and never decided. There is one round: nobody is matched because
somebody else was taken. A pair without any rival is believed where its starts are as
near as those of other pairs of its file, and neither was over before the other began, or
where it is borne out otherwise: of two lost records, a call's and its redial's, neither
has a rival. Where numbers and start mean one row, and durations and ends another, nobody
decides. In a month of too few pairs to measure by, the window alone decides, as the
contract has it, and what lies far apart is matched with a low confidence: it is seen and
never corrected. What has only one number in common is
matched where nothing else at all could be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import Confidence, MatchRule, PairPositions, at_once, offset_us
from sippet_reconcile.reconciliation.matching.corroborate import Evidence, evidence_of
from sippet_reconcile.reconciliation.matching.edges import FULL_DIGITS, MOST_RIVALS, Edges, find_edges
from sippet_reconcile.reconciliation.matching.parties import e164_of, read_rows
from sippet_reconcile.reconciliation.matching.starts import (
    ENOUGH_PAIRS,
    MINUTE_US,
    WEAK_SHARE,
    FilesOfPairs,
    Sample,
    StartGaps,
    gaps_between,
)
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.parties import Rows
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["MOST_RIVALS", "CloseCalls", "e164_of", "match_by_numbers"]

_NONE: Final = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class CloseCalls:
    """Positions in both frames: what was matched and how sure that is, the near-ties, and what is not believed.

    ``far_call`` and ``far_cdr`` are pairs without a rival whose starts are too far apart.
    """

    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rival_call: NDArray[np.int64]
    rival_cdr: NDArray[np.int64]
    far_call: NDArray[np.int64] = field(default_factory=_NONE.copy)
    far_cdr: NDArray[np.int64] = field(default_factory=_NONE.copy)
    confidence: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))

    @classmethod
    def none(cls) -> CloseCalls:
        """Return nothing found."""
        return cls(_NONE, _NONE, _NONE, _NONE)

    @property
    def pairs(self) -> PairPositions:
        """What was matched."""
        rule = np.full(len(self.call_pos), MatchRule.NUMBERS_AND_TIME, np.int8)
        return PairPositions(self.call_pos, self.cdr_pos, rule, self.confidence)


def match_by_numbers(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    free_calls: NDArray[np.bool_],
    free_cdr: NDArray[np.bool_],
    rules: Rules,
    *,
    files: FilesOfPairs,
) -> CloseCalls:
    """Pair free rows with the same numbers whose starts are near and nearer than anybody else's.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    free_calls, free_cdr
        Mark the rows that may still be matched. CDR calls with a doubtful local time or
        with legs that cannot be those of one call, rows without a start, without a digit
        of whom they called, or of a caller who has a name and no number, stay unmatched.
    rules
        The window, the digits, both tolerances and the clock offset are used.
    files
        The file of each CDR call, and what ids matched in it: these pairs show how far
        apart two starts of one call are.

    Notes
    -----
    Numbers are the same where both sides have them in E.164 and those are equal, or
    where a side has none and the last `number_digits` digits are equal. Where the caller
    is withheld on one side at least (not missing on both), or one party's digits, six at least, are the end of the other
    side's, the other number must be equal in full, the starts must be within a quarter
    of the window, and neither row may have any other candidate in the whole window.

    The confidence of a pair is

    ``high``
        where both numbers are equal in E.164, and the pair is borne out by durations and
        ends, or starts were measured to be within a quarter of the window and so are these;
    ``low``
        where it is not borne out, and has only one number in common, or only extensions;
        where the starts are further apart than proves anything (`StartGaps.proving_us`) and
        the pair is not borne out, or both ends are as far apart as the starts, which is
        another clock or another call that took as long; and where all that fits is chance;
    ``fair``
        otherwise.
    """
    settled = np.asarray(text_array(cdr_calls["time_problem"]).is_null())
    settled &= np.asarray(text_array(cdr_calls["legs_problem"]).is_null())
    left, right = at_once(
        lambda: read_rows(calls, free_calls, rules, clock_offset_s=0),
        lambda: read_rows(cdr_calls, free_cdr & settled, rules, clock_offset_s=float(rules.clock_offset_s)),
    )
    if not (len(left) and len(right)):
        return CloseCalls.none()
    full, weak = find_edges(left, right, offset_us(rules.start_window_s), rules.number_digits)
    if not (len(full) or len(weak)):
        return CloseCalls.none()
    asked = _Asked(calls, cdr_calls, left, right, rules)
    evidence = asked.evidence(full)
    usual = asked.usual_gaps(full, evidence, files)
    found, doubted, rivals = _decide_full(asked, full, evidence, weak, usual)
    found_too, doubted_too, tied = _decide_weak(asked, full, weak, usual, accepted=found.edges)
    accepted, far = Edges.joined([found.edges, found_too.edges]), Edges.joined([doubted, doubted_too])
    is_weak = np.repeat([False, True], [len(found.edges), len(found_too.edges)])
    of_accepted = Evidence.joined([found.evidence, found_too.evidence])
    listed = Edges.joined([rivals, tied, far])
    return CloseCalls(
        *asked.positions(accepted),
        *asked.positions(listed),
        *asked.positions(far),
        _confidence(asked, accepted, of_accepted, usual, is_weak=is_weak),
    )


@dataclass(frozen=True, eq=False)
class _Known:
    """Edges and what durations and ends say of them."""

    edges: Edges
    evidence: Evidence

    def where(self, chosen: NDArray[np.bool_]) -> _Known:
        """Return some of them."""
        return _Known(self.edges.where(chosen), self.evidence.where(chosen))


@dataclass(frozen=True, eq=False)
class _Asked:
    """What was asked: both frames, the rows of each that may be matched, and the rules."""

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    left: Rows
    right: Rows
    rules: Rules

    def positions(self, edges: Edges) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the positions of edges in both frames."""
        return self.left.pos[edges.call], self.right.pos[edges.cdr]

    def gaps(self, edges: Edges) -> NDArray[np.int64]:
        """Return CDR start minus API start of each edge."""
        is_coarse = self.right.is_coarse[edges.cdr]
        return gaps_between(self.left.start[edges.call], self.right.start[edges.cdr], is_coarse)

    def evidence(self, edges: Edges) -> Evidence:
        """Return what durations and ends say of edges."""
        return evidence_of(self.calls, self.cdr_calls, *self.positions(edges), self.rules)

    def usual_gaps(self, full: Edges, evidence: Evidence, files: FilesOfPairs) -> StartGaps:
        """Measure, per row of the CDR, how far apart starts are: by ids, or by edges without any other in the window."""
        is_alone = np.bincount(full.call, minlength=len(self.left))[full.call] == 1
        is_alone &= np.bincount(full.cdr, minlength=len(self.right))[full.cdr] == 1
        is_alone &= ~full.is_crowded
        if (np.bincount(files.sample.file, minlength=files.n_files) >= ENOUGH_PAIRS).all():
            is_alone[:] = False  # nobody asks what numbers alone say
        of_row = files.of_cdr[self.right.pos]
        alone, said = full.where(is_alone), evidence.where(is_alone)
        by_numbers = Sample(self.gaps(alone), of_row[alone.cdr], said.can_tell, said.is_like)
        return StartGaps.of(files.sample, by_numbers, files.n_files, self.rules).of_rows(of_row)

    def distance(self, edges: Edges, usual: StartGaps) -> NDArray[np.float64]:
        """Return how far the gap of each edge is from where gaps of its file lie."""
        return np.abs(self.gaps(edges) - usual.middle_us[edges.cdr])

    def share_a_row(self, edges: Edges, others: Edges) -> NDArray[np.bool_]:
        """Mark the edges of which either row is that of one of the others, too."""
        of_call, of_cdr = np.zeros(len(self.left), np.bool_), np.zeros(len(self.right), np.bool_)
        of_call[others.call], of_cdr[others.cdr] = True, True
        return of_call[edges.call] | of_cdr[edges.cdr]

    def are_doubtful(self, known: _Known, usual: StartGaps) -> NDArray[np.bool_]:
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


def _decide_full(
    asked: _Asked, full: Edges, evidence: Evidence, weak: Edges, usual: StartGaps
) -> tuple[_Known, Edges, Edges]:
    """Return the full edges that are believed, those that have no rival and are not, and the near-ties."""
    noise = offset_us(asked.rules.time_tolerance_s)
    # Only where it is known how clocks are apart can one say that two calls were never at the same time; and
    # what says so must be beyond all noise, while less makes a pair doubtful.
    is_apart = evidence.between(usual.middle_us[full.cdr]) > 2 * noise
    is_apart &= usual.is_measured[full.cdr]
    possible = _Known(full, evidence).where(~is_apart)
    is_mutual, is_alone = _standing(asked, possible.edges, usual)
    chosen, rivals = possible.where(is_mutual & is_alone), possible.edges.where(is_mutual & ~is_alone)
    edges = chosen.edges
    is_doubted = asked.are_doubtful(chosen, usual)
    # What has only one number in common, and is much nearer, may be what is meant.
    of_call, of_cdr = _nearest(weak, asked.distance(weak, usual), asked)
    is_doubted |= (
        asked.distance(edges, usual)
        > np.minimum(of_call[edges.call], of_cdr[edges.cdr]) + usual.margin_us(asked.rules)[edges.cdr]
    )
    # Numbers and start say one thing, and durations and ends another: nobody decides.
    together = full.where(evidence.end_together(usual.middle_us[full.cdr], noise))
    is_doubted |= asked.share_a_row(edges, together) & ~chosen.evidence.is_borne_out
    doubted = [edges.where(is_doubted)]
    if is_apart.any():
        # What cannot be is shown where otherwise it would have been chosen.
        others = full.where(is_apart & _standing(asked, full, usual)[0])
        is_new = ~asked.share_a_row(others, possible.edges.where(is_mutual))
        doubted.append(others.where(is_new))
    return chosen.where(~is_doubted), Edges.joined(doubted), rivals


def _nearest(edges: Edges, distance: NDArray[np.float64], asked: _Asked) -> list[NDArray[np.float64]]:
    """Return for each row of either side how far its nearest edge is; infinite where it has none."""
    found: list[NDArray[np.float64]] = []
    for row, side in ((edges.call, asked.left), (edges.cdr, asked.right)):
        nearest = np.full(len(side), np.inf)
        np.minimum.at(nearest, row, distance)
        found.append(nearest)
    return found


def _standing(asked: _Asked, edges: Edges, usual: StartGaps) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the edges that are near for both of their rows, and those that are the only near one of either."""
    gap = asked.right.start[edges.cdr] - asked.left.start[edges.call]
    distance = np.abs(gap - usual.middle_us[edges.cdr])
    margin = usual.margin_us(asked.rules)[edges.cdr]
    # A start without seconds may have been at any moment of its minute.
    margin[asked.right.is_coarse[edges.cdr]] += MINUTE_US
    of_call, of_cdr = _nearest(edges, distance, asked)
    near_call = distance - of_call[edges.call] <= margin
    near_cdr = distance - of_cdr[edges.cdr] <= margin
    only_call = np.bincount(edges.call[near_call], minlength=len(asked.left))[edges.call] == 1
    only_cdr = np.bincount(edges.cdr[near_cdr], minlength=len(asked.right))[edges.cdr] == 1
    return near_call & near_cdr, only_call & only_cdr & ~edges.is_crowded


def _decide_weak(
    asked: _Asked, full: Edges, weak: Edges, usual: StartGaps, *, accepted: Edges
) -> tuple[_Known, Edges, Edges]:
    """Return the weak edges that are all that either row has and are believed, those that are not, and near-ties."""
    every = Edges.joined([full, weak])
    n_of_call = np.bincount(every.call, minlength=len(asked.left))[weak.call]
    n_of_cdr = np.bincount(every.cdr, minlength=len(asked.right))[weak.cdr]
    is_near = asked.distance(weak, usual) * WEAK_SHARE <= offset_us(asked.rules.start_window_s)
    # Missing on both sides is equal to nothing.
    is_near &= ~(asked.left.is_silent[weak.call] & asked.right.is_silent[weak.cdr])
    is_only = (n_of_call == 1) & (n_of_cdr == 1) & ~weak.is_crowded
    edges = weak.where(is_near & is_only)
    chosen = _Known(edges, asked.evidence(edges))
    is_doubted = asked.are_doubtful(chosen, usual)
    is_mutual = _standing(asked, every, usual)[0][len(full) :]
    # What is in a pair is nobody's rival any more.
    tied = weak.where(is_near & is_mutual & ~is_only & ~asked.share_a_row(weak, accepted))
    return chosen.where(~is_doubted), chosen.edges.where(is_doubted), tied


def _confidence(
    asked: _Asked, edges: Edges, evidence: Evidence, usual: StartGaps, *, is_weak: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return a position in `CONFIDENCES` for each accepted edge, by the rules of `match_by_numbers`."""
    left, right, rules = asked.left, asked.right, asked.rules
    borne_out = evidence.is_borne_out
    in_e164, longest = np.ones(len(edges), np.bool_), np.zeros(len(edges), np.int64)
    for party in ("caller", "called"):
        one, other = getattr(left, party), getattr(right, party)
        in_e164 &= np.asarray(one.e164.is_valid())[edges.call] & np.asarray(other.e164.is_valid())[edges.cdr]
        longest = np.maximum(longest, one.length[edges.call])
    distance, usual = asked.distance(edges, usual), usual.of_rows(edges.cdr)
    is_far = distance > usual.proving_us
    # A start without seconds says little of how near it is, and so do starts that are spread anyhow.
    is_telling = usual.limit_us * WEAK_SHARE <= offset_us(rules.start_window_s)
    is_plausible = ~right.is_coarse[edges.cdr] & is_telling
    confidence = np.full(len(edges), Confidence.FAIR, np.int8)
    confidence[in_e164 & (is_plausible | borne_out) & ~is_weak] = Confidence.HIGH
    is_low = (is_weak | (longest < FULL_DIGITS) | is_far) & ~borne_out
    # Start and end are off alike: another clock, or another call that took as long.
    is_low |= is_far & ~evidence.end_together(usual.middle_us, offset_us(rules.time_tolerance_s))
    # Where what fits is chance, so is what bears it out.
    confidence[is_low | (usual.limit_us < 0)] = Confidence.LOW
    return confidence
