"""The workbook of a dry run: every change is in it, nothing in it is calculated, and every program opens it."""

from __future__ import annotations

import datetime as dt
import resource
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import openpyxl
import pandas as pd
import pytest

from sippet_reconcile.errors import InputError
from sippet_reconcile.report import DryRunFacts, DryRunReport
from sippet_reconcile.report.dry_run.review import review_sheets
from sippet_reconcile.report.workbook import write_workbook

Make = Callable[..., DryRunFacts]

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
SHEETS = ["summary", "changes", "findings", "ledger", "left out", "disputes"]
HEADS = ["approve", "note", "call", "field", "before", "after", "change (s)", "cause", "matched by", "started (UTC)",
         "direction", "from (masked)", "to (masked)", "user (masked)", "CDR lines"]  # fmt: skip

TEXTS = {
    '=HYPERLINK("http://example.com","x")': '=HYPERLINK("http://example.com","x")',
    "=cmd|'/c calc'!A1": "=cmd|'/c calc'!A1",
    "='file:///etc/[passwd]x'!A1": "='file:///etc/[passwd]x'!A1",
    "{=1+1}": "{=1+1}",
    "+1": "+1",
    "-1": "-1",
    "@SUM(1)": "@SUM(1)",
    "＝1+1": "＝1+1",  # noqa: RUF001 - the full-width sign is meant
    "http://example.com": "http://example.com",
    "007": "007",
    "1e5": "1e5",
    " two  blanks ": " two  blanks ",
    "\t=1+1": r"\u0009=1+1",
    "a\r\n=1+1": r"a\u000d\u000a=1+1",
    "'=1+1": r"\u0027=1+1",
    "_x003D_1+1": r"\u005fx003D_1+1",
    "null \x00 bell \x07": r"null \u0000 bell \u0007",
    "\ufffe\uffff": r"\ufffe\uffff",
    "evil\u202egpj": r"evil\u202egpj",
    '</t></is></c><c><f>1+1</f></c>&amp;"': '</t></is></c><c><f>1+1</f></c>&amp;"',
    "Zoë \U0001f4de": "Zoë \U0001f4de",
}
"""What data may hold, and what stands in the cell."""


def written(facts: DryRunFacts, folder: Path, **options: Any) -> Path:
    return DryRunReport.from_facts(facts).to_excel(folder / "review.xlsx", **options)


def cells(path: Path, sheet: str) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path)[sheet].iter_rows()]


def column(path: Path, head: str, sheet: str = "changes") -> list[Any]:
    heads, *rows = cells(path, sheet)
    return [row[heads.index(head)] for row in rows]


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as book:
        return {name: book.read(name) for name in book.namelist()}


def test_the_sheets_are_those_of_a_review_and_empty_ones_have_their_heads(
    make_facts: Make, tmp_path: Path
) -> None:
    path = written(make_facts([{}]), tmp_path)
    assert openpyxl.load_workbook(path).sheetnames == SHEETS
    assert cells(path, "changes")[0] == HEADS
    assert cells(path, "findings") == [["severity", "finding", "what was seen", "what to do"]]


def test_the_summary_says_what_is_reviewed_and_how(make_facts: Make, tmp_path: Path) -> None:
    told = dict(cells(written(make_facts([{}]), tmp_path), "summary"))
    assert told["plan id"] == "ab" * 32
    assert told["created at"] == "2026-11-02 00:00:00 UTC"
    assert (told["calls"], told["changes"], told["period"]) == ("1", "1", "October")
    assert told["numbers"] == "masked"
    assert "1 call of 1,000 compared" in told["verdict"]
    assert "approved" not in told["verdict"], "a workbook is of the content alone, whoever approved it"
    assert "write yes or no" in told["how to review"]


@pytest.mark.parametrize(
    "name", ["call_id", "before", "after", "explanation", "reason", "match_rule", "source_file"]
)
def test_a_text_from_data_is_a_text_in_its_cell(make_facts: Make, tmp_path: Path, name: str) -> None:
    path = written(make_facts([{name: text} for text in TEXTS]), tmp_path)
    head = {
        "call_id": "call",
        "explanation": "cause",
        "match_rule": "matched by",
        "source_file": "CDR lines",
    }.get(name, name)
    end = ":41" if name == "source_file" else ""
    assert column(path, head) == [f"{shown}{end}" for shown in TEXTS.values()]
    sheet = openpyxl.load_workbook(path)["changes"]
    assert {cell.data_type for row in sheet.iter_rows() for cell in row} <= {"s", "n", "d"}


def test_no_part_of_the_file_holds_a_formula_a_link_or_an_address_outside(
    make_facts: Make, tmp_path: Path
) -> None:
    evil = list(TEXTS)
    left = pd.DataFrame(
        {"call_id": evil, "call_uuid": evil, "field": evil, "explanation": evil, "reason": evil}, dtype="str"
    )
    findings = pd.DataFrame({"code": evil, "severity": evil, "message": evil, "advice": evil}, dtype="str")
    rows = [
        dict.fromkeys(("call_id", "before", "after", "direction", "sip_username", "reason"), text)
        for text in evil
    ]
    plan = {"period": evil[0], "api_url": evil[1], "accept": tuple(evil)}
    path = written(make_facts(rows, left_out=left, findings=findings, plan=plan), tmp_path, mask=False)
    for name, body in parts(path).items():
        tree = ElementTree.fromstring(body)  # noqa: S314 - we wrote it; it must be well-formed
        assert not any(
            "external" in one.tag.lower() or one.tag.endswith("hyperlink") for one in tree.iter()
        ), name
        assert not list(tree.iter(f"{MAIN}f")), name
        assert not [one for one in tree.iter() if one.get("TargetMode") == "External"], name
        for rule in [*tree.iter(f"{MAIN}formula"), *tree.iter(f"{MAIN}formula1")]:
            assert rule.text in {'"yes"', '"no"', '"yes,no"'}, "the program's own words"
        for foot in tree.iter(f"{MAIN}oddFooter"):
            assert foot.text == "&LReview of plan abababababab&C&A&R&P / &N"


def test_every_change_is_there_and_the_rows_of_a_call_stand_together(
    make_facts: Make, tmp_path: Path
) -> None:
    apart = [{"call_id": "a"}, {"call_id": "b"}, {"call_id": "a", "field": "status"}]
    path = written(make_facts([*apart, *({"call_id": f"c{n}"} for n in range(5100))]), tmp_path)
    fast = openpyxl.load_workbook(path, read_only=True)
    found = [row[2] for row in fast["changes"].iter_rows(min_row=2, max_col=3, values_only=True)]
    fast.close()
    assert found == ["a", "a", "b", *(f"c{n}" for n in range(5100))]


def test_the_rows_of_a_call_are_told_apart_from_those_of_the_next(make_facts: Make, tmp_path: Path) -> None:
    rows = [{"call_id": name} for name in "aabc"]
    sheet = openpyxl.load_workbook(written(make_facts(rows), tmp_path))["changes"]
    fills = [sheet.cell(row, 3).fill.fgColor.rgb for row in (2, 3, 4, 5)]
    assert fills[0] == fills[1] != fills[2] != fills[3]


def test_what_a_sheet_does_not_hold_goes_on_in_the_next(make_facts: Make, tmp_path: Path) -> None:
    facts = make_facts([{} for _ in range(7)])
    path = write_workbook([review_sheets(facts)[1]], tmp_path / "a.xlsx", title="t", max_rows=4)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["changes", "changes 2", "changes 3"]
    found = [cells(path, name) for name in book.sheetnames]
    assert [len(rows) for rows in found] == [4, 4, 2]
    assert all(rows[0] == HEADS for rows in found)
    assert [row[2] for rows in found for row in rows[1:]] == [f"call-{n}" for n in range(7)]


def test_the_reader_finds_drop_downs_filters_and_fixed_heads(make_facts: Make, tmp_path: Path) -> None:
    sheet = openpyxl.load_workbook(written(make_facts([{}, {}]), tmp_path))["changes"]
    (offer,) = sheet.data_validations.dataValidation
    assert (str(offer.sqref), offer.type, offer.formula1, offer.allow_blank) == (
        "A2:A3",
        "list",
        '"yes,no"',
        True,
    )
    assert sheet.auto_filter.ref == "A1:O3"
    assert sheet.freeze_panes == "C2"
    assert sheet["A2"].number_format == sheet["E2"].number_format == "@", "what is typed stays text"


def test_seconds_are_numbers_and_values_are_as_the_api_writes_them(make_facts: Make, tmp_path: Path) -> None:
    path = written(make_facts([{"delta_s": -10.0}, {"delta_s": 0.25}, {"delta_s": None}]), tmp_path)
    assert column(path, "change (s)") == [-10, 0.25, None]
    assert column(path, "before") == ["120"] * 3


def test_instants_are_dates_in_utc_and_the_heading_says_so(make_facts: Make, tmp_path: Path) -> None:
    at = [pd.Timestamp("2026-10-05T23:30:00.123456+01:00"), pd.Timestamp("1850-01-01T00:00:00Z"), pd.NaT]
    path = written(make_facts([{"started_at": one} for one in at]), tmp_path)
    assert column(path, "started (UTC)") == [
        dt.datetime(2026, 10, 5, 22, 30, 0, 123000),  # noqa: DTZ001 - a cell has no zone
        "1850-01-01T00:00:00.000000Z",
        None,
    ]


def test_numbers_are_masked_everywhere_unless_asked_for(make_facts: Make, tmp_path: Path) -> None:
    number = "442079460123"
    findings = pd.DataFrame(
        {"code": ["x"], "severity": ["info"], "message": [f"from +{number}"], "advice": ["a"]}, dtype="str"
    )
    disputes = pd.DataFrame(
        {"kind": ["wrong"], "call_id": ["c"], "field": ["from_number"], "value_call": [f"+{number}"],
         "value_cdr": [number], "source_file": ["o.csv"], "from_number": [number]}, dtype="str"
    ).assign(source_row=pd.Series([3], dtype="Int64"))  # fmt: skip
    facts = make_facts(
        [{"sip_username": number, "reason": f"+{number} called"}], findings=findings, disputes=disputes
    )
    hidden = b"".join(parts(written(facts, tmp_path)).values())
    assert number.encode() not in hidden
    assert b"2079460999" not in hidden
    assert b"44\xe2\x80\xa2" in hidden
    path = written(facts, tmp_path, mask=False)
    assert column(path, "from") == ["+442079460123"]
    assert column(path, "the API says", "disputes") == [f"+{number}"]
    assert dict(cells(path, "summary"))["numbers"] == "in full"


def test_the_evidence_of_a_call_stands_beside_its_changes(make_facts: Make, tmp_path: Path) -> None:
    calls = pd.DataFrame(
        {"call_id": ["call-0"], "sources": ["a.csv:2; a.csv:9"], "billable_s_cdr": [61.5],
         "answered_at_cdr": pd.to_datetime(["2026-10-05T10:00:10Z"]).as_unit("us")}
    )  # fmt: skip
    path = written(replace(make_facts([{}, {}]), calls=calls), tmp_path)
    assert column(path, "CDR lines") == ["a.csv:2; a.csv:9", "october.csv:41"]
    assert column(path, "CDR billable (s)") == [61.5, None]
    assert column(path, "CDR answer (UTC)")[0] == dt.datetime(2026, 10, 5, 10, 0, 10)  # noqa: DTZ001 - a cell has no zone


def test_pandas_reads_the_texts_as_texts(make_facts: Make, tmp_path: Path) -> None:
    path = written(make_facts([{"before": "007", "call_id": "1e5"}]), tmp_path)
    frame = pd.read_excel(path, sheet_name="changes", dtype=str)
    assert frame.loc[0, ["call", "before"]].tolist() == ["1e5", "007"]


def test_the_same_plan_gives_the_same_file_at_whatever_pace(make_facts: Make, tmp_path: Path) -> None:
    first = written(make_facts([{}]), tmp_path).read_bytes()
    assert written(make_facts([{}], rate=("1/s", 1.0)), tmp_path).read_bytes() == first


def test_a_file_that_cannot_be_written_is_an_error_and_leaves_the_old_one(
    make_facts: Make, tmp_path: Path
) -> None:
    path = written(make_facts([{}]), tmp_path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # as a disk that is full
    try:
        with pytest.raises(
            InputError, match=r"review\.xlsx cannot be written .*: free space or choose another"
        ):
            written(make_facts([{} for _ in range(500)]), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["review.xlsx"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("review.xls", "is written as .xlsx"), ("folder.xlsx", "no ordinary file"), ("file/review.xlsx", "cannot be written")],
)  # fmt: skip
def test_a_place_that_holds_no_workbook_is_refused(
    make_facts: Make, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "folder.xlsx").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=told):
        DryRunReport.from_facts(make_facts([{}])).to_excel(tmp_path / name)
