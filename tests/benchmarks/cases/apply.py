"""How fast is a plan applied, beside threads of httpx that send the same requests and do nothing else?

The rate does not bind, the audit log is on: the same PATCHes, the same re-reads, over as many
connections. With 1,000, 10,000 and 100,000 calls the growth of memory shows what a change takes.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.planned import MEDIA_TYPE, fitting_plan, n_corrected, save_plans, write_calls
from tests.benchmarks.serving import served, where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP", "applies", "prepare", "serving", "settled", "wrong_counts"]

OURS, UNLOGGED, BARE = "apply_plan", "apply_plan, no log", "httpx, threads"
UNBOUND = "10000/s"
IDS_PER_READ = 50


def prepare(folder: Path, size: int, _cache: Path) -> None:
    """Write the calls of the API, and how many they are."""
    write_calls(folder, size)
    (folder / "size.json").write_text(json.dumps(size), encoding="utf-8")


def serving(latency_s: float = 0.0) -> Callable[[Path, int], contextlib.AbstractContextManager[object]]:
    """Return what runs the API and writes the plans for it."""

    @contextlib.contextmanager
    def around(folder: Path, size: int) -> Iterator[None]:
        with served(folder / "calls.parquet", folder, latency_s) as server:
            save_plans(folder, server.place["url"], size)
            yield

    return around


def applies(rate: str = UNBOUND, *, logged: bool = True) -> Callable[[Path], Step]:
    """Return a step that applies the plan that fits; its result counts the calls that are corrected now."""

    def load(folder: Path) -> Step:
        from sippet_reconcile.api import Client
        from sippet_reconcile.apply import apply_plan
        from sippet_reconcile.audit import AuditLog
        from sippet_reconcile.errors import InputError

        class Unwritten(AuditLog):
            """A log that takes everything and keeps nothing."""

            @contextlib.contextmanager
            def writing(self) -> Iterator[Any]:
                """Hand out a pen without ink."""
                self.path.mkdir(parents=True, exist_ok=True)
                yield self

            def append(self, entries: object) -> None:
                """Write nothing."""

        place = where(folder)
        plan = fitting_plan(folder, place)

        def step() -> Callable[[], int]:
            with tempfile.TemporaryDirectory() as name, Client(place["url"], token=place["token"]) as client:
                log = (AuditLog if logged else Unwritten)(Path(name) / "audit")
                try:
                    apply_plan(plan, client, log, rate=rate, progress=False)
                except InputError:
                    if logged:
                        raise  # only an unwritten log holds no run
            return lambda: n_corrected(plan, place)

        return step

    return load


def _bare(folder: Path) -> Step:
    import queue
    import threading
    from urllib.parse import urlencode

    import httpx

    from sippet_reconcile.apply.session import MAX_WORKERS

    place = where(folder)
    plan = fitting_plan(folder, place)
    headers = {"Accept": MEDIA_TYPE, "Authorization": f"Bearer {place['token']}"}
    wanted = list(zip(plan.changes["call_id"], plan.changes["after"], strict=True))
    limits = httpx.Limits(max_connections=MAX_WORKERS, max_keepalive_connections=MAX_WORKERS)

    def step() -> Callable[[], int]:
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for start in range(0, len(wanted), IDS_PER_READ):
            part = wanted[start : start + IDS_PER_READ]
            pairs = [("filter[id][in][]", call_id) for call_id, _ in part] + [("sort", "started_at,id")]
            requests.put(("GET", f"/api/calls?{urlencode(pairs)}", None))
            for call_id, after in part:
                data = {"id": call_id, "type": "Call", "attributes": {"duration_seconds": int(after)}}
                requests.put(("PATCH", f"/api/calls/{call_id}", json.dumps({"data": data}).encode()))

        def work(client: httpx.Client) -> None:
            while True:
                try:
                    method, target, body = requests.get_nowait()
                except queue.Empty:
                    return
                extra = {"Content-Type": MEDIA_TYPE} if body else {}
                client.request(method, place["url"] + target, content=body, headers=extra).raise_for_status()

        with httpx.Client(headers=headers, limits=limits, timeout=60, trust_env=False) as client:
            threads = [threading.Thread(target=work, args=(client,)) for _ in range(MAX_WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return lambda: n_corrected(plan, place)

    return step


def settled(count: Callable[[], int]) -> dict[str, int]:
    """Return what applying came to, as the API has it."""
    return {"corrected": count()}


def wrong_counts(folder: Path, found: Found) -> list[str]:
    """Say who did not correct every call."""
    size = json.loads((folder / "size.json").read_text(encoding="utf-8"))
    return [
        f"{name} corrected {told['corrected']} of {size}"
        for name, told in found.items()
        if told["corrected"] != size
    ]


GROUP = Group(
    "apply",
    "Applying a plan at a rate that does not bind, to the sandbox in another process.",
    (
        Case(BARE, _bare, settled),
        Case(OURS, applies(), settled),
        Case(UNLOGGED, applies(logged=False), settled),
    ),
    BARE,
    prepare,
    size=5_000,
    wrong=wrong_counts,
    targets=(Target(f"{OURS}, times {BARE}", f"apply/{OURS}", 1.25, f"apply/{BARE}"),),
    around=serving(),
    unit="calls",
)
