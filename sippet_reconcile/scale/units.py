"""What is read by one hand: a block of a large file, or files as a whole.

Input are the files that were meant, output are units in their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from sippet_reconcile.cdr.files.packed import GZIP, ZIP
from sippet_reconcile.cdr.files.sources import PARQUET, Source, open_sources
from sippet_reconcile.cdr.whole.blocks import Block, cut_blocks
from sippet_reconcile.cdr.whole.pieces import InPieces, open_in_pieces
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    from sippet_reconcile.cdr.evidence import Settled
    from sippet_reconcile.cdr.kinds import Request

__all__ = ["Cut", "Together", "is_changed", "is_packed", "units_of"]


class Together(NamedTuple):
    """Files that are read one after the other, as a whole."""

    files: tuple[Path | Source, ...]


@dataclass
class Cut:
    """A file in blocks, and what they are read by."""

    path: Path
    source: Source
    opened: InPieces
    blocks: list[Block]
    settled: Settled
    stamp: tuple[int, int]


def is_changed(cut: Cut) -> bool:
    """Tell whether a file is another one than when it was cut: its blocks would be those of two files."""
    return _stamp(cut.path) != cut.stamp


def _stamp(path: Path) -> tuple[int, int]:
    told = path.stat()
    return told.st_size, told.st_mtime_ns


def is_packed(path: Path) -> bool:
    """Tell whether a file is packed, or parquet."""
    with path.open("rb") as file:
        return file.read(4).startswith((GZIP, ZIP, PARQUET))


def units_of(files: Sequence[Path | IO[Any]], request: Request, blocksize: int) -> Iterator[Together | Cut]:
    """Yield what is read by one hand, in the order of the files."""
    waiting: list[Path | Source] = []
    size = 0
    for file in files:
        cut = _cut(file, request, blocksize) if isinstance(file, Path) else None
        if cut is not None:
            if waiting:
                yield Together(tuple(waiting))
            yield cut
            waiting, size = [], 0
            continue
        waiting += [file] if isinstance(file, Path) else open_sources(file)
        size += file.stat().st_size if isinstance(file, Path) else 0
        if size >= blocksize:
            yield Together(tuple(waiting))
            waiting, size = [], 0
    if waiting:
        yield Together(tuple(waiting))


def _cut(path: Path, request: Request, blocksize: int) -> Cut | None:
    """Cut a file into blocks; None where it has to be read as a whole, or is no larger than one."""
    if path.stat().st_size <= blocksize or is_packed(path):
        return None
    stamp = _stamp(path)
    source = next(iter(open_sources(path)))
    try:
        opened = open_in_pieces(source, request)
        blocks = cut_blocks(path, blocksize) if opened is not None and opened.is_in_blocks else []
        return (
            Cut(path, source, opened, blocks, opened.guessed(), stamp)
            if opened is not None and blocks
            else None
        )
    except CdrFormatError:
        return None  # read as a whole it says so of itself, with its line
