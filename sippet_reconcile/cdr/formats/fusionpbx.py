"""FusionPBX call detail records: the CSV of ``xml_cdr_export.php`` or the table ``v_xml_cdr``, one row per leg.

There is always a header, and which columns it names depends on the version and on what
the user may see, so every column may be absent. Epochs and stamps with an offset need no
zone; only the ``..._formatted`` columns are local, in the zone of the domain, by 12 or 24
hours and mostly without seconds. A time that never came is 1970, and ``tta`` negative then.

``billsec`` is the time after the answer. ``duration`` was the total until October 2023 and
is the billable time since, in one table, so it is read as neither: the total is end minus
start. ``status`` calls some answered calls failed or missed; answered is what has an
answer time or billable seconds all the same. ``xml_cdr_uuid`` is the key of a leg and
``bridge_uuid`` that of the leg it was bridged to. Callers' numbers have lost their ``+``,
and what an outside caller dialled is ``caller_destination``, as a transfer to an extension
overwrites ``destination_number``. The rules are those of ``xml_cdr_inc.php`` and of
``resources/classes/xml_cdr.php``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH
from sippet_reconcile.cdr.families.freeswitch_links import lost_legs, relink
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key, status_word
from sippet_reconcile.normalize import map_distinct, text_to_seconds

if TYPE_CHECKING:
    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "domain_uuid", "sip_call_id", "extension", "extension_name", "start_stamp", "end_stamp", "start_date_formatted",
    "start_time_formatted", "start_epoch", "hangup_cause", "duration", "billmsec", "missed_call", "record_path",
    "record_name", "xml_cdr_uuid", "bridge_uuid", "direction", "billsec", "caller_id_name", "caller_id_number",
    "caller_destination", "source_number", "destination_number", "leg", "read_codec", "write_codec", "cc_side",
    "accountcode", "answer_stamp", "status", "sip_hangup_disposition", "call_disposition", "pdd_ms", "rtp_audio_in_mos",
    "wait", "tta", "domain_name", "answer_epoch", "end_epoch", "mduration", "originating_leg_uuid", "extension_uuid",
    "hangup_cause_q850", "context", "last_app", "last_arg", "voicemail_message", "cc_member_session_uuid",
)  # fmt: skip
"""What the export selects, then further columns of the table that an administrator may add to it."""

STATUSES: Final = {
    **FREESWITCH,
    "ANSWERED": "completed",
    "NO_ANSWER": "no_answer",
    "CANCELLED": "canceled",
    "CANCELED": "canceled",
    "BUSY": "busy",
    "FAILED": "failed",
    "MISSED": "missed",
    "VOICEMAIL": "voicemail",
}
"""The words of ``status``; where an older version has no such column, FreeSWITCH's causes stand in."""

DIRECTIONS: Final = {"INBOUND": "inbound", "OUTBOUND": "outbound", "LOCAL": "internal"}

_KEY: Final = "xmlcdruuid"
_STARTS: Final = frozenset(map(column_key, ("start_epoch", "start_stamp", "start_date_formatted")))
_OWN: Final = tuple(
    map(column_key, ("sip_hangup_disposition", "missed_call", "start_date_formatted", "start_time_formatted", "billmsec",
                     "caller_destination", "cc_side", "tta", "domain_uuid"))
)  # fmt: skip
_ENOUGH_OWN: Final = 4
_TRUE: Final = frozenset({"TRUE", "T", "1", "YES"})
_TWELVE: Final = 12
_CLOCK: Final = re.compile(r"(\d{1,2})(:\d{2}(?::\d{2})?)\s*([AaPp])\.?[Mm]\.?")
_NOTE: Final = (
    "the total is end minus start: 'duration' holds billable seconds since October 2023 and the total before"
)


def recognise(sample: Sample) -> Evidence:
    """Judge by the names in the header: the key that no other system has, or enough of the others."""
    names = sample.names
    if _KEY in names and names & _STARTS:
        return Evidence(1.0, ("names xml_cdr_uuid and a start",), is_possible=True)
    own = sum(name in names for name in _OWN)
    if own >= _ENOUGH_OWN and names & _STARTS:
        return Evidence(
            0.9, (f"names a start and {own} columns of v_xml_cdr, but not its key",), is_possible=True
        )
    lacks = "lacks xml_cdr_uuid" if _KEY not in names else "names no start"
    return Evidence(0.0, (lacks,), is_possible=_KEY in names)


def _first(fields: Fields, *names: str) -> Any:
    """Return each row's first value of several columns; None where there is no such column."""
    found = [fields[name] for name in names if name in fields]
    return pc.coalesce(*found) if found else None


def _by_24_hours(time: str) -> str:
    """Return a time of day as a clock of 24 hours shows it.

    Examples
    --------
    >>> _by_24_hours("12:05 am"), _by_24_hours("01:05:09 pm"), _by_24_hours("23:05")
    ('00:05', '13:05:09', '23:05')
    """
    found = _CLOCK.fullmatch(time)
    if found is None:
        return time
    hour = int(found[1]) % _TWELVE + (_TWELVE if found[3] in "pP" else 0)
    return f"{hour:02d}{found[2]}"


def _started(fields: Fields) -> Any:
    """Return the start: the epoch, else the stamp, else the formatted date and time."""
    found = _first(fields, "start_epoch", "start_stamp")
    if "start_date_formatted" in fields and (found is None or found.null_count):
        time = map_distinct(fields["start_time_formatted"], _by_24_hours)
        blank = pa.scalar(" ", time.type)
        printed = pc.binary_join_element_wise(fields["start_date_formatted"], time, blank)
        found = printed if found is None else pc.coalesce(found, printed)
    return pa.nulls(len(fields), pa.large_string()) if found is None else found


def _billable(fields: Fields) -> Any:
    """Return the seconds after the answer; the milliseconds stand in where they are all there is."""
    if "billsec" in fields or "billmsec" not in fields:
        return _first(fields, "billsec")
    thousands, unreadable = text_to_seconds(fields["billmsec"])
    seconds = pa.array(thousands / 1000, from_pandas=True).cast(pa.large_string())
    return pc.if_else(pa.array(unreadable), fields["billmsec"], seconds) if unreadable.any() else seconds


def _word(fields: Fields, *, tells_answers: bool) -> Any:
    """Return what the status table maps: the status, else that the call was missed, else its cause.

    Causes tell of calls that were not answered, so they count only where it is known which those are.
    """
    cause = fields["hangup_cause"] if tells_answers else pa.nulls(len(fields), pa.large_string())
    words: list[Any] = [fields["status"]] if "status" in fields else []
    if "missed_call" in fields:
        words.append(
            map_distinct(fields["missed_call"], lambda flag: "missed" if status_word(flag) in _TRUE else None)
        )
    return pc.coalesce(*words, cause)


def interpret(fields: Fields, _: Options) -> Record:
    """Give the columns that are there their meaning."""
    fields.prepare(COLUMNS)
    uuid = fields["xml_cdr_uuid"]
    direction = map_distinct(fields["direction"], lambda word: DIRECTIONS.get(status_word(word)))
    dialled = fields["destination_number"]
    if "caller_destination" in fields:
        from_outside = pc.fill_null(pc.equal(direction, "inbound"), fill_value=False)
        dialled = pc.coalesce(
            pc.if_else(from_outside, fields["caller_destination"], pa.scalar(None, uuid.type)), dialled
        )
    answered, billable = _first(fields, "answer_epoch", "answer_stamp"), _billable(fields)
    seconds = pa.nulls(len(fields), uuid.type) if billable is None else billable
    # A queue rings its agents on legs of their own; those that nobody took are no outcome of the call.
    of_agents = np.asarray(pc.fill_null(pc.equal(fields["cc_side"], "agent"), fill_value=False))
    cause = fields["hangup_cause"]
    return Record(
        started=_started(fields),
        shown=fields["start_stamp"],
        answered=answered,
        ended=_first(fields, "end_epoch", "end_stamp"),
        billable=billable,
        leg_id=uuid,
        call_key=uuid,
        linked_id=_first(
            fields, "originating_leg_uuid", "bridge_uuid", "cc_member_session_uuid", "xml_cdr_uuid"
        ),
        direction=direction,
        from_number=_first(fields, "caller_id_number", "source_number"),
        to_number=dialled,
        sip_username=fields["extension"],
        word=_word(fields, tells_answers=answered is not None or billable is not None),
        cause=_first(fields, "hangup_cause", "status"),
        is_helper=lost_legs(of_agents, cause, answered, seconds),
        derive_missing=True,
        notes=(_NOTE,) if "duration" in fields else (),
    )


FORMATS: Final = (
    CdrFormat(
        name="fusionpbx",
        title="FusionPBX call detail records",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"lines", "sql"}),
        aliases=("v-xml-cdr", "xml-cdr-export"),
        relink=relink,
        row_by_row=True,
    ),
)
