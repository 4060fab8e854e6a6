"""Decide whether a request is worth another attempt, and when. Pure: no clock, no sleep, no socket.

Input is an `Exchange` and how often it was tried; output is `Retry` or `GiveUp`. Only
what is known to be transient is tried again, a few times, with full jitter: some 500s
are permanent bad input in disguise. A PATCH whose answer was lost is never simply sent
again: the call is read first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from sippet_reconcile.api.exchange import Exchange

__all__ = ["MAX_ATTEMPTS", "MAX_RETRY_AFTER_S", "GiveUp", "Retry", "backoff_s", "decide", "parse_retry_after"]

MAX_ATTEMPTS: Final = 5
"""Attempts of one request, the first included."""

MAX_RETRY_AFTER_S: Final = 3600.0
"""The longest ``Retry-After`` that is taken at its word; a longer one counts as this."""

_MAX_ATTEMPTS_500: Final = 3
_BASE_S: Final = 0.5
_CAP_S: Final = 20.0
_INTERNAL_ERROR: Final = 500


@dataclass(frozen=True)
class Retry:
    """Try again after so many seconds."""

    after_s: float


@dataclass(frozen=True)
class GiveUp:
    """Do not try again, and why."""

    reason: str


def parse_retry_after(text: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait, or None where it says nothing usable.

    Whole or decimal seconds and HTTP dates are read; the result lies between 0 and
    `MAX_RETRY_AFTER_S`.

    Examples
    --------
    >>> noon = datetime(2026, 10, 1, 12, 0, 0, tzinfo=UTC)
    >>> parse_retry_after("3", now=noon), parse_retry_after("Thu, 01 Oct 2026 12:00:30 GMT", now=noon)
    (3.0, 30.0)
    >>> parse_retry_after("soon", now=noon) is None
    True
    """
    text = (text or "").strip()
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", text):
        return min(float(text), MAX_RETRY_AFTER_S)
    if not text or text.lstrip("+-").isdigit():
        return None
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return min(max((at - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


def backoff_s(attempt: int, *, random: Callable[[], float]) -> float:
    """Return a wait with full jitter: anything from nothing to a bound that doubles.

    Examples
    --------
    >>> backoff_s(1, random=lambda: 1.0), backoff_s(3, random=lambda: 1.0), backoff_s(60, random=lambda: 1.0)
    (0.5, 2.0, 20.0)
    """
    bound = min(_CAP_S, _BASE_S * 2.0 ** min(attempt - 1, 16))
    return bound * random()


def decide(
    exchange: Exchange,
    attempt: int,
    *,
    random: Callable[[], float],
    max_attempts: int = MAX_ATTEMPTS,
    max_wait_s: float = 300.0,
) -> Retry | GiveUp:
    """Say whether a request that did not succeed is worth another attempt.

    For a PATCH, `Retry` means that the call should be read again first wherever
    ``exchange.may_have_been_applied``.

    Parameters
    ----------
    exchange
        What came of the latest attempt.
    attempt
        Its number, counted from 1.
    random
        Returns a number from 0 to 1.
    max_attempts
        Attempts in all; a plain 500 gets at most 3 of them.
    max_wait_s
        Give up where the server asks to wait longer.
    """
    kind = str(exchange.kind)
    if kind == "lost" and exchange.method == "PATCH":
        return GiveUp("the answer was lost: read the call before deciding")
    if kind not in {"throttled", "transient", "lost", "not_sent"}:
        return GiveUp(f"{kind}: the same request would come to the same")
    allowed = min(max_attempts, _MAX_ATTEMPTS_500) if exchange.status == _INTERNAL_ERROR else max_attempts
    if attempt >= allowed:
        return GiveUp(f"gave up after {attempt} attempts")
    jitter_s = backoff_s(attempt, random=random)
    if exchange.retry_after_s is None:
        return Retry(jitter_s)
    if exchange.retry_after_s > max_wait_s:
        return GiveUp(f"the server asks to wait {exchange.retry_after_s:.0f} s")
    # Never earlier than asked; the jitter on top keeps workers from returning all at once.
    return Retry(exchange.retry_after_s + min(jitter_s, 1.0))
