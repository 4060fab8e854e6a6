"""Tell whether the API's seconds are billable or total ones, and the CDR's real ones.

Input are exactly matched pairs, output is the settled rule with the figures behind
it. Only pairs that can tell are asked: both bases known, further apart than the
tolerance, and the API's seconds equal to exactly one of them. A pair that fits
neither basis is an error of its own and says nothing about the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.core import MICROS
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import Sides, micros

if TYPE_CHECKING:
    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["DurationBasis", "find_duration_basis", "find_rounded_durations", "resolve_duration"]

ENOUGH_PAIRS: Final = 200
"""Telling pairs below which nothing is decided."""

ENOUGH_SHARE: Final = 0.95
"""Share of the telling pairs that must agree."""

_INCREMENTS: Final = (60, 30, 12, 10, 6)
_ROUNDED_PAIRS: Final = 50
_ROUNDED_DISTINCT: Final = 5
_ROUNDED_SHARE: Final = 0.99
_API_ROUNDED_SHARE: Final = 0.9


@dataclass(frozen=True)
class DurationBasis:
    """What the exactly matched pairs say about the basis of the API's durations.

    Attributes
    ----------
    asked
        What the rules said: ``auto``, ``billable`` or ``total``.
    resolved
        What is compared with; ``billable`` where ``auto`` could not decide.
    n_telling
        Pairs that can tell.
    n_billable, n_total
        How many of them agree with each basis; together `n_telling`.
    """

    asked: str
    resolved: str
    n_telling: int
    n_billable: int
    n_total: int

    @property
    def favoured(self) -> str | None:
        """The basis that enough pairs agree on, or None."""
        if self.n_telling < ENOUGH_PAIRS:
            return None
        for name, count in (("billable", self.n_billable), ("total", self.n_total)):
            if count >= ENOUGH_SHARE * self.n_telling:
                return name
        return None

    @property
    def is_settled(self) -> bool:
        """Whether the basis is chosen and the data do not contradict it."""
        if self.asked == "auto":
            return self.favoured is not None
        return self.favoured in {None, self.asked}

    def to_frame(self) -> pd.DataFrame:
        """Return one row per basis: ``basis``, ``n_agreeing``, ``n_telling``, ``share``."""
        counts = [self.n_billable, self.n_total]
        shares = [count / self.n_telling if self.n_telling else np.nan for count in counts]
        return pd.DataFrame(
            {
                "basis": pd.Series(["billable", "total"], dtype="str"),
                "n_agreeing": pd.Series(counts, dtype="Int64"),
                "n_telling": pd.Series([self.n_telling] * 2, dtype="Int64"),
                "share": pd.Series(shares, dtype="Float64"),
            }
        )


def resolve_duration(
    calls: pd.DataFrame,
    cdr_calls: pd.DataFrame,
    pairs: PairPositions,
    rules: Rules,
    *,
    sides: Sides | None = None,
) -> tuple[Rules, DurationBasis]:
    """Settle which of the CDR's seconds the API's durations are compared with.

    Parameters
    ----------
    calls, cdr_calls, pairs
        The frames and the row positions that matching paired.
    rules
        ``duration="auto"`` is replaced; an explicit basis stays, and is checked.
    sides
        The pairs to look at; all of them where not given.

    Returns
    -------
    Rules
        With ``duration`` either ``billable`` or ``total``; undecided it is
        ``billable``, so that something can be shown, while `find_duration_basis`
        stops every plan.
    DurationBasis
        The figures.
    """
    sides = (Sides.of(calls, cdr_calls, pairs, rules) if sides is None else sides).exact()
    call, billable, total = (
        micros(seconds)
        for seconds in (
            sides.call_seconds("duration_seconds"),
            sides.cdr_seconds("billable_s"),
            sides.cdr_seconds("total_s"),
        )
    )
    tolerance = micros(rules.duration_tolerance_s)
    apart = np.abs(total - billable) > tolerance
    fits_billable = apart & (np.abs(call - billable) <= tolerance)
    fits_total = apart & (np.abs(call - total) <= tolerance)
    # A bug that counts nothing or forgets the answer would fit an unanswered call either way.
    telling = (fits_billable ^ fits_total) & sides.cdr_flags("is_answered")
    counts = int(telling.sum()), int((fits_billable & telling).sum()), int((fits_total & telling).sum())
    basis = DurationBasis(rules.duration, rules.duration, *counts)
    if rules.duration == "auto":
        basis = replace(basis, resolved=basis.favoured or "billable")
    return replace(rules, duration=basis.resolved), basis


def find_duration_basis(basis: DurationBasis) -> Finding | None:
    """Say so where the basis is undecided, or chosen against the data; None where it is settled."""
    if basis.is_settled:
        if basis.asked != "auto":
            return None
        count = max(basis.n_billable, basis.n_total)
        message = f"The API's durations are {basis.resolved} seconds: {count:,} of {basis.n_telling:,} telling calls agree."
        advice = f'Pin it for the months to come: Rules(duration="{basis.resolved}"), in TOML duration = "{basis.resolved}".'
        return Finding("duration-basis", Severity.INFO, message, basis.to_frame(), advice)
    figures = f"{basis.n_billable:,} agree with billable and {basis.n_total:,} with total seconds"
    if basis.asked == "auto":
        message = (
            f"It is undecided whether the API's durations are billable or total seconds: of {basis.n_telling:,} "
            f"telling calls {figures}; {ENOUGH_PAIRS} calls and {ENOUGH_SHARE:.0%} are needed."
        )
        advice = 'Find out what duration_seconds means here and pass Rules(duration="billable") or Rules(duration="total").'
    else:
        message = f"The rules say {basis.asked} seconds, and the data contradict them: of {basis.n_telling:,} telling calls {figures}."
        advice = (
            f'Check what duration_seconds means here; Rules(duration="{basis.favoured}") would fit the data.'
        )
    return Finding("duration-basis", Severity.STOP, message, basis.to_frame(), advice)


def find_rounded_durations(sides: Sides, rules: Rules) -> Finding | None:
    """Say so where the CDR's seconds are billed increments, which must never be written as durations.

    It takes 50 pairs of several lengths that are (but for 1 in 100) multiples of one
    increment, while the API's own seconds for the same calls are not.
    """
    name = "total_s" if rules.duration == "total" else "billable_s"
    cdr = sides.cdr_seconds(name)
    talked = cdr > 0
    cdr, call = cdr[talked], sides.call_seconds("duration_seconds")[talked]
    # The first lengths nearly always show enough different ones.
    if len(cdr) < _ROUNDED_PAIRS or all(
        len(np.unique(some)) < _ROUNDED_DISTINCT for some in (cdr[:_ROUNDED_PAIRS], cdr)
    ):
        return None
    whole = micros(cdr)
    call = call[call > 0]
    for step in _INCREMENTS:
        # Where the first tenth alone has too many other lengths, the rest cannot make up for them.
        first = whole[: len(whole) // 10]
        if np.count_nonzero(np.mod(first, step * MICROS)) > (1 - _ROUNDED_SHARE) * len(whole) + 1:
            continue
        share = float((np.mod(whole, step * MICROS) == 0).mean())
        if share < _ROUNDED_SHARE:
            continue
        call_share = float((np.mod(call, step) == 0).mean()) if len(call) else 0.0
        if call_share >= _API_ROUNDED_SHARE:
            return None
        evidence = pd.DataFrame(
            {
                "side": pd.Series(["cdr", "api"], dtype="str"),
                "n_calls": pd.Series([len(cdr), len(call)], dtype="Int64"),
                "increment_s": pd.Series([step, step], dtype="Int64"),
                "share_of_multiples": pd.Series([share, call_share], dtype="Float64"),
            }
        )
        message = (
            f"The CDR's {name.removesuffix('_s')} seconds are multiples of {step} in {share:.1%} of {len(cdr):,} "
            f"matched calls, the API's in {call_share:.1%}: the export holds billed increments, not durations."
        )
        advice = "Export the real seconds (an answer and an end time will do), or leave duration_seconds out of the plan."
        return Finding("rounded-durations", Severity.STOP, message, evidence, advice)
    return None
