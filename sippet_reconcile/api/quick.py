"""Read a page of the index into Arrow columns at once, where that surely reads as the careful reader does.

Input is the body of an answer; output is its columns, or None where anything in it is not
as the API itself writes it: then `documents` reads it value by value, or says what is wrong
with it. Arrow's own reader of JSON is laxer than the standard in some respects (it takes
NaN, or several documents in a row) and stricter in others, so a page goes this way only if
every member of it is declared here, is there once, and is of the declared kind. Instants
stay texts: nothing but `values` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json

from sippet_reconcile.schema import CALL_ATTRIBUTES
from sippet_reconcile.values import SECONDS_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["POOL", "QuickPage", "quick_page"]

POOL: Final = pa.system_memory_pool()
"""Where rows that worker threads read are kept: Arrow's own pool holds on to what each thread let go."""

_TYPE: Final = "Call"
_TEXT: Final = pa.large_string()
_WHOLE: Final = pa.int64()
_NOTHING: Final = pa.struct([])
_RELATED: Final = pa.struct({"links": _NOTHING, "meta": _NOTHING})
_RESOURCE: Final = pa.struct(
    {
        "id": _TEXT,
        "type": _TEXT,
        "attributes": pa.struct(
            {name: _WHOLE if name in SECONDS_FIELDS else _TEXT for name in CALL_ATTRIBUTES}
        ),
        "links": pa.struct({"self": _TEXT}),
        "meta": _NOTHING,
        "relationships": pa.struct({"conversation": _RELATED, "organisation": _RELATED}),
    }
)
_DOCUMENT: Final = pa.schema(
    {
        "data": pa.list_(_RESOURCE),
        "jsonapi": pa.struct({"version": _TEXT}),
        "links": pa.struct(dict.fromkeys(("self", "first", "prev", "next", "last"), _TEXT)),
        "meta": pa.struct({"page": pa.struct(dict.fromkeys(("limit", "offset", "total"), _WHOLE))}),
    }
)
_PARSE: Final = arrow_json.ParseOptions(explicit_schema=_DOCUMENT, unexpected_field_behavior="error")
_UUID: Final = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"


@dataclass(frozen=True, eq=False)
class QuickPage:
    """The columns of one answer, one value per resource, and what it says of further pages."""

    ids: pa.Array
    """UUIDs in lower case."""
    attributes: Mapping[str, pa.Array]
    """Text as it was answered, instants too; whole seconds as int64."""
    next_link: str | None
    total: int | None
    is_paged: bool


def quick_page(body: bytes) -> QuickPage | None:
    """Return the columns of an answer, or None where it is to be read carefully.

    Examples
    --------
    >>> call = b'{"attributes":{"status":"busy"},"id":"8C1F3C52-0000-4000-8000-000000000001","type":"Call"}'
    >>> page = quick_page(b'{"data":[' + call + b'],"links":{},"meta":{}}')
    >>> page.ids[0].as_py(), page.attributes["status"][0].as_py(), page.attributes["ended_at"][0].as_py()
    ('8c1f3c52-0000-4000-8000-000000000001', 'busy', None)
    >>> quick_page(b'{"data":[],"color":"blue"}') is None
    True
    """
    if not _is_plain(body):
        return None
    try:
        document = arrow_json.read_json(
            pa.BufferReader(body),
            # One block: a page is read whole. Windows are read side by side already.
            read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(body) + 1),
            parse_options=_PARSE,
            memory_pool=POOL,
        )
    except pa.ArrowException:  # whatever it is, the careful reader can tell it, or read it
        return None
    if document.num_rows != 1:
        return None
    data = document.column("data").chunk(0)
    resources = data.flatten()
    attributes, ids = resources.field("attributes"), resources.field("id")
    # What is null has neither a type nor an id.
    if data.null_count or attributes.null_count or not _are_all(pc.equal(resources.field("type"), _TYPE)):
        return None
    if not _are_all(pc.match_substring_regex(ids, _UUID)):
        return None
    links: dict[str, Any] = document.column("links")[0].as_py() or {}
    page: dict[str, Any] | None = (document.column("meta")[0].as_py() or {}).get("page")
    return QuickPage(
        pc.ascii_lower(ids, memory_pool=POOL),
        {name: attributes.field(name) for name in CALL_ATTRIBUTES},
        next_link=links.get("next") or None,
        total=None if page is None else page["total"],
        is_paged=page is not None,
    )


def _is_plain(body: bytes) -> bool:
    """Tell whether a body is one that both readers spell out alike, should it be JSON.

    It begins with an object (Arrow's reader crashes on a null), its texts stand as they are
    (escapes may make half a surrogate pair, or a key that is another one), and they are UTF-8.
    """
    if not body.startswith(b"{") or b"\\" in body:
        return False
    try:
        return body.isascii() or bool(body.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _are_all(mask: pa.Array) -> bool:
    return pc.all(mask, skip_nulls=False, min_count=0).as_py() is True
