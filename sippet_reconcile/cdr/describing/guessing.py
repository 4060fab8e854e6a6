"""Draw a mapping for ``columns=`` from the names of a table that no format knows: something to begin with.

Input are the names and the first records, output is leg column to source column. A name
counts only where what stands in the column looks right; what a name does not tell, such
as whether a duration includes ringing, stays with the person who knows the system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.cdr.spec import column_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sippet_reconcile.cdr.spec import Sample

__all__ = ["Header", "guess_columns", "header_of"]

_WITHIN: Final = 30
_LOOKED_AT: Final = 20
_SHARE: Final = 0.8

_MOMENT: Final = re.compile(r"\d{10}(?:\d{3})?(?:\.\d+)?|.*\d[-/.: ].*\d[-/.: ].*\d.*|20\d{12}", re.ASCII)
_SECONDS: Final = re.compile(r"\d{1,7}(?:[.,]\d+)?|\d{1,3}:\d\d(?::\d\d)?", re.ASCII)


def _is_moment(cell: str) -> bool:
    return _MOMENT.fullmatch(cell) is not None


def _is_seconds(cell: str) -> bool:
    return _SECONDS.fullmatch(cell) is not None


def _is_anything(cell: str) -> bool:  # noqa: ARG001 - numbers, ids and words have no look of their own
    return True


_NAMES: Final[tuple[tuple[str, Callable[[str], bool], str], ...]] = (
    ("started_at", _is_moment, "startedat starttime startdatetime starttimestamp start callstart callstarttime startstamp "
     "calldatetime calldate datetime datetimeutc initiatedat setuptime originationtime begin begintime beginat timestamp "
     "createdat calltime date time beginn startzeit anrufbeginn datum debut dateappel datedebut inicio fecha fechainicio data"),
    ("answered_at", _is_moment, "answeredat answertime answerdatetime answerstamp answer answered connecttime connectedat "
     "connected connect talkstart"),
    ("ended_at", _is_moment, "endedat endtime enddatetime endstamp end callend callendtime finishedat disconnecttime "
     "disconnectedat hanguptime stoptime ende endzeit fin datefin"),
    ("billable_s", _is_seconds, "billables billsec billsecs billseconds billableseconds billablesec billedseconds "
     "billedduration billableduration billingduration chargedduration talktime talkseconds talk talking conversationtime "
     "connectedseconds answeredduration gesprachsdauer gesprächsdauer"),
    ("billable_ms", _is_seconds, "billablems billms billmsec talktimems"),
    ("total_s", _is_seconds, "totals totalduration totalseconds totaltime duration durations durationsec durationsecs "
     "durationseconds callduration calldurationseconds callseconds seconds length dauer dauersek duree durée duracion "
     "duración durata"),
    ("total_ms", _is_seconds, "totalms durationms durationmsec calldurationms"),
    ("from_number", _is_anything, "fromnumber from callernumber callingnumber callingparty callingpartynumber caller "
     "callerid calleridnumber callerid source sourcenumber src ani origin originator anumber cli clid callfrom phonefrom "
     "anrufer appelant origen"),
    ("to_number", _is_anything, "tonumber to callednumber calledparty calledpartynumber called callee calleenumber "
     "destination destinationnumber dst dnis dialednumber diallednumber dialed dialled bnumber callto phoneto angerufener "
     "ziel appele appelé destino"),
    ("call_key", _is_anything, "callkey calluuid uuid callid callguid guid sid callsid uniqueid sipcallid anrufid recordid cdrid id"),
    ("linked_id", _is_anything, "linkedid sessionid conversationid correlationid parentcallid globalcallid"),
    ("direction", _is_anything, "direction calldirection calltype richtung"),
    ("status", _is_anything, "status callstatus disposition callresult result outcome ergebnis state"),
    ("cause", _is_anything, "cause hangupcause disconnectcause releasecause terminationcause sipcode sipstatus reason"),
    ("sip_username", _is_anything, "sipusername username user extension agent endpoint account"),
)  # fmt: skip
"""Leg column, how its values look, and the names that it goes by, the likeliest first."""


@dataclass(frozen=True)
class Header:
    """The names of the fields, whether the file has them, and the first records."""

    names: list[str]
    rows: list[list[str]]
    is_named: bool


def header_of(sample: Sample) -> Header:
    """Return the names that a file gives its fields: the first row near the top that holds nothing but words."""
    if sample.records is not None:
        flat = [_flat(record) for record in sample.records[:_LOOKED_AT]]
        names = list(dict.fromkeys(name for record in flat for name in record))
        return Header(names, [[record.get(name, "") for name in names] for record in flat], is_named=True)
    rows = [list(row) for row in sample.rows]
    widths = [len(row) for row in rows]
    usual = max(sorted(set(widths)), key=widths.count, default=0)
    for place, row in enumerate(rows[:_WITHIN]):
        cells = [cell.strip() for cell in row]
        if (
            len(row) == usual
            and len(row) > 1
            and all(_is_name(cell) for cell in cells if cell)
            and any(cells)
        ):
            return Header(cells, rows[place + 1 :][:_LOOKED_AT], is_named=_are_told_apart(cells))
    names = [""] * usual
    return Header(names, [row for row in rows if len(row) == usual][:_LOOKED_AT], is_named=False)


def _is_name(cell: str) -> bool:
    return not cell.lstrip("+-").replace(".", "").isdigit() and not _is_moment(cell) and len(cell) <= 60  # noqa: PLR2004


def _are_told_apart(cells: Sequence[str]) -> bool:
    filled = [column_key(cell) for cell in cells if cell]
    return len(set(filled)) == len(filled)


def _flat(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the members of a record as text, those of a member as paths."""
    found: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            found |= {
                f"{name}.{inner}": str(held)
                for inner, held in value.items()
                if not isinstance(held, dict | list)
            }
        elif not isinstance(value, list):
            found[name] = "" if value is None else str(value)
    return found


def guess_columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return leg column to source column, as far as names and values tell; each source stands for one column.

    Examples
    --------
    >>> guess_columns(["Call Date", "Caller", "Destination", "Duration"], [["2026-10-01 09:00", "1001", "1002", "65"]])
    {'started_at': 'Call Date', 'total_s': 'Duration', 'from_number': 'Caller', 'to_number': 'Destination'}
    """
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(column_key(name.rpartition(".")[2] if "." in name.strip(". ") else name), place)
    whole = {column_key(name): place for place, name in enumerate(names)}
    places |= whole
    found: dict[str, str] = {}
    used: set[int] = set()
    for target, looks_right, words in _NAMES:
        for word in words.split():
            at = places.get(word)
            if at is None or at in used or not names[at].strip():
                continue
            cells = [row[at].strip() for row in rows if at < len(row) and row[at].strip()]
            if sum(map(looks_right, cells)) < _SHARE * len(cells):
                continue
            found[target] = names[at]
            used.add(at)
            break
    return found
