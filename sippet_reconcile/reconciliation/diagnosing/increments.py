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
    SCREENED,
    columns,
    evenly,
    is_an_id,
    named,
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

_SAMPLE: Final = 2_000
_DOUBT: Final = 0.09
"""How much less than enough a sample may show before the whole is looked at."""

_TELLING: Final = 20
"""Pairs of a part that a sample must have to rule it out."""

_MOST_PARTS: Final = 50
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
    """The CDR's seconds of calls that lasted, and on request the real ones of the same calls."""

    sides: Sides
    billed: NDArray[np.float64]
    begins: str
    what: str

    def at(self, rows: NDArray[np.int64]) -> _Talk:
        return _Talk(self.sides.at(rows), self.billed[rows], self.begins, self.what)

    def of_api(self) -> NDArray[np.float64]:
        return self.sides.call_seconds("duration_seconds")

    def of_stamps(self) -> NDArray[np.float64]:
        """Return the seconds between the CDR's own stamps; NaN where they are missing or show no seconds."""
        gap = gap_in_seconds(self.sides.cdr_instants("ended_at"), self.sides.cdr_instants(self.begins))
        return np.where(self.sides.cdr_flags("is_coarse"), np.nan, gap)


def find_rounded_durations(sides: Sides, rules: Rules) -> Verdict:
    """Say so where the CDR's seconds are billed increments, of all calls or of a part of them.

    It takes 50 pairs of several lengths that are (but for 1 in 100) multiples of one
    increment, or of that from a first increment on, while real seconds of the same calls
    are not. Where both sides are rounded alike they agree, and nothing is said. Of calls
    of several legs each leg is rounded and not the time all of them took together, so
    calls of one leg are asked wherever there are enough of them.
    """
    name = "total_s" if rules.duration == "total" else "billable_s"
    cdr = sides.cdr_seconds(name)
    lasted = cdr > 0
    of_one_leg = lasted & (sides.cdr_seconds("n_legs") == 1)
    n_of_one = np.count_nonzero(of_one_leg)
    is_narrowed = _PAIRS <= n_of_one < np.count_nonzero(lasted)
    talked = np.flatnonzero(of_one_leg if is_narrowed else lasted)
    words = "matched calls of one leg" if is_narrowed else "matched calls"
    what = f"exactly {words} that lasted"
    if len(talked) < _PAIRS:
        return Verdict.of("rounded-durations", None, n_looked_at=len(talked), n_needed=_PAIRS, what=what)
    begins = "started_at" if rules.duration == "total" else "answered_at"
    part = sides if len(talked) == len(sides) else sides.at(talked)
    talk = _Talk(part, cdr[talked], begins, words)
    whole = _measure(talk)
    rows: list[tuple[str, str | None, _Increment]]
    rows = [("all", None, whole)] if whole is not None else _parts(talk)
    finding = _finding(rows, name, len(talked), rules) if rows else None
    return Verdict.of("rounded-durations", finding, n_looked_at=len(talked), n_needed=_PAIRS, what=what)


def _measure(talk: _Talk) -> _Increment | None:
    """Return the increment that calls are rounded to, or None."""
    n = len(talk.billed)
    # Where a sample is far from any increment the rest cannot make up for it.
    if n > SCREENED and _shape(talk.billed[evenly(n, _SAMPLE)], _SHARE - _DOUBT) is None:
        return None
    shape = _shape(talk.billed, _SHARE) if n >= _PAIRS else None
    return None if shape is None else _judged(talk, *shape)


def _shape(billed: NDArray[np.float64], enough: float) -> tuple[NDArray[np.int64], int, int, float] | None:
    """Return the seconds as whole ones, the shortest usual ones, what all are multiples of, and how many are."""
    whole = np.minimum(billed, _LONGEST_CALL).astype(np.int64)
    n = len(whole)
    if np.count_nonzero((whole != billed) & (whole < _LONGEST_CALL)) > (1 - enough) * n:
        return None
    counts = np.bincount(whole)
    lengths = np.flatnonzero(counts)
    if len(lengths) < _DISTINCT:
        return None
    step, share = 1, 1.0
    for longer in range(_LONGEST_STEP, 1, -1):
        share_of_longer = float(counts[::longer].sum()) / n
        if share_of_longer >= enough:
            step, share = longer, share_of_longer
            break
    initial = int(lengths[np.searchsorted(np.cumsum(counts[lengths]), (1 - _SHARE) * n)])
    # The second may be a first increment; a little less of it is enough in a sample.
    if step == 1 and (initial < _SHORT or counts[initial] < _AT_FIRST * n * enough / _SHARE * (1 - _DOUBT)):
        return None
    return whole, initial, step, share


def _judged(
    talk: _Talk, whole: NDArray[np.int64], initial: int, step: int, share: float
) -> _Increment | None:
    api, stamps = talk.of_api(), talk.of_stamps()
    counted = api[api > 0]
    api_share = float((np.mod(counted, step) == 0).mean()) if len(counted) and step > 1 else 0.0
    if api_share >= _ALIKE:
        return None
    best = _Increment(len(whole), talk.what, step, step, share, api_share, 0.0, "")
    for proof, real in (("the API's seconds", api), ("its own answer and end", stamps)):
        known = np.flatnonzero(real > 0)
        if len(known) < _PAIRS:
            continue
        # Where the real seconds are those of the CDR, nothing was rounded.
        if float((np.abs(real[known] - whole[known]) <= _SLACK_S).mean()) >= _ALIKE:
            return None
        first = initial if _has_first(whole[known], real[known], initial, step) else step
        if first == 1:
            continue
        proven = float(_gives(real[known], whole[known], first, step).mean())
        has_stamps = real is stamps and proven >= _PROVEN
        if proven > best.proven:
            best = _Increment(len(whole), talk.what, first, step, share, api_share, proven, proof)
        best = replace(best, has_stamps=has_stamps)
    if best.proven >= _PROVEN:
        return best
    is_clear = step > 1 and len(whole) >= _CLEAR_PAIRS and len(np.unique(whole)) >= _CLEAR_DISTINCT
    return best if is_clear else None


def _has_first(whole: NDArray[np.int64], real: NDArray[np.float64], initial: int, step: int) -> bool:
    """Tell whether calls that really were far shorter are billed as the shortest one."""
    if initial <= step or (whole == initial).mean() < _AT_FIRST:
        return False
    shortest = real[whole == initial]
    return bool((shortest < initial - step - _SLACK_S).mean() >= (0.5 if step == 1 else 0.2))


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
    multiples: list[NDArray[np.bool_]] = []
    screen = talk.at(evenly(len(talk.billed)))
    for column in columns(talk.sides, users=False):
        if len(screen.billed) < len(talk.billed) and not _may_be_rounded(screen, column):
            continue
        split = split_by(talk.sides, column)
        if split is None:
            continue
        multiples = multiples or _multiples(talk.billed)
        counts = split.counts()
        quick = [split.counts(mask) for mask in multiples]
        likely = (counts >= _PAIRS) & np.any([some >= _SHARE * counts for some in quick], axis=0)
        places = np.flatnonzero(likely)
        places = places[np.argsort(-counts[places], kind="stable")][:_MOST_PARTS]
        found = []
        for place in places.tolist():
            increment = _measure(talk.at(np.flatnonzero(split.codes == place)))
            if increment is not None:
                found.append((split.column, split.words[place], increment))
        if sum(row[2].n_calls for row in found) > sum(row[2].n_calls for row in best):
            best = found
    return best


def _multiples(billed: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    whole = np.minimum(billed, _LONGEST_CALL).astype(np.int32)
    return [(whole % step == 0) & ((whole == billed) | (whole == _LONGEST_CALL)) for step in _QUICK]


def _may_be_rounded(screen: _Talk, column: str) -> bool:
    """Tell from a sample whether a value of a column may be rounded, or is too rare in the sample to tell."""
    if is_an_id(screen.sides, column):
        return False
    is_of_cdr = column == "source_file" or column.startswith("x_")
    known = screen.sides.of_cdr.codes(column)[1] if is_of_cdr else []
    split = split_by(screen.sides, column)
    if split is None:
        return len(known) > 1
    counts = split.counts()
    likely = np.zeros(len(counts), np.bool_)
    for mask in _multiples(screen.billed):
        likely |= (counts > 0) & (split.counts(mask) >= (_SHARE - _DOUBT) * counts)
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
