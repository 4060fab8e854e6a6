"""What each call costs by a rate card.

Input are calls of an API, of a CDR or made by hand, and a card; output is one row per call
with what it is billed, or why it cannot be. Finding the rates and pricing seconds are
two steps, so that seconds before and after a correction are priced by one finding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display.text import plural
from sippet_reconcile.billing.frames import UnratedReason
from sippet_reconcile.billing.given import (
    called_numbers,
    places_in,
    require_columns,
    started_micros,
    told_seconds,
)
from sippet_reconcile.billing.increments import (
    MOST_SECONDS,
    billed_seconds,
    cost_micros,
    money_array,
    rate_units,
)
from sippet_reconcile.billing.lookup import REASONS, RateIndex
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.billing.card import RateCard

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["FoundRates", "Priced", "find_rates", "price", "rate_calls"]

_NO_SECONDS: Final = REASONS.index(UnratedReason.NO_SECONDS)


@dataclass(frozen=True, eq=False)
class FoundRates:
    """The row of the card that each call falls under, in the order of the calls.

    Attributes
    ----------
    rows
        Positions in ``card.rows``; -1 where none fits.
    reasons
        Why none fits, as a code of `lookup.REASONS`; 0 where one does.
    card
        The card.
    """

    rows: Ints
    reasons: Ints
    card: RateCard

    def texts(self, column: str) -> pa.LargeStringArray:
        """Return a column of text of the card for each call; missing where no row fits."""
        rows = pa.array(self.rows)
        return text_array(self.card.rows[column]).take(pc.if_else(pc.less(rows, 0), None, rows))


@dataclass(frozen=True, eq=False)
class Priced:
    """What each call is billed, in the order of the calls.

    Attributes
    ----------
    billed_s
        Billed seconds; 0 where the call was not answered, or is not rated.
    micros
        The cost in millionths of the currency; 0 where the call was not answered, or is not rated.
    reasons
        Why an answered call is not rated, as a code of `lookup.REASONS`; 0 where it is.
    """

    billed_s: Ints
    micros: Ints
    reasons: Ints

    @property
    def is_rated(self) -> Mask:
        """Whether the billed seconds and the cost are known."""
        is_rated: Mask = self.reasons == 0
        return is_rated


def find_rates(calls: pd.DataFrame, card: RateCard, timezone: str) -> FoundRates:
    """Find the row of a card that each call falls under.

    Parameters
    ----------
    calls
        One row per call: ``to_e164`` or ``to_number``, ``started_at``, and ``direction`` and
        ``sip_username`` where the card tells rates apart by them.
    card
        The rates.
    timezone
        The zone in which the days of the card begin.

    Raises
    ------
    SchemaError
        If a column that the card needs is not there, or is of another type.
    InputError
        If there is no such zone.
    """
    index = RateIndex.of(card, timezone)
    require_columns(
        calls,
        {
            "direction": len(index.directions) > 0,
            "sip_username": len(index.users) > 0,
            "started_at": len(index.moments) > 0,
        },
    )
    numbers, digits = called_numbers(calls)
    direction = places_in(calls, "direction", index.directions, in_any_case=True)
    user = places_in(calls, "sip_username", index.users)
    rows, reasons = index.find(numbers, digits, direction, user, started_micros(calls))
    return FoundRates(rows, reasons, card)


def price(found: FoundRates, seconds: NDArray[Any], answered: Mask | None = None) -> Priced:
    """Price seconds of calls whose rates were found.

    Parameters
    ----------
    found
        The rates, of as many calls.
    seconds
        Seconds after the answer; NaN where they are not known.
    answered
        Which calls were answered. Without it those of more than 0 seconds, so that one
        without seconds was not.

    Raises
    ------
    InputError
        If a call would cost a million millions or more.
    SchemaError
        If seconds are so many that they cannot be counted.
    """
    known = ~np.isnan(seconds) if seconds.dtype.kind == "f" else np.ones(len(seconds), np.bool_)
    with np.errstate(invalid="ignore"):
        beyond = known & ~(seconds < MOST_SECONDS)
        is_billed = known & (seconds > 0)
    if beyond.any():
        msg = f"{plural(int(beyond.sum()), 'call')} of 2^53 seconds or more: look at the seconds, no call is that long"
        raise SchemaError(msg)
    reasons = np.zeros(len(seconds), np.int64)
    if answered is not None:
        is_billed &= answered
        reasons[answered & ~known] = _NO_SECONDS
    reasons = np.where(is_billed, found.reasons, reasons)
    billed = np.zeros(len(seconds), np.int64)
    micros = np.zeros(len(seconds), np.int64)
    at = np.flatnonzero(is_billed & (found.rows >= 0))
    if len(at):
        rates, row = found.card.rows, found.rows[at]
        initial, increment = (rates[name].to_numpy(np.int64)[row] for name in ("initial_s", "increment_s"))
        billed[at] = billed_seconds(seconds[at], initial, increment)
        rate, fee = (rate_units(rates[name])[row] for name in ("rate_per_minute", "connect_fee"))
        micros[at] = cost_micros(billed[at], rate, fee)
    return Priced(billed, micros, reasons)


def rate_calls(frame: pd.DataFrame, card: RateCard, *, timezone: str = "UTC") -> pd.DataFrame:
    """Tell what each call costs by a rate card.

    Each call falls under the row of the card that `RateCard` says. It is billed by its seconds after the
    answer; a call that was not answered costs nothing. What cannot be rated says why, and has no cost.

    Parameters
    ----------
    frame
        One row per call, any index. From a CDR (``read_cdr``, ``rec.cdr_calls``, ``rec.only_in_cdr``): the key ``cdr_id`` or
        ``leg_id``, ``billable_s`` and, where it is known, ``is_answered``; without it a call of more than 0 seconds was
        answered. From the API (``fetch_calls``, ``read_calls``, ``rec.only_in_api``): ``id`` or ``call_id`` and
        ``duration_seconds``, whole or with a fraction; a call without, or of 0 seconds, was not answered. From both: the called
        number, as ``to_e164``, or else as ``to_number`` where that can be read as E.164 without knowing the country; ``started_at``, aware, if the card has dates;
        ``direction`` and ``sip_username`` if the card tells rates apart by them.
    card
        The rates.
    timezone
        The IANA name of the zone in which the days of the card begin.

    Returns
    -------
    DataFrame
        One row per row of `frame`, in its order, with a fresh index: the key (``call_id`` for calls of the API,
        else ``cdr_id`` or ``leg_id``); ``prefix`` (str, the digits that were found; missing where none fit); ``billed_s``
        (Int64, seconds); ``cost`` (Arrow decimal with six places); ``currency`` (str, of the row that was found); ``unrated_reason`` (str,
        missing where the call is rated): ``no-seconds``, ``no-number``, ``no-prefix``, ``no-start``, ``not-valid-then``.
        ``billed_s`` and ``cost`` are 0 where the call was not answered, and missing where it is not rated.
        Costs of different currencies are not to be added up.

    Raises
    ------
    SchemaError
        If columns are missing or of another type, or the frame has seconds of both sides, or only such as count
        the ringing too: calls are not billed by those.
    InputError
        If there is no such zone, or a call would cost a million millions or more.

    Examples
    --------
    >>> import pandas as pd
    >>> import sippet_reconcile as sr
    >>> rates = {
    ...     "prefix": ["44", "447"], "rate_per_minute": ["0.012", "0.06"], "initial_s": [60, 1], "increment_s": [60, 1],
    ...     "connect_fee": ["0", "0.01"], "currency": ["GBP", "GBP"], "valid_from": [None, None], "valid_to": [None, None],
    ... }
    >>> card = sr.RateCard.from_frame(pd.DataFrame(rates), "sample")
    >>> calls = pd.DataFrame({
    ...     "id": ["a", "b", "c"], "to_number": ["+442079460123", "+447700900123", "+12025550123"], "duration_seconds": [61, 20, 5],
    ... })
    >>> sr.rate_calls(calls, card)[["call_id", "prefix", "billed_s", "cost", "unrated_reason"]].astype(object).values.tolist()
    [['a', '44', 120, Decimal('0.024000'), nan], ['b', '447', 20, Decimal('0.030000'), nan], ['c', nan, <NA>, <NA>, 'no-prefix']]
    """
    key, seconds, answered = told_seconds(frame)
    found = find_rates(frame, card, timezone)
    priced = price(found, seconds, answered)
    unrated = ~priced.is_rated
    reasons = pa.array(REASONS, pa.large_string()).take(pa.array(priced.reasons))
    return pd.DataFrame(
        {
            **key,
            "prefix": text_series(found.texts("prefix")),
            "billed_s": pd.arrays.IntegerArray(priced.billed_s, unrated),
            "cost": money_array(priced.micros, unrated),
            "currency": text_series(found.texts("currency")),
            "unrated_reason": text_series(reasons),
        }
    )
