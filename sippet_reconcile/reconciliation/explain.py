"""Name the arithmetic that leads from one side to the other: why the API has this value.

Input is a `Comparison`, output the same with the columns ``explanation`` and ``also``
filled from the table of `causes`. Each distinct combination of names is put into
words once, however many rows it holds for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.reconciliation.causes import (
    EXPLANATIONS,
    UNEXPLAINED,
    Explanation,
    find_explanation,
    register_explanation,
)
from sippet_reconcile.reconciliation.evidence import Evidence, Mask
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.compare import Comparison

__all__ = [
    "EXPLANATIONS",
    "UNEXPLAINED",
    "Evidence",
    "Explanation",
    "explain_discrepancies",
    "find_explanation",
    "register_explanation",
]


def explain_discrepancies(
    comparison: Comparison, explanations: Sequence[Explanation] | None = None
) -> Comparison:
    """Fill ``explanation`` and ``also`` of every discrepancy.

    Parameters
    ----------
    comparison
        As `compare_pairs` returned it.
    explanations
        The table to use; `EXPLANATIONS` where not given.

    Returns
    -------
    Comparison
        The same but for the two columns.
    """
    table = EXPLANATIONS if explanations is None else explanations
    found = comparison.discrepancies
    n_rows = len(found)
    if n_rows == 0:
        return comparison
    encoded = text_array(found["field"]).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    leading: list[pa.Array] = []
    others: list[pa.Array] = []
    places: list[NDArray[np.int64]] = []
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        pairs = comparison.pair_rows[rows]
        evidence = Evidence(name, comparison.sides.at(pairs), comparison.rules, comparison.basis_s[pairs])
        first, rest = _join_names(_labels(evidence, table), len(rows))
        places.append(rows)
        leading.append(first)
        others.append(rest)
    order = pa.array(np.argsort(np.concatenate(places), kind="stable"))
    filled = {
        column: text_series(
            pa.chunked_array(parts, pa.large_string()).combine_chunks().take(order), found.index
        )
        for column, parts in (("explanation", leading), ("also", others))
    }
    return replace(comparison, discrepancies=found.assign(**filled))


def _labels(evidence: Evidence, table: Sequence[Explanation]) -> list[tuple[str, Mask]]:
    """Return each label that holds somewhere, with where it holds, in the order of the table."""
    labels: list[tuple[str, Mask]] = []
    for explanation in table:
        if evidence.field not in explanation.fields:
            continue
        result = np.asarray(explanation.test(evidence))
        if "{n}" not in explanation.name:
            labels.append((explanation.name, result.astype(np.bool_)))
            continue
        labels += [
            (explanation.name.replace("{n}", str(number)), result == number)
            for number in np.unique(result[result != 0]).tolist()
        ]
    return [(name, holds) for name, holds in labels if bool(holds.any())]


def _join_names(labels: list[tuple[str, Mask]], n_rows: int) -> tuple[pa.Array, pa.Array]:
    """Turn masks into the leading name and the joined others, naming each combination once."""
    combination = np.zeros(n_rows, np.int64)
    members: list[tuple[str, ...]] = [()]
    for name, holds in labels:
        combination, distinct = pd.factorize(combination * 2 + holds)
        members = [
            (*members[code // 2], name) if code % 2 else members[code // 2] for code in distinct.tolist()
        ]
    leading = pa.array([names[0] if names else UNEXPLAINED for names in members], pa.large_string())
    others = pa.array(["; ".join(names[1:]) or None for names in members], pa.large_string())
    at = pa.array(combination)
    return leading.take(at), others.take(at)
