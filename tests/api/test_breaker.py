"""When an API as a whole counts as failing, and what may leave until it is back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.api import Exchange, ExchangeKind
from sippet_reconcile.api.breaker import COOL_DOWNS_S, Breaker, Gate, Sign, sign_of

ALIVE, FAILING, NEITHER = Sign.ALIVE, Sign.FAILING, Sign.NEITHER


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for sign in (ALIVE, FAILING, FAILING, FAILING):
        breaker.saw(sign, is_read=True, now=now)
    return breaker


@pytest.mark.parametrize(
    ("kind", "status", "sign"),
    [
        ("ok", 200, ALIVE),
        ("rejected", 422, ALIVE),
        ("missing", 404, ALIVE),
        ("unauthenticated", 401, ALIVE),
        ("forbidden", 403, ALIVE),
        ("throttled", 429, ALIVE),
        ("throttled", 403, NEITHER),
        ("throttled", 503, NEITHER),
        ("transient", 500, FAILING),
        ("transient", 503, FAILING),
        ("lost", None, FAILING),
        ("not_sent", None, FAILING),
        ("malformed", 200, FAILING),
    ],
)
def test_only_what_the_api_itself_answered_says_that_it_is_alive(
    kind: str, status: int | None, sign: Sign
) -> None:
    assert sign_of(Exchange(ExchangeKind(kind), "GET", status=status)) is sign


def test_an_api_that_never_answered_is_not_waited_for() -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.saw(FAILING, is_read=True, now=0.0)
    assert breaker.enter(0.0) is Gate.GO


def test_patches_alone_do_not_make_an_outage_for_they_may_fail_for_what_they_say() -> None:
    breaker = Breaker()
    breaker.saw(ALIVE, is_read=True, now=0.0)
    for _ in range(50):
        breaker.saw(FAILING, is_read=False, now=0.0)
    assert not breaker.is_open
    breaker.saw(FAILING, is_read=True, now=0.0)
    assert breaker.is_open


def test_one_success_between_failures_is_enough_to_go_on() -> None:
    breaker = Breaker()
    for sign in [ALIVE, FAILING, FAILING] * 20:
        breaker.saw(sign, is_read=True, now=0.0)
    assert not breaker.is_open


def test_a_straggler_neither_closes_nor_prolongs_an_outage() -> None:
    breaker = opened()
    breaker.saw(ALIVE, is_read=True, now=0.5)
    breaker.saw(FAILING, is_read=True, now=0.9)
    assert [breaker.enter(at) for at in (0.99, 1.0)] == [Gate.WAIT, Gate.PROBE]


def test_an_outage_of_half_a_minute_is_outlasted_and_a_dead_api_gets_seven_probes() -> None:
    breaker, probes, now = opened(), [], 0.0
    while (gate := breaker.enter(now)) is not Gate.DEAD:
        if gate is Gate.PROBE:
            probes.append(now)
            breaker.probed(FAILING, now=now)
        now += 0.5
    assert probes == [1, 3, 7, 15, 31, 61, 91]
    assert breaker.n_outages == 1
    breaker.saw(ALIVE, is_read=True, now=now)
    assert breaker.enter(now + 1e6) is Gate.DEAD


def test_a_probe_told_to_wait_longer_is_followed_by_that_pause() -> None:
    breaker = opened()
    breaker.enter(1.0)
    breaker.probed(NEITHER, now=1.0, retry_after_s=20.0)
    assert [breaker.enter(at) for at in (20.9, 21.0)] == [Gate.WAIT, Gate.PROBE]


def test_a_false_alarm_is_no_outage() -> None:
    breaker = opened()
    breaker.enter(1.0)
    breaker.probed(ALIVE, now=1.1)
    assert (breaker.n_outages, breaker.enter(1.1)) == (0, Gate.GO)


class Model:
    """The rules of the breaker, told from the whole history of signs."""

    def __init__(self) -> None:
        self.history: list[tuple[Sign, bool]] = []
        self.has_answered = self.is_open = self.is_probing = False
        self.n_failed, self.closed_until = 0, 0.0

    def saw(self, sign: Sign, *, is_read: bool, now: float) -> None:
        if self.is_open or sign is NEITHER:
            return
        self.has_answered = self.has_answered or sign is ALIVE
        self.history.append((sign, is_read))
        signs = [sign for sign, _ in self.history]
        row = self.history[len(signs) - signs[::-1].index(ALIVE) :] if ALIVE in signs else self.history
        if self.has_answered and len(row) >= 3 and any(read for _, read in row):
            self.is_open, self.n_failed, self.closed_until = True, 0, now + 1.0

    def enter(self, now: float) -> Gate:
        if not self.is_open:
            return Gate.GO
        if self.n_failed == len(COOL_DOWNS_S):
            return Gate.DEAD
        if self.is_probing or now < self.closed_until:
            return Gate.WAIT
        self.is_probing = True
        return Gate.PROBE

    def probed(self, sign: Sign, now: float) -> None:
        self.is_probing = False
        if sign is ALIVE:
            self.is_open, self.history = False, []
            return
        self.n_failed += 1
        if self.n_failed < len(COOL_DOWNS_S):
            self.closed_until = now + COOL_DOWNS_S[self.n_failed]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["saw", "enter", "probed", "abandon"]),
        st.sampled_from([ALIVE, FAILING, NEITHER]),
        st.booleans(),
        st.floats(0.0, 40.0),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_while_it_is_open_nothing_leaves_but_one_probe_after_each_cool_down(
    steps: list[tuple[str, Sign, bool, float]],
) -> None:
    breaker, model, now = Breaker(), Model(), 0.0
    for action, sign, is_read, passes in steps:
        now += passes
        if action == "saw":
            breaker.saw(sign, is_read=is_read, now=now)
            model.saw(sign, is_read=is_read, now=now)
        elif action == "enter":
            assert breaker.enter(now) is model.enter(now)
        elif model.is_probing and action == "probed":
            breaker.probed(sign, now=now)
            model.probed(sign, now)
        elif model.is_probing:
            breaker.abandon()
            model.is_probing = False
        assert breaker.is_open is model.is_open
