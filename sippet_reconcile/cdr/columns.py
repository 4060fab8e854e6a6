"""Read any table whose columns the caller names: ``columns={"started_at": "Start", ...}``.

Input is that mapping, output a format made for it. Whatever such a table leaves out
and its other columns imply is worked out: the end from start and total seconds, the
answer from end and billable seconds. A table whose start is the answer, so that one
column is mapped to both, has no total: how long it rang is told nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH, SIP
from sippet_reconcile.cdr.records.frames import check_once
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.errors import CdrFormatError, InputError
from sippet_reconcile.normalize import map_distinct, with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["COLUMNS", "columns_format"]

COLUMNS: Final = (
    "started_at",
    "answered_at",
    "ended_at",
    "total_s",
    "billable_s",
    "total_ms",
    "billable_ms",
    "from_number",
    "to_number",
    "call_key",
    "leg_id",
    "linked_id",
    "direction",
    "status",
    "cause",
    "sip_username",
)
"""What a mapping may name."""

_THOUSANDTHS: Final = {"total_s": "total_ms", "billable_s": "billable_ms"}

_NOT_YET: Final = frozenset({"", "PENDING", "N_A", "NA", "NONE", "NIL", "UNKNOWN"})
"""What tables write in place of seconds that are not known, or not known yet."""

_COMMON: Final = {
    word: status
    for status, words in (
        ("completed", "COMPLETED COMPLETE ANSWERED ANSWER CONNECTED ACCEPTED CALL_CONNECTED SUCCESS OK"),
        ("voicemail", "VOICEMAIL VOICE_MAIL"),
        ("busy", "BUSY USER_BUSY BUSY_EVERYWHERE"),
        ("no_answer", "NO_ANSWER NOANSWER UNANSWERED NOT_ANSWERED NO_USER_RESPONSE TIMEOUT"),
        ("missed", "MISSED"),
        ("canceled", "CANCEL CANCELED CANCELLED ABANDONED ORIGINATOR_CANCEL LOSE_RACE HANG_UP"),
        ("failed", "FAILED FAILURE CONGESTION REJECTED DECLINED BLOCKED ERROR CALL_REJECTED CALL_FAILED"),
        ("in_progress", "IN_PROGRESS INITIATED QUEUED RINGING STARTED"),
    )
    for word in words.split()
}

STATUSES: Final = {**FREESWITCH, **SIP, "200": "completed", **_COMMON}
"""Common words, FreeSWITCH's causes and SIP responses; ``status_map`` adds a carrier's own."""

DIRECTIONS: Final = {
    word: direction
    for direction, words in (
        ("inbound", "IN INBOUND INCOMING RECEIVED TERMINATING"),
        ("outbound", "OUT OUTBOUND OUTGOING PLACED ORIGINATING OUTBOUND_API OUTBOUND_DIAL"),
        ("internal", "INTERNAL LOCAL INTERN INTERCOM EXTENSION"),
    )
    for word in words.split()
}


_WHOLE: Final = r"^(?P<sign>[+-]?)(?P<digits>[0-9]{1,12})(?:[.](?P<rest>[0-9]{1,6}))?$"


def columns_format(columns: Mapping[str, str]) -> CdrFormat:
    """Return a format for one table.

    Parameters
    ----------
    columns
        Name of a leg's column to name of the table's column. ``started_at`` is needed.

    Raises
    ------
    InputError
        If a key is none of the names that can be mapped, two are one, or the start is not mapped.
    """
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        msg = f"columns= maps {', '.join(map(repr, unknown))}; what can be mapped is {', '.join(COLUMNS)}"
        raise InputError(msg)
    twice = [name for name, other in _THOUSANDTHS.items() if name in columns and other in columns]
    if twice:
        msg = f"columns= maps {twice[0]!r} and {_THOUSANDTHS[twice[0]]!r}, which are one; keep the finer one"
        raise InputError(msg)
    if "started_at" not in columns:
        msg = "columns= does not say which column is started_at; add it, such as columns={'started_at': 'Start', ...}"
        raise InputError(msg)
    mapping = {name: str(source) for name, source in columns.items()}

    def recognise(sample: Sample) -> Evidence:
        missing = [
            source
            for source in mapping.values()
            if not (sample.has(source) or column_key(source) in sample.names)
        ]
        if missing:
            return Evidence(0.0, (f"lacks {', '.join(map(repr, missing))}",))
        return Evidence(1.0, ("names every column that columns= maps",))

    def interpret(fields: Fields, options: Options) -> Record:
        return _interpret(fields, mapping, options)

    return CdrFormat(
        name="columns",
        title="a table read by columns=",
        names={},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "json", "xml", "sql"}),
        row_by_row=True,
    )


def _interpret(fields: Fields, mapping: Mapping[str, str], options: Options) -> Record:
    found = {column_key(name): name for name in reversed(list(fields.raw.columns))}
    sources = {
        name: source if source in fields else found.get(column_key(source))
        for name, source in mapping.items()
    }
    missing = [mapping[name] for name, source in sources.items() if source is None]
    if missing:
        there = ", ".join(map(repr, fields.raw.columns))
        msg = f"{options.where}: columns= names {', '.join(map(repr, missing))}, but " + (
            f"the table has {there}"
            if there
            else "nothing in it says how its columns are called; export it with names"
        )
        raise CdrFormatError(msg)
    check_once(filter(None, sources.values()), fields.raw.columns, options.where)
    get: dict[str, Any] = {name: fields[source] for name, source in sources.items() if source is not None}
    direction = get.get("direction")
    status, cause = get.get("status"), get.get("cause")
    total, billable = (_seconds(get, name) for name in _THOUSANDTHS)
    if total is None and sources["started_at"] == sources.get("answered_at"):
        total = pa.nulls(len(fields), TEXT)
    key, leg, linked = get.get("call_key"), get.get("leg_id"), get.get("linked_id")
    return Record(
        started=get["started_at"],
        answered=get.get("answered_at"),
        ended=get.get("ended_at"),
        total=total,
        billable=billable,
        leg_id=leg if leg is not None else key,
        call_key=key,
        linked_id=linked if linked is not None else key,
        direction=None if direction is None else map_distinct(direction, _direction),
        from_number=get.get("from_number"),
        to_number=get.get("to_number"),
        sip_username=get.get("sip_username"),
        word=_word(status, cause, options),
        cause=_cause(status, cause),
        # Some systems print an answer time for each call that reached a queue: talk time tells then.
        zero_decides=status is not None,
        derive_missing=True,
    )


def _direction(word: str) -> str | None:
    return DIRECTIONS.get(status_word(word))


def _seconds(columns: Mapping[str, Any], name: str) -> Any:
    """Return a column of seconds, in whichever unit it is; words for what is not known are missing."""
    given = next((unit for unit in (name, _THOUSANDTHS[name]) if unit in columns), None)
    if given is None:
        return None
    column = columns[given]
    words = np.asarray(pc.fill_null(pc.invert(pc.match_substring_regex(column, "[0-9]")), fill_value=False))
    if bool(words.any()):
        told = map_distinct(
            with_missing(column, ~words), lambda word: None if status_word(word) in _NOT_YET else word
        )
        column = pc.if_else(pa.array(words), told, column)
    return column if given == name else _from_thousandths(column)


def _from_thousandths(column: Any) -> Any:
    """Return milliseconds as seconds; what is no plain number stays, and is a problem of its row."""
    plain = np.asarray(pc.fill_null(pc.match_substring_regex(column, _WHOLE), fill_value=False))
    parts = pc.extract_regex(with_missing(column, ~plain), pattern=_WHOLE)
    sign, digits, rest = (pc.struct_field(parts, name) for name in ("sign", "digits", "rest"))
    padded = pc.utf8_lpad(digits, 4, "0")
    point, nothing = pa.scalar(".", TEXT), pa.scalar("", TEXT)
    # Cut and put together as text, so that nothing is rounded.
    whole = pc.utf8_slice_codeunits(padded, 0, -3)
    fraction = pc.utf8_slice_codeunits(padded, -3)
    seconds = pc.binary_join_element_wise(sign, whole, point, fraction, rest, nothing)
    return pc.if_else(pa.array(plain), seconds, column)


def _word(status: Any, cause: Any, options: Options) -> Any:
    """Return what tells the outcome: the status, or the cause where the status is none that is known."""
    if status is None or cause is None:
        return status if cause is None else cause
    known = {word for word, meaning in STATUSES.items() if meaning != "unknown"} | options.status_map.keys()
    telling = map_distinct(status, lambda word: word if status_word(word) in known else None)
    return pc.coalesce(telling, cause, status)


def _cause(status: Any, cause: Any) -> Any:
    """Return the system's own words: its cause, else its status."""
    if status is None or cause is None:
        return status if cause is None else cause
    return pc.coalesce(cause, status).cast(pa.large_string())
