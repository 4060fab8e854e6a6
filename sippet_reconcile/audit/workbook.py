"""Write audit records as an Excel workbook in which nothing is calculated and nothing goes missing.

Input are tables of records, output is one ``.xlsx``. Every text is a text cell, however
much it looks like a formula, a link or a number; instants are UTC in ISO form, because
Excel's own have no microseconds and no zone. What Excel cannot hold is cut with a note
in the cell, and counted on the sheet ``about``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile._excel import LARGEST_EXACT, MAX_ROWS, fitted, open_workbook
from sippet_reconcile.audit.records import AUDIT, GENESIS, records_of_table
from sippet_reconcile.schema import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    import pyarrow as pa

__all__ = ["write_workbook"]

_MASTER: Final = "the log itself and its JSON lines export have every character"
_WIDTHS: Final = {"at": 28, "seq": 8, "event": 12, "before": 40, "after": 40, "note": 40, "error_detail": 40}


def write_workbook(tables: Iterable[pa.Table], sink: BinaryIO, *, max_rows: int = MAX_ROWS) -> None:
    """Write records into sheets named ``records``, ``records 2`` and so on, and a sheet ``about``.

    Parameters
    ----------
    tables
        Records in the order of the log.
    sink
        An open binary file.
    max_rows
        Rows per sheet, its heading included; what does not fit goes on in a further sheet.

    Raises
    ------
    InputError
        If the library that writes workbooks is not installed.
    OSError
        If the disk takes no more.
    """
    with open_workbook(sink, instead="export as .csv") as workbook:
        book = _Book(workbook, max_rows)
        for table in tables:
            for record in records_of_table(table):
                book.add(record)
        book.finish()


class _Book:
    """The sheets of one workbook as they grow."""

    def __init__(self, workbook: Any, max_rows: int) -> None:
        self._workbook, self._max_rows = workbook, max_rows
        self._bold = workbook.add_format({"bold": True})
        self._n_records, self._n_cut, self._head = 0, 0, GENESIS
        self._n_sheets = 0
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._n_sheets += 1
        name = "records" if self._n_sheets == 1 else f"records {self._n_sheets}"
        self._sheet = self._workbook.add_worksheet(name)
        self._row = 0
        for place, column in enumerate(AUDIT.columns):
            width = _WIDTHS.get(column.name, 14 if column.kind is Kind.INTEGER else 24)
            self._sheet.set_column(place, place, width)
            self._sheet.write_string(0, place, column.name, self._bold)
        self._sheet.freeze_panes(1, 0)

    def _end_sheet(self) -> None:
        self._sheet.autofilter(0, 0, self._row, len(AUDIT.columns) - 1)

    def add(self, record: dict[str, Any]) -> None:
        """Write one record as the next row."""
        if self._row + 1 >= self._max_rows:
            self._end_sheet()
            self._begin_sheet()
        self._row += 1
        for place, name in enumerate(AUDIT.names):
            value = record[name]
            if isinstance(value, int) and abs(value) <= LARGEST_EXACT:
                self._sheet.write_number(self._row, place, value)
            elif value is not None:
                text = str(value)
                told = fitted(text, master=_MASTER)
                self._n_cut += told != text
                self._sheet.write_string(self._row, place, told)
        self._n_records += 1
        self._head = str(record["hash"])

    def finish(self) -> None:
        """Say on a sheet of its own what the workbook holds and what it could not hold."""
        self._end_sheet()
        about = self._workbook.add_worksheet("about")
        about.set_column(0, 0, 24)
        about.set_column(1, 1, 100)
        lines = {
            "records": f"{self._n_records} in {self._n_sheets} sheet(s)",
            "head": self._head,
            "instants": "UTC, in ISO form, with microseconds",
            "empty cells": "a value that is missing, or an empty text",
            "cells cut": f"{self._n_cut}; {_MASTER}" if self._n_cut else "0",
        }
        for row, (what, told) in enumerate(lines.items()):
            about.write_string(row, 0, what, self._bold)
            about.write_string(row, 1, told)
