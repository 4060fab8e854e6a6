"""The cells of a rate card as text, from a CSV file or a frame, and the names of its columns.

Input is a path or a frame, output are trimmed texts under the names that a card has, with
their lines, and what is wrong with the shape of the file.
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

from sippet_reconcile._display.masking import mask_in_name
from sippet_reconcile._display.text import visible
from sippet_reconcile.billing.checking import Failure
from sippet_reconcile.billing.frames import RATES
from sippet_reconcile.errors import InputError
from sippet_reconcile.normalize import clean_text, text_layout
from sippet_reconcile.schema import text_array

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["KNOWN", "OPTIONAL", "TEXT", "Delivered", "delivered_frame", "delivered_rows"]

TEXT: Final = pa.large_string()
OPTIONAL: Final = ("direction", "user", "name")
"""The columns that a card may do without."""

KNOWN: Final = tuple(name for name in RATES if name != "line")
"""The columns of a card in their order."""

_REQUIRED: Final = tuple(name for name in KNOWN if name not in OPTIONAL)
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
    missing = [name for name in _REQUIRED if name not in plain]
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
