"""Run tasks in a few threads while the main thread stays free for Ctrl-C.

Input are tasks, output is that they ran, or that the run was stopped before they
began. What a task finds out it keeps itself; nothing is handed over through the main
thread, which may be interrupted at any point.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sippet_reconcile.apply.stopping import End, StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["GRACE_S", "Batch", "Task", "Workers"]

GRACE_S: Final = 10.0
"""How long requests in flight may take to finish once the run is stopped."""

_NAP_S: Final = 0.01


@dataclass(eq=False)
class Task:
    """A piece of work for one thread."""

    work: Callable[[], None]
    is_started: bool = False
    is_done: bool = False


class Batch:
    """Tasks that were handed in together."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self.tasks = list(tasks)
        self._ended = itertools.count(1)
        self.is_done = not self.tasks
        """Whether each of them has ended, one way or another."""

    def end(self, task: Task) -> bool:
        """Note that a task ended; True where it is the last one."""
        task.is_done = True
        # One step for the interpreter, so that no two threads see the same number.
        if next(self._ended) == len(self.tasks):
            self.is_done = True
        return self.is_done


class Workers:
    """Threads that take tasks until the run is stopped, urgent ones first, else in the order they came.

    Only queues that Python's signal handling cannot tear apart lie between the threads:
    Ctrl-C may reach the main thread anywhere in here.
    """

    def __init__(self, stop: StopSign) -> None:
        self._stop = stop
        self._urgent: deque[tuple[Batch, Task]] = deque()
        self._others: deque[tuple[Batch, Task]] = deque()
        # A task each, for waking up only; None sends a thread home.
        self._tickets: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Batch] = queue.SimpleQueue()
        self._batches: list[Batch] = []
        self._n = 0
        self._error: BaseException | None = None

    @property
    def n(self) -> int:
        """How many threads there are."""
        return self._n

    @property
    def n_waiting(self) -> int:
        """How many tasks no thread has taken yet."""
        return len(self._urgent) + len(self._others)

    def grow(self, n: int) -> None:
        """Have at least `n` threads."""
        while self._n < n:
            # Daemons: a request that hangs beyond the grace must not keep the interpreter from ending.
            thread = threading.Thread(target=self._serve, name=f"sippet-apply-{self._n}", daemon=True)
            # Counted first: Ctrl-C may come as it starts, and a thread that is not counted would never be sent home.
            self._n += 1
            thread.start()

    def close(self) -> None:
        """Let the threads go."""
        for _ in range(self._n):
            self._tickets.put(None)
        self._n = 0

    def submit(self, works: Iterable[Callable[[], None]], *, is_urgent: bool = False) -> Batch:
        """Hand in pieces of work; urgent ones are taken before any that waits and is not."""
        batch = Batch(Task(work) for work in works)
        self._batches = [known for known in self._batches if not known.is_done]
        self._batches.append(batch)
        line = self._urgent if is_urgent else self._others
        for task in batch.tasks:
            line.append((batch, task))
            self._tickets.put(task)
        return batch

    def wait(self, seconds: float) -> None:
        """Wait until a batch ends or the run is stopped, so many seconds at most."""
        try:
            self._ended.get(timeout=seconds)
        except queue.Empty:
            return

    def drain(self, seconds: float) -> None:
        """Wait for what is under way, so many seconds at most; the run must have been stopped before."""
        until = time.monotonic() + seconds
        while any(task.is_started and not task.is_done for batch in self._batches for task in batch.tasks):
            if time.monotonic() >= until or self._stop.is_hurried:
                return
            time.sleep(_NAP_S)

    def require_sound(self) -> None:
        """Raise what the first failed task raised.

        Raises
        ------
        BaseException
            Where one failed.
        """
        if self._error is not None:
            raise self._error

    def _serve(self) -> None:
        while self._tickets.get() is not None:
            try:
                batch, task = self._urgent.popleft()
            except IndexError:
                batch, task = self._others.popleft()
            # Marked before the sign is looked at: whoever stops the run then sees it as under way.
            task.is_started = True
            try:
                if not self._stop.is_set:
                    task.work()
            except StoppedError:
                pass
            except BaseException as exc:  # noqa: BLE001 - whatever it is, the main thread must stop and raise it
                self._error = self._error or exc
                self._stop.stop(End.ERROR, f"{type(exc).__name__} in a worker")
            finally:
                if batch.end(task):
                    self._ended.put(batch)
