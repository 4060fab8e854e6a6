"""How many rows came in, and what became of them.

Input is what was decided about all rows and what their comparison came to, output are
counts and plain values by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.balance import BUCKETS, code_of
from sippet_reconcile.reconciliation.core import MATCH_RULES
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.frames import Decided

__all__ = ["count_rows"]


def count_rows(decided: Decided, comparison: Comparison) -> dict[str, Any]:
    """Return how many rows came in and what became of them."""
    sorting = decided.sorting
    calls, cdr, legs = (
        np.bincount(bucket, minlength=len(BUCKETS))
        for bucket in (sorting.call_bucket, sorting.cdr_bucket, sorting.leg_bucket)
    )
    rules = np.bincount(comparison.sides.rule, minlength=len(MATCH_RULES)).tolist()
    fields = comparison.fields
    return {
        "legs": len(decided.legs),
        "calls": len(decided.calls),
        "cdr_calls": len(decided.cdr_calls),
        "matched": int(calls[code_of(Bucket.MATCHED)]),
        "matched_by": dict(zip(MATCH_RULES, rules, strict=True)),
        "only_in_cdr": int(cdr[code_of(Bucket.ONLY_IN_CDR)]),
        "only_in_api": int(calls[code_of(Bucket.ONLY_IN_API)]),
        "ambiguous_calls": int(calls[code_of(Bucket.AMBIGUOUS)]),
        "ambiguous_cdr_calls": int(cdr[code_of(Bucket.AMBIGUOUS)]),
        "excluded_calls": int(calls[code_of(Bucket.EXCLUDED)]),
        "excluded_cdr_calls": int(cdr[code_of(Bucket.EXCLUDED)]),
        "outside_period_calls": int(calls[code_of(Bucket.OUTSIDE_PERIOD)]),
        "outside_period_cdr_calls": int(cdr[code_of(Bucket.OUTSIDE_PERIOD)]),
        "unusable_legs": int(legs[code_of(Bucket.UNUSABLE)]),
        "duplicate_legs": int(legs[code_of(Bucket.DUPLICATE)]),
        "helper_legs": int(legs[code_of(Bucket.HELPER)]),
        "no_evidence": {str(row.field): int(str(row.no_evidence)) for row in fields.itertuples(index=False)},
        "within_tolerance": {
            str(row.field): {
                "calls": int(str(row.within_tolerance)),
                "net_s": _plain(row.within_net_s),
                "gross_s": _plain(row.within_gross_s),
            }
            for row in fields.itertuples(index=False)
            if row.within_tolerance
        },
    }


def _plain(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)
