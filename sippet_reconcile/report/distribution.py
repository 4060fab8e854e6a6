"""Tell how large the changes of duration are, as a sentence and a picture.

Input are seconds, signed; output is the section of a document.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile._display import plural
from sippet_reconcile.report.charts import Bar, ColumnChart
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.report.section import Section

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FEW", "distribution", "size_chart"]

FEW: Final = 10
"""Below so many, a sentence says more than a picture."""

# The columns of the distribution for either sign: from where, in seconds, and how the range is called.
_STEPS: Final = ((0, "to 10 s"), (10, "10–60 s"), (60, "1–10 min"), (600, "10–60 min"), (3600, "over 1 h"))


def _bins(delta: pd.Series[float]) -> tuple[Bar, ...]:
    """Count the changes of duration by their size, what is taken away first."""
    values = delta.dropna().to_numpy(dtype="float64")
    edges = [*(low for low, _ in _STEPS), math.inf]
    bars: list[Bar] = []
    for sign, what, mark in ((-1, "taken away", "−"), (1, "added", "+")):
        sizes = values * sign
        counts = [int(((sizes > low) & (sizes <= high)).sum()) for low, high in pairwise(edges)]
        side = [
            Bar(f"{what}, {word}", float(sign * n), f"{n:,}", tick=f"{mark} {word}")
            for (_, word), n in zip(_STEPS, counts, strict=True)
        ]
        bars += side[::-1] if sign < 0 else side
    return tuple(bars)


def size_chart(delta_s: pd.Series[float]) -> ColumnChart | None:
    """Return how many changes of duration are of which size; None where no duration would change.

    Parameters
    ----------
    delta_s
        Seconds, signed; missing where no duration changes, which counts as nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> chart = size_chart(pd.Series([-12.0, -45.0, 3.0, None]))
    >>> [(bar.label, bar.text) for bar in chart.bars if bar.value]
    [('taken away, 10–60 s', '2'), ('added, to 10 s', '1')]
    """
    if delta_s.dropna().empty:
        return None
    title = "Changes of duration by size: what is taken away to the left, what is added to the right"
    return ColumnChart(title, _bins(delta_s))


def distribution(delta_s: pd.Series[float]) -> Section | None:
    """Return the section; None where no duration would change."""
    delta, chart = delta_s.dropna(), size_chart(delta_s)
    if chart is None:
        return None
    sizes = np.abs(delta.to_numpy(dtype="float64"))
    largest = in_words(float(sizes.max()))
    told = (
        f"{plural(len(sizes), 'duration')} would change, half of them by no more than "
        f"{in_words(float(np.median(sizes)))}, the largest by {largest}."
        if len(sizes) > 1
        else f"1 duration would change, by {largest}."
    )
    charts = [chart] if len(sizes) >= FEW else []
    return Section("How large the changes are", told, charts=charts, in_card=False)
