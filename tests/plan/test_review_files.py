"""Whatever is handed in as a reviewed workbook is read as one, or refused in words for the person who made it."""

from __future__ import annotations

import re
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

import sippet_reconcile as sr
from sippet_reconcile.errors import InputError, SchemaError
from sippet_reconcile.plan import Plan

Make = Callable[..., Any]

_MADE: list[tuple[Plan, bytes]] = []
"""The plan and its workbook: frozen, so made once."""


@pytest.fixture
def plan(make_rec: Make, tmp_path: Path) -> Plan:
    """Return a plan of one call whose duration changes."""
    if not _MADE:
        made = sr.build_plan(make_rec([{"wrong": {"duration_seconds": ("60", "110", "ring-time-included")}}]))
        _MADE.append((made, made.dry_run().to_excel(tmp_path / "made.xlsx").read_bytes()))
    return _MADE[0][0]


@pytest.fixture
def file(plan: Plan, tmp_path: Path) -> Path:
    """Return its workbook, in which the one change is approved."""
    assert len(plan) == 1
    path = tmp_path / "review.xlsx"
    path.write_bytes(_MADE[0][1])
    book = openpyxl.load_workbook(path)
    book["changes"]["A2"].value = "yes"
    book.save(path)
    return path


def edited(file: Path, part: str, edit: Callable[[bytes], bytes]) -> Path:
    """Edit the bytes of one part."""
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert edit(parts[part]) != parts[part]
    parts[part] = edit(parts[part])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in parts.items():
            archive.writestr(name, body)
    return file


CHANGES = "xl/worksheets/sheet2.xml"


@pytest.mark.parametrize("name", ["review", "review.xls", "review.ods", "Review (1).XLSX", "~review.tmp"])
def test_what_a_file_is_called_says_nothing_about_what_it_is(plan: Plan, file: Path, name: str) -> None:
    assert plan.keep_reviewed(shutil.copy(file, file.with_name(name))) is plan


@pytest.mark.parametrize("lock", ["~$review.xlsx", ".~lock.review.xlsx#"], ids=["Excel", "LibreOffice"])
def test_a_file_that_is_open_in_another_program_is_not_read(plan: Plan, file: Path, lock: str) -> None:
    file.with_name(lock).write_bytes(b"ana")
    with pytest.raises(InputError, match=rf"review\.xlsx is open in another program.*{re.escape(lock)}"):
        plan.keep_reviewed(file)
    file.with_name(lock).unlink()
    assert plan.keep_reviewed(file) is plan


def test_a_file_that_may_not_be_read_is_said_to_be_open(
    plan: Plan, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # as Windows does; root may read everything
    with pytest.raises(InputError, match=r"Permission denied.*close it where it is open"):
        plan.keep_reviewed(file)


def under_password(file: Path) -> None:
    file.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))


def encrypted_parts(file: Path) -> None:
    body = bytearray(file.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(mark), bytes(body)):
            body[found.start() + at] |= 1
    file.write_bytes(bytes(body))


def does_not_inflate(file: Path) -> None:
    body = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        at = archive.getinfo(CHANGES).header_offset
    n_name, n_extra = struct.unpack_from("<HH", body, at + 26)
    body[at + 30 + n_name + n_extra : at + 60 + n_name + n_extra] = b"\xff" * 30
    file.write_bytes(bytes(body))


def unknown_encoding(file: Path) -> None:
    edited(file, CHANGES, lambda xml: b'<?xml version="1.0" encoding="x-none"?>' + xml)


def entity_bomb(file: Path) -> None:
    one = b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 20) for n in range(1, 9))
    edited(
        file,
        CHANGES,
        lambda xml: (
            b'<!DOCTYPE w [<!ENTITY e0 "aaaaaaaaaa">' + one + b"]>" + xml.replace(b"<v>", b"<v>&e8;", 1)
        ),
    )


def outside_entity(file: Path) -> None:
    edited(
        file,
        CHANGES,
        lambda xml: (
            b'<!DOCTYPE w [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + xml.replace(b"<v>", b"<v>&e;", 1)
        ),
    )


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (under_password, "under a password, or in the old format"),
        (encrypted_parts, "cannot be read as a workbook"),
        (does_not_inflate, "cannot be read as a workbook"),
        (unknown_encoding, "cannot be read as a workbook"),
        (entity_bomb, "cannot be read as a workbook"),
        (outside_entity, "cannot be read as a workbook"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_cannot_be_read_is_an_error_of_the_operator(
    plan: Plan, file: Path, break_it: Callable[[Path], None], told: str
) -> None:
    break_it(file)
    with pytest.raises(InputError, match=told):
        plan.keep_reviewed(file)


def test_a_row_number_beyond_every_spreadsheet_does_not_hold_the_reader_up(plan: Plan, file: Path) -> None:
    edited(file, CHANGES, lambda xml: xml.replace(b'<row r="2"', b'<row r="9999999999"'))
    with pytest.raises(SchemaError, match="the row is missing"):
        plan.keep_reviewed(file)


def test_two_sheets_of_one_name_are_refused(plan: Plan, file: Path) -> None:
    edited(file, "xl/workbook.xml", lambda xml: xml.replace(b"<sheets>", b"<sheets>" + _second(xml)))
    with pytest.raises(SchemaError, match="sheet 'ledger': the sheet is there twice"):
        plan.keep_reviewed(file)


def _second(xml: bytes) -> bytes:
    found = re.search(rb'<sheet [^>]*name="ledger"[^>]*/>', xml)
    assert found
    return re.sub(rb'sheetId="\d+"', b'sheetId="77"', found[0])


def test_a_workbook_of_another_version_says_so_where_something_differs(plan: Plan, file: Path) -> None:
    book = openpyxl.load_workbook(file)
    summary = book["summary"]
    row = next(n for n in range(1, 30) if summary.cell(n, 1).value == "written by")
    summary.cell(row, 2).value = "sippet-reconcile 0.0.1"
    book.save(file)
    with pytest.raises(
        SchemaError, match=r"It was written by 'sippet-reconcile 0\.0\.1', and this is 'sippet-reconcile "
    ):
        plan.keep_reviewed(file)
