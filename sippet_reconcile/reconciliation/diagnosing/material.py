"""What a diagnosis is made from: both frames, their pairs, and where every row ended up.

Input are the frames and buckets as other steps made them, output are plain arrays that
several looks share, each worked out once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.sides import text_codes
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Material", "Standpoint", "in_buckets", "plain_instant"]

_EACH: Final = (Bucket.MATCHED, Bucket.AMBIGUOUS)


@dataclass(frozen=True, eq=False)
class Standpoint:
    """One side as the other sees it: which of its rows have a partner and which have none.

    Attributes
    ----------
    starts
        Of every row; NaT where it has none.
    met
        The rows that have a partner, or rivals for one.
    alone
        The rows that should have a partner and have none.
    """

    starts: NDArray[np.datetime64]
    met: NDArray[np.bool_]
    alone: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Material:
    """What findings about the whole are made from.

    Attributes
    ----------
    calls, cdr_calls
        All calls and all reduced CDR calls.
    sides, exact
        All pairs, those outside the period too, and those of them that an id matched.
    rules, period
        The resolved rules, and the span spoken of, or None.
    legs
        All legs, or None.
    leg_buckets, call_buckets, cdr_buckets
        The `Bucket` of each row, as text; None where not known.
    """

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    sides: Sides
    exact: Sides
    rules: Rules
    period: Period | None = None
    legs: pd.DataFrame | None = None
    leg_buckets: Any = None
    call_buckets: Any = None
    cdr_buckets: Any = None

    def call_starts(self) -> NDArray[np.datetime64]:
        """Return the starts of all calls."""
        return self.sides.of_calls.instants("started_at")

    def cdr_starts(self) -> NDArray[np.datetime64]:
        """Return the starts of all CDR calls, as the API's clock would have shown them."""
        return self.sides.of_cdr.instants("started_at")

    def in_period(self, starts: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Mark the starts inside the period; all of them where there is none."""
        if self.period is None:
            return np.ones(len(starts), np.bool_)
        start, end = (plain_instant(at) for at in (self.period.start, self.period.end))
        return (starts >= start) & (starts < end)

    @cached_property
    def of_api(self) -> Standpoint:
        """The calls of the API, by whether the CDR has them."""
        starts = self.call_starts()
        met, alone = self._met(self.call_buckets, len(starts), self.sides.call_pos, Bucket.ONLY_IN_API)
        return Standpoint(starts, met, alone)

    @cached_property
    def of_cdr(self) -> Standpoint:
        """The answered calls of the CDR, by whether the API has them: probes and misdials never reach it."""
        starts = self.cdr_starts()
        met, alone = self._met(self.cdr_buckets, len(starts), self.sides.cdr_pos, Bucket.ONLY_IN_CDR)
        answered = self.sides.of_cdr.flags("is_answered")
        return Standpoint(starts, met & answered, alone & answered)

    @staticmethod
    def _met(
        buckets: Any, size: int, paired: NDArray[np.int64], lone: Bucket
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        if buckets is not None:
            return in_buckets(buckets, *_EACH), in_buckets(buckets, lone)
        met = np.zeros(size, np.bool_)
        met[paired] = True
        return met, ~met

    @cached_property
    def leg_files(self) -> tuple[NDArray[np.int64], list[str | None]]:
        """For each leg the position of its file among the names; the last name stands for a missing one."""
        if self.legs is None:
            return np.zeros(0, np.int64), [None]
        codes, files = text_codes(self.legs["source_file"])
        return np.where(codes < 0, len(files), codes), [*files, None]


def plain_instant(at: Any) -> np.datetime64:
    """Return an aware instant as numpy has it in UTC."""
    return pd.Timestamp(at).tz_convert("UTC").tz_localize(None).as_unit("us").to_datetime64()


def in_buckets(buckets: Any, *wanted: Bucket) -> NDArray[np.bool_]:
    """Mark the rows whose bucket is one of some.

    Examples
    --------
    >>> in_buckets(["matched", "helper"], Bucket.MATCHED).tolist()
    [True, False]
    """
    series = pd.Series(buckets, dtype=None if len(buckets) else "str")
    words = [bucket.value for bucket in wanted]
    if isinstance(series.dtype, pd.CategoricalDtype):
        is_wanted = np.append(series.cat.categories.isin(words), False)
        return is_wanted[series.cat.codes.to_numpy()]
    return series.isin(words).to_numpy("bool")
