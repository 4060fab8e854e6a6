"""Cut a stream of bytes into pieces that end where lines end.

Input is an open file or chunks of bytes, output are pieces; a line that is longer than
any record is refused before it fills the memory.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["LONGEST", "cut_chunks", "cut_file", "ends_of_pieces"]

LONGEST: Final = 64 << 20
"""A line from this many bytes on is refused; FreeSWITCH can write all of a day's records into one."""

_CHUNK: Final = 1 << 20


def ends_of_pieces(file: IO[bytes], size: int) -> list[int]:
    """Return where the pieces end that `cut_file` reads; none where some line is too long to be looked at in one go."""
    length = file.seek(0, 2)
    ends: list[int] = []
    at = 0
    while at < length:
        file.seek(at + size)
        if len(file.readline(_CHUNK)) == _CHUNK:
            return []
        at = min(file.tell(), length)
        ends.append(at)
    return ends


def cut_file(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """Read pieces that are about so large; each ends with the line that its last byte belongs to.

    Raises
    ------
    CdrFormatError
        If a line is longer than any record.
    """
    begin = 0
    while True:
        # The end is looked up first: a piece is then read in one go and never copied.
        file.seek(begin + size)
        if len(file.readline(_CHUNK)) == _CHUNK:  # a long line, or a file whose lines end in carriage returns
            file.seek(begin)
            yield from cut_chunks(iter(lambda: file.read(_CHUNK), b""), size, name, begin=begin)
            return
        end = file.tell()
        file.seek(begin)
        piece = file.read(end - begin)
        if not piece:
            return
        yield piece
        begin += len(piece)


def cut_chunks(chunks: Iterable[bytes], size: int, name: str, *, begin: int = 0) -> Iterator[bytes]:
    r"""Put chunks together to pieces of at least so many bytes.

    Where there is no line feed, lines may end in carriage returns.

    Parameters
    ----------
    begin
        How many bytes stood before the first chunk, for messages.

    Raises
    ------
    CdrFormatError
        If a line is longer than any record.

    Examples
    --------
    >>> list(cut_chunks([b"a\nb", b"b\nc"], 2, "x.csv"))
    [b'a\n', b'bb\n', b'c']
    """
    held = bytearray()
    looked = 0
    for chunk in chunks:
        held += chunk
        if len(held) < (looked + _CHUNK if looked else size):
            continue
        # A carriage return at the very end may be half of a line end.
        end = held.rfind(b"\n", looked) + 1 or held.rfind(b"\r", max(looked - 1, 0), -1) + 1
        looked = 0 if end else len(held)
        if end:
            yield _taken(held, end)
            begin += end
        elif len(held) >= LONGEST:
            msg = (
                f"{name}: the line that begins at byte {begin:,} is longer than {LONGEST >> 20} MiB, which no record is; "
                "check that this is a CDR export, copied whole and with its line ends"
            )
            raise CdrFormatError(msg)
    if held:
        yield bytes(held)


def _taken(held: bytearray, end: int) -> bytes:
    with memoryview(held) as view:
        piece = bytes(view[:end])  # copied once, where a slice of the array would be a second time
    del held[:end]
    return piece
