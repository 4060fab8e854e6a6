"""What corrections are worth: the cost of calls before and after, by what people count by.

Input are calls with their seconds on both sides of a correction, and a card; output is one
row per group and currency. Each call is rated by one row of the card before and after.
Sums are whole millionths and whole seconds, so that parts add up to their whole exactly.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import pandas as pd

from sippet_reconcile.billing.card import RateCard
from sippet_reconcile.billing.increments import money_array
from sippet_reconcile.billing.lookup import REASONS
from sippet_reconcile.billing.rating import find_rates, price
from sippet_reconcile.billing.seconds import BilledSeconds, refuse_basis
from sippet_reconcile.errors import InputError, ReconcileError
from sippet_reconcile.groups import coded, day_or_hour_codes, group_rows, ordered_words, word_series
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.billing.rating import FoundRates
    from sippet_reconcile.groups import Codes

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["IMPACT_GROUPS", "RatedTwice", "billing_impact", "rate_twice", "require_countable"]

IMPACT_GROUPS: Final = (
    "sip_username", "user", "direction", "prefix", "name", "day", "explanation", "unrated_reason",
)  # fmt: skip
"""What money can be split by; ``user`` is ``sip_username`` under the name that ledgers have for it."""

_ROOM: Final = 2.0**62
"""Sums below it fit 64 bits, whatever floating point makes of them."""


class _Billed(Protocol):
    """A reconciliation, a plan or a run."""

    def billed_seconds(self) -> BilledSeconds: ...


@dataclass(frozen=True, eq=False)
class RatedTwice:
    """Calls with what they cost before and after, one element of each array per call.

    Attributes
    ----------
    found
        The rows of the card.
    billed_s, micros
        Billed seconds, and millionths of a currency, before and after; 0 where the call is not rated.
    reasons
        Why a call is not rated on both sides, as a code of `lookup.REASONS`; 0 where it is.
    """

    found: FoundRates
    billed_s: tuple[Ints, Ints]
    micros: tuple[Ints, Ints]
    reasons: Ints

    @property
    def is_rated(self) -> Mask:
        """Whether the cost is known before and after."""
        is_rated: Mask = self.reasons == 0
        return is_rated


def rate_twice(billed: BilledSeconds, card: RateCard) -> RatedTwice:
    """Rate calls before and after, each by the one row of the card that it falls under.

    A call that is not rated on one side is rated on neither. One of which nobody knows what it
    is billed by afterwards has no known seconds.

    Raises
    ------
    InputError
        If it is no rate card, the seconds are such that calls are not billed by them, or the sums are
        beyond what money is counted in.
    ReconcileError
        If the calls do not tie out with the ledger, which is a defect.
    """
    if not isinstance(card, RateCard):
        msg = f"the card is {type(card).__name__}, not a RateCard: read it with RateCard.from_csv(path)"
        raise InputError(msg)
    refuse_basis(billed.basis)
    billed.require_tied_out()
    calls = billed.calls
    found = find_rates(calls, card, billed.timezone)
    before, after = (price(found, _seconds(calls[f"{side}_s"])) for side in ("before", "after"))
    reasons = np.where(before.is_rated, after.reasons, before.reasons)
    if billed.is_unknown is not None:
        reasons = np.where((reasons == 0) & billed.is_unknown, REASONS.index("no-seconds"), reasons)
    is_rated = reasons == 0
    billed_s, micros = (
        (np.where(is_rated, getattr(before, name), 0), np.where(is_rated, getattr(after, name), 0))
        for name in ("billed_s", "micros")
    )
    for seconds, costs in zip(billed_s, micros, strict=True):
        require_countable(seconds, costs)
    return RatedTwice(found, billed_s, micros, reasons)


def require_countable(billed_s: Ints, micros: Ints) -> None:
    """Refuse billed seconds and costs, none negative, of which no sum could be counted any more.

    Raises
    ------
    InputError
        If they add up to too much.
    """
    for values, counted in ((billed_s, "billed seconds"), (micros, "costs")):
        if float(values.astype(np.float64).sum()) >= _ROOM:
            msg = f"the {counted} add up to more than is counted in here: look at the longest calls and the highest rates"
            raise InputError(msg)


def _seconds(column: pd.Series[Any]) -> NDArray[Any]:
    """Return seconds as integers; a missing duration is billed as none."""
    return column.to_numpy(np.int64, na_value=0)


def billing_impact(
    subject: _Billed,
    card: RateCard,
    by: str | Sequence[str] = ("sip_username",),
    *,
    plan: Any = None,
) -> pd.DataFrame:
    """Tell what corrections are worth by a rate card, in each currency.

    Each call is rated by its seconds before and after its correction, by the one row of the card that it
    falls under. What is no call of the API, or has no counterpart in the CDR, is not part of it.

    Parameters
    ----------
    subject
        A `Reconciliation`: every compared call, afterwards as if all that can be corrected were. A `Plan`: every
        call it touches. A `Run`: every call of its plan, ahead of the run and by now, as its log has it; what a call was
        found to hold otherwise is no change of the run. Days are those of the period's zone; of UTC where a plan has no
        period, as a person's corrections and reverts have none.
    card
        The rates.
    by
        What to split by: ``sip_username`` (or ``user``), ``direction``, ``prefix`` and ``name`` (of the row of the
        card), ``day`` (of the start, in the zone of the period), ``explanation`` (the line of the ledger, or the cause
        of the change), ``unrated_reason``; a name, several, or ``()`` for totals.
    plan
        The plan of a run that was read from its log by `load_run`.

    Returns
    -------
    DataFrame
        One row per group and currency: the `by` columns (str, missing where it is not known), ``currency`` (str),
        ``n_calls`` (Int64), ``billed_s_before``, ``billed_s_after``, ``billed_s_delta`` (Int64, seconds as they are billed, in
        the steps of the card), ``cost_before``, ``cost_after``, ``cost_delta`` (Arrow decimal with six places; a positive
        difference was billed too little).

        Currencies stand in alphabetical order, and in each the largest difference of cost comes first, whatever its sign;
        where ``day`` is the first of `by`, days in their order. Rows without a currency come last: their calls cannot be
        rated, before or after, so costs and billed seconds are missing; they are 0 where all of the calls were not answered,
        which costs nothing whatever the rate. All calls are in ``n_calls`` of one row. Amounts of different currencies
        are not to be added up.

    Raises
    ------
    InputError
        If `by` names something else, the run needs its plan, the seconds are ``total`` or not settled, there is no such subject
        or card, or the sums are beyond what money is counted in.
    ReconcileError
        If the calls and seconds are not those of the ledger, which is a defect.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_card, sample_reconciliation
    >>> rec = sample_reconciliation()
    >>> worth = sr.billing_impact(rec, sample_card(), by="direction")
    >>> worth.columns.tolist()[:4], int(worth["n_calls"].sum()) == rec.n_compared
    (['direction', 'currency', 'n_calls', 'billed_s_before'], True)
    >>> total = sr.billing_impact(rec, sample_card(), by=())
    >>> total["currency"].dropna().tolist()
    ['GBP', 'USD']
    >>> pounds = worth.loc[worth["currency"].eq("GBP"), "cost_delta"]
    >>> bool(pounds.sum() == total["cost_delta"].iloc[0])
    True
    """
    names = _names(by)
    billed = _billed_of(subject, plan)
    rated = rate_twice(billed, card)
    codes = {name: _codes_of(name, billed, rated) for name in names}
    currency = _of_card(rated.found, "currency")
    # A call without a cost has no currency either: whoever adds up pounds must not miss any.
    currency = (np.where(rated.is_rated, currency[0], -1), currency[1])
    groups, labels = group_rows({**codes, "currency": currency}, len(billed.calls))
    n_groups = len(labels["currency"][0])
    n_calls = np.bincount(groups, minlength=n_groups).astype(np.int64)
    sums: dict[str, Ints] = {}
    for name, sides in (("billed_s", rated.billed_s), ("cost", rated.micros)):
        for side, values in zip(("before", "after"), sides, strict=True):
            sums[f"{name}_{side}"] = _added_up(groups, values, n_groups, name)
        sums[f"{name}_delta"] = sums[f"{name}_after"] - sums[f"{name}_before"]
    missing = np.bincount(groups, weights=~rated.is_rated, minlength=n_groups) > 0
    if int(n_calls.sum()) != len(billed.calls) or (missing & (labels["currency"][0] >= 0)).any():
        msg = "groups of money do not hold each call once: this is a defect, please report it"
        raise ReconcileError(msg)
    order = _order(labels, names, n_calls, sums)
    columns: dict[str, Any] = {
        name: word_series(of_group[order], known) for name, (of_group, known) in labels.items()
    }
    columns["n_calls"] = pd.array(n_calls[order], dtype="Int64")
    for name, values in sums.items():
        is_missing = missing[order]
        columns[name] = (
            money_array(values[order], is_missing)
            if name.startswith("cost_")
            else pd.arrays.IntegerArray(values[order], is_missing)
        )
    return pd.DataFrame(columns)


def _names(by: str | Sequence[str]) -> list[str]:
    given: list[Any] = [by] if isinstance(by, str) or not isinstance(by, Iterable) else list(by)
    for name in given:
        if not isinstance(name, str) or name not in IMPACT_GROUPS:
            msg = (
                f"money cannot be split by {name!r}; choose from {', '.join(IMPACT_GROUPS)}, or () for totals"
            )
            raise InputError(msg)
    return list(dict.fromkeys(given))


def _billed_of(subject: Any, plan: Any) -> BilledSeconds:
    """Return the calls of a subject, with the plan where it is a run."""
    ask = getattr(subject, "billed_seconds", None)
    if isinstance(subject, type) or not callable(ask):
        msg = (
            f"{type(subject).__name__} is not something whose worth can be told: pass a reconciliation, a plan or a run; "
            "calls by themselves are rated by sr.rate_calls"
        )
        raise InputError(msg)
    if plan is None:
        billed = ask()
    elif "plan" in inspect.signature(ask).parameters:
        billed = ask(plan)
    else:
        msg = f"plan= belongs to a run, and this is a {type(subject).__name__}: leave it out"
        raise InputError(msg)
    if not isinstance(billed, BilledSeconds):
        msg = f"{type(subject).__name__}.billed_seconds() gives {type(billed).__name__}, not BilledSeconds"
        raise InputError(msg)
    return billed


def _codes_of(name: str, billed: BilledSeconds, rated: RatedTwice) -> Codes:
    """Return what each call is split by."""
    calls = billed.calls
    if name in {"prefix", "name"}:
        return _of_card(rated.found, name)
    if name == "unrated_reason":
        return ordered_words(rated.reasons - 1, [str(reason) for reason in REASONS[1:]])
    if name == "day":
        started = calls["started_at"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        return day_or_hour_codes(started, "day", billed.timezone)
    return coded(text_array(calls["sip_username" if name == "user" else name]))


def _of_card(found: FoundRates, column: str) -> Codes:
    """Return a column of the card's rows for each call."""
    of_row, words = coded(text_array(found.card.rows[column]))
    return np.append(of_row, -1)[found.rows], words


def _added_up(groups: Ints, values: Ints, n_groups: int, what: str) -> Ints:
    """Return the sum of each group, exactly."""
    sums = np.zeros(n_groups, np.int64)
    np.add.at(sums, groups, values)
    if int(sums.sum()) != int(values.sum()):
        msg = f"sums of {what} do not add up to their whole: this is a defect, please report it"
        raise ReconcileError(msg)
    return sums


def _order(labels: dict[str, Codes], names: list[str], n_calls: Ints, sums: dict[str, Ints]) -> Ints:
    """Return the groups as they are read: by currency, the most money first; labels settle what is equal."""
    last = {name: np.where(codes < 0, len(words), codes) for name, (codes, words) in labels.items()}
    by_day = [last["day"]] if names[:1] == ["day"] else []
    keys = [
        last["currency"],
        *by_day,
        -np.abs(sums["cost_delta"]),
        -np.abs(sums["billed_s_delta"]),
        -n_calls,
        *(last[name] for name in names),
    ]
    return np.lexsort(keys[::-1])
