"""Cisco Unified Communications Manager (CUCM) CDR files: names, a row of types, then one row per part of a call.

The names and the types may each be missing; without names the order is Cisco's, which
only ever grew at its end up to release 8.6. Times are epochs in UTC, 0 means never.
``duration`` counts from connect to disconnect and is the billable time; the total is
disconnect minus origination. A row's key is its ``pkid``; cluster, node and call number
together name the call. After a transfer the first row and the last have the call's name
in common, so that their talk times add up, and the consultation is a call of its own.
What is recorded by the system has a second and a third row "on behalf of" recording:
helpers. Calls without a second of talk are in the file only if the cluster is told so.

The rules are those of Cisco's "Call Detail Records Administration Guide" (chapters on
field descriptions, cause codes and examples) and its "CDR Definition" for 4.2(3).
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.families.causes import Q850
from sippet_reconcile.cdr.families.judge import by_cells, by_names
from sippet_reconcile.cdr.families.texts import matches
from sippet_reconcile.cdr.spec import CdrFormat, Evidence, Options, Record, Sample, column_key
from sippet_reconcile.cdr.tables import TEXT, Fields, RawTable
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.normalize import clean_text, with_missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["FORMATS"]

COLUMNS: Final = tuple(
    """
    cdrRecordType globalCallID_callManagerId globalCallID_callId origLegCallIdentifier dateTimeOrigination origNodeId
    origSpan origIpAddr callingPartyNumber callingPartyUnicodeLoginUserID origCause_location origCause_value
    origPrecedenceLevel origMediaTransportAddress_IP origMediaTransportAddress_Port origMediaCap_payloadCapability
    origMediaCap_maxFramesPerPacket origMediaCap_g723BitRate origVideoCap_Codec origVideoCap_Bandwidth
    origVideoCap_Resolution origVideoTransportAddress_IP origVideoTransportAddress_Port origRSVPAudioStat
    origRSVPVideoStat destLegIdentifier destNodeId destSpan destIpAddr originalCalledPartyNumber
    finalCalledPartyNumber finalCalledPartyUnicodeLoginUserID destCause_location destCause_value destPrecedenceLevel
    destMediaTransportAddress_IP destMediaTransportAddress_Port destMediaCap_payloadCapability
    destMediaCap_maxFramesPerPacket destMediaCap_g723BitRate destVideoCap_Codec destVideoCap_Bandwidth
    destVideoCap_Resolution destVideoTransportAddress_IP destVideoTransportAddress_Port destRSVPAudioStat
    destRSVPVideoStat dateTimeConnect dateTimeDisconnect lastRedirectDn pkid originalCalledPartyNumberPartition
    callingPartyNumberPartition finalCalledPartyNumberPartition lastRedirectDnPartition duration origDeviceName
    destDeviceName origCallTerminationOnBehalfOf destCallTerminationOnBehalfOf origCalledPartyRedirectOnBehalfOf
    lastRedirectRedirectOnBehalfOf origCalledPartyRedirectReason lastRedirectRedirectReason destConversationId
    globalCallId_ClusterID joinOnBehalfOf comment authCodeDescription authorizationLevel clientMatterCode
    origDTMFMethod destDTMFMethod callSecuredStatus origConversationId origMediaCap_Bandwidth destMediaCap_Bandwidth
    authorizationCodeValue outpulsedCallingPartyNumber outpulsedCalledPartyNumber origIpv4v6Addr destIpv4v6Addr
    origVideoCap_Codec_Channel2 origVideoCap_Bandwidth_Channel2 origVideoCap_Resolution_Channel2
    origVideoTransportAddress_IP_Channel2 origVideoTransportAddress_Port_Channel2 origVideoChannel_Role_Channel2
    destVideoCap_Codec_Channel2 destVideoCap_Bandwidth_Channel2 destVideoCap_Resolution_Channel2
    destVideoTransportAddress_IP_Channel2 destVideoTransportAddress_Port_Channel2 destVideoChannel_Role_Channel2
    IncomingProtocolID IncomingProtocolCallRef OutgoingProtocolID OutgoingProtocolCallRef currentRoutingReason
    origRoutingReason lastRedirectingRoutingReason huntPilotPartition huntPilotDN calledPartyPatternUsage IncomingICID
    IncomingOrigIOI IncomingTermIOI OutgoingICID OutgoingOrigIOI OutgoingTermIOI outpulsedOriginalCalledPartyNumber
    outpulsedLastRedirectingNumber wasCallQueued totalWaitTimeInQueue callingPartyNumber_uri
    originalCalledPartyNumber_uri finalCalledPartyNumber_uri lastRedirectDn_uri mobileCallingPartyNumber
    finalMobileCalledPartyNumber origMobileDeviceName destMobileDeviceName origMobileCallDuration
    destMobileCallDuration mobileCallType originalCalledPartyPattern finalCalledPartyPattern
    lastRedirectingPartyPattern huntPilotPattern origDeviceType destDeviceType origDeviceSessionID destDeviceSessionID
    """.split()  # noqa: SIM905 - 133 names, as Cisco lists them
)
"""The columns of a present release, in order."""

NAMES: Final = {
    **{column_key(name): name for name in COLUMNS},
    "destlegcallidentifier": "destLegIdentifier",
    "callingpartyloginuserid": "callingPartyUnicodeLoginUserID",
    "finalcalledpartyloginuserid": "finalCalledPartyUnicodeLoginUserID",
}

STATUSES: Final = {
    **{cause: status for cause, status in Q850.items() if int(cause) < 128},  # noqa: PLR2004 - Q.850 ends at 127
    # No side cleared with a reason: the caller put down before anybody answered.
    "0": "canceled",
    # This word is given only where the calling side cleared: it ended normally what was not answered.
    "16": "canceled",
    # The call was split by a transfer or a conference (126 before release 5), or somebody was dropped from one.
    "126": "unknown",
    "393216": "unknown",
    "128": "unknown",
    "458752": "unknown",
}
"""Cause of the side that cleared, for calls that were never connected. Cisco's own larger numbers are not mapped."""

_NEEDED: Final = (
    "cdrRecordType",
    "globalCallID_callId",
    "dateTimeOrigination",
    "dateTimeDisconnect",
    "callingPartyNumber",
    "finalCalledPartyNumber",
)
_READ: Final = (
    "dateTimeOrigination", "dateTimeConnect", "dateTimeDisconnect", "duration", "pkid", "globalCallID_callId",
    "globalCallID_callManagerId", "globalCallId_ClusterID", "callingPartyNumber", "finalCalledPartyNumber",
    "originalCalledPartyNumber", "origCause_value", "destCause_value", "origDeviceName", "destDeviceName",
    "callingPartyUnicodeLoginUserID", "finalCalledPartyUnicodeLoginUserID", "origDeviceSessionID",
    "joinOnBehalfOf", "origCalledPartyRedirectOnBehalfOf", "lastRedirectRedirectOnBehalfOf",
)  # fmt: skip
_ON_BEHALF: Final = _READ[-3:]

_FIRST: Final = 78  # columns of release 6.1, the oldest whose order is known
_IN_ORDER: Final = 104  # up to release 8.6 columns were added at the end; later ones also in between
_WIDEST: Final = 400
_FEW: Final = 3  # rows of another width than the usual one that are no accident
_AT: Final = {
    name: COLUMNS.index(name) for name in ("dateTimeOrigination", "dateTimeConnect", "dateTimeDisconnect")
}
_PKID: Final = COLUMNS.index("pkid")
_DURATION: Final = COLUMNS.index("duration")

_TYPE: Final = re.compile(
    r"(?:INTEGER|INT|SMALLINT|BIGINT|UNIQUEIDENTIFIER|N?(?:VAR)?CHAR\(\d+\))", re.IGNORECASE
)
_EPOCH: Final = re.compile(r"-?\d{9,10}|0")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_RECORDING: Final = r"^27$"
_CMR: Final = r"^2$"
# Names that the system gives to phones, adapters and clients; other names are chosen by people.
_PHONE: Final = r"(?i)^(?:(?:SEP|ATA)[0-9A-F]{12}|(?:CSF|TCT|BOT|TAB).+)$"
# A digital port of a gateway towards the telephone network, or a name that says what it is.
_TRUNK: Final = r"(?i)(?:^S\d+/(?:SU\d+/)?DS1-\d+@|(?:^|[^a-z])(?:sip)?(?:trunks?|trk|gateway|gw|pstn|itsp|cube|sbc)(?:[^a-z]|$))"
_OUTSIDE: Final = r"^\+?\d{7,}$"
_WRAPS: Final = 1 << 32

_CMRS: Final = (
    "these are CMRs, about the quality of calls, not CDRs; read the files whose names begin with cdr_"
)


def recognise(sample: Sample) -> Evidence:
    """Judge by the names, or by where the epochs and the row's UUID stand."""
    if _names_cmrs(sample):
        return Evidence(0.1, (_CMRS,))
    named = by_names(sample, _NEEDED)
    if named.score:
        return named

    def fits(row: Sequence[str]) -> bool:
        if all(_TYPE.fullmatch(cell.strip()) for cell in row):
            return True
        return (
            row[0].strip() in {"0", "1"}
            and all(_EPOCH.fullmatch(row[place].strip()) for place in _AT.values())
            and _UUID.fullmatch(row[_PKID].strip()) is not None
            and row[_DURATION].strip().isdigit()
        )

    where = "epochs stand in columns 5, 48 and 49 and a UUID in 51"
    return by_cells(sample, range(_FIRST, _WIDEST), fits, columns=f"{_FIRST} or more", what=where)


def _names_cmrs(sample: Sample) -> bool:
    return {"cdrrecordtype", "datetimestamp", "directorynum"} <= sample.names and (
        "datetimeorigination" not in sample.names
    )


def _layouts(sample: Sample) -> Mapping[int, tuple[str, ...]]:
    """Return the names by width, the usual width first; where an order is not known, later columns have no names.

    Raises
    ------
    CdrFormatError
        If what there is names the columns of CMRs.
    """
    if _names_cmrs(sample):
        raise CdrFormatError(_CMRS, line=1)
    widths = [len(row) for row in sample.rows if _FIRST <= len(row) < _WIDEST]
    usual = max(sorted(set(widths)), key=widths.count, default=len(COLUMNS))
    others = [width for width in sorted(set(widths)) if width != usual and widths.count(width) >= _FEW]
    return {width: _names_of(width) for width in (usual, *others)}


def _names_of(width: int) -> tuple[str, ...]:
    if width <= _IN_ORDER or width == len(COLUMNS):
        return COLUMNS[:width]
    return (*COLUMNS[:_IN_ORDER], *(f"column {place}" for place in range(_IN_ORDER + 1, width + 1)))


def _not_records(fields: Fields) -> NDArray[np.bool_]:
    """Mark rows of types, and rows of names in a file that did not begin with them."""
    kind = fields["cdrRecordType"]
    aside = matches(kind, r"(?i)^(?:integer|int|cdrRecordType)$")
    if bool(aside.any()):
        aside = aside & matches(fields["dateTimeOrigination"], r"(?i)^(?:integer|int|dateTimeOrigination)$")
    return aside


def _tidy(raw: RawTable) -> RawTable:
    """Say of each CMR among the rows that it is none of a call."""
    kind = raw.columns.get("cdrRecordType")
    if kind is None:
        return raw
    is_cmr = matches(clean_text(kind), _CMR)
    if not bool(is_cmr.any()):
        return raw
    words = pa.scalar("the row is a CMR, about the quality of a call, not a CDR", TEXT)
    before = pa.nulls(len(raw), TEXT) if raw.problem is None else raw.problem
    return replace(raw, problem=pc.if_else(pa.array(is_cmr), pc.coalesce(before, words), before))


def interpret(fields: Fields, options: Options) -> Record:
    """Give Cisco's columns their meaning.

    Raises
    ------
    CdrFormatError
        If the table holds CMRs.
    """
    if "dateTimeOrigination" not in fields and "dateTimeStamp" in fields:
        msg = f"{options.where}: {_CMRS}"
        raise CdrFormatError(msg)
    fields.prepare(_READ)
    caller, session = fields["callingPartyNumber"], fields["origDeviceSessionID"]
    called = pc.coalesce(fields["finalCalledPartyNumber"], fields["originalCalledPartyNumber"])
    word, cause = _cleared(fields, options)
    if "dateTimeConnect" not in fields and "duration" not in fields:
        word = None  # causes tell of calls that were not answered, and nobody can say which those are
    direction, calls_out = _directions(fields, caller)
    return Record(
        started=_unsigned(fields["dateTimeOrigination"]),
        answered=_unsigned(fields["dateTimeConnect"]) if "dateTimeConnect" in fields else None,
        ended=_unsigned(fields["dateTimeDisconnect"]),
        billable=fields["duration"] if "duration" in fields else None,  # noqa: SIM401 - Fields is no dict
        leg_id=fields["pkid"],
        call_key=pc.coalesce(fields["pkid"], session),
        linked_id=_linked(fields),
        direction=direction,
        from_number=caller,
        to_number=called,
        sip_username=pc.coalesce(
            fields["callingPartyUnicodeLoginUserID"], fields["finalCalledPartyUnicodeLoginUserID"]
        ),
        word=word,
        cause=cause,
        calls_out=calls_out,
        is_helper=np.logical_or.reduce([matches(fields[name], _RECORDING) for name in _ON_BEHALF]),
        derive_missing=True,
    )


def _unsigned(epoch: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return epochs that a database printed as signed numbers as what they are: 32 bits without a sign."""
    wrapped = matches(epoch, r"^-\d{9,10}$")
    if not bool(wrapped.any()):
        return epoch
    mask = pa.array(wrapped)
    values = pc.add(epoch.filter(mask).cast(pa.int64()), _WRAPS).cast(TEXT)
    return pc.replace_with_mask(epoch, mask, values)


def _linked(fields: Fields) -> pa.LargeStringArray:
    """Return cluster, node and number of the call; a number without its node is used again elsewhere."""
    slash = pa.scalar("/", TEXT)
    local = pc.binary_join_element_wise(
        fields["globalCallID_callManagerId"], fields["globalCallID_callId"], slash
    )
    return pc.coalesce(pc.binary_join_element_wise(fields["globalCallId_ClusterID"], local, slash), local)


def _cleared(fields: Fields, options: Options) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return the word that tells the outcome of a call nobody answered, and the cause as the system gives it.

    Only the side that cleared has a cause; where both have one and they differ, both are
    shown. A normal end, 16, tells only where the calling side cleared.
    """
    orig, dest = fields["origCause_value"], fields["destCause_value"]
    no_orig, no_dest = matches(orig, r"^0+$"), matches(dest, r"^0+$")
    by_orig, by_dest = with_missing(orig, no_orig), with_missing(dest, no_dest)
    both = np.asarray(by_orig.is_valid()) & np.asarray(by_dest.is_valid())
    differ = both & np.asarray(pc.fill_null(pc.not_equal(by_orig, by_dest), fill_value=False))
    cause = pc.coalesce(by_orig, by_dest, orig, dest)
    if bool(differ.any()):
        pair = pc.binary_join_element_wise(by_orig, by_dest, pa.scalar("/", TEXT))
        cause = pc.if_else(pa.array(differ), pair, cause)
    # One side's 0 beside a column that is not there, or empty, does not say who cleared.
    tells = (
        both
        | (np.asarray(by_orig.is_valid()) & no_dest)
        | (np.asarray(by_dest.is_valid()) & no_orig)
        | (no_orig & no_dest)
    )
    if "16" not in options.status_map:
        tells &= ~matches(cause, "^16$") | (np.asarray(by_orig.is_valid()) & no_dest)
    return with_missing(cause, ~tells), cause


def _directions(fields: Fields, caller: pa.LargeStringArray) -> tuple[pa.LargeStringArray, NDArray[np.bool_]]:
    """Tell a direction where the devices on both sides do; a name that says nothing leaves it open."""
    orig, dest = fields["origDeviceName"], fields["destDeviceName"]
    from_phone, to_phone = matches(orig, _PHONE), matches(dest, _PHONE)
    inbound = ~from_phone & matches(orig, _TRUNK) & to_phone & matches(caller, _OUTSIDE)
    nothing = pa.scalar(None, TEXT)
    direction = pc.if_else(pa.array(inbound), pa.scalar("inbound", TEXT), nothing)
    direction = pc.if_else(pa.array(from_phone & to_phone), pa.scalar("internal", TEXT), direction)
    return direction, from_phone & ~to_phone & matches(dest, _TRUNK)


FORMATS: Final = (
    CdrFormat(
        name="cisco-cucm",
        title="Cisco CUCM CDR",
        names=NAMES,
        statuses=STATUSES,
        recognise=recognise,
        interpret=interpret,
        layouts=_layouts,
        not_records=_not_records,
        tidy=_tidy,
        aliases=("cucm", "cisco", "callmanager"),
        row_by_row=True,
    ),
)
