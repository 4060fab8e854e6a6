"""Describe one sheet of a workbook: its columns, and what stands in each cell.

Input is a frame and what its columns are; output are the values of its cells, a few
thousand rows at a time, phone numbers masked. Reader and writer start from here, so
that what was written is what is expected back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from sippet_reconcile._display import mask_number
from sippet_reconcile._excel import fitted, plain_text
from sippet_reconcile.report.section import hidden_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["DAY_ZERO", "MS_PER_DAY", "Cells", "SheetColumn", "WorkbookSheet", "column_letters", "text_cell"]

DAY_ZERO: Final = pd.Timestamp("1899-12-30", tz="UTC")
"""What spreadsheets count days from."""

MS_PER_DAY: Final = 86_400_000

_FIRST_INSTANT: Final = 61 * MS_PER_DAY
"""1 March 1900: spreadsheets believe in a 29 February before it."""

_LAST_INSTANT: Final = 2_958_466 * MS_PER_DAY
"""The end of the year 9999."""

_ROWS_AT_A_TIME: Final = 5_000
_MASTER: Final = "the saved plan has all of it"


class Cells(StrEnum):
    """What the cells of a column hold."""

    TEXT = "text"
    NUMBER = "number"
    INSTANT = "instant"
    ANSWER = "answer"
    """Empty as written; the reader's own word."""


@dataclass(frozen=True)
class SheetColumn:
    """One column of a sheet.

    Attributes
    ----------
    name
        The column of the frame; for `Cells.ANSWER` there is none.
    head
        What stands above it, and by which it is found again.
    kind
        What its cells hold. Instants are date cells in UTC, to the millisecond: their head says so.
    width
        In characters.
    choices
        Words that a drop-down offers; none for free text.
    is_phone
        Whether its texts are phone numbers, of which no message may tell more than the ends.
    is_masked
        Whether the sheet shows no more than the ends of them.
    is_signed
        Whether its numbers are shown with their sign.
    is_money
        Whether its numbers are amounts of money, shown with six places.
    is_wrapped
        Whether long texts go on in further lines of the cell.
    is_clipped
        Whether long texts end with the cell, though there is room beside it: they are for programs.
    hint
        What is told about the column where a cell of it is chosen.
    """

    name: str
    head: str
    kind: Cells = Cells.TEXT
    width: int = 16
    choices: tuple[str, ...] = ()
    is_phone: bool = False
    is_masked: bool = False
    is_signed: bool = False
    is_money: bool = False
    is_wrapped: bool = False
    is_clipped: bool = False
    hint: str = ""


@dataclass(frozen=True, eq=False)
class WorkbookSheet:
    """One table of a workbook; where it has more rows than a sheet holds, it goes on in further sheets.

    Attributes
    ----------
    name
        The name of the sheet: a fixed word, never a text from data.
    columns
        In reading order.
    frame
        The rows.
    group_by
        Column of the frame whose equal values, standing together, are shown as one block. Empty for none.
    key
        Columns of the frame that tell its rows apart; empty where nothing does.
    frozen
        Columns that stay in sight.
    has_heads
        Whether the first row holds the heads.
    hides_numbers
        Whether its texts are shown with the middle of every phone number hidden; the frame has them in full.
    """

    name: str
    columns: Sequence[SheetColumn]
    frame: pd.DataFrame
    group_by: str = ""
    key: tuple[str, ...] = ()
    frozen: int = 0
    has_heads: bool = True
    hides_numbers: bool = False

    @property
    def heads(self) -> list[str]:
        """What stands above the columns."""
        return [column.head for column in self.columns]

    def cells(self) -> Iterator[list[list[Any]]]:
        """Yield a few thousand rows at a time: the cells of each column, which are text, numbers or None.

        An instant is its milliseconds since the day zero of spreadsheets, or text where they do not know its year.
        """
        for start in range(0, len(self.frame), _ROWS_AT_A_TIME):
            part = self.frame.iloc[start : start + _ROWS_AT_A_TIME]
            part = hidden_numbers(part) if self.hides_numbers else part
            yield [_cells_of(part, column) for column in self.columns]

    def are_whole(self) -> list[bool]:
        """Tell of each column whether it holds whole numbers throughout."""
        return [
            column.kind is Cells.NUMBER
            and bool(self.frame[column.name].dropna().astype("float64").mod(1).eq(0).all())
            for column in self.columns
        ]

    def blocks(self) -> list[bool]:
        """Tell of each row whether it is in an even block."""
        if not self.group_by:
            return [False] * len(self.frame)
        names = self.frame[self.group_by]
        return (names.ne(names.shift()).cumsum() % 2).eq(0).tolist()


def column_letters(place: int) -> str:
    """Return the letters of a column, counted from 0.

    Examples
    --------
    >>> column_letters(0), column_letters(25), column_letters(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def text_cell(text: str) -> str:
    """Return a text as a cell of this program holds it."""
    return fitted(plain_text(text), master=_MASTER)


def _cells_of(part: pd.DataFrame, column: SheetColumn) -> list[Any]:
    if column.kind is Cells.ANSWER:
        return [None] * len(part)
    values = part[column.name]
    if column.kind is Cells.NUMBER:
        return [None if v is None or v is pd.NA or v != v else float(v) for v in values.tolist()]  # noqa: PLR0124 - NaN
    if column.kind is Cells.INSTANT:
        return _instant_cells(values)
    texts = values.astype("object").where(values.notna(), None).tolist()
    shown = (mask_number(v) if column.is_masked and v is not None else v for v in texts)
    # An empty text and a missing one are the same empty cell.
    return [None if v is None or v == "" else text_cell(str(v)) for v in shown]


def _instant_cells(values: pd.Series[Any]) -> list[Any]:
    ms = (values - DAY_ZERO).dt.total_seconds().mul(1000).round().tolist()
    if all(one != one or _FIRST_INSTANT <= one < _LAST_INSTANT for one in ms):  # noqa: PLR0124 - NaN
        return [None if one != one else int(one) for one in ms]  # noqa: PLR0124 - NaN
    texts = values.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ").tolist()
    return [
        None if one != one else int(one) if _FIRST_INSTANT <= one < _LAST_INSTANT else text  # noqa: PLR0124 - NaN
        for one, text in zip(ms, texts, strict=True)
    ]
