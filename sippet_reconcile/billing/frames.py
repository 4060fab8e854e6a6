"""What the frames of rating hold: columns, types, and what missing means.

Money is a decimal with six places in Arrow's ``decimal128(20, 6)``, never a float; a sum
of money is only ever of one currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import pandas as pd
import pyarrow as pa

from sippet_reconcile.schema import Column, FrameSchema, Kind

__all__ = ["BILLED_CALLS", "DATE", "MONEY", "MONEY_PLACES", "RATE", "RATES", "RATE_PLACES", "UnratedReason"]

MONEY_PLACES: Final = 6
"""Places of a cost: each call is rounded half up to them, once."""

RATE_PLACES: Final = 10
"""Places that a rate or a fee of a card may have; they are kept as they are."""

MONEY: Final = pd.ArrowDtype(pa.decimal128(20, MONEY_PLACES))
"""The type of a cost, and of a sum of costs in one currency."""

RATE: Final = pd.ArrowDtype(pa.decimal128(20, RATE_PLACES))
"""The type of a rate per minute and of a connection fee."""

DATE: Final = pd.ArrowDtype(pa.date32())
"""The type of a day on the calendar, read in the zone of the period."""

RATES: Final[Mapping[str, pd.api.extensions.ExtensionDtype | str]] = {
    "line": "Int64",  # physical line of the file, from 1 with the header
    "prefix": "str",  # digits of E.164 without the plus; "*" is every number
    "rate_per_minute": RATE,
    "initial_s": "Int64",  # what is billed at least, once answered
    "increment_s": "Int64",  # the steps after it
    "connect_fee": RATE,
    "currency": "str",  # ISO 4217, three capital letters
    "valid_from": DATE,  # the first day; missing: from ever
    "valid_to": DATE,  # the first day that is no longer part; missing: for ever
    "direction": "str",  # inbound, outbound or internal; missing: every direction
    "user": "str",  # the sip_username; missing: every user
    "name": "str",  # what people call the destination; missing where nobody named it
}
"""The columns of a rate card: one row per prefix, direction, user and validity."""


class UnratedReason(StrEnum):
    """Why a call could not be rated; a call that was not answered costs nothing and is never among them."""

    NO_SECONDS = "no-seconds"
    NO_NUMBER = "no-number"
    NO_PREFIX = "no-prefix"
    NO_START = "no-start"
    NOT_VALID_THEN = "not-valid-then"


BILLED_CALLS: Final = FrameSchema(
    "calls to bill",
    "one row per call, with what it is billed by before and after a correction",
    (
        Column("call_id", Kind.TEXT, "the API's id of the call"),
        Column("started_at", Kind.INSTANT, "the API's start, or the CDR's where the API has none"),
        Column("direction", Kind.TEXT, "the API's direction"),
        Column("to_number", Kind.TEXT, "the called party as the API has it"),
        Column("to_e164", Kind.TEXT, "the called party in E.164; missing where it cannot be normalised"),
        Column("sip_username", Kind.TEXT, "the API's user, or the CDR's where the API has none"),
        Column(
            "explanation", Kind.TEXT, "the cause of the wrong duration, or how the call stands without one"
        ),
        Column("before_s", Kind.INTEGER, "the API's seconds; missing is billed as 0"),
        Column("after_s", Kind.INTEGER, "the seconds once it is corrected; as before where nothing is"),
    ),
)
