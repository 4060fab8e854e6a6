"""Which explanations hold on which row of one field: the tests, before anything is chosen.

Input is the `Evidence` of the field and the table of explanations, output are the
distinct `Combination`s of what holds together, and for each row which of them it has.
Each test looks at one row alone, so a row has the same combination in every company,
order and partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pandas as pd

from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.explaining.evidence import Evidence
    from sippet_reconcile.reconciliation.explaining.explanation import Explanation

__all__ = ["Combination", "Found", "Hit", "find_hits"]

_NUMBER: Final = "{n}"


class Hit(NamedTuple):
    """An explanation that holds: its name with the number in it, and how it holds."""

    name: str
    by_company: bool
    is_exact: bool


class Combination(NamedTuple):
    """What holds together on a row of some field, in the order of the table, and whether its call has several legs."""

    field: str
    has_legs: bool
    hits: tuple[Hit, ...]


@dataclass(frozen=True, eq=False)
class Found:
    """What holds on the rows of one field.

    Attributes
    ----------
    codes
        For each row the place of its combination.
    combinations
        Those that there are; some may be of no row.
    """

    codes: NDArray[np.int64]
    combinations: list[Combination]


def find_hits(evidence: Evidence, table: Sequence[Explanation]) -> Found:
    """Put every row to every test, and name each combination of what holds once, however many rows it is of."""
    contested = any(known.by_company and evidence.field in known.fields for known in table)
    codes = evidence.has_legs.astype(np.int64) if contested else np.zeros(len(evidence), np.int64)
    combinations = [Combination(evidence.field, has_legs, ()) for has_legs in (False, True)]
    for held in _in_order(evidence, table):
        many = len(held.hits) + 1
        codes, distinct = pd.factorize(codes * many + held.codes)
        combinations = [_with(combinations[code // many], held, code % many) for code in distinct.tolist()]
    return Found(codes, combinations)


@dataclass(frozen=True, eq=False)
class _Held:
    """Where an explanation holds: for each row 0, or which of its hits it is, counted from 1."""

    codes: NDArray[np.int64]
    hits: list[Hit]


def _with(combination: Combination, held: _Held, code: int) -> Combination:
    return combination._replace(hits=(*combination.hits, held.hits[code - 1])) if code else combination


def _in_order(evidence: Evidence, table: Sequence[Explanation]) -> list[_Held]:
    """Return what holds somewhere, in the order in which it leads."""
    held: list[_Held] = []
    within_tolerance: list[_Held] = []
    # Behind the last explanation that knows what is met to the second stand the hits that are not.
    place = 0
    for explanation in table:
        if evidence.field not in explanation.fields:
            continue
        found = _tested(evidence, explanation)
        if explanation.to_the_second is not None:
            is_exact = explanation.to_the_second(evidence)
            held.append(_Held(np.where(is_exact, found.codes, 0), found.hits))
            loose = [hit._replace(is_exact=False) for hit in found.hits]
            within_tolerance.append(_Held(np.where(is_exact, 0, found.codes), loose))
            place = len(held)
        else:
            held.append(found)
    held[place:place] = within_tolerance
    return [found for found in held if found.codes.any()]


def _tested(evidence: Evidence, explanation: Explanation) -> _Held:
    """Return where one explanation holds."""
    if explanation.added_by is None:
        result = np.asarray(explanation.test(evidence))
    else:
        result = _result_of_users(evidence, explanation)
    hit = Hit(explanation.name, explanation.by_company, is_exact=True)
    if _NUMBER not in explanation.name:
        return _Held(result.astype(np.int64), [hit])
    # pandas counts distinct values without sorting them.
    codes, numbers = pd.factorize(np.append(np.int64(0), result.astype(np.int64)))
    names = [explanation.name.replace(_NUMBER, str(n)) for n in numbers[1:].tolist()]
    return _Held(codes[1:], [hit._replace(name=name) for name in names])


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
