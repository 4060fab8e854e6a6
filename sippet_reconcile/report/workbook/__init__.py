"""Tables as sheets of an Excel workbook, for people to look at and to write into, and back again.

Input are frames and what their columns are; output is one ``.xlsx`` in which nothing is
ever calculated, or what somebody's edited copy of it says differently.
"""

from __future__ import annotations

from sippet_reconcile.report.workbook.comparing import Differences, compare_sheet
from sippet_reconcile.report.workbook.reading import ReadSheet, read_workbook
from sippet_reconcile.report.workbook.sheet import Cells, SheetColumn, WorkbookSheet
from sippet_reconcile.report.workbook.writing import write_workbook

__all__ = [
    "Cells",
    "Differences",
    "ReadSheet",
    "SheetColumn",
    "WorkbookSheet",
    "compare_sheet",
    "read_workbook",
    "write_workbook",
]
