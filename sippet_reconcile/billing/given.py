"""What a frame says of the calls to rate: their key, seconds, numbers, users, directions and starts.

Input is a frame of an API, of a CDR or made by hand, whatever its types, output are arrays
in its order, or an error that says what to pass instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display.text import joined
from sippet_reconcile.billing.lookup import NO_START
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.normalize import clean_text, text_layout, with_missing
from sippet_reconcile.phones import e164_array
from sippet_reconcile.schema import text_array
from sippet_reconcile.values import text_to_instants

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]

__all__ = ["called_numbers", "places_in", "require_columns", "started_micros", "told_seconds"]

_TEXT: Final = pa.large_string()
_E164: Final = r"^\+[1-9][0-9]{6,14}$"
_SHORTEST, _LONGEST = 7, 15  # digits of E.164
_PLUS, _ZERO, _NINE = b"+09"
_POWERS: Final = 10 ** np.arange(_LONGEST + 1, dtype=np.int64)


# ---------------------------------------------------------------- which calls


def told_seconds(frame: pd.DataFrame) -> tuple[dict[str, pd.Series[Any]], NDArray[Any], Mask | None]:
    """Return the key of the calls, their seconds and, of a CDR, which of them were answered."""
    if not isinstance(frame, pd.DataFrame):
        msg = f"the calls to rate are {type(frame).__name__}, not a DataFrame"
        raise SchemaError(msg)
    names = set(frame.columns)
    both = {"billable_s_cdr", "duration_seconds_call"} & names or {"billable_s", "duration_seconds"} <= names
    if both:
        msg = (
            "the frame has seconds of the CDR and of the API: rate one side, rec.cdr_calls or the calls, "
            "or ask sr.billing_impact(rec, card) what the difference is worth"
        )
        raise SchemaError(msg)
    if "duration_seconds" in names:
        return {"call_id": _key(frame, "id", "call_id")[1]}, _seconds(frame, "duration_seconds"), None
    if "billable_s" in names:
        seconds = _seconds(frame, "billable_s")
        name, key = _key(frame, "cdr_id", "leg_id")
        return {name: key}, seconds, _answered(frame, seconds)
    if {"total_s", "total_s_cdr"} & names:
        msg = (
            "the frame has total seconds only, which count the ringing too, and calls are not billed by those: "
            "pass billable_s, the seconds after the answer"
        )
        raise SchemaError(msg)
    msg = (
        "the frame has no seconds to bill: pass calls with duration_seconds, or those of a CDR with billable_s, such as "
        "rec.cdr_calls; what a reconciliation or a plan is worth is told by sr.billing_impact"
    )
    raise SchemaError(msg)


def _key(frame: pd.DataFrame, *names: str) -> tuple[str, pd.Series[Any]]:
    """Return the first of the columns that is there, and its name."""
    name = next((name for name in names if name in frame.columns), None)
    if name is None:
        msg = f"the frame has no key, a column {' or '.join(names)}: it tells which call each cost is of"
        raise SchemaError(msg)
    return name, _column(frame, name).reset_index(drop=True)


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return the one column of a name."""
    column = frame[name]
    if isinstance(column, pd.DataFrame):
        msg = f"the frame has {column.shape[1]} columns '{name}': keep one of them"
        raise SchemaError(msg)
    return column


def require_columns(calls: pd.DataFrame, needed: Mapping[str, bool]) -> None:
    """Refuse a frame that lacks what rates are told apart by: silence would find the wrong ones."""
    names = set(calls.columns)
    missing = [name for name, is_needed in needed.items() if is_needed and name not in names]
    if missing:
        msg = f"the card tells rates apart by {joined(missing)}, and the frame has no such column: add it, with missing values where it is not known"
        raise SchemaError(msg)
    if not names & {"to_e164", "to_number"}:
        msg = "the frame has no called number: add to_number, or to_e164 with the numbers in E.164"
        raise SchemaError(msg)


def _seconds(frame: pd.DataFrame, name: str) -> NDArray[Any]:
    """Return a column of seconds: integers where none is missing, else floats with NaN."""
    column = _column(frame, name)
    if column.dtype.kind not in "iuf" and not column.isna().all():
        wrong = next((value for value in column.dropna().tolist() if not _is_number(value)), None)
        if column.dtype != object or wrong is not None:
            kind = str(column.dtype) if wrong is None else type(wrong).__name__
            msg = f"{name} holds {kind}, not numbers: convert it first, with pd.to_numeric"
            raise SchemaError(msg)
    if column.dtype.kind == "i" and not column.isna().any():
        return column.to_numpy(np.int64)
    if column.dtype == object:
        column = column.where(column.notna(), np.nan)
    return column.to_numpy(np.float64, na_value=np.nan)


def _is_number(value: object) -> bool:
    return (
        pd.api.types.is_number(value)
        and not pd.api.types.is_bool(value)
        and not pd.api.types.is_complex(value)
    )


def _answered(frame: pd.DataFrame, seconds: NDArray[Any]) -> Mask:
    """Return which calls of a CDR were answered; one that says nothing of it, and has no seconds, may have been."""
    with np.errstate(invalid="ignore"):
        by_seconds = ~(seconds <= 0)
    if "is_answered" not in frame.columns:
        return by_seconds
    column = _column(frame, "is_answered")
    try:
        flags = column.astype("boolean")
    except (TypeError, ValueError) as exc:
        msg = "is_answered holds something else than True, False and missing: convert it first"
        raise SchemaError(msg) from exc
    return np.where(flags.isna(), by_seconds, flags.fillna(value=False).to_numpy(np.bool_))


# ---------------------------------------------------------------- what rates are found by


def _text(frame: pd.DataFrame, name: str) -> pa.LargeStringArray:
    """Return a column as text; missing throughout where there is none."""
    if name not in frame.columns:
        return pa.nulls(len(frame), _TEXT)
    column = _column(frame, name)
    if column.isna().all():
        return pa.nulls(len(frame), _TEXT)
    if not pd.api.types.is_string_dtype(column) and not (
        column.dtype == object and column.dropna().map(lambda value: isinstance(value, str)).all()
    ):
        msg = f"{name} holds {column.dtype}, not text: numbers and names are read as text, or digits are lost"
        raise SchemaError(msg)
    return text_array(column.astype("str"))


def places_in(
    frame: pd.DataFrame, name: str, values: pa.LargeStringArray, *, in_any_case: bool = False
) -> Ints:
    """Return which of the card's values each call has, -1 for none of them."""
    if len(values) == 0:
        return np.full(len(frame), -1, np.int64)
    text = clean_text(_text(frame, name))
    found = pc.index_in(pc.utf8_lower(text) if in_any_case else text, value_set=values)
    places: Ints = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return places


def started_micros(frame: pd.DataFrame) -> Ints:
    """Return when calls began, in microseconds."""
    if "started_at" not in frame.columns:
        return np.full(len(frame), NO_START, np.int64)
    column = _column(frame, "started_at")
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        instants = column.dt.tz_convert("UTC").dt.as_unit("us")
    elif column.isna().all():
        return np.full(len(frame), NO_START, np.int64)
    elif pd.api.types.is_string_dtype(column):
        instants = text_to_instants(column.astype("str"))
        if bool((instants.isna() & column.notna()).any()):
            msg = "started_at holds texts that are no instants: write them as 2026-10-01T08:00:00Z"
            raise SchemaError(msg)
    elif column.dtype == object and all(
        getattr(value, "tzinfo", None) is not None for value in column.dropna()
    ):
        instants = pd.to_datetime(column, utc=True).dt.as_unit("us")
    else:
        msg = f"started_at holds {column.dtype}, not instants with a time zone: use dt.tz_localize, or read the calls anew"
        raise SchemaError(msg)
    micros: Ints = instants.dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)
    return micros


def called_numbers(frame: pd.DataFrame) -> tuple[Ints, Ints]:
    """Return the called numbers, digits filled up with zeros to 15, and how many digits each has; 0 for none."""
    texts = _checked(_text(frame, "to_e164"))
    lacking = np.flatnonzero(np.asarray(texts.is_null()))
    if len(lacking) and "to_number" in frame.columns:
        delivered = _text(frame, "to_number")
        if len(lacking) == len(texts):
            texts = e164_array(delivered)
        else:
            texts = pc.coalesce(texts, e164_array(with_missing(delivered, np.asarray(texts.is_valid()))))
    digits = np.maximum(
        pc.binary_length(texts).fill_null(1).to_numpy(zero_copy_only=False).astype(np.int64) - 1, 0
    )
    plain = pc.utf8_slice_codeunits(texts, start=1)
    numbers = plain.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return numbers * _POWERS[_LONGEST - digits], digits


def _checked(numbers: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return the numbers that are E.164 as they stand, the others as they are read, missing where they cannot be.

    A column that is plain throughout is returned as it is.
    """
    if _is_plain(numbers):
        return numbers
    plain = pc.match_substring_regex(numbers, _E164).fill_null(fill_value=False)
    return pc.if_else(plain, numbers, e164_array(with_missing(numbers, np.asarray(plain))))


def _is_plain(numbers: pa.LargeStringArray) -> bool:
    """Tell whether each number is a plus and 7 to 15 digits, by looking at all bytes at once."""
    starts, data = text_layout(numbers)
    lengths = np.diff(starts)
    filled = lengths > 0
    if numbers.null_count and bool((filled & np.asarray(numbers.is_null())).any()):
        return False  # bytes that belong to no value
    if numbers.null_count != int(np.count_nonzero(~filled)):
        return False
    lengths, first = lengths[filled], starts[:-1][filled]
    if len(lengths) == 0:
        return True
    if int(lengths.min()) < 1 + _SHORTEST or int(lengths.max()) > 1 + _LONGEST:
        return False
    content = data[starts[0] : starts[-1]]
    is_digit = (content >= _ZERO) & (content <= _NINE)
    others = len(content) - int(np.count_nonzero(is_digit))
    leads = data[first + 1]
    return others == len(first) and bool((data[first] == _PLUS).all()) and bool((leads != _ZERO).all())
