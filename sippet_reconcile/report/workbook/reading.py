"""Read the sheets of a workbook that was written here and saved again by whichever program.

Input is a file, output are the texts of its cells, spelled alike whoever wrote them:
numbers by their value, instants by their milliseconds, and a formula as a formula,
whatever it comes to. A file that unfolds to more than such a workbook can be is not read.

The reader is openpyxl, as in ``pandas.read_excel``: faster ones tell of a formula only
what it came to when the file was saved, and a formula in place of a value has to be seen.
"""

from __future__ import annotations

import datetime as dt
import warnings
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa

from sippet_reconcile._excel import LARGEST_EXACT, MAX_ROWS
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

__all__ = ["FORMULA", "ReadSheet", "canonical", "read_workbook"]

FORMULA: Final = "\x00"
"""What a formula begins with among texts: no cell can hold that sign."""

_BASE_BYTES: Final = 64 * 2**20
_BYTES_PER_ROW: Final = 16 * 2**10
_MOST_PARTS: Final = 10_000
_SPARE_COLUMNS: Final = 64
"""Columns that are read beside those of the table: what stands there is a changed cell as well."""

_ROWS_AT_A_TIME: Final = 10_000

_FIRST_ROWS: Final = 50
"""Rows that are read of a sheet nobody asked for: enough to find the heads of a copy of one that was."""

_LOCKS: Final = ("~${}", ".~lock.{}#")
"""How Excel and LibreOffice name the file that says that one of them has another file open."""

_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
"""What a file in an old format begins with, and one that is under a password."""


@dataclass(frozen=True, eq=False)
class ReadSheet:
    """The texts of one sheet.

    Attributes
    ----------
    name
        The name of the sheet.
    rows
        The number of each row that holds anything, as spreadsheets count them.
    columns
        The texts of each column, one for each of those rows; an empty cell is an empty text.
    """

    name: str
    rows: list[int]
    columns: list[pa.ChunkedArray]


def canonical(value: object) -> str:
    """Return a cell's value as the one text that equal values share.

    Examples
    --------
    >>> canonical(60.0), canonical(1.5), canonical(None), canonical("060"), canonical(True)
    ('60', '1.5', '', '060', 'TRUE')
    >>> canonical(dt.datetime(1900, 3, 1, 12))
    '61.5'
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return str(int(value)) if abs(value) < LARGEST_EXACT and value == int(value) else repr(float(value))
    if isinstance(value, dt.date | dt.time | dt.timedelta):
        from openpyxl.utils.datetime import to_excel  # noqa: PLC0415 - whoever has such a value has read it with it

        return canonical(to_excel(value))
    return FORMULA + str(getattr(value, "text", None) or "an array formula")


def read_workbook(path: Path, names: Collection[str], *, n_columns: int, n_rows: int) -> list[ReadSheet]:
    """Read the sheets of a workbook, in the order in which it has them.

    Parameters
    ----------
    path
        An ``.xlsx`` file, whatever its name.
    names
        The sheets that are wanted; of others the first fifty rows are read, for what they are.
    n_columns
        Columns of the widest of them.
    n_rows
        Rows that they have together: what the file may unfold to depends on it.

    Raises
    ------
    InputError
        If the file is no workbook, is open in another program, unfolds too far, or the library that reads
        workbooks is missing.
    """
    try:
        import openpyxl  # noqa: PLC0415 - an extra
    except ImportError as exc:
        msg = 'reading a workbook needs a further library: pip install "sippet-reconcile[excel]"'
        raise InputError(msg) from exc
    limit = _BASE_BYTES + _BYTES_PER_ROW * n_rows
    with _told(path), path.open("rb") as file, warnings.catch_warnings():
        # Of what spreadsheets add that the reader does not know; none of it is read here.
        warnings.simplefilter("ignore")
        _refuse_open(path)
        _refuse_bomb(path, file, limit)
        book = openpyxl.load_workbook(file, read_only=True, data_only=False, keep_links=False)
        try:
            return [
                _read(sheet, n_columns, MAX_ROWS if sheet.title in names else _FIRST_ROWS)
                for sheet in book.worksheets
            ]
        finally:
            book.close()


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what the reader raises for a file that is no workbook into one sentence."""
    try:
        yield
    except FileNotFoundError as exc:
        msg = f"there is no workbook at {path}"
        raise InputError(msg) from exc
    except PermissionError as exc:
        msg = f"{path} cannot be read ({exc.strerror or exc}): close it where it is open, or look who may read it"
        raise InputError(msg) from exc
    except zipfile.BadZipFile as exc:
        msg = f"{path} is no workbook (.xlsx); save it as “Excel workbook”, not as CSV, .xls or .ods"
        raise InputError(msg) from exc
    except InputError:
        raise
    # What a part that is missing, is no XML or does not unfold, or is not what a workbook has there, makes openpyxl,
    # zipfile, zlib and the XML parser raise: exceptions of their own that share no class below this one.
    except Exception as exc:
        msg = f"{path} cannot be read as a workbook ({type(exc).__name__}); save it once more as .xlsx"
        raise InputError(msg) from exc


def _refuse_open(path: Path) -> None:
    """Refuse a file that another program has open: the last word may not be saved yet."""
    for lock in (path.with_name(form.format(path.name)) for form in _LOCKS):
        if lock.exists():
            msg = (
                f"{path} is open in another program, and what was answered last may not be in it yet: save and close "
                f"it there. If nobody has it open, delete what a program left behind, {lock.name}"
            )
            raise InputError(msg)


def _refuse_bomb(path: Path, file: BinaryIO, limit: int) -> None:
    """Refuse a file that would unfold to far more than the workbook it shall be.

    zipfile reads no more of a part than its entry says, so what the entries say can be relied on.
    """
    if file.read(len(_OLE)) == _OLE:
        msg = (
            f"{path} is under a password, or in the old format .xls; save it as “Excel workbook” (.xlsx) "
            "without a password"
        )
        raise InputError(msg)
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    total = sum(part.file_size for part in parts)
    if total > limit or len(parts) > _MOST_PARTS:
        msg = (
            f"{path} unfolds to {total / 2**20:,.0f} MB in {len(parts):,} parts, and such a workbook has at most "
            f"{limit / 2**20:,.0f} MB: it is not read. Answer in a fresh copy of the workbook"
        )
        raise InputError(msg)


def _read(sheet: Any, n_columns: int, max_rows: int) -> ReadSheet:
    """Return the texts of one sheet, blank rows left away."""
    width = n_columns + _SPARE_COLUMNS
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()  # what a file says of its size is not believed
    numbers: list[int] = []
    waiting: list[list[str]] = []
    chunks: list[list[pa.Array]] = [[] for _ in range(width)]

    def put_away() -> None:
        for place, texts in enumerate(zip(*waiting, strict=True)):
            chunks[place].append(pa.array(texts, pa.large_string()))
        waiting.clear()

    # No spreadsheet has more rows; a file that numbers one higher would be filled up to it.
    last: object = None
    for number, row in enumerate(sheet.iter_rows(max_col=width, max_row=max_rows), start=1):
        if row is last:
            continue  # the reader fills a gap with one and the same empty row
        last = row
        texts = [_text_of(cell) for cell in row]
        if any(texts):
            numbers.append(number)
            waiting.append(texts + [""] * (width - len(texts)))
            if len(waiting) >= _ROWS_AT_A_TIME:
                put_away()
    put_away()
    return ReadSheet(sheet.title, numbers, [pa.chunked_array(part, pa.large_string()) for part in chunks])


def _text_of(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "f":
        return FORMULA + (value if isinstance(value, str) else str(getattr(value, "text", "") or "="))
    return canonical(value)
