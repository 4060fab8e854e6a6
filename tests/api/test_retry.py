"""Which failures are tried again, when, and how often."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api import Exchange, ExchangeKind, GiveUp, Retry, decide, parse_retry_after
from sippet_reconcile.api.retry import RULES, RetryBudget, rule_for

NOON = datetime(2026, 10, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("999999", 3600.0),
        ("Thu, 01 Oct 2026 12:02:00 GMT", 120.0),
        ("Thursday, 01-Oct-26 12:02:00 GMT", 120.0),
        ("Thu, 01 Oct 2026 11:00:00 GMT", 0.0),
        ("Fri, 01 Oct 2027 12:00:00 GMT", 3600.0),
    ],
)
def test_retry_after_is_read_and_clamped(text: str, seconds: float) -> None:
    assert parse_retry_after(text, now=NOON) == seconds


@pytest.mark.parametrize(
    "text", [None, "", "soon", "-5", "+5", "1,5", "inf", "nan", "٣", "Thu, 99 Oct 2026 12:00:00 GMT"]
)
def test_what_retry_after_does_not_say_is_not_guessed(text: str | None) -> None:
    assert parse_retry_after(text, now=NOON) is None


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=40))
def test_no_retry_after_text_breaks_the_reader(text: str) -> None:
    seconds = parse_retry_after(text, now=NOON)
    assert seconds is None or 0 <= seconds <= 3600


# Written down here once more, by hand, from what a run is meant to do: kind, status, and the
# attempts of a client's read, of a read of a run, and of the PATCH of one call.
CLASSES = [
    ("throttled", 429, 5, 5, 5),
    ("throttled", 403, 5, 5, 5),
    ("throttled", 503, 5, 5, 5),
    ("forbidden", 403, 1, 3, 2),
    ("transient", 500, 3, 3, 3),
    ("transient", 502, 5, 5, 5),
    ("transient", 503, 5, 5, 5),
    ("transient", 504, 5, 5, 5),
    ("transient", 408, 5, 5, 5),
    ("transient", 425, 5, 5, 5),
    ("lost", None, 5, 5, 5),
    ("not_sent", None, 5, 5, 5),
    ("malformed", 200, 1, 3, 3),
    ("malformed", 204, 1, 3, 3),
    ("malformed", 302, 1, 1, 1),
    ("missing", 404, 1, 1, 3),
    ("unauthenticated", 401, 1, 1, 1),
    ("rejected", 400, 1, 1, 1),
    ("rejected", 404, 1, 1, 1),
    ("rejected", 413, 1, 1, 1),
    ("rejected", 414, 1, 1, 1),
    ("rejected", 422, 1, 1, 1),
    ("rejected", 431, 1, 1, 1),
    ("ok", 200, 1, 1, 1),
]


@pytest.mark.parametrize(("kind", "status", "read", "reread", "patch"), CLASSES)
def test_each_class_of_failure_has_its_number_of_attempts(
    kind: str, status: int | None, read: int, reread: int, patch: int
) -> None:
    def attempts(method: str, *, in_run: bool) -> int:
        exchange = Exchange(ExchangeKind(kind), method, status=status)
        number = 1
        while isinstance(decide(exchange, number, random=lambda: 1.0, in_run=in_run), Retry):
            number += 1
        return number

    assert [attempts("GET", in_run=False), attempts("GET", in_run=True), attempts("PATCH", in_run=True)] == [
        read,
        reread,
        patch,
    ]


def test_every_kind_of_failure_is_in_the_table() -> None:
    for kind in set(ExchangeKind) - {ExchangeKind.OK}:
        assert rule_for(Exchange(kind, "GET")) is not None
    assert rule_for(Exchange(ExchangeKind.OK, "GET")) is None


def test_everybody_pauses_only_where_it_is_the_pace_that_is_refused() -> None:
    assert {rule.kind for rule in RULES if rule.pauses_everybody} == {"throttled", "forbidden"}


def test_whoever_may_try_more_often_does_so_only_where_that_may_help() -> None:
    fault = Exchange(ExchangeKind.TRANSIENT, "GET", status=500)
    assert isinstance(decide(fault, 3, random=lambda: 1.0, max_attempts=8), GiveUp)
    away = Exchange(ExchangeKind.TRANSIENT, "GET", status=503)
    assert isinstance(decide(away, 7, random=lambda: 1.0, max_attempts=8), Retry)
    assert isinstance(decide(away, 8, random=lambda: 1.0, max_attempts=8), GiveUp)


@settings(max_examples=100, deadline=None)
@given(
    floor=st.integers(0, 20),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    requests=st.lists(st.booleans(), max_size=200),
)
def test_retries_never_exceed_the_floor_and_their_share(
    floor: int, share: float, requests: list[bool]
) -> None:
    budget = RetryBudget(floor=floor, share=share)
    n_first = n_retries = 0
    for is_retry in requests:
        room = floor + share * n_first
        was_let_out = budget.spend(is_retry=is_retry)
        # Whole ones are counted: no retry while less than one is left.
        assert was_let_out is (not is_retry or n_retries + 1 <= room)
        n_retries += is_retry and was_let_out
        n_first += not is_retry
        assert n_retries <= floor + share * n_first
    assert (budget.n_retries, budget.n_requests) == (n_retries, n_first + n_retries)


@settings(max_examples=50, deadline=None)
@given(
    attempt=st.integers(1, 4),
    chance=st.floats(0, 1),
    asked=st.one_of(st.none(), st.floats(0, 300)),
)
def test_a_wait_is_jittered_and_never_shorter_than_asked(
    attempt: int, chance: float, asked: float | None
) -> None:
    exchange = Exchange(ExchangeKind.THROTTLED, "GET", status=429, retry_after_s=asked)
    decision = decide(exchange, attempt, random=lambda: chance)
    assert isinstance(decision, Retry)
    if asked is None:
        assert 0 <= decision.after_s <= min(20.0, 0.5 * 2 ** (attempt - 1))
        assert decision.after_s == pytest.approx(chance * min(20.0, 0.5 * 2 ** (attempt - 1)))
    else:
        assert asked <= decision.after_s <= asked + 1.0


def test_a_server_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    exchange = Exchange(ExchangeKind.THROTTLED, "GET", status=429, retry_after_s=3600.0)
    assert decide(exchange, 1, random=lambda: 0.0) == GiveUp("the server asks to wait 3600 s")
    assert decide(exchange, 1, random=lambda: 0.0, max_wait_s=4000) == Retry(3600.0)
