"""The benchmarks: what the generator plants, who is right, and what the command says and never says."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import sippet_reconcile as sr

pytest.importorskip("resource", reason="the benchmarks read the peak of memory from the system")
ROOT = Path(__file__).parents[1]
SIZE = 20_000


@pytest.fixture(scope="module", autouse=True)
def _root_on_the_path():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield


@pytest.fixture(scope="module")
def module():
    return lambda name: importlib.import_module(f"tests.benchmarks.{name}")


@pytest.fixture(scope="module")
def month(module):
    return module("generate").draw(SIZE)


@pytest.fixture(scope="module")
def folder(module, tmp_path_factory):
    """Return a folder with a small month, and the legs and calls of it."""
    place = tmp_path_factory.mktemp("inputs")
    module("cases.ours").prepare_month(place, SIZE, tmp_path_factory.mktemp("cache"))
    return place


def share(mask) -> float:
    return float(np.mean(mask))


def test_the_month_has_the_errors_that_it_says(month):
    assert share(month.said_s != month.talk) == pytest.approx(0.03, abs=0.004)
    assert share(month.said_status != month.status) == pytest.approx(0.01, abs=0.003)
    assert share(~month.has_key) == pytest.approx(0.1, abs=0.01)
    # As many on one side only, each way, and both sides of the size that was asked for.
    assert (int((~month.in_cdr).sum()), int((~month.in_api).sum())) == (SIZE // 200, SIZE // 200)
    assert (int(month.in_cdr.sum()), int(month.in_api.sum())) == (SIZE, SIZE)
    # A tolerance of a second must hide none of the planted errors.
    wrong = month.said_s != month.talk
    assert np.abs(month.said_s - month.talk)[wrong].min() >= 2


def test_the_same_seed_writes_the_same_bytes_and_another_does_not(module, tmp_path):
    generate = module("generate")
    for name, seed in (("one", 7), ("same", 7), ("other", 8)):
        drawn = generate.draw(2_000, seed)
        for switch in ("freeswitch", "asterisk"):
            generate.write_export(tmp_path / f"{name}.{switch}", drawn, switch)
        (tmp_path / f"{name}.calls").write_text(generate.call_records(drawn).to_pandas().to_csv())
    for kind in ("freeswitch", "asterisk", "calls"):
        one, same, other = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "same", "other"))
        assert one == same
        assert one != other


def test_all_numbers_are_reserved_for_fiction_or_extensions(module, month):
    calls = module("generate").call_records(month)
    fictional = r"^(\+1\d{3}55501\d{2}|\+442079460\d{3}|1[0-3]\d{2})$"
    for name in ("from_number", "to_number"):
        assert pc.all(pc.match_substring_regex(calls[name], fictional)).as_py()


@pytest.mark.parametrize(("group", "case"), [("diff", "kernel alone"), ("diff", "reconcile"), ("diff", "pandas merge and compare, wide"), ("whole", "read_cdr and reconcile"), ("whole", "pandas C typed")])  # fmt: skip
def test_who_is_asked_finds_exactly_what_was_planted(module, folder, group, case):
    group = module("case").load_group(group)
    found = group.case(case).found(group.case(case).load(folder)())
    assert group.wrong(folder, {case: found}) == []
    counted = next(name for name in ("duration_seconds", "billable_s") if name in found)
    off = {**found, counted: found[counted] + 1}
    assert len(group.wrong(folder, {case: off})) == 1


def test_every_group_has_its_base_and_every_target_its_cases(module):
    case = module("case")
    groups = {name: case.load_group(name) for name in case.GROUPS}
    names = {f"{name}/{one.name}" for name, group in groups.items() for one in group.cases}
    for name, group in groups.items():
        assert group.name == name
        assert group.base in {one.name for one in group.cases}
        for target in group.targets:
            assert {target.of, target.than or target.of} <= names


def test_a_library_that_is_missing_is_named_and_its_cases_are_left_out(module, tmp_path):
    rounds, environments = module("rounds"), module("environments")
    group = module("case").load_group("e164")
    needy = replace(group.cases[0], name="needy", needs=("no-such-library",))
    planned, skipped = rounds.plan(
        replace(group, cases=(*group.cases, needy)), 10, tmp_path, [environments.own()]
    )
    assert skipped == ["no-such-library: not installed; skipped"]
    assert [one.case.name for one in planned.measured] == [one.name for one in group.cases]


def run(module, tmp_path, *words: str) -> tuple[int, dict, str]:
    out = tmp_path / "out" / "figures"
    main = module("__main__").main
    code = main([*words, "--rounds", "1", "--cache", str(tmp_path / "cache"), "--out", str(out)])
    return code, json.loads(Path(f"{out}.json").read_text("utf-8")), Path(f"{out}.md").read_text("utf-8")


def test_a_goal_that_is_missed_is_told_and_fails_nothing(module, tmp_path, monkeypatch):
    group = module("case").load_group("e164")
    hopeless = replace(group, targets=(replace(group.targets[0], limit=0.0),))
    monkeypatch.setattr(module("__main__"), "load_group", lambda _: hopeless)
    code, record, text = run(module, tmp_path, "e164=500")
    assert code == 0
    assert [target["met"] for target in record["targets"]] == [False]
    assert "| **no** |" in text
    merge, ours = record["results"]
    assert (merge["case"], ours["case"]) == ("pandas merge", "numbers_to_e164")
    for row in record["results"]:
        assert row["wall_s"] > 0 < row["cpu_s"]
        assert row["peak_mb"] > row["growth_mb"] >= 0
    assert ours["x_wall"] == ours["wall_s"] / merge["wall_s"]
    assert record["versions"]["own"]["pandas"]


def test_a_wrong_result_fails_the_command(module, tmp_path, monkeypatch):
    group = replace(module("case").load_group("e164"), cases=(), wrong=lambda *_: ["numbers were lost"])
    monkeypatch.setattr(module("__main__"), "load_group", lambda _: group)
    code, record, text = run(module, tmp_path, "e164=100")
    assert code == 1
    assert record["wrong"] == ["e164, 100: numbers were lost"]
    assert "- e164, 100: numbers were lost" in text


def test_a_case_that_fails_is_told_and_fails_the_command(module, tmp_path, monkeypatch):
    group = module("case").load_group("e164")
    # The process looks its case up by name, and there is none of this one.
    broken = replace(group, cases=(replace(group.cases[0], name="no such case"),))
    monkeypatch.setattr(module("__main__"), "load_group", lambda _: broken)
    code, record, text = run(module, tmp_path, "e164=100")
    assert code == 1
    assert "e164/no such case: StopIteration" in record["wrong"][0]
    assert "| no such case | failed |" in text


def test_rounds_that_differ_are_wrong(module):
    rounds, report = module("rounds"), module("report")
    group = module("case").load_group("e164")
    planned, _ = rounds.plan(group, 10, Path(), [module("environments").own()])
    for n in (10, 11):
        planned.measured[0].rounds.append({"found": {"joined": n}})
    assert len(report.wrong_results([planned])) == 1


def commands(path: Path) -> list[str]:
    return re.findall(r"python -m (tests\.benchmarks[\w.]*[^`\n]*)", path.read_text("utf-8"))


@pytest.mark.parametrize("path", ["tests/benchmarks/NOTES.md", "CONTRIBUTING.md"])
def test_the_commands_that_are_quoted_exist(module, path):
    found = commands(ROOT / path)
    assert found
    for command in found:
        name, *words = shlex.split(command)
        assert name == "tests.benchmarks"
        module("__main__").parser().parse_args(words)
    for script in re.findall(r"python (tests/[\w/]+\.py)", (ROOT / path).read_text("utf-8")):
        assert (ROOT / script).exists(), script


def test_a_growth_of_memory_is_that_of_the_step_alone(module, tmp_path):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the growth of a step is told by Linux alone")
    case = module("case").Case
    worker = module("worker")

    def load(_: Path):
        big = np.ones(40_000_000)  # 320 MB, let go before the clock starts
        del big
        return lambda: np.ones(10_000_000)

    told = worker.measure(case("eighty megabytes", load), tmp_path)
    assert 75 < told["growth_mb"] < 120
    assert told["peak_mb"] > 300


def test_memory_that_was_free_before_the_step_counts_once_it_is_used(module, tmp_path):
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the growth of a step is told by Linux alone")

    def load(_: Path):
        def step():
            return [b"x" * (100_000 + n) for n in range(1_000)]

        last = step()[-1]  # it lies behind the others, so that the allocator keeps what they leave
        return lambda: (step(), last)

    told = module("worker").measure(module("case").Case("used again", load), tmp_path)
    assert told["growth_mb"] > 90


@pytest.mark.slow
def test_peers_that_cannot_be_installed_are_skipped_by_name(module, tmp_path, monkeypatch):
    environments = module("environments")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as where there is no network
    monkeypatch.setattr(environments, "PEERS", {"engines": ("no-such-library==1",)})
    found, problems = environments.make_peers(tmp_path)
    assert found == []
    assert len(problems) == 1
    assert problems[0].startswith("engines: its environment could not be made (")
    assert problems[0].endswith("skipped")


def test_how_a_case_grows_is_judged_between_two_sizes(module, tmp_path):
    rounds, report, case = (module(name) for name in ("rounds", "report", "case"))
    group = case.load_group("whole")
    name = "read_cdr and reconcile"
    group = replace(
        group,
        cases=(group.case(name),),
        targets=tuple(one for one in group.targets if one.sizes == (5_000_000, 1_000_000)),
    )
    planned = [
        rounds.plan(group, size, tmp_path, [module("environments").own()])[0]
        for size in (1_000_000, 5_000_000)
    ]
    rows = [
        {
            "group": "whole",
            "case": name,
            "size": size,
            **dict.fromkeys(("wall_s", "wall_s_best", "cpu_s"), took),
        }
        for size, took in ((1_000_000, 2.0), (5_000_000, 13.0))
    ]
    [judged] = report.judge(planned, rows)
    assert (judged["measured"], judged["limit"], judged["met"]) == (6.5, 6.0, False)
    assert report.judge(planned, rows[:1]) == []


def test_seconds_that_are_off_by_a_minute_are_no_planted_difference(module, folder):
    ours = module("cases.ours")
    legs, calls = ours.load_sides(folder)
    late = legs.assign(billable_s=legs["billable_s"] + 60)
    found = ours.told_by(sr.reconcile(late, calls, rules=sr.Rules(duration="billable"), progress=False))
    assert module("cases.diff").wrong_differences(folder, {"late": found})
