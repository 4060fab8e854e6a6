"""Is the rate that is asked for reached, and never exceeded, and what does the audit log cost at it?

Every answer takes 200 ms. The share is that of the asked rate between the first request and
the last; the most is that of any second.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import Case, Group, Target
from tests.benchmarks.cases.apply import applies, prepare, serving, settled, wrong_counts
from tests.benchmarks.planned import fitting_plan, n_corrected
from tests.benchmarks.serving import where

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.benchmarks.case import Step

__all__ = ["GROUP"]

RATES = (5, 20, 50)
LATENCY_S = 0.2


def _paced(rate: int) -> Callable[[Path], Step]:
    def load(folder: Path) -> Step:
        import tempfile

        import httpx

        from sippet_reconcile.api import Client
        from sippet_reconcile.apply import apply_plan
        from sippet_reconcile.apply.session import MAX_WORKERS

        left: list[float] = []
        place = where(folder)
        plan = fitting_plan(folder, place)
        limits = httpx.Limits(max_connections=MAX_WORKERS, max_keepalive_connections=MAX_WORKERS)

        class Tap(httpx.HTTPTransport):
            """Notes when each request left."""

            def handle_request(self, request: httpx.Request) -> httpx.Response:
                left.append(time.monotonic())
                return super().handle_request(request)

        def step() -> tuple[Callable[[], int], list[float]]:
            left.clear()
            with tempfile.TemporaryDirectory() as name, Tap(limits=limits) as tap:
                client = Client(place["url"], token=place["token"], transport=tap)
                apply_plan(plan, client, Path(name) / "audit", rate=f"{rate}/s", progress=False)
            return lambda: n_corrected(plan, place), sorted(left)

        return step

    return load


def _reached(rate: int) -> Callable[[Any], dict[str, float]]:
    def figures(result: Any) -> dict[str, float]:
        _, left = result
        share = (len(left) - 1) / (left[-1] - left[0]) / rate
        most = max(sum(start <= at < start + 1 for at in left) for start in left)
        return {"share": share, "most_in_a_second": most, "requests": len(left)}

    return figures


def _found(result: Any) -> dict[str, int]:
    return settled(result[0])


def _targets(rate: int) -> tuple[Target, ...]:
    of = f"pace/{rate}/s"
    return (
        Target(f"{rate}/s, share of the rate", of, 0.98, measure="share", least=True),
        Target(f"{rate}/s, requests in any second", of, rate, measure="most_in_a_second"),
    )


GROUP = Group(
    "pace",
    "Applying a plan at a rate, where every answer takes 200 ms.",
    (
        *(Case(f"{rate}/s", _paced(rate), _found, _reached(rate)) for rate in RATES),
        Case("50/s, logged", applies("50/s"), settled),
        Case("50/s, no log", applies("50/s", logged=False), settled),
    ),
    "50/s, no log",
    prepare,
    size=300,
    wrong=wrong_counts,
    targets=(
        *(target for rate in RATES for target in _targets(rate)),
        Target(
            "50/s, logged, times the same without the log", "pace/50/s, logged", 1.05, "pace/50/s, no log"
        ),
    ),
    around=serving(LATENCY_S),
    unit="calls",
)
