"""JSON:API documents to rows of calls.

Input is the body of an answer, or a saved document; output is an Arrow table with
one row per resource (checked: type ``Call``, a UUID as id, values of the right JSON
types, instants that can be read), later one frame. Nothing is guessed: whatever does
not fit raises `DocumentError`, which says where.
"""

from __future__ import annotations

import json
from functools import cached_property
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.api.plain import UUID, Texts, plain_calls, texts_by_id
from sippet_reconcile.api.quick import POOL, QuickPage, quick_page
from sippet_reconcile.schema import CALL_ATTRIBUTES, CALLS, Calls, arrow_to_frame, text_series
from sippet_reconcile.values import INSTANT_FIELDS, SECONDS_FIELDS, text_to_instants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = [
    "UUID",
    "DocumentError",
    "Page",
    "calls_frame",
    "load_json",
    "patch_body",
    "read_page",
    "read_page_carefully",
    "read_resource",
    "rows_of",
    "with_source",
]

_TYPE: Final = "Call"
_INSTANT: Final = pa.timestamp("us", tz="UTC")
_MAX_INT64: Final = 2**63
_ROWS: Final = pa.schema(
    [field_ for field_ in CALLS.arrow if field_.name == "id" or field_.name in CALL_ATTRIBUTES]
)
_Table: TypeAlias = tuple[pa.Table, dict[str, pa.Array]]
"""Rows, and the instants in them as texts, as they were answered."""


class DocumentError(ValueError):
    """A document does not hold what the protocol says; the message has no value of a call in it."""


class Page:
    """One answer: its rows, and what it says about further pages and about precision.

    Parameters
    ----------
    resources
        As they were answered.
    next_link, total, is_paged
        What the answer says of further pages.
    is_table
        Whether the rows are wanted as a table. Where only the `texts` of a few calls are,
        the table is made only if somebody asks for it.
    table
        The rows, and the instants in them as they were answered, where they were read
        from the body at once; there are no resources then.

    Raises
    ------
    DocumentError
        Naming the first resource that is not a call, and why.
    """

    def __init__(
        self,
        resources: object,
        *,
        next_link: str | None = None,
        total: int | None = None,
        is_paged: bool = False,
        is_table: bool = True,
        table: _Table | None = None,
    ) -> None:
        self.next_link, self.total, self.is_paged = next_link, total, is_paged
        self._plain = None if is_table or not isinstance(resources, list) else plain_calls(resources)
        self._resources = resources if self._plain is not None else None
        self._table = table or (_read_rows(resources) if self._plain is None else None)

    @cached_property
    def _read(self) -> _Table:
        return self._table or _read_rows(self._resources)

    @property
    def rows(self) -> pa.Table:
        """One row per resource."""
        return self._read[0]

    @property
    def ids(self) -> list[str]:
        """The ids in the order of the answer; one that is in it twice is in here twice."""
        ids: list[str] = (
            self.rows.column("id").to_pylist() if self._plain is None else list(self._plain.texts)
        )
        return ids

    @cached_property
    def texts(self) -> dict[str, Texts]:
        """The attributes of each call as texts in API form, by id."""
        if self._plain is not None:
            return self._plain.texts
        return texts_by_id(calls_frame([with_source(self.rows, None, None)]))

    @cached_property
    def decimals(self) -> dict[str, int]:
        """Field to the most decimals of a second that its instants show; a field without any is left out.

        Only the text shows whether a server keeps fractions.
        """
        if self._plain is not None:
            return self._plain.decimals
        found = {}
        for name, text in self._read[1].items():
            if text.null_count < len(text):
                fraction = pc.struct_field(pc.extract_regex(text, pattern=r"\.(?P<fraction>\d+)"), "fraction")
                found[name] = pc.max(pc.utf8_length(fraction)).as_py() or 0
        return found


def _refuse_constant(name: str) -> NoReturn:
    msg = f"the document holds {name}, which is no JSON"
    raise DocumentError(msg)


def load_json(body: bytes | str) -> Any:
    """Read strict JSON: no NaN, no Infinity, no invalid UTF-8.

    Examples
    --------
    >>> load_json(b'{"a": NaN}')
    Traceback (most recent call last):
    sippet_reconcile.api.documents.DocumentError: the document holds NaN, which is no JSON
    """
    if not body.strip():
        msg = "the answer is empty"
        raise DocumentError(msg)
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except DocumentError:
        raise
    except UnicodeDecodeError:
        msg = "the document is not UTF-8"
    except json.JSONDecodeError as exc:
        msg = f"the document is not JSON (line {exc.lineno} column {exc.colno}: {exc.msg})"
    except RecursionError:
        msg = "the document is nested too deeply"
    except ValueError:
        msg = "the document holds a number that is too long"
    raise DocumentError(msg)


def _where(index: int, ids: Sequence[Any]) -> str:
    known = ids[index] if index < len(ids) and isinstance(ids[index], str) else ""
    named = f" ({known.lower()})" if UUID.fullmatch(known.lower()) else ""
    return f"resource {index + 1}{named}"


def _text_column(name: str, values: list[Any], ids: Sequence[Any]) -> pa.Array:
    _expect({str, type(None)}, "text", name, values, ids)
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError as exc:
        msg = f"{name} holds text that is not Unicode (a lone surrogate)"
        raise DocumentError(msg) from exc


def _seconds_column(name: str, values: list[Any], ids: Sequence[Any]) -> pa.Array:
    _expect({int, type(None)}, "whole seconds", name, values, ids)
    try:
        return pa.array(values, pa.int64())
    except OverflowError as exc:
        index = next(i for i, value in enumerate(values) if value and not -_MAX_INT64 <= value < _MAX_INT64)
        msg = f"{name} of {_where(index, ids)} is {_kind(values[index])}, not whole seconds"
        raise DocumentError(msg) from exc


def _expect(kinds: set[type], words: str, name: str, values: list[Any], ids: Sequence[Any]) -> None:
    """Raise for the first value of another kind; the values are looked at one by one only where there is one."""
    index = _first_of_other_kind(values, kinds)
    if index is not None:
        msg = f"{name} of {_where(index, ids)} is {_kind(values[index])}, not {words}"
        raise DocumentError(msg)


def _first_of_other_kind(values: list[Any], kinds: set[type]) -> int | None:
    if set(map(type, values)) <= kinds:
        return None
    return next(index for index, value in enumerate(values) if type(value) not in kinds)


def _instant_column(name: str, text: pa.Array, ids: Sequence[Any]) -> pa.Array:
    try:
        # As `text_to_instants` does at first, without a series on the way.
        return text.cast(_INSTANT, memory_pool=POOL)
    except pa.ArrowInvalid:
        instants = text_to_instants(text_series(text))
    unread = instants.isna().to_numpy() & text.is_valid().to_numpy(zero_copy_only=False)
    if unread.any():
        index = int(unread.argmax())
        msg = f"{name} of {_where(index, ids)} is {text[index].as_py()!r}, not an ISO 8601 instant"
        raise DocumentError(msg)
    return pa.array(instants, from_pandas=True).cast(_INSTANT)


def _kind(value: object) -> str:
    names = {
        bool: "a yes/no",
        int: "a number",
        float: "a number",
        str: "text",
        dict: "an object",
        list: "a list",
    }
    return names.get(type(value), "null" if value is None else "something else")


def _members(name: str, objects: list[Any]) -> list[Any]:
    """Return one member of each object; None where it is absent."""
    return list(map(methodcaller("get", name), objects))


def _id_column(ids: list[Any]) -> pa.Array:
    """Return the ids in lower case; each is one of `UUID`."""
    index = _first_of_other_kind(ids, {str})
    if index is None:
        lower = list(map(str.lower, ids))
        if all(map(UUID.fullmatch, lower)):
            return pa.array(lower, pa.large_string())
        index = next(index for index, value in enumerate(lower) if UUID.fullmatch(value) is None)
    msg = f"the id of resource {index + 1} is not a UUID"
    raise DocumentError(msg)


def rows_of(resources: object) -> pa.Table:
    """Return one row per JSON:API resource object: ``id`` and the attributes of a call.

    A key that is absent is null, unknown keys are ignored, ids come out in lower case.

    Raises
    ------
    DocumentError
        Naming the first resource that is not a call, and why.
    """
    return _read_rows(resources)[0]


def _read_rows(resources: object) -> _Table:
    if not isinstance(resources, list):
        msg = f"'data' is {_kind(resources)}, not a list of resources"
        raise DocumentError(msg)
    index = _first_of_other_kind(resources, {dict})
    if index is not None:
        msg = f"resource {index + 1} is {_kind(resources[index])}, not an object"
        raise DocumentError(msg)
    types = _members("type", resources)
    if types.count(_TYPE) != len(types):
        index = next(index for index, value in enumerate(types) if value != _TYPE)
        msg = f"resource {index + 1} is of another type than {_TYPE!r}"
        raise DocumentError(msg)
    ids = _members("id", resources)
    attributes = _members("attributes", resources)
    columns: dict[str, pa.Array] = {"id": _id_column(ids)}
    index = _first_of_other_kind(attributes, {dict})
    if index is not None:
        msg = f"{_where(index, ids)} has no attributes"
        raise DocumentError(msg)
    instants: dict[str, pa.Array] = {}
    for name in CALL_ATTRIBUTES:
        values = _members(name, attributes)
        if name in INSTANT_FIELDS:
            instants[name] = _text_column(name, values, ids)
            columns[name] = _instant_column(name, instants[name], ids)
        elif name in SECONDS_FIELDS:
            columns[name] = _seconds_column(name, values, ids)
        else:
            columns[name] = _text_column(name, values, ids)
    return pa.table([columns[name] for name in _ROWS.names], schema=_ROWS), instants


def _document(body: bytes) -> dict[str, Any]:
    document = load_json(body)
    if not isinstance(document, dict) or "data" not in document:
        msg = "the document has no 'data'"
        raise DocumentError(msg)
    return document


def read_page(body: bytes, *, is_table: bool = True) -> Page:
    """Read one answer of the index; see `Page`.

    A table is read at once where the page is as the API writes it, and value by value
    (`read_page_carefully`) otherwise; both come to the same.

    Examples
    --------
    >>> read_page(b'{"data": [], "links": {"self": "x"}, "meta": {}}').rows.num_rows
    0
    """
    found = quick_page(body) if is_table else None
    table = _table_at_once(found) if found is not None else None
    if found is None or table is None:
        return read_page_carefully(body, is_table=is_table)
    return Page(None, next_link=found.next_link, total=found.total, is_paged=found.is_paged, table=table)


def _table_at_once(found: QuickPage) -> _Table | None:
    """Return the rows of a page that was read at once, or None where an instant is none."""
    instants = {name: text for name, text in found.attributes.items() if name in INSTANT_FIELDS}
    try:
        read = {name: _instant_column(name, text, ()) for name, text in instants.items()}
    except DocumentError:  # the careful reader tells which, and of which call
        return None
    columns = {"id": found.ids, **found.attributes, **read}
    return pa.table([columns[name] for name in _ROWS.names], schema=_ROWS), instants


def read_page_carefully(body: bytes, *, is_table: bool = True) -> Page:
    """Read one answer of the index value by value: whatever does not fit is named.

    Examples
    --------
    >>> read_page_carefully(b'{"data": [], "color": "blue"}').rows.num_rows
    0
    """
    document = _document(body)
    links, meta = document.get("links"), document.get("meta")
    next_link = links.get("next") if isinstance(links, dict) else None
    if isinstance(next_link, dict):  # JSON:API allows a link as an object with an href
        next_link = next_link.get("href")
    page = meta.get("page") if isinstance(meta, dict) else None
    total = page.get("total") if isinstance(page, dict) else None
    return Page(
        document["data"],
        next_link=next_link if isinstance(next_link, str) and next_link else None,
        total=total if type(total) is int else None,
        is_paged=isinstance(page, dict),
        is_table=is_table,
    )


def read_resource(body: bytes) -> Page:
    """Read the answer to a PATCH: one resource."""
    return Page([_document(body)["data"]], is_table=False)


def patch_body(call_id: str, attributes: dict[str, object]) -> bytes:
    """Return the body of a PATCH, byte for byte as it is sent.

    There is no ``jsonapi`` member: the API refuses one.

    Examples
    --------
    >>> patch_body("8c1f3c52-0000-4000-8000-000000000001", {"status": "busy"})
    b'{"data":{"id":"8c1f3c52-0000-4000-8000-000000000001","type":"Call","attributes":{"status":"busy"}}}'
    """
    document = {"data": {"id": call_id, "type": _TYPE, "attributes": attributes}}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def with_source(rows: pa.Table, api_url: str | None, fetched_at: datetime | None) -> pa.Table:
    """Return the rows with the API they came from and the instant before they were asked for."""
    told = {"api_url": pa.scalar(api_url, pa.large_string()), "fetched_at": pa.scalar(fetched_at, _INSTANT)}
    for name, value in told.items():
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows, memory_pool=POOL))
    return rows


def calls_frame(tables: Sequence[pa.Table]) -> Calls:
    """Join answers to one frame of calls, in their order."""
    whole = pa.concat_tables(tables) if tables else CALLS.arrow.empty_table()
    return Calls(pd.DataFrame(arrow_to_frame(whole, CALLS)))
