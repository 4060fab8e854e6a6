"""Hand the audit records to people without this package: one file in a common format.

Input are the parts of a log and a path whose suffix names the format; output is the
file, whole or not at all. Records pass through part by part, so that the size of the
log does not matter.
"""

from __future__ import annotations

import json
import secrets
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from sippet_reconcile.audit.parts import list_parts, read_part, reason_of, write_aside_then_rename
from sippet_reconcile.audit.records import ARROW, at_as_text, records_of_table
from sippet_reconcile.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from sippet_reconcile.audit.parts import Part
    from sippet_reconcile.progress import Reporter

__all__ = ["export_parts"]

_FORMULA: Final = r"^(?:'|[\s\pZ\pC]*[\t\r\n=+\-@＝＋－＠﹦﹢﹣﹫])"  # noqa: RUF001 - the full-width signs are meant
_ROWS_PER_GROUP: Final = 65_536


def export_parts(log: Path, parts: Sequence[Part], target: Path, report: Reporter) -> None:
    """Write the records of a log into one file, in the format that its suffix names.

    A file of that name is replaced once the new one is whole.

    Raises
    ------
    InputError
        If the suffix names no format, the file would lie in an audit log, or it cannot
        be written.
    AuditError
        If a part of the log cannot be read.
    """
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        formats = ", ".join(sorted(_WRITERS))
        msg = f"{target.name}: an audit log is exported as {formats}, not as {target.suffix or 'a file without suffix'}"
        raise InputError(msg)
    try:
        _refuse_place(log, target)
        tables = _tables(parts, report)
        aside = target.with_name(f".{secrets.token_hex(8)}{target.suffix}")
        write_aside_then_rename(target, lambda sink: write(tables, sink), aside=aside, may_replace=True)
    except OSError as exc:
        msg = f"{target} cannot be written ({reason_of(exc)}); free space or choose another place"
        raise InputError(msg) from exc


def _refuse_place(log: Path, target: Path) -> None:
    """Refuse to write among parts, where readers of the folder would take the export for one of them."""
    folder = target.parent.resolve()
    if not folder.is_dir():
        msg = f"{target.parent} is no folder; make it first"
        raise InputError(msg)
    if folder.is_relative_to(log.resolve()) or list_parts(folder):
        msg = f"{target} lies inside the audit log, whose readers would take it for a part: choose another folder"
        if not folder.is_relative_to(log.resolve()):
            msg = f"{target} lies inside another audit log, whose readers would take it for a part: choose another folder"
        raise InputError(msg)
    if target.exists() and not target.is_file():
        msg = f"{target} is no ordinary file, so it is not replaced: choose another name"
        raise InputError(msg)


def _tables(parts: Sequence[Part], report: Reporter) -> Iterator[pa.Table]:
    """Yield the records of one part after the other."""
    total = parts[-1].last_seq if parts else 0
    done = 0
    for part in parts:
        table = read_part(part)
        yield table
        done += table.num_rows
        report(done, total, "exporting")


def _write_parquet(tables: Iterator[pa.Table], sink: BinaryIO) -> None:
    with pq.ParquetWriter(sink, ARROW, compression="zstd") as writer:
        for group in _grouped(tables):
            writer.write_table(group, row_group_size=_ROWS_PER_GROUP)


def _grouped(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Yield small tables as fewer large ones."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(held.num_rows for held in waiting) >= _ROWS_PER_GROUP:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _write_csv(tables: Iterator[pa.Table], sink: BinaryIO) -> None:
    """Write text in quotes, missing as nothing at all, and no text that a spreadsheet would calculate."""
    with pacsv.CSVWriter(sink, at_as_text(ARROW.empty_table()).schema) as writer:
        for group in _grouped(tables):
            stamped = at_as_text(group)
            columns = [_guarded(column) for column in stamped.columns]
            writer.write_table(pa.table(columns, schema=stamped.schema))


def _guarded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put an apostrophe ahead of text that looks like a formula, and ahead of an apostrophe.

    So taking one apostrophe away from the beginning of a text always gives the text.

    Examples
    --------
    >>> _guarded(pa.chunked_array([["=1+1", " @x", "'a", "a-b", None]], pa.large_string())).to_pylist()
    ["'=1+1", "' @x", "''a", 'a-b', None]
    """
    if not pa.types.is_large_string(column.type):
        return column
    empty = pa.scalar("", column.type)
    quoted = pc.binary_join_element_wise(pa.scalar("'", column.type), column, empty)
    return pc.if_else(pc.match_substring_regex(column, _FORMULA), quoted, column)


def _write_jsonl(tables: Iterator[pa.Table], sink: BinaryIO) -> None:
    """Write each record as the JSON that was hashed, with its two hashes among the keys."""
    for record in chain.from_iterable(map(records_of_table, tables)):
        sink.write(json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n")


def _write_xlsx(tables: Iterable[pa.Table], sink: BinaryIO) -> None:
    from sippet_reconcile.audit.workbook import write_workbook  # noqa: PLC0415 - its library is an extra

    write_workbook(tables, sink)


_WRITERS: Final[Mapping[str, Callable[[Iterator[pa.Table], BinaryIO], None]]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
    ".xlsx": _write_xlsx,
}
