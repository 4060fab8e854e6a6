"""Write sheets into an Excel workbook that people filter, sort, print and answer in.

Input are sheets, output is one ``.xlsx``: no text in it is a formula or a link, headings
stay in sight, and one row at a time is in memory.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._excel import MAX_ROWS, open_workbook
from sippet_reconcile._files import instead_of
from sippet_reconcile.errors import InputError
from sippet_reconcile.report.workbook.sheet import (
    MS_PER_DAY,
    Cells,
    SheetColumn,
    WorkbookSheet,
    column_letters,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["sheet_names", "write_workbook"]

_FONT: Final = {"font_name": "Calibri", "font_size": 11, "valign": "top"}
_FORMATS: Final = {
    # Text cells stay text where somebody edits them: "=1+1" typed into such a cell is no formula either.
    Cells.TEXT: {"num_format": "@"},
    Cells.NUMBER: {"num_format": "#,##0.0##"},
    Cells.INSTANT: {"num_format": "yyyy-mm-dd hh:mm:ss"},
    Cells.ANSWER: {"num_format": "@"},
}
_WHOLE: Final = "#,##0"
_MONEY: Final = "#,##0.000000"
_SHADE, _ANSWER, _ANSWER_SHADE, _HEAD, _LINE = "#EEF3F8", "#FFFBE6", "#FFF3C4", "#1F3A5F", "#C9D3DE"
_YES, _NO = {"bg_color": "#CDEBD3", "font_color": "#14532D"}, {"bg_color": "#F6D5D5", "font_color": "#7F1D1D"}
_LANDSCAPE_FROM, _TWO_PAGES_FROM = 5, 14
_A4: Final = 9
_LINE_HEIGHT: Final = 15
_MOST_LINES: Final = 20


def sheet_names(name: str, n_rows: int, max_rows: int = MAX_ROWS) -> list[str]:
    """Return the names of the sheets that a table of so many rows takes, its headings not counted.

    Examples
    --------
    >>> sheet_names("changes", 0), sheet_names("changes", 4, max_rows=3)
    (['changes'], ['changes', 'changes 2'])
    """
    n_sheets = max(1, -(-n_rows // (max_rows - 1)))
    return [name if number == 0 else f"{name} {number + 1}" for number in range(n_sheets)]


def write_workbook(
    sheets: Sequence[WorkbookSheet],
    path: str | os.PathLike[str],
    *,
    title: str,
    created_at: datetime | None = None,
    max_rows: int = MAX_ROWS,
) -> Path:
    """Write sheets into one workbook, whole or not at all; return its path.

    Parameters
    ----------
    sheets
        In reading order; the first one is shown when the file is opened.
    path
        Ends in ``.xlsx``; a file of that name is replaced once the new one is whole.
    title
        Stands in the file's properties and at the foot of each printed page; never a text from data.
    created_at
        What the file says of its making; now, where not given.
    max_rows
        Rows per sheet, its heading included; what does not fit goes on in a further sheet.

    Raises
    ------
    InputError
        If the path ends otherwise, the file cannot be written, or the library that writes workbooks is missing.
    """
    target = Path(path)
    if target.suffix.lower() != ".xlsx":
        msg = f"{target.name}: a workbook is written as .xlsx, so let its name end so"
        raise InputError(msg)
    if target.exists() and not target.is_file():
        msg = f"{target} is no ordinary file, so it is not replaced: choose another name"
        raise InputError(msg)
    with instead_of(target) as sink, open_workbook(sink, instead="write HTML") as workbook:
        at = (created_at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
        workbook.set_properties({"title": title, "created": at})
        book = _Book(workbook, title, max_rows)
        for sheet in sheets:
            book.add(sheet)
    return target


class _Book:
    """The formats of one workbook, and the sheets as they grow."""

    def __init__(self, workbook: Any, title: str, max_rows: int) -> None:
        self._workbook, self._title, self._max_rows = workbook, title, max_rows
        self._made: dict[tuple[Any, ...], Any] = {}
        self._head = workbook.add_format(
            {**_FONT, "bold": True, "font_color": "white", "bg_color": _HEAD, "text_wrap": True}
        )
        self._label = workbook.add_format({**_FONT, "bold": True})
        self._yes, self._no = workbook.add_format(_YES), workbook.add_format(_NO)

    def add(self, sheet: WorkbookSheet) -> None:
        """Write one table, on as many sheets as it takes."""
        rows = chain.from_iterable(zip(*part, strict=True) for part in sheet.cells())
        marked = zip(rows, sheet.blocks(), strict=True)
        names = sheet_names(sheet.name, len(sheet.frame), self._max_rows)
        room = self._max_rows - 1
        for place, name in enumerate(names):
            n_rows = min(len(sheet.frame) - place * room, room)
            self._add_sheet(name, sheet, marked, n_rows)

    def _add_sheet(self, name: str, sheet: WorkbookSheet, rows: Iterator[Any], n_rows: int) -> None:
        page = self._workbook.add_worksheet(name)
        self._set_up(page, sheet)
        first = 0
        if sheet.has_heads:
            page.set_row(0, 32)
            for place, column in enumerate(sheet.columns):
                page.write_string(0, place, column.head, self._head)
            page.freeze_panes(1, sheet.frozen)
            page.autofilter(0, 0, n_rows, len(sheet.columns) - 1)
            first = 1
        if n_rows:
            self._invite(page, sheet, first, first + n_rows - 1)
        formats = [
            [[self._format(column, w, is_even=e, is_first=f) for f in (False, True)] for e in (False, True)]
            for column, w in zip(sheet.columns, sheet.are_whole(), strict=True)
        ]
        kinds = [column.kind for column in sheet.columns]
        wrapped = {at: column.width for at, column in enumerate(sheet.columns) if column.is_wrapped}
        was: bool | None = None
        for row in range(first, first + n_rows):
            cells, is_even = next(rows)
            is_first = bool(sheet.group_by) and is_even is not was
            was = is_even
            if wrapped and (n_lines := _lines(cells, wrapped)) > 1:
                # Not every program works the height out for itself.
                page.set_row(row, n_lines * _LINE_HEIGHT)
            for place, (cell, kind, styles) in enumerate(zip(cells, kinds, formats, strict=True)):
                style = styles[is_even][is_first]
                if not sheet.has_heads and place == 0:
                    style = self._label
                if cell is None:
                    page.write_blank(row, place, None, style)
                elif isinstance(cell, str):
                    page.write_string(row, place, cell, style)
                elif kind is Cells.INSTANT:
                    page.write_number(row, place, cell / MS_PER_DAY, style)
                else:
                    page.write_number(row, place, cell, style)

    def _set_up(self, page: Any, sheet: WorkbookSheet) -> None:
        """Set what does not depend on the rows: widths, and how it prints."""
        for place, column in enumerate(sheet.columns):
            page.set_column(place, place, column.width)
        if len(sheet.columns) >= _LANDSCAPE_FROM:
            page.set_landscape()
        page.set_paper(_A4)
        page.fit_to_pages(1 if len(sheet.columns) < _TWO_PAGES_FROM else 2, 0)
        page.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
        # An ampersand begins a code in there.
        page.set_footer(f"&L{self._title.replace('&', '&&')}&C&A&R&P / &N")
        if sheet.has_heads:
            page.repeat_rows(0)
            if sheet.frozen:
                page.repeat_columns(0, sheet.frozen)
        else:
            page.hide_gridlines(2)

    def _invite(self, page: Any, sheet: WorkbookSheet, first: int, last: int) -> None:
        """Offer what may be answered, and say that texts of digits are meant to be texts."""
        letters = [
            f"{column_letters(place)}{first + 1}:{column_letters(place)}{last + 1}"
            for place in range(len(sheet.columns))
        ]
        texts = [
            area
            for area, column in zip(letters, sheet.columns, strict=True)
            if column.kind in (Cells.TEXT, Cells.ANSWER)
        ]
        if texts:
            page.ignore_errors({"number_stored_as_text": " ".join(texts)})
        for place, column in enumerate(sheet.columns):
            if not column.choices:
                continue
            page.data_validation(
                first,
                place,
                last,
                place,
                {
                    "validate": "list",
                    "source": list(column.choices),
                    "error_title": "Only " + " or ".join(column.choices),
                    "error_message": column.hint,
                    "input_title": column.head,
                    "input_message": column.hint,
                },
            )
            for word, style in zip(column.choices, (self._yes, self._no), strict=False):
                rule = {"type": "cell", "criteria": "==", "value": f'"{word}"', "format": style}
                page.conditional_format(first, place, last, place, rule)

    def _format(self, column: SheetColumn, is_whole: bool, *, is_even: bool, is_first: bool) -> Any:  # noqa: FBT001
        """Return the one format of such cells."""
        traits = (
            column.kind,
            is_whole,
            column.is_signed,
            column.is_money,
            column.is_wrapped,
            column.is_clipped,
            is_even,
            is_first,
        )
        if traits not in self._made:
            style = {**_FONT, **_FORMATS[column.kind]}
            if is_whole or column.is_money:
                style["num_format"] = _MONEY if column.is_money else _WHOLE
            if column.is_signed:
                zero = "0.000000" if column.is_money else "0"
                style["num_format"] = f"+{style['num_format']};-{style['num_format']};{zero}"
            if column.is_wrapped or column.kind is Cells.ANSWER:
                style["text_wrap"] = True
            if column.kind is Cells.TEXT:
                style |= {"align": "fill"} if column.is_clipped else {"align": "left", "indent": 1}
            if column.kind is Cells.ANSWER:
                style |= {"bg_color": _ANSWER_SHADE if is_even else _ANSWER, "locked": False}
            elif is_even:
                style["bg_color"] = _SHADE
            if is_first:
                style |= {"top": 1, "top_color": _LINE}
            self._made[traits] = self._workbook.add_format(style)
        return self._made[traits]


def _lines(cells: Sequence[Any], widths: Mapping[int, int]) -> int:
    """Return how many lines the cells of a row take, where texts go on in further lines.

    Examples
    --------
    >>> _lines(["a " * 30, None, 7], {0: 20, 1: 20})
    4
    """
    # Words do not break, so that a line holds a little less than fits.
    return min(
        max(-(-len(text) // int(width * 0.9)) for at, width in widths.items() for text in [cells[at] or ""]),
        _MOST_LINES,
    )
