"""Bring a run back from its log, over all its sessions, in whichever process.

Input is an `AuditLog`, output the frozen `Run`. The state of a run is always what the
log says, so that a new kernel sees what the old one saw.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sippet_reconcile.audit import AuditLog, Event
from sippet_reconcile.errors import InputError
from sippet_reconcile.run.events import read_events
from sippet_reconcile.run.model import Run
from sippet_reconcile.run.records import approvals_frame, run_records
from sippet_reconcile.run.sessions import sessions_frame
from sippet_reconcile.run.state import state_of

if TYPE_CHECKING:
    import os

    from sippet_reconcile.run.events import Events, LogEvents

__all__ = ["load_run"]

_QUIET: Final = frozenset({None, "complete", "limit"})


def load_run(audit: AuditLog | str | os.PathLike[str], run_id: str | None = None) -> Run:
    """Bring a run back from its log.

    Parameters
    ----------
    audit
        The log or its folder.
    run_id
        Which run; the one with the latest record by default.

    Raises
    ------
    InputError
        If the log is not there, is empty, or does not know the run.

    Examples
    --------
    >>> from sippet_reconcile.demo import sample_run
    >>> with sample_run() as (run, client):
    ...     load_run(run.audit.path).run_id == run.run_id
    True
    """
    log = audit if isinstance(audit, AuditLog) else AuditLog(audit)
    events = read_events(log)
    run_id = events.latest_run_id if run_id is None else run_id
    if run_id is None:
        msg = f"the audit log {log.path} holds no run yet"
        raise InputError(msg)
    if run_id not in events.run_ids:
        known = ", ".join(events.run_ids) or "none"
        msg = f"the audit log {log.path} has no run {run_id!r}; its runs: {known}"
        raise InputError(msg)
    return _run(log, events, events.of(run_id))


def _run(log: AuditLog, known: LogEvents, events: Events) -> Run:
    state = state_of(events)
    # An approval is dated when it was given, which is no moment of the run.
    own = events.rows[~events.is_event(Event.APPROVAL)]
    own = own if len(own) else events.rows
    rows = np.unique([own[0], own[-1], events.rows[-1]])
    edges = known.read_rows(rows, ["run_id", "plan_id", "api_url", "at", "hash"])
    at = edges.column("at").to_pandas()
    latest = edges.slice(edges.num_rows - 1).to_pylist()[0]
    return Run(
        run_id=latest["run_id"],
        plan_id=latest["plan_id"],
        api_url=latest["api_url"],
        audit=log,
        started_at=at.iloc[0],
        last_at=at.iloc[np.searchsorted(rows, own[-1])],
        n_sessions=state.n_sessions,
        ended=state.ended,
        stopped=None if state.ended in _QUIET else state.ended_note,
        head=latest["hash"],
        reverts_run_id=state.facts.get("reverts_run_id"),
        started_by=state.started_by,
        reverted_by=tuple(known.reverts_of(latest["run_id"])),
        _records=run_records(known, events, state),
        _approvals=approvals_frame(state),
        _sessions=sessions_frame(events),
    )
