"""How far apart the two starts of one call usually are: measured file by file, never assumed.

Input are the gaps between the starts of pairs that are believed for another reason,
output is `StartGaps`: where they lie, and how far from there a start may be before
somebody asks whether it is the same call. A clock that is off moves the middle; an
export whose start is the answer makes the gaps wide, and the limit with them. Each
switch writes its own files, so a file is measured by itself where it has enough pairs:
two clocks in one measure would make everything plausible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from sippet_reconcile.reconciliation.core import MICROS, NAT, instants_us, offset_us, ordered_by
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = [
    "MINUTE_US",
    "WEAK_SHARE",
    "FilesOfPairs",
    "Sample",
    "StartGaps",
    "gaps_between",
    "sample_of_pairs",
]

ENOUGH_PAIRS: Final = 200
"""From fewer pairs no limit is measured."""

SOME_PAIRS: Final = 20
"""From so many pairs one can say whether starts are near one another at all."""

WEAK_SHARE: Final = 4
"""Starts within this part of the window, a quarter of a minute by default, are near.

The switch and the platform see the same call within seconds; strangers call a busy number all day.
"""

MINUTE_US: Final = 60 * MICROS
_SHARE: Final = 0.9
_TIMES: Final = 3
_NOTHING: Final = -1
"""No gap is as near as that."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Gaps of pairs, in microseconds, and the file of each; where no id made the pairs, also which of them could be like each other, and are."""

    gap: NDArray[np.int64]
    file: NDArray[np.int64]
    can_tell: NDArray[np.bool_] | None = None
    is_like: NDArray[np.bool_] | None = None

    def measured(self, n_files: int, rules: Rules) -> _Measured:
        """Measure where the gaps of each file lie, and how wide they spread."""
        n = np.bincount(self.file, minlength=n_files)
        middle = _quantiles(self.gap, self.file, n, 0.5)
        spread = _quantiles(np.abs(self.gap - middle[self.file]), self.file, n, _SHARE)
        is_near, is_true = np.ones(n_files, np.bool_), np.zeros(n_files, np.bool_)
        is_false = is_true.copy()
        if self.can_tell is not None and self.is_like is not None:
            is_near = spread * WEAK_SHARE <= offset_us(rules.start_window_s)
            told = np.bincount(self.file[self.can_tell], minlength=n_files)
            like = np.bincount(self.file[self.is_like], minlength=n_files)
            is_true = (told >= SOME_PAIRS) & (2 * like >= told)
            is_false = (told >= SOME_PAIRS) & (2 * like < told) & ~is_near
        return _Measured(n, middle, spread, is_near | is_true, is_false)

    @classmethod
    def joined(cls, parts: list[Sample]) -> Sample:
        """Return the gaps of all parts, none of which an id made; of none where there is no part."""
        types = {"gap": np.int64, "file": np.int64, "can_tell": np.bool_, "is_like": np.bool_}
        return cls(
            *(
                np.concatenate([np.zeros(0, dtype), *(getattr(part, name) for part in parts)])
                for name, dtype in types.items()
            )
        )

    def as_one(self) -> Sample:
        """Return the same as if it were of one file."""
        return Sample(self.gap, np.zeros(len(self.file), np.int64), self.can_tell, self.is_like)


@dataclass(frozen=True, eq=False)
class _Measured:
    """Per file how many gaps there are, where they lie, how wide they spread, and whether their pairs are true or chance."""

    n: NDArray[np.int64]
    middle: NDArray[np.int64]
    spread: NDArray[np.int64]
    is_true: NDArray[np.bool_]
    is_false: NDArray[np.bool_]

    def of_each(self, n_files: int) -> _Measured:
        """Return what is the same for every file, where all were measured as one."""
        every = np.zeros(n_files, np.int64)
        return _Measured(*(getattr(self, name)[every] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class StartGaps:
    """How far apart the starts of one call are, in microseconds: one element per file.

    Attributes
    ----------
    middle_us
        The median gap; 0 where nothing was measured.
    spread_us
        So far from the middle lie nine of ten gaps, at most.
    limit_us
        Farther from the middle no gap is plausible; infinite where nothing was measured, and
        negative where what fits is chance.
    proving_us
        Nearer than that, numbers that fit prove something by themselves.
    """

    middle_us: NDArray[np.float64]
    spread_us: NDArray[np.float64]
    limit_us: NDArray[np.float64]
    proving_us: NDArray[np.float64]

    @classmethod
    def of(cls, exact: Sample, alone: Sample, n_files: int, rules: Rules) -> StartGaps:
        """Measure the gaps of each file.

        Parameters
        ----------
        exact
            What ids matched.
        alone
            Pairs by numbers without any rival in the window. They are believed where
            nine of ten lie within a quarter of the window, or half of those that can
            be alike in duration or end are. Where neither holds, they are chance: the
            clock is off by more than the window, or the calls are others.
        n_files
            How many files there are.
        rules
            The window and the tolerance of times are used.

        Notes
        -----
        Of a file that has enough of its own pairs by ids, nobody asks what numbers alone say:
        neither for it, nor for another one, which has those pairs to go by.

        The limit is three times the distance from the middle within which nine of ten gaps
        lie, and the noise of two stamps; never more than the window. It is that of the
        file's own ids, else of its pairs without a rival, else of all ids, else of all such
        pairs: the first that are 200 and believed. Where none is, 20 of them still tell
        whether starts are near one another, so that a near one proves something. With
        fewer nothing is known, and a quarter of the window is near.

        Examples
        --------
        >>> from sippet_reconcile.reconciliation import Rules
        >>> gaps, none = np.array([0, 1, 2, 3, 4] * 40) * MICROS, np.zeros(0, np.int64)
        >>> one_file = Sample(gaps, np.zeros(200, np.int64)), Sample(none, none)
        >>> StartGaps.of(*one_file, 1, Rules()).limit_us.tolist()
        [10000000.0]
        """
        window, noise = offset_us(rules.start_window_s), 2 * offset_us(rules.time_tolerance_s)
        own = [sample.measured(n_files, rules) for sample in (exact, alone)]
        all_files = [
            sample.as_one().measured(1, rules).of_each(n_files) if n_files > 1 else mine
            for sample, mine in zip((exact, alone), own, strict=True)
        ]
        middle, spread = np.zeros(n_files), np.zeros(n_files)
        limit, proving = np.full(n_files, np.inf), np.full(n_files, np.nan)
        for found in (*own, *all_files):
            widest = np.minimum(_TIMES * found.spread + noise, window)
            here = np.isinf(limit) & (found.n >= ENOUGH_PAIRS) & found.is_true
            middle[here], spread[here], limit[here] = found.middle[here], found.spread[here], widest[here]
            # A few pairs tell how near starts are, and not that a clock is off.
            some = np.isnan(proving) & (found.n >= SOME_PAIRS)
            is_telling = found.is_true & (np.abs(found.middle) <= noise)
            near = np.where(is_telling, np.minimum(widest, window // WEAK_SHARE), noise)
            proving[some] = np.where(found.is_true, near, _NOTHING)[some]
        by_id, alone_here, alone_anywhere = own[0], own[1], all_files[1]
        is_chance = np.where(
            alone_here.n >= SOME_PAIRS,
            alone_here.is_false & (by_id.n < ENOUGH_PAIRS),
            alone_anywhere.is_false & np.isinf(limit),
        )
        proving = np.where(
            np.isfinite(limit), limit, np.where(np.isnan(proving), window // WEAK_SHARE, proving)
        )
        for values, value in ((middle, 0), (spread, 0), (limit, _NOTHING), (proving, _NOTHING)):
            values[is_chance] = value
        return cls(middle, spread, limit, proving)

    def of_rows(self, file: NDArray[np.int64]) -> StartGaps:
        """Return the same with one element per row, from the file of each."""
        return StartGaps(*(getattr(self, name)[file] for name in self.__dataclass_fields__))

    @property
    def is_measured(self) -> NDArray[np.bool_]:
        """Mark where a limit was measured."""
        return np.isfinite(self.limit_us)

    def distance(self, gap: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far each gap, one per element, is from the middle."""
        return np.abs(gap - self.middle_us)

    def margin_us(self, rules: Rules) -> NDArray[np.float64]:
        """Return by how much a rival must be further away: by the noise of two starts."""
        return 2 * np.maximum(float(offset_us(rules.time_tolerance_s)), self.spread_us)


def gaps_between(
    call_start: NDArray[np.int64], cdr_start: NDArray[np.int64], is_coarse: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return CDR start minus API start; a start without seconds is wherever in its minute it is nearest.

    Examples
    --------
    >>> call, cdr = np.array([50_000_000, 70_000_000]), np.array([0, 0])
    >>> gaps_between(call, cdr, np.array([True, True])).tolist()
    [0, -10000001]
    """
    return (
        np.where(is_coarse, np.clip(call_start, cdr_start, cdr_start + MINUTE_US - 1), cdr_start) - call_start
    )


@dataclass(frozen=True, eq=False)
class FilesOfPairs:
    """The files of the CDR calls, and what the pairs that an id matched say of each.

    Attributes
    ----------
    of_cdr
        The file of each CDR call, in the order of their names; a missing name is a file of its own.
    n_files
        How many there are.
    found
        How many pairs an id matched in each.
    sample
        The gaps between the starts of these pairs.
    """

    of_cdr: NDArray[np.int64]
    n_files: int
    found: NDArray[np.int64]
    sample: Sample

    @classmethod
    def of(
        cls,
        calls: pd.DataFrame,
        cdr_calls: pd.DataFrame,
        pairs: PairPositions,
        rules: Rules,
        *,
        source_file: tuple[NDArray[np.int64], list[str]],
    ) -> Self:
        """Give each file a number, in the order of their names, and measure the pairs.

        `source_file` is the column of the CDR calls, as `text_codes` returns it.
        """
        codes, names = source_file
        number = np.full(len(names) + 1, -1, np.int64)  # the last one is that of a missing name
        number[np.array(sorted(range(len(names)), key=names.__getitem__), np.int64)] = np.arange(len(names))
        file = number[codes]
        file -= file.min(initial=0)
        n_files = int(file.max(initial=0)) + 1
        found = np.bincount(file[pairs.cdr_pos], minlength=n_files)
        return cls(file, n_files, found, sample_of_pairs(calls, cdr_calls, pairs, file, rules))

    @property
    def have_few_pairs(self) -> NDArray[np.bool_]:
        """Mark the files of which numbers alone have to tell how far apart starts are."""
        return np.bincount(self.sample.file, minlength=self.n_files) < ENOUGH_PAIRS

    def count(self, cdr: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return how many of the marked CDR calls there are in each file."""
        return np.bincount(self.of_cdr[cdr], minlength=self.n_files)


def sample_of_pairs(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    pairs: PairPositions,
    file: NDArray[np.int64],
    rules: Rules,
) -> Sample:
    """Return the gaps of the pairs that have both starts; `file` is that of each CDR call."""
    call = instants_us(calls["started_at"])[pairs.call_pos]
    cdr = instants_us(cdr_calls["started_at"])[pairs.cdr_pos]
    is_coarse = flags_of(cdr_calls, COARSE_COLUMN)[pairs.cdr_pos]
    known = (call != NAT) & (cdr != NAT)
    gap = gaps_between(call[known], cdr[known] - offset_us(rules.clock_offset_s), is_coarse[known])
    return Sample(gap, file[pairs.cdr_pos][known])


def _quantiles(
    values: NDArray[np.int64], group: NDArray[np.int64], n: NDArray[np.int64], share: float
) -> NDArray[np.int64]:
    """Return a quantile of the values of each group, of which there are `n`; 0 where there is none."""
    if not len(values):
        return np.zeros(len(n), np.int64)
    ordered = np.sort(values) if len(n) == 1 else values[ordered_by(group, values)]
    first, place = np.cumsum(n) - n, share * np.maximum(n - 1, 0)
    below = np.floor(place).astype(np.int64)
    low, high = (
        ordered[np.minimum(first + at, len(ordered) - 1)] for at in (below, np.ceil(place).astype(np.int64))
    )
    return np.where(n > 0, low + np.rint((place - below) * (high - low)).astype(np.int64), 0)
