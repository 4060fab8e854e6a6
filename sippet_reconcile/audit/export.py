"""Hand the audit records to people without this package: one file in a common format.

Input are the records as an Arrow table and a path whose suffix names the format;
output is the file, whole or not at all.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from sippet_reconcile.audit.parts import write_aside_then_rename
from sippet_reconcile.audit.records import AUDIT, records_of_table
from sippet_reconcile.errors import AuditError, InputError
from sippet_reconcile.schema import arrow_to_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    import pandas as pd
    import pyarrow as pa

__all__ = ["export_records"]

_FORMULA: Final = r"^(?=[=+\-@\t\r])"


def export_records(records: pa.Table, target: Path) -> Path:
    """Write records by the suffix of the target.

    Raises
    ------
    InputError
        If the suffix names no format, or the folder is not there.
    AuditError
        If the file cannot be written.
    """
    write = _WRITERS.get(target.suffix.lower())
    if write is None:
        formats = ", ".join(sorted(_WRITERS))
        msg = f"{target.name}: an audit log is exported as {formats}, not as {target.suffix or 'a file without suffix'}"
        raise InputError(msg)
    if not target.parent.is_dir():
        msg = f"{target.parent} is no folder; make it first"
        raise InputError(msg)
    try:
        aside = target.with_name(f".{secrets.token_hex(4)}{target.suffix}.writing")
        write_aside_then_rename(target, lambda sink: write(records, sink), aside=aside, may_replace=True)
    except OSError as exc:
        msg = f"{target} cannot be written ({exc.strerror or exc})"
        raise AuditError(msg) from exc
    return target


def _write_parquet(records: pa.Table, sink: BinaryIO) -> None:
    pq.write_table(records, sink, compression="zstd")


def _write_csv(records: pa.Table, sink: BinaryIO) -> None:
    frame = arrow_to_frame(records, AUDIT)
    text: pd.DataFrame = frame.select_dtypes("str")
    guarded = {name: text[name].str.replace(_FORMULA, "'", regex=True) for name in text.columns}
    stamped = frame.assign(**guarded).assign(at=frame["at"].dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    stamped.to_csv(sink, index=False, encoding="utf-8", lineterminator="\n")


def _write_jsonl(records: pa.Table, sink: BinaryIO) -> None:
    for record in records_of_table(records):
        sink.write(json.dumps(record, sort_keys=True, separators=(",", ":")).encode() + b"\n")


_WRITERS: Final[Mapping[str, Callable[[pa.Table, BinaryIO], None]]] = {
    ".csv": _write_csv,
    ".jsonl": _write_jsonl,
    ".parquet": _write_parquet,
}
