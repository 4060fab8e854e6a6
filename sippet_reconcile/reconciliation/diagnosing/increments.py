"""Tell real seconds of talk from billed increments.

Input are exactly matched pairs, output is one verdict. A carrier bills 61 seconds as 66,
or as 120: such seconds are right on the invoice and wrong as a duration. They are told
by what they are multiples of, and proven by real seconds of the same calls, from the API
or from the CDR's own answer and end, that give just these when rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from sippet_reconcile.reconciliation.diagnosing.parts import (
    columns,
    evenly,
    is_an_id,
    named,
    rows_of,
    split_by,
)
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.sides import gap_in_seconds

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["find_rounded_durations"]

_PAIRS: Final = 50
"""Pairs below which the lengths of calls may be multiples of anything by chance."""

_DISTINCT: Final = 5
"""Different lengths: announcements and tests last as long as they last, over and over."""

_SHARE: Final = 0.99
"""Share of multiples; the rest are other corrections of a carrier."""

_LONGEST_STEP: Final = 60
"""Nobody bills in larger increments than a minute."""

_PROVEN: Final = 0.9
"""Share of the calls whose real seconds must give the CDR's when rounded up; the others may be wrong."""

_ALIKE: Final = 0.9
"""Share of multiples among the API's seconds from which on both sides are rounded alike, and agree."""

_CLEAR_PAIRS: Final = 200
_CLEAR_DISTINCT: Final = 10
"""Without any proof, so many calls of so many lengths that are all multiples are no chance either."""

_SLACK_S: Final = 1
"""Real seconds are whole ones, rounded either way."""

_LONGEST_CALL: Final = 36_000
_SHORT: Final = 10
"""A first increment of fewer seconds than this cannot be told from calls that nobody takes for shorter."""

_AT_FIRST: Final = 0.05
"""Share of calls that must lie at the first increment for it to be one."""

_QUICK: Final = (6, 5)
"""Each increment in use but for rare ones is a multiple of one of these: enough to find the parts worth a look."""

_DOUBT: Final = 0.09
"""How much less than enough a value may show in a sample before all of its calls are looked at."""

_TELLING: Final = 20
"""Pairs of a part that a sample must have to rule it out."""

_MOST_PARTS: Final = 50
_STAMPS: Final = "its own answer and end"
_SHOWN: Final = 3


@dataclass(frozen=True)
class _Increment:
    """How some calls are rounded: the first increment, all further ones, and what speaks for it."""

    n_calls: int
    what: str
    initial_s: int
    step_s: int
    share: float
    api_share: float
    proven: float
    proof: str
    has_stamps: bool = False

    @property
    def words(self) -> str:
        return str(self.step_s) if self.initial_s == self.step_s else f"{self.initial_s}/{self.step_s}"

    @property
    def figures(self) -> str:
        """How the CDR's seconds are, beside the API's."""
        proof = f", and {self.proof} rounded up give just these in {self.proven:.1%}" if self.proof else ""
        if self.step_s == 1:
            return f"never below {self.initial_s} in {self.n_calls:,} {self.what}{proof}"
        first = f" from {self.initial_s} on" if self.initial_s != self.step_s else ""
        return (
            f"multiples of {self.step_s}{first} in {self.share:.1%} of {self.n_calls:,} {self.what}, the API's "
            f"in {self.api_share:.1%}{proof}"
        )


@dataclass(frozen=True, eq=False)
class _Talk:
    """Calls that lasted: the CDR's seconds of them, and on request the real ones.

    Attributes
    ----------
    sides
        The pairs.
    name
        The column of the CDR's seconds.
    what
        What these calls are.
    """

    sides: Sides
    name: str
    what: str

    def __len__(self) -> int:
        return len(self.sides)

    def at(self, rows: NDArray[np.int64]) -> _Talk:
        return _Talk(self.sides.at(rows), self.name, self.what)


@dataclass(frozen=True, eq=False)
class _Lengths:
    """How many calls have each length.

    Attributes
    ----------
    counts
        By whole seconds, the last one for all that are as long or longer.
    n_odd
        Calls of no whole number of seconds; these count by the seconds they had in full.
    """

    counts: NDArray[np.int64]
    n_odd: int

    @classmethod
    def of(cls, sides: Sides, name: str) -> _Lengths:
        billed = sides.cdr_seconds(name)
        whole = np.minimum(billed, _LONGEST_CALL).astype(np.int64)
        n_odd = int(np.count_nonzero((whole != billed) & (whole < _LONGEST_CALL)))
        return cls(np.bincount(whole), n_odd)

    def __add__(self, other: _Lengths) -> _Lengths:
        """Return the lengths of the calls of both."""
        counts = np.zeros(max(len(self.counts), len(other.counts)), np.int64)
        for part in (self, other):
            counts[: len(part.counts)] += part.counts
        return _Lengths(counts, self.n_odd + other.n_odd)

    def shape(self) -> tuple[int, int, float] | None:
        """Return the shortest usual seconds, what all are multiples of, and how many are."""
        counts, n = self.counts, int(self.counts.sum())
        lengths = np.flatnonzero(counts)
        if self.n_odd > (1 - _SHARE) * n or len(lengths) < _DISTINCT:
            return None
        step, share = 1, 1.0
        for longer in range(_LONGEST_STEP, 1, -1):
            share_of_longer = float(counts[::longer].sum()) / n
            if share_of_longer >= _SHARE:
                step, share = longer, share_of_longer
                break
        initial = int(lengths[np.searchsorted(np.cumsum(counts[lengths]), (1 - _SHARE) * n)])
        # The second may be a first increment.
        if step == 1 and (initial < _SHORT or counts[initial] < _AT_FIRST * n):
            return None
        return initial, step, share


def find_rounded_durations(sides: Sides, rules: Rules) -> Verdict:
    """Say so where the CDR's seconds are billed increments, of all calls or of a part of them.

    It takes 50 pairs of several lengths that are (but for 1 in 100) multiples of one
    increment, or of that from a first increment on, while real seconds of the same calls
    are not. Where both sides are rounded alike they agree, and nothing is said. Of calls
    of several legs each leg is rounded and not the time all of them took together, so
    calls of one leg are asked wherever there are enough of them.
    """
    name = "total_s" if rules.duration == "total" else "billable_s"
    lasted, of_one_leg = sides.told(_lasted, name)
    n_of_one = np.count_nonzero(of_one_leg)
    is_narrowed = _PAIRS <= n_of_one < np.count_nonzero(lasted)
    talked = np.flatnonzero(of_one_leg if is_narrowed else lasted)
    words = "matched calls of one leg" if is_narrowed else "matched calls"
    what = f"exactly {words} that lasted"
    if len(talked) < _PAIRS:
        return Verdict.of("rounded-durations", None, n_looked_at=len(talked), n_needed=_PAIRS, what=what)
    talk = _Talk(sides if len(talked) == len(sides) else sides.at(talked), name, words)
    whole = _measure(talk)
    rows: list[tuple[str, str | None, _Increment]]
    rows = [("all", None, whole)] if whole is not None else _parts(talk)
    finding = _finding(rows, name, len(talked), rules) if rows else None
    return Verdict.of("rounded-durations", finding, n_looked_at=len(talked), n_needed=_PAIRS, what=what)


def _lasted(sides: Sides, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Mark the pairs whose CDR call lasted, and those of them that have one leg."""
    lasted = sides.cdr_seconds(name) > 0
    return lasted, lasted & (sides.cdr_seconds("n_legs") == 1)


def _measure(talk: _Talk) -> _Increment | None:
    """Return the increment that calls are rounded to, or None."""
    if len(talk) < _PAIRS:
        return None
    lengths: _Lengths = talk.sides.summed(_Lengths.of, talk.name)
    shape = lengths.shape()
    return None if shape is None else _judged(talk, lengths, *shape)


def _judged(talk: _Talk, lengths: _Lengths, initial: int, step: int, share: float) -> _Increment | None:
    of_api, *proofs = talk.sides.summed(_count_proofs, talk.name, initial, step)
    n = len(talk)
    api_share = float(of_api[1] / of_api[0]) if of_api[0] and step > 1 else 0.0
    if api_share >= _ALIKE:
        return None
    best = _Increment(n, talk.what, step, step, share, api_share, 0.0, "")
    for proof, counts in zip(("the API's seconds", _STAMPS), proofs, strict=True):
        n_known, n_same, n_first, n_shorter, gives_step, gives_first = counts.tolist()
        if n_known < _PAIRS:
            continue
        # Where the real seconds are those of the CDR, nothing was rounded.
        if n_same / n_known >= _ALIKE:
            return None
        # Calls that really were far shorter are billed as the shortest one.
        has_first = initial > step and n_first / n_known >= _AT_FIRST
        has_first = has_first and n_shorter / n_first >= (0.5 if step == 1 else 0.2)
        first = initial if has_first else step
        if first == 1:
            continue
        proven = (gives_first if has_first else gives_step) / n_known
        has_stamps = proof == _STAMPS and proven >= _PROVEN
        if proven > best.proven:
            best = _Increment(n, talk.what, first, step, share, api_share, proven, proof)
        best = replace(best, has_stamps=has_stamps)
    if best.proven >= _PROVEN:
        return best
    is_clear = step > 1 and n >= _CLEAR_PAIRS and np.count_nonzero(lengths.counts) >= _CLEAR_DISTINCT
    return best if is_clear else None


def _count_proofs(sides: Sides, name: str, initial: int, step: int) -> NDArray[np.int64]:
    """Count what the real seconds of calls say of what is billed, in rows of six.

    First the API's seconds, how many there are and how many are multiples; then of these, and of
    the CDR's own stamps, how many are known, are those billed, are billed as the shortest
    ones and of these are far shorter, and give what is billed, rounded up to the step alone and from
    the shortest ones on.
    """
    whole = np.minimum(sides.cdr_seconds(name), _LONGEST_CALL).astype(np.int64)
    api = sides.call_seconds("duration_seconds")
    counted = api[api > 0]
    rows = [[len(counted), np.count_nonzero(np.mod(counted, step) == 0), 0, 0, 0, 0]]
    for real in (api, _seconds_of_stamps(sides, name)):
        known = np.flatnonzero(real > 0)
        seconds, billed = real[known], whole[known]
        is_first = billed == initial
        is_shorter = seconds[is_first] < initial - step - _SLACK_S
        masks = (
            np.abs(seconds - billed) <= _SLACK_S,
            is_first,
            is_shorter,
            _gives(seconds, billed, step, step),
            _gives(seconds, billed, initial, step),
        )
        rows.append([len(known), *(np.count_nonzero(mask) for mask in masks)])
    return np.array(rows, np.int64)


def _seconds_of_stamps(sides: Sides, name: str) -> NDArray[np.float64]:
    """Return the seconds between the CDR's own stamps; NaN where they are missing or show no seconds."""
    begins = "started_at" if name == "total_s" else "answered_at"
    gap = gap_in_seconds(sides.cdr_instants("ended_at"), sides.cdr_instants(begins))
    return np.where(sides.cdr_flags("is_coarse"), np.nan, gap)


def _gives(real: NDArray[np.float64], whole: NDArray[np.int64], initial: int, step: int) -> NDArray[np.bool_]:
    """Mark the calls whose real seconds, give or take one, are rounded up to what is billed."""
    fits = np.zeros(len(real), np.bool_)
    for slack in (-_SLACK_S, 0, _SLACK_S):
        seconds = real + slack
        billed = np.where(seconds <= initial, initial, initial + np.ceil((seconds - initial) / step) * step)
        fits |= billed == whole
    return fits


def _parts(talk: _Talk) -> list[tuple[str, str | None, _Increment]]:
    """Return the parts that are rounded while the whole is not, by the column that shows most of them."""
    best: list[tuple[str, str | None, _Increment]] = []
    multiples: tuple[NDArray[np.bool_], ...] = ()
    screen = talk.at(evenly(len(talk)))
    for column in columns(talk.sides, users=False):
        if len(screen) < len(talk) and not _may_be_rounded(screen, column):
            continue
        multiples = multiples or talk.sides.told(_multiples, talk.name)
        split = split_by(talk.sides, column, *multiples)
        if split is None:
            continue
        counts, *quick = split.counts
        likely = (counts >= _PAIRS) & np.any([some >= _SHARE * counts for some in quick], axis=0)
        places = np.flatnonzero(likely)
        places = places[np.argsort(-counts[places], kind="stable")][:_MOST_PARTS]
        found = []
        for place in places.tolist():
            value = split.words[place]
            increment = _measure(talk.at(rows_of(talk.sides, column, value)))
            if increment is not None:
                found.append((column, value, increment))
        if sum(row[2].n_calls for row in found) > sum(row[2].n_calls for row in best):
            best = found
    return best


def _multiples(sides: Sides, name: str) -> tuple[NDArray[np.bool_], ...]:
    billed = sides.cdr_seconds(name)
    whole = np.minimum(billed, _LONGEST_CALL).astype(np.int32)
    return tuple((whole % step == 0) & ((whole == billed) | (whole == _LONGEST_CALL)) for step in _QUICK)


def _may_be_rounded(screen: _Talk, column: str) -> bool:
    """Tell from a sample whether a value of a column may be rounded, or is too rare in the sample to tell."""
    if is_an_id(screen.sides, column):
        return False
    is_of_cdr = column == "source_file" or column.startswith("x_")
    known = screen.sides.of_cdr.words(column) if is_of_cdr else []
    split = split_by(screen.sides, column, *screen.sides.told(_multiples, screen.name))
    if split is None:
        return len(known) > 1
    counts, *quick = split.counts
    likely = np.zeros(len(counts), np.bool_)
    for some in quick:
        likely |= (counts > 0) & (some >= (_SHARE - _DOUBT) * counts)
    likely |= (counts > 0) & (counts < _TELLING)
    return bool(likely.any() or len(known) > np.count_nonzero(counts[:-1]))


def _finding(
    rows: list[tuple[str, str | None, _Increment]], name: str, n_calls: int, rules: Rules
) -> Finding:
    evidence = pd.DataFrame(
        {
            "part": pd.Series([part for part, _, _ in rows], dtype="str"),
            "value": pd.Series([value for _, value, _ in rows], dtype="str"),
            "n_calls": pd.Series([found.n_calls for *_, found in rows], dtype="Int64"),
            "initial_s": pd.Series([found.initial_s for *_, found in rows], dtype="Int64"),
            "increment_s": pd.Series([found.step_s for *_, found in rows], dtype="Int64"),
            "share_of_multiples": pd.Series([found.share for *_, found in rows], dtype="Float64"),
            "api_share_of_multiples": pd.Series([found.api_share for *_, found in rows], dtype="Float64"),
            "proven_share": pd.Series([found.proven for *_, found in rows], dtype="Float64"),
        }
    )
    column = name.removesuffix("_s")
    part, _, first = rows[0]
    where = ""
    if part != "all":
        listed = ", ".join(
            f"{named(part, value)} ({found.words}, {found.n_calls:,} calls)"
            for part, value, found in rows[:_SHOWN]
        )
        more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
        where = f" Of {n_calls:,} calls only a part is rounded: {listed}{more}."
    message = f"The CDR's {column} seconds are {first.figures}: the export holds billed increments, not durations.{where}"
    gap = max(max(found.initial_s, found.step_s) for *_, found in rows) - 1
    reread = all(found.has_stamps for *_, found in rows)
    is_within = rules.duration_tolerance_s >= gap
    advice = (
        "Read the export again without its billed column: answer and end are there, and give the real seconds."
        if reread
        else "Export the real seconds (an answer and an end time will do)."
    )
    advice += " Until then leave duration_seconds out of the plan" + (
        "."
        if is_within
        else f"; Rules(duration_tolerance_s={gap}) hides what lies within an increment, and makes none of these seconds a duration to write."
    )
    cure = {} if is_within else {"duration_tolerance_s": gap}
    return Finding("rounded-durations", Severity.STOP, message, evidence, advice, cure)
