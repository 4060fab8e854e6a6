"""What follows once it is known which calls are the same: sort, compare, diagnose.

Input are both frames and what matching decided about their rows, output is the
`Reconciliation`. Whoever matched, here or in parts, goes on with this.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.balance import BUCKETS, balance_frame, sort_rows
from sippet_reconcile.reconciliation.core import NAT
from sippet_reconcile.reconciliation.counts import count_rows
from sippet_reconcile.reconciliation.diagnosing.diagnose import diagnose, resolve_duration
from sippet_reconcile.reconciliation.frames import Decided, LazyFrames
from sippet_reconcile.reconciliation.ledger import build_ledger
from sippet_reconcile.reconciliation.result import Reconciliation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.findings import Findings
    from sippet_reconcile.reconciliation.matching.legs import LegsAside
    from sippet_reconcile.reconciliation.matching.match import Matches
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides
    from sippet_reconcile.schema import Bucket

__all__ = ["Matched", "conclude"]


@dataclass(frozen=True, eq=False)
class Matched:
    """Both sides, and which calls of them are the same.

    Attributes
    ----------
    legs, calls, cdr_calls
        The frames, conformed.
    aside, call_aside
        The legs and the calls that take no part.
    cdr_of
        The CDR call of each leg that counts.
    first_with_uuid
        For each call the position of the first one with the same ``call_uuid``; None where nobody
        has worked it out.
    matches
        The pairs and the ambiguous rows.
    sides
        The pairs, column by column.
    """

    legs: pd.DataFrame
    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    aside: LegsAside
    call_aside: Mapping[Bucket, tuple[NDArray[np.int64], str]]
    cdr_of: NDArray[np.int64]
    first_with_uuid: NDArray[np.int64] | None
    matches: Matches
    sides: Sides


def conclude(
    known: Matched,
    compare: Callable[[Sides, Rules], Comparison],
    *,
    period: Period | None,
    rules: Rules,
    api_url: str | None,
) -> Reconciliation:
    """Sort all rows, compare what matches, and say what is wrong as a whole.

    Parameters
    ----------
    known
        Both sides.
    compare
        Compares some pairs, and explains what differs; the rules that it is given have the
        basis of durations settled.
    period, rules
        As `reconcile` takes them.
    api_url
        The API that the calls come from.
    """
    pairs, sides = known.matches.pairs, known.sides
    sorting = sort_rows(
        sides.of_calls,
        sides.of_cdr,
        known.matches,
        rules,
        period=period,
        call_aside={bucket: rows for bucket, (rows, _) in known.call_aside.items()},
        leg_aside=known.aside,
        cdr_of=known.cdr_of,
        n_legs=len(known.legs),
    )
    compared = sides.where(sorting.matched)
    resolved, basis = resolve_duration(known.calls, known.cdr_calls, pairs, rules, sides=compared)
    # Comparing and diagnosing go on at the same time.
    with ThreadPoolExecutor(max_workers=1) as pool:
        comparing = pool.submit(compare, compared, resolved)
        findings = diagnose(
            known.calls,
            known.cdr_calls,
            pairs,
            resolved,
            basis=basis,
            period=period,
            legs=known.legs,
            leg_buckets=_bucket_words(sorting.leg_bucket),
            call_buckets=_bucket_words(sorting.call_bucket),
            cdr_buckets=_bucket_words(sorting.cdr_bucket),
            first_with_uuid=None if known.call_aside else known.first_with_uuid,
            sides=sides,
        )
        comparison = comparing.result()
    leg_cdr = known.cdr_of
    if len(known.aside.counted) < len(known.legs):
        leg_cdr = np.full(len(known.legs), -1, np.int64)
        leg_cdr[known.aside.counted] = known.cdr_of
    decided = Decided(
        known.legs,
        known.calls,
        known.cdr_calls,
        leg_cdr,
        known.aside,
        known.call_aside,
        known.matches,
        sorting,
        resolved,
    )
    return _result(decided, comparison, findings, period, api_url)


def _bucket_words(codes: NDArray[np.int8]) -> pd.Series[str]:
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(BUCKETS)))


def _result(
    decided: Decided,
    comparison: Comparison,
    findings: Findings,
    period: Period | None,
    api_url: str | None,
) -> Reconciliation:
    balance = balance_frame(decided.sorting)
    timezone = period.timezone if period else "UTC"
    makers = {
        "legs": decided.labelled_legs,
        "calls": decided.labelled_calls,
        "cdr_calls": lambda: decided.cdr_calls,
        "pairs": decided.pairs,
        "discrepancies": lambda: comparison.discrepancies,
        "only_in_cdr": decided.only_in_cdr,
        "only_in_api": decided.only_in_api,
        "ambiguous": decided.ambiguous,
        "excluded": decided.excluded,
        "balance": lambda: balance,
        "status_table": decided.status_table,
        "ledger": lambda: build_ledger(comparison, timezone=timezone),
    }
    read_us = decided.sorting.read_us
    statuses = comparison.sides.of_calls.words("status")
    return Reconciliation(
        rules=decided.rules,
        period=period,
        api_url=api_url,
        fetched_at=None if read_us == NAT else pd.Timestamp(read_us, unit="us", tz="UTC"),
        findings=findings,
        known_statuses=tuple(sorted(statuses)),
        n_compared=comparison.n_compared,
        counts=count_rows(decided, comparison),
        _frames=LazyFrames(makers),
        _comparison=lambda: comparison,
    )
