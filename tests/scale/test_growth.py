"""The process that asks grows by a bounded number of bytes a call, whatever is said of the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.slow

MOST_BYTES: Final = 400
"""A call, and twice of what was measured."""

SIZES: Final = (200_000, 600_000)

GROWING: Final = """
import sys, threading, time

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.config import set as set_config
from distributed import Client, LocalCluster

import sippet_reconcile as sr
from sippet_reconcile import scale
from sippet_reconcile.schema import CALLS, LEGS

ROWS = 50_000


def legs_of(part, rows=ROWS):
    rng = np.random.default_rng(part)
    ids = [f"{part:08x}-0000-4000-8000-{n:012x}" for n in range(rows)]
    ring, talk = rng.integers(3, 30, rows), rng.integers(1, 400, rows)
    start = pd.Timestamp("2026-10-01T00:00:00Z") + pd.to_timedelta(rng.integers(0, 30 * 86400, rows), unit="s")
    number = [f"+4420794601{n:02d}" for n in rng.integers(0, 100, rows)]
    known = dict(
        leg_id=ids, call_key=ids, direction="inbound", from_number=number, to_number=number[::-1],
        from_e164=number, to_e164=number[::-1], sip_username="1001", status="completed", is_answered=True,
        started_at=start.as_unit("us"), ended_at=(start + pd.to_timedelta(ring + talk, unit="s")).as_unit("us"),
        total_s=(ring + talk).astype(float), billable_s=talk.astype(float), source_file=f"{part % 3}.csv",
        source_row=np.arange(rows), record_hash=np.arange(rows) + part * rows + 1,
    )
    frame = LEGS.empty().reindex(range(rows))
    return frame.assign(**{n: pd.Series(v, index=frame.index).astype(frame[n].dtype) for n, v in known.items()})


def calls_of(part, rows=ROWS):
    legs = legs_of(part, rows)
    n = np.arange(rows)
    same = ("direction", "from_number", "to_number", "sip_username", "status", "started_at")
    known = {name: legs[name] for name in same}
    known |= dict(
        id=[f"{k:012x}-{part:08x}" for k in n], call_uuid=legs["call_key"].mask(n % 20 == 3), call_source="sip",
        ended_at=legs["ended_at"].mask(n % 50 == 7),
        duration_seconds=legs["billable_s"] + np.where(n % 50 == 9, 60, 0),
        api_url="https://api.example", fetched_at=pd.Timestamp("2026-12-01T00:00:00Z"),
    )
    frame = CALLS.empty().reindex(range(rows))
    return frame.assign(**{n: pd.Series(v, index=frame.index).astype(frame[n].dtype) for n, v in known.items()})


def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096


if __name__ == "__main__":
    with (
        set_config({"dataframe.convert-string": False}),
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster),
    ):
        rules = sr.Rules(duration="billable")
        scale.reconcile(legs_of(0, 2000), calls_of(0, 2000), rules=rules, progress=False)
        n_parts = int(sys.argv[1]) // ROWS
        legs = dd.from_map(legs_of, range(n_parts), meta=legs_of(0, 1).iloc[:0])
        calls = dd.from_map(calls_of, range(n_parts), meta=calls_of(0, 1).iloc[:0])
        before, most, stop = resident(), [0], threading.Event()

        def watch():
            while not stop.is_set():
                most[0] = max(most[0], resident() - before)
                time.sleep(0.005)

        watching = threading.Thread(target=watch)
        watching.start()
        rec = scale.reconcile(legs, calls, rules=rules, progress=False)
        stop.set()
        watching.join()
        assert rec.counts["matched"] > 0.9 * n_parts * ROWS, rec.counts
        print("grew by", most[0])
"""


def growth(script: Path, size: int) -> int:
    # What is let go goes back to the system, as it does of itself where arrays are large.
    small = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    ended = subprocess.run(
        [sys.executable, str(script), str(size)],
        env={**os.environ, **small, "ARROW_DEFAULT_MEMORY_POOL": "system"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]

    return int(ended.stdout.rpartition("grew by")[2])


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as Linux tells it")
def test_more_calls_need_a_bounded_number_of_bytes_each(tmp_path: Path) -> None:
    script = tmp_path / "growing.py"
    script.write_text(GROWING, encoding="utf-8")
    least, most = (growth(script, size) for size in SIZES)
    grown = (most - least) / (SIZES[1] - SIZES[0])
    assert grown < MOST_BYTES
