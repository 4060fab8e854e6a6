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

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.explaining import causes
from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED, Explanation
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = ["explain_discrepancies", "find_explanation", "register_explanation"]


def explain_discrepancies(
    comparison: Comparison, explanations: Sequence[Explanation] | None = None
) -> Comparison:
    """Fill ``explanation`` and ``also`` of every discrepancy.

    Parameters
    ----------
    comparison
        As `compare_pairs` returned it.
    explanations
        The table to use; `causes.EXPLANATIONS` where not given.

    Returns
    -------
    Comparison
        The same but for the two columns.
    """
    table = causes.EXPLANATIONS if explanations is None else explanations
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


def register_explanation(explanation: Explanation, *, before: str | None = None) -> None:
    """Add an explanation to the table, at the end or ahead of another one.

    Raises
    ------
    InputError
        If the name is taken, or `before` names none.
    """
    names = [known.name for known in causes.EXPLANATIONS]
    if explanation.name in names or explanation.name == UNEXPLAINED:
        msg = f"an explanation named {explanation.name!r} exists already; choose another name"
        raise InputError(msg)
    if before is None:
        causes.EXPLANATIONS.append(explanation)
        return
    if before not in names:
        msg = f"no explanation is named {before!r}; there are: {', '.join(names)}"
        raise InputError(msg)
    causes.EXPLANATIONS.insert(names.index(before), explanation)


def find_explanation(name: str) -> Explanation | None:
    """Return the entry behind a name as it stands in a frame, numbers included; None where there is none.

    Examples
    --------
    >>> find_explanation("off-by-7200s").phrase, find_explanation("unexplained")
    ('are off by whole hours', None)
    """
    for known in causes.EXPLANATIONS:
        head, _, tail = known.name.partition("{n}")
        middle = name.removeprefix(head).removesuffix(tail)
        if known.name == name or (tail and middle.isdigit() and name == f"{head}{middle}{tail}"):
            return known
    return None
