"""Both sides of every matched call, column by column, as plain arrays.

Input are the two frames and the row positions that matching paired, output are
numpy and Arrow arrays with one element per pair. The frames are never joined: only
the columns that somebody asks for are gathered. The CDR's instants leave here with
the clock offset already removed, so nobody else has to remember it.

Whoever counts, marks or looks for rows hands a function to `summed`, `told` or `found`.
Here it is called once; rows that lie in parts elsewhere are looked at where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.reconciliation.core import MICROS, NAT, MatchRule, blocks_of, instants_us, offset_us
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = [
    "Columns",
    "Sides",
    "gap_in_seconds",
    "has_fraction",
    "instants_of",
    "micros",
    "text_codes",
    "word_codes",
]

_TO_THE_END_OF_A_MINUTE: Final = np.timedelta64(60 * MICROS - 1, "us")
_MOST_OF: Final = 4
"""A part of a quarter or more gathers its columns through the whole."""


class Columns:
    """The columns of one frame as plain arrays; each is converted once, however often it is asked for.

    Missing seconds are NaN, missing instants NaT, a missing flag counts as not set.
    """

    def __init__(self, frame: pd.DataFrame, clock_offset_s: float = 0.0) -> None:
        self.frame = frame
        self.clock_offset_s = clock_offset_s
        self._made: dict[tuple[str, str], Any] = {}

    def _keep(self, kind: str, name: str, make: Callable[[], Any]) -> Any:
        key = (kind, name)
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def summed(self, count: Callable[..., Any], *terms: Any, along: Sequence[NDArray[Any]] = ()) -> Any:
        """Return what ``count(columns, *along, *terms)`` counts; what parts count is added.

        `along` are arrays of one element per row.
        """
        return count(self, *along, *terms)

    def told(
        self, tell: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return the arrays of ``tell(columns, *along, *terms)``, each of one element per row."""
        return tell(self, *along, *terms)

    def found(
        self, find: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return what ``find(columns, *along, *terms)`` finds: positions of rows, ascending, and arrays about them."""
        return find(self, *along, *terms)

    def beside(self, frame: pd.DataFrame) -> Columns:
        """Return the columns of another frame that lies where this one does."""
        return type(self)(frame)

    def words(self, name: str) -> list[str]:
        """Return the distinct words of a text column, in the order in which they first occur."""
        return self.codes(name)[1]

    def at(self, kind: str, name: str, positions: NDArray[np.int64] | slice) -> Any:
        """Return a column, as the method of that name does, of some rows by position."""
        column = self.codes(name)[0] if kind == "codes" else getattr(self, kind)(name)
        return _picked(column, positions)

    def seconds(self, name: str) -> NDArray[np.float64]:
        """Return a column of seconds or counts."""
        return self._keep("seconds", name, lambda: self.frame[name].to_numpy("float64", na_value=np.nan))

    def instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants, without the clock offset."""
        return self._keep("instants", name, lambda: instants_of(self.frame[name], self.clock_offset_s))

    def flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of flags."""
        return self._keep("flags", name, lambda: self._flags(name))

    def _flags(self, name: str) -> NDArray[np.bool_]:
        if name == "is_coarse" and name not in self.frame.columns:  # saved by a version that did not know it
            return np.zeros(len(self.frame), np.bool_)
        return self.frame[name].to_numpy("bool", na_value=False)

    def text(self, name: str) -> pa.LargeStringArray:
        """Return a column of text."""
        return self._keep("text", name, lambda: text_array(self.frame[name]))

    def is_known(self, name: str) -> NDArray[np.bool_]:
        """Mark the rows that have a text."""
        return self._keep("is_known", name, lambda: np.asarray(self.text(name).is_valid()))

    def codes(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """Return a text column as `word_codes` does: a product of two codes may not fit."""
        return self._keep("codes", name, lambda: word_codes(text_array(self.frame[name])))

    def show_fractions(self, *names: str) -> bool:
        """Tell whether any instant of some columns has a fraction of a second."""
        return any(self._shows_fraction(name) for name in names)

    def _shows_fraction(self, name: str) -> bool:
        shown: bool = self._keep("fraction", name, lambda: has_fraction(self.instants(name)))
        return shown


@dataclass(frozen=True, eq=False)
class Sides:
    """The two frames and the positions of their pairs; columns are gathered on request and kept.

    A part of the pairs reads what the whole has gathered: walking along an array is
    far quicker than jumping about in a frame.
    """

    of_calls: Columns
    of_cdr: Columns
    call_pos: NDArray[np.int64]
    cdr_pos: NDArray[np.int64]
    rule: NDArray[np.int8]
    confidence: NDArray[np.int8]
    _whole: Sides | None = field(default=None, repr=False)
    _rows: Any = field(default=None, repr=False)
    _kept: dict[tuple[str, str, str], Any] = field(default_factory=dict, repr=False)

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
        whole = cls(
            Columns(calls),
            Columns(cdr_calls, float(rules.clock_offset_s)),
            np.asarray(pairs.call_pos, np.int64),
            np.asarray(pairs.cdr_pos, np.int64),
            np.asarray(pairs.rule),
            np.asarray(pairs.confidence),
        )
        return whole if mask is None else whole.where(mask)

    def __len__(self) -> int:
        return len(self.call_pos)

    @property
    def calls(self) -> pd.DataFrame:
        """All calls, matched or not."""
        return self.of_calls.frame

    @property
    def cdr_calls(self) -> pd.DataFrame:
        """All CDR calls, matched or not."""
        return self.of_cdr.frame

    def at(self, rows: NDArray[np.int64] | slice) -> Sides:
        """Return the sides of some pairs, by position."""
        return Sides(
            self.of_calls,
            self.of_cdr,
            self.call_pos[rows],
            self.cdr_pos[rows],
            self.rule[rows],
            self.confidence[rows],
            self,
            rows,
        )

    def blocks(self) -> Iterator[Sides]:
        """Yield all pairs, a few at a time: what is gathered of them is let go with each."""
        for at in blocks_of(len(self)):
            yield self.at(at)

    def summed(
        self,
        count: Callable[..., Any],
        *terms: Any,
        along: Sequence[NDArray[Any]] = (),
        also: Sequence[str] = (),
    ) -> Any:
        """Return what ``count(sides, *along, *terms)`` counts; what parts count is added.

        `along` are arrays of one element per pair, `also` the columns of the export that were kept and are looked at.
        """
        del also  # all columns are here
        return count(self, *along, *terms)

    def told(
        self, tell: Callable[..., tuple[NDArray[Any], ...]], *terms: Any, along: Sequence[NDArray[Any]] = ()
    ) -> tuple[NDArray[Any], ...]:
        """Return the arrays of ``tell(sides, *along, *terms)``, each of one element per pair."""
        return tell(self, *along, *terms)

    def found(
        self,
        find: Callable[..., tuple[NDArray[Any], ...]],
        *terms: Any,
        along: Sequence[NDArray[Any]] = (),
        also: Sequence[str] = (),
    ) -> tuple[NDArray[Any], ...]:
        """Return what ``find(sides, *along, *terms)`` finds: positions of pairs, ascending, and arrays about them."""
        del also  # all columns are here
        return find(self, *along, *terms)

    def worded(
        self, text_of: Callable[[Sides], pa.LargeStringArray], *, also: Sequence[str] = ()
    ) -> tuple[NDArray[Any], list[str]]:
        """Return a text per pair, of few distinct words, as codes and the words; missing has the code -1."""
        del also  # all columns are here
        return word_codes(text_of(self))

    def where(self, mask: NDArray[np.bool_]) -> Sides:
        """Return the sides of the marked pairs; these same sides where all are."""
        return self if bool(mask.all()) else self.at(np.flatnonzero(mask))

    def exact(self) -> Sides:
        """Return the pairs that an id matched; a match by numbers and time proves nothing about clocks.

        They are nearly all, and gather by themselves: what they pick from the whole would be held twice.
        """
        part = self.where(self.rule != MatchRule.NUMBERS_AND_TIME)
        return part if part is self else replace(part, _whole=None, _rows=None)

    def _keep(self, side: str, kind: str, name: str, make: Callable[[], Any]) -> Any:
        key = (side, kind, name)
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _gather(self, side: str, kind: str, name: str) -> Any:
        return self._keep(side, kind, name, lambda: self._gathered(side, kind, name))

    def _gathered(self, side: str, kind: str, name: str) -> Any:
        """Return a column from what the whole has, where it has it or most of it is wanted, else from the frame."""
        whole = self._whole
        if whole is not None and (
            (side, kind, name) in whole._kept or len(self) * _MOST_OF >= len(whole)  # noqa: SLF001 - one class
        ):
            return _picked(whole._gather(side, kind, name), self._rows)  # noqa: SLF001 - one class
        columns, positions = (self.of_calls, self.call_pos) if side == "call" else (self.of_cdr, self.cdr_pos)
        return columns.at(kind, name, positions)

    def call_seconds(self, name: str) -> NDArray[np.float64]:
        """Return a column of seconds of the calls."""
        return self._gather("call", "seconds", name)

    def cdr_seconds(self, name: str) -> NDArray[np.float64]:
        """Return a column of seconds (or counts) of the CDR calls."""
        return self._gather("cdr", "seconds", name)

    def call_instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants of the calls."""
        return self._gather("call", "instants", name)

    def cdr_instants(self, name: str) -> NDArray[np.datetime64]:
        """Return a column of instants of the CDR calls, as the API's clock would have shown them."""
        return self._gather("cdr", "instants", name)

    def call_text(self, name: str) -> pa.LargeStringArray:
        """Return a column of text of the calls."""
        return self._gather("call", "text", name)

    def cdr_text(self, name: str) -> pa.LargeStringArray:
        """Return a column of text of the CDR calls."""
        return self._gather("cdr", "text", name)

    def call_codes(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """Return a column of few distinct texts of the calls as codes and the words; missing has the code -1."""
        return self._gather("call", "codes", name), self.of_calls.codes(name)[1]

    def cdr_codes(self, name: str) -> tuple[NDArray[Any], list[str]]:
        """Return a column of few distinct texts of the CDR calls as codes and the words; missing has the code -1."""
        return self._gather("cdr", "codes", name), self.of_cdr.codes(name)[1]

    def gap_s(self, name: str) -> NDArray[np.float64]:
        """Return CDR minus API of an instant that both sides have, in seconds; NaN where either is missing.

        A stamp without seconds stands for its whole minute: the gap is that to its nearest moment.
        """
        call, cdr = self.call_instants(name), self.cdr_instants(name)
        is_coarse = self.cdr_flags("is_coarse")
        if is_coarse.any():
            cdr = np.where(is_coarse, np.clip(call, cdr, cdr + _TO_THE_END_OF_A_MINUTE), cdr)
        return gap_in_seconds(cdr, call)

    def cdr_known(self, name: str) -> NDArray[np.bool_]:
        """Mark the pairs whose CDR call has a text."""
        return self._gather("cdr", "is_known", name)

    def cdr_flags(self, name: str) -> NDArray[np.bool_]:
        """Return a column of flags of the CDR calls."""
        return self._gather("cdr", "flags", name)


def _picked(column: Any, positions: NDArray[np.int64] | slice) -> Any:
    if isinstance(column, np.ndarray) or isinstance(positions, slice):
        return column[positions]
    return column.take(pa.array(positions))


def has_fraction(instants: NDArray[np.datetime64]) -> bool:
    """Tell whether any instant has a fraction of a second."""
    micro = instants.astype("datetime64[us]", copy=False).view(np.int64)
    for at in blocks_of(len(micro)):
        block = micro[at]
        if ((block // MICROS * MICROS != block) & (block != NAT)).any():
            return True
    return False


def instants_of(series: pd.Series[pd.Timestamp], clock_offset_s: float = 0.0) -> NDArray[np.datetime64]:
    """Return instants without their zone (UTC), a clock offset removed; missing is NaT."""
    plain: NDArray[np.datetime64] = instants_us(series).view("datetime64[us]")
    offset = offset_us(clock_offset_s)
    return np.subtract(plain, np.timedelta64(offset, "us")) if offset else plain


def text_codes(series: pd.Series[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Return a code per row and the distinct words; missing has the code -1.

    Examples
    --------
    >>> import pandas as pd
    >>> codes, words = text_codes(pd.Series(["busy", None, "busy"], dtype="str"))
    >>> codes.tolist(), words
    ([0, -1, 0], ['busy'])
    """
    codes, words = word_codes(text_array(series))
    return codes.astype(np.int64), words


def word_codes(text: pa.LargeStringArray) -> tuple[NDArray[Any], list[str]]:
    """Return a code per text and the distinct words, as `text_codes` does, in as few bits as hold them.

    There is room for one more than there are words; a product of two codes may not fit.
    """
    encoded = text.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.min_scalar_type(-len(encoded.dictionary) - 2)), encoded.dictionary.to_pylist()


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
    gap = (later - earlier).astype("timedelta64[us]")
    seconds: NDArray[np.float64] = gap.astype(np.int64) / MICROS
    seconds[np.isnat(gap)] = np.nan
    return seconds
