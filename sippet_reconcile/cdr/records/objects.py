"""Turn JSON objects into the text columns that formats read, without looking at single rows where they are regular.

Input are decoded bytes, output is a `RawTable`: one row per record, whatever stands in
its place. Of members that nobody reads only the hash is kept.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import reduce
from itertools import chain, islice, repeat
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.cdr.nested import Nested, twice
from sippet_reconcile.cdr.records.json_text import PIECE, Broken, JsonRecords, Repeated
from sippet_reconcile.cdr.spec import column_key
from sippet_reconcile.cdr.tables import TEXT, RawTable
from sippet_reconcile.errors import CdrFormatError
from sippet_reconcile.keys import combine_hashes, hash_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["Wanted", "first_objects", "read_objects", "table_of_records"]

_KINDS: Final = {"{": "an object", "[": "a list", "t": "a yes/no", "f": "a yes/no"}
_DEEPEST: Final = 50
_NOT_UNICODE: Final = "{!r} holds text that is not Unicode"

IsRecord: TypeAlias = "Callable[[dict[str, Any]], bool]"


@dataclass(frozen=True)
class Wanted:
    """What is read of each record; members that are not are columns without values.

    Parameters
    ----------
    names
        The members that are given a meaning, in comparable form. A record in which one
        of them is neither text nor a number has a problem.
    kept
        Further members; objects and lists in them are JSON again. ``"from.type"`` is a
        member of a member.
    paths
        Members of members that are given a meaning.
    """

    names: frozenset[str]
    kept: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    @property
    def all_paths(self) -> tuple[str, ...]:
        """The paths that are given a meaning, then those that are kept."""
        return (*self.paths, *sorted(name for name in self.kept if "." in name and name not in self.paths))


@dataclass(frozen=True, eq=False)
class _Piece:
    """Some records: the columns that are read, the names of all, and one reason per row that is no use."""

    columns: dict[str, pa.LargeStringArray]
    names: tuple[str, ...]
    hashes: NDArray[np.uint64]
    problem: pa.LargeStringArray | None


def first_objects(data: bytes, where: str, n: int, is_record: IsRecord | None = None) -> list[dict[str, Any]]:
    """Return the first objects of a JSON text.

    `is_record` is that of `JsonRecords`.

    Raises
    ------
    CdrFormatError
        If it begins like JSON and is none, or holds records and none of them is an object.
    """
    problem: str | None = None
    is_broken = False
    for values in _records(data, where, is_record, PIECE):
        objects = list(islice((value for value in values if isinstance(value, dict)), n))
        if objects:
            return objects
        for value in values[:1]:
            is_broken = isinstance(value, Broken)
            problem = value.problem if isinstance(value, Broken) else "the JSON holds no list of objects"
    if problem is not None:
        hint = "copy it again" if is_broken else "export the list of calls itself"
        msg = f"{where}: {problem}; {hint}"
        raise CdrFormatError(msg)
    return []


def _records(data: bytes, where: str, is_record: IsRecord | None, piece: int) -> JsonRecords:
    if is_record is None:
        return JsonRecords(data, where, piece=piece, mend=True)
    return JsonRecords(data, where, piece=piece, mend=True, is_record=is_record)


def read_objects(
    data: bytes, where: str, wanted: Wanted, is_record: IsRecord | None = None, *, piece: int = PIECE
) -> RawTable:
    """Return the records of a JSON text, numbered from 1.

    Raises
    ------
    CdrFormatError
        If it cannot be told where a record ends.
    """
    records = _records(data, where, is_record, piece)
    return table_of_records(records, wanted, lambda: tuple(records.notes))


def table_of_records(
    pieces_of_records: Iterable[list[Any]], wanted: Wanted, notes: Callable[[], tuple[str, ...]] = tuple
) -> RawTable:
    """Return records as text columns, numbered from 1; `notes` are asked for when all of them were seen."""
    pieces = [_piece(values, wanted) for values in pieces_of_records if values]
    sizes = [len(part.hashes) for part in pieces]
    rows = np.arange(1, sum(sizes) + 1, dtype=np.int64)
    empty = pa.nulls(len(rows), TEXT)
    read = {name for part in pieces for name in part.columns}

    def joined(name: str) -> pa.LargeStringArray:
        parts = (part.columns.get(name) for part in pieces)
        return _concat(parts, sizes)

    names = dict.fromkeys(name for part in pieces for name in part.names)
    problem = None
    if any(part.problem is not None for part in pieces):
        problem = _concat((part.problem for part in pieces), sizes)
    return RawTable(
        {name: joined(name) if name in read else empty for name in names},
        rows,
        np.concatenate([part.hashes for part in pieces]) if pieces else np.zeros(0, np.uint64),
        problem,
        notes(),
    )


def _concat(parts: Iterable[pa.LargeStringArray | None], sizes: list[int]) -> pa.LargeStringArray:
    return pa.concat_arrays(
        [pa.nulls(n, TEXT) if part is None else part for part, n in zip(parts, sizes, strict=True)]
    )


def _piece(values: list[Any], wanted: Wanted) -> _Piece:
    reasons: list[pa.LargeStringArray] = []
    hashes = np.zeros(len(values), np.uint64)
    records = values
    if set(map(type, values)) != {dict}:
        records, texts, told = _set_right(values)
        reasons.append(pa.array(told, TEXT))
        hashes += _scrambled(pa.array(texts, TEXT), "")
    names = tuple(dict.fromkeys(chain.from_iterable(records)))
    columns: dict[str, pa.LargeStringArray] = {}
    outer = {path.partition(".")[0] for path in wanted.paths}

    def read(name: str, cells: list[Any], plain: pa.LargeStringArray | None, *, is_understood: bool) -> None:
        column, wrong = (plain, None) if plain is not None else _printed(name, cells)
        if is_understood and wrong is not None:
            column = pc.if_else(wrong.is_valid(), pa.scalar(None, TEXT), column)
            reasons.append(_but_objects(name, wrong) if name in outer else wrong)
        columns[_spelled(name)] = column

    for name in names:
        cells = list(map(methodcaller("get", name), records))
        plain = _plain(cells)
        hashes += _hashes(cells, plain, name)
        is_understood = column_key(name) in wanted.names
        if is_understood or name in wanted.kept:
            read(name, cells, plain, is_understood=is_understood)
    nested = Nested(records)
    for path in wanted.all_paths:
        if _spelled(path) in columns:
            continue
        inner = nested.at(path, is_exact=path in wanted.paths)
        if inner is None and path in wanted.kept and nested.is_object(path.partition(".")[0]):
            inner = [None] * len(records)  # not every call has every variable
        if inner is not None:
            read(path, inner, _plain(inner), is_understood=path in wanted.paths)
    reasons += [pa.array(told, TEXT) for told in nested.told()]
    every = (*map(_spelled, names), *(name for name in columns if name not in names))
    return _Piece(columns, every, hashes, reduce(_both, reasons) if reasons else None)


def _but_objects(name: str, wrong: pa.LargeStringArray) -> pa.LargeStringArray:
    """Take objects for right where a member is read as text or, by a path, as an object."""
    return pc.if_else(pc.equal(wrong, _words(name, _KINDS["{"])), pa.scalar(None, TEXT), wrong)


def _spelled(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _both(left: pa.LargeStringArray, right: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return both reasons where there are two, else the one there is."""
    return pc.coalesce(pc.binary_join_element_wise(left, right, pa.scalar("; ", TEXT)), left, right)


def _plain(cells: list[Any]) -> pa.LargeStringArray | None:
    """Return values as text; None where not all of them are text or missing."""
    try:
        return pa.array(cells, TEXT)
    except (pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):
        return None


def _hashes(
    cells: list[Any], plain: pa.LargeStringArray | None, path: str, depth: int = 0
) -> NDArray[np.uint64]:
    """Return a number per value; that of an object is made of its members', in whatever order they stand."""
    if plain is not None:
        return _scrambled(plain, path)
    if depth > _DEEPEST:
        return _scrambled(_printed(path, cells)[0], path)
    hashes = np.zeros(len(cells), np.uint64)
    if not set(map(type, cells)) <= {dict, type(None)}:
        rest = [None if isinstance(cell, dict) else cell for cell in cells]
        cells = [cell if isinstance(cell, dict) else None for cell in cells]
        hashes += _scrambled(_printed(path, rest)[0], path)
    filled = np.fromiter(map(bool, cells), bool, len(cells))
    objects = list(filter(None, cells))
    for name in dict.fromkeys(chain.from_iterable(objects)):
        members = list(map(methodcaller("get", name), objects))
        hashes[filled] += _hashes(members, _plain(members), f"{path}\x1f{name}", depth + 1)
    return hashes


def _scrambled(column: pa.LargeStringArray, path: str) -> NDArray[np.uint64]:
    """Return a number per value that depends on the member it is of; 0 where it is missing."""
    if column.null_count == len(column):
        return np.zeros(len(column), np.uint64)
    hashes = combine_hashes([hash_text(column), hash_text(pa.array([_spelled(path)], TEXT))])
    if column.null_count:
        hashes[np.asarray(column.is_null())] = 0
    return hashes


def _set_right(values: list[Any]) -> tuple[list[Mapping[str, Any]], list[str | None], list[str | None]]:
    """Return an object for every record, the text of what is none, and why a record is no use."""
    records: list[Mapping[str, Any]] = []
    texts: list[str | None] = []
    told: list[str | None] = []
    for value in values:
        problem: str | None = None
        if isinstance(value, Broken):
            problem = value.problem
        elif isinstance(value, Repeated):
            problem = twice(value.names)
        elif not isinstance(value, dict):
            problem = f"the record is {_kind(value)}, not an object"
        is_object = isinstance(value, dict)
        records.append(value if is_object else {})
        texts.append(None if is_object else value.text if isinstance(value, Broken) else json.dumps(value))
        told.append(problem)
    return records, texts, told


def _kind(value: Any) -> str:
    return "plain text" if isinstance(value, str) else _KINDS.get(json.dumps(value)[0], "nothing")


def _printed(name: str, cells: list[Any]) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
    """Return one member of all records as text, and for rows where it is no text what it is instead."""
    if str not in set(map(type, cells)):
        texts = pa.array(_json_texts(cells), TEXT)
        texts = pc.if_else(pc.equal(texts, "null"), pa.scalar(None, TEXT), texts)
        return texts, _not_text(name, pc.utf8_slice_codeunits(texts, 0, 1))
    mixed = list(_mixed(name, cells))
    return pa.array([text for text, _ in mixed], TEXT), pa.array([told for _, told in mixed], TEXT)


def _mixed(name: str, cells: list[Any]) -> Iterator[tuple[str | None, str | None]]:
    for cell in cells:
        if isinstance(cell, str):
            text = _spelled(cell)
            yield text, None if text == cell else _NOT_UNICODE.format(name)
        else:
            yield (
                (None, None)
                if cell is None
                else (json.dumps(cell, sort_keys=True), _words(name, _kind(cell)))
            )


def _words(name: str, kind: str) -> str:
    return f"{_spelled(name)!r} is {kind}, not text"


def _not_text(name: str, initials: pa.LargeStringArray) -> pa.LargeStringArray:
    kinds = pa.array([_words(name, kind) for kind in _KINDS.values()], TEXT)
    return kinds.take(pc.index_in(initials, pa.array(list(_KINDS), TEXT)))


def _json_texts(cells: list[Any]) -> list[str]:
    """Print each value as JSON, all in one go; what stands between them is made up anew each time."""
    between = uuid.uuid4().hex
    printed = json.dumps(list(chain.from_iterable(zip(cells, repeat(between), strict=False))), sort_keys=True)
    return printed[1:].removesuffix(f', "{between}"]').split(f', "{between}", ')
