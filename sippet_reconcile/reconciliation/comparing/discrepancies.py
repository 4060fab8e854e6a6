"""Build the frame of discrepancies: text and provenance for the differing rows alone.

Input are the pairs and how each field stands, output is `schema.DISCREPANCIES`, the
pairs in their order and the fields of each in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.comparing.doubts import doubts_of_end
from sippet_reconcile.reconciliation.comparing.standing import FieldResult, Standing
from sippet_reconcile.reconciliation.core import CONFIDENCES, MATCH_RULES, MICROS, Confidence
from sippet_reconcile.reconciliation.sides import Sides, micros
from sippet_reconcile.schema import DISCREPANCIES, MAX_SECONDS, arrow_to_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["build_discrepancies"]

_CORRECTABLE: Final = ("status", "duration_seconds", "ended_at")


def build_discrepancies(
    sides: Sides,
    results: Mapping[str, FieldResult],
    basis: NDArray[np.float64],
    rounded: NDArray[np.float64],
    *,
    tolerance_s: float,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Build the frame of the differing rows, in the order of the pairs, then of the fields."""
    rows = [result.rows(Standing.DIFFERS) for result in results.values()]
    fields = np.repeat(np.arange(len(results)), [len(r) for r in rows])
    pair_rows = np.concatenate(rows).astype(np.int64)
    texts = [result.texts(r) for result, r in zip(results.values(), rows, strict=True)]
    order = np.lexsort((fields, pair_rows))
    fields, pair_rows = fields[order], pair_rows[order]
    value_call, value_cdr = (
        pa.chunked_array([t[side] for t in texts], pa.large_string()).combine_chunks().take(pa.array(order))
        for side in (0, 1)
    )
    at = sides.at(pair_rows)
    names = list(results)
    is_duration = fields == names.index("duration_seconds")
    call_s = np.where(is_duration, at.call_seconds("duration_seconds"), np.nan)
    cdr_s = np.where(is_duration, basis[pair_rows], np.nan)
    patchable = _is_patchable(at, fields, names, rounded[pair_rows], tolerance_s)
    patchable &= np.asarray(value_cdr.is_valid())
    started = at.call_instants("started_at")
    started = np.where(np.isnat(started), at.cdr_instants("started_at"), started)
    shown_user = pc.coalesce(at.call_text("sip_username"), at.cdr_text("sip_username"))
    text, size = pa.large_string(), len(pair_rows)
    columns = {
        "call_id": at.call_text("id"),
        "call_uuid": at.call_text("call_uuid"),
        "field": pa.array(names, text).take(pa.array(fields)),
        "value_call": value_call,
        "value_cdr": value_cdr,
        "call_s": _floats(call_s),
        "cdr_s": _floats(cdr_s),
        # Seconds that the API does not have are seconds it does not bill.
        "delta_s": _floats((micros(cdr_s) - micros(np.nan_to_num(call_s))) / MICROS),
        "explanation": pa.nulls(size, text),
        "also": pa.nulls(size, text),
        "match_rule": pa.array(list(MATCH_RULES), text).take(pa.array(at.rule)),
        "confidence": pa.array(list(CONFIDENCES), text).take(pa.array(at.confidence)),
        "is_patchable": pa.array(patchable),
        "cdr_id": at.cdr_text("cdr_id"),
        "source_file": at.cdr_text("source_file"),
        "source_row": pa.array(at.cdr_seconds("source_row"), from_pandas=True).cast(pa.int64()),
        "started_at": pa.array(started).cast(pa.timestamp("us", tz="UTC")),
        "direction": at.call_text("direction"),
        "from_number": at.call_text("from_number"),
        "to_number": at.call_text("to_number"),
        "sip_username": shown_user,
    }
    return arrow_to_frame(pa.table(columns), DISCREPANCIES), pair_rows


def _floats(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, from_pandas=True)


def _is_patchable(
    at: Sides, fields: NDArray[Any], names: list[str], rounded: NDArray[np.float64], tolerance_s: float
) -> NDArray[np.bool_]:
    """Mark the rows that a plan may correct.

    A call that never started may get a status only; an end of which `doubts_of_end`
    has a doubt is not known well enough to be written; and of a pair of low confidence
    nothing is, for it may be two calls.
    """
    correctable = np.isin(fields, [names.index(name) for name in _CORRECTABLE])
    has_started = ~np.isnat(at.call_instants("started_at"))
    is_status = fields == names.index("status")
    is_end = fields == names.index("ended_at")
    doubtful_end = np.zeros(len(fields), np.bool_)
    doubtful_end[is_end] = (
        doubts_of_end(
            (at.call_instants("started_at")[is_end], at.call_instants("ended_at")[is_end]),
            (at.cdr_instants("started_at")[is_end], at.cdr_instants("ended_at")[is_end]),
            has_time_problem=at.cdr_known("time_problem")[is_end],
            is_coarse=at.cdr_flags("is_coarse")[is_end],
            total_s=at.cdr_seconds("total_s")[is_end],
            tolerance_s=tolerance_s,
        )
        >= 0
    )
    too_long = (fields == names.index("duration_seconds")) & (rounded > MAX_SECONDS)
    may_be_two = at.confidence == Confidence.LOW
    return correctable & (has_started | is_status) & ~doubtful_end & ~too_long & ~may_be_two
