"""FreePBX ``CDR Reports`` exports, and its ``cdr`` table saved as CSV by a database tool or a spreadsheet.

A row is a row of the table, one path of a call; several rows may share one uniqueid.
The report (``fputcsv`` in the module's ``page.cdr.php``) has a header, with 16 columns
in old modules and 26 in new ones, in another order than the table; what a database tool
saves may have none. ``calldate`` is the start in the switch's clock, or in UTC where
``CDRUSEGMT`` is set: the epoch in the uniqueid tells. ``duration`` is the total,
``billsec`` what is billable; when a call was answered and when it ended follows from them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sippet_reconcile.cdr.families.asterisk_rows import (
    ELSEWHERE,
    NAMES,
    STATUSES,
    WITH_CALLDATE,
    interpret,
    is_disposition,
    is_moment,
)
from sippet_reconcile.cdr.families.judge import by_cells, is_seconds
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Sample, column_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FORMATS"]

_OLDER: Final = (
    *WITH_CALLDATE[:16], "recordingfile", "column 18", "cnum", "cnam", "outbound_cnum", "outbound_cnam", "dst_cnam",
    "column 24", "column 25",
)  # fmt: skip
"""A table of 25 columns as it was seen; what three of them hold is not known."""

LAYOUTS: Final = {
    26: WITH_CALLDATE,
    25: _OLDER,
    16: WITH_CALLDATE[:16],
    17: (*WITH_CALLDATE[:16], "column 17"),
}

_NEEDED: Final = ("calldate", "src", "dst", "duration", "billsec", "disposition")
_START, _TOTAL, _BILLABLE, _DISPOSITION = (WITH_CALLDATE.index(name) for name in ("calldate", *_NEEDED[3:]))


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    widths = [len(row) for row in sample.rows if len(row) in LAYOUTS]
    usual = max(sorted(set(widths)), key=widths.count, default=26)
    return {usual: LAYOUTS[usual], **LAYOUTS}


def recognise(sample: Sample) -> Evidence:
    """Judge by the names in the header, or by where the date, the seconds and the disposition stand."""
    names = sample.names
    if names & ELSEWHERE:
        return Evidence(0.0, ("the columns are those of another system with Asterisk inside",))
    if set(_NEEDED) <= names:
        return Evidence(1.0, (f"names {', '.join(_NEEDED)}",))

    def fits(row: Sequence[str]) -> bool:
        seconds = is_seconds(row[_TOTAL]) and is_seconds(row[_BILLABLE])
        return is_moment(row[_START]) and seconds and is_disposition(row[_DISPOSITION])

    what = "a date stands first, seconds in 10 and 11 and a disposition in 12"
    return by_cells(sample, LAYOUTS, fits, columns="16, 17, 25 or 26", what=what)


FORMATS: Final = (
    CdrFormat(
        name="freepbx",
        title="FreePBX CDR report or table",
        names={column_key(name): name for name in NAMES},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json"}),
        layouts=_layouts,
        aliases=("issabel", "elastix"),
        helpers_need_company=True,
        row_by_row=True,
    ),
)
