"""Talk to the Call API: the client, its pacing and retrying, and saved calls.

What other parts of the package need is here; how the wire, the documents and the
windows work is in the modules beside it.
"""

from __future__ import annotations

from sippet_reconcile.api.check import CheckResult
from sippet_reconcile.api.client import Client
from sippet_reconcile.api.description import ApiDescription
from sippet_reconcile.api.exchange import Exchange, ExchangeKind
from sippet_reconcile.api.files import read_calls, write_calls
from sippet_reconcile.api.pacing import Pacer, Schedule, parse_rate
from sippet_reconcile.api.queries import MAX_IDS
from sippet_reconcile.api.retry import GiveUp, Retry, decide, parse_retry_after
from sippet_reconcile.api.urls import normalise_url

__all__ = [
    "MAX_IDS",
    "ApiDescription",
    "CheckResult",
    "Client",
    "Exchange",
    "ExchangeKind",
    "GiveUp",
    "Pacer",
    "Retry",
    "Schedule",
    "decide",
    "normalise_url",
    "parse_rate",
    "parse_retry_after",
    "read_calls",
    "write_calls",
]
