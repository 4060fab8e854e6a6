"""Count what a reader of a reconciliation asks first, and put the answer in words.

Input are a `Reconciliation` and what was worked out of its discrepancies; output are plain
values, from which every view starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.groups import column_codes
from sippet_reconcile.reconciliation.checks import Outcome
from sippet_reconcile.reconciliation.overview import rules_to_pin
from sippet_reconcile.reconciliation.rollup import RollUp, cause_sentences

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["count_differing", "summarise"]

SHOWN_CAUSES: Final = 8


def count_differing(found: pd.DataFrame) -> dict[str, Any]:
    """Return how many discrepancies and calls there are, in all and of those that a plan may correct.

    Parameters
    ----------
    found
        `schema.DISCREPANCIES`: one row per call and field.
    """
    calls = column_codes(found["call_id"])
    is_patchable = found["is_patchable"].to_numpy("bool", na_value=False)
    by_field = found["field"].value_counts()
    return {
        "discrepancies": len(found),
        "calls_with_discrepancies": len(pd.unique(calls)),
        "patchable_discrepancies": int(is_patchable.sum()),
        "patchable_calls": len(pd.unique(calls[is_patchable])),
        "discrepancies_by_field": {str(name): int(n) for name, n in by_field.items()},
    }


def summarise(rec: Reconciliation, differing: Mapping[str, Any], causes: RollUp) -> dict[str, Any]:
    """Return `Reconciliation.summary`.

    Parameters
    ----------
    rec
        The reconciliation.
    differing
        What `count_differing` returned of its discrepancies.
    causes
        Its causes.
    """
    rows = causes.frame
    durations = rows.loc[rows["field"].eq("duration_seconds")]
    checks = rec.findings.checks
    return {
        "verdict": _verdict(rec, differing),
        "rollup": list(causes.sentences),
        "period": str(rec.period) if rec.period else None,
        "api_url": rec.api_url,
        "fetched_at": rec.fetched_at.isoformat() if rec.fetched_at is not None else None,
        **rec.counts,
        "compared": rec.n_compared,
        **differing,
        "duration_net_s": float(durations["delta_s"].sum()),
        "duration_gross_s": float(durations["gross_s"].sum()),
        "causes": cause_sentences(rows, limit=SHOWN_CAUSES),
        "findings": list(rec.findings.codes),
        "stops": list(rec.findings.stops.codes),
        "not_enough_evidence": checks.loc[checks["outcome"].eq(Outcome.TOO_FEW.value), "code"].tolist(),
        "rules": rec.rules.to_dict(),
        "rules_toml": rec.rules.to_toml(),
        "proposed_rules_toml": rules_to_pin(rec.rules, rec.findings),
    }


def _verdict(rec: Reconciliation, differing: Mapping[str, Any]) -> str:
    n_differing, compared = (
        differing["calls_with_discrepancies"],
        plural(rec.n_compared, "compared call"),
    )
    if n_differing:
        correctable = differing["patchable_calls"]
        said = f"{n_differing:,} of {compared} differ, {correctable:,} of them in what a plan may correct."
    elif rec.n_compared:
        said = f"All {compared} agree." if rec.n_compared > 1 else "The one compared call agrees."
    else:
        said = "Nothing could be compared."
    stops = rec.findings.stops.codes
    if stops:
        return f"Correct nothing yet ({', '.join(stops)}). {said}"
    return said
