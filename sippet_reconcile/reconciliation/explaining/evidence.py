"""What the tests behind explanations may look at: both sides of the rows of one field.

Input are the rows and the rules, output are arrays and masks with one element per
row. Everything is worked out on first use, so a test costs only what it asks for, and
nothing can be written into, so no test disturbs another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pandas as pd

from sippet_reconcile.errors import InputError
from sippet_reconcile.reconciliation.core import MICROS, offset_us
from sippet_reconcile.reconciliation.numbers import last_digits
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import UNANSWERED, normal_word, status_words

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Evidence", "Mask", "Seconds"]

_MINUTE_S: Final = 60 - 1 / MICROS  # to the last moment of a minute
_LEG_STATUSES: Final = "leg_statuses"

Mask: TypeAlias = "NDArray[np.bool_]"
Seconds: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True, eq=False)
class Evidence:
    """Both sides of the rows of one field; what a test may look at.

    All arrays have one element per row and cannot be written into. Seconds are floats
    with NaN for missing, instants NaT for missing, so a comparison with a missing value
    does not hold. The CDR's instants are those that the API's clock would have shown.

    Attributes
    ----------
    field
        The field whose values differ on these rows.
    sides
        Both frames and the positions of the rows in them.
    rules
        The rules, with the basis of durations settled.
    basis_s
        The CDR's seconds on that basis.

    Examples
    --------
    Whatever else a side says is a column, in the order of the rows; what `read_cdr` was
    told to keep is on the CDR's side, as ``x_<name>``, from the first leg:

    >>> import numpy as np, pandas as pd
    >>> from sippet_reconcile.reconciliation.core import PairPositions
    >>> from sippet_reconcile.reconciliation.rules import Rules
    >>> from sippet_reconcile.reconciliation.sides import Sides
    >>> calls = pd.DataFrame({"id": ["a", "b"], "duration_seconds": pd.array([60, None], "Int64")})
    >>> cdr_calls = pd.DataFrame({"billable_s": [7.0, 55.5], "x_trunk": ["north", "south"]})
    >>> pairs = PairPositions(np.array([0, 1]), np.array([1, 0]), np.zeros(2, np.int8))
    >>> e = Evidence("duration_seconds", Sides.of(calls, cdr_calls, pairs, Rules()), Rules(), np.array([55.5, 7.0]))
    >>> e.call_s.tolist(), e.cdr("x_trunk").tolist(), e.call("id").tolist()
    ([60.0, nan], ['south', 'north'], ['a', 'b'])

    What the rules call equal is asked of the evidence, so that a test never compares by itself:

    >>> e.close(e.call_s, np.array([61.0, 61.0])).tolist(), e.beyond(np.array([62.0, 7.0]), e.basis_s).tolist()
    ([True, False], [True, False])
    >>> e.same_second(np.array([59.5, 7.0]), e.call_s).tolist()
    [True, False]
    >>> at = pd.to_datetime(["2026-10-01T08:00:00Z", "2026-10-01T09:00:00Z"]).as_unit("us")
    >>> calls = calls.assign(status=["no-answer", "completed"], ended_at=at)
    >>> cdr_calls = cdr_calls.assign(status=["completed", "busy"], ended_at=at[::-1] + pd.Timedelta(seconds=7))
    >>> e = Evidence("status", Sides.of(calls, cdr_calls, pairs, Rules()), Rules(), np.array([55.5, 7.0]))
    >>> e.status_in({"no_answer"}).tolist(), e.cdr_status_in("busy", "missed").tolist()
    ([True, False], [True, False])
    >>> sorted(e.agreeing("no_answer")), e.gap_range_s("ended_at")[0].tolist()
    (['noanswer'], [7.0, 7.0])
    """

    field: str
    sides: Sides
    rules: Rules
    basis_s: Seconds

    def __len__(self) -> int:
        return len(self.sides)

    def call(self, name: str) -> pd.Series[Any]:
        """Return any column of the calls, one element per row, numbered from 0.

        Raises
        ------
        InputError
            If the calls have no such column.
        """
        return _column(self.sides.calls, name, self.sides.call_pos, "the calls have")

    def cdr(self, name: str) -> pd.Series[Any]:
        """Return any column of the CDR calls, one element per row, numbered from 0; instants without the clock offset.

        Raises
        ------
        InputError
            If the CDR calls have no such column.
        """
        column = _column(self.sides.cdr_calls, name, self.sides.cdr_pos, "the CDR calls have")
        offset = offset_us(float(self.rules.clock_offset_s))
        if offset and isinstance(column.dtype, pd.DatetimeTZDtype):
            return column - pd.Timedelta(offset, "us")
        return column

    @cached_property
    def call_s(self) -> Seconds:
        """The API's seconds."""
        return _locked(self.sides.call_seconds("duration_seconds"))

    @cached_property
    def billable_s(self) -> Seconds:
        """The CDR's seconds after answer."""
        return _locked(self.sides.cdr_seconds("billable_s"))

    @cached_property
    def total_s(self) -> Seconds:
        """The CDR's seconds with ringing; from start to end where the export has no such column."""
        total = self.sides.cdr_seconds("total_s")
        span = gap_in_seconds(self.sides.cdr_instants("ended_at"), self.sides.cdr_instants("started_at"))
        # Between stamps without seconds nobody can count seconds.
        span[self.is_coarse] = np.nan
        return _locked(np.where(np.isnan(total), span, total))

    @cached_property
    def answered_at(self) -> NDArray[np.datetime64]:
        """When the CDR was answered; end minus billable seconds where the export does not say.

        Missing where the CDR prints no seconds: nobody knows the moment.
        """
        answered, ended = self.sides.cdr_instants("answered_at"), self.sides.cdr_instants("ended_at")
        talked = np.where(self.is_answered & ~np.isnan(self.billable_s), self.billable_s, 0.0)
        derived = ended - micros(talked).astype(np.int64).astype("timedelta64[us]")
        derived = np.where(talked > 0, derived, np.datetime64("NaT", "us"))
        known = np.where(np.isnat(answered), derived, answered)
        return _locked(np.where(self.is_coarse, np.datetime64("NaT", "us"), known))

    @cached_property
    def is_coarse(self) -> Mask:
        """Whether the CDR prints its times without seconds."""
        return _locked(self.sides.cdr_flags("is_coarse"))

    @cached_property
    def is_answered(self) -> Mask:
        """Whether the CDR call was answered."""
        return _locked(self.sides.cdr_flags("is_answered"))

    @cached_property
    def is_unanswered(self) -> Mask:
        """Whether the CDR says that nobody answered; neither holds where it does not say."""
        codes, words = self.sides.cdr_codes("status")
        says_so = np.array([word in UNANSWERED for word in words] + [False])[codes]
        is_known = self.sides.cdr_calls["is_answered"].notna().to_numpy()[self.sides.cdr_pos]
        return _locked(~self.is_answered & (is_known | says_so))

    @cached_property
    def has_legs(self) -> Mask:
        """Whether several legs make up the CDR call."""
        return _locked(self.sides.cdr_seconds("n_legs") > 1)

    @cached_property
    def leg_statuses(self) -> tuple[NDArray[np.int64], list[str]]:
        """The statuses of the legs of calls with several, as codes and joined words; missing has the code -1."""
        if _LEG_STATUSES not in self.sides.cdr_calls.columns:  # saved by a version that did not know it
            return np.full(len(self), -1, np.int64), []
        return self.sides.cdr_codes(_LEG_STATUSES)

    @cached_property
    def no_end(self) -> Mask:
        """Whether the API has no end."""
        return _locked(np.isnat(self.sides.call_instants("ended_at")))

    @cached_property
    def end_gap_s(self) -> Seconds:
        """CDR end minus API end; of an end without seconds, its nearest moment."""
        return _locked(self.sides.gap_s("ended_at"))

    @cached_property
    def start_gap_s(self) -> Seconds:
        """CDR start minus API start; of a start without seconds, its nearest moment."""
        return _locked(self.sides.gap_s("started_at"))

    def gap_range_s(self, name: str) -> tuple[Seconds, Seconds]:
        """Return the least and the most that CDR minus API may be: an instant without seconds is a whole minute."""
        least = gap_in_seconds(self.sides.cdr_instants(name), self.sides.call_instants(name))
        return least, least + np.where(self.is_coarse, _MINUTE_S, 0.0)

    @cached_property
    def has_status(self) -> Mask:
        """Whether the API has a status."""
        return _locked(self.sides.call_codes("status")[0] >= 0)

    @cached_property
    def is_open(self) -> Mask:
        """Whether the API's status is one of an unfinished call."""
        return self.status_in(self.rules.open_statuses)

    def status_in(self, words: Sequence[str] | frozenset[str]) -> Mask:
        """Mark the rows whose API status is one of the words, ignoring case, ``-`` and ``_``."""
        wanted = {normal_word(word) for word in words}
        codes, known = self.sides.call_codes("status")
        return np.array([normal_word(word) in wanted for word in known] + [False])[codes]

    def cdr_status_in(self, *words: str) -> Mask:
        """Mark the rows whose CDR status is one of the canonical words."""
        codes, known = self.sides.cdr_codes("status")
        return np.array([word in words for word in known] + [False])[codes]

    def agreeing(self, word: str) -> frozenset[str]:
        """Return the API's words, in normal form, that agree with a CDR status under the rules."""
        return status_words((word,), {}, self.rules)[word].agreeing

    @cached_property
    def status_classes(self) -> tuple[frozenset[str], frozenset[str]]:
        """The API's words for answered and for unanswered calls under the rules, in normal form."""
        answered = self.agreeing("completed") | self.agreeing("voicemail")
        unanswered = frozenset[str]().union(*(self.agreeing(word) for word in UNANSWERED))
        return answered - unanswered, unanswered - answered

    @cached_property
    def number_tails(self) -> tuple[list[pa.LargeStringArray], list[pa.LargeStringArray]]:
        """The last digits of caller and called party, as the API has them and as the CDR has them."""
        count = self.rules.number_digits
        call = [last_digits(self.sides.call_text(f"{party}_number"), count) for party in ("from", "to")]
        cdr = [last_digits(self.sides.cdr_text(f"{party}_number"), count) for party in ("from", "to")]
        return call, cdr

    def close(self, left: Seconds, right: Seconds | float) -> Mask:
        """Mark the seconds that are equal within the tolerance, or by rounding alone."""
        apart = np.abs(micros(left) - micros(right))
        return (apart <= micros(self.rules.duration_tolerance_s)) | (apart < MICROS)

    def same_second(self, left: Seconds, right: Seconds | float) -> Mask:
        """Mark the seconds that are equal, or were before one side was cut or rounded to whole seconds."""
        return np.abs(micros(left) - micros(right)) < MICROS

    def beyond(self, left: Seconds, right: Seconds) -> Mask:
        """Mark the seconds of `left` that exceed `right` by more than the tolerance."""
        return micros(left) - micros(right) > micros(self.rules.duration_tolerance_s)

    @cached_property
    def slack_s(self) -> float:
        """The larger tolerance, and a second at least: cutting stamps to seconds alone moves them that far."""
        return max(self.rules.duration_tolerance_s, self.rules.time_tolerance_s, 1)

    @cached_property
    def moved_together(self) -> Mask:
        """Whether end and duration are off by the same amount, beyond both tolerances.

        Two fields that agree on the gap are evidence; one alone could be chance. What they
        may differ in is the tolerance, and never more than half of what they agree on.
        """
        gap = self.basis_s - self.call_s
        off = np.abs(self.end_gap_s)
        apart = np.abs(gap - self.end_gap_s)
        return _locked(
            (off > self.slack_s) & (apart <= np.minimum(self.slack_s, off / 2)) & (self.call_s > 0)
        )


def _locked(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


def _column(frame: pd.DataFrame, name: str, positions: NDArray[np.int64], who: str) -> pd.Series[Any]:
    if name not in frame.columns:
        close = get_close_matches(str(name), list(map(str, frame.columns)), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        msg = f"{who} no column {name!r}{hint}; they are: {', '.join(map(str, frame.columns))}"
        raise InputError(msg)
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        msg = f"{who} several columns named {name!r}; rename all but one"
        raise InputError(msg)
    return column.take(positions).reset_index(drop=True)
