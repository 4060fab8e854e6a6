"""Both sides of every matched call, column by column, as plain arrays.

Input are the two frames and the row positions that matching paired, output are
numpy and Arrow arrays with one element per pair. The frames are never joined: only
the columns that somebody asks for are gathered. The CDR's instants leave here with
the clock offset already removed, so nobody else has to remember it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sippet_reconcile.reconciliation.core import MICROS, MatchRule, offset_us
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["Sides", "gap_in_seconds", "instants_of", "micros", "text_codes"]


@dataclass(frozen=True, eq=False)
class Sides:
    """The two frames and the positions of their pairs; columns are gathered on request and kept.

    Missing seconds are NaN, missing instants NaT, a missing flag counts as not set.
    """

    calls: pd.DataFrame
    cdr_calls: pd.DataFrame
    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rule: NDArray[np.int8]
    clock_offset_s: float = 0.0
    _kept: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        calls: pd.DataFrame,
        cdr_calls: pd.DataFrame,
        pairs: PairPositions,
        rules: Rules,
        *,
        mask: NDArray[np.bool_] | None = None,
    ) -> Sides:
        """Return both sides of the pairs, or of those that a mask marks."""
        chosen: Any = slice(None) if mask is None else np.flatnonzero(mask)
        return cls(
            calls,
            cdr_calls,
            np.asarray(pairs.call_pos, np.int64)[chosen],
            np.asarray(pairs.cdr_pos, np.int64)[chosen],
            np.asarray(pairs.rule)[chosen],
            float(rules.clock_offset_s),
        )

    def __len__(self) -> int:
        return len(self.call_pos)

    def at(self, rows: NDArray[Any]) -> Sides:
        """Return the sides of some pairs, by position or mask."""
        return Sides(
            self.calls,
            self.cdr_calls,
            self.call_pos[rows],
            self.cdr_pos[rows],
            self.rule[rows],
            self.clock_offset_s,
        )

    def exact(self) -> Sides:
        """Return the pairs that an id matched; a match by numbers and time proves nothing about clocks."""
        return self.at(np.flatnonzero(self.rule != MatchRule.NUMBERS_AND_TIME))

    def _keep(self, side: str, name: str, gather: Callable[[], Any]) -> Any:
        key = (side, name)
        if key not in self._kept:
            self._kept[key] = gather()
        return self._kept[key]

    def call_seconds(self, name: str) -> NDArray[np.float64]:
        """Return a column of seconds of the calls."""
        return self._keep("call", name, lambda: _seconds(self.calls[name])[self.call_pos])

    def cdr_seconds(self, name: str) -> NDArray[np.float64]:
        """Return a column of seconds (or counts) of the CDR calls."""
        return self._keep("cdr", name, lambda: _seconds(self.cdr_calls[name])[self.cdr_pos])

    def call_instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants of the calls."""
        return self._keep("call", name, lambda: instants_of(self.calls[name])[self.call_pos])

    def cdr_instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants of the CDR calls, as the API's clock would have shown them."""
        return self._keep(
            "cdr", name, lambda: instants_of(self.cdr_calls[name], self.clock_offset_s)[self.cdr_pos]
        )

    def call_text(self, name: str) -> pa.LargeStringArray:
        """Return a column of text of the calls."""
        return self._keep("call", name, lambda: _text(self.calls[name], self.call_pos))

    def cdr_text(self, name: str) -> pa.LargeStringArray:
        """Return a column of text of the CDR calls."""
        return self._keep("cdr", name, lambda: _text(self.cdr_calls[name], self.cdr_pos))

    def cdr_flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of flags of the CDR calls."""
        return self._keep(
            "cdr", name, lambda: self.cdr_calls[name].to_numpy("bool", na_value=False)[self.cdr_pos]
        )


def _seconds(series: pd.Series[Any]) -> NDArray[np.float64]:
    return series.to_numpy("float64", na_value=np.nan)


def instants_of(series: pd.Series[pd.Timestamp], clock_offset_s: float = 0.0) -> NDArray[np.datetime64]:
    """Return instants without their zone (UTC), a clock offset removed; missing is NaT."""
    plain = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    offset = np.timedelta64(offset_us(clock_offset_s), "us")
    shifted: NDArray[np.datetime64] = np.subtract(plain, offset)
    return shifted


def _text(series: pd.Series[str], positions: NDArray[np.int64]) -> pa.LargeStringArray:
    return text_array(series).take(pa.array(positions))


def text_codes(series: pd.Series[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return a code per row and the distinct words; missing has the code -1.

    Examples
    --------
    >>> import pandas as pd
    >>> codes, words = text_codes(pd.Series(["busy", None, "busy"], dtype="str"))
    >>> codes.tolist(), words
    ([0, -1, 0], ['busy'])
    """
    encoded = text_array(series).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def micros(seconds: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Return seconds as whole microseconds, still as floats so that missing stays NaN.

    Seconds are compared in this unit, so that 60.3 - 59.3 is exactly 1.
    """
    return np.rint(np.asarray(seconds, np.float64) * MICROS)


def gap_in_seconds(later: NDArray[np.datetime64], earlier: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return ``later - earlier`` in seconds; NaN where either is missing.

    Examples
    --------
    >>> at = np.array(["2026-10-01T08:00:01.500000", "NaT"], "datetime64[us]")
    >>> gap_in_seconds(at, np.array(["2026-10-01T08:00:00", "2026-10-01"], "datetime64[us]")).tolist()
    [1.5, nan]
    """
    gap = later - earlier
    return np.where(np.isnat(gap), np.nan, gap.astype("timedelta64[us]").astype(np.float64) / MICROS)
