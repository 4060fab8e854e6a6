"""Bound the lists of a document: which rows a list shows, and how it says where the others are.

Input are rows of calls with seconds, or counts; output are positions of rows, or a sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sippet_reconcile._display import plural
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["bounded", "most_significant"]


def bounded(shown: int, total: int, what: str, where: str) -> str:
    """Say how many of a list's rows are shown and where all of them are; nothing where all are shown.

    Examples
    --------
    >>> bounded(5000, 12345, "row", "plan.left_out of the saved plan")
    ' The first 5,000 of 12,345 rows are here; plan.left_out of the saved plan has all of them.'
    >>> bounded(3, 3, "row", "plan.left_out of the saved plan")
    ''
    """
    if shown >= total:
        return ""
    return f" The first {shown:,} of {plural(total, what)} are here; {where} has all of them."


def most_significant(rows: pd.DataFrame, most: int) -> NDArray[np.int64]:
    """Return the positions of the rows that a list shows, those of a call together.

    The call with the largest number of seconds, up or down, comes first; then, in the order
    of the rows, the calls without seconds. Calls are never cut in two; the first one is there
    in any case.

    Parameters
    ----------
    rows
        Reads ``call_id``, never missing, and ``delta_s``.
    most
        Rows at most.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"call_id": ["a", "b", "c", "b"], "delta_s": [5.0, None, None, -9.0]})
    >>> most_significant(rows, 3).tolist(), most_significant(rows, 1).tolist()
    ([1, 3, 0], [1, 3])
    """
    encoded = text_array(rows["call_id"]).dictionary_encode()
    call = encoded.indices.to_numpy().astype(np.int64)
    n_calls = len(encoded.dictionary)
    largest = np.full(n_calls, -1.0)
    np.maximum.at(largest, call, rows["delta_s"].abs().to_numpy("float64", na_value=-1.0))
    ranked = np.argsort(-largest, kind="stable")
    ends = np.cumsum(np.bincount(call, minlength=n_calls)[ranked])
    n_shown = max(int(np.searchsorted(ends, most, side="right")), 1)
    rank = np.empty(n_calls, np.int64)
    rank[ranked] = np.arange(n_calls)
    shown = np.flatnonzero(rank[call] < n_shown)
    return shown[np.argsort(rank[call[shown]], kind="stable")]
