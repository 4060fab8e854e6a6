"""One fault: what happens to one request, with everything that can be said about it.

Input: an entry of a script or of the shares; output: a frozen `Fault`, whose combination of
options can be played, and whose repr can be pasted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.kinds import AFTER_ANSWER, ERRORS, SLOW, FaultKind
from sippet_reconcile.sandbox.loading import check_value
from sippet_reconcile.sandbox.switches import AuthFailure, RateLimitStyle, choose

__all__ = ["NO_FAULT", "Entry", "Fault", "RetryAfterForm", "pasteable"]

_LARGEST_STATUS: Final = 599
_SMALLEST_STATUS: Final = 400
_TOO_MANY: Final = 429
_SPREAD_S: Final = 10.0
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})


class RetryAfterForm(StrEnum):
    """How ``retry-after`` is written.

    Examples
    --------
    >>> Fault("throttle", retry_after_s=5, retry_after_form=RetryAfterForm.DATE)
    Fault('throttle', retry_after_s=5, retry_after_form='date')
    """

    SECONDS = "seconds"
    DATE = "date"
    ABSENT = "absent"


@dataclass(frozen=True, repr=False)
class Fault:
    """What happens to one request.

    Attributes
    ----------
    kind
        See `FaultKind`; its text does as well.
    status
        The status of an ``error`` or ``error_after``.
    retry_after_s
        The ``retry-after`` of a ``throttle``, ``error`` or ``error_after``; None leaves it
        out. None in a script takes ``Faults.retry_after_s`` for a ``throttle``.
    latency_s
        Seconds to wait before the request is looked at, on top of the general latency.
    hold_s
        Seconds to wait between applying and answering: a client that gives up in
        between has lost the answer to something that happened.
    retry_after_form
        ``"seconds"``, ``"date"`` (a moment of the clock, which lies in the past where
        `retry_after_s` is negative) or ``"absent"``; None takes that of the `Faults`.
    style
        How a ``throttle`` looks (see `RateLimitStyle`), or ``expired`` (see
        `AuthFailure`); None takes the switch.
    headers
        Headers of the answer to set, over those it has.
    body
        The page of an ``error``, ``error_after`` or ``garbled``; None for the usual one.
    changes
        Attributes and values that somebody else writes (``changed_before`` and
        ``changed_after`` kinds), or that ``coupled`` adds; None lets the seed choose.
    fields
        The sent attributes that are ``ignored`` or ``coerced``; none means all.
    call_ids
        The calls that ``changed_after`` and ``deleted_after`` are limited to; none means
        all that the answer shows.
    spread_s
        Seconds over which a ``slow_head`` or ``slow_body`` dribbles.
    dice
        A number that stands for what `changes` leaves open; drawn by the seed.

    Examples
    --------
    >>> Fault.of("lost_answer").kind, Fault.of(503).status, Fault.of(None).kind
    (<FaultKind.LOST_ANSWER: 'lost_answer'>, 503, <FaultKind.NONE: 'none'>)
    >>> Fault("throttle", retry_after_s=-30, retry_after_form="date")
    Fault('throttle', retry_after_s=-30, retry_after_form='date')
    """

    kind: FaultKind | str = FaultKind.NONE
    status: int = 503
    retry_after_s: float | None = None
    latency_s: float = 0.0
    hold_s: float = 0.0
    retry_after_form: RetryAfterForm | str | None = None
    style: RateLimitStyle | AuthFailure | str | None = None
    headers: Mapping[str, str] | None = field(default=None, hash=False)
    body: str | None = None
    changes: Mapping[str, Any] | None = field(default=None, hash=False)
    fields: Sequence[str] = ()
    call_ids: Sequence[str] = ()
    spread_s: float = _SPREAD_S
    dice: int = 1

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", FaultKind(self.kind))
        except ValueError:
            listed = ", ".join(repr(str(kind)) for kind in FaultKind)
            msg = f"a fault is one of {listed}, or a status; got {self.kind!r}"
            raise InputError(msg) from None
        if not _SMALLEST_STATUS <= self.status <= _LARGEST_STATUS:
            msg = f"a fault's status lies between 400 and 599, got {self.status}"
            raise InputError(msg)
        object.__setattr__(self, "fields", _texts("fields", self.fields))
        object.__setattr__(self, "call_ids", _texts("call_ids", self.call_ids))
        for name in ("headers", "changes"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, dict(getattr(self, name)))
        self._refuse_misplaced()
        if _FRAMING & {name.lower() for name in self.headers or {}}:
            msg = "headers cannot say where the answer ends; take short_length, long_length or broken_chunk"
            raise InputError(msg)
        check_seconds(latency_s=self.latency_s, hold_s=self.hold_s, spread_s=self.spread_s)
        for name, value in (self.changes or {}).items():
            check_value(name, value)
        for name in self.fields:
            check_value(name, None)
        self._check_style()
        self._check_retry_after()

    def _refuse_misplaced(self) -> None:
        """Refuse an option that the kind would not look at: a script must not say more than is played."""
        for option, is_given, kinds in (
            ("status", self.status != 503, ERRORS),  # noqa: PLR2004 - the default
            ("retry_after_s", self.retry_after_s is not None, {*ERRORS, FaultKind.THROTTLE}),
            ("retry_after_form", self.retry_after_form is not None, {*ERRORS, FaultKind.THROTTLE}),
            ("style", self.style is not None, {FaultKind.THROTTLE, FaultKind.EXPIRED}),
            ("body", self.body is not None, {*ERRORS, FaultKind.GARBLED}),
            ("changes", self.changes is not None, _CHANGING),
            ("fields", bool(self.fields), {FaultKind.IGNORED, FaultKind.COERCED}),
            ("call_ids", bool(self.call_ids), AFTER_ANSWER),
            ("spread_s", self.spread_s != _SPREAD_S, SLOW),
        ):
            if is_given and self.kind not in kinds:
                listed = ", ".join(repr(str(kind)) for kind in FaultKind if kind in kinds)
                msg = f"{option} says nothing about a fault {str(self.kind)!r}; it belongs to {listed}"
                raise InputError(msg)

    def _check_style(self) -> None:
        if self.style is not None:
            choices: type[StrEnum] = RateLimitStyle if self.kind is FaultKind.THROTTLE else AuthFailure
            object.__setattr__(self, "style", choose("style", self.style, choices))

    def _check_retry_after(self) -> None:
        form = self.retry_after_form
        if form is not None:
            form = choose("retry_after_form", form, RetryAfterForm)
            object.__setattr__(self, "retry_after_form", form)
        check_retry_after(self.retry_after_s, form)
        is_refused = self.style not in {None, RateLimitStyle.TOO_MANY}
        if is_refused and (self.retry_after_s is not None or form is not None):
            msg = f"a throttle in the style {str(self.style)!r} carries no retry-after; put it into headers"
            raise InputError(msg)

    def __repr__(self) -> str:
        return pasteable(self, str(self.kind))

    @classmethod
    def of(cls, item: Entry) -> Fault:
        """Read one entry of a script: a fault, its kind's word, a status, or None for no fault."""
        if isinstance(item, Fault):
            return item
        if item is None:
            return cls()
        if isinstance(item, int):
            return cls(FaultKind.THROTTLE) if item == _TOO_MANY else cls(FaultKind.ERROR, status=item)
        return cls(item)

    @property
    def entry(self) -> Entry:
        """The shortest entry of a script that reads as this fault."""
        if self == NO_FAULT:
            return None
        if self == Fault(self.kind):
            return str(self.kind)
        return self.status if self == Fault.of(self.status) else self


Entry: TypeAlias = Fault | FaultKind | str | int | None
"""A fault, the word of its kind, a status, or None for no fault."""

_CHANGING: Final = frozenset(
    {FaultKind.CHANGED_SENT, FaultKind.CHANGED_OTHER, FaultKind.CHANGED_AFTER, FaultKind.COUPLED}
)


def check_seconds(**options: float) -> None:
    """Refuse seconds that nobody can wait."""
    for name, value in options.items():
        if not (value >= 0 and math.isfinite(value)):
            msg = f"{name} must be a number of seconds, 0 or more, got {value!r}"
            raise InputError(msg)


def check_retry_after(seconds: float | None, form: RetryAfterForm | str | None) -> None:
    """Refuse a ``retry-after`` that cannot be written."""
    if seconds is None:
        return
    if not math.isfinite(seconds):
        msg = f"retry_after_s must be a number of seconds, got {seconds!r}"
        raise InputError(msg)
    if seconds < 0 and form != RetryAfterForm.DATE:
        msg = f"retry_after_s of {seconds!r} cannot be written in seconds; a date can lie in the past"
        raise InputError(msg)


def _texts(name: str, given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        msg = f"{name} is a list of texts, got the text {given!r}; write [{given!r}]"
        raise InputError(msg)
    return tuple(given)


def pasteable(given: Any, *first: object) -> str:
    """Return the call that makes an equal dataclass: `first`, and what differs from the defaults."""
    words = [repr(value) for value in first]
    for item in fields(given)[len(words) :]:
        value = getattr(given, item.name)
        if value != item.default:
            words.append(f"{item.name}={_plain(value)!r}")
    return f"{type(given).__name__}({', '.join(words)})"


def _plain(value: Any) -> Any:
    """Return a value whose repr can be pasted: words for members of an enum."""
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value.entry if isinstance(value, Fault) else value


NO_FAULT: Final = Fault()
"""What most requests meet."""
