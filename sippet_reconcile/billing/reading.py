"""From the cells of a rate card to rows with types: whether each cell can be read.

Input are its cells as text, output the rows as `billing.frames.RATES` has them, or one
error that names every cell that cannot be read, with its line and what to write instead.
"""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display.text import joined
from sippet_reconcile.billing.cells import KNOWN, OPTIONAL, TEXT
from sippet_reconcile.billing.checking import DECIMALS, Failure, contradictions, refused
from sippet_reconcile.billing.frames import RATES
from sippet_reconcile.schema import text_series

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sippet_reconcile.billing.cells import Delivered

__all__ = ["rates_of"]

DIRECTIONS: Final = ("inbound", "outbound", "internal")
MOST_SECONDS: Final = 86_400
"""A day: who bills by longer steps has written milliseconds."""

_PATTERNS: Final[Mapping[str, str]] = {
    "prefix": r"^(?:\+?[1-9][0-9]{0,14}|\*)$",
    **dict.fromkeys(DECIMALS, r"^0*[0-9]{1,9}(?:\.[0-9]{1,10})?$"),
    "initial_s": r"^0*(?:[0-9]{1,4}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)$",
    "increment_s": r"^0*(?:[1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-5][0-9]{3}|86[0-3][0-9]{2}|86400)$",
    "currency": r"^[A-Z]{3}$",
    "direction": rf"^(?i:{'|'.join(DIRECTIONS)})$",
}
"""What a cell may hold once it is trimmed."""

_MAY_BE_BLANK: Final = frozenset({"valid_from", "valid_to", *OPTIONAL})
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER: Final = re.compile(r"[-+]?[0-9][0-9 .,'\u00a0\u202f]*")


def rates_of(card: Delivered) -> pd.DataFrame:
    """Return the rows of a card with their types, `billing.frames.RATES`.

    Raises
    ------
    SchemaError
        With every problem of the card, in ``.failures``: cells that cannot be read, columns that are
        unknown or missing, rows that contradict each other.
    """
    failures = list(card.failures)
    if len(card.lines) == 0 and not card.left_out:
        failures.append(
            Failure(None, None, None, "there is no rate in it, a header at most: add a row for each prefix")
        )
    arrays: dict[str, pa.Array] = {}
    read: dict[str, NDArray[np.bool_]] = {}
    for name in KNOWN:
        cells = card.columns.get(name)
        if cells is None:
            cells = pa.nulls(len(card.lines), TEXT)
            arrays[name], read[name] = _typed(name, cells), np.full(len(cells), name in OPTIONAL)
            continue
        arrays[name], read[name] = _read(name, cells)
        for at in np.flatnonzero(~read[name]).tolist():
            value = cells[at].as_py()
            failures.append(Failure(int(card.lines[at]), name, value, _why(name, value)))
    backwards = _ends_before(arrays["valid_from"], arrays["valid_to"])
    for at in np.flatnonzero(backwards).tolist():
        first, last = arrays["valid_from"][at].as_py(), arrays["valid_to"][at].as_py()
        failures.append(
            Failure(
                int(card.lines[at]),
                "valid_to",
                last.isoformat(),
                f"is not after valid_from {first.isoformat()}: it is the first day that is no longer part",
            )
        )
    rows = _frame(card.lines, arrays)
    has_key = read["prefix"] & read["direction"] & read["user"]
    is_sound = read["valid_from"] & read["valid_to"] & ~backwards
    failures += contradictions(
        rows[has_key],
        is_sound[has_key],
        are_all=bool(has_key.all()) and not card.left_out,
        place=card.place,
    )
    if failures:
        raise refused(failures, card.source, card.place)
    return rows


def _frame(lines: NDArray[np.int64], arrays: Mapping[str, pa.Array]) -> pd.DataFrame:
    """Return columns of Arrow as a frame with the types of `RATES`."""
    columns: dict[str, Any] = {"line": pd.array(lines, dtype="Int64")}
    for name, array in arrays.items():
        dtype: Any = RATES[name]
        if dtype == "str":
            columns[name] = text_series(array)
        elif dtype == "Int64":
            columns[name] = pd.Series(pd.arrays.ArrowExtensionArray(array)).astype("Int64")
        else:
            columns[name] = pd.arrays.ArrowExtensionArray(array)
    return pd.DataFrame(columns)


def _read(name: str, cells: pa.LargeStringArray) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Return a column with its type, and which of its cells could be read; the others are missing in it."""
    if name in {"valid_from", "valid_to"}:
        return _read_dates(cells)
    read = cells.is_valid()
    if name in _PATTERNS:
        read = pc.match_substring_regex(cells, _PATTERNS[name]).fill_null(fill_value=False)
    if name in _MAY_BE_BLANK:
        read = pc.or_(read, cells.is_null())
    return _typed(name, pc.if_else(read, cells, pa.scalar(None, TEXT))), read.to_numpy(zero_copy_only=False)


def _read_dates(cells: pa.LargeStringArray) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Read each date once: a card has few of them."""
    coded = cells.dictionary_encode()
    days = pa.array([_day(text) for text in coded.dictionary.to_pylist()], pa.date32())
    array = days.take(coded.indices)
    return array, pc.or_(array.is_valid(), cells.is_null()).to_numpy(zero_copy_only=False)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:  # no such day in the calendar
        return None


def _typed(name: str, cells: pa.LargeStringArray) -> pa.Array:
    """Return cells that can be read, or are missing, with the type of their column."""
    dtype = RATES[name]
    if name == "prefix":
        return pc.replace_substring_regex(cells, r"^\+", "")
    if name == "direction":
        return pc.utf8_lower(cells)
    if dtype == "str":
        return cells
    if dtype == "Int64":
        return cells.cast(pa.int64())
    return cells.cast(dtype.pyarrow_dtype) if isinstance(dtype, pd.ArrowDtype) else cells


def _ends_before(first: pa.Array, last: pa.Array) -> NDArray[np.bool_]:
    return pc.less_equal(last, first).fill_null(fill_value=False).to_numpy(zero_copy_only=False)


def _why(name: str, value: str | None) -> str:
    """Say why a cell cannot be read and what to write."""
    if value is None:
        return f"is missing: {_WRITE[name]}"
    reason = _REASONS[name](value) if name in _REASONS else ""
    return f"{reason or 'cannot be read'}: {_WRITE[name]}"


_WRITE: Final[Mapping[str, str]] = {
    "prefix": "write the digits of E.164 from the country code on, such as 44 or 442079, or * for every number",
    **dict.fromkeys(DECIMALS, "write a plain decimal with a point, such as 0.0125, or 0"),
    "initial_s": f"write whole seconds from 0 to {MOST_SECONDS}",
    "increment_s": f"write whole seconds from 1 to {MOST_SECONDS}",
    "currency": "write three capital letters, such as GBP",
    "valid_from": "write YYYY-MM-DD, or leave it blank for rates from ever",
    "valid_to": "write YYYY-MM-DD, or leave it blank for rates for ever",
    "direction": f"write {joined(DIRECTIONS[:-1]).replace(' and ', ', ')} or {DIRECTIONS[-1]}, or leave it blank for all",
}


def _why_prefix(value: str) -> str:
    if value.lstrip("+").startswith("0"):
        return "begins with 0, as no country code does"
    if re.fullmatch(r"[0-9.,]+E\+?[0-9]+", value, re.IGNORECASE):
        return "was shortened by a spreadsheet"
    return "is longer than 15 digits" if re.fullmatch(r"\+?[0-9]+", value) else "is not made of digits"


def _why_decimal(value: str) -> str:
    if not _NUMBER.fullmatch(value):
        return "is no plain decimal"
    if value.startswith(("-", "+")):
        return "is negative" if value.startswith("-") else "has a sign"
    if "," in value:
        return "has a comma, which may part thousands or the decimals"
    whole, _, places = value.partition(".")
    if whole.isdigit() and len(whole.lstrip("0")) > 9:  # noqa: PLR2004 - digits below 10^9
        return "is not below 1000000000"
    return "has more than 10 places" if whole.isdigit() and places.isdigit() else "is no plain decimal"


def _why_seconds(value: str) -> str:
    if value.startswith("-"):
        return "is negative"
    if not re.fullmatch("[0-9]+", value):
        return "is not whole seconds"
    return "is 0" if not value.strip("0") else "is longer than a day"


def _why_date(value: str) -> str:
    return "is no day of the calendar" if _DATE.fullmatch(value) else "is not written as a date of ISO 8601"


def _why_currency(value: str) -> str:
    return "is not in capitals" if re.fullmatch("[A-Za-z]{3}", value) else "is no code of a currency"


_REASONS: Final[Mapping[str, Callable[[str], str]]] = {
    "prefix": _why_prefix,
    **dict.fromkeys(DECIMALS, _why_decimal),
    "initial_s": _why_seconds,
    "increment_s": _why_seconds,
    "currency": _why_currency,
    "valid_from": _why_date,
    "valid_to": _why_date,
    "direction": lambda _: "is no direction of a call",
}
