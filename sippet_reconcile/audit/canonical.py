"""Write records as the JSON that their hashes are made from, column by column.

Input are records as an Arrow table, output is one canonical text per record: the very
text of `canonical_json`, many times as quickly.
"""

from __future__ import annotations

import json
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.audit.records import ARROW, HASHES, at_as_text

__all__ = ["canonical_texts"]

_TEXT: Final = pa.large_string()
_NAMES: Final = sorted(set(ARROW.names) - HASHES)
_STANDS_FOR_ITSELF: Final = r"^[ !#-\[\]-~]*$"
"""Text that JSON writes as it is: printable ASCII without quotation marks and backslashes."""


def canonical_texts(records: pa.Table) -> pa.LargeStringArray:
    """Return the text of each record; see `sippet_reconcile.audit.records`.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from sippet_reconcile.audit.records import Entry, Event, GENESIS, canonical_json, chain, table_of_records
    >>> at = datetime(2026, 10, 1, tzinfo=UTC)
    >>> entry = Entry(event=Event.APPROVAL, at=at, run_id="r", plan_id="p", api_url="u", by="Zoë")
    >>> records = chain([entry], seq=0, head=GENESIS)
    >>> canonical_texts(table_of_records(records)).to_pylist() == [canonical_json(records[0])]
    True
    """
    told = at_as_text(records)
    members = [_members(name, told.column(name)) for name in _NAMES]
    return pc.binary_join_element_wise(*members, _scalar(","))


def _members(name: str, column: pa.ChunkedArray) -> pa.Array:
    """Return each value as a member of a JSON object, the first and the last name with its brace."""
    begin, end = "{" if name == _NAMES[0] else "", "}" if name == _NAMES[-1] else ""
    key = f"{begin}{json.dumps(name)}:"
    if pa.types.is_integer(column.type):
        values = column.combine_chunks().cast(_TEXT)
    else:
        values = _as_json(column.combine_chunks())
    return pc.binary_join_element_wise(_scalar(key), values.fill_null("null"), _scalar(end), _scalar(""))


def _as_json(texts: pa.LargeStringArray) -> pa.LargeStringArray:
    """Return texts as JSON writes them, each different one written once."""
    encoded = texts.dictionary_encode()
    words = encoded.dictionary
    if pc.all(pc.match_substring_regex(words, _STANDS_FOR_ITSELF)).as_py():
        quoted = pc.binary_join_element_wise(_scalar('"'), words, _scalar('"'), _scalar(""))
    else:
        quoted = pa.array([json.dumps(word) for word in words.to_pylist()], _TEXT)
    return quoted.take(encoded.indices)


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, _TEXT)
