"""Calls on disk: what a fetch saved, or JSON:API documents somebody kept.

Input is a parquet file of a calls frame, or documents as ``.json`` or ``.json.gz``;
output is a calls frame as `fetch_calls` gives it. A saved frame keeps where and when
it was read; for documents both are told or found.
"""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zlib
from datetime import UTC, datetime
from operator import methodcaller
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sippet_reconcile._parquet import read_parquet
from sippet_reconcile.api.documents import DocumentError, calls_frame, load_json, rows_of, with_source
from sippet_reconcile.api.fetch import count_conflicts, one_row_per_id
from sippet_reconcile.api.queries import instant_text
from sippet_reconcile.api.urls import base_url_of, normalise_url
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.schema import CALLS, Calls, arrow_to_frame, conform
from sippet_reconcile.values import parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["read_calls", "write_calls"]

_GZIP: Final = b"\x1f\x8b"
_PARQUET: Final = b"PAR1"
_MOST_TEXT: Final = 2**28
_MOST_RATIO: Final = 100
"""Documents of calls shrink to a twentieth or a fortieth when they are packed."""


def write_calls(calls: pd.DataFrame, path: str | os.PathLike[str]) -> Path:
    """Save calls as one parquet file that `read_calls` and any parquet reader can read.

    It is written aside and then renamed, so that a reader never meets half a file, and
    is readable by its owner alone: calls hold phone numbers.

    Raises
    ------
    SchemaError
        Where the frame is not one of calls.
    InputError
        Where the file cannot be written.
    """
    target = Path(path)
    frame = conform(calls, CALLS)[CALLS.names]
    table = pa.Table.from_pandas(frame, preserve_index=False).cast(CALLS.arrow).replace_schema_metadata()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        aside = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd")
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as exc:
        msg = f"the calls cannot be written to {target}: {exc.strerror or exc}"
        raise InputError(msg) from exc
    return target


def read_calls(
    path: str | os.PathLike[str],
    api_url: str | None = None,
    fetched_at: datetime | str | None = None,
) -> Calls:
    """Read calls from parquet or from JSON:API documents.

    Parameters
    ----------
    path
        A parquet file of a calls frame, or a ``.json`` or ``.json.gz`` file with one
        document, a list of documents, or a list of resources.
    api_url
        The API that the calls are from. A saved frame knows its own, and another one
        given here is an error. Documents do not tell it reliably (behind a proxy their
        links name an inner host), so without it the column is missing.
    fetched_at
        When they were read. Without it, the latest instant found in the documents.

    Returns
    -------
    Calls
        One row per call, by ``started_at`` and ``id``.

    Raises
    ------
    InputError
        Where the file is neither, or does not hold calls; it names what does not fit.
    SchemaError
        Where a saved frame lacks columns, or mixes the calls of two APIs.

    Examples
    --------
    >>> import sippet_reconcile as sr
    >>> from sippet_reconcile.demo import sample_data
    >>> calls = sr.read_calls(sample_data() / "api" / "calls.json", fetched_at="2026-11-01T03:00:00Z")
    >>> calls["id"].is_unique, calls["fetched_at"].iloc[0].isoformat()
    (True, '2026-11-01T03:00:00+00:00')
    """
    source = Path(path)
    at = None if fetched_at is None else parse_instant(instant_text(fetched_at, "fetched_at"))
    url = None if api_url is None else base_url_of(api_url)
    try:
        body = source.read_bytes()
    except OSError as exc:
        msg = f"{source} cannot be read ({exc.strerror or type(exc).__name__})"
        raise InputError(msg) from exc
    if body.startswith(_PARQUET):
        calls = _saved_frame(body, source, url, at)
    else:
        calls = _documents(body, source, url, at)
    urls = sorted(calls["api_url"].dropna().unique())
    if len(urls) > 1:
        msg = f"{source}: the calls are from several APIs ({', '.join(urls)}); keep those of one"
        raise SchemaError(msg)
    n_conflicts = count_conflicts(calls)
    if n_conflicts:
        msg = f"{source}: {n_conflicts:,} calls are in it twice with different values, read at the same time; keep one each"
        raise InputError(msg)
    return one_row_per_id(calls)


def _saved_frame(body: bytes, source: Path, url: str | None, at: datetime | None) -> Calls:
    try:
        table = read_parquet(body)
    except pa.ArrowException as exc:
        msg = f"{source} is not a readable parquet file: {exc}"
        raise InputError(msg) from exc
    frame = _with_defaults(arrow_to_frame(table.replace_schema_metadata()), url, at)
    try:
        frame = conform(frame, CALLS)
    except SchemaError as exc:
        msg = f"{source}: {exc}"
        raise SchemaError(msg, failures=exc.failures) from exc
    bad = ~frame["id"].str.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}").fillna(
        value=False
    )
    if bad.any():
        msg = f"{source}: {int(bad.sum()):,} of {len(frame):,} rows have no UUID in the column 'id'"
        raise InputError(msg)
    urls = frame["api_url"].map(
        {text: _one_spelling(text, source) for text in frame["api_url"].dropna().unique()}
    )
    frame = frame.assign(id=frame["id"].str.lower(), api_url=urls.astype("str"))
    if url is not None and frame["api_url"].dropna().ne(url).any():
        msg = f"{source}: the calls are from {frame['api_url'].dropna().iloc[0]}, not from {url}"
        raise SchemaError(msg)
    if url is not None:
        frame = frame.assign(api_url=pd.Series(url, index=frame.index, dtype="str"))
    if at is not None:
        frame = frame.assign(
            fetched_at=pd.Series(pd.Timestamp(at), index=frame.index, dtype="datetime64[us, UTC]")
        )
    return Calls(frame[CALLS.names])


def _one_spelling(url: str, source: Path) -> str:
    try:
        return normalise_url(url)
    except InputError as exc:
        msg = f"{source}: api_url: {exc}"
        raise InputError(msg) from exc


def _with_defaults(frame: pd.DataFrame, url: str | None, at: datetime | None) -> pd.DataFrame:
    """Add the two columns that a frame of another program may lack, where they are told."""
    told: dict[str, Any] = {}
    if "api_url" not in frame.columns:
        told["api_url"] = pd.Series(url, index=frame.index, dtype="str")
    if "fetched_at" not in frame.columns:
        found = _latest(frame[name] for name in ("started_at", "ended_at") if name in frame.columns)
        told["fetched_at"] = pd.Series(at or found, index=frame.index, dtype="datetime64[us, UTC]")
    return frame.assign(**told)


def _latest(columns: Iterator[pd.Series[Any]]) -> pd.Timestamp | None:
    latest = [column.max() for column in columns if isinstance(column.dtype, pd.DatetimeTZDtype)]
    known = [value for value in latest if not pd.isna(value)]
    return max(known, default=None)


def _documents(body: bytes, source: Path, url: str | None, at: datetime | None) -> Calls:
    if body.startswith(_GZIP):
        most = max(_MOST_TEXT, _MOST_RATIO * len(body))
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
                body = packed.read(most + 1)
        except (OSError, EOFError, zlib.error) as exc:
            msg = f"{source} is not a whole gzip file ({type(exc).__name__})"
            raise InputError(msg) from exc
        if len(body) > most:
            msg = f"{source} would unfold to more than {most:,} bytes, which no honest file of calls does"
            raise InputError(msg)
    try:
        tables = [rows_of(resources) for resources in _parts(load_json(body))]
    except DocumentError as exc:
        msg = f"{source} is neither parquet nor a JSON:API document of calls: {exc}; pass calls as they were fetched, or an answer of GET /api/calls"
        raise InputError(msg) from exc
    if at is None:
        at = _latest_instant(tables)
    return calls_frame([with_source(table, url, at) for table in tables])


def _parts(content: object) -> Iterator[list[Any]]:
    """Yield the resources of each document."""
    documents = content if isinstance(content, list) else [content]
    are_objects = set(map(type, documents)) == {dict}
    if (
        isinstance(content, list)
        and are_objects
        and all(map(methodcaller("__contains__", "type"), documents))
    ):
        yield documents
        return
    for document in documents:
        if not isinstance(document, dict) or "data" not in document:
            msg = "a document has no 'data'"
            raise DocumentError(msg)
        data = document["data"]
        yield data if isinstance(data, list) else [data]


def _latest_instant(tables: list[pa.Table]) -> datetime | None:
    found = [pc.max(table.column(name)).as_py() for table in tables for name in ("started_at", "ended_at")]
    known = [value for value in found if value is not None]
    return max(known).astimezone(UTC) if known else None
