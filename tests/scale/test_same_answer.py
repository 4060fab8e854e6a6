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
from sippet_reconcile.reconciliation.matching import other_ids
from sippet_reconcile.reconciliation.matching.fallback import CloseCalls
from sippet_reconcile.reconciliation.matching.starts import Sample
from sippet_reconcile.scale import by_numbers
from sippet_reconcile.scale.spread import SpreadFrame, gather
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


@pytest.mark.parametrize("examples", [6, pytest.param(80, marks=pytest.mark.slow)])
def test_numbers_tell_in_parts_what_they_tell_on_one_machine(
    world_of_numbers: Any, in_parts: Any, same: Any, examples: int
) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(
        seed=st.integers(0, 10_000),
        size=st.sampled_from([5, 60, 250]),
        places=st.tuples(PLACES, PLACES),
        n_parts=st.tuples(st.integers(1, 9), st.sampled_from([1, 4, 25])),
        limits=st.fixed_dictionaries(
            {
                "starts.ENOUGH_PAIRS": st.sampled_from([200, 20, 6]),
                "starts.SOME_PAIRS": st.sampled_from([20, 3]),
                "other_ids.ENOUGH_PAIRS": st.sampled_from([20, 4]),
                "edges.MOST_RIVALS": st.sampled_from([64, 4]),
            }
        ),
    )
    def hold(seed: int, size: int, places: Any, n_parts: Any, limits: Any) -> None:
        legs, calls = world_of_numbers(seed, size)
        parts = in_parts(legs, places[0]), in_parts(calls, places[1])
        rules = sr.Rules(duration="billable", number_digits=(9, 5, 12)[seed % 3])
        with pytest.MonkeyPatch.context() as patch:
            for name, value in limits.items():
                patch.setattr(f"sippet_reconcile.reconciliation.matching.{name}", value)
            patch.setattr(by_numbers, "ROWS_OF_PART", n_parts[1])
            whole = sr.reconcile(legs, calls, rules=rules, progress=False)
            same(whole, scale.reconcile(*parts, rules=rules, npartitions=n_parts[0], progress=False))

    hold()


@pytest.mark.parametrize(("seed", "size", "n_marked"), [(9, 250, 4), (36, 400, 3), (57, 250, 9)])
def test_ids_speak_against_pairs_of_whatever_part(  # noqa: PLR0917 - fixtures and columns
    world_of_numbers: Any, in_parts: Any, same: Any, monkeypatch: Any, seed: int, size: int, n_marked: int
) -> None:
    marked: list[Any] = []

    def ids_speak_against(*given: Any, **more: Any) -> Any:
        marked.append(other_ids.ids_speak_against(*given, **more))
        return marked[-1]

    monkeypatch.setattr(by_numbers, "ids_speak_against", ids_speak_against)
    monkeypatch.setattr(by_numbers, "ROWS_OF_PART", 10)
    legs, calls = world_of_numbers(seed, size)
    spread = scale.reconcile(in_parts(legs, [99]), in_parts(calls, [50]), npartitions=9, progress=False)
    same(sr.reconcile(legs, calls, progress=False), spread)
    assert [int(of.sum()) for of in marked] == [n_marked]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_starts_are_measured_in_parts_as_on_one_machine(
    world_of_numbers: Any, in_parts: Any, same: Any, monkeypatch: Any, seed: int
) -> None:
    legs, calls = world_of_numbers(seed, 5_000)
    monkeypatch.setattr(by_numbers, "ROWS_OF_PART", 300)
    whole = sr.reconcile(legs, calls, progress=False)
    same(whole, scale.reconcile(in_parts(legs, [900]), in_parts(calls, []), npartitions=11, progress=False))


def test_of_rows_without_ids_only_numbers_and_what_was_decided_come_to_the_calling_process(
    world_of_numbers: Any, in_parts: Any, monkeypatch: Any
) -> None:
    legs, calls = world_of_numbers(8, 900)
    nothing = pd.Series([None] * 900, dtype="str")
    legs, calls = legs.assign(call_key=nothing), calls.assign(call_uuid=nothing)
    pairs = sr.reconcile(legs, calls, progress=False).pairs
    assert len(pairs) > 300
    asked, came = set(), []

    def column(frame: SpreadFrame, name: Any) -> Any:
        asked.update([name] if isinstance(name, str) else [])
        return one_of(frame, name)

    def no_rows(frame: SpreadFrame, rows: Any) -> pd.DataFrame:
        assert not len(rows)
        return take(frame, rows)

    def gathered(*given: Any) -> list[Any]:
        came.extend(found := gather(*given))
        return found

    def match_rest(*given: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SpreadFrame, "__getitem__", column)
            patch.setattr(SpreadFrame, "take", no_rows)
            patch.setattr(by_numbers, "gather", gathered)
            return by_numbers.match_rest(*given)

    one_of, take = SpreadFrame.__getitem__, SpreadFrame.take
    monkeypatch.setattr(by_numbers, "ROWS_OF_PART", 100)
    monkeypatch.setattr("sippet_reconcile.scale.steps.match_rest", match_rest)
    spread = scale.reconcile(in_parts(legs, [300]), in_parts(calls, [500]), npartitions=12, progress=False)
    pd.testing.assert_frame_equal(spread.pairs, pairs)
    assert asked == {"started_at", "is_coarse"}
    assert {type(one) for one in came} == {int, Sample, CloseCalls}
    decided = [one for one in came if isinstance(one, CloseCalls)]
    assert len(decided) == 8  # of 100 rows each
    assert sum(len(one.call_pos) for one in decided) >= len(pairs)


def test_sides_without_rows_balance_to_nothing(same: Any) -> None:
    legs, calls = LEGS.empty(), CALLS.empty()
    same(sr.reconcile(legs, calls, progress=False), scale.reconcile(legs, calls, progress=False))


def test_numbers_in_e164_that_calls_bring_along_are_compared_where_they_lie(
    world: Any, in_parts: Any, same: Any
) -> None:
    legs, calls = world(4, 60)
    calls = calls.assign(to_number=calls["to_number"].str.removeprefix("+"), to_e164="+12125550199")
    whole = sr.reconcile(legs, calls, progress=False)
    assert whole.discrepancies["field"].eq("to_number").sum() > 20
    same(whole, scale.reconcile(in_parts(legs, [20]), in_parts(calls, [30]), npartitions=3, progress=False))


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
