"""Read CDR exports into legs: one row per record, usable or not, whatever the format.

Input are files or a frame and what the caller knows about them; output is the frame
that `LEGS` describes, then ``is_helper`` and the kept columns.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import itertools
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from sippet_reconcile.cdr.columns import columns_format
from sippet_reconcile.cdr.decode import decode
from sippet_reconcile.cdr.formats import format_named
from sippet_reconcile.cdr.frames import table_of_arrow, table_of_frame, table_of_objects, unique_names
from sippet_reconcile.cdr.legs import Origin, build_legs, legs_table
from sippet_reconcile.cdr.pile import Pile
from sippet_reconcile.cdr.reader import (
    FEED,
    Layout,
    count_byte,
    line_start,
    read_delimited,
    read_regular,
    without_headers,
)
from sippet_reconcile.cdr.sniff import (
    ENOUGH,
    Candidate,
    candidates,
    choose_format,
    describe_sample,
    take_sample,
)
from sippet_reconcile.cdr.sources import LARGE, Paths, Source, find_files, open_sources
from sippet_reconcile.cdr.spec import CdrFormat, Options, Sample, column_key
from sippet_reconcile.cdr.tables import TEXT, Fields, RawTable, one_array
from sippet_reconcile.errors import CdrFormatError, InputError
from sippet_reconcile.normalize import check_country, clean_text
from sippet_reconcile.period import load_zone
from sippet_reconcile.progress import Progress, reporting
from sippet_reconcile.schema import LEGS, Legs, arrow_to_frame

if TYPE_CHECKING:
    from sippet_reconcile.cdr.clock import Clock

__all__ = ["ATTRS_KEY", "cdr_from_frame", "read_cdr", "sniff_cdr"]

_LOG: Final = logging.getLogger("sippet_reconcile.cdr")
_TOTALS: Final = r"(?i)^(?:grand |sub)?totals?\b"
_HEADER_WITHIN: Final = 30  # lines of title that an export may print above its header
_MAX_NOTES: Final = 20
_PIECE: Final = 8 << 20
_WORKERS: Final = 2

ATTRS_KEY: Final = "sippet_reconcile.cdr"
"""Where a fresh frame of legs keeps, as a bonus that nothing depends on, how its files were read."""


@dataclass(frozen=True)
class _Request:
    """What the caller asked for, checked once for all files."""

    options: Options
    format: CdrFormat | None
    columns: Mapping[str, str] | None
    delimiter: str | None


def read_cdr(
    paths: Paths,
    *,
    format: str = "auto",  # noqa: A002 - the word that analysts look for
    timezone: str | None = None,
    country: str | None = None,
    keep: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    dayfirst: bool | None = None,
    delimiter: str | None = None,
    status_map: Mapping[str, str] | None = None,
    progress: Progress = None,
) -> Legs:
    """Read CDR exports into legs.

    Every record of every file is one row, in the order of the files: what cannot be
    used carries the reason in ``problem``. Blank, header and totals lines are no
    records.

    Parameters
    ----------
    paths
        A path, a glob, a list of them, or an open file. ``.gz``, ``.zip`` and parquet
        are read as they are.
    format
        The name of a format; ``"auto"`` looks at the content of each file and logs what
        it chose and why.
    timezone
        IANA name of the zone of the switch's clock. Needed where times are local and the
        file does not tell; where it does, a zone that contradicts it is an error.
    country
        ISO 3166 alpha-2 code in which national numbers are read.
    keep
        Further source columns to carry along as ``x_<name>``.
    columns
        Leg column to source column, for tables of no known format.
    dayfirst
        Whether D/M/Y is meant where dates can be read two ways.
    delimiter
        Field delimiter where it is not to be guessed.
    status_map
        The system's word to a status, beside and before the format's own table.
    progress
        See `sippet_reconcile.progress`.

    Returns
    -------
    DataFrame
        The columns of `sippet_reconcile.schema.LEGS`; then ``is_helper`` (boolean, True
        for legs that belong to the switch's inner workings); then the kept columns.

    Raises
    ------
    InputError
        If a file does not exist, a glob matches nothing, or something must be said.
    CdrFormatError
        If a file is not what it was said or thought to be.

    Examples
    --------
    >>> import io
    >>> row = b'"Ann","1001","+442079460123","default","2026-10-01 09:00:00","2026-10-01 09:00:05",'
    >>> row += b'"2026-10-01 09:01:05","65","60","NORMAL_CLEARING","8c1f3c52-0000-4000-8000-000000000001","","1001","",""'
    >>> legs = read_cdr(io.BytesIO(row), timezone="Europe/London")
    >>> legs.loc[0, "format"], legs.loc[0, "status"], legs.loc[0, "started_at"].isoformat()
    ('freeswitch_csv', 'completed', '2026-10-01T08:00:00+00:00')
    """
    request = _request(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=delimiter, status_map=status_map,
    )  # fmt: skip
    files = find_files(paths)
    parts: list[_Part] = []
    with reporting(progress, unit="file") as report:
        for done, file in enumerate(files):
            report(done, len(files), "reading CDRs")
            parts += [_read_source(source, request) for source in open_sources(file)]
        report(len(files), len(files), "reading CDRs")
    return _joined(parts, request)


def cdr_from_frame(
    df: pd.DataFrame,
    *,
    format: str = "auto",  # noqa: A002 - as in read_cdr
    columns: Mapping[str, str] | None = None,
    timezone: str | None = None,
    country: str | None = None,
    keep: Sequence[str] = (),
    dayfirst: bool | None = None,
    status_map: Mapping[str, str] | None = None,
    source: str = "frame",
) -> Legs:
    """Read legs from a frame, such as the result of a SQL query.

    Parameters
    ----------
    df
        One row per record; it is not changed and its index is not looked at. Columns
        are found by name; typed columns are read as an export would print them.
    source
        What ``source_file`` says. ``source_row`` counts rows from 1, ``source_sha256``
        covers the content.
    format, columns, timezone, country, keep, dayfirst, status_map
        As in `read_cdr`.

    Examples
    --------
    >>> df = pd.DataFrame({"Start": ["2026-10-01 09:00:00"], "Talk": ["0:01:05"], "Id": ["a-1"]})
    >>> legs = cdr_from_frame(df, columns={"started_at": "Start", "billable_s": "Talk", "call_key": "Id"}, timezone="UTC")
    >>> legs.loc[0, "call_key"], float(legs.loc[0, "billable_s"]), legs.loc[0, "status"]
    ('a-1', 65.0, 'completed')
    """
    request = _request(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=None, status_map=status_map,
    )  # fmt: skip
    if not isinstance(df, pd.DataFrame):
        msg = f"df is {type(df).__name__}, not a DataFrame; read files with read_cdr"
        raise InputError(msg)
    return _joined([_read_table(table_of_frame(df), source, request)], request)


def sniff_cdr(path: Paths) -> list[Candidate]:
    """Return the formats that a file may have, best first, each with its reasons.

    Only the content counts, never the name.

    Examples
    --------
    >>> import io
    >>> sniff_cdr(io.BytesIO(b'{"calls": [{"sid": "CA1", "status": "busy"}]}'))[0].score < 0.5
    True
    """
    files = find_files(path)
    if len(files) != 1:
        msg = f"sniff_cdr looks at one file, got {len(files)}; pass one path"
        raise InputError(msg)
    source = next(iter(open_sources(files[0])))
    if source.is_parquet:
        return candidates(_sample_of(_parquet(source)))
    return candidates(take_sample(decode(source.data).data, source.name))


def _request(
    format_name: str,
    *,
    timezone: str | None,
    country: str | None,
    keep: Sequence[str],
    columns: Mapping[str, str] | None,
    dayfirst: bool | None,
    delimiter: str | None,
    status_map: Mapping[str, str] | None,
) -> _Request:
    if columns is not None and format_name not in {"auto", "columns"}:
        msg = f"format={format_name!r} and columns= are both given; a known format needs no columns="
        raise InputError(msg)
    chosen = None if format_name == "auto" else format_named(format_name) if columns is None else None
    if columns is not None:
        chosen = columns_format(columns)
    options = Options(
        zone=None if timezone is None else load_zone(timezone),
        country=check_country(country),
        dayfirst=dayfirst,
        status_map=Options.checked_statuses(status_map),
        keep=(keep,) if isinstance(keep, str) else tuple(keep),
    )
    return _Request(options, chosen, columns, delimiter)


@dataclass(frozen=True, eq=False)
class _Part:
    """The legs of one file, and how it was read."""

    table: pa.Table
    format: CdrFormat | None
    clock: Clock | None
    name: str
    notes: tuple[str, ...] = ()


def _read_source(source: Source, request: _Request) -> _Part:
    if source.size >= LARGE and not source.is_parquet:
        part = _read_in_pieces(source, request)
        if part is not None:
            return part
    if source.is_parquet:
        return _read_table(_parquet(source), source.name, request, sha256=source.sha256)
    decoded = decode(source.data)
    sample = take_sample(decoded.data, source.name, request.delimiter)
    if not (sample.rows or sample.records):
        _LOG.warning("%s holds no record", source.name)
        return _Part(_empty(request), None, None, source.name)
    format_ = _format_of(sample, source.name, request)
    if sample.records is not None:
        raw = table_of_objects([dict(record) for record in sample.records])
    else:
        raw = read_delimited(decoded.data, _layout(sample, format_, source.name, request))
    raw = replace(raw, notes=(*decoded.notes, *raw.notes))
    return _to_legs(raw, format_, Origin(source.name, source.sha256), request)


def _read_table(raw: RawTable, name: str, request: _Request, sha256: str | None = None) -> _Part:
    if len(raw) == 0 and request.format is None:
        return _Part(_empty(request), None, None, name)
    format_ = _format_of(_sample_of(raw), name, request)
    if sha256 is None:
        sha256 = hashlib.sha256(raw.record_hash.tobytes()).hexdigest()
    return _to_legs(raw, format_, Origin(name, sha256), request)


def _parquet(source: Source) -> RawTable:
    try:
        return table_of_arrow(pyarrow.parquet.read_table(io.BytesIO(source.data)))
    except (pa.ArrowInvalid, OSError) as exc:
        msg = f"{source.name} is a damaged parquet file: {exc}"
        raise CdrFormatError(msg, path=source.name) from exc


def _sample_of(raw: RawTable) -> Sample:
    """Return the beginning of a table as a sample whose first row is its column names."""
    heads = [column.slice(0, 100).to_pylist() for column in raw.columns.values()]
    rows = [[cell or "" for cell in row] for row in zip(*heads, strict=True)]
    return Sample([list(raw.columns), *rows], list(range(len(rows) + 1)))


def _format_of(sample: Sample, where: str, request: _Request) -> CdrFormat:
    """Return the format: the one that was said, if the content can be that, or the one that fits."""
    if request.format is None:
        format_, evidence = choose_format(sample, where)
        _LOG.info("%s is read as %s: %s", where, format_.name, "; ".join(evidence.reasons))
        return format_
    if request.columns is None:
        evidence = request.format.recognise(sample)
        if evidence.score == 0:
            best = candidates(sample)[0]
            hint = (
                f"it looks like {best.format}"
                if best.score >= ENOUGH
                else "name its columns with columns={...}"
            )
            line = sample.lines[0] + 1 if sample.lines else None
            msg = (
                f"{where} {describe_sample(sample)}: this is not {request.format.title} "
                f"({'; '.join(evidence.reasons)}); {hint}"
            )
            raise CdrFormatError(msg, path=where, line=line)
    return request.format


def _layout(sample: Sample, format_: CdrFormat, where: str, request: _Request) -> Layout:
    """Return where the records begin and how their columns are called."""
    header = _header_row(sample, format_, where, request)
    if header is None:
        assert format_.layouts is not None  # noqa: S101 - a format without layouts always has a header row
        return Layout(sample.delimiter, format_.layouts(sample))
    names = unique_names(sample.rows[header])
    return Layout(
        sample.delimiter, {len(names): names}, sample.lines[header] + 1, header=sample.delimiter.join(names)
    )


def _header_row(sample: Sample, format_: CdrFormat, where: str, request: _Request) -> int | None:
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
        raise CdrFormatError(msg, path=where, line=line)
    if format_.layouts is None:
        return 0
    known = sum(column_key(cell) in format_.names for cell in sample.rows[0])
    return 0 if known > len(sample.rows[0]) / 2 else None


def _to_legs(raw: RawTable, format_: CdrFormat, origin: Origin, request: _Request) -> _Part:
    if raw.notes:
        _LOG.info("%s: %s", origin.name, "; ".join(raw.notes))
    columns, clock = _columns_of(raw, format_, origin.name, request)
    return _Part(legs_table(columns, format_, origin), format_, clock, origin.name, raw.notes)


def _columns_of(
    raw: RawTable, format_: CdrFormat, name: str, request: _Request
) -> tuple[dict[str, Any], Clock]:
    options = replace(request.options, where=name)
    raw = _renamed(raw, format_)
    fields = Fields(raw)
    record = format_.interpret(fields, options)
    totals = _totals_lines(fields, record.started)
    if totals is not None:
        fields = Fields(_without(raw, totals))
        record = format_.interpret(fields, options)
    return build_legs(fields, record, format_, options)


def _read_in_pieces(source: Source, request: _Request) -> _Part | None:
    """Read a large regular file piece by piece; None where it has to be seen as a whole.

    A piece is parsed and understood while it is in the processor's cache, on two
    threads, and its memory is used again for the next one.
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
    with ThreadPoolExecutor(_WORKERS) as pool:
        waiting: deque[Future[tuple[dict[str, Any], Clock] | None]] = deque()
        clock: Clock | None = None
        begin, lines = line_start(plain, layout.first_line), layout.first_line
        for piece in itertools.chain([plain], (_plain(piece) for piece in pieces)):
            if piece is None:
                return None
            waiting.append(pool.submit(state.columns, piece, begin, lines))
            lines += count_byte(piece, FEED, begin)
            begin = 0
            if len(waiting) > _WORKERS:
                done = waiting.popleft().result()
                if done is None:
                    return None
                pile.add(done[0])
                clock = done[1]
        for future in waiting:
            done = future.result()
            if done is None:
                return None
            pile.add(done[0])
            clock = done[1]
    table = legs_table(pile.finished(), format_, Origin(source.name, source.sha256))
    return _Part(table, format_, clock, source.name)


def _plain(piece: bytes) -> bytes | None:
    """Return a piece as UTF-8 with line feeds, or None where that needs more than looking at it."""
    if b"\r" in piece:
        piece = piece.replace(b"\r\n", b"\n")
    if b"\r" in piece or b"\0" in piece:
        return None
    if not piece.isascii():
        try:
            piece.decode("utf-8")
        except UnicodeDecodeError:
            return None
    return piece


@dataclass(frozen=True)
class _Pieces:
    """What all pieces of one file have in common."""

    layout: Layout
    format: CdrFormat
    name: str
    request: _Request

    def columns(self, piece: bytes, begin: int, lines: int) -> tuple[dict[str, Any], Clock] | None:
        """Read one piece; None where a line of it needs care."""
        raw = read_regular(piece, replace(self.layout, first_line=lines), begin=begin, threads=False)
        if raw is None:
            return None
        if self.layout.header is not None:
            raw = without_headers(raw, self.layout)
        return _columns_of(raw, self.format, self.name, self.request)


def _renamed(raw: RawTable, format_: CdrFormat) -> RawTable:
    """Call the columns as the format does; the others, and those of no known name, stay."""
    columns: dict[str, pa.LargeStringArray] = {}
    for name, column in raw.columns.items():
        known = format_.names.get(column_key(name), name)
        columns[known if known not in columns else name] = column
    return replace(raw, columns=columns)


def _totals_lines(fields: Fields, started: pa.LargeStringArray) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Mark the lines that add up the others: no start, and a first cell that says total."""
    without_start = np.flatnonzero(np.asarray(started.is_null()))
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


def _without(raw: RawTable, rows: np.ndarray[Any, np.dtype[np.bool_]]) -> RawTable:
    mask = pa.array(~rows)
    return replace(
        raw,
        columns={name: column.filter(mask) for name, column in raw.columns.items()},
        rows=raw.rows[~rows],
        record_hash=raw.record_hash[~rows],
        problem=None if raw.problem is None else raw.problem.filter(mask),
    )


def _empty(request: _Request) -> pa.Table:
    table = LEGS.arrow.empty_table().append_column("is_helper", pa.array([], pa.bool_()))
    for name in request.options.keep:
        table = table.append_column(f"x_{name}", pa.array([], TEXT))
    return table


def _joined(parts: Sequence[_Part], request: _Request) -> Legs:
    """Put the files together and settle what only all of them can: which legs are linked."""
    tables = [part.table for part in parts] or [_empty(request)]
    table = tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()
    for format_ in {part.format.name: part.format for part in parts if part.format is not None}.values():
        if format_.relink is not None and table.num_rows:
            everywhere = all(part.format is format_ for part in parts if part.table.num_rows)
            table = _relinked(table, format_, everywhere=everywhere)
    legs = arrow_to_frame(table)
    legs.attrs[ATTRS_KEY] = {
        "clocks": sorted(
            {f"{part.clock.name} ({part.clock.how})" for part in parts if part.clock is not None}
        ),
        "notes": [f"{part.name}: {note}" for part in parts for note in part.notes][:_MAX_NOTES],
    }
    return Legs(legs)


def _relinked(table: pa.Table, format_: CdrFormat, *, everywhere: bool) -> pa.Table:
    assert format_.relink is not None  # noqa: S101 - the caller looked
    place = LEGS.names.index("linked_id")
    leg_id, linked = one_array(table.column("leg_id")), one_array(table.column("linked_id"))
    if everywhere:
        relinked = format_.relink(leg_id, linked)
    else:
        mask = pc.equal(table.column("format"), format_.name).combine_chunks()
        relinked = pc.replace_with_mask(
            linked, mask, format_.relink(leg_id.filter(mask), linked.filter(mask))
        )
    return table if relinked is linked else table.set_column(place, table.schema.field(place), relinked)
