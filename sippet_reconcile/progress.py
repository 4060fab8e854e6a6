"""Tell people how far a step is: a tqdm bar where somebody looks, silence elsewhere.

Steps report through one callback, ``report(done, total, label)``. ``progress=None``
makes it a bar in a terminal or a notebook and nothing elsewhere, ``False`` is
silence, and a callable is called as it is.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeAlias

__all__ = ["Progress", "Reporter", "reporting"]

Reporter: TypeAlias = Callable[[int, int, str], None]
"""Called with what is done, the total (0 where unknown) and a label."""

_PATIENCE_S: Final = 0.5

Progress: TypeAlias = Reporter | Literal[False] | None
"""What a step's ``progress=`` accepts."""


def _silent(done: int, total: int, label: str) -> None:
    """Report nothing."""


def _somebody_looks() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


@contextmanager
def reporting(progress: Progress, *, unit: str = "it") -> Iterator[Reporter]:
    """Hand out the reporter that a ``progress=`` argument asks for.

    Parameters
    ----------
    progress
        None for a bar where somebody looks, False for silence, or a callable.
    unit
        The word a bar counts in.

    Yields
    ------
    Reporter
        Call it as often as you like with ``(done, total, label)``.

    Examples
    --------
    >>> seen = []
    >>> with reporting(lambda done, total, label: seen.append((done, total, label))) as report:
    ...     report(1, 2, "reading")
    >>> seen
    [(1, 2, 'reading')]
    """
    if callable(progress):
        yield progress
        return
    if progress is False or not _somebody_looks():
        yield _silent
        return
    bar = _Bar(unit)
    try:
        yield bar.report
    finally:
        bar.close()


class _Bar:
    """A tqdm bar that appears only once a step has taken long enough to wonder about."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._since = time.monotonic()
        self._bar: Any = None

    def report(self, done: int, total: int, label: str) -> None:
        if self._bar is None:
            if time.monotonic() - self._since < _PATIENCE_S:
                return
            with warnings.catch_warnings():
                # Without ipywidgets tqdm.auto warns once and falls back to its text bar, which is what we want.
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm  # noqa: PLC0415 - a bar is rare, importing tqdm.auto is not free
            self._bar = tqdm(total=None, unit=self._unit, leave=False, file=sys.stderr)
        bar = self._bar
        if label and label != bar.desc:
            bar.set_description_str(label, refresh=False)
        if total:
            bar.total = total
        bar.n = done
        bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
