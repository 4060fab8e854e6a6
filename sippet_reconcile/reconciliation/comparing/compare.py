"""Find where the two sides of a matched call differ under the rules.

Input are the calls, the CDR calls and the row positions that matching paired; output
is a `Comparison`: one row per call and differing field, and for every pair and field
whether it agrees, lies within tolerance, has no evidence, or differs. Missing on the
CDR is never evidence; missing on the API against a known CDR value is a difference.
Nothing is joined: columns are compared as arrays, block by block, and text is built for
the differing rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.comparing.common import Common
from sippet_reconcile.reconciliation.comparing.discrepancies import build_discrepancies
from sippet_reconcile.reconciliation.comparing.fields import COMPARED_FIELDS, Field, basis_of, fields_of
from sippet_reconcile.reconciliation.comparing.standing import FieldStanding, Standing
from sippet_reconcile.reconciliation.core import MICROS, at_once, blocks_of
from sippet_reconcile.reconciliation.sides import Sides

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["COMPARED_FIELDS", "Comparison", "basis_of", "compare_pairs", "stand_in"]

_MEASURED: Final = ("duration_seconds", "ended_at", "started_at")
"""The fields of which two values are seconds apart."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that comparing found, one element of each array per compared pair.

    Seconds are not kept: they are worked out from the pairs when somebody asks.

    Attributes
    ----------
    sides
        The compared pairs.
    rules
        The rules, with the basis of durations settled.
    common
        What holds for all pairs alike.
    results
        Field to how each pair stands in it.
    discrepancies
        `schema.DISCREPANCIES`, pairs in their order and fields in the order of
        `COMPARED_FIELDS`; the two columns of explanations are missing until explained.
    pair_rows
        For each discrepancy the pair it belongs to.
    """

    sides: Sides
    rules: Rules
    common: Common
    results: Mapping[str, FieldStanding]
    discrepancies: pd.DataFrame
    pair_rows: NDArray[np.int64]

    def basis_s(self) -> NDArray[np.float64]:
        """Return the CDR's seconds on the chosen basis; NaN where unknown."""
        return self.sides.told(_basis_told, self.rules)[0]

    def gap_s(self, name: str) -> NDArray[np.float64] | None:
        """Return CDR minus API in seconds, NaN where a side is missing; None for a field without seconds."""
        return self.sides.told(_gaps_told, self.rules, self.common, name)[0] if name in _MEASURED else None

    @property
    def n_compared(self) -> int:
        """How many pairs were compared."""
        return len(self.sides)

    @property
    def fields(self) -> pd.DataFrame:
        """One row per field: how many pairs stand how, and what lies within tolerance in seconds.

        Columns ``field``, ``compared``, ``agreeing``, ``within_tolerance``,
        ``no_evidence``, ``differing`` (Int64, pairs), ``within_net_s`` and
        ``within_gross_s`` (Float64: CDR minus API summed with and without sign).
        """
        rows: list[dict[str, Any]] = []
        for name, result in self.results.items():
            counts = {standing: np.count_nonzero(result.standing == standing) for standing in Standing}
            net_s, gross_s = (result.within_us / MICROS).tolist() if name in _MEASURED else (None, None)
            rows.append(
                {
                    "field": name,
                    "compared": self.n_compared,
                    "agreeing": int(counts[Standing.AGREES]),
                    "within_tolerance": int(counts[Standing.WITHIN_TOLERANCE]),
                    "no_evidence": int(counts[Standing.NO_EVIDENCE]),
                    "differing": int(counts[Standing.DIFFERS]),
                    "within_net_s": net_s,
                    "within_gross_s": gross_s,
                }
            )
        counted = ("compared", "agreeing", "within_tolerance", "no_evidence", "differing")
        types = {
            "field": "str",
            **dict.fromkeys(counted, "Int64"),
            "within_net_s": "Float64",
            "within_gross_s": "Float64",
        }
        return pd.DataFrame(rows, columns=list(types)).astype(types)

    @property
    def no_evidence(self) -> dict[str, int]:
        """Field to the number of pairs whose CDR says nothing about it."""
        return {
            name: int((result.standing == Standing.NO_EVIDENCE).sum())
            for name, result in self.results.items()
        }


def compare_pairs(sides: Sides, rules: Rules, *, common: Common | None = None) -> Comparison:
    """Compare both sides of every pair, field by field.

    Parameters
    ----------
    sides
        The pairs, each with its CDR call and its call as fetched.
    rules
        With ``duration`` already settled as ``billable`` or ``total``.
    common
        What holds for all pairs, where these are a part of them: how the API spells
        statuses and how precise its instants are decide how a value would be written.

    Returns
    -------
    Comparison
        The discrepancies are not yet explained.
    """
    common = Common.of(sides) if common is None else common
    fields = fields_of(sides, common, rules)
    results = stand_in(sides, fields)
    discrepancies, pair_rows = build_discrepancies(sides, fields, results, common=common, rules=rules)
    return Comparison(sides, rules, common, results, discrepancies, pair_rows)


def _basis_told(sides: Sides, rules: Rules) -> tuple[NDArray[np.float64]]:
    return (basis_of(sides, rules),)


def _gaps_told(sides: Sides, rules: Rules, common: Common, name: str) -> tuple[NDArray[np.float64]]:
    compare = fields_of(sides, common, rules, (name,))[name].compare
    gaps = [gap_s for at in sides.blocks() if (gap_s := compare(at).gap_s) is not None]
    return (np.concatenate([np.zeros(0), *gaps]),)


def stand_in(sides: Sides, fields: Mapping[str, Field]) -> dict[str, FieldStanding]:
    """Return how all pairs stand in each field, worked out block by block on two threads.

    What a block gathers of both sides is let go with it: the next one finds its memory at
    hand, and in the processor's cache.
    """
    standing = {name: np.empty(len(sides), np.int8) for name in fields}

    def work_through(blocks: list[slice]) -> dict[str, NDArray[np.int64]]:
        within_us = {name: np.zeros(2, np.int64) for name in fields}
        for rows in blocks:
            at = sides.at(rows)
            for name, field in fields.items():
                found = field.compare(at)
                standing[name][rows] = found.standing
                within_us[name] += found.within_us()
        return within_us

    blocks = blocks_of(len(sides))
    # What becomes of a whole column is worked out for no pair first; two threads would both do it.
    for field in fields.values():
        field.compare(sides.at(slice(0)))
    parts = at_once(lambda: work_through(blocks[::2]), lambda: work_through(blocks[1::2]))
    return {
        name: FieldStanding(standing[name], np.sum([part[name] for part in parts], axis=0)) for name in fields
    }
