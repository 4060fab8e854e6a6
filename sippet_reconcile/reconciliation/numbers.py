"""Tell whether two sides of a pair name the same phone number.

Input is one party of all pairs, output are masks. Numbers are compared in E.164
where both sides have it, otherwise by their last digits: exports lose the plus,
the country code, or add a prefix for the outside line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.normalize import as_e164

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["as_e164", "compare_numbers", "is_true", "last_digits", "shown_numbers"]

_WITHHELD: Final = r"^0{5,}$"  # fewer are an operator's code


def last_digits(numbers: pa.LargeStringArray, count: int) -> pa.LargeStringArray:
    """Return the last digits of each number; empty where it has none.

    A row of zeros is how some systems print a withheld number: it names nobody.

    Examples
    --------
    >>> as_sent = pa.array(["(020) 7946-0123", "anonymous", "0000000000"], pa.large_string())
    >>> last_digits(as_sent, 9).to_pylist()
    ['079460123', '', '']
    """
    digits = pc.replace_substring_regex(numbers, pattern=r"[^0-9]", replacement="")
    digits = pc.replace_substring_regex(digits, pattern=_WITHHELD, replacement="")
    return pc.utf8_slice_codeunits(digits, start=-count)


def is_true(mask: pa.BooleanArray) -> NDArray[np.bool_]:
    """Return a mask of Arrow as numpy, writable; what is missing is not true."""
    return mask.fill_null(fill_value=False).to_numpy(zero_copy_only=False).copy()


def compare_numbers(
    sides: Sides, party: str, number_digits: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Compare one party of every pair.

    Parameters
    ----------
    sides
        The pairs. The calls may carry ``from_e164`` and ``to_e164`` already; else
        what the API delivers in E.164 is taken as it is.
    party
        ``from`` or ``to``.
    number_digits
        How many last digits must be equal where a side has no E.164.

    Returns
    -------
    agrees, is_known : arrays of bool
        Whether the numbers are the same, and whether the CDR names one at all: a
        missing number, or one without a digit such as ``anonymous``, proves nothing.
    """
    call, cdr = sides.call_text(f"{party}_number"), sides.cdr_text(f"{party}_number")
    agrees = is_true(pc.equal(call, cdr))
    is_known = agrees.copy()
    rest = np.flatnonzero(~agrees)
    if len(rest):
        agrees[rest], is_known[rest] = _compare_forms(sides, party, rest, number_digits)
    return agrees, is_known


def shown_numbers(sides: Sides, party: str) -> pa.Array:
    """Return the CDR's number of one party of every pair, in E.164 where it has that."""
    return pc.coalesce(sides.cdr_text(f"{party}_e164"), sides.cdr_text(f"{party}_number"))


def _compare_forms(
    sides: Sides, party: str, rest: NDArray[np.int64], number_digits: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Compare the numbers whose texts are not equal as they stand."""
    part = sides if len(rest) == len(sides) else sides.at(rest)
    call, cdr = part.call_text(f"{party}_number"), part.cdr_text(f"{party}_number")
    call_e164 = part.call_text(f"{party}_e164") if f"{party}_e164" in part.calls.columns else as_e164(call)
    cdr_e164 = part.cdr_text(f"{party}_e164")
    both = np.asarray(call_e164.is_valid()) & np.asarray(cdr_e164.is_valid())
    agrees = is_true(pc.equal(call_e164, cdr_e164))
    is_known = np.asarray(cdr_e164.is_valid()).copy()
    other = np.flatnonzero(~both)
    if len(other):
        at = pa.array(other)
        call_tail, cdr_tail = (
            last_digits(call.take(at), number_digits),
            last_digits(cdr.take(at), number_digits),
        )
        has_digits = is_true(pc.greater(pc.binary_length(cdr_tail), 0))
        agrees[other] = is_true(pc.equal(call_tail, cdr_tail)) & has_digits
        is_known[other] |= has_digits
    return agrees, is_known
