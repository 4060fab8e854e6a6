"""Tell whether the two sides use the same words for how a call ended.

Input are pairs and the rules, output is one verdict with the table of which words go
together. Words that have no counterpart, and words that nearly always go with another
one, are a matter of the rules; single calls with a wrong status are not.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from sippet_reconcile._display import plural, shortened
from sippet_reconcile.reconciliation.core import MatchRule
from sippet_reconcile.reconciliation.diagnosing.verdict import Verdict
from sippet_reconcile.reconciliation.findings import Finding, Severity
from sippet_reconcile.reconciliation.statuses import NO_STATUS, normal_word, status_words
from sippet_reconcile.schema import LEG_STATUSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.reconciliation.rules import Rules
    from sippet_reconcile.reconciliation.sides import Columns, Sides
    from sippet_reconcile.reconciliation.statuses import StatusWords

__all__ = ["find_status_vocabulary"]

_TOGETHER: Final = 50
"""Exactly matched calls with a word before it is said which word goes with it."""

_OVERWHELMING: Final = 0.95
"""Share of them that must have that word: a mapping makes all of them agree, also those that are wrong."""

_SHOWN: Final = 5
_TYPES: Final = {
    "side": "str",
    "status": "str",
    "n_calls": "Int64",
    "what": "str",
    "goes_with": "str",
    "n_with": "Int64",
    "n_exact": "Int64",
}
_UNKNOWN_CDR: Final = "no call has such a status, and the rules do not map it"
_UNKNOWN_API: Final = "neither open nor what any CDR status maps to"
_OTHER_WORD: Final = "nearly always goes with another word than its own"


def find_status_vocabulary(sides: Sides, rules: Rules, is_asked: NDArray[np.bool_] | None = None) -> Verdict:
    """Say so where one side uses status words that the other side, and the rules, do not know.

    Words are counted among the calls that are spoken of; a word that any call has is known to the API.
    """
    call_words, cdr_words = sides.of_calls.words("status"), sides.of_cdr.words("status")
    of_calls: Counter[str] = sides.of_calls.summed(_count_words, along=() if is_asked is None else [is_asked])
    occurring = {word: of_calls[word] for word in call_words}
    met: _Met = sides.summed(_Met.of, along=() if is_asked is None else [is_asked[sides.call_pos]])
    together = np.array([[met.exact[cdr, call] for call in call_words] for cdr in cdr_words], np.int64)
    together = together.reshape(len(cdr_words), len(call_words))
    n_exact, matched = int(together.sum()), [met.matched[word] for word in cdr_words]
    known_to_api = {normal_word(word) for word in call_words}
    meanings = status_words((*LEG_STATUSES, *cdr_words), occurring, rules)
    rows: list[dict[str, Any]] = []
    for place, word in enumerate(cdr_words):
        meaning = meanings[word]
        if normal_word(word) in NO_STATUS or meaning.is_mapped or not matched[place]:
            continue
        row = {"side": "cdr", "status": word, "n_calls": matched[place]}
        partner = _partner(together[place], call_words)
        if not meaning.agreeing & known_to_api:
            rows.append({**row, "what": _UNKNOWN_CDR, **partner})
        elif _is_overwhelming(partner) and normal_word(partner["goes_with"]) not in meaning.agreeing:
            rows.append({**row, "what": _OTHER_WORD, **partner})
    understood = {normal_word(word) for word in (*rules.open_statuses, *NO_STATUS)}
    understood = understood.union(*(meaning.agreeing for meaning in meanings.values()))
    for place, word in enumerate(call_words):
        if occurring[word] and normal_word(word) not in understood:
            row = {"side": "api", "status": word, "n_calls": occurring[word], "what": _UNKNOWN_API}
            rows.append({**row, **_partner(together[:, place], cdr_words)})
    what = "exactly matched calls with a status"
    if not rows:
        return Verdict.of("status-vocabulary", None, n_looked_at=n_exact, what=what)
    evidence = pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)
    evidence = evidence.sort_values(
        ["side", "n_calls", "status"], ascending=[False, False, True], ignore_index=True
    )
    finding = _finding(evidence, meanings, rules, known_to_api)
    return Verdict.of("status-vocabulary", finding, n_looked_at=n_exact, what=what)


def _count_words(calls: Columns, is_asked: NDArray[np.bool_] | None = None) -> Counter[str]:
    """Count the calls of each status, of those that are asked about."""
    codes, words = calls.codes("status")
    counts = np.bincount((codes if is_asked is None else codes[is_asked]) + 1, minlength=len(words) + 1)
    return Counter(dict(zip(words, counts[1:].tolist(), strict=True)))


@dataclass(frozen=True)
class _Met:
    """How often words met; what is counted of parts adds up to the whole.

    Attributes
    ----------
    matched
        CDR status to matched calls that have it.
    exact
        CDR status and API status to exactly matched calls that have both.
    """

    matched: Counter[str]
    exact: Counter[tuple[str, str]]

    @classmethod
    def of(cls, sides: Sides, is_asked: NDArray[np.bool_] | None = None) -> _Met:
        call_words, cdr_words = sides.of_calls.codes("status")[1], sides.of_cdr.codes("status")[1]
        width = len(call_words) + 1
        cells = np.zeros((len(cdr_words) + 1) * width, np.int64)
        matched = np.zeros(len(cdr_words), np.int64)
        begin = 0
        for part in sides.blocks():
            cdr_codes, call_codes = part.cdr_codes("status")[0], part.call_codes("status")[0]
            exact = part.rule != MatchRule.NUMBERS_AND_TIME
            if is_asked is not None:
                asked = is_asked[begin : begin + len(part)]
                cdr_codes, call_codes, exact = cdr_codes[asked], call_codes[asked], exact[asked]
            begin += len(part)
            matched += np.bincount(cdr_codes + 1, minlength=len(cdr_words) + 1)[1:]
            cell = (cdr_codes[exact].astype(np.int64) + 1) * width + (call_codes[exact] + 1)
            cells += np.bincount(cell, minlength=len(cells))
        table = cells.reshape(-1, width)[1:, 1:]
        return cls(
            Counter(dict(zip(cdr_words, matched.tolist(), strict=True))),
            Counter(
                {
                    (cdr_words[row], call_words[column]): int(table[row, column])
                    for row, column in np.argwhere(table).tolist()
                }
            ),
        )

    def __add__(self, other: _Met) -> _Met:
        """Return how often words met in both parts."""
        return _Met(self.matched + other.matched, self.exact + other.exact)


def _partner(counts: NDArray[np.int64], words: list[str]) -> dict[str, Any]:
    """Return the word that goes with one of the other side most often."""
    total = int(counts.sum())
    if total == 0:
        return {"goes_with": None, "n_with": 0, "n_exact": 0}
    place = int(counts.argmax())
    return {"goes_with": words[place], "n_with": int(counts[place]), "n_exact": total}


def _is_overwhelming(row: Mapping[str, Any]) -> bool:
    return bool(row["n_exact"] >= _TOGETHER and row["n_with"] >= _OVERWHELMING * row["n_exact"])


def _finding(
    evidence: pd.DataFrame, meanings: Mapping[str, StatusWords], rules: Rules, known_to_api: set[str]
) -> Finding:
    rows: list[dict[str, Any]] = [
        dict(zip(_TYPES, row, strict=True)) for row in evidence.itertuples(index=False)
    ]
    mapped: dict[str, list[str]] = {}
    for row in rows:
        if row["side"] != "cdr" or not _is_overwhelming(row):
            continue
        own = meanings[row["status"]]
        also = [own.written] if own.written and normal_word(own.written) in known_to_api else []
        mapped[row["status"]] = list(dict.fromkeys([row["goes_with"], *also]))
    listed = ", ".join(
        f"{shortened(row['status'])} ({row['side'].upper()}, {plural(int(row['n_calls']), 'call')}"
        + (
            f", {row['n_with']:,} of {row['n_exact']:,} with {shortened(row['goes_with'])}"
            if row["n_exact"]
            else ""
        )
        + ")"
        for row in rows[:_SHOWN]
    )
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    verb = "is" if len(rows) == 1 else "are"
    message = f"{plural(len(rows), 'status word')} {verb} not understood alike on both sides: {listed}{more}."
    word, means = next(((word, words[0]) for word, words in mapped.items()), ("no_answer", "missed"))
    advice = (
        f'Map them in the rules, as in [status_map] {shortened(word)} = ["{shortened(means)}"]; a status that no call has is written '
        "only where the rules name it or build_plan(statuses=client.describe().statuses) lists it."
    )
    # The table of the rules is pinned as a whole, so what it says already stays in it.
    before = {word: list(words) for word, words in rules.status_map.items()}
    cure = {"status_map": {**before, **mapped}} if mapped else {}
    return Finding("status-vocabulary", Severity.WARN, message, evidence, advice, cure)
