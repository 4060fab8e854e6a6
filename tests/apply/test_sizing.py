"""How many threads, how large a chunk, how far ahead: enough for the pace, and nothing read grows too old."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sippet_reconcile.apply.session import CHUNK_S
from sippet_reconcile.apply.sizing import MAX_WORKERS, Sizing
from sippet_reconcile.apply.traffic import FRESH_S, IDS_PER_READ

RATES = st.floats(5 / 60, 10_000)
LATENCIES = st.one_of(st.just(0.0), st.floats(0.0005, 0.5))


def sizing_of(rate, latency_s, concurrency=None):
    return Sizing(SimpleNamespace(rate=rate, latency_s=latency_s), concurrency, CHUNK_S)


@example(rate=0.3125, latency_s=0.0, concurrency=None)
@given(rate=RATES, latency_s=LATENCIES, concurrency=st.one_of(st.none(), st.integers(1, MAX_WORKERS)))
def test_the_last_call_of_a_chunk_is_sent_while_its_reread_is_young(rate, latency_s, concurrency):
    sizing = sizing_of(rate, latency_s, concurrency)
    n, ahead = sizing.n_calls, sizing.n_ahead
    reached = min(rate, (concurrency or MAX_WORKERS) / (latency_s or 0.2))
    n_reads = math.ceil(n / IDS_PER_READ)
    # Its own reads and PATCHes, and where it was read ahead those still waiting and the next chunk's reads.
    between = n_reads - 1 + n + (ahead + n_reads if ahead else 0)
    assert between * 1.01 / reached + latency_s <= FRESH_S
    assert n >= 1


@given(rate=RATES, latency_s=LATENCIES)
def test_the_next_chunk_is_ready_before_the_pace_runs_dry(rate, latency_s):
    """Its reads, their answers, and two permits for what is ahead of them; else the pace is too slow to run dry."""
    sizing = sizing_of(rate, latency_s)
    reached = min(rate, MAX_WORKERS / (latency_s or 0.2))
    n_reads = math.ceil(sizing.n_calls / IDS_PER_READ)
    needed_s = (2 + n_reads) / reached + latency_s
    is_slow = 1 / reached >= latency_s + 0.25
    is_capped = sizing.n_ahead == sizing.n_calls // 3
    assert is_slow or is_capped or sizing.n_ahead / reached >= needed_s


@pytest.mark.parametrize(("rate", "latency_s"), [(5, 0.2), (20, 0.2), (50, 0.2), (50, 0.25)])
def test_there_are_threads_for_all_that_is_in_flight_and_some_to_spare(rate, latency_s):
    assert rate * latency_s * 1.2 + 1 <= sizing_of(rate, latency_s).n_workers <= MAX_WORKERS


@given(rate=RATES, latency_s=LATENCIES)
def test_there_are_never_more_threads_than_allowed(rate, latency_s):
    assert 2 <= sizing_of(rate, latency_s).n_workers <= MAX_WORKERS
    assert sizing_of(rate, latency_s, concurrency=3).n_workers == 3
