"""Turn the bytes of an export into UTF-8 with plain line feeds, and say what had to be done.

Input are the bytes as delivered, output the bytes that everything after this reads.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

__all__ = ["Decoded", "decode", "decode_lines", "wide_encoding"]

AS_WIDE: Final = "read as UTF-16"
"""The note on a file of two bytes for each letter."""

_LOOK: Final = 4096
_WIDE_SHARE: Final = 0.3  # share of NUL bytes, all on one side of the pairs, in UTF-16 without a mark

# Lone bytes that are no UTF-8 are read as Windows-1252, and its five holes as Latin-1.
_HOLES: Final = frozenset({0x81, 0x8D, 0x8F, 0x90, 0x9D})


def _one_byte_fallback(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    text = "".join(chr(b) if b in _HOLES else bytes([b]).decode("cp1252") for b in wrong)
    return text, error.end


codecs.register_error("sippet_one_byte", _one_byte_fallback)


@dataclass(frozen=True, eq=False)
class Decoded:
    """The content as UTF-8 with line feeds; `notes` say what was not so before."""

    data: bytes
    notes: tuple[str, ...]


def decode(data: bytes) -> Decoded:
    r"""Return the content as UTF-8 with line feeds.

    UTF-16 is read with and without a byte order mark. A byte that is no UTF-8 is
    read as Windows-1252, byte by byte: one damaged name does not spoil the others.

    Examples
    --------
    >>> decode(b"\xef\xbb\xbfa\r\nb\xa5\r").data.decode()
    'a\nb¥\n'
    """
    encoding = wide_encoding(data)
    if encoding is None:
        return decode_lines(data)
    decoded = decode_lines(data.decode(encoding, errors="replace").encode("utf-8"))
    return Decoded(decoded.data, (AS_WIDE, *decoded.notes))


def decode_lines(data: bytes) -> Decoded:
    """Return a file, or whole lines of one, as UTF-8 with line feeds; it is no UTF-16."""
    notes: list[str] = []
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
    is_ascii = data.isascii()
    if not is_ascii:
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("utf-8", errors="sippet_one_byte")
            notes.append("bytes that are not UTF-8 were read as Windows-1252")
            data = text.encode("utf-8")
    if b"\r" in data:
        had_feeds = b"\n" in data
        data = data.replace(b"\r\n", b"\n")
        if b"\r" in data:
            if had_feeds:
                notes.append("carriage returns between line feeds were read as line ends")
            data = data.replace(b"\r", b"\n")
    # Files that were put one behind the other keep their marks, which would hide in the first field of a line.
    if not is_ascii and b"\n" + codecs.BOM_UTF8 in data:
        data = data.replace(b"\n" + codecs.BOM_UTF8, b"\n")
        notes.append("byte order marks inside the file were left out")
    return Decoded(data, tuple(notes))


def wide_encoding(head: bytes) -> str | None:
    """Return the name of UTF-16 where a file that begins so is that, marked or not."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = head[:_LOOK]
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if head and max(even, odd) > _WIDE_SHARE * len(head) and min(even, odd) < max(even, odd) / 10:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None
