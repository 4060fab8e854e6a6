"""What the channel variables and caller profiles of FreeSWITCH mean, in JSON and in XML.

Input are the columns of such records, output is a `Record`. One row is one leg. Epochs
count in UTC and come before stamps, which the switch prints by its own clock; ``total``
is ``mduration``, from creation to hangup, and ``billable`` is ``billmsec``, from the
answer on, both with thousandths, or else ``duration`` and ``billsec``. An answer epoch
of 0 is none.

The key is the leg's ``uuid``. ``call_uuid`` is that of the first leg on all legs of a
call; where it is not set, ``originator``, ``signal_bond`` and ``bridge_uuid`` name the
other leg. A platform may have put an id of its own into a SIP header: such a variable
is read with ``keep=["variables.sip_h_X-Call-Id"]``.

The variables are those of FreeSWITCH's channel documentation and of
``switch_ivr_generate_json_cdr`` and ``switch_ivr_generate_xml_cdr`` in its source.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH, Q850, SIP
from sippet_reconcile.cdr.families.freeswitch_links import lost_legs
from sippet_reconcile.cdr.families.texts import equals
from sippet_reconcile.cdr.spec import Evidence, Options, Record, Sample, status_word
from sippet_reconcile.normalize import clean_text, map_distinct, with_missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields, RawTable

__all__ = ["NAMES", "PATHS", "STATUSES", "decoded", "interpret", "recognise"]

_VARIABLES: Final = (
    "uuid", "call_uuid", "bridge_uuid", "signal_bond", "originator", "direction", "call_direction",
    "start_uepoch", "start_epoch", "start_stamp", "answer_uepoch", "answer_epoch", "answer_stamp",
    "end_uepoch", "end_epoch", "end_stamp", "duration", "mduration", "billsec", "billmsec",
    "hangup_cause", "hangup_cause_q850", "sip_term_status", "sip_invite_failure_status",
    "caller_id_number", "pre_transfer_caller_id_number", "destination_number", "sip_from_user", "sip_to_user",
    "sip_req_user", "user_name", "sip_auth_username", "dialed_user", "sip_gateway_name", "profile_start_stamp",
    "channel_name", "sip_from_uri",
)  # fmt: skip
_PROFILES: Final = 4  # a call that is transferred gets another profile, and the newest comes first

PATHS: Final = (
    *(f"variables.{name}" for name in _VARIABLES),
    *(f"callflow.{place}.caller_profile.context" for place in range(_PROFILES)),
    *(f"callflow.0.caller_profile.{name}" for name in ("caller_id_number", "destination_number", "uuid")),
    *(f"callflow.0.times.{name}" for name in ("created_time", "answered_time", "hangup_time")),
)
"""The members of a record that are read."""

NAMES: Final = {name.replace("-", "").replace("_", ""): name for name in ("core-uuid", "switchname")}
"""What else stands in a record and may be kept."""

STATUSES: Final = {**Q850, **SIP, **FREESWITCH}
"""SIP status codes, names of hangup causes and their Q.850 numbers; no number is two of these with two meanings."""

_DIRECTIONS: Final = {"inbound": "inbound", "outbound": "outbound", "local": "internal"}
_TELEPHONE: Final = re.compile(
    r"\+.*|\d{7,}|anonymous|restricted|unknown|unavailable|asserted", re.IGNORECASE
)
_MILLIS: Final = r"^\d{1,15}$"
_DIGITS: Final = 3
_TEXT: Final = pa.large_string()
_STARTS: Final = ("variables.start_uepoch", "variables.start_epoch", "variables.start_stamp")
_TELL_ANSWERS: Final = (
    *(
        f"variables.{name}"
        for name in ("answer_uepoch", "answer_epoch", "answer_stamp", "billmsec", "billsec")
    ),
    "callflow.0.times.answered_time",
)
# What the switch would have encoded, in values that nearly every leg has.
_TELLTALES: Final = tuple(
    f"variables.{name}"
    for name in ("start_stamp", "end_stamp", "profile_start_stamp", "channel_name", "sip_from_uri")
)
_PLAIN: Final = r"[ :@+]"
_ENCODED: Final = r"%[0-9A-Fa-f]{2}"


def recognise(sample: Sample) -> Evidence:
    """Judge by the members of ``variables``."""
    if not sample.has("variables.uuid") or not any(map(sample.has, _STARTS)):
        return Evidence(0.0, ("lacks variables with the uuid and the start of a channel",))
    told = [
        name
        for name in ("variables.hangup_cause", "variables.billsec", "callflow", "channel_data")
        if sample.has(name)
    ]
    if not told:
        return Evidence(
            0.4, ("variables hold a uuid and a start, but no hangup cause, and there is no callflow",)
        )
    return Evidence(1.0, (f"variables hold the uuid and the start of a channel, beside {', '.join(told)}",))


def decoded(raw: RawTable) -> RawTable:
    """Take the URL encoding off the variables of the records that have it.

    It is one setting for all variables of a record, so that a stamp tells: encoded it
    has ``%20`` in it, plain a space. Without a stamp, addresses tell. A plain value
    may hold something that looks encoded, and stays as it is then.
    """
    telling = [clean_text(raw.columns[name]) for name in _TELLTALES if name in raw.columns]
    if not telling:
        return raw
    plain = _any(telling, _PLAIN)
    is_encoded = _any(telling, _ENCODED) & ~plain
    if not bool(is_encoded.any()):
        return raw
    columns = {
        name: _decode(column, is_encoded) if name.startswith("variables.") else column
        for name, column in raw.columns.items()
    }
    return replace(raw, columns=columns)


def _any(columns: list[pa.LargeStringArray], pattern: str) -> NDArray[np.bool_]:
    """Mark the rows of which any value matches."""
    found = [pc.fill_null(pc.match_substring_regex(column, pattern), fill_value=False) for column in columns]
    return np.asarray(reduce(pc.or_, found))


def _decode(column: pa.LargeStringArray, mask: NDArray[np.bool_]) -> pa.LargeStringArray:
    encoded = pa.array(mask & np.asarray(pc.fill_null(pc.match_substring(column, "%"), fill_value=False)))
    if not pc.any(encoded, min_count=0).as_py():
        return column
    return pc.replace_with_mask(column, encoded, map_distinct(column.filter(encoded), unquote))


def interpret(fields: Fields, options: Options) -> Record:
    """Give the variables and the newest caller profile their meaning."""
    uuid = fields.first("variables.uuid", "callflow.0.caller_profile.uuid")
    started, answered, ended = (
        _instant(fields, name, newest)
        for name, newest in (("start", "created_time"), ("answer", "answered_time"), ("end", "hangup_time"))
    )
    cause = fields["variables.hangup_cause"]
    billable = _seconds(fields["variables.billmsec"], fields["variables.billsec"])
    leg = fields["variables.direction"]
    from_user, to_user = fields["variables.sip_from_user"], fields["variables.dialed_user"]
    is_inbound, is_outbound = equals(leg, "inbound"), equals(leg, "outbound")
    linked = fields.first(
        *(f"variables.{n}" for n in ("call_uuid", "originator", "signal_bond", "bridge_uuid"))
    )
    direction, calls_out = _direction(fields, uuid, linked, is_inbound, is_outbound)
    is_public = _is_public(fields)
    # A leg that the switch made takes the other side's number for its caller when it is parked or transferred.
    turned = with_missing(fields["variables.pre_transfer_caller_id_number"], ~is_outbound)
    caller = fields.first(
        "callflow.0.caller_profile.caller_id_number",
        "variables.caller_id_number",
        "variables.sip_from_user",
    )
    return Record(
        started=started,
        shown=fields["variables.start_stamp"],
        answered=answered,
        ended=ended,
        total=_seconds(fields["variables.mduration"], fields["variables.duration"]),
        billable=billable,
        leg_id=uuid,
        call_key=uuid,
        linked_id=pc.coalesce(linked, uuid),
        direction=direction,
        from_number=pc.coalesce(turned, caller),
        to_number=fields.first(
            "callflow.0.caller_profile.destination_number",
            "variables.destination_number",
            "variables.sip_req_user",
            "variables.sip_to_user",
        ),
        sip_username=pc.coalesce(
            fields.first("variables.user_name", "variables.sip_auth_username"),
            with_missing(to_user, ~is_outbound),
            # From outside comes whatever number the caller's switch put there, which is no user of this one.
            with_missing(map_distinct(from_user, _user), ~is_inbound | is_public),
        ),
        # Causes tell of calls that were not answered, so they count only where it is known which those are.
        word=with_missing(_word(fields, options), np.asarray(fields.first(*_TELL_ANSWERS).is_null())),
        cause=pc.coalesce(cause, fields["variables.sip_term_status"]),
        calls_out=calls_out,
        is_helper=lost_legs(np.zeros(len(fields), bool), cause, answered, billable),
    )


def _instant(fields: Fields, name: str, newest: str) -> pa.LargeStringArray:
    """Return the finest epoch there is; a stamp only where the record has no epoch at all."""
    epochs = [fields[f"variables.{name}_{unit}"] for unit in ("uepoch", "epoch")]
    epochs.append(fields[f"callflow.0.times.{newest}"])
    found = pc.coalesce(*(with_missing(column, equals(column, "0")) for column in epochs))
    without = np.asarray(pc.coalesce(*epochs).is_null())
    return pc.coalesce(found, with_missing(fields[f"variables.{name}_stamp"], ~without))


def _seconds(millis: pa.LargeStringArray, whole: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return milliseconds as seconds with a decimal point, or the whole seconds where there are none."""
    good = np.asarray(pc.fill_null(pc.match_substring_regex(millis, _MILLIS), fill_value=False))
    digits = pc.utf8_lpad(with_missing(millis, ~good), _DIGITS + 1, "0")
    before = pc.utf8_slice_codeunits(digits, 0, -_DIGITS)
    after = pc.utf8_slice_codeunits(digits, -_DIGITS, None)
    return pc.coalesce(pc.binary_join_element_wise(before, after, pa.scalar(".", _TEXT)), whole)


def _is_public(fields: Fields) -> NDArray[np.bool_]:
    """Mark the legs that came in from outside, through whatever contexts they went on."""
    contexts = (fields[f"callflow.{place}.caller_profile.context"] for place in range(_PROFILES))
    return reduce(np.logical_or, [equals(context, "public") for context in contexts])


def _direction(
    fields: Fields,
    uuid: pa.LargeStringArray,
    linked: pa.LargeStringArray,
    is_inbound: NDArray[np.bool_],
    is_outbound: NDArray[np.bool_],
) -> tuple[pa.LargeStringArray, NDArray[np.bool_]]:
    """Return the direction of the call where it is told, and which legs call out if they call an outside number.

    ``direction`` itself is the leg's, seen from the switch: that of a user's own call is inbound.
    """
    said = map_distinct(fields["variables.call_direction"], lambda word: _DIRECTIONS.get(word.lower()))
    public = _is_public(fields)
    inbound = pc.if_else(pa.array(public), pa.scalar("inbound", _TEXT), pa.scalar(None, _TEXT))
    has_context = np.asarray(fields["callflow.0.caller_profile.context"].is_valid())
    is_first = np.asarray(pc.fill_null(pc.equal(uuid, linked), fill_value=True))
    leaves = is_outbound & is_first & np.asarray(fields["variables.sip_gateway_name"].is_valid())
    calls_out = ((is_inbound & has_context) | leaves) & ~public & np.asarray(said.is_null())
    return pc.coalesce(said, inbound), calls_out


def _user(name: str) -> str | None:
    return None if _TELEPHONE.fullmatch(name) else name


def _word(fields: Fields, options: Options) -> pa.LargeStringArray:
    """Return the word that says most: a SIP status that is a refusal, else the hangup cause.

    487 answers whoever took a call back, the caller or a switch that rang for long
    enough: the cause says which. What the caller maps comes before all others.
    """
    codes = _first_that(_is_refusal, fields, "sip_term_status", "sip_invite_failure_status")
    cause = fields["variables.hangup_cause"]
    codes = with_missing(codes, equals(codes, "487") & np.asarray(_only(_is_outcome, cause).is_valid()))
    choices: list[Any] = [codes, cause, fields["variables.hangup_cause_q850"]]
    if options.status_map:
        sip = _first_that(_is_code, fields, "sip_term_status", "sip_invite_failure_status")
        mine = [
            _only(lambda word: status_word(word) in options.status_map, column) for column in (sip, cause)
        ]
        choices = [*mine, *choices]
    return pc.coalesce(*choices)


def _first_that(test: Callable[[str], bool], fields: Fields, *names: str) -> pa.LargeStringArray:
    return pc.coalesce(*(_only(test, fields[f"variables.{name}"]) for name in names))


def _only(test: Callable[[str], bool], column: pa.LargeStringArray) -> pa.LargeStringArray:
    return map_distinct(column, lambda word: word if test(word) else None)


def _is_refusal(code: str) -> bool:
    return code in SIP


def _is_outcome(cause: str) -> bool:
    return FREESWITCH.get(status_word(cause), "unknown") != "unknown"


def _is_code(code: str) -> bool:
    return code.isdecimal()
