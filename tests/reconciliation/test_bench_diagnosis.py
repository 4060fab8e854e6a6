"""The benchmark of the diagnosis: its worlds are what it says, and it times what `reconcile` does."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import sippet_reconcile as sr

pytest.importorskip("resource", reason="the benchmarks read the peak of memory from the system")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ROWS = 3_000


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("bench_diagnosis")


@pytest.fixture(scope="module")
def worlds(bench, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "Master.csv"
    bench.generate(path, ROWS)
    legs = sr.read_cdr(path, timezone=bench.ZONE, country=bench.COUNTRY, progress=False)
    return {world: bench.make_world(legs, world) for world in bench.WORLDS}


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
def test_each_part_is_timed_and_put_beside_the_others(bench, worlds):
    timed = {part: bench.measure(*worlds["bad"], part) for part in bench.TIMED}
    profiled = bench.profile(*worlds["bad"])
    assert timed[bench.BARE]["found"] == timed[bench.FULL]["found"]
    table = {"bad": bench.summarise([timed], [profiled])}
    assert set(table["bad"]["laps"]) == {bench.BARE, bench.FULL, "reconcile", *bench.VIEWS}
    # The thread that compares and explains has a profile too.
    assert min(profiled["ms"][room] for room in ("explaining", "diagnosing", "ledger")) > 0
    shown = bench.to_markdown(table)
    assert all(f"| bad | {name} |" in shown for name in (*table["bad"]["laps"], "full diagnosis adds"))


@pytest.mark.slow
def test_the_program_runs_to_its_end_and_writes_its_figures_down(tmp_path):
    target = tmp_path / "figures.json"
    command = [
        sys.executable, str(BENCHMARKS / "bench_diagnosis.py"),
        "--rows", str(ROWS), "--rounds", "1", "--json", str(target),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    record = json.loads(target.read_text(encoding="utf-8"))
    assert set(record["table"]) == {"usual", "bad", "clean"}
    assert done.stdout.count("full diagnosis adds") == 6
