"""Row positions: put in order as numpy does, whatever the keys."""

from __future__ import annotations

import numpy as np
import pytest

from sippet_reconcile.reconciliation.core import ordered_by

RNG = np.random.default_rng(5)
FAR = np.iinfo(np.int64)


@pytest.mark.parametrize(
    "keys",
    [
        (RNG.integers(0, 40, 500), RNG.integers(-9, 9, 500)),
        (RNG.integers(0, 3, 500), RNG.integers(0, 31 * 86_400, 500) * 1_000_000 + 1_790_812_800_000_000),
        (np.zeros(500, np.int64),),
        (np.arange(500)[::-1], np.zeros(500, np.int64)),
        # Only where starts are equal do the gaps behind them decide, and they do not fit beside them.
        (RNG.integers(0, 300, 500) * 10**10, RNG.integers(-2, 2, 500) * 10**9, RNG.integers(0, 2, 500)),
        (RNG.integers(0, 3, 500), RNG.integers(0, 2, 500) * 2**61, RNG.integers(0, 2, 500) * 2**61),
        # Too far apart for one word: a missing instant is the smallest number there is.
        (np.array([3, FAR.min, 3, FAR.max]), np.array([1, 2, 0, 0])),
        (np.array([7, 7, 7]), np.array([0, FAR.max, FAR.min]), np.array([1, 0, 0])),
        (np.zeros(0, np.int64), np.zeros(0, np.int64)),
    ],
    ids=[
        "ties",
        "instants",
        "all-equal",
        "descending",
        "two-words",
        "a-word-each",
        "too-far",
        "far-below-equal",
        "empty",
    ],
)
def test_rows_are_ordered_by_the_first_key_first_and_equal_ones_stay(keys):
    assert ordered_by(*keys).tolist() == np.lexsort(keys[::-1]).tolist()
