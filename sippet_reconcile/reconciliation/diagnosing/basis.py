"""Tell whether the API's seconds are billable or total ones, for all calls or for a part of them.

Input are exactly matched pairs, output is the settled rule with the figures behind
it. Only pairs that can tell are asked: both bases known, further apart than the
tolerance, and the API's seconds equal to exactly one of them. A pair that fits
neither basis is an error of its own and says nothing about the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.diagnosing.parts import evenly, named, splits
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import Sides, micros

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.core import PairPositions
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["DurationBasis", "find_duration_basis", "resolve_duration"]

ENOUGH_PAIRS: Final = 200
"""Telling pairs below which nothing is decided."""

ENOUGH_SHARE: Final = 0.95
"""Share of the telling pairs that must agree."""

_PART_PAIRS: Final = 20
"""Telling pairs of a part before it is named: so many do not agree by chance where the whole does not."""

_WARNED_PAIRS: Final = 50
"""Telling pairs of a part that contradicts the whole, from which on somebody should look at it."""

_LEAST_AGAINST: Final = int(ENOUGH_SHARE * _WARNED_PAIRS)
_SHOWN: Final = 3
_NOTHING, _BILLABLE, _TOTAL = range(3)
"""What a pair says about the basis."""


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
    telling
        All pairs that were asked, and what each says: `_NOTHING`, `_BILLABLE` or `_TOTAL`; None where not kept.
    """

    asked: str
    resolved: str
    n_telling: int
    n_billable: int
    n_total: int
    telling: tuple[Sides, NDArray[np.int8]] | None = field(default=None, repr=False, compare=False)

    @property
    def favoured(self) -> str | None:
        """The basis that enough pairs agree on, or None."""
        return _said(self.n_billable, self.n_total) if self.n_telling >= ENOUGH_PAIRS else None

    @property
    def is_settled(self) -> bool:
        """Whether the basis is chosen and the data do not contradict it."""
        if self.asked == "auto":
            return self.favoured is not None
        return self.favoured in {None, self.asked}

    def parts(self) -> pd.DataFrame:
        """Return how the values of each column that splits the telling pairs speak.

        One row per column and value with 20 telling pairs or more: ``part`` (the column),
        ``value``, ``n_telling``, ``n_billable``, ``n_total`` (Int64), ``says`` (``billable`` or
        ``total`` where 95 % agree, else missing); the largest first within each column.
        """
        rows: list[tuple[object, ...]] = []
        if self.telling is not None:
            sides, said = self.telling
            telling = np.flatnonzero(said)
            for split in splits(sides.at(telling), said[telling] == _TOTAL):
                counts, totals = split.counts
                large = np.flatnonzero(counts >= _PART_PAIRS)
                large = large[np.argsort(-counts[large], kind="stable")]
                for place in large.tolist():
                    n, total = int(counts[place]), int(totals[place])
                    value = split.words[place]
                    rows.append((split.column, value, n, n - total, total, _said(n - total, total)))
        return pd.DataFrame(rows, columns=list(_PARTS)).astype(_PARTS)

    def may_have_parts(self) -> bool:
        """Tell whether a part may say the opposite of the whole, from those who do and a sample of all.

        Whoever contradicts has nearly no pair on the other side, so that a value which the
        sample often has there is out of the question, and one look at each column will do.
        """
        if self.telling is None:
            return False
        sides, said = self.telling
        against = _TOTAL if self.resolved == "billable" else _BILLABLE
        few, sample = np.flatnonzero(said == against), evenly(self.n_telling)
        scale = self.n_telling / max(len(sample), 1)
        sample = np.flatnonzero(said)[sample]
        sample = sample[said[sample] != against]
        is_few = np.arange(len(few) + len(sample)) < len(few)
        for split in splits(sides.at(np.concatenate([few, sample])), is_few):
            n_against = split.counts[1]
            n_for = split.counts[0] - n_against
            surely_for = (n_for - 3 * np.sqrt(n_for)) * scale
            if (
                (n_against >= _LEAST_AGAINST) & (surely_for * ENOUGH_SHARE <= n_against * (1 - ENOUGH_SHARE))
            ).any():
                return True
        return False

    def to_frame(self, parts: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return the whole as a row of the same kind as `parts`, and some parts below it."""
        says = _said(self.n_billable, self.n_total)
        whole = ("all", None, self.n_telling, self.n_billable, self.n_total, says)
        frame = pd.DataFrame([whole], columns=list(_PARTS)).astype(_PARTS)
        return frame if parts is None else pd.concat([frame, parts], ignore_index=True)


_PARTS: Final = {
    "part": "str",
    "value": "str",
    "n_telling": "Int64",
    "n_billable": "Int64",
    "n_total": "Int64",
    "says": "str",
}


def _said(n_billable: int, n_total: int) -> str | None:
    """Return the basis that enough of some pairs agree on."""
    for name, count in (("billable", n_billable), ("total", n_total)):
        if count and count >= ENOUGH_SHARE * (n_billable + n_total):
            return name
    return None


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
    sides = Sides.of(calls, cdr_calls, pairs, rules) if sides is None else sides
    basis = _telling(sides.exact(), rules)
    if rules.duration == "auto":
        basis = replace(basis, resolved=basis.favoured or "billable")
    elif basis.n_telling < ENOUGH_PAIRS:
        # Numbers and time decide nothing; and yet so many of them do not contradict what was pinned by chance.
        whole = _telling(sides, rules)
        basis = basis if whole.is_settled else whole
    return replace(rules, duration=basis.resolved), basis


def _telling(sides: Sides, rules: Rules) -> DurationBasis:
    """Count what the pairs that can tell say, the rules as they are."""
    (said,) = sides.told(_say, rules)
    n_billable, n_total = (int(np.count_nonzero(said == basis)) for basis in (_BILLABLE, _TOTAL))
    counts = n_billable + n_total, n_billable, n_total
    return DurationBasis(rules.duration, rules.duration, *counts, telling=(sides, said))


def _say(sides: Sides, rules: Rules) -> tuple[NDArray[np.int8]]:
    none = np.zeros(0, np.int8)
    return (np.concatenate([none, *(_say_of_few(part, rules) for part in sides.blocks())]),)


def _say_of_few(sides: Sides, rules: Rules) -> NDArray[np.int8]:
    """Return what each pair says: which basis its seconds are of, or nothing."""
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
    said = np.where(fits_total, np.int8(_TOTAL), np.int8(_BILLABLE))
    return np.where(telling, said, np.int8(_NOTHING))


def find_duration_basis(basis: DurationBasis) -> Verdict:
    """Say so where the basis is undecided, or contradicted by the data or by a part of them.

    Where the rules ask the data, a part of 200 telling calls that speaks the other way stops as
    the whole would: nobody has said yet what its seconds mean. A basis that an analyst pinned
    stands against a part, which is then named as a warning.
    """
    finding = _settled(basis) if basis.is_settled else _unsettled(basis)
    return Verdict.of(
        "duration-basis", finding, n_looked_at=basis.n_telling, n_needed=ENOUGH_PAIRS, what="telling calls"
    )


def _settled(basis: DurationBasis) -> Finding | None:
    says = basis.resolved
    agreeing = basis.n_billable if says == "billable" else basis.n_total
    if basis.n_telling - agreeing >= _WARNED_PAIRS and basis.may_have_parts():
        parts = basis.parts()
        against = parts[parts["says"].notna() & parts["says"].ne(says) & parts["n_telling"].ge(_WARNED_PAIRS)]
        # Users of one file are that file: the first column that shows all of it names it.
        shown = _most(against)
        if shown is not None:
            return _contradicted(basis, parts[parts["part"].eq(shown)], against[against["part"].eq(shown)])
    if basis.asked != "auto":
        return None
    message = (
        f"The API's durations are {says} seconds: {agreeing:,} of {basis.n_telling:,} telling calls agree."
    )
    advice = f'Pin it for the months to come: Rules(duration="{says}").'
    return Finding(
        "duration-basis", Severity.INFO, message, basis.to_frame(), advice, {"duration": basis.resolved}
    )


def _most(parts: pd.DataFrame) -> str | None:
    """Return the column whose parts hold most pairs, the first of several."""
    if len(parts) == 0:
        return None
    held = parts.groupby("part", sort=False)["n_telling"].sum()
    return str(held.idxmax())


def _contradicted(basis: DurationBasis, parts: pd.DataFrame, against: pd.DataFrame) -> Finding:
    says = basis.resolved
    agreeing = basis.n_billable if says == "billable" else basis.n_total
    is_stop = basis.asked == "auto" and bool(against["n_telling"].ge(ENOUGH_PAIRS).any())
    message = (
        f"The API's durations are {says} seconds in {agreeing:,} of {basis.n_telling:,} telling calls, but a part "
        f"says the opposite: {_listed(against)}."
    )
    advice = (
        "If that part's durations are wrong, pin the basis and correct them: "
        f'Rules(duration="{says}"); if they mean something else there, reconcile that part by itself.'
    )
    severity = Severity.STOP if is_stop else Severity.WARN
    return Finding("duration-basis", severity, message, basis.to_frame(parts), advice, {"duration": says})


def _unsettled(basis: DurationBasis) -> Finding:
    figures = f"{basis.n_billable:,} agree with billable and {basis.n_total:,} with total seconds"
    if basis.asked != "auto":
        message = f"The rules say {basis.asked} seconds, and the data contradict them: of {basis.n_telling:,} telling calls {figures}."
        advice = (
            f'Check what duration_seconds means here; Rules(duration="{basis.favoured}") would fit the data.'
        )
        return Finding(
            "duration-basis", Severity.STOP, message, basis.to_frame(), advice, {"duration": basis.favoured}
        )
    parts = basis.parts()
    split = _splitting(basis, parts)
    message = (
        f"It is undecided whether the API's durations are billable or total seconds: of {basis.n_telling:,} "
        f"telling calls {figures}; {ENOUGH_PAIRS} calls and {ENOUGH_SHARE:.0%} are needed."
    )
    advice = 'Find out what duration_seconds means here and pass Rules(duration="billable") or Rules(duration="total").'
    if split is not None:
        parts = parts[parts["part"].eq(split)]
        decided = parts[parts["says"].notna()]
        halves = [decided[decided["says"].eq(says)] for says in ("billable", "total")]
        said = " and ".join(
            f"{says} where it is {_listed(half)}"
            for says, half in zip(("billable", "total"), halves, strict=True)
        )
        message = f"{message[:-1]}. They part by {split}: {said}."
        advice = "Two systems are mixed: reconcile each part by itself, with the duration= that fits it."
    return Finding("duration-basis", Severity.STOP, message, basis.to_frame(parts), advice)


def _splitting(basis: DurationBasis, parts: pd.DataFrame) -> str | None:
    """Return the column that splits the pairs into those that say one basis and those that say the other."""
    best, purest = None, 0.0
    majority = max(basis.n_billable, basis.n_total) / max(basis.n_telling, 1)
    for column, rows in parts.groupby("part", sort=False):
        if set(rows["says"].dropna()) != {"billable", "total"}:
            continue
        # What is too small to speak counts as mixed as the whole is.
        pure = int(rows[["n_billable", "n_total"]].max(axis=1).sum())
        pure_share = (pure + majority * (basis.n_telling - int(rows["n_telling"].sum()))) / basis.n_telling
        if pure_share > purest:
            best, purest = str(column), pure_share
    return best if purest >= ENOUGH_SHARE else None


def _listed(parts: pd.DataFrame) -> str:
    rows = parts.head(_SHOWN).to_dict("records")
    said = []
    for row in rows:
        value = None if pd.isna(row["value"]) else str(row["value"])
        said.append(
            f"{named(row['part'], value)} ({row['n_' + row['says']]:,} of {row['n_telling']:,} {row['says']})"
        )
    more = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return f"{', '.join(said)}{more}"
