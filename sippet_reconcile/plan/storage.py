"""Write a plan to one parquet file, and refuse one that was edited.

The changes are the rows of the file, for anybody to read; everything else travels in
its metadata. Reading recomputes the fingerprint: a file whose content does not give
its plan id is refused. The file is written aside and renamed, so that it is whole or
absent.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import json
import os
import tempfile
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sippet_reconcile._parquet import UnfoldsTooFarError, read_parquet, refuse_bomb
from sippet_reconcile.errors import PlanError
from sippet_reconcile.plan.approval import Approval
from sippet_reconcile.plan.content import READ_VERSIONS, SCHEMA_VERSION, Content, fingerprint_of
from sippet_reconcile.plan.frames import canonical_json, frame_from_plain, plain_frame
from sippet_reconcile.plan.validation import check_changes
from sippet_reconcile.schema import CHANGES, arrow_to_frame, check_frame

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_plan", "write_plan"]

_PREFIX: Final = "sippet_reconcile."
_LARGE: Final = ("calls", "left_out", "disputes")
_SMALL: Final = ("ledger", "findings", "balance", "not_patchable")
_METADATA_LIMIT: Final = (
    2**31 - 1
)  # Arrow's default of 100 MB is too little for the calls of a very large plan


def _table_of(frame: pd.DataFrame) -> pa.Table:
    columns = [
        pa.array(frame[name].array, from_pandas=True).cast(pa.large_string())
        if frame[name].dtype == "str"
        else pa.array(frame[name].array, from_pandas=True)
        for name in frame.columns
    ]
    columns = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
    return pa.table(dict(zip(frame.columns, columns, strict=True)))


def _packed(frame: pd.DataFrame) -> str:
    """Return a frame as parquet bytes in text, which is far smaller than JSON."""
    buffer = io.BytesIO()
    pq.write_table(_table_of(frame), buffer, compression="zstd")
    return base64.b64encode(buffer.getvalue()).decode()


def _unpacked(text: str) -> pd.DataFrame:
    body = base64.b64decode(text, validate=True)
    # What pandas once noted about the columns is not believed of a file from anywhere.
    return arrow_to_frame(read_parquet(body).replace_schema_metadata())


def _seal(plan_id: str, approvals: list[dict[str, str]]) -> str:
    """Return the hash that tells an edited list of approvals from one that was written here."""
    return hashlib.sha256(canonical_json([plan_id, approvals]).encode()).hexdigest()


def write_plan(path: Path, plan_id: str, approvals: tuple[Approval, ...], content: Content) -> Path:
    """Write a plan to one parquet file, whole or not at all; return the path.

    Raises
    ------
    PlanError
        If the file cannot be written.
    """
    signed = [approval.to_dict() for approval in approvals]
    frames = content.frames
    small = {name: plain_frame(frames[name]) for name in _SMALL}
    metadata: dict[str, str] = {
        "plan_id": plan_id,
        "schema_version": str(content.version),
        "plain": canonical_json(dict(content.plain)),
        "frames": canonical_json(small),
        "approvals": canonical_json(signed),
        "approvals_seal": _seal(plan_id, signed),
        **{name: _packed(frames[name]) for name in _LARGE if name in frames},
    }
    table = _table_of(content.changes).cast(CHANGES.arrow)
    table = table.replace_schema_metadata({_PREFIX + key: value for key, value in metadata.items()})
    try:
        _write_aside(path, table)
    except OSError as exc:
        msg = f"the plan cannot be written to {path}: {exc.strerror or exc}"
        raise PlanError(msg) from exc
    return path


def _write_aside(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name begins with a dot, so that nobody's *.parquet finds it; mkstemp makes it readable by its owner alone.
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)  # noqa: PTH105 - the temporary file has a name only
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(aside)  # noqa: PTH108
        raise


def read_plan(path: Path) -> tuple[str, tuple[Approval, ...], Content]:
    """Read a plan back: its id, its approvals, its content.

    Raises
    ------
    PlanError
        If the file is no plan, is of an unknown version, or was edited.
    """
    try:
        with pq.ParquetFile(path, thrift_string_size_limit=_METADATA_LIMIT) as file:
            refuse_bomb(file, path, path.stat().st_size)
            table = file.read()
    except FileNotFoundError as exc:
        msg = f"there is no plan at {path}"
        raise PlanError(msg) from exc
    except UnfoldsTooFarError as exc:
        msg = f"{path} is not a plan: {exc}"
        raise PlanError(msg) from exc
    except (OSError, pa.ArrowInvalid) as exc:
        msg = f"{path} is not a plan: it cannot be read as parquet ({type(exc).__name__})"
        raise PlanError(msg) from exc
    metadata = {
        key.decode().removeprefix(_PREFIX): value.decode()
        for key, value in (table.schema.metadata or {}).items()
        if key.decode(errors="replace").startswith(_PREFIX)
    }
    if "plan_id" not in metadata:
        msg = f"{path} is not a plan, or was written again by another program; load the file that plan.save() wrote"
        raise PlanError(msg)
    _refuse_other_versions(path, metadata.get("schema_version"))
    edited = f"{path} was edited: its content does not give its plan id; build the plan again, or load the original file"
    try:
        content = _content_of(table, metadata)
        signed = json.loads(metadata["approvals"])
        approvals = tuple(Approval.from_dict(one) for one in signed)
        fits = (
            fingerprint_of(content) == metadata["plan_id"]
            and str(content.plain["schema_version"]) == metadata["schema_version"]
        )
        sealed = metadata["approvals_seal"] == _seal(metadata["plan_id"], signed)
    # All of what broken base64, JSON, parquet, or a missing part of them can raise.
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        binascii.Error,
        pa.ArrowException,
        PlanError,
    ) as exc:
        raise PlanError(edited) from exc
    if not fits or not sealed or any(one.plan_id != metadata["plan_id"] for one in approvals):
        raise PlanError(edited)
    try:
        # Whoever wrote the file can compute a plan id, too: it says nothing about what may be sent.
        check_changes(content.changes, None, kind=str(content.plain.get("kind")))
    except PlanError as exc:
        msg = f"{path} is no plan of this program: {exc}"
        raise PlanError(msg) from exc
    return metadata["plan_id"], approvals, content


def _refuse_other_versions(path: Path, version: str | None) -> None:
    if version in {str(known) for known in READ_VERSIONS}:
        return
    is_later = version is not None and version.isdecimal() and int(version) > SCHEMA_VERSION
    told = (
        f"was written by a later version of sippet_reconcile (a plan of version {version!r}, this program reads "
        f"versions up to {SCHEMA_VERSION}): update sippet_reconcile, or build the plan again"
        if is_later
        else f"is a plan of version {version!r}, this program reads versions {READ_VERSIONS[0]} to {SCHEMA_VERSION}; use the version of "
        "sippet_reconcile that wrote it, or build the plan again"
    )
    msg = f"{path} {told}"
    raise PlanError(msg)


def _content_of(table: pa.Table, metadata: dict[str, str]) -> Content:
    if table.column_names != CHANGES.names:
        msg = "the columns of the changes are not those of a plan"
        raise PlanError(msg)
    changes = arrow_to_frame(table, CHANGES)
    check_frame(changes, CHANGES)
    small: dict[str, Any] = {
        name: frame_from_plain(columns) for name, columns in json.loads(metadata["frames"]).items()
    }
    if set(small) != set(_SMALL):
        # What a plan of this version does not have is not under its id.
        msg = "the frames are not those of a plan"
        raise PlanError(msg)
    unknown = {"disputes"} if metadata["schema_version"] == "1" else set()
    large = {name: _unpacked(metadata[name]) for name in _LARGE if name not in unknown}
    return Content(changes=changes, plain=json.loads(metadata["plain"]), **small, **large)
