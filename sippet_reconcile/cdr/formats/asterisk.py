"""Asterisk ``cdr_csv`` (16 to 21 columns) and the default mapping of ``cdr_custom``: no header, local or GMT.

A row is one path of communication; parallel dials and queues make several rows with
one uniqueid. The uniqueid carries the epoch at which its channel was made, which
tells the zone of the file's times.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final

from sippet_reconcile.cdr.asterisk_rows import STATUSES, interpret
from sippet_reconcile.cdr.judge import by_cells, is_seconds
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Sample, column_key, status_word
from sippet_reconcile.cdr.stamps import is_date_like

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

CUSTOM: Final = (
    *(BASE[i] for i in (4, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0)),
    "uniqueid",
    "userfield",
    "sequence",
)
"""The default mapping of ``cdr_custom``: the caller id comes first."""

_UNIQUEID: Final = re.compile(r"(?:.*-)?\d{9,10}\.\d+")


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width; where only one optional column is there, its values say which."""
    n = len(BASE)

    def optional(width: int) -> str:
        cells = [row[n].strip() for row in sample.rows if len(row) == width]
        return "userfield" if cells and not any(map(_UNIQUEID.fullmatch, cells)) else "uniqueid"

    both = ("uniqueid", "userfield")
    layouts = {
        18: (*BASE, *both),
        21: (*BASE, *both, *NEW),
        16: BASE,
        17: (*BASE, optional(17)),
        19: (*BASE, *NEW),
        20: (*BASE, optional(20), *NEW),
    }
    widths = [len(row) for row in sample.rows if len(row) in layouts]
    usual = max(sorted(set(widths)), key=widths.count, default=18)
    return {usual: layouts[usual], **layouts}


def _custom_layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return {len(CUSTOM): CUSTOM}


def recognise(sample: Sample, *, widths: range, start: int, what: str) -> Evidence:
    """Judge by where the dates, the seconds and the disposition stand."""
    if {column_key(name) for name in BASE} <= sample.names and start == BASE.index("start"):
        return Evidence(0.9, ("the first row names the columns of an Asterisk CDR",))
    columns = f"{widths[0]} to {widths[-1]}" if len(widths) > 1 else str(widths[0])

    def fits(row: Sequence[str]) -> bool:
        return (
            is_date_like(row[start])
            and (not row[start + 2].strip() or is_date_like(row[start + 2]))
            and is_seconds(row[start + 3])
            and is_seconds(row[start + 4])
            and status_word(row[start + 5]) in STATUSES
        )

    where = f"dates begin in column {start + 1} and a disposition stands in {start + 6}: {what}"
    return by_cells(sample, widths, fits, columns=columns, what=where)


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
    ),
    CdrFormat(
        name="asterisk-custom",
        title="Asterisk cdr_custom, default mapping",
        names=_NAMES,
        statuses=STATUSES,
        recognise=partial(recognise, widths=range(19, 20), start=8, what="the order of cdr_custom"),
        interpret=interpret,
        layouts=_custom_layouts,
        aliases=("cdr-custom",),
        helpers_need_company=True,
    ),
)
