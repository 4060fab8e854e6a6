"""Read one file, or one frame, into the columns of its legs.

Input are a source of bytes and what the caller asked for, output is a `Part`: the
table of legs, its format, and the clock that its times were read by.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
import logging
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile._parquet import read_parquet as unfold
from sippet_reconcile.cdr.clock import OFFSETS, Clock
from sippet_reconcile.cdr.decode import decode
from sippet_reconcile.cdr.frames import check_once, table_of_arrow, unique_names
from sippet_reconcile.cdr.legs import Origin, build_legs, legs_table
from sippet_reconcile.cdr.objects import read_objects
from sippet_reconcile.cdr.pile import Pile
from sippet_reconcile.cdr.reader import (
    Layout,
    line_start,
    read_delimited,
    read_regular,
    without_headers,
)
from sippet_reconcile.cdr.sniff import ENOUGH, candidates, choose_format, describe_sample, take_sample
from sippet_reconcile.cdr.sources import LARGE, Source, blamed_on
from sippet_reconcile.cdr.spec import CdrFormat, Options, Record, Sample, column_key
from sippet_reconcile.cdr.tables import TEXT, Fields, RawTable, without_rows
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.normalize import clean_text
from sippet_reconcile.schema import LEGS

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["LOG", "Part", "Request", "empty_legs", "read_parquet", "read_source", "read_table", "sample_of"]

LOG: Final = logging.getLogger("sippet_reconcile.cdr")
_TOTALS: Final = (
    r"(?i)^(?:grand[ -]?|sub[ -]?)?totals?(?:\s*:)?(?:\s*\(?[\d.,: ]+\)?(?:\s*(?:calls?|records?|rows?))?)?$"
)
_HEADER_WITHIN: Final = 30  # lines of title that an export may print above its header
_PIECE: Final = 4 << 20
_WORKERS: Final = 2


@dataclass(frozen=True)
class Request:
    """What the caller asked for, checked once for all files."""

    options: Options
    format: CdrFormat | None
    columns: Mapping[str, str] | None
    delimiter: str | None


@dataclass(frozen=True, eq=False)
class Part:
    """The legs of one file, and how it was read."""

    table: pa.Table
    format: CdrFormat | None
    clock: Clock | None
    name: str
    notes: tuple[str, ...] = ()


def read_source(source: Source, request: Request) -> Part:
    """Return the legs of one file; an error says where it lies."""
    with blamed_on(source.path):
        return _read(source, request)


def _read(source: Source, request: Request) -> Part:
    if source.size >= LARGE and not source.is_parquet and not source.begins_like_json:
        part = _read_in_pieces(source, request)
        if part is not None:
            return part
    if source.is_parquet:
        return read_table(read_parquet(source), source.name, request, sha256=source.sha256)
    decoded = decode(source.data)
    sample = take_sample(decoded.data, source.name, request.delimiter)
    if not (sample.rows or sample.records):
        LOG.warning("%s holds no record", source.name)
        return Part(empty_legs(request), None, None, source.name)
    format_ = _format_of(sample, source.name, request)
    if sample.records is not None:
        understood = [*format_.names, *(request.columns or {}).values()]
        raw = read_objects(decoded.data, source.name, understood, request.options.keep)
    else:
        raw = read_delimited(decoded.data, _layout(sample, format_, source.name, request))
    raw = replace(raw, notes=(*decoded.notes, *raw.notes))
    return _to_legs(raw, format_, Origin(source.name, source.sha256), request)


def read_table(raw: RawTable, name: str, request: Request, sha256: str | None = None) -> Part:
    """Return the legs of one table; without a file's hash, its content is hashed."""
    if len(raw) == 0 and request.format is None:
        return Part(empty_legs(request), None, None, name)
    format_ = _format_of(sample_of(raw), name, request)
    if sha256 is None:
        sha256 = hashlib.sha256(raw.record_hash.tobytes()).hexdigest()
    return _to_legs(raw, format_, Origin(name, sha256), request)


def read_parquet(source: Source) -> RawTable:
    """Return the columns of a parquet file as text."""
    try:
        return table_of_arrow(unfold(source.data))
    except (pa.ArrowInvalid, OSError) as exc:
        msg = f"{source.name} is a damaged parquet file: {exc}"
        raise CdrFormatError(msg) from exc


def sample_of(raw: RawTable) -> Sample:
    """Return the beginning of a table as a sample whose first row is its column names."""
    heads = [column.slice(0, 100).to_pylist() for column in raw.columns.values()]
    rows = [[cell or "" for cell in row] for row in zip(*heads, strict=True)]
    return Sample([list(raw.columns), *rows], list(range(len(rows) + 1)))


def _format_of(sample: Sample, where: str, request: Request) -> CdrFormat:
    """Return the format: the one that was said, if the content can be that, or the one that fits.

    What was said is believed where no value looks right, as long as the rows are of the
    right width and those of no other format: each row then says what is wrong with it.
    """
    if request.format is None:
        format_, evidence = choose_format(sample, where)
        LOG.info("%s is read as %s: %s", where, format_.name, "; ".join(evidence.reasons))
        return format_
    if request.columns is None:
        evidence = request.format.recognise(sample)
        best = candidates(sample)[0]
        is_other = best.score >= ENOUGH
        if evidence.score == 0 and (is_other or not evidence.is_possible):
            hint = f"it looks like {best.format}" if is_other else "name its columns with columns={...}"
            line = sample.lines[0] + 1 if sample.lines else None
            msg = (
                f"{where} {describe_sample(sample)}: this is not {request.format.title} "
                f"({'; '.join(evidence.reasons)}); {hint}"
            )
            raise CdrFormatError(msg, line=line)
    return request.format


def _layout(sample: Sample, format_: CdrFormat, where: str, request: Request) -> Layout:
    """Return where the records begin and how their columns are called."""
    header = _header_row(sample, format_, where, request)
    if header is None:
        assert format_.layouts is not None  # noqa: S101 - a format without layouts always has a header row
        return Layout(sample.delimiter, format_.layouts(sample), where=where)
    names = unique_names(sample.rows[header])
    return Layout(
        sample.delimiter, {len(names): names}, sample.lines[header] + 1, has_header=True, where=where
    )


def _header_row(sample: Sample, format_: CdrFormat, where: str, request: Request) -> int | None:
    if request.columns is not None:
        wanted = {column_key(source) for source in request.columns.values()}
        for place, row in enumerate(sample.rows[:_HEADER_WITHIN]):
            if wanted <= {column_key(cell) for cell in row}:
                return place
        missing = sorted(
            source for source in request.columns.values() if column_key(source) not in sample.names
        )
        line = sample.lines[0] + 1
        msg = (
            f"{where} {describe_sample(sample)}: no line near the top names {', '.join(map(repr, missing))}; "
            "check columns= against the header, or pass delimiter="
        )
        raise CdrFormatError(msg, line=line)
    if format_.layouts is None:
        return 0
    known = sum(column_key(cell) in format_.names for cell in sample.rows[0])
    return 0 if known > len(sample.rows[0]) / 2 else None


def _to_legs(raw: RawTable, format_: CdrFormat, origin: Origin, request: Request) -> Part:
    if raw.notes:
        LOG.info("%s: %s", origin.name, "; ".join(raw.notes))
    columns, clock, n_totals = _columns_of(raw, format_, origin.name, request)
    _tell_of_zone(origin.name, request, is_needed=clock.how != OFFSETS or len(raw) == 0)
    notes = (*raw.notes, *_totals_note(origin.name, n_totals))
    return Part(legs_table(columns, format_, origin), format_, clock, origin.name, notes)


def _tell_of_zone(name: str, request: Request, *, is_needed: bool) -> None:
    """Say in the log that a zone was given and no time is local: the offsets in the data hold."""
    zone = request.options.zone
    if zone is not None and not is_needed:
        LOG.info(
            "%s: timezone=%r is not used, as every time carries its own offset or is an epoch", name, zone.key
        )


def _totals_note(name: str, n_totals: int) -> tuple[str, ...]:
    """Say, also in the log, how many lines were taken as totals: they are the only ones that become no rows."""
    if n_totals == 0:
        return ()
    note = f"{plural(n_totals, 'line')} without a start taken as totals"
    LOG.info("%s: %s", name, note)
    return (note,)


def _columns_of(
    raw: RawTable, format_: CdrFormat, name: str, request: Request
) -> tuple[dict[str, Any], Clock, int]:
    """Return the columns of the legs, the clock they were read by, and how many lines were totals."""
    options = replace(request.options, where=name)
    raw = _renamed(raw, format_, name)
    fields = Fields(raw)
    record = format_.interpret(fields, options)
    # A switch that writes no header writes no totals either.
    totals = _totals_lines(fields, record.started) if format_.layouts is None else None
    if totals is not None:
        fields = Fields(without_rows(raw, totals))
        record = format_.interpret(fields, options)
    for column in sorted(raw.fractions):
        _check_no_id(fields[column], column, record, name)
    return *build_legs(fields, record, format_, options), 0 if totals is None else int(totals.sum())


def _check_no_id(column: pa.LargeStringArray, title: str, record: Record, where: str) -> None:
    """Refuse ids that came as numbers with fractions: 1706368044.10 is then 1706368044.1, another call."""
    for ids in (record.call_key, record.leg_id, record.linked_id):
        if ids is not None and pc.any(pc.equal(ids, column), min_count=0).as_py():
            msg = (
                f"{where}: column {title!r} holds ids as numbers with fractions, which lose their last zeros; "
                "read the table with dtype=str, or export it as text"
            )
            raise CdrFormatError(msg)


def _read_in_pieces(source: Source, request: Request) -> Part | None:
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
    if sample.is_json or not sample.rows:
        return None
    format_ = _format_of(sample, source.name, request)
    layout = _layout(sample, format_, source.name, request)
    # Where the ids tell the zone, or nobody said which it is, all rows have to be seen together.
    if not format_.row_by_row or request.options.zone is None:
        return None
    state = _Pieces(layout, format_, source.name, request)
    pile = Pile(source.size / max(len(first), 1))
    clock: Clock | None = None
    lines, n_totals = layout.first_line, 0
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
                # One piece with a local time makes the file's clock that of the zone.
                clock = done.clock if clock is None or clock.how == OFFSETS else clock
    table = legs_table(pile.finished(), format_, Origin(source.name, source.sha256))
    _tell_of_zone(source.name, request, is_needed=clock is None or clock.how != OFFSETS)
    return Part(table, format_, clock, source.name, _totals_note(source.name, n_totals))


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
            columns, clock, n_totals = _columns_of(raw, self.format, self.name, request)
        except CdrFormatError:
            return None  # read as a whole, it is either settled there or raised with the right line
        return _Piece(columns, clock, n_lines, n_totals)


def _renamed(raw: RawTable, format_: CdrFormat, where: str) -> RawTable:
    """Call the columns as the format does; those of no known name stay.

    Raises
    ------
    CdrFormatError
        If two columns have one meaning.
    """
    called = {name: format_.names.get(column_key(name), name) for name in raw.columns}
    if len(set(called.values())) < len(called):
        names = list(called.values())
        twice = next(known for known in names if names.count(known) > 1)
        shown = " and ".join(repr(name) for name, known in called.items() if known == twice)
        msg = f"{where}: its columns {shown} are one and the same to {format_.title}; rename or remove one"
        raise CdrFormatError(msg)
    check_once([name for name in raw.columns if column_key(name) in format_.names], raw.columns, where)
    columns = {called[name]: column for name, column in raw.columns.items()}
    return replace(raw, columns=columns, fractions=frozenset(called[name] for name in raw.fractions))


def _totals_lines(fields: Fields, started: pa.LargeStringArray) -> NDArray[np.bool_] | None:
    """Mark the lines that add up the others: no start, and a first cell that says nothing but total."""
    wordy = pc.fill_null(pc.greater_equal(started, pa.scalar("A", TEXT)), fill_value=True)
    without_start = np.flatnonzero(np.asarray(wordy))
    if len(without_start) == 0 or not fields.raw.columns:
        return None
    positions = pa.array(without_start)
    cells = [clean_text(column.take(positions)) for column in fields.raw.columns.values()]
    found = np.asarray(pc.fill_null(pc.match_substring_regex(pc.coalesce(*cells), _TOTALS), fill_value=False))
    if not bool(found.any()):
        return None
    totals = np.zeros(len(fields), bool)
    totals[without_start[found]] = True
    return totals


def empty_legs(request: Request) -> pa.Table:
    """Return a table of no legs with every column."""
    table = LEGS.arrow.empty_table()
    for name in ("is_helper", "is_coarse"):
        table = table.append_column(name, pa.array([], pa.bool_()))
    for name in request.options.keep:
        table = table.append_column(f"x_{name}", pa.array([], TEXT))
    return table
