"""Tests of wrong numbers and directions.

Input is the `Evidence` of one field, output a flag per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from sippet_reconcile.reconciliation.numbers import is_true

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.explaining.evidence import Evidence, Mask

__all__ = ["extension", "parties_swapped"]

_EXTENSION_DIGITS: Final = 6


def parties_swapped(e: Evidence) -> Mask:
    """Hold where the API's caller is the CDR's called party and the other way round."""
    call, cdr = e.number_tails
    crossed = is_true(pc.and_(pc.equal(call[0], cdr[1]), pc.equal(call[1], cdr[0])))
    two_numbers = is_true(pc.and_(pc.not_equal(call[0], ""), pc.not_equal(call[1], "")))
    return crossed & two_numbers & is_true(pc.not_equal(call[0], call[1]))


def extension(e: Evidence) -> Mask:
    """Hold where the CDR names an extension and the API a full number."""
    call, cdr = e.number_tails
    side = 0 if e.field == "from_number" else 1
    short = pc.less_equal(pc.binary_length(cdr[side]), _EXTENSION_DIGITS)
    return is_true(pc.and_(short, pc.greater(pc.binary_length(call[side]), _EXTENSION_DIGITS)))
