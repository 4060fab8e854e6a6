"""Read a window, or calls by their ids, to the proven end, and refuse answers that cannot be believed.

Input is what is asked for and the function that asks; output is its rows, or an error where an
answer shows that the filter did not take effect, or that the server holds calls back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.api.documents import DocumentError, Page, read_page, with_source
from sippet_reconcile.api.exchange import Exchange, ExchangeKind
from sippet_reconcile.api.proof import count_misfits, count_outside, may_be_a_limit
from sippet_reconcile.api.queries import target_of, window_pairs
from sippet_reconcile.api.urls import CALLS_PATH, is_same_host
from sippet_reconcile.errors import UnexpectedResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sippet_reconcile.api.windows import Window

__all__ = ["Answer", "held_back", "next_target", "read_ids", "read_window", "reader_of"]

_MAX_PAGES: Final = 10_000


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
    n_outside = count_outside(rows, window.start, window.end)
    if n_outside:
        msg = (
            f"{n_outside:,} of {rows.num_rows:,} calls lie outside the window that was asked for ({window}), so the "
            "filter did not take effect; nothing was kept"
        )
        raise _refuse(exchange, msg)
    for name, wanted in (filters or {}).items():
        n_misfits = count_misfits(rows, {name: wanted})
        if n_misfits:
            msg = f"{n_misfits:,} of {rows.num_rows:,} calls do not fit the filter on {name}, so it did not take effect"
            raise _refuse(exchange, msg)


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
    suspiciously round number of rows is checked by asking for what would have been cut
    off: a server that silently limits its answers would have cut there.

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
    else:
        reading.check_limit(exchange, window)
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

    def keep(self, exchange: Exchange, window: Window, known: set[str] | None = None) -> int:
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

    def check_limit(self, exchange: Exchange, window: Window) -> None:
        """Make sure that a number of rows which looks like a limit is none.

        A window's rows are read on from their last start. Where that brings nothing, for
        all of them start in one second, or never, one of them is excluded instead: only
        a server that held calls back then has as many to show as before.
        """
        rows = exchange.content.rows
        known: set[str] = set()
        while may_be_a_limit(rows.num_rows):
            limit, rest = rows.num_rows, window
            known.update(rows.column("id").to_pylist())
            if not window.is_unstarted:
                last = pc.max(rows.column("started_at")).as_py().replace(microsecond=0)
                rest = replace(window, start=max(last, window.start or last))
                further = self.ask_for(self._target(rest, self.filters))
                if further is None:
                    return
                rows = further.content.rows
                if self.keep(further, rest, known):
                    continue
            if rows.num_rows >= limit:
                self._refuse_limit(limit, rest, rows.column("id")[0].as_py())
            return

    def _refuse_limit(self, limit: int, window: Window, call_id: str) -> None:
        """Raise where a window holds more calls than the server ever shows of it."""
        others = {"id": {"not_eq": call_id}}
        filters = {"and": [self.filters, others]} if self.filters else others
        further = self.ask_for(self._target(window, filters))
        if further is None:
            return
        _check_rows(further, further.content.rows, window, filters)
        if further.content.rows.num_rows < limit:
            return
        # A call that was made just now would look the same; then the window shows one more by itself.
        again = self.ask_for(self._target(window, self.filters))
        if again is None:
            return
        self.keep(again, window)
        if again.content.rows.num_rows <= limit:
            where = "have no start" if window.is_unstarted else "start in one second"
            what = f"the server hands out at most {limit} calls at once, and more than these {where}"
            raise _refuse(again, what)

    @staticmethod
    def _target(window: Window, filters: Mapping[str, Any] | None) -> str:
        return target_of(CALLS_PATH, window_pairs(window.start, window.end, filters))


def reader_of(ids: Collection[str]) -> Callable[[bytes], Page]:
    """Return what reads an answer to a question for these calls, and refuses one that is none."""
    wanted = set(ids)

    def parse(body: bytes) -> Page:
        page = read_page(body, is_table=False)
        found = page.ids
        strangers = len(set(found) - wanted)
        if strangers:
            msg = f"{strangers} of {len(found)} calls were not asked for: the filter did not take effect"
            raise DocumentError(msg)
        if len(set(found)) != len(found):
            msg = "a call is in the answer twice"
            raise DocumentError(msg)
        is_part = page.next_link is not None or (page.total is not None and page.total > len(found))
        if is_part and len(found) < len(wanted):
            msg = "the answer is only a first page, so it does not show which calls are missing"
            raise DocumentError(msg)
        return page

    return parse


def read_ids(ask: Callable[[Sequence[str]], Exchange], ids: Sequence[str], base_url: str) -> list[pa.Table]:
    """Read calls by their ids, and again those that a server which caps its answers held back."""
    tables: list[pa.Table] = []
    while ids:
        exchange = ask(ids)
        rows = exchange.content.rows
        tables.append(with_source(rows, base_url, exchange.asked_at))
        ids = held_back(ids, set(rows.column("id").to_pylist()))
    return tables


def held_back(ids: Sequence[str], found: Collection[str]) -> list[str]:
    """Return the ids to ask for again: those not found, where a server may have capped its answer.

    Examples
    --------
    >>> held_back(list("abc"), {"a"}), held_back(list("0123456789ab"), set("0123456789"))
    ([], ['a', 'b'])
    """
    return [call_id for call_id in ids if call_id not in found] if may_be_a_limit(len(found)) else []
