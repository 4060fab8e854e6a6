"""What the frames inside a plan hold, and how any of them becomes plain JSON values and back.

Input is a frame of this package's five kinds of column; output is the same frame in
exactly the described types, or plain values whose JSON is always the same text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from sippet_reconcile.errors import PlanError
from sippet_reconcile.schema import Column, FrameSchema, Kind, text_array
from sippet_reconcile.values import instants_to_text, text_to_instants

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "DISPUTES",
    "FINDINGS",
    "LEDGER",
    "LEFT_OUT",
    "NOT_PATCHABLE",
    "PLAN_CALLS",
    "canonical_json",
    "frame_from_plain",
    "is_among",
    "json_of_column",
    "plain_frame",
    "tidy_frame",
    "to_schema",
]

_T, _I, _S, _F, _AT = Kind.TEXT, Kind.INTEGER, Kind.SECONDS, Kind.FLAG, Kind.INSTANT


def _columns(*rows: tuple[str, Kind, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


LEFT_OUT: Final = FrameSchema(
    "left_out",
    "one row per call and field that might have been corrected and is not",
    _columns(
        ("call_id", _T, "the API's id of the call"),
        ("call_uuid", _T, "the API's call_uuid"),
        ("field", _T, "one of PATCHABLE; missing where the whole call is meant"),
        ("explanation", _T, "why the API is thought to be wrong"),
        ("reason", _T, "why it is not corrected, in words for people"),
    ),
)

PLAN_CALLS: Final = FrameSchema(
    "calls of a plan",
    "one row per call that the plan touches",
    _columns(
        ("call_id", _T, "the API's id of the call"),
        ("call_uuid", _T, "the API's call_uuid"),
        ("status", _T, "as fetched"),
        ("duration_seconds", _I, "as fetched, seconds"),
        ("ended_at", _AT, "as fetched"),
        ("call_source", _T, "as fetched"),
        ("started_at", _AT, "as fetched; missing for a call that never started"),
        ("direction", _T, "as fetched"),
        ("from_number", _T, "as fetched"),
        ("to_number", _T, "as fetched"),
        ("sip_username", _T, "as fetched"),
        ("started_at_cdr", _AT, "start of the CDR call; missing where no CDR is behind the change"),
        ("answered_at_cdr", _AT, "first answer of the CDR call"),
        ("ended_at_cdr", _AT, "end of the CDR call"),
        ("total_s_cdr", _S, "seconds of the CDR call, ringing included"),
        ("billable_s_cdr", _S, "seconds of the CDR call after the answer"),
        ("status_cdr", _T, "canonical status word of the CDR call"),
        ("is_answered_cdr", _F, "whether the CDR call was answered"),
        ("n_legs_cdr", _I, "legs that count in the CDR call"),
        ("sources", _T, "every file:line of the CDR call, joined by '; '"),
        ("confidence", _T, "how sure the match with the CDR call is; missing in plans of version 1"),
    ),
)

FINDINGS: Final = FrameSchema(
    "findings of a plan",
    "one row per finding about the data that the plan was made from",
    _columns(
        ("code", _T, "the word that accept= takes"),
        ("severity", _T, "info, warn or stop"),
        ("message", _T, "one plain sentence with figures"),
        ("advice", _T, "what to do next"),
    ),
)

LEDGER: Final = FrameSchema(
    "ledger of a plan",
    "one row per field, cause and whether it is corrected: each call is in one row of each field",
    _columns(
        ("field", _T, "one of PATCHABLE"),
        ("explanation", _T, "a cause, or how the calls stand that have none"),
        ("is_corrected", _F, "whether the plan corrects these calls in this field"),
        ("n_calls", _I, "calls"),
        ("before_s", _S, "seconds as the API has them; a missing duration counts as 0"),
        ("change_s", _S, "seconds that the plan adds or takes away"),
        ("after_s", _S, "seconds as the API will have them: before plus change"),
    ),
)

NOT_PATCHABLE: Final = FrameSchema(
    "not patchable",
    "one row per kind of error that the API does not let anybody correct",
    _columns(
        ("what", _T, "what is wrong"),
        ("explanation", _T, "the leading explanation, where there is one"),
        ("n_calls", _I, "calls"),
        ("seconds", _S, "seconds of talk in them, where they are not billed at all"),
        ("examples", _T, "a few of them: ids of calls, or file:line of the export"),
    ),
)

DISPUTES: Final = FrameSchema(
    "disputes",
    "one row per call and field that is wrong and cannot be patched, and one per CDR call that no Call record bills",
    _columns(
        ("kind", _T, "`wrong`: a call and its field; `unbilled`: a CDR call with talk and without a call"),
        ("call_id", _T, "the API's id of the call; missing for an unbilled one"),
        ("call_uuid", _T, "the API's call_uuid; missing for an unbilled one"),
        ("cdr_id", _T, "the id of the reduced CDR call"),
        ("field", _T, "the attribute that is wrong; missing for an unbilled one"),
        ("value_call", _T, "what the API has, in API form; missing = null"),
        ("value_cdr", _T, "what the CDR proves, in API form"),
        ("explanation", _T, "the leading explanation"),
        ("started_at", _AT, "the API's start, or the CDR's where the API has none"),
        ("seconds", _S, "seconds of talk by the CDR"),
        ("direction", _T, "the API's direction; the CDR's of an unbilled one"),
        ("from_number", _T, "the API's caller; of an unbilled one the CDR's, E.164 if known"),
        ("to_number", _T, "the API's called party; of an unbilled one the CDR's, E.164 if known"),
        ("sip_username", _T, "the user"),
        ("match_rule", _T, "how the call was matched"),
        ("source_file", _T, "file of the first leg"),
        ("source_row", _I, "line of the first leg"),
    ),
)

_DTYPES: Final[Mapping[str, str]] = {kind.value: kind.value for kind in Kind}


def to_schema(frame: pd.DataFrame, schema: FrameSchema) -> pd.DataFrame:
    """Return exactly the schema's columns, in its order and types, with a fresh index.

    Columns that the frame lacks are missing throughout; further ones are left away.
    """
    size = len(frame)
    columns: dict[str, Any] = {}
    for column in schema.columns:
        if column.name in frame.columns:
            columns[column.name] = _cast(frame[column.name].reset_index(drop=True), column.kind)
        else:
            columns[column.name] = pd.Series([None] * size, dtype=column.kind.value)
    return pd.DataFrame(columns, columns=schema.names)


def _cast(series: pd.Series[Any], kind: Kind) -> pd.Series[Any]:
    if str(series.dtype) == kind.value:
        return series
    if kind is Kind.INSTANT:
        if pd.api.types.is_string_dtype(series.dtype) or series.isna().all():
            return text_to_instants(series.astype("str"))
        return series.dt.tz_convert("UTC").dt.as_unit("us")
    if kind is Kind.TEXT:
        return series.astype("object").where(series.notna(), None).astype("str")
    return series.astype(kind.value)  # type: ignore[call-overload]  # the stubs list literal dtype names only


def is_among(texts: pd.Series[str], wanted: Iterable[str]) -> pd.Series[bool]:
    """Mark the texts that are among others; a missing text never is.

    On Arrow's buffers, because pandas turns each text into a Python object first.

    Examples
    --------
    >>> is_among(pd.Series(["a", "b", None], dtype="str"), ["b"]).tolist()
    [False, True, False]
    """
    values = (
        text_array(wanted)
        if isinstance(wanted, pd.Series)
        else pa.array(list(wanted), pa.large_string(), from_pandas=True)
    )
    found = pc.is_in(text_array(texts), value_set=values, skip_nulls=True)
    return pd.Series(found.to_numpy(zero_copy_only=False).astype("bool"), index=texts.index)


def tidy_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return any frame with its columns in the five kinds of this package; a named index becomes a column."""
    flat = frame.reset_index() if any(frame.index.names) else frame.reset_index(drop=True)
    return pd.DataFrame({str(name): _cast(flat[name], _kind_of(flat[name])) for name in flat.columns})


def _kind_of(series: pd.Series[Any]) -> Kind:
    types = pd.api.types
    if types.is_bool_dtype(series.dtype):
        return Kind.FLAG
    if types.is_integer_dtype(series.dtype):
        return Kind.INTEGER
    if types.is_float_dtype(series.dtype):
        return Kind.SECONDS
    return Kind.INSTANT if isinstance(series.dtype, pd.DatetimeTZDtype) else Kind.TEXT


def _plain_values(series: pd.Series[Any]) -> list[Any]:
    """Return one column as values that JSON can hold: instants as text, missing as None."""
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return text_array(instants_to_text(series)).to_pylist()
    return pa.array(series.array, from_pandas=True).to_pylist()


def canonical_json(value: object) -> str:
    """Return the one JSON text of a plain value: keys sorted, no blanks, no escapes beyond the needed.

    Examples
    --------
    >>> canonical_json({"b": [1, None], "a": "é"})
    '{"a":"é","b":[1,null]}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def json_of_column(frame: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield each column of a frame, in its order, with its kind and values as canonical JSON."""
    for name in frame.columns:
        series = frame[name]
        yield str(name), canonical_json({"dtype": str(series.dtype), "values": _plain_values(series)})


def plain_frame(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame as plain values that `frame_from_plain` reads back to an equal frame."""
    return [
        {"name": str(name), "dtype": str(frame[name].dtype), "values": _plain_values(frame[name])}
        for name in frame.columns
    ]


def frame_from_plain(columns: list[dict[str, Any]]) -> pd.DataFrame:
    """Read back what `plain_frame` wrote.

    Raises
    ------
    PlanError
        If a column has a type that no plan has.
    """
    frame: dict[str, Any] = {}
    for column in columns:
        dtype = column["dtype"]
        if dtype not in _DTYPES:
            msg = f"the plan holds a column of type {dtype!r}, which no plan has; it was not written by this program"
            raise PlanError(msg)
        values = column["values"]
        if dtype == Kind.INSTANT.value:
            frame[column["name"]] = text_to_instants(pd.Series(values, dtype="str"))
        else:
            frame[column["name"]] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(frame)
