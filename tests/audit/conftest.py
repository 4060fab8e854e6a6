"""Entries and logs for the tests of the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sippet_reconcile.audit import AuditLog, Entry, Event, Outcome

NOON = datetime(2026, 10, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def make_entries(n_calls=3, run_id="run-1", plan_id="plan-1"):
    """Return the entries of a small run: start, intents, outcomes, end."""
    common = {"run_id": run_id, "plan_id": plan_id, "api_url": "https://api.example"}
    entries = [
        Entry(event=Event.RUN_STARTED, at=NOON, note=f'{{"n_calls": {n_calls}}}', by="ana", **common),
        Entry(event=Event.APPROVAL, at=NOON, by="Zoë", note='=October, "billing"', **common),
    ]
    for i in range(n_calls):
        at = NOON + timedelta(seconds=i)
        call = {
            "call_id": f"call-{i}",
            "before": '{"duration_seconds":0}',
            "after": '{"duration_seconds":60}',
        }
        entries.append(Entry(event=Event.INTENT, at=at, source_row=i + 2, **call, **common))
        entries.append(
            Entry(
                event=Event.OUTCOME, at=at, outcome=Outcome.APPLIED, confirmed_by="answer", http_status=200,
                attempt=1, latency_ms=12, **call, **common,
            )
        )  # fmt: skip
    entries.append(Entry(event=Event.RUN_ENDED, at=NOON, reason="complete", **common))
    return entries


@pytest.fixture(scope="session")
def entries_of():
    return make_entries


@pytest.fixture
def log(tmp_path):
    """A log of two runs in five parts, 18 records."""
    audit = AuditLog(tmp_path / "audit")
    with audit.writing() as writer:
        entries = make_entries()
        writer.append(entries[:4])
        writer.append(entries[4:7])
        writer.append(entries[7:])
    with audit.writing() as writer:
        entries = make_entries(run_id="run-2", plan_id="plan-2")
        writer.append(entries[:5])
        writer.append(entries[5:])
    return audit
