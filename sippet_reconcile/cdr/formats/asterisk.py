"""Asterisk ``cdr_csv`` (16 to 21 columns) and the default mapping of ``cdr_custom``: no header, local or GMT.

A row is one path of communication; parallel dials and queues make several rows with
one uniqueid, told apart by their sequence. ``duration`` is the total and ``billsec``
what is billable. The uniqueid carries the epoch at which its channel was made, which
tells the zone of the file's times; ``usegmtime`` in ``cdr.conf`` chooses between GMT and
the switch's clock. The orders are those of ``cdr/cdr_csv.c`` and ``cdr_custom.conf.sample``;
cdr_custom may be told to write epochs, other separators and quotes, or JSON.
"""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from sippet_reconcile.cdr.families.asterisk_rows import (
    ELSEWHERE,
    STATUSES,
    interpret,
    is_disposition,
    is_moment,
)
from sippet_reconcile.cdr.families.judge import by_cells, by_names, is_seconds
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Sample, column_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FORMATS"]

BASE: Final = (
    "accountcode",
    "src",
    "dst",
    "dcontext",
    "clid",
    "channel",
    "dstchannel",
    "lastapp",
    "lastdata",
    "start",
    "answer",
    "end",
    "duration",
    "billsec",
    "disposition",
    "amaflags",
)
"""The 16 columns that ``cdr_csv`` always writes."""

NEW: Final = ("peeraccount", "linkedid", "sequence")
"""What ``newcdrcolumns`` adds."""

TABLE: Final = ("userfield", "uniqueid", "linkedid", "peeraccount", "sequence")
"""What follows in the table that ``contrib/ast-db-manage`` makes, saved as CSV without its names."""

CUSTOM: Final = (
    *(BASE[i] for i in (4, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0)),
    "uniqueid",
    "userfield",
    "sequence",
)
"""The default mapping of ``cdr_custom``: the caller id comes first."""

_UNIQUEID: Final = re.compile(r"(?:.*-)?\d{9,10}\.\d+")


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width; where columns may be one thing or another, their values say which."""
    n = len(BASE)

    def has_ids(width: int, place: int) -> bool:
        return any(_UNIQUEID.fullmatch(row[place].strip()) for row in sample.rows if len(row) == width)

    def optional(width: int) -> str:
        is_there = any(len(row) == width for row in sample.rows)
        return "userfield" if is_there and not has_ids(width, n) else "uniqueid"

    both = ("uniqueid", "userfield")
    is_table = has_ids(21, n + 1) and not has_ids(21, n)
    layouts = {
        18: (*BASE, *both),
        21: (*BASE, *TABLE) if is_table else (*BASE, *both, *NEW),
        16: BASE,
        17: (*BASE, optional(17)),
        19: (*BASE, *NEW),
        20: (*BASE, optional(20), *NEW),
    }
    widths = [len(row) for row in sample.rows if len(row) in layouts]
    usual = max(sorted(set(widths)), key=widths.count, default=18)
    return {usual: layouts[usual], **layouts}


def _custom_layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width: before Asterisk 1.8 the mapping had no sequence."""
    layouts = {len(CUSTOM): CUSTOM, len(CUSTOM) - 1: CUSTOM[:-1]}
    widths = [len(row) for row in sample.rows if len(row) in layouts]
    usual = max(sorted(set(widths), reverse=True), key=widths.count, default=len(CUSTOM))
    return {usual: layouts[usual], **layouts}


def _is_unset(cell: str) -> bool:
    """Tell whether a time is none: an epoch is then a zero."""
    return not cell.strip(" 0.")


def recognise(sample: Sample, *, widths: range, start: int, what: str) -> Evidence:
    """Judge by where the dates, the seconds and the disposition stand."""
    names = sample.names
    if names & ELSEWHERE:
        return Evidence(0.0, ("the columns are those of another system with Asterisk inside",))
    if {column_key(name) for name in BASE} <= names and start == BASE.index("start"):
        return Evidence(0.9, ("the first row names the columns of an Asterisk CDR",))
    columns = f"{widths[0]} to {widths[-1]}" if len(widths) > 1 else str(widths[0])

    def fits(row: Sequence[str]) -> bool:
        return (
            is_moment(row[start])
            and (_is_unset(row[start + 2]) or is_moment(row[start + 2]))
            and is_seconds(row[start + 3])
            and is_seconds(row[start + 4])
            and is_disposition(row[start + 5])
        )

    where = f"dates begin in column {start + 1} and a disposition stands in {start + 6}: {what}"
    return by_cells(sample, widths, fits, columns=columns, what=where)


_JSON_NEEDED: Final = ("src", "dst", "channel", "start", "duration", "billsec", "disposition")


def _recognise_custom(sample: Sample) -> Evidence:
    """Judge JSON by its names, and lines by their cells, whatever character quotes them."""
    if sample.kind == "json":
        judged = by_names(sample, _JSON_NEEDED)
        is_elsewhere = bool(sample.names & ELSEWHERE)
        return judged if judged.score == 1 and not is_elsewhere else replace(judged, score=0.0)
    rows = _unquoted(sample)
    what = "the order of cdr_custom"
    return recognise(replace(sample, rows=rows), widths=range(18, 20), start=8, what=what)


def _has_own_quotes(sample: Sample) -> bool:
    """Tell whether values are quoted by apostrophes, as cdr_custom may be told to."""
    lines = sample.text.split("\n", 20)[:20]
    quoted = [line for line in lines if line.startswith("'") and f"'{sample.delimiter}'" in line]
    return len(quoted) > len([line for line in lines if line.strip()]) / 2


def _unquoted(sample: Sample) -> Sequence[Sequence[str]]:
    if not _has_own_quotes(sample):
        return sample.rows
    lines = sample.text.split("\n")[: len(sample.rows)]
    return list(csv.reader(lines, delimiter=sample.delimiter, quotechar="'"))


def _requotes(sample: Sample) -> Callable[[bytes], bytes] | None:
    """Return what puts double quotes around values that are quoted by apostrophes, where some are."""
    return (
        partial(_requoted, between=re.escape(sample.delimiter.encode())) if _has_own_quotes(sample) else None
    )


def _requoted(data: bytes, between: bytes) -> bytes:
    """Put double quotes around values that are quoted by apostrophes."""
    data = data.replace(b'"', b'""')
    # What is empty is no doubled apostrophe.
    data = re.sub(rb"(?m)(^|" + between + rb")''(?=" + between + rb"|$)", rb'\1""', data)
    return data.replace(b"''", b"\x1f").replace(b"'", b'"').replace(b"\x1f", b"'")


_NAMES: Final = {column_key(name): name for name in (*BASE, "uniqueid", "userfield", *NEW)}

FORMATS: Final = (
    CdrFormat(
        name="asterisk",
        title="Asterisk cdr_csv",
        names=_NAMES,
        statuses=STATUSES,
        recognise=partial(recognise, widths=range(16, 22), start=9, what="the order of cdr_csv"),
        interpret=interpret,
        layouts=_layouts,
        aliases=("cdr-csv",),
        helpers_need_company=True,
        row_by_row=True,
    ),
    CdrFormat(
        name="asterisk-custom",
        title="Asterisk cdr_custom, default mapping",
        names=_NAMES,
        statuses=STATUSES,
        recognise=_recognise_custom,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        layouts=_custom_layouts,
        # A backslash ahead of a quote is one of the ways of quoting that can be chosen.
        repairs=((r'\\"', '""'),),
        one_line_each=_requotes,
        aliases=("cdr-custom",),
        helpers_need_company=True,
        row_by_row=True,
    ),
)
