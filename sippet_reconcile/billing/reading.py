"""From the cells of a rate card to rows with types: whether each cell can be read.

Input is a CSV file or a frame, output the rows as `billing.frames.RATES` has them, or one
error that names every cell that cannot be read, with its line and what to write instead.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display.masking import mask_in_name
from sippet_reconcile._display.text import joined, visible
from sippet_reconcile.billing.checking import DECIMALS, Failure, contradictions, refused
from sippet_reconcile.billing.frames import RATES
from sippet_reconcile.errors import InputError
from sippet_reconcile.normalize import clean_text, text_layout
from sippet_reconcile.schema import text_array, text_series

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Delivered", "delivered_frame", "delivered_rows", "rates_of"]

TEXT: Final = pa.large_string()
DIRECTIONS: Final = ("inbound", "outbound", "internal")
OPTIONAL: Final = ("direction", "user", "name")
KNOWN: Final = tuple(name for name in RATES if name != "line")
REQUIRED: Final = tuple(name for name in KNOWN if name not in OPTIONAL)
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
_GAPS: Final = re.compile(r"[\s_-]+")
_NEAR: Final = 3
_LONG: Final = 40  # digits that a number written out may have before it is shown as it is


@dataclass(frozen=True, eq=False)
class Delivered:
    """The cells of a card as text: trimmed, blank is missing; and what is wrong with its shape."""

    source: str
    sha256: str
    columns: Mapping[str, pa.LargeStringArray]
    lines: NDArray[np.int64]
    place: str = "line"
    failures: list[Failure] = field(default_factory=list)
    left_out: bool = False


def delivered_rows(path: str | os.PathLike[str]) -> Delivered:
    """Read the cells of a CSV file: UTF-8, with commas or semicolons, blank lines skipped.

    Raises
    ------
    InputError
        If there is no such file, it is no UTF-8 text, or its quotes cannot be followed.
    """
    file = Path(path)
    source = file.name
    shown = visible(mask_in_name(source))
    try:
        content = file.read_bytes()
    except FileNotFoundError as exc:
        msg = f"there is no rate card at {visible(mask_in_name(str(file)))}"
        raise InputError(msg) from exc
    except (OSError, ValueError) as exc:
        why = "it is a folder" if file.is_dir() else getattr(exc, "strerror", None) or exc
        msg = f"the rate card {visible(mask_in_name(str(file)))} cannot be read ({why})"
        raise InputError(msg) from exc
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        msg = f"{shown} line {line} is no UTF-8 text: save the rate card as CSV in UTF-8"
        raise InputError(msg) from exc
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        msg = f"{shown} line {line} holds a NUL, as no text does: save the rate card as CSV in UTF-8"
        raise InputError(msg)
    lines, rows = _records(text, shown)
    if not rows:
        msg = f"{shown} is empty: a rate card begins with a line of its columns: {', '.join(KNOWN)}"
        raise InputError(msg)
    return _shaped(source, hashlib.sha256(content).hexdigest(), rows, np.array(lines, np.int64))


def _records(text: str, shown: str) -> tuple[list[int], list[list[str]]]:
    """Return the records that are not blank, and the physical line that each of them begins in."""
    head = next((line for line in text.splitlines() if line.strip(" \t;,")), "")
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines, rows, began = [], [], 1
    try:
        for row in reader:
            if any(map(str.strip, row)):
                lines.append(began)
                rows.append(row)
            began = reader.line_num + 1
    except csv.Error as exc:
        msg = f"{shown} line {began} is no record of a CSV file ({exc}): look at its quotes"
        raise InputError(msg) from exc
    return lines, rows


def _shaped(source: str, sha256: str, rows: list[list[str]], lines: NDArray[np.int64]) -> Delivered:
    """Part the header from the rows, and the rows as wide as it from the others."""
    header, body, where = rows[0], rows[1:], lines[1:]
    width = len(header)
    while width > 1 and not header[width - 1].strip():  # a spreadsheet writes columns that hold nothing
        width -= 1
    widths = np.fromiter(map(len, body), np.int64, len(body))
    fits = widths == width
    failures = []
    for at in np.flatnonzero(~fits).tolist():
        row = body[at]
        if len(row) > width and not any(map(str.strip, row[width:])):
            body[at], fits[at] = row[:width], True
            continue
        failures.append(
            Failure(
                int(where[at]),
                None,
                None,
                f"has {len(row)} fields, and the header {width}: look at its delimiters",
            )
        )
    whole = [row for row, fit in zip(body, fits.tolist(), strict=True) if fit] if failures else body
    cells: Iterable[Sequence[str]] = zip(*whole, strict=True) if whole else [()] * width
    columns, wrong = _named(
        [(name, clean_text(pa.array(cell, TEXT))) for name, cell in zip(header, cells, strict=False)],
        int(lines[0]),
    )
    return Delivered(source, sha256, columns, where[fits], "line", wrong + failures, bool(failures))


def delivered_frame(frame: pd.DataFrame, source: str) -> Delivered:
    """Take the cells of a frame as text: numbers written out, days as dates."""
    columns, failures = _named(
        [(name, _texts(frame.iloc[:, at])) for at, name in enumerate(frame.columns)], None
    )
    lines = np.arange(1, len(frame) + 1, dtype=np.int64)
    digest = hashlib.sha256()
    for name, cells in columns.items():
        starts, data = text_layout(cells)
        digest.update(f"{name}\n".encode())
        digest.update(np.diff(starts).astype("<i8").tobytes())
        digest.update(data[starts[0] : starts[-1]].tobytes())
    return Delivered(source, digest.hexdigest(), columns, lines, "row", failures)


def _texts(cells: pd.Series[Any]) -> pa.LargeStringArray:
    """Return a column of whatever type as trimmed text."""
    if isinstance(cells.dtype, pd.StringDtype):
        return clean_text(text_array(cells.astype("str")))
    if cells.dtype == object:
        return clean_text(pa.array([_text(value) for value in cells.tolist()], TEXT))
    codes, values = pd.factorize(cells)
    words = pa.array([_text(value) for value in values.tolist()], TEXT)
    return clean_text(words.take(pa.array(codes, mask=codes < 0)))


def _text(value: object) -> str | None:
    """Return one value as a CSV file would have it; what is missing is None."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):  # type: ignore[call-overload]
        return None
    if isinstance(value, float | np.floating):
        value = Decimal(repr(float(value)))
    if isinstance(value, Decimal):
        if not value.is_finite() or abs(value.adjusted()) > _LONG:
            return str(value)
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == datetime.min.time():
        value = value.date()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _named(
    columns: Sequence[tuple[object, pa.LargeStringArray]], line: int | None
) -> tuple[dict[str, pa.LargeStringArray], list[Failure]]:
    """Return the columns of a card by their names, and what is wrong with the names."""
    written = [str(name).strip() for name, _ in columns]
    plain = [_GAPS.sub("_", name.lower()) for name in written]
    if line is None and "line" in plain:  # `RateCard.rows` has it
        kept = [at for at, name in enumerate(plain) if name != "line"]
        return _named([columns[at] for at in kept], None)
    missing = [name for name in REQUIRED if name not in plain]
    if not set(plain) & set(KNOWN):
        names = f"has no column of a rate card: begin with {', '.join(KNOWN)}"
        return {}, [Failure(line, None, None, names)]
    failures = [
        Failure(line, name, None, f"stands {times} times in the header: keep one of them")
        for name, times in Counter(plain).items()
        if times > 1 and name in KNOWN
    ]
    unknown = [raw for raw, name in zip(written, plain, strict=True) if name not in KNOWN]
    for raw in unknown:
        near = _near(_GAPS.sub("_", raw.lower()), [name for name in KNOWN if name not in plain])
        known = f"did you mean {near}?" if near else f"known are {', '.join(KNOWN)}"
        failures.append(Failure(line, raw, None, f"is no column of a rate card; {known}"))
    for name in missing:
        near = _near(name, unknown)
        failures.append(
            Failure(
                line, name, None, f"is missing, there is no such column{f'; is it {near}?' if near else ''}"
            )
        )
    found = dict(zip(plain, (cells for _, cells in columns), strict=True))
    return {name: found[name] for name in KNOWN if name in found}, failures


def _near(name: str, others: Sequence[str]) -> str:
    """Return the names that one may have been meant for, quoted; nothing where there is none."""
    folded = {_GAPS.sub("_", other.lower()): other for other in others if other}
    close = get_close_matches(name, list(folded), _NEAR)
    close += [other for other in folded if name and other not in close and (name in other or other in name)]
    return " or ".join(f"'{folded[other]}'" for other in close[:_NEAR])


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
