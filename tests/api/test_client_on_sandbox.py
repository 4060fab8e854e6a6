"""The client against the sandbox, over real sockets on this machine."""

from __future__ import annotations

import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile.api import ExchangeKind
from sippet_reconcile.errors import RejectedError, TransientApiError, UnexpectedResponseError
from sippet_reconcile.sandbox import Faults, Sandbox, Switches
from sippet_reconcile.schema import CALLS, PATCHABLE

N = 600
WRONG = "wrong"


@pytest.fixture(scope="module")
def calls() -> pd.DataFrame:
    started = pd.Series(pd.date_range("2026-10-01T00:00:00.123456Z", periods=N, freq="37min", unit="us"))
    frame = pd.DataFrame(
        {
            "id": [f"00000000-0000-4000-8000-{n:012d}" for n in range(N)],
            "call_uuid": [f"uuid-{n}" for n in range(N)],
            "direction": "inbound",
            "from_number": "+15550000001",
            "to_number": "+15550000002",
            "sip_username": None,
            "status": "completed",
            "call_source": "sip",
            "started_at": started.mask(started.index == 7),
            "ended_at": started + pd.Timedelta("60s"),
            "duration_seconds": 60,
            "conversation_id": None,
            "api_url": None,
            "fetched_at": pd.Series(pd.NaT, index=range(N), dtype="datetime64[us, UTC]"),
        }
    )
    return sr.schema.conform(frame, CALLS)  # type: ignore[attr-defined]


@pytest.fixture
def sandbox(calls: pd.DataFrame) -> Iterator[Sandbox]:
    with Sandbox(calls=calls) as running:
        yield running


def connect(sandbox: Sandbox, **options: Any) -> sr.Client:
    return sr.Client(sandbox.url, token=sandbox.token, sleep=lambda _: None, **options)


def compared(calls: pd.DataFrame) -> pd.DataFrame:
    return calls.drop(columns=["api_url", "fetched_at"]).sort_values("id", ignore_index=True)


@pytest.mark.parametrize("switches", [Switches(), Switches(omit_nil=True), Switches(pagination="offset", max_page_size=5), Switches(pagination="keyset")])  # fmt: skip
def test_a_month_is_read_whole(calls: pd.DataFrame, switches: Switches) -> None:
    with Sandbox(calls=calls, switches=switches) as sandbox, connect(sandbox) as client:
        found = client.fetch_calls("2026-10", progress=False)
    pd.testing.assert_frame_equal(compared(found), compared(calls))
    assert found["started_at"].iloc[:-1].is_monotonic_increasing
    assert pd.isna(found["started_at"].iloc[-1])


def test_a_server_that_keeps_whole_seconds_is_read_whole(calls: pd.DataFrame) -> None:
    with Sandbox(calls=calls, switches=Switches(time_precision=0)) as sandbox, connect(sandbox) as client:
        assert len(client.fetch_calls("2026-10", progress=False)) == N
        row = client.patch_call(calls["id"].iloc[0], {"ended_at": "2026-10-01T00:01:00.750000Z"})
    assert row["ended_at"] == "2026-10-01T00:01:00Z"


def test_a_month_is_read_whole_although_the_network_is_bad(calls: pd.DataFrame) -> None:
    faults = Faults(throttle_share=0.1, retry_after_s=0, error_share=0.1, lost_answer_share=0.1, seed=4)
    with Sandbox(calls=calls, faults=faults) as sandbox, connect(sandbox) as client:
        found = client.fetch_calls("2026-10", progress=False)
        assert any(request.fault for request in sandbox.requests)
    pd.testing.assert_frame_equal(compared(found), compared(calls))


def test_calls_are_read_by_id(calls: pd.DataFrame, sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        wanted = calls["id"].iloc[::5]
        found = client.get_calls(wanted)
    assert sorted(found["id"]) == sorted(wanted)
    assert len(sandbox.requests) == 3


def test_filters_work_as_meant(calls: pd.DataFrame) -> None:
    mixed = calls.assign(
        status=calls["status"].mask(calls.index % 3 == 0, "busy"),
        duration_seconds=calls.index.to_series().astype("Int64"),
    )
    with Sandbox(calls=mixed) as sandbox, connect(sandbox) as client:
        found = client.fetch_calls(
            "2026-10",
            filters={
                "status": ["busy", "failed"],
                "from_number": "+15550000001",
                "duration_seconds": {"gte": 30},
                "started_at": {"lt": "2026-10-10T00:00:00Z"},
                "or": [{"call_uuid": {"contains": "3"}}, {"call_uuid": {"string_ends_with": "0"}}],
            },
            progress=False,
        )
    text = mixed["call_uuid"]
    wanted = mixed[
        mixed["status"].eq("busy")
        & mixed["duration_seconds"].ge(30)
        & mixed["started_at"].lt(pd.Timestamp("2026-10-10", tz="UTC"))
        & (text.str.contains("3") | text.str.endswith("0"))
    ]
    assert sorted(found["id"]) == sorted(wanted["id"])
    assert len(wanted) > 20


@pytest.mark.parametrize("precise", ["2026-10-01T08:00:00Z", "2026-10-01T08:00:00.000001Z"])
def test_a_correction_is_what_it_was_sent_as(calls: pd.DataFrame, sandbox: Sandbox, precise: str) -> None:
    sent = {"status": "busy", "duration_seconds": 2**31 - 1, "ended_at": precise, "call_source": "reconciled"}
    with connect(sandbox) as client:
        row = client.patch_call(calls["id"].iloc[3], sent)
        again = client.get_calls([calls["id"].iloc[3]])
        client.attempt_patch(
            calls["id"].iloc[3], {"ended_at": None, "status": None, "duration_seconds": None}
        )
        cleared = client.get_calls([calls["id"].iloc[3]])
    assert {name: row[name] for name in sent} == sent
    assert again["ended_at"].iloc[0] == pd.Timestamp(precise)
    assert cleared[["ended_at", "status", "duration_seconds"]].isna().all(axis=None)


def test_a_refusal_says_why(calls: pd.DataFrame, sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        with pytest.raises(RejectedError, match="/data/attributes/status") as caught:
            client.patch_call(calls["id"].iloc[3], {"status": "nope"})
        assert caught.value.status == 400
        assert caught.value.request_id
        missing = client.attempt_patch("99999999-9999-4999-8999-999999999999", {"status": "busy"})
    assert missing.kind is ExchangeKind.MISSING


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (["throttle"], ExchangeKind.THROTTLED),
        ([500], ExchangeKind.TRANSIENT),
        (["lost_answer"], ExchangeKind.LOST),
        (["dropped_answer"], ExchangeKind.LOST),
        (["reset"], ExchangeKind.LOST),
        (["garbled"], ExchangeKind.MALFORMED),
    ],
)
def test_a_patch_that_goes_wrong_is_told_apart(
    calls: pd.DataFrame, script: list[Any], kind: ExchangeKind
) -> None:
    with Sandbox(calls=calls, faults=Faults(script=script)) as sandbox, connect(sandbox) as client:
        exchange = client.attempt_patch(calls["id"].iloc[3], {"status": "busy"})
        assert len(sandbox.requests) == 1
        status = sandbox.calls.set_index("id").loc[calls["id"].iloc[3], "status"]
    assert exchange.kind is kind
    # What was applied all the same is never told as certainly not applied.
    assert exchange.may_have_been_applied or status == "completed"


@pytest.mark.parametrize("failure", ["403", "401-json", "401-text"])
def test_a_wrong_token_is_no_empty_month(calls: pd.DataFrame, failure: str) -> None:
    with Sandbox(calls=calls, switches=Switches(auth_failure=failure)) as sandbox:
        client = sr.Client(sandbox.url, token=WRONG)
        with pytest.raises(RejectedError) as caught:
            client.fetch_calls("2026-10", progress=False)
        assert caught.value.status == int(failure[:3])
        assert client.check().authenticated is False


def test_a_wrong_token_that_sees_nothing_is_no_empty_month(calls: pd.DataFrame) -> None:
    with Sandbox(calls=calls, switches=Switches(auth_failure="200-empty")) as sandbox:
        client = sr.Client(sandbox.url, token=WRONG)
        with pytest.raises(UnexpectedResponseError, match="no call at all is visible"):
            client.fetch_calls("2026-10", progress=False)
        assert client.check().sees_calls is False
        right = connect(sandbox)
        assert right.fetch_calls("2025-01", unstarted=False, progress=False).empty


def test_the_sandbox_describes_itself(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        description, result = client.describe(), client.check()
    assert "completed" in description.statuses
    assert set(description.patchable) == set(PATCHABLE)
    assert result.ok
    assert result.clock_difference_s is not None
    assert {request.method for request in sandbox.requests} == {"GET"}


def test_nobody_at_home_is_told_as_not_sent() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        client = sr.Client(url, token=WRONG, sleep=lambda _: None)
        exchange = client.attempt_patch("99999999-9999-4999-8999-999999999999", {"status": "busy"})
        assert exchange.kind is ExchangeKind.NOT_SENT
        with pytest.raises(TransientApiError, match="could not be sent") as caught:
            client.patch_call("99999999-9999-4999-8999-999999999999", {"status": "busy"})
        assert caught.value.may_have_been_applied is False


def test_an_answer_that_never_comes_is_lost(calls: pd.DataFrame) -> None:
    with Sandbox(calls=calls, faults=Faults(latency_s=600)) as sandbox:
        client = connect(sandbox, timeout=0.1)
        exchange = client.attempt_patch(calls["id"].iloc[0], {"status": "busy"})
    assert exchange.kind is ExchangeKind.LOST
    assert "no bytes for 0.1 s" in str(exchange.error_detail)


def test_many_threads_share_a_client(calls: pd.DataFrame, sandbox: Sandbox) -> None:
    client = connect(sandbox)
    kinds: list[str] = []

    def work(start: int) -> None:
        ids = calls["id"].iloc[start : start + 10]
        kinds.extend(
            client.attempt_patch(call_id, {"duration_seconds": n}).kind
            for n, call_id in enumerate(ids, start)
        )

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert kinds == ["ok"] * 160
    changed = sandbox.calls.set_index("id").loc[calls["id"].iloc[:160], "duration_seconds"]
    assert changed.tolist() == list(range(160))


def test_a_client_that_is_closed_under_a_request_keeps_its_answer(calls: pd.DataFrame) -> None:
    with Sandbox(calls=calls, faults=Faults(latency_s=1.0)) as sandbox:
        client, answers = connect(sandbox), []
        asking = threading.Thread(target=lambda: answers.append(client.attempt_read([calls["id"][0]])))
        asking.start()
        while not sandbox.requests:
            time.sleep(0.01)
        client.close()
        asking.join()
    assert [answer.kind for answer in answers] == [ExchangeKind.OK]


def test_no_request_begins_while_the_connections_are_being_closed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(sandbox) as client:
        wire, is_shut = client._wire, []
        close = wire._transport.close
        monkeypatch.setattr(wire._transport, "close", lambda: (is_shut.append(wire._lock.locked()), close()))
        client.check()
        client.close()
        client.check()
    assert is_shut
    assert all(is_shut)


def test_a_refused_fetch_leaves_no_socket_open_behind_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaks: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda seen: leaks.append(seen.exc_value))
    for _ in range(20):
        with sr.Client(sandbox.url, token=WRONG) as client, pytest.raises(RejectedError):
            client.fetch_calls("2026-10")
    for thread in threading.enumerate():
        if thread.name.startswith("fetch-calls"):
            thread.join()
    del client
    gc.collect()
    assert leaks == []
