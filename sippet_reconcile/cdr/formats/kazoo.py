"""Kazoo's call detail records: documents of its database, what its API lists, or that list as CSV.

One row is one leg; times are UTC. A document's ``timestamp`` is when the record was
made, at the end of the leg, in Gregorian seconds (Unix seconds and 62,167,219,200 more);
``channel_created_time`` is its start in microseconds of Unix time. Lists have taken the
duration off already: their ``timestamp`` is the start. ``total`` is ``duration_seconds``,
``billable`` is ``billing_seconds``; nothing says when a leg was answered, but it talked
at its end. The key is ``call_id``, legs are grouped by ``interaction_id``, or else
linked by ``bridge_id`` and ``other_leg_call_id``.

``call_direction`` is the leg's, seen from the switch: that of a user's own call is
inbound. ``owner_id`` and ``authorizing_id`` are ids of documents and no SIP usernames.

The fields are described in ``crossbar/doc/cdrs.md``, the times and the columns of lists
are those of ``cdr_channel_destroy.erl`` and ``cb_cdrs.erl`` in Kazoo's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import FREESWITCH, SIP
from sippet_reconcile.cdr.families.freeswitch_links import lost_legs, relink
from sippet_reconcile.cdr.families.texts import equals
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.normalize import map_distinct, text_to_seconds, with_missing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sippet_reconcile.cdr.tables import Fields

__all__ = ["FORMATS"]

COLUMNS: Final = (
    "id", "call_id", "caller_id_number", "caller_id_name", "callee_id_number", "callee_id_name", "duration_seconds",
    "billing_seconds", "ringing_seconds", "timestamp", "hangup_cause", "hangup_code", "other_leg_call_id",
    "owner_id", "to", "from", "to_uri", "from_uri", "direction", "call_direction", "request", "authorizing_id",
    "cost", "dialed_number", "calling_from", "datetime", "unix_timestamp", "rfc_1036", "iso_8601",
    "iso_8601_combined", "call_type", "rate", "rate_name", "bridge_id", "recording_url", "media_server",
    "call_priority", "interaction_id", "reseller_cost", "reseller_call_type", "channel_created_time",
    "pvt_created", "presence_id", "disposition",
)  # fmt: skip

PATHS: Final = tuple(
    f"custom_channel_vars.{name}"
    for name in ("username", "owner_id", "authorizing_id", "authorizing_type", "bridge_id", "resource_type")
)

STATUSES: Final = {**SIP, **FREESWITCH}

_GREGORIAN: Final = 62_167_219_200  # seconds from the year 0 to 1970
_MICROS: Final = 1_000_000
_IS_GREGORIAN: Final = r"^6[2-6]\d{9}$"
_IS_UNIX: Final = r"^[1-3]\d{9}$"
_LIST_ONLY: Final = ("unix_timestamp", "datetime", "iso_8601")
_OFFNET: Final = {"offnet-origination": "inbound", "offnet-termination": "outbound"}
_SURELY: Final = (
    ("call_id", "hangup_cause", "duration_seconds", "billing_seconds", "timestamp"),
    ("call_id", "call_direction", "custom_channel_vars"),
)
_TEXT: Final = pa.large_string()


def recognise(sample: Sample) -> Evidence:
    """Judge by the names of columns or members that no other system has together."""
    for needed in _SURELY:
        if all(map(sample.has, needed)):
            return Evidence(1.0, (f"names {', '.join(needed)}",))
    return Evidence(0.0, (f"lacks some of {', '.join(_SURELY[0])}",))


def interpret(fields: Fields, _: Options) -> Record:
    """Give the fields of a document or a row of a list their meaning."""
    call_id, cause = fields["call_id"], fields["hangup_cause"]
    leg = pc.coalesce(fields["call_direction"], fields["direction"])
    is_inbound, is_outbound = equals(leg, "inbound"), equals(leg, "outbound")
    started, ended = _times(fields)
    direction = map_distinct(fields["custom_channel_vars.resource_type"], _OFFNET.get)
    owner = pc.coalesce(
        fields["owner_id"], fields["custom_channel_vars.owner_id"], fields["custom_channel_vars.username"]
    )
    request, to = (map_distinct(fields[name], _user) for name in ("request", "to"))
    billable = fields["billing_seconds"]
    code = map_distinct(fields["hangup_code"], _sip_status)
    return Record(
        started=started,
        ended=ended,
        total=fields["duration_seconds"],
        billable=billable,
        leg_id=call_id,
        call_key=call_id,
        linked_id=fields.first(
            "interaction_id",
            "bridge_id",
            "custom_channel_vars.bridge_id",
            "other_leg_call_id",
            "call_id",
        ),
        direction=direction,
        from_number=pc.coalesce(
            fields["caller_id_number"],
            fields["calling_from"],
            *(map_distinct(fields[name], _user) for name in ("from_uri", "from")),
        ),
        to_number=pc.coalesce(
            fields["dialed_number"],
            with_missing(request, is_outbound),
            to,
            map_distinct(fields["to_uri"], _user),
            fields["callee_id_number"],
        ),
        sip_username=fields["custom_channel_vars.username"],
        # Causes tell of calls that were not answered, so they count only where it is known which those are.
        word=with_missing(pc.coalesce(code, cause), np.asarray(billable.is_null())),
        cause=pc.coalesce(cause, fields["hangup_code"]),
        # The first leg of a call that one of the account's own users makes.
        calls_out=is_inbound & np.asarray(owner.is_valid()) & np.asarray(direction.is_null()),
        is_helper=lost_legs(np.zeros(len(fields), bool), cause, None, billable),
        derive_missing=True,
    )


def _times(fields: Fields) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return start and end as epochs: what the record lacks of the two lies its duration before or behind."""
    stamp = pc.coalesce(fields["timestamp"], fields["pvt_created"])
    at = _unix(stamp)
    is_list = np.asarray(fields["call_direction"].is_null()) & np.asarray(fields["direction"].is_valid())
    for name in _LIST_ONLY:
        is_list |= np.asarray(fields[name].is_valid())
    micros, _ = text_to_seconds(fields["channel_created_time"])
    seconds, _ = text_to_seconds(fields["duration_seconds"])
    begin = np.where(micros > 0, micros, np.where(is_list, at, at - np.floor(seconds)) * _MICROS)
    by_duration = begin + seconds * _MICROS
    end = np.where(np.isnan(by_duration) & ~is_list, at * _MICROS, by_duration)
    # What is no time is told as it stands.
    strange = with_missing(stamp, ~np.isnan(at))
    return pc.coalesce(_text(begin), strange), _text(end)


def _unix(stamp: pa.LargeStringArray) -> NDArray[np.float64]:
    """Return Gregorian or Unix seconds as Unix seconds, NaN where they are neither."""
    gregorian, unix = (
        np.asarray(pc.fill_null(pc.match_substring_regex(stamp, pattern), fill_value=False))
        for pattern in (_IS_GREGORIAN, _IS_UNIX)
    )
    number = with_missing(stamp, ~(gregorian | unix)).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(gregorian, number - _GREGORIAN, number)


def _text(micros: NDArray[np.float64]) -> pa.LargeStringArray:
    return pa.array(np.round(micros), from_pandas=True).cast(pa.int64(), safe=False).cast(_TEXT)


def _user(address: str) -> str | None:
    """Return what stands before the host of an address; a placeholder is nobody."""
    user = address.partition("@")[0].removeprefix("sip:").strip()
    return None if user in {"", "nouser"} else user


def _sip_status(code: str) -> str | None:
    """Return the code of a SIP refusal, which is printed as ``sip:486`` or alone."""
    bare = code.lower().removeprefix("sip:").strip()
    return bare if bare in SIP else None


FORMATS: Final = (
    CdrFormat(
        name="kazoo",
        title="Kazoo call detail records",
        names={column_key(name): name for name in COLUMNS},
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        kinds=frozenset({"json", "lines"}),
        paths=PATHS,
        aliases=("2600hz",),
        relink=relink,
        row_by_row=True,
    ),
)
