"""What one call is billed: its seconds in the steps of a rate, and their price.

Input are arrays of seconds and of what a rate says, output are whole seconds and whole
millionths of a currency. Both are exact: no price is ever a float.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.billing.frames import MONEY_PLACES, RATE_PLACES
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["MOST_SECONDS", "billed_seconds", "cost_micros", "money_array", "rate_units"]

MOST_SECONDS: Final = 2**53
"""Above it a float no longer counts single seconds."""

_UNITS: Final = 10**RATE_PLACES
_UNIT: Final = pa.decimal128(38, RATE_PLACES)
_PER_MINUTE: Final = 60
_SHARE: Final = _PER_MINUTE * 10 ** (RATE_PLACES - MONEY_PLACES)  # units times seconds in a millionth
_ROOM: Final = 2**62  # products below it fit 64 bits, whatever is added to round
_MOST_MICROS: Final = 10**18  # a million millions: sums of some of them still fit


def billed_seconds(
    seconds: NDArray[Any] | Sequence[float],
    initial_s: Ints | int,
    increment_s: Ints | int,
) -> Ints:
    """Return what is billed of calls of so many seconds.

    A fraction of a second counts as a whole one. Whatever is not longer than the
    initial seconds is billed by them, and what is beyond them in whole increments.
    No seconds, or less, are not billed.

    Parameters
    ----------
    seconds
        Seconds after the answer, none missing.
    initial_s
        What is billed at least.
    increment_s
        The steps beyond it, at least 1.

    Examples
    --------
    By the second, in steps of six, in steps of six after half a minute, by the minute,
    and by the second after a first minute:

    >>> billed_seconds([0, 0.2, 1, 61], 1, 1).tolist()
    [0, 1, 1, 61]
    >>> billed_seconds([1, 6, 6.5, 61], 6, 6).tolist()
    [6, 6, 12, 66]
    >>> billed_seconds([1, 30, 31, 61], 30, 6).tolist()
    [30, 30, 36, 66]
    >>> billed_seconds([1, 60, 61, 120.01], 60, 60).tolist()
    [60, 60, 120, 180]
    >>> billed_seconds([1, 60, 61, 120.01], 60, 1).tolist()
    [60, 60, 61, 121]
    """
    given = np.asarray(seconds)
    whole = given if given.dtype.kind in "iu" else np.ceil(given)
    whole = whole.astype(np.int64, copy=False)
    beyond = whole - initial_s
    steps = -(-beyond // increment_s) * increment_s
    return np.where(whole > 0, initial_s + np.maximum(steps, 0), 0)


def rate_units(amounts: pd.Series[Any]) -> NDArray[Any]:
    """Return rates or fees as whole numbers of their last place.

    Returns
    -------
    array of int64, or of Python's integers where one does not fit
        Each amount times ten to the power of `RATE_PLACES`.

    Examples
    --------
    >>> from decimal import Decimal
    >>> rate_units(pd.Series([Decimal("0.0125"), Decimal(2)], dtype="object")).tolist()
    [125000000, 20000000000]
    """
    array = pa.array(amounts.array).cast(_UNIT)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    halves = np.frombuffer(array.buffers()[1], np.int64).reshape(-1, 2)[array.offset :][: len(array)]
    lower, upper = halves[:, 0], halves[:, 1]  # of 128 bits
    if not upper.any() and not bool((lower < 0).any() or (lower >= _ROOM).any()):
        return lower.copy()
    return np.array([int(value.scaleb(RATE_PLACES)) for value in array.to_pylist()], object)


def cost_micros(billed_s: Ints, rate: NDArray[Any], fee: NDArray[Any]) -> Ints:
    """Return the costs of calls in millionths, each rounded half up once.

    Parameters
    ----------
    billed_s
        Billed seconds.
    rate
        What a minute costs, as `rate_units` has it.
    fee
        What is added once, as `rate_units` has it.

    Raises
    ------
    InputError
        If a call would cost a million millions or more, which no column of money holds.

    Examples
    --------
    One second at 0.0125 a minute is 0.00020833..., and at 0.00003 it is half a millionth:

    >>> cost_micros(np.array([1, 1]), np.array([125_000_000, 300_000]), np.array([0, 0])).tolist()
    [208, 1]
    """
    if len(billed_s) == 0:
        return np.zeros(0, np.int64)
    most = max(int(billed_s.max()), 1) * int(rate.max()) + _PER_MINUTE * int(fee.max())
    if most < _ROOM:
        units = billed_s * rate.astype(np.int64) + _PER_MINUTE * fee.astype(np.int64)
        micros: Ints = (units + _SHARE // 2) // _SHARE
        return micros
    # Beyond 64 bits Python's integers are exact too; each different call is worked out once.
    asked = pd.MultiIndex.from_arrays([billed_s, rate, fee])
    codes, found = asked.factorize()
    different: list[Any] = found.tolist()
    costs = [(int(s) * int(r) + _PER_MINUTE * int(f) + _SHARE // 2) // _SHARE for s, r, f in different]
    if max(costs) >= _MOST_MICROS:
        at = costs.index(max(costs))
        seconds, each, _ = different[at]
        msg = (
            f"a call of {int(seconds):,} billed seconds at {Decimal(int(each)) / _UNITS:f} per minute costs more than "
            "money is counted in here: look at its seconds and at the rate"
        )
        raise InputError(msg)
    exact: Ints = np.array(costs, np.int64)[codes]
    return exact


def money_array(micros: Ints, missing: NDArray[np.bool_] | None = None) -> pd.api.extensions.ExtensionArray:
    """Return millionths as a column of money, `billing.frames.MONEY`.

    Examples
    --------
    >>> [str(cost) for cost in money_array(np.array([1_250_000, -1, 0]), np.array([False, False, True]))]
    ['1.250000', '-0.000001', '<NA>']
    """
    halves = np.empty((len(micros), 2), np.int64)
    halves[:, 0], halves[:, 1] = micros, micros >> 63  # 128 bits, the lower ones first
    bitmap = None
    if missing is not None and missing.any():
        bitmap = pa.py_buffer(np.packbits(~missing, bitorder="little").tobytes())
    kind = pa.decimal128(20, MONEY_PLACES)
    return pd.arrays.ArrowExtensionArray(
        pa.Array.from_buffers(kind, len(micros), [bitmap, pa.py_buffer(halves)])
    )
