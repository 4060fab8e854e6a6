"""Decide whether a request is worth another attempt, and when. Pure: no clock, no sleep, no socket.

Input is an `Exchange` and how often it was tried; output is `Retry` or `GiveUp`. What is
tried again, how often and who waits is a table, `RULES`: one row for each class of
failure. Waits have full jitter. `RetryBudget` bounds what all requests of a run may
repeat together. That a PATCH is never repeated before its call was read again is not
decided here: it holds for every row of the table, and `apply.sending` sees to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sippet_reconcile.api.exchange import Exchange

__all__ = [
    "MAX_ATTEMPTS",
    "MAX_RETRY_AFTER_S",
    "MAX_WAIT_S",
    "RULES",
    "GiveUp",
    "Retry",
    "RetryBudget",
    "Rule",
    "backoff_s",
    "decide",
    "naps",
    "parse_retry_after",
    "rule_for",
]

MAX_ATTEMPTS: Final = 5
"""Attempts of one request, the first included."""

MAX_RETRY_AFTER_S: Final = 3600.0
"""The longest ``Retry-After`` that is taken at its word; a longer one counts as this."""

MAX_WAIT_S: Final = 300.0
"""A server that asks to wait longer than this is not waited for."""

_BASE_S: Final = 0.5
_CAP_S: Final = 20.0
_NAP_S: Final = 0.25


@dataclass(frozen=True)
class Rule:
    """What is done about one class of failure.

    Attributes
    ----------
    name
        The class.
    kind, statuses
        The `ExchangeKind` and the HTTP statuses that belong to it; no statuses means all of that kind.
    read, reread, patch
        Attempts in all: of a client's read, of a read of a run (re-reads and read-backs),
        and of the PATCH of one call. 1 means that it is not tried again.
    pauses_everybody
        True where no request of the run leaves meanwhile, False where only this one waits.
    reason
        Why, for a reader and for the log.
    """

    name: str
    kind: str
    statuses: frozenset[int]
    read: int
    reread: int
    patch: int
    pauses_everybody: bool
    reason: str


def _rule(
    name: str,
    kind: str,
    statuses: tuple[int, ...] | range = (),
    *,
    attempts: tuple[int, int, int],
    everybody: bool = False,
    reason: str,
) -> Rule:
    return Rule(name, kind, frozenset(statuses), *attempts, everybody, reason)


# The first row that fits counts. Attempts: of a client's read, of a read of a run, of a PATCH.
RULES: Final = (
    _rule("throttled", "throttled", attempts=(5, 5, 5), everybody=True,
          reason="429, 403 as text, 503 with Retry-After: wait as long as asked, a second at least"),
    _rule("forbidden", "forbidden", attempts=(1, 3, 2), everybody=True,
          reason="403 as JSON: a policy, a dead token, or a rate limiter; a run stops at three in a row"),
    _rule("server error", "transient", (500,), attempts=(3, 3, 3),
          reason="some are permanent bad input, so soon given up"),
    _rule("server away", "transient", attempts=(5, 5, 5),
          reason="408, 425, 502, 503, 504 and other 5xx"),
    _rule("lost", "lost", attempts=(5, 5, 5),
          reason="sent, and no whole answer came"),
    _rule("not sent", "not_sent", attempts=(5, 5, 5),
          reason="no connection, no such host"),
    _rule("redirect", "malformed", range(300, 400), attempts=(1, 1, 1),
          reason="a redirect is not followed, and would be the same again"),
    _rule("malformed", "malformed", attempts=(1, 3, 3),
          reason="no document of the API: a proxy's page, a cut or empty body"),
    _rule("missing", "missing", attempts=(1, 1, 3),
          reason="404 on a PATCH: gone, not visible, or another writer was faster (optimistic locking)"),
    _rule("unauthenticated", "unauthenticated", attempts=(1, 1, 1),
          reason="401: a run stops at the first"),
    _rule("rejected", "rejected", attempts=(1, 1, 1),
          reason="any other 4xx, 413, 414 and 431 among them: the same request would come to the same"),
)  # fmt: skip
"""What is done about each class of failure; the first row that fits counts."""


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


def rule_for(exchange: Exchange) -> Rule | None:
    """Return the row of `RULES` for what came of a request; None where nothing failed.

    Examples
    --------
    >>> from sippet_reconcile.api.exchange import Exchange, ExchangeKind
    >>> rule_for(Exchange(ExchangeKind.TRANSIENT, "GET", status=500)).name
    'server error'
    """
    for rule in RULES:
        if rule.kind == str(exchange.kind) and (not rule.statuses or exchange.status in rule.statuses):
            return rule
    return None


def naps(seconds: float) -> Iterator[float]:
    """Cut a wait into naps, between which a stop, or a Ctrl-C that came right ahead of a nap, is noticed.

    Examples
    --------
    >>> list(naps(0.6)), list(naps(-1.0))
    ([0.25, 0.25, 0.1], [])
    """
    n_whole, rest = divmod(max(seconds, 0.0), _NAP_S)
    yield from repeat(_NAP_S, int(n_whole))
    if rest > 0:
        yield round(rest, 6) or rest


def decide(
    exchange: Exchange,
    attempt: int,
    *,
    random: Callable[[], float],
    max_attempts: int = MAX_ATTEMPTS,
    max_wait_s: float = MAX_WAIT_S,
    in_run: bool = False,
) -> Retry | GiveUp:
    """Say whether a request that did not succeed is worth another attempt.

    For a PATCH, `Retry` means: once the call was read again and still holds what it held.

    Parameters
    ----------
    exchange
        What came of the latest attempt.
    attempt
        Its number, counted from 1.
    random
        Returns a number from 0 to 1.
    max_attempts
        Attempts in all; classes that are soon given up get fewer (`RULES`).
    max_wait_s
        Give up where the server asks to wait longer.
    in_run
        Whether a read belongs to a run, which is more patient than a single read.
    """
    rule = rule_for(exchange)
    if rule is None:
        return GiveUp(f"{exchange.kind}: nothing failed")
    allowed = rule.patch if exchange.method == "PATCH" else rule.reread if in_run else rule.read
    allowed = max_attempts if allowed == MAX_ATTEMPTS else min(allowed, max_attempts)
    if allowed <= 1:
        return GiveUp(f"{exchange.kind}: the same request would come to the same")
    if attempt >= allowed:
        return GiveUp(f"gave up after {attempt} attempts")
    jitter_s = backoff_s(attempt, random=random)
    if exchange.retry_after_s is None:
        return Retry(jitter_s)
    if exchange.retry_after_s > max_wait_s:
        return GiveUp(f"the server asks to wait {exchange.retry_after_s:.0f} s")
    # Never earlier than asked; the jitter on top keeps workers from returning all at once.
    return Retry(exchange.retry_after_s + min(jitter_s, 1.0))


class RetryBudget:
    """How many requests of a run may repeat ones that failed: a floor, and a share of the others.

    Pure; whoever uses it from several threads locks it. By default it lasts while about
    two of five requests fail, where each PATCH that fails costs a re-read as well.

    Examples
    --------
    >>> budget = RetryBudget(floor=1, share=0.5)
    >>> [budget.spend(is_retry=is_retry) for is_retry in (True, True, False, False, True, True)]
    [True, False, True, True, True, False]
    >>> budget.n_requests, budget.n_retries
    (4, 2)
    """

    def __init__(self, *, floor: int = 100, share: float = 2.0) -> None:
        self._floor, self._share = floor, share
        self._n_first = 0
        self.n_retries = 0

    @property
    def n_requests(self) -> int:
        """How many requests it let out."""
        return self._n_first + self.n_retries

    @property
    def allowed(self) -> int:
        """How many of them may be retries, at this moment."""
        return self._floor + int(self._share * self._n_first)

    def spend(self, *, is_retry: bool) -> bool:
        """Count a request that is about to leave; False, and not counted, where the budget is used up."""
        if not is_retry:
            self._n_first += 1
        elif self.n_retries >= self.allowed:
            return False
        else:
            self.n_retries += 1
        return True
