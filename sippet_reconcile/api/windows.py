"""Which spans of ``started_at`` are asked for next, and whether an answer can be believed.

The index has no paging: a month is read as windows, cut from a cursor and sized by what
the latest answers cost. A window that is too slow or too large is halved. Input is what
each answer cost and held; output is the next window, or an error where an answer shows
that the filter did not take effect or that the server cuts its answers. No I/O here:
`read_window` is handed the function that asks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.api.documents import UUID, with_source
from sippet_reconcile.api.exchange import Exchange, ExchangeKind
from sippet_reconcile.api.queries import target_of, window_pairs
from sippet_reconcile.api.urls import CALLS_PATH, is_same_host
from sippet_reconcile.errors import InputError, UnexpectedResponseError
from sippet_reconcile.period import Period, load_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sippet_reconcile.api.documents import Page

__all__ = ["MARGIN_S", "Answer", "Window", "WindowQueue", "as_period", "next_target", "read_window"]

MARGIN_S: Final = 3600
"""Read this far around the period, so that a call near its edge finds its partner."""

_FIRST: Final = timedelta(hours=2)
_WIDEST: Final = timedelta(days=7)
_NARROWEST: Final = timedelta(seconds=1)
_MANY_ROWS, _FEW_ROWS = 6_000, 2_000
_SLOW_S, _QUICK_S = 8.0, 3.0
_MANY_BYTES: Final = 4 * 2**20
_MAX_PAGES: Final = 10_000
_ROUND: Final = 25
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


@dataclass
class Answer:
    """What one window came to: its rows, or the exchange that failed."""

    tables: list[pa.Table] = field(default_factory=list)
    n_rows: int = 0
    n_bytes: int = 0
    seconds: float = 0.0
    failure: Exchange | None = None
    is_cut: bool = False
    """The server counts more rows than it hands out: ask for less at once."""

    def add(self, exchange: Exchange, rows: pa.Table, api_url: str) -> None:
        """Take over the rows of one exchange."""
        self.tables.append(with_source(rows, api_url, exchange.asked_at))
        self.n_rows += rows.num_rows

    def spend(self, exchange: Exchange) -> None:
        """Add up what an exchange cost."""
        self.n_bytes += exchange.bytes_received
        self.seconds += exchange.latency_ms / 1000.0


def _refuse(exchange: Exchange, what: str) -> UnexpectedResponseError:
    msg = f"{exchange.method} {exchange.path}: {what}"
    return UnexpectedResponseError(msg, status=exchange.status, request_id=exchange.request_id)


def _check_rows(
    exchange: Exchange, rows: pa.Table, window: Window, filters: Mapping[str, Any] | None
) -> None:
    """Raise where a row is outside what was asked for: then nothing of the answer can be believed."""
    started = rows.column("started_at")
    if window.is_unstarted:
        outside = pc.is_valid(started)
    else:
        outside = pc.is_null(started)
        if window.start is not None:
            outside = pc.or_kleene(outside, pc.less(started, pa.scalar(window.start, started.type)))
        if window.end is not None:
            outside = pc.or_kleene(outside, pc.greater_equal(started, pa.scalar(window.end, started.type)))
    n_outside = pc.sum(outside).as_py() or 0
    if n_outside:
        msg = (
            f"{n_outside:,} of {rows.num_rows:,} calls lie outside the window that was asked for ({window}), so the "
            "filter did not take effect; nothing was kept"
        )
        raise _refuse(exchange, msg)
    for name, wanted in (filters or {}).items():
        if name not in rows.column_names or isinstance(wanted, dict) or name in {"started_at", "ended_at"}:
            continue
        broken = _count_unwanted(rows.column(name), wanted)
        if broken:
            msg = f"{broken:,} of {rows.num_rows:,} calls do not fit the filter on {name}, so it did not take effect"
            raise _refuse(exchange, msg)


def _count_unwanted(column: pa.ChunkedArray, wanted: object) -> int:
    """Count the values that an equality, a list or None did not ask for."""
    if wanted is None:
        return len(column) - int(column.null_count)
    values: list[Any] = [wanted] if isinstance(wanted, str | int) else list(wanted)  # type: ignore[call-overload]  # checked before
    if column.type == pa.large_string():
        values = [str(value).strip() for value in values]
        if all(UUID.fullmatch(value.lower()) for value in values):
            # The server compares UUIDs without regard to case.
            values, column = [value.lower() for value in values], pc.utf8_lower(column)
    fits = pc.is_in(column, value_set=pa.array(values, column.type))
    return len(column) - int(pc.sum(fits).as_py() or 0)


def next_target(link: str, base_url: str, exchange: Exchange) -> str:
    """Return the target of a further page, on our own host and scheme whatever the link says.

    Raises
    ------
    UnexpectedResponseError
        If the link leads to another host or another resource.
    """
    if not is_same_host(link, base_url):
        host = urlsplit(link).netloc.rpartition("@")[2]
        raise _refuse(exchange, f"the next page is on another host ({host!r}); the token is not sent there")
    parts = urlsplit(link)
    if not parts.path.endswith(CALLS_PATH):
        raise _refuse(exchange, "the next page is not one of the calls")
    return f"{CALLS_PATH}?{parts.query}"


def read_window(
    ask: Callable[[str], Exchange],
    window: Window,
    *,
    base_url: str,
    filters: Mapping[str, Any] | None = None,
) -> Answer:
    """Read one window to its proven end.

    Further pages are followed, a server's own count is compared with the rows, and a
    suspiciously round number of rows is checked by asking for the window's tail again:
    a server that silently cuts its answers would have cut there.

    Parameters
    ----------
    ask
        Makes one GET for a target; never raises for what the network or the server does.
    window, filters
        What is asked for; the rows are checked against both.
    base_url
        The API, for the rows' ``api_url`` and to stay on its host.

    Raises
    ------
    UnexpectedResponseError
        If a row lies outside what was asked for, or the rows cannot be shown to be all.
    """
    reading = _Reading(ask, base_url, filters, Answer())
    pairs = window_pairs(window.start, window.end, filters)
    exchange = reading.ask_for(target_of(CALLS_PATH, pairs))
    if exchange is not None and _is_uncounted(exchange.content):
        exchange = reading.ask_for(target_of(CALLS_PATH, pairs, extra=[("page[count]", "true")]))
        if exchange is not None and _is_uncounted(exchange.content):
            raise _refuse(
                exchange, "the answer is a page and does not say of how many calls, so it proves nothing"
            )
    if exchange is None:
        return reading.answer
    page: Page = exchange.content
    reading.keep(exchange, window)
    if page.is_paged or page.next_link:
        reading.follow_pages(exchange, window)
    elif not window.is_unstarted:
        reading.check_tail(exchange, window)
    return reading.answer


def _is_uncounted(page: Page) -> bool:
    return page.is_paged and page.total is None


@dataclass
class _Reading:
    """One window being read: whom to ask, and what has been answered so far."""

    ask: Callable[[str], Exchange]
    base_url: str
    filters: Mapping[str, Any] | None
    answer: Answer

    def ask_for(self, target: str) -> Exchange | None:
        """Return a usable exchange, or None where it failed, which the answer then holds."""
        exchange = self.ask(target)
        self.answer.spend(exchange)
        if exchange.kind is ExchangeKind.OK:
            return exchange
        self.answer.failure = exchange
        return None

    def keep(
        self, exchange: Exchange, window: Window, *, known: frozenset[str] | set[str] = frozenset()
    ) -> int:
        """Check the rows of an exchange, take over those not known yet, and count them."""
        rows = exchange.content.rows
        _check_rows(exchange, rows, window, self.filters)
        if known:
            rows = rows.filter(pa.array([call_id not in known for call_id in rows.column("id").to_pylist()]))
        self.answer.add(exchange, rows, self.base_url)
        return int(rows.num_rows)

    def follow_pages(self, exchange: Exchange, window: Window) -> None:
        """Read the further pages, and compare the rows with the server's own count."""
        total = exchange.content.total
        seen: set[str] = set()
        while exchange.content.next_link:
            target = next_target(exchange.content.next_link, self.base_url, exchange)
            if target in seen or len(seen) >= _MAX_PAGES:
                raise _refuse(exchange, "the pages lead back to one that was read already")
            seen.add(target)
            further = self.ask_for(target)
            if further is None:
                return
            exchange = further
            self.keep(exchange, window)
            total = exchange.content.total if exchange.content.total is not None else total
        # Fewer rows than the server counts: it caps its pages without saying so.
        self.answer.is_cut = total is not None and self.answer.n_rows < total

    def check_tail(self, exchange: Exchange, window: Window) -> None:
        """Ask again from the last start on wherever the number of rows looks like a limit."""
        rows = exchange.content.rows
        known: set[str] = set()
        limit = 0
        while rows.num_rows and rows.num_rows % _ROUND == 0:
            known.update(rows.column("id").to_pylist())
            last = pc.max(rows.column("started_at")).as_py().replace(microsecond=0)
            tail = replace(window, start=max(last, window.start or last))
            further = self.ask_for(target_of(CALLS_PATH, window_pairs(tail.start, tail.end, self.filters)))
            if further is None:
                return
            n_fresh = self.keep(further, tail, known=known)
            if not n_fresh and limit and further.content.rows.num_rows >= limit:
                what = f"the server hands out at most {limit} calls at once, and more than these start in one second"
                raise _refuse(further, what)
            if not n_fresh:
                return
            limit, rows = rows.num_rows, further.content.rows
