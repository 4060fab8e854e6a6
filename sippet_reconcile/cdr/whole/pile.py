"""Pile up the columns of a file's pieces into one contiguous column each.

Input are Arrow columns piece by piece, output one Arrow column per name. The bytes go
straight to where they stay, so a piece's own memory is used again for the next one;
joining finished pieces instead costs as much as parsing the file did.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile.cdr.tables import TEXT, flags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Pile"]

_LARGE: Final = 4 << 20
# Unix would share the pages with child processes; Windows has no such choice.
_PRIVATE: Final[dict[str, int]] = (
    {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
)
_GROWTH: Final = 1.5
_SPARE: Final = 1.25  # memory that is never written to costs nothing


def _memory(length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an array that takes memory only as it is filled.

    numpy's and Arrow's own ask for huge pages, and where memory is in fragments the kernel
    spends several times as long on making such pages as on all the copying.
    """
    size = length * dtype.itemsize
    if size < _LARGE:
        return np.empty(length, dtype)
    return np.frombuffer(mmap.mmap(-1, size, **_PRIVATE), dtype, length)


class _Buffer:
    """An array that grows; it is first made as large as the first piece suggests."""

    def __init__(self, dtype: Any, expected: float, *, first: tuple[int, ...] = ()) -> None:
        self._expected = expected
        self._array: NDArray[Any] = np.array(first, dtype)
        self.size = len(first)

    def extend(self, values: NDArray[Any], shift: int = 0) -> None:
        end = self.size + len(values)
        if end > len(self._array):
            is_first_piece = self.size <= 1  # offsets begin with one
            room = max(
                end, int(len(values) * self._expected * _SPARE) if is_first_piece else int(end * _GROWTH)
            )
            grown = _memory(room, self._array.dtype)
            grown[: self.size] = self._array[: self.size]
            self._array = grown
        if shift:
            np.add(values, shift, out=self._array[self.size : end])
        else:
            self._array[self.size : end] = values
        self.size = end

    def view(self) -> NDArray[Any]:
        return self._array[: self.size]


class _Missing:
    """Which rows of a column are missing, kept only where some are."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.bool_] | int] = []
        self._any = False

    def extend(self, array: pa.Array | None, length: int) -> None:
        """Add rows; without an array, all of them are missing."""
        if array is not None and not array.null_count:
            self._parts.append(length)
            return
        self._any = True
        self._parts.append(np.ones(length, bool) if array is None else flags(array.is_null()))

    def bitmap(self) -> pa.Buffer | None:
        if not self._any:
            return None
        parts = [np.zeros(part, bool) if isinstance(part, int) else part for part in self._parts]
        return pa.py_buffer(np.packbits(~np.concatenate(parts), bitorder="little"))


class _Column:
    """The values of one column in the making; which rows are missing is kept beside it."""

    def __init__(self, kind: pa.DataType, expected: float) -> None:
        self.kind = kind
        self._is_text = kind == TEXT
        self._is_flag = pa.types.is_boolean(kind)
        dtype = (
            np.uint8
            if self._is_text or self._is_flag
            else kind.to_pandas_dtype()
            if not pa.types.is_timestamp(kind)
            else np.int64
        )
        self._values = _Buffer(dtype, expected)
        self._offsets = _Buffer(np.int64, expected, first=(0,))

    def extend(self, array: pa.Array) -> None:
        if self._is_flag:
            # Not the bits but one byte per row: pieces need not end on a byte.
            self._values.extend(flags(array.fill_null(False)).view(np.uint8))  # noqa: FBT003
            return
        _, *buffers = array.buffers()
        if not self._is_text:
            values = np.frombuffer(buffers[0], self._values.view().dtype)
            self._values.extend(values[array.offset : array.offset + len(array)])
            return
        offsets = np.frombuffer(buffers[0], np.int64)[array.offset : array.offset + len(array) + 1]
        begin, shift = int(offsets[0]), self._values.size - int(offsets[0])
        content = np.frombuffer(buffers[1] or b"", np.uint8)
        self._values.extend(content[begin : int(offsets[-1])])
        self._offsets.extend(offsets[1:], shift)

    def skip(self, length: int) -> None:
        """Add rows without a value."""
        if self._is_text:
            self._offsets.extend(np.full(length, self._values.size, np.int64))
        else:
            self._values.extend(np.zeros(length, self._values.view().dtype))

    def array(self, length: int, missing: _Missing) -> pa.Array:
        bitmap, values = missing.bitmap(), self._values.view()
        if self._is_flag:
            packed = pa.py_buffer(np.packbits(values, bitorder="little"))
            return pa.Array.from_buffers(self.kind, length, [bitmap, packed])
        if not self._is_text:
            return pa.Array.from_buffers(self.kind, length, [bitmap, pa.py_buffer(values)])
        return pa.Array.from_buffers(
            self.kind, length, [bitmap, pa.py_buffer(self._offsets.view()), pa.py_buffer(values)]
        )


class Pile:
    """Columns in the making; `expected` is how many pieces of the first one's size may come."""

    def __init__(self, expected: float) -> None:
        self._expected = expected
        self._columns: dict[str, _Column] = {}
        self._missing: dict[str, _Missing] = {}
        self._same: dict[str, str] = {}
        self.length = 0

    def add(self, columns: Mapping[str, Any]) -> None:
        """Add a piece; a column that is None, or is absent, has no value in it.

        A column that shares another one's bytes in the first piece (the key that is also
        the leg's id, a number that is E.164 as delivered) is stored once for as long as
        that holds, and only its missing rows are kept apart.
        """
        size = len(columns["source_row"])
        if not self._missing:
            self._missing = {name: _Missing() for name in columns}
            self._same = _aliases(columns)
        for name, source in list(self._same.items()):
            if not _share_bytes(columns[name], columns[source]):
                self._part(name, source)
        for name, array in columns.items():
            if name not in self._same:
                self._store(name, array, size)
            self._missing[name].extend(array, size)
        self.length += size

    def _store(self, name: str, array: pa.Array | None, size: int) -> None:
        column = self._columns.get(name)
        if column is None and array is not None:
            column = self._columns[name] = _Column(array.type, self._expected)
            if self.length:
                column.skip(self.length)
        if column is not None:
            column.skip(size) if array is None else column.extend(array)

    def _part(self, name: str, source: str) -> None:
        """Stop storing two columns as one: what they shared so far is copied."""
        del self._same[name]
        shared = self._columns[source]
        self._columns[name] = _Column(shared.kind, self._expected)
        self._columns[name].extend(shared.array(self.length, self._missing[source]))

    def finished(self) -> dict[str, pa.Array | None]:
        """Return every column; one that never had a value is None."""
        stored = {name: self._columns.get(self._same.get(name, name)) for name in self._missing}
        return {
            name: None if column is None else column.array(self.length, self._missing[name])
            for name, column in stored.items()
        }


def _share_bytes(left: pa.Array | None, right: pa.Array | None) -> bool:
    """Tell whether two columns are the same bytes, whatever is missing in either."""
    if left is None or right is None:
        return left is right
    if left.type != right.type or left.offset != right.offset or pa.types.is_boolean(left.type):
        return left is right
    return [b and b.address for b in left.buffers()[1:]] == [b and b.address for b in right.buffers()[1:]]


def _aliases(columns: Mapping[str, Any]) -> dict[str, str]:
    """Return, for each column that is the same bytes as one before it, that one's name."""
    firsts: list[str] = []
    same: dict[str, str] = {}
    for name, array in columns.items():
        if array is None:
            continue
        first = next((first for first in firsts if _share_bytes(array, columns[first])), None)
        if first is None:
            firsts.append(name)
        else:
            same[name] = first
    return same
