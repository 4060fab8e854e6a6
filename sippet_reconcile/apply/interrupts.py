"""Take Ctrl-C, and a kernel's Stop, once: no further one tears what the first set going.

Input are the signals of a session, output is one `KeyboardInterrupt`, raised where the
session can be interrupted, or at its end. While the lock is taken or given back, and
once the run is stopping, an interrupt waits; another one then says to hurry.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from sippet_reconcile.apply.stopping import StopSign

__all__ = ["Interrupts"]


class Interrupts:
    """Ctrl-C during one session; a context manager, in which an interrupt waits until it is let in.

    Outside the main thread nothing is done, because Python delivers interrupts to the main
    thread alone; nor where the program handles them in no function of its own.

    Examples
    --------
    >>> from sippet_reconcile.apply.stopping import StopSign
    >>> with Interrupts() as interrupts:
    ...     signal.raise_signal(signal.SIGINT)
    ...     held = "nothing was raised yet"
    ...     try:
    ...         interrupts.let_in(StopSign(max_failures=10))
    ...     except KeyboardInterrupt:
    ...         held += ", and now it is"
    >>> held
    'nothing was raised yet, and now it is'
    """

    def __init__(self) -> None:
        self._handler: Callable[[int, Any], object] | None = None
        self._stop: StopSign | None = None
        self._waiting = self._is_raised = False
        self._n = 0

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self._handler = handler
            signal.signal(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is None:
            return
        signal.signal(signal.SIGINT, self._handler)
        if self.is_waiting and not isinstance(error, KeyboardInterrupt):
            self._handler(signal.SIGINT, None)

    @property
    def is_waiting(self) -> bool:
        """Whether an interrupt came that was not raised yet."""
        return self._waiting and not self._is_raised

    def let_in(self, stop: StopSign) -> None:
        """From here on an interrupt is raised, until the run is to stop; one that waits is raised now."""
        self._stop = stop
        if self._waiting and self._handler is not None:
            self._raise(signal.SIGINT, None)

    def put_off(self) -> None:
        """From here on an interrupt waits for the end."""
        self._stop = None

    def _pressed(self, number: int, frame: Any) -> None:
        self._n += 1
        stop = self._stop
        if stop is not None and stop.is_set and self._n > 1:
            stop.hurry()
        if stop is None or stop.is_set or self._is_raised:
            self._waiting = True
        else:
            self._raise(number, frame)

    def _raise(self, number: int, frame: Any) -> None:
        """Do what the program does about an interrupt; a handler that raises nothing is asked each time."""
        self._waiting = False
        handler = self._handler
        try:
            if handler is not None:
                handler(number, frame)
        except BaseException:
            self._is_raised = True
            raise
