"""Read one file, or one frame, into the columns of its legs.

Input are a source of bytes and what the caller asked for, output is a `Part`: the
table of legs, its format, and the clock that its times were read by.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sippet_reconcile._parquet import UnfoldsTooFarError
from sippet_reconcile._parquet import read_parquet as unfold
from sippet_reconcile.cdr.files.decode import decode
from sippet_reconcile.cdr.files.sources import LARGE, Source, blamed_on
from sippet_reconcile.cdr.kinds import Request, read_records, take_sample
from sippet_reconcile.cdr.legs import Origin, legs_table
from sippet_reconcile.cdr.records.frames import table_of_arrow
from sippet_reconcile.cdr.spec import ASIDE, CdrFormat, Sample
from sippet_reconcile.cdr.tables import TEXT, RawTable
from sippet_reconcile.cdr.times.clock import OFFSETS, Clock
from sippet_reconcile.cdr.understood import LOG, format_of, tell_of_zone, totals_note, understand
from sippet_reconcile.cdr.whole.pieces import PIECE, InPieces, first_lines, open_in_pieces
from sippet_reconcile.cdr.whole.pile import Pile
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.schema import LEGS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Part",
    "beginning_of",
    "empty_legs",
    "open_large",
    "read_parquet",
    "read_source",
    "read_table",
    "sample_of",
    "tell_all",
]


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
    opened = open_large(source, request)
    if opened is not None:
        return _read_in_pieces(source, opened, request)
    if source.is_parquet:
        return read_table(read_parquet(source), source.name, request, sha256=source.sha256)
    decoded = decode(source.data)
    sample = take_sample(decoded.data, source.name, request.delimiter, request.format)
    if not (sample.rows or sample.records):
        LOG.warning("%s holds no record", source.name)
        return Part(empty_legs(request), None, None, source.name)
    format_ = format_of(sample, source.name, request)
    raw = read_records(decoded.data, sample, format_, request, source.name)
    raw = replace(raw, notes=(*decoded.notes, *raw.notes))
    return _to_legs(raw, format_, Origin(source.name, source.sha256), request)


def beginning_of(source: Source) -> bytes:
    """Return a file as it is read, or of a large file of lines so much as shows what it is."""
    first = None if source.size < LARGE or source.is_parquet else first_lines(source)
    return decode(source.data).data if first is None else first


def open_large(source: Source, request: Request) -> InPieces | None:
    """Return a large file of lines ready to be read piece by piece; None for all others."""
    if source.size < LARGE or source.is_parquet:
        return None
    return open_in_pieces(source, request)


def _read_in_pieces(source: Source, opened: InPieces, request: Request) -> Part:
    """Pile up the legs of all pieces."""
    pile = Pile(0)
    for attempt in opened.attempts():
        pile = Pile(source.size / PIECE)
        for columns in attempt:
            pile.add(columns)
    found = _settled(pile.finished(), opened.format)
    del pile
    pa.default_memory_pool().release_unused()  # what parsing took, before the frame takes its share
    table = legs_table(found, opened.format, Origin(source.name, source.sha256))
    return Part(table, opened.format, opened.clock, source.name, tell_all(source, opened, request))


def tell_all(source: Source, opened: InPieces, request: Request) -> tuple[str, ...]:
    """Say in the log, once all pieces are read, how that went, and return the notes."""
    if opened.notes:
        LOG.info("%s: %s", source.name, "; ".join(opened.notes))
    tell_of_zone(source.name, request, is_needed=opened.clock is None or opened.clock.how != OFFSETS)
    return (*opened.notes, *totals_note(source.name, opened.n_totals))


def read_table(raw: RawTable, name: str, request: Request, sha256: str | None = None) -> Part:
    """Return the legs of one table; without a file's hash, its content is hashed."""
    if len(raw) == 0 and request.format is None:
        return Part(empty_legs(request), None, None, name)
    format_ = format_of(sample_of(raw), name, request)
    if sha256 is None:
        sha256 = hashlib.sha256(raw.record_hash.tobytes()).hexdigest()
    return _to_legs(raw, format_, Origin(name, sha256), request)


def read_parquet(source: Source) -> RawTable:
    """Return the columns of a parquet file as text."""
    try:
        return table_of_arrow(unfold(source.data))
    except (pa.ArrowInvalid, OSError) as exc:
        hint = "look at it before reading it" if isinstance(exc, UnfoldsTooFarError) else "copy it again"
        msg = f"{source.name} is a damaged parquet file ({str(exc).rstrip('.')}); {hint}"
        raise CdrFormatError(msg) from exc


def sample_of(raw: RawTable) -> Sample:
    """Return the beginning of a table as a sample whose first row is its column names."""
    heads = [column.slice(0, 100).to_pylist() for column in raw.columns.values()]
    rows = [[cell or "" for cell in row] for row in zip(*heads, strict=True)]
    return Sample([list(raw.columns), *rows], list(range(len(rows) + 1)))


def _to_legs(raw: RawTable, format_: CdrFormat, origin: Origin, request: Request) -> Part:
    found = understand(raw, format_, origin.name, request)
    told = (*raw.notes, *found.notes)
    if told:
        LOG.info("%s: %s", origin.name, "; ".join(told))
    tell_of_zone(origin.name, request, is_needed=found.clock.how != OFFSETS or len(raw) == 0)
    notes = (*told, *totals_note(origin.name, found.n_totals))
    return Part(
        legs_table(_settled(found.columns, format_), format_, origin),
        format_,
        found.clock,
        origin.name,
        notes,
    )


def _settled(columns: Mapping[str, Any], format_: CdrFormat) -> Mapping[str, Any]:
    """Return the columns of all legs of a file, settled by what only all of them tell."""
    if format_.settle is None:
        return columns
    anew = format_.settle(columns)
    return {name: anew.get(name, column) for name, column in columns.items() if not name.startswith(ASIDE)}


def empty_legs(request: Request) -> pa.Table:
    """Return a table of no legs with every column."""
    table = LEGS.arrow.empty_table()
    for name in ("is_helper", "is_coarse"):
        table = table.append_column(name, pa.array([], pa.bool_()))
    for name in request.options.keep:
        table = table.append_column(f"x_{name}", pa.array([], TEXT))
    return table
