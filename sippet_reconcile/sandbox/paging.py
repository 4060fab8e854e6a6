"""One page of the index, where a switch makes it page, and the links beside it.

Input: the selected calls, the page parameters and the URL; output: the rows of the page,
its ``links`` and its ``meta``. The truncation of too large pages is the real library's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sippet_reconcile.sandbox.problems import FrameworkError, Problem, Refusal, something_went_wrong
from sippet_reconcile.sandbox.switches import Pagination

if TYPE_CHECKING:
    from sippet_reconcile.sandbox.store import Record

__all__ = ["Page", "cut_page"]


@dataclass(frozen=True)
class Page:
    """The rows of one answer, its links and its meta."""

    records: list[Record]
    links: dict[str, str | None]
    meta: dict[str, Any]


def cut_page(
    records: list[Record],
    params: Mapping[str, Any],
    *,
    url: str,
    pagination: Pagination | None,
    max_page_size: int | None,
) -> Page:
    """Return the part of the selected calls that one answer holds.

    Without page parameters, or where the index does not page, that is all of them.

    Raises
    ------
    Refusal
        For a cursor that is none, and a limit of 0.
    FrameworkError
        For parameters of both kinds of paging at once.
    """
    if pagination is None or not params:
        return Page(records, {"self": url}, {})
    if "offset" in params and ("after" in params or "before" in params):
        raise FrameworkError(500)
    asked = params.get("limit", max_page_size)
    if asked == 0:
        raise Refusal([something_went_wrong(500)])
    n_rows = len(records) if asked is None else asked
    if max_page_size is not None and n_rows > max_page_size:
        n_rows = max_page_size + 1
    if pagination is Pagination.OFFSET:
        return _offset_page(records, params, url=url, asked=asked, n_rows=n_rows)
    return _keyset_page(records, params, url=url, asked=asked, n_rows=n_rows)


def _offset_page(
    records: list[Record], params: Mapping[str, Any], *, url: str, asked: int | None, n_rows: int
) -> Page:
    offset = params.get("offset", 0)
    rows = records[offset : offset + n_rows]
    total = len(records)
    is_counted = params.get("count", False)
    step = asked or max(total, 1)
    has_next = offset + step < total if is_counted else len(rows) == step

    def link(start: int) -> str:
        return _with_page(url, {"limit": step, "offset": start, "count": is_counted or None})

    links: dict[str, str | None] = {
        "first": link(0),
        "next": link(offset + step) if has_next else None,
        "prev": link(max(offset - step, 0)) if offset else None,
        "self": url,
    }
    meta: dict[str, Any] = {"limit": asked, "offset": offset}
    if is_counted:
        links["last"] = link((max(total - 1, 0) // step) * step)
        meta["total"] = total
    return Page(rows, dict(sorted(links.items())), {"page": meta})


def _keyset_page(
    records: list[Record], params: Mapping[str, Any], *, url: str, asked: int | None, n_rows: int
) -> Page:
    places = {record.held["id"]: place for place, record in enumerate(records)}
    if "before" in params:
        end = places.get(_cursor_id(params["before"]), 0)
        start = max(end - n_rows, 0)
    else:
        start = places.get(_cursor_id(params["after"]), len(records) - 1) + 1 if "after" in params else 0
        end = min(start + n_rows, len(records))
    rows = records[start:end]
    step = asked or max(len(records), 1)

    def link(**cursor: str) -> str:
        return _with_page(url, {"limit": step, "count": params.get("count") or None, **cursor})

    links: dict[str, str | None] = {
        "first": link(),
        "next": link(after=_cursor(rows[-1])) if len(rows) == step else None,
        "prev": link(before=_cursor(rows[0])) if start and rows else None,
        "self": url,
    }
    meta: dict[str, Any] = {"limit": asked}
    if params.get("count"):
        meta["total"] = len(records)
    return Page(rows, links, {"page": meta})


def _cursor(record: Record) -> str:
    return base64.urlsafe_b64encode(f"id:{record.held['id']}".encode()).decode()


def _cursor_id(text: object) -> str:
    try:
        kind, _, call_id = base64.b64decode(str(text), altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        kind, call_id = "", ""
    if kind != "id":
        raise Refusal(
            [
                Problem(
                    400,
                    "invalid_keyset",
                    "InvalidKeyset",
                    "Invalid value provided as a keyset",
                    parameter="page",
                )
            ]
        )
    return call_id


def _with_page(url: str, page: Mapping[str, Any]) -> str:
    """Return the URL with its page parameters replaced."""
    target, _, query = url.partition("?")
    kept = [
        pair for pair in query.split("&") if pair and not pair.startswith(("page[", "page%5B", "page%5b"))
    ]
    added = [
        f"page[{name}]={quote(str(value).lower() if isinstance(value, bool) else str(value), safe='')}"
        for name, value in page.items()
        if value is not None
    ]
    return f"{target}?{'&'.join([*kept, *added])}"
