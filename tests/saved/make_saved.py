"""Write the saved files of the current schema versions: a reconciliation, a plan, and a log of three runs.

``python tests/saved/make_saved.py FOLDER`` writes into a folder of your choice. What it
writes is the same each time but for what names no content: the compression of the files
and the mark that keeps two savings of a reconciliation apart. See README.md beside it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pandas as pd

import sippet_reconcile as sr
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.audit import AuditLog, Entry, Event
from sippet_reconcile.audit.records import SCHEMA_VERSION as LOG_VERSION
from sippet_reconcile.plan import Approval
from sippet_reconcile.plan.content import SCHEMA_VERSION as PLAN_VERSION
from sippet_reconcile.reconciliation.storage import SCHEMA_VERSION as RECONCILIATION_VERSION
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.schema import CALL_ATTRIBUTES, CALLS, LEGS
from sippet_reconcile.values import instants_to_text

API = "https://api.example.com"
MADE_AT = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
N_CALLS = 12
OPTIONS = {
    "rate": "400/s", "limit": None, "concurrency": 1, "on_drift": "skip",
    "min_approvals": 1, "max_failures": 10, "progress": False,
}  # fmt: skip


def call_id_of(number):
    return f"00000000-0000-4000-8000-{number:012d}"


class Reroute(httpx.BaseTransport):
    """Carries requests for the fictional API to a sandbox on this machine."""

    def __init__(self, sandbox):
        self.inner = httpx.HTTPTransport()
        self.host = httpx.URL(sandbox.url)
        self.on_patch = lambda _call_id: None

    def handle_request(self, request):
        if request.method == "PATCH":
            self.on_patch(request.url.path.rsplit("/", 1)[-1])
        request.url = request.url.copy_with(scheme="http", host=self.host.host, port=self.host.port)
        request.headers["host"] = self.host.netloc.decode()
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


def typed(rows, dtypes):
    """Return rows as a frame of exactly these columns and types."""
    columns = {}
    for name, dtype in dtypes.items():
        values = pd.Series([row.get(name) for row in rows], dtype="object")
        is_instant = dtype.startswith("datetime64")
        columns[name] = (
            pd.to_datetime(values, utc=True, format="ISO8601").dt.as_unit("us")
            if is_instant
            else values.astype(dtype)
        )
    return pd.DataFrame(columns)


def legs_and_calls():
    """Return twelve answered calls of a minute as the CDR has them, and as the API has them: most are wrong."""
    legs, calls = [], []
    for n in range(N_CALLS):
        start = pd.Timestamp("2026-10-05T10:00:00Z") + pd.Timedelta(minutes=5 * n)
        answer, end = start + pd.Timedelta(seconds=10), start + pd.Timedelta(seconds=70)
        both = {
            "direction": "outbound",
            "from_number": "+442079460123",
            "to_number": f"+4420794600{n:02d}",
            "sip_username": "Zoë",
            "started_at": start,
        }
        legs.append(
            {**both, "source_file": "october.csv", "source_row": n + 2, "source_sha256": "0" * 64,
             "record_hash": n, "format": "columns", "leg_id": f"leg-{n}", "call_key": f"switch-{n}",
             "from_e164": both["from_number"], "to_e164": both["to_number"], "answered_at": answer,
             "ended_at": end, "total_s": 70.0, "billable_s": 60.0, "is_answered": True, "status": "completed",
             "cause": "16"}
        )  # fmt: skip
        calls.append(
            {**both, "id": call_id_of(n), "call_uuid": f"switch-{n}", "status": "completed", "call_source": "sip",
             "ended_at": end, "duration_seconds": 60, "api_url": API, "fetched_at": "2026-11-01T00:00:00Z"}
        )  # fmt: skip
    for n in (0, 5, 6, 7, 8, 9):
        calls[n]["duration_seconds"] = 70 if n == 0 else 30
    calls[1] |= {"status": "answered", "ended_at": None, "duration_seconds": None}
    calls[2]["ended_at"] = calls[2]["ended_at"] + pd.Timedelta(seconds=30, milliseconds=250)
    calls[3]["duration_seconds"] = None
    # The start is right at the CDR's end: a minute of talk does not fit, and a start cannot be corrected.
    calls[4] |= {"started_at": legs[4]["ended_at"] - pd.Timedelta(seconds=5), "duration_seconds": 5}
    return typed(legs, LEGS.dtypes), typed(calls, CALLS.dtypes)


def dated(plan, *approvers):
    """Return a plan as if it had been made, and approved, at a moment that never changes."""
    same = sr.Plan.from_changes(
        plan.changes, kind=plan.kind, api_url=plan.api_url, calls=plan.calls, left_out=plan.left_out,
        period=plan.period, rules=plan.rules, accept=plan.accept, findings=plan.findings, ledger=plan.ledger,
        balance=plan.balance, not_patchable=plan.not_patchable, disputes=plan.disputes, selection=plan.selection,
        n_compared=plan.n_compared, reverts_run_id=plan.reverts_run_id, created_at=MADE_AT,
    )  # fmt: skip
    given = tuple(Approval(by, MADE_AT.isoformat(), f"{by} looked", same.plan_id) for by in approvers)
    return replace(same, approvals=given)


def document(calls):
    """Return calls as the JSON:API document that a sandbox reads."""
    texts = calls.assign(**{name: instants_to_text(calls[name]) for name in ("started_at", "ended_at")})
    rows = texts.astype(object).where(texts.notna(), None).sort_values("id").to_dict("records")
    return {
        "data": [
            {"type": "Call", "id": row["id"], "attributes": {name: row[name] for name in CALL_ATTRIBUTES}}
            for row in rows
        ]
    }


def retell(scratch, log, run_id, *, without=()):
    """Write a run into another log with names, times and latencies that never change.

    `without` names a call whose attempt and outcome are left out, with all that follows:
    the session died before it could write them.
    """
    records = AuditLog(scratch).records().astype(object)
    rows = records.where(records.notna(), None).to_dict("records")
    ends = {int(path.stem.rsplit("-", 1)[-1]) for path in Path(scratch).glob("part-*.parquet")}
    names = [field.name for field in fields(Entry)]
    with AuditLog(log).writing() as writer:
        batch = []
        for row in rows:
            number = row["seq"]
            values = {name: row[name] for name in names}
            values |= {"run_id": run_id, "at": MADE_AT + timedelta(milliseconds=250 * number)}
            if row["latency_ms"] is not None:
                values |= {"latency_ms": 12, "request_id": f"request-{number}"}
            elif row["request_id"] is not None:
                values["request_id"] = f"request-{number}"
            if row["event"] == Event.RUN_STARTED:
                values["by"] = "ana@desk"
            if not (without and row["event"] in {Event.ATTEMPT, Event.OUTCOME} and row["call_id"] in without):
                batch.append(Entry(**values))
            if number in ends:
                if without and row["event"] == Event.RUN_ENDED:
                    batch.pop()
                if batch:
                    writer.append(batch)
                batch = []


def make(folder):
    """Write everything, and what the tests expect of it."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    legs, calls = legs_and_calls()
    legs = legs.assign(x_trunk=pd.Series(["north", "south"] * (N_CALLS // 2), index=legs.index, dtype="str"))
    rec = sr.reconcile(legs, calls, rules=sr.Rules(duration="billable"), progress=False)
    saved_rec = f"reconciliation-v{RECONCILIATION_VERSION}"
    rec.save(folder / saved_rec)
    billed_by_nobody = legs.iloc[[-1]].assign(
        leg_id="leg-99", call_key="switch-99", source_row=99, record_hash=99, billable_s=45.0,
        **{name: legs[name].iloc[-1] + pd.Timedelta(hours=3) for name in ("started_at", "answered_at", "ended_at")},
    )  # fmt: skip
    of_plan = pd.concat([legs, billed_by_nobody], ignore_index=True)
    plan = dated(
        sr.build_plan(sr.reconcile(of_plan, calls, rules=sr.Rules(duration="billable"), progress=False)),
        "ana",
        "ben",
    )
    saved_plan = f"plan-v{PLAN_VERSION}.parquet"
    plan.save(folder / saved_plan)
    (folder / "calls-start.json").write_text(json.dumps(document(calls), indent=1), encoding="utf-8")

    saved_log = f"log-v{LOG_VERSION}"
    log = folder / saved_log
    with Sandbox(document(calls)) as sandbox:
        transport = Reroute(sandbox)
        with sr.Client(API, token=sandbox.token, transport=transport) as client:

            def apply(plan, run_id, without=(), **options):
                with tempfile.TemporaryDirectory() as scratch:
                    apply_with(Tools(random=lambda: 0.0), plan, client, scratch, **(OPTIONS | options))
                    retell(scratch, log, run_id, without=without)

            fix = pd.DataFrame({"call_id": [call_id_of(10)], "duration_seconds": ["55"]}, dtype="str")
            corrections = sr.plan_corrections(client.get_calls(fix["call_id"]), fix, reason="ticket 4711")
            apply(dated(corrections, "ana"), "20261102T090000Z-00000001")
            undo = sr.revert_run(sr.load_run(log))
            apply(dated(undo, "ben"), "20261102T090000Z-00000002")
            # The plan's own run: one call is as planned already, one drifted, one is altered under its PATCH,
            # and the session dies before it can write what came of another one.
            sandbox.change_call(call_id_of(6), duration_seconds=60)
            sandbox.change_call(call_id_of(7), duration_seconds=45)
            transport.on_patch = lambda call_id: (
                sandbox.change_call(call_id, status="busy") if call_id == call_id_of(5) else None
            )
            apply(plan, "20261102T090000Z-00000003", without={call_id_of(8)}, limit=6)
            now = sandbox.calls
        transport.close()
    (log / "_lock").unlink(missing_ok=True)
    (folder / "calls-now.json").write_text(json.dumps(document(now), indent=1), encoding="utf-8")
    runs = AuditLog(log).runs()
    noted = {
        saved_plan: {"plan_id": plan.plan_id, "calls": len(plan), "changes": len(plan.changes)},
        saved_log: {
            "head": AuditLog(log).head,
            "records": len(AuditLog(log).records()),
            "runs": runs["run_id"].tolist(),
            "outcomes": sr.load_run(log).records.set_index("call_id")["outcome"].to_dict(),
        },
        saved_rec: {"pairs": len(rec.pairs), "discrepancies": len(rec.discrepancies)},
    }
    (folder / "noted.json").write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make(sys.argv[1])
