"""Bring CDR legs and calls of the API together: the steps of a reconciliation in their order.

Input are the two frames, the period and the rules; output is a `Reconciliation`.
Nothing is decided here: each step has its own module, and this one hands row
positions from one to the next. The frames themselves are never joined.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sippet_reconcile.api.urls import normalise_url
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.period import Period
from sippet_reconcile.progress import reporting
from sippet_reconcile.reconciliation.balance import BUCKETS, balance_frame, sort_rows
from sippet_reconcile.reconciliation.comparing.compare import compare_pairs
from sippet_reconcile.reconciliation.counts import count_rows
from sippet_reconcile.reconciliation.diagnosing.diagnose import diagnose, resolve_duration
from sippet_reconcile.reconciliation.explaining.explain import explain_discrepancies
from sippet_reconcile.reconciliation.frames import Decided, LazyFrames
from sippet_reconcile.reconciliation.ledger import build_ledger
from sippet_reconcile.reconciliation.matching.match import match_calls
from sippet_reconcile.reconciliation.preparing import prepare
from sippet_reconcile.reconciliation.result import Reconciliation
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import CALLS, LEGS, conform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.progress import Progress
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.findings import Findings

__all__ = ["reconcile"]

_N_STEPS = 4


def reconcile(
    legs: pd.DataFrame,
    calls: pd.DataFrame,
    *,
    period: Period | None = None,
    rules: Rules = Rules(),  # noqa: B008 - frozen, so one default object can be shared
    progress: Progress = None,
) -> Reconciliation:
    """Match CDR legs with calls, compare what matches, and say what is wrong as a whole.

    Parameters
    ----------
    legs
        As `read_cdr` returns them: one row per record of the export. Extra columns and
        any index are kept. A boolean column ``is_helper`` marks legs that do not count,
        ``is_coarse`` those whose times are printed without seconds.
    calls
        As `fetch_calls`, `get_calls` or `read_calls` return them.
    period
        What is spoken of. Everything is matched first, then sorted: a pair belongs by
        the API's start, an unmatched row by its own. None speaks of everything.
    rules
        Tolerances, windows and vocabularies.
    progress
        None for a bar where somebody looks, False for silence, or a callable.

    Returns
    -------
    Reconciliation
        Every leg and every call is in exactly one bucket of it. What no id matched and
        has no start of its own belongs to no period: it is excluded, a call as
        ``never-started`` and a CDR call as ``no-start``. Legs that share an id and cannot
        be one call, hours apart or the same again in another zone, are excluded as
        ``legs-apart``.

    Raises
    ------
    SchemaError
        If columns are absent or do not fit, calls of two APIs are mixed, or one call
        was handed in twice with different values.
    InputError
        If period or rules are not what they should be.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> legs = sr.read_cdr(sample_data() / "freeswitch" / "Master.csv", timezone="Europe/London", country="GB")
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"))
    >>> rec.rollup(by=["field", "explanation"]).columns.tolist()[:3]
    ['field', 'explanation', 'n_calls']
    >>> int(rec.balance["rows"].sum()) == len(legs) + len(calls)
    True
    """
    _check_arguments(period, rules)
    # Shallow copies: whoever writes into the originals later does not write into these.
    legs, calls = conform(legs, LEGS).copy(deep=False), conform(calls, CALLS).copy(deep=False)
    api_url = _one_api(calls)
    # One more thread: comparing and diagnosing go on at the same time.
    with reporting(progress, unit="step") as report, ThreadPoolExecutor(max_workers=1) as pool:
        report(0, _N_STEPS, "reading ids")
        ready = prepare(legs, calls, reducing=lambda: report(1, _N_STEPS, "reducing legs to calls"))
        calls, cdr_calls = ready.calls, ready.cdr_calls
        report(2, _N_STEPS, "matching calls")
        matches = match_calls(
            calls,
            cdr_calls,
            groups=ready.groups,
            keys=ready.keys,
            legs=ready.legs,
            linked_named=ready.linked_named,
            rules=rules,
        )
        sides = Sides.of(calls, cdr_calls, matches.pairs, rules)
        sorting = sort_rows(
            sides.of_calls,
            sides.of_cdr,
            matches,
            rules,
            period=period,
            call_aside={bucket: rows for bucket, (rows, _) in ready.call_aside.items()},
            leg_aside=ready.aside,
            cdr_of=ready.groups.cdr_of,
            n_legs=len(legs),
        )
        report(3, _N_STEPS, "comparing and diagnosing")
        compared = sides.where(sorting.matched)
        resolved, basis = resolve_duration(calls, cdr_calls, matches.pairs, rules, sides=compared)
        comparing = pool.submit(_compare, compared, matches.pairs, resolved)
        findings = diagnose(
            calls,
            cdr_calls,
            matches.pairs,
            resolved,
            basis=basis,
            period=period,
            legs=legs,
            leg_buckets=_bucket_words(sorting.leg_bucket),
            call_buckets=_bucket_words(sorting.call_bucket),
            cdr_buckets=_bucket_words(sorting.cdr_bucket),
            first_with_uuid=None if ready.call_aside else ready.keys.first,
            sides=sides,
        )
        comparison = comparing.result()
        leg_cdr = np.full(len(legs), -1, np.int64)
        leg_cdr[ready.aside.counted] = ready.groups.cdr_of
        decided = Decided(
            legs, calls, cdr_calls, leg_cdr, ready.aside, ready.call_aside, matches, sorting, resolved
        )
        report(_N_STEPS, _N_STEPS, "done")
    return _result(decided, comparison, findings, period, api_url)


def _compare(sides: Sides, pairs: PairPositions, rules: Rules) -> Comparison:
    return explain_discrepancies(compare_pairs(sides.calls, sides.cdr_calls, pairs, rules, sides=sides))


def _check_arguments(period: object, rules: object) -> None:
    if period is not None and not isinstance(period, Period):
        msg = f"period is a {type(period).__name__}; pass Period(start, end) or Period.month('2026-10', timezone=...)"
        raise InputError(msg)
    if not isinstance(rules, Rules):
        msg = f"rules is a {type(rules).__name__}; pass Rules(...) or Rules.from_toml(path)"
        raise InputError(msg)


def _one_api(calls: pd.DataFrame) -> str | None:
    urls = sorted(calls["api_url"].dropna().unique().tolist())
    if len(urls) > 1:
        urls = sorted({_one_spelling(url) for url in urls})
    if len(urls) > 1:
        msg = f"calls come from {len(urls)} APIs: {', '.join(urls)}; reconcile one at a time"
        raise SchemaError(msg)
    return urls[0] if urls else None


def _one_spelling(url: str) -> str:
    try:
        return normalise_url(url)
    except InputError:
        return url  # no address that anybody could call, and so the same as nothing but itself


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
    fetched = decided.calls["fetched_at"].min()
    statuses = comparison.sides.of_calls.codes("status")[1]
    return Reconciliation(
        rules=decided.rules,
        period=period,
        api_url=api_url,
        fetched_at=None if pd.isna(fetched) else fetched,
        findings=findings,
        known_statuses=tuple(sorted(statuses)),
        n_compared=comparison.n_compared,
        counts=count_rows(decided, comparison),
        _frames=LazyFrames(makers),
        _comparison=lambda: comparison,
    )
