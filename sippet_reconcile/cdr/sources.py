"""Find the files that were meant and hand out their bytes, unpacked within limits.

Input is what a person passes as ``paths``: a path, a glob, a list, an open file.
Output is one `Source` per file, or per member of a zip archive, with the hash of
the file as it was delivered.
"""

from __future__ import annotations

import codecs
import glob
import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from sippet_reconcile.errors import CdrFormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Paths", "Source", "blamed_on", "find_files", "open_sources"]

Paths: TypeAlias = "str | os.PathLike[str] | IO[bytes] | IO[str] | Iterable[Any]"
"""What ``paths`` accepts: a path, a glob, an open file, or several of them."""

MAX_BYTES: Final = 8 << 30
"""The most that one packed file may unpack to."""

MAX_RATIO: Final = 200
"""How many times larger than its packed form a file may be; real CDRs pack 10 to 40 times."""

_RATIO_FROM: Final = 64 << 20  # small files may repeat themselves as they like
LARGE: Final = 32 << 20
"""From this size on a plain file is read piece by piece."""

_PIECE: Final = 1 << 20
_LOOK: Final = 256
_GLOB: Final = frozenset("*?[")
_ZIP: Final = b"PK\x03\x04"
_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_WORKBOOK: Final = "[Content_Types].xml"  # what every Excel file, a zip archive, holds


class Source:
    """One file of CDRs: its name, its unpacked bytes, and the hash of what was delivered.

    A large plain file is not loaded until somebody asks for all of its bytes. `path` is
    where it lies, or the archive that it is in; None where it came from a stream.
    """

    def __init__(
        self, name: str, data: bytes | None = None, *, sha256: str | None = None, path: Path | None = None
    ) -> None:
        self.name = name
        self._data = data
        self._sha256 = sha256
        self.path = path

    @property
    def data(self) -> bytes:
        """All bytes, unpacked."""
        if self._data is None:
            assert self.path is not None  # noqa: S101 - a source has its bytes or its file
            self._data = _bytes_of(self.path)
        return self._data

    @property
    def sha256(self) -> str:
        """The hash of the file as it was delivered."""
        if self._sha256 is None:
            self._sha256 = hashlib.sha256(self.data).hexdigest()
        return self._sha256

    @property
    def size(self) -> int:
        """How many bytes there are, unpacked."""
        if self._data is None and self.path is not None:
            return self.path.stat().st_size
        return len(self.data)

    @property
    def is_parquet(self) -> bool:
        """Whether the bytes are a parquet file; such files are always loaded."""
        return self._data is not None and self._data[:4] == _PARQUET and self._data[-4:] == _PARQUET

    @property
    def begins_like_json(self) -> bool:
        """Whether it begins like JSON, which has no lines to be cut at."""
        if self._data is None and self.path is not None:
            with self.path.open("rb") as file:
                head = file.read(_LOOK)
        else:
            head = self.data[:_LOOK]
        return head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in {b"{", b"["}

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield the bytes in pieces that end where lines end; a plain file is hashed on the way."""
        if self._data is not None or self.path is None:
            with io.BytesIO(self.data) as stream:
                yield from _cut(stream, size)
            return
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            for piece in _cut(file, size):
                digest.update(piece)
                yield piece
        self._sha256 = digest.hexdigest()


def _cut(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Read pieces that are about so large; each ends with the line that its last byte belongs to."""
    begin = 0
    while True:
        # The end is looked up first: a piece is then read in one go and never copied.
        file.seek(begin + size)
        file.readline()
        end = file.tell()
        file.seek(begin)
        piece = file.read(end - begin)
        if not piece:
            return
        yield piece
        begin += len(piece)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        msg = f"{path} cannot be read: {exc.strerror or exc}"
        raise InputError(msg) from exc


@contextmanager
def blamed_on(path: Path | None) -> Iterator[None]:
    """Let an error about the content of a file say where that file lies."""
    try:
        yield
    except CdrFormatError as exc:
        exc.path = path
        raise


def find_files(paths: Paths) -> list[Path | IO[Any]]:
    """Return the files that were meant, in the order given; a glob's in the order of their names.

    Raises
    ------
    InputError
        If a path does not exist, is a folder, or a glob matches nothing.
    """
    if isinstance(paths, str | os.PathLike):
        return list(_expand(os.fspath(paths)))
    if hasattr(paths, "read"):
        stream: Any = paths
        return [stream]
    if not isinstance(paths, Iterable):
        msg = f"paths is {type(paths).__name__}; pass a path, a glob, a list of paths or an open file"
        raise InputError(msg)
    found = [file for item in paths for file in find_files(item)]
    if not found:
        msg = "paths is an empty list; pass at least one CDR file"
        raise InputError(msg)
    return found


def _expand(text: str) -> Iterator[Path]:
    text = os.path.expanduser(text)  # noqa: PTH111 - a glob is no path yet
    path = Path(text)
    if path.is_file():
        yield path
        return
    if path.is_dir():
        msg = f"{text} is a folder; pass its files, such as {text.rstrip('/')}/*.csv (one row may be in several of them)"
        raise InputError(msg)
    if not _GLOB.intersection(text):
        msg = f"{text} does not exist; check the path (the working folder is {Path.cwd()})"
        raise InputError(msg)
    matches = [Path(name) for name in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207 - absolute globs too
    files = [match for match in matches if match.is_file()]
    if not files:
        msg = f"{text} matches no file; check the pattern (the working folder is {Path.cwd()})"
        raise InputError(msg)
    yield from files


def open_sources(file: Path | IO[Any]) -> Iterator[Source]:
    """Read one file and yield it, or each member of a zip archive.

    Raises
    ------
    InputError
        If it cannot be read, is encrypted or damaged, or unpacks beyond all measure.
    """
    path: Path | None
    if isinstance(file, Path):
        name, path = file.name, file
        if file.stat().st_size >= LARGE and _is_plain(file):
            yield Source(name, path=path)
            return
        packed = _bytes_of(file)
    else:
        name, path = Path(str(getattr(file, "name", "") or "<stream>")).name, None
        try:
            content = file.read()
        except (OSError, ValueError) as exc:  # a closed file, or text in another encoding
            msg = f"{name} cannot be read: {exc}; open it with mode 'rb', or pass its path"
            raise InputError(msg) from exc
        packed = content.encode("utf-8") if isinstance(content, str) else bytes(content)
    if packed[:4] == _ZIP:
        yield from _zip_members(name, packed, hashlib.sha256(packed).hexdigest(), path)
    elif packed[:2] == _GZIP:
        yield Source(name, _gunzip(name, packed), sha256=hashlib.sha256(packed).hexdigest(), path=path)
    else:
        yield Source(name, packed, path=path)


def _is_plain(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(4)
    return head[:2] != _GZIP and head not in {_ZIP, _PARQUET}


def _check_size(name: str, unpacked: int, packed: int) -> None:
    if unpacked > MAX_BYTES or (unpacked > _RATIO_FROM and unpacked > MAX_RATIO * packed):
        msg = (
            f"{name} unpacks to more than {unpacked >> 20:,} MiB from {packed:,} bytes, which no CDR export does; "
            "unpack it yourself and look at it before reading it"
        )
        raise InputError(msg)


def _gunzip(name: str, packed: bytes) -> bytes:
    pieces: list[bytes] = []
    size, rest = 0, packed
    try:
        while rest[:2] == _GZIP:  # a gzip file may be several, one behind the other
            unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            while not unpacker.eof:
                piece = unpacker.decompress(rest, _PIECE)
                rest = unpacker.unconsumed_tail
                size += len(piece)
                _check_size(name, size, len(packed))
                pieces.append(piece)
                if not piece and not rest and not unpacker.eof:
                    msg = f"{name} ends in the middle of its gzip data; copy it again"
                    raise InputError(msg)
            rest = unpacker.unused_data
    except zlib.error as exc:
        msg = f"{name} is damaged gzip data ({exc}); copy it again"
        raise InputError(msg) from exc
    return b"".join(pieces)


def _zip_members(name: str, packed: bytes, sha256: str, path: Path | None) -> Iterator[Source]:
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = [
                info
                for info in archive.infolist()
                if not info.is_dir()
                and not info.filename.startswith("__MACOSX/")
                and Path(info.filename).name[0] != "."
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
            total = 0
            for info in members:
                pieces: list[bytes] = []
                with archive.open(info) as stream:
                    while piece := stream.read(_PIECE):
                        total += len(piece)
                        _check_size(name, total, len(packed))
                        pieces.append(piece)
                data = b"".join(pieces)
                if data[:2] == _GZIP:
                    data = _gunzip(info.filename, data)
                yield Source(f"{name}/{info.filename}", data, sha256=sha256, path=path)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as exc:
        # RuntimeError is what zipfile raises for an encrypted member.
        msg = f"{name} cannot be unpacked: {exc}; unpack it yourself and pass the files in it"
        raise InputError(msg) from exc
