"""What the contract promises of applying, checked from its words: over a real socket, with awkward halves."""

from __future__ import annotations

import json

import httpx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import AuditError, InputError, PlanDriftError, PlanNotApprovedError
from sippet_reconcile.plan import plan_corrections
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import RUN_RECORDS
from sippet_reconcile.sandbox import Sandbox, Switches
from sippet_reconcile.verify import verify_run

ENDS = [f"2026-10-01T08:{minute:02d}:05Z" for minute in range(1, 13)]


def plan_of(lab, columns, n=12):
    """Return an approved plan of corrections, given as columns of the first `n` calls."""
    ids = [lab.id_of(i) for i in range(n)]
    corrections = pd.DataFrame({"call_id": ids} | {name: values[:n] for name, values in columns.items()})
    plan = plan_corrections(lab.client.get_calls(ids), corrections.astype("object"), reason="ticket 4711")
    return plan.approve(by="ana")


def restarted(lab, **switches):
    """Return the same server, calls and port with other switches."""
    port = int(lab.sandbox.url.rpartition(":")[2])
    lab.sandbox.stop()
    lab.tap.close()
    return Sandbox(lab.sandbox.calls, port=port, token=lab.sandbox.token, switches=Switches(**switches))


def answer_first_patch(lab, answer):
    """Let the first PATCH reach the server, and its answer be another one."""
    inner = lab.tap.inner
    left = [answer]

    def handle(request):
        response = inner.handle_request(request)
        if request.method != "PATCH" or not left:
            return response
        body = response.read()
        response.close()
        return left.pop()(response, body)

    lab.tap.handle_request = handle


def edited(change):
    """Return an answer that differs from the server's in what `change` does to the document."""

    def answer(_response, body):
        document = json.loads(body)
        change(document)
        headers = {"content-type": "application/vnd.api+json"}
        return httpx.Response(200, headers=headers, content=json.dumps(document).encode())

    return answer


def held(lab, n, name):
    return lab.held().set_index("id").loc[lab.id_of(n), name]


# Precision


@pytest.mark.parametrize(
    ("field", "to"),
    [
        ("ended_at", "2026-10-01T08:01:00.700000Z"),
        ("started_at", "2026-10-01T08:00:00.700000Z"),
    ],
)
def test_a_drift_within_one_second_is_seen_even_where_nothing_else_has_a_fraction(lab, field, to):
    plan = plan_of(lab, {"ended_at": ENDS}, n=1)
    lab.sandbox.change_call(lab.id_of(0), **{field: to})
    assert lab.outcomes(lab.apply(plan)) == ["drifted"]
    assert lab.patches() == []


def test_a_plan_with_fractions_meets_a_server_of_whole_seconds(lab):
    for n in range(3):
        lab.sandbox.change_call(lab.id_of(n), started_at=f"2026-10-01T08:{n:02d}:00.400000Z")
    ends = [end.replace("Z", ".750000Z") for end in ENDS]
    plan = plan_of(lab, {"ended_at": ends}, n=3)
    with restarted(lab, time_precision=0) as sandbox:
        run = lab.apply(plan)
        assert lab.outcomes(run) == ["applied"] * 3
        assert verify_run(run, lab.client).ok
        assert sandbox.calls["ended_at"].dt.microsecond.eq(0).all()
        again = lab.apply(revert_run(run).approve(by="ben"))
        assert lab.outcomes(again) == ["applied"] * 3
        assert lab.by_id(sandbox.calls)["ended_at"].dt.second.head(3).tolist() == [0, 0, 0]


def test_verifying_sees_a_value_that_moved_within_its_second(lab):
    run = lab.apply(plan_of(lab, {"ended_at": ENDS}, n=2))
    assert verify_run(run, lab.client).ok
    lab.sandbox.change_call(lab.id_of(0), ended_at="2026-10-01T08:01:05.700000Z")
    frame = verify_run(run, lab.client).frame
    assert frame["verdict"].tolist() == ["differs", "holds"]


def test_a_change_within_one_second_is_sent_and_undone(lab):
    lab.sandbox.change_call(lab.id_of(1), ended_at="2026-10-01T08:02:00.300000Z")
    run = lab.apply(plan_of(lab, {"ended_at": ["2026-10-01T08:01:00.700000Z", "2026-10-01T08:02:00Z"]}, n=2))
    assert lab.outcomes(run) == ["applied", "applied"]
    assert [held(lab, n, "ended_at").microsecond for n in (0, 1)] == [700_000, 0]
    lab.apply(revert_run(run).approve(by="ben"))
    assert [held(lab, n, "ended_at").microsecond for n in (0, 1)] == [0, 300_000]


# Approvals


@pytest.mark.parametrize("spelling", ["ana", " Ana ", "ANA", "\uff41na"])
def test_one_person_spelled_in_two_ways_does_not_make_two_approvals(lab, spelling):
    plan = lab.plan(1).approve(by=spelling, note="again")
    with pytest.raises(PlanNotApprovedError, match="2 approval"):
        lab.apply(plan, min_approvals=2)
    assert lab.patches() == []
    assert lab.outcomes(lab.apply(plan.approve(by="Ben"), min_approvals=2)) == ["applied"]


# Which API


@pytest.mark.parametrize("spelling", ["{url}/", "{url}/api", "{upper}"])
def test_the_same_api_spelled_otherwise_is_the_same_run(lab, spelling):
    plan = lab.plan(2)
    first = lab.apply(plan, limit=1)
    url = spelling.format(url=lab.sandbox.url, upper=lab.sandbox.url.replace("http", "HTTP"))
    with Client(url, token=lab.sandbox.token) as client:
        second = apply_plan(plan, client, lab.audit, rate=lab.fast, progress=False)
    assert second.run_id == first.run_id
    assert lab.outcomes(second) == ["applied", "applied"]
    assert len(lab.patches()) == 2


# Answers


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["data"]["attributes"].update(duration_seconds=61),
        lambda document: document["data"]["attributes"].update(duration_seconds=None),
        lambda document: document["data"]["attributes"].pop("duration_seconds"),
        lambda document: document["data"]["attributes"].update(started_at="2026-10-01T08:00:00.000001Z"),
        lambda document: document["data"]["attributes"].update(to_number="+442079460999"),
        lambda document: document["data"].update(id="00000000-0000-4000-8000-000000000001"),
    ],
    ids=["other-value", "null", "absent", "start-by-a-microsecond", "number", "another-call"],
)
def test_an_answer_that_is_not_what_was_sent_is_altered(lab, change):
    plan = lab.plan(1)
    answer_first_patch(lab, edited(change))
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["altered"]
    assert "442079460999" not in AuditLog(lab.audit).records().to_csv()


@pytest.mark.parametrize(
    "answer",
    [
        lambda *_: httpx.Response(204),
        lambda *_: httpx.Response(302, headers={"location": "http://127.0.0.1:9/"}),
        lambda *_: httpx.Response(200, content=b""),
        lambda *_: httpx.Response(200, content=b'{"data":null}'),
        lambda *_: httpx.Response(200, content=b'{"data":[]}'),
        lambda *_: httpx.Response(404, content=b'{"errors":[{"code":"not_found","status":"404"}]}'),
        lambda *_: httpx.Response(503, headers={"retry-after": "0"}),
        edited(lambda document: document["data"].pop("type")),
    ],
    ids=["204", "302", "empty", "null", "list", "404", "503-retry-after", "no-type"],
)
def test_what_was_written_in_spite_of_its_answer_is_ours_and_can_be_undone(lab, answer):
    plan = lab.plan(1)
    answer_first_patch(lab, answer)
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"]
    assert run.records["confirmed_by"].tolist() == ["reread"]
    assert len(lab.patches()) == 1
    lab.apply(revert_run(run).approve(by="ben"))
    assert held(lab, 0, "duration_seconds") == 30


# Drift


def test_raised_drift_has_its_columns_and_sends_nothing(lab):
    plan = plan_of(lab, {"duration_seconds": ["60"] * 12, "ended_at": ENDS}, n=3)
    lab.sandbox.change_call(lab.id_of(2), duration_seconds=60)
    with pytest.raises(PlanDriftError) as caught:
        lab.apply(plan, on_drift="raise")
    assert list(caught.value.drift.columns) == ["call_id", "field", "before", "after", "observed"]
    assert caught.value.drift["call_id"].unique().tolist() == [lab.id_of(2)]
    assert lab.patches() == []


def test_a_second_plan_over_the_same_calls_drifts(lab):
    first, second = lab.plan(3), lab.plan(3, seconds=59)
    lab.apply(first)
    assert lab.outcomes(lab.apply(second)) == ["drifted"] * 3
    assert lab.seconds()[:3] == [60, 60, 60]


def test_what_others_put_back_after_us_is_not_sent_again(lab):
    plan = lab.plan(2)
    lab.apply(plan)
    lab.sandbox.change_call(lab.id_of(0), duration_seconds=30)
    assert lab.outcomes(lab.apply(plan)) == ["applied", "applied"]
    assert len(lab.patches()) == 2
    assert held(lab, 0, "duration_seconds") == 30


# Limits


def test_a_canary_counts_what_was_sent_and_not_what_was_found_settled(lab):
    plan = lab.plan(6)
    for n in range(3):
        lab.sandbox.change_call(lab.id_of(n), duration_seconds=60)
    assert lab.outcomes(lab.apply(plan, limit=2)) == ["already"] * 3 + ["applied"] * 2 + ["pending"]
    assert len(lab.patches()) == 2


def test_a_canary_shows_each_kind_of_change_first(lab):
    columns = {"duration_seconds": ["60"] * 11 + [None], "ended_at": [None] * 11 + [ENDS[11]]}
    plan = plan_of(lab, columns)
    lab.apply(plan, limit=2)
    sent = [set(json.loads(request.body)["data"]["attributes"]) for _, request in lab.patches()]
    assert sorted(map(sorted, sent)) == [["duration_seconds"], ["ended_at"]]


def test_requests_of_the_plan_are_what_leaves_byte_for_byte(lab):
    plan = plan_of(lab, {"duration_seconds": ["60"] * 12, "ended_at": ENDS, "call_source": ["pstn"] * 12})
    lab.apply(plan)
    arrived = {request.path: request for _, request in lab.patches()}
    planned = {request.path: request for request in plan.requests()}
    assert arrived.keys() == planned.keys()
    for path, request in planned.items():
        assert arrived[path].body.encode() == request.body
        assert request.headers.items() <= {n.title(): v for n, v in arrived[path].headers.items()}.items()


# Runs and their log


def test_records_have_the_same_columns_and_types_with_and_without_calls(lab):
    empty = lab.apply(lab.plan(2, seconds=30))
    full = lab.apply(lab.plan(2))
    assert len(empty.records) == 0
    for run in (empty, full):
        assert dict(run.records.dtypes.astype("str")) == RUN_RECORDS.dtypes


def test_a_revert_is_not_made_from_an_edited_log(lab):
    run = lab.apply(lab.plan(2))
    part = next(
        path
        for path in sorted(lab.audit.glob("part-*"))
        if "intent" in pq.read_table(path)["event"].to_pylist()
    )
    table = pq.read_table(part)
    place = table.schema.get_field_index("before")
    texts = [text and text.replace("30", "31") for text in table["before"].to_pylist()]
    pq.write_table(
        table.set_column(place, table.schema.field(place), pa.array(texts, pa.large_string())), part
    )
    with pytest.raises(AuditError, match="record 3"):
        revert_run(run)


def test_a_revert_does_not_mind_a_file_that_somebody_left_in_the_log(lab):
    run = lab.apply(lab.plan(1))
    (lab.audit / "notes.txt").write_text("seen by ana")
    assert len(revert_run(run).changes) == 1


def test_no_log_begins_among_other_files(lab):
    plan = lab.plan(1)
    lab.audit.mkdir()
    (lab.audit / "october.csv").write_text("a")
    with pytest.raises(InputError, match=r"october\.csv"):
        lab.apply(plan)
    assert [path.name for path in lab.audit.iterdir()] == ["october.csv"]
    assert lab.patches() == []
