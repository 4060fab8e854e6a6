"""How one field of one pair stands: the four possible answers and the arrays that hold them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sippet_reconcile.reconciliation.sides import micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FieldStanding", "PairStanding", "Standing", "stand"]


class Standing(IntEnum):
    """How one field of one pair stands."""

    AGREES = 0
    WITHIN_TOLERANCE = 1
    NO_EVIDENCE = 2
    DIFFERS = 3


class PairStanding(NamedTuple):
    """How some pairs stand in one field.

    Attributes
    ----------
    standing
        A `Standing` per pair, as int8.
    gap_s
        CDR minus API in seconds, for fields that have seconds, else None; NaN where
        a side is missing.
    """

    standing: NDArray[np.int8]
    gap_s: NDArray[np.float64] | None = None

    def within_us(self) -> NDArray[np.int64]:
        """Return what lies within tolerance, summed with and without sign, in whole microseconds."""
        if self.gap_s is None:
            return np.zeros(2, np.int64)
        gaps = self.gap_s[self.standing == Standing.WITHIN_TOLERANCE]
        within = micros(np.nan_to_num(gaps)).astype(np.int64)
        return np.array([within.sum(), np.abs(within).sum()], np.int64)


@dataclass(frozen=True, eq=False)
class FieldStanding:
    """How one field stands, over all pairs.

    Attributes
    ----------
    standing
        A `Standing` per pair, as int8.
    within_us
        CDR minus API of the pairs within tolerance, summed with and without sign; 0 for fields
        without seconds. Whole microseconds, as they are compared, add up the same in any parts.
    """

    standing: NDArray[np.int8]
    within_us: NDArray[np.int64]

    def rows(self, standing: Standing) -> NDArray[np.int64]:
        """Return the pairs that stand so."""
        return np.flatnonzero(self.standing == standing)


def stand(
    known: NDArray[np.bool_], *, same: NDArray[np.bool_], too_far: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Return how each pair stands.

    Parameters
    ----------
    known
        Whether the CDR says anything; without that there is no evidence.
    same
        Whether the API already has what would be written.
    too_far
        Whether the two are further apart than tolerated, or the API has nothing.
    """
    agrees, within, unknown, differs = (np.int8(standing) for standing in Standing)
    return np.where(known, np.where(same, agrees, np.where(too_far, differs, within)), unknown)
