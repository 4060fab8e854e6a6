"""What goes wrong on the way: the faults a sandbox plays, by script or by share.

A network and a busy server lose, delay and refuse requests. `Faults` says how often
(with a seed, so that a run repeats) or exactly when (a script, one entry per request).
Input: the method of each request; output: the `Fault` it gets, which the application plays.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.fault import (
    Entry,
    Fault,
    RetryAfterForm,
    check_retry_after,
    check_seconds,
    pasteable,
)
from sippet_reconcile.sandbox.kinds import ON_PATCH, SOMEBODY_ELSE, FaultKind
from sippet_reconcile.sandbox.switches import AuthFailure, choose

__all__ = ["Fault", "FaultKind", "FaultSource", "Faults", "Script", "Shares"]

_TINY = 1e-9
_MOST_DICE = 3600

Script: TypeAlias = Sequence[Entry]
"""Entries for the first requests, in order of arrival; see `Fault.of`."""

Shares: TypeAlias = Mapping[Entry, float] | Sequence[tuple[Entry, float]]
"""Shares of requests by what happens to them; entries as in a script."""


@dataclass(frozen=True, repr=False)
class Faults:
    """How often, or exactly when, requests go wrong.

    The script is used up first, one entry for each request whose method is in
    `methods`; an entry that only a PATCH can meet waits for one. After the script each
    such request draws its fault from the shares. Requests are counted as their heads
    arrive: the same seed and the same order of requests give the same faults.

    Attributes
    ----------
    latency_s, jitter_s
        Every request waits `latency_s` plus a random part of `jitter_s`.
    throttle_share, error_share, lost_answer_share, reset_share
        Shares of requests: short for the same words in `shares`.
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
    shares
        Shares of requests by entry, together with those above at most 1:
        ``{"wrong_id": 0.1, 502: 0.05}``, or pairs where an entry is a `Fault`.
    retry_after_form
        How ``retry-after`` is written where a fault does not say: see `Fault`.
    expire_after
        The token is refused once so many requests (of any method) have been looked at
        since these faults were set, until ``Sandbox.token`` is set; None for never.
    expire_style
        How it is refused then, see `AuthFailure`; None takes ``Switches.auth_failure``.
    refuse_connections
        The next so many connections are closed as soon as they are accepted.

    Examples
    --------
    >>> source = FaultSource(Faults(script=["reset", None], methods=("PATCH",)))
    >>> [source.draw(method).kind.value for method in ("GET", "PATCH", "PATCH", "PATCH")]
    ['none', 'reset', 'none', 'none']
    >>> Faults(shares={"lost_answer": 0.1, 502: 0.05}, seed=7)
    Faults(seed=7, shares=(('lost_answer', 0.1), (502, 0.05)))
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
    shares: Shares = ()
    retry_after_form: RetryAfterForm | str = RetryAfterForm.SECONDS
    expire_after: int | None = None
    expire_style: AuthFailure | str | None = None
    refuse_connections: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "script", tuple(Fault.of(item) for item in self.script))
        object.__setattr__(self, "methods", tuple(method.upper() for method in self.methods))
        form = choose("retry_after_form", self.retry_after_form, RetryAfterForm)
        object.__setattr__(self, "retry_after_form", form)
        if self.expire_style is not None:
            object.__setattr__(self, "expire_style", choose("expire_style", self.expire_style, AuthFailure))
        object.__setattr__(self, "shares", _pairs(self.shares))
        Fault(FaultKind.ERROR, status=self.error_status)
        check_seconds(latency_s=self.latency_s, jitter_s=self.jitter_s)
        check_retry_after(self.retry_after_s, form)
        self._check_counts()
        self._check_shares()
        self._check_entries()

    def _check_counts(self) -> None:
        for name in ("expire_after", "refuse_connections"):
            count = getattr(self, name)
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
                msg = f"{name} must be a whole number, 0 or more, got {count!r}"
                raise InputError(msg)

    def _check_shares(self) -> None:
        drawn = self.drawn
        shares = {str(fault.entry): share for fault, share in drawn}
        if (
            not all(isinstance(share, int | float) and share >= 0 for _, share in drawn)
            or sum(share for _, share in drawn) > 1 + _TINY
        ):
            msg = f"the shares of faults must be 0 or more and together at most 1, got {shares}"
            raise InputError(msg)
        faults = [fault for fault, _ in drawn]
        for fault in faults:
            if faults.count(fault) > 1:
                msg = f"the share of {fault.entry!r} is given twice"
                raise InputError(msg)

    def _check_entries(self) -> None:
        for fault in (*map(Fault.of, self.script), *(fault for fault, _ in self.drawn)):
            self.filled(fault)  # refuses what cannot be written before a request meets it
            if fault.kind in ON_PATCH and "PATCH" not in self.methods:
                msg = f"a fault {str(fault.kind)!r} happens to a PATCH only, and methods are {self.methods}"
                raise InputError(msg)

    @property
    def drawn(self) -> tuple[tuple[Fault, float], ...]:
        """What requests draw after the script, with its share, in the order of the draw."""
        named = (
            (Fault(FaultKind.THROTTLE), self.throttle_share),
            (Fault(FaultKind.ERROR, status=self.error_status), self.error_share),
            (Fault(FaultKind.LOST_ANSWER), self.lost_answer_share),
            (Fault(FaultKind.RESET), self.reset_share),
        )
        return (*((fault, share) for fault, share in named if share), *_pairs(self.shares))

    def filled(self, fault: Fault) -> Fault:
        """Return a fault with what it leaves to these faults: the ``retry-after`` of a throttle."""
        is_open = fault.kind is FaultKind.THROTTLE and fault.retry_after_s is None
        is_written = fault.style in {None, "429"} and fault.retry_after_form != RetryAfterForm.ABSENT
        if not is_open or not is_written or self.retry_after_s is None:
            return fault
        form = fault.retry_after_form or self.retry_after_form
        return replace(fault, retry_after_s=self.retry_after_s, retry_after_form=form)

    def __repr__(self) -> str:
        return pasteable(self)


class FaultSource:
    """Hands each request its fault; safe to use from several threads."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._script = [Fault.of(item) for item in reversed(faults.script)]
        self._drawn = faults.drawn
        self._random = random.Random(faults.seed)  # noqa: S311 - repeatable, not secret
        self._lock = threading.Lock()
        self._left = faults.expire_after
        self._connections = faults.refuse_connections

    def draw(self, method: str) -> Fault:
        """Return what happens to the next request of this method."""
        faults = self.faults
        with self._lock:
            is_expired = self._is_expired()
            if method not in faults.methods:
                return self._expired() if is_expired else Fault()
            fault = self._expired() if is_expired else self._next(method)
            jitter_s = self._random.random() * faults.jitter_s if faults.jitter_s else 0.0
            if fault.kind in SOMEBODY_ELSE:
                fault = replace(fault, dice=self._random.randint(1, _MOST_DICE))
        fault = faults.filled(fault)
        extra_s = faults.latency_s + jitter_s
        return replace(fault, latency_s=fault.latency_s + extra_s) if extra_s else fault

    def take_connection(self) -> bool:
        """Tell whether the next connection is served; False where it is closed at once."""
        with self._lock:
            if not self._connections:
                return True
            self._connections -= 1
            return False

    def renew(self) -> None:
        """Let the token be valid from now on."""
        with self._lock:
            self._left = None

    def _is_expired(self) -> bool:
        if self._left is None:
            return False
        if self._left:
            self._left -= 1
            return False
        return True

    def _expired(self) -> Fault:
        return Fault(FaultKind.EXPIRED, style=self.faults.expire_style)

    def _next(self, method: str) -> Fault:
        if not self._script:
            fault = self._by_share()
            return Fault() if fault.kind in ON_PATCH and method != "PATCH" else fault
        if self._script[-1].kind in ON_PATCH and method != "PATCH":
            return Fault()
        return self._script.pop()

    def _by_share(self) -> Fault:
        drawn = self._random.random()
        for fault, share in self._drawn:
            if drawn < share:
                return fault
            drawn -= share
        return Fault()


def _pairs(shares: Shares) -> tuple[tuple[Fault, float], ...]:
    pairs = shares.items() if isinstance(shares, Mapping) else shares
    return tuple((Fault.of(item), share) for item, share in pairs)
