"""The append-only audit log: what was meant, what was sent, and what came of it."""

from sippet_reconcile.audit.log import AuditLog
from sippet_reconcile.audit.parts import interrupts_deferred
from sippet_reconcile.audit.records import AUDIT, GENESIS, Entry, Event, Outcome
from sippet_reconcile.audit.runs import RUNS
from sippet_reconcile.audit.verification import AuditVerification
from sippet_reconcile.audit.writer import AuditWriter

__all__ = [
    "AUDIT",
    "GENESIS",
    "RUNS",
    "AuditLog",
    "AuditVerification",
    "AuditWriter",
    "Entry",
    "Event",
    "Outcome",
    "interrupts_deferred",
]
