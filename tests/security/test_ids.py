"""What is no UUID never reaches a URL, wherever it came from; values of filters cannot break out of theirs."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import httpx
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sippet_reconcile import (
    AuditLog,
    Client,
    InputError,
    ReconcileError,
    apply_plan,
    load_run,
    plan_corrections,
    read_calls,
    revert_run,
    verify_run,
)
from sippet_reconcile.audit import Entry, Event, Outcome
from sippet_reconcile.schema import CALLS, Calls

GOOD = "8c1f3c52-0000-4000-8000-000000000001"
LOOKS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

EVIL = [
    "../users", f"{GOOD}/../../users", "..%2fusers", "%2e%2e%2f", f"{GOOD}?x=1", f"{GOOD}#x", f"{GOOD}&x", f"{GOOD};x",
    f"{GOOD}\x00", f"{GOOD}\r\nx-evil: 1", f"{GOOD}\n{GOOD}", f"{GOOD} {GOOD}", f"{{{GOOD}}}", f"urn:uuid:{GOOD}",
    GOOD.replace("-", ""), GOOD.replace("0", "\uff10"), GOOD.replace("0", "\u0660"), GOOD.replace("c", "\u0441"),
    GOOD + "1", GOOD[:-1], f"{GOOD},{GOOD}", f"[{GOOD}]", "*", "", " ", "null", "None", "nan", "0", f"\u202e{GOOD}",
    f"{GOOD}\u200b", GOOD.replace("-", "\u2010"), f"/{GOOD}", f"{GOOD}/", f"//{GOOD}", f"{GOOD}.json", f"{GOOD}%00", "ß" * 36,
]  # fmt: skip


class Nothing(httpx.BaseTransport):
    """A transport through which nothing may go."""

    def __init__(self):
        self.sent = []

    def handle_request(self, request):
        self.sent.append(request.url.raw_path)
        raise httpx.ConnectError("nothing may be sent")  # noqa: EM101


def client_and_wire():
    wire, now = Nothing(), [0.0]

    def sleep(seconds):
        now[0] += seconds

    return Client("https://api.example.com", transport=wire, sleep=sleep, clock=lambda: now[0]), wire


def ways_to_send(client, value):
    return [
        lambda: client.get_calls([value]),
        lambda: client.get_calls(value),
        lambda: client.get_calls([GOOD, value, GOOD]),
        lambda: client.get_calls(pd.Series([value])),
        lambda: client.attempt_read([value]),
        lambda: client.patch_call(value, {"status": "busy"}),
        lambda: client.attempt_patch(value, {"status": "busy"}),
        lambda: client.fetch_calls("2026-10", filters={"id": value}, progress=False),
        lambda: client.fetch_calls("2026-10", filters={"id": {"in": [GOOD, value]}}, progress=False),
        lambda: client.fetch_calls("2026-10", filters={"not": {"conversation_id": value}}, progress=False),
    ]


def refused_unsent(value):
    client, wire = client_and_wire()
    for way in ways_to_send(client, value):
        with pytest.raises(InputError):
            way()
    assert wire.sent == []


@pytest.mark.parametrize("value", EVIL, ids=ascii)
def test_what_is_no_uuid_is_refused_before_anything_is_sent(value):
    refused_unsent(value)


@given(st.one_of(st.text(max_size=50), st.from_regex(r"[0-9a-f{}%./?#&\r\n\x00-]{30,40}", fullmatch=True)))
@settings(max_examples=60)
def test_no_text_but_a_uuid_is_sent(value):
    assume(not LOOKS.fullmatch(value.strip().lower()))
    refused_unsent(value)


@given(st.uuids(), st.integers(0, 35), st.characters())
@settings(max_examples=60)
def test_a_uuid_with_one_character_changed_is_refused_or_is_one(one, place, character):
    text = str(one)
    text = text[:place] + character + text[place + 1 :]
    assume(not LOOKS.fullmatch(text.strip().lower()) and not re.search("[\ud800-\udfff]", text))
    refused_unsent(text)


@pytest.mark.parametrize(
    "value", [None, 5, 1.5, b"8c1f3c52", uuid.UUID(GOOD), pd.NA, float("nan"), [GOOD], {"a": 1}], ids=repr
)
def test_what_is_no_text_is_refused(value):
    client, wire = client_and_wire()
    for way in (
        lambda: client.get_calls([value]),
        lambda: client.patch_call(value, {"status": "busy"}),
        lambda: client.attempt_read([value]),
    ):
        with pytest.raises(InputError):
            way()
    assert wire.sent == []


@pytest.mark.parametrize("spelling", [GOOD, GOOD.upper(), f"  {GOOD}\n"], ids=repr)
def test_what_arrives_at_the_socket_is_this_byte_for_byte(raw, secret, spelling):
    call = {"type": "Call", "id": GOOD, "attributes": {"status": "busy"}}
    for_patch = raw.http(200, {"data": call})
    for_read = raw.http(200, {"data": [call]})
    answer = lambda data: for_patch if data.startswith(b"PATCH") else for_read  # noqa: E731
    with raw.serve(answer) as server, Client(server.url, token=secret.token) as client:
        client.patch_call(spelling, {"status": "busy"})
        client.get_calls([spelling])
    patch, read = (data.partition(b"\r\n")[0] for data in server.received)
    assert patch == b"PATCH /api/calls/8c1f3c52-0000-4000-8000-000000000001 HTTP/1.1"
    assert read == (
        b"GET /api/calls?filter%5Bid%5D%5Bin%5D%5B%5D=8c1f3c52-0000-4000-8000-000000000001&sort=started_at,id HTTP/1.1"
    )
    for data in server.received:
        names = [
            line.partition(b":")[0].lower() for line in data.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        ]
        assert sorted(set(names)) == sorted(names), "no header twice"
        assert set(names) <= {b"host", b"accept", b"accept-encoding", b"user-agent", b"content-type", b"authorization", b"content-length"}  # fmt: skip


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\x00" not in text and not re.search("[\ud800-\udfff]", text)))  # fmt: skip
@settings(max_examples=100)
def test_the_value_of_a_filter_arrives_as_itself_and_as_nothing_more(value):
    client, wire = client_and_wire()
    with pytest.raises(ReconcileError):
        client.fetch_calls("2026-10", unstarted=False, filters={"sip_username": value, "from_number": {"contains": value}}, progress=False)  # fmt: skip
    target = wire.sent[0].decode("ascii")
    assert re.fullmatch(r"/api/calls\?[A-Za-z0-9%._~,:&=-]+", target), (
        "nothing but unreserved characters and escapes"
    )
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True, strict_parsing=True)
    found = [pair for pair in pairs if "started_at" not in pair[0] and pair[0] != "sort"]
    assert found == [
        ("filter[sip_username][eq]", value.strip()),
        ("filter[from_number][contains]", value.strip()),
    ]


@given(st.text(max_size=20), st.text(max_size=20))
def test_names_and_operators_of_a_filter_are_known_ones(name, operator):
    assume(name not in {"id", *CALLS.names, "and", "or", "not"})
    client, wire = client_and_wire()
    with pytest.raises(InputError):
        client.fetch_calls("2026-10", filters={name: "x"}, progress=False)
    assume(operator not in {"eq", "not_eq", "is_distinct_from", "is_not_distinct_from", "in", "is_nil"})
    with pytest.raises(InputError):
        client.fetch_calls("2026-10", filters={"status": {operator: "x"}}, progress=False)
    assert wire.sent == []


# Ids out of files and answers


@pytest.fixture
def calls():
    at = pd.Series(pd.to_datetime(["2026-10-01T08:00:00Z"])).dt.as_unit("us")
    text = {name: pd.Series([None], dtype="str") for name in CALLS.names}
    told = {"id": GOOD, "status": "busy", "call_uuid": "c-1", "api_url": "https://api.example.com"}
    text |= {name: pd.Series([value], dtype="str") for name, value in told.items()}
    frame = pd.DataFrame(text)
    return frame.assign(
        started_at=at, ended_at=at, fetched_at=at, duration_seconds=pd.Series([0], dtype="Int64")
    )


@pytest.mark.parametrize("value", EVIL, ids=ascii)
def test_an_answer_with_another_id_is_no_call(value):
    def answer(_request):
        call = {"type": "Call", "id": value, "attributes": {"status": "busy"}}
        return httpx.Response(200, json={"data": [call]})

    client = Client("https://api.example.com", transport=httpx.MockTransport(answer), sleep=lambda _: None)
    with pytest.raises(ReconcileError):
        client.get_calls([GOOD])


STRANGE = pytest.mark.parametrize(
    "value", ["../users", GOOD.replace("-", ""), f"{GOOD}\r\nx: 1", f"{GOOD}?x=1", "call-1"], ids=ascii
)


@STRANGE
def test_ids_of_a_file_of_calls_are_uuids(calls, tmp_path, value):
    calls.assign(id=pd.Series([value], dtype="str")).to_parquet(tmp_path / "calls.parquet")
    with pytest.raises(InputError, match="UUID"):
        read_calls(tmp_path / "calls.parquet")


@STRANGE
def test_no_plan_is_made_or_applied_for_an_id_that_is_none(calls, tmp_path, value):
    ids = pd.Series([value], dtype="str")
    fix = pd.DataFrame({"call_id": ids, "call_source": pd.Series(["sip"], dtype="str")})
    client, wire = client_and_wire()

    def plan_and_apply():
        plan = plan_corrections(Calls(calls.assign(id=ids)), fix, reason="ticket 4711").approve(by="ana")
        apply_plan(plan, client, tmp_path / "audit", progress=False)

    with pytest.raises(
        ReconcileError, match=re.escape(value) if "/" in value or "?" in value else "UUID|path"
    ):
        plan_and_apply()
    assert wire.sent == []


@STRANGE
def test_ids_of_a_log_from_a_stranger_reach_no_url(tmp_path, value):
    common = {
        "run_id": "run-1",
        "plan_id": "plan-1",
        "api_url": "https://api.example.com",
        "at": datetime(2026, 10, 1, tzinfo=UTC),
    }
    call = {"call_id": value, "before": '{"status":"busy"}', "after": '{"status":"completed"}'}
    log = AuditLog(tmp_path / "audit")
    with log.writing() as writer:
        writer.append([
            Entry(event=Event.RUN_STARTED, note='{"n_calls": 1}', by="mallory", **common),
            Entry(event=Event.INTENT, **call, **common),
            Entry(event=Event.OUTCOME, outcome=Outcome.APPLIED, **call, **common),
        ])  # fmt: skip
    client, wire = client_and_wire()
    with pytest.raises(ReconcileError):
        verify_run(load_run(tmp_path / "audit"), client, progress=False)

    def revert_and_apply():
        undo = revert_run(load_run(tmp_path / "audit")).approve(by="ana")
        apply_plan(undo, client, tmp_path / "audit", progress=False)

    with pytest.raises(ReconcileError):
        revert_and_apply()
    assert wire.sent == []
