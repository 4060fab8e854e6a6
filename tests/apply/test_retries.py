"""Each class of failure over a real socket: how many requests arrive, and what the call comes to."""

from __future__ import annotations

import gzip
import json
import re
import socket
import socketserver
import threading
import tracemalloc
from contextlib import contextmanager

import httpx
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.api.wire import MEDIA_TYPE
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.errors import ApiError
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Fault, Faults, Sandbox

ALWAYS = 60
THROTTLE = Fault("throttle", retry_after_s=0)
TEXT = Fault("throttle", style="403-text")
JSON = Fault("throttle", style="403-forbidden")


def settled(lab, *script, methods=("PATCH",), plan=None):
    """Apply a plan of one call against a script of faults; return its row and the requests that arrived."""
    plan = plan or lab.plan(1)
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=script, methods=methods)
    run = lab.apply(plan, lab.virtual_time())
    row = run.records.set_index("call_id").loc[lab.id_of(0)]
    sent = "".join(request.method[0] for request in lab.sandbox.requests)
    assert lab.sent_without_reading() == []
    assert lab.n_attempts() == sent.count("P")
    return row, sent


# Fault, then what the call comes to when every PATCH meets it, and every request that arrives:
# G a read, P a PATCH. Before each P a G that showed what the plan was made from.
@pytest.mark.parametrize(
    ("fault", "outcome", "sent"),
    [
        (THROTTLE, "failed", "GPGPGPGPGPG"),
        (TEXT, "failed", "GPGPGPGPGPG"),
        (Fault("error", status=503, retry_after_s=0), "failed", "GPGPGPGPGPG"),
        (JSON, "rejected", "GPGPG"),
        (500, "failed", "GPGPGPG"),
        (502, "failed", "GPGPGPGPGPG"),
        (503, "failed", "GPGPGPGPGPG"),
        (504, "failed", "GPGPGPGPGPG"),
        (408, "failed", "GPGPGPGPGPG"),
        (425, "failed", "GPGPGPGPGPG"),
        ("reset", "failed", "GPGPGPGPGPG"),
        ("closed", "failed", "GPGPGPGPGPG"),
        ("early_answer", "failed", "GPGPGPGPGPG"),
        (400, "rejected", "GP"),
        (409, "rejected", "GP"),
        (413, "rejected", "GP"),
        (414, "rejected", "GP"),
        (422, "rejected", "GP"),
        (431, "rejected", "GP"),
        (404, "failed", "GPGPGPG"),
        ("ignored", "altered", "GP"),
    ],
    ids=str,
)
def test_a_fault_that_does_not_end_is_given_up_after_so_many_requests(lab, fault, outcome, sent):
    row, arrived = settled(lab, *[fault] * ALWAYS)
    assert (row["outcome"], arrived) == (outcome, sent)
    assert lab.seconds()[0] == 30


@pytest.mark.parametrize(
    "fault",
    [THROTTLE, TEXT, JSON, Fault("error", status=503, retry_after_s=0), 500, 502, 503, 504, 408, 425,
     "reset", "closed", "early_answer", 404],
    ids=str,
)  # fmt: skip
def test_a_fault_that_ends_is_outlasted_and_the_call_is_read_between(lab, fault):
    row, arrived = settled(lab, fault)
    assert (row["outcome"], row["confirmed_by"], arrived) == ("applied", "answer", "GPGP")


@pytest.mark.parametrize(
    "fault",
    ["lost_answer", "lost_chunked", "lost_head", "dropped_answer", "closed_answer", "garbled", "no_content",
     "redirect", "empty_body", "json_null", "json_list", "json_truncated", "json_nan", "json_bad_utf8",
     "no_http", "broken_status", "broken_chunk", "gzip_claimed", "gzip_truncated", "endless_head",
     Fault("error_after", status=500), Fault("error_after", status=502), Fault("error_after", status=503),
     Fault("error_after", status=404), Fault("error_after", status=503, retry_after_s=0)],
    ids=str,
)  # fmt: skip
def test_what_was_written_and_not_confirmed_is_read_back_and_never_sent_again(lab, fault):
    row, arrived = settled(lab, fault)
    assert (row["outcome"], row["confirmed_by"], arrived) == ("applied", "reread", "GPG")
    assert lab.seconds()[0] == 60


@pytest.mark.parametrize(
    ("fault", "n_reads"),
    [
        (THROTTLE, 5),
        (TEXT, 5),
        (JSON, 3),
        (500, 3),
        (502, 5),
        (503, 5),
        ("reset", 5),
        ("garbled", 3),
        (400, 1),
    ],
    ids=str,
)
def test_a_read_that_never_succeeds_ends_the_run_before_anything_is_sent(lab, fault, n_reads):
    plan = lab.plan(2)
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=[fault] * ALWAYS, methods=("GET",))
    with pytest.raises(ApiError):
        lab.apply(plan, lab.virtual_time())
    assert [request.method for request in lab.sandbox.requests] == ["GET"] * n_reads
    assert lab.outcomes(load_run(lab.audit)) == ["pending"] * 2


@pytest.mark.parametrize(
    "fault", [THROTTLE, TEXT, JSON, 500, 502, 503, "lost_answer", "garbled", "closed"], ids=str
)
@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_read_back_that_fails_is_itself_tried_again(lab, fault, n):
    row, arrived = settled(lab, None, "dropped_answer", *[fault] * n, methods=("GET", "PATCH"))
    assert (row["outcome"], row["confirmed_by"], arrived.count("P")) == ("applied", "reread", 1)


@pytest.mark.parametrize("fault", [400, 404, "redirect"], ids=str)
def test_what_could_not_be_read_back_is_unknown_and_the_next_apply_settles_it(lab, fault):
    plan = lab.plan(1)
    row, arrived = settled(lab, None, "dropped_answer", fault, methods=("GET", "PATCH"), plan=plan)
    assert (row["outcome"], row["error_code"], arrived) == ("unknown", "unreadable", "GPG")
    run = lab.apply(plan)
    assert run.records[["outcome", "confirmed_by"]].to_numpy().tolist() == [["applied", "reread"]]
    assert len(lab.patches()) == 1


def test_what_was_lost_unread_and_not_written_is_sent_by_the_next_apply(lab):
    plan = lab.plan(1)
    row, arrived = settled(lab, None, "reset", 400, methods=("GET", "PATCH"), plan=plan)
    assert (row["outcome"], arrived) == ("unknown", "GPG")
    assert lab.outcomes(lab.apply(plan)) == ["applied"]
    assert lab.sent_without_reading() == []


def test_a_connection_that_is_refused_is_tried_again_and_nothing_arrived(lab):
    plan, port = lab.plan(2), int(lab.sandbox.url.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as other:
        deaf = other.getsockname()[1]
    tried = []

    def detour(_number, request):
        tried.append(request.url.port)
        if len(tried) == 1:
            request.url = request.url.copy_with(port=deaf)

    lab.tap.on_patch = detour
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 2
    assert tried == [port] * 3
    assert sorted(run.records["n_attempts"]) == [1, 2]
    assert len(lab.patches()) == 2


def test_a_host_that_has_no_address_is_an_error_before_anything_is_sent(lab):
    plan = lab.plan(1)
    lab.tap.on_read = lambda request: setattr(request, "url", request.url.copy_with(host="nowhere.invalid"))
    with pytest.raises(ApiError, match="could not be sent"):
        lab.apply(plan, lab.virtual_time())
    assert lab.patches() == []


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for_in_both_forms(lab, form):
    plan, tools = lab.plan(1), lab.virtual_time()
    left_at = []
    lab.tap.on_patch = lambda _number, _request: left_at.append(tools.clock())
    lab.sandbox.faults = Faults(
        script=[Fault("throttle", retry_after_s=30, retry_after_form=form)], methods=("PATCH",)
    )
    assert lab.outcomes(lab.apply(plan, tools)) == ["applied"]
    # A date has whole seconds, and that of the answer itself is as old as the server was busy.
    assert 29 <= left_at[1] - left_at[0] < 90


def test_without_retry_after_everybody_waits_a_second_at_least(lab):
    for fault in (Fault("throttle", retry_after_form="absent"), TEXT, JSON):
        plan, tools, left_at = lab.plan(1, seconds=60), lab.virtual_time(), []
        lab.tap.on_patch = lambda _number, _request, at=left_at, clock=tools.clock: at.append(clock())
        lab.sandbox.faults = Faults(script=[fault], methods=("PATCH",))
        lab.apply(plan, tools)
        assert left_at[1] - left_at[0] >= 1.0
        lab.sandbox.change_call(lab.id_of(0), duration_seconds=30)
        lab.tap.on_patch = lambda _number, _request: None
        lab.audit.rename(lab.audit.with_name(f"done-{len(list(lab.audit.parent.iterdir()))}"))


def test_what_was_read_before_a_pause_is_read_again_however_short_it_was(lab):
    plan = lab.plan(5)
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=5)], methods=("PATCH",))

    def meddle(number, _request):
        if number == 1:
            lab.sandbox.change_call(lab.id_of(3), duration_seconds=45)

    lab.tap.on_patch = meddle
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 3 + ["drifted", "applied"]
    assert lab.seconds()[3] == 45


def test_a_server_that_asks_to_wait_an_hour_ends_the_run_with_the_time_to_come_back(lab):
    plan = lab.plan(3)
    lab.sandbox.faults = Faults(script=[None, Fault("throttle", retry_after_s=3600)], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert run.ended == "told-to-wait"
    assert "asks to wait 3,600 seconds: apply the plan again after 20" in run.stopped
    assert len(lab.patches()) == 2
    lab.sandbox.faults = Faults()
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 3


def test_a_rate_limiter_that_answers_as_a_policy_does_is_outlasted(lab):
    """403 as JSON now and then, never three in a row: slower, and nothing is rejected."""
    plan = lab.plan()
    lab.sandbox.faults = Faults(script=[None, JSON, None, None, JSON, None, JSON], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 12
    assert len(lab.patches()) == 12 + 3


def test_three_refused_patches_in_a_row_stop_the_run_although_reads_between_them_succeed(lab):
    plan = lab.plan(6)
    lab.sandbox.faults = Faults(script=[None, *[JSON] * ALWAYS], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert run.ended == "forbidden"
    assert "403 3 times in a row" in run.stopped
    assert len(lab.patches()) == 4
    assert (run.count(Outcome.APPLIED), run.count(Outcome.REJECTED), run.count(Outcome.UNKNOWN)) == (1, 2, 0)


def test_an_address_too_long_for_somebody_on_the_way_is_asked_for_in_halves(lab, tmp_path):
    class Narrow(httpx.BaseTransport):
        """A real transport behind a proxy that takes 1,200 bytes of address."""

        def __init__(self):
            self.inner = httpx.HTTPTransport()

        def handle_request(self, request):
            if len(request.url.raw_path) > 1200:
                return httpx.Response(414)
            return self.inner.handle_request(request)

        def close(self):
            self.inner.close()

    with (
        Sandbox(lab.make_calls(60)) as sandbox,
        Client(sandbox.url, token=sandbox.token) as wide,
        Narrow() as transport,
        Client(sandbox.url, token=sandbox.token, transport=transport) as client,
    ):
        plan = lab.plan_with(wide, 60)
        sandbox.remove_call(lab.id_of(55))
        run = apply_plan(plan, client, tmp_path / "narrow", rate=lab.fast, progress=False)
    assert lab.outcomes(run) == ["applied"] * 55 + ["missing"] + ["applied"] * 4


def document(lab, **changes):
    """Return what the API answers to the PATCH of the first call."""
    held = lab.held().iloc[0]
    names = ["call_uuid", "direction", "from_number", "to_number", "sip_username", "status", "call_source"]
    attributes = {name: held[name] for name in names} | {
        "conversation_id": None,
        "started_at": "2026-10-01T08:00:00Z",
        "ended_at": "2026-10-01T08:01:00Z",
        "duration_seconds": 60,
    }
    return {"data": {"type": "Call", "id": lab.id_of(0), "attributes": attributes | changes}}


ERROR = {"errors": [{"code": "something_went_wrong", "status": "500"}]}


@pytest.mark.parametrize(
    ("status", "body", "outcome", "n_patches"),
    [
        (200, None, "applied", 1),
        (202, None, "applied", 1),
        (207, None, "applied", 1),
        (200, ERROR, "failed", 3),
        (207, ERROR, "failed", 3),
        (200, {"data": None}, "failed", 3),
        (200, {"data": []}, "failed", 3),
        (205, "", "failed", 3),
        (206, "", "failed", 3),
        (300, "", "failed", 1),
        (301, "", "failed", 1),
        (303, "", "failed", 1),
        (304, "", "failed", 1),
        (307, "", "failed", 1),
        (308, "", "failed", 1),
        (418, "", "rejected", 1),
        (451, "", "rejected", 1),
        (501, "", "failed", 5),
        (511, "", "failed", 5),
        (599, "", "failed", 5),
    ],
    ids=str,
)  # fmt: skip
def test_every_other_answer_comes_to_something_the_log_has_a_word_for(lab, status, body, outcome, n_patches):
    plan, sent = lab.plan(1), []

    def answer(request):
        if request.method != "PATCH":
            return lab.tap.inner.handle_request(request)
        sent.append(request)
        told = document(lab) if body is None else body
        where = {"location": "https://elsewhere.example/"} if 300 <= status < 400 else {}
        return httpx.Response(status, headers={"content-type": MEDIA_TYPE} | where, json=told)

    lab.tap.handle_request = answer
    run = lab.apply(plan, lab.virtual_time())
    assert run.records["outcome"].tolist() == [outcome]
    assert len(sent) == n_patches


@contextmanager
def answered_with(reply):
    """Run a server of a few lines that answers each request with these bytes; yield its port and what came."""
    arrived = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self.rfile.read(1)
            length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
            arrived.append(self.rfile.read(length))
            self.wfile.write(reply)

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1], arrived
        finally:
            server.shutdown()
            thread.join()


def final(body):
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("first", "outcome", "n_patches"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", "applied", 1),
        (b"HTTP/1.1 102 Processing\r\n\r\n", "applied", 1),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n", "applied", 1),
        # Not followed by anything that HTTP allows for: it may have been written, and was not.
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "failed", 5),
        (b"HTTP/1.1 099 Odd\r\n\r\n", "failed", 5),
    ],
)
def test_an_informational_answer_is_no_answer_yet(lab, first, outcome, n_patches):
    plan = lab.plan(1)
    with answered_with(first + final(json.dumps(document(lab)).encode())) as (port, arrived):
        lab.tap.on_patch = lambda _number, request: setattr(request, "url", request.url.copy_with(port=port))
        run = lab.apply(plan, lab.virtual_time())
    assert run.records["outcome"].tolist() == [outcome]
    assert len(arrived) == n_patches


def test_an_answer_compressed_more_than_once_is_not_unfolded(lab):
    """A kilobyte on the wire, a gigabyte in memory: it is not even begun, and the call is read back."""
    plan = lab.plan(1)
    bomb = gzip.compress(gzip.compress(bytes(2**27)))
    assert len(bomb) < 2_000
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip, gzip\r\ncontent-length: %d\r\n\r\n" % len(bomb)
    with answered_with(head + bomb) as (port, arrived):
        lab.tap.on_patch = lambda _number, request: setattr(request, "url", request.url.copy_with(port=port))
        tracemalloc.start()
        run = lab.apply(plan, lab.virtual_time())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert run.records[["outcome", "error_code"]].to_numpy().tolist() == [["failed", "malformed"]]
    assert len(arrived) == 3
    assert peak < 2**26
