"""Say why hardly any call found its other side: the key, the period, the zone, or the numbers.

Input are both sides of which little matched, output are sentences and one piece of
advice. It is only asked when something is wrong, and looks at samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.keys import normal_ids
from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S, MatchRule
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.material import Material, Standpoint
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["why_unmatched"]

_LOOKED_AT: Final = 2_000
_MOST_ROWS: Final = 200_000
_HALF: Final = 0.5
"""Of a sample, so that single equal values by chance name no cause."""

_TAIL: Final = 7
"""Last digits in which two numbers are the same however they are written."""

_RARE: Final = 20
"""Pairs of numbers that call more often than this cannot be told apart by their numbers."""

_FEW: Final = 5

_ENOUGH_MET: Final = 10
"""Calls whose numbers are on both sides from which on a time between them that half of them share is no accident."""

_CLOCK_SPREAD_S: Final = 3
"""How far gaps may lie from the usual one where clocks differ by the same all the time."""

_SEVERAL: Final = 2
_NO_KEYS: Final = (
    "source_file", "source_sha256", "format", "problem", "time_problem", "direction", "from_number", "to_number",
    "from_e164", "to_e164", "sip_username", "status", "cause",
)  # fmt: skip
_ADVICE: Final = (
    "Look at a few rows of only_in_api and only_in_cdr: is it the same system, period and time zone, and which "
    "column of the export holds the call_uuid?"
)


def why_unmatched(material: Material) -> tuple[list[str], str]:
    """Return what is likely the matter, and what to do about it."""
    reasons: list[str] = []
    advice: list[str] = []
    for reason, next_step in (_keys(material), _spans(material), _numbers(material)):
        if reason:
            reasons.append(reason)
        if next_step:
            advice.append(next_step)
    return reasons, " ".join(advice) or _ADVICE


def _sample(size: int) -> NDArray[np.int64]:
    return np.linspace(0, size - 1, min(size, _LOOKED_AT)).astype(np.int64) if size else np.zeros(0, np.int64)


def _keys(m: Material) -> tuple[str, str]:
    """Say so where no CDR key equals any call_uuid, and which column of the legs does."""
    by_key = int(np.count_nonzero(m.sides.rule == MatchRule.CALL_UUID))
    if by_key > 0:
        return "", ""
    n_uuids: int = m.sides.of_calls.summed(_count_uuids)
    if n_uuids == 0:
        return (
            "no call of the API has a call_uuid",
            "Fetch the calls with their call_uuid; numbers and time alone prove little.",
        )
    if m.legs is None or len(m.legs) == 0:
        return "no CDR key equals any call_uuid", ""
    rows = _sample(len(m.legs))
    some = m.legs.iloc[rows]
    ids: dict[str, pa.LargeStringArray] = {}
    for name in some.columns.drop_duplicates(keep=False):
        values = some[name]
        if name not in _NO_KEYS and isinstance(values.dtype, pd.StringDtype):
            ids[str(name)] = text_array(normal_ids(values))
    wanted = pc.unique(pa.chunked_array(list(ids.values()), pa.large_string())).drop_null()
    known = wanted.filter(pa.array(m.sides.of_calls.summed(_count_held, wanted) > 0))
    found = {name: pc.sum(pc.is_in(of_legs, value_set=known)).as_py() or 0 for name, of_legs in ids.items()}
    best = max(found, key=found.__getitem__, default="")
    most = found.get(best, 0)
    if most >= max(_FEW, _HALF * len(rows)):
        return (
            f"no call_key of the CDR equals a call_uuid, but its column {best} does in {most:,} of {len(rows):,} legs looked at",
            f'Read the export again with the column behind {best} as its call_key: columns={{"call_key": "…"}}, or legs.assign(call_key=legs["{best}"]).',
        )
    return (
        f"no CDR key equals any of {n_uuids:,} call_uuids, nor does any other column of the export",
        "Find the column of the export that holds the call_uuid and read it as call_key, or keep it with keep=.",
    )


def _count_uuids(calls: Columns) -> int:
    uuids = text_array(normal_ids(calls.frame["call_uuid"]))
    return len(uuids) - uuids.null_count


def _count_held(calls: Columns, wanted: pa.LargeStringArray) -> NDArray[np.int64]:
    """Return how many calls have each of some ids as their ``call_uuid``."""
    places = pc.index_in(text_array(normal_ids(calls.frame["call_uuid"])), value_set=wanted)
    return np.bincount(np.asarray(places.drop_null()), minlength=len(wanted))


def _spans(m: Material) -> tuple[str, str]:
    """Say so where the two sides are of different times."""
    said = []
    for view in (m.of_api, m.of_cdr):
        span = view.span()
        if span is None:
            return "", ""
        said.append(span)
    (first, last), (cdr_first, cdr_last) = said
    if cdr_first <= last and first <= cdr_last:
        return "", ""
    (a, b), (c, d) = ((str(at.astype("datetime64[m]")).replace("T", " ") for at in span) for span in said)
    return (
        f"the calls are of {a} to {b} UTC, the CDR is of {c} to {d}",
        "Export the CDR of the same period.",
    )


def _tails(frame: pd.DataFrame, rows: NDArray[np.int64]) -> pd.Series[str]:
    some = frame[["from_number", "to_number"]].take(rows)
    tails = [
        pd.Series(last_digits(text_array(some[name]), _TAIL).to_pylist(), dtype="str")
        for name in ("from_number", "to_number")
    ]
    both = tails[0] + ">" + tails[1]
    return both.where(tails[0].str.len().eq(_TAIL) & tails[1].str.len().eq(_TAIL))


def _alone(view: Standpoint, most: int) -> tuple[NDArray[np.int64], NDArray[np.datetime64]]:
    """Return so many of the rows without a partner, and their starts."""
    starts = view.starts
    rows = np.flatnonzero(view.alone & ~np.isnat(starts))[:most]
    return rows, starts[rows]


def _numbers(m: Material) -> tuple[str, str]:
    """Look for the unmatched calls' two numbers among the unmatched CDR calls, and at what time they are there."""
    calls, at = _alone(m.of_api, _MOST_ROWS)
    some = _sample(len(calls))
    one = pd.DataFrame({"tails": _tails(m.calls, calls[some]), "at": at[some]}).dropna()
    cdrs, at = _alone(m.of_cdr, _MOST_ROWS)
    other = pd.DataFrame({"tails": _tails(m.cdr_calls, cdrs), "at": at}).dropna()
    if len(one) < _FEW or len(other) < _FEW:
        return "", ""
    rare = other["tails"].map(other["tails"].value_counts()).le(_RARE)
    met = one.reset_index().merge(other[rare], on="tails", how="inner", suffixes=("", "_cdr"))
    n_met = int(met["index"].nunique())
    if n_met >= min(_ENOUGH_MET, max(_FEW, _HALF * len(one))):
        shift = _shift(met, len(one), m.rules.start_window_s)
        if shift is not None:
            return shift
    if n_met < max(_FEW, _HALF * len(one)):
        known = int(one["tails"].isin(set(other["tails"])).sum())
        if known >= _HALF * len(one):
            return "", ""
        return (
            f"of {len(one):,} unmatched calls looked at, {f'only {known:,}' if known else 'none'} {'has' if known < _SEVERAL else 'have'} "
            "numbers that unmatched CDR calls have too",
            "Check that both sides are whole and of the same system, and the country= that the export was read with.",
        )
    return "", ""


def _shift(met: pd.DataFrame, n_looked_at: int, window_s: float) -> tuple[str, str] | None:
    """Say how much later or earlier the same two numbers are in the CDR, where half of them agree."""
    gap = (met["at_cdr"] - met["at"]).dt.total_seconds()
    n_met = met["index"].nunique()
    quarters = (gap / QUARTER_S).round()
    whole = (gap - quarters * QUARTER_S).abs().le(QUARTER_SLACK_S)
    for quarter in quarters[whole & quarters.ne(0)].mode().tolist()[:1]:
        same = int(met.loc[whole & quarters.eq(quarter), "index"].nunique())
        if same >= _HALF * n_met:
            later = "later" if quarter > 0 else "earlier"
            return (
                f"{same:,} of {n_looked_at:,} unmatched calls looked at are in the CDR {abs(int(quarter)) * QUARTER_S / 3600:g} h {later}",
                "Read the CDRs again with the timezone= their clock runs in.",
            )
    near = gap.abs().lt(QUARTER_S)
    usual = round(float(gap[near].median())) if near.any() else 0
    same = int(met.loc[near & (gap - usual).abs().le(_CLOCK_SPREAD_S), "index"].nunique())
    if abs(usual) <= window_s or same < _HALF * n_met:
        return None
    later = "later" if usual > 0 else "earlier"
    return (
        f"{same:,} of {n_looked_at:,} unmatched calls looked at are in the CDR about {abs(usual):,} s {later}",
        f"Find out which clock is wrong; Rules(clock_offset_s={usual}) takes the difference away before anything is matched.",
    )
