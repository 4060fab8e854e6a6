"""Say why the CDR's end of a matched call is not known well enough to be written.

Input are the instants of both sides, one element per row and the clock offset already
removed; output is a code per row that names the doubt. Comparing, planning and showing
ask here, so that what is not planned and the reason given for it cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["END_DOUBTS", "doubts_of_end"]

END_DOUBTS: Final = (
    "its end is a local time that daylight saving skips or repeats",
    "its times are printed without seconds",
    "its start and end differ alike: a clock, not the end",
    "its start is off by whole quarter hours, as a clock is and no end",
    "it is whole quarter hours from where the CDR's own seconds end",
)
"""Why an end is not written, by code; the first that holds is given."""

_DAYLIGHT, _COARSE, _ALIKE, _ZONE, _OWN_SECONDS = range(len(END_DOUBTS))


def doubts_of_end(
    call: tuple[NDArray[np.datetime64], NDArray[np.datetime64]],
    cdr: tuple[NDArray[np.datetime64], NDArray[np.datetime64]],
    *,
    has_time_problem: NDArray[np.bool_],
    is_coarse: NDArray[np.bool_],
    total_s: NDArray[np.float64],
    tolerance_s: float,
) -> NDArray[np.int8]:
    """Return per row a position in `END_DOUBTS`; -1 where nothing speaks against the CDR's end.

    Where both ends of a call are off by the same seconds, and by more than clocks may
    be, two clocks differ and nobody knows which is right. Where the API has no end to
    compare, a start that is off by whole quarter hours says the same. So does an end that
    is whole quarter hours from start plus total seconds: of two stamps one is in another zone.

    Parameters
    ----------
    call, cdr
        Start and end of each side.
    has_time_problem
        Marks the rows whose local time daylight saving skips or repeats.
    is_coarse
        Marks the rows whose times are printed without seconds.
    total_s
        The CDR's seconds with ringing; NaN where it counts none.
    tolerance_s
        How far clocks may be apart.

    Examples
    --------
    >>> at = [np.array([f"2026-10-01T{time}"], "datetime64[us]") for time in ("08:00:00", "08:01:00")]
    >>> later = [instants + np.timedelta64(5, "s") for instants in at]
    >>> options = {"has_time_problem": np.array([False]), "is_coarse": np.array([False])}
    >>> options |= {"total_s": np.array([60.0]), "tolerance_s": 2}
    >>> doubts_of_end((at[0], at[1]), (later[0], later[1]), **options).tolist()
    [2]
    >>> doubts_of_end((at[0], at[1]), (at[0], later[1]), **options).tolist()
    [-1]
    """
    start_gap = gap_in_seconds(cdr[0], call[0])
    end_gap = gap_in_seconds(cdr[1], call[1])
    tolerance = micros(tolerance_s)
    is_off = np.abs(micros(start_gap)) > tolerance
    is_alike = is_off & (np.abs(micros(end_gap) - micros(start_gap)) <= tolerance)
    is_zone = _is_quarters(start_gap) & np.isnan(end_gap) & ~np.isnat(cdr[1])
    is_torn = _is_quarters(gap_in_seconds(cdr[1], cdr[0]) - total_s)
    tests = (
        (_DAYLIGHT, has_time_problem),
        (_COARSE, is_coarse),
        (_ALIKE, is_alike),
        (_ZONE, is_zone),
        (_OWN_SECONDS, is_torn),
    )
    codes = np.full(len(start_gap), -1, np.int8)
    # The first that holds gives the reason, so the last is written first.
    for code, holds in reversed(tests):
        codes[holds] = code
    return codes


def _is_quarters(gap_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark gaps of about a whole number of quarter hours, one at least."""
    quarters = np.rint(gap_s / QUARTER_S)
    close: NDArray[np.bool_] = (quarters != 0) & (np.abs(gap_s - quarters * QUARTER_S) <= QUARTER_SLACK_S)
    return close
