"""A reviewed workbook keeps what a person said yes to, and nothing in it may have changed otherwise."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sippet_reconcile as sr
from sippet_reconcile.errors import InputError, PlanError, SchemaError
from sippet_reconcile.plan import Plan
from sippet_reconcile.plan.preview import facts_of
from sippet_reconcile.plan.reviewed import decisions_of, reviewed_content
from sippet_reconcile.report.dry_run.review import review_sheets
from sippet_reconcile.report.workbook import ReadSheet, WorkbookSheet, compare_sheet, write_workbook
from sippet_reconcile.report.workbook.comparing import Difference

Make = Callable[..., Any]

YES, NO = ("yes", "YES", " Yes ", "yes\u00a0"), ("no", "No ", "", None, " ")
RINGING = {"duration_seconds": ("60", "110", "ring-time-included")}
THREE = {
    "status": ("answered", "completed", "never-ended"),
    "duration_seconds": ("60", "110", "never-ended"),
    "ended_at": ("2026-10-05T10:02:00Z", "2026-10-05T10:03:00Z", "cut-by-crash"),
}


_MADE: list[tuple[Plan, bytes]] = []
"""The plan and its workbook: frozen, so made once."""


@pytest.fixture
def plan(make_rec: Make, make_finding: Make, tmp_path: Path) -> Plan:
    """Return a plan of four calls: three, one, three and one changes, with findings and what is not patchable."""
    if _MADE:
        return _MADE[0][0]
    end = {"call": {"status": "answered"}, "cdr": {"ended_at": "2026-10-05T10:03:00Z", "billable_s": 110.0}}
    wrong = {**RINGING, "from_number": ("+442079460123", "+442079460777", "unexplained")}
    rows = [{"wrong": THREE, **end}, {"wrong": wrong}, {"wrong": THREE, **end}, {"wrong": RINGING}]
    made = sr.build_plan(make_rec(rows, findings=make_finding("probe-noise", "warn", n=[1])))
    path = made.dry_run().to_excel(tmp_path / "made.xlsx")
    _MADE.append((made, path.read_bytes()))
    return made


@pytest.fixture(autouse=True)
def _made(plan: Plan) -> None:
    """Let properties find the plan."""


@cache
def sheets_once() -> list[WorkbookSheet]:
    return review_sheets(facts_of(_MADE[0][0], rate="5/s"))


@pytest.fixture
def book(tmp_path: Path) -> tuple[Path, Any]:
    """Return the workbook of that plan as openpyxl has it, and where it was written."""
    path = tmp_path / "review.xlsx"
    path.write_bytes(_MADE[0][1])
    return path, openpyxl.load_workbook(path)


def rows_of(sheet: Any) -> dict[tuple[str, str], int]:
    """Return the row of each call and field."""
    return {(sheet.cell(n, 3).value, sheet.cell(n, 4).value): n for n in range(2, sheet.max_row + 1)}


def answer(sheet: Any, answers: dict[str, str | None], notes: dict[str, str] | None = None) -> None:
    for (call_id, _), n in rows_of(sheet).items():
        sheet.cell(n, 1).value = answers.get(call_id)
        sheet.cell(n, 2).value = (notes or {}).get(call_id)


def again(book: tuple[Path, Any]) -> Path:
    path, opened = book
    opened.save(path)
    return path


def test_the_plan_under_test_has_three_one_three_and_one_changes(plan: Plan, ids: Make) -> None:
    assert plan.changes["call_id"].value_counts().to_dict() == {ids(1): 3, ids(3): 3, ids(2): 1, ids(4): 1}


def test_only_yes_keeps_and_the_rest_is_left_out_by_name(plan: Plan, book: Any, ids: Make) -> None:
    answer(book[1]["changes"], {ids(1): "yes", ids(2): "no"}, {ids(1): "as Bob said", ids(2): "a test call"})
    smaller = plan.approve(by="ana").keep_reviewed(again(book))
    assert smaller.calls["call_id"].tolist() == [ids(1)]
    new = smaller.left_out.iloc[len(plan.left_out) :]
    assert set(zip(new["call_id"], new["reason"], strict=True)) == {
        (ids(2), "rejected in review: a test call"),
        (ids(3), "not approved in review"),
        (ids(4), "not approved in review"),
    }
    assert len(new) == 5
    assert smaller.selection["review"] == {
        "kept": 1, "rejected": 1, "not_approved": 2, "notes": {ids(1): "as Bob said"},
    }  # fmt: skip
    assert smaller.approvals == ()
    assert smaller.plan_id != plan.plan_id
    assert smaller.ledger["change_s"].sum() == smaller.changes["delta_s"].sum()


def test_a_plan_wholly_approved_is_the_same_plan_and_a_note_makes_it_another(
    plan: Plan, book: Any, ids: Make
) -> None:
    approved = plan.approve(by="ana")
    every = {ids(n): "yes" for n in range(1, 5)}
    answer(book[1]["changes"], every)
    assert approved.keep_reviewed(again(book)) is approved
    answer(book[1]["changes"], every, {ids(1): "fine"})
    noted = approved.keep_reviewed(again(book))
    assert (noted.approvals, len(noted)) == ((), 4)
    assert noted.plan_id != plan.plan_id


def test_an_unanswered_workbook_keeps_nothing(plan: Plan, book: Any) -> None:
    assert len(plan.keep_reviewed(again(book))) == 0


@pytest.mark.parametrize("mask", [True, False], ids=["masked", "in full"])
def test_masked_or_not_it_is_read_back_after_the_plan_was_saved(
    plan: Plan, tmp_path: Path, ids: Make, mask: bool
) -> None:
    loaded = Plan.load(plan.save(tmp_path / "plan.parquet")).approve(by="ben")
    path = loaded.dry_run(rate="1/s").to_excel(tmp_path / "r.xlsx", mask=mask)
    opened = openpyxl.load_workbook(path)
    answer(opened["changes"], {ids(2): "yes"})
    opened.save(path)
    assert plan.keep_reviewed(path).calls["call_id"].tolist() == [ids(2)]


def test_a_kept_plan_is_reviewed_once_more_and_keeps_its_notes(plan: Plan, book: Any, ids: Make) -> None:
    answer(book[1]["changes"], {ids(1): "yes", ids(2): "yes"}, {ids(1): "first"})
    once = plan.keep_reviewed(again(book))
    path = once.dry_run().to_excel(book[0])
    opened = openpyxl.load_workbook(path)
    answer(opened["changes"], {ids(1): "yes"})
    opened.save(path)
    twice = once.keep_reviewed(path)
    assert twice.selection["review"]["notes"] == {ids(1): "first"}
    assert twice.calls["call_id"].tolist() == [ids(1)]


def read_back(sheet: WorkbookSheet, rows: list[list[str]] | None = None) -> ReadSheet:
    """Return a sheet as a reader would give it, with its rows or with others."""
    if rows is None:
        rows = texts_of(sheet)
    columns = [pa.chunked_array([pa.array(texts, pa.large_string())]) for texts in zip(*rows, strict=True)]
    return ReadSheet(sheet.name, list(range(1, len(rows) + 1)), columns)


def texts_of(sheet: WorkbookSheet) -> list[list[str]]:
    """Return the texts of the rows of a sheet, its heads first, and five empty columns beside them."""
    rows: list[list[Any]] = [sheet.heads] if sheet.has_heads else []
    kinds = [column.kind for column in sheet.columns]
    for part in sheet.cells():
        for row in zip(*part, strict=True):
            days = [
                cell / 86_400_000 if kind == "instant" else cell
                for cell, kind in zip(row, kinds, strict=True)
            ]
            rows.append(["" if one is None else str(one) for one in days])
    return [[*row, *[""] * 5] for row in rows]


def decided(sheet: WorkbookSheet, rows: list[list[str]]) -> tuple[set[str], list[Difference]]:
    """Return the calls that are kept, and what is wrong."""
    compared = compare_sheet(sheet, [read_back(sheet, rows)])
    found = list(compared.found)
    decisions = decisions_of(compared, sheet.frame[["call_id", "field"]], found)
    says_yes = decisions["answer"].eq("yes").groupby(decisions["call_id"]).all()
    return set(says_yes.index[says_yes]), found


@settings(max_examples=25)
@given(data=st.data())
def test_exactly_the_calls_all_of_whose_rows_say_yes_are_kept_in_whatever_order(data: st.DataObject) -> None:
    sheet = sheets_once()[1]
    heads, *rows = texts_of(sheet)
    answers: dict[str, list[bool]] = {}
    for row in rows:
        words = data.draw(st.sampled_from([YES, YES, NO])) if row[2] not in answers else YES + NO
        if row[2] in answers and data.draw(st.integers(0, 4)):
            words = YES if answers[row[2]][0] else NO
        row[0] = data.draw(st.sampled_from(words)) or ""
        answers.setdefault(row[2], []).append(row[0].strip().lower() == "yes")
    kept, found = decided(sheet, [heads, *data.draw(st.permutations(rows))])
    mixed = {one for one, said in answers.items() if any(said) and not all(said)}
    assert kept == {one for one, said in answers.items() if all(said)}
    assert len(found) == sum(answers[one].count(False) for one in mixed)
    assert all(any(one in place.what for place in found) for one in mixed)


@settings(max_examples=40)
@given(data=st.data())
def test_any_single_changed_cell_is_found_and_named(data: st.DataObject) -> None:
    sheet = data.draw(st.sampled_from(sheets_once()))
    rows = texts_of(sheet)
    row = data.draw(st.integers(0, len(rows) - 1))
    is_answered = sheet.name == "changes" and row > 0
    column = data.draw(st.integers(2 if is_answered else 0, len(rows[0]) - 1))
    was = rows[row][column]
    values = st.sampled_from(
        ["", "x", "0", "\x00=1+1", '\x00="a"', "7", "-0.5", "TRUE", "46000.5", f"1{was}"]
    )
    rows[row][column] = data.draw(values.filter(lambda one: one != was))
    body = rows[1:] if sheet.has_heads else rows
    compared = compare_sheet(sheet, [read_back(sheet, [*rows[: len(rows) - len(body)], *body])])
    cells = {one.cell for one in compared.found}
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef"[column]
    if sheet.has_heads and row == 0 and was and not rows[0][column].strip():
        assert [one.expected for one in compared.found][:1] == [repr(was)], "the head that is gone"
    elif sheet.has_heads and row == 0 and was and rows[0][column].strip() == was:
        assert not compared.found, "blanks around a head do not matter"
    else:
        assert f"{letter}{row + 1}" in cells or column > 25, compared.found
        assert {one.sheet for one in compared.found} == {sheet.name}


def test_each_cell_of_the_file_is_looked_at(plan: Plan, book: Any) -> None:
    for name, cell in {
        "summary": "B2",
        "changes": "J4",
        "findings": "C2",
        "ledger": "D2",
        "disputes": "C2",
    }.items():
        book[1][name][cell].value = "=1+1"
    with pytest.raises(SchemaError) as caught:
        plan.keep_reviewed(again(book))
    places = caught.value.failures
    assert dict(zip(places["sheet"], places["cell"], strict=True)) == {
        "summary": "B2", "changes": "J4", "findings": "C2", "ledger": "D2", "disputes": "C2",
    }  # fmt: skip


def test_a_formula_that_gives_the_right_value_is_a_changed_cell(plan: Plan, book: Any) -> None:
    sheet = book[1]["changes"]
    n = next(n for n in range(2, 10) if sheet.cell(n, 4).value == "duration_seconds")
    right = sheet.cell(n, 6).value
    sheet.cell(n, 6).value = f'="{right}"'
    with pytest.raises(
        SchemaError, match=rf"sheet 'changes' F{n} \(after\) holds the formula '=\"{right}\"', not '110'"
    ):
        plan.keep_reviewed(again(book))


def test_a_word_that_is_neither_yes_nor_no_is_named(plan: Plan, book: Any, ids: Make) -> None:
    sheet = book[1]["changes"]
    n = rows_of(sheet)[ids(2), "duration_seconds"]
    for value, told in (
        ("maybe", "'maybe'"), ("=TRUE", "the formula '=TRUE'"), (True, "'TRUE'"), (1, "'1'"), ("ja", "'ja'"),
        ("ye\u017f", "'ye\u017f'"), ("yes\u200b", r"'yes\u200b'"), ("\uff39\uff25\uff33", "'\uff39\uff25\uff33'"),
        ("+442079460123", "'+44••••••••23'"),
    ):  # fmt: skip
        sheet.cell(n, 1).value = value
        with pytest.raises(SchemaError) as caught:
            plan.keep_reviewed(again(book))
        (place,) = caught.value.failures.to_dict("records")
        assert (place["cell"], place["found"], place["expected"]) == (f"A{n}", told, "'yes', 'no' or nothing")


def change(what: str, book: Any) -> None:
    sheet = book["changes"]
    if what == "a row deleted":
        sheet.delete_rows(3)
    elif what == "a row added":
        sheet.append(["yes", None, "a new call", "status", "a", "b"])
    elif what == "a row repeated":
        sheet.append([cell.value for cell in sheet[4]])
    elif what == "a column deleted":
        sheet.delete_cols(5)
    elif what == "a column renamed":
        sheet["E1"].value = "was"
    elif what == "a column repeated":
        sheet.cell(1, sheet.max_column + 1).value = "after"
    elif what == "a cell beside the table":
        sheet.cell(4, sheet.max_column + 2).value = "look here"
    elif what == "a row ahead of the heads":
        sheet.insert_rows(1)
    elif what == "a sheet deleted":
        del book["ledger"]
    elif what == "a further sheet of changes":
        book.copy_worksheet(sheet).title = "changes (2)"
    elif what == "a further sheet below a title":
        copy = book.copy_worksheet(sheet)
        copy.title = "for Bob"
        copy.insert_rows(1, 2)
        sheet.sheet_state = "hidden"
    elif what == "a sheet renamed":
        sheet.title = "Changes"


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("a row deleted", r"sheet 'changes': the row is missing \('00000000-"),
        ("a row added", r"sheet 'changes' row 10: is not a row that was written"),
        ("a row repeated", r"sheet 'changes' row 10: says a second time"),
        ("a column deleted", r"the column is missing or was renamed \('before'\)"),
        ("a column renamed", r"E1 holds 'was' \(is no column of this sheet\).*renamed \('before'\)"),
        ("a column repeated", r"1 \(after\) holds 'after' \(is there twice\)"),
        ("a cell beside the table", r"4 holds 'look here', not nothing \(stands beside the table\)"),
        ("a row ahead of the heads", r"1 thing to put right: sheet 'changes' row 1: does not hold the heads"),
        ("a sheet deleted", r"sheet 'ledger': the sheet is missing"),
        ("a sheet renamed", r"sheet 'changes': the sheet is missing or was renamed"),
        ("a further sheet of changes", r"sheet 'changes \(2\)' row 1: is a copy of the sheet that is answered in"),
        ("a further sheet below a title", r"sheet 'for Bob' row 3: is a copy of the sheet that is answered in"),
    ],
)  # fmt: skip
def test_rows_columns_and_sheets_that_come_or_go_are_named(
    plan: Plan, book: Any, what: str, told: str
) -> None:
    change(what, book[1])
    with pytest.raises(SchemaError, match=told):
        plan.keep_reviewed(again(book))


def test_moving_hiding_widening_and_a_sheet_of_ones_own_are_no_change(
    plan: Plan, book: Any, ids: Make
) -> None:
    opened = book[1]
    sheet = opened["changes"]
    answer(sheet, {ids(4): "yes"})
    width = sheet.max_column
    for row in sheet.iter_rows():
        values = [cell.value for cell in row]
        formats = [cell.number_format for cell in row]
        for cell, value, form in zip(row, values[::-1], formats[::-1], strict=True):
            cell.value, cell.number_format = value, form
    sheet.column_dimensions["D"].hidden = True
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["A"].width = 60
    sheet.auto_filter.add_filter_column(0, ["yes"])
    for row in range(2, sheet.max_row + 1):  # numbers stored as numbers
        cell = sheet.cell(row, width - 4)
        cell.value = int(cell.value) if str(cell.value).isdigit() else cell.value
    opened.create_sheet("mine")["A1"].value = "=1+1"
    opened.move_sheet("changes", 3)
    assert plan.keep_reviewed(again(book)).calls["call_id"].tolist() == [ids(4)]


def test_everything_is_told_at_once_and_no_number_in_full(plan: Plan, tmp_path: Path) -> None:
    path = plan.dry_run().to_excel(tmp_path / "r.xlsx", mask=False)
    opened = openpyxl.load_workbook(path)
    sheet = opened["changes"]
    heads = [cell.value for cell in sheet[1]]
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, heads.index("from") + 1).value = "+442079460124"
    sheet.cell(2, heads.index("to") + 1).value = "+442079461999"
    opened.save(path)
    with pytest.raises(SchemaError, match=r"9 things to put right: .*; and 4 more") as caught:
        plan.keep_reviewed(path)
    told = str(caught.value) + caught.value.failures.to_csv()
    assert not any(number in told for number in ("2079460123", "2079460124", "2079460999", "2079461999"))
    assert len(caught.value.failures) == 9
    assert "digits that are hidden here" in told


def test_the_workbook_of_another_plan_is_refused(plan: Plan, book: Any, ids: Make) -> None:
    other = plan.drop(ids(1))
    with pytest.raises(
        PlanError, match=f"the review of plan '{plan.short_id}', and this is plan '{other.short_id}'"
    ):
        other.keep_reviewed(book[0])
    del book[1]["summary"]
    with pytest.raises(PlanError, match="does not say on its sheet 'summary'"):
        plan.keep_reviewed(again(book))


@pytest.mark.parametrize("content", [b"", b"call,approve\n1,yes\n", b"PK\x03\x04 broken"])
def test_what_is_no_workbook_is_said_to_be_none(plan: Plan, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.xlsx").write_bytes(content)
    with pytest.raises(InputError, match="is no workbook"):
        plan.keep_reviewed(tmp_path / "x.xlsx")
    with pytest.raises(InputError, match="there is no workbook at"):
        plan.keep_reviewed(tmp_path / "absent.xlsx")


@pytest.mark.slow
def test_a_workbook_with_a_broken_part_is_an_error_of_the_operator_or_as_it_was(
    plan: Plan, book: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.xlsx"
    with zipfile.ZipFile(book[0]) as source:
        bodies = {name: source.read(name) for name in source.namelist()}
    for name, body in bodies.items():
        for change in (body[: len(body) // 2], b"", b"<a/>", None):
            with zipfile.ZipFile(broken, "w") as target:
                for part, whole in (bodies | {name: change}).items():
                    if whole is not None:
                        target.writestr(part, whole)
            with contextlib.suppress(InputError, PlanError):
                assert len(plan.keep_reviewed(broken)) == 0
                assert "sheet" not in name


def test_a_file_that_unfolds_too_far_is_not_read(plan: Plan, book: Any, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(book[0]) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.namelist():
            target.writestr(part, source.read(part))
        with target.open("xl/media/image1.png", "w") as part:
            for _ in range(70):
                part.write(bytes(2**20))
    assert bomb.stat().st_size < 2**20
    with pytest.raises(InputError, match=r"unfolds to .* it is not read"):
        plan.keep_reviewed(bomb)


def test_a_plan_without_changes_has_a_workbook_too(make_rec: Make, tmp_path: Path) -> None:
    empty = sr.build_plan(make_rec([]))
    path = empty.dry_run().to_excel(tmp_path / "r.xlsx")
    assert empty.keep_reviewed(path) is empty
    assert pd.read_excel(path, sheet_name="changes").empty


def test_changes_on_several_sheets_are_read_back_together(make_calls: Make, tmp_path: Path) -> None:
    calls = make_calls([{}] * 60)
    fix = pd.DataFrame({"call_id": calls["id"], "duration_seconds": 70})
    large = sr.plan_corrections(calls, fix, reason="ticket 4711")
    sheets = review_sheets(facts_of(large, rate="5/s"))
    path = write_workbook(sheets, tmp_path / "r.xlsx", title="t", max_rows=26)
    opened = openpyxl.load_workbook(path)
    kept = [opened[name]["C7"].value for name in ("changes", "changes 2", "changes 3")]
    for name in ("changes", "changes 2", "changes 3"):
        opened[name]["A7"] = "yes"
    opened.save(path)
    content = reviewed_content(large, large._content, path, max_rows=26)
    assert content is not None
    assert sorted(content.changes["call_id"]) == sorted(kept)
    del opened["changes 2"]
    opened.save(path)
    with pytest.raises(SchemaError, match="sheet 'changes 2': the sheet is missing"):
        reviewed_content(large, large._content, path, max_rows=26)
