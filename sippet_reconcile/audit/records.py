r"""Say what one record of the audit log is, and how each vouches for the one ahead of it.

Input are entries (what a run meant to do, and what came of it); output are records
with a number and a hash, as Arrow tables with one explicit schema. Pure: no files.

The chain
---------
``hash = sha256(prev_hash + canonical)`` in lower-case hex, both taken as UTF-8 text.
`canonical` is the JSON object of all columns but ``prev_hash`` and ``hash``: keys
sorted, no white space, non-ASCII characters as ``\u`` escapes, missing as ``null``,
whole numbers as digits, ``at`` as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``. The ``prev_hash``
of the very first record is 64 zeros. There is no fractional number in a record, so
that every language writes the same JSON.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile._version import __version__
from sippet_reconcile.schema import Column, FrameSchema, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

__all__ = [
    "AUDIT",
    "GENESIS",
    "HASHES",
    "SCHEMA_VERSION",
    "Entry",
    "Event",
    "Outcome",
    "at_as_text",
    "canonical_json",
    "chain",
    "record_hash",
    "records_of_table",
    "storable",
    "table_of_records",
]

SCHEMA_VERSION: Final = 1
"""The version of the columns below, written into each record."""

GENESIS: Final = "0" * 64
"""The ``prev_hash`` of the first record, and the head of an empty log."""


class Event(StrEnum):
    """What a record tells."""

    RUN_STARTED = "run-started"
    APPROVAL = "approval"
    INTENT = "intent"
    ATTEMPT = "attempt"
    OUTCOME = "outcome"
    RUN_ENDED = "run-ended"


class Outcome(StrEnum):
    """What came of one call of a plan."""

    APPLIED = "applied"
    ALREADY = "already"
    DRIFTED = "drifted"
    REJECTED = "rejected"
    MISSING = "missing"
    FAILED = "failed"
    ALTERED = "altered"
    UNKNOWN = "unknown"
    PENDING = "pending"


AUDIT: Final = FrameSchema(
    "audit records",
    "one row per event",
    (
        Column("schema_version", Kind.INTEGER, "version of these columns"),
        Column("run_id", Kind.TEXT, "the run: one plan on one API in one log"),
        Column("plan_id", Kind.TEXT, "the plan that was applied"),
        Column("seq", Kind.INTEGER, "number of the record, from 1, through the whole folder"),
        Column("event", Kind.TEXT, "run-started, approval, intent, attempt, outcome or run-ended"),
        Column("at", Kind.INSTANT, "when it happened"),
        Column("call_id", Kind.TEXT, "the call; missing where the event is about the run"),
        Column("call_uuid", Kind.TEXT, "its call_uuid"),
        Column("before", Kind.TEXT, "JSON: the values as re-read just ahead of sending"),
        Column("after", Kind.TEXT, "JSON: the values sent, or meant to be"),
        Column("outcome", Kind.TEXT, "what came of it, for outcome events"),
        Column("confirmed_by", Kind.TEXT, "answer or reread: how the outcome is known"),
        Column("http_status", Kind.INTEGER, "status of the answer"),
        Column("error_code", Kind.TEXT, "the server's code, or ours"),
        Column("error_detail", Kind.TEXT, "what was said about it, digit runs masked"),
        Column("request_id", Kind.TEXT, "the server's x-request-id"),
        Column(
            "attempt", Kind.INTEGER, "number of the attempt in its session; of an outcome, how many it took"
        ),
        Column("latency_ms", Kind.INTEGER, "milliseconds from sending to the answer, rounded up"),
        Column("explanation", Kind.TEXT, "why the API was thought to be wrong"),
        Column("reason", Kind.TEXT, "why it was changed; of run-ended, the kind of end"),
        Column("source_file", Kind.TEXT, "file of the evidence"),
        Column("source_row", Kind.INTEGER, "line of the evidence"),
        Column("by", Kind.TEXT, "who approved, or who ran it"),
        Column("note", Kind.TEXT, "the approver's note, or JSON with what else belongs to the event"),
        Column("api_url", Kind.TEXT, "the API that was written to"),
        Column("tool_version", Kind.TEXT, "version of this package"),
        Column("prev_hash", Kind.TEXT, "hash of the record ahead of it"),
        Column("hash", Kind.TEXT, "sha256 of prev_hash and this record"),
    ),
)

HASHES: Final = frozenset({"prev_hash", "hash"})
"""The columns that a record's hash is not made from."""


def _arrow_schema() -> pa.Schema:
    """Return the one schema of every part, with the note that gives pandas its nullable types."""
    plain = pa.Table.from_pandas(AUDIT.empty(), preserve_index=False)
    return AUDIT.arrow.with_metadata(plain.schema.metadata)


ARROW: Final = _arrow_schema()
"""The schema that each parquet part is written with."""


@dataclass(kw_only=True, slots=True)
class Entry:
    """One event as a run reports it; the log adds number, hashes and versions.

    The fields are the columns of `AUDIT` of the same name. Not frozen: a run makes three
    for each call, and a frozen one takes five times as long to make.
    """

    event: Event
    at: datetime
    run_id: str
    plan_id: str
    api_url: str
    call_id: str | None = None
    call_uuid: str | None = None
    before: str | None = None
    after: str | None = None
    outcome: Outcome | None = None
    confirmed_by: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    request_id: str | None = None
    attempt: int | None = None
    latency_ms: int | None = None
    explanation: str | None = None
    reason: str | None = None
    source_file: str | None = None
    source_row: int | None = None
    by: str | None = None
    note: str | None = None


_CANONICAL: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def storable(value: object) -> object:
    """Return a value as it is stored: text is made storable, enumerations become their word."""
    if value is None or (type(value) is str and value.isascii()):
        return value
    if isinstance(value, str):
        # A server may send half a surrogate pair, which is text in JSON and nowhere else.
        return str(value).encode("utf-8", "replace").decode("utf-8")
    return value


def canonical_json(record: Mapping[str, object]) -> str:
    r"""Return the one JSON text of a record that its hash is made from.

    Parameters
    ----------
    record
        Column to value; ``at`` already as text. ``prev_hash`` and ``hash`` are left out.

    Examples
    --------
    >>> canonical_json({"seq": 1, "note": "Zoë", "by": None, "hash": "…", "prev_hash": "…"})
    '{"by":null,"note":"Zo\\u00eb","seq":1}'
    """
    content = {name: value for name, value in record.items() if name not in HASHES}
    return _CANONICAL.encode(content)


def record_hash(prev_hash: str, record: Mapping[str, object]) -> str:
    """Return the hash that ties a record to the one ahead of it.

    Examples
    --------
    >>> import hashlib
    >>> record_hash(GENESIS, {"seq": 1}) == hashlib.sha256((GENESIS + '{"seq":1}').encode()).hexdigest()
    True
    """
    return hashlib.sha256((prev_hash + canonical_json(record)).encode()).hexdigest()


def chain(entries: Iterable[Entry], *, seq: int, head: str) -> list[dict[str, object]]:
    """Return entries as records that continue a chain, one by one: what `chaining` does for a whole part.

    Parameters
    ----------
    entries
        In the order in which they happened.
    seq, head
        Number and hash of the last record so far; 0 and `GENESIS` for an empty log.
    """
    records: list[dict[str, object]] = []
    for entry in entries:
        seq += 1
        record = {field.name: storable(getattr(entry, field.name)) for field in fields(entry)}
        record |= {
            "schema_version": SCHEMA_VERSION,
            "seq": seq,
            "at": entry.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "tool_version": __version__,
            "prev_hash": head,
        }
        head = record_hash(head, record)
        record["hash"] = head
        records.append(record)
    return records


def table_of_records(records: list[dict[str, object]]) -> pa.Table:
    """Return records as a table with the schema of a part."""
    columns = []
    for field in ARROW:
        values = [record[field.name] for record in records]
        if field.name == "at":
            columns.append(pa.array(values, pa.large_string()).cast(field.type))
        else:
            columns.append(pa.array(values, field.type))
    return pa.table(columns, schema=ARROW)


def records_of_table(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a part as they were hashed: ``at`` as text, missing as None."""
    yield from at_as_text(table).to_pylist()


def at_as_text(table: pa.Table) -> pa.Table:
    """Return a table whose ``at`` is text as it was hashed: ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    at = pc.strftime(table.column("at"), format="%Y-%m-%dT%H:%M:%SZ").cast(pa.large_string())
    return table.set_column(table.schema.get_field_index("at"), "at", at)
