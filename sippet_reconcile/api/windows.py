"""Which spans of ``started_at`` are asked for, and which next.

The index has no paging: a month is read as windows, cut from a cursor and sized by what
the latest answers cost. A window that is too slow or too large is halved. Input is what
each answer cost; output is the next window. No I/O here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pandas as pd

from sippet_reconcile.errors import InputError
from sippet_reconcile.period import Period, load_zone

__all__ = ["MARGIN_S", "Window", "WindowQueue", "as_period"]

MARGIN_S: Final = 3600
"""Read this far around the period, so that a call near its edge finds its partner."""

_FIRST: Final = timedelta(hours=2)
_WIDEST: Final = timedelta(days=7)
_NARROWEST: Final = timedelta(seconds=1)
_MANY_ROWS, _FEW_ROWS = 6_000, 2_000
_SLOW_S, _QUICK_S = 8.0, 3.0
_MANY_BYTES: Final = 4 * 2**20
_SECOND: Final = timedelta(seconds=1)


def as_period(start: object, end: object = None, *, timezone: str = "UTC") -> Period:
    """Return the period that a caller means.

    Parameters
    ----------
    start
        A `Period` or a month ``"YYYY-MM"`` (both without `end`), else an instant: aware,
        or a date, datetime or ISO text that is local in `timezone`.
    end
        The first instant that no longer belongs, in the same forms.
    timezone
        IANA name.

    Examples
    --------
    >>> as_period("2026-10-01", "2026-10-02", timezone="Europe/London").start.isoformat()
    '2026-09-30T23:00:00+00:00'
    """
    if isinstance(start, Period) or end is None:
        if end is not None:
            msg = "a Period has its own end: pass the Period alone, or a start and an end"
            raise InputError(msg)
        if isinstance(start, Period):
            return start
        if isinstance(start, str):
            return Period.month(start, timezone=timezone)
        msg = f"the end is missing: pass a Period, a month such as '2026-10', or a start and an end; got {start!r}"
        raise InputError(msg)
    return Period(_instant(start, timezone), _instant(end, timezone), timezone=timezone)


def _instant(value: object, timezone: str) -> datetime:
    load_zone(timezone)
    stamp: Any = pd.NaT
    try:
        # Text is read as ISO 8601 alone: pandas would take 01/10/2026 for a day in January.
        if isinstance(value, str):
            stamp = pd.Timestamp(datetime.fromisoformat(value.strip()))
        elif isinstance(value, date):
            stamp = pd.Timestamp(value)
    except ValueError:
        stamp = pd.NaT
    if pd.isna(stamp):
        msg = f"{value!r} is not an instant; pass a date, a datetime or ISO text such as '2026-10-01'"
        raise InputError(msg)
    if stamp.tzinfo is None:
        try:
            stamp = stamp.tz_localize(timezone, ambiguous="raise", nonexistent="raise")
        except ValueError as exc:
            msg = (
                f"{value!r} is not one instant in {timezone}, where the clocks change at that time: "
                "write it with its offset, such as '2026-10-25T01:30:00+01:00'"
            )
            raise InputError(msg) from exc
    instant: datetime = stamp.to_pydatetime(warn=False)
    return instant.astimezone(UTC)


@dataclass(frozen=True)
class Window:
    """A half-open span of ``started_at``; without ends it means the calls that never started."""

    start: datetime | None
    end: datetime | None
    attempt: int = 1
    not_before: float = 0.0
    """When it may be asked for again, on the fetch's clock."""

    @property
    def is_unstarted(self) -> bool:
        """Whether it asks for the calls without ``started_at``."""
        return self.start is None and self.end is None

    @property
    def width(self) -> timedelta:
        """How long it is; zero where it has no ends."""
        return self.end - self.start if self.start is not None and self.end is not None else timedelta(0)

    def halves(self) -> tuple[Window, Window] | None:
        """Return both halves, cut at a whole second, or None where it is too narrow to cut."""
        if self.start is None or self.width < 2 * _NARROWEST:
            return None
        middle = (self.start + self.width / 2).replace(microsecond=0)
        return replace(self, end=middle), replace(self, start=middle)

    def again(self, not_before: float, *, counts: bool = True) -> Window:
        """Return the same window for another attempt; its halves inherit the count and the time."""
        return replace(self, attempt=self.attempt + counts, not_before=not_before)

    def __str__(self) -> str:
        if self.is_unstarted:
            return "calls without started_at"
        ends = [f"{at:%Y-%m-%d %H:%M:%S}" if at is not None else "…" for at in (self.start, self.end)]
        return f"{ends[0]} to {ends[1]} UTC"


class WindowQueue:
    """Cut windows from a span, wider after easy answers and narrower after hard ones.

    Examples
    --------
    >>> at = datetime(2026, 10, 1, tzinfo=UTC)
    >>> queue = WindowQueue(at, at + timedelta(hours=3), unstarted=False)
    >>> [str(window) for window in (queue.take(), queue.take())]
    ['2026-10-01 00:00:00 to 2026-10-01 02:00:00 UTC', '2026-10-01 02:00:00 to 2026-10-01 03:00:00 UTC']
    >>> queue.take() is None
    True
    """

    def __init__(self, start: datetime, end: datetime, *, unstarted: bool) -> None:
        # Whole seconds: a server that keeps seconds would otherwise return rows just outside.
        self._cursor = start.replace(microsecond=0)
        self._end = end if not end.microsecond else end.replace(microsecond=0) + _SECOND
        self._width = _FIRST
        self._waiting = [Window(None, None)] if unstarted else []
        self.total: Final = self._end - self._cursor
        self.done = timedelta(0)

    def take(self) -> Window | None:
        """Return the next window, or None where none is left (others may still come back)."""
        if self._waiting:
            return self._waiting.pop()
        if self._cursor >= self._end:
            return None
        window = Window(self._cursor, min(self._cursor + self._width, self._end))
        self._cursor = window.end or self._end
        return window

    def settle(self, window: Window, *, n_rows: int, n_bytes: int, seconds: float) -> None:
        """Note what an answer cost; the next windows are sized by it."""
        self.done += window.width
        if window.is_unstarted:
            return
        if n_rows > _MANY_ROWS or n_bytes > _MANY_BYTES or seconds > _SLOW_S:
            self._narrow(window)
        elif n_rows < _FEW_ROWS and seconds < _QUICK_S and window.width >= self._width:
            self._width = min(self._width * 2, _WIDEST)

    def _narrow(self, window: Window) -> None:
        half = timedelta(seconds=window.width // timedelta(seconds=2))  # edges stay at whole seconds
        self._width = max(min(self._width, half), timedelta(minutes=1))

    def put_back(self, window: Window) -> None:
        """Let a window be asked for again as it is."""
        self._waiting.append(window)

    def split(self, window: Window) -> bool:
        """Put both halves back instead of a window, or return False where it cannot be cut."""
        halves = window.halves()
        if halves is None:
            return False
        self._narrow(window)
        self._waiting += reversed(halves)
        return True
