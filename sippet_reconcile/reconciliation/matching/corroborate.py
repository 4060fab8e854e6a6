"""Which pairs are borne out by what neither numbers nor starts say: how long was talked, and when it was over.

Input are positions in both frames, output is a mask. Two calls between the same people
rarely talk for the same seconds, so a pair whose durations agree and whose ends are
where its starts let expect them is one call, however far apart its starts are. Nothing
is concluded from a pair that is not borne out: its durations may be what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import instants_us, offset_us

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["are_borne_out"]

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
    offset, slack = offset_us(rules.clock_offset_s), offset_us(rules.time_tolerance_s)
    (start, end), (cdr_start, cdr_end) = (
        (instants_us(frame[name].take(at)) for name in ("started_at", "ended_at"))
        for frame, at in ((calls, call_pos), (cdr_calls, cdr_pos))
    )
    known = (end != _NAT) & (cdr_end != _NAT)
    end_gap = np.where(known, cdr_end - np.where(known, end, cdr_end) - offset, 0)
    start_gap = cdr_start - start - offset
    ends = (np.abs(end_gap) <= slack) | (np.abs(end_gap - start_gap) <= slack)
    return same & talked & known & ends
