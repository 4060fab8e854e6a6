"""Tell what each compared call is billed by, before correcting and after it.

Input are an explained `Comparison` and its ledger, output are calls with seconds. A call's
seconds change where the ledger says that its duration is corrected, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.billing import BILLED_CALLS, BilledSeconds
from sippet_reconcile.reconciliation.comparing.fields import round_seconds
from sippet_reconcile.reconciliation.comparing.standing import Standing
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED
from sippet_reconcile.reconciliation.ledger import AGREEING, NO_EVIDENCE, WITHIN_TOLERANCE
from sippet_reconcile.reconciliation.matching.fallback import e164_of
from sippet_reconcile.schema import arrow_to_frame, text_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = ["billed_calls"]

_DURATION: Final = "duration_seconds"
_SUMS: Final = ("n_calls", "before_s", "change_s", "after_s")


def billed_calls(comparison: Comparison, ledger: pd.DataFrame, timezone: str) -> BilledSeconds:
    """Return every compared call with its seconds before and after.

    Parameters
    ----------
    comparison
        Explained.
    ledger
        Its ledger, of which the lines of durations are what must come out.
    timezone
        The zone in which days are counted.
    """
    sides = comparison.sides
    before = sides.call_seconds(_DURATION)
    corrected, explanation = _lines(comparison)
    after = before.copy()
    after[corrected] = round_seconds(comparison.basis_s()[corrected], comparison.rules.duration_rounding)
    started = sides.call_instants("started_at")
    started = np.where(np.isnat(started), sides.cdr_instants("started_at"), started)
    columns = {
        "call_id": sides.call_text("id"),
        "started_at": pa.array(started).cast(pa.timestamp("us", tz="UTC")),
        "direction": sides.call_text("direction"),
        "to_number": sides.call_text("to_number"),
        "to_e164": e164_of(sides.calls, "to", sides.call_pos),
        "sip_username": pc.coalesce(sides.call_text("sip_username"), sides.cdr_text("sip_username")),
        "explanation": explanation,
        "before_s": pa.array(before, from_pandas=True).cast(pa.int64()),
        "after_s": pa.array(after, from_pandas=True).cast(pa.int64()),
    }
    lines = ledger.loc[ledger["field"].eq(_DURATION)]
    return BilledSeconds(
        arrow_to_frame(
            pa.table([columns[name] for name in BILLED_CALLS.names], BILLED_CALLS.names), BILLED_CALLS
        ),
        comparison.rules.duration,
        timezone,
        {name: float(lines[name].sum()) for name in _SUMS},
    )


def _lines(comparison: Comparison) -> tuple[NDArray[np.int64], pa.LargeStringArray]:
    """Return the pairs whose duration is corrected, and the ledger's word for each pair."""
    found = comparison.discrepancies
    here = np.flatnonzero(found["field"].eq(_DURATION).to_numpy("bool", na_value=False))
    rows = comparison.pair_rows[here]
    is_corrected = found["is_patchable"].to_numpy("bool")[here]
    causes = text_array(found["explanation"]).take(pa.array(here)).fill_null(UNEXPLAINED).dictionary_encode()
    line = comparison.results[_DURATION].standing.astype(np.int64)
    line[rows] = int(Standing.DIFFERS) + causes.indices.to_numpy().astype(np.int64)
    words = [AGREEING, WITHIN_TOLERANCE, NO_EVIDENCE, *causes.dictionary.to_pylist()]
    return rows[is_corrected], pa.array(words, pa.large_string()).take(pa.array(line))
