"""Read a large file of lines in blocks that know nothing of each other, so that many hands may do it.

Input are a file and what its beginning tells, output are the columns of the legs of each
block, and what all blocks together have to settle. Where a record goes on from one block
to the next, or anything is wrong, the file has to be read from its beginning instead.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from sippet_reconcile.cdr.evidence import Evidence, Settled, Told
from sippet_reconcile.cdr.files.cutting import ends_of_pieces
from sippet_reconcile.cdr.whole.pieces import PIECE, WORKERS, InPieces, jobs_of
from sippet_reconcile.cdr.whole.pile import Pile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sippet_reconcile.cdr.tables import Widths

__all__ = ["Block", "BlockTold", "conclude", "cut_blocks", "read_block"]


class Block(NamedTuple):
    """Some pieces of a file.

    Attributes
    ----------
    path
        The file.
    ends
        Where its pieces end, in bytes, after where the first one begins.
    place
        How many pieces stand before them.
    is_last
        Whether no piece stands behind them.
    """

    path: Path
    ends: tuple[int, ...]
    place: int
    is_last: bool

    def pieces(self) -> Iterator[bytes]:
        """Yield its bytes piece by piece."""
        with self.path.open("rb") as file:
            file.seek(self.ends[0])
            for begin, end in zip(self.ends, self.ends[1:], strict=False):
                yield file.read(end - begin)


def cut_blocks(path: Path, size: int) -> list[Block]:
    """Cut a file into blocks of about so many bytes; none where its lines are too long for that."""
    piece = min(size, PIECE)
    with path.open("rb") as file:
        ends = [0, *ends_of_pieces(file, piece)]
    if len(ends) == 1:
        return []
    n_pieces = size // piece
    return [
        Block(path, tuple(ends[first : first + n_pieces + 1]), first, first + n_pieces + 1 >= len(ends))
        for first in range(0, len(ends) - 1, n_pieces)
    ]


@dataclass
class BlockTold:
    """What the pieces of a block tell, kept until it is known how many lines stand before them.

    Attributes
    ----------
    n_lines, n_totals
        Lines and lines of totals.
    notes
        What there is to tell, and how often; 0 for what is not counted.
    names
        The columns that there are.
    """

    n_lines: int = 0
    n_totals: int = 0
    notes: dict[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    _told: list[tuple[Told, tuple[str, ...], Widths, int]] = field(default_factory=list)

    def add(self, told: Told, names: Iterable[str], widths: Widths, line: int) -> None:
        """Keep what a piece tells; `line` is how many lines of the block stand before it."""
        self._told.append((told, tuple(names), widths, line))

    def tell(self, evidence: Evidence, line: int) -> None:
        """Tell it; `line` is how many lines stand before the block."""
        for told, names, widths, own in self._told:
            evidence.add(told, names, widths, line + own)


class _InBlock(InPieces):
    """The same file, of which the pieces of one block are read."""

    def __init__(self, whole: InPieces, block: Block, settled: Settled, told: BlockTold) -> None:
        vars(self).update(vars(whole))
        self._evidence: Any = told
        self._settled, self._is_settled, self._first = settled, False, None
        self._block, self._told_all = block, told
        self._lines = self._layout.first_line if block.place == 0 else 0

    def pieces(self) -> Iterator[dict[str, Any]]:
        """Yield the columns of each piece of the block."""
        self._begin()
        jobs = jobs_of(self._block.pieces(), self._block.place, ends_file=self._block.is_last)
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from self._in_order(pool, jobs)
        told = self._told_all
        told.n_lines, told.n_totals = self._lines, self.n_totals
        told.notes, told.names = self._notes, tuple(self._columns)


def read_block(whole: InPieces, block: Block, settled: Settled) -> tuple[dict[str, Any], BlockTold]:
    """Return the columns of the legs of a block, their lines counted from its beginning, and what it tells.

    Raises
    ------
    GoesOnError
        If its last record goes on behind it.
    CdrFormatError
        As of the whole file, but that a line in it is that of the block.
    """
    told = BlockTold()
    pile = Pile(len(block.ends) - 1)
    for columns in _InBlock(whole, block, settled, told).pieces():
        pile.add(columns)
    return pile.finished(), told


def conclude(whole: InPieces, told: Sequence[BlockTold], by: Settled, name: str) -> tuple[Settled, list[int]]:
    """Return what all blocks are to be read by, and how many lines stand before each.

    Where that is what they were read by, the file is known as if it had been read in one go.

    Raises
    ------
    InputError, CdrFormatError
        As of the whole file.
    """
    evidence, line = Evidence(name), 0
    begins: list[int] = []
    notes: Counter[str] = Counter()
    for one in told:
        one.tell(evidence, line)
        begins.append(line)
        line += one.n_lines
        notes.update(one.notes)
    found = whole.conclusion(evidence, by)
    if by.agrees(found):
        whole.check_columns(name for one in told for name in one.names)
        whole.take_over(found, dict(notes), sum(one.n_totals for one in told))
    return found, begins
