"""Tell what corrections are worth: in a sentence, in sums per currency, and call by call.

Input are the sums of a plan or a run; output are the sections and the sentence that its
report shows. Amounts stand exactly in tables, and to two places in sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import joined, plural, show_value
from sippet_reconcile.report.durations import in_words
from sippet_reconcile.report.money_sums import MONEY, MOST_CALLS, MoneyFacts
from sippet_reconcile.report.section import Section

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "READING",
    "headline_of",
    "money_sections",
    "money_sentence",
    "money_summary",
    "outside_rows",
    "plain_amounts",
]

_CENT: Final = Decimal("0.01")
_SHOWN: Final = (
    "currency", "cost_before", "cost_after", "cost_delta",
    "n_calls", "billed_s_before", "billed_s_after", "billed_s_delta",
)  # fmt: skip
_SIGNED: Final = ("billed_s_delta", "cost_delta")
_HEADS: Final[Mapping[str, str]] = {
    "call_id": "call",
    "explanation": "cause",
    "sip_username": "user",
    "n_calls": "calls",
    "billed_s_before": "billed before (s)",
    "billed_s_after": "billed after (s)",
    "billed_s_delta": "change (s)",
    "billed_s": "billed (s)",
    "cost_before": "cost before",
    "cost_after": "cost after",
    "cost_delta": "difference",
    "what": "what is not in the sums",
    "seconds": "talk (s)",
}
_UNRATED: Final[Mapping[str, str]] = {
    "no-seconds": "nobody knows how many seconds it is billed by",
    "no-number": "the called number is not known, or cannot be read as E.164",
    "no-prefix": "no prefix of the card fits the called number",
    "no-start": "the start is not known, so neither is the day's rate",
    "not-valid-then": "no rate that fits was valid on the day of the call",
    "not-kept": "the plan counts these and has no row of them, so they were not rated",
}
_OF_THE_CARD: Final = frozenset({"no-prefix", "not-valid-then"})
"""Reasons that are the card's."""

_MEANING: Final = (
    "Where invoices have gone out by the cost before, a change below zero is to be credited to whoever was invoiced, "
    "and one above zero is still to be invoiced to them."
)
_ROUNDING: Final = (
    "Seconds are rounded up to the increments of the rate, and each call's cost half up to six places, once; "
    "the tables show amounts as they are, sentences and headlines round them to two places."
)
READING: Final = (_MEANING, _ROUNDING)
"""How amounts are read, and how they were rounded."""


def _is_tiny(amount: Decimal) -> bool:
    return 0 < abs(amount) < _CENT / 2


def _two_places(amount: Decimal) -> str:
    """Return an amount without its sign, half up to two places."""
    return f"{abs(amount).quantize(_CENT, ROUND_HALF_UP):,}"


def _of(currency: str, amount: Decimal) -> str:
    # Every amount stands beside its currency: two in a row would read like one long number.
    return f"less than {currency} {_CENT}" if _is_tiny(amount) else f"{currency} {_two_places(amount)}"


def _are_rounded(amounts: Sequence[Decimal]) -> bool:
    """Tell whether a sentence says less of amounts than there is to say."""
    return any(one != one.quantize(_CENT, ROUND_HALF_UP) for one in amounts if not _is_tiny(one))


def money_sentence(facts: MoneyFacts, *, so_far: bool = False) -> str:
    """Say what happens to the invoices, per currency, and how many calls that leaves out.

    Parameters
    ----------
    facts
        What it is worth.
    so_far
        Whether it is done already.
    """
    parts, amounts = [], []
    for row in facts.totals.to_dict("records"):
        currency, delta, added, removed = (
            row[name] for name in ("currency", "cost_delta", "cost_added", "cost_removed")
        )
        both = bool(added and removed)
        if delta:
            way = "fall by" if delta < 0 else "rise by"
            told = f" ({_of(currency, added)} added, {_of(currency, removed)} taken away)" if both else ""
            parts.append((way, f"{_of(currency, delta)}{told}"))
        else:
            told = f" ({_of(currency, added)} added, and as much taken away)" if both else ""
            parts.append(("do not change in", f"{currency}{told}"))
        amounts += [*([delta] if delta else []), *((added, removed) if both else ())]
    said = []
    if parts:
        words, last = [], ""
        for way, told in parts:
            words.append(f"{way.split()[-1] if way == last else way} {told}")
            last = way
        each = "each " if len(amounts) > 1 else ""
        rounded = f", {each}rounded to two places" if _are_rounded(amounts) else ""
        said.append(f"{'So far, invoices' if so_far else 'Invoices'} {joined(words)}{rounded}.")
    said += _unrated(facts)
    if not said and facts.n_calls:
        said.append("Its calls cost nothing, before or after, so no invoice changes.")
    return " ".join(said)


def _unrated(facts: MoneyFacts) -> list[str]:
    """Say how many calls have no price, and where that is all there is to say."""
    n_unrated = int(facts.unrated["n_calls"].sum())
    if not n_unrated:
        return []
    is_one = n_unrated == 1
    if _OF_THE_CARD.issuperset(facts.unrated["reason"]):
        told = f"{'has' if is_one else 'have'} no rate on the card"
    else:
        told = "cannot be rated"
    unknown = [] if len(facts.totals) else ["What this is worth cannot be told."]
    return [f"{plural(n_unrated, 'call')} {told}.", *unknown]


def headline_of(facts: MoneyFacts) -> str:
    """Return the change of the invoices as a headline figure, one amount per currency.

    Rounded to two places, but for what would come to nothing. Without any amount it is not known where calls
    cannot be rated, none where they cost nothing, and a dash where there are no calls.
    """
    told = [
        f"{currency} {'−' if delta < 0 else '+' if delta > 0 else ''}{show_value(abs(delta)) if _is_tiny(delta) else _two_places(delta)}"
        for currency, delta in zip(facts.totals["currency"], facts.totals["cost_delta"], strict=True)
    ]
    if told:
        return " · ".join(told)
    return "not known" if len(facts.unrated) else "none" if facts.n_calls else "–"


def _tidy(amount: Decimal) -> Decimal:
    """Return an amount with two places, or as many as it needs."""
    short = amount.normalize()
    return amount.quantize(_CENT) if short == short.quantize(_CENT, ROUND_HALF_UP) else short


def money_summary(facts: MoneyFacts) -> dict[str, object]:
    """Return the sums as plain values: decimals per currency, and what is in no sum."""
    columns = ["n_calls", "cost_before", "cost_after", "cost_delta", "cost_added", "cost_removed"]
    by_currency = {
        row["currency"]: {name: int(row[name]) if name == "n_calls" else _tidy(row[name]) for name in columns}
        for row in facts.totals.to_dict("records")
    }
    rated = facts.unbilled.loc[facts.unbilled["currency"].notna()]
    return {
        "card": facts.card,
        "sha256": facts.sha256,
        "by_currency": by_currency,
        "unrated_calls": int(facts.unrated["n_calls"].sum()),
        "unrated": {
            str(reason): int(n)
            for reason, n in zip(facts.unrated["reason"], facts.unrated["n_calls"], strict=True)
        },
        "unbilled": {
            str(code): _tidy(cost) for code, cost in zip(rated["currency"], rated["cost"], strict=True)
        },
    }


def plain_amounts(value: object) -> object:
    """Return a plain value whose amounts of money are decimal text.

    Examples
    --------
    >>> plain_amounts({"GBP": {"cost_delta": Decimal("-41.20"), "n_calls": 3}})
    {'GBP': {'cost_delta': '-41.20', 'n_calls': 3}}
    """
    if isinstance(value, Mapping):
        return {name: plain_amounts(one) for name, one in value.items()}
    return f"{value:f}" if isinstance(value, Decimal) else value


def money_sections(facts: MoneyFacts, *, so_far: bool = False) -> list[Section]:
    """Return the sections that tell what it is worth: by cause, by user, call by call, and what is in no sum."""
    card = f"By the rate card {facts.card} (sha256 {facts.sha256})."
    when = "What the calls cost before they were corrected, and cost now." if so_far else ""
    none = "" if facts.n_calls else "There is no call to rate."
    said = " ".join(part for part in (money_sentence(facts, so_far=so_far), none, when, card) if part)
    has_sums = len(facts.totals) > 0
    first = Section(
        "What it is worth",
        said,
        facts.totals.loc[:, list(_SHOWN)] if has_sums else None,
        note=" ".join(READING) if has_sums else "",
        heads=_HEADS,
        signed=_SIGNED,
    )
    return [first, *_by_cause(facts), *_by_user(facts), *_by_call(facts), *_outside(facts)]


def _by_cause(facts: MoneyFacts) -> list[Section]:
    if facts.causes.empty:
        return []
    n_currencies = len(facts.totals)
    add_up = "The rows add up to" if n_currencies == 1 else "The rows of each currency add up to"
    return [
        Section(
            "What it is worth, by cause",
            f"Where most is added and taken away comes first. {add_up} the amounts above.",
            facts.causes.loc[:, ["explanation", *_SHOWN]],
            heads=_HEADS,
            signed=_SIGNED,
            is_searchable=True,
            filters=["currency"],
        )
    ]


def _by_user(facts: MoneyFacts) -> list[Section]:
    if facts.users.empty:
        return []
    more = (
        f" {len(facts.users):,} of {facts.n_users:,} rows are shown, at most {MOST_CALLS} of each currency; "
        "the others are in the sums above."
        if len(facts.users) < facts.n_users
        else ""
    )
    return [
        Section(
            "What it is worth, by user",
            f"Whose invoices change; where most is added and taken away comes first.{more}",
            facts.users.loc[:, ["sip_username", *_SHOWN]],
            heads=_HEADS,
            signed=_SIGNED,
            is_searchable=True,
            filters=["currency"],
            is_detail=True,
            in_card=False,
        )
    ]


def _by_call(facts: MoneyFacts) -> list[Section]:
    if facts.calls.empty:
        return []
    return [
        Section(
            "The calls of the most money",
            f"Up to {MOST_CALLS} calls of each currency, the largest change of cost first.",
            facts.calls.loc[:, ["call_id", "explanation", *(name for name in _SHOWN if name in facts.calls)]],
            heads=_HEADS,
            signed=_SIGNED,
            is_searchable=True,
            filters=["currency", "explanation"],
            row_word="call",
            is_detail=True,
            in_card=False,
        )
    ]


def outside_rows(facts: MoneyFacts) -> pd.DataFrame:
    """Return what is in no sum: calls without a rate by reason, and talk that nobody bills."""
    unrated = facts.unrated.assign(
        what="not rated", meaning=facts.unrated["reason"].map(_UNRATED).astype("str")
    )
    unbilled = facts.unbilled.assign(
        what="talked, but billed nowhere", meaning=facts.unbilled["reason"].map(_UNRATED).astype("str")
    )
    names = ["what", "reason", "meaning", "n_calls", "seconds", "billed_s", "cost", "currency", "examples"]
    types: dict[str, Any] = {
        "seconds": "Float64",
        "billed_s": "Int64",
        "cost": pd.ArrowDtype(MONEY),
        "n_calls": "Int64",
    }
    parts = [
        part.reindex(columns=names).astype(dict.fromkeys(names, "str") | types)
        for part in (unrated, unbilled)
    ]
    rows = pd.concat(parts, ignore_index=True)
    return rows.loc[:, [name for name in names if name in ("what", "n_calls") or rows[name].notna().any()]]


def _outside(facts: MoneyFacts) -> list[Section]:
    rows = outside_rows(facts)
    if rows.empty:
        return []
    told = ["None of this is in the sums above."]
    rated = facts.unbilled.loc[facts.unbilled["currency"].notna()]
    if len(rated):
        worth = joined([_of(code, cost) for code, cost in zip(rated["currency"], rated["cost"], strict=True)])
        each = "each " if len(rated) > 1 else ""
        rounded = f", {each}rounded to two places" if _are_rounded(rated["cost"].tolist()) else ""
        talk = in_words(float(rated["seconds"].sum()))
        told.append(
            f"What was talked and is billed nowhere, {talk} in {plural(int(rated['n_calls'].sum()), 'call')}, "
            f"would be worth {worth}{rounded}; no correction can bill it."
        )
    unpriced = facts.unbilled.loc[facts.unbilled["currency"].isna()]
    if n_unpriced := int(unpriced["n_calls"].sum()):
        talk = in_words(float(unpriced["seconds"].sum()))
        told.append(
            f"{plural(n_unpriced, 'such call')} of {talk} {'is' if n_unpriced == 1 else 'are'} not rated."
            if len(rated)
            else f"What was talked and is billed nowhere, {talk} in {plural(n_unpriced, 'call')}, is not rated."
        )
    return [Section("Not in these sums", " ".join(told), rows, heads=_HEADS, in_card=False)]
