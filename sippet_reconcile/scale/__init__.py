"""The same reading and reconciling on Dask DataFrames, for months that no single memory holds.

`read_cdr` reads files in parallel, `reconcile` deals rows by their ids, and what is left by its numbers, and decides each part
with the functions that decide on one machine: the answer is the same. Plans are built from it as from any other
reconciliation. It needs the extra ``dask``.
"""

from __future__ import annotations

try:
    # Looked for here, so that what is missing is said in words, and a setting is made after the defaults are known.
    import dask.dataframe  # noqa: F401
    import distributed  # noqa: F401
except ImportError as exc:
    msg = (
        'sippet_reconcile.scale works with Dask, which is not installed: pip install "sippet-reconcile[dask]"'
    )
    raise ImportError(msg) from exc

from sippet_reconcile.scale.reading import read_cdr
from sippet_reconcile.scale.spread import SpreadFrame
from sippet_reconcile.scale.steps import reconcile

__all__ = ["SpreadFrame", "read_cdr", "reconcile"]
