"""Read files that are larger than memory: the legs that `read_cdr` returns, so many at a time.

All files are read twice. The first reading keeps only what the values of other rows
depend on: what tells a clock, hashes of ids, and the rows that link legs. The second one
hands out legs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from sippet_reconcile.cdr.files.sources import Paths, Source, blamed_on, find_files, open_sources
from sippet_reconcile.cdr.kinds import Request
from sippet_reconcile.cdr.legs import Origin, legs_table
from sippet_reconcile.cdr.read import request_of
from sippet_reconcile.cdr.whole.joined import ATTRS_KEY, contiguous, how_read
from sippet_reconcile.cdr.whole.links import Links
from sippet_reconcile.cdr.whole.parts import empty_legs, open_large, read_source, tell_all
from sippet_reconcile.errors import InputError
from sippet_reconcile.progress import Progress, Reporter, reporting
from sippet_reconcile.schema import Legs, arrow_to_frame

if TYPE_CHECKING:
    from sippet_reconcile.cdr.spec import CdrFormat
    from sippet_reconcile.cdr.times.clock import Clock
    from sippet_reconcile.cdr.whole.pieces import InPieces

__all__ = ["iter_cdr"]


def iter_cdr(
    paths: Paths,
    *,
    rows: int = 500_000,
    format: str = "auto",  # noqa: A002 - as in read_cdr
    timezone: str | None = None,
    country: str | None = None,
    keep: Sequence[str] = (),
    columns: Mapping[str, str] | None = None,
    dayfirst: bool | None = None,
    delimiter: str | None = None,
    status_map: Mapping[str, str] | None = None,
    internal_numbers: Sequence[str] = (),
    strip_prefixes: Sequence[str] = (),
    progress: Progress = None,
) -> Iterator[Legs]:
    r"""Read CDR exports that are larger than memory, so many legs at a time.

    The batches, put one behind the other, are what `read_cdr` returns, also where a
    value depends on rows of another batch or file: ``linked_id``, ``is_helper``, and the
    clock and the order of dates. For that all files are read twice. Files of lines, packed
    or not, are never in memory as a whole; JSON, XML, SQL and parquet files are, one at a
    time, and so are the legs of a file in which what they mean depends on each other.

    Parameters
    ----------
    paths
        As in `read_cdr`.
    rows
        The rows of each batch; only the last one may have fewer.
    format, timezone, country, keep, columns, dayfirst, delimiter, status_map
        As in `read_cdr`.
    internal_numbers, strip_prefixes, progress
        As in `read_cdr`.

    Yields
    ------
    DataFrame
        As `read_cdr` returns; the index goes on from batch to batch. Without any record
        there is one batch without rows.

    Raises
    ------
    InputError
        As in `read_cdr`, or if a file changes between the two readings.
    CdrFormatError
        As in `read_cdr`.

    Examples
    --------
    >>> import io
    >>> row = "Ann,1001,{0},default,2026-10-01 09:00:00,,2026-10-01 09:00:05,5,0,NO_ANSWER,8c1f3c52-0000-4000-8000-{0},,1001,,"
    >>> file = io.StringIO("\n".join(row.format(f"{n:012d}") for n in range(5)))
    >>> [len(legs) for legs in iter_cdr(file, rows=2, timezone="UTC")]
    [2, 2, 1]
    """
    request = request_of(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=delimiter, status_map=status_map, internal_numbers=internal_numbers, strip_prefixes=strip_prefixes,
    )  # fmt: skip
    if not isinstance(rows, int) or rows < 1:
        msg = f"rows is {rows!r}; pass how many legs a batch shall have, such as 500_000"
        raise InputError(msg)
    files = [file if isinstance(file, Path) else _Again(file) for file in find_files(paths)]
    return _batches(files, request, rows, progress)


class _Again:
    """An open file that is read twice: what it held is kept."""

    def __init__(self, file: IO[Any]) -> None:
        self.name = getattr(file, "name", "")
        self._file = file
        self._content: Any = None

    def read(self) -> Any:
        if self._content is None:
            self._content = self._file.read()
        return self._content


@dataclass
class _Known:
    """What the first reading of a file, or of a member of an archive, found out."""

    sha256: str
    clock: Clock | None
    notes: tuple[str, ...]
    name: str
    opened: InPieces | None = None


@dataclass
class _First:
    """What the first reading of all files found out."""

    links: Links
    known: list[_Known] = field(default_factory=list)


def _batches(files: Sequence[Any], request: Request, rows: int, progress: Progress) -> Iterator[Legs]:
    with reporting(progress, unit="file") as report:
        first = _First(Links(is_one_file=len(files) == 1 and not _is_archive(files[0])))
        for done, file in enumerate(files):
            report(done, 2 * len(files), "looking through CDRs")
            for source in open_sources(file):
                with blamed_on(source.path):
                    first.known.append(_look_through(source, request, first.links))
        first.links.settle()
        how = how_read(((known.name, known.clock, known.notes) for known in first.known), request)
        begin, n_waiting = 0, 0
        waiting: list[pa.Table] = []

        def batch(table: pa.Table) -> Legs:
            legs = arrow_to_frame(contiguous(table))
            legs.index = pd.RangeIndex(begin, begin + len(legs))
            legs.attrs[ATTRS_KEY] = how
            return Legs(legs)

        for table in _tables(files, request, first, report):
            waiting.append(table)
            n_waiting += table.num_rows
            while n_waiting >= rows:
                together = pa.concat_tables(waiting)
                yield batch(together.slice(0, rows))
                waiting, n_waiting, begin = [together.slice(rows)], n_waiting - rows, begin + rows
        if n_waiting or begin == 0:
            yield batch(pa.concat_tables(waiting) if waiting else empty_legs(request))
        report(2 * len(files), 2 * len(files), "reading CDRs")


def _look_through(source: Source, request: Request, links: Links) -> _Known:
    """Read a file for the first time and keep what the values of other rows depend on."""
    opened = open_large(source, request)
    if opened is None or opened.format.settle is not None:
        part = read_source(source, request)
        if part.format is not None:
            links.take(links.look_at([part.table], part.format))
        return _Known(source.sha256, part.clock, part.notes, source.name)
    seen = None
    for attempt in opened.attempts():
        seen = links.look_at(
            (_as_table(columns, opened.format, "", "") for columns in attempt), opened.format
        )
    if seen is not None:
        links.take(seen)
    return _Known(source.sha256, opened.clock, tell_all(source, opened, request), source.name, opened)


def _as_table(columns: Mapping[str, Any], format_: CdrFormat, name: str, sha256: str) -> pa.Table:
    return legs_table(columns, format_, Origin(name, sha256))


def _tables(
    files: Sequence[Path | IO[Any]], request: Request, first: _First, report: Reporter
) -> Iterator[pa.Table]:
    """Read all files for the second time and yield their legs, settled."""
    known = iter(first.known)
    for done, file in enumerate(files):
        report(len(files) + done, 2 * len(files), "reading CDRs")
        for source in open_sources(file):
            with blamed_on(source.path):
                before = next(known, None)
                if before is None or before.name != source.name:
                    raise _changed(source.name)
                for table, format_ in _tables_of(source, before, request):
                    yield table if format_ is None else first.links.settled(table, format_)
                if source.sha256 != before.sha256:
                    raise _changed(source.name)


def _tables_of(
    source: Source, known: _Known, request: Request
) -> Iterator[tuple[pa.Table, CdrFormat | None]]:
    if known.opened is None:
        part = read_source(source, request)
        yield part.table, part.format
        return
    for columns in known.opened.again(source):
        yield _as_table(columns, known.opened.format, source.name, known.sha256), known.opened.format


def _is_archive(file: Any) -> bool:
    """Tell whether a file holds several."""
    return len(list(islice(open_sources(file), 2))) > 1


def _changed(name: str) -> InputError:
    return InputError(f"{name} changed while it was read; copy it and read the copy")
