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

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile.reconciliation.core import Confidence, MatchRule, PairPositions, offset_us
from sippet_reconcile.reconciliation.matching.candidates import Known, find_candidates
from sippet_reconcile.reconciliation.matching.corroborate import Evidence
from sippet_reconcile.reconciliation.matching.edges import FULL_DIGITS, MOST_RIVALS, Edges
from sippet_reconcile.reconciliation.matching.parties import e164_of
from sippet_reconcile.reconciliation.matching.starts import MINUTE_US, WEAK_SHARE, StartGaps

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.candidates import Candidates
    from sippet_reconcile.reconciliation.matching.starts import FilesOfPairs
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["MOST_RIVALS", "CloseCalls", "decide", "e164_of", "match_by_numbers"]


@dataclass(frozen=True, eq=False)
class CloseCalls:
    """What numbers and time decided; positions in both frames.

    Attributes
    ----------
    call_pos, cdr_pos, confidence
        What was matched, and how sure that is.
    can_tell, is_borne_out
        Mark those of them that durations and ends could bear out, and those that they do.
    rival_call, rival_cdr
        The near-ties, and what is not believed.
    far_call, far_cdr
        Pairs without a rival that are not believed.
    """

    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    confidence: NDArray[np.int8]
    can_tell: NDArray[np.bool_]
    is_borne_out: NDArray[np.bool_]
    rival_call: NDArray[np.int64]
    rival_cdr: NDArray[np.int64]
    far_call: NDArray[np.int64]
    far_cdr: NDArray[np.int64]

    @classmethod
    def none(cls) -> CloseCalls:
        """Return nothing found."""
        none, flags = np.zeros(0, np.int64), np.zeros(0, np.bool_)
        return cls(none, none, np.zeros(0, np.int8), flags, flags, none, none, none, none)

    @classmethod
    def joined(cls, parts: list[CloseCalls]) -> CloseCalls:
        """Return what was found in all parts, which share no row."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def among(self, calls: NDArray[np.int64], cdr_calls: NDArray[np.int64]) -> CloseCalls:
        """Return the same in larger frames, of which these rows were looked at."""
        return replace(
            self,
            call_pos=calls[self.call_pos],
            cdr_pos=cdr_calls[self.cdr_pos],
            rival_call=calls[self.rival_call],
            rival_cdr=cdr_calls[self.rival_cdr],
            far_call=calls[self.far_call],
            far_cdr=cdr_calls[self.far_cdr],
        )

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
    candidates = find_candidates(calls, cdr_calls, free_calls, free_cdr, rules, file=files.of_cdr)
    if not len(candidates):
        return CloseCalls.none()
    alone = candidates.alone(files.have_few_pairs)
    return decide(candidates, StartGaps.of(files.sample, alone, files.n_files, rules))


def decide(candidates: Candidates, gaps: StartGaps) -> CloseCalls:
    """Pair candidates by what is usual in each file, by the rules of `match_by_numbers`."""
    usual = gaps.of_rows(candidates.file)
    found, doubted, rivals = _decide_full(candidates, usual)
    found_too, doubted_too, tied = _decide_weak(candidates, usual, accepted=found.edges)
    accepted, far = Edges.joined([found.edges, found_too.edges]), Edges.joined([doubted, doubted_too])
    is_weak = np.repeat([False, True], [len(found.edges), len(found_too.edges)])
    evidence = Evidence.joined([found.evidence, found_too.evidence])
    listed = Edges.joined([rivals, tied, far])
    return CloseCalls(
        *candidates.positions(accepted),
        _confidence(candidates, Known(accepted, evidence), usual, is_weak=is_weak),
        evidence.can_tell,
        evidence.is_borne_out,
        *candidates.positions(listed),
        *candidates.positions(far),
    )


def _decide_full(asked: Candidates, usual: StartGaps) -> tuple[Known, Edges, Edges]:
    """Return the full edges that are believed, those that have no rival and are not, and the near-ties."""
    full, evidence, weak = asked.full.edges, asked.full.evidence, asked.weak
    noise = offset_us(asked.rules.time_tolerance_s)
    # Only where it is known how clocks are apart can one say that two calls were never at the same time; and
    # what says so must be beyond all noise, while less makes a pair doubtful.
    is_apart = evidence.between(usual.middle_us[full.cdr]) > 2 * noise
    is_apart &= usual.is_measured[full.cdr]
    possible = asked.full.where(~is_apart)
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


def _nearest(edges: Edges, distance: NDArray[np.float64], asked: Candidates) -> list[NDArray[np.float64]]:
    """Return for each row of either side how far its nearest edge is; infinite where it has none."""
    found: list[NDArray[np.float64]] = []
    for row, side in ((edges.call, asked.left), (edges.cdr, asked.right)):
        nearest = np.full(len(side), np.inf)
        np.minimum.at(nearest, row, distance)
        found.append(nearest)
    return found


def _standing(
    asked: Candidates, edges: Edges, usual: StartGaps
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
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


def _decide_weak(asked: Candidates, usual: StartGaps, *, accepted: Edges) -> tuple[Known, Edges, Edges]:
    """Return the weak edges that are all that either row has and are believed, those that are not, and near-ties."""
    full, weak = asked.full.edges, asked.weak
    every = Edges.joined([full, weak])
    n_of_call = np.bincount(every.call, minlength=len(asked.left))[weak.call]
    n_of_cdr = np.bincount(every.cdr, minlength=len(asked.right))[weak.cdr]
    is_near = asked.distance(weak, usual) * WEAK_SHARE <= offset_us(asked.rules.start_window_s)
    # Missing on both sides is equal to nothing.
    is_near &= ~(asked.left.is_silent[weak.call] & asked.right.is_silent[weak.cdr])
    is_only = (n_of_call == 1) & (n_of_cdr == 1) & ~weak.is_crowded
    chosen = asked.known(weak.where(is_near & is_only))
    is_doubted = asked.are_doubtful(chosen, usual)
    is_mutual = _standing(asked, every, usual)[0][len(full) :]
    # What is in a pair is nobody's rival any more.
    tied = weak.where(is_near & is_mutual & ~is_only & ~asked.share_a_row(weak, accepted))
    return chosen.where(~is_doubted), chosen.edges.where(is_doubted), tied


def _confidence(
    asked: Candidates, accepted: Known, usual: StartGaps, *, is_weak: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return a position in `CONFIDENCES` for each accepted edge, by the rules of `match_by_numbers`."""
    left, right, rules = asked.left, asked.right, asked.rules
    edges, evidence = accepted.edges, accepted.evidence
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
