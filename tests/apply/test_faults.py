"""Networks lose, servers refuse: every PATCH is accounted for and nothing is assumed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pytest

from sippet_reconcile.api import Client
from sippet_reconcile.api.wire import MEDIA_TYPE
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.apply.traffic import Tools
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import ApiError, AuditError
from sippet_reconcile.revert import revert_run
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Fault, Faults, Sandbox


def row_of(run, call_id):
    return run.records.set_index("call_id").loc[call_id]


def test_intents_are_readable_in_the_log_before_their_patch_leaves(lab):
    unannounced = []

    def look(_number, request):
        records = pd.read_parquet(lab.audit)
        call_id = request.url.path.rsplit("/", 1)[-1]
        if call_id not in set(records.loc[records["event"].eq("intent"), "call_id"]):
            unannounced.append(call_id)

    plan = lab.plan(4)
    lab.tap.on_patch = look
    lab.apply(plan)
    assert len(lab.patches()) == 4
    assert unannounced == []


@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_whatever_goes_wrong_the_run_ends_right_and_every_patch_is_in_the_log(lab, seed):
    plan = lab.plan()
    lab.sandbox.faults = Faults(
        throttle_share=0.1, retry_after_s=0.05, error_share=0.1, lost_answer_share=0.15, reset_share=0.1,
        jitter_s=0.01, seed=seed,
    )  # fmt: skip
    for _ in range(6):
        try:
            run = lab.apply(plan)
        except ApiError:
            continue
        if run.count(Outcome.APPLIED) == 12:
            break
    lab.sandbox.faults = Faults()
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 12
    assert lab.seconds() == [60] * 12
    assert lab.n_attempts() == len(lab.patches())
    assert lab.sent_without_reading() == []
    assert AuditLog(lab.audit).verify(head=run.head).ok


def test_a_lost_answer_is_read_back_and_not_sent_again(lab):
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(script=["lost_answer"], methods=("PATCH",))
    run = lab.apply(plan)
    assert row_of(run, lab.id_of(0))[["outcome", "confirmed_by", "n_attempts"]].tolist() == [
        "applied",
        "reread",
        1,
    ]
    assert len(lab.patches()) == 1


def test_a_reset_before_anything_was_applied_is_sent_again_after_a_reread(lab):
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(script=["reset"], methods=("PATCH",))
    run = lab.apply(plan)
    assert row_of(run, lab.id_of(0))[["outcome", "confirmed_by", "n_attempts"]].tolist() == [
        "applied",
        "answer",
        2,
    ]
    assert lab.sent_without_reading() == []


def test_an_answer_that_is_no_document_is_read_back(lab):
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(script=["garbled"], methods=("PATCH",))
    run = lab.apply(plan)
    assert row_of(run, lab.id_of(0))[["outcome", "confirmed_by"]].tolist() == ["applied", "reread"]


def test_a_lost_answer_and_then_other_hands_is_unknown_and_a_revert_leaves_it_alone(lab):
    plan = lab.plan(1)

    def meddle(_request):
        if lab.patches():
            lab.sandbox.change_call(lab.id_of(0), duration_seconds=45)

    lab.tap.on_read = meddle
    lab.sandbox.faults = Faults(script=["lost_answer"], methods=("PATCH",))
    run = lab.apply(plan)
    row = row_of(run, lab.id_of(0))
    assert row["outcome"] == "unknown"
    assert "cannot be told" in row["error_detail"]
    assert lab.seconds()[0] == 45


def test_a_throttle_pauses_everybody_and_what_was_read_before_it_is_read_again(lab):
    plan = lab.plan()
    lab.sandbox.faults = Faults(script=[Fault("throttle", retry_after_s=0.4)], methods=("PATCH",))
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 12
    assert lab.sent_without_reading() == []
    assert lab.n_attempts() == len(lab.patches()) == 13


def test_no_more_requests_leave_in_a_second_than_the_rate_says(lab):
    """On a clock that only the wait for a permit moves, whatever else the machine does meanwhile."""
    plan, tools, left_at = lab.plan(), lab.virtual_time(), []
    lab.sandbox.clear_requests()
    lab.sandbox.faults = Faults(script=[500, "lost_answer", "reset"], methods=("PATCH",))
    lab.tap.on_patch = lambda _number, _request: left_at.append(tools.clock())
    lab.tap.on_read = lambda _request: left_at.append(tools.clock())
    run = lab.apply(plan, tools, rate="7/s", concurrency=1)
    assert run.count(Outcome.APPLIED) == 12
    assert len(left_at) == len(lab.sandbox.requests) > 14
    assert all(later - earlier >= 1 for earlier, later in zip(left_at, left_at[7:], strict=False))


def test_retries_are_used_up_and_the_call_is_failed(lab):
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(error_share=1.0, error_status=503, methods=("PATCH",))
    run = lab.apply(plan)
    assert row_of(run, lab.id_of(0))[["outcome", "http_status", "n_attempts"]].tolist() == ["failed", 503, 5]
    lab.sandbox.faults = Faults()
    assert lab.outcomes(lab.apply(plan)) == ["applied"]


def test_a_refused_change_is_rejected_with_the_servers_words(lab):
    plan = lab.plan(2)
    lab.sandbox.faults = Faults(script=[422], methods=("PATCH",))
    run = lab.apply(plan, concurrency=1)
    assert sorted(lab.outcomes(run)) == ["applied", "rejected"]
    assert run.records.loc[run.records["outcome"].eq("rejected"), "http_status"].tolist() == [422]


def test_too_many_failures_in_a_row_stop_the_run(lab):
    plan = lab.plan()
    lab.sandbox.faults = Faults(error_share=1.0, error_status=500, methods=("PATCH",))
    run = lab.apply(plan, max_failures=3, concurrency=1)
    assert run.count(Outcome.FAILED) == 3
    assert run.count(Outcome.PENDING) == 9
    assert run.ended == "failures"
    assert "3 calls in a row" in run.stopped
    assert "3 calls in a row" in repr(run)


def test_a_call_that_is_gone_is_missing_while_others_are_visible(lab):
    plan = lab.plan(3)
    lab.sandbox.remove_call(lab.id_of(1))
    assert lab.outcomes(lab.apply(plan)) == ["applied", "missing", "applied"]


class Capped(httpx.HTTPTransport):
    """A real transport behind which the server shows ten calls at most, and does not say so."""

    def handle_request(self, request):
        answer = super().handle_request(request)
        if request.method != "GET":
            return answer
        answer.read()
        document = answer.json()
        document["data"] = document["data"][:10]
        return httpx.Response(answer.status_code, headers={"content-type": MEDIA_TYPE}, json=document)


def test_calls_that_a_server_holds_back_are_not_missing(lab, tmp_path):
    with (
        Sandbox(lab.make_calls(30)) as sandbox,
        Capped() as transport,
        Client(sandbox.url, token=sandbox.token, transport=transport) as client,
    ):
        plan = lab.plan_with(client, 30)
        sandbox.remove_call(lab.id_of(25))
        run = apply_plan(plan, client, tmp_path / "capped", rate=lab.fast, progress=False)
    assert lab.outcomes(run) == ["applied"] * 25 + ["missing"] + ["applied"] * 4


def test_a_call_that_goes_under_the_patch_is_missing_after_one_more_read(lab):
    plan = lab.plan(3)

    def remove(number, request):
        if number == 1:
            lab.sandbox.remove_call(request.url.path.rsplit("/", 1)[-1])

    lab.tap.on_patch = remove
    # Whichever it is, the others were seen at the start and still are.
    assert sorted(lab.outcomes(lab.apply(plan, concurrency=1))) == ["applied", "applied", "missing"]


def test_when_the_control_call_is_gone_nothing_missing_is_believed(lab):
    plan = lab.plan(4)
    lab.sandbox.remove_call(lab.id_of(3))
    seen = []

    def remove_all(request):
        seen.append(request)
        if len(seen) == 2:
            for i in range(3):
                lab.sandbox.remove_call(lab.id_of(i))

    lab.tap.on_read = remove_all
    with pytest.raises(ApiError, match="nothing missing is believed"):
        lab.apply(plan)
    assert lab.patches() == []
    assert lab.outcomes(load_run(lab.audit)) == ["pending"] * 4


def test_a_plan_of_which_no_call_is_visible_is_not_called_missing(lab):
    plan = lab.plan(2)
    for i in range(2):
        lab.sandbox.remove_call(lab.id_of(i))
    with pytest.raises(ApiError, match="cannot be told"):
        lab.apply(plan)
    assert lab.outcomes(load_run(lab.audit)) == ["pending", "pending"]


def test_a_refused_token_before_anything_was_sent_is_an_error(lab):
    plan = lab.plan(2)
    lab.sandbox.faults = Faults(script=[401], methods=("GET",))
    with pytest.raises(ApiError) as caught:
        lab.apply(plan)
    assert caught.value.status == 401
    assert lab.patches() == []
    run = load_run(lab.audit)
    assert run.ended == "unauthenticated"
    # A run that ends in an error has no repr to show it in.
    assert any(run.head in note for note in caught.value.__notes__)


def test_a_token_that_is_refused_part_way_stops_the_run_cleanly(lab):
    plan = lab.plan(4)
    lab.sandbox.faults = Faults(script=[None, 401], methods=("PATCH",))
    run = lab.apply(plan, concurrency=1)
    assert (run.count(Outcome.APPLIED), run.count(Outcome.PENDING)) == (1, 2)
    assert "401" in run.stopped
    lab.sandbox.faults = Faults()
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 4


def test_three_403_in_a_row_stop_the_run(lab):
    plan = lab.plan(6)
    token, lab.sandbox.token = lab.sandbox.token, "another"
    with pytest.raises(ApiError) as caught:
        lab.apply(plan)
    assert caught.value.status == 403
    assert load_run(lab.audit).ended == "forbidden"
    lab.sandbox.token = token
    assert lab.outcomes(lab.apply(plan)) == ["applied"] * 6


def test_a_re_read_older_than_15_seconds_is_repeated(lab):
    plan = lab.plan(5)
    now, begun = [0.0], datetime.now(UTC)

    def pass_time(seconds):
        now[0] += seconds

    lab.tap.on_patch = lambda number, _request: pass_time(16.0 if number in {2, 4} else 0.0)
    tools = Tools(
        clock=lambda: now[0],
        sleep=pass_time,
        now=lambda: begun + timedelta(seconds=now[0]),
        random=lambda: 0.0,
    )
    run = lab.apply(plan, tools, concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 5
    n_reads = sum(request.method == "GET" for request in lab.sandbox.requests)
    assert n_reads == 1 + 3  # one to plan, one at the start, and one after each jump
    assert lab.n_attempts() == 5


def test_each_chunk_is_announced_as_a_whole_and_written_down_as_a_whole(lab):
    plan = lab.plan()
    lab.apply(plan, lab.virtual_time(), rate="1/s")
    events = AuditLog(lab.audit).records()["event"].tolist()
    order = [event for event in events if event in {"intent", "outcome"}]
    # The second chunk may be announced while the first one's last answer is awaited.
    whole = ["intent"] * 9, ["outcome"] * 9, ["intent"] * 3, ["outcome"] * 3
    first, end_of_first, second, end_of_second = whole
    assert order in (
        first + end_of_first + second + end_of_second,
        first + second + end_of_first + end_of_second,
    )


def test_a_log_that_cannot_be_written_stops_before_anything_more_is_sent(lab, tmp_path):
    plan = lab.plan()

    def lose_the_folder(number, _request):
        if number == 5:
            lab.audit.rename(tmp_path / "elsewhere")

    lab.tap.on_patch = lose_the_folder
    with pytest.raises(AuditError, match="nothing more is written"):
        lab.apply(plan, lab.virtual_time(), rate="1/s")
    n_sent = len(lab.patches())
    assert 5 <= n_sent <= 9
    (tmp_path / "elsewhere").rename(lab.audit)
    state = load_run(lab.audit)
    assert (state.count(Outcome.UNKNOWN), state.count(Outcome.PENDING), state.ended) == (9, 3, None)
    assert len(revert_run(state)) == 9
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 12
    assert run.records["confirmed_by"].value_counts().to_dict() == {"reread": n_sent, "answer": 12 - n_sent}
    assert len(lab.patches()) == 12


def test_a_call_found_as_planned_is_already_unless_a_patch_of_ours_may_have_done_it(lab):
    plan = lab.plan(2)
    lab.sandbox.faults = Faults(script=[422], methods=("PATCH",))
    run = lab.apply(plan, limit=1)
    refused = run.records.loc[run.records["outcome"].eq("rejected"), "call_id"].iloc[0]
    lab.sandbox.change_call(refused, duration_seconds=60)
    assert row_of(lab.apply(plan), refused)["outcome"] == "already"


def test_digit_runs_in_the_servers_words_are_masked(lab):
    plan = lab.plan(1)

    def refuse(request):
        if request.method != "PATCH":
            return lab.tap.inner.handle_request(request)
        error = {"code": "invalid", "detail": "number 442079460123 is blocked", "status": "422"}
        return httpx.Response(422, json={"errors": [error]})

    lab.tap.handle_request = refuse
    run = lab.apply(plan)
    told = row_of(run, lab.id_of(0))
    assert told["error_code"] == "invalid"
    assert "44••••••••23" in told["error_detail"]
    assert "442079460123" not in json.dumps(AuditLog(lab.audit).records().astype(str).to_dict("records"))
