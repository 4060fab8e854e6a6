"""Run tasks in a few threads while the main thread stays free for Ctrl-C.

Input are tasks, output is that they ran, or that the run was stopped before they
began. What a task finds out it keeps itself; nothing is handed over through the main
thread, which may be interrupted at any point.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sippet_reconcile.apply.stopping import End, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["GRACE_S", "Task", "Workers"]

GRACE_S: Final = 10.0
"""How long requests in flight may take to finish once the run is stopped."""

_TICK_S: Final = 0.1


@dataclass(eq=False)
class Task:
    """A piece of work for one thread."""

    work: Callable[[], None]
    is_started: bool = False
    is_done: bool = False
    error: BaseException | None = None


class Workers:
    """Threads that take tasks until the run is stopped; a context manager."""

    def __init__(self, stop: StopSign) -> None:
        self._stop = stop
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._current: Sequence[Task] = ()
        self._n = 0

    @property
    def n(self) -> int:
        """How many threads there are."""
        return self._n

    def grow(self, n: int) -> None:
        """Have at least `n` threads."""
        while self._n < n:
            # Daemons: a request that hangs beyond the grace must not keep the interpreter from ending.
            threading.Thread(target=self._serve, name=f"sippet-apply-{self._n}", daemon=True).start()
            self._n += 1

    def close(self) -> None:
        """Let the threads go."""
        for _ in range(self._n):
            self._tasks.put(None)
        self._n = 0

    def run(self, tasks: Sequence[Task], tick: Callable[[], None]) -> None:
        """Run tasks to their end, or until the run is stopped and what is under way is done.

        `tick` is called in the calling thread, several times a second.

        Raises
        ------
        BaseException
            What the first failed task raised.
        """
        self._current = tasks
        for task in tasks:
            self._tasks.put(task)
        left = len(tasks)
        ticked_at = time.monotonic()
        while left and not self._stop.is_set:
            try:
                self._finished.get(timeout=_TICK_S)
            except queue.Empty:
                pass
            else:
                left -= 1
            # Not for each task that ends: a tick may look at all of them.
            if time.monotonic() - ticked_at >= _TICK_S:
                tick()
                ticked_at = time.monotonic()
        if self._stop.is_set:
            self.drain(GRACE_S)
        for task in tasks:
            if task.error is not None:
                raise task.error

    def drain(self, seconds: float) -> None:
        """Wait for what is under way, so many seconds at most; the run must have been stopped before."""
        until = time.monotonic() + seconds
        while any(task.is_started and not task.is_done for task in self._current):
            if time.monotonic() >= until:
                return
            time.sleep(0.01)

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            # Marked before the sign is looked at: whoever stops the run then sees it as under way.
            task.is_started = True
            try:
                if not self._stop.is_set:
                    task.work()
            except StoppedError:
                pass
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the main thread must stop and raise it
                task.error = exc
                self._stop.stop(End.ERROR, f"{type(exc).__name__} in a worker")
            finally:
                task.is_done = True
                self._finished.put(task)
