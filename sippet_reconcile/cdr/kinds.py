"""What a file is before its format is known (lines, JSON, ...), and how each kind becomes a raw table.

Input are decoded bytes, output is first a `Sample` of the beginning, by which the format
is chosen, and then, with the format, every record. A kind is one function for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from sippet_reconcile.cdr.records.frames import unique_names
from sippet_reconcile.cdr.records.objects import Wanted, first_objects, read_objects, table_of_records
from sippet_reconcile.cdr.records.reader import Layout, read_delimited
from sippet_reconcile.cdr.records.sql_text import begins_like_sql, read_sql, sql_samples
from sippet_reconcile.cdr.records.tokens import split_line
from sippet_reconcile.cdr.records.xml_text import XmlRecords, begins_like_xml, first_elements
from sippet_reconcile.cdr.sniff import ENOUGH, candidates, describe_sample
from sippet_reconcile.cdr.spec import CdrFormat, Kind, Options, Sample, column_key, is_path
from sippet_reconcile.cdr.tables import RawTable
from sippet_reconcile.errors import CdrFormatError, InputError

__all__ = ["BYTES", "Request", "kind_of", "layout_of", "read_records", "take_sample", "wanted_of"]

BYTES: Final = 1 << 18
"""So much of a file is looked at to find out what it is."""

ROWS: Final = 200
"""So many of its records are looked at."""

MAX_COLUMNS: Final = 1000
"""A table with more columns is none of calls; what proves its quoting knows no more either."""

_DELIMITERS: Final = (",", ";", "\t", "|")
_HEADER_WITHIN: Final = 30  # lines of title that an export may print above its header
_TITLE_CELLS: Final = 3  # so many may hold something in a line of title


@dataclass(frozen=True)
class Request:
    """What the caller asked for, checked once for all files."""

    options: Options
    format: CdrFormat | None
    columns: Mapping[str, str] | None
    delimiter: str | None


def kind_of(head: bytes) -> Kind:
    """Return what the beginning of a file, in UTF-8, shows it to be.

    Examples
    --------
    >>> kind_of(b' [{"sid": "CA1"}]'), kind_of(b'"Ann","1001"'), kind_of(b"INSERT INTO cdr VALUES (1);")
    ('json', 'lines', 'sql')
    """
    if begins_like_sql(head):
        return "sql"
    if begins_like_xml(head):
        return "xml"
    return "json" if head.lstrip()[:1] in {b"{", b"["} else "lines"


def take_sample(
    data: bytes, where: str, delimiter: str | None = None, said: CdrFormat | None = None
) -> Sample:
    """Return the first records of a file; `said` is the format that the caller named.

    Raises
    ------
    CdrFormatError
        If it begins like JSON and is none.
    InputError
        If `delimiter` is not a single character.
    """
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\n'):
        msg = f"delimiter {delimiter!r} is not a single character such as ',', ';' or '\\t'"
        raise InputError(msg)
    return _SAMPLES[kind_of(data[:BYTES])](data, where, delimiter, said)


def read_records(data: bytes, sample: Sample, format_: CdrFormat, request: Request, where: str) -> RawTable:
    """Return all records of a file of a known format as text."""
    return _READERS[sample.kind](data, sample, format_, request, where)


# ---------------------------------------------------------------- lines


def _sample_lines(data: bytes, _: str, delimiter: str | None, __: CdrFormat | None) -> Sample:
    text = data[:BYTES].decode("utf-8", errors="replace").replace("\0", "")
    lines = text.split("\n")
    if len(data) > BYTES and len(lines) > 1:
        lines.pop()  # cut by the sample, not by the file
    numbered = [(number, line) for number, line in enumerate(lines) if line.strip()][:ROWS]
    delimiter = delimiter or _delimiter([line for _, line in numbered])
    rows = [split_line(line, delimiter)[0] for _, line in numbered]
    return Sample(rows, [number for number, _ in numbered], delimiter, text=text)


def _delimiter(lines: Sequence[str]) -> str:
    """Return the character that takes most lines apart into equally many fields, and into many.

    A list inside a field may take every line apart into two or three, while the fields of
    one line are too few or too many: so many lines count by the cube of their share.
    """

    def rank(delimiter: str) -> float:
        widths = [len(split_line(line, delimiter)[0]) for line in lines[:50]]
        wide = [width for width in widths if width > 1]
        if not wide:
            return 0.0
        usual = max(sorted(set(wide)), key=wide.count)
        return float((wide.count(usual) / len(widths)) ** 3 * (usual - 1))

    return max(_DELIMITERS, key=rank) if lines else ","


def _read_lines(data: bytes, sample: Sample, format_: CdrFormat, request: Request, where: str) -> RawTable:
    layout = layout_of(sample, format_, where, request)
    parted = None if format_.one_line_each is None else format_.one_line_each(sample)
    return read_delimited(data if parted is None else parted(data), layout)


def layout_of(sample: Sample, format_: CdrFormat, where: str, request: Request) -> Layout:
    """Return where the records begin and how their columns are called.

    Raises
    ------
    CdrFormatError
        If no line near the top names the columns that ``columns=`` maps.
    """
    header = _header_row(sample, format_, where, request)
    if header is None:
        assert format_.layouts is not None  # noqa: S101 - a format without layouts always has a header row
        return Layout(sample.delimiter, format_.layouts(sample), where=where, repairs=format_.repairs)
    names = unique_names(sample.rows[header])
    if len(names) > MAX_COLUMNS:
        line = sample.lines[header] + 1
        msg = (
            f"{where} line {line} names {len(names):,} columns or more, and no CDR export has more than {MAX_COLUMNS:,}; "
            "check that this is one, and pass delimiter= where it is not the character that was guessed"
        )
        raise CdrFormatError(msg, line=line)
    _check_titles(sample, header, where)
    return Layout(
        sample.delimiter,
        {len(names): names},
        sample.lines[header] + 1,
        has_header=True,
        where=where,
        repairs=format_.repairs,
    )


def _check_titles(sample: Sample, header: int, where: str) -> None:
    """Refuse a file with records above the line that names their columns: they would be taken for titles and be lost.

    Raises
    ------
    CdrFormatError
        With both lines.
    """
    width = len(sample.rows[header])
    for place, row in enumerate(sample.rows[:header]):
        if sum(bool(cell.strip()) for cell in row) > max(width / 2, _TITLE_CELLS):
            line, named = sample.lines[place] + 1, sample.lines[header] + 1
            msg = (
                f"{where} line {line} looks like a record, but the columns are only named in line {named}; "
                "move the names to the top, or cut the file there and read both parts"
            )
            raise CdrFormatError(msg, line=line)


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
        # A report may print titles above its names.
        rows = enumerate(sample.rows[:_HEADER_WITHIN])
        return next((place for place, row in rows if _are_names(row, format_)), 0)
    return 0 if _are_names(sample.rows[0], format_) else None


def _are_names(row: Sequence[str], format_: CdrFormat) -> bool:
    """Tell whether most cells of a row are names of a format's columns; a lone word may as well be a title."""
    return sum(column_key(cell) in format_.names for cell in row) > max(len(row) / 2, 1)


# ---------------------------------------------------------------- JSON and XML


def _sample_json(data: bytes, where: str, _: str | None, said: CdrFormat | None) -> Sample:
    head = data[:BYTES].decode("utf-8", errors="replace")
    return Sample(records=first_objects(data, where, ROWS, _record_test(said)), kind="json", text=head)


def _read_json(data: bytes, _: Sample, format_: CdrFormat, request: Request, where: str) -> RawTable:
    return read_objects(data, where, wanted_of(format_, request), _record_test(format_))


def _sample_xml(data: bytes, where: str, _: str | None, said: CdrFormat | None) -> Sample:
    head = data[:BYTES].decode("utf-8", errors="replace")
    return Sample(records=first_elements(data, where, ROWS, _record_test(said, "xml")), kind="xml", text=head)


def _read_xml(data: bytes, _: Sample, format_: CdrFormat, request: Request, where: str) -> RawTable:
    records = XmlRecords(data, where, is_record=_record_test(format_, "xml"))
    return table_of_records(records, wanted_of(format_, request), lambda: tuple(records.notes))


def wanted_of(format_: CdrFormat, request: Request) -> Wanted:
    """Return what a format, or ``columns=``, reads of each object."""
    sources = (request.columns or {}).values()
    return Wanted(
        names=frozenset(map(column_key, (*format_.names, *sources))),
        kept=frozenset(request.options.keep),
        paths=tuple(dict.fromkeys((*format_.paths, *filter(is_path, sources)))),
    )


def _record_test(format_: CdrFormat | None, kind: Kind = "json") -> Callable[[dict[str, Any]], bool]:
    """Return a test for documents that are records, though they hold lists of objects, as calls with their steps do."""

    def is_record(document: dict[str, Any]) -> bool:
        sample = Sample(records=[document], kind=kind)
        if format_ is not None:
            return format_.recognise(sample).score >= ENOUGH
        return candidates(sample)[0].score >= ENOUGH

    return is_record


# ---------------------------------------------------------------- SQL


def _sample_sql(data: bytes, where: str, _: str | None, said: CdrFormat | None) -> Sample:
    """Return how the table begins that looks most like one of calls; the first that surely is one ends the search."""
    best, best_score = Sample(kind="sql"), -1.0
    for sample in sql_samples(data, where):
        if said is not None and "sql" in said.kinds:
            score = said.recognise(sample).score
        else:
            score = candidates(sample)[0].score
        if sample.rows and score > best_score:
            best, best_score = sample, score
        if best_score >= ENOUGH:
            break
    return best


def _read_sql(data: bytes, _: Sample, format_: CdrFormat, request: Request, where: str) -> RawTable:
    wanted = {column_key(source) for source in (request.columns or {}).values()}

    def fits(sample: Sample) -> bool:
        return wanted <= sample.names if wanted else format_.recognise(sample).score >= ENOUGH

    def may_fit(sample: Sample) -> bool:
        evidence = format_.recognise(sample)
        return evidence.score > 0 or evidence.is_possible

    table = read_sql(data, where, fits, format_.layouts)
    if table.columns or wanted:
        return table
    return read_sql(data, where, may_fit, format_.layouts)


_Take: TypeAlias = Callable[[bytes, str, str | None, CdrFormat | None], Sample]
_Read: TypeAlias = Callable[[bytes, Sample, CdrFormat, Request, str], RawTable]

_SAMPLES: Final[dict[Kind, _Take]] = {
    "lines": _sample_lines,
    "json": _sample_json,
    "xml": _sample_xml,
    "sql": _sample_sql,
}
_READERS: Final[dict[Kind, _Read]] = {
    "lines": _read_lines,
    "json": _read_json,
    "xml": _read_xml,
    "sql": _read_sql,
}
