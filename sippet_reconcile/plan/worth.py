"""Tell what the corrections of a plan, or of a run, are worth by a rate card.

Input are calls with their seconds before and after, and a card; output are the sums that
reports show. Which calls, and which seconds, is told by the plan or the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sippet_reconcile.billing import RateCard
from sippet_reconcile.billing.impact import rate_twice, require_countable
from sippet_reconcile.billing.increments import money_array
from sippet_reconcile.billing.lookup import REASONS
from sippet_reconcile.billing.rating import find_rates, price
from sippet_reconcile.errors import InputError
from sippet_reconcile.report import MoneyFacts
from sippet_reconcile.schema import text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.billing import BilledSeconds
    from sippet_reconcile.billing.rating import FoundRates

__all__ = ["checked_card", "money_of"]

_SIDES: Final = ("before", "after")


def checked_card(card: object) -> RateCard:
    """Return a rate card as it is.

    Raises
    ------
    InputError
        If it is something else: a path, a frame.
    """
    if not isinstance(card, RateCard):
        msg = f"rate_card is a RateCard, not {type(card).__name__}: read one with RateCard.from_csv(path)"
        raise InputError(msg)
    return card


def money_of(
    billed: BilledSeconds,
    card: RateCard,
    *,
    disputes: pd.DataFrame | None = None,
    counted: tuple[int, float] = (0, 0.0),
) -> MoneyFacts:
    """Return what changes of seconds are worth, each call rated before and after by the one rate that fits it.

    Parameters
    ----------
    billed
        The calls, with their seconds before and after.
    card
        The rates.
    disputes
        `DISPUTES`: what is unbilled among them is rated by itself, and is part of no sum.
    counted
        How many unbilled calls there are in all, and their seconds: a plan keeps the longest of them.

    Raises
    ------
    InputError
        If the seconds are not known to be those after the answer, or the sums are beyond what money is
        counted in.
    """
    rated = rate_twice(billed, card)
    calls, unrated = billed.calls, ~rated.is_rated
    rows = pd.DataFrame(
        {
            **{
                name: calls[name].reset_index(drop=True)
                for name in ("call_id", "sip_username", "explanation")
            },
            "currency": text_series(rated.found.texts("currency")),
            **{f"billed_s_{side}": of for side, of in zip(_SIDES, rated.billed_s, strict=True)},
            **{
                f"cost_{side}": pd.Series(money_array(of, unrated))
                for side, of in zip(_SIDES, rated.micros, strict=True)
            },
            "unrated_reason": _reasons(rated.reasons),
        }
    )
    unbilled = _unbilled(disputes, card, billed.timezone)
    n_kept, kept_s = (0, 0.0) if unbilled is None else (len(unbilled), float(unbilled["seconds"].sum()))
    return MoneyFacts.of_calls(
        rows,
        card=card.source,
        sha256=card.sha256,
        unbilled=unbilled,
        unbilled_left=(counted[0] - n_kept, max(0.0, counted[1] - kept_s)),
    )


def _seconds(column: pd.Series[float]) -> NDArray[np.float64]:
    return np.asarray(column.to_numpy("float64", na_value=np.nan), dtype=np.float64)


def _reasons(codes: NDArray[np.int64]) -> pd.Series[str]:
    return text_series(pa.array(REASONS, pa.large_string()).take(pa.array(codes)))


def _unbilled(disputes: pd.DataFrame | None, card: RateCard, timezone: str) -> pd.DataFrame | None:
    """Return the calls of the CDR that no Call record bills, rated where their number is E.164."""
    if disputes is None or "kind" not in disputes:
        return None
    calls = disputes.loc[disputes["kind"].eq("unbilled")].reset_index(drop=True)
    found: FoundRates = find_rates(calls, card, timezone)
    priced = price(found, _seconds(calls["seconds"]))
    require_countable(priced.billed_s, priced.micros)
    return pd.DataFrame(
        {
            "seconds": calls["seconds"],
            "billed_s": pd.arrays.IntegerArray(priced.billed_s, ~priced.is_rated),
            "cost": pd.Series(money_array(priced.micros, ~priced.is_rated)),
            "currency": text_series(found.texts("currency")),
            "unrated_reason": _reasons(priced.reasons),
        }
    )
