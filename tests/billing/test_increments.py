"""Seconds in the steps of a rate, and prices, against sums in Python's exact numbers."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import ceil

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sippet_reconcile.billing.frames import MONEY
from sippet_reconcile.billing.increments import billed_seconds, cost_micros, money_array, rate_units
from sippet_reconcile.errors import InputError


def slow_seconds(seconds: float, initial: int, increment: int) -> int:
    if seconds <= 0:
        return 0
    billed, whole = initial, ceil(seconds)
    while billed < whole:
        billed += increment
    return billed


def slow_cost(billed: int, rate: Decimal, fee: Decimal) -> Decimal:
    with localcontext(prec=80):
        # A sixtieth has no end: the rounding is that of sixtieths, so it is done to a whole number of them.
        sixtieths = billed * rate + 60 * fee
        return (sixtieths * 10**6 / 60).quantize(Decimal(1), ROUND_HALF_UP) / 10**6


RATES = st.decimals(0, Decimal("999999999.9999999999"), places=10, allow_nan=False)


@given(
    st.one_of(st.integers(-5, 5000), st.floats(-5, 5000, allow_nan=False)), st.integers(0, 300), st.integers(1, 300)
)  # fmt: skip
def test_billed_seconds_are_those_of_a_meter_that_ticks(seconds, initial, increment):
    assert billed_seconds([seconds], initial, increment).tolist() == [
        slow_seconds(seconds, initial, increment)
    ]


def test_each_call_has_increments_of_its_own():
    assert billed_seconds(np.array([61, 61, 61]), np.array([1, 30, 60]), np.array([1, 6, 60])).tolist() == [
        61,
        66,
        120,
    ]


def test_without_initial_seconds_the_first_increment_is_billed():
    assert billed_seconds([1, 6, 7, 0], 0, 6).tolist() == [6, 6, 12, 0]


def test_large_whole_seconds_lose_none():
    assert billed_seconds(np.array([2**53 - 1]), 1, 1).tolist() == [2**53 - 1]


@given(st.lists(st.tuples(st.integers(0, 10**6), RATES, RATES), min_size=1, max_size=8))
def test_a_cost_is_exact_and_rounded_half_up_once(rows):
    billed = np.array([row[0] for row in rows], np.int64)
    rate, fee = (rate_units(pd.Series([row[n] for row in rows], dtype="object")) for n in (1, 2))
    exact = [slow_cost(*row) for row in rows]
    if max(exact) >= 10**12:
        with pytest.raises(InputError, match="costs more than"):
            cost_micros(billed, rate, fee)
    else:
        assert cost_micros(billed, rate, fee).tolist() == [int(cost * 10**6) for cost in exact]


@given(
    st.lists(
        st.tuples(st.integers(0, 10**5), st.decimals(0, 10, places=6), st.decimals(0, 10, places=4)),
        min_size=1,
        max_size=8,
    )
)
def test_an_everyday_cost_is_exact_and_rounded_half_up_once(rows):
    billed = np.array([row[0] for row in rows], np.int64)
    rate, fee = (rate_units(pd.Series([row[n] for row in rows], dtype="object")) for n in (1, 2))
    assert cost_micros(billed, rate, fee).tolist() == [int(slow_cost(*row) * 10**6) for row in rows]


@pytest.mark.parametrize(
    ("billed", "rate", "fee", "cost"),
    [
        (1, "0.00003", "0", "0.000001"),  # half a millionth goes up
        (1, "0.0000299999", "0", "0.000000"),
        (60, "0.0125", "0.05", "0.062500"),
        (1, "0.01", "0.0000003333", "0.000167"),  # rounded once: 0.000166667 + 0.0000003333
        (86_400, "999999999.9999999999", "0", None),
        (3_600, "999999999.9999999999", "1", "60000000001.000000"),  # beyond 64 bits on the way
    ],
)
def test_a_cost_by_hand(billed, rate, fee, cost):
    units = [rate_units(pd.Series([Decimal(amount)], dtype="object")) for amount in (rate, fee)]
    if cost is None:
        with pytest.raises(InputError, match="86,400 billed seconds"):
            cost_micros(np.array([billed]), *units)
    else:
        assert money_array(cost_micros(np.array([billed]), *units)).tolist() == [Decimal(cost)]


def test_no_calls_cost_nothing():
    nothing = np.zeros(0, np.int64)
    assert billed_seconds(nothing, 1, 1).tolist() == []
    assert cost_micros(nothing, nothing, nothing).tolist() == []
    assert money_array(nothing).dtype == MONEY


@given(st.lists(st.tuples(st.integers(-(10**18), 10**18), st.booleans()), max_size=20))
def test_money_is_its_millionths_in_decimal(rows):
    money = money_array(
        np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.bool_)
    )
    assert money.dtype == MONEY
    assert [None if pd.isna(cost) else cost for cost in money] == [
        None if is_missing else Decimal(micros).scaleb(-6) for micros, is_missing in rows
    ]
