"""Say why a difference may not be corrected: what the API does not let, and what the CDR does not prove.

Input are the differing rows, the clock offset already removed; output is a code per
row that names the reason. It is said once, here, and travels with the discrepancy, so
that what is not planned and the reason given for it cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.reconciliation.core import QUARTER_S, QUARTER_SLACK_S, Confidence, MatchRule
from sippet_reconcile.reconciliation.sides import Sides, gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import ANSWERED, UNANSWERED, normal_word, status_words
from sippet_reconcile.schema import LEG_STATUSES, MAX_SECONDS, PATCHABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.common import Common
    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["END_DOUBTS", "NOT_CORRECTABLE", "START_ONLY", "doubts_of_end", "why_not"]

NOT_CORRECTABLE: Final = "the API does not let it be corrected"
START_ONLY: Final = "the call has no start, so only its status may be corrected"
_LOW: Final = (
    "nothing but numbers that fit and starts in the window say that it is the same call (confidence low)"
)
_TOO_LONG: Final = f"the CDR's seconds are more than the {MAX_SECONDS} that the API takes"
_CUT: Final = (
    "its seconds are put together from legs that are cut to whole seconds, and that may be all the difference"
)
_VOCABULARY: Final = "nearly all calls whose CDR says the same have this word: a matter of vocabulary, for status_map of the rules"
_NO_VALUE: Final = "the CDR gives no value that the API takes"

END_DOUBTS: Final = (
    "its end is a local time that daylight saving skips or repeats",
    "its times are printed without seconds",
    "its start and end differ alike: a clock, not the end",
    "its start is off by whole quarter hours, as a clock is and no end",
    "it is whole quarter hours from where the CDR's own seconds end",
    "its start is off by more than clocks may be, and without an id nothing tells how far apart the clocks are",
)
"""Why an end is not known well enough to be written, by code; the first that holds is given."""

_DAYLIGHT, _COARSE, _ALIKE, _ZONE, _OWN_SECONDS, _UNPROVEN = range(len(END_DOUBTS))


_REASONS: Final = (NOT_CORRECTABLE, START_ONLY, _LOW, *END_DOUBTS, _TOO_LONG, _CUT, _VOCABULARY, _NO_VALUE)

_ENOUGH_ALIKE: Final = 20
"""Calls of one CDR status from which on it is no accident that they share a word of the API."""

_NEARLY_ALL: Final = 0.95

_MOST_CUT_S: Final = 3
"""What is lost between legs, in seconds, however many there are: few of them talked."""


def why_not(
    sides: Sides,
    rows: NDArray[np.int64],
    fields: Sequence[str],
    field_codes: NDArray[np.int64],
    *,
    has_value: NDArray[np.bool_],
    basis_s: NDArray[np.float64],
    rounded_s: NDArray[np.float64],
    common: Common,
    rules: Rules,
) -> pa.LargeStringArray:
    """Return for each differing row why a plan may not correct it; missing where it may.

    Parameters
    ----------
    sides
        All compared pairs.
    rows
        The pair of each differing row.
    fields, field_codes
        The names of the fields, and each row's position among them.
    has_value
        Marks the rows that have a value to write.
    basis_s, rounded_s
        The CDR's seconds on the chosen basis, and those that would be written as a duration.
    common
        What holds for all pairs: how often two statuses meet.
    rules
        The rules, with the basis of durations settled.
    """
    at = sides.at(rows)
    is_field = {name: field_codes == place for place, name in enumerate(fields)}
    may_be_corrected = np.isin(field_codes, [fields.index(name) for name in PATCHABLE if name in fields])
    no_start = np.isnat(at.call_instants("started_at"))
    ends = np.flatnonzero(is_field["ended_at"])
    doubts = np.full(len(field_codes), -1, np.int8)
    part = at.at(ends)
    doubts[ends] = doubts_of_end(
        (part.call_instants("started_at"), part.call_instants("ended_at")),
        (part.cdr_instants("started_at"), part.cdr_instants("ended_at")),
        has_time_problem=part.cdr_known("time_problem"),
        is_coarse=part.cdr_flags("is_coarse"),
        total_s=part.cdr_seconds("total_s"),
        is_known_call=part.rule != MatchRule.NUMBERS_AND_TIME,
        tolerance_s=rules.time_tolerance_s,
    )
    is_duration = is_field["duration_seconds"]
    is_cut = is_duration.copy()
    is_cut[is_duration] = _may_be_cut(at.at(np.flatnonzero(is_duration)), basis_s[is_duration], rules)
    is_word = is_field["status"].copy()
    is_word[is_word] = _is_vocabulary(at.at(np.flatnonzero(is_word)), common, rules)
    tests = (
        ~may_be_corrected,
        no_start & ~is_field["status"],
        at.confidence == Confidence.LOW,
        *(doubts == code for code in range(len(END_DOUBTS))),
        is_duration & (rounded_s > MAX_SECONDS),
        is_cut,
        is_word,
        ~has_value,
    )
    # The first that holds gives the reason.
    codes = np.select(tests, range(len(_REASONS)), default=-1)
    return pa.array(_REASONS, pa.large_string()).take(pa.array(codes, mask=codes < 0))


def _may_be_cut(at: Sides, basis_s: NDArray[np.float64], rules: Rules) -> NDArray[np.bool_]:
    """Mark calls of several legs whose difference is no more than what each of them lost by being cut.

    A switch that writes whole seconds loses up to one per leg, and up to one between two of them.
    Where the call has the seconds of one leg, it lost no more than that one; and total
    seconds are those between two stamps, however many legs there are.
    """
    if rules.duration == "total":
        return np.zeros(len(at), np.bool_)
    n_legs = at.cdr_seconds("n_legs")
    of_one_leg = (basis_s == at.cdr_seconds("first_billable_s")) | (
        basis_s == at.cdr_seconds("last_billable_s")
    )
    gap_s = np.abs(micros(basis_s) - micros(at.call_seconds("duration_seconds")))
    lost = micros(rules.duration_tolerance_s + np.minimum(n_legs - 1, _MOST_CUT_S))
    return (n_legs > 1) & ~of_one_leg & (basis_s == np.floor(basis_s)) & (gap_s <= lost)


def _is_vocabulary(at: Sides, common: Common, rules: Rules) -> NDArray[np.bool_]:
    """Mark wrong statuses that nearly all calls of their CDR status have in common: another word for the same.

    Asked is only between words for calls that nobody answered, and where the rules know
    nothing of the API's word: that answered calls are shown unanswered, or still open, may
    well be wrong of all. Whoever maps the CDR's word in the rules is believed.
    """
    if not len(at):
        return np.zeros(0, np.bool_)
    cdr_codes, cdr_words = at.cdr_codes("status")
    call_codes, call_words = at.call_codes("status")
    # The last row and column stand for what is missing, whose code is -1.
    places = {word: place for place, word in enumerate([*call_words, None])}
    counts = np.zeros((len(cdr_words) + 1, len(places)), np.int64)
    n_calls = np.zeros((len(cdr_words) + 1, 1), np.int64)
    rows_of = {word: row for row, word in enumerate([*cdr_words, None])}
    for (cdr_word, call_word), n in common.statuses.items():
        if cdr_word in rows_of:
            n_calls[rows_of[cdr_word]] += n
            if call_word in places:
                counts[rows_of[cdr_word], places[call_word]] = n
    holds = (counts >= _NEARLY_ALL * n_calls) & (n_calls >= _ENOUGH_ALIKE)
    meanings = status_words(LEG_STATUSES, {}, rules)
    known = frozenset(map(normal_word, rules.open_statuses)).union(*(m.agreeing for m in meanings.values()))
    unanswered = known - frozenset[str]().union(*(meanings[word].agreeing for word in ANSWERED))
    unanswered -= frozenset(map(normal_word, rules.open_statuses))
    mapped = {normal_word(word) for word in rules.status_map}
    for row, cdr_word in enumerate(cdr_words):
        for column, word in enumerate(map(normal_word, call_words)):
            same = word not in known or (cdr_word in UNANSWERED and word in unanswered)
            holds[row, column] &= same and normal_word(cdr_word) not in mapped
    holds[-1, :] = holds[:, -1] = False
    marked: NDArray[np.bool_] = holds[cdr_codes, call_codes]
    return marked


def doubts_of_end(
    call: tuple[NDArray[np.datetime64], NDArray[np.datetime64]],
    cdr: tuple[NDArray[np.datetime64], NDArray[np.datetime64]],
    *,
    has_time_problem: NDArray[np.bool_],
    is_coarse: NDArray[np.bool_],
    total_s: NDArray[np.float64],
    is_known_call: NDArray[np.bool_],
    tolerance_s: float,
) -> NDArray[np.int8]:
    """Return per row a position in `END_DOUBTS`; -1 where nothing speaks against the CDR's end.

    Where both ends of a call are off by the same seconds, and by more than clocks may
    be, two clocks differ and nobody knows which is right. Where the API has no end to
    compare, a start that is off by whole quarter hours says the same. So does an end that
    is whole quarter hours from start plus total seconds: of two stamps one is in another zone.
    Where nothing tells how far apart two clocks are, a start that is off by more than
    clocks may be leaves the end unknown as well.

    Parameters
    ----------
    call, cdr
        Start and end of each side.
    has_time_problem
        Marks the rows whose local time daylight saving skips or repeats.
    is_coarse
        Marks the rows whose times are printed without seconds.
    total_s
        The CDR's seconds with ringing; NaN where it counts none.
    is_known_call
        Marks the rows that an id matched: from these the clocks of both sides are judged.
    tolerance_s
        How far clocks may be apart.

    Examples
    --------
    >>> at = [np.array([f"2026-10-01T{time}"], "datetime64[us]") for time in ("08:00:00", "08:01:00")]
    >>> later = [instants + np.timedelta64(5, "s") for instants in at]
    >>> options = {"has_time_problem": np.array([False]), "is_coarse": np.array([False])}
    >>> options |= {"total_s": np.array([60.0]), "is_known_call": np.array([True]), "tolerance_s": 2}
    >>> doubts_of_end((at[0], at[1]), (later[0], later[1]), **options).tolist()
    [2]
    >>> doubts_of_end((at[0], at[1]), (at[0], later[1]), **options).tolist()
    [-1]
    """
    start_gap = gap_in_seconds(cdr[0], call[0])
    end_gap = gap_in_seconds(cdr[1], call[1])
    tolerance = micros(tolerance_s)
    is_off = np.abs(micros(start_gap)) > tolerance
    is_alike = is_off & (np.abs(micros(end_gap) - micros(start_gap)) <= tolerance)
    is_zone = _is_quarters(start_gap) & np.isnan(end_gap) & ~np.isnat(cdr[1])
    is_torn = _is_quarters(gap_in_seconds(cdr[1], cdr[0]) - total_s)
    tests = (
        (_DAYLIGHT, has_time_problem),
        (_COARSE, is_coarse),
        (_ALIKE, is_alike),
        (_ZONE, is_zone),
        (_OWN_SECONDS, is_torn),
        (_UNPROVEN, is_off & ~is_known_call),
    )
    codes = np.full(len(start_gap), -1, np.int8)
    # The first that holds gives the reason, so the last is written first.
    for code, holds in reversed(tests):
        codes[holds] = code
    return codes


def _is_quarters(gap_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Mark gaps of about a whole number of quarter hours, one at least."""
    quarters = np.rint(gap_s / QUARTER_S)
    close: NDArray[np.bool_] = (quarters != 0) & (np.abs(gap_s - quarters * QUARTER_S) <= QUARTER_SLACK_S)
    return close
