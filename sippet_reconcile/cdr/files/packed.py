"""Unpack gzip files and zip archives piece by piece, and refuse those that unpack beyond all measure.

Input are packed bytes that can be read from their beginning, output chunks of what is
in them. No header is believed: what comes out is counted while it comes out.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["GZIP", "ZIP", "gunzipped", "member_chunks", "members_of", "zip_errors"]

GZIP: Final = b"\x1f\x8b"
ZIP: Final = b"PK\x03\x04"

MAX_BYTES: Final = 8 << 30
"""The most that one packed file may unpack to."""

MAX_RATIO: Final = 200
"""How many times larger than its packed form a file may be; real CDRs pack 10 to 40 times."""

MAX_MEMBERS: Final = 100_000
"""The most files that one zip archive may hold."""

_RATIO_FROM: Final = 64 << 20  # small files may repeat themselves as they like
_CHUNK: Final = 1 << 20
_LONG_NAMES: Final = 300
_SMALL_CHUNK: Final = 1 << 12  # what zipfile unpacks at once of methods whose output it does not bound
_TAIL: Final = 66_000  # the end of an archive with its comment
_END: Final = struct.Struct("<4s4H2LH")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_LOCATOR: Final = struct.Struct("<4sLQL")
_NO_COUNT: Final = 0xFFFFFFFF
_WORKBOOK: Final = "[Content_Types].xml"  # what every Excel file, a zip archive, holds


def check_size(name: str, unpacked: int, packed: int) -> None:
    """Refuse what is larger, or so much larger than its packed form, that it can be no export.

    Raises
    ------
    InputError
        With both sizes.
    """
    if unpacked > MAX_BYTES or (unpacked > _RATIO_FROM and unpacked > MAX_RATIO * packed):
        msg = (
            f"{name} unpacks to more than {unpacked >> 20:,} MiB from {packed:,} bytes, which no CDR export does; "
            "unpack it yourself and look at it before reading it"
        )
        raise InputError(msg)


def gunzipped(name: str, file: IO[bytes], packed: int) -> Iterator[bytes]:
    """Yield what is in gzip data, also where it is several gzip files one behind the other.

    Parameters
    ----------
    packed
        How many bytes the packed form has.

    Raises
    ------
    InputError
        If the data is damaged, cut off, packed twice, or unpacks beyond all measure.
    """
    size, rest = 0, file.read(_CHUNK)
    try:
        while rest[:2] == GZIP:
            unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            while not unpacker.eof:
                piece = unpacker.decompress(rest, _CHUNK)
                rest = unpacker.unconsumed_tail
                if size == 0:
                    _refuse_packed_twice(name, piece)
                size += len(piece)
                check_size(name, size, packed)
                if piece:
                    yield piece
                if not rest and not unpacker.eof:
                    rest = file.read(_CHUNK)
                    if not rest and not piece:
                        msg = f"{name} ends in the middle of its gzip data; copy it again"
                        raise InputError(msg)
            rest = unpacker.unused_data or file.read(_CHUNK)
            if len(rest) == 1:
                rest += file.read(_CHUNK)
    except zlib.error as exc:
        msg = f"{name} is damaged gzip data ({exc}); copy it again"
        raise InputError(msg) from exc


def _refuse_packed_twice(name: str, head: bytes) -> None:
    if head[:2] == GZIP or head[:4] == ZIP:
        kind = "gzip data" if head[:2] == GZIP else "a zip archive"
        msg = f"{name} holds {kind} again; unpack it yourself and pass the files in it"
        raise InputError(msg)


@contextmanager
def zip_errors(name: str) -> Iterator[None]:
    """Let what zipfile raises say what to do."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,
        NotImplementedError,
        EOFError,
        OSError,
        ValueError,
    ) as exc:
        if isinstance(exc, InputError):
            raise
        # RuntimeError is what zipfile raises for an encrypted member; damaged archives also make it seek wildly.
        hint = "copy it again, or" if isinstance(exc, zipfile.BadZipFile) else "do that yourself and"
        msg = f"{name} cannot be unpacked: {exc}; {hint} pass the files in it"
        raise InputError(msg) from exc


def members_of(name: str, file: IO[bytes]) -> tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]:
    """Open an archive and return it with the members that are files.

    What its headers say is judged before anything is unpacked; zipfile never unpacks
    more than they say.

    Raises
    ------
    InputError
        If it holds no file, too many, a workbook, or more than it can honestly hold.
    """
    size = file.seek(0, 2)
    n_bytes = _size_of_list(file, size)
    if n_bytes > MAX_MEMBERS * _LONG_NAMES:
        _refuse_many(name, n_bytes // _LONG_NAMES)
    archive = zipfile.ZipFile(file)
    everything = archive.infolist()
    if len(everything) > MAX_MEMBERS:
        _refuse_many(name, len(everything))
    members = [
        info
        for info in everything
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and Path(info.filename).name[:1] != "."
    ]
    if not members:
        msg = f"{name} holds no file"
        raise InputError(msg)
    if any(info.filename == _WORKBOOK for info in members):
        msg = (
            f"{name} is a workbook; save the sheet as CSV, or hand what pandas.read_excel(..., dtype=str) "
            "reads to cdr_from_frame"
        )
        raise InputError(msg)
    if sum(info.compress_size for info in everything) > size:
        msg = (
            f"{name} has {size:,} bytes, fewer than its {len(everything):,} members say to take in it: they overlap, "
            "which only archives do that are meant to fill a disk; do not unpack it"
        )
        raise InputError(msg)
    check_size(name, sum(info.file_size for info in members), size)
    return archive, members


def _refuse_many(name: str, count: int) -> None:
    msg = (
        f"{name} holds more than {min(count, MAX_MEMBERS):,} files; unpack it yourself and pass the files in it, "
        "some at a time"
    )
    raise InputError(msg)


def _size_of_list(file: IO[bytes], size: int) -> int:
    """Return how many bytes the list of members takes, by the record at the end of an archive; 0 where there is none."""
    file.seek(max(size - _TAIL, 0))
    tail = file.read(_TAIL)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return 0
    n_bytes = int(_END.unpack_from(tail, at)[5])
    if n_bytes != _NO_COUNT or at < _LOCATOR.size:
        return n_bytes
    mark, _, offset, _ = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    if mark != b"PK\x06\x07" or offset > size:
        return n_bytes
    file.seek(offset)
    record = file.read(_END_64.size)
    return int(_END_64.unpack(record)[8]) if len(record) == _END_64.size else n_bytes


def member_chunks(name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield what is in a member, called `name`; one that is packed by gzip is unpacked once more.

    Raises
    ------
    InputError
        If the member is an archive itself, or unpacks beyond all measure.
    """
    bounded = info.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
    with archive.open(info) as stream:
        chunks = _read(stream.read, _CHUNK if bounded else _SMALL_CHUNK)
        first = next(chunks, b"")
        if first[:2] == GZIP:
            with archive.open(info) as again:
                yield from gunzipped(name, again, max(info.file_size, 1))
            return
        if first[:4] == ZIP:
            _refuse_packed_twice(name, first)
        size = 0
        for chunk in _chained(first, chunks):
            size += len(chunk)
            check_size(name, size, max(info.compress_size, 1))
            yield chunk


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _read(read: Callable[[int], Any], size: int) -> Iterator[bytes]:
    while chunk := read(size):
        yield chunk
