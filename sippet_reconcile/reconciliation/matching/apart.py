"""Which CDR calls cannot be one call, because of when their legs were, or between whom.

Input are the legs of the CDR calls that have several, sorted by call and by time;
output is a text per call, and a finding about all of them. The legs of a call follow or
overlap one another. Where nobody was on the line for hours, one id was used for two
calls; where legs with the very same id are those of other parties, by two switches;
where a leg is there again whole quarter hours later, one call was read in two zones.
The start, the end and the seconds of such a group are those of no call, so nothing is
concluded from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.core import MICROS, NAT, QUARTER_S, latest_so_far
from sippet_reconcile.reconciliation.findings import Finding, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["find_legs_apart", "legs_problems", "parties_problems"]

_MOST_SILENCE_S: Final = 3_600
"""Between two legs of one call there may be as long a time without any leg."""

_COPY_SLACK_S: Final = 2
"""How exactly two copies of a leg are whole quarter hours apart."""

_TWO_CALLERS: Final = "one leg id is that of two callers"

_NONE: Final = np.int64(-1)


def legs_problems(
    call: NDArray[np.int64],
    started: NDArray[np.int64],
    answered: NDArray[np.int64],
    ended: NDArray[np.int64],
    key: NDArray[np.int64],
) -> pa.LargeStringArray:
    """Return for each call why its legs cannot be those of one call; missing where they can.

    Parameters
    ----------
    call
        The call of each leg, counted from 0 and ascending; there is one at least.
    started, answered, ended
        Microseconds since 1970, the smallest int64 where missing; starts ascend within each call.
    key
        A code of each leg's own id: two copies of one leg share it.

    Examples
    --------
    >>> minutes = np.array([0, 1, 0, 60, 0, 121]) * 60_000_000
    >>> never = np.full(6, NAT)
    >>> call = np.array([0, 0, 1, 1, 2, 2])
    >>> legs_problems(call, minutes, never, minutes + 60_000_000, np.zeros(6, np.int64)).to_pylist()
    [None, 'a leg is there again 60 min later', 'no leg at all for 120 min']
    """
    n_calls = int(call[-1]) + 1
    silent = np.full(n_calls, _NONE)
    copied = np.full(n_calls, _NONE)
    is_timed = (started != NAT) & (ended != NAT)
    # A leg of unknown times may have filled any silence.
    all_timed = np.bincount(call[~is_timed], minlength=n_calls) == 0
    timed = np.flatnonzero(is_timed)
    call, started, answered, ended, key = (a[timed] for a in (call, started, answered, ended, key))
    is_next = (call[1:] == call[:-1]) & all_timed[call[1:]]
    silence = np.where(is_next, started[1:] - latest_so_far(call, ended)[:-1], 0)
    is_silent = silence > _MOST_SILENCE_S * MICROS
    silent[call[:-1][is_silent]] = _minutes(silence[is_silent])
    rang = np.where(answered == NAT, -1, answered - started)
    lasted = ended - started
    order = np.lexsort((started, rang, lasted, key, call))
    one, other = order[:-1], order[1:]
    later = started[other] - started[one]
    quarters = np.rint(later / (QUARTER_S * MICROS))
    is_copy = (quarters > 0) & (np.abs(later - quarters * QUARTER_S * MICROS) <= _COPY_SLACK_S * MICROS)
    for values in (call, key, lasted, rang):
        is_copy &= values[one] == values[other]
    is_copy &= lasted[one] > 0
    copied[call[one][is_copy]] = _minutes(later[is_copy])
    return pc.coalesce(
        _told("a leg is there again ", copied, " min later"), _told("no leg at all for ", silent, " min")
    )


def parties_problems(
    call: NDArray[np.int64], leg: NDArray[np.int64], parties: tuple[NDArray[np.int64], NDArray[np.int64]]
) -> pa.LargeStringArray:
    """Return for each call whether one leg's id stands for other callers who called others; missing where it does not.

    Parameters
    ----------
    call
        The call of each leg, counted from 0 and ascending; there is one at least.
    leg
        A code of each leg's own id, -1 for none.
    parties
        A code of each leg's caller, and one of whom it called, -1 where missing.

    Examples
    --------
    >>> call, leg = np.array([0, 0, 1, 1]), np.zeros(4, np.int64)
    >>> parties_problems(call, leg, (np.array([5, 6, 5, 6]), np.array([7, 8, 7, 7]))).to_pylist()
    ['one leg id is that of two callers', None]
    """
    order = np.lexsort((leg, call))
    order = order[leg[order] >= 0]
    told = np.zeros(int(call[-1]) + 1, np.bool_)
    if len(order):
        begins = np.flatnonzero(
            (np.diff(call[order], prepend=-1) != 0) | (np.diff(leg[order], prepend=-1) != 0)
        )
        differ = np.ones(len(begins), np.bool_)
        for codes in (side[order] for side in parties):
            least = np.minimum.reduceat(np.where(codes < 0, np.iinfo(np.int64).max, codes), begins)
            differ &= least < np.maximum.reduceat(codes, begins)
        told[call[order][begins[differ]]] = True
    words = pa.scalar(_TWO_CALLERS, pa.large_string())
    return pc.if_else(pa.array(told), words, pa.scalar(None, pa.large_string()))


def _minutes(micros: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.rint(micros / (60 * MICROS)).astype(np.int64)


def _told(before: str, minutes: NDArray[np.int64], behind: str) -> pa.LargeStringArray:
    """Return a sentence with its minutes for each call; missing where there are none."""
    numbers = pa.array(minutes, mask=minutes == _NONE).cast(pa.large_string())
    first, last, between = (pa.scalar(text, pa.large_string()) for text in (before, behind, ""))
    return pc.binary_join_element_wise(first, numbers, last, between)


def find_legs_apart(cdr_calls: Columns, is_asked: NDArray[np.bool_]) -> Finding | None:
    """Say so where CDR calls of the period have legs that cannot be those of one call."""
    rows = np.flatnonzero(is_asked & cdr_calls.is_known("legs_problem"))
    if not len(rows):
        return None
    shown = ["cdr_id", "n_legs", "legs_problem", "started_at", "ended_at", "source_file", "source_row"]
    evidence = cdr_calls.frame[shown].take(rows).sort_values("cdr_id", ignore_index=True)
    n_copies = int(evidence["legs_problem"].str.startswith("a leg").sum())
    n_callers = int(evidence["legs_problem"].eq(_TWO_CALLERS).sum())
    parts = (
        (n_copies, "in {n} a leg is there again whole quarter hours later"),
        (len(rows) - n_copies - n_callers, "in {n} there is none for hours"),
        (n_callers, "in {n} one id is that of two callers' legs"),
    )
    said = ", ".join(words.format(n=f"{n:,}") for n, words in parts if n)
    message = (
        f"{plural(len(rows), 'CDR call')} {'has' if len(rows) == 1 else 'have'} legs that cannot be those of one call: "
        f"{said}. {'It is' if len(rows) == 1 else 'They are'} excluded."
    )
    advice = (
        "Read each export once, and in the zone it was written in; reconcile switches that give out the same ids "
        "one by one; where one id is used for several calls, "
        "read a column that tells them apart as call_key or linked_id."
    )
    return Finding("duplicate-rows", Severity.WARN, message, evidence, advice)
