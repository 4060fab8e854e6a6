"""A token that sees nothing retires no call: what is missing is believed beside a control call only."""

from __future__ import annotations

import json

import httpx
import pytest

from sippet_reconcile.api.wire import MEDIA_TYPE
from sippet_reconcile.errors import ApiError
from sippet_reconcile.run import Outcome, load_run
from sippet_reconcile.sandbox import Faults

NOT_FOUND = {"errors": [{"code": "not_found", "status": "404", "detail": "No Call record found"}]}
NO_ROUTE = {"errors": [{"code": "no_route_found", "status": "404", "detail": "no route found"}]}
RETIRED = {Outcome.MISSING, Outcome.REJECTED, Outcome.DRIFTED, Outcome.ALTERED}


class DyingToken:
    """Takes the place of a real API for a token that died: from some request on it sees nothing.

    Reads show an empty list or are 404, a PATCH is 404, as ``style`` says.
    """

    def __init__(self, lab, style, dies):
        self.style, self._dies, self.is_dead = style, dies, False
        self._inner = lab.tap.handle_request
        lab.tap.handle_request = self.handle

    def handle(self, request):
        self.is_dead = self.is_dead or self._dies(request)
        if not self.is_dead:
            return self._inner(request)
        if self.style == "empty" and request.method == "GET":
            return httpx.Response(200, headers={"content-type": MEDIA_TYPE}, json={"data": []})
        body = {"empty": NOT_FOUND, "404": NOT_FOUND, "no route": NO_ROUTE, "text": "gone"}[self.style]
        return httpx.Response(404, headers={"content-type": MEDIA_TYPE}, json=body)


STYLES = ["empty", "404", "no route", "text"]


def nth(method, n):
    """Return what tells whether a request is the n-th of its method, or a later one."""
    seen = []

    def dies(request):
        seen.extend([1] if request.method == method else [])
        return len(seen) >= n

    return dies


def settled_later(lab, plan):
    """Apply again with a token that lives, and return the outcomes."""
    run = lab.apply(plan)
    assert lab.sent_without_reading() == []
    return lab.outcomes(run)


@pytest.mark.parametrize("style", STYLES)
def test_a_token_that_is_dead_from_the_start_leaves_everything_pending(lab, style):
    plan = lab.plan(4)
    token = DyingToken(lab, style, lambda _request: True)
    with pytest.raises(ApiError):
        lab.apply(plan, lab.virtual_time())
    assert lab.patches() == []
    assert lab.outcomes(load_run(lab.audit)) == ["pending"] * 4
    lab.tap.handle_request = token._inner
    assert settled_later(lab, plan) == ["applied"] * 4


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_token_that_dies_between_re_read_and_patch_retires_nothing(lab, style, concurrency):
    plan = lab.plan(6)
    token = DyingToken(lab, style, nth("PATCH", 3))
    run = lab.apply(plan, lab.virtual_time(), concurrency=concurrency)
    assert RETIRED.isdisjoint(run.records["outcome"])
    # Beside others a PATCH whose connection is just being made is held back when the run stops.
    assert run.count(Outcome.APPLIED) == 2 or (concurrency > 1 and run.count(Outcome.APPLIED) < 2)
    assert run.count(Outcome.UNKNOWN) >= 1
    lab.tap.handle_request = token._inner
    assert settled_later(lab, plan) == ["applied"] * 6


@pytest.mark.parametrize("style", STYLES)
def test_a_token_that_dies_between_patch_and_read_back_leaves_the_call_unknown(lab, style):
    plan = lab.plan(3)
    lab.sandbox.faults = Faults(script=["dropped_answer"], methods=("PATCH",))
    token = DyingToken(lab, style, nth("GET", 2))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert RETIRED.isdisjoint(run.records["outcome"])
    assert run.count(Outcome.UNKNOWN) >= 1
    lab.tap.handle_request = token._inner
    lab.sandbox.faults = Faults()
    run = lab.apply(plan)
    assert lab.outcomes(run) == ["applied"] * 3
    # The one whose answer was lost was written, and is not sent again.
    assert len([call_id for call_id, _ in lab.patches() if call_id == lab.id_of(0)]) == 1
    assert "reread" in set(run.records["confirmed_by"])


@pytest.mark.parametrize("style", STYLES)
def test_a_token_that_dies_before_the_second_look_at_a_missing_call_retires_nothing(lab, style):
    plan = lab.plan(4)
    lab.sandbox.remove_call(lab.id_of(2))
    token = DyingToken(lab, style, nth("GET", 2))
    with pytest.raises(ApiError):
        lab.apply(plan, lab.virtual_time())
    assert lab.outcomes(load_run(lab.audit)) == ["pending"] * 4
    assert lab.patches() == []
    lab.tap.handle_request = token._inner
    assert settled_later(lab, plan) == ["applied", "applied", "missing", "applied"]


@pytest.mark.parametrize(
    "style",
    [
        "403",
        pytest.param("401-json", marks=pytest.mark.slow),
        pytest.param("401-text", marks=pytest.mark.slow),
        "200-empty",
    ],
)
@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 7])
def test_a_token_that_expires_after_any_request_in_any_style_is_settled_by_the_next_one(lab, style, after):
    plan = lab.plan(4)
    lab.sandbox.remove_call(lab.id_of(1))
    lab.sandbox.faults = Faults(expire_after=after, expire_style=style)
    try:
        run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    except ApiError:
        run = load_run(lab.audit)
    expected = {"applied", "pending", "unknown", "missing"} | (
        {"rejected"} if style != "200-empty" else set()
    )
    assert set(lab.outcomes(run)) <= expected
    # A call is missing only if it is.
    assert set(run.records.loc[run.records["outcome"].eq("missing"), "call_id"]) <= {lab.id_of(1)}
    lab.sandbox.faults = Faults()
    assert settled_later(lab, plan) == ["applied", "missing", "applied", "applied"]


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [0, 2]])
def test_a_control_call_that_somebody_deletes_is_missing_while_another_is_seen(lab, gone):
    plan = lab.plan(5)

    def remove(number, _request):
        if number == 1:
            for i in gone:
                lab.sandbox.remove_call(lab.id_of(i))

    lab.tap.on_patch = remove
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert run.ended == "complete"
    assert lab.outcomes(run) == ["missing" if i in gone else "applied" for i in range(5)]


def test_when_all_control_calls_are_deleted_the_run_ends_and_the_next_one_goes_on(lab):
    plan = lab.plan(6)

    def remove(number, _request):
        if number == 1:
            for i in range(4):
                lab.sandbox.remove_call(lab.id_of(i))

    lab.tap.on_patch = remove
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert run.ended == "control-call-gone"
    assert run.count(Outcome.MISSING) == 0
    lab.tap.on_patch = lambda _number, _request: None
    assert settled_later(lab, plan) == ["missing"] * 4 + ["applied"] * 2


def test_a_plan_of_one_call_that_is_gone_is_not_believed_gone(lab):
    plan = lab.plan(1)
    lab.sandbox.remove_call(lab.id_of(0))
    for _ in range(2):
        with pytest.raises(ApiError, match="whether they are gone cannot be told"):
            lab.apply(plan, lab.virtual_time())
    assert lab.outcomes(load_run(lab.audit)) == ["pending"]


def test_a_plan_of_one_call_that_goes_under_its_patch_is_unknown(lab):
    plan = lab.plan(1)
    lab.sandbox.faults = Faults(script=["deleted_before"], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time())
    assert (lab.outcomes(run), run.ended) == (["unknown"], "control-call-gone")


def test_a_404_under_a_race_of_writers_is_read_again_and_sent_again(lab):
    """Optimistic locking: the slower of two writers is told that there is no such call."""
    plan, inner, raced = lab.plan(3), lab.tap.handle_request, []

    def handle(request):
        if request.method == "PATCH" and request.url.path.endswith(lab.id_of(1)) and not raced:
            raced.append(request)
            lab.sandbox.change_call(lab.id_of(1), sip_username="1002")  # no field of the plan
            return httpx.Response(404, json=NOT_FOUND)
        return inner(request)

    lab.tap.handle_request = handle
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied"] * 3
    assert lab.sent_without_reading() == []


def test_a_404_after_which_the_call_holds_something_else_is_drift(lab):
    plan, inner, raced = lab.plan(3), lab.tap.handle_request, []

    def handle(request):
        if request.method == "PATCH" and request.url.path.endswith(lab.id_of(1)) and not raced:
            raced.append(request)
            lab.sandbox.change_call(lab.id_of(1), duration_seconds=45)
            return httpx.Response(404, json=NOT_FOUND)
        return inner(request)

    lab.tap.handle_request = handle
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied", "drifted", "applied"]
    assert lab.seconds()[1] == 45


def test_a_route_that_is_missing_for_one_call_is_a_refusal_while_the_call_is_seen(lab):
    plan, inner = lab.plan(3), lab.tap.handle_request

    def handle(request):
        if request.method == "PATCH" and request.url.path.endswith(lab.id_of(1)):
            return httpx.Response(404, json=NO_ROUTE)
        return inner(request)

    lab.tap.handle_request = handle
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert lab.outcomes(run) == ["applied", "rejected", "applied"]
    assert run.records.set_index("call_id").loc[lab.id_of(1), "error_code"] == "no_route_found"


def test_an_index_that_shows_nothing_while_a_patch_would_work_settles_nothing(lab):
    """A lagging replica: the list is empty from the second read on, and writing would succeed."""
    plan, inner, reads = lab.plan(3), lab.tap.handle_request, []

    def handle(request):
        if request.method == "GET":
            reads.append(request)
            if len(reads) > 1:
                return httpx.Response(
                    200, headers={"content-type": MEDIA_TYPE}, content=json.dumps({"data": []})
                )
        return inner(request)

    lab.tap.handle_request = handle
    lab.sandbox.faults = Faults(script=[None, "dropped_answer"], methods=("PATCH",))
    run = lab.apply(plan, lab.virtual_time(), concurrency=1)
    assert (run.ended, lab.outcomes(run)) == ("control-call-gone", ["applied", "unknown", "pending"])
    lab.tap.handle_request = inner
    lab.sandbox.faults = Faults()
    assert settled_later(lab, plan) == ["applied"] * 3
    assert len(lab.patches()) == 3


def test_a_call_that_only_the_second_look_shows_is_decided_by_that_look(lab):
    """As where one of several replicas lags: it is no reason to read it for ever, nor to call the run too slow."""
    plan, send, hidden = lab.plan(), lab.tap.handle_request, lab.id_of(3)

    def lag(request):
        response = send(request)
        if request.method == "PATCH":
            return response
        response.read()
        shown = response.json()["data"]
        # The second look is at this call and the three control calls.
        shown = shown if len(shown) == 4 else [call for call in shown if call["id"] != hidden]
        return httpx.Response(200, json={"data": shown})

    lab.tap.handle_request = lag
    lab.sandbox.clear_requests()
    run = lab.apply(plan)
    assert run.ended == "complete"
    assert lab.outcomes(run) == ["applied"] * 12
    assert lab.sent_without_reading() == []
    assert len(lab.sandbox.requests) == 2 + 12
