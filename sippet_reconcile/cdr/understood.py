"""Choose the format of a table and give its columns their meaning.

Input is a sample, or a raw table and its format; output are the columns of the legs,
the clock that their times were read by, and what there is to tell about the file.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._display import plural
from sippet_reconcile.cdr.evidence import Told
from sippet_reconcile.cdr.legs import build_legs
from sippet_reconcile.cdr.records.frames import check_once
from sippet_reconcile.cdr.sniff import ENOUGH, candidates, choose_format, describe_sample
from sippet_reconcile.cdr.spec import CdrFormat, Record, Sample, column_key
from sippet_reconcile.cdr.tables import TEXT, Fields, RawTable, without_rows
from sippet_reconcile.cdr.times.clock import Clock
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.normalize import clean_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.kinds import Request

__all__ = ["LOG", "Understood", "format_of", "tell_of_zone", "totals_note", "understand"]

LOG: Final = logging.getLogger("sippet_reconcile.cdr")
_TOTALS: Final = (
    r"(?i)^(?:grand[ -]?|sub[ -]?)?totals?(?:\s*:)?(?:\s*\(?[\d.,: ]+\)?(?:\s*(?:calls?|records?|rows?))?)?$"
)


def format_of(sample: Sample, where: str, request: Request) -> CdrFormat:
    """Return the format: the one that was said, if the content can be that, or the one that fits.

    What was said is believed where no value looks right, as long as the rows are of the
    right width and those of no other format: each row then says what is wrong with it.

    Raises
    ------
    CdrFormatError
        If no format fits, several do, or the one that was said does not.
    """
    if request.format is None:
        format_, evidence = choose_format(sample, where)
        LOG.info("%s is read as %s: %s", where, format_.name, "; ".join(evidence.reasons))
        return format_
    if request.columns is None:
        ranked = candidates(sample)
        best = ranked[0]
        own = next(candidate for candidate in ranked if candidate.format == request.format.name)
        is_other = best.score >= ENOUGH
        if own.score == 0 and (is_other or not own.is_possible):
            hint = (
                f"it looks like {best.format}: pass format={best.format!r}, or leave format= out"
                if is_other
                else "leave format= out and name its columns: columns={'started_at': 'its start column', ...}"
            )
            line = sample.lines[0] + 1 if sample.lines else None
            msg = (
                f"{where} {describe_sample(sample)}: this is not {request.format.title} "
                f"({'; '.join(own.reasons)}); {hint}"
            )
            raise CdrFormatError(msg, line=line)
    return request.format


@dataclass(frozen=True, eq=False)
class Understood:
    """The columns of the legs of one table, and how they were read.

    `told` is what settles the clock and the order of dates, `names` are the table's
    columns. `n_totals` lines added up the others and are no rows; `notes` are what the format tells.
    """

    columns: dict[str, Any]
    clock: Clock
    told: Told
    names: tuple[str, ...]
    n_totals: int = 0
    notes: tuple[str, ...] = ()


def understand(raw: RawTable, format_: CdrFormat, name: str, request: Request) -> Understood:
    """Return the columns of the legs of one table.

    Raises
    ------
    CdrFormatError
        If columns cannot be what they are called, or contradict what was said.
    InputError
        If the times are local and nobody says where.
    """
    options = replace(request.options, where=name)
    raw = _renamed(raw, format_, name)
    if format_.tidy is not None:
        raw = format_.tidy(raw)
    fields = Fields(raw)
    if format_.not_records is not None and bool((aside := format_.not_records(fields)).any()):
        raw = without_rows(raw, aside)
        fields = Fields(raw)
    gathered = frozenset() if format_.gather is None else format_.gather(fields)
    if options.gathered is None:
        options = replace(options, gathered=gathered)
    record = format_.interpret(fields, options)
    # A switch that writes no header writes no totals either.
    totals = _totals_lines(fields, record.started) if format_.layouts is None else None
    if totals is not None:
        fields = Fields(without_rows(raw, totals))
        record = format_.interpret(fields, options)
    for column in sorted(raw.fractions):
        _check_no_id(fields[column], column, record, name)
    columns, clock, told = build_legs(fields, record, format_, options)
    told = replace(told, gathered=gathered)
    n_totals = 0 if totals is None else int(totals.sum())
    return Understood(columns, clock, told, tuple(fields.raw.columns), n_totals, record.notes)


def tell_of_zone(name: str, request: Request, *, is_needed: bool) -> None:
    """Say in the log that a zone was given and no time is local: the offsets in the data hold."""
    zone = request.options.zone
    if zone is not None and not is_needed:
        LOG.info(
            "%s: timezone=%r is not used, as every time carries its own offset or is an epoch", name, zone.key
        )


def totals_note(name: str, n_totals: int) -> tuple[str, ...]:
    """Say, also in the log, how many lines were taken as totals: they are the only ones that become no rows."""
    if n_totals == 0:
        return ()
    note = f"{plural(n_totals, 'line')} without a start taken as totals"
    LOG.info("%s: %s", name, note)
    return (note,)


def _check_no_id(column: pa.LargeStringArray, title: str, record: Record, where: str) -> None:
    """Refuse ids that came as numbers with fractions: 1706368044.10 is then 1706368044.1, another call."""
    for ids in (record.call_key, record.leg_id, record.linked_id):
        if ids is not None and pc.any(pc.equal(ids, column), min_count=0).as_py():
            msg = (
                f"{where}: column {title!r} holds ids as numbers with fractions, which lose their last zeros; "
                "read the table with dtype=str, or export it as text"
            )
            raise CdrFormatError(msg)


def _renamed(raw: RawTable, format_: CdrFormat, where: str) -> RawTable:
    """Call the columns as the format does; those of no known name stay.

    Raises
    ------
    CdrFormatError
        If two columns have one meaning.
    """
    called = {
        name: name if name in format_.paths else format_.names.get(column_key(name), name)
        for name in raw.columns
    }
    if len(set(called.values())) < len(called):
        names = list(called.values())
        twice = next(known for known in names if names.count(known) > 1)
        shown = " and ".join(repr(name) for name, known in called.items() if known == twice)
        msg = f"{where}: its columns {shown} are one and the same to {format_.title}; rename or remove one"
        raise CdrFormatError(msg)
    check_once([name for name in raw.columns if column_key(name) in format_.names], raw.columns, where)
    columns = {called[name]: column for name, column in raw.columns.items()}
    return replace(raw, columns=columns, fractions=frozenset(called[name] for name in raw.fractions))


def _totals_lines(fields: Fields, started: pa.LargeStringArray) -> NDArray[np.bool_] | None:
    """Mark the lines that add up the others: no start, and a first cell that says nothing but total."""
    wordy = pc.fill_null(pc.greater_equal(started, pa.scalar("A", TEXT)), fill_value=True)
    without_start = np.flatnonzero(np.asarray(wordy))
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
