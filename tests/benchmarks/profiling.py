"""Which of the package's functions take the processor's time in a step, whichever thread they run on."""

from __future__ import annotations

import cProfile
import gc
import pstats
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.benchmarks.case import Step

__all__ = ["profile"]

_PACKAGE: Final = "sippet_reconcile/"


def profile(step: Step, repeats: int = 3) -> dict[str, float]:
    """Return for each function of the package its least processor time of a few runs, in ms.

    A package, such as ``reconciliation.comparing``, has the time of what is called from outside
    of it. The first run is not counted: it also fetches memory from the system.
    """
    step()
    runs = [_once(step) for _ in range(max(repeats, 1))]
    names = dict.fromkeys(name for run in runs for name in run)
    least = {name: min(run.get(name, 0.0) for run in runs) for name in names}
    return dict(sorted(least.items(), key=lambda item: -item[1]))


def _once(step: Step) -> dict[str, float]:
    profiles: list[cProfile.Profile] = []

    def begin(*_: object) -> None:
        # The first event of a new thread: from here on it has a profile of its own.
        profiles.append(cProfile.Profile(time.thread_time))
        profiles[-1].enable()

    gc.collect()
    threading.setprofile(begin)
    begin()
    try:
        step()
    finally:
        threading.setprofile(None)
        profiles[0].disable()
    for one in profiles:
        one.create_stats()
    return _by_function(profiles)


def _by_function(profiles: list[cProfile.Profile]) -> dict[str, float]:
    told = [one for one in profiles if one.stats]  # a profile of a thread that ran nothing is empty
    stats = pstats.Stats(*told).stats  # type: ignore[attr-defined]
    taken: dict[str, float] = {}
    for (file, _, name), (_, _, _, below, callers) in stats.items():
        place = _place(file)
        if not place or name.startswith("<"):
            continue
        taken[f"{place}.{name}"] = taken.get(f"{place}.{name}", 0.0) + below * 1000
        package = place.rpartition(".")[0]
        while package:
            outside = (
                times[3] for (caller, _, _), times in callers.items() if not _is_in(_place(caller), package)
            )
            taken[package] = taken.get(package, 0.0) + sum(outside) * 1000
            package = package.rpartition(".")[0]
    return taken


def _is_in(place: str, package: str) -> bool:
    return place.startswith(f"{package}.")


def _place(file: str) -> str:
    """Return the dotted place of a file within the package; empty where it is elsewhere."""
    _, found, rest = file.replace("\\", "/").rpartition(_PACKAGE)
    return rest.removesuffix(".py").replace("/", ".") if found else ""
