"""Filters of the index: checked here, then encoded so that the server reads what was meant.

The server answers a mistyped filter with an unnamed error at best and with everything
at worst, so names, operators and values are checked before anything is sent, ``in``
is always written ``[in][]`` with at least one value, ``or`` and ``and`` carry numbers,
and every value is percent-encoded (a bare ``+`` would arrive as a space).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import pandas as pd

from sippet_reconcile.api.documents import UUID
from sippet_reconcile.errors import InputError
from sippet_reconcile.schema import CALL_ATTRIBUTES, MAX_SECONDS
from sippet_reconcile.values import INSTANT_FIELDS, SECONDS_FIELDS, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MAX_IDS",
    "MAX_TARGET",
    "Pairs",
    "chunk_ids",
    "filter_pairs",
    "ids_of_one_read",
    "instant_text",
    "target_of",
    "valid_id",
    "valid_ids",
    "window_pairs",
]

Pairs = list[tuple[str, str]]
"""Query parameters in order, not encoded yet."""

MAX_IDS: Final = 50
"""Ids in one read: about 3,500 bytes of URL."""

MAX_TARGET: Final = 4_000
"""Bytes of path and query at most; common servers and proxies refuse about twice that."""

_SORT: Final = ("sort", "started_at,id")
_COMPARE: Final = {
    "gt": "greater_than",
    "gte": "greater_than_or_equal",
    "lt": "less_than",
    "lte": "less_than_or_equal",
}
_LONG: Final = {long: short for short, long in _COMPARE.items()}
_EQUAL: Final = ("eq", "not_eq", "is_distinct_from", "is_not_distinct_from")
_TEXT: Final = ("contains", "string_starts_with", "string_ends_with")
_UUIDS: Final = frozenset({"id", "conversation_id"})
_ENUMS: Final = frozenset({"status", "direction"})
_GROUPS: Final = ("and", "or", "not")
_LISTS: Final = (Sequence, set, frozenset, pd.Series, pd.Index)
_KNOWN: Final = ("id", *CALL_ATTRIBUTES)


def valid_id(value: object) -> str:
    """Return an id of a call in lower case, or raise before it reaches a URL.

    Examples
    --------
    >>> valid_id(" 8C1F3C52-0000-4000-8000-000000000001")
    '8c1f3c52-0000-4000-8000-000000000001'
    """
    text = value.strip().lower() if isinstance(value, str) else ""
    if UUID.fullmatch(text) is None:
        shown = f"text of {len(value)} characters" if isinstance(value, str) else type(value).__name__
        msg = (
            f"a call id must be a UUID such as '8c1f3c52-0000-4000-8000-000000000001', got {shown}; "
            "the id is the column 'id' of the calls, not 'call_uuid'"
        )
        raise InputError(msg)
    return text


def valid_ids(ids: Iterable[object]) -> list[str]:
    """Return ids in lower case, each once, in the order of their first mention.

    Raises
    ------
    InputError
        Counting the values that are none, and naming the position of the first.
    """
    values = [ids] if isinstance(ids, str) else list(ids)
    good: dict[str, None] = {}
    bad: list[int] = []
    for position, value in enumerate(values):
        text = value.strip().lower() if isinstance(value, str) else ""
        if UUID.fullmatch(text):
            good[text] = None
        else:
            bad.append(position)
    if bad:
        msg = (
            f"{len(bad)} of {len(values)} call ids are no UUIDs, the first at position {bad[0]}; drop missing "
            "values first, and note that the id is the column 'id' of the calls, not 'call_uuid'"
        )
        raise InputError(msg)
    return list(good)


def instant_text(value: object, what: str) -> str:
    """Return an aware datetime, or an ISO 8601 text with a zone, in API form.

    Examples
    --------
    >>> instant_text("2026-10-01T09:00:00+01:00", "started_at")
    '2026-10-01T08:00:00Z'
    """
    at: datetime | None = None
    if isinstance(value, datetime):  # NaT calls itself one, and a Timestamp is one with nanoseconds
        if not pd.isna(value):
            at = value.to_pydatetime(warn=False) if isinstance(value, pd.Timestamp) else value
    elif isinstance(value, str):
        try:
            has_zone = datetime.fromisoformat(value.strip()).utcoffset() is not None
            at = parse_instant(value) if has_zone else None
        except (ValueError, OverflowError):
            at = None
    if at is None or at.utcoffset() is None:
        msg = f"{what} must be an instant with a time zone, such as '2026-10-01T08:00:00Z', got {value!r}"
        raise InputError(msg)
    try:
        text = at.astimezone(UTC).isoformat()
    except OverflowError:
        msg = f"{what} {value!r} is outside the years 1 to 9999 in UTC"
        raise InputError(msg) from None
    return text.replace("+00:00", "Z")


def _value(name: str, value: object) -> str:
    what = f"the filter on {name}"
    if name in INSTANT_FIELDS:
        return instant_text(value, what)
    if name in SECONDS_FIELDS:
        if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= int(value) <= MAX_SECONDS:
            msg = f"{what} must be whole seconds from 0 to {MAX_SECONDS}, got {value!r}"
            raise InputError(msg)
        return str(int(value))
    text = value.strip() if isinstance(value, str) else ""
    if not text or "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        msg = f"{what} needs text that is not empty (None asks for calls without a value), got {type(value).__name__}"
        raise InputError(msg)
    if name in _UUIDS and UUID.fullmatch(text.lower()) is None:
        msg = f"{what} must be a UUID"
        raise InputError(msg)
    return text


def _members(name: str, values: object) -> list[str]:
    if isinstance(values, str) or not isinstance(values, _LISTS):
        msg = f"'in' of the filter on {name} must be a list of values"
        raise InputError(msg)
    members = [_value(name, value) for value in values]
    if not members:
        msg = f"the list in the filter on {name} is empty: it would match nothing, or be dropped and match everything"
        raise InputError(msg)
    return sorted(members) if isinstance(values, set | frozenset) else members


def _operators(name: str) -> list[str]:
    ordered = name in INSTANT_FIELDS or name in SECONDS_FIELDS
    words = not ordered and name not in _UUIDS | _ENUMS
    return [*_EQUAL, "in", "is_nil", *(_COMPARE if ordered else ()), *(_TEXT if words else ())]


def _condition(prefix: str, name: str, operator: str, value: object) -> Pairs:
    short = _LONG.get(operator, operator)
    if short not in _operators(name):
        msg = f"the filter on {name} knows no operator {operator!r}; it knows {', '.join(_operators(name))}"
        raise InputError(msg)
    key = f"{prefix}[{name}][{short}]"
    if short == "in":
        return [(f"{key}[]", member) for member in _members(name, value)]
    if short == "is_nil":
        if not isinstance(value, bool):
            msg = f"'is_nil' of the filter on {name} must be True or False, got {value!r}"
            raise InputError(msg)
        return [(key, "true" if value else "false")]
    return [(key, _value(name, value))]


def filter_pairs(filters: Mapping[str, Any] | None, prefix: str = "filter") -> Pairs:
    """Return the query parameters of a filter, checked.

    Parameters
    ----------
    filters
        Attribute to a value (equal), a list (any of them), None (has no value) or
        operators, such as ``{"status": ["completed", "busy"], "duration_seconds": {"gte": 60}}``.
        ``"and"`` and ``"or"`` take a list of such filters, ``"not"`` takes one.
    prefix
        The parameter that the filter is nested in.

    Raises
    ------
    InputError
        Where an attribute, an operator or a value is not one, or a list is empty.

    Examples
    --------
    >>> filter_pairs({"direction": "inbound", "status": ["completed", "busy"]})
    [('filter[direction][eq]', 'inbound'), ('filter[status][in][]', 'completed'), ('filter[status][in][]', 'busy')]
    """
    if filters is None:
        return []
    if not isinstance(filters, Mapping):
        msg = f"filters must be a dict such as {{'direction': 'inbound'}}, got {type(filters).__name__}"
        raise InputError(msg)
    pairs: Pairs = []
    for name, wanted in filters.items():
        if name in _GROUPS:
            pairs += _group(prefix, name, wanted)
        elif name not in _KNOWN:
            msg = f"filters know no attribute {name!r}; they know {', '.join(_KNOWN)}"
            raise InputError(msg)
        elif isinstance(wanted, Mapping):
            _refuse_empty(name, wanted)
            _refuse_repeated(name, wanted)
            pairs += chain.from_iterable(
                _condition(prefix, name, str(op), value) for op, value in wanted.items()
            )
        elif wanted is None:
            pairs += _condition(prefix, name, "is_nil", value=True)
        else:
            is_list = isinstance(wanted, _LISTS) and not isinstance(wanted, str)
            pairs += _condition(prefix, name, "in" if is_list else "eq", wanted)
    return pairs


def _refuse_repeated(name: str, wanted: Mapping[Any, Any]) -> None:
    operators = [_LONG.get(str(operator), str(operator)) for operator in wanted]
    if len(set(operators)) < len(operators):
        msg = f"the filter on {name} names one operator twice ({', '.join(map(str, wanted))}): only one of the two would hold"
        raise InputError(msg)


def _refuse_empty(name: str, wanted: object) -> None:
    if not isinstance(wanted, Mapping) or not wanted:
        msg = f"the filter on {name} is empty or no dict: it would be dropped, and everything match"
        raise InputError(msg)


def _group(prefix: str, name: str, wanted: object) -> Pairs:
    """Return the parameters of ``not``, ``and`` and ``or``; the latter two carry numbers."""
    if name == "not":
        _refuse_empty(name, wanted)
        return filter_pairs(wanted, f"{prefix}[not]")  # type: ignore[arg-type]  # a mapping, as just checked
    if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not wanted or not all(wanted):
        msg = f"{name!r} in filters takes a list of filters that are not empty"
        raise InputError(msg)
    numbered = (filter_pairs(part, f"{prefix}[{name}][{index}]") for index, part in enumerate(wanted))
    return list(chain.from_iterable(numbered))


def window_pairs(start: datetime | None, end: datetime | None, filters: Mapping[str, Any] | None) -> Pairs:
    """Return the parameters of one window of ``started_at``, or of the calls that never started.

    The caller's own filter goes into ``and`` wherever the same key sent twice would
    let one of the two win in silence.
    """
    own = filters or {}
    clashes = {"started_at", "and"} & set(own)
    pairs = filter_pairs(own, "filter[and][0]" if clashes else "filter")
    if start is None and end is None:
        return [("filter[started_at][is_nil]", "true"), *pairs]
    ends = (("gte", start), ("lt", end))
    window = [
        (f"filter[started_at][{op}]", instant_text(at, "the window")) for op, at in ends if at is not None
    ]
    return [*window, *pairs]


def target_of(path: str, pairs: Pairs, *, extra: Pairs | None = None) -> str:
    """Return path and query, encoded, in the total order that makes answers repeatable.

    Raises
    ------
    InputError
        If it is longer than `MAX_TARGET` bytes.

    Examples
    --------
    >>> target_of("/api/calls", filter_pairs({"from_number": "+15550000001"}))
    '/api/calls?filter%5Bfrom_number%5D%5Beq%5D=%2B15550000001&sort=started_at,id'
    """
    query = "&".join(
        f"{quote(key, safe='')}={quote(value, safe=',:')}" for key, value in [*pairs, _SORT, *(extra or [])]
    )
    target = f"{path}?{query}"
    if len(target) > MAX_TARGET:
        msg = (
            f"the filters make a request of {len(target):,} bytes, more than the {MAX_TARGET:,} that servers take "
            "safely; shorten their lists, or fetch without them and select in pandas"
        )
        raise InputError(msg)
    return target


def ids_of_one_read(ids: Sequence[str]) -> list[str]:
    """Return checked ids, as many as one read may ask for.

    Raises
    ------
    InputError
        Where there are none, too many, or one is no UUID.
    """
    wanted = valid_ids(ids)
    if not 0 < len(wanted) <= MAX_IDS:
        msg = f"one read takes 1 to {MAX_IDS} ids, got {len(wanted)}"
        raise InputError(msg)
    return wanted


def chunk_ids(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    """Return the ids in chunks of at most so many.

    Examples
    --------
    >>> chunk_ids(["a", "b", "c"], 2)
    [['a', 'b'], ['c']]
    """
    return [ids[start : start + size] for start in range(0, len(ids), size)]
