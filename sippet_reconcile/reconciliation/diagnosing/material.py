"""What a diagnosis is made from: both frames, their pairs, and where every row ended up.

Input are the frames and buckets as other steps made them, output are plain arrays that
several looks share, each worked out once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.core import NAT
from sippet_reconcile.schema import Bucket

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.period import Period
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Columns, Sides

__all__ = ["Material", "Span", "Standpoint", "in_buckets", "in_period", "plain_instant"]

_EACH: Final = (Bucket.MATCHED, Bucket.AMBIGUOUS)


@dataclass(frozen=True, eq=False)
class Standpoint:
    """One side as the other sees it: which of its rows have a partner and which have none.

    Attributes
    ----------
    columns
        Of every row.
    met
        The rows that have a partner, or rivals for one.
    alone
        The rows that should have a partner and have none.
    """

    columns: Columns
    met: NDArray[np.bool_]
    alone: NDArray[np.bool_]

    @property
    def starts(self) -> NDArray[np.datetime64]:
        """The start of every row, as the API's clock would have shown it; NaT where it has none."""
        return self.columns.instants("started_at")

    def span(self) -> tuple[np.datetime64, np.datetime64] | None:
        """Return the first and the last start of the rows that have a partner or should have one; None where none is known."""
        found: Span = self.columns.summed(Span.of, along=[self.met | self.alone])
        return (
            None
            if found.first > found.last
            else (np.datetime64(found.first, "us"), np.datetime64(found.last, "us"))
        )


@dataclass(frozen=True)
class Span:
    """From when to when something was, in microseconds; the first is behind the last where nothing was."""

    first: int = np.iinfo(np.int64).max
    last: int = NAT

    @classmethod
    def of(cls, columns: Columns, mask: NDArray[np.bool_]) -> Span:
        """Return the span of the starts of some rows."""
        at = columns.instants("started_at").view(np.int64)[mask]
        known = at[at != NAT]
        return cls(int(known.min()), int(known.max())) if len(known) else cls()

    def __add__(self, other: Span) -> Span:
        """Return the span that holds both."""
        return Span(min(self.first, other.first), max(self.last, other.last))


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

    def in_period(self, starts: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Mark the starts inside the period; all of them where there is none."""
        return in_period(starts, self.period)

    @cached_property
    def of_api(self) -> Standpoint:
        """The calls of the API, by whether the CDR has them."""
        columns = self.sides.of_calls
        met, alone = self._met(self.call_buckets, len(self.calls), self.sides.call_pos, Bucket.ONLY_IN_API)
        return Standpoint(columns, met, alone)

    @cached_property
    def of_cdr(self) -> Standpoint:
        """The answered calls of the CDR, by whether the API has them: probes and misdials never reach it."""
        columns = self.sides.of_cdr
        met, alone = self._met(self.cdr_buckets, len(self.cdr_calls), self.sides.cdr_pos, Bucket.ONLY_IN_CDR)
        answered = columns.flags("is_answered")
        return Standpoint(columns, met & answered, alone & answered)

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
    def leg_files(self) -> Counter[str | None]:
        """How many legs each file has, in the order in which files occur; None stands for a missing name."""
        return self.count_files()

    def count_files(self, *mask: NDArray[np.bool_]) -> Counter[str | None]:
        """Return how many legs each file has, or how many of the marked ones."""
        if self.legs is None:
            return Counter()
        legs = self.sides.of_calls.beside(self.legs)
        counts: Counter[str | None] = legs.summed(_count_files, along=mask)
        return Counter({name: counts[name] for name in (*legs.words("source_file"), None) if counts[name]})


def _count_files(legs: Columns, mask: NDArray[np.bool_] | None = None) -> Counter[str | None]:
    codes, files = legs.codes("source_file")
    counts = np.bincount((codes if mask is None else codes[mask]) + 1, minlength=len(files) + 1)
    return Counter(dict(zip([None, *files], counts.tolist(), strict=True)))


def in_period(starts: NDArray[np.datetime64], period: Period | None) -> NDArray[np.bool_]:
    """Mark the starts inside a period; all of them where there is none."""
    if period is None:
        return np.ones(len(starts), np.bool_)
    start, end = (plain_instant(at) for at in (period.start, period.end))
    return (starts >= start) & (starts < end)


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
