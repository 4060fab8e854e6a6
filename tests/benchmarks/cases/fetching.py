"""How long does fetching a month of calls take, beside merely downloading and parsing the same pages?

The API is the package's sandbox, in a process of its own on this machine. What
`fetch_calls` asks for is noted once; the others ask for the same, in the same order, one
page after the other or by as many threads, parse the answers and keep of each call its id and its seconds.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.serving import served, where

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.case import Found, Step

__all__ = ["GROUP"]

OURS, THREADS, ALONE = (
    "fetch_calls",
    "httpx and json.loads, four threads",
    "httpx and json.loads, one after the other",
)
MONTH, ZONE = "2026-10", "Europe/London"
N_THREADS = 4
TYPE = "application/vnd.api+json"


def _prepare(folder: Path, size: int, cache: Path) -> None:
    from tests.benchmarks.generate import month_folder

    (folder / "month").symlink_to(month_folder(cache, size), target_is_directory=True)


@contextmanager
def _served(folder: Path, _size: int) -> Iterator[None]:
    with served(folder / "month" / "calls.parquet", folder) as server:
        _ours(folder)()
        pages = [target for target in server.asked() if target.startswith("/api/calls")]
        (folder / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
        yield


def _ours(folder: Path) -> Step:
    from sippet_reconcile.api import Client

    place = where(folder)

    def step() -> Any:
        with Client(place["url"], token=place["token"]) as client:
            return client.fetch_calls(MONTH, timezone=ZONE, progress=False)

    return step


def _bare(n_threads: int) -> Any:
    def load(folder: Path) -> Step:
        from concurrent.futures import ThreadPoolExecutor

        import httpx

        place = where(folder)
        pages = json.loads((folder / "pages.json").read_text(encoding="utf-8"))
        headers = {"Accept": TYPE, "Authorization": f"Bearer {place['token']}"}

        def step() -> Any:
            with (
                httpx.Client(base_url=place["url"], headers=headers, timeout=60, trust_env=False) as client,
                ThreadPoolExecutor(n_threads) as pool,
            ):

                def seconds(target: str) -> dict[str, int]:
                    page = json.loads(client.get(target).raise_for_status().content)["data"]
                    return {one["id"]: one["attributes"]["duration_seconds"] for one in page}

                return list(pool.map(seconds, pages))

        return step

    return load


def _of_frame(calls: Any) -> dict[str, int]:
    return {"calls": len(calls), "seconds": int(calls["duration_seconds"].sum())}


def _of_pages(pages: list[dict[str, int]]) -> dict[str, int]:
    # Windows share their edges, so a call may be on two pages.
    every = {call_id: seconds for page in pages for call_id, seconds in page.items()}
    return {"calls": len(every), "seconds": sum(every.values())}


def _wrong(folder: Path, found: Found) -> list[str]:
    from pyarrow import compute, parquet

    seconds = parquet.read_table(folder / "month" / "calls.parquet", columns=["duration_seconds"])[0]
    right = {"calls": len(seconds), "seconds": compute.sum(seconds).as_py()}
    return [
        f"{name} brought {dict(told)} instead of {right}"
        for name, told in found.items()
        if dict(told) != right
    ]


GROUP = Group(
    "fetching",
    "Fetching a month of calls from the sandbox in another process.",
    (
        Case(ALONE, _bare(1), _of_pages),
        Case(THREADS, _bare(N_THREADS), _of_pages),
        Case(OURS, _ours, _of_frame),
    ),
    THREADS,
    _prepare,
    size=100_000,
    wrong=_wrong,
    targets=(
        Target(f"fetch_calls, times {THREADS}", f"fetching/{OURS}", 1.5, f"fetching/{THREADS}"),
        Target(f"fetch_calls, times {ALONE}", f"fetching/{OURS}", 1.5, f"fetching/{ALONE}"),
    ),
    around=_served,
    unit="calls",
)
