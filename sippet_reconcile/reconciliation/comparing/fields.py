"""How each field of a matched call is compared, and how both of its values are written.

Input are both sides of some pairs, output is how each of them stands, and for those that
differ the text of both values. What holds for all pairs is worked out once, when the
fields are made; everything else looks at one pair alone, so pairs may come in blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.comparing.standing import PairStanding, Standing, stand
from sippet_reconcile.reconciliation.core import MICROS, blocks_of
from sippet_reconcile.reconciliation.numbers import compare_numbers, shown_numbers
from sippet_reconcile.reconciliation.sides import gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import normal_word, not_contradicted, status_words
from sippet_reconcile.schema import text_array
from sippet_reconcile.values import instants_to_text, seconds_to_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.comparing.common import Common
    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Sides

__all__ = ["COMPARED_FIELDS", "Field", "basis_of", "fields_of", "round_seconds"]

COMPARED_FIELDS: Final = (
    "status",
    "duration_seconds",
    "ended_at",
    "started_at",
    "direction",
    "from_number",
    "to_number",
    "sip_username",
)
"""The attributes of a call that a CDR says something about, in the order they are reported."""

_Meaning: TypeAlias = "tuple[frozenset[str], str | None]"


class Field(NamedTuple):
    """One field of a call.

    Attributes
    ----------
    compare
        Tells how each of some pairs stands.
    write
        Returns for some pairs the value of the API and that of the CDR, both in API form.
    """

    compare: Callable[[Sides], PairStanding]
    write: Callable[[Sides], tuple[pa.Array, pa.Array]]


def fields_of(
    sides: Sides, common: Common, rules: Rules, names: Sequence[str] = COMPARED_FIELDS
) -> dict[str, Field]:
    """Return the compared fields by name.

    Parameters
    ----------
    sides
        All pairs: what words there are on either side is asked of the whole.
    common
        What holds for all pairs alike.
    rules
        With the basis of durations settled.
    names
        Which fields, in the order in which they are reported.
    """
    makers: dict[str, Callable[[], Field]] = {
        "status": lambda: _status(sides, common, rules),
        "duration_seconds": lambda: _duration(rules),
        "ended_at": lambda: _instant(sides, "ended_at", common, rules),
        "started_at": lambda: _instant(sides, "started_at", common, rules),
        "direction": lambda: _direction(sides),
        "from_number": lambda: _number("from", rules),
        "to_number": lambda: _number("to", rules),
        "sip_username": lambda: _username(sides),
    }
    return {name: makers[name]() for name in names}


def basis_of(sides: Sides, rules: Rules) -> NDArray[np.float64]:
    """Return the CDR's seconds of every pair on the chosen basis; NaN where unknown."""
    return sides.cdr_seconds("billable_s" if rules.duration != "total" else "total_s")


def round_seconds(seconds: NDArray[np.float64], rounding: str) -> NDArray[np.float64]:
    """Return whole seconds; what is finer than a microsecond counts as noise, NaN stays NaN.

    Examples
    --------
    >>> [round_seconds(np.array([2.5, 0.49, 61.0]), how).tolist() for how in ("half_up", "floor", "ceil")]
    [[3.0, 0.0, 61.0], [2.0, 0.0, 61.0], [3.0, 1.0, 61.0]]
    """
    rounded = np.empty(len(seconds))
    for at in blocks_of(len(seconds)):
        whole, block = micros(seconds[at]), rounded[at]
        if rounding == "half_up":
            np.floor((whole + MICROS // 2) / MICROS, out=block)
        elif rounding == "floor":
            np.floor(whole / MICROS, out=block)
        else:
            np.ceil(whole / MICROS, out=block)
    return rounded


def _duration(rules: Rules) -> Field:
    def compare(at: Sides) -> PairStanding:
        fetched, seconds = at.call_seconds("duration_seconds"), basis_of(at, rules)
        unanswered = ~at.cdr_flags("is_answered")
        counted = np.where(unanswered & np.isnan(fetched), 0.0, fetched)
        gap = micros(seconds) - micros(counted)
        # A negative duration is a defect of the export and proves nothing.
        known = seconds >= 0
        too_far = np.isnan(counted) | (np.abs(gap) > micros(rules.duration_tolerance_s))
        # Where rounding arrives at the value the API already has, there is nothing to write.
        same = round_seconds(seconds, rules.duration_rounding) == counted
        return PairStanding(stand(known, same=same, too_far=too_far), gap / MICROS)

    def write(at: Sides) -> tuple[pa.Array, pa.Array]:
        rounded = round_seconds(basis_of(at, rules), rules.duration_rounding)
        return _digits(at.call_seconds("duration_seconds")), _digits(rounded)

    return Field(compare, write)


def _digits(seconds: NDArray[np.float64]) -> pa.Array:
    return text_array(seconds_to_text(pd.Series(seconds)))


def _instant(sides: Sides, name: str, common: Common, rules: Rules) -> Field:
    has_fractions = sides.of_cdr.show_fractions(name)

    def whole_seconds(cdr: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
        return _whole_seconds(cdr) if has_fractions else cdr

    def compare(at: Sides) -> PairStanding:
        call, cdr, gap_s = at.call_instants(name), at.cdr_instants(name), at.gap_s(name)
        is_coarse, whole = at.cdr_flags("is_coarse"), whole_seconds(cdr)
        written, seen_gap_s = whole, gap_s
        if common.keeps_fractions:
            written = cdr
            # A stamp without a fraction was cut: it stands for its whole second, and so does what it is held against.
            cut_gap_s = gap_in_seconds(cdr, np.where(cdr == whole, _whole_seconds(call), call))
            seen_gap_s = np.where(is_coarse, gap_s, cut_gap_s) if is_coarse.any() else cut_gap_s
        too_far = np.isnat(call) | (np.abs(micros(seen_gap_s)) > micros(rules.time_tolerance_s))
        # A stamp without seconds agrees with every moment of its minute.
        same = (written == call) | (is_coarse & (gap_s == 0))
        return PairStanding(stand(~np.isnat(cdr), same=same, too_far=too_far), gap_s)

    def write(at: Sides) -> tuple[pa.Array, pa.Array]:
        cdr = at.cdr_instants(name)
        written = cdr if common.keeps_fractions else whole_seconds(cdr)
        return _instant_text(at.call_instants(name)), _instant_text(written)

    return Field(compare, write)


def _whole_seconds(instants: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    return instants.astype("datetime64[s]").astype("datetime64[us]")


def _instant_text(instants: NDArray[np.datetime64]) -> pa.Array:
    return text_array(instants_to_text(pd.Series(instants).dt.tz_localize("UTC")))


def _by_words(sides: Sides, name: str, meanings: Callable[[list[str]], list[_Meaning]]) -> Field:
    """Compare a column of few distinct words: settle each pair of words once, then look it up."""
    call_words, cdr_words = sides.of_calls.codes(name)[1], sides.of_cdr.codes(name)[1]
    meaning = meanings(cdr_words)
    normal_call = [normal_word(word) for word in call_words]
    # The last row and the first column stand for a missing word, whose code is -1: the row is counted from the end.
    table = np.full((len(cdr_words) + 1, len(call_words) + 1), Standing.NO_EVIDENCE, np.int8)
    for row, (agreeing, _) in enumerate(meaning):
        if agreeing:
            table[row, 0] = Standing.DIFFERS
            table[row, 1:] = [Standing.AGREES if w in agreeing else Standing.DIFFERS for w in normal_call]
    call_text = pa.array([*call_words, None], pa.large_string())
    cdr_text = pa.array([*(written for _, written in meaning), None], pa.large_string())

    def compare(at: Sides) -> PairStanding:
        return PairStanding(table[at.cdr_codes(name)[0], at.call_codes(name)[0] + 1])

    def write(at: Sides) -> tuple[pa.Array, pa.Array]:
        return (
            call_text.take(pa.array(at.call_codes(name)[0] % len(call_text))),
            cdr_text.take(pa.array(at.cdr_codes(name)[0] % len(cdr_text))),
        )

    return Field(compare, write)


def _status(sides: Sides, common: Common, rules: Rules) -> Field:
    def meanings(cdr_words: list[str]) -> list[_Meaning]:
        words = status_words(cdr_words, common.call_statuses, rules)
        return [(words[word].agreeing, words[word].written) for word in cdr_words]

    by_words = _by_words(sides, "status", meanings)

    def compare(at: Sides) -> PairStanding:
        found = by_words.compare(at)
        found.standing[_not_told_apart(at, np.flatnonzero(found.standing == Standing.DIFFERS), rules)] = (
            Standing.NO_EVIDENCE
        )
        return found

    return Field(compare, by_words.write)


def _not_told_apart(sides: Sides, rows: NDArray[np.int64], rules: Rules) -> NDArray[np.int64]:
    """Return those of some rows whose CDR has one word for all that nobody answered, among it what the API says."""
    codes, words = sides.cdr_codes("status")
    unanswered = [place for place, word in enumerate(words) if word == "no_answer"]
    rows = rows[np.isin(codes[rows], unanswered)]
    if not len(rows):
        return rows
    causes = sides.at(rows).cdr_text("cause").dictionary_encode()
    call_codes, call_words = sides.call_codes("status")
    # The last row and column stand for what is missing, whose code is -1.
    holds = np.zeros((len(causes.dictionary) + 1, len(call_words) + 1), np.bool_)
    for place, cause in enumerate(causes.dictionary.to_pylist()):
        allowed = not_contradicted(cause, rules)
        holds[place, :-1] = [normal_word(word) in allowed for word in call_words]
    cause_codes = causes.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return rows[holds[cause_codes, call_codes[rows]]]


def _direction(sides: Sides) -> Field:
    def meanings(cdr_words: list[str]) -> list[_Meaning]:
        return [(frozenset({normal_word(word)} - {""}), word) for word in cdr_words]

    return _by_words(sides, "direction", meanings)


def _number(party: str, rules: Rules) -> Field:
    def compare(at: Sides) -> PairStanding:
        agrees, is_known = compare_numbers(at, party, rules.number_digits)
        return PairStanding(stand(is_known, same=agrees, too_far=np.ones(len(at), np.bool_)))

    def write(at: Sides) -> tuple[pa.Array, pa.Array]:
        return at.call_text(f"{party}_number"), shown_numbers(at, party)

    return Field(compare, write)


def _username(sides: Sides) -> Field:
    call_words, cdr_words = sides.of_calls.codes("sip_username")[1], sides.of_cdr.codes("sip_username")[1]
    # Each distinct name is brought into its plain form once; -1 finds the missing one at the end.
    words = pa.array([*call_words, *cdr_words], pa.large_string())
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(words)).dictionary_encode()
    plain_codes: NDArray[Any] = plain.indices.to_numpy(zero_copy_only=False)
    of_call_word = np.append(plain_codes[: len(call_words)], -1)
    of_cdr_word = np.append(plain_codes[len(call_words) :], -1)
    is_name = np.array([bool(name) for name in plain.dictionary.to_pylist()] + [False])

    def compare(at: Sides) -> PairStanding:
        in_call = of_call_word[at.call_codes("sip_username")[0]]
        in_cdr = of_cdr_word[at.cdr_codes("sip_username")[0]]
        too_far = np.ones(len(at), np.bool_)
        return PairStanding(stand(is_name[in_cdr], same=in_call == in_cdr, too_far=too_far))

    def write(at: Sides) -> tuple[pa.Array, pa.Array]:
        return at.call_text("sip_username"), at.cdr_text("sip_username")

    return Field(compare, write)
