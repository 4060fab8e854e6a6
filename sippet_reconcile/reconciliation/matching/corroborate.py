"""Which pairs are borne out, and which contradicted, by how long was talked and when it was over.

Input are positions in both frames, output are masks. Two calls between the same people
rarely talk for the same seconds, so a pair whose durations agree and whose ends are
where its starts let expect them is one call, however far apart its starts are. Nothing
is concluded from a pair that is not borne out: its durations may be what is wrong. A
call that was over before the other began is another one: nobody redials while talking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import MICROS, instants_us, offset_us
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["are_borne_out", "time_between"]

LEAST_TALK_S: Final = 10
"""Shorter calls are alike too often: hung up at the greeting of a voicemail, each takes as long."""

_NAT: Final = np.iinfo(np.int64).min


def are_borne_out(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    call_pos: NDArray[np.int64],
    cdr_pos: NDArray[np.int64],
    rules: Rules,
) -> NDArray[np.bool_]:
    """Mark the pairs whose seconds agree on either basis, and whose ends agree or are as far apart as the starts.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    call_pos, cdr_pos
        The pairs.
    rules
        Both tolerances and the clock offset are used.
    """
    fetched, billable, total = (
        frame[name].array.take(at).to_numpy("float64", na_value=np.nan)
        for frame, name, at in (
            (calls, "duration_seconds", call_pos),
            (cdr_calls, "billable_s", cdr_pos),
            (cdr_calls, "total_s", cdr_pos),
        )
    )
    # What is missing compares as false.
    same = np.abs(fetched - billable) <= rules.duration_tolerance_s
    same |= np.abs(fetched - total) <= rules.duration_tolerance_s
    talked = np.where(np.isnan(billable), total, billable) >= LEAST_TALK_S
    start, end, cdr_start, cdr_end = _instants(calls, cdr_calls, call_pos, cdr_pos, rules)
    slack = float(rules.time_tolerance_s)
    end_gap, start_gap = np.rint(cdr_end - end) / MICROS, (cdr_start - start) / MICROS
    ends = (np.abs(end_gap) <= slack) | (np.abs(end_gap - start_gap) <= slack)
    return same & talked & ends


def time_between(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    call_pos: NDArray[np.int64],
    cdr_pos: NDArray[np.int64],
    rules: Rules,
    *,
    middle_us: float,
) -> NDArray[np.float64]:
    """Return how long before one began the other was over, in microseconds; negative where both were at one time.

    An end that is missing, or before its own start, says nothing, and neither does one
    without seconds: where nothing is said, it is minus infinity. `middle_us` is how far
    apart starts are usually: CDR minus API.
    """
    start, end, cdr_start, cdr_end = _instants(calls, cdr_calls, call_pos, cdr_pos, rules)
    is_coarse = flags_of(cdr_calls, COARSE_COLUMN)[cdr_pos]
    end = np.where(end >= start, end, np.inf)
    cdr_end = np.where((cdr_end >= cdr_start) & ~is_coarse, cdr_end, np.inf)
    # Where the middle is not a clock's, but that of answers, only starts are moved by it, and no end.
    call_first = np.minimum(cdr_start, cdr_start - middle_us) - end
    cdr_first = start - np.maximum(cdr_end, cdr_end - middle_us)
    return np.maximum(call_first, cdr_first)


def _instants(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    call_pos: NDArray[np.int64],
    cdr_pos: NDArray[np.int64],
    rules: Rules,
) -> tuple[NDArray[np.float64], ...]:
    """Return start and end of the calls and of the CDR calls in microseconds, the offset removed; missing is NaN."""
    found: list[NDArray[np.float64]] = []
    for frame, at, offset in ((calls, call_pos, 0), (cdr_calls, cdr_pos, offset_us(rules.clock_offset_s))):
        for name in ("started_at", "ended_at"):
            instants = instants_us(frame[name].take(at))
            found.append(np.where(instants == _NAT, np.nan, instants.astype(np.float64) - offset))
    return tuple(found)
