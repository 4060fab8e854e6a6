"""A sandbox of calls with wrong values, a client of it, and plans that correct them."""

from __future__ import annotations

import ssl
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qsl

import httpx
import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply.applying import apply_with
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.sandbox import Sandbox
from sippet_reconcile.schema import CALLS, conform

FAST = "400/s"
# The certificates of the world take as long to load as all the rest of a lab.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def call_id_of(n):
    return f"00000000-0000-4000-8000-{n:012d}"


def make_calls(n):
    """Return calls that lasted 60 s each and say 30 s."""
    start = pd.Timestamp("2026-10-01T08:00:00Z") + pd.to_timedelta(range(n), unit="min")
    text = {
        "id": [call_id_of(i) for i in range(n)],
        "call_uuid": [f"switch-{i}" for i in range(n)],
        "direction": ["outbound"] * n,
        "from_number": ["+442079460001"] * n,
        "to_number": [f"+44207946{i % 10_000:04d}" for i in range(n)],
        "sip_username": ["1001"] * n,
        "status": ["completed"] * n,
        "call_source": ["sip"] * n,
        "conversation_id": [None] * n,
        "api_url": ["http://127.0.0.1"] * n,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in text.items()})
    return conform(
        frame.assign(
            started_at=pd.Series(start).dt.as_unit("us"),
            ended_at=pd.Series(start + pd.Timedelta(seconds=60)).dt.as_unit("us"),
            duration_seconds=pd.Series([30] * n, dtype="Int64"),
            fetched_at=pd.Series([pd.Timestamp("2026-11-01T00:00:00Z")] * n).dt.as_unit("us"),
        )[CALLS.names],
        CALLS,
    )


def make_plan(client, n, *, seconds=60, approve=True, **columns):
    """Return an approved plan that gives the first `n` calls these seconds, and what else is named."""
    ids = [call_id_of(i) for i in range(n)]
    fields = {"duration_seconds": str(seconds)} | columns
    corrections = pd.DataFrame(
        {"call_id": ids} | {name: [value] * n for name, value in fields.items()}, dtype="str"
    )
    plan = plan_corrections(client.get_calls(ids), corrections, reason="ticket 4711")
    return plan.approve(by="ana", note="October") if approve else plan


def patches(sandbox):
    """Return the PATCH requests that arrived, as (call id, request)."""
    return [(r.path.rsplit("/", 1)[-1], r) for r in sandbox.requests if r.method == "PATCH"]


def by_id(calls):
    """Return what the sandbox holds in an order that can be compared."""
    return calls.drop(columns=["fetched_at"]).sort_values("id").reset_index(drop=True)


def seconds(sandbox):
    return by_id(sandbox.calls)["duration_seconds"].tolist()


class Wiretap(httpx.BaseTransport):
    """A real transport that lets a test act at the moment a request leaves."""

    def __init__(self):
        self.inner = httpx.HTTPTransport(
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=16), verify=NO_TLS
        )
        self.on_patch = lambda _number, _request: None
        self.on_read = lambda _request: None
        self._lock = threading.Lock()
        self._n = 0

    def handle_request(self, request):
        if request.method == "PATCH":
            with self._lock:
                self._n += 1
                self.on_patch(self._n, request)
        else:
            self.on_read(request)
        return self.inner.handle_request(request)

    def close(self):
        self.inner.close()


def read_ids(request):
    """Return the ids that a read asked for."""
    return [value for name, value in parse_qsl(request.query) if name == "filter[id][in][]"]


def sent_without_reading(sandbox):
    """Return the calls to which a PATCH went that was not directly preceded by a read of that call."""
    known, wrong = set(), []
    for request in sandbox.requests:
        if request.method == "GET":
            known |= set(read_ids(request))
        else:
            call_id = request.path.rsplit("/", 1)[-1]
            if call_id not in known:
                wrong.append(call_id)
            known.discard(call_id)
    return wrong


def n_attempts(audit):
    records = AuditLog(audit).records()
    return int(records["event"].eq("attempt").sum())


def virtual_time():
    """Return tools whose time passes only while a request waits for its permit, and no back-off."""
    now, begun = [0.0], datetime.now(UTC)

    def sleep(seconds):
        now[0] += seconds  # only the head of the queue sleeps, so nobody else writes

    return Tools(
        clock=lambda: now[0],
        sleep=sleep,
        now=lambda: begun + timedelta(seconds=now[0]),
        random=lambda: 0.0,
    )


@pytest.fixture
def lab(tmp_path):
    """Twelve wrong calls behind a real socket, a client, and a folder for the log."""
    with make_lab(tmp_path, 12) as made:
        yield made


@pytest.fixture
def lab_of(tmp_path):
    """Make such a lab of as many wrong calls as are asked for."""
    with ExitStack() as stack:
        yield lambda n, **options: stack.enter_context(make_lab(tmp_path / str(n), n, **options))


@contextmanager
def make_lab(tmp_path, n_calls, **options):
    tap = Wiretap()
    with (
        Sandbox(make_calls(n_calls), **options) as sandbox,
        Client(sandbox.url, token=sandbox.token, timeout=60.0, transport=tap) as client,
    ):
        audit = tmp_path / "audit"

        def apply(plan, tools=None, **options):
            asked = {
                "rate": FAST, "limit": None, "concurrency": None, "on_drift": "skip",
                "min_approvals": 1, "max_failures": 10, "progress": False,
            }  # fmt: skip
            return apply_with(tools or Tools(random=lambda: 0.0), plan, client, audit, **(asked | options))

        yield SimpleNamespace(
            tap=tap,
            apply=apply,
            virtual_time=virtual_time,
            n_attempts=lambda: n_attempts(audit),
            sent_without_reading=lambda: sent_without_reading(sandbox),
            outcomes=lambda run: run.records.set_index("call_id")["outcome"].sort_index().tolist(),
            sandbox=sandbox,
            client=client,
            audit=audit,
            plan=lambda n=n_calls, **kwargs: make_plan(client, n, **kwargs),
            plan_with=make_plan,
            patches=lambda: patches(sandbox),
            held=lambda: by_id(sandbox.calls),
            seconds=lambda: seconds(sandbox),
            fast=FAST,
            id_of=call_id_of,
            make_calls=make_calls,
            by_id=by_id,
        )
    tap.close()
