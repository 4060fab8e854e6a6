"""Find members of members in many records at once: ``"from.number"``, ``"callflow.0.times.hangup_time"``.

Input are the records of one piece of a file, output is a list of values per path, one
per record. What two paths have in common is walked once.
"""

from __future__ import annotations

from itertools import chain
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final

from sippet_reconcile.cdr.json_values import Repeated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Nested", "names_inside", "twice"]

_DEEPEST: Final = 5
_MOST: Final = 4096  # names that are looked at


def twice(names: Iterable[str]) -> str:
    """Say that members of an object are named twice."""
    return f"{', '.join(map(repr, names))} stands in it twice with different values"


class Nested:
    """The members of members of some records.

    Examples
    --------
    >>> calls = Nested([{"to": {"number": "1001"}, "log": [{"app": "bridge"}]}, {"to": None}])
    >>> calls.at("to.number"), calls.at("log.0.app"), calls.at("to.type")
    (['1001', None], ['bridge', None], None)
    """

    def __init__(self, records: Sequence[Any]) -> None:
        self._cells: dict[str, Sequence[Any]] = {"": records}
        self._told: dict[str, list[str | None]] = {}

    def at(self, path: str, *, is_exact: bool = True) -> list[Any] | None:
        """Return what stands at a path in each record, None where nothing does.

        The whole result is None where no record has such a member. Unless the path is
        exact, a name in it may hold points of its own, as names of SIP headers may.
        """
        above, rest = "", path
        while True:
            outer = self._cells[above]
            if "." not in rest or (not is_exact and _have(outer, rest)):
                break
            name, _, rest = rest.partition(".")
            here = f"{above}.{name}" if above else name
            if here not in self._cells:
                self._cells[here] = _members(outer, name)
            above = here
        found = _members(outer, rest)
        if all(cell is None for cell in found) and not _have(outer, rest):
            return None
        if Repeated in set(map(type, outer)) and above:
            self._tell(above, outer, rest)
        return found

    def is_object(self, name: str) -> bool:
        """Tell whether a member of the records is an object in any of them."""
        return any(isinstance(cell, dict) for cell in _members(self._cells[""], name))

    def told(self) -> Iterable[list[str | None]]:
        """Return, per object that names a member twice that was looked at, what is wrong with each record."""
        return self._told.values()

    def _tell(self, above: str, outer: Sequence[Any], name: str) -> None:
        told = self._told.setdefault(f"{above}.{name}", [None] * len(outer))
        for row, cell in enumerate(outer):
            if isinstance(cell, Repeated) and name in cell.names:
                told[row] = twice([f"{above}.{name}"])


def _members(outer: Sequence[Any], name: str) -> list[Any]:
    kinds = set(map(type, outer))
    if name.isdecimal() and not kinds.isdisjoint({list, dict}):
        return [_element(cell, name) for cell in outer]
    if kinds == {dict}:
        return list(map(methodcaller("get", name), outer))
    return [cell.get(name) if isinstance(cell, dict) else None for cell in outer]


def _element(cell: Any, name: str) -> Any:
    """Return an element of a list; what stands in the place of a list, as in XML, is one of a single element."""
    place = int(name)
    if isinstance(cell, list):
        return cell[place] if place < len(cell) else None
    return cell.get(name, cell if place == 0 else None) if isinstance(cell, dict) else None


def _have(outer: Sequence[Any], name: str) -> bool:
    if name.isdecimal():
        return any(_element(cell, name) is not None for cell in outer)
    return any(name in cell for cell in outer if isinstance(cell, dict))


def names_inside(records: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Return the paths of the members of members of some records; of a list, only its first element is looked at.

    Examples
    --------
    >>> sorted(names_inside([{"sid": "a", "to": {"number": "1"}, "log": [{"app": "x"}]}]))
    ['log.0', 'log.0.app', 'to.number']
    """
    found: set[str] = set()
    for record in records:
        for path in chain.from_iterable(_paths(member, name, 1) for name, member in record.items()):
            found.add(path)
            if len(found) >= _MOST:
                return frozenset(found)
    return frozenset(found)


def _paths(value: Any, path: str, depth: int) -> Iterator[str]:
    if depth >= _DEEPEST:
        return
    members = value.items() if isinstance(value, dict) else [("0", value[0])] if _is_filled(value) else ()
    for name, member in members:
        inner = f"{path}.{name}"
        yield inner
        if isinstance(member, dict | list):
            yield from _paths(member, inner, depth + 1)


def _is_filled(value: Any) -> bool:
    return isinstance(value, list) and bool(value)
