"""A workbook with money is read back without the rate card, and a changed cell of its money is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pytest

import sippet_reconcile as sr
from sippet_reconcile.errors import SchemaError
from sippet_reconcile.plan import Plan
from sippet_reconcile.plan.preview import facts_of
from sippet_reconcile.report import MoneyFacts
from sippet_reconcile.report.dry_run.review import review_sheets, write_review

Make = Callable[..., Any]
Edit = Callable[[Any], None]

USER = "442079460777"
_MADE: dict[bool | None, tuple[Plan, bytes]] = {}
"""The plan and its workbooks, masked, in full and without money: frozen, so made once."""


def money() -> MoneyFacts:
    """Return money of users that spreadsheets like to take for something else, and of two currencies."""
    dtype = pd.ArrowDtype(pa.decimal128(20, 6))
    users = [USER, "=1+1", "007", "_x0041_", " two  blanks ", "Zoë", None]
    after = ["1.25", "0.000001", "100000.5", "0", "2", "7", None]
    calls = pd.DataFrame(
        {
            "call_id": [f"call-{n}" for n in range(len(users))],
            "sip_username": pd.Series(users, dtype="str"),
            "explanation": "ring-time-included",
            "currency": pd.Series(["GBP"] * 4 + ["USD"] * 2 + [None], dtype="str"),
            "billed_s_before": pd.Series([60] * 7, dtype="Int64"),
            "billed_s_after": pd.Series([70] * 7, dtype="Int64"),
            "cost_before": pd.Series([Decimal("0.1")] * 7, dtype=dtype),
            "cost_after": pd.Series([None if v is None else Decimal(v) for v in after], dtype=dtype),
            "unrated_reason": pd.Series([None] * 6 + ["no-prefix"], dtype="str"),
        }
    )
    return MoneyFacts.of_calls(calls, card="rates.csv", sha256="ab" * 32)


@pytest.fixture
def plan(make_rec: Make, tmp_path: Path) -> Plan:
    """Return a plan of two calls."""
    if not _MADE:
        wrong = {"wrong": {"duration_seconds": ("60", "110", "ring-time-included")}}
        made = sr.build_plan(make_rec([wrong, wrong]))
        facts = facts_of(made, rate="5/s")
        for mask in (True, False, None):
            shown = facts if mask is None else replace(facts, money=money())
            path = write_review(shown, tmp_path / "made.xlsx", mask=mask is not False)
            _MADE[mask] = (made, path.read_bytes())
    return _MADE[None][0]


def approved(tmp_path: Path, edit: Edit | None = None, *, mask: bool | None = True) -> Path:
    """Return the workbook, answered with yes throughout and edited."""
    path = tmp_path / "review.xlsx"
    path.write_bytes(_MADE[mask][1])
    book = openpyxl.load_workbook(path)
    for row in (2, 3):
        book["changes"].cell(row, 1).value = "yes"
    if edit is not None:
        edit(book)
    book.save(path)
    return path


def refused(plan: Plan, path: Path) -> list[tuple[str, str, str]]:
    """Return sheet, cell and what is wrong of each difference."""
    with pytest.raises(SchemaError) as caught:
        plan.keep_reviewed(path)
    failures = caught.value.failures
    return list(zip(failures["sheet"], failures["cell"], failures["what"], strict=True))


@pytest.mark.parametrize("mask", [True, False, None], ids=["masked", "in full", "without money"])
def test_a_workbook_with_money_is_read_back_without_the_card(
    plan: Plan, tmp_path: Path, mask: bool | None
) -> None:
    assert plan.keep_reviewed(approved(tmp_path, mask=mask)) is plan


def test_the_other_sheets_know_nothing_of_money(plan: Plan) -> None:
    facts = facts_of(plan, rate="5/s")
    without, with_money = review_sheets(facts), review_sheets(replace(facts, money=money()))
    assert [one.name for one in with_money if one.name != "money"] == [one.name for one in without]
    told = with_money[0].frame.set_index("what")["told"]
    assert told.drop("money").equals(without[0].frame.set_index("what")["told"])
    assert "rates.csv" in told["money"]
    assert "ab" * 32 in told["money"]


@pytest.mark.usefixtures("plan")
def test_the_sheet_of_money_holds_numbers_and_masks_users(tmp_path: Path) -> None:
    for mask in (True, False):
        sheet = openpyxl.load_workbook(approved(tmp_path, mask=mask))["money"]
        cells = [[cell.value for cell in row] for row in sheet]
        assert any(USER in str(value) for row in cells for value in row) is not mask
        total = next(row for row in cells if row[0] == "total" and row[2] == "GBP")
        assert total[3:10] == [4, 240, 280, 40, 0.4, 100001.750001, 100001.350001]
        assert cells[1][1] == f"rates.csv (sha256 {'ab' * 32})"
        assert sheet["J3"].number_format == "+#,##0.000000;-#,##0.000000;0.000000"
        assert sheet["K3"].alignment.horizontal == "fill"  # it ends with its cell, on paper too
        assert all(cell.data_type != "f" for row in sheet for cell in row)


def set_cell(sheet: str, cell: str, value: object) -> Edit:
    def edit(book: Any) -> None:
        book[sheet][cell].value = value

    return edit


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("I3", 5),
        ("I3", None),
        ("I3", "x"),
        ("C3", "EUR"),
        ("B5", "somebody"),
        ("A4", "by user"),
        ("J3", "=1+1"),
        ("D3", 5),
    ],
)
def test_a_changed_cell_of_money_is_named(plan: Plan, tmp_path: Path, cell: str, value: object) -> None:
    found = refused(plan, approved(tmp_path, set_cell("money", cell, value)))
    assert found == [("money", cell, "was changed: its check says so")]


def test_every_cell_of_money_has_a_check(plan: Plan, tmp_path: Path) -> None:
    sheet = openpyxl.load_workbook(approved(tmp_path))["money"]
    places = [(n, c) for n in range(2, sheet.max_row + 1) for c in range(1, 11)]

    def scribble(book: Any) -> None:
        for row, column in places:
            book["money"].cell(row, column).value = "changed"

    found = refused(plan, approved(tmp_path, scribble))
    assert len(found) == len(places)
    assert {what for _, _, what in found} == {"was changed: its check says so"}


def swap(book: Any) -> None:
    sheet = book["money"]
    sheet["I3"].value, sheet["I4"].value = sheet["I4"].value, sheet["I3"].value


def without_line(book: Any) -> None:
    sheet = book["summary"]
    row = next(cell.row for cell in sheet["A"] if cell.value == "money")
    sheet.delete_rows(row)


def other_line(book: Any) -> None:
    sheet = book["summary"]
    row = next(cell.row for cell in sheet["A"] if cell.value == "money")
    sheet.cell(row, 2).value = "it is worth a million"


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (swap, [("I3", "was changed: its check says so"), ("I4", "was changed: its check says so")]),
        (set_cell("money", "K3", "ok"), [("K3", "is not the check of a row")]),
        (set_cell("money", "K3", None), [("K3", "is not the check of a row")]),
        (set_cell("money", "M3", "mine"), [("M3", "stands beside the table")]),
        (set_cell("money", "L1", "mine"), [("L1", "is no column of this sheet")]),
        (set_cell("money", "J1", "profit"), [("J1", "is no column of this sheet"), ("", "the column is missing or was renamed")]),
        (lambda book: book["money"].delete_rows(4), [("", "the row is missing")]),
        (lambda book: book["money"].delete_cols(3), [("", "the column is missing or was renamed")]),
        (lambda book: book["money"].append([c.value for c in book["money"][3]]), [("", "says a second time what another row says")]),
        (lambda book: book.remove(book["money"]), [("", "the sheet is missing or was renamed")]),
        (lambda book: book["money"].delete_rows(2, 99), [("", "is not the sheet that the summary tells of")]),
        (without_line, [("", "the line about the sheet 'money' is missing")]),
        (other_line, [("", "is not the sheet that the summary tells of")]),
    ],
    ids=["swapped", "check", "no check", "beside", "further column", "renamed", "row gone", "column gone", "row twice", "sheet gone",
         "rows gone", "line gone", "line changed"],
)  # fmt: skip
def test_whatever_else_is_done_to_the_sheet_of_money_is_told(
    plan: Plan, tmp_path: Path, edit: Edit, told: list[tuple[str, str]]
) -> None:
    assert [(cell, what) for _, cell, what in refused(plan, approved(tmp_path, edit))] == told


def test_the_sheet_of_another_card_is_not_taken_for_this_one(plan: Plan, tmp_path: Path) -> None:
    other = replace(money(), card="other.csv")
    path = write_review(replace(facts_of(plan, rate="5/s"), money=other), tmp_path / "other.xlsx")
    rows = [[cell.value for cell in row] for row in openpyxl.load_workbook(path)["money"]]

    def exchange(book: Any) -> None:
        for row, cells in enumerate(rows, start=1):
            for column, value in enumerate(cells, start=1):
                book["money"].cell(row, column).value = value
                book["money"].cell(row, column).data_type = "n" if isinstance(value, int | float) else "s"

    found = refused(plan, approved(tmp_path, exchange))
    assert found == [("money", "", "is not the sheet that the summary tells of")]


def test_rows_and_columns_of_money_may_be_moved(plan: Plan, tmp_path: Path) -> None:
    def turn(book: Any) -> None:
        sheet = book["money"]
        rows = [[(cell.value, cell.data_type) for cell in row] for row in sheet]
        for row, cells in enumerate([rows[0], *rows[:0:-1]], start=1):
            for column, (value, kind) in enumerate(cells[::-1], start=1):
                sheet.cell(row, column).value = value
                sheet.cell(row, column).data_type = kind

    assert plan.keep_reviewed(approved(tmp_path, turn)) is plan


def test_a_sheet_of_the_reviewers_own_may_be_called_money(plan: Plan, tmp_path: Path) -> None:
    def add(book: Any) -> None:
        book.create_sheet("money")["A1"].value = "my own sums"

    assert plan.keep_reviewed(approved(tmp_path, add, mask=None)) is plan


def test_a_copy_of_the_changes_that_is_called_money_is_refused(plan: Plan, tmp_path: Path) -> None:
    def copy(book: Any) -> None:
        book.copy_worksheet(book["changes"]).title = "money"

    found = refused(plan, approved(tmp_path, copy, mask=None))
    assert found == [("money", "", "is a copy of the sheet that is answered in")]
