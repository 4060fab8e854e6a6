"""What is meant to fill a memory or a disk, or is broken so that it would, is refused before it does."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import sippet_reconcile as sr
from sippet_reconcile.cdr import kinds
from sippet_reconcile.cdr.files import cutting, packed, sources

Line = Callable[..., bytes]
MIB = 1 << 20

MEASURED = """
import json, sys
import pyarrow as pa
import sippet_reconcile as sr
from sippet_reconcile.cdr.formats import all_formats
all_formats()
def told(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) // 1024
pool = pa.default_memory_pool()
before, held, size = told("VmRSS"), pool.bytes_allocated(), 0
try:
    legs = sr.read_cdr(sys.argv[1], progress=False, timezone='UTC')
    said = f"{len(legs)} rows"
except (sr.CdrFormatError, sr.InputError) as exc:
    said = f"{type(exc).__name__}: {exc}"
    legs = None
grown, handed_out = told("VmHWM") - before, (pool.max_memory() - held) >> 20
if legs is not None:
    size = pa.Table.from_pandas(legs, preserve_index=False).nbytes >> 20
print(json.dumps([said, grown, handed_out, size]))
"""


class Reading(NamedTuple):
    """What came of reading a file in a fresh process, and what that took, in MiB."""

    said: str
    grown: int
    """By how much the process grew at most, with all that allocators keep for later."""
    handed_out: int
    """How much of Arrow's memory was in use at most: the same on every machine."""
    legs: int


def in_a_process(path: Path) -> Reading:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], capture_output=True, encoding="utf-8", check=True
    )
    return Reading(*json.loads(done.stdout))


STATUS = Path("/proc/self/status")
needs_proc = pytest.mark.skipif(
    not STATUS.exists() or "VmHWM" not in STATUS.read_text(),
    reason="/proc does not tell how large a process was",
)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zeros", "fields", "quote", "json", "xml", "sql"])
def test_a_gibibyte_on_one_line_is_refused_within_bounded_memory(tmp_path: Path, kind: str) -> None:
    begin = {"zeros": b"\0", "fields": b'"a",', "quote": b'"' + b"x" * 7, "json": b"[", "xml": b"<cdr>", "sql": b"INSERT INTO cdr VALUES "}[kind]  # fmt: skip
    block = {"fields": b'"a",' * (MIB // 4), "json": b"[" * MIB}.get(kind, bytes([begin[-1]]) * MIB)
    path = tmp_path / "one.csv"
    with path.open("wb") as out:
        out.write(begin)
        for _ in range(0 if kind == "zeros" else 96):
            out.write(block)
        out.truncate(1 << 30)  # the rest is a hole: no disk has to hold it
    read = in_a_process(path)
    path.unlink()
    assert read.said.startswith("CdrFormatError: one.csv")
    assert any(words in read.said for words in ("longer than 64 MiB", "1,024 MiB or more"))
    assert read.grown < 200


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "packed"])
def test_a_large_file_takes_little_more_memory_than_its_legs(
    freeswitch: Line, tmp_path: Path, is_packed: bool
) -> None:
    line = freeswitch(uuid="8c1f3c52-0000-4000-8000-{:012d}").decode()
    text = "".join(line.format(n) for n in range(300_000)).encode()
    path = tmp_path / "large.csv"
    path.write_bytes(gzip.compress(text, 1) if is_packed else text)
    read = in_a_process(path)
    path.unlink()
    assert read.said == "300000 rows"
    # A fourth of the legs is usual, and more than all of them where the file is read as a whole.
    assert read.handed_out < 0.6 * read.legs
    # What else is held is told by the process alone, whose size depends on chance: 1.6 to 2 times the legs.
    assert read.grown < 3 * read.legs


# ---------------------------------------------------------------- lines


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 1 << 14)
    monkeypatch.setattr(cutting, "_CHUNK", 1 << 12)
    monkeypatch.setattr(sources, "_CHUNK", 1 << 12)
    monkeypatch.setattr(cutting, "LONGEST", MIB)
    monkeypatch.setattr(sources, "MAX_WHOLE", 4 * MIB)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("how", ["plain", "gz", "zip", "stream"])
def test_a_line_that_is_longer_than_any_record_is_refused(freeswitch: Line, tmp_path: Path, how: str) -> None:
    data = freeswitch() * 10 + b'"a",' * MIB
    path = tmp_path / "long.csv"
    path.write_bytes(gzip.compress(data, 1) if how == "gz" else data)
    if how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as out:
            out.writestr("long.csv", data)
    with pytest.raises(sr.CdrFormatError, match=r"the line that begins at byte [\d,]+ is longer than 1 MiB"):
        sr.read_cdr(io.BytesIO(data) if how == "stream" else path, timezone="UTC")
    with pytest.raises(sr.CdrFormatError, match="is longer than 1 MiB"):
        list(sr.iter_cdr(path, timezone="UTC"))


@pytest.mark.usefixtures("small_limits")
def test_a_long_line_between_records_is_one_row_with_a_problem(freeswitch: Line, tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_bytes(freeswitch() * 10 + b'"' + b"x" * (MIB // 2) + b"\n" + freeswitch() * 10)
    legs = sr.read_cdr(path, timezone="UTC")
    assert len(legs) == 21
    assert legs["problem"].notna().tolist() == [False] * 10 + [True] + [False] * 10
    assert legs["source_row"].tolist() == list(range(1, 22))


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("begin", [b'[{"a": 1}, ', b"{"])
def test_what_is_read_as_a_whole_has_its_limit_too(tmp_path: Path, begin: bytes) -> None:
    path = tmp_path / "calls.json"
    path.write_bytes(begin + b" " * (4 * MIB))
    with pytest.raises(sr.CdrFormatError, match="4 MiB or more of a kind that is read as a whole"):
        sr.read_cdr(path)
    path.write_bytes(gzip.compress(begin + b" " * (5 * MIB)))
    with pytest.raises(sr.CdrFormatError, match="4 MiB or more of a kind that is read as a whole"):
        sr.read_cdr(path)


def test_a_line_of_a_million_delimiters_is_one_row_with_a_problem(freeswitch: Line) -> None:
    legs = sr.read_cdr(io.BytesIO(freeswitch() + b"," * 1_000_000 + b"\n" + freeswitch()), timezone="UTC")
    assert legs["problem"].notna().tolist() == [False, True, False]
    assert "1000001 fields" in legs.loc[1, "problem"]


@pytest.mark.parametrize("n", [2000, 1_000_000])
def test_a_header_of_absurdly_many_columns_is_refused(n: int) -> None:
    names = ",".join(["S", "Id", *(f"c{i}" for i in range(n))])
    data = f"{names}\n2026-10-01 08:00:00,1{',' * n}\n".encode()
    with pytest.raises(
        sr.CdrFormatError, match=r"line 1 names [\d,]+ columns or more, and no CDR export has more than 1,000"
    ):
        sr.read_cdr(io.BytesIO(data), columns={"started_at": "S", "call_key": "Id"}, timezone="UTC")


def test_a_table_may_have_as_many_columns_as_the_limit_allows() -> None:
    n = kinds.MAX_COLUMNS - 2
    names = ",".join(["S", "Id", *(f"c{i}" for i in range(n))])
    data = f"{names}\n2026-10-01 08:00:00,1".encode() + b',"a"' * n + b"\n"
    legs = sr.read_cdr(io.BytesIO(data), columns={"started_at": "S", "call_key": "Id"}, timezone="UTC")
    assert legs["problem"].isna().all()


# ---------------------------------------------------------------- packed files


@pytest.fixture
def ratio_from_a_mebibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_RATIO_FROM", MIB)


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as out:
        for name, data in members:
            out.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.usefixtures("ratio_from_a_mebibyte")
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_an_archive_is_refused_with_its_sizes_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    data = zipped(("x.csv", b"a,b\n" * (2 * MIB)), method=method)
    monkeypatch.setattr(packed, "member_chunks", lambda *_: pytest.fail("it was unpacked"))
    monkeypatch.setattr(sources, "member_chunks", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(sr.InputError, match=rf"unpacks to more than 8 MiB from {len(data):,} bytes"):
        sr.read_cdr(io.BytesIO(data))


@pytest.mark.usefixtures("ratio_from_a_mebibyte")
def test_a_gzip_bomb_is_refused_whether_it_is_one_or_many(tmp_path: Path) -> None:
    one = gzip.compress(b"a,b\n" * (2 * MIB))
    for data in (
        one,
        gzip.compress(b"a,b\n" * 20_000) * 200,
        zipped(("x.gz", one), method=zipfile.ZIP_STORED),
    ):
        with pytest.raises(sr.InputError, match=r"unpacks to more than \d+ MiB from [\d,]+ bytes"):
            sr.read_cdr(io.BytesIO(data))
    path = tmp_path / "bomb.gz"
    path.write_bytes(one)
    with pytest.raises(sr.InputError, match="which no CDR export does"):
        sr.read_cdr(path)


def test_a_header_that_lies_about_a_size_is_not_believed() -> None:
    honest = zipped(("x.csv", b"a,b\n" * 500_000))
    size = struct.pack("<L", 2_000_000)
    assert honest.count(size) == 2
    for lie in (10, 3_000_000_000):
        with pytest.raises(sr.InputError, match=r"cannot be unpacked|which no CDR export does"):
            sr.read_cdr(io.BytesIO(honest.replace(size, struct.pack("<L", lie))))
    told = gzip.compress(b"a,b\n")
    with pytest.raises(sr.InputError, match="damaged gzip data"):
        sr.read_cdr(io.BytesIO(told[:-4] + struct.pack("<L", 4_000_000_000)))


def test_members_that_overlap_are_refused() -> None:
    """One kernel that every entry of the list claims as its own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as out:
        out.writestr("0.csv", b"a,b\n" * 1000)
        first = out.infolist()[0]
        for n in range(1, 50):
            info = zipfile.ZipInfo(f"{n}.csv")
            info.CRC, info.file_size, info.compress_size = first.CRC, first.file_size, first.compress_size
            info.header_offset = first.header_offset
            out.filelist.append(info)
    with pytest.raises(sr.InputError, match="they overlap"):
        sr.read_cdr(io.BytesIO(buffer.getvalue()))


@pytest.mark.parametrize("inner", ["zip", "gz"])
@pytest.mark.parametrize("outer", ["zip", "gz", "gz in zip"])
def test_what_is_packed_again_is_not_unpacked_again(inner: str, outer: str) -> None:
    """A quine is an archive that holds itself: whoever unpacks what is inside never ends."""
    data = zipped(("x.csv", b"a,b\n")) if inner == "zip" else gzip.compress(gzip.compress(b"a,b\n"))
    data = zipped(("inner", data)) if outer == "zip" else gzip.compress(data)
    if outer == "gz in zip":
        data = zipped(("inner.gz", data))
    with pytest.raises(sr.InputError, match="again; unpack it yourself"):
        sr.read_cdr(io.BytesIO(data))


def test_an_archive_of_absurdly_many_files_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(*((f"{n}.csv", b"") for n in range(60)))
    monkeypatch.setattr(packed, "MAX_MEMBERS", 50)
    with pytest.raises(sr.InputError, match="holds more than 50 files"):
        sr.read_cdr(io.BytesIO(data))
    monkeypatch.setattr(packed, "MAX_MEMBERS", 5)
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("its list was read"))
    with pytest.raises(sr.InputError, match="holds more than 5 files"):
        sr.read_cdr(io.BytesIO(data))


def test_names_of_members_are_only_shown(
    freeswitch: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["/etc/passwd.csv", "../../up.csv", "C:\\calls.csv", "a/../b.csv"]
    legs = sr.read_cdr(io.BytesIO(zipped(*((name, freeswitch()) for name in names))), timezone="UTC")
    assert legs["source_file"].tolist() == [f"<stream>/{name}" for name in names]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_a_packed_file_that_was_cut_off_is_refused(freeswitch: Line, keep: float, kind: str) -> None:
    data = b"".join(
        freeswitch(uuid=f"8c1f3c52-0000-4000-8000-{zlib.crc32(bytes([n])):012d}") for n in range(200)
    )
    whole = zipped(("x.csv", data)) if kind == "zip" else gzip.compress(data)
    with pytest.raises(sr.InputError, match=r"cannot be unpacked|copy it again"):
        sr.read_cdr(io.BytesIO(whole[: int(len(whole) * keep)]), timezone="UTC")
