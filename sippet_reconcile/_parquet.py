"""Refuse parquet files that would unfold to far more than they could honestly hold.

Input is an opened file, from anybody; output is an error or nothing. Parquet keeps a
value that repeats only once, so that two kilobytes can become a hundred gigabytes of
memory when they are read.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["UnfoldsTooFarError", "read_parquet", "refuse_bomb"]

_FLOOR: Final = 2**30
_RATIO: Final = 200
"""Calls and CDRs hold random ids and shrink to a tenth or a twentieth, not to a two-hundredth."""

_WIDTH: Final = 8
"""Bytes of a number, an instant or a flag, at most."""


class UnfoldsTooFarError(pa.ArrowInvalid):  # type: ignore[misc]  # pyarrow ships no types
    """A parquet file is small and its content enormous; a kind of invalid file, to whoever reads it."""


def read_parquet(source: Path | bytes) -> pa.Table:
    """Return all of a parquet file from anybody.

    Raises
    ------
    UnfoldsTooFarError
        Where it is small and its content enormous.
    ArrowException, OSError
        Where it cannot be read.
    """
    n_bytes = source.stat().st_size if isinstance(source, Path) else len(source)

    def stream() -> Path | io.BytesIO:
        return source if isinstance(source, Path) else io.BytesIO(source)

    with pq.ParquetFile(stream()) as opened:
        refuse_bomb(opened, stream(), n_bytes)
        return opened.read()


def refuse_bomb(opened: pq.ParquetFile, source: Any, n_bytes: int, *, most: int | None = None) -> None:
    """Raise where reading a file would take far more memory than an honest file of its size.

    Parameters
    ----------
    opened
        The file, of which nothing but its description is read where that suffices.
    source
        What it was opened from.
    n_bytes
        Its size.
    most
        Bytes that its content may take; by default 1 GiB, or 200 times its size where that is more.

    Raises
    ------
    UnfoldsTooFarError
        Saying how much it would become.
    """
    most = max(_FLOOR, _RATIO * n_bytes) if most is None else most
    described = opened.metadata
    groups = [described.row_group(place) for place in range(described.num_row_groups)]
    declared = sum(group.total_byte_size for group in groups)
    rows = sum(group.num_rows for group in groups)
    # No value is longer than all of the file unfolded once: most files are done with here.
    if (rows + 1) * max(declared, _WIDTH * described.num_columns) <= most:
        return
    fixed = rows * described.num_columns * _WIDTH
    if max(declared, fixed) > most:
        raise _too_far(max(declared, fixed), n_bytes)
    texts = [field.name for field in opened.schema_arrow if _is_text(field.type)]
    with pq.ParquetFile(source, read_dictionary=texts) as kept_once:
        longest = sum(
            _longest(kept_once, place, name) * group.num_rows for place, group, name in _each(groups, texts)
        )
        if declared + fixed + longest <= most:
            return
        total = declared + fixed
        for place, _, name in _each(groups, texts):
            total += _unfolded(kept_once.read_row_group(place, columns=[name]).column(0))
            if total > most:
                raise _too_far(total, n_bytes)


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary))  # fmt: skip


def _each(groups: list[Any], names: list[str]) -> Iterator[tuple[int, Any, str]]:
    for place, group in enumerate(groups):
        for name in names:
            yield place, group, name


def _longest(file: pq.ParquetFile, group: int, name: str) -> int:
    """Return the length of the longest value that is kept once for many rows."""
    for batch in file.iter_batches(1, row_groups=[group], columns=[name]):
        values = batch.column(0)
        kept = values.dictionary if pa.types.is_dictionary(values.type) else values
        return pc.max(pc.binary_length(kept)).as_py() or 0
    return 0


def _unfolded(column: pa.ChunkedArray) -> int:
    """Return the bytes that a column takes once each row has its own copy."""
    total = 0
    for chunk in column.chunks:
        lengths = (
            pc.binary_length(chunk.dictionary).take(chunk.indices)
            if pa.types.is_dictionary(chunk.type)
            else pc.binary_length(chunk)
        )
        total += pc.sum(lengths.cast(pa.int64())).as_py() or 0
    return total


def _too_far(total: int, n_bytes: int) -> UnfoldsTooFarError:
    msg = f"its {n_bytes:,} bytes would unfold to {total:,} bytes or more, which no honest file of ours does"
    return UnfoldsTooFarError(msg)
