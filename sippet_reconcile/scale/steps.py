"""Bring CDR legs and calls together that no single machine holds: the steps of `reconcile`, in parts.

Input are Dask DataFrames, output is a `Reconciliation`. Rows that may share an id are
dealt into one bucket and decided there, by the functions that decide on one machine;
so are those that are left, by their numbers.
What speaks of the whole is counted where rows lie, and decided here by the same functions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.base import compute, persist
from dask.config import set as set_config
from dask.delayed import delayed

from sippet_reconcile.progress import reporting
from sippet_reconcile.reconciliation.concluding import Matched, conclude
from sippet_reconcile.reconciliation.matching.reduce import CDR_CALLS
from sippet_reconcile.reconciliation.rules import Rules
from sippet_reconcile.reconciliation.steps import check_arguments, one_api
from sippet_reconcile.scale.bucket import decide_bucket
from sippet_reconcile.scale.by_numbers import match_rest
from sippet_reconcile.scale.comparing import compare_in_parts
from sippet_reconcile.scale.dealing import deal
from sippet_reconcile.scale.matching import ByIdOfAll
from sippet_reconcile.scale.sides import SpreadSides
from sippet_reconcile.scale.spread import Group, SpreadFrame, gather, row_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from sippet_reconcile.period import Period
    from sippet_reconcile.progress import Progress
    from sippet_reconcile.reconciliation.result import Reconciliation
    from sippet_reconcile.scale.dealing import Dealt

__all__ = ["reconcile"]

_N_STEPS = 4


def reconcile(
    legs: Any,
    calls: Any,
    *,
    period: Period | None = None,
    rules: Rules = Rules(),  # noqa: B008 - frozen, so one default object can be shared
    npartitions: int | None = None,
    progress: Progress = None,
) -> Reconciliation:
    """Match CDR legs with calls, compare and diagnose, as `sippet_reconcile.reconcile` does, on a cluster.

    Where the work is done is Dask's affair: on threads of this process, or on whatever
    a ``distributed.Client`` is connected with. Both frames are kept there, and spilled to
    disk where memory is short, as long as the result is in use.

    Parameters
    ----------
    legs
        A Dask DataFrame with the columns that `read_cdr` returns, one row per record.
        The order of rows is that of the partitions. A DataFrame is taken as well.
    calls
        A Dask DataFrame, or a DataFrame, of Call records. A DataFrame is sent to the workers: large
        ones are better read by them, with ``dask.dataframe.read_parquet``.
    period, rules, progress
        As in `sippet_reconcile.reconcile`.
    npartitions
        Into how many parts the rows are dealt, those that may share an id into one; as many as
        the frame of more partitions has where not given. A part and its CDR calls have to fit into
        a worker's memory several times.

    Returns
    -------
    Reconciliation
        The same as of one machine, but that ``legs``, ``calls`` and ``cdr_calls`` are spread
        frames, whose rows stay where they are: ``rec.legs["bucket"]`` is a Series,
        ``rec.legs.take(rows)`` a DataFrame, ``rec.legs.to_dask()`` a Dask DataFrame. Their
        rows are numbered from 0, whatever index came in. `build_plan` takes from them what
        its changes need.

    Raises
    ------
    SchemaError, InputError
        As in `sippet_reconcile.reconcile`.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile import scale
    >>> from sippet_reconcile.demo import sample_data
    >>> path = sample_data() / "freeswitch" / "Master.csv"
    >>> legs = sr.read_cdr(path, timezone="Europe/London", country="GB")
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> rec = scale.reconcile(legs, calls, rules=sr.Rules(duration="billable"), npartitions=3)
    >>> rec.legs
    <SpreadFrame: 2,611 rows x 30 columns in 3 parts>
    >>> len(rec.discrepancies) == len(sr.reconcile(legs, calls, rules=sr.Rules(duration="billable")).discrepancies)
    True
    """
    check_arguments(period, rules)
    # pandas' own text, in which a missing value is NaN, must stay what it is on its way.
    with set_config({"dataframe.convert-string": False}), reporting(progress, unit="step") as report:
        matched, api_url = _match(legs, calls, npartitions, rules, report)
        report(3, _N_STEPS, "comparing and diagnosing")
        rec = conclude(matched, compare_in_parts, period=period, rules=rules, api_url=api_url)
        report(_N_STEPS, _N_STEPS, "done")
    return rec


def _match(
    legs: Any, calls: Any, npartitions: int | None, rules: Rules, report: Callable[[int, int, str], None]
) -> tuple[Matched, str | None]:
    """Deal the rows and match them; of what was needed for that only what was decided is kept."""
    report(0, _N_STEPS, "dealing rows by their ids")
    of_legs, of_calls = deal(legs, calls, npartitions)
    # A spread frame answers what is asked of a DataFrame.
    all_legs: Any = of_legs.frame
    all_calls: Any = of_calls.frame
    api_url = one_api(all_calls.words("api_url"))
    report(1, _N_STEPS, "matching ids")
    cdr_calls, known = _match_ids(of_legs, of_calls)
    report(2, _N_STEPS, "matching numbers")
    matches = match_rest(known, all_calls, cdr_calls, rules)
    pairs = matches.pairs
    # What is kept for each row is kept in as few bits as number them.
    narrow = row_numbers(max(len(all_legs), len(all_calls)))
    pairs = replace(pairs, call_pos=pairs.call_pos.astype(narrow), cdr_pos=pairs.cdr_pos.astype(narrow))
    matched = Matched(
        all_legs,
        all_calls,
        cdr_calls,
        replace(known.aside, counted=known.aside.counted.astype(narrow)),
        known.call_aside,
        known.cdr_of.astype(narrow),
        None,
        replace(matches, pairs=pairs),
        SpreadSides.of_spread(all_calls, cdr_calls, pairs, float(rules.clock_offset_s)),
    )
    return matched, api_url


def _match_ids(of_legs: Dealt, of_calls: Dealt) -> tuple[Any, ByIdOfAll]:
    """Make CDR calls of the legs of each bucket, and match what shares an id."""
    decide = delayed(decide_bucket, nout=3, pure=False)
    decided = [
        decide(*both, CDR_CALLS.names)
        for both in zip(of_legs.frame.parts(), of_calls.frame.parts(), strict=True)
    ]
    kept = persist(*(one for of_bucket in decided for one in of_bucket))
    decisions = compute(*kept[2::3])
    known = ByIdOfAll.of(decisions, of_legs.rows, of_calls.rows)
    sizes = np.array([len(decision.first_leg) for decision in decisions], np.int64)
    metas = gather(lambda part: part.iloc[:0], kept[:2])
    groups = [Group(list(kept[place::3]), meta) for place, meta in enumerate(metas) if len(meta.columns)]
    return SpreadFrame(groups, sizes, known.cdr_order), known
