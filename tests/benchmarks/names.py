"""What the generator writes and the cases look for: columns, words, the clock; nothing is imported for it."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ASTERISK", "COMPARED", "COUNTRY", "FREESWITCH", "KEY", "MEANT", "ZONE", "Export"]

ZONE, COUNTRY = "Europe/London", "GB"
KEY: Final = "call_uuid"
COMPARED: Final = ("duration_seconds", "status", "ended_at")
"""What the narrow frames hold beside the key, and the planted errors are in."""

MEANT: Final = {
    "NORMAL_CLEARING": "completed",
    "ORIGINATOR_CANCEL": "canceled",
    "USER_BUSY": "busy",
    "NO_ANSWER": "no_answer",
    "CALL_REJECTED": "failed",
    "NORMAL_UNSPECIFIED": "completed",
}
"""The status that each hangup cause stands for in the generated months."""


class Export(NamedTuple):
    """What a reader has to be told of a switch's export."""

    columns: tuple[str, ...]
    stamps: tuple[str, ...]
    timezone: str
    seconds: tuple[str, str] = ("duration", "billsec")


FREESWITCH: Final = Export(
    ("caller_id_name", "caller_id_number", "destination_number", "context", "start_stamp", "answer_stamp", "end_stamp",
     "duration", "billsec", "hangup_cause", "uuid", "bleg_uuid", "accountcode", "read_codec", "write_codec"),
    ("start_stamp", "answer_stamp", "end_stamp"),
    ZONE,
)  # fmt: skip
ASTERISK: Final = Export(
    ("accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer",
     "end", "duration", "billsec", "disposition", "amaflags", "uniqueid", "userfield"),
    ("start", "answer", "end"),
    "UTC",
)  # fmt: skip
