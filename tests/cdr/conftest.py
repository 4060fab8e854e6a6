"""Rows of invented exports: numbers are from the ranges reserved for fiction."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sippet_reconcile as sr

FREESWITCH = {
    "caller_id_name": "Ann",
    "caller_id_number": "1001",
    "destination_number": "+442079460123",
    "context": "default",
    "start_stamp": "2026-10-01 09:00:00",
    "answer_stamp": "2026-10-01 09:00:05",
    "end_stamp": "2026-10-01 09:01:05",
    "duration": "65",
    "billsec": "60",
    "hangup_cause": "NORMAL_CLEARING",
    "uuid": "8c1f3c52-0000-4000-8000-000000000001",
    "bleg_uuid": "",
    "accountcode": "1001",
    "read_codec": "PCMU",
    "write_codec": "PCMU",
}

ASTERISK = {
    "accountcode": "",
    "src": "1001",
    "dst": "+442079460123",
    "dcontext": "from-internal",
    "clid": '"Ann" <1001>',
    "channel": "PJSIP/1001-0000000a",
    "dstchannel": "PJSIP/trunk-0000000b",
    "lastapp": "Dial",
    "lastdata": "PJSIP/+442079460123@trunk,60",
    "start": "2026-10-01 09:00:00",
    "answer": "2026-10-01 09:00:05",
    "end": "2026-10-01 09:01:05",
    "duration": "65",
    "billsec": "60",
    "disposition": "ANSWERED",
    "amaflags": "DOCUMENTATION",
    "uniqueid": "1790845200.1",  # 2026-10-01 09:00:00 UTC
    "userfield": "",
    "peeraccount": "",
    "linkedid": "1790845200.1",
    "sequence": "7",
}

Line = Callable[..., bytes]


@pytest.fixture
def freeswitch() -> Line:
    """Return a function that makes one line of the example template, with some fields replaced."""

    def line(**fields: str) -> bytes:
        row = {**FREESWITCH, **fields}
        return (",".join(f'"{row[name]}"' for name in FREESWITCH) + "\n").encode()

    return line


@pytest.fixture
def asterisk() -> Line:
    """Return a function that makes one line of cdr_csv of a width, with some fields replaced."""
    optional = {
        16: (),
        17: ("uniqueid",),
        18: ("uniqueid", "userfield"),
        19: ("peeraccount", "linkedid", "sequence"),
    }
    optional[20] = (*optional[17], *optional[19])
    optional[21] = (*optional[18], *optional[19])
    bare = {"duration", "billsec", "sequence"}

    def cell(name: str, value: str) -> str:
        if name in bare or (name in {"answer", "end"} and not value):
            return value
        return '"' + value.replace('"', '""') + '"'

    def line(width: int = 18, names: tuple[str, ...] | None = None, **fields: str) -> bytes:
        row = {**ASTERISK, **fields}
        chosen = names or (*list(ASTERISK)[:16], *optional[width])
        return (",".join(cell(name, row[name]) for name in chosen) + "\n").encode()

    return line


@pytest.fixture
def read() -> Callable[..., pd.DataFrame]:
    """Return a function that reads bytes as a file without a name on disk."""

    def read_bytes(data: bytes, **options: Any) -> pd.DataFrame:
        stream = io.BytesIO(data)
        return sr.read_cdr(stream, **options)

    return read_bytes


@pytest.fixture
def in_file(tmp_path: Path) -> Callable[[bytes, str], Path]:
    """Return a function that writes bytes to a file and returns its path."""

    def write(data: bytes, name: str = "Master.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
