"""A local server that answers as the calls API does, for tests, demonstrations and newcomers.

`Sandbox` runs it, `Faults` says what goes wrong on the way, and `Switches` makes the
choices that nobody outside knows of the real server. No phone, no account and no network
is needed: it listens on this machine only.
"""

from __future__ import annotations

from sippet_reconcile.sandbox.fault import Fault, RetryAfterForm
from sippet_reconcile.sandbox.faults import Faults
from sippet_reconcile.sandbox.journal import ReceivedRequest
from sippet_reconcile.sandbox.kinds import FaultKind
from sippet_reconcile.sandbox.server import Sandbox, serve
from sippet_reconcile.sandbox.switches import AuthFailure, Pagination, RateLimitStyle, Switches

__all__ = [
    "AuthFailure",
    "Fault",
    "FaultKind",
    "Faults",
    "Pagination",
    "RateLimitStyle",
    "ReceivedRequest",
    "RetryAfterForm",
    "Sandbox",
    "Switches",
    "serve",
]
