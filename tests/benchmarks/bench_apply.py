"""Time applying a plan against a bare loop of httpx, and weigh the audit log and the memory it takes.

Usage: python tests/benchmarks/bench_apply.py [--calls 5000] [--rounds 5] [--json OUT.json] [--only PART ...]

The API is a sandbox in a process of its own on this machine; each measurement is a fresh
process too, and the rounds go over all of them in turn, so that a busy machine slows them all.

speed   `apply_plan` at a rate that does not bind, audit on, against threads of `httpx.Client` that send
        the same requests: the same PATCHes, the same re-reads, over as many connections.
audit   The same with and without the log, unpaced and at 50 requests a second.
pace    The share of the asked rate that is reached from the first request to the last, at 200 ms latency.
memory  What a run of few and of many changes adds to a process that holds its plan.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import queue
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlencode

import httpx
import pandas as pd

from sippet_reconcile.api import Client
from sippet_reconcile.apply import apply_plan
from sippet_reconcile.apply.session import MAX_WORKERS
from sippet_reconcile.audit import AuditLog
from sippet_reconcile.errors import InputError
from sippet_reconcile.plan import Plan, plan_corrections
from sippet_reconcile.sandbox import Faults, Sandbox
from sippet_reconcile.schema import CALLS, conform

PARTS = ("speed", "audit", "pace", "memory")
RESULTS = Path(__file__).with_name("results") / "bench_apply.json"
UNBOUND = "10000/s"
IDS_PER_READ = 50
MEMORY_SIZES = (1_000, 10_000, 100_000)
MEDIA_TYPE = "application/vnd.api+json"


def make_calls(size: int, seconds: int) -> pd.DataFrame:
    """Return calls of a minute each that say they lasted so many seconds."""
    start = pd.Series(pd.Timestamp("2026-10-01T08:00:00Z") + pd.to_timedelta(range(size), unit="s"))
    numbers = range(size)
    texts = {
        "id": [f"00000000-0000-4000-8000-{n:012x}" for n in numbers],
        "call_uuid": [f"switch-{n}" for n in numbers],
        "direction": ["outbound"] * size,
        "from_number": ["+442079460001"] * size,
        "to_number": [f"+44207946{n % 1000:04d}" for n in numbers],
        "sip_username": ["1001"] * size,
        "status": ["completed"] * size,
        "call_source": ["sip"] * size,
        "conversation_id": [None] * size,
        "api_url": ["http://127.0.0.1"] * size,
    }
    frame = pd.DataFrame({name: pd.Series(values, dtype="str") for name, values in texts.items()}).assign(
        started_at=start.dt.as_unit("us"),
        ended_at=(start + pd.Timedelta(seconds=60)).dt.as_unit("us"),
        duration_seconds=pd.Series([seconds] * size, dtype="Int64"),
        fetched_at=pd.Series([pd.Timestamp("2026-11-01T00:00:00Z")] * size).dt.as_unit("us"),
    )
    return conform(frame[CALLS.names], CALLS)


def serve(size: int, latency_s: float) -> None:
    """Be the API until stdin ends."""
    with Sandbox(make_calls(size, 30), faults=Faults(latency_s=latency_s)) as sandbox:
        print(json.dumps({"url": sandbox.url, "token": sandbox.token}), flush=True)
        for line in sys.stdin:  # "clear" forgets the requests, so that the journal does not grow
            sandbox.clear_requests()
            print(line.strip(), flush=True)


@contextlib.contextmanager
def api(size: int, latency_s: float = 0.0) -> Iterator[dict[str, str]]:
    """Run the API in a process of its own."""
    command = [sys.executable, __file__, "--step", "serve", "--calls", str(size), "--latency", str(latency_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        yield json.loads(child.stdout.readline())
        child.stdin.close()


def save_plans(folder: Path, url: str, size: int) -> None:
    """Write the plan that turns 30 s into 60 s, and the one that turns them back."""
    for name, before, after in (("there", 30, 60), ("back", 60, 30)):
        calls = make_calls(size, before).assign(api_url=pd.Series([url] * size, dtype="str"))
        wanted = pd.DataFrame({"call_id": calls["id"], "duration_seconds": str(after)}, dtype="str")
        plan = plan_corrections(calls, wanted, reason="benchmark", max_share=None).approve(by="ana")
        plan.save(folder / f"{name}-{size}.parquet")


class Unwritten(AuditLog):
    """A log that takes everything and keeps nothing."""

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """Hand out a pen without ink."""
        self.path.mkdir(parents=True, exist_ok=True)
        yield self

    def append(self, entries: object) -> None:
        """Write nothing."""


def timed(work: Any) -> dict[str, float]:
    """Return wall and processor seconds of a piece of work."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - begin_cpu}


def ours(given: argparse.Namespace) -> dict[str, float]:
    """Apply a plan; without a log where that is asked for."""
    plan = Plan.load(given.plan)
    with tempfile.TemporaryDirectory() as folder, Client(given.url, token=given.token) as client:
        log = (Unwritten if given.no_log else AuditLog)(Path(folder) / "audit")

        def work() -> None:
            try:
                run = apply_plan(plan, client, log, rate=given.rate, progress=False)
            except InputError:
                assert given.no_log, "only an unwritten log holds no run"
            else:
                assert run.summary()["applied"] == len(plan), run

        before_mb = rss_mb()
        figures = timed(work)
        return figures | {
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "before_mb": before_mb,
        }


def rss_mb() -> float:
    """Return what the process holds of memory now, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def bare(given: argparse.Namespace) -> dict[str, float]:
    """Send the same requests by threads of httpx.Client that do nothing else."""
    plan = Plan.load(given.plan)
    headers = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {given.token}"}
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    wanted = list(zip(plan.changes["call_id"], plan.changes["after"], strict=True))
    for start in range(0, len(wanted), IDS_PER_READ):
        part = wanted[start : start + IDS_PER_READ]
        pairs = [("filter[id][in][]", call_id) for call_id, _ in part] + [("sort", "started_at,id")]
        requests.put(("GET", f"/api/calls?{urlencode(pairs)}", None))
        for call_id, after in part:
            data = {"id": call_id, "type": "Call", "attributes": {"duration_seconds": int(after)}}
            requests.put(("PATCH", f"/api/calls/{call_id}", json.dumps({"data": data}).encode()))
    limits = httpx.Limits(max_connections=MAX_WORKERS, max_keepalive_connections=MAX_WORKERS)
    failed: list[int] = []

    def work(client: httpx.Client) -> None:
        while True:
            try:
                method, target, body = requests.get_nowait()
            except queue.Empty:
                return
            extra = {"Content-Type": MEDIA_TYPE} if body else {}
            answer = client.request(method, given.url + target, content=body, headers=extra)
            if answer.status_code != httpx.codes.OK:
                failed.append(answer.status_code)

    def loop() -> None:
        with httpx.Client(headers=headers, limits=limits, timeout=60, trust_env=False) as client:
            threads = [threading.Thread(target=work, args=(client,)) for _ in range(MAX_WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    figures = timed(loop)
    assert not failed, failed
    return figures


def step(
    name: str, server: dict[str, str], plan: Path, rate: str = UNBOUND, *, no_log: bool = False
) -> dict[str, Any]:
    """Measure one step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, "--url", server["url"], "--token", server["token"]]
    command += ["--plan", str(plan), "--rate", rate] + (["--no-log"] if no_log else [])
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure_speed(folder: Path, calls: int, rounds: int) -> dict[str, Any]:
    """Apply there, go back by the bare loop, so many times."""
    n_requests = calls + -(-calls // IDS_PER_READ)
    measured: list[dict[str, Any]] = []
    with api(calls) as server:
        save_plans(folder, server["url"], calls)
        for _ in range(rounds):
            there = step("ours", server, folder / f"there-{calls}.parquet")
            back = step("bare", server, folder / f"back-{calls}.parquet")
            measured.append({"ours": there, "bare": back, "ratio": back["wall_s"] / there["wall_s"]})
    for name in ("ours", "bare"):
        wall = median(figures[name]["wall_s"] for figures in measured)
        best = min(figures[name]["wall_s"] for figures in measured)
        cpu = median(figures[name]["cpu_s"] for figures in measured)
        print(
            f"{name:6} median {wall:6.2f} s  best {best:6.2f} s  cpu {cpu:6.2f} s  {n_requests / wall:7.0f} requests/s"
        )
    ratios = sorted(figures["ratio"] for figures in measured)
    print(
        f"throughput of apply_plan: {median(ratios):.2f} of the bare loop's (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f}); goal 0.80"
    )
    return {"calls": calls, "rounds": measured, "ratio": median(ratios)}


def measure_audit(folder: Path, calls: int, rounds: int) -> dict[str, Any]:
    """Apply with and without the log in turn, there and back."""
    table: dict[str, Any] = {}
    for rate, size in ((UNBOUND, calls), ("50/s", 500)):
        figures: dict[bool, list[dict[str, float]]] = {False: [], True: []}
        with api(size, 0.0 if rate == UNBOUND else 0.05) as server:
            save_plans(folder, server["url"], size)
            for number in range(rounds):
                order = (
                    (("there", False), ("back", True)) if number % 2 else (("there", True), ("back", False))
                )
                for way, no_log in order:
                    plan = folder / f"{way}-{size}.parquet"
                    figures[no_log].append(step("ours", server, plan, rate, no_log=no_log))
        with_log, without = (median(f["wall_s"] for f in figures[no_log]) for no_log in (False, True))
        cpu_with, cpu_without = (median(f["cpu_s"] for f in figures[no_log]) for no_log in (False, True))
        share = with_log / without - 1
        print(
            f"audit at {rate:8} with {with_log:6.2f} s (cpu {cpu_with:.2f})  without {without:6.2f} s (cpu {cpu_without:.2f})  "
            f"adds {share:+.1%} of the time" + ("; goal below 5 %" if rate == "50/s" else "")
        )
        table[rate] = {"with": figures[False], "without": figures[True], "share": share}
    return table


def paced(given: argparse.Namespace) -> dict[str, float]:
    """Apply a plan at a rate, and note when each request left."""
    plan, left = Plan.load(given.plan), []
    limits = httpx.Limits(max_connections=MAX_WORKERS, max_keepalive_connections=MAX_WORKERS)

    class Tap(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            left.append(time.monotonic())
            return super().handle_request(request)

    with tempfile.TemporaryDirectory() as folder, Tap(limits=limits) as tap:
        client = Client(given.url, token=given.token, transport=tap)
        apply_plan(plan, client, Path(folder) / "audit", rate=given.rate, progress=False)
    left.sort()
    rate = float(given.rate.partition("/")[0])
    most = max(sum(start <= at < start + 1 for at in left) for start in left)
    return {
        "reached": (len(left) - 1) / (left[-1] - left[0]) / rate,
        "most_in_a_second": most,
        "requests": len(left),
    }


def measure_pace(folder: Path, seconds: float) -> dict[str, Any]:
    """Reach the rate at 200 ms latency."""
    table = {}
    for rate in (5, 20, 50):
        size = int(rate * seconds)
        with api(size, 0.2) as server:
            save_plans(folder, server["url"], size)
            figures = step("paced", server, folder / f"there-{size}.parquet", f"{rate}/s")
        print(
            f"pace {rate:3}/s at 200 ms: {figures['reached']:.4f} of the rate over {figures['requests']} requests, "
            f"at most {figures['most_in_a_second']} in any second; goal 0.98 and {rate}"
        )
        table[rate] = figures
    return table


def measure_memory(folder: Path, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Apply plans of several sizes and see what the process grew by."""
    table = {}
    for size in sizes:
        with api(size) as server:
            save_plans(folder, server["url"], size)
            figures = step("ours", server, folder / f"there-{size}.parquet")
        grown = figures["peak_mb"] - figures["before_mb"]
        print(
            f"{size:7,} changes: {figures['before_mb']:6.0f} MB with the plan, peak {figures['peak_mb']:6.0f} MB, grown by {grown:5.0f} MB, {figures['wall_s']:.0f} s"
        )
        table[size] = figures | {"grown_mb": grown}
    return table


def main(given: argparse.Namespace) -> None:
    """Measure, print the tables and write them down."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts: dict[str, Any] = {
            "speed": lambda: measure_speed(folder, given.calls, given.rounds),
            "audit": lambda: measure_audit(folder, given.calls, given.rounds),
            "pace": lambda: measure_pace(folder, given.seconds),
            "memory": lambda: measure_memory(folder, MEMORY_SIZES),
        }
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        table = {part: parts[part]() for part in given.only}
    packages = ("pandas", "pyarrow", "httpx", "uvicorn", "sippet-reconcile")
    record = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg(),
        "versions": {package: metadata.version(package) for package in packages},
        "table": table,
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(record, indent=2), encoding="utf-8")
    print(f"written to {given.json}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each pace is measured")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument(
        "--step", choices=("serve", "ours", "bare", "paced"), help="one step only, as each round does"
    )
    for option in ("--url", "--token", "--plan", "--rate"):
        parser.add_argument(option)
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--no-log", action="store_true")
    asked = parser.parse_args()
    if asked.step == "serve":
        serve(asked.calls, asked.latency)
    elif asked.step:
        print(json.dumps({"ours": ours, "bare": bare, "paced": paced}[asked.step](asked)))
    else:
        main(asked)
