"""Tell what a run came to, over all its sessions: one row per call of its plan.

Input are the records of the audit log, output is a frozen `Run`. A run is one plan on
one API in one log; it may have been interrupted, killed and continued, and its state
is always what the log says.
"""

from sippet_reconcile.audit import Outcome
from sippet_reconcile.run.events import read_events
from sippet_reconcile.run.load import load_run
from sippet_reconcile.run.model import Run
from sippet_reconcile.run.records import RUN_APPROVALS, RUN_RECORDS
from sippet_reconcile.run.sessions import RUN_SESSIONS
from sippet_reconcile.run.state import LATE, SENT, SETTLED, CallState, RunState, replay, state_of

__all__ = [
    "LATE",
    "RUN_APPROVALS",
    "RUN_RECORDS",
    "RUN_SESSIONS",
    "SENT",
    "SETTLED",
    "CallState",
    "Outcome",
    "Run",
    "RunState",
    "load_run",
    "read_events",
    "replay",
    "state_of",
]
