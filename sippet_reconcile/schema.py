"""What each frame holds: columns, types, units, and what missing means.

Every frame that crosses a module border is described here once. Instants are
``datetime64[us, UTC]``, text is pandas ``str``, whole numbers ``Int64``, seconds
``Float64``, flags ``boolean``; missing is missing, never a sentinel, and an empty
frame has the same types as a full one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NewType

import pandas as pd
import pyarrow as pa

from sippet_reconcile.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "CALLS",
    "CALL_ATTRIBUTES",
    "CHANGES",
    "DISCREPANCIES",
    "LEGS",
    "LEG_STATUSES",
    "MAX_SECONDS",
    "PAIRS",
    "PATCHABLE",
    "Bucket",
    "Calls",
    "Column",
    "FrameSchema",
    "Kind",
    "Legs",
    "arrow_to_frame",
    "check_frame",
    "conform",
    "take",
    "text_array",
    "text_series",
]

Legs = NewType("Legs", pd.DataFrame)
"""A frame that satisfies `LEGS`."""

Calls = NewType("Calls", pd.DataFrame)
"""A frame that satisfies `CALLS`."""

PATCHABLE: Final = ("status", "duration_seconds", "ended_at", "call_source")
"""The attributes of a call that the API lets be corrected."""

MAX_SECONDS: Final = 2**31 - 1
"""The largest ``duration_seconds`` ever sent."""

LEG_STATUSES: Final = (
    "completed",
    "voicemail",
    "busy",
    "no_answer",
    "missed",
    "canceled",
    "failed",
    "unknown",
    "in_progress",
)
"""The canonical status words of a leg; all but the last in the order of "best"."""


class Bucket(StrEnum):
    """Where one leg or one call ended up; each is in exactly one."""

    MATCHED = "matched"
    ONLY_IN_CDR = "only_in_cdr"
    ONLY_IN_API = "only_in_api"
    AMBIGUOUS = "ambiguous"
    EXCLUDED = "excluded"
    UNUSABLE = "unusable"
    DUPLICATE = "duplicate"
    HELPER = "helper"
    OUTSIDE_PERIOD = "outside_period"


class Kind(StrEnum):
    """The five kinds of column; the value is the pandas dtype."""

    TEXT = "str"
    INTEGER = "Int64"
    SECONDS = "Float64"
    FLAG = "boolean"
    INSTANT = "datetime64[us, UTC]"


_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    Kind.TEXT: pa.large_string(),
    Kind.INTEGER: pa.int64(),
    Kind.SECONDS: pa.float64(),
    Kind.FLAG: pa.bool_(),
    Kind.INSTANT: pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and what a value and a missing value mean."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class FrameSchema:
    """The columns of one frame, in order."""

    name: str
    grain: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """The column names in order."""
        return [column.name for column in self.columns]

    @property
    def dtypes(self) -> dict[str, str]:
        """The pandas dtype of each column."""
        return {column.name: column.kind.value for column in self.columns}

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema used for parquet files."""
        return pa.schema([pa.field(column.name, _ARROW[column.kind]) for column in self.columns])

    def empty(self) -> pd.DataFrame:
        """Return a frame without rows but with every column and type.

        Examples
        --------
        >>> CHANGES.empty()["before_s"].dtype
        Float64Dtype()
        """
        return pd.DataFrame({c.name: pd.Series([], dtype=c.kind.value) for c in self.columns})


def _columns(*rows: tuple[str, Kind, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


_T, _I, _S, _F, _AT = Kind.TEXT, Kind.INTEGER, Kind.SECONDS, Kind.FLAG, Kind.INSTANT

LEGS: Final = FrameSchema(
    "legs",
    "one row per record of a CDR export, usable or not",
    _columns(
        ("source_file", _T, "name of the file"),
        ("source_row", _I, "physical line, from 1 with the header; the record's number in JSON"),
        ("source_sha256", _T, "hash of the whole file"),
        ("record_hash", _I, "64-bit hash of the raw record's fields; equal where a record was sent again"),
        ("format", _T, "the export format it was read as"),
        ("problem", _T, "why the row cannot be used, reasons joined by '; '; missing when it can"),
        ("time_problem", _T, "a local time that daylight saving skips or repeats; missing when none"),
        ("leg_id", _T, "the key of the row within its system"),
        ("call_key", _T, "the id that may equal the API's call_uuid"),
        ("linked_id", _T, "the id that groups the legs of one call"),
        ("direction", _T, "inbound, outbound, internal or missing"),
        ("from_number", _T, "caller as delivered, trimmed"),
        ("to_number", _T, "called party as delivered, trimmed"),
        ("from_e164", _T, "caller in E.164; missing where it cannot be normalised"),
        ("to_e164", _T, "called party in E.164; missing where it cannot be normalised"),
        ("sip_username", _T, "the registered user the leg belongs to"),
        ("started_at", _AT, "when the leg began"),
        ("answered_at", _AT, "when it was answered; missing when it was not, or is not recorded"),
        ("ended_at", _AT, "when it ended; missing while it is in progress, or where it is not recorded"),
        ("total_s", _S, "seconds from start to end, ringing included"),
        ("billable_s", _S, "seconds from answer to end; 0 when not answered"),
        ("is_answered", _F, "from the answer time or billable seconds, never from a hang-up cause"),
        ("status", _T, "canonical status word, see LEG_STATUSES"),
        ("cause", _T, "the system's own words: disposition, hangup cause, SIP status"),
    ),
)

CALL_ATTRIBUTES: Final = (
    "call_uuid",
    "direction",
    "from_number",
    "to_number",
    "sip_username",
    "status",
    "call_source",
    "started_at",
    "ended_at",
    "duration_seconds",
    "conversation_id",
)
"""The attributes of the API's Call resource."""

CALLS: Final = FrameSchema(
    "calls",
    "one row per Call of the API",
    _columns(
        ("id", _T, "the API's id of the call (a UUID)"),
        ("call_uuid", _T, "the id shared with the switch"),
        ("direction", _T, "as the API has it"),
        ("from_number", _T, "caller"),
        ("to_number", _T, "called party"),
        ("sip_username", _T, "the user; missing where the API has none"),
        ("status", _T, "as the API has it; an open vocabulary"),
        ("call_source", _T, "as the API has it"),
        ("started_at", _AT, "missing for a call that never started"),
        ("ended_at", _AT, "missing for a call that has not ended, or whose end was lost"),
        ("duration_seconds", _I, "what invoices are made from"),
        ("conversation_id", _T, "the conversation the call belongs to"),
        ("api_url", _T, "the API the row came from"),
        ("fetched_at", _AT, "when the row was read"),
    ),
)

_BOTH_SIDES: Final = (
    ("started_at", _AT, "when the call began"),
    ("ended_at", _AT, "when it ended"),
    ("status", _T, "status word"),
    ("direction", _T, "direction"),
    ("from_number", _T, "caller as delivered"),
    ("to_number", _T, "called party as delivered"),
    ("from_e164", _T, "caller in E.164"),
    ("to_e164", _T, "called party in E.164"),
    ("sip_username", _T, "the user"),
)

PAIRS: Final = FrameSchema(
    "pairs",
    "one row per matched call",
    _columns(
        ("call_id", _T, "the API's id of the call"),
        ("call_uuid", _T, "the API's call_uuid"),
        ("cdr_id", _T, "the id of the reduced CDR call"),
        ("match_rule", _T, "call_uuid, linked_id or numbers_and_time"),
        ("confidence", _T, "how sure it is that both are one call: certain (by an id), high, fair or low"),
        ("start_gap_s", _S, "CDR start minus API start, after the clock offset is removed"),
        ("n_legs", _I, "legs that count in the CDR call"),
        *((f"{name}_call", kind, f"{meaning}, as the API has it") for name, kind, meaning in _BOTH_SIDES),
        ("duration_seconds_call", _I, "seconds as the API has them"),
        *((f"{name}_cdr", kind, f"{meaning}, as the CDR has it") for name, kind, meaning in _BOTH_SIDES),
        ("answered_at_cdr", _AT, "first answer, as the CDR has it"),
        ("total_s_cdr", _S, "seconds with ringing, as the CDR has them"),
        ("billable_s_cdr", _S, "seconds after answer, as the CDR has them"),
    ),
)

DISCREPANCIES: Final = FrameSchema(
    "discrepancies",
    "one row per call and field whose two values differ under the rules",
    _columns(
        ("call_id", _T, "the API's id of the call"),
        ("call_uuid", _T, "the API's call_uuid"),
        ("field", _T, "the attribute of the call"),
        ("value_call", _T, "what the API has, in API form; missing = null"),
        ("value_cdr", _T, "what the CDR proves, in API form"),
        ("call_s", _S, "the API's seconds, for durations"),
        ("cdr_s", _S, "the CDR's seconds, for durations"),
        ("delta_s", _S, "CDR minus API: positive means the API has too little"),
        ("explanation", _T, "the leading explanation"),
        ("also", _T, "further explanations that hold, joined by '; '"),
        ("match_rule", _T, "how the call was matched"),
        ("confidence", _T, "how sure the match is; by `low` alone nothing is patchable"),
        ("is_patchable", _F, "whether a plan may correct it"),
        ("why_not", _T, "why a plan may not correct it; missing where it may"),
        ("cdr_id", _T, "the id of the reduced CDR call"),
        ("source_file", _T, "file of the first leg"),
        ("source_row", _I, "line of the first leg"),
        ("started_at", _AT, "the API's start, or the CDR's where the API has none"),
        ("direction", _T, "the API's direction"),
        ("from_number", _T, "the API's caller"),
        ("to_number", _T, "the API's called party"),
        ("sip_username", _T, "the API's user, or the CDR's where the API has none"),
    ),
)

CHANGES: Final = FrameSchema(
    "changes",
    "one row per call and field that a plan would change",
    _columns(
        ("call_id", _T, "the API's id of the call"),
        ("call_uuid", _T, "the API's call_uuid"),
        ("field", _T, "one of PATCHABLE"),
        ("before", _T, "what the API has, in API form; missing = null"),
        ("after", _T, "what it shall have, in API form; missing = null (only in a revert)"),
        ("before_s", _S, "seconds, for durations"),
        ("after_s", _S, "seconds, for durations"),
        ("delta_s", _S, "after minus before, for durations"),
        ("explanation", _T, "why the API is thought to be wrong"),
        ("reason", _T, "why this is changed, in words for people"),
        ("match_rule", _T, "how the call was matched; missing where no CDR is behind the change"),
        ("source_file", _T, "file of the first leg"),
        ("source_row", _I, "line of the first leg"),
    ),
)


def arrow_to_frame(table: pa.Table, schema: FrameSchema | None = None) -> pd.DataFrame:
    """Turn an Arrow table into a frame with this package's dtypes, sharing text buffers.

    Parameters
    ----------
    table
        Any table of text, int64, float64, bool and UTC-timestamp columns.
    schema
        Where given, the table is cast to it first, column by column and in its order.
    """
    if schema is not None:
        arrow = schema.arrow
        table = pa.table(
            [table.column(name).cast(arrow.field(name).type) for name in arrow.names], schema=arrow
        )
    mapping: dict[pa.DataType, Any] = {
        pa.string(): pd.StringDtype(na_value=float("nan")),
        pa.large_string(): pd.StringDtype(na_value=float("nan")),
        pa.int64(): pd.Int64Dtype(),
        pa.float64(): pd.Float64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    return table.to_pandas(types_mapper=mapping.get, date_as_object=False)


def text_array(series: pd.Series[str]) -> pa.LargeStringArray:
    """Return the Arrow buffers behind a ``str`` column, without a copy where it is Arrow-backed."""
    array = pa.array(series.array, from_pandas=True)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = array.chunk(0) if array.num_chunks else pa.array([], pa.large_string())
    return array if array.type == pa.large_string() else array.cast(pa.large_string())


def text_series(array: pa.Array | pa.ChunkedArray, index: pd.Index[Any] | None = None) -> pd.Series[str]:
    """Return Arrow text as a pandas ``str`` column that shares its buffers.

    Examples
    --------
    >>> text_series(pa.array(["a", None])).tolist()
    ['a', nan]
    """
    if array.type != pa.large_string():
        array = array.cast(pa.large_string())
    dtype: Any = pd.StringDtype(na_value=float("nan"))
    values = dtype.__from_arrow__(array)
    return pd.Series(values, index=index)


def take(frame: pd.DataFrame, columns: Sequence[str] | None, positions: Any) -> pd.DataFrame:
    """Return rows by position with a fresh index, all columns or some.

    A position of -1 gives a missing row, in every kind of column.
    """
    selected = frame if columns is None else frame.loc[:, list(columns)]
    return selected.reset_index(drop=True).reindex(positions).reset_index(drop=True)


def _convert(series: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    """Cast one column to its kind without ever guessing; raise where a value does not fit."""
    if str(series.dtype) == kind.value:
        return series
    if kind is Kind.INSTANT:
        if not isinstance(series.dtype, pd.DatetimeTZDtype):
            if series.isna().all():
                return pd.Series(pd.NaT, index=series.index, dtype=kind.value)
            msg = "instants with a time zone"
            raise TypeError(msg)
        return series.dt.tz_convert("UTC").dt.as_unit("us")
    if kind is Kind.TEXT:
        if series.isna().all():
            return pd.Series(None, index=series.index, dtype="str")
        if not pd.api.types.is_string_dtype(series):
            msg = "text"
            raise TypeError(msg)
        return series.astype("str")
    return series.astype(pd.api.types.pandas_dtype(kind.value))


def conform(frame: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    """Return a frame whose columns have the schema's types; the input is not changed.

    Extra columns are kept, any index is kept, and only casts that lose nothing are
    made (nanoseconds to microseconds, object text to ``str``, ``int64`` to ``Int64``).

    Raises
    ------
    SchemaError
        Naming every column that is absent or does not fit, with ``.failures``.
    """
    if not isinstance(frame, pd.DataFrame):
        msg = f"{schema.name} is {type(frame).__name__}, not a DataFrame"
        raise SchemaError(msg)
    failures: list[dict[str, str]] = []
    casts: dict[str, pd.Series[Any]] = {}
    for column in schema.columns:
        if column.name not in frame.columns:
            failures.append({"column": column.name, "expected": column.kind.value, "found": "no such column"})
            continue
        series = frame[column.name]
        if isinstance(series, pd.DataFrame):
            failures.append(
                {"column": column.name, "expected": "one column", "found": "several of that name"}
            )
            continue
        try:
            converted = _convert(series, column.kind)
        except (TypeError, ValueError, OverflowError):
            failures.append(
                {"column": column.name, "expected": column.kind.value, "found": str(series.dtype)}
            )
            continue
        if converted is not series:
            casts[column.name] = converted
    if failures:
        listed = ", ".join(f"{f['column']} ({f['found']}, expected {f['expected']})" for f in failures)
        msg = f"{schema.name}: {len(failures)} column(s) do not fit: {listed}; see .failures"
        raise SchemaError(msg, failures=pd.DataFrame(failures))
    return frame.assign(**casts) if casts else frame


def check_frame(frame: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    """Return the frame as it is, or raise where a column is absent or has another type.

    Raises
    ------
    SchemaError
        Naming every such column, with ``.failures``.
    """
    dtypes = {str(name): str(dtype) for name, dtype in frame.dtypes.items()}
    failures = [
        {"column": name, "expected": expected, "found": dtypes.get(name, "no such column")}
        for name, expected in schema.dtypes.items()
        if dtypes.get(name) != expected
    ]
    if failures:
        listed = ", ".join(f"{f['column']} ({f['found']}, expected {f['expected']})" for f in failures)
        msg = f"{schema.name}: {len(failures)} column(s) do not fit: {listed}; see .failures"
        raise SchemaError(msg, failures=pd.DataFrame(failures))
    return frame
