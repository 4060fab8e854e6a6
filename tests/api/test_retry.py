"""Which failures are tried again, when, and how often."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api import Exchange, ExchangeKind, GiveUp, Retry, decide, parse_retry_after

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


@pytest.mark.parametrize("kind", ["rejected", "missing", "unauthenticated", "forbidden", "malformed", "ok"])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_what_would_be_the_same_again_is_not_tried_again(kind: str, method: str) -> None:
    decision = decide(Exchange(ExchangeKind(kind), method), 1, random=lambda: 1.0)
    assert isinstance(decision, GiveUp)


def test_a_lost_answer_is_tried_again_for_a_read_only() -> None:
    assert isinstance(decide(Exchange(ExchangeKind.LOST, "GET"), 1, random=lambda: 1.0), Retry)
    lost = decide(Exchange(ExchangeKind.LOST, "PATCH"), 1, random=lambda: 1.0)
    assert isinstance(lost, GiveUp)
    assert "read the call" in lost.reason


@pytest.mark.parametrize(("status", "attempts"), [(500, 3), (503, 5), (502, 5)])
def test_attempts_are_capped_and_a_plain_500_sooner(status: int, attempts: int) -> None:
    exchange = Exchange(ExchangeKind.TRANSIENT, "GET", status=status)
    number = 1
    while isinstance(decide(exchange, number, random=lambda: 1.0), Retry):
        number += 1
    assert number == attempts


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
