"""Whatever the partitions, the answer is that of one machine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile import scale
from sippet_reconcile.schema import CALLS, LEGS

RULES = [
    sr.Rules(),
    sr.Rules(duration="total", clock_offset_s=2, start_window_s=90),
    sr.Rules(duration="billable", internal_numbers=("+442079460100",)),
]
PLACES = st.lists(st.integers(0, 60), max_size=5)
BOUNDS = sr.Period(pd.Timestamp("2026-10-05T08:02:00Z"), pd.Timestamp("2026-10-05T08:20:00Z"), timezone="UTC")


@pytest.mark.parametrize("examples", [5, pytest.param(80, marks=pytest.mark.slow)])
def test_random_partitions_give_the_answer_of_one_machine(
    world: Any, in_parts: Any, same: Any, examples: int
) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        size=st.sampled_from([3, 40, 200]),
        places=st.tuples(PLACES, PLACES),
        n_parts=st.integers(1, 5),
        options=st.fixed_dictionaries(
            {"rules": st.sampled_from(RULES), "period": st.sampled_from([None, BOUNDS])}
        ),
    )
    def hold(seed: int, size: int, places: Any, n_parts: int, options: Any) -> None:
        legs, calls = world(seed, size)
        whole = sr.reconcile(legs, calls, **options, progress=False)
        parts = in_parts(legs, places[0]), in_parts(calls, places[1])
        same(whole, scale.reconcile(*parts, **options, npartitions=n_parts, progress=False))

    hold()


def test_sides_without_rows_balance_to_nothing(same: Any) -> None:
    legs, calls = LEGS.empty(), CALLS.empty()
    same(sr.reconcile(legs, calls, progress=False), scale.reconcile(legs, calls, progress=False))


def test_more_parts_than_rows_change_nothing(world: Any, same: Any) -> None:
    legs, calls = (frame.head(2) for frame in world(3))
    same(
        sr.reconcile(legs, calls, progress=False), scale.reconcile(legs, calls, npartitions=7, progress=False)
    )


def test_a_plan_is_that_of_one_machine_down_to_its_last_row(world: Any, in_parts: Any) -> None:
    legs, calls = world(11, 400)
    rules = sr.Rules(duration="billable")
    recs = [
        sr.reconcile(legs, calls, rules=rules, progress=False),
        scale.reconcile(
            in_parts(legs, [100, 170]), in_parts(calls, [50]), rules=rules, npartitions=3, progress=False
        ),
    ]
    accepted = [finding.code for finding in recs[0].findings if finding.severity == "stop"]
    one, spread = (sr.build_plan(rec, max_share=1, accept=accepted) for rec in recs)
    assert len(one) > 50
    for name in ("changes", "calls", "disputes", "not_patchable", "balance"):
        pd.testing.assert_frame_equal(getattr(spread, name), getattr(one, name), obj=name)


def test_what_is_saved_is_loaded_as_that_of_one_machine(
    world: Any, in_parts: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("sippet_reconcile.reconciliation.storage._BLOCK", 7)
    legs, calls = world(5, 60)
    one = sr.load_reconciliation(sr.reconcile(legs, calls, progress=False).save(tmp_path / "one"))
    spread = scale.reconcile(in_parts(legs, [9]), in_parts(calls, [30]), npartitions=4, progress=False)
    again = sr.load_reconciliation(spread.save(tmp_path / "spread"))
    for name in ("legs", "calls", "cdr_calls", "pairs", "discrepancies", "balance"):
        expected = pd.DataFrame(getattr(one, name)).reset_index(drop=True)
        pd.testing.assert_frame_equal(expected, getattr(again, name).reset_index(drop=True), obj=name)


def test_a_call_shows_itself(world: Any, in_parts: Any) -> None:
    legs, calls = world(5, 60)
    one = sr.reconcile(legs, calls, progress=False)
    spread = scale.reconcile(in_parts(legs, [9]), in_parts(calls, [30]), npartitions=4, progress=False)
    shown = one.discrepancies["call_id"].iloc[0]
    assert repr(spread.show(shown)) == repr(one.show(shown))
    assert spread.to_json() == one.to_json()


def test_text_stays_pandas_own_text_where_a_missing_value_is_nan(world: Any, in_parts: Any) -> None:
    legs, calls = world(5, 60)
    spread = scale.reconcile(in_parts(legs, [9]), in_parts(calls, [30]), npartitions=4, progress=False)
    for frame, source in ((spread.legs, legs), (spread.calls, calls)):
        found = frame.to_dask().compute()
        assert found.dtypes.astype(str).to_dict() == source.dtypes.astype(str).to_dict()
        assert np.isnan(found["from_number"].dtype.na_value)


def test_frames_that_do_not_fit_are_refused_before_anything_is_read(world: Any, in_parts: Any) -> None:
    legs, calls = world(5)
    with pytest.raises(sr.SchemaError, match=r"call_key \(no such column") as caught:
        scale.reconcile(in_parts(legs.drop(columns="call_key"), []), calls, progress=False)
    assert caught.value.failures["column"].tolist() == ["call_key"]
    twice = pd.concat([legs, legs["x_trunk"]], axis=1)
    with pytest.raises(sr.SchemaError, match="legs has several columns named x_trunk; rename"):
        scale.reconcile(twice, calls, progress=False)
    with pytest.raises(sr.SchemaError, match="calls is list, neither a Dask DataFrame nor a DataFrame"):
        scale.reconcile(legs, [calls], progress=False)
    with pytest.raises(sr.InputError, match="npartitions is 0"):
        scale.reconcile(legs, calls, npartitions=0, progress=False)
    with pytest.raises(sr.InputError, match="rules is a dict"):
        scale.reconcile(legs, calls, rules={}, progress=False)


def test_calls_of_two_apis_and_calls_that_contradict_themselves_are_refused(
    world: Any, in_parts: Any
) -> None:
    legs, calls = world(5)
    other = calls.assign(api_url=calls["api_url"].where(calls.index > 0, "https://other.example"))
    with pytest.raises(sr.SchemaError, match="calls come from 2 APIs"):
        scale.reconcile(legs, in_parts(other, [10]), progress=False)
    again = pd.concat([calls, calls.tail(1).assign(status="failed")], ignore_index=True)
    with pytest.raises(sr.SchemaError, match="handed in twice with different values") as caught:
        scale.reconcile(legs, in_parts(again, [10]), progress=False)
    assert caught.value.failures["id"].tolist() == [calls["id"].iloc[-1]]


def test_an_explanation_of_ones_own_that_fails_is_named(world: Any, in_parts: Any) -> None:
    legs, calls = world(5, 60)
    with sr.temporary_explanations():

        @sr.explanation("crooked", fields="duration_seconds", claim="It is crooked.", phrase="are crooked")
        def crooked(_: Any) -> Any:
            raise ZeroDivisionError

        with pytest.raises(sr.InputError, match="crooked"):
            scale.reconcile(in_parts(legs, [9]), calls, npartitions=2, progress=False)


def test_progress_is_told_in_steps(world: Any) -> None:
    told: list[tuple[int, int]] = []
    legs, calls = world(5)
    scale.reconcile(legs, calls, progress=lambda done, total, _: told.append((done, total)))
    assert told == [(n, 4) for n in range(5)]


def test_what_is_missing_without_dask_is_said_in_words() -> None:
    code = "import sys; sys.modules['dask.dataframe'] = None; import sippet_reconcile.scale"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert 'not installed: pip install "sippet-reconcile[dask]"' in ended.stderr
