"""Run one case in this process, which was started for it, and print what it took.

Usage: python -m tests.benchmarks.worker GROUP CASE FOLDER [REPEATS] [--profile]

The inputs are in memory before the clock starts. Time is that of the median repeat; growth
of memory is that of the first: the most that the process held while the step ran, over what
it held before. The last line of the output is JSON.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tests.benchmarks.case import load_group

if TYPE_CHECKING:
    from tests.benchmarks.case import Case

__all__ = ["measure", "peak_mb", "resident_mb"]

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def _kernel_says(what: str) -> float | None:
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:")), None)


def peak_mb() -> float:
    """Return the most memory that this process has held since it began, or since `reset_peak`.

    ``ru_maxrss`` includes what the process held that started this one, hence only where
    there is nothing better.
    """
    said = _kernel_says("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 if said is None else said


def resident_mb() -> float:
    """Return what this process holds of memory now; its peak so far where the system does not say."""
    said = _kernel_says("VmRSS")
    return peak_mb() if said is None else said


def give_back() -> None:
    """Give memory that is free, and kept for reuse, back to the system: what is reused would not show as growth."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)


def reset_peak() -> None:
    """Let the peak of memory begin anew, where the system can (Linux)."""
    if _CLEAR.exists():
        _CLEAR.write_text("5", encoding="ascii")


def processor_s() -> float:
    """Return the processor time of this process, all its threads, and the processes it waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(case: Case, folder: Path, repeats: int = 1) -> dict[str, Any]:
    """Load a case, run it, and return its figures and what it found."""
    step = case.load(folder)
    give_back()
    whole_peak, before = peak_mb(), resident_mb()
    reset_peak()
    walls, processor = [], []
    growth, result = 0.0, None
    for number in range(repeats):
        result = None  # or two results would be held at once
        began, cpu = time.perf_counter(), processor_s()
        result = step()
        walls.append(time.perf_counter() - began)
        processor.append(processor_s() - cpu)
        if not number:
            growth = peak_mb() - before
    return {
        "wall_s": median(walls),
        "cpu_s": median(processor),
        "peak_mb": max(whole_peak, peak_mb()),
        "growth_mb": growth,
        "found": case.found(result),
        "figures": case.figures(result),
    }


def main() -> None:
    """Measure, or profile, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group")
    parser.add_argument("case")
    parser.add_argument("folder", type=Path)
    parser.add_argument("repeats", type=int, nargs="?", default=1)
    parser.add_argument("--profile", action="store_true")
    asked = parser.parse_args()
    case = load_group(asked.group).case(asked.case)
    if asked.profile:
        from tests.benchmarks.profiling import profile

        print(json.dumps(profile(case.load(asked.folder), asked.repeats)))
    else:
        print(json.dumps(measure(case, asked.folder, asked.repeats)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
