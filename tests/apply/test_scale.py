"""A plan of many calls and a log of many parts: what is read, kept and opened for them."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sippet_reconcile.audit import AuditLog, Event
from sippet_reconcile.run import load_run, read_events, state_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
only_linux = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc"
)


def measured(case, folder):
    """Return what a case of the benchmarks took in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.worker", "audit", case, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, cwd=ROOT)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def prepare():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("tests.benchmarks.cases.audit").prepare


@pytest.fixture(scope="module")
def written(tmp_path_factory, prepare):
    """Return folders with plan and log of a run of 500 and of 5,000 settled calls."""
    folders = {}
    for n in (500, 5_000):
        folders[n] = tmp_path_factory.mktemp(f"calls-{n}")
        prepare(folders[n], n, folders[n], per_part=50)
    return folders


@only_linux
@pytest.mark.parametrize("case", ["load_run", "apply_plan, all settled"])
def test_a_call_more_takes_a_few_kilobytes_of_memory_at_most(written, case):
    few, many = (measured(case, written[n])["growth_mb"] for n in (500, 5_000))
    # With an object for each record it would be 13 kB.
    assert (many - few) * 2**20 / 4_500 < 8_000


def test_a_run_that_is_settled_is_continued_without_asking_the_api(written):
    # The client's address answers nobody, so that any request would fail the run.
    folder = written[500]
    measured("apply_plan, all settled", folder)
    run = load_run(folder / "continued")
    assert (run.ended, run.n_sessions >= 2, set(run.records["outcome"])) == ("complete", True, {"applied"})
    told = AuditLog(folder / "continued").records()["event"]
    # Only the first session says what every call is meant to become.
    starts = AuditLog(folder / "continued").records().loc[told.eq(Event.RUN_STARTED.value)]
    assert starts["after"].notna().tolist() == [True] + [False] * (len(starts) - 1)


class Opened:
    """Counts which files of a folder this process opens."""

    def __init__(self):
        self.folder, self.names = None, []

    def __call__(self, event, arguments):
        if event != "open" or self.folder is None:
            return
        path, mode = str(arguments[0]), arguments[1]
        # ``open`` says its mode; the ``os.open`` beneath it would count a file once more.
        if mode is not None and path.startswith(str(self.folder)):
            self.names.append(Path(path).name)

    def during(self, folder, work):
        self.folder, self.names = folder, []
        try:
            work()
        finally:
            self.folder = None
        return [name for name in self.names if name.startswith("part-")]


@pytest.fixture(scope="module")
def opened():
    counter = Opened()
    sys.addaudithook(counter)  # cannot be taken away again, and does nothing while no folder is watched
    return counter


def test_the_head_is_read_from_the_last_part_alone(written, opened):
    log = AuditLog(written[5_000] / "log")
    last = log.parts()[-1]
    assert set(opened.during(log.path, lambda: log.head)) == {last.name}


def test_to_continue_its_chain_a_writer_opens_the_last_part_alone(written, opened):
    log = AuditLog(written[5_000] / "log")
    last = log.parts()[-1]

    def write_nothing():
        with log.writing() as writer:
            assert writer.head == log.head

    assert set(opened.during(log.path, write_nothing)) == {last.name}


def test_each_part_is_opened_once_to_find_where_a_run_stands(written, opened):
    log = AuditLog(written[5_000] / "log")
    run = load_run(log)
    found = opened.during(log.path, lambda: state_of(read_events(log).of(run.run_id)))
    assert set(found) == {part.name for part in log.parts()}
    # Once more only where a record is about the run: its starts and its ends.
    assert len(found) - len(set(found)) == 2 * run.n_sessions


@only_linux
def test_a_hundred_thousand_calls_take_less_than_half_the_memory_that_pandas_needs_for_their_log(
    tmp_path, prepare
):
    peaks = {}
    for n in (1_000, 100_000):
        folder = tmp_path / str(n)
        folder.mkdir()
        prepare(folder, n, folder)
        steps = ("where a run stands", "load_run", "apply_plan, all settled", "pandas.read_parquet(folder)")
        peaks[n] = {step: measured(step, folder)["growth_mb"] for step in steps}
    of_pandas = peaks[100_000].pop("pandas.read_parquet(folder)")
    # pandas holds all records at once; whoever reads part by part needs far less.
    for step, added in peaks[100_000].items():
        assert added - peaks[1_000][step] < of_pandas / 2, step


def test_the_parts_of_a_log_read_alike_together_and_one_by_one(written):
    log = AuditLog(written[500] / "log")
    together = pd.read_parquet(log.path).sort_values("seq").reset_index(drop=True)
    pd.testing.assert_frame_equal(log.records(), together, check_dtype=False)
