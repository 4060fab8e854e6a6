"""How far apart the two starts of one call usually are: measured, never assumed.

Input are the gaps between the starts of pairs that are believed for another reason,
output is `StartGaps`: where they lie, and how far from there a start may be before
somebody asks whether it is the same call. A clock that is off moves the middle; an
export whose start is the answer makes the gaps wide, and the limit with them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import MICROS, instants_us, offset_us
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["ENOUGH_PAIRS", "MINUTE_US", "StartGaps", "gaps_between", "gaps_of_pairs", "measure_gaps"]

ENOUGH_PAIRS: Final = 200
"""From fewer pairs nothing is measured."""

MINUTE_US: Final = 60 * MICROS
_SHARE: Final = 0.9
_TIMES: Final = 3
_NAT: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class StartGaps:
    """How far apart the starts of one call are, in microseconds.

    Attributes
    ----------
    middle_us
        The median gap.
    spread_us
        So far from the middle lie nine of ten gaps, at most.
    limit_us
        Farther from the middle no gap is plausible.
    """

    middle_us: float
    spread_us: float
    limit_us: float

    @classmethod
    def unknown(cls) -> StartGaps:
        """Return what holds where nothing was measured: the window alone decides."""
        return cls(0.0, 0.0, math.inf)

    @property
    def is_measured(self) -> bool:
        """Tell whether this was measured."""
        return math.isfinite(self.limit_us)

    def distance(self, gap: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far each gap is from the middle."""
        return np.abs(gap - self.middle_us)

    def margin_us(self, rules: Rules) -> float:
        """Return by how much a rival must be further away: by the noise of two starts."""
        return 2 * max(float(offset_us(rules.time_tolerance_s)), self.spread_us)


def gaps_between(
    call_start: NDArray[np.int64], cdr_start: NDArray[np.int64], is_coarse: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return CDR start minus API start; a start without seconds is wherever in its minute it is nearest.

    Examples
    --------
    >>> call, cdr = np.array([50_000_000, 70_000_000]), np.array([0, 0])
    >>> gaps_between(call, cdr, np.array([True, True])).tolist()
    [0, -10000001]
    """
    return (
        np.where(is_coarse, np.clip(call_start, cdr_start, cdr_start + MINUTE_US - 1), cdr_start) - call_start
    )


def gaps_of_pairs(
    calls: pd.DataFrame, cdr_calls: pd.DataFrame, pairs: PairPositions, rules: Rules
) -> NDArray[np.int64]:
    """Return the gaps of the pairs that have both starts."""
    call = instants_us(calls["started_at"])[pairs.call_pos]
    cdr = instants_us(cdr_calls["started_at"])[pairs.cdr_pos]
    is_coarse = flags_of(cdr_calls, COARSE_COLUMN)[pairs.cdr_pos]
    known = (call != _NAT) & (cdr != _NAT)
    return gaps_between(call[known], cdr[known] - offset_us(rules.clock_offset_s), is_coarse[known])


def measure_gaps(gaps: NDArray[np.int64], rules: Rules) -> StartGaps | None:
    """Measure where gaps lie and how wide they spread; None from too few of them.

    The limit is three times the distance from the middle within which nine of ten gaps
    lie, and the noise of two stamps; never more than the window.

    Examples
    --------
    >>> from sippet_reconcile.reconciliation import Rules
    >>> measure_gaps(np.array([0, 1, 2, 3, 4] * 40) * MICROS, Rules())
    StartGaps(middle_us=2000000.0, spread_us=2000000.0, limit_us=10000000.0)
    >>> measure_gaps(np.arange(199), Rules()) is None
    True
    """
    if len(gaps) < ENOUGH_PAIRS:
        return None
    middle = float(np.median(gaps))
    spread = float(np.quantile(np.abs(gaps - middle), _SHARE))
    limit = _TIMES * spread + 2 * offset_us(rules.time_tolerance_s)
    return StartGaps(middle, spread, min(limit, float(offset_us(rules.start_window_s))))
