"""Build the frame of discrepancies: text and provenance for the differing rows alone.

Input are the pairs and how each field stands, output is `schema.DISCREPANCIES`, the
pairs in their order and the fields of each in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.comparing.doubts import why_not
from sippet_reconcile.reconciliation.comparing.fields import basis_of, round_seconds
from sippet_reconcile.reconciliation.comparing.standing import FieldStanding, Standing
from sippet_reconcile.reconciliation.core import CONFIDENCES, MATCH_RULES, MICROS
from sippet_reconcile.reconciliation.sides import Sides, micros
from sippet_reconcile.schema import DISCREPANCIES, arrow_to_frame

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.common import Common
    from sippet_reconcile.reconciliation.comparing.fields import Field
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["build_discrepancies"]


def build_discrepancies(
    sides: Sides,
    fields_by_name: Mapping[str, Field],
    results: Mapping[str, FieldStanding],
    *,
    common: Common,
    rules: Rules,
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Build the frame of the differing rows, in the order of the pairs, then of the fields."""
    rows = [result.rows(Standing.DIFFERS) for result in results.values()]
    fields = np.repeat(np.arange(len(results)), [len(r) for r in rows])
    pair_rows = np.concatenate(rows).astype(np.int64)
    texts = [fields_by_name[name].write(sides.at(r)) for name, r in zip(results, rows, strict=True)]
    order = np.lexsort((fields, pair_rows))
    fields, pair_rows = fields[order], pair_rows[order]
    value_call, value_cdr = (
        pa.chunked_array([t[side] for t in texts], pa.large_string()).combine_chunks().take(pa.array(order))
        for side in (0, 1)
    )
    at = sides.at(pair_rows)
    names = list(results)
    is_duration = fields == names.index("duration_seconds")
    basis_s = basis_of(at, rules)
    call_s = np.where(is_duration, at.call_seconds("duration_seconds"), np.nan)
    cdr_s = np.where(is_duration, basis_s, np.nan)
    reasons = why_not(
        sides,
        pair_rows,
        names,
        fields,
        has_value=np.asarray(value_cdr.is_valid()),
        basis_s=basis_s,
        rounded_s=round_seconds(basis_s, rules.duration_rounding),
        common=common,
        rules=rules,
    )
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
        "is_patchable": reasons.is_null(),
        "why_not": reasons,
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
