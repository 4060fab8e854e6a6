"""Find what an edited copy of a sheet says differently, cell by cell.

Input are a sheet as it was written and what was read of it; output is which row is
which, what was answered, and every other cell, row and column that changed. Rows and
columns may stand in any order.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import mask_like_number, mask_number, shortened
from sippet_reconcile.report.workbook.reading import FORMULA, ReadSheet
from sippet_reconcile.report.workbook.sheet import (
    DAY_ZERO,
    MS_PER_DAY,
    Cells,
    SheetColumn,
    WorkbookSheet,
    column_letters,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["CHANGED", "Difference", "Differences", "beside", "compare_sheet", "seen"]

CHANGED: Final = "was changed"
"""What is said of a cell that holds something else."""

_SEPARATOR: Final = "\x1f"
"""No cell can hold it."""

_MOST_PAIRED: Final = 300
"""Rows that are looked at one by one for the rows they were; more than anybody wants to be told of."""

_LONGEST: Final = 80
_NOTHING: Final = "nothing"
_ID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


@dataclass(frozen=True)
class Difference:
    """One thing that an edited copy says differently.

    Attributes
    ----------
    sheet, row, cell, column
        Where: the sheet's name, the row's number, the cell as spreadsheets name it, and the column's head.
    found, expected
        What stands there, and what should; numbers of phones masked.
    what
        What is wrong, in a few words.
    """

    sheet: str
    row: int | None
    cell: str
    column: str
    found: str
    expected: str
    what: str


@dataclass(frozen=True, eq=False)
class Differences:
    """What was read of a table, laid beside what was written.

    Attributes
    ----------
    rows
        Of each row read: its sheet, its number, and the place of the row it is in the table that was written,
        -1 where it is none. One row per row read.
    answers
        The head of each column that was to be answered: the text of each row read, and its letters.
    found
        What differs.
    """

    rows: pd.DataFrame
    answers: dict[str, pd.Series[str]] = field(default_factory=dict)
    letters: dict[tuple[str, str], str] = field(default_factory=dict)
    found: list[Difference] = field(default_factory=list)


def seen(text: str, column: SheetColumn | None = None) -> str:
    r"""Return the text of a cell as a message may tell it.

    Examples
    --------
    >>> seen("70"), seen(""), seen("\x00=1+1"), seen("+442079460123")
    ("'70'", 'nothing', "the formula '=1+1'", "'+44••••••••23'")
    """
    if not text:
        return _NOTHING
    if text.startswith(FORMULA):
        return f"the formula {shortened(text[1:], _LONGEST)!r}"
    if column is not None and column.kind is Cells.INSTANT:
        text = _instant(text)
    if column is not None and column.is_phone:
        text = mask_number(text)
    elif not _ID.fullmatch(text):
        text = str(mask_like_number(text))
    return repr(shortened(text, _LONGEST))


def _instant(text: str) -> str:
    """Return the instant of which a cell holds the milliseconds; any other text as it is."""
    try:
        at = DAY_ZERO + pd.Timedelta(int(text), unit="ms")
    except (ValueError, OverflowError, pd.errors.OutOfBoundsDatetime, pd.errors.OutOfBoundsTimedelta):
        return text
    return at.tz_localize(None).isoformat(sep=" ", timespec="auto")


def compare_sheet(written: WorkbookSheet, read: Sequence[ReadSheet]) -> Differences:
    """Lay what was read of a table beside what was written.

    Parameters
    ----------
    written
        The table as it was written.
    read
        The sheets it is on, in any order.
    """
    found: list[Difference] = []
    parts: list[pd.DataFrame] = []
    letters: dict[tuple[str, str], str] = {}
    for sheet in read:
        places, first = _places(written, sheet, found)
        letters |= {(sheet.name, head): column_letters(at) for head, at in places.items()}
        if len(places) == len(written.columns):
            parts.append(_rows_of(written, sheet, places, first))
    if len(parts) < len(read) or not parts:
        # Without all columns no row can be told from another.
        return Differences(pd.DataFrame({"sheet": [], "row": [], "place": []}), found=found)
    rows = pd.concat(parts, ignore_index=True)
    answers = {c.head: rows[_column(at)] for at, c in enumerate(written.columns) if c.kind is Cells.ANSWER}
    place = _Rows(written, rows, letters).match(found)
    return Differences(
        pd.DataFrame({"sheet": rows["sheet"], "row": rows["row"], "place": place}), answers, letters, found
    )


def _column(place: int) -> str:
    return f"c{place}"


def _places(written: WorkbookSheet, sheet: ReadSheet, found: list[Difference]) -> tuple[dict[str, int], int]:
    """Return where each head stands, and how many rows come ahead of the table's own; note which is not there."""
    n_columns = len(written.columns)
    if not written.has_heads:
        for at in range(n_columns, len(sheet.columns)):
            found += beside(sheet, at)
        return {column.name: at for at, column in enumerate(written.columns)}, 0
    has_first = bool(sheet.rows) and sheet.rows[0] == 1
    texts = [part[0].as_py().strip() if has_first else "" for part in sheet.columns]
    if not {text.casefold() for text in texts} & {head.casefold() for head in written.heads}:
        what = "does not hold the heads of the columns, which belong there"
        found.append(Difference(sheet.name, 1, "", "", "no heads", "", what))
        return {}, 1
    counts = Counter(texts)
    places: dict[str, int] = {}
    for at, text in enumerate(texts):
        if not text:
            continue
        cell = f"{column_letters(at)}1"
        if text not in written.heads:
            found.append(Difference(sheet.name, 1, cell, "", seen(text), "", "is no column of this sheet"))
        elif counts[text] > 1 and text in places:
            found.append(Difference(sheet.name, 1, cell, text, seen(text), "", "is there twice"))
        else:
            places[text] = at
    missing = [head for head in written.heads if head not in places]
    found += [
        Difference(sheet.name, 1, "", head, "nothing", repr(head), "the column is missing or was renamed")
        for head in missing
    ]
    for at, text in enumerate(texts):
        if not text and at < len(sheet.columns) and len(missing) < n_columns:
            found += beside(sheet, at)
    return places, 1


def beside(sheet: ReadSheet, at: int) -> list[Difference]:
    """Return the cells of a column without a head that hold something."""
    filled = pc.indices_nonzero(pc.not_equal(sheet.columns[at], "")).to_pylist()
    return [
        Difference(
            sheet.name, sheet.rows[row], f"{column_letters(at)}{sheet.rows[row]}", "",
            seen(sheet.columns[at][row].as_py()), "nothing", "stands beside the table",
        )
        for row in filled[:_MOST_PAIRED]
    ]  # fmt: skip


def _rows_of(written: WorkbookSheet, sheet: ReadSheet, places: dict[str, int], first: int) -> pd.DataFrame:
    """Return the rows below the heads, the columns in the order in which they were written."""
    ats = list(places.values()) if not written.has_heads else [places[head] for head in written.heads]
    columns = {
        _column(number): _alike(_texts(sheet.columns[at].slice(first)), written.columns[number])
        for number, at in enumerate(ats)
    }
    frame = pd.DataFrame(columns, dtype="str")
    return frame.assign(sheet=sheet.name, row=np.asarray(sheet.rows[first:], dtype="int64"))


def _texts(values: pa.ChunkedArray) -> pd.Series[str]:
    return pd.Series(values.to_pandas(), dtype="str")


def _alike(texts: pd.Series[str], column: SheetColumn) -> pd.Series[str]:
    """Return the texts of a column so that equal values are equal texts: numbers, and instants to the millisecond."""
    if column.kind not in (Cells.NUMBER, Cells.INSTANT) or texts.empty:
        return texts
    numbers = pd.to_numeric(texts, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
    spelled = [
        _spelled(number, column.kind) if number == number else text  # noqa: PLR0124 - NaN
        for number, text in zip(numbers.tolist(), texts.tolist(), strict=True)
    ]
    return pd.Series(spelled, dtype="str")


def _spelled(number: float, kind: Cells) -> str:
    if kind is Cells.INSTANT and abs(number) < MS_PER_DAY:
        return str(round(number * MS_PER_DAY))
    # Programs do not agree on the last digits of what they save.
    return f"{number:.12g}"


def _written_rows(written: WorkbookSheet, compared: Sequence[int]) -> pd.DataFrame:
    """Return the texts of the rows as they were written."""
    columns: dict[int, list[str]] = {at: [] for at in compared}
    for part in written.cells():
        for at in compared:
            kind = written.columns[at].kind
            columns[at] += [
                cell if isinstance(cell, str)
                else "" if cell is None
                else str(cell) if kind is Cells.INSTANT
                else _spelled(cell, kind)
                for cell in part[at]
            ]  # fmt: skip
    return pd.DataFrame({_column(at): pd.Series(texts, dtype="str") for at, texts in columns.items()})


def _joined(rows: pd.DataFrame, names: Sequence[str]) -> pd.Series[str]:
    texts = rows[names[0]]
    for name in names[1:]:
        texts = texts + _SEPARATOR + rows[name]
    return texts


def _counted(texts: pd.Series[str]) -> pd.Series[str]:
    """Return texts that tell equal ones apart, by how many of them stand ahead."""
    return texts + _SEPARATOR + texts.groupby(texts, sort=False).cumcount().astype("str")


class _Rows:
    """The rows of one table as they were written, and as they were read."""

    def __init__(
        self, written: WorkbookSheet, rows: pd.DataFrame, letters: Mapping[tuple[str, str], str]
    ) -> None:
        compared = [at for at, column in enumerate(written.columns) if column.kind is not Cells.ANSWER]
        self._sheet, self._letters = written.name, letters
        self._columns = {_column(at): written.columns[at] for at in compared}
        self._names = list(self._columns)
        self._keys = [name for name in self._names if self._columns[name].name in written.key] or self._names
        self._written, self._read = _written_rows(written, compared), rows

    def match(self, found: list[Difference]) -> NDArray[np.int64]:
        """Return which written row each read row is; note every difference."""
        ours, theirs = _joined(self._written, self._names), _joined(self._read, self._names)
        place = pd.Index(_counted(ours)).get_indexer(pd.Index(_counted(theirs))).astype("int64")
        is_taken = np.zeros(len(self._written), dtype="bool")
        is_taken[place[place >= 0]] = True
        strange = np.flatnonzero(place < 0)
        own = dict(zip(_joined(self._written, self._keys), range(len(self._written)), strict=True))
        unknown: list[int] = []
        for at, key in zip(strange.tolist(), _joined(self._read.iloc[strange], self._keys), strict=True):
            was = own.get(key, -1)
            if was < 0:
                unknown.append(at)
            elif is_taken[was]:
                found.append(self._of_row(at, "says a second time what another row says"))
            else:
                place[at], is_taken[was] = was, True
                found += self._cells(was, at)
        missing = np.flatnonzero(~is_taken).tolist()
        for number, at in enumerate(unknown):
            was = self._most_like(missing[:_MOST_PAIRED], at) if number < _MOST_PAIRED else -1
            if was < 0:
                found.append(self._of_row(at, "is not a row that was written"))
            else:
                missing.remove(was)
                found += self._cells(was, at)
        found += [self._missing(was) for was in missing]
        return place

    def _most_like(self, places: Iterable[int], at: int) -> int:
        """Return the missing row that a read row agrees with in most cells, and in at least half; -1 for none."""
        mine = self._read.iloc[at][self._names].tolist()
        best, most = -1, (len(self._names) + 1) // 2 - 1
        for was in places:
            equal = sum(map(str.__eq__, mine, self._written.iloc[was].tolist()))
            if equal > most:
                best, most = was, equal
        return best

    def _of_row(self, at: int, what: str) -> Difference:
        number = int(self._read["row"].iloc[at])
        return Difference(str(self._read["sheet"].iloc[at]), number, "", "", f"row {number}", "", what)

    def _missing(self, was: int) -> Difference:
        told = (seen(str(self._written[name].iloc[was]), self._columns[name]) for name in self._keys)
        expected = ", ".join(text for text in told if text != _NOTHING)
        return Difference(self._sheet, None, "", "", _NOTHING, expected, "the row is missing")

    def _cells(self, was: int, at: int) -> list[Difference]:
        """Return the cells in which a row that was read differs from the one that was written."""
        sheet, number = str(self._read["sheet"].iloc[at]), int(self._read["row"].iloc[at])
        differences = []
        for name, column in self._columns.items():
            mine, ours = str(self._read[name].iloc[at]), str(self._written[name].iloc[was])
            if mine == ours:
                continue
            head = column.head or column.name
            told, should = seen(mine, column), seen(ours, column)
            what = "was changed in digits that are hidden here" if told == should else CHANGED
            cell = f"{self._letters.get((sheet, head), '')}{number}"
            differences.append(Difference(sheet, number, cell, head, told, should, what))
        return differences
