"""Repeat a read while that is known to help, and say why it was given up.

Input is a function that makes one attempt; output is its last exchange, or an error that an
operator can act on. What is worth another attempt is decided in `sippet_reconcile.api.retry`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sippet_reconcile.api.exchange import ExchangeKind, error_of
from sippet_reconcile.api.retry import GiveUp, decide, naps

if TYPE_CHECKING:
    from collections.abc import Callable

    from sippet_reconcile.api.exchange import Exchange

__all__ = ["Repeating"]


@dataclass(frozen=True)
class Repeating:
    """How time passes and chance falls between the attempts of a read."""

    sleep: Callable[[float], None]
    random: Callable[[], float]

    def last(self, attempt: Callable[[], Exchange]) -> tuple[Exchange, str]:
        """Return the last exchange, and why it was the last; that is empty where it succeeded."""
        number = 1
        while (exchange := attempt()).kind is not ExchangeKind.OK:
            decision = decide(exchange, number, random=self.random)
            if isinstance(decision, GiveUp):
                return exchange, decision.reason
            for nap_s in naps(decision.after_s):
                self.sleep(nap_s)
            number += 1
        return exchange, ""

    def until_ok(self, attempt: Callable[[], Exchange]) -> Exchange:
        """Return the exchange that succeeded.

        Raises
        ------
        ApiError
            Where none did, with what an operator can do.
        """
        exchange, reason = self.last(attempt)
        if exchange.kind is not ExchangeKind.OK:
            raise error_of(exchange, gave_up=reason)
        return exchange
