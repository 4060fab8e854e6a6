"""Order the calls so that the first few show every kind of correction.

Input are changes in any order; output are the same rows, whole calls together, first
one call of each field and explanation, then the rest by start and id. The order of
the input decides nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sippet_reconcile.plan.frames import is_among
from sippet_reconcile.schema import PATCHABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["in_plan_order"]


def in_plan_order(changes: pd.DataFrame, started_at: pd.Series[pd.Timestamp] | None = None) -> pd.DataFrame:
    """Return changes in plan order, with a fresh index.

    Parameters
    ----------
    changes
        `schema.CHANGES`, one row per call and field.
    started_at
        The start of the call of each row, where known; a missing start comes last.

    Examples
    --------
    >>> frame = pd.DataFrame({
    ...     "call_id": ["a", "b", "c"], "field": ["status", "status", "ended_at"],
    ...     "explanation": ["cut-by-crash", "cut-by-crash", "missing"],
    ... })
    >>> in_plan_order(frame)["call_id"].tolist()
    ['a', 'c', 'b']
    """
    flat = changes.reset_index(drop=True)
    if flat.empty:
        return flat
    place_of = {name: place for place, name in enumerate(PATCHABLE)}
    fields = flat["field"].map(place_of).to_numpy(dtype="int64")
    keys = pd.DataFrame(
        {"call_id": flat["call_id"], "field": fields, "cause": flat["explanation"].fillna("")}
    )
    starts = pd.Series(pd.NaT, index=flat.index) if started_at is None else started_at.reset_index(drop=True)
    keys = keys.assign(start=starts).sort_values(
        ["start", "call_id", "field"], na_position="last", kind="stable"
    )
    picked = _first_of_each(keys)
    rank = keys["call_id"].map({call_id: place for place, call_id in enumerate(picked)})
    keys = keys.assign(rank=rank.fillna(len(picked)))
    order: NDArray[np.int64] = keys.sort_values("rank", kind="stable").index.to_numpy()
    return flat.take(order).reset_index(drop=True)


def _first_of_each(keys: pd.DataFrame) -> list[str]:
    """Return the fewest first calls that together show each field and cause once."""
    firsts = keys.drop_duplicates(["field", "cause"]).sort_values(["field", "cause"], kind="stable")
    kinds_of = keys.loc[is_among(keys["call_id"], firsts["call_id"])].groupby("call_id")[["field", "cause"]]
    shown_by = {str(call_id): set(map(tuple, rows.to_numpy().tolist())) for call_id, rows in kinds_of}
    picked: list[str] = []
    shown: set[tuple[object, ...]] = set()
    for row in firsts.itertuples(index=False):
        if (row.field, row.cause) in shown:
            continue
        call_id = str(row.call_id)
        picked.append(call_id)
        shown |= shown_by[call_id]
    return picked
