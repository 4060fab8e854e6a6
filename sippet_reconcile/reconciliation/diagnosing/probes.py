"""Tell scanner probes from customers who were not answered.

Input are the CDR calls and where each ended up, output is one verdict. A scanner tries
many targets, or is no number at all, and never gets through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import mask_number, shortened
from sippet_reconcile.reconciliation.diagnosing.material import in_buckets
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import Bucket, text_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.diagnosing.material import Material
    from sippet_reconcile.reconciliation.sides import Columns

__all__ = ["find_probe_noise"]

_PROBES: Final = 10
"""Fewer calls of this kind are a misdialled number or two."""

_PROBE_TARGETS: Final = 5
"""A customer who tries again dials the same number, or two; a scanner goes through a list."""

_SHORT_NUMBER: Final = 6
"""With so few digits a caller from outside has no number."""

_WHAT: Final = "unanswered calls that only the CDR has"


def find_probe_noise(m: Material) -> Verdict:
    """Look for ten unmatched, unanswered calls of callers who never got through.

    Such a caller tries many targets, or is no number at all.
    """
    if m.cdr_buckets is None:
        return Verdict.not_asked("probe-noise", "it is not known which CDR calls were matched")
    answered = m.sides.of_cdr.flags("is_answered")
    unmatched = in_buckets(m.cdr_buckets, Bucket.ONLY_IN_CDR) & ~answered
    n_unmatched = int(np.count_nonzero(unmatched))
    nothing = Verdict.of("probe-noise", None, n_looked_at=n_unmatched, what=_WHAT)
    if n_unmatched < _PROBES:
        return nothing
    # Only the callers of these calls are looked at, and only their other calls can speak for them.
    codes, callers = text_codes(m.cdr_calls.loc[unmatched, "from_number"])
    codes = codes + 1  # a missing caller is a caller here
    n_callers = len(callers) + 1
    tries = np.bincount(codes, minlength=n_callers)
    target_codes, _ = text_codes(m.cdr_calls.loc[unmatched, "to_number"])
    attempts = pd.DataFrame({"caller": codes, "target": target_codes}).drop_duplicates()
    targets = np.bincount(attempts["caller"].to_numpy(), minlength=n_callers)
    digits = pc.replace_substring_regex(
        text_array(pd.Series(["", *callers], dtype="str")), pattern="[^0-9]", replacement=""
    )
    no_number = pc.less_equal(pc.binary_length(digits), _SHORT_NUMBER).to_numpy(zero_copy_only=False)
    suspicious = (tries > 0) & (((tries >= _PROBES) & (targets >= _PROBE_TARGETS)) | no_number)
    if int(tries[suspicious].sum()) < _PROBES:
        return nothing
    through = answered | in_buckets(m.cdr_buckets, Bucket.MATCHED)
    got_through = m.sides.of_cdr.summed(_count_calls_of, callers, along=[through])
    suspects = np.flatnonzero(suspicious & (got_through == 0))
    n_probes = int(tries[suspects].sum())
    if n_probes < _PROBES:
        return nothing
    suspects = suspects[np.argsort(-tries[suspects], kind="stable")]
    names: Sequence[str | None] = [None, *callers]
    evidence = pd.DataFrame(
        {
            "from_number": pd.Series([names[code] for code in suspects.tolist()], dtype="str"),
            "n_calls": pd.Series(tries[suspects], dtype="Int64"),
            "n_targets": pd.Series(targets[suspects], dtype="Int64"),
        }
    )
    first = names[int(suspects[0])]
    busiest = "without a number" if first is None else shortened(mask_number(first))
    who = f"1 caller who never got through, {busiest}"
    if len(suspects) > 1:
        who = f"{len(suspects):,} callers who never got through, the busiest of them {busiest}"
    message = f"{n_probes:,} of {n_unmatched:,} unanswered calls that only the CDR has look like scanner probes: {who}."
    advice = "They stay in only_in_cdr and change nothing; a firewall or a carrier's list keeps them out of the export."
    finding = Finding("probe-noise", Severity.INFO, message, evidence, advice)
    return Verdict.of("probe-noise", finding, n_looked_at=n_unmatched, what=_WHAT)


def _count_calls_of(cdr_calls: Columns, mask: NDArray[np.bool_], callers: Sequence[str]) -> NDArray[np.int64]:
    """Return how many of the marked calls each caller has, the first one being who has no number."""
    known = pa.array([None, *callers], pa.large_string())
    places = pc.index_in(cdr_calls.text("from_number").filter(pa.array(mask)), value_set=known)
    return np.bincount(np.asarray(places.drop_null()), minlength=len(known))
