"""Say what is wrong with the whole, before anybody looks at single differences.

Input are both frames, the pairs and where every row ended up; output are the
findings. Whatever speaks of clocks or of the meaning of a column is judged from
pairs that an id matched, and too small a sample says nothing rather than guess.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural
from sippet_reconcile.reconciliation.diagnosing.basis import (
    DurationBasis,
    find_duration_basis,
    find_rounded_durations,
    resolve_duration,
)
from sippet_reconcile.reconciliation.diagnosing.check import check_calls, find_call_problems
from sippet_reconcile.reconciliation.diagnosing.clocks import (
    StartGaps,
    find_clock_offset,
    find_timezone_shift,
)
from sippet_reconcile.reconciliation.diagnosing.coverage import (
    Material,
    find_coverage_problems,
    find_empty_side,
    in_buckets,
)
from sippet_reconcile.reconciliation.findings import Finding, Findings, Severity
from sippet_reconcile.reconciliation.matching.apart import find_legs_apart
from sippet_reconcile.reconciliation.sides import Sides
from sippet_reconcile.reconciliation.statuses import NO_STATUS, normal_word, status_words
from sippet_reconcile.schema import LEG_STATUSES, Bucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.comparing.compare import Comparison
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["DurationBasis", "check_calls", "diagnose", "resolve_duration"]


def diagnose(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    pairs: PairPositions,
    rules: Rules,
    *,
    basis: DurationBasis | None = None,
    comparison: Comparison | Callable[[], Comparison] | None = None,
    period: Period | None = None,
    legs: pd.DataFrame | None = None,
    leg_buckets: Any = None,
    call_buckets: Any = None,
    cdr_buckets: Any = None,
    first_with_uuid: NDArray[np.int64] | None = None,
    sides: Sides | None = None,
) -> Findings:
    """Say what is wrong with the data as a whole.

    Parameters
    ----------
    calls, cdr_calls
        All calls and all reduced CDR calls.
    pairs
        All pairs, those outside the period too: clocks do not stop at a month's end, and
        what speaks of clocks or of the meaning of a column is judged from all that an id
        matched. What speaks of single calls leaves out those outside the period.
    rules
        With ``duration`` settled.
    basis
        What `resolve_duration` found; worked out here where not given.
    comparison
        The compared pairs, or what returns them when they are needed; lets
        ``number-format`` see how many numbers differ.
    period
        The span spoken of.
    legs, leg_buckets, call_buckets, cdr_buckets
        The legs as read, and the `schema.Bucket` value of each leg, call and CDR call
        (Series or array of text). Findings that need one of them are left out without it.
    first_with_uuid
        For each call the position of the first one with the same ``call_uuid``, where
        each call is there once; worked out here where not given.
    sides
        The same pairs, where somebody has them already.

    Returns
    -------
    Findings
        Stops first.
    """
    if sides is None:
        sides = Sides.of(calls, cdr_calls, pairs, rules)
    exact = sides.exact()
    if basis is None:
        _, basis = resolve_duration(calls, cdr_calls, pairs, rules)
    material = Material(
        calls,
        cdr_calls,
        sides,
        exact,
        rules,
        period,
        legs,
        leg_buckets,
        call_buckets,
        cdr_buckets,
        comparison,
    )
    empty = find_empty_side(material)
    starts = StartGaps.of(exact)
    is_asked = None
    if period is not None and call_buckets is not None:
        is_asked = ~in_buckets(call_buckets, Bucket.OUTSIDE_PERIOD)
    shift = find_timezone_shift(starts)
    found: list[Finding | None] = [
        empty,
        shift,
        find_clock_offset(starts, rules),
        # With nothing to compare the basis cannot be known, and need not be.
        find_duration_basis(basis) if empty is None else None,
        find_rounded_durations(exact, rules),
        _status_vocabulary(sides, rules, is_asked),
        *find_call_problems(
            calls,
            # As an analyst gave them: what is said of calls alone must not depend on a CDR.
            replace(rules, duration=basis.asked),
            first_with_uuid=first_with_uuid,
            columns=sides.of_calls,
            is_asked=is_asked,
        ),
        None if cdr_buckets is None else find_legs_apart(cdr_calls, in_buckets(cdr_buckets, Bucket.EXCLUDED)),
        *find_coverage_problems(material, clocks_agree=shift is None),
    ]
    return Findings(finding for finding in found if finding is not None)


def _status_vocabulary(
    sides: Sides, rules: Rules, is_asked: NDArray[np.bool_] | None = None
) -> Finding | None:
    """Say so where one side uses status words that the other side, and the rules, do not know.

    Words are counted among the calls that are spoken of; a word that any call has is known to the API.
    """
    call_codes, call_words = sides.of_calls.codes("status")
    asked_codes = call_codes if is_asked is None else call_codes[is_asked]
    counts = np.bincount(asked_codes + 1, minlength=len(call_words) + 1)[1:]
    occurring = {word: int(n) for word, n in zip(call_words, counts, strict=True)}
    cdr_codes, cdr_words = sides.cdr_codes("status")
    if is_asked is not None:
        cdr_codes = cdr_codes[is_asked[sides.call_pos]]
    matched = np.bincount(cdr_codes + 1, minlength=len(cdr_words) + 1)[1:]
    known_to_api = {normal_word(word) for word in call_words}
    meanings = status_words((*LEG_STATUSES, *cdr_words), occurring, rules)
    rows: list[tuple[str, str, int, str]] = []
    for word, count in zip(cdr_words, matched.tolist(), strict=True):
        meaning = meanings[word]
        says_nothing = normal_word(word) in NO_STATUS or meaning.is_mapped
        if count and not says_nothing and not meaning.agreeing & known_to_api:
            rows.append(("cdr", word, count, "no call has such a status, and the rules do not map it"))
    understood = {normal_word(word) for word in rules.open_statuses}
    understood = understood.union(*(meaning.agreeing for meaning in meanings.values()))
    for word, count in occurring.items():
        if count and normal_word(word) not in understood:
            rows.append(("api", word, count, "neither open nor what any CDR status maps to"))
    if not rows:
        return None
    evidence = pd.DataFrame(rows, columns=["side", "status", "n_calls", "what"]).astype(
        {"side": "str", "status": "str", "n_calls": "Int64", "what": "str"}
    )
    evidence = evidence.sort_values(
        ["side", "n_calls", "status"], ascending=[False, False, True], ignore_index=True
    )
    listed = ", ".join(f"{status} ({side}, {plural(n, 'call')})" for side, status, n, _ in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""  # noqa: PLR2004 - a sentence, not a list
    message = f"{plural(len(rows), 'status word')} have no counterpart on the other side: {listed}{more}."
    advice = (
        'Map them in the rules, as in [status_map] no_answer = ["missed"]; a status that no call has is written '
        "only where the rules name it or build_plan(statuses=client.describe().statuses) lists it."
    )
    return Finding("status-vocabulary", Severity.WARN, message, evidence, advice)
