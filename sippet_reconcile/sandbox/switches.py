"""What the sandbox does where nobody outside knows what the real server does.

The API's documents leave several choices open: how a refused token is answered,
what a rate limit looks like, how precise instants are. Each is a switch here, so a
client can be tried against every answer. Input: none; output: one frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from sippet_reconcile.errors import InputError

__all__ = ["DIRECTIONS", "STATUSES", "AuthFailure", "Pagination", "RateLimitStyle", "Switches", "choose"]

STATUSES: Final = (
    "initiated",
    "ringing",
    "answered",
    "completed",
    "busy",
    "no_answer",
    "failed",
    "canceled",
    "missed",
    "voicemail",
)
"""The statuses the sandbox knows unless told otherwise; the real list is not published."""

DIRECTIONS: Final = ("inbound", "outbound", "internal")
"""The directions the sandbox knows besides those of its calls."""


class AuthFailure(StrEnum):
    """How a request without a valid token is answered.

    Examples
    --------
    >>> Switches(auth_failure=AuthFailure.EMPTY).auth_failure.value
    '200-empty'
    """

    FORBIDDEN = "403"
    UNAUTHORIZED_JSON = "401-json"
    UNAUTHORIZED_TEXT = "401-text"
    EMPTY = "200-empty"


class RateLimitStyle(StrEnum):
    """What a request over the rate limit is answered.

    Examples
    --------
    >>> Switches(rate_limit_style="403-text", rate_limit_per_s=10).rate_limit_style
    <RateLimitStyle.FORBIDDEN_TEXT: '403-text'>
    """

    TOO_MANY = "429"
    FORBIDDEN_TEXT = "403-text"
    FORBIDDEN = "403-forbidden"


class Pagination(StrEnum):
    """How the index pages, where it does.

    Examples
    --------
    >>> Switches(pagination="keyset").pagination
    <Pagination.KEYSET: 'keyset'>
    """

    OFFSET = "offset"
    KEYSET = "keyset"


@dataclass(frozen=True)
class Switches:
    """Choices of the real server that are unknown; every default is the likeliest answer.

    Attributes
    ----------
    auth_failure
        ``"403"`` (a JSON:API ``forbidden``), ``"401-json"``, ``"401-text"`` or
        ``"200-empty"``: an index without rows, and 404 on a PATCH.
    rate_limit_style
        ``"429"`` with ``retry-after``, ``"403-text"`` or ``"403-forbidden"``; used by the
        limiter below and by throttling faults.
    rate_limit_per_s
        Requests the server takes in any one second; None for no limit. Requests
        over it are refused and counted in ``Sandbox.rate_violations``.
    time_precision
        Decimals of seconds in instants: 6 or 0. With 0 fractions are dropped on
        writing, as a column of whole seconds does.
    omit_nil
        Leave attributes without a value out instead of sending null.
    atomic
        Whether the update action is atomic: an unreadable ``ended_at`` or id in the
        URL is then a 500, otherwise a 400.
    statuses
        The values of the status enum; those of the loaded calls are added.
    pagination
        None (pages are ignored, as the documents suggest), ``"offset"`` or ``"keyset"``.
    max_page_size
        Rows a page holds at most. Asking for more is no error: the answer has one row more
        than this, claims the asked limit and names no next page, as the real library does.

    Examples
    --------
    >>> Switches(auth_failure="401-json").auth_failure
    <AuthFailure.UNAUTHORIZED_JSON: '401-json'>
    """

    auth_failure: AuthFailure | str = AuthFailure.FORBIDDEN
    rate_limit_style: RateLimitStyle | str = RateLimitStyle.TOO_MANY
    rate_limit_per_s: float | None = None
    time_precision: int = 6
    omit_nil: bool = False
    atomic: bool = True
    statuses: tuple[str, ...] = STATUSES
    pagination: Pagination | str | None = None
    max_page_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "auth_failure", choose("auth_failure", self.auth_failure, AuthFailure))
        object.__setattr__(
            self, "rate_limit_style", choose("rate_limit_style", self.rate_limit_style, RateLimitStyle)
        )
        if self.pagination is not None:
            object.__setattr__(self, "pagination", choose("pagination", self.pagination, Pagination))
        object.__setattr__(self, "statuses", tuple(self.statuses))
        if self.time_precision not in {0, 6}:
            msg = f"time_precision must be 0 or 6 decimals of a second, got {self.time_precision!r}"
            raise InputError(msg)
        if self.rate_limit_per_s is not None and not self.rate_limit_per_s >= 1:
            msg = f"rate_limit_per_s must be 1 or more, or None for no limit, got {self.rate_limit_per_s!r}"
            raise InputError(msg)
        if self.max_page_size is not None and self.max_page_size < 1:
            msg = f"max_page_size must be 1 or more, or None for no maximum, got {self.max_page_size!r}"
            raise InputError(msg)


_Choice = TypeVar("_Choice", bound=StrEnum)


def choose(name: str, value: str, choices: type[_Choice]) -> _Choice:
    """Return the member of an enum that a text names, or refuse it with all that would do."""
    try:
        return choices(value)
    except ValueError:
        listed = ", ".join(repr(str(choice)) for choice in choices)
        msg = f"{name} must be one of {listed}, got {value!r}"
        raise InputError(msg) from None
