"""Which files are no text at all, or no export, whoever hands them in? Told by how they begin.

Input is how a file begins, output an error that says what it is and how to get an export
out of it: "no known format fits" would leave whoever clicked on *Save* none the wiser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["refuse_foreign"]

_UNPACK: Final = "unpack it and pass the files in it, or pack them by gzip or zip"
_FROM_PROGRAM: Final = "export the list of calls as CSV"
_SIGNS: Final = (
    (
        rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "a workbook",
        "save the sheet as CSV, or hand what pandas.read_excel(..., dtype=str) reads to cdr_from_frame",
    ),
    (rb"PK\x05\x06", "a zip archive that holds no file", "pack it again"),
    (rb"BZh[1-9]1AY&SY", "packed by bzip2", _UNPACK),
    (rb"\xfd7zXZ\x00", "packed by xz", _UNPACK),
    (rb"\x28\xb5\x2f\xfd", "packed by zstd", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (rb"(?s).{257}ustar[\x00 ]", "a tar archive", _UNPACK),
    (rb"%PDF-", "a PDF document", _FROM_PROGRAM),
    (
        rb"SQLite format 3\x00",
        "a SQLite database",
        "export its table of calls as CSV with a header, or dump it as INSERT statements",
    ),
    (
        rb"PGDMP",
        "a dump in a format of pg_dump's own",
        "dump it with pg_dump --column-inserts, or export it as CSV with a header",
    ),
    (
        rb"(?i)(?:\xef\xbb\xbf)?\s*(?:<!doctype\s+html|<html)[\s>]",
        "a web page, as one gets in place of a download when a login has run out",
        _FROM_PROGRAM,
    ),
)
_KNOWN: Final = tuple((re.compile(sign), what, hint) for sign, what, hint in _SIGNS)


def refuse_foreign(name: str, head: bytes, path: Path | None) -> None:
    """Refuse a file that surely is no export, or is packed in a way that is not unpacked here.

    Raises
    ------
    CdrFormatError
        With what it is, and what to do to get an export.
    """
    for sign, what, hint in _KNOWN:
        if sign.match(head) is not None:
            msg = f"{name} is {what}; {hint}"
            raise CdrFormatError(msg, path=path)
