"""Bring CDR legs and calls of the API together: the steps of a reconciliation in their order.

Input are the two frames, the period and the rules; output is a `Reconciliation`.
Nothing is decided here: each step has its own module, and this one hands row
positions from one to the next. The frames themselves are never joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sippet_reconcile.api.urls import normalise_url
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.period import Period
from sippet_reconcile.progress import reporting
from sippet_reconcile.reconciliation.comparing.compare import compare_pairs
from sippet_reconcile.reconciliation.concluding import Matched, conclude
from sippet_reconcile.reconciliation.explaining.explain import explain_discrepancies
from sippet_reconcile.reconciliation.matching.match import match_calls
from sippet_reconcile.reconciliation.preparing import prepare
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.schema import CALLS, LEGS, conform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from sippet_reconcile.progress import Progress
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.result import Reconciliation

__all__ = ["check_arguments", "one_api", "reconcile"]

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
    check_arguments(period, rules)
    # Shallow copies: whoever writes into the originals later does not write into these.
    legs, calls = conform(legs, LEGS).copy(deep=False), conform(calls, CALLS).copy(deep=False)
    api_url = one_api(calls["api_url"].dropna().unique())
    with reporting(progress, unit="step") as report:
        report(0, _N_STEPS, "reading ids")
        matched = _match(legs, calls, rules, report)
        report(3, _N_STEPS, "comparing and diagnosing")
        rec = conclude(matched, _compare, period=period, rules=rules, api_url=api_url)
        report(_N_STEPS, _N_STEPS, "done")
    return rec


def _match(
    legs: pd.DataFrame, calls: pd.DataFrame, rules: Rules, report: Callable[[int, int, str], None]
) -> Matched:
    """Reduce the legs to CDR calls, and match these with the calls; the ids are needed no longer than that."""
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
    first_with_uuid, cdr_of = ready.keys.first, ready.groups.cdr_of
    return Matched(
        legs, calls, cdr_calls, ready.aside, ready.call_aside, cdr_of, first_with_uuid, matches, sides
    )


def _compare(sides: Sides, rules: Rules) -> Comparison:
    return explain_discrepancies(compare_pairs(sides, rules))


def check_arguments(period: object, rules: object) -> None:
    """Refuse what is no period, or no rules."""
    if period is not None and not isinstance(period, Period):
        msg = f"period is a {type(period).__name__}; pass Period(start, end) or Period.month('2026-10', timezone=...)"
        raise InputError(msg)
    if not isinstance(rules, Rules):
        msg = f"rules is a {type(rules).__name__}; pass Rules(...) or Rules.from_toml(path)"
        raise InputError(msg)


def one_api(addresses: Iterable[str]) -> str | None:
    """Return the API that calls come from, None where they do not say; several are an error."""
    urls = sorted(addresses)
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
