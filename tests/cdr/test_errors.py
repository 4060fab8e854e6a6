"""What is said about files and words that cannot be used: what it is, where, and what to do next."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import sippet_reconcile as sr
from sippet_reconcile import cli
from sippet_reconcile.cli.words import flags_of, in_command_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Line = Callable[..., bytes]
    Read = Callable[..., pd.DataFrame]
    InFile = Callable[[bytes, str], Path]

EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
TABLE = b"Start,Talk\n13/02/2026 09:00:00,60\n"
COLUMNS = {"started_at": "Start", "billable_s": "Talk"}


@pytest.mark.parametrize(
    ("head", "what", "hint"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "a workbook", "save the sheet as CSV"),
        (EMPTY_ZIP, "holds no file", "pack it again"),
        (b"BZh91AY&SY" + bytes(40), "packed by bzip2", "unpack it"),
        (b"\xfd7zXZ\x00" + bytes(40), "packed by xz", "unpack it"),
        (b"\x28\xb5\x2f\xfd" + bytes(40), "packed by zstd", "unpack it"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(40), "a 7z archive", "unpack it"),
        (b"Rar!\x1a\x07\x01" + bytes(40), "a RAR archive", "unpack it"),
        (b"Master.csv".ljust(257, b"\0") + b"ustar\0" + bytes(300), "a tar archive", "unpack it"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "a PDF document", "as CSV"),
        (b"PGDMP\x01\x0e", "a dump", "--column-inserts"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page", "as CSV"),
        (b"<HTML><table><tr><td>1</td></tr></table></HTML>", "a web page", "as CSV"),
    ],
)
@pytest.mark.parametrize("how", ["file", "stream", "member"])
def test_a_file_that_is_no_export_at_all_is_called_what_it_is(
    in_file: InFile, head: bytes, what: str, hint: str, how: str
) -> None:
    path = in_file(head, "october.csv")
    if how == "member":
        path = path.with_suffix(".zip")
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("october.csv", head)
    given: Any = path
    if how == "stream":
        given = io.BytesIO(head)
        given.name = "october.csv"  # as an upload has
    with pytest.raises(sr.CdrFormatError, match=rf"october\.csv is .*{what}.*; .*{hint}") as caught:
        sr.read_cdr(given)
    assert caught.value.path == (None if how == "stream" else path)
    with pytest.raises(sr.CdrFormatError, match=what):
        sr.sniff_cdr(path)


def test_a_database_file_is_no_export(tmp_path: Path) -> None:
    path = tmp_path / "master.db"
    with sqlite3.connect(path) as held:
        held.execute("CREATE TABLE cdr (calldate TEXT)")
    held.close()
    with pytest.raises(sr.CdrFormatError, match="is a SQLite database; export its table of calls as CSV"):
        sr.read_cdr(path)


def test_parquet_that_was_cut_off_is_not_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "legs.parquet"
    pd.DataFrame({"Start": ["2026-10-01 09:00:00"]}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(sr.CdrFormatError, match=r"legs\.parquet is a damaged parquet file .*; copy it again"):
        sr.read_cdr(path, columns={"started_at": "Start"}, timezone="UTC")


def test_text_that_begins_like_something_else_is_read_all_the_same(read: Read) -> None:
    data = b"BZh,Rar!,%PDF\n2026-10-01 09:00:00,60,x\n"
    legs = read(data, columns={"started_at": "BZh", "billable_s": "Rar!"}, timezone="UTC")
    assert legs["problem"].isna().tolist() == [True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dayfirst": "no"}, r"dayfirst is 'no'; pass dayfirst=True or dayfirst=False"),
        ({"status_map": ["ANSWERED"]}, r"status_map= is list; pass a dict"),
        ({"columns": ["Start"]}, r"columns= is list; pass a dict"),
        ({"keep": [3]}, r"keep= holds 3: it is not text"),
        ({"format": 3}, r"format is int, not text"),
        ({"format": "freswitch"}, r"did you mean 'freeswitch'\?"),
        ({"country": "UK"}, r"the United Kingdom is 'GB'"),
    ],
)
def test_a_word_that_cannot_be_meant_is_refused_and_the_next_step_named(
    freeswitch: Line, read: Read, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(sr.InputError, match=words):
        read(freeswitch(), timezone="UTC", **options)


def test_a_frame_handed_in_as_a_path_is_sent_to_cdr_from_frame() -> None:
    with pytest.raises(sr.InputError, match="hand it to cdr_from_frame"):
        sr.read_cdr(pd.DataFrame({"Start": ["2026-10-01"]}))  # type: ignore[call-overload, arg-type, unused-ignore]  # that is the test


def test_a_wrong_format_names_the_one_to_pass(freeswitch: Line, read: Read) -> None:
    with pytest.raises(
        sr.CdrFormatError, match=r"it looks like freeswitch: pass format='freeswitch', or leave"
    ):
        read(freeswitch(), format="twilio", timezone="UTC")
    with pytest.raises(sr.CdrFormatError, match=r"leave format= out and name its columns: columns="):
        read(TABLE, format="twilio")


def test_a_stranger_is_told_to_name_its_columns_before_the_formats_are_listed(read: Read) -> None:
    with pytest.raises(
        sr.CdrFormatError, match=r"no known format fits; name its columns: columns=.*freeswitch"
    ) as told:
        read(b"Total\n1\n")
    assert "line 1 has 1 field, 'Total'" in str(told.value)


@pytest.mark.parametrize(
    "data",
    [b'{"calls": [{"sid": "CA1", "status": "busy"', b"<?xml version='1.0'?>\n<cdr><a>1</b></cdr>"],
    ids=["json", "xml"],
)
def test_what_is_broken_is_to_be_copied_again(read: Read, data: bytes) -> None:
    with pytest.raises(sr.CdrFormatError, match="; copy it again"):
        read(data)


def test_a_dump_that_names_no_columns_is_not_told_that_it_has_none(read: Read) -> None:
    with pytest.raises(sr.CdrFormatError, match="nothing in it says how its columns are called"):
        read(b"INSERT INTO `calls` VALUES ('2026-10-01 09:00:00',60);\n", columns=COLUMNS, timezone="UTC")


@pytest.mark.parametrize("order", [True, False])
def test_the_order_of_day_and_month_is_asked_for_in_the_words_of_the_command_line(
    read: Read, order: bool
) -> None:
    data = TABLE if not order else TABLE.replace(b"13/02", b"02/13")
    with pytest.raises(sr.CdrFormatError) as caught:
        read(data, columns=COLUMNS, timezone="UTC", dayfirst=order)
    said = in_command_words(str(caught.value), flags_of(cli.main))
    assert f"{'--dayfirst' if order else '--monthfirst'} puts the {'day' if order else 'month'} first" in said
    assert "dayfirst=" not in said
    assert "--dayfirst True" not in said


def test_a_file_within_an_archive_that_is_packed_again_is_named_with_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("inner.zip", b"PK\x03\x04" + bytes(40))
    with pytest.raises(sr.InputError, match=r"outer\.zip/inner\.zip holds a zip archive again"):
        sr.read_cdr(path)


def test_a_zone_is_asked_for_with_a_time_that_needs_it(freeswitch: Line, read: Read) -> None:
    with pytest.raises(
        sr.InputError, match=r"local, such as 2026-10-01 09:00:00, and it does not say where; pass timezone="
    ):
        read(freeswitch())
