"""On a cluster of processes the answer is that of one machine, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask.config import set as set_config
from distributed import Client, LocalCluster

import sippet_reconcile as sr
from sippet_reconcile import scale
from sippet_reconcile.demo import sample_data
from sippet_reconcile.scale import by_numbers
from sippet_reconcile.schema import CALLS, LEGS

pytestmark = [
    pytest.mark.slow,
    # A cluster leaves sockets and loops to the garbage collector, above all one whose worker was killed.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LOOPBACK = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "n_workers": 2, "threads_per_worker": 1}
_OF_WORKERS = "distributed.nanny.pre-spawn-environ"
LITTLE_MEMORY = {
    # A gibibyte and a tenth are the defaults, more than such workers have.
    f"{_OF_WORKERS}.DASK_DISTRIBUTED__P2P__COMM__BUFFER": "16 MiB",
    f"{_OF_WORKERS}.DASK_DISTRIBUTED__P2P__STORAGE__BUFFER": "16 MiB",
    # What is let go goes back to the system, instead of counting on.
    f"{_OF_WORKERS}.ARROW_DEFAULT_MEMORY_POOL": "system",
    f"{_OF_WORKERS}.MALLOC_TRIM_THRESHOLD_": 0,
    f"{_OF_WORKERS}.MALLOC_ARENA_MAX": 2,
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Connect with a scheduler by its address, as with that of any cluster."""
    with LocalCluster(processes=True, **LOOPBACK) as cluster, Client(cluster.scheduler_address) as client:
        yield client


@pytest.fixture
def own_client() -> Iterator[Client]:
    """Connect with a cluster that nobody else needs any more."""
    with LocalCluster(processes=True, **LOOPBACK) as cluster, Client(cluster) as client:
        yield client


@pytest.mark.parametrize("seed", range(3))
def test_two_processes_give_the_answer_of_one(
    client: Client, world: Any, in_parts: Any, same: Any, seed: int
) -> None:
    assert len(set(client.run(os.getpid).values()) | {os.getpid()}) == 3
    legs, calls = world(seed, 300)
    spread = scale.reconcile(in_parts(legs, [90, 200]), in_parts(calls, [40]), npartitions=4, progress=False)
    same(sr.reconcile(legs, calls, progress=False), spread)


@pytest.mark.parametrize("seed", range(3))
def test_two_processes_match_by_numbers_what_one_matches(  # noqa: PLR0917 - fixtures
    client: Client, world_of_numbers: Any, in_parts: Any, same: Any, monkeypatch: Any, seed: int
) -> None:
    legs, calls = world_of_numbers(seed, 3_000)
    nothing = pd.Series([None] * 3_000, dtype="str")
    legs, calls = legs.assign(call_key=nothing), calls.assign(call_uuid=nothing)
    monkeypatch.setattr(by_numbers, "ROWS_OF_PART", 500)
    spread = scale.reconcile(
        in_parts(legs, [900, 2000]), in_parts(calls, [400]), npartitions=8, progress=False
    )
    same(sr.reconcile(legs, calls, progress=False), spread)
    assert client.who_has()


def test_two_processes_read_what_one_reads(client: Client, same: Any) -> None:
    paths = [sample_data() / "freeswitch" / "Master.csv", sample_data() / "twilio" / "calls.csv"]
    options = {"timezone": "Europe/London", "country": "GB", "progress": False}
    whole = pd.DataFrame(sr.read_cdr(paths, **options))
    legs = scale.read_cdr(paths, blocksize=60_000, **options)
    assert legs.npartitions > 5
    pd.testing.assert_frame_equal(legs.compute().reset_index(drop=True), whole)
    calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    rec = scale.reconcile(legs, calls, progress=False)
    same(sr.reconcile(whole, calls, progress=False), rec)
    assert client.who_has()  # the legs stayed where they are


def test_an_error_in_a_worker_is_raised_here_as_it_is(
    client: Client, world: Any, in_parts: Any, tmp_path: Path
) -> None:
    path = tmp_path / "flowers.csv"
    path.write_text("name,colour\nrose,red\n", encoding="utf-8")
    with pytest.raises(sr.CdrFormatError, match="no known format fits") as caught:
        scale.read_cdr(path, progress=False)
    assert (caught.value.path, caught.value.line) == (path, 1)
    legs, calls = world(5)
    again = pd.concat([calls, calls.tail(1).assign(status="failed")], ignore_index=True)
    with pytest.raises(sr.SchemaError, match="handed in twice") as refused:
        scale.reconcile(legs, in_parts(again, [10]), progress=False)
    assert refused.value.failures["id"].tolist() == [calls["id"].iloc[-1]]
    assert client.scheduler_info()["workers"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_what_a_killed_worker_held_is_made_anew(
    own_client: Client, world: Any, in_parts: Any, same: Any, step: int
) -> None:
    legs, calls = world(7, 300)
    killed: list[int] = []

    def kill(done: int, _: int, __: str) -> None:
        if done == step:
            killed.append(sorted(own_client.run(os.getpid).items())[0][1])
            os.kill(killed[0], signal.SIGKILL)

    spread = scale.reconcile(in_parts(legs, [90, 200]), in_parts(calls, [40]), npartitions=4, progress=kill)
    same(sr.reconcile(legs, calls, progress=False), spread)
    assert killed
    assert killed[0] not in own_client.run(os.getpid).values()


ROWS, NOTE, PARTS, LIMIT_MIB = 4_000, 6_000, 64, 720


def legs_of(part: int) -> pd.DataFrame:
    """Return legs with a long note each, as an export has that keeps the whole signalling."""
    ids = [f"{part:08x}-0000-4000-8000-{n:012x}" for n in range(ROWS)]
    talk = np.random.default_rng(part).integers(1, 300, ROWS)
    start = pd.Timestamp("2026-10-01T00:00:00Z") + pd.to_timedelta(np.arange(ROWS) * 60 + part, unit="s")
    known = {
        "call_key": ids,
        "leg_id": ids,
        "status": "completed",
        "is_answered": True,
        "started_at": start.as_unit("us"),
        "ended_at": (start + pd.to_timedelta(talk, unit="s")).as_unit("us"),
        "total_s": talk.astype(float),
        "billable_s": talk.astype(float),
        "source_file": f"{part}.csv",
        "source_row": np.arange(ROWS) + 1,
        "record_hash": np.arange(ROWS) + part * ROWS + 1,
    }
    frame = LEGS.empty().reindex(range(ROWS))
    for name, values in known.items():
        frame[name] = pd.Series(values, index=frame.index, dtype=frame[name].dtype)
    notes = pd.Series([f"{part:04d}{n:06d}" * (NOTE // 10) for n in range(ROWS)], dtype="str")
    return frame.assign(x_note=notes)


def calls_of(part: int) -> pd.DataFrame:
    """Return their calls in another order; of every tenth the API counts a minute too much."""
    legs = legs_of(part)
    known = {
        "id": [f"{n:012x}-{part:08x}" for n in range(ROWS)],
        "call_uuid": legs["call_key"],
        "status": "completed",
        "call_source": "sip",
        "started_at": legs["started_at"],
        "ended_at": legs["ended_at"],
        "duration_seconds": legs["billable_s"] + np.where(np.arange(ROWS) % 10 == 3, 60, 0),
        "api_url": "https://api.example",
        "fetched_at": pd.Timestamp("2026-12-01T00:00:00Z"),
    }
    frame = CALLS.empty().reindex(range(ROWS))
    for name, values in known.items():
        frame[name] = pd.Series(values, index=frame.index).astype(frame[name].dtype)
    return frame.iloc[::-1]


def test_what_is_larger_than_the_memory_of_all_workers_is_reconciled(tmp_path: Path) -> None:
    size = PARTS * sum(int(of(0).memory_usage(deep=True).sum()) for of in (legs_of, calls_of))
    assert size > 2 * LIMIT_MIB << 20
    with (
        set_config({"dataframe.convert-string": False, **LITTLE_MEMORY}),
        LocalCluster(
            memory_limit=f"{LIMIT_MIB}MiB", local_directory=tmp_path, processes=True, **LOOPBACK
        ) as cluster,
        Client(cluster) as client,
    ):
        legs = dd.from_map(legs_of, range(PARTS), meta=legs_of(0).iloc[:0])
        calls = dd.from_map(calls_of, range(PARTS), meta=calls_of(0).iloc[:0])
        rec = scale.reconcile(
            legs, calls, rules=sr.Rules(duration="billable"), npartitions=PARTS, progress=False
        )
        spilled = client.run(lambda dask_worker: dask_worker.data.spilled_total.disk)
        assert rec.counts["matched"] == PARTS * ROWS
        wrong = rec.discrepancies
        assert len(wrong) == PARTS * ROWS // 10
        assert wrong["field"].eq("duration_seconds").all()
        assert wrong["delta_s"].eq(-60).all()
        assert sum(spilled.values()) > size // 4
        plan = sr.build_plan(rec, max_share=1)
        assert len(plan) == len(wrong)
        of_file = plan.calls["sources"].str.partition(".csv:")[0].astype("int64")
        assert of_file.tolist() == [int(call_id[-8:], 16) for call_id in plan.calls["call_id"]]
