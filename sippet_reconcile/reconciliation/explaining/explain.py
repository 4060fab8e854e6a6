"""Name the arithmetic that leads from one side to the other: why the API has this value.

Input is a `Comparison`, output the same with the columns ``explanation`` and ``also``
filled, from the table of `causes` and what users added. Three steps follow each other:
`find_held` puts each row to the tests, `count_company` counts what holds together, and
`choose_leading` decides which name leads. The first and the last look at rows one by one,
and counts add up, so a reconciliation in parts that adds up the counts of its parts says
the same as one in a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sippet_reconcile.reconciliation.comparing.fields import basis_of
from sippet_reconcile.reconciliation.explaining.company import Company, count_company
from sippet_reconcile.reconciliation.explaining.evidence import Evidence
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED, Explanation
from sippet_reconcile.reconciliation.explaining.hits import Found, find_hits
from sippet_reconcile.reconciliation.explaining.registry import current_explanations, find_explanation
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = [
    "Company",
    "Held",
    "choose_leading",
    "count_company",
    "explain_discrepancies",
    "find_explanation",
    "find_held",
]


@dataclass(frozen=True, eq=False)
class Held:
    """What holds on the discrepancies of a comparison.

    Attributes
    ----------
    rows
        For each field in which some call differs its rows among the discrepancies.
    found
        For each of these fields what holds on its rows.
    """

    rows: list[NDArray[np.int64]]
    found: list[Found]


def explain_discrepancies(
    comparison: Comparison, explanations: Sequence[Explanation] | None = None
) -> Comparison:
    """Fill ``explanation`` and ``also`` of every discrepancy.

    Parameters
    ----------
    comparison
        As `compare_pairs` returned it.
    explanations
        The table to use; all that are in use where not given.

    Returns
    -------
    Comparison
        The same but for the two columns.

    Raises
    ------
    InputError
        If an explanation that a user added fails; the message names it.
    """
    held = find_held(comparison, explanations)
    named = choose_leading(comparison.discrepancies, held, count_company(held.found))
    return replace(comparison, discrepancies=named)


def find_held(comparison: Comparison, explanations: Sequence[Explanation] | None = None) -> Held:
    """Put every discrepancy to the tests of its field; parameters and errors as of `explain_discrepancies`."""
    table = current_explanations() if explanations is None else explanations
    encoded = text_array(comparison.discrepancies["field"]).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    held = Held([], [])
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        pairs = comparison.pair_rows[rows]
        sides = comparison.sides.at(pairs)
        basis_s = basis_of(sides, comparison.rules)
        basis_s.flags.writeable = False
        evidence = Evidence(name, sides, comparison.rules, basis_s)
        held.rows.append(rows)
        held.found.append(find_hits(evidence, table))
    return held


def choose_leading(discrepancies: pd.DataFrame, held: Held, company: Company) -> pd.DataFrame:
    """Fill ``explanation`` and ``also`` with what holds, ordered as the table and the company of rows say.

    Parameters
    ----------
    discrepancies
        As `compare_pairs` returned them.
    held
        What `find_held` found on them.
    company
        Their own, or where they are of a part of a reconciliation, the sum of those of all parts.

    Returns
    -------
    DataFrame
        The same but for the two columns.
    """
    if not held.rows:
        return discrepancies
    leading: list[pa.Array] = []
    others: list[pa.Array] = []
    for found in held.found:
        names = [company.order_names(combination) for combination in found.combinations]
        at = pa.array(found.codes)
        first = [known[0] if known else UNEXPLAINED for known in names]
        rest = ["; ".join(known[1:]) or None for known in names]
        leading.append(pa.array(first, pa.large_string()).take(at))
        others.append(pa.array(rest, pa.large_string()).take(at))
    order = pa.array(np.argsort(np.concatenate(held.rows), kind="stable"))
    filled = {
        column: text_series(
            pa.chunked_array(parts, pa.large_string()).combine_chunks().take(order), discrepancies.index
        )
        for column, parts in (("explanation", leading), ("also", others))
    }
    return discrepancies.assign(**filled)
