"""Read a large regular file piece by piece, so that only its legs are held in memory.

Input is a source of bytes, output are the legs of all of them; None where something in
the file asks for it to be seen as a whole.
"""

from __future__ import annotations

import codecs
import itertools
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from sippet_reconcile.cdr.clock import OFFSETS, Clock
from sippet_reconcile.cdr.kinds import Request, layout_of, take_sample
from sippet_reconcile.cdr.legs import Origin, legs_table
from sippet_reconcile.cdr.pile import Pile
from sippet_reconcile.cdr.reader import Layout, line_start, read_regular, without_headers
from sippet_reconcile.cdr.spec import CdrFormat
from sippet_reconcile.cdr.understood import format_of, tell_of_zone, totals_note, understand
from sippet_reconcile.errors import CdrFormatError

if TYPE_CHECKING:
    import pyarrow as pa

    from sippet_reconcile.cdr.sources import Source

__all__ = ["read_in_pieces"]

_PIECE: Final = 4 << 20
_WORKERS: Final = 2


def read_in_pieces(
    source: Source, request: Request
) -> tuple[pa.Table, CdrFormat, Clock | None, tuple[str, ...]] | None:
    """Read a large regular file piece by piece; None where it has to be seen as a whole.

    A piece is parsed and understood while it is in the processor's cache, on two
    threads, and its memory is used again for the next one; this one meanwhile reads and
    hashes what follows.
    """
    pieces = source.pieces(_PIECE)
    first = next(pieces, b"").removeprefix(codecs.BOM_UTF8)
    plain = _plain(first)
    if plain is None:
        return None
    sample = take_sample(plain, source.name, request.delimiter)
    if sample.kind != "lines" or not sample.rows:
        return None
    format_ = format_of(sample, source.name, request)
    layout = layout_of(sample, format_, source.name, request)
    # Where the ids tell the zone, or nobody said which it is, all rows have to be seen together.
    if not format_.row_by_row or request.options.zone is None:
        return None
    state = _Pieces(layout, format_, source.name, request)
    pile = Pile(source.size / max(len(first), 1))
    clock: Clock | None = None
    lines, n_totals = layout.first_line, 0
    notes: dict[str, None] = {}
    begins = itertools.chain([line_start(plain, layout.first_line)], itertools.repeat(0))
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[_Piece | None]] = deque()
        rest = (_plain(piece) for piece in pieces)
        # The empty pieces behind the last one wait for what is still being read.
        for piece in itertools.chain([plain], rest, itertools.repeat(b"", _WORKERS + 1)):
            if piece is None:
                return None
            if piece:
                waiting.append(pool.submit(state.read, piece, next(begins)))
            if len(waiting) > _WORKERS or (not piece and waiting):
                done = waiting.popleft().result()
                if done is None:
                    return None
                # Only now is it known on which line the piece began.
                done.columns["source_row"] = pc.add(done.columns["source_row"], lines)
                pile.add(done.columns)
                lines, n_totals = lines + done.n_lines, n_totals + done.n_totals
                notes |= dict.fromkeys(done.notes)
                # One piece with a local time makes the file's clock that of the zone.
                clock = done.clock if clock is None or clock.how == OFFSETS else clock
    table = legs_table(pile.finished(), format_, Origin(source.name, source.sha256))
    tell_of_zone(source.name, request, is_needed=clock is None or clock.how != OFFSETS)
    return table, format_, clock, (*notes, *totals_note(source.name, n_totals))


def _plain(piece: bytes) -> bytes | None:
    """Return a piece as UTF-8 with line feeds, or None where that needs more than looking at it."""
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    if b"\r" in piece or b"\0" in piece:
        return None
    if not piece.isascii():
        if codecs.BOM_UTF8 in piece:
            return None
        try:
            piece.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return piece


@dataclass(frozen=True, eq=False)
class _Piece:
    """The legs of one piece, their lines counted from its own beginning."""

    columns: dict[str, Any]
    clock: Clock
    n_lines: int
    n_totals: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pieces:
    """What all pieces of one file have in common."""

    layout: Layout
    format: CdrFormat
    name: str
    request: Request

    def read(self, piece: bytes, begin: int) -> _Piece | None:
        """Read one piece; None where something in it asks for the whole file."""
        regular = read_regular(piece, replace(self.layout, first_line=0), begin=begin, threads=False)
        if regular is None:
            return None
        raw, n_lines = regular
        request = replace(self.request, options=replace(self.request.options, in_pieces=True))
        try:
            if self.layout.has_header:
                raw = without_headers(raw, self.layout)
            found = understand(raw, self.format, self.name, request)
        except CdrFormatError:
            return None  # read as a whole, it is either settled there or raised with the right line
        return _Piece(found.columns, found.clock, n_lines, found.n_totals, found.notes)
