"""Which pairs are borne out, and which contradicted, by how long was talked and when it was over.

Input are positions in both frames, output is `Evidence`. Two calls between the same people
rarely talk for the same seconds, so a pair whose durations agree and whose ends are
where its starts let expect them is one call, however far apart its starts are. Nothing
is concluded from a pair that is not borne out: its durations may be what is wrong. A
call that was over before the other began is another one: nobody redials while talking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.reconciliation.core import NAT, instants_us, offset_us
from sippet_reconcile.reconciliation.matching.legs import COARSE_COLUMN, flags_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Evidence", "evidence_of"]

LEAST_TALK_S: Final = 10
"""Shorter calls are alike too often: hung up at the greeting of a voicemail, each takes as long."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What durations and ends say of some pairs: one element of each array per pair.

    Attributes
    ----------
    start, end, cdr_start, cdr_end
        Microseconds, float64, the clock offset removed; missing is NaN.
    is_coarse
        Marks pairs whose CDR is printed without seconds.
    can_tell
        Marks pairs that could be borne out: all is known, and it was talked for a while.
    is_like
        Marks those whose seconds agree on either basis, or whose ends do: of chance pairs few are.
    is_borne_out
        Marks those whose seconds agree on either basis, and whose ends agree or are as far apart as the starts.
    """

    start: NDArray[np.float64]
    end: NDArray[np.float64]
    cdr_start: NDArray[np.float64]
    cdr_end: NDArray[np.float64]
    is_coarse: NDArray[np.bool_]
    can_tell: NDArray[np.bool_]
    is_like: NDArray[np.bool_]
    is_borne_out: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    def where(self, chosen: NDArray[np.bool_]) -> Evidence:
        """Return what is said of some of the pairs."""
        if bool(chosen.all()):
            return self
        return Evidence(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @classmethod
    def joined(cls, parts: list[Evidence]) -> Evidence:
        """Return what is said of the pairs of all parts."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def between(self, middle_us: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how long before one began the other was over, in microseconds; negative where both were at one time.

        An end that is missing, or before its own start, says nothing, and neither does one
        without seconds: where nothing is said, it is minus infinity. `middle_us` is how far
        apart starts are usually: CDR minus API.
        """
        end = np.where(self.end >= self.start, self.end, np.inf)
        cdr_end = np.where((self.cdr_end >= self.cdr_start) & ~self.is_coarse, self.cdr_end, np.inf)
        # Where the middle is not a clock's, but that of answers, only starts are moved by it, and no end.
        call_first = self.cdr_start - np.maximum(middle_us, 0) - end
        cdr_first = self.start - cdr_end + np.minimum(middle_us, 0)
        return np.maximum(call_first, cdr_first)

    def end_together(self, middle_us: NDArray[np.float64], slack_us: int) -> NDArray[np.bool_]:
        """Mark those borne out by ends that agree, on clocks that are as far apart as usual or not at all."""
        gap = np.rint(self.cdr_end - self.end)
        return self.is_borne_out & (np.minimum(np.abs(gap), np.abs(gap - middle_us)) <= slack_us)


def evidence_of(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    call_pos: NDArray[np.int64],
    cdr_pos: NDArray[np.int64],
    rules: Rules,
) -> Evidence:
    """Return what durations and ends say of pairs.

    Parameters
    ----------
    calls, cdr_calls
        Both frames.
    call_pos, cdr_pos
        The pairs.
    rules
        Both tolerances and the clock offset are used.
    """
    fetched, billable, total = (
        frame[name].array.to_numpy("float64", na_value=np.nan)[at]
        for frame, name, at in (
            (calls, "duration_seconds", call_pos),
            (cdr_calls, "billable_s", cdr_pos),
            (cdr_calls, "total_s", cdr_pos),
        )
    )
    # What is missing compares as false.
    same = np.abs(fetched - billable) <= rules.duration_tolerance_s
    same |= np.abs(fetched - total) <= rules.duration_tolerance_s
    talked = np.where(np.isnan(billable), total, billable) >= LEAST_TALK_S
    start, end, cdr_start, cdr_end = _instants(calls, cdr_calls, call_pos, cdr_pos, rules)
    slack = offset_us(rules.time_tolerance_s)
    end_gap, start_gap = np.rint(cdr_end - end), np.rint(cdr_start - start)
    together = np.abs(end_gap) <= slack
    alike = np.abs(end_gap - start_gap) <= slack
    can_tell = talked & ~np.isnan(fetched) & ~np.isnan(end_gap)
    is_coarse = flags_of(cdr_calls, COARSE_COLUMN)[cdr_pos]
    return Evidence(
        start,
        end,
        cdr_start,
        cdr_end,
        is_coarse,
        can_tell,
        can_tell & (same | together),
        can_tell & same & (together | alike),
    )


def _instants(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    call_pos: NDArray[np.int64],
    cdr_pos: NDArray[np.int64],
    rules: Rules,
) -> tuple[NDArray[np.float64], ...]:
    """Return start and end of the calls and of the CDR calls in microseconds, the offset removed; missing is NaN."""
    found: list[NDArray[np.float64]] = []
    for frame, at, offset in ((calls, call_pos, 0), (cdr_calls, cdr_pos, offset_us(rules.clock_offset_s))):
        for name in ("started_at", "ended_at"):
            instants = instants_us(frame[name])[at]
            found.append(np.where(instants == NAT, np.nan, instants.astype(np.float64) - offset))
    return tuple(found)
