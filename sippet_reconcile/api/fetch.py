"""Read all windows with a few worker threads, and join what they answered to one frame.

Input is a `WindowQueue` and the function that reads one window; output is the calls,
each id once. Transient failures are tried again, halved where that may help; the first
thing that cannot be helped ends the whole fetch, for half a month is not a month.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.api.documents import calls_frame
from sippet_reconcile.api.exchange import Exchange, ExchangeKind, error_of
from sippet_reconcile.api.retry import GiveUp, decide, naps
from sippet_reconcile.errors import UnexpectedResponseError
from sippet_reconcile.keys import are_unique, hash_text
from sippet_reconcile.schema import Calls

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from sippet_reconcile.api.reading import Answer
    from sippet_reconcile.api.windows import Window, WindowQueue
    from sippet_reconcile.progress import Reporter

__all__ = ["Fetch", "count_conflicts", "one_row_per_id"]

_WORKERS: Final = 4
_LOOK_S: Final = 0.2
_ATTEMPTS: Final = 8
_HALVE_FROM: Final = 4
_SLOW_MS: Final = 8_000
_WIDE: Final = timedelta(minutes=2)
_HOUR_S: Final = 3600


def _are_distinct(ids: pd.Series[str]) -> bool:
    """Tell whether no id is there twice, without a table of all texts: it would be larger than they are."""
    array = pa.array(ids.array, from_pandas=True)
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    hashes = [hash_text(chunk.cast(pa.large_string())) for chunk in chunks]
    # Texts of different hashes differ; where two hashes are the same, the texts decide.
    return not hashes or are_unique(np.concatenate(hashes)) or bool(ids.is_unique)


def count_conflicts(calls: Calls) -> int:
    """Count the calls that one reading gave twice with different values: nobody can say which holds."""
    if _are_distinct(calls["id"]):
        return 0
    distinct = calls[calls["id"].duplicated(keep=False)].drop_duplicates()
    return int(distinct.loc[distinct.duplicated(["id", "fetched_at"]), "id"].nunique())


def one_row_per_id(calls: Calls) -> Calls:
    """Return each call once, in the order of ``started_at``; never-started calls come last.

    A call that two windows answered was changed between the two reads, or is the same
    in both: the later read is kept, being what the call holds now.
    """
    if not _are_distinct(calls["id"]):
        latest = calls.sort_values("fetched_at", kind="stable").drop_duplicates("id", keep="last")
        calls = Calls(latest.sort_values(["started_at", "id"]))
    else:
        started = calls["started_at"]
        n_started = int(started.notna().sum())
        in_order = started.iloc[:n_started].notna().all() and started.iloc[:n_started].is_monotonic_increasing
        if not in_order:
            calls = Calls(calls.sort_values(["started_at", "id"]))
    return Calls(calls.reset_index(drop=True))


class Fetch:
    """One fetch: the queue of windows, the threads that empty it, and what they brought.

    Parameters
    ----------
    read
        Reads one window; raises only what ends the fetch.
    queue
        The windows; touched under this object's lock only.
    sleep, clock, random
        Handed in, so that tests neither wait nor guess.
    """

    def __init__(
        self,
        read: Callable[[Window], Answer],
        queue: WindowQueue,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        random: Callable[[], float],
        n_workers: int = _WORKERS,
    ) -> None:
        self._read, self._queue = read, queue
        self._sleep, self._clock, self._random = sleep, clock, random
        self._n_workers = n_workers
        self._changed = threading.Condition()
        self._n_open = 0
        self._n_running = 0
        self._paused_until = 0.0
        self._stopped = False
        self._error: BaseException | None = None
        self._found: list[tuple[float, list[pa.Table]]] = []
        self._n_rows = 0

    def run(self, report: Reporter) -> Calls:
        """Empty the queue and return the calls; reading stops at the first error or interrupt."""
        self._n_running = self._n_workers
        total = int(self._queue.total.total_seconds() // _HOUR_S)
        try:
            # In here, or an interrupt that comes between two starts would leave the first thread reading on.
            for number in range(self._n_workers):
                # Daemons: an interrupted read changes nothing, so nobody has to wait for its answer.
                threading.Thread(target=self._work, name=f"fetch-calls-{number}", daemon=True).start()
            is_going = True
            while is_going:
                with self._changed:
                    self._changed.wait_for(lambda: not self._is_going(), _LOOK_S)
                    is_going = self._is_going()
                    done = int(self._queue.done.total_seconds() // _HOUR_S)
                    label = f"fetching calls ({self._n_rows:,})"
                # Outside the lock: a reporter may be slow, and must not hold up the workers.
                report(done, total, label)
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
        if self._error is not None:
            raise self._error
        self._found.sort(key=lambda found: found[0])
        calls = calls_frame([table for _, tables in self._found for table in tables])
        n_conflicts = count_conflicts(calls)
        if n_conflicts:
            msg = f"the API answered {n_conflicts:,} calls twice in one answer, with different values; nothing was kept"
            raise UnexpectedResponseError(msg)
        return one_row_per_id(calls)

    def _is_going(self) -> bool:
        return bool(self._n_running) and not self._stopped

    def _work(self) -> None:
        try:
            while (window := self._next()) is not None:
                self._settle(window, self._read(window))
        except BaseException as exc:  # noqa: BLE001 - whatever it is, it is raised again in the caller's thread
            with self._changed:
                self._error = self._error or exc
                self._stopped = True
        finally:
            with self._changed:
                self._n_running -= 1
                self._changed.notify_all()

    def _next(self) -> Window | None:
        """Return the next window once any pause is over, or None when all is done."""
        with self._changed:
            while True:
                if self._stopped:
                    return None
                window = self._queue.take()
                if window is not None:
                    self._n_open += 1
                    wait_s = max(self._paused_until, window.not_before) - self._clock()
                    break
                if not self._n_open:
                    return None
                # Others are still reading: one of their windows may come back in halves.
                self._changed.wait(_LOOK_S)
        for nap_s in naps(wait_s):
            if self._stopped:
                break
            self._sleep(nap_s)
        return None if self._stopped else window

    def _settle(self, window: Window, answer: Answer) -> None:
        with self._changed:
            failure = answer.failure
            if failure is None and not answer.is_cut:
                self._queue.settle(
                    window, n_rows=answer.n_rows, n_bytes=answer.n_bytes, seconds=answer.seconds
                )
                first = window.start.timestamp() if window.start is not None else float("inf")
                self._found.append((first, answer.tables))
                self._n_rows += answer.n_rows
            elif failure is None or failure.too_large:
                if not self._queue.split(window):
                    raise _cannot_cut(window, failure)
            else:
                self._again(window, failure)
            self._n_open -= 1
            self._changed.notify_all()

    def _again(self, window: Window, failure: Exchange) -> None:
        """Put a window that failed back, to be asked for again when its wait is over."""
        decision = decide(failure, window.attempt, random=self._random, max_attempts=_ATTEMPTS)
        if isinstance(decision, GiveUp):
            raise error_of(failure, gave_up=f"{decision.reason}, reading {window}")
        at = self._clock() + decision.after_s
        if failure.kind is ExchangeKind.THROTTLED:
            self._paused_until = max(self._paused_until, at)  # everybody waits, not this window alone
        is_fault = failure.kind in {ExchangeKind.LOST, ExchangeKind.TRANSIENT}
        is_slow = is_fault and (failure.too_slow or failure.latency_ms > _SLOW_MS)
        # From a server that answers others, a time-out is the size of the answer: halving is no further attempt.
        is_size = is_slow and bool(self._found) and window.width > _WIDE
        again = window.again(at, counts=not is_size)
        # A fault that does not go away may be the size of the answer as well.
        ask_for_less = is_slow or (is_fault and window.attempt >= _HALVE_FROM)
        if not (ask_for_less and self._queue.split(again)):
            self._queue.put_back(again)


def _cannot_cut(window: Window, failure: Exchange | None) -> Exception:
    if failure is not None:
        return error_of(failure, gave_up=f"{window} cannot be asked for in smaller parts")
    msg = f"the server hands out fewer calls than it counts for {window}, which cannot be asked for in smaller parts"
    return UnexpectedResponseError(msg)
