"""Columns of text made from numbers at once: ids, hexadecimal digits, stamps, words from a list.

Input are arrays of numpy, output are columns of Arrow; there is no loop over rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["fixed_width", "hex_digits", "joined", "numbered_ids", "random_ids", "stamps", "words"]

_DASHES: Final = (8, 13, 18, 23)
_ID: Final = 36
_FREE: Final = [place for place in range(_ID) if place not in _DASHES]


def fixed_width(rows: NDArray[np.uint8]) -> pa.Array:
    """Return the characters of each row of a matrix as a text."""
    count, width = rows.shape
    offsets = np.arange(count + 1, dtype=np.int64) * width
    data = np.ascontiguousarray(rows)
    return pa.LargeStringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def hex_digits(raw: bytes, width: int) -> NDArray[np.uint8]:
    """Return bytes as rows of so many hexadecimal digits."""
    return np.frombuffer(raw.hex().encode("ascii"), np.uint8).reshape(-1, width)


def random_ids(rng: np.random.Generator, count: int) -> pa.Array:
    """Return random ids in the form of a UUID of version 4."""
    digits = np.empty((count, _ID), np.uint8)
    digits[:, _DASHES] = ord("-")
    digits[:, _FREE] = hex_digits(rng.bytes(16 * count), 32)
    digits[:, 14], digits[:, 19] = ord("4"), ord("a")
    return fixed_width(digits)


def numbered_ids(numbers: NDArray[np.int64]) -> pa.Array:
    """Return ids in the form of a UUID that begin and end with a number, in hexadecimal digits."""
    digits = np.full((len(numbers), _ID), ord("0"), np.uint8)
    digits[:, _DASHES] = ord("-")
    digits[:, :8] = hex_digits(numbers.astype(">u4").tobytes(), 8)
    digits[:, 24:] = hex_digits(numbers.astype(">u8").tobytes(), 16)[:, 4:]
    digits[:, 14], digits[:, 19] = ord("4"), ord("8")
    return fixed_width(digits)


def stamps(seconds: NDArray[np.int64], shown: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return seconds since 1970 as ``YYYY-MM-DD HH:MM:SS``; empty where they are not shown."""
    texts = pc.cast(pa.array(seconds, pa.int64()).cast(pa.timestamp("s")), pa.large_string())
    return texts if shown is None else pc.if_else(pa.array(shown), texts, "")


def words(known: Sequence[str], codes: NDArray[Any]) -> pa.Array:
    """Return the word that each code stands for."""
    return pa.array(known, pa.large_string()).take(pa.array(codes))


def joined(*parts: pa.Array | str) -> pa.Array:
    """Return texts put together row by row; a part that is one text is the same in all rows."""
    return pc.binary_join_element_wise(*(_scalar(part) for part in parts), pa.scalar("", pa.large_string()))


def _scalar(part: pa.Array | str) -> pa.Array | pa.Scalar:
    return pa.scalar(part, pa.large_string()) if isinstance(part, str) else part.cast(pa.large_string())
