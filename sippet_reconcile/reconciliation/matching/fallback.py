"""Match what no id matched: by the same two numbers and nearly the same start.

Input are the rows that are left, output are pairs and rivals. A pair must be each
other's only near choice. Two starts are noisy by the time tolerance each, so a rival
counts as equally near until it is further off by more than twice that tolerance; such
near-ties are listed and never decided. There is one round: nobody is matched because
somebody else was taken. A pair without any rival is believed where its starts are as
near as those of other pairs, or where it is borne out otherwise: of two lost records, a
call's and its redial's, neither has a rival. What has only one number in common is
matched where nothing else at all could be meant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import Confidence, PairPositions, at_once, offset_us
from sippet_reconcile.reconciliation.matching.corroborate import are_borne_out
from sippet_reconcile.reconciliation.matching.edges import FULL_DIGITS, MOST_RIVALS, Edges, find_edges
from sippet_reconcile.reconciliation.matching.parties import e164_of, read_rows
from sippet_reconcile.reconciliation.matching.starts import (
    MINUTE_US,
    gaps_between,
    gaps_of_pairs,
    measure_gaps,
)
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.matching.parties import Rows
    from sippet_reconcile.reconciliation.matching.starts import StartGaps
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["MOST_RIVALS", "CloseCalls", "e164_of", "match_by_numbers"]

WEAK_SHARE: Final = 4
"""With one number in common alone, starts must lie within this part of the window, a quarter of a minute by default.

Strangers call a busy number all day, and withheld ones cannot be told from one another; the switch and
the platform see the same call within seconds.
"""

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


def match_by_numbers(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    free_calls: NDArray[np.bool_],
    free_cdr: NDArray[np.bool_],
    rules: Rules,
    *,
    exact: PairPositions | None = None,
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
    exact
        What ids matched: these pairs show how far apart two starts of one call are.

    Notes
    -----
    Numbers are the same where both sides have them in E.164 and those are equal, or
    where a side has none and the last `number_digits` digits are equal. Where the caller
    is withheld on one side at least (not missing on both), or one party's digits, six at least, are the end of the other
    side's, the other number must be equal in full, the starts must be within a quarter
    of the window, and neither row may have any other candidate in the whole window.

    The confidence of a pair is

    ``high``
        where both numbers are equal in E.164, and the starts are as near as measured or
        the pair is borne out by durations and ends;
    ``low``
        where it is not borne out, and has only one number in common, or only extensions,
        or nothing could be measured and the starts differ by more than the noise of two stamps;
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
    is_mutual, is_alone = _standing(left, right, full, rules)
    accepted, rivals = full.where(is_mutual & is_alone), full.where(is_mutual & ~is_alone)
    measured = _measured(calls, cdr_calls, exact, rules)
    if measured is None:
        measured = measure_gaps(_gaps(left, right, accepted), rules)
    n_full = len(accepted)
    if len(weak):
        found, tied = _decide_weak(left, right, full, weak, accepted=accepted, rules=rules)
        accepted, rivals = Edges.joined([accepted, found]), Edges.joined([rivals, tied])
    is_weak = np.arange(len(accepted)) >= n_full
    call_pos, cdr_pos = left.pos[accepted.call], right.pos[accepted.cdr]
    gap = _gaps(left, right, accepted)
    borne_out = are_borne_out(calls, cdr_calls, call_pos, cdr_pos, rules)
    is_far = np.zeros(len(gap), np.bool_) if measured is None else measured.far(gap) & ~borne_out
    confidence = _confidence(
        left, right, accepted, rules, is_weak=is_weak, borne_out=borne_out, gap=None if measured else gap
    )
    return CloseCalls(
        call_pos[~is_far],
        cdr_pos[~is_far],
        np.concatenate([left.pos[rivals.call], call_pos[is_far]]),
        np.concatenate([right.pos[rivals.cdr], cdr_pos[is_far]]),
        call_pos[is_far],
        cdr_pos[is_far],
        confidence[~is_far],
    )


def _measured(
    calls: pd.DataFrame, cdr_calls: pd.DataFrame, exact: PairPositions | None, rules: Rules
) -> StartGaps | None:
    if exact is None or not len(exact):
        return None
    return measure_gaps(gaps_of_pairs(calls, cdr_calls, exact, rules), rules)


def _gaps(left: Rows, right: Rows, edges: Edges) -> NDArray[np.int64]:
    """Return CDR start minus API start of each edge."""
    return gaps_between(left.start[edges.call], right.start[edges.cdr], right.is_coarse[edges.cdr])


def _standing(
    left: Rows, right: Rows, edges: Edges, rules: Rules
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the edges that are near for both of their rows, and those that are the only near one of either."""
    distance = np.abs(left.start[edges.call] - right.start[edges.cdr])
    margin = np.full(len(distance), 2 * offset_us(rules.time_tolerance_s))
    # A start without seconds may have been at any moment of its minute.
    margin[right.is_coarse[edges.cdr]] += MINUTE_US
    near_call, only_call = _near(edges.call, distance, len(left), margin)
    near_cdr, only_cdr = _near(edges.cdr, distance, len(right), margin)
    return near_call & near_cdr, only_call & only_cdr & ~edges.is_crowded


def _near(
    row: NDArray[np.int64], distance: NDArray[np.int64], n_rows: int, margin: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the edges that are as good as the nearest of their row, and those that are alone in it."""
    nearest = np.full(n_rows, np.iinfo(np.int64).max)
    np.minimum.at(nearest, row, distance)
    near = distance - nearest[row] <= margin
    return near, np.bincount(row[near], minlength=n_rows)[row] == 1


def _decide_weak(
    left: Rows, right: Rows, full: Edges, weak: Edges, *, accepted: Edges, rules: Rules
) -> tuple[Edges, Edges]:
    """Return the weak edges that are all that either row has in the window, and the near-ties among the others."""
    every = Edges.joined([full, weak])
    n_of_call = np.bincount(every.call, minlength=len(left))[weak.call]
    n_of_cdr = np.bincount(every.cdr, minlength=len(right))[weak.cdr]
    is_near = np.abs(_gaps(left, right, weak)) * WEAK_SHARE <= offset_us(rules.start_window_s)
    is_only = (n_of_call == 1) & (n_of_cdr == 1) & ~weak.is_crowded
    is_mutual = _standing(left, right, every, rules)[0][len(full) :]
    # What is in a pair is nobody's rival any more.
    is_paired = np.isin(weak.call, accepted.call) | np.isin(weak.cdr, accepted.cdr)
    # Missing on both sides is equal to nothing.
    is_near &= ~(left.is_silent[weak.call] & right.is_silent[weak.cdr])
    return weak.where(is_near & is_only), weak.where(is_near & is_mutual & ~is_only & ~is_paired)


def _confidence(
    left: Rows,
    right: Rows,
    edges: Edges,
    rules: Rules,
    *,
    is_weak: NDArray[np.bool_],
    borne_out: NDArray[np.bool_],
    gap: NDArray[np.int64] | None,
) -> NDArray[np.int8]:
    """Return a position in `CONFIDENCES` for each accepted edge, by the rules of `match_by_numbers`.

    `gap` is given where nothing was measured.
    """
    in_e164, longest = np.ones(len(edges), np.bool_), np.zeros(len(edges), np.int64)
    for party in ("caller", "called"):
        one, other = getattr(left, party), getattr(right, party)
        in_e164 &= np.asarray(one.e164.is_valid())[edges.call] & np.asarray(other.e164.is_valid())[edges.cdr]
        longest = np.maximum(longest, one.length[edges.call])
    says_little = is_weak | (longest < FULL_DIGITS)
    is_plausible = np.ones(len(edges), np.bool_)
    if gap is not None:
        says_little |= np.abs(gap) > 2 * offset_us(rules.time_tolerance_s)
        is_plausible[:] = False
    # A start without seconds says little of how near it is.
    is_plausible &= ~right.is_coarse[edges.cdr]
    confidence = np.full(len(edges), Confidence.FAIR, np.int8)
    confidence[in_e164 & (is_plausible | borne_out) & ~is_weak] = Confidence.HIGH
    confidence[says_little & ~borne_out] = Confidence.LOW
    return confidence
