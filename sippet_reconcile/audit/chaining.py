"""Turn the entries of a run into records that continue a chain, column by column.

Input are entries and the end of a log, output is an Arrow table with the schema of a
part: the very records of `records.chain`, many times as quickly.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from sippet_reconcile._version import __version__
from sippet_reconcile.audit.canonical import canonical_texts
from sippet_reconcile.audit.records import ARROW, HASHES, SCHEMA_VERSION, storable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sippet_reconcile.audit.records import Entry

__all__ = ["chained_table"]

_OF_LOG: Final = frozenset({"schema_version", "seq", "tool_version"})
_OF_ENTRY: Final = tuple(name for name in ARROW.names if name not in _OF_LOG | HASHES)
_values_of: Final = attrgetter(*_OF_ENTRY)


def chained_table(entries: Sequence[Entry], *, seq: int, head: str) -> pa.Table:
    """Return entries as records that continue a chain; see `sippet_reconcile.audit.records`.

    Parameters
    ----------
    entries
        In the order in which they happened; at least one.
    seq, head
        Number and hash of the last record so far; 0 and `GENESIS` for an empty log.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from sippet_reconcile.audit.records import Entry, Event, GENESIS, chain, table_of_records
    >>> at = datetime(2026, 10, 1, tzinfo=UTC)
    >>> entry = Entry(event=Event.APPROVAL, at=at, run_id="r", plan_id="p", api_url="u", by="Zoë")
    >>> chained_table([entry], seq=0, head=GENESIS).equals(table_of_records(chain([entry], seq=0, head=GENESIS)))
    True
    """
    n = len(entries)
    columns = {
        name: _column(name, values)
        for name, values in zip(_OF_ENTRY, zip(*map(_values_of, entries), strict=True), strict=True)
    }
    columns |= {
        "schema_version": pa.repeat(pa.scalar(SCHEMA_VERSION, ARROW.field("schema_version").type), n),
        "seq": pa.array(range(seq + 1, seq + n + 1), ARROW.field("seq").type),
        "tool_version": pa.repeat(pa.scalar(__version__, ARROW.field("tool_version").type), n),
        "prev_hash": pa.nulls(n, ARROW.field("prev_hash").type),
        "hash": pa.nulls(n, ARROW.field("hash").type),
    }
    unchained = pa.table([columns[name] for name in ARROW.names], schema=ARROW)
    heads = [head]
    for text in _views(canonical_texts(unchained)):
        digest = hashlib.sha256(heads[-1].encode())
        digest.update(text)
        heads.append(digest.hexdigest())
    columns["prev_hash"] = _column("prev_hash", heads[:-1])
    columns["hash"] = _column("hash", heads[1:])
    return pa.table([columns[name] for name in ARROW.names], schema=ARROW)


def _views(texts: pa.LargeStringArray) -> Iterator[memoryview]:
    """Yield the bytes of each text where they stand: the start of a run holds the values of all its calls."""
    _, bounds, data = texts.buffers()
    places = np.frombuffer(bounds, np.int64)[texts.offset : texts.offset + len(texts) + 1].tolist()
    view = memoryview(data)
    for begin, end in pairwise(places):
        yield view[begin:end]


def _column(name: str, values: Sequence[Any]) -> pa.Array:
    kind = ARROW.field(name).type
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([storable(value) for value in values], kind)
