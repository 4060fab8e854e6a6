"""Every record of a file becomes one row, whatever the file went through."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.cdr.files import packed
from sippet_reconcile.cdr.files.decode import decode
from sippet_reconcile.cdr.records import reader
from sippet_reconcile.cdr.records.careful import MAX_LINE, Careful, Layout
from sippet_reconcile.cdr.records.reader import read_delimited, read_regular
from sippet_reconcile.cdr.tables import repeated
from sippet_reconcile.schema import LEGS

Line = Callable[..., bytes]
Read = Callable[..., pd.DataFrame]
InFile = Callable[..., Path]
TWO = Layout(",", {2: ("x", "y")})


def rows_of(data: bytes, layout: Layout = TWO) -> list[tuple[object, ...]]:
    table = read_delimited(data, layout)
    problems = [None] * len(table) if table.problem is None else table.problem.to_pylist()
    columns = [table.columns[name].to_pylist() for name in layout.names[layout.width]]
    return [
        (line, *cells, bool(problem))
        for line, *cells, problem in zip(table.rows.tolist(), *columns, problems, strict=True)
    ]


# ---------------------------------------------------------------- lines and quoting


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'"a","b"\n"c","d"\n', [(1, "a", "b", False), (2, "c", "d", False)]),
        (b'"a","b"\n"c","d"', [(1, "a", "b", False), (2, "c", "d", False)]),
        (b'\n"a","b"\n\n   \n"c","d"\n\n', [(2, "a", "b", False), (5, "c", "d", False)]),
        (b"a,b\n", [(1, "a", "b", False)]),
        (b'"a ""b"" c","d"\n', [(1, 'a "b" c', "d", False)]),
        (b'"Bob "the" Smith","d"\n"c","d"\n', [(1, 'Bob "the" Smith', "d", False), (2, "c", "d", False)]),
        (b'"Ann" <1001>,"d"\n"c","d"\n', [(1, '"Ann" <1001>', "d", False), (2, "c", "d", False)]),
        (b'""Name" <1115>","d"\n', [(1, '"Name" <1115>', "d", False)]),
        (b'"Lee, "Al"","d"\n', [(1, 'Lee, "Al"', "d", False)]),
        (b'"two\nlines","d"\n"c","d"\n', [(1, "two\nlines", "d", False), (3, "c", "d", False)]),
        (b'"a","b"\n"c"\n"d","e"\n', [(1, "a", "b", False), (2, "c", None, True), (3, "d", "e", False)]),
        (b'"a","b"\n"c","d","e"\n', [(1, "a", "b", False), (2, None, None, True)]),
        (b'"a","b"\n"c","cu', [(1, "a", "b", False), (2, "c", "cu", True)]),
        (b'"a","\n', [(1, "a", "", True)]),
        (b'"a","b"\n"c","open\n"d","e"\n', [(1, "a", "b", False), (2, "c", "open", True), (3, "d", "e", False)]),
        (b'"a\0","b"\n"c","d"\n', [(1, "a", "b", True), (2, "c", "d", False)]),
        (b'"a","b"\n\0\0\0\n', [(1, "a", "b", False)]),
        (b'"a\n\nb","c"\n', [(1, "a\n\nb", "c", False)]),
        (b",\n", [(1, "", "", False)]),
        (b"", []),
        (b"\n\n", []),
    ],
)  # fmt: skip
def test_each_line_that_is_not_blank_is_one_row(data: bytes, expected: list[tuple[object, ...]]) -> None:
    assert rows_of(data) == expected


# No comma: a line inside a quoted value that has the shape of a record is one, for all anybody can tell.
cells = st.text(alphabet='ab"\n é', max_size=6)


@given(st.lists(st.tuples(cells, cells), max_size=12), st.booleans(), st.booleans())
@settings(max_examples=50)
def test_what_is_quoted_by_the_book_comes_back(
    records: list[tuple[str, str]], last_newline: bool, with_broken: bool
) -> None:
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in record) for record in records]
    text = "\n".join(lines) + ("\n" if last_newline and lines else "")
    if with_broken:
        text = '"short"\n' + text
    found = [(x, y) for _, x, y, problem in rows_of(text.encode()) if not problem]
    assert found == records


def canonical(record: tuple[str, str]) -> bytes:
    return '"{}","{}"\n'.format(*record).encode()


clean = st.tuples(*[st.text(alphabet="ab, é", max_size=4)] * 2).map(canonical)
odd = st.sampled_from([b"\n", b" \n", b"a,b\n", b'"a",b\n', b'"a" x,"b"\n', b'"a","b"x\n', b'"a""b","c"\n', b'a"b,"c"\n', b'",","b"\n',
                       b'"\n","b"\n', b'"a\nb","c"\n', b'"a"\n', b'"a","b","c"\n', b'"open,"b"\n', b'"",""\n', b'"x",","\n'])  # fmt: skip


@given(st.lists(clean | clean | odd, min_size=1, max_size=6), st.integers(0, 3))
@settings(max_examples=300, deadline=None)
def test_what_is_read_fast_is_what_is_read_with_care(lines: list[bytes], cut: int) -> None:
    data = b"".join(lines)
    data = data[: len(data) - cut]
    fast = read_regular(data, TWO, threads=False) if data else None
    if fast is None:
        return
    table, n_lines = fast
    careful = Careful(data, 0, TWO).read()
    assert n_lines == data.count(b"\n") + (not data.endswith(b"\n"))
    assert careful.problem is None or careful.problem.null_count == len(careful)
    assert table.rows.tolist() == careful.rows.tolist()
    assert {name: column.to_pylist() for name, column in table.columns.items()} == {
        name: column.to_pylist() for name, column in careful.columns.items()
    }
    assert table.record_hash.tolist() == careful.record_hash.tolist()


@given(st.lists(clean | odd, min_size=1, max_size=30), st.integers(0, 3), st.sampled_from([1, 9, 20, 60]))
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_what_is_read_with_care_in_blocks_is_what_is_read_with_care_at_once(
    lines: list[bytes], cut: int, size: int
) -> None:
    layout = Layout(
        ",", {2: ("x", "y"), 3: ("x", "y", "z"), 1: ("x",)}, first_line=7, repairs=((r"b$", "c"),)
    )
    data = b"".join(lines)
    data = data[: len(data) - cut].decode(errors="ignore").encode() or b"\n"
    at_once = Careful(data, 0, layout).read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "_CARE", size)
        in_blocks = reader._read_with_care(data, 0, layout)
    assert in_blocks.rows.tolist() == at_once.rows.tolist()
    assert in_blocks.record_hash.tolist() == at_once.record_hash.tolist()
    assert in_blocks.notes == at_once.notes
    for table in (in_blocks, at_once):
        assert table.problem is not None or len(table) == 0
    if in_blocks.problem is not None and at_once.problem is not None:
        assert in_blocks.problem.to_pylist() == at_once.problem.to_pylist()
    assert {name: column.to_pylist() for name, column in in_blocks.columns.items()} == {
        name: column.to_pylist() for name, column in at_once.columns.items()
    }


@pytest.mark.slow
def test_a_giant_line_is_one_row_with_a_problem() -> None:
    giant = b'"' + b"x" * (8 * MAX_LINE)
    assert rows_of(b'"a","b"\n' + giant + b'\n"c","d"\n') == [
        (1, "a", "b", False), (2, None, None, True), (3, "c", "d", False),
    ]  # fmt: skip


def test_a_record_hash_does_not_depend_on_its_file_or_on_quotes() -> None:
    regular = read_delimited(b'"a","b"\n"c","d"\n', TWO)
    unquoted = read_delimited(b"c,d\n", TWO)
    mended = read_delimited(b'"c","d"\n"open\n"a","b"', TWO)
    assert regular.record_hash[1] == unquoted.record_hash[0] == mended.record_hash[0]
    assert regular.record_hash[0] == mended.record_hash[2]
    assert regular.record_hash[0] != read_delimited(b'"b","a"\n', TWO).record_hash[0]
    assert (
        read_delimited(b'"a,b",""\n', TWO).record_hash[0] != read_delimited(b'"a","b,"\n', TWO).record_hash[0]
    )


# ---------------------------------------------------------------- encodings and line ends


@pytest.mark.parametrize(
    ("data", "text", "is_said"),
    [
        ("é\n".encode(), "é\n", False),
        (b"\xef\xbb\xbfa\n", "a\n", False),
        ("aé\n".encode("utf-16"), "aé\n", True),
        ("a,b\n".encode("utf-16-le"), "a,b\n", True),
        ("a,b\n".encode("utf-16-be"), "a,b\n", True),
        (b"Jos\xe9 \xc3\xa9\n", "José é\n", True),
        (b"\xa5b\x81\n", "¥b\x81\n", True),
        (b"a\r\nb\r\n", "a\nb\n", False),
        (b"a\rb\r", "a\nb\n", False),
        (b"a\rb\n", "a\nb\n", True),
        (b"", "", False),
    ],
)
def test_bytes_become_utf8_with_line_feeds(data: bytes, text: str, is_said: bool) -> None:
    decoded = decode(data)
    assert decoded.data.decode() == text
    assert bool(decoded.notes) == is_said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_encodings_make_no_difference(
    freeswitch: Line, read: Read, end: str, encoding: str
) -> None:
    text = (
        freeswitch(caller_id_name="Zoë") + freeswitch(uuid="8c1f3c52-0000-4000-8000-000000000002")
    ).decode()
    legs = read(text.replace("\n", end).encode(encoding), timezone="UTC")
    plain = read(text.encode(), timezone="UTC")
    pd.testing.assert_frame_equal(legs.drop(columns="source_sha256"), plain.drop(columns="source_sha256"))


def test_an_encoding_that_had_to_be_guessed_is_said(freeswitch: Line, read: Read) -> None:
    legs = read(freeswitch().replace(b"Ann", b"Jos\xe9"), timezone="UTC", keep=["caller_id_name"])
    assert legs.loc[0, "x_caller_id_name"] == "José"
    assert any("Windows-1252" in note for note in sr.describe_cdr(legs).summary()["notes"])


# ---------------------------------------------------------------- paths


def test_a_path_a_glob_a_list_and_a_stream_are_read_alike(
    freeswitch: Line, in_file: InFile, tmp_path: Path
) -> None:
    one, two = (
        in_file(freeswitch(), "a.csv"),
        in_file(freeswitch(uuid="8c1f3c52-0000-4000-8000-000000000002"), "b.csv"),
    )
    by_glob = sr.read_cdr(f"{tmp_path}/*.csv", timezone="UTC")
    assert by_glob["source_file"].tolist() == ["a.csv", "b.csv"]
    assert by_glob.index.tolist() == [0, 1]
    pd.testing.assert_frame_equal(by_glob, sr.read_cdr([one, str(two)], timezone="UTC"))
    with one.open("rb") as stream:
        pd.testing.assert_frame_equal(sr.read_cdr(stream, timezone="UTC"), sr.read_cdr(one, timezone="UTC"))
    text = io.StringIO(one.read_text())
    assert sr.read_cdr(text, timezone="UTC")["call_key"].tolist() == by_glob["call_key"].tolist()[:1]


def test_packed_files_carry_the_hash_of_what_was_delivered(
    freeswitch: Line, in_file: InFile, tmp_path: Path
) -> None:
    packed = in_file(gzip.compress(freeswitch()) + gzip.compress(freeswitch()), "m.csv.gz")
    legs = sr.read_cdr(packed, timezone="UTC")
    assert len(legs) == 2
    assert legs["source_sha256"].unique().tolist() == [hashlib.sha256(packed.read_bytes()).hexdigest()]
    archive = tmp_path / "m.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("oct/a.csv", freeswitch())
        out.writestr("b.csv", freeswitch())
    assert sr.read_cdr(archive, timezone="UTC")["source_file"].tolist() == ["m.zip/oct/a.csv", "m.zip/b.csv"]


def test_parquet_is_read_as_a_table(tmp_path: Path) -> None:
    path = tmp_path / "calls.parquet"
    table = pa.table(
        {
            "began": pa.array([pd.Timestamp("2026-10-01 08:00", tz="UTC")], pa.timestamp("us", tz="UTC")),
            "talk": [61.5],
            "key": [7],
        }
    )
    pq.write_table(table, path)
    legs = sr.read_cdr(path, columns={"started_at": "began", "billable_s": "talk", "call_key": "key"})
    assert legs.loc[0, "started_at"] == pd.Timestamp("2026-10-01 08:00", tz="UTC")
    assert (legs.loc[0, "billable_s"], legs.loc[0, "call_key"], legs.loc[0, "source_row"]) == (61.5, "7", 1)
    assert legs.loc[0, "source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ("nowhere.csv", "does not exist"),
        ("nowhere/*.csv", "matches no file"),
        ([], "empty list"),
        (".", "is a folder"),
        (7, "is int"),
    ],
)
def test_a_path_that_names_no_file_is_an_error(paths: object, words: str) -> None:
    with pytest.raises(sr.InputError, match=words):
        sr.read_cdr(paths)  # type: ignore[arg-type]  # that is the test


def test_damaged_and_encrypted_archives_are_errors(in_file: InFile, freeswitch: Line) -> None:
    for data in (gzip.compress(freeswitch())[:-12], b"\x1f\x8b\x08\x00" + b"\xff" * 20):
        with pytest.raises(sr.InputError, match="gzip data"):
            sr.read_cdr(in_file(data, "m.csv.gz"))
    with pytest.raises(sr.InputError, match="cannot be unpacked"):
        sr.read_cdr(in_file(b"PK\x03\x04" + b"\0" * 40, "m.zip"))


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_a_bomb_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(packed, "_RATIO_FROM", 1 << 20)
    path = tmp_path / f"bomb.{kind}"
    content = bytes(8 << 20)
    if kind == "gz":
        path.write_bytes(gzip.compress(content))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("x.csv", content)
    with pytest.raises(sr.InputError, match="which no CDR export does"):
        sr.read_cdr(path)


def test_an_empty_file_has_no_legs_but_every_column(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="sippet_reconcile.cdr"):
        legs = read(b"\n\n", keep=["accountcode"])
    assert len(legs) == 0
    assert {name: str(dtype) for name, dtype in legs.dtypes.items()} == {
        **LEGS.dtypes, "is_helper": "boolean", "is_coarse": "boolean", "x_accountcode": "str",
    }  # fmt: skip
    assert "holds no record" in caplog.text


# ---------------------------------------------------------------- large files


def test_a_large_file_read_in_pieces_gives_the_same_legs(
    freeswitch: Line, in_file: InFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [
        freeswitch(
            uuid=f"8c1f3c52-0000-4000-8000-{i:012d}",
            bleg_uuid=f"8c1f3c52-0000-4000-9000-{i:012d}" if i % 5 == 0 else "",
            start_stamp=f"2026-10-25 {i % 24:02d}:{i % 60:02d}:00" if i != 77 else "yesterday",
            answer_stamp="" if i % 3 else f"2026-10-25 {i % 24:02d}:{i % 60:02d}:30",
            end_stamp=f"2026-10-25 {i % 24:02d}:{i % 60:02d}:40",
            billsec="0" if i % 3 else "10",
            duration="40",
            caller_id_number=f"+4420794601{i % 100:02d}" if i % 2 else "1001",
            accountcode="" if i % 7 == 0 else "1001",
        )
        for i in range(700)
    ]
    path = in_file(b"".join(lines[:300]) + b"\n\n" + b"".join(lines[300:]).rstrip(b"\n"))
    whole = sr.read_cdr(path, timezone="Europe/London", keep=["read_codec"])
    monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 7000)
    pieces = sr.read_cdr(path, timezone="Europe/London", keep=["read_codec"])
    pd.testing.assert_frame_equal(pieces, whole)
    assert whole["source_row"].iloc[[299, 300]].tolist() == [300, 303]
    assert whole["time_problem"].notna().any()
    assert whole["problem"].notna().sum() == 1


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_pieces_and_the_whole_agree_on_dirt_too(
    data: st.DataObject, freeswitch: Line, in_file: InFile
) -> None:
    good = [freeswitch(uuid=f"8c1f3c52-0000-4000-8000-{i:012d}") for i in range(4)]
    dirty = [b"\n", b'"cut\n', good[0][:60] + b"\n", good[1].replace(b"Ann", b'A "b" c'), good[2].replace(b"Ann", "Zoë".encode()),
             good[3].replace(b"Ann", b"\xff"), good[0].replace(b"\n", b"\r\n"), good[0].replace(b'"', b""), b"\0\n"]  # fmt: skip
    lines = data.draw(st.lists(st.sampled_from([*good, *dirty]), min_size=1, max_size=30))
    path = in_file(good[0] + b"".join(lines))
    whole = sr.read_cdr(path, format="freeswitch", timezone="UTC")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
        patch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 500)
        pieces = sr.read_cdr(path, format="freeswitch", timezone="UTC")
    pd.testing.assert_frame_equal(pieces, whole)


def test_progress_is_told_and_inputs_stay(freeswitch: Line, in_file: InFile) -> None:
    told: list[tuple[int, int]] = []
    path = in_file(freeswitch())
    before = path.read_bytes()
    sr.read_cdr([path, path], timezone="UTC", progress=lambda done, total, _: told.append((done, total)))
    assert told == [(0, 2), (1, 2), (2, 2)]
    assert path.read_bytes() == before


def test_dates_that_only_the_whole_file_settles_are_settled_in_pieces_too(
    in_file: InFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{day}/10/2026 08:00:00,{n}\n" for n, day in enumerate([1, 2, 3] * 40 + [13])]
    path = in_file(("S,Id\n" + "".join(rows)).encode())
    columns = {"started_at": "S", "call_key": "Id"}
    whole = sr.read_cdr(path, columns=columns, timezone="UTC")
    monkeypatch.setattr("sippet_reconcile.cdr.files.sources.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.parts.LARGE", 1)
    monkeypatch.setattr("sippet_reconcile.cdr.whole.pieces._PIECE", 200)
    pd.testing.assert_frame_equal(sr.read_cdr(path, columns=columns, timezone="UTC"), whole)
    assert whole["started_at"].dt.month.eq(10).all()
    mixed = in_file(path.read_bytes() + b"10/14/2026 08:00:00,x\n")
    with pytest.raises(sr.CdrFormatError, match=r"two orders: line 122 .* line 123 "):
        sr.read_cdr(mixed, columns=columns, timezone="UTC")


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("value", ["Master.csv", "", None])
def test_one_text_for_all_rows_is_as_long_as_the_rows(size: int, value: str | None) -> None:
    column = repeated(value, size)
    assert (len(column), column.null_count) == (size, size if value is None else 0)
    assert column.unique().to_pylist() == ([value] if size else [])
