"""Read a large file of lines piece by piece, so that only its legs are held in memory.

Input is a source of bytes, output are the columns of the legs of each piece in turn, and
what all of them told; None where the file has to be seen as a whole. What only all
pieces settle (the clock, the order of dates) is guessed by the first one and checked by
all: where the guess was wrong, the file is read again by what it told.
"""

from __future__ import annotations

import re
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.evidence import Evidence, Settled
from sippet_reconcile.cdr.files.decode import AS_WIDE, decode_lines, wide_encoding
from sippet_reconcile.cdr.kinds import BYTES, Request, kind_of, layout_of, take_sample
from sippet_reconcile.cdr.legs import check_kept
from sippet_reconcile.cdr.records.reader import PieceRead, line_start, read_piece, without_headers
from sippet_reconcile.cdr.spec import CdrFormat, Sample
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.cdr.times.clock import Clock
from sippet_reconcile.cdr.understood import Understood, format_of, understand
from sippet_reconcile.errors import CdrFormatError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sippet_reconcile.cdr.files.sources import Source

__all__ = ["PIECE", "WORKERS", "GoesOnError", "InPieces", "first_lines", "jobs_of", "open_in_pieces"]

PIECE: Final = 4 << 20
"""About so many bytes are read at a time."""

_PIECE: Final = PIECE  # a name of its own: it may be set smaller
WORKERS: Final = 2
_ROUNDS: Final = 6  # the order of dates, then the clock, the columns, the widths: each may need one more
_COUNTED: Final = re.compile(r"(\d[\d,]*) (.*)", re.DOTALL)


def first_lines(source: Source) -> bytes | None:
    """Return the beginning of a file of lines, decoded; None where it is of another kind.

    Raises
    ------
    CdrFormatError
        If a line is longer than any record.
    """
    head = source.head
    encoding = wide_encoding(head)
    text = head if encoding is None else head.decode(encoding, errors="replace").encode()
    if kind_of(decode_lines(text).data) != "lines":
        return None
    return decode_lines(next(source.pieces(max(_PIECE, 2 * BYTES), encoding), b"")).data


def open_in_pieces(source: Source, request: Request) -> InPieces | None:
    """Look at the beginning of a file; None where it has to be seen as a whole, or holds nothing.

    Raises
    ------
    CdrFormatError
        If no format fits, or a line is longer than any record.
    """
    first = first_lines(source)
    if first is None:
        return None
    sample = take_sample(first, source.name, request.delimiter, request.format)
    if sample.kind != "lines" or not sample.rows:
        return None
    format_ = format_of(sample, source.name, request)
    if not format_.row_by_row:
        return None
    return InPieces(source, request, format_, sample, wide_encoding(source.head))


@dataclass(frozen=True)
class Job:
    """A piece as it was delivered, and where it stands."""

    piece: bytes
    place: int
    is_last: bool


@dataclass(frozen=True, eq=False)
class _Result:
    """What was found in a piece, or went wrong."""

    read: PieceRead
    found: Understood | CdrFormatError
    notes: tuple[str, ...] = ()


class InPieces:
    """A large file, read piece by piece as often as somebody asks.

    `clock` and `notes` are known once all pieces were read by what they told.
    """

    def __init__(
        self, source: Source, request: Request, format_: CdrFormat, sample: Sample, encoding: str | None
    ) -> None:
        self._source, self._request, self.format = source, request, format_
        self._encoding = encoding
        self._layout = layout_of(sample, format_, source.name, request)
        self._parted = None if format_.one_line_each is None else format_.one_line_each(sample)
        self._settled, self._is_settled = Settled(), False
        self._first: tuple[Job, _Result] | None = None
        self._evidence: Evidence = Evidence(source.name)
        self._lines, self.n_totals = 0, 0
        self._notes: dict[str, int] = {}
        self._columns: dict[str, None] = {}

    @property
    def is_in_blocks(self) -> bool:
        """Whether its pieces are bytes of the file as they stand, and its rows mean the same in any of them."""
        return self._encoding is None and self.format.settle is None

    @property
    def clock(self) -> Clock | None:
        """The clock that the times were read by."""
        return self._settled.clock

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to tell of the file; what is counted piece by piece is added up."""
        return tuple(f"{count:,} {note}" if count else note for note, count in self._notes.items())

    def attempts(self) -> Iterator[Iterator[dict[str, Any]]]:
        """Yield the columns of all pieces, again and again until they were read by what they told.

        Each attempt has to be used up; all but the last one are to be forgotten.

        Raises
        ------
        CdrFormatError, InputError
            As `understand`; a line in it is that of the file.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            # Each thread has memory of its own from Arrow: the guess takes that of a thread which goes on.
            self._settled = pool.submit(self.guessed).result()
            for _ in range(_ROUNDS):
                yield self._pieces(pool)
                found = self.conclusion(self._evidence, self._settled)
                is_right = self._settled.agrees(found)
                self._settled = found
                if is_right:
                    self._evidence = Evidence(self._source.name)
                    self.check_columns(self._columns)
                    return
        msg = f"{self._source.name} changes while it is read; copy it and read the copy"
        raise InputError(msg)

    def again(self, source: Source) -> Iterator[dict[str, Any]]:
        """Yield the columns of all pieces once more, after all attempts; nothing is concluded from them.

        Parameters
        ----------
        source
            The same file, opened anew.
        """
        self._source, self._is_settled = source, True
        return self.pieces()

    def take_over(self, settled: Settled, notes: dict[str, int], n_totals: int) -> None:
        """Know of the file what somebody else found out who read its pieces."""
        self._settled, self._notes, self.n_totals = settled, notes, n_totals

    def check_columns(self, names: Iterable[str]) -> None:
        """Raise where a column that shall be kept is in no piece."""
        check_kept(dict.fromkeys(names), self.format, replace(self._request.options, where=self._source.name))

    def guessed(self) -> Settled:
        """Return what the first piece tells; all others are likely to tell the same."""
        settled = Settled()
        first = Job(next(self._source.pieces(_PIECE, self._encoding), b""), 0, is_last=False)
        for _ in range(_ROUNDS):
            read = self._read(first, settled)
            if isinstance(read.found, CdrFormatError):
                return settled
            evidence = Evidence(self._source.name)
            evidence.add(read.found.told, _names_of(read.read), read.read.widths, self._layout.first_line)
            try:
                found = replace(self.conclusion(evidence, settled), rare=frozenset(), between=())
            except (CdrFormatError, InputError):
                if evidence.asks_for_zone and self._request.options.zone is None:
                    raise
                return settled
            # Only dates in another order would make the same piece tell anything else.
            if found.dayfirst is None or bool(settled.dayfirst) == found.dayfirst:
                if self._clock_of(settled) == self._clock_of(found) and found.names == tuple(
                    _names_of(read.read)
                ):
                    self._first = first, read
                return found
            settled = found
        return settled

    def _clock_of(self, settled: Settled) -> Clock:
        """Return the clock that a piece is read by; how it is known does not matter there."""
        zone = self._request.options.zone
        return replace(settled.clock or Clock(zone, 0, ""), how="")

    def conclusion(self, evidence: Evidence, by: Settled) -> Settled:
        """Return what all pieces are to be read by, from what they told when they were read by `by`."""
        order = dict.fromkeys(name for names in self._layout.names.values() for name in names)
        return evidence.settled(self._request.options, order, by)

    def pieces(self) -> Iterator[dict[str, Any]]:
        """Yield the columns of each piece, read by what is settled so far."""
        with ThreadPoolExecutor(WORKERS) as pool:
            yield from self._pieces(pool)

    def _pieces(self, pool: ThreadPoolExecutor) -> Iterator[dict[str, Any]]:
        """Yield the columns of each piece of the file."""
        self._evidence = Evidence(self._source.name)
        self._lines = self._layout.first_line
        self._begin()
        yield from self._in_order(pool, jobs_of(self._source.pieces(_PIECE, self._encoding)))

    def _begin(self) -> None:
        self.n_totals = 0
        self._notes = dict.fromkeys([AS_WIDE] if self._encoding is not None else [], 0)
        self._columns = {}

    def _in_order(self, pool: ThreadPoolExecutor, jobs: Iterator[Job]) -> Iterator[dict[str, Any]]:
        """Yield the columns of each piece.

        A piece is parsed and understood while it is in the processor's cache, on two
        threads; this one meanwhile reads and hashes what follows.
        """
        waiting: deque[tuple[Job, Future[_Result]]] = deque()

        def submit(job: Job) -> tuple[Job, Future[_Result]]:
            known, self._first = self._first, None
            if known is not None and known[0] == job:
                # It was read to guess by, and would be read no other way.
                return job, pool.submit(lambda: known[1])
            return job, pool.submit(self._read, job, self._settled)

        for job in chain(jobs, [None]):
            if job is not None:
                waiting.append(submit(job))
            while len(waiting) > (0 if job is None else WORKERS):
                done, future = waiting.popleft()
                read = future.result()
                if isinstance(read.found, CdrFormatError):
                    # Only now is it known on which line the piece begins.
                    found = self._read(done, self._settled, self._lines).found
                    raise found if isinstance(found, CdrFormatError) else read.found
                if read.read.rest:
                    if not waiting:
                        raise GoesOnError
                    # What may go on belongs to the next piece, which was begun without it.
                    following, begun = waiting.popleft()
                    begun.cancel()
                    waiting.appendleft(submit(replace(following, piece=read.read.rest + following.piece)))
                yield self._added(read, read.found)

    def _read(self, job: Job, settled: Settled, lines: int = 0) -> _Result:
        """Read one piece; its lines are counted from its own beginning."""
        options = self._request.options
        decoded = decode_lines(job.piece)
        data, begin = decoded.data, 0
        if job.place == 0:
            begin = line_start(data, self._layout.first_line)
        if self._parted is not None:
            data = self._parted(data)
        between = settled.between[job.place] if job.place < len(settled.between) else (0, 0)
        layout = replace(self._layout, first_line=lines)
        read = read_piece(data, layout, begin=begin, is_last=job.is_last, rare=settled.rare, between=between)
        options = replace(
            options,
            in_pieces=True,
            clock=self._clock_of(settled),
            gathered=settled.gathered,
            dayfirst=settled.dayfirst if options.dayfirst is None else options.dayfirst,
        )
        try:
            raw = without_headers(read.table, layout) if layout.has_header else read.table
            if settled.names is not None:
                nothing = pa.nulls(len(raw), TEXT)
                columns = {name: raw.columns.get(name, nothing) for name in (*settled.names, *raw.columns)}
                raw = replace(raw, columns=columns)
            request = replace(self._request, options=options)
            found = understand(raw, self.format, self._source.name, request)
        except CdrFormatError as exc:
            return _Result(read, exc)
        return _Result(read, found, (*decoded.notes, *raw.notes, *found.notes))

    def _added(self, read: _Result, found: Understood) -> dict[str, Any]:
        """Take over what a piece told and return its columns, its lines counted from the file's beginning."""
        if not self._is_settled:
            self._evidence.add(found.told, _names_of(read.read), read.read.widths, self._lines)
        self._columns |= dict.fromkeys(found.names)
        for note in read.notes:
            counted = _COUNTED.fullmatch(note)
            words = note if counted is None else counted[2]
            self._notes[words] = self._notes.get(words, 0) + (
                int(counted[1].replace(",", "")) if counted else 0
            )
        columns = {**found.columns, "source_row": pc.add(found.columns["source_row"], self._lines)}
        self._lines += read.read.n_lines
        self.n_totals += found.n_totals
        return columns


class GoesOnError(Exception):
    """The last record of a block goes on behind it."""


def _names_of(read: PieceRead) -> Iterable[str]:
    return read.table.columns if len(read.table) else ()


def jobs_of(pieces: Iterator[bytes], place: int = 0, *, ends_file: bool = True) -> Iterator[Job]:
    """Yield the pieces with their numbers, and say which is the last one of the file."""
    before: bytes | None = None
    for piece in pieces:
        if before is not None:
            yield Job(before, place, is_last=False)
            place += 1
        before = piece
    yield Job(before or b"", place, is_last=ends_file)
