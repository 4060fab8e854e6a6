"""Faults on the way, the rate limit, and the journal that remembers both."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import accumulate

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Fault, FaultKind, Faults, Switches
from sippet_reconcile.sandbox.faults import FaultSource
from sippet_reconcile.sandbox.limiter import Limiter

CALL = "33333333-3333-4333-8333-333333333333"
BODY = json.dumps({"data": {"attributes": {"status": "busy"}}})


def _patch(client):
    return client.patch(
        f"/api/calls/{CALL}", content=BODY, headers={"content-type": "application/vnd.api+json"}
    )


def _status(sandbox):
    calls = sandbox.calls
    return calls.loc[calls["id"] == CALL, "status"].item()


def test_a_lost_answer_was_applied_and_breaks_off_in_its_body(start, connect):
    sandbox = start(faults=Faults(script=["lost_answer"]))
    with pytest.raises(httpx.RemoteProtocolError):
        _patch(connect(sandbox))
    assert _status(sandbox) == "busy"


def test_a_dropped_answer_was_applied_and_resets(start, connect):
    sandbox = start(faults=Faults(script=["dropped_answer"]))
    with pytest.raises(httpx.ReadError):
        _patch(connect(sandbox))
    assert _status(sandbox) == "busy"


def test_a_reset_was_not_applied(start, connect):
    sandbox = start(faults=Faults(script=["reset"]))
    with pytest.raises(httpx.ReadError):
        _patch(connect(sandbox))
    assert _status(sandbox) == "failed"


def test_an_answer_held_too_long_was_applied(start, connect):
    sandbox = start(faults=Faults(script=[Fault(hold_s=600)]))
    client = connect(sandbox)
    client.timeout = httpx.Timeout(60, read=0.2)
    with pytest.raises(httpx.ReadTimeout):
        _patch(client)
    give_up_at = time.monotonic() + 60
    while _status(sandbox) != "busy" and time.monotonic() < give_up_at:
        time.sleep(0.005)
    assert _status(sandbox) == "busy"
    assert [request.status for request in sandbox.requests] == [None]


def test_a_request_delayed_too_long_was_not_applied_yet(start, connect):
    sandbox = start(faults=Faults(latency_s=600))
    client = connect(sandbox)
    client.timeout = httpx.Timeout(60, read=0.2)
    with pytest.raises(httpx.ReadTimeout):
        _patch(client)
    assert _status(sandbox) == "failed"


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [
        (500, 500, "application/vnd.api+json; charset=utf-8"),
        (502, 502, "text/html"),
        (503, 503, "text/html"),
        (504, 504, "text/html"),
        (429, 429, None),
    ],
)
def test_a_refused_request_was_not_applied(start, connect, fault, status, content_type):
    sandbox = start(faults=Faults(script=[fault]))
    client = connect(sandbox)
    answer = _patch(client)
    assert (answer.status_code, answer.headers.get("content-type")) == (status, content_type)
    assert _status(sandbox) == "failed"
    assert _patch(client).status_code == 200


def test_a_garbled_answer_was_applied_and_is_no_json(start, connect):
    sandbox = start(faults=Faults(script=["garbled"]))
    answer = _patch(connect(sandbox))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html")
    assert _status(sandbox) == "busy"


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        (Fault("throttle"), "7"),
        (Fault("throttle", retry_after_s=0.25), "0.25"),
        (Fault("error", status=503, retry_after_s=3), "3"),
        (Fault("error", status=503), None),
    ],
)
def test_retry_after_says_how_long_to_wait(start, connect, fault, retry_after):
    sandbox = start(faults=Faults(script=[fault], retry_after_s=7))
    assert connect(sandbox).get("/api/calls").headers.get("retry-after") == retry_after


@pytest.mark.parametrize(
    ("style", "status", "body"),
    [
        ("429", 429, b""),
        ("403-text", 403, b"Forbidden\n"),
        ("403-forbidden", 403, b'"code":"forbidden"'),
    ],
)
def test_a_throttle_looks_as_the_switch_says(start, connect, style, status, body):
    sandbox = start(faults=Faults(script=["throttle"]), switches=Switches(rate_limit_style=style))
    answer = connect(sandbox).get("/api/calls")
    assert answer.status_code == status
    assert body in answer.content
    assert bool(answer.content) is bool(body)


def test_faults_keep_to_their_methods(start, connect):
    sandbox = start(faults=Faults(script=[503, 503], methods=("PATCH",)))
    client = connect(sandbox)
    assert [client.get("/api/calls").status_code for _ in range(3)] == [200, 200, 200]
    assert [_patch(client).status_code for _ in range(3)] == [503, 503, 200]


def test_faults_can_be_set_while_the_sandbox_runs(start, connect):
    sandbox = start()
    client = connect(sandbox)
    assert client.get("/api/calls").status_code == 200
    sandbox.faults = Faults(error_share=1.0, error_status=504)
    assert client.get("/api/calls").status_code == 504
    sandbox.faults = Faults()
    assert client.get("/api/calls").status_code == 200


def test_shares_are_kept_and_repeat_with_their_seed():
    faults = Faults(throttle_share=0.1, error_share=0.2, lost_answer_share=0.3, reset_share=0.05, seed=7)
    first, second = FaultSource(faults), FaultSource(faults)
    kinds = [first.draw("PATCH").kind for _ in range(4000)]
    assert kinds == [second.draw("PATCH").kind for _ in range(4000)]
    counts = Counter(kinds)
    for kind, share in {
        FaultKind.THROTTLE: 0.1,
        FaultKind.ERROR: 0.2,
        FaultKind.LOST_ANSWER: 0.3,
        FaultKind.RESET: 0.05,
        FaultKind.NONE: 0.35,
    }.items():
        # Six standard deviations of a share of a half are 0.047.
        assert abs(counts[kind] / 4000 - share) < 0.047


def test_latency_lies_between_its_bounds():
    source = FaultSource(Faults(latency_s=0.5, jitter_s=0.25, script=[Fault(latency_s=2)]))
    first, *others = [source.draw("GET").latency_s for _ in range(200)]
    assert 2.5 <= first < 2.75
    assert min(others) >= 0.5
    assert max(others) < 0.75
    assert len(set(others)) > 100


@pytest.mark.parametrize(
    "options",
    [
        {"error_share": 0.6, "throttle_share": 0.6},
        {"error_share": -0.1},
        {"error_status": 200},
        {"latency_s": -1},
        {"script": ["explode"]},
    ],
)
def test_impossible_faults_are_refused(options):
    with pytest.raises(InputError):
        Faults(**options)


def test_the_limiter_refuses_and_counts_what_is_over_the_rate(start, connect):
    sandbox = start(switches=Switches(rate_limit_per_s=1))
    client = connect(sandbox)
    answers = [client.get("/api/calls?fields[Call]=id") for _ in range(12)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert sandbox.rate_violations == len(refused) > 0
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert [request.fault for request in sandbox.requests].count("rate_limit") == len(refused)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 400), max_size=60), st.integers(1, 5))
def test_the_limiter_never_admits_more_than_its_rate_in_a_second(gaps_ms, rate):
    limiter = Limiter(rate)
    moments_ms = list(accumulate(gaps_ms))
    admitted = [at for at in moments_ms if limiter.admit(at / 1000)]
    assert all(later - earlier >= 1000 for earlier, later in zip(admitted, admitted[rate:], strict=False))
    assert limiter.violations == len(moments_ms) - len(admitted)


def test_the_journal_tells_what_arrived_and_what_became_of_it(start, connect):
    sandbox = start(faults=Faults(script=[None, "lost_answer", "reset", 503]))
    client = connect(sandbox)
    client.get("/api/calls?sort=id&filter[status]=busy", headers={"x-api-key": "secret"})
    for broken in (httpx.RemoteProtocolError, httpx.ReadError):
        with pytest.raises(broken):
            _patch(client)
    _patch(client)
    first, *others = sandbox.requests
    assert (first.method, first.path, first.query) == ("GET", "/api/calls", "sort=id&filter[status]=busy")
    assert (first.status, first.fault, first.body) == (200, None, "")
    assert first.headers["accept"] == "application/vnd.api+json"
    assert not {"authorization", "x-api-key"} & set(first.headers)
    assert [(other.path, other.body, other.status, other.fault) for other in others] == [
        (f"/api/calls/{CALL}", BODY, None, "lost_answer"),
        (f"/api/calls/{CALL}", BODY, None, "reset"),
        (f"/api/calls/{CALL}", BODY, 503, "error"),
    ]
    assert [request.at for request in sandbox.requests] == sorted(request.at for request in sandbox.requests)
    assert abs((datetime.now(UTC) - first.at_utc).total_seconds() - (time.monotonic() - first.at)) < 60
    sandbox.clear_requests()
    assert sandbox.requests == []


def test_no_token_is_in_the_journal(start, connect):
    sandbox = start()
    connect(sandbox).get("/api/calls", headers={"x-api-key": sandbox.token})
    assert sandbox.token not in repr(sandbox.requests)


def test_many_threads_are_served_at_once(start):
    sandbox = start(faults=Faults(latency_s=0.05))
    statuses = []

    def ask():
        with httpx.Client(base_url=sandbox.url, headers={"x-api-key": sandbox.token}, timeout=60) as client:
            statuses.extend(client.get("/api/calls").status_code for _ in range(5))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 40
    assert len(sandbox.requests) == 40
