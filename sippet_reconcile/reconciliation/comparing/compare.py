"""Find where the two sides of a matched call differ under the rules.

Input are the calls, the CDR calls and the row positions that matching paired; output
is a `Comparison`: one row per call and differing field, and for every pair and field
whether it agrees, lies within tolerance, has no evidence, or differs. Missing on the
CDR is never evidence; missing on the API against a known CDR value is a difference.
Nothing is joined: whole columns are compared as arrays and text is built for the
differing rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.reconciliation.comparing.common import Common
from sippet_reconcile.reconciliation.comparing.discrepancies import build_discrepancies
from sippet_reconcile.reconciliation.comparing.standing import FieldResult, FieldStanding, Standing, stand
from sippet_reconcile.reconciliation.core import MICROS, at_once
from sippet_reconcile.reconciliation.numbers import compare_numbers
from sippet_reconcile.reconciliation.sides import Sides, gap_in_seconds, micros
from sippet_reconcile.reconciliation.statuses import normal_word, not_contradicted, status_words
from sippet_reconcile.schema import text_array
from sippet_reconcile.values import instants_to_text, seconds_to_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules

__all__ = ["COMPARED_FIELDS", "Comparison", "compare_pairs", "round_seconds"]

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


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that comparing found, one element of each array per compared pair.

    Attributes
    ----------
    sides
        The compared pairs.
    rules
        The rules, with the basis of durations settled.
    results
        Field to how each pair stands in it.
    discrepancies
        `schema.DISCREPANCIES`, pairs in their order and fields in the order of
        `COMPARED_FIELDS`; the two columns of explanations are missing until explained.
    pair_rows
        For each discrepancy the pair it belongs to.
    basis_s
        The CDR's seconds on the chosen basis; NaN where unknown.
    rounded_s
        The same, rounded as they would be written.
    """

    sides: Sides
    rules: Rules
    results: Mapping[str, FieldStanding]
    discrepancies: pd.DataFrame
    pair_rows: NDArray[np.int64]
    basis_s: NDArray[np.float64]
    rounded_s: NDArray[np.float64]

    @property
    def n_compared(self) -> int:
        """How many pairs were compared."""
        return len(self.sides)

    @property
    def fields(self) -> pd.DataFrame:
        """One row per field: how many pairs stand how, and what lies within tolerance in seconds.

        Columns ``field``, ``compared``, ``agreeing``, ``within_tolerance``,
        ``no_evidence``, ``differing`` (Int64, pairs), ``within_net_s`` and
        ``within_gross_s`` (Float64: CDR minus API summed with and without sign).
        """
        rows: list[dict[str, Any]] = []
        for name, result in self.results.items():
            counts = {standing: np.count_nonzero(result.standing == standing) for standing in Standing}
            within = (
                np.zeros(0) if result.gap_s is None else result.gap_s[result.rows(Standing.WITHIN_TOLERANCE)]
            )
            within = np.nan_to_num(within)
            rows.append(
                {
                    "field": name,
                    "compared": self.n_compared,
                    "agreeing": int(counts[Standing.AGREES]),
                    "within_tolerance": int(counts[Standing.WITHIN_TOLERANCE]),
                    "no_evidence": int(counts[Standing.NO_EVIDENCE]),
                    "differing": int(counts[Standing.DIFFERS]),
                    "within_net_s": None if result.gap_s is None else float(within.sum()),
                    "within_gross_s": None if result.gap_s is None else float(np.abs(within).sum()),
                }
            )
        counted = ("compared", "agreeing", "within_tolerance", "no_evidence", "differing")
        types = {
            "field": "str",
            **dict.fromkeys(counted, "Int64"),
            "within_net_s": "Float64",
            "within_gross_s": "Float64",
        }
        return pd.DataFrame(rows, columns=list(types)).astype(types)

    @property
    def no_evidence(self) -> dict[str, int]:
        """Field to the number of pairs whose CDR says nothing about it."""
        return {
            name: int((result.standing == Standing.NO_EVIDENCE).sum())
            for name, result in self.results.items()
        }


def round_seconds(seconds: NDArray[np.float64], rounding: str) -> NDArray[np.float64]:
    """Return whole seconds; what is finer than a microsecond counts as noise, NaN stays NaN.

    Examples
    --------
    >>> [round_seconds(np.array([2.5, 0.49, 61.0]), how).tolist() for how in ("half_up", "floor", "ceil")]
    [[3.0, 0.0, 61.0], [2.0, 0.0, 61.0], [3.0, 1.0, 61.0]]
    """
    whole = micros(seconds)
    if rounding == "half_up":
        return np.floor((whole + MICROS // 2) / MICROS)
    if rounding == "floor":
        return np.floor(whole / MICROS)
    return np.ceil(whole / MICROS)


def compare_pairs(sides: Sides, rules: Rules, *, common: Common | None = None) -> Comparison:
    """Compare both sides of every pair, field by field.

    Parameters
    ----------
    sides
        The pairs, each with its CDR call and its call as fetched.
    rules
        With ``duration`` already settled as ``billable`` or ``total``.
    common
        What holds for all pairs, where these are a part of them: how the API spells
        statuses and how precise its instants are decide how a value would be written.

    Returns
    -------
    Comparison
        The discrepancies are not yet explained.
    """
    common = Common.of(sides) if common is None else common
    basis = sides.cdr_seconds("billable_s" if rules.duration != "total" else "total_s")
    rounded = round_seconds(basis, rules.duration_rounding)
    measured, named = at_once(
        lambda: {
            "status": _compare_status(sides, common, rules),
            "duration_seconds": _compare_duration(sides, basis, rounded, rules),
            "ended_at": _compare_instants(sides, "ended_at", common, rules),
            "started_at": _compare_instants(sides, "started_at", common, rules),
            "direction": _compare_direction(sides),
        },
        lambda: {
            "from_number": _compare_number(sides, "from", rules),
            "to_number": _compare_number(sides, "to", rules),
            "sip_username": _compare_username(sides),
        },
    )
    results = measured | named
    discrepancies, pair_rows = build_discrepancies(sides, results, basis, rounded, common=common, rules=rules)
    standings = {name: result.without_texts for name, result in results.items()}
    return Comparison(sides, rules, standings, discrepancies, pair_rows, basis, rounded)


def _compare_duration(
    sides: Sides, basis: NDArray[np.float64], rounded: NDArray[np.float64], rules: Rules
) -> FieldResult:
    fetched = sides.call_seconds("duration_seconds")
    unanswered = ~sides.cdr_flags("is_answered")
    counted = np.where(unanswered & np.isnan(fetched), 0.0, fetched)
    gap = micros(basis) - micros(counted)
    # A negative duration is a defect of the export and proves nothing.
    known = basis >= 0
    too_far = np.isnan(counted) | (np.abs(gap) > micros(rules.duration_tolerance_s))
    # Where rounding arrives at the value the API already has, there is nothing to write.
    standing = stand(known, same=rounded == counted, too_far=too_far)

    def texts(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        return _digits(fetched[rows]), _digits(rounded[rows])

    return FieldResult(standing, gap / MICROS, texts=texts)


def _digits(seconds: NDArray[np.float64]) -> pa.Array:
    return text_array(seconds_to_text(pd.Series(seconds)))


def _compare_instants(sides: Sides, name: str, common: Common, rules: Rules) -> FieldResult:
    call, cdr = sides.call_instants(name), sides.cdr_instants(name)
    gap_s = sides.gap_s(name)
    is_coarse = sides.cdr_flags("is_coarse")
    whole = _whole_seconds(cdr) if sides.of_cdr.show_fractions(name) else cdr
    written, seen_gap_s = whole, gap_s
    if common.keeps_fractions:
        written = cdr
        # A stamp without a fraction was cut: it stands for its whole second, and so does what it is held against.
        cut_gap_s = gap_in_seconds(cdr, np.where(cdr == whole, _whole_seconds(call), call))
        seen_gap_s = np.where(is_coarse, gap_s, cut_gap_s) if is_coarse.any() else cut_gap_s
    too_far = np.isnat(call) | (np.abs(micros(seen_gap_s)) > micros(rules.time_tolerance_s))
    # A stamp without seconds agrees with every moment of its minute.
    same = (written == call) | (is_coarse & (gap_s == 0))
    standing = stand(~np.isnat(cdr), same=same, too_far=too_far)

    def texts(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        return _instant_text(call[rows]), _instant_text(written[rows])

    return FieldResult(standing, gap_s, texts=texts)


def _whole_seconds(instants: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    return instants.astype("datetime64[s]").astype("datetime64[us]")


def _instant_text(instants: NDArray[np.datetime64]) -> pa.Array:
    return text_array(instants_to_text(pd.Series(instants).dt.tz_localize("UTC")))


def _by_words(
    sides: Sides,
    name: str,
    meanings: Callable[[list[str]], list[tuple[frozenset[str], str | None]]],
) -> FieldResult:
    """Compare a column of few distinct words: settle each pair of words once, then look it up."""
    call_codes, call_words = sides.call_codes(name)
    cdr_codes, cdr_words = sides.cdr_codes(name)
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

    def texts(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        return (
            call_text.take(pa.array(call_codes[rows] % len(call_text))),
            cdr_text.take(pa.array(cdr_codes[rows] % len(cdr_text))),
        )

    return FieldResult(table.ravel()[cdr_codes * table.shape[1] + call_codes + 1], texts=texts)


def _compare_status(sides: Sides, common: Common, rules: Rules) -> FieldResult:
    def meanings(cdr_words: list[str]) -> list[tuple[frozenset[str], str | None]]:
        words = status_words(cdr_words, common.call_statuses, rules)
        return [(words[word].agreeing, words[word].written) for word in cdr_words]

    result = _by_words(sides, "status", meanings)
    result.standing[_not_told_apart(sides, result.rows(Standing.DIFFERS), rules)] = Standing.NO_EVIDENCE
    return result


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


def _compare_direction(sides: Sides) -> FieldResult:
    def meanings(cdr_words: list[str]) -> list[tuple[frozenset[str], str | None]]:
        return [(frozenset({normal_word(word)} - {""}), word) for word in cdr_words]

    return _by_words(sides, "direction", meanings)


def _compare_number(sides: Sides, party: str, rules: Rules) -> FieldResult:
    agrees, is_known, cdr_shown = compare_numbers(sides, party, rules.number_digits)
    standing = stand(is_known, same=agrees, too_far=np.ones(len(agrees), np.bool_))

    def texts(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        return sides.at(rows).call_text(f"{party}_number"), cdr_shown(rows)

    return FieldResult(standing, texts=texts)


def _compare_username(sides: Sides) -> FieldResult:
    call_codes, call_words = sides.call_codes("sip_username")
    cdr_codes, cdr_words = sides.cdr_codes("sip_username")
    # Each distinct name is brought into its plain form once; -1 finds the missing one at the end.
    words = pa.array([*call_words, *cdr_words], pa.large_string())
    plain = pc.utf8_lower(pc.utf8_trim_whitespace(words)).dictionary_encode()
    plain_codes: NDArray[Any] = plain.indices.to_numpy(zero_copy_only=False)
    in_call = np.append(plain_codes[: len(call_words)], -1)[call_codes]
    in_cdr = np.append(plain_codes[len(call_words) :], -1)[cdr_codes]
    is_name = np.array([bool(name) for name in plain.dictionary.to_pylist()] + [False])
    says_something = is_name[in_cdr]
    standing = stand(says_something, same=in_call == in_cdr, too_far=np.ones(len(sides), np.bool_))

    def texts(rows: NDArray[np.int64]) -> tuple[pa.Array, pa.Array]:
        part = sides.at(rows)
        return part.call_text("sip_username"), part.cdr_text("sip_username")

    return FieldResult(standing, texts=texts)
