"""Find the files that were meant and hand out their bytes, whole or piece by piece, unpacked within limits.

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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from sippet_reconcile.cdr.files.cutting import cut_chunks, cut_file
from sippet_reconcile.cdr.files.foreign import refuse_foreign
from sippet_reconcile.cdr.files.packed import GZIP, ZIP, gunzipped, member_chunks, members_of, zip_errors
from sippet_reconcile.errors import CdrFormatError, InputError

__all__ = ["PARQUET", "Paths", "Source", "blamed_on", "find_files", "open_sources"]

Paths: TypeAlias = "str | os.PathLike[str] | IO[bytes] | IO[str] | Iterable[Any]"
"""What ``paths`` accepts: a path, a glob, an open file, or several of them."""

LARGE: Final = 32 << 20
"""From this size on a file is read piece by piece, whether it is packed or not."""

MAX_WHOLE: Final = 1 << 30
"""What has to be seen as a whole, such as a document of JSON, is refused from this size on."""

_CHUNK: Final = 1 << 20
_LOOK: Final = 1 << 16
_GLOB: Final = frozenset("*?[")
PARQUET: Final = b"PAR1"


class Source:
    """One file of CDRs: its name, its unpacked bytes, and the hash of what was delivered.

    A large file is not loaded until somebody asks for all of its bytes. `path` is where
    it lies, or the archive that it is in; None where it came from a stream.

    Parameters
    ----------
    data
        All bytes, where they are at hand.
    chunks
        Begins to unpack anew, where they are not.
    size
        How many bytes there are, unpacked; of a packed file about so many.
    """

    def __init__(
        self,
        name: str,
        data: bytes | None = None,
        *,
        sha256: str | None = None,
        path: Path | None = None,
        chunks: Callable[[], Iterator[bytes]] | None = None,
        size: int = 0,
    ) -> None:
        self.name = name
        self._data = data
        self._sha256 = sha256
        self.path = path
        self._chunks = chunks
        self._size = size

    @property
    def data(self) -> bytes:
        """All bytes, unpacked.

        Raises
        ------
        CdrFormatError
            If they are more than can be seen as a whole.
        """
        if self._data is None:
            found: list[bytes] = []
            # The size of a packed file is only a guess.
            size = self._size if self._chunks is None else 0
            chunks = self._stream()
            while size < MAX_WHOLE and (chunk := next(chunks, None)) is not None:
                found.append(chunk)
                size += len(chunk) if self._chunks is not None else 0
            if size >= MAX_WHOLE:
                msg = (
                    f"{self.name} has {MAX_WHOLE >> 20:,} MiB or more of a kind that is read as a whole; "
                    "split it, or export it as CSV"
                )
                raise CdrFormatError(msg)
            self._data = b"".join(found)
        return self._data

    @property
    def sha256(self) -> str:
        """The hash of the file as it was delivered."""
        if self._sha256 is None:
            digest = hashlib.sha256()
            for chunk in self._stream():
                digest.update(chunk)
            self._sha256 = digest.hexdigest()
        return self._sha256

    @property
    def size(self) -> int:
        """How many bytes there are, unpacked; of a large packed file about so many."""
        return len(self._data) if self._data is not None else self._size

    @property
    def is_parquet(self) -> bool:
        """Whether the bytes are a parquet file."""
        if self.head[:4] != PARQUET:
            return False
        # Text may begin so, and a file may be cut off.
        return self._data is None or self._data[-4:] == PARQUET or b"\0" in self.head

    @property
    def head(self) -> bytes:
        """How the bytes begin."""
        return self._data[:_LOOK] if self._data is not None else next(self._stream(), b"")[:_LOOK]

    def with_data(self, data: bytes) -> Source:
        """Return the same source, its bytes at hand."""
        return Source(self.name, data, sha256=self._sha256, path=self.path)

    def with_size(self, size: int) -> Source:
        """Return the same source, its size known."""
        return Source(self.name, sha256=self._sha256, path=self.path, chunks=self._chunks, size=size)

    def _stream(self) -> Iterator[bytes]:
        """Yield all bytes, from the beginning."""
        if self._data is not None:
            return iter([self._data])
        if self._chunks is not None:
            return self._chunks()
        assert self.path is not None  # noqa: S101 - a source has its bytes, its chunks or its file
        return _chunks_of(self.path)

    def pieces(self, size: int, encoding: str | None = None) -> Iterator[bytes]:
        """Yield the bytes in pieces that end where lines end; a plain file is hashed on the way.

        Parameters
        ----------
        size
            So many bytes each, and the rest of the line that the last of them is in.
        encoding
            UTF-16, where it is that: pieces are UTF-8 then.

        Raises
        ------
        CdrFormatError
            If a line is longer than any record.
        """
        if encoding is not None or self._chunks is not None:
            chunks = self._stream()
            return cut_chunks(chunks if encoding is None else _to_utf8(chunks, encoding), size, self.name)
        return self._pieces_as_they_are(size)

    def _pieces_as_they_are(self, size: int) -> Iterator[bytes]:
        if self._data is not None:
            with io.BytesIO(self._data) as stream:
                yield from cut_file(stream, size, self.name)
            return
        assert self.path is not None  # noqa: S101 - as above
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            for piece in cut_file(file, size, self.name):
                digest.update(piece)
                yield piece
        self._sha256 = digest.hexdigest()


def _to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for chunk in chunks:
        for at in range(0, len(chunk), _CHUNK):
            yield decoder.decode(chunk[at : at + _CHUNK]).encode("utf-8", errors="replace")
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def _chunks_of(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
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
    if hasattr(paths, "columns"):
        msg = "paths is a table in memory, not a file; hand it to cdr_from_frame"
        raise InputError(msg)
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
    """Open one file and yield it, or each member of a zip archive.

    Raises
    ------
    InputError
        If it cannot be read, is encrypted or damaged, or unpacks beyond all measure.
    """
    if isinstance(file, Path):
        name, path, size = file.name, file, file.stat().st_size
        head = next(_chunks_of(file), b"")[:_LOOK]
        if head[:2] != GZIP and head[:4] != ZIP:
            refuse_foreign(name, head, path)
            data = None if size >= LARGE else b"".join(_chunks_of(file))
            yield Source(name, data, path=file, size=size)
            return
        yield from _unpacked(name, lambda: file.open("rb"), size, path)
        return
    name = Path(str(getattr(file, "name", "") or "<stream>")).name
    try:
        content = file.read()
    except (OSError, ValueError) as exc:  # a closed file, or text in another encoding
        msg = f"{name} cannot be read: {str(exc).rstrip('.')}; open it with mode 'rb', or pass its path"
        raise InputError(msg) from exc
    held = content.encode("utf-8") if isinstance(content, str) else bytes(content)
    if held[:2] != GZIP and held[:4] != ZIP:
        refuse_foreign(name, held[:_LOOK], None)
        yield Source(name, held)
    else:
        yield from _unpacked(name, lambda: io.BytesIO(held), len(held), None)


def _unpacked(name: str, opened: Callable[[], IO[bytes]], size: int, path: Path | None) -> Iterator[Source]:
    """Yield what a packed file holds; `opened` opens it anew."""
    with opened() as packed:
        is_archive = packed.read(4) == ZIP
        packed.seek(0)
        sha256 = hashlib.file_digest(packed, "sha256").hexdigest()  # type: ignore[arg-type]  # any open file will do
        packed.seek(max(size - 4, 0))
        told = int.from_bytes(packed.read(4), "little")  # the unpacked size, of one gzip file below 4 GiB
    if not is_archive:

        def gunzip() -> Iterator[bytes]:
            with opened() as packed:
                yield from gunzipped(name, packed, size)

        yield _loaded(Source(name, sha256=sha256, path=path, chunks=gunzip), gunzip(), min(told, 50 * size))
        return

    def member_anew(place: int) -> Iterator[bytes]:
        with zip_errors(name), opened() as packed:
            archive, members = members_of(name, packed)
            yield from member_chunks(f"{name}/{members[place].filename}", archive, members[place])

    with zip_errors(name), opened() as packed:
        archive, members = members_of(name, packed)
        for place, info in enumerate(members):
            inside = f"{name}/{info.filename}"
            source = Source(inside, sha256=sha256, path=path, chunks=partial(member_anew, place))
            yield _loaded(source, member_chunks(inside, archive, info), info.file_size)


def _loaded(source: Source, chunks: Iterator[bytes], size: int) -> Source:
    """Return a source with its bytes where they are few, and otherwise with about how many there are."""
    found: list[bytes] = []
    n_bytes = 0
    for chunk in chunks:
        found.append(chunk)
        n_bytes += len(chunk)
        if n_bytes == len(chunk):
            refuse_foreign(source.name, chunk[:_LOOK], source.path)
        if n_bytes >= LARGE:
            return source.with_size(max(size, n_bytes))
    return source.with_data(b"".join(found))
