"""What the tests behind explanations may look at: both sides of the rows of one field.

Input are the rows and the rules, output are arrays and masks with one element per
row. Everything is worked out on first use, so a test costs only what it asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import normal_word, status_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["Evidence", "Mask", "Seconds"]

_UNANSWERED: Final = ("busy", "no_answer", "missed", "canceled", "failed")

Mask: TypeAlias = "NDArray[np.bool_]"
Seconds: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True, eq=False)
class Evidence:
    """Both sides of the rows of one field; what a test may look at.

    Seconds are floats with NaN for missing, instants NaT for missing, so a comparison
    with a missing value does not hold.
    """

    field: str
    sides: Sides
    rules: Rules
    basis_s: Seconds

    @cached_property
    def call_s(self) -> Seconds:
        """The API's seconds."""
        return self.sides.call_seconds("duration_seconds")

    @cached_property
    def billable_s(self) -> Seconds:
        """The CDR's seconds after answer."""
        return self.sides.cdr_seconds("billable_s")

    @cached_property
    def total_s(self) -> Seconds:
        """The CDR's seconds with ringing; from start to end where the export has no such column."""
        total = self.sides.cdr_seconds("total_s")
        span = gap_in_seconds(self.sides.cdr_instants("ended_at"), self.sides.cdr_instants("started_at"))
        # Between stamps without seconds nobody can count seconds.
        span[self.sides.cdr_flags("is_coarse")] = np.nan
        return np.where(np.isnan(total), span, total)

    @cached_property
    def answered_at(self) -> NDArray[np.datetime64]:
        """When the CDR was answered; end minus billable seconds where the export does not say."""
        answered, ended = self.sides.cdr_instants("answered_at"), self.sides.cdr_instants("ended_at")
        talked = np.where(self.is_answered & ~np.isnan(self.billable_s), self.billable_s, 0.0)
        derived = ended - micros(talked).astype(np.int64).astype("timedelta64[us]")
        derived = np.where(talked > 0, derived, np.datetime64("NaT", "us"))
        return np.where(np.isnat(answered), derived, answered)

    @cached_property
    def is_answered(self) -> Mask:
        """Whether the CDR call was answered."""
        return self.sides.cdr_flags("is_answered")

    @cached_property
    def has_legs(self) -> Mask:
        """Whether several legs make up the CDR call."""
        return self.sides.cdr_seconds("n_legs") > 1

    @cached_property
    def no_end(self) -> Mask:
        """Whether the API has no end."""
        return np.isnat(self.sides.call_instants("ended_at"))

    @cached_property
    def end_gap_s(self) -> Seconds:
        """CDR end minus API end."""
        return self.sides.gap_s("ended_at")

    @cached_property
    def start_gap_s(self) -> Seconds:
        """CDR start minus API start."""
        return self.sides.gap_s("started_at")

    @cached_property
    def has_status(self) -> Mask:
        """Whether the API has a status."""
        return np.asarray(self.sides.call_text("status").is_valid())

    @cached_property
    def is_open(self) -> Mask:
        """Whether the API's status is one of an unfinished call."""
        return self.status_in(self.rules.open_statuses)

    def status_in(self, words: Sequence[str] | frozenset[str]) -> Mask:
        """Mark the rows whose API status is one of the words, ignoring case, ``-`` and ``_``."""
        wanted = {normal_word(word) for word in words}
        encoded = self.sides.call_text("status").dictionary_encode()
        holds = np.array([normal_word(word) in wanted for word in encoded.dictionary.to_pylist()] + [False])
        codes: NDArray[Any] = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        return holds[codes]

    @cached_property
    def status_classes(self) -> tuple[frozenset[str], frozenset[str]]:
        """The API's words for answered and for unanswered calls under the rules, in normal form."""
        words = status_words(("completed", "voicemail", *_UNANSWERED), {}, self.rules)
        answered = words["completed"].agreeing | words["voicemail"].agreeing
        unanswered = frozenset[str]().union(*(words[word].agreeing for word in _UNANSWERED))
        return answered - unanswered, unanswered - answered

    def close(self, left: Seconds, right: Seconds | float) -> Mask:
        """Mark the seconds that are equal within the tolerance, or by rounding alone."""
        apart = np.abs(micros(left) - micros(right))
        return (apart <= micros(self.rules.duration_tolerance_s)) | (apart < micros(1.0))

    def beyond(self, left: Seconds, right: Seconds) -> Mask:
        """Mark the seconds of `left` that exceed `right` by more than the tolerance."""
        return micros(left) - micros(right) > micros(self.rules.duration_tolerance_s)

    def moved_together(self) -> Mask:
        """Mark the rows whose end and duration are off by the same amount, beyond both tolerances.

        Two fields that agree on the gap are evidence; one alone could be chance.
        """
        slack = max(self.rules.duration_tolerance_s, self.rules.time_tolerance_s)
        gap = self.basis_s - self.call_s
        return (np.abs(self.end_gap_s) > slack) & (np.abs(gap - self.end_gap_s) <= slack) & (self.call_s > 0)
