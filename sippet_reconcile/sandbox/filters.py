"""Which calls a ``filter`` selects: its nested form to a test of one call.

Input is the decoded query parameter (nested dictionaries, lists and texts); output a
`Where` that the store evaluates. Comparisons with a missing value are neither true nor
false, as in the database behind the real server, so ``not`` does not bring such rows back.
"""

from __future__ import annotations

import operator
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sippet_reconcile.sandbox.instants import parse_instant
from sippet_reconcile.sandbox.problems import Refusal, something_went_wrong

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["FIELD_TYPES", "Test", "Where", "compile_filter"]

Test: TypeAlias = Callable[[Mapping[str, Any]], bool | None]
"""A test of one call's values (``id`` among them): true, false, or unknown."""

FIELD_TYPES: Final[Mapping[str, str]] = {
    "id": "uuid",
    "call_uuid": "text",
    "direction": "direction",
    "from_number": "text",
    "to_number": "text",
    "sip_username": "text",
    "status": "status",
    "call_source": "text",
    "started_at": "instant",
    "ended_at": "instant",
    "duration_seconds": "integer",
    "conversation_id": "uuid",
}
"""What each filterable field holds."""

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    **dict.fromkeys(("eq", "equals", "=="), operator.eq),
    **dict.fromkeys(("not_eq", "not_equals", "!="), operator.ne),
    **dict.fromkeys(("greater_than", "gt", ">"), operator.gt),
    **dict.fromkeys(("greater_than_or_equal", "gte", ">="), operator.ge),
    **dict.fromkeys(("less_than", "lt", "<"), operator.lt),
    **dict.fromkeys(("less_than_or_equal", "lte", "<="), operator.le),
}
_TEXT_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda held, wanted: wanted in held,
    "string_starts_with": str.startswith,
    "string_ends_with": str.endswith,
    "like": lambda held, wanted: _like(wanted, re.DOTALL).fullmatch(held) is not None,
    "ilike": lambda held, wanted: _like(wanted, re.DOTALL | re.IGNORECASE).fullmatch(held) is not None,
}
_MOST_DIGITS: Final = 18
_FLAGS: Final = {"true": True, "1": True, "false": False, "0": False}
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass
class Where:
    """What is asked for: the part an index answers, and the tests for the rest.

    Attributes
    ----------
    low, high
        Microseconds that ``started_at`` must reach, and stay below; None for no bound.
    is_unstarted
        True where only calls without ``started_at`` are asked for.
    ids
        The only ids asked for; None for any.
    tests
        What each call must pass besides.
    """

    low: int | None = None
    high: int | None = None
    is_unstarted: bool = False
    ids: set[str] | None = None
    tests: list[Test] = field(default_factory=list)

    def accepts(self, values: Mapping[str, Any]) -> bool:
        """Tell whether a call passes every test; the bounds and ids are the store's part."""
        return all(test(values) is True for test in self.tests)


def is_uuid(text: str) -> bool:
    """Tell whether a text is a UUID with dashes, in either case."""
    return _UUID.fullmatch(text) is not None


def compile_filter(tree: Mapping[str, Any], vocabularies: Mapping[str, Collection[str]]) -> Where:
    """Turn a filter into what the store evaluates.

    Attributes can be filtered on; relationships, which have no data here, cannot.

    Parameters
    ----------
    tree
        The decoded ``filter`` parameter.
    vocabularies
        The members of the enums ``status`` and ``direction``.

    Raises
    ------
    Refusal
        With the error that names no cause, as the server does for every bad filter.
    """
    return _Compiler(vocabularies).root(tree)


class _Compiler:
    def __init__(self, vocabularies: Mapping[str, Collection[str]]) -> None:
        self._vocabularies = vocabularies

    def root(self, tree: Mapping[str, Any]) -> Where:
        where = Where()
        for name, value in tree.items():
            for test in self._member(name, value, where):
                where.tests.append(test)
        return where

    def _node(self, tree: object) -> Test:
        if not isinstance(tree, Mapping):
            raise Refusal([something_went_wrong()])
        tests = [test for name, value in tree.items() for test in self._member(name, value, None)]
        return partial(_all, tests)

    def _member(self, name: str, value: Any, where: Where | None) -> list[Test]:
        if name in {"and", "or"}:
            tests = [self._node(item) for item in _items(value)]
            return [partial(_all if name == "and" else _any, tests)]
        if name == "not":
            return [partial(_not, partial(_all, [self._node(item) for item in _items(value)]))]
        if name not in FIELD_TYPES:
            raise Refusal([something_went_wrong()])
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        operands = value if isinstance(value, Mapping) else {"eq": value}
        return [
            test
            for op, operand in operands.items()
            if (test := self._predicate(name, op, operand, where)) is not None
        ]

    def _predicate(self, name: str, op: str, operand: Any, where: Where | None) -> Test | None:
        if op == "is_nil":
            return _nil_test(name, operand, where)
        if op == "in":
            wanted = {self._cast(name, item) for item in _members(operand)} - {None}
            if where is not None and name == "id":
                where.ids = wanted if where.ids is None else where.ids & wanted
                return None
            return partial(_in, name, wanted)
        if not isinstance(operand, str):
            raise Refusal([something_went_wrong()])
        if op in _TEXT_TESTS and FIELD_TYPES[name] == "text":
            return partial(_compare, name, _TEXT_TESTS[op], operand or None)
        wanted_value = self._cast(name, operand)
        if op in {"is_distinct_from", "is_not_distinct_from"}:
            return partial(_distinct, name, wanted_value, op == "is_distinct_from")
        if op not in _COMPARISONS:
            raise Refusal([something_went_wrong()])
        compare = _COMPARISONS[op]
        if where is not None and wanted_value is not None and _narrow(where, name, compare, wanted_value):
            return None
        return partial(_compare, name, compare, wanted_value)

    def _cast(self, name: str, text: str) -> Any:
        """Return the value a text stands for in a field; empty is none, as the server casts it."""
        kind = FIELD_TYPES[name]
        if "\0" in text:
            raise Refusal([something_went_wrong(500)])
        if kind in self._vocabularies:
            if text not in self._vocabularies[kind]:
                raise Refusal([something_went_wrong()])
            return text
        if not text:
            return None
        try:
            if kind == "instant":
                return parse_instant(text)
            if kind == "integer":
                return _whole_number(text)
        except ValueError:
            raise Refusal([something_went_wrong()]) from None
        if kind == "uuid":
            if not is_uuid(text):
                raise Refusal([something_went_wrong()])
            return str(uuid.UUID(text))
        return text


def _whole_number(text: str) -> int:
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) is None:
        msg = "not a whole number"
        raise ValueError(msg)
    return int(text)


def _items(value: Any) -> list[Any]:
    """Return the members of an ``and``, ``or`` or ``not``: a list, an indexed map, or one map alone."""
    if isinstance(value, list):
        return value
    if isinstance(value, Mapping):
        return _indexed(value) if _is_indexed(value) else [value]
    raise Refusal([something_went_wrong()])


def _members(value: Any) -> list[str]:
    """Return the values of an ``in``, which must be a list or an indexed map of texts."""
    if isinstance(value, Mapping) and _is_indexed(value):
        value = _indexed(value)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refusal([something_went_wrong()])
    return value


def _is_indexed(value: Mapping[str, Any]) -> bool:
    return bool(value) and all(key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS for key in value)


def _indexed(value: Mapping[str, Any]) -> list[Any]:
    return [value[key] for key in sorted(value, key=int)]


def _narrow(where: Where, name: str, compare: Callable[[Any, Any], bool], wanted: Any) -> bool:
    """Let the store's indexes answer a comparison at the top of a filter, where they can."""
    if name == "id" and compare is operator.eq:
        where.ids = {wanted} if where.ids is None else where.ids & {wanted}
        return True
    if name != "started_at" or compare is operator.ne:
        return False
    if compare in {operator.ge, operator.gt, operator.eq}:
        low = wanted + (compare is operator.gt)
        where.low = low if where.low is None else max(where.low, low)
    if compare in {operator.lt, operator.le, operator.eq}:
        high = wanted + (compare is not operator.lt)
        where.high = high if where.high is None else min(where.high, high)
    return True


def _nil_test(name: str, operand: Any, where: Where | None) -> Test | None:
    if not isinstance(operand, str) or operand not in _FLAGS:
        raise Refusal([something_went_wrong(500)])
    is_nil = _FLAGS[operand]
    if where is not None and name == "started_at" and is_nil:
        where.is_unstarted = True
        return None
    return partial(_is_nil, name, is_nil)


def _like(pattern: str, flags: int) -> re.Pattern[str]:
    """Return an SQL pattern as a regular expression."""
    pieces: list[str] = []
    escaped = False
    for char in pattern:
        if escaped:
            pieces.append(re.escape(char))
            escaped = False
        elif char == "\\":
            escaped = True
        else:
            pieces.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
    return re.compile("".join(pieces), flags)


def _all(tests: list[Test], values: Mapping[str, Any]) -> bool | None:
    results = [test(values) for test in tests]
    return False if False in results else None if None in results else True


def _any(tests: list[Test], values: Mapping[str, Any]) -> bool | None:
    results = [test(values) for test in tests]
    return True if True in results else None if None in results else False


def _not(test: Test, values: Mapping[str, Any]) -> bool | None:
    result = test(values)
    return None if result is None else not result


def _in(name: str, wanted: set[Any], values: Mapping[str, Any]) -> bool | None:
    held = values[name]
    return None if held is None else held in wanted


def _compare(
    name: str, compare: Callable[[Any, Any], bool], wanted: Any, values: Mapping[str, Any]
) -> bool | None:
    held = values[name]
    return None if held is None or wanted is None else compare(held, wanted)


def _distinct(name: str, wanted: Any, is_distinct: bool, values: Mapping[str, Any]) -> bool:  # noqa: FBT001 - bound by partial
    return (values[name] != wanted) is is_distinct


def _is_nil(name: str, is_nil: bool, values: Mapping[str, Any]) -> bool:  # noqa: FBT001 - bound by partial
    return (values[name] is None) is is_nil
