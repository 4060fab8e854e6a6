"""What a query string asks for: its nested parameters, sort, fields, page, and what is wrong with them.

Input is the raw text behind the question mark; output is a `Query`, with every problem
found on the way collected, because the server reports them together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from sippet_reconcile.sandbox.filters import FIELD_TYPES
from sippet_reconcile.sandbox.problems import FrameworkError, Problem, inspect
from sippet_reconcile.schema import CALL_ATTRIBUTES

__all__ = ["RELATIONSHIPS", "Query", "decode_query", "read_query"]

RELATIONSHIPS: Final = ("conversation", "organisation")
"""The relationships of a call; they have no data here."""


_MOST_DIGITS: Final = 18
"""More digits than this are no 64-bit number."""


@dataclass
class Query:
    """The parameters of one request as the server understood them.

    Attributes
    ----------
    filter
        The nested filter; empty for none.
    sort
        Field and whether descending, in order; empty leaves the table's own order.
    fields
        The attributes to show; None for all.
    page
        The page parameters that were given; empty for none.
    problems
        What is wrong; where there are any, nothing is executed.
    """

    filter: Mapping[str, Any] = field(default_factory=dict)
    sort: list[tuple[str, bool]] = field(default_factory=list)
    fields: frozenset[str] | None = None
    page: Mapping[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def decode_query(text: str) -> dict[str, Any]:
    """Return a query string as nested parameters.

    ``a[b]=1`` nests, ``a[]=1`` lists, ``+`` is a space, and of two values for one name the
    last wins. Inside ``a[][b]`` everything lands in one map, which is how an ``or`` without
    indexes loses its first members.

    Raises
    ------
    FrameworkError
        400 where a decoded part is not UTF-8.

    Examples
    --------
    >>> decode_query("f[s][gte]=1&f[s][lt]=2&in[]=a&in[]=b&x=1&x=2")
    {'f': {'s': {'gte': '1', 'lt': '2'}}, 'in': ['a', 'b'], 'x': '2'}
    >>> decode_query("or[][status]=a&or[][status]=b")
    {'or': [{'status': 'b'}]}
    """
    params: dict[str, Any] = {}
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        if name:
            _assign(params, _parts(_decoded(name)), _decoded(value))
    return params


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise FrameworkError(400, is_parsed=False) from None


def _parts(name: str) -> list[str]:
    head, bracket, rest = name.partition("[")
    if not bracket or not name.endswith("]"):
        return [name]
    return [head, *rest[:-1].split("][")]


def _assign(container: dict[str, Any], parts: list[str], value: str) -> None:
    name, *rest = parts
    if not rest:
        container[name] = value
        return
    held = container.get(name)
    if rest[0] == "":
        if not isinstance(held, list):
            held = container[name] = []
        if len(rest) == 1:
            held.append(value)
            return
        if not (held and isinstance(held[-1], dict)):
            held.append({})
        _assign(held[-1], rest[1:], value)
        return
    if not isinstance(held, dict):
        held = container[name] = {}
    _assign(held, rest, value)


def read_query(text: str, *, path_params: Collection[str] = (), is_index: bool = True) -> Query:
    """Read a query string as the index, or the update, of calls does.

    Parameters
    ----------
    text
        The raw query string.
    path_params
        Names taken from the path; the same name in the query is a conflict.
    is_index
        Whether filter, sort and page are looked at; an update ignores them.

    Raises
    ------
    FrameworkError
        Where the real server fails outside its error handling.
    """
    params = decode_query(text)
    query = Query()
    for _ in [name for name in path_params if name in params][:1]:
        query.problems.append(Problem(400, "invalid_query", "InvalidQuery", "conflict path and query params"))
    _read_fields(params, query)
    if "include" in params:
        _read_include(params["include"], query)
    if is_index:
        _read_filter(params, query)
        if "sort" in params:
            _read_sort(params["sort"], query)
        if "page" in params:
            _read_page(params["page"], query)
    return query


def _invalid_query(path: list[str], detail: str) -> Problem:
    return Problem(
        400,
        "invalid_query",
        "InvalidQuery",
        f"{detail}, at {inspect(path)}.",
        pointer="/" + "/".join(path),
    )


def _read_filter(params: dict[str, Any], query: Query) -> None:
    value = params.get("filter", {})
    if isinstance(value, str):
        value = decode_query(value)
    if isinstance(value, dict):
        query.filter = value
    else:
        query.problems.append(
            Problem(400, "invalid_filter", "InvalidFilter", "Invalid filter", parameter="filter")
        )


def _read_sort(value: Any, query: Query) -> None:
    if not isinstance(value, str):
        query.problems.append(_invalid_sort(inspect(value)))
        query.problems.append(_invalid_query(["sort"], f'Expected "string", got {inspect(value)}'))
        return
    for name in value.split(","):
        bare = name.removeprefix("-")
        if bare in FIELD_TYPES:
            query.sort.append((bare, bare != name))
        else:
            query.problems.append(_invalid_sort(name))


def _invalid_sort(name: str) -> Problem:
    return Problem(400, "invalid_sort", "InvalidSort", f"Invalid sort field: {name}", parameter="sort")


def _read_fields(params: dict[str, Any], query: Query) -> None:
    value = params.get("fields")
    if isinstance(value, str):
        query.fields = _field_names(value, "fields", query)
    elif isinstance(value, dict):
        for kind, names in value.items():
            parameter = f"fields[{kind}]"
            if kind != "Call":
                query.problems.append(
                    Problem(400, "invalid_type", "Invalid Type", f"No such type {kind}", parameter=parameter)
                )
            elif isinstance(names, str):
                query.fields = _field_names(names, parameter, query)
            else:
                raise FrameworkError(500)


def _field_names(text: str, parameter: str, query: Query) -> frozenset[str]:
    names = text.split(",")
    query.problems.extend(
        Problem(
            400, "invalid_field", "InvalidField", f"Invalid field for type Call: {name}", parameter=parameter
        )
        for name in names
        if name not in CALL_ATTRIBUTES and name not in RELATIONSHIPS and name != "id"
    )
    return frozenset(names)


def _read_include(value: Any, query: Query) -> None:
    paths = [path.split(".") for path in value.split(",")] if isinstance(value, str) else value
    query.problems.append(
        Problem(
            400,
            "invalid_includes",
            "Invalid Includes",
            f"Invalid includes: {inspect(paths)}",
            parameter="include",
        )
    )


def _read_page(value: Any, query: Query) -> None:
    if not isinstance(value, dict):
        query.problems.append(
            Problem(
                400,
                "invalid_pagination",
                "InvalidPagination",
                "Invalid pagination: expected a map of page parameters",
                parameter="page",
            )
        )
        query.problems.append(_invalid_query(["page"], f'Expected "object", got {inspect(value)}'))
        return
    page: dict[str, Any] = {}
    for name, given in value.items():
        if name in {"limit", "offset"}:
            page[name] = _page_number(name, given, query)
        elif name == "count":
            if given not in {"true", "false"}:
                raise FrameworkError(500)
            page[name] = given == "true"
        elif name in {"after", "before"}:
            page[name] = given
    query.page = page


def _page_number(name: str, given: Any, query: Query) -> int:
    """Return a page parameter as a number; the server crashes on what is none."""
    digits = given.removeprefix("-") if isinstance(given, str) else ""
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MOST_DIGITS:
        raise FrameworkError(500)
    number = int(given)
    if number < 0:
        query.problems.append(
            _invalid_query(["page", name], f"Value {number} is less than minimum value of 0")
        )
    return number
