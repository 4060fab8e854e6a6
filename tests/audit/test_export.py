"""Exports: every record, whole or not at all, and nothing in them that a spreadsheet would run."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile._excel import MAX_CHARS
from sippet_reconcile.audit import AUDIT, GENESIS, AuditLog
from sippet_reconcile.audit.parts import list_parts, read_part
from sippet_reconcile.audit.workbook import write_workbook
from sippet_reconcile.errors import InputError

FORMATS = ["csv", "jsonl", "parquet", "xlsx"]
SIGNS = ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"]  # noqa: RUF001 - the full-width signs are meant
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def with_note(folder, entries_of, *notes):
    """Return a log whose records carry these notes."""
    log = AuditLog(folder)
    with log.writing() as writer:
        writer.append([replace(entries_of()[0], note=note) for note in notes])
    return log


def sheets(path):
    """Return the sheets of a workbook by name: rows of (kind of cell, text), read with the standard library."""
    with zipfile.ZipFile(path) as book:
        tree = ElementTree.fromstring(book.read("xl/workbook.xml"))  # noqa: S314 - we wrote it
        names = [sheet.get("name") for sheet in tree.iter(f"{MAIN}sheet")]
        return {
            name: [
                [(cell.get("t", "n"), "".join(cell.itertext())) for cell in row]
                for row in ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml")).iter(  # noqa: S314
                    f"{MAIN}row"
                )
            ]
            for number, name in enumerate(names, start=1)
        }


def csv_rows(path):
    with path.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_an_export_holds_every_record(log, tmp_path):
    hashes = log.records()["hash"].tolist()
    assert pd.read_parquet(log.export(tmp_path / "a.parquet"))["hash"].tolist() == hashes
    assert [row["hash"] for row in csv_rows(log.export(tmp_path / "a.csv"))] == hashes
    lines = log.export(tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["hash"] for line in lines] == hashes
    rows = sheets(log.export(tmp_path / "a.XLSX"))["records"]
    assert [text for _, text in rows[0]] == AUDIT.names
    assert [row[-1] for row in rows[1:]] == [("inlineStr", text) for text in hashes]


def test_an_exported_parquet_is_the_folder_as_one_file(log, tmp_path):
    one = pd.read_parquet(log.export(tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(one, pd.read_parquet(log.path).sort_values("seq").reset_index(drop=True))


def test_an_auditor_recomputes_the_chain_from_the_lines_with_json_and_sha256_alone(log, tmp_path):
    previous = "0" * 64
    for line in log.export(tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        assert record.pop("prev_hash") == previous
        stated = record.pop("hash")
        text = json.dumps(record, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256((previous + text).encode()).hexdigest()
        assert stated == previous
    assert previous == log.head


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("ahead", ["", " ", "\u00a0", "\u3000", "\u200b", "\ufeff"])
def test_no_text_in_csv_begins_as_a_formula(tmp_path, entries_of, sign, ahead):
    note = f'{ahead}{sign}HYPERLINK("http://example.com","x")'
    (row,) = csv_rows(with_note(tmp_path / "audit", entries_of, note).export(tmp_path / "a.csv"))
    assert row["note"] == f"'{note}"


def test_no_heading_is_a_formula():
    assert all(name.isidentifier() for name in AUDIT.names)


@given(notes=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_taking_one_apostrophe_away_gives_back_every_text(tmp_path_factory, entries_of, notes):
    place = tmp_path_factory.mktemp("notes")
    target = with_note(place / "audit", entries_of, *notes).export(place / "a.csv")
    found = [row["note"] for row in csv_rows(target)]
    assert [text.removeprefix("'") for text in found] == notes
    assert not any(text.lstrip().startswith(("=", "+", "-", "@")) for text in found)


def test_csv_tells_missing_from_empty_and_leaves_numbers_alone(tmp_path, entries_of):
    log = AuditLog(tmp_path / "audit")
    with log.writing() as writer:
        writer.append([replace(entries_of()[2], source_row=-1, note="", by=None)])
    heading, line = log.export(tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    cells = dict(zip(next(csv.reader([heading])), line.split(","), strict=False))
    assert cells["schema_version"] == "1"
    assert ',-1,,"",' in line, "a negative number, a missing text, an empty text"
    assert '"2026-10-01T12:00:00.250000Z"' in line


def test_a_workbook_calculates_nothing_and_keeps_ids_as_text(tmp_path, entries_of):
    notes = [f"{sign}1+1" for sign in SIGNS] + [
        "https://example.com/",
        "007",
        "1e5",
        "null \x00 bell \x07",
        "_x0041_",
    ]
    target = with_note(tmp_path / "audit", entries_of, *notes).export(tmp_path / "a.xlsx")
    rows = sheets(target)["records"]
    texts = [text for row in rows[1:] for kind, text in row if kind == "inlineStr"]
    escaped = [note for note in notes if any(char < " " and char != "\t" for char in note)]
    assert set(notes) - set(escaped) - {"_x0041_"} <= set(texts)
    assert "_x000D_1+1" in texts
    assert {kind for row in rows for kind, _ in row} == {"inlineStr", "n"}
    assert "null _x0000_ bell _x0007_" in texts
    assert "_x005F_x0041_" in texts, "text that looks like an escaped character is no escaped character"
    with zipfile.ZipFile(target) as book:
        everything = b"".join(book.read(name) for name in book.namelist())
    assert b"<f>" not in everything
    assert b"<hyperlink" not in everything
    assert b"ySplit" in everything, "the heading stays in sight"
    assert b"<autoFilter" in everything


def test_a_text_too_long_for_a_cell_says_that_it_was_cut(tmp_path, entries_of):
    fits, long, wide = "x" * MAX_CHARS, "y" * (MAX_CHARS + 1), "\U0001f4de" * MAX_CHARS
    target = with_note(tmp_path / "audit", entries_of, fits, long, wide).export(tmp_path / "a.xlsx")
    book = sheets(target)
    cells = [text for row in book["records"] for _, text in row]
    assert fits in cells
    assert all(len(text.encode("utf-16-le")) // 2 <= MAX_CHARS for text in cells)
    assert sum("[cut after" in text and "of 32768 characters" in text for text in cells) == 1
    assert sum("[cut after" in text and "of 32767 characters" in text for text in cells) == 1
    told = {row[0][1]: row[1][1] for row in book["about"]}
    assert told["cells cut"].startswith("2;")
    assert told["records"] == "3 in 1 sheet(s)"


def test_rows_too_many_for_a_sheet_go_on_in_the_next(log):
    sink = io.BytesIO()
    write_workbook((read_part(part) for part in list_parts(log.path)), sink, max_rows=8)
    book = sheets(sink)
    assert list(book) == ["records", "records 2", "records 3", "about"]
    assert [len(book[name]) - 1 for name in list(book)[:3]] == [7, 7, 4]
    hashes = [row[-1][1] for name in list(book)[:3] for row in book[name][1:]]
    assert hashes == log.records()["hash"].tolist()
    assert {row[0][1]: row[1][1] for row in book["about"]}["head"] == log.head


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_log_is_exported_as_headings_alone(tmp_path, suffix):
    (tmp_path / "audit").mkdir()
    target = AuditLog(tmp_path / "audit").export(tmp_path / f"a.{suffix}")
    if suffix == "xlsx":
        assert len(sheets(target)["records"]) == 1
        assert {row[0][1]: row[1][1] for row in sheets(target)["about"]}["head"] == GENESIS
    elif suffix == "parquet":
        assert {name: str(kind) for name, kind in pd.read_parquet(target).dtypes.items()} == AUDIT.dtypes
    else:
        assert len(target.read_text().splitlines()) == (1 if suffix == "csv" else 0)


@pytest.mark.parametrize("name", ["audit.xls", "audit"])
def test_an_unknown_export_format_names_the_known_ones(log, tmp_path, name):
    with pytest.raises(InputError, match=r"\.csv, \.jsonl, \.parquet, \.xlsx"):
        log.export(tmp_path / "out" / name)


def test_an_export_into_a_folder_that_is_not_there_says_so(log, tmp_path):
    with pytest.raises(InputError, match="out is no folder"):
        log.export(tmp_path / "out" / "a.csv")


def test_an_export_never_lands_in_a_log(log, tmp_path, entries_of):
    (log.path / "_sub").mkdir()
    (tmp_path / "link").symlink_to(log.path)
    other = with_note(tmp_path / "other", entries_of, "x")
    outward = log.path / "out.csv"
    outward.symlink_to(tmp_path / "target.csv")
    for place in (
        log.path / "all.parquet",
        log.path / "_sub" / "all.parquet",
        tmp_path / "link" / "all.csv",
        other.path / "all.parquet",
        outward,
    ):
        with pytest.raises(InputError, match=r"inside .*audit log"):
            log.export(place)
    outward.unlink()
    assert log.verify().ok
    assert other.verify().ok


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_replaces_an_earlier_one_and_follows_no_link(log, tmp_path, suffix):
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    target = tmp_path / f"a.{suffix}"
    target.symlink_to(precious)
    log.export(target)
    first = target.stat().st_size
    log.export(target)
    assert precious.read_text() == "keep me"
    assert not target.is_symlink()
    assert target.stat().st_size == first
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([target.name, "audit", "precious"])


def test_an_export_takes_nothing_away_that_is_no_ordinary_file(log, tmp_path):
    (tmp_path / "a.csv").mkdir()
    os.mkfifo(tmp_path / "b.csv")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(InputError, match="no ordinary file"):
            log.export(tmp_path / name)


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_that_fails_leaves_the_earlier_one_and_nothing_half(log, tmp_path, suffix):
    target = tmp_path / f"a.{suffix}"
    target.write_text("earlier")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            log.export(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([target.name, "audit"])


def test_an_export_is_counted_as_it_goes(log, tmp_path):
    seen = []
    log.export(tmp_path / "a.csv", progress=lambda *told: seen.append(told))
    assert seen[-1] == (18, 18, "exporting")
    assert len(seen) == 5


def test_without_its_library_a_workbook_says_what_to_install(log, tmp_path):
    code = """
        import sys
        sys.modules["xlsxwriter"] = None
        from sippet_reconcile.audit import AuditLog
        from sippet_reconcile.errors import InputError
        try:
            AuditLog(sys.argv[1]).export(sys.argv[2])
        except InputError as exc:
            print(exc)
    """
    target = tmp_path / "a.xlsx"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(log.path), str(target)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert 'pip install "sippet-reconcile[excel]"' in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit"]
