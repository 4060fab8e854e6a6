"""Which statuses the legs of a call have between them.

Input are the statuses of legs that lie together call by call, output is one text per
call. Nine canonical words fit into the bits of a number, so that a call's set of
words is one number, and each set is put into words once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.schema import LEG_STATUSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["join_statuses"]

_BIT: Final = {word: 1 << place for place, word in enumerate(LEG_STATUSES)}
_SETS: Final = pa.array(
    [
        "; ".join(word for word, bit in _BIT.items() if bits & bit) or None
        for bits in range(1 << len(LEG_STATUSES))
    ],
    pa.large_string(),
)


def join_statuses(statuses: pa.LargeStringArray, starts: NDArray[np.int64]) -> pa.LargeStringArray:
    """Return per call the distinct statuses of its legs, best first, joined by ``"; "``.

    Parameters
    ----------
    statuses
        One per leg, the legs of a call next to each other. What is missing or not a
        canonical word does not count.
    starts
        Where the legs of each call begin; every call has at least one.

    Examples
    --------
    >>> legs = pa.array(["busy", "completed", "busy", None], pa.large_string())
    >>> join_statuses(legs, np.array([0, 3])).to_pylist()
    ['completed; busy', None]
    """
    encoded = statuses.dictionary_encode()
    bits = np.array([_BIT.get(word, 0) for word in encoded.dictionary.to_pylist()] + [0], np.int64)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return _SETS.take(pa.array(np.bitwise_or.reduceat(bits[codes], starts)))
