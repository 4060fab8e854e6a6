"""The ways in which one request can go wrong: the words of a fault script, and what each needs.

Input: none; output: the enum `FaultKind` and sets of its members. Every line says what
happens, whether the PATCH was applied, and what the client sees.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = [
    "AFTER_ANSWER",
    "ERRORS",
    "NOT_APPLIED",
    "ON_PATCH",
    "RAW",
    "SLOW",
    "SOMEBODY_ELSE",
    "FaultKind",
]


class FaultKind(StrEnum):
    """The ways in which a request can go wrong; `is_applied` tells whether a PATCH is written.

    Examples
    --------
    >>> FaultKind("lost_answer").is_applied, FaultKind("reset").is_applied
    (True, False)
    """

    NONE = "none"
    """Nothing: the request is answered, after its latency."""

    # Refused, nothing written.

    THROTTLE = "throttle"
    """Refused before it is applied, in the style of the fault or of ``Switches.rate_limit_style``."""

    ERROR = "error"
    """An error status before it is applied, in the shape that the part which sends it gives it."""

    EXPIRED = "expired"
    """The token is taken for invalid, in the style of the fault or of ``Switches.auth_failure``."""

    RESET = "reset"
    """Not applied; the connection is reset."""

    CLOSED = "closed"
    """Not applied; the connection is closed in order, without a byte of an answer."""

    EARLY_ANSWER = "early_answer"
    """Not applied; a proxy answers 503 as soon as the head is there, before the body was read."""

    # Applied, and the answer is lost.

    LOST_ANSWER = "lost_answer"
    """Applied; the answer's head and half of its body are sent, then the connection closes."""

    LOST_CHUNKED = "lost_chunked"
    """Applied; the same with a chunked body, whose last chunk never comes."""

    LOST_HEAD = "lost_head"
    """Applied; half of the answer's head is sent, then the connection closes."""

    DROPPED_ANSWER = "dropped_answer"
    """Applied; the connection is reset before a byte of the answer."""

    CLOSED_ANSWER = "closed_answer"
    """Applied; the connection is closed in order before a byte of the answer."""

    # Applied, and something in between answers.

    ERROR_AFTER = "error_after"
    """Applied; then an error status, as from a gateway that lost patience with the server."""

    GARBLED = "garbled"
    """Applied; answered 200 with a page that is no JSON, as a captive portal or a bad proxy does."""

    NO_CONTENT = "no_content"
    """Applied; answered 204 without a body."""

    REDIRECT = "redirect"
    """Applied; answered 302 to a page to sign in at, on another port of this machine."""

    # Applied, answered 200, and the document is broken.

    EMPTY_BODY = "empty_body"
    """Applied; 200 with the right type and a body of no bytes."""

    JSON_NULL = "json_null"
    """Applied; 200 with ``null``."""

    JSON_LIST = "json_list"
    """Applied; 200 with the document in a list."""

    JSON_TRUNCATED = "json_truncated"
    """Applied; 200 with the first half of the document, under its own right length."""

    JSON_WRONG_TYPES = "json_wrong_types"
    """Applied; 200 with text where numbers belong and numbers where text does."""

    JSON_NAN = "json_nan"
    """Applied; 200 with ``NaN`` as the duration, which is no JSON though many parsers take it."""

    JSON_BAD_UTF8 = "json_bad_utf8"
    """Applied; 200 with a byte that is no UTF-8 inside a text."""

    # Slow.

    SLOW_HEAD = "slow_head"
    """Applied; the head of the answer dribbles over ``spread_s`` seconds, the body follows at once."""

    SLOW_BODY = "slow_body"
    """Applied; the head comes at once, the body dribbles over ``spread_s`` seconds."""

    # A whole answer that says something else than was asked.

    WRONG_ID = "wrong_id"
    """Applied; the (first) call of the answer is another one that exists."""

    UNKNOWN_ID = "unknown_id"
    """Applied; the (first) call of the answer has an id that no call has."""

    STALE_ANSWER = "stale_answer"
    """Applied; the answer shows the call as it was before, as a lagging replica does."""

    ECHOED = "echoed"
    """Not applied; the answer shows the values as sent all the same."""

    IGNORED = "ignored"
    """Not applied, as to ``fields`` (all, where none is named); 200 shows what is stored."""

    COERCED = "coerced"
    """Applied with other values: seconds up to the next minute, instants down, case swapped, another status."""

    COUPLED = "coupled"
    """Applied, and the server changes more: ``changes``, or the end with the duration and vice versa."""

    OTHER_PRECISION = "other_precision"
    """Applied; this answer has instants with the other number of decimals than the switch says."""

    OTHER_NIL = "other_nil"
    """Applied; this answer omits missing values where the switch says null, and vice versa."""

    # Somebody else's hands.

    CHANGED_SENT = "changed_sent"
    """Right before a PATCH is applied, somebody changes a field that it sends, which it overwrites."""

    CHANGED_OTHER = "changed_other"
    """Right before a PATCH is applied, somebody changes a field that it does not send."""

    DELETED_BEFORE = "deleted_before"
    """Not applied; the call is deleted right before: 404."""

    CHANGED_AFTER = "changed_after"
    """Applied; right after the answer was made somebody changes the calls it shows (see ``changes``)."""

    DELETED_AFTER = "deleted_after"
    """Applied; right after the answer was made the calls it shows are deleted."""

    # Bytes that no web framework would send.

    NO_HTTP = "no_http"
    """Applied; the bytes that come back are the greeting of a mail server."""

    BROKEN_STATUS = "broken_status"
    """Applied; the status line has letters for digits."""

    ENDLESS_HEAD = "endless_head"
    """Applied; header follows on header, a megabyte of them, and then the connection closes."""

    SHORT_LENGTH = "short_length"
    """Applied; content-length is ten bytes less than the body; the connection stays open with the rest in it."""

    LONG_LENGTH = "long_length"
    """Applied; content-length is ten bytes more than the body, and nothing more comes."""

    BROKEN_CHUNK = "broken_chunk"
    """Applied; the size of the second chunk is no number."""

    GZIP_CLAIMED = "gzip_claimed"
    """Applied; content-encoding says gzip of a body that is plain."""

    GZIP_TRUNCATED = "gzip_truncated"
    """Applied; the first half of a gzip body, under its own right length."""

    TWO_ANSWERS = "two_answers"
    """Applied; the answer comes twice, in one piece, and the connection stays open."""

    HALF_CLOSED = "half_closed"
    """Applied and answered; then the server closes its sending side without having said so."""

    @property
    def is_applied(self) -> bool:
        """Whether a PATCH that meets this fault is written, as sent or changed by the server."""
        return self not in NOT_APPLIED


NOT_APPLIED: Final = frozenset(
    {
        FaultKind.THROTTLE,
        FaultKind.ERROR,
        FaultKind.EXPIRED,
        FaultKind.RESET,
        FaultKind.CLOSED,
        FaultKind.EARLY_ANSWER,
        FaultKind.ECHOED,
        FaultKind.IGNORED,
        FaultKind.DELETED_BEFORE,
    }
)
"""After these a PATCH has written nothing."""

ON_PATCH: Final = frozenset(
    {
        FaultKind.STALE_ANSWER,
        FaultKind.ECHOED,
        FaultKind.IGNORED,
        FaultKind.COERCED,
        FaultKind.COUPLED,
        FaultKind.CHANGED_SENT,
        FaultKind.CHANGED_OTHER,
        FaultKind.DELETED_BEFORE,
    }
)
"""These can happen to a PATCH only."""

ERRORS: Final = frozenset({FaultKind.ERROR, FaultKind.ERROR_AFTER})
"""These have a status."""

SLOW: Final = frozenset({FaultKind.SLOW_HEAD, FaultKind.SLOW_BODY})
"""These take ``spread_s``."""

AFTER_ANSWER: Final = frozenset({FaultKind.CHANGED_AFTER, FaultKind.DELETED_AFTER})
"""These happen to the calls an answer shows, once it is made."""

SOMEBODY_ELSE: Final = AFTER_ANSWER | {
    FaultKind.CHANGED_SENT,
    FaultKind.CHANGED_OTHER,
    FaultKind.DELETED_BEFORE,
}
"""These change calls behind the client's back."""

RAW: Final = frozenset(
    {
        FaultKind.LOST_ANSWER,
        FaultKind.LOST_CHUNKED,
        FaultKind.LOST_HEAD,
        FaultKind.SLOW_HEAD,
        FaultKind.NO_HTTP,
        FaultKind.BROKEN_STATUS,
        FaultKind.ENDLESS_HEAD,
        FaultKind.SHORT_LENGTH,
        FaultKind.LONG_LENGTH,
        FaultKind.BROKEN_CHUNK,
        FaultKind.TWO_ANSWERS,
        FaultKind.HALF_CLOSED,
    }
)
"""These are written as bytes on the connection, past the HTTP server."""
