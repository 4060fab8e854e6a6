"""Where a sandbox's calls come from: a frame, a JSON:API document, or a file of either.

Input: whatever `Sandbox` was given; output: one dictionary of values per call, with
instants as whole microseconds, checked well enough that the server can serve them.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Final

import pandas as pd

from sippet_reconcile.errors import InputError
from sippet_reconcile.sandbox.filters import FIELD_TYPES, is_uuid
from sippet_reconcile.sandbox.instants import FIRST_MICROS, LAST_MICROS, parse_instant
from sippet_reconcile.schema import CALLS, FrameSchema, Kind, conform

__all__ = ["check_value", "read_calls"]

_HELD: Final = FrameSchema("calls", CALLS.grain, CALLS.columns[:-2])
_EPOCH: Final = pd.Timestamp(0, tz="UTC").as_unit("us")
_MICROSECOND: Final = pd.Timedelta(1, "us").as_unit("us")


def read_calls(source: object) -> list[dict[str, Any]]:
    """Return the values of every call in a frame, a JSON:API document, or a file.

    Parameters
    ----------
    source
        None for no calls; a DataFrame with the CALLS columns (those about fetching may be
        absent); a JSON:API document, or the list in its ``data``; or a path that ends in
        ``.json``, ``.json.gz`` or ``.parquet``.

    Raises
    ------
    InputError
        Saying which call cannot be served, counted from 1, and why.

    Examples
    --------
    >>> read_calls({"data": []})
    []
    """
    if source is None:
        return []
    if isinstance(source, str | Path):
        return read_calls(_read_file(Path(source)))
    if isinstance(source, pd.DataFrame):
        return _from_frame(source)
    if isinstance(source, Mapping) and isinstance(source.get("data"), Sequence):
        return list(_from_resources(source["data"]))
    if isinstance(source, Sequence):
        return list(_from_resources(source))
    msg = (
        f"a sandbox takes its calls from a DataFrame, a JSON:API document or a file, "
        f"not from {type(source).__name__}"
    )
    raise InputError(msg)


def _read_file(path: Path) -> object:
    try:
        if path.name.endswith(".parquet"):
            return pd.read_parquet(path)
        if path.name.endswith(".json.gz"):
            return json.loads(gzip.decompress(path.read_bytes()))
        if path.name.endswith(".json"):
            return json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        msg = f"the calls in {path} cannot be read: {exc}"
        raise InputError(msg) from exc
    msg = f"{path} is no file of calls; it must end in .json, .json.gz or .parquet"
    raise InputError(msg)


def _from_frame(frame: pd.DataFrame) -> list[dict[str, Any]]:
    calls = conform(frame, _HELD)
    columns: list[list[Any]] = []
    for column in _HELD.columns:
        series = calls[column.name]
        if column.kind is Kind.INSTANT:
            numbers = ((series.fillna(_EPOCH) - _EPOCH) // _MICROSECOND).tolist()
            if numbers and not FIRST_MICROS <= min(numbers) <= max(numbers) <= LAST_MICROS:
                msg = (
                    f"{column.name} holds an instant outside the years 1 to 9999, which the API cannot write"
                )
                raise InputError(msg)
        else:
            numbers = series.tolist()
        missing = series.isna().tolist()
        columns.append([None if gone else v for v, gone in zip(numbers, missing, strict=True)])
    rows = [dict(zip(_HELD.names, row, strict=True)) for row in zip(*columns, strict=True)]
    for number, row in enumerate(rows, start=1):
        row["id"] = _check_id(row["id"], number)
    return rows


def _from_resources(resources: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for number, resource in enumerate(resources, start=1):
        attributes = resource.get("attributes") if isinstance(resource, Mapping) else None
        if not isinstance(attributes, Mapping):
            msg = f"call {number} of the document is no resource object with id and attributes"
            raise InputError(msg)
        row = {"id": _check_id(resource.get("id"), number)}
        for name in _HELD.names[1:]:
            try:
                row[name] = check_value(name, attributes.get(name))
            except InputError as exc:
                msg = f"call {number} of the document: {exc}"
                raise InputError(msg) from None
        yield row


def _check_id(value: object, number: int) -> str:
    if not isinstance(value, str) or not is_uuid(value):
        msg = f"call {number} has the id {value!r}; the API's ids are UUIDs with dashes"
        raise InputError(msg)
    return value.lower()


def check_value(name: str, value: Any) -> Any:
    """Return one attribute's value as the store keeps it, read from JSON or from Python.

    Examples
    --------
    >>> check_value("ended_at", "1970-01-01T00:00:01Z"), check_value("duration_seconds", 60)
    (1000000, 60)
    """
    if name not in FIELD_TYPES or name == "id":
        msg = f"{name!r} is no attribute of a call"
        raise InputError(msg)
    kind = FIELD_TYPES[name]
    if value is None or value is pd.NA or value is pd.NaT or value != value:  # noqa: PLR0124 - NaN
        return None
    if kind == "instant":
        return _as_micros(name, value)
    if kind == "integer":
        if isinstance(value, bool) or not isinstance(value, Integral | float) or value % 1 != 0:
            msg = f"{name} must be whole seconds, got {type(value).__name__}"
            raise InputError(msg)
        return int(value)
    if not isinstance(value, str):
        msg = f"{name} must be text, got {type(value).__name__}"
        raise InputError(msg)
    return value


def _as_micros(name: str, value: Any) -> int:
    if isinstance(value, str):
        try:
            return parse_instant(value)
        except ValueError:
            msg = f"{name} is {value!r}; write YYYY-MM-DDTHH:MM:SSZ"
            raise InputError(msg) from None
    try:
        moment = pd.Timestamp(value)
    except (TypeError, ValueError):
        msg = f"{name} must be an instant, got {type(value).__name__}"
        raise InputError(msg) from None
    if moment.tzinfo is None:
        msg = f"{name} must have a time zone; give it tz='UTC' if that is meant"
        raise InputError(msg)
    return int((moment - _EPOCH) // _MICROSECOND)
