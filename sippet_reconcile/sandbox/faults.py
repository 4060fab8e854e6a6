"""What goes wrong on the way: the faults a sandbox plays, by script or by share.

A network and a busy server lose, delay and refuse requests. `Faults` says how often
(with a seed, so that a run repeats) or exactly when (a script, one entry per request).
Input: the method of each request; output: the `Fault` it gets, which the application plays.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TypeAlias

from sippet_reconcile.errors import InputError

__all__ = ["Fault", "FaultKind", "FaultSource", "Faults", "Script"]


class FaultKind(StrEnum):
    """The ways in which a request can go wrong."""

    NONE = "none"
    """Nothing: the request is answered, after its latency."""

    THROTTLE = "throttle"
    """Refused before it is applied, in the style of ``Switches.rate_limit_style``."""

    ERROR = "error"
    """A server error before it is applied: the framework's shape for 500, a proxy's page otherwise."""

    LOST_ANSWER = "lost_answer"
    """Applied; the answer's head and half of its body are sent, then the connection closes."""

    DROPPED_ANSWER = "dropped_answer"
    """Applied; the connection is reset before a byte of the answer."""

    RESET = "reset"
    """Not applied; the connection is reset."""

    GARBLED = "garbled"
    """Applied; answered 200 with a page that is no JSON, as a captive portal or a bad proxy does."""


_LARGEST_STATUS: Final = 599
_SMALLEST_STATUS: Final = 400
_TOO_MANY: Final = 429


@dataclass(frozen=True)
class Fault:
    """What happens to one request.

    Attributes
    ----------
    kind
        See `FaultKind`; its text does as well.
    status
        The status of an ``error``.
    retry_after_s
        The ``retry-after`` of a ``throttle``, or of a 503 ``error``; None leaves it out.
        None in a script takes ``Faults.retry_after_s`` for a ``throttle``.
    latency_s
        Seconds to wait before the request is looked at, on top of the general latency.
    hold_s
        Seconds to wait between applying and answering: a client that gives up in
        between has lost the answer to something that happened.

    Examples
    --------
    >>> Fault.of("lost_answer").kind, Fault.of(503).status, Fault.of(None).kind
    (<FaultKind.LOST_ANSWER: 'lost_answer'>, 503, <FaultKind.NONE: 'none'>)
    """

    kind: FaultKind | str = FaultKind.NONE
    status: int = 503
    retry_after_s: float | None = None
    latency_s: float = 0.0
    hold_s: float = 0.0

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

    @classmethod
    def of(cls, item: Fault | FaultKind | str | int | None) -> Fault:
        """Read one entry of a script: a fault, its kind's word, a status, or None for no fault."""
        if isinstance(item, Fault):
            return item
        if item is None:
            return cls()
        if isinstance(item, int):
            return cls(FaultKind.THROTTLE) if item == _TOO_MANY else cls(FaultKind.ERROR, status=item)
        return cls(item)


Script: TypeAlias = Sequence[Fault | FaultKind | str | int | None]
"""Entries for the first requests, in order of arrival; see `Fault.of`."""


@dataclass(frozen=True)
class Faults:
    """How often, or exactly when, requests go wrong.

    The script is used up first, one entry for each request whose method is in
    `methods`; after it each such request draws its fault from the shares.

    Attributes
    ----------
    latency_s, jitter_s
        Every request waits `latency_s` plus a random part of `jitter_s`.
    throttle_share, error_share, lost_answer_share, reset_share
        Shares of requests, together at most 1.
    retry_after_s
        What a throttled request is told to wait; None leaves it out.
    error_status
        The status of the `error_share`.
    script
        Entries as `Fault.of` reads them: ``["lost_answer", None, 503]``.
    seed
        Of the random draws.
    methods
        The methods that faults, and the latency, apply to.

    Examples
    --------
    >>> source = FaultSource(Faults(script=["reset", None], methods=("PATCH",)))
    >>> [source.draw(method).kind.value for method in ("GET", "PATCH", "PATCH", "PATCH")]
    ['none', 'reset', 'none', 'none']
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    throttle_share: float = 0.0
    retry_after_s: float | None = 1
    error_share: float = 0.0
    error_status: int = 503
    lost_answer_share: float = 0.0
    script: Script = ()
    seed: int = 0
    methods: Sequence[str] = ("GET", "PATCH")
    reset_share: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "script", tuple(Fault.of(item) for item in self.script))
        object.__setattr__(self, "methods", tuple(method.upper() for method in self.methods))
        Fault(FaultKind.ERROR, status=self.error_status)
        shares = (self.throttle_share, self.error_share, self.lost_answer_share, self.reset_share)
        if min(shares) < 0 or sum(shares) > 1:
            msg = f"the shares of faults must be 0 or more and together at most 1, got {shares}"
            raise InputError(msg)
        if self.latency_s < 0 or self.jitter_s < 0:
            msg = f"latency_s and jitter_s must be 0 or more, got {self.latency_s} and {self.jitter_s}"
            raise InputError(msg)


class FaultSource:
    """Hands each request its fault; safe to use from several threads."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._script = [Fault.of(item) for item in reversed(faults.script)]
        self._random = random.Random(faults.seed)  # noqa: S311 - repeatable, not secret
        self._lock = threading.Lock()

    def draw(self, method: str) -> Fault:
        """Return what happens to the next request of this method."""
        faults = self.faults
        if method not in faults.methods:
            return Fault()
        with self._lock:
            fault = self._script.pop() if self._script else self._by_share()
            jitter_s = self._random.random() * faults.jitter_s if faults.jitter_s else 0.0
        if fault.kind is FaultKind.THROTTLE and fault.retry_after_s is None:
            fault = replace(fault, retry_after_s=faults.retry_after_s)
        return replace(fault, latency_s=fault.latency_s + faults.latency_s + jitter_s)

    def _by_share(self) -> Fault:
        faults = self.faults
        drawn = self._random.random()
        for share, fault in (
            (faults.throttle_share, Fault(FaultKind.THROTTLE)),
            (faults.error_share, Fault(FaultKind.ERROR, status=faults.error_status)),
            (faults.lost_answer_share, Fault(FaultKind.LOST_ANSWER)),
            (faults.reset_share, Fault(FaultKind.RESET)),
        ):
            if drawn < share:
                return fault
            drawn -= share
        return Fault()
