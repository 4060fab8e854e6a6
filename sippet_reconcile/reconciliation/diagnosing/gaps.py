"""Find spans of time in which one side has hardly anything of what the other one has.

Input are the rows of one side with their starts and whether they have a partner; output
is one row per span. In order of time, rows without a partner come singly where single
calls were lost, and in a row where a piece of an export is missing. How likely one is
lost is measured from how often a row without a partner follows one that has one: a gap,
however long, adds a single such step. So a gap shows however much is missing in all, it
begins and ends at a call and not at an hour, and a quiet night says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.core import MICROS, NAT
from sippet_reconcile.reconciliation.diagnosing.material import in_period

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.diagnosing.material import Material
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["ENOUGH_MET", "Gaps", "find_gaps"]

ENOUGH_MET: Final = 20
"""Rows with a partner below which it is not known how often one is lost."""

_CHANCE: Final = 1e-4
"""How likely chance may make any gap at all in one month of one side."""

_SHORTEST_RUN: Final = 5
"""Fewer calls in a row are an incident to look at one by one."""

_SHORTEST_S: Final = 300
"""A shorter silence is an incident of a switch or a worker, not a piece of an export."""

_MOST_LOST: Final = 0.5
"""Where even a call behind one that has a partner rather has none, it is not a gap that is wrong."""

_BRIDGED: Final = 0.25
"""Runs are one gap where between them lies at most this share of what the smaller one misses."""

_PARTLY: Final = 0.3
"""Share of an hour's calls that must be missing before an hour counts as missing in part."""

_PARTLY_CALLS: Final = 10

_HOUR_US: Final = 3600 * MICROS
_COLUMNS: Final = {"n_calls": "Int64", "n_missing": "Int64", "share": "Float64"}


@dataclass(frozen=True, eq=False)
class Gaps:
    """The gaps of one side, and how much could tell.

    Attributes
    ----------
    frame
        One row per gap, in order of time: ``missing_in`` (text), ``from`` and ``to`` (starts
        of the first and the last call that is missing), ``n_calls`` (of the other side from
        the one to the other), ``n_missing`` (of these), ``share`` (Float64, of the two),
        ``last_before`` and ``first_after`` (starts of the neighbours that are there; NaT
        where there are none).
    n_met
        Rows with a partner that were looked at.
    is_lost
        Whether so much is missing everywhere that no gap can be told from the rest.
    """

    frame: pd.DataFrame
    n_met: int
    is_lost: bool = False


def find_gaps(material: Material, missing_in: str) -> Gaps:
    """Return the gaps of the side ``"cdr"`` or ``"api"``, seen from the other one."""
    view, other = (
        (material.of_api, material.of_cdr) if missing_in == "cdr" else (material.of_cdr, material.of_api)
    )
    span = other.span() if material.period is None else None
    (keys,) = view.columns.told(_keys, material.period, span, along=[view.met, view.alone])
    keys = keys[keys != NAT]
    keys.sort()
    at, alone = keys >> 1, (keys & 1).astype(np.bool_)
    del keys
    n_met = len(at) - int(np.count_nonzero(alone))
    if n_met < ENOUGH_MET or n_met == len(at):  # too few to tell, or nobody is alone
        return Gaps(_frame(at, alone, np.zeros((0, 2), np.int64), missing_in), n_met)
    steps = int(np.count_nonzero(alone[1:] & ~alone[:-1])) + int(alone[0])
    lost = (steps + 1) / (n_met + 2)
    if lost > _MOST_LOST:
        return Gaps(_frame(at, alone, np.zeros((0, 2), np.int64), missing_in), n_met, is_lost=True)
    runs = _silent_runs(at, alone, lost)
    if len(runs):
        rest = _outside(len(at), runs)
        found = _merged(np.concatenate([runs, rest[_thin_hours(at[rest], alone[rest])]]))
    else:
        found = _thin_hours(at, alone)
    return Gaps(_frame(at, alone, found, missing_in), n_met)


def _keys(
    columns: Columns,
    met: NDArray[np.bool_],
    alone: NDArray[np.bool_],
    period: Period | None,
    span: tuple[np.datetime64, np.datetime64] | None,
) -> tuple[NDArray[np.int64]]:
    """Return the start of each row with whether it is alone in the lowest bit: sorting numbers is far quicker than sorting places.

    `NAT` stands for a row that is not asked, or that lies outside of the period, or without one outside of
    the span of the other side: each side has a margin of its own.
    """
    starts = columns.instants("started_at")
    chosen = (met | alone) & ~np.isnat(starts)
    if period is not None:
        chosen &= in_period(starts, period)
    elif span is not None:
        chosen &= (starts >= span[0]) & (starts <= span[1])
    else:
        chosen[:] = False
    return (np.where(chosen, starts.view(np.int64) * 2 + alone, NAT),)


def _silent_runs(at: NDArray[np.int64], alone: NDArray[np.bool_], lost: float) -> NDArray[np.int64]:
    """Return first and last place of the runs of rows without a partner that chance does not make."""
    edges = np.flatnonzero(np.diff(alone.astype(np.int8), prepend=0, append=0))
    first, last = edges[::2], edges[1::2] - 1
    shortest = max(_SHORTEST_RUN, int(np.ceil(np.log(_CHANCE / len(at)) / np.log(lost))))
    long = last - first + 1 >= shortest
    first, last = first[long], last[long]
    if len(first) > 1:
        between = first[1:] - last[:-1] - 1
        smaller = np.minimum((last - first)[1:], (last - first)[:-1]) + 1
        apart = between > _BRIDGED * smaller
        first, last = first[np.append(True, apart)], last[np.append(apart, True)]
    # The neighbours that are there bound the silence; at an end of the span there is none.
    silent_us = at[np.minimum(last + 1, len(at) - 1)] - at[np.maximum(first - 1, 0)]
    lasts = silent_us >= _SHORTEST_S * MICROS
    return np.stack([first[lasts], last[lasts]], axis=1)


def _outside(size: int, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the places in no span; spans do not overlap and are in order."""
    steps = np.zeros(size + 1, np.int8)
    steps[spans[:, 0]] += 1
    steps[spans[:, 1] + 1] -= 1
    return np.flatnonzero(np.cumsum(steps[:-1], dtype=np.int8) == 0)


def _thin_hours(at: NDArray[np.int64], alone: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return first and last place of stretches of hours that miss far more than the others do.

    So it is where one of two switches is missing. An hour counts where Chernoff's bound
    says that chance makes no such hour in the month, 10 calls or more are missing, and
    these are 30 % or more of its calls.
    """
    places = np.flatnonzero(alone)
    # Only the hours that miss enough calls are of interest, and there are few of them.
    n_alone = np.bincount((at[places] - at[0]) // _HOUR_US)
    few = np.flatnonzero(n_alone >= _PARTLY_CALLS)
    if not len(few):
        return np.zeros((0, 2), np.int64)
    begins, ends = (
        np.searchsorted(at, at[0] + few * _HOUR_US),
        np.searchsorted(at, at[0] + (few + 1) * _HOUR_US),
    )
    n, missing = ends - begins, n_alone[few]
    share = missing / n
    others, n_hours = len(places), (at[-1] - at[0]) // _HOUR_US + 1
    thin = np.zeros(len(few), np.bool_)
    for _ in range(3):  # what was found does not count among the others
        usual = (others - missing[thin].sum() + 1) / (len(at) - n[thin].sum() + 2)
        distance = share * np.log(share / usual) + np.where(
            share < 1, (1 - share) * np.log(np.maximum(1 - share, 1e-12) / (1 - usual)), 0
        )
        now = (share >= _PARTLY) & (share > 2 * usual)
        now &= distance * n >= np.log(n_hours / _CHANCE)
        if np.array_equal(now, thin):
            break
        thin = now
    if not thin.any():
        return np.zeros((0, 2), np.int64)
    stretch = np.cumsum(np.diff(few[thin], prepend=-9) > 1) - 1
    first = np.minimum.reduceat(begins[thin], np.flatnonzero(np.diff(stretch, prepend=-1)))
    last = np.maximum.reduceat(ends[thin], np.flatnonzero(np.diff(stretch, prepend=-1))) - 1
    # From the first call that is missing to the last one.
    first = places[np.searchsorted(places, first)]
    last = places[np.searchsorted(places, last, side="right") - 1]
    return np.stack([first, last], axis=1)


def _merged(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return spans that do not overlap, in order."""
    if not len(spans):
        return spans
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    reach = np.maximum.accumulate(spans[:, 1])
    new = np.append(True, spans[1:, 0] > reach[:-1])
    begins = np.flatnonzero(new)
    return np.stack([spans[begins, 0], np.maximum.reduceat(spans[:, 1], begins)], axis=1)


def _frame(
    at: NDArray[np.int64], alone: NDArray[np.bool_], spans: NDArray[np.int64], missing_in: str
) -> pd.DataFrame:
    first, last = spans[:, 0], spans[:, 1]
    n_calls = last - first + 1
    n_missing = np.array(
        [np.count_nonzero(alone[begin : end + 1]) for begin, end in spans.tolist()], np.int64
    )
    nat = np.datetime64("NaT", "us")
    instants = at.view("datetime64[us]")
    met = np.flatnonzero(~alone) if len(spans) else first
    # The neighbours that are there: the last one ahead of the gap and the first one behind it.
    ahead, behind = np.searchsorted(met, first) - 1, np.searchsorted(met, last)
    columns = {
        "from": instants[first],
        "to": instants[last],
        "last_before": _picked(instants, met, ahead, nat),
        "first_after": _picked(instants, met, behind, nat),
    }
    frame = pd.DataFrame({name: pd.Series(values).dt.tz_localize("UTC") for name, values in columns.items()})
    frame.insert(0, "missing_in", pd.Series([missing_in] * len(first), dtype="str"))
    counts = {"n_calls": n_calls, "n_missing": n_missing, "share": n_missing / np.maximum(n_calls, 1)}
    for place, (name, values) in enumerate(counts.items(), start=3):
        frame.insert(place, name, pd.Series(values, dtype=_COLUMNS[name]))
    return frame


def _picked(
    instants: NDArray[np.datetime64], met: NDArray[np.int64], places: NDArray[np.int64], nat: np.datetime64
) -> NDArray[np.datetime64]:
    inside = (places >= 0) & (places < len(met))
    result = np.full(len(places), nat)
    result[inside] = instants[met[places[inside]]]
    return result
