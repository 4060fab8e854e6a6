"""What a cause or code says about a call that was not answered: FreeSWITCH's names, Q.850 numbers, SIP responses.

Keys are in the form of `status_word`, values are statuses. Where systems translate one
code differently, the table follows what most of them mean by it; ``status_map=`` overrules.
"""

from __future__ import annotations

from typing import Final

__all__ = ["FREESWITCH", "Q850", "SIP"]

_NO_ANSWER: Final = "NO_ANSWER NO_USER_RESPONSE ALLOTTED_TIMEOUT PROGRESS_TIMEOUT NO_PICKUP SUBSCRIBER_ABSENT"
_BUSY: Final = "USER_BUSY BUSY_EVERYWHERE"
_CANCELED: Final = "ORIGINATOR_CANCEL LOSE_RACE PICKED_OFF"
# A leg that was handed over, or of which only its end is told, says nothing about the call.
_UNKNOWN: Final = "NORMAL_CLEARING BLIND_TRANSFER ATTENDED_TRANSFER BOWOUT SUCCESS NONE UNSPECIFIED"
_FAILED: Final = (
    "UNALLOCATED_NUMBER NO_ROUTE_TRANSIT_NET NO_ROUTE_DESTINATION CHANNEL_UNACCEPTABLE CALL_REJECTED "
    "CALL_AWARDED_DELIVERED NUMBER_CHANGED REDIRECTION_TO_NEW_DESTINATION EXCHANGE_ROUTING_ERROR "
    "DESTINATION_OUT_OF_ORDER INVALID_NUMBER_FORMAT FACILITY_REJECTED RESPONSE_TO_STATUS_ENQUIRY NORMAL_UNSPECIFIED "
    "NORMAL_CIRCUIT_CONGESTION NETWORK_OUT_OF_ORDER NORMAL_TEMPORARY_FAILURE SWITCH_CONGESTION ACCESS_INFO_DISCARDED "
    "REQUESTED_CHAN_UNAVAIL PRE_EMPTED FACILITY_NOT_SUBSCRIBED OUTGOING_CALL_BARRED INCOMING_CALL_BARRED "
    "BEARERCAPABILITY_NOTAUTH BEARERCAPABILITY_NOTAVAIL SERVICE_UNAVAILABLE BEARERCAPABILITY_NOTIMPL "
    "CHAN_NOT_IMPLEMENTED FACILITY_NOT_IMPLEMENTED SERVICE_NOT_IMPLEMENTED INVALID_CALL_REFERENCE "
    "INCOMPATIBLE_DESTINATION INVALID_MSG_UNSPECIFIED MANDATORY_IE_MISSING MESSAGE_TYPE_NONEXIST WRONG_MESSAGE "
    "IE_NONEXIST INVALID_IE_CONTENTS WRONG_CALL_STATE RECOVERY_ON_TIMER_EXPIRE MANDATORY_IE_LENGTH_ERROR "
    "PROTOCOL_ERROR INTERWORKING CRASH SYSTEM_SHUTDOWN MANAGER_REQUEST USER_CHALLENGE MEDIA_TIMEOUT "
    "USER_NOT_REGISTERED INVALID_GATEWAY GATEWAY_DOWN INVALID_URL INVALID_PROFILE DECLINE REJECT_ALL "
    "DOES_NOT_EXIST_ANYWHERE NOT_ACCEPTABLE UNWANTED NO_IDENTITY INVALID_IDENTITY BAD_IDENTITY_INFO STALE_DATE "
    "UNSUPPORTED_CERTIFICATE SRTP_READ_ERROR"
)

FREESWITCH: Final = {
    cause: status
    for status, causes in (
        ("no_answer", _NO_ANSWER),
        ("busy", _BUSY),
        ("canceled", _CANCELED),
        ("unknown", _UNKNOWN),
        ("failed", _FAILED),
    )
    for cause in causes.split()
}
"""FreeSWITCH's hangup causes, as ``switch_types.h`` numbers and ``switch_channel.c`` names them."""

Q850: Final = {
    str(number): status
    for status, numbers in (
        ("no_answer", (18, 19, 20, 102)),
        ("busy", (17,)),
        ("unknown", (0, 16, 26)),
        ("failed", (*range(1, 10), *range(21, 26), *range(27, 32), 34, *range(38, 48), 49, 50, *range(52, 56), 57, 58, 62, 63,
                    65, 66, 69, 70, 79, *range(81, 89), 90, 91, *range(95, 102), 103, 110, 111, 127)),
        ("canceled", (487,)),
    )
    for number in numbers
}  # fmt: skip
"""ITU-T Q.850 cause numbers; 487 is FreeSWITCH's own for a caller who gave up. 16, a normal end, says nothing."""

SIP: Final = {
    str(code): status
    for status, codes in (
        ("no_answer", (408, 480)),
        ("busy", (486, 600)),
        ("canceled", (487,)),
        # A code that nobody has defined yet counts as the first of its class, which is a failure.
        ("failed", (code for code in range(300, 700) if code not in (408, 480, 486, 487, 600))),
    )
    for code in codes
}  # fmt: skip
"""Final SIP responses that are no success (RFC 3261). 603 is a refusal here; some platforms count it as not answered."""
