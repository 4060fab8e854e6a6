"""Repairs: what a system always quotes wrongly is put right for whole columns of lines, and nothing else is touched."""

from __future__ import annotations

import csv
import io
from typing import NoReturn

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sippet_reconcile.cdr.formats import all_formats, grandstream
from sippet_reconcile.cdr.records import careful
from sippet_reconcile.cdr.records.reader import Layout, read_delimited
from sippet_reconcile.cdr.spec import CdrFormat
from sippet_reconcile.cdr.tables import RawTable

NAMES = ("id", "caller", "to")
QUOTED_NAME = ((r'\A(\d+,)""([^"\n]*)"([^",\n]*)",', r'\1"""\2""\3",'),)
LAYOUT = Layout(",", {3: NAMES}, repairs=QUOTED_NAME)


def read(data: bytes, layout: Layout = LAYOUT) -> RawTable:
    return read_delimited(data, layout)


def rows(table: RawTable) -> list[tuple[str | None, ...]]:
    return list(zip(*(table.columns[name].to_pylist() for name in NAMES), strict=True))


def problems(table: RawTable) -> list[str | None]:
    return [None] * len(table) if table.problem is None else table.problem.to_pylist()


def refuse(*_: object) -> NoReturn:
    pytest.fail("a line was taken apart by itself")


def test_a_repaired_line_is_what_it_would_be_by_the_book() -> None:
    broken, whole = read(b'1,""Ann" <1001>",1002\n'), read(b'1,"""Ann"" <1001>",1002\n')
    assert rows(broken) == rows(whole) == [("1", '"Ann" <1001>', "1002")]
    assert broken.record_hash.tolist() == whole.record_hash.tolist()
    assert problems(broken) == [None]


def test_repaired_lines_are_not_taken_apart_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(careful, "mend_line", refuse)
    monkeypatch.setattr(careful, "split_line", refuse)
    table = read(b'1,""Ann" <1001>",1002\n2,plain,1002\n' * 50)
    assert [row[0] for row in rows(table)] == ["1", "2"] * 50


def test_every_row_keeps_its_line_and_its_place() -> None:
    data = (
        b'1,""Ann" <1001>",1002\n\n2,"by, the book",1002\n3,only two\n4,""Bob" <1003>",1002\n5,"a "b" c",1\n'
    )
    table = read(data)
    assert table.rows.tolist() == [1, 3, 4, 5, 6]
    assert [row[0] for row in rows(table)] == ["1", "2", "3", "4", "5"]
    assert rows(table)[4] == ("5", 'a "b" c', "1")
    assert problems(table) == [None, None, "the row has 2 fields instead of 3", None, None]
    assert table.notes == ("3 rows with broken quoting were mended",)


def test_a_line_by_the_book_is_never_repaired() -> None:
    anything = Layout(",", {3: NAMES}, repairs=((r"\d", "9"),))
    assert rows(read(b'1,"a",2\n3,x"y"z,4\n', anything)) == [("1", "a", "2"), ("9", 'x"y"z', "9")]


def test_what_is_still_broken_is_taken_apart_as_repaired() -> None:
    half = Layout(",", {3: NAMES}, repairs=((', +"', ',"'),))
    assert rows(read(b'1, "the "caller"",2\n', half)) == [("1", 'the "caller"', "2")]
    table = read(b'1, "caller,2\n', half)
    assert problems(table) == ["the row is cut off inside a quoted field"]


def test_repairs_are_made_in_turn() -> None:
    two = Layout(",", {3: NAMES}, repairs=(("@", "#"), ('#"', '"'), ('"#', '"')))
    assert rows(read(b'1,@"a"@,2\n', two)) == [("1", "a", "2")]


def test_a_repair_that_gives_another_width_is_not_believed() -> None:
    wider = Layout(",", {3: NAMES}, repairs=((r'"([^"\n]*)" <', r"\1,<"),))
    table = read(b'1,"Ann" <1001>,1002\n', wider)
    assert problems(table) == ["the row has 4 fields instead of 3"]


def test_each_known_width_is_tried_on_repaired_lines() -> None:
    both = Layout(",", {3: NAMES, 4: (*NAMES, "more")}, repairs=QUOTED_NAME)
    table = read(b'1,""Ann" <1001>",1002\n2,""Bob" <1003>",1002,x\n3,""Bob" <1003>",1002,y\n', both)
    assert table.columns["more"].to_pylist() == [None, "x", "y"]
    assert [row[1] for row in rows(table)] == ['"Ann" <1001>', '"Bob" <1003>', '"Bob" <1003>']


def test_a_repaired_line_with_a_nul_still_says_so() -> None:
    table = read(b'1,""A\0nn" <1001>",1002\n2,b,c\n')
    assert problems(table) == ["the row holds NUL bytes", None]
    assert rows(table)[0] == ("1", '"Ann" <1001>', "1002")


def test_a_line_that_is_too_long_is_not_repaired_either() -> None:
    table = read(b'1,""' + b"a" * (careful.MAX_LINE + 1) + b'" <1001>",1002\n2,""Bob" <1003>",1002\n')
    assert rows(table)[1] == ("2", '"Bob" <1003>', "1002")
    assert str(problems(table)[0]).startswith("the line is 1,048,")


def test_without_repairs_nothing_changes() -> None:
    data = b'1,""Ann" <1001>",1002\n2,"a "b" c",x\n'
    assert rows(read(data, Layout(",", {3: NAMES})))[1] == rows(read(data))[1] == ("2", 'a "b" c', "x")


REPAIRING = [format_ for format_ in all_formats() if format_.repairs]
CELLS = st.text("a1 ,<>{}'", max_size=4) | st.text('"', max_size=3) | st.text("aé", max_size=2)


@pytest.mark.parametrize("format_", REPAIRING, ids=lambda format_: format_.name)
@given(st.lists(st.lists(CELLS, min_size=26, max_size=26), min_size=1, max_size=3))
@settings(max_examples=60)
def test_no_formats_repairs_touch_what_is_quoted_by_the_book(
    format_: CdrFormat, records: list[list[str]]
) -> None:
    names = tuple(f"c{place}" for place in range(26))
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(records)
    table = read_delimited(text.getvalue().encode(), Layout(",", {26: names}, repairs=format_.repairs))
    found = zip(*(table.columns[name].to_pylist() for name in names), strict=True)
    assert [list(row) for row in found] == records


@pytest.mark.parametrize("format_", REPAIRING, ids=lambda format_: format_.name)
def test_repairs_leave_no_marks_in_any_line(format_: CdrFormat) -> None:
    lines = [
        b'a,"b "c" d",e\n',
        b'1,2,3,4,5,"six "6"",7,8,9,10,2026-10-01 09:00:00,12,13,14,15,16,17,18,19,20,21,22\n',
        b'1,2,3,4,5,6,7,8,9,a"b,10,2026-10-01 09:00:00,12,13,14,15,16,17,18,19,20,21,22\n',
        b"," * 24 + b'{"a": 1}\n',
        b"," * 24 + b'{"a": "cut\n',
        b"," * 20 + b'x{"a": 1}\n',
    ]
    table = read_delimited(b"".join(lines), Layout(",", {2: ("a", "b")}, repairs=format_.repairs))
    assert len(table) == len(lines)
    layout = Layout(
        ",", {n: tuple(f"c{i}" for i in range(n)) for n in (22, 25, 3, 21, 23)}, repairs=format_.repairs
    )
    cells = [
        cell
        for column in read_delimited(b"".join(lines), layout).columns.values()
        for cell in column.to_pylist()
    ]
    assert not any("\x1f" in cell for cell in cells if cell is not None)


FIELDS = st.sampled_from(
    ["", "1", "a b", '"', "\x1f", "ü", "2026-10-01 09:00:00", "2026-10-01 09:00:0x", '"a, b" <1>', "a,b"]
)


@given(
    st.lists(
        st.lists(FIELDS, min_size=9, max_size=13).flatmap(
            lambda left: st.lists(FIELDS, min_size=9, max_size=13).map(
                lambda right: ",".join([*left, "2026-10-01 09:00:00", *right])
            )
        )
        | st.lists(FIELDS, max_size=25).map(",".join),
        min_size=1,
        max_size=6,
    ),
    st.booleans(),
    st.integers(0, 2),
)
@settings(max_examples=300)
def test_grandstreams_lines_are_cut_by_commas_as_by_patterns(
    texts: list[str], has_end: bool, cut: int
) -> None:
    lines = pa.array([f"{text}\n" for text in texts[:-1]] + [texts[-1] + "\n" * has_end], pa.large_string())
    expected = lines
    for pattern, replacement in grandstream._PATTERNS:
        expected = careful.replaced(expected, pattern, replacement)
    assert grandstream.quoted(lines).to_pylist() == expected.to_pylist()
    if cut < len(lines):
        assert grandstream.quoted(lines.slice(cut)).to_pylist() == expected.slice(cut).to_pylist()
