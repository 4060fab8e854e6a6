"""A rate card: what a minute to each prefix costs, from when until when.

Input are rows that `billing.reading` found in order, output is one frozen object that
every rating starts from.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

__all__ = ["RateCard"]


@dataclass(frozen=True, eq=False, repr=False)
class RateCard:
    """What calls cost, by prefix, direction, user and day.

    Attributes
    ----------
    source
        The name of the file that it was read from.
    sha256
        The hash of that file.
    """

    source: str
    sha256: str
    _rows: pd.DataFrame

    @property
    def rows(self) -> pd.DataFrame:
        """One row per rate (`billing.frames.RATES`), in the order of the file; a copy."""
        return self._rows.copy()
