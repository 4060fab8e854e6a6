"""Read CDR exports into a Dask DataFrame: files, and blocks of large ones, each by whoever has time.

Input is what `sippet_reconcile.read_cdr` takes, output are the same legs in partitions.
What only all files or all blocks of one tell is put together here and told to every part.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from dask.base import compute, persist
from dask.config import set as set_config
from dask.delayed import delayed

from sippet_reconcile.cdr.files.sources import Source, blamed_on, find_files, open_sources
from sippet_reconcile.cdr.legs import Origin, legs_table
from sippet_reconcile.cdr.read import request_of
from sippet_reconcile.cdr.understood import LOG
from sippet_reconcile.cdr.whole.blocks import Block, BlockTold, conclude, read_block
from sippet_reconcile.cdr.whole.links import Changes, Links, Seen
from sippet_reconcile.cdr.whole.parts import empty_legs, tell_all
from sippet_reconcile.cdr.whole.pieces import GoesOnError, InPieces
from sippet_reconcile.cdr.whole.small_files import SmallFiles
from sippet_reconcile.errors import CdrFormatError, InputError
from sippet_reconcile.progress import reporting
from sippet_reconcile.scale.units import Cut, Together, is_changed, is_packed, units_of
from sippet_reconcile.schema import arrow_to_frame

if TYPE_CHECKING:
    from dask.delayed import Delayed

    from sippet_reconcile.cdr.evidence import Settled
    from sippet_reconcile.cdr.files.sources import Paths
    from sippet_reconcile.cdr.kinds import Request
    from sippet_reconcile.cdr.spec import CdrFormat
    from sippet_reconcile.progress import Progress

__all__ = ["read_cdr"]

BLOCK: Final = 32 << 20
"""Bytes of a block; small files are read together until they have as many."""

_ROUNDS: Final = 6


class _Told(NamedTuple):
    """What the legs of a part tell that only all parts settle, and what there is to log."""

    seen: list[Seen]
    log: list[logging.LogRecord]


_Tables = list[tuple[pa.Table, "CdrFormat | None"]]


@dataclass
class _Part:
    """Legs that become a partition."""

    tables: Delayed
    told: Delayed
    changes: list[Changes] = field(default_factory=list)


def read_cdr(
    paths: Paths,
    *,
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
    blocksize: int = BLOCK,
    progress: Progress = None,
) -> Any:
    r"""Read CDR exports into a Dask DataFrame of legs, files and blocks of large files in parallel.

    The rows, in the order of the partitions, are those that `sippet_reconcile.read_cdr`
    returns. Large plain files of lines are cut into blocks, each of which becomes a partition;
    small files are put together. Other files, packed ones and those whose rows depend on each other
    among them, are one partition each, and have to fit into a worker's memory.

    Everything is read when this is called, because only all files together tell by which
    clock, in which order of dates and as which calls they are to be read; the legs stay with
    the workers. These have to see the files under the same paths.

    Parameters
    ----------
    paths, format, timezone, country, keep, columns, dayfirst, delimiter, status_map
        As in `sippet_reconcile.read_cdr`.
    internal_numbers, strip_prefixes, progress
        As in `sippet_reconcile.read_cdr`.
    blocksize
        Bytes of a block, about; its legs take about three times as many.

    Returns
    -------
    dask.dataframe.DataFrame
        One row per record, columns and types as of `sippet_reconcile.read_cdr`; the index of
        each partition begins at 0, and ``attrs`` say nothing.

    Raises
    ------
    InputError, CdrFormatError
        As `sippet_reconcile.read_cdr`.

    Examples
    --------
    >>> from sippet_reconcile import scale
    >>> from sippet_reconcile.demo import sample_data
    >>> path = sample_data() / "freeswitch" / "Master.csv"
    >>> legs = scale.read_cdr(path, timezone="Europe/London", country="GB", blocksize=100_000)
    >>> legs.npartitions, len(legs), str(legs.dtypes["call_key"])
    (6, 2611, 'str')
    """
    request = request_of(
        format, timezone=timezone, country=country, keep=keep, columns=columns, dayfirst=dayfirst,
        delimiter=delimiter, status_map=status_map, internal_numbers=internal_numbers, strip_prefixes=strip_prefixes,
    )  # fmt: skip
    if not isinstance(blocksize, int) or blocksize < 1:
        msg = f"blocksize is {blocksize!r}; pass how many bytes a block shall have, such as 32 << 20"
        raise InputError(msg)
    files = find_files(paths)
    with set_config({"dataframe.convert-string": False}), reporting(progress, unit="step") as report:
        report(0, 3, "looking at CDRs")
        links = Links(is_one_file=len(files) == 1 and isinstance(files[0], Path) and not is_packed(files[0]))
        units = list(units_of(files, request, blocksize))
        report(1, 3, "reading CDRs")
        parts = _Reader(request, links).read(units)
        report(2, 3, "settling links")
        found = _settled(parts, links)
        frames = persist(*(delayed(_framed)(part.tables, part.changes) for part in found))
        report(3, 3, "done")
        meta = pd.DataFrame(arrow_to_frame(empty_legs(request)))
        return dd.from_delayed(list(frames) or [delayed(meta)], meta=meta, verify_meta=False)


class _Reader:
    """Reads units until each was read by what it told."""

    def __init__(self, request: Request, links: Links) -> None:
        self._request, self._links = request, links

    def read(self, units: Sequence[Together | Cut]) -> list[_Part]:
        """Return the parts of all units, in their order."""
        done: dict[int, list[_Part]] = {}
        waiting = dict(enumerate(units))
        for n_read in count(1):
            if not waiting:
                break
            # All that is left is read at the same time, by whoever has time.
            whole = {n: self._whole(unit) for n, unit in waiting.items() if isinstance(unit, Together)}
            cut = {n: unit for n, unit in waiting.items() if isinstance(unit, Cut)}
            blocks = {
                n: [_read_block(unit.opened, block, unit.settled) for block in unit.blocks]
                for n, unit in cut.items()
            }
            sums = {n: delayed(_sha256)(unit.path) for n, unit in cut.items()}
            kept = iter(
                persist(
                    *(one for part in whole.values() for one in part),
                    *(one for of_file in blocks.values() for both in of_file for one in both),
                    *sums.values(),
                )
            )
            done |= {n: [_Part(next(kept), next(kept))] for n in whole}
            read = {n: [(next(kept), next(kept)) for _ in of_file] for n, of_file in blocks.items()}
            sums = {n: next(kept) for n in sums}
            waiting = {}
            for n, unit in cut.items():
                parts = self._concluded(unit, read[n], sums[n])
                if isinstance(parts, list):
                    done[n] = parts
                elif n_read < _ROUNDS:
                    waiting[n] = parts
                else:
                    waiting[n] = Together(
                        (unit.path,)
                    )  # whoever reads it as a whole says why it does not settle
        return [part for n in sorted(done) for part in done[n]]

    def _whole(self, unit: Together) -> tuple[Delayed, Delayed]:
        both: tuple[Delayed, Delayed] = delayed(_read_together, nout=2, pure=False)(
            unit.files, self._request, self._links, os.getpid()
        )
        return both[0], both[1]

    def _concluded(
        self, unit: Cut, read: Sequence[tuple[Delayed, Delayed]], sha256: Delayed
    ) -> list[_Part] | Together | Cut:
        """Return the parts of a file, or what of it has to be read anew."""
        # With the hash, so that the file is not read after this.
        _, *told = compute(sha256, *(told for _, told in read))
        if any(one is None for one in told):
            # A record goes on, or something is wrong: who reads it from the beginning says what, and where.
            return Together((unit.path,))
        with blamed_on(unit.path):
            settled, begins = conclude(
                unit.opened, [one for one in told if one is not None], unit.settled, unit.source.name
            )
        if is_changed(unit):
            msg = f"{unit.source.name} changed while it was read; copy it and read the copy"
            raise InputError(msg)
        if not unit.settled.agrees(settled):
            return replace(unit, settled=settled)
        tell_all(unit.source, unit.opened, self._request)
        finish, origin = delayed(_finished, nout=2), delayed(Origin)(unit.source.name, sha256)
        finished = [
            finish(columns, begin, unit.opened.format, origin, self._links)
            for (columns, _), begin in zip(read, begins, strict=True)
        ]
        return [_Part(*both) for both in finished]


def _read_block(opened: InPieces, block: Block, settled: Settled) -> tuple[Delayed, Delayed]:
    both = delayed(_try_block, nout=2, pure=False)(opened, block, settled)
    return both[0], both[1]


def _try_block(
    opened: InPieces, block: Block, settled: Settled
) -> tuple[dict[str, Any], BlockTold] | tuple[None, None]:
    """Return the columns of a block and what it tells; nothing where the file has to be read from its beginning."""
    try:
        return read_block(opened, block, settled)
    except (GoesOnError, CdrFormatError):
        return None, None


def _finished(
    columns: dict[str, Any], begin: int, format_: CdrFormat, origin: Origin, links: Links
) -> tuple[_Tables, _Told]:
    moved = {**columns, "source_row": pc.add(columns["source_row"], begin)}
    table = legs_table(moved, format_, origin)
    return [(table, format_)], _Told([links.look_at([table], format_)], [])


def _read_together(
    files: tuple[Path | Source, ...], request: Request, links: Links, pid: int
) -> tuple[_Tables, _Told]:
    with _overheard(pid) as log:
        small = SmallFiles(request)
        sources = (
            source for file in files for source in (open_sources(file) if isinstance(file, Path) else (file,))
        )
        parts = [part for source in sources for part in small.add(source)]
        parts += small.rest()
    tables = [(part.table, part.format) for part in parts]
    return tables, _Told(
        [links.look_at([table], format_) for table, format_ in tables if format_ is not None], log
    )


@contextmanager
def _overheard(pid: int) -> Iterator[list[logging.LogRecord]]:
    """Collect what this thread logs, where the caller is another process and would not see it."""
    heard: list[logging.LogRecord] = []
    if os.getpid() == pid:
        yield heard
        return
    me = threading.get_ident()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == me:
                record.msg, record.args = record.getMessage(), None
                heard.append(record)

    listener = Listener()
    LOG.addHandler(listener)
    try:
        yield heard
    finally:
        LOG.removeHandler(listener)


def _sha256(path: Path) -> str:
    return next(iter(open_sources(path))).sha256


def _settled(parts: list[_Part], links: Links) -> list[_Part]:
    """Tell each part what only all of them together settle."""
    lengths: list[list[int]] = []
    for told in compute(*(part.told for part in parts)):
        for record in told.log:
            if LOG.isEnabledFor(record.levelno):
                LOG.handle(record)
        lengths.append([seen.length for seen in told.seen])
        for seen in told.seen:
            links.take(seen)
    links.settle()
    at = 0
    for part, of_part in zip(parts, lengths, strict=True):
        for length in of_part:
            part.changes.append(links.changes(at, at + length))
            at += length
    return parts


def _framed(tables: _Tables, changes: list[Changes]) -> pd.DataFrame:
    anew = iter(changes)
    found = [table if format_ is None else next(anew).made_in(table, format_) for table, format_ in tables]
    frame = pd.DataFrame(arrow_to_frame(pa.concat_tables(found).combine_chunks()))
    frame.attrs = {}
    return frame
