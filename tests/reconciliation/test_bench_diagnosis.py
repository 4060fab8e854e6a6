"""The benchmark of the diagnosis: its worlds are what it says, and it times what `reconcile` does."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="the benchmarks read the peak of memory from the system")
ROOT = Path(__file__).parents[2]
ROWS = 3_000


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("tests.benchmarks.cases.diagnosis")


@pytest.fixture(scope="module")
def worlds(bench, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    return {world: bench.make_world(world, ROWS, folder) for world in bench.WORLDS}


@pytest.mark.parametrize(
    ("world", "least", "most"), [("usual", 0.02, 0.06), ("bad", 0.25, 0.4), ("clean", 0, 0)]
)
def test_leaving_out_the_diagnosis_changes_no_pair_and_no_discrepancy(bench, worlds, world, least, most):
    checked = bench.check_agreement(*worlds[world])
    assert checked["pairs"] > 0.9 * ROWS
    assert least <= checked["share_differing"] <= most
    # What is left out is left out: not one row is explained.
    assert checked["unexplained_by_bare"] == checked["discrepancies"]


def test_a_tenth_of_the_bad_calls_has_two_legs_and_one_trunk_is_an_hour_late(bench, worlds):
    legs, calls = worlds["bad"]
    rec = bench.reconcile(legs, calls)
    assert 0.08 < rec.pairs["n_legs"].eq(2).mean() < 0.13
    of_a_leg = rec.legs.drop_duplicates("cdr_id").set_index("cdr_id")
    source = of_a_leg.loc[rec.pairs["cdr_id"], ["source_file", "x_trunk"]]
    is_late = source["x_trunk"].eq("trunk-2")
    assert set(source.loc[is_late, "source_file"]) == {"pbx-b.csv"}
    assert 0.05 < is_late.mean() < 0.15
    # In the hour that the end of summer time repeats a leg has no start.
    gap = rec.pairs["start_gap_s"].set_axis(is_late.index).dropna()
    assert len(gap) > 0.99 * len(is_late)
    assert gap.tolist() == is_late.loc[gap.index].map({True: 3600, False: 0}).tolist()


@pytest.mark.slow
def test_a_profile_tells_of_the_threads_that_compare_and_diagnose(bench, worlds):
    profile = importlib.import_module("tests.benchmarks.profiling").profile
    taken = profile(lambda: bench.reconcile(*worlds["bad"]), repeats=1)
    for room in ("explaining", "diagnosing", "comparing", "matching"):
        assert taken[f"reconciliation.{room}"] > 0
    assert taken["reconciliation"] >= taken["reconciliation.diagnosing"]
