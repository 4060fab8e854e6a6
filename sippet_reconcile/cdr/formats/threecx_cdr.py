"""3CX call records: the lines of its CDR service, and the ``cdroutput`` table of V20.

The CDR service writes a line per call, to one file or to a file of its own for each
call, without a header. The administrator chooses the columns; read without names is the
order in which 3CX lists them, whole or cut at its end, and any order with names. Values
have the words ``Call``, ``Ext.`` and ``Chain:`` in front, which are no part of numbers.
``duration`` is H:MM:SS from answer to end, the billable time, unless it reaches from
start to end of a call without an answer time; the total is end minus start. Times have no zone: UTC or local, as the system is set up, so it has to be said.
The key is ``callid``.

In ``cdroutput`` a row is a segment of a call, and all those of one
``main_call_history_id`` are the call. Times are in UTC with their offset, seconds follow
from them. What somebody else answered is a helper beside the other segments. What was
handed on before anybody answered is a part of the call that tells no outcome; and a queue
or a menu that answered is one in which the caller was connected.

The rules are those of 3CX's "CDR - Call Data Records" and "Complete Guide to Call Detail
Records".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.judge import by_cells, by_names
from sippet_reconcile.cdr.families.texts import matches
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.cdr.tables import TEXT
from sippet_reconcile.cdr.times.stamps import is_date_like, read_stamps
from sippet_reconcile.normalize import clean_text, map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

SERVICE: Final = (
    "historyid", "callid", "duration", "time_start", "time_answered", "time_end", "reason_terminated", "from_no",
    "to_no", "from_dn", "to_dn", "dial_no", "reason_changed", "final_number", "final_dn", "bill_code", "bill_rate",
    "bill_cost", "bill_name", "chain", "from_type", "to_type", "final_type", "from_dispname", "to_dispname",
    "final_dispname", "missed_queue_calls",
)  # fmt: skip
"""What the CDR service can write, in the order in which 3CX lists it."""

TABLE: Final = (
    "cdr_id", "call_history_id", "main_call_history_id", "cdr_started_at", "cdr_answered_at", "cdr_ended_at",
    "base_cdr_id", "originating_cdr_id", "continued_in_cdr_id", "creation_method", "creation_forward_reason",
    "termination_reason", "termination_reason_details", "terminated_by_participant_id", "source_presentation",
    "processed", "migrated", "offload_id",
    *(f"{side}_{name}" for side in ("source", "destination") for name in (
        "participant_id", "entity_type", "dn_number", "dn_type", "dn_name", "participant_name",
        "participant_phone_number", "participant_trunk_did", "participant_is_incoming",
        "participant_is_already_connected", "participant_group_name", "participant_billing_suffix")),
)  # fmt: skip
"""The columns of ``cdroutput``."""

STATUSES: Final = {
    word: status
    for status, words in (
        ("completed", "CONNECTED"),
        ("voicemail", "VOICEMAIL"),
        ("busy", "BUSY LINE_BUSY TARGETBUSY"),
        ("no_answer", "NO_ANSWER NOANSWER NOANSWERTIMEOUT TIMEOUT"),
        ("canceled", "CANCELLED FAILED_CANCELLED TERMINATEDBYSRC SRC_PARTICIPANT_TERMINATED TERMINATED_BY_ORIGINATOR"),
        ("failed", "FAILED REJECTED DECLINED NO_ROUTE NOROUTEEXISTS ROUTENOTFOUND NOT_FOUND TARGETNOTFOUND NOT_AVAILABLE "
                   "LICENSE_LIMIT_REACHED SERVER_ERROR FORWARDING_LOOP NO_DESTINATIONS INVALID_DESTINATION INVALID_DIALCODE "
                   "DESTINATION_PROHIBITED EXTERNAL_CALL_DISABLED CALLER_BLACKLISTED CALLER_DISABLED TARGET_DISABLED "
                   "FEATURE_DISABLED PIN_IS_REQUIRED NO_ACCESS"),
        ("unknown", "TERMINATEDBYDST DST_PARTICIPANT_TERMINATED TERMINATEDBYRULE TERMINATEDBYSYNC ROUTEBUSY SOURCE_LINE_BUSY "
                    "REDIRECTED CONTINUED_IN"),
    )
    for word in words.split()
}  # fmt: skip
"""Why a call ended, for calls that nobody answered. Who was called and put down may have refused, or given up."""

_NEEDED: Final = ("callid", "duration", "time_start", "time_end", "from_no", "to_no")
_NEEDED_TABLE: Final = (
    "cdr_id",
    "main_call_history_id",
    "cdr_started_at",
    "cdr_ended_at",
    "termination_reason",
)
_MICROS: Final = 1_000_000
_SHORTEST: Final = 15  # columns up to the final number, without costs and names
_CALL_ID: Final = re.compile(r"[0-9A-Fa-f]{6,}_\d+")
_HISTORY_ID: Final = re.compile(r"(?:Call\s*)?\d+", re.IGNORECASE)
_CLOCK: Final = re.compile(r"\d+:[0-5]\d:[0-5]\d(?:\.\d+)?")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_]+")

# Nothing is quoted, so a comma in a party's name makes a field too many: all names then are one field, the others empty.
_NAMES_APART: Final = (r'^((?:[^,"\n]*,){23})((?:[^,"\n]*,){4,}[^,"\n]*)(\n?)$', r'\1"\2",,,\3')

_EXTENSION: Final = r"(?i)^Ext\.\s*"
_OUTSIDE: Final = frozenset({"LINE", "PROVIDER", "EXTERNALLINE", "EXTERNAL_LINE", "GATEWAY", "BRIDGE"})
_ROUTING: Final = frozenset({"OUTBOUND_RULE", "OUTBOUNDRULE"})
_MAILBOX: Final = r"(?i)^v(?:oice)?_?mail$"
_HANDED_ON: Final = r"(?i)^(?:continued_in|redirected)$"
_ELSEWHERE: Final = r"(?i)^completed_elsewhere$"


def recognise(sample: Sample) -> Evidence:
    """Judge by the names, or by where the call's id, the times and the reason stand."""
    for needed in (_NEEDED, _NEEDED_TABLE):
        named = by_names(sample, needed)
        if named.score:
            return named

    def fits(row: Sequence[str]) -> bool:
        cells = [cell.strip() for cell in row]
        return (
            _HISTORY_ID.fullmatch(cells[0]) is not None
            and _CALL_ID.fullmatch(cells[1]) is not None
            and (not cells[2] or _CLOCK.fullmatch(cells[2]) is not None)
            and is_date_like(cells[3])
            and (not cells[4] or is_date_like(cells[4]))
            and (not cells[5] or is_date_like(cells[5]))
            and (not cells[6] or _WORD.fullmatch(cells[6]) is not None)
        )

    where = "an id of 3CX stands in column 2, H:MM:SS in 3 and times in 4 to 6"
    widths = range(_SHORTEST, len(SERVICE) + 1)
    return by_cells(sample, widths, fits, columns=f"{_SHORTEST} to {len(SERVICE)}", what=where)


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width: columns that were not chosen are missing at the end only."""
    widths = [len(row) for row in sample.rows if _SHORTEST <= len(row) <= len(SERVICE)]
    usual = max(sorted(set(widths)), key=widths.count, default=len(SERVICE))
    return {usual: SERVICE[:usual], len(SERVICE): SERVICE}


def interpret(fields: Fields, options: Options) -> Record:
    """Give the columns their meaning, those of the service or those of the table."""
    if "cdr_started_at" in fields:
        return _of_table(fields, options)
    return _of_service(fields)


# ---------------------------------------------------------------- CDR service


def _of_service(fields: Fields) -> Record:
    fields.prepare(SERVICE[:15])
    started, answered, ended = (fields[name] for name in ("time_start", "time_answered", "time_end"))
    reason, call_id = fields["reason_terminated"], fields["callid"]
    from_type, to_type = fields["from_type"], fields["to_type"]
    from_ext = _is_extension(from_type, fields["from_no"])
    to_ext = _is_extension(to_type, fields["to_no"])
    final_type = fields["final_type"]
    from_line, to_line, final_line = (
        _one_of(column, _OUTSIDE) for column in (from_type, to_type, final_type)
    )
    stays = np.asarray(final_type.is_null()) | _is_extension(final_type, fields["final_number"])
    in_mailbox = matches(pc.coalesce(final_type, to_type), _MAILBOX)
    extension = pc.coalesce(
        with_missing(fields["from_dn"], ~from_ext),
        with_missing(fields["final_dn"], ~_is_extension(final_type, fields["final_number"]) | from_ext),
        with_missing(fields["to_dn"], ~to_ext | from_ext | np.asarray(fields["final_dn"].is_valid())),
    )
    return Record(
        started=started,
        answered=answered,
        ended=ended,
        billable=_talked(fields, started, answered, ended),
        leg_id=call_id,
        call_key=call_id,
        linked_id=call_id,
        direction=_direction(
            inbound=from_line,
            outbound=from_ext & to_line & (final_line | np.asarray(final_type.is_null())),
            internal=from_ext & to_ext & stays,
        ),
        from_number=_number(fields["from_no"]),
        to_number=_number(pc.coalesce(fields["to_no"], fields["dial_no"])),
        sip_username=extension,
        word=pc.if_else(pa.array(in_mailbox & np.asarray(answered.is_valid())), "VOICEMAIL", reason).cast(
            TEXT
        ),
        cause=reason,
        derive_missing=True,
    )


def _talked(
    fields: Fields, started: pa.LargeStringArray, answered: pa.LargeStringArray, ended: pa.LargeStringArray
) -> pa.LargeStringArray | None:
    """Return the seconds after answer: where no answer time stands beside them, those from start to end are none."""
    if "duration" not in fields:
        return None
    seconds = fields["duration"]
    rows = np.flatnonzero(np.asarray(pc.and_(answered.is_null(), seconds.is_valid())))
    if "time_answered" not in fields or len(rows) == 0:
        return seconds
    places = pa.array(rows)
    begin, end = (read_stamps(column.take(places)).micros for column in (started, ended))
    lasted = text_to_seconds(seconds.take(places))[0]
    rang = np.zeros(len(seconds), bool)
    rang[rows] = (lasted > 0) & (np.abs((end - begin) / _MICROS - lasted) <= 1)
    return with_missing(seconds, rang)


def _number(numbers: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return numbers without the word that 3CX puts in front of an extension.

    Examples
    --------
    >>> _number(pa.array(["Ext.10016", "+442079460123", "Ext."], TEXT)).to_pylist()
    ['10016', '+442079460123', None]
    """
    return clean_text(pc.replace_substring_regex(numbers, pattern=_EXTENSION, replacement=""))


def _is_extension(kind: pa.LargeStringArray, number: pa.LargeStringArray) -> NDArray[np.bool_]:
    """Mark extensions: by the type where there is one, else by the word in front of the number."""
    by_word = matches(number, r"(?i)^Ext\.") & np.asarray(kind.is_null())
    return _one_of(kind, frozenset({"EXTENSION"})) | by_word


def _one_of(column: pa.LargeStringArray, words: frozenset[str]) -> NDArray[np.bool_]:
    found = map_distinct(column, lambda text: "1" if status_word(text) in words else None)
    return np.asarray(found.is_valid())


def _direction(
    *, inbound: NDArray[np.bool_], outbound: NDArray[np.bool_], internal: NDArray[np.bool_]
) -> pa.LargeStringArray:
    nothing = pa.nulls(len(inbound), TEXT)
    for mask, word in ((inbound, "inbound"), (outbound, "outbound"), (internal, "internal")):
        nothing = pc.if_else(pa.array(mask), pa.scalar(word, TEXT), nothing)
    return nothing


# ---------------------------------------------------------------- cdroutput


def _of_table(fields: Fields, options: Options) -> Record:
    answered, reason, details = (
        fields[name] for name in ("cdr_answered_at", "termination_reason", "termination_reason_details")
    )
    source, destination = fields["source_entity_type"], fields["destination_entity_type"]
    tells_answers = "cdr_answered_at" in fields
    unanswered = np.asarray(answered.is_null())
    call = pc.coalesce(fields["main_call_history_id"], fields["call_history_id"])
    from_line, to_line = _one_of(source, _OUTSIDE), _one_of(destination, _OUTSIDE | _ROUTING)
    from_ext, to_ext = (_one_of(column, frozenset({"EXTENSION"})) for column in (source, destination))
    known = STATUSES.keys() | options.status_map.keys()
    word = pc.coalesce(
        with_missing(
            pa.repeat(pa.scalar("VOICEMAIL", TEXT), len(fields)), unanswered | ~matches(destination, _MAILBOX)
        ),
        # Most details are about the way of the call; only some say why it ended.
        with_missing(
            map_distinct(details, lambda text: text if status_word(text) in known else None),
            matches(reason, _HANDED_ON),
        ),
        reason,
    )
    return Record(
        started=fields["cdr_started_at"],
        answered=answered if tells_answers else None,
        ended=fields["cdr_ended_at"],
        leg_id=fields["cdr_id"],
        call_key=call,
        linked_id=call,
        direction=_direction(inbound=from_line, outbound=from_ext & to_line, internal=from_ext & to_ext),
        from_number=pc.coalesce(fields["source_participant_phone_number"], fields["source_dn_number"]),
        # A call from outside was made to the number that it came in by, wherever it was put through to.
        to_number=pc.coalesce(
            with_missing(fields["source_participant_trunk_did"], ~from_line),
            fields["destination_participant_phone_number"],
            fields["destination_dn_number"],
        ),
        sip_username=pc.coalesce(
            with_missing(fields["source_dn_number"], ~from_ext),
            with_missing(fields["destination_dn_number"], ~to_ext),
        ),
        word=word if tells_answers else None,  # reasons tell of calls that were not answered
        cause=pc.coalesce(
            pc.binary_join_element_wise(reason, details, pa.scalar(": ", TEXT)), reason, details
        ),
        is_helper=unanswered & matches(details, _ELSEWHERE) & tells_answers,
        derive_missing=True,
    )


FORMATS: Final = (
    CdrFormat(
        name="3cx-cdr",
        title="3CX call data records",
        names={column_key(name): name for name in (*SERVICE, *TABLE)},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        repairs=(_NAMES_APART,),
        aliases=("3cx", "threecx-cdr", "3cx-cdroutput"),
        helpers_need_company=True,
        row_by_row=True,
    ),
)
