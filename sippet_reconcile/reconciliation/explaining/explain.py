"""Name the arithmetic that leads from one side to the other: why the API has this value.

Input is a `Comparison`, output the same with the columns ``explanation`` and ``also``
filled from the table of `causes` and what users added. Each distinct combination of
names is put into words once, however many rows it holds for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.explaining.evidence import Evidence
from sippet_reconcile.reconciliation.explaining.explanation import UNEXPLAINED, Explanation
from sippet_reconcile.reconciliation.explaining.registry import current_explanations, find_explanation
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.compare import Comparison

__all__ = ["explain_discrepancies", "find_explanation"]

_NUMBER: Final = "{n}"


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
    table = current_explanations() if explanations is None else explanations
    found = comparison.discrepancies
    if len(found) == 0:
        return comparison
    encoded = text_array(found["field"]).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    leading: list[pa.Array] = []
    others: list[pa.Array] = []
    places: list[NDArray[np.int64]] = []
    for code, name in enumerate(encoded.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        pairs = comparison.pair_rows[rows]
        basis_s = comparison.basis_s[pairs]
        basis_s.flags.writeable = False
        evidence = Evidence(name, comparison.sides.at(pairs), comparison.rules, basis_s)
        first, rest = _join_names(_hits(evidence, table), len(rows))
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


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where an explanation holds: for each row 0, or which of its names does, counted from 1."""

    codes: NDArray[np.int64]
    names: list[str]


def _hits(evidence: Evidence, table: Sequence[Explanation]) -> list[_Hits]:
    """Return what holds somewhere, in the order in which it leads."""
    hits: list[_Hits] = []
    within_tolerance: list[_Hits] = []
    # Behind the last explanation that knows what is met to the second stand the hits that are not.
    place = 0
    for explanation in table:
        if evidence.field not in explanation.fields:
            continue
        found = _tested(evidence, explanation)
        if explanation.to_the_second is not None:
            is_exact = explanation.to_the_second(evidence)
            hits.append(_Hits(np.where(is_exact, found.codes, 0), found.names))
            within_tolerance.append(_Hits(np.where(is_exact, 0, found.codes), found.names))
            place = len(hits)
        else:
            hits.append(found)
    hits[place:place] = within_tolerance
    return [found for found in hits if found.codes.any()]


def _tested(evidence: Evidence, explanation: Explanation) -> _Hits:
    """Return where one explanation holds."""
    if explanation.added_by is None:
        result = np.asarray(explanation.test(evidence))
    else:
        result = _result_of_users(evidence, explanation)
    if _NUMBER not in explanation.name:
        return _Hits(result.astype(np.int64), [explanation.name])
    # pandas counts distinct values without sorting them.
    codes, numbers = pd.factorize(np.append(np.int64(0), result.astype(np.int64)))
    return _Hits(codes[1:], [explanation.name.replace(_NUMBER, str(n)) for n in numbers[1:].tolist()])


def _result_of_users(evidence: Evidence, explanation: Explanation) -> NDArray[Any]:
    """Return what a user's test says, or an error that names it and says what to do."""
    name, field = explanation.name, evidence.field
    who = f"the explanation {name!r} ({explanation.added_by}), looking at {field},"
    try:
        result = explanation.test(evidence)
    except Exception as exc:  # whatever a user's function may raise
        msg = f"{who} failed: {type(exc).__name__}: {exc}; correct the function and add it again, or take it out"
        raise InputError(msg) from exc
    is_numbered = _NUMBER in name
    wanted = "whole number, zero or more" if is_numbered else "flag"
    try:
        values = pd.Series(result)
        values = values.convert_dtypes() if values.dtype == object else values
    except (TypeError, ValueError) as exc:
        msg = f"{who} returned a {type(result).__name__}; return an array with one {wanted} per row"
        raise InputError(msg) from exc
    if np.ndim(result) != 1 or len(values) != len(evidence):
        shape = f"{len(values):,} elements" if np.ndim(result) == 1 else f"a {type(result).__name__}"
        msg = f"{who} returned {shape} for {len(evidence):,} rows; return an array with one {wanted} per row"
        raise InputError(msg)
    kind = pd.api.types
    fits = kind.is_integer_dtype(values) if is_numbered else kind.is_bool_dtype(values)
    if not fits:
        msg = f"{who} returned {values.dtype} values; return an array with one {wanted} per row"
        raise InputError(msg)
    plain = values.fillna(0 if is_numbered else False).to_numpy("int64" if is_numbered else "bool")
    if is_numbered and bool((plain < 0).any()):
        msg = f"{who} returned {int(plain.min())}; return an array with one {wanted} per row"
        raise InputError(msg)
    return plain


def _join_names(hits: list[_Hits], n_rows: int) -> tuple[pa.Array, pa.Array]:
    """Turn hits into the leading name and the joined others, naming each combination once."""
    combination = np.zeros(n_rows, np.int64)
    members: list[tuple[str, ...]] = [()]
    for found in hits:
        many = len(found.names) + 1
        combination, distinct = pd.factorize(combination * many + found.codes)
        members = [
            (*members[code // many], found.names[code % many - 1]) if code % many else members[code // many]
            for code in distinct.tolist()
        ]
    leading = pa.array([names[0] if names else UNEXPLAINED for names in members], pa.large_string())
    others = pa.array(["; ".join(names[1:]) or None for names in members], pa.large_string())
    at = pa.array(combination)
    return leading.take(at), others.take(at)
