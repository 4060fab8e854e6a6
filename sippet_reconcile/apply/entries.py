"""Put into words for the audit log what a session meant to do and what came of it.

Input are planned calls, jobs and decisions, output are `Entry` records. Values stand in
them as JSON in API form; what may hold a phone number never does.
"""

from __future__ import annotations

import getpass
import json
import math
import os
import socket
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.apply.decisions import SHOWABLE
from sippet_reconcile.audit import Entry, Event, Outcome
from sippet_reconcile.run import LATE
from sippet_reconcile.values import parse_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sippet_reconcile.api.exchange import Exchange
    from sippet_reconcile.apply.decisions import Decision, PlannedCall, Texts
    from sippet_reconcile.apply.planned import PlannedCalls
    from sippet_reconcile.apply.sending import Job
    from sippet_reconcile.plan import Approval, Plan

__all__ = ["Scribe"]

_DENY_OURS: Final = frozenset({Outcome.REJECTED, Outcome.MISSING})
"""Outcomes that speak of a call's last PATCH only, as if no earlier one had been sent."""


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _json(values: Mapping[str, Any]) -> str:
    return _ENCODER.encode(values)


@cache
def _kind(kind: str) -> str:
    return _json({"kind": kind})


def _values(texts: Texts, names: Iterable[str]) -> dict[str, object]:
    return {name: parse_value(name, texts[name]) for name in names}


def _operator() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError, ImportError):  # a process without a user name, as in some containers
        return f"process {os.getpid()}@{socket.gethostname()}"


@dataclass(frozen=True)
class Scribe:
    """Writes the entries of one run."""

    run_id: str
    plan_id: str
    api_url: str

    def _entry(self, event: Event, at: datetime, **columns: Any) -> Entry:
        return Entry(
            event=event, at=at, run_id=self.run_id, plan_id=self.plan_id, api_url=self.api_url, **columns
        )

    @staticmethod
    def _about(planned: PlannedCall) -> dict[str, Any]:
        return {
            "call_id": planned.call_id,
            "call_uuid": planned.call_uuid,
            "explanation": planned.explanation,
            "reason": planned.reason,
            "source_file": planned.source_file,
            "source_row": planned.source_row,
        }

    def started(
        self,
        at: datetime,
        plan: Plan,
        calls: PlannedCalls,
        *,
        is_first: bool,
        options: Mapping[str, object],
    ) -> Entry:
        """Say that a session began; the first one says what the whole run is meant to do."""
        facts = {"n_calls": len(calls), "kind": plan.kind, "reverts_run_id": plan.reverts_run_id, **options}
        meant: dict[str, Any] = {}
        if is_first:
            # Calls in plan order: in this order they stand in the run, too.
            meant = {side: calls.as_json(side) for side in ("before", "after")}
        return self._entry(Event.RUN_STARTED, at, by=_operator(), note=_json(facts), **meant)

    def approval(self, approval: Approval) -> Entry:
        """Repeat who approved the plan, when that was, and why."""
        return self._entry(Event.APPROVAL, approval.given_at, by=approval.by, note=approval.note or None)

    def ended(self, at: datetime, kind: str, note: str) -> Entry:
        """Say how a session ended."""
        return self._entry(Event.RUN_ENDED, at, reason=kind, note=note)

    def intent(self, at: datetime, job: Job) -> Entry:
        """Say what is about to be sent, with the values it replaces and those it must leave."""
        planned = job.planned
        others = [name for name in SHOWABLE if name not in planned.after]
        return self._entry(
            Event.INTENT,
            at,
            before=_json(_values(job.observed, planned.after)),
            after=_json(planned.attributes),
            note=_json(_values(job.observed, others)),
            **self._about(planned),
        )

    def attempts(self, job: Job) -> list[Entry]:
        """Tell of every PATCH that left for a call."""
        entries = []
        for number, attempt in enumerate(job.attempts, start=1):
            kind = "unanswered" if attempt.exchange is None else attempt.exchange.kind.value
            entries.append(
                self._entry(
                    Event.ATTEMPT,
                    attempt.at,
                    call_id=job.planned.call_id,
                    call_uuid=job.planned.call_uuid,
                    attempt=number,
                    note=_kind(kind),
                    **_told(attempt.exchange),
                )
            )
        return entries

    def outcome(
        self, at: datetime, planned: PlannedCall, decision: Decision, job: Job | None = None
    ) -> Entry:
        """Tell what came of a call."""
        last = job.attempts[-1].exchange if job is not None and job.attempts else None
        told = _told(last)
        if decision.error_code is not None or decision.detail is not None:
            told |= {"error_code": decision.error_code, "error_detail": decision.detail}
        elif decision.confirmed_by == "reread":
            # The call was read and is well: the error of an earlier attempt would mislead.
            told |= {"error_code": None, "error_detail": None}
        before = planned.before if job is None else job.observed
        note: dict[str, object] = {}
        if decision.observed is not None:
            note["observed"] = _values(decision.observed, decision.observed)
        if job is not None and job.is_in_doubt and decision.outcome in _DENY_OURS:
            note[LATE] = True
        return self._entry(
            Event.OUTCOME,
            at,
            before=_json(_values(before, planned.after)),
            after=_json(planned.attributes),
            outcome=decision.outcome,
            confirmed_by=decision.confirmed_by,
            attempt=len(job.attempts) if job is not None else None,
            note=_json(note) if note else None,
            **told,
            **self._about(planned),
        )


def _told(exchange: Exchange | None) -> dict[str, Any]:
    if exchange is None:
        return {}
    return {
        "http_status": exchange.status,
        "error_code": exchange.error_code,
        "error_detail": exchange.error_detail,
        "request_id": exchange.request_id,
        "latency_ms": math.ceil(exchange.latency_ms),
    }
