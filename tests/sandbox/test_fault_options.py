"""Faults as values: what can be asked for, what is refused, and that the same seed draws the same."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import closing, suppress

import httpx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox import Fault, FaultKind, Faults, RetryAfterForm
from sippet_reconcile.sandbox.faults import FaultSource

CALL = "33333333-3333-4333-8333-333333333333"
PATCH_TYPE = {"content-type": "application/vnd.api+json"}
NAMES = {"Fault": Fault, "Faults": Faults}
CHANGING = {"changed_sent", "changed_other", "changed_after", "coupled"}
KINDS = st.sampled_from([kind.value for kind in FaultKind])
SECONDS = st.floats(0, 1e6, allow_nan=False)
TEXTS = st.text(max_size=5)


@st.composite
def faults_of_one(draw):
    """Draw a fault with options that its kind looks at."""
    kind = draw(KINDS)
    options = {"latency_s": draw(SECONDS), "hold_s": draw(SECONDS)}
    if kind in {"error", "error_after"}:
        options |= {"status": draw(st.integers(400, 599)), "body": draw(st.none() | TEXTS)}
    if kind in {"throttle", "error", "error_after"}:
        options |= {"retry_after_s": draw(st.none() | SECONDS)}
        options |= {"retry_after_form": draw(st.sampled_from([None, "seconds", "date", "absent"]))}
    if kind == "expired":
        options |= {"style": draw(st.sampled_from([None, "403", "401-json", "401-text", "200-empty"]))}
    if kind in CHANGING:
        options |= {"changes": draw(st.none() | st.dictionaries(st.just("status"), TEXTS))}
    if kind in {"ignored", "coerced"}:
        options |= {"fields": draw(st.lists(st.sampled_from(["status", "ended_at"]), max_size=2))}
    options["headers"] = draw(st.none() | st.dictionaries(st.just("server"), st.sampled_from(["a", "b'"])))
    return Fault(kind, **options)


ENTRIES = st.one_of(st.none(), KINDS, st.integers(400, 599), faults_of_one())
ALL = st.builds(
    Faults,
    script=st.lists(ENTRIES, max_size=4),
    seed=st.integers(),
    latency_s=SECONDS,
    retry_after_s=st.none() | SECONDS,
    retry_after_form=st.sampled_from(list(RetryAfterForm)),
    shares=st.lists(ENTRIES, max_size=3, unique_by=Fault.of).map(lambda e: [(item, 0.25) for item in e]),
    expire_after=st.none() | st.integers(0, 9),
    methods=st.sampled_from([("GET", "PATCH"), ("PATCH",)]),
)


@settings(max_examples=100, deadline=None)
@given(ALL)
def test_the_repr_of_faults_can_be_pasted_to_repeat_them(faults):
    again = eval(repr(faults), NAMES)  # noqa: S307 - the point of the test
    assert again == faults
    assert repr(again) == repr(faults)
    methods = ["GET", "PATCH", "PATCH"] * 4
    first, second = FaultSource(faults), FaultSource(again)
    assert [first.draw(method) for method in methods] == [second.draw(method) for method in methods]


def test_the_repr_says_no_more_than_was_said():
    faults = Faults(script=["lost_answer", None, 502, 429, Fault("expired", style="401-text")], seed=3)
    assert repr(faults) == (
        "Faults(script=('lost_answer', None, 502, 'throttle', Fault('expired', style='401-text')), seed=3)"
    )
    assert repr(Faults()) == "Faults()"
    assert repr(Fault()) == "Fault('none')"


def test_each_kind_can_have_a_share():
    kinds = [kind for kind in FaultKind if kind is not FaultKind.NONE]
    source = FaultSource(Faults(shares={kind.value: 1 / len(kinds) for kind in kinds}, seed=11))
    drawn = Counter(source.draw("PATCH").kind for _ in range(200 * len(kinds)))
    assert set(kinds) <= set(drawn)
    # A share of 1/47 of 9,400 is 200, and six standard deviations of it are 85.
    assert all(abs(drawn[kind] - 200) < 85 for kind in kinds)


def test_a_share_can_be_that_of_a_status_or_of_a_fault_with_options():
    slow = Fault("slow_body", spread_s=2)
    source = FaultSource(Faults(shares={502: 0.25, slow: 0.25, "error": 0.25}, seed=1))
    drawn = Counter(
        (fault.kind, fault.status, fault.spread_s) for fault in (source.draw("GET") for _ in range(4000))
    )
    assert set(drawn) == {
        ("error", 502, 10.0), ("slow_body", 503, 2), ("error", 503, 10.0), ("none", 503, 10.0),
    }  # fmt: skip
    assert all(abs(count - 1000) < 165 for count in drawn.values())


def test_named_shares_and_shares_by_name_draw_the_same():
    named = FaultSource(Faults(throttle_share=0.1, error_share=0.2, lost_answer_share=0.3, reset_share=0.1))
    by_name = FaultSource(Faults(shares={"throttle": 0.1, "error": 0.2, "lost_answer": 0.3, "reset": 0.1}))
    assert [named.draw("GET") for _ in range(500)] == [by_name.draw("GET") for _ in range(500)]


def test_seeds_draw_differently():
    shares = {"lost_answer": 0.5}
    sequences = {
        tuple(source.draw("PATCH").kind for _ in range(64))
        for source in (FaultSource(Faults(shares=shares, seed=seed)) for seed in range(20))
    }
    assert len(sequences) == 20


def test_a_share_of_what_a_read_cannot_meet_leaves_reads_alone():
    source = FaultSource(Faults(shares={"ignored": 1.0}))
    assert [source.draw(method).kind for method in ("GET", "PATCH", "GET")] == ["none", "ignored", "none"]


def test_refused_connections_are_counted_down():
    source = FaultSource(Faults(refuse_connections=2))
    assert [source.take_connection() for _ in range(4)] == [False, False, True, True]


def test_an_expired_token_takes_no_entry_and_no_draw():
    source = FaultSource(Faults(expire_after=1, script=[None, "reset"], methods=("PATCH",)))
    kinds = [source.draw(method).kind for method in ("PATCH", "PATCH", "GET")]
    source.renew()
    assert [*kinds, source.draw("PATCH").kind] == ["none", "expired", "expired", "reset"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "explode"}, "a fault is one of 'none', 'throttle'"),
        ({"kind": "reset", "status": 500}, "status says nothing about a fault 'reset'"),
        ({"kind": "error", "status": 200}, "between 400 and 599"),
        ({"kind": "error", "status": 600}, "between 400 and 599"),
        ({"kind": "reset", "retry_after_s": 1}, "it belongs to 'throttle', 'error', 'error_after'"),
        ({"kind": "none", "retry_after_form": "date"}, "retry_after_form says nothing"),
        ({"kind": "error", "style": "429"}, "style says nothing"),
        ({"kind": "throttle", "style": "401-json"}, "style must be one of '429'"),
        ({"kind": "expired", "style": "429"}, "style must be one of '403'"),
        ({"kind": "throttle", "style": "403-text", "retry_after_s": 1}, "carries no retry-after"),
        ({"kind": "throttle", "retry_after_form": "epoch"}, "retry_after_form must be one of"),
        ({"kind": "throttle", "retry_after_s": -1}, "a date can lie in the past"),
        ({"kind": "throttle", "retry_after_s": -1, "retry_after_form": "seconds"}, "cannot be written"),
        ({"kind": "throttle", "retry_after_s": math.nan}, "retry_after_s must be a number"),
        ({"kind": "lost_answer", "body": "x"}, "body says nothing"),
        ({"kind": "deleted_after", "changes": {"status": "busy"}}, "changes says nothing"),
        ({"kind": "changed_after", "changes": {"id": "x"}}, "'id' is no attribute of a call"),
        ({"kind": "changed_after", "changes": {"duration_seconds": "x"}}, "must be whole seconds"),
        ({"kind": "coerced", "fields": ["nope"]}, "'nope' is no attribute"),
        ({"kind": "coerced", "fields": "status"}, r"write \['status'\]"),
        ({"kind": "changed_sent", "call_ids": ["x"]}, "call_ids says nothing"),
        ({"kind": "lost_answer", "spread_s": 1}, "it belongs to 'slow_head', 'slow_body'"),
        ({"kind": "slow_body", "spread_s": -1}, "spread_s must be a number of seconds"),
        ({"latency_s": math.inf}, "latency_s must be a number of seconds"),
        ({"hold_s": math.nan}, "hold_s must be a number of seconds"),
        ({"headers": {"Content-Length": "3"}}, "short_length, long_length or broken_chunk"),
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_played_is_refused_with_a_sentence(options, said):
    with pytest.raises(InputError, match=said):
        Fault(**options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"shares": {"explode": 0.1}}, "a fault is one of"),
        ({"shares": {"reset": 0.6, "closed": 0.6}}, "together at most 1.*'closed': 0.6"),
        ({"shares": {"reset": 0.6}, "error_share": 0.6}, "together at most 1"),
        ({"shares": {"reset": math.nan}}, "must be 0 or more"),
        ({"shares": {"reset": "0.1"}}, "must be 0 or more"),
        ({"shares": {"reset": 0.1}, "reset_share": 0.1}, "the share of 'reset' is given twice"),
        ({"shares": [("reset", 0.1), ("reset", 0.1)]}, "given twice"),
        ({"script": ["ignored"], "methods": ("GET",)}, "happens to a PATCH only"),
        ({"shares": {"deleted_before": 0.1}, "methods": ("get",)}, "happens to a PATCH only"),
        ({"expire_after": -1}, "expire_after must be a whole number"),
        ({"expire_after": True}, "expire_after must be a whole number"),
        ({"expire_style": "418"}, "expire_style must be one of"),
        ({"refuse_connections": 0.5}, "refuse_connections must be a whole number"),
        ({"retry_after_s": -1}, "a date can lie in the past"),
        (
            {
                "retry_after_s": -1,
                "retry_after_form": "date",
                "script": [Fault("throttle", retry_after_form="seconds")],
            },
            "cannot be written",
        ),
        ({"jitter_s": math.nan}, "jitter_s must be a number of seconds"),
    ],
    ids=str,
)
def test_faults_that_cannot_be_played_are_refused_with_a_sentence(options, said):
    with pytest.raises(InputError, match=said):
        Faults(**options)


def test_shares_that_are_one_but_for_rounding_are_taken():
    Faults(shares=[(Fault("error", status=status), 0.1) for status in range(500, 510)])
    assert sum([0.1] * 10) != 1.0


def test_the_same_seed_and_order_give_the_same_faults_and_the_same_calls(start, connect):
    quiet = {
        "throttle", "error", "expired", "closed", "lost_answer", "lost_chunked", "closed_answer", "error_after",
        "json_nan", "wrong_id", "stale_answer", "echoed", "ignored", "coerced", "coupled", "changed_sent",
        "changed_other", "changed_after", "no_http", "two_answers",
    }  # fmt: skip
    faults = Faults(shares=dict.fromkeys(sorted(quiet), 0.045), jitter_s=0.001, seed=8)
    words = ("busy", "failed", "missed", "canceled")

    def run():
        sandbox = start(faults=eval(repr(faults), NAMES))  # noqa: S307 - as a person would paste it
        for k in range(120):
            body = {"data": {"attributes": {"status": words[k % 4], "duration_seconds": k}}}
            with suppress(httpx.TransportError), closing(connect(sandbox)) as client:
                client.patch(f"/api/calls/{CALL}", content=json.dumps(body), headers=PATCH_TYPE)
        met = [(request.fault, request.status) for request in sandbox.requests]
        return met, sandbox.calls.drop(columns=["api_url", "fetched_at"])

    (met, calls), (met_again, calls_again) = run(), run()
    assert met == met_again
    assert len({kind for kind, _ in met}) > 15
    pd.testing.assert_frame_equal(calls, calls_again)
