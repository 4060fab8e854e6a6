"""Asterisk's ``cdr`` table as INSERT or REPLACE statements: mysqldump, phpMyAdmin, Navicat, ``pg_dump --inserts``.

A row is a row of the table. The columns are those that the dump names; without names
they are told by how many there are: 26 and 16 of FreePBX's table (17 with one more that
tells nothing), or 21 in the order of Asterisk's own Alembic migration. Times are the
switch's clock, as written by cdr_adaptive_odbc, cdr_mysql or cdr_pgsql; the epoch in the
uniqueid tells the zone. A table with ``calldate`` only, which is the start, says by
``duration`` when a call ended and by ``billsec`` when it was answered.
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

ALEMBIC: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
    "end", "duration", "billsec", "disposition", "amaflags", "userfield", "uniqueid", "linkedid", "peeraccount", "sequence",
)  # fmt: skip
"""The columns of the table that ``contrib/ast-db-manage`` makes."""

LAYOUTS: Final = {
    26: WITH_CALLDATE,
    16: WITH_CALLDATE[:16],
    17: (*WITH_CALLDATE[:16], "column 17"),
    21: ALEMBIC,
}

_NEEDED: Final = ("src", "dst", "channel", "duration", "billsec", "disposition")


def _layouts(_: Sample) -> Mapping[int, tuple[str, ...]]:
    return LAYOUTS


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of the columns, or by where times, seconds and the disposition stand."""
    names = sample.names
    if names & ELSEWHERE:
        return Evidence(0.0, ("the columns are those of another system with Asterisk inside",))
    if set(_NEEDED) <= names and names & {"calldate", "start"}:
        return Evidence(1.0, (f"a table with {', '.join(_NEEDED)}",))

    def fits(row: Sequence[str]) -> bool:
        cells = dict(zip(LAYOUTS[len(row)], row, strict=True))
        started = cells.get("calldate", cells.get("start", ""))
        seconds = (cells["duration"], cells["billsec"])
        return is_moment(started) and all(map(is_seconds, seconds)) and is_disposition(cells["disposition"])

    return by_cells(
        sample,
        LAYOUTS,
        fits,
        columns="16, 17, 21 or 26",
        what="times, seconds and a disposition stand in their places",
    )


FORMATS: Final = (
    CdrFormat(
        name="asterisk-sql",
        title="Asterisk cdr table, INSERT statements",
        names={column_key(name): name for name in NAMES},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"sql"}),
        layouts=_layouts,
        aliases=("asterisk-mysql", "asteriskcdrdb"),
        helpers_need_company=True,
        row_by_row=True,
    ),
)
