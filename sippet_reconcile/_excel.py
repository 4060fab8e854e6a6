"""Write Excel workbooks in which no value is ever calculated, and nothing goes missing unsaid.

Input are values, output is one ``.xlsx``. Every text is a text cell, however much it
looks like a formula, a link or a number. What a cell cannot hold is cut with a note in
the cell. One row at a time is in memory.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = [
    "LARGEST_EXACT",
    "MAX_CHARS",
    "MAX_ROWS",
    "fitted",
    "open_workbook",
    "plain_text",
]

MAX_ROWS: Final = 1_048_576
"""Rows that a sheet can hold, its heading included."""

MAX_CHARS: Final = 32_767
"""Characters that a cell can hold, as UTF-16 counts them."""

LARGEST_EXACT: Final = 2**53
"""The largest whole number that a cell holds exactly."""

_NOTE_CHARS: Final = 120
_NO_TEXT: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
    "|_(?=x[0-9A-Fa-f]{4}_)|^'"
)
"""What XML cannot hold, what no eye sees, what programs take for an escaped sign, and what Excel takes for a mark."""
_OPTIONS: Final = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_urls": False,
    "strings_to_numbers": False,
}


@contextmanager
def open_workbook(sink: BinaryIO, *, instead: str) -> Iterator[Any]:
    """Open a workbook that keeps one row in memory, and leave no temporary file behind.

    Parameters
    ----------
    sink
        An open binary file.
    instead
        What to do where the library that writes workbooks is not installed, as the end of a sentence.

    Raises
    ------
    InputError
        If that library is not installed.
    OSError
        If the disk takes no more.
    """
    try:
        import xlsxwriter  # noqa: PLC0415 - an extra
        from xlsxwriter.exceptions import XlsxWriterException  # noqa: PLC0415 - of the same extra
    except ImportError as exc:
        msg = f'a workbook needs a further library: pip install "sippet-reconcile[excel]", or {instead}'
        raise InputError(msg) from exc
    with tempfile.TemporaryDirectory(prefix="sippet-") as folder:
        workbook = xlsxwriter.Workbook(sink, {**_OPTIONS, "tmpdir": folder})
        workbook.use_zip64()
        try:
            yield workbook
            workbook.close()
        except XlsxWriterException as exc:  # it wraps what the disk says
            raise OSError(str(exc)) from exc
        finally:
            for sheet in workbook.worksheets():
                sheet.row_data_fh.close()


def plain_text(text: str) -> str:
    r"""Return a text that every program reads, shows and saves again as the same text.

    Control characters, line ends and tabs among them, halves of surrogate pairs and signs without a
    width are written out; so is the first sign of what looks like an escaped character, and an
    apostrophe at the beginning, which spreadsheets take for a mark of text and lose.

    Examples
    --------
    >>> plain_text("=1+1"), plain_text("a\r\nb"), plain_text("_x0041_"), plain_text("'07")
    ('=1+1', 'a\\u000d\\u000ab', '\\u005fx0041_', '\\u002707')
    """
    return _NO_TEXT.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def fitted(text: str, *, master: str) -> str:
    """Return a text as a cell can hold it: whole, or cut with a note of its length and of who has all of it.

    Examples
    --------
    >>> fitted("short", master="the log has it")
    'short'
    >>> fitted("x" * 40_000, master="the log has it").endswith(" … [cut after 32647 of 40000 characters; the log has it]")
    True
    """
    if _utf16_length(text) <= MAX_CHARS:
        return text
    kept = text.encode("utf-16-le")[: 2 * (MAX_CHARS - _NOTE_CHARS)].decode("utf-16-le", "ignore")
    return f"{kept} … [cut after {len(kept)} of {len(text)} characters; {master}]"


def _utf16_length(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)
